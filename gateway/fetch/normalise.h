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

#include "cache/cache.h"
#include "gateway/base/buf.h"
#include "gateway/fetch/split.h"

/* The normalised members in their order, e.g. for `fields`. The index is the member's number for
 * ever in cursors: new ones go to the end of the numbering, whatever their place in the order. */
size_t normal_member_count(void);             /* at most 60 */
const char *normal_member_name(size_t index); /* NULL beyond the end */
/* The number of the member with this name, or -1. */
int normal_member_find(const char *name, size_t len);

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
 *   after a failure out may hold a part of it */
enum status normalise_inverse(const char *body, size_t body_len, const uint8_t *memo,
    size_t memo_len, struct buf *out) NODISCARD;

/* What a row tells of a date: seconds since 1970, ROW_DATE_NONE or ROW_DATE_UNREADABLE. NULL: absent.
 */
uint32_t normal_date(const struct split_member *m);

/* Appends the posture cut down to what a view shows: only members whose bit (1 << number) is set
 * in `keep` (unknown members: only if keep_unknown), those in `hide` as null. STATUS_CORRUPT if
 * the body is no normalised text; the others as above. */
enum status normal_project(const char *body, size_t len, uint64_t keep, bool keep_unknown,
    uint64_t hide, struct buf *out) NODISCARD;

#endif
