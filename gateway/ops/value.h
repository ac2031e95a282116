/* The values of settings: their types, read from text and checked against bounds.
 *
 * Threads: any; pure but for the arena.
 */
#ifndef OPS_VALUE_H
#define OPS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/base/crypto.h"

enum value_type {
	VALUE_STRING, /* text without control characters */
	VALUE_PATH,   /* absolute */
	VALUE_URL,    /* http or https, host, port, path; slashes at its end are left out */
	VALUE_LINK,   /* a path or an http(s) URL, of characters that a URI may have (RFC 3986) */
	VALUE_BOOL,   /* true, false */
	VALUE_NUMBER,
	VALUE_DURATION, /* 500ms, 25s, 15m, 6h, 7d; milliseconds */
	VALUE_SIZE,     /* 64M, 10G: powers of 1024; bytes */
	VALUE_DATE,     /* RFC 3339 in UTC; a date alone is its first second */
	VALUE_CHOICE,   /* a word of a set; its number */
	VALUE_VERSIONS, /* list of "5.0" */
	VALUE_ORIGINS,  /* list of "https://host:port" */
	VALUE_KEYS,     /* one or two SHA-256 */
	VALUE_POLICIES, /* * or list of IDs */
};

struct value_word {
	const char *name; /* of the setting */
	const char *word;
	unsigned value;
};

struct value_spec {
	enum value_type type;
	const char *name; /* of the setting, for its words */
	uint64_t least, most;
	const struct value_word *words;
	size_t word_count;
};

struct value {
	uint64_t number; /* BOOL, NUMBER, DURATION, SIZE, CHOICE; of a list: how many */
	int64_t date;
	const char *text;        /* STRING, PATH, URL */
	const char *const *list; /* VERSIONS, ORIGINS; in the order given */
	const uint64_t *ids;     /* POLICIES: ascending, without duplicates */
	bool all;                /* POLICIES: * */
	uint8_t keys[2][SHA256_BYTES];
};

/* False if the text is no such value (or the arena is exhausted: ask arena_failed()). */
bool value_read(struct arena *a, const struct value_spec *spec, const char *text, size_t len,
    struct value *ret);
/* What it must be, as a noun phrase in the arena: "a duration such as 25s, from 0s to 1h". NULL if
 * the arena is exhausted. */
const char *value_wanted(struct arena *a, const struct value_spec *spec);
/* An http URL (as VALUE_URL gave it) that leaves this machine. */
bool value_url_is_plaintext(const char *url);

#endif
