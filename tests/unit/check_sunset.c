/* What is said of versions that end, and the cut-off: dates at their borders, overrides, ways out. */
#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/legacy/sunset.h"
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
static struct versions versions;
static struct settings settings;
static const struct sunset_rules rules = {&versions, &settings};
static struct response response;
static struct sunset s;

static void
setup(void)
{
	versions = (struct versions){.preferred = preferred, .preferred_count = 1};
	settings = (struct settings){.deprecation_link = "/problems/version-ended"};
	response_init(&response);
}

static void
teardown(void)
{
	response_fini(&response);
}

static const char *
headers_of(enum upstream_api api, const char *version, int64_t now_s)
{
	response_fini(&response);
	response_init(&response);
	bool known = sunset_of(&rules, api, version, now_s, &s);
	sunset_headers(&rules, &s, &response);
	ck_assert(response_good(&response));
	ck_assert(known == (response.headers.len > 0));
	return buf_str(&response.headers);
}

/* --- headers */

START_TEST(an_ended_version_says_when_it_ended_and_what_follows_it)
{
	ck_assert_str_eq(headers_of(API_POSTURE_INFO, "3.0", at("2026-11-22")),
	    "Deprecation: @1767225599\r\n"
	    "Sunset: Tue, 30 Jun 2026 23:59:59 GMT\r\n"
	    "Link: </pcrs/5.0/posture/postureInfo>; rel=\"successor-version\", "
	    "</problems/version-ended>; rel=\"deprecation\"\r\n");
}
END_TEST

START_TEST(a_version_whose_end_is_near_says_so_before_and_after_it)
{
	static const char wanted[] =
	    "Deprecation: @1780271999\r\n"
	    "Sunset: Mon, 30 Nov 2026 23:59:59 GMT\r\n"
	    "Link: </pcrs/5.0/posture/hostids>; rel=\"successor-version\", "
	    "</problems/version-ended>; rel=\"deprecation\"\r\n";
	static const char *const dates[] = {"2026-05-31T23:59:59Z", "2026-06-01",
	    "2026-11-30T23:59:59Z", "2026-12-01", "2036-01-01"};
	for (size_t i = 0; i < ARRAY_LEN(dates); i++)
		ck_assert_str_eq(headers_of(API_HOSTIDS, "4.0", at(dates[i])), wanted);
}
END_TEST

START_TEST(an_active_version_says_nothing)
{
	ck_assert_str_eq(headers_of(API_POSTURE_INFO, "5.0", at("2026-11-22")), "");
	ck_assert_str_eq(headers_of(API_HOSTIDS, "5.0", at("2036-11-22")), "");
	ck_assert_str_eq(headers_of(API_POLICY_LIST, "2.0", at("2026-11-22")), "");
	/* one that nobody knows, too */
	ck_assert_str_eq(headers_of(API_POLICY_LIST, "4.0", at("2026-11-22")), "");
	ck_assert_ptr_null(s.successor);
}
END_TEST

START_TEST(the_policy_list_counts_for_itself)
{
	ck_assert_str_eq(headers_of(API_POLICY_LIST, "1.0", at("2026-11-22")),
	    "Deprecation: @1796083199\r\n"
	    "Sunset: Mon, 31 May 2027 23:59:59 GMT\r\n"
	    "Link: </pcrs/2.0/posture/policy/list>; rel=\"successor-version\", "
	    "</problems/version-ended>; rel=\"deprecation\"\r\n");
}
END_TEST

START_TEST(overrides_go_before_the_table)
{
	static const struct lifecycle_entry laid_over[] = {
	    {"postureInfo", "4.0", INT64_MAX, INT64_MAX},
	    {"postureInfo", "5.0", 1893455999, 1893542399},
	    {"postureInfo", "3.0", 1000, INT64_MAX},
	};
	versions.lifecycle = laid_over;
	versions.lifecycle_count = ARRAY_LEN(laid_over);
	settings.deprecation_link = "https://wiki.example.com/pcrs?v=5#end";
	ck_assert_str_eq(headers_of(API_POSTURE_INFO, "4.0", at("2026-11-22")), "");
	/* the newest one has no successor */
	ck_assert_str_eq(headers_of(API_POSTURE_INFO, "5.0", at("2026-11-22")),
	    "Deprecation: @1893455999\r\n"
	    "Sunset: Tue, 01 Jan 2030 23:59:59 GMT\r\n"
	    "Link: <https://wiki.example.com/pcrs?v=5#end>; rel=\"deprecation\"\r\n");
	/* one date may be missing */
	const char *text = headers_of(API_POSTURE_INFO, "3.0", at("2026-11-22"));
	ck_assert_ptr_nonnull(strstr(text, "Deprecation: @1000\r\n"));
	ck_assert_ptr_null(strstr(text, "Sunset"));
	/* a successor that has ended is none: the next one is */
	headers_of(API_POSTURE_INFO, "3.0", at("2030-01-02"));
	ck_assert_str_eq(s.successor, "/pcrs/4.0/posture/postureInfo");
}
END_TEST

START_TEST(a_successor_that_is_cut_off_is_none)
{
	static const struct settings_cutoff cutoffs[] = {{"5.0", 100}, {"4.0", 200}};
	settings.cutoffs = cutoffs;
	settings.cutoff_count = ARRAY_LEN(cutoffs);
	versions.lifecycle_count = 0;
	ck_assert(sunset_of(&rules, API_POSTURE_INFO, "1.0", 99, &s));
	ck_assert_str_eq(s.successor, "/pcrs/5.0/posture/postureInfo");
	ck_assert(sunset_of(&rules, API_POSTURE_INFO, "1.0", 100, &s));
	ck_assert_str_eq(s.successor, "/pcrs/4.0/posture/postureInfo");
	ck_assert(sunset_of(&rules, API_POSTURE_INFO, "1.0", 200, &s));
	ck_assert_str_eq(s.successor, "/pcrs/3.0/posture/postureInfo");
	ck_assert(sunset_of(&rules, API_POSTURE_INFO, "4.0", 200, &s));
	ck_assert_ptr_null(s.successor);
}
END_TEST

/* --- the cut-off */

#define UNTOUCHED 77

static enum sunset_verdict
check(int64_t until_s, enum upstream_api api, const char *version, int64_t now_s, int64_t *ret)
{
	*ret = UNTOUCHED;
	return sunset_check(&rules, until_s, api, version, now_s, ret);
}

START_TEST(without_a_cut_off_every_version_is_answered_for_ever)
{
	static const char *const all[] = {"1.0", "2.0", "3.0", "4.0", "5.0"};
	int64_t since;
	for (int api = 0; api < API_COUNT; api++)
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			ck_assert_int_eq(check(INT64_MAX, (enum upstream_api)api, all[i],
					     at("2099-01-01"), &since),
			    SUNSET_SERVED);
	ck_assert_int_eq(since, UNTOUCHED);
}
END_TEST

START_TEST(a_version_ends_at_the_first_second_of_its_cut_off)
{
	static const struct settings_cutoff cutoffs[] = {{"3.0", 5000}, {"4.0", 1000}};
	int64_t since;
	settings.cutoffs = cutoffs;
	settings.cutoff_count = ARRAY_LEN(cutoffs);
	ck_assert_int_eq(check(INT64_MAX, API_POSTURE_INFO, "4.0", 999, &since), SUNSET_SERVED);
	ck_assert_int_eq(
	    check(INT64_MAX, API_POSTURE_INFO, "4.0", 1000, &since), SUNSET_VERSION_ENDED);
	ck_assert_int_eq(since, 1000);
	ck_assert_int_eq(check(INT64_MAX, API_HOSTIDS, "4.0", 1000, &since), SUNSET_VERSION_ENDED);
	ck_assert_int_eq(check(INT64_MAX, API_POSTURE_INFO, "3.0", 1000, &since), SUNSET_SERVED);
	ck_assert_int_eq(check(INT64_MAX, API_POSTURE_INFO, "5.0", 9999, &since), SUNSET_SERVED);
	/* logging in has no version */
	ck_assert_int_eq(check(INT64_MAX, API_POSTURE_INFO, NULL, 9999, &since), SUNSET_SERVED);
}
END_TEST

START_TEST(the_newest_policy_list_outlives_postures_of_its_number)
{
	static const struct settings_cutoff cutoffs[] = {{"1.0", 1000}, {"2.0", 1000}};
	int64_t since;
	settings.cutoffs = cutoffs;
	settings.cutoff_count = ARRAY_LEN(cutoffs);
	ck_assert_int_eq(
	    check(INT64_MAX, API_POSTURE_INFO, "2.0", 2000, &since), SUNSET_VERSION_ENDED);
	ck_assert_int_eq(
	    check(INT64_MAX, API_POLICY_LIST, "1.0", 2000, &since), SUNSET_VERSION_ENDED);
	ck_assert_int_eq(check(INT64_MAX, API_POLICY_LIST, "2.0", 2000, &since), SUNSET_SERVED);
}
END_TEST

START_TEST(for_a_consumer_everything_ends_at_once)
{
	static const struct settings_cutoff cutoffs[] = {{"4.0", 1000}};
	int64_t since;
	settings.cutoffs = cutoffs;
	settings.cutoff_count = ARRAY_LEN(cutoffs);
	ck_assert_int_eq(check(2000, API_POSTURE_INFO, "5.0", 1999, &since), SUNSET_SERVED);
	ck_assert_int_eq(check(2000, API_POSTURE_INFO, "5.0", 2000, &since), SUNSET_CONSUMER_ENDED);
	ck_assert_int_eq(since, 2000);
	ck_assert_int_eq(check(2000, API_POSTURE_INFO, "4.0", 1999, &since), SUNSET_VERSION_ENDED);
	ck_assert_int_eq(check(2000, API_POSTURE_INFO, "4.0", 2000, &since), SUNSET_CONSUMER_ENDED);
	ck_assert_int_eq(check(2000, API_POSTURE_INFO, NULL, 2000, &since), SUNSET_CONSUMER_ENDED);
}
END_TEST

static const char *
text_of(enum sunset_verdict verdict, enum upstream_api api, const char *version)
{
	buf_reset(&response.body);
	sunset_text(
	    &rules, verdict, api, version, at("2026-12-01"), at("2027-01-01"), &response.body);
	return buf_str(&response.body);
}

START_TEST(the_text_shows_the_way_out)
{
	ck_assert_str_eq(text_of(SUNSET_VERSION_ENDED, API_POSTURE_INFO, "4.0"),
	    "Version 4.0 of postureInfo is not answered here since 2026-12-01T00:00:00Z: call "
	    "/pcrs/5.0/posture/postureInfo, or this gateway's own API at /v1/postures");
	ck_assert_str_eq(text_of(SUNSET_VERSION_ENDED, API_HOSTIDS, "5.0"),
	    "Version 5.0 of hostids is not answered here since 2026-12-01T00:00:00Z: call "
	    "this gateway's own API at /v1/policies/{id}/hosts (postures: /v1/postures)");
	/* another version would not be answered either */
	ck_assert_str_eq(text_of(SUNSET_CONSUMER_ENDED, API_POLICY_LIST, "1.0"),
	    "Version 1.0 of policyList is not answered to this consumer since "
	    "2026-12-01T00:00:00Z, and no other version is: call this gateway's own API at "
	    "/v1/policies (postures: /v1/postures)");
	ck_assert_str_eq(text_of(SUNSET_CONSUMER_ENDED, API_POLICY_LIST, NULL),
	    "The old protocol is not answered to this consumer since 2026-12-01T00:00:00Z, and no "
	    "version is: call this gateway's own API at /v1/postures");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sunset");
	TCase *tc = tcase_create("sunset");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_ended_version_says_when_it_ended_and_what_follows_it);
	tcase_add_test(tc, a_version_whose_end_is_near_says_so_before_and_after_it);
	tcase_add_test(tc, an_active_version_says_nothing);
	tcase_add_test(tc, the_policy_list_counts_for_itself);
	tcase_add_test(tc, overrides_go_before_the_table);
	tcase_add_test(tc, a_successor_that_is_cut_off_is_none);
	tcase_add_test(tc, without_a_cut_off_every_version_is_answered_for_ever);
	tcase_add_test(tc, a_version_ends_at_the_first_second_of_its_cut_off);
	tcase_add_test(tc, the_newest_policy_list_outlives_postures_of_its_number);
	tcase_add_test(tc, for_a_consumer_everything_ends_at_once);
	tcase_add_test(tc, the_text_shows_the_way_out);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
