/* The gate of an API: the window, others' calls, refusals, what outlives a crash. Time is an
 * argument; where the upstream matters it is a model that counts as the vendor's documents say. */
#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/codec.h"
#include "gateway/upstream/gate.h"
#include "tests/unit/unit.h"

#define WINDOW INT64_C(60000)
#define T0 INT64_C(1000000) /* monotonic */
#define WALL INT64_C(1790000000000)

static struct gate gate;

static void
make_pinned(uint64_t calls, uint64_t concurrency, bool pinned)
{
	struct gate_limits set = {calls, WINDOW, concurrency};
	ck_assert(gate_init(&gate, API_HOSTIDS, &set, pinned));
}

static void
make(uint64_t calls, uint64_t concurrency)
{
	make_pinned(calls, concurrency, false);
}

static void
teardown(void)
{
	gate_fini(&gate);
}

static struct transport_head
head_of(int http, int64_t remaining)
{
	return (struct transport_head){.http = http,
	    .wait_ms = -1,
	    .rate_limit = -1,
	    .rate_remaining = remaining,
	    .rate_window_s = -1,
	    .concurrency_limit = -1,
	    .concurrency_running = -1};
}

static bool
opens(int64_t now)
{
	return gate_opens_at(&gate, now) <= now;
}

static void
give(struct gate_call *c, int64_t now)
{
	ck_assert(opens(now));
	gate_give(&gate, c, now);
}

/* Headers of a 200 with so much remaining (-1: not said). */
static void
arrive(struct gate_call *c, int64_t now, int64_t remaining)
{
	struct transport_head head = head_of(200, remaining);
	gate_arrived(&gate, c, &head, now);
}

static void
end(struct gate_call *c, int64_t now)
{
	struct transport_head head = head_of(200, -1);
	gate_done(&gate, c, GATE_MADE, &head, now);
}

/* A whole call within a millisecond. */
static void
call(int64_t now, int64_t remaining)
{
	struct gate_call c;
	give(&c, now);
	arrive(&c, now + 1, remaining);
	end(&c, now + 1);
}

static void
refuse(struct gate_call *c, int64_t now, int64_t wait_ms, bool by_concurrency)
{
	struct transport_head head = head_of(409, by_concurrency ? -1 : 0);
	gate_arrived(&gate, c, &head, now);
	head.wait_ms = wait_ms;
	head.by_concurrency = by_concurrency;
	ck_assert(gate_done(&gate, c, GATE_LIMITED, &head, now));
}

/* --- the window */

START_TEST(a_call_counts_until_a_window_after_its_headers)
{
	struct gate_call a, b;
	make(2, 0);
	give(&a, T0);
	give(&b, T0 + 1);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2), CLOCK_NEVER);
	arrive(&a, T0 + 5000, -1);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 5000), T0 + 5000 + WINDOW);
	end(&a, T0 + 9000);
	ck_assert(!opens(T0 + 5000 + WINDOW - 1));
	ck_assert(opens(T0 + 5000 + WINDOW));
}
END_TEST

START_TEST(spare_calls_leave_half_of_the_window_to_others)
{
	struct gate_call a, b;
	make(5, 0);
	ck_assert_int_eq(gate_spare_at(&gate, T0), T0);
	give(&a, T0);
	arrive(&a, T0, -1);
	end(&a, T0);
	ck_assert_int_eq(gate_spare_at(&gate, T0 + 1), T0 + 1);
	give(&b, T0 + 1);
	arrive(&b, T0 + 1, 2); /* and one of others */
	end(&b, T0 + 1);
	ck_assert(opens(T0 + 2));
	ck_assert_int_eq(gate_spare_at(&gate, T0 + 2), T0 + WINDOW);
	gate_fini(&gate);
	make(1, 0); /* half of one is one */
	ck_assert_int_eq(gate_spare_at(&gate, T0), T0);
}
END_TEST

START_TEST(spare_calls_go_alone_and_never_first_after_a_wait)
{
	struct gate_call a;
	struct transport_head refused = head_of(409, -1);
	make(0, 8);
	give(&a, T0);
	ck_assert(opens(T0 + 1));
	ck_assert_int_eq(gate_spare_at(&gate, T0 + 1), CLOCK_NEVER);
	refused.wait_ms = 1000;
	gate_done(&gate, &a, GATE_LIMITED, &refused, T0 + 2);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2), T0 + 1002);
	ck_assert_int_eq(gate_spare_at(&gate, T0 + 5000), CLOCK_NEVER);
	give(&a, T0 + 5000);
	arrive(&a, T0 + 5000, -1);
	end(&a, T0 + 5000);
	ck_assert_int_eq(gate_spare_at(&gate, T0 + 5000), T0 + 5000);
}
END_TEST

START_TEST(what_was_not_called_is_forgotten)
{
	struct gate_call a;
	make(1, 1);
	give(&a, T0);
	gate_done(&gate, &a, GATE_UNMADE, NULL, T0 + 1);
	ck_assert(opens(T0 + 1));
	ck_assert_uint_eq(gate_own(&gate, T0 + 1), 0);
}
END_TEST

START_TEST(a_call_without_an_answer_counts_from_its_end)
{
	struct transport_head none = head_of(0, -1);
	struct gate_call a;
	make(1, 0);
	give(&a, T0);
	gate_done(&gate, &a, GATE_MADE, &none, T0 + 7000);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 7000), T0 + 7000 + WINDOW);
}
END_TEST

START_TEST(a_longer_window_takes_older_calls_in_again)
{
	struct transport_head head = head_of(200, -1);
	struct gate_call a;
	make(2, 0);
	call(T0, -1);
	int64_t now = T0 + 2 * WINDOW;
	give(&a, now);
	ck_assert_uint_eq(gate_own(&gate, now), 1);
	head.rate_window_s = 3 * WINDOW / 1000;
	ck_assert(gate_arrived(&gate, &a, &head, now + 1));
	ck_assert_uint_eq(gate_own(&gate, now + 1), 2);
	ck_assert_int_eq(gate_opens_at(&gate, now + 1), T0 + 1 + 3 * WINDOW);
}
END_TEST

START_TEST(a_full_ring_forgets_the_oldest)
{
	make(GATE_RATE_MOST * 2, 0);
	for (int i = 0; i < GATE_RATE_MOST - 1; i++)
		call(T0 + i, -1);
	ck_assert(opens(T0 + GATE_RATE_MOST));
	call(T0 + GATE_RATE_MOST, -1);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + GATE_RATE_MOST + 1), T0 + 1 + WINDOW);
	for (int i = 0; i < 100; i++)
		call(T0 + 2 * WINDOW + i, -1);
	ck_assert_uint_eq(gate_own(&gate, T0 + 2 * WINDOW + 100), 100);
}
END_TEST

/* --- others' calls */

START_TEST(others_calls_take_room)
{
	make(10, 0);
	call(T0, 10 - 1 - 6); /* ours and six of others */
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 1), 6);
	for (int i = 0; i < 3; i++)
		call(T0 + 10 + i, -1);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 20), T0 + 1 + WINDOW);
}
END_TEST

START_TEST(others_calls_leave_a_window_after_they_were_learned)
{
	make(10, 0);
	call(T0, 3);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + WINDOW), 6);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 1 + WINDOW), 0);
}
END_TEST

START_TEST(fewer_others_are_believed_as_well)
{
	make(10, 0);
	call(T0, 3);
	call(T0 + 100, 10 - 2 - 1); /* two of ours, one of others left */
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 101), 1);
	/* the ones that stay are the ones learned last: they leave as late as they may */
	call(T0 + 200, 10 - 3 - 4);
	call(T0 + 300, 10 - 4 - 3);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 301), 3);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 200 + WINDOW), 3);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 201 + WINDOW), 0);
}
END_TEST

START_TEST(own_calls_under_way_are_not_taken_for_others)
{
	struct gate_call a, b, c;
	make(10, 0);
	give(&a, T0);
	give(&b, T0 + 1);
	give(&c, T0 + 2);
	/* the upstream has counted all three, or one: nobody can tell */
	arrive(&a, T0 + 50, 7);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 50), 0);
	arrive(&b, T0 + 60, 9);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 60), 0);
	/* four: one at least is another's */
	arrive(&c, T0 + 70, 6);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 70), 1);
}
END_TEST

START_TEST(a_slow_answer_does_not_make_strangers_of_calls_that_left_meanwhile)
{
	struct gate_call slow;
	make(10, 0);
	for (int i = 0; i < 5; i++)
		call(T0 + i, -1);
	give(&slow, T0 + 100);
	/* its headers come two windows later, and tell of the moment of its begin */
	arrive(&slow, T0 + 100 + 2 * WINDOW, 10 - 6);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 100 + 2 * WINDOW), 0);
}
END_TEST

START_TEST(remaining_counts_even_if_the_limit_is_beyond_reach)
{
	struct transport_head head = head_of(200, 299000);
	struct gate_call a;
	make(10, 0);
	give(&a, T0);
	head.rate_limit = 300000;
	gate_arrived(&gate, &a, &head, T0 + 1);
	ck_assert_uint_eq(gate.now.calls, GATE_RATE_MOST);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 1), 0);
}
END_TEST

START_TEST(pinned_limits_and_windows_stay)
{
	struct transport_head head = head_of(200, 0);
	struct gate_call a;
	make_pinned(10, 3, true);
	give(&a, T0);
	head.rate_limit = 2;
	head.rate_window_s = 1;
	head.concurrency_limit = 1;
	ck_assert(!gate_arrived(&gate, &a, &head, T0 + 1));
	ck_assert_uint_eq(gate.now.calls, 10);
	ck_assert_int_eq(gate.now.window_ms, WINDOW);
	ck_assert_uint_eq(gate.now.concurrency, 3);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 1), 0);
	end(&a, T0 + 2);
	give(&a, T0 + 3);
	refuse(&a, T0 + 4, 5000, false);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 4), T0 + 4 + 5000);
}
END_TEST

/* --- refusals */

START_TEST(one_call_tries_the_gate_after_the_announced_wait)
{
	struct gate_call a, b;
	make(100, 0);
	give(&a, T0);
	refuse(&a, T0 + 1, 2000, false);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2), T0 + 2001);
	give(&a, T0 + 2001);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2002), CLOCK_NEVER);
	refuse(&a, T0 + 2003, 5000, false); /* not yet: once in each wait */
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2004), T0 + 7003);
	give(&a, T0 + 7003);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 7003), CLOCK_NEVER);
	arrive(&a, T0 + 7004, 50); /* its headers are enough */
	give(&b, T0 + 7004);
	ck_assert(opens(T0 + 7004));
}
END_TEST

START_TEST(what_looks_like_a_limit_and_is_none_opens_the_gate)
{
	struct transport_head head = head_of(409, 50);
	struct gate_call a;
	make(100, 0);
	give(&a, T0);
	refuse(&a, T0 + 1, 2000, false);
	give(&a, T0 + 2001);
	gate_arrived(&gate, &a, &head, T0 + 2002);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2002), CLOCK_NEVER);
	gate_done(&gate, &a, GATE_MADE, &head, T0 + 2003);
	ck_assert(opens(T0 + 2003));
	ck_assert_uint_eq(gate_own(&gate, T0 + 2003), 1);
}
END_TEST

START_TEST(a_try_without_an_answer_is_followed_by_another_one)
{
	struct transport_head none = head_of(0, -1);
	struct gate_call a;
	make(100, 0);
	give(&a, T0);
	refuse(&a, T0 + 1, 2000, false);
	give(&a, T0 + 2001);
	gate_done(&gate, &a, GATE_MADE, &none, T0 + 2500);
	give(&a, T0 + 2500);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2500), CLOCK_NEVER);
	gate_done(&gate, &a, GATE_UNMADE, NULL, T0 + 2501);
	give(&a, T0 + 2501);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2501), CLOCK_NEVER);
}
END_TEST

START_TEST(a_refusal_of_an_earlier_call_keeps_the_gate_half_open)
{
	struct gate_call a, early, b;
	make(100, 0);
	give(&early, T0);
	give(&a, T0);
	refuse(&a, T0 + 1, 2000, false);
	give(&a, T0 + 2001);
	refuse(&early, T0 + 2002, 4000, false);
	arrive(&a, T0 + 2003, 50);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 2003), T0 + 6002);
	give(&b, T0 + 6002);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 6002), CLOCK_NEVER);
}
END_TEST

/* The estimate says that others fill the window for a minute; the upstream says two seconds. */
START_TEST(the_announced_wait_outweighs_the_estimate_of_others)
{
	struct gate_call a;
	make(4, 0);
	give(&a, T0);
	refuse(&a, T0 + 1, 2000, false);
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 1), 4);
	ck_assert_uint_eq(gate_own(&gate, T0 + 1), 0); /* a refused call takes no room */
	give(&a, T0 + 2001);
	arrive(&a, T0 + 2002, 2); /* others are down to one */
	ck_assert_uint_eq(gate_foreign(&gate, T0 + 2002), 1);
	ck_assert(opens(T0 + 2002));
}
END_TEST

START_TEST(own_calls_hold_the_try_after_a_wait_too)
{
	struct gate_call a, b, c;
	make(3, 0);
	give(&a, T0);
	give(&b, T0);
	give(&c, T0);
	arrive(&b, T0 + 5, -1);
	arrive(&c, T0 + 6, -1);
	refuse(&a, T0 + 11, 1000, false);
	ck_assert(opens(T0 + 1011));
	gate.now.calls = 2;
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 1011), T0 + 5 + WINDOW);
}
END_TEST

START_TEST(too_many_at_a_time_waits_for_an_end)
{
	struct gate_call a, b, c, d;
	make(100, 4);
	give(&a, T0);
	give(&b, T0);
	arrive(&a, T0 + 1, -1);
	arrive(&b, T0 + 1, -1);
	give(&c, T0 + 2);
	refuse(&c, T0 + 3, 1000, true); /* two were fine, three are too many */
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 3), T0 + 1003);
	end(&a, T0 + 500);
	give(&c, T0 + 500);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 500), T0 + 1003);
	/* then one more is tried, not two */
	give(&d, T0 + 1003);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 1003), CLOCK_NEVER);
	arrive(&d, T0 + 1004, -1); /* it was fine: the next may be tried */
	ck_assert(opens(T0 + 1004));
	ck_assert_uint_eq(gate_own(&gate, T0 + 1004), 4); /* the refused one does not count */
}
END_TEST

START_TEST(others_may_take_every_place)
{
	struct gate_call a, b;
	make(100, 2);
	give(&a, T0);
	refuse(&a, T0 + 1, 1000, true);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 1), T0 + 1001);
	give(&a, T0 + 1001);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 1001), CLOCK_NEVER);
	refuse(&a, T0 + 1002, 1000, true);
	give(&a, T0 + 2002);
	arrive(&a, T0 + 2003, -1);
	give(&b, T0 + 2003);
	arrive(&b, T0 + 2004, -1);
	end(&a, T0 + 2005);
	end(&b, T0 + 2005);
	/* all that is configured went well: forgotten */
	ck_assert(!gate.crowded);
}
END_TEST

/* --- the forecast */

START_TEST(the_forecast_is_when_the_last_one_goes)
{
	struct unit_random random = {unit_seed((uint64_t)_i + 1)};
	for (int round = 0; round < 200; round++) {
		uint64_t calls = 1 + unit_below(&random, 6), want = 1 + unit_below(&random, 30);
		int64_t now = T0;
		make(calls, 0);
		for (size_t n = unit_below(&random, (size_t)calls + 1); n > 0 && opens(now);
		     n--, now += 1000)
			call(now, (int64_t)unit_below(&random, (size_t)calls + 1) - 1);
		if (unit_below(&random, 3) == 0)
			gate.closed_until_ms = now + (int64_t)unit_below(&random, 2 * WINDOW);
		int64_t forecast = gate_forecast_at(&gate, want, now), at = now, before = now;
		for (uint64_t n = 1; n <= want; n++) {
			int64_t one = gate_forecast_at(&gate, n, now);
			ck_assert_int_ge(one, before);
			before = one;
		}
		for (uint64_t n = 0; n < want; n++) {
			struct gate_call c;
			int64_t opens_at = gate_opens_at(&gate, at);
			at = opens_at > at ? opens_at : at;
			give(&c, at);
			arrive(&c, at, -1);
			end(&c, at);
		}
		ck_assert_int_eq(at, forecast);
		gate_fini(&gate);
	}
	make(1, 0);
}
END_TEST

START_TEST(the_forecast_of_much_is_bounded)
{
	make(1, 0);
	ck_assert_int_eq(gate_forecast_at(&gate, 0, T0), T0);
	ck_assert_int_gt(gate_forecast_at(&gate, UINT64_MAX, T0), T0);
	gate.now.calls = 0;
	ck_assert_int_eq(gate_forecast_at(&gate, UINT64_MAX, T0), T0);
}
END_TEST

/* --- the note */

static uint8_t note[GATE_NOTE_BYTES];

/* The process ends, and the next one begins `later` ms after. */
static void
restart(int64_t now, int64_t later, uint64_t calls, uint64_t concurrency)
{
	size_t len = gate_write(&gate, now, WALL, note);
	gate_fini(&gate);
	make(calls, concurrency);
	ck_assert(gate_read(&gate, note, len, T0, WALL + later));
}

START_TEST(the_window_outlives_a_restart)
{
	make(3, 0);
	call(T0 + 1000, -1);
	call(T0 + 2000, -1);
	call(T0 + 3000, -1);
	restart(T0 + 4001, 500, 3, 0);
	ck_assert_uint_eq(gate_own(&gate, T0), 3);
	ck_assert_int_eq(gate_opens_at(&gate, T0), T0 - 3500 + WINDOW);
	restart(T0, WINDOW - 3000, 3, 0); /* one of them has left by now */
	ck_assert_uint_eq(gate_own(&gate, T0), 2);
	restart(T0, WINDOW, 3, 0);
	ck_assert_uint_eq(gate_own(&gate, T0), 0);
}
END_TEST

START_TEST(calls_under_way_at_a_crash_count_and_linger)
{
	struct gate_call a, b;
	make(3, 2);
	give(&a, T0 + 5);
	arrive(&a, T0 + 6, -1);
	give(&b, T0 + 7);
	restart(T0 + 7, 10000, 3, 2);
	ck_assert_uint_eq(gate_own(&gate, T0), 2);
	ck_assert_uint_eq(gate_running(&gate, T0), 2);
	ck_assert_int_eq(gate_opens_at(&gate, T0), T0 + GATE_LINGER_MS);
	give(&a, T0 + GATE_LINGER_MS);
	arrive(&a, T0 + GATE_LINGER_MS, -1);
	end(&a, T0 + GATE_LINGER_MS);
	/* a, as old as it is; b, as if it was counted at the start */
	ck_assert_int_eq(gate_opens_at(&gate, T0 + GATE_LINGER_MS), T0 - 10001 + WINDOW);
	give(&a, T0 - 10001 + WINDOW);
	ck_assert_int_eq(gate_opens_at(&gate, T0 - 10000 + WINDOW), T0 + WINDOW);
}
END_TEST

START_TEST(a_call_that_we_gave_up_may_still_run)
{
	struct transport_head head = head_of(0, 0);
	struct gate_call a, b;
	head.hung_up = true;
	make(0, 2);
	give(&a, T0);
	give(&b, T0);
	gate_done(&gate, &a, GATE_MADE, &head, T0 + 5);
	ck_assert_uint_eq(gate_running(&gate, T0 + 5), 2);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 5), T0 + 5 + GATE_LINGER_MS);
	gate_done(&gate, &b, GATE_MADE, &head, T0 + 10);
	ck_assert_uint_eq(gate_running(&gate, T0 + 10), 2);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 10), T0 + 10 + GATE_LINGER_MS);
	ck_assert_uint_eq(gate_running(&gate, T0 + 10 + GATE_LINGER_MS), 0);
}
END_TEST

START_TEST(the_announced_wait_outlives_a_restart)
{
	struct gate_call a;
	make(3, 0);
	give(&a, T0);
	refuse(&a, T0, 50000, false);
	restart(T0, 10000, 3, 0);
	ck_assert_int_eq(gate_opens_at(&gate, T0), T0 + 40000);
	give(&a, T0 + 40000);
	ck_assert_int_eq(gate_opens_at(&gate, T0 + 40000), CLOCK_NEVER);
	restart(T0 + 40000, 0, 3, 0);
	ck_assert(opens(T0));
	give(&a, T0);
	ck_assert_int_eq(gate_opens_at(&gate, T0), CLOCK_NEVER);
}
END_TEST

START_TEST(learned_limits_outlive_a_restart_until_the_settings_change)
{
	struct transport_head head = head_of(200, 0);
	struct gate_call a;
	make(100, 2);
	give(&a, T0);
	head.rate_limit = 4;
	gate_arrived(&gate, &a, &head, T0 + 1);
	end(&a, T0 + 1);
	restart(T0 + 1, 10, 100, 2);
	ck_assert_uint_eq(gate.now.calls, 4);
	ck_assert_uint_eq(gate_foreign(&gate, T0), 3);
	ck_assert_uint_eq(gate_own(&gate, T0), 1);
	restart(T0, 10, 100, 3);
	ck_assert_uint_eq(gate.now.calls, 100);
	gate.now.calls = 4;
	restart(T0, 10, 200, 3);
	ck_assert_uint_eq(gate.now.calls, 200);
	ck_assert_uint_eq(gate_own(&gate, T0), 1);
}
END_TEST

START_TEST(a_clock_that_went_back_shortens_nothing)
{
	struct gate_call a;
	make(1, 0);
	call(T0, -1);
	give(&a, T0 + 1 + WINDOW);
	refuse(&a, T0 + 1 + WINDOW, 5000, false);
	call(T0 + 5001 + WINDOW, -1);
	restart(T0 + 6000 + WINDOW, -1000 * WINDOW, 1, 0);
	ck_assert_uint_eq(gate_own(&gate, T0), 1);
	/* and a wait that seems endless is no longer than any refusal's */
	ck_assert_int_le(gate_opens_at(&gate, T0), T0 + 3600000);
	ck_assert_int_ge(gate_opens_at(&gate, T0), T0 + WINDOW);
}
END_TEST

/* A note of three moments, two of ours and one of others. */
static size_t
small_note(void)
{
	struct gate_call a;
	make(10, 2);
	call(T0, -1);
	call(T0 + 10, 10 - 3);
	struct transport_head head = head_of(429, -1);
	head.wait_ms = 9000;
	give(&a, T0 + 20);
	gate_done(&gate, &a, GATE_LIMITED, &head, T0 + 30);
	size_t len = gate_write(&gate, T0 + 30, WALL, note);
	ck_assert_uint_eq(len, GATE_NOTE_HEAD_BYTES + 3 * 8);
	gate_fini(&gate);
	make(10, 2);
	return len;
}

static void
assert_untouched(void)
{
	ck_assert_uint_eq(gate_own(&gate, T0) + gate_foreign(&gate, T0), 0);
	ck_assert_uint_eq(gate_running(&gate, T0), 0);
	ck_assert(opens(T0));
}

START_TEST(a_damaged_note_is_none)
{
	size_t len = small_note();
	for (size_t bit = 0; bit < len * 8; bit++) {
		note[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!gate_read(&gate, note, len, T0, WALL));
		note[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t less = 0; less < len; less++)
		ck_assert(!gate_read(&gate, note, less, T0, WALL));
	ck_assert(!gate_read(&gate, note, len + 8, T0, WALL));
	assert_untouched();
	ck_assert(gate_read(&gate, note, len, T0, WALL));
	ck_assert_uint_eq(gate_own(&gate, T0), 2);
}
END_TEST

/* Whoever can write the store can make the checksum right. */
static bool
reads_with(size_t at, uint64_t value, size_t bytes)
{
	uint8_t copy[GATE_NOTE_HEAD_BYTES + 3 * 8];
	memcpy(copy, note, sizeof copy);
	for (size_t i = 0; i < bytes; i++)
		copy[at + i] = (uint8_t)(value >> (8 * i));
	uint32_t crc = codec_crc32(0, copy + 8, sizeof copy - 8);
	for (size_t i = 0; i < 4; i++)
		copy[4 + i] = (uint8_t)(crc >> (8 * i));
	gate_fini(&gate);
	make(10, 2);
	return gate_read(&gate, copy, sizeof copy, T0, WALL);
}

START_TEST(a_forged_note_is_none_or_harmless)
{
	static const struct {
		size_t at, bytes;
		uint64_t value;
	} refused[] = {
	    {8, 1, 2},
	    {9, 1, API_POSTURE_INFO},
	    {10, 1, 2},
	    {11, 1, 1},
	    {28, 4, 7},
	    {12, 4, 3},
	    {12, 4, UINT32_MAX},
	    {16, 4, 0},
	    {20, 4, GATE_RATE_MOST + 1},
	    {72, 8, GATE_RATE_MOST + 1},
	    {80, 8, 0},
	    {80, 8, UINT64_MAX},
	    {80, 8, 86400001},
	    {96, 8, WALL + 1},
	};
	small_note();
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		ck_assert_msg(
		    !reads_with(refused[i].at, refused[i].value, refused[i].bytes), "%zu", i);
		assert_untouched();
	}
	/* times and counts that can be: nothing overflows, the gate opens again */
	static const uint64_t times[] = {
	    0, 1, (uint64_t)WALL, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		ck_assert(reads_with(40, times[i], 8));
		ck_assert_int_le(gate_opens_at(&gate, T0), T0 + 3600000);
		ck_assert(reads_with(112, times[i], 8)); /* of others */
		ck_assert_int_le(gate_opens_at(&gate, T0), T0 + WINDOW);
	}
	ck_assert(reads_with(24, UINT32_MAX, 4));
	ck_assert_int_eq(gate_opens_at(&gate, T0), T0 + 9000); /* beyond the linger */
}
END_TEST

/* --- against a model of the upstream */

#define MODEL_CALLS 64

struct model {
	int64_t counted[4096]; /* moments, ascending */
	size_t count;
	int64_t limit;
};

static int64_t
model_used(const struct model *m, int64_t now)
{
	int64_t used = 0;
	for (size_t i = m->count; i-- > 0 && m->counted[i] > now - WINDOW;)
		used++;
	return used;
}

static bool
model_takes(struct model *m, int64_t now)
{
	if (model_used(m, now) >= m->limit || m->count == ARRAY_LEN(m->counted))
		return false;
	m->counted[m->count++] = now;
	return true;
}

static int64_t
model_wait_ms(const struct model *m, int64_t now)
{
	int64_t frees = m->counted[m->count - (size_t)m->limit] + WINDOW - now;
	return (frees + 999) / 1000 * 1000;
}

struct flying {
	struct gate_call call;
	int64_t counted_at, answered_at; /* 0: not yet */
	bool flies, refused;
	struct transport_head head;
};

/* The upstream looks at it. */
static void
model_look(struct model *m, struct flying *f, int64_t now)
{
	f->refused = !model_takes(m, now);
	f->head = head_of(f->refused ? 429 : 200, m->limit - model_used(m, now));
	f->head.rate_limit = m->limit;
	f->head.rate_window_s = WINDOW / 1000;
	if (f->refused)
		f->head.wait_ms = model_wait_ms(m, now);
	f->counted_at = 0;
}

static void
model_answer(struct flying *f, int64_t now)
{
	gate_arrived(&gate, &f->call, &f->head, now);
	gate_done(&gate, &f->call, f->refused ? GATE_LIMITED : GATE_MADE, &f->head, now);
	f->flies = false;
}

/* The process is killed: what it has sent is counted, the note is as of the last call given. */
static void
model_crash(struct model *m, struct flying *flying, size_t len, int64_t now)
{
	for (int i = 0; i < MODEL_CALLS; i++) {
		if (flying[i].flies && flying[i].counted_at != 0)
			(void)model_takes(m, now);
		flying[i].flies = false;
	}
	gate_fini(&gate);
	make(5, 0);
	ck_assert(gate_read(&gate, note, len, now, WALL + now));
}

/* Calls of random lengths, crashes, perhaps others at the same account: alone we are never refused;
 * with others never more than once in an announced wait, but for calls that were under way. */
START_TEST(the_upstream_never_sees_more_than_it_allows)
{
	struct unit_random random = {unit_seed((uint64_t)_i + 1)};
	bool others = _i % 2 == 1;
	struct model m = {.limit = 5};
	static struct flying flying[MODEL_CALLS];
	int64_t shut_until = 0;
	size_t refusals = 0, given = 0, len = 0;
	memset(flying, 0, sizeof flying);
	make(5, 0);
	for (int64_t now = T0; now < T0 + 20 * WINDOW;
	     now += 1 + (int64_t)unit_below(&random, 400)) {
		if (others && unit_below(&random, 40) == 0)
			(void)model_takes(&m, now);
		for (int i = 0; i < MODEL_CALLS; i++) {
			struct flying *f = &flying[i];
			if (f->flies && f->counted_at != 0 && f->counted_at <= now)
				model_look(&m, f, now);
			if (f->flies && f->counted_at == 0 && f->answered_at <= now) {
				if (f->refused && shut_until < now + f->head.wait_ms)
					shut_until = now + f->head.wait_ms;
				refusals += f->refused;
				model_answer(f, now);
			}
		}
		for (int i = 0; i < MODEL_CALLS && opens(now); i++) {
			struct flying *f = &flying[i];
			if (f->flies)
				continue;
			ck_assert_int_ge(now, shut_until);
			*f = (struct flying){.flies = true};
			give(&f->call, now);
			len = gate_write(&gate, now, WALL + now, note);
			f->counted_at = now + (int64_t)unit_below(&random, 3000);
			f->answered_at = f->counted_at + (int64_t)unit_below(&random, 3000);
			given++;
		}
		if (len > 0 && unit_below(&random, 300) == 0) {
			model_crash(&m, flying, len, now);
			shut_until = 0;
		}
	}
	ck_assert_uint_gt(given, 20);
	if (!others)
		ck_assert_uint_eq(refusals, 0);
	ck_assert_uint_lt(refusals, given / 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("gate");
	TCase *t = tcase_create("gate");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, a_call_counts_until_a_window_after_its_headers);
	tcase_add_test(t, spare_calls_leave_half_of_the_window_to_others);
	tcase_add_test(t, spare_calls_go_alone_and_never_first_after_a_wait);
	tcase_add_test(t, what_was_not_called_is_forgotten);
	tcase_add_test(t, a_call_without_an_answer_counts_from_its_end);
	tcase_add_test(t, a_longer_window_takes_older_calls_in_again);
	tcase_add_test(t, a_full_ring_forgets_the_oldest);
	tcase_add_test(t, others_calls_take_room);
	tcase_add_test(t, others_calls_leave_a_window_after_they_were_learned);
	tcase_add_test(t, fewer_others_are_believed_as_well);
	tcase_add_test(t, own_calls_under_way_are_not_taken_for_others);
	tcase_add_test(t, a_slow_answer_does_not_make_strangers_of_calls_that_left_meanwhile);
	tcase_add_test(t, remaining_counts_even_if_the_limit_is_beyond_reach);
	tcase_add_test(t, pinned_limits_and_windows_stay);
	tcase_add_test(t, one_call_tries_the_gate_after_the_announced_wait);
	tcase_add_test(t, what_looks_like_a_limit_and_is_none_opens_the_gate);
	tcase_add_test(t, a_try_without_an_answer_is_followed_by_another_one);
	tcase_add_test(t, a_refusal_of_an_earlier_call_keeps_the_gate_half_open);
	tcase_add_test(t, the_announced_wait_outweighs_the_estimate_of_others);
	tcase_add_test(t, own_calls_hold_the_try_after_a_wait_too);
	tcase_add_test(t, too_many_at_a_time_waits_for_an_end);
	tcase_add_test(t, others_may_take_every_place);
	tcase_add_loop_test(t, the_forecast_is_when_the_last_one_goes, 0, 3);
	tcase_add_test(t, the_forecast_of_much_is_bounded);
	tcase_add_test(t, the_window_outlives_a_restart);
	tcase_add_test(t, calls_under_way_at_a_crash_count_and_linger);
	tcase_add_test(t, a_call_that_we_gave_up_may_still_run);
	tcase_add_test(t, the_announced_wait_outlives_a_restart);
	tcase_add_test(t, learned_limits_outlive_a_restart_until_the_settings_change);
	tcase_add_test(t, a_clock_that_went_back_shortens_nothing);
	tcase_add_test(t, a_damaged_note_is_none);
	tcase_add_test(t, a_forged_note_is_none_or_harmless);
	tcase_add_loop_test(t, the_upstream_never_sees_more_than_it_allows, 0, 20);
	suite_add_tcase(s, t);
	return unit_run(s);
}
