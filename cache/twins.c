/* Twins that are made afterwards: of results that were stored without, or whose twins are damaged, once
 * somebody has missed one. A bounded number at a time, in a commit of their own. */
#include "config.h"

#include "cache/bytes.h"
#include "cache/store.h"
#include "cache/twin.h"
#include "gateway/base/buf.h"
#include "gateway/base/limits.h"

/* What one call makes at most. */
#define LOT_FRAGMENTS 128
#define LOT_BYTES (4 * MIB)

/* --- packers */

struct packer *
packer_borrow(struct cache *c)
{
	lock_take(&c->results);
	struct packer *p = c->packer_count > 0 ? c->packers[--c->packer_count] : NULL;
	lock_drop(&c->results);
	return p != NULL ? p : packer_new();
}

void
packer_give_back(struct cache *c, struct packer *p)
{
	lock_take(&c->results);
	if (c->packer_count < PACKERS_KEPT) {
		c->packers[c->packer_count++] = p;
		p = NULL;
	}
	lock_drop(&c->results);
	packer_free(p);
}

/* --- one result's */

void
cache_want_twins(struct cache_result *r)
{
	/* a read first: the line is everybody's who reads the result */
	if (r->cache->twins != CACHE_TWINS_OFF &&
	    !atomic_load_explicit(&r->wants_twins, memory_order_relaxed))
		atomic_store_explicit(&r->wants_twins, true, memory_order_relaxed);
}

/* Twins that wait to be written: one behind the other in `bytes`. */
struct lot {
	struct cache_result *result;
	struct packer *packer;
	struct buf bytes;
	struct made {
		struct data_key key;
		size_t at, len;
	} made[LOT_FRAGMENTS];
	size_t count;
	size_t looked, content_bytes;
	bool end; /* nothing is left to look at */
};

static enum status
make_one(struct lot *b, struct cache_view *v, const struct cache_source *src, uint32_t number)
{
	struct cache_fragment before = {0}, f;
	struct cache_twin twin;
	enum status st = cache_view_twin(v, src, number, &twin);
	if (st != STATUS_NOT_FOUND)
		return STATUS_OK;
	if (cache_twin_is_chained(number)) {
		st = cache_view_fragment(v, src, number - 1, &before);
		if (st != STATUS_OK)
			return st;
	}
	st = cache_view_fragment(v, src, number, &f);
	if (st != STATUS_OK)
		return st;
	struct made *m = &b->made[b->count++];
	m->key = data_key(src->id, src->call, src->attempt, number);
	m->at = b->bytes.len;
	twin_encode(b->packer, &m->key, number, f.records, before.bytes, before.len, f.bytes, f.len,
	    codec_crc32(0, f.bytes, f.len), &b->bytes);
	m->len = b->bytes.len - m->at;
	b->content_bytes += f.len;
	return b->bytes.err;
}

/* The number behind the part's last fragment. */
static enum status
fragments_of(struct cache_view *v, const struct cache_source *src, uint64_t records, uint32_t *ret)
{
	const struct row *rows;
	size_t count;
	if (records == 0) {
		*ret = 0;
		return STATUS_OK;
	}
	enum status st = cache_view_rows(v, src, records - 1, &rows, &count);
	if (st == STATUS_OK)
		*ret = rows[0].fragment + 1;
	return st;
}

static enum status
make_some(struct lot *b, struct cache_view *v)
{
	struct cache_result *r = b->result;
	const struct cache_manifest *m = r->m;
	enum status st = STATUS_OK;
	for (; r->twins_part < m->part_count; r->twins_part++, r->twins_number = 0) {
		struct cache_source src = cache_source_part(r, r->twins_part);
		uint32_t end = 0;
		st = fragments_of(v, &src, m->parts[r->twins_part].records, &end);
		for (; st == STATUS_OK && r->twins_number < end; r->twins_number++) {
			if (b->looked == LOT_FRAGMENTS || b->content_bytes >= LOT_BYTES)
				return STATUS_OK;
			b->looked++;
			st = make_one(b, v, &src, r->twins_number);
		}
		if (st != STATUS_OK)
			return st;
	}
	b->end = true;
	return st;
}

static enum status
write_lot(struct cache *c, const struct lot *b)
{
	uint64_t need = b->bytes.len + b->count * VALUE_OVERHEAD_BYTES + COMMIT_OVERHEAD_BYTES;
	enum status st = STATUS_STORE_FULL;
	lock_take(&c->writing);
	if (sweep_has_room(c, need)) {
		struct env_txn *t = env_write(c->env);
		for (size_t i = 0; i < b->count; i++)
			env_put(t, ENV_TWINS, b->made[i].key.bytes, sizeof b->made[i].key.bytes,
			    b->bytes.data + b->made[i].at, b->made[i].len);
		st = store_commit(c, t, false);
	}
	lock_drop(&c->writing);
	return st;
}

/* The result is held: even if it is doomed meanwhile, its data goes later, and these twins with it. */
static enum status
make_lot(struct cache *c, struct cache_result *r, bool *ret_end)
{
	struct cache_view *v;
	struct lot b = {.result = r, .packer = packer_borrow(c)};
	if (b.packer == NULL)
		return STATUS_NO_MEMORY;
	buf_init(&b.bytes, 2 * LOT_BYTES + 4 * LIMIT_RECORD_BYTES);
	enum status st = cache_view_open(c, &v);
	if (st == STATUS_OK) {
		st = make_some(&b, v);
		cache_view_close(v);
	}
	packer_give_back(c, b.packer);
	if (st == STATUS_OK && b.count > 0)
		st = write_lot(c, &b);
	buf_fini(&b.bytes);
	*ret_end = b.end;
	return st;
}

/* --- the janitor's */

/* One of the open results of which twins are wanted, held; NULL if there is none. */
static struct cache_result *
next_wanted(struct cache *c)
{
	struct cache_result *found = NULL;
	lock_take(&c->results);
	for (size_t i = 0; found == NULL && i < c->catalogue.count; i++) {
		struct catalogue_entry *e = &c->catalogue.entries[i];
		if (e->state == RESULT_LIVE && e->open != NULL &&
		    atomic_load_explicit(&e->open->wants_twins, memory_order_relaxed))
			found = result_hold_locked(c, e);
	}
	lock_drop(&c->results);
	return found;
}

static void
be_done(struct cache_result *r)
{
	r->twins_part = 0;
	r->twins_number = 0;
	atomic_store_explicit(&r->twin_damage_told, false, memory_order_relaxed);
	atomic_store_explicit(&r->wants_twins, false, memory_order_relaxed);
}

enum status
cache_make_twins(struct cache *c, bool *ret_more)
{
	bool end = false;
	if (c->twins == CACHE_TWINS_OFF || !env_writable(c->env))
		return STATUS_OK;
	struct cache_result *r = next_wanted(c);
	if (r == NULL)
		return STATUS_OK;
	enum status st = make_lot(c, r, &end);
	if (st != STATUS_OK || end)
		be_done(r);
	cache_release(r);
	/* full: pages go on without; damaged: the result is quarantined already */
	if (st == STATUS_STORE_FULL || st == STATUS_CORRUPT || st == STATUS_NOT_FOUND)
		st = env_writable(c->env) ? STATUS_OK : STATUS_STORE_FAILED;
	if (st == STATUS_OK)
		*ret_more = true;
	return st;
}
