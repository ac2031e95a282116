/* Counts of the records of an answer, by members that stand in their rows: status, criticality and
 * IDs. Bodies are never read.
 *
 * Threads: any. Opens short views of the cache; never while anything is written to a client.
 */
#ifndef ANSWER_SUMMARY_H
#define ANSWER_SUMMARY_H

#include "gateway/answer/span.h"
#include "gateway/query/query.h"

/* Appends {"data":[{"status":"Passed","count":812},…],"result":{…}}: the records that match, counted
 * by the members in `by` (enum query_by bits, at least one). Each group has these members, in the
 * order of the bits, and its count, which is never 0; groups ascend by their values in the same
 * order, a status as Passed, Failed, Error. Null, the last of each, stands for what a record lacks
 * or what is none of the values (ROW_STATUS_NONE, ROW_STATUS_OTHER, no criticality, an ID of 0).
 * Passed by exception is Passed. Of the answer's transform (fields, hide) nothing counts.
 *
 * Holds 48 bytes a group while it counts, and up to twice that while its table grows.
 *   STATUS_OK
 *   STATUS_TOO_MANY_GROUPS  there are more than LIMIT_SUMMARY_GROUPS, or they have more than
 *                           LIMIT_PAGE_BYTES as text
 *   STATUS_CORRUPT, STATUS_STORE_FAILED, STATUS_BUSY, STATUS_OVERFLOW, STATUS_NO_MEMORY */
enum status summary_write(const struct answer *a, unsigned by, struct buf *body) NODISCARD;

#endif
