#include "config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulator/control.h"
#include "tests/simulator/http.h"
#include "tests/simulator/sim.h"

#define WAIT_MS 10000
#define ADVANCE_MOST_S 1e9
#define USE_MOST 1000000

struct request {
	struct MHD_Connection *connection;
	const char *path;
	struct sbuf body;
	bool begun;
	json_t *json; /* the body, NULL if there is none */
	struct sbuf out;
	const char *wrong; /* what is wrong with it; NULL: nothing */
};

/* --- helpers */

static int64_t
number_arg(const struct request *r, const char *name, int64_t otherwise)
{
	const char *text = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
	return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

static int64_t
number_in(const json_t *object, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(object, name);
	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* Text, or a number as text. */
static void
text_in(const json_t *object, const char *name, char *text, size_t size)
{
	const json_t *value = json_object_get(object, name);
	if (json_is_string(value))
		snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

/* APIS: all, if it is not given or is null. False: there is none of that name. */
static bool
api_in(const json_t *object, enum api *ret_api)
{
	const json_t *value = json_object_get(object, "api");
	*ret_api = json_is_string(value) ? api_find(json_string_value(value)) : APIS;
	return !json_is_string(value) || *ret_api != APIS;
}

/* A member that no request knows is a typing mistake, which would let a test pass for nothing. */
static bool
members_known(const struct request *r, const char *const *known)
{
	for (void *it = json_object_iter(r->json); it != NULL;
	     it = json_object_iter_next(r->json, it)) {
		size_t i = 0;
		while (known[i] != NULL && strcmp(known[i], json_object_iter_key(it)) != 0)
			i++;
		if (known[i] == NULL)
			return false;
	}
	return true;
}

/* --- what can be asked */

static void
do_state(struct sim *s, struct request *r)
{
	int64_t last = number_arg(r, "last", 50);
	bool bodies = number_arg(r, "bodies", 0) != 0;
	sim_lock(s);
	sbuf_printf(
	    &r->out, "{\"generation\":%" PRId64 ",\"running\":{", s->corpus->opt.generation);
	for (unsigned i = 0; i < APIS; i++)
		sbuf_printf(&r->out, "%s\"%s\":{\"now\":%u,\"most\":%u}", i == 0 ? "" : ",",
		    api_names[i], s->limits.api[i].running, s->limits.api[i].most_running);
	sbuf_printf(&r->out, "},\"stalled\":%" PRIu64 ",", s->holds.stalled);
	journal_json(&s->journal, last > 0 ? (size_t)last : 0, bodies, &r->out);
	sbuf_text(&r->out, "}");
	sim_unlock(s);
}

static void
do_options(struct sim *s, struct request *r)
{
	struct corpus *c = sim_corpus(s);
	options_json(&c->opt, &r->out);
	corpus_unref(c);
}

static void
do_faults(struct sim *s, struct request *r)
{
	sim_lock(s);
	faults_json(&s->faults, &r->out);
	sim_unlock(s);
}

static void
done(struct request *r)
{
	sbuf_text(&r->out, "{\"ok\":true}");
}

static void
do_reset(struct sim *s, struct request *r)
{
	sim_lock(s);
	journal_reset(&s->journal);
	limits_forget(&s->limits);
	faults_fini(&s->faults);
	hold_release(&s->holds, 0, -1);
	s->holds.stalls_released++;
	sim_changed(s);
	sim_unlock(s);
	done(r);
}

static void
do_expire(struct sim *s, struct request *r)
{
	sim_lock(s);
	tokens_expire(&s->tokens);
	sim_unlock(s);
	done(r);
}

static void
do_advance(struct sim *s, struct request *r)
{
	const json_t *seconds = json_object_get(r->json, "seconds");
	double value = json_is_number(seconds) ? json_number_value(seconds) : -1;
	if (value < 0 || value > ADVANCE_MOST_S) {
		r->wrong = "seconds has to be a number, 0 or more";
		return;
	}
	sim_advance(s, (int64_t)(value * 1000 + 0.5));
	done(r);
}

static void
do_use(struct sim *s, struct request *r)
{
	enum api api;
	int64_t calls = number_in(r->json, "calls", -1);
	if (!api_in(r->json, &api) || api == APIS || api == API_AUTH || api == API_OTHER)
		r->wrong = "api has to be policyList, hostids or postureInfo";
	else if (calls < 0 || calls > USE_MOST)
		r->wrong = "calls has to be a number, 0 or more";
	if (r->wrong != NULL)
		return;
	sim_lock(s);
	limits_use(&s->limits, api, &s->corpus->opt, now_ms(), calls);
	ledger_others(&s->ledger, api, calls);
	sim_unlock(s);
	done(r);
}

static void
do_set(struct sim *s, struct request *r)
{
	struct corpus *c = sim_corpus(s);
	struct options opt = c->opt;
	corpus_unref(c);
	void *it = json_object_iter(r->json);
	for (; it != NULL && r->wrong == NULL; it = json_object_iter_next(r->json, it)) {
		const json_t *value = json_object_iter_value(it);
		char text[2 * OPTION_TEXT_BYTES] = "";
		if (json_is_boolean(value))
			snprintf(text, sizeof(text), "%s", json_is_true(value) ? "true" : "false");
		else
			text_in(r->json, json_object_iter_key(it), text, sizeof(text));
		r->wrong = options_set(&opt, json_object_iter_key(it), text, true);
	}
	if (r->wrong != NULL)
		return;
	sim_configure(s, &opt);
	done(r);
}

static const char *
read_framing(const json_t *json, struct fault *fault)
{
	static const char *const names[] = {"chunked", "length", "close"};
	char text[16] = "";
	text_in(json, "framing", text, sizeof(text));
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			fault->framing = (enum framing)i;
	return text[0] == '\0' || strcmp(text, names[fault->framing]) == 0
		   ? NULL
		   : "framing is chunked, length or close";
}

static const char *
read_fault(const json_t *json, struct fault *fault)
{
	char name[64] = "";
	text_in(json, "fault", name, sizeof(name));
	if (fault_find(name, fault) == NULL)
		return "no such fault";
	if (!api_in(json, &fault->api))
		return "no such api";
	fault->skip = number_in(json, "skip", 0);
	fault->times = number_in(json, "times", 1);
	fault->count = number_in(json, "count", fault->count);
	fault->status = (unsigned)number_in(json, "status", fault->status);
	fault->code = (unsigned)number_in(json, "code", fault->code);
	if (json_is_number(json_object_get(json, "at")))
		fault->at = json_number_value(json_object_get(json, "at"));
	text_in(json, "match", fault->match, sizeof(fault->match));
	text_in(json, "value", fault->value, sizeof(fault->value));
	text_in(json, "retryAfter", fault->retry_after, sizeof(fault->retry_after));
	text_in(json, "toWait", fault->to_wait, sizeof(fault->to_wait));
	if (fault->status < 100 || fault->status > 599 || fault->times == 0 || fault->times < -1 ||
	    fault->skip < 0)
		return "status, times or skip is out of range";
	if (fault->at < 0)
		return "at is a fraction, or a number of bytes";
	return read_framing(json, fault);
}

static void
do_fault(struct sim *s, struct request *r)
{
	struct fault fault;
	r->wrong = read_fault(r->json, &fault);
	if (r->wrong != NULL)
		return;
	sim_lock(s);
	faults_add(&s->faults, &fault);
	sim_unlock(s);
	done(r);
}

static void
do_hold(struct sim *s, struct request *r)
{
	struct hold hold = {
	    .times = number_in(r->json, "times", -1), .skip = number_in(r->json, "skip", 0)};
	int64_t records = number_in(r->json, "records", -1);
	hold.before_head = records < 0;
	hold.records = records < 0 ? 0 : (uint64_t)records;
	text_in(r->json, "match", hold.match, sizeof(hold.match));
	if (!api_in(r->json, &hold.api)) {
		r->wrong = "no such api";
		return;
	}
	sim_lock(s);
	uint64_t id = hold_add(&s->holds, &hold);
	sim_unlock(s);
	sbuf_printf(&r->out, "{\"id\":%" PRIu64 "}", id);
}

static void
do_release(struct sim *s, struct request *r)
{
	uint64_t id = (uint64_t)number_in(r->json, "id", 0);
	sim_lock(s);
	if (json_is_true(json_object_get(r->json, "broken")))
		hold_break(&s->holds, id);
	else
		hold_release(&s->holds, id, number_in(r->json, "count", -1));
	if (json_object_get(r->json, "id") == NULL)
		s->holds.stalls_released++;
	sim_changed(s);
	sim_unlock(s);
	done(r);
}

/* Blocks until all of the numbers asked for are reached, or time is up. */
static void
do_wait(struct sim *s, struct request *r)
{
	const char *name = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "api");
	enum api api = api_find(name != NULL ? name : "postureInfo");
	if (api == APIS) {
		r->wrong = "no such api";
		return;
	}
	int64_t calls = number_arg(r, "calls", 0), ended = number_arg(r, "ended", 0),
		held = number_arg(r, "held", 0);
	int64_t stalled = number_arg(r, "stalled", 0),
		deadline_ms = real_ms() + number_arg(r, "timeout_ms", WAIT_MS);
	sim_lock(s);
	const struct tally *t = &s->journal.tally[api];
	bool reached = false;
	while (!reached) {
		reached = (int64_t)t->calls >= calls && (int64_t)(t->done + t->broken) >= ended &&
			  (int64_t)t->held >= held && (int64_t)s->holds.stalled >= stalled;
		if (!reached && (real_ms() >= deadline_ms || s->stopping))
			break;
		if (!reached)
			(void)sim_wait_locked(s, deadline_ms);
	}
	sbuf_printf(&r->out,
	    "{\"reached\":%s,\"calls\":%" PRIu64 ",\"ended\":%" PRIu64 ",\"held\":%" PRIu64
	    ",\"stalled\":%" PRIu64 "}",
	    reached ? "true" : "false", t->calls, t->done + t->broken, t->held, s->holds.stalled);
	sim_unlock(s);
}

#define MEMBERS(...) ((const char *const[]){__VA_ARGS__ NULL})

static const struct {
	const char *method, *path;
	void (*run)(struct sim *s, struct request *r);
	const char *const *members; /* of the body; NULL: any */
} table[] = {
    {"GET", "/state", do_state, MEMBERS()},
    {"GET", "/options", do_options, MEMBERS()},
    {"GET", "/faults", do_faults, MEMBERS()},
    {"GET", "/wait", do_wait, MEMBERS()},
    {"POST", "/reset", do_reset, MEMBERS()},
    {"POST", "/advance", do_advance, MEMBERS("seconds", )},
    {"POST", "/use", do_use, MEMBERS("api", "calls", )},
    {"POST", "/expire", do_expire, MEMBERS()},
    {"POST", "/set", do_set, NULL},
    {"POST", "/fault", do_fault,
	MEMBERS("fault", "api", "skip", "times", "match", "at", "count", "status", "code", "value",
	    "retryAfter", "toWait", "framing", )},
    {"POST", "/hold", do_hold, MEMBERS("api", "skip", "times", "match", "records", )},
    {"POST", "/release", do_release, MEMBERS("id", "count", "broken", )},
};

/* --- HTTP */

static unsigned
run(struct sim *s, struct request *r, const char *method)
{
	json_error_t error;
	r->json = r->body.len > 0
		      ? json_loadb(r->body.data, r->body.len, JSON_REJECT_DUPLICATES, &error)
		      : json_object();
	if (!json_is_object(r->json)) {
		r->wrong = "the body has to be a JSON object";
		return 400;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].path, r->path) == 0 && strcmp(table[i].method, method) == 0) {
			if (table[i].members != NULL && !members_known(r, table[i].members))
				r->wrong = "the body has a member that this request does not know";
			else
				table[i].run(s, r);
			return r->wrong == NULL ? 200 : 400;
		}
	r->wrong = "no such request";
	return 404;
}

static enum MHD_Result
answer(struct sim *s, struct request *r, const char *method)
{
	unsigned status = run(s, r, method);
	if (r->wrong != NULL) {
		r->out.len = 0;
		sbuf_text(&r->out, "{\"error\":");
		sbuf_json(&r->out, r->wrong);
		sbuf_text(&r->out, "}");
	}
	sbuf_text(&r->out, "\n");
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(r->out.len, r->out.data, MHD_RESPMEM_MUST_COPY);
	MHD_add_response_header(response, "Content-Type", "application/json");
	enum MHD_Result queued = MHD_queue_response(r->connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

static void *
on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
	(void)ctx, (void)uri;
	struct request *r = sim_alloc(sizeof(*r));
	r->connection = connection;
	return r;
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
    const char *protocol, const char *upload, size_t *upload_len, void **request_ctx)
{
	(void)connection, (void)protocol;
	struct request *r = *request_ctx;
	r->path = path;
	if (!r->begun) {
		r->begun = true;
		return MHD_YES;
	}
	if (*upload_len > 0) {
		sbuf_add(&r->body, upload, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	return answer(ctx, r, method);
}

static void
on_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
    enum MHD_RequestTerminationCode code)
{
	(void)ctx, (void)connection, (void)code;
	struct request *r = *request_ctx;
	if (r == NULL)
		return;
	json_decref(r->json);
	sbuf_free(&r->body);
	sbuf_free(&r->out);
	free(r);
	*request_ctx = NULL;
}

struct MHD_Daemon *
control_start(struct sim *s, uint16_t port)
{
	return http_listen(port, on_request, s, on_completed, on_uri);
}
