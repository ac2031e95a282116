#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tests/simulator/dates.h"
#include "tests/simulator/reply.h"
#include "tests/simulator/sim.h"

void
reply_free(struct reply *r)
{
	sbuf_free(&r->body);
	feed_free(r->feed);
	*r = (struct reply){0};
}

static void
header_remove(struct reply *r, const char *name)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->header_count; i++)
		if (strcasecmp(r->headers[i].name, name) != 0)
			r->headers[kept++] = r->headers[i];
	r->header_count = kept;
}

void
reply_header(struct reply *r, const char *name, const char *value)
{
	header_remove(r, name);
	if (value == NULL || r->header_count == REPLY_HEADERS)
		return;
	size_t i = r->header_count++;
	snprintf(r->headers[i].name, sizeof(r->headers[i].name), "%s", name);
	snprintf(r->headers[i].value, sizeof(r->headers[i].value), "%s", value);
}

void
reply_number(struct reply *r, const char *name, int64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, value);
	reply_header(r, name, text);
}

void
reply_date(struct reply *r, const char *name, int64_t at_s)
{
	time_t at = (time_t)at_s;
	struct tm tm;
	char text[40];
	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	reply_header(r, name, text);
}

void
reply_usual(struct reply *r)
{
	reply_date(r, "Date", now_s());
	reply_header(r, "Server", "nginx/1.19.1");
	reply_header(r, "Content-Type", "application/json");
	reply_header(r, "Vary", "Accept-Encoding");
	reply_header(r, "Cache-Control", "no-cache, no-store, max-age=0, must-revalidate");
	reply_header(r, "X-Content-Type-Options", "nosniff");
	reply_header(r, "X-Frame-Options", "DENY");
}

static void
error_nested(struct sbuf *b, unsigned status, unsigned code, const char *message)
{
	sbuf_printf(b, "{\"_error\":{\"code\":%u,\"status\":%u,\"message\":", code, status);
	sbuf_json(b, message);
	sbuf_text(b, "}}");
}

static void
error_message(struct sbuf *b, unsigned status, unsigned code, const char *message)
{
	(void)status;
	sbuf_text(b, "{\"message\":");
	sbuf_json(b, message);
	if (code > 0)
		sbuf_printf(b, ",\"errorCode\":\"%u\"", code);
	sbuf_text(b, "}");
}

static void
error_spring(struct sbuf *b, unsigned status, unsigned code, const char *message)
{
	sbuf_text(b, "{\"timestamp\":");
	date_add(b, now_s());
	sbuf_printf(b, ",\"status\":%u,\"error\":\"code %u\",\"message\":", status, code);
	sbuf_json(b, message);
	sbuf_text(b, ",\"path\":\"/pcrs\"}");
}

static void
error_xml(struct sbuf *b, unsigned status, unsigned code, const char *message)
{
	(void)status; /* messages hold nothing that XML would mind */
	sbuf_printf(b,
	    "<?xml version=\"1.0\" "
	    "encoding=\"UTF-8\"?>\n<SIMPLE_RETURN><RESPONSE><CODE>%u</CODE><TEXT>%s</TEXT></"
	    "RESPONSE></SIMPLE_RETURN>\n",
	    code, message);
}

static void
error_html(struct sbuf *b, unsigned status, unsigned code, const char *message)
{
	sbuf_printf(b,
	    "<html><head><title>%u</title></head><body><h1>%u</h1><p>%s</p></body></html>\n",
	    status, code, message);
}

static void
error_empty(struct sbuf *b, unsigned status, unsigned code, const char *message)
{
	(void)b, (void)status, (void)code, (void)message;
}

static const struct {
	const char *type;
	void (*write)(struct sbuf *b, unsigned status, unsigned code, const char *message);
} shapes[] = {
    [SHAPE_MESSAGE] = {"application/json", error_message},
    [SHAPE_NESTED] = {"application/json", error_nested},
    [SHAPE_SPRING] = {"application/json", error_spring},
    [SHAPE_XML] = {"text/xml", error_xml},
    [SHAPE_HTML] = {"text/html", error_html},
    [SHAPE_EMPTY] = {NULL, error_empty},
};

void
reply_error(
    struct reply *r, const struct options *opt, unsigned status, unsigned code, const char *message)
{
	feed_free(r->feed);
	r->feed = NULL;
	r->body.len = 0;
	r->status = status;
	shapes[opt->error_shape].write(&r->body, status, code, message);
	reply_header(r, "Content-Type", shapes[opt->error_shape].type);
}
