#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache/env.h"
#include "cache/inspect.h"
#include "gateway/base/limits.h"

/* The library reports a disk that filled up in the middle of a write as EIO; less than this left
 * and it was that. */
#define FULL_DISK_BYTES (4 * MIB)

/* The library may end the file before its last page number when the last pages are free. We keep
 * the file a bit longer than its last page, so that a shorter one has lost something. */
#define TAIL_PAGES 256

struct env_txn {
	struct env *env;
	MDB_txn *txn;
	enum status st;
	bool writes, changed;
};

struct env {
	MDB_env *mdb;
	/* where reading begins: that one, or the one of save_readers() */
	_Atomic(MDB_env *) reading;
	char *path;
	MDB_dbi dbs[ENV_DB_COUNT];
	int fd; /* borrowed from mdb */
	uint32_t page_bytes;
	_Atomic bool fenced;
	struct env_txn writer;
};

static const char *const db_names[ENV_DB_COUNT] = {
    [ENV_META] = "meta",
    [ENV_RESULTS] = "results",
    [ENV_CURRENT] = "current",
    [ENV_QUERIES] = "queries",
    [ENV_ROWS] = "rows",
    [ENV_BODIES] = "bodies",
    [ENV_TWINS] = "twins",
    [ENV_BY_POLICY] = "by_policy",
    [ENV_EXPIRY] = "expiry",
    [ENV_LOOSE] = "loose",
};

/* --- the one place where the library's codes become ours */

static bool
disk_is_full(int fd)
{
	struct statvfs fs;
	return fstatvfs(fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < FULL_DISK_BYTES;
}

static enum status
status_of(int rc, int fd)
{
	switch (rc) {
	case MDB_SUCCESS:
		return STATUS_OK;
	case MDB_NOTFOUND:
		return STATUS_NOT_FOUND;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
		return STATUS_STORE_FULL;
	case EIO:
		return disk_is_full(fd) ? STATUS_STORE_FULL : STATUS_STORE_FAILED;
	case ENOMEM:
		return STATUS_NO_MEMORY;
	case MDB_READERS_FULL:
		return STATUS_BUSY;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return STATUS_CORRUPT;
	default:
		return STATUS_STORE_FAILED;
	}
}

static bool
fences(enum status st)
{
	return st == STATUS_STORE_FAILED || st == STATUS_CORRUPT;
}

/* Keeps the first failure of a transaction; true if there is none. */
static bool
keep(struct env_txn *t, int rc)
{
	enum status st = status_of(rc, t->env->fd);
	if (t->st == STATUS_OK && st != STATUS_OK)
		t->st = st;
	return st == STATUS_OK;
}

/* Not finding something is an answer, not a failure. */
static bool
found(struct env_txn *t, int rc)
{
	return rc != MDB_NOTFOUND && keep(t, rc);
}

static MDB_val
val(const void *bytes, size_t len)
{
	/* the library does not write through its keys and values; its struct is not const */
	union {
		const void *in;
		void *out;
	} p = {.in = bytes};
	return (MDB_val){.mv_size = len, .mv_data = p.out};
}

/* --- the file's length */

static uint64_t
bytes_up_to_last_page(const struct env *e)
{
	MDB_envinfo info;
	mdb_env_info(e->mdb, &info);
	return ((uint64_t)info.me_last_pgno + 1) * e->page_bytes;
}

static void
lengthen_file(struct env *e)
{
	struct stat file;
	uint64_t least = bytes_up_to_last_page(e);
	uint64_t slack = (uint64_t)TAIL_PAGES * e->page_bytes;
	if (fstat(e->fd, &file) == 0 && (uint64_t)file.st_size < least + slack / 2) {
		/* a hole, costing no space; if it fails, the next commit tries again */
		int rc = ftruncate(e->fd, (off_t)(least + slack));
		(void)rc;
	}
}

/* --- life */

static int
open_dbs(struct env *e, MDB_txn *txn, unsigned flags)
{
	int rc = 0;
	for (int i = 0; i < ENV_DB_COUNT && rc == 0; i++)
		rc = mdb_dbi_open(txn, db_names[i], flags, &e->dbs[i]);
	return rc;
}

#define FORMAT_KEY "format"

static int
make_new(struct env *e, MDB_txn *txn, const struct env_options *o)
{
	int rc = open_dbs(e, txn, MDB_CREATE);
	if (rc != 0)
		return rc;
	MDB_val k = val(FORMAT_KEY, strlen(FORMAT_KEY)), v = val(o->format, o->format_len);
	return mdb_put(txn, e->dbs[ENV_META], &k, &v, 0);
}

/* MDB_NOTFOUND: a database or the format record is missing; MDB_VERSION_MISMATCH */
static int
recognise(struct env *e, MDB_txn *txn, const struct env_options *o)
{
	MDB_val k = val(FORMAT_KEY, strlen(FORMAT_KEY)), v;
	int rc = mdb_dbi_open(txn, db_names[ENV_META], 0, &e->dbs[ENV_META]);
	if (rc == 0)
		rc = mdb_get(txn, e->dbs[ENV_META], &k, &v);
	if (rc != 0)
		return rc;
	if (v.mv_size != o->format_len || memcmp(v.mv_data, o->format, v.mv_size) != 0)
		return MDB_VERSION_MISMATCH;
	return open_dbs(e, txn, 0);
}

static enum status
begin_or_recognise(struct env *e, const struct env_options *o)
{
	MDB_txn *txn;
	MDB_stat stat;
	int rc = mdb_env_stat(e->mdb, &stat);
	bool empty = rc == 0 && stat.ms_entries == 0;
	e->page_bytes = rc == 0 ? stat.ms_psize : 0;
	if (rc == 0)
		rc = mdb_txn_begin(e->mdb, NULL, empty ? 0 : MDB_RDONLY, &txn);
	if (rc != 0)
		return status_of(rc, e->fd);
	rc = empty ? make_new(e, txn, o) : recognise(e, txn, o);
	if (rc == 0)
		rc = mdb_txn_commit(txn); /* what keeps the handles, of a reading one too */
	else
		mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? STATUS_CORRUPT : status_of(rc, e->fd);
}

#define PATH_BYTES 4096

/* With our own lock on the folder held, nobody can be using a reader table that is found here;
 * one that is foreign, damaged or from another machine must not be trusted. */
static void
remove_reader_table(const char *path)
{
	char name[PATH_BYTES];
	int n = snprintf(name, sizeof name, "%s/lock.mdb", path);
	if (n > 0 && (size_t)n < sizeof name)
		(void)unlink(name);
}

static enum status
inspect_data(const char *path, const char **ret_reason)
{
	char name[PATH_BYTES];
	int n = snprintf(name, sizeof name, "%s/data.mdb", path);
	int fd = n > 0 && (size_t)n < sizeof name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		*ret_reason = "its file cannot be opened";
		return errno == ENOENT ? STATUS_OK : STATUS_STORE_FAILED;
	}
	enum status st = inspect_file(fd, ret_reason);
	close(fd);
	return st;
}

static int
open_mdb(MDB_env *mdb, const struct env_options *o, unsigned flags)
{
	int rc = mdb_env_set_mapsize(mdb, o->map_bytes);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(mdb, ENV_DB_COUNT);
	if (rc == 0 && o->readers > 0)
		rc = mdb_env_set_maxreaders(mdb, o->readers);
	if (rc == 0)
		rc = mdb_env_open(mdb, o->path, MDB_NOTLS | flags, 0600);
	return rc;
}

static enum status
open_checked(struct env *e, const struct env_options *o, const char **ret_reason)
{
	enum status st = inspect_data(o->path, ret_reason);
	if (st != STATUS_OK)
		return st;
	*ret_reason = "LMDB cannot open it";
	st = status_of(open_mdb(e->mdb, o, 0), -1);
	if (st != STATUS_OK)
		return st;
	mdb_env_get_fd(e->mdb, &e->fd);
	*ret_reason = "it is damaged or of another format";
	return begin_or_recognise(e, o);
}

enum status
env_open(const struct env_options *o, struct env **ret, const char **ret_reason)
{
	struct env *e = calloc(1, sizeof *e);
	if (e == NULL || (e->path = strdup(o->path)) == NULL || mdb_env_create(&e->mdb) != 0) {
		if (e != NULL)
			free(e->path);
		free(e);
		*ret_reason = "out of memory";
		return STATUS_NO_MEMORY;
	}
	e->reading = e->mdb;
	remove_reader_table(o->path);
	enum status st = open_checked(e, o, ret_reason);
	if (st == STATUS_STORE_FULL)
		*ret_reason = "the disk is full";
	if (st != STATUS_OK) {
		env_close(e);
		return st;
	}
	lengthen_file(e);
	*ret = e;
	return STATUS_OK;
}

void
env_close(struct env *e)
{
	if (e == NULL)
		return;
	if (e->reading != e->mdb)
		mdb_env_close(e->reading);
	mdb_env_close(e->mdb);
	free(e->path);
	free(e);
}

/* --- reading on where nothing can be written any more */

/* The handles are numbers, given out in the order of opening. */
static int
open_same_dbs(const struct env *e, MDB_env *mdb)
{
	MDB_txn *txn;
	MDB_dbi db;
	int rc = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		return rc;
	for (int i = 0; i < ENV_DB_COUNT && rc == 0; i++) {
		rc = mdb_dbi_open(txn, db_names[i], 0, &db);
		if (rc == 0 && db != e->dbs[i])
			rc = MDB_BAD_DBI;
	}
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static bool
library_refuses(struct env *e)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &txn);
	if (rc == 0)
		mdb_txn_abort(txn);
	return rc == MDB_PANIC;
}

/* Where the last write of a commit, that of the meta page, fails, the library refuses everything from
 * then on, reading too. What was committed before stands there all the same, and nobody changes it any
 * more: it is opened a second time, without locks. If that fails, there are no hits until the restart. */
static void
save_readers(struct env *e)
{
	MDB_env *again;
	if (e->reading != e->mdb || !library_refuses(e))
		return;
	e->fenced = true;
	const struct env_options o = {.path = e->path, .map_bytes = env_map_bytes(e)};
	if (mdb_env_create(&again) != 0)
		return;
	if (open_mdb(again, &o, MDB_RDONLY | MDB_NOLOCK) == 0 && open_same_dbs(e, again) == 0)
		e->reading = again;
	else
		mdb_env_close(again);
}

/* --- writing */

struct env_txn *
env_write(struct env *e)
{
	struct env_txn *t = &e->writer;
	assert(t->txn == NULL);
	*t = (struct env_txn){.env = e, .writes = true};
	if (e->fenced) {
		t->st = STATUS_STORE_FAILED;
	} else if (!keep(t, mdb_txn_begin(e->mdb, NULL, 0, &t->txn))) {
		t->txn = NULL;
		e->fenced = fences(t->st);
	}
	return t;
}

void
env_abort(struct env_txn *t)
{
	assert(t->writes);
	if (t->txn != NULL)
		mdb_txn_abort(t->txn);
	t->txn = NULL;
}

enum status
env_commit(struct env_txn *t, bool durable)
{
	struct env *e = t->env;
	if (t->st != STATUS_OK) {
		env_abort(t);
	} else {
		/* Without the sync of the meta page a commit costs one fdatasync, not two; that of
		 * the next commit covers it. The library reuses no page of the snapshot before it
		 * until then. */
		mdb_env_set_flags(e->mdb, MDB_NOMETASYNC, !durable);
		keep(t, mdb_txn_commit(t->txn)); /* frees it, whatever comes */
		t->txn = NULL;
		/* without a change the library has written nothing: not the meta page of the commit
		 * before either */
		if (t->st == STATUS_OK && durable && !t->changed)
			keep(t, mdb_env_sync(e->mdb, 1));
		if (t->st == STATUS_OK)
			lengthen_file(e);
	}
	if (fences(t->st))
		e->fenced = true;
	if (t->st != STATUS_OK)
		save_readers(e);
	return t->st;
}

void
env_put(struct env_txn *t, enum env_db db, const void *key, size_t key_len, const void *value,
    size_t len)
{
	if (t->st != STATUS_OK)
		return;
	MDB_val k = val(key, key_len), v = val(value, len);
	t->changed = true;
	keep(t, mdb_put(t->txn, t->env->dbs[db], &k, &v, 0));
}

uint8_t *
env_reserve(struct env_txn *t, enum env_db db, const void *key, size_t key_len, size_t len)
{
	if (t->st != STATUS_OK)
		return NULL;
	MDB_val k = val(key, key_len), v = {.mv_size = len};
	t->changed = true;
	return keep(t, mdb_put(t->txn, t->env->dbs[db], &k, &v, MDB_RESERVE)) ? v.mv_data : NULL;
}

void
env_del(struct env_txn *t, enum env_db db, const void *key, size_t key_len)
{
	if (t->st != STATUS_OK)
		return;
	MDB_val k = val(key, key_len);
	if (found(t, mdb_del(t->txn, t->env->dbs[db], &k, NULL)))
		t->changed = true;
}

/* --- reading */

enum status
env_reader_open(struct env *e, struct env_txn **ret)
{
	struct env_txn *t = calloc(1, sizeof *t);
	if (t == NULL)
		return STATUS_NO_MEMORY;
	t->env = e;
	if (!keep(t, mdb_txn_begin(e->reading, NULL, MDB_RDONLY, &t->txn))) {
		enum status st = t->st;
		free(t);
		return st;
	}
	*ret = t;
	return STATUS_OK;
}

void
env_reader_rest(struct env_txn *t)
{
	mdb_txn_reset(t->txn);
	t->st = STATUS_OK;
}

enum status
env_reader_again(struct env_txn *t)
{
	struct env *e = t->env;
	int rc = mdb_txn_renew(t->txn);
	if (rc == MDB_PANIC && e->reading != e->mdb) {
		mdb_txn_abort(t->txn);
		t->txn = NULL;
		rc = mdb_txn_begin(e->reading, NULL, MDB_RDONLY, &t->txn);
	}
	keep(t, rc);
	return t->st;
}

void
env_reader_close(struct env_txn *t)
{
	if (t == NULL)
		return;
	if (t->txn != NULL)
		mdb_txn_abort(t->txn);
	free(t);
}

enum status
env_txn_status(const struct env_txn *t)
{
	return t->st;
}

/* A large value stands on pages of its own, behind a header of 16 bytes: ... u16 flags, u32 number
 * of pages. The library believes that number when it frees them, and would free others' pages. */
static bool
has_sound_pages(const MDB_val *v, uint32_t page_bytes)
{
	uint16_t flags;
	uint32_t pages;
	const uint8_t *value = v->mv_data;
	if (v->mv_size < page_bytes / 2)
		return true;
	memcpy(&flags, value - 6, sizeof flags);
	memcpy(&pages, value - 4, sizeof pages);
	return flags == 4 && pages == (v->mv_size + 15) / page_bytes + 1;
}

/* Gives the value out, unless its pages cannot be trusted. */
static bool
give(struct env_txn *t, const MDB_val *v, struct env_bytes *ret)
{
	if (!has_sound_pages(v, t->env->page_bytes))
		return keep(t, MDB_CORRUPTED);
	*ret = (struct env_bytes){.at = v->mv_data, .len = v->mv_size};
	return true;
}

bool
env_get(struct env_txn *t, enum env_db db, const void *key, size_t key_len, struct env_bytes *ret)
{
	if (t->st != STATUS_OK)
		return false;
	MDB_val k = val(key, key_len), v;
	return found(t, mdb_get(t->txn, t->env->dbs[db], &k, &v)) && give(t, &v, ret);
}

bool
env_try(struct env_txn *t, enum env_db db, const void *key, size_t key_len, struct env_bytes *ret,
    bool *ret_sound)
{
	enum status before = t->st;
	assert(!t->writes);
	bool there = env_get(t, db, key, key_len, ret);
	*ret_sound = t->st == STATUS_OK;
	t->st = before;
	return there;
}

static bool
seek(struct env_txn *t, enum env_db db, const void *key, size_t key_len, bool before,
    struct env_bytes *ret_key, struct env_bytes *ret)
{
	MDB_cursor *cursor;
	if (t->st != STATUS_OK || !keep(t, mdb_cursor_open(t->txn, t->env->dbs[db], &cursor)))
		return false;
	MDB_val k = val(key, key_len), v;
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	if (before && (rc == 0 || rc == MDB_NOTFOUND))
		rc = mdb_cursor_get(cursor, &k, &v, rc == 0 ? MDB_PREV : MDB_LAST);
	mdb_cursor_close(cursor);
	if (!found(t, rc))
		return false;
	*ret_key = (struct env_bytes){.at = k.mv_data, .len = k.mv_size};
	return give(t, &v, ret);
}

bool
env_seek(struct env_txn *t, enum env_db db, const void *key, size_t key_len,
    struct env_bytes *ret_key, struct env_bytes *ret)
{
	return seek(t, db, key, key_len, false, ret_key, ret);
}

bool
env_before(struct env_txn *t, enum env_db db, const void *key, size_t key_len,
    struct env_bytes *ret_key, struct env_bytes *ret)
{
	return seek(t, db, key, key_len, true, ret_key, ret);
}

uint64_t
env_entries(struct env_txn *t, enum env_db db)
{
	MDB_stat stat;
	if (t->st != STATUS_OK || !keep(t, mdb_stat(t->txn, t->env->dbs[db], &stat)))
		return 0;
	return stat.ms_entries;
}

/* --- look */

bool
env_writable(const struct env *e)
{
	return !e->fenced;
}

uint64_t
env_map_bytes(const struct env *e)
{
	MDB_envinfo info;
	mdb_env_info(e->mdb, &info);
	return info.me_mapsize;
}

uint64_t
env_used_bytes(struct env_txn *t)
{
	/* Database 0 is the list of free pages: transaction → count, page numbers (as the
	 * library's own mdb_stat reads it). */
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t free_pages = 0, all = bytes_up_to_last_page(t->env);
	if (t->st != STATUS_OK || !keep(t, mdb_cursor_open(t->txn, 0, &cursor)))
		return all;
	int rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		size_t count;
		memcpy(&count, value.mv_data, sizeof count);
		free_pages += count;
	}
	mdb_cursor_close(cursor);
	found(t, rc);
	uint64_t free_bytes = free_pages * t->env->page_bytes;
	return free_bytes < all ? all - free_bytes : 0;
}

unsigned
env_readers(struct env *e)
{
	MDB_envinfo info;
	mdb_env_info(e->mdb, &info);
	return info.me_numreaders;
}

void
env_check_readers(struct env *e)
{
	int dead;
	(void)mdb_reader_check(e->mdb, &dead);
}
