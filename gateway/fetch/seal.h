/* Whether what the calls brought is a complete answer, and its manifest. Pure.
 *
 * By the time of sealing every call has ended cleanly; what is left to judge is the sum: hosts
 * asked and seen, batch numbers announced and seen, policies whose hosts could not be resolved.
 *
 * Threads: any.
 */
#ifndef FETCH_SEAL_H
#define FETCH_SEAL_H

#include "cache/cache.h"
#include "gateway/fetch/pull.h"

/* How long the result counts as what: each from the end of the one before. */
struct seal_freshness {
	int64_t fresh_for_ms, stale_for_ms, keep_for_ms;
};

/* Whose times count. */
enum seal_fresh {
	SEAL_FRESH_ASKED,    /* of the policies asked for, the shortest */
	SEAL_FRESH_OVERALL,  /* the overall ones, whatever policies are in it */
	SEAL_FRESH_SHORTEST, /* the shortest that there are: where the policies are known from the
				records alone, other times would tell who may not see them of them */
};
typedef struct seal_freshness seal_freshness_f(
    void *ctx, enum seal_fresh fresh, const uint64_t *policies, size_t count);

struct seal {
	/* in */
	const char *text; /* canonical query */
	size_t text_len;
	const uint8_t *digest;
	const char *version;
	int64_t fetched_at_ms; /* wall */
	uint32_t calls;        /* made, repeats included */
	seal_freshness_f *freshness;
	void *freshness_ctx;
	enum seal_fresh fresh;
	bool unfiltered;        /* batch gaps mean something only without filters */
	bool gap_is_incomplete; /* a batch that is missing makes the result incomplete */
	/* from fetched_at: when the first of the policies of host_errors is asked again */
	int64_t hosts_again_ms;
	const uint64_t *policies; /* asked, ascending */
	size_t policy_count;
	const uint64_t *hosts; /* asked, ascending */
	size_t host_count;
	const uint64_t *host_errors; /* ascending */
	size_t host_error_count;
	const struct cache_part_info *parts; /* in the order of calls */
	const struct pull_got *got;          /* of each part; settled by seal_make() */
	size_t part_count;
	/* out; owned by the seal */
	struct id_set hosts_seen, policies_seen;
	uint32_t *missing;
	size_t missing_count;
	struct cache_manifest manifest; /* borrows from the seal and from what it was given */
};

/* Fills the manifest. STATUS_OK or STATUS_NO_MEMORY; seal_fini() in both cases. */
enum status seal_make(struct seal *s) NODISCARD;
void seal_fini(struct seal *s);

#endif
