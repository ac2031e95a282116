/* How many queries each consumer has sent to the upstream in the last hour.
 *
 * Counted by the minute: a query counts from its own minute until sixty whole ones have passed
 * behind it, so that no hour, wherever it begins, ever has more than the quota. Memory is a ring of
 * minutes for each consumer, whatever is asked. A restart forgets it.
 *
 * Times are of the monotonic clock. Threads: any.
 */
#ifndef FRONT_QUOTA_H
#define FRONT_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"

struct quota;

/* For consumers 0 to consumers-1. NULL when out of memory. */
struct quota *quota_new(size_t consumers) NODISCARD;
void quota_free(struct quota *q); /* NULL is fine */

/* Counts one query. most: what the consumer may have in an hour; 0: no limit.
 *   true   *ret_minute is for quota_give_back()
 *   false  nothing was counted; *ret_wait_ms is how long until the next may go */
bool quota_take(struct quota *q, size_t consumer, uint64_t most, int64_t now_ms,
    int64_t *ret_minute, int64_t *ret_wait_ms) NODISCARD;
/* Whether `count` queries more would be within it; nothing is counted.
 *   true   and *ret_wait_ms is untouched
 *   false  *ret_wait_ms is how long until they would; an hour, if they never will be */
bool quota_has(struct quota *q, size_t consumer, uint64_t most, uint64_t count, int64_t now_ms,
    int64_t *ret_wait_ms) NODISCARD;
/* The query needed the upstream no longer: as if it had not been counted. */
void quota_give_back(struct quota *q, size_t consumer, int64_t minute);

/* What counts now. */
uint64_t quota_used(struct quota *q, size_t consumer, int64_t now_ms);
/* What it leaves of `most`. */
uint64_t quota_left(struct quota *q, size_t consumer, uint64_t most, int64_t now_ms);

#endif
