/* implies: each class of a query's parts, and whatever is implied is exact. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/query/filter.h"
#include "gateway/query/implies.h"
#include "gateway/query/param.h"
#include "tests/unit/queries.h"

static const struct implies_rules documented, readings = {true, true, false};

/* What is left to do, as the names of the parts; or "lacks NAME". */
static const char *
outcome(const char *have, const char *want, const struct implies_rules *rules)
{
	struct query had = parse(have), wanted = parse(want);
	struct param_value rest[PARAM_COUNT], nothing[PARAM_COUNT];
	const struct query none = {QUERY_NO_DATES};
	struct implies how;
	const char *lacks = implies(&had, &wanted, rules, &how);
	if (lacks != NULL)
		return arena_printf(&arena, "lacks %s", lacks);
	const char *text = "";
	param_load(&how.rest, rest);
	param_load(&none, nothing);
	for (size_t id = 0; id < PARAM_COUNT; id++)
		if (memcmp(&rest[id], &nothing[id], sizeof rest[id]) != 0)
			text = arena_printf(&arena, "%s%s ", text, param_at(id)->name);
	ck_assert_int_eq(how.narrowed, text[0] != '\0');
	return arena_printf(&arena, "%s%s%s%s", text, how.hide_evidence ? "-evidence " : "",
	    how.hide_cloud ? "-cloud " : "", how.hide_qds ? "-qds " : "");
}

#define EXPECT(have, want, outcome_) ck_assert_str_eq(outcome(have, want, &documented), outcome_)
#define EXPECT_READING(have, want, outcome_)                                                       \
	ck_assert_str_eq(outcome(have, want, &readings), outcome_)

START_TEST(the_same_needs_nothing)
{
	static const char *const queries[] = {"policy=1", "policy=1,2&host=3&evidence=extended",
	    "posture=1-5,9", "policy=1&status=Failed&scannedFrom=2026-01-01&scannedTo=2026-02-01",
	    "policy=1&scannedSince=2026-01-01&changedSince=2026-01-01&inactive=exclude"};
	for (size_t i = 0; i < ARRAY_LEN(queries); i++)
		EXPECT(queries[i], queries[i], "");
}
END_TEST

START_TEST(lists_serve_what_is_within_them)
{
	EXPECT("policy=1,2,3", "policy=2", "policy ");
	EXPECT("policy=1,2", "policy=2,3", "lacks policy");
	EXPECT("policy=1", "policy=1&host=5", "host ");
	EXPECT("policy=1&host=4,5", "policy=1&host=5", "host ");
	EXPECT("policy=1&host=4,5", "policy=1", "lacks host");
	EXPECT("policy=1&host=4", "policy=1&host=5", "lacks host");
	EXPECT("posture=1-9,20", "posture=3-5,20", "posture ");
	EXPECT("posture=1-9,20", "posture=3-10", "lacks posture");
	EXPECT("posture=1-9", "posture=10", "lacks posture");
	EXPECT("policy=1", "posture=10", "lacks policy");
	EXPECT("posture=10", "policy=1", "lacks policy");
}
END_TEST

START_TEST(detail_that_is_too_much_is_left_out)
{
	EXPECT(
	    "policy=1&evidence=extended&cloud=true&qds=true", "policy=1", "-evidence -cloud -qds ");
	EXPECT("policy=1&evidence=basic", "policy=1", "-evidence ");
	EXPECT("policy=1&evidence=basic", "policy=1&evidence=extended", "lacks evidence");
	EXPECT("policy=1&evidence=extended", "policy=1&evidence=basic", "lacks evidence");
	EXPECT("policy=1", "policy=1&cloud=true", "lacks cloud");
	EXPECT("policy=1", "policy=1&qds=true", "lacks qds");
	static const struct implies_rules any = {.any_evidence = true};
	ck_assert_str_eq(
	    outcome("policy=1&evidence=basic", "policy=1&evidence=extended", &any), "");
	ck_assert_str_eq(outcome("policy=1", "policy=1&evidence=basic", &any), "lacks evidence");
}
END_TEST

START_TEST(what_no_record_tells_has_to_be_the_same)
{
	EXPECT("policy=1", "policy=1&inactive=exclude", "lacks inactive");
	EXPECT("policy=1&inactive=exclude", "policy=1", "lacks inactive");
	EXPECT("policy=1&assets=all", "policy=1", "lacks assets");
	EXPECT("policy=1&subscription=7", "policy=1", "lacks subscription");
}
END_TEST

START_TEST(filters_serve_stricter_ones)
{
	EXPECT("policy=1", "policy=1&status=Failed", "status ");
	EXPECT("policy=1&status=Failed,Error", "policy=1&status=Failed", "status ");
	EXPECT("policy=1&status=Failed", "policy=1&status=Failed,Error", "lacks status");
	EXPECT("policy=1&status=Failed", "policy=1", "lacks status");
	EXPECT("policy=1", "policy=1&previousStatus=Passed", "previousStatus ");
	EXPECT("policy=1&criticality=1,2,3", "policy=1&criticality=MEDIUM", "criticality ");
	EXPECT("policy=1&criticality=1", "policy=1&criticality=2", "lacks criticality");
	EXPECT("policy=1&evaluatedSince=2026-01-01", "policy=1&evaluatedSince=2026-01-02",
	    "evaluatedSince ");
	EXPECT("policy=1&evaluatedSince=2026-01-02", "policy=1&evaluatedSince=2026-01-01",
	    "lacks evaluatedSince");
	EXPECT("policy=1&evaluatedSince=2026-01-02", "policy=1", "lacks evaluatedSince");
	EXPECT("policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-31",
	    "policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-30", "scannedTo ");
	EXPECT("policy=1&scannedFrom=2026-01-02&scannedTo=2026-01-31",
	    "policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-30", "lacks scannedFrom");
	EXPECT("policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-30",
	    "policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-31", "lacks scannedTo");
}
END_TEST

START_TEST(readings_are_the_settings)
{
	EXPECT("policy=1", "policy=1&changedSince=2026-01-01", "lacks changedSince");
	EXPECT("policy=1", "policy=1&scannedSince=2026-01-01", "lacks scannedSince");
	EXPECT_READING("policy=1", "policy=1&changedSince=2026-01-01", "changedSince ");
	EXPECT_READING("policy=1", "policy=1&scannedSince=2026-01-01", "scannedSince ");
	EXPECT_READING("policy=1&changedSince=2026-01-02", "policy=1&changedSince=2026-01-01",
	    "lacks changedSince");
}
END_TEST

START_TEST(every_part_of_scope_and_filter_has_a_class)
{
	struct query q = {QUERY_NO_DATES}, other = q;
	struct implies how;
	for (size_t id = 0; id < PARAM_COUNT; id++) {
		struct param_value values[PARAM_COUNT];
		if (param_at(id)->part == PARAM_VIEW)
			continue;
		param_load(&q, values);
		values[id].number = 1;
		values[id].date = 1;
		values[id].ids = (struct id_list){(const uint64_t[]){1}, 1};
		values[id].ranges = (struct id_ranges){(const struct id_range[]){{1, 1}}, 1, 1};
		param_store(values, &other);
		/* one way or the other it makes a difference */
		bool there = implies(&q, &other, &documented, &how) == NULL && !how.narrowed;
		bool back = implies(&other, &q, &documented, &how) == NULL && !how.narrowed &&
			    !how.hide_evidence && !how.hide_cloud && !how.hide_qds;
		ck_assert_msg(!there && !back, "%s", param_at(id)->name);
	}
}
END_TEST

START_TEST(named_hosts_have_to_have_been_fetched)
{
	static const uint64_t fetched[] = {3, 5, 8};
	struct query q = parse("policy=1&host=5,8");
	ck_assert(implies_hosts(fetched, 3, &q));
	q = parse("policy=1&host=5,6");
	ck_assert(!implies_hosts(fetched, 3, &q));
	ck_assert(!implies_hosts(NULL, 0, &q));
}
END_TEST

/* --- whatever is implied is exact */

#define FIRST_DAY 1767225600 /* 2026-01-01 */

static int64_t
random_moment(struct unit_random *r)
{
	return FIRST_DAY + (int64_t)unit_below(r, 6);
}

static struct query
random_query(struct unit_random *r)
{
	static const char *const scopes[] = {"policy=1", "policy=1,2", "policy=1,2,3",
	    "policy=1&host=5", "policy=1,2&host=4,5,6", "posture=1-6", "posture=2,4"};
	struct query q = parse(scopes[unit_below(r, ARRAY_LEN(scopes))]);
	if (unit_below(r, 3) == 0)
		q.status = (unsigned)unit_below(r, 8);
	if (unit_below(r, 4) == 0)
		q.previous_status = 1u << unit_below(r, 3);
	if (unit_below(r, 3) == 0)
		q.criticality = (unsigned)unit_below(r, 64);
	if (unit_below(r, 3) == 0)
		q.evaluated_since = random_moment(r);
	if (unit_below(r, 4) == 0)
		q.changed_since = random_moment(r);
	size_t scan = unit_below(r, 4);
	if (scan == 0)
		q.scanned_since = random_moment(r);
	if (scan == 1) {
		q.scanned_from = random_moment(r);
		q.scanned_to = q.scanned_from + (int64_t)unit_below(r, 4);
	}
	return q;
}

static struct row
random_row(struct unit_random *r)
{
	return (struct row){
	    .id = 1 + unit_below(r, 7),
	    .policy = 1 + unit_below(r, 3),
	    .host = 4 + unit_below(r, 3),
	    .status = (uint8_t)unit_below(r, 5),
	    .previous_status = (uint8_t)unit_below(r, 5),
	    .criticality = (uint8_t)unit_below(r, 7),
	    .flags = (uint8_t)(unit_below(r, 2) * ROW_EXCEPTION),
	    .evaluated = (uint32_t)random_moment(r),
	    .scanned = (uint32_t)random_moment(r),
	    .changed = (uint32_t)random_moment(r),
	};
}

START_TEST(whatever_is_implied_is_exact)
{
	struct unit_random r = {unit_seed(20260101)};
	size_t implied = 0, narrowed = 0;
	for (int round = 0; round < 200000; round++) {
		struct query have = random_query(&r), want = random_query(&r);
		struct implies how;
		if (implies(&have, &want, &readings, &how) == NULL) {
			const struct filter had = {.query = &have}, wanted = {.query = &want},
					    rest = {.query = &how.rest};
			implied++;
			narrowed += how.narrowed;
			for (int i = 0; i < 40; i++) {
				struct row row = random_row(&r);
				bool is_wanted = filter_match(&wanted, &row);
				/* all that is wanted is there, and the rest finds it */
				ck_assert(!is_wanted || filter_match(&had, &row));
				if (filter_match(&had, &row))
					ck_assert_int_eq(is_wanted, filter_match(&rest, &row));
			}
		}
		arena_reset(&arena);
	}
	ck_assert_uint_gt(implied, 2000);
	ck_assert_uint_gt(narrowed, 1500);
}
END_TEST

START_TEST(rows_with_no_such_value_are_doubtful)
{
	struct query q = parse("policy=1&status=Failed");
	struct filter f = {.query = &q};
	struct row row = {.status = ROW_FAILED, .criticality = ROW_CRITICALITY_NONE};
	ck_assert(!filter_doubts(&f, &row));
	row.status = ROW_STATUS_OTHER;
	ck_assert(filter_doubts(&f, &row));
	row.status = ROW_STATUS_NONE;
	ck_assert(filter_doubts(&f, &row));
	q = parse("policy=1&criticality=3");
	ck_assert(filter_doubts(&f, &row));
	row.criticality = 0;
	ck_assert(!filter_doubts(&f, &row));
	q = parse("policy=1&evaluatedSince=2026-01-01");
	ck_assert(filter_doubts(&f, &row));
	row.evaluated = FIRST_DAY;
	ck_assert(!filter_doubts(&f, &row));
	row.flags = ROW_MISFIT;
	ck_assert(filter_doubts(&f, &row));
	f.query = NULL;
	ck_assert(!filter_doubts(&f, &row));
}
END_TEST

START_TEST(what_passed_by_exception_may_stand_apart)
{
	struct query q = parse("policy=1&status=Passed");
	struct filter f = {.query = &q, .exceptions_apart = true};
	struct row row = {.policy = 1, .status = ROW_PASSED, .flags = ROW_EXCEPTION};
	ck_assert(!filter_match(&f, &row));
	row.flags = ROW_PREVIOUS_EXCEPTION;
	ck_assert(filter_match(&f, &row));
	q = parse("policy=1&previousStatus=Passed");
	row.previous_status = ROW_PASSED;
	ck_assert(!filter_match(&f, &row));
	q = parse("policy=1");
	ck_assert(filter_match(&f, &row));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("implies");
	TCase *t = tcase_create("all");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, the_same_needs_nothing);
	tcase_add_test(t, lists_serve_what_is_within_them);
	tcase_add_test(t, detail_that_is_too_much_is_left_out);
	tcase_add_test(t, what_no_record_tells_has_to_be_the_same);
	tcase_add_test(t, filters_serve_stricter_ones);
	tcase_add_test(t, readings_are_the_settings);
	tcase_add_test(t, every_part_of_scope_and_filter_has_a_class);
	tcase_add_test(t, named_hosts_have_to_have_been_fetched);
	tcase_add_test(t, whatever_is_implied_is_exact);
	tcase_add_test(t, rows_with_no_such_value_are_doubtful);
	tcase_add_test(t, what_passed_by_exception_may_stand_apart);
	suite_add_tcase(s, t);
	return unit_run(s);
}
