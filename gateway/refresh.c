#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/broaden.h"
#include "gateway/metrics.h"
#include "gateway/refresh.h"

#define RUNNING_MOST 2  /* fetches at a time */
#define POPULAR_MOST 16 /* looked at in a round */
#define START_MS 15000  /* within it what is warm is first looked for, each at its own moment */
#define PAUSE_MS 60000  /* between two looks at what could not be had, or has just been begun */

/* No consumer can have such a name. */
static const char *const names[] = {[AHEAD_POPULAR] = "*popular", [AHEAD_WARM] = "*warm"};

struct refresh {
	struct gateway *g;
	const struct warm_list *warm;
	int64_t *look_ms; /* monotonic: when each warm query is looked for */
	struct flight *running[RUNNING_MOST];
};

struct refresh *
refresh_new(struct gateway *g, const struct warm_list *warm)
{
	struct refresh *r = calloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	r->g = g;
	r->warm = warm;
	r->look_ms = calloc(warm->count + 1, sizeof *r->look_ms);
	if (r->look_ms == NULL) {
		free(r);
		return NULL;
	}
	int64_t now_ms = clock_mono_ms();
	for (size_t i = 0; i < warm->count; i++) {
		uint32_t random;
		crypto_random(&random, sizeof random);
		r->look_ms[i] = now_ms + random % START_MS;
	}
	return r;
}

void
refresh_free(struct refresh *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < RUNNING_MOST; i++)
		flight_release(r->running[i]);
	free(r->look_ms);
	free(r);
}

/* --- what is left over */

/* One of those whose fetch is over is let go of. NULL: there are as many under way as may be. */
static struct flight **
free_place(struct refresh *r)
{
	struct flight_view v;
	for (size_t i = 0; i < RUNNING_MOST; i++) {
		if (r->running[i] == NULL)
			return &r->running[i];
		flight_look(r->running[i], &v);
		if (v.ended_ms == 0)
			continue;
		flight_release(r->running[i]);
		r->running[i] = NULL;
		return &r->running[i];
	}
	return NULL;
}

/* The budget decides call by call; what would but stand in its queue is not begun. */
static bool
is_quiet(const struct gateway *g)
{
	struct budget_view v;
	for (int api = 0; api < API_COUNT; api++) {
		budget_view(g->budget, (enum upstream_api)api, &v);
		uint64_t used = v.window_own + v.window_foreign;
		if (v.closed_for_ms > 0 || v.queued[BUDGET_INTERACTIVE] > 0 ||
		    v.queued[BUDGET_BACKGROUND] > 0 ||
		    (v.rate_calls != 0 && used >= v.rate_calls / 2 + v.rate_calls % 2))
			return false;
	}
	return credential_limited_ms(g->credential) == 0 && !memory_ails(g->memory);
}

/* --- beginning */

struct target {
	const struct query *query;
	const struct buf *canon;
	const uint8_t *digest;
};

/* It is fetched already, or now. */
static void
begin(struct refresh *r, struct flight **place, const struct target *t, enum ahead why)
{
	struct gateway *g = r->g;
	bool leader;
	if (broaden_would_fail(g, t->query, t->digest))
		return;
	struct flight *f =
	    flight_join(g->flights, t->digest, t->canon->data, t->canon->len, names[why], &leader);
	if (f == NULL || !leader) {
		flight_release(f);
		return;
	}
	struct flight_view v;
	flight_look(f, &v);
	log_event(LOG_INFO, "ahead", "fetch=%" PRIx64 " why=%s", v.id, names[why] + 1);
	metrics_ahead(g->stats, why);
	*place = f;
	fetch_start(g->fetcher, f, BUDGET_SPARE, false);
}

/* --- what is popular */

/* What serves the query in its place for longer: a broad result that is there, fresh. */
static void
begin_popular(
    struct refresh *r, struct flight **place, const struct target *own, int64_t fresh_until_ms)
{
	struct broader b;
	const struct target broad = {&b.query, &b.canon, b.digest};
	enum broaden how = broaden(r->g, own->query, own->digest, false, &b);
	if (how == BROADEN_DO)
		begin(r, place, &broad, AHEAD_POPULAR);
	else if (how == BROADEN_NOT ||
		 (how == BROADEN_STORED && b.fresh_until_ms <= fresh_until_ms))
		begin(r, place, own, AHEAD_POPULAR);
	broader_fini(&b);
}

/* One that has been replaced since is not due any more. */
static bool
is_current(const struct gateway *g, const struct cache_manifest *m, int64_t now_ms)
{
	struct cache_result *now;
	if (cache_lookup(g->cache, m->digest, m->text, m->text_len, now_ms, &now) != STATUS_OK)
		return false;
	bool current = cache_manifest(now)->id == m->id;
	cache_release(now);
	return current;
}

static void
refresh_popular(struct refresh *r, struct flight **place, const struct demand_popular *p)
{
	struct gateway *g = r->g;
	struct cache_result *result;
	struct arena arena;
	struct query query;
	int64_t now_ms = clock_wall_ms();
	if (cache_get(g->cache, p->id, now_ms, &result) != STATUS_OK)
		return;
	const struct cache_manifest *m = cache_manifest(result);
	struct buf canon;
	buf_init(&canon, LIMIT_CANON_BYTES);
	buf_add(&canon, m->text, m->text_len);
	arena_init(&arena, LIMIT_ARENA_BYTES);
	/* what lacks something is fresh for a minute, and asked for again by who needs it */
	if (canon.err == STATUS_OK && m->complete && is_current(g, m, now_ms) &&
	    query_from_canon(&arena, m->text, m->text_len, &query) == STATUS_OK) {
		const struct target own = {&query, &canon, m->digest};
		begin_popular(r, place, &own, m->fresh_until_ms);
	}
	arena_fini(&arena);
	buf_fini(&canon);
	cache_release(result);
}

static void
look_at_popular(struct refresh *r)
{
	struct demand_popular list[POPULAR_MOST];
	struct flight **place;
	if (!r->g->settings->ahead)
		return;
	size_t count = demand_due(
	    r->g->demand, r->g->settings->ahead_uses, clock_wall_ms(), list, POPULAR_MOST);
	for (size_t i = 0; i < count && (place = free_place(r)) != NULL; i++) {
		if (!is_quiet(r->g)) {
			log_event(LOG_DEBUG, "ahead-waits", "due=%zu", count - i);
			return;
		}
		refresh_popular(r, place, &list[i]);
	}
}

/* --- what is warm */

/* When it is due: at once, if it is not stored. */
static int64_t
warm_due_ms(const struct gateway *g, const struct warm *w, int64_t now_ms, bool *ret_fresh)
{
	struct cache_result *result;
	*ret_fresh = false;
	if (cache_lookup(g->cache, w->digest, w->canon.data, w->canon.len, now_ms, &result) !=
	    STATUS_OK)
		return now_ms;
	const struct cache_manifest *m = cache_manifest(result);
	const struct demand_result life = {m->digest, m->id, m->fetched_at_ms, m->fresh_until_ms};
	int64_t due_ms = demand_due_ms(&life);
	*ret_fresh = now_ms < m->fresh_until_ms;
	cache_release(result);
	return due_ms;
}

static void
begin_warm(struct refresh *r, size_t i, int64_t now_ms)
{
	const struct warm *w = &r->warm->list[i];
	const struct target t = {&w->query, &w->canon, w->digest};
	struct flight **place = free_place(r);
	if (place == NULL || now_ms < r->look_ms[i] || !is_quiet(r->g))
		return;
	r->look_ms[i] = now_ms + PAUSE_MS;
	begin(r, place, &t, AHEAD_WARM);
}

static void
look_at_warm(struct refresh *r)
{
	uint64_t fresh_count = 0;
	int64_t wall_ms = clock_wall_ms(), now_ms = clock_mono_ms();
	for (size_t i = 0; i < r->warm->count; i++) {
		bool fresh;
		bool due = warm_due_ms(r->g, &r->warm->list[i], wall_ms, &fresh) <= wall_ms;
		fresh_count += fresh;
		if (due)
			begin_warm(r, i, now_ms);
	}
	metrics_warm(r->g->stats, r->warm->count, fresh_count);
}

void
refresh_round(void *refresh)
{
	struct refresh *r = refresh;
	look_at_warm(r);
	look_at_popular(r);
}
