/* A record as the upstream would have sent it in the version that a caller still speaks, made from
 * the stored form: first what was not asked for goes, then the changes between 5.0 and that version
 * are done to it, the newest first (change.h has them all).
 *
 *     5.0    as the upstream sent it: member set, order, spellings, "" and null and absent, the
 *            batch and size members
 *     older  the same, less what the version did not have. `id` is first in all of them
 *
 * Memory is constant: no record leaves anything behind but the buffers, cut back to
 * CHANGE_KEEP_BYTES each.
 *
 * Threads: a writer has one owner; the rest any.
 */
#ifndef LEGACY_SHAPE_H
#define LEGACY_SHAPE_H

#include "gateway/legacy/change.h"
#include "gateway/query/query.h"

struct shape {
	const char *version; /* "4.0" */
	size_t pairs;        /* of neighbours between 5.0 and it */
};

/* The shape of that version, for ever; NULL if there is none. */
const struct shape *shape_find(const char *version, size_t len);

/* What was asked for. The stored record may have more detail than that; what is too much is left
 * out as the upstream leaves it out. It cannot have less: who looks for the result sees to that. */
struct shape_view {
	const struct shape *shape;
	/* none: "evidence" is null. basic: its extendedEvidence is null, and it
	 * has no description; older versions than 5.0 do
	 * not know that, their evidence is extended */
	enum query_evidence evidence;
	bool cloud, qds;    /* else there is no cloudMetaData, no qds */
	bool hide_evidence; /* the grant shows evidence and causeOfFailure as null */
};

/* Buffers for one record after the other; about 10 KiB itself. */
struct shape_writer {
	struct change_record record;
};
void shape_writer_init(struct shape_writer *w);
void shape_writer_fini(struct shape_writer *w); /* w may be all zero */

/* Appends one record, compact between its members, beginning {"id": (in 5.0 {"postureId": where the
 * upstream called it that), and adds to *io_changes a bit (1 << number, see change_get()) for each
 * change that had effect.
 *   STATUS_OK
 *   STATUS_CORRUPT    body and memo are not what normalise() writes, or do not belong together
 *   STATUS_OVERFLOW, STATUS_NO_MEMORY
 *   after a failure out holds what it held, and *io_changes is untouched */
enum status shape_write(struct shape_writer *w, const struct shape_view *v, const char *body,
    size_t body_len, const uint8_t *memo, size_t memo_len, struct buf *out,
    uint32_t *io_changes) NODISCARD;

#endif
