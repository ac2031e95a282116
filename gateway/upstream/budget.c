#include "config.h"

#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/upstream/budget.h"

/* Consumers come from the settings; the ones beyond this many share the last place. */
#define SHARES_MOST 1024
#define KEEP_COMPLAINT_MS INT64_C(600000) /* one line in this time that notes are not kept */

/* A consumer's virtual times. A collision of names costs two consumers one share, no more. */
struct share {
	uint64_t name;
	uint64_t time[API_COUNT][BUDGET_CLASSES];
	uint64_t walked; /* by ahead_locked() */
};

/* An API: its gate, and what is counted of it. */
struct lane {
	struct gate gate;
	uint64_t time[BUDGET_CLASSES]; /* virtual: at which the last call began */
	uint64_t queued[BUDGET_CLASSES];
	uint64_t refused_rate, refused_concurrency, given, waited_ms, expired;
	uint64_t changes; /* of what its note says */
	uint64_t kept;    /* under `keeping`: the change that the last note has */
};

struct budget {
	struct lock keeping; /* LOCK_BUDGET_KEEP */
	uint8_t *note;       /* under it */
	int64_t complain_ms; /* likewise: not before */
	enum status (*keep)(void *ctx, enum upstream_api api, const void *bytes, size_t len);
	void *keep_ctx;

	struct lock lock; /* LOCK_BUDGET: the rest */
	pthread_cond_t changed;
	struct lane lanes[API_COUNT];
	bool stopped;
	struct budget_entry *first, *last; /* the queue, in order of arrival */
	struct share *shares;
	unsigned share_count;
};

struct budget *
budget_new(const struct budget_options *o)
{
	struct gate_limits limits = {o->rate_calls, o->rate_window_ms, o->concurrency};
	struct budget *b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	lock_init(&b->keeping, LOCK_BUDGET_KEEP);
	lock_init(&b->lock, LOCK_BUDGET);
	clock_cond_init(&b->changed);
	b->keep = o->keep;
	b->keep_ctx = o->keep_ctx;
	b->note = malloc(GATE_NOTE_BYTES);
	b->shares = calloc(SHARES_MOST, sizeof *b->shares);
	bool good = b->note != NULL && b->shares != NULL;
	for (int api = 0; api < API_COUNT && good; api++)
		good =
		    gate_init(&b->lanes[api].gate, (enum upstream_api)api, &limits, o->rate_pinned);
	if (!good) {
		budget_free(b);
		return NULL;
	}
	return b;
}

void
budget_free(struct budget *b)
{
	if (b == NULL)
		return;
	for (int api = 0; api < API_COUNT; api++)
		gate_fini(&b->lanes[api].gate);
	free(b->shares);
	free(b->note);
	pthread_cond_destroy(&b->changed);
	lock_fini(&b->lock);
	lock_fini(&b->keeping);
	free(b);
}

/* --- what outlives the process */

/* Writes the API's note, if another thread has not done so since its last change. The lock of the
 * queue is held only while the note is made, not while it is written. */
static void
keep_note(struct budget *b, enum upstream_api api)
{
	struct lane *lane = &b->lanes[api];
	if (b->keep == NULL)
		return;
	lock_take(&b->keeping);
	lock_take(&b->lock);
	int64_t now = clock_mono_ms();
	uint64_t changes = lane->changes;
	size_t len =
	    lane->kept == changes ? 0 : gate_write(&lane->gate, now, clock_wall_ms(), b->note);
	lock_drop(&b->lock);
	enum status st = len > 0 ? b->keep(b->keep_ctx, api, b->note, len) : STATUS_OK;
	if (st == STATUS_OK) {
		lane->kept = changes;
	} else if (now >= b->complain_ms) {
		b->complain_ms = now + KEEP_COMPLAINT_MS;
		log_event(LOG_WARNING, "budget-not-kept", "api=%s status=%s",
		    upstream_api_name(api), status_info(st)->name);
	}
	lock_drop(&b->keeping);
}

bool
budget_restore(struct budget *b, enum upstream_api api, const void *bytes, size_t len)
{
	struct gate *g = &b->lanes[api].gate;
	struct budget_view v;
	lock_take(&b->lock);
	bool good = gate_read(g, bytes, len, clock_mono_ms(), clock_wall_ms());
	lock_drop(&b->lock);
	if (!good) {
		log_event(LOG_WARNING, "budget-note-ignored", "api=%s bytes=%zu",
		    upstream_api_name(api), len);
		return false;
	}
	budget_view(b, api, &v);
	log_event(LOG_INFO, "budget-restored",
	    "api=%s calls=%llu window_s=%lld own=%llu foreign=%llu under_way=%llu wait_s=%lld",
	    upstream_api_name(api), (unsigned long long)v.rate_calls,
	    (long long)(v.rate_window_ms / 1000), (unsigned long long)v.window_own,
	    (unsigned long long)v.window_foreign, (unsigned long long)v.under_way,
	    (long long)(v.closed_for_ms / 1000));
	return true;
}

/* --- shares */

/* FNV-1a */
static uint64_t
name_hash(const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return hash;
}

static unsigned
share_of_locked(struct budget *b, const char *consumer)
{
	uint64_t name = name_hash(consumer);
	unsigned i = 0;
	lock_assert_held(&b->lock);
	while (i < b->share_count && b->shares[i].name != name)
		i++;
	if (i == SHARES_MOST)
		return SHARES_MOST - 1;
	if (i == b->share_count)
		b->shares[b->share_count++].name = name;
	return i;
}

/* The virtual time at which the entry would begin. */
static uint64_t
begins_locked(const struct budget *b, const struct budget_entry *e)
{
	uint64_t own = b->shares[e->share].time[e->api][e->class];
	uint64_t all = b->lanes[e->api].time[e->class];
	lock_assert_held(&b->lock);
	return own > all ? own : all;
}

/* --- the queue */

static void
link_locked(struct budget *b, struct budget_entry *e)
{
	lock_assert_held(&b->lock);
	e->next = NULL;
	e->before = b->last;
	*(b->last != NULL ? &b->last->next : &b->first) = e;
	b->last = e;
	e->expired = false;
	e->queued = true;
	e->share = share_of_locked(b, e->consumer);
	e->submitted_ms = clock_mono_ms();
	b->lanes[e->api].queued[e->class]++;
}

void
budget_submit(struct budget *b, struct budget_entry *e)
{
	lock_take(&b->lock);
	link_locked(b, e);
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
}

static void
unlink_locked(struct budget *b, struct budget_entry *e)
{
	lock_assert_held(&b->lock);
	*(e->before != NULL ? &e->before->next : &b->first) = e->next;
	*(e->next != NULL ? &e->next->before : &b->last) = e->before;
	e->next = e->before = NULL;
	e->queued = false;
	b->lanes[e->api].queued[e->class]--;
}

/* Both may go now, and `other` came first. */
static bool
goes_before_locked(
    const struct budget *b, const struct budget_entry *e, const struct budget_entry *other)
{
	if (e->class != other->class)
		return e->class < other->class;
	/* of two APIs the times do not compare: order of arrival, and either goes in a moment */
	return e->api == other->api && begins_locked(b, e) < begins_locked(b, other);
}

/* The best entry that may go at `now`: NULL, and *ret_when is when to look again. */
static struct budget_entry *
choose_locked(struct budget *b, int64_t now_ms, int64_t *ret_when)
{
	struct budget_entry *best = NULL;
	int64_t when = CLOCK_NEVER, opens[API_COUNT], spare[API_COUNT];
	for (int api = 0; api < API_COUNT; api++) {
		opens[api] = gate_opens_at(&b->lanes[api].gate, now_ms);
		spare[api] = gate_spare_at(&b->lanes[api].gate, now_ms);
	}

	for (struct budget_entry *e = b->first; e != NULL; e = e->next) {
		if (e->deadline_ms <= now_ms) {
			e->expired = true;
			return e;
		}
		int64_t ready = e->class == BUDGET_SPARE ? spare[e->api] : opens[e->api];
		if (ready != CLOCK_NEVER && e->not_before_ms > ready)
			ready = e->not_before_ms;
		if (ready > now_ms)
			when = ready < when ? ready : when;
		else if (best == NULL || goes_before_locked(b, e, best))
			best = e;
		when = e->deadline_ms < when ? e->deadline_ms : when;
	}
	*ret_when = when;
	return best;
}

static void
give_locked(struct budget *b, struct budget_entry *e, int64_t now_ms)
{
	struct lane *lane = &b->lanes[e->api];
	int64_t since = e->not_before_ms > e->submitted_ms ? e->not_before_ms : e->submitted_ms;
	uint64_t begins = begins_locked(b, e);
	lane->time[e->class] = begins;
	b->shares[e->share].time[e->api][e->class] = begins + 1;
	gate_give(&lane->gate, &e->call, now_ms);
	lane->given++;
	lane->waited_ms += now_ms > since ? (uint64_t)(now_ms - since) : 0;
	lane->changes++;
}

static struct budget_entry *
wait_for_next(struct budget *b)
{
	struct budget_entry *e = NULL;
	lock_take(&b->lock);
	while (!b->stopped) {
		int64_t when = CLOCK_NEVER, now = clock_mono_ms();
		e = choose_locked(b, now, &when);
		if (e == NULL) {
			lock_wait(&b->lock, &b->changed, when);
			continue;
		}
		unlink_locked(b, e);
		if (e->expired)
			b->lanes[e->api].expired++;
		else
			give_locked(b, e, now);
		break;
	}
	lock_drop(&b->lock);
	return e;
}

struct budget_entry *
budget_next(struct budget *b)
{
	struct budget_entry *e = wait_for_next(b);
	if (e != NULL && !e->expired)
		keep_note(b, e->api);
	return e;
}

bool
budget_withdraw(struct budget *b, struct budget_entry *e)
{
	lock_take(&b->lock);
	bool queued = e->queued;
	if (queued)
		unlink_locked(b, e);
	lock_drop(&b->lock);
	return queued;
}

void
budget_promote(
    struct budget *b, struct budget_entry *e, enum budget_class class, const char *consumer)
{
	lock_take(&b->lock);
	if (e->queued && class < e->class) {
		struct lane *lane = &b->lanes[e->api];
		lane->queued[e->class]--;
		lane->queued[class]++;
		e->class = class;
		e->share = share_of_locked(b, consumer);
		pthread_cond_broadcast(&b->changed);
	}
	lock_drop(&b->lock);
}

/* --- the way of a call */

static void
log_limits(const struct gate *g)
{
	log_event(LOG_INFO, "limits-learned", "api=%s calls=%llu window_s=%lld concurrency=%llu",
	    upstream_api_name(g->api), (unsigned long long)g->now.calls,
	    (long long)(g->now.window_ms / 1000), (unsigned long long)g->now.concurrency);
}

void
budget_arrived(struct budget *b, struct budget_entry *e, const struct transport_head *head)
{
	struct lane *lane = &b->lanes[e->api];
	lock_take(&b->lock);
	bool changed = gate_arrived(&lane->gate, &e->call, head, clock_mono_ms());
	lane->changes++;
	if (changed)
		log_limits(&lane->gate);
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
	if (changed)
		keep_note(b, e->api);
}

static void
count_refusal_locked(struct budget *b, enum upstream_api api, const struct transport_head *head)
{
	struct lane *lane = &b->lanes[api];
	lock_assert_held(&b->lock);
	lane->refused_concurrency += head->by_concurrency;
	lane->refused_rate += !head->by_concurrency;
}

static void
log_refusal(enum upstream_api api, const struct transport_head *head)
{
	log_event(LOG_WARNING, "upstream-limit", "api=%s limit=%s wait_s=%lld",
	    upstream_api_name(api), head->by_concurrency ? "concurrency" : "rate",
	    (long long)(head->wait_ms / 1000));
}

void
budget_done(
    struct budget *b, struct budget_entry *e, bool limited, const struct transport_head *head)
{
	struct lane *lane = &b->lanes[e->api];
	enum gate_end end = head == NULL ? GATE_UNMADE : limited ? GATE_LIMITED : GATE_MADE;
	lock_take(&b->lock);
	bool changed = gate_done(&lane->gate, &e->call, end, head, clock_mono_ms());
	lane->changes++;
	if (end == GATE_LIMITED)
		count_refusal_locked(b, e->api, head);
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
	if (changed)
		keep_note(b, e->api); /* an announced wait holds after a crash, too */
	if (end == GATE_LIMITED)
		log_refusal(e->api, head); /* which it does once this is in the log */
}

void
budget_stop(struct budget *b)
{
	lock_take(&b->lock);
	b->stopped = true;
	pthread_cond_broadcast(&b->changed);
	lock_drop(&b->lock);
	for (int api = 0; api < API_COUNT; api++)
		keep_note(b, (enum upstream_api)api);
}

/* --- looking */

void
budget_view(struct budget *b, enum upstream_api api, struct budget_view *ret)
{
	struct lane *lane = &b->lanes[api];
	struct gate *g = &lane->gate;
	lock_take(&b->lock);
	int64_t now = clock_mono_ms();
	*ret = (struct budget_view){
	    .rate_calls = g->now.calls,
	    .concurrency = g->now.concurrency,
	    .rate_window_ms = g->now.window_ms,
	    .window_own = gate_own(g, now),
	    .window_foreign = gate_foreign(g, now),
	    .remaining = UINT64_MAX,
	    .under_way = gate_running(g, now),
	    .closed_for_ms = g->closed_until_ms > now ? g->closed_until_ms - now : 0,
	    .refused_rate = lane->refused_rate,
	    .refused_concurrency = lane->refused_concurrency,
	    .given = lane->given,
	    .waited_ms = lane->waited_ms,
	    .expired = lane->expired,
	};
	for (int class = 0; class < BUDGET_CLASSES; class ++)
		ret->queued[class] = lane->queued[class];
	lock_drop(&b->lock);
	uint64_t used = ret->window_own + ret->window_foreign;
	if (ret->rate_calls != 0)
		ret->remaining = used < ret->rate_calls ? ret->rate_calls - used : 0;
}

/* The virtual time at which a queued entry will begin, if `walked` of its consumer's stand before
 * it, and nobody submits anything. */
static uint64_t
will_begin_locked(struct budget *b, const struct budget_entry *e)
{
	return begins_locked(b, e) + b->shares[e->share].walked++;
}

/* Of the same API and class: an entry of another class is before or behind all of these. */
static bool
stands_with(const struct budget_entry *e, const struct budget_entry *other)
{
	return e->api == other->api && e->class == other->class;
}

static void
walk_anew_locked(struct budget *b)
{
	lock_assert_held(&b->lock);
	for (unsigned i = 0; i < b->share_count; i++)
		b->shares[i].walked = 0;
}

/* How many queued calls of its API go before this one. */
static uint64_t
ahead_locked(struct budget *b, const struct budget_entry *e)
{
	uint64_t ahead = 0;
	bool passed = false;
	walk_anew_locked(b);
	for (const struct budget_entry *q = b->first; q != e; q = q->next)
		b->shares[q->share].walked += q->share == e->share && stands_with(q, e);
	uint64_t begins = will_begin_locked(b, e);
	walk_anew_locked(b);
	for (const struct budget_entry *q = b->first; q != NULL; q = q->next) {
		passed = passed || q == e;
		if (q->api != e->api || q == e)
			continue;
		if (q->class != e->class) {
			ahead += q->class < e->class;
			continue;
		}
		uint64_t other = will_begin_locked(b, q);
		ahead += q->share == e->share ? !passed : passed ? other < begins : other <= begins;
	}
	return ahead;
}

int64_t
budget_forecast_ms(struct budget *b, const struct budget_entry *e)
{
	int64_t ms = 0;
	lock_take(&b->lock);
	if (e->queued) {
		int64_t now = clock_mono_ms();
		int64_t at = gate_forecast_at(&b->lanes[e->api].gate, ahead_locked(b, e) + 1, now);
		at = e->not_before_ms > at ? e->not_before_ms : at;
		ms = at - now;
	}
	lock_drop(&b->lock);
	return ms;
}

int64_t
budget_foresee_ms(struct budget *b, enum upstream_api api, const char *consumer, uint64_t calls)
{
	struct budget_entry e = {.api = api, .class = BUDGET_INTERACTIVE, .consumer = consumer};
	lock_take(&b->lock);
	int64_t now = clock_mono_ms();
	link_locked(b, &e); /* for this moment: nobody else sees it */
	int64_t at = gate_forecast_at(&b->lanes[api].gate, ahead_locked(b, &e) + calls, now);
	unlink_locked(b, &e);
	lock_drop(&b->lock);
	return at - now;
}
