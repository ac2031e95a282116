/* Fetches under way and lately ended. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/endpoints.h"

void
endpoint_fetch_json(struct flight *flight, struct buf *b)
{
	struct flight_view v;
	size_t len;
	const char *text = flight_text(flight, &len);
	flight_look(flight, &v);
	int64_t ms = (v.ended_ms != 0 ? v.ended_ms : clock_mono_ms()) - v.begun_ms;
	buf_printf(b, "{\"id\":\"%" PRIx64 "\",\"state\":\"%s\",\"query\":", v.id,
	    flight_state_name(v.state));
	buf_json(b, text, len);
	buf_printf(b,
	    ",\"calls\":{\"done\":%" PRIu64 ",\"planned\":%" PRIu64
	    "},\"batches\":{\"seen\":%" PRIu64 ",\"announced\":%" PRIu64 "},\"records\":%" PRIu64
	    ",\"bytes\":%" PRIu64 ",\"seconds\":%" PRId64 ".%03d,\"estimateSeconds\":",
	    v.progress.calls_done, v.progress.calls_planned, v.progress.batches_seen,
	    v.progress.batches_announced, v.progress.records, v.progress.bytes, ms / 1000,
	    (int)(ms % 1000));
	uint64_t left = v.progress.calls_planned - v.progress.calls_done;
	if (v.state == FLIGHT_FETCHING && v.progress.calls_done > 0)
		buf_printf(b, "%" PRIu64, (uint64_t)ms * left / v.progress.calls_done / 1000);
	else
		buf_str_add(b, "null");
	buf_str_add(b, ",\"result\":");
	if (v.result != 0)
		buf_printf(b, "\"%016" PRIx64 "\"", v.result);
	else
		buf_str_add(b, "null");
	if (v.status != STATUS_OK)
		buf_printf(b, ",\"problem\":\"/problems/%s\"", status_info(v.status)->slug);
	buf_byte(b, '}');
}

/* A consumer sees the fetches that it began and those of policies that it may see. */
enum step
endpoint_fetch(struct request *r)
{
	struct query q;
	size_t len;
	r->flight = r->routed.id != 0 ? flight_find(r->gateway->flights, r->routed.id) : NULL;
	if (r->flight == NULL)
		return request_problem(r, STATUS_NOT_FOUND, NULL);
	const char *text = flight_text(r->flight, &len);
	bool own = strcmp(flight_consumer(r->flight), r->consumer->name) == 0;
	if (!own && !r->consumer->all_policies &&
	    (query_from_canon(&r->arena, text, len, &q) != STATUS_OK || q.policies.count == 0 ||
		!access_covers(r->consumer, &q.policies)))
		return request_problem(r, STATUS_NOT_FOUND, NULL);
	response_header(&r->response, "Content-Type", "application/json");
	response_header(&r->response, "Cache-Control", "no-store");
	response_header(&r->response, "Vary", "Authorization, X-API-Key");
	endpoint_fetch_json(r->flight, &r->response.body);
	return STEP_respond;
}
