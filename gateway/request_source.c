/* The steps "lookup" and "follow": where the answer comes from. A result that may serve as it is; else
 * the one fetch that makes it, waited for; else an older result that may stand in, or a problem.
 *
 * Whoever can be answered from what is stored never waits here, and what is known to fail is not asked
 * for again (fetch/memory.h, flights_failed_lately()). */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/endpoints.h"
#include "gateway/metrics.h"

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
	return credential_limited_ms(r->gateway->credential) > 0;
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

enum step
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
		if (flights_settle(r->gateway->flights, r->digest, r->consumer->name,
			cache_manifest(r->result)->id)) {
			r->served = SERVED_COLLAPSED;
			return STEP_answer;
		}
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
ask_again_s(int64_t ms)
{
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
	int64_t estimate_ms = fetch_estimate_ms(r->gateway->fetcher, r->flight);
	r->response.http = 202;
	request_json(r);
	response_header(&r->response, "Location", "/v1/fetches/%" PRIx64, v.id);
	response_header(&r->response, "Retry-After", "%" PRId64, ask_again_s(estimate_ms));
	response_header(&r->response, "Cache-Status", "posturegate; fwd=%s", r->fwd);
	if (strcmp(r->fwd, "request") == 0)
		flight_owe(r->flight, r->consumer->name);
	bool hides = !r->consumer->all_policies && r->query.policies.count == 0;
	endpoint_fetch_json(
	    r->flight, estimate_ms, hides ? FETCH_HIDES_COUNTS : 0, &r->response.body);
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

/* Nothing comes from the upstream for a while, and why. */
static bool
is_held_up(const struct request *r, enum stale *ret_why)
{
	enum status st;
	int64_t wait_ms;
	bool announced = wait_is_announced(r);
	*ret_why = announced ? STALE_LIMIT : STALE_ERROR;
	return announced || memory_closed(r->gateway->memory, clock_mono_ms(), &st, &wait_ms);
}

#define LOOK_ROUND_MS 500

/* Whoever has something to fall back on does not wait through that. */
static bool
wait_unless_held_up(struct request *r, int64_t until_ms)
{
	enum stale why;
	bool over = false, go_on = true;
	while (!over && go_on) {
		int64_t next_ms = clock_mono_ms() + LOOK_ROUND_MS;
		over = flight_wait(r->flight, next_ms < until_ms ? next_ms : until_ms);
		int64_t now = clock_mono_ms();
		/* neither its end nor the time: all waiting has ended, we are stopping */
		bool stopped = now < next_ms;
		go_on = now < until_ms && !stopped && !is_held_up(r, &why);
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
	    may_stand_in(r) ? wait_unless_held_up(r, until_ms) : flight_wait(r->flight, until_ms);
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

enum step
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
		enum stale why;
		return may_stand_in(r) && is_held_up(r, &why) ? serve_stale(r, why) : accepted(r);
	}
	struct cache_result *made = flight_result(r->flight);
	if (made == NULL)
		return fetch_failed(r);
	cache_release(r->result);
	r->result = made;
	r->served = r->leads ? SERVED_MISS : turn.leader ? SERVED_HIT : SERVED_COLLAPSED;
	return STEP_answer;
}
