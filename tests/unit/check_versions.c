/* The lifecycle table and the choice of a version. */
#include "config.h"

#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/upstream/versions.h"
#include "tests/unit/unit.h"

static int64_t
at(const char *date)
{
	int64_t s;
	bool date_only;
	ck_assert(clock_parse(date, strlen(date), &s, &date_only));
	return s;
}

static const char *const preferred[] = {"5.0"};
static const struct versions plain = {.preferred = preferred, .preferred_count = 1};

START_TEST(a_version_lives_until_the_last_second_of_its_month)
{
	ck_assert_int_eq(versions_life(&plain, "postureInfo", "4.0", at("2026-05-31T23:59:59Z")),
	    VERSION_ACTIVE);
	ck_assert_int_eq(versions_life(&plain, "postureInfo", "4.0", at("2026-06-01T00:00:00Z")),
	    VERSION_ENDING);
	ck_assert_int_eq(versions_life(&plain, "postureInfo", "4.0", at("2026-11-30T23:59:59Z")),
	    VERSION_ENDING);
	ck_assert_int_eq(
	    versions_life(&plain, "postureInfo", "4.0", at("2026-12-01T00:00:00Z")), VERSION_ENDED);
	ck_assert_int_eq(versions_life(&plain, "postureInfo", "5.0", at("2036-01-01T00:00:00Z")),
	    VERSION_ACTIVE);
}
END_TEST

START_TEST(the_policy_list_has_dates_of_its_own)
{
	ck_assert_int_eq(
	    versions_life(&plain, "policyList", "1.0", at("2026-11-22")), VERSION_ACTIVE);
	ck_assert_int_eq(
	    versions_life(&plain, "policyList", "1.0", at("2027-05-31")), VERSION_ENDING);
	ck_assert_int_eq(
	    versions_life(&plain, "policyList", "1.0", at("2027-06-01")), VERSION_ENDED);
}
END_TEST

START_TEST(a_version_nobody_knows_has_ended)
{
	struct lifecycle_entry e;
	ck_assert(!versions_lifecycle(&plain, "postureInfo", "9.0", &e));
	ck_assert_int_eq(
	    versions_life(&plain, "postureInfo", "9.0", at("2026-11-22")), VERSION_ENDED);
}
END_TEST

START_TEST(chooses_the_first_preferred_version_that_can_and_lives)
{
	const struct dialect *d = NULL;
	ck_status(
	    versions_choose(&plain, CAN_QDS | CAN_POSTURE_IDS, at("2026-11-22"), 0, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "5.0");
	ck_assert_str_eq(d->posture_path, "/pcrs/5.0/posture/postureInfo");
}
END_TEST

START_TEST(sca_needs_a_version_that_carries_it)
{
	const struct dialect *d;
	ck_status(
	    versions_choose(&plain, CAN_SCA, at("2026-11-22"), 0, &d), STATUS_VERSION_UNAVAILABLE);
	struct versions sca = plain;
	sca.sca = preferred;
	sca.sca_count = 1;
	ck_status(versions_choose(&sca, CAN_SCA, at("2026-11-22"), 0, &d), STATUS_OK);
}
END_TEST

START_TEST(an_overridden_date_ends_a_version)
{
	static const struct lifecycle_entry ended[] = {{"postureInfo", "5.0", 0, 1000}};
	struct versions v = plain;
	const struct dialect *d;
	v.lifecycle = ended;
	v.lifecycle_count = 1;
	ck_status(versions_choose(&v, 0, 1000, 0, &d), STATUS_OK);
	ck_status(versions_choose(&v, 0, 1001, 0, &d), STATUS_VERSION_UNAVAILABLE);
}
END_TEST

START_TEST(versions_that_cannot_be_spoken_are_passed_over)
{
	static const char *const list[] = {"7.0", "5.0"};
	struct versions v = {.preferred = list, .preferred_count = 2};
	const struct dialect *d = NULL;
	ck_status(versions_choose(&v, 0, at("2026-11-22"), 0, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "5.0");
}
END_TEST

START_TEST(a_version_that_is_gone_gives_way_to_the_next)
{
	static const char *const list[] = {"5.0", "4.0"};
	struct versions v = {.preferred = list, .preferred_count = 2};
	const struct dialect *d = NULL;
	unsigned gone = versions_bit(versions_dialect("5.0"));
	ck_status(versions_choose(&v, 0, at("2026-11-22"), gone, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "4.0");
	/* what only it can do is asked of it all the same: a 404 may have had other reasons */
	ck_status(versions_choose(&v, CAN_QDS, at("2026-11-22"), gone, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "5.0");
}
END_TEST

START_TEST(pc_alone_prefers_a_version_without_sca)
{
	static const char *const list[] = {"1.0", "4.0"};
	struct versions v = {.preferred = list, .preferred_count = 2};
	const struct dialect *d = NULL;
	ck_status(versions_choose(&v, 0, at("2026-05-01"), 0, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "4.0");
	ck_status(versions_choose(&v, CAN_SCA, at("2026-05-01"), 0, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "1.0");
	v.preferred_count = 1;
	ck_status(versions_choose(&v, 0, at("2026-05-01"), 0, &d), STATUS_OK);
	ck_assert_str_eq(d->version, "1.0");
}
END_TEST

START_TEST(every_version_has_a_reason)
{
	struct buf b;
	buf_init(&b, 4096);
	versions_explain(&plain, CAN_SCA, at("2026-11-22"), &b);
	ck_assert_str_eq(buf_str(&b),
	    "5.0 cannot answer assets=all; 4.0 cannot answer assets=all; "
	    "3.0 cannot answer assets=all; 2.0 ended on 2026-06-30; 1.0 ended on 2026-06-30");
	buf_reset(&b);
	static const char *const old[] = {"4.0"};
	struct versions v = {.preferred = old, .preferred_count = 1};
	versions_explain(&v, CAN_QDS, at("2026-12-24"), &b);
	ck_assert_str_eq(buf_str(&b),
	    "5.0 is not among the versions that the settings allow; 4.0 cannot answer qds; "
	    "3.0 cannot answer qds; 2.0 cannot answer qds; 1.0 cannot answer qds");
	buf_fini(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("versions");
	TCase *t = tcase_create("versions");
	tcase_add_test(t, a_version_lives_until_the_last_second_of_its_month);
	tcase_add_test(t, the_policy_list_has_dates_of_its_own);
	tcase_add_test(t, a_version_nobody_knows_has_ended);
	tcase_add_test(t, chooses_the_first_preferred_version_that_can_and_lives);
	tcase_add_test(t, sca_needs_a_version_that_carries_it);
	tcase_add_test(t, an_overridden_date_ends_a_version);
	tcase_add_test(t, versions_that_cannot_be_spoken_are_passed_over);
	tcase_add_test(t, a_version_that_is_gone_gives_way_to_the_next);
	tcase_add_test(t, pc_alone_prefers_a_version_without_sca);
	tcase_add_test(t, every_version_has_a_reason);
	suite_add_tcase(s, t);
	return unit_run(s);
}
