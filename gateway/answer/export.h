/* A whole result as it streams, in one of two forms:
 *
 *     NDJSON  a line a posture, each as it is in a page, and as the last one {"result":{…}}
 *     CSV     RFC 4180: a line of names, then a line a posture; each ends with CR LF
 *
 * The columns of a CSV are the normalised members in their order, or those of them that are asked for;
 * members of export_table.h are one for each of their parts, "technology.id". What nobody has heard of
 * has no column. A cell is by the type of its value, whatever its member:
 *
 *     null              nothing
 *     a string          the text itself, unescaped, as base/csv.h writes one; U+0000, which many readers
 *                       take for an end, is U+FFFD
 *     a number, a boolean   as it stands in the JSON
 *     an object or array    its JSON, without white space between tokens
 *     a part of what is no object, or has no such member   nothing
 *
 * Records are given one by one and nothing is kept of them: the memory is that of a piece, whatever the
 * size of the result.
 *
 * Threads: owner only. Opens short views of the cache; never while anything is written to a client.
 */
#ifndef ANSWER_EXPORT_H
#define ANSWER_EXPORT_H

#include "gateway/answer/reader.h"
#include "gateway/answer/span.h"
#include "gateway/fetch/normalise.h"

enum export_form { EXPORT_NDJSON, EXPORT_CSV };

#define EXPORT_COLUMNS_MOST (NORMAL_MEMBERS_MOST + 4)

struct export
{
	enum export_form form;
	struct reader reader;
	struct record_transform transform; /* of the answer */
	bool restricted;                   /* likewise: a grant may hide records */
	bool begun;
	struct export_column { /* of a CSV, in their order */
		uint8_t place; /* of the member */
		bool hidden;
		const char *name, *inside; /* of the member; of its part, or NULL */
	} columns[EXPORT_COLUMNS_MOST];
	size_t column_count;
	struct buf scratch; /* of one cell */
	struct buf *piece;  /* while one is made */
};

/* Takes a reference of its own to the result; the filter is borrowed. */
void export_init(struct export *e, const struct answer *a, enum export_form form);
void export_fini(struct export *e);

/* A response_next_f (front/response.h); ctx is the struct export. A piece may come out empty, and grows to
 * some 256 KiB, or by what one large record takes. Any failure is final: what was given is not whole.
 *   STATUS_OK, STATUS_CORRUPT, STATUS_STORE_FAILED, STATUS_BUSY, STATUS_OVERFLOW, STATUS_NO_MEMORY */
enum status export_next(void *export, struct buf *piece, bool *ret_end);

#endif
