/* The row predicate: which rows a consumer's query shows. Compiled once a request from what the
 * result does not already guarantee (the residual filter) and from the consumer's grant.
 *
 * Threads: any; pure.
 */
#ifndef QUERY_FILTER_H
#define QUERY_FILTER_H

#include <stdbool.h>

#include "cache/cache.h"
#include "gateway/query/query.h"

struct filter {
	const struct query *query;   /* what is left to evaluate: its filter part, and of its scope
					the   lists of policies, hosts and postures where they are not
					empty; NULL: nothing */
	const struct id_list *grant; /* policies that the consumer may see; NULL: all of them, an
					empty list: none */
	bool
	    exceptions_apart; /* what passed by exception has not passed (a setting: no document says) */
};

/* True if no row can fail: pages are then cut without looking at rows. */
bool filter_passes_all(const struct filter *f);
/* A row whose status, criticality or date is missing, unreadable or unknown fails every filter on
 * it. */
bool filter_match(const struct filter *f, const struct row *row);
/* Whether the row has such a value where the filter looks: nobody knows what the upstream makes of
 * it. */
bool filter_doubts(const struct filter *f, const struct row *row);

#endif
