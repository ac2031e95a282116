#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/normalise.h"
#include "gateway/fetch/pull.h"

#define BATCH_MOST 1000000 /* a batch number beyond it is noted as unknown, not stored */

/* --- bytes to records */

struct stream {
	struct inflater *inflater;
	struct split *split;
};

static enum status
stream_body(void *ctx, const void *bytes, size_t len)
{
	struct stream *s = ctx;
	const uint8_t *in = bytes;
	size_t made, room;
	do {
		uint8_t *window = split_window(s->split, &room);
		if (window == NULL)
			return STATUS_NO_MEMORY;
		enum status st = inflater_step(s->inflater, &in, &len, window, room, &made);
		if (st == STATUS_OK)
			st = split_advance(s->split, made);
		if (st != STATUS_OK)
			return st;
	} while (len > 0 || made == room);
	return STATUS_OK;
}

/* The transfer was whole: was what it carried? `split` may be NULL. */
static enum status
stream_finish(struct inflater *inflater, struct split *split, int http)
{
	if (http == 204)
		return STATUS_OK;
	if (http != 200)
		return STATUS_UPSTREAM_MALFORMED;
	enum status st = inflater_finish(inflater);
	return st == STATUS_OK && split != NULL ? split_finish(split) : st;
}

enum status
pull_array(struct transport *t, const struct transport_request *req, const atomic_bool *cancelled,
    void (*head)(void *ctx, const struct transport_head *head), void *head_ctx,
    split_record_f *record, void *record_ctx, void (*idle)(void *ctx),
    struct transport_head *ret_head)
{
	struct stream s = {
	    .inflater = inflater_new(LIMIT_UPSTREAM_BODY_BYTES),
	    .split = split_new(record, record_ctx),
	};
	enum status st = STATUS_NO_MEMORY;
	if (s.inflater != NULL && s.split != NULL) {
		struct transport_sink sink = {
		    .head = head,
		    .head_ctx = head_ctx,
		    .body = stream_body,
		    .body_ctx = &s,
		    .idle = idle,
		    .idle_ctx = record_ctx,
		};
		st = transport_call(t, req, &sink, cancelled, ret_head);
		if (st == STATUS_OK)
			st = stream_finish(s.inflater, s.split, ret_head->http);
	}
	inflater_free(s.inflater);
	split_free(s.split);
	return st;
}

/* --- bytes to one text */

struct text_stream {
	struct inflater *inflater;
	struct buf *text;
};

static enum status
text_body(void *ctx, const void *bytes, size_t len)
{
	struct text_stream *s = ctx;
	const uint8_t *in = bytes;
	size_t made, room = 64 * KIB;
	do {
		char *at = buf_room(s->text, room);
		if (at == NULL)
			return s->text->err == STATUS_OVERFLOW ? STATUS_UPSTREAM_TOO_LARGE
							       : s->text->err;
		enum status st = inflater_step(s->inflater, &in, &len, (uint8_t *)at, room, &made);
		if (st != STATUS_OK)
			return st;
		buf_used(s->text, made);
	} while (len > 0 || made == room);
	return STATUS_OK;
}

enum status
pull_text(struct transport *t, const struct transport_request *req, const atomic_bool *cancelled,
    void (*head)(void *ctx, const struct transport_head *head), void *head_ctx, struct buf *text,
    struct transport_head *ret_head)
{
	struct text_stream s = {inflater_new(text->max), text};
	if (s.inflater == NULL)
		return STATUS_NO_MEMORY;
	struct transport_sink sink = {
	    .head = head,
	    .head_ctx = head_ctx,
	    .body = text_body,
	    .body_ctx = &s,
	};
	enum status st = transport_call(t, req, &sink, cancelled, ret_head);
	if (st == STATUS_OK)
		st = stream_finish(s.inflater, NULL, ret_head->http);
	inflater_free(s.inflater);
	return st;
}

/* --- records to the store */

void
pull_got_fini(struct pull_got *got)
{
	id_set_fini(&got->hosts);
	id_set_fini(&got->policies);
	free(got->batches);
	*got = (struct pull_got){0};
}

bool
pull_got_batch(const struct pull_got *got, uint32_t n)
{
	return n / 8 < got->batch_bytes && (got->batches[n / 8] & (1u << (n % 8)));
}

bool
pull_got_gap(const struct pull_got *got)
{
	for (uint32_t n = 1; n <= got->batches_announced; n++)
		if (!pull_got_batch(got, n))
			return true;
	return false;
}

bool
pull_print_equal(const struct pull_print *a, const struct pull_print *b)
{
	return a->count == b->count && a->sum == b->sum && a->mixed == b->mixed;
}

static void
note_print(struct pull_print *p, uint64_t id)
{
	uint64_t x = id * UINT64_C(0x9e3779b97f4a7c15); /* any odd number that stirs well */
	x ^= x >> 29;
	p->count++;
	p->sum += id;
	p->mixed += x * x;
}

static enum status
note_batch(struct pull_got *got, const struct row *row)
{
	if (row->batches > got->batches_announced && row->batches <= BATCH_MOST)
		got->batches_announced = row->batches;
	if (row->batch == 0 || row->batch > BATCH_MOST)
		return STATUS_OK;
	size_t byte = row->batch / 8;
	if (byte >= got->batch_bytes) {
		size_t bytes = byte + 64;
		uint8_t *more = realloc(got->batches, bytes);
		if (more == NULL)
			return STATUS_NO_MEMORY;
		memset(more + got->batch_bytes, 0, bytes - got->batch_bytes);
		got->batches = more;
		got->batch_bytes = bytes;
	}
	uint8_t bit = (uint8_t)(1u << (row->batch % 8));
	if (!(got->batches[byte] & bit)) {
		got->batches[byte] |= bit;
		got->batches_seen++;
	}
	return STATUS_OK;
}

/* A record that nobody asked for makes the whole answer suspect: it may be another query's. */
static bool
was_asked(struct pull_store *s, const struct row *row)
{
	const struct pull_asked *a = s->asked;
	if (a->ranges.count > 0)
		return id_ranges_have(&a->ranges, row->id);
	if (row->policy != a->policy)
		return false;
	if (row->host != 0 && row->host == s->last_host)
		return true;
	if (ids_find(a->hosts, a->host_count, row->host) == a->host_count)
		return false;
	s->last_host = row->host;
	return true;
}

void
pull_store_init(struct pull_store *s, struct cache_part *part, const struct pull_asked *asked,
    struct pull_got *got)
{
	*s = (struct pull_store){.part = part,
	    .asked = asked,
	    .got = got,
	    .committed_ms = clock_mono_ms(),
	    .pause_ms = LIMIT_COMMIT_FIRST_MS};
	/* normalising adds names and nulls: a kilobyte at most */
	buf_init(&s->body, LIMIT_RECORD_BYTES + 64 * KIB);
	buf_init(&s->memo, 64 * KIB);
}

void
pull_store_fini(struct pull_store *s)
{
	buf_fini(&s->body);
	buf_fini(&s->memo);
}

enum status
pull_store_record(void *store, const struct split_record *rec)
{
	struct pull_store *s = store;
	struct row row;
	if (s->failed != STATUS_OK)
		return s->failed;
	buf_reset(&s->body);
	buf_reset(&s->memo);
	enum status st = normalise(rec, &s->body, &s->memo, &row);
	if (st == STATUS_OVERFLOW)
		return STATUS_UPSTREAM_TOO_LARGE;
	if (st != STATUS_OK)
		return st;
	if (!was_asked(s, &row))
		return STATUS_UPSTREAM_BAD_DATA;
	st = note_batch(s->got, &row);
	note_print(&s->got->print, row.id);
	if (st == STATUS_OK && row.host != 0)
		st = id_set_add(&s->got->hosts, row.host);
	if (st == STATUS_OK && row.policy != 0)
		st = id_set_add(&s->got->policies, row.policy);
	if (st == STATUS_OK)
		st = cache_part_add(
		    s->part, &row, s->body.data, s->body.len, s->memo.data, s->memo.len);
	return st;
}

void
pull_store_idle(void *store)
{
	struct pull_store *s = store;
	int64_t since_ms = clock_mono_ms() - s->committed_ms;
	uint64_t records = cache_part_info(s->part).records;
	if (records == s->committed && since_ms >= LIMIT_COMMIT_MS)
		s->pause_ms = LIMIT_COMMIT_FIRST_MS;
	if (records == s->committed || since_ms < s->pause_ms || s->failed != STATUS_OK)
		return;
	s->failed = cache_part_commit(s->part);
	s->committed = records;
	s->committed_ms += since_ms;
	s->pause_ms = s->pause_ms * 2 < LIMIT_COMMIT_MS ? s->pause_ms * 2 : LIMIT_COMMIT_MS;
}
