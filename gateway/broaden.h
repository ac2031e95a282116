/* Whether the upstream is asked for more than a query wants: query/breadth.h with what is known here, of
 * the demand (fetch/demand.h), of the store and of failures.
 *
 * Threads: any.
 */
#ifndef GATEWAY_BROADEN_H
#define GATEWAY_BROADEN_H

#include "gateway/query/breadth.h"
#include "gateway/request.h"

enum broaden {
	BROADEN_NOT, /* the query is fetched as it is, if at all */
	BROADEN_DO,  /* the broad one in its place */
	BROADEN_RUNS, /* likewise, and it is under way; who looked at that may not want to wait for it */
	BROADEN_STORED, /* the broad one is there, and fresh; if it does not serve, another would not */
};

struct broader {
	struct query query; /* its lists are those of the query asked about */
	struct buf canon;
	uint8_t digest[SHA256_BYTES];
	int64_t fresh_until_ms; /* of BROADEN_STORED; wall */
};

/* For a query that needs the upstream. `asked`: somebody asks for it now, which is remembered; else the
 * gateway itself thinks of fetching it. *ret is the caller's to end by broader_fini(), whatever comes
 * back. */
enum broaden broaden(struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES],
    bool asked, struct broader *ret);
void broader_fini(struct broader *b);

/* The readings of the upstream that the settings say hold. */
struct implies_rules broaden_rules(const struct settings *s);
/* A fetch that nobody has asked for as it is, in place of another or ahead, would fail, or has within five
 * minutes. */
bool broaden_would_fail(
    const struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES]);

/* Somebody asks for it and gets it from what is stored. */
void broaden_noted(struct gateway *g, const struct query *q, const uint8_t digest[SHA256_BYTES]);
/* A result of the query was made, of so many bytes. */
void broaden_sized(struct gateway *g, const struct query *q, uint64_t bytes);

#endif
