#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulator/apis.h"
#include "tests/simulator/dates.h"
#include "tests/simulator/lists.h"
#include "tests/simulator/options.h"

enum kind { KIND_NUMBER, KIND_FLAG, KIND_CHOICE, KIND_TEXT };
enum when { WHEN_START, WHEN_LIVE };

struct row {
	const char *name;
	enum kind kind;
	enum when when;
	size_t offset;
	const char *def;
	int64_t least, most;
	const char *choices;
	const char *help;
};

static const struct row table[] = {
#define AT(field) offsetof(struct options, field)
#define NUMBER(field, name, when, def, least, most, help)                                          \
	{name, KIND_NUMBER, WHEN_##when, AT(field), #def, least, most, NULL, help},
#define FLAG(field, name, when, def, help)                                                         \
	{name, KIND_FLAG, WHEN_##when, AT(field), #def, 0, 1, NULL, help},
#define CHOICE(field, name, when, def, choices, help)                                              \
	{name, KIND_CHOICE, WHEN_##when, AT(field), def, 0, 0, choices, help},
#define TEXT(field, name, when, def, help)                                                         \
	{name, KIND_TEXT, WHEN_##when, AT(field), def, 0, 0, NULL, help},
#include "tests/simulator/options_table.h"
#undef NUMBER
#undef FLAG
#undef CHOICE
#undef TEXT
#undef AT
};
#define ROWS (sizeof(table) / sizeof(table[0]))

static const struct row *
find(const char *name, size_t len)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

static int64_t
number_of(const struct options *o, const struct row *row)
{
	int64_t value;
	memcpy(&value, (const char *)o + row->offset, sizeof(value));
	return value;
}

static void
set_number(struct options *o, const struct row *row, int64_t value)
{
	memcpy((char *)o + row->offset, &value, sizeof(value));
}

/* The position of a word in "one|two|three", or -1. */
static int64_t
choice_find(const char *choices, const char *word)
{
	size_t len = strlen(word);
	int64_t at = 0;
	for (const char *p = choices;; at++) {
		size_t n = strcspn(p, "|");
		if (n == len && memcmp(p, word, n) == 0)
			return at;
		if (p[n] == '\0')
			return -1;
		p += n + 1;
	}
}

static void
choice_name(const char *choices, int64_t at, struct sbuf *text)
{
	const char *p = choices;
	while (at-- > 0)
		p += strcspn(p, "|") + 1;
	sbuf_printf(text, "\"%.*s\"", (int)strcspn(p, "|"), p);
}

static const char *
set_from_number(struct options *o, const struct row *row, const char *text)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0)
		return "not a number";
	if (value < row->least || value > row->most)
		return "out of range";
	set_number(o, row, value);
	return NULL;
}

static const char *
set_from_flag(struct options *o, const struct row *row, const char *text)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
		set_number(o, row, 1);
	else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
		set_number(o, row, 0);
	else
		return "not true, false, 1 or 0";
	return NULL;
}

static const char *
set_from_choice(struct options *o, const struct row *row, const char *text)
{
	int64_t at = choice_find(row->choices, text);
	if (at < 0)
		return "not one of its choices";
	set_number(o, row, at);
	return NULL;
}

static bool
is_date(const char *text)
{
	struct date_bound ignored;
	return date_parse(text, &ignored);
}

static bool
is_date_or_empty(const char *text)
{
	return text[0] == '\0' || is_date(text);
}

/* 4.0 or postureInfo/4.0: a digit, a point, a zero. A misspelt item would retire nothing, silently.
 */
static bool
is_version(char *item)
{
	char *slash = strchr(item, '/');
	const char *version = slash != NULL ? slash + 1 : item;
	if (strlen(version) != 3 || strspn(version, "123456789") != 1 ||
	    strcmp(version + 1, ".0") != 0)
		return false;
	if (slash == NULL)
		return true;
	*slash = '\0';
	enum api api = api_find(item);
	return api == API_POLICY_LIST || api == API_HOSTIDS || api == API_POSTURE_INFO;
}

static bool
are_versions(const char *text)
{
	char item[32];
	for (const char *at = text[0] != '\0' ? text : NULL; list_next(&at, item, sizeof(item));)
		if (!is_version(item))
			return false;
	return true;
}

static const struct {
	size_t offset;
	bool (*good)(const char *text);
	const char *wrong;
} checks[] = {
    {offsetof(struct options, epoch), is_date, "not a date"},
    {offsetof(struct options, now), is_date_or_empty, "not a date"},
    {offsetof(struct options, retired), are_versions,
	"not a list of versions such as 3.0,postureInfo/4.0"},
};

static const char *
set_from_text(struct options *o, const struct row *row, const char *text)
{
	size_t len = strlen(text);
	if (len >= OPTION_TEXT_BYTES)
		return "too long";
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].offset == row->offset && !checks[i].good(text))
			return checks[i].wrong;
	memcpy((char *)o + row->offset, text, len + 1);
	return NULL;
}

static const char *
set_row(struct options *o, const struct row *row, const char *text)
{
	switch (row->kind) {
	case KIND_NUMBER:
		return set_from_number(o, row, text);
	case KIND_FLAG:
		return set_from_flag(o, row, text);
	case KIND_CHOICE:
		return set_from_choice(o, row, text);
	case KIND_TEXT:
		return set_from_text(o, row, text);
	}
	return "no such kind";
}

const char *
options_set(struct options *o, const char *name, const char *text, bool live)
{
	const struct row *row = find(name, strlen(name));
	if (row == NULL)
		return "no such option";
	if (live && row->when != WHEN_LIVE)
		return "only the command line sets this";
	return set_row(o, row, text);
}

void
options_default(struct options *ret_options)
{
	*ret_options = (struct options){0};
	for (size_t i = 0; i < ROWS; i++)
		if (set_row(ret_options, &table[i], table[i].def) != NULL)
			abort(); /* a row whose own default is wrong */
}

static void
print_help(void)
{
	puts("Usage: posturegate-simulator [OPTION]...\n"
	     "A simulated upstream on 127.0.0.1. It prints one line when it listens,\n"
	     "  ready: http://127.0.0.1:PORT control: http://127.0.0.1:PORT\n"
	     "and ends on SIGTERM or SIGINT. Options marked * also change through POST /set.\n");
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &table[i];
		printf("  --%s%s%s%s\n        %s (%s)\n", row->kind == KIND_FLAG ? "[no-]" : "",
		    row->name,
		    row->kind == KIND_FLAG     ? ""
		    : row->kind == KIND_CHOICE ? " "
					       : " VALUE",
		    row->kind == KIND_CHOICE ? row->choices : "", row->help, row->def);
		if (row->when == WHEN_LIVE)
			printf("        *\n");
	}
}

/* One argument of the command line; *next is the one behind it and is set to NULL if it was used.
 */
static const char *
parse_one(struct options *o, const char *arg, const char **next)
{
	if (strncmp(arg, "--", 2) != 0)
		return "not an option";
	arg += 2;
	size_t len = strcspn(arg, "=");
	const struct row *row = find(arg, len);
	if (row == NULL && strncmp(arg, "no-", 3) == 0) {
		row = find(arg + 3, len - 3);
		return row != NULL && row->kind == KIND_FLAG && arg[len] == '\0'
			   ? set_row(o, row, "0")
			   : "no such option";
	}
	if (row == NULL)
		return "no such option";
	if (arg[len] == '=')
		return set_row(o, row, arg + len + 1);
	if (row->kind == KIND_FLAG)
		return set_row(o, row, "1");
	if (*next == NULL)
		return "a value is missing";
	const char *value = *next;
	*next = NULL;
	return set_row(o, row, value);
}

int
options_parse(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help();
			return 1;
		}
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		const char *had = next;
		const char *wrong = parse_one(o, argv[i], &next);
		if (wrong != NULL) {
			fprintf(
			    stderr, "posturegate-simulator: %s: %s (see --help)\n", argv[i], wrong);
			return 2;
		}
		if (had != next)
			i++;
	}
	return 0;
}

void
options_json(const struct options *o, struct sbuf *text)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &table[i];
		sbuf_text(text, i == 0 ? "{" : ",");
		sbuf_json(text, row->name);
		sbuf_text(text, ":");
		if (row->kind == KIND_TEXT)
			sbuf_json(text, (const char *)o + row->offset);
		else if (row->kind == KIND_CHOICE)
			choice_name(row->choices, number_of(o, row), text);
		else if (row->kind == KIND_FLAG)
			sbuf_text(text, number_of(o, row) != 0 ? "true" : "false");
		else
			sbuf_printf(text, "%" PRId64, number_of(o, row));
	}
	sbuf_text(text, "}");
}
