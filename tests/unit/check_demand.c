/* demand: what is asked for of a scope, how often results are used, when they are due. */
#include "config.h"

#include <string.h>

#include "gateway/fetch/demand.h"
#include "tests/unit/unit.h"

#define WINDOW 1000
#define FULL (256 * 4) /* entries of a table */

/* Of a number, as random as a digest is. */
struct digest {
	uint8_t bytes[SHA256_BYTES];
};

static struct digest
digest(const char *kind, uint64_t number)
{
	struct {
		char kind[8];
		uint64_t number;
	} of = {{0}, number};
	struct digest d;
	memcpy(of.kind, kind, strlen(kind));
	crypto_sha256(&of, sizeof of, d.bytes);
	return d;
}

static struct demand *
make(void)
{
	struct demand *d = demand_new();
	ck_assert_ptr_nonnull(d);
	return d;
}

static struct demand_scope
ask(struct demand *d, uint64_t scope, uint64_t query, unsigned details, int64_t now_ms)
{
	struct digest s = digest("scope", scope), q = digest("query", query);
	const struct demand_query asked = {s.bytes, q.bytes, details, 2, WINDOW};
	struct demand_scope ret;
	demand_asked(d, &asked, now_ms, &ret);
	return ret;
}

static struct demand_scope
look(struct demand *d, uint64_t scope, uint64_t query, int64_t now_ms)
{
	struct digest s = digest("scope", scope), q = digest("query", query);
	const struct demand_query asked = {s.bytes, q.bytes, 0, 2, WINDOW};
	struct demand_scope ret;
	demand_look(d, &asked, now_ms, &ret);
	return ret;
}

START_TEST(other_queries_of_the_scope_are_told)
{
	struct demand *d = make();
	ck_assert_uint_eq(ask(d, 1, 1, 1, 100).others, 0);
	ck_assert_uint_eq(ask(d, 1, 1, 1, 101).others, 0); /* the same again */
	struct demand_scope s = ask(d, 1, 2, 4, 102);
	ck_assert_uint_eq(s.others, 1);
	ck_assert_uint_eq(s.calls, 4);
	ck_assert_uint_eq(s.details, 5);
	ck_assert_uint_eq(ask(d, 2, 3, 0, 103).others, 0); /* another scope */
	ck_assert_uint_eq(look(d, 1, 9, 104).others, 2);
	ck_assert_uint_eq(look(d, 1, 9, 104).others, 2); /* and was not remembered */
	demand_free(d);
}
END_TEST

START_TEST(what_was_asked_too_long_ago_is_over)
{
	struct demand *d = make();
	ask(d, 1, 1, 1, 100);
	ask(d, 1, 2, 2, 600);
	ck_assert_uint_eq(look(d, 1, 3, 1100).others, 2);
	struct demand_scope s = look(d, 1, 3, 1101);
	ck_assert_uint_eq(s.others, 1);
	ck_assert_uint_eq(s.details, 2);
	ck_assert_uint_eq(look(d, 1, 3, 1601).others, 0);
	demand_free(d);
}
END_TEST

START_TEST(the_largest_result_of_a_scope_is_told_while_it_is_asked_for)
{
	struct demand *d = make();
	struct digest s = digest("scope", 1);
	demand_sized(d, s.bytes, 7); /* nobody has asked: nothing */
	ck_assert_uint_eq(ask(d, 1, 1, 0, 100).bytes, 0);
	demand_sized(d, s.bytes, 70);
	demand_sized(d, s.bytes, 50);
	ck_assert_uint_eq(look(d, 1, 2, 200).bytes, 70);
	ck_assert_uint_eq(look(d, 1, 2, 2000).bytes, 0);
	demand_free(d);
}
END_TEST

START_TEST(of_many_queries_the_newest_are_known)
{
	struct demand *d = make();
	for (unsigned i = 0; i < 3 * DEMAND_QUERIES_MOST; i++)
		ask(d, 1, i, i == 0 ? 1 : 0, 100 + i);
	struct demand_scope s = look(d, 1, 1000, 200);
	ck_assert_uint_eq(s.others, DEMAND_QUERIES_MOST);
	ck_assert_uint_eq(s.details, 0);
	demand_free(d);
}
END_TEST

START_TEST(scopes_beyond_the_table_push_out_what_was_used_longest_ago)
{
	struct demand *d = make();
	for (uint64_t i = 0; i < 20 * FULL; i++) {
		ask(d, 1000 + i, i, 0, 100);
		if (i % 8 == 0) /* is used meanwhile */
			ask(d, 1, i, 0, 101);
	}
	ck_assert_uint_gt(look(d, 1, 99999999, 102).others, 0);
	ck_assert_uint_eq(look(d, 1000, 99999999, 102).others, 0);
	demand_free(d);
}
END_TEST

START_TEST(calls_are_counted_by_policy)
{
	struct demand *d = make();
	const uint64_t policies[] = {5, 6};
	uint64_t calls = 99;
	demand_resolved(NULL, 5, 1); /* nothing */
	demand_resolved(d, 5, 1200);
	ck_assert(!demand_calls(d, policies, 2, 500, 0, &calls));
	ck_assert_uint_eq(calls, 99);
	demand_resolved(d, 6, 500);
	ck_assert(demand_calls(d, policies, 2, 500, 0, &calls));
	ck_assert_uint_eq(calls, 4);
	ck_assert(demand_calls(d, policies, 2, 500, 3, &calls));
	ck_assert_uint_eq(calls, 2);
	demand_resolved(d, 6, 0); /* a policy without hosts needs no call */
	ck_assert(demand_calls(d, policies, 2, 500, 0, &calls));
	ck_assert_uint_eq(calls, 3);
	demand_free(d);
}
END_TEST

/* --- results */

#define HOUR INT64_C(3600000)

static void
use(struct demand *d, uint64_t query, uint64_t id, int64_t fetched_ms, int64_t now_ms)
{
	struct digest q = digest("query", query);
	const struct demand_result r = {q.bytes, id, fetched_ms, fetched_ms + HOUR};
	demand_used(d, &r, now_ms);
}

START_TEST(results_are_due_in_the_last_quarter_each_at_its_own_moment)
{
	int64_t first = HOUR, last = 0;
	for (uint64_t i = 1; i <= 1000; i++) {
		struct digest q = digest("query", i);
		const struct demand_result r = {q.bytes, i, 10 * HOUR, 11 * HOUR};
		int64_t due_ms = demand_due_ms(&r) - 10 * HOUR;
		ck_assert_int_ge(due_ms, HOUR * 75 / 100);
		ck_assert_int_le(due_ms, HOUR * 90 / 100);
		first = due_ms < first ? due_ms : first;
		last = due_ms > last ? due_ms : last;
	}
	ck_assert_int_lt(first, HOUR * 76 / 100);
	ck_assert_int_gt(last, HOUR * 89 / 100);
	const struct demand_result ages = {digest("query", 1).bytes, 1, 0, INT64_MAX / 2};
	ck_assert_int_ge(demand_due_ms(&ages), INT64_MAX / 2 / 100 * 74);
}
END_TEST

START_TEST(only_what_is_used_often_is_due)
{
	struct demand *d = make();
	struct demand_popular list[4];
	for (int i = 0; i < 6; i++)
		use(d, 1, 11, HOUR, 2 * HOUR - HOUR / 10 - 10 + i);
	for (int i = 0; i < 4; i++)
		use(d, 2, 12, HOUR, 2 * HOUR - HOUR / 10 - 10 + i);
	use(d, 3, 13, HOUR, 2 * HOUR - HOUR / 10);
	ck_assert_uint_eq(demand_due(d, 3, HOUR + HOUR / 2, list, 4), 0); /* not yet */
	int64_t now = 2 * HOUR - HOUR / 10;
	ck_assert_uint_eq(demand_due(d, 3, now, list, 4), 2);
	ck_assert_uint_eq(list[0].id, 11);
	ck_assert_uint_eq(list[1].id, 12);
	ck_assert_int_eq(list[0].fresh_until_ms, 2 * HOUR);
	ck_assert_uint_eq(demand_due(d, 3, now, list, 1), 1);
	ck_assert_uint_eq(list[0].id, 11);
	ck_assert_uint_eq(demand_due(d, 1, now, list, 4), 3);
	ck_assert_uint_eq(demand_due(d, 1, 2 * HOUR, list, 4), 0); /* too late */
	demand_free(d);
}
END_TEST

START_TEST(uses_fade_and_go_over_to_the_next_result)
{
	struct demand *d = make();
	struct demand_popular list[4];
	for (int i = 0; i < 8; i++)
		use(d, 1, 11, HOUR, HOUR);
	ck_assert_uint_eq(demand_due(d, 1, HOUR, list, 4), 0); /* not yet, but they are taken in */
	/* an hour later a half of them, and one */
	use(d, 1, 12, 2 * HOUR, 2 * HOUR);
	ck_assert_uint_eq(demand_due(d, 3, 3 * HOUR - HOUR / 10, list, 4), 0);
	ck_assert_uint_eq(demand_due(d, 2, 3 * HOUR - HOUR / 10, list, 4), 1);
	ck_assert_uint_eq(list[0].id, 12);
	ck_assert_uint_eq(list[0].uses, 2);
	/* a walk in the old one counts for nothing */
	use(d, 1, 11, HOUR, 2 * HOUR);
	ck_assert_uint_eq(demand_due(d, 3, 3 * HOUR - HOUR / 10, list, 4), 0);
	/* what was used ages ago has no uses left */
	use(d, 2, 20, HOUR, HOUR);
	ck_assert_uint_eq(demand_due(d, 1, 2 * HOUR - HOUR / 10, list, 4), 0);
	demand_free(d);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("demand");
	TCase *tests = tcase_create("demand");
	tcase_add_test(tests, other_queries_of_the_scope_are_told);
	tcase_add_test(tests, what_was_asked_too_long_ago_is_over);
	tcase_add_test(tests, the_largest_result_of_a_scope_is_told_while_it_is_asked_for);
	tcase_add_test(tests, of_many_queries_the_newest_are_known);
	tcase_add_test(tests, scopes_beyond_the_table_push_out_what_was_used_longest_ago);
	tcase_add_test(tests, calls_are_counted_by_policy);
	tcase_add_test(tests, results_are_due_in_the_last_quarter_each_at_its_own_moment);
	tcase_add_test(tests, only_what_is_used_often_is_due);
	tcase_add_test(tests, uses_fade_and_go_over_to_the_next_result);
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
