#include "config.h"

#include <string.h>

#include "gateway/base/utf8.h"
#include "gateway/fetch/members.h"

/* --- strings */

/* Four hexadecimal digits; digits that are none count as 0. */
static uint32_t
hex4(const char *at)
{
	uint32_t value = 0;
	for (size_t i = 0; i < 4; i++) {
		uint32_t c = (uint8_t)at[i];
		uint32_t digit = c - '0' < 10 ? c - '0' : (c | 0x20) - 'a' + 10;
		value = value << 4 | (digit & 15);
	}
	return value;
}

static bool
is_surrogate(uint32_t unit, uint32_t first)
{
	return (unit & 0xfc00) == first;
}

/* \uXXXX or a pair of them; *at stands behind the 'u'. */
static uint32_t
unicode_escape(const char **at, const char *end)
{
	uint32_t unit = hex4(*at);
	*at += 4;
	if (is_surrogate(unit, 0xd800) && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
		uint32_t low = hex4(*at + 2);
		if (is_surrogate(low, 0xdc00)) {
			*at += 6;
			return 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff));
		}
	}
	return unit;
}

size_t
text_next(const char **at, const char *end, char ret_bytes[4])
{
	static const char letters[] = "bfnrt", means[] = "\b\f\n\r\t";

	if (*at >= end)
		return 0;
	char c = *(*at)++;
	if (c != '\\' || *at == end) {
		ret_bytes[0] = c; /* a byte of a longer sequence, too: one at a time */
		return 1;
	}
	c = *(*at)++;
	if (c == 'u' && end - *at >= 4)
		return utf8_write(unicode_escape(at, end), ret_bytes);
	const char *letter = c != '\0' ? strchr(letters, c) : NULL;
	ret_bytes[0] = letter != NULL ? means[letter - letters] : c;
	return 1;
}

bool
text_has_escapes(const char *text, size_t len)
{
	return memchr(text, '\\', len) != NULL;
}

/* The text's bytes one by one, unescaped. */
struct text_bytes {
	const char *at, *end;
	char bytes[4];
	size_t used, count;
};

static int
next_byte(struct text_bytes *t)
{
	if (t->used == t->count) {
		t->used = 0;
		t->count = text_next(&t->at, t->end, t->bytes);
		if (t->count == 0)
			return -1;
	}
	return (uint8_t)t->bytes[t->used++];
}

bool
text_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return true;
	/* an escape is longer than what it means */
	bool a_escaped = a_len >= b_len && text_has_escapes(a, a_len);
	bool b_escaped = b_len >= a_len && text_has_escapes(b, b_len);
	if (!a_escaped && !b_escaped)
		return false;
	struct text_bytes x = {.at = a, .end = a + a_len}, y = {.at = b, .end = b + b_len};
	int c;
	do {
		c = next_byte(&x);
		if (c != next_byte(&y))
			return false;
	} while (c >= 0);
	return true;
}

bool
text_of(const char *value, size_t len, const char **ret_text, size_t *ret_len)
{
	if (len < 2 || value[0] != '"')
		return false;
	*ret_text = value + 1;
	*ret_len = len - 2;
	return true;
}

const char *
text_close(const char *at, const char *end)
{
	const char *from = at;
	while (at < end) {
		const char *quote = memchr(at, '"', (size_t)(end - at));
		if (quote == NULL)
			return NULL;
		const char *before = quote;
		while (before > from && before[-1] == '\\')
			before--;
		if ((quote - before) % 2 == 0)
			return quote;
		at = quote + 1;
	}
	return NULL;
}

/* --- objects */

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
		at++;
	return at;
}

/* Behind an array or object, or NULL. Brackets are only counted: the text is valid. */
static const char *
skip_nested(const char *at, const char *end)
{
	size_t depth = 0;
	while (at < end) {
		char c = *at++;
		if (c == '"') {
			at = text_close(at, end);
			if (at == NULL)
				return NULL;
			at++;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && --depth == 0) {
			return at;
		}
	}
	return NULL;
}

/* Behind the value that begins at `at`, or NULL. */
static const char *
skip_value(const char *at, const char *end)
{
	if (at == end)
		return NULL;
	if (*at == '{' || *at == '[')
		return skip_nested(at, end);
	if (*at == '"') {
		const char *quote = text_close(at + 1, end);
		return quote != NULL ? quote + 1 : NULL;
	}
	const char *from = at;
	while (at < end && *at != ',' && *at != '}' && (unsigned char)*at > ' ')
		at++;
	return at > from ? at : NULL;
}

void
members_begin(struct member_walk *w, const char *object, size_t len)
{
	*w = (struct member_walk){.at = object, .end = object + len};
}

enum walk
members_next(struct member_walk *w, struct split_member *ret)
{
	/* '{' or ',' before the member, or '}' in place of it */
	const char *at = skip_space(w->at, w->end), *end = w->end;
	if (at == end)
		return WALK_BAD;
	char before = *at;
	if (before != '}' || !w->begun) {
		if (before != (w->begun ? ',' : '{'))
			return WALK_BAD;
		at = skip_space(at + 1, end);
	}
	if (at < end && *at == '}' && before != ',')
		return at + 1 == end ? WALK_END : WALK_BAD;
	if (at == end || *at != '"')
		return WALK_BAD;
	const char *name = at + 1, *quote = text_close(name, end);
	if (quote == NULL)
		return WALK_BAD;
	at = skip_space(quote + 1, end);
	if (at == end || *at != ':')
		return WALK_BAD;
	const char *value = skip_space(at + 1, end);
	at = skip_value(value, end);
	if (at == NULL || (size_t)(at - name) > UINT32_MAX)
		return WALK_BAD;
	*ret = (struct split_member){
	    .name = name,
	    .name_len = (uint32_t)(quote - name),
	    .value_len = (uint32_t)(at - value),
	    .value = value,
	};
	w->at = at;
	w->begun = true;
	return WALK_MEMBER;
}

bool
members_expect(struct member_walk *w, const char *intro, size_t intro_len, struct split_member *ret)
{
	const char *at = w->at;
	if ((size_t)(w->end - at) <= intro_len || *at != (w->begun ? ',' : '{') ||
	    memcmp(at + 1, intro + 1, intro_len - 1) != 0)
		return false;
	const char *value = at + intro_len, *behind = skip_value(value, w->end);
	if (behind == NULL || (size_t)(behind - at) > UINT32_MAX)
		return false;
	*ret = (struct split_member){
	    .name = at + 2,
	    .name_len = (uint32_t)(intro_len - (sizeof ",\"\":" - 1)),
	    .value_len = (uint32_t)(behind - value),
	    .value = value,
	};
	w->at = behind;
	w->begun = true;
	return true;
}

bool
members_find(const char *object, size_t len, const char *name, struct split_member *ret)
{
	struct member_walk w;
	struct split_member m, found = {.name = NULL};
	size_t name_len = strlen(name);
	enum walk walk;

	members_begin(&w, object, len);
	while ((walk = members_next(&w, &m)) == WALK_MEMBER)
		if (text_equal(m.name, m.name_len, name, name_len))
			found = m;
	if (walk != WALK_END || found.name == NULL)
		return false;
	*ret = found;
	return true;
}

const struct split_member *
members_in(const struct split_record *rec, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < rec->count; i++)
		if (text_equal(rec->members[i].name, rec->members[i].name_len, name, len))
			return &rec->members[i];
	return NULL;
}
