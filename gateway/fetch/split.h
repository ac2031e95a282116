/* Splits one JSON array, arriving in pieces, into its elements.
 *
 * A strict, resumable scanner: exactly one top-level array of objects, RFC 8259 grammar, UTF-8
 * (RFC 3629) in strings, escapes checked (a lone surrogate escape is refused), depth, record size
 * and member count capped (limits.h), a member name twice in one record refused. White space is
 * taken wherever JSON allows it; no byte order mark. Numbers are only checked, never read: any
 * size and precision passes. Nothing is copied that lies whole in the window.
 *
 * A record is handed over the moment its closing brace is seen.
 *
 * Threads: owner only.
 */
#ifndef FETCH_SPLIT_H
#define FETCH_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

/* A member of the record's top level: spans of text, name without its quotes and not unescaped. */
struct split_member {
	const char *name;
	uint32_t name_len;
	uint32_t value_len; /* from first to last byte of the value, no white space around it */
	const char *value;
};

/* Borrowed for the call. */
struct split_record {
	const char *text; /* '{' to '}' */
	size_t len;
	const struct split_member *members; /* as they came */
	size_t count;
};

/* Anything but STATUS_OK ends the split with that status. */
typedef enum status split_record_f(void *ctx, const struct split_record *rec);

struct split;
struct split *split_new(split_record_f *record, void *ctx) NODISCARD; /* NULL: out of memory */
void split_free(struct split *s);                                     /* NULL is fine */

/* Where the next bytes go: at least 64 KiB of room. Valid until split_advance(). NULL when out of
 * memory or after a failure. */
uint8_t *split_window(struct split *s, size_t *ret_room) NODISCARD;
/* `n` bytes were put there.
 *   STATUS_OK                  all taken
 *   STATUS_UPSTREAM_MALFORMED  not the JSON that it has to be
 *   STATUS_UPSTREAM_TOO_LARGE  a cap was passed
 *   STATUS_NO_MEMORY, or what the callback gave
 * After a failure every further call fails the same way. */
enum status split_advance(struct split *s, size_t n) NODISCARD;
/* The input is over. STATUS_OK if the array was closed; STATUS_UPSTREAM_BAD_DATA if it was cut. */
enum status split_finish(struct split *s) NODISCARD;

/* All of it for a text that is there as a whole. What one of the above gave; *ret_at, if it is not
 * NULL, is split_offset() then, whatever came of it. */
enum status split_whole(
    const char *text, size_t len, split_record_f *record, void *ctx, uint64_t *ret_at) NODISCARD;

uint64_t split_records(const struct split *s);
/* Byte offset in the input at which the scanner stands: where it failed, after a failure. */
uint64_t split_offset(const struct split *s);

#endif
