#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/endpoints.h"
#include "gateway/front/cors.h"
#include "gateway/metrics.h"
#include "gateway/request_legacy.h"

/* --- read */

/* nginx's own id of the request; one of ours where a site does not pass it. */
static const char *
request_id(struct request *r)
{
	const char *given = request_param(r, "REQUEST_ID");
	size_t len = strspn(given, "0123456789abcdef");
	if (len >= 8 && len <= 64 && given[len] == '\0')
		return given;
	uint8_t random[16];
	char *text = arena_alloc(&r->arena, sizeof random * 2 + 1);
	if (text == NULL)
		return "-";
	crypto_random(random, sizeof random);
	crypto_hex(random, sizeof random, text);
	return text;
}

enum step
step_read(struct request *r)
{
	r->id = request_id(r);
	r->method_text = request_param(r, "REQUEST_METHOD");
	r->method = route_method(r->method_text);
	r->uri = request_param(r, "REQUEST_URI");
	r->uri_len = strlen(r->uri);
	r->routed.legacy = route_is_legacy(r->uri, r->uri_len);
	const struct settings *s = r->gateway->settings;
	r->origin = cors_origin(s->origins, s->origin_count, fcgi_param(r->fcgi, "HTTP_ORIGIN"),
	    fcgi_param_count(r->fcgi, "HTTP_ORIGIN"));
	if (r->uri_len > LIMIT_URI_BYTES)
		return request_problem(r, STATUS_URI_TOO_LONG,
		    "A URL may have 8 KiB; send a longer query as a JSON object to POST "
		    "/v1/postures/query.");
	enum status st = conditions_read(&r->conditions, r->fcgi);
	if (st != STATUS_OK)
		return request_problem(r, st, "A request header came twice.");
	bool body = conditions_body_announced(r->fcgi);
	if (body && r->method != METHOD_POST)
		return request_problem(r, STATUS_BAD_REQUEST, "This method takes no body.");
	return STEP_route;
}

/* --- route */

/* A browser asks whether an application of another origin may send the request that is to come. */
static bool
is_preflight(const struct request *r)
{
	return r->origin != NULL && r->method == METHOD_OPTIONS &&
	       request_param(r, "HTTP_ACCESS_CONTROL_REQUEST_METHOD")[0] != '\0';
}

enum step
step_route(struct request *r)
{
	char methods[ROUTE_METHODS_BYTES];
	route_find(r->uri, r->uri_len, &r->routed);
	if (r->routed.route == ROUTE_UNKNOWN)
		return request_problem(r, STATUS_NOT_FOUND, "No endpoint has this path.");
	if (r->routed.legacy && r->routed.needs_key && !legacy_route(r))
		return request_problem(
		    r, STATUS_NOT_FOUND, "There is no such version of this endpoint");
	if (is_preflight(r)) {
		cors_preflight(&r->response, r->routed.allowed);
		return STEP_respond;
	}
	if (!(r->routed.allowed & r->method)) {
		enum step next = request_problem(r, STATUS_METHOD_NOT_ALLOWED, NULL);
		response_header(
		    &r->response, "Allow", "%s", route_methods(r->routed.allowed, methods));
		return next;
	}
	if (!r->routed.takes_query && r->routed.query_len > 0)
		return request_problem(
		    r, STATUS_BAD_REQUEST, "This endpoint takes no parameters in its URL.");
	/* clients of the upstream ask for JSON and expect gzip */
	if (!r->routed.legacy && !media_choose(r->routed.route, r->conditions.accept, &r->media))
		return request_problem(
		    r, STATUS_NOT_ACCEPTABLE, "Accept takes no media type of this endpoint.");
	return r->routed.needs_key ? STEP_authorize : STEP_answer;
}

/* --- authorize */

/* Some look at what there is, and lead to no result. */
static bool
leads_to_a_result(const struct routed *routed)
{
	return routed->route != ROUTE_FETCHES && routed->route != ROUTE_FETCH &&
	       !routed->needs_admin;
}

/* Of one Authorization header, and that alone. */
static enum status
check_token(struct request *r)
{
	const char *shown = fcgi_param(r->fcgi, "HTTP_AUTHORIZATION");
	if (shown == NULL || strncasecmp(shown, "Bearer ", 7) != 0)
		return STATUS_UNAUTHORIZED;
	shown += 7;
	return access_token(r->gateway->access, r->gateway->signing_key, shown + strspn(shown, " "),
	    r->now_ms / 1000, &r->consumer);
}

enum step
step_authorize(struct request *r)
{
	enum status st = access_check(r->gateway->access, fcgi_param(r->fcgi, "HTTP_AUTHORIZATION"),
	    fcgi_param_count(r->fcgi, "HTTP_AUTHORIZATION"), fcgi_param(r->fcgi, "HTTP_X_API_KEY"),
	    fcgi_param_count(r->fcgi, "HTTP_X_API_KEY"), r->now_ms / 1000, &r->consumer);
	if (st == STATUS_UNAUTHORIZED && r->routed.legacy)
		st = check_token(r);
	if (st == STATUS_BAD_REQUEST)
		return request_problem(
		    r, st, "Show one key, once: in Authorization or in X-API-Key.");
	if (st != STATUS_OK) /* clients of the upstream look for this text */
		return request_problem(r, st, r->routed.legacy ? "JWT expired" : NULL);
	if (r->routed.needs_admin && !r->consumer->admin)
		return request_problem(r, STATUS_FORBIDDEN, "This is for administrators.");
	return leads_to_a_result(&r->routed) ? STEP_parse : STEP_answer;
}

/* --- answer */

enum step
step_answer(struct request *r)
{
	return endpoint_answer(r);
}

/* --- respond */

/* Why the upstream was needed, or why what was served is not fresh. */
static const char *
reason(const struct request *r)
{
	if (r->source->served == SERVED_STALE)
		return request_stale_names[r->source->stale];
	return r->source->fwd != NULL ? r->source->fwd : "-";
}

/* What only some requests have: " key=value …" in the request's arena. */
static const char *
log_more(struct request *r)
{
	struct flight_view v = {0};
	const char *text = "";
	if (r->source->flight != NULL) {
		flight_look(r->source->flight, &v);
		text = arena_printf(&r->arena, " fetch=%" PRIx64, v.id);
	}
	if (r->source->result != NULL && text != NULL)
		text = arena_printf(&r->arena, "%s result=%016" PRIx64, text,
		    cache_manifest(r->source->result)->id);
	return text != NULL ? text : "";
}

static uint64_t
calls_of(const struct source *s)
{
	struct flight_view v;
	if (!s->leads || s->flight == NULL)
		return 0;
	flight_look(s->flight, &v);
	return v.progress.calls_made;
}

/* The calls that the fetches of this request have made so far; those of another's are not its own. */
static uint64_t
calls_caused(const struct request *r)
{
	const struct legacy *l = r->legacy;
	if (l == NULL || l->source_count == 0)
		return calls_of(r->source);
	uint64_t calls = l->calls;
	for (size_t i = 0; i < l->source_count; i++)
		calls += calls_of(&l->sources[i]);
	return calls;
}

static void
log_request(struct request *r, size_t bytes, int64_t took_us, enum status sent)
{
	log_event(LOG_INFO, "request",
	    "id=%s consumer=%s method=%s route=%s path=%s status=%d%s%s cache=%s reason=%s "
	    "calls=%" PRIu64 " wait_ms=%" PRId64 " bytes=%zu ms=%" PRId64 "%s%s",
	    r->id, r->consumer != NULL ? r->consumer->name : "-",
	    log_q(r->method_text, strlen(r->method_text)), route_path(r->routed.route),
	    log_q(r->uri, strcspn(r->uri, "?")), r->response.http,
	    r->status != STATUS_OK ? " problem=" : "",
	    r->status != STATUS_OK ? status_info(r->status)->name : "",
	    r->source->served != SERVED_NONE ? request_served_names[r->source->served] : "-",
	    reason(r), calls_caused(r), r->source->waited_us / 1000, bytes, took_us / 1000,
	    log_more(r),
	    sent == STATUS_OK            ? ""
	    : sent == STATUS_CLIENT_GONE ? " client=gone"
					 : " broken=1");
}

/* The beginning, if there is one already, then piece by piece. What fails on the way breaks the
 * transfer: the status has left already. */
static enum status
send_pieces(struct request *r, const struct buf *head, size_t *ret_bytes)
{
	struct buf piece;
	bool end = false;
	buf_init(&piece, LIMIT_PIECE_BYTES);
	*ret_bytes = r->response.body.len;
	enum status st = fcgi_stream(r->fcgi, head->data, head->len);
	if (st == STATUS_OK && *ret_bytes > 0)
		st = fcgi_stream(r->fcgi, r->response.body.data, *ret_bytes);
	while (st == STATUS_OK && !end) {
		buf_reset(&piece);
		st = r->response.next(r->response.next_ctx, &piece, &end);
		if (st == STATUS_OK)
			st = piece.err;
		if (st == STATUS_OK && piece.len > 0)
			st = fcgi_stream(r->fcgi, piece.data, piece.len);
		else if (st == STATUS_OK && !end && fcgi_hung_up(r->fcgi))
			st =
			    STATUS_CLIENT_GONE; /* nobody else waits here for what may take hours */
		if (st == STATUS_OK)
			*ret_bytes += piece.len;
	}
	if (st != STATUS_OK)
		fcgi_abort(r->fcgi);
	if (st != STATUS_OK && st != STATUS_CLIENT_GONE)
		r->status = st;
	buf_fini(&piece);
	return st;
}

/* The whole answer, or a broken connection. */
static enum status
send_answer(struct request *r, size_t *ret_bytes)
{
	struct buf head;
	bool bare = r->method == METHOD_HEAD || r->response.http == 304;
	buf_init(&head, 2 * LIMIT_RESPONSE_HEAD_BYTES);
	enum status st = response_head(&r->response, &head);
	if (st != STATUS_OK) {
		r->status = st;
		fcgi_abort(r->fcgi);
	} else if (r->response.next != NULL && !bare) {
		st = send_pieces(r, &head, ret_bytes);
	} else {
		*ret_bytes = bare ? 0 : r->response.body.len;
		st = fcgi_answer(r->fcgi, head.data, head.len, r->response.body.data, *ret_bytes);
	}
	buf_fini(&head);
	return st;
}

/* What is said beside every answer, problems too. */
static void
add_headers(struct request *r)
{
	char applied[CONDITIONS_APPLIED_BYTES];
	if (r->may_wait_ms >= 0 && !r->routed.legacy &&
	    conditions_applied(&r->conditions, r->may_wait_ms, r->response.http == 202, applied))
		response_header(&r->response, "Preference-Applied", "%s", applied);
	if (r->routed.legacy)
		legacy_headers(r);
	if (r->gateway->settings->origin_count > 0)
		cors_finish(&r->response, r->origin);
}

enum step
step_respond(struct request *r)
{
	size_t bytes = 0;
	if (!response_good(&r->response))
		request_problem(r, STATUS_INTERNAL, NULL);
	add_headers(r);
	if (!response_good(&r->response)) /* it is these: without them */
		request_problem(r, STATUS_INTERNAL, NULL);
	enum status st = send_answer(r, &bytes);
	int64_t took_us = clock_mono_us() - r->begun_us;
	log_request(r, bytes, took_us, st);
	metrics_request(r, took_us);
	return STEP_done;
}

/* --- the way */

#define TO(name) (1u << STEP_##name)
static const struct {
	enum step (*run)(struct request *r);
	unsigned exits;
} steps[] = {
#define STEP(name, to, what) [STEP_##name] = {step_##name, to},
#include "gateway/steps.h"
#undef STEP
};

void
request_serve(void *gateway, struct worker *w, struct fcgi *f)
{
	struct request r = {
	    .gateway = gateway,
	    .worker = w,
	    .fcgi = f,
	    .begun_us = clock_mono_us(),
	    .now_ms = clock_wall_ms(),
	    .routed.route = ROUTE_UNKNOWN,
	    .may_wait_ms = -1,
	};
	arena_init(&r.arena, LIMIT_ARENA_BYTES);
	r.source = &r.first;
	source_init(&r.first);
	response_init(&r.response);

	enum step step = STEP_read;
	while (step != STEP_done) {
		enum step next = steps[step].run(&r);
		assert(steps[step].exits & (1u << next));
		step = next;
	}

	legacy_fini(&r);
	endpoint_export_fini(&r);
	response_fini(&r.response);
	source_fini(&r.first);
	arena_fini(&r.arena);
}
