#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/janitor.h"

#define ROUND_MS 5000
#define USAGE_MS 60000
#define AGAIN_MS 20 /* while there is more to do: the writer is everyone's */

struct janitor {
	struct lock lock;
	pthread_cond_t stop_asked;
	pthread_t thread;
	struct cache *cache;
	struct usage *usage;
	int64_t usage_kept_ms; /* monotonic */
	bool stopping;
};

static void
keep_usage(struct janitor *j, int64_t now_ms)
{
	enum status st = usage_keep(j->usage, j->cache);
	j->usage_kept_ms = now_ms;
	if (st != STATUS_OK)
		log_event(LOG_WARNING, "usage-not-kept", "status=%s", status_info(st)->name);
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
		int64_t now_ms = clock_mono_ms();
		if (now_ms - j->usage_kept_ms >= USAGE_MS)
			keep_usage(j, now_ms);
		lock_take(&j->lock);
		if (!j->stopping)
			lock_wait(&j->lock, &j->stop_asked,
			    clock_mono_ms() + (more && st == STATUS_OK ? AGAIN_MS : ROUND_MS));
	}
	lock_drop(&j->lock);
	return NULL;
}

struct janitor *
janitor_new(struct cache *cache, struct usage *usage)
{
	struct janitor *j = calloc(1, sizeof *j);
	if (j == NULL)
		return NULL;
	j->cache = cache;
	j->usage = usage;
	j->usage_kept_ms = clock_mono_ms();
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
	keep_usage(j, clock_mono_ms());
	pthread_cond_destroy(&j->stop_asked);
	lock_fini(&j->lock);
	free(j);
}
