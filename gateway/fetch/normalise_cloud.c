#include "config.h"

#include <string.h>

#include "gateway/fetch/members.h"
#include "gateway/fetch/normalise_cloud.h"

struct label {
	const char *label, *name;
};

static const struct label labels[] = {
#define LABEL(label, name) {label, name},
#include "gateway/fetch/normalise_table.h"
#undef LABEL
};

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

/* Part of a word: what is not ASCII is taken for a letter. */
static bool
is_word(char c)
{
	return is_upper(c) || is_lower(c) || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* --- from text to object */

struct piece {
	const char *at;
	size_t len;
};

static const char *
skip_spaces(const char *at, const char *end)
{
	while (at < end && *at == ' ')
		at++;
	return at;
}

/* A single-quoted word at *at; moves on behind it and the spaces after it. */
static bool
quoted(const char **at, const char *end, struct piece *ret)
{
	if (*at == end || **at != '\'')
		return false;
	const char *from = *at + 1;
	const char *quote = memchr(from, '\'', (size_t)(end - from));
	if (quote == NULL)
		return false;
	*ret = (struct piece){from, (size_t)(quote - from)};
	*at = skip_spaces(quote + 1, end);
	return true;
}

/* The character `c` at *at; moves on behind it and the spaces after it. */
static bool
sign(const char **at, const char *end, char c)
{
	if (*at == end || **at != c)
		return false;
	*at = skip_spaces(*at + 1, end);
	return true;
}

/* lowerCamel: words stand where the label has something that is no letter or digit between them;
 * a word all in capitals is an abbreviation. */
static void
write_camel(const struct piece *label, struct buf *out)
{
	const char *at = label->at, *end = at + label->len;
	bool first = true;
	while (at < end) {
		const char *word = at;
		bool lower = false;
		while (at < end && is_word(*at))
			lower = is_lower(*at++) || lower;
		for (const char *c = word; c < at; c++) {
			bool up = c == word ? !first : lower && is_upper(*c);
			if (up && is_lower(*c))
				buf_byte(out, (char)(*c - 'a' + 'A'));
			else if (!up && is_upper(*c))
				buf_byte(out, (char)(*c - 'A' + 'a'));
			else
				buf_byte(out, *c);
		}
		first = first && at == word;
		while (at < end && !is_word(*at))
			at++;
	}
}

static void
write_name(const struct piece *label, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (strlen(labels[i].label) == label->len &&
		    memcmp(labels[i].label, label->at, label->len) == 0) {
			buf_str_add(out, labels[i].name);
			return;
		}
	write_camel(label, out);
}

/* Whether one of the names at out[froms[i]] of length lens[i] is the last of them. */
static bool
seen_before(const struct buf *out, const size_t *froms, const size_t *lens, size_t last)
{
	for (size_t i = 0; i < last; i++)
		if (lens[i] == lens[last] &&
		    memcmp(out->data + froms[i], out->data + froms[last], lens[i]) == 0)
			return true;
	return false;
}

static bool
write_pairs(const char *at, const char *end, struct buf *out)
{
	size_t froms[CLOUD_PAIRS], lens[CLOUD_PAIRS];

	for (size_t n = 0;; n++) {
		struct piece label, value;
		if (n == CLOUD_PAIRS || !quoted(&at, end, &label) || !sign(&at, end, ':') ||
		    !quoted(&at, end, &value))
			return false;
		buf_str_add(out, n > 0 ? ",\"" : "\"");
		froms[n] = out->len;
		write_name(&label, out);
		if (out->err != STATUS_OK)
			return true; /* the caller of the callers will see it */
		lens[n] = out->len - froms[n];
		if (lens[n] == 0 || seen_before(out, froms, lens, n))
			return false;
		buf_str_add(out, "\":");
		if (value.len == 4 && memcmp(value.at, "null", 4) == 0) {
			buf_str_add(out, "null");
		} else {
			buf_byte(out, '"');
			buf_add(out, value.at, value.len);
			buf_byte(out, '"');
		}
		if (sign(&at, end, '}'))
			return at == end;
		if (!sign(&at, end, ','))
			return false;
	}
}

bool
cloud_object_write(const char *text, size_t len, struct buf *out)
{
	const char *at = text, *end = text + len;
	size_t mark = out->len;

	if (text_has_escapes(text, len) || !sign(&at, end, '{'))
		return false;
	buf_byte(out, '{');
	bool good = sign(&at, end, '}') ? at == end : write_pairs(at, end, out);
	buf_byte(out, '}');
	if (!good)
		out->len = mark;
	return good;
}

/* --- from object to text */

/* The label that the name came from, or would have come from: words begin at capitals. A name with
 * escapes stays: their digits are no words. */
static void
write_label(const struct split_member *m, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (strlen(labels[i].name) == m->name_len &&
		    memcmp(labels[i].name, m->name, m->name_len) == 0) {
			buf_str_add(out, labels[i].label);
			return;
		}
	if (text_has_escapes(m->name, m->name_len)) {
		buf_add(out, m->name, m->name_len);
		return;
	}
	for (size_t i = 0; i < m->name_len; i++) {
		char c = m->name[i];
		if (i > 0 && is_upper(c))
			buf_byte(out, ' ');
		buf_byte(out, i == 0 && is_lower(c) ? (char)(c - 'a' + 'A') : c);
	}
}

bool
cloud_text_write(const char *object, size_t len, struct buf *out)
{
	struct member_walk w;
	struct split_member m;
	enum walk walk;
	size_t mark = out->len;
	bool first = true;

	buf_str_add(out, "\"{");
	members_begin(&w, object, len);
	while ((walk = members_next(&w, &m)) == WALK_MEMBER) {
		const char *value = "null";
		size_t value_len = 4;
		if ((m.value_len != 4 || memcmp(m.value, "null", 4) != 0) &&
		    !text_of(m.value, m.value_len, &value, &value_len))
			break;
		buf_str_add(out, first ? "'" : ", '");
		write_label(&m, out);
		buf_str_add(out, "':'");
		buf_add(out, value, value_len);
		buf_byte(out, '\'');
		first = false;
	}
	buf_str_add(out, "}\"");
	if (walk != WALK_END)
		out->len = mark;
	return walk == WALK_END;
}
