/* What fetches remember of failing: times are given, so nothing here waits. */
#include "config.h"

#include "gateway/fetch/memory.h"
#include "tests/unit/unit.h"

#define S INT64_C(1000)

static struct memory *m;
static enum status told;
static int64_t wait_ms;
static uint64_t probe;

static void
begin(void)
{
	m = memory_new(true);
	ck_assert_ptr_nonnull(m);
}

static void
end(void)
{
	memory_free(m);
}

static void
fail_alone(int64_t now)
{
	memory_failed(m, STATUS_UPSTREAM_DOWN, true, 1, 0, now);
}

START_TEST(one_failure_of_the_whole_upstream_closes_it_to_all)
{
	ck_assert(!memory_closed(m, 0, &told, &wait_ms));
	fail_alone(100);
	ck_assert(memory_closed(m, 100, &told, &wait_ms));
	ck_status(told, STATUS_UPSTREAM_DOWN);
	ck_assert_int_eq(wait_ms, 1 * S);
	ck_assert_int_eq(memory_enter(m, 100 + S - 1, &probe, &told, &wait_ms), MEMORY_CLOSED);
	ck_assert_int_eq(wait_ms, 1);
}
END_TEST

START_TEST(after_the_pause_one_probe_is_let_through)
{
	fail_alone(0);
	ck_assert_int_eq(memory_enter(m, S, &probe, &told, &wait_ms), MEMORY_PROBE);
	ck_assert_int_eq(memory_enter(m, S, &probe, &told, &wait_ms), MEMORY_CLOSED);
	ck_assert_int_gt(wait_ms, 0);
	memory_probe_over(m, probe);
	ck_assert_int_eq(memory_enter(m, S, &probe, &told, &wait_ms), MEMORY_PROBE);
}
END_TEST

START_TEST(a_probe_that_hangs_does_not_keep_all_others_out)
{
	fail_alone(0);
	ck_assert_int_eq(memory_enter(m, S, &probe, &told, &wait_ms), MEMORY_PROBE);
	ck_assert_int_eq(memory_enter(m, 70 * S, &probe, &told, &wait_ms), MEMORY_PROBE);
}
END_TEST

START_TEST(the_end_of_an_old_probe_is_not_that_of_the_new_one)
{
	fail_alone(0);
	ck_assert_int_eq(memory_enter(m, S, &probe, &told, &wait_ms), MEMORY_PROBE);
	uint64_t old = probe;
	ck_assert_int_eq(memory_enter(m, 70 * S, &probe, &told, &wait_ms), MEMORY_PROBE);
	memory_probe_over(m, old);
	ck_assert_int_eq(memory_enter(m, 71 * S, &probe, &told, &wait_ms), MEMORY_CLOSED);
}
END_TEST

START_TEST(pauses_double_to_half_a_minute)
{
	int64_t now = 0;
	static const int64_t pauses[] = {1, 2, 4, 8, 16, 30, 30, 30};
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		fail_alone(now);
		ck_assert(memory_closed(m, now, &told, &wait_ms));
		ck_assert_int_eq(wait_ms, pauses[i] * S);
		now += wait_ms;
		ck_assert(!memory_closed(m, now, &told, &wait_ms));
	}
}
END_TEST

START_TEST(failures_within_a_pause_are_one_failure)
{
	for (int i = 0; i < 100; i++)
		fail_alone(i);
	ck_assert(memory_closed(m, 500, &told, &wait_ms));
	ck_assert_int_eq(wait_ms, 500);
}
END_TEST

START_TEST(an_announced_wait_outlasts_a_shorter_pause)
{
	memory_failed(m, STATUS_UPSTREAM_DOWN, true, 1, 20 * S, 0);
	ck_assert(memory_closed(m, 19 * S, &told, &wait_ms));
	ck_assert_int_eq(wait_ms, 1 * S);
}
END_TEST

START_TEST(one_good_answer_ends_it)
{
	fail_alone(0);
	fail_alone(S);
	memory_answered(m);
	ck_assert_int_eq(memory_enter(m, S, &probe, &told, &wait_ms), MEMORY_WELL);
	fail_alone(S);
	ck_assert(memory_closed(m, S, &told, &wait_ms));
	ck_assert_int_eq(wait_ms, 1 * S); /* and pauses begin anew */
}
END_TEST

static void
fail_query(uint64_t query)
{
	memory_failed(m, STATUS_UPSTREAM_DOWN, false, query, 0, 0);
}

START_TEST(one_query_that_fails_again_and_again_is_its_own_matter)
{
	for (int i = 0; i < 50; i++)
		fail_query(7);
	ck_assert(!memory_closed(m, 0, &told, &wait_ms));
}
END_TEST

START_TEST(three_queries_in_a_row_are_the_upstreams)
{
	fail_query(7);
	fail_query(8);
	ck_assert(!memory_closed(m, 0, &told, &wait_ms));
	fail_query(9);
	ck_assert(memory_closed(m, 0, &told, &wait_ms));
}
END_TEST

START_TEST(one_query_that_fails_as_a_probe_again_tells_nothing_new)
{
	fail_query(7);
	fail_query(8);
	fail_query(9);
	memory_failed(m, STATUS_UPSTREAM_DOWN, false, 9, 0, S);
	ck_assert(!memory_closed(m, S, &told, &wait_ms));
	memory_failed(m, STATUS_UPSTREAM_DOWN, false, 8, 0, S);
	ck_assert(memory_closed(m, S, &told, &wait_ms));
	ck_assert_int_eq(wait_ms, 2 * S);
}
END_TEST

START_TEST(a_good_answer_between_them_counts)
{
	fail_query(7);
	fail_query(8);
	memory_answered(m);
	fail_query(9);
	ck_assert(!memory_closed(m, 0, &told, &wait_ms));
}
END_TEST

START_TEST(without_memory_the_upstream_never_ails)
{
	struct memory *none = memory_new(false);
	memory_failed(none, STATUS_UPSTREAM_DOWN, true, 1, 60 * S, 0);
	ck_assert_int_eq(memory_enter(none, 0, &probe, &told, &wait_ms), MEMORY_WELL);
	memory_free(none);
}
END_TEST

START_TEST(a_version_is_gone_for_ten_minutes)
{
	memory_version_gone(m, 4, 0);
	ck_assert_uint_eq(memory_gone(m, 600 * S - 1), 4);
	ck_assert_uint_eq(memory_gone(m, 600 * S), 0);
}
END_TEST

START_TEST(hosts_are_asked_again_after_a_minute_doubling_to_an_hour)
{
	int64_t now = 5;
	static const int64_t minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
	for (size_t i = 0; i < ARRAY_LEN(minutes); i++) {
		int64_t until = memory_hosts_failed(m, 1001, now);
		ck_assert_int_eq(until, now + minutes[i] * 60 * S);
		ck_assert_int_eq(memory_hosts_until(m, 1001, until - 1), until);
		ck_assert_int_eq(memory_hosts_failed(m, 1001, until - 1), until);
		ck_assert_int_eq(memory_hosts_until(m, 1001, until), 0);
		now = until;
	}
	memory_hosts_good(m, 1001);
	ck_assert_int_eq(memory_hosts_failed(m, 1001, now), now + 60 * S);
	ck_assert_int_eq(memory_hosts_until(m, 1002, now), 0);
}
END_TEST

START_TEST(more_failing_policies_than_there_is_room_for_are_fine)
{
	for (uint64_t policy = 1; policy <= 10000; policy++)
		memory_hosts_failed(m, policy, (int64_t)policy);
	ck_assert_int_ne(memory_hosts_until(m, 10000, 10000), 0);
	for (uint64_t policy = 1; policy <= 10000; policy++)
		memory_hosts_good(m, policy);
	ck_assert_int_eq(memory_hosts_until(m, 10000, 10000), 0);
}
END_TEST

START_TEST(a_gap_is_known_for_a_day)
{
	uint8_t gap[MEMORY_GAP_BYTES] = {1}, other[MEMORY_GAP_BYTES] = {2};
	ck_assert(!memory_gap_known(m, gap, 0));
	memory_gap_verified(m, gap, 0);
	ck_assert(memory_gap_known(m, gap, 86400 * S - 1));
	ck_assert(!memory_gap_known(m, other, 0));
	ck_assert(!memory_gap_known(m, gap, 86400 * S));
}
END_TEST

START_TEST(more_gaps_than_there_is_room_for_are_fine)
{
	uint8_t gap[MEMORY_GAP_BYTES] = {0};
	for (int i = 0; i < 10000; i++) {
		memcpy(gap, &i, sizeof i);
		memory_gap_verified(m, gap, 0);
		ck_assert(memory_gap_known(m, gap, 1));
	}
}
END_TEST

START_TEST(known_gaps_outlive_the_process_by_the_wall_clock)
{
	static uint8_t note[MEMORY_NOTE_BYTES];
	uint8_t gap[MEMORY_GAP_BYTES] = {1}, old[MEMORY_GAP_BYTES] = {2};
	const int64_t wall = INT64_C(1700000000000), hour = 3600 * S;
	memory_gap_verified(m, old, 0);
	memory_gap_verified(m, gap, 20 * hour);
	size_t len = memory_write(m, 23 * hour, wall, note);
	ck_assert_uint_eq(len, 8 + 2 * (MEMORY_GAP_BYTES + 8));
	/* read two hours later, by a process whose own clock begins anew */
	struct memory *next = memory_new(true);
	ck_assert(memory_read(next, note, len, 7, wall + 2 * hour));
	ck_assert(memory_gap_known(next, gap, 7));
	ck_assert(memory_gap_known(next, gap, 7 + 19 * hour - 1));
	ck_assert(!memory_gap_known(next, gap, 7 + 19 * hour));
	ck_assert(!memory_gap_known(next, old, 7));
	memory_free(next);
	/* and by one whose wall clock was set back: nothing is known for longer than a day */
	next = memory_new(true);
	ck_assert(memory_read(next, note, len, 7, wall - 48 * hour));
	ck_assert(!memory_gap_known(next, gap, 7));
	memory_free(next);
}
END_TEST

START_TEST(what_is_no_note_adds_nothing)
{
	static uint8_t note[MEMORY_NOTE_BYTES + 24];
	uint8_t gap[MEMORY_GAP_BYTES] = {1};
	memory_gap_verified(m, gap, 0);
	size_t len = memory_write(m, 0, 1000, note);
	struct memory *next = memory_new(true);
	for (size_t cut = 0; cut < len; cut++)
		if (cut != 8)
			ck_assert(!memory_read(next, note, cut, 0, 1000));
	for (size_t at = 0; at < 8; at++) {
		note[at] ^= 1;
		ck_assert(!memory_read(next, note, len, 0, 1000));
		note[at] ^= 1;
	}
	ck_assert(!memory_read(next, note, sizeof note, 0, 1000));
	ck_assert(!memory_gap_known(next, gap, 0));
	ck_assert(memory_read(next, note, len, 0, 1000));
	ck_assert(memory_gap_known(next, gap, 0));
	memory_free(next);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("memory");
	TCase *t = tcase_create("memory");
	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, one_failure_of_the_whole_upstream_closes_it_to_all);
	tcase_add_test(t, after_the_pause_one_probe_is_let_through);
	tcase_add_test(t, a_probe_that_hangs_does_not_keep_all_others_out);
	tcase_add_test(t, the_end_of_an_old_probe_is_not_that_of_the_new_one);
	tcase_add_test(t, pauses_double_to_half_a_minute);
	tcase_add_test(t, failures_within_a_pause_are_one_failure);
	tcase_add_test(t, an_announced_wait_outlasts_a_shorter_pause);
	tcase_add_test(t, one_good_answer_ends_it);
	tcase_add_test(t, one_query_that_fails_again_and_again_is_its_own_matter);
	tcase_add_test(t, three_queries_in_a_row_are_the_upstreams);
	tcase_add_test(t, one_query_that_fails_as_a_probe_again_tells_nothing_new);
	tcase_add_test(t, a_good_answer_between_them_counts);
	tcase_add_test(t, without_memory_the_upstream_never_ails);
	tcase_add_test(t, a_version_is_gone_for_ten_minutes);
	tcase_add_test(t, hosts_are_asked_again_after_a_minute_doubling_to_an_hour);
	tcase_add_test(t, more_failing_policies_than_there_is_room_for_are_fine);
	tcase_add_test(t, a_gap_is_known_for_a_day);
	tcase_add_test(t, more_gaps_than_there_is_room_for_are_fine);
	tcase_add_test(t, known_gaps_outlive_the_process_by_the_wall_clock);
	tcase_add_test(t, what_is_no_note_adds_nothing);
	suite_add_tcase(s, t);
	return unit_run(s);
}
