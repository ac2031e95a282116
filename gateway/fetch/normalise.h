/* From a record as the upstream sent it to a normalised posture, and back.
 *
 * The normalised form has the member names of upstream 5.0 (but cloudResourceId for
 * CLOUD_RESOURCE_ID), one fixed order, every member present, one JSON type each; `exception` and
 * `previousException` follow the two statuses; the batch and size members are left out. Members
 * that nobody has heard of come last, in the order and text in which they came. Values keep their
 * exact text: numbers are never read and written again. A value is changed only where it matches
 * one of the listed, reversible patterns (normalise_table.h has each fix-up and its inverse side
 * by side); a misfit stays as it came.
 *
 * An unknown member whose name is one of ours (exception, previousException, or cloudResourceId
 * beside CLOUD_RESOURCE_ID) gets "upstream_" before its name, so that no name stands twice.
 *
 * The memo holds what the inverse cannot derive: a member that was absent, "" in place of null, an
 * ID that was quoted, a batch number, a size, an odd spelling. Its bytes are told in normalise.c;
 * about 15 for an ordinary record, always fewer than 64 KiB.
 *
 * Threads: any; the functions are pure.
 */
#ifndef FETCH_NORMALISE_H
#define FETCH_NORMALISE_H

#include <stdbool.h>

#include "cache/cache.h"
#include "gateway/base/buf.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/split.h"

/* The normalised members in their order, e.g. for `fields`. The index is the member's number for
 * ever in cursors: new ones go to the end of the numbering, whatever their place in the order. */
size_t normal_member_count(void);             /* at most NORMAL_MEMBERS_MOST */
const char *normal_member_name(size_t index); /* NULL beyond the end */
/* The number of the member with this name, or -1. */
int normal_member_find(const char *name, size_t len);
/* The number of the member that stands at this place of the order (below normal_member_count()). */
uint8_t normal_member_at(size_t place);

/* Appends the normalised text to body and the memo to memo; fills row (not the parts that the
 * cache sets). The body is at most 4 KiB longer than the record.
 *   STATUS_OK
 *   STATUS_UPSTREAM_MALFORMED  neither id nor postureId, both `id` and `postureId`, or an id that
 *                              is no ID; nothing was appended
 *   STATUS_OVERFLOW, STATUS_NO_MEMORY  from the buffers, which hold a part of it then */
enum status normalise(const struct split_record *rec, struct buf *body, struct buf *memo,
    struct row *ret_row) NODISCARD;

/* Appends to out the record in upstream 5.0's shape, member set and spelling, as it came: for a
 * record whose members stood in 5.0's order without white space between tokens, byte for byte.
 *   STATUS_OK, STATUS_CORRUPT (the memo does not fit the body), STATUS_OVERFLOW, STATUS_NO_MEMORY;
 *   out is as it was after a failure */
enum status normalise_inverse(const char *body, size_t body_len, const uint8_t *memo,
    size_t memo_len, struct buf *out) NODISCARD;

/* --- the same in slices, for who changes some of the members and leaves the others alone */

/* The numbers of normalise_table.h, by the upstream's names: NORMAL_CLOUD_RESOURCE_ID. */
enum normal_number {
#define KEPT(number, name, upstream, also, inside, fix) NORMAL_##upstream = (number),
#define MADE(number, name, fix)
#define LEAVES(number, upstream, fix) NORMAL_##upstream = (number),
#include "gateway/fetch/normalise_table.h"
#undef KEPT
#undef MADE
#undef LEAVES
	NORMAL_UNKNOWN = UINT8_MAX, /* nobody has heard of it */
};

/* The upstream's name of the member with that number; NULL if it has none. */
const char *normal_upstream_name(uint8_t number);

/* A member as the upstream sent it. */
struct normal_slice {
	const char *name, *value; /* the name without its quotes and not unescaped */
	uint32_t name_len, value_len;
	uint8_t number; /* enum normal_number */
	bool respelled; /* the name came escaped, or is the member's other one: see the table */
	bool whole;     /* the body has "name":value, side by side: for normal_slices_write() */
};

struct normal_slices {
	struct normal_slice list[LIMIT_RECORD_MEMBERS]; /* in upstream 5.0's order: id is first */
	size_t count;                                   /* at least one */
};

/* What one record may need in a scratch buffer: the body's values once, and the memo's text of
 * cloudResourceMetadata, which at worst has a space before every letter. */
#define NORMAL_SCRATCH_BYTES (3 * LIMIT_RECORD_BYTES)

/* The record that normalise_inverse() writes, member by member: one pass over the body, and not
 * into its values but where the memo has something to say of what is inside. The slices borrow
 * from body, memo and scratch and are good until one of these changes; scratch is appended to.
 *   STATUS_OK, STATUS_CORRUPT, STATUS_OVERFLOW, STATUS_NO_MEMORY (the latter two: of scratch) */
enum status normal_explode(const char *body, size_t body_len, const uint8_t *memo, size_t memo_len,
    struct buf *scratch, struct normal_slices *ret) NODISCARD;
/* Appends the object of the slices, as they stand; nothing if out fails. Who has changed a slice's
 * name or value has to have unset its `whole`. */
void normal_slices_write(const struct normal_slices *slices, struct buf *out);

/* What a row tells of a date: seconds since 1970, ROW_DATE_NONE or ROW_DATE_UNREADABLE. NULL: absent.
 */
uint32_t normal_date(const struct split_member *m);

/* The values of a posture in the order of its members, borrowed from the body; unknown members are
 * passed over. `ret` has room for NORMAL_MEMBERS_MOST, normal_member_count() are filled.
 * STATUS_OK, or STATUS_CORRUPT if the body is no normalised text. */
#define NORMAL_MEMBERS_MOST 60
struct normal_value {
	const char *at;
	size_t len;
};
enum status normal_values(const char *body, size_t len, struct normal_value *ret) NODISCARD;

/* Appends the posture cut down to what a view shows: only members whose bit (1 << number) is set
 * in `keep` (unknown members: only if keep_unknown), those in `hide` as null. STATUS_CORRUPT if
 * the body is no normalised text; the others as above. */
enum status normal_project(const char *body, size_t len, uint64_t keep, bool keep_unknown,
    uint64_t hide, struct buf *out) NODISCARD;

#endif
