/* The steps "lookup" and "follow": where the answer comes from. A result that may serve as it is; else
 * the one fetch that makes it, waited for; else an older result that may stand in, or a problem.
 *
 * Whoever can be answered from what is stored never waits here, and what is known to fail is not asked
 * for again (fetch/memory.h, flights_failed_lately()). */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/endpoints.h"
#include "gateway/metrics.h"
#include "gateway/request_legacy.h"

/* --- lookup */

/* The store has no such result; anything else is a fault of the store, and tells nothing. */
static bool
is_gone(enum status st)
{
	return st == STATUS_NOT_FOUND || st == STATUS_CORRUPT;
}

/* The query of a walk: that of its result, or a narrower one, which is kept under its digest. */
static enum status
read_walk(struct request *r, const struct cache_manifest *m, struct query *ret)
{
	char *text;
	size_t len;
	if (memcmp(r->cursor.query, m->digest, sizeof r->cursor.query) == 0)
		return query_from_canon(&r->arena, m->text, m->text_len, ret);
	enum status st = cache_query_get(r->gateway->cache, r->cursor.query, &text, &len);
	if (st != STATUS_OK)
		return st;
	st = query_from_canon(&r->arena, text, len, ret);
	free(text);
	return st;
}

enum status
source_take_query(struct request *r, const struct query *walked)
{
	if (walked->kind != r->source->query.kind ||
	    (walked->kind == KIND_HOSTS && walked->policies.ids[0] != r->routed.id))
		return STATUS_BAD_CURSOR;
	r->source->query = *walked;
	r->source->query.fields = r->cursor.fields;
	r->source->query.limit = r->cursor.limit;
	return STATUS_OK;
}

static enum status
take_walk(struct request *r, const struct cache_manifest *m)
{
	struct query walked;
	enum status st = read_walk(r, m, &walked);
	if (st == STATUS_OK)
		st = source_take_query(r, &walked);
	if (st == STATUS_OK)
		st = partial_settle(r);
	if (st != STATUS_OK)
		return st;
	return memcmp(r->cursor.query, m->digest, sizeof r->cursor.query) == 0 ? STATUS_OK
									       : source_narrow(r);
}

enum step
source_gone(struct request *r, const char *why)
{
	const char *detail =
	    arena_printf(&r->arena, "%s Begin anew with the query that you began with.",
		why != NULL ? why : "The result of this walk is gone.");
	return request_problem(r, STATUS_CURSOR_EXPIRED, detail);
}

/* A walk goes on in the result it began on, whatever its age. */
enum step
source_pinned(struct request *r)
{
	enum status st =
	    cache_get(r->gateway->cache, r->cursor.result, r->now_ms, &r->source->result);
	if (st == STATUS_NOT_FOUND)
		return partial_lookup(r);
	if (st == STATUS_OK)
		st = take_walk(r, cache_manifest(r->source->result));
	if (st == STATUS_BAD_CURSOR)
		return request_problem(r, st, "The cursor does not belong to this endpoint.");
	if (st == STATUS_CURSOR_EXPIRED)
		return source_gone(r, "The order of the records has changed since.");
	if (is_gone(st) || st == STATUS_UPSTREAM_BAD_DATA) /* or our rules have changed since */
		return source_gone(r, NULL);
	if (st != STATUS_OK)
		return request_problem_later(r, st, 0);
	/* grants may have changed since the walk began */
	if (!access_covers(r->consumer, &r->source->query.policies))
		return request_problem(r, STATUS_FORBIDDEN,
		    "The grant of this key does not cover every policy asked for.");
	r->source->served = SERVED_HIT;
	return STEP_answer;
}

/* The current result of the query, and what it is worth for this request. */
static enum status
look(const struct request *r, struct cache_result **ret_result, enum verdict *ret_verdict)
{
	struct cache_result *result;
	int64_t now_ms = clock_wall_ms();
	enum status st = cache_lookup(r->gateway->cache, r->source->digest, r->source->canon.data,
	    r->source->canon.len, now_ms, &result);
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
	enum status st =
	    fetch_forecast(r->gateway->fetcher, &r->source->query, reason, ret_wait_ms);
	if (st != STATUS_OK || may_force(r))
		return st;
	return flights_failed_lately(
		   r->gateway->flights, r->source->digest, within_ms, &st, ret_wait_ms)
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
/* Of a request that has many stale results; whoever asks next renews others. */
#define REFRESHES_MOST 4

void
source_refresh(struct request *r)
{
	bool leader;
	int64_t wait_ms;
	if (r->refreshes == REFRESHES_MOST || wait_is_announced(r) ||
	    known_failure(r, REFRESH_PAUSE_MS, NULL, &wait_ms) != STATUS_OK)
		return;
	struct flight *flight = flight_join(r->gateway->flights, r->source->digest,
	    r->source->canon.data, r->source->canon.len, r->consumer->name, &leader);
	if (flight != NULL && leader)
		r->refreshes += lead(r, flight, BUDGET_BACKGROUND);
	flight_release(flight);
}

bool
source_may_stand_in(const struct request *r)
{
	/* by now: it may have been waited for long */
	return r->source->result != NULL &&
	       clock_wall_ms() < cache_manifest(r->source->result)->keep_until_ms &&
	       strcmp(r->source->fwd, "request") != 0;
}

static enum step
serve_stale(struct request *r, enum stale why)
{
	r->source->served = SERVED_STALE;
	r->source->stale = why;
	return STEP_answer;
}

/* There may be something that serves while the upstream fails; without a result of its own the query
 * has that of a broader one. */
static bool
can_fall_back(struct request *r)
{
	if (r->source->result == NULL && source_take_contained(r, VERDICT_EXPIRED))
		r->source->fwd = "stale";
	return source_may_stand_in(r);
}

/* One query; a walk needs none. */
enum step
source_lookup(struct request *r)
{
	enum verdict verdict = VERDICT_NONE;
	enum status st = look(r, &r->source->result, &verdict);
	if (st != STATUS_OK && !is_gone(st))
		return request_problem_later(
		    r, st, 0); /* what a fetch brought could not be kept either */
	switch (verdict) {
	case VERDICT_FRESH:
		r->source->served = SERVED_HIT;
		return STEP_answer;
	case VERDICT_STALE:
		if (source_take_contained(r, VERDICT_FRESH))
			return STEP_answer;
		if (!r->conditions.only_if_cached)
			source_refresh(r);
		return serve_stale(r, STALE_AGE);
	case VERDICT_REQUEST:
		r->source->fwd = "request";
		if (flights_settle(r->gateway->flights, r->source->digest, r->consumer->name,
			cache_manifest(r->source->result)->id)) {
			r->source->served = SERVED_COLLAPSED;
			return STEP_answer;
		}
		break;
	case VERDICT_EXPIRED:
		r->source->fwd = "stale";
		break;
	case VERDICT_NONE:
		r->source->fwd = "miss";
		break;
	}
	if (source_take_contained(r, VERDICT_FRESH) || source_take_contained(r, VERDICT_STALE))
		return STEP_answer;
	return can_fall_back(r) && wait_is_announced(r) ? serve_stale(r, STALE_LIMIT) : STEP_follow;
}

enum step
step_lookup(struct request *r)
{
	enum step next = r->walking          ? source_pinned(r)
			 : r->legacy != NULL ? legacy_lookup(r)
					     : source_lookup(r);
	if (next == STEP_follow && r->conditions.only_if_cached && !r->walking)
		return request_problem(r, STATUS_NOT_CACHED, "Nothing cached may answer this.");
	return next;
}

/* --- follow */

#define ASK_AGAIN_MS 2000 /* where nothing is known of how long it takes, or a page is enough */
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
	flight_look(r->source->flight, &v);
	int64_t estimate_ms = fetch_estimate_ms(r->gateway->fetcher, r->source->flight);
	r->response.http = 202;
	request_json(r);
	response_header(&r->response, "Location", "/v1/fetches/%" PRIx64, v.id);
	response_header(&r->response, "Retry-After", "%" PRId64,
	    ask_again_s(r->partial != NULL ? -1 : estimate_ms));
	response_header(&r->response, "Cache-Status", "posturegate; fwd=%s", r->source->fwd);
	if (strcmp(r->source->fwd, "request") == 0)
		flight_owe(r->source->flight, r->consumer->name);
	bool hides = !r->consumer->all_policies && r->source->query.policies.count == 0;
	endpoint_fetch_json(
	    r->source->flight, estimate_ms, hides ? FETCH_HIDES_COUNTS : 0, &r->response.body);
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
	const struct cache_manifest *m =
	    r->source->result != NULL ? cache_manifest(r->source->result) : NULL;
	if (source_may_stand_in(r))
		return serve_stale(r, stale_by(st));
	char extra[64];
	if (m != NULL)
		snprintf(extra, sizeof extra, ",\"cachedAge\":%" PRId64,
		    (r->now_ms - m->fetched_at_ms) / 1000);
	return request_problem_more(r, st, detail, retry_after_ms, m != NULL ? extra : NULL);
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
wait_unless_held_up(
    struct request *r, bool (*wait)(struct request *r, int64_t until_ms), int64_t until_ms)
{
	enum stale why;
	bool over = false, go_on = true;
	while (!over && go_on) {
		int64_t next_ms = clock_mono_ms() + LOOK_ROUND_MS;
		over = wait(r, next_ms < until_ms ? next_ms : until_ms);
		int64_t now = clock_mono_ms();
		/* neither its end nor the time: all waiting has ended, we are stopping */
		bool stopped = now < next_ms;
		go_on = now < until_ms && !stopped && !is_held_up(r, &why);
	}
	return over;
}

/* A caller of the upstream's own protocol knows no 202: as long as such clients wait for a byte, also where
 * one fetch is waited for after the other. */
#define LEGACY_WAIT_MS 80000

static int64_t
patience_ms(const struct request *r)
{
	const struct settings *s = r->gateway->settings;
	return r->legacy != NULL
		   ? r->begun_us / 1000 + LEGACY_WAIT_MS - clock_mono_ms()
		   : conditions_wait_ms(&r->conditions, s->wait_default_ms, s->wait_max_ms);
}

static bool
wait_for_flight(struct request *r, int64_t until_ms)
{
	return flight_wait(r->source->flight, until_ms);
}

bool
source_wait(struct request *r, bool (*wait)(struct request *r, int64_t until_ms))
{
	int64_t wait_ms = patience_ms(r);
	bool enters = wait_ms > 0 && workers_enter(r->worker, WORKER_WAITING, NULL);
	if (!enters)
		wait_ms = 0;
	int64_t until_ms = clock_mono_ms() + wait_ms, from_us = clock_mono_us();
	bool over =
	    source_may_stand_in(r) ? wait_unless_held_up(r, wait, until_ms) : wait(r, until_ms);
	r->may_wait_ms = wait_ms;
	if (!enters)
		return over;
	workers_leave(r->worker, WORKER_WAITING);
	r->source->waited_us = clock_mono_us() - from_us;
	metrics_waited(r->gateway->stats, r->source->waited_us);
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

/* A result of the query itself, in place of what could have stood in. */
static void
take_made(struct source *s, struct cache_result *made)
{
	cache_release(s->result);
	s->result = made;
	source_forget_rest(s);
}

/* What is stored is for everyone, also what another's fetch has brought since the lookup. */
enum step
source_over_quota(struct request *r, int64_t wait_ms, const char *detail)
{
	struct cache_result *made;
	enum verdict verdict;
	if (look(r, &made, &verdict) == STATUS_OK) {
		take_made(r->source, made);
		if (verdict == VERDICT_FRESH) {
			r->source->served = SERVED_HIT;
			return STEP_answer;
		}
	}
	return no_answer(r, STATUS_QUOTA_EXCEEDED, wait_ms, detail);
}

/* The flight to wait for: the one under way, or a new one that this request leads. Without one, what
 * it ends with. */
static enum step
join(struct request *r, struct turn *turn)
{
	struct gateway *g = r->gateway;
	struct buf reason;
	int64_t wait_ms = 0;
	r->source->flight = flight_running(
	    g->flights, r->source->digest, r->source->canon.data, r->source->canon.len);
	if (r->source->flight != NULL)
		return STEP_follow;
	buf_init(&reason, KIB);
	enum status st = known_failure(r, g->settings->error_memory_ms, &reason, &wait_ms);
	enum step next = STEP_follow;
	if (st != STATUS_OK)
		next = known_to_fail(r, st, wait_ms, &reason);
	buf_fini(&reason);
	if (st != STATUS_OK)
		return next;
	r->source->flight = flight_join_if(g->flights, r->source->digest, r->source->canon.data,
	    r->source->canon.len, r->consumer->name, take_turn, turn, &turn->leader);
	if (r->source->flight != NULL)
		return STEP_follow;
	return turn->wait_ms > 0 ? source_over_quota(r, turn->wait_ms, NULL)
				 : request_problem(r, STATUS_NO_MEMORY, NULL);
}

enum step
source_begin(struct request *r)
{
	struct turn turn = {.r = r};
	enum step next = join(r, &turn);
	if (next != STEP_follow)
		return next;
	if (!turn.leader) {
		metrics_coalesced(r->gateway->stats);
		flight_asked(r->source->flight, r->consumer->name);
		fetch_promote(r->gateway->fetcher, r->source->flight, r->consumer->name);
	}
	r->source->began = turn.leader;
	r->source->leads = turn.leader && lead(r, r->source->flight, BUDGET_INTERACTIVE);
	if (turn.leader && !r->source->leads)
		quota_give_back(r->gateway->quota, r->consumer->number, turn.minute);
	return STEP_follow;
}

enum served
source_served(const struct source *s)
{
	return s->leads ? SERVED_MISS : s->began ? SERVED_HIT : SERVED_COLLAPSED;
}

enum step
source_failed(struct request *r)
{
	struct flight_view v;
	flight_look(r->source->flight, &v);
	return no_answer(
	    r, v.status != STATUS_OK ? v.status : STATUS_STOPPING, v.retry_after_ms, NULL);
}

/* The fetch goes on without the caller. */
enum step
source_not_yet(struct request *r)
{
	enum stale why;
	if (source_may_stand_in(r) && is_held_up(r, &why))
		return serve_stale(r, why);
	if (r->legacy == NULL)
		return accepted(r);
	/* it was not let wait at all, or all waiting has ended before its time */
	enum status st = STATUS_TIMED_OUT;
	if (r->may_wait_ms == 0 && patience_ms(r) > 0)
		st = STATUS_BUSY;
	else if (r->source->waited_us / 1000 < r->may_wait_ms)
		st = STATUS_STOPPING;
	return request_problem_later(r, st, ASK_AGAIN_MS);
}

enum step
source_ended(struct request *r)
{
	struct cache_result *made = flight_result(r->source->flight);
	if (made == NULL)
		return source_failed(r);
	take_made(r->source, made);
	r->source->served = source_served(r->source);
	return STEP_answer;
}

enum step
step_follow(struct request *r)
{
	if (r->legacy != NULL && r->legacy->streams)
		return legacy_follow(r);
	enum step next = r->walking ? STEP_follow : source_begin(r);
	if (next != STEP_follow || partial_follow(r, &next))
		return next;
	return source_wait(r, wait_for_flight) ? source_ended(r) : source_not_yet(r);
}
