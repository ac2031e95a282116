/* The policy list and the hosts of policies as the upstream answers them, written from stored records
 * (fetch/listing.h) one by one. Pure.
 *
 * What normalising has changed is changed back: a date that is not there is "", `locked` is 0 or 1, in
 * a resolution all IDs are texts. Sources: the vendor's pages for the policy list and for resolving host
 * IDs, and what a real client was seen to read: IDs are numbers in the one and texts in the other.
 *
 *     legacy_policies_init(&w, &buf, subscription);
 *     for each record: legacy_policies_add(&w, record, len);
 *     legacy_policies_end(&w);
 *
 * Bytes go into the caller's buffer, whose error is asked for once, at the end.
 *
 * Threads: owner only.
 */
#ifndef LEGACY_LISTS_H
#define LEGACY_LISTS_H

#include "gateway/base/buf.h"
#include "gateway/query/query.h"

/* --- {"subscriptionId":263191,"policyList":[{"id":1,…,"locked":0},…]} */

struct legacy_policies {
	struct buf *out;
	uint64_t subscription;
	size_t count;
};

/* `subscription` is told where no record tells it; 0: null is written. */
void legacy_policies_init(struct legacy_policies *w, struct buf *out, uint64_t subscription);
/* A record of a policy list, in the order in which they are to stand. Its tags are shown if it has any:
 * as "requireTagInfo", whatever they were called.
 *   STATUS_OK, STATUS_CORRUPT (no such record): the buffer is of no use then */
enum status legacy_policies_add(
    struct legacy_policies *w, const char *record, size_t len) NODISCARD;
/* STATUS_OK, or the buffer's error. */
enum status legacy_policies_end(struct legacy_policies *w) NODISCARD;

/* --- [{"policyId":"1","subscriptionId":"2","hostIds":["3","4"]},…] */

struct legacy_hosts {
	struct buf *out;
	const struct id_list *policies, *errors;
	uint64_t subscription;
	size_t next;    /* of the policies: not begun yet */
	bool open, any; /* a list of hosts is, and has one */
};

/* `policies` are those to tell of, each once, in this order; of them `errors` are those whose hosts the
 * upstream could not tell: they carry an "error", beside whatever hosts there are all the same. Both
 * ascend, and are borrowed to the end. `subscription` is told where no record before tells one; 0: null
 * is written. */
void legacy_hosts_init(struct legacy_hosts *w, struct buf *out, const struct id_list *policies,
    const struct id_list *errors, uint64_t subscription);
/* A record of a resolution; those of a policy stand side by side, and policies ascend. One of another
 * policy is passed over.
 *   STATUS_OK, STATUS_CORRUPT (no such record, or out of order): as above */
enum status legacy_hosts_add(struct legacy_hosts *w, const char *record, size_t len) NODISCARD;
/* STATUS_OK, or the buffer's error. */
enum status legacy_hosts_end(struct legacy_hosts *w) NODISCARD;

#endif
