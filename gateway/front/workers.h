/* The worker threads, and the registry of them: what each does, on which connection, and how many
 * may be in each class of long work at a time, so that hits never queue behind what waits.
 *
 * Threads: any, where nothing else is said.
 */
#ifndef FRONT_WORKERS_H
#define FRONT_WORKERS_H

#include <stdbool.h>

#include "gateway/base/attr.h"
#include "gateway/front/fcgi.h"

struct workers;
struct worker;

/* Classes of long work; the share of all workers that may be in each. What becomes of a request
 * beyond it is its endpoint's matter. */
enum worker_class {
	WORKER_WAITING,   /* for a fetch, or for the end of one: a quarter */
	WORKER_STREAMING, /* an answer as long as it takes: a quarter, half of it for one consumer */
	WORKER_EXPORTING, /* a whole result to whoever takes it, however slowly: an eighth; likewise */
	WORKER_CLASSES
};

/* Serves one request: answers or aborts it; everything that it opened is closed when it returns. */
typedef void worker_serve_f(void *ctx, struct worker *w, struct fcgi *f);

/* Starts `count` threads on the listening socket. NULL if they could not all be started. */
struct workers *workers_new(
    unsigned count, int listen_fd, worker_serve_f *serve, void *ctx) NODISCARD;

/* True if there is room in the class, and in what of it one and the same `who` may have
 * (compared, never looked into; NULL: nobody's share is counted); then workers_leave() it. A
 * worker is in a class once at most. Walks over all workers. */
bool workers_enter(struct worker *w, enum worker_class class, const void *who) NODISCARD;
void workers_leave(struct worker *w, enum worker_class class);

/* Lets requests under way end (at most grace_ms), closes idle kept connections, joins the threads.
 * The listening socket stays as it is: it may be another's. Startup thread only. */
void workers_stop(struct workers *ws, int64_t grace_ms);

unsigned workers_count(const struct workers *ws);

struct workers_view {
	unsigned count, busy; /* busy: serving a request */
	unsigned in_class[WORKER_CLASSES], most_in_class[WORKER_CLASSES];
};
/* The whole of which this worker is one. */
void workers_look(struct worker *w, struct workers_view *ret);

#endif
