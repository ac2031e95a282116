/* A fragment as it stands on disk: a run of bodies joined by commas. Pure: bytes in, bytes out.
 *
 *     0  u32  magic "PGFR"
 *     4  u32  CRC-32 of the key and of everything from byte 8 on
 *     8  u32  count of records, 1 to LIMIT_FRAGMENT_RECORDS
 *    12  u32  bytes of content
 *    16       content: body "," body "," ... body; a row's body_at counts from here
 *
 * Threads: any.
 */
#ifndef CACHE_FRAGMENT_H
#define CACHE_FRAGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "cache/bytes.h"
#include "gateway/base/attr.h"
#include "gateway/base/status.h"

#define FRAGMENT_HEADER_BYTES 16

struct fragment {
	const char *content;
	size_t len;
	size_t count;
};

size_t fragment_bytes(size_t content_len);
/* Writes fragment_bytes(len) bytes to out. crc: the content's CRC-32. */
void fragment_encode(uint8_t *out, const struct data_key *key, size_t count, const void *content,
    size_t len, uint32_t crc);
/* Borrows from `bytes`. The checksum is only looked at if a key is given; without one the caller
 * has verified these bytes before. STATUS_CORRUPT if they are no fragment. */
enum status fragment_decode(
    const uint8_t *bytes, size_t len, const struct data_key *key, struct fragment *ret) NODISCARD;

#endif
