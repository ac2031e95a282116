#include "config.h"

#include "gateway/answer/span.h"
#include "gateway/base/limits.h"

/* a walk over all rows gives its read transaction back after so many blocks of them */
#define BLOCKS_PER_VIEW 64

/* --- walking */

/* Walks the rows of a result, block by block. */
struct walk {
	const struct answer *a;
	struct records from; /* of the part that rows[0] is in */
	uint64_t at;         /* ordinal of rows[0] */
	const struct row *rows;
	size_t count; /* rows left in this block */
};

/* What the manifest promises must be there: its absence is not the end of the answer. */
static enum status
there(enum status st)
{
	return st == STATUS_NOT_FOUND ? STATUS_CORRUPT : st;
}

static enum status
walk_load(struct walk *w)
{
	size_t part;
	uint64_t at;
	if (!cache_locate(w->a->result, w->at, &part, &at))
		return STATUS_NOT_FOUND;
	w->from.source = cache_source_part(w->a->result, part);
	return there(cache_view_rows(w->from.view, &w->from.source, at, &w->rows, &w->count));
}

static void
walk_skip(struct walk *w, size_t n)
{
	w->at += n;
	w->rows += n;
	w->count -= n;
}

/* Stands on an ordinal, its row loaded. */
static enum status
walk_to(struct walk *w, uint64_t ordinal)
{
	if (ordinal - w->at < w->count) {
		walk_skip(w, (size_t)(ordinal - w->at));
		return STATUS_OK;
	}
	w->at = ordinal;
	w->count = 0;
	return walk_load(w);
}

/* Moves to the next row that matches, at w->rows[0]; STATUS_NOT_FOUND at the end. */
static enum status
walk_to_match(struct walk *w)
{
	uint64_t next;
	if (w->a->matches != NULL)
		return matches_next(w->a->matches, w->at, &next) ? walk_to(w, next)
								 : STATUS_NOT_FOUND;
	const struct filter *filter = &w->a->filter;
	for (;;) {
		if (w->count == 0) {
			enum status st = walk_load(w);
			if (st != STATUS_OK)
				return st;
		}
		if (filter_passes_all(filter))
			return STATUS_OK;
		while (w->count > 0) {
			if (filter_match(filter, w->rows))
				return STATUS_OK;
			walk_skip(w, 1);
		}
	}
}

/* How many rows from here on match without a gap, at most `most`. */
static size_t
run_length(const struct walk *w, uint64_t most)
{
	size_t n = most < w->count ? (size_t)most : w->count;
	if (w->a->matches != NULL)
		return (size_t)matches_run(w->a->matches, w->at, n);
	if (filter_passes_all(&w->a->filter))
		return n;
	size_t run = 1; /* the walk stands on a match */
	while (run < n && filter_match(&w->a->filter, w->rows + run))
		run++;
	return run;
}

/* --- taking records */

/* What has been taken so far. */
struct taking {
	struct buf *out;
	struct stitch *gzip; /* NULL: none */
	uint64_t count;
	size_t bytes, most_bytes; /* of the text, as whoever gets it sees it */
	/* what was put last, if it was a whole fragment */
	bool after_whole;
	uint32_t after_call, after_number;
};

static size_t
room_left(const struct taking *t)
{
	return t->bytes < t->most_bytes ? t->most_bytes - t->bytes : 0;
}

/* As text. *ret_covered 0: the next record is one too many, it begins the next page. */
static enum status
take_text(const struct walk *w, struct taking *t, size_t run, size_t *ret_covered)
{
	size_t mark = t->out->len;
	enum status st = there(
	    records_add(&w->from, w->rows, run, t->count > 0, room_left(t), t->out, ret_covered));
	t->bytes += t->out->len - mark;
	t->after_whole = false;
	return st;
}

/* The records that follow are all of a fragment, and fit; it is worth a run of its own. */
static bool
takes_whole(const struct walk *w, const struct taking *t, size_t run, size_t records, size_t len)
{
	return len >= LIMIT_GZIP_LEAST_BYTES && cache_rows_fill(w->rows, run, records, len) &&
	       len + (t->count > 0) <= room_left(t);
}

/* The form in which a fragment goes into this page: behind the one before it, or free. */
struct form {
	uint32_t number;
	bool joined; /* chained to the one before, which was put last */
	bool stored; /* there ought to be a twin of this form */
};

static struct form
form_of(const struct walk *w, const struct taking *t)
{
	uint32_t number = w->rows[0].fragment;
	bool chained = cache_twin_is_chained(number);
	bool follows =
	    t->after_whole && t->after_call == w->from.source.call && t->after_number + 1 == number;
	return (struct form){number, chained && follows, !chained || follows};
}

static void
put_comma(struct taking *t, const struct form *f)
{
	if (t->count > 0 && !f->joined) /* else it is part of the run */
		buf_byte(t->out, ',');
}

/* What its twin says, or would say. */
static enum status
pack_fragment(const struct walk *w, struct taking *t, const struct form *form, size_t run,
    size_t *ret_len, size_t *ret_covered)
{
	struct cache_fragment before = {0}, f;
	enum status st =
	    there(cache_view_fragment(w->from.view, &w->from.source, form->number, &f));
	if (st != STATUS_OK)
		return st;
	if (!takes_whole(w, t, run, f.records, f.len))
		return STATUS_NOT_FOUND;
	if (form->stored)
		cache_want_twins(w->a->result);
	if (form->joined)
		st = there(
		    cache_view_fragment(w->from.view, &w->from.source, form->number - 1, &before));
	if (st != STATUS_OK)
		return st;
	put_comma(t, form);
	stitch_pack(t->gzip, before.bytes, before.len, form->joined ? "," : "", f.bytes, f.len);
	*ret_len = f.len;
	*ret_covered = f.records;
	return STATUS_OK;
}

/* A whole fragment, ready-made where it is. STATUS_NOT_FOUND: the next records are none. */
static enum status
take_fragment(const struct walk *w, struct taking *t, size_t run, size_t *ret_covered)
{
	struct cache_twin twin;
	struct form form = form_of(w, t);
	size_t len;
	if (w->rows[0].body_at != 0)
		return STATUS_NOT_FOUND;
	if (form.stored &&
	    cache_view_twin(w->from.view, &w->from.source, form.number, &twin) == STATUS_OK) {
		len = twin.content_bytes - form.joined;
		if (!takes_whole(w, t, run, twin.records, len))
			return STATUS_NOT_FOUND;
		put_comma(t, &form);
		stitch_run(t->gzip, twin.run, twin.run_len, twin.crc, twin.content_bytes);
		*ret_covered = twin.records;
	} else {
		enum status st = pack_fragment(w, t, &form, run, &len, ret_covered);
		if (st != STATUS_OK)
			return st;
	}
	t->bytes += len + (t->count > 0);
	t->after_whole = true;
	t->after_call = w->from.source.call;
	t->after_number = form.number;
	return STATUS_OK;
}

/* The next run of records, or a part of it; *ret_covered as take_text() has it. */
static enum status
take_some(const struct walk *w, struct taking *t, size_t run, size_t *ret_covered)
{
	enum status st = STATUS_NOT_FOUND;
	if (t->gzip != NULL && record_is_whole(&w->a->transform)) {
		stitch_ease(t->gzip);
		st = take_fragment(w, t, run, ret_covered);
	}
	return st == STATUS_NOT_FOUND ? take_text(w, t, run, ret_covered) : st;
}

static enum status
take(struct walk *w, struct taking *t, uint64_t most_records, bool *ret_end)
{
	for (;;) {
		size_t covered;
		enum status st = walk_to_match(w);
		if (st == STATUS_NOT_FOUND) {
			*ret_end = true;
			return STATUS_OK;
		}
		if (st != STATUS_OK || t->count >= most_records ||
		    (t->count > 0 && t->bytes >= t->most_bytes))
			return st;
		st = take_some(w, t, run_length(w, most_records - t->count), &covered);
		if (st != STATUS_OK || covered == 0)
			return st;
		t->count += covered;
		walk_skip(w, covered);
	}
}

/* --- where a page ends */

/* The number of the fragment that record `at` of a part is in, and whether it begins it. */
static enum status
fragment_of(const struct walk *w, const struct cache_source *source, uint64_t at,
    uint32_t *ret_number, bool *ret_begins)
{
	const struct row *rows;
	size_t count;
	enum status st = there(cache_view_rows(w->from.view, source, at, &rows, &count));
	if (st != STATUS_OK)
		return st;
	*ret_number = rows[0].fragment;
	*ret_begins = rows[0].body_at == 0;
	return STATUS_OK;
}

/* The first record in [low, high] whose fragment is not before `number`; that of high is not. */
static enum status
find_fragment(const struct walk *w, const struct cache_source *source, uint32_t number,
    uint64_t low, uint64_t high, uint64_t *ret_at)
{
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		uint32_t found;
		bool begins;
		enum status st = fragment_of(w, source, middle, &found, &begins);
		if (st != STATUS_OK)
			return st;
		if (found < number)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return STATUS_OK;
}

/* A page of all records ends where a fragment does, so that the next one begins with one: with one
 * whose twin is free, if that leaves half of what was asked for. */
static enum status
end_at_border(const struct walk *w, uint64_t from, uint64_t *most)
{
	size_t part;
	uint64_t at, border;
	uint32_t number;
	bool begins;
	if (!cache_locate(w->a->result, from + *most, &part, &at))
		return STATUS_OK; /* the last page */
	struct cache_source source = cache_source_part(w->a->result, part);
	enum status st = fragment_of(w, &source, at, &number, &begins);
	if (st != STATUS_OK || (begins && !cache_twin_is_chained(number)))
		return st;
	uint32_t free_one = number;
	while (cache_twin_is_chained(free_one))
		free_one--;
	uint64_t low = at > *most ? at - *most : 0;
	st = find_fragment(w, &source, free_one, low, at, &border);
	if (st == STATUS_OK && 2 * (at - border) > *most)
		st = find_fragment(w, &source, number, low, at, &border);
	if (st == STATUS_OK)
		*most -= at - border;
	return st;
}

bool
answer_is_restricted(const struct answer *a)
{
	return a->foreign || a->filter.grant != NULL;
}

static bool
takes_all(const struct answer *a)
{
	return record_is_whole(&a->transform) && a->matches == NULL &&
	       filter_passes_all(&a->filter);
}

enum status
answer_take(const struct answer *a, uint64_t from, uint64_t most_records, size_t most_bytes,
    struct buf *out, struct stitch *gzip, struct answer_span *ret)
{
	struct walk w = {.a = a, .from.transform = a->transform, .at = from};
	struct taking t = {.out = out, .gzip = gzip, .most_bytes = most_bytes};
	bool end = false;
	enum status st = cache_view_open(a->cache, &w.from.view);
	if (st != STATUS_OK)
		return st;
	if (most_records >= 2 * LIMIT_FRAGMENT_RECORDS && takes_all(a))
		st = end_at_border(&w, from, &most_records);
	if (st == STATUS_OK)
		st = take(&w, &t, most_records, &end);
	cache_view_close(w.from.view);
	if (st == STATUS_OK)
		*ret = (struct answer_span){.count = t.count, .next = w.at, .end = end};
	return st;
}

/* --- rows alone */

/* The rows of one block that match. */
static enum status
give_runs(const struct filter *filter, const struct row *rows, size_t count, answer_rows_f *give,
    void *ctx)
{
	enum status st = STATUS_OK;
	size_t run;
	if (filter_passes_all(filter))
		return give(ctx, rows, count);
	/* the row behind a run does not match, and is passed over with it */
	for (size_t i = 0; i < count && st == STATUS_OK; i += run + 1) {
		run = 0;
		while (i + run < count && filter_match(filter, &rows[i + run]))
			run++;
		if (run > 0)
			st = give(ctx, rows + i, run);
	}
	return st;
}

enum status
answer_rows(const struct answer *a, answer_rows_f *rows, void *ctx)
{
	struct walk w = {.a = a};
	enum status st = STATUS_OK;
	while (st == STATUS_OK) {
		st = cache_view_open(a->cache, &w.from.view);
		for (int blocks = 0; st == STATUS_OK && blocks < BLOCKS_PER_VIEW; blocks++) {
			st = walk_load(&w);
			if (st == STATUS_OK)
				st = give_runs(&a->filter, w.rows, w.count, rows, ctx);
			walk_skip(&w, w.count);
		}
		cache_view_close(w.from.view);
		w.from.view = NULL;
	}
	return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status
add_up(void *ctx, const struct row *rows, size_t count)
{
	uint64_t *total = ctx;
	(void)rows;
	*total += count;
	return STATUS_OK;
}

enum status
answer_count(const struct answer *a, uint64_t *ret_total)
{
	uint64_t total = 0;
	enum status st = STATUS_OK;
	if (a->matches != NULL)
		total = matches_total(a->matches);
	else if (filter_passes_all(&a->filter))
		total = cache_manifest(a->result)->records;
	else
		st = answer_rows(a, add_up, &total);
	if (st == STATUS_OK)
		*ret_total = total;
	return st;
}
