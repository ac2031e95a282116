/* The janitor: one thread for upkeep that no request should pay for. Expiry, eviction, leftovers
 * of fetches; each round a bounded amount of work.
 *
 * Threads: startup only.
 */
#ifndef GATEWAY_JANITOR_H
#define GATEWAY_JANITOR_H

#include "cache/cache.h"

struct janitor;
struct janitor *janitor_new(struct cache *cache) NODISCARD; /* NULL: no memory or no thread */
void janitor_free(struct janitor *j);                       /* ends the thread; NULL is fine */

#endif
