#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/keyfile.h"

/* Whole or not at all: a crash must not leave a short file, with which no start succeeds. */
static bool
write_new(const char *path, const uint8_t *key)
{
	char draft[4096];
	if (snprintf(draft, sizeof draft, "%s.new", path) >= (int)sizeof draft)
		return false;
	int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	bool good = write(fd, key, SHA256_BYTES) == SHA256_BYTES && fsync(fd) == 0;
	if (close(fd) != 0)
		good = false;
	if (!good || rename(draft, path) != 0) {
		unlink(draft);
		return false;
	}
	return true;
}

static bool
read_all(const char *path, uint8_t *key)
{
	uint8_t more;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool good = read(fd, key, SHA256_BYTES) == SHA256_BYTES && read(fd, &more, 1) == 0;
	int error = errno;
	close(fd);
	errno = good ? error : EINVAL;
	return good;
}

enum status
keyfile_load(const char *dir, uint8_t **ret_key)
{
	char path[4096];
	uint8_t *key = crypto_secret_new(SHA256_BYTES);
	if (key == NULL || snprintf(path, sizeof path, "%s/signing.key", dir) >= (int)sizeof path) {
		crypto_secret_free(key);
		return STATUS_INTERNAL;
	}
	bool good = read_all(path, key);
	if (!good && errno == ENOENT) {
		crypto_random(key, SHA256_BYTES);
		good = write_new(path, key);
	}
	if (!good) {
		log_event(LOG_ERROR, "signing-key", "file=%s error=\"%s\"",
		    log_q(path, strlen(path)), strerror(errno));
		crypto_secret_free(key);
		return STATUS_INTERNAL;
	}
	*ret_key = key;
	return STATUS_OK;
}
