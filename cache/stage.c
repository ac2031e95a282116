/* Making a result: its parts (part.c) are committed in large steps; publishing is one more commit. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/manifest.h"
#include "cache/rows.h"
#include "cache/store.h"
#include "gateway/base/buf.h"
#include "gateway/base/limits.h"

#define ID_TIME_SHIFT 20
#define ID_RANDOM_MASK ((UINT32_C(1) << ID_TIME_SHIFT) - 1)
#define WALL_MS_MAX ((INT64_C(1) << 43) - 1)

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
	writer_settle(c, s);
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
	struct catalogue_entry *e =
	    catalogue_add(&c->catalogue, r->m->id, r->m->published_at_ms, RESULT_ENTERED);
	if (e != NULL)
		e->open = r;
	lock_drop(&c->results);
	return e != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

/* It was committed, or was not. */
static void
settle_new(struct cache *c, const struct cache_result *r, bool committed)
{
	lock_take(&c->results);
	struct catalogue_entry *e = catalogue_find(&c->catalogue, r->m->id);
	if (committed) {
		e->state = RESULT_LIVE;
		c->live++;
	} else {
		catalogue_remove(&c->catalogue, e);
	}
	lock_drop(&c->results);
}

/* It is entered before the commit: once it is committed whoever asks must find it. Until then nobody
 * does, though walks that follow the fetch know its id already. With `writing` held nobody dooms it in
 * between. */
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
	settle_new(c, r, st == STATUS_OK);
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
