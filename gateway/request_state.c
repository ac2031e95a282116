#include "config.h"

#include <string.h>

#include "gateway/request_state.h"

const char *const request_served_names[SERVED_COUNT] = {
    [SERVED_NONE] = "none",
    [SERVED_HIT] = "hit",
    [SERVED_STALE] = "stale",
    [SERVED_MISS] = "miss",
    [SERVED_COLLAPSED] = "collapsed",
};

const char *const request_stale_names[STALE_COUNT] = {
    [STALE_AGE] = "stale",
    [STALE_ERROR] = "error",
    [STALE_LIMIT] = "limit",
    [STALE_QUOTA] = "quota",
};

const char *
request_param(const struct request *r, const char *name)
{
	const char *value = fcgi_param(r->fcgi, name);
	return value != NULL ? value : "";
}

bool
request_is_internal(const struct request *r)
{
	return strcmp(request_param(r, "POSTUREGATE_INTERNAL"), "1") == 0;
}

void
request_json(struct request *r)
{
	response_header(&r->response, "Content-Type", "application/json");
	response_header(&r->response, "Cache-Control", "no-store");
}

void
request_json_of_key(struct request *r)
{
	request_json(r);
	response_header(&r->response, "Vary", "Authorization, X-API-Key");
}

enum step
request_problem(struct request *r, enum status st, const char *detail)
{
	r->status = st;
	response_problem(&r->response, st, r->id, detail, NULL, 0, NULL);
	return STEP_respond;
}

enum step
request_problem_errors(struct request *r, const char *detail)
{
	r->status = STATUS_BAD_REQUEST;
	response_problem(&r->response, STATUS_BAD_REQUEST, r->id, detail, &r->errors, 0, NULL);
	return STEP_respond;
}

enum step
request_problem_later(struct request *r, enum status st, int64_t retry_after_ms)
{
	r->status = st;
	response_problem(&r->response, st, r->id, NULL, NULL, retry_after_ms, NULL);
	return STEP_respond;
}
