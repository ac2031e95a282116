#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/base/stitch.h"

/* Text below it is stored as it is: deflating it costs more time than it saves bytes. */
#define PACKED_TEXT_BYTES KIB
/* So much text waits at most, where nothing has to be taken back. */
#define EASE_BYTES (256 * KIB)

void
stitch_init(struct stitch *s, size_t text_max, struct buf *out)
{
	*s = (struct stitch){.out = out};
	buf_init(&s->text, text_max);
}

void
stitch_fini(struct stitch *s)
{
	buf_fini(&s->text);
	packer_free(s->packer);
}

static void
put_u32(struct buf *b, uint32_t v)
{
	const char bytes[4] = {(char)v, (char)(v >> 8), (char)(v >> 16), (char)(v >> 24)};
	buf_add(b, bytes, sizeof bytes);
}

/* RFC 1952 2.3: deflate, no flags, no time, nothing said of how; of a Unix system */
static void
begin(struct stitch *s)
{
	static const char header[10] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	if (!s->began)
		buf_add(s->out, header, sizeof header);
	s->began = true;
}

static void
count(struct stitch *s, const void *bytes, size_t len)
{
	s->crc = codec_crc32(s->crc, bytes, len);
	s->len += (uint32_t)len;
}

static struct packer *
packer_of(struct stitch *s)
{
	if (s->packer == NULL)
		s->packer = packer_new();
	if (s->packer == NULL)
		s->err = STATUS_NO_MEMORY;
	return s->packer;
}

/* One stored block, not the last one (RFC 1951 3.2.4): it begins at a byte, as all does here. */
static void
store(struct stitch *s, const char *bytes, size_t len)
{
	uint32_t lengths = (uint32_t)len | ~(uint32_t)len << 16;
	buf_byte(s->out, 0);
	put_u32(s->out, lengths);
	buf_add(s->out, bytes, len);
}

static void
pass_text(struct stitch *s)
{
	struct buf *text = &s->text;
	if (text->len == 0)
		return;
	begin(s);
	count(s, text->data, text->len);
	if (text->len < PACKED_TEXT_BYTES) {
		store(s, text->data, text->len);
	} else if (packer_of(s) != NULL) {
		packer_begin(s->packer, NULL, 0);
		packer_add(s->packer, text->data, text->len, s->out);
		packer_end(s->packer, s->out);
	}
	text->len = 0;
}

void
stitch_ease(struct stitch *s)
{
	if (s->text.len >= EASE_BYTES)
		pass_text(s);
}

void
stitch_run(struct stitch *s, const void *run, size_t run_len, uint32_t crc, size_t content_bytes)
{
	pass_text(s);
	begin(s);
	buf_add(s->out, run, run_len);
	s->crc = codec_crc32_combine(s->crc, crc, content_bytes);
	s->len += (uint32_t)content_bytes;
}

void
stitch_pack(struct stitch *s, const void *history, size_t history_len, const char *joint,
    const void *content, size_t len)
{
	pass_text(s);
	if (packer_of(s) == NULL)
		return;
	begin(s);
	packer_begin(s->packer, history, history_len);
	packer_add(s->packer, joint, strlen(joint), s->out);
	packer_add(s->packer, content, len, s->out);
	packer_end(s->packer, s->out);
	count(s, joint, strlen(joint));
	count(s, content, len);
}

enum status
stitch_end(struct stitch *s, size_t least, bool *ret_packed)
{
	/* an empty block of fixed codes, the last one (RFC 1951 3.2.6) */
	static const char last[2] = {3, 0};
	bool packed = s->began || s->text.len >= least;
	if (s->text.err != STATUS_OK)
		return s->text.err;
	if (packed) {
		pass_text(s);
		begin(s);
		buf_add(s->out, last, sizeof last);
		put_u32(s->out, s->crc);
		put_u32(s->out, s->len);
	} else {
		buf_add(s->out, s->text.data, s->text.len);
		s->text.len = 0;
	}
	if (s->err != STATUS_OK || s->out->err != STATUS_OK)
		return s->err != STATUS_OK ? s->err : s->out->err;
	*ret_packed = packed;
	return STATUS_OK;
}
