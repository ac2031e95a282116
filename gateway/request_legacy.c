#include "config.h"

#include <inttypes.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
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
	unsigned i = versions_index(r->routed.part, r->routed.part_len);
	if (i == VERSIONS_COUNT || (l->api == API_POLICY_LIST && i >= POLICY_LIST_VERSIONS))
		return false;
	l->version = versions_at(i)->version;
	l->version_index = i;
	return true;
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
make_source(struct request *r, const struct legacy_want *want, struct source *s)
{
	struct query *q = &s->query;
	*q = r->legacy->asked.query;
	if (want->policy != 0)
		q->policies = (struct id_list){&want->policy, 1};
	q->hosts = want->hosts;
	q->postures = want->postures;
	q->subscription = subscription_to_say(r, want->subscription);
	return source_settle(s);
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
			"the operator of this gateway to set legacy = warn or legacy = allow for "
			"your consumer, or use /v1/postures",
			l->version));
	l->streams = l->api == API_POSTURE_INFO;
	if (st == STATUS_OK && l->streams)
		st = read_body(r, l, &wants, &message);
	if (st == STATUS_OK && l->streams)
		st = make_sources(r, &wants, &message);
	if (st == STATUS_OK && !l->streams) {
		r->source->query = l->asked.all_policies ? all_policies : l->asked.query;
		st = source_settle(r->source);
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
	enum status st = source_settle(r->source);
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

/* --- what all answers have */

/* Without a quota nothing is limited: such clients pause when this is missing or small. */
#define UNLIMITED_CALLS 300
#define QUOTA_WINDOW_S 3600

static void
rate_headers(struct request *r)
{
	uint64_t limit = UNLIMITED_CALLS, left = UNLIMITED_CALLS;
	if (r->consumer != NULL && r->consumer->quota > 0) {
		limit = r->consumer->quota;
		left = quota_left(r->gateway->quota, r->consumer->number, limit, clock_mono_ms());
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
