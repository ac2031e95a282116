/* Flights: one for each query that is being fetched, whoever asks (RFC 9211 calls what followers
 * get "collapsed").
 *
 * A flight is the public face of a fetch: its key (the digest of the canonical query), its state,
 * its progress, how far its records are committed (the watermark), how it ended. The fetch writes
 * it; requests wait on it. Waiters hold the flight itself, not its key, so that the end of it
 * reaches everyone who joined, and a new fetch of the same query is another flight.
 *
 * Ended flights stay findable by their id for a while, for GET /v1/fetches; with their text if it
 * is small.
 *
 * Threads: any. Everything is under LOCK_FLIGHT, held for moments.
 */
#ifndef FETCH_FLIGHT_H
#define FETCH_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "gateway/base/attr.h"
#include "gateway/base/crypto.h"
#include "gateway/base/status.h"

struct flights;
struct flight;

enum flight_state {
	FLIGHT_QUEUED,
	FLIGHT_RESOLVING,
	FLIGHT_FETCHING,
	FLIGHT_COMPLETE,
	FLIGHT_FAILED,
	FLIGHT_CANCELLED,
};

/* The state of a flight that has ended with this status. */
enum flight_state flight_state_of(enum status status);
/* "queued", "resolving", … as the contract spells them. */
const char *flight_state_name(enum flight_state state);

struct flight_progress {
	uint64_t calls_done, calls_planned;       /* planned is 0 until the hosts are resolved */
	uint64_t batches_seen, batches_announced; /* announced: the sum of what calls have told */
	uint64_t records, bytes;                  /* bytes of normalised JSON */
	uint64_t calls_made;                      /* of any kind, repetitions included */
};

/* A snapshot. */
struct flight_view {
	uint64_t id;
	enum flight_state state;
	struct flight_progress progress;
	int64_t begun_ms, ended_ms; /* monotonic; ended is 0 while it runs */
	enum status status;         /* how it ended; STATUS_OK while it runs */
	int64_t retry_after_ms;     /* when another try makes sense; 0: not said */
	uint64_t result;            /* id, once complete */
	int64_t fetched_at_ms;      /* wall, and */
	char version[8];            /* of the upstream, as the result will have them; of a stage */
};

/* Fails with NULL when out of memory. */
struct flights *flights_new(void) NODISCARD;
void flights_free(struct flights *fs); /* no flight may be held any more */

/* The flight for this query: the one under way, or a new one (*ret_leader: the caller must start a
 * fetch for it, or end it). Yours until flight_release(). NULL when out of memory. `text` is
 * compared, not only the digest: another query of the same digest gets a flight of its own.
 * `consumer` is who asks first; it is kept with the flight. */
struct flight *flight_join(struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t text_len, const char *consumer, bool *ret_leader) NODISCARD;
/* The same, but that a new one needs leave: may_lead() is asked if there is none under way, and no
 * other can then begin before it has answered. It holds LOCK_FLIGHT and must be short. NULL also
 * when it said no. */
struct flight *flight_join_if(struct flights *fs, const uint8_t digest[SHA256_BYTES],
    const char *text, size_t text_len, const char *consumer, bool (*may_lead)(void *ctx), void *ctx,
    bool *ret_leader) NODISCARD;
/* This consumer was told of the flight, too, and may look at it: as often as it is said, once.
 * There are never more than there are consumers. Out of memory, it is forgotten. */
void flight_asked(struct flight *f, const char *consumer);
/* This consumer waits for it with a narrower query of its own, whose canonical text this is. The query of
 * the flight may be more than it may know of. */
void flight_followed(struct flight *f, const char *consumer, const char *text, size_t len);
/* Who somebody is to a flight: nobody, one whose query is that of the flight, or one who follows it with a
 * narrower one. */
enum flight_asker { FLIGHT_STRANGER, FLIGHT_ASKER, FLIGHT_FOLLOWER };
/* Of a follower *ret_text is a copy of its query, the last one, to be freed: NULL if that is above 4 KiB
 * or there is no memory. Else it is NULL. */
enum flight_asker flight_asked_by(
    struct flight *f, const char *consumer, char **ret_text) NODISCARD;
/* This consumer has asked for a result that is no older than its request, was told to come
 * again, and is owed what the flight brings. */
void flight_owe(struct flight *f, const char *consumer);
/* Whether the result is owed to this consumer, as what a flight of that query has made or as
 * something newer. It is not two minutes after the flight has ended: whoever asks then has not come
 * again, but wants something newer. Without it, whoever comes again with the same request would
 * begin another fetch each time. */
bool flights_owe(struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *consumer,
    uint64_t result) NODISCARD;
/* It is given to the consumer, and owed no longer. */
void flights_settle(
    struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *consumer, uint64_t result);
/* Whether the upstream failed the last flight of this query that ended, none is under way, and
 * it is not longer ago than within_ms or than the wait that was told with the failure:
 * *ret_status is that failure, *ret_wait_ms what is left of the time. */
bool flights_failed_lately(struct flights *fs, const uint8_t digest[SHA256_BYTES],
    int64_t within_ms, enum status *ret_status, int64_t *ret_wait_ms);
/* The one under way for this query, or NULL. */
struct flight *flight_running(struct flights *fs, const uint8_t digest[SHA256_BYTES],
    const char *text, size_t text_len) NODISCARD;
/* Those under way whose query names this policy, the newest first: `most` at most, of the newest
 * FLIGHTS_LOOKED under way and lately ended. Each is held by the caller, who gives them back by
 * flight_release(); `list` has room for them. Gives how many. */
#define FLIGHTS_LOOKED 2048
size_t flights_of_policy(
    struct flights *fs, uint64_t policy, struct flight **list, size_t most) NODISCARD;
/* Sums over what is under way. */
struct flights_view {
	uint64_t running;
	uint64_t batches_seen, batches_announced;
};
void flights_look(struct flights *fs, struct flights_view *ret);
struct flight *flight_find(struct flights *fs, uint64_t id) NODISCARD; /* NULL: unknown */
/* The one whose records come to this stage, or came if it has ended lately; NULL: there is none, or
 * another stage has taken its place. */
struct flight *flight_of_stage(struct flights *fs, uint64_t stage) NODISCARD;
/* All of them, newest first, each held by the caller, who then gives back the list.
 * STATUS_OK or STATUS_NO_MEMORY. */
enum status flights_list(
    struct flights *fs, struct flight ***ret_list, size_t *ret_count) NODISCARD;
void flights_list_free(struct flight **list, size_t count);
struct flight *flight_ref(struct flight *f);
void flight_release(struct flight *f); /* NULL is fine */

/* --- the fetch's side */

void flight_progress(struct flight *f, enum flight_state state, const struct flight_progress *p);
/* What its result will say of itself; to be told before flight_staged(). */
void flight_asks(struct flight *f, const char *version, int64_t fetched_at_ms);
/* From now on records come to this stage (not 0); what came to another counts no longer. */
void flight_staged(struct flight *f, uint64_t stage);
/* Up to `records` of (call, attempt) can be read from the stage. */
void flight_committed(struct flight *f, uint32_t call, uint32_t attempt, uint64_t records);
/* The call has ended well: these are all of its records. */
void flight_call_ended(struct flight *f, uint32_t call, uint32_t attempt, uint64_t records);
/* Ends it and wakes everyone. Takes a reference to the result if status is STATUS_OK. */
void flight_end(
    struct flight *f, enum status status, int64_t retry_after_ms, struct cache_result *result);

/* --- the requests' side */

/* Until it has ended or the time is reached (monotonic). True once it has ended. */
bool flight_wait(struct flight *f, int64_t until_ms);
void flight_look(struct flight *f, struct flight_view *ret);
/* The watermark of one call that stores records. */
struct flight_call {
	uint64_t stage;    /* id of the stage that has them (cache_stage_id()); 0: none yet */
	uint32_t attempt;  /* the one that counts now; what an earlier one brought may be gone */
	uint64_t records;  /* how many of them can be read */
	bool ended;        /* well: there are no more */
	bool flight_ended; /* all of it: see flight_look() for how */
};
/* What is known of the call; of one that has brought nothing yet, all but the stage is 0. */
void flight_call(struct flight *f, uint32_t call, struct flight_call *ret);
/* Where the record stands that has so many others before it, call by call: in which call, and how
 * many of that call are before it. It is the first call that has not ended, at the latest, or call
 * `most`. */
void flight_locate(
    struct flight *f, uint64_t ordinal, uint32_t most, uint32_t *ret_call, uint64_t *ret_at);
/* Waits until what flight_call() tells is something else than `seen` or the time is reached (monotonic). False: all
 * waiting has ended. */
bool flight_wait_call(
    struct flight *f, uint32_t call, const struct flight_call *seen, int64_t until_ms);
/* Who began it, and what is fetched. Borrowed while the flight is held. The text is NULL, of
 * length 0, for who has found the flight after it had ended and nobody held it any more, if it
 * was above 64 KiB. */
const char *flight_consumer(const struct flight *f);
const uint8_t *flight_digest(const struct flight *f);
const char *flight_text(const struct flight *f, size_t *ret_len);
/* The result, with a reference of the caller's own; NULL unless it ended well while the caller held
 * it: once nobody does, the flight lets go of it. */
struct cache_result *flight_result(struct flight *f);

/* From now on waiting ends at once for everyone (stopping). */
void flights_stop(struct flights *fs);

#endif
