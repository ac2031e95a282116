/* A row of places for one pointer each, for who must not wait for a lock: whoever takes what is in a
 * place has it alone, and puts it back. An empty place tells nothing: what belongs there may be in
 * somebody's hands, and is then had in another way.
 *
 * Threads: any.
 */
#ifndef CACHE_SHELF_H
#define CACHE_SHELF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define SHELF_PLACES 64

struct shelf {
	_Atomic(void *) place[SHELF_PLACES];
};

/* NULL: the place is empty. */
static inline void *
shelf_take(struct shelf *s, unsigned at)
{
	return atomic_exchange(&s->place[at % SHELF_PLACES], NULL);
}

/* False: the place is not empty, and stays as it is. */
static inline bool
shelf_put(struct shelf *s, unsigned at, void *p)
{
	void *empty = NULL;
	return atomic_compare_exchange_strong(&s->place[at % SHELF_PLACES], &empty, p);
}

/* Puts it there in any case, and gives back what was there, or NULL. */
static inline void *
shelf_swap(struct shelf *s, unsigned at, void *p)
{
	return atomic_exchange(&s->place[at % SHELF_PLACES], p);
}

/* Whether it is there just now. */
static inline bool
shelf_has(struct shelf *s, unsigned at, const void *p)
{
	return atomic_load(&s->place[at % SHELF_PLACES]) == p;
}

#endif
