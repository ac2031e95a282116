/* What the limits decided, one line of JSON for each call, at the end of a file that outlives the
 * process: a test can audit rolling windows over restarts, and a restarted simulator can go on with
 * the windows that it had.
 *
 *   {"t":1764000000.123,"api":"postureInfo","verdict":"entered","running":1}
 *       a call that reached the limit check: entered, too-often or too-many; `running` with it
 *   {"t":1764000000.123,"api":"auth","verdict":201}
 *       a login, with the status that it got
 *   {"t":1764000000.123,"api":"postureInfo","verdict":"others","calls":20}
 *       POST /use
 *
 * `t` is wall time as the simulator's clock has it. A line is written as soon as the thing is
 * decided, in that order and at once, so that one is whole or not there.
 *
 * Threads: with the simulator's lock held, but for open and close.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/apis.h"
#include "tests/simulator/limits.h"

struct ledger {
	int fd; /* -1: none is kept */
};

/* Opens or makes the file of the option `ledger`, if there is one; false: it cannot be. With
 * `ledger-resume`, first enters what its last window holds into *windows: it counts as used. */
bool ledger_open(struct ledger *g, const struct options *opt, struct limits *windows);
void ledger_close(struct ledger *g);

void ledger_call(struct ledger *g, enum api api, enum limits_answer answer, unsigned running);
void ledger_login(struct ledger *g, unsigned status);
void ledger_others(struct ledger *g, enum api api, int64_t calls);

#endif
