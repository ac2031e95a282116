/* The records of a source, one by one, with all that is stored of each: of a result, or of a fetch
 * under way as its calls bring them.
 *
 * A walk gives every record once, call by call, in the order in which they came. Of a fetch it
 * gives what is committed and then waits; when the fetch has ended well, the walk goes on in its
 * result, and only then is there an end. A call that is made again begins anew: records that were
 * given before are passed over, and each of them has to come again, or the walk fails; what was
 * given cannot be taken back, so that of a record which has changed in between the first value
 * stays. For that it remembers the ids given of the one call that it stands in: 8 bytes a record,
 * 24 once the call is made again. An id that comes twice in an answer is two records, and has to
 * come twice again.
 *
 * Threads: owner only. Opens short views of the cache; never while anything is written to a client.
 */
#ifndef ANSWER_READER_H
#define ANSWER_READER_H

#include "cache/cache.h"
#include "gateway/fetch/flight.h"
#include "gateway/query/filter.h"

/* One record as it is stored; all of it borrowed for the call. */
struct reader_record {
	const struct row *row;
	const char *body;
	size_t body_len;
	const uint8_t *memo;
	size_t memo_len;
};
typedef enum status reader_record_f(void *ctx, const struct reader_record *rec);

enum reader_state {
	READER_MORE,  /* there is more to take */
	READER_WAITS, /* for the fetch: reader_wait() */
	READER_END,   /* that was all of the result */
};

struct reader {
	struct cache *cache;
	struct cache_result *result; /* NULL: there is none yet */
	struct flight *flight;       /* NULL: of a result */
	struct filter filter;
	/* to be set after reader_init() */
	bool takes_incomplete;           /* holes are told by other means */
	const struct id_list *must_have; /* hosts that a fetch has to have asked for; NULL: any */
	/* where it stands */
	uint32_t call;
	struct flight_call seen; /* of that call, when last looked at */
	uint64_t at;             /* records of the call's attempt passed */
	bool gave;               /* any record at all */
	uint64_t *given;         /* ids, by this attempt at the call */
	size_t given_count, given_room;
	struct reader_before { /* by earlier ones; ascending ids, each once */
		uint64_t id;
		uint32_t times; /* given */
		uint32_t owed;  /* of these not come again yet */
	} * before;
	size_t before_count;
	uint64_t owed; /* in all */
};

/* Takes references of its own to one of the two, and a copy of the filter, whose query and grant
 * stay borrowed until reader_fini(). */
void reader_init(struct reader *r, struct cache *cache, struct cache_result *result,
    struct flight *flight, const struct filter *filter);
void reader_fini(struct reader *r);

/* Gives some of the records that follow to `record`: at most most_records, and no more once
 * most_bytes of them are passed (neither may be 0), so that the view stays short; none is
 * possible, where the filter passes over all that was looked at. *ret_state says how to go on. A
 * record for which `record` fails was not given, and comes once more if the walk goes on; after
 * the failures of the upstream it cannot.
 *   STATUS_OK
 *   what the fetch failed with, or what `record` said
 *   STATUS_UPSTREAM_BAD_DATA    a record that was given did not come again
 *   STATUS_UPSTREAM_RETIRED     records were given of a version that is no longer asked
 *   STATUS_UPSTREAM_INCOMPLETE  the result lacks something, and the reader does not take such ones;
 *                               or the fetch has not asked for a host that it has to have
 *   STATUS_STOPPING             the fetch has ended well and there is no result of it
 *   STATUS_CORRUPT, STATUS_STORE_FAILED, STATUS_BUSY, STATUS_NO_MEMORY */
enum status reader_take(struct reader *r, size_t most_records, size_t most_bytes,
    reader_record_f *record, void *ctx, enum reader_state *ret_state) NODISCARD;

/* After READER_WAITS: until something has changed or the time is reached (monotonic). False: all
 * waiting has ended, the process stops. */
bool reader_wait(struct reader *r, int64_t until_ms) NODISCARD;

#endif
