/* Fetches: the work that makes a result. The way of one stands in steps.h.
 *
 * A fetcher owns the threads that make upstream calls. Each thread makes one call at a time: it
 * asks the budget for the next one, whichever fetch that belongs to. A fetch has no thread of its
 * own; its steps are run by whichever thread ends its last call.
 *
 * Threads: any, but for fetcher_new() and fetcher_free().
 */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include "cache/cache.h"
#include "gateway/fetch/demand.h"
#include "gateway/fetch/flight.h"
#include "gateway/fetch/memory.h"
#include "gateway/fetch/seal.h"
#include "gateway/query/query.h"
#include "gateway/upstream/budget.h"
#include "gateway/upstream/credential.h"
#include "gateway/upstream/transport.h"
#include "gateway/upstream/versions.h"

struct fetcher;

/* What becomes of an unfiltered answer in which a batch number that was announced is missing. */
enum fetch_gaps {
	FETCH_GAPS_VERIFY, /* the call is made once more: the same gap again is the upstream's way to
			      number, another answer is a failed call */
	FETCH_GAPS_NOTE,   /* it is told with the result */
	FETCH_GAPS_STRICT, /* it makes the result incomplete */
};

/* One try of an upstream call, as it ended. */
struct fetch_try {
	enum upstream_api api;
	int http; /* status code; 0: no answer came */
	int64_t took_ms;
	uint64_t records, bytes; /* stored by it, if it was good; bytes of normalised JSON */
};

/* What happens, for whoever counts: this room knows nothing of metrics. Called in the thread where
 * it happens, without locks. Members may be NULL. */
struct fetch_events {
	/* A call has left the budget's queue, to go or expired; waited_ms since it might have gone. */
	void (*waited)(void *ctx, enum upstream_api api, int64_t waited_ms);
	void (*tried)(void *ctx, const struct fetch_try *t);
	void (*ended)(void *ctx, enum flight_state state); /* of a fetch */
	void *ctx;
};

struct fetcher_options {
	struct cache *cache;
	struct flights *flights;
	struct memory *memory;
	struct demand *demand; /* is told how many hosts policies have; or NULL */
	struct budget *budget;
	struct credential *credential;
	struct transport_options transport;
	struct versions versions;
	unsigned threads;
	uint64_t subscription; /* 0: what the host resolution answers */
	uint64_t hosts_per_call;
	uint64_t retries;       /* of one call after passing faults */
	int64_t retry_delay_ms; /* first pause; doubles up to 30 s, with full jitter */
	int64_t deadline_ms;    /* of a whole fetch, from its start */
	enum fetch_gaps gaps;
	/* How long a result about these policies is fresh, stale, kept. */
	seal_freshness_f *freshness;
	void *freshness_ctx;
	struct fetch_events events;
};

/* Everything pointed to must outlive it. NULL when out of memory or out of threads. */
struct fetcher *fetcher_new(const struct fetcher_options *o) NODISCARD;
/* Cancels what is under way, wakes everyone who waits for it, ends the threads. */
void fetcher_free(struct fetcher *f);

/* Starts the fetch of a flight that the caller leads; takes its own reference to it. Whatever
 * happens, also a failure at the start, reaches everyone through the flight's end. `force`: ask
 * also for what failed lately (but not an upstream that ails, nor beyond a limit). */
void fetch_start(struct fetcher *f, struct flight *flight, enum budget_class class, bool force);

/* Somebody wants now what was begun in a lower class: the calls of the flight's fetch go on in this one,
 * charged to this consumer. Nothing happens if it is in it or above it already, or over. */
void fetch_promote(
    struct fetcher *f, const struct flight *flight, enum budget_class class, const char *consumer);

/* About how long the flight's fetch still takes: what the budget forecasts for its calls and what
 * calls of late have taken. -1: it is over, or nothing is known to go by. */
int64_t fetch_estimate_ms(struct fetcher *f, const struct flight *flight);

/* Why a fetch for this query would fail at once, without asking the upstream.
 *   STATUS_OK                   nothing is known against it
 *   STATUS_VERSION_UNAVAILABLE  reason tells why no version can answer (may be NULL)
 *   else the failure of the upstream that holds for all; *ret_wait_ms until it is asked again */
enum status fetch_forecast(
    struct fetcher *f, const struct query *q, struct buf *reason, int64_t *ret_wait_ms) NODISCARD;

/* How a fetch for this query of postures would go if it began now, as this consumer's. Asks nobody. */
struct fetch_outlook {
	bool known;                /* how many calls: the hosts of every policy are */
	uint64_t calls[API_COUNT]; /* then: each once */
	int64_t ms; /* then: about how long, by the budget and, where some have ended, what calls of
		       late have taken */
};
void fetch_foresee(struct fetcher *f, const struct query *q, bool force, const char *consumer,
    struct fetch_outlook *ret);

/* How what that version of the upstream brings for a query differs from what a fetch of `want` now would bring:
 *   "assets"   it has SCA assets, too, where PC assets alone would come: no record tells which is which
 *   "version"  it is older, and may not have members that would come
 *   NULL       not at all */
const char *fetch_version_lacks(struct fetcher *f, const char *version, const struct query *want);
/* The version that a fetch of the query would ask now; NULL: there is none. */
const char *fetch_version(struct fetcher *f, const struct query *q);

/* The subscription that a host resolution or policy list of the upstream told last, a restart ago or
 * not; 0: none ever has. What the settings say is not looked at. */
uint64_t fetch_subscription(const struct fetcher *f);

/* Ends the fetch of this flight with STATUS_CANCELLED: calls that wait are taken back, those under
 * way give up, and everyone who waits is told by the flight's end, at once or in a moment. Does
 * not wait for it. False: there is no such fetch (any more), or it is failing already. */
bool fetch_cancel(struct fetcher *f, const struct flight *flight);

#endif
