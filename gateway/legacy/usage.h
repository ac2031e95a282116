/* Who still speaks the old protocol: what each consumer has called, by version and endpoint, for the
 * migration report. Sums only, no values of a call.
 *
 * They are kept in memory and written down as a note of the store for each consumer: by usage_keep(),
 * once in a while and at an orderly stop. A crash loses what was counted since. A call never
 * waits for the disk.
 *
 * Threads: any; but usage_restore() at the start, before anything is counted, and usage_keep() one
 * thread at a time. The lock is held for a few additions.
 */
#ifndef LEGACY_USAGE_H
#define LEGACY_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "gateway/base/attr.h"
#include "gateway/front/access.h"
#include "gateway/upstream/versions.h"

enum usage_endpoint {
	USAGE_AUTH, /* has no version */
	USAGE_POLICY_LIST,
	USAGE_HOSTIDS,
	USAGE_POSTURE_INFO,
	USAGE_ENDPOINTS
};
#define USAGE_ROWS (1 + VERSIONS_COUNT * (USAGE_ENDPOINTS - 1))
#define USAGE_BITS 32 /* most parameters, and most changes */

/* What the bits of a call mean, bit i being name i. The order is part of what is on disk: new names
 * come behind the others. Constant. */
struct usage_names {
	const char *const *params; /* parameters that some versions have and others do not */
	size_t param_count;
	const char *const *changes; /* named differences between versions */
	size_t change_count;
	/* the members of a record that each change affects, with a space between two */
	const char *const *change_members;
};

struct usage_call {
	size_t consumer;  /* its number */
	unsigned version; /* versions_at(); of no matter for USAGE_AUTH */
	enum usage_endpoint endpoint;
	int64_t now_s;           /* wall */
	uint64_t records, bytes; /* given; bytes of JSON before compression */
	uint32_t params;         /* which were used */
	uint32_t changes;        /* which had an effect on a record */
};

/* The sums of one consumer's calls of an endpoint in a version. */
struct usage_row {
	enum usage_endpoint endpoint;
	unsigned version;               /* index; 0 of USAGE_AUTH */
	uint64_t calls, records, bytes; /* they stay at their greatest value */
	int64_t first_s, last_s;        /* wall, earliest and latest */
	uint32_t params, changes;
};

/* --- life */

struct usage;

/* Both are borrowed. NULL: no memory. */
struct usage *usage_new(const struct access *access, const struct usage_names *names) NODISCARD;
void usage_free(struct usage *u); /* NULL is fine */

/* --- use */

/* Bits without a name are dropped. */
void usage_count(struct usage *u, const struct usage_call *call);

/* The rows of a consumer in which something was counted, a copy: how many. /auth first, then by
 * version, then by endpoint. */
size_t usage_rows(struct usage *u, size_t consumer, struct usage_row ret_rows[USAGE_ROWS]);

const struct access *usage_access(const struct usage *u);
const struct usage_names *usage_names(const struct usage *u);
/* "auth", and as upstream_api_name(). */
const char *usage_endpoint_name(enum usage_endpoint endpoint);

/* --- notes (docs/store-format.md has their bytes) */

/* Reads what was kept. A note that cannot be read, is not as it was written or is of another version is
 * passed over and logged; bits whose names are no longer the same are dropped. */
void usage_restore(struct usage *u, struct cache *cache);

/* Writes the notes of those consumers whose sums have changed since, a commit each; of nobody's, none.
 * The first failure is given back; what is not written then, the next call tries again. */
enum status usage_keep(struct usage *u, struct cache *cache) NODISCARD;

#define USAGE_NAME_BYTES 64 /* of a consumer */
#define USAGE_NOTE_HEAD_BYTES 24
#define USAGE_NOTE_ROW_BYTES 56
#define USAGE_NOTE_BYTES                                                                           \
	(USAGE_NOTE_HEAD_BYTES + USAGE_NAME_BYTES + USAGE_ROWS * USAGE_NOTE_ROW_BYTES)

enum usage_note {
	USAGE_NOTE_BAD, /* nothing of it was taken */
	USAGE_NOTE_WHOLE,
	USAGE_NOTE_WITHOUT_BITS, /* some names are other ones: those bits are not set */
};

/* One consumer's note: its length. */
size_t usage_write(struct usage *u, size_t consumer, uint8_t ret_bytes[USAGE_NOTE_BYTES]);
/* The other way round: what was counted for this consumer is replaced. Any bytes may come. */
enum usage_note usage_read(struct usage *u, size_t consumer, const uint8_t *bytes, size_t len);

#endif
