#include "config.h"

#include <assert.h>
#include <string.h>

#include "gateway/fetch/members.h"
#include "gateway/legacy/change_record.h"

/* --- life */

void
change_record_init(struct change_record *r)
{
	r->slices.count = 0;
	buf_init(&r->scratch, NORMAL_SCRATCH_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(r->texts); i++)
		buf_init(&r->texts[i], NORMAL_SCRATCH_BYTES);
	r->texts_used = 0;
	r->err = STATUS_OK;
}

void
change_record_fini(struct change_record *r)
{
	buf_fini(&r->scratch);
	for (size_t i = 0; i < ARRAY_LEN(r->texts); i++)
		buf_fini(&r->texts[i]);
}

static void
empty(struct buf *b)
{
	if (b->cap > CHANGE_KEEP_BYTES)
		buf_fini(b);
	buf_reset(b);
}

enum status
change_record_load(struct change_record *r, const char *body, size_t body_len, const uint8_t *memo,
    size_t memo_len)
{
	empty(&r->scratch);
	for (size_t i = 0; i < ARRAY_LEN(r->texts); i++)
		empty(&r->texts[i]);
	r->texts_used = 0;
	r->err = STATUS_OK;
	return normal_explode(body, body_len, memo, memo_len, &r->scratch, &r->slices);
}

/* --- helpers */

static struct normal_slice *
find(struct change_record *r, uint8_t number)
{
	for (size_t i = 0; i < r->slices.count; i++)
		if (r->slices.list[i].number == number)
			return &r->slices.list[i];
	return NULL;
}

static void
set_value(struct normal_slice *s, const char *value, size_t len)
{
	s->value = value;
	s->value_len = (uint32_t)len;
	s->whole = false;
}

/* Where the next value may be made. It counts as used only once it is settled. */
static struct buf *
next_text(struct change_record *r)
{
	assert(r->texts_used < ARRAY_LEN(r->texts));
	struct buf *text = &r->texts[r->texts_used];
	empty(text);
	return text;
}

/* Gives the slice the text that was made last; false, and the failure is noted, if it failed. */
static bool
settle(struct change_record *r, struct normal_slice *s, const struct buf *text)
{
	if (text->err != STATUS_OK) {
		r->err = text->err;
		return false;
	}
	r->texts_used++;
	set_value(s, text->data, text->len);
	return true;
}

/* --- of the top level */

bool
change_record_drop(struct change_record *r, uint8_t number)
{
	struct normal_slice *s = find(r, number), *end = r->slices.list + r->slices.count;
	if (s == NULL)
		return false;
	struct normal_slice *kept = s;
	while (++s < end)
		if (s->number != number)
			*kept++ = *s;
	r->slices.count = (size_t)(kept - r->slices.list);
	return true;
}

bool
change_record_null(struct change_record *r, uint8_t number)
{
	struct normal_slice *s = find(r, number);
	if (s == NULL || (s->value_len == 4 && memcmp(s->value, "null", 4) == 0))
		return false;
	set_value(s, "null", 4);
	return true;
}

bool
change_record_move(struct change_record *r, uint8_t number, uint8_t behind)
{
	struct normal_slice *s = find(r, number), *to = find(r, behind);
	if (s == NULL || to == NULL || s <= to + 1)
		return false;
	struct normal_slice held = *s;
	memmove(to + 2, to + 1, (size_t)(s - (to + 1)) * sizeof *s);
	to[1] = held;
	return true;
}

bool
change_record_spell(struct change_record *r)
{
	bool effect = false;
	for (size_t i = 0; i < r->slices.count; i++) {
		struct normal_slice *s = &r->slices.list[i];
		if (!s->respelled)
			continue;
		s->name = normal_upstream_name(s->number);
		s->name_len = (uint32_t)strlen(s->name);
		s->respelled = s->whole = false;
		effect = true;
	}
	return effect;
}

/* --- inside */

static bool
is_one_of(const struct split_member *m, const struct change_member *members, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(m->name, m->name_len, members[i].inside, strlen(members[i].inside)))
			return true;
	return false;
}

bool
change_record_drop_inside(
    struct change_record *r, const struct change_member *members, size_t count)
{
	struct normal_slice *s = find(r, members->number);
	struct split_member m;
	struct member_walk w;
	enum walk walk;
	bool effect = false;

	if (s == NULL || s->value_len == 0 || *s->value != '{')
		return false;
	struct buf *text = next_text(r);
	members_begin(&w, s->value, s->value_len);
	while ((walk = members_next(&w, &m)) == WALK_MEMBER) {
		if (is_one_of(&m, members, count)) {
			effect = true;
			continue;
		}
		const char *from = m.name - 1;
		buf_byte(text, text->len == 0 ? '{' : ',');
		buf_add(text, from, (size_t)(m.value + m.value_len - from));
	}
	if (walk != WALK_END) {
		r->err = STATUS_CORRUPT;
		return false;
	}
	if (!effect)
		return false;
	buf_str_add(text, text->len == 0 ? "{}" : "}");
	return settle(r, s, text);
}

bool
change_record_turn_inside(
    struct change_record *r, uint8_t number, const char *inside, change_value_f *turn)
{
	struct normal_slice *s = find(r, number);
	struct split_member m;

	if (s == NULL || !members_find(s->value, s->value_len, inside, &m))
		return false;
	const char *end = s->value + s->value_len, *behind = m.value + m.value_len;
	struct buf *text = next_text(r);
	buf_add(text, s->value, (size_t)(m.value - s->value));
	if (!turn(m.value, m.value_len, text))
		return false;
	buf_add(text, behind, (size_t)(end - behind));
	return settle(r, s, text);
}
