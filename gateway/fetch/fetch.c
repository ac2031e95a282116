#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/arena.h"
#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/fetch/fetch.h"
#include "gateway/fetch/plan.h"
#include "gateway/fetch/pull.h"

#define RETRY_DELAY_MOST_MS INT64_C(30000)

struct fetcher {
	struct fetcher_options o;
	pthread_t *threads;
	unsigned thread_count;
	struct lock lock; /* LOCK_FETCH: the list, and every fetch's counts */
	struct fetch *list;
	pthread_cond_t emptied;
	atomic_bool stopping;
};

enum call_kind { CALL_POLICY_LIST, CALL_RESOLVE, CALL_PULL };

/* One upstream call of a fetch, in all its attempts. */
struct call {
	struct budget_entry entry; /* first: the budget gives it back */
	struct fetch *fetch;
	enum call_kind kind;
	/* what it asks for: CALL_RESOLVE uses the IDs (policies), CALL_PULL either */
	uint64_t policy, subscription;
	const uint64_t *ids;
	size_t id_count;
	const struct id_range *ranges;
	size_t range_count;
	/* how it goes */
	uint32_t index;   /* among the pulls */
	uint32_t attempt; /* grows with every try */
	unsigned faults;  /* tries that ended in a passing fault */
	bool token_refused;
	bool queued;
	uint64_t records; /* committed by the current attempt */
	struct cache_part_info info;
};

/* The hosts of one policy, as resolved. */
struct resolved {
	uint64_t policy, subscription;
	uint64_t *hosts;
	size_t host_count;
	bool error;
};

struct fetch {
	struct fetcher *owner;
	struct fetch *next;
	struct flight *flight;
	struct arena arena; /* the query and the calls */
	struct query query;
	enum budget_class class;
	const struct dialect *dialect;
	int64_t deadline_ms, fetched_at_ms;
	int step;
	atomic_bool cancelled; /* calls under way give up */
	struct seal seal;
	bool sealed;

	/* under the owner's lock */
	enum status failed; /* the first failure */
	int64_t retry_after_ms;
	bool over;          /* its end is being told: nothing changes it any more */
	size_t outstanding; /* calls queued or under way */
	bool waiting;       /* for them: whoever ends the last one goes on with the steps */
	uint32_t calls_made;
	struct flight_progress progress;

	/* written by one thread at a time */
	struct resolved *resolved;
	size_t resolved_count, resolved_cap;
	uint64_t subscription; /* by posture: of the policy list */
	struct call *calls;
	size_t call_count;
	struct pull_got *got;
	struct cache_stage *stage;
	uint64_t *hosts; /* all that were asked for, ascending */
	size_t host_count;
	uint64_t *host_errors;
	size_t host_error_count;
	struct cache_result *result;
};

static void fetch_go_on(struct fetch *f);

/* --- calls: submitting and ending */

static void
submit_locked(struct call *c, int64_t not_before_ms)
{
	struct fetch *f = c->fetch;
	c->entry.not_before_ms = not_before_ms;
	c->entry.deadline_ms = f->deadline_ms;
	c->entry.class = f->class;
	c->entry.consumer = flight_consumer(f->flight);
	c->entry.api = c->kind == CALL_PULL      ? API_POSTURE_INFO
		       : c->kind == CALL_RESOLVE ? API_HOSTIDS
						 : API_POLICY_LIST;
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

/* Whether this call may be tried once more after `st`, and from when: not within wait_ms. */
static bool
may_retry_locked(struct call *c, enum status st, int64_t wait_ms, int64_t *ret_not_before_ms)
{
	int64_t now = clock_mono_ms(), pause_ms;
	if (c->fetch->failed != STATUS_OK || now >= c->fetch->deadline_ms)
		return false;
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
	if (c->kind != CALL_PULL)
		return;
	f->progress.calls_done++;
	f->progress.bytes += c->info.body_bytes;
	f->progress.batches_seen += f->got[c->index].batches_seen;
	f->progress.batches_announced += f->got[c->index].batches_announced;
	flight_progress(f->flight, FLIGHT_FETCHING, &f->progress);
}

/* A call's try is over. After this only the one whose turn it is may touch the fetch. */
static void
call_ended(struct call *c, enum status st, int64_t wait_ms)
{
	struct fetch *f = c->fetch;
	struct fetcher *o = f->owner;
	int64_t not_before_ms = 0;
	lock_take(&o->lock);
	bool again = st != STATUS_OK && may_retry_locked(c, st, wait_ms, &not_before_ms);
	log_call_locked(c, st, again);
	if (again) {
		c->attempt++;
		submit_locked(c, not_before_ms);
	} else {
		if (st == STATUS_OK)
			call_progress_locked(c);
		else
			fail_locked(
			    f, st == STATUS_UPSTREAM_TOKEN ? STATUS_UPSTREAM_AUTH : st, wait_ms);
		f->outstanding--;
	}
	bool turn = take_turn_locked(f);
	lock_drop(&o->lock);
	if (turn)
		fetch_go_on(f);
}

/* --- one call over the wire */

static void
on_head(void *ctx, const struct transport_head *head)
{
	struct call *c = ctx;
	budget_arrived(c->fetch->owner->o.budget, &c->entry, head);
}

/* Adds what a resolution told of one policy. */
static enum status
on_resolved(void *ctx, const struct split_record *rec)
{
	struct call *c = ctx;
	struct fetch *f = c->fetch;
	struct plan_resolved got;
	enum status st = plan_read_resolved(rec, &got);
	if (st != STATUS_OK)
		return st;
	if (ids_find(c->ids, c->id_count, got.policy) == c->id_count) {
		free(got.hosts);
		return STATUS_UPSTREAM_BAD_DATA; /* nobody asked for this policy */
	}
	lock_take(&f->owner->lock); /* several resolutions may be under way */
	if (f->resolved_count == f->resolved_cap) {
		size_t cap = f->resolved_cap == 0 ? 16 : f->resolved_cap * 2;
		struct resolved *more = realloc(f->resolved, cap * sizeof *more);
		if (more != NULL) {
			f->resolved = more;
			f->resolved_cap = cap;
		}
	}
	if (f->resolved_count < f->resolved_cap)
		f->resolved[f->resolved_count++] = (struct resolved){got.policy, got.subscription,
		    got.hosts, ids_sort(got.hosts, got.host_count), got.error};
	else
		st = STATUS_NO_MEMORY;
	lock_drop(&f->owner->lock);
	if (st != STATUS_OK)
		free(got.hosts);
	return st;
}

/* A repeated resolution begins anew: forget what the broken one told. */
static void
forget_resolved(struct call *c)
{
	struct fetch *f = c->fetch;
	size_t kept = 0;
	lock_take(&f->owner->lock);
	for (size_t i = 0; i < f->resolved_count; i++) {
		if (ids_find(c->ids, c->id_count, f->resolved[i].policy) != c->id_count)
			free(f->resolved[i].hosts);
		else
			f->resolved[kept++] = f->resolved[i];
	}
	f->resolved_count = kept;
	lock_drop(&f->owner->lock);
}

static enum status
call_resolve(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct buf path;
	buf_init(&path, 64 * KIB);
	plan_resolve_path(f->dialect, c->ids, c->id_count, &path);
	struct transport_request req = {.method = "GET", .path = buf_str(&path), .token = token};
	enum status st = path.err;
	forget_resolved(c);
	if (st == STATUS_OK)
		st = pull_array(t, &req, &f->cancelled, on_head, c, on_resolved, c, NULL, head);
	buf_fini(&path);
	return st;
}

/* By posture no resolution tells the subscription; the policy list does. */
static enum status
call_policy_list(
    struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct buf text;
	buf_init(&text, 32 * MIB);
	struct transport_request req = {
	    .method = "GET", .path = f->dialect->policy_list_path, .token = token};
	enum status st = pull_text(t, &req, &f->cancelled, on_head, c, &text, head);
	if (st == STATUS_OK)
		st = plan_read_subscription(text.data, text.len, &f->subscription);
	buf_fini(&text);
	return st;
}

static enum status
call_pull(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct pull_asked asked = {
	    .policy = c->policy,
	    .hosts = c->ids,
	    .host_count = c->id_count,
	    .ranges = {c->ranges, c->range_count, 0},
	};
	struct pull_store store;
	struct buf path, body;
	buf_init(&path, 64 * KIB);
	buf_init(&body, LIMIT_UPSTREAM_REQUEST_BYTES);
	plan_posture_path(f->dialect, &f->query, &path);
	if (c->range_count > 0)
		plan_postures_body(c->subscription, c->ranges, c->range_count, &body);
	else
		plan_hosts_body(c->policy, c->subscription, c->ids, c->id_count, &body);

	struct transport_request req = {
	    .method = "POST",
	    .path = buf_str(&path),
	    .token = token,
	    .content_type = "application/json",
	    .body = body.data,
	    .body_len = body.len,
	};
	enum status st = path.err != STATUS_OK ? path.err : body.err;
	struct cache_part *part = NULL;
	if (st == STATUS_OK)
		st = cache_part_open(f->stage, c->index, c->attempt, &part);
	if (st == STATUS_OK) {
		pull_got_fini(&f->got[c->index]);
		pull_store_init(&store, part, &asked, &f->got[c->index]);
		st = pull_array(t, &req, &f->cancelled, on_head, c, pull_store_record, &store,
		    pull_store_idle, head);
		if (st == STATUS_OK)
			st = cache_part_commit(part);
		pull_store_fini(&store);
	}
	if (st == STATUS_OK) {
		c->info = cache_part_info(part);
		cache_part_close(part);
	} else {
		cache_part_drop(part);
	}
	buf_fini(&path);
	buf_fini(&body);
	return st;
}

/* The budget lets this call go. */
static void
call_run(struct call *c, struct transport *t)
{
	static enum status (*const kinds[])(
	    struct call *, struct transport *, const char *, struct transport_head *) = {
	    [CALL_POLICY_LIST] = call_policy_list,
	    [CALL_RESOLVE] = call_resolve,
	    [CALL_PULL] = call_pull,
	};
	struct fetch *f = c->fetch;
	struct fetcher_options *o = &f->owner->o;
	struct transport_head head;
	char *token;
	uint64_t generation;

	enum status st = credential_token(o->credential, t, &f->cancelled, &token, &generation);
	if (st != STATUS_OK) {
		budget_done(o->budget, &c->entry, false, NULL);
		call_ended(c, st, credential_wait_ms(o->credential));
		return;
	}
	lock_take(&f->owner->lock);
	f->calls_made++;
	f->progress.records -= c->records; /* the failed attempt's do not count */
	c->records = 0;
	lock_drop(&f->owner->lock);

	head.wait_ms = -1;
	head.http = 0;
	st = kinds[c->kind](c, t, token, &head);
	credential_token_free(token);
	if (st == STATUS_UPSTREAM_TOKEN)
		credential_refused(o->credential, generation);
	else if (head.http == 200)
		credential_worked(o->credential, generation);
	budget_done(o->budget, &c->entry, st == STATUS_UPSTREAM_LIMIT, &head);
	call_ended(c, st, head.wait_ms > 0 ? head.wait_ms : 0);
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
		if (e->expired) {
			call_ended(c, STATUS_UPSTREAM_SLOW, 0);
		} else if (t == NULL) {
			budget_done(o->o.budget, e, false, NULL);
			call_ended(c, STATUS_NO_MEMORY, 0);
		} else {
			call_run(c, t);
		}
	}
	transport_free(t);
	return NULL;
}

/* --- the steps */

/* A commit of a part: the watermark moves, progress shows. */
static void
on_committed(void *ctx, uint32_t call, uint32_t attempt, uint64_t records)
{
	struct fetch *f = ctx;
	struct call *c = &f->calls[call];
	lock_take(&f->owner->lock);
	f->progress.records += records - c->records;
	c->records = records;
	flight_progress(f->flight, FLIGHT_FETCHING, &f->progress);
	lock_drop(&f->owner->lock);
	flight_committed(f->flight, call, attempt, records);
}

static enum status
make_calls(struct fetch *f, size_t count)
{
	if (count > LIMIT_CALLS)
		return STATUS_UPSTREAM_TOO_LARGE;
	f->calls = arena_array(&f->arena, count, sizeof *f->calls);
	f->call_count = f->calls != NULL ? count : 0;
	for (size_t i = 0; i < f->call_count; i++)
		f->calls[i].fetch = f;
	return f->calls != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status
step_resolve(struct fetch *f)
{
	const struct query *q = &f->query;
	flight_progress(f->flight, FLIGHT_RESOLVING, &f->progress);
	f->subscription = q->subscription != 0 ? q->subscription : f->owner->o.subscription;
	if (q->postures.count > 0) {
		if (f->subscription != 0)
			return STATUS_OK;
		enum status st = make_calls(f, 1);
		if (st == STATUS_OK)
			f->calls[0].kind = CALL_POLICY_LIST;
		return st;
	}
	size_t chunk = plan_resolve_chunk(f->dialect);
	enum status st = make_calls(f, (q->policies.count + chunk - 1) / chunk);
	for (size_t i = 0; i < f->call_count; i++) {
		struct call *c = &f->calls[i];
		size_t from = i * chunk, left = q->policies.count - from;
		c->kind = CALL_RESOLVE;
		c->ids = q->policies.ids + from;
		c->id_count = left < chunk ? left : chunk;
	}
	return st;
}

/* The hosts to ask for: those that the policy resolves to, and of these the ones wanted. */
static void
keep_wanted(const struct id_list *wanted, struct resolved *r)
{
	size_t kept = 0;
	if (wanted->count == 0)
		return;
	for (size_t i = 0; i < r->host_count; i++)
		if (ids_find(wanted->ids, wanted->count, r->hosts[i]) != wanted->count)
			r->hosts[kept++] = r->hosts[i];
	r->host_count = kept;
}

/* Every policy must have been answered exactly once; one that was not, or with an error, makes the
 * result incomplete and is named. */
static enum status
check_resolved(struct fetch *f)
{
	const struct id_list *policies = &f->query.policies;
	f->host_errors = arena_array(&f->arena, policies->count, sizeof *f->host_errors);
	if (f->host_errors == NULL)
		return STATUS_NO_MEMORY;
	struct id_set answered = {0};
	enum status st = STATUS_OK;
	size_t good = 0;
	for (size_t i = 0; i < f->resolved_count && st == STATUS_OK; i++) {
		if (f->resolved[i].error)
			continue;
		st = id_set_add(&answered, f->resolved[i].policy);
		good++;
	}
	id_set_settle(&answered);
	if (st == STATUS_OK && answered.count != good)
		st = STATUS_UPSTREAM_BAD_DATA; /* one policy twice: which one holds? */
	for (size_t i = 0; i < policies->count && st == STATUS_OK; i++)
		if (ids_find(answered.ids, answered.count, policies->ids[i]) == answered.count)
			f->host_errors[f->host_error_count++] = policies->ids[i];
	id_set_fini(&answered);
	return st;
}

static enum status
collect_hosts(struct fetch *f)
{
	size_t all = 0;
	for (size_t i = 0; i < f->resolved_count; i++)
		all += f->resolved[i].host_count;
	if (all == 0)
		return STATUS_OK;
	f->hosts = malloc(all * sizeof *f->hosts);
	if (f->hosts == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < f->resolved_count; i++) {
		if (f->resolved[i].host_count == 0)
			continue;
		memcpy(f->hosts + f->host_count, f->resolved[i].hosts,
		    f->resolved[i].host_count * sizeof *f->hosts);
		f->host_count += f->resolved[i].host_count;
	}
	f->host_count = ids_sort(f->hosts, f->host_count);
	return STATUS_OK;
}

/* Hosts that go into one call: the setting, and what the documented body size leaves room for. */
static size_t
hosts_per_call(const struct fetch *f)
{
	size_t fits = (LIMIT_UPSTREAM_REQUEST_BYTES - 128) / 22; /* "…19 digits…", */
	size_t set = (size_t)f->owner->o.hosts_per_call;
	return set < fits ? set : fits;
}

static enum status
plan_by_host(struct fetch *f)
{
	size_t per_call = hosts_per_call(f), calls = 0;
	for (size_t i = 0; i < f->resolved_count; i++)
		calls += (f->resolved[i].host_count + per_call - 1) / per_call;
	enum status st = make_calls(f, calls);
	if (st != STATUS_OK)
		return st;
	size_t at = 0;
	for (size_t i = 0; i < f->resolved_count; i++) {
		const struct resolved *r = &f->resolved[i];
		for (size_t from = 0; from < r->host_count; from += per_call, at++) {
			size_t left = r->host_count - from;
			struct call *c = &f->calls[at];
			c->policy = r->policy;
			c->subscription =
			    f->query.subscription != 0 ? f->query.subscription : r->subscription;
			c->ids = r->hosts + from;
			c->id_count = left < per_call ? left : per_call;
		}
	}
	return STATUS_OK;
}

/* 400,000 IDs are the upstream's limit and the contract's: one call; the body's size cuts the
 * list when IDs are long. */
static enum status
plan_by_posture(struct fetch *f)
{
	const struct id_ranges *p = &f->query.postures;
	size_t fits = (LIMIT_UPSTREAM_REQUEST_BYTES - 128) / 40; /* "…19 digits…-…19 digits…," */
	enum status st = make_calls(f, (p->count + fits - 1) / fits);
	for (size_t i = 0; i < f->call_count; i++) {
		size_t from = i * fits, left = p->count - from;
		f->calls[i].subscription = f->subscription;
		f->calls[i].ranges = p->ranges + from;
		f->calls[i].range_count = left < fits ? left : fits;
	}
	return st;
}

static int
compare_resolved(const void *a, const void *b)
{
	const struct resolved *x = a, *y = b;
	return x->policy < y->policy ? -1 : x->policy > y->policy;
}

static enum status
step_plan(struct fetch *f)
{
	enum status st;
	/* calls of the step before are over: their memory is the arena's */
	f->calls = NULL;
	f->call_count = 0;
	if (f->query.postures.count > 0) {
		st = plan_by_posture(f);
	} else {
		st = check_resolved(f);
		if (st == STATUS_OK && f->resolved_count > 0)
			qsort(
			    f->resolved, f->resolved_count, sizeof *f->resolved, compare_resolved);
		for (size_t i = 0; i < f->resolved_count; i++)
			keep_wanted(&f->query.hosts, &f->resolved[i]);
		if (st == STATUS_OK)
			st = collect_hosts(f);
		if (st == STATUS_OK)
			st = plan_by_host(f);
	}
	size_t count = f->call_count;
	f->call_count = 0; /* they are planned, and made by the next step */
	if (st != STATUS_OK)
		return st;
	f->got = arena_array(&f->arena, count, sizeof *f->got);
	if (f->got == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < count; i++) {
		f->calls[i].kind = CALL_PULL;
		f->calls[i].index = (uint32_t)i;
	}
	f->progress.calls_planned = count;
	return STATUS_OK;
}

static enum status
step_pull(struct fetch *f)
{
	f->call_count = (size_t)f->progress.calls_planned;
	flight_progress(f->flight, FLIGHT_FETCHING, &f->progress);
	const struct cache_stage_events events = {.committed = on_committed, .ctx = f};
	return cache_stage_open(f->owner->o.cache, &events, clock_wall_ms(), &f->stage);
}

static bool
is_unfiltered(const struct query *q)
{
	return q->status == 0 && q->previous_status == 0 && q->criticality == 0 &&
	       q->evaluated_since == DATE_NONE && q->scanned_since == DATE_NONE &&
	       q->scanned_from == DATE_NONE && q->scanned_to == DATE_NONE &&
	       q->changed_since == DATE_NONE;
}

static enum status
step_seal(struct fetch *f)
{
	struct fetcher_options *o = &f->owner->o;
	struct cache_part_info *parts = arena_array(&f->arena, f->call_count + 1, sizeof *parts);
	if (parts == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < f->call_count; i++)
		parts[i] = f->calls[i].info;
	f->seal = (struct seal){
	    .digest = flight_digest(f->flight),
	    .version = f->dialect->version,
	    .fetched_at_ms = f->fetched_at_ms,
	    .freshness = o->freshness,
	    .freshness_ctx = o->freshness_ctx,
	    .calls = f->calls_made,
	    .unfiltered = is_unfiltered(&f->query),
	    .policies = f->query.policies.ids,
	    .policy_count = f->query.policies.count,
	    .hosts = f->hosts,
	    .host_count = f->host_count,
	    .host_errors = f->host_errors,
	    .host_error_count = f->host_error_count,
	    .parts = parts,
	    .got = f->got,
	    .part_count = f->call_count,
	};
	f->sealed = true;
	f->seal.text = flight_text(f->flight, &f->seal.text_len);
	return seal_make(&f->seal);
}

static enum status
step_publish(struct fetch *f)
{
	enum status st =
	    cache_stage_publish(f->stage, &f->seal.manifest, clock_wall_ms(), &f->result);
	if (st == STATUS_OK)
		f->stage = NULL; /* it is the result now */
	return st;
}

/* --- the way */

static void
fetch_free(struct fetch *f)
{
	if (f->sealed)
		seal_fini(&f->seal);
	cache_stage_abandon(f->stage);
	cache_release(f->result);
	if (f->got != NULL)
		for (size_t i = 0; i < (size_t)f->progress.calls_planned; i++)
			pull_got_fini(&f->got[i]);
	for (size_t i = 0; i < f->resolved_count; i++)
		free(f->resolved[i].hosts);
	free(f->resolved);
	free(f->hosts);
	arena_fini(&f->arena);
	flight_release(f->flight);
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
	    "fetch=%llx status=%s calls=%u records=%llu hosts=%zu ms=%lld",
	    (unsigned long long)v.id, status_info(f->failed)->name, f->calls_made,
	    (unsigned long long)(f->result != NULL ? cache_manifest(f->result)->records : 0),
	    f->host_count, (long long)(clock_mono_ms() - v.begun_ms));
	flight_progress(f->flight, v.state, &f->progress);
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
#define FETCH_STEP(name, calls, what) {step_##name, calls},
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

/* Runs steps until one has calls to wait for. Only one thread is here for a fetch at a time: the
 * one that started it, or the one whose turn it is. */
static void
fetch_go_on(struct fetch *f)
{
	while (!has_failed(f, STATUS_OK) && f->step < (int)ARRAY_LEN(steps)) {
		int step = f->step++;
		enum status st = steps[step].run(f);
		if (!has_failed(f, st) && steps[step].calls && f->call_count > 0 && submit_all(f))
			return; /* another thread may have ended it by now */
	}
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
		st = versions_choose(
		    &o->versions, plan_needs(&f->query), clock_wall_ms() / 1000, &f->dialect);
	return st;
}

void
fetch_start(struct fetcher *o, struct flight *flight, enum budget_class class)
{
	struct fetch *f = calloc(1, sizeof *f);
	if (f == NULL) {
		flight_end(flight, STATUS_NO_MEMORY, 0, NULL);
		return;
	}
	f->owner = o;
	f->flight = flight_ref(flight);
	f->class = class;
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

struct fetcher *
fetcher_new(const struct fetcher_options *options)
{
	struct fetcher *o = calloc(1, sizeof *o);
	if (o == NULL)
		return NULL;
	o->o = *options;
	lock_init(&o->lock, LOCK_FETCH);
	clock_cond_init(&o->emptied);
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

void
fetcher_free(struct fetcher *o)
{
	if (o == NULL)
		return;
	atomic_store(&o->stopping, true);
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
