/* What arrived and what became of it: counters of each API and the last requests in full, for the
 * tests to read on the control surface.
 *
 * Threads: with the simulator's lock held.
 */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/simulator/apis.h"
#include "tests/simulator/sbuf.h"

#define JOURNAL_BODY_BYTES ((size_t)64 * 1024)

enum outcome { OUTCOME_RUNNING, OUTCOME_DONE, OUTCOME_BROKEN };

struct entry {
	uint64_t number; /* 0: not used yet */
	enum api api;
	enum outcome outcome;
	unsigned status;
	int64_t began_ms, ended_ms;
	uint64_t body_bytes, records, bytes;
	bool authorized; /* an Authorization header was there */
	char *method, *uri;
	const char *fault;   /* static, or NULL */
	struct sbuf headers; /* JSON object, without the value of Authorization */
	struct sbuf body;    /* the first JOURNAL_BODY_BYTES */
};

#define JOURNAL_STATUSES 600

struct tally {
	uint64_t calls, done, broken, held;
	uint64_t too_often, too_many, unauthorized, faults;
	uint64_t records, bytes;
	uint64_t status[JOURNAL_STATUSES];
};

struct journal {
	struct entry *ring;
	size_t size;
	uint64_t number; /* of the newest */
	uint64_t logins;
	struct tally tally[APIS];
};

void journal_init(struct journal *j, size_t size);
void journal_fini(struct journal *j);
void journal_reset(struct journal *j); /* running calls are still counted when they end */

/* A call begins; its number. */
uint64_t journal_begin(
    struct journal *j, enum api api, const char *method, const char *uri, int64_t at_ms);
/* The entry of a call, or NULL if it was pushed out. */
struct entry *journal_entry(struct journal *j, uint64_t number);
void journal_end(struct journal *j, uint64_t number, enum api api, enum outcome outcome,
    unsigned status, int64_t at_ms);

void journal_json(
    struct journal *j, size_t last, bool bodies, struct sbuf *text); /* members, without braces */

#endif
