/* The policy list and the hosts of policies as the upstream answers them, written from stored records
 * (fetch/listing.h) one by one. Pure.
 *
 * What normalising has changed is changed back: a date that is not there is "", `locked` is 0 or 1, in
 * a resolution all IDs are texts. Sources: the vendor's pages for the policy list and for resolving host
 * IDs, and what a real client was seen to read: IDs are numbers in the one and texts in the other.
 *
 * A list is as long as it is, and leaves in pieces: once a buffer has `piece_bytes`, nothing is added to
 * it any more, and whoever writes goes on with an empty one where it was told to stop. Wherever that
 * is, the pieces make the same text.
 *
 *     legacy_policies_init(&w, subscription, piece_bytes);
 *     for each record:
 *         while (legacy_policies_add(&w, record, len, &buf) == STATUS_OVERFLOW)
 *             send and empty buf;
 *     while (!legacy_policies_end(&w, &buf))
 *         send and empty buf;
 *     send buf;
 *
 * A buffer holds piece_bytes and one record more at most; whether it could is for the caller to ask of
 * it (its error), before it is sent.
 *
 * Threads: owner only.
 */
#ifndef LEGACY_LISTS_H
#define LEGACY_LISTS_H

#include "gateway/base/buf.h"
#include "gateway/query/query.h"

/* --- {"subscriptionId":263191,"policyList":[{"id":1,…,"locked":0},…]} */

struct legacy_policies {
	uint64_t subscription;
	size_t piece_bytes;
	bool begun;
};

/* `subscription` is told where no record tells it; 0: null is written. piece_bytes is not 0. */
void legacy_policies_init(struct legacy_policies *w, uint64_t subscription, size_t piece_bytes);
/* A record of a policy list, in the order in which they are to stand. Its tags are shown if it has any:
 * as "requireTagInfo", whatever they were called.
 *   STATUS_OK
 *   STATUS_OVERFLOW  out has piece_bytes: the record is to be given again, with an empty buffer
 *   STATUS_CORRUPT   no such record: the list cannot be ended */
enum status legacy_policies_add(
    struct legacy_policies *w, const char *record, size_t len, struct buf *out) NODISCARD;
/* False: out has piece_bytes, and it is to be called again with an empty buffer. */
bool legacy_policies_end(struct legacy_policies *w, struct buf *out) NODISCARD;

/* --- [{"policyId":"1","subscriptionId":"2","hostIds":["3","4"]},…] */

struct legacy_hosts {
	const struct id_list *policies, *errors;
	uint64_t subscription;
	size_t piece_bytes;
	size_t next;           /* of the policies: not begun yet */
	bool begun, open, any; /* the array is; a list of hosts is, and has one */
};

/* `policies` are those to tell of, each once, in this order; of them `errors` are those whose hosts the
 * upstream could not tell: they carry an "error", beside whatever hosts there are all the same. Both
 * ascend, and are borrowed to the end. `subscription` is told where no record before tells one; 0: null
 * is written. piece_bytes is not 0. */
void legacy_hosts_init(struct legacy_hosts *w, const struct id_list *policies,
    const struct id_list *errors, uint64_t subscription, size_t piece_bytes);
/* A record of a resolution; those of a policy stand side by side, and policies ascend. One of another
 * policy is passed over.
 *   STATUS_OK, STATUS_OVERFLOW, STATUS_CORRUPT (no such record, or out of order): as above */
enum status legacy_hosts_add(
    struct legacy_hosts *w, const char *record, size_t len, struct buf *out) NODISCARD;
/* False: as above. */
bool legacy_hosts_end(struct legacy_hosts *w, struct buf *out) NODISCARD;

#endif
