/* gzip in, gzip out, CRC-32: the only includer of zlib and libisal.
 *
 * The inflater takes the bytes of one upstream answer as they arrive and gives back its content.
 * What it is is decided by the first byte, never by a header: 1f begins gzip, anything else
 * passes unchanged (the upstream sends gzip entities without Content-Encoding; no text begins
 * with 1f, so that a gzip cut behind its first byte is found too). One layer only: a gzip inside
 * a gzip comes out as gzip bytes. Several members make one content (RFC 1952 2.2).
 *
 * Caps (limits.h): content bytes in all, ratio of content to input after the first MiB of
 * content, zero bytes behind the last member.
 *
 * Threads: owner only.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

struct inflater;

/* NULL when out of memory. inflater_free(NULL) is fine. */
struct inflater *inflater_new(uint64_t max_content_bytes) NODISCARD;
void inflater_free(struct inflater *inf);

/* Takes from *in (moving *in and *in_len on) and writes at most out_cap > 0 bytes to out. Call again
 * while *in_len > 0 or *ret_out == out_cap.
 *   STATUS_OK                   *ret_out bytes were written (0 is possible)
 *   STATUS_UPSTREAM_BAD_DATA    not valid gzip: flipped bits, wrong CRC or length, bytes behind the end
 *   STATUS_UPSTREAM_TOO_LARGE   a cap was passed
 * After a failure every further call fails the same way. */
enum status inflater_step(struct inflater *inf, const uint8_t **in, size_t *in_len, uint8_t *out,
    size_t out_cap, size_t *ret_out) NODISCARD;

/* The input is over. STATUS_OK only if every member ended with its trailer and the trailer was
 * right (or if the input was not gzip at all); else STATUS_UPSTREAM_BAD_DATA. */
enum status inflater_finish(struct inflater *inf) NODISCARD;

uint64_t inflater_content_bytes(const struct inflater *inf);
bool inflater_was_gzip(const struct inflater *inf);

/* --- out: one gzip member of one content, made as it comes, at level 1; 370 KB of memory at most */

struct deflater;
struct buf;

/* NULL when out of memory. deflater_free(NULL) is fine. */
struct deflater *deflater_new(void) NODISCARD;
void deflater_free(struct deflater *d);

/* Appends to out what `len` bytes of content give; most of it may still be held back. A failure is
 * the buffer's, and the end of this content: what it did not take is lost. It needs room for 64 KiB
 * more than it holds. */
void deflater_add(struct deflater *d, const void *bytes, size_t len, struct buf *out);
/* Appends all that is held back, to a byte's end, so that whoever inflates has all content so far;
 * without any, an empty block all the same, which no decoder notices (RFC 1951 3.2.4). */
void deflater_flush(struct deflater *d, struct buf *out);
/* Appends the rest and the trailer. Nothing may follow. */
void deflater_end(struct deflater *d, struct buf *out);

/* CRC-32 as gzip has it (ISO 3309). Begin with 0. */
uint32_t codec_crc32(uint32_t crc, const void *bytes, size_t len);

#endif
