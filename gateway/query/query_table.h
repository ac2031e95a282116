/* clang-format off */
/* Every parameter of the read API, once: query string, JSON body, canonical text and documents go
 * through this table.
 *
 *     SET(set)
 *     WORD(set, word, value)
 *         A word that a parameter takes, in any case, and the set it belongs to. Of several words
 *         for one value the first is the one that the canonical text uses.
 *
 *     PARAM(name, kind, member, words, least, most, part, uses, upstream, help)
 *         name      as it stands in a URL or a JSON body; case matters
 *         kind      what its value looks like and whether it is a list (param.h, enum param_kind)
 *         member    of struct query
 *         words     set of words, or none
 *         least, most   bounds of a number; of a list of IDs the most of them, all such
 *                   lists together and a range counting its width
 *         part      SCOPE, FILTER or VIEW: the first two make the canonical text, in this order
 *         uses      the calls that take it (enum query_use)
 *         upstream  what the vendor's API calls it: whoever sends that name is told ours
 *         help      one sentence for documents
 *
 *     INNER(name, kind, member, words, part, upstream)
 *         A parameter that no call takes under its name: the gateway's own, for callers who speak the
 *         upstream's protocol. It makes canonical text like any other, and is unknown to documents.
 *
 *     EXCLUDES(name, others)   name may not stand beside any of the others
 *     PAGES(names)             of pages alone: not where format, or Accept, asks for a whole result
 *     NEEDS(name, other)       where name is given, other must be, too
 *     ONE_OF(uses, names)      these calls need one of the names, unless they show a cursor
 *
 * The order of PARAM and WORD and every word in them is part of the canonical text and with it of
 * what is on disk: a change there is a new version of every kind (canon.c). A new parameter is none:
 * texts without it stay as they are.
 *
 * Include it with the macros that you need; the others vanish.
 */
#ifndef SET
#define SET(set)
#endif
#ifndef WORD
#define WORD(set, word, value)
#endif
#ifndef PARAM
#define PARAM(name, kind, member, words, least, most, part, uses, upstream, help)
#endif
#ifndef INNER
#define INNER(name, kind, member, words, part, upstream)                                           \
	PARAM(name, kind, member, words, 0, 0, part, 0, upstream, "")
#endif
#ifndef EXCLUDES
#define EXCLUDES(name, others)
#endif
#ifndef PAGES
#define PAGES(names)
#endif
#ifndef NEEDS
#define NEEDS(name, other)
#endif
#ifndef ONE_OF
#define ONE_OF(uses, names)
#endif

SET(NONE)
SET(BOOL)
SET(ASSETS)
SET(EVIDENCE)
SET(INACTIVE)
SET(DEPLOYMENT)
SET(STATE)
SET(STATUS)
SET(CRITICALITY)
SET(BY)
SET(FORMAT)

WORD(BOOL, "false", 0)
WORD(BOOL, "true", 1)
WORD(ASSETS, "pc", ASSETS_PC)
WORD(ASSETS, "all", ASSETS_ALL)
WORD(EVIDENCE, "none", EVIDENCE_NONE)
WORD(EVIDENCE, "basic", EVIDENCE_BASIC)
WORD(EVIDENCE, "extended", EVIDENCE_EXTENDED)
WORD(INACTIVE, "include", 0)
WORD(INACTIVE, "exclude", 1)
WORD(DEPLOYMENT, "all", DEPLOYMENT_ALL)
WORD(DEPLOYMENT, "on-prem", DEPLOYMENT_ON_PREM)
WORD(DEPLOYMENT, "cloud", DEPLOYMENT_CLOUD)
WORD(STATE, "all", STATE_ALL)
WORD(STATE, "active", STATE_ACTIVE)
WORD(STATE, "terminated", STATE_TERMINATED)
WORD(STATUS, "Passed", STATUS_BIT_PASSED)
WORD(STATUS, "Failed", STATUS_BIT_FAILED)
WORD(STATUS, "Error", STATUS_BIT_ERROR)
WORD(CRITICALITY, "0", CRITICALITY_BIT(0))
WORD(CRITICALITY, "1", CRITICALITY_BIT(1))
WORD(CRITICALITY, "2", CRITICALITY_BIT(2))
WORD(CRITICALITY, "3", CRITICALITY_BIT(3))
WORD(CRITICALITY, "4", CRITICALITY_BIT(4))
WORD(CRITICALITY, "5", CRITICALITY_BIT(5))
WORD(CRITICALITY, "UNDEFINED", CRITICALITY_BIT(0))
WORD(CRITICALITY, "MINIMAL", CRITICALITY_BIT(1))
WORD(CRITICALITY, "MEDIUM", CRITICALITY_BIT(2))
WORD(CRITICALITY, "SERIOUS", CRITICALITY_BIT(3))
WORD(CRITICALITY, "CRITICAL", CRITICALITY_BIT(4))
WORD(CRITICALITY, "URGENT", CRITICALITY_BIT(5))
WORD(BY, "status", QUERY_BY_STATUS)
WORD(BY, "criticality", QUERY_BY_CRITICALITY)
WORD(BY, "policyId", QUERY_BY_POLICY)
WORD(BY, "controlId", QUERY_BY_CONTROL)
WORD(BY, "hostId", QUERY_BY_HOST)
WORD(BY, "technologyId", QUERY_BY_TECHNOLOGY)
WORD(FORMAT, "json", FORMAT_JSON)
WORD(FORMAT, "ndjson", FORMAT_NDJSON)
WORD(FORMAT, "csv", FORMAT_CSV)

PARAM(policy, IDS, policies, NONE, 1, LIMIT_QUERY_IDS, SCOPE, IN_SEARCH, "policyId",
	"Policies whose postures are wanted; policy or posture is required.")
PARAM(host, IDS, hosts, NONE, 1, LIMIT_QUERY_IDS, SCOPE, IN_SEARCH, "hostIds",
	"Hosts to look at; without it all that the policies resolve to.")
PARAM(posture, RANGES, postures, NONE, 1, LIMIT_QUERY_IDS, SCOPE, IN_SEARCH, "postureId",
	"Postures by their own IDs, single or as ranges a-b; excludes policy and host.")
PARAM(subscription, ID, subscription, NONE, 1, QUERY_ID_MAX, SCOPE, IN_SEARCH | IN(POSTURE),
	"subscriptionId", "The subscription, where it is not the one that the hosts resolve to.")
PARAM(assets, CHOICE, assets, ASSETS, 0, 0, SCOPE, IN_SEARCH | IN(POSTURE), "",
	"Kinds of assets: pc, or all (PC and SCA).")
PARAM(evidence, CHOICE, evidence, EVIDENCE, 0, 0, SCOPE, IN_SEARCH | IN(POSTURE),
	"evidenceRequired", "How much evidence a posture carries.")
PARAM(cloud, BOOL, cloud, BOOL, 0, 0, SCOPE, IN_SEARCH | IN(POSTURE), "cloudMetaDataRequired",
	"Whether a posture carries metadata of cloud assets.")
PARAM(qds, BOOL, qds, BOOL, 0, 0, SCOPE, IN_SEARCH | IN(POSTURE), "qdScoreRequired",
	"Whether a posture carries its detection score.")
PARAM(inactive, CHOICE, exclude_inactive, INACTIVE, 0, 0, SCOPE, IN_SEARCH,
	"excludeInactiveControl", "Whether postures of inactive controls are included.")
INNER(deployment, CHOICE, deployment, DEPLOYMENT, SCOPE, "assetDeploymentType")
INNER(state, CHOICE, state, STATE, SCOPE, "assetState")
INNER(tags, BOOL, tags, BOOL, SCOPE, "requireTagInfo")
PARAM(status, SET, status, STATUS, 0, 0, FILTER, IN_SEARCH, "",
	"Postures of these statuses; Passed includes passed by exception.")
PARAM(previousStatus, ONE, previous_status, STATUS, 0, 0, FILTER, IN_SEARCH, "",
	"Postures that had this status before.")
PARAM(criticality, SET, criticality, CRITICALITY, 0, 0, FILTER, IN_SEARCH, "criticalityValues",
	"Postures of controls of these criticalities, by value or standard label.")
PARAM(evaluatedSince, DATE_FROM, evaluated_since, NONE, 0, 0, FILTER, IN_SEARCH | IN(POLICIES),
	"lastEvaluationDate", "Evaluated at this time or later.")
PARAM(scannedSince, DATE_FROM, scanned_since, NONE, 0, 0, FILTER, IN_SEARCH, "lastScanDate",
	"Scanned at this time or later; excludes scannedFrom and scannedTo.")
PARAM(scannedFrom, DATE_FROM, scanned_from, NONE, 0, 0, FILTER, IN_SEARCH, "lastScanDateFrom",
	"First moment of the last scan; needs scannedTo.")
PARAM(scannedTo, DATE_TO, scanned_to, NONE, 0, 0, FILTER, IN_SEARCH, "lastScanDateTo",
	"Last moment of the last scan, a date alone being its whole day; needs scannedFrom.")
PARAM(changedSince, DATE_FROM, changed_since, NONE, 0, 0, FILTER, IN_SEARCH,
	"statusChangedSince", "Changed at this time or later.")
PARAM(by, SET, by, BY, 0, 0, VIEW, IN(SUMMARY), "",
	"What to count by; without it status.")
PARAM(fields, FIELDS, fields, NONE, 0, 0, VIEW, IN(POSTURES) | IN(POSTURE), "",
	"Members of a posture to show; without it all of them.")
PARAM(limit, NUMBER, limit, NONE, 1, LIMIT_PAGE_RECORDS, VIEW,
	IN(POSTURES) | IN(POLICIES) | IN(HOSTS) | IN(FETCHES), "",
	"Most records in a page; a page may hold fewer.")
PARAM(cursor, TEXT, cursor, NONE, 0, 0, VIEW, IN(POSTURES) | IN(POLICIES) | IN(HOSTS), "",
	"Where a walk goes on: page.next of the page before; beside it only limit may stand.")
PARAM(format, CHOICE, format, FORMAT, 0, 0, VIEW, IN(POSTURES) | IN(MIGRATION), "",
	"The form of the answer: a page, or the whole result.")
PARAM(partial, BOOL, partial, BOOL, 0, 0, VIEW, IN(POSTURES), "",
	"Whether pages are given while the result is still being fetched.")

EXCLUDES(posture, BIT(policy) | BIT(host))
EXCLUDES(scannedSince, BIT(scannedFrom) | BIT(scannedTo))
EXCLUDES(cursor, ALL & ~(BIT(cursor) | BIT(limit)))
PAGES(BIT(limit) | BIT(cursor) | BIT(partial))
NEEDS(scannedFrom, scannedTo)
NEEDS(scannedTo, scannedFrom)
ONE_OF(IN_SEARCH, BIT(policy) | BIT(posture))

#undef SET
#undef WORD
#undef PARAM
#undef INNER
#undef EXCLUDES
#undef PAGES
#undef NEEDS
#undef ONE_OF
