/* What a caller of the drop-in surface posts to postureInfo: hosts by policy, as the resolution of host
 * IDs answered them, or in 5.0 posture IDs. Source: the vendor's pages for Get Posture Info.
 *
 *     [{"policyId":"1","subscriptionId":"2","hostIds":["3","4"]},…]
 *     [{"subscriptionId":"2","postureId":"1,5-9"},…]
 *
 * IDs are taken quoted or not. Members beside these are passed over, the "error" that a resolution may
 * carry among them: its answer is meant to be posted back as it is. Anything else that is not of this
 * form is refused; the JSON is read as strictly as the upstream's is (fetch/split.h).
 *
 * Threads: any; the function is pure but for the arena it is given.
 */
#ifndef LEGACY_BODY_H
#define LEGACY_BODY_H

#include "gateway/query/query.h"

/* What is asked for under one policy and subscription, or of one subscription by posture: exactly one of
 * hosts and postures is not empty. */
struct legacy_want {
	uint64_t policy; /* 0: by posture */
	uint64_t subscription;
	struct id_list hosts;
	struct id_ranges postures;
};

/* Ascending by policy, then by subscription: elements of the same of both are one. */
struct legacy_wants {
	const struct legacy_want *list;
	size_t count; /* 0: no element has a host, which is a good body and asks for nothing */
};

/* `version` is "1.0" to "5.0"; in 1.0 and 2.0 a body has hosts of at most 10 policies.
 *   STATUS_OK           *ret lives in the arena
 *   STATUS_BAD_REQUEST  no such body; *ret_message is one sentence for {"message":…}, in the arena
 *   STATUS_TOO_LARGE    more than LIMIT_BODY_BYTES, or than LIMIT_QUERY_IDS IDs, as they stand there, a
 *                       range counting its width; likewise
 *   STATUS_NO_MEMORY */
enum status legacy_body_read(struct arena *a, const char *version, const char *text, size_t len,
    struct legacy_wants *ret, const char **ret_message) NODISCARD;

#endif
