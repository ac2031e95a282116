#include "config.h"

#include <errno.h>

#include "tests/simulator/sim.h"

bool
sim_init(struct sim *s, const struct options *opt)
{
	*s = (struct sim){0};
	clock_advance(opt->ahead_ms);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&s->lock, NULL);
	s->corpus = corpus_new(opt);
	journal_init(&s->journal, (size_t)opt->journal);
	return ledger_open(&s->ledger, opt, &s->limits);
}

void
sim_fini(struct sim *s)
{
	corpus_unref(s->corpus);
	journal_fini(&s->journal);
	ledger_close(&s->ledger);
	holds_fini(&s->holds);
	faults_fini(&s->faults);
	limits_fini(&s->limits);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
}

void
sim_lock(struct sim *s)
{
	pthread_mutex_lock(&s->lock);
}

void
sim_unlock(struct sim *s)
{
	pthread_mutex_unlock(&s->lock);
}

void
sim_changed(struct sim *s)
{
	pthread_cond_broadcast(&s->changed);
}

void
sim_stop(struct sim *s)
{
	sim_lock(s);
	s->stopping = true;
	sim_changed(s);
	sim_unlock(s);
}

void
sim_advance(struct sim *s, int64_t ms)
{
	sim_lock(s);
	clock_advance(ms);
	sim_changed(s);
	sim_unlock(s);
}

bool
sim_wait_locked(struct sim *s, int64_t deadline_real_ms)
{
	if (s->stopping)
		return false;
	struct timespec until = {
	    (time_t)(deadline_real_ms / 1000), (long)(deadline_real_ms % 1000) * 1000000};
	return pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT && !s->stopping;
}

bool
sim_sleep(struct sim *s, int64_t ms)
{
	int64_t deadline_ms = now_ms() + ms;
	sim_lock(s);
	for (int64_t left_ms; !s->stopping && (left_ms = deadline_ms - now_ms()) > 0;)
		sim_wait_locked(s, real_ms() + left_ms);
	bool going = !s->stopping;
	sim_unlock(s);
	return going;
}

struct corpus *
sim_corpus(struct sim *s)
{
	sim_lock(s);
	struct corpus *c = corpus_ref(s->corpus);
	sim_unlock(s);
	return c;
}

void
sim_configure(struct sim *s, const struct options *opt)
{
	struct corpus *next = corpus_new(opt);
	sim_lock(s);
	struct corpus *old = s->corpus;
	s->corpus = next;
	sim_changed(s);
	sim_unlock(s);
	corpus_unref(old);
}
