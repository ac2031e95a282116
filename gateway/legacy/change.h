/* What differs between neighbouring versions of the upstream's API, as named changes that are never
 * edited once callers depend on them: change_5_4.c has what 5.0 brought and 4.0 lacks, and so on
 * down to 1.0. An answer in an older shape is the newest one taken down this chain.
 *
 * A change may have a query part, the parameters that came with the newer version; a record part,
 * what is dropped from a record, moved or rewritten in it; both, or neither: then it changes what
 * is answered and not how (semantic), or what may be asked, and its description is all there is.
 *
 * Sources: the vendor's page of Get Posture Info for 1.0 to 5.0, its pages of Resolve Host IDs and
 * of the policy list, and its release notes; docs/upstream-versions.md has the tables and where
 * they contradict each other. tests/lint/versions-docs.sh reads the lists of change_*.c as text:
 * one struct after the other, its members in this order.
 *
 * Threads: any; the tables do not change.
 */
#ifndef LEGACY_CHANGE_H
#define LEGACY_CHANGE_H

#include "gateway/legacy/change_record.h"
#include "gateway/upstream/versions.h"

struct change_parameter {
	enum upstream_api api;
	const char *name; /* NULL ends a list */
};

#define CHANGE_PARAMETERS 4
#define CHANGE_MEMBERS 2

struct change {
	const char *name;
	const char *from, *to; /* "5.0", "4.0" */
	const char *description;
	bool semantic;
	struct change_parameter parameters[CHANGE_PARAMETERS + 1];
	struct change_member drops[CHANGE_MEMBERS + 1];
	/* what `rewrite` may move or rewrite; it says whether it had effect */
	struct change_member rewrites[CHANGE_MEMBERS + 1];
	bool (*rewrite)(struct change_record *r);
};

/* The changes of one pair of neighbours. */
struct change_list {
	const struct change *changes;
	size_t count;
};
extern const struct change_list changes_5_4, changes_4_3, changes_3_2, changes_2_1;

#define CHANGE_PAIRS 4
#define CHANGE_MOST 32 /* a bit each */

/* All of them, from the newest down: the number is also the change's bit. NULL beyond the end. */
size_t change_count(void);
const struct change *change_get(size_t number);

/* The bits of those that change what is answered. */
uint32_t change_semantic(void);

/* Does the changes of the first `pairs` pairs to the record. Returns a bit for each that had
 * effect; a failure is in r->err. */
uint32_t change_apply(struct change_record *r, size_t pairs);

#endif
