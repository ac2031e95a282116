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

/* --- out: runs of raw deflate (RFC 1951) that can stand one behind the other in one stream, made
 * apart from each other; 300 KB of memory at most. The same content and history do not always give the
 * same bytes (seen with libisal 2.30: one run in tens of thousands differed). */

#define CODEC_HISTORY_BYTES                                                                        \
	((size_t)16 * 1024) /* deflate looks back twice as far: 1 % smaller, 8 % slower */

struct packer;

/* NULL when out of memory. packer_free(NULL) is fine. */
struct packer *packer_new(void) NODISCARD;
void packer_free(struct packer *p);

/* Begins a run. `history` is content that whoever inflates the run has seen directly before it; only
 * its last CODEC_HISTORY_BYTES are looked at, and nothing before it is ever referred to. It is copied.
 * Without any (len 0) the run can stand anywhere. */
void packer_begin(struct packer *p, const void *history, size_t len);
/* As deflater_add(). */
void packer_add(struct packer *p, const void *bytes, size_t len, struct buf *out);
/* Appends the rest, to a byte's end. The run is not the last of its stream: something must follow. */
void packer_end(struct packer *p, struct buf *out);
/* Packing is cheap enough to be done with everything that is stored. */
bool packer_is_fast(void);

/* --- CRC-32 as gzip has it (ISO 3309) */

/* Begin with 0. */
uint32_t codec_crc32(uint32_t crc, const void *bytes, size_t len);
/* That of a content with `crc`, and one of `next_len` bytes with `next_crc` behind it: less than
 * half a microsecond, of whatever length. */
uint32_t codec_crc32_combine(uint32_t crc, uint32_t next_crc, size_t next_len);

#endif
