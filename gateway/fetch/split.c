/* A table tells what each kind of byte means at each place between tokens; strings and numbers,
 * where the bytes are, have loops of their own. Every stop is a place from which the scan goes on
 * when more bytes are there, so that none is scanned twice (but for an escape or a UTF-8 sequence
 * of a few bytes that was cut).
 *
 * The window:  0        record     at          end         end + PAD
 *              | passed | of which the scan     | zeros     |
 *              | already| has come so far       |           |
 * The zeros end every loop: NUL is allowed nowhere in JSON. The loops need no other border.
 */
#include "config.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "gateway/base/limits.h"
#include "gateway/base/utf8.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/split.h"

#define PAD 16 /* the widest load */
#define ROOM_LEAST (64 * KIB)
#define WINDOW_FIRST (256 * KIB) /* stays in a second-level cache */
#define NAME_SLOTS (2 * LIMIT_RECORD_MEMBERS)
#define NAME_SLOT_BITS 9

/* the scan's inner functions: only when they are inlined does the cursor live in registers, which
 * is worth a sixth of the speed */
#define ALWAYS_INLINE inline __attribute__((always_inline))

static_assert(NAME_SLOTS == 1 << NAME_SLOT_BITS, "the top bits of a hash choose the slot");
static_assert(LIMIT_JSON_DEPTH <= 64, "one bit a level");

/* --- the grammar */

/* clang-format off */
enum kind {
	K_OTHER, K_SPACE, K_BRACE, K_BRACE_END, K_BRACKET, K_BRACKET_END, K_COMMA, K_COLON, K_QUOTE,
	K_NUMBER, K_LITERAL, KINDS
};

/* Where the scan stands. */
enum place {
	P_START,         /* before the array */
	P_FIRST_RECORD,  /* behind its '[' */
	P_NEXT_RECORD,   /* behind a comma */
	P_AFTER_RECORD,
	P_END,           /* behind its ']' */
	P_FIRST_NAME,    /* behind '{' */
	P_NEXT_NAME,     /* behind a comma */
	P_COLON,         /* behind a name */
	P_VALUE,
	P_FIRST_VALUE,   /* behind '[' */
	P_AFTER_MEMBER,
	P_AFTER_ELEMENT,
	PLACES,
	/* inside of a token; numbers and literals with none of their bytes taken */
	P_IN_NAME, P_IN_STRING, P_IN_NUMBER, P_IN_LITERAL
};

enum act {
	A_REFUSE, A_MOVE, A_NAME, A_STRING, A_TOKEN, A_RECORD, A_OBJECT, A_LIST, A_CLOSE
};

struct rule {
	uint8_t act, next;
};

static const uint8_t kinds[256] = {
	[' '] = K_SPACE, ['\t'] = K_SPACE, ['\n'] = K_SPACE, ['\r'] = K_SPACE,
	['{'] = K_BRACE, ['}'] = K_BRACE_END, ['['] = K_BRACKET, [']'] = K_BRACKET_END,
	[','] = K_COMMA, [':'] = K_COLON, ['"'] = K_QUOTE,
	['-'] = K_NUMBER, ['0'] = K_NUMBER, ['1'] = K_NUMBER, ['2'] = K_NUMBER, ['3'] = K_NUMBER,
	['4'] = K_NUMBER, ['5'] = K_NUMBER, ['6'] = K_NUMBER, ['7'] = K_NUMBER, ['8'] = K_NUMBER,
	['9'] = K_NUMBER,
	['t'] = K_LITERAL, ['f'] = K_LITERAL, ['n'] = K_LITERAL,
};

#define SPACE(here) [K_SPACE] = {A_MOVE, here}
#define VALUE(here)                                                                                \
	SPACE(here), [K_BRACE] = {A_OBJECT, P_FIRST_NAME}, [K_BRACKET] = {A_LIST, P_FIRST_VALUE},  \
	[K_QUOTE] = {A_STRING, P_IN_STRING}, [K_NUMBER] = {A_TOKEN, P_IN_NUMBER},                  \
	[K_LITERAL] = {A_TOKEN, P_IN_LITERAL}

static const struct rule grammar[PLACES][KINDS] = {
	[P_START] = {SPACE(P_START), [K_BRACKET] = {A_MOVE, P_FIRST_RECORD}},
	[P_FIRST_RECORD] = {SPACE(P_FIRST_RECORD), [K_BRACE] = {A_RECORD, P_FIRST_NAME},
		[K_BRACKET_END] = {A_MOVE, P_END}},
	[P_NEXT_RECORD] = {SPACE(P_NEXT_RECORD), [K_BRACE] = {A_RECORD, P_FIRST_NAME}},
	[P_AFTER_RECORD] = {SPACE(P_AFTER_RECORD), [K_COMMA] = {A_MOVE, P_NEXT_RECORD},
		[K_BRACKET_END] = {A_MOVE, P_END}},
	[P_END] = {SPACE(P_END)},
	[P_FIRST_NAME] = {SPACE(P_FIRST_NAME), [K_QUOTE] = {A_NAME, P_IN_NAME}, [K_BRACE_END] = {A_CLOSE, 0}},
	[P_NEXT_NAME] = {SPACE(P_NEXT_NAME), [K_QUOTE] = {A_NAME, P_IN_NAME}},
	[P_COLON] = {SPACE(P_COLON), [K_COLON] = {A_MOVE, P_VALUE}},
	[P_VALUE] = {VALUE(P_VALUE)},
	[P_FIRST_VALUE] = {VALUE(P_FIRST_VALUE), [K_BRACKET_END] = {A_CLOSE, 0}},
	[P_AFTER_MEMBER] = {SPACE(P_AFTER_MEMBER), [K_COMMA] = {A_MOVE, P_NEXT_NAME},
		[K_BRACE_END] = {A_CLOSE, 0}},
	[P_AFTER_ELEMENT] = {SPACE(P_AFTER_ELEMENT), [K_COMMA] = {A_MOVE, P_VALUE},
		[K_BRACKET_END] = {A_CLOSE, 0}},
};

/* Numbers: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
enum number {
	N_REFUSE, N_BEGIN, N_MINUS, N_ZERO, N_DIGITS, N_POINT, N_FRACTION, N_E, N_SIGN, N_EXPONENT,
	NUMBERS
};
enum digit {
	D_OTHER, D_ZERO, D_DIGIT, D_MINUS, D_PLUS, D_POINT, D_E, DIGITS
};

static const uint8_t digits[256] = {
	['0'] = D_ZERO, ['1'] = D_DIGIT, ['2'] = D_DIGIT, ['3'] = D_DIGIT, ['4'] = D_DIGIT,
	['5'] = D_DIGIT, ['6'] = D_DIGIT, ['7'] = D_DIGIT, ['8'] = D_DIGIT, ['9'] = D_DIGIT,
	['-'] = D_MINUS, ['+'] = D_PLUS, ['.'] = D_POINT, ['e'] = D_E, ['E'] = D_E,
};

static const uint8_t numbers[NUMBERS][DIGITS] = {
	[N_BEGIN]    = {[D_MINUS] = N_MINUS, [D_ZERO] = N_ZERO, [D_DIGIT] = N_DIGITS},
	[N_MINUS]    = {[D_ZERO] = N_ZERO, [D_DIGIT] = N_DIGITS},
	[N_ZERO]     = {[D_POINT] = N_POINT, [D_E] = N_E},
	[N_DIGITS]   = {[D_ZERO] = N_DIGITS, [D_DIGIT] = N_DIGITS, [D_POINT] = N_POINT, [D_E] = N_E},
	[N_POINT]    = {[D_ZERO] = N_FRACTION, [D_DIGIT] = N_FRACTION},
	[N_FRACTION] = {[D_ZERO] = N_FRACTION, [D_DIGIT] = N_FRACTION, [D_E] = N_E},
	[N_E]        = {[D_ZERO] = N_EXPONENT, [D_DIGIT] = N_EXPONENT, [D_MINUS] = N_SIGN, [D_PLUS] = N_SIGN},
	[N_SIGN]     = {[D_ZERO] = N_EXPONENT, [D_DIGIT] = N_EXPONENT},
	[N_EXPONENT] = {[D_ZERO] = N_EXPONENT, [D_DIGIT] = N_EXPONENT},
};
static const bool number_ends[NUMBERS] = {
	[N_ZERO] = true, [N_DIGITS] = true, [N_FRACTION] = true, [N_EXPONENT] = true,
};

/* what may stand behind a backslash, but for u */
static const bool escapes[256] = {
	['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true, ['f'] = true, ['n'] = true,
	['r'] = true, ['t'] = true,
};
/* clang-format on */

/* --- the state */

/* A member's spans, counted from its record's '{'. */
struct span {
	uint32_t name_at, name_len, value_at, value_len;
};

struct split {
	split_record_f *record_f;
	void *ctx;
	enum status failed;

	uint8_t *window;
	size_t cap;      /* of the window, without its PAD */
	size_t end;      /* bytes that are here */
	size_t at;       /* the scan stands here */
	uint64_t passed; /* bytes of the input that are no longer here */

	enum place place;
	enum number number;
	unsigned depth;   /* open containers within the record, itself included */
	uint64_t objects; /* which of them are objects: bit depth - 1 */

	bool in_record;
	size_t record; /* its '{' */
	uint64_t records;
	size_t count; /* members at its top level */
	struct span spans[LIMIT_RECORD_MEMBERS];
	uint64_t hashes[LIMIT_RECORD_MEMBERS];
	uint16_t slots[NAME_SLOTS]; /* 1 + member, 0: free */
	struct split_member members[LIMIT_RECORD_MEMBERS];
};

struct split *
split_new(split_record_f *record, void *ctx)
{
	struct split *s = calloc(1, sizeof *s);
	if (s != NULL) {
		s->record_f = record;
		s->ctx = ctx;
	}
	return s;
}

void
split_free(struct split *s)
{
	if (s == NULL)
		return;
	free(s->window);
	free(s);
}

/* --- names */

#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

static uint64_t
mix(uint64_t hash, const uint8_t word[8])
{
	uint64_t w;
	memcpy(&w, word, sizeof w);
	hash = (hash ^ w) * HASH_FACTOR;
	return hash ^ hash >> 32;
}

/* The same for names that say the same. */
static uint64_t
name_hash(const char *name, size_t len)
{
	uint64_t hash = 0;
	uint8_t word[8] = {0};
	if (!text_has_escapes(name, len)) {
		for (; len >= sizeof word; name += sizeof word, len -= sizeof word)
			hash = mix(hash, (const uint8_t *)name);
		memcpy(word, name, len);
		return mix(hash, word) * HASH_FACTOR;
	}
	const char *end = name + len;
	char bytes[4];
	size_t n, fill = 0;
	while ((n = text_next(&name, end, bytes)) > 0)
		for (size_t i = 0; i < n; i++) {
			word[fill++] = (uint8_t)bytes[i];
			if (fill == sizeof word) {
				hash = mix(hash, word);
				fill = 0;
				memset(word, 0, sizeof word);
			}
		}
	return mix(hash, word) * HASH_FACTOR;
}

/* The name of the newest member is whole: refuses one that was there before. */
static enum status
enter_name(struct split *s)
{
	const char *record = (const char *)s->window + s->record;
	struct span *new = &s->spans[s->count];
	const char *name = record + new->name_at;
	uint64_t hash = name_hash(name, new->name_len);
	size_t slot = (size_t)(hash >> (64 - NAME_SLOT_BITS));

	for (; s->slots[slot] != 0; slot = (slot + 1) % NAME_SLOTS) {
		size_t i = s->slots[slot] - 1u;
		if (s->hashes[i] == hash && text_equal(record + s->spans[i].name_at,
						s->spans[i].name_len, name, new->name_len))
			return STATUS_UPSTREAM_MALFORMED;
	}
	s->slots[slot] = (uint16_t)(s->count + 1);
	s->hashes[s->count] = hash;
	return STATUS_OK;
}

/* --- what a record's top level is made of */

static uint32_t
offset(const struct split *s, const uint8_t *at)
{
	return (uint32_t)(at - (s->window + s->record));
}

static void
record_begins(struct split *s, const uint8_t *at)
{
	s->in_record = true;
	s->record = (size_t)(at - s->window);
	s->count = 0;
	memset(s->slots, 0, sizeof s->slots);
}

/* `at`: behind the opening quote. */
static inline enum status
name_begins(struct split *s, const uint8_t *at)
{
	if (s->depth != 1)
		return STATUS_OK;
	if (s->count == LIMIT_RECORD_MEMBERS)
		return STATUS_UPSTREAM_TOO_LARGE;
	s->spans[s->count].name_at = offset(s, at);
	return STATUS_OK;
}

/* `at`: behind the closing quote. */
static inline enum status
name_ends(struct split *s, const uint8_t *at)
{
	if (s->depth != 1)
		return STATUS_OK;
	struct span *m = &s->spans[s->count];
	m->name_len = offset(s, at) - 1 - m->name_at;
	return enter_name(s);
}

static inline void
value_begins(struct split *s, const uint8_t *at)
{
	if (s->depth == 1)
		s->spans[s->count].value_at = offset(s, at);
}

/* `at`: behind the value. Gives the place there. */
static inline enum place
value_ends(struct split *s, const uint8_t *at)
{
	if (s->depth == 1) {
		struct span *m = &s->spans[s->count++];
		m->value_len = offset(s, at) - m->value_at;
	}
	return s->objects >> (s->depth - 1) & 1 ? P_AFTER_MEMBER : P_AFTER_ELEMENT;
}

/* `at`: behind the record. Hands it over. */
static enum status
record_ends(struct split *s, const uint8_t *at)
{
	const char *text = (const char *)s->window + s->record;
	struct split_record rec = {
	    .text = text,
	    .len = offset(s, at),
	    .members = s->members,
	    .count = s->count,
	};
	if (rec.len > LIMIT_RECORD_BYTES)
		return STATUS_UPSTREAM_TOO_LARGE;
	for (size_t i = 0; i < s->count; i++)
		s->members[i] = (struct split_member){
		    .name = text + s->spans[i].name_at,
		    .name_len = s->spans[i].name_len,
		    .value_len = s->spans[i].value_len,
		    .value = text + s->spans[i].value_at,
		};
	s->in_record = false;
	s->records++;
	return s->record_f(s->ctx, &rec);
}

/* --- tokens. Each goes as far as there are bytes; WAIT keeps the place for the next ones. */

enum token { TOKEN_DONE, TOKEN_WAIT, TOKEN_BAD };

/* To the first byte that is a quote, a backslash, a control character or not ASCII. */
static const uint8_t *
skip_plain(const uint8_t *at)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
		      space = _mm_set1_epi8(' ');
	for (;; at += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
		/* signed: what is not ASCII is less than a space */
		__m128i stop = _mm_or_si128(_mm_cmplt_epi8(v, space),
		    _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
		unsigned mask = (unsigned)_mm_movemask_epi8(stop);
		if (mask != 0)
			return at + __builtin_ctz(mask);
	}
#else
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	for (;; at += 8) {
		uint64_t v;
		memcpy(&v, at, sizeof v);
		uint64_t q = v ^ ones * '"', b = v ^ ones * '\\';
		/* a high bit for each byte that is 0 in q or b, below a space, or not ASCII */
		if ((((q - ones) & ~q) | ((b - ones) & ~b) | (v - ones * ' ') | v) & highs)
			break;
	}
	while (*at >= ' ' && *at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
#endif
}

/* The code unit of the \uXXXX at `at`, or -1. *ret_cut: only because bytes are missing. */
static int32_t
code_unit(const uint8_t *at, const uint8_t *end, bool *ret_cut)
{
	int32_t unit = 0;
	for (size_t i = 0; i < 6; i++) {
		uint8_t c = at[i], lower = c | 0x20;
		int digit = -1;
		if (i < 2)
			digit = c == (i == 0 ? '\\' : 'u') ? 0 : -1;
		else if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (lower >= 'a' && lower <= 'f')
			digit = lower - 'a' + 10;
		if (digit < 0) {
			*ret_cut = at + i == end;
			return -1;
		}
		unit = unit << 4 | digit;
	}
	return unit;
}

/* Behind the escape at `at`, a pair of surrogates being one; NULL if it is none. */
static const uint8_t *
skip_escape(const uint8_t *at, const uint8_t *end, bool *ret_cut)
{
	if (at[1] != 'u') {
		*ret_cut = at + 1 == end;
		return escapes[at[1]] ? at + 2 : NULL;
	}
	int32_t unit = code_unit(at, end, ret_cut);
	if (unit < 0)
		return NULL;
	if (unit < 0xd800 || unit > 0xdfff)
		return at + 6;
	if (unit > 0xdbff)
		return NULL; /* a low surrogate without its high one */
	unit = code_unit(at + 6, end, ret_cut);
	return unit >= 0xdc00 && unit <= 0xdfff ? at + 12 : NULL;
}

/* Behind the escape or UTF-8 sequence at `at`; NULL if there is none. */
static const uint8_t *
skip_special(const uint8_t *at, const uint8_t *end, bool *ret_cut)
{
	if (*at == '\\')
		return skip_escape(at, end, ret_cut);
	size_t left = (size_t)(end - at), len = utf8_sequence(at, left);
	if (len > 0 && *at >= 0x80)
		return at + len;
	*ret_cut = left == 0 || utf8_partial(at, left);
	return NULL;
}

/* --- the scan */

/* Where the scan is: kept in registers while it runs, in struct split between two windows. */
struct cursor {
	const uint8_t *at, *end;
	enum place place;
	enum token token; /* TOKEN_WAIT: nothing more to do with what is here */
};

static ALWAYS_INLINE void
scan_string(struct cursor *c)
{
	for (;;) {
		c->at = skip_plain(c->at);
		if (*c->at == '"') {
			c->at++;
			c->token = TOKEN_DONE;
			return;
		}
		bool cut = false;
		const uint8_t *behind = skip_special(c->at, c->end, &cut);
		if (behind == NULL) {
			c->token = cut ? TOKEN_WAIT : TOKEN_BAD;
			return;
		}
		c->at = behind;
	}
}

static ALWAYS_INLINE void
scan_number(struct cursor *c, enum number *number)
{
	enum number next;
	while ((next = numbers[*number][digits[*c->at]]) != N_REFUSE) {
		*number = next;
		c->at++;
	}
	if (c->at == c->end)
		c->token = TOKEN_WAIT;
	else
		c->token = number_ends[*number] ? TOKEN_DONE : TOKEN_BAD;
}

static ALWAYS_INLINE void
scan_literal(struct cursor *c)
{
	const char *word = *c->at == 't' ? "true" : *c->at == 'f' ? "false" : "null";
	size_t left = (size_t)(c->end - c->at), len = *c->at == 'f' ? 5 : 4;
	if (memcmp(c->at, word, len < left ? len : left) != 0) {
		c->token = TOKEN_BAD;
	} else if (left < len) {
		c->token = TOKEN_WAIT;
	} else {
		c->token = TOKEN_DONE;
		c->at += len;
	}
}

/* Begins a token or goes on with one. */
static ALWAYS_INLINE enum status
scan_token(struct split *s, struct cursor *c)
{
	enum place place = c->place;
	if (place == P_IN_NUMBER)
		scan_number(c, &s->number);
	else if (place == P_IN_LITERAL)
		scan_literal(c);
	else
		scan_string(c);
	if (c->token != TOKEN_DONE)
		return c->token == TOKEN_WAIT ? STATUS_OK : STATUS_UPSTREAM_MALFORMED;
	if (place != P_IN_NAME) {
		c->place = value_ends(s, c->at);
		return STATUS_OK;
	}
	c->place = P_COLON;
	return name_ends(s, c->at);
}

static ALWAYS_INLINE enum status
open_container(struct split *s, struct cursor *c, bool object)
{
	/* the array around the records is a level, too */
	if (s->depth + 1 >= LIMIT_JSON_DEPTH)
		return STATUS_UPSTREAM_TOO_LARGE;
	uint64_t bit = UINT64_C(1) << s->depth++;
	s->objects = object ? s->objects | bit : s->objects & ~bit;
	c->at++;
	return STATUS_OK;
}

static ALWAYS_INLINE enum status
close_container(struct split *s, struct cursor *c)
{
	c->at++;
	if (--s->depth == 0) {
		c->place = P_AFTER_RECORD;
		return record_ends(s, c->at);
	}
	c->place = value_ends(s, c->at);
	return STATUS_OK;
}

/* One byte between tokens, or the first of one. */
static ALWAYS_INLINE enum status
act(struct split *s, struct cursor *c)
{
	const struct rule *rule = &grammar[c->place][kinds[*c->at]];
	enum act what = rule->act;

	c->place = rule->next;
	switch (what) {
	case A_MOVE:
		c->at++;
		return STATUS_OK;
	case A_NAME:
		return name_begins(s, ++c->at);
	case A_STRING:
		value_begins(s, c->at++);
		return STATUS_OK;
	case A_TOKEN:
		s->number = N_BEGIN;
		value_begins(s, c->at);
		return STATUS_OK;
	case A_RECORD:
		record_begins(s, c->at);
		return open_container(s, c, true);
	case A_OBJECT:
	case A_LIST:
		value_begins(s, c->at);
		return open_container(s, c, what == A_OBJECT);
	case A_CLOSE:
		return close_container(s, c);
	case A_REFUSE:
		break;
	}
	return STATUS_UPSTREAM_MALFORMED;
}

static enum status
scan(struct split *s)
{
	struct cursor c = {
	    .at = s->window + s->at,
	    .end = s->window + s->end,
	    .place = s->place,
	};
	enum status st = STATUS_OK;
	while (st == STATUS_OK && c.at < c.end && c.token != TOKEN_WAIT) {
		if (c.place < PLACES)
			st = act(s, &c);
		else
			st = scan_token(s, &c);
	}
	s->at = (size_t)(c.at - s->window);
	s->place = c.place;
	return st;
}

/* --- the window */

/* Moves the record at hand, or what the scan still needs, to the front. */
static void
move_to_front(struct split *s)
{
	size_t from = s->in_record ? s->record : s->at;
	if (from == 0)
		return;
	memmove(s->window, s->window + from, s->end - from);
	s->end -= from;
	s->at -= from;
	s->record = 0;
	s->passed += from;
}

uint8_t *
split_window(struct split *s, size_t *ret_room)
{
	if (s->failed != STATUS_OK)
		return NULL;
	move_to_front(s);
	if (s->cap - s->end < ROOM_LEAST) {
		/* the record at hand is at most LIMIT_RECORD_BYTES: split_advance() saw to it */
		size_t cap = s->cap == 0 ? WINDOW_FIRST : s->cap * 2;
		uint8_t *window = realloc(s->window, cap + PAD);
		if (window == NULL) {
			s->failed = STATUS_NO_MEMORY;
			return NULL;
		}
		s->window = window;
		s->cap = cap;
	}
	*ret_room = s->cap - s->end;
	return s->window + s->end;
}

enum status
split_advance(struct split *s, size_t n)
{
	if (s->failed != STATUS_OK)
		return s->failed;
	assert(s->window != NULL && n <= s->cap - s->end);
	s->end += n;
	memset(s->window + s->end, 0, PAD);
	s->failed = scan(s);
	/* what is wrong behind the cap is not looked at, however the bytes arrived */
	bool over = s->in_record && s->at - s->record >= LIMIT_RECORD_BYTES;
	if (over && (s->failed == STATUS_OK || s->failed == STATUS_UPSTREAM_MALFORMED))
		s->failed = STATUS_UPSTREAM_TOO_LARGE;
	return s->failed;
}

enum status
split_finish(struct split *s)
{
	if (s->failed == STATUS_OK && s->place != P_END)
		s->failed = STATUS_UPSTREAM_BAD_DATA;
	return s->failed;
}

uint64_t
split_records(const struct split *s)
{
	return s->records;
}

uint64_t
split_offset(const struct split *s)
{
	return s->passed + s->at;
}
