/* Pages of postures, whole results of them, and one posture; the writing of a page of anything. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/endpoints.h"
#include "gateway/fetch/normalise.h"

#define ETAG_BYTES sizeof "W/\"0123456789abcdef0123456789abcdef\""

/* Strong: the same tag means the same bytes. A result never changes, so what picks the bytes of it
 * names them. That of gzip is weak: what is deflated on the way, because its twin is missing, says the same
 * in bytes that are not always the twin's. */
static void
make_etag(const struct request *r, const struct endpoint_view *view, char tag[ETAG_BYTES])
{
	struct {
		uint64_t result, position, fields, hide;
		uint8_t consumer[8], grant[8], query[sizeof r->cursor.query];
		uint32_t limit;
		uint16_t form, by;
		uint64_t gzip; /* is taken, where there is enough of it */
	} parts = {
	    .result = cache_manifest(r->source->result)->id,
	    .position = view->position,
	    .fields = view->fields,
	    .hide = view->hide,
	    .limit = view->limit,
	    .form = (uint16_t)view->form,
	    .by = (uint16_t)view->by,
	    .gzip = r->conditions.gzip,
	};
	uint8_t mac[SHA256_BYTES];
	memcpy(parts.consumer, r->consumer->tag, sizeof parts.consumer);
	memcpy(parts.grant, r->consumer->grant, sizeof parts.grant);
	memcpy(parts.query, r->walking ? r->cursor.query : r->source->digest, sizeof parts.query);
	crypto_mac(r->gateway->signing_key, &parts, sizeof parts, mac);
	if (r->conditions.gzip) {
		*tag++ = 'W';
		*tag++ = '/';
	}
	tag[0] = '"';
	crypto_hex(mac, 16, tag + 1);
	tag[33] = '"';
	tag[34] = '\0';
}

/* etag: NULL where there is none. */
static void
cache_headers(struct request *r, const char *etag)
{
	struct response *resp = &r->response;
	const struct cache_manifest *m = cache_manifest(r->source->result);
	int64_t now = clock_wall_ms();
	int64_t age = now > m->fetched_at_ms ? (now - m->fetched_at_ms) / 1000 : 0;
	/* what is stale by a moment has a negative one already */
	int64_t ttl = now < m->fresh_until_ms ? (m->fresh_until_ms - now) / 1000
					      : -((now - m->fresh_until_ms) / 1000 + 1);
	if (etag != NULL)
		response_header(resp, "ETag", "%s", etag);
	response_header(resp, "Age", "%" PRId64, age);
	response_header(
	    resp, "Cache-Control", "private, max-age=%" PRId64, age + (ttl > 0 ? ttl : 0));
	response_header(resp, "Vary", "Authorization, X-API-Key, Accept, Accept-Encoding");
	const char *detail = r->source->contained ? "; detail=contained" : "";
	switch (r->source->served) {
	case SERVED_MISS:
		response_header(
		    resp, "Cache-Status", "posturegate; fwd=%s; stored%s", r->source->fwd, detail);
		break;
	case SERVED_COLLAPSED:
		response_header(resp, "Cache-Status", "posturegate; fwd=%s; collapsed%s",
		    r->source->fwd, detail);
		break;
	default:
		if (r->source->served == SERVED_STALE && r->source->stale == STALE_QUOTA)
			detail = "; detail=quota";
		response_header(
		    resp, "Cache-Status", "posturegate; hit; ttl=%" PRId64 "%s", ttl, detail);
	}
}

bool
endpoint_not_modified(struct request *r, const struct endpoint_view *view)
{
	char etag[ETAG_BYTES];
	make_etag(r, view, etag);
	cache_headers(r, etag);
	/* of a POST a 304 would say nothing (RFC 9110 13.1.2) */
	if (r->method == METHOD_POST || !conditions_match(&r->conditions, etag))
		return false;
	r->response.http = 304;
	return true;
}

enum step
endpoint_failed(struct request *r, enum status st)
{
	if (st == STATUS_NOT_FOUND)
		return request_problem(
		    r, st, "There is no such posture, or it is not yours to see.");
	log_event(LOG_ERROR, "answer", "request=%s result=%016" PRIx64 " status=%s", r->id,
	    cache_manifest(r->source->result)->id, status_info(st)->name);
	return request_problem_later(r, st, 1000);
}

/* A walk through the result of a broader query finds its own query again under its digest. */
static bool
keep_query(const struct request *r)
{
	const struct source *s = r->source;
	return !s->contained || r->walking ||
	       cache_query_put(r->gateway->cache, s->digest, s->canon.data, s->canon.len,
		   cache_manifest(s->result)->keep_until_ms) == STATUS_OK;
}

#define PAGE_FRAME_BYTES ((size_t)1024)

/* About how long a page will be: its records are as long as others. */
static size_t
page_bytes(const struct page *p)
{
	const struct cache_manifest *m = cache_manifest(p->answer.result);
	uint64_t count = p->total < p->cursor.limit ? p->total : p->cursor.limit;
	uint64_t each = m->records > 0 ? m->body_bytes / m->records + 1 : 0;
	uint64_t bytes = count * each + count * each / 16;
	return PAGE_FRAME_BYTES + (bytes < LIMIT_PAGE_BYTES ? (size_t)bytes : LIMIT_PAGE_BYTES);
}

enum step
endpoint_page(struct request *r, struct page *p)
{
	bool one = r->routed.route == ROUTE_POSTURE;
	if (!r->walking) {
		p->cursor = (struct cursor){
		    .result = cache_manifest(r->source->result)->id,
		    .fields = r->source->query.fields,
		    .limit = (uint16_t)r->source->query.limit,
		};
		memcpy(p->cursor.query, r->source->digest, sizeof p->cursor.query);
		memcpy(p->cursor.consumer, r->consumer->tag, sizeof p->cursor.consumer);
	}
	/* for each page: since the first one the grant may have become another */
	enum status st = answer_count(&p->answer, &p->total);
	if (st != STATUS_OK)
		return endpoint_failed(r, st);
	r->cursor = p->cursor;
	/* what is not there has no validator that could match, not even "*" */
	if (one && p->total == 0)
		return endpoint_failed(r, STATUS_NOT_FOUND);
	const struct endpoint_view view = {
	    .position = p->cursor.position,
	    .fields = r->source->query.fields,
	    .hide = p->answer.transform.hide,
	    .limit = p->cursor.limit,
	    .form = one ? FORM_ONE : FORM_PAGE,
	};
	if (endpoint_not_modified(r, &view))
		return STEP_respond;
	response_header(&r->response, "Content-Type", "application/json");
	p->takes_gzip = r->conditions.gzip;
	buf_expect(&r->response.body, page_bytes(p));
	st = one ? page_write_one(p, &r->response.body) : page_write(p, &r->response.body);
	if (st != STATUS_OK)
		return endpoint_failed(r, st);
	if (p->gzip)
		response_is_gzip(&r->response);
	if (p->next[0] != '\0' && !keep_query(r))
		return request_problem_later(r, STATUS_STORE_FAILED, 0);
	if (p->next[0] != '\0')
		response_header(
		    &r->response, "Link", "<%s?cursor=%s>; rel=\"next\"", p->path, p->next);
	return STEP_respond;
}

static uint64_t
bit_of(const char *name)
{
	return UINT64_C(1) << normal_member_find(name, strlen(name));
}

struct record_transform
endpoint_transform(const struct request *r)
{
	const struct implies *how = &r->source->how;
	uint64_t hide = 0;
	if (!r->consumer->evidence)
		hide |= bit_of("evidence") | bit_of("causeOfFailure");
	if (how->hide_evidence)
		hide |= bit_of("evidence");
	if (how->hide_cloud)
		hide |= bit_of("cloudMetaData");
	if (how->hide_qds)
		hide |= bit_of("qds");
	return (struct record_transform){.fields = r->source->query.fields, .hide = hide};
}

struct answer
endpoint_rows(const struct request *r)
{
	return (struct answer){
	    .cache = r->gateway->cache,
	    .result = r->source->result,
	    .filter = source_filter(r, r->source),
	    .matches = r->source->matches,
	    .foreign = r->source->foreign,
	};
}

/* --- whole results */

static const struct {
	enum media media;
	enum export_form form;
} exports[] = {
    [FORMAT_NDJSON] = {MEDIA_NDJSON, EXPORT_NDJSON},
    [FORMAT_CSV] = {MEDIA_CSV, EXPORT_CSV},
};

/* A name that every file system takes, by the time that the result is of. */
static void
name_file(struct request *r)
{
	char text[CLOCK_TEXT_BYTES], *to = text;
	clock_text(cache_manifest(r->source->result)->fetched_at_ms / 1000, text);
	for (const char *at = text; *at != '\0'; at++)
		if (*at != '-' && *at != ':')
			*to++ = *at;
	*to = '\0';
	response_header(
	    &r->response, "Content-Disposition", "attachment; filename=\"postures-%s.csv\"", text);
}

static void
export_headers(struct request *r)
{
	enum query_format format = r->source->query.format;
	cache_headers(r, NULL);
	response_header(&r->response, "Content-Type", "%s", media_type(exports[format].media));
	if (r->conditions.gzip)
		response_is_gzip(&r->response);
	if (format == FORMAT_CSV)
		name_file(r);
	/* a CSV has no other place to say so */
	if (!cache_manifest(r->source->result)->complete)
		response_header(&r->response, "Warning",
		    "299 posturegate \"Incomplete: see result.complete in a page or NDJSON\"");
}

/* In HTTP/1.0 a body without a length ends where the connection does. NDJSON tells by its last line
 * that it is whole, and a CSV by nothing. */
static bool
would_hide_a_break(const struct request *r)
{
	return r->source->query.format == FORMAT_CSV &&
	       strcmp(request_param(r, "SERVER_PROTOCOL"), "HTTP/1.0") == 0;
}

/* The first piece is made before the status leaves: what fails by then is told by a status, and what
 * fits into it has a length. */
static enum step
answer_whole(struct request *r, const struct answer *a)
{
	bool end;
	struct export *e = arena_alloc(&r->arena, sizeof *e);
	r->response.next = export_next;
	r->response.next_ctx = e;
	export_headers(r);
	if (r->method == METHOD_HEAD)
		return STEP_respond;
	if (e == NULL)
		return request_problem(r, STATUS_NO_MEMORY, NULL);
	if (!workers_enter(r->worker, WORKER_EXPORTING, r->consumer))
		return request_problem_later(r, STATUS_BUSY, 0);
	export_init(e, a, exports[r->source->query.format].form);
	r->export = e;
	enum status st = export_next(e, &r->response.body, &end);
	if (st != STATUS_OK)
		return endpoint_failed(r, st);
	if (end)
		r->response.next = NULL;
	else if (would_hide_a_break(r))
		return request_problem(r, STATUS_BAD_REQUEST,
		    "A CSV of this size needs HTTP/1.1: in HTTP/1.0 nobody could tell its end from "
		    "a broken transfer.");
	if (r->conditions.gzip)
		st = response_gzip_all(&r->response);
	return st == STATUS_OK ? STEP_respond : endpoint_failed(r, st);
}

void
endpoint_export_fini(struct request *r)
{
	if (r->export == NULL)
		return;
	export_fini(r->export);
	workers_leave(r->worker, WORKER_EXPORTING);
}

/* --- pages */

enum step
endpoint_postures(struct request *r)
{
	if (r->partial != NULL && r->partial->serves)
		return partial_answer(r);
	struct page page = {
	    .answer = endpoint_rows(r),
	    .cursor = r->cursor,
	    .key = r->gateway->signing_key,
	    .path = "/v1/postures",
	};
	page.answer.transform = endpoint_transform(r);
	return r->source->query.format == FORMAT_JSON ? endpoint_page(r, &page)
						      : answer_whole(r, &page.answer);
}
