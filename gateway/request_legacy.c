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
make_sources(struct request *r, const struct legacy_wants *wants)
{
	struct legacy *l = r->legacy;
	enum status st = STATUS_OK;
	l->sources = arena_array(&r->arena, wants->count + 1, sizeof *l->sources);
	l->readers = arena_array(&r->arena, wants->count + 1, sizeof *l->readers);
	if (l->sources == NULL || l->readers == NULL)
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
		st = make_sources(r, &wants);
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

/* --- lookup: also out of a result with more detail, or of all hosts */

/* Whether the result has what the query asks for, once rows of other hosts are left out. */
static bool
has_it(const struct cache_manifest *m, const struct query *q, bool of_all_hosts)
{
	/* a host that was not there to be fetched may be there by now */
	return m->complete && (!of_all_hosts || ids_have_all(m->hosts, m->host_count, q->hosts.ids,
						    q->hosts.count));
}

/* Rows of other hosts are left out, if there are any. */
static void
leave_rest(struct source *s, bool of_all_hosts)
{
	if (!of_all_hosts)
		return;
	s->rest = (struct query){.hosts = s->query.hosts, QUERY_NO_DATES};
	s->narrowed = true;
}

/* From now on the source is that of the broader query. */
static void
take_query(struct source *s, const struct query *broader, bool of_all_hosts)
{
	leave_rest(s, of_all_hosts);
	s->query = *broader;
	buf_reset(&s->canon);
	(void)settle_source(s); /* what is shorter than before fits */
}

/* The result of a broader query, if it may serve; *ret_verdict says how. */
static struct cache_result *
broader_result(
    struct request *r, const struct query *broader, bool of_all_hosts, enum verdict *ret_verdict)
{
	const struct gateway *g = r->gateway;
	struct cache_result *result = NULL;
	uint8_t digest[SHA256_BYTES];
	struct buf text;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(broader, &text);
	query_digest(text.data, text.len, digest);
	if (text.err == STATUS_OK &&
	    cache_lookup(g->cache, digest, text.data, text.len, r->now_ms, &result) != STATUS_OK)
		result = NULL;
	buf_fini(&text);
	if (result == NULL)
		return NULL;
	*ret_verdict = conditions_verdict(&r->conditions, cache_manifest(result), r->now_ms,
	    r->consumer->force, g->settings->max_age_floor_ms);
	if (has_it(cache_manifest(result), &r->source->query, of_all_hosts))
		return result;
	cache_release(result);
	return NULL;
}

/* The ways in which a stored result may have more than was asked for: one bit each. */
enum { MORE_HOSTS = 1, MORE_CLOUD = 2, MORE_QDS = 4, MORE_EVIDENCE = 8, MORE_WAYS = 16 };

/* False: the query has that already, or it makes no difference. */
static bool
broaden(const struct query *q, unsigned more, enum query_evidence evidence, struct query *ret)
{
	*ret = *q;
	if (more & MORE_HOSTS)
		ret->hosts = (struct id_list){NULL, 0};
	ret->cloud = ret->cloud || (more & MORE_CLOUD);
	ret->qds = ret->qds || (more & MORE_QDS);
	if (more & MORE_EVIDENCE)
		ret->evidence = evidence;
	return !((more & MORE_HOSTS) && q->hosts.count == 0) &&
	       !((more & MORE_CLOUD) && q->cloud) && !((more & MORE_QDS) && q->qds) &&
	       !((more & MORE_EVIDENCE) && q->evidence == evidence);
}

/* Evidence that serves, too: more than was asked for; and 1.0 shows nothing of what makes extended
 * evidence so. */
static bool
evidence_serves(const struct request *r, enum query_evidence evidence)
{
	return evidence > r->source->query.evidence ||
	       (r->legacy->version_index == 0 && evidence == EVIDENCE_BASIC &&
		   r->source->query.evidence == EVIDENCE_EXTENDED);
}

/* An expired one may stand in for the query's own, as long as there is none: what is fetched stays. */
static bool
take_if(struct request *r, unsigned more, enum query_evidence evidence, enum verdict wanted)
{
	struct source *s = r->source;
	struct query broader;
	enum verdict verdict;
	if (!broaden(&s->query, more, evidence, &broader))
		return false;
	bool of_all_hosts = (more & MORE_HOSTS) != 0;
	struct cache_result *result = broader_result(r, &broader, of_all_hosts, &verdict);
	if (result == NULL || verdict != wanted) {
		cache_release(result);
		return false;
	}
	/* hosts that are all there are need not be looked for in each row */
	of_all_hosts = of_all_hosts && cache_manifest(result)->host_count != s->query.hosts.count;
	cache_release(s->result);
	s->result = result;
	if (wanted == VERDICT_EXPIRED) {
		leave_rest(s, of_all_hosts);
		return true;
	}
	take_query(s, &broader, of_all_hosts);
	s->fwd = NULL;
	s->served = verdict == VERDICT_FRESH ? SERVED_HIT : SERVED_STALE;
	s->stale = STALE_AGE;
	if (verdict == VERDICT_STALE && !r->conditions.only_if_cached)
		source_refresh(r);
	return true;
}

static bool
take_broader(struct request *r, enum verdict wanted)
{
	for (unsigned more = 1; more < MORE_WAYS; more++) {
		if (!(more & MORE_EVIDENCE) && take_if(r, more, EVIDENCE_NONE, wanted))
			return true;
		for (unsigned e = EVIDENCE_BASIC; (more & MORE_EVIDENCE) && e <= EVIDENCE_EXTENDED;
		     e++)
			if (evidence_serves(r, (enum query_evidence)e) &&
			    take_if(r, more, (enum query_evidence)e, wanted))
				return true;
	}
	return false;
}

static enum step
look_broader(struct request *r)
{
	const struct source *s = r->source;
	if (s->query.postures.count > 0)
		return STEP_follow; /* by posture a result tells nothing of what else there is */
	if (take_broader(r, VERDICT_FRESH) || take_broader(r, VERDICT_STALE))
		return STEP_answer;
	return s->result == NULL && take_broader(r, VERDICT_EXPIRED) ? source_expired(r)
								     : STEP_follow;
}

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
		if (next == STEP_follow)
			next = look_broader(r);
		if (next == STEP_respond)
			return next;
		if (next == STEP_follow)
			all = next;
	}
	return all;
}

/* --- follow */

/* The hosts of one policy in a stored resolution, held against those asked for: both ascend. */
struct same_hosts {
	const struct id_list *asked;
	size_t at;
	bool same;
};

static enum status
on_resolved_host(void *ctx, const struct reader_record *rec)
{
	struct same_hosts *s = ctx;
	s->same = s->same && s->at < s->asked->count && s->asked->ids[s->at] == rec->row->host;
	s->at++;
	return STATUS_OK;
}

static bool
has_exactly(const struct request *r, struct cache_result *resolution, const struct query *q)
{
	const struct query of_policy = {.policies = q->policies, QUERY_NO_DATES};
	const struct filter filter = {.query = &of_policy};
	struct same_hosts s = {&q->hosts, 0, true};
	struct reader reader;
	enum reader_state state = READER_MORE;
	reader_init(&reader, r->gateway->cache, resolution, NULL, &filter);
	while (state == READER_MORE && s.same)
		if (reader_take(&reader, LIMIT_ROW_BLOCK, LIMIT_PIECE_BYTES, on_resolved_host, &s,
			&state) != STATUS_OK)
			s.same = false;
	reader_fini(&reader);
	return s.same && s.at == q->hosts.count;
}

/* What a fresh resolution tells of the query's hosts, and since when it does (wall). */
enum told { TOLD_NOTHING, TOLD_OTHERS, TOLD_ALL };

static enum told
tells(const struct request *r, const struct id_list *policies, int64_t *ret_told_ms)
{
	const struct query *q = &r->source->query;
	const struct query asked = {
	    .kind = KIND_HOSTS, .policies = *policies, .assets = q->assets, QUERY_NO_DATES};
	struct cache_result *resolution;
	struct buf text;
	uint8_t digest[SHA256_BYTES];
	enum told told = TOLD_NOTHING;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(&asked, &text);
	query_digest(text.data, text.len, digest);
	if (text.err == STATUS_OK && cache_lookup(r->gateway->cache, digest, text.data, text.len,
					 r->now_ms, &resolution) == STATUS_OK) {
		const struct cache_manifest *m = cache_manifest(resolution);
		*ret_told_ms = m->published_at_ms;
		if (m->complete && r->now_ms < m->fresh_until_ms)
			told = has_exactly(r, resolution, q) ? TOLD_ALL : TOLD_OTHERS;
		cache_release(resolution);
	}
	buf_fini(&text);
	return told;
}

/* Whether these are all the hosts that the policy has. It was resolved alone, which is what a fetch
 * may go by, or beside the others of this call. */
static bool
are_all_hosts(const struct request *r, int64_t *ret_told_ms)
{
	const struct legacy *l = r->legacy;
	enum told told = tells(r, &r->source->query.policies, ret_told_ms);
	if (told == TOLD_NOTHING && l->policies.count > 1)
		told = tells(r, &l->policies, ret_told_ms);
	return told == TOLD_ALL;
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

/* Clients post back what hostids has told them. Asked for as all hosts of the policy, it is the query
 * of everybody else who wants these. */
static void
widen(struct request *r)
{
	struct query all, narrow = r->source->query;
	struct source *s = r->source;
	enum verdict verdict;
	bool narrowed = s->narrowed; /* what may stand in */
	int64_t told_ms;
	if (narrow.policies.count != 1 || narrow.hosts.count == 0 || !are_all_hosts(r, &told_ms) ||
	    !broaden(&narrow, MORE_HOSTS, EVIDENCE_NONE, &all))
		return;
	/* one that is there was refused: it is older than one of the hosts */
	struct cache_result *there = broader_result(r, &all, false, &verdict);
	bool serves = there == NULL || verdict != VERDICT_FRESH;
	cache_release(there);
	if (!serves)
		return;
	take_query(s, &all, true);
	s->widened = true;
	if (!is_begun_too_early(r, told_ms))
		return;
	take_query(s, &narrow, false);
	s->narrowed = narrowed;
	s->widened = false;
}

enum step
legacy_follow(struct request *r)
{
	struct legacy *l = r->legacy;
	for (size_t i = 0; i < l->source_count; i++) {
		r->source = &l->sources[i];
		if (r->source->served != SERVED_NONE)
			continue;
		widen(r);
		enum step next = source_begin(r);
		if (next == STEP_respond)
			return next;
	}
	return STEP_answer;
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
	if (l->streaming) {
		legacy_stream_fini(&l->stream);
		workers_leave(r->worker, WORKER_STREAMING);
	}
	if (l->list_streams)
		workers_leave(r->worker, WORKER_STREAMING);
	for (size_t i = 0; i < l->reader_count; i++)
		reader_fini(&l->readers[i]);
	for (size_t i = 0; i < l->source_count; i++)
		source_fini(&l->sources[i]);
}
