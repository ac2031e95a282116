/* The migration report as text: a row for each consumer, version and endpoint that was called in the old
 * protocol, with the time that is left for it and what its callers have to change.
 *
 * Threads: any; it takes the lock of the sums for one consumer after the other.
 */
#ifndef LEGACY_USAGE_REPORT_H
#define LEGACY_USAGE_REPORT_H

#include "gateway/base/buf.h"
#include "gateway/legacy/usage.h"
#include "gateway/upstream/versions.h"

struct usage_report {
	struct usage *usage;
	const struct versions *versions; /* dates of the ends, the settings laid over them */
	int64_t now_s;                   /* wall */
};

/* {"data":[…]}, consumers in the order of the settings. */
void usage_report_json(const struct usage_report *r, struct buf *b);

/* The same members as columns, in the same order, behind a line of their names (RFC 4180). Lists have a
 * space between two items; what is null is empty. A text that a spreadsheet would take for a formula
 * has an apostrophe before it. */
void usage_report_csv(const struct usage_report *r, struct buf *b);

#endif
