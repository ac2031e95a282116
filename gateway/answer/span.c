#include "config.h"

#include "gateway/answer/span.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/normalise.h"

/* a walk over all rows gives its read transaction back after so many blocks of them */
#define BLOCKS_PER_VIEW 64

/* Walks the rows of a result, block by block. */
struct walk {
	const struct answer *a;
	struct cache_view *view;
	uint64_t at; /* ordinal of rows[0] */
	const struct row *rows;
	size_t count; /* rows left in this block */
	struct cache_source source;
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
	w->source = cache_source_part(w->a->result, part);
	return there(cache_view_rows(w->view, &w->source, at, &w->rows, &w->count));
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

static enum status
append(const struct walk *w, size_t most, size_t most_bytes, struct buf *out, size_t *ret_covered)
{
	const struct answer *a = w->a;
	bool whole = a->fields == 0 && a->hide == 0;
	const char *bytes;
	size_t len, covered;

	enum status st = there(cache_view_bodies(
	    w->view, &w->source, w->rows, whole ? most : 1, &bytes, &len, &covered));
	if (st != STATUS_OK)
		return st;
	/* a slice that would pass the byte limit is taken record by record */
	if (whole && covered > 1 && out->len + len > most_bytes) {
		st = there(
		    cache_view_bodies(w->view, &w->source, w->rows, 1, &bytes, &len, &covered));
		if (st != STATUS_OK)
			return st;
	}
	if (whole)
		buf_add(out, bytes, len);
	else
		st = normal_project(bytes, len, a->fields != 0 ? a->fields : UINT64_MAX,
		    a->fields == 0, a->hide, out);
	*ret_covered = covered;
	return st != STATUS_OK ? st : out->err;
}

enum status
answer_take(const struct answer *a, uint64_t from, uint64_t most_records, size_t most_bytes,
    struct buf *out, struct answer_span *ret)
{
	struct walk w = {.a = a, .at = from};
	struct answer_span span = {0};
	size_t begin = out->len;
	enum status st = cache_view_open(a->cache, &w.view);
	if (st != STATUS_OK)
		return st;
	for (;;) {
		st = walk_to_match(&w);
		if (st == STATUS_NOT_FOUND) {
			span.end = true;
			st = STATUS_OK;
			break;
		}
		if (st != STATUS_OK || span.count >= most_records ||
		    (span.count > 0 && out->len - begin >= most_bytes))
			break;
		size_t mark = out->len, covered;
		if (span.count > 0)
			buf_byte(out, ',');
		st = append(&w, run_length(&w, most_records - span.count), begin + most_bytes, out,
		    &covered);
		if (st != STATUS_OK)
			break;
		if (span.count > 0 && out->len - begin > most_bytes) {
			out->len = mark; /* one too many: it begins the next page */
			break;
		}
		span.count += covered;
		walk_skip(&w, covered);
	}
	span.next = w.at;
	cache_view_close(w.view);
	if (st == STATUS_OK)
		*ret = span;
	return st;
}

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
		st = cache_view_open(a->cache, &w.view);
		for (int blocks = 0; st == STATUS_OK && blocks < BLOCKS_PER_VIEW; blocks++) {
			st = walk_load(&w);
			if (st == STATUS_OK)
				st = give_runs(&a->filter, w.rows, w.count, rows, ctx);
			walk_skip(&w, w.count);
		}
		cache_view_close(w.view);
		w.view = NULL;
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
