/* clang-format off */
/* Every way in which something can end, once.
 *
 *     STATUS(name, HTTP status, retry, problem slug, title)
 *
 * retry tells a fetch what another try could do: NEVER (the same would come back), AGAIN (a
 * passing fault), WAIT (only after the wait that the upstream asked for). The slug names the
 * problem: its type is /problems/ and the slug (RFC 9457); "" is for codes that never reach a caller.
 */
STATUS(OK, 200, NEVER, "", "OK")

/* what a consumer did */
STATUS(BAD_REQUEST, 400, NEVER, "bad-request", "The request is not valid")
STATUS(BAD_CURSOR, 400, NEVER, "bad-cursor", "The cursor is not valid")
STATUS(UNAUTHORIZED, 401, NEVER, "unauthorized", "A valid consumer key is required")
STATUS(FORBIDDEN, 403, NEVER, "forbidden", "The consumer's grant does not cover this")
STATUS(NOT_FOUND, 404, NEVER, "not-found", "There is nothing here")
STATUS(METHOD_NOT_ALLOWED, 405, NEVER, "method-not-allowed", "The method is not allowed here")
STATUS(NOT_ACCEPTABLE, 406, NEVER, "not-acceptable", "No representation is acceptable")
STATUS(FETCH_ENDED, 409, NEVER, "fetch-ended", "The fetch has ended already")
STATUS(CURSOR_EXPIRED, 410, NEVER, "cursor-expired", "The cursor's result is gone")
STATUS(VERSION_ENDED, 410, NEVER, "version-ended", "This version is no longer answered here")
STATUS(TOO_LARGE, 413, NEVER, "too-large", "The request is too large")
STATUS(URI_TOO_LONG, 414, NEVER, "uri-too-long", "The URL is too long")
STATUS(UNSUPPORTED_MEDIA, 415, NEVER, "unsupported-media-type", "The body's media type is not supported")
STATUS(TOO_MANY_GROUPS, 422, NEVER, "too-many-groups", "The summary would have too many groups")
STATUS(QUOTA_EXCEEDED, 429, NEVER, "quota-exceeded", "The consumer's quota of queries to the upstream is used up")
STATUS(CLIENT_GONE, 499, NEVER, "", "The client is gone")

/* what the upstream did */
STATUS(UPSTREAM_BAD_DATA, 502, AGAIN, "upstream-bad-data", "The upstream's answer was not whole or not valid")
STATUS(UPSTREAM_MALFORMED, 502, NEVER, "upstream-bad-data", "The upstream's answer was not valid")
STATUS(UPSTREAM_TOO_LARGE, 502, NEVER, "upstream-too-large", "The upstream's answer was too large")
STATUS(UPSTREAM_REFUSED, 502, NEVER, "upstream-refused", "The upstream did not accept the query")
STATUS(UPSTREAM_GAP, 502, AGAIN, "upstream-bad-data", "The upstream left out a batch")
STATUS(UPSTREAM_INCOMPLETE, 502, NEVER, "upstream-incomplete", "The upstream's answer is not complete")
STATUS(UPSTREAM_RETIRED, 502, NEVER, "upstream-retired", "The upstream no longer has this version")
STATUS(UPSTREAM_DOWN, 503, AGAIN, "upstream-unavailable", "The upstream is not available")
STATUS(UPSTREAM_TLS, 503, NEVER, "upstream-unavailable", "No trusted connection to the upstream")
STATUS(UPSTREAM_LIMIT, 503, WAIT, "upstream-limit", "The upstream's rate or concurrency limit is reached")
STATUS(UPSTREAM_AUTH, 503, NEVER, "upstream-auth", "The upstream rejected the gateway's credential")
STATUS(UPSTREAM_TOKEN, 503, AGAIN, "upstream-auth", "The upstream rejected the gateway's token")
STATUS(UPSTREAM_FORBIDDEN, 503, NEVER, "upstream-forbidden", "The upstream forbids this to the gateway's account")
STATUS(UPSTREAM_SLOW, 504, AGAIN, "upstream-timeout", "The upstream was too slow")
STATUS(VERSION_UNAVAILABLE, 400, NEVER, "version-unavailable", "No active upstream version can answer this")

/* the gateway itself */
STATUS(NOT_CACHED, 504, NEVER, "not-cached", "Not in the cache")
STATUS(STORE_FULL, 503, NEVER, "storage-full", "The store is full")
STATUS(STORE_FAILED, 503, NEVER, "storage-failed", "The store failed")
STATUS(CORRUPT, 503, NEVER, "storage-failed", "A stored value is damaged")
STATUS(BUSY, 503, NEVER, "busy", "The gateway is busy")
STATUS(STOPPING, 503, NEVER, "stopping", "The gateway is stopping")
STATUS(CANCELLED, 503, NEVER, "cancelled", "The fetch was cancelled")
STATUS(TIMED_OUT, 504, NEVER, "not-ready", "The answer is not ready yet")
STATUS(NO_MEMORY, 503, NEVER, "out-of-memory", "Out of memory")
STATUS(OVERFLOW, 500, NEVER, "internal", "A bound was reached")
STATUS(INTERNAL, 500, NEVER, "internal", "An internal error")
