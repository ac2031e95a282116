#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/upstream/budget.h"

#define RATE_MOST 10000 /* a learned limit beyond it is no limit that we could reach */

/* The rolling window of one API: moments at which calls were counted, oldest first, in a ring. */
struct gate {
	uint64_t rate_calls; /* 0: no limit */
	int64_t rate_window_ms;
	uint64_t concurrency; /* 0: no limit */
	int64_t *counted_ms;  /* ring of RATE_MOST */
	size_t first, count;
	uint64_t under_way;   /* calls given out and not done */
	uint64_t not_counted; /* of these: not yet in the ring, since their headers are not in */
	int64_t closed_until_ms;
};

struct budget {
	struct lock lock;
	pthread_cond_t changed;
	struct gate gates[API_COUNT];
	bool pinned, stopped;
	struct budget_entry *queue; /* in order of arrival */
	struct budget_entry **queue_end;
	uint64_t order;
};

struct budget *
budget_new(const struct budget_options *o)
{
	struct budget *b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	lock_init(&b->lock, LOCK_BUDGET);
	clock_cond_init(&b->changed);
	b->pinned = o->rate_pinned;
	b->queue_end = &b->queue;
	for (int api = 0; api < API_COUNT; api++) {
		struct gate *g = &b->gates[api];
		g->rate_calls = o->rate_calls > RATE_MOST ? RATE_MOST : o->rate_calls;
		g->rate_window_ms = o->rate_window_ms;
		g->concurrency = o->concurrency;
		g->counted_ms = calloc(RATE_MOST, sizeof *g->counted_ms);
		if (g->counted_ms == NULL) {
			budget_free(b);
			return NULL;
		}
	}
	return b;
}

void
budget_free(struct budget *b)
{
	if (b == NULL)
		return;
	for (int api = 0; api < API_COUNT; api++)
		free(b->gates[api].counted_ms);
	pthread_cond_destroy(&b->changed);
	lock_fini(&b->lock);
	free(b);
}

/* --- one gate */

static void
forget_old(struct gate *g, int64_t now_ms)
{
	while (g->count > 0 && g->counted_ms[g->first] + g->rate_window_ms <= now_ms) {
		g->first = (g->first + 1) % RATE_MOST;
		g->count--;
	}
}

static void
count_call(struct gate *g, int64_t now_ms)
{
	if (g->count == RATE_MOST) {
		g->first = (g->first + 1) % RATE_MOST;
		g->count--;
	}
	g->counted_ms[(g->first + g->count) % RATE_MOST] = now_ms;
	g->count++;
}

/* The first moment at which one more call may go, as far as time alone opens the gate;
 * CLOCK_NEVER while only the end of a call can. */
static int64_t
opens_at(struct gate *g, int64_t now_ms)
{
	forget_old(g, now_ms);
	if (g->concurrency != 0 && g->under_way >= g->concurrency)
		return CLOCK_NEVER;
	int64_t at = g->closed_until_ms;
	if (g->rate_calls != 0 && g->count + g->not_counted >= g->rate_calls) {
		/* so many of the oldest must leave the window before there is room for one more */
		uint64_t leave = g->count + g->not_counted - g->rate_calls + 1;
		if (leave > g->count)
			return CLOCK_NEVER;
		int64_t last = g->counted_ms[(g->first + leave - 1) % RATE_MOST];
		int64_t free_at = last + g->rate_window_ms;
		at = free_at > at ? free_at : at;
	}
	return at;
}

/* --- the queue */

void
budget_submit(struct budget *b, struct budget_entry *e)
{
	lock_take(&b->lock);
	e->next = NULL;
	e->expired = e->arrived = false;
	e->order = b->order++;
	*b->queue_end = e;
	b->queue_end = &e->next;
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
}

static void
unlink_locked(struct budget *b, struct budget_entry **at)
{
	struct budget_entry *e = *at;
	lock_assert_held(&b->lock);
	*at = e->next;
	if (*at == NULL)
		b->queue_end = at;
	e->next = NULL;
}

/* The best entry that may go at `now`: NULL, and *ret_when is when to look again. */
static struct budget_entry **
choose_locked(struct budget *b, int64_t now_ms, int64_t *ret_when)
{
	struct budget_entry **best = NULL;
	int64_t when = CLOCK_NEVER, opens[API_COUNT];
	for (int api = 0; api < API_COUNT; api++)
		opens[api] = opens_at(&b->gates[api], now_ms);

	for (struct budget_entry **at = &b->queue; *at != NULL; at = &(*at)->next) {
		struct budget_entry *e = *at;
		if (e->deadline_ms <= now_ms) {
			e->expired = true;
			return at;
		}
		int64_t ready = opens[e->api];
		if (ready != CLOCK_NEVER && e->not_before_ms > ready)
			ready = e->not_before_ms;
		if (ready <= now_ms) {
			if (best == NULL || e->class < (*best)->class)
				best = at;
		} else if (ready < when) {
			when = ready;
		}
		if (e->deadline_ms < when)
			when = e->deadline_ms;
	}
	*ret_when = when;
	return best;
}

struct budget_entry *
budget_next(struct budget *b)
{
	struct budget_entry *e = NULL;
	lock_take(&b->lock);
	while (!b->stopped) {
		int64_t when = CLOCK_NEVER, now = clock_mono_ms();
		struct budget_entry **at = choose_locked(b, now, &when);
		if (at == NULL) {
			lock_wait(&b->lock, &b->changed, when);
			continue;
		}
		e = *at;
		unlink_locked(b, at);
		if (!e->expired) {
			b->gates[e->api].under_way++;
			b->gates[e->api].not_counted++;
		}
		break;
	}
	lock_drop(&b->lock);
	return e;
}

bool
budget_withdraw(struct budget *b, struct budget_entry *e)
{
	bool found = false;
	lock_take(&b->lock);
	for (struct budget_entry **at = &b->queue; *at != NULL && !found; at = &(*at)->next) {
		if (*at == e) {
			unlink_locked(b, at);
			found = true;
			break;
		}
	}
	lock_drop(&b->lock);
	return found;
}

/* --- what the headers say */

static void
learn_locked(struct budget *b, enum upstream_api api, const struct transport_head *head)
{
	struct gate *g = &b->gates[api];
	lock_assert_held(&b->lock);
	if (b->pinned)
		return;
	uint64_t calls = g->rate_calls, concurrency = g->concurrency;
	int64_t window_ms = g->rate_window_ms;
	if (head->rate_limit > 0)
		g->rate_calls =
		    head->rate_limit > RATE_MOST ? RATE_MOST : (uint64_t)head->rate_limit;
	if (head->rate_window_s > 0 && head->rate_window_s <= 86400)
		g->rate_window_ms = head->rate_window_s * 1000;
	if (head->concurrency_limit > 0)
		g->concurrency = (uint64_t)head->concurrency_limit;
	if (calls != g->rate_calls || window_ms != g->rate_window_ms ||
	    concurrency != g->concurrency)
		log_event(LOG_INFO, "limits-learned",
		    "api=%s calls=%llu window_s=%lld concurrency=%llu", upstream_api_name(api),
		    (unsigned long long)g->rate_calls, (long long)(g->rate_window_ms / 1000),
		    (unsigned long long)g->concurrency);
}

static void
arrived_locked(struct budget *b, struct budget_entry *e)
{
	struct gate *g = &b->gates[e->api];
	lock_assert_held(&b->lock);
	if (e->arrived)
		return;
	e->arrived = true;
	g->not_counted--;
	count_call(g, clock_mono_ms());
}

void
budget_arrived(struct budget *b, struct budget_entry *e, const struct transport_head *head)
{
	lock_take(&b->lock);
	arrived_locked(b, e);
	learn_locked(b, e->api, head);
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
}

void
budget_done(
    struct budget *b, struct budget_entry *e, bool limited, const struct transport_head *head)
{
	struct gate *g = &b->gates[e->api];
	lock_take(&b->lock);
	if (head != NULL)
		arrived_locked(b, e);
	else
		g->not_counted--;
	assert(g->under_way > 0);
	g->under_way--;
	if (limited && head != NULL) {
		int64_t until = clock_mono_ms() + head->wait_ms;
		if (until > g->closed_until_ms)
			g->closed_until_ms = until;
		log_event(LOG_WARNING, "upstream-limit", "api=%s wait_s=%lld",
		    upstream_api_name(e->api), (long long)(head->wait_ms / 1000));
	}
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
}

void
budget_stop(struct budget *b)
{
	lock_take(&b->lock);
	b->stopped = true;
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
}

/* --- looking */

void
budget_view(struct budget *b, enum upstream_api api, struct budget_view *ret)
{
	struct gate *g = &b->gates[api];
	lock_take(&b->lock);
	int64_t now = clock_mono_ms();
	forget_old(g, now);
	*ret = (struct budget_view){
	    .rate_calls = g->rate_calls,
	    .rate_window_ms = g->rate_window_ms,
	    .window_used = g->count + g->not_counted,
	    .under_way = g->under_way,
	    .concurrency = g->concurrency,
	    .closed_for_ms = g->closed_until_ms > now ? g->closed_until_ms - now : 0,
	};
	for (const struct budget_entry *e = b->queue; e != NULL; e = e->next)
		ret->queued += e->api == api;
	lock_drop(&b->lock);
}

int64_t
budget_wait_ms(struct budget *b, enum upstream_api api)
{
	lock_take(&b->lock);
	int64_t now = clock_mono_ms();
	int64_t at = opens_at(&b->gates[api], now);
	lock_drop(&b->lock);
	return at == CLOCK_NEVER || at <= now ? 0 : at - now;
}
