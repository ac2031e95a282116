/* Fetches under way and lately ended: one, all, and the end of one. */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/endpoints.h"

#define SHOWN_QUERY_BYTES 1024 /* of a list's fetches: a query is for people to read */
#define CANCEL_MS                                                                                  \
	2000 /* its end is waited for: an idle call looks several times a second whether to go on */
#define LOOK_AGAIN_S 1
#define CANCEL_TRY_MS 10 /* one that has just been begun is tried again after this */

/* What somebody sees of a fetch. */
struct sight {
	bool hides_counts; /* of records that the grant may hide */
	bool names_consumer;
	bool cuts_query;   /* which may have megabytes */
	const char *query; /* NULL: it is no longer kept */
	size_t query_len;
};

/* --- as JSON */

static void
add_query(const struct sight *s, struct buf *b)
{
	bool cut = s->cuts_query && s->query_len > SHOWN_QUERY_BYTES;
	buf_str_add(b, ",\"query\":");
	if (s->query == NULL) {
		buf_str_add(b, "null");
		return;
	}
	buf_json(b, s->query, cut ? SHOWN_QUERY_BYTES : s->query_len);
	if (!cut)
		return;
	b->len -= b->err == STATUS_OK; /* the closing quote */
	buf_str_add(b, "…\"");
}

static void
add_progress(const struct flight_progress *p, bool hides_counts, struct buf *b)
{
	buf_printf(b, ",\"calls\":{\"done\":%" PRIu64 ",\"planned\":%" PRIu64 "}", p->calls_done,
	    p->calls_planned);
	if (hides_counts)
		buf_str_add(b, ",\"batches\":{\"seen\":null,\"announced\":null},\"records\":null,"
			       "\"bytes\":null");
	else
		buf_printf(b,
		    ",\"batches\":{\"seen\":%" PRIu64 ",\"announced\":%" PRIu64
		    "},\"records\":%" PRIu64 ",\"bytes\":%" PRIu64,
		    p->batches_seen, p->batches_announced, p->records, p->bytes);
}

static void
add_times(const struct flight_view *v, int64_t estimate_ms, struct buf *b)
{
	int64_t ms = (v->ended_ms != 0 ? v->ended_ms : clock_mono_ms()) - v->begun_ms;
	buf_printf(
	    b, ",\"seconds\":%" PRId64 ".%03d,\"estimateSeconds\":", ms / 1000, (int)(ms % 1000));
	if (v->ended_ms == 0 && estimate_ms >= 0)
		buf_i64(b, (estimate_ms + 999) / 1000);
	else
		buf_str_add(b, "null");
}

static void
fetch_json(struct flight *flight, int64_t estimate_ms, const struct sight *s, struct buf *b)
{
	struct flight_view v;
	flight_look(flight, &v);
	buf_printf(b, "{\"id\":\"%" PRIx64 "\",\"state\":\"%s\"", v.id, flight_state_name(v.state));
	if (s->names_consumer) {
		buf_str_add(b, ",\"consumer\":");
		buf_json_str(b, flight_consumer(flight));
	}
	add_query(s, b);
	add_progress(&v.progress, s->hides_counts, b);
	add_times(&v, estimate_ms, b);
	buf_str_add(b, ",\"result\":");
	if (v.result != 0)
		buf_printf(b, "\"%016" PRIx64 "\"", v.result);
	else
		buf_str_add(b, "null");
	if (v.status != STATUS_OK)
		buf_printf(b, ",\"problem\":\"/problems/%s\"", status_info(v.status)->slug);
	buf_byte(b, '}');
}

static void
add_fetch(struct request *r, struct flight *flight, const struct sight *s)
{
	fetch_json(flight, fetch_estimate_ms(r->gateway->fetcher, flight), s, &r->response.body);
}

/* --- who sees which */

/* Whoever follows a fetch of more than it may see, sees it as one of its own query. */
static void
see_own_query(struct arena *scratch, const char *text, struct sight *s)
{
	s->query = text != NULL ? arena_printf(scratch, "%s", text) : NULL;
	s->query_len = s->query != NULL ? strlen(s->query) : 0;
}

/* A consumer sees the fetches that it began, joined or follows and those of policies that it may see; an
 * administrator, below /admin/, all. By posture the grant is a predicate on records, and what counts them
 * would tell of those that it hides; so it is of one whose query is no longer kept. */
static bool
may_see(const struct request *r, struct flight *flight, struct arena *scratch, struct sight *ret)
{
	struct id_list policies;
	char *own;
	*ret = (struct sight){.names_consumer = r->routed.needs_admin};
	ret->query = flight_text(flight, &ret->query_len);
	if (r->routed.needs_admin || r->consumer->all_policies)
		return true;
	bool known =
	    ret->query != NULL &&
	    query_canon_policies(scratch, ret->query, ret->query_len, &policies) == STATUS_OK &&
	    policies.count > 0;
	if (known && access_covers(r->consumer, &policies))
		return true;
	ret->hides_counts = true;
	enum flight_asker as = flight_asked_by(flight, r->consumer->name, &own);
	if (as == FLIGHT_FOLLOWER)
		see_own_query(scratch, own, ret);
	free(own);
	return as != FLIGHT_STRANGER;
}

void
endpoint_fetch_of_202(struct request *r, int64_t estimate_ms)
{
	struct sight sight;
	struct source *s = r->source;
	if (!may_see(r, s->flight, &r->arena, &sight)) { /* it could not be noted that it asks */
		sight.query = s->canon.data;
		sight.query_len = s->canon.len;
	}
	fetch_json(s->flight, estimate_ms, &sight, &r->response.body);
}

/* --- all of them */

static void
add_list(struct request *r, struct flight **list, size_t count)
{
	struct buf *b = &r->response.body;
	struct arena scratch;
	struct sight sight;
	unsigned left = r->source->query.limit;
	arena_init(&scratch, LIMIT_ARENA_BYTES);
	buf_str_add(b, "{\"data\":[");
	for (size_t i = 0; i < count && left > 0; i++) {
		arena_reset(&scratch);
		if (!may_see(r, list[i], &scratch, &sight))
			continue;
		if (left-- < r->source->query.limit)
			buf_byte(b, ',');
		sight.cuts_query = true;
		add_fetch(r, list[i], &sight);
	}
	buf_str_add(b, "]}\n");
	arena_fini(&scratch);
}

enum step
endpoint_fetches(struct request *r)
{
	struct flight **list;
	size_t count;
	enum status st = query_parse(&r->arena, QUERY_FETCHES, FORMAT_JSON, NULL, r->routed.query,
	    r->routed.query_len, &r->source->query, &r->errors);
	if (r->errors.count > 0)
		return request_problem_errors(r, NULL);
	if (st == STATUS_OK)
		st = flights_list(r->gateway->flights, &list, &count);
	if (st != STATUS_OK)
		return request_problem(r, st, NULL);
	request_json_of_key(r);
	add_list(r, list, count);
	flights_list_free(list, count);
	return STEP_respond;
}

/* --- one */

/* Tells the fetch to end and waits a moment for it. True: it was this that ended it, or will. */
static bool
cancel(struct request *r)
{
	int64_t until_ms = clock_mono_ms() + CANCEL_MS;
	bool told = fetch_cancel(r->gateway->fetcher, r->source->flight);
	if (!workers_enter(r->worker, WORKER_WAITING, NULL))
		return told;
	for (int tries = 0; !told && tries < CANCEL_MS / CANCEL_TRY_MS; tries++) {
		if (flight_wait(r->source->flight, clock_mono_ms() + CANCEL_TRY_MS))
			break;
		told = fetch_cancel(r->gateway->fetcher, r->source->flight);
	}
	if (told)
		flight_wait(r->source->flight, until_ms);
	workers_leave(r->worker, WORKER_WAITING);
	return told;
}

static enum step
cancelled(struct request *r, const struct sight *sight)
{
	struct flight_view v;
	bool told = cancel(r);
	flight_look(r->source->flight, &v);
	if (!told && v.ended_ms != 0)
		return request_problem(r, STATUS_FETCH_ENDED, NULL);
	if (!told)
		return request_problem(r, STATUS_BUSY, NULL);
	log_event(LOG_WARNING, "cancelled", "fetch=%" PRIx64 " request=%s consumer=%s", v.id, r->id,
	    r->consumer->name);
	request_json_of_key(r);
	if (v.ended_ms == 0) {
		r->response.http = 202;
		response_header(&r->response, "Location", "/admin/v1/fetches/%" PRIx64, v.id);
		response_header(&r->response, "Retry-After", "%d", LOOK_AGAIN_S);
	}
	add_fetch(r, r->source->flight, sight);
	return STEP_respond;
}

enum step
endpoint_fetch(struct request *r)
{
	struct sight sight;
	r->source->flight =
	    r->routed.id != 0 ? flight_find(r->gateway->flights, r->routed.id) : NULL;
	if (r->source->flight == NULL || !may_see(r, r->source->flight, &r->arena, &sight))
		return request_problem(r, STATUS_NOT_FOUND, NULL);
	if (r->method == METHOD_DELETE)
		return cancelled(r, &sight);
	request_json_of_key(r);
	add_fetch(r, r->source->flight, &sight);
	return STEP_respond;
}
