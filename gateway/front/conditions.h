/* What a request's headers ask for beside its query: freshness (RFC 9111), validators (RFC 9110
 * 13), patience (RFC 7240), media type; and what follows from it for a stored result.
 *
 * Threads: any.
 */
#ifndef FRONT_CONDITIONS_H
#define FRONT_CONDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "gateway/front/fcgi.h"

struct conditions {
	bool no_cache, only_if_cached;
	int64_t max_age_ms; /* -1: not given */
	int64_t wait_ms;    /* Prefer: wait; -1: not given */
	bool respond_async;
	const char *if_none_match; /* borrowed; NULL: not given */
	const char *accept;        /* borrowed; "": not given */
	bool gzip;                 /* Accept-Encoding has it no less than the text as it is */
};

/* STATUS_OK, STATUS_BAD_REQUEST (one that is no list came twice). Directives that are malformed or unknown are taken for absent, as the RFCs have
 * it; lists may come in several lines. */
enum status conditions_read(struct conditions *c, const struct fcgi *f) NODISCARD;
/* The weight that a value of Accept gives to a media type, in thousandths; 0: it is not acceptable.
 * The closest range decides (RFC 9110 12.5.1); parameters but the weight are not looked at. */
unsigned conditions_accept(const char *accept, const char *type);
/* Whether Accept-Encoding, in `count` lines, takes gzip, and does not like the text as it is better
 * (RFC 9110 12.5.3). x-gzip is the same. False if any of it is malformed, and without any. */
bool conditions_gzip(const char *const *lines, size_t count);
/* The same as conditions_read() from texts (NULL: absent): pure, for tests. */
void conditions_parse(
    struct conditions *c, const char *cache_control, const char *prefer, const char *if_none_match);

bool conditions_body_announced(const struct fcgi *f);
/* The length of a body of whatever kind. STATUS_OK, STATUS_TOO_LARGE, STATUS_BAD_REQUEST */
enum status conditions_length(const struct fcgi *f, size_t most, size_t *ret_len) NODISCARD;
/* The length of a JSON body.
 *   STATUS_OK, STATUS_TOO_LARGE, STATUS_BAD_REQUEST,
 *   STATUS_UNSUPPORTED_MEDIA: of another type, or with a content coding (RFC 9110 8.4) */
enum status conditions_body_length(const struct fcgi *f, size_t *ret_len) NODISCARD;

enum verdict {
	VERDICT_NONE, /* there is no result */
	VERDICT_FRESH,
	VERDICT_STALE,   /* may be served while it is refreshed */
	VERDICT_REQUEST, /* the caller wants it newer than it is, and may */
	VERDICT_EXPIRED, /* only if the upstream fails */
};
/* may_force: the grant; without it no-cache is not heeded and max-age has a floor. */
enum verdict conditions_verdict(const struct conditions *c, const struct cache_manifest *m,
    int64_t now_wall_ms, bool may_force, int64_t max_age_floor_ms);

/* How long the caller waits for a fetch. */
int64_t conditions_wait_ms(const struct conditions *c, int64_t default_ms, int64_t most_ms);
/* What Preference-Applied (RFC 7240 3) says of a request that had to wait, or would have: of the
 * preferences that it had those that were heeded. waited_ms: how long it was let wait at most,
 * capped; accepted: the answer is a 202. False: nothing, and the text is "". */
#define CONDITIONS_APPLIED_BYTES 48
bool conditions_applied(const struct conditions *c, int64_t waited_ms, bool accepted,
    char ret_text[CONDITIONS_APPLIED_BYTES]);

/* If-None-Match holds this tag (weak comparison, RFC 9110 13.1.2). */
bool conditions_match(const struct conditions *c, const char *etag);

#endif
