#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/codec.h"
#include "gateway/base/le.h"
#include "gateway/upstream/gate.h"

#define WINDOW_MOST_S 86400             /* likewise in the settings */
#define CLOSED_MOST_MS INT64_C(3600000) /* as transport_call() bounds an announced wait */
#define FORECAST_MOST_CALLS UINT64_C(1000000000)
#define LONG_AGO_MS (INT64_MIN / 2) /* `given` of a call of which no more is known */

/* --- rings */

static struct gate_moment *
moment(const struct gate_ring *r, size_t i)
{
	return &r->moments[(r->first + i) % GATE_RATE_MOST];
}

/* The i-th of those in the window, oldest first. */
static int64_t
inside_at(const struct gate_ring *r, size_t i)
{
	return moment(r, r->count - r->inside + i)->at_ms;
}

/* Brings `inside` up to date. Older moments stay, since a longer window that is learned takes them
 * in again. */
static void
roll(struct gate_ring *r, int64_t window_ms, int64_t now_ms)
{
	while (r->inside > 0 && inside_at(r, 0) <= now_ms - window_ms)
		r->inside--;
	while (
	    r->inside < r->count && moment(r, r->count - r->inside - 1)->at_ms > now_ms - window_ms)
		r->inside++;
}

static void
push(struct gate_ring *r, int64_t given_ms, int64_t at_ms)
{
	if (r->count == GATE_RATE_MOST) {
		r->first = (r->first + 1) % GATE_RATE_MOST;
		r->count--;
		r->inside -= r->inside > r->count;
	}
	*moment(r, r->count) = (struct gate_moment){given_ms, at_ms};
	r->count++;
	r->inside++;
}

/* All that are not among the newest `left` are forgotten. */
static void
keep_newest(struct gate_ring *r, size_t left)
{
	r->first = (r->first + r->count - left) % GATE_RATE_MOST;
	r->count = r->inside = left;
}

static void
roll_both(struct gate *g, int64_t now_ms)
{
	roll(&g->own, g->now.window_ms, now_ms);
	roll(&g->foreign, g->now.window_ms, now_ms);
}

/* --- life */

bool
gate_init(struct gate *g, enum upstream_api api, const struct gate_limits *set, bool pinned)
{
	*g = (struct gate){.api = api, .pinned = pinned, .set = *set};
	if (g->set.calls > GATE_RATE_MOST)
		g->set.calls = GATE_RATE_MOST;
	g->now = g->set;
	g->own.moments = calloc(GATE_RATE_MOST, sizeof *g->own.moments);
	g->foreign.moments = calloc(GATE_RATE_MOST, sizeof *g->foreign.moments);
	if (g->own.moments != NULL && g->foreign.moments != NULL)
		return true;
	gate_fini(g);
	return false;
}

void
gate_fini(struct gate *g)
{
	free(g->own.moments);
	free(g->foreign.moments);
	g->own.moments = g->foreign.moments = NULL;
}

/* --- when it opens */

static uint64_t
ghosts_at(const struct gate *g, int64_t at_ms)
{
	return at_ms < g->ghosts_until_ms ? g->ghosts : 0;
}

static bool
has_place(const struct gate *g, int64_t at_ms)
{
	uint64_t most = g->now.concurrency != 0 ? g->now.concurrency : UINT64_MAX;
	if (g->crowded) {
		uint64_t tolerated = g->tolerated + (at_ms >= g->crowded_until_ms);
		most = tolerated < most ? tolerated : most;
	}
	return g->under_way + ghosts_at(g, at_ms) < most;
}

/* When concurrency lets one go. */
static int64_t
place_at(const struct gate *g, int64_t now_ms)
{
	int64_t a = g->ghosts_until_ms, b = g->crowded_until_ms;
	int64_t moments[] = {now_ms, a < b ? a : b, a < b ? b : a};
	for (size_t i = 0; i < ARRAY_LEN(moments); i++)
		if (moments[i] >= now_ms && has_place(g, moments[i]))
			return moments[i];
	return CLOCK_NEVER;
}

/* When the first n > 0 of the window's calls have left it; n <= all of them. */
static int64_t
left_at(const struct gate *g, uint64_t n, bool foreign_too)
{
	size_t own = 0, foreign = 0, foreigners = foreign_too ? g->foreign.inside : 0;
	int64_t last = 0;
	while (n-- > 0) {
		bool take_own = own < g->own.inside &&
				(foreign == foreigners ||
				    inside_at(&g->own, own) <= inside_at(&g->foreign, foreign));
		last = take_own ? inside_at(&g->own, own++) : inside_at(&g->foreign, foreign++);
	}
	return last + g->now.window_ms;
}

/* When a rate of so many calls lets one go. */
static int64_t
room_at(const struct gate *g, uint64_t calls, int64_t now_ms)
{
	bool foreign_too = !g->half_open;
	uint64_t counted = g->own.inside + (foreign_too ? g->foreign.inside : 0);
	if (calls == 0 || counted + g->not_counted < calls)
		return now_ms;
	uint64_t leave = counted + g->not_counted - calls + 1;
	return leave <= counted ? left_at(g, leave, foreign_too) : CLOCK_NEVER;
}

int64_t
gate_opens_at(struct gate *g, int64_t now_ms)
{
	roll_both(g, now_ms);
	if (g->half_open && g->probing)
		return CLOCK_NEVER;
	int64_t at = g->closed_until_ms, place = place_at(g, now_ms),
		room = room_at(g, g->now.calls, now_ms);
	at = place > at ? place : at;
	return room > at ? room : at; /* these two are not before now_ms */
}

/* Half of a rate of one call is that call. */
int64_t
gate_spare_at(struct gate *g, int64_t now_ms)
{
	int64_t at = gate_opens_at(g, now_ms);
	if (at == CLOCK_NEVER || g->half_open || gate_running(g, now_ms) > 0)
		return CLOCK_NEVER;
	int64_t room = room_at(g, g->now.calls / 2 + g->now.calls % 2, now_ms);
	return room > at ? room : at;
}

/* --- the life of a call */

void
gate_give(struct gate *g, struct gate_call *c, int64_t now_ms)
{
	*c = (struct gate_call){.given_ms = now_ms, .probe = g->half_open};
	g->probing = g->probing || c->probe;
	g->under_way++;
	g->not_counted++;
}

/* It is among the upstream's from now on at the latest. */
static void
count(struct gate *g, struct gate_call *c, int64_t now_ms)
{
	if (c->counted)
		return;
	c->counted = true;
	g->not_counted--;
	push(&g->own, c->given_ms, now_ms);
}

static bool
may_be_a_limit(const struct transport_head *head)
{
	return head->http == 409 || head->http == 429;
}

/* The upstream has let it in. */
static void
was_taken(struct gate *g, struct gate_call *c, int64_t now_ms)
{
	if (c->probe) {
		c->probe = g->probing = false;
		/* unless another call was told to wait since */
		g->half_open = g->closed_until_ms > now_ms;
	}
	if (g->crowded && g->under_way > g->tolerated)
		g->tolerated = g->under_way;
	if (g->crowded && g->now.concurrency != 0 && g->tolerated >= g->now.concurrency)
		g->crowded = false;
}

/* --- what headers say */

static bool
learn_limits(struct gate *g, const struct transport_head *head)
{
	struct gate_limits was = g->now;
	if (head->rate_limit > 0)
		g->now.calls =
		    head->rate_limit > GATE_RATE_MOST ? GATE_RATE_MOST : (uint64_t)head->rate_limit;
	if (head->rate_window_s > 0 && head->rate_window_s <= WINDOW_MOST_S)
		g->now.window_ms = head->rate_window_s * 1000;
	if (head->concurrency_limit > 0)
		g->now.concurrency = (uint64_t)head->concurrency_limit;
	return was.calls != g->now.calls || was.window_ms != g->now.window_ms ||
	       was.concurrency != g->now.concurrency;
}

/* Of ours the upstream had so many in its window when it answered c: at least and at most. */
static void
own_borders(
    const struct gate *g, const struct gate_call *c, int64_t now_ms, uint64_t ret_borders[2])
{
	uint64_t surely = c->counted, at_most = g->not_counted;
	int64_t window_ms = g->now.window_ms;
	for (size_t i = g->own.count; i-- > 0;) {
		const struct gate_moment *m = moment(&g->own, i);
		if (m->at_ms <= c->given_ms - window_ms)
			break;
		at_most++;
		surely += m->at_ms < c->given_ms && m->given_ms > now_ms - window_ms;
	}
	ret_borders[0] = surely;
	ret_borders[1] = at_most;
}

static void
learn_foreign(
    struct gate *g, const struct gate_call *c, const struct transport_head *head, int64_t now_ms)
{
	uint64_t own[2], remaining = (uint64_t)head->rate_remaining;
	if (head->rate_remaining < 0 || g->now.calls == 0)
		return;
	uint64_t used = remaining < g->now.calls ? g->now.calls - remaining : 0;
	roll_both(g, now_ms);
	own_borders(g, c, now_ms, own);
	uint64_t most = used > own[0] ? used - own[0] : 0;
	uint64_t least = used > own[1] ? used - own[1] : 0;
	if (g->foreign.inside > most)
		keep_newest(&g->foreign, (size_t)most);
	while (g->foreign.inside < least)
		push(&g->foreign, now_ms, now_ms);
}

static bool
learn(struct gate *g, const struct gate_call *c, const struct transport_head *head, int64_t now_ms)
{
	if (g->pinned)
		return false;
	bool changed = learn_limits(g, head);
	learn_foreign(g, c, head, now_ms);
	return changed;
}

bool
gate_arrived(struct gate *g, struct gate_call *c, const struct transport_head *head, int64_t now_ms)
{
	if (c->counted || may_be_a_limit(head))
		return false;
	count(g, c, now_ms);
	was_taken(g, c, now_ms);
	return learn(g, c, head, now_ms);
}

/* --- its end */

static void
refused_for_concurrency(struct gate *g, int64_t until_ms)
{
	g->crowded = true;
	g->tolerated = g->under_way; /* it is not among them any more */
	g->crowded_until_ms = until_ms;
}

static void
refused_for_rate(struct gate *g, int64_t until_ms)
{
	g->half_open = true;
	if (g->closed_until_ms < until_ms)
		g->closed_until_ms = until_ms;
}

bool
gate_done(struct gate *g, struct gate_call *c, enum gate_end end, const struct transport_head *head,
    int64_t now_ms)
{
	bool changed = false;
	assert(g->under_way > 0 && (head != NULL || end == GATE_UNMADE));
	if (end == GATE_MADE && head->http != 0 && !c->counted) {
		/* looked like a limit, and was none */
		count(g, c, now_ms);
		was_taken(g, c, now_ms);
		changed = learn(g, c, head, now_ms);
	} else if (end == GATE_MADE) {
		count(g, c, now_ms);
	} else if (!c->counted) {
		g->not_counted--;
	}
	g->under_way--;
	if (head != NULL && head->hung_up) {
		g->ghosts = ghosts_at(g, now_ms) + 1;
		g->ghosts_until_ms = now_ms + GATE_LINGER_MS;
	}
	if (c->probe)
		g->probing = false;
	if (end != GATE_LIMITED)
		return changed;
	(void)learn(g, c, head, now_ms);
	if (head->by_concurrency)
		refused_for_concurrency(g, now_ms + head->wait_ms);
	else
		refused_for_rate(g, now_ms + head->wait_ms);
	return true;
}

/* --- looking */

uint64_t
gate_own(struct gate *g, int64_t now_ms)
{
	roll_both(g, now_ms);
	return g->own.inside + g->not_counted;
}

uint64_t
gate_foreign(struct gate *g, int64_t now_ms)
{
	roll_both(g, now_ms);
	return g->foreign.inside;
}

uint64_t
gate_running(const struct gate *g, int64_t now_ms)
{
	return g->under_way + ghosts_at(g, now_ms);
}

int64_t
gate_forecast_at(struct gate *g, uint64_t calls, int64_t now_ms)
{
	if (calls == 0)
		return now_ms;
	if (calls > FORECAST_MOST_CALLS)
		calls = FORECAST_MOST_CALLS;
	roll_both(g, now_ms);
	int64_t at = g->closed_until_ms > now_ms ? g->closed_until_ms : now_ms;
	uint64_t rate = g->now.calls;
	if (rate == 0)
		return at;
	/* The last of them goes so many whole windows after one of the first `rate`, which waits for
	 * what counts now to leave; a call without headers is taken to get them now. */
	uint64_t last = (calls - 1) % rate, windows = (calls - 1) / rate;
	uint64_t counted = g->own.inside + g->foreign.inside, all = counted + g->not_counted;
	if (all + last >= rate) {
		uint64_t leave = all + last - rate + 1;
		int64_t left =
		    leave <= counted ? left_at(g, leave, true) : now_ms + g->now.window_ms;
		at = left > at ? left : at;
	}
	return at + (int64_t)windows * g->now.window_ms;
}

/* --- the note
 *
 * u32 magic, u32 CRC of what follows, u8 version, u8 API, u8 flags, u8 0, then u32 numbers of own
 * and others' moments, of calls not counted, of calls under way, u32 0, then the u64s of `layout`,
 * then the moments. All little-endian, times of the wall clock. */

static const uint8_t note_magic[4] = {'P', 'G', 'B', 'N'};
#define NOTE_VERSION 1
#define NOTE_HALF_OPEN 1
enum note_at {
	AT_CRC = 4,
	AT_VERSION = 8,
	AT_API = 9,
	AT_FLAGS = 10,
	AT_OWN = 12,
	AT_FOREIGN = 16,
	AT_NOT_COUNTED = 20,
	AT_UNDER_WAY = 24,
	AT_ZERO = 28,
	AT_WRITTEN = 32,
	AT_CLOSED_UNTIL = 40,
	AT_SET = 48,
	AT_NOW = 72,
	AT_MOMENTS = GATE_NOTE_HEAD_BYTES
};

static void
put_limits(uint8_t *at, const struct gate_limits *l)
{
	le_put(at, l->calls, 8);
	le_put(at + 8, (uint64_t)l->window_ms, 8);
	le_put(at + 16, l->concurrency, 8);
}

static struct gate_limits
get_limits(const uint8_t *at)
{
	return (struct gate_limits){le_get(at, 8), (int64_t)le_get(at + 8, 8), le_get(at + 16, 8)};
}

static uint8_t *
put_moments(uint8_t *at, const struct gate_ring *r, int64_t mono_to_wall_ms)
{
	for (size_t i = 0; i < r->inside; i++, at += 8)
		le_put(at, (uint64_t)(inside_at(r, i) + mono_to_wall_ms), 8);
	return at;
}

size_t
gate_write(struct gate *g, int64_t mono_ms, int64_t wall_ms, uint8_t *bytes)
{
	int64_t to_wall_ms = wall_ms - mono_ms;
	uint64_t running = gate_running(g, mono_ms);
	roll_both(g, mono_ms);
	memset(bytes, 0, GATE_NOTE_HEAD_BYTES);
	memcpy(bytes, note_magic, sizeof note_magic);
	bytes[AT_VERSION] = NOTE_VERSION;
	bytes[AT_API] = (uint8_t)g->api;
	bytes[AT_FLAGS] = g->half_open ? NOTE_HALF_OPEN : 0;
	le_put(bytes + AT_OWN, g->own.inside, 4);
	le_put(bytes + AT_FOREIGN, g->foreign.inside, 4);
	le_put(bytes + AT_NOT_COUNTED, g->not_counted, 4);
	le_put(bytes + AT_UNDER_WAY, running, 4);
	le_put(bytes + AT_WRITTEN, (uint64_t)wall_ms, 8);
	le_put(bytes + AT_CLOSED_UNTIL, (uint64_t)(g->closed_until_ms + to_wall_ms), 8);
	put_limits(bytes + AT_SET, &g->set);
	put_limits(bytes + AT_NOW, &g->now);
	uint8_t *end = put_moments(bytes + AT_MOMENTS, &g->own, to_wall_ms);
	end = put_moments(end, &g->foreign, to_wall_ms);
	size_t len = (size_t)(end - bytes);
	le_put(bytes + AT_CRC, codec_crc32(0, bytes + AT_VERSION, len - AT_VERSION), 4);
	return len;
}

static bool
limits_are_sound(const struct gate_limits *l)
{
	return l->calls <= GATE_RATE_MOST && l->window_ms > 0 &&
	       l->window_ms <= WINDOW_MOST_S * INT64_C(1000);
}

static bool
moments_ascend(const uint8_t *at, uint64_t n)
{
	for (uint64_t i = 1; i < n; i++)
		if ((int64_t)le_get(at + 8 * i, 8) < (int64_t)le_get(at + 8 * (i - 1), 8))
			return false;
	return true;
}

static bool
note_is_sound(const struct gate *g, const uint8_t *bytes, size_t len)
{
	if (len < GATE_NOTE_HEAD_BYTES || len > GATE_NOTE_BYTES ||
	    memcmp(bytes, note_magic, sizeof note_magic) != 0 ||
	    le_get(bytes + AT_CRC, 4) != codec_crc32(0, bytes + AT_VERSION, len - AT_VERSION) ||
	    bytes[AT_VERSION] != NOTE_VERSION || bytes[AT_API] != (uint8_t)g->api ||
	    (bytes[AT_FLAGS] & ~NOTE_HALF_OPEN) != 0 || bytes[AT_FLAGS + 1] != 0 ||
	    le_get(bytes + AT_ZERO, 4) != 0)
		return false;
	uint64_t own = le_get(bytes + AT_OWN, 4), foreign = le_get(bytes + AT_FOREIGN, 4);
	struct gate_limits set = get_limits(bytes + AT_SET), now = get_limits(bytes + AT_NOW);
	return own <= GATE_RATE_MOST && foreign <= GATE_RATE_MOST &&
	       le_get(bytes + AT_NOT_COUNTED, 4) <= GATE_RATE_MOST &&
	       len == GATE_NOTE_HEAD_BYTES + 8 * (own + foreign) && limits_are_sound(&set) &&
	       limits_are_sound(&now) && moments_ascend(bytes + AT_MOMENTS, own) &&
	       moments_ascend(bytes + AT_MOMENTS + 8 * own, foreign);
}

/* How long ago it was: 0 for the future. Any 64 bits may stand there. */
static int64_t
age_ms(int64_t then_ms, int64_t wall_ms)
{
	if (then_ms >= wall_ms)
		return 0;
	uint64_t age = (uint64_t)wall_ms - (uint64_t)then_ms;
	return age > INT64_MAX ? INT64_MAX : (int64_t)age;
}

static void
take_moments(struct gate *g, struct gate_ring *r, const uint8_t *at, uint64_t n, int64_t mono_ms,
    int64_t wall_ms)
{
	for (uint64_t i = 0; i < n; i++) {
		int64_t age = age_ms((int64_t)le_get(at + 8 * i, 8), wall_ms);
		if (age < g->now.window_ms)
			push(r, LONG_AGO_MS, mono_ms - age);
	}
}

bool
gate_read(struct gate *g, const uint8_t *bytes, size_t len, int64_t mono_ms, int64_t wall_ms)
{
	if (!note_is_sound(g, bytes, len))
		return false;
	struct gate_limits set = get_limits(bytes + AT_SET), now = get_limits(bytes + AT_NOW);
	if (!g->pinned && set.calls == g->set.calls && set.window_ms == g->set.window_ms &&
	    set.concurrency == g->set.concurrency)
		g->now = now;
	uint64_t own = le_get(bytes + AT_OWN, 4), foreign = le_get(bytes + AT_FOREIGN, 4);
	take_moments(g, &g->own, bytes + AT_MOMENTS, own, mono_ms, wall_ms);
	if (!g->pinned)
		take_moments(
		    g, &g->foreign, bytes + AT_MOMENTS + 8 * own, foreign, mono_ms, wall_ms);
	for (uint64_t n = le_get(bytes + AT_NOT_COUNTED, 4); n > 0; n--)
		push(&g->own, LONG_AGO_MS, mono_ms);
	g->ghosts = le_get(bytes + AT_UNDER_WAY, 4);
	g->ghosts_until_ms =
	    mono_ms + (GATE_LINGER_MS < g->now.window_ms ? GATE_LINGER_MS : g->now.window_ms);
	int64_t closed_until = (int64_t)le_get(bytes + AT_CLOSED_UNTIL, 8);
	if (closed_until > wall_ms) {
		int64_t for_ms = closed_until - wall_ms; /* both are above 0 */
		g->closed_until_ms = mono_ms + (for_ms < CLOSED_MOST_MS ? for_ms : CLOSED_MOST_MS);
	}
	g->half_open = (bytes[AT_FLAGS] & NOTE_HALF_OPEN) != 0;
	return true;
}
