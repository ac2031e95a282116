/* Removing. A result goes in two steps, so that no transaction is large and no holder loses what
 * it reads: first its records go and its data becomes **loose**, in one small commit; then the
 * loose data is deleted, a bounded piece at a time, once nobody holds the result.
 *
 * A result that was replaced has a record in `expiry` for the end of its grace; when that comes
 * and it was used meanwhile, the record moves on, up to the result's keep_until. Records in
 * `expiry` and `by_policy` whose result is gone are harmless, and deleted where they are met. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/manifest.h"
#include "cache/store.h"
#include "gateway/base/limits.h"

/* What one transaction removes. The library notes each freed page, and a free list that must be
 * written into a full file has to stay small. */
#define BATCH_RECORDS 64
#define BATCH_VALUES 1024
#define BATCH_BYTES LIMIT_COMMIT_BYTES

#define HIGH_WATER_PERCENT 80
#define READER_CHECK_MS ((int64_t)60 * 1000)
#define TRY_AGAIN_MS ((int64_t)60 * 1000)

/* Results whose records one transaction removes. */
struct burial {
	uint64_t ids[BATCH_RECORDS];
	size_t count;
};

/* --- step one: the records of a result */

static enum status
manifest_of(struct env_txn *t, uint64_t id, struct cache_manifest **ret)
{
	struct id_key k = id_key(id);
	struct env_bytes v;
	if (!env_get(t, ENV_RESULTS, k.bytes, sizeof k.bytes, &v))
		return STATUS_NOT_FOUND;
	return manifest_decode(v.at, v.len, ret);
}

/* What a damaged manifest no longer tells stays behind: a record in `current` that leads nowhere
 * until the query is answered anew, records in `by_policy` and `expiry`. */
static void
remove_records(struct env_txn *t, uint64_t id)
{
	struct id_key k = id_key(id);
	struct cache_manifest *m;
	if (manifest_of(t, id, &m) == STATUS_OK) {
		if (store_current(t, m->digest) == id)
			env_del(t, ENV_CURRENT, m->digest, sizeof m->digest);
		for (size_t i = 0; i < m->policy_count; i++) {
			struct policy_key p = policy_key(m->policies[i], id);
			env_del(t, ENV_BY_POLICY, p.bytes, sizeof p.bytes);
		}
		free(m);
	}
	env_del(t, ENV_RESULTS, k.bytes, sizeof k.bytes);
	env_put(t, ENV_LOOSE, k.bytes, sizeof k.bytes, NULL, 0);
}

/* Before its records go it must not be found any more: a lookup that is under way must not get a
 * handle to what is about to be deleted. True if it was there to be doomed. */
static bool
doom(struct cache *c, uint64_t id)
{
	lock_take(&c->results);
	struct catalogue_entry *e = catalogue_find(&c->catalogue, id);
	bool there = e != NULL && e->state != RESULT_GONE;
	if (there)
		entry_doom_locked(c, e);
	lock_drop(&c->results);
	return there;
}

static void
bury(struct cache *c, struct env_txn *t, uint64_t id, struct burial *b)
{
	if (!doom(c, id))
		return;
	remove_records(t, id);
	b->ids[b->count++] = id;
}

/* On failure they stay doomed: their records are removed by a later sweep. */
static enum status
commit_burial(struct cache *c, struct env_txn *t, const struct burial *b, bool durable)
{
	enum status st = store_commit(c, t, durable);
	if (st != STATUS_OK)
		return st;
	lock_take(&c->results);
	for (size_t i = 0; i < b->count; i++) {
		struct catalogue_entry *e = catalogue_find(&c->catalogue, b->ids[i]);
		if (e != NULL && e->state == RESULT_DOOMED)
			entry_gone_locked(c, e);
	}
	lock_drop(&c->results);
	return STATUS_OK;
}

/* --- what is past its time */

static int64_t
used_at(struct cache *c, uint64_t id)
{
	lock_take(&c->results);
	const struct catalogue_entry *e = catalogue_find(&c->catalogue, id);
	int64_t used = e != NULL ? entry_used_ms_locked(c, e) : 0;
	lock_drop(&c->results);
	return used;
}

/* When the result is to go, as things stand now. A current one has no record before its
 * keep_until, so the grace of one that was replaced is all that can be meant before. */
static int64_t
end_of(struct cache *c, const struct cache_manifest *m)
{
	int64_t grace_ends = used_at(c, m->id) + c->cursor_grace_ms;
	return grace_ends < m->keep_until_ms ? grace_ends : m->keep_until_ms;
}

static void
expire_result(
    struct cache *c, struct env_txn *t, uint64_t id, int64_t now_wall_ms, struct burial *b)
{
	struct cache_manifest *m;
	enum status st = manifest_of(t, id, &m);
	int64_t end = now_wall_ms; /* of one whose manifest is damaged */
	if (st == STATUS_NOT_FOUND)
		return;
	if (st == STATUS_NO_MEMORY)
		end += TRY_AGAIN_MS;
	if (st == STATUS_OK) {
		end = end_of(c, m);
		free(m);
	}
	if (end <= now_wall_ms) {
		bury(c, t, id, b);
	} else {
		struct expiry_key k = expiry_of_result(end, id);
		env_put(t, ENV_EXPIRY, k.bytes, k.len, NULL, 0);
	}
}

static void
expire_query(struct env_txn *t, const uint8_t digest[SHA256_BYTES], int64_t now_wall_ms)
{
	/* a text that was damaged and came anew has a later record too */
	int64_t keep_until_ms;
	if (!store_query_end(t, digest, &keep_until_ms) || keep_until_ms <= now_wall_ms)
		env_del(t, ENV_QUERIES, digest, SHA256_BYTES);
}

static void
expire_one(struct cache *c, struct env_txn *t, const struct expiry_key *k, int64_t now_wall_ms,
    struct burial *b)
{
	const uint8_t *rest = k->bytes + 9;
	env_del(t, ENV_EXPIRY, k->bytes, k->len);
	if (k->bytes[8] == EXPIRY_RESULT && k->len == 9 + ID_KEY_BYTES)
		expire_result(c, t, bytes_u64_be(rest), now_wall_ms, b);
	else if (k->bytes[8] == EXPIRY_QUERY && k->len == 9 + SHA256_BYTES)
		expire_query(t, rest, now_wall_ms);
}

/* The first record of `expiry` if its time has come. */
static bool
next_due(struct env_txn *t, int64_t now_wall_ms, struct expiry_key *ret)
{
	static const uint8_t least[1] = {0};
	struct env_bytes k, v;
	if (!env_seek(t, ENV_EXPIRY, least, sizeof least, &k, &v) || k.len < 9 ||
	    k.len > sizeof ret->bytes || bytes_u64_be(k.at) > (uint64_t)now_wall_ms)
		return false;
	memcpy(ret->bytes, k.at, k.len);
	ret->len = k.len;
	return true;
}

static enum status
expire(struct cache *c, int64_t now_wall_ms, bool *ret_more)
{
	struct expiry_key k;
	struct burial b = {0};
	size_t n = 0;
	struct env_txn *t = env_write(c->env);
	for (; n < BATCH_RECORDS && next_due(t, now_wall_ms, &k); n++)
		expire_one(c, t, &k, now_wall_ms, &b);
	enum status st = commit_burial(c, t, &b, false); /* without a change it costs nothing */
	if (st == STATUS_OK && n > 0)
		*ret_more = true;
	return st;
}

/* --- what was doomed in memory: quarantined, or left over from a commit that failed */

static void
list_doomed(struct cache *c, struct burial *ret)
{
	lock_take(&c->results);
	for (size_t i = 0; c->doomed > 0 && i < c->catalogue.count; i++) {
		const struct catalogue_entry *e = &c->catalogue.entries[i];
		if (e->state == RESULT_DOOMED && ret->count < BATCH_RECORDS)
			ret->ids[ret->count++] = e->id;
	}
	lock_drop(&c->results);
}

static enum status
bury_doomed(struct cache *c, bool *ret_more)
{
	struct burial listed = {0}, b = {0};
	list_doomed(c, &listed);
	if (listed.count == 0)
		return STATUS_OK;
	struct env_txn *t = env_write(c->env);
	for (size_t i = 0; i < listed.count; i++)
		bury(c, t, listed.ids[i], &b);
	enum status st = commit_burial(c, t, &b, false);
	if (st == STATUS_OK)
		*ret_more = true;
	return st;
}

/* --- step two: loose data */

struct loose_key {
	uint8_t bytes[PART_KEY_BYTES];
	size_t len; /* ID_KEY_BYTES: all of the id; PART_KEY_BYTES: one attempt */
};

static bool
is_in_use(struct cache *c, const struct loose_key *k)
{
	if (k->len != ID_KEY_BYTES)
		return false;
	uint64_t id = bytes_u64_be(k->bytes);
	lock_take(&c->results);
	bool used = stage_is_open_locked(c, id) || catalogue_find(&c->catalogue, id) != NULL;
	lock_drop(&c->results);
	return used;
}

/* The first loose key behind *after (which may be empty) that nobody uses. */
static bool
next_loose(struct cache *c, struct env_txn *t, const struct loose_key *after, struct loose_key *ret)
{
	/* one zero byte behind a key makes the next one there can be */
	uint8_t from[PART_KEY_BYTES + 1] = {0};
	size_t len = after->len + 1;
	struct env_bytes k, v;
	memcpy(from, after->bytes, after->len);
	while (env_seek(t, ENV_LOOSE, from, len, &k, &v) && k.len <= PART_KEY_BYTES) {
		memcpy(ret->bytes, k.at, k.len);
		ret->len = k.len;
		if (!is_in_use(c, ret))
			return true;
		memcpy(from, ret->bytes, ret->len);
		from[ret->len] = 0;
		len = ret->len + 1;
	}
	return false;
}

struct budget {
	size_t values, bytes;
};

static bool
spend(struct budget *b, size_t bytes)
{
	if (b->values == 0 || b->bytes == 0)
		return false;
	b->values--;
	b->bytes = bytes < b->bytes ? b->bytes - bytes : 0;
	return true;
}

/* False when the budget was not enough. */
static bool
delete_data(struct env_txn *t, enum env_db db, const struct loose_key *prefix, struct budget *b)
{
	uint8_t key[DATA_KEY_BYTES];
	struct env_bytes k, v;
	while (env_seek(t, db, prefix->bytes, prefix->len, &k, &v) && k.len == sizeof key &&
	       memcmp(k.at, prefix->bytes, prefix->len) == 0) {
		if (!spend(b, v.len))
			return false;
		memcpy(key, k.at, k.len);
		env_del(t, db, key, sizeof key);
	}
	return true;
}

/* False when the budget was not enough. */
static bool
delete_loose(struct env_txn *t, const struct loose_key *k, struct budget *b)
{
	if (!spend(b, 0) || !delete_data(t, ENV_ROWS, k, b) || !delete_data(t, ENV_BODIES, k, b) ||
	    !delete_data(t, ENV_TWINS, k, b))
		return false;
	env_del(t, ENV_LOOSE, k->bytes, k->len);
	return true;
}

/* One transaction's worth. *ret_some: there was anything to delete. */
static enum status
sweep_loose(struct cache *c, bool *ret_some)
{
	struct budget b = {.values = BATCH_VALUES, .bytes = BATCH_BYTES};
	struct loose_key after = {.len = 0}, k;
	struct env_txn *t = env_write(c->env);
	while (next_loose(c, t, &after, &k) && delete_loose(t, &k, &b))
		after = k;
	enum status st = store_commit(c, t, false);
	if (st == STATUS_OK && b.values < BATCH_VALUES)
		*ret_some = true;
	return st;
}

/* --- eviction */

static enum status
used_bytes(struct cache *c, uint64_t *ret)
{
	struct cache_view *v;
	enum status st = cache_view_open(c, &v);
	if (st != STATUS_OK)
		return st;
	*ret = env_used_bytes(v->txn);
	cache_view_close(v);
	return STATUS_OK;
}

/* The result that was longest not used, of those that nobody holds, or NULL. */
static struct catalogue_entry *
least_recently_used_locked(struct cache *c)
{
	struct catalogue_entry *least = NULL;
	int64_t least_ms = INT64_MAX;
	for (size_t i = 0; i < c->catalogue.count; i++) {
		struct catalogue_entry *e = &c->catalogue.entries[i];
		bool held = e->open != NULL && result_is_held_locked(c, e->open);
		int64_t used_ms = entry_used_ms_locked(c, e);
		if (e->state == RESULT_LIVE && !held && used_ms < least_ms) {
			least = e;
			least_ms = used_ms;
		}
	}
	return least;
}

/* One result's records. Its data is deleted before another one is evicted, so that no more go than
 * must. */
static enum status
evict_one(struct cache *c, bool *ret_some)
{
	lock_take(&c->results);
	struct catalogue_entry *e = least_recently_used_locked(c);
	uint64_t id = e != NULL ? e->id : 0;
	if (e != NULL)
		entry_doom_locked(c, e); /* at once, so that nobody takes it meanwhile */
	lock_drop(&c->results);
	if (id == 0)
		return STATUS_OK;
	struct burial b = {0};
	struct env_txn *t = env_write(c->env);
	bury(c, t, id, &b);
	enum status st = commit_burial(c, t, &b, false);
	if (st == STATUS_OK)
		*ret_some = true;
	return st;
}

static enum status
evict_above_high_water(struct cache *c, bool *ret_more)
{
	uint64_t used;
	enum status st = used_bytes(c, &used);
	if (st == STATUS_OK && used > c->size_bytes / 100 * HIGH_WATER_PERCENT)
		st = evict_one(c, ret_more);
	return st;
}

bool
sweep_has_room(struct cache *c, uint64_t bytes)
{
	uint64_t used;
	return used_bytes(c, &used) == STATUS_OK &&
	       used + bytes <= c->size_bytes / 100 * HIGH_WATER_PERCENT;
}

enum status
sweep_make_room(struct cache *c, uint64_t bytes)
{
	uint64_t used;
	enum status st;
	lock_assert_held(&c->writing);
	while ((st = used_bytes(c, &used)) == STATUS_OK && used + bytes > c->size_bytes) {
		bool some = false;
		st = sweep_loose(c, &some);
		if (st == STATUS_OK && !some)
			st = bury_doomed(c, &some);
		if (st == STATUS_OK && !some)
			st = evict_one(c, &some);
		if (st != STATUS_OK)
			return st;
		if (!some)
			return STATUS_STORE_FULL;
	}
	return st;
}

/* --- the janitor's */

static void
check_readers(struct cache *c, int64_t now_wall_ms)
{
	/* the wall clock may also have been set back */
	int64_t since = now_wall_ms - c->readers_checked_ms;
	if (since >= 0 && since < READER_CHECK_MS)
		return;
	c->readers_checked_ms = now_wall_ms;
	env_check_readers(c->env);
}

enum status
cache_sweep(struct cache *c, int64_t now_wall_ms, bool *ret_more)
{
	bool more = false;
	if (!env_writable(c->env))
		return STATUS_STORE_FAILED;
	lock_take(&c->writing);
	check_readers(c, now_wall_ms);
	enum status st = expire(c, now_wall_ms, &more);
	if (st == STATUS_OK)
		st = bury_doomed(c, &more);
	bool loose = false;
	if (st == STATUS_OK)
		st = sweep_loose(c, &loose);
	more |= loose;
	if (st == STATUS_OK && !loose)
		st = evict_above_high_water(c, &more);
	lock_drop(&c->writing);
	if (st == STATUS_OK)
		*ret_more = more;
	return st;
}

/* --- dropping on request */

/* The next result whose records are in the store, with an id above `after`; 0 if none. */
static uint64_t
next_of_any_policy(struct cache *c, uint64_t after)
{
	uint64_t id = 0;
	lock_take(&c->results);
	for (size_t i = 0; i < c->catalogue.count && id == 0; i++) {
		const struct catalogue_entry *e = &c->catalogue.entries[i];
		if (e->id > after && e->state != RESULT_GONE)
			id = e->id;
	}
	lock_drop(&c->results);
	return id;
}

static uint64_t
next_of_policy(struct env_txn *t, uint64_t policy, uint64_t after)
{
	struct policy_key from = policy_key(policy, after + 1);
	struct env_bytes k, v;
	if (!env_seek(t, ENV_BY_POLICY, from.bytes, sizeof from.bytes, &k, &v) ||
	    k.len != POLICY_KEY_BYTES || bytes_u64_be(k.at) != policy)
		return 0;
	return bytes_u64_be(k.at + 8);
}

/* One transaction's worth; *after moves on, and is 0 at the end. */
static enum status
drop_some(struct cache *c, uint64_t policy, uint64_t *after, uint64_t *dropped)
{
	struct burial b = {0};
	struct env_txn *t = env_write(c->env);
	for (size_t n = 0; n < BATCH_RECORDS; n++) {
		*after =
		    policy == 0 ? next_of_any_policy(c, *after) : next_of_policy(t, policy, *after);
		if (*after == 0)
			break;
		struct policy_key k = policy_key(policy, *after);
		bury(c, t, *after, &b);
		env_del(t, ENV_BY_POLICY, k.bytes, sizeof k.bytes);
	}
	/* who asked for it must not see them again after a power cut */
	enum status st = commit_burial(c, t, &b, true);
	if (st == STATUS_OK)
		*dropped += b.count;
	return st;
}

enum status
cache_drop_policy(struct cache *c, uint64_t policy, uint64_t *ret_dropped)
{
	uint64_t after = 0, dropped = 0;
	enum status st;
	do {
		lock_take(&c->writing);
		st = drop_some(c, policy, &after, &dropped);
		lock_drop(&c->writing);
	} while (st == STATUS_OK && after != 0);
	if (st == STATUS_OK)
		*ret_dropped = dropped;
	return st;
}
