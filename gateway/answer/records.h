/* Records as text: what of each is shown, and many of them joined by commas. What pages of a result
 * (span) and of a fetch under way (early) consist of; an export writes its lines one by one.
 *
 * Threads: any, each with a view of its own.
 */
#ifndef ANSWER_RECORDS_H
#define ANSWER_RECORDS_H

#include "cache/cache.h"
#include "gateway/base/buf.h"

struct record_transform {
	uint64_t fields; /* bits of member numbers to show; 0: all, unknown ones too */
	uint64_t hide;   /* bits of members shown as null */
};

/* It shows them as they are stored. */
bool record_is_whole(const struct record_transform *t);

/* Appends a record. STATUS_OK, STATUS_CORRUPT, STATUS_OVERFLOW, STATUS_NO_MEMORY. */
enum status record_add(
    const struct record_transform *t, const char *body, size_t len, struct buf *out) NODISCARD;

/* Where they are read. */
struct records {
	struct cache_view *view;
	struct cache_source source;
	struct record_transform transform;
};

/* Appends the first of rows[0..count), count > 0: as many as stand side by side, if they are shown
 * whole and there is room for all of these, else one. `follows`: others stand before them, so that
 * a comma comes first; and where it and one record would be more than `room` bytes, *ret_covered is 0 and
 * nothing is appended.
 *   STATUS_OK, STATUS_OVERFLOW, or what cache_view_bodies() says */
enum status records_add(const struct records *r, const struct row *rows, size_t count, bool follows,
    size_t room, struct buf *out, size_t *ret_covered) NODISCARD;

#endif
