/* clang-format off */
/* Query parameters, and since which version each API has them (0: never). None was ever taken away.
 *
 *    NAME, "name", reader (ask.c; it takes the decoded value),
 *                                              policy list, hostids, postureInfo
 */
PARAM(LAST_EVALUATION,    "lastEvaluationDate",       read_evaluated,   1, 0, 1)
PARAM(TAG_INFO,           "requireTagInfo",           read_tags,        2, 0, 0)
PARAM(POLICY_ID,          "policyId",                 read_policies,    0, 1, 0)
PARAM(LAST_SCAN,          "lastScanDate",             read_scan,        0, 1, 1)
PARAM(SCAN_FROM,          "lastScanDateFrom",         read_scan_from,   0, 0, 1)
PARAM(SCAN_TO,            "lastScanDateTo",           read_scan_to,     0, 0, 1)
PARAM(CHANGED_SINCE,      "statusChangedSince",       read_changed,     0, 3, 1)
PARAM(DEPLOYMENT,         "assetDeploymentType",      read_deployment,  0, 5, 0)
PARAM(ASSET_STATE,        "assetState",               read_asset_state, 0, 5, 0)
PARAM(EVIDENCE,           "evidenceRequired",         read_evidence,    0, 0, 1)
PARAM(COMPRESSION,        "compressionRequired",      read_compression, 0, 0, 1)
PARAM(TRUNCATION,         "evidenceTruncationLimit",  read_truncation,  0, 0, 1)
PARAM(EXCLUDE_INACTIVE,   "excludeInactiveControl",   read_inactive,    0, 0, 2)
PARAM(CLOUD,              "cloudMetaDataRequired",    read_cloud,       0, 0, 3)
PARAM(STATUS,             "status",                   read_status,      0, 0, 3)
PARAM(PREVIOUS,           "previousStatus",           read_previous,    0, 0, 3)
PARAM(CRITICALITY_VALUES, "criticalityValues",        read_values,      0, 0, 3)
PARAM(CRITICALITY_LABELS, "criticalityLabels",        read_labels,      0, 0, 3)
PARAM(EXTENDED,           "extendedEvidenceRequired", read_extended,    0, 0, 5)
PARAM(QDS,                "qdScoreRequired",          read_qds,         0, 0, 5)
