/* One HTTP call to the upstream, as a stream. The only includer of libcurl.
 *
 * The answer's bytes reach the sink as they arrive, undecoded: compression is the inflater's
 * matter (libcurl's own gunzip takes a cut stream for a whole one: measured, 7.88.1). No
 * redirects, no proxies, no cookies, no environment; https, or http where the options allow it.
 *
 * Threads: transport_init() once before any thread; then one transport per thread.
 */
#ifndef UPSTREAM_TRANSPORT_H
#define UPSTREAM_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

struct transport;

struct transport_options {
	const char *url;     /* scheme, host and port, perhaps a path; no slash at its end */
	const char *ca_file; /* "": the system's certificates */
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms; /* below 1 KiB/s for so long: too slow */
	int64_t call_timeout_ms;  /* the whole call */
};

struct transport_request {
	const char *method;       /* "GET", "POST" */
	const char *path;         /* with its query string; appended to the url */
	const char *token;        /* sent as Bearer; NULL: none */
	const char *content_type; /* NULL: no body */
	const char *body;
	size_t body_len;
};

/* What the headers of an answer said. Numbers are -1 where there was no such header. */
struct transport_head {
	int http;        /* status code; 0: none arrived */
	int64_t wait_ms; /* X-RateLimit-ToWait-Sec or Retry-After (either form); 1 s to 1 h */
	int64_t rate_limit, rate_remaining, rate_window_s;
	int64_t concurrency_limit, concurrency_running;
	bool by_concurrency; /* refused for too many calls at a time, not for too many in all */
	bool
	    hung_up; /* we gave up waiting: the upstream may not have noticed, and still be at it */
	char error_body[2048]; /* beginning of a body that is not a 200's; NUL-terminated */
	size_t error_len;
};

struct transport_sink {
	/* The headers are in; before the first body byte. May be NULL. */
	void (*head)(void *ctx, const struct transport_head *head);
	/* Bytes of the body of a 200. Anything but STATUS_OK ends the call with that status. */
	enum status (*body)(void *ctx, const void *bytes, size_t len);
	/* About ten times a second, whether or not bytes come, and more often while they do; for work that
	 * must not wait for the next ones. May be NULL. */
	void (*idle)(void *ctx);
	void *head_ctx, *body_ctx, *idle_ctx;
};

enum status transport_init(void) NODISCARD;
void transport_exit(void);

struct transport *transport_new(const struct transport_options *o) NODISCARD; /* copies o */
void transport_free(struct transport *t);

/* Blocks until the call has ended. *cancelled may be set by any thread.
 *   STATUS_OK                  200, 201 or 204, and the transfer was whole (ret_head->http says which)
 *   STATUS_UPSTREAM_DOWN       no connection, reset; 5xx
 *   STATUS_UPSTREAM_SLOW       a timeout; 504
 *   STATUS_UPSTREAM_TLS        no trusted TLS connection
 *   STATUS_UPSTREAM_BAD_DATA   framing broken: short body, missing last chunk
 *   STATUS_UPSTREAM_MALFORMED  a redirect, a status nobody knows
 *   STATUS_UPSTREAM_TOO_LARGE  header cap
 *   STATUS_UPSTREAM_LIMIT      409 or 429: wait ret_head->wait_ms (if the answer does not
 *                              say: 1 s for concurrency, else 60 s)
 *   STATUS_UPSTREAM_TOKEN      401
 *   STATUS_UPSTREAM_FORBIDDEN  403; 409 with a code that is no limit
 *   STATUS_UPSTREAM_RETIRED    404, 410
 *   STATUS_UPSTREAM_REFUSED    another 4xx
 *   STATUS_CANCELLED, STATUS_NO_MEMORY, or what the sink gave
 * *ret_head is filled in every case. */
enum status transport_call(struct transport *t, const struct transport_request *req,
    const struct transport_sink *sink, const atomic_bool *cancelled,
    struct transport_head *ret_head) NODISCARD;

/* Appends `text` to `out` escaped for a form or a query (RFC 3986 unreserved stay). */
struct buf;
void transport_escape(struct buf *out, const char *text, size_t len);

/* --- pure, for tests */

/* What an HTTP status means, by the table above. */
enum status transport_classify(int http, const char *error_body, size_t error_len);
/* Takes one header line (without its line end) into the head. now_s: for a Retry-After date. */
void transport_header(struct transport_head *head, const char *line, size_t len, int64_t now_s);

#endif
