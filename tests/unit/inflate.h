/* What a gzip, or a text that is none, says. */
#ifndef UNIT_INFLATE_H
#define UNIT_INFLATE_H

#include "gateway/base/buf.h"
#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "tests/unit/unit.h"

/* In place of what `out` had; it has to be whole. */
static inline void
unit_inflate(const struct buf *packed, struct buf *out)
{
	struct inflater *inf = inflater_new(UINT64_MAX);
	const uint8_t *at = (const uint8_t *)packed->data;
	size_t left = packed->len, made = 1;
	buf_reset(out);
	ck_assert_ptr_nonnull(inf);
	while (left > 0 || made > 0) {
		uint8_t *room = (uint8_t *)buf_room(out, 64 * KIB);
		ck_assert_ptr_nonnull(room);
		ck_assert_int_eq(inflater_step(inf, &at, &left, room, 64 * KIB, &made), STATUS_OK);
		buf_used(out, made);
	}
	ck_assert_int_eq(inflater_finish(inf), STATUS_OK);
	inflater_free(inf);
}

#endif
