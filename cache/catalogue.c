#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/catalogue.h"

void
catalogue_fini(struct catalogue *c)
{
	free(c->entries);
	*c = (struct catalogue){0};
}

/* The first entry whose id is not below `id`. New results have the greatest ids, so the end is
 * looked at first. */
static size_t
place_of(const struct catalogue *c, uint64_t id)
{
	size_t low = 0, high = c->count;
	if (high == 0 || c->entries[high - 1].id < id)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->entries[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct catalogue_entry *
catalogue_find(const struct catalogue *c, uint64_t id)
{
	size_t at = place_of(c, id);
	return at < c->count && c->entries[at].id == id ? &c->entries[at] : NULL;
}

struct catalogue_entry *
catalogue_add(struct catalogue *c, uint64_t id, int64_t used_ms, enum result_state state)
{
	if (c->count == c->cap) {
		size_t cap = c->cap == 0 ? 64 : c->cap * 2;
		struct catalogue_entry *more = reallocarray(c->entries, cap, sizeof *more);
		if (more == NULL)
			return NULL;
		c->entries = more;
		c->cap = cap;
	}
	size_t at = place_of(c, id);
	struct catalogue_entry *e = &c->entries[at];
	assert(at == c->count || e->id != id);
	memmove(e + 1, e, (c->count - at) * sizeof *e);
	c->count++;
	*e = (struct catalogue_entry){.id = id, .used_ms = used_ms, .state = state};
	return e;
}

void
catalogue_remove(struct catalogue *c, struct catalogue_entry *e)
{
	size_t behind = (size_t)(c->entries + c->count - e) - 1;
	memmove(e, e + 1, behind * sizeof *e);
	c->count--;
}
