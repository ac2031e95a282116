/* A folder of a test program's own, for those that keep things on disk. */
#ifndef TESTS_UNIT_DIR_H
#define TESTS_UNIT_DIR_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define UNIT_DIR_BYTES 128

/* In memory if there is such a place: what syncs cost is not what is tested. */
static inline void
unit_dir_make(char ret_dir[UNIT_DIR_BYTES], const char *program)
{
	const char *tmp = getenv("TMPDIR");
	if (tmp == NULL)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(ret_dir, UNIT_DIR_BYTES, "%s/%s.XXXXXX", tmp, program);
	ck_assert_ptr_nonnull(mkdtemp(ret_dir));
}

static inline int
unit_dir_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static inline void
unit_dir_remove(const char *dir)
{
	nftw(dir, unit_dir_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
