/* From files and --set to struct settings: entries are read in order, each checked by its row of
 * settings_table.h and stored over what was there; then what depends on several of them is
 * checked. Every step goes on after a fault, so that all of them are told. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/arena.h"
#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/base/digits.h"
#include "gateway/base/limits.h"
#include "gateway/ops/ini.h"
#include "gateway/ops/settings.h"
#include "gateway/ops/value.h"

#define FILE_BYTES (4 * MIB)      /* of one settings file */
#define SETTINGS_BYTES (64 * MIB) /* of all that is kept */
#define NAME_BYTES 64             /* of a setting's name that a guess is made for */
/* Workers beyond the connections that nginx keeps: they answer those it opens anew. */
#define WORKER_HEADROOM 32

/* --- the table */

enum section {
	SECTION_gateway,
	SECTION_cache,
	SECTION_request,
	SECTION_upstream,
	SECTION_PLAIN, /* the number of plain sections */
	SECTION_policy = SECTION_PLAIN,
	SECTION_consumer,
	SECTION_warm,
	SECTION_lifecycle, /* this and the next have no rows: their names are not fixed */
	SECTION_cutoff,
	SECTION_COUNT
};

static const char *const section_names[SECTION_COUNT] = {
    [SECTION_gateway] = "gateway",
    [SECTION_cache] = "cache",
    [SECTION_request] = "request",
    [SECTION_upstream] = "upstream",
    [SECTION_policy] = "cache \"policy N\"",
    [SECTION_consumer] = "consumer NAME",
    [SECTION_warm] = "warm NAME",
    [SECTION_lifecycle] = "lifecycle",
    [SECTION_cutoff] = "cutoff",
};

enum row_id {
#define SETTING(section, name, type, member, dflt, least, most, help) ROW_##section##_##name,
#define LIST(section, name, type, member, count, dflt, most, help) ROW_##section##_##name,
#include "gateway/ops/settings_table.h"
	ROW_COUNT
};

/* Where the members of a section are. */
#define BASE_gateway struct settings
#define BASE_cache struct settings
#define BASE_request struct settings
#define BASE_upstream struct settings
#define BASE_policy struct settings_policy_freshness
#define BASE_consumer struct settings_consumer
#define BASE_warm struct settings_warm

/* What a type is stored as; store() relies on it. */
#define STORED_STRING const char *
#define STORED_PATH const char *
#define STORED_URL const char *
#define STORED_LINK const char *
#define STORED_BOOL bool
#define STORED_NUMBER uint64_t
#define STORED_DURATION int64_t
#define STORED_SIZE uint64_t
#define STORED_DATE int64_t
#define STORED_CHOICE unsigned
#define STORED_VERSIONS const char *const *
#define STORED_ORIGINS const char *const *
#define STORED_KEYS uint8_t(*)[SHA256_BYTES]
#define STORED_POLICIES const uint64_t *

#define MEMBER(section, member) (((BASE_##section *)NULL)->member)
#define IS_STORED(section, type, member)                                                           \
	_Static_assert(_Generic(MEMBER(section, member), STORED_##type : 1, default : 0),          \
	    #section "." #member " has another type in the table than in the struct");
#define SETTING(section, name, type, member, dflt, least, most, help)                              \
	IS_STORED(section, type, member)
#define LIST(section, name, type, member, count, dflt, most, help) IS_STORED(section, type, member)
#include "gateway/ops/settings_table.h"

static const struct value_word words[] = {
#define WORD(name, word, value) {#name, word, value},
#include "gateway/ops/settings_table.h"
};

#define DAYS(n) ((uint64_t)(n)*86400000)
#define HOURS(n) ((uint64_t)(n)*3600000)

struct row {
	enum section section;
	struct value_spec spec;
	size_t at, count_at; /* offsets in the section's struct */
	const char *dflt, *help;
};

static const struct row rows[ROW_COUNT] = {
#define SETTING(section, name, type, member, dflt, least, most, help)                              \
	{SECTION_##section, {VALUE_##type, #name, least, most, words, ARRAY_LEN(words)},           \
	    offsetof(BASE_##section, member), 0, dflt, help},
#define LIST(section, name, type, member, count, dflt, most, help)                                 \
	{SECTION_##section, {VALUE_##type, #name, 0, most, words, ARRAY_LEN(words)},               \
	    offsetof(BASE_##section, member), offsetof(BASE_##section, count), dflt, help},
#include "gateway/ops/settings_table.h"
};

/* --- what is being loaded */

struct loaded {
	struct settings s; /* first: settings_free() is given this member */
	struct arena arena;
};

/* Where a setting was given; `where` is NULL while it is at its default. */
struct origin {
	const char *where;
	size_t layer; /* which file or --set */
	bool bad;     /* was told: what depends on it is not checked */
};

/* The settings of one section, subsection by subsection. */
struct group {
	struct group *next;
	enum section section;
	const char *name, *where; /* of the subsection and its first header */
	union {
		struct settings *s;
		struct settings_policy_freshness *policy;
		struct settings_consumer *consumer;
		struct settings_warm *warm;
		void *base;
	};
	struct origin origins[ROW_COUNT];
};

struct lifecycle_item {
	struct lifecycle_item *next;
	struct settings_lifecycle entry;
	struct origin origin;
};

struct cutoff_item {
	struct cutoff_item *next;
	struct settings_cutoff entry;
	struct origin origin;
};

struct loader {
	struct arena *arena;
	FILE *complaints;
	size_t complaint_count;
	size_t layer;
	struct settings *s;
	struct group plain[SECTION_PLAIN];
	struct group *groups; /* policies, consumers and warm lists, in order of appearance */
	struct lifecycle_item *lifecycle;
	struct cutoff_item *cutoffs;
};

static void complain(struct loader *l, const char *where, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
complain(struct loader *l, const char *where, const char *fmt, ...)
{
	int error = errno; /* for %m */
	va_list args;
	va_start(args, fmt);
	fprintf(l->complaints, "%s: ", where);
	errno = error;
	vfprintf(l->complaints, fmt, args);
	fputc('\n', l->complaints);
	va_end(args);
	l->complaint_count++;
}

/* --- guesses */

static size_t
smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

/* Levenshtein's distance of two names of at most NAME_BYTES. */
static size_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t line[NAME_BYTES + 1];
	for (size_t j = 0; j <= b_len; j++)
		line[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = line[0];
		line[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t above = line[j];
			line[j] =
			    smallest(above + 1, line[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return line[b_len];
}

/* The name of the section that is nearest, if it is near at all. */
static const char *
nearest_name(enum section section, struct ini_text name)
{
	const char *nearest = NULL;
	size_t best = name.len / 3 + 1; /* one slip in a short name, some in a long one */
	if (name.len > NAME_BYTES)
		return NULL;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const char *known = rows[i].spec.name;
		size_t away = rows[i].section == section
				  ? distance(name.at, name.len, known, strlen(known))
				  : SIZE_MAX;
		if (away <= best && (nearest == NULL || away < best)) {
			nearest = known;
			best = away;
		}
	}
	return nearest;
}

static bool
text_is(struct ini_text text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

static enum section
section_with(struct ini_text name)
{
	size_t i = 0;
	while (i < ROW_COUNT && !text_is(name, rows[i].spec.name))
		i++;
	return i < ROW_COUNT ? rows[i].section : SECTION_COUNT;
}

static void
complain_unknown(struct loader *l, const char *where, enum section section, struct ini_text name)
{
	const char *near = nearest_name(section, name);
	enum section other = section_with(name);
	if (other < SECTION_COUNT)
		complain(l, where, "this setting is none of [%s]; it belongs in [%s]",
		    section_names[section], section_names[other]);
	else if (near != NULL)
		complain(l, where, "there is no such setting in [%s]; did you mean %s?",
		    section_names[section], near);
	else
		complain(l, where, "there is no such setting in [%s]; see posturegate.conf(5)",
		    section_names[section]);
}

/* --- storing */

static void
store(void *base, const struct row *row, const struct value *v)
{
	void *at = (char *)base + row->at;
	struct settings_consumer *consumer = base; /* of the types that only it has */

	switch (row->spec.type) {
	case VALUE_STRING:
	case VALUE_PATH:
	case VALUE_URL:
	case VALUE_LINK:
		*(const char **)at = v->text;
		break;
	case VALUE_BOOL:
		*(bool *)at = v->number != 0;
		break;
	case VALUE_NUMBER:
	case VALUE_SIZE:
		*(uint64_t *)at = v->number;
		break;
	case VALUE_DURATION:
		*(int64_t *)at = (int64_t)v->number;
		break;
	case VALUE_DATE:
		*(int64_t *)at = v->date;
		break;
	case VALUE_CHOICE:
		*(unsigned *)at = (unsigned)v->number;
		break;
	case VALUE_VERSIONS:
	case VALUE_ORIGINS:
		*(const char *const **)at = v->list;
		*(size_t *)(void *)((char *)base + row->count_at) = (size_t)v->number;
		break;
	case VALUE_KEYS:
		memcpy(consumer->keys, v->keys, sizeof consumer->keys);
		consumer->key_count = (unsigned)v->number;
		break;
	case VALUE_POLICIES:
		consumer->all_policies = v->all;
		consumer->policies = v->ids;
		consumer->policy_count = (size_t)v->number;
		break;
	}
}

/* A policy's duration that is not given: [cache] has it. */
#define DURATION_NONE (-1)

static void
store_default(struct loader *l, void *base, const struct row *row)
{
	const char *text = row->dflt;
	struct value v = {.date = INT64_MAX, .text = ""};
	if (row->section == SECTION_policy)
		v.number = (uint64_t)DURATION_NONE;
	else if (*text != '\0' && !value_read(l->arena, &row->spec, text, strlen(text), &v))
		assert(arena_failed(l->arena)); /* else the table contradicts itself */
	store(base, row, &v);
}

static void
store_defaults(struct loader *l, enum section section, void *base)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].section == section)
			store_default(l, base, &rows[i]);
}

/* --- one setting */

/* True if the setting may be given here; its place is remembered. */
static bool
claim(struct loader *l, struct origin *o, const char *where)
{
	bool again = o->where != NULL && o->layer == l->layer;
	if (again)
		complain(l, where, "this was set at %s already; keep one of the two", o->where);
	else
		*o = (struct origin){.where = where, .layer = l->layer};
	return !again;
}

static void
set_row(struct loader *l, struct group *g, size_t id, const char *where, struct ini_text text)
{
	const struct row *row = &rows[id];
	struct origin *o = &g->origins[id];
	struct value v;

	if (!claim(l, o, where))
		return;
	if (text.len == 0 && *row->dflt == '\0') {
		store_default(l, g->base, row);
	} else if (value_read(l->arena, &row->spec, text.at, text.len, &v)) {
		store(g->base, row, &v);
	} else {
		const char *wanted = value_wanted(l->arena, &row->spec);
		o->bad = true;
		complain(l, where, "%s is not valid; it must be %s", row->spec.name,
		    wanted != NULL ? wanted : "");
	}
}

/* ROW_COUNT if the section has no setting of that name. */
static size_t
find_row(enum section section, struct ini_text name)
{
	size_t id = 0;
	while (
	    id < ROW_COUNT && (rows[id].section != section || !text_is(name, rows[id].spec.name)))
		id++;
	return id;
}

static void
set_named(struct loader *l, struct group *g, const char *where, struct ini_text name,
    struct ini_text text)
{
	size_t id = find_row(g->section, name);
	if (id < ROW_COUNT)
		set_row(l, g, id, where, text);
	else
		complain_unknown(l, where, g->section, name);
}

/* --- lifecycle: "API VERSION = DATE DATE" or "= active" */

static struct ini_text
first_word(struct ini_text text, struct ini_text *ret_rest)
{
	size_t len = 0, rest;
	while (len < text.len && text.at[len] != ' ' && text.at[len] != '\t')
		len++;
	for (rest = len; rest < text.len && (text.at[rest] == ' ' || text.at[rest] == '\t');)
		rest++;
	*ret_rest = (struct ini_text){text.at + rest, text.len - rest};
	return (struct ini_text){text.at, len};
}

/* A date alone is its last second: the version still counts on that day. */
static bool
read_last_second(struct ini_text text, int64_t *ret_s)
{
	bool date_only;
	if (!clock_parse(text.at, text.len, ret_s, &date_only))
		return false;
	if (date_only)
		*ret_s += 24 * 60 * 60 - 1;
	return true;
}

static bool
read_life(struct ini_text text, struct settings_lifecycle *e)
{
	struct ini_text eol, eos = first_word(text, &eol);
	e->eos_s = e->eol_s = INT64_MAX;
	return text_is(text, "active") ||
	       (read_last_second(eos, &e->eos_s) && read_last_second(eol, &e->eol_s) &&
		   e->eos_s <= e->eol_s);
}

static const char *
known_api(struct ini_text name)
{
	static const char *const apis[] = {"postureInfo", "hostids", "policyList"};
	for (size_t i = 0; i < ARRAY_LEN(apis); i++)
		if (text_is(name, apis[i]))
			return apis[i];
	return NULL;
}

static bool
read_version(struct loader *l, struct ini_text text, const char **ret)
{
	static const struct value_spec spec = {VALUE_VERSIONS, "version", 1, 1, NULL, 0};
	struct value v;
	if (!value_read(l->arena, &spec, text.at, text.len, &v))
		return false;
	*ret = v.list[0];
	return true;
}

static struct lifecycle_item *
find_lifecycle(struct loader *l, const char *api, const char *version)
{
	struct lifecycle_item **last = &l->lifecycle;
	for (; *last != NULL; last = &(*last)->next)
		if (strcmp((*last)->entry.api, api) == 0 &&
		    strcmp((*last)->entry.version, version) == 0)
			return *last;
	struct lifecycle_item *item = arena_alloc(l->arena, sizeof *item);
	if (item != NULL) {
		item->entry = (struct settings_lifecycle){.api = api, .version = version};
		*last = item;
	}
	return item;
}

static void
set_lifecycle(struct loader *l, const char *where, struct ini_text name, struct ini_text text)
{
	struct ini_text version_text, api_text = first_word(name, &version_text);
	const char *api = known_api(api_text), *version;
	struct settings_lifecycle life;

	if (api == NULL || !read_version(l, version_text, &version)) {
		complain(l, where,
		    "the name is no API and version; write postureInfo, hostids or policyList "
		    "and a version such as 4.0");
		return;
	}
	struct lifecycle_item *item = find_lifecycle(l, api, version);
	if (item == NULL || !claim(l, &item->origin, where))
		return;
	if (!read_life(text, &life)) {
		complain(l, where,
		    "the dates are not valid; write the end of support and the end of life, in "
		    "this order, such as 2026-05-31 2026-11-30, or active");
		return;
	}
	item->entry.eos_s = life.eos_s;
	item->entry.eol_s = life.eol_s;
}

/* --- cutoff: "VERSION = DATE" */

static struct cutoff_item *
find_cutoff(struct loader *l, const char *version)
{
	struct cutoff_item **last = &l->cutoffs;
	for (; *last != NULL; last = &(*last)->next)
		if (strcmp((*last)->entry.version, version) == 0)
			return *last;
	struct cutoff_item *item = arena_alloc(l->arena, sizeof *item);
	if (item != NULL) {
		item->entry = (struct settings_cutoff){version, INT64_MAX};
		*last = item;
	}
	return item;
}

/* An empty value takes back what an earlier file gave. */
static void
set_cutoff(struct loader *l, const char *where, struct ini_text name, struct ini_text text)
{
	const char *version;
	int64_t from_s = INT64_MAX;
	bool date_only;

	if (!read_version(l, name, &version)) {
		complain(l, where, "the name is no version; write one such as 4.0");
		return;
	}
	struct cutoff_item *item = find_cutoff(l, version);
	if (item == NULL || !claim(l, &item->origin, where))
		return;
	if (text.len > 0 && !clock_parse(text.at, text.len, &from_s, &date_only)) {
		complain(l, where,
		    "the date is not valid; write when the version ends here, such as 2027-01-31 "
		    "or 2027-01-31T00:00:00Z");
		return;
	}
	item->entry.from_s = from_s;
}

/* --- sections */

/* Where the settings that follow go: nowhere behind a section that was told to be wrong. */
struct place {
	enum section section; /* SECTION_COUNT: nowhere */
	struct group *group;
	bool begun; /* there was a section at all */
};

static void *
new_base(struct loader *l, enum section section)
{
	static const size_t sizes[SECTION_COUNT] = {
	    [SECTION_policy] = sizeof(struct settings_policy_freshness),
	    [SECTION_consumer] = sizeof(struct settings_consumer),
	    [SECTION_warm] = sizeof(struct settings_warm),
	};
	void *base = arena_alloc(l->arena, sizes[section]);
	if (base != NULL)
		store_defaults(l, section, base);
	return base;
}

/* The group of a policy, consumer or warm list, made if it is new. NULL if the arena is exhausted. */
static struct group *
find_group(struct loader *l, enum section section, struct ini_text name, const char *where)
{
	struct group **last = &l->groups;
	for (; *last != NULL; last = &(*last)->next)
		if ((*last)->section == section && text_is(name, (*last)->name))
			return *last;
	struct group *g = arena_alloc(l->arena, sizeof *g);
	if (g == NULL)
		return NULL;
	g->section = section;
	g->where = where;
	g->name = arena_dup(l->arena, name.at, name.len);
	g->base = new_base(l, section);
	if (g->name == NULL || g->base == NULL)
		return NULL;
	*last = g;
	return g;
}

static struct group *
enter_policy(struct loader *l, const char *where, struct ini_text sub)
{
	struct ini_text id_text, word = first_word(sub, &id_text);
	uint64_t id;
	if (!text_is(word, "policy") || !digits_read(id_text.at, id_text.len, 1, INT64_MAX, &id)) {
		complain(l, where, "this names no policy; write [cache \"policy 123\"]");
		return NULL;
	}
	struct group *g = find_group(l, SECTION_policy, id_text, where);
	if (g != NULL)
		g->policy->policy = id;
	return g;
}

/* Of a consumer or a warm list. */
static bool
is_name(struct ini_text name)
{
	static const char good[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	for (size_t i = 0; i < name.len; i++)
		if (memchr(good, name.at[i], sizeof good - 1) == NULL)
			return false;
	return name.len >= 1 && name.len <= NAME_BYTES;
}

static struct group *
enter_consumer(struct loader *l, const char *where, struct ini_text sub)
{
	if (!is_name(sub)) {
		/* no dot: the key is NAME.SECRET */
		complain(l, where,
		    "this names no consumer; write [consumer NAME] with at most %d letters, "
		    "digits, _ and -",
		    NAME_BYTES);
		return NULL;
	}
	struct group *g = find_group(l, SECTION_consumer, sub, where);
	if (g != NULL)
		g->consumer->name = g->name;
	return g;
}

static struct group *
enter_warm(struct loader *l, const char *where, struct ini_text sub)
{
	if (!is_name(sub)) {
		complain(l, where,
		    "this names nothing to keep warm; write [warm NAME] with at most %d letters, "
		    "digits, _ and -",
		    NAME_BYTES);
		return NULL;
	}
	struct group *g = find_group(l, SECTION_warm, sub, where);
	if (g != NULL) {
		g->warm->name = g->name;
		g->warm->where = g->where;
	}
	return g;
}

static struct group *
enter_plain(struct loader *l, const char *where, struct ini_text name)
{
	for (size_t i = 0; i < SECTION_PLAIN; i++)
		if (text_is(name, section_names[i]))
			return &l->plain[i];
	complain(l, where,
	    "there is no such section; write [gateway], [cache], [cache \"policy N\"], [request], "
	    "[upstream], [lifecycle], [cutoff], [consumer NAME] or [warm NAME]");
	return NULL;
}

static struct place
enter(struct loader *l, const char *where, const struct ini_item *item)
{
	struct place place = {.section = SECTION_COUNT, .begun = true};
	for (size_t i = SECTION_lifecycle; i <= SECTION_cutoff; i++) {
		if (text_is(item->name, section_names[i]) && item->sub.len == 0) {
			place.section = (enum section)i;
			return place;
		}
	}
	if (text_is(item->name, "consumer"))
		place.group = enter_consumer(l, where, item->sub);
	else if (text_is(item->name, "warm"))
		place.group = enter_warm(l, where, item->sub);
	else if (text_is(item->name, "cache") && item->sub.len > 0)
		place.group = enter_policy(l, where, item->sub);
	else if (item->sub.len > 0)
		complain(l, where,
		    "only [cache \"policy N\"], [consumer NAME] and [warm NAME] have a second "
		    "word; write the section's name alone");
	else
		place.group = enter_plain(l, where, item->name);
	if (place.group != NULL)
		place.section = place.group->section;
	return place;
}

/* --- files and --set */

/* A line that cannot be read still says what it was about: no more is told of that. */
static void
load_bad(struct loader *l, const char *where, const struct ini_item *item, struct place *place)
{
	complain(l, where, "%s", item->problem);
	if (item->section)
		*place = (struct place){.section = SECTION_COUNT, .begun = true};
	if (place->group == NULL)
		return;
	size_t id = find_row(place->group->section, item->name);
	if (id < ROW_COUNT)
		place->group->origins[id] =
		    (struct origin){.where = where, .layer = l->layer, .bad = true};
}

static void
load_item(struct loader *l, const char *where, const struct ini_item *item, struct place *place)
{
	if (item->kind == INI_BAD) {
		load_bad(l, where, item, place);
	} else if (item->kind == INI_SECTION) {
		*place = enter(l, where, item);
	} else if (!place->begun) {
		complain(l, where,
		    "this setting stands before any section; put [gateway] or "
		    "another section above it");
	} else if (place->section == SECTION_lifecycle) {
		set_lifecycle(l, where, item->name, item->value);
	} else if (place->section == SECTION_cutoff) {
		set_cutoff(l, where, item->name, item->value);
	} else if (place->section != SECTION_COUNT) {
		set_named(l, place->group, where, item->name, item->value);
	}
}

static void
load_text(struct loader *l, const char *file, const char *text, size_t len)
{
	struct ini ini;
	struct ini_item item;
	struct place place = {.section = SECTION_COUNT};
	ini_init(&ini, text, len);
	while (ini_next(&ini, &item)) {
		const char *where = arena_printf(l->arena, "%s:%u", file, item.line);
		if (where == NULL)
			return;
		load_item(l, where, &item, &place);
	}
}

/* Everything in the file, or false and errno. */
static bool
read_file(const char *path, struct buf *ret_text)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	char *room;
	size_t got = 1;
	errno = 0;
	while (got > 0 && (room = buf_room(ret_text, 4096)) != NULL) {
		got = fread(room, 1, 4096, file);
		buf_used(ret_text, got);
	}
	bool good = ferror(file) == 0 && ret_text->err == STATUS_OK;
	int error = ret_text->err == STATUS_OVERFLOW ? EFBIG : errno;
	(void)fclose(file); /* nothing was written */
	errno = error;
	return good;
}

static void
load_file(struct loader *l, const char *path)
{
	struct buf text;
	buf_init(&text, FILE_BYTES);
	if (read_file(path, &text))
		load_text(l, path, text.len > 0 ? text.data : "", text.len);
	else
		complain(l, path, "cannot be read (%m); name a file of settings that can");
	buf_fini(&text);
}

static void
load_set(struct loader *l, const char *set)
{
	const char *equals = strchr(set, '=');
	const char *dot = equals != NULL ? memchr(set, '.', (size_t)(equals - set)) : NULL;
	if (dot == NULL) {
		complain(l, "--set", "this is no setting; write --set SECTION.NAME=VALUE");
		return;
	}
	struct ini_text section = {set, (size_t)(dot - set)};
	struct ini_text name = {dot + 1, (size_t)(equals - dot) - 1};
	struct ini_text value = {equals + 1, strlen(equals + 1)};
	const char *where = arena_printf(l->arena, "--set %.*s", (int)(equals - set), set);
	if (where == NULL)
		return;
	for (size_t i = 0; i < SECTION_PLAIN; i++) {
		if (!text_is(section, section_names[i]))
			continue;
		set_named(l, &l->plain[i], where, name, value);
		return;
	}
	if (text_is(section, section_names[SECTION_cutoff]))
		set_cutoff(l, where, name, value);
	else
		complain(l, "--set",
		    "there is no such plain section; it is one of gateway, cache, request, "
		    "upstream and cutoff, the others take a file");
}

/* --- what depends on several settings */

static const struct origin *
origin_of(const struct loader *l, size_t row)
{
	return &l->plain[rows[row].section].origins[row];
}

static bool
is_bad(const struct loader *l, size_t row)
{
	return origin_of(l, row)->bad;
}

static const char *
where_of(const struct loader *l, size_t row)
{
	const char *where = origin_of(l, row)->where;
	return where != NULL ? where : "defaults";
}

/* Tells that `less` must not be more than `more`. */
static void
check_order(struct loader *l, size_t less, int64_t less_value, size_t more, int64_t more_value)
{
	if (less_value <= more_value || is_bad(l, less) || is_bad(l, more))
		return;
	complain(l, where_of(l, less), "%s is more than %s (%s); lower the one or raise the other",
	    rows[less].spec.name, rows[more].spec.name, where_of(l, more));
}

static void
check_required(struct loader *l, size_t row, const char *value)
{
	if (*value == '\0' && !is_bad(l, row))
		complain(l, where_of(l, row), "%s of [%s] is required; set it", rows[row].spec.name,
		    section_names[rows[row].section]);
}

static void
check_plain(struct loader *l)
{
	const struct settings *s = l->s;
	if (s->workers < s->nginx_connections + WORKER_HEADROOM &&
	    !is_bad(l, ROW_gateway_workers) && !is_bad(l, ROW_gateway_nginx_connections))
		complain(l, where_of(l, ROW_gateway_workers),
		    "workers is less than nginx_connections (%s) and %d more; raise the one or "
		    "lower the other",
		    where_of(l, ROW_gateway_nginx_connections), WORKER_HEADROOM);
	check_order(
	    l, ROW_request_wait_default, s->wait_default_ms, ROW_request_wait_max, s->wait_max_ms);
	check_order(l, ROW_upstream_connect_timeout, s->connect_timeout_ms,
	    ROW_upstream_call_timeout, s->call_timeout_ms);
	check_order(l, ROW_upstream_stall_timeout, s->stall_timeout_ms, ROW_upstream_call_timeout,
	    s->call_timeout_ms);
	check_required(l, ROW_upstream_url, s->url);
	check_required(l, ROW_upstream_username, s->username);
	check_required(l, ROW_upstream_password_file, s->password_file);
	if (s->version_count == 0 && !is_bad(l, ROW_upstream_versions))
		complain(l, where_of(l, ROW_upstream_versions),
		    "versions is empty; name one at least, such as 5.0");
	if (value_url_is_plaintext(s->url) && !s->allow_plaintext &&
	    !is_bad(l, ROW_upstream_allow_plaintext))
		complain(l, where_of(l, ROW_upstream_url),
		    "url is plain http to another machine; write https, or set "
		    "allow_plaintext = true");
}

static bool
same_key(const struct settings_consumer *a, const struct settings_consumer *b)
{
	for (size_t i = 0; i < a->key_count; i++)
		for (size_t j = 0; j < b->key_count; j++)
			if (memcmp(a->keys[i], b->keys[j], SHA256_BYTES) == 0)
				return true;
	return false;
}

static void
check_consumer(struct loader *l, const struct group *g)
{
	const struct settings_consumer *c = g->consumer;
	if (c->key_count == 0 && !g->origins[ROW_consumer_key_sha256].bad)
		complain(l, g->where, "consumer %s has no key; give it key_sha256", c->name);
	if (!c->all_policies && c->policy_count == 0 && !g->origins[ROW_consumer_policies].bad)
		complain(l, g->where,
		    "consumer %s may see no policy; give it policies, a list or *", c->name);
	for (const struct group *other = l->groups; other != g; other = other->next)
		if (other->section == SECTION_consumer && same_key(other->consumer, c))
			complain(l, g->where,
			    "consumer %s has the same key as consumer %s (%s); give each its own",
			    c->name, other->name, other->where);
}

static void
check_warm(struct loader *l, const struct group *g)
{
	if (*g->warm->query == '\0' && !g->origins[ROW_warm_query].bad)
		complain(l, g->where, "warm list %s has no query; give it one, such as policy=4711",
		    g->warm->name);
}

/* --- the whole */

static void
begin(struct loader *l)
{
	for (size_t i = 0; i < SECTION_PLAIN; i++) {
		l->plain[i] = (struct group){.section = (enum section)i, .s = l->s};
		store_defaults(l, (enum section)i, l->s);
	}
}

static int
by_policy(const void *a, const void *b)
{
	const struct settings_policy_freshness *x = a, *y = b;
	return x->policy < y->policy ? -1 : x->policy > y->policy;
}

static int64_t
given_or(int64_t given, int64_t otherwise)
{
	return given != DURATION_NONE ? given : otherwise;
}

/* What it does not say is as in [cache]. */
static struct settings_policy_freshness
policy_of(const struct settings *s, const struct group *g)
{
	struct settings_policy_freshness policy = *g->policy;
	struct settings_freshness *f = &policy.freshness;
	f->fresh_for_ms = given_or(f->fresh_for_ms, s->freshness.fresh_for_ms);
	f->stale_for_ms = given_or(f->stale_for_ms, s->freshness.stale_for_ms);
	f->keep_for_ms = given_or(f->keep_for_ms, s->freshness.keep_for_ms);
	return policy;
}

static void
gather_groups(struct loader *l)
{
	struct settings *s = l->s;
	size_t counts[SECTION_COUNT] = {0};
	for (const struct group *g = l->groups; g != NULL; g = g->next)
		counts[g->section]++;
	struct settings_policy_freshness *policy =
	    arena_array(l->arena, counts[SECTION_policy], sizeof *policy);
	struct settings_consumer *consumer =
	    arena_array(l->arena, counts[SECTION_consumer], sizeof *consumer);
	struct settings_warm *warm = arena_array(l->arena, counts[SECTION_warm], sizeof *warm);
	if (policy == NULL || consumer == NULL || warm == NULL)
		return;
	s->policy_freshness = policy;
	s->consumers = consumer;
	s->warm = warm;
	for (const struct group *g = l->groups; g != NULL; g = g->next) {
		if (g->section == SECTION_consumer)
			consumer[s->consumer_count++] = *g->consumer;
		else if (g->section == SECTION_warm)
			warm[s->warm_count++] = *g->warm;
		else
			policy[s->policy_freshness_count++] = policy_of(s, g);
	}
	qsort(policy, s->policy_freshness_count, sizeof *policy, by_policy);
}

static void
gather_lifecycle(struct loader *l)
{
	size_t count = 0;
	for (const struct lifecycle_item *i = l->lifecycle; i != NULL; i = i->next)
		count++;
	struct settings_lifecycle *list = arena_array(l->arena, count, sizeof *list);
	if (list == NULL)
		return;
	l->s->lifecycle = list;
	for (const struct lifecycle_item *i = l->lifecycle; i != NULL; i = i->next)
		list[l->s->lifecycle_count++] = i->entry;
}

/* Without those that were taken back. */
static void
gather_cutoffs(struct loader *l)
{
	size_t count = 0;
	for (const struct cutoff_item *i = l->cutoffs; i != NULL; i = i->next)
		count += i->entry.from_s != INT64_MAX;
	struct settings_cutoff *list = arena_array(l->arena, count, sizeof *list);
	if (list == NULL)
		return;
	l->s->cutoffs = list;
	for (const struct cutoff_item *i = l->cutoffs; i != NULL; i = i->next)
		if (i->entry.from_s != INT64_MAX)
			list[l->s->cutoff_count++] = i->entry;
}

static void
load_all(struct loader *l, const struct settings_source *src)
{
	begin(l);
	for (size_t i = 0; i < src->file_count; i++, l->layer++)
		load_file(l, src->files[i]);
	for (size_t i = 0; i < src->set_count; i++, l->layer++)
		load_set(l, src->sets[i]);
	if (arena_failed(l->arena))
		return; /* what is not there cannot be checked */
	check_plain(l);
	for (const struct group *g = l->groups; g != NULL; g = g->next) {
		if (g->section == SECTION_consumer)
			check_consumer(l, g);
		if (g->section == SECTION_warm)
			check_warm(l, g);
	}
	gather_groups(l);
	gather_lifecycle(l);
	gather_cutoffs(l);
}

enum status
settings_load(const struct settings_source *src, FILE *complaints, struct settings **ret)
{
	struct loaded *loaded = calloc(1, sizeof *loaded);
	struct loader *l = calloc(1, sizeof *l);
	enum status st = STATUS_NO_MEMORY;

	if (loaded == NULL || l == NULL)
		goto out;
	arena_init(&loaded->arena, SETTINGS_BYTES);
	*l = (struct loader){.arena = &loaded->arena, .complaints = complaints, .s = &loaded->s};
	load_all(l, src);
	if (arena_failed(&loaded->arena))
		goto out;
	if (l->complaint_count > 0) {
		st = STATUS_BAD_REQUEST;
		goto out;
	}
	*ret = &loaded->s;
	loaded = NULL;
	st = STATUS_OK;
out:
	free(l);
	if (loaded != NULL)
		settings_free(&loaded->s);
	return st;
}

void
settings_free(struct settings *s)
{
	struct loaded *loaded = (struct loaded *)s; /* its first member */
	if (loaded == NULL)
		return;
	arena_fini(&loaded->arena);
	free(loaded);
}

const char *
settings_legacy_word(enum settings_legacy legacy)
{
	size_t i = 0;
	while (strcmp(words[i].name, "legacy") != 0 || words[i].value != (unsigned)legacy)
		i++;
	return words[i].word;
}

/* --- use */

static int64_t
shorter(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
shorten(struct settings_freshness *least, const struct settings_freshness *f)
{
	least->fresh_for_ms = shorter(least->fresh_for_ms, f->fresh_for_ms);
	least->stale_for_ms = shorter(least->stale_for_ms, f->stale_for_ms);
	least->keep_for_ms = shorter(least->keep_for_ms, f->keep_for_ms);
}

static const struct settings_freshness *
freshness_of(const struct settings *s, uint64_t policy)
{
	struct settings_policy_freshness key = {.policy = policy};
	const struct settings_policy_freshness *own = NULL;
	if (s->policy_freshness_count > 0)
		own = bsearch(
		    &key, s->policy_freshness, s->policy_freshness_count, sizeof key, by_policy);
	return own != NULL ? &own->freshness : &s->freshness;
}

struct settings_freshness
settings_freshness_for(const struct settings *s, const uint64_t *policies, size_t count)
{
	if (count == 0)
		return s->freshness;
	struct settings_freshness least = *freshness_of(s, policies[0]);
	for (size_t i = 1; i < count; i++)
		shorten(&least, freshness_of(s, policies[i]));
	return least;
}

struct settings_freshness
settings_freshness_shortest(const struct settings *s)
{
	struct settings_freshness least = s->freshness;
	for (size_t i = 0; i < s->policy_freshness_count; i++)
		shorten(&least, &s->policy_freshness[i].freshness);
	return least;
}

/* --- the sample */

#define SAMPLE_COLUMNS 78

static void
print_wrapped(FILE *out, const char *text)
{
	size_t column = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		if (column > 0 && column + 1 + len > SAMPLE_COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, column == 0 ? "# %.*s" : " %.*s", (int)len, text);
		text += len;
		text += *text == ' ';
	}
	fputc('\n', out);
}

static void
print_section(FILE *out, enum section section)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (rows[i].section != section)
			continue;
		print_wrapped(out, rows[i].help);
		fprintf(out, *rows[i].dflt != '\0' ? "#%s = %s\n\n" : "#%s =%s\n\n",
		    rows[i].spec.name, rows[i].dflt);
	}
}

void
settings_print_sample(FILE *out)
{
	fputs("# Settings of posturegate, all of them, with their defaults; posturegate.conf(5)\n"
	      "# has the form of the file. A setting without a value here has none.\n\n",
	    out);
	for (size_t i = 0; i < SECTION_PLAIN; i++) {
		fprintf(out, "[%s]\n", section_names[i]);
		print_section(out, (enum section)i);
	}
	fputs("# Freshness of one policy; what it does not say is as in [cache].\n"
	      "#[cache \"policy 123\"]\n",
	    out);
	print_section(out, SECTION_policy);
	fputs(
	    "# End of support and end of life of a version of an upstream API (postureInfo,\n"
	    "# hostids, policyList), laid over the built-in table; or active.\n"
	    "#[lifecycle]\n"
	    "#postureInfo 4.0 = 2026-05-31 2026-11-30\n\n"
	    "# From when on a version of the upstream's old protocol is no longer answered here,\n"
	    "# whoever calls.\n"
	    "#[cutoff]\n"
	    "#4.0 = 2027-01-31\n\n"
	    "# Who may ask, and for what. One section for each consumer.\n"
	    "#[consumer NAME]\n",
	    out);
	print_section(out, SECTION_consumer);
	fputs("# What is kept fresh, whoever asks, with calls that nobody else wants.\n"
	      "#[warm NAME]\n",
	    out);
	print_section(out, SECTION_warm);
}
