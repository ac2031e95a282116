/* The step "follow" of an answer that streams: which fetches begin, and when. */
#include "config.h"

#include <inttypes.h>

#include "gateway/base/clock.h"
#include "gateway/request_legacy.h"

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
	uint64_t left = quota_left(quota, c->number, c->quota, now_ms);
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
		enum status st = legacy_widen(r);
		if (st != STATUS_OK)
			return request_problem(r, st, NULL);
	}
	if (check_quota(r) != STEP_answer)
		return STEP_respond;
	return legacy_begin(r, 0) == STATUS_OK ? STEP_answer : STEP_respond;
}
