/* The store's folder: that it is on a fit file system, that it is ours alone, and what is set
 * aside in it.
 *
 *     DIR/lock               locked (flock) by the one process that has the store
 *     DIR/env/               the environment
 *     DIR/env/condemned      there if it was found damaged while in use
 *     DIR/env.aside-TIME/    the last one that could not be used
 *
 * Threads: owner only.
 */
#ifndef CACHE_FOLDER_H
#define CACHE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

#define FOLDER_PATH_BYTES 3072

struct folder {
	int lock_fd;
	char env_path[FOLDER_PATH_BYTES];
};

/* Makes the folder (0700) if it is not there, and the one of the environment in it.
 *   STATUS_BUSY          another process has it
 *   STATUS_STORE_FAILED  *ret_reason tells why */
enum status folder_open(struct folder *f, const char *dir, const char **ret_reason) NODISCARD;
void folder_close(struct folder *f);

/* Notes that the environment is damaged, so that the next start does not use it; and asks. */
void folder_condemn(const struct folder *f);
bool folder_is_condemned(const struct folder *f);

/* Renames the environment, which must be closed, and begins an empty one. One that was set aside
 * before is deleted: they are kept for a look, not for ever. */
enum status folder_set_aside(struct folder *f, int64_t now_wall_ms) NODISCARD;

#endif
