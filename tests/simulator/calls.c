#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulator/calls.h"
#include "tests/simulator/dates.h"
#include "tests/simulator/lists.h"
#include "tests/simulator/sim.h"

/* --- routes */

static const struct {
	enum api api;
	const char *tail; /* behind /pcrs/VERSION/posture/ */
	const char *method;
} routes[] = {
    {API_POLICY_LIST, "policy/list", "GET"},
    {API_HOSTIDS, "hostids", "GET"},
    {API_POSTURE_INFO, "postureInfo", "POST"},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

static bool
path_is(const char *path, const char *wanted)
{
	size_t len = strlen(wanted);
	return strncmp(path, wanted, len) == 0 &&
	       (path[len] == '\0' || strcmp(path + len, "/") == 0);
}

enum api
call_route(const char *path, char ret_version[8])
{
	static const char prefix[] = "/pcrs/", middle[] = "/posture/";
	ret_version[0] = '\0';
	if (path_is(path, "/auth"))
		return API_AUTH;
	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return API_OTHER;
	const char *version = path + sizeof(prefix) - 1;
	size_t len = strcspn(version, "/");
	if (len >= 8 || strncmp(version + len, middle, sizeof(middle) - 1) != 0)
		return API_OTHER;
	snprintf(ret_version, 8, "%.*s", (int)len, version);
	for (size_t i = 0; i < ROUTES; i++)
		if (path_is(version + len + sizeof(middle) - 1, routes[i].tail))
			return routes[i].api;
	return API_OTHER;
}

/* --- POST /auth */

static int
hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* A field of a form, decoded; false: not there. */
static bool
form_field(struct sbuf *form, const char *name, struct sbuf *ret_value)
{
	size_t name_len = strlen(name);
	for (const char *p = sbuf_str(form); *p != '\0'; p += *p == '&') {
		size_t len = strcspn(p, "&");
		bool found = len > name_len && p[name_len] == '=' && memcmp(p, name, name_len) == 0;
		for (size_t i = name_len + 1; found && i < len; i++) {
			char c = p[i] == '+' ? ' ' : p[i];
			if (c == '%' && i + 2 < len && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
				c = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
				i += 2;
			}
			sbuf_add(ret_value, &c, 1);
		}
		if (found)
			return true;
		p += len;
	}
	return false;
}

static bool
form_has(struct sbuf *form, const char *name, const char *wanted)
{
	struct sbuf value = {0};
	bool good = form_field(form, name, &value) && strcmp(sbuf_str(&value), wanted) == 0;
	sbuf_free(&value);
	return good;
}

static void
answer_auth(struct call *call, struct reply *r)
{
	const struct options *opt = &call->corpus->opt;
	if (strcmp(call->method, "POST") != 0) {
		reply_error(r, opt, 405, 0, "Method not allowed");
		return;
	}
	if (!form_has(&call->body, "username", opt->username) ||
	    !form_has(&call->body, "password", opt->password)) {
		reply_error(r, opt, 401, 0, "Bad username or password");
		return;
	}
	r->status = 201;
	reply_header(r, "Content-Type", "text/plain;charset=UTF-8");
	sim_lock(call->sim);
	sbuf_text(&r->body, token_make(&call->sim->tokens, opt->username, opt->token_lifetime));
	call->sim->journal.logins++;
	sim_unlock(call->sim);
}

/* --- GET policy/list */

static void
add_tags(const struct call *call, uint32_t p, struct sbuf *b)
{
	sbuf_printf(b,
	    ",\"%s\":{\"includeTags\":[{\"id\":%u,\"name\":\"Tag "
	    "%u\"}],\"excludeTags\":[],\"includeTagsScope\":\"ANY\",\"excludeTagsScope\":\"ALL\"}",
	    call->corpus->opt.tag_member == 0 ? "requireTagInfo" : "tagInfo", 9000 + p, p);
}

static void
answer_policy_list(struct call *call, const struct ask *ask, struct reply *r)
{
	const struct corpus *c = call->corpus;
	struct sbuf *b = &r->body;
	sbuf_printf(b, "{\"subscriptionId\":%" PRId64 ",\"policyList\":[", c->opt.subscription);
	const char *comma = "";
	for (uint32_t p = 0; p < c->opt.policies; p++) {
		int64_t evaluated_s = policy_evaluated_s(c, p);
		if (evaluated_s < ask->evaluated_since)
			continue;
		sbuf_printf(b, "%s{\"id\":%" PRIu64 ",\"title\":", comma, policy_id(p));
		policy_title(c, p, b);
		sbuf_text(b, ",\"createdBy\":\"sim_author\",\"createdDate\":");
		date_add(b, c->epoch_s - 400 * DAY_S - p);
		sbuf_text(b, ",\"modifiedBy\":\"sim_editor\",\"modifiedDate\":");
		date_add(b, c->epoch_s - 40 * DAY_S - p);
		sbuf_text(b, ",\"lastEvaluatedDate\":");
		date_add(b, evaluated_s);
		sbuf_printf(b, ",\"status\":\"%s\",\"locked\":%d",
		    policy_is_active(c, p) ? "active" : "inactive", p % 4 == 3);
		if (ask->tags)
			add_tags(call, p, b);
		sbuf_text(b, "}");
		comma = ",";
	}
	sbuf_text(b, "]}");
}

/* --- GET hostids */

static bool
host_changed(const struct ask *ask, const struct corpus *c, const struct host *host)
{
	struct posture posture;
	for (uint32_t control = 0; !host->empty && control < c->opt.controls; control++) {
		posture_at(c, host, control, &posture);
		if (posture.modified_s >= ask->changed_since)
			return true;
	}
	return false;
}

static void
add_hosts(const struct ask *ask, const struct corpus *c, uint32_t p, struct sbuf *b)
{
	const char *comma = "";
	for (uint32_t h = 0; h < c->opt.hosts; h++) {
		struct host host;
		host_at(c, p, h, &host);
		if (!ask_wants_host(ask, c, &host))
			continue;
		if (ask->changed_since != INT64_MIN && !host_changed(ask, c, &host))
			continue;
		sbuf_text(b, comma);
		sbuf_add(b, "\"", 1);
		sbuf_u64(b, host.id);
		sbuf_add(b, "\"", 1);
		comma = ",";
	}
}

static void
add_policy(const struct ask *ask, const struct corpus *c, uint64_t id, struct sbuf *b)
{
	uint32_t p;
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, id);
	bool known = policy_find(c, id, &p);
	if (!known && c->opt.unknown_policy == UNKNOWN_OMIT)
		return;
	const char *error = !known ? "No such policy, or it is not yours"
			    : list_has(c->opt.failing_policies, text, (size_t)len)
				? "The hosts of this policy cannot be told"
				: NULL;
	sbuf_printf(b,
	    "%s{\"policyId\":\"%" PRIu64 "\",\"subscriptionId\":\"%" PRId64 "\",\"hostIds\":[",
	    b->len > 1 ? "," : "", id, c->opt.subscription);
	if (error == NULL)
		add_hosts(ask, c, p, b);
	sbuf_text(b, "]");
	if (error != NULL)
		sbuf_printf(b, ",\"error\":\"%s\"", error);
	sbuf_text(b, "}");
}

static void
answer_hostids(struct call *call, const struct ask *ask, struct reply *r)
{
	const struct corpus *c = call->corpus;
	char item[32];
	uint64_t id;
	sbuf_text(&r->body, "[");
	if (ask->policies == NULL)
		for (uint32_t p = 0; p < c->opt.policies; p++)
			add_policy(ask, c, policy_id(p), &r->body);
	for (const char *at = ask->policies; list_next(&at, item, sizeof(item));)
		if (id_parse(item, &id))
			add_policy(ask, c, id, &r->body);
	sbuf_text(&r->body, "]");
}

/* --- POST postureInfo */

static void
answer_posture_info(struct call *call, struct ask *ask, struct reply *r)
{
	struct date_bound now = {now_s(), 0};
	if (call->corpus->opt.now[0] != '\0')
		(void)date_parse(call->corpus->opt.now, &now);
	call->compress = !ask->plain;
	r->feed = feed_new(call->corpus, ask, now.first_s);
	feed_compress(r->feed, call->compress);
	if (call->corpus->opt.empty == EMPTY_204 && feed_is_empty(r->feed)) {
		feed_free(r->feed);
		r->feed = NULL;
		r->status = 204;
	} else if (call->hold.hold != 0 && !call->hold.before_head) {
		feed_pause_at(r->feed, call->hold.records);
	}
}

/* --- the way of a call */

struct param_reading {
	struct ask *ask;
	const struct version *version;
	struct complaint *complaint;
	bool good;
};

static bool
read_param(void *ctx, const char *name, const char *value)
{
	struct param_reading *reading = ctx;
	reading->good = ask_param(reading->ask, reading->version, name, value, reading->complaint);
	return reading->good;
}

static bool
read_call(struct call *call, const struct version *v, struct ask *ask, struct complaint *complaint)
{
	struct param_reading reading = {ask, v, complaint, true};
	call_params(call, read_param, &reading);
	if (!reading.good || !ask_check(ask, v, complaint))
		return false;
	return call->api != API_POSTURE_INFO ||
	       ask_body(ask, v, call->corpus, &call->body, complaint);
}

static void
answer_versioned(struct call *call, struct reply *r)
{
	const struct options *opt = &call->corpus->opt;
	const struct version *v = version_find(call->api, call->version, opt);
	if (v == NULL) {
		reply_error(
		    r, opt, (unsigned)opt->retired_status, 0, "This version is not available");
		return;
	}
	if ((v->traits & TRAIT_MANAGER) && !opt->manager) {
		reply_error(r, opt, 403, 0, "This API is for the role Manager only");
		return;
	}
	if (call->body_too_large) {
		reply_error(r, opt, 413, 0, "The body is larger than 4 MB");
		return;
	}
	struct ask ask;
	struct complaint complaint = {0};
	ask_init(&ask, v);
	ask.sca = ask.sca || list_has(opt->sca_versions, v->name, strlen(v->name));
	if (!read_call(call, v, &ask, &complaint))
		reply_error(r, opt, 400, complaint.code, complaint.text);
	else if (call->api == API_POLICY_LIST)
		answer_policy_list(call, &ask, r);
	else if (call->api == API_HOSTIDS)
		answer_hostids(call, &ask, r);
	else
		answer_posture_info(call, &ask, r);
	ask_free(&ask);
}

static bool
method_fits(const struct call *call)
{
	for (size_t i = 0; i < ROUTES; i++)
		if (routes[i].api == call->api)
			return strcmp(routes[i].method, call->method) == 0;
	return true;
}

/* What does not even get as far as the limits. True: *r is the answer. */
static bool
refuse_early(struct call *call, struct reply *r)
{
	const struct options *opt = &call->corpus->opt;
	if (call->api == API_OTHER) {
		reply_error(r, opt, 404, 0, "Not found");
		return true;
	}
	sim_lock(call->sim);
	bool good = call->bearer != NULL && token_good(&call->sim->tokens, call->bearer);
	call->sim->journal.tally[call->api].unauthorized += !good;
	sim_unlock(call->sim);
	if (!good) {
		reply_error(r, opt, 401, 0, "JWT expired or not known");
		return true;
	}
	if (!method_fits(call)) {
		reply_error(r, opt, 405, 0, "Method not allowed");
		return true;
	}
	return false;
}

static void
refuse_too_often(const struct options *opt, const struct limits_view *view, struct reply *r)
{
	reply_error(r, opt, (unsigned)opt->block_status, 1965,
	    "The number of calls in the window is used up");
	reply_number(r, "X-RateLimit-Remaining", 0);
	if (opt->wait_late && view->refused < 2)
		return;
	if (opt->wait_header == WAIT_TOWAIT || opt->wait_header == WAIT_BOTH)
		reply_number(r, "X-RateLimit-ToWait-Sec", view->wait_s);
	if (opt->wait_header == WAIT_RETRY_AFTER || opt->wait_header == WAIT_BOTH)
		reply_number(r, "Retry-After", view->wait_s);
}

/* On every answer, that of a refusal too: what runs of this API, and how many may. */
static void
tell_concurrency(const struct options *opt, const struct limits_view *view, struct reply *r)
{
	static const struct {
		const char *limit, *running;
	} names[] = {
	    [CONCURRENCY_HYPHEN] = {"X-Concurrency-Limit-Limit", "X-Concurrency-Limit-Running"},
	    [CONCURRENCY_JOINED] = {"X-ConcurrencyLimit-Limit", "X-ConcurrencyLimit-Running"},
	};
	if (opt->concurrency == 0 || opt->concurrency_header == CONCURRENCY_NONE)
		return;
	reply_number(r, names[opt->concurrency_header].limit, opt->concurrency);
	reply_number(r, names[opt->concurrency_header].running, view->running);
}

/* True: the call counts as running; else *r is the refusal. */
static bool
enter(struct call *call, struct reply *r)
{
	const struct options *opt = &call->corpus->opt;
	struct limits_view view;
	sim_lock(call->sim);
	enum limits_answer answer =
	    limits_enter(&call->sim->limits, call->api, opt, now_ms(), &view);
	struct tally *tally = &call->sim->journal.tally[call->api];
	tally->too_many += answer == LIMITS_TOO_MANY;
	tally->too_often += answer == LIMITS_TOO_OFTEN;
	ledger_call(&call->sim->ledger, call->api, answer, view.running);
	sim_unlock(call->sim);
	call->entered = answer == LIMITS_ENTERED;
	tell_concurrency(opt, &view, r);
	if (answer == LIMITS_TOO_MANY) {
		reply_error(r, opt, 409, 1960, "Too many calls at the same time");
		return false;
	}
	if (opt->rate > 0) {
		reply_number(r, "X-RateLimit-Limit", opt->rate);
		reply_number(r, "X-RateLimit-Window-Sec", opt->rate_window);
		reply_number(r, "X-RateLimit-Remaining", view.remaining);
	}
	if (answer == LIMITS_TOO_OFTEN)
		refuse_too_often(opt, &view, r);
	return call->entered;
}

void
call_leave(struct call *call)
{
	if (!call->entered)
		return;
	call->entered = false;
	sim_lock(call->sim);
	limits_leave(&call->sim->limits, call->api);
	sim_unlock(call->sim);
}

bool
call_wait_hold(struct call *call)
{
	struct sim *s = call->sim;
	if (call->hold.hold == 0)
		return true;
	sim_lock(s);
	s->journal.tally[call->api].held++;
	sim_changed(s);
	while (hold_is_waiting(&s->holds, &call->hold) && !s->stopping)
		(void)sim_wait_locked(s, real_ms() + 60000);
	s->journal.tally[call->api].held--;
	bool broken = hold_is_broken(&s->holds, &call->hold);
	sim_changed(s);
	sim_unlock(s);
	return !broken;
}

/* Joins the holds and the fault queue; true: there is a fault. */
static bool
join(struct call *call, struct fault *ret_fault)
{
	const char *body = sbuf_str(&call->body);
	sim_lock(call->sim);
	call->hold = hold_join(&call->sim->holds, call->api, call->uri, body);
	bool faulty = faults_take(&call->sim->faults, call->api, call->uri, body, ret_fault);
	if (faulty) {
		struct entry *e = journal_entry(&call->sim->journal, call->number);
		call->sim->journal.tally[call->api].faults++;
		if (e != NULL)
			e->fault = ret_fault->row->name;
	}
	sim_unlock(call->sim);
	return faulty;
}

bool
call_answer(struct call *call, struct reply *r, struct fault *ret_fault)
{
	r->status = 200;
	reply_usual(r);
	if (call->api != API_AUTH && (refuse_early(call, r) || !enter(call, r)))
		return false;
	bool faulty = join(call, ret_fault);
	if (call->hold.before_head)
		(void)call_wait_hold(call); /* there is nothing yet to break */
	if (call->corpus->opt.latency_ms > 0)
		(void)sim_sleep(call->sim, call->corpus->opt.latency_ms);
	if (call->api == API_AUTH)
		answer_auth(call, r);
	else
		answer_versioned(call, r);
	return faulty;
}
