#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/legacy/stream.h"

#define TAKE_RECORDS 128        /* in one view of the store */
#define PIECE_BYTES (256 * KIB) /* of JSON: enough for a long write, little to hold */

enum status
legacy_stream_init(struct legacy_stream *s, legacy_reader_f *need, void *ctx, size_t count,
    const struct shape_view *view, bool plain)
{
	*s = (struct legacy_stream){
	    .need = need, .need_ctx = ctx, .reader_count = count, .view = *view};
	shape_writer_init(&s->writer);
	buf_init(&s->text, LIMIT_PIECE_BYTES);
	s->sent_ms = clock_mono_ms();
	if (plain)
		return STATUS_OK;
	s->deflater = deflater_new();
	return s->deflater != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void
legacy_stream_fini(struct legacy_stream *s)
{
	deflater_free(s->deflater);
	buf_fini(&s->text);
	shape_writer_fini(&s->writer);
}

/* --- records in */

static enum status
on_record(void *ctx, const struct reader_record *rec)
{
	struct legacy_stream *s = ctx;
	s->held = s->text.len;
	buf_byte(&s->text, s->records > 0 ? ',' : '[');
	enum status st = shape_write(&s->writer, &s->view, rec->body, rec->body_len, rec->memo,
	    rec->memo_len, &s->text, &s->changes);
	if (st != STATUS_OK)
		return st;
	s->records++;
	return s->text.err;
}

/* Some of the reader at hand. */
static enum status
take_some(struct legacy_stream *s, enum reader_state *ret_state)
{
	enum status st = s->reader != NULL ? STATUS_OK : s->need(s->need_ctx, s->at, &s->reader);
	if (st == STATUS_OK)
		st = reader_take(s->reader, TAKE_RECORDS, PIECE_BYTES, on_record, s, ret_state);
	if (st == STATUS_OK && *ret_state == READER_END) {
		s->reader = NULL;
		s->at++;
	}
	return st;
}

/* Takes records until there is enough for a piece, a wait or the end. */
static enum status
take(struct legacy_stream *s, enum reader_state *ret_state)
{
	*ret_state = READER_END;
	while (s->at < s->reader_count) {
		enum status st = take_some(s, ret_state);
		if (st != STATUS_OK || *ret_state == READER_WAITS)
			return st;
		if (s->text.len - s->gone >= PIECE_BYTES)
			return STATUS_OK;
	}
	return STATUS_OK;
}

enum status
legacy_stream_prepare(struct legacy_stream *s, int64_t until_ms)
{
	for (;;) {
		enum reader_state state;
		enum status st = take(s, &state);
		if (st != STATUS_OK || state != READER_WAITS || s->records > 0 ||
		    clock_mono_ms() >= until_ms)
			return st;
		if (!reader_wait(s->reader, until_ms))
			return STATUS_STOPPING;
	}
}

/* --- bytes out */

static void
send_text(struct legacy_stream *s, const char *bytes, size_t len, struct buf *piece)
{
	s->bytes += len;
	s->unflushed = s->unflushed || len > 0;
	if (s->deflater != NULL)
		deflater_add(s->deflater, bytes, len, piece);
	else
		buf_add(piece, bytes, len);
}

/* All that stands before `end` leaves, and the rest moves to the front. */
static void
send_until(struct legacy_stream *s, size_t end, struct buf *piece)
{
	if (end <= s->gone)
		return; /* what is held has begun to leave */
	send_text(s, s->text.data + s->gone, end - s->gone, piece);
	memmove(s->text.data, s->text.data + end, s->text.len - end);
	s->text.len -= end;
	s->held = s->held > end ? s->held - end : 0;
	s->gone = 0;
}

/* Behind the first comma of the record that is held: it follows the ID, which is a number. 0: nothing
 * is held. */
static size_t
place_to_fill(const struct legacy_stream *s)
{
	if (s->text.len == 0)
		return 0;
	const char *open = memchr(s->text.data, '{', s->text.len);
	const char *comma =
	    open != NULL ? memchr(open, ',', s->text.len - (size_t)(open - s->text.data)) : NULL;
	return comma != NULL ? (size_t)(comma + 1 - s->text.data) : 0;
}

/* So that nobody takes the pause for the end of everything. */
static void
fill(struct legacy_stream *s, struct buf *piece)
{
	if (s->deflater != NULL) {
		deflater_flush(s->deflater, piece);
		return;
	}
	size_t place = place_to_fill(s);
	if (place == 0)
		return;
	if (s->gone < place) {
		send_text(s, s->text.data + s->gone, place - s->gone, piece);
		s->gone = place;
	}
	send_text(s, " ", 1, piece);
}

static void
finish(struct legacy_stream *s, struct buf *piece)
{
	buf_str_add(&s->text, s->records > 0 ? "]" : "[]");
	send_until(s, s->text.len, piece);
	if (s->deflater != NULL)
		deflater_end(s->deflater, piece);
}

/* What is there leaves before a wait; without any, the wait is for the next filler at most. */
static enum status
wait_or_send(struct legacy_stream *s, struct buf *piece)
{
	send_until(s, s->held, piece);
	if (s->deflater != NULL && s->unflushed)
		deflater_flush(s->deflater, piece);
	s->unflushed = false;
	if (piece->len > 0)
		return piece->err;
	if (!reader_wait(s->reader, s->sent_ms + STREAM_FILLER_MS))
		return STATUS_STOPPING;
	if (clock_mono_ms() < s->sent_ms + STREAM_FILLER_MS)
		return STATUS_OK;
	fill(s, piece);
	s->sent_ms = clock_mono_ms();
	return piece->err;
}

enum status
legacy_stream_next(void *stream, struct buf *piece, bool *ret_end)
{
	struct legacy_stream *s = stream;
	enum reader_state state;
	*ret_end = false;
	enum status st = take(s, &state);
	if (st != STATUS_OK)
		return st;
	if (state == READER_WAITS) {
		st = wait_or_send(s, piece);
	} else if (s->at == s->reader_count) {
		*ret_end = true;
		finish(s, piece);
	} else {
		send_until(s, s->held, piece);
	}
	if (piece->len > 0)
		s->sent_ms = clock_mono_ms();
	return st != STATUS_OK ? st : piece->err;
}
