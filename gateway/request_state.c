#include "config.h"

#include <string.h>

#include "gateway/request_state.h"

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
