/* How a fetch would go: which calls it would make, by the rules of its steps, and how long they would
 * take. Nothing is asked and nothing begins. */
#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/ids.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/fetch_state.h"
#include "gateway/fetch/plan.h"

static uint64_t
calls_for(size_t count, size_t per_call)
{
	return (count + per_call - 1) / per_call;
}

static size_t
count_wanted(const struct cache_manifest *m, const struct id_list *wanted)
{
	size_t count = 0;
	if (wanted->count == 0)
		return m->host_count;
	for (size_t i = 0; i < wanted->count; i++)
		count += ids_find(m->hosts, m->host_count, wanted->ids[i]) != m->host_count;
	return count;
}

/* Gives whether its hosts would be asked for. */
static bool
foresee_policy(struct fetcher *o, const struct query *q, bool force, uint64_t policy,
    struct fetch_outlook *out)
{
	uint64_t subscription;
	struct cache_result *hosts = fetch_stored_hosts(o->o.cache, q, policy, &subscription);
	bool asks = force || subscription == 0;
	/* those that could not be told a while ago are left alone */
	if (asks && !force && memory_hosts_until(o->o.memory, policy, clock_mono_ms()) != 0) {
		cache_release(hosts);
		return false;
	}
	if (hosts != NULL && cache_manifest(hosts)->complete)
		out->calls[API_POSTURE_INFO] += calls_for(
		    count_wanted(cache_manifest(hosts), &q->hosts), fetch_hosts_per_call(o));
	else
		out->known = false;
	cache_release(hosts);
	return asks;
}

/* The version that would be asked, or NULL. */
static const struct dialect *
foresee_version(struct fetcher *o, const struct query *q)
{
	const struct dialect *d;
	enum status st = versions_choose(&o->o.versions, plan_needs(q), clock_wall_ms() / 1000,
	    memory_gone(o->o.memory, clock_mono_ms()), &d);
	return st == STATUS_OK ? d : NULL;
}

const char *
fetch_version(struct fetcher *o, const struct query *q)
{
	const struct dialect *d = foresee_version(o, q);
	return d != NULL ? d->version : NULL;
}

const char *
fetch_version_lacks(struct fetcher *o, const char *version, const struct query *want)
{
	const struct versions *v = &o->o.versions;
	const struct dialect *theirs = versions_dialect(version);
	bool more = theirs != NULL && want->assets == ASSETS_PC && versions_has_sca(v, theirs);
	/* mostly; a hit then takes no lock here */
	if (theirs == NULL || (!more && theirs == versions_at(VERSIONS_COUNT - 1)))
		return NULL;
	const struct dialect *own = foresee_version(o, want);
	if (own == NULL || theirs == own)
		return NULL;
	if (more && !versions_has_sca(v, own))
		return "assets";
	return versions_is_older(theirs, own) ? "version" : NULL;
}

static void
foresee_by_policy(struct fetcher *o, const struct query *q, bool force, struct fetch_outlook *out)
{
	const struct dialect *d = foresee_version(o, q);
	size_t asked = 0;
	if (d == NULL) {
		out->known = false;
		return;
	}
	for (size_t i = 0; i < q->policies.count; i++)
		asked += foresee_policy(o, q, force, q->policies.ids[i], out);
	out->calls[API_HOSTIDS] = calls_for(asked, plan_resolve_chunk(d));
}

static void
foresee_by_posture(struct fetcher *o, const struct query *q, struct fetch_outlook *out)
{
	bool known = q->subscription != 0 || o->o.subscription != 0 ||
		     fetch_stored_subscription(o->o.cache) != 0;
	out->calls[API_POLICY_LIST] = known ? 0 : 1;
	out->calls[API_POSTURE_INFO] = calls_for(q->postures.count, FETCH_RANGES_PER_CALL);
}

/* One kind of call goes after the other, but the budget of each runs on meanwhile. */
static int64_t
about_how_long(struct fetcher *o, const char *consumer, const uint64_t calls[API_COUNT])
{
	int64_t mean_ms[API_COUNT], wait_ms = 0, take_ms = 0;
	lock_take(&o->lock);
	memcpy(mean_ms, o->mean_ms, sizeof mean_ms);
	lock_drop(&o->lock);
	for (int api = 0; api < API_COUNT; api++) {
		struct budget_view v;
		if (calls[api] == 0)
			continue;
		int64_t ms =
		    budget_foresee_ms(o->o.budget, (enum upstream_api)api, consumer, calls[api]);
		budget_view(o->o.budget, (enum upstream_api)api, &v);
		uint64_t at_a_time = v.concurrency > 0 ? v.concurrency : 1;
		wait_ms = ms > wait_ms ? ms : wait_ms;
		take_ms += (int64_t)((calls[api] + at_a_time - 1) / at_a_time) * mean_ms[api];
	}
	return wait_ms + take_ms;
}

void
fetch_foresee(struct fetcher *o, const struct query *q, bool force, const char *consumer,
    struct fetch_outlook *ret)
{
	struct fetch_outlook out = {.known = true};
	if (q->postures.count > 0)
		foresee_by_posture(o, q, &out);
	else
		foresee_by_policy(o, q, force, &out);
	if (out.known)
		out.ms = about_how_long(o, consumer, out.calls);
	*ret = out;
}
