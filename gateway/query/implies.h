/* Containment: whether the answer to one query can be taken, exactly, out of the result of another, by
 * a rule for each part (implies_table.h). Pure.
 *
 * Threads: any.
 */
#ifndef QUERY_IMPLIES_H
#define QUERY_IMPLIES_H

#include "gateway/query/query.h"

struct implies_rules {
	bool
	    scanned_since; /* the reading holds that scannedSince looks at complianceLastScanDate */
	bool changed_since; /* likewise changedSince and postureModifiedDate */
	bool
	    any_evidence; /* what makes evidence extended is not shown: either serves for the other */
};

/* What is left to do to a result that has the answer. */
struct implies {
	struct query
	    rest;      /* for filter.h: its lists and its filter; borrowed from the wanted query */
	bool narrowed; /* there is such a rest */
	bool hide_evidence, hide_cloud, hide_qds; /* were not asked for: null */
};

/* Whether a result of `have` has the answer to `want`, as far as the queries tell. What was fetched is
 * the result's to tell: where it is of all hosts and some are named, ask implies_hosts(), too.
 *   NULL   it has: *ret is filled
 *   else the name of the first part that it may lack */
const char *implies(const struct query *have, const struct query *want,
    const struct implies_rules *rules, struct implies *ret);

/* Whether all hosts that `want` names are among those that were fetched (ascending); of a host that was
 * not there to be fetched the result tells nothing. */
bool implies_hosts(const uint64_t *fetched, size_t count, const struct query *want);

#endif
