/* What earlier fetches have brought, looked for by its query.
 *
 * Threads: any.
 */
#ifndef FETCH_STORED_H
#define FETCH_STORED_H

#include <stdint.h>

#include "cache/cache.h"
#include "gateway/query/query.h"

/* The current result of exactly this query, if it is fresh at now_ms (wall), complete or not; to be
 * released. NULL: there is none, or the store cannot tell. */
struct cache_result *stored_fresh(
    struct cache *cache, const struct query *q, int64_t now_ms) NODISCARD;

#endif
