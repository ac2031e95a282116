#include "config.h"

#include <stdint.h>
#include <string.h>

#include "gateway/base/utf8.h"
#include "gateway/ops/ini.h"

void
ini_init(struct ini *ini, const char *text, size_t len)
{
	*ini = (struct ini){.at = text, .end = text + len};
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct ini_text
trimmed(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	while (at < end && is_blank(end[-1]))
		end--;
	return (struct ini_text){at, (size_t)(end - at)};
}

static struct ini_text
next_line(struct ini *ini)
{
	const char *newline = memchr(ini->at, '\n', (size_t)(ini->end - ini->at));
	const char *stop = newline != NULL ? newline : ini->end;
	struct ini_text line = trimmed(ini->at, stop);
	ini->at = newline != NULL ? newline + 1 : ini->end;
	ini->line++;
	return line;
}

static bool
is_plain_text(struct ini_text line)
{
	const uint8_t *at = (const uint8_t *)line.at;
	for (size_t i = 0, n; i < line.len; i += n) {
		n = utf8_sequence(at + i, line.len - i);
		if (n == 0 || (at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f)
			return false;
	}
	return true;
}

/* A blank and then the sign of a comment. */
static bool
has_comment_behind(struct ini_text value)
{
	for (size_t i = 1; i < value.len; i++)
		if ((value.at[i] == '#' || value.at[i] == ';') && is_blank(value.at[i - 1]))
			return true;
	return false;
}

static const char *
read_section(struct ini_text line, struct ini_item *item)
{
	item->kind = INI_SECTION;
	if (line.at[line.len - 1] != ']')
		return "the section does not end in ]; write it as [name] on a line of its own";
	struct ini_text inside = trimmed(line.at + 1, line.at + line.len - 1);
	const char *at = inside.at, *end = inside.at + inside.len;
	while (at < end && !is_blank(*at))
		at++;
	item->name = (struct ini_text){inside.at, (size_t)(at - inside.at)};
	item->sub = trimmed(at, end);
	if (item->sub.len > 0 && item->sub.at[0] == '"') {
		if (item->sub.len < 3 || item->sub.at[item->sub.len - 1] != '"')
			return "the section's quotes are not whole; write it as [name \"sub\"]";
		item->sub.at++;
		item->sub.len -= 2;
	}
	return item->name.len > 0 ? NULL : "the section has no name; write it as [name]";
}

static const char *
read_setting(struct ini_text line, struct ini_item *item)
{
	const char *equals = memchr(line.at, '=', line.len);
	item->kind = INI_SETTING;
	if (equals == NULL)
		return "neither a section, a setting nor a comment; write NAME = VALUE";
	item->name = trimmed(line.at, equals);
	item->value = trimmed(equals + 1, line.at + line.len);
	if (item->name.len == 0)
		return "there is no name before the =; write NAME = VALUE";
	if (has_comment_behind(item->value))
		return "there is a comment behind the value; give it a line of its own";
	if (item->value.len > 0 && item->value.at[0] == '"')
		return "the value stands in quotes; write it without";
	return NULL;
}

bool
ini_next(struct ini *ini, struct ini_item *ret)
{
	while (ini->at < ini->end) {
		struct ini_text line = next_line(ini);
		if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
			continue;
		struct ini_item item = {.line = ini->line, .section = line.at[0] == '['};
		if (!is_plain_text(line))
			item.problem = "the line has control characters or is not UTF-8; "
				       "save the file as plain UTF-8";
		else if (line.at[0] == '[')
			item.problem = read_section(line, &item);
		else
			item.problem = read_setting(line, &item);
		if (item.problem != NULL)
			item.kind = INI_BAD;
		*ret = item;
		return true;
	}
	return false;
}
