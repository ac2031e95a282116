/* Fetches under way and lately ended: one, all, and the end of one. */
#include "config.h"

#include <inttypes.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/endpoints.h"

#define SHOWN_QUERY_BYTES 1024 /* of a list's fetches: a query is for people to read */
#define CANCEL_MS                                                                                  \
	2000 /* its end is waited for: an idle call looks several times a second whether to go on */
#define LOOK_AGAIN_S 1
#define CANCEL_TRY_MS 10 /* one that has just been begun is tried again after this */

/* --- as JSON */

static void
add_query(struct flight *flight, bool cut, struct buf *b)
{
	size_t len;
	const char *text = flight_text(flight, &len);
	cut = cut && len > SHOWN_QUERY_BYTES;
	buf_str_add(b, ",\"query\":");
	if (text == NULL) {
		buf_str_add(b, "null");
		return;
	}
	buf_json(b, text, cut ? SHOWN_QUERY_BYTES : len);
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

void
endpoint_fetch_json(struct flight *flight, int64_t estimate_ms, unsigned shown, struct buf *b)
{
	struct flight_view v;
	flight_look(flight, &v);
	buf_printf(b, "{\"id\":\"%" PRIx64 "\",\"state\":\"%s\"", v.id, flight_state_name(v.state));
	if (shown & FETCH_NAMES_CONSUMER) {
		buf_str_add(b, ",\"consumer\":");
		buf_json_str(b, flight_consumer(flight));
	}
	add_query(flight, shown & FETCH_CUTS_QUERY, b);
	add_progress(&v.progress, shown & FETCH_HIDES_COUNTS, b);
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
add_fetch(struct request *r, struct flight *flight, unsigned shown)
{
	endpoint_fetch_json(
	    flight, fetch_estimate_ms(r->gateway->fetcher, flight), shown, &r->response.body);
}

/* --- who sees which */

/* A consumer sees the fetches that it began or joined and those of policies that it may see; an administrator,
 * below /admin/, all. By posture the grant is a predicate on records, and what counts them would
 * tell of those that it hides; so it is of one whose query is no longer kept. */
static bool
may_see(const struct request *r, struct flight *flight, struct arena *scratch, unsigned *ret_shown)
{
	struct id_list policies;
	size_t len;
	const char *text = flight_text(flight, &len);
	*ret_shown = r->routed.needs_admin ? FETCH_NAMES_CONSUMER : 0;
	if (r->routed.needs_admin || r->consumer->all_policies)
		return true;
	bool known = text != NULL &&
		     query_canon_policies(scratch, text, len, &policies) == STATUS_OK &&
		     policies.count > 0;
	if (known && access_covers(r->consumer, &policies))
		return true;
	*ret_shown = FETCH_HIDES_COUNTS;
	return flight_asked_by(flight, r->consumer->name);
}

/* --- all of them */

static void
add_list(struct request *r, struct flight **list, size_t count)
{
	struct buf *b = &r->response.body;
	struct arena scratch;
	unsigned shown, left = r->source->query.limit;
	arena_init(&scratch, LIMIT_ARENA_BYTES);
	buf_str_add(b, "{\"data\":[");
	for (size_t i = 0; i < count && left > 0; i++) {
		arena_reset(&scratch);
		if (!may_see(r, list[i], &scratch, &shown))
			continue;
		if (left-- < r->source->query.limit)
			buf_byte(b, ',');
		add_fetch(r, list[i], shown | FETCH_CUTS_QUERY);
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
cancelled(struct request *r, unsigned shown)
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
	add_fetch(r, r->source->flight, shown);
	return STEP_respond;
}

enum step
endpoint_fetch(struct request *r)
{
	unsigned shown;
	r->source->flight =
	    r->routed.id != 0 ? flight_find(r->gateway->flights, r->routed.id) : NULL;
	if (r->source->flight == NULL || !may_see(r, r->source->flight, &r->arena, &shown))
		return request_problem(r, STATUS_NOT_FOUND, NULL);
	if (r->method == METHOD_DELETE)
		return cancelled(r, shown);
	request_json_of_key(r);
	add_fetch(r, r->source->flight, shown);
	return STEP_respond;
}
