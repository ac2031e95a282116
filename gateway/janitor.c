#include "config.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/janitor.h"

#define ROUND_MS 5000
#define AGAIN_MS 20 /* while there is more to do: the writer is everyone's */

struct janitor {
	struct lock lock;
	pthread_cond_t stop_asked;
	pthread_t thread;
	struct cache *cache;
	struct janitor_chore chores[JANITOR_CHORES_MOST];
	int64_t next_ms[JANITOR_CHORES_MOST]; /* monotonic */
	size_t chore_count;
	bool stopping;
};

static void
do_chores(struct janitor *j, int64_t now_ms)
{
	for (size_t i = 0; i < j->chore_count; i++) {
		if (now_ms < j->next_ms[i])
			continue;
		j->next_ms[i] = now_ms + j->chores[i].every_ms;
		j->chores[i].run(j->chores[i].ctx);
	}
}

/* Only where nothing has to be removed. */
static enum status
make_twins(struct janitor *j, bool *more)
{
	enum status st = cache_make_twins(j->cache, more);
	if (st != STATUS_OK)
		log_event(LOG_WARNING, "twins", "status=%s", status_info(st)->name);
	return st;
}

static void *
janitor_main(void *ctx)
{
	struct janitor *j = ctx;
	lock_take(&j->lock);
	while (!j->stopping) {
		lock_drop(&j->lock);
		bool more = false;
		enum status st = cache_sweep(j->cache, clock_wall_ms(), &more);
		if (st != STATUS_OK)
			log_event(LOG_WARNING, "sweep", "status=%s", status_info(st)->name);
		if (st == STATUS_OK && !more)
			st = make_twins(j, &more);
		do_chores(j, clock_mono_ms());
		lock_take(&j->lock);
		if (!j->stopping)
			lock_wait(&j->lock, &j->stop_asked,
			    clock_mono_ms() + (more && st == STATUS_OK ? AGAIN_MS : ROUND_MS));
	}
	lock_drop(&j->lock);
	return NULL;
}

struct janitor *
janitor_new(struct cache *cache, const struct janitor_chore *chores, size_t count)
{
	struct janitor *j = calloc(1, sizeof *j);
	assert(count <= JANITOR_CHORES_MOST);
	if (j == NULL)
		return NULL;
	j->cache = cache;
	memcpy(j->chores, chores, count * sizeof *chores);
	j->chore_count = count;
	for (size_t i = 0; i < count; i++)
		j->next_ms[i] = clock_mono_ms() + chores[i].every_ms;
	lock_init(&j->lock, LOCK_JANITOR);
	clock_cond_init(&j->stop_asked);
	if (pthread_create(&j->thread, NULL, janitor_main, j) != 0) {
		pthread_cond_destroy(&j->stop_asked);
		lock_fini(&j->lock);
		free(j);
		return NULL;
	}
	return j;
}

void
janitor_free(struct janitor *j)
{
	if (j == NULL)
		return;
	lock_take(&j->lock);
	j->stopping = true;
	pthread_cond_broadcast(&j->stop_asked);
	lock_drop(&j->lock);
	pthread_join(j->thread, NULL);
	for (size_t i = 0; i < j->chore_count; i++)
		if (j->chores[i].at_the_end)
			j->chores[i].run(j->chores[i].ctx);
	pthread_cond_destroy(&j->stop_asked);
	lock_fini(&j->lock);
	free(j);
}
