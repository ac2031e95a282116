#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "gateway/answer/page.h"
#include "gateway/base/clock.h"
#include "gateway/base/limits.h"

void
page_result_id(uint64_t id, char text[RESULT_TEXT_BYTES])
{
	snprintf(text, RESULT_TEXT_BYTES, "%016" PRIx64, id);
}

static void
add_date(struct buf *b, const char *name, int64_t wall_ms)
{
	char text[CLOCK_TEXT_BYTES];
	clock_text(wall_ms / 1000, text);
	buf_printf(b, ",\"%s\":\"%s\"", name, text);
}

static void
add_count(struct buf *b, const char *name, uint64_t count, bool hidden)
{
	if (hidden)
		buf_printf(b, ",\"%s\":null", name);
	else
		buf_printf(b, ",\"%s\":%" PRIu64, name, count);
}

void
page_result(const struct cache_manifest *m, bool restricted, struct buf *b)
{
	char id[RESULT_TEXT_BYTES];
	page_result_id(m->id, id);
	buf_printf(b, "\"result\":{\"id\":\"%s\"", id);
	add_date(b, "fetchedAt", m->fetched_at_ms);
	add_date(b, "freshUntil", m->fresh_until_ms);
	buf_str_add(b, ",\"upstreamVersion\":");
	buf_json_str(b, m->version);
	buf_printf(b, ",\"complete\":%s", m->complete ? "true" : "false");
	add_count(b, "batches", m->batches, restricted);
	add_count(b, "calls", m->calls, restricted);
	add_count(b, "hostsAsked", m->hosts_asked, restricted);
	add_count(b, "hostsSeen", m->hosts_seen, restricted);
	if (m->host_error_count > 0) {
		buf_str_add(b, ",\"hostErrors\":[");
		for (size_t i = 0; i < m->host_error_count; i++)
			buf_printf(b, "%s%" PRIu64, i > 0 ? "," : "", m->host_errors[i]);
		buf_byte(b, ']');
	}
	if (m->missing_batch_count > 0 && !restricted) {
		buf_str_add(b, ",\"missingBatches\":[");
		for (size_t i = 0; i < m->missing_batch_count; i++)
			buf_printf(b, "%s%" PRIu32, i > 0 ? "," : "", m->missing_batches[i]);
		buf_byte(b, ']');
	}
	buf_byte(b, '}');
}

typedef enum status write_f(struct page *p, struct buf *b, struct stitch *gzip);

/* As it is, or as gzip: the same text. */
static enum status
write_body(struct page *p, write_f *write, struct buf *body)
{
	struct stitch gzip;
	if (!p->takes_gzip)
		return write(p, body, NULL);
	stitch_init(&gzip, 2 * LIMIT_PAGE_BYTES + LIMIT_RECORD_BYTES, body);
	enum status st = write(p, &gzip.text, &gzip);
	if (st == STATUS_OK)
		st = stitch_end(&gzip, LIMIT_GZIP_LEAST_BYTES, &p->gzip);
	stitch_fini(&gzip);
	return st;
}

static enum status
write_page(struct page *p, struct buf *b, struct stitch *gzip)
{
	struct answer_span span;
	struct cursor next = p->cursor;
	buf_str_add(b, "{\"data\":[");
	enum status st = answer_take(
	    &p->answer, p->cursor.position, p->cursor.limit, LIMIT_PAGE_BYTES, b, gzip, &span);
	if (st != STATUS_OK)
		return st;
	p->count = span.count;
	p->next[0] = '\0';
	if (!span.end) {
		next.position = span.next;
		cursor_encode(&next, p->key, p->next);
	}
	buf_printf(b, "],\"page\":{\"limit\":%u,\"count\":%" PRIu64 ",\"total\":%" PRIu64,
	    p->cursor.limit, p->count, p->total);
	if (!span.end)
		buf_printf(b, ",\"next\":\"%s?cursor=%s\"", p->path, p->next);
	buf_str_add(b, "},");
	page_result(cache_manifest(p->answer.result), answer_is_restricted(&p->answer), b);
	buf_byte(b, '}');
	return b->err;
}

static enum status
write_one(struct page *p, struct buf *b, struct stitch *gzip)
{
	struct answer_span span;
	buf_str_add(b, "{\"data\":");
	enum status st = answer_take(&p->answer, 0, 1, LIMIT_PAGE_BYTES, b, gzip, &span);
	if (st != STATUS_OK)
		return st;
	if (span.count == 0)
		return STATUS_NOT_FOUND;
	buf_byte(b, ',');
	page_result(cache_manifest(p->answer.result), answer_is_restricted(&p->answer), b);
	buf_byte(b, '}');
	return b->err;
}

enum status
page_write(struct page *p, struct buf *body)
{
	return write_body(p, write_page, body);
}

enum status
page_write_one(struct page *p, struct buf *body)
{
	return write_body(p, write_one, body);
}
