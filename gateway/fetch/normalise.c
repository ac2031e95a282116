/* The memo: for each member whose upstream spelling does not follow from the body, an entry
 *
 *     how << 6 | number    one byte; how is one of
 *         0 ABSENT         the body has null; the upstream had no such member
 *         1 OTHER          the other spelling that the member's fix-up knows
 *                          (a member that left the body: a varint with its figure follows)
 *         2 TEXT           a varint with a length and that many bytes follow: the value, as it came
 *         3 NAME           likewise, the name as it was spelled; may come beside one of the others
 *
 * A varint has seven bits a byte, the low ones first, and the high bit where more follow. A member
 * without an entry was as it is in the body; one that leaves the body was absent.
 */
#include "config.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/digits.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/normalise.h"
#include "gateway/fetch/normalise_cloud.h"

/* --- the table */

enum fix {
#define FIX(name, there, back) FIX_##name,
#include "gateway/fetch/normalise_table.h"
#undef FIX
};

struct member {
	uint8_t number;
	uint8_t fix;
	uint8_t name_len, upstream_len, intro_len;
	const char *name;     /* NULL: leaves the body */
	const char *upstream; /* NULL: ours alone */
	const char *also;
	const char *inside;
	const char *intro; /* ,"name": */
};

/* clang-format off */
static const struct member table[] = {
#define INTRO(name) ",\"" #name "\":"
#define KEPT(number, name, upstream, also, inside, fix)                                            \
	{number, FIX_##fix, sizeof #name - 1, sizeof #upstream - 1, sizeof INTRO(name) - 1,        \
		#name, #upstream, also, inside, INTRO(name)},
#define MADE(number, name, fix)                                                                    \
	{number, FIX_##fix, sizeof #name - 1, 0, sizeof INTRO(name) - 1,                           \
		#name, NULL, NULL, NULL, INTRO(name)},
#define LEAVES(number, upstream, fix)                                                              \
	{number, FIX_##fix, 0, sizeof #upstream - 1, 0, NULL, #upstream, NULL, NULL, NULL},
#include "gateway/fetch/normalise_table.h"
#undef KEPT
#undef MADE
#undef LEAVES
};

/* a row's place in the table */
enum {
#define KEPT(number, name, upstream, also, inside, fix) AT_##name,
#define MADE(number, name, fix) AT_##name,
#define LEAVES(number, upstream, fix) AT_##upstream,
#include "gateway/fetch/normalise_table.h"
#undef KEPT
#undef MADE
#undef LEAVES
	ROWS
};

/* by number, for those of the normalised form */
static const char *const names[] = {
#define KEPT(number, name, upstream, also, inside, fix) [number] = #name,
#define MADE(number, name, fix) [number] = #name,
#define LEAVES(number, upstream, fix)
#include "gateway/fetch/normalise_table.h"
#undef KEPT
#undef MADE
#undef LEAVES
};

/* by number, for those that the upstream has: 1 + the place in the table */
static const uint8_t rows[64] = {
#define KEPT(number, name, upstream, also, inside, fix) [number] = 1 + AT_##name,
#define MADE(number, name, fix)
#define LEAVES(number, upstream, fix) [number] = 1 + AT_##upstream,
#include "gateway/fetch/normalise_table.h"
#undef KEPT
#undef MADE
#undef LEAVES
};
/* clang-format on */

#define NO_ROW UINT8_MAX

static_assert(ARRAY_LEN(names) <= NORMAL_MEMBERS_MOST, "60 to 63 leave the body");
static_assert(ROWS <= 64, "a number has six bits");

/* Texts longer than these are never put into a memo: the member stays as it came. With a name of
 * six bytes a character for each member, a memo cannot come near 64 KiB. */
#define TEXT_MOST 64
#define CLOUD_TEXT_MOST 4096
static_assert(
    ROWS * (2 * 3 + TEXT_MOST + 6 * 32) + CLOUD_TEXT_MOST < UINT16_MAX, "memo_len has 16 bits");

size_t
normal_member_count(void)
{
	return ARRAY_LEN(names);
}

const char *
normal_member_name(size_t index)
{
	return index < ARRAY_LEN(names) ? names[index] : NULL;
}

const char *
normal_upstream_name(uint8_t number)
{
	if (number >= ARRAY_LEN(rows) || rows[number] == 0)
		return NULL;
	return table[rows[number] - 1].upstream;
}

int
normal_member_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return (int)i;
	return -1;
}

uint8_t
normal_member_at(size_t place)
{
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].name != NULL && place-- == 0)
			return table[i].number;
	return NORMAL_UNKNOWN;
}

/* --- small readers */

static bool
is_text(const char *value, size_t len, const char *wanted)
{
	return strlen(wanted) == len && memcmp(value, wanted, len) == 0;
}

static bool
is_null(const char *value, size_t len)
{
	return is_text(value, len, "null");
}

static bool
read_number(const char *text, size_t len, uint64_t *ret)
{
	return digits_read(text, len, 0, INT64_MAX, ret);
}

/* The same, quoted or not. */
static bool
read_either(const char *value, size_t len, uint64_t *ret)
{
	const char *text = value;
	(void)text_of(value, len, &text, &len);
	return read_number(text, len, ret);
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

struct status_word {
	const char *word;    /* in lower case */
	const char *spelled; /* as the upstream does */
	const char *shown;   /* as we do */
	uint8_t status;
	bool exception;
};
static const struct status_word status_words[] = {
    {"passed", "\"Passed\"", "\"Passed\"", ROW_PASSED, false},
    {"failed", "\"Failed\"", "\"Failed\"", ROW_FAILED, false},
    {"error", "\"Error\"", "\"Error\"", ROW_ERROR, false},
    {"passed*", "\"Passed*\"", "\"Passed\"", ROW_PASSED, true},
};
static const struct status_word *const by_exception = &status_words[3];

/* What the value says, in any case and however escaped; NULL if it is none of the words. */
static const struct status_word *
read_status(const char *value, size_t len)
{
	char word[8] = "", bytes[4];
	size_t used = 0, n;
	const char *at, *end;
	for (size_t i = 0; i < ARRAY_LEN(status_words); i++)
		if (is_text(value, len, status_words[i].spelled))
			return &status_words[i];
	if (!text_of(value, len, &at, &len))
		return NULL;
	end = at + len;
	while ((n = text_next(&at, end, bytes)) > 0) {
		if (n > 1 || used == sizeof word - 1)
			return NULL;
		word[used++] = lower(bytes[0]);
	}
	for (size_t i = 0; i < ARRAY_LEN(status_words); i++)
		if (is_text(word, used, status_words[i].word))
			return &status_words[i];
	return NULL;
}

/* --- the fix-ups: there */

enum how { HOW_ABSENT, HOW_OTHER, HOW_TEXT, HOW_NAME, HOW_AS_IS };

/* Appends ours to body and says what the memo must hold. */
typedef enum how there_f(const char *value, size_t len, struct buf *body, uint64_t *ret_figure);

static enum how
keep(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	(void)ret_figure;
	buf_add(body, value, len);
	return HOW_AS_IS;
}

/* "n" -> n for the numbers of a range. */
static enum how
bare(const char *value, size_t len, struct buf *body, uint64_t from, uint64_t to)
{
	const char *text;
	size_t text_len;
	uint64_t number;
	if (!text_of(value, len, &text, &text_len) || !read_number(text, text_len, &number) ||
	    number < from || number > to)
		return keep(value, len, body, NULL);
	buf_add(body, text, text_len);
	return HOW_OTHER;
}

static enum how
id_bare(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	(void)ret_figure;
	return bare(value, len, body, 1, INT64_MAX);
}

static enum how
number_bare(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	(void)ret_figure;
	return bare(value, len, body, 0, INT64_MAX);
}

static enum how
grade_bare(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	(void)ret_figure;
	return bare(value, len, body, 0, 5);
}

static enum how
integer_quoted(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	bool integer = *value == '-' || (*value >= '0' && *value <= '9');
	for (size_t i = 1; i < len; i++)
		integer = integer && value[i] >= '0' && value[i] <= '9';
	if (!integer)
		return keep(value, len, body, ret_figure);
	buf_byte(body, '"');
	buf_add(body, value, len);
	buf_byte(body, '"');
	return HOW_OTHER;
}

static enum how
empty_null(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	if (!is_text(value, len, "\"\""))
		return keep(value, len, body, ret_figure);
	buf_str_add(body, "null");
	return HOW_OTHER;
}

static enum how
status(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	const struct status_word *word = read_status(value, len);
	if (word == NULL || len > TEXT_MOST)
		return keep(value, len, body, ret_figure);
	buf_str_add(body, word->shown);
	return is_text(value, len, word->spelled) ? HOW_AS_IS : HOW_TEXT;
}

/* `value` is that of the status above. */
static enum how
exception(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	(void)ret_figure;
	const struct status_word *word = read_status(value, len);
	buf_str_add(body, word != NULL && word->exception ? "true" : "false");
	return HOW_AS_IS;
}

static enum how
cloud_object(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	const char *text;
	size_t text_len, mark = body->len;
	if (len > CLOUD_TEXT_MOST || !text_of(value, len, &text, &text_len) ||
	    !cloud_object_write(text, text_len, body))
		return keep(value, len, body, ret_figure);
	if (body->err != STATUS_OK)
		return HOW_AS_IS;
	struct buf back;
	buf_init(&back, CLOUD_TEXT_MOST);
	bool same = cloud_text_write(body->data + mark, body->len - mark, &back) &&
		    back.err == STATUS_OK && back.len == len && memcmp(back.data, value, len) == 0;
	buf_fini(&back);
	return same ? HOW_OTHER : HOW_TEXT;
}

static enum how
count(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	(void)body;
	return read_number(value, len, ret_figure) ? HOW_OTHER : HOW_TEXT;
}

/* Decimals of a size: the figure is the digits without their point, times 3, plus how many of them
 * stand behind it. */
#define SIZE_DECIMALS_MOST 2

static enum how
size(const char *value, size_t len, struct buf *body, uint64_t *ret_figure)
{
	const char *text;
	size_t text_len, decimals = 0;
	char digits[16];
	uint64_t whole, all;

	(void)body;
	if (!text_of(value, len, &text, &text_len) || text_len == 0 || text_len > sizeof digits)
		return HOW_TEXT;
	const char *point = memchr(text, '.', text_len);
	size_t whole_len = point != NULL ? (size_t)(point - text) : text_len;
	if (point != NULL)
		decimals = text_len - whole_len - 1;
	if (decimals > SIZE_DECIMALS_MOST || (point != NULL && decimals == 0) ||
	    !read_number(text, whole_len, &whole))
		return HOW_TEXT;
	all = whole;
	for (size_t i = 0; i < decimals; i++) {
		char c = point[1 + i];
		if (c < '0' || c > '9')
			return HOW_TEXT;
		all = all * 10 + (uint64_t)(c - '0');
	}
	*ret_figure = all * (SIZE_DECIMALS_MOST + 1) + decimals;
	return HOW_OTHER;
}

/* --- the fix-ups: back */

struct note {
	enum how how;
	const char *text; /* HOW_TEXT */
	size_t len;
	uint64_t figure; /* HOW_OTHER of a member that left the body */
};

/* Appends the upstream's to out. False: the value cannot have been made by `there`. */
typedef bool back_f(const char *value, size_t len, uint64_t figure, struct buf *out);

static bool
never(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)value, (void)len, (void)figure, (void)out;
	return false;
}

static bool
quote(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)figure;
	buf_byte(out, '"');
	buf_add(out, value, len);
	buf_byte(out, '"');
	return read_number(value, len, &figure);
}

static bool
unquote(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	const char *text;
	size_t text_len;
	(void)figure;
	if (!text_of(value, len, &text, &text_len))
		return false;
	buf_add(out, text, text_len);
	return true;
}

static bool
null_empty(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)figure;
	buf_str_add(out, "\"\"");
	return is_null(value, len);
}

static bool
status_back(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)figure;
	buf_str_add(out, by_exception->spelled);
	return is_text(value, len, by_exception->shown);
}

static bool
cloud_text(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)figure;
	return cloud_text_write(value, len, out);
}

static bool
count_back(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)value, (void)len;
	buf_u64(out, figure);
	return figure <= INT64_MAX;
}

static bool
size_back(const char *value, size_t len, uint64_t figure, struct buf *out)
{
	(void)value, (void)len;
	uint64_t decimals = figure % (SIZE_DECIMALS_MOST + 1),
		 all = figure / (SIZE_DECIMALS_MOST + 1);
	uint64_t unit = decimals == 0 ? 1 : decimals == 1 ? 10 : 100;
	buf_byte(out, '"');
	buf_u64(out, all / unit);
	if (decimals > 0)
		buf_byte(out, '.');
	for (; unit > 1; unit /= 10)
		buf_byte(out, (char)('0' + all % unit / (unit / 10)));
	buf_byte(out, '"');
	return true;
}

static const struct {
	there_f *there;
	back_f *back;
} fixes[] = {
#define FIX(name, there, back) {there, back},
#include "gateway/fetch/normalise_table.h"
#undef FIX
};

/* --- the memo */

static void
put_varint(struct buf *memo, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_byte(memo, (char)(value | 0x80));
	buf_byte(memo, (char)value);
}

static void
put_note(struct buf *memo, uint8_t number, enum how how, const char *text, size_t len)
{
	buf_byte(memo, (char)((unsigned)how << 6 | number));
	if (how == HOW_TEXT || how == HOW_NAME) {
		put_varint(memo, len);
		buf_add(memo, text, len);
	}
}

struct memo {
	uint64_t noted, named;            /* a bit for each number that has one */
	struct note notes[64], names[64]; /* by number */
};
static const struct note no_note = {.how = HOW_AS_IS};

static const struct note *
note_of(const struct memo *m, uint8_t number)
{
	return (m->noted >> number & 1) != 0 ? &m->notes[number] : &no_note;
}

static const struct note *
name_of(const struct memo *m, uint8_t number)
{
	return (m->named >> number & 1) != 0 ? &m->names[number] : &no_note;
}

static bool
take_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	uint64_t value = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* One entry; false if it is none. */
static bool
take_note(struct memo *m, const uint8_t **at, const uint8_t *end)
{
	uint8_t head = *(*at)++;
	uint8_t number = head & 63;
	enum how how = head >> 6;
	struct note *note = how == HOW_NAME ? &m->names[number] : &m->notes[number];
	uint64_t *had = how == HOW_NAME ? &m->named : &m->noted, bit = UINT64_C(1) << number;

	if (rows[number] == 0 || (*had & bit) != 0)
		return false;
	bool left = table[rows[number] - 1].name == NULL;
	if (left && how == HOW_ABSENT)
		return false;
	*had |= bit;
	*note = (struct note){.how = how};
	if (how == HOW_OTHER && left)
		return take_varint(at, end, &note->figure);
	if (how == HOW_TEXT || how == HOW_NAME) {
		uint64_t len;
		if (!take_varint(at, end, &len) || len > (uint64_t)(end - *at))
			return false;
		note->text = (const char *)*at;
		note->len = (size_t)len;
		*at += len;
	}
	return true;
}

static bool
read_memo(const uint8_t *memo, size_t len, struct memo *ret)
{
	const uint8_t *end = memo + len;
	ret->noted = ret->named = 0;
	while (memo < end)
		if (!take_note(ret, &memo, end))
			return false;
	return true;
}

/* --- names that would stand twice */

#define MARK "upstream_"

/* Behind the mark that the name begins with, however it is escaped; NULL if there is none. */
static const char *
skip_mark(const char *at, const char *end)
{
	char bytes[4];
	for (size_t i = 0; i < sizeof MARK - 1; i++)
		if (text_next(&at, end, bytes) != 1 || bytes[0] != MARK[i])
			return NULL;
	return at;
}

/* Whether the upstream's member of this name, if it is not one of the table, would meet one of
 * ours; also when it is marked already, so that marking once more can be undone. */
static bool
needs_mark(const char *name, size_t len)
{
	static const char *const ours[] = {"exception", "previousException", "cloudResourceId"};
	const char *end = name + len, *behind;
	while ((behind = skip_mark(name, end)) != NULL)
		name = behind;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (text_equal(name, (size_t)(end - name), ours[i], strlen(ours[i])))
			return true;
	return false;
}

/* --- there */

/* Which member of the record belongs to which row. */
struct match {
	uint16_t came[ROWS];               /* 1 + member, 0: absent */
	uint8_t row[LIMIT_RECORD_MEMBERS]; /* of each member; NO_ROW: nobody has heard of it */
};

static bool
is_named(const struct split_member *m, const char *name, size_t len)
{
	return m->name_len == len && memcmp(m->name, name, len) == 0;
}

/* The row of a name that stands there with escapes, or under its other spelling. */
static uint8_t
find_odd(const struct split_member *m)
{
	bool escapes = text_has_escapes(m->name, m->name_len);
	for (size_t i = 0; i < ROWS; i++) {
		const struct member *row = &table[i];
		if (row->also != NULL &&
		    text_equal(m->name, m->name_len, row->also, strlen(row->also)))
			return (uint8_t)i;
		if (escapes && row->upstream != NULL &&
		    text_equal(m->name, m->name_len, row->upstream, row->upstream_len))
			return (uint8_t)i;
	}
	return NO_ROW;
}

/* From where the last one was found: records mostly come in the table's order. */
static uint8_t
find_row(const struct split_member *m, size_t from)
{
	for (size_t n = 0; n < ROWS; n++) {
		size_t i = from + n < ROWS ? from + n : from + n - ROWS;
		if (table[i].upstream != NULL &&
		    is_named(m, table[i].upstream, table[i].upstream_len))
			return (uint8_t)i;
	}
	return find_odd(m);
}

/* A member under its row's other spelling gives way to one under the first. */
static bool
gives_way(const struct split_member *m, const struct member *row)
{
	return row->also != NULL && text_equal(m->name, m->name_len, row->also, strlen(row->also));
}

/* False if the record has its id twice. */
static bool
match(const struct split_record *rec, struct match *ret)
{
	size_t expect = 0;
	memset(ret->came, 0, sizeof ret->came);
	for (size_t i = 0; i < rec->count; i++) {
		const struct split_member *m = &rec->members[i];
		uint8_t row = find_row(m, expect);
		ret->row[i] = row;
		if (row == NO_ROW)
			continue;
		expect = row + 1u < ROWS ? row + 1u : 0;
		if (ret->came[row] != 0) {
			if (table[row].number == 0)
				return false;
			if (gives_way(m, &table[row])) {
				ret->row[i] = NO_ROW;
				continue;
			}
			ret->row[ret->came[row] - 1] = NO_ROW;
		}
		ret->came[row] = (uint16_t)(i + 1);
	}
	return true;
}

static const struct split_member *
came(const struct split_record *rec, const struct match *m, size_t row)
{
	return m->came[row] != 0 ? &rec->members[m->came[row] - 1] : NULL;
}

/* The value with the fix-up done to one member inside of it, *ret_inside. */
static enum how
there_inside(const struct member *row, const struct split_member *m, struct buf *body,
    struct split_member *ret_inside)
{
	const char *end = m->value + m->value_len;
	uint64_t figure;
	if (!members_find(m->value, m->value_len, row->inside, ret_inside)) {
		buf_add(body, m->value, m->value_len);
		return HOW_AS_IS;
	}
	const char *behind = ret_inside->value + ret_inside->value_len;
	buf_add(body, m->value, (size_t)(ret_inside->value - m->value));
	enum how how =
	    fixes[row->fix].there(ret_inside->value, ret_inside->value_len, body, &figure);
	buf_add(body, behind, (size_t)(end - behind));
	return how;
}

static void
put_kept(const struct member *row, const struct split_member *m, struct buf *body, struct buf *memo)
{
	struct split_member inside;
	uint64_t figure;
	enum how how;

	buf_add(body, row->intro, row->intro_len);
	if (m == NULL) {
		buf_str_add(body, "null");
		put_note(memo, row->number, HOW_ABSENT, NULL, 0);
		return;
	}
	if (!is_named(m, row->upstream, row->upstream_len))
		put_note(memo, row->number, HOW_NAME, m->name, m->name_len);
	if (row->inside != NULL) {
		how = there_inside(row, m, body, &inside);
		m = &inside;
	} else {
		how = fixes[row->fix].there(m->value, m->value_len, body, &figure);
	}
	if (how != HOW_AS_IS)
		put_note(memo, row->number, how, m->value, m->value_len);
}

/* ours alone: from the member above */
static void
put_made(const struct member *row, const struct split_member *above, struct buf *body)
{
	uint64_t figure;
	buf_add(body, row->intro, row->intro_len);
	if (above != NULL)
		fixes[row->fix].there(above->value, above->value_len, body, &figure);
	else
		fixes[row->fix].there("null", 4, body, &figure);
}

static void
put_unknown(const struct split_member *m, struct buf *body)
{
	buf_str_add(body, needs_mark(m->name, m->name_len) ? ",\"" MARK : ",\"");
	buf_add(body, m->name, m->name_len);
	buf_str_add(body, "\":");
	buf_add(body, m->value, m->value_len);
}

/* True if the memo took it; else it stays in the body as if nobody had heard of it. */
static bool
put_leaving(const struct member *row, const struct split_member *m, struct buf *memo)
{
	uint64_t figure;
	enum how how = fixes[row->fix].there(m->value, m->value_len, NULL, &figure);
	if (how == HOW_TEXT && m->value_len > TEXT_MOST)
		return false;
	if (!is_named(m, row->upstream, row->upstream_len))
		put_note(memo, row->number, HOW_NAME, m->name, m->name_len);
	put_note(memo, row->number, how, m->value, m->value_len);
	if (how == HOW_OTHER)
		put_varint(memo, figure);
	return true;
}

/* --- the row */

/* Where the table's members go in a row. */
struct target {
	uint8_t from;
	uint8_t to;
};
#define TARGET(member, field)                                                                      \
	{                                                                                          \
		AT_##member, offsetof(struct row, field)                                           \
	}

static const struct target ids[] = {TARGET(id, id), TARGET(policyId, policy),
    TARGET(controlId, control), TARGET(hostId, host), TARGET(technologyId, technology)};
static const struct target dates[] = {TARGET(lastEvaluatedDate, evaluated),
    TARGET(complianceLastScanDate, scanned), TARGET(postureModifiedDate, changed),
    TARGET(created, created)};
static const struct target counts[] = {TARGET(currentBatch, batch), TARGET(totalBatches, batches)};
static const struct target statuses[] = {
    TARGET(status, status), TARGET(previousStatus, previous_status)};

/* Absent and null are nothing to read. */
static bool
is_nothing(const struct split_member *m)
{
	return m == NULL || is_null(m->value, m->value_len);
}

uint32_t
normal_date(const struct split_member *m)
{
	const char *text;
	size_t len;
	int64_t second;
	bool date_only;
	if (is_nothing(m) || is_text(m->value, m->value_len, "\"\""))
		return ROW_DATE_NONE;
	/* the first second of 1970 cannot be told from none; and a day alone may have been any moment of it
	 * to the upstream */
	if (!text_of(m->value, m->value_len, &text, &len) ||
	    !clock_parse(text, len, &second, &date_only) || date_only || second == ROW_DATE_NONE ||
	    second >= ROW_DATE_UNREADABLE)
		return ROW_DATE_UNREADABLE;
	return (uint32_t)second;
}

static uint8_t
row_status(const struct split_member *m, bool *ret_exception)
{
	*ret_exception = false;
	if (is_nothing(m))
		return ROW_STATUS_NONE;
	const struct status_word *word = read_status(m->value, m->value_len);
	if (word == NULL)
		return ROW_STATUS_OTHER;
	*ret_exception = word->exception;
	return word->status;
}

static uint8_t
row_criticality(const struct split_member *m, bool *ret_misfit)
{
	struct split_member grade;
	uint64_t value;
	if (is_nothing(m))
		return ROW_CRITICALITY_NONE;
	if (!members_find(m->value, m->value_len, "value", &grade)) {
		*ret_misfit = *ret_misfit || *m->value != '{';
		return ROW_CRITICALITY_NONE;
	}
	if (is_nothing(&grade))
		return ROW_CRITICALITY_NONE;
	if (!read_either(grade.value, grade.value_len, &value) || value > 5) {
		*ret_misfit = true;
		return ROW_CRITICALITY_NONE;
	}
	return (uint8_t)value;
}

static void
fill_row(const struct split_record *rec, const struct match *match, struct row *ret)
{
	struct row row = {.id = 0};
	char *base = (char *)&row;
	bool misfit = false, exception[ARRAY_LEN(statuses)];

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const struct split_member *m = came(rec, match, ids[i].from);
		uint64_t value = 0;
		if (!is_nothing(m) && (!read_either(m->value, m->value_len, &value) || value == 0))
			misfit = true;
		memcpy(base + ids[i].to, &value, sizeof value);
	}
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		uint32_t value = normal_date(came(rec, match, dates[i].from));
		misfit = misfit || value == ROW_DATE_UNREADABLE;
		memcpy(base + dates[i].to, &value, sizeof value);
	}
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		const struct split_member *m = came(rec, match, counts[i].from);
		uint64_t value = 0;
		if (m == NULL || !read_either(m->value, m->value_len, &value) || value > UINT32_MAX)
			value = 0;
		memcpy(base + counts[i].to, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
	}
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		const struct split_member *m = came(rec, match, statuses[i].from);
		*(uint8_t *)(base + statuses[i].to) = row_status(m, &exception[i]);
	}
	row.criticality = row_criticality(came(rec, match, AT_criticality), &misfit);
	row.flags =
	    (uint8_t)((exception[0] ? ROW_EXCEPTION : 0) |
		      (exception[1] ? ROW_PREVIOUS_EXCEPTION : 0) | (misfit ? ROW_MISFIT : 0));
	*ret = row;
}

static bool
has_id(const struct split_record *rec, const struct match *match)
{
	const struct split_member *id = came(rec, match, AT_id);
	uint64_t value;
	return id != NULL && read_either(id->value, id->value_len, &value) && value > 0;
}

enum status
normalise(const struct split_record *rec, struct buf *body, struct buf *memo, struct row *ret_row)
{
	struct match matched;
	size_t mark = body->len;

	assert(rec->count <= LIMIT_RECORD_MEMBERS);
	if (!match(rec, &matched) || !has_id(rec, &matched))
		return STATUS_UPSTREAM_MALFORMED;
	for (size_t i = 0; i < ROWS; i++) {
		const struct split_member *m = came(rec, &matched, i);
		if (table[i].name == NULL) {
			if (m != NULL && !put_leaving(&table[i], m, memo))
				matched.row[matched.came[i] - 1] = NO_ROW;
		} else if (table[i].upstream == NULL) {
			put_made(&table[i], came(rec, &matched, i - 1), body);
		} else {
			put_kept(&table[i], m, body, memo);
		}
	}
	for (size_t i = 0; i < rec->count; i++)
		if (matched.row[i] == NO_ROW)
			put_unknown(&rec->members[i], body);
	buf_byte(body, '}');
	if (body->err != STATUS_OK)
		return body->err;
	if (memo->err != STATUS_OK)
		return memo->err;
	body->data[mark] = '{'; /* the first member's comma */
	fill_row(rec, &matched, ret_row);
	return STATUS_OK;
}

/* --- back */

/* A normalised posture taken apart: the values of the table's members, and a walk that stands
 * behind them. */
struct parts {
	struct split_member values[ROWS]; /* name is NULL where the row has none in the body */
	struct member_walk rest;
};

/* False if the text is not a normalised posture. */
static bool
take_apart(const char *body, size_t len, struct parts *ret)
{
	members_begin(&ret->rest, body, len);
	for (size_t i = 0; i < ROWS; i++) {
		const struct member *row = &table[i];
		struct split_member *m = &ret->values[i];
		*m = (struct split_member){.name = NULL};
		if (row->name == NULL || members_expect(&ret->rest, row->intro, row->intro_len, m))
			continue;
		if (members_next(&ret->rest, m) != WALK_MEMBER ||
		    !is_named(m, row->name, row->name_len))
			return false;
	}
	return true;
}

static bool
back_value(const struct member *row, const struct split_member *value, const struct note *note,
    struct buf *out)
{
	if (note->how == HOW_TEXT)
		buf_add(out, note->text, note->len);
	else if (note->how == HOW_OTHER)
		return fixes[row->fix].back(value->value, value->value_len, note->figure, out);
	else
		buf_add(out, value->value, value->value_len);
	return true;
}

static bool
back_inside(const struct member *row, const struct split_member *value, const struct note *note,
    struct buf *out)
{
	struct split_member inside;
	if (!members_find(value->value, value->value_len, row->inside, &inside))
		return false;
	const char *end = value->value + value->value_len;
	const char *behind = inside.value + inside.value_len;
	buf_add(out, value->value, (size_t)(inside.value - value->value));
	bool good = back_value(row, &inside, note, out);
	buf_add(out, behind, (size_t)(end - behind));
	return good;
}

/* Whether the memo's spelling of the row's name is one. */
static bool
is_spelling(const struct note *name, const struct member *row)
{
	return text_equal(name->text, name->len, row->upstream, row->upstream_len) ||
	       (row->also != NULL &&
		   text_equal(name->text, name->len, row->also, strlen(row->also)));
}

/* What is being made of a posture. */
struct explosion {
	struct parts parts;
	struct memo memo;
	struct buf *scratch;
	struct normal_slices *to;
	/* the slices whose values lie in the scratch buffer, which may still move */
	struct {
		size_t slice, at;
	} made[ROWS];
	size_t made_count;
};

/* Room for one more, or NULL. */
static struct normal_slice *
slice_new(struct normal_slices *slices, uint8_t number)
{
	if (slices->count == ARRAY_LEN(slices->list))
		return NULL;
	struct normal_slice *s = &slices->list[slices->count++];
	*s = (struct normal_slice){.number = number};
	return s;
}

/* The value of `s`, the newest slice, where it has to be made. */
static bool
make_value(const struct member *row, const struct split_member *value, const struct note *note,
    struct explosion *e, struct normal_slice *s)
{
	size_t at = e->scratch->len;
	bool good = row->inside != NULL ? back_inside(row, value, note, e->scratch)
					: back_value(row, value, note, e->scratch);
	if (!good || e->scratch->err != STATUS_OK || e->scratch->len - at > UINT32_MAX)
		return false;
	s->value_len = (uint32_t)(e->scratch->len - at);
	e->made[e->made_count].slice = e->to->count - 1;
	e->made[e->made_count++].at = at;
	return true;
}

/* False if the memo's spelling of the row's name is none. */
static bool
name_slice(const struct member *row, const struct split_member *value, const struct note *name,
    struct normal_slice *s)
{
	s->respelled = name->how == HOW_NAME;
	if (s->respelled) {
		s->name = name->text;
		s->name_len = (uint32_t)name->len;
		return name->len <= UINT32_MAX && is_spelling(name, row);
	}
	s->name = row->upstream;
	s->name_len = row->upstream_len;
	if (value->name != NULL && is_named(value, row->upstream, row->upstream_len))
		s->name = value->name;
	return true;
}

/* What a status shows of its exception. */
static const struct note exception_note = {.how = HOW_OTHER};

/* The upstream's member of a row, if it had one. */
static bool
explode_row(size_t at, struct explosion *e)
{
	const struct member *row = &table[at];
	const struct split_member *value = &e->parts.values[at], *next = value + 1;
	const struct note *note = note_of(&e->memo, row->number);
	struct normal_slice *s;

	if (row->name == NULL && note->how == HOW_AS_IS)
		return true;
	if (note->how == HOW_ABSENT)
		return is_null(value->value, value->value_len);
	if (row->fix == FIX_STATUS && note->how == HOW_AS_IS &&
	    is_text(next->value, next->value_len, "true"))
		note = &exception_note;
	s = slice_new(e->to, row->number);
	if (s == NULL || !name_slice(row, value, name_of(&e->memo, row->number), s))
		return false;
	if (note->how == HOW_TEXT && row->inside == NULL) {
		s->value = note->text;
		s->value_len = (uint32_t)note->len;
		return note->len <= UINT32_MAX;
	}
	if (note->how != HOW_AS_IS)
		return make_value(row, value, note, e, s);
	s->value = value->value;
	s->value_len = value->value_len;
	s->whole = s->name == value->name && s->name + s->name_len + 2 == s->value;
	return true;
}

static bool
explode_unknown(const struct split_member *m, struct normal_slices *to)
{
	struct normal_slice *s = slice_new(to, NORMAL_UNKNOWN);
	uint32_t mark = 0;
	if (s == NULL)
		return false;
	if (m->name_len > sizeof MARK && memcmp(m->name, MARK, sizeof MARK - 1) == 0 &&
	    needs_mark(m->name, m->name_len))
		mark = sizeof MARK - 1;
	s->name = m->name + mark;
	s->name_len = m->name_len - mark;
	s->value = m->value;
	s->value_len = m->value_len;
	s->whole = s->name + s->name_len + 2 == s->value;
	return true;
}

static bool
explode_all(
    const char *body, size_t body_len, const uint8_t *memo, size_t memo_len, struct explosion *e)
{
	struct split_member m;
	enum walk walk;

	if (!read_memo(memo, memo_len, &e->memo) || !take_apart(body, body_len, &e->parts))
		return false;
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].upstream != NULL && !explode_row(i, e))
			return false;
	while ((walk = members_next(&e->parts.rest, &m)) == WALK_MEMBER)
		if (!explode_unknown(&m, e->to))
			return false;
	return walk == WALK_END && e->to->count > 0;
}

enum status
normal_explode(const char *body, size_t body_len, const uint8_t *memo, size_t memo_len,
    struct buf *scratch, struct normal_slices *ret)
{
	struct explosion e;
	e.scratch = scratch;
	e.to = ret;
	e.made_count = 0;
	ret->count = 0;
	if (!explode_all(body, body_len, memo, memo_len, &e))
		return scratch->err != STATUS_OK ? scratch->err : STATUS_CORRUPT;
	for (size_t i = 0; i < e.made_count; i++)
		ret->list[e.made[i].slice].value = scratch->data + e.made[i].at;
	return STATUS_OK;
}

static char *
put(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

void
normal_slices_write(const struct normal_slices *slices, struct buf *out)
{
	const struct normal_slice *s = slices->list, *end = s + slices->count;
	size_t total = sizeof "}" - 1;

	for (size_t i = 0; i < slices->count; i++)
		total += (sizeof ",\"\":" - 1) + s[i].name_len + s[i].value_len;
	char *at = buf_room(out, total);
	if (at == NULL)
		return;
	char *begin = at;
	for (; s < end; s++) {
		at = put(at, ",\"", 2);
		if (!s->whole) {
			at = put(at, s->name, s->name_len);
			at = put(at, "\":", 2);
			at = put(at, s->value, s->value_len);
			continue;
		}
		/* neighbours that stand in the body side by side are copied in one go */
		const char *from = s->name;
		while (s + 1 < end && s[1].whole && s[1].name - 2 == s->value + s->value_len)
			s++;
		at = put(at, from, (size_t)(s->value + s->value_len - from));
	}
	*begin = '{'; /* the first member's comma */
	*at++ = '}';
	buf_used(out, (size_t)(at - begin));
}

enum status
normalise_inverse(
    const char *body, size_t body_len, const uint8_t *memo, size_t memo_len, struct buf *out)
{
	struct normal_slices slices;
	struct buf scratch;
	buf_init(&scratch, NORMAL_SCRATCH_BYTES);
	enum status st = normal_explode(body, body_len, memo, memo_len, &scratch, &slices);
	if (st == STATUS_OK) {
		normal_slices_write(&slices, out);
		st = out->err;
	}
	buf_fini(&scratch);
	return st;
}

/* --- views */

enum status
normal_values(const char *body, size_t len, struct normal_value *ret)
{
	struct parts parts;
	if (!take_apart(body, len, &parts))
		return STATUS_CORRUPT;
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].name != NULL)
			*ret++ =
			    (struct normal_value){parts.values[i].value, parts.values[i].value_len};
	return STATUS_OK;
}

enum status
normal_project(
    const char *body, size_t len, uint64_t keep, bool keep_unknown, uint64_t hide, struct buf *out)
{
	struct parts parts;
	struct split_member m;
	enum walk walk = WALK_END;
	size_t mark = out->len;

	if (!take_apart(body, len, &parts))
		return STATUS_CORRUPT;
	for (size_t i = 0; i < ROWS; i++) {
		const struct member *row = &table[i];
		uint64_t bit = UINT64_C(1) << row->number;
		if (row->name == NULL || (keep & bit) == 0)
			continue;
		buf_add(out, row->intro, row->intro_len);
		if ((hide & bit) != 0)
			buf_str_add(out, "null");
		else
			buf_add(out, parts.values[i].value, parts.values[i].value_len);
	}
	while (keep_unknown && (walk = members_next(&parts.rest, &m)) == WALK_MEMBER) {
		buf_byte(out, ',');
		buf_add(out, m.name - 1, (size_t)(m.value + m.value_len - (m.name - 1)));
	}
	if (walk != WALK_END)
		return STATUS_CORRUPT;
	if (out->len == mark)
		buf_byte(out, '{');
	buf_byte(out, '}');
	if (out->err != STATUS_OK)
		return out->err;
	out->data[mark] = '{';
	return STATUS_OK;
}
