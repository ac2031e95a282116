/* The one budget that every upstream call passes: a rolling window per API and a limit of calls
 * under way per API, both corrected by what the upstream's headers say.
 *
 * The queue stands here, not in the threads: a call is submitted as an entry; a fetch thread asks
 * for the next one and gets the best that may go now. So a thread never holds a place while it
 * waits, and who goes first is decided at one place: interactive before background, then by order
 * of arrival.
 *
 * A call counts from its submission to the network until one window after its headers arrived:
 * the upstream has counted it at some moment in between, so whatever the delays on the way, it
 * never sees more than the rate in any window.
 *
 * Threads: any.
 */
#ifndef UPSTREAM_BUDGET_H
#define UPSTREAM_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"
#include "gateway/upstream/transport.h"
#include "gateway/upstream/versions.h"

struct budget;

enum budget_class { BUDGET_INTERACTIVE, BUDGET_BACKGROUND };

struct budget_options {
	uint64_t rate_calls; /* per window and API; 0: no limit */
	int64_t rate_window_ms;
	bool rate_pinned;     /* headers do not change rate and concurrency */
	uint64_t concurrency; /* calls under way per API; 0: no limit */
};

/* Embedded in whatever is to be called. Yours again once budget_next() gave it out. */
struct budget_entry {
	enum upstream_api api;
	enum budget_class class;
	const char *consumer;  /* who asked; borrowed */
	int64_t not_before_ms; /* monotonic; 0: at once */
	int64_t deadline_ms;   /* monotonic; passed in the queue: given out with `expired` */
	bool expired;
	bool arrived;              /* the budget's own */
	struct budget_entry *next; /* the budget's own while queued */
	uint64_t order;            /* likewise */
};

struct budget *budget_new(const struct budget_options *o) NODISCARD;
void budget_free(struct budget *b); /* nobody waits any more; queued entries are their owners' */

void budget_submit(struct budget *b, struct budget_entry *e);

/* Waits for an entry that may go, and counts it as under way; or for one whose deadline has passed
 * (expired is set, it is not counted: do not call budget_done()). NULL once stopped. */
struct budget_entry *budget_next(struct budget *b);
/* The headers of the entry's call are in: learns from them. At most once a call. */
void budget_arrived(struct budget *b, struct budget_entry *e, const struct transport_head *head);
/* The call is over, however it ended. `limited`: it was refused by a limit, and nothing of its API
 * may go before head->wait_ms have passed. head is NULL if no call was made after all: then the
 * window forgets it. */
void budget_done(
    struct budget *b, struct budget_entry *e, bool limited, const struct transport_head *head);

/* Takes a queued entry back: true if it was queued (and is yours), false if it has been given out. */
bool budget_withdraw(struct budget *b, struct budget_entry *e);

/* From now on budget_next() gives NULL to everyone. */
void budget_stop(struct budget *b);

struct budget_view {
	uint64_t rate_calls, window_used, under_way, concurrency, queued;
	int64_t rate_window_ms;
	int64_t closed_for_ms; /* the upstream asked us to wait so long; 0: open */
};
void budget_view(struct budget *b, enum upstream_api api, struct budget_view *ret);
/* How long a call submitted now would wait for the rate, were it alone. */
int64_t budget_wait_ms(struct budget *b, enum upstream_api api);

#endif
