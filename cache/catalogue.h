/* What results there are, in memory: a sorted array of ids with what is known of each.
 *
 * A result goes one way only:
 *
 *     ENTERED its commit is under way: only who sees its records in the store may have it. If the commit
 *             fails it goes at once, and nobody has had it
 *     LIVE    it can be found
 *     DOOMED  it is not found again; its records are still in the store: the sweep removes them
 *     GONE    its records are removed; its data stays until the last holder lets go
 *
 * Threads: with LOCK_CACHE_RESULTS held. An entry's address is good until the next add or remove.
 */
#ifndef CACHE_CATALOGUE_H
#define CACHE_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"

struct cache_result;

enum result_state { RESULT_ENTERED, RESULT_LIVE, RESULT_DOOMED, RESULT_GONE };

struct catalogue_entry {
	uint64_t id;
	int64_t
	    used_ms; /* wall; when it was begun, if it was not used since the start; an open result
			    may know of a later use */
	struct cache_result *open; /* or NULL */
	enum result_state state;
};

struct catalogue {
	struct catalogue_entry *entries;
	size_t count, cap;
};

void catalogue_fini(struct catalogue *c);
/* NULL if there is none. */
struct catalogue_entry *catalogue_find(const struct catalogue *c, uint64_t id);
/* A new entry in that state. NULL when out of memory; the id must not be there. */
struct catalogue_entry *catalogue_add(
    struct catalogue *c, uint64_t id, int64_t used_ms, enum result_state state) NODISCARD;
void catalogue_remove(struct catalogue *c, struct catalogue_entry *e);

#endif
