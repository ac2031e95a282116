#include "config.h"

#include <assert.h>

#include "gateway/legacy/change.h"

static const struct change_list *const pairs[CHANGE_PAIRS] = {
    &changes_5_4, &changes_4_3, &changes_3_2, &changes_2_1};

size_t
change_count(void)
{
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		count += pairs[i]->count;
	return count;
}

const struct change *
change_get(size_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		if (number < pairs[i]->count)
			return &pairs[i]->changes[number];
		number -= pairs[i]->count;
	}
	return NULL;
}

/* How many of the list stand inside of the same member as its first. */
static size_t
run_of(const struct change_member *m)
{
	size_t n = 1;
	while (m[n].name != NULL && m[n].inside != NULL && m[n].number == m->number)
		n++;
	return n;
}

static bool
apply(const struct change *c, struct change_record *r)
{
	bool effect = false;
	for (const struct change_member *m = c->drops; m->name != NULL;) {
		size_t n = m->inside != NULL ? run_of(m) : 1;
		bool dropped = m->inside != NULL ? change_record_drop_inside(r, m, n)
						 : change_record_drop(r, m->number);
		effect = dropped || effect;
		m += n;
	}
	return (c->rewrite != NULL && c->rewrite(r)) || effect;
}

uint32_t
change_apply(struct change_record *r, size_t count)
{
	uint32_t effects = 0;
	size_t bit = 0;
	assert(count <= ARRAY_LEN(pairs));
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < pairs[i]->count; k++, bit++)
			if (apply(&pairs[i]->changes[k], r))
				effects |= UINT32_C(1) << bit;
	return effects;
}

uint32_t
change_semantic(void)
{
	uint32_t bits = 0;
	for (size_t i = 0; i < change_count(); i++)
		bits |= change_get(i)->semantic ? UINT32_C(1) << i : 0;
	return bits;
}
