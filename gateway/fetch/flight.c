#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/ids.h"
#include "gateway/base/limits.h"
#include "gateway/base/lock.h"
#include "gateway/fetch/flight.h"
#include "gateway/query/query.h"

#define BUCKETS 4096 /* a power of two */
#define ENDED_KEPT 256
#define ENDED_KEPT_MS INT64_C(3600000)
#define ENDED_TEXT_BYTES (64 * KIB) /* of a kept one; a text has up to LIMIT_CANON_BYTES */
#define ASKER_TEXT_BYTES                                                                           \
	(4 * KIB) /* of what a follower asks for; there may be one for each consumer */
#define OWED_MS INT64_C(120000) /* twice the longest Retry-After of a 202 */

struct flight {
	struct flights *owner;
	/* in the table */
	struct flight *next, *prev;         /* of its list */
	struct flight *next_here, *next_id; /* of its buckets */
	struct flight *next_stage;          /* likewise, if it has a stage */
	struct flight *next_ended;          /* of what has ended */
	unsigned refs;                      /* under the lock; the table holds one */
	bool listed;
	pthread_cond_t changed;
	uint8_t digest[SHA256_BYTES];
	char *text;
	size_t text_len;
	uint64_t *policies; /* that its query names */
	size_t policy_count;
	char *consumer; /* who began it */
	struct asker {  /* who joined it, follows it, or is owed its result; under the lock */
		char *name;
		enum flight_asker as;
		char *text; /* of a follower: what it asks for, if it is small */
		bool owed;
	} * askers;
	size_t asker_count;
	struct flight_view view;
	struct cache_result *result;
	/* watermark: of each call's current attempt what is committed */
	uint64_t stage;
	struct flight_mark {
		uint32_t attempt;
		bool ended;
		uint64_t records;
	} * marks;
	size_t mark_count;
};

struct flights {
	struct lock lock;
	/* under way and lately ended. What is under way can be thousands, and is looked up by every
	 * request that needs the upstream: only what is about all of them may walk the list. */
	struct flight *list;                                /* newest first */
	struct flight *by_digest[BUCKETS], *by_id[BUCKETS]; /* of each bucket, newest first */
	struct flight *by_stage[BUCKETS];
	struct flight *first_ended, *last_ended; /* in the order of their ends */
	size_t count, ended;
	bool stopped;
};

enum flight_state
flight_state_of(enum status status)
{
	return status == STATUS_OK          ? FLIGHT_COMPLETE
	       : status == STATUS_CANCELLED ? FLIGHT_CANCELLED
					    : FLIGHT_FAILED;
}

const char *
flight_state_name(enum flight_state state)
{
	static const char *const names[] = {
	    "queued", "resolving", "fetching", "complete", "failed", "cancelled"};
	return names[state];
}

struct flights *
flights_new(void)
{
	struct flights *fs = calloc(1, sizeof *fs);
	if (fs == NULL)
		return NULL;
	lock_init(&fs->lock, LOCK_FLIGHT);
	return fs;
}

static void
flight_destroy(struct flight *f)
{
	cache_release(f->result);
	pthread_cond_destroy(&f->changed);
	free(f->text);
	free(f->policies);
	free(f->consumer);
	for (size_t i = 0; i < f->asker_count; i++) {
		free(f->askers[i].name);
		free(f->askers[i].text);
	}
	free(f->askers);
	free(f->marks);
	free(f);
}

void
flights_free(struct flights *fs)
{
	if (fs == NULL)
		return;
	for (struct flight *f = fs->list; f != NULL;) {
		struct flight *next = f->next;
		flight_destroy(f);
		f = next;
	}
	lock_fini(&fs->lock);
	free(fs);
}

/* True if the caller must destroy it, after dropping the lock. */
static bool
unref_locked(struct flight *f)
{
	return --f->refs == 0;
}

static bool
ended(const struct flight *f)
{
	return f->view.state >= FLIGHT_COMPLETE;
}

/* Takes a text that is too large to be kept out of it, or NULL. */
static char *
large_text_locked(struct flight *f)
{
	lock_assert_held(&f->owner->lock);
	if (f->text_len <= ENDED_TEXT_BYTES)
		return NULL;
	char *text = f->text;
	f->text = NULL;
	f->text_len = 0;
	return text;
}

void
flight_release(struct flight *f)
{
	if (f == NULL)
		return;
	struct flights *fs = f->owner;
	lock_take(&fs->lock);
	bool last = unref_locked(f);
	struct cache_result *unused = NULL;
	uint64_t *unused_policies = NULL;
	char *unused_text = NULL;
	if (f->listed && f->refs == 1 && ended(f)) {
		/* nobody joins what has ended: kept for its figures, it must not keep its result
		 * from being evicted, nor hundreds of them gigabytes of texts. */
		unused = f->result;
		f->result = NULL;
		unused_text = large_text_locked(f);
		unused_policies = f->policies;
		f->policies = NULL;
		f->policy_count = 0;
	}
	lock_drop(&fs->lock);
	cache_release(unused);
	free(unused_policies);
	free(unused_text);
	if (last)
		flight_destroy(f);
}

struct flight *
flight_ref(struct flight *f)
{
	lock_take(&f->owner->lock);
	f->refs++;
	lock_drop(&f->owner->lock);
	return f;
}

static struct flight **
bucket_of_digest(struct flights *fs, const uint8_t digest[SHA256_BYTES])
{
	return &fs->by_digest[(digest[0] | (unsigned)digest[1] << 8) % BUCKETS];
}

/* Ids are random bits. */
static struct flight **
bucket_of_id(struct flights *fs, uint64_t id)
{
	return &fs->by_id[id % BUCKETS];
}

/* Of a stage's id the low bits are random, too. */
static struct flight **
bucket_of_stage(struct flights *fs, uint64_t stage)
{
	return &fs->by_stage[stage % BUCKETS];
}

static void
unlist_stage_locked(struct flights *fs, struct flight *f)
{
	struct flight **at = bucket_of_stage(fs, f->stage);
	lock_assert_held(&fs->lock);
	if (f->stage == 0)
		return;
	while (*at != f)
		at = &(*at)->next_stage;
	*at = f->next_stage;
}

static void
list_locked(struct flights *fs, struct flight *f)
{
	struct flight **here = bucket_of_digest(fs, f->digest), **id = bucket_of_id(fs, f->view.id);
	lock_assert_held(&fs->lock);
	f->next = fs->list;
	if (f->next != NULL)
		f->next->prev = f;
	f->next_here = *here;
	f->next_id = *id;
	fs->list = *here = *id = f;
	f->listed = true;
	fs->count++;
}

static void
unlist_locked(struct flights *fs, struct flight *f)
{
	struct flight **here = bucket_of_digest(fs, f->digest), **id = bucket_of_id(fs, f->view.id);
	lock_assert_held(&fs->lock);
	while (*here != f)
		here = &(*here)->next_here;
	while (*id != f)
		id = &(*id)->next_id;
	*here = f->next_here;
	*id = f->next_id;
	unlist_stage_locked(fs, f);
	if (f->next != NULL)
		f->next->prev = f->prev;
	*(f->prev != NULL ? &f->prev->next : &fs->list) = f->next;
	f->listed = false;
	fs->count--;
}

/* Takes one flight that ended too long ago out of the list, or NULL. */
static struct flight *
forget_one_locked(struct flights *fs, int64_t now_ms)
{
	struct flight *f = fs->first_ended;
	lock_assert_held(&fs->lock);
	if (f == NULL || (fs->ended <= ENDED_KEPT && f->view.ended_ms + ENDED_KEPT_MS > now_ms))
		return NULL;
	fs->first_ended = f->next_ended;
	if (fs->first_ended == NULL)
		fs->last_ended = NULL;
	fs->ended--;
	unlist_locked(fs, f);
	return f;
}

static void
forget_old(struct flights *fs)
{
	for (;;) {
		lock_take(&fs->lock);
		struct flight *f = forget_one_locked(fs, clock_mono_ms());
		bool last = f != NULL && unref_locked(f);
		lock_drop(&fs->lock);
		if (last)
			flight_destroy(f);
		if (f == NULL)
			return;
	}
}

/* Which policies its query names: none, if that is no query. False when out of memory. */
static bool
note_policies(struct flight *f)
{
	struct arena arena;
	struct id_list list = {NULL, 0};
	arena_init(&arena, LIMIT_ARENA_BYTES);
	enum status st = query_canon_policies(&arena, f->text, f->text_len, &list);
	if (st == STATUS_OK && list.count > 0) {
		f->policies = malloc(list.count * sizeof *f->policies);
		if (f->policies != NULL)
			memcpy(f->policies, list.ids, list.count * sizeof *f->policies);
		f->policy_count = f->policies != NULL ? list.count : 0;
	}
	arena_fini(&arena);
	return st != STATUS_NO_MEMORY && f->policy_count == list.count;
}

static struct flight *
flight_create(struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t text_len, const char *consumer)
{
	struct flight *f = calloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	f->owner = fs;
	f->refs = 2; /* the list's and the caller's */
	clock_cond_init(&f->changed);
	memcpy(f->digest, digest, SHA256_BYTES);
	f->text = malloc(text_len + 1);
	f->consumer = strdup(consumer);
	if (f->text == NULL || f->consumer == NULL) {
		flight_destroy(f);
		return NULL;
	}
	memcpy(f->text, text, text_len);
	f->text[text_len] = '\0';
	f->text_len = text_len;
	f->view.begun_ms = clock_mono_ms();
	if (!note_policies(f)) {
		flight_destroy(f);
		return NULL;
	}
	return f;
}

static struct flight *
find_running_locked(
    struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *text, size_t text_len)
{
	for (struct flight *f = *bucket_of_digest(fs, digest); f != NULL; f = f->next_here)
		if (!ended(f) && memcmp(f->digest, digest, SHA256_BYTES) == 0 &&
		    f->text_len == text_len && memcmp(f->text, text, text_len) == 0)
			return f;
	return NULL;
}

static struct flight *
find_locked(struct flights *fs, uint64_t id)
{
	struct flight *f = *bucket_of_id(fs, id);
	while (f != NULL && f->view.id != id)
		f = f->next_id;
	return f;
}

/* In no order: two ids of one consumer must not tell how many fetches of others lie between. */
static uint64_t
new_id_locked(struct flights *fs)
{
	uint64_t id;
	lock_assert_held(&fs->lock);
	do {
		crypto_random(&id, sizeof id);
		id >>= 16;
	} while (id == 0 || find_locked(fs, id) != NULL);
	return id;
}

struct flight *
flight_running(
    struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *text, size_t text_len)
{
	lock_take(&fs->lock);
	struct flight *f = find_running_locked(fs, digest, text, text_len);
	if (f != NULL)
		f->refs++;
	lock_drop(&fs->lock);
	return f;
}

struct flight *
flight_join_if(struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t text_len, const char *consumer, bool (*may_lead)(void *ctx), void *ctx, bool *ret_leader)
{
	forget_old(fs);
	*ret_leader = false;
	struct flight *f = flight_running(fs, digest, text, text_len);
	if (f != NULL)
		return f;

	/* made before the lock is taken: a copy of megabytes must not hold up everyone */
	struct flight *made = flight_create(fs, digest, text, text_len, consumer);
	if (made == NULL)
		return NULL;
	lock_take(&fs->lock);
	f = find_running_locked(fs, digest, text, text_len); /* somebody may have been quicker */
	if (f != NULL) {
		f->refs++;
	} else if (may_lead == NULL || may_lead(ctx)) {
		made->view.id = new_id_locked(fs);
		list_locked(fs, made);
		*ret_leader = true;
	}
	lock_drop(&fs->lock);
	if (*ret_leader)
		return made;
	flight_destroy(made);
	return f;
}

struct flight *
flight_join(struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *text,
    size_t text_len, const char *consumer, bool *ret_leader)
{
	return flight_join_if(fs, digest, text, text_len, consumer, NULL, NULL, ret_leader);
}

static struct asker *
find_asker_locked(struct flight *f, const char *consumer)
{
	lock_assert_held(&f->owner->lock);
	for (size_t i = 0; i < f->asker_count; i++)
		if (strcmp(f->askers[i].name, consumer) == 0)
			return &f->askers[i];
	return NULL;
}

/* NULL when out of memory. */
static struct asker *
add_asker_locked(struct flight *f, const char *consumer)
{
	struct asker *found = find_asker_locked(f, consumer);
	if (found != NULL)
		return found;
	struct asker *askers = realloc(f->askers, (f->asker_count + 1) * sizeof *askers);
	char *name = strdup(consumer);
	if (askers != NULL)
		f->askers = askers;
	if (askers == NULL || name == NULL) {
		free(name);
		return NULL;
	}
	askers[f->asker_count] = (struct asker){.name = name};
	return &askers[f->asker_count++];
}

void
flight_asked(struct flight *f, const char *consumer)
{
	lock_take(&f->owner->lock);
	struct asker *a = add_asker_locked(f, consumer);
	if (a != NULL)
		a->as = FLIGHT_ASKER;
	lock_drop(&f->owner->lock);
}

void
flight_followed(struct flight *f, const char *consumer, const char *text, size_t len)
{
	char *copy = len <= ASKER_TEXT_BYTES ? strndup(text, len) : NULL;
	lock_take(&f->owner->lock);
	struct asker *a = add_asker_locked(f, consumer);
	char *unused = copy;
	if (a != NULL) {
		unused = a->text;
		a->text = copy;
		if (a->as == FLIGHT_STRANGER)
			a->as = FLIGHT_FOLLOWER;
	}
	lock_drop(&f->owner->lock);
	free(unused);
}

enum flight_asker
flight_asked_by(struct flight *f, const char *consumer, char **ret_text)
{
	enum flight_asker as = FLIGHT_STRANGER;
	char *text = NULL;
	lock_take(&f->owner->lock);
	const struct asker *a = find_asker_locked(f, consumer);
	if (strcmp(f->consumer, consumer) == 0)
		as = FLIGHT_ASKER;
	else if (a != NULL)
		as = a->as;
	if (as == FLIGHT_FOLLOWER && a->text != NULL)
		text = strdup(a->text);
	lock_drop(&f->owner->lock);
	*ret_text = text;
	return as;
}

void
flight_owe(struct flight *f, const char *consumer)
{
	lock_take(&f->owner->lock);
	struct asker *a = add_asker_locked(f, consumer);
	if (a != NULL)
		a->owed = true;
	lock_drop(&f->owner->lock);
}

/* Who of the flight is owed this result, if it is the one that it has made or a newer one. */
static struct asker *
find_owed_locked(
    struct flight *f, const uint8_t digest[SHA256_BYTES], const char *consumer, uint64_t result)
{
	lock_assert_held(&f->owner->lock);
	if (f->view.state != FLIGHT_COMPLETE || f->view.result > result ||
	    memcmp(f->digest, digest, SHA256_BYTES) != 0)
		return NULL;
	struct asker *a = find_asker_locked(f, consumer);
	return a != NULL && a->owed ? a : NULL;
}

bool
flights_owe(
    struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *consumer, uint64_t result)
{
	bool owed = false;
	int64_t now_ms = clock_mono_ms();
	lock_take(&fs->lock);
	for (struct flight *f = *bucket_of_digest(fs, digest); f != NULL && !owed; f = f->next_here)
		owed = now_ms - f->view.ended_ms < OWED_MS &&
		       find_owed_locked(f, digest, consumer, result) != NULL;
	lock_drop(&fs->lock);
	return owed;
}

void
flights_settle(
    struct flights *fs, const uint8_t digest[SHA256_BYTES], const char *consumer, uint64_t result)
{
	lock_take(&fs->lock);
	for (struct flight *f = *bucket_of_digest(fs, digest); f != NULL; f = f->next_here) {
		struct asker *a = find_owed_locked(f, digest, consumer, result);
		if (a != NULL)
			a->owed = false;
	}
	lock_drop(&fs->lock);
}

bool
flights_failed_lately(struct flights *fs, const uint8_t digest[SHA256_BYTES], int64_t within_ms,
    enum status *ret_status, int64_t *ret_wait_ms)
{
	const struct flight *last = NULL;
	bool failed = false, running = false;
	lock_take(&fs->lock);
	for (const struct flight *f = *bucket_of_digest(fs, digest); f != NULL; f = f->next_here) {
		if (memcmp(f->digest, digest, SHA256_BYTES) != 0)
			continue;
		running = running || !ended(f);
		if (last == NULL || f->view.ended_ms > last->view.ended_ms)
			last = f;
	}
	if (!running && last != NULL && last->view.state == FLIGHT_FAILED &&
	    status_is_upstream(last->view.status)) {
		int64_t pause_ms =
		    last->view.retry_after_ms > within_ms ? last->view.retry_after_ms : within_ms;
		*ret_wait_ms = last->view.ended_ms + pause_ms - clock_mono_ms();
		*ret_status = last->view.status;
		failed = *ret_wait_ms > 0;
	}
	lock_drop(&fs->lock);
	return failed;
}

size_t
flights_of_policy(struct flights *fs, uint64_t policy, struct flight **list, size_t most)
{
	size_t count = 0, looked = 0;
	lock_take(&fs->lock);
	for (struct flight *f = fs->list; f != NULL && count < most && looked < FLIGHTS_LOOKED;
	     f = f->next, looked++) {
		if (ended(f) || ids_find(f->policies, f->policy_count, policy) == f->policy_count)
			continue;
		f->refs++;
		list[count++] = f;
	}
	lock_drop(&fs->lock);
	return count;
}

void
flights_look(struct flights *fs, struct flights_view *ret)
{
	struct flights_view v = {0};
	lock_take(&fs->lock);
	for (const struct flight *f = fs->list; f != NULL; f = f->next) {
		if (ended(f))
			continue;
		v.running++;
		v.batches_seen += f->view.progress.batches_seen;
		v.batches_announced += f->view.progress.batches_announced;
	}
	lock_drop(&fs->lock);
	*ret = v;
}

struct flight *
flight_find(struct flights *fs, uint64_t id)
{
	lock_take(&fs->lock);
	struct flight *f = find_locked(fs, id);
	if (f != NULL)
		f->refs++;
	lock_drop(&fs->lock);
	return f;
}

struct flight *
flight_of_stage(struct flights *fs, uint64_t stage)
{
	lock_take(&fs->lock);
	struct flight *f = *bucket_of_stage(fs, stage);
	while (f != NULL && f->stage != stage)
		f = f->next_stage;
	if (f != NULL)
		f->refs++;
	lock_drop(&fs->lock);
	return f;
}

enum status
flights_list(struct flights *fs, struct flight ***ret_list, size_t *ret_count)
{
	forget_old(fs);
	lock_take(&fs->lock);
	size_t room = fs->count, count = 0;
	lock_drop(&fs->lock);
	struct flight **list = calloc(room + 1, sizeof(struct flight *));
	if (list == NULL)
		return STATUS_NO_MEMORY;
	lock_take(&fs->lock);
	for (struct flight *f = fs->list; f != NULL && count < room; f = f->next) {
		f->refs++;
		list[count++] = f;
	}
	lock_drop(&fs->lock);
	*ret_list = list;
	*ret_count = count;
	return STATUS_OK;
}

void
flights_list_free(struct flight **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		flight_release(list[i]);
	free(list);
}

/* --- the fetch's side */

void
flight_progress(struct flight *f, enum flight_state state, const struct flight_progress *p)
{
	lock_take(&f->owner->lock);
	if (!ended(f)) {
		f->view.state = state;
		f->view.progress = *p;
	}
	lock_drop(&f->owner->lock);
}

void
flight_asks(struct flight *f, const char *version, int64_t fetched_at_ms)
{
	lock_take(&f->owner->lock);
	snprintf(f->view.version, sizeof f->view.version, "%s", version);
	f->view.fetched_at_ms = fetched_at_ms;
	lock_drop(&f->owner->lock);
}

void
flight_staged(struct flight *f, uint64_t stage)
{
	struct flight **here = bucket_of_stage(f->owner, stage);
	lock_take(&f->owner->lock);
	unlist_stage_locked(f->owner, f);
	f->stage = stage;
	f->next_stage = *here;
	*here = f;
	if (f->mark_count > 0)
		memset(f->marks, 0, f->mark_count * sizeof *f->marks);
	pthread_cond_broadcast(&f->changed);
	lock_drop(&f->owner->lock);
}

/* Out of memory, the mark is lost: who reads along waits for the end of the fetch. */
static void
set_mark(struct flight *f, uint32_t call, struct flight_mark mark)
{
	lock_take(&f->owner->lock);
	if (call >= f->mark_count) {
		size_t count = ((size_t)call + 8) * 2;
		struct flight_mark *marks = realloc(f->marks, count * sizeof *marks);
		if (marks != NULL) {
			memset(marks + f->mark_count, 0, (count - f->mark_count) * sizeof *marks);
			f->marks = marks;
			f->mark_count = count;
		}
	}
	if (call < f->mark_count) {
		f->marks[call] = mark;
		pthread_cond_broadcast(&f->changed);
	}
	lock_drop(&f->owner->lock);
}

void
flight_committed(struct flight *f, uint32_t call, uint32_t attempt, uint64_t records)
{
	set_mark(f, call, (struct flight_mark){attempt, false, records});
}

void
flight_call_ended(struct flight *f, uint32_t call, uint32_t attempt, uint64_t records)
{
	set_mark(f, call, (struct flight_mark){attempt, true, records});
}

void
flight_end(
    struct flight *f, enum status status, int64_t retry_after_ms, struct cache_result *result)
{
	struct flights *fs = f->owner;
	if (status == STATUS_OK)
		cache_ref(result);
	lock_take(&fs->lock);
	assert(!ended(f));
	f->view.state = flight_state_of(status);
	f->view.status = status;
	f->view.retry_after_ms = retry_after_ms;
	f->view.ended_ms = clock_mono_ms();
	if (status == STATUS_OK) {
		f->result = result;
		f->view.result = cache_manifest(result)->id;
	}
	*(fs->last_ended != NULL ? &fs->last_ended->next_ended : &fs->first_ended) = f;
	fs->last_ended = f;
	fs->ended++;
	pthread_cond_broadcast(&f->changed);
	lock_drop(&fs->lock);
}

/* --- the requests' side */

bool
flight_wait(struct flight *f, int64_t until_ms)
{
	struct flights *fs = f->owner;
	lock_take(&fs->lock);
	while (!ended(f) && !fs->stopped && clock_mono_ms() < until_ms)
		lock_wait(&fs->lock, &f->changed, until_ms);
	bool over = ended(f);
	lock_drop(&fs->lock);
	return over;
}

void
flight_look(struct flight *f, struct flight_view *ret)
{
	lock_take(&f->owner->lock);
	*ret = f->view;
	lock_drop(&f->owner->lock);
}

static void
look_at_call_locked(const struct flight *f, uint32_t call, struct flight_call *ret)
{
	*ret = (struct flight_call){.stage = f->stage, .flight_ended = ended(f)};
	if (call >= f->mark_count)
		return;
	ret->attempt = f->marks[call].attempt;
	ret->records = f->marks[call].records;
	ret->ended = f->marks[call].ended;
}

void
flight_call(struct flight *f, uint32_t call, struct flight_call *ret)
{
	lock_take(&f->owner->lock);
	look_at_call_locked(f, call, ret);
	lock_drop(&f->owner->lock);
}

void
flight_locate(
    struct flight *f, uint64_t ordinal, uint32_t most, uint32_t *ret_call, uint64_t *ret_at)
{
	uint32_t call = 0;
	lock_take(&f->owner->lock);
	for (; call < most && call < f->mark_count; call++) {
		if (!f->marks[call].ended || f->marks[call].records > ordinal)
			break;
		ordinal -= f->marks[call].records;
	}
	lock_drop(&f->owner->lock);
	*ret_call = call;
	*ret_at = ordinal;
}

static bool
same_call(const struct flight_call *a, const struct flight_call *b)
{
	return a->stage == b->stage && a->attempt == b->attempt && a->records == b->records &&
	       a->ended == b->ended && a->flight_ended == b->flight_ended;
}

bool
flight_wait_call(struct flight *f, uint32_t call, const struct flight_call *seen, int64_t until_ms)
{
	struct flights *fs = f->owner;
	struct flight_call now;
	lock_take(&fs->lock);
	for (;;) {
		look_at_call_locked(f, call, &now);
		if (!same_call(&now, seen) || fs->stopped || clock_mono_ms() >= until_ms)
			break;
		lock_wait(&fs->lock, &f->changed, until_ms);
	}
	bool go_on = !fs->stopped;
	lock_drop(&fs->lock);
	return go_on;
}

const char *
flight_consumer(const struct flight *f)
{
	return f->consumer;
}

const uint8_t *
flight_digest(const struct flight *f)
{
	return f->digest;
}

const char *
flight_text(const struct flight *f, size_t *ret_len)
{
	*ret_len = f->text_len;
	return f->text;
}

struct cache_result *
flight_result(struct flight *f)
{
	lock_take(&f->owner->lock);
	struct cache_result *r = f->result;
	lock_drop(&f->owner->lock);
	return r != NULL ? cache_ref(r) : NULL; /* the flight, which we hold, holds it */
}

void
flights_stop(struct flights *fs)
{
	lock_take(&fs->lock);
	fs->stopped = true;
	for (struct flight *f = fs->list; f != NULL; f = f->next)
		pthread_cond_broadcast(&f->changed);
	lock_drop(&fs->lock);
}
