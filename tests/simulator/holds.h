/* Places where calls wait until a test lets them go, so that no test needs to sleep: before the
 * head of the answer, or after some records of it.
 *
 * Threads: with the simulator's lock held.
 */
#ifndef SIM_HOLDS_H
#define SIM_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/apis.h"

#define HOLD_MATCH_BYTES 64

struct hold {
	struct hold *next;
	uint64_t id;
	enum api api; /* APIS: any */
	bool before_head;
	uint64_t records;             /* if not before the head */
	int64_t skip, times;          /* calls to let pass, then to hold; -1: no end */
	char match[HOLD_MATCH_BYTES]; /* only calls whose URI or body holds this text; "": any */
	uint64_t joined, released;    /* tickets given out, and those that may go */
	uint64_t broken;              /* and of these, those that go no further */
};

struct holds {
	struct hold *first;
	uint64_t made;
	uint64_t stalled;         /* answers that a fault has stalled, now */
	uint64_t stalls_released; /* changes when they may go on */
};

/* What a call has to wait for; hold 0: nothing. */
struct hold_ticket {
	uint64_t hold, ticket;
	bool before_head;
	uint64_t records;
};

void holds_fini(struct holds *l);
uint64_t hold_add(struct holds *l, const struct hold *wanted); /* its ID */
/* Lets calls go: of hold `id` (0: of all). count < 0: all of them, and the hold ends. */
void hold_release(struct holds *l, uint64_t id, int64_t count);

struct hold_ticket hold_join(struct holds *l, enum api api, const char *uri, const char *body);
bool hold_is_waiting(const struct holds *l, const struct hold_ticket *t);

/* Breaks the answers of the calls that hold `id` has held so far (0: of all holds); it holds no others. */
void hold_break(struct holds *l, uint64_t id);
bool hold_is_broken(const struct holds *l, const struct hold_ticket *t);

#endif
