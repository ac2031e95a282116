#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/simulator/gzip.h"

#define STEP_BYTES ((size_t)64 * 1024)

#if defined(HAVE_ISAL)

#include <isa-l/igzip_lib.h>

struct gzip {
	struct isal_zstream stream;
	uint8_t level_buf[ISAL_DEF_LVL1_DEFAULT];
};

struct gzip *
gzip_new(void)
{
	struct gzip *z = sim_alloc(sizeof(*z));
	isal_deflate_init(&z->stream);
	z->stream.level = 1;
	z->stream.level_buf = z->level_buf;
	z->stream.level_buf_size = sizeof(z->level_buf);
	z->stream.gzip_flag = IGZIP_GZIP;
	return z;
}

void
gzip_free(struct gzip *z)
{
	free(z);
}

static void
step(struct gzip *z, enum gzip_then then, struct sbuf *out)
{
	z->stream.end_of_stream = then == GZIP_END;
	z->stream.flush = then == GZIP_FLUSH ? SYNC_FLUSH : NO_FLUSH;
	do {
		z->stream.next_out = (uint8_t *)sbuf_room(out, STEP_BYTES);
		z->stream.avail_out = (uint32_t)STEP_BYTES;
		if (isal_deflate(&z->stream) != COMP_OK)
			abort(); /* only wrong use of the library ends here */
		out->len += STEP_BYTES - z->stream.avail_out;
	} while (z->stream.avail_out == 0 || z->stream.avail_in > 0);
}

void
gzip_add(struct gzip *z, const void *bytes, size_t len, enum gzip_then then, struct sbuf *out)
{
	union {
		const void *in;
		uint8_t *unqualified; /* the library reads only, but its field is not const */
	} input = {bytes};
	z->stream.next_in = input.unqualified;
	z->stream.avail_in = (uint32_t)len;
	step(z, then, out);
}

#else

#include <zlib.h>

struct gzip {
	z_stream stream;
};

struct gzip *
gzip_new(void)
{
	struct gzip *z = sim_alloc(sizeof(*z));
	if (deflateInit2(&z->stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	return z;
}

void
gzip_free(struct gzip *z)
{
	if (z != NULL)
		deflateEnd(&z->stream);
	free(z);
}

void
gzip_add(struct gzip *z, const void *bytes, size_t len, enum gzip_then then, struct sbuf *out)
{
	static const int flush[] = {
	    [GZIP_MORE] = Z_NO_FLUSH, [GZIP_FLUSH] = Z_SYNC_FLUSH, [GZIP_END] = Z_FINISH};
	union {
		const void *in;
		Bytef *unqualified; /* the library reads only, but its field is not const */
	} input = {bytes};
	z->stream.next_in = input.unqualified;
	z->stream.avail_in = (uInt)len;
	do {
		z->stream.next_out = (Bytef *)sbuf_room(out, STEP_BYTES);
		z->stream.avail_out = (uInt)STEP_BYTES;
		deflate(&z->stream, flush[then]);
		out->len += STEP_BYTES - z->stream.avail_out;
	} while (z->stream.avail_out == 0);
}

#endif

void
gzip_member(const void *bytes, size_t len, struct sbuf *out)
{
	struct gzip *z = gzip_new();
	/* in steps: the libraries count input in 32 bits */
	const char *at = bytes;
	while (len > STEP_BYTES) {
		gzip_add(z, at, STEP_BYTES, GZIP_MORE, out);
		at += STEP_BYTES;
		len -= STEP_BYTES;
	}
	gzip_add(z, at, len, GZIP_END, out);
	gzip_free(z);
}
