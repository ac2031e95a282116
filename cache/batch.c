#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cache/batch.h"
#include "cache/bytes.h"
#include "cache/fragment.h"
#include "cache/rows.h"
#include "cache/twin.h"
#include "gateway/base/limits.h"

/* The memos of one block of rows are rewritten with it until it is full. */
#define BLOCK_MEMO_MAX_BYTES (64 * MIB)
/* What can wait: the writer gets it with the record that makes it LIMIT_COMMIT_BYTES. */
#define BODIES_MAX_BYTES (LIMIT_COMMIT_BYTES + LIMIT_FRAGMENT_BYTES + BODY_MAX_BYTES + MIB)
#define TWINS_MAX_BYTES (BODIES_MAX_BYTES + BODIES_MAX_BYTES / 8 + MIB)
#define MEMOS_MAX_BYTES (LIMIT_COMMIT_BYTES + BLOCK_MEMO_MAX_BYTES + MEMO_MAX_BYTES)

void
batch_init(struct batch *b, struct cache_stage *stage, uint32_t call, uint32_t attempt)
{
	*b = (struct batch){.stage = stage, .call = call, .attempt = attempt};
	buf_init(&b->memos, MEMOS_MAX_BYTES);
	buf_init(&b->bodies, BODIES_MAX_BYTES);
	buf_init(&b->before, CODEC_HISTORY_BYTES);
	buf_init(&b->twins, TWINS_MAX_BYTES);
}

void
batch_fini(struct batch *b)
{
	buf_fini(&b->memos);
	buf_fini(&b->bodies);
	buf_fini(&b->before);
	buf_fini(&b->twins);
	free(b->rows);
	free(b->runs);
}

/* --- adding a record */

/* Room for `more` more elements; NULL when out of memory. */
static void *
room_for(void *array, size_t *cap, size_t count, size_t more, size_t size)
{
	size_t need = count + more;
	if (need <= *cap)
		return array;
	size_t twice = *cap == 0 ? 64 : *cap * 2;
	if (need < twice)
		need = twice;
	void *grown = reallocarray(array, need, size);
	if (grown != NULL)
		*cap = need;
	return grown;
}

static bool
run_takes(const struct run *r, size_t body_len)
{
	return r->count < LIMIT_FRAGMENT_RECORDS && r->len + 1 + body_len <= LIMIT_FRAGMENT_BYTES;
}

static struct data_key
key_of(const struct batch *b, uint32_t number)
{
	return data_key(b->stage->id, b->call, b->attempt, number);
}

static bool
has_twins(const struct batch *b)
{
	return b->stage->cache->twins == CACHE_TWINS_INGEST;
}

/* Of a run that does not change any more. */
static enum status
make_twin(struct batch *b, size_t i)
{
	struct run *run = &b->runs[i];
	uint32_t number = b->first_fragment + (uint32_t)i;
	struct data_key k = key_of(b, number);
	const char *before = i > 0 ? b->bodies.data + run[-1].at : b->before.data;
	size_t before_len = i > 0 ? run[-1].len : b->before.len;
	struct packer *packer = packer_borrow(b->stage->cache);
	if (packer == NULL)
		return STATUS_NO_MEMORY;
	run->twin_at = b->twins.len;
	run->crc = codec_crc32(0, b->bodies.data + run->at, run->len);
	twin_encode(packer, &k, number, run->count, before, before_len, b->bodies.data + run->at,
	    run->len, run->crc, &b->twins);
	run->twin_len = b->twins.len - run->twin_at;
	packer_give_back(b->stage->cache, packer);
	return b->twins.err;
}

/* The run does not change any more. */
static bool
is_closed(const struct batch *b, size_t i)
{
	return b->ends || i + 1 < b->run_count || !run_takes(&b->runs[i], 0);
}

enum status
batch_make_twin(struct batch *b, bool *ret_made)
{
	*ret_made = has_twins(b) && b->twin_count < b->run_count && is_closed(b, b->twin_count);
	if (!*ret_made)
		return STATUS_OK;
	enum status st = make_twin(b, b->twin_count);
	b->twin_count += st == STATUS_OK;
	return st;
}

static enum status
new_run(struct batch *b)
{
	struct run *runs = room_for(b->runs, &b->run_cap, b->run_count, 1, sizeof *runs);
	if (runs == NULL)
		return STATUS_NO_MEMORY;
	b->runs = runs;
	runs[b->run_count++] = (struct run){.at = b->bodies.len};
	return STATUS_OK;
}

/* The last run is the one that the body goes to, with its comma written. */
static enum status
run_for(struct batch *b, size_t body_len)
{
	struct run *last = b->run_count > 0 ? &b->runs[b->run_count - 1] : NULL;
	if (last == NULL || !run_takes(last, body_len))
		return new_run(b);
	buf_byte(&b->bodies, ',');
	last->len++;
	return STATUS_OK;
}

static enum status
add_body(struct batch *b, struct row *row, const void *body, size_t len)
{
	enum status st = run_for(b, len);
	if (st != STATUS_OK)
		return st;
	struct run *run = &b->runs[b->run_count - 1];
	row->fragment = b->first_fragment + (uint32_t)(b->run_count - 1);
	row->body_at = (uint32_t)run->len;
	row->body_len = (uint32_t)len;
	buf_add(&b->bodies, body, len);
	run->len += len;
	run->count++;
	return b->bodies.err;
}

static enum status
add_memo(struct batch *b, struct row *row, const void *memo, size_t len)
{
	if (b->row_count % LIMIT_ROW_BLOCK == 0)
		b->block_memo_bytes = 0;
	if (len > BLOCK_MEMO_MAX_BYTES - b->block_memo_bytes)
		return STATUS_OVERFLOW;
	row->memo_at = (uint32_t)b->block_memo_bytes;
	row->memo_len = (uint32_t)len;
	buf_add(&b->memos, memo, len);
	b->block_memo_bytes += len;
	return b->memos.err;
}

static enum status
add_rows(struct batch *b, const struct row *rows, size_t count)
{
	struct row *room = room_for(b->rows, &b->row_cap, b->row_count, count, sizeof *room);
	if (room == NULL)
		return STATUS_NO_MEMORY;
	b->rows = room;
	memcpy(&room[b->row_count], rows, count * sizeof *rows);
	b->row_count += count;
	return STATUS_OK;
}

enum status
batch_add(struct batch *b, const struct row *row, const void *body, size_t body_len,
    const void *memo, size_t memo_len)
{
	struct row full = *row;
	enum status st = add_memo(b, &full, memo, memo_len);
	if (st == STATUS_OK)
		st = add_body(b, &full, body, body_len);
	return st == STATUS_OK ? add_rows(b, &full, 1) : st;
}

bool
batch_lacks_twin(const struct batch *b)
{
	return b->run_count > 0 && has_twins(b);
}

/* --- blocks of rows */

static size_t
rows_in_block(const struct batch *b, size_t begin)
{
	size_t left = b->row_count - begin;
	return left < LIMIT_ROW_BLOCK ? left : LIMIT_ROW_BLOCK;
}

/* Memos stand one behind the other, so that the last row of a block tells where they end. */
static size_t
memos_of(const struct row *rows, size_t count)
{
	return (size_t)rows[count - 1].memo_at + rows[count - 1].memo_len;
}

/* --- what is not full goes on */

static enum status
take_rows(const struct batch *b, struct batch *next)
{
	size_t full = b->row_count / LIMIT_ROW_BLOCK * LIMIT_ROW_BLOCK, memo_bytes = 0;
	for (size_t at = 0; at < full; at += LIMIT_ROW_BLOCK)
		memo_bytes += memos_of(&b->rows[at], LIMIT_ROW_BLOCK);
	next->row_count = 0;
	next->first_block = b->first_block + (uint32_t)(full / LIMIT_ROW_BLOCK);
	next->block_memo_bytes = b->block_memo_bytes;
	buf_reset(&next->memos);
	if (full == b->row_count)
		return STATUS_OK;
	buf_add(&next->memos, b->memos.data + memo_bytes, b->memos.len - memo_bytes);
	enum status st = add_rows(next, b->rows + full, b->row_count - full);
	return st == STATUS_OK ? next->memos.err : st;
}

/* Keeps the end of the last run that is full: what the next one's twin refers to. */
static enum status
take_before(const struct batch *b, size_t full, struct buf *before)
{
	if (!has_twins(b))
		return STATUS_OK;
	buf_reset(before);
	if (full == 0) {
		buf_add(before, b->before.data, b->before.len);
		return before->err;
	}
	const struct run *run = &b->runs[full - 1];
	size_t len = run->len < CODEC_HISTORY_BYTES ? run->len : CODEC_HISTORY_BYTES;
	buf_add(before, b->bodies.data + run->at + run->len - len, len);
	return before->err;
}

static enum status
take_run(const struct batch *b, struct batch *next)
{
	const struct run *last = &b->runs[b->run_count - 1];
	bool open = run_takes(last, 0);
	next->run_count = next->twin_count = 0;
	next->first_fragment = b->first_fragment + (uint32_t)(b->run_count - open);
	buf_reset(&next->bodies);
	buf_reset(&next->twins);
	enum status st = take_before(b, b->run_count - open, &next->before);
	if (st == STATUS_OK && open)
		st = new_run(next);
	if (st != STATUS_OK || !open)
		return st;
	buf_add(&next->bodies, b->bodies.data + last->at, last->len);
	next->runs[0].len = last->len;
	next->runs[0].count = last->count;
	return next->bodies.err;
}

enum status
batch_begin_next(const struct batch *b, struct batch *next)
{
	enum status st = take_rows(b, next);
	return st == STATUS_OK ? take_run(b, next) : st;
}

/* --- writing */

uint64_t
batch_bytes(const struct batch *b)
{
	size_t values = 2 * b->run_count + b->row_count / LIMIT_ROW_BLOCK + 1;
	return b->bodies.len + b->twins.len + b->memos.len + b->row_count * sizeof(struct row) +
	       values * VALUE_OVERHEAD_BYTES + COMMIT_OVERHEAD_BYTES;
}

static void
write_rows(const struct batch *b, struct env_txn *t)
{
	size_t memos_at = 0;
	uint32_t number = b->first_block;
	for (size_t at = 0; at < b->row_count; at += LIMIT_ROW_BLOCK, number++) {
		const struct row *rows = &b->rows[at];
		size_t count = rows_in_block(b, at), memo_bytes = memos_of(rows, count);
		struct data_key k = key_of(b, number);
		uint8_t *out = env_reserve(
		    t, ENV_ROWS, k.bytes, sizeof k.bytes, rows_bytes(count, memo_bytes));
		if (out == NULL)
			return;
		const char *memos = memo_bytes > 0 ? b->memos.data + memos_at : NULL;
		rows_encode(out, &k, rows, count, memos, memo_bytes);
		memos_at += memo_bytes;
	}
}

static void
write_bodies(const struct batch *b, struct env_txn *t)
{
	for (size_t i = 0; i < b->run_count; i++) {
		const struct run *run = &b->runs[i];
		struct data_key k = key_of(b, b->first_fragment + (uint32_t)i);
		uint8_t *out =
		    env_reserve(t, ENV_BODIES, k.bytes, sizeof k.bytes, fragment_bytes(run->len));
		if (out == NULL)
			return;
		const char *content = run->len > 0 ? b->bodies.data + run->at : NULL;
		uint32_t crc = run->twin_len > 0 ? run->crc : codec_crc32(0, content, run->len);
		fragment_encode(out, &k, run->count, content, run->len, crc);
	}
}

static void
write_twins(const struct batch *b, struct env_txn *t)
{
	for (size_t i = 0; i < b->run_count; i++) {
		const struct run *run = &b->runs[i];
		struct data_key k = key_of(b, b->first_fragment + (uint32_t)i);
		if (run->twin_len > 0)
			env_put(t, ENV_TWINS, k.bytes, sizeof k.bytes, b->twins.data + run->twin_at,
			    run->twin_len);
	}
}

void
batch_write(const struct batch *b, struct env_txn *t)
{
	write_rows(b, t);
	write_bodies(b, t);
	write_twins(b, t);
}
