/* The thread that writes batches of records: whoever makes them goes on with the next ones while these
 * are on their way to the disk. What waits at a time goes in one transaction. */
#include "config.h"

#include <stdlib.h>

#include "cache/batch.h"
#include "cache/bytes.h"
#include "gateway/base/clock.h"
#include "gateway/base/limits.h"

#define LOOK_ROUND_MS 1000 /* so often a wait looks up, whether it was woken or not */
/* Of one transaction: as much is in memory once more until it is committed. */
#define GROUP_BYTES (2 * LIMIT_COMMIT_BYTES)

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
write_all(struct cache *c, const struct batch *list)
{
	uint64_t bytes = 0;
	for (const struct batch *b = list; b != NULL; b = b->next)
		bytes += batch_bytes(b);
	lock_take(&c->writing);
	enum status st = sweep_make_room(c, bytes);
	if (st == STATUS_OK) {
		struct env_txn *t = env_write(c->env);
		for (const struct batch *b = list; b != NULL; b = b->next) {
			mark_stage(b->stage, t);
			batch_write(b, t);
		}
		st = store_commit(c, t, false);
	}
	for (const struct batch *b = list; st == STATUS_OK && b != NULL; b = b->next)
		b->stage->marked = true;
	lock_drop(&c->writing);
	return st;
}

/* Before its maker may go on: until then the stage is there. */
static void
tell(const struct batch *b)
{
	const struct cache_stage_events *e = &b->stage->events;
	if (b->tells && e->committed != NULL)
		e->committed(e->ctx, b->call, b->attempt, b->records);
}

static void
end(struct writer *w, struct batch *b, enum status st)
{
	if (st == STATUS_OK)
		tell(b);
	lock_take(&w->lock);
	b->status = st;
	b->busy = false;
	b->stage->queued--;
	pthread_cond_broadcast(&w->changed);
	lock_drop(&w->lock);
}

/* Nobody waits meanwhile: the lock of writing is not held. */
static enum status
make_twins(struct batch *list)
{
	enum status st = STATUS_OK;
	for (struct batch *b = list; st == STATUS_OK && b != NULL; b = b->next)
		for (bool made = true; st == STATUS_OK && made;)
			st = batch_make_twin(b, &made);
	return st;
}

/* Together, and if that fails each alone: one that does not fit must not take others with it. */
static void
write_group(struct cache *c, struct batch *list)
{
	enum status st = make_twins(list);
	if (st == STATUS_OK)
		st = write_all(c, list);
	bool alone = st != STATUS_OK && list->next != NULL;
	while (list != NULL) {
		struct batch *b = list;
		list = b->next;
		b->next = NULL;
		if (alone)
			st = make_twins(b);
		if (alone && st == STATUS_OK)
			st = write_all(c, b);
		end(&c->writer, b, st);
	}
}

/* The first batches of the queue, as many as one transaction should have. */
static struct batch *
take_group_locked(struct writer *w)
{
	lock_assert_held(&w->lock);
	struct batch *list = w->first, *last = w->first;
	uint64_t bytes = batch_bytes(last);
	while (last->next != NULL && bytes + batch_bytes(last->next) <= GROUP_BYTES) {
		last = last->next;
		bytes += batch_bytes(last);
	}
	w->first = last->next;
	last->next = NULL;
	return list;
}

static void *
writer_main(void *ctx)
{
	struct cache *c = ctx;
	struct writer *w = &c->writer;
	lock_take(&w->lock);
	while (!w->stopping || w->first != NULL) {
		if (w->first == NULL) {
			lock_wait(&w->lock, &w->changed, clock_mono_ms() + LOOK_ROUND_MS);
			continue;
		}
		struct batch *group = take_group_locked(w);
		lock_drop(&w->lock);
		write_group(c, group);
		lock_take(&w->lock);
	}
	lock_drop(&w->lock);
	return NULL;
}

bool
writer_start(struct cache *c)
{
	struct writer *w = &c->writer;
	lock_init(&w->lock, LOCK_CACHE_QUEUE);
	clock_cond_init(&w->changed);
	w->running = pthread_create(&w->thread, NULL, writer_main, c) == 0;
	if (!w->running) {
		pthread_cond_destroy(&w->changed);
		lock_fini(&w->lock);
	}
	return w->running;
}

void
writer_stop(struct cache *c)
{
	struct writer *w = &c->writer;
	if (!w->running)
		return;
	lock_take(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->changed);
	lock_drop(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	lock_fini(&w->lock);
	w->running = false;
}

void
writer_submit(struct cache *c, struct batch *b)
{
	struct writer *w = &c->writer;
	lock_take(&w->lock);
	struct batch **last = &w->first;
	while (*last != NULL)
		last = &(*last)->next;
	b->next = NULL;
	b->busy = true;
	b->stage->queued++;
	*last = b;
	pthread_cond_broadcast(&w->changed);
	lock_drop(&w->lock);
}

enum status
writer_wait(struct cache *c, const struct batch *b)
{
	struct writer *w = &c->writer;
	lock_take(&w->lock);
	while (b->busy)
		lock_wait(&w->lock, &w->changed, clock_mono_ms() + LOOK_ROUND_MS);
	enum status st = b->status;
	lock_drop(&w->lock);
	return st;
}

void
writer_settle(struct cache *c, const struct cache_stage *s)
{
	struct writer *w = &c->writer;
	lock_take(&w->lock);
	while (s->queued > 0)
		lock_wait(&w->lock, &w->changed, clock_mono_ms() + LOOK_ROUND_MS);
	lock_drop(&w->lock);
}
