#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/manifest.h"
#include "cache/store.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"

/* What an environment of this format has in meta under "format": a name and the version. */
static const uint8_t format[8] = {'P', 'G', 'S', 'T', 2, 0, 0, 0};
static const char last_id_key[] = "last_id";

#define SPARE_READERS 32
/* Room over the quota for pages that are free but not yet reusable, and for fragmentation. */
#define MAP_SLACK_BYTES (64 * MIB)
/* Open results that nobody holds, kept for the next one who asks. */
#define IDLE_MAX_BYTES (64 * MIB)
/* A remembered query is kept up to this much longer than asked for, so that prolonging it costs
 * one commit in this time and not one for each cursor. */
#define QUERY_GRAIN_MS ((int64_t)3600 * 1000)
/* An open result lies on the shelf only if it is no larger. */
#define SHELVED_MAX_BYTES (512 * KIB)
/* Copies of unaligned rows in one view: these are small blocks only. */
#define VIEW_COPIES_BYTES (64 * MIB)

/* --- keys */

struct id_key
id_key(uint64_t id)
{
	struct id_key k = {0};
	bytes_put_u64_be(k.bytes, id);
	return k;
}

struct policy_key
policy_key(uint64_t policy, uint64_t id)
{
	struct policy_key k = {0};
	bytes_put_u64_be(k.bytes, policy);
	bytes_put_u64_be(k.bytes + 8, id);
	return k;
}

static struct expiry_key
expiry_key(int64_t wall_ms, enum expiry_kind kind, const void *rest, size_t len)
{
	struct expiry_key k = {.len = 9 + len};
	bytes_put_u64_be(k.bytes, wall_ms > 0 ? (uint64_t)wall_ms : 0);
	k.bytes[8] = (uint8_t)kind;
	memcpy(k.bytes + 9, rest, len);
	return k;
}

struct expiry_key
expiry_of_result(int64_t wall_ms, uint64_t id)
{
	struct id_key k = id_key(id);
	return expiry_key(wall_ms, EXPIRY_RESULT, k.bytes, sizeof k.bytes);
}

struct expiry_key
expiry_of_query(int64_t wall_ms, const uint8_t digest[SHA256_BYTES])
{
	return expiry_key(wall_ms, EXPIRY_QUERY, digest, SHA256_BYTES);
}

/* --- life */

static enum status
open_env(struct cache *c, const struct cache_options *o, const char **ret_reason)
{
	uint64_t page = 4096, map = o->size_bytes + o->size_bytes / 4 + MAP_SLACK_BYTES;
	struct env_options eo = {
	    .path = c->folder.env_path,
	    .map_bytes = (map + page - 1) / page * page,
	    /* a thread that has a view may look something up besides */
	    .readers = 2 * o->readers + SPARE_READERS,
	    .format = format,
	    .format_len = sizeof format,
	};
	return env_open(&eo, &c->env, ret_reason);
}

static enum status
open_env_or_begin_anew(
    struct cache *c, const struct cache_options *o, int64_t now_wall_ms, const char **ret_reason)
{
	*ret_reason = "it was found damaged while in use";
	enum status st = STATUS_CORRUPT;
	if (!folder_is_condemned(&c->folder))
		st = open_env(c, o, ret_reason);
	if (st != STATUS_CORRUPT)
		return st;
	log_event(LOG_ERROR, "store-set-aside", "dir=%s reason=%s", log_q(o->dir, strlen(o->dir)),
	    log_q(*ret_reason, strlen(*ret_reason)));
	st = folder_set_aside(&c->folder, now_wall_ms);
	if (st != STATUS_OK) {
		*ret_reason = "what is damaged cannot be renamed";
		return st;
	}
	return open_env(c, o, ret_reason);
}

static uint64_t
stored_last_id(struct env_txn *t)
{
	struct env_bytes v;
	if (!env_get(t, ENV_META, last_id_key, strlen(last_id_key), &v) || v.len != 12 ||
	    bytes_u32(v.at + 8) != codec_crc32(0, v.at, 8))
		return 0;
	return bytes_u64(v.at);
}

void
store_put_last_id(struct env_txn *t, uint64_t id)
{
	uint8_t v[12];
	if (stored_last_id(t) >= id)
		return;
	bytes_put_u64(v, id);
	bytes_put_u32(v + 8, codec_crc32(0, v, 8));
	env_put(t, ENV_META, last_id_key, strlen(last_id_key), v, sizeof v);
}

static void
raise_last_id(struct cache *c, uint64_t id)
{
	if (c->last_id < id)
		c->last_id = id;
}

#define ID_TIME_SHIFT 20

/* Without reading each manifest: an id begins with the time at which its result was begun. */
static enum status
fill_catalogue(struct cache *c, struct env_txn *t)
{
	struct env_bytes k, v;
	uint64_t next = 0;
	for (struct id_key from = id_key(next);
	     env_seek(t, ENV_RESULTS, from.bytes, sizeof from.bytes, &k, &v); from = id_key(next)) {
		if (k.len != ID_KEY_BYTES)
			return STATUS_CORRUPT;
		uint64_t id = bytes_u64_be(k.at);
		if (catalogue_add(&c->catalogue, id, (int64_t)(id >> ID_TIME_SHIFT), RESULT_LIVE) ==
		    NULL)
			return STATUS_NO_MEMORY;
		c->live++;
		raise_last_id(c, id);
		next = id + 1;
		if (next == 0)
			break;
	}
	return env_txn_status(t);
}

static enum status
take_stock(struct cache *c)
{
	struct cache_view *v;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	st = fill_catalogue(c, v->txn);
	static const uint8_t top[ENV_KEY_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct env_bytes k, value;
	if (env_before(v->txn, ENV_LOOSE, top, sizeof top, &k, &value) && k.len >= ID_KEY_BYTES)
		raise_last_id(c, bytes_u64_be(k.at));
	raise_last_id(c, stored_last_id(v->txn));
	if (st == STATUS_OK)
		st = env_txn_status(v->txn);
	cache_view_close(v);
	return st;
}

enum status
cache_open(const struct cache_options *o, int64_t now_wall_ms, struct cache **ret)
{
	const char *reason = "out of memory";
	struct cache *c = calloc(1, sizeof *c);
	enum status st = c != NULL ? STATUS_OK : STATUS_NO_MEMORY;
	if (c == NULL)
		goto out;
	c->size_bytes = o->size_bytes;
	c->cursor_grace_ms = o->cursor_grace_ms;
	c->twins = o->twins;
	lock_init(&c->writing, LOCK_CACHE_WRITE);
	lock_init(&c->results, LOCK_CACHE_RESULTS);
	st = folder_open(&c->folder, o->dir, &reason);
	if (st == STATUS_OK)
		st = open_env_or_begin_anew(c, o, now_wall_ms, &reason);
	if (st != STATUS_OK)
		goto out;
	reason = "its results cannot be listed";
	st = take_stock(c);
	if (st == STATUS_OK && !writer_start(c)) {
		reason = "out of threads";
		st = STATUS_NO_MEMORY;
	}
out:
	if (st != STATUS_OK) {
		log_event(LOG_ERROR, "store-refused", "dir=%s reason=%s",
		    log_q(o->dir, strlen(o->dir)), log_q(reason, strlen(reason)));
		cache_close(c);
		return st == STATUS_BUSY || st == STATUS_NO_MEMORY ? st : STATUS_STORE_FAILED;
	}
	*ret = c;
	return STATUS_OK;
}

static void
view_free(struct cache_view *v)
{
	env_reader_close(v->txn);
	arena_fini(&v->copies);
	free(v);
}

static void
free_idle(struct cache *c)
{
	for (unsigned i = 0; i < SHELF_PLACES; i++) {
		struct cache_view *v = shelf_take(&c->idle_views, i);
		if (v != NULL)
			view_free(v);
		cache_release(shelf_take(&c->recent, i));
	}
	while (c->packer_count > 0)
		packer_free(c->packers[--c->packer_count]);
	while (c->idle_oldest != NULL) {
		struct cache_result *r = c->idle_oldest;
		c->idle_oldest = r->newer;
		result_free(r);
	}
}

void
cache_close(struct cache *c)
{
	if (c == NULL)
		return;
	assert(c->stages == NULL);
	writer_stop(c);
	free_idle(c);
	env_close(c->env);
	folder_close(&c->folder);
	catalogue_fini(&c->catalogue);
	lock_fini(&c->results);
	lock_fini(&c->writing);
	free(c);
}

enum status
store_commit(struct cache *c, struct env_txn *t, bool durable)
{
	lock_assert_held(&c->writing);
	enum status st = env_commit(t, durable);
	if (st == STATUS_CORRUPT)
		folder_condemn(&c->folder);
	if (!env_writable(c->env) && !c->fence_told) {
		c->fence_told = true;
		log_event(LOG_ERROR, "store-fenced",
		    "status=%s note=\"nothing is stored until a restart\"", status_info(st)->name);
	}
	return st;
}

/* --- views: pooled read transactions */

static enum status
view_new(struct cache *c, struct cache_view **ret)
{
	struct cache_view *v = calloc(1, sizeof *v);
	if (v == NULL)
		return STATUS_NO_MEMORY;
	v->cache = c;
	arena_init(&v->copies, VIEW_COPIES_BYTES);
	enum status st = env_reader_open(c->env, &v->txn);
	if (st != STATUS_OK) {
		free(v);
		return st;
	}
	*ret = v;
	return STATUS_OK;
}

/* A thread finds the view again that it has used last. */
static unsigned
own_place(void)
{
	static atomic_uint threads;
	static _Thread_local unsigned mine;
	if (mine == 0)
		mine = atomic_fetch_add(&threads, 1) + 1;
	return mine;
}

enum status
cache_view_open(struct cache *c, struct cache_view **ret)
{
	struct cache_view *v = NULL;
	unsigned from = own_place();
	for (unsigned i = 0; v == NULL && i < SHELF_PLACES; i++)
		v = shelf_take(&c->idle_views, from + i);
	if (v == NULL)
		return view_new(c, ret);
	enum status st = env_reader_again(v->txn);
	if (st != STATUS_OK) {
		view_free(v);
		return st;
	}
	*ret = v;
	return STATUS_OK;
}

void
cache_view_close(struct cache_view *v)
{
	if (v == NULL)
		return;
	struct cache *c = v->cache;
	unsigned from = own_place();
	env_reader_rest(v->txn);
	arena_reset(&v->copies);
	for (unsigned i = 0; i < SHELF_PLACES; i++)
		if (shelf_put(&c->idle_views, from + i, v))
			return;
	view_free(v);
}

/* --- open results */

static uint64_t *
firsts_new(const struct cache_manifest *m)
{
	uint64_t *first = calloc(m->part_count + 1, sizeof *first);
	if (first == NULL)
		return NULL;
	for (size_t i = 0; i < m->part_count; i++)
		first[i + 1] = first[i] + m->parts[i].records;
	return first;
}

enum status
result_new(struct cache *c, struct cache_manifest *m, struct cache_result **ret)
{
	if (m->records > SIZE_MAX / 64)
		return STATUS_NO_MEMORY;
	/* calloc() gives untouched pages for a large map: what is never read costs nothing */
	size_t words = 3 * (size_t)m->records / 64 + 1;
	struct cache_result *r = calloc(1, sizeof *r);
	uint64_t *first = firsts_new(m);
	_Atomic uint64_t *verified = calloc(words, sizeof *verified);
	if (r == NULL || first == NULL || verified == NULL) {
		free(r);
		free(first);
		free(verified);
		return STATUS_NO_MEMORY;
	}
	*r = (struct cache_result){
	    .cache = c,
	    .m = m,
	    .first = first,
	    .verified = verified,
	    .memory_bytes = sizeof *r + manifest_memory(m) + (m->part_count + 1) * sizeof *first +
			    words * sizeof *verified,
	    .holders = 1,
	};
	*ret = r;
	return STATUS_OK;
}

void
result_free(struct cache_result *r)
{
	free(r->m);
	free(r->first);
	free(r->verified);
	free(r);
}

int64_t
entry_used_ms_locked(const struct cache *c, const struct catalogue_entry *e)
{
	lock_assert_held(&c->results);
	int64_t open_ms = e->open != NULL ? atomic_load(&e->open->used_ms) : 0;
	return open_ms > e->used_ms ? open_ms : e->used_ms;
}

static void
idle_unlink_locked(struct cache *c, struct cache_result *r)
{
	*(r->newer != NULL ? &r->newer->older : &c->idle_newest) = r->older;
	*(r->older != NULL ? &r->older->newer : &c->idle_oldest) = r->newer;
	r->newer = r->older = NULL;
	c->idle_bytes -= r->memory_bytes;
}

static void
idle_push_locked(struct cache *c, struct cache_result *r)
{
	r->older = c->idle_newest;
	r->newer = NULL;
	*(r->older != NULL ? &r->older->newer : &c->idle_oldest) = r;
	c->idle_newest = r;
	c->idle_bytes += r->memory_bytes;
}

static void
idle_close_locked(struct cache *c, struct cache_result *r)
{
	struct catalogue_entry *e = catalogue_find(&c->catalogue, r->m->id);
	idle_unlink_locked(c, r);
	e->used_ms = entry_used_ms_locked(c, e);
	e->open = NULL;
	result_free(r);
}

/* Where on the shelf a result lies: the last bits of its id are random. */
static unsigned
place_of(uint64_t id)
{
	return (unsigned)id;
}

static void
used(struct cache_result *r, int64_t now_wall_ms)
{
	if (atomic_load_explicit(&r->used_ms, memory_order_relaxed) < now_wall_ms)
		atomic_store_explicit(&r->used_ms, now_wall_ms, memory_order_relaxed);
}

struct cache_result *
result_hold_locked(struct cache *c, struct catalogue_entry *e)
{
	struct cache_result *r = e->open;
	lock_assert_held(&c->results);
	if (atomic_fetch_add(&r->holders, 1) == 0)
		idle_unlink_locked(c, r);
	return r;
}

static struct cache_result *
hold_locked(struct cache *c, struct catalogue_entry *e, int64_t now_wall_ms)
{
	struct cache_result *r = result_hold_locked(c, e);
	used(r, now_wall_ms);
	return r;
}

static void
release_locked(struct cache *c, struct cache_result *r)
{
	lock_assert_held(&c->results);
	size_t before = atomic_fetch_sub(&r->holders, 1);
	assert(before > 0);
	if (before > 1)
		return;
	struct catalogue_entry *e = catalogue_find(&c->catalogue, r->m->id);
	idle_push_locked(c, r);
	if (e->state == RESULT_GONE) {
		idle_close_locked(c, r);
		catalogue_remove(&c->catalogue, e);
	}
	/* the oldest is unlinked before it is freed: the analyzer does not see that the list
	 * has another head each time */
	while (c->idle_bytes > IDLE_MAX_BYTES)
		idle_close_locked(c, c->idle_oldest); // NOLINT(clang-analyzer-unix.Malloc)
}

bool
result_is_held_locked(struct cache *c, const struct cache_result *r)
{
	lock_assert_held(&c->results);
	return atomic_load(&r->holders) > shelf_has(&c->recent, place_of(r->m->id), r);
}

void
entry_doom_locked(struct cache *c, struct catalogue_entry *e)
{
	lock_assert_held(&c->results);
	if (e->state != RESULT_LIVE)
		return;
	e->state = RESULT_DOOMED;
	c->live--;
	c->doomed++;
	if (e->open == NULL)
		return;
	atomic_store(&e->open->doomed, true);
	struct cache_result *shelved = shelf_take(&c->recent, place_of(e->id));
	if (shelved != NULL)
		release_locked(c, shelved);
}

void
entry_gone_locked(struct cache *c, struct catalogue_entry *e)
{
	lock_assert_held(&c->results);
	assert(e->state == RESULT_DOOMED);
	c->doomed--;
	e->state = RESULT_GONE;
	if (e->open != NULL && atomic_load(&e->open->holders) > 0)
		return;
	if (e->open != NULL)
		idle_close_locked(c, e->open);
	catalogue_remove(&c->catalogue, e);
}

void
result_quarantine(struct cache *c, uint64_t id, const char *what)
{
	lock_take(&c->results);
	struct catalogue_entry *e = catalogue_find(&c->catalogue, id);
	bool first = e != NULL && e->state == RESULT_LIVE;
	if (first)
		entry_doom_locked(c, e);
	lock_drop(&c->results);
	if (first)
		log_event(LOG_ERROR, "store-quarantine", "result=%" PRIu64 " damaged=%s", id, what);
}

struct cache_result *
cache_ref(struct cache_result *r)
{
	size_t before = atomic_fetch_add(&r->holders, 1);
	assert(before > 0);
	(void)before;
	return r;
}

void
cache_release(struct cache_result *r)
{
	if (r == NULL)
		return;
	struct cache *c = r->cache;
	size_t holders = atomic_load(&r->holders);
	while (holders > 1)
		if (atomic_compare_exchange_weak(&r->holders, &holders, holders - 1))
			return;
	lock_take(&c->results);
	release_locked(c, r);
	lock_drop(&c->results);
}

const struct cache_manifest *
cache_manifest(const struct cache_result *r)
{
	return r->m;
}

/* --- finding a result */

/* Whoever puts something on the shelf looks once more whether it may stay there. */
static void
take_off_if_doomed(struct cache *c, const struct cache_result *r, unsigned place)
{
	if (atomic_load(&r->doomed))
		cache_release(shelf_take(&c->recent, place));
}

/* From the shelf, without a lock; NULL: it is not there just now. */
static struct cache_result *
take_recent(struct cache *c, uint64_t id, int64_t now_wall_ms)
{
	unsigned place = place_of(id);
	struct cache_result *r = shelf_take(&c->recent, place);
	if (r == NULL)
		return NULL;
	bool wanted = r->m->id == id && !atomic_load(&r->doomed);
	cache_ref(r);
	if (shelf_put(&c->recent, place, r))
		take_off_if_doomed(c, r, place);
	else
		cache_release(r); /* another lies there by now */
	if (wanted)
		used(r, now_wall_ms);
	else
		cache_release(r);
	return wanted ? r : NULL;
}

/* Large ones are not worth the memory: the lock costs them nothing that would show. */
static void
shelve(struct cache *c, struct cache_result *r)
{
	unsigned place = place_of(r->m->id);
	if (r->memory_bytes > SHELVED_MAX_BYTES)
		return;
	cache_release(shelf_swap(&c->recent, place, cache_ref(r)));
	take_off_if_doomed(c, r, place);
}

static bool
may_be_in_store(const struct catalogue_entry *e)
{
	return e != NULL && (e->state == RESULT_LIVE || e->state == RESULT_ENTERED);
}

/* The handle if it is open already; else STATUS_OK and NULL if it may be read from the store. */
static enum status
find_open(struct cache *c, uint64_t id, int64_t now_wall_ms, struct cache_result **ret)
{
	enum status st = STATUS_NOT_FOUND;
	*ret = take_recent(c, id, now_wall_ms);
	if (*ret != NULL)
		return STATUS_OK;
	lock_take(&c->results);
	struct catalogue_entry *e = catalogue_find(&c->catalogue, id);
	if (may_be_in_store(e)) {
		bool open = e->open != NULL && e->state == RESULT_LIVE;
		*ret = open ? hold_locked(c, e, now_wall_ms) : NULL;
		st = STATUS_OK;
	}
	lock_drop(&c->results);
	if (*ret != NULL)
		shelve(c, *ret);
	return st;
}

/* Enters a handle that was just read, unless another thread was faster or the result was doomed
 * meanwhile. */
static enum status
enter(struct cache *c, struct cache_result *mine, int64_t now_wall_ms, struct cache_result **ret)
{
	enum status st = STATUS_OK;
	lock_take(&c->results);
	struct catalogue_entry *e = catalogue_find(&c->catalogue, mine->m->id);
	if (!may_be_in_store(e)) {
		st = STATUS_NOT_FOUND;
	} else if (e->open != NULL) {
		*ret = hold_locked(c, e, now_wall_ms);
	} else {
		e->open = mine;
		mine->holders = 0;
		idle_push_locked(c, mine);
		*ret = hold_locked(c, e, now_wall_ms);
	}
	bool taken = st == STATUS_OK && *ret == mine;
	lock_drop(&c->results);
	if (!taken)
		result_free(mine);
	return st;
}

static enum status
read_manifest(struct env_txn *t, uint64_t id, struct cache_manifest **ret)
{
	struct id_key k = id_key(id);
	struct env_bytes v;
	bool there = env_get(t, ENV_RESULTS, k.bytes, sizeof k.bytes, &v);
	enum status st = env_txn_status(t);
	if (st != STATUS_OK || !there)
		return st != STATUS_OK ? st : STATUS_NOT_FOUND;
	struct cache_manifest *m;
	st = manifest_decode(v.at, v.len, &m);
	if (st != STATUS_OK)
		return st;
	if (m->id != id) {
		free(m);
		return STATUS_CORRUPT;
	}
	*ret = m;
	return STATUS_OK;
}

static enum status
open_result(
    struct cache *c, struct env_txn *t, uint64_t id, int64_t now_wall_ms, struct cache_result **ret)
{
	struct cache_manifest *m;
	struct cache_result *r;
	enum status st = find_open(c, id, now_wall_ms, &r);
	if (st != STATUS_OK)
		return st;
	if (r != NULL) {
		*ret = r;
		return STATUS_OK;
	}
	st = read_manifest(t, id, &m);
	if (st == STATUS_CORRUPT)
		result_quarantine(c, id, "manifest");
	if (st != STATUS_OK)
		return st;
	st = result_new(c, m, &r);
	if (st != STATUS_OK) {
		free(m);
		return st;
	}
	return enter(c, r, now_wall_ms, ret);
}

uint64_t
store_current(struct env_txn *t, const uint8_t digest[SHA256_BYTES])
{
	struct env_bytes v;
	if (!env_get(t, ENV_CURRENT, digest, SHA256_BYTES, &v) || v.len != ID_KEY_BYTES)
		return 0;
	return bytes_u64_be(v.at);
}

static bool
same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static enum status
open_current(struct cache *c, const uint8_t *digest, int64_t now_wall_ms, uint64_t *ret_id,
    struct cache_result **ret)
{
	struct cache_view *v;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	uint64_t id = store_current(v->txn, digest);
	st = env_txn_status(v->txn);
	if (st == STATUS_OK)
		st = open_result(c, v->txn, id, now_wall_ms, ret);
	cache_view_close(v);
	*ret_id = id;
	return st;
}

enum status
cache_lookup(struct cache *c, const uint8_t digest[SHA256_BYTES], const char *text, size_t text_len,
    int64_t now_wall_ms, struct cache_result **ret)
{
	struct cache_result *r = NULL;
	uint64_t before, id = 0;
	enum status st;
	/* the one that was current when the view was opened may have been replaced and removed
	 * since: look again until it stays the same */
	do {
		before = id;
		st = open_current(c, digest, now_wall_ms, &id, &r);
	} while (st == STATUS_NOT_FOUND && id != before);
	if (st != STATUS_OK)
		return st;
	if (!same_text(r->m->text, r->m->text_len, text, text_len)) {
		cache_release(r);
		return STATUS_NOT_FOUND;
	}
	*ret = r;
	return STATUS_OK;
}

enum status
cache_get(struct cache *c, uint64_t id, int64_t now_wall_ms, struct cache_result **ret)
{
	struct cache_view *v;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	st = open_result(c, v->txn, id, now_wall_ms, ret);
	cache_view_close(v);
	return st;
}

/* --- queries: CRC-32 of the rest, 4 zero bytes, keep_until, text */

#define QUERY_HEADER_BYTES 16

struct query {
	int64_t keep_until_ms;
	const char *text;
	size_t len;
};

static bool
find_query(struct env_txn *t, const uint8_t digest[SHA256_BYTES], struct query *ret)
{
	struct env_bytes v;
	if (!env_get(t, ENV_QUERIES, digest, SHA256_BYTES, &v) || v.len < QUERY_HEADER_BYTES ||
	    bytes_u32(v.at) != codec_crc32(0, v.at + 4, v.len - 4))
		return false;
	*ret = (struct query){
	    .keep_until_ms = (int64_t)bytes_u64(v.at + 8),
	    .text = (const char *)v.at + QUERY_HEADER_BYTES,
	    .len = v.len - QUERY_HEADER_BYTES,
	};
	return true;
}

bool
store_query_end(struct env_txn *t, const uint8_t digest[SHA256_BYTES], int64_t *ret_ms)
{
	struct query q;
	if (!find_query(t, digest, &q))
		return false;
	*ret_ms = q.keep_until_ms;
	return true;
}

void
store_put_query(struct env_txn *t, const uint8_t digest[SHA256_BYTES], const char *text, size_t len,
    int64_t keep_until_ms)
{
	struct query old;
	if (find_query(t, digest, &old)) {
		if (old.keep_until_ms >= keep_until_ms)
			return;
		struct expiry_key k = expiry_of_query(old.keep_until_ms, digest);
		env_del(t, ENV_EXPIRY, k.bytes, k.len);
	}
	uint8_t *v = env_reserve(t, ENV_QUERIES, digest, SHA256_BYTES, QUERY_HEADER_BYTES + len);
	if (v == NULL)
		return;
	bytes_put_u32(v + 4, 0);
	bytes_put_u64(v + 8, (uint64_t)keep_until_ms);
	if (len > 0)
		memcpy(v + QUERY_HEADER_BYTES, text, len);
	bytes_put_u32(v, codec_crc32(0, v + 4, QUERY_HEADER_BYTES + len - 4));
	struct expiry_key k = expiry_of_query(keep_until_ms, digest);
	env_put(t, ENV_EXPIRY, k.bytes, k.len, NULL, 0);
}

/* Whether the text is there and stays long enough. */
static enum status
query_is_kept(struct cache *c, const uint8_t digest[SHA256_BYTES], const char *text, size_t len,
    int64_t keep_until_ms, bool *ret)
{
	struct cache_view *v;
	struct query q;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	bool there = find_query(v->txn, digest, &q);
	bool foreign = there && !same_text(q.text, q.len, text, len);
	*ret = there && q.keep_until_ms >= keep_until_ms;
	st = foreign ? STATUS_INTERNAL : env_txn_status(v->txn);
	cache_view_close(v);
	return st;
}

enum status
cache_query_put(struct cache *c, const uint8_t digest[SHA256_BYTES], const char *text, size_t len,
    int64_t keep_until_wall_ms)
{
	bool kept;
	enum status st = query_is_kept(c, digest, text, len, keep_until_wall_ms, &kept);
	if (st != STATUS_OK || kept)
		return st;
	int64_t until = (keep_until_wall_ms / QUERY_GRAIN_MS + 2) * QUERY_GRAIN_MS;
	lock_take(&c->writing);
	st = sweep_make_room(c, len);
	if (st == STATUS_OK) {
		struct env_txn *t = env_write(c->env);
		store_put_query(t, digest, text, len, until);
		st = store_commit(c, t, true);
	}
	lock_drop(&c->writing);
	return st;
}

/* A copy of the query under that digest. */
static enum status
copy_query(
    struct cache_view *v, const uint8_t digest[SHA256_BYTES], char **ret_text, size_t *ret_len)
{
	struct query q;
	if (!find_query(v->txn, digest, &q)) {
		enum status st = env_txn_status(v->txn);
		return st == STATUS_OK ? STATUS_NOT_FOUND : st;
	}
	char *copy = malloc(q.len + 1);
	if (copy == NULL)
		return STATUS_NO_MEMORY;
	memcpy(copy, q.text, q.len);
	copy[q.len] = '\0';
	*ret_text = copy;
	*ret_len = q.len;
	return STATUS_OK;
}

enum status
cache_query_get(
    struct cache *c, const uint8_t half[SHA256_BYTES / 2], char **ret_text, size_t *ret_len)
{
	uint8_t digest[SHA256_BYTES] = {0};
	struct cache_view *v;
	struct env_bytes k, value;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	memcpy(digest, half, SHA256_BYTES / 2);
	if (env_seek(v->txn, ENV_QUERIES, digest, sizeof digest, &k, &value) &&
	    k.len == SHA256_BYTES && memcmp(k.at, half, SHA256_BYTES / 2) == 0) {
		memcpy(digest, k.at, sizeof digest);
		st = copy_query(v, digest, ret_text, ret_len);
	} else {
		st = env_txn_status(v->txn);
		st = st == STATUS_OK ? STATUS_NOT_FOUND : st;
	}
	cache_view_close(v);
	return st;
}

/* --- looking at all of it */

void
cache_get_stats(struct cache *c, struct cache_stats *ret)
{
	struct cache_view *v;
	struct cache_stats s = {
	    .size_bytes = c->size_bytes,
	    .map_bytes = env_map_bytes(c->env),
	    .readers = env_readers(c->env),
	    .writable = env_writable(c->env),
	};
	lock_take(&c->results);
	s.results = c->live;
	s.stages = c->stage_count;
	lock_drop(&c->results);
	if (cache_view_open(c, &v) == STATUS_OK) {
		s.used_bytes = env_used_bytes(v->txn);
		cache_view_close(v);
	}
	*ret = s;
}

static bool
is_live(struct cache *c, uint64_t id)
{
	lock_take(&c->results);
	const struct catalogue_entry *e = catalogue_find(&c->catalogue, id);
	bool live = may_be_in_store(e);
	lock_drop(&c->results);
	return live;
}

/* False to stop. */
static bool
show(struct cache *c, struct env_txn *t, uint64_t id,
    bool (*each)(void *, const struct cache_manifest *, bool), void *ctx, enum status *ret_st)
{
	struct cache_manifest *m;
	if (!is_live(c, id))
		return true;
	enum status st = read_manifest(t, id, &m);
	if (st == STATUS_CORRUPT) {
		result_quarantine(c, id, "manifest");
		return true;
	}
	if (st != STATUS_OK) {
		*ret_st = st;
		return false;
	}
	bool go_on = each(ctx, m, store_current(t, m->digest) == id);
	free(m);
	return go_on;
}

enum status
cache_each(struct cache *c, bool (*each)(void *ctx, const struct cache_manifest *m, bool current),
    void *ctx)
{
	static const uint8_t top[ID_KEY_BYTES + 1] = {
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t before[ID_KEY_BYTES + 1];
	size_t len = sizeof top;
	struct cache_view *v;
	struct env_bytes k, value;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	memcpy(before, top, sizeof top);
	while (env_before(v->txn, ENV_RESULTS, before, len, &k, &value) && k.len == ID_KEY_BYTES) {
		memcpy(before, k.at, k.len);
		len = k.len;
		if (!show(c, v->txn, bytes_u64_be(k.at), each, ctx, &st))
			break;
	}
	if (st == STATUS_OK)
		st = env_txn_status(v->txn);
	cache_view_close(v);
	return st;
}

enum status
cache_each_of_policy(struct cache *c, uint64_t policy,
    bool (*each)(void *ctx, const struct cache_manifest *m, bool current), void *ctx)
{
	struct policy_key before = policy_key(policy, UINT64_MAX);
	struct cache_view *v;
	struct env_bytes k, value;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	while (env_before(v->txn, ENV_BY_POLICY, before.bytes, sizeof before.bytes, &k, &value) &&
	       k.len == sizeof before.bytes && bytes_u64_be(k.at) == policy) {
		memcpy(before.bytes, k.at, k.len);
		if (!show(c, v->txn, bytes_u64_be(k.at + 8), each, ctx, &st))
			break;
	}
	if (st == STATUS_OK)
		st = env_txn_status(v->txn);
	cache_view_close(v);
	return st;
}
