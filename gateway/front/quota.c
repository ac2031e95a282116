#include "config.h"

#include <stdlib.h>

#include "gateway/base/lock.h"
#include "gateway/front/quota.h"

#define MINUTE_MS INT64_C(60000)
#define MINUTES 61 /* an hour, and the minute that has only begun */

/* Of one consumer: how many in each of the last minutes, the newest being `minute`. */
struct ring {
	int64_t minute;
	uint32_t counts[MINUTES]; /* of minute m at m % MINUTES */
};

struct quota {
	struct lock lock;
	struct ring rings[];
};

struct quota *
quota_new(size_t consumers)
{
	struct quota *q = calloc(1, sizeof *q + consumers * sizeof q->rings[0]);
	if (q != NULL)
		lock_init(&q->lock, LOCK_QUOTA);
	return q;
}

void
quota_free(struct quota *q)
{
	if (q == NULL)
		return;
	lock_fini(&q->lock);
	free(q);
}

/* Forgets what is too old. A moment that another thread has already left behind is the newest. */
static void
advance(struct ring *r, int64_t now_ms)
{
	int64_t minute = now_ms / MINUTE_MS;
	if (minute - r->minute >= MINUTES)
		r->minute = minute - MINUTES;
	while (r->minute < minute)
		r->counts[++r->minute % MINUTES] = 0;
}

static uint64_t
sum(const struct ring *r)
{
	uint64_t all = 0;
	for (size_t i = 0; i < MINUTES; i++)
		all += r->counts[i];
	return all;
}

/* The moment at which no more than `most` of `used` count any longer. */
static int64_t
down_to(const struct ring *r, uint64_t used, uint64_t most)
{
	int64_t minute = r->minute - MINUTES;
	while (used > most && minute < r->minute)
		used -=
		    r->counts[(++minute + MINUTES) % MINUTES]; /* soon after boot it is below 0 */
	return (minute + MINUTES) * MINUTE_MS;
}

bool
quota_take(struct quota *q, size_t consumer, uint64_t most, int64_t now_ms, int64_t *ret_minute,
    int64_t *ret_wait_ms)
{
	struct ring *r = &q->rings[consumer];
	lock_take(&q->lock);
	advance(r, now_ms);
	uint64_t used = sum(r);
	bool good = most == 0 || used < most;
	if (good) {
		r->counts[r->minute % MINUTES]++;
		*ret_minute = r->minute;
	} else {
		*ret_wait_ms = down_to(r, used, most - 1) - now_ms;
	}
	lock_drop(&q->lock);
	return good;
}

bool
quota_has(struct quota *q, size_t consumer, uint64_t most, uint64_t count, int64_t now_ms,
    int64_t *ret_wait_ms)
{
	struct ring *r = &q->rings[consumer];
	lock_take(&q->lock);
	advance(r, now_ms);
	uint64_t used = sum(r);
	bool good = most == 0 || count == 0 || (count <= most && used <= most - count);
	if (!good)
		*ret_wait_ms = count <= most ? down_to(r, used, most - count) - now_ms
					     : (MINUTES - 1) * MINUTE_MS;
	lock_drop(&q->lock);
	return good;
}

void
quota_give_back(struct quota *q, size_t consumer, int64_t minute)
{
	struct ring *r = &q->rings[consumer];
	lock_take(&q->lock);
	if (r->minute - minute < MINUTES && r->counts[minute % MINUTES] > 0)
		r->counts[minute % MINUTES]--;
	lock_drop(&q->lock);
}

uint64_t
quota_used(struct quota *q, size_t consumer, int64_t now_ms)
{
	struct ring *r = &q->rings[consumer];
	lock_take(&q->lock);
	advance(r, now_ms);
	uint64_t used = sum(r);
	lock_drop(&q->lock);
	return used;
}

uint64_t
quota_left(struct quota *q, size_t consumer, uint64_t most, int64_t now_ms)
{
	uint64_t used = quota_used(q, consumer, now_ms);
	return used < most ? most - used : 0;
}
