/* Faults: what can go wrong with an answer, as rows of faults_table.h, and the queue of those that
 * a test has asked for.
 *
 * The first fault in the queue that fits a call decides: while its `skip` lasts the call is
 * answered properly, then `times` calls meet the fault, then the next in the queue has its turn.
 *
 * Threads: the queue with the simulator's lock held; the rest owner only.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/apis.h"
#include "tests/simulator/raw.h"
#include "tests/simulator/reply.h"

#define FAULT_TEXT_BYTES 256

/* Where in the making of an answer a fault strikes. */
enum fault_stage {
	STAGE_REPLY, /* another answer altogether, sent properly */
	STAGE_JSON,  /* the text, before compression */
	STAGE_GZIP,  /* the bytes, which are made gzip whatever the call asked for */
	STAGE_BYTES, /* the bytes as the call asked for them */
	STAGE_WIRE,  /* the way they are sent */
};

/* One queued fault; what the test did not say comes from the row. */
struct fault {
	struct fault *next;
	const struct fault_row *row;
	enum api api;                 /* APIS: any */
	int64_t skip, times;          /* times -1: for ever */
	char match[FAULT_TEXT_BYTES]; /* only calls whose URI or body holds this text; "": any */
	double at;                    /* up to 1: a fraction of the bytes; above: bytes */
	int64_t count;                /* bytes, members, levels...: see the row */
	unsigned status, code;
	char value[FAULT_TEXT_BYTES];
	char retry_after[FAULT_TEXT_BYTES]; /* "": no such header; "date:N": that date N seconds
					       from now */
	char to_wait[FAULT_TEXT_BYTES];     /* likewise, without dates */
	enum framing framing;
};

/* An answer in the making, for the faults to spoil. */
struct broken {
	const struct options *opt;
	struct reply *reply;
	struct sbuf json;  /* the whole text; empty for STAGE_REPLY */
	struct sbuf bytes; /* what will be sent */
	struct raw_plan plan;
};

typedef void fault_f(const struct fault *fault, struct broken *b);

struct fault_row {
	const char *name;
	enum fault_stage stage;
	fault_f *strike;
	enum framing framing;
	unsigned status, code;
	double at;
	int64_t count;
	const char *value;
	size_t value_len; /* values may hold any byte */
	const char *help;
};

struct faults {
	struct fault *first;
};

/* NULL: no such fault. `fault` is filled with the row's own figures. */
const struct fault_row *fault_find(const char *name, struct fault *fault);
void faults_json(const struct faults *f, struct sbuf *text); /* the table and what is queued */

void faults_fini(struct faults *f);
void faults_add(struct faults *f, const struct fault *wanted);
/* The fault of a call that begins now: true and a copy of it. */
bool faults_take(
    struct faults *f, enum api api, const char *uri, const char *body, struct fault *ret_fault);

/* Renders and spoils an answer. STAGE_REPLY: it is then in *b->reply; else in b->bytes with
 * b->plan. `compress`: as the call asked for it. */
void fault_apply(const struct fault *fault, bool compress, struct broken *b);

#endif
