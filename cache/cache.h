/* The cache: results on disk, in one LMDB environment. The only door to cache/.
 *
 * It knows bytes, keys and times, nothing of requests, of the upstream or of the network; the
 * time is always an argument. docs/store-format.md has every byte on disk.
 *
 * A **result** is the complete, immutable answer to one upstream query, known by the digest of
 * its canonical text. It consists of the parts (one for each upstream call) that its manifest
 * lists, in that order; a part is a run of records: for each a fixed-size row, a body (the
 * normalised JSON text) and a memo (what the inverse of normalising needs; mostly a few bytes).
 *
 * A result in the making is a **stage**. What it has committed can be read up to the watermark by
 * whoever holds the stage; the result becomes visible to everyone by the one commit of
 * cache_stage_publish(). What a crash leaves of a stage, cache_sweep() finds and deletes.
 *
 * Threads: any, but where a line says otherwise. No call blocks on anything but the disk and the
 * one writer.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/crypto.h"
#include "gateway/base/status.h"

struct cache;
struct cache_stage;
struct cache_part;
struct cache_result;
struct cache_view;

/* --- a row: what a filter, a count or a jump needs, and where the body is */

enum row_status { ROW_STATUS_NONE, ROW_PASSED, ROW_FAILED, ROW_ERROR, ROW_STATUS_OTHER };

enum row_flags {
	ROW_EXCEPTION = 1,          /* status was Passed* */
	ROW_PREVIOUS_EXCEPTION = 2, /* previousStatus was Passed* */
	ROW_MISFIT = 4, /* an ID, date or criticality could not be read from the record: it is 0 */
};

#define ROW_DATE_NONE 0                /* null or "" */
#define ROW_DATE_UNREADABLE UINT32_MAX /* no moment of 1970-2106: another text, or a day alone */
#define ROW_CRITICALITY_NONE 255

/* 88 bytes without a gap: what stands on disk, little-endian. IDs are 1..2^63-1, 0 where the
 * record has none that fits. */
struct row {
	uint64_t id, policy, control, host, technology;
	uint32_t evaluated;              /* lastEvaluatedDate, seconds since 1970 */
	uint32_t scanned;                /* complianceLastScanDate */
	uint32_t changed;                /* postureModifiedDate */
	uint32_t created;                /* created */
	uint32_t batch;                  /* currentBatch, 0 if absent */
	uint32_t batches;                /* totalBatches, 0 if absent */
	uint8_t status, previous_status; /* enum row_status */
	uint8_t criticality;             /* value 0-5, or ROW_CRITICALITY_NONE */
	uint8_t flags;                   /* enum row_flags */
	/* set by the cache: leave them 0 */
	uint32_t fragment, body_at, body_len;
	uint32_t memo_at, memo_len;
};

/* --- a manifest: what is known of a result as a whole */

struct cache_part_info {
	uint32_t call;    /* parts are listed in the order of their calls */
	uint32_t attempt; /* the one that counts */
	uint64_t records;
	uint64_t body_bytes;
};

struct cache_manifest {
	uint64_t id;                  /* unique for ever, grows with time; set by the cache */
	uint8_t digest[SHA256_BYTES]; /* of text */
	const char *text;             /* canonical query */
	size_t text_len;
	int64_t fetched_at_ms;   /* wall, start of the first call */
	int64_t published_at_ms; /* wall; set by cache_stage_publish() */
	int64_t fresh_until_ms;  /* wall; the three are fixed when the result is made */
	int64_t stale_until_ms;
	int64_t keep_until_ms;
	char version[8]; /* of the upstream, e.g. "5.0", NUL-terminated */
	bool complete;
	uint32_t calls; /* upstream calls made, repeats included */
	uint32_t batches;
	uint64_t hosts_asked, hosts_seen;
	uint64_t records, body_bytes; /* sums over parts; set by the cache */
	const uint64_t *policies;     /* ascending: which policies have records or were asked */
	size_t policy_count;
	const uint64_t *hosts; /* ascending: the hosts resolved, i.e. what was fetched */
	size_t host_count;
	const uint64_t *host_errors; /* ascending: policies whose host resolution failed in-band */
	size_t host_error_count;
	const uint32_t *missing_batches; /* ascending batch numbers announced and not seen */
	size_t missing_batch_count;
	const struct cache_part_info *parts;
	size_t part_count;
};

/* --- life */

/* When twins are made: the forms of fragments that gzip pages are put together from. */
enum cache_twins {
	CACHE_TWINS_OFF,
	CACHE_TWINS_LAZY,   /* cache_make_twins(), for results of which some were missed */
	CACHE_TWINS_INGEST, /* with what they are of, and lazily where they are missed */
};

struct cache_options {
	/* made with mode 0700 if it is not there */
	const char *dir;
	/* Quota of what is in use; eviction begins at 80 % of it. The file may grow beyond it, to
	 * stats.map_bytes, and never shrinks. */
	uint64_t size_bytes;
	/* most threads that read at a time */
	unsigned readers;
	/* how long a replaced result is kept for cursors, sliding with use */
	int64_t cursor_grace_ms;
	enum cache_twins twins;
};

/* Opens or makes the store: refuses network file systems, locks out a second process, inspects the
 * file's length and its trees, sets an unknown format version or a damaged environment aside
 * (renamed beside it, never misread) and begins anew. What a crash left of stages is invisible at
 * once, and cache_sweep()'s to delete. Only one store can be open in a process at a path.
 *   STATUS_BUSY          another process has it
 *   STATUS_STORE_FAILED  cannot be used here; the reason is logged
 *   STATUS_NO_MEMORY */
enum status cache_open(
    const struct cache_options *o, int64_t now_wall_ms, struct cache **ret) NODISCARD;
/* No handle, stage or view may be left. NULL is fine. */
void cache_close(struct cache *c);

/* --- finding a result */

/* The current result for the digest, if its canonical text is equal to `text` (a collision is
 * STATUS_NOT_FOUND), whatever its age. The handle is yours until cache_release(). Marks it used.
 *   STATUS_NOT_FOUND, STATUS_CORRUPT (its manifest is damaged: it is not found again),
 *   STATUS_BUSY (too many views are open), STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status cache_lookup(struct cache *c, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t text_len, int64_t now_wall_ms, struct cache_result **ret) NODISCARD;
/* The result with this id, current or replaced and not yet removed (for cursors). */
enum status cache_get(
    struct cache *c, uint64_t id, int64_t now_wall_ms, struct cache_result **ret) NODISCARD;
/* Valid until cache_release(). */
const struct cache_manifest *cache_manifest(const struct cache_result *r);
struct cache_result *cache_ref(struct cache_result *r);
void cache_release(struct cache_result *r); /* NULL is fine */

/* Canonical texts remembered for cursors, at least until keep_until; publishing a result remembers
 * its text until the result's. cache_query_put() is a commit; for a text that is there already
 * there is one an hour at most. The text is copied into *ret_text, with a NUL behind it (free()
 * it).
 *   STATUS_INTERNAL (put: the digest is known with another text), STATUS_NOT_FOUND (get),
 *   STATUS_STORE_FULL, STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status cache_query_put(struct cache *c, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t len, int64_t keep_until_wall_ms) NODISCARD;
/* By the first half of the digest, as a cursor has it. */
enum status cache_query_get(struct cache *c, const uint8_t half[SHA256_BYTES / 2], char **ret_text,
    size_t *ret_len) NODISCARD;

/* --- notes: small things that others want to find again after a restart */

#define CACHE_NOTE_NAME_BYTES 48
#define CACHE_NOTE_BYTES ((size_t)1024 * 1024)

/* Remembers `len` bytes under the name (of 1 to CACHE_NOTE_NAME_BYTES bytes), in place of what was
 * there. They outlive the process at once; a power cut may undo the last ones put, wholly.
 *   STATUS_OVERFLOW (more than CACHE_NOTE_BYTES), STATUS_STORE_FULL, STATUS_STORE_FAILED,
 *   STATUS_CORRUPT (damage was met: the store is fenced) */
enum status cache_note_put(
    struct cache *c, const char *name, const void *bytes, size_t len) NODISCARD;
/* A copy: free() it.
 *   STATUS_NOT_FOUND, STATUS_CORRUPT (it is not what was put), STATUS_BUSY (too many views are
 *   open), STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status cache_note_get(
    struct cache *c, const char *name, void **ret_bytes, size_t *ret_len) NODISCARD;

/* --- making a result */

/* `committed` is told after every commit of a part: a view that is opened from now on can read the
 * first `records` records of (call, attempt), by a source with the stage's id. Called in the thread
 * that wrote, without locks. */
struct cache_stage_events {
	void (*committed)(void *ctx, uint32_t call, uint32_t attempt, uint64_t records);
	void *ctx;
};

/* Nothing is written yet. events may be NULL. STATUS_STORE_FAILED if the store is fenced. */
enum status cache_stage_open(struct cache *c, const struct cache_stage_events *events,
    int64_t now_wall_ms, struct cache_stage **ret) NODISCARD;
uint64_t cache_stage_id(const struct cache_stage *s);

/* One attempt at one call; several may be open at once, each used by one thread at a time. A pair
 * of call and attempt is used once in a stage. */
enum status cache_part_open(
    struct cache_stage *s, uint32_t call, uint32_t attempt, struct cache_part **ret) NODISCARD;
/* Adds a record; the bytes are copied. Once LIMIT_COMMIT_BYTES are waiting they go to the writer, a
 * thread of the store, and this waits for nothing but the batch before them. What fails there is told
 * by a later call.
 *   STATUS_OVERFLOW (a body or memo above twice LIMIT_RECORD_BYTES, 64 MiB of memos in one block
 *   of rows), STATUS_STORE_FULL, STATUS_STORE_FAILED, STATUS_NO_MEMORY: every further call says
 *   the same, and the part can only be dropped */
enum status cache_part_add(struct cache_part *p, const struct row *row, const void *body,
    size_t body_len, const void *memo, size_t memo_len) NODISCARD;
/* Commits what is waiting, and waits until all is: call it when LIMIT_COMMIT_MS have passed since the
 * last commit, and at the end. Nothing waiting: no commit. */
enum status cache_part_commit(struct cache_part *p) NODISCARD;
/* The same as the last commit of a part that is whole: its last fragment gets its twin too, which
 * those that still fill do not. */
enum status cache_part_end(struct cache_part *p) NODISCARD;
/* Records added so far, committed or not; and what stands in a manifest for this part. */
struct cache_part_info cache_part_info(const struct cache_part *p);
/* Frees the handle. What was not committed is lost. NULL is fine. */
void cache_part_close(struct cache_part *p);
/* A failed attempt: frees the handle; what it committed is the sweep's to delete. Not after its
 * stage was published or abandoned: then close it. NULL is fine. */
void cache_part_drop(struct cache_part *p);

/* Makes the result visible in one commit, replacing the current one of the same digest (which
 * stays readable by id until cursor_grace after its last use, at most until its keep_until). All
 * pointers in m stay the caller's. On success it is on the disk, *ret is a handle to the published
 * result and the stage is freed; on failure the stage is still yours to abandon.
 *   STATUS_INTERNAL (a part is not wholly committed, a list in m is not strictly ascending),
 *   STATUS_OVERFLOW (m is beyond 64 MiB), STATUS_STORE_FULL, STATUS_STORE_FAILED,
 *   STATUS_NO_MEMORY */
enum status cache_stage_publish(struct cache_stage *s, const struct cache_manifest *m,
    int64_t now_wall_ms, struct cache_result **ret) NODISCARD;
/* Frees the handle; what was staged is the sweep's to delete. Waits for what is on its way to the disk.
 * NULL is fine. */
void cache_stage_abandon(struct cache_stage *s);

/* --- reading: a view is one read transaction. Keep it short: copy what you need, close it, then
 * write to the client. At most one view a thread. Everything a view gives is borrowed until it is
 * closed. Each stored value's checksum is verified at its first read since its result was
 * opened, a stage's at each read. A view sees the store as it was when the view was opened:
 * get the handle first, then the view. */

/* STATUS_BUSY (too many views are open), STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status cache_view_open(struct cache *c, struct cache_view **ret) NODISCARD;
void cache_view_close(struct cache_view *v); /* NULL is fine */

/* From where to read: a part of a published result, or what is committed of a part of a stage. The
 * latter goes on working after the stage was published, as long as the result is held. */
struct cache_source {
	struct cache_result *result; /* or NULL: the part belongs to a stage */
	uint64_t id;                 /* the result's or stage's */
	uint32_t call, attempt;
};

/* The part (index into manifest.parts) and the record in it where the result's record `ordinal`
 * stands; false if ordinal >= manifest.records. */
bool cache_locate(
    const struct cache_result *r, uint64_t ordinal, size_t *ret_part, uint64_t *ret_at);
struct cache_source cache_source_part(struct cache_result *r, size_t part);

/* The rows from record `at` of the part to the end of their block: at least one.
 *   STATUS_NOT_FOUND  there is no such record (yet)
 *   STATUS_CORRUPT    the value is damaged; the result is quarantined: not found again, and
 *                     removed by the next sweep
 *   STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status cache_view_rows(struct cache_view *v, const struct cache_source *src, uint64_t at,
    const struct row **ret_rows, size_t *ret_count) NODISCARD;
/* The bodies of rows[0..n) of the same part, as long as they stand side by side: one slice
 * "rec,rec,rec" without a comma at its ends, and how many rows it covers (at least one). */
enum status cache_view_bodies(struct cache_view *v, const struct cache_source *src,
    const struct row *rows, size_t n, const char **ret_bytes, size_t *ret_len,
    size_t *ret_covered) NODISCARD;
/* Fragment number `number` of the part, as rows name it: all its bodies, joined by commas. */
struct cache_fragment {
	const char *bytes;
	size_t len, records;
};
enum status cache_view_fragment(struct cache_view *v, const struct cache_source *src,
    uint32_t number, struct cache_fragment *ret) NODISCARD;
/* Whether the first rows of rows[0..n), as a view gave them, are those of a whole fragment that has
 * so many records and bytes. */
bool cache_rows_fill(const struct row *rows, size_t n, size_t records, size_t len);

/* The twin of a fragment: its content as a run of raw deflate that ends at a byte's end and is not
 * the last of its stream. That of a number that is chained has a comma before its content, and can
 * only stand directly behind the whole content of the fragment before. */
struct cache_twin {
	const void *run;
	size_t run_len;
	uint32_t crc; /* of what it inflates to */
	size_t content_bytes;
	size_t records;
};
bool cache_twin_is_chained(uint32_t number);
/* Damage is logged, and no harm to the result: the fragment is there.
 *   STATUS_NOT_FOUND  there is none, or none whose checksum is right
 *   STATUS_CORRUPT    the store's own pages are damaged where it stands: it cannot be replaced */
enum status cache_view_twin(struct cache_view *v, const struct cache_source *src, uint32_t number,
    struct cache_twin *ret) NODISCARD;
/* A page has missed a twin of it: cache_make_twins() may make them. Costs nothing. */
void cache_want_twins(struct cache_result *r);
/* The same rows with their memos. */
struct cache_block {
	const struct row *rows;
	size_t count;
	const uint8_t *memos; /* of the whole block */
	size_t memo_bytes;
};
enum status cache_view_block(struct cache_view *v, const struct cache_source *src, uint64_t at,
    struct cache_block *ret) NODISCARD;
/* The memo of one of the block's rows (memo_len bytes), or NULL: the row is damaged. */
const uint8_t *cache_block_memo(const struct cache_block *b, const struct row *row);

/* --- upkeep: the janitor's; each call does a bounded amount of work */

/* Removes what is past its time, what failed stages left, then evicts the least recently used
 * results while the store is above its high-water mark; never what is held. A result that was not
 * used since the start counts as used when it was begun. *ret_more: call again soon.
 *   STATUS_STORE_FULL, STATUS_STORE_FAILED (the store is fenced), STATUS_CORRUPT (damage was met:
 *   the store is fenced from now on, and the next start sets it aside), STATUS_NO_MEMORY */
enum status cache_sweep(struct cache *c, int64_t now_wall_ms, bool *ret_more) NODISCARD;

/* Makes some of the twins that are missing or damaged of one of the results that they are wanted of,
 * as long as that evicts nothing; does nothing without a cause. *ret_more: call again soon. For one
 * thread. Fails as cache_sweep() does. */
enum status cache_make_twins(struct cache *c, bool *ret_more) NODISCARD;

/* Drops every result in which the policy occurs (0: every result), for good when it returns.
 * Results in use stay readable for their holders. Fails as cache_sweep() does. */
enum status cache_drop_policy(struct cache *c, uint64_t policy, uint64_t *ret_dropped) NODISCARD;

struct cache_stats {
	uint64_t results;    /* current or replaced, not removed */
	uint64_t stages;     /* open */
	uint64_t used_bytes; /* of the file: pages that hold something */
	uint64_t size_bytes; /* the quota for these */
	uint64_t map_bytes;  /* the most that the file can grow to */
	uint64_t readers;    /* most views that were open at a time */
	bool writable; /* false after an I/O error: hits are still served, nothing is stored */
};
void cache_get_stats(struct cache *c, struct cache_stats *ret);

/* Calls `each` for every published, not yet removed result, newest first, in one short view; the
 * manifest is borrowed for the call. Stops when `each` gives false. */
enum status cache_each(struct cache *c,
    bool (*each)(void *ctx, const struct cache_manifest *m, bool current), void *ctx) NODISCARD;
/* The same for those in which the policy occurs: asked for, or with records. */
enum status cache_each_of_policy(struct cache *c, uint64_t policy,
    bool (*each)(void *ctx, const struct cache_manifest *m, bool current), void *ctx) NODISCARD;

#endif
