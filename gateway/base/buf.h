/* Growing bytes with a maximum given at birth and a sticky error.
 *
 * Write straight on, ask once: after the first failure (maximum reached, out of memory) every
 * further call does nothing and `err` keeps the reason. A buffer that failed holds what was
 * written before the failing call.
 *
 * Invariants: len <= cap <= max; data is NULL while cap is 0. The bytes are not NUL-terminated
 * unless buf_str() was asked for.
 *
 * Threads: owner only.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

struct buf {
	char *data;
	size_t len, cap, max;
	enum status err; /* STATUS_OK, STATUS_OVERFLOW or STATUS_NO_MEMORY */
};

/* --- life */
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; b may be all zero; usable again after buf_init() */
void buf_reset(struct buf *b); /* empties, forgets the error, keeps the memory */

/* --- content */
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_str_add(struct buf *b, const char *text);
void buf_byte(struct buf *b, char byte);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
void buf_u64(struct buf *b, uint64_t value);
void buf_i64(struct buf *b, int64_t value);

/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, const char *text, size_t len);
void buf_json_str(struct buf *b, const char *text); /* NULL is written as null */

/* Room for at least `len` more bytes, or NULL (and the error is set). Valid until the next call
 * on b; announce what was used with buf_used(). */
char *buf_room(struct buf *b, size_t len) NODISCARD;
/* A hint that about `len` more bytes will come: what is there already is then not moved again and
 * again as it grows. Never fails; more than the maximum is not taken. */
void buf_expect(struct buf *b, size_t len);
void buf_used(struct buf *b, size_t len);

/* --- look */
/* The content with a NUL behind it, never NULL ("" if the buffer failed). Valid until the next
 * call on b. */
const char *buf_str(struct buf *b);

#endif
