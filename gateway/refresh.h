/* Fetches that nobody has asked for: what is popular, before it goes stale, and what the settings want
 * kept warm. Their calls are spare ones (upstream/budget.h), they cost no consumer's quota, and there are
 * few at a time.
 *
 * Popular is a result that is used often (fetch/demand.h); it is due at a moment of its own in the last
 * quarter of its freshness, so that what came together does not come together again. If by then a broader
 * result serves its query for longer, nothing is fetched; else the broad query is, where query/breadth.h
 * would. What is warm is due in the same way, and where it is not stored at all, within moments of the
 * start; it is fetched as it is.
 *
 * Threads: made and ended by one, refresh_round() by one at a time.
 */
#ifndef GATEWAY_REFRESH_H
#define GATEWAY_REFRESH_H

#include "gateway/request.h"
#include "gateway/warm.h"

struct refresh;

/* Both are borrowed. NULL when out of memory. */
struct refresh *refresh_new(struct gateway *g, const struct warm_list *warm) NODISCARD;
void refresh_free(struct refresh *r); /* NULL is fine. What is under way goes on */
/* Looks what is due and begins what may be begun now. Does not wait. */
void refresh_round(void *refresh);

#endif
