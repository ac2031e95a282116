/* The only place of the simulator that asks the time. Its clock is the real one plus an offset that
 * POST /advance makes larger: rate windows, lifetimes and everything that is stamped go by it.
 *
 * Threads: any.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stdint.h>

int64_t now_ms(void);      /* monotonic */
int64_t now_s(void);       /* since 1970 */
int64_t now_wall_ms(void); /* likewise */

/* Monotonic and never moved: patience with sockets and with tests. */
int64_t real_ms(void);

/* Moves the clock on. Never back: what is given has to be 0 or more. */
void clock_advance(int64_t ms);

#endif
