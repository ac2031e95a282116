#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/simulator/calls.h"
#include "tests/simulator/faults.h"
#include "tests/simulator/http.h"
#include "tests/simulator/sim.h"

#define CONNECTIONS 4096
#define CONNECTION_BYTES ((size_t)256 * 1024) /* head of a request, and pieces of the answer */
#define PIECE_BYTES ((size_t)64 * 1024)
#define STACK_BYTES ((size_t)512 * 1024)

struct MHD_Daemon *
http_listen(uint16_t port, MHD_AccessHandlerCallback handler, void *ctx,
    MHD_RequestCompletedCallback completed,
    void *(*uri_log)(void *, const char *, struct MHD_Connection *))
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return MHD_start_daemon(
	    MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, port,
	    NULL, NULL, handler, ctx, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
	    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    CONNECTION_BYTES, MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES,
	    MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_NOTIFY_COMPLETED, completed, ctx,
	    MHD_OPTION_URI_LOG_CALLBACK, uri_log, ctx, MHD_OPTION_END);
}

uint16_t
http_port(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	return info != NULL ? info->port : 0;
}

/* --- requests in */

static void *
on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
	(void)connection;
	struct call *call = sim_alloc(sizeof(*call));
	call->sim = ctx;
	call->uri = strdup(uri);
	return call;
}

struct param_walk {
	param_f *each;
	void *ctx;
};

static enum MHD_Result
walk_param(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	struct param_walk *walk = ctx;
	return walk->each(walk->ctx, name, value) ? MHD_YES : MHD_NO;
}

void
call_params(struct call *call, param_f *each, void *ctx)
{
	struct param_walk walk = {each, ctx};
	MHD_get_connection_values(call->params_ctx, MHD_GET_ARGUMENT_KIND, walk_param, &walk);
}

static enum MHD_Result
walk_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	struct sbuf *json = ctx;
	if (strcasecmp(name, "Authorization") == 0)
		return MHD_YES; /* told only as present or not */
	sbuf_text(json, json->len > 1 ? "," : "");
	sbuf_json(json, name);
	sbuf_text(json, ":");
	sbuf_json(json, value != NULL ? value : "");
	return MHD_YES;
}

/* The form of /auth without its password. */
static void
record_form(const struct sbuf *body, struct sbuf *out)
{
	static const char secret[] = "password=";
	for (size_t at = 0; at < body->len;) {
		const char *end = memchr(body->data + at, '&', body->len - at);
		size_t len = end != NULL ? (size_t)(end - body->data) - at : body->len - at;
		if (out->len > 0)
			sbuf_text(out, "&");
		if (len >= sizeof(secret) - 1 &&
		    memcmp(body->data + at, secret, sizeof(secret) - 1) == 0)
			sbuf_text(out, "password=***");
		else
			sbuf_add(out, body->data + at, len);
		at += len + 1;
	}
}

static void
record_call(struct call *call, struct MHD_Connection *connection)
{
	struct sim *s = call->sim;
	sim_lock(s);
	call->number = journal_begin(&s->journal, call->api, call->method, call->uri, now_ms());
	struct entry *e = journal_entry(&s->journal, call->number);
	const char *authorization =
	    MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	e->authorized = authorization != NULL;
	if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0)
		call->bearer = authorization + 7;
	sbuf_text(&e->headers, "{");
	MHD_get_connection_values(connection, MHD_HEADER_KIND, walk_header, &e->headers);
	sbuf_text(&e->headers, "}");
	e->body_bytes = call->body.len;
	if (call->api == API_AUTH)
		record_form(&call->body, &e->body);
	else
		sbuf_add(&e->body, call->body.data,
		    call->body.len < JOURNAL_BODY_BYTES ? call->body.len : JOURNAL_BODY_BYTES);
	sim_changed(s);
	sim_unlock(s);
}

/* --- answers out */

struct flow {
	struct call *call;
	struct feed *feed;
	struct sbuf out;
	size_t at;
	bool paused, ended;
};

static void
flow_free(void *ctx)
{
	struct flow *flow = ctx;
	feed_free(flow->feed);
	sbuf_free(&flow->out);
	free(flow);
}

static void
flow_end(struct flow *flow)
{
	struct sim *s = flow->call->sim;
	flow->ended = true;
	call_leave(
	    flow->call); /* before the last bytes leave: who has them may call again at once */
	sim_lock(s);
	struct tally *tally = &s->journal.tally[flow->call->api];
	struct entry *e = journal_entry(&s->journal, flow->call->number);
	tally->records += feed_records(flow->feed);
	tally->bytes += feed_bytes(flow->feed);
	if (e != NULL) {
		e->records = feed_records(flow->feed);
		e->bytes = feed_bytes(flow->feed);
	}
	sim_unlock(s);
}

static ssize_t
flow_pull(void *ctx, uint64_t position, char *buf, size_t max)
{
	(void)position;
	struct flow *flow = ctx;
	while (flow->at == flow->out.len) {
		if (flow->ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (flow->paused && !call_wait_hold(flow->call))
			return MHD_CONTENT_READER_END_WITH_ERROR;
		flow->at = flow->out.len = 0;
		enum feed_next next = feed_read(flow->feed, &flow->out);
		flow->paused = next == FEED_PAUSE;
		if (next == FEED_END)
			flow_end(flow);
	}
	int64_t drip = flow->call->corpus->opt.drip;
	size_t len = flow->out.len - flow->at < max ? flow->out.len - flow->at : max;
	if (drip > 0) {
		size_t step = drip >= 10 ? (size_t)drip / 10 : 1;
		len = len < step ? len : step;
		if (!sim_sleep(flow->call->sim, drip >= 10 ? 100 : 1000 / drip))
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	memcpy(buf, flow->out.data + flow->at, len);
	flow->at += len;
	return (ssize_t)len;
}

static struct MHD_Response *
response_of(struct call *call, struct reply *r)
{
	if (r->feed == NULL) {
		call_leave(call);
		return MHD_create_response_from_buffer(
		    r->body.len, r->body.data, MHD_RESPMEM_MUST_COPY);
	}
	struct flow *flow = sim_alloc(sizeof(*flow));
	flow->call = call;
	flow->feed = r->feed;
	r->feed = NULL;
	return MHD_create_response_from_callback(
	    MHD_SIZE_UNKNOWN, PIECE_BYTES, flow_pull, flow, flow_free);
}

static enum MHD_Result
send_properly(struct call *call, struct MHD_Connection *connection, struct reply *r)
{
	struct MHD_Response *response = response_of(call, r);
	for (size_t i = 0; i < r->header_count; i++)
		MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
	enum MHD_Result queued = MHD_queue_response(connection, r->status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result
send_broken(struct call *call, struct MHD_Connection *connection, struct broken *b)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	/* who has the last byte may call again at once; a slow answer still counts as running */
	if (b->plan.ending != ENDING_STALL && b->plan.rate == 0)
		call_leave(call);
	if (info != NULL)
		call->ended_cleanly =
		    raw_send(call->sim, info->connect_fd, b->reply, &b->bytes, &b->plan);
	return MHD_NO; /* the connection is used up */
}

static enum MHD_Result
answer(struct call *call, struct MHD_Connection *connection)
{
	struct reply reply = {0};
	struct fault fault;
	struct broken broken = {.reply = &reply};
	call->corpus = sim_corpus(call->sim);
	call->params_ctx = connection;
	record_call(call, connection);
	bool faulty = call_answer(call, &reply, &fault);
	broken.opt = &call->corpus->opt;
	if (faulty)
		fault_apply(&fault, call->compress, &broken);
	call->status = reply.status;
	if (call->api == API_AUTH) {
		sim_lock(call->sim);
		ledger_login(&call->sim->ledger, call->status);
		sim_unlock(call->sim);
	}
	enum MHD_Result result = faulty && fault.row->stage != STAGE_REPLY
				     ? send_broken(call, connection, &broken)
				     : send_properly(call, connection, &reply);
	reply_free(&reply);
	sbuf_free(&broken.json);
	sbuf_free(&broken.bytes);
	sbuf_free(&broken.plan.preface);
	return result;
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
    const char *protocol, const char *upload, size_t *upload_len, void **call_ctx)
{
	(void)ctx, (void)protocol;
	struct call *call = *call_ctx;
	if (call->method == NULL) {
		call->method = method;
		call->api = call_route(path, call->version);
		return MHD_YES;
	}
	if (*upload_len > 0) {
		call->body_too_large =
		    call->body_too_large || call->body.len + *upload_len > ASK_BODY_BYTES;
		if (!call->body_too_large)
			sbuf_add(&call->body, upload, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	return answer(call, connection);
}

static void
on_completed(void *ctx, struct MHD_Connection *connection, void **call_ctx,
    enum MHD_RequestTerminationCode code)
{
	(void)connection;
	struct sim *s = ctx;
	struct call *call = *call_ctx;
	if (call == NULL)
		return;
	call_leave(call);
	if (call->number != 0) {
		bool good = code == MHD_REQUEST_TERMINATED_COMPLETED_OK || call->ended_cleanly;
		sim_lock(s);
		journal_end(&s->journal, call->number, call->api,
		    good ? OUTCOME_DONE : OUTCOME_BROKEN, call->status, now_ms());
		sim_changed(s);
		sim_unlock(s);
	}
	corpus_unref(call->corpus);
	sbuf_free(&call->body);
	free(call->uri);
	free(call);
	*call_ctx = NULL;
}

struct MHD_Daemon *
upstream_start(struct sim *s, uint16_t port)
{
	return http_listen(port, on_request, s, on_completed, on_uri);
}
