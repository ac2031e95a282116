#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/endpoints.h"
#include "gateway/fetch/normalise.h"
#include "gateway/fetch/plan.h"
#include "gateway/front/cors.h"
#include "gateway/metrics.h"

/* --- read */

/* nginx's own id of the request; one of ours where a site does not pass it. */
static const char *
request_id(struct request *r)
{
	const char *given = request_param(r, "REQUEST_ID");
	size_t len = strspn(given, "0123456789abcdef");
	if (len >= 8 && len <= 64 && given[len] == '\0')
		return given;
	uint8_t random[16];
	char *text = arena_alloc(&r->arena, sizeof random * 2 + 1);
	if (text == NULL)
		return "-";
	crypto_random(random, sizeof random);
	crypto_hex(random, sizeof random, text);
	return text;
}

static enum step
step_read(struct request *r)
{
	r->id = request_id(r);
	r->method_text = request_param(r, "REQUEST_METHOD");
	r->method = route_method(r->method_text);
	r->uri = request_param(r, "REQUEST_URI");
	r->uri_len = strlen(r->uri);
	const struct settings *s = r->gateway->settings;
	r->origin = cors_origin(s->origins, s->origin_count, fcgi_param(r->fcgi, "HTTP_ORIGIN"),
	    fcgi_param_count(r->fcgi, "HTTP_ORIGIN"));
	if (r->uri_len > LIMIT_URI_BYTES)
		return request_problem(r, STATUS_URI_TOO_LONG,
		    "A URL may have 8 KiB; send a longer query as a JSON object to POST "
		    "/v1/postures/query.");
	enum status st = conditions_read(&r->conditions, r->fcgi);
	if (st != STATUS_OK)
		return request_problem(r, st, "A request header came twice.");
	bool body = conditions_body_announced(r->fcgi);
	if (body && r->method != METHOD_POST)
		return request_problem(r, STATUS_BAD_REQUEST, "This method takes no body.");
	return STEP_route;
}

/* --- route */

/* A browser asks whether an application of another origin may send the request that is to come. */
static bool
is_preflight(const struct request *r)
{
	return r->origin != NULL && r->method == METHOD_OPTIONS &&
	       request_param(r, "HTTP_ACCESS_CONTROL_REQUEST_METHOD")[0] != '\0';
}

static enum step
step_route(struct request *r)
{
	char methods[ROUTE_METHODS_BYTES];
	route_find(r->uri, r->uri_len, &r->routed);
	if (r->routed.route == ROUTE_UNKNOWN)
		return request_problem(r, STATUS_NOT_FOUND, "No endpoint has this path.");
	if (is_preflight(r)) {
		cors_preflight(&r->response, r->routed.allowed);
		return STEP_respond;
	}
	if (!(r->routed.allowed & r->method)) {
		enum step next = request_problem(r, STATUS_METHOD_NOT_ALLOWED, NULL);
		response_header(
		    &r->response, "Allow", "%s", route_methods(r->routed.allowed, methods));
		return next;
	}
	if (!r->routed.takes_query && r->routed.query_len > 0)
		return request_problem(
		    r, STATUS_BAD_REQUEST, "This endpoint takes no parameters in its URL.");
	if (!media_choose(r->routed.route, r->conditions.accept, &r->media))
		return request_problem(
		    r, STATUS_NOT_ACCEPTABLE, "Accept takes no media type of this endpoint.");
	return r->routed.needs_key ? STEP_authorize : STEP_answer;
}

/* --- authorize */

/* Some look at what there is, and lead to no result. */
static bool
leads_to_a_result(const struct routed *routed)
{
	return routed->route != ROUTE_FETCHES && routed->route != ROUTE_FETCH &&
	       !routed->needs_admin;
}

static enum step
step_authorize(struct request *r)
{
	enum status st = access_check(r->gateway->access, fcgi_param(r->fcgi, "HTTP_AUTHORIZATION"),
	    fcgi_param_count(r->fcgi, "HTTP_AUTHORIZATION"), fcgi_param(r->fcgi, "HTTP_X_API_KEY"),
	    fcgi_param_count(r->fcgi, "HTTP_X_API_KEY"), r->now_ms / 1000, &r->consumer);
	if (st == STATUS_BAD_REQUEST)
		return request_problem(
		    r, st, "Show one key, once: in Authorization or in X-API-Key.");
	if (st != STATUS_OK)
		return request_problem(r, st, NULL);
	if (r->routed.needs_admin && !r->consumer->admin)
		return request_problem(r, STATUS_FORBIDDEN, "This is for administrators.");
	return leads_to_a_result(&r->routed) ? STEP_parse : STEP_answer;
}

/* --- parse */

static enum status
parse_body(struct request *r)
{
	struct buf body;
	size_t len;
	enum status st = conditions_body_length(r->fcgi, &len);
	if (st != STATUS_OK)
		return st;
	buf_init(&body, LIMIT_BODY_BYTES);
	st = fcgi_read_body(r->fcgi, &body, len);
	if (st == STATUS_OK)
		st = query_parse_json(&r->arena, QUERY_POSTURES, normal_member_find, body.data,
		    body.len, &r->query, &r->errors);
	buf_fini(&body);
	return st;
}

static void
add_error(struct request *r, const char *parameter, const char *message)
{
	if (r->errors.count < ARRAY_LEN(r->errors.list))
		r->errors.list[r->errors.count++] = (struct query_error){parameter, message};
	else
		r->errors.more = true;
}

/* What the contract has and this version does not serve yet is refused, not ignored. */
static void
refuse_unserved(struct request *r)
{
	if (r->query.format != FORMAT_JSON)
		add_error(r, "format", "only json is served so far");
	if (r->query.partial)
		add_error(r, "partial", "only false is served so far");
}

/* A cursor names the result and the query; here it is only checked and taken apart. */
static enum step
take_cursor(struct request *r)
{
	const char *text = r->query.cursor;
	enum status st = cursor_decode(text, strlen(text), r->gateway->signing_key, &r->cursor);
	if (st != STATUS_OK ||
	    memcmp(r->cursor.consumer, r->consumer->tag, sizeof r->cursor.consumer) != 0)
		return request_problem(r, STATUS_BAD_CURSOR,
		    "Take a cursor from page.next, unchanged, with the same key.");
	r->walking = true;
	if (r->query.limit_given)
		r->cursor.limit = (uint16_t)r->query.limit;
	return STEP_lookup;
}

/* The query string of an endpoint whose path says the rest. */
static enum status
parse_url(struct request *r, enum query_use use)
{
	return query_parse(&r->arena, use, normal_member_find, r->routed.query, r->routed.query_len,
	    &r->query, &r->errors);
}

/* The policy of a path. */
static enum status
one_policy(struct request *r)
{
	uint64_t *id = arena_alloc(&r->arena, sizeof *id);
	if (id == NULL)
		return STATUS_NO_MEMORY;
	*id = r->routed.id;
	r->query.policies = (struct id_list){id, 1};
	return STATUS_OK;
}

/* The posture of a path is a query like any other. */
static enum status
one_posture(struct request *r)
{
	struct id_range *range = arena_alloc(&r->arena, sizeof *range);
	if (range == NULL)
		return STATUS_NO_MEMORY;
	*range = (struct id_range){r->routed.id, r->routed.id};
	r->query.postures = (struct id_ranges){range, 1, 1};
	return STATUS_OK;
}

static enum step
step_parse(struct request *r)
{
	enum status st;
	switch (r->routed.route) {
	case ROUTE_POSTURES_QUERY:
		st = parse_body(r);
		break;
	case ROUTE_POSTURE:
		if (r->routed.id == 0)
			return request_problem(
			    r, STATUS_NOT_FOUND, "A posture's ID is a number from 1 to 2^63-1.");
		st = parse_url(r, QUERY_POSTURE);
		if (st == STATUS_OK)
			st = one_posture(r);
		break;
	case ROUTE_POLICIES:
		st = parse_url(r, QUERY_POLICIES);
		break;
	case ROUTE_POLICY_HOSTS:
		if (r->routed.id == 0)
			return request_problem(
			    r, STATUS_NOT_FOUND, "A policy's ID is a number from 1 to 2^63-1.");
		st = parse_url(r, QUERY_HOSTS);
		if (st == STATUS_OK)
			st = one_policy(r);
		break;
	default:
		st = parse_url(r, QUERY_POSTURES);
	}
	if (st == STATUS_OK)
		refuse_unserved(r);
	if (r->errors.count > 0)
		return request_problem_errors(r, "Every offending parameter is listed.");
	if (st != STATUS_OK)
		return request_problem(
		    r, st, st == STATUS_TOO_LARGE ? "A body may have 4 MiB." : NULL);
	if (!access_covers(r->consumer, &r->query.policies))
		return request_problem(r, STATUS_FORBIDDEN,
		    "The grant of this key does not cover every policy asked for.");
	if (r->query.cursor != NULL)
		return take_cursor(r);
	query_canon(&r->query, &r->canon);
	if (r->canon.err != STATUS_OK)
		return request_problem(r, r->canon.err, NULL);
	query_digest(r->canon.data, r->canon.len, r->digest);
	return STEP_lookup;
}

/* --- lookup */

/* The store has no such result; anything else is a fault of the store, and tells nothing. */
static bool
is_gone(enum status st)
{
	return st == STATUS_NOT_FOUND || st == STATUS_CORRUPT;
}

/* The query of the walk's result in place of what the URL says beside the cursor: its kind, and of
 * the hosts of a policy that policy. False if that is another endpoint's. */
static bool
take_walk(struct request *r, const struct cache_manifest *m)
{
	struct query walked;
	if (memcmp(r->cursor.query, m->digest, sizeof r->cursor.query) != 0 ||
	    query_from_canon(&r->arena, m->text, m->text_len, &walked) != STATUS_OK ||
	    walked.kind != r->query.kind ||
	    (walked.kind == KIND_HOSTS && walked.policies.ids[0] != r->routed.id))
		return false;
	r->query = walked;
	return true;
}

/* A walk goes on in the result it began on, whatever its age. */
static enum step
lookup_pinned(struct request *r)
{
	enum status st = cache_get(r->gateway->cache, r->cursor.result, r->now_ms, &r->result);
	if (st != STATUS_OK && !is_gone(st))
		return request_problem_later(r, st, 0);
	if (st != STATUS_OK)
		return request_problem(r, STATUS_CURSOR_EXPIRED,
		    "The result of this walk is gone. Begin anew with the query that you began "
		    "with.");
	const struct cache_manifest *m = cache_manifest(r->result);
	if (!take_walk(r, m))
		return request_problem(
		    r, STATUS_BAD_CURSOR, "The cursor does not belong to this endpoint.");
	/* grants may have changed since the walk began */
	if (!access_covers(r->consumer, &r->query.policies))
		return request_problem(r, STATUS_FORBIDDEN,
		    "The grant of this key does not cover every policy asked for.");
	r->query.fields = r->cursor.fields;
	r->query.limit = r->cursor.limit;
	r->served = SERVED_HIT;
	return STEP_answer;
}

/* The current result of the query, and what it is worth for this request. */
static enum status
look(const struct request *r, struct cache_result **ret_result, enum verdict *ret_verdict)
{
	struct cache_result *result;
	int64_t now_ms = clock_wall_ms();
	enum status st = cache_lookup(
	    r->gateway->cache, r->digest, r->canon.data, r->canon.len, now_ms, &result);
	if (st != STATUS_OK)
		return st;
	*ret_result = result;
	*ret_verdict = conditions_verdict(&r->conditions, cache_manifest(result), now_ms,
	    r->consumer->force, r->gateway->settings->max_age_floor_ms);
	return STATUS_OK;
}

/* The caller wants it asked for anew, and has the right to. */
static bool
may_force(const struct request *r)
{
	return r->conditions.no_cache && r->consumer->force;
}

/* The fetch of a flight that this request leads. Between its lookup and its lead another flight may
 * have ended: what that has made is taken for what this one would make, and no fetch is begun. */
static bool
lead(struct request *r, struct flight *flight, enum budget_class class)
{
	struct cache_result *made;
	enum verdict verdict;
	if (look(r, &made, &verdict) == STATUS_OK) {
		if (verdict == VERDICT_FRESH)
			flight_end(flight, STATUS_OK, 0, made);
		cache_release(made);
		if (verdict == VERDICT_FRESH)
			return false;
	}
	fetch_start(r->gateway->fetcher, flight, class, may_force(r));
	return true;
}

/* Why a fetch would only fail as one has failed just now, whoever asked for it; or STATUS_OK. */
static enum status
known_failure(struct request *r, int64_t within_ms, struct buf *reason, int64_t *ret_wait_ms)
{
	enum status st = fetch_forecast(r->gateway->fetcher, &r->query, reason, ret_wait_ms);
	if (st != STATUS_OK || may_force(r))
		return st;
	return flights_failed_lately(r->gateway->flights, r->digest, within_ms, &st, ret_wait_ms)
		   ? st
		   : STATUS_OK;
}

/* The upstream has told us to stay away for a while. */
static bool
wait_is_announced(const struct request *r)
{
	struct budget_view v;
	for (int api = 0; api < API_COUNT; api++) {
		budget_view(r->gateway->budget, (enum upstream_api)api, &v);
		if (v.closed_for_ms > 0)
			return true;
	}
	return false;
}

#define REFRESH_PAUSE_MS 30000 /* after a refresh that failed: what is stale serves meanwhile */

/* Begins a fetch that nobody waits for. */
static void
refresh_behind(struct request *r)
{
	bool leader;
	int64_t wait_ms;
	if (wait_is_announced(r) || known_failure(r, REFRESH_PAUSE_MS, NULL, &wait_ms) != STATUS_OK)
		return;
	struct flight *flight = flight_join(r->gateway->flights, r->digest, r->canon.data,
	    r->canon.len, r->consumer->name, &leader);
	if (flight != NULL && leader)
		lead(r, flight, BUDGET_BACKGROUND);
	flight_release(flight);
}

/* There is an older result that may be served while the upstream fails. */
static bool
may_stand_in(const struct request *r)
{
	return r->result != NULL && r->now_ms < cache_manifest(r->result)->keep_until_ms &&
	       strcmp(r->fwd, "request") != 0;
}

static enum step
serve_stale(struct request *r, enum stale why)
{
	r->served = SERVED_STALE;
	r->stale = why;
	return STEP_answer;
}

static enum step
step_lookup(struct request *r)
{
	if (r->walking)
		return lookup_pinned(r);
	enum verdict verdict = VERDICT_NONE;
	enum status st = look(r, &r->result, &verdict);
	if (st != STATUS_OK && !is_gone(st))
		return request_problem_later(
		    r, st, 0); /* what a fetch brought could not be kept either */
	switch (verdict) {
	case VERDICT_FRESH:
		r->served = SERVED_HIT;
		return STEP_answer;
	case VERDICT_STALE:
		if (!r->conditions.only_if_cached)
			refresh_behind(r);
		return serve_stale(r, STALE_AGE);
	case VERDICT_REQUEST:
		r->fwd = "request";
		break;
	case VERDICT_EXPIRED:
		r->fwd = "stale";
		if (wait_is_announced(r) && may_stand_in(r))
			return serve_stale(r, STALE_LIMIT);
		break;
	case VERDICT_NONE:
		r->fwd = "miss";
		break;
	}
	if (r->conditions.only_if_cached)
		return request_problem(r, STATUS_NOT_CACHED, "Nothing cached may answer this.");
	return STEP_follow;
}

/* --- follow */

#define ASK_AGAIN_MS 2000 /* where nothing is known of how long it takes */
#define ASK_AGAIN_MOST_MS 60000

/* By the estimate, where there is one; a minute at most, for estimates change. */
static int64_t
ask_again_s(const struct request *r)
{
	int64_t ms = fetch_estimate_ms(r->gateway->fetcher, r->flight);
	if (ms < 0)
		ms = ASK_AGAIN_MS;
	return ms < 1000                ? 1
	       : ms > ASK_AGAIN_MOST_MS ? ASK_AGAIN_MOST_MS / 1000
					: (ms + 999) / 1000;
}

static enum step
accepted(struct request *r)
{
	struct flight_view v;
	flight_look(r->flight, &v);
	r->response.http = 202;
	response_header(&r->response, "Content-Type", "application/json");
	response_header(&r->response, "Cache-Control", "no-store");
	response_header(&r->response, "Location", "/v1/fetches/%" PRIx64, v.id);
	response_header(&r->response, "Retry-After", "%" PRId64, ask_again_s(r));
	response_header(&r->response, "Cache-Status", "posturegate; fwd=%s", r->fwd);
	bool hides = !r->consumer->all_policies && r->query.policies.count == 0;
	endpoint_fetch_json(
	    r->gateway->fetcher, r->flight, hides ? FETCH_HIDES_COUNTS : 0, &r->response.body);
	return STEP_respond;
}

static enum stale
stale_by(enum status st)
{
	switch (st) {
	case STATUS_UPSTREAM_LIMIT:
		return STALE_LIMIT;
	case STATUS_QUOTA_EXCEEDED:
		return STALE_QUOTA;
	default:
		return STALE_ERROR;
	}
}

/* A fetch failed, or would: an older result may still stand in (RFC 5861 stale-if-error), but not
 * for one who asked for no stored answer. */
static enum step
no_answer(struct request *r, enum status st, int64_t retry_after_ms, const char *detail)
{
	const struct cache_manifest *m = r->result != NULL ? cache_manifest(r->result) : NULL;
	if (may_stand_in(r))
		return serve_stale(r, stale_by(st));
	char extra[64];
	if (m != NULL)
		snprintf(extra, sizeof extra, ",\"cachedAge\":%" PRId64,
		    (r->now_ms - m->fetched_at_ms) / 1000);
	r->status = st;
	response_problem(
	    &r->response, st, r->id, detail, NULL, retry_after_ms, m != NULL ? extra : NULL);
	return STEP_respond;
}

static enum step
fetch_failed(struct request *r)
{
	struct flight_view v;
	flight_look(r->flight, &v);
	return no_answer(
	    r, v.status != STATUS_OK ? v.status : STATUS_STOPPING, v.retry_after_ms, NULL);
}

/* Nothing is fetched for this query, and it is known that it would fail. */
static enum step
known_to_fail(struct request *r, enum status st, int64_t wait_ms, struct buf *reason)
{
	if (st != STATUS_VERSION_UNAVAILABLE)
		return no_answer(r, st, wait_ms, NULL);
	const char *detail = arena_printf(
	    &r->arena, "What each version of the upstream's API says: %s.", buf_str(reason));
	return no_answer(r, st, 0, detail);
}

#define LOOK_ROUND_MS 500

/* Whoever has something to fall back on does not wait through what the upstream has announced. */
static bool
wait_unless_announced(struct request *r, int64_t until_ms)
{
	bool over = false, go_on = true;
	while (!over && go_on) {
		int64_t next_ms = clock_mono_ms() + LOOK_ROUND_MS;
		over = flight_wait(r->flight, next_ms < until_ms ? next_ms : until_ms);
		go_on = clock_mono_ms() < until_ms && !wait_is_announced(r);
	}
	return over;
}

/* Waits as long as the caller will, if there is room for one more who waits. */
static bool
wait_for_flight(struct request *r)
{
	const struct settings *s = r->gateway->settings;
	int64_t wait_ms = conditions_wait_ms(&r->conditions, s->wait_default_ms, s->wait_max_ms);
	bool enters = wait_ms > 0 && workers_enter(r->worker, WORKER_WAITING);
	if (!enters)
		wait_ms = 0;
	int64_t until_ms = clock_mono_ms() + wait_ms, from_us = clock_mono_us();
	bool over =
	    may_stand_in(r) ? wait_unless_announced(r, until_ms) : flight_wait(r->flight, until_ms);
	r->may_wait_ms = wait_ms;
	if (!enters)
		return over;
	workers_leave(r->worker, WORKER_WAITING);
	r->waited_us = clock_mono_us() - from_us;
	metrics_waited(r->gateway->stats, r->waited_us);
	return over;
}

/* A new flight counts against the consumer's quota. */
struct turn {
	const struct request *r;
	bool leader;
	int64_t minute;  /* in which it was counted */
	int64_t wait_ms; /* until the next may be counted; 0: this one was, or need not be */
};

static bool
take_turn(void *ctx)
{
	struct turn *t = ctx;
	const struct consumer *c = t->r->consumer;
	return quota_take(
	    t->r->gateway->quota, c->number, c->quota, clock_mono_ms(), &t->minute, &t->wait_ms);
}

/* What is stored is for everyone, also what another's fetch has brought since the lookup. */
static enum step
over_quota(struct request *r, int64_t wait_ms)
{
	struct cache_result *made;
	enum verdict verdict;
	if (look(r, &made, &verdict) == STATUS_OK) {
		cache_release(r->result);
		r->result = made;
		if (verdict == VERDICT_FRESH) {
			r->served = SERVED_HIT;
			return STEP_answer;
		}
	}
	return no_answer(r, STATUS_QUOTA_EXCEEDED, wait_ms, NULL);
}

/* The flight to wait for: the one under way, or a new one that this request leads. Without one, what
 * it ends with. */
static enum step
join(struct request *r, struct turn *turn)
{
	struct gateway *g = r->gateway;
	struct buf reason;
	int64_t wait_ms = 0;
	r->flight = flight_running(g->flights, r->digest, r->canon.data, r->canon.len);
	if (r->flight != NULL)
		return STEP_follow;
	buf_init(&reason, KIB);
	enum status st = known_failure(r, g->settings->error_memory_ms, &reason, &wait_ms);
	enum step next = STEP_follow;
	if (st != STATUS_OK)
		next = known_to_fail(r, st, wait_ms, &reason);
	buf_fini(&reason);
	if (st != STATUS_OK)
		return next;
	r->flight = flight_join_if(g->flights, r->digest, r->canon.data, r->canon.len,
	    r->consumer->name, take_turn, turn, &turn->leader);
	if (r->flight != NULL)
		return STEP_follow;
	return turn->wait_ms > 0 ? over_quota(r, turn->wait_ms)
				 : request_problem(r, STATUS_NO_MEMORY, NULL);
}

static enum step
step_follow(struct request *r)
{
	struct turn turn = {.r = r};
	enum step next = join(r, &turn);
	if (next != STEP_follow)
		return next;
	if (!turn.leader) {
		metrics_coalesced(r->gateway->stats);
		flight_asked(r->flight, r->consumer->name);
		fetch_promote(r->gateway->fetcher, r->flight, r->consumer->name);
	}
	r->leads = turn.leader && lead(r, r->flight, BUDGET_INTERACTIVE);
	if (turn.leader && !r->leads)
		quota_give_back(r->gateway->quota, r->consumer->number, turn.minute);
	if (!wait_for_flight(r)) {
		if (!may_stand_in(r) || !wait_is_announced(r))
			return accepted(r);
		return serve_stale(r, STALE_LIMIT);
	}
	struct cache_result *made = flight_result(r->flight);
	if (made == NULL)
		return fetch_failed(r);
	cache_release(r->result);
	r->result = made;
	r->served = r->leads ? SERVED_MISS : turn.leader ? SERVED_HIT : SERVED_COLLAPSED;
	return STEP_answer;
}

/* --- answer */

static enum step
step_answer(struct request *r)
{
	return endpoint_answer(r);
}

/* --- respond */

/* Why the upstream was needed, or why what was served is not fresh. */
static const char *
reason(const struct request *r)
{
	static const char *const stale[] = {[STALE_AGE] = "stale",
	    [STALE_ERROR] = "error",
	    [STALE_LIMIT] = "limit",
	    [STALE_QUOTA] = "quota"};
	if (r->served == SERVED_STALE)
		return stale[r->stale];
	return r->fwd != NULL ? r->fwd : "-";
}

/* What only some requests have: " key=value …" in the request's arena. */
static const char *
log_more(struct request *r)
{
	struct flight_view v = {0};
	const char *text = "";
	if (r->flight != NULL) {
		flight_look(r->flight, &v);
		text = arena_printf(&r->arena, " fetch=%" PRIx64, v.id);
	}
	if (r->result != NULL && text != NULL)
		text = arena_printf(
		    &r->arena, "%s result=%016" PRIx64, text, cache_manifest(r->result)->id);
	return text != NULL ? text : "";
}

/* The calls that the fetch of this request has made so far; those of another's are not its own. */
static uint64_t
calls_caused(const struct request *r)
{
	struct flight_view v;
	if (!r->leads)
		return 0;
	flight_look(r->flight, &v);
	return v.progress.calls_made;
}

static void
log_request(struct request *r, size_t bytes, int64_t took_us, enum status sent)
{
	static const char *const served[] = {"-", "hit", "stale", "miss", "collapsed"};
	log_event(LOG_INFO, "request",
	    "id=%s consumer=%s method=%s route=%s path=%s status=%d%s%s cache=%s reason=%s "
	    "calls=%" PRIu64 " wait_ms=%" PRId64 " bytes=%zu ms=%" PRId64 "%s%s",
	    r->id, r->consumer != NULL ? r->consumer->name : "-",
	    log_q(r->method_text, strlen(r->method_text)), route_path(r->routed.route),
	    log_q(r->uri, strcspn(r->uri, "?")), r->response.http,
	    r->status != STATUS_OK ? " problem=" : "",
	    r->status != STATUS_OK ? status_info(r->status)->name : "", served[r->served],
	    reason(r), calls_caused(r), r->waited_us / 1000, bytes, took_us / 1000, log_more(r),
	    sent == STATUS_OK ? "" : " client=gone");
}

static enum step
step_respond(struct request *r)
{
	struct buf head;
	char applied[CONDITIONS_APPLIED_BYTES];
	if (!response_good(&r->response))
		request_problem(r, STATUS_INTERNAL, NULL);
	if (r->may_wait_ms >= 0 &&
	    conditions_applied(&r->conditions, r->may_wait_ms, r->response.http == 202, applied))
		response_header(&r->response, "Preference-Applied", "%s", applied);
	if (r->gateway->settings->origin_count > 0)
		cors_finish(&r->response, r->origin);
	buf_init(&head, 2 * LIMIT_RESPONSE_HEAD_BYTES);
	response_head(&r->response, &head);
	bool bare = r->method == METHOD_HEAD || r->response.http == 304;
	size_t bytes = bare ? 0 : r->response.body.len;
	enum status st = STATUS_CLIENT_GONE;
	if (head.err == STATUS_OK)
		st = fcgi_answer(r->fcgi, head.data, head.len, r->response.body.data, bytes);
	else
		fcgi_abort(r->fcgi);
	int64_t took_us = clock_mono_us() - r->begun_us;
	log_request(r, bytes, took_us, st);
	metrics_request(r, took_us);
	buf_fini(&head);
	return STEP_done;
}

/* --- the way */

#define TO(name) (1u << STEP_##name)
static const struct {
	enum step (*run)(struct request *r);
	unsigned exits;
} steps[] = {
#define STEP(name, to, what) [STEP_##name] = {step_##name, to},
#include "gateway/steps.h"
#undef STEP
};

void
request_serve(void *gateway, struct worker *w, struct fcgi *f)
{
	struct request r = {
	    .gateway = gateway,
	    .worker = w,
	    .fcgi = f,
	    .begun_us = clock_mono_us(),
	    .now_ms = clock_wall_ms(),
	    .routed.route = ROUTE_UNKNOWN,
	    .may_wait_ms = -1,
	};
	arena_init(&r.arena, LIMIT_ARENA_BYTES);
	buf_init(&r.canon, LIMIT_CANON_BYTES);
	response_init(&r.response);

	enum step step = STEP_read;
	while (step != STEP_done) {
		enum step next = steps[step].run(&r);
		assert(steps[step].exits & (1u << next));
		step = next;
	}

	flight_release(r.flight);
	cache_release(r.result);
	response_fini(&r.response);
	buf_fini(&r.canon);
	arena_fini(&r.arena);
}
