#include "config.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/base/crypto.h"
#include "gateway/base/limits.h"
#include "gateway/upstream/transport.h"

#define WAIT_UNKNOWN_MS INT64_C(60000)
#define WAIT_CONCURRENCY_MS INT64_C(1000) /* another call's end is what has to be waited for */
#define WAIT_LEAST_MS INT64_C(1000)
#define WAIT_MOST_MS INT64_C(3600000)

#define IDLE_MS 100 /* libcurl's own curl_easy_perform() looks up once a second */

struct transport {
	CURL *easy;
	CURLM *multi; /* of this one alone: how long it waits at a time is ours to say */
	char *url;
	/* of the call under way */
	const struct transport_sink *sink;
	const atomic_bool *cancelled;
	struct transport_head *head;
	size_t header_bytes;
	bool head_told;
	enum status failed; /* why a callback ended the call */
};

enum status
transport_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? STATUS_OK : STATUS_INTERNAL;
}

void
transport_exit(void)
{
	curl_global_cleanup();
}

void
transport_escape(struct buf *out, const char *text, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    c == '-' || c == '.' || c == '_' || c == '~') {
			buf_byte(out, (char)c);
		} else {
			char esc[3] = {'%', hex[c >> 4], hex[c & 15]};
			buf_add(out, esc, sizeof esc);
		}
	}
}

/* --- what a status means */

/* of the vendor's table of error codes */
#define CODE_CONFLICT 1920     /* of records: no limit */
#define CODE_CONCURRENCY 1960  /* too many at a time; comes without any wait */
#define CODE_REGISTRATION 2003 /* not complete: no limit */

/* The number that stands behind the word "code" in any of the upstream's error forms. */
static long
error_code(const char *body, size_t len)
{
	for (size_t i = 0; i + 4 < len; i++) {
		if (strncasecmp(body + i, "code", 4) != 0)
			continue;
		size_t at = i + 4;
		while (at < len && strchr("\"': >=", body[at]) != NULL && body[at] != '\0')
			at++;
		if (at < len && body[at] >= '0' && body[at] <= '9')
			return strtol(body + at, NULL, 10);
	}
	return -1;
}

enum status
transport_classify(int http, const char *error_body, size_t error_len)
{
	switch (http) {
	case 200:
	case 201:
	case 204:
		return STATUS_OK;
	case 401:
		return STATUS_UPSTREAM_TOKEN;
	case 403:
		return STATUS_UPSTREAM_FORBIDDEN;
	case 404:
	case 410:
		return STATUS_UPSTREAM_RETIRED;
	case 409: {
		long code = error_code(error_body, error_len);
		return code == CODE_REGISTRATION || code == CODE_CONFLICT
			   ? STATUS_UPSTREAM_FORBIDDEN
			   : STATUS_UPSTREAM_LIMIT;
	}
	case 429:
		return STATUS_UPSTREAM_LIMIT;
	case 408:
	case 504:
		return STATUS_UPSTREAM_SLOW;
	default:
		break;
	}
	if (http >= 500)
		return STATUS_UPSTREAM_DOWN;
	if (http >= 400)
		return STATUS_UPSTREAM_REFUSED;
	return STATUS_UPSTREAM_MALFORMED;
}

/* --- headers */

static bool
number(const char *text, size_t len, int64_t *ret)
{
	int64_t value = 0;
	if (len == 0 || len > 15)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*ret = value;
	return true;
}

static int64_t
clamp_wait(int64_t ms)
{
	return ms < WAIT_LEAST_MS ? WAIT_LEAST_MS : ms > WAIT_MOST_MS ? WAIT_MOST_MS : ms;
}

/* Seconds or an HTTP date (RFC 9110 10.2.3). What is neither says nothing. */
static void
take_wait(struct transport_head *head, const char *value, size_t len, int64_t now_s)
{
	char text[64];
	int64_t seconds;
	if (number(value, len, &seconds)) {
		head->wait_ms = clamp_wait(seconds > 1000000 ? WAIT_MOST_MS : seconds * 1000);
		return;
	}
	if (len == 0 || len >= sizeof text)
		return;
	memcpy(text, value, len);
	text[len] = '\0';
	time_t when = curl_getdate(text, NULL);
	if (when >= 0)
		head->wait_ms = clamp_wait(((int64_t)when - now_s) * 1000);
}

void
transport_header(struct transport_head *head, const char *line, size_t len, int64_t now_s)
{
	/* every spelling that was seen */
	static const struct {
		const char *name;
		size_t at;
	} numbers[] = {
	    {"x-ratelimit-limit", offsetof(struct transport_head, rate_limit)},
	    {"x-ratelimit-remaining", offsetof(struct transport_head, rate_remaining)},
	    {"x-ratelimit-window-sec", offsetof(struct transport_head, rate_window_s)},
	    {"x-concurrency-limit-limit", offsetof(struct transport_head, concurrency_limit)},
	    {"x-concurrencylimit-limit", offsetof(struct transport_head, concurrency_limit)},
	    {"x-concurrency-limit-running", offsetof(struct transport_head, concurrency_running)},
	    {"x-concurrencylimit-running", offsetof(struct transport_head, concurrency_running)},
	};

	const char *colon = memchr(line, ':', len);
	if (colon == NULL)
		return;
	size_t name_len = (size_t)(colon - line);
	const char *value = colon + 1, *end = line + len;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value &&
	       (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
		end--;
	size_t value_len = (size_t)(end - value);

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		int64_t n;
		if (strlen(numbers[i].name) == name_len &&
		    strncasecmp(line, numbers[i].name, name_len) == 0 &&
		    number(value, value_len, &n)) {
			memcpy((char *)head + numbers[i].at, &n, sizeof n);
			return;
		}
	}
	/* the upstream's own header outweighs the standard one */
	bool own = name_len == 22 && strncasecmp(line, "x-ratelimit-towait-sec", 22) == 0;
	bool standard = name_len == 11 && strncasecmp(line, "retry-after", 11) == 0;
	if (own || (standard && head->wait_ms < 0))
		take_wait(head, value, value_len, now_s);
}

static void
head_init(struct transport_head *head)
{
	*head = (struct transport_head){
	    .wait_ms = -1,
	    .rate_limit = -1,
	    .rate_remaining = -1,
	    .rate_window_s = -1,
	    .concurrency_limit = -1,
	    .concurrency_running = -1,
	};
}

/* --- callbacks */

static size_t
on_header(char *line, size_t size, size_t count, void *ctx)
{
	struct transport *t = ctx;
	size_t len = size * count;
	t->header_bytes += len;
	if (t->header_bytes > LIMIT_UPSTREAM_HEADER_BYTES) {
		t->failed = STATUS_UPSTREAM_TOO_LARGE;
		return 0;
	}
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
		head_init(t->head); /* an interim answer's headers do not count */
	else
		transport_header(t->head, line, len, clock_wall_ms() / 1000);
	return len;
}

static void
tell_head(struct transport *t)
{
	if (t->head_told)
		return;
	long http = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &http);
	if (http == 0)
		return;
	t->head->http = (int)http;
	t->head_told = true;
	if (t->sink->head != NULL)
		t->sink->head(t->sink->head_ctx, t->head);
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct transport *t = ctx;
	size_t len = size * count;
	tell_head(t);
	if (t->head->http != 200 && t->head->http != 201) {
		size_t room = sizeof t->head->error_body - 1 - t->head->error_len;
		size_t take = len < room ? len : room;
		memcpy(t->head->error_body + t->head->error_len, bytes, take);
		t->head->error_len += take;
		/* an error page without end need not be read to it */
		return take < len ? CURL_WRITEFUNC_ERROR : len;
	}
	t->failed = t->sink->body(t->sink->body_ctx, bytes, len);
	return t->failed == STATUS_OK ? len : CURL_WRITEFUNC_ERROR;
}

static int
on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct transport *t = ctx;
	(void)a, (void)b, (void)c, (void)d;
	if (t->cancelled != NULL && atomic_load_explicit(t->cancelled, memory_order_relaxed)) {
		t->failed = STATUS_CANCELLED;
		return 1;
	}
	if (t->sink->idle != NULL)
		t->sink->idle(t->sink->idle_ctx);
	return 0;
}

/* The one place where a CURLcode becomes a status. */
static enum status
from_curl(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return STATUS_OK;
	case CURLE_OUT_OF_MEMORY:
		return STATUS_NO_MEMORY;
	case CURLE_OPERATION_TIMEDOUT:
		return STATUS_UPSTREAM_SLOW;
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2_STREAM:
	case CURLE_HTTP2:
		return STATUS_UPSTREAM_BAD_DATA;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_USE_SSL_FAILED:
		return STATUS_UPSTREAM_TLS;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		return STATUS_UPSTREAM_MALFORMED;
	default:
		return STATUS_UPSTREAM_DOWN;
	}
}

/* --- the call */

static bool
set_options(CURL *e, const struct transport_options *o, struct transport *t)
{
	bool plain = strncasecmp(o->url, "http://", 7) == 0;
	CURLcode rc = CURLE_OK;
#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (rc == CURLE_OK)                                                                \
			rc = curl_easy_setopt(e, CURLOPT_##option, value);                         \
	} while (0)
	SET(NOSIGNAL, 1L);
	SET(NOPROGRESS, 0L);
	SET(PROTOCOLS_STR, plain ? "http" : "https");
	SET(REDIR_PROTOCOLS_STR, "https");
	SET(FOLLOWLOCATION, 0L);
	SET(PROXY, "");
	SET(NOPROXY, "*");
	SET(NETRC, (long)CURL_NETRC_IGNORED);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (o->ca_file[0] != '\0')
		SET(CAINFO, o->ca_file);
	SET(CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
	SET(TIMEOUT_MS, (long)o->call_timeout_ms);
	SET(LOW_SPEED_LIMIT, 1024L);
	SET(LOW_SPEED_TIME, (long)((o->stall_timeout_ms + 999) / 1000));
	SET(BUFFERSIZE, 256L * 1024);
	SET(TCP_KEEPALIVE, 1L);
	/* On a kept connection that turns out to be dead libcurl sends the request once more by itself
	 * (7.88.1, measured): a call that the budget knows nothing of. A call takes seconds; a
	 * handshake, with its session resumed, does not matter. */
	SET(FRESH_CONNECT, 1L);
	SET(FORBID_REUSE, 1L);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, t);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, t);
	SET(XFERINFOFUNCTION, on_progress);
	SET(XFERINFODATA, t);
#undef SET
	return rc == CURLE_OK;
}

struct transport *
transport_new(const struct transport_options *o)
{
	struct transport *t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->url = strdup(o->url);
	t->easy = curl_easy_init();
	t->multi = curl_multi_init();
	if (t->url == NULL || t->easy == NULL || t->multi == NULL || !set_options(t->easy, o, t)) {
		transport_free(t);
		return NULL;
	}
	return t;
}

void
transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	if (t->easy != NULL)
		curl_easy_cleanup(t->easy);
	curl_multi_cleanup(t->multi); /* NULL is fine */
	free(t->url);
	free(t);
}

static struct curl_slist *
add_header(struct curl_slist *list, bool *failed, const char *name, const char *value)
{
	struct buf line;
	buf_init(&line, LIMIT_TOKEN_BYTES + 128);
	buf_printf(&line, "%s%s", name, value);
	struct curl_slist *more =
	    line.err == STATUS_OK ? curl_slist_append(list, buf_str(&line)) : NULL;
	if (line.data != NULL)
		crypto_wipe(line.data, line.cap);
	buf_fini(&line);
	if (more == NULL) {
		*failed = true;
		return list;
	}
	return more;
}

static void
free_headers(struct curl_slist *list)
{
	for (struct curl_slist *l = list; l != NULL; l = l->next)
		crypto_wipe(l->data, strlen(l->data));
	curl_slist_free_all(list);
}

/* What curl_easy_perform() does, but that on_progress() is called more often while nothing comes. */
static CURLcode
run(struct transport *t)
{
	CURLcode code = CURLE_OUT_OF_MEMORY;
	int running = 1, left;
	CURLMcode mc = curl_multi_add_handle(t->multi, t->easy);
	if (mc != CURLM_OK)
		return code;
	while (mc == CURLM_OK && running > 0) {
		mc = curl_multi_perform(t->multi, &running);
		if (mc == CURLM_OK && running > 0)
			mc = curl_multi_poll(t->multi, NULL, 0, IDLE_MS, NULL);
	}
	const CURLMsg *m = mc == CURLM_OK ? curl_multi_info_read(t->multi, &left) : NULL;
	if (m != NULL && m->msg == CURLMSG_DONE)
		code = m->data.result;
	curl_multi_remove_handle(t->multi, t->easy);
	return code;
}

static enum status
perform(struct transport *t, const struct transport_request *req, const char *url,
    struct curl_slist *headers)
{
	bool post = strcmp(req->method, "POST") == 0;
	CURL *e = t->easy;
	if (curl_easy_setopt(e, CURLOPT_URL, url) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
	    curl_easy_setopt(e, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L) != CURLE_OK)
		return STATUS_NO_MEMORY;
	if (post && (curl_easy_setopt(e, CURLOPT_POSTFIELDS, req->body) != CURLE_OK ||
			curl_easy_setopt(
			    e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len) != CURLE_OK))
		return STATUS_NO_MEMORY;

	CURLcode code = run(t);
	enum status st = from_curl(code);
	t->head->hung_up = code == CURLE_OPERATION_TIMEDOUT || t->failed == STATUS_CANCELLED;
	/* measured: libcurl 7.88 calls a header line beyond its own 100 KiB "out of memory" */
	if (st == STATUS_NO_MEMORY && t->header_bytes > 0 && !t->head_told)
		st = STATUS_UPSTREAM_TOO_LARGE;
	tell_head(t);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL);

	if (t->failed != STATUS_OK || st == STATUS_UPSTREAM_TOO_LARGE)
		return t->failed != STATUS_OK ? t->failed : st;
	/* a status that says no outweighs how its error page ended */
	if (t->head->http != 0) {
		enum status said =
		    transport_classify(t->head->http, t->head->error_body, t->head->error_len);
		if (said != STATUS_OK)
			return said;
	}
	if (st == STATUS_UPSTREAM_BAD_DATA && t->head->http == 0)
		return STATUS_UPSTREAM_DOWN; /* reset before a single header */
	return st;
}

enum status
transport_call(struct transport *t, const struct transport_request *req,
    const struct transport_sink *sink, const atomic_bool *cancelled,
    struct transport_head *ret_head)
{
	t->sink = sink;
	t->cancelled = cancelled;
	t->head = ret_head;
	t->header_bytes = 0;
	t->head_told = false;
	t->failed = STATUS_OK;
	head_init(ret_head);

	struct buf url;
	buf_init(&url, LIMIT_UPSTREAM_REQUEST_BYTES);
	buf_printf(&url, "%s%s", t->url, req->path);

	bool failed = false;
	struct curl_slist *headers = NULL;
	headers = add_header(headers, &failed, "Accept: ", "application/json");
	headers = add_header(headers, &failed, "User-Agent: ", "posturegate/" PACKAGE_VERSION);
	headers = add_header(headers, &failed, "Expect:", ""); /* one round trip less; unneeded */
	if (req->token != NULL)
		headers = add_header(headers, &failed, "Authorization: Bearer ", req->token);
	if (req->content_type != NULL)
		headers = add_header(headers, &failed, "Content-Type: ", req->content_type);

	const char *text = buf_str(&url);
	enum status st =
	    failed || url.err != STATUS_OK ? STATUS_NO_MEMORY : perform(t, req, text, headers);
	if (st == STATUS_UPSTREAM_LIMIT)
		ret_head->by_concurrency =
		    error_code(ret_head->error_body, ret_head->error_len) == CODE_CONCURRENCY;
	if (st == STATUS_UPSTREAM_LIMIT && ret_head->wait_ms < 0)
		ret_head->wait_ms =
		    ret_head->by_concurrency ? WAIT_CONCURRENCY_MS : WAIT_UNKNOWN_MS;
	free_headers(headers);
	buf_fini(&url);
	return st;
}
