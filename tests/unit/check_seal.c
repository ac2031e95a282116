/* What the manifest of a result says of its policies, its freshness and its completeness. */
#include "config.h"

#include <string.h>

#include "gateway/fetch/seal.h"
#include "tests/unit/unit.h"

static const uint8_t digest[SHA256_BYTES] = {7};

/* An hour overall; a minute as soon as one of the policies is 3. */
static struct seal_freshness
freshness(void *ctx, const uint64_t *policies, size_t count)
{
	size_t *ret_count = ctx;
	struct seal_freshness f = {3600000, 1000, 2000};
	*ret_count = count;
	for (size_t i = 0; i < count; i++)
		if (policies[i] == 3)
			f.fresh_for_ms = 60000;
	return f;
}

static size_t fresh_count; /* policies that the freshness was asked of */

/* A seal of one part, in which records of these policies were seen. */
static struct seal
seal_of(struct pull_got *got, const uint64_t *policies, size_t count)
{
	static const struct cache_part_info part = {.records = 1};
	for (size_t i = 0; i < count; i++)
		ck_status(id_set_add(&got->policies, policies[i]), STATUS_OK);
	return (struct seal){
	    .text = "p1",
	    .text_len = 2,
	    .digest = digest,
	    .version = "2.0",
	    .fetched_at_ms = 1000,
	    .freshness = freshness,
	    .freshness_ctx = &fresh_count,
	    .parts = &part,
	    .got = got,
	    .part_count = 1,
	};
}

START_TEST(a_result_is_as_fresh_as_its_shortest_policy)
{
	static const uint64_t seen[] = {9, 3}, asked[] = {5};
	struct pull_got got = {0};
	struct seal s = seal_of(&got, seen, 2);
	s.policies = asked;
	s.policy_count = 1;
	ck_status(seal_make(&s), STATUS_OK);
	ck_assert_uint_eq(fresh_count, 3);
	ck_assert_int_eq(s.manifest.fresh_until_ms, 61000);
	ck_assert_int_eq(s.manifest.stale_until_ms, 62000);
	ck_assert_int_eq(s.manifest.keep_until_ms, 64000);
	seal_fini(&s);
	pull_got_fini(&got);
}
END_TEST

/* Dropping a policy drops every result that names it: the list names all that are in it. */
START_TEST(a_list_names_its_policies_and_is_as_fresh_as_anything)
{
	static const uint64_t seen[] = {9, 3, 5};
	struct pull_got got = {0};
	struct seal s = seal_of(&got, seen, 3);
	s.overall = true;
	ck_status(seal_make(&s), STATUS_OK);
	ck_assert_uint_eq(fresh_count, 0);
	ck_assert_int_eq(s.manifest.fresh_until_ms, 3601000);
	ck_assert_uint_eq(s.manifest.policy_count, 3);
	ck_assert_uint_eq(s.manifest.policies[0], 3);
	ck_assert_uint_eq(s.manifest.policies[2], 9);
	ck_assert_str_eq(s.manifest.version, "2.0");
	ck_assert(s.manifest.complete);
	seal_fini(&s);
	pull_got_fini(&got);
}
END_TEST

START_TEST(what_is_not_complete_is_fresh_for_a_minute_at_most)
{
	static const uint64_t policy[] = {5};
	struct pull_got got = {0};
	struct seal s = seal_of(&got, policy, 1);
	s.host_errors = policy;
	s.host_error_count = 1;
	ck_status(seal_make(&s), STATUS_OK);
	ck_assert(!s.manifest.complete);
	ck_assert_int_eq(s.manifest.fresh_until_ms, 61000);
	seal_fini(&s);
	pull_got_fini(&got);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("seal");
	TCase *t = tcase_create("seal");
	tcase_add_test(t, a_result_is_as_fresh_as_its_shortest_policy);
	tcase_add_test(t, a_list_names_its_policies_and_is_as_fresh_as_anything);
	tcase_add_test(t, what_is_not_complete_is_fresh_for_a_minute_at_most);
	suite_add_tcase(s, t);
	return unit_run(s);
}
