/* The budget: who may go, when, and what headers change. Windows are hours or milliseconds, so that
 * nothing here depends on how fast the machine is. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/upstream/budget.h"
#include "tests/unit/unit.h"

#define HOUR_MS INT64_C(3600000)

static struct budget *
make(uint64_t calls, int64_t window_ms, uint64_t concurrency)
{
	struct budget_options o = {
	    .rate_calls = calls, .rate_window_ms = window_ms, .concurrency = concurrency};
	struct budget *b = budget_new(&o);
	ck_assert_ptr_nonnull(b);
	return b;
}

static struct budget_entry
entry(enum upstream_api api, enum budget_class class)
{
	return (struct budget_entry){
	    .api = api, .class = class, .consumer = "c", .deadline_ms = CLOCK_NEVER};
}

static struct transport_head
silent_head(void)
{
	return (struct transport_head){.wait_ms = -1,
	    .rate_limit = -1,
	    .rate_remaining = -1,
	    .rate_window_s = -1,
	    .concurrency_limit = -1,
	    .concurrency_running = -1};
}

/* Submits an interactive one and behind it one of another API in the background: which of them
 * budget_next() gives says whether the first could go, without any waiting. */
static bool
can_go(struct budget *b, struct budget_entry *e)
{
	struct budget_entry other = entry(API_POLICY_LIST, BUDGET_BACKGROUND);
	budget_submit(b, e);
	budget_submit(b, &other);
	struct budget_entry *got = budget_next(b);
	if (got != e)
		ck_assert(budget_withdraw(b, e));
	else
		ck_assert_ptr_eq(budget_next(b), &other);
	budget_done(b, &other, false, NULL);
	return got == e;
}

START_TEST(never_more_calls_in_a_window_than_the_rate)
{
	struct budget *b = make(3, HOUR_MS, 0);
	struct transport_head head = silent_head();
	struct budget_entry e[4];
	for (int i = 0; i < 4; i++)
		e[i] = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	for (int i = 0; i < 3; i++) {
		budget_submit(b, &e[i]);
		ck_assert_ptr_eq(budget_next(b), &e[i]);
		budget_arrived(b, &e[i], &head);
		budget_done(b, &e[i], false, &head);
	}
	budget_submit(b, &e[3]);
	struct budget_entry other = entry(API_HOSTIDS, BUDGET_BACKGROUND);
	budget_submit(b, &other);
	ck_assert_ptr_eq(budget_next(b), &other); /* another API has a window of its own */
	ck_assert_int_gt(budget_forecast_ms(b, &e[3]), HOUR_MS / 2);
	ck_assert_int_eq(budget_forecast_ms(b, &e[2]), 0); /* it is not queued any more */
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.window_own, 3);
	ck_assert_uint_eq(v.remaining, 0);
	ck_assert_uint_eq(v.queued[BUDGET_INTERACTIVE], 1);
	ck_assert_uint_eq(v.queued[BUDGET_BACKGROUND], 0);
	ck_assert_uint_eq(v.given, 3);
	ck_assert(budget_withdraw(b, &e[3]));
	ck_assert(!budget_withdraw(b, &e[3]));
	budget_free(b);
}
END_TEST

START_TEST(a_call_under_way_counts_before_its_headers_are_in)
{
	struct budget *b = make(1, HOUR_MS, 0);
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE), f = e, other;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	budget_submit(b, &f);
	other = entry(API_HOSTIDS, BUDGET_BACKGROUND);
	budget_submit(b, &other);
	ck_assert_ptr_eq(budget_next(b), &other);
	ck_assert(budget_withdraw(b, &f));
	budget_free(b);
}
END_TEST

START_TEST(a_call_that_was_never_made_leaves_the_window)
{
	struct budget *b = make(1, HOUR_MS, 1);
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	budget_done(b, &e, false, NULL);
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	budget_free(b);
}
END_TEST

START_TEST(the_window_rolls)
{
	struct budget *b = make(1, 1, 0); /* a window of a millisecond is soon over */
	struct transport_head head = silent_head();
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	for (int i = 0; i < 5; i++) {
		budget_submit(b, &e);
		ck_assert_ptr_eq(budget_next(b), &e);
		budget_done(b, &e, false, &head);
	}
	budget_free(b);
}
END_TEST

START_TEST(never_more_under_way_than_the_concurrency)
{
	struct budget *b = make(0, HOUR_MS, 2);
	struct transport_head head = silent_head();
	struct budget_entry e[3], other = entry(API_HOSTIDS, BUDGET_BACKGROUND);
	for (int i = 0; i < 3; i++) {
		e[i] = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
		budget_submit(b, &e[i]);
	}
	ck_assert_ptr_eq(budget_next(b), &e[0]);
	ck_assert_ptr_eq(budget_next(b), &e[1]);
	budget_submit(b, &other);
	ck_assert_ptr_eq(budget_next(b), &other);
	budget_done(b, &e[0], false, &head);
	ck_assert_ptr_eq(budget_next(b), &e[2]);
	budget_free(b);
}
END_TEST

START_TEST(interactive_goes_before_background_and_then_by_arrival)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry back = entry(API_POSTURE_INFO, BUDGET_BACKGROUND);
	struct budget_entry one = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE), two = one;
	budget_submit(b, &back);
	budget_submit(b, &one);
	budget_submit(b, &two);
	ck_assert_ptr_eq(budget_next(b), &one);
	ck_assert_ptr_eq(budget_next(b), &two);
	ck_assert_ptr_eq(budget_next(b), &back);
	budget_free(b);
}
END_TEST

START_TEST(spare_goes_last_and_only_when_half_of_the_window_is_free)
{
	struct budget *b = make(3, HOUR_MS, 0);
	struct budget_entry spare = entry(API_POSTURE_INFO, BUDGET_SPARE), back = spare,
			    other = spare;
	struct budget_entry second = spare;
	back.class = BUDGET_BACKGROUND;
	budget_submit(b, &spare);
	budget_submit(b, &back);
	ck_assert_ptr_eq(budget_next(b), &back);
	/* there is room for two more, but not beside another */
	other.api = API_HOSTIDS;
	budget_submit(b, &other);
	ck_assert_ptr_eq(budget_next(b), &other);
	struct transport_head head = silent_head();
	head.http = 200;
	budget_done(b, &back, false, &head);
	ck_assert_ptr_eq(budget_next(b), &spare);
	budget_done(b, &spare, false, &head);
	/* two of three are used: the last one is for others */
	budget_submit(b, &second);
	ck_assert(can_go(b, &back));
	ck_assert(budget_withdraw(b, &second));
	budget_free(b);
}
END_TEST

START_TEST(a_passed_deadline_gives_the_entry_back_unused)
{
	struct budget *b = make(1, HOUR_MS, 1);
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	e.deadline_ms = 0;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	ck_assert(e.expired);
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.window_own, 0);
	ck_assert_uint_eq(v.under_way, 0);
	ck_assert_uint_eq(v.expired, 1);
	ck_assert_uint_eq(v.given, 0);
	budget_free(b);
}
END_TEST

START_TEST(a_refusal_without_headers_says_nothing_about_the_gate)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry e = entry(API_HOSTIDS, BUDGET_INTERACTIVE), next = e;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	budget_done(b, &e, true, NULL);
	ck_assert(can_go(b, &next));
	budget_free(b);
}
END_TEST

START_TEST(a_refusal_shuts_the_gate_of_its_api_for_the_announced_wait)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct transport_head head = silent_head();
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	head.wait_ms = HOUR_MS;
	head.http = 429;
	budget_done(b, &e, true, &head);
	ck_assert(!can_go(b, &e));
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_int_gt(v.closed_for_ms, HOUR_MS / 2);
	ck_assert_uint_eq(v.refused_rate, 1);
	ck_assert_uint_eq(v.refused_concurrency, 0);
	struct budget_entry other = entry(API_HOSTIDS, BUDGET_INTERACTIVE);
	ck_assert(can_go(b, &other));
	budget_free(b);
}
END_TEST

START_TEST(headers_raise_and_lower_the_limits)
{
	struct budget *b = make(1, HOUR_MS, 1);
	struct transport_head head = silent_head();
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE), f = e, g = e;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	head.rate_limit = 2;
	head.concurrency_limit = 3;
	head.rate_window_s = 7200;
	budget_arrived(b, &e, &head);
	ck_assert(can_go(b, &f));
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.rate_calls, 2);
	ck_assert_uint_eq(v.concurrency, 3);
	ck_assert_int_eq(v.rate_window_ms, 7200000);
	ck_assert(!can_go(b, &g));
	budget_free(b);
}
END_TEST

START_TEST(pinned_limits_stay)
{
	struct budget_options o = {
	    .rate_calls = 1, .rate_window_ms = HOUR_MS, .rate_pinned = true, .concurrency = 1};
	struct budget *b = budget_new(&o);
	struct transport_head head = silent_head();
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	head.rate_limit = 1000;
	head.concurrency_limit = 1000;
	budget_arrived(b, &e, &head);
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.rate_calls, 1);
	ck_assert_uint_eq(v.concurrency, 1);
	budget_free(b);
}
END_TEST

START_TEST(a_refusal_for_concurrency_is_told_apart)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct transport_head head = silent_head();
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE), f = e, g = e;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	budget_submit(b, &f);
	ck_assert_ptr_eq(budget_next(b), &f);
	head.http = 409;
	head.wait_ms = HOUR_MS;
	head.by_concurrency = true;
	budget_done(b, &f, true, &head);
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.refused_concurrency, 1);
	ck_assert_uint_eq(v.refused_rate, 0);
	ck_assert_int_eq(v.closed_for_ms, 0);
	ck_assert(!can_go(b, &g));
	head.http = 200;
	budget_done(b, &e, false, &head);
	ck_assert(can_go(b, &g));
	budget_free(b);
}
END_TEST

/* The wait is over at once: budget_next() gives the one that tries the gate. */
START_TEST(one_entry_tries_the_gate_after_a_wait)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct transport_head head = silent_head();
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE), f = e, g = e;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	head.http = 429;
	head.wait_ms = 1;
	budget_done(b, &e, true, &head);
	budget_submit(b, &f);
	ck_assert_ptr_eq(budget_next(b), &f);
	ck_assert(!can_go(b, &g));
	head.http = 200;
	budget_arrived(b, &f, &head);
	ck_assert(can_go(b, &g));
	budget_free(b);
}
END_TEST

/* --- who goes first */

static struct budget_entry
entry_of(const char *consumer)
{
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	e.consumer = consumer;
	return e;
}

START_TEST(a_crowd_of_one_consumer_does_not_delay_the_call_of_another)
{
	struct budget *b = make(0, HOUR_MS, 0);
	static struct budget_entry many[300];
	struct budget_entry one = entry_of("small");
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = entry_of("large");
		budget_submit(b, &many[i]);
	}
	for (size_t i = 0; i < 100; i++)
		ck_assert_ptr_eq(budget_next(b), &many[i]);
	budget_submit(b, &one);
	ck_assert_ptr_eq(budget_next(b), &one);
	ck_assert_ptr_eq(budget_next(b), &many[100]);
	budget_free(b);
}
END_TEST

START_TEST(consumers_take_turns_and_each_ones_calls_go_in_order)
{
	static const char *const names[] = {"a", "b", "c"};
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry e[3][4];
	for (int who = 0; who < 3; who++)
		for (int i = 0; i < 4; i++) {
			e[who][i] = entry_of(names[who]);
			budget_submit(b, &e[who][i]);
		}
	for (int i = 0; i < 4; i++)
		for (int who = 0; who < 3; who++)
			ck_assert_ptr_eq(budget_next(b), &e[who][i]);
	budget_free(b);
}
END_TEST

START_TEST(idling_saves_nothing_up)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry busy[20], idle[10];
	for (int i = 0; i < 20; i++) {
		busy[i] = entry_of("busy");
		budget_submit(b, &busy[i]);
	}
	for (int i = 0; i < 10; i++)
		ck_assert_ptr_eq(budget_next(b), &busy[i]);
	for (int i = 0; i < 10; i++) {
		idle[i] = entry_of("idle");
		budget_submit(b, &idle[i]);
	}
	/* the one that comes back goes first once, then they take turns */
	for (int i = 0; i < 10; i++) {
		ck_assert_ptr_eq(budget_next(b), &idle[i]);
		ck_assert_ptr_eq(budget_next(b), &busy[10 + i]);
	}
	budget_free(b);
}
END_TEST

START_TEST(apis_and_classes_have_shares_of_their_own)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry e[6], hosts, back, other;
	for (int i = 0; i < 5; i++) {
		e[i] = entry_of("a");
		budget_submit(b, &e[i]);
		ck_assert_ptr_eq(budget_next(b), &e[i]);
	}
	/* what "a" had of one does not count for the others */
	hosts = entry_of("a");
	hosts.api = API_HOSTIDS;
	other = entry_of("b");
	other.api = API_HOSTIDS;
	budget_submit(b, &hosts);
	budget_submit(b, &other);
	ck_assert_ptr_eq(budget_next(b), &hosts);
	ck_assert_ptr_eq(budget_next(b), &other);
	back = entry_of("a");
	back.class = BUDGET_BACKGROUND;
	other = entry_of("b");
	other.class = BUDGET_BACKGROUND;
	budget_submit(b, &back);
	budget_submit(b, &other);
	ck_assert_ptr_eq(budget_next(b), &back);
	budget_free(b);
}
END_TEST

START_TEST(more_consumers_than_shares_are_served_all_the_same)
{
	struct budget *b = make(0, HOUR_MS, 0);
	static struct budget_entry e[3000];
	static char names[3000][8];
	for (size_t i = 0; i < ARRAY_LEN(e); i++) {
		snprintf(names[i], sizeof names[i], "n%zu", i);
		e[i] = entry_of(names[i]);
		budget_submit(b, &e[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		ck_assert_ptr_nonnull(budget_next(b));
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.queued[BUDGET_INTERACTIVE], 0);
	ck_assert_uint_eq(v.given, ARRAY_LEN(e));
	budget_free(b);
}
END_TEST

START_TEST(a_promoted_entry_goes_as_its_new_consumers)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry first = entry_of("a"), second = entry_of("a"), back = entry_of("c");
	struct budget_view v;
	back.class = BUDGET_BACKGROUND;
	budget_promote(b, &back, BUDGET_INTERACTIVE, "b"); /* not queued: nothing */
	ck_assert_int_eq(back.class, BUDGET_BACKGROUND);
	budget_submit(b, &back);
	budget_submit(b, &first);
	budget_submit(b, &second);
	ck_assert_ptr_eq(budget_next(b), &first);
	budget_promote(b, &back, BUDGET_INTERACTIVE, "b");
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.queued[BUDGET_INTERACTIVE], 2);
	ck_assert_uint_eq(v.queued[BUDGET_BACKGROUND], 0);
	ck_assert_ptr_eq(budget_next(b), &back);
	budget_promote(b, &back, BUDGET_INTERACTIVE, "b");  /* not any more */
	budget_promote(b, &second, BUDGET_BACKGROUND, "b"); /* nobody is put back */
	ck_assert_int_eq(second.class, BUDGET_INTERACTIVE);
	budget_promote(b, &second, BUDGET_INTERACTIVE, "b"); /* nor made another's */
	struct budget_entry third = entry_of("b");
	budget_submit(b, &third);
	ck_assert_ptr_eq(budget_next(b), &second);
	ck_assert_ptr_eq(budget_next(b), &third);
	budget_free(b);
}
END_TEST

START_TEST(the_queue_survives_any_order_of_withdrawing)
{
	struct unit_random random = {unit_seed((uint64_t)_i + 1)};
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry e[20];
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		e[i] = entry_of("a");
	for (int round = 0; round < 500; round++) {
		struct budget_entry *one = &e[unit_below(&random, ARRAY_LEN(e))];
		if (one->queued)
			ck_assert(budget_withdraw(b, one));
		else
			budget_submit(b, one);
	}
	size_t queued = 0;
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		queued += e[i].queued;
	for (; queued > 0; queued--)
		ck_assert_ptr_nonnull(budget_next(b));
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.queued[BUDGET_INTERACTIVE], 0);
	budget_free(b);
}
END_TEST

/* --- what outlives the process */

/* Keeps the last note of each API. */
static struct keeper {
	uint8_t bytes[API_COUNT][GATE_NOTE_BYTES];
	size_t len[API_COUNT];
	size_t written;
	enum status fails;
} keeper;

static enum status
keep(void *ctx, enum upstream_api api, const void *bytes, size_t len)
{
	struct keeper *k = ctx;
	k->written++;
	ck_assert_uint_le(len, GATE_NOTE_BYTES);
	if (k->fails != STATUS_OK)
		return k->fails;
	memcpy(k->bytes[api], bytes, len);
	k->len[api] = len;
	return STATUS_OK;
}

static struct budget *
make_kept(uint64_t calls)
{
	struct budget_options o = {
	    .rate_calls = calls, .rate_window_ms = HOUR_MS, .keep = keep, .keep_ctx = &keeper};
	struct budget *b = budget_new(&o);
	ck_assert_ptr_nonnull(b);
	return b;
}

static struct budget *
restored(uint64_t calls)
{
	struct budget *b = make_kept(calls);
	for (int api = 0; api < API_COUNT; api++)
		if (keeper.len[api] > 0)
			ck_assert(budget_restore(
			    b, (enum upstream_api)api, keeper.bytes[api], keeper.len[api]));
	return b;
}

/* The process dies whenever it likes: not a single call more than the rate goes in a window. */
START_TEST(a_crash_at_any_moment_lets_no_call_more_go)
{
	struct transport_head head = silent_head();
	head.http = 200;
	for (int calls = 0, life = 0; life < 5; life++) {
		struct budget *b = restored(4);
		struct budget_entry e = entry_of("a"), f = e;
		budget_submit(b, &e);
		if (calls == 4) {
			ck_assert(budget_withdraw(b, &e));
			ck_assert(!can_go(b, &f));
		} else {
			ck_assert_ptr_eq(budget_next(b), &e);
			calls++;
			if (life % 2 == 0)
				budget_arrived(b, &e, &head);
		}
		budget_free(b); /* without budget_stop(): as a crash leaves it */
	}
}
END_TEST

START_TEST(an_orderly_end_leaves_nothing_under_way)
{
	struct transport_head head = silent_head();
	struct budget *b = make_kept(4);
	struct budget_entry e = entry_of("a");
	struct budget_view v;
	head.http = 200;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	budget_done(b, &e, false, &head);
	budget_stop(b);
	budget_free(b);
	b = restored(4);
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.under_way, 0);
	ck_assert_uint_eq(v.window_own, 1);
	size_t written = keeper.written;
	budget_stop(b);
	ck_assert_uint_eq(keeper.written, written); /* nothing new to say */
	budget_free(b);
}
END_TEST

START_TEST(a_refusal_is_written_down_at_once)
{
	struct transport_head head = silent_head();
	struct budget *b = make_kept(4);
	struct budget_entry e = entry_of("a");
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	head.http = 429;
	head.wait_ms = HOUR_MS / 2;
	budget_done(b, &e, true, &head);
	budget_free(b);
	b = restored(4);
	ck_assert(!can_go(b, &e));
	budget_free(b);
}
END_TEST

START_TEST(limits_that_were_learned_are_written_down_at_once)
{
	struct transport_head head = silent_head();
	struct budget *b = make_kept(100);
	struct budget_entry e = entry_of("a");
	struct budget_view v;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	head.http = 200;
	head.rate_limit = 4;
	head.rate_remaining = 1;
	budget_arrived(b, &e, &head);
	budget_free(b);
	b = restored(100);
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.rate_calls, 4);
	ck_assert_uint_eq(v.window_own, 1);
	ck_assert_uint_eq(v.window_foreign, 2);
	ck_assert_uint_eq(v.remaining, 1);
	budget_free(b);
}
END_TEST

START_TEST(a_store_that_fails_stops_nothing)
{
	struct budget *b = make_kept(4);
	struct budget_entry e = entry_of("a"), f = e;
	keeper.fails = STATUS_STORE_FAILED;
	budget_submit(b, &e);
	ck_assert_ptr_eq(budget_next(b), &e);
	keeper.fails = STATUS_OK;
	budget_submit(b, &f);
	ck_assert_ptr_eq(budget_next(b), &f);
	budget_free(b);
	b = restored(4);
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.window_own, 2);
	budget_free(b);
}
END_TEST

START_TEST(a_note_that_is_none_begins_an_empty_window)
{
	struct budget *b = make_kept(4);
	struct budget_entry e = entry_of("a");
	ck_assert(!budget_restore(b, API_POSTURE_INFO, "nonsense", 8));
	ck_assert(!budget_restore(b, API_POSTURE_INFO, "", 0));
	ck_assert(can_go(b, &e));
	ck_assert(!budget_restore(b, API_POSTURE_INFO, keeper.bytes[API_POLICY_LIST],
	    keeper.len[API_POLICY_LIST])); /* another API's */
	budget_free(b);
}
END_TEST

static void *
serve_some(void *ctx)
{
	struct transport_head head = silent_head();
	struct budget_entry *e;
	head.http = 200;
	while ((e = budget_next(ctx)) != NULL) {
		budget_arrived(ctx, e, &head);
		budget_done(ctx, e, false, &head);
	}
	return NULL;
}

START_TEST(notes_of_many_threads_never_go_back)
{
	enum { THREADS = 4, CALLS = 400 };
	struct budget *b = make_kept(0);
	static struct budget_entry e[CALLS];
	pthread_t threads[THREADS];
	struct budget_view v;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, serve_some, b), 0);
	for (int i = 0; i < CALLS; i++) {
		e[i] = entry(i % 2 == 0 ? API_HOSTIDS : API_POSTURE_INFO, BUDGET_INTERACTIVE);
		budget_submit(b, &e[i]);
	}
	do {
		budget_view(b, API_HOSTIDS, &v);
	} while (v.given < CALLS / 2 || v.under_way > 0);
	do {
		budget_view(b, API_POSTURE_INFO, &v);
	} while (v.given < CALLS / 2 || v.under_way > 0);
	budget_stop(b);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	budget_free(b);
	b = restored(0);
	for (int api = API_HOSTIDS; api <= API_POSTURE_INFO; api++) {
		budget_view(b, (enum upstream_api)api, &v);
		ck_assert_uint_eq(v.window_own, CALLS / 2);
		ck_assert_uint_eq(v.under_way, 0);
	}
	budget_free(b);
}
END_TEST

static void
forecast_is(struct budget *b, const struct budget_entry *e, int64_t wanted_ms)
{
	int64_t ms = budget_forecast_ms(b, e);
	ck_assert_msg(ms <= wanted_ms && ms > wanted_ms - 60000, "%lld is not about %lld",
	    (long long)ms, (long long)wanted_ms);
}

static int64_t
hours(int64_t ms)
{
	return (ms + 60000) / HOUR_MS;
}

START_TEST(the_forecast_counts_what_goes_before)
{
	struct budget *b = make(2, HOUR_MS, 0);
	struct transport_head head = silent_head();
	struct budget_entry a[5], other, back;
	for (int i = 0; i < 5; i++) {
		a[i] = entry_of("a");
		budget_submit(b, &a[i]);
	}
	back = entry_of("b");
	back.class = BUDGET_BACKGROUND;
	budget_submit(b, &back);
	for (int i = 0; i < 5; i++)
		forecast_is(b, &a[i], i / 2 * HOUR_MS);
	forecast_is(b, &back, 5 / 2 * HOUR_MS);
	/* it came last and goes second: the others are one consumer's */
	other = entry_of("c");
	budget_submit(b, &other);
	forecast_is(b, &other, 0);
	forecast_is(b, &a[0], 0);
	forecast_is(b, &a[1], HOUR_MS);
	forecast_is(b, &a[4], 2 * HOUR_MS);
	/* whoever would come now: a stranger goes third, the one with five behind all of them */
	ck_assert_int_eq(hours(budget_foresee_ms(b, API_POSTURE_INFO, "d", 1)), 1);
	ck_assert_int_eq(hours(budget_foresee_ms(b, API_POSTURE_INFO, "d", 3)), 2);
	ck_assert_int_eq(hours(budget_foresee_ms(b, API_POSTURE_INFO, "a", 1)), 3);
	ck_assert_int_eq(hours(budget_foresee_ms(b, API_HOSTIDS, "a", 2)), 0);
	forecast_is(b, &back, 3 * HOUR_MS);
	/* and so it is */
	ck_assert_ptr_eq(budget_next(b), &a[0]);
	ck_assert_ptr_eq(budget_next(b), &other);
	forecast_is(b, &other, 0);
	head.http = 429;
	head.wait_ms = 3 * HOUR_MS;
	budget_done(b, &a[0], true, &head);
	forecast_is(b, &a[1], 3 * HOUR_MS);
	a[1].not_before_ms = clock_mono_ms() + 5 * HOUR_MS;
	forecast_is(b, &a[1], 5 * HOUR_MS);
	budget_free(b);
}
END_TEST

START_TEST(not_before_holds_an_entry_back)
{
	struct budget *b = make(0, HOUR_MS, 0);
	struct budget_entry e = entry(API_POSTURE_INFO, BUDGET_INTERACTIVE);
	e.not_before_ms = clock_mono_ms() + HOUR_MS;
	ck_assert(!can_go(b, &e));
	budget_free(b);
}
END_TEST

static void *
wait_for_next(void *ctx)
{
	return budget_next(ctx);
}

START_TEST(stopping_wakes_everyone_who_waits)
{
	struct budget *b = make(0, HOUR_MS, 0);
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_next, b), 0);
	budget_stop(b);
	for (int i = 0; i < 4; i++) {
		void *got = b;
		pthread_join(threads[i], &got);
		ck_assert_ptr_null(got);
	}
	budget_free(b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("budget");
	TCase *t = tcase_create("budget");
	tcase_add_test(t, never_more_calls_in_a_window_than_the_rate);
	tcase_add_test(t, a_call_under_way_counts_before_its_headers_are_in);
	tcase_add_test(t, a_call_that_was_never_made_leaves_the_window);
	tcase_add_test(t, the_window_rolls);
	tcase_add_test(t, never_more_under_way_than_the_concurrency);
	tcase_add_test(t, interactive_goes_before_background_and_then_by_arrival);
	tcase_add_test(t, spare_goes_last_and_only_when_half_of_the_window_is_free);
	tcase_add_test(t, a_passed_deadline_gives_the_entry_back_unused);
	tcase_add_test(t, a_refusal_without_headers_says_nothing_about_the_gate);
	tcase_add_test(t, a_refusal_shuts_the_gate_of_its_api_for_the_announced_wait);
	tcase_add_test(t, headers_raise_and_lower_the_limits);
	tcase_add_test(t, pinned_limits_stay);
	tcase_add_test(t, a_refusal_for_concurrency_is_told_apart);
	tcase_add_test(t, one_entry_tries_the_gate_after_a_wait);
	tcase_add_test(t, a_crowd_of_one_consumer_does_not_delay_the_call_of_another);
	tcase_add_test(t, consumers_take_turns_and_each_ones_calls_go_in_order);
	tcase_add_test(t, idling_saves_nothing_up);
	tcase_add_test(t, apis_and_classes_have_shares_of_their_own);
	tcase_add_test(t, more_consumers_than_shares_are_served_all_the_same);
	tcase_add_test(t, a_promoted_entry_goes_as_its_new_consumers);
	tcase_add_loop_test(t, the_queue_survives_any_order_of_withdrawing, 0, 3);
	tcase_add_test(t, a_crash_at_any_moment_lets_no_call_more_go);
	tcase_add_test(t, an_orderly_end_leaves_nothing_under_way);
	tcase_add_test(t, a_refusal_is_written_down_at_once);
	tcase_add_test(t, limits_that_were_learned_are_written_down_at_once);
	tcase_add_test(t, a_store_that_fails_stops_nothing);
	tcase_add_test(t, a_note_that_is_none_begins_an_empty_window);
	tcase_add_test(t, notes_of_many_threads_never_go_back);
	tcase_add_test(t, the_forecast_counts_what_goes_before);
	tcase_add_test(t, not_before_holds_an_entry_back);
	tcase_add_test(t, stopping_wakes_everyone_who_waits);
	suite_add_tcase(s, t);
	return unit_run(s);
}
