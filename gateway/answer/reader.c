#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/answer/reader.h"
#include "gateway/base/ids.h"

void
reader_init(struct reader *r, struct cache *cache, struct cache_result *result,
    struct flight *flight, const struct filter *filter)
{
	*r = (struct reader){.cache = cache, .filter = *filter};
	if (result != NULL)
		r->result = cache_ref(result);
	else
		r->flight = flight_ref(flight);
}

/* What is remembered of a call that the walk has left behind. */
static void
forget_given(struct reader *r)
{
	free(r->given);
	free(r->before);
	r->given = NULL;
	r->before = NULL;
	r->given_count = r->given_room = r->before_count = 0;
	r->owed = 0;
}

void
reader_fini(struct reader *r)
{
	forget_given(r);
	cache_release(r->result);
	flight_release(r->flight);
}

/* --- where the walk stands */

/* The call as its result has it: a result has the id of its stage. */
static struct flight_call
call_of(const struct cache_manifest *m, uint32_t call)
{
	struct flight_call c = {.stage = m->id, .flight_ended = true};
	if (call < m->part_count) {
		c.attempt = m->parts[call].attempt;
		c.records = m->parts[call].records;
		c.ended = true;
	}
	return c;
}

/* It may have begun before one of them was there. */
static bool
has_hosts(const struct reader *r, const struct cache_manifest *m)
{
	const struct id_list *hosts = r->must_have;
	return hosts == NULL || ids_have_all(m->hosts, m->host_count, hosts->ids, hosts->count);
}

/* The fetch is over: its result, or why there is none. */
static enum status
take_result(struct reader *r)
{
	struct flight_view v;
	flight_look(r->flight, &v);
	if (v.status != STATUS_OK)
		return v.status;
	struct cache_result *result = flight_result(r->flight);
	if (result == NULL)
		return STATUS_STOPPING;
	if (!has_hosts(r, cache_manifest(result))) {
		cache_release(result);
		return STATUS_UPSTREAM_INCOMPLETE;
	}
	r->result = result;
	return STATUS_OK;
}

static enum status
look(struct reader *r, struct flight_call *ret)
{
	if (r->result == NULL) {
		flight_call(r->flight, r->call, ret);
		if (!ret->flight_ended)
			return STATUS_OK;
		enum status st = take_result(r);
		if (st != STATUS_OK)
			return st;
	}
	if (!cache_manifest(r->result)->complete && !r->takes_incomplete)
		return STATUS_UPSTREAM_INCOMPLETE;
	*ret = call_of(cache_manifest(r->result), r->call);
	return STATUS_OK;
}

/* --- what was given of a call, in case it is made again */

static enum status
remember(struct reader *r, uint64_t id)
{
	if (r->given_count == r->given_room) {
		size_t room = r->given_room == 0 ? 64 : r->given_room * 2;
		uint64_t *given = reallocarray(r->given, room, sizeof *given);
		if (given == NULL)
			return STATUS_NO_MEMORY;
		r->given = given;
		r->given_room = room;
	}
	r->given[r->given_count++] = id;
	return STATUS_OK;
}

static int
compare(const void *a, const void *b)
{
	const struct reader_before *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Puts them in order, each id once; returns how many are left. */
static size_t
fold(struct reader_before *list, size_t count)
{
	size_t kept = 0;
	if (count > 0)
		qsort(list, count, sizeof *list, compare);
	for (size_t i = 0; i < count; i++)
		if (kept > 0 && list[kept - 1].id == list[i].id)
			list[kept - 1].times += list[i].times;
		else
			list[kept++] = list[i];
	return kept;
}

/* The call is made once more: what it gave before has to come again. */
static enum status
begin_again(struct reader *r)
{
	size_t count = r->before_count + r->given_count;
	struct reader_before *all = reallocarray(r->before, count + 1, sizeof *all);
	if (all == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < r->given_count; i++)
		all[r->before_count + i] = (struct reader_before){.id = r->given[i], .times = 1};
	r->before = all;
	r->before_count = fold(all, count);
	r->given_count = 0;
	r->owed = 0;
	for (size_t i = 0; i < r->before_count; i++) {
		all[i].owed = all[i].times;
		r->owed += all[i].times;
	}
	r->at = 0;
	return STATUS_OK;
}

/* Whether an earlier attempt at the call gave this one; that it has come again is noted. */
static bool
was_given(struct reader *r, uint64_t id)
{
	const struct reader_before key = {.id = id};
	if (r->owed == 0)
		return false;
	struct reader_before *b = bsearch(&key, r->before, r->before_count, sizeof key, compare);
	if (b == NULL || b->owed == 0)
		return false;
	b->owed--;
	r->owed--;
	return true;
}

/* --- moving on */

static enum status
next_call(struct reader *r)
{
	if (r->owed > 0)
		return STATUS_UPSTREAM_BAD_DATA;
	forget_given(r);
	r->call++;
	r->at = 0;
	r->seen = (struct flight_call){.stage = r->seen.stage};
	return STATUS_OK;
}

/* Moves to where there is something to read, and says whether there is. */
static enum status
move(struct reader *r, enum reader_state *ret_state)
{
	for (;;) {
		struct flight_call now;
		enum status st = look(r, &now);
		if (st != STATUS_OK)
			return st;
		/* a stage gives way to another one only where another version is asked */
		bool staged_anew = now.stage != r->seen.stage;
		if (staged_anew && r->gave)
			return STATUS_UPSTREAM_RETIRED;
		if (staged_anew)
			r->call = 0;
		if (staged_anew || now.attempt != r->seen.attempt)
			st = begin_again(r);
		if (st != STATUS_OK)
			return st;
		r->seen = now;
		if (staged_anew)
			continue; /* it was another call that was looked at */
		*ret_state = READER_MORE;
		if (r->at < now.records)
			return STATUS_OK;
		*ret_state = r->result != NULL ? READER_END : READER_WAITS;
		if (!now.ended)
			return STATUS_OK;
		st = next_call(r);
		if (st != STATUS_OK)
			return st;
	}
}

/* --- reading */

/* One taking of records. */
struct taking {
	struct reader *r;
	reader_record_f *record;
	void *ctx;
	size_t rows_left, bytes_left;
	bool gone; /* what was committed is not there any more */
};

/* Of a result everything is there; of a fetch the attempt may just have been given up. */
static enum status
there(struct taking *t, enum status st)
{
	if (st != STATUS_NOT_FOUND)
		return st;
	t->gone = true;
	return t->r->result != NULL ? STATUS_CORRUPT : STATUS_OK;
}

static enum status
give_one(struct taking *t, const struct reader_record *rec)
{
	struct reader *r = t->r;
	bool again = !r->seen.ended; /* the call may be made */
	enum status st = again ? remember(r, rec->row->id) : STATUS_OK;
	if (st != STATUS_OK)
		return st;
	st = t->record(t->ctx, rec);
	if (st == STATUS_OK)
		r->gave = true;
	else if (again)
		r->given_count--;
	return st;
}

static enum status
give(struct taking *t, const struct reader_record *rec)
{
	struct reader *r = t->r;
	enum status st = STATUS_OK;
	if (!was_given(r, rec->row->id) && filter_match(&r->filter, rec->row))
		st = give_one(t, rec);
	if (st != STATUS_OK)
		return st;
	r->at++;
	t->rows_left--;
	t->bytes_left -= rec->body_len < t->bytes_left ? rec->body_len : t->bytes_left;
	return STATUS_OK;
}

/* The rows whose bodies stand in one slice. */
static enum status
give_run(struct taking *t, const struct cache_block *b, const char *bytes, size_t len, size_t rows)
{
	enum status st = STATUS_OK;
	for (size_t i = 0; i < rows && t->bytes_left > 0 && st == STATUS_OK; i++) {
		const struct row *row = &b->rows[i];
		size_t from = row->body_at - b->rows[0].body_at;
		struct reader_record rec = {
		    row, bytes + from, row->body_len, cache_block_memo(b, row), row->memo_len};
		if (rec.memo == NULL || from > len || row->body_len > len - from)
			return STATUS_CORRUPT;
		st = give(t, &rec);
	}
	return st;
}

static struct cache_source
source_of(const struct reader *r)
{
	if (r->result != NULL)
		return cache_source_part(r->result, r->call);
	return (struct cache_source){
	    .id = r->seen.stage, .call = r->call, .attempt = r->seen.attempt};
}

/* Whether nothing has to be read of this row but the row itself. */
static bool
may_skip(const struct reader *r, const struct row *row)
{
	return r->owed == 0 && !filter_match(&r->filter, row);
}

static void
pass(struct cache_block *b, size_t rows)
{
	b->rows += rows;
	b->count -= rows;
}

/* Passes over rows that do not match, and gives how many that may follow them. */
static size_t
next_run(struct taking *t, struct cache_block *b)
{
	struct reader *r = t->r;
	size_t skipped = 0, run = 0;
	if (filter_passes_all(&r->filter))
		return b->count < t->rows_left ? b->count : t->rows_left;
	while (skipped < b->count && may_skip(r, &b->rows[skipped]))
		skipped++;
	r->at += skipped;
	pass(b, skipped);
	while (run < b->count && run < t->rows_left && !may_skip(r, &b->rows[run]))
		run++;
	return run;
}

static enum status
read_some(struct taking *t, struct cache_view *v)
{
	const struct reader *r = t->r;
	struct cache_source source = source_of(r);
	struct cache_block b = {0};
	enum status st = there(t, cache_view_block(v, &source, r->at, &b));
	if (b.count > r->seen.records - r->at)
		b.count = (size_t)(r->seen.records - r->at);
	while (st == STATUS_OK && b.count > 0 && t->rows_left > 0 && t->bytes_left > 0) {
		const char *bytes;
		size_t len, covered, run = next_run(t, &b);
		if (run == 0)
			break;
		st = there(t, cache_view_bodies(v, &source, b.rows, run, &bytes, &len, &covered));
		if (st != STATUS_OK || t->gone)
			break;
		st = give_run(t, &b, bytes, len, covered);
		pass(&b, covered);
	}
	return st;
}

enum status
reader_take(struct reader *r, size_t most_records, size_t most_bytes, reader_record_f *record,
    void *ctx, enum reader_state *ret_state)
{
	struct taking t = {r, record, ctx, most_records, most_bytes, false};
	enum reader_state state = READER_WAITS;
	struct cache_view *view;
	assert(most_records > 0 && most_bytes > 0); /* else the walk would never move */
	enum status st = move(r, &state);
	if (st == STATUS_OK && state == READER_MORE) {
		st = cache_view_open(r->cache, &view);
		if (st != STATUS_OK)
			return st;
		st = read_some(&t, view);
		cache_view_close(view);
	}
	if (st == STATUS_OK)
		*ret_state = t.gone ? READER_WAITS : state;
	return st;
}

bool
reader_wait(struct reader *r, int64_t until_ms)
{
	return r->result != NULL || flight_wait_call(r->flight, r->call, &r->seen, until_ms);
}
