/* The gateway's own figures: stats_table.h with the values of its labels, which come from the tables
 * of the rooms below (routes, problems, APIs), and where each thing that happens is counted.
 *
 * The rooms below know nothing of this: fetches and logins tell it through hooks, and what somebody
 * keeps anyhow is asked for at the scrape (endpoint_metrics.c).
 *
 * Threads: any, but for metrics_new().
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "gateway/fetch/fetch.h"
#include "gateway/ops/stats.h"

enum stat_id {
#define STAT(id, type, name, unit, l1, l2, l3, help) STAT_##id,
#include "gateway/stats_table.h"
#undef STAT
	STAT_COUNT
};

/* Why something is fetched that nobody has asked for. */
enum ahead { AHEAD_POPULAR, AHEAD_WARM };

/* Values of the labels "by" and "limit". */
enum metrics_by { BY_OWN, BY_FOREIGN };
enum metrics_limit { LIMIT_RATE, LIMIT_CONCURRENCY };

struct stats *metrics_new(void) NODISCARD; /* stats_free() it; NULL: no memory */

/* --- requests */

struct request;
/* A request is over: counts it, its time, its problem. */
void metrics_request(const struct request *r, int64_t took_us);
/* A request has waited so long for a fetch. */
void metrics_waited(struct stats *s, int64_t us);
/* A request has joined another's fetch. */
void metrics_coalesced(struct stats *s);

/* A request has begun the fetch of a broader query in place of its own. */
void metrics_broad(struct stats *s);

/* --- upkeep */

void metrics_ahead(struct stats *s, enum ahead why);
/* Of the warm lists so many, and of these fresh. */
void metrics_warm(struct stats *s, uint64_t lists, uint64_t fresh);

/* --- hooks: to be given to fetcher_new() and credential_new() */

struct fetch_events metrics_fetch_events(struct stats *s);
credential_ended_f metrics_login; /* ctx is the struct stats */

#endif
