#include "config.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/fetch/memory.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

#define PAUSE_LEAST_MS SECOND_MS
#define PAUSE_MOST_MS (30 * SECOND_MS)
#define PROBE_MOST_MS MINUTE_MS /* a probe that takes longer does not keep all others out */
#define FAILURES_TO_AIL 3       /* of different queries, where one alone says little */
#define GONE_MS (10 * MINUTE_MS)
#define HOSTS_FIRST_MS MINUTE_MS
#define HOSTS_MOST_MS HOUR_MS
#define GAP_MS (24 * HOUR_MS)

#define VERSIONS_MOST 32
#define HOSTS_MOST                                                                                 \
	4096 /* more failing policies than that: the one to be asked first is forgotten */
#define GAPS_MOST MEMORY_GAPS_MOST

struct hosts {
	uint64_t policy; /* 0: not used */
	int64_t until_ms, delay_ms;
};

struct gap {
	uint8_t key[MEMORY_GAP_BYTES];
	int64_t until_ms; /* 0: not used */
};

struct memory {
	struct lock lock;
	bool remembers;
	/* the upstream */
	enum status status; /* STATUS_OK: it does not ail */
	int64_t pause_ms, closed_until_ms;
	uint64_t probe, probes; /* the one under way, 0: none; how many there were */
	int64_t probing_until_ms;
	unsigned failures;
	uint64_t last_query;
	/* tables: open addressing would save nothing here, they are looked through rarely */
	int64_t gone_until_ms[VERSIONS_MOST];
	size_t hosts_count, gap_count;
	struct hosts hosts[HOSTS_MOST];
	struct gap gaps[GAPS_MOST];
};

struct memory *
memory_new(bool remembers)
{
	struct memory *m = calloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	lock_init(&m->lock, LOCK_MEMORY);
	m->remembers = remembers;
	return m;
}

void
memory_free(struct memory *m)
{
	if (m == NULL)
		return;
	lock_fini(&m->lock);
	free(m);
}

/* --- the upstream as a whole */

static bool
closed_locked(const struct memory *m, int64_t now_ms, enum status *ret_status, int64_t *ret_wait_ms)
{
	lock_assert_held(&m->lock);
	if (m->status == STATUS_OK)
		return false;
	int64_t until = m->closed_until_ms;
	if (until <= now_ms && m->probe != 0 && m->probing_until_ms > now_ms)
		until = now_ms + SECOND_MS; /* the probe will tell */
	if (until <= now_ms)
		return false;
	*ret_status = m->status;
	*ret_wait_ms = until - now_ms;
	return true;
}

bool
memory_closed(struct memory *m, int64_t now_ms, enum status *ret_status, int64_t *ret_wait_ms)
{
	lock_take(&m->lock);
	bool closed = closed_locked(m, now_ms, ret_status, ret_wait_ms);
	lock_drop(&m->lock);
	return closed;
}

bool
memory_ails(struct memory *m)
{
	lock_take(&m->lock);
	bool ails = m->status != STATUS_OK;
	lock_drop(&m->lock);
	return ails;
}

enum memory_enter
memory_enter(struct memory *m, int64_t now_ms, uint64_t *ret_probe, enum status *ret_status,
    int64_t *ret_wait_ms)
{
	enum memory_enter how = MEMORY_WELL;
	lock_take(&m->lock);
	if (closed_locked(m, now_ms, ret_status, ret_wait_ms)) {
		how = MEMORY_CLOSED;
	} else if (m->status != STATUS_OK) {
		how = MEMORY_PROBE;
		*ret_probe = m->probe = ++m->probes;
		m->probing_until_ms = now_ms + PROBE_MOST_MS;
	}
	lock_drop(&m->lock);
	return how;
}

void
memory_probe_over(struct memory *m, uint64_t probe)
{
	lock_take(&m->lock);
	if (m->probe == probe)
		m->probe = 0;
	lock_drop(&m->lock);
}

void
memory_answered(struct memory *m)
{
	lock_take(&m->lock);
	bool ailed = m->status != STATUS_OK;
	m->status = STATUS_OK;
	m->failures = 0;
	m->pause_ms = 0;
	lock_drop(&m->lock);
	if (ailed)
		log_event(LOG_INFO, "upstream-well", "note=\"it answers again\"");
}

void
memory_failed(
    struct memory *m, enum status st, bool alone, uint64_t query, int64_t wait_ms, int64_t now_ms)
{
	lock_take(&m->lock);
	bool another = m->failures == 0 || query != m->last_query;
	m->last_query = query;
	m->failures += another;
	bool ails =
	    m->remembers && (alone || m->status != STATUS_OK || m->failures >= FAILURES_TO_AIL);
	bool begins = ails && m->status == STATUS_OK;
	/* calls that were under way when the pause began tell nothing new, nor does the query that
	 * failed last and is perhaps the only one that still does */
	if (begins || (ails && (alone || another) && now_ms >= m->closed_until_ms)) {
		m->pause_ms = m->pause_ms == 0 ? PAUSE_LEAST_MS : m->pause_ms * 2;
		if (m->pause_ms > PAUSE_MOST_MS)
			m->pause_ms = PAUSE_MOST_MS;
		m->closed_until_ms = now_ms + m->pause_ms;
	}
	if (ails) {
		m->status = st;
		if (now_ms + wait_ms > m->closed_until_ms)
			m->closed_until_ms = now_ms + wait_ms;
	}
	lock_drop(&m->lock);
	if (begins)
		log_event(LOG_WARNING, "upstream-ails", "status=%s", status_info(st)->name);
}

/* --- versions */

unsigned
memory_gone(struct memory *m, int64_t now_ms)
{
	unsigned gone = 0;
	lock_take(&m->lock);
	for (unsigned i = 0; i < VERSIONS_MOST; i++)
		if (m->gone_until_ms[i] > now_ms)
			gone |= 1u << i;
	lock_drop(&m->lock);
	return gone;
}

void
memory_version_gone(struct memory *m, unsigned bit, int64_t now_ms)
{
	lock_take(&m->lock);
	for (unsigned i = 0; i < VERSIONS_MOST; i++)
		if (bit & (1u << i))
			m->gone_until_ms[i] = now_ms + GONE_MS;
	lock_drop(&m->lock);
}

/* --- hosts */

static struct hosts *
find_hosts_locked(struct memory *m, uint64_t policy)
{
	lock_assert_held(&m->lock);
	for (size_t i = 0; i < m->hosts_count; i++)
		if (m->hosts[i].policy == policy)
			return &m->hosts[i];
	return NULL;
}

int64_t
memory_hosts_until(struct memory *m, uint64_t policy, int64_t now_ms)
{
	lock_take(&m->lock);
	const struct hosts *h = find_hosts_locked(m, policy);
	int64_t until = h != NULL && h->until_ms > now_ms ? h->until_ms : 0;
	lock_drop(&m->lock);
	return until;
}

/* A place for one more: a new one, or that of whoever would be asked first. */
static struct hosts *
place_for_hosts_locked(struct memory *m)
{
	lock_assert_held(&m->lock);
	if (m->hosts_count < HOSTS_MOST)
		return &m->hosts[m->hosts_count++];
	struct hosts *first = &m->hosts[0];
	for (size_t i = 1; i < HOSTS_MOST; i++)
		if (m->hosts[i].until_ms < first->until_ms)
			first = &m->hosts[i];
	return first;
}

int64_t
memory_hosts_failed(struct memory *m, uint64_t policy, int64_t now_ms)
{
	lock_take(&m->lock);
	struct hosts *h = find_hosts_locked(m, policy);
	if (h == NULL) {
		h = place_for_hosts_locked(m);
		*h = (struct hosts){.policy = policy};
	}
	/* two fetches that failed at the same time are one failure */
	if (h->until_ms <= now_ms) {
		h->delay_ms = h->delay_ms == 0 ? HOSTS_FIRST_MS : h->delay_ms * 2;
		if (h->delay_ms > HOSTS_MOST_MS)
			h->delay_ms = HOSTS_MOST_MS;
		h->until_ms = now_ms + h->delay_ms;
	}
	int64_t until = h->until_ms;
	lock_drop(&m->lock);
	return until;
}

void
memory_hosts_good(struct memory *m, uint64_t policy)
{
	lock_take(&m->lock);
	struct hosts *h = find_hosts_locked(m, policy);
	if (h != NULL)
		*h = m->hosts[--m->hosts_count];
	lock_drop(&m->lock);
}

/* --- gaps */

static struct gap *
find_gap_locked(struct memory *m, const uint8_t key[MEMORY_GAP_BYTES])
{
	lock_assert_held(&m->lock);
	for (size_t i = 0; i < m->gap_count; i++)
		if (memcmp(m->gaps[i].key, key, MEMORY_GAP_BYTES) == 0)
			return &m->gaps[i];
	return NULL;
}

bool
memory_gap_known(struct memory *m, const uint8_t key[MEMORY_GAP_BYTES], int64_t now_ms)
{
	lock_take(&m->lock);
	const struct gap *g = find_gap_locked(m, key);
	bool known = g != NULL && g->until_ms > now_ms;
	lock_drop(&m->lock);
	return known;
}

static void
know_gap_locked(
    struct memory *m, const uint8_t key[MEMORY_GAP_BYTES], int64_t until_ms, int64_t now_ms)
{
	struct gap *g = find_gap_locked(m, key);
	if (g == NULL && m->gap_count < GAPS_MOST)
		g = &m->gaps[m->gap_count++];
	for (size_t i = 0; g == NULL && i < GAPS_MOST; i++)
		if (i + 1 == GAPS_MOST || m->gaps[i].until_ms <= now_ms)
			g = &m->gaps[i];
	memcpy(g->key, key, MEMORY_GAP_BYTES);
	g->until_ms = until_ms;
}

void
memory_gap_verified(struct memory *m, const uint8_t key[MEMORY_GAP_BYTES], int64_t now_ms)
{
	lock_take(&m->lock);
	know_gap_locked(m, key, now_ms + GAP_MS, now_ms);
	lock_drop(&m->lock);
}

/* --- the note: magic, version, and for each gap its key and the wall time until which it is known */

static const uint8_t note_head[8] = {'P', 'G', 'G', 'P', 1, 0, 0, 0};
#define NOTE_GAP_BYTES (MEMORY_GAP_BYTES + 8)

size_t
memory_write(struct memory *m, int64_t now_ms, int64_t wall_ms, uint8_t bytes[MEMORY_NOTE_BYTES])
{
	size_t len = sizeof note_head;
	memcpy(bytes, note_head, sizeof note_head);
	lock_take(&m->lock);
	for (size_t i = 0; i < m->gap_count; i++) {
		const struct gap *g = &m->gaps[i];
		if (g->until_ms <= now_ms)
			continue;
		uint64_t until = htole64((uint64_t)(g->until_ms - now_ms + wall_ms));
		memcpy(bytes + len, g->key, MEMORY_GAP_BYTES);
		memcpy(bytes + len + MEMORY_GAP_BYTES, &until, sizeof until);
		len += NOTE_GAP_BYTES;
	}
	lock_drop(&m->lock);
	return len;
}

bool
memory_read(struct memory *m, const uint8_t *bytes, size_t len, int64_t now_ms, int64_t wall_ms)
{
	if (len < sizeof note_head || len > MEMORY_NOTE_BYTES ||
	    (len - sizeof note_head) % NOTE_GAP_BYTES != 0 ||
	    memcmp(bytes, note_head, sizeof note_head) != 0)
		return false;
	lock_take(&m->lock);
	for (size_t at = sizeof note_head; at < len; at += NOTE_GAP_BYTES) {
		uint64_t until;
		memcpy(&until, bytes + at + MEMORY_GAP_BYTES, sizeof until);
		until = le64toh(until);
		/* by the wall clock it is over, or it was never so far ahead */
		if (until <= (uint64_t)wall_ms || until > (uint64_t)(wall_ms + GAP_MS))
			continue;
		know_gap_locked(m, bytes + at, now_ms + (int64_t)until - wall_ms, now_ms);
	}
	lock_drop(&m->lock);
	return true;
}
