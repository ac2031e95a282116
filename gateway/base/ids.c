#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/ids.h"

static int
compare(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

size_t
ids_sort(uint64_t *ids, size_t count)
{
	if (count == 0)
		return 0;
	qsort(ids, count, sizeof *ids, compare);
	size_t kept = 1;
	for (size_t i = 1; i < count; i++)
		if (ids[i] != ids[kept - 1])
			ids[kept++] = ids[i];
	return kept;
}

size_t
ids_find(const uint64_t *ids, size_t count, uint64_t id)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && ids[low] == id ? low : count;
}

bool
ids_have_all(const uint64_t *ids, size_t count, const uint64_t *wanted, size_t wanted_count)
{
	for (size_t i = 0; i < wanted_count; i++)
		if (ids_find(ids, count, wanted[i]) == count)
			return false;
	return true;
}

enum status
id_set_add(struct id_set *s, uint64_t id)
{
	if (s->count > 0 && s->ids[s->count - 1] == id)
		return STATUS_OK;
	if (s->count == s->cap) {
		/* duplicates go first: the set grows with what is in it, not with what is added */
		id_set_settle(s);
		if (s->count >= s->cap / 2) {
			size_t cap = s->cap == 0 ? 64 : s->cap * 2;
			uint64_t *ids = realloc(s->ids, cap * sizeof *ids);
			if (ids == NULL)
				return STATUS_NO_MEMORY;
			s->ids = ids;
			s->cap = cap;
		}
	}
	s->ids[s->count++] = id;
	return STATUS_OK;
}

void
id_set_settle(struct id_set *s)
{
	s->count = ids_sort(s->ids, s->count);
}

void
id_set_fini(struct id_set *s)
{
	free(s->ids);
	*s = (struct id_set){0};
}
