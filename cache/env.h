/* The LMDB environment and its transactions; the only includer of lmdb.h.
 *
 * A transaction remembers its first failure, and every later call on it does nothing: write
 * straight on and ask once, at env_commit() or env_txn_status(). Bytes that come out are
 * borrowed from the map until the transaction ends (in a write transaction: until its next
 * change).
 *
 * An I/O error while writing **fences** the environment: nothing is known any more of what the
 * disk holds of the last commits, so nothing is written again before a restart; reading goes on.
 * A full disk is no such error: space comes back.
 *
 * Threads: any; one write transaction at a time (the caller's lock), and a read transaction
 * belongs to one thread at a time but is not tied to it.
 */
#ifndef CACHE_ENV_H
#define CACHE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

struct env;
struct env_txn;

/* The named databases; docs/store-format.md has their keys and values. */
enum env_db {
	ENV_META,
	ENV_RESULTS,
	ENV_CURRENT,
	ENV_QUERIES,
	ENV_ROWS,
	ENV_BODIES,
	ENV_TWINS,
	ENV_BY_POLICY,
	ENV_EXPIRY,
	ENV_LOOSE,
	ENV_DB_COUNT
};

#define ENV_KEY_BYTES 64 /* more than any key of ours has */

struct env_bytes {
	const uint8_t *at;
	size_t len;
};

/* --- life */

struct env_options {
	const char *path; /* the folder: it is there, and belongs to this process alone */
	uint64_t map_bytes;
	unsigned readers;
	const void *format; /* what an environment of this format has in meta under "format" */
	size_t format_len;
};

/* Opens the environment, or makes it if the folder is empty. A reader table that is found is a
 * leftover, and thrown away.
 *   STATUS_CORRUPT  it is damaged, of another format or none of ours: set it aside; nothing in it
 *                   was changed
 *   STATUS_STORE_FULL, STATUS_STORE_FAILED, STATUS_NO_MEMORY
 * *ret_reason tells why in all cases of failure. */
enum status env_open(
    const struct env_options *o, struct env **ret, const char **ret_reason) NODISCARD;
void env_close(struct env *e); /* no transaction may be left; NULL is fine */

/* --- writing: the one writer */

/* Never NULL; if it could not begin, env_commit() tells. */
struct env_txn *env_write(struct env *e);
/* Ends the transaction. A durable commit is on the disk when this returns, with all commits before
 * it; one that is not may be lost in a power cut, wholly, and never an earlier one without it.
 *   STATUS_STORE_FULL    the quota of the map or the disk is full
 *   STATUS_STORE_FAILED  I/O error; the environment is fenced
 *   STATUS_CORRUPT       the environment itself is damaged; it is fenced */
enum status env_commit(struct env_txn *t, bool durable) NODISCARD;
void env_abort(struct env_txn *t);

void env_put(struct env_txn *t, enum env_db db, const void *key, size_t key_len, const void *value,
    size_t len);
/* Room for a value of `len` bytes, to be filled before the next call; NULL after a failure. */
uint8_t *env_reserve(
    struct env_txn *t, enum env_db db, const void *key, size_t key_len, size_t len) NODISCARD;
/* A key that is not there is fine. The key must not point into the map. */
void env_del(struct env_txn *t, enum env_db db, const void *key, size_t key_len);

/* --- reading */

/* A new read transaction, begun.
 *   STATUS_BUSY  as many as there can be are open; STATUS_STORE_FAILED, STATUS_NO_MEMORY */
enum status env_reader_open(struct env *e, struct env_txn **ret) NODISCARD;
void env_reader_rest(struct env_txn *t); /* gives the snapshot up, keeps the rest for */
enum status env_reader_again(
    struct env_txn *t) NODISCARD;         /* a new snapshot; after a failure only close it */
void env_reader_close(struct env_txn *t); /* NULL is fine */

/* The first failure of a transaction that reads. */
enum status env_txn_status(const struct env_txn *t);

/* These give false where there is nothing, and after a failure. */
bool env_get(
    struct env_txn *t, enum env_db db, const void *key, size_t key_len, struct env_bytes *ret);
/* The same for a value that one can do without: after a failure the transaction goes on. Only where
 * nothing is written. *ret_sound false: what was met cannot be trusted, nor be replaced. */
bool env_try(struct env_txn *t, enum env_db db, const void *key, size_t key_len,
    struct env_bytes *ret, bool *ret_sound);
/* The first entry whose key is not below `key` */
bool env_seek(struct env_txn *t, enum env_db db, const void *key, size_t key_len,
    struct env_bytes *ret_key, struct env_bytes *ret);
/* The last entry whose key is below `key`. */
bool env_before(struct env_txn *t, enum env_db db, const void *key, size_t key_len,
    struct env_bytes *ret_key, struct env_bytes *ret);
uint64_t env_entries(struct env_txn *t, enum env_db db);

/* --- look */
bool env_writable(const struct env *e); /* false once it is fenced */
uint64_t env_map_bytes(const struct env *e);
/* Bytes in pages that hold something, in t's snapshot: all pages but the free ones. Walks the list
 * of free pages: microseconds. */
uint64_t env_used_bytes(struct env_txn *t);
unsigned env_readers(struct env *e);   /* that have a slot */
void env_check_readers(struct env *e); /* frees the slots of dead ones */

#endif
