#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/ids.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/plan.h"
#include "gateway/legacy/body.h"
#include "gateway/legacy/usage.h"
#include "gateway/request_legacy.h"

/* --- parse */

#define POLICY_LIST_VERSIONS 2 /* 1.0 and 2.0: it counts for itself */
#define BODY_SOURCES_MOST                                                                          \
	10000 /* of policy and subscription, in one body: each is looked up before the first byte */

static enum upstream_api
api_of(enum route route)
{
	return route == ROUTE_PCRS_POLICY_LIST ? API_POLICY_LIST
	       : route == ROUTE_PCRS_HOSTIDS   ? API_HOSTIDS
					       : API_POSTURE_INFO;
}

/* False: the vendor never had such a version of it. */
static bool
take_version(const struct request *r, struct legacy *l)
{
	const char *name;
	for (unsigned i = 0; i < USAGE_VERSIONS; i++) {
		name = usage_version_name(i);
		if (strlen(name) != r->routed.part_len ||
		    memcmp(name, r->routed.part, r->routed.part_len) != 0)
			continue;
		l->version = name;
		l->version_index = i;
		return l->api != API_POLICY_LIST || i < POLICY_LIST_VERSIONS;
	}
	return false;
}

enum step
legacy_ended(struct request *r, enum upstream_api api, const char *version,
    enum sunset_verdict verdict, int64_t since_s)
{
	struct buf text;
	buf_init(&text, 4 * KIB);
	sunset_text(&r->gateway->sunset, verdict, api, version, since_s, r->now_ms / 1000, &text);
	enum step next = request_problem(r, STATUS_VERSION_ENDED, buf_str(&text));
	buf_fini(&text);
	return next;
}

/* 1.0 and 2.0 answered for SCA assets, too. A version that still does is asked, if there is one; else
 * the consumer's settings say what becomes of the call. False: it is refused. */
static bool
settle_assets(const struct request *r, struct legacy *l)
{
	struct query *q = &l->asked.query;
	int64_t wait_ms;
	if (l->api == API_POLICY_LIST || l->version_index > 1)
		return true;
	q->assets = ASSETS_ALL;
	if (fetch_forecast(r->gateway->fetcher, q, NULL, &wait_ms) != STATUS_VERSION_UNAVAILABLE)
		return true;
	q->assets = ASSETS_PC;
	l->without_sca = true;
	return r->consumer->legacy != LEGACY_STRICT;
}

static enum status
read_body(struct request *r, const struct legacy *l, struct legacy_wants *ret_wants,
    const char **ret_message)
{
	struct buf body;
	size_t len;
	enum status st = conditions_length(r->fcgi, LIMIT_BODY_BYTES, &len);
	if (st != STATUS_OK)
		return st;
	buf_init(&body, LIMIT_BODY_BYTES);
	st = fcgi_read_body(r->fcgi, &body, len);
	if (st == STATUS_OK)
		st = legacy_body_read(
		    &r->arena, l->version, body.data, body.len, ret_wants, ret_message);
	buf_fini(&body);
	return st;
}

static uint64_t
known_subscription(const struct request *r)
{
	const struct gateway *g = r->gateway;
	return g->settings->subscription != 0 ? g->settings->subscription
					      : fetch_subscription(g->fetcher);
}

/* The subscription that the upstream tells of itself need not be said, and is not: so that queries with
 * and without it share their results. Before it has told any, the one that is given is taken for it,
 * and held against it later. */
static uint64_t
subscription_to_say(struct request *r, uint64_t given)
{
	uint64_t known = known_subscription(r), *unproved = &r->legacy->unproved_subscription;
	if (known == 0 && (*unproved == 0 || *unproved == given)) {
		*unproved = given;
		return 0;
	}
	return given == known ? 0 : given;
}

bool
legacy_subscription_holds(struct request *r)
{
	uint64_t known = known_subscription(r), *unproved = &r->legacy->unproved_subscription;
	if (*unproved == 0 || known == 0)
		return true;
	if (known != *unproved)
		return false;
	*unproved = 0; /* what is told of other policies later does not matter */
	return true;
}

static enum status
settle_source(struct source *s)
{
	query_canon(&s->query, &s->canon);
	if (s->canon.err == STATUS_OK)
		query_digest(s->canon.data, s->canon.len, s->digest);
	return s->canon.err;
}

static enum status
make_source(struct request *r, const struct legacy_want *want, struct source *s)
{
	struct query *q = &s->query;
	*q = r->legacy->asked.query;
	if (want->policy != 0)
		q->policies = (struct id_list){&want->policy, 1};
	q->hosts = want->hosts;
	q->postures = want->postures;
	q->subscription = subscription_to_say(r, want->subscription);
	return settle_source(s);
}

/* They ascend already. */
static enum status
list_policies(struct request *r, const struct legacy_wants *wants)
{
	uint64_t *ids = arena_array(&r->arena, wants->count + 1, sizeof *ids);
	size_t count = 0;
	if (ids == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < wants->count; i++)
		if (wants->list[i].policy != 0 &&
		    (count == 0 || ids[count - 1] != wants->list[i].policy))
			ids[count++] = wants->list[i].policy;
	r->legacy->policies = (struct id_list){ids, count};
	return STATUS_OK;
}

static enum status
make_sources(struct request *r, const struct legacy_wants *wants, const char **ret_message)
{
	struct legacy *l = r->legacy;
	enum status st = STATUS_OK;
	if (wants->count > BODY_SOURCES_MOST) {
		*ret_message = arena_printf(
		    &r->arena, "A body may have at most %d policies", BODY_SOURCES_MOST);
		return STATUS_BAD_REQUEST;
	}
	l->sources = arena_array(&r->arena, wants->count + 1, sizeof *l->sources);
	if (l->sources == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < wants->count && st == STATUS_OK; i++) {
		source_init(&l->sources[i]);
		l->source_count++;
		st = make_source(r, &wants->list[i], &l->sources[i]);
	}
	return st == STATUS_OK ? list_policies(r, wants) : st;
}

static bool
may_see(const struct request *r)
{
	const struct legacy *l = r->legacy;
	bool covers = access_covers(r->consumer, &l->asked.query.policies);
	for (size_t i = 0; i < l->source_count; i++)
		covers = covers && access_covers(r->consumer, &l->sources[i].query.policies);
	return covers;
}

static const struct query all_policies = {.kind = KIND_POLICIES, QUERY_NO_DATES};

/* What is asked for, as one query or as several. */
static enum step
parse_asked(struct request *r)
{
	struct legacy *l = r->legacy;
	struct legacy_wants wants;
	const char *message = NULL;
	enum status st = legacy_params_read(&r->arena, l->api, l->version, r->routed.query,
	    r->routed.query_len, &l->asked, &message);
	if (st == STATUS_OK && !settle_assets(r, l))
		return request_problem(r, STATUS_VERSION_UNAVAILABLE,
		    arena_printf(&r->arena,
			"Version %s answered for PC and SCA assets. What the upstream still has "
			"answers for PC assets alone, so that this answer would lack records. Ask "
			"the "
			"operator of this gateway to set legacy = warn or legacy = allow for your "
			"consumer, or use /v1/postures",
			l->version));
	l->streams = l->api == API_POSTURE_INFO;
	if (st == STATUS_OK && l->streams)
		st = read_body(r, l, &wants, &message);
	if (st == STATUS_OK && l->streams)
		st = make_sources(r, &wants, &message);
	if (st == STATUS_OK && !l->streams) {
		r->source->query = l->asked.all_policies ? all_policies : l->asked.query;
		st = settle_source(r->source);
	}
	if (st != STATUS_OK)
		return request_problem(r, st, message);
	if (!may_see(r))
		return request_problem(r, STATUS_FORBIDDEN,
		    "The grant of this key does not cover every policy asked for");
	return STEP_lookup;
}

bool
legacy_route(struct request *r)
{
	struct legacy *l = arena_alloc(&r->arena, sizeof *l);
	if (l == NULL)
		return false;
	*l = (struct legacy){.api = api_of(r->routed.route)};
	if (!take_version(r, l))
		return false;
	r->legacy = l;
	return true;
}

enum step
legacy_parse(struct request *r)
{
	const struct legacy *l = r->legacy;
	int64_t since_s;
	enum sunset_verdict verdict = sunset_check(&r->gateway->sunset, r->consumer->legacy_until_s,
	    l->api, l->version, r->now_ms / 1000, &since_s);
	return verdict == SUNSET_SERVED ? parse_asked(r)
					: legacy_ended(r, l->api, l->version, verdict, since_s);
}

enum step
legacy_hosts_of(struct request *r, const struct id_list *policies)
{
	struct query hosts = r->legacy->asked.query;
	hosts.policies = *policies;
	source_fini(r->source);
	source_init(r->source);
	r->source->query = hosts;
	enum status st = settle_source(r->source);
	return st == STATUS_OK ? STEP_lookup : request_problem(r, st, NULL);
}

/* --- lookup */

enum step
legacy_lookup(struct request *r)
{
	struct legacy *l = r->legacy;
	enum step all = STEP_answer;
	if (!l->streams)
		return source_lookup(r);
	for (size_t i = 0; i < l->source_count; i++) {
		r->source = &l->sources[i];
		enum step next = source_lookup(r);
		if (next == STEP_respond)
			return next;
		if (next == STEP_follow)
			all = next;
	}
	return all;
}

/* --- follow */

/* What a fresh resolution tells of a source's hosts, held against those asked for: both ascend. */
struct told {
	enum { TOLD_NOTHING, TOLD_OTHERS, TOLD_ALL } what;
	size_t at;  /* hosts that were the same so far */
	int64_t ms; /* since when it does (wall) */
};

static void
compare_host(const struct query *q, uint64_t host, struct told *t)
{
	if (t->at < q->hosts.count && q->hosts.ids[t->at] == host)
		t->at++;
	else
		t->what = TOLD_OTHERS;
}

/* A resolution, and the sources that it is held against; ascending by policy, `told` beside them. */
struct comparison {
	const struct source *sources;
	size_t count;
	struct told *told;
	size_t at; /* the first one of the policy met last */
};

/* The first source of that policy or of a greater one. Rows of a policy stand together. */
static size_t
find_policy(const struct comparison *c, uint64_t policy)
{
	size_t low = 0, high = c->count;
	if (c->at < c->count && c->sources[c->at].query.policies.ids[0] == policy)
		return c->at;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->sources[middle].query.policies.ids[0] < policy)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum status
on_resolved_host(void *ctx, const struct reader_record *rec)
{
	struct comparison *c = ctx;
	c->at = find_policy(c, rec->row->policy);
	for (size_t i = c->at;
	     i < c->count && c->sources[i].query.policies.ids[0] == rec->row->policy; i++)
		compare_host(&c->sources[i].query, rec->row->host, &c->told[i]);
	return STATUS_OK;
}

/* The fresh resolution of these policies, or NULL. */
static struct cache_result *
resolution_of(const struct request *r, const struct id_list *policies, enum query_assets assets)
{
	const struct query asked = {
	    .kind = KIND_HOSTS, .policies = *policies, .assets = assets, QUERY_NO_DATES};
	struct cache_result *resolution = NULL;
	struct buf text;
	uint8_t digest[SHA256_BYTES];
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(&asked, &text);
	query_digest(text.data, text.len, digest);
	if (text.err != STATUS_OK || cache_lookup(r->gateway->cache, digest, text.data, text.len,
					 r->now_ms, &resolution) != STATUS_OK)
		resolution = NULL;
	buf_fini(&text);
	if (resolution == NULL)
		return NULL;
	const struct cache_manifest *m = cache_manifest(resolution);
	if (m->complete && r->now_ms < m->fresh_until_ms)
		return resolution;
	cache_release(resolution);
	return NULL;
}

/* Holds it against all these sources in one walk. Takes the resolution; NULL tells nothing. */
static void
compare(const struct request *r, struct cache_result *resolution, const struct source *sources,
    size_t count, struct told *told)
{
	struct comparison c = {sources, count, told, 0};
	const struct filter all = {0};
	struct reader reader;
	enum reader_state state = READER_MORE;
	enum status st = STATUS_OK;
	for (size_t i = 0; i < count; i++)
		told[i] = (struct told){.what = TOLD_NOTHING};
	if (resolution == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		told[i] = (struct told){TOLD_ALL, 0, cache_manifest(resolution)->published_at_ms};
	reader_init(&reader, r->gateway->cache, resolution, NULL, &all);
	while (state == READER_MORE && st == STATUS_OK)
		st = reader_take(
		    &reader, LIMIT_ROW_BLOCK, LIMIT_PIECE_BYTES, on_resolved_host, &c, &state);
	reader_fini(&reader);
	for (size_t i = 0; i < count; i++)
		if (st != STATUS_OK || told[i].at != sources[i].query.hosts.count)
			told[i].what = TOLD_OTHERS;
	cache_release(resolution);
}

/* What the answer told that the whole body was made of: looked for once, before any source is
 * widened. NULL if it tells nothing, or there is but one policy. */
static const struct told *
told_of_all(struct request *r)
{
	struct legacy *l = r->legacy;
	if (l->resolution_looked || l->policies.count < 2)
		return l->told;
	l->resolution_looked = true;
	struct cache_result *resolution = resolution_of(r, &l->policies, l->asked.query.assets);
	if (resolution == NULL)
		return NULL;
	l->told = arena_array(&r->arena, l->source_count, sizeof *l->told);
	if (l->told != NULL)
		compare(r, resolution, l->sources, l->source_count, l->told);
	else
		cache_release(resolution);
	return l->told;
}

/* Whether these are all the hosts that the policy has. It was resolved alone, which is what a fetch
 * may go by, or beside the others of this call. */
static bool
are_all_hosts(struct request *r, int64_t *ret_told_ms)
{
	const struct source *s = r->source;
	const struct told *of_all = told_of_all(r);
	struct told alone;
	compare(r, resolution_of(r, &s->query.policies, s->query.assets), s, 1, &alone);
	if (alone.what == TOLD_NOTHING && of_all != NULL)
		alone = of_all[s - r->legacy->sources];
	*ret_told_ms = alone.ms;
	return alone.what == TOLD_ALL;
}

/* A fetch under way that may have looked for its hosts before there were all those that the caller was
 * told of. */
static bool
is_begun_too_early(const struct request *r, int64_t told_ms)
{
	const struct source *s = r->source;
	struct flight_view v;
	struct flight *f =
	    flight_running(r->gateway->flights, s->digest, s->canon.data, s->canon.len);
	if (f == NULL)
		return false;
	flight_look(f, &v);
	flight_release(f);
	return clock_wall_ms() - (clock_mono_ms() - v.begun_ms) < told_ms;
}

/* What is fresh for the query was looked at and refused: it is older than one of the hosts. */
static bool
is_fresh_there(const struct request *r, const struct query *q)
{
	struct cache_result *result;
	struct buf text;
	uint8_t digest[SHA256_BYTES];
	bool fresh = false;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(q, &text);
	query_digest(text.data, text.len, digest);
	if (text.err == STATUS_OK && cache_lookup(r->gateway->cache, digest, text.data, text.len,
					 r->now_ms, &result) == STATUS_OK) {
		const struct cache_manifest *m = cache_manifest(result);
		fresh = m->complete && r->now_ms < m->fresh_until_ms;
		cache_release(result);
	}
	buf_fini(&text);
	return fresh;
}

static enum status
ask_as(struct source *s, const struct query *q)
{
	s->query = *q;
	buf_reset(&s->canon);
	return settle_source(s);
}

/* Clients post back what hostids has told them. Asked for as all hosts of the policy, it is the query
 * of everybody else who wants these. */
static enum status
widen(struct request *r)
{
	struct source *s = r->source;
	const struct query narrow = s->query;
	struct query all = narrow;
	int64_t told_ms;
	all.hosts = (struct id_list){NULL, 0};
	if (narrow.policies.count != 1 || narrow.hosts.count == 0 || !are_all_hosts(r, &told_ms) ||
	    is_fresh_there(r, &all))
		return STATUS_OK;
	enum status st = ask_as(s, &all);
	if (st == STATUS_OK && is_begun_too_early(r, told_ms))
		return ask_as(s, &narrow);
	/* it will tell which hosts there are; of those the ones that were asked for are given */
	s->of_flight = (struct query){.hosts = narrow.hosts, QUERY_NO_DATES};
	s->widened = st == STATUS_OK;
	return st;
}

/* How many fetches of one answer may be under way before they are needed: as many as keep the
 * upstream busy, for it takes few calls at a time, and no more, for the budget is everybody's. */
#define FETCHES_AHEAD 4

static enum served
served_by(const struct source *s)
{
	return s->served != SERVED_NONE ? s->served
	       : s->flight != NULL      ? source_served(s)
					: SERVED_NONE;
}

/* How much it needed the upstream. */
static unsigned
need_of(const struct source *s)
{
	static const unsigned needs[SERVED_COUNT] = {[SERVED_NONE] = 0,
	    [SERVED_HIT] = 1,
	    [SERVED_STALE] = 2,
	    [SERVED_COLLAPSED] = 3,
	    [SERVED_MISS] = 4};
	return needs[served_by(s)];
}

/* All that it holds; whoever looks at it again finds how it was served. */
static void
let_go(struct legacy *l, struct source *s)
{
	struct flight_view v;
	if (s->leads && s->flight != NULL) {
		flight_look(s->flight, &v);
		l->calls += v.progress.calls_made;
	}
	source_fini(s);
	buf_init(&s->canon, 0);
	s->flight = NULL;
	s->result = NULL;
}

static void
pass(struct request *r, struct source *s)
{
	struct legacy *l = r->legacy;
	struct source *less = s;
	int64_t waited_us = r->source->waited_us;
	l->ahead -= s->flight != NULL;
	s->served = served_by(s);
	if (l->most == NULL || need_of(s) > need_of(l->most)) {
		less = l->most;
		l->most = s;
	}
	if (less != NULL)
		let_go(l, less);
	if (!l->head_left || r->source != less)
		return;
	r->source = l->most;
	r->source->waited_us = waited_us;
}

void
legacy_sum_up(struct request *r)
{
	struct legacy *l = r->legacy;
	struct source *most = l->most;
	for (size_t i = l->passed; i < l->begun; i++)
		if (most == NULL || need_of(&l->sources[i]) > need_of(most))
			most = &l->sources[i];
	if (most == NULL)
		return;
	most->served = served_by(most);
	r->source = most;
}

/* A problem that comes too late for the answer is but a status. */
static enum step
begin_late(struct request *r)
{
	struct response leaving = r->response;
	response_init(&r->response);
	enum step next = source_begin(r);
	response_fini(&r->response);
	r->response = leaving;
	return next;
}

static enum status
begin_one(struct request *r, struct source *s)
{
	struct legacy *l = r->legacy;
	struct source *told = r->source; /* by the log */
	r->source = s;
	enum step next = l->head_left ? begin_late(r) : source_begin(r);
	enum status st = next == STEP_respond ? r->status : STATUS_OK;
	l->ahead += s->flight != NULL && st == STATUS_OK;
	if (l->head_left) {
		r->status = STATUS_OK; /* not yet: its turn may be to come */
		r->source = told;
	}
	return st;
}

enum status
legacy_begin(struct request *r, size_t at)
{
	struct legacy *l = r->legacy;
	enum status st = STATUS_OK;
	while (l->passed < at)
		pass(r, &l->sources[l->passed++]);
	if (l->begun < l->source_count && l->ahead < FETCHES_AHEAD)
		r->now_ms = clock_wall_ms(); /* hours may have gone by */
	for (; l->begun < l->source_count && l->ahead < FETCHES_AHEAD; l->begun++) {
		struct source *s = &l->sources[l->begun];
		if (s->served == SERVED_NONE && (st = begin_one(r, s)) != STATUS_OK)
			break;
	}
	return l->head_left && l->begun > at ? STATUS_OK : st;
}

/* The source would begin a fetch of its own. */
static bool
is_cold(const struct request *r, const struct source *s)
{
	if (s->served != SERVED_NONE)
		return false;
	struct flight *f =
	    flight_running(r->gateway->flights, s->digest, s->canon.data, s->canon.len);
	flight_release(f);
	return f == NULL;
}

struct shortage {
	uint64_t excess; /* fetches beyond what is left of the quota */
	int64_t wait_ms; /* until there is room for all */
	const char *detail;
};

/* Those that something older may stand in for, or those that nothing may, as long as there is excess. */
static enum step
do_without(struct request *r, struct shortage *s, bool stands_in)
{
	struct legacy *l = r->legacy;
	enum step next = STEP_answer;
	for (size_t i = 0; i < l->source_count && s->excess > 0 && next == STEP_answer; i++) {
		r->source = &l->sources[i];
		if (!is_cold(r, r->source) || source_may_stand_in(r) != stands_in)
			continue;
		next = source_over_quota(r, s->wait_ms, s->detail);
		s->excess--;
	}
	return next;
}

/* A call that would be refused in the middle is refused at once, and has cost nothing. What others of
 * the consumer's calls take meanwhile is not foreseen. */
static enum step
check_quota(struct request *r)
{
	const struct consumer *c = r->consumer;
	struct legacy *l = r->legacy;
	struct quota *quota = r->gateway->quota;
	int64_t now_ms = clock_mono_ms();
	struct shortage s = {0};
	uint64_t cold = 0;
	if (c->quota == 0)
		return STEP_answer;
	for (size_t i = 0; i < l->source_count; i++)
		cold += is_cold(r, &l->sources[i]);
	if (quota_has(quota, c->number, c->quota, cold, now_ms, &s.wait_ms))
		return STEP_answer;
	uint64_t used = quota_used(quota, c->number, now_ms);
	uint64_t left = used < c->quota ? c->quota - used : 0;
	s.excess = cold > left ? cold - left : 0;
	s.detail = arena_printf(&r->arena,
	    "%" PRIu64 " policies of the body have to be fetched, and of the quota of %" PRIu64
	    " queries an hour %" PRIu64 " are left",
	    cold, (uint64_t)c->quota, left);
	enum step next = do_without(r, &s, true);
	return next == STEP_answer ? do_without(r, &s, false) : next;
}

bool
legacy_enter(struct request *r)
{
	struct legacy *l = r->legacy;
	l->placed = l->placed || workers_enter(r->worker, WORKER_STREAMING, r->consumer);
	return l->placed;
}

enum step
legacy_follow(struct request *r)
{
	struct legacy *l = r->legacy;
	if (!legacy_enter(r)) /* who is refused has spent nothing */
		return request_problem_later(r, STATUS_BUSY, 0);
	for (size_t i = 0; i < l->source_count; i++) {
		r->source = &l->sources[i];
		if (r->source->served != SERVED_NONE)
			continue;
		enum status st = widen(r);
		if (st != STATUS_OK)
			return request_problem(r, st, NULL);
	}
	if (check_quota(r) != STEP_answer)
		return STEP_respond;
	return legacy_begin(r, 0) == STATUS_OK ? STEP_answer : STEP_respond;
}

/* --- what all answers have */

/* Without a quota nothing is limited: such clients pause when this is missing or small. */
#define UNLIMITED_CALLS 300
#define QUOTA_WINDOW_S 3600

static void
rate_headers(struct request *r)
{
	uint64_t limit = UNLIMITED_CALLS, left = UNLIMITED_CALLS;
	if (r->consumer != NULL && r->consumer->quota > 0) {
		uint64_t used = quota_used(r->gateway->quota, r->consumer->number, clock_mono_ms());
		limit = r->consumer->quota;
		left = used < limit ? limit - used : 0;
	}
	response_header(&r->response, "X-RateLimit-Limit", "%" PRIu64, limit);
	response_header(&r->response, "X-RateLimit-Window-Sec", "%d", QUOTA_WINDOW_S);
	response_header(&r->response, "X-RateLimit-Remaining", "%" PRIu64, left);
}

void
legacy_headers(struct request *r)
{
	const struct legacy *l = r->legacy;
	struct sunset sunset;
	rate_headers(r);
	if (l == NULL)
		return;
	if (sunset_of(&r->gateway->sunset, l->api, l->version, r->now_ms / 1000, &sunset))
		sunset_headers(&r->gateway->sunset, &sunset, &r->response);
	if (l->without_sca && r->consumer->legacy == LEGACY_WARN)
		response_header(&r->response, "Warning",
		    "299 posturegate \"Without SCA assets, which version %s had: the upstream has "
		    "no version with them any more\"",
		    l->version);
}

/* --- the end */

static void
count_usage(struct request *r)
{
	const struct legacy *l = r->legacy;
	static const enum usage_endpoint endpoints[] = {
	    [API_POLICY_LIST] = USAGE_POLICY_LIST,
	    [API_HOSTIDS] = USAGE_HOSTIDS,
	    [API_POSTURE_INFO] = USAGE_POSTURE_INFO,
	};
	struct usage_call call = {
	    .consumer = r->consumer->number,
	    .version = l->version_index,
	    .endpoint = endpoints[l->api],
	    .now_s = r->now_ms / 1000,
	    .records = l->records,
	    .bytes = l->bytes,
	    .params = l->asked.params & legacy_params_specific(),
	};
	if (l->streaming) {
		call.records = l->stream.records;
		call.bytes = l->stream.bytes;
		call.changes = l->stream.changes;
	}
	if (l->without_sca)
		call.changes |= change_semantic();
	usage_count(r->gateway->usage, &call);
}

void
legacy_fini(struct request *r)
{
	struct legacy *l = r->legacy;
	if (l == NULL)
		return;
	if (r->consumer != NULL)
		count_usage(r);
	if (l->streaming)
		legacy_stream_fini(&l->stream);
	if (l->placed)
		workers_leave(r->worker, WORKER_STREAMING);
	if (l->reading)
		reader_fini(&l->reader);
	for (size_t i = 0; i < l->source_count; i++)
		source_fini(&l->sources[i]);
}
