#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/broaden.h"

/* What the upstream failed is not fetched in place of something else, or ahead, for so long. */
#define FAILED_MS 300000

struct implies_rules
broaden_rules(const struct settings *s)
{
	return (struct implies_rules){
	    .scanned_since = s->scanned_since_holds,
	    .changed_since = s->changed_since_holds,
	};
}

static bool
is_on(const struct gateway *g)
{
	return g->settings->containment && g->settings->broaden;
}

/* False: it has none. */
static bool
name_scope(const struct gateway *g, const struct query *q, uint8_t ret_digest[SHA256_BYTES])
{
	const struct implies_rules rules = broaden_rules(g->settings);
	struct query scope;
	struct buf canon;
	if (!is_on(g) || !breadth_scope(q, &rules, &scope))
		return false;
	buf_init(&canon, LIMIT_CANON_BYTES);
	enum status st = query_name(&scope, &canon, ret_digest);
	buf_fini(&canon);
	return st == STATUS_OK;
}

/* --- what it costs */

static void
count_calls(const struct gateway *g, const struct query *q, struct breadth_known *k)
{
	const struct id_list *p = &q->policies;
	uint64_t per_call = g->settings->hosts_per_call;
	k->calls_known =
	    demand_calls(g->demand, p->ids, p->count, per_call, 0, &k->broad_calls) &&
	    demand_calls(g->demand, p->ids, p->count, per_call, q->hosts.count, &k->own_calls);
	if (k->calls_known)
		return;
	/* a call for each at least; of a query for all hosts it is as many, whatever that is */
	k->own_calls = k->broad_calls = p->count;
	k->calls_known = q->hosts.count == 0;
}

/* What the last broad result tells. Of hosts that it did not find a new one would hardly have any more:
 * the query would have a fetch of its own all the same. */
static enum broaden
look_at_store(
    const struct gateway *g, const struct query *q, struct broader *b, struct breadth_known *k)
{
	struct cache_result *r;
	int64_t now_ms = clock_wall_ms();
	if (cache_lookup(g->cache, b->digest, b->canon.data, b->canon.len, now_ms, &r) != STATUS_OK)
		return BROADEN_DO;
	const struct cache_manifest *m = cache_manifest(r);
	b->fresh_until_ms = m->fresh_until_ms;
	k->sized = true;
	k->broad_bytes = m->body_bytes;
	bool in_vain = m->complete && !implies_hosts(m->hosts, m->host_count, q);
	cache_release(r);
	if (now_ms < b->fresh_until_ms)
		return BROADEN_STORED;
	return in_vain ? BROADEN_NOT : BROADEN_DO;
}

bool
broaden_would_fail(
    const struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES])
{
	int64_t wait_ms;
	enum status st;
	return fetch_forecast(g->fetcher, q, NULL, &wait_ms) != STATUS_OK ||
	       flights_failed_lately(g->flights, digest, FAILED_MS, &st, &wait_ms);
}

static bool
is_running(const struct gateway *g, const struct broader *b)
{
	struct flight *f = flight_running(g->flights, b->digest, b->canon.data, b->canon.len);
	flight_release(f);
	return f != NULL;
}

static struct demand_query
demand_of(const struct gateway *g, const struct query *q, const uint8_t *scope,
    const uint8_t *digest, uint64_t calls)
{
	return (struct demand_query){
	    .scope = scope,
	    .query = digest,
	    .details = breadth_details(q),
	    .calls = calls,
	    .window_ms = settings_freshness_for(g->settings, q->policies.ids, q->policies.count)
			     .fresh_for_ms,
	};
}

static enum broaden
decide(struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES],
    struct breadth_known *k, struct broader *b)
{
	const struct breadth_bounds bounds = {
	    g->settings->broaden_bytes, g->settings->broaden_calls};
	if (memcmp(digest, b->digest, SHA256_BYTES) == 0)
		return BROADEN_NOT; /* it is as broad as can be */
	enum broaden told = look_at_store(g, q, b, k);
	if (told != BROADEN_DO)
		return told;
	enum breadth choice = breadth_choose(k, &bounds);
	log_event(LOG_DEBUG, "breadth",
	    "choice=%s others=%u calls=%llu broad_calls=%llu broad_bytes=%llu policies=%zu",
	    breadth_name(choice), k->others, (unsigned long long)k->own_calls,
	    (unsigned long long)k->broad_calls, (unsigned long long)k->broad_bytes,
	    q->policies.count);
	if (!breadth_is_broad(choice) || broaden_would_fail(g, &b->query, b->digest))
		return BROADEN_NOT;
	return is_running(g, b) ? BROADEN_RUNS : BROADEN_DO;
}

/* By another version of the upstream, out of whose result the query could not be answered. */
static bool
is_answered_otherwise(const struct gateway *g, const struct query *broad, const struct query *q)
{
	const char *version = fetch_version(g->fetcher, broad);
	return version != NULL && fetch_version_lacks(g->fetcher, version, q) != NULL;
}

enum broaden
broaden(struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES], bool asked,
    struct broader *ret)
{
	const struct implies_rules rules = broaden_rules(g->settings);
	struct breadth_known k = {.others = 0};
	struct demand_scope scope;
	uint8_t scope_digest[SHA256_BYTES];
	*ret = (struct broader){.fresh_until_ms = 0};
	buf_init(&ret->canon, LIMIT_CANON_BYTES);
	if (!name_scope(g, q, scope_digest))
		return BROADEN_NOT;
	count_calls(g, q, &k);
	const struct demand_query dq = demand_of(g, q, scope_digest, digest, k.own_calls);
	if (asked)
		demand_asked(g->demand, &dq, clock_mono_ms(), &scope);
	else
		demand_look(g->demand, &dq, clock_mono_ms(), &scope);
	k.others = scope.others;
	k.alone_calls = scope.calls;
	k.least_bytes = scope.bytes;
	if (!breadth_broad(q, &rules, scope.details, &ret->query) ||
	    is_answered_otherwise(g, &ret->query, q) ||
	    query_name(&ret->query, &ret->canon, ret->digest) != STATUS_OK)
		return BROADEN_NOT;
	return decide(g, q, digest, &k, ret);
}

void
broader_fini(struct broader *b)
{
	buf_fini(&b->canon);
}

void
broaden_noted(struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES])
{
	uint8_t scope_digest[SHA256_BYTES];
	struct demand_scope scope;
	struct breadth_known k;
	if (!name_scope(g, q, scope_digest))
		return;
	count_calls(g, q, &k);
	const struct demand_query dq = demand_of(g, q, scope_digest, digest, k.own_calls);
	demand_asked(g->demand, &dq, clock_mono_ms(), &scope);
}

void
broaden_sized(struct gateway *g, const struct query *q, uint64_t bytes)
{
	uint8_t scope_digest[SHA256_BYTES];
	if (name_scope(g, q, scope_digest))
		demand_sized(g->demand, scope_digest, bytes);
}
