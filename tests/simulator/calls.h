/* The calls of the upstream: from a request that has arrived whole to an answer.
 *
 * Threads: the one that serves the connection.
 */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/ask.h"
#include "tests/simulator/holds.h"
#include "tests/simulator/reply.h"

struct sim;

struct call {
	struct sim *sim;
	struct corpus *corpus; /* the options and data it began with */
	enum api api;
	const char *method;
	char *uri;       /* as it came */
	char version[8]; /* from the path; "" for /auth */
	struct sbuf body;
	bool body_too_large;
	const char *bearer; /* the token shown, or NULL */
	void *params_ctx;   /* see call_params() */

	/* set while it is answered */
	uint64_t number;    /* in the journal */
	bool entered;       /* counts as running in the limits */
	bool ended_cleanly; /* sent by hand, and whole */
	bool compress;
	unsigned status;
	struct hold_ticket hold;
};

/* Calls `each` for every query parameter; stops when it gives false. */
typedef bool param_f(void *ctx, const char *name, const char *value);
void call_params(struct call *call, param_f *each, void *ctx);

/* Which API, and which version of it, a path means. */
enum api call_route(const char *path, char ret_version[8]);

/* The whole way: token, limits, hold, fault queue, work. *reply is filled. If a fault wants the
 * answer sent by hand, true and *fault is to be applied. */
struct fault;
bool call_answer(struct call *call, struct reply *reply, struct fault *ret_fault);

void call_leave(struct call *call); /* no longer running; may be called again */
/* False: its answer is to break. */
bool call_wait_hold(struct call *call);

#endif
