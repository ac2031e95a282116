/* The budget: who may go, when, and what headers change. Windows are hours or milliseconds, so that
 * nothing here depends on how fast the machine is. */
#include "config.h"

#include <pthread.h>
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
	ck_assert_int_gt(budget_wait_ms(b, API_POSTURE_INFO), HOUR_MS / 2);
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_uint_eq(v.window_used, 3);
	ck_assert_uint_eq(v.queued, 1);
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
	ck_assert_uint_eq(v.window_used, 0);
	ck_assert_uint_eq(v.under_way, 0);
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
	budget_done(b, &e, true, &head);
	ck_assert(!can_go(b, &e));
	struct budget_view v;
	budget_view(b, API_POSTURE_INFO, &v);
	ck_assert_int_gt(v.closed_for_ms, HOUR_MS / 2);
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
	tcase_add_test(t, a_passed_deadline_gives_the_entry_back_unused);
	tcase_add_test(t, a_refusal_without_headers_says_nothing_about_the_gate);
	tcase_add_test(t, a_refusal_shuts_the_gate_of_its_api_for_the_announced_wait);
	tcase_add_test(t, headers_raise_and_lower_the_limits);
	tcase_add_test(t, pinned_limits_stay);
	tcase_add_test(t, not_before_holds_an_entry_back);
	tcase_add_test(t, stopping_wakes_everyone_who_waits);
	suite_add_tcase(s, t);
	return unit_run(s);
}
