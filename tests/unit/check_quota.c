/* Queries an hour: the rolling edge, and a model that remembers every single one. */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "gateway/front/quota.h"
#include "tests/unit/unit.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

/* Takes one, or gives how long to wait for it. */
static int64_t
take(struct quota *q, size_t consumer, uint64_t most, int64_t now_ms)
{
	int64_t minute, wait_ms;
	return quota_take(q, consumer, most, now_ms, &minute, &wait_ms) ? 0 : wait_ms;
}

START_TEST(an_hour_has_no_more_than_the_quota)
{
	struct quota *q = quota_new(2);
	int64_t at = 1000 * HOUR + 30000;
	ck_assert_int_eq(take(q, 0, 2, at), 0);
	ck_assert_int_eq(take(q, 0, 2, at + 10 * MINUTE), 0);
	/* the first one counts until its minute is an hour past: half a minute and an hour */
	ck_assert_int_eq(take(q, 0, 2, at + 10 * MINUTE), 50 * MINUTE + 30000);
	ck_assert_int_eq(take(q, 0, 2, at + HOUR), 30000);
	ck_assert_int_eq(take(q, 0, 2, at + HOUR + 29999), 1);
	ck_assert_uint_eq(quota_used(q, 0, at + HOUR + 29999), 2);
	ck_assert_int_eq(take(q, 0, 2, at + HOUR + 30000), 0);
	ck_assert_int_eq(take(q, 0, 2, at + HOUR + 30000), 10 * MINUTE);
	/* another consumer has its own */
	ck_assert_uint_eq(quota_used(q, 1, at), 0);
	ck_assert_int_eq(take(q, 1, 1, at), 0);
	quota_free(q);
}
END_TEST

START_TEST(several_are_looked_for_and_not_counted)
{
	struct quota *q = quota_new(1);
	int64_t at = 1000 * HOUR, wait_ms = -1;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(take(q, 0, 5, at + i * 10 * MINUTE), 0);
	at += 30 * MINUTE;
	ck_assert(quota_has(q, 0, 5, 0, at, &wait_ms));
	ck_assert(quota_has(q, 0, 5, 2, at, &wait_ms));
	ck_assert(quota_has(q, 0, 0, 1000, at, &wait_ms));
	ck_assert_int_eq(wait_ms, -1);
	ck_assert(!quota_has(q, 0, 5, 3, at, &wait_ms));
	ck_assert_int_eq(wait_ms, 31 * MINUTE);
	ck_assert(!quota_has(q, 0, 5, 4, at, &wait_ms));
	ck_assert_int_eq(wait_ms, 41 * MINUTE);
	ck_assert(!quota_has(q, 0, 5, 6, at, &wait_ms));
	ck_assert_int_eq(wait_ms, HOUR);
	ck_assert_uint_eq(quota_used(q, 0, at), 3);
	ck_assert(!quota_has(q, 0, 5, 4, at + 41 * MINUTE - 1, &wait_ms));
	ck_assert(quota_has(q, 0, 5, 4, at + 41 * MINUTE, &wait_ms));
	quota_free(q);
}
END_TEST

START_TEST(without_a_quota_there_is_no_limit_but_it_is_counted)
{
	struct quota *q = quota_new(1);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(take(q, 0, 0, HOUR), 0);
	ck_assert_uint_eq(quota_used(q, 0, HOUR), 1000);
	ck_assert_uint_eq(quota_used(q, 0, 1000 * HOUR), 0);
	quota_free(q);
}
END_TEST

START_TEST(the_clock_may_have_begun_a_moment_ago)
{
	struct quota *q = quota_new(1);
	ck_assert_int_eq(take(q, 0, 1, 0), 0);
	ck_assert_int_eq(take(q, 0, 1, 59999), HOUR + 1);
	ck_assert_int_eq(take(q, 0, 1, HOUR + MINUTE), 0);
	quota_free(q);
}
END_TEST

START_TEST(what_is_given_back_was_never_taken)
{
	struct quota *q = quota_new(1);
	int64_t minute, wait_ms;
	ck_assert(quota_take(q, 0, 1, HOUR, &minute, &wait_ms));
	quota_give_back(q, 0, minute);
	ck_assert_uint_eq(quota_used(q, 0, HOUR), 0);
	/* late: it counts no longer, and nobody else's is given back for it */
	ck_assert(quota_take(q, 0, 1, HOUR, &minute, &wait_ms));
	ck_assert_int_eq(take(q, 0, 1, HOUR + 61 * MINUTE), 0);
	quota_give_back(q, 0, minute);
	ck_assert_uint_eq(quota_used(q, 0, HOUR + 61 * MINUTE), 1);
	quota_free(q);
}
END_TEST

START_TEST(a_moment_that_came_late_counts_as_now)
{
	struct quota *q = quota_new(1);
	ck_assert_int_eq(take(q, 0, 3, 10 * HOUR), 0);
	ck_assert_int_eq(take(q, 0, 3, 10 * HOUR - MINUTE), 0);
	ck_assert_uint_eq(quota_used(q, 0, 10 * HOUR + 60 * MINUTE), 2);
	ck_assert_uint_eq(quota_used(q, 0, 10 * HOUR + 61 * MINUTE), 0);
	quota_free(q);
}
END_TEST

/* Whatever comes when: no span of an hour has more than the quota; the wait that was told is the
 * shortest that helps; and nobody waits for longer than an hour and a minute. */
START_TEST(agrees_with_one_that_remembers_all)
{
	enum { ROUNDS = 4000 };
	static int64_t taken[ROUNDS];
	const uint64_t seed = unit_seed(20261125);
	struct unit_random r = {seed};
	for (int run = 0; run < 20; run++) {
		struct quota *q = quota_new(1);
		uint64_t most = 1 + unit_below(&r, 12);
		int64_t now = (int64_t)unit_below(&r, 2 * HOUR);
		size_t count = 0;
		for (int i = 0; i < ROUNDS / 20; i++) {
			now += (int64_t)unit_below(&r, i % 7 == 0 ? 90 * MINUTE : 5 * MINUTE);
			int64_t wait_ms = take(q, 0, most, now);
			ck_assert_msg(wait_ms <= HOUR + MINUTE, "seed %" PRIu64, seed);
			if (wait_ms > 0) {
				ck_assert_msg(take(q, 0, most, now + wait_ms - 1) == 1,
				    "seed %" PRIu64, seed);
				now += wait_ms;
				ck_assert_msg(take(q, 0, most, now) == 0, "seed %" PRIu64, seed);
			}
			taken[count++] = now;
			if (count > most)
				ck_assert_msg(
				    now - taken[count - 1 - most] >= HOUR, "seed %" PRIu64, seed);
		}
		quota_free(q);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("quota");
	TCase *t = tcase_create("quota");
	tcase_add_test(t, an_hour_has_no_more_than_the_quota);
	tcase_add_test(t, several_are_looked_for_and_not_counted);
	tcase_add_test(t, without_a_quota_there_is_no_limit_but_it_is_counted);
	tcase_add_test(t, the_clock_may_have_begun_a_moment_ago);
	tcase_add_test(t, what_is_given_back_was_never_taken);
	tcase_add_test(t, a_moment_that_came_late_counts_as_now);
	tcase_add_test(t, agrees_with_one_that_remembers_all);
	suite_add_tcase(s, t);
	return unit_run(s);
}
