/* The page framing: {"data":[…],"page":{…},"result":{…}}, in one buffer, so that its exact length
 * is known before the first byte leaves.
 *
 * Threads: any.
 */
#ifndef ANSWER_PAGE_H
#define ANSWER_PAGE_H

#include "gateway/answer/span.h"
#include "gateway/query/query.h"

struct page {
	/* in */
	struct answer answer;
	struct cursor cursor; /* where it begins, and what the next cursor carries on */
	const uint8_t *key;   /* signs cursors */
	const char *path;     /* where the walk goes on, e.g. "/v1/postures" */
	uint64_t total;       /* answer_count(): of all pages */
	bool takes_gzip;      /* whoever gets it */
	/* out */
	bool gzip; /* the body is one: it is large enough */
	uint64_t count;
	char next[CURSOR_TEXT_BYTES]; /* "" on the last page */
};

/* The body must be empty. STATUS_OK, or what answer_take() says. */
enum status page_write(struct page *p, struct buf *body) NODISCARD;

/* {"data":{…},"result":{…}}. STATUS_NOT_FOUND if no record matches. */
enum status page_write_one(struct page *p, struct buf *body) NODISCARD;

/* "result" as every answer carries it. `restricted`: records are hidden from the caller, and so
 * are the counts that would tell of them (null). */
void page_result(const struct cache_manifest *m, bool restricted, struct buf *body);

/* A result's id as it is shown. */
#define RESULT_TEXT_BYTES 17
void page_result_id(uint64_t id, char text[RESULT_TEXT_BYTES]);

#endif
