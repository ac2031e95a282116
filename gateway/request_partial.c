/* Pages of a fetch that is still under way (partial=true; answer/early.h): the first one of a query, and
 * the walk that goes on from it. A walk follows its fetch by the id that the result will have; once the
 * result is there it is a walk like any other.
 *
 * Only the query's own fetch is followed so: what a broader one brings is waited for whole. */
#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/endpoints.h"

/* What the page shows, and where it begins. False: no memory. */
static bool
begin_page(struct request *r)
{
	struct partial *p = arena_alloc(&r->arena, sizeof *p);
	if (p == NULL)
		return false;
	*p = (struct partial){.early = {
				  .cache = r->gateway->cache,
				  .flight = r->source->flight,
				  .filter = source_flight_filter(r, r->source),
				  .transform = endpoint_transform(r),
				  .cursor = r->cursor,
				  .key = r->gateway->signing_key,
				  .path = "/v1/postures",
			      }};
	if (!r->walking) {
		p->early.cursor = (struct cursor){
		    .fields = r->source->query.fields,
		    .limit = (uint16_t)r->source->query.limit,
		};
		memcpy(p->early.cursor.query, r->source->digest, sizeof p->early.cursor.query);
		memcpy(p->early.cursor.consumer, r->consumer->tag, sizeof p->early.cursor.consumer);
	}
	r->partial = p;
	return true;
}

/* --- lookup */

enum status
partial_settle(struct request *r)
{
	return early_settle(r->gateway->cache, r->source->result, &r->cursor);
}

/* The fetch of the walk has ended: there is its result, or there will be none. */
static enum step
walk_on(struct request *r)
{
	struct flight_view v;
	flight_look(r->source->flight, &v);
	if (v.status != STATUS_OK)
		return source_gone(
		    r, arena_printf(&r->arena, "The fetch of this walk has no result: %s.",
			   status_info(v.status)->title));
	return source_pinned(r);
}

static enum status
take_query(struct request *r)
{
	struct query walked;
	size_t len;
	const struct flight *f = r->source->flight;
	const char *text = flight_text(f, &len);
	enum status st = query_from_canon(&r->arena, text, len, &walked);
	if (st == STATUS_OK &&
	    memcmp(r->cursor.query, flight_digest(f), sizeof r->cursor.query) != 0)
		st = STATUS_CURSOR_EXPIRED;
	return st == STATUS_OK ? source_take_query(r, &walked) : st;
}

enum step
partial_lookup(struct request *r)
{
	struct flight_view v;
	if (r->source->flight == NULL)
		r->source->flight = flight_of_stage(r->gateway->flights, r->cursor.result);
	else
		return source_gone(r, NULL); /* the fetch has ended, and its result is gone since */
	if (r->source->flight == NULL)
		return source_gone(r, NULL);
	flight_look(r->source->flight, &v);
	if (v.state >= FLIGHT_COMPLETE)
		return walk_on(r);
	enum status st = take_query(r);
	if (st == STATUS_BAD_CURSOR)
		return request_problem(r, st, "The cursor does not belong to this endpoint.");
	if (st == STATUS_CURSOR_EXPIRED)
		return source_gone(r, NULL);
	if (st != STATUS_OK)
		return request_problem_later(r, st, 0);
	if (!access_covers(r->consumer, &r->source->query.policies))
		return request_problem(r, STATUS_FORBIDDEN,
		    "The grant of this key does not cover every policy asked for.");
	r->source->fwd = "miss";
	return begin_page(r) ? STEP_follow : request_problem(r, STATUS_NO_MEMORY, NULL);
}

/* --- follow */

static bool
is_wanted(const struct request *r)
{
	return r->source->query.partial && !r->source->follows && !r->source->widened;
}

/* Until the page is full, or there will be none of the fetch. */
static bool
take(struct request *r, int64_t until_ms)
{
	struct partial *p = r->partial;
	for (;;) {
		p->status = early_take(&p->early, &r->response.body, &p->state);
		if (p->status != STATUS_OK || p->state != EARLY_WAITS)
			return true;
		if (clock_mono_ms() >= until_ms || !early_wait(&p->early, until_ms))
			return false;
	}
}

static enum step
failed(struct request *r, enum status st)
{
	if (st == STATUS_CURSOR_EXPIRED)
		return source_gone(r, "What this walk has shown came again in another order.");
	if (st == STATUS_UPSTREAM_RETIRED)
		return source_gone(r, "The fetch of this walk has begun anew in another version.");
	return request_problem_later(r, st, 1000);
}

static enum step
ended(struct request *r)
{
	enum step next = r->walking ? walk_on(r) : source_ended(r);
	if (r->walking && next == STEP_answer)
		r->source->served = SERVED_COLLAPSED;
	return next;
}

bool
partial_follow(struct request *r, enum step *ret_next)
{
	if (r->partial == NULL && !is_wanted(r))
		return false;
	if (r->partial == NULL && !begin_page(r)) {
		*ret_next = request_problem(r, STATUS_NO_MEMORY, NULL);
		return true;
	}
	struct partial *p = r->partial;
	buf_str_add(&r->response.body, "{\"data\":[");
	/* what is there needs no place among those who wait */
	bool over = take(r, 0) || source_wait(r, take);
	/* who has waited long enough gets what there is */
	p->serves = over ? p->status == STATUS_OK && p->state == EARLY_FULL : p->early.count > 0;
	if (p->serves) {
		*ret_next = STEP_answer;
		return true;
	}
	buf_reset(&r->response.body);
	if (!over)
		*ret_next = source_not_yet(r);
	else
		*ret_next = p->status != STATUS_OK ? failed(r, p->status) : ended(r);
	return true;
}

/* --- answer */

enum step
partial_answer(struct request *r)
{
	struct early *e = &r->partial->early;
	bool leads = !r->walking && r->source->leads;
	r->source->served = leads ? SERVED_MISS : SERVED_COLLAPSED;
	early_finish(e, &r->response.body);
	if (r->response.body.err != STATUS_OK)
		return request_problem_later(r, r->response.body.err, 0);
	request_json(r); /* the same again may show more */
	response_header(&r->response, "Vary", "Authorization, X-API-Key, Accept, Accept-Encoding");
	response_header(&r->response, "Cache-Status", "posturegate; fwd=%s%s", r->source->fwd,
	    leads ? "" : "; collapsed");
	response_header(&r->response, "Link", "<%s?cursor=%s>; rel=\"next\"", e->path, e->next);
	if (r->conditions.gzip)
		response_gzip(&r->response);
	return STEP_respond;
}
