/* The step "parse": what is asked for, as a query and its digest, or as the cursor of a walk. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/fetch/normalise.h"
#include "gateway/request_legacy.h"

/* The format where none is given: what Accept prefers of what the endpoint offers. */
static enum query_format
preferred(const struct request *r)
{
	switch (r->media) {
	case MEDIA_NDJSON:
		return FORMAT_NDJSON;
	case MEDIA_CSV:
		return FORMAT_CSV;
	default:
		return FORMAT_JSON;
	}
}

static enum status
parse_body(struct request *r)
{
	struct buf body;
	size_t len;
	enum status st = conditions_body_length(r->fcgi, &len);
	if (st != STATUS_OK)
		return st;
	buf_init(&body, LIMIT_BODY_BYTES);
	st = fcgi_read_body(r->fcgi, &body, len);
	if (st == STATUS_OK)
		st = query_parse_json(&r->arena, QUERY_POSTURES, preferred(r), normal_member_find,
		    body.data, body.len, &r->source->query, &r->errors);
	buf_fini(&body);
	return st;
}

/* A cursor names the result and the query; here it is only checked and taken apart. */
static enum step
take_cursor(struct request *r)
{
	const char *text = r->source->query.cursor;
	enum status st = cursor_decode(text, strlen(text), r->gateway->signing_key, &r->cursor);
	if (st != STATUS_OK ||
	    memcmp(r->cursor.consumer, r->consumer->tag, sizeof r->cursor.consumer) != 0)
		return request_problem(r, STATUS_BAD_CURSOR,
		    "Take a cursor from page.next, unchanged, with the same key.");
	r->walking = true;
	if (r->source->query.limit_given)
		r->cursor.limit = (uint16_t)r->source->query.limit;
	return STEP_lookup;
}

/* The query string of an endpoint whose path says the rest. */
static enum status
parse_url(struct request *r, enum query_use use)
{
	return query_parse(&r->arena, use, preferred(r), normal_member_find, r->routed.query,
	    r->routed.query_len, &r->source->query, &r->errors);
}

/* The policy of a path. */
static enum status
one_policy(struct request *r)
{
	uint64_t *id = arena_alloc(&r->arena, sizeof *id);
	if (id == NULL)
		return STATUS_NO_MEMORY;
	*id = r->routed.id;
	r->source->query.policies = (struct id_list){id, 1};
	return STATUS_OK;
}

/* The posture of a path is a query like any other. */
static enum status
one_posture(struct request *r)
{
	struct id_range *range = arena_alloc(&r->arena, sizeof *range);
	if (range == NULL)
		return STATUS_NO_MEMORY;
	*range = (struct id_range){r->routed.id, r->routed.id};
	r->source->query.postures = (struct id_ranges){range, 1, 1};
	return STATUS_OK;
}

enum step
step_parse(struct request *r)
{
	enum status st;
	if (r->routed.legacy)
		return legacy_parse(r);
	switch (r->routed.route) {
	case ROUTE_POSTURES_QUERY:
		st = parse_body(r);
		break;
	case ROUTE_POSTURES_SUMMARY:
		st = parse_url(r, QUERY_SUMMARY);
		break;
	case ROUTE_POSTURE:
		if (r->routed.id == 0)
			return request_problem(
			    r, STATUS_NOT_FOUND, "A posture's ID is a number from 1 to 2^63-1.");
		st = parse_url(r, QUERY_POSTURE);
		if (st == STATUS_OK)
			st = one_posture(r);
		break;
	case ROUTE_POLICIES:
		st = parse_url(r, QUERY_POLICIES);
		break;
	case ROUTE_POLICY_HOSTS:
		if (r->routed.id == 0)
			return request_problem(
			    r, STATUS_NOT_FOUND, "A policy's ID is a number from 1 to 2^63-1.");
		st = parse_url(r, QUERY_HOSTS);
		if (st == STATUS_OK)
			st = one_policy(r);
		break;
	default:
		st = parse_url(r, QUERY_POSTURES);
	}
	if (r->errors.count > 0)
		return request_problem_errors(r, "Every offending parameter is listed.");
	if (st != STATUS_OK)
		return request_problem(
		    r, st, st == STATUS_TOO_LARGE ? "A body may have 4 MiB." : NULL);
	if (!access_covers(r->consumer, &r->source->query.policies))
		return request_problem(r, STATUS_FORBIDDEN,
		    "The grant of this key does not cover every policy asked for.");
	if (r->source->query.cursor != NULL)
		return take_cursor(r);
	st = source_settle(r->source);
	return st == STATUS_OK ? STEP_lookup : request_problem(r, st, NULL);
}
