/* One result code for the whole program.
 *
 * Functions that can fail return enum status; their outputs come last, are named ret_x and stay
 * untouched on failure. Foreign codes (CURLcode, MDB_*, Z_*) are translated at exactly one place,
 * in the one file that may include that library.
 *
 * Threads: any.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

enum status {
#define STATUS(name, http, retry, slug, title) STATUS_##name,
#include "gateway/base/status_table.h"
#undef STATUS
	STATUS_COUNT
};

enum retry { RETRY_NEVER, RETRY_AGAIN, RETRY_WAIT };

struct status_info {
	const char *name; /* "UPSTREAM_SLOW": for logs */
	int http;         /* status code of the answer */
	enum retry retry;
	const char *slug;  /* last part of the problem's type; "" if it never reaches a caller */
	const char *title; /* one sentence without a full stop */
};

/* Never NULL; a value out of range reads as INTERNAL. */
const struct status_info *status_info(enum status st);
/* Whether it is a failure of the upstream, as callers are told. */
bool status_is_upstream(enum status st);

#endif
