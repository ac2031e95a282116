/* Reading: rows, bodies and memos of parts, straight from the map. */
#include "config.h"

#include <assert.h>
#include <inttypes.h>

#include "cache/bytes.h"
#include "cache/fragment.h"
#include "cache/rows.h"
#include "cache/store.h"
#include "cache/twin.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"

/* --- where things are */

bool
cache_locate(const struct cache_result *r, uint64_t ordinal, size_t *ret_part, uint64_t *ret_at)
{
	size_t low = 0, high = r->m->part_count;
	if (ordinal >= r->m->records)
		return false;
	/* the last part that begins at or before the ordinal: an empty one begins where the next
	 * one does, and is passed over */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (r->first[middle] <= ordinal)
			low = middle;
		else
			high = middle;
	}
	*ret_part = low;
	*ret_at = ordinal - r->first[low];
	return true;
}

struct cache_source
cache_source_part(struct cache_result *r, size_t part)
{
	assert(part < r->m->part_count);
	return (struct cache_source){
	    .result = r,
	    .id = r->m->id,
	    .call = r->m->parts[part].call,
	    .attempt = r->m->parts[part].attempt,
	};
}

/* The part that a source names, or part_count. Parts stand in the order of their calls. */
static size_t
part_of(const struct cache_source *src)
{
	const struct cache_manifest *m = src->result->m;
	size_t low = 0, high = m->part_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (m->parts[middle].call < src->call)
			low = middle + 1;
		else
			high = middle;
	}
	bool there = low < m->part_count && m->parts[low].call == src->call &&
		     m->parts[low].attempt == src->attempt;
	return there ? low : m->part_count;
}

/* --- what was verified already */

struct check {
	_Atomic uint64_t
	    *word; /* NULL: a stage's value may still change, and is verified each time */
	uint64_t bit;
};

enum check_kind { CHECK_FRAGMENT, CHECK_ROWS, CHECK_TWIN, CHECK_KINDS };

static struct check
check_of(const struct cache_source *src, size_t part, uint32_t number, enum check_kind kind)
{
	if (src->result == NULL)
		return (struct check){0};
	uint64_t n = CHECK_KINDS * (src->result->first[part] + number) + kind;
	return (struct check){
	    .word = &src->result->verified[n / 64],
	    .bit = UINT64_C(1) << n % 64,
	};
}

static bool
is_verified(const struct check *k)
{
	return k->word != NULL && (atomic_load_explicit(k->word, memory_order_relaxed) & k->bit);
}

static void
set_verified(const struct check *k)
{
	if (k->word != NULL)
		atomic_fetch_or_explicit(k->word, k->bit, memory_order_relaxed);
}

/* --- when something is not as it should be */

static enum status
damaged(struct cache_view *v, const struct cache_source *src, const char *what)
{
	if (src->result != NULL)
		result_quarantine(v->cache, src->id, what);
	return STATUS_CORRUPT;
}

/* A value of a published result is missing or shorter than its manifest says: it is damage, if
 * this view can see the result; else the view was opened before it was published. */
static enum status
missing(struct cache_view *v, const struct cache_source *src, const char *what)
{
	struct id_key k = id_key(src->id);
	struct env_bytes manifest;
	enum status st = env_txn_status(v->txn);
	if (st == STATUS_CORRUPT)
		return damaged(v, src, what);
	if (st != STATUS_OK)
		return st;
	if (src->result == NULL ||
	    !env_get(v->txn, ENV_RESULTS, k.bytes, sizeof k.bytes, &manifest))
		return STATUS_NOT_FOUND;
	return damaged(v, src, what);
}

/* --- rows */

static enum status
find_block(
    struct cache_view *v, const struct cache_source *src, uint64_t at, struct rows_block *ret)
{
	size_t part = 0, want = 1;
	uint64_t number = at / LIMIT_ROW_BLOCK;
	if (src->result != NULL) {
		const struct cache_manifest *m = src->result->m;
		part = part_of(src);
		if (part == m->part_count || at >= m->parts[part].records)
			return STATUS_NOT_FOUND;
		uint64_t left = m->parts[part].records - number * LIMIT_ROW_BLOCK;
		want = left < LIMIT_ROW_BLOCK ? (size_t)left : LIMIT_ROW_BLOCK;
	}
	if (number > UINT32_MAX)
		return STATUS_NOT_FOUND;

	struct env_bytes value;
	struct data_key key = data_key(src->id, src->call, src->attempt, (uint32_t)number);
	if (!env_get(v->txn, ENV_ROWS, key.bytes, sizeof key.bytes, &value))
		return missing(v, src, "rows");
	struct check check = check_of(src, part, (uint32_t)number, CHECK_ROWS);
	struct rows_block block;
	if (rows_decode(value.at, value.len, is_verified(&check) ? NULL : &key, &block) !=
	    STATUS_OK)
		return damaged(v, src, "rows");
	if (src->result != NULL && block.count != want)
		return missing(v, src, "rows");
	set_verified(&check);
	*ret = block;
	return STATUS_OK;
}

/* Rows in place if they stand aligned in the map, as all but small blocks do; else a copy. */
static enum status
aligned_rows(struct cache_view *v, const uint8_t *rows, size_t count, const struct row **ret)
{
	if ((uintptr_t)rows % _Alignof(struct row) == 0) {
		*ret = (const void *)rows;
		return STATUS_OK;
	}
	struct row *copy = arena_array(&v->copies, count, sizeof *copy);
	if (copy == NULL)
		return STATUS_NO_MEMORY;
	memcpy(copy, rows, count * sizeof *copy);
	*ret = copy;
	return STATUS_OK;
}

enum status
cache_view_block(
    struct cache_view *v, const struct cache_source *src, uint64_t at, struct cache_block *ret)
{
	struct rows_block block = {0};
	struct cache_block b = {0};
	enum status st = find_block(v, src, at, &block);
	if (st != STATUS_OK)
		return st;
	size_t begin = at % LIMIT_ROW_BLOCK;
	if (begin >= block.count)
		return STATUS_NOT_FOUND;
	b.count = block.count - begin;
	b.memos = block.memos;
	b.memo_bytes = block.memo_bytes;
	st = aligned_rows(v, block.rows + begin * sizeof(struct row), b.count, &b.rows);
	if (st == STATUS_OK)
		*ret = b;
	return st;
}

enum status
cache_view_rows(struct cache_view *v, const struct cache_source *src, uint64_t at,
    const struct row **ret_rows, size_t *ret_count)
{
	struct cache_block b = {0};
	enum status st = cache_view_block(v, src, at, &b);
	if (st != STATUS_OK)
		return st;
	*ret_rows = b.rows;
	*ret_count = b.count;
	return STATUS_OK;
}

const uint8_t *
cache_block_memo(const struct cache_block *b, const struct row *row)
{
	if (row->memo_at > b->memo_bytes || row->memo_len > b->memo_bytes - row->memo_at)
		return NULL;
	return b->memos + row->memo_at;
}

/* --- bodies */

static enum status
find_fragment(
    struct cache_view *v, const struct cache_source *src, uint32_t number, struct fragment *ret)
{
	size_t part = 0;
	if (src->result != NULL) {
		const struct cache_manifest *m = src->result->m;
		part = part_of(src);
		if (part == m->part_count || number >= m->parts[part].records)
			return STATUS_NOT_FOUND;
	}
	struct env_bytes value;
	struct data_key key = data_key(src->id, src->call, src->attempt, number);
	if (!env_get(v->txn, ENV_BODIES, key.bytes, sizeof key.bytes, &value))
		return missing(v, src, "bodies");
	struct check check = check_of(src, part, number, CHECK_FRAGMENT);
	const struct data_key *verify = is_verified(&check) ? NULL : &key;
	if (fragment_decode(value.at, value.len, verify, ret) != STATUS_OK)
		return damaged(v, src, "bodies");
	set_verified(&check);
	return STATUS_OK;
}

enum status
cache_view_bodies(struct cache_view *v, const struct cache_source *src, const struct row *rows,
    size_t n, const char **ret_bytes, size_t *ret_len, size_t *ret_covered)
{
	struct fragment f;
	assert(n > 0);
	enum status st = find_fragment(v, src, rows[0].fragment, &f);
	if (st != STATUS_OK)
		return st;
	if (cache_rows_fill(rows, n, f.count, f.len)) {
		*ret_bytes = f.content;
		*ret_len = f.len;
		*ret_covered = f.count;
		return STATUS_OK;
	}
	uint64_t begin = rows[0].body_at, end = begin + rows[0].body_len;
	size_t covered = 1;
	for (; covered < n; covered++) {
		const struct row *row = &rows[covered];
		if (row->fragment != rows[0].fragment || row->body_at != end + 1)
			break;
		end = (uint64_t)row->body_at + row->body_len;
	}
	if (end > f.len)
		return missing(v, src, "bodies");
	*ret_bytes = f.content + begin;
	*ret_len = (size_t)(end - begin);
	*ret_covered = covered;
	return STATUS_OK;
}

bool
cache_rows_fill(const struct row *rows, size_t n, size_t records, size_t len)
{
	if (records > n || rows[0].body_at != 0)
		return false;
	const struct row *last = &rows[records - 1];
	return last->fragment == rows[0].fragment &&
	       (uint64_t)last->body_at + last->body_len == len;
}

enum status
cache_view_fragment(struct cache_view *v, const struct cache_source *src, uint32_t number,
    struct cache_fragment *ret)
{
	struct fragment f;
	enum status st = find_fragment(v, src, number, &f);
	if (st == STATUS_OK)
		*ret = (struct cache_fragment){f.content, f.len, f.count};
	return st;
}

/* --- twins */

static void
tell_damaged_twin(const struct cache_source *src)
{
	if (src->result == NULL ||
	    atomic_exchange_explicit(&src->result->twin_damage_told, true, memory_order_relaxed))
		return;
	log_event(LOG_WARNING, "store-twin",
	    "result=%" PRIu64 " note=\"a ready-made page is damaged, its records are not\"",
	    src->id);
}

enum status
cache_view_twin(
    struct cache_view *v, const struct cache_source *src, uint32_t number, struct cache_twin *ret)
{
	size_t part = 0;
	if (src->result != NULL) {
		const struct cache_manifest *m = src->result->m;
		part = part_of(src);
		if (part == m->part_count || number >= m->parts[part].records)
			return STATUS_NOT_FOUND;
	}
	struct env_bytes value;
	struct data_key key = data_key(src->id, src->call, src->attempt, number);
	bool sound;
	if (!env_try(v->txn, ENV_TWINS, key.bytes, sizeof key.bytes, &value, &sound)) {
		if (!sound)
			tell_damaged_twin(src);
		return sound ? STATUS_NOT_FOUND : STATUS_CORRUPT;
	}
	struct check check = check_of(src, part, number, CHECK_TWIN);
	const struct data_key *verify = is_verified(&check) ? NULL : &key;
	if (twin_decode(value.at, value.len, verify, number, ret) != STATUS_OK) {
		tell_damaged_twin(src);
		return STATUS_NOT_FOUND;
	}
	set_verified(&check);
	return STATUS_OK;
}
