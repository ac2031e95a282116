/* One record on its way down the versions: its members as slices, and what a change may do to
 * them. Every one of these says whether it had effect. Nothing looks into a value but the functions
 * named `inside`.
 *
 * Threads: owner only.
 */
#ifndef LEGACY_CHANGE_RECORD_H
#define LEGACY_CHANGE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/status.h"
#include "gateway/fetch/normalise.h"

/* Values made anew for one record: evidence three times at most (basic detail, and two changes),
 * cloudMetaData twice. */
#define CHANGE_TEXTS 5
/* A buffer that one large record has taken beyond this is given back before the next. */
#define CHANGE_KEEP_BYTES (256 * KIB)

/* About 10 KiB, and the buffers: each at most NORMAL_SCRATCH_BYTES. */
struct change_record {
	struct normal_slices slices;
	struct buf scratch; /* of normal_explode() */
	struct buf texts[CHANGE_TEXTS];
	size_t texts_used;
	enum status err; /* the first failure of a change: STATUS_CORRUPT, STATUS_OVERFLOW or
			    STATUS_NO_MEMORY */
};

void change_record_init(struct change_record *r);
void change_record_fini(struct change_record *r); /* r may be all zero */

/* Takes apart what the store has; both texts are borrowed until the next call. As
 * normal_explode(). */
enum status change_record_load(struct change_record *r, const char *body, size_t body_len,
    const uint8_t *memo, size_t memo_len) NODISCARD;

/* A member of the top level, or one inside of it. */
struct change_member {
	const char *name;   /* as the upstream has it; NULL ends a list */
	const char *inside; /* NULL: the member itself */
	uint8_t number;     /* enum normal_number; NORMAL_UNKNOWN: all that nobody has heard of */
};
#define CHANGE_MEMBER(member)                                                                      \
	{                                                                                          \
#member, NULL, NORMAL_##member                                                     \
	}
#define CHANGE_INSIDE(member, inside)                                                              \
	{                                                                                          \
#member, inside, NORMAL_##member                                                   \
	}
#define CHANGE_UNKNOWN                                                                             \
	{                                                                                          \
		"*", NULL, NORMAL_UNKNOWN                                                          \
	}

/* The members with that number go. */
bool change_record_drop(struct change_record *r, uint8_t number);
/* `count` members inside of one and the same member go, if that is an object. */
bool change_record_drop_inside(
    struct change_record *r, const struct change_member *members, size_t count);
/* The member's value becomes null. */
bool change_record_null(struct change_record *r, uint8_t number);
/* The member goes directly behind another one that stands before it; if both are there. */
bool change_record_move(struct change_record *r, uint8_t number, uint8_t behind);
/* Names that came escaped, or under another spelling, become those of the documents. */
bool change_record_spell(struct change_record *r);

/* Appends what the value turns into; false, and nothing appended, if it stays. */
typedef bool change_value_f(const char *value, size_t len, struct buf *out);
/* The value of the last member of that name inside of a member goes through `turn`. */
bool change_record_turn_inside(
    struct change_record *r, uint8_t number, const char *inside, change_value_f *turn);

#endif
