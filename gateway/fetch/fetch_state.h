/* One fetch under way and its calls: shared by fetch.c, which lets calls run and steps follow each
 * other, fetch_calls.c, which has what each kind of call sends and reads, and fetch_steps.c, which
 * has the steps; nobody else's.
 *
 * Threads: what the comments say is under the owner's lock (LOCK_FETCH) is; the rest belongs to the
 * one thread that runs a step, or to the one that makes the call.
 */
#ifndef FETCH_FETCH_STATE_H
#define FETCH_FETCH_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/base/arena.h"
#include "gateway/base/lock.h"
#include "gateway/fetch/fetch.h"
#include "gateway/fetch/pull.h"

struct fetcher {
	struct fetcher_options o;
	pthread_t *threads;
	unsigned thread_count;
	struct lock lock; /* LOCK_FETCH: the list, and every fetch's counts */
	struct fetch *list;
	int64_t mean_ms[API_COUNT];    /* of a good call, about; 0: none has ended yet */
	_Atomic uint64_t subscription; /* that the upstream told last; 0: none yet */
	pthread_cond_t emptied;
	atomic_bool stopping;
};

enum call_kind {
	CALL_SUBSCRIPTION, /* the policy list, for the subscription alone */
	CALL_RESOLVE,      /* the hosts of policies, to pull postures of */
	CALL_PULL,         /* postures */
	CALL_POLICIES,     /* the policy list, as records */
	CALL_HOSTS,        /* the hosts of policies, as records */
};

/* One upstream call of a fetch, in all its attempts. */
struct call {
	struct budget_entry entry; /* first: the budget gives it back */
	struct fetch *fetch;
	enum call_kind kind;
	/* what it asks for: of policies (CALL_RESOLVE, CALL_HOSTS) the IDs, CALL_PULL either */
	uint64_t policy, subscription;
	const uint64_t *ids;
	size_t id_count;
	const struct id_range *ranges;
	size_t range_count;
	/* how it goes */
	uint32_t index;   /* among those that store records */
	uint32_t attempt; /* grows with every try */
	unsigned faults;  /* tries that ended in a passing fault */
	int http;         /* status of the last try; 0: no answer */
	bool token_refused;
	bool kept_back; /* the last try was not made: the upstream ails */
	uint64_t probe; /* of memory_enter(), while this try is the one that may ask; else 0 */
	bool queued;
	int64_t ready_ms; /* since when nothing but the budget holds it back */
	/* a batch was missing in the answer: what the answer before it had */
	bool gap_seen, gap_verifying;
	struct pull_print gap_print;
	uint8_t gap_key[MEMORY_GAP_BYTES];
	uint64_t records; /* committed by the current attempt */
	struct cache_part_info info;
};

/* What the kinds of calls differ in towards the rest. */
struct call_kind_info {
	enum upstream_api api;
	bool stores; /* its records are the result's, and it counts in the progress */
	enum status (*make)(
	    struct call *c, struct transport *t, const char *token, struct transport_head *head);
};
extern const struct call_kind_info call_kinds[]; /* fetch_calls.c */

/* The hosts of one policy, as resolved. */
struct resolved {
	uint64_t policy, subscription;
	uint64_t *hosts;
	size_t host_count;
	bool error;
};

struct fetch {
	struct fetcher *owner;
	struct fetch *next;
	struct flight *flight;
	struct arena arena; /* the query and the calls */
	struct query query;
	bool force;
	const struct dialect *dialect;
	unsigned tried; /* versions that the upstream said it has no more: versions_bit() */
	int64_t deadline_ms, fetched_at_ms;
	int step;
	atomic_bool cancelled; /* calls under way give up */
	struct seal seal;
	bool sealed;

	/* under the owner's lock */
	enum budget_class class;
	char *
	    promoted_by; /* the consumer who pays for its calls in place of the flight's; or NULL */
	enum status failed; /* the first failure */
	int64_t retry_after_ms;
	bool over;          /* its end is being told: nothing changes it any more */
	unsigned probing;   /* calls that may ask an upstream that ails: one, but for late ones */
	bool version_gone;  /* the upstream no longer has the dialect's version */
	size_t outstanding; /* calls queued or under way */
	bool waiting;       /* for them: whoever ends the last one goes on with the steps */
	struct flight_progress progress;

	/* written by one thread at a time */
	struct resolved *resolved;
	size_t resolved_count, resolved_cap;
	struct id_list asked;  /* policies whose hosts were asked for */
	uint64_t subscription; /* by posture: of the policy list */
	struct call *calls;
	size_t call_count;
	struct pull_got *got;
	struct cache_stage *stage;
	uint64_t *hosts; /* all that were asked for, or are the answer; ascending */
	size_t host_count;
	uint64_t *host_errors;
	size_t host_error_count;
	int64_t hosts_again_ms; /* monotonic: when the first of host_errors may be asked again */
	struct cache_result *result;
};

/* fetch_calls.c: the call over the wire, with the token given. Fills *head; what it brought stands
 * in the call and its fetch.
 *   as transport_call() and what reads the answer */
enum status fetch_call_make(
    struct call *c, struct transport *t, const char *token, struct transport_head *head) NODISCARD;

/* fetch_calls.c: the hosts of one policy more. Takes r->hosts, or frees it. */
enum status fetch_add_resolved(struct fetch *f, const struct resolved *r) NODISCARD;

/* The note of the cache in which the subscription outlives the process: its number, 8 bytes in the
 * machine's order. */
#define FETCH_SUBSCRIPTION_NOTE_NAME "fetch/subscription"
/* The note of the cache in which the gaps that are known outlive the process. */
#define FETCH_GAPS_NOTE_NAME "fetch/gaps"

/* fetch_steps.c: the hosts of the policy could not be told; remembered, and part of the result.
 * f->host_errors has room for it. */
void fetch_host_error(struct fetch *f, uint64_t policy);

/* fetch_steps.c: the policy's hosts as a fresh result tells them, to be released; NULL: none does.
 * *ret_subscription is 0 if that is not enough to go by, and they are to be asked for. */
struct cache_result *fetch_stored_hosts(struct cache *cache, const struct query *q, uint64_t policy,
    uint64_t *ret_subscription) NODISCARD;
/* fetch_steps.c: by posture: as a policy list says, so that it need not be asked for; 0: none does. */
uint64_t fetch_stored_subscription(struct cache *cache);
/* What goes into one call: of hosts the setting, and what the documented size of a body leaves room for;
 * of ranges of postures the latter ("…19 digits…-…19 digits…,"). */
size_t fetch_hosts_per_call(const struct fetcher *o);
#define FETCH_RANGES_PER_CALL ((LIMIT_UPSTREAM_REQUEST_BYTES - 128) / 40)

/* fetch_steps.c: one function a line of steps.h. */
#define FETCH_STEP(name, calls, what) enum status fetch_step_##name(struct fetch *f);
#include "gateway/fetch/steps.h"
#undef FETCH_STEP

#endif
