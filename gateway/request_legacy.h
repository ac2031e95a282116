/* Calls in the upstream's own protocol, on their way through the steps: what differs from /v1 in parse,
 * lookup and follow. One call of postureInfo can ask for several policies, with hosts of their own:
 * each becomes a query, and so a source, of its own, so that all callers share their results.
 *
 * Threads: one request, one worker.
 */
#ifndef GATEWAY_REQUEST_LEGACY_H
#define GATEWAY_REQUEST_LEGACY_H

#include "gateway/legacy/params.h"
#include "gateway/legacy/stream.h"
#include "gateway/legacy/sunset.h"
#include "gateway/request_state.h"

struct legacy {
	enum upstream_api api;
	const char *version; /* "1.0" */
	unsigned version_index;
	struct legacy_asked asked;
	uint64_t unproved_subscription; /* given before the upstream had told its own; 0: none */
	bool streams;                   /* its answer is one of postures */
	bool without_sca; /* the version had SCA assets, and what answers has none: to be told */
	/* of postureInfo: one for each policy asked for */
	struct id_list policies;
	struct source *sources;
	size_t source_count;
	bool resolution_looked; /* for what hostids told of all these policies in one answer */
	struct told *told;      /* what it tells of each source, or NULL */
	size_t begun;         /* sources before it are stored or begun; those behind may be cold */
	size_t passed;        /* sources before it have been given */
	size_t ahead;         /* of those between the two, how many need a fetch */
	struct source *most;  /* of those passed, the one that needed the upstream most */
	uint64_t calls;       /* of the fetches of those passed, but for that one */
	struct reader reader; /* of the source at hand, if `reading` */
	bool reading, head_left;
	struct legacy_stream stream;
	bool placed;             /* in that class of workers */
	bool streaming;          /* the stream is initialised */
	uint64_t records, bytes; /* given, of other answers than postures */
};

/* Finds the version; r->legacy is there from now on. False: the vendor never had it, or no memory. */
bool legacy_route(struct request *r);
/* The steps of such a request. */
enum step legacy_parse(struct request *r);
enum step legacy_lookup(struct request *r);
enum step legacy_follow(
    struct request *r); /* where the answer streams: the first fetches are begun */

/* In request_legacy_hosts.c: a source without a result, whose hosts are all that its policy has, asks for all of
 * them from now on (s->widened). STATUS_OK, changed or not; STATUS_OVERFLOW. */
enum status legacy_widen(struct request *r) NODISCARD;
/* Of a streamed answer: the sources before `at` have been given, and are let go of but for what the log
 * tells; of those from `at` on as many fetches are begun as may run ahead of the reader.
 *   STATUS_OK  the source `at` is stored or begun
 *   else what it fails with; before the head has left, also what another of them fails with, and the
 *   answer is the problem then. After that another begins once more when its turn comes. */
enum status legacy_begin(struct request *r, size_t at) NODISCARD;
/* Takes the place that a stream needs among the workers, once. False: there is none. */
bool legacy_enter(struct request *r) NODISCARD;
/* Chooses r->source for headers and log: of several the one that needed the upstream most, so far. */
void legacy_sum_up(struct request *r);

/* Of hostids without policyId, once the policies are known: the step that looks for their hosts. */
enum step legacy_hosts_of(struct request *r, const struct id_list *policies);
/* The answer where a cut-off has come. version: NULL for /auth. */
enum step legacy_ended(struct request *r, enum upstream_api api, const char *version,
    enum sunset_verdict verdict, int64_t since_s);
/* False: what was given for the subscription is another one, as the upstream has told since. */
bool legacy_subscription_holds(struct request *r);
/* The headers that every answer of the drop-in surface has. */
void legacy_headers(struct request *r);
/* Counts the call for the migration report; frees what it holds. Fine if it is none. */
void legacy_fini(struct request *r);

#endif
