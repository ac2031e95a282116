#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/digits.h"
#include "gateway/base/limits.h"
#include "gateway/query/param.h"

/* --- the table */

#define IN(use) (1u << QUERY_##use)
#define IN_SEARCH (IN(POSTURES) | IN(SUMMARY))

static const struct param params[PARAM_COUNT] = {
#define PARAM(name, kind, member, words, least, most, part, uses, upstream, help)                  \
	{#name, PARAM_##kind, PARAM_SET_##words, least, most, PARAM_##part, uses, upstream, help},
#include "gateway/query/query_table.h"
};

static const struct {
	enum param_set set;
	unsigned value;
	const char *word;
} words[] = {
#define WORD(set, word, value) {PARAM_SET_##set, value, word},
#include "gateway/query/query_table.h"
};

const struct param *
param_at(size_t id)
{
	assert(id < PARAM_COUNT);
	return &params[id];
}

bool
param_is_list(const struct param *p)
{
	return p->kind == PARAM_IDS || p->kind == PARAM_RANGES || p->kind == PARAM_SET ||
	       p->kind == PARAM_FIELDS;
}

/* ASCII alone, whatever the locale. */
static bool
same_in_any_case(const char *word, const char *text, size_t len)
{
	if (strlen(word) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char a = word[i], b = text[i];
		if (a >= 'A' && a <= 'Z')
			a = (char)(a - 'A' + 'a');
		if (b >= 'A' && b <= 'Z')
			b = (char)(b - 'A' + 'a');
		if (a != b)
			return false;
	}
	return true;
}

size_t
param_find(const char *name, size_t len)
{
	size_t id = 0;
	while (id < PARAM_COUNT &&
	       (strlen(params[id].name) != len || memcmp(params[id].name, name, len) != 0))
		id++;
	return id;
}

size_t
param_guess(const char *name, size_t len)
{
	size_t id = 0;
	while (id < PARAM_COUNT && !same_in_any_case(params[id].name, name, len) &&
	       (len == 0 || !same_in_any_case(params[id].upstream, name, len)))
		id++;
	return id;
}

const char *
param_word(const struct param *p, uint64_t value)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].set == p->words && words[i].value == value)
			return words[i].word;
	return NULL;
}

static const char *
wanted_word(struct arena *a, const struct param *p)
{
	const char *list = "one of ", *comma = "";
	for (size_t i = 0; i < ARRAY_LEN(words) && list != NULL; i++) {
		if (words[i].set != p->words)
			continue;
		list = arena_printf(a, "%s%s%s", list, comma, words[i].word);
		comma = ", ";
	}
	return list;
}

const char *
param_wanted(struct arena *a, size_t id)
{
	const struct param *p = param_at(id);
	switch (p->kind) {
	case PARAM_IDS:
	case PARAM_ID:
		return "an ID: a whole number from 1 to 9223372036854775807";
	case PARAM_RANGES:
		return "an ID, a whole number from 1 to 9223372036854775807, or a range of them "
		       "such as 10-20";
	case PARAM_SET:
	case PARAM_ONE:
	case PARAM_CHOICE:
	case PARAM_BOOL:
		return wanted_word(a, p);
	case PARAM_FIELDS:
		return "the name of a member of a posture";
	case PARAM_NUMBER:
		return arena_printf(a, "a whole number from %llu to %llu",
		    (unsigned long long)p->least, (unsigned long long)p->most);
	case PARAM_DATE_FROM:
	case PARAM_DATE_TO:
		return "a date such as 2026-11-22 or a time in UTC such as 2026-11-22T10:00:00Z, "
		       "of the years 1970 to 2105";
	case PARAM_TEXT:
		break;
	}
	return "a text that is not empty";
}

/* --- query and values */

#define LOAD_IDS(value, from) (value).ids = (from)
#define LOAD_RANGES(value, from) (value).ranges = (from)
#define LOAD_SET(value, from) (value).number = (from)
#define LOAD_FIELDS(value, from) (value).number = (from)
#define LOAD_ONE(value, from) (value).number = (from)
#define LOAD_CHOICE(value, from) (value).number = (from)
#define LOAD_BOOL(value, from) (value).number = (from)
#define LOAD_ID(value, from) (value).number = (from)
#define LOAD_NUMBER(value, from) (value).number = (from)
#define LOAD_DATE_FROM(value, from) (value).date = (from)
#define LOAD_DATE_TO(value, from) (value).date = (from)
#define LOAD_TEXT(value, from) (value).text = (from)

void
param_load(const struct query *q, struct param_value ret_values[PARAM_COUNT])
{
	memset(ret_values, 0, PARAM_COUNT * sizeof *ret_values);
#define PARAM(name, kind, member, ...) LOAD_##kind(ret_values[PARAM_##name], q->member);
#include "gateway/query/query_table.h"
}

#define STORE_IDS(value, to) (to) = (value).ids
#define STORE_RANGES(value, to) (to) = (value).ranges
#define STORE_SET(value, to) (to) = (unsigned)(value).number
#define STORE_FIELDS(value, to) (to) = (value).number
#define STORE_ONE(value, to) (to) = (unsigned)(value).number
#define STORE_CHOICE(value, to) (to) = (unsigned)(value).number
#define STORE_BOOL(value, to) (to) = (value).number != 0
#define STORE_ID(value, to) (to) = (value).number
#define STORE_NUMBER(value, to) (to) = (unsigned)(value).number
#define STORE_DATE_FROM(value, to) (to) = (value).date
#define STORE_DATE_TO(value, to) (to) = (value).date
#define STORE_TEXT(value, to) (to) = (value).text

void
param_store(const struct param_value values[PARAM_COUNT], struct query *ret_query)
{
	memset(ret_query, 0, sizeof *ret_query);
#define PARAM(name, kind, member, ...) STORE_##kind(values[PARAM_##name], ret_query->member);
#include "gateway/query/query_table.h"
}

/* --- reading */

void
param_reader_init(struct param_reader *r, struct arena *a, query_field_f *field)
{
	memset(r, 0, sizeof *r);
	r->arena = a;
	r->field = field;
	r->ids_left = LIMIT_QUERY_IDS;
	for (size_t id = 0; id < PARAM_COUNT; id++)
		r->values[id].date = DATE_NONE;
	r->values[PARAM_limit].number = QUERY_LIMIT_DEFAULT;
}

static bool
read_range(const char *text, size_t len, struct id_range *ret)
{
	const char *dash = memchr(text, '-', len);
	size_t first_len = dash != NULL ? (size_t)(dash - text) : len;
	struct id_range range;
	if (!digits_read(text, first_len, 1, QUERY_ID_MAX, &range.first))
		return false;
	range.last = range.first;
	if (dash != NULL &&
	    (!digits_read(dash + 1, len - first_len - 1, 1, QUERY_ID_MAX, &range.last) ||
		range.last < range.first))
		return false;
	*ret = range;
	return true;
}

static bool
read_word(const struct param *p, const char *text, size_t len, uint64_t *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (words[i].set == p->words && same_in_any_case(words[i].word, text, len)) {
			*ret = words[i].value;
			return true;
		}
	}
	return false;
}

static bool
read_date(const char *text, size_t len, bool to_end_of_day, int64_t *ret)
{
	int64_t at;
	bool date_only;
	if (!clock_parse(text, len, &at, &date_only))
		return false;
	if (date_only && to_end_of_day)
		at += 24 * 60 * 60 - 1;
	if (at > QUERY_DATE_MAX)
		return false;
	*ret = at;
	return true;
}

static bool
items_add(struct arena *a, struct param_items *items, struct id_range range)
{
	if (items->count == items->cap) {
		size_t cap = items->cap == 0 ? 16 : items->cap * 2;
		struct id_range *at = arena_array(a, cap, sizeof *at);
		if (at == NULL)
			return false;
		if (items->count > 0)
			memcpy(at, items->at, items->count * sizeof *at);
		items->at = at;
		items->cap = cap;
	}
	items->at[items->count++] = range;
	return true;
}

/* A sentence, or "" if there is no memory for it. */
static const char *
or_nothing(const char *sentence)
{
	return sentence != NULL ? sentence : "";
}

static const char *
take_ids(struct param_reader *r, size_t id, struct id_range range)
{
	uint64_t width = range.last - range.first + 1;
	if (width > r->ids_left)
		return or_nothing(arena_printf(r->arena,
		    "A query takes at most %u IDs in all, a range counting its width",
		    (unsigned)LIMIT_QUERY_IDS));
	if (!items_add(r->arena, &r->items[id], range))
		return "";
	r->ids_left -= width;
	return NULL;
}

static bool
read_field(const struct param_reader *r, const char *text, size_t len, uint64_t *bits)
{
	int number = len > 0 && r->field != NULL ? r->field(text, len) : -1;
	if (number < 0)
		return false;
	assert(number < 64);
	*bits |= UINT64_C(1) << number;
	return true;
}

const char *
param_take_item(struct param_reader *r, size_t id, size_t nth, const char *text, size_t len)
{
	const struct param *p = param_at(id);
	struct param_value *value = &r->values[id];
	struct id_range range;
	uint64_t bit;
	bool good = false;

	switch (p->kind) {
	case PARAM_IDS:
		good = digits_read(text, len, 1, QUERY_ID_MAX, &range.first);
		if (good) {
			range.last = range.first;
			return take_ids(r, id, range);
		}
		break;
	case PARAM_RANGES:
		if (read_range(text, len, &range))
			return take_ids(r, id, range);
		break;
	case PARAM_SET:
		good = read_word(p, text, len, &bit);
		if (good)
			value->number |= bit;
		break;
	case PARAM_FIELDS:
		good = read_field(r, text, len, &value->number);
		break;
	default:
		abort(); /* a list */
	}
	if (good)
		return NULL;
	const char *wanted = or_nothing(param_wanted(r->arena, id));
	return or_nothing(arena_printf(r->arena, "Item %zu must be %s", nth, wanted));
}

static const char *
take_list(struct param_reader *r, size_t id, const char *text, size_t len)
{
	const char *end = text + len;
	for (size_t nth = 1;; nth++) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *stop = comma != NULL ? comma : end;
		const char *problem = param_take_item(r, id, nth, text, (size_t)(stop - text));
		if (problem != NULL || comma == NULL)
			return problem;
		text = comma + 1;
	}
}

static bool
take_single(struct param_reader *r, size_t id, const char *text, size_t len)
{
	const struct param *p = param_at(id);
	struct param_value *value = &r->values[id];

	switch (p->kind) {
	case PARAM_ONE:
	case PARAM_CHOICE:
	case PARAM_BOOL:
		return read_word(p, text, len, &value->number);
	case PARAM_ID:
	case PARAM_NUMBER:
		return digits_read(text, len, p->least, p->most, &value->number);
	case PARAM_DATE_FROM:
	case PARAM_DATE_TO:
		return read_date(text, len, p->kind == PARAM_DATE_TO, &value->date);
	case PARAM_TEXT:
		value->text = arena_dup(r->arena, text, len);
		return len > 0;
	default:
		abort(); /* a single value */
	}
}

const char *
param_take(struct param_reader *r, size_t id, const char *text, size_t len)
{
	if (param_is_list(param_at(id)))
		return take_list(r, id, text, len);
	if (take_single(r, id, text, len))
		return NULL;
	const char *wanted = or_nothing(param_wanted(r->arena, id));
	return or_nothing(arena_printf(r->arena, "The value must be %s", wanted));
}

/* --- lists */

static int
by_first(const void *a, const void *b)
{
	const struct id_range *x = a, *y = b;
	return x->first < y->first ? -1 : x->first > y->first;
}

static void
sort_items(struct param_items *items)
{
	/* clients mostly send them in order */
	for (size_t i = 1; i < items->count; i++) {
		if (items->at[i - 1].first > items->at[i].first) {
			qsort(items->at, items->count, sizeof *items->at, by_first);
			return;
		}
	}
}

/* Sorted items to ranges that neither overlap nor touch, in place. */
static struct id_ranges
merged(struct param_items *items)
{
	size_t count = 0;
	uint64_t width = 0;
	for (size_t i = 0; i < items->count; i++) {
		struct id_range next = items->at[i];
		if (count > 0 && next.first <= items->at[count - 1].last + 1) {
			if (next.last > items->at[count - 1].last)
				items->at[count - 1].last = next.last;
		} else {
			items->at[count++] = next;
		}
	}
	for (size_t i = 0; i < count; i++)
		width += items->at[i].last - items->at[i].first + 1;
	return (struct id_ranges){.ranges = items->at, .count = count, .width = width};
}

static bool
distinct(struct arena *a, const struct param_items *items, struct id_list *ret)
{
	uint64_t *ids = arena_array(a, items->count, sizeof *ids);
	size_t count = 0;
	if (ids == NULL)
		return false;
	for (size_t i = 0; i < items->count; i++)
		if (count == 0 || ids[count - 1] != items->at[i].first)
			ids[count++] = items->at[i].first;
	*ret = (struct id_list){.ids = ids, .count = count};
	return true;
}

bool
param_finish(struct param_reader *r)
{
	for (size_t id = 0; id < PARAM_COUNT; id++) {
		struct param_items *items = &r->items[id];
		if (items->count == 0)
			continue;
		sort_items(items);
		if (params[id].kind == PARAM_RANGES)
			r->values[id].ranges = merged(items);
		else if (!distinct(r->arena, items, &r->values[id].ids))
			return false;
	}
	return !arena_failed(r->arena);
}
