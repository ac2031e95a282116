/* How broad to fetch: whether the upstream is asked for what a query wants, or for all of its scope, so
 * that the queries that follow are answered out of that (implies.h). Pure; docs/containment.md, "When to
 * fetch broad", has the rules for people.
 *
 * The broad query of a query has the same policies and whatever else only the same can imply, but no
 * filter, no list of hosts, and the detail that others ask for. The upstream counts calls, not bytes: a
 * filter makes none less (docs/decisions/0015).
 *
 * Threads: any.
 */
#ifndef QUERY_BREADTH_H
#define QUERY_BREADTH_H

#include "gateway/query/implies.h"

/* Details that queries of a scope have asked for: one bit each. */
enum breadth_detail {
	BREADTH_BASIC = 1, /* evidence; where extended is asked for, too, that is fetched */
	BREADTH_EXTENDED = 2,
	BREADTH_CLOUD = 4,
	BREADTH_QDS = 8,
};
unsigned breadth_details(const struct query *q);

/* The scope that the query belongs to: its broad query with no detail at all, and no view. Queries of one
 * scope have equal scopes. Its lists are borrowed. False: none, it can only be fetched as it is (another
 * kind, or by posture). */
bool breadth_scope(
    const struct query *q, const struct implies_rules *rules, struct query *ret_scope);
/* The broad query: of the scope of q, with the detail that q has and that in `details`. What q asks for is
 * implied by it. Borrowed likewise. */
bool breadth_broad(const struct query *q, const struct implies_rules *rules, unsigned details,
    struct query *ret_broad);

/* What is known when the upstream is to be asked. */
struct breadth_known {
	unsigned others;      /* other queries of the scope, lately */
	uint64_t alone_calls; /* that all of these and this one would need, each on its own */
	bool calls_known;     /* the next two are */
	uint64_t own_calls;   /* that this one needs */
	uint64_t broad_calls; /* that the broad one needs */
	bool sized;           /* there was a result of the broad one, so large: */
	uint64_t broad_bytes;
	uint64_t least_bytes; /* else it has at least these */
};

/* 0: no bound is passed. */
struct breadth_bounds {
	uint64_t bytes_most; /* of a broad result */
	uint64_t calls_more; /* that it may need beyond those of the query itself */
};

/* Not larger than this, and it is fetched at once: a second or two of a slow line. */
#define BREADTH_SMALL_BYTES ((uint64_t)32 * 1024 * 1024)

enum breadth {
	BREADTH_FIRST,   /* as it is: nobody asks for anything else of the scope */
	BREADTH_UNKNOWN, /* as it is: what the broad one would cost nobody knows */
	BREADTH_LARGE,   /* as it is: the broad one would be too large, or need too many calls */
	BREADTH_DEARER,  /* as it is: the broad one needs more than all that was asked */
	BREADTH_SMALL,   /* broad, and at once: it is known to be small and needs no more calls */
	BREADTH_WANTED,  /* broad: it costs no more than what is asked of the scope */
};
enum breadth breadth_choose(const struct breadth_known *k, const struct breadth_bounds *b);
/* The last two. */
bool breadth_is_broad(enum breadth b);
/* In the log and in metrics: "first", "unknown", …; never NULL. */
const char *breadth_name(enum breadth b);

#endif
