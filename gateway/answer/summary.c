#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/answer/page.h"
#include "gateway/answer/summary.h"
#include "gateway/base/crypto.h"
#include "gateway/base/limits.h"

/* What a row is counted under. The first word has status and criticality, the others are IDs; what
 * is not counted by is 0 in all of them. */
enum word { WORD_SMALL, WORD_POLICY, WORD_CONTROL, WORD_HOST, WORD_TECHNOLOGY, WORDS };

/* The first word: two bits of status, three of criticality. Null is the greatest of each. */
enum {
	STATUS_SHIFT = 3,
	STATUS_NULL = 3,
	CRITICALITY_NULL = 6,
	CRITICALITY_MASK = 7,
	SMALL_COUNT = 32,
};

struct group {
	uint64_t key[WORDS];
	uint64_t count;
};

/* What may be counted by, in the order of enum query_by, which is that of the answer. */
static const struct member {
	enum query_by by;
	enum word word;
	uint64_t mask; /* of the word */
	const char *name;
} members[] = {
    {QUERY_BY_STATUS, WORD_SMALL, STATUS_NULL << STATUS_SHIFT, "\"status\":"},
    {QUERY_BY_CRITICALITY, WORD_SMALL, CRITICALITY_MASK, "\"criticality\":"},
    {QUERY_BY_POLICY, WORD_POLICY, UINT64_MAX, "\"policyId\":"},
    {QUERY_BY_CONTROL, WORD_CONTROL, UINT64_MAX, "\"controlId\":"},
    {QUERY_BY_HOST, WORD_HOST, UINT64_MAX, "\"hostId\":"},
    {QUERY_BY_TECHNOLOGY, WORD_TECHNOLOGY, UINT64_MAX, "\"technologyId\":"},
};

/* Groups in the order in which they are met, and where to find them: slots with a group's number and
 * one, 0 being empty. Half of the slots are empty, so that a search ends soon. */
struct table {
	uint64_t mask[WORDS];
	uint64_t factor[WORDS];
	struct group *groups;
	size_t count;
	uint32_t *slots;
	unsigned slot_bits; /* there are 1 << slot_bits; 0: none yet */
	uint64_t small[SMALL_COUNT];
};

static uint64_t
small_word(const struct row *row)
{
	static const uint8_t ranks[] = {
	    [ROW_STATUS_NONE] = STATUS_NULL,
	    [ROW_PASSED] = 0,
	    [ROW_FAILED] = 1,
	    [ROW_ERROR] = 2,
	    [ROW_STATUS_OTHER] = STATUS_NULL,
	};
	unsigned status = row->status < ARRAY_LEN(ranks) ? ranks[row->status] : STATUS_NULL;
	unsigned criticality =
	    row->criticality < CRITICALITY_NULL ? row->criticality : CRITICALITY_NULL;
	return status << STATUS_SHIFT | criticality;
}

/* --- counting by status and criticality: there are few of these */

static enum status
count_small(void *ctx, const struct row *rows, size_t count)
{
	struct table *t = ctx;
	for (size_t i = 0; i < count; i++)
		t->small[small_word(&rows[i]) & t->mask[WORD_SMALL]]++;
	return STATUS_OK;
}

/* --- counting by anything */

#define FIRST_SLOT_BITS 10

static void
key_of(const struct table *t, const struct row *row, uint64_t ret[WORDS])
{
	ret[WORD_SMALL] = small_word(row) & t->mask[WORD_SMALL];
	ret[WORD_POLICY] = row->policy & t->mask[WORD_POLICY];
	ret[WORD_CONTROL] = row->control & t->mask[WORD_CONTROL];
	ret[WORD_HOST] = row->host & t->mask[WORD_HOST];
	ret[WORD_TECHNOLOGY] = row->technology & t->mask[WORD_TECHNOLOGY];
}

static bool
same_key(const uint64_t a[WORDS], const uint64_t b[WORDS])
{
	uint64_t differ = 0;
	for (size_t i = 0; i < WORDS; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

/* Multiply-shift: the factors are random and odd, for the IDs are the upstream's, and who does not
 * know the factors cannot choose IDs that meet in one slot. */
static size_t
first_slot(const struct table *t, const uint64_t key[WORDS])
{
	uint64_t sum = 0;
	for (size_t i = 0; i < WORDS; i++)
		sum += key[i] * t->factor[i];
	return (size_t)(sum >> (64 - t->slot_bits));
}

/* The slot that has the group of this key, or is empty and may have it. */
static uint32_t *
find_slot(const struct table *t, const uint64_t key[WORDS])
{
	size_t last = ((size_t)1 << t->slot_bits) - 1, at = first_slot(t, key);
	/* steps of 1, 2, 3 … come to every slot of a power of two */
	for (size_t step = 1; t->slots[at] != 0; step++) {
		if (same_key(t->groups[t->slots[at] - 1].key, key))
			break;
		at = (at + step) & last;
	}
	return &t->slots[at];
}

static enum status
grow(struct table *t)
{
	unsigned bits = t->slot_bits == 0 ? FIRST_SLOT_BITS : t->slot_bits + 1;
	size_t slot_count = (size_t)1 << bits;
	struct group *groups = reallocarray(t->groups, slot_count / 2, sizeof *groups);
	if (groups == NULL)
		return STATUS_NO_MEMORY;
	t->groups = groups;
	uint32_t *slots = calloc(slot_count, sizeof *slots);
	if (slots == NULL)
		return STATUS_NO_MEMORY;
	free(t->slots);
	t->slots = slots;
	t->slot_bits = bits;
	for (size_t i = 0; i < t->count; i++)
		*find_slot(t, groups[i].key) = (uint32_t)(i + 1);
	return STATUS_OK;
}

static enum status
add_group(struct table *t, uint32_t *slot, const uint64_t key[WORDS])
{
	if (t->count == LIMIT_SUMMARY_GROUPS)
		return STATUS_TOO_MANY_GROUPS;
	struct group *g = &t->groups[t->count++];
	for (size_t i = 0; i < WORDS; i++)
		g->key[i] = key[i];
	g->count = 1;
	*slot = (uint32_t)t->count;
	return t->count < (size_t)1 << (t->slot_bits - 1) ? STATUS_OK : grow(t);
}

static enum status
count_any(void *ctx, const struct row *rows, size_t count)
{
	struct table *t = ctx;
	enum status st = STATUS_OK;
	uint64_t key[WORDS];
	for (size_t i = 0; i < count && st == STATUS_OK; i++) {
		key_of(t, &rows[i], key);
		uint32_t *slot = find_slot(t, key);
		if (*slot != 0)
			t->groups[*slot - 1].count++;
		else
			st = add_group(t, slot, key);
	}
	return st;
}

/* --- writing */

/* By the words in turn, an ID that is none behind all others. */
static int
compare(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	uint64_t of_x = x->key[WORD_SMALL], of_y = y->key[WORD_SMALL];
	for (size_t i = WORD_POLICY; i < WORDS && of_x == of_y; i++) {
		of_x = x->key[i] - 1;
		of_y = y->key[i] - 1;
	}
	return of_x < of_y ? -1 : of_x > of_y;
}

static void
write_value(const struct member *m, uint64_t word, struct buf *b)
{
	static const char *const statuses[] = {"\"Passed\"", "\"Failed\"", "\"Error\"", "null"};
	uint64_t criticality = word & CRITICALITY_MASK;
	if (m->by == QUERY_BY_STATUS)
		buf_str_add(b, statuses[word >> STATUS_SHIFT]);
	else if (m->by == QUERY_BY_CRITICALITY && criticality < CRITICALITY_NULL)
		buf_u64(b, criticality);
	else if (m->by != QUERY_BY_CRITICALITY && word != 0)
		buf_u64(b, word);
	else
		buf_str_add(b, "null");
}

static void
write_group(const struct group *g, unsigned by, struct buf *b)
{
	buf_byte(b, '{');
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct member *m = &members[i];
		if ((by & m->by) == 0)
			continue;
		buf_str_add(b, m->name);
		write_value(m, g->key[m->word], b);
		buf_byte(b, ',');
	}
	buf_str_add(b, "\"count\":");
	buf_u64(b, g->count);
	buf_byte(b, '}');
}

static enum status
write_groups(const struct group *groups, size_t count, unsigned by, struct buf *b)
{
	size_t begin = b->len;
	for (size_t i = 0; i < count && b->err == STATUS_OK; i++) {
		if (i > 0)
			buf_byte(b, ',');
		write_group(&groups[i], by, b);
		if (b->len - begin > LIMIT_PAGE_BYTES)
			return STATUS_TOO_MANY_GROUPS;
	}
	return b->err;
}

static enum status
write_small(const struct table *t, unsigned by, struct buf *b)
{
	struct group groups[SMALL_COUNT] = {0};
	size_t count = 0;
	for (size_t i = 0; i < SMALL_COUNT; i++) {
		if (t->small[i] == 0)
			continue;
		groups[count].key[WORD_SMALL] = i;
		groups[count++].count = t->small[i];
	}
	return write_groups(groups, count, by, b);
}

static enum status
write_any(struct table *t, unsigned by, struct buf *b)
{
	if (t->count > 1)
		qsort(t->groups, t->count, sizeof *t->groups, compare);
	return write_groups(t->groups, t->count, by, b);
}

/* --- both */

static enum status
count_and_write(const struct answer *a, unsigned by, struct table *t, struct buf *body)
{
	bool few = (by & ~(unsigned)(QUERY_BY_STATUS | QUERY_BY_CRITICALITY)) == 0;
	enum status st = few ? STATUS_OK : grow(t);
	if (st == STATUS_OK)
		st = answer_rows(a, few ? count_small : count_any, t);
	if (st != STATUS_OK)
		return st;
	buf_str_add(body, "{\"data\":[");
	st = few ? write_small(t, by, body) : write_any(t, by, body);
	buf_str_add(body, "],");
	page_result(cache_manifest(a->result), answer_is_restricted(a), body);
	buf_byte(body, '}');
	return st != STATUS_OK ? st : body->err;
}

enum status
summary_write(const struct answer *a, unsigned by, struct buf *body)
{
	struct table t = {0};
	assert(by != 0);
	crypto_random(t.factor, sizeof t.factor);
	for (size_t i = 0; i < WORDS; i++)
		t.factor[i] |= 1;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if ((by & members[i].by) != 0)
			t.mask[members[i].word] |= members[i].mask;
	enum status st = count_and_write(a, by, &t, body);
	free(t.groups);
	free(t.slots);
	return st;
}
