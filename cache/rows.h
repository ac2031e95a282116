/* A block of rows as it stands on disk: header, rows, memos. Pure: bytes in, bytes out.
 *
 *     0  u32  magic "PGRB"
 *     4  u32  CRC-32 of the key and of everything from byte 8 on
 *     8  u32  count of rows, 1 to LIMIT_ROW_BLOCK
 *    12  u32  bytes of memos
 *    16       rows, 88 bytes each (struct row)
 *             memos, one behind the other; a row's memo_at counts from here
 *
 * Threads: any.
 */
#ifndef CACHE_ROWS_H
#define CACHE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "cache/bytes.h"
#include "cache/cache.h"
#include "gateway/base/attr.h"
#include "gateway/base/status.h"

#define ROWS_HEADER_BYTES 16

struct rows_block {
	const uint8_t *rows; /* count * sizeof(struct row) bytes, of any alignment */
	size_t count;
	const uint8_t *memos;
	size_t memo_bytes;
};

size_t rows_bytes(size_t count, size_t memo_bytes);
/* Writes rows_bytes(count, memo_bytes) bytes to out. */
void rows_encode(uint8_t *out, const struct data_key *key, const struct row *rows, size_t count,
    const void *memos, size_t memo_bytes);
/* Borrows from `bytes`. The checksum is only looked at if a key is given; without one the caller
 * has verified these bytes before. STATUS_CORRUPT if they are no block. */
enum status rows_decode(
    const uint8_t *bytes, size_t len, const struct data_key *key, struct rows_block *ret) NODISCARD;

#endif
