/* What the manifest of a result says of its policies, its freshness and its completeness. */
#include "config.h"

#include <string.h>

#include "gateway/fetch/seal.h"
#include "tests/unit/unit.h"

static const uint8_t digest[SHA256_BYTES] = {7};

/* An hour overall; a minute as soon as one of the policies is 3; a second where nobody may know. */
static struct seal_freshness
freshness(void *ctx, enum seal_fresh fresh, const uint64_t *policies, size_t count)
{
	struct seal_freshness f = {3600000, 1000, 2000};
	(void)ctx;
	for (size_t i = 0; i < count && fresh == SEAL_FRESH_ASKED; i++)
		if (policies[i] == 3)
			f.fresh_for_ms = 60000;
	if (fresh == SEAL_FRESH_SHORTEST)
		f.fresh_for_ms = 1000;
	return f;
}

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
	    .parts = &part,
	    .got = got,
	    .part_count = 1,
	};
}

START_TEST(a_result_is_as_fresh_as_the_shortest_policy_asked_for)
{
	static const uint64_t seen[] = {3, 5}, asked[] = {3, 5};
	struct pull_got got = {0};
	struct seal s = seal_of(&got, seen, 2);
	s.policies = asked;
	s.policy_count = 2;
	ck_status(seal_make(&s), STATUS_OK);
	ck_assert_int_eq(s.manifest.fresh_until_ms, 61000);
	ck_assert_int_eq(s.manifest.stale_until_ms, 62000);
	ck_assert_int_eq(s.manifest.keep_until_ms, 64000);
	seal_fini(&s);
	pull_got_fini(&got);
}
END_TEST

/* What the records are of must not show in the times: some may not know of them. */
START_TEST(by_posture_the_policies_of_the_records_do_not_matter)
{
	static const uint64_t one[] = {3}, other[] = {5};
	for (int i = 0; i < 2; i++) {
		struct pull_got got = {0};
		struct seal s = seal_of(&got, i == 0 ? one : other, 1);
		s.fresh = SEAL_FRESH_SHORTEST;
		ck_status(seal_make(&s), STATUS_OK);
		ck_assert_int_eq(s.manifest.fresh_until_ms, 2000);
		seal_fini(&s);
		pull_got_fini(&got);
	}
}
END_TEST

/* Dropping a policy drops every result that names it: the list names all that are in it. */
START_TEST(a_list_names_its_policies_and_is_as_fresh_as_anything)
{
	static const uint64_t seen[] = {9, 3, 5};
	struct pull_got got = {0};
	struct seal s = seal_of(&got, seen, 3);
	s.fresh = SEAL_FRESH_OVERALL;
	ck_status(seal_make(&s), STATUS_OK);
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

START_TEST(hosts_that_failed_make_it_fresh_until_they_are_asked_again)
{
	static const uint64_t policy[] = {5};
	struct pull_got got = {0};
	struct seal s = seal_of(&got, policy, 1);
	s.host_errors = policy;
	s.host_error_count = 1;
	s.hosts_again_ms = 120000;
	ck_status(seal_make(&s), STATUS_OK);
	ck_assert(!s.manifest.complete);
	ck_assert_int_eq(s.manifest.fresh_until_ms, 121000);
	seal_fini(&s);
	pull_got_fini(&got);
}
END_TEST

/* Batches 1 and 3 of 3. */
static struct seal
seal_with_a_gap(struct pull_got *got)
{
	static const uint64_t policy[] = {5};
	static uint8_t seen;
	struct seal s = seal_of(got, policy, 1);
	seen = 1 << 1 | 1 << 3;
	got->batches = &seen;
	got->batch_bytes = 1;
	got->batches_announced = 3;
	s.unfiltered = true;
	return s;
}

static void
gap_is(struct seal *s, bool complete, int64_t fresh_until_ms)
{
	ck_status(seal_make(s), STATUS_OK);
	ck_assert_uint_eq(s->manifest.missing_batch_count, 1);
	ck_assert_uint_eq(s->manifest.missing_batches[0], 2);
	ck_assert_int_eq(s->manifest.complete, complete);
	ck_assert_int_eq(s->manifest.fresh_until_ms, fresh_until_ms);
	seal_fini(s);
}

START_TEST(a_gap_is_told_and_where_it_counts_the_result_is_fresh_for_a_minute)
{
	struct pull_got got = {0};
	struct seal s = seal_with_a_gap(&got);
	gap_is(&s, true, 3601000);
	s = seal_with_a_gap(&got);
	s.gap_is_incomplete = true;
	gap_is(&s, false, 61000);
	s = seal_with_a_gap(&got);
	s.gap_is_incomplete = true;
	s.unfiltered = false; /* then it means nothing */
	ck_status(seal_make(&s), STATUS_OK);
	ck_assert(s.manifest.complete);
	seal_fini(&s);
	got.batches = NULL;
	pull_got_fini(&got);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("seal");
	TCase *t = tcase_create("seal");
	tcase_add_test(t, a_result_is_as_fresh_as_the_shortest_policy_asked_for);
	tcase_add_test(t, by_posture_the_policies_of_the_records_do_not_matter);
	tcase_add_test(t, a_list_names_its_policies_and_is_as_fresh_as_anything);
	tcase_add_test(t, hosts_that_failed_make_it_fresh_until_they_are_asked_again);
	tcase_add_test(t, a_gap_is_told_and_where_it_counts_the_result_is_fresh_for_a_minute);
	suite_add_tcase(s, t);
	return unit_run(s);
}
