#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
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

void
source_init(struct source *s)
{
	*s = (struct source){.served = SERVED_NONE};
	buf_init(&s->canon, LIMIT_CANON_BYTES);
}

void
source_fini(struct source *s)
{
	flight_release(s->flight);
	cache_release(s->result);
	buf_fini(&s->canon);
	source_forget_rest(s);
}

enum status
source_settle(struct source *s)
{
	return query_name(&s->query, &s->canon, s->digest);
}

void
source_forget_rest(struct source *s)
{
	matches_release(s->matches);
	s->matches = NULL;
	s->how = (struct implies){.narrowed = false};
	s->contained = s->foreign = false;
}

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

/* The one place where an error gets its form. */
static enum step
tell(struct request *r, enum status st, const char *detail, const struct query_errors *errors,
    int64_t retry_after_ms, const char *extra)
{
	r->status = st;
	if (r->routed.legacy)
		response_message(&r->response, st, detail, retry_after_ms);
	else
		response_problem(&r->response, st, r->id, detail, errors, retry_after_ms, extra);
	return STEP_respond;
}

enum step
request_problem(struct request *r, enum status st, const char *detail)
{
	return tell(r, st, detail, NULL, 0, NULL);
}

enum step
request_problem_errors(struct request *r, const char *detail)
{
	return tell(r, STATUS_BAD_REQUEST, detail, &r->errors, 0, NULL);
}

enum step
request_problem_later(struct request *r, enum status st, int64_t retry_after_ms)
{
	return tell(r, st, NULL, NULL, retry_after_ms, NULL);
}

enum step
request_problem_more(struct request *r, enum status st, const char *detail, int64_t retry_after_ms,
    const char *extra)
{
	return tell(r, st, detail, NULL, retry_after_ms, extra);
}
