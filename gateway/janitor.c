#include "config.h"

#include <pthread.h>
#include <stdlib.h>

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
	bool stopping;
};

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
		lock_take(&j->lock);
		if (!j->stopping)
			lock_wait(&j->lock, &j->stop_asked,
			    clock_mono_ms() + (more && st == STATUS_OK ? AGAIN_MS : ROUND_MS));
	}
	lock_drop(&j->lock);
	return NULL;
}

struct janitor *
janitor_new(struct cache *cache)
{
	struct janitor *j = calloc(1, sizeof *j);
	if (j == NULL)
		return NULL;
	j->cache = cache;
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
	pthread_cond_destroy(&j->stop_asked);
	lock_fini(&j->lock);
	free(j);
}
