#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/front/workers.h"

#define STACK_BYTES (256 * KIB)
#define PAUSE_MS 50      /* after an accept that failed for want of something */
#define WAKE_EVERY_MS 20 /* while stopping: a signal may come just before accept() is entered */

static const unsigned shares[WORKER_CLASSES] = {
    [WORKER_WAITING] = 4,
    [WORKER_STREAMING] = 4,
    [WORKER_EXPORTING] = 8,
};

struct worker {
	struct workers *owner;
	struct fcgi *fcgi;
	pthread_t thread;
	_Atomic int fd;   /* of the request being served, -1 where it may be closed */
	atomic_bool busy; /* serving a request */
	/* under the lock */
	bool ended;
	const void *who[WORKER_CLASSES]; /* for whom it is in the class, or NULL */
};

struct workers {
	struct lock lock;
	pthread_cond_t changed;
	unsigned count, started, running;
	unsigned in_class[WORKER_CLASSES], most_in_class[WORKER_CLASSES];
	unsigned most_of_one[WORKER_CLASSES]; /* of a class, for one and the same */
	atomic_bool stopping;                 /* set under the lock */
	worker_serve_f *serve;
	void *ctx;
	struct worker list[];
};

/* A request takes no lock here. Whoever stops sets `stopping` and then looks at the workers; a worker
 * changes what it shows and then looks at `stopping`: so either sees what the other did. */
static void
tell_stopper(struct workers *ws)
{
	if (!atomic_load(&ws->stopping))
		return;
	lock_take(&ws->lock);
	pthread_cond_broadcast(&ws->changed);
	lock_drop(&ws->lock);
}

static void
begin(struct worker *w)
{
	atomic_store(&w->busy, true);
	atomic_store(&w->fd, fcgi_fd(w->fcgi));
	tell_stopper(w->owner);
}

/* From here on the connection may be closed, and its descriptor be somebody else's: who stops may have
 * seen it, and holds the lock for as long as it uses it. */
static void
forget_fd(struct worker *w)
{
	atomic_store(&w->fd, -1);
	tell_stopper(w->owner);
}

static void
end(struct worker *w)
{
	atomic_store(&w->busy, false);
	tell_stopper(w->owner);
}

/* A moment's rest, cut short by the stop. */
static void
pause_a_moment(struct workers *ws)
{
	lock_take(&ws->lock);
	if (!ws->stopping)
		lock_wait(&ws->lock, &ws->changed, clock_mono_ms() + PAUSE_MS);
	lock_drop(&ws->lock);
}

static void *
worker_main(void *ctx)
{
	struct worker *w = ctx;
	struct workers *ws = w->owner;
	for (;;) {
		enum status st = fcgi_accept(w->fcgi);
		if (st == STATUS_STOPPING)
			break;
		if (st != STATUS_OK) {
			/* the thread must outlive every shortage: there is nobody to replace it */
			if (st == STATUS_INTERNAL)
				log_event(
				    LOG_WARNING, "accept", "status=%s", status_info(st)->name);
			pause_a_moment(ws);
			continue;
		}
		begin(w);
		ws->serve(ws->ctx, w, w->fcgi);
		fcgi_end(w->fcgi); /* may wait: a stop breaks that off while it has the fd */
		forget_fd(w);
		fcgi_finish(w->fcgi);
		end(w);
	}
	lock_take(&ws->lock);
	w->ended = true;
	ws->running--;
	pthread_cond_broadcast(&ws->changed);
	lock_drop(&ws->lock);
	return NULL;
}

static void
on_wake(int sig)
{
	(void)sig; /* its only use is to interrupt accept() and read() */
}

static unsigned
at_least_one(unsigned n)
{
	return n > 0 ? n : 1;
}

struct workers *
workers_new(unsigned count, int listen_fd, worker_serve_f *serve, void *ctx)
{
	struct workers *ws = calloc(1, sizeof *ws + count * sizeof ws->list[0]);
	if (ws == NULL)
		return NULL;
	lock_init(&ws->lock, LOCK_WORKERS);
	clock_cond_init(&ws->changed);
	ws->count = count;
	ws->serve = serve;
	ws->ctx = ctx;
	for (unsigned i = 0; i < WORKER_CLASSES; i++)
		ws->most_in_class[i] = ws->most_of_one[i] = at_least_one(count / shares[i]);
	ws->most_of_one[WORKER_STREAMING] = at_least_one(count / shares[WORKER_STREAMING] / 2);
	ws->most_of_one[WORKER_EXPORTING] = at_least_one(count / shares[WORKER_EXPORTING] / 2);

	struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART */
	sigaction(SIGUSR2, &wake, NULL);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (unsigned i = 0; i < count; i++) {
		struct worker *w = &ws->list[i];
		w->owner = ws;
		w->fd = -1;
		w->fcgi = fcgi_new(listen_fd);
		lock_take(&ws->lock);
		ws->running++;
		lock_drop(&ws->lock);
		if (w->fcgi == NULL || pthread_create(&w->thread, &attr, worker_main, w) != 0) {
			lock_take(&ws->lock);
			ws->running--;
			lock_drop(&ws->lock);
			fcgi_free(w->fcgi);
			break;
		}
		ws->started++;
	}
	pthread_attr_destroy(&attr);
	if (ws->started < count) {
		workers_stop(ws, 0);
		return NULL;
	}
	return ws;
}

static unsigned
held_by_locked(const struct workers *ws, enum worker_class class, const void *who)
{
	unsigned held = 0;
	lock_assert_held(&ws->lock);
	for (unsigned i = 0; i < ws->count; i++)
		held += ws->list[i].who[class] == who;
	return held;
}

bool
workers_enter(struct worker *w, enum worker_class class, const void *who)
{
	struct workers *ws = w->owner;
	lock_take(&ws->lock);
	bool room = ws->in_class[class] < ws->most_in_class[class] &&
		    (who == NULL || held_by_locked(ws, class, who) < ws->most_of_one[class]);
	if (room) {
		ws->in_class[class]++;
		w->who[class] = who;
	}
	lock_drop(&ws->lock);
	return room;
}

void
workers_leave(struct worker *w, enum worker_class class)
{
	lock_take(&w->owner->lock);
	w->owner->in_class[class]--;
	w->who[class] = NULL;
	lock_drop(&w->owner->lock);
}

/* Wakes every worker that waits for a request: the signal interrupts accept(), and read() on an
 * idle kept connection, which libfcgi then closes. After the grace the busy ones too: their
 * connections are shut, for sending goes on after a signal. */
static void
wake_locked(struct workers *ws, bool all)
{
	lock_assert_held(&ws->lock);
	for (unsigned i = 0; i < ws->started; i++) {
		struct worker *w = &ws->list[i];
		int fd = atomic_load(&w->fd); /* before `busy`, which is set before it */
		if (w->ended || (atomic_load(&w->busy) && !all))
			continue;
		if (fd >= 0)
			shutdown(fd, SHUT_RDWR);
		pthread_kill(w->thread, SIGUSR2);
	}
}

void
workers_stop(struct workers *ws, int64_t grace_ms)
{
	int64_t until = clock_mono_ms() + grace_ms;
	fcgi_stop();
	lock_take(&ws->lock);
	ws->stopping = true;
	pthread_cond_broadcast(&ws->changed);
	while (ws->running > 0) {
		int64_t now = clock_mono_ms();
		wake_locked(ws, now >= until);
		lock_wait(&ws->lock, &ws->changed, now + WAKE_EVERY_MS);
	}
	lock_drop(&ws->lock);
	for (unsigned i = 0; i < ws->started; i++) {
		pthread_join(ws->list[i].thread, NULL);
		fcgi_free(ws->list[i].fcgi);
	}
	pthread_cond_destroy(&ws->changed);
	lock_fini(&ws->lock);
	free(ws);
}

unsigned
workers_count(const struct workers *ws)
{
	return ws->count;
}

void
workers_look(struct worker *w, struct workers_view *ret)
{
	struct workers *ws = w->owner;
	struct workers_view v = {.count = ws->count};
	lock_take(&ws->lock);
	for (unsigned i = 0; i < ws->count; i++)
		v.busy += ws->list[i].busy;
	memcpy(v.in_class, ws->in_class, sizeof v.in_class);
	memcpy(v.most_in_class, ws->most_in_class, sizeof v.most_in_class);
	lock_drop(&ws->lock);
	*ret = v;
}
