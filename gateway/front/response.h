/* An answer in the making: status, headers, body; and the one writer of headers.
 *
 * Header values may hold text from outside only through response_header(): with a byte that could
 * end a line the whole answer cannot be sent.
 *
 * Threads: owner only.
 */
#ifndef FRONT_RESPONSE_H
#define FRONT_RESPONSE_H

#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/status.h"
#include "gateway/query/query.h"

/* Gives the next piece of a body into `piece`, which is empty; it may stay so. *ret_end: that
 * was the last. It may block, and is not asked again after the end or a failure, which breaks
 * the transfer. */
typedef enum status response_next_f(void *ctx, struct buf *piece, bool *ret_end);

struct response {
	int http;
	struct buf headers; /* lines, each with its CRLF; without Status and Content-Length */
	struct buf body;
	response_next_f *next; /* what follows body: pieces, of a length that nobody knows */
	void *next_ctx;
	struct response_packing *packing; /* of what streams as gzip, else NULL */
	bool broken;                      /* a header was refused */
};

void response_init(struct response *r);
void response_fini(struct response *r);

void response_header(struct response *r, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The answer depends on this header of the request too: one more element of Vary. */
void response_vary(struct response *r, const char *name);

/* The body is gzip: Content-Encoding. */
void response_is_gzip(struct response *r);
/* Makes gzip of a body that stands there as it is, if it is large enough. */
void response_gzip(struct response *r);
/* Makes one gzip member of the body that stands there and of all that `next` gives, however little it
 * is; the header is the caller's (response_is_gzip()). Where the transfer breaks, so does the member.
 * STATUS_OVERFLOW, STATUS_NO_MEMORY */
enum status response_gzip_all(struct response *r) NODISCARD;

/* A problem (RFC 9457) in place of whatever was there. `detail` may be NULL; errors may be NULL.
 * retry_after_ms > 0: Retry-After, rounded up to seconds; a 503 always has one. extra: more
 * members as JSON text (",\"name\":value") or NULL. */
void response_problem(struct response *r, enum status st, const char *request_id,
    const char *detail, const struct query_errors *errors, int64_t retry_after_ms,
    const char *extra);

/* The same in the upstream's manner: {"message":"…"}. NULL is the status's title. A full stop at
 * the end is left out. */
void response_message(
    struct response *r, enum status st, const char *message, int64_t retry_after_ms);

/* Nothing was refused and nothing is missing: it can be sent. */
bool response_good(const struct response *r);

/* "Status: …" to the empty line, with Content-Length where it is known: what goes before the
 * body on the wire. STATUS_INTERNAL, and nothing is written: the answer is not good; or how the
 * head has failed. Then nothing of the answer may leave: its body belongs behind no other head. */
enum status response_head(const struct response *r, struct buf *head) NODISCARD;

#endif
