#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/answer/matches.h"
#include "gateway/base/lock.h"

#define BLOCKS_PER_VIEW 64 /* a walk gives its read transaction back after so many blocks of rows */
#define STORE_MOST 1024    /* objects; the bytes are the limit that is meant */

struct matches {
	atomic_uint refs;
	uint64_t result;
	uint8_t name[SHA256_BYTES];
	uint64_t records, total;
	uint64_t bits[]; /* one each record */
};

struct matches_store {
	struct lock lock;
	size_t most_bytes, bytes, count;
	struct matches *list[STORE_MOST]; /* the one used last comes first */
};

static size_t
words_of(uint64_t records)
{
	return (size_t)(records / 64 + 1);
}

static size_t
bytes_of(const struct matches *m)
{
	return sizeof *m + words_of(m->records) * sizeof m->bits[0];
}

struct matches *
matches_ref(struct matches *m)
{
	atomic_fetch_add(&m->refs, 1);
	return m;
}

void
matches_release(struct matches *m)
{
	if (m != NULL && atomic_fetch_sub(&m->refs, 1) == 1)
		free(m);
}

/* --- finding them */

struct walk {
	struct cache_result *result;
	const struct filter *filter;
	struct matches *m;
	uint64_t at;
};

/* One block of rows; STATUS_NOT_FOUND at the end. */
static enum status
walk_block(struct walk *w, struct cache_view *view)
{
	const struct row *rows;
	size_t part, count;
	uint64_t at, found = 0;
	if (!cache_locate(w->result, w->at, &part, &at))
		return STATUS_NOT_FOUND;
	struct cache_source source = cache_source_part(w->result, part);
	enum status st = cache_view_rows(view, &source, at, &rows, &count);
	if (st != STATUS_OK)
		return st == STATUS_NOT_FOUND ? STATUS_CORRUPT : st;
	for (size_t i = 0; i < count; i++) {
		uint64_t bit = filter_match(w->filter, &rows[i]), n = w->at + i;
		if (filter_doubts(w->filter, &rows[i]))
			return STATUS_UPSTREAM_BAD_DATA;
		w->m->bits[n / 64] |= bit << n % 64;
		found += bit;
	}
	w->m->total += found;
	w->at += count;
	return STATUS_OK;
}

static enum status
walk_all(struct walk *w, struct cache *cache)
{
	enum status st = STATUS_OK;
	while (st == STATUS_OK) {
		struct cache_view *view;
		st = cache_view_open(cache, &view);
		if (st != STATUS_OK)
			return st;
		for (int n = 0; st == STATUS_OK && n < BLOCKS_PER_VIEW; n++)
			st = walk_block(w, view);
		cache_view_close(view);
	}
	return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status
make(struct cache *cache, struct cache_result *result, const struct filter *filter,
    const uint8_t name[SHA256_BYTES], struct matches **ret)
{
	const struct cache_manifest *manifest = cache_manifest(result);
	struct matches *m = calloc(1, sizeof *m + words_of(manifest->records) * sizeof m->bits[0]);
	if (m == NULL)
		return STATUS_NO_MEMORY;
	m->refs = 1;
	m->result = manifest->id;
	m->records = manifest->records;
	memcpy(m->name, name, sizeof m->name);
	struct walk w = {result, filter, m, 0};
	enum status st = walk_all(&w, cache);
	if (st == STATUS_OK)
		*ret = m;
	else
		matches_release(m);
	return st;
}

/* --- the store of them */

struct matches_store *
matches_store_new(size_t most_bytes)
{
	struct matches_store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->most_bytes = most_bytes;
	lock_init(&s->lock, LOCK_MATCHES);
	return s;
}

void
matches_store_free(struct matches_store *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		matches_release(s->list[i]);
	lock_fini(&s->lock);
	free(s);
}

/* Puts it before all others: it was at `from`. */
static void
to_front_locked(struct matches_store *s, size_t from)
{
	struct matches *m = s->list[from];
	lock_assert_held(&s->lock);
	memmove(&s->list[1], &s->list[0], from * sizeof(struct matches *));
	s->list[0] = m;
}

static struct matches *
find(struct matches_store *s, uint64_t result, const uint8_t name[SHA256_BYTES])
{
	struct matches *found = NULL;
	lock_take(&s->lock);
	for (size_t i = 0; i < s->count && found == NULL; i++) {
		if (s->list[i]->result != result ||
		    memcmp(s->list[i]->name, name, SHA256_BYTES) != 0)
			continue;
		found = matches_ref(s->list[i]);
		to_front_locked(s, i);
	}
	lock_drop(&s->lock);
	return found;
}

static void
drop_last_locked(struct matches_store *s)
{
	lock_assert_held(&s->lock);
	s->bytes -= bytes_of(s->list[--s->count]);
	matches_release(s->list[s->count]);
}

/* What is too large to be kept is made anew each time. */
static void
keep(struct matches_store *s, struct matches *m)
{
	size_t bytes = bytes_of(m);
	if (bytes > s->most_bytes)
		return;
	lock_take(&s->lock);
	while (s->count > 0 && (s->count == STORE_MOST || s->bytes + bytes > s->most_bytes))
		drop_last_locked(s);
	s->list[s->count++] = matches_ref(m);
	s->bytes += bytes;
	to_front_locked(s, s->count - 1);
	lock_drop(&s->lock);
}

enum status
matches_get(struct matches_store *s, struct cache *cache, struct cache_result *result,
    const struct filter *filter, const uint8_t name[SHA256_BYTES], struct matches **ret)
{
	struct matches *m = find(s, cache_manifest(result)->id, name);
	if (m == NULL) {
		enum status st = make(cache, result, filter, name, &m);
		if (st != STATUS_OK)
			return st;
		keep(s, m);
	}
	*ret = m;
	return STATUS_OK;
}

/* --- looking at them */

uint64_t
matches_total(const struct matches *m)
{
	return m->total;
}

bool
matches_next(const struct matches *m, uint64_t from, uint64_t *ret)
{
	if (from >= m->records)
		return false;
	size_t at = (size_t)(from / 64), words = words_of(m->records);
	uint64_t word = m->bits[at] & (UINT64_MAX << from % 64);
	while (word == 0 && ++at < words)
		word = m->bits[at];
	if (word == 0)
		return false;
	*ret = (uint64_t)at * 64 + (unsigned)__builtin_ctzll(word);
	return true;
}

uint64_t
matches_run(const struct matches *m, uint64_t from, uint64_t most)
{
	uint64_t run = 0;
	while (run < most && from + run < m->records &&
	       (m->bits[(from + run) / 64] >> (from + run) % 64 & 1))
		run++;
	return run;
}
