/* Pages of a fetch that is still under way: what its calls have committed, before anybody knows how
 * many records there will be.
 *
 * The records stand in the order of the result that the fetch makes: call by call as planned, in each
 * as they came. Those of a call wait until the calls before it have ended, so that the place of each
 * record is known when it is shown, and the cursor behind it is good in the result, too, which has the
 * id of its stage.
 *
 * A call that is made again is another attempt, whose records may come in another order. A cursor that
 * points into a call under way therefore carries the attempt and a trail: a sum over the records before
 * it in this call, those that a filter hides too, each with its place. Where another attempt counts by
 * now, its records have to sum up to the same, or the walk has come to its end. So nothing is kept for a
 * walk but its cursor.
 *
 * Threads: owner only. Opens short views of the cache; never while it waits.
 */
#ifndef ANSWER_EARLY_H
#define ANSWER_EARLY_H

#include "gateway/answer/page.h"
#include "gateway/fetch/flight.h"

struct early {
	/* in */
	struct cache *cache;
	struct flight *flight; /* borrowed */
	struct filter filter;
	struct record_transform transform;
	struct cursor
	    cursor;         /* where the page begins; result 0: with the first record that comes */
	const uint8_t *key; /* signs cursors */
	const char *path;   /* where the walk goes on */
	/* out */
	uint64_t count; /* records of the page so far */
	char next[CURSOR_TEXT_BYTES];
	/* where it stands; all zero before */
	bool begun,
	    checked;  /* checked: what stands before it in its call is what the cursor tells of */
	size_t begin; /* of the page's records in the body */
	uint64_t stage, position, at, trail; /* at: records of the call passed */
	uint32_t call;
	struct flight_call seen; /* of that call, when last looked at */
};

enum early_state {
	EARLY_FULL,  /* the page has all that fits */
	EARLY_WAITS, /* it has what there is: early_wait(), and take more */
	EARLY_ENDED, /* so has the fetch, well or not; what was taken is of no use any more */
};

/* Appends to the body what there is for the page, joined by commas: at most as many records as the
 * cursor's limit says and LIMIT_PAGE_BYTES have room for, but for one that alone is larger. Between
 * two calls the body must not be changed; where a call of the fetch has begun again, what was
 * appended is taken back.
 *   STATUS_OK
 *   STATUS_CURSOR_EXPIRED    the walk cannot go on: what was shown came again in another order
 *   STATUS_UPSTREAM_RETIRED  likewise: the fetch has begun anew in another version
 *   STATUS_CORRUPT, STATUS_STORE_FAILED, STATUS_BUSY, STATUS_OVERFLOW, STATUS_NO_MEMORY */
enum status early_take(struct early *e, struct buf *body, enum early_state *ret) NODISCARD;
/* After EARLY_WAITS: until there is something to look at or the time is reached (monotonic). False: all
 * waiting has ended, the process stops. */
bool early_wait(struct early *e, int64_t until_ms) NODISCARD;

/* Makes a page of what was taken: "[…" becomes what page.h says, with a total of null, a result that is
 * not complete, and always a next page; e->next is its cursor. */
void early_finish(struct early *e, struct buf *body);

/* A cursor that points into a call under way, in the result that the fetch has made since: makes an
 * ordinary one of it.
 *   STATUS_OK, STATUS_CURSOR_EXPIRED (what was shown stands in another order there), STATUS_CORRUPT,
 *   STATUS_STORE_FAILED, STATUS_BUSY, STATUS_NO_MEMORY */
enum status early_settle(
    struct cache *cache, struct cache_result *result, struct cursor *cursor) NODISCARD;

#endif
