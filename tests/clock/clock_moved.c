/* gateway/base/clock.h for tests: both clocks are the real ones and so many milliseconds more, which
 * a test moves while the daemon runs.
 *
 * The environment variable POSTUREGATE_MOVED_CLOCK names a file whose first eight bytes are that
 * number, an int64_t of this machine. The test writes it through a mapping, at once, and only ever
 * makes it larger: a monotonic clock does not go back. Without the file the process does not start.
 * What libcurl times is not moved.
 *
 * Threads: any.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/clock.h"

#define SLICE_MS 20 /* nobody signals that the file has changed: who waits looks so often */

static const _Atomic int64_t *moved_ms;

static const _Atomic int64_t *
map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	struct stat st;
	void *at = MAP_FAILED;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof *moved_ms)
		at = mmap(NULL, sizeof *moved_ms, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return at != MAP_FAILED ? at : NULL;
}

/* Before main(): nothing has asked the time yet. */
__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("POSTUREGATE_MOVED_CLOCK");
	moved_ms = path != NULL ? map_file(path) : NULL;
	if (moved_ms == NULL) {
		fputs("POSTUREGATE_MOVED_CLOCK has to name a file of eight bytes\n", stderr);
		_exit(2);
	}
}

static int64_t
real_us(clockid_t id)
{
	struct timespec ts;
	if (clock_gettime(id, &ts) != 0)
		abort(); /* both clocks always exist on Linux */
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_ms(void)
{
	return real_us(CLOCK_REALTIME) / 1000 + atomic_load(moved_ms);
}

int64_t
clock_mono_ms(void)
{
	return real_us(CLOCK_MONOTONIC) / 1000 + atomic_load(moved_ms);
}

int64_t
clock_mono_us(void)
{
	return real_us(CLOCK_MONOTONIC) + atomic_load(moved_ms) * 1000;
}

void
clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (pthread_cond_init(cond, &attr) != 0)
		abort();
	pthread_condattr_destroy(&attr);
}

bool
clock_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms)
{
	if (until_ms == CLOCK_NEVER) {
		pthread_cond_wait(cond, mutex);
		return true;
	}
	if (until_ms < 0)
		until_ms = 0;
	do {
		int64_t left_ms = until_ms - clock_mono_ms();
		int64_t at_ms =
		    real_us(CLOCK_MONOTONIC) / 1000 + (left_ms < SLICE_MS ? left_ms : SLICE_MS);
		if (at_ms < 0)
			at_ms = 0;
		struct timespec ts = {
		    .tv_sec = (time_t)(at_ms / 1000),
		    .tv_nsec = (long)(at_ms % 1000) * 1000000,
		};
		if (pthread_cond_timedwait(cond, mutex, &ts) != ETIMEDOUT)
			return true;
	} while (clock_mono_ms() < until_ms);
	return false;
}
