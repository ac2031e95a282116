/* A batch: records of one part on their way to the store, from the beginning of the last row block and
 * of the last fragment that were not full: both are rewritten as they fill.
 *
 * Threads: one at a time.
 */
#ifndef CACHE_BATCH_H
#define CACHE_BATCH_H

#include "cache/store.h"
#include "gateway/base/buf.h"

/* Bodies side by side, closed or being filled: a fragment. */
struct run {
	size_t at, len; /* in the bodies */
	uint32_t count;
	size_t twin_at, twin_len; /* in the twins; 0: there is none yet */
	uint32_t crc;             /* of its content, if there is one */
};

struct batch {
	struct cache_stage *stage;
	uint32_t call, attempt;

	struct row *rows;
	size_t row_count, row_cap;
	uint32_t first_block;    /* number of the block that rows[0] begins */
	struct buf memos;        /* of rows, block by block */
	size_t block_memo_bytes; /* of the block being filled */

	struct run *runs;
	size_t run_count, run_cap;
	uint32_t first_fragment; /* number of runs[0] */
	struct buf bodies;
	struct buf before; /* the end of the run before runs[0], if that is not among these */
	struct buf twins;
	/* of the first runs: made as late as possible, by whoever has the time */
	size_t twin_count;
	bool ends; /* the last run is the part's last, however little it has */

	/* the writer's (writer.c) */
	uint64_t records;   /* of the part, with these */
	bool tells;         /* there are more than before */
	atomic_bool busy;   /* set under the writer's lock */
	enum status status; /* how it ended; likewise */
	struct batch *next; /* likewise */
};

void batch_init(struct batch *b, struct cache_stage *stage, uint32_t call, uint32_t attempt);
void batch_fini(struct batch *b);

/* Adds a record; the row's places are filled in.
 *   STATUS_OVERFLOW (the memos of one block of rows are beyond 64 MiB), STATUS_NO_MEMORY */
enum status batch_add(struct batch *b, const struct row *row, const void *body, size_t body_len,
    const void *memo, size_t memo_len) NODISCARD;
/* Makes the next twin that is missing of a run that does not change any more; false in *ret_made if
 * there is none. STATUS_OK or STATUS_NO_MEMORY. */
enum status batch_make_twin(struct batch *b, bool *ret_made) NODISCARD;
/* It would write a twin that is not in the store yet. */
bool batch_lacks_twin(const struct batch *b);
/* Makes the next batch of the part, whatever it held, begin with what of this one is not full. */
enum status batch_begin_next(const struct batch *b, struct batch *next) NODISCARD;

/* The most that writing it takes of the store. */
uint64_t batch_bytes(const struct batch *b);
void batch_write(const struct batch *b, struct env_txn *t);

#endif
