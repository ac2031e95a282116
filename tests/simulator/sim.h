/* What the threads of the simulator share. One lock guards all of it, one condition tells of every
 * change; both are held for moments only, never while writing to a socket.
 *
 * Functions named *_locked want the lock held; all others take it themselves.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/clock.h"
#include "tests/simulator/data.h"
#include "tests/simulator/faults.h"
#include "tests/simulator/holds.h"
#include "tests/simulator/journal.h"
#include "tests/simulator/ledger.h"
#include "tests/simulator/limits.h"
#include "tests/simulator/tokens.h"

struct sim {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* waits by real_ms() */
	bool stopping;
	struct corpus *corpus;
	struct tokens tokens;
	struct limits limits;
	struct journal journal;
	struct ledger ledger;
	struct holds holds;
	struct faults faults;
};

/* False: the ledger cannot be opened; sim_fini() is due all the same. */
bool sim_init(struct sim *s, const struct options *opt);
void sim_fini(struct sim *s);

void sim_lock(struct sim *s);
void sim_unlock(struct sim *s);
void sim_changed(struct sim *s); /* with the lock or without */
void sim_stop(struct sim *s);    /* every wait ends now */
/* Moves the clock on, and wakes who waits by it. */
void sim_advance(struct sim *s, int64_t ms);

/* Waits for the next change; false once real_ms() has reached the deadline or the simulator stops.
 */
bool sim_wait_locked(struct sim *s, int64_t deadline_real_ms);
/* By the clock that POST /advance moves. False if the simulator stopped meanwhile. */
bool sim_sleep(struct sim *s, int64_t ms);

/* The data as they are now: a reference that is yours. */
struct corpus *sim_corpus(struct sim *s);
/* From now on these options. */
void sim_configure(struct sim *s, const struct options *opt);

#endif
