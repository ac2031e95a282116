/* The janitor: one thread for upkeep that no request should pay for. Expiry, eviction, leftovers
 * of fetches; each round a bounded amount of work. Once a minute, sums of the old protocol's use that have
 * changed are written down (legacy/usage).
 *
 * Threads: startup only.
 */
#ifndef GATEWAY_JANITOR_H
#define GATEWAY_JANITOR_H

#include "cache/cache.h"
#include "gateway/legacy/usage.h"

struct janitor;
/* Both are borrowed. NULL: no memory or no thread. */
struct janitor *janitor_new(struct cache *cache, struct usage *usage) NODISCARD;
/* Ends the thread, then writes down what has changed since. NULL is fine. */
void janitor_free(struct janitor *j);

#endif
