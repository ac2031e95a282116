/* Mutexes that know their class and their legal order (lock_table.h).
 *
 * Taking one out of order, dropping one that is not held or asserting one that another thread
 * holds ends the process at once: it is our own mistake, and the order is checked on every run of
 * the test suite.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum lock_class {
#define LOCK(name, guards) LOCK_##name,
#include "gateway/base/lock_table.h"
#undef LOCK
	LOCK_COUNT
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_class class;
};

void lock_init(struct lock *l, enum lock_class class);
void lock_fini(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
void lock_assert_held(const struct lock *l);
/* clock_wait() on a lock that this thread holds, and no other. */
bool lock_wait(struct lock *l, pthread_cond_t *cond, int64_t until_mono_ms);

#endif
