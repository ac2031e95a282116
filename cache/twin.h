/* A twin as it stands on disk: what a fragment's content becomes as a run of raw deflate. Pure: bytes
 * in, bytes out.
 *
 *     0  u32  magic "PGTW"
 *     4  u32  CRC-32 of the key and of everything from byte 8 on
 *     8  u32  count of records, 1 to LIMIT_FRAGMENT_RECORDS
 *    12  u32  bytes of content that the run inflates to
 *    16  u32  CRC-32 of that
 *    20       the run, to a byte's end, not the last one of its stream
 *
 * One whose number is a multiple of LIMIT_TWIN_CHAIN is **free**: its content is its fragment's, and
 * it can stand anywhere. The others are **chained**: their content begins with the comma before the
 * fragment, and the run refers to the content of the fragment before as what was directly before it.
 *
 * Threads: any.
 */
#ifndef CACHE_TWIN_H
#define CACHE_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/bytes.h"
#include "cache/cache.h"
#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/status.h"

#define TWIN_HEADER_BYTES 20

/* Appends the twin of a fragment. before: the content of the fragment before, or at least the last
 * CODEC_HISTORY_BYTES of it; not looked at if the twin is a free one. crc: of the content. A failure is the
 * buffer's. */
void twin_encode(struct packer *p, const struct data_key *key, uint32_t number, size_t count,
    const char *before, size_t before_len, const char *content, size_t len, uint32_t crc,
    struct buf *out);
/* Borrows from `bytes`. The checksum is only looked at if a key is given; without one the caller has
 * verified these bytes before. STATUS_CORRUPT if they are no twin. */
enum status twin_decode(const uint8_t *bytes, size_t len, const struct data_key *key,
    uint32_t number, struct cache_twin *ret) NODISCARD;

#endif
