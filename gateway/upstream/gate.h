/* The gate of one API: when may one more call go? A rolling window of calls, a limit of calls under
 * way, and the waits that the upstream announces. Pure: the time is an argument.
 *
 * What is not known is when exactly the upstream counts a call: at some moment T between `given`
 * (the call was let go) and `at` (its headers were in). Every rule here errs so that the upstream
 * sees fewer calls than it allows:
 *
 * - A call counts from `given` until one window after `at`. The upstream's own window lets go of it
 *   no later.
 * - A refused call does not count: the upstream says itself when it may come again. If it counts
 *   refusals all the same, its header shows them, and they are taken for others' calls.
 * - A call whose end is not known (no answer, a crash) counts from the moment at which that became
 *   clear.
 *
 * **Others' calls.** The limit is the subscription's, so other programs use up the same window, and
 * X-RateLimit-Remaining is all that tells of them. An answer says used = limit - remaining at T, its
 * own call included: ours and others'. Of ours the upstream's window at T held
 *
 *   surely    this call; and those that were given later than one window before our clock reads
 *             now (now >= T), and whose headers were in before this call was given (so before T)
 *   at most   those whose headers were in later than one window before this call was given (an
 *             older one had left), and all that are under way without headers
 *
 * so the number of others' is at least used - (at most) and at most used - (surely). The estimate is
 * moved into these borders and no further. If it is too low, it is so by no more than the calls of
 * ours that were given and not yet counted at T: ours and the estimate together are never below what
 * is left of `used`, and the next answer mends it. The price would be one refusal, which is waited
 * out. (The other way, to move it
 * to the upper border, would take our own calls for others' whenever two run at a time, and halve
 * the rate.) Others' calls are kept for a whole window from when they were learned, though most
 * leave the upstream's before: too long is the safe side. When the estimate falls, the oldest go.
 * An upstream whose Remaining leaves out the call that it answers makes the estimate too low by one.
 *
 * **A refusal for the rate** shuts the gate for the announced wait, and then opens it for one call
 * only. The upstream has said that there is room then, so this one does not heed the estimate of
 * others' calls. The rest follow once it was taken, or wait for what it was told.
 *
 * **A refusal for concurrency** comes without a wait. With n other calls of ours under way the next
 * one goes when one of these has ended or a moment has passed, whichever is first; from then on one
 * more than n at a time, and one more again each time that so many are taken, up to the limit.
 *
 * Threads: its owner's, one at a time.
 */
#ifndef UPSTREAM_GATE_H
#define UPSTREAM_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/upstream/transport.h"
#include "gateway/upstream/versions.h"

#define GATE_RATE_MOST 10000 /* calls in a window: a learned limit beyond it is taken for this */
/* Calls that we have left, by a crash or after a timeout, may still run upstream for so long. */
#define GATE_LINGER_MS INT64_C(3000)

struct gate_limits {
	uint64_t calls; /* in a window; 0: no limit */
	int64_t window_ms;
	uint64_t concurrency; /* 0: no limit */
};

/* Moments at which calls were counted, not descending, in a ring of GATE_RATE_MOST. The newest
 * `inside` of them are in the window. */
struct gate_moment {
	int64_t given_ms, at_ms;
};
struct gate_ring {
	struct gate_moment *moments;
	size_t first, count, inside;
};

struct gate {
	enum upstream_api api;
	bool pinned;            /* headers change nothing */
	struct gate_limits set; /* by the settings */
	struct gate_limits now; /* in force */
	struct gate_ring own, foreign;
	uint64_t under_way;   /* calls given and not done */
	uint64_t not_counted; /* of these: not yet in the ring */
	uint64_t ghosts;      /* calls that were left, and may still run; until ghosts_until_ms */
	int64_t ghosts_until_ms;
	int64_t closed_until_ms; /* the announced wait */
	bool half_open;          /* after it one call may go, until one is taken */
	bool probing;            /* and it is under way */
	bool crowded;            /* `tolerated` went well when one more was refused */
	uint64_t tolerated;
	int64_t crowded_until_ms;
};

/* One call, from gate_give() to gate_done(). */
struct gate_call {
	int64_t given_ms;
	bool counted, probe;
};

enum gate_end {
	GATE_UNMADE, /* no call was made after all: forgotten */
	GATE_MADE,   /* however it ended */
	GATE_LIMITED, /* refused by a limit: head->by_concurrency says which, head->wait_ms how long */
};

/* False when out of memory. */
bool gate_init(
    struct gate *g, enum upstream_api api, const struct gate_limits *set, bool pinned) NODISCARD;
void gate_fini(struct gate *g);

/* The first moment from now on at which one more call may go, as far as time alone opens the gate;
 * CLOCK_NEVER while only the headers or the end of a call can. */
int64_t gate_opens_at(struct gate *g, int64_t now_ms);
/* The same for a call that nobody waits for, nor will at once: it leaves half of the window to others, and
 * all places but its own: it goes alone, and never as the first after an announced wait. */
int64_t gate_spare_at(struct gate *g, int64_t now_ms);
/* A call goes. */
void gate_give(struct gate *g, struct gate_call *c, int64_t now_ms);
/* Its headers are in. True if the limits have changed. What may be a refusal waits for its end. */
bool gate_arrived(
    struct gate *g, struct gate_call *c, const struct transport_head *head, int64_t now_ms);
/* It is over; with gate_arrived() before or without. head: not NULL but with GATE_UNMADE. True if
 * the limits or the announced wait have changed. */
bool gate_done(struct gate *g, struct gate_call *c, enum gate_end end,
    const struct transport_head *head, int64_t now_ms);

/* The calls that count now: ours and others'. */
uint64_t gate_own(struct gate *g, int64_t now_ms);
uint64_t gate_foreign(struct gate *g, int64_t now_ms);
uint64_t gate_running(const struct gate *g, int64_t now_ms);
/* When the last of `calls` further ones could go if they went as soon as they may. Knows the rate
 * and the announced wait, takes concurrency for unlimited. Grows with `calls`; 0 calls: now_ms. */
int64_t gate_forecast_at(struct gate *g, uint64_t calls, int64_t now_ms);

/* --- the note: what outlives the process. docs/store-format.md has its bytes. */

#define GATE_NOTE_HEAD_BYTES 96
#define GATE_NOTE_BYTES (GATE_NOTE_HEAD_BYTES + 2 * GATE_RATE_MOST * sizeof(int64_t))

/* Writes at most GATE_NOTE_BYTES; returns how many. */
size_t gate_write(struct gate *g, int64_t mono_ms, int64_t wall_ms, uint8_t *bytes);
/* Into a gate that has let nothing go yet. False, and nothing is changed, if it is not wholly a
 * note of this API. Moments of the future count as now; what is older than the window is dropped;
 * calls that were not counted count as now, and all that were under way still are for
 * GATE_LINGER_MS. Learned limits hold only if the settings are the same and not pinned. */
bool gate_read(
    struct gate *g, const uint8_t *bytes, size_t len, int64_t mono_ms, int64_t wall_ms) NODISCARD;

#endif
