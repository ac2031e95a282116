/* The drop-in surface: the upstream's own endpoints, answered in its own manner. */
#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/endpoints.h"
#include "gateway/front/token.h"
#include "gateway/legacy/lists.h"
#include "gateway/request_legacy.h"

/* As for /v1, but for the lifetime: such callers keep nothing. */
static void
tell_cache(struct request *r)
{
	const struct source *s = r->source;
	switch (s->served) {
	case SERVED_NONE:
		break;
	case SERVED_HIT:
	case SERVED_STALE:
		response_header(&r->response, "Cache-Status", "posturegate; hit%s",
		    s->contained ? "; detail=contained" : "");
		break;
	default:
		response_header(&r->response, "Cache-Status", "posturegate; fwd=%s%s", s->fwd,
		    s->served == SERVED_COLLAPSED ? "; collapsed" : "; stored");
	}
}

/* --- POST /auth */

static enum status
read_form(struct request *r, struct login_form *form, const char **ret_message)
{
	struct buf body;
	size_t len;
	*ret_message = NULL;
	enum status st = conditions_length(r->fcgi, LOGIN_BODY_BYTES, &len);
	if (st != STATUS_OK)
		return st;
	buf_init(&body, LOGIN_BODY_BYTES);
	st = fcgi_read_body(r->fcgi, &body, len);
	if (st == STATUS_OK)
		st = login_form_read(body.data, body.len, form, ret_message);
	crypto_wipe(body.data, body.cap);
	buf_fini(&body);
	return st;
}

enum step
endpoint_auth(struct request *r)
{
	const struct gateway *g = r->gateway;
	struct login_form form;
	const char *message;
	uint8_t key[TOKEN_KEY_BYTES];
	char token[TOKEN_TEXT_BYTES];
	int64_t now_s = r->now_ms / 1000, since_s;
	enum status st = read_form(r, &form, &message);
	if (st != STATUS_OK)
		return request_problem(r, st, message);
	st = access_login(g->access, form.username, form.password, now_s, &r->consumer, key);
	login_form_wipe(&form);
	if (st != STATUS_OK)
		return request_problem(r, st, "The username or the password is wrong");
	usage_count(
	    g->usage, &(struct usage_call){
			  .consumer = r->consumer->number, .endpoint = USAGE_AUTH, .now_s = now_s});
	if (sunset_check(&g->sunset, r->consumer->legacy_until_s, API_POSTURE_INFO, NULL, now_s,
		&since_s) != SUNSET_SERVED)
		return legacy_ended(r, API_POSTURE_INFO, NULL, SUNSET_CONSUMER_ENDED, since_s);
	access_token_write(g->signing_key, r->consumer, key, now_s, token);
	r->response.http = 201;
	response_header(&r->response, "Content-Type", "text/plain;charset=UTF-8");
	response_header(&r->response, "Cache-Control", "no-store");
	buf_str_add(&r->response.body, token);
	return STEP_respond;
}

/* --- lists: of the policies, and of the hosts of policies */

#define LIST_RECORDS 1000            /* in one view of the store */
#define LIST_PIECE_BYTES (256 * KIB) /* what is longer streams */

/* What the caller may see of the result. */
static void
open_list(struct request *r, struct reader *reader)
{
	struct filter filter = {.grant = r->consumer->all_policies ? NULL : &r->consumer->policies};
	reader_init(reader, r->gateway->cache, r->source->result, NULL, &filter);
	reader->takes_incomplete = true; /* policies whose hosts are not known are named */
}

/* One answer, in its pieces. */
struct pcrs_list {
	struct legacy *legacy; /* what was given is counted there, and its reader reads */
	struct legacy_policies policies;
	struct legacy_hosts hosts;
	bool of_hosts; /* which of the two writes */
	struct id_list errors;
	bool read;         /* to its end: what is left is the writer's */
	struct buf *piece; /* the one at hand */
};

static struct pcrs_list *
new_list(struct request *r)
{
	struct pcrs_list *list = arena_alloc(&r->arena, sizeof *list);
	if (list != NULL)
		*list = (struct pcrs_list){.legacy = r->legacy};
	return list;
}

static enum status
on_listed(void *ctx, const struct reader_record *rec)
{
	struct pcrs_list *l = ctx;
	enum status st =
	    l->of_hosts ? legacy_hosts_add(&l->hosts, rec->body, rec->body_len, l->piece)
			: legacy_policies_add(&l->policies, rec->body, rec->body_len, l->piece);
	if (st == STATUS_OK)
		l->legacy->records++;
	return st;
}

static enum status
make_piece(void *list, struct buf *piece, bool *ret_end)
{
	struct pcrs_list *l = list;
	enum reader_state state = READER_MORE;
	enum status st = STATUS_OK;
	l->piece = piece;
	*ret_end = false;
	while (st == STATUS_OK && !l->read) {
		st = reader_take(
		    &l->legacy->reader, LIST_RECORDS, LIMIT_PIECE_BYTES, on_listed, l, &state);
		l->read = st == STATUS_OK && state == READER_END;
	}
	if (l->read)
		*ret_end = l->of_hosts ? legacy_hosts_end(&l->hosts, piece)
				       : legacy_policies_end(&l->policies, piece);
	else if (st == STATUS_OVERFLOW && piece->len >= LIST_PIECE_BYTES)
		st = STATUS_OK; /* the record comes again */
	l->legacy->bytes += piece->len;
	return st == STATUS_OK ? piece->err : st;
}

/* What is longer than the piece that is made before the status leaves is an answer as long as its reader
 * takes. */
static enum status
stream_list(struct request *r, struct pcrs_list *list)
{
	bool bare = r->method == METHOD_HEAD;
	if (!bare && !legacy_enter(r))
		return STATUS_BUSY;
	r->response.next = make_piece;
	r->response.next_ctx = list;
	return STATUS_OK;
}

static enum step
answer_json(struct request *r)
{
	request_json(r);
	tell_cache(r);
	return STEP_respond;
}

static enum step
answer_list(struct request *r, struct pcrs_list *list)
{
	struct legacy *l = r->legacy;
	bool end;
	open_list(r, &l->reader);
	l->reading = true;
	enum status st = make_piece(list, &r->response.body, &end);
	if (st == STATUS_OK && !end)
		st = stream_list(r, list);
	if (st == STATUS_OK)
		return answer_json(r);
	l->records = l->bytes = 0;
	return request_problem_later(r, st, 0);
}

enum step
endpoint_pcrs_policy_list(struct request *r)
{
	struct pcrs_list *list = new_list(r);
	if (list == NULL)
		return request_problem(r, STATUS_NO_MEMORY, NULL);
	legacy_policies_init(
	    &list->policies, fetch_subscription(r->gateway->fetcher), LIST_PIECE_BYTES);
	return answer_list(r, list);
}

static enum status
on_policy_id(void *ctx, const struct reader_record *rec)
{
	return id_set_add(ctx, rec->row->policy);
}

static enum status
policy_ids(struct request *r, struct id_set *ids)
{
	struct reader reader;
	enum reader_state state = READER_MORE;
	enum status st = STATUS_OK;
	open_list(r, &reader);
	while (st == STATUS_OK && state == READER_MORE)
		st = reader_take(
		    &reader, LIST_RECORDS, LIMIT_PIECE_BYTES, on_policy_id, ids, &state);
	reader_fini(&reader);
	id_set_settle(ids);
	return st;
}

/* Without policyId it is every policy that there is: the list of them is there now, and their hosts are
 * looked for next. */
static enum step
go_on_to_hosts(struct request *r)
{
	struct id_set ids = {0};
	uint64_t *list = NULL;
	enum status st = policy_ids(r, &ids);
	if (st == STATUS_OK && (list = arena_array(&r->arena, ids.count + 1, sizeof *list)) == NULL)
		st = STATUS_NO_MEMORY;
	if (st == STATUS_OK && ids.count > 0)
		memcpy(list, ids.ids, ids.count * sizeof *list);
	const struct id_list policies = {list, ids.count};
	id_set_fini(&ids);
	if (st != STATUS_OK)
		return request_problem_later(r, st, 0);
	if (policies.count > 0)
		return legacy_hosts_of(r, &policies);
	buf_str_add(&r->response.body, "[]");
	r->legacy->bytes = r->response.body.len;
	return answer_json(r);
}

enum step
endpoint_pcrs_hostids(struct request *r)
{
	const struct query *q = &r->source->query;
	if (q->kind == KIND_POLICIES)
		return go_on_to_hosts(r);
	const struct cache_manifest *m = cache_manifest(r->source->result);
	struct pcrs_list *list = new_list(r);
	if (list == NULL)
		return request_problem(r, STATUS_NO_MEMORY, NULL);
	list->of_hosts = true;
	list->errors = (struct id_list){m->host_errors, m->host_error_count};
	legacy_hosts_init(&list->hosts, &q->policies, &list->errors,
	    fetch_subscription(r->gateway->fetcher), LIST_PIECE_BYTES);
	return answer_list(r, list);
}

/* --- POST /pcrs/VERSION/posture/postureInfo */

#define STATUS_WAIT_MS 20000 /* for the first record or a failure; then 200 */

static void
open_reader(struct request *r, const struct source *s)
{
	struct reader *reader = &r->legacy->reader;
	bool stored = s->flight == NULL || s->served == SERVED_STALE;
	const struct filter filter = stored ? source_filter(r, s) : source_flight_filter(r, s);
	reader_init(reader, r->gateway->cache, stored ? s->result : NULL, s->flight, &filter);
	reader->must_have = !stored && s->widened ? &s->of_flight.hosts : NULL;
	r->legacy->reading = true;
}

static enum status
next_reader(void *request, size_t at, struct reader **ret_reader)
{
	struct request *r = request;
	struct legacy *l = r->legacy;
	if (l->reading)
		reader_fini(&l->reader);
	l->reading = false;
	enum status st = legacy_begin(r, at);
	if (st != STATUS_OK)
		return st;
	open_reader(r, &l->sources[at]);
	*ret_reader = &l->reader;
	return STATUS_OK;
}

static enum status
open_stream(struct request *r)
{
	struct legacy *l = r->legacy;
	const struct query *q = &l->asked.query;
	struct shape_view view = {
	    .shape = shape_find(l->version, r->routed.part_len),
	    .evidence = q->evidence,
	    .cloud = q->cloud,
	    .qds = q->qds,
	    .hide_evidence = !r->consumer->evidence,
	};
	l->streaming = true; /* whether or not it can: it is freed then */
	return legacy_stream_init(
	    &l->stream, next_reader, r, l->source_count, &view, l->asked.plain);
}

/* A source has failed before anything was sent: something older may stand in for it, once, as long as
 * nothing of it was given. */
static enum step
stand_in(struct request *r, enum status st)
{
	struct legacy *l = r->legacy;
	struct flight_view v;
	if (r->status != STATUS_OK)
		return STEP_respond; /* its fetch could not begin, and that is told already */
	r->source = &l->sources[l->stream.at];
	if (r->source->flight == NULL || r->source->served == SERVED_STALE || l->reader.gave)
		return request_problem_later(r, st, 0);
	flight_look(r->source->flight, &v);
	if (v.status != st)
		return request_problem_later(r, st, 0);
	enum step next = source_failed(r);
	if (next == STEP_answer) {
		reader_fini(&l->reader);
		open_reader(r, r->source);
	}
	return next;
}

static enum step
prepare_stream(struct request *r)
{
	struct legacy *l = r->legacy;
	int64_t until_ms = clock_mono_ms() + STATUS_WAIT_MS;
	enum step next = STEP_answer;
	while (next == STEP_answer) {
		enum status st = legacy_stream_prepare(&l->stream, until_ms);
		if (st == STATUS_OK)
			break;
		next = l->stream.at < l->source_count ? stand_in(r, st)
						      : request_problem_later(r, st, 0);
	}
	if (next == STEP_answer && !legacy_subscription_holds(r))
		return request_problem(
		    r, STATUS_BAD_REQUEST, "subscriptionId is not that of the account");
	return next;
}

/* The upstream may tell its subscription after the status has left; before any record, it does. */
static enum status
next_piece(void *request, struct buf *piece, bool *ret_end)
{
	struct request *r = request;
	enum status st = legacy_stream_next(&r->legacy->stream, piece, ret_end);
	return st == STATUS_OK && !legacy_subscription_holds(r) ? STATUS_UPSTREAM_REFUSED : st;
}

enum step
endpoint_pcrs_posture_info(struct request *r)
{
	struct legacy *l = r->legacy;
	if (!legacy_enter(r))
		return request_problem_later(r, STATUS_BUSY, 0);
	enum status st = open_stream(r);
	if (st != STATUS_OK)
		return request_problem_later(r, st, 0);
	int64_t from_us = clock_mono_us();
	enum step next = prepare_stream(r);
	if (next != STEP_respond)
		legacy_sum_up(r);
	r->source->waited_us = clock_mono_us() - from_us;
	if (next == STEP_respond)
		return next;
	/* gzip is the entity, not its coding: such clients inflate what they get, whatever it is called */
	response_header(
	    &r->response, "Content-Type", l->asked.plain ? "application/json" : "application/gzip");
	response_header(&r->response, "Cache-Control", "no-store");
	tell_cache(r);
	l->head_left = true;
	r->response.next = next_piece;
	r->response.next_ctx = r;
	return STEP_respond;
}
