/* The steps of a fetch, in the order of steps.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/fetch_state.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/plan.h"
#include "gateway/fetch/stored.h"

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
make_calls(struct fetch *f, size_t count, enum call_kind kind)
{
	if (count > LIMIT_CALLS)
		return STATUS_UPSTREAM_TOO_LARGE;
	f->calls = arena_array(&f->arena, count, sizeof *f->calls);
	f->call_count = f->calls != NULL ? count : 0;
	for (size_t i = 0; i < f->call_count; i++) {
		f->calls[i].fetch = f;
		f->calls[i].kind = kind;
	}
	return f->calls != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The subscription that a record of the result tells; 0: none does. */
static uint64_t
subscription_of(struct cache *cache, struct cache_result *result)
{
	struct cache_view *view;
	struct split_member m;
	const struct row *rows;
	const char *bytes;
	size_t part, rows_len, len, covered;
	uint64_t at, id = 0;
	if (!cache_locate(result, 0, &part, &at) || cache_view_open(cache, &view) != STATUS_OK)
		return 0;
	struct cache_source source = cache_source_part(result, part);
	bool told =
	    cache_view_rows(view, &source, at, &rows, &rows_len) == STATUS_OK &&
	    cache_view_bodies(view, &source, rows, 1, &bytes, &len, &covered) == STATUS_OK &&
	    members_find(bytes, len, "subscriptionId", &m) &&
	    plan_read_id(m.value, m.value_len, &id);
	cache_view_close(view);
	return told ? id : 0;
}

uint64_t
fetch_stored_subscription(struct cache *cache)
{
	const struct query list = {.kind = KIND_POLICIES, QUERY_NO_DATES};
	struct cache_result *result = stored_fresh(cache, &list, clock_wall_ms());
	uint64_t id = result != NULL ? subscription_of(cache, result) : 0;
	cache_release(result);
	return id;
}

/* All hosts of the policy are wanted: a resolution is taken for one of now for so long. */
#define RESOLVED_NOW_MS 60000

/* Whether a fresh resolution tells enough of the hosts that are wanted. */
static bool
tells_enough(const struct cache_manifest *m, const struct id_list *wanted)
{
	int64_t age_ms = clock_wall_ms() - m->fetched_at_ms;
	return m->complete && (wanted->count > 0 || (age_ms >= 0 && age_ms < RESOLVED_NOW_MS)) &&
	       ids_have_all(m->hosts, m->host_count, wanted->ids, wanted->count);
}

static enum status
copy_hosts(struct fetch *f, uint64_t policy, uint64_t subscription, const struct id_list *hosts)
{
	struct resolved r = {.policy = policy, .subscription = subscription};
	r.hosts = malloc(hosts->count * sizeof *r.hosts);
	if (r.hosts == NULL)
		return STATUS_NO_MEMORY;
	memcpy(r.hosts, hosts->ids, hosts->count * sizeof *r.hosts);
	r.host_count = hosts->count;
	return fetch_add_resolved(f, &r);
}

struct cache_result *
fetch_stored_hosts(
    struct cache *cache, const struct query *q, uint64_t policy, uint64_t *ret_subscription)
{
	const struct query hosts = {
	    .kind = KIND_HOSTS, .policies = {&policy, 1}, .assets = q->assets, QUERY_NO_DATES};
	struct cache_result *result = stored_fresh(cache, &hosts, clock_wall_ms());
	*ret_subscription = result != NULL && tells_enough(cache_manifest(result), &q->hosts)
				? subscription_of(cache, result)
				: 0;
	return result;
}

/* Hosts need not be looked for where a fresh resolution has all that were named, or was made just now:
 * callers of the drop-in surface post back what they have been told. */
static enum status
resolve_from_store(struct fetch *f, uint64_t policy, bool *ret_done)
{
	enum status st = STATUS_OK;
	uint64_t subscription;
	*ret_done = false;
	if (f->query.kind != KIND_POSTURES || f->force)
		return STATUS_OK;
	struct cache_result *result =
	    fetch_stored_hosts(f->owner->o.cache, &f->query, policy, &subscription);
	if (subscription != 0) {
		const struct cache_manifest *m = cache_manifest(result);
		const struct id_list all = {m->hosts, m->host_count};
		st = copy_hosts(f, policy, subscription, &all);
		*ret_done = st == STATUS_OK;
	}
	cache_release(result);
	return st;
}

/* All but those that the store tells of, and those whose hosts the upstream could not tell a while ago.
 */
static enum status
policies_to_ask(struct fetch *f, struct id_list *ret)
{
	const struct id_list *all = &f->query.policies;
	int64_t now = clock_mono_ms();
	uint64_t *ids = arena_array(&f->arena, all->count, sizeof *ids);
	size_t count = 0;
	if (ids == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < all->count; i++) {
		bool done;
		enum status st = resolve_from_store(f, all->ids[i], &done);
		if (st != STATUS_OK)
			return st;
		if (!done &&
		    (f->force || memory_hosts_until(f->owner->o.memory, all->ids[i], now) == 0))
			ids[count++] = all->ids[i];
	}
	f->asked = *ret = (struct id_list){ids, count};
	return STATUS_OK;
}

/* So many policies a call. */
static enum status
calls_for_policies(struct fetch *f, enum call_kind kind)
{
	struct id_list ask = {NULL, 0};
	enum status st = policies_to_ask(f, &ask);
	size_t chunk = plan_resolve_chunk(f->dialect);
	if (st == STATUS_OK)
		st = make_calls(f, (ask.count + chunk - 1) / chunk, kind);
	for (size_t i = 0; i < f->call_count; i++) {
		struct call *c = &f->calls[i];
		size_t from = i * chunk, left = ask.count - from;
		c->ids = ask.ids + from;
		c->id_count = left < chunk ? left : chunk;
	}
	return st;
}

enum status
fetch_step_resolve(struct fetch *f)
{
	const struct query *q = &f->query;
	flight_progress(f->flight, FLIGHT_RESOLVING, &f->progress);
	if (q->kind != KIND_POSTURES)
		return STATUS_OK; /* what is asked for says it all */
	f->subscription = q->subscription != 0 ? q->subscription : f->owner->o.subscription;
	if (q->postures.count > 0) {
		if (f->subscription == 0)
			f->subscription = fetch_stored_subscription(f->owner->o.cache);
		return f->subscription != 0 ? STATUS_OK : make_calls(f, 1, CALL_SUBSCRIPTION);
	}
	return calls_for_policies(f, CALL_RESOLVE);
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

void
fetch_host_error(struct fetch *f, uint64_t policy)
{
	int64_t now = clock_mono_ms();
	bool asked = ids_find(f->asked.ids, f->asked.count, policy) != f->asked.count;
	/* one that was kept back has not failed again, though its time may have come meanwhile */
	int64_t again_ms = asked ? memory_hosts_failed(f->owner->o.memory, policy, now)
				 : memory_hosts_until(f->owner->o.memory, policy, now);
	if (again_ms == 0)
		again_ms = now;
	if (f->host_error_count == 0 || again_ms < f->hosts_again_ms)
		f->hosts_again_ms = again_ms;
	f->host_errors[f->host_error_count++] = policy;
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
	for (size_t i = 0; i < policies->count && st == STATUS_OK; i++) {
		uint64_t policy = policies->ids[i];
		if (ids_find(answered.ids, answered.count, policy) == answered.count)
			fetch_host_error(f, policy);
		else
			memory_hosts_good(f->owner->o.memory, policy);
	}
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

/* A result that consists of hosts: which policies have not told theirs, and all hosts there are. */
static enum status
sum_up_hosts(struct fetch *f)
{
	enum status st = check_resolved(f);
	return st == STATUS_OK ? collect_hosts(f) : st;
}

size_t
fetch_hosts_per_call(const struct fetcher *o)
{
	size_t fits = (LIMIT_UPSTREAM_REQUEST_BYTES - 128) / 22; /* "…19 digits…", */
	size_t set = (size_t)o->o.hosts_per_call;
	return set < fits ? set : fits;
}

static enum status
plan_by_host(struct fetch *f)
{
	size_t per_call = fetch_hosts_per_call(f->owner), calls = 0;
	for (size_t i = 0; i < f->resolved_count; i++)
		calls += (f->resolved[i].host_count + per_call - 1) / per_call;
	enum status st = make_calls(f, calls, CALL_PULL);
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
	size_t fits = FETCH_RANGES_PER_CALL;
	enum status st = make_calls(f, (p->count + fits - 1) / fits, CALL_PULL);
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

/* Before those are left out that nobody named. */
static void
tell_demand(const struct fetch *f, const struct resolved *r)
{
	if (!r->error)
		demand_resolved(f->owner->o.demand, r->policy, r->host_count);
}

static enum status
plan_postures(struct fetch *f)
{
	if (f->query.postures.count > 0)
		return plan_by_posture(f);
	enum status st = check_resolved(f);
	if (st == STATUS_OK && f->resolved_count > 0)
		qsort(f->resolved, f->resolved_count, sizeof *f->resolved, compare_resolved);
	for (size_t i = 0; i < f->resolved_count; i++) {
		tell_demand(f, &f->resolved[i]);
		keep_wanted(&f->query.hosts, &f->resolved[i]);
	}
	if (st == STATUS_OK)
		st = collect_hosts(f);
	return st == STATUS_OK ? plan_by_host(f) : st;
}

static enum status
plan_policies(struct fetch *f)
{
	return make_calls(f, 1, CALL_POLICIES);
}

static enum status
plan_hosts(struct fetch *f)
{
	return calls_for_policies(f, CALL_HOSTS);
}

enum status
fetch_step_plan(struct fetch *f)
{
	static enum status (*const kinds[])(struct fetch * f) = {
	    [KIND_POSTURES] = plan_postures,
	    [KIND_POLICIES] = plan_policies,
	    [KIND_HOSTS] = plan_hosts,
	};
	/* calls of the step before are over: their memory is the arena's */
	f->calls = NULL;
	f->call_count = 0;
	enum status st = kinds[f->query.kind](f);
	size_t count = f->call_count;
	f->call_count = 0; /* they are planned, and made by the next step */
	if (st != STATUS_OK)
		return st;
	f->got = arena_array(&f->arena, count, sizeof *f->got);
	if (f->got == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		f->calls[i].index = (uint32_t)i;
	f->progress.calls_planned = count;
	return STATUS_OK;
}

/* Policy lists have versions of their own. */
static const char *
version_asked(const struct fetch *f)
{
	return f->query.kind == KIND_POLICIES ? f->dialect->policy_list_version
					      : f->dialect->version;
}

enum status
fetch_step_pull(struct fetch *f)
{
	f->call_count = (size_t)f->progress.calls_planned;
	flight_progress(f->flight, FLIGHT_FETCHING, &f->progress);
	const struct cache_stage_events events = {.committed = on_committed, .ctx = f};
	enum status st = cache_stage_open(f->owner->o.cache, &events, clock_wall_ms(), &f->stage);
	if (st != STATUS_OK)
		return st;
	flight_asks(f->flight, version_asked(f), f->fetched_at_ms);
	flight_staged(f->flight, cache_stage_id(f->stage));
	return st;
}

/* Whether what the result lacks is lacking in the new one, too, and more besides. */
static bool
has_fewer_holes(const struct cache_manifest *m, const struct cache_manifest *new)
{
	if (m->complete)
		return true;
	if (m->host_error_count >= new->host_error_count)
		return false;
	for (size_t i = 0; i < m->host_error_count; i++)
		if (ids_find(new->host_errors, new->host_error_count, m->host_errors[i]) ==
		    new->host_error_count)
			return false;
	return true;
}

/* A result that may still stand in is worth more than a newer one with more holes. */
static bool
better_is_there(struct fetch *f)
{
	struct cache_result *current;
	size_t len;
	const char *text = flight_text(f->flight, &len);
	int64_t now = clock_wall_ms();
	if (cache_lookup(f->owner->o.cache, flight_digest(f->flight), text, len, now, &current) !=
	    STATUS_OK)
		return false;
	const struct cache_manifest *m = cache_manifest(current);
	bool better = now < m->keep_until_ms && has_fewer_holes(m, &f->seal.manifest);
	cache_release(current);
	return better;
}

static enum seal_fresh
whose_times(const struct query *q)
{
	if (q->kind == KIND_POLICIES)
		return SEAL_FRESH_OVERALL;
	return q->postures.count > 0 ? SEAL_FRESH_SHORTEST : SEAL_FRESH_ASKED;
}

enum status
fetch_step_seal(struct fetch *f)
{
	struct fetcher_options *o = &f->owner->o;
	struct cache_part_info *parts = arena_array(&f->arena, f->call_count + 1, sizeof *parts);
	enum status st = parts != NULL ? STATUS_OK : STATUS_NO_MEMORY;
	if (st == STATUS_OK && f->query.kind == KIND_HOSTS)
		st = sum_up_hosts(f);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < f->call_count; i++)
		parts[i] = f->calls[i].info;
	f->seal = (struct seal){
	    .digest = flight_digest(f->flight),
	    .version = version_asked(f),
	    .fetched_at_ms = f->fetched_at_ms,
	    .freshness = o->freshness,
	    .freshness_ctx = o->freshness_ctx,
	    .fresh = whose_times(&f->query),
	    .calls = (uint32_t)f->progress.calls_made,
	    .unfiltered = plan_is_unfiltered(&f->query),
	    .gap_is_incomplete = o->gaps == FETCH_GAPS_STRICT,
	    .hosts_again_ms =
		f->hosts_again_ms - clock_mono_ms() + clock_wall_ms() - f->fetched_at_ms,
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
	st = seal_make(&f->seal);
	if (st == STATUS_OK && !f->seal.manifest.complete && better_is_there(f))
		st = STATUS_UPSTREAM_INCOMPLETE;
	return st;
}

enum status
fetch_step_publish(struct fetch *f)
{
	enum status st =
	    cache_stage_publish(f->stage, &f->seal.manifest, clock_wall_ms(), &f->result);
	if (st == STATUS_OK)
		f->stage = NULL; /* it is the result now */
	return st;
}
