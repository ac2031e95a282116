/* A body of hosts that are all the hosts of their policy, as a resolution has told: asked for as such. */
#include "config.h"

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/stored.h"
#include "gateway/request_legacy.h"

/* What a fresh resolution tells of a source's hosts, held against those asked for: both ascend. */
struct told {
	enum { TOLD_NOTHING, TOLD_OTHERS, TOLD_ALL } what;
	size_t at;  /* hosts that were the same so far */
	int64_t ms; /* since when it does (wall) */
};

static void
compare_host(const struct query *q, uint64_t host, struct told *t)
{
	if (t->at < q->hosts.count && q->hosts.ids[t->at] == host)
		t->at++;
	else
		t->what = TOLD_OTHERS;
}

/* A resolution, and the sources that it is held against; ascending by policy, `told` beside them. */
struct comparison {
	const struct source *sources;
	size_t count;
	struct told *told;
	size_t at; /* the first one of the policy met last */
};

/* The first source of that policy or of a greater one. Rows of a policy stand together. */
static size_t
find_policy(const struct comparison *c, uint64_t policy)
{
	size_t low = 0, high = c->count;
	if (c->at < c->count && c->sources[c->at].query.policies.ids[0] == policy)
		return c->at;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->sources[middle].query.policies.ids[0] < policy)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum status
on_resolved_host(void *ctx, const struct reader_record *rec)
{
	struct comparison *c = ctx;
	c->at = find_policy(c, rec->row->policy);
	for (size_t i = c->at;
	     i < c->count && c->sources[i].query.policies.ids[0] == rec->row->policy; i++)
		compare_host(&c->sources[i].query, rec->row->host, &c->told[i]);
	return STATUS_OK;
}

/* What is fresh and complete for the query, or NULL. */
static struct cache_result *
fresh_and_whole(const struct request *r, const struct query *q)
{
	struct cache_result *result = stored_fresh(r->gateway->cache, q, r->now_ms);
	if (result == NULL || cache_manifest(result)->complete)
		return result;
	cache_release(result);
	return NULL;
}

static struct cache_result *
resolution_of(const struct request *r, const struct id_list *policies, enum query_assets assets)
{
	const struct query asked = {
	    .kind = KIND_HOSTS, .policies = *policies, .assets = assets, QUERY_NO_DATES};
	return fresh_and_whole(r, &asked);
}

/* Holds it against all these sources in one walk. Takes the resolution; NULL tells nothing. */
static void
compare(const struct request *r, struct cache_result *resolution, const struct source *sources,
    size_t count, struct told *told)
{
	struct comparison c = {sources, count, told, 0};
	const struct filter all = {0};
	struct reader reader;
	enum reader_state state = READER_MORE;
	enum status st = STATUS_OK;
	for (size_t i = 0; i < count; i++)
		told[i] = (struct told){.what = TOLD_NOTHING};
	if (resolution == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		told[i] = (struct told){TOLD_ALL, 0, cache_manifest(resolution)->published_at_ms};
	reader_init(&reader, r->gateway->cache, resolution, NULL, &all);
	while (state == READER_MORE && st == STATUS_OK)
		st = reader_take(
		    &reader, LIMIT_ROW_BLOCK, LIMIT_PIECE_BYTES, on_resolved_host, &c, &state);
	reader_fini(&reader);
	for (size_t i = 0; i < count; i++)
		if (st != STATUS_OK || told[i].at != sources[i].query.hosts.count)
			told[i].what = TOLD_OTHERS;
	cache_release(resolution);
}

/* What the answer told that the whole body was made of: looked for once, before any source is
 * widened. NULL if it tells nothing, or there is but one policy. */
static const struct told *
told_of_all(struct request *r)
{
	struct legacy *l = r->legacy;
	if (l->resolution_looked || l->policies.count < 2)
		return l->told;
	l->resolution_looked = true;
	struct cache_result *resolution = resolution_of(r, &l->policies, l->asked.query.assets);
	if (resolution == NULL)
		return NULL;
	l->told = arena_array(&r->arena, l->source_count, sizeof *l->told);
	if (l->told != NULL)
		compare(r, resolution, l->sources, l->source_count, l->told);
	else
		cache_release(resolution);
	return l->told;
}

/* Whether these are all the hosts that the policy has. It was resolved alone, which is what a fetch
 * may go by, or beside the others of this call. */
static bool
are_all_hosts(struct request *r, int64_t *ret_told_ms)
{
	const struct source *s = r->source;
	const struct told *of_all = told_of_all(r);
	struct told alone;
	compare(r, resolution_of(r, &s->query.policies, s->query.assets), s, 1, &alone);
	if (alone.what == TOLD_NOTHING && of_all != NULL)
		alone = of_all[s - r->legacy->sources];
	*ret_told_ms = alone.ms;
	return alone.what == TOLD_ALL;
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

/* It was looked at and refused, then: it is older than one of the hosts. */
static bool
is_fresh_there(const struct request *r, const struct query *q)
{
	struct cache_result *result = fresh_and_whole(r, q);
	bool there = result != NULL;
	cache_release(result);
	return there;
}

static enum status
ask_as(struct source *s, const struct query *q)
{
	s->query = *q;
	buf_reset(&s->canon);
	return source_settle(s);
}

/* Clients post back what hostids has told them. Asked for as all hosts of the policy, it is the query
 * of everybody else who wants these. */
enum status
legacy_widen(struct request *r)
{
	struct source *s = r->source;
	const struct query narrow = s->query;
	struct query all = narrow;
	int64_t told_ms;
	all.hosts = (struct id_list){NULL, 0};
	if (narrow.policies.count != 1 || narrow.hosts.count == 0 || !are_all_hosts(r, &told_ms) ||
	    is_fresh_there(r, &all))
		return STATUS_OK;
	enum status st = ask_as(s, &all);
	if (st == STATUS_OK && is_begun_too_early(r, told_ms))
		return ask_as(s, &narrow);
	/* it will tell which hosts there are; of those the ones that were asked for are given */
	s->of_flight = (struct query){.hosts = narrow.hosts, QUERY_NO_DATES};
	s->widened = st == STATUS_OK;
	return st;
}
