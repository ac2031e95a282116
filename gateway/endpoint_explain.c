/* What would answer a query of postures, and why not otherwise: what the steps "lookup" and "follow" decide
 * by, without what would follow from it. Nothing is fetched, renewed, counted or kept. */
#include "config.h"

#include <inttypes.h>

#include "gateway/base/clock.h"
#include "gateway/broaden.h"
#include "gateway/endpoints.h"

/* How old what serves is: the words of docs/api.md. */
enum age { AGE_NONE, AGE_FRESH, AGE_STALE, AGE_KEPT, AGE_OWED, AGE_PINNED, AGE_IN_FLIGHT };
static const char *const ages[] = {
    [AGE_FRESH] = "fresh",
    [AGE_STALE] = "stale",
    [AGE_KEPT] = "kept",
    [AGE_OWED] = "owed",
    [AGE_PINNED] = "pinned",
    [AGE_IN_FLIGHT] = "inFlight",
};

#define NOT_KNOWN (-1)

struct explanation {
	enum age age;        /* of what serves; AGE_NONE: nothing does */
	bool contained;      /* that is of a broader query */
	bool refreshes;      /* and made anew behind */
	uint64_t fetch;      /* AGE_IN_FLIGHT: which one */
	enum status problem; /* that the answer would be; STATUS_OK: none */
	const char *fetches; /* a broader query that would be fetched in its place, or NULL */
	int64_t calls;       /* of the upstream */
	int64_t wait_ms;     /* for the answer, or until there may be one */
};

/* --- what would happen */

static void
found_is(struct request *r, enum found found, struct explanation *e)
{
	static const enum age of[] = {
	    [FOUND_NOTHING] = AGE_NONE,
	    [FOUND_FRESH] = AGE_FRESH,
	    [FOUND_STALE] = AGE_STALE,
	    [FOUND_OWED] = AGE_OWED,
	    [FOUND_KEPT] = AGE_KEPT,
	};
	e->age = of[found];
	e->contained = r->source->contained;
	e->refreshes = found == FOUND_STALE && !r->conditions.only_if_cached &&
		       source_renew(r, source_would_refresh);
}

/* Something older stands in, or the answer is the problem. */
static void
fails(struct request *r, enum status st, int64_t wait_ms, struct explanation *e)
{
	if (source_may_stand_in(r)) {
		found_is(r, FOUND_KEPT, e);
		return;
	}
	e->problem = st;
	e->wait_ms = wait_ms > 0 ? wait_ms : NOT_KNOWN;
}

static void
flies(struct request *r, struct explanation *e)
{
	struct flight_view v;
	flight_look(r->source->flight, &v);
	e->age = AGE_IN_FLIGHT;
	e->contained = r->source->follows;
	e->fetch = v.id;
	e->wait_ms = fetch_estimate_ms(r->gateway->fetcher, r->source->flight);
}

static void
begins(struct request *r, struct explanation *e)
{
	const struct consumer *c = r->consumer;
	struct fetch_outlook out;
	struct broader b;
	int64_t wait_ms;
	if (!quota_has(r->gateway->quota, c->number, c->quota, 1, clock_mono_ms(), &wait_ms)) {
		fails(r, STATUS_QUOTA_EXCEEDED, wait_ms, e);
		return;
	}
	bool broad = source_foresee_broad(r, &b);
	if (broad)
		e->fetches = arena_dup(&r->arena, b.canon.data, b.canon.len);
	fetch_foresee(r->gateway->fetcher, broad ? &b.query : &r->source->query,
	    r->conditions.no_cache && c->force, c->name, &out);
	broader_fini(&b);
	e->calls = e->wait_ms = NOT_KNOWN;
	if (!out.known)
		return;
	e->wait_ms = out.ms;
	e->calls = 0;
	for (int api = 0; api < API_COUNT; api++)
		e->calls += (int64_t)out.calls[api];
}

static void
explain_way(struct request *r, struct explanation *e)
{
	struct way way;
	source_find_way(r, &way);
	switch (way.leads) {
	case WAY_STORED:
		found_is(r, FOUND_FRESH, e);
		break;
	case WAY_FLIGHT:
		flies(r, e);
		break;
	case WAY_FAILS:
		fails(r, way.failure, way.wait_ms, e);
		break;
	case WAY_BEGINS:
		begins(r, e);
		break;
	}
}

static enum status
explain(struct request *r, struct explanation *e)
{
	enum found found;
	*e = (struct explanation){.problem = STATUS_OK};
	if (r->walking) { /* the lookup has found it, and done nothing else */
		e->age = AGE_PINNED;
		e->contained = r->source->contained;
		if (r->source->result == NULL)
			flies(r, e);
		return source_settle(r->source);
	}
	enum status st = source_choose(r, &found);
	if (st != STATUS_OK)
		return st;
	found_is(r, found, e);
	if (found == FOUND_NOTHING && r->conditions.only_if_cached)
		e->problem = STATUS_NOT_CACHED;
	else if (found == FOUND_NOTHING)
		explain_way(r, e);
	return STATUS_OK;
}

/* --- as JSON */

static void
add_result(struct buf *b, uint64_t id)
{
	if (id != 0)
		buf_printf(b, "\"%016" PRIx64 "\"", id);
	else
		buf_str_add(b, "null");
}

static void
add_fetch(struct buf *b, uint64_t id)
{
	if (id != 0)
		buf_printf(b, "\"%" PRIx64 "\"", id);
	else
		buf_str_add(b, "null");
}

static uint64_t
result_of(const struct request *r, const struct explanation *e)
{
	bool serves = e->age != AGE_NONE && e->age != AGE_IN_FLIGHT;
	return serves ? cache_manifest(r->source->result)->id : 0;
}

static void
add_serves(const struct request *r, const struct explanation *e, struct buf *b)
{
	buf_str_add(b, ",\"serves\":");
	if (e->age == AGE_NONE) {
		buf_str_add(b, "null");
		return;
	}
	buf_str_add(b, "{\"result\":");
	add_result(b, result_of(r, e));
	buf_str_add(b, ",\"fetch\":");
	add_fetch(b, e->fetch);
	buf_printf(b, ",\"how\":\"%s\",\"age\":\"%s\",\"refreshes\":%s}",
	    e->contained ? "contained" : "exact", ages[e->age], e->refreshes ? "true" : "false");
}

static void
add_candidate(const struct refusal *f, struct buf *b)
{
	buf_str_add(b, "{\"result\":");
	add_result(b, f->result);
	buf_str_add(b, ",\"fetch\":");
	add_fetch(b, f->fetch);
	buf_printf(b, ",\"refused\":\"%s\",\"query\":", f->why);
	buf_json_str(b, f->query);
	if (f->cut) {
		b->len -= b->err == STATUS_OK; /* the closing quote */
		buf_str_add(b, "…\"");
	}
	buf_byte(b, '}');
}

/* What serves was refused on the way, too: as something better than it is. */
static void
add_candidates(const struct request *r, const struct explanation *e, struct buf *b)
{
	const struct refusals *list = r->refusals;
	uint64_t result = result_of(r, e);
	const char *comma = "";
	buf_str_add(b, ",\"candidates\":[");
	for (size_t i = 0; i < list->count; i++) {
		const struct refusal *f = &list->list[i];
		if (f->result != 0 ? f->result == result : f->fetch == e->fetch)
			continue;
		buf_str_add(b, comma);
		add_candidate(f, b);
		comma = ",";
	}
	buf_byte(b, ']');
}

static void
add_number(struct buf *b, const char *name, int64_t value)
{
	buf_printf(b, ",\"%s\":", name);
	if (value == NOT_KNOWN)
		buf_str_add(b, "null");
	else
		buf_i64(b, value);
}

static void
write_explanation(const struct request *r, const struct explanation *e, struct buf *b)
{
	char digest[2 * SHA256_BYTES + 1];
	crypto_hex(r->source->digest, SHA256_BYTES, digest);
	buf_str_add(b, "{\"query\":");
	buf_json(b, r->source->canon.data, r->source->canon.len);
	buf_printf(b, ",\"digest\":\"%s\"", digest);
	add_serves(r, e, b);
	add_candidates(r, e, b);
	add_number(b, "upstreamCalls", e->calls);
	add_number(b, "waitSeconds", e->wait_ms < 0 ? NOT_KNOWN : (e->wait_ms + 999) / 1000);
	if (e->fetches != NULL) {
		buf_str_add(b, ",\"fetches\":");
		buf_json_str(b, e->fetches);
	}
	if (e->problem != STATUS_OK)
		buf_printf(b, ",\"problem\":\"/problems/%s\"", status_info(e->problem)->slug);
	buf_str_add(b, "}\n");
}

enum step
endpoint_explain(struct request *r)
{
	struct explanation e;
	r->refusals = arena_alloc(&r->arena, sizeof *r->refusals);
	if (r->refusals == NULL)
		return request_problem(r, STATUS_NO_MEMORY, NULL);
	*r->refusals = (struct refusals){.arena = &r->arena};
	enum status st = explain(r, &e);
	if (st != STATUS_OK)
		return request_problem_later(r, st, 0);
	request_json_of_key(r);
	response_vary(&r->response, "Accept-Encoding");
	write_explanation(r, &e, &r->response.body);
	if (r->conditions.gzip)
		response_gzip(&r->response);
	return STEP_respond;
}
