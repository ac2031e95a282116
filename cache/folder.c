#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cache/folder.h"

#define ASIDE ".aside-"

/* File systems whose memory maps or locks do not hold what LMDB builds on (statfs(2)). */
static const struct {
	uint32_t magic;
	const char *reason;
} unfit[] = {
    {0x00006969, "NFS cannot hold the store"},
    {0x0000517b, "SMB cannot hold the store"},
    {0xfe534d42, "SMB cannot hold the store"},
    {0xff534d42, "CIFS cannot hold the store"},
    {0x65735546, "FUSE cannot hold the store"},
    {0x01021997, "9P cannot hold the store"},
    {0x00c36400, "Ceph cannot hold the store"},
    {0x5346414f, "AFS cannot hold the store"},
    {0x6b414653, "AFS cannot hold the store"},
    {0x73757245, "Coda cannot hold the store"},
    {0x786f4256, "a folder shared by the host cannot hold the store"},
};

static enum status
check_file_system(int fd, const char **ret_reason)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0) {
		*ret_reason = "its file system tells nothing of itself";
		return STATUS_STORE_FAILED;
	}
	for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
		if ((uint32_t)fs.f_type == unfit[i].magic) {
			*ret_reason = unfit[i].reason;
			return STATUS_STORE_FAILED;
		}
	return STATUS_OK;
}

static bool
make_folder(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* The lock is on a file of its own: closing any descriptor of data.mdb would drop LMDB's locks. */
static enum status
lock_folder(int dir_fd, int *ret_fd, const char **ret_reason)
{
	int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		*ret_reason = "its lock cannot be made";
		return STATUS_STORE_FAILED;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		bool busy = errno == EWOULDBLOCK;
		close(fd);
		*ret_reason = busy ? "another process has it" : "its lock cannot be taken";
		return busy ? STATUS_BUSY : STATUS_STORE_FAILED;
	}
	*ret_fd = fd;
	return STATUS_OK;
}

enum status
folder_open(struct folder *f, const char *dir, const char **ret_reason)
{
	f->lock_fd = -1;
	int n = snprintf(f->env_path, sizeof f->env_path, "%s/env", dir);
	/* room is left for the name of one set aside and the files in it */
	if (n < 0 || (size_t)n > sizeof f->env_path - 64) {
		*ret_reason = "its path is too long";
		return STATUS_STORE_FAILED;
	}
	int fd = make_folder(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0) {
		*ret_reason = "the folder cannot be made or opened";
		return STATUS_STORE_FAILED;
	}
	enum status st = check_file_system(fd, ret_reason);
	if (st == STATUS_OK)
		st = lock_folder(fd, &f->lock_fd, ret_reason);
	close(fd);
	if (st == STATUS_OK && !make_folder(f->env_path)) {
		*ret_reason = "the folder for its files cannot be made";
		folder_close(f);
		st = STATUS_STORE_FAILED;
	}
	return st;
}

void
folder_close(struct folder *f)
{
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	f->lock_fd = -1;
}

/* --- setting aside */

#define CONDEMNED "condemned"
#define NAME_BYTES (FOLDER_PATH_BYTES + 64)

static void
condemned_path(const struct folder *f, char path[NAME_BYTES])
{
	snprintf(path, NAME_BYTES, "%s/" CONDEMNED, f->env_path);
}

void
folder_condemn(const struct folder *f)
{
	char path[NAME_BYTES];
	condemned_path(f, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
}

bool
folder_is_condemned(const struct folder *f)
{
	char path[NAME_BYTES];
	condemned_path(f, path);
	return access(path, F_OK) == 0;
}

static void
delete_one(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	(void)unlinkat(fd, "data.mdb", 0);
	(void)unlinkat(fd, "lock.mdb", 0);
	(void)unlinkat(fd, CONDEMNED, 0);
	close(fd);
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

static void
delete_set_aside(const char *parent)
{
	static const char prefix[] = "env" ASIDE;
	DIR *dir = opendir(parent);
	if (dir == NULL)
		return;
	struct dirent *entry;
	while ((entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, prefix, sizeof prefix - 1) == 0)
			delete_one(dirfd(dir), entry->d_name);
	closedir(dir);
}

enum status
folder_set_aside(struct folder *f, int64_t now_wall_ms)
{
	char aside[FOLDER_PATH_BYTES], parent[FOLDER_PATH_BYTES];
	int n = snprintf(aside, sizeof aside, "%s" ASIDE "%" PRId64, f->env_path, now_wall_ms);
	if (n < 0 || (size_t)n >= sizeof aside)
		return STATUS_STORE_FAILED;
	memcpy(parent, f->env_path, strlen(f->env_path) + 1);
	*strrchr(parent, '/') = '\0';

	delete_set_aside(parent);
	if (rename(f->env_path, aside) != 0 || !make_folder(f->env_path))
		return STATUS_STORE_FAILED;
	return STATUS_OK;
}
