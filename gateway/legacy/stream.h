/* The upstream's own framing of postures, as its clients need it: one compact JSON array, its records
 * joined by "},{" and beginning {"id":, as gzip of one member or as plain text.
 *
 * It leaves while the fetches still run that make it. The last record in hand is held back until
 * there is another one or all have ended well, so that what breaks off can never look whole, and
 * a pause can be filled: with an empty deflate block, or in plain text with a space behind the first
 * comma of the record that is held. Before a first record plain text has nothing to fill with.
 *
 * Sources: clients' code (the ways in which they split and inflate); RFC 1951 3.2.4 (empty blocks);
 * RFC 8259 2 (white space).
 *
 * Threads: owner only. Waits for fetches.
 */
#ifndef LEGACY_STREAM_H
#define LEGACY_STREAM_H

#include "gateway/answer/reader.h"
#include "gateway/base/codec.h"
#include "gateway/legacy/shape.h"

#define STREAM_FILLER_MS 15000 /* clients give up after 90 s without a byte; nginx after 15 min */

/* Makes the reader of that number ready, which is lent until the next is asked for. They are asked for
 * one after the other, each as soon as the one before it has ended; again only after a failure.
 *   STATUS_OK, or what the stream fails with */
typedef enum status legacy_reader_f(void *ctx, size_t at, struct reader **ret_reader);

struct legacy_stream {
	/* in */
	legacy_reader_f *need;
	void *need_ctx;
	size_t reader_count;
	struct shape_view view;
	/* out, so far */
	uint64_t records, bytes; /* bytes of JSON, before gzip */
	uint32_t changes;        /* shape_write()'s */
	/* its own */
	size_t at;             /* the number of the reader at hand */
	struct reader *reader; /* NULL: it is to be asked for */
	struct shape_writer writer;
	struct deflater *deflater; /* NULL: plain */
	struct buf text;           /* JSON that has not left; its last record is the one held */
	size_t held;               /* where that begins: at its comma, or the opening bracket */
	size_t gone;               /* how much of text has left already, for a filler's sake */
	bool unflushed;            /* the deflater may hold something back */
	int64_t sent_ms;           /* monotonic: when something left last */
};

/* Of `count` readers. STATUS_OK or STATUS_NO_MEMORY; legacy_stream_fini() after either. */
enum status legacy_stream_init(struct legacy_stream *s, legacy_reader_f *need, void *ctx,
    size_t count, const struct shape_view *view, bool plain) NODISCARD;
void legacy_stream_fini(struct legacy_stream *s);

/* Until the first record is in hand, all has ended, or the time is reached (monotonic): a failure up
 * to here can still be told with a status. Of which reader it is, s->at says.
 *   STATUS_OK, STATUS_STOPPING, or what reader_take(), shape_write() and the owner's function say */
enum status legacy_stream_prepare(struct legacy_stream *s, int64_t until_ms) NODISCARD;

/* A response_next_f; ctx is the struct legacy_stream. */
enum status legacy_stream_next(void *stream, struct buf *piece, bool *ret_end);

#endif
