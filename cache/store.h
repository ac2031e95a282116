/* What the files of cache/ share, and nobody else sees.
 *
 *     cache.c    life, finding results, the table of open ones, queries
 *     view.c     reading rows, bodies and memos
 *     stage.c    making a result: beginning and publishing; part.c: its records, in batches (batch.c),
 *                which writer.c writes
 *     twins.c    ready-made gzip of what is stored, afterwards
 *     sweep.c    removing results and data
 *     note.c     small named things
 *     env.c      LMDB; rows.c, fragment.c, twin.c, manifest.c: bytes on disk; catalogue.c; folder.c
 *
 * Two locks, but for the writer's queue: `writing` around every write transaction, and `results` around what is in memory.
 * `writing` is taken first. `results` is never held over a disk access.
 *
 * A hit takes neither. Views that nobody uses, and results that were lately used, lie on shelves.
 * What lies on the shelf of results is held by it, so that whoever takes it can hold it, too, before it
 * puts it back; for eviction that hold does not count. A result that is doomed is taken off: whoever
 * had it in hands just then sees that it is doomed once it has put it back, and takes it off itself.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/catalogue.h"
#include "cache/env.h"
#include "cache/folder.h"
#include "cache/shelf.h"
#include "gateway/base/arena.h"
#include "gateway/base/limits.h"
#include "gateway/base/lock.h"

#define PACKERS_KEPT 2

/* A normalised body may be longer than the record that it came from, and so may a memo. */
#define BODY_MAX_BYTES (2 * LIMIT_RECORD_BYTES)
#define MEMO_MAX_BYTES (2 * LIMIT_RECORD_BYTES)

/* What a transaction takes beyond its values: pages of keys, and half a page behind each value. */
#define COMMIT_OVERHEAD_BYTES (256 * KIB)
#define VALUE_OVERHEAD_BYTES (4 * KIB)

struct batch;

/* The thread that writes batches, and its queue. */
struct writer {
	pthread_t thread;
	bool running;
	struct lock lock;
	pthread_cond_t changed;
	/* under the lock */
	struct batch *first;
	bool stopping;
};

struct cache {
	struct folder folder;
	struct env *env;
	uint64_t size_bytes;
	int64_t cursor_grace_ms;
	enum cache_twins twins;

	struct writer writer;
	struct lock writing;
	int64_t readers_checked_ms; /* wall */

	struct shelf idle_views, recent;

	struct lock results;
	struct catalogue catalogue;
	size_t live, doomed; /* entries of the catalogue in these states */
	struct cache_result *idle_newest, *idle_oldest; /* open, and nobody holds them */
	size_t idle_bytes;
	struct cache_stage *stages;
	size_t stage_count;
	uint64_t last_id;
	bool fence_told;
	struct packer *packers[PACKERS_KEPT]; /* that nobody uses */
	size_t packer_count;
};

struct cache_stage {
	struct cache *cache;
	struct cache_stage_events events;
	uint64_t id;
	bool marked;     /* its loose record is in the store; under `writing` */
	unsigned queued; /* its batches that are with the writer; under the writer's lock */
	struct cache_stage *next, *before; /* under `results` */
};

struct cache_result {
	struct cache *cache;
	struct cache_manifest *m;
	uint64_t *first; /* part_count + 1: the ordinal at which each part begins, and the end */
	/* Three bits for each record: 3 * (first[part] + fragment) for a fragment whose checksum was
	 * verified, and the next ones likewise for a row block and a twin. None has greater numbers
	 * than the part has records. */
	_Atomic uint64_t *verified;
	_Atomic bool wants_twins;      /* a page missed one */
	_Atomic bool twin_damage_told; /* once is enough: they are made anew */
	/* the janitor's: where it goes on making them */
	size_t twins_part;
	uint32_t twins_number;
	size_t memory_bytes;
	atomic_size_t holders;   /* from 0 to 1 and back under `results` */
	atomic_bool doomed;      /* set under `results` */
	_Atomic int64_t used_ms; /* wall */
	/* under `results` */
	struct cache_result *newer, *older; /* among the idle */
};

struct cache_view {
	struct cache *cache;
	struct env_txn *txn;
	struct arena copies; /* of rows that do not stand aligned in the map */
};

/* --- keys */

#define ID_KEY_BYTES 8
#define POLICY_KEY_BYTES 16
#define PART_KEY_BYTES 16 /* the beginning of the keys of one attempt: id, call, attempt */
#define EXPIRY_KEY_BYTES (8 + 1 + SHA256_BYTES) /* the longest */

enum expiry_kind { EXPIRY_RESULT = 'r', EXPIRY_QUERY = 'q' };

struct id_key {
	uint8_t bytes[ID_KEY_BYTES];
};
struct policy_key {
	uint8_t bytes[POLICY_KEY_BYTES];
};
struct expiry_key {
	uint8_t bytes[EXPIRY_KEY_BYTES];
	size_t len;
};

struct id_key id_key(uint64_t id);
struct policy_key policy_key(uint64_t policy, uint64_t id);
struct expiry_key expiry_of_result(int64_t wall_ms, uint64_t id);
struct expiry_key expiry_of_query(int64_t wall_ms, const uint8_t digest[SHA256_BYTES]);

/* --- cache.c */

/* The handle for a manifest, which it takes over on success; held once. */
enum status result_new(
    struct cache *c, struct cache_manifest *m, struct cache_result **ret) NODISCARD;
void result_free(struct cache_result *r);
/* With `results` held: a handle to an open result, which does not count as use. */
struct cache_result *result_hold_locked(struct cache *c, struct catalogue_entry *e);
/* Damage was found in it: it is not found again, and the sweep removes it. Logs. */
void result_quarantine(struct cache *c, uint64_t id, const char *what);
/* With `results` held: when it was last used, as far as is known. */
int64_t entry_used_ms_locked(const struct cache *c, const struct catalogue_entry *e);
/* With `results` held: somebody but the shelf holds it. */
bool result_is_held_locked(struct cache *c, const struct cache_result *r);
/* With `results` held: LIVE becomes DOOMED. */
void entry_doom_locked(struct cache *c, struct catalogue_entry *e);
/* With `results` held: its records are removed; DOOMED becomes GONE, or nothing at all. */
void entry_gone_locked(struct cache *c, struct catalogue_entry *e);

/* Commits, and logs the first time that it fences the environment. With `writing` held. */
enum status store_commit(struct cache *c, struct env_txn *t, bool durable) NODISCARD;
/* Writes the greatest id given out, so that none is given out twice over a restart. */
void store_put_last_id(struct env_txn *t, uint64_t id);
/* Adds or prolongs a remembered text. */
void store_put_query(struct env_txn *t, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t len, int64_t keep_until_ms);
/* Until when a remembered text is kept; false if it is not there, or damaged. */
bool store_query_end(struct env_txn *t, const uint8_t digest[SHA256_BYTES], int64_t *ret_ms);
/* The id that `current` has for the digest; 0 if none. */
uint64_t store_current(struct env_txn *t, const uint8_t digest[SHA256_BYTES]);

/* --- stage.c */

/* With `results` held: whether the id is an open stage's. */
bool stage_is_open_locked(const struct cache *c, uint64_t id);

/* --- writer.c */

bool writer_start(struct cache *c) NODISCARD; /* false: out of threads */
/* Writes what it still has. Nothing happens if it was not started. */
void writer_stop(struct cache *c);
/* Its maker leaves it alone until writer_wait() has come back. */
void writer_submit(struct cache *c, struct batch *b);
/* Until it is not with the writer (any more): how it ended; STATUS_OK if it never was there. */
enum status writer_wait(struct cache *c, const struct batch *b) NODISCARD;
/* Until nothing of the stage is with the writer. */
void writer_settle(struct cache *c, const struct cache_stage *s);

/* --- sweep.c */

/* Makes sure that `bytes` more fit into the quota, evicting if need be. With `writing` held.
 *   STATUS_STORE_FULL  nothing more can be evicted */
enum status sweep_make_room(struct cache *c, uint64_t bytes) NODISCARD;
/* Whether they fit without evicting anything, now or soon. */
bool sweep_has_room(struct cache *c, uint64_t bytes);

/* --- twins.c: packers are large, and few threads need one at a time */

struct packer *packer_borrow(struct cache *c) NODISCARD; /* NULL when out of memory */
void packer_give_back(struct cache *c, struct packer *p);

#endif
