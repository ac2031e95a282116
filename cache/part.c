/* A part: the records of one attempt at one call. They fill one batch while the one before is written. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/batch.h"
#include "cache/bytes.h"
#include "gateway/base/limits.h"

struct cache_part {
	struct cache *cache;
	struct cache_stage *stage; /* may be gone when the part is closed */
	uint32_t call, attempt;
	enum status err; /* sticky */
	uint64_t records, body_bytes;
	size_t waiting_bytes;      /* added since the last batch */
	struct batch *fill, *away; /* being filled; with the writer, or not yet */
	struct batch batches[2];
};

enum status
cache_part_open(struct cache_stage *s, uint32_t call, uint32_t attempt, struct cache_part **ret)
{
	struct cache_part *p = calloc(1, sizeof *p);
	if (p == NULL)
		return STATUS_NO_MEMORY;
	p->cache = s->cache;
	p->stage = s;
	p->call = call;
	p->attempt = attempt;
	for (size_t i = 0; i < ARRAY_LEN(p->batches); i++)
		batch_init(&p->batches[i], s, call, attempt);
	p->fill = &p->batches[0];
	p->away = &p->batches[1];
	*ret = p;
	return STATUS_OK;
}

/* Until nothing of it is on its way any more. */
static enum status
settle(struct cache_part *p)
{
	enum status st = writer_wait(p->cache, p->away);
	if (p->err == STATUS_OK)
		p->err = st;
	return p->err;
}

void
cache_part_close(struct cache_part *p)
{
	if (p == NULL)
		return;
	enum status st = settle(p);
	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(p->batches); i++)
		batch_fini(&p->batches[i]);
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

/* --- to the writer */

/* While the writer has the batch before, twins of this one are made, so that there is less left for it. */
static void
make_twins_meanwhile(struct cache_part *p)
{
	bool made = true;
	while (p->err == STATUS_OK && made &&
	       atomic_load_explicit(&p->away->busy, memory_order_relaxed))
		p->err = batch_make_twin(p->fill, &made);
}

/* The batch goes, once the one before has arrived; the next begins with what of it is not full. */
static void
hand_over(struct cache_part *p)
{
	struct batch *full = p->fill;
	make_twins_meanwhile(p);
	if (settle(p) == STATUS_OK)
		p->err = batch_begin_next(full, p->away);
	if (p->err != STATUS_OK)
		return;
	full->records = p->records;
	p->away->ends = false;
	full->tells = p->waiting_bytes > 0;
	p->fill = p->away;
	p->away = full;
	p->waiting_bytes = 0;
	writer_submit(p->cache, full);
}

enum status
cache_part_add(struct cache_part *p, const struct row *row, const void *body, size_t body_len,
    const void *memo, size_t memo_len)
{
	if (p->err != STATUS_OK)
		return p->err;
	/* the last number of a fragment is kept free, so that counting never wraps */
	if (body_len > BODY_MAX_BYTES || memo_len > MEMO_MAX_BYTES || p->records >= UINT32_MAX)
		return p->err = STATUS_OVERFLOW;
	p->err = batch_add(p->fill, row, body, body_len, memo, memo_len);
	if (p->err != STATUS_OK)
		return p->err;
	p->records++;
	p->body_bytes += body_len;
	p->waiting_bytes += sizeof *row + body_len + memo_len;
	if (p->waiting_bytes >= LIMIT_COMMIT_BYTES)
		hand_over(p);
	return p->err;
}

enum status
cache_part_commit(struct cache_part *p)
{
	if (p->err == STATUS_OK && p->waiting_bytes > 0)
		hand_over(p);
	return settle(p);
}

enum status
cache_part_end(struct cache_part *p)
{
	p->fill->ends = true;
	if (p->err == STATUS_OK && (p->waiting_bytes > 0 || batch_lacks_twin(p->fill)))
		hand_over(p);
	return settle(p);
}

/* Only marks what it committed as loose: the sweep deletes it. If that cannot be written, the
 * data goes with its stage or result. */
void
cache_part_drop(struct cache_part *p)
{
	if (p == NULL)
		return;
	struct cache_stage *s = p->stage;
	struct cache *c = p->cache;
	struct data_key k = data_key(s->id, p->call, p->attempt, 0);
	cache_part_close(p);
	lock_take(&c->writing);
	if (s->marked) {
		struct env_txn *t = env_write(c->env);
		env_put(t, ENV_LOOSE, k.bytes, PART_KEY_BYTES, NULL, 0);
		enum status st = store_commit(c, t, false);
		(void)st;
	}
	lock_drop(&c->writing);
}
