/* clang-format off */
/* What of a query may be answered out of the result of a broader one: every part of scope and filter,
 * once, with its class and why (docs/containment.md has the same table for people).
 *
 *     IMPLIES(name, class, why)
 *         name   of a parameter (query_table.h)
 *         class  LIST     fewer of a list: rows of others are left out
 *                DETAIL   less of a record: what is too much is left out as the upstream leaves it out
 *                EXACT    the same, or nothing is known
 *                WORDS    a subset of the words, or any of them where the result has no such filter
 *                SINCE    the same moment or a later one
 *                UNTIL    the same moment or an earlier one
 *                READING  as SINCE where the settings say that our reading of the upstream holds; no
 *                         document says it
 */
IMPLIES(policy, LIST, "each record names its policy")
IMPLIES(host, LIST, "each record names its host; of a result of all hosts those that were fetched")
IMPLIES(posture, LIST, "each record names its ID")
IMPLIES(subscription, EXACT, "no record names it")
IMPLIES(assets, EXACT, "no record tells an SCA asset from another")
IMPLIES(evidence, DETAIL, "without it the member is null; basic and extended differ in more than one member")
IMPLIES(cloud, DETAIL, "without it there is no such member")
IMPLIES(qds, DETAIL, "without it there is no such member")
IMPLIES(inactive, EXACT, "no record tells an inactive control")
IMPLIES(deployment, EXACT, "of the resolution of hosts alone")
IMPLIES(state, EXACT, "of the resolution of hosts alone")
IMPLIES(tags, EXACT, "of the policy list alone")
IMPLIES(status, WORDS, "the member of that name")
IMPLIES(previousStatus, WORDS, "the member of that name")
IMPLIES(criticality, WORDS, "criticality.value")
IMPLIES(evaluatedSince, SINCE, "lastEvaluatedDate, equal to or later than it (documented)")
IMPLIES(scannedSince, READING, "complianceLastScanDate; the documents say \"on the date\", clients take it for since")
IMPLIES(scannedFrom, SINCE, "complianceLastScanDate, both dates included (documented)")
IMPLIES(scannedTo, UNTIL, "likewise")
IMPLIES(changedSince, READING, "postureModifiedDate; no document says which member it looks at")
