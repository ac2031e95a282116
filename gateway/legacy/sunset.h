/* When versions of the old protocol end, and what is said of it: the headers of an answer in a version
 * whose end is known, and the cut-off from which on there are no more answers.
 *
 * Both dates of a version are those of upstream/versions.h, the settings laid over them: end of support
 * (Deprecation, RFC 9745) and end of life (Sunset, RFC 8594). Neither ends anything here: the gateway
 * makes an old version's answers from the newest one's data. What ends them is the settings' alone:
 * [cutoff] for a version, legacy_until for a consumer.
 *
 * Threads: any; pure but for what they are given to write to.
 */
#ifndef LEGACY_SUNSET_H
#define LEGACY_SUNSET_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/buf.h"
#include "gateway/front/response.h"
#include "gateway/ops/settings.h"
#include "gateway/upstream/versions.h"

/* What holds as long as the process lives. */
struct sunset_rules {
	const struct versions *versions;
	const struct settings *settings; /* cutoffs, deprecation_link */
};

struct sunset {
	int64_t deprecation_s; /* wall, the last second of support; INT64_MAX: not known */
	int64_t sunset_s;      /* wall, the last second of life; INT64_MAX: not known */
	const char *successor; /* path of the newest version of the same API, or NULL: there is none
				  that is newer, has not ended and is answered here. Constant */
};

/* Of an API's version ("4.0", as it stands in the path). False, and all is as if nothing were known, if
 * neither date is: an active version, or one that nobody knows. */
bool sunset_of(const struct sunset_rules *rules, enum upstream_api api, const char *version,
    int64_t now_s, struct sunset *ret);

/* Adds Deprecation, Sunset and Link, each as far as it is known; of a sunset without dates nothing. */
void sunset_headers(
    const struct sunset_rules *rules, const struct sunset *sunset, struct response *r);

enum sunset_verdict {
	SUNSET_SERVED,
	SUNSET_VERSION_ENDED,  /* for everybody: [cutoff] */
	SUNSET_CONSUMER_ENDED, /* every version, for this consumer: legacy_until */
};

/* Whether a call is answered; else it is STATUS_VERSION_ENDED, and *ret_since_s (untouched otherwise)
 * is since when (wall seconds, the first one without answers). legacy_until_s: the consumer's
 * (front/access.h). version: NULL for /auth, which has none and ends with the consumer alone.
 *
 * A version of the policy list counts for itself: its newest one, which callers of postureInfo 5.0 need
 * too, is not ended by a [cutoff] of its number. */
enum sunset_verdict sunset_check(const struct sunset_rules *rules, int64_t legacy_until_s,
    enum upstream_api api, const char *version, int64_t now_s, int64_t *ret_since_s) NODISCARD;

/* Why there is no answer and where to find one, for people: version, date, the successor's path (of a
 * version that ended), the gateway's own endpoints. One line, not escaped for JSON (buf_json()). */
void sunset_text(const struct sunset_rules *rules, enum sunset_verdict verdict,
    enum upstream_api api, const char *version, int64_t since_s, int64_t now_s, struct buf *text);

#endif
