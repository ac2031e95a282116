/* An answer out of the result of a broader query (query/implies.h): which stored result has it, and what
 * is left to do to that. Whoever asks so costs the upstream nothing. */
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

static bool
take(struct request *r, struct cache_result *result, enum verdict verdict)
{
	struct source *s = r->source;
	struct cache_result *own = s->result;
	s->result = result;
	if (source_narrow(r) != STATUS_OK) {
		source_forget_rest(s);
		s->result = own;
		return false;
	}
	cache_release(own);
	if (verdict == VERDICT_EXPIRED)
		return true; /* it may but stand in, and serves nobody yet */
	s->fwd = NULL;
	s->served = verdict == VERDICT_FRESH ? SERVED_HIT : SERVED_STALE;
	s->stale = STALE_AGE;
	if (verdict == VERDICT_STALE && !r->conditions.only_if_cached)
		refresh_broader(r);
	return true;
}

bool
source_take_contained(struct request *r, enum verdict wanted)
{
	struct search s = {.r = r, .wanted = wanted};
	const struct query *q = &r->source->query;
	if (!r->gateway->settings->containment || q->kind != KIND_POSTURES ||
	    q->policies.count == 0)
		return false; /* by posture nothing tells which result may have them */
	while (s.refused_count < REFUSED_MOST) {
		struct cache_result *result = search(&s);
		if (result == NULL)
			return false;
		if (take(r, result, wanted))
			return true;
		s.refused[s.refused_count++] = s.best;
		cache_release(result);
	}
	return false;
}
