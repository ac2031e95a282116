/* What is asked for: the queries of each scope (query/breadth.h) lately, how often each stored result is
 * used, and how many hosts policies have. From it follows what is fetched broad, and what is fetched
 * anew before it goes stale. Tables of a fixed size, of which the least lately used is forgotten; a
 * restart forgets all of it.
 *
 * Nothing here knows queries: scopes and queries are digests, of which the first half is kept.
 *
 * Threads: any. Everything is under LOCK_DEMAND, held for moments, but for the uses of a result that is
 * known: a hit takes no lock.
 */
#ifndef FETCH_DEMAND_H
#define FETCH_DEMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/crypto.h"

struct demand;

struct demand *demand_new(void) NODISCARD; /* NULL when out of memory */
void demand_free(struct demand *d);        /* NULL is fine */

/* --- scopes. Times are monotonic milliseconds. */

#define DEMAND_QUERIES_MOST 16 /* of a scope; of more the newest */

struct demand_query {
	const uint8_t *scope, *query; /* digests */
	unsigned details;             /* bits that its caller gives a meaning */
	uint64_t calls;               /* that it needs on its own; 0: not known */
	int64_t window_ms;            /* what was asked for longer ago than this is over */
};
struct demand_scope {
	unsigned others;  /* other queries than this one */
	uint64_t calls;   /* of these and of this one */
	unsigned details; /* of these and of this one */
	uint64_t bytes;   /* of the largest of their results */
};
/* Remembers the query, and tells what is asked for beside it. */
void demand_asked(
    struct demand *d, const struct demand_query *q, int64_t now_ms, struct demand_scope *ret);
/* The same without remembering it. */
void demand_look(
    struct demand *d, const struct demand_query *q, int64_t now_ms, struct demand_scope *ret);
/* A result of one of its queries has so many bytes. Nothing if the scope is not known. */
void demand_sized(struct demand *d, const uint8_t scope[SHA256_BYTES], uint64_t bytes);

/* --- policies */

/* d may be NULL: nothing is remembered. */
void demand_resolved(struct demand *d, uint64_t policy, uint64_t hosts);
/* How many calls for postures all hosts of the policies need. hosts_most: no more hosts are asked for of
 * any of them (0: all). False: of some of them nothing is known; or they are more than a thousand, of
 * which nobody looks. */
bool demand_calls(struct demand *d, const uint64_t *policies, size_t count, uint64_t hosts_per_call,
    uint64_t hosts_most, uint64_t *ret_calls);

/* --- results. Times are wall milliseconds, as results have them. */

struct demand_result {
	const uint8_t *digest; /* of its query */
	uint64_t id;
	int64_t fetched_at_ms, fresh_until_ms;
};
/* An answer was made of it. Uses count half when as much time has passed as the result is fresh, and go
 * over to the result that takes its place. Those of a result that is known count as of the moment at
 * which demand_due() looks next. */
void demand_used(struct demand *d, const struct demand_result *r, int64_t now_wall_ms);

/* When a result of this life is due to be fetched anew: 10 to 25 % of its freshness before the end, at a
 * moment of its own, so that what came together does not come together again. */
int64_t demand_due_ms(const struct demand_result *r);

struct demand_popular {
	uint64_t id;
	uint64_t uses;
	int64_t fresh_until_ms;
};
/* Results that are due, still fresh, and used at least `uses` times by now: the most used first. One that
 * nobody has used since it was made is not known here. Gives how many. */
size_t demand_due(
    struct demand *d, uint64_t uses, int64_t now_wall_ms, struct demand_popular *ret, size_t most);

#endif
