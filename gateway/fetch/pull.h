/* One upstream call as a stream: bytes → inflate → split → (normalise → store | whatever the
 * caller does with a record). Constant memory, whatever comes.
 *
 * A pull is good only if the transfer, every gzip member and the JSON array all ended as they
 * should. What it stored before it failed is the caller's to drop.
 *
 * Threads: owner only; blocks on the network and the disk.
 */
#ifndef FETCH_PULL_H
#define FETCH_PULL_H

#include "cache/cache.h"
#include "gateway/base/ids.h"
#include "gateway/fetch/split.h"
#include "gateway/query/query.h"
#include "gateway/upstream/transport.h"

/* Streams one call's array to `record`; `idle` is called with record_ctx as the sink's is
 * (upstream/transport.h), and may be NULL.
 *   STATUS_OK, or what transport, inflater, splitter or the callback gave (204 is an empty array) */
enum status pull_array(struct transport *t, const struct transport_request *req,
    const atomic_bool *cancelled, void (*head)(void *ctx, const struct transport_head *head),
    void *head_ctx, split_record_f *record, void *record_ctx, void (*idle)(void *ctx),
    struct transport_head *ret_head) NODISCARD;

/* The whole inflated body of a small answer, appended to text up to the buffer's maximum
 * (STATUS_UPSTREAM_TOO_LARGE beyond it); nothing for a 204. */
enum status pull_text(struct transport *t, const struct transport_request *req,
    const atomic_bool *cancelled, void (*head)(void *ctx, const struct transport_head *head),
    void *head_ctx, struct buf *text, struct transport_head *ret_head) NODISCARD;

/* What a call of postureInfo was asked for: a record of anything else is a wrong answer. */
struct pull_asked {
	uint64_t policy;       /* 0: by posture */
	const uint64_t *hosts; /* ascending */
	size_t host_count;
	struct id_ranges ranges; /* empty: by host */
};

/* What one call brought. All zero before; pull_got_fini() after. */
struct pull_got {
	struct id_set hosts, policies; /* seen */
	uint8_t *batches;              /* bit n: batch number n was seen */
	size_t batch_bytes;
	uint32_t batches_seen, batches_announced;
	/* Of the records' IDs, whatever their order: two answers with the same records have the same. */
	struct pull_print {
		uint64_t count, sum, mixed;
	} print;
};
void pull_got_fini(struct pull_got *got);
/* Whether batch number n (from 1 on) was seen. */
bool pull_got_batch(const struct pull_got *got, uint32_t n);
/* Whether a batch number that was announced was not seen. */
bool pull_got_gap(const struct pull_got *got);
bool pull_print_equal(const struct pull_print *a, const struct pull_print *b);

/* Where normalised postures go. */
struct pull_store {
	struct cache_part *part;
	const struct pull_asked *asked;
	struct pull_got *got;
	struct buf body, memo; /* the puller's own, between pull_store_init() and _fini() */
	uint64_t last_host;
	uint64_t committed;
	int64_t committed_ms, pause_ms;
	enum status failed; /* of a commit in `idle` */
};
void pull_store_init(struct pull_store *s, struct cache_part *part, const struct pull_asked *asked,
    struct pull_got *got);
void pull_store_fini(struct pull_store *s);
/* The split_record_f and the idle function of a store: normalises, checks that the record was asked
 * for, adds it to the part; commits what waits. The first records are committed as soon as they come, for
 * somebody may wait for them; the pauses between commits double up to LIMIT_COMMIT_MS, and begin anew
 * once nothing has waited for so long. */
enum status pull_store_record(void *store, const struct split_record *rec);
void pull_store_idle(void *store);

#endif
