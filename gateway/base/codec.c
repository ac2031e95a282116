/* The gzip header (RFC 1952) and what may stand between and behind members is read here, byte by
 * byte; the engine, one of two libraries, takes a deflate stream and the trailer behind it. So the
 * two cannot differ in the fields and paddings that they accept.
 */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif
#endif

#include "gateway/base/buf.h"
#include "gateway/base/codec.h"
#include "gateway/base/le.h"
#include "gateway/base/limits.h"

/* most bytes given to a library at once: both count in 32 bits */
#define ENGINE_MOST ((size_t)1 << 30)

/* what becomes of content that is given to a deflater */
enum deflate_how { DEFLATE_MORE, DEFLATE_FLUSH, DEFLATE_END };
#define DEFLATE_ROOM_BYTES ((size_t)64 * KIB)

/* --- the engine: one deflate stream and its trailer, both checked */

/* ENGINE_MORE: it needs input, or room, or both. */
enum engine_end { ENGINE_MORE, ENGINE_END, ENGINE_BAD };

#ifdef HAVE_ISAL

struct engine {
	struct inflate_state igzip;
};

#ifdef __x86_64__
static __attribute__((target("avx"))) void
clear_upper_halves(void)
{
	_mm256_zeroupper();
}
#endif

/* libisal 2.30's CRC leaves the upper halves of the vector registers in use. As long as they are,
 * every SSE instruction of everyone else on this thread waits for them: measured, splitting and
 * normalising after an inflate ran at a third of their speed. */
static void
leave_isal(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx"))
		clear_upper_halves();
#endif
}

static bool
engine_init(struct engine *e)
{
	isal_inflate_init(&e->igzip);
	return true;
}

static void
engine_fini(struct engine *e)
{
	(void)e;
}

static void
engine_reset(struct engine *e)
{
	isal_inflate_reset(&e->igzip);
	e->igzip.crc_flag = ISAL_GZIP_NO_HDR_VER;
}

static enum engine_end
engine_run(struct engine *e, const uint8_t *in, size_t in_len, uint8_t *out, size_t room,
    size_t *ret_taken, size_t *ret_made)
{
	struct inflate_state *z = &e->igzip;
	size_t left;
	int rc;

	z->next_in = (uint8_t *)(uintptr_t)in; /* it is only read: the library lacks the const */
	z->avail_in = (uint32_t)in_len;
	z->next_out = out;
	z->avail_out = (uint32_t)room;
	/* it may stop with both input and room left where its inner buffer wraps */
	do {
		left = (size_t)z->avail_in + z->avail_out;
		rc = isal_inflate(z);
	} while (rc == ISAL_DECOMP_OK && z->block_state != ISAL_BLOCK_FINISH && z->avail_out > 0 &&
		 (size_t)z->avail_in + z->avail_out < left);
	leave_isal();
	/* after an error its counts are off by the slack of its loops */
	if (rc != ISAL_DECOMP_OK)
		return ENGINE_BAD;
	*ret_taken = in_len - z->avail_in;
	*ret_made = room - z->avail_out;
	return z->block_state == ISAL_BLOCK_FINISH ? ENGINE_END : ENGINE_MORE;
}

uint32_t
codec_crc32(uint32_t crc, const void *bytes, size_t len)
{
	crc = crc32_gzip_refl(crc, bytes, len);
	leave_isal();
	return crc;
}

/* Measured on 157 MB of simulated postures, given one by one with a flush every 256 KiB: 920 MB/s
 * and a ratio of 11.8, where zlib's level 1 has 260 MB/s and 10.6. */
#define DEFLATE_LEVEL 1

struct deflater {
	struct isal_zstream z;
	uint8_t room[ISAL_DEF_LVL1_DEFAULT];
};

static bool
deflater_begin(struct deflater *d)
{
	isal_deflate_init(&d->z);
	d->z.level = DEFLATE_LEVEL;
	d->z.level_buf = d->room;
	d->z.level_buf_size = sizeof d->room;
	d->z.gzip_flag = IGZIP_GZIP;
	return true;
}

void
deflater_free(struct deflater *d)
{
	free(d);
}

static void
engine_deflate(
    struct isal_zstream *z, const void *bytes, size_t len, enum deflate_how how, struct buf *out)
{
	assert(len <= ENGINE_MOST);
	z->next_in = (uint8_t *)(uintptr_t)bytes; /* it is only read: the library lacks the const */
	z->avail_in = (uint32_t)len;
	z->flush = how == DEFLATE_FLUSH ? SYNC_FLUSH : NO_FLUSH;
	z->end_of_stream = how == DEFLATE_END;
	do {
		char *at = buf_room(out, DEFLATE_ROOM_BYTES);
		if (at == NULL)
			break;
		z->next_out = (uint8_t *)at;
		z->avail_out = DEFLATE_ROOM_BYTES;
		int rc = isal_deflate(z);
		assert(rc == COMP_OK); /* its only failures are ours: no level, no room for it */
		buf_used(out, DEFLATE_ROOM_BYTES - z->avail_out);
	} while (z->avail_out == 0);
	leave_isal();
}

static void
deflater_run(
    struct deflater *d, const void *bytes, size_t len, enum deflate_how how, struct buf *out)
{
	engine_deflate(&d->z, bytes, len, how, out);
}

/* Measured on simulated postures, 20 in a run with the run before as its history: the sizes of levels
 * 1, 2 and 3 are as 1.02, 1 and 0.94, their speeds 940, 910 and 230 MB/s. */
#define PACK_LEVEL 2

struct packer {
	struct isal_zstream z;
	uint8_t room[ISAL_DEF_LVL2_MEDIUM];
	uint8_t history[CODEC_HISTORY_BYTES];
};

static bool
packer_init(struct packer *p)
{
	(void)p;
	return true;
}

static void
packer_fini(struct packer *p)
{
	(void)p;
}

static void
packer_reset(struct packer *p, const uint8_t *history, size_t len)
{
	isal_deflate_init(&p->z);
	p->z.level = PACK_LEVEL;
	p->z.level_buf = p->room;
	p->z.level_buf_size = sizeof p->room;
	if (len == 0)
		return;
	memcpy(p->history, history, len); /* the library lacks the const */
	int rc = isal_deflate_set_dict(&p->z, p->history, (uint32_t)len);
	assert(rc == COMP_OK);
	leave_isal();
}

static void
packer_run(struct packer *p, const void *bytes, size_t len, enum deflate_how how, struct buf *out)
{
	engine_deflate(&p->z, bytes, len, how, out);
}

bool
packer_is_fast(void)
{
	return true;
}

#else /* zlib */

#define TRAILER_BYTES 8

struct engine {
	z_stream zlib;
	bool ended;      /* the deflate stream: its trailer follows */
	uint32_t crc;    /* of its content */
	uint32_t length; /* modulo 2^32 */
	uint8_t trailer[TRAILER_BYTES];
	size_t trailer_bytes; /* that are here */
};

static bool
engine_init(struct engine *e)
{
	return inflateInit2(&e->zlib, -MAX_WBITS) == Z_OK;
}

static void
engine_fini(struct engine *e)
{
	inflateEnd(&e->zlib);
}

static void
engine_reset(struct engine *e)
{
	inflateReset(&e->zlib);
	e->ended = false;
	e->crc = 0;
	e->length = 0;
	e->trailer_bytes = 0;
}

static enum engine_end
check_trailer(struct engine *e)
{
	z_stream *z = &e->zlib;
	while (z->avail_in > 0 && e->trailer_bytes < TRAILER_BYTES) {
		e->trailer[e->trailer_bytes++] = *z->next_in++;
		z->avail_in--;
	}
	if (e->trailer_bytes < TRAILER_BYTES)
		return ENGINE_MORE;
	return le_get(e->trailer, 4) == e->crc && le_get(e->trailer + 4, 4) == e->length
		   ? ENGINE_END
		   : ENGINE_BAD;
}

static enum engine_end
engine_run(struct engine *e, const uint8_t *in, size_t in_len, uint8_t *out, size_t room,
    size_t *ret_taken, size_t *ret_made)
{
	z_stream *z = &e->zlib;
	enum engine_end end = ENGINE_MORE;

	z->next_in = in;
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)room;
	if (!e->ended) {
		int rc = inflate(z, Z_NO_FLUSH);
		/* Z_BUF_ERROR: nothing to do without more input or room */
		if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END)
			return ENGINE_BAD;
		e->ended = rc == Z_STREAM_END;
	}
	size_t made = room - z->avail_out;
	e->crc = codec_crc32(e->crc, out, made);
	e->length += (uint32_t)made;
	if (e->ended)
		end = check_trailer(e);
	*ret_taken = in_len - z->avail_in;
	*ret_made = made;
	return end;
}

uint32_t
codec_crc32(uint32_t crc, const void *bytes, size_t len)
{
	/* without bytes, where there may be no pointer either, zlib begins anew */
	return len > 0 ? (uint32_t)crc32_z(crc, bytes, len) : crc;
}

#define DEFLATE_LEVEL 1

struct deflater {
	z_stream z;
};

static bool
deflater_begin(struct deflater *d)
{
	return deflateInit2(
		   &d->z, DEFLATE_LEVEL, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}

void
deflater_free(struct deflater *d)
{
	if (d != NULL)
		deflateEnd(&d->z);
	free(d);
}

static void
engine_deflate(z_stream *z, const void *bytes, size_t len, enum deflate_how how, struct buf *out)
{
	static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
	assert(len <= ENGINE_MOST);
	z->next_in = bytes;
	z->avail_in = (uInt)len;
	do {
		char *at = buf_room(out, DEFLATE_ROOM_BYTES);
		if (at == NULL)
			break;
		z->next_out = (Bytef *)at;
		z->avail_out = DEFLATE_ROOM_BYTES;
		(void)deflate(z, flush[how]); /* Z_BUF_ERROR: there was nothing to do */
		buf_used(out, DEFLATE_ROOM_BYTES - z->avail_out);
	} while (z->avail_out == 0);
}

static void
deflater_run(
    struct deflater *d, const void *bytes, size_t len, enum deflate_how how, struct buf *out)
{
	engine_deflate(&d->z, bytes, len, how, out);
}

struct packer {
	z_stream z;
};

static bool
packer_init(struct packer *p)
{
	return deflateInit2(&p->z, DEFLATE_LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) ==
	       Z_OK;
}

static void
packer_fini(struct packer *p)
{
	deflateEnd(&p->z);
}

static void
packer_reset(struct packer *p, const uint8_t *history, size_t len)
{
	deflateReset(&p->z);
	if (len > 0)
		deflateSetDictionary(&p->z, history, (uInt)len);
}

static void
packer_run(struct packer *p, const void *bytes, size_t len, enum deflate_how how, struct buf *out)
{
	engine_deflate(&p->z, bytes, len, how, out);
}

bool
packer_is_fast(void)
{
	return false;
}

#endif

/* --- runs */

struct packer *
packer_new(void)
{
	/* not cleared: it is large, and what is not needed of it is never touched */
	struct packer *p = malloc(sizeof *p);
	if (p == NULL)
		return NULL;
	memset(&p->z, 0, sizeof p->z);
	if (!packer_init(p)) {
		free(p);
		return NULL;
	}
	return p;
}

void
packer_free(struct packer *p)
{
	if (p != NULL)
		packer_fini(p);
	free(p);
}

void
packer_begin(struct packer *p, const void *history, size_t len)
{
	const uint8_t *from = history;
	if (len > CODEC_HISTORY_BYTES) {
		from += len - CODEC_HISTORY_BYTES;
		len = CODEC_HISTORY_BYTES;
	}
	packer_reset(p, from, len);
}

void
packer_add(struct packer *p, const void *bytes, size_t len, struct buf *out)
{
	if (len > 0)
		packer_run(p, bytes, len, DEFLATE_MORE, out);
}

void
packer_end(struct packer *p, struct buf *out)
{
	packer_run(p, NULL, 0, DEFLATE_FLUSH, out);
}

/* --- CRCs of contents that stand one behind the other: libisal has nothing for it */

uint32_t
codec_crc32_combine(uint32_t crc, uint32_t next_crc, size_t next_len)
{
	return (uint32_t)crc32_combine(crc, next_crc, (z_off_t)next_len);
}

/* --- out */

struct deflater *
deflater_new(void)
{
	struct deflater *d = calloc(1, sizeof *d);
	if (d != NULL && !deflater_begin(d)) {
		free(d);
		d = NULL;
	}
	return d;
}

void
deflater_add(struct deflater *d, const void *bytes, size_t len, struct buf *out)
{
	if (len > 0)
		deflater_run(d, bytes, len, DEFLATE_MORE, out);
}

void
deflater_flush(struct deflater *d, struct buf *out)
{
	/* libisal gives an empty block each time, zlib only where something came since the last */
	static const char empty[] = {0, 0, 0, (char)0xff, (char)0xff};
	size_t len = out->len;
	deflater_run(d, NULL, 0, DEFLATE_FLUSH, out);
	if (out->len == len)
		buf_add(out, empty, sizeof empty);
}

void
deflater_end(struct deflater *d, struct buf *out)
{
	deflater_run(d, NULL, 0, DEFLATE_END, out);
}

/* --- the framing */

/* What the next input byte is. */
enum place {
	PLACE_FIRST,   /* the very first byte */
	PLACE_PLAIN,   /* not gzip: passes unchanged */
	PLACE_FIXED,   /* the ten bytes that every header has */
	PLACE_XLEN,    /* FEXTRA: two bytes of length */
	PLACE_EXTRA,   /* and that many bytes */
	PLACE_NAME,    /* FNAME, to its NUL */
	PLACE_COMMENT, /* FCOMMENT, to its NUL */
	PLACE_HCRC,    /* FHCRC: two bytes */
	PLACE_BODY,    /* the deflate stream and its trailer */
	PLACE_BETWEEN, /* behind a member */
	PLACE_PADDING, /* zeros behind the last one */
};

enum { FLAG_HCRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_RESERVED = 0xe0 };

struct inflater {
	enum place place;
	enum status failed;
	uint64_t max_content, content, input;
	/* of the member at hand */
	uint8_t bytes[10]; /* the field at hand, as far as it is here */
	size_t count;      /* how many of it are here */
	uint8_t flags;
	uint32_t extra_left;
	uint32_t header_crc;
	size_t padding;
	struct engine engine;
};

struct inflater *
inflater_new(uint64_t max_content_bytes)
{
	struct inflater *inf = calloc(1, sizeof *inf);
	if (inf == NULL)
		return NULL;
	inf->max_content = max_content_bytes;
	if (!engine_init(&inf->engine)) {
		free(inf);
		return NULL;
	}
	return inf;
}

void
inflater_free(struct inflater *inf)
{
	if (inf == NULL)
		return;
	engine_fini(&inf->engine);
	free(inf);
}

/* Collects a field of `want` bytes; true once it is whole. */
static bool
field(struct inflater *inf, uint8_t byte, size_t want)
{
	inf->bytes[inf->count++] = byte;
	if (inf->count < want)
		return false;
	inf->count = 0;
	return true;
}

static void
begin_member(struct inflater *inf)
{
	inf->place = PLACE_FIXED;
	inf->header_crc = 0;
}

/* The header field that follows `done`, of those that the flags announce. */
static void
next_field(struct inflater *inf, enum place done)
{
	if (done < PLACE_XLEN && (inf->flags & FLAG_EXTRA) != 0)
		inf->place = PLACE_XLEN;
	else if (done < PLACE_NAME && (inf->flags & FLAG_NAME) != 0)
		inf->place = PLACE_NAME;
	else if (done < PLACE_COMMENT && (inf->flags & FLAG_COMMENT) != 0)
		inf->place = PLACE_COMMENT;
	else if (done < PLACE_HCRC && (inf->flags & FLAG_HCRC) != 0)
		inf->place = PLACE_HCRC;
	else {
		inf->place = PLACE_BODY;
		engine_reset(&inf->engine);
	}
}

static bool
header_byte(struct inflater *inf, uint8_t byte)
{
	static const uint8_t magic[] = {0x1f, 0x8b, 8};

	if (inf->place != PLACE_HCRC)
		inf->header_crc = codec_crc32(inf->header_crc, &byte, 1);
	switch (inf->place) {
	case PLACE_FIXED:
		if (inf->count < sizeof magic && byte != magic[inf->count])
			return false;
		if (field(inf, byte, 10)) {
			inf->flags = inf->bytes[3];
			next_field(inf, PLACE_FIXED);
			return (inf->flags & FLAGS_RESERVED) == 0;
		}
		return true;
	case PLACE_XLEN:
		if (field(inf, byte, 2)) {
			inf->extra_left = (uint32_t)le_get(inf->bytes, 2);
			inf->place = PLACE_EXTRA;
			if (inf->extra_left == 0)
				next_field(inf, PLACE_EXTRA);
		}
		return true;
	case PLACE_EXTRA:
		if (--inf->extra_left == 0)
			next_field(inf, PLACE_EXTRA);
		return true;
	case PLACE_NAME:
	case PLACE_COMMENT:
		if (byte == 0)
			next_field(inf, inf->place);
		return true;
	default: /* PLACE_HCRC */
		if (field(inf, byte, 2)) {
			next_field(inf, PLACE_HCRC);
			return le_get(inf->bytes, 2) == (inf->header_crc & 0xffff);
		}
		return true;
	}
}

/* A byte outside of a member's body; false if it cannot stand there. */
static bool
frame_byte(struct inflater *inf, uint8_t byte)
{
	switch (inf->place) {
	case PLACE_FIRST:
	case PLACE_BETWEEN:
		if (byte == 0 && inf->place == PLACE_BETWEEN) {
			inf->place = PLACE_PADDING;
			inf->padding = 1;
			return true;
		}
		begin_member(inf);
		return header_byte(inf, byte);
	case PLACE_PADDING:
		return byte == 0 && ++inf->padding <= LIMIT_INFLATE_PADDING_BYTES;
	default:
		return header_byte(inf, byte);
	}
}

/* Inflates what there is; false if it is not deflate, or the trailer is wrong. */
static bool
body_bytes(struct inflater *inf, const uint8_t **in, size_t *in_len, uint8_t *out, size_t room,
    size_t *ret_made)
{
	size_t give = *in_len < ENGINE_MOST ? *in_len : ENGINE_MOST, taken = 0, made = 0;
	if (room > ENGINE_MOST)
		room = ENGINE_MOST;
	enum engine_end end = engine_run(&inf->engine, *in, give, out, room, &taken, &made);
	*in += taken;
	*in_len -= taken;
	*ret_made = made;
	if (end == ENGINE_END)
		inf->place = PLACE_BETWEEN;
	return end != ENGINE_BAD;
}

static size_t
plain_bytes(const uint8_t **in, size_t *in_len, uint8_t *out, size_t room)
{
	size_t n = *in_len < room ? *in_len : room;
	if (n > 0)
		memcpy(out, *in, n);
	*in += n;
	*in_len -= n;
	return n;
}

/* Reads until the input is used up or the room is. */
static bool
step(struct inflater *inf, const uint8_t **in, size_t *in_len, uint8_t *out, size_t out_cap,
    size_t *ret_made)
{
	size_t made = 0;
	bool good = true;
	while (good) {
		if (inf->place == PLACE_FIRST && *in_len > 0 && **in != 0x1f)
			inf->place = PLACE_PLAIN;
		if (inf->place == PLACE_PLAIN) {
			made += plain_bytes(in, in_len, out + made, out_cap - made);
			break;
		}
		if (inf->place == PLACE_BODY) {
			/* also without input: the engine may hold back output */
			if (made == out_cap)
				break;
			size_t before = *in_len, more;
			good = body_bytes(inf, in, in_len, out + made, out_cap - made, &more);
			made += more;
			if (inf->place == PLACE_BODY && more == 0 && *in_len == before)
				break;
		} else {
			if (*in_len == 0)
				break;
			good = frame_byte(inf, *(*in)++);
			--*in_len;
		}
	}
	*ret_made = made;
	return good;
}

enum status
inflater_step(struct inflater *inf, const uint8_t **in, size_t *in_len, uint8_t *out,
    size_t out_cap, size_t *ret_out)
{
	size_t made = 0, had = *in_len;

	assert(out_cap > 0);
	if (inf->failed != STATUS_OK)
		return inf->failed;
	if (!step(inf, in, in_len, out, out_cap, &made))
		inf->failed = STATUS_UPSTREAM_BAD_DATA;
	inf->input += had - *in_len;
	inf->content += made;
	if (inf->content > inf->max_content ||
	    (inf->content > MIB && inf->content / LIMIT_INFLATE_RATIO > inf->input))
		inf->failed = STATUS_UPSTREAM_TOO_LARGE;
	if (inf->failed == STATUS_OK)
		*ret_out = made;
	return inf->failed;
}

enum status
inflater_finish(struct inflater *inf)
{
	if (inf->failed != STATUS_OK)
		return inf->failed;
	switch (inf->place) {
	case PLACE_FIRST:
	case PLACE_PLAIN:
	case PLACE_BETWEEN:
	case PLACE_PADDING:
		return STATUS_OK;
	default:
		return inf->failed = STATUS_UPSTREAM_BAD_DATA;
	}
}
