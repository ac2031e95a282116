#include "config.h"

#include <inttypes.h>

#include "gateway/answer/early.h"
#include "gateway/base/clock.h"
#include "gateway/base/limits.h"

/* --- the trail */

/* The finaliser of SplitMix64: each bit of the sum depends on each bit of what goes in. It need not
 * withstand anybody: a cursor is signed, and the upstream could give other values without it. */
static uint64_t
stir(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* What a record adds at its place: which it is, and what of it decides whether a filter shows it. When
 * it was made or in which batch it came may differ from one answer to the next. */
static uint64_t
step_of(const struct row *row, uint64_t at)
{
	const uint64_t words[] = {
	    at,
	    row->policy,
	    row->control,
	    row->host,
	    row->technology,
	    (uint64_t)row->evaluated << 32 | row->scanned,
	    (uint64_t)row->changed << 32 | (uint64_t)row->status << 24 |
		(uint64_t)row->previous_status << 16 | (uint64_t)row->criticality << 8 | row->flags,
	};
	uint64_t sum = row->id;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		sum = stir(sum ^ words[i]);
	return sum;
}

static enum status
trail_of(struct cache_view *v, const struct cache_source *source, uint64_t records, uint64_t *ret)
{
	uint64_t at = 0, trail = 0;
	while (at < records) {
		const struct row *rows;
		size_t count;
		enum status st = cache_view_rows(v, source, at, &rows, &count);
		if (st != STATUS_OK)
			return st;
		for (size_t i = 0; i < count && at < records; i++, at++)
			trail += step_of(&rows[i], at);
	}
	*ret = trail;
	return STATUS_OK;
}

/* --- where the page stands */

/* Back to where the page begins: nothing of it was sent. */
static enum status
begin(struct early *e, uint64_t stage, struct buf *body)
{
	const struct cursor *c = &e->cursor;
	if (!e->begun)
		e->begin = body->len;
	body->len = e->begin;
	e->begun = true;
	e->count = 0;
	e->stage = stage;
	e->position = c->position;
	e->trail = c->inside ? c->trail : 0;
	flight_locate(e->flight, c->position, c->inside ? c->call : UINT32_MAX, &e->call, &e->at);
	flight_call(e->flight, e->call, &e->seen);
	e->checked = !c->inside || e->seen.attempt == c->attempt;
	/* the calls before it had ended */
	return c->inside && e->call != c->call ? STATUS_CURSOR_EXPIRED : STATUS_OK;
}

/* Whether what was passed of this call still counts: not if the fetch has begun anew, or the call. */
static bool
goes_on(const struct early *e, const struct flight_call *now)
{
	return e->begun && now->stage == e->stage &&
	       (e->at == 0 || !e->checked || now->attempt == e->seen.attempt);
}

static struct cache_source
source_of(const struct early *e)
{
	return (struct cache_source){.id = e->stage, .call = e->call, .attempt = e->seen.attempt};
}

/* Looks at the call in which it stands; where that has begun again, in which the page begins. */
static enum status
look(struct early *e, struct buf *body)
{
	struct flight_call now;
	for (;;) {
		flight_call(e->flight, e->call, &now);
		if (now.flight_ended || now.stage == 0 || goes_on(e, &now))
			break;
		if (e->cursor.result != 0 && now.stage != e->cursor.result)
			return STATUS_UPSTREAM_RETIRED;
		enum status st = begin(e, now.stage, body);
		if (st != STATUS_OK)
			return st;
	}
	e->seen = now;
	return STATUS_OK;
}

/* --- reading */

/* One taking: what there is of one call. */
struct taking {
	struct early *e;
	struct records from;
	struct buf *body;
	bool full;
};

/* Another attempt counts than the one that was shown: has all of that come again? */
static enum status
check(struct taking *t)
{
	struct early *e = t->e;
	uint64_t trail;
	if (e->checked)
		return STATUS_OK;
	if (e->seen.records < e->at)
		return e->seen.ended ? STATUS_CURSOR_EXPIRED : STATUS_NOT_FOUND;
	enum status st = trail_of(t->from.view, &t->from.source, e->at, &trail);
	if (st == STATUS_OK && trail != e->trail)
		st = STATUS_CURSOR_EXPIRED;
	e->checked = st == STATUS_OK;
	return st;
}

static void
pass(struct early *e, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		e->trail += step_of(&rows[i], e->at++);
	e->position += count;
}

static size_t
room_left(const struct taking *t)
{
	size_t len = t->body->len - t->e->begin;
	return len < LIMIT_PAGE_BYTES ? LIMIT_PAGE_BYTES - len : 0;
}

/* How many of them match without a gap, `most` at most. */
static size_t
run_of(const struct filter *f, const struct row *rows, size_t count, uint64_t most)
{
	size_t run = 0, end = most < count ? (size_t)most : count;
	if (filter_passes_all(f))
		return end;
	while (run < end && filter_match(f, &rows[run]))
		run++;
	return run;
}

static enum status
take_rows(struct taking *t, const struct row *rows, size_t count)
{
	struct early *e = t->e;
	while (count > 0 && !t->full) {
		size_t run = run_of(&e->filter, rows, count, e->cursor.limit - e->count);
		size_t covered = 1;
		if (run > 0) {
			enum status st = records_add(
			    &t->from, rows, run, e->count > 0, room_left(t), t->body, &covered);
			if (st != STATUS_OK)
				return st;
			e->count += covered;
		}
		pass(e, rows, covered);
		rows += covered;
		count -= covered;
		t->full = covered == 0 || e->count >= e->cursor.limit || room_left(t) == 0;
	}
	return STATUS_OK;
}

/* What there is of the call. STATUS_NOT_FOUND: the attempt may just have been given up. */
static enum status
take_call(struct taking *t)
{
	struct early *e = t->e;
	enum status st = check(t);
	while (st == STATUS_OK && !t->full && e->at < e->seen.records) {
		const struct row *rows;
		size_t count;
		uint64_t left = e->seen.records - e->at;
		st = cache_view_rows(t->from.view, &t->from.source, e->at, &rows, &count);
		if (st == STATUS_OK)
			st = take_rows(t, rows, left < count ? (size_t)left : count);
	}
	return st;
}

static enum status
read_call(struct early *e, struct buf *body, bool *ret_full)
{
	struct taking t = {.e = e, .from = {NULL, source_of(e), e->transform}, .body = body};
	if (e->checked && e->at == e->seen.records)
		return STATUS_OK;
	/* what was committed is seen by a view that is opened now */
	enum status st = cache_view_open(e->cache, &t.from.view);
	if (st != STATUS_OK)
		return st;
	st = take_call(&t);
	cache_view_close(t.from.view);
	*ret_full = t.full;
	return st;
}

/* All of the call is passed, and it will not be made again. */
static bool
is_over(const struct early *e)
{
	return e->seen.ended && e->checked && e->at == e->seen.records;
}

enum status
early_take(struct early *e, struct buf *body, enum early_state *ret)
{
	bool full = false;
	for (;;) {
		enum status st = look(e, body);
		*ret = e->seen.flight_ended ? EARLY_ENDED : EARLY_WAITS;
		if (st != STATUS_OK || e->seen.flight_ended || e->seen.stage == 0)
			return st;
		st = read_call(e, body, &full);
		if (st != STATUS_OK)
			return st == STATUS_NOT_FOUND ? STATUS_OK : st;
		if (full) {
			*ret = EARLY_FULL;
			return STATUS_OK;
		}
		if (!is_over(e))
			return STATUS_OK;
		e->call++;
		e->at = e->trail = 0;
	}
}

bool
early_wait(struct early *e, int64_t until_ms)
{
	return flight_wait_call(e->flight, e->call, &e->seen, until_ms);
}

/* --- the page */

static void
next_cursor(struct early *e)
{
	struct cursor next = e->cursor;
	next.result = e->stage;
	next.position = e->position;
	/* of a call that has ended the order is final */
	next.inside = e->at > 0 && !e->seen.ended;
	next.call = next.inside ? e->call : 0;
	next.attempt = next.inside ? e->seen.attempt : 0;
	next.trail = next.inside ? e->trail : 0;
	cursor_encode(&next, e->key, e->next);
}

void
early_finish(struct early *e, struct buf *b)
{
	struct flight_view v;
	char id[RESULT_TEXT_BYTES], fetched[CLOCK_TEXT_BYTES];
	flight_look(e->flight, &v);
	next_cursor(e);
	page_result_id(e->stage, id);
	clock_text(v.fetched_at_ms / 1000, fetched);
	buf_printf(b,
	    "],\"page\":{\"limit\":%u,\"count\":%" PRIu64
	    ",\"total\":null,\"next\":\"%s?cursor=%s\"},",
	    e->cursor.limit, e->count, e->path, e->next);
	/* what only the end of the fetch tells is null */
	buf_printf(
	    b, "\"result\":{\"id\":\"%s\",\"fetchedAt\":\"%s\",\"freshUntil\":null,", id, fetched);
	buf_str_add(b, "\"upstreamVersion\":");
	buf_json_str(b, v.version);
	buf_str_add(b, ",\"complete\":false,\"batches\":null,\"calls\":null,\"hostsAsked\":null,"
		       "\"hostsSeen\":null}}");
}

/* --- and then */

enum status
early_settle(struct cache *cache, struct cache_result *result, struct cursor *c)
{
	const struct cache_manifest *m = cache_manifest(result);
	struct cache_view *view;
	uint64_t at = c->position, trail;
	if (!c->inside)
		return STATUS_OK;
	/* of each call there is a part */
	if (c->call >= m->part_count)
		return STATUS_CURSOR_EXPIRED;
	for (size_t i = 0; i < c->call; i++)
		at -= m->parts[i].records;
	if (at > m->parts[c->call].records)
		return STATUS_CURSOR_EXPIRED;
	c->inside = false;
	if (c->attempt == m->parts[c->call].attempt)
		return STATUS_OK;
	const struct cache_source source = cache_source_part(result, c->call);
	enum status st = cache_view_open(cache, &view);
	if (st != STATUS_OK)
		return st;
	st = trail_of(view, &source, at, &trail);
	cache_view_close(view);
	if (st == STATUS_NOT_FOUND)
		return STATUS_CORRUPT;
	return st == STATUS_OK && trail != c->trail ? STATUS_CURSOR_EXPIRED : st;
}
