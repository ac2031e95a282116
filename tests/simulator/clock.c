#include "config.h"

#include <stdatomic.h>
#include <time.h>

#include "tests/simulator/clock.h"

static _Atomic int64_t ahead_ms;

static int64_t
ask(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
real_ms(void)
{
	return ask(CLOCK_MONOTONIC);
}

int64_t
now_ms(void)
{
	return real_ms() + atomic_load(&ahead_ms);
}

int64_t
now_wall_ms(void)
{
	return ask(CLOCK_REALTIME) + atomic_load(&ahead_ms);
}

int64_t
now_s(void)
{
	return now_wall_ms() / 1000;
}

void
clock_advance(int64_t ms)
{
	atomic_fetch_add(&ahead_ms, ms);
}
