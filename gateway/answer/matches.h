/* Which records of a result pass a filter: found once, by one walk over its rows, and kept for the pages
 * that follow. A result never changes, and so neither does this.
 *
 * Threads: any. Objects are counted; the store of them is under LOCK_MATCHES, held for moments.
 */
#ifndef ANSWER_MATCHES_H
#define ANSWER_MATCHES_H

#include "cache/cache.h"
#include "gateway/base/crypto.h"
#include "gateway/query/filter.h"

struct matches; /* of one result and one filter */
struct matches_store;

#define MATCHES_STORE_BYTES ((size_t)64 * 1024 * 1024) /* 125 KB for a million records */

/* NULL: no memory. */
struct matches_store *matches_store_new(size_t most_bytes) NODISCARD;
void matches_store_free(struct matches_store *s); /* NULL is fine */

/* Those of the result, found now or before. `name` names the filter: the same name, the same filter.
 * Yours until matches_release().
 *   STATUS_OK
 *   STATUS_UPSTREAM_BAD_DATA  the filter looks at a value of which nobody knows what the upstream
 *                             makes of it (filter_doubts())
 *   STATUS_CORRUPT, STATUS_BUSY, STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status matches_get(struct matches_store *s, struct cache *cache, struct cache_result *result,
    const struct filter *filter, const uint8_t name[SHA256_BYTES], struct matches **ret) NODISCARD;
struct matches *matches_ref(struct matches *m);
void matches_release(struct matches *m); /* NULL is fine */

uint64_t matches_total(const struct matches *m);
/* The first that matches from ordinal `from` on; false: there is none. */
bool matches_next(const struct matches *m, uint64_t from, uint64_t *ret);
/* How many match from there on without a gap, `most` at most. */
uint64_t matches_run(const struct matches *m, uint64_t from, uint64_t most);

#endif
