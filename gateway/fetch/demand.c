#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/lock.h"
#include "gateway/fetch/demand.h"

#define KEY_BYTES (SHA256_BYTES / 2)
#define SETS 256 /* of each table; a power of two */
#define WAYS 4
#define POLICIES 4096 /* a power of two; of those that meet in a place the last one is known */
#define POLICIES_ASKED 1000
#define USE 1024 /* one use, so that parts of it can be told */

struct asked {
	uint8_t key[KEY_BYTES];
	int64_t at_ms;
	uint64_t calls;
	unsigned details;
};

struct scope {
	uint8_t key[KEY_BYTES];
	int64_t used_ms; /* 0: free */
	struct asked asked[DEMAND_QUERIES_MOST];
	size_t asked_count;
	uint64_t bytes;
};

struct used {
	uint8_t key[KEY_BYTES];
	int64_t used_ms; /* 0: free */
	uint64_t id;
	int64_t fetched_at_ms, fresh_until_ms;
	uint64_t uses; /* in parts of USE, as of used_ms */
	/* Without the lock: uses since, of the result `known`. One may be counted for the result that takes
	 * its place just then, which does not matter. */
	_Atomic uint64_t known;
	_Atomic uint64_t since;
};

struct hosts {
	uint64_t policy, hosts; /* policy 0: free */
};

struct demand {
	struct lock lock;
	struct scope scopes[SETS][WAYS];
	struct used used[SETS][WAYS];
	struct hosts hosts[POLICIES];
};

struct demand *
demand_new(void)
{
	struct demand *d = calloc(1, sizeof *d);
	if (d != NULL)
		lock_init(&d->lock, LOCK_DEMAND);
	return d;
}

void
demand_free(struct demand *d)
{
	if (d == NULL)
		return;
	lock_fini(&d->lock);
	free(d);
}

/* Digests are as good as random. */
static size_t
set_of(const uint8_t *digest)
{
	return (digest[0] | (size_t)digest[1] << 8) % SETS;
}

static bool
same(const uint8_t key[KEY_BYTES], const uint8_t *digest)
{
	return memcmp(key, digest, KEY_BYTES) == 0;
}

/* --- scopes */

static struct scope *
find_scope_locked(struct demand *d, const uint8_t *digest)
{
	struct scope *set = d->scopes[set_of(digest)];
	for (size_t i = 0; i < WAYS; i++)
		if (set[i].used_ms != 0 && same(set[i].key, digest))
			return &set[i];
	return NULL;
}

static struct scope *
make_scope_locked(struct demand *d, const uint8_t *digest)
{
	struct scope *set = d->scopes[set_of(digest)], *oldest = set;
	for (size_t i = 1; i < WAYS; i++)
		if (set[i].used_ms < oldest->used_ms)
			oldest = &set[i];
	*oldest = (struct scope){.asked_count = 0};
	memcpy(oldest->key, digest, KEY_BYTES);
	return oldest;
}

static void
forget_old(struct scope *s, int64_t before_ms)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->asked_count; i++)
		if (s->asked[i].at_ms >= before_ms)
			s->asked[kept++] = s->asked[i];
	s->asked_count = kept;
	if (kept == 0)
		s->bytes = 0;
}

/* Its place: the one it has, a free one, or that of the one asked for longest ago. */
static struct asked *
place_for(struct scope *s, const uint8_t *query)
{
	struct asked *oldest = s->asked;
	for (size_t i = 0; i < s->asked_count; i++) {
		if (same(s->asked[i].key, query))
			return &s->asked[i];
		if (s->asked[i].at_ms < oldest->at_ms)
			oldest = &s->asked[i];
	}
	return s->asked_count < DEMAND_QUERIES_MOST ? &s->asked[s->asked_count++] : oldest;
}

static void
sum_up(const struct scope *s, const struct demand_query *q, struct demand_scope *ret)
{
	*ret = (struct demand_scope){.calls = q->calls, .details = q->details};
	if (s == NULL)
		return;
	ret->bytes = s->bytes;
	for (size_t i = 0; i < s->asked_count; i++) {
		if (same(s->asked[i].key, q->query))
			continue;
		ret->others++;
		ret->calls += s->asked[i].calls;
		ret->details |= s->asked[i].details;
	}
}

void
demand_asked(
    struct demand *d, const struct demand_query *q, int64_t now_ms, struct demand_scope *ret)
{
	lock_take(&d->lock);
	struct scope *s = find_scope_locked(d, q->scope);
	if (s == NULL)
		s = make_scope_locked(d, q->scope);
	s->used_ms = now_ms > 0 ? now_ms : 1;
	forget_old(s, now_ms - q->window_ms);
	sum_up(s, q, ret);
	struct asked *a = place_for(s, q->query);
	memcpy(a->key, q->query, KEY_BYTES);
	a->at_ms = now_ms;
	a->calls = q->calls;
	a->details = q->details;
	lock_drop(&d->lock);
}

void
demand_look(
    struct demand *d, const struct demand_query *q, int64_t now_ms, struct demand_scope *ret)
{
	lock_take(&d->lock);
	struct scope *s = find_scope_locked(d, q->scope);
	if (s != NULL)
		forget_old(s, now_ms - q->window_ms);
	sum_up(s, q, ret);
	lock_drop(&d->lock);
}

void
demand_sized(struct demand *d, const uint8_t scope[SHA256_BYTES], uint64_t bytes)
{
	lock_take(&d->lock);
	struct scope *s = find_scope_locked(d, scope);
	if (s != NULL && bytes > s->bytes)
		s->bytes = bytes;
	lock_drop(&d->lock);
}

/* --- policies */

/* Fibonacci hashing: IDs often follow each other by a step. */
static struct hosts *
hosts_at(struct demand *d, uint64_t policy)
{
	return &d->hosts[(policy * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (POLICIES - 1)];
}

void
demand_resolved(struct demand *d, uint64_t policy, uint64_t hosts)
{
	if (d == NULL)
		return;
	lock_take(&d->lock);
	*hosts_at(d, policy) = (struct hosts){policy, hosts};
	lock_drop(&d->lock);
}

bool
demand_calls(struct demand *d, const uint64_t *policies, size_t count, uint64_t hosts_per_call,
    uint64_t hosts_most, uint64_t *ret_calls)
{
	uint64_t calls = 0;
	bool known = count <= POLICIES_ASKED;
	lock_take(&d->lock);
	for (size_t i = 0; i < count && known; i++) {
		const struct hosts *at = hosts_at(d, policies[i]);
		uint64_t hosts = at->hosts;
		if (hosts_most != 0 && hosts > hosts_most)
			hosts = hosts_most;
		known = at->policy == policies[i];
		calls += hosts / hosts_per_call + (hosts % hosts_per_call != 0);
	}
	lock_drop(&d->lock);
	if (known)
		*ret_calls = calls;
	return known;
}

/* --- results */

/* Half of them for each life that has passed; between the halves along a straight line. */
static uint64_t
uses_left(const struct used *u, int64_t now_ms)
{
	int64_t life_ms = u->fresh_until_ms - u->fetched_at_ms, passed_ms = now_ms - u->used_ms;
	if (passed_ms <= 0)
		return u->uses;
	if (life_ms <= 0 || passed_ms / life_ms >= 63)
		return 0;
	uint64_t left = u->uses >> (passed_ms / life_ms);
	int64_t permille = passed_ms % life_ms * 1000 / life_ms;
	return left - left * (uint64_t)permille / 2000;
}

/* Takes in what was counted without the lock. */
static void
take_in_locked(struct used *u, int64_t now_ms)
{
	uint64_t since = atomic_exchange_explicit(&u->since, 0, memory_order_relaxed);
	if (since == 0 || u->used_ms == 0)
		return;
	u->uses = uses_left(u, now_ms) + since * USE;
	u->used_ms = now_ms > 0 ? now_ms : 1;
}

static struct used *
find_used_locked(struct demand *d, const uint8_t *digest, int64_t now_ms)
{
	struct used *set = d->used[set_of(digest)], *oldest = set;
	for (size_t i = 0; i < WAYS; i++) {
		take_in_locked(&set[i], now_ms);
		if (set[i].used_ms != 0 && same(set[i].key, digest))
			return &set[i];
		if (set[i].used_ms < oldest->used_ms)
			oldest = &set[i];
	}
	memcpy(oldest->key, digest, KEY_BYTES);
	oldest->used_ms = 0;
	oldest->id = 0;
	oldest->uses = 0;
	return oldest;
}

/* True for a result that is known already. */
static bool
count_known(struct demand *d, const struct demand_result *r)
{
	struct used *set = d->used[set_of(r->digest)];
	for (size_t i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&set[i].known, memory_order_relaxed) == r->id) {
			atomic_fetch_add_explicit(&set[i].since, 1, memory_order_relaxed);
			return true;
		}
	return false;
}

void
demand_used(struct demand *d, const struct demand_result *r, int64_t now_wall_ms)
{
	if (count_known(d, r))
		return;
	lock_take(&d->lock);
	struct used *u = find_used_locked(d, r->digest, now_wall_ms);
	/* of a walk that goes on in a result that has been replaced */
	if (r->id >= u->id) {
		u->uses = uses_left(u, now_wall_ms) + USE;
		u->id = r->id;
		atomic_store_explicit(&u->known, r->id, memory_order_relaxed);
		u->fetched_at_ms = r->fetched_at_ms;
		u->fresh_until_ms = r->fresh_until_ms;
		u->used_ms = now_wall_ms > 0 ? now_wall_ms : 1;
	}
	lock_drop(&d->lock);
}

int64_t
demand_due_ms(const struct demand_result *r)
{
	int64_t life_ms = r->fresh_until_ms - r->fetched_at_ms;
	uint64_t own;
	memcpy(&own, r->digest, sizeof own);
	own = (own ^ r->id) * UINT64_C(0x9E3779B97F4A7C15) >> 32;
	int64_t permille = 100 + (int64_t)(own % 151);
	/* lives of years are no products that fit */
	return r->fresh_until_ms - (life_ms / 1000 * permille + life_ms % 1000 * permille / 1000);
}

static bool
is_due(const struct used *u, uint64_t uses, int64_t now_ms, uint64_t *ret_left)
{
	const struct demand_result r = {u->key, u->id, u->fetched_at_ms, u->fresh_until_ms};
	if (u->used_ms == 0 || now_ms >= u->fresh_until_ms || now_ms < demand_due_ms(&r))
		return false;
	*ret_left = uses_left(u, now_ms);
	return *ret_left >= uses * USE;
}

/* Into its place among those found, if there is one. */
static size_t
insert(struct demand_popular *list, size_t count, size_t most, const struct demand_popular *p)
{
	size_t at = count;
	while (at > 0 && list[at - 1].uses < p->uses)
		at--;
	if (at == most)
		return count;
	if (count == most)
		count--;
	memmove(&list[at + 1], &list[at], (count - at) * sizeof *list);
	list[at] = *p;
	return count + 1;
}

size_t
demand_due(
    struct demand *d, uint64_t uses, int64_t now_wall_ms, struct demand_popular *ret, size_t most)
{
	size_t count = 0;
	uint64_t left;
	lock_take(&d->lock);
	for (size_t i = 0; i < SETS * WAYS; i++) {
		struct used *u = &d->used[i / WAYS][i % WAYS];
		take_in_locked(u, now_wall_ms);
		if (!is_due(u, uses, now_wall_ms, &left))
			continue;
		const struct demand_popular p = {u->id, left / USE, u->fresh_until_ms};
		count = insert(ret, count, most, &p);
	}
	lock_drop(&d->lock);
	return count;
}
