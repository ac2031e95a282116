/* breadth: what the broad query of a query is, when it is fetched in its place, and that it always has
 * the answer. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/query/breadth.h"
#include "tests/unit/queries.h"

static const struct implies_rules documented, readings = {true, true, false};

static const char *
canon(const struct query *q)
{
	struct buf b;
	buf_init(&b, LIMIT_CANON_BYTES);
	query_canon(q, &b);
	const char *text = arena_dup(&arena, b.data, b.len);
	buf_fini(&b);
	return text;
}

/* Both have the same canonical text. */
static void
expect_broad(
    const char *text, const struct implies_rules *rules, unsigned details, const char *wanted)
{
	struct query q = parse(text), broad, as = parse(wanted);
	ck_assert_msg(breadth_broad(&q, rules, details, &broad), "%s", text);
	ck_assert_str_eq(canon(&broad), canon(&as));
}

START_TEST(filters_and_hosts_are_left_out)
{
	expect_broad("policy=1&status=Failed", &documented, 0, "policy=1");
	expect_broad("policy=1,2&host=5,6&criticality=3&previousStatus=Passed", &documented, 0,
	    "policy=1,2");
	expect_broad(
	    "policy=1&evaluatedSince=2026-01-01&scannedFrom=2026-01-01&scannedTo=2026-02-01",
	    &documented, 0, "policy=1");
	expect_broad("policy=1&limit=5&partial=true", &documented, 0, "policy=1");
}
END_TEST

START_TEST(what_only_the_same_implies_stays)
{
	expect_broad("policy=1&status=Failed&subscription=7&assets=all&inactive=exclude",
	    &documented, 0, "policy=1&subscription=7&assets=all&inactive=exclude");
}
END_TEST

START_TEST(readings_are_left_out_where_they_hold_and_else_stay)
{
	expect_broad("policy=1&status=Failed&scannedSince=2026-01-01&changedSince=2026-02-01",
	    &documented, 0, "policy=1&scannedSince=2026-01-01&changedSince=2026-02-01");
	expect_broad("policy=1&status=Failed&scannedSince=2026-01-01&changedSince=2026-02-01",
	    &readings, 0, "policy=1");
}
END_TEST

START_TEST(details_grow_to_what_others_ask_for)
{
	expect_broad(
	    "policy=1", &documented, BREADTH_CLOUD | BREADTH_QDS, "policy=1&cloud=true&qds=true");
	expect_broad("policy=1", &documented, BREADTH_BASIC, "policy=1&evidence=basic");
	expect_broad("policy=1", &documented, BREADTH_BASIC | BREADTH_EXTENDED,
	    "policy=1&evidence=extended");
	expect_broad("policy=1&qds=true&status=Error", &documented, 0, "policy=1&qds=true");
}
END_TEST

START_TEST(evidence_that_is_wanted_is_not_exchanged)
{
	expect_broad("policy=1&evidence=basic&host=3", &documented, BREADTH_EXTENDED,
	    "policy=1&evidence=basic");
	expect_broad("policy=1&evidence=extended&host=3", &documented, BREADTH_BASIC,
	    "policy=1&evidence=extended");
}
END_TEST

START_TEST(by_posture_and_other_kinds_have_no_scope)
{
	struct query q = parse("posture=1-5"), broad, hosts = {.kind = KIND_HOSTS, QUERY_NO_DATES};
	uint64_t policy = 1;
	hosts.policies = (struct id_list){&policy, 1};
	ck_assert(!breadth_scope(&q, &documented, &broad));
	ck_assert(!breadth_broad(&q, &documented, 0, &broad));
	ck_assert(!breadth_broad(&hosts, &documented, 0, &broad));
}
END_TEST

/* --- random queries */

static const char *const parts[][4] = {
    {"", "&host=3", "&host=3,4,9"},
    {"", "&status=Failed", "&status=Passed,Error"},
    {"", "", "&previousStatus=Passed"},
    {"", "&criticality=4,5", "&criticality=1"},
    {"", "", "&evaluatedSince=2026-03-01"},
    {"", "&scannedSince=2026-03-01", "&scannedFrom=2026-01-01&scannedTo=2026-03-01"},
    {"", "", "&changedSince=2026-03-01"},
    {"", "&evidence=basic", "&evidence=extended"},
    {"", "&cloud=true", "&qds=true"},
    {"", "", "&inactive=exclude"},
};

static struct query
random_query(struct unit_random *random)
{
	const char *text = unit_below(random, 2) == 0 ? "policy=7" : "policy=7,8";
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		text = arena_printf(&arena, "%s%s", text, parts[i][unit_below(random, 3)]);
	return parse(text);
}

START_TEST(the_broad_one_always_has_the_answer_and_scopes_agree)
{
	struct unit_random random = {unit_seed(20261127)};
	for (int round = 0; round < 3000; round++) {
		const struct implies_rules *rules =
		    unit_below(&random, 2) == 0 ? &documented : &readings;
		struct query q, broad, again, scope, of_broad;
		struct implies how;
		unsigned details = (unsigned)unit_below(&random, 16);
		arena_reset(&arena);
		q = random_query(&random);
		ck_assert(breadth_broad(&q, rules, details, &broad));
		ck_assert_msg(implies(&broad, &q, rules, &how) == NULL, "%s", canon(&q));
		/* it is its own broad query, and of the same scope */
		ck_assert(breadth_broad(&broad, rules, details, &again));
		ck_assert_str_eq(canon(&broad), canon(&again));
		ck_assert(breadth_scope(&q, rules, &scope));
		ck_assert(breadth_scope(&broad, rules, &of_broad));
		ck_assert_str_eq(canon(&scope), canon(&of_broad));
		ck_assert_uint_eq(
		    breadth_details(&broad) & breadth_details(&q), breadth_details(&q));
	}
}
END_TEST

/* --- the choice */

static const struct breadth_bounds bounds = {1000000000, 12};

#define CHOICE(...) breadth_name(breadth_choose(&(struct breadth_known){__VA_ARGS__}, &bounds))
#define KNOWN(own, broad) .calls_known = true, .own_calls = (own), .broad_calls = (broad)

START_TEST(the_first_is_fetched_as_it_is_and_the_second_broad)
{
	ck_assert_str_eq(CHOICE(KNOWN(1, 1), .alone_calls = 1), "first");
	ck_assert_str_eq(CHOICE(KNOWN(1, 1), .others = 1, .alone_calls = 2), "wanted");
	ck_assert_str_eq(CHOICE(KNOWN(40, 40), .others = 1, .alone_calls = 80), "wanted");
}
END_TEST

START_TEST(what_is_known_to_be_small_is_fetched_broad_at_once)
{
	ck_assert_str_eq(
	    CHOICE(KNOWN(1, 1), .alone_calls = 1, .sized = true, .broad_bytes = 1000), "small");
	ck_assert_str_eq(CHOICE(KNOWN(1, 1), .alone_calls = 1, .sized = true,
			     .broad_bytes = BREADTH_SMALL_BYTES + 1),
	    "first");
	/* small, but it needs a call more */
	ck_assert_str_eq(
	    CHOICE(KNOWN(1, 2), .alone_calls = 1, .sized = true, .broad_bytes = 1000), "first");
}
END_TEST

START_TEST(hosts_are_left_out_once_all_that_is_asked_costs_as_much)
{
	ck_assert_str_eq(CHOICE(KNOWN(1, 4), .others = 1, .alone_calls = 2), "dearer");
	ck_assert_str_eq(CHOICE(KNOWN(1, 4), .others = 3, .alone_calls = 4), "wanted");
	/* of a named host nobody knows what all of them would cost */
	ck_assert_str_eq(CHOICE(.others = 9, .alone_calls = 10), "unknown");
}
END_TEST

START_TEST(beyond_the_bounds_nothing_is_fetched_broad)
{
	ck_assert_str_eq(CHOICE(KNOWN(1, 14), .others = 15, .alone_calls = 16), "large");
	ck_assert_str_eq(CHOICE(KNOWN(1, 1), .others = 5, .alone_calls = 6, .sized = true,
			     .broad_bytes = 1000000001),
	    "large");
	ck_assert_str_eq(
	    CHOICE(KNOWN(1, 1), .others = 5, .alone_calls = 6, .least_bytes = 1000000001), "large");
	/* a size that is known is better than a guess */
	ck_assert_str_eq(CHOICE(KNOWN(1, 1), .others = 5, .alone_calls = 6, .sized = true,
			     .broad_bytes = 500000000, .least_bytes = 1000000001),
	    "wanted");
}
END_TEST

START_TEST(a_broad_one_never_costs_more_than_what_was_asked_and_the_bound)
{
	struct unit_random random = {unit_seed(20261128)};
	for (int round = 0; round < 20000; round++) {
		struct breadth_known k = {
		    .others = (unsigned)unit_below(&random, 4),
		    .calls_known = unit_below(&random, 4) != 0,
		    .own_calls = unit_below(&random, 30),
		    .broad_calls = unit_below(&random, 30),
		    .sized = unit_below(&random, 2) != 0,
		    .broad_bytes = unit_below(&random, 2000) * 1000000,
		    .least_bytes = unit_below(&random, 2000) * 1000000,
		};
		k.alone_calls = k.own_calls * (k.others + 1);
		enum breadth choice = breadth_choose(&k, &bounds);
		if (!breadth_is_broad(choice))
			continue;
		ck_assert(k.calls_known);
		ck_assert_uint_le(k.broad_calls, k.own_calls + bounds.calls_more);
		ck_assert_uint_le(k.broad_calls, k.alone_calls);
		ck_assert_uint_le(k.sized ? k.broad_bytes : k.least_bytes, bounds.bytes_most);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("breadth");
	TCase *queries = tcase_create("queries"), *choice = tcase_create("choice");
	tcase_add_checked_fixture(queries, setup, teardown);
	tcase_add_test(queries, filters_and_hosts_are_left_out);
	tcase_add_test(queries, what_only_the_same_implies_stays);
	tcase_add_test(queries, readings_are_left_out_where_they_hold_and_else_stay);
	tcase_add_test(queries, details_grow_to_what_others_ask_for);
	tcase_add_test(queries, evidence_that_is_wanted_is_not_exchanged);
	tcase_add_test(queries, by_posture_and_other_kinds_have_no_scope);
	tcase_add_test(queries, the_broad_one_always_has_the_answer_and_scopes_agree);
	tcase_add_test(choice, the_first_is_fetched_as_it_is_and_the_second_broad);
	tcase_add_test(choice, what_is_known_to_be_small_is_fetched_broad_at_once);
	tcase_add_test(choice, hosts_are_left_out_once_all_that_is_asked_costs_as_much);
	tcase_add_test(choice, beyond_the_bounds_nothing_is_fetched_broad);
	tcase_add_test(choice, a_broad_one_never_costs_more_than_what_was_asked_and_the_bound);
	suite_add_tcase(suite, queries);
	suite_add_tcase(suite, choice);
	return unit_run(suite);
}
