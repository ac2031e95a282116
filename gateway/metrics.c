#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/metrics.h"
#include "gateway/request_state.h"

/* --- labels: the values of each, indexed by what the code calls them */

static const char *const values_route[] = {
#define ROUTE(name, path, methods, key, query, what) [ROUTE_##name] = (path),
#include "gateway/front/route_table.h"
#undef ROUTE
    [ROUTE_UNKNOWN] = "unknown",
};

static const char *const values_status_class[] = {"2xx", "3xx", "4xx", "5xx"};

/* By status, each slug at the first that has it; filled once, by metrics_new(). */
static const char *values_problem[STATUS_COUNT];

static const char *const values_state_ended[] = {
    [FLIGHT_COMPLETE] = "complete",
    [FLIGHT_FAILED] = "failed",
    [FLIGHT_CANCELLED] = "cancelled",
};

static const char *const values_state_batch[] = {"seen", "announced"};

/* The login has no budget of ours and stands behind the others. */
#define API_AUTH API_COUNT
static const char *const values_api[] = {
    [API_POLICY_LIST] = "policyList",
    [API_HOSTIDS] = "hostids",
    [API_POSTURE_INFO] = "postureInfo",
    [API_AUTH] = "auth",
};
static const char *const values_api_paced[API_COUNT] = {
    [API_POLICY_LIST] = "policyList",
    [API_HOSTIDS] = "hostids",
    [API_POSTURE_INFO] = "postureInfo",
};

static const char *const values_by[] = {[BY_OWN] = "own", [BY_FOREIGN] = "foreign"};
static const char *const values_class_budget[BUDGET_CLASSES] = {
    [BUDGET_INTERACTIVE] = "interactive",
    [BUDGET_BACKGROUND] = "background",
    [BUDGET_SPARE] = "spare",
};
static const char *const values_limit[] = {
    [LIMIT_RATE] = "rate", [LIMIT_CONCURRENCY] = "concurrency"};

static const struct {
	int from, to;
} codes[] = {{200, 200}, {201, 201}, {204, 204}, {401, 401}, {403, 403}, {404, 404}, {409, 409},
    {410, 410}, {429, 429}, {300, 399}, {400, 499}, {500, 599}, {0, 0}, {INT32_MIN, INT32_MAX}};
static const char *const values_status_code[ARRAY_LEN(codes)] = {"200", "201", "204", "401", "403",
    "404", "409", "410", "429", "3xx", "4xx", "5xx", "none", "other"};

enum { LOGIN_OK, LOGIN_REJECTED, LOGIN_FAILED };
static const char *const values_result[] = {
    [LOGIN_OK] = "ok",
    [LOGIN_REJECTED] = "rejected",
    [LOGIN_FAILED] = "failed",
};

static const char *const values_state_credential[] = {
    [CREDENTIAL_UNKNOWN] = "unknown",
    [CREDENTIAL_OK] = "ok",
    [CREDENTIAL_REJECTED] = "rejected",
};

static const char *const values_class_worker[WORKER_CLASSES] = {
    [WORKER_WAITING] = "fetch",
    [WORKER_STREAMING] = "stream",
    [WORKER_EXPORTING] = "export",
};

static const char *const values_version[] = {PACKAGE_VERSION};

static const char *const values_why[] = {
    [AHEAD_POPULAR] = "popular",
    [AHEAD_WARM] = "warm",
};

#define LABEL(name, values)                                                                        \
	{                                                                                          \
		name, values, ARRAY_LEN(values)                                                    \
	}
#define LABEL_none                                                                                 \
	{                                                                                          \
		NULL, NULL, 0                                                                      \
	}
#define LABEL_route LABEL("route", values_route)
#define LABEL_status_class LABEL("status", values_status_class)
#define LABEL_cache LABEL("cache", request_served_names)
#define LABEL_problem LABEL("problem", values_problem)
#define LABEL_reason LABEL("reason", request_stale_names)
#define LABEL_state_ended LABEL("state", values_state_ended)
#define LABEL_state_batch LABEL("state", values_state_batch)
#define LABEL_api LABEL("api", values_api)
#define LABEL_api_paced LABEL("api", values_api_paced)
#define LABEL_by LABEL("by", values_by)
#define LABEL_class_budget LABEL("class", values_class_budget)
#define LABEL_limit LABEL("limit", values_limit)
#define LABEL_status_code LABEL("status", values_status_code)
#define LABEL_result LABEL("result", values_result)
#define LABEL_state_credential LABEL("state", values_state_credential)
#define LABEL_class_worker LABEL("class", values_class_worker)
#define LABEL_why LABEL("why", values_why)
#define LABEL_version LABEL("version", values_version)

/* --- the table */

/* From a hit (well under a millisecond) to a call that streams for an hour. */
static const int64_t bounds_us[] = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000, 1800000000};

#define BOUNDS_COUNTER NULL, 0
#define BOUNDS_GAUGE NULL, 0
#define BOUNDS_INFO NULL, 0
#define BOUNDS_HISTOGRAM bounds_us, ARRAY_LEN(bounds_us)

static const struct stats_family families[STAT_COUNT] = {
#define STAT(id, type, name, unit, l1, l2, l3, help)                                               \
	[STAT_##id] = {name, STATS_##type, STATS_##unit, help,                                     \
	    {LABEL_##l1, LABEL_##l2, LABEL_##l3}, BOUNDS_##type},
#include "gateway/stats_table.h"
#undef STAT
};

/* Several statuses are told as the same problem. */
static size_t
problem_index(enum status st)
{
	const char *slug = status_info(st)->slug;
	size_t i = 0;
	while (strcmp(status_info((enum status)i)->slug, slug) != 0)
		i++;
	return i;
}

struct stats *
metrics_new(void)
{
	for (size_t i = 0; i < STATUS_COUNT; i++) {
		const char *slug = status_info((enum status)i)->slug;
		bool first = problem_index((enum status)i) == i;
		values_problem[i] = first && slug[0] != '\0' ? slug : NULL;
	}
	struct stats *s = stats_new(families, STAT_COUNT);
	if (s != NULL)
		stats_set(s, STAT_PROCESS_START, STATS_AT(0), clock_wall_ms() * 1000);
	return s;
}

/* --- requests */

void
metrics_request(const struct request *r, int64_t took_us)
{
	struct stats *s = r->gateway->stats;
	size_t class = r->response.http >= 200 && r->response.http < 600
			   ? (size_t)r->response.http / 100 - 2
			   : 3;
	stats_add(s, STAT_REQUESTS, STATS_AT(r->routed.route, class, r->source->served), 1);
	stats_observe(s, STAT_REQUEST_SECONDS, STATS_AT(r->routed.route), took_us);
	if (r->status != STATUS_OK)
		stats_add(s, STAT_PROBLEMS, STATS_AT(problem_index(r->status)), 1);
	if (r->source->served == SERVED_STALE && r->status == STATUS_OK)
		stats_add(s, STAT_STALE_SERVED, STATS_AT(r->source->stale), 1);
}

void
metrics_waited(struct stats *s, int64_t us)
{
	stats_observe(s, STAT_FETCH_WAIT, STATS_AT(0), us);
}

void
metrics_coalesced(struct stats *s)
{
	stats_add(s, STAT_COALESCED, STATS_AT(0), 1);
}

void
metrics_broad(struct stats *s)
{
	stats_add(s, STAT_BROAD, STATS_AT(0), 1);
}

/* --- upkeep */

void
metrics_ahead(struct stats *s, enum ahead why)
{
	stats_add(s, STAT_AHEAD, STATS_AT(why), 1);
}

void
metrics_warm(struct stats *s, uint64_t lists, uint64_t fresh)
{
	stats_set(s, STAT_WARM_LISTS, STATS_AT(0), (int64_t)lists);
	stats_set(s, STAT_WARM_FRESH, STATS_AT(0), (int64_t)fresh);
}

/* --- hooks */

static void
count_call(struct stats *s, size_t api, int http, int64_t took_ms)
{
	size_t code = 0;
	while (http < codes[code].from || http > codes[code].to)
		code++;
	stats_add(s, STAT_UPSTREAM_REQUESTS, STATS_AT(api, code), 1);
	stats_observe(s, STAT_UPSTREAM_SECONDS, STATS_AT(api), took_ms * 1000);
}

static void
on_waited(void *ctx, enum upstream_api api, int64_t waited_ms)
{
	stats_observe(ctx, STAT_UPSTREAM_WAIT, STATS_AT(api), waited_ms * 1000);
}

static void
on_tried(void *ctx, const struct fetch_try *t)
{
	count_call(ctx, t->api, t->http, t->took_ms);
	stats_add(ctx, STAT_FILL_RECORDS, STATS_AT(0), (int64_t)t->records);
	stats_add(ctx, STAT_FILL_BYTES, STATS_AT(0), (int64_t)t->bytes);
}

static void
on_ended(void *ctx, enum flight_state state)
{
	stats_add(ctx, STAT_FETCHES, STATS_AT(state), 1);
}

struct fetch_events
metrics_fetch_events(struct stats *s)
{
	return (struct fetch_events){on_waited, on_tried, on_ended, s};
}

void
metrics_login(void *ctx, enum status st, int http, int64_t took_ms)
{
	if (http >= 0)
		count_call(ctx, API_AUTH, http, took_ms);
	if (st != STATUS_CANCELLED)
		stats_add(ctx, STAT_LOGINS,
		    STATS_AT(st == STATUS_OK              ? LOGIN_OK
			     : st == STATUS_UPSTREAM_AUTH ? LOGIN_REJECTED
							  : LOGIN_FAILED),
		    1);
}
