/* An answer out of the result of a broader query (query/implies.h): which stored result has it, or which
 * fetch under way will, and what is left to do to that. Whoever asks so costs the upstream nothing. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/request_legacy.h"

#define CANDIDATES_MOST 64 /* results of a policy that are looked at, the newest first */
#define TEXTS_MOST MIB     /* of their queries, in all: those of bodies have megabytes of hosts */
#define REFUSED_MOST 4     /* of them that turn out to be doubtful, before it is given up */

static struct implies_rules
rules_of(const struct request *r)
{
	return (struct implies_rules){
	    .scanned_since = r->gateway->settings->scanned_since_holds,
	    .changed_since = r->gateway->settings->changed_since_holds,
	    /* 1.0 shows nothing of what makes extended evidence so */
	    .any_evidence = r->legacy != NULL && r->legacy->version_index == 0,
	};
}

/* Whether a result has the answer; what is left to do to it. */
static const char *
result_implies(const struct request *r, const struct cache_manifest *m, const struct query *have,
    struct implies *ret)
{
	const struct query *want = &r->source->query;
	const struct implies_rules rules = rules_of(r);
	if (!m->complete)
		return "complete";
	const char *lacks = implies(have, want, &rules, ret);
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

/* Cheap looks first. */
static bool
may_serve(const struct search *s, const struct cache_manifest *m)
{
	const struct request *r = s->r;
	return m->complete && !was_refused(s, m->id) &&
	       memcmp(m->digest, r->source->digest, SHA256_BYTES) != 0 &&
	       (s->best == 0 || m->records < s->best_records) &&
	       conditions_verdict(&r->conditions, m, r->now_ms, r->consumer->force,
		   r->gateway->settings->max_age_floor_ms) == s->wanted;
}

static bool
on_candidate(void *ctx, const struct cache_manifest *m, bool current)
{
	struct search *s = ctx;
	struct arena arena;
	struct query have;
	struct implies how;
	if (!current)
		return true;
	if (s->seen++ == CANDIDATES_MOST)
		return false;
	if (!may_serve(s, m) || m->text_len > TEXTS_MOST - s->text_bytes)
		return true;
	s->text_bytes += m->text_len;
	arena_init(&arena, LIMIT_ARENA_BYTES);
	if (query_from_canon(&arena, m->text, m->text_len, &have) == STATUS_OK &&
	    result_implies(s->r, m, &have, &how) == NULL) {
		s->best = m->id;
		s->best_records = m->records;
	}
	arena_fini(&arena);
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

/* The broader result is to be made anew, not one for each narrow query. */
static void
refresh_broader(struct request *r)
{
	const struct cache_manifest *m = cache_manifest(r->source->result);
	struct source broader, *own = r->source;
	source_init(&broader);
	buf_add(&broader.canon, m->text, m->text_len);
	query_digest(m->text, m->text_len, broader.digest);
	if (broader.canon.err == STATUS_OK &&
	    query_from_canon(&r->arena, m->text, m->text_len, &broader.query) == STATUS_OK) {
		r->source = &broader;
		source_refresh(r);
		r->source = own;
	}
	source_fini(&broader);
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

static bool
take(struct request *r, struct cache_result *result, enum verdict verdict)
{
	struct source *s = r->source;
	if (!source_take_broader(r, result))
		return false;
	if (verdict == VERDICT_EXPIRED)
		return true; /* it may but stand in, and serves nobody yet */
	if (verdict == VERDICT_REQUEST) {
		s->served = SERVED_COLLAPSED;
		return true;
	}
	s->fwd = NULL;
	s->served = verdict == VERDICT_FRESH ? SERVED_HIT : SERVED_STALE;
	s->stale = STALE_AGE;
	if (verdict == VERDICT_STALE && !r->conditions.only_if_cached)
		refresh_broader(r);
	return true;
}

/* It is what the caller was told to come again for, when it followed its fetch. */
static bool
is_owed(const struct request *r, const struct cache_result *result)
{
	const struct cache_manifest *m = cache_manifest(result);
	return flights_settle(r->gateway->flights, m->digest, r->consumer->name, m->id);
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
		if ((wanted != VERDICT_REQUEST || is_owed(r, result)) && take(r, result, wanted))
			return true;
		s.refused[s.refused_count++] = s.best;
		cache_release(result);
	}
	return false;
}

/* --- which fetch under way */

#define FLIGHTS_MOST 16 /* of a policy, the newest: as many estimates may be made */

/* As far as its query tells; which hosts it finds, and what it brings, its end tells. */
static bool
flight_implies(const struct request *r, struct flight *f, size_t *text_left)
{
	const struct implies_rules rules = rules_of(r);
	struct arena arena;
	struct query have;
	struct implies how;
	size_t len;
	const char *text = flight_text(f, &len);
	if (text == NULL || len > *text_left)
		return false;
	*text_left -= len;
	arena_init(&arena, LIMIT_ARENA_BYTES);
	bool does = query_from_canon(&arena, text, len, &have) == STATUS_OK &&
		    implies(&have, &r->source->query, &rules, &how) == NULL;
	arena_fini(&arena);
	return does;
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

static void
consider(const struct request *r, struct flight *f, struct nearest *best)
{
	int64_t left_ms = fetch_estimate_ms(r->gateway->fetcher, f);
	bool known = left_ms >= 0, best_known = best->left_ms >= 0;
	if (takes_too_long(r, left_ms))
		return;
	if (best->flight == NULL || known > best_known ||
	    (known == best_known && left_ms <= best->left_ms))
		*best = (struct nearest){f, left_ms};
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
		if (flight_implies(r, list[i], &text_left))
			consider(r, list[i], &best);
	s->flight = best.flight != NULL ? flight_ref(best.flight) : NULL;
	s->follows = s->flight != NULL;
	for (size_t i = 0; i < count; i++)
		flight_release(list[i]);
	return s->follows;
}
