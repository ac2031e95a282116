/* The janitor: one thread for upkeep that no request should pay for. Expiry, eviction, leftovers
 * of fetches, ready-made gzip that pages have missed; each round a bounded amount of work. Beside it the
 * chores that it is given, each in its turn.
 *
 * Threads: startup only.
 */
#ifndef GATEWAY_JANITOR_H
#define GATEWAY_JANITOR_H

#include "cache/cache.h"

struct janitor_chore {
	void (*run)(void *ctx); /* bounded, and without waiting for anybody */
	void *ctx;
	int64_t every_ms; /* about; not more often than the rounds, of 5 s */
	bool at_the_end;  /* once more when all else is over */
};
#define JANITOR_CHORES_MOST 4

struct janitor;
/* The cache is borrowed, the chores are copied. NULL: no memory or no thread. */
struct janitor *janitor_new(
    struct cache *cache, const struct janitor_chore *chores, size_t count) NODISCARD;
/* Ends the thread, then does what is for the end. NULL is fine. */
void janitor_free(struct janitor *j);

#endif
