/* Making a result: parts fill up in memory and are committed in large steps; publishing is one
 * more commit. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/fragment.h"
#include "cache/manifest.h"
#include "cache/rows.h"
#include "cache/store.h"
#include "gateway/base/buf.h"
#include "gateway/base/limits.h"

#define ID_TIME_SHIFT 20
#define ID_RANDOM_MASK ((UINT32_C(1) << ID_TIME_SHIFT) - 1)
#define WALL_MS_MAX ((INT64_C(1) << 43) - 1)

/* A normalised body may be longer than the record that it came from, and so may a memo. */
#define BODY_MAX_BYTES (2 * LIMIT_RECORD_BYTES)
#define MEMO_MAX_BYTES (2 * LIMIT_RECORD_BYTES)
/* The memos of one block of rows are rewritten with it until it is full. */
#define BLOCK_MEMO_MAX_BYTES (64 * MIB)
/* What can wait: a commit follows the record that makes it LIMIT_COMMIT_BYTES. */
#define BODIES_MAX_BYTES (LIMIT_COMMIT_BYTES + LIMIT_FRAGMENT_BYTES + BODY_MAX_BYTES + MIB)
#define MEMOS_MAX_BYTES (LIMIT_COMMIT_BYTES + BLOCK_MEMO_MAX_BYTES + MEMO_MAX_BYTES)
/* What a transaction writes beyond its values: pages of keys, and half a page behind each value. */
#define COMMIT_OVERHEAD_BYTES (256 * KIB)
#define VALUE_OVERHEAD_BYTES (4 * KIB)

struct cache_stage {
	struct cache *cache;
	struct cache_stage_events events;
	uint64_t id;
	bool marked;                       /* its loose record is in the store; under `writing` */
	struct cache_stage *next, *before; /* under `results` */
};

/* A run of bodies in cache_part.bodies, closed or being filled. */
struct run {
	size_t at, len;
	uint32_t count;
};

/* Rows and bodies wait from the beginning of the last row block and of the last fragment that are
 * not full: both are rewritten as they fill. */
struct cache_part {
	struct cache_stage *stage;
	uint32_t call, attempt;
	enum status err; /* sticky */
	uint64_t records, body_bytes;
	size_t waiting_bytes; /* added since the last commit */

	struct row *rows;
	size_t row_count, row_cap;
	uint32_t first_block;    /* number of the block that rows[0] begins */
	struct buf memos;        /* of rows, block by block */
	size_t block_memo_bytes; /* of the block being filled */

	struct run *runs;
	size_t run_count, run_cap;
	uint32_t first_fragment; /* number of runs[0] */
	struct buf bodies;
};

/* --- stages */

static uint64_t
new_id_locked(struct cache *c, int64_t now_wall_ms)
{
	uint32_t random;
	crypto_random(&random, sizeof random);
	int64_t ms = now_wall_ms < 0 ? 0 : now_wall_ms > WALL_MS_MAX ? WALL_MS_MAX : now_wall_ms;
	uint64_t id = (uint64_t)ms << ID_TIME_SHIFT | (random & ID_RANDOM_MASK);
	if (id <= c->last_id)
		id = c->last_id + 1;
	c->last_id = id;
	return id;
}

enum status
cache_stage_open(struct cache *c, const struct cache_stage_events *events, int64_t now_wall_ms,
    struct cache_stage **ret)
{
	if (!env_writable(c->env))
		return STATUS_STORE_FAILED;
	struct cache_stage *s = calloc(1, sizeof *s);
	if (s == NULL)
		return STATUS_NO_MEMORY;
	s->cache = c;
	if (events != NULL)
		s->events = *events;
	lock_take(&c->results);
	s->id = new_id_locked(c, now_wall_ms);
	s->next = c->stages;
	if (s->next != NULL)
		s->next->before = s;
	c->stages = s;
	c->stage_count++;
	lock_drop(&c->results);
	*ret = s;
	return STATUS_OK;
}

uint64_t
cache_stage_id(const struct cache_stage *s)
{
	return s->id;
}

bool
stage_is_open_locked(const struct cache *c, uint64_t id)
{
	lock_assert_held(&c->results);
	const struct cache_stage *s = c->stages;
	while (s != NULL && s->id != id)
		s = s->next;
	return s != NULL;
}

static void
stage_free(struct cache_stage *s)
{
	struct cache *c = s->cache;
	lock_take(&c->results);
	*(s->before != NULL ? &s->before->next : &c->stages) = s->next;
	if (s->next != NULL)
		s->next->before = s->before;
	c->stage_count--;
	lock_drop(&c->results);
	free(s);
}

/* What it committed is marked as loose since its first commit, and the sweep's from now on. */
void
cache_stage_abandon(struct cache_stage *s)
{
	if (s != NULL)
		stage_free(s);
}

/* --- parts */

enum status
cache_part_open(struct cache_stage *s, uint32_t call, uint32_t attempt, struct cache_part **ret)
{
	struct cache_part *p = calloc(1, sizeof *p);
	if (p == NULL)
		return STATUS_NO_MEMORY;
	p->stage = s;
	p->call = call;
	p->attempt = attempt;
	buf_init(&p->memos, MEMOS_MAX_BYTES);
	buf_init(&p->bodies, BODIES_MAX_BYTES);
	*ret = p;
	return STATUS_OK;
}

void
cache_part_close(struct cache_part *p)
{
	if (p == NULL)
		return;
	buf_fini(&p->memos);
	buf_fini(&p->bodies);
	free(p->rows);
	free(p->runs);
	free(p);
}

struct cache_part_info
cache_part_info(const struct cache_part *p)
{
	return (struct cache_part_info){
	    .call = p->call,
	    .attempt = p->attempt,
	    .records = p->records,
	    .body_bytes = p->body_bytes,
	};
}

/* --- adding a record */

/* Room for one more element; NULL when out of memory. */
static void *
one_more(void *array, size_t *cap, size_t count, size_t size)
{
	if (count < *cap)
		return array;
	size_t more = *cap == 0 ? 64 : *cap * 2;
	void *grown = reallocarray(array, more, size);
	if (grown != NULL)
		*cap = more;
	return grown;
}

static bool
run_takes(const struct run *r, size_t body_len)
{
	return r->count < LIMIT_FRAGMENT_RECORDS && r->len + 1 + body_len <= LIMIT_FRAGMENT_BYTES;
}

/* The run that the body goes to, with its comma written. NULL when out of memory. */
static struct run *
run_for(struct cache_part *p, size_t body_len)
{
	struct run *last = p->run_count > 0 ? &p->runs[p->run_count - 1] : NULL;
	if (last != NULL && run_takes(last, body_len)) {
		buf_byte(&p->bodies, ',');
		last->len++;
		return last;
	}
	struct run *runs = one_more(p->runs, &p->run_cap, p->run_count, sizeof *runs);
	if (runs == NULL)
		return NULL;
	p->runs = runs;
	runs[p->run_count] = (struct run){.at = p->bodies.len};
	return &runs[p->run_count++];
}

static enum status
add_body(struct cache_part *p, struct row *row, const void *body, size_t len)
{
	struct run *run = run_for(p, len);
	if (run == NULL)
		return STATUS_NO_MEMORY;
	row->fragment = p->first_fragment + (uint32_t)(p->run_count - 1);
	row->body_at = (uint32_t)run->len;
	row->body_len = (uint32_t)len;
	buf_add(&p->bodies, body, len);
	run->len += len;
	run->count++;
	return p->bodies.err;
}

static enum status
add_memo(struct cache_part *p, struct row *row, const void *memo, size_t len)
{
	if (p->row_count % LIMIT_ROW_BLOCK == 0)
		p->block_memo_bytes = 0;
	if (len > BLOCK_MEMO_MAX_BYTES - p->block_memo_bytes)
		return STATUS_OVERFLOW;
	row->memo_at = (uint32_t)p->block_memo_bytes;
	row->memo_len = (uint32_t)len;
	buf_add(&p->memos, memo, len);
	p->block_memo_bytes += len;
	return p->memos.err;
}

static enum status
add_row(struct cache_part *p, const struct row *row)
{
	struct row *rows = one_more(p->rows, &p->row_cap, p->row_count, sizeof *rows);
	if (rows == NULL)
		return STATUS_NO_MEMORY;
	p->rows = rows;
	rows[p->row_count++] = *row;
	return STATUS_OK;
}

enum status
cache_part_add(struct cache_part *p, const struct row *row, const void *body, size_t body_len,
    const void *memo, size_t memo_len)
{
	struct row full = *row;
	full.reserved = 0;
	if (p->err != STATUS_OK)
		return p->err;
	/* the last number of a fragment is kept free, so that counting never wraps */
	if (body_len > BODY_MAX_BYTES || memo_len > MEMO_MAX_BYTES || p->records >= UINT32_MAX)
		return p->err = STATUS_OVERFLOW;
	p->err = add_memo(p, &full, memo, memo_len);
	if (p->err == STATUS_OK)
		p->err = add_body(p, &full, body, body_len);
	if (p->err == STATUS_OK)
		p->err = add_row(p, &full);
	if (p->err != STATUS_OK)
		return p->err;
	p->records++;
	p->body_bytes += body_len;
	p->waiting_bytes += sizeof full + body_len + memo_len;
	return p->waiting_bytes >= LIMIT_COMMIT_BYTES ? cache_part_commit(p) : STATUS_OK;
}

/* --- committing */

static size_t
rows_in_block(const struct cache_part *p, size_t begin)
{
	size_t left = p->row_count - begin;
	return left < LIMIT_ROW_BLOCK ? left : LIMIT_ROW_BLOCK;
}

/* Memos stand one behind the other, so that the last row of a block tells where they end. */
static size_t
memos_of(const struct row *rows, size_t count)
{
	return (size_t)rows[count - 1].memo_at + rows[count - 1].memo_len;
}

static void
write_rows(const struct cache_part *p, struct env_txn *t)
{
	size_t memos_at = 0;
	uint32_t number = p->first_block;
	for (size_t at = 0; at < p->row_count; at += LIMIT_ROW_BLOCK, number++) {
		const struct row *rows = &p->rows[at];
		size_t count = rows_in_block(p, at), memo_bytes = memos_of(rows, count);
		struct data_key k = data_key(p->stage->id, p->call, p->attempt, number);
		uint8_t *out = env_reserve(
		    t, ENV_ROWS, k.bytes, sizeof k.bytes, rows_bytes(count, memo_bytes));
		if (out == NULL)
			return;
		const char *memos = memo_bytes > 0 ? p->memos.data + memos_at : NULL;
		rows_encode(out, &k, rows, count, memos, memo_bytes);
		memos_at += memo_bytes;
	}
}

static void
write_bodies(const struct cache_part *p, struct env_txn *t)
{
	for (size_t i = 0; i < p->run_count; i++) {
		const struct run *run = &p->runs[i];
		uint32_t number = p->first_fragment + (uint32_t)i;
		struct data_key k = data_key(p->stage->id, p->call, p->attempt, number);
		uint8_t *out =
		    env_reserve(t, ENV_BODIES, k.bytes, sizeof k.bytes, fragment_bytes(run->len));
		if (out == NULL)
			return;
		const char *content = run->len > 0 ? p->bodies.data + run->at : NULL;
		fragment_encode(out, &k, run->count, content, run->len);
	}
}

static uint64_t
bytes_to_write(const struct cache_part *p)
{
	size_t values = p->run_count + p->row_count / LIMIT_ROW_BLOCK + 1;
	return p->bodies.len + p->memos.len + p->row_count * sizeof(struct row) +
	       values * VALUE_OVERHEAD_BYTES + COMMIT_OVERHEAD_BYTES;
}

/* The mark by which the sweep finds what a stage left, should it not come to be published. */
static void
mark_stage(const struct cache_stage *s, struct env_txn *t)
{
	struct id_key k = id_key(s->id);
	if (s->marked)
		return;
	env_put(t, ENV_LOOSE, k.bytes, sizeof k.bytes, NULL, 0);
	store_put_last_id(t, s->id);
}

static enum status
write_waiting(struct cache_part *p)
{
	struct cache_stage *s = p->stage;
	struct cache *c = s->cache;
	lock_take(&c->writing);
	enum status st = sweep_make_room(c, bytes_to_write(p));
	if (st == STATUS_OK) {
		struct env_txn *t = env_write(c->env);
		mark_stage(s, t);
		write_rows(p, t);
		write_bodies(p, t);
		st = store_commit(c, t, false);
	}
	if (st == STATUS_OK)
		s->marked = true;
	lock_drop(&c->writing);
	return st;
}

static void
drop_front(struct buf *b, size_t len)
{
	if (len == 0)
		return;
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

/* Forgets the blocks that are full and now in the store. */
static void
forget_rows(struct cache_part *p)
{
	size_t full = p->row_count / LIMIT_ROW_BLOCK * LIMIT_ROW_BLOCK, memo_bytes = 0;
	for (size_t at = 0; at < full; at += LIMIT_ROW_BLOCK)
		memo_bytes += memos_of(&p->rows[at], LIMIT_ROW_BLOCK);
	drop_front(&p->memos, memo_bytes);
	p->row_count -= full;
	p->first_block += (uint32_t)(full / LIMIT_ROW_BLOCK);
	if (full > 0)
		memmove(p->rows, p->rows + full, p->row_count * sizeof *p->rows);
}

/* Forgets the runs that are in the store but the last, if it can take another record. */
static void
forget_bodies(struct cache_part *p)
{
	struct run last = p->runs[p->run_count - 1];
	size_t kept = run_takes(&last, 0) ? 1 : 0;
	drop_front(&p->bodies, kept ? last.at : p->bodies.len);
	p->first_fragment += (uint32_t)(p->run_count - kept);
	p->runs[0] = (struct run){.len = last.len, .count = last.count};
	p->run_count = kept;
}

enum status
cache_part_commit(struct cache_part *p)
{
	if (p->err != STATUS_OK || p->waiting_bytes == 0)
		return p->err;
	p->err = write_waiting(p);
	if (p->err != STATUS_OK)
		return p->err;
	forget_rows(p);
	forget_bodies(p);
	p->waiting_bytes = 0;
	const struct cache_stage_events *e = &p->stage->events;
	if (e->committed != NULL)
		e->committed(e->ctx, p->call, p->attempt, p->records);
	return STATUS_OK;
}

/* Only marks what it committed as loose: the sweep deletes it. If that cannot be written, the
 * data goes with its stage or result. */
void
cache_part_drop(struct cache_part *p)
{
	if (p == NULL)
		return;
	struct cache_stage *s = p->stage;
	struct cache *c = s->cache;
	struct data_key k = data_key(s->id, p->call, p->attempt, 0);
	lock_take(&c->writing);
	if (s->marked) {
		struct env_txn *t = env_write(c->env);
		env_put(t, ENV_LOOSE, k.bytes, PART_KEY_BYTES, NULL, 0);
		enum status st = store_commit(c, t, false);
		(void)st;
	}
	lock_drop(&c->writing);
	cache_part_close(p);
}

/* --- publishing */

/* That all records of a part are in the store: its last block of rows is, with its last row. */
static bool
part_is_committed(struct env_txn *t, uint64_t id, const struct cache_part_info *p)
{
	struct env_bytes v;
	struct rows_block block;
	if (p->records == 0)
		return true;
	if (p->records > UINT32_MAX)
		return false;
	uint32_t last = (uint32_t)((p->records - 1) / LIMIT_ROW_BLOCK);
	struct data_key k = data_key(id, p->call, p->attempt, last);
	return env_get(t, ENV_ROWS, k.bytes, sizeof k.bytes, &v) &&
	       rows_decode(v.at, v.len, NULL, &block) == STATUS_OK &&
	       block.count == (p->records - 1) % LIMIT_ROW_BLOCK + 1;
}

static enum status
check_parts(struct cache_stage *s, const struct cache_manifest *m)
{
	struct cache_view *v;
	bool whole = true;
	enum status st = cache_view_open(s->cache, &v);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; whole && i < m->part_count; i++)
		whole = part_is_committed(v->txn, s->id, &m->parts[i]);
	st = env_txn_status(v->txn);
	cache_view_close(v);
	return st == STATUS_OK && !whole ? STATUS_INTERNAL : st;
}

static void
fill_sums(struct cache_manifest *m)
{
	m->records = m->body_bytes = 0;
	for (size_t i = 0; i < m->part_count; i++) {
		m->records += m->parts[i].records;
		m->body_bytes += m->parts[i].body_bytes;
	}
}

/* The bytes to store, and the handle made of just these. */
static enum status
prepare(struct cache_stage *s, const struct cache_manifest *m, int64_t now_wall_ms,
    struct buf *bytes, struct cache_result **ret)
{
	struct cache_manifest full = *m, *read;
	full.id = s->id;
	full.published_at_ms = now_wall_ms;
	fill_sums(&full);
	enum status st = manifest_encode(&full, bytes);
	if (st == STATUS_OK)
		st = manifest_decode(bytes->data, bytes->len, &read);
	if (st != STATUS_OK)
		return st;
	st = result_new(s->cache, read, ret);
	if (st != STATUS_OK)
		free(read);
	return st;
}

static void
write_result(struct cache_stage *s, struct env_txn *t, const struct cache_manifest *m,
    const struct buf *bytes)
{
	struct id_key id = id_key(m->id);
	uint64_t old = store_current(t, m->digest);
	if (old != 0) {
		int64_t until = m->published_at_ms + s->cache->cursor_grace_ms;
		struct expiry_key k = expiry_of_result(until, old);
		env_put(t, ENV_EXPIRY, k.bytes, k.len, NULL, 0);
	}
	env_put(t, ENV_RESULTS, id.bytes, sizeof id.bytes, bytes->data, bytes->len);
	env_put(t, ENV_CURRENT, m->digest, sizeof m->digest, id.bytes, sizeof id.bytes);
	for (size_t i = 0; i < m->policy_count; i++) {
		struct policy_key k = policy_key(m->policies[i], m->id);
		env_put(t, ENV_BY_POLICY, k.bytes, sizeof k.bytes, NULL, 0);
	}
	struct expiry_key k = expiry_of_result(m->keep_until_ms, m->id);
	env_put(t, ENV_EXPIRY, k.bytes, k.len, NULL, 0);
	store_put_query(t, m->digest, m->text, m->text_len, m->keep_until_ms);
	store_put_last_id(t, m->id);
	env_del(t, ENV_LOOSE, id.bytes, sizeof id.bytes);
}

static enum status
enter_new(struct cache *c, struct cache_result *r)
{
	lock_take(&c->results);
	struct catalogue_entry *e = catalogue_add(&c->catalogue, r->m->id, r->m->published_at_ms);
	if (e != NULL) {
		e->open = r;
		c->live++;
	}
	lock_drop(&c->results);
	return e != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void
take_back(struct cache *c, const struct cache_result *r)
{
	lock_take(&c->results);
	catalogue_remove(&c->catalogue, catalogue_find(&c->catalogue, r->m->id));
	c->live--;
	lock_drop(&c->results);
}

/* It is entered before the commit: nobody can ask for it yet, and once it is committed whoever
 * asks must find it. With `writing` held nobody dooms it in between. */
static enum status
commit_entered(struct cache_stage *s, struct cache_result *r, const struct buf *bytes)
{
	struct cache *c = s->cache;
	enum status st = enter_new(c, r);
	if (st != STATUS_OK)
		return st;
	struct env_txn *t = env_write(c->env);
	write_result(s, t, r->m, bytes);
	st = store_commit(c, t, true);
	if (st != STATUS_OK)
		take_back(c, r);
	return st;
}

static enum status
commit_result(struct cache_stage *s, struct cache_result *r, const struct buf *bytes)
{
	struct cache *c = s->cache;
	uint64_t policies = r->m->policy_count * sizeof(struct policy_key) * 2;
	uint64_t need = bytes->len + r->m->text_len + policies + COMMIT_OVERHEAD_BYTES;
	lock_take(&c->writing);
	enum status st = sweep_make_room(c, need);
	if (st == STATUS_OK)
		st = commit_entered(s, r, bytes);
	lock_drop(&c->writing);
	return st;
}

enum status
cache_stage_publish(struct cache_stage *s, const struct cache_manifest *m, int64_t now_wall_ms,
    struct cache_result **ret)
{
	struct cache_result *r = NULL;
	struct buf bytes;
	buf_init(&bytes, MANIFEST_MAX_BYTES);
	enum status st = check_parts(s, m);
	if (st == STATUS_OK)
		st = prepare(s, m, now_wall_ms, &bytes, &r);
	if (st == STATUS_OK)
		st = commit_result(s, r, &bytes);
	buf_fini(&bytes);
	if (st == STATUS_OK) {
		stage_free(s);
		*ret = r;
	} else if (r != NULL) {
		result_free(r);
	}
	return st;
}
