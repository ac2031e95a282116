/* An answer out of the result of a broader query (query/implies.h): which stored result has it, or which
 * fetch under way will, and what is left to do to that. Whoever asks so costs the upstream nothing. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/broaden.h"
#include "gateway/request_legacy.h"

#define CANDIDATES_MOST 64 /* results of a policy that are looked at, the newest first */
#define TEXTS_MOST MIB     /* of their queries, in all: those of bodies have megabytes of hosts */
#define REFUSED_MOST 4     /* of them that turn out to be doubtful, before it is given up */
#define NEEDLESS_MOST (64 * KIB) /* of a query that is read only to tell what it lacks */

static struct implies_rules
rules_of(const struct request *r)
{
	struct implies_rules rules = broaden_rules(r->gateway->settings);
	/* 1.0 shows nothing of what makes extended evidence so */
	rules.any_evidence = r->legacy != NULL && r->legacy->version_index == 0;
	return rules;
}

/* Whether a result has the answer; what is left to do to it. */
static const char *
result_implies(const struct request *r, const struct cache_manifest *m, const struct query *have,
    struct implies *ret)
{
	const struct query *want = &r->source->query;
	const struct implies_rules rules = rules_of(r);
	if (!m->complete)
		return "incomplete";
	const char *lacks = implies(have, want, &rules, ret);
	/* a walk goes on in what it began in, whichever version would be asked by now */
	if (lacks == NULL && !r->walking)
		lacks = fetch_version_lacks(r->gateway->fetcher, m->version, want);
	if (lacks == NULL && have->hosts.count == 0 && want->postures.count == 0 &&
	    !implies_hosts(m->hosts, m->host_count, want))
		lacks = "host";
	return lacks;
}

/* --- what is left to do */

/* Equal for equal filters, whoever asks with them. */
static enum status
name_filter(const struct request *r, const struct filter *f, uint8_t ret_name[SHA256_BYTES])
{
	struct buf text;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(f->query, &text);
	buf_byte(&text, f->exceptions_apart ? 'x' : '-');
	if (f->grant != NULL)
		buf_add(&text, r->consumer->grant, sizeof r->consumer->grant);
	if (text.err == STATUS_OK)
		crypto_sha256(text.data, text.len, ret_name);
	enum status st = text.err;
	buf_fini(&text);
	return st;
}

struct filter
source_filter(const struct request *r, const struct source *s)
{
	bool by_posture = s->query.policies.count == 0;
	return (struct filter){
	    .query = s->how.narrowed ? &s->how.rest : NULL,
	    .grant = r->consumer->all_policies || !by_posture ? NULL : &r->consumer->policies,
	    .exceptions_apart = !r->gateway->settings->passed_includes_exceptions,
	};
}

struct filter
source_flight_filter(const struct request *r, const struct source *s)
{
	struct filter f = source_filter(r, s);
	f.query = s->widened ? &s->of_flight : NULL;
	return f;
}

enum status
source_narrow(struct request *r)
{
	struct source *s = r->source;
	const struct cache_manifest *m = cache_manifest(s->result);
	uint8_t name[SHA256_BYTES];
	struct query have;
	enum status st = query_from_canon(&r->arena, m->text, m->text_len, &have);
	if (st != STATUS_OK)
		return st;
	if (result_implies(r, m, &have, &s->how) != NULL)
		return STATUS_UPSTREAM_BAD_DATA;
	s->contained = true;
	s->foreign = !access_covers(r->consumer, &have.policies);
	/* all hosts that there are need not be looked for in each row */
	if (have.hosts.count == 0 && s->how.rest.hosts.count == m->host_count)
		s->how.rest.hosts.count = 0;
	const struct filter rest = {.query = &s->how.rest};
	s->how.narrowed = !filter_passes_all(&rest);
	if (!s->how.narrowed)
		return STATUS_OK;
	const struct filter f = source_filter(r, s);
	st = name_filter(r, &f, name);
	if (st == STATUS_OK)
		st = matches_get(
		    r->gateway->matches, r->gateway->cache, s->result, &f, name, &s->matches);
	return st;
}

/* --- why not */

#define REFUSAL_QUERY_BYTES 1024

/* All of a kind begin alike. */
static bool
is_of_same_kind(const struct request *r, const char *text, size_t len)
{
	const struct buf *own = &r->source->canon;
	size_t kind_len = strcspn(buf_str(&r->source->canon), ";");
	return len >= kind_len && memcmp(text, own->data, kind_len) == 0;
}

/* By posture no policy is named, and its records may be of any. */
static bool
may_see_query(const struct request *r, const char *text, size_t len)
{
	struct arena arena;
	struct id_list policies;
	if (r->consumer->all_policies)
		return true;
	arena_init(&arena, LIMIT_ARENA_BYTES);
	bool may = query_canon_policies(&arena, text, len, &policies) == STATUS_OK &&
		   policies.count > 0 && access_covers(r->consumer, &policies);
	arena_fini(&arena);
	return may;
}

/* The one that was refused before, or a new one; NULL: there is no room. */
static struct refusal *
refusal_of(struct refusals *list, uint64_t result, uint64_t fetch)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->list[i].result == result && list->list[i].fetch == fetch)
			return &list->list[i];
	if (list->count == REFUSALS_MOST)
		return NULL;
	list->list[list->count] = (struct refusal){.result = result, .fetch = fetch};
	return &list->list[list->count++];
}

void
source_refused(const struct request *r, const char *text, size_t len, uint64_t result,
    uint64_t fetch, const char *why)
{
	if (r->refusals == NULL || *why == '\0' || !is_of_same_kind(r, text, len) ||
	    !may_see_query(r, text, len))
		return;
	struct refusal *refusal = refusal_of(r->refusals, result, fetch);
	if (refusal == NULL)
		return;
	if (refusal->why == NULL) {
		refusal->cut = len > REFUSAL_QUERY_BYTES;
		refusal->query = arena_printf(r->refusals->arena, "%.*s",
		    (int)(refusal->cut ? REFUSAL_QUERY_BYTES : len), text);
	}
	/* it is asked for as fresh, as stale, …: its age counts if nothing else does */
	if (refusal->why == NULL || strcmp(why, "age") != 0)
		refusal->why = why;
}

/* --- which result */

struct search {
	const struct request *r;
	enum verdict wanted;
	size_t seen, text_bytes;
	uint64_t refused[REFUSED_MOST];
	size_t refused_count;
	uint64_t best, best_records; /* 0: none yet */
};

static bool
was_refused(const struct search *s, uint64_t id)
{
	for (size_t i = 0; i < s->refused_count; i++)
		if (s->refused[i] == id)
			return true;
	return false;
}

/* A smaller one has the answer. */
static bool
is_needless(const struct search *s, const struct cache_manifest *m)
{
	return s->best != 0 && m->records >= s->best_records;
}

/* Cheap looks first. NULL, or why it may not serve; "" for what need not be told. */
static const char *
refuse_cheaply(const struct search *s, const struct cache_manifest *m)
{
	const struct request *r = s->r;
	if (was_refused(s, m->id) || memcmp(m->digest, r->source->digest, SHA256_BYTES) == 0)
		return "";
	if (!m->complete)
		return "incomplete";
	if (conditions_verdict(&r->conditions, m, r->now_ms, r->consumer->force,
		r->gateway->settings->max_age_floor_ms) != s->wanted)
		return "age";
	/* it need not be read; whoever wants to know why may be told more */
	if (is_needless(s, m))
		return r->refusals == NULL || m->text_len > NEEDLESS_MOST ? "" : NULL;
	return m->text_len > TEXTS_MOST - s->text_bytes ? "" : NULL;
}

/* The words of why not are those of docs/api.md, and names of parameters. */
static const char *
refuse(struct search *s, const struct cache_manifest *m)
{
	struct arena arena;
	struct query have;
	struct implies how;
	const char *why = refuse_cheaply(s, m);
	if (why != NULL)
		return why;
	s->text_bytes += is_needless(s, m) ? 0 : m->text_len;
	arena_init(&arena, LIMIT_ARENA_BYTES);
	if (query_from_canon(&arena, m->text, m->text_len, &have) == STATUS_OK)
		why = result_implies(s->r, m, &have, &how);
	else
		why = "";
	arena_fini(&arena);
	return why;
}

static bool
on_candidate(void *ctx, const struct cache_manifest *m, bool current)
{
	struct search *s = ctx;
	if (!current)
		return true;
	if (s->seen++ == CANDIDATES_MOST)
		return false;
	bool serves = s->wanted == VERDICT_FRESH || s->wanted == VERDICT_STALE;
	const char *why = refuse(s, m);
	/* unless it becomes the one that serves, which is told elsewhere */
	source_refused(s->r, m->text, m->text_len, m->id, 0,
	    why != NULL ? why
	    : serves    ? "larger"
			: "age");
	if (why == NULL && !is_needless(s, m)) {
		s->best = m->id;
		s->best_records = m->records;
	}
	return true;
}

/* The smallest result that has the answer, held; NULL: there is none. */
static struct cache_result *
search(struct search *s)
{
	const struct request *r = s->r;
	struct cache_result *result;
	s->seen = s->text_bytes = 0;
	s->best = 0;
	uint64_t policy = r->source->query.policies.ids[0];
	if (cache_each_of_policy(r->gateway->cache, policy, on_candidate, s) != STATUS_OK ||
	    s->best == 0 || cache_get(r->gateway->cache, s->best, r->now_ms, &result) != STATUS_OK)
		return NULL;
	return result;
}

/* Of a broader result that is to be made anew, not one for each narrow query. */
static bool
renew_broader(struct request *r, bool (*renew)(struct request *r))
{
	const struct cache_manifest *m = cache_manifest(r->source->result);
	struct source broader, *own = r->source;
	bool renewed = false;
	source_init(&broader);
	buf_add(&broader.canon, m->text, m->text_len);
	query_digest(m->text, m->text_len, broader.digest);
	if (broader.canon.err == STATUS_OK &&
	    query_from_canon(&r->arena, m->text, m->text_len, &broader.query) == STATUS_OK) {
		r->source = &broader;
		renewed = renew(r);
		r->source = own;
	}
	source_fini(&broader);
	return renewed;
}

bool
source_renew(struct request *r, bool (*renew)(struct request *r))
{
	return r->source->contained ? renew_broader(r, renew) : renew(r);
}

bool
source_take_broader(struct request *r, struct cache_result *result)
{
	struct source *s = r->source;
	const struct source was = *s;
	s->result = result;
	s->contained = false;
	s->how = (struct implies){.narrowed = false};
	s->matches = NULL;
	if (source_narrow(r) != STATUS_OK) {
		source_forget_rest(s);
		*s = was;
		return false;
	}
	cache_release(was.result);
	matches_release(was.matches);
	return true;
}

/* NULL, or why it may not serve after all. */
static const char *
take(struct request *r, struct cache_result *result, enum verdict wanted)
{
	int64_t fetched_ms = cache_manifest(result)->fetched_at_ms;
	if (wanted == VERDICT_REQUEST && !source_is_owed(r, result)) {
		if (fetched_ms > r->source->too_old_ms)
			r->source->too_old_ms = fetched_ms;
		return "age";
	}
	return source_take_broader(r, result) ? NULL : "doubtful";
}

static bool
may_be_contained(const struct request *r)
{
	const struct query *q = &r->source->query;
	/* by posture nothing tells which result may have them */
	return r->gateway->settings->containment && q->kind == KIND_POSTURES &&
	       q->policies.count > 0;
}

bool
source_take_contained(struct request *r, enum verdict wanted)
{
	struct search s = {.r = r, .wanted = wanted};
	if (!may_be_contained(r))
		return false;
	while (s.refused_count < REFUSED_MOST) {
		struct cache_result *result = search(&s);
		if (result == NULL)
			return false;
		const struct cache_manifest *m = cache_manifest(result);
		const char *why = take(r, result, wanted);
		if (why == NULL)
			return true;
		source_refused(r, m->text, m->text_len, m->id, 0, why);
		s.refused[s.refused_count++] = s.best;
		cache_release(result);
	}
	return false;
}

/* --- which fetch under way */

#define FLIGHTS_MOST 16 /* of a policy, the newest: as many estimates may be made */

/* As far as its query tells; which hosts it finds, and what it brings, its end tells. NULL, or what it
 * lacks. */
static const char *
flight_lacks(const struct request *r, const struct flight *f, size_t *text_left)
{
	const struct implies_rules rules = rules_of(r);
	struct arena arena;
	struct query have;
	struct implies how;
	size_t len;
	const char *text = flight_text(f, &len), *why = "", *version;
	if (text == NULL || len > *text_left)
		return "";
	*text_left -= len;
	arena_init(&arena, LIMIT_ARENA_BYTES);
	if (query_from_canon(&arena, text, len, &have) == STATUS_OK)
		why = implies(&have, &r->source->query, &rules, &how);
	if (why == NULL && (version = fetch_version(r->gateway->fetcher, &have)) != NULL)
		why = fetch_version_lacks(r->gateway->fetcher, version, &r->source->query);
	arena_fini(&arena);
	return why;
}

/* A fetch of its own would be quicker. What is not known to take long is not taken for it. */
static bool
takes_too_long(const struct request *r, int64_t left_ms)
{
	return left_ms > r->gateway->settings->follow_within_ms &&
	       budget_foresee_ms(r->gateway->budget, API_POSTURE_INFO, r->consumer->name, 1) <
		   left_ms;
}

/* Of several the one that ends first, as far as that is known, and of these the oldest. */
struct nearest {
	struct flight *flight;
	int64_t left_ms; /* -1: not known */
};

/* Gives why it is not followed, if another one is. */
static const char *
consider(const struct request *r, struct flight *f, struct nearest *best)
{
	int64_t left_ms = fetch_estimate_ms(r->gateway->fetcher, f);
	bool known = left_ms >= 0, best_known = best->left_ms >= 0;
	if (takes_too_long(r, left_ms))
		return "slow";
	if (best->flight == NULL || known > best_known ||
	    (known == best_known && left_ms <= best->left_ms))
		*best = (struct nearest){f, left_ms};
	return "later";
}

static void
look_at_flight(const struct request *r, struct flight *f, size_t *text_left, struct nearest *best)
{
	struct flight_view v;
	size_t len;
	const char *text = flight_text(f, &len), *why = flight_lacks(r, f, text_left);
	if (why == NULL)
		why = consider(r, f, best);
	flight_look(f, &v);
	source_refused(r, text, len, 0, v.id, why);
}

bool
source_follow_broader(struct request *r)
{
	struct source *s = r->source;
	struct flight *list[FLIGHTS_MOST];
	struct nearest best = {NULL, -1};
	size_t text_left = TEXTS_MOST;
	if (!may_be_contained(r) || r->gateway->settings->follow_within_ms == 0)
		return false;
	size_t count =
	    flights_of_policy(r->gateway->flights, s->query.policies.ids[0], list, FLIGHTS_MOST);
	for (size_t i = 0; i < count; i++)
		look_at_flight(r, list[i], &text_left, &best);
	s->flight = best.flight != NULL ? flight_ref(best.flight) : NULL;
	s->follows = s->flight != NULL;
	for (size_t i = 0; i < count; i++)
		flight_release(list[i]);
	return s->follows;
}
