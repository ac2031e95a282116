/* The policy list and the hosts of a policy, from the upstream's text to records. Pure.
 *
 * A record has the members of the contract in one fixed order, every one present, null where the
 * upstream has nothing; members beside these (what nobody has heard of) are left out. Where tags are
 * asked for, the object that has them (requireTagInfo in the vendor's text, tagInfo in a client) is
 * the last member, `tags`, as it came. IDs
 * are integers whether they came quoted or not, `locked` is a boolean, an empty date is null; a
 * value that does not fit stays as it came. There is no memo.
 *
 * Threads: any.
 */
#ifndef FETCH_LISTING_H
#define FETCH_LISTING_H

#include <stdbool.h>

#include "cache/cache.h"
#include "gateway/base/buf.h"
#include "gateway/fetch/split.h"

/* A policy list's parts: borrowed from its text. All zero: no policies. */
struct listing {
	uint64_t subscription; /* 0: not told */
	const char *policies;  /* the array, or NULL: null in its place */
	size_t policies_len;
};

/* Takes the outer object apart: {"subscriptionId":1,"policyList":[…]} in any order, others beside
 * them passed over.
 *   STATUS_OK
 *   STATUS_UPSTREAM_BAD_DATA   no object, or not a whole one
 *   STATUS_UPSTREAM_MALFORMED  no policyList, one of the two twice, a subscription that is no ID */
enum status listing_open(const char *text, size_t len, struct listing *ret) NODISCARD;
/* Every policy of it, as split.h hands records over. As split_advance() and split_finish(). */
enum status listing_each(const struct listing *list, split_record_f *policy, void *ctx) NODISCARD;

/* Appends the policy as a record, with its tags or without; fills the row (id and policy are its ID, `evaluated` its date).
 *   STATUS_OK, STATUS_UPSTREAM_MALFORMED (its id is none), STATUS_UPSTREAM_TOO_LARGE,
 *   STATUS_NO_MEMORY */
enum status listing_policy(const struct split_record *rec, uint64_t subscription, bool tags,
    struct buf *body, struct row *ret_row) NODISCARD;
/* Likewise a host (id and host are its ID); subscription 0: not told. STATUS_OK, or the buffer's. */
enum status listing_host(uint64_t policy, uint64_t subscription, uint64_t host, struct buf *body,
    struct row *ret_row) NODISCARD;

#endif
