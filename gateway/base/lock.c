#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/lock.h"

/* the classes that this thread holds, one bit each: no class is ever held twice */
static _Thread_local uint32_t held;

static_assert(LOCK_COUNT <= 32, "one bit a class");

void
lock_init(struct lock *l, enum lock_class class)
{
	l->class = class;
	if (pthread_mutex_init(&l->mutex, NULL) != 0)
		abort();
}

void
lock_fini(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

void
lock_take(struct lock *l)
{
	assert((held >> l->class) == 0); /* nothing held of this class or one below it */
	if (pthread_mutex_lock(&l->mutex) != 0)
		abort();
	held |= UINT32_C(1) << l->class;
}

void
lock_drop(struct lock *l)
{
	lock_assert_held(l);
	held &= ~(UINT32_C(1) << l->class);
	pthread_mutex_unlock(&l->mutex);
}

void
lock_assert_held(const struct lock *l)
{
	assert(held & (UINT32_C(1) << l->class));
	(void)l;
}

bool
lock_wait(struct lock *l, pthread_cond_t *cond, int64_t until_mono_ms)
{
	assert(held == UINT32_C(1) << l->class);
	return clock_wait(cond, &l->mutex, until_mono_ms);
}
