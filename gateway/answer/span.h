/* The records of an answer: source × residual filter and grant × record transform.
 *
 * A page gets its records here, as runs
 * of JSON text joined by commas. Unfiltered and untransformed runs are copied as whole slices of
 * the store; nothing is looked at record by record. For a page as gzip the twins of these slices are
 * copied, and only what has none is deflated: the ends of a filtered run, projected records.
 *
 * Threads: any. Opens short views of the cache; never while anything is written to a client.
 */
#ifndef ANSWER_SPAN_H
#define ANSWER_SPAN_H

#include "cache/cache.h"
#include "gateway/answer/matches.h"
#include "gateway/answer/records.h"
#include "gateway/base/buf.h"
#include "gateway/base/stitch.h"
#include "gateway/query/filter.h"

struct answer {
	struct cache *cache;
	struct cache_result *result;
	struct filter filter;
	const struct matches
	    *matches; /* in place of the filter: which records pass it; NULL: unknown */
	struct record_transform transform;
	bool foreign; /* the result has records of others, too, which the query leaves out */
};

/* The caller may not see all records of the result, nor the counts that would tell of them. */
bool answer_is_restricted(const struct answer *a);

struct answer_span {
	uint64_t count; /* records appended */
	uint64_t next;  /* ordinal of the next record that matches */
	bool end;       /* there is none */
};

/* Appends records from ordinal `from` on, joined by commas: at most `most_records`, and no more
 * once most_bytes are passed (but at least one, if there is one). What takes all records whole, twice
 * LIMIT_FRAGMENT_RECORDS or more of them, ends where a fragment of the store does: with up to half of
 * them less, but never with none. gzip: `out` is its text, and whole fragments go into it ready-made;
 * which records there are is the same. NULL: they are appended as they are.
 *   STATUS_OK, STATUS_CORRUPT, STATUS_STORE_FAILED, STATUS_OVERFLOW, STATUS_NO_MEMORY */
enum status answer_take(const struct answer *a, uint64_t from, uint64_t most_records,
    size_t most_bytes, struct buf *out, struct stitch *gzip, struct answer_span *ret) NODISCARD;

/* Gives the rows that match, in their order and in runs, each borrowed for the call; within short
 * views, so `rows` may not wait for anything. Nothing is read but rows.
 *   STATUS_OK, STATUS_CORRUPT, STATUS_STORE_FAILED, STATUS_BUSY, STATUS_NO_MEMORY, or what `rows`
 *   said (which is never STATUS_NOT_FOUND) and ended the walk with */
typedef enum status answer_rows_f(void *ctx, const struct row *rows, size_t count);
enum status answer_rows(const struct answer *a, answer_rows_f *rows, void *ctx) NODISCARD;

/* How many records match, in all. */
enum status answer_count(const struct answer *a, uint64_t *ret_total) NODISCARD;

#endif
