/* clock.h, the part that touches the operating system. The text of dates is in clock.c. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/base/clock.h"

static int64_t
now_us(clockid_t id)
{
	struct timespec ts;
	if (clock_gettime(id, &ts) != 0)
		abort(); /* both clocks always exist on Linux */
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_ms(void)
{
	return now_us(CLOCK_REALTIME) / 1000;
}

int64_t
clock_mono_ms(void)
{
	return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
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
	struct timespec ts = {
	    .tv_sec = (time_t)(until_ms / 1000),
	    .tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	return pthread_cond_timedwait(cond, mutex, &ts) != ETIMEDOUT;
}
