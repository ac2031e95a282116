/* GET /metrics: asks whoever keeps a figure, and writes them all. */
#include "config.h"

#include "gateway/endpoints.h"
#include "gateway/front/workers.h"
#include "gateway/metrics.h"
#include "gateway/ops/process.h"

static void
set(struct stats *s, enum stat_id stat, size_t at, uint64_t value)
{
	stats_set(s, stat, STATS_AT(at), value < INT64_MAX ? (int64_t)value : INT64_MAX);
}

static void
set2(struct stats *s, enum stat_id stat, size_t first, size_t second, uint64_t value)
{
	stats_set(s, stat, STATS_AT(first, second), value < INT64_MAX ? (int64_t)value : INT64_MAX);
}

static void
ask_budget(const struct gateway *g, enum upstream_api api)
{
	struct stats *s = g->stats;
	struct budget_view v;
	budget_view(g->budget, api, &v);
	bool limited = v.rate_calls != 0;
	set2(s, STAT_BUDGET_USED, api, BY_OWN, v.window_own);
	set2(s, STAT_BUDGET_USED, api, BY_FOREIGN, v.window_foreign);
	for (size_t class = 0; class < BUDGET_CLASSES; class ++)
		set2(s, STAT_UPSTREAM_QUEUE, api, class, v.queued[class]);
	set2(s, STAT_UPSTREAM_REFUSALS, api, LIMIT_RATE, v.refused_rate);
	set2(s, STAT_UPSTREAM_REFUSALS, api, LIMIT_CONCURRENCY, v.refused_concurrency);
	set(s, STAT_BUDGET_WINDOW, api, (uint64_t)v.rate_window_ms * 1000);
	set(s, STAT_BUDGET_CLOSED, api, (uint64_t)v.closed_for_ms * 1000);
	set(s, STAT_UPSTREAM_RUNNING, api, v.under_way);
	stats_set(
	    s, STAT_BUDGET_LIMIT, STATS_AT(api), limited ? (int64_t)v.rate_calls : STATS_ABSENT);
	stats_set(
	    s, STAT_BUDGET_REMAINING, STATS_AT(api), limited ? (int64_t)v.remaining : STATS_ABSENT);
	stats_set(s, STAT_UPSTREAM_CONCURRENCY, STATS_AT(api),
	    v.concurrency != 0 ? (int64_t)v.concurrency : STATS_ABSENT);
}

static void
ask_credential(const struct gateway *g)
{
	enum credential_state state = credential_state(g->credential);
	int64_t expires_ms = credential_expires_ms(g->credential);
	for (int i = CREDENTIAL_UNKNOWN; i <= CREDENTIAL_REJECTED; i++)
		set(g->stats, STAT_CREDENTIAL, (size_t)i, (int)state == i);
	stats_set(g->stats, STAT_TOKEN_EXPIRY, STATS_AT(0),
	    expires_ms != 0 ? expires_ms * 1000 : STATS_ABSENT);
}

static void
ask_fetches(const struct gateway *g)
{
	struct flights_view v;
	flights_look(g->flights, &v);
	set(g->stats, STAT_FETCHES_RUNNING, 0, v.running);
	set(g->stats, STAT_UPSTREAM_AILS, 0, memory_ails(g->memory));
	set(g->stats, STAT_FILL_BATCHES, 0, v.batches_seen);
	set(g->stats, STAT_FILL_BATCHES, 1, v.batches_announced);
}

static void
ask_store(const struct gateway *g)
{
	struct cache_stats v;
	cache_get_stats(g->cache, &v);
	set(g->stats, STAT_LMDB_USED, 0, v.used_bytes);
	set(g->stats, STAT_LMDB_SIZE, 0, v.size_bytes);
	set(g->stats, STAT_LMDB_MAP, 0, v.map_bytes);
	set(g->stats, STAT_LMDB_READERS, 0, v.readers);
	set(g->stats, STAT_RESULTS, 0, v.results);
	set(g->stats, STAT_STAGES, 0, v.stages);
	set(g->stats, STAT_STORE_WRITABLE, 0, v.writable);
}

static void
ask_workers(const struct request *r)
{
	struct stats *s = r->gateway->stats;
	struct workers_view v;
	workers_look(r->worker, &v);
	set(s, STAT_WORKERS, 0, v.count);
	set(s, STAT_WORKERS_BUSY, 0, v.busy);
	for (size_t i = 0; i < WORKER_CLASSES; i++) {
		set(s, STAT_WORKERS_WAITING, i, v.in_class[i]);
		set(s, STAT_WORKERS_WAITING_LIMIT, i, v.most_in_class[i]);
	}
}

static void
ask_process(struct stats *s)
{
	struct process_view v;
	process_look(&v);
	const struct {
		enum stat_id stat;
		int64_t value;
	} figures[] = {
	    {STAT_PROCESS_CPU, v.cpu_us},
	    {STAT_PROCESS_RESIDENT, v.resident_bytes},
	    {STAT_PROCESS_VIRTUAL, v.virtual_bytes},
	    {STAT_PROCESS_FDS, v.open_fds},
	    {STAT_PROCESS_FDS_MOST, v.most_fds},
	};
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		if (figures[i].value >= 0)
			stats_set(s, figures[i].stat, STATS_AT(0), figures[i].value);
}

enum step
endpoint_metrics(struct request *r)
{
	if (!request_is_internal(r))
		return request_problem(
		    r, STATUS_FORBIDDEN, "This is served to allowed networks only.");
	for (int api = 0; api < API_COUNT; api++)
		ask_budget(r->gateway, (enum upstream_api)api);
	ask_credential(r->gateway);
	ask_fetches(r->gateway);
	ask_store(r->gateway);
	ask_workers(r);
	ask_process(r->gateway->stats);
	response_header(&r->response, "Content-Type", "%s", media_type(r->media));
	response_header(&r->response, "Cache-Control", "no-store");
	response_header(&r->response, "Vary", "Accept");
	stats_write(r->gateway->stats,
	    r->media == MEDIA_OPENMETRICS ? STATS_OPENMETRICS : STATS_TEXT_004, &r->response.body);
	return STEP_respond;
}
