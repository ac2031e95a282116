#include "config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "gateway/base/stitch.h"
#include "gateway/front/response.h"

static void packing_free(struct response_packing *p);

#define RETRY_LATER_MS 5000 /* where nobody has said when another try makes sense */

void
response_init(struct response *r)
{
	*r = (struct response){.http = 200};
	buf_init(&r->headers, LIMIT_RESPONSE_HEAD_BYTES);
	buf_expect(&r->headers, KIB);
	buf_init(&r->body, 2 * LIMIT_PAGE_BYTES + LIMIT_RECORD_BYTES);
}

void
response_fini(struct response *r)
{
	packing_free(r->packing);
	buf_fini(&r->headers);
	buf_fini(&r->body);
}

void
response_header(struct response *r, const char *name, const char *fmt, ...)
{
	va_list args;
	size_t from;
	buf_printf(&r->headers, "%s: ", name);
	from = r->headers.len;
	va_start(args, fmt);
	buf_vprintf(&r->headers, fmt, args);
	va_end(args);
	for (size_t i = from; i < r->headers.len; i++) {
		unsigned char c = (unsigned char)r->headers.data[i];
		if (c < 0x20 || c >= 0x7f)
			r->broken = true;
	}
	buf_str_add(&r->headers, "\r\n");
}

/* Where the value of the header ends; 0 if there is none. */
static size_t
value_end(const struct buf *headers, const char *name)
{
	size_t name_len = strlen(name);
	for (size_t at = 0; at < headers->len;) {
		const char *line = headers->data + at;
		const char *end = memchr(line, '\r', headers->len - at);
		size_t len = end != NULL ? (size_t)(end - line) : headers->len - at;
		if (len > name_len && line[name_len] == ':' && memcmp(line, name, name_len) == 0)
			return at + len;
		at += len + 2;
	}
	return 0;
}

void
response_vary(struct response *r, const char *name)
{
	size_t at = value_end(&r->headers, "Vary"), len = r->headers.len;
	if (at == 0) {
		response_header(r, "Vary", "%s", name);
		return;
	}
	buf_printf(&r->headers, ", %s", name);
	if (r->headers.err != STATUS_OK)
		return;
	/* it stands behind everything now, and the rest has to let it pass */
	size_t added = r->headers.len - len;
	memmove(r->headers.data + at + added, r->headers.data + at, len - at);
	memcpy(r->headers.data + at, ", ", 2);
	memcpy(r->headers.data + at + 2, name, added - 2);
}

void
response_is_gzip(struct response *r)
{
	response_header(r, "Content-Encoding", "gzip");
}

void
response_gzip(struct response *r)
{
	struct stitch gzip;
	struct buf packed;
	bool is_gzip = false;
	if (r->body.len < LIMIT_GZIP_LEAST_BYTES || r->body.err != STATUS_OK)
		return;
	buf_init(&packed, r->body.max);
	stitch_init(&gzip, 0, &packed);
	stitch_pack(&gzip, NULL, 0, "", r->body.data, r->body.len);
	enum status st = stitch_end(&gzip, 0, &is_gzip);
	stitch_fini(&gzip);
	if (st == STATUS_OK) {
		buf_fini(&r->body);
		r->body = packed;
		response_is_gzip(r);
	} else {
		buf_fini(&packed); /* it goes as it is */
	}
}

/* What streams: pieces as they come, and what is made of them. */
struct response_packing {
	response_next_f *next;
	void *ctx;
	struct deflater *deflater;
	struct buf piece;
};

static enum status
next_packed(void *ctx, struct buf *piece, bool *ret_end)
{
	struct response_packing *p = ctx;
	bool end = false;
	buf_reset(&p->piece);
	enum status st = p->next(p->ctx, &p->piece, &end);
	if (st == STATUS_OK)
		st = p->piece.err;
	if (st != STATUS_OK)
		return st;
	deflater_add(p->deflater, p->piece.data, p->piece.len, piece);
	if (end)
		deflater_end(p->deflater, piece);
	*ret_end = end;
	return piece->err;
}

static void
packing_free(struct response_packing *p)
{
	if (p == NULL)
		return;
	deflater_free(p->deflater);
	buf_fini(&p->piece);
	free(p);
}

static struct response_packing *
packing_new(const struct response *r)
{
	struct response_packing *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->next = r->next;
	p->ctx = r->next_ctx;
	buf_init(&p->piece, LIMIT_PIECE_BYTES);
	p->deflater = deflater_new();
	if (p->deflater == NULL) {
		packing_free(p);
		return NULL;
	}
	return p;
}

enum status
response_gzip_all(struct response *r)
{
	struct buf packed;
	struct response_packing *p = packing_new(r);
	if (p == NULL)
		return STATUS_NO_MEMORY;
	r->packing = p;
	buf_init(&packed, r->body.max);
	deflater_add(p->deflater, r->body.data, r->body.len, &packed);
	if (r->next == NULL)
		deflater_end(p->deflater, &packed);
	buf_fini(&r->body);
	r->body = packed;
	if (r->next != NULL) {
		r->next = next_packed;
		r->next_ctx = p;
	}
	return packed.err;
}

static void
add_errors(struct buf *b, const struct query_errors *errors)
{
	buf_str_add(b, ",\"errors\":[");
	for (size_t i = 0; i < errors->count; i++) {
		buf_str_add(b, i > 0 ? ",{\"parameter\":" : "{\"parameter\":");
		buf_json_str(b, errors->list[i].parameter);
		buf_str_add(b, ",\"message\":");
		buf_json_str(b, errors->list[i].message);
		buf_byte(b, '}');
	}
	if (errors->more)
		buf_str_add(
		    b, ",{\"parameter\":\"\",\"message\":\"there are more; these come first\"}");
	buf_byte(b, ']');
}

/* An error in place of whatever was there. */
static void
begin_error(struct response *r, enum status st, const char *type, int64_t *io_retry_after_ms)
{
	const struct status_info *info = status_info(st);
	buf_reset(&r->headers);
	buf_reset(&r->body);
	r->broken = false;
	r->next = NULL;
	r->http = info->http;
	response_header(r, "Content-Type", "%s", type);
	response_header(r, "Cache-Control", "no-store");
	if (st == STATUS_UNAUTHORIZED)
		response_header(r, "WWW-Authenticate", "Bearer realm=\"posturegate\"");
	if (*io_retry_after_ms <= 0 && info->http == 503)
		*io_retry_after_ms = RETRY_LATER_MS;
	if (*io_retry_after_ms > 0)
		response_header(
		    r, "Retry-After", "%lld", (long long)((*io_retry_after_ms + 999) / 1000));
}

void
response_message(struct response *r, enum status st, const char *message, int64_t retry_after_ms)
{
	begin_error(r, st, "application/json", &retry_after_ms);
	if (retry_after_ms > 0) /* what clients of the upstream look for */
		response_header(r, "X-RateLimit-ToWait-Sec", "%lld",
		    (long long)((retry_after_ms + 999) / 1000));
	if (message == NULL)
		message = status_info(st)->title;
	size_t len = strlen(message);
	len -= len > 0 && message[len - 1] == '.'; /* a problem's detail is a sentence */
	buf_str_add(&r->body, "{\"message\":");
	buf_json(&r->body, message, len);
	buf_str_add(&r->body, "}\n");
}

void
response_problem(struct response *r, enum status st, const char *request_id, const char *detail,
    const struct query_errors *errors, int64_t retry_after_ms, const char *extra)
{
	const struct status_info *info = status_info(st);
	begin_error(r, st, "application/problem+json", &retry_after_ms);
	struct buf *b = &r->body;
	buf_printf(b, "{\"type\":\"/problems/%s\",\"title\":", info->slug);
	buf_json_str(b, info->title);
	buf_printf(b, ",\"status\":%d", info->http);
	if (detail != NULL) {
		buf_str_add(b, ",\"detail\":");
		buf_json_str(b, detail);
	}
	buf_str_add(b, ",\"instance\":");
	buf_json_str(b, request_id);
	if (errors != NULL && errors->count > 0)
		add_errors(b, errors);
	if (extra != NULL)
		buf_str_add(b, extra);
	buf_str_add(b, "}\n");
}

/* RFC 9110 15; nginx sends none of its own for an application's status. */
static const char *
reason(int http)
{
	static const struct {
		int http;
		const char *text;
	} reasons[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
	    {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
	    {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
	    {409, "Conflict"}, {410, "Gone"}, {413, "Content Too Large"}, {414, "URI Too Long"},
	    {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
	    {429, "Too Many Requests"}, {500, "Internal Server Error"}, {502, "Bad Gateway"},
	    {503, "Service Unavailable"}, {504, "Gateway Timeout"}};
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].http == http)
			return reasons[i].text;
	return "Other";
}

bool
response_good(const struct response *r)
{
	return !r->broken && r->headers.err == STATUS_OK && r->body.err == STATUS_OK;
}

enum status
response_head(const struct response *r, struct buf *head)
{
	if (!response_good(r))
		return STATUS_INTERNAL;
	buf_expect(head, r->headers.len + 128);
	buf_printf(head, "Status: %d %s\r\n", r->http, reason(r->http));
	buf_add(head, r->headers.data, r->headers.len);
	if (r->http != 304 && r->http != 204 && r->next == NULL) /* RFC 9110 8.6 */
		buf_printf(head, "Content-Length: %zu\r\n", r->body.len);
	buf_str_add(head, "\r\n");
	return head->err;
}
