/* Memory of one request: bump allocation, freed at once.
 *
 * Everything handed out lives until arena_reset() or arena_fini(). After the first failure (cap
 * reached, out of memory) every further call gives NULL and arena_failed() says so. Nothing is
 * ever freed singly: not for bodies or anything that grows without a bound.
 *
 * Threads: owner only.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/base/attr.h"

struct arena_block;
struct arena {
	struct arena_block *blocks;
	size_t used, max;
	bool failed;
};

void arena_init(struct arena *a, size_t max);
void arena_fini(struct arena *a);
void arena_reset(struct arena *a); /* keeps one block for the next request */

/* Zeroed, aligned for anything. NULL on failure. */
void *arena_alloc(struct arena *a, size_t size);
/* count * size, checked for overflow. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A copy with a NUL behind it. */
char *arena_dup(struct arena *a, const void *bytes, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool arena_failed(const struct arena *a);

#endif
