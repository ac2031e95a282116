/* clang-format off */
/* Every query parameter of the drop-in surface, once. Sources: the vendor's pages for Get Posture Info
 * 1.0 to 5.0 (4.0's own table is empty and its samples are 3.0's), for resolving host IDs and for the
 * policy list; evidenceTruncationLimit stands in no document, but a real client sends it.
 *
 *     LEGACY_PARAM(api, "name", first, form, param, wanted)
 *         api     postureInfo, hostids or policyList
 *         name    as it stands in a URL; case matters
 *         first   the first version that has it; all later ones have it, too
 *         form    how its value is read (params.c, enum form)
 *         param   what it is in a query (query/query_table.h), or none. Two rows of one call with the
 *                 same one exclude each other
 *         wanted  what its value has to be, for people
 *
 * One line each. There is room for 32.
 */
LEGACY_PARAM(postureInfo, "evidenceRequired", 1.0, EVIDENCE, none, "0 or 1")
LEGACY_PARAM(postureInfo, "compressionRequired", 1.0, COMPRESSION, none, "0 or 1")
LEGACY_PARAM(postureInfo, "lastEvaluationDate", 1.0, VALUE, evaluatedSince, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(postureInfo, "lastScanDate", 1.0, VALUE, scannedSince, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(postureInfo, "lastScanDateFrom", 1.0, VALUE, scannedFrom, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(postureInfo, "lastScanDateTo", 1.0, VALUE, scannedTo, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(postureInfo, "statusChangedSince", 1.0, VALUE, changedSince, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(postureInfo, "evidenceTruncationLimit", 1.0, NUMBER, none, "a number")
LEGACY_PARAM(postureInfo, "excludeInactiveControl", 2.0, FLAG, inactive, "0 or 1")
LEGACY_PARAM(postureInfo, "cloudMetaDataRequired", 3.0, FLAG, cloud, "0 or 1")
LEGACY_PARAM(postureInfo, "status", 3.0, LIST, status, "a list of Passed, Failed and Error")
LEGACY_PARAM(postureInfo, "previousStatus", 3.0, VALUE, previousStatus, "one of Passed, Failed and Error")
LEGACY_PARAM(postureInfo, "criticalityValues", 3.0, DIGITS, criticality, "a list of numbers from 0 to 5")
LEGACY_PARAM(postureInfo, "criticalityLabels", 3.0, WORDS, criticality, "a list of UNDEFINED, MINIMAL, MEDIUM, SERIOUS, CRITICAL and URGENT")
LEGACY_PARAM(postureInfo, "extendedEvidenceRequired", 5.0, EXTENDED, none, "0 or 1")
LEGACY_PARAM(postureInfo, "qdScoreRequired", 5.0, FLAG, qds, "0 or 1")
LEGACY_PARAM(hostids, "policyId", 1.0, LIST, policy, "a list of IDs")
LEGACY_PARAM(hostids, "lastScanDate", 1.0, VALUE, scannedSince, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(hostids, "statusChangedSince", 3.0, VALUE, changedSince, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(hostids, "assetDeploymentType", 5.0, VALUE, deployment, "ON-PREM, CLOUD or ALL")
LEGACY_PARAM(hostids, "assetState", 5.0, VALUE, state, "ACTIVE, TERMINATED or ALL")
LEGACY_PARAM(policyList, "lastEvaluationDate", 1.0, VALUE, evaluatedSince, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
LEGACY_PARAM(policyList, "requireTagInfo", 2.0, FLAG, tags, "0 or 1")
