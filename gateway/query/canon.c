/* Canonical text: the kind with its version ("q1", "p1", "h1") and then ";name=value" for every
 * parameter of scope and filter that the kind has and that is not at its default, in the order of
 * query_table.h.
 *
 * It cannot be read in two ways: kinds begin differently, names are the table's, no value has a ';' or '=' in it (numbers,
 * words, ',' and '-'), and whatever equals a default is left out. Reading is writing backwards:
 * query_from_canon() takes a text only if writing what it read gives the same bytes, so that
 * nothing has to be checked for order, spelling, repetition or leading zeros one by one. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/digits.h"
#include "gateway/base/limits.h"
#include "gateway/query/param.h"
#include "gateway/query/query.h"

#define BIT(name) (UINT32_C(1) << PARAM_##name)
#define HOSTS_ALONE (BIT(deployment) | BIT(state))
#define POLICIES_ALONE BIT(tags)

/* The number counts up when a name, word, default or the order of query_table.h changes: texts on
 * disk of another version are not understood, and what they lead to is fetched anew. */
static const struct {
	const char *version;
	enum query_use use; /* whose rules between parameters hold */
	uint32_t has;       /* what it has of scope and filter */
} kinds[] = {
    [KIND_POSTURES] = {"q1", QUERY_POSTURES, ~(HOSTS_ALONE | POLICIES_ALONE)},
    [KIND_POLICIES] = {"p1", QUERY_POLICIES, BIT(evaluatedSince) | POLICIES_ALONE},
    [KIND_HOSTS] = {"h1", QUERY_HOSTS,
	BIT(policy) | BIT(assets) | BIT(scannedSince) | BIT(changedSince) | HOSTS_ALONE},
};

/* --- writing */

static void
write_ids(struct buf *text, const struct id_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			buf_byte(text, ',');
		buf_u64(text, list->ids[i]);
	}
}

static void
write_ranges(struct buf *text, const struct id_ranges *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			buf_byte(text, ',');
		buf_u64(text, list->ranges[i].first);
		if (list->ranges[i].last != list->ranges[i].first) {
			buf_byte(text, '-');
			buf_u64(text, list->ranges[i].last);
		}
	}
}

static void
write_set(struct buf *text, const struct param *p, uint64_t bits)
{
	const char *comma = "";
	for (; bits != 0; bits &= bits - 1) {
		const char *word = param_word(p, bits & (0 - bits));
		assert(word != NULL);
		buf_str_add(text, comma);
		buf_str_add(text, word);
		comma = ",";
	}
}

static void
write_choice(struct buf *text, const struct param *p, uint64_t value)
{
	const char *word = param_word(p, value);
	assert(word != NULL);
	buf_str_add(text, word);
}

static bool
is_default(const struct param *p, const struct param_value *value)
{
	switch (p->kind) {
	case PARAM_IDS:
		return value->ids.count == 0;
	case PARAM_RANGES:
		return value->ranges.count == 0;
	case PARAM_DATE_FROM:
	case PARAM_DATE_TO:
		return value->date == DATE_NONE;
	default:
		return value->number == 0;
	}
}

static void
write_value(struct buf *text, const struct param *p, const struct param_value *value)
{
	switch (p->kind) {
	case PARAM_IDS:
		write_ids(text, &value->ids);
		break;
	case PARAM_RANGES:
		write_ranges(text, &value->ranges);
		break;
	case PARAM_SET:
	case PARAM_ONE:
		write_set(text, p, value->number);
		break;
	case PARAM_CHOICE:
	case PARAM_BOOL:
		write_choice(text, p, value->number);
		break;
	case PARAM_ID:
		buf_u64(text, value->number);
		break;
	case PARAM_DATE_FROM:
	case PARAM_DATE_TO:
		buf_i64(text, value->date);
		break;
	case PARAM_FIELDS:
	case PARAM_NUMBER:
	case PARAM_TEXT:
		abort(); /* no kind of the scope or the filter */
	}
}

void
query_canon(const struct query *q, struct buf *text)
{
	struct param_value values[PARAM_COUNT];
	param_load(q, values);
	buf_str_add(text, kinds[q->kind].version);
	for (size_t id = 0; id < PARAM_COUNT; id++) {
		const struct param *p = param_at(id);
		bool has = p->part != PARAM_VIEW && (kinds[q->kind].has >> id & 1) != 0;
		if (!has || is_default(p, &values[id]))
			continue;
		buf_byte(text, ';');
		buf_str_add(text, p->name);
		buf_byte(text, '=');
		write_value(text, p, &values[id]);
	}
}

/* --- reading */

static bool
take_value(struct param_reader *r, size_t id, const char *text, size_t len)
{
	enum param_kind kind = param_at(id)->kind;
	uint64_t seconds;
	if (kind != PARAM_DATE_FROM && kind != PARAM_DATE_TO)
		return param_take(r, id, text, len) == NULL;
	if (!digits_read(text, len, 0, QUERY_DATE_MAX, &seconds))
		return false;
	r->values[id].date = (int64_t)seconds;
	return true;
}

static bool
take_pair(struct param_reader *r, uint32_t *given, const char *pair, size_t len)
{
	const char *equals = memchr(pair, '=', len);
	size_t id = equals != NULL ? param_find(pair, (size_t)(equals - pair)) : PARAM_COUNT;
	if (id == PARAM_COUNT)
		return false;
	*given |= UINT32_C(1) << id;
	equals++;
	return take_value(r, id, equals, (size_t)(pair + len - equals));
}

/* The kind that the text begins with, and what stands behind that; false if it is none. */
static bool
take_kind(const char *text, size_t len, enum query_kind *ret_kind, const char **ret_rest)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].version);
		if (len < n || memcmp(text, kinds[i].version, n) != 0)
			continue;
		*ret_kind = (enum query_kind)i;
		*ret_rest = text + n;
		return true;
	}
	return false;
}

static bool
take_pairs(struct param_reader *r, uint32_t *given, const char *at, const char *end)
{
	while (at < end) {
		if (*at++ != ';')
			return false;
		const char *stop = memchr(at, ';', (size_t)(end - at));
		if (stop == NULL)
			stop = end;
		if (!take_pair(r, given, at, (size_t)(stop - at)))
			return false;
		at = stop;
	}
	return true;
}

static enum status
check_same(const struct query *q, const char *text, size_t len)
{
	struct buf again;
	buf_init(&again, LIMIT_CANON_BYTES);
	query_canon(q, &again);
	enum status st = again.err == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_CORRUPT;
	if (again.err == STATUS_OK && again.len == len && memcmp(again.data, text, len) == 0)
		st = STATUS_OK;
	buf_fini(&again);
	return st;
}

enum status
query_from_canon(struct arena *a, const char *text, size_t len, struct query *ret_query)
{
	struct param_reader reader;
	struct query_errors errors = {.count = 0};
	struct query q;
	enum query_kind kind;
	const char *pairs;
	uint32_t given = 0;

	if (len > LIMIT_CANON_BYTES || !take_kind(text, len, &kind, &pairs))
		return STATUS_CORRUPT;
	param_reader_init(&reader, a, NULL);
	/* the drop-in surface takes as many hosts as a query may have IDs, and a policy beside them */
	reader.ids_left = 2 * LIMIT_QUERY_IDS;
	bool taken = take_pairs(&reader, &given, pairs, text + len);
	if (taken)
		param_check_rules(a, kinds[kind].use, given, &errors);
	if (arena_failed(a) || !param_finish(&reader))
		return STATUS_NO_MEMORY;
	if (!taken || errors.count > 0)
		return STATUS_CORRUPT;
	param_store(reader.values, &q);
	q.kind = kind;
	if (q.scanned_from > q.scanned_to || (kind == KIND_HOSTS && q.policies.count == 0))
		return STATUS_CORRUPT;
	enum status st = check_same(&q, text, len);
	if (st == STATUS_OK)
		*ret_query = q;
	return st;
}

enum status
query_canon_policies(struct arena *a, const char *text, size_t len, struct id_list *ret_policies)
{
	static const char name[] = ";policy=";
	enum query_kind kind;
	const char *pairs, *end = text + len;
	*ret_policies = (struct id_list){0};
	if (!take_kind(text, len, &kind, &pairs) || (size_t)(end - pairs) < strlen(name) ||
	    memcmp(pairs, name, strlen(name)) != 0)
		return STATUS_OK;
	/* cut behind its first parameter, it is the canonical text of a shorter query */
	const char *stop = memchr(pairs + 1, ';', (size_t)(end - pairs - 1));
	struct query q;
	enum status st =
	    query_from_canon(a, text, (size_t)((stop != NULL ? stop : end) - text), &q);
	if (st == STATUS_OK)
		*ret_policies = q.policies;
	return st;
}

void
query_digest(const char *text, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
	crypto_sha256(text, len, ret_digest);
}

enum status
query_name(const struct query *q, struct buf *text, uint8_t ret_digest[SHA256_BYTES])
{
	query_canon(q, text);
	if (text->err == STATUS_OK)
		query_digest(text->data, text->len, ret_digest);
	return text->err;
}
