/* The parameters as data, and the values of one query while it is read or written: what query.c
 * (query string, JSON body) and canon.c (canonical text) have in common. Private to gateway/query,
 * but for param_at(), from which documents are made.
 *
 * Threads: any; a reader belongs to its owner.
 */
#ifndef QUERY_PARAM_H
#define QUERY_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/base/buf.h"
#include "gateway/query/query.h"

enum param_kind {
	PARAM_IDS,       /* list of IDs */
	PARAM_RANGES,    /* list of IDs and ranges a-b */
	PARAM_SET,       /* list of words, a bit each */
	PARAM_FIELDS,    /* list of member names, a bit each */
	PARAM_ONE,       /* one word of a set of bits */
	PARAM_CHOICE,    /* one word */
	PARAM_BOOL,      /* true or false */
	PARAM_ID,        /* one ID */
	PARAM_NUMBER,    /* one number between its bounds */
	PARAM_DATE_FROM, /* a moment; a date alone is its first second */
	PARAM_DATE_TO,   /* a moment; a date alone is its last second */
	PARAM_TEXT,      /* as it came */
};

enum param_part { PARAM_SCOPE, PARAM_FILTER, PARAM_VIEW };

enum param_id {
#define PARAM(name, kind, member, words, least, most, part, uses, upstream, help) PARAM_##name,
#include "gateway/query/query_table.h"
	PARAM_COUNT
};

enum param_set {
#define SET(set) PARAM_SET_##set,
#include "gateway/query/query_table.h"
};

struct param {
	const char *name;
	enum param_kind kind;
	enum param_set words;
	uint64_t least, most;
	enum param_part part;
	unsigned uses; /* a bit for each enum query_use */
	const char *upstream, *help;
};

/* Never NULL for id < PARAM_COUNT. */
const struct param *param_at(size_t id);
bool param_is_list(const struct param *p);
/* The first word of the set whose value has a bit of `bits` (sets of bits) or is the value itself
 * (choices); NULL if none. */
const char *param_word(const struct param *p, uint64_t value);
/* "one of pc, all": what a value must be, as a noun phrase in the arena; NULL if it is exhausted.
 */
const char *param_wanted(struct arena *a, size_t id);
/* PARAM_COUNT if there is none of that name. */
size_t param_find(const char *name, size_t len);
/* The parameter that was probably meant by a name that is none: another case of it, or the name
 * that the upstream has for it. PARAM_COUNT if there is no guess. */
size_t param_guess(const char *name, size_t len);

/* One value; which member counts is a matter of its kind. */
struct param_value {
	uint64_t number; /* ID, NUMBER; CHOICE, BOOL: of the word; SET, ONE, FIELDS: bits */
	int64_t date;
	const char *text;
	struct id_list ids;
	struct id_ranges ranges;
};

/* The values of a query, and back. param_load() borrows the lists. */
void param_load(const struct query *q, struct param_value ret_values[PARAM_COUNT]);
void param_store(const struct param_value values[PARAM_COUNT], struct query *ret_query);

/* --- reading */

/* ID lists grow here, in any order, until param_finish(). */
struct param_items {
	struct id_range *at;
	size_t count, cap;
};

struct param_reader {
	struct arena *arena;
	query_field_f *field;
	uint64_t ids_left; /* of LIMIT_QUERY_IDS */
	struct param_value values[PARAM_COUNT];
	struct param_items items[PARAM_COUNT];
};

/* All values are the defaults. */
void param_reader_init(struct param_reader *r, struct arena *a, query_field_f *field);

/* Reads a value as it stands in a query string: for a list, items with commas between them, added
 * to those before. NULL if it is good, else a sentence about what it must be, in the arena ("" if
 * the arena is exhausted; ask arena_failed()). */
const char *param_take(struct param_reader *r, size_t id, const char *text, size_t len);
/* Reads one item of a list; `nth` (from 1) is for the sentence. */
const char *param_take_item(
    struct param_reader *r, size_t id, size_t nth, const char *text, size_t len);
/* Sorts the lists and drops what is twice in them. False: the arena is exhausted. */
bool param_finish(struct param_reader *r);

/* --- rules */

/* Tells every parameter of `given` (a bit for each enum param_id) that breaks a rule between
 * parameters, and those that are missing. Sentences live in the arena. */
void param_check_rules(
    struct arena *a, enum query_use use, uint32_t given, struct query_errors *errors);
/* Of a query for the whole result: tells those of `given` that are of pages alone, and format if it
 * is one of them. Behind param_check_rules(). */
void param_check_whole(uint32_t given, struct query_errors *errors);

#endif
