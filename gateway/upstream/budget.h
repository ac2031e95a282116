/* The one budget that every upstream call passes: a gate per API (gate.h: the rate, the calls under
 * way, the waits that the upstream announces) and before them one queue.
 *
 * The queue stands here, not in the threads: a call is submitted as an entry; a fetch thread asks
 * for the next one and gets the best that may go now. So a thread never holds a place while it
 * waits, and who goes first is decided at one place:
 *
 *   1. interactive before background before spare;
 *   2. of the consumers who have one there, the one who was served least lately (start-time fair
 *      queueing, for each API and class: every call takes a consumer's virtual time on by one, and
 *      nobody's begins before that of the call that went last, so that idling saves nothing up);
 *   3. of one consumer's, the one that came first.
 *
 * So a consumer with hundreds of queued calls delays the single call of another by those that are
 * under way and no more.
 *
 * What the windows hold outlives the process: before a call is given out, the note of its API
 * *including that call* is handed to `keep`, and after a start budget_restore() takes it back. A
 * crash thus never makes the upstream see more than the rate. The budget does not know where notes
 * are kept.
 *
 * Threads: any.
 */
#ifndef UPSTREAM_BUDGET_H
#define UPSTREAM_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"
#include "gateway/upstream/gate.h"
#include "gateway/upstream/transport.h"
#include "gateway/upstream/versions.h"

struct budget;

enum budget_class {
	BUDGET_INTERACTIVE, /* somebody waits */
	BUDGET_BACKGROUND,  /* somebody was served what is stale */
	BUDGET_SPARE,       /* nobody has asked: goes in what others leave over (gate_spare_at()) */
	BUDGET_CLASSES
};

struct budget_options {
	uint64_t rate_calls; /* per window and API; 0: no limit */
	int64_t rate_window_ms;
	bool rate_pinned;     /* headers do not change rate and concurrency */
	uint64_t concurrency; /* calls under way per API; 0: no limit */
	/* Writes the API's note over the one before; at most GATE_NOTE_BYTES. May block on the disk,
	 * and is called by one thread at a time. If it fails, the call goes all the same. NULL: the
	 * windows do not outlive the process. */
	enum status (*keep)(void *ctx, enum upstream_api api, const void *bytes, size_t len);
	void *keep_ctx;
};

/* Embedded in whatever is to be called, zeroed at first. Yours again once budget_next() gave it out. */
struct budget_entry {
	enum upstream_api api;
	enum budget_class class;
	const char *consumer;  /* who asked; looked at while submitting */
	int64_t not_before_ms; /* monotonic; 0: at once */
	int64_t deadline_ms;   /* monotonic; passed in the queue: given out with `expired` */
	bool expired;
	/* the budget's own */
	bool queued;
	struct budget_entry *next, *before;
	unsigned share;
	int64_t submitted_ms;
	struct gate_call call;
};

struct budget *budget_new(const struct budget_options *o) NODISCARD;
void budget_free(struct budget *b); /* nobody waits any more; queued entries are their owners' */

/* Takes the note of an API back, before anything is submitted. False, and it is logged, if it is
 * none: then the API begins with an empty window. */
bool budget_restore(struct budget *b, enum upstream_api api, const void *bytes, size_t len);

void budget_submit(struct budget *b, struct budget_entry *e);

/* Waits for an entry that may go, counts it as under way and writes that down; or for one whose
 * deadline has passed (expired is set, it is not counted: do not call budget_done()). NULL once
 * stopped. */
struct budget_entry *budget_next(struct budget *b);
/* The headers of the entry's call are in: learns from them. At most once a call. */
void budget_arrived(struct budget *b, struct budget_entry *e, const struct transport_head *head);
/* The call is over, however it ended. `limited`: it was refused by a limit (gate.h says what
 * follows). head is NULL if no call was made after all: then the window forgets it. */
void budget_done(
    struct budget *b, struct budget_entry *e, bool limited, const struct transport_head *head);

/* Takes a queued entry back: true if it was queued (and is yours), false if it has been given out. */
bool budget_withdraw(struct budget *b, struct budget_entry *e);
/* A queued entry of a lower class goes on in this one, as this consumer's, and keeps its place in
 * the order of arrival. Nothing happens to one that is not queued or not of a lower class. */
void budget_promote(
    struct budget *b, struct budget_entry *e, enum budget_class class, const char *consumer);

/* From now on budget_next() gives NULL to everyone. The windows are written down once more, so that
 * an orderly restart knows them exactly: stop when all calls are done. */
void budget_stop(struct budget *b);

struct budget_view {
	uint64_t rate_calls, concurrency; /* 0: no limit */
	int64_t rate_window_ms;
	uint64_t window_own, window_foreign; /* what counts in the window: ours, others' */
	uint64_t remaining;                  /* UINT64_MAX: no limit */
	uint64_t under_way;
	uint64_t queued[BUDGET_CLASSES];
	int64_t closed_for_ms; /* the upstream asked us to wait so long; 0: open */
	/* since the start */
	uint64_t refused_rate, refused_concurrency;
	uint64_t given, waited_ms; /* calls given out, and how long they were in the queue in all */
	uint64_t expired;
};
/* O(1), but for moments that have just left the window. */
void budget_view(struct budget *b, enum upstream_api api, struct budget_view *ret);
/* How long until this entry is let go, if nothing else is submitted; 0 if it is not queued. Knows
 * who goes before it, the rate and the announced wait, not concurrency: behind calls of minutes it
 * takes longer. Walks the queue twice. */
int64_t budget_forecast_ms(struct budget *b, const struct budget_entry *e);
/* The same for the last of `calls` interactive ones (1 or more) that this consumer would submit now,
 * one behind the other. Nothing is submitted. */
int64_t budget_foresee_ms(
    struct budget *b, enum upstream_api api, const char *consumer, uint64_t calls);

#endif
