/* How often, and how many at a time: per API, the window rolls.
 *
 * Threads: with the simulator's lock held.
 */
#ifndef SIM_LIMITS_H
#define SIM_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "tests/simulator/apis.h"
#include "tests/simulator/options.h"

struct limits {
	struct {
		int64_t *started_ms; /* of the calls in the window, oldest first */
		size_t count, cap;
		unsigned running, most_running;
		unsigned refused; /* as too often, since the last that entered */
	} api[APIS];
};

enum limits_answer { LIMITS_ENTERED, LIMITS_TOO_MANY, LIMITS_TOO_OFTEN };
struct limits_view {
	int64_t remaining;
	int64_t wait_s; /* if too often: until the oldest call leaves the window, rounded up */
	unsigned running, refused; /* as they are now, with this call */
};

void limits_fini(struct limits *l);
/* ENTERED: to be left again. Concurrency is looked at first, as the documents say. */
enum limits_answer limits_enter(struct limits *l, enum api api, const struct options *opt,
    int64_t at_ms, struct limits_view *ret);
void limits_leave(struct limits *l, enum api api);
/* So many calls of somebody else: they fill the window, and are over. */
void limits_use(
    struct limits *l, enum api api, const struct options *opt, int64_t at_ms, int64_t calls);
void limits_forget(struct limits *l); /* the windows are empty again; running calls stay */

#endif
