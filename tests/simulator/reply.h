/* An answer before it is sent: status, headers, and a body in memory or as a feed.
 *
 * Threads: owner only.
 */
#ifndef SIM_REPLY_H
#define SIM_REPLY_H

#include <stddef.h>

#include "tests/simulator/feed.h"
#include "tests/simulator/options.h"
#include "tests/simulator/sbuf.h"

#define REPLY_HEADERS 24

struct reply {
	unsigned status;
	struct {
		char name[40], value[300];
	} headers[REPLY_HEADERS];
	size_t header_count;
	struct sbuf body;
	struct feed *feed; /* in place of the body, or NULL */
};

void reply_free(struct reply *r);
/* Sets a header, in place of one of that name; a NULL value takes it away. */
void reply_header(struct reply *r, const char *name, const char *value);
void reply_number(struct reply *r, const char *name, int64_t value);
void reply_date(struct reply *r, const char *name, int64_t at_s);
/* What every answer bears. */
void reply_usual(struct reply *r);
/* An error in the shape that the options ask for; code 0: none is told. Replaces what was there. */
void reply_error(struct reply *r, const struct options *opt, unsigned status, unsigned code,
    const char *message);

#endif
