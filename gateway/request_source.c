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
#include "gateway/broaden.h"
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

/* What there is may be too old for the caller, and so may be what he comes again for. */
static bool
minds_age(const struct request *r)
{
	return may_force(r) || r->conditions.max_age_ms >= 0;
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

static bool
may_refresh(struct request *r)
{
	int64_t wait_ms;
	return r->refreshes < REFRESHES_MOST && !wait_is_announced(r) &&
	       known_failure(r, REFRESH_PAUSE_MS, NULL, &wait_ms) == STATUS_OK;
}

bool
source_would_refresh(struct request *r)
{
	struct flight *flight = flight_running(
	    r->gateway->flights, r->source->digest, r->source->canon.data, r->source->canon.len);
	flight_release(flight);
	return flight == NULL && may_refresh(r);
}

bool
source_refresh(struct request *r)
{
	bool leader, begun = false;
	if (!r->source->alone && source_refresh_broad(r, &begun))
		return begun;
	if (!may_refresh(r))
		return false;
	struct flight *flight = flight_join(r->gateway->flights, r->source->digest,
	    r->source->canon.data, r->source->canon.len, r->consumer->name, &leader);
	if (flight != NULL && leader)
		begun = lead(r, flight, BUDGET_BACKGROUND);
	else if (flight != NULL)
		fetch_promote(r->gateway->fetcher, flight, BUDGET_BACKGROUND, r->consumer->name);
	r->refreshes += begun;
	flight_release(flight);
	return begun;
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

bool
source_is_owed(const struct request *r, const struct cache_result *result)
{
	const struct cache_manifest *m = cache_manifest(result);
	return flights_owe(r->gateway->flights, m->digest, r->consumer->name, m->id);
}

/* What is not its own, or is its own and has expired. */
static enum found
choose_further(struct request *r)
{
	if (source_take_contained(r, VERDICT_FRESH))
		return FOUND_FRESH;
	if (source_take_contained(r, VERDICT_STALE))
		return FOUND_STALE;
	if (minds_age(r) && source_take_contained(r, VERDICT_REQUEST))
		return FOUND_OWED;
	if (r->source->result == NULL && r->source->too_old_ms > 0)
		r->source->fwd = "request";
	return can_fall_back(r) && wait_is_announced(r) ? FOUND_KEPT : FOUND_NOTHING;
}

enum status
source_choose(struct request *r, enum found *ret)
{
	static const char *const fwd[] = {[VERDICT_NONE] = "miss",
	    [VERDICT_EXPIRED] = "stale",
	    [VERDICT_REQUEST] = "request",
	    [VERDICT_FRESH] = NULL,
	    [VERDICT_STALE] = NULL};
	struct source *s = r->source;
	enum verdict verdict = VERDICT_NONE;
	enum status st = look(r, &s->result, &verdict);
	if (st != STATUS_OK && !is_gone(st))
		return st;
	if (verdict != VERDICT_NONE && verdict != VERDICT_FRESH)
		source_refused(
		    r, s->canon.data, s->canon.len, cache_manifest(s->result)->id, 0, "age");
	s->fwd = fwd[verdict];
	if (verdict == VERDICT_FRESH)
		*ret = FOUND_FRESH;
	else if (verdict == VERDICT_STALE)
		*ret = source_take_contained(r, VERDICT_FRESH) ? FOUND_FRESH : FOUND_STALE;
	else if (verdict == VERDICT_REQUEST && source_is_owed(r, s->result))
		*ret = FOUND_OWED;
	else
		*ret = choose_further(r);
	return STATUS_OK;
}

static void
settle_owed(const struct request *r)
{
	const struct cache_manifest *m = cache_manifest(r->source->result);
	flights_settle(r->gateway->flights, m->digest, r->consumer->name, m->id);
}

static enum step
serve_found(struct request *r, enum found found)
{
	struct source *s = r->source;
	switch (found) {
	case FOUND_FRESH:
		if (minds_age(r)) /* it may be what was owed: it is given now */
			settle_owed(r);
		s->fwd = NULL;
		s->served = SERVED_HIT;
		return STEP_answer;
	case FOUND_STALE:
		s->fwd = NULL;
		if (!r->conditions.only_if_cached)
			source_renew(r, source_refresh);
		return serve_stale(r, STALE_AGE);
	case FOUND_OWED:
		settle_owed(r);
		s->served = SERVED_COLLAPSED;
		return STEP_answer;
	case FOUND_KEPT:
		return serve_stale(r, STALE_LIMIT);
	case FOUND_NOTHING:
		break;
	}
	return STEP_follow;
}

/* What nobody uses need not be kept fresh, and what is taken out of a broader result is asked for as if it
 * were fetched. */
static void
note_use(const struct request *r)
{
	const struct source *s = r->source;
	const struct cache_manifest *m = cache_manifest(s->result);
	const struct demand_result used = {m->digest, m->id, m->fetched_at_ms, m->fresh_until_ms};
	if (r->gateway->settings->ahead)
		demand_used(r->gateway->demand, &used, clock_wall_ms());
	if (s->contained)
		broaden_noted(r->gateway, &s->query, s->digest);
}

/* One query; a walk needs none. */
enum step
source_lookup(struct request *r)
{
	enum found found;
	enum status st = source_choose(r, &found);
	if (st != STATUS_OK) /* what a fetch brought could not be kept either */
		return request_problem_later(r, st, 0);
	enum step next = serve_found(r, found);
	if (next == STEP_answer)
		note_use(r);
	return next;
}

enum step
step_lookup(struct request *r)
{
	bool explains = r->routed.route == ROUTE_POSTURES_EXPLAIN;
	if (explains && !r->walking)
		return STEP_answer; /* it only asks what would be found */
	enum step next = r->walking          ? source_pinned(r)
			 : r->legacy != NULL ? legacy_lookup(r)
					     : source_lookup(r);
	if (next == STEP_follow && explains)
		return STEP_answer; /* its walk is through a fetch */
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
	if (minds_age(r))
		flight_owe(r->source->flight, r->consumer->name);
	endpoint_fetch_of_202(r, estimate_ms);
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
	const struct source *s = r->source;
	if (source_may_stand_in(r))
		return serve_stale(r, stale_by(st));
	char extra[64];
	int64_t fetched_ms =
	    s->result != NULL ? cache_manifest(s->result)->fetched_at_ms : s->too_old_ms;
	if (fetched_ms > 0)
		snprintf(extra, sizeof extra, ",\"cachedAge\":%" PRId64,
		    (r->now_ms - fetched_ms) / 1000);
	return request_problem_more(r, st, detail, retry_after_ms, fetched_ms > 0 ? extra : NULL);
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
	int64_t from_us = clock_mono_us(), wait_ms = patience_ms(r);
	if (r->source->alone) /* it has waited for another one, and its time does not begin anew */
		wait_ms = r->wait_until_ms - clock_mono_ms();
	bool enters = wait_ms > 0 && workers_enter(r->worker, WORKER_WAITING, NULL);
	if (!enters)
		wait_ms = 0;
	int64_t until_ms = clock_mono_ms() + wait_ms;
	bool over =
	    source_may_stand_in(r) ? wait_unless_held_up(r, wait, until_ms) : wait(r, until_ms);
	if (!r->source->alone) {
		r->may_wait_ms = wait_ms;
		r->wait_until_ms = until_ms;
	}
	if (!enters)
		return over;
	workers_leave(r->worker, WORKER_WAITING);
	int64_t waited_us = clock_mono_us() - from_us;
	r->source->waited_us += waited_us;
	metrics_waited(r->gateway->stats, waited_us);
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

/* There is a fetch under way that will have the answer. Or it has ended since the lookup: what it has
 * brought is stored, then. Records of the old protocol leave before the end of a fetch has come, which
 * alone tells whether a broader one has what they are taken from. */
static bool
is_on_its_way(struct request *r, struct way *ret)
{
	if (r->source->alone || r->legacy != NULL)
		return false;
	ret->leads = source_follow_broader(r) ? WAY_FLIGHT : WAY_STORED;
	return ret->leads == WAY_FLIGHT || source_take_contained(r, VERDICT_FRESH);
}

void
source_find_way(struct request *r, struct way *ret)
{
	struct gateway *g = r->gateway;
	struct source *s = r->source;
	struct buf reason;
	*ret = (struct way){.leads = WAY_FLIGHT};
	s->flight = flight_running(g->flights, s->digest, s->canon.data, s->canon.len);
	if (s->flight != NULL || is_on_its_way(r, ret))
		return;
	buf_init(&reason, KIB);
	ret->failure = known_failure(r, g->settings->error_memory_ms, &reason, &ret->wait_ms);
	ret->leads = ret->failure != STATUS_OK ? WAY_FAILS : WAY_BEGINS;
	if (ret->failure == STATUS_VERSION_UNAVAILABLE) {
		ret->wait_ms = 0;
		ret->detail = arena_printf(&r->arena,
		    "What each version of the upstream's API says: %s.", buf_str(&reason));
	}
	buf_fini(&reason);
}

/* The flight to wait for: the one under way, of its own query or a broader one, or a new one that this
 * request leads. Without one, what it ends with. */
static enum step
join(struct request *r, struct turn *turn)
{
	struct gateway *g = r->gateway;
	struct way way;
	source_find_way(r, &way);
	if (way.leads == WAY_FLIGHT)
		return STEP_follow;
	if (way.leads == WAY_STORED)
		return serve_found(r, FOUND_FRESH);
	if (way.leads == WAY_FAILS)
		return no_answer(r, way.failure, way.wait_ms, way.detail);
	if (source_begin_broad(r))
		return STEP_follow;
	r->source->flight = flight_join_if(g->flights, r->source->digest, r->source->canon.data,
	    r->source->canon.len, r->consumer->name, take_turn, turn, &turn->leader);
	if (r->source->flight != NULL)
		return STEP_follow;
	return turn->wait_ms > 0 ? source_over_quota(r, turn->wait_ms, NULL)
				 : request_problem(r, STATUS_NO_MEMORY, NULL);
}

/* Who waits for it without having begun it. */
static void
tell_flight(const struct request *r)
{
	const struct source *s = r->source;
	if (s->follows)
		flight_followed(s->flight, r->consumer->name, s->canon.data, s->canon.len);
	else
		flight_asked(s->flight, r->consumer->name);
}

enum step
source_begin(struct request *r)
{
	struct turn turn = {.r = r};
	enum step next = join(r, &turn);
	if (next != STEP_follow || (r->source->follows && r->source->began))
		return next; /* a broad one has begun as it has to */
	if (!turn.leader) {
		metrics_coalesced(r->gateway->stats);
		tell_flight(r);
		fetch_promote(
		    r->gateway->fetcher, r->source->flight, BUDGET_INTERACTIVE, r->consumer->name);
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

/* A fetch of its own would fail in the same way: not of what was asked for, but of who asked or when. */
static bool
would_fail_alike(enum status st)
{
	switch (st) {
	case STATUS_OK: /* without a result: the process ends */
	case STATUS_STOPPING:
	case STATUS_UPSTREAM_LIMIT:
	case STATUS_UPSTREAM_AUTH:
	case STATUS_UPSTREAM_TOKEN:
	case STATUS_UPSTREAM_TLS:
	case STATUS_STORE_FULL:
	case STATUS_STORE_FAILED:
	case STATUS_NO_MEMORY:
		return true;
	default:
		return false;
	}
}

/* The broader fetch has ended. It may have failed, or found less than its query had promised: then the
 * query has a fetch of its own (follow), as if there had been no other. */
static enum step
take_followed(struct request *r, struct cache_result *made)
{
	struct source *s = r->source;
	struct flight_view v;
	flight_look(s->flight, &v);
	/* of one that was begun in place of its own an upstream that is down is the same for both */
	bool down = s->began && v.status == STATUS_UPSTREAM_DOWN;
	if (made == NULL && (down || would_fail_alike(v.status)))
		return source_failed(r);
	if (made != NULL && source_take_broader(r, made)) {
		s->served = source_served(s);
		broaden_sized(r->gateway, &s->query, cache_manifest(made)->body_bytes);
		return STEP_answer;
	}
	cache_release(made);
	flight_release(s->flight);
	s->flight = NULL;
	s->follows = false;
	s->alone = true;
	return STEP_follow;
}

enum step
source_ended(struct request *r)
{
	struct cache_result *made = flight_result(r->source->flight);
	if (r->source->follows)
		return take_followed(r, made);
	if (made == NULL)
		return source_failed(r);
	take_made(r->source, made);
	broaden_sized(r->gateway, &r->source->query, cache_manifest(made)->body_bytes);
	r->source->served = source_served(r->source);
	return STEP_answer;
}

enum step
step_follow(struct request *r)
{
	enum step next = STEP_follow;
	if (r->legacy != NULL && r->legacy->streams)
		return legacy_follow(r);
	do {
		next = r->walking ? STEP_follow : source_begin(r);
		if (next != STEP_follow || partial_follow(r, &next))
			return next;
		next = source_wait(r, wait_for_flight) ? source_ended(r) : source_not_yet(r);
	} while (next == STEP_follow); /* once more at most: the second time it goes alone */
	return next;
}
