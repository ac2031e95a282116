/* A store of a test program's own, open as long as one test (a checked fixture), for those that look at
 * what is in results. */
#ifndef UNIT_STORE_H
#define UNIT_STORE_H

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "gateway/base/limits.h"
#include "tests/unit/dir.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1790000000000)
#define HOUR_MS INT64_C(3600000)
#define TEXT "what is asked" /* of each result, and its digest */

static char dir[UNIT_DIR_BYTES];
static struct cache *cache;
static uint8_t digest[SHA256_BYTES];

static inline void
store_open(enum cache_twins twins)
{
	struct cache_options o = {.dir = dir,
	    .size_bytes = GIB,
	    .readers = 16,
	    .cursor_grace_ms = HOUR_MS,
	    .twins = twins};
	ck_status(cache_open(&o, NOW, &cache), STATUS_OK);
}

static inline void
store_make(const char *program, enum cache_twins twins)
{
	unit_dir_make(dir, program);
	ck_status(crypto_init(), STATUS_OK);
	store_open(twins);
	crypto_sha256(TEXT, strlen(TEXT), digest);
}

static inline void
store_remove(void)
{
	cache_close(cache);
	unit_dir_remove(dir);
}

/* Of a complete result, fresh for an hour. */
static inline struct cache_manifest
store_manifest(const struct cache_part_info *parts, size_t count)
{
	struct cache_manifest m = {
	    .text = TEXT,
	    .text_len = strlen(TEXT),
	    .fetched_at_ms = NOW,
	    .fresh_until_ms = NOW + HOUR_MS,
	    .stale_until_ms = NOW + HOUR_MS,
	    .keep_until_ms = NOW + HOUR_MS,
	    .version = "5.0",
	    .complete = true,
	    .parts = parts,
	    .part_count = count,
	};
	memcpy(m.digest, digest, sizeof digest);
	return m;
}

static inline struct cache_result *
store_publish(struct cache_stage *stage, const struct cache_manifest *m)
{
	struct cache_result *result;
	ck_status(cache_stage_publish(stage, m, NOW, &result), STATUS_OK);
	return result;
}

static inline void
store_sweep(void)
{
	bool more;
	do
		ck_status(cache_sweep(cache, NOW, &more), STATUS_OK);
	while (more);
}

/* Turns a bit of the first value in the file that begins with these four bytes, and opens the store
 * anew. */
static inline void
store_damage(const char *magic)
{
	char path[256];
	struct stat st;
	cache_close(cache);
	snprintf(path, sizeof path, "%s/env/data.mdb", dir);
	int fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	char *bytes = malloc((size_t)st.st_size);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	const char *at = memmem(bytes, (size_t)st.st_size, magic, 4);
	ck_assert_ptr_nonnull(at);
	char byte = (char)(at[40] ^ 4);
	ck_assert_int_eq(pwrite(fd, &byte, 1, at - bytes + 40), 1);
	close(fd);
	free(bytes);
	store_open(CACHE_TWINS_OFF);
}

#endif
