/* One gzip member (RFC 1952) put together from runs of deflate that are there already and from text
 * in between, which is deflated here if that is worth it.
 *
 * Write the text that comes next to `text`; the runs go between what was written before and after.
 * What inflates it gets text and runs in their order.
 *
 * Threads: owner only.
 */
#ifndef BASE_STITCH_H
#define BASE_STITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/codec.h"

struct stitch {
	struct buf text; /* not yet in `out` */
	struct buf *out;
	struct packer *packer; /* made when it is first needed */
	enum status err;       /* sticky; or see those of the two buffers */
	uint32_t crc, len;     /* of the content in `out`; the length modulo 2^32 */
	bool began;
};

/* out: where the member goes; borrowed, and empty. text_max: most text that may wait. */
void stitch_init(struct stitch *s, size_t text_max, struct buf *out);
void stitch_fini(struct stitch *s);

/* Passes the text on if it has become long: call it where nothing has to be taken back any more. */
void stitch_ease(struct stitch *s);
/* A run of deflate that ends at a byte's end, with the CRC-32 and the length of its content. Its
 * content may refer to what was put before it: that this is the same is the caller's to know. */
void stitch_run(
    struct stitch *s, const void *run, size_t run_len, uint32_t crc, size_t content_bytes);
/* Packs such a run: of `joint` (a text, "" for none) and then the content, with that history. */
void stitch_pack(struct stitch *s, const void *history, size_t history_len, const char *joint,
    const void *content, size_t len);

/* The end of the member. *ret_packed false: all of it was less than `least` bytes of text, which now
 * stands in `out` as it is.
 *   STATUS_OK, STATUS_OVERFLOW, STATUS_NO_MEMORY */
enum status stitch_end(struct stitch *s, size_t least, bool *ret_packed) NODISCARD;

#endif
