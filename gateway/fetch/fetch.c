#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/fetch/fetch_state.h"
#include "gateway/fetch/plan.h"

#define RETRY_DELAY_MOST_MS INT64_C(30000)

static void fetch_go_on(struct fetch *f);

/* --- calls: submitting and ending */

static void
submit_locked(struct call *c, int64_t not_before_ms)
{
	struct fetch *f = c->fetch;
	int64_t now = clock_mono_ms();
	c->ready_ms = not_before_ms > now ? not_before_ms : now;
	c->entry.not_before_ms = not_before_ms;
	c->entry.deadline_ms = f->deadline_ms;
	c->entry.class = f->class;
	c->entry.consumer = f->promoted_by != NULL ? f->promoted_by : flight_consumer(f->flight);
	c->entry.api = call_kinds[c->kind].api;
	c->queued = true;
	budget_submit(f->owner->o.budget, &c->entry);
}

/* The first failure stops the rest: what is queued is taken back, what runs gives up. */
static void
fail_locked(struct fetch *f, enum status st, int64_t retry_after_ms)
{
	lock_assert_held(&f->owner->lock);
	if (f->failed != STATUS_OK || f->over)
		return;
	f->failed = st;
	f->retry_after_ms = retry_after_ms;
	atomic_store(&f->cancelled, true);
	if (!f->waiting)
		return; /* nothing is queued, and a step may just be making the list of calls */
	for (size_t i = 0; i < f->call_count; i++) {
		struct call *c = &f->calls[i];
		if (c->queued && budget_withdraw(f->owner->o.budget, &c->entry)) {
			c->queued = false;
			f->outstanding--;
		}
	}
}

/* False if the fetch was cancelled just now: nobody would take the calls back again. */
static bool
submit_all(struct fetch *f)
{
	lock_take(&f->owner->lock);
	bool good = f->failed == STATUS_OK;
	if (good) {
		f->outstanding = f->call_count;
		f->waiting = true;
		for (size_t i = 0; i < f->call_count; i++)
			submit_locked(&f->calls[i], 0);
	}
	lock_drop(&f->owner->lock);
	return good;
}

static int64_t
backoff_ms(const struct fetcher *o, unsigned faults)
{
	int64_t most = o->o.retry_delay_ms;
	for (unsigned i = 1; i < faults && most < RETRY_DELAY_MOST_MS; i++)
		most *= 2;
	if (most > RETRY_DELAY_MOST_MS)
		most = RETRY_DELAY_MOST_MS;
	uint32_t random;
	crypto_random(&random, sizeof random);
	return most > 0 ? (int64_t)(random % (uint64_t)most) + 1 : 0;
}

/* A failure that may be the whole upstream's, and whether this one alone speaks for it. */
static bool
is_ailment(const struct call *c, enum status st, bool *ret_alone)
{
	*ret_alone = st == STATUS_UPSTREAM_TLS ||
		     (st == STATUS_UPSTREAM_DOWN && (c->http == 0 || c->http == 503));
	return *ret_alone || st == STATUS_UPSTREAM_DOWN || st == STATUS_UPSTREAM_SLOW;
}

/* Tells the memory of everyone. Gives how long nobody is to ask, wait_ms at least. */
static int64_t
remember_locked(struct call *c, enum status st, int64_t wait_ms)
{
	struct fetch *f = c->fetch;
	struct memory *m = f->owner->o.memory;
	enum status told;
	uint64_t query;
	int64_t now = clock_mono_ms(), closed_ms;
	bool alone;
	if (c->kept_back || !is_ailment(c, st, &alone))
		return wait_ms;
	memcpy(&query, flight_digest(f->flight), sizeof query);
	memory_failed(m, st, alone, query, wait_ms, now);
	return memory_closed(m, now, &told, &closed_ms) && closed_ms > wait_ms ? closed_ms
									       : wait_ms;
}

/* A failure that fails the call at once, or makes it wait until the upstream is asked again: that of
 * a probe, and one with a wait longer than those between tries, which is for everyone to keep. */
static bool
is_for_all_locked(const struct call *c, enum status st, int64_t wait_ms)
{
	bool alone;
	lock_assert_held(&c->fetch->owner->lock);
	return (c->probe != 0 || wait_ms > RETRY_DELAY_MOST_MS) && is_ailment(c, st, &alone);
}

/* The upstream ails: what has brought nothing yet fails at once, for everybody the same; what has
 * brought something waits until the upstream is asked again. */
static bool
may_wait_out_locked(struct call *c, int64_t wait_ms, int64_t *ret_not_before_ms)
{
	*ret_not_before_ms = clock_mono_ms() + wait_ms;
	return c->fetch->progress.calls_done > 0 || (c->kept_back && c->fetch->probing > 0);
}

/* The probe may have ended since. */
static bool
is_open_again(const struct call *c)
{
	enum status st;
	int64_t wait_ms;
	return !memory_closed(c->fetch->owner->o.memory, clock_mono_ms(), &st, &wait_ms);
}

/* Whether this call may be tried once more after `st`, and from when: not within wait_ms. */
static bool
may_retry_locked(struct call *c, enum status st, int64_t wait_ms, int64_t *ret_not_before_ms)
{
	int64_t now = clock_mono_ms(), pause_ms;
	if (c->fetch->failed != STATUS_OK || now >= c->fetch->deadline_ms)
		return false;
	if (c->kept_back && is_open_again(c)) {
		*ret_not_before_ms = 0;
		return true;
	}
	if (c->kept_back || is_for_all_locked(c, st, wait_ms))
		return may_wait_out_locked(c, remember_locked(c, st, wait_ms), ret_not_before_ms);
	if (st == STATUS_UPSTREAM_GAP && !c->gap_verifying) {
		/* not a failure yet: the same answer again is a good one */
		c->gap_verifying = true;
		*ret_not_before_ms = 0;
		return true;
	}
	if (st == STATUS_UPSTREAM_TOKEN) {
		/* a token may die at any moment: once, at once, with a new one */
		*ret_not_before_ms = 0;
		bool first = !c->token_refused;
		c->token_refused = true;
		return first;
	}
	switch (status_info(st)->retry) {
	case RETRY_WAIT:
		*ret_not_before_ms = now + wait_ms; /* the budget may shut the gate for longer */
		return true;
	case RETRY_AGAIN:
		pause_ms = backoff_ms(c->fetch->owner, ++c->faults);
		*ret_not_before_ms = now + (pause_ms > wait_ms ? pause_ms : wait_ms);
		return c->faults <= c->fetch->owner->o.retries;
	default:
		return false;
	}
}

static void
log_call_locked(const struct call *c, enum status st, bool again)
{
	struct flight_view v;
	lock_assert_held(&c->fetch->owner->lock);
	flight_look(c->fetch->flight, &v);
	log_event(st == STATUS_OK ? LOG_DEBUG : LOG_WARNING, "call",
	    "fetch=%llx api=%s call=%u attempt=%u status=%s records=%llu again=%d",
	    (unsigned long long)v.id, upstream_api_name(c->entry.api), c->index, c->attempt,
	    status_info(st)->name, (unsigned long long)c->info.records, again);
}

/* True, once, for the one who has to go on with the steps: nothing is under way any more. */
static bool
take_turn_locked(struct fetch *f)
{
	lock_assert_held(&f->owner->lock);
	bool mine = f->waiting && f->outstanding == 0;
	if (mine)
		f->waiting = false;
	return mine;
}

/* One call more is done. */
static void
call_progress_locked(const struct call *c)
{
	struct fetch *f = c->fetch;
	lock_assert_held(&f->owner->lock);
	if (!call_kinds[c->kind].stores)
		return;
	/* Only now is it known that it was the version, and not the query, that got a 404. */
	if (f->tried != 0)
		memory_version_gone(f->owner->o.memory, f->tried, clock_mono_ms());
	f->progress.calls_done++;
	f->progress.bytes += c->info.body_bytes;
	f->progress.batches_seen += f->got[c->index].batches_seen;
	f->progress.batches_announced += f->got[c->index].batches_announced;
	flight_progress(f->flight, FLIGHT_FETCHING, &f->progress);
	flight_call_ended(f->flight, c->index, c->info.attempt, c->info.records);
}

/* A call has failed for good, and its fetch with it. */
static void
call_failed_locked(struct call *c, enum status st, int64_t wait_ms)
{
	/* the versions of the policy list are not those of the dialect */
	if (st == STATUS_UPSTREAM_RETIRED && c->entry.api != API_POLICY_LIST)
		c->fetch->version_gone = true;
	fail_locked(c->fetch, st == STATUS_UPSTREAM_TOKEN ? STATUS_UPSTREAM_AUTH : st, wait_ms);
}

/* How a try ended. */
struct call_end {
	enum status st;
	int64_t wait_ms;                   /* as announced, or 0 */
	bool given_out;                    /* the budget waits to be told */
	const struct transport_head *head; /* NULL: the call was not made */
};

static void
end_probe_locked(struct call *c)
{
	lock_assert_held(&c->fetch->owner->lock);
	if (c->probe == 0)
		return;
	memory_probe_over(c->fetch->owner->o.memory, c->probe);
	c->probe = 0;
	c->fetch->probing--;
}

/* What follows from it, remembered for everybody. */
static bool
judge(struct call *c, struct call_end *end, int64_t *ret_not_before_ms)
{
	lock_take(&c->fetch->owner->lock);
	bool again =
	    end->st != STATUS_OK && may_retry_locked(c, end->st, end->wait_ms, ret_not_before_ms);
	if (!again && end->given_out) /* else it was not the upstream that took too long */
		end->wait_ms = remember_locked(c, end->st, end->wait_ms);
	end_probe_locked(c);
	log_call_locked(c, end->st, again);
	lock_drop(&c->fetch->owner->lock);
	return again;
}

/* A call's try is over. What it has taught is told before its place in the budget is free, so that
 * the next call knows. After this only the one whose turn it is may touch the fetch. */
static void
call_ended(struct call *c, struct call_end end)
{
	struct fetch *f = c->fetch;
	struct fetcher *o = f->owner;
	int64_t not_before_ms = 0;
	bool again = judge(c, &end, &not_before_ms);
	if (end.given_out)
		budget_done(o->o.budget, &c->entry, end.st == STATUS_UPSTREAM_LIMIT, end.head);
	lock_take(&o->lock);
	if (again && f->failed == STATUS_OK) {
		c->attempt++;
		submit_locked(c, not_before_ms);
	} else {
		if (end.st == STATUS_OK)
			call_progress_locked(c);
		else
			call_failed_locked(c, end.st, end.wait_ms);
		f->outstanding--;
	}
	bool turn = take_turn_locked(f);
	lock_drop(&o->lock);
	if (turn)
		fetch_go_on(f);
}

/* Whether the upstream is well enough to be asked by this call. */
static enum status
enter(struct call *c, int64_t *ret_wait_ms)
{
	struct fetch *f = c->fetch;
	enum status st = STATUS_OK;
	lock_take(&f->owner->lock);
	enum memory_enter how =
	    memory_enter(f->owner->o.memory, clock_mono_ms(), &c->probe, &st, ret_wait_ms);
	f->probing += how == MEMORY_PROBE;
	c->kept_back = how == MEMORY_CLOSED;
	lock_drop(&f->owner->lock);
	return st;
}

/* --- telling whoever counts */

static void
tell_waited(const struct call *c)
{
	const struct fetch_events *ev = &c->fetch->owner->o.events;
	int64_t waited_ms = clock_mono_ms() - c->ready_ms;
	if (ev->waited != NULL)
		ev->waited(ev->ctx, c->entry.api, waited_ms > 0 ? waited_ms : 0);
}

static void
tell_tried(const struct call *c, enum status st, int http, int64_t took_ms)
{
	const struct fetch_events *ev = &c->fetch->owner->o.events;
	struct fetch_try t = {.api = c->entry.api, .http = http, .took_ms = took_ms};
	if (st == STATUS_OK && call_kinds[c->kind].stores) {
		t.records = c->info.records;
		t.bytes = c->info.body_bytes;
	}
	if (ev->tried != NULL)
		ev->tried(ev->ctx, &t);
}

static void
tell_ended(const struct fetch *f)
{
	const struct fetch_events *ev = &f->owner->o.events;
	if (ev->ended != NULL)
		ev->ended(ev->ctx, flight_state_of(f->failed));
}

/* How long a good call of its API takes: the newest counts a quarter. */
static void
note_length(const struct call *c, int64_t ms)
{
	struct fetcher *o = c->fetch->owner;
	int64_t *mean = &o->mean_ms[call_kinds[c->kind].api];
	lock_take(&o->lock);
	*mean = *mean == 0 ? ms + 1 : (*mean * 3 + ms) / 4 + 1;
	lock_drop(&o->lock);
}

/* The budget lets this call go. */
static void
call_run(struct call *c, struct transport *t)
{
	struct fetch *f = c->fetch;
	struct fetcher_options *o = &f->owner->o;
	struct transport_head head;
	char *token;
	uint64_t generation;
	int64_t wait_ms;

	c->http = 0;
	enum status st = enter(c, &wait_ms);
	if (st != STATUS_OK) {
		call_ended(c, (struct call_end){st, wait_ms, true, NULL});
		return;
	}
	st = credential_token(o->credential, t, &f->cancelled, &token, &generation);
	if (st != STATUS_OK) {
		wait_ms = credential_wait_ms(o->credential);
		call_ended(c, (struct call_end){st, wait_ms, true, NULL});
		return;
	}
	lock_take(&f->owner->lock);
	f->progress.calls_made++;
	f->progress.records -= c->records; /* the failed attempt's do not count */
	c->records = 0;
	flight_progress(f->flight, call_kinds[c->kind].stores ? FLIGHT_FETCHING : FLIGHT_RESOLVING,
	    &f->progress);
	lock_drop(&f->owner->lock);

	head.wait_ms = -1;
	head.http = 0;
	int64_t begun_ms = clock_mono_ms();
	st = fetch_call_make(c, t, token, &head);
	credential_token_free(token);
	c->http = head.http;
	int64_t took_ms = clock_mono_ms() - begun_ms;
	tell_tried(c, st, head.http, took_ms);
	if (st == STATUS_OK)
		note_length(c, took_ms);
	if (st == STATUS_UPSTREAM_TOKEN)
		credential_refused(o->credential, generation);
	else if (head.http == 200)
		credential_worked(o->credential, generation);
	wait_ms = head.wait_ms > 0 ? head.wait_ms : 0;
	call_ended(c, (struct call_end){st, wait_ms, true, &head});
}

static void *
thread_main(void *ctx)
{
	struct fetcher *o = ctx;
	struct transport *t = transport_new(&o->o.transport);
	struct budget_entry *e;
	while ((e = budget_next(o->o.budget)) != NULL) {
		struct call *c = (struct call *)e;
		lock_take(&o->lock);
		c->queued = false;
		lock_drop(&o->lock);
		tell_waited(c);
		if (e->expired) {
			call_ended(c, (struct call_end){.st = STATUS_UPSTREAM_SLOW});
		} else if (t == NULL) {
			call_ended(c, (struct call_end){STATUS_NO_MEMORY, 0, true, NULL});
		} else {
			call_run(c, t);
		}
	}
	transport_free(t);
	return NULL;
}

/* --- the way */

/* What the steps have made is gone; they can begin anew. */
static void
fetch_clear(struct fetch *f)
{
	if (f->sealed)
		seal_fini(&f->seal);
	f->sealed = false;
	cache_stage_abandon(f->stage);
	f->stage = NULL;
	if (f->got != NULL)
		for (size_t i = 0; i < (size_t)f->progress.calls_planned; i++)
			pull_got_fini(&f->got[i]);
	f->got = NULL;
	for (size_t i = 0; i < f->resolved_count; i++)
		free(f->resolved[i].hosts);
	free(f->resolved);
	f->resolved = NULL;
	f->resolved_count = f->resolved_cap = 0;
	free(f->hosts);
	f->hosts = NULL;
	f->host_count = f->host_error_count = 0;
	f->calls = NULL;
	f->call_count = 0;
	f->step = 0;
}

static void
fetch_free(struct fetch *f)
{
	fetch_clear(f);
	cache_release(f->result);
	arena_fini(&f->arena);
	flight_release(f->flight);
	free(f->promoted_by);
	free(f);
}

/* Tells everyone, and is gone. */
static void
fetch_wake(struct fetch *f)
{
	struct fetcher *o = f->owner;
	struct flight_view v;
	lock_take(&o->lock);
	f->over = true;
	lock_drop(&o->lock);
	flight_look(f->flight, &v);
	log_event(f->failed == STATUS_OK ? LOG_INFO : LOG_WARNING, "fetch",
	    "fetch=%llx status=%s calls=%llu records=%llu hosts=%zu ms=%lld",
	    (unsigned long long)v.id, status_info(f->failed)->name,
	    (unsigned long long)f->progress.calls_made,
	    (unsigned long long)(f->result != NULL ? cache_manifest(f->result)->records : 0),
	    f->host_count, (long long)(clock_mono_ms() - v.begun_ms));
	flight_progress(f->flight, v.state, &f->progress);
	tell_ended(f); /* whoever is woken finds it counted */
	flight_end(f->flight, f->failed, f->retry_after_ms, f->result);

	lock_take(&o->lock);
	for (struct fetch **at = &o->list; *at != NULL; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			break;
		}
	}
	pthread_cond_broadcast(&o->emptied);
	lock_drop(&o->lock);
	fetch_free(f);
}

static const struct {
	enum status (*run)(struct fetch *f);
	bool calls;
} steps[] = {
#define FETCH_STEP(name, calls, what) {fetch_step_##name, calls},
#include "gateway/fetch/steps.h"
#undef FETCH_STEP
};

static bool
has_failed(struct fetch *f, enum status st)
{
	lock_take(&f->owner->lock);
	if (st == STATUS_OK && atomic_load(&f->owner->stopping))
		st = STATUS_STOPPING;
	if (st != STATUS_OK)
		fail_locked(f, st, 0);
	bool failed = f->failed != STATUS_OK;
	lock_drop(&f->owner->lock);
	return failed;
}

/* The upstream no longer has the version: the next one that can answer, if there is one. */
static bool
fall_back(struct fetch *f)
{
	struct fetcher *o = f->owner;
	const struct dialect *next;
	lock_take(&o->lock);
	bool gone = f->version_gone && f->failed == STATUS_UPSTREAM_RETIRED;
	f->version_gone = false;
	lock_drop(&o->lock);
	if (!gone)
		return false;
	f->tried |= versions_bit(f->dialect);
	bool found = versions_choose(&o->o.versions, plan_needs(&f->query), clock_wall_ms() / 1000,
			 f->tried, &next) == STATUS_OK &&
		     !(versions_bit(next) & f->tried);
	log_event(LOG_WARNING, "version-gone", "version=%s next=%s", f->dialect->version,
	    found ? next->version : "-");
	if (!found)
		return false;
	fetch_clear(f);
	f->dialect = next;
	lock_take(&o->lock);
	f->progress = (struct flight_progress){.calls_made = f->progress.calls_made};
	f->failed = STATUS_OK;
	f->retry_after_ms = 0;
	atomic_store(&f->cancelled, false);
	lock_drop(&o->lock);
	return true;
}

/* Runs steps until one has calls to wait for. Only one thread is here for a fetch at a time: the
 * one that started it, or the one whose turn it is. */
static void
fetch_go_on(struct fetch *f)
{
	do {
		while (!has_failed(f, STATUS_OK) && f->step < (int)ARRAY_LEN(steps)) {
			int step = f->step++;
			enum status st = steps[step].run(f);
			if (!has_failed(f, st) && steps[step].calls && f->call_count > 0 &&
			    submit_all(f))
				return; /* another thread may have ended it by now */
		}
	} while (fall_back(f));
	fetch_wake(f);
}

/* --- from outside */

/* The dialect, and a copy of the query that lives as long as the fetch. */
static enum status
prepare(struct fetch *f)
{
	struct fetcher_options *o = &f->owner->o;
	size_t len;
	const char *text = flight_text(f->flight, &len);
	enum status st = query_from_canon(&f->arena, text, len, &f->query);
	if (st == STATUS_OK)
		st = versions_choose(&o->versions, plan_needs(&f->query), clock_wall_ms() / 1000,
		    memory_gone(o->memory, clock_mono_ms()), &f->dialect);
	return st;
}

enum status
fetch_forecast(struct fetcher *o, const struct query *q, struct buf *reason, int64_t *ret_wait_ms)
{
	const struct dialect *d;
	enum status st;
	int64_t now = clock_mono_ms(), wall_s = clock_wall_ms() / 1000;
	unsigned need = plan_needs(q), gone = memory_gone(o->o.memory, now);
	if (versions_choose(&o->o.versions, need, wall_s, gone, &d) != STATUS_OK) {
		if (reason != NULL)
			versions_explain(&o->o.versions, need, wall_s, reason);
		return STATUS_VERSION_UNAVAILABLE;
	}
	return memory_closed(o->o.memory, now, &st, ret_wait_ms) ? st : STATUS_OK;
}

void
fetch_start(struct fetcher *o, struct flight *flight, enum budget_class class, bool force)
{
	struct fetch *f = calloc(1, sizeof *f);
	if (f == NULL) {
		flight_end(flight, STATUS_NO_MEMORY, 0, NULL);
		return;
	}
	f->owner = o;
	f->flight = flight_ref(flight);
	f->class = class;
	f->force = force;
	f->deadline_ms = clock_mono_ms() + o->o.deadline_ms;
	f->fetched_at_ms = clock_wall_ms();
	arena_init(&f->arena, LIMIT_ARENA_BYTES);
	lock_take(&o->lock);
	f->next = o->list;
	o->list = f;
	lock_drop(&o->lock);
	has_failed(f, prepare(f));
	fetch_go_on(f);
}

/* The fetch of a flight while it is under way, else NULL. */
static struct fetch *
find_locked(const struct fetcher *o, const struct flight *flight)
{
	struct fetch *f = o->list;
	while (f != NULL && f->flight != flight)
		f = f->next;
	return f;
}

void
fetch_promote(
    struct fetcher *o, const struct flight *flight, enum budget_class class, const char *consumer)
{
	lock_take(&o->lock);
	struct fetch *f = find_locked(o, flight);
	if (f != NULL && f->class > class) {
		f->class = class;
		free(f->promoted_by);
		f->promoted_by = strdup(consumer);
		/* else nothing is queued, and a step may just be making the list of calls */
		for (size_t i = 0; f->waiting && i < f->call_count; i++)
			budget_promote(o->o.budget, &f->calls[i].entry, class, consumer);
	}
	lock_drop(&o->lock);
}

uint64_t
fetch_subscription(const struct fetcher *o)
{
	return atomic_load(&o->subscription);
}

/* What a fetch has before it. */
struct ahead {
	uint64_t calls[API_COUNT]; /* not ended */
	int64_t mean_ms[API_COUNT];
	int64_t forecast_ms; /* until the last of its queued calls goes */
};

static bool
look_ahead(struct fetcher *o, const struct flight *flight, struct ahead *ret)
{
	*ret = (struct ahead){0};
	lock_take(&o->lock);
	const struct fetch *f = find_locked(o, flight);
	memcpy(ret->mean_ms, o->mean_ms, sizeof ret->mean_ms);
	if (f != NULL && f->waiting) {
		size_t last = f->call_count;
		while (last > 0 && !f->calls[last - 1].queued)
			last--;
		if (last > 0)
			ret->forecast_ms =
			    budget_forecast_ms(o->o.budget, &f->calls[last - 1].entry);
		ret->calls[f->calls[0].entry.api] = f->outstanding;
		/* hosts are being resolved: one call for postures at least follows */
		if (!call_kinds[f->calls[0].kind].stores)
			ret->calls[API_POSTURE_INFO] = 1;
	}
	lock_drop(&o->lock);
	return f != NULL;
}

int64_t
fetch_estimate_ms(struct fetcher *o, const struct flight *flight)
{
	struct ahead a;
	if (!look_ahead(o, flight, &a))
		return -1;
	int64_t estimate = a.forecast_ms;
	for (int api = 0; api < API_COUNT; api++) {
		struct budget_view v;
		if (a.calls[api] == 0)
			continue;
		if (a.mean_ms[api] == 0)
			return -1; /* none has ended yet */
		budget_view(o->o.budget, (enum upstream_api)api, &v);
		uint64_t at_a_time = v.concurrency > 0 ? v.concurrency : 1;
		uint64_t rounds = (a.calls[api] + at_a_time - 1) / at_a_time;
		estimate += (int64_t)rounds * a.mean_ms[api];
	}
	return estimate;
}

static void
restore_gaps(struct fetcher *o)
{
	void *bytes;
	size_t len;
	enum status st = cache_note_get(o->o.cache, FETCH_GAPS_NOTE_NAME, &bytes, &len);
	if (st == STATUS_OK) {
		if (!memory_read(o->o.memory, bytes, len, clock_mono_ms(), clock_wall_ms()))
			st = STATUS_CORRUPT;
		free(bytes);
	}
	if (st != STATUS_OK && st != STATUS_NOT_FOUND)
		log_event(LOG_WARNING, "gaps-not-restored", "status=%s", status_info(st)->name);
}

static void
restore_subscription(struct fetcher *o)
{
	void *bytes;
	size_t len;
	uint64_t subscription = 0;
	if (cache_note_get(o->o.cache, FETCH_SUBSCRIPTION_NOTE_NAME, &bytes, &len) != STATUS_OK)
		return; /* it is told again */
	if (len == sizeof subscription)
		memcpy(&subscription, bytes, sizeof subscription);
	atomic_store(&o->subscription, subscription);
	free(bytes);
}

struct fetcher *
fetcher_new(const struct fetcher_options *options)
{
	struct fetcher *o = calloc(1, sizeof *o);
	if (o == NULL)
		return NULL;
	o->o = *options;
	lock_init(&o->lock, LOCK_FETCH);
	clock_cond_init(&o->emptied);
	restore_gaps(o);
	restore_subscription(o);
	o->threads = calloc(options->threads, sizeof *o->threads);
	for (unsigned i = 0; o->threads != NULL && i < options->threads; i++) {
		if (pthread_create(&o->threads[i], NULL, thread_main, o) != 0)
			break;
		o->thread_count++;
	}
	if (o->thread_count < options->threads) {
		fetcher_free(o);
		return NULL;
	}
	return o;
}

/* One fetch that still has to be told to stop, told. */
static bool
stop_one(struct fetcher *o)
{
	struct fetch *turn = NULL;
	bool found = false;
	lock_take(&o->lock);
	for (struct fetch *f = o->list; f != NULL && !found; f = f->next) {
		if (f->failed != STATUS_OK || f->over)
			continue;
		found = true;
		fail_locked(f, STATUS_STOPPING, 0);
		if (take_turn_locked(f))
			turn = f;
	}
	lock_drop(&o->lock);
	if (turn != NULL)
		fetch_go_on(turn);
	return found;
}

bool
fetch_cancel(struct fetcher *o, const struct flight *flight)
{
	lock_take(&o->lock);
	struct fetch *f = find_locked(o, flight);
	bool mine = f != NULL && f->failed == STATUS_OK && !f->over;
	if (mine)
		fail_locked(f, STATUS_CANCELLED, 0);
	bool turn = mine && take_turn_locked(f);
	lock_drop(&o->lock);
	if (turn)
		fetch_go_on(f);
	return mine;
}

void
fetcher_free(struct fetcher *o)
{
	if (o == NULL)
		return;
	atomic_store(&o->stopping, true);
	credential_stop(o->o.credential);
	while (stop_one(o))
		;
	lock_take(&o->lock);
	while (o->list != NULL)
		lock_wait(&o->lock, &o->emptied, CLOCK_NEVER);
	lock_drop(&o->lock);
	budget_stop(o->o.budget);
	for (unsigned i = 0; i < o->thread_count; i++)
		pthread_join(o->threads[i], NULL);
	free(o->threads);
	pthread_cond_destroy(&o->emptied);
	lock_fini(&o->lock);
	free(o);
}
