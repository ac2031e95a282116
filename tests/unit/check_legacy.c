/* The drop-in surface: its parameters, its bodies and its lists. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/listing.h"
#include "gateway/fetch/plan.h"
#include "gateway/legacy/body.h"
#include "gateway/legacy/lists.h"
#include "gateway/legacy/params.h"
#include "tests/unit/unit.h"

static struct arena arena;
static const char *message;

static void
setup(void)
{
	arena_init(&arena, LIMIT_ARENA_BYTES);
	message = NULL;
}

static void
teardown(void)
{
	arena_fini(&arena);
}

static const char *const versions[] = {"1.0", "2.0", "3.0", "4.0", "5.0"};

/* --- parameters */

static enum status
ask(enum upstream_api api, const char *version, const char *text, struct legacy_asked *ret)
{
	message = NULL;
	return legacy_params_read(&arena, api, version, text, strlen(text), ret, &message);
}

static struct legacy_asked
good(enum upstream_api api, const char *version, const char *text)
{
	struct legacy_asked asked;
	enum status st = ask(api, version, text, &asked);
	ck_assert_msg(st == STATUS_OK, "%s %s: %s", version, text, message);
	return asked;
}

static void
refused(enum upstream_api api, const char *version, const char *text, const char *why)
{
	struct legacy_asked asked;
	enum status st = ask(api, version, text, &asked);
	ck_assert_msg(st == STATUS_BAD_REQUEST, "%s %s: %s", version, text, status_info(st)->name);
	ck_assert_str_eq(message, why);
}

static const char *
canon(const struct query *q)
{
	struct buf b;
	buf_init(&b, LIMIT_CANON_BYTES);
	query_canon(q, &b);
	ck_status(b.err, STATUS_OK);
	const char *text = arena_dup(&arena, b.data, b.len);
	buf_fini(&b);
	return text;
}

START_TEST(nothing_asked_is_the_vendors_default)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct legacy_asked a = good(API_POSTURE_INFO, versions[i], "");
		ck_assert_str_eq(canon(&a.query), "q1");
		ck_assert(!a.plain && !a.all_policies);
		ck_assert_uint_eq(a.params, 0);
	}
	struct legacy_asked a = good(API_POLICY_LIST, "1.0", "");
	ck_assert_str_eq(canon(&a.query), "p1");
	a = good(API_HOSTIDS, "3.0", "");
	ck_assert_int_eq(a.query.kind, KIND_HOSTS);
	ck_assert(a.all_policies);
}
END_TEST

/* The same as the vendor's page has them: first version, call, a value, what it is in a query. */
static const struct {
	unsigned first;
	enum upstream_api api;
	const char *name, *value, *canon;
} documented[] = {
    {1, API_POSTURE_INFO, "evidenceRequired", "1", "q1;evidence=extended"},
    {1, API_POSTURE_INFO, "evidenceRequired", "0", "q1"},
    {1, API_POSTURE_INFO, "compressionRequired", "1", "q1"},
    {1, API_POSTURE_INFO, "compressionRequired", "0", "q1"},
    {1, API_POSTURE_INFO, "lastEvaluationDate", "1970-01-02", "q1;evaluatedSince=86400"},
    {1, API_POSTURE_INFO, "lastScanDate", "1970-01-01T00:00:05Z", "q1;scannedSince=5"},
    {1, API_POSTURE_INFO, "statusChangedSince", "1970-01-01", "q1;changedSince=0"},
    {1, API_POSTURE_INFO, "evidenceTruncationLimit", "1", "q1"},
    {2, API_POSTURE_INFO, "excludeInactiveControl", "1", "q1;inactive=exclude"},
    {2, API_POSTURE_INFO, "excludeInactiveControl", "0", "q1"},
    {3, API_POSTURE_INFO, "cloudMetaDataRequired", "1", "q1;cloud=true"},
    {3, API_POSTURE_INFO, "status", "Failed,Passed", "q1;status=Passed,Failed"},
    {3, API_POSTURE_INFO, "status", "%20failed%20,+ERROR+", "q1;status=Failed,Error"},
    {3, API_POSTURE_INFO, "previousStatus", "Error", "q1;previousStatus=Error"},
    {3, API_POSTURE_INFO, "criticalityValues", "2,%205", "q1;criticality=2,5"},
    {3, API_POSTURE_INFO, "criticalityLabels", "MEDIUM", "q1;criticality=2"},
    {3, API_POSTURE_INFO, "criticalityLabels",
	"undefined,MINIMAL,Medium,SERIOUS,CRITICAL,%20URGENT", "q1;criticality=0,1,2,3,4,5"},
    {5, API_POSTURE_INFO, "extendedEvidenceRequired", "1", "q1"},
    {5, API_POSTURE_INFO, "extendedEvidenceRequired", "0", "q1"},
    {5, API_POSTURE_INFO, "qdScoreRequired", "1", "q1;qds=true"},
    {1, API_HOSTIDS, "policyId", "7", "h1;policy=7"},
    {1, API_HOSTIDS, "policyId", "102%2C+101,102", "h1;policy=101,102"},
    {1, API_HOSTIDS, "lastScanDate", "1970-01-01", "h1;policy=3;scannedSince=0"},
    {3, API_HOSTIDS, "statusChangedSince", "1970-01-02", "h1;policy=3;changedSince=86400"},
    {5, API_HOSTIDS, "assetDeploymentType", "ON-PREM", "h1;policy=3;deployment=on-prem"},
    {5, API_HOSTIDS, "assetDeploymentType", "CLOUD", "h1;policy=3;deployment=cloud"},
    {5, API_HOSTIDS, "assetDeploymentType", "ALL", "h1;policy=3"},
    {5, API_HOSTIDS, "assetState", "ACTIVE", "h1;policy=3;state=active"},
    {5, API_HOSTIDS, "assetState", "TERMINATED", "h1;policy=3;state=terminated"},
    {5, API_HOSTIDS, "assetState", "ALL", "h1;policy=3"},
    {1, API_POLICY_LIST, "lastEvaluationDate", "1970-01-02", "p1;evaluatedSince=86400"},
    {2, API_POLICY_LIST, "requireTagInfo", "1", "p1;tags=true"},
    {2, API_POLICY_LIST, "requireTagInfo", "0", "p1"},
};

START_TEST(each_version_has_its_parameters_and_no_others)
{
	const char *name = documented[_i].name;
	enum upstream_api api = documented[_i].api;
	bool needs_policy = api == API_HOSTIDS && strcmp(name, "policyId") != 0;
	const char *text = arena_printf(
	    &arena, "%s%s=%s", needs_policy ? "policyId=3&" : "", name, documented[_i].value);
	size_t most = api == API_POLICY_LIST ? 2 : 5;
	for (size_t v = 1; v <= most; v++) {
		if (v < documented[_i].first) {
			refused(api, versions[v - 1], text,
			    arena_printf(&arena, "Unrecognized parameter: %s", name));
			continue;
		}
		struct legacy_asked a = good(api, versions[v - 1], text);
		ck_assert_str_eq(canon(&a.query), documented[_i].canon);
		ck_assert(!a.all_policies);
	}
}
END_TEST

START_TEST(evidence_is_extended_unless_the_newest_version_says_otherwise)
{
	static const struct {
		const char *text;
		enum query_evidence evidence;
	} cases[] = {
	    {"evidenceRequired=1", EVIDENCE_EXTENDED},
	    {"evidenceRequired=1&extendedEvidenceRequired=1", EVIDENCE_EXTENDED},
	    {"extendedEvidenceRequired=0&evidenceRequired=1", EVIDENCE_BASIC},
	    {"extendedEvidenceRequired=1", EVIDENCE_NONE},
	    {"extendedEvidenceRequired=1&evidenceRequired=0", EVIDENCE_NONE},
	    {"extendedEvidenceRequired=0", EVIDENCE_NONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_uint_eq(
		    good(API_POSTURE_INFO, "5.0", cases[i].text).query.evidence, cases[i].evidence);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		ck_assert_uint_eq(
		    good(API_POSTURE_INFO, versions[i], "evidenceRequired=1").query.evidence,
		    EVIDENCE_EXTENDED);
}
END_TEST

START_TEST(a_window_of_scans_includes_both_days)
{
	struct legacy_asked a = good(API_POSTURE_INFO, "1.0",
	    "lastScanDateTo=1970-01-02&lastScanDateFrom=1970-01-01&compressionRequired=0");
	ck_assert_str_eq(canon(&a.query), "q1;scannedFrom=0;scannedTo=172799");
	ck_assert(a.plain);
}
END_TEST

#define DATE "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"

static const struct {
	enum upstream_api api;
	const char *version, *text, *why;
} refusals[] = {
    {API_POSTURE_INFO, "5.0", "nosuch=1", "Unrecognized parameter: nosuch"},
    {API_POSTURE_INFO, "5.0", "EvidenceRequired=1", "Unrecognized parameter: EvidenceRequired"},
    {API_POSTURE_INFO, "5.0", "policyId=1", "Unrecognized parameter: policyId"},
    {API_POSTURE_INFO, "5.0", "status", "status has to be a list of Passed, Failed and Error"},
    {API_POSTURE_INFO, "5.0", "status=", "status has to be a list of Passed, Failed and Error"},
    {API_POSTURE_INFO, "5.0", "status=Passed,",
	"status has to be a list of Passed, Failed and Error"},
    {API_POSTURE_INFO, "5.0", "status=Passed*",
	"status has to be a list of Passed, Failed and Error"},
    {API_POSTURE_INFO, "5.0", "previousStatus=Passed,Failed",
	"previousStatus has to be one of Passed, Failed and Error"},
    {API_POSTURE_INFO, "5.0", "evidenceRequired=true", "evidenceRequired has to be 0 or 1"},
    {API_POSTURE_INFO, "5.0", "evidenceRequired=", "evidenceRequired has to be 0 or 1"},
    {API_POSTURE_INFO, "5.0", "evidenceRequired=2", "evidenceRequired has to be 0 or 1"},
    {API_POSTURE_INFO, "5.0", "evidenceRequired=01", "evidenceRequired has to be 0 or 1"},
    {API_POSTURE_INFO, "5.0", "qdScoreRequired=true", "qdScoreRequired has to be 0 or 1"},
    {API_POSTURE_INFO, "5.0", "evidenceTruncationLimit=x",
	"evidenceTruncationLimit has to be a number"},
    {API_POSTURE_INFO, "5.0", "evidenceRequired=1&evidenceRequired=1",
	"evidenceRequired is given twice"},
    {API_POSTURE_INFO, "5.0", "status=Passed&status=Failed", "status is given twice"},
    {API_POSTURE_INFO, "5.0", "lastScanDate=yesterday", "lastScanDate has to be " DATE},
    {API_POSTURE_INFO, "5.0", "lastScanDate=2026-02-30", "lastScanDate has to be " DATE},
    {API_POSTURE_INFO, "5.0", "lastScanDate=2026-01-01T00:00:00", "lastScanDate has to be " DATE},
    {API_POSTURE_INFO, "5.0", "criticalityValues=6",
	"criticalityValues has to be a list of numbers from 0 to 5"},
    {API_POSTURE_INFO, "5.0", "criticalityValues=MEDIUM",
	"criticalityValues has to be a list of numbers from 0 to 5"},
    {API_POSTURE_INFO, "5.0", "criticalityLabels=2",
	"criticalityLabels has to be a list of UNDEFINED, MINIMAL, MEDIUM, SERIOUS, CRITICAL and "
	"URGENT"},
    {API_POSTURE_INFO, "5.0", "criticalityLabels=SEVERE",
	"criticalityLabels has to be a list of UNDEFINED, MINIMAL, MEDIUM, SERIOUS, CRITICAL and "
	"URGENT"},
    {API_POSTURE_INFO, "3.0", "criticalityLabels=MEDIUM&criticalityValues=2",
	"criticalityLabels and criticalityValues exclude each other"},
    {API_POSTURE_INFO, "3.0", "criticalityValues=2&criticalityLabels=MEDIUM",
	"criticalityValues and criticalityLabels exclude each other"},
    {API_POSTURE_INFO, "1.0",
	"lastScanDate=2026-01-01&lastScanDateFrom=2026-01-01&lastScanDateTo"
	"=2026-01-02",
	"lastScanDate and lastScanDateFrom exclude each other"},
    {API_POSTURE_INFO, "1.0", "lastScanDateTo=2026-01-01&lastScanDate=2026-01-01",
	"lastScanDate and lastScanDateTo exclude each other"},
    {API_POSTURE_INFO, "1.0", "lastScanDateFrom=2026-01-01",
	"lastScanDateTo is missing beside lastScanDateFrom"},
    {API_POSTURE_INFO, "1.0", "lastScanDateTo=2026-01-01",
	"lastScanDateFrom is missing beside lastScanDateTo"},
    {API_POSTURE_INFO, "1.0", "lastScanDateFrom=2026-01-02&lastScanDateTo=2026-01-01",
	"lastScanDateFrom must not be later than lastScanDateTo"},
    {API_HOSTIDS, "1.0", "", "policyId is missing"},
    {API_HOSTIDS, "2.0", "lastScanDate=2026-01-01", "policyId is missing"},
    {API_HOSTIDS, "5.0", "policyId=", "policyId has to be a list of IDs"},
    {API_HOSTIDS, "5.0", "policyId=1,,2", "policyId has to be a list of IDs"},
    {API_HOSTIDS, "5.0", "policyId=1-3", "policyId has to be a list of IDs"},
    {API_HOSTIDS, "5.0", "policyId=0", "policyId has to be a list of IDs"},
    {API_HOSTIDS, "5.0", "assetState=GONE", "assetState has to be ACTIVE, TERMINATED or ALL"},
    {API_HOSTIDS, "5.0", "assetDeploymentType=CLOUD,ON-PREM",
	"assetDeploymentType has to be ON-PREM, CLOUD or ALL"},
    {API_HOSTIDS, "5.0", "deployment=cloud", "Unrecognized parameter: deployment"},
    {API_HOSTIDS, "2.0", "policyId=1,2,3,4,5,6,7,8,9,10,11",
	"policyId may have at most 10 IDs in this version"},
    {API_POLICY_LIST, "2.0", "requireTagInfo=true", "requireTagInfo has to be 0 or 1"},
    {API_POLICY_LIST, "2.0", "evaluatedSince=2026-01-01", "Unrecognized parameter: evaluatedSince"},
    {API_POLICY_LIST, "2.0", "x=%zz", "Unrecognized parameter: x"},
    {API_POLICY_LIST, "2.0", "lastEvaluationDate=%2",
	"A percent sign in the query string has to be followed by two hexadecimal digits"},
    {API_POLICY_LIST, "2.0", "lastEvaluationDate=%ff",
	"The query string has to be UTF-8 without control characters"},
    {API_POLICY_LIST, "2.0", "%00=1",
	"The query string has to be UTF-8 without control characters"},
    {API_POLICY_LIST, "2.0", "a%2=1",
	"A percent sign in the query string has to be followed by two hexadecimal digits"},
};

START_TEST(says_in_a_sentence_what_is_refused)
{
	refused(refusals[_i].api, refusals[_i].version, refusals[_i].text, refusals[_i].why);
}
END_TEST

START_TEST(shows_no_more_than_the_beginning_of_an_unknown_name)
{
	char text[512] = "", wanted[128];
	for (int i = 0; i < 30; i++)
		memcpy(text + 1 + 3 * i, "\xe2\x82\xac", 3);
	text[0] = 'x'; /* 60 bytes would cut within a character */
	snprintf(wanted, sizeof wanted, "Unrecognized parameter: %.58s", text);
	refused(API_POSTURE_INFO, "1.0", text, wanted);
}
END_TEST

START_TEST(newer_versions_take_any_number_of_policies)
{
	const char *ten = "policyId=1,2,3,4,5,6,7,8,9,10,10",
		   *more = "policyId=1,2,3,4,5,6,7,8,9,10,11";
	ck_assert_uint_eq(good(API_HOSTIDS, "1.0", ten).query.policies.count, 10);
	ck_assert_uint_eq(good(API_HOSTIDS, "3.0", more).query.policies.count, 11);
}
END_TEST

START_TEST(empty_pairs_are_passed_over)
{
	struct legacy_asked a = good(API_POSTURE_INFO, "1.0", "&&evidenceRequired=1&");
	ck_assert_uint_eq(a.query.evidence, EVIDENCE_EXTENDED);
}
END_TEST

START_TEST(the_report_knows_what_was_given)
{
	const char *list = "";
	struct legacy_asked a = good(API_POSTURE_INFO, "5.0",
	    "evidenceRequired=0&qdScoreRequired=0&status=Failed&evidenceTruncationLimit=1");
	for (size_t i = 0; i < LEGACY_PARAMS; i++)
		if (a.params >> i & 1)
			list = arena_printf(&arena, "%s %s", list, legacy_param_name(i));
	ck_assert_str_eq(list, " evidenceRequired evidenceTruncationLimit status qdScoreRequired");
	list = "";
	for (size_t i = 0; i < LEGACY_PARAMS; i++)
		if (legacy_params_specific() >> i & 1)
			list = arena_printf(&arena, "%s %s", list, legacy_param_name(i));
	ck_assert_str_eq(list,
	    " excludeInactiveControl cloudMetaDataRequired status previousStatus criticalityValues"
	    " criticalityLabels extendedEvidenceRequired qdScoreRequired statusChangedSince"
	    " assetDeploymentType assetState requireTagInfo");
}
END_TEST

START_TEST(says_so_when_the_arena_is_exhausted)
{
	static const char *const texts[] = {"nosuch=1", "status=Failed", "status=x", "policyId=1"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct arena none;
		struct legacy_asked asked;
		enum upstream_api api = i == 3 ? API_HOSTIDS : API_POSTURE_INFO;
		arena_init(&none, 0);
		ck_status(legacy_params_read(
			      &none, api, "5.0", texts[i], strlen(texts[i]), &asked, &message),
		    STATUS_NO_MEMORY);
		arena_fini(&none);
	}
}
END_TEST

/* Whatever comes, it is refused with a sentence, or makes a query that a text can be made of and that
 * reads back. */
START_TEST(random_query_strings_end_in_a_defined_way)
{
	static const char *const names[] = {"evidenceRequired", "status", "lastScanDate",
	    "policyId", "criticalityValues", "criticalityLabels", "requireTagInfo", "assetState",
	    "lastScanDateFrom", "lastScanDateTo", "extendedEvidenceRequired", "%70olicyId", "x",
	    ""};
	static const char *const values[] = {"=1", "=0", "=Failed,%20Passed", "=MEDIUM",
	    "=2026-01-01", "=ALL", "=1,2,+3", "=", "", "=%", "=\xff", "=,", "= "};
	uint64_t seed = unit_seed(29);
	struct unit_random random = {seed};
	size_t taken = 0;
	for (int round = 0; round < 30000; round++) {
		char text[256] = "";
		size_t len = 0;
		for (size_t n = unit_below(&random, 4); n > 0; n--)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%s",
			    names[unit_below(&random, ARRAY_LEN(names))],
			    values[unit_below(&random, ARRAY_LEN(values))], n > 1 ? "&" : "");
		enum upstream_api api = (enum upstream_api)unit_below(&random, API_COUNT);
		size_t most = api == API_POLICY_LIST ? 2 : 5;
		struct legacy_asked asked;
		enum status st = ask(api, versions[unit_below(&random, most)], text, &asked);
		ck_assert(st == STATUS_OK || (st == STATUS_BAD_REQUEST && message != NULL));
		taken += st == STATUS_OK && asked.params != 0;
		if (st == STATUS_OK && api != API_POSTURE_INFO && !asked.all_policies) {
			const char *canonical = canon(&asked.query);
			struct query back;
			ck_status(query_from_canon(&arena, canonical, strlen(canonical), &back),
			    STATUS_OK);
		}
		arena_reset(&arena);
	}
	ck_assert_msg(taken > 100, "seed %llu: only %zu", (unsigned long long)seed, taken);
}
END_TEST

/* --- bodies */

static enum status
post(const char *version, const char *text, struct legacy_wants *ret)
{
	message = NULL;
	return legacy_body_read(&arena, version, text, strlen(text), ret, &message);
}

/* "policy/subscription:host,host" for each want, or "/subscription:first-last,…" */
static const char *
shown(const struct legacy_wants *wants)
{
	struct buf b;
	buf_init(&b, 64 * MIB);
	for (size_t i = 0; i < wants->count; i++) {
		const struct legacy_want *w = &wants->list[i];
		buf_printf(&b, "%s%llu/%llu:", i > 0 ? " " : "", (unsigned long long)w->policy,
		    (unsigned long long)w->subscription);
		for (size_t k = 0; k < w->hosts.count; k++)
			buf_printf(
			    &b, "%s%llu", k > 0 ? "," : "", (unsigned long long)w->hosts.ids[k]);
		for (size_t k = 0; k < w->postures.count; k++)
			buf_printf(&b, "%s%llu-%llu", k > 0 ? "," : "",
			    (unsigned long long)w->postures.ranges[k].first,
			    (unsigned long long)w->postures.ranges[k].last);
	}
	const char *text = arena_dup(&arena, buf_str(&b), b.len);
	buf_fini(&b);
	return text;
}

static void
wants(const char *version, const char *text, const char *wanted)
{
	struct legacy_wants got;
	enum status st = post(version, text, &got);
	ck_assert_msg(st == STATUS_OK, "%s: %s", text, message);
	ck_assert_str_eq(shown(&got), wanted);
}

#define HOSTS(policy, hosts)                                                                       \
	"{\"policyId\":\"" policy "\",\"subscriptionId\":\"2\",\"hostIds\":[" hosts "]}"
#define POSTURES(ids) "{\"subscriptionId\":\"2\",\"postureId\":" ids "}"

static const struct {
	const char *text, *wanted;
} bodies[] = {
    {"[" HOSTS("1", "\"3\",\"4\"") "]", "1/2:3,4"},
    {"[{\"policyId\":1,\"subscriptionId\":2,\"hostIds\":[4,3]}]", "1/2:3,4"},
    {" [ { \"hostIds\" : [ \"3\" , 3 ] , \"subscriptionId\" : 2 , \"policyId\" : 1 } ] \r\n",
	"1/2:3"},
    {"[" HOSTS("9", "3") "," HOSTS("1", "5") "," HOSTS("9", "4,3") "]", "1/2:5 9/2:3,4"},
    {"[" HOSTS("1", "3") ",{\"policyId\":1,\"subscriptionId\":7,\"hostIds\":[3]}]", "1/2:3 1/7:3"},
    {"[" HOSTS("1", "") "," HOSTS("2", "3") "]", "2/2:3"},
    {"[" HOSTS("1", "") "]", ""},
    /* a resolution's answer, posted back */
    {"[{\"policyId\":\"1\",\"subscriptionId\":\"2\",\"hostIds\":[],\"error\":\"no\"}," HOSTS(
	 "3", "4") "]",
	"3/2:4"},
    {"[{\"policyId\":\"1\",\"subscriptionId\":\"2\",\"hostIds\":[\"5\"],\"error\":\"some\"}]",
	"1/2:5"},
    {"[{\"policyId\":\"1\",\"subscriptionId\":null,\"error\":\"no\"}]", ""},
    {"[{\"policyId\":\"1\",\"subscriptionId\":\"2\",\"hostIds\":[\"5\"],\"x\":[{\"hostIds\":[6]}]}"
     "]",
	"1/2:5"},
    {"[{\"policyId\":\"9223372036854775807\",\"subscriptionId\":\"2\",\"hostIds\":[1]}]",
	"9223372036854775807/2:1"},
};

START_TEST(hosts_by_policy_are_read_in_every_version)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		wants(versions[i], bodies[_i].text, bodies[_i].wanted);
}
END_TEST

static const struct {
	const char *text, *wanted;
} posture_bodies[] = {
    {"[" POSTURES("\"256743\"") "]", "0/2:256743-256743"},
    {"[" POSTURES("256743") "]", "0/2:256743-256743"},
    {"[" POSTURES("\"1,2-5, 9\"") "]", "0/2:1-5,9-9"},
    {"[" POSTURES("\" 9 ,1\"") "," POSTURES("\"2-8\"") "]", "0/2:1-9"},
    {"[" POSTURES("\"1\"") ",{\"postureId\":\"1\",\"subscriptionId\":3}]", "0/2:1-1 0/3:1-1"},
    {"[" HOSTS("1", "") "," POSTURES("\"7\"") "]", "0/2:7-7"},
};

START_TEST(postures_are_read_in_the_newest_version_alone)
{
	struct legacy_wants got;
	wants("5.0", posture_bodies[_i].text, posture_bodies[_i].wanted);
	ck_status(post("4.0", posture_bodies[_i].text, &got), STATUS_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(message, "policyId is missing in element"));
}
END_TEST

static const struct {
	const char *text, *why;
} bad_bodies[] = {
    {"", "The body has to be a JSON array of objects; it is none from byte 0 on"},
    {"{}", "The body has to be a JSON array of objects; it is none from byte 0 on"},
    {"[1]", "The body has to be a JSON array of objects; it is none from byte 1 on"},
    {"[" HOSTS("1", "3"), "The body has to be a JSON array of objects; it is none from byte 52 on"},
    {"[" HOSTS("1", "3") "] x",
	"The body has to be a JSON array of objects; it is none from byte 54 on"},
    {"[]", "The body has to have an element"},
    {"[{}]", "policyId is missing in element 1"},
    {"[" HOSTS("1", "3") ",{\"subscriptionId\":2,\"hostIds\":[3]}]",
	"policyId is missing in element 2"},
    {"[" HOSTS("x", "3") "]", "policyId has to be an ID in element 1"},
    {"[" HOSTS("0", "3") "]", "policyId has to be an ID in element 1"},
    {"[" HOSTS("9223372036854775808", "3") "]", "policyId has to be an ID in element 1"},
    {"[{\"policyId\":1,\"hostIds\":[3]}]", "subscriptionId is missing in element 1"},
    {"[{\"policyId\":1,\"subscriptionId\":\"x\",\"hostIds\":[3]}]",
	"subscriptionId has to be an ID in element 1"},
    {"[{\"policyId\":1,\"hostIds\":[3],\"error\":\"x\"}]",
	"subscriptionId is missing in element 1"},
    {"[{\"policyId\":1,\"subscriptionId\":2}]", "hostIds is missing in element 1"},
    {"[{\"policyId\":1,\"subscriptionId\":2,\"hostIds\":3}]",
	"hostIds has to be a list of IDs in element 1"},
    {"[" HOSTS("1", "\"x\"") "]", "hostIds has to be a list of IDs in element 1"},
    {"[" HOSTS("1", "3,null") "]", "hostIds has to be a list of IDs in element 1"},
    {"[" HOSTS("1", "[3]") "]", "hostIds has to be a list of IDs in element 1"},
    {"[" POSTURES("\"\"") "]", "postureId has to be a list of IDs and ranges in element 1"},
    {"[" POSTURES("null") "]", "postureId has to be a list of IDs and ranges in element 1"},
    {"[" POSTURES("[1]") "]", "postureId has to be a list of IDs and ranges in element 1"},
    {"[" POSTURES("\"5-2\"") "]", "postureId has to be a list of IDs and ranges in element 1"},
    {"[" POSTURES("\"1,\"") "]", "postureId has to be a list of IDs and ranges in element 1"},
    {"[" POSTURES("\"\\u0031\"") "]", "postureId has to be a list of IDs and ranges in element 1"},
    {"[{\"postureId\":\"1\"}]", "subscriptionId is missing in element 1"},
    {"[{\"postureId\":\"1\",\"subscriptionId\":true}]",
	"subscriptionId has to be an ID in element 1"},
    {"[{\"postureId\":\"1\",\"subscriptionId\":2,\"hostIds\":[1]}]",
	"hostIds cannot stand beside postureId in element 1"},
    {"[{\"postureId\":\"1\",\"subscriptionId\":2,\"policyId\":1}]",
	"policyId cannot stand beside postureId in element 1"},
    {"[" POSTURES("\"1\"") "," HOSTS("1", "3") "]", "hostIds and postureId exclude each other"},
    {"[{\"policyId\":1,\"policyId\":1}]",
	"The body has to be a JSON array of objects; it is none from byte 25 on"},
};

START_TEST(says_what_is_wrong_with_a_body)
{
	struct legacy_wants got;
	ck_status(post("5.0", bad_bodies[_i].text, &got), STATUS_BAD_REQUEST);
	ck_assert_str_eq(message, bad_bodies[_i].why);
}
END_TEST

static struct buf
many(const char *before, size_t count, const char *form, const char *after)
{
	struct buf b;
	buf_init(&b, 16 * MIB);
	buf_str_add(&b, before);
	for (size_t i = 1; i <= count; i++) {
		buf_str_add(&b, i > 1 ? "," : "");
		char text[128];
		/* the form is one of this file's */
		const char *hash = strchr(form, '#');
		snprintf(text, sizeof text, "%.*s%zu%s", (int)(hash - form), form, i, hash + 1);
		buf_str_add(&b, text);
	}
	buf_str_add(&b, after);
	ck_status(b.err, STATUS_OK);
	return b;
}

static enum status
post_many(const char *version, const char *before, size_t count, const char *form,
    const char *after, struct legacy_wants *ret)
{
	struct buf b = many(before, count, form, after);
	message = NULL;
	enum status st = legacy_body_read(&arena, version, b.data, b.len, ret, &message);
	buf_fini(&b);
	return st;
}

START_TEST(old_versions_have_ten_policies_a_call)
{
	static const char element[] = "{\"policyId\":#,\"subscriptionId\":2,\"hostIds\":[3]}";
	struct legacy_wants got;
	for (size_t v = 0; v < 2; v++) {
		ck_status(post_many(versions[v], "[", 10, element, "]", &got), STATUS_OK);
		ck_assert_uint_eq(got.count, 10);
		ck_status(post_many(versions[v], "[", 11, element, "]", &got), STATUS_BAD_REQUEST);
		ck_assert_str_eq(message, "A body may have at most 10 policies in this version");
	}
	ck_status(post_many("3.0", "[", 11, element, "]", &got), STATUS_OK);
	ck_assert_uint_eq(got.count, 11);
}
END_TEST

START_TEST(a_body_has_as_many_ids_as_a_query)
{
	static const char before[] = "[{\"policyId\":1,\"subscriptionId\":2,\"hostIds\":[";
	struct legacy_wants got;
	ck_status(post_many("5.0", before, LIMIT_QUERY_IDS, "#", "]}]", &got), STATUS_OK);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(got.list[0].hosts.count, LIMIT_QUERY_IDS);
	ck_status(
	    post_many("5.0", before, LIMIT_QUERY_IDS + 1, "#", "]}]", &got), STATUS_TOO_LARGE);
	ck_assert_str_eq(message, "A body may have at most 400000 IDs, a range counting its width");
	/* over all elements */
	ck_status(post_many("5.0",
		      "[" HOSTS("7", "1") ",{\"policyId\":1,\"subscriptionId\":2,"
					  "\"hostIds\":[",
		      LIMIT_QUERY_IDS, "#", "]}]", &got),
	    STATUS_TOO_LARGE);
	ck_status(post("5.0", "[" POSTURES("\"1-400000\"") "]", &got), STATUS_OK);
	ck_assert_uint_eq(got.list[0].postures.width, 400000);
	ck_status(post("5.0", "[" POSTURES("\"1-400001\"") "]", &got), STATUS_TOO_LARGE);
	ck_status(post("5.0", "[" POSTURES("\"1-400000\"") "," POSTURES("\"7\"") "]", &got),
	    STATUS_TOO_LARGE);
	ck_status(
	    post("5.0", "[" POSTURES("\"1-9223372036854775807\"") "]", &got), STATUS_TOO_LARGE);
}
END_TEST

START_TEST(a_body_is_no_larger_than_four_megabytes)
{
	struct legacy_wants got;
	struct buf b;
	buf_init(&b, 8 * MIB);
	buf_str_add(&b, "[" HOSTS("1", "3") "]");
	while (b.len < LIMIT_BODY_BYTES)
		buf_byte(&b, ' ');
	ck_status(legacy_body_read(&arena, "5.0", b.data, b.len, &got, &message), STATUS_OK);
	buf_byte(&b, ' ');
	ck_status(legacy_body_read(&arena, "5.0", b.data, b.len, &got, &message), STATUS_TOO_LARGE);
	ck_assert_str_eq(message, "The body is larger than 4 MB");
	buf_fini(&b);
}
END_TEST

/* The most of each that fits into a body, in the arena of a request. */
START_TEST(the_largest_bodies_stay_in_the_arena)
{
	struct legacy_wants got;
	ck_status(post_many("5.0", "[", 80000,
		      "{\"policyId\":#,\"subscriptionId\":2,\"hostIds\":[1]}", "]", &got),
	    STATUS_OK);
	ck_assert_uint_eq(got.count, 80000);
	arena_reset(&arena);
	ck_status(post_many("5.0", "[", 90000, "{\"subscriptionId\":#,\"postureId\":1}", "]", &got),
	    STATUS_OK);
	ck_assert_uint_eq(got.count, 90000);
}
END_TEST

START_TEST(deep_bodies_are_refused)
{
	char text[512];
	struct legacy_wants got;
	size_t len = (size_t)snprintf(text, sizeof text, "[{\"x\":");
	memset(text + len, '[', 100);
	text[len + 100] = '\0';
	ck_status(post("5.0", text, &got), STATUS_BAD_REQUEST);
	ck_assert_str_eq(message, "The body nests too deep, or an element has too many members");
}
END_TEST

START_TEST(mutated_bodies_end_in_a_defined_way)
{
	static const char *const whole[] = {"[" HOSTS("1", "\"3\",\"4\"") "," HOSTS("5", "6") "]",
	    "[" POSTURES("\"1,2-5, 9\"") ",{\"subscriptionId\":3,\"postureId\":7}]"};
	static const char alphabet[] = "{}[]\",:\\-0123 unle\x00\xff";
	uint64_t seed = unit_seed(43);
	struct unit_random random = {seed};
	size_t taken = 0;
	for (int round = 0; round < 20000; round++) {
		const char *from = whole[unit_below(&random, 2)];
		size_t len = strlen(from) - unit_below(&random, 2) * unit_below(&random, 20);
		char *text = malloc(len);
		struct legacy_wants got;
		ck_assert_ptr_nonnull(text);
		memcpy(text, from, len);
		for (size_t n = unit_below(&random, 4); n > 0; n--)
			text[unit_below(&random, len)] =
			    alphabet[unit_below(&random, sizeof alphabet - 1)];
		message = NULL;
		enum status st = legacy_body_read(
		    &arena, versions[unit_below(&random, 5)], text, len, &got, &message);
		ck_assert(
		    st == STATUS_OK ||
		    ((st == STATUS_BAD_REQUEST || st == STATUS_TOO_LARGE) && message != NULL));
		for (size_t i = 0; st == STATUS_OK && i < got.count; i++) {
			const struct legacy_want *w = &got.list[i];
			ck_assert(
			    (w->policy != 0 && w->hosts.count > 0) != (w->postures.count > 0));
			ck_assert_uint_ne(w->subscription, 0);
		}
		taken += st == STATUS_OK;
		free(text);
		arena_reset(&arena);
	}
	ck_assert_msg(taken > 1000, "seed %llu: %zu", (unsigned long long)seed, taken);
}
END_TEST

/* --- lists */

#define POLICY(id, rest)                                                                           \
	"{\"id\":" id ",\"title\":\"A \\\"b\\\"\",\"status\":\"active\"," rest                     \
	"\"lastEvaluatedDate\":null,\"subscriptionId\":12"
#define RECORD(id)                                                                                 \
	POLICY(id, "\"locked\":false,\"createdBy\":\"ann\",\"createdDate\":"                       \
		   "\"2023-01-02T03:04:05Z\",\"modifiedBy\":null,\"modifiedDate\":null,")

/* A text that is taken away in pieces, as a sender does. */
struct pieces {
	size_t piece_bytes; /* at least so many in each but the last */
	struct buf piece, text;
};

static void
pieces_init(struct pieces *p, size_t piece_bytes)
{
	p->piece_bytes = piece_bytes;
	buf_init(&p->piece, MIB);
	buf_init(&p->text, MIB);
}

static void
take_piece(struct pieces *p, bool last)
{
	ck_status(p->piece.err, STATUS_OK);
	ck_assert(last || p->piece.len >= p->piece_bytes);
	buf_add(&p->text, p->piece.data, p->piece.len);
	buf_reset(&p->piece);
}

static const char *
pieces_end(struct pieces *p)
{
	take_piece(p, true);
	ck_status(p->text.err, STATUS_OK);
	const char *text = arena_dup(&arena, p->text.data, p->text.len);
	buf_fini(&p->piece);
	buf_fini(&p->text);
	return text;
}

static void
add_policy(struct legacy_policies *w, const char *record, size_t len, struct pieces *p)
{
	enum status st;
	while ((st = legacy_policies_add(w, record, len, &p->piece)) == STATUS_OVERFLOW)
		take_piece(p, false);
	ck_status(st, STATUS_OK);
}

static const char *
end_policies(struct legacy_policies *w, struct pieces *p)
{
	while (!legacy_policies_end(w, &p->piece))
		take_piece(p, false);
	return pieces_end(p);
}

static const char *
policies_in(size_t piece_bytes, uint64_t subscription, const char *const *records)
{
	struct legacy_policies w;
	struct pieces p;
	pieces_init(&p, piece_bytes);
	legacy_policies_init(&w, subscription, piece_bytes);
	for (; *records != NULL; records++)
		add_policy(&w, *records, strlen(*records), &p);
	return end_policies(&w, &p);
}

static const char *
policies_of(uint64_t subscription, const char *const *records)
{
	return policies_in(MIB, subscription, records);
}
#define POLICIES(subscription, ...)                                                                \
	policies_of((subscription), (const char *const[]){__VA_ARGS__ NULL})

START_TEST(a_policy_list_is_as_the_upstream_has_it)
{
	ck_assert_str_eq(
	    POLICIES(7, RECORD("31") "}",
		POLICY("5", "\"locked\":true,\"createdBy\":null,\"createdDate\":\"soon\","
			    "\"modifiedBy\":\"x\",\"modifiedDate\":null,") "}", ),
	    "{\"subscriptionId\":12,\"policyList\":[{\"id\":31,\"title\":\"A \\\"b\\\"\","
	    "\"createdBy\":\"ann\",\"createdDate\":\"2023-01-02T03:04:05Z\",\"modifiedBy\":null,"
	    "\"modifiedDate\":\"\",\"lastEvaluatedDate\":\"\",\"status\":\"active\",\"locked\":0},"
	    "{\"id\":5,\"title\":\"A \\\"b\\\"\",\"createdBy\":null,\"createdDate\":\"soon\","
	    "\"modifiedBy\":\"x\",\"modifiedDate\":\"\",\"lastEvaluatedDate\":\"\","
	    "\"status\":\"active\",\"locked\":1}]}");
}
END_TEST

START_TEST(tags_go_by_the_documented_name)
{
	const char *with = POLICIES(0, RECORD("31") ",\"tags\":{\"includeTags\":[]}}", );
	ck_assert_ptr_nonnull(
	    strstr(with, "\"locked\":0,\"requireTagInfo\":{\"includeTags\":[]}}]}"));
	ck_assert_ptr_null(strstr(POLICIES(0, RECORD("31") ",\"tags\":null}", ), "Tag"));
}
END_TEST

START_TEST(no_policies_is_a_list_without_any)
{
	ck_assert_str_eq(POLICIES(7, ), "{\"subscriptionId\":7,\"policyList\":[]}");
	ck_assert_str_eq(POLICIES(0, ), "{\"subscriptionId\":null,\"policyList\":[]}");
	ck_assert_str_eq(POLICIES(7, "{\"id\":1,\"subscriptionId\":null}", ),
	    "{\"subscriptionId\":7,\"policyList\":[{\"id\":1,\"title\":null,\"createdBy\":null,"
	    "\"createdDate\":null,\"modifiedBy\":null,\"modifiedDate\":null,"
	    "\"lastEvaluatedDate\":null,\"status\":null,\"locked\":null}]}");
}
END_TEST

/* What the upstream says, kept and told again. */
struct round_trip {
	const struct listing *list;
	struct legacy_policies w;
	struct pieces pieces;
	bool tags;
};

static enum status
tell_again(void *ctx, const struct split_record *rec)
{
	struct round_trip *t = ctx;
	struct row row;
	struct buf body;
	buf_init(&body, MIB);
	enum status st = listing_policy(rec, t->list->subscription, t->tags, &body, &row);
	if (st == STATUS_OK)
		add_policy(&t->w, body.data, body.len, &t->pieces);
	buf_fini(&body);
	return st;
}

START_TEST(what_the_upstream_said_is_told_again_byte_by_byte)
{
	static const char text[] =
	    "{\"subscriptionId\":263191,\"policyList\":[{\"id\":31,\"title\":\"One\",\"createdBy\":"
	    "\"a\",\"createdDate\":\"2023-01-02T03:04:05Z\",\"modifiedBy\":\"b\",\"modifiedDate\":"
	    "\"2024-01-02T03:04:05Z\",\"lastEvaluatedDate\":\"\",\"status\":\"inactive\","
	    "\"locked\":1,\"requireTagInfo\":{\"includeTags\":[{\"id\":1,\"name\":\"},{\"}]}},"
	    "{\"id\":4,\"title\":\"\",\"createdBy\":\"a\",\"createdDate\":\"2023-01-02T03:04:05Z\","
	    "\"modifiedBy\":\"\",\"modifiedDate\":\"\",\"lastEvaluatedDate\":"
	    "\"2025-01-02T03:04:05Z\",\"status\":\"active\",\"locked\":0}]}";
	struct listing list;
	struct round_trip t = {.list = &list, .tags = true};
	pieces_init(&t.pieces, MIB);
	legacy_policies_init(&t.w, 0, MIB);
	ck_status(listing_open(text, sizeof text - 1, &list), STATUS_OK);
	ck_status(listing_each(&list, tell_again, &t), STATUS_OK);
	ck_assert_str_eq(end_policies(&t.w, &t.pieces), text);
}
END_TEST

struct pair {
	uint64_t policy, host;
};

static const char *
hosts_in(size_t piece_bytes, const struct id_list *policies, const struct id_list *errors,
    uint64_t subscription, const struct pair *pairs, size_t count)
{
	struct legacy_hosts w;
	struct pieces p;
	struct buf record;
	struct row row;
	enum status st;
	pieces_init(&p, piece_bytes);
	buf_init(&record, KIB);
	legacy_hosts_init(&w, policies, errors, subscription, piece_bytes);
	for (size_t i = 0; i < count; i++) {
		buf_reset(&record);
		ck_status(
		    listing_host(pairs[i].policy, 12, pairs[i].host, &record, &row), STATUS_OK);
		while ((st = legacy_hosts_add(&w, record.data, record.len, &p.piece)) ==
		       STATUS_OVERFLOW)
			take_piece(&p, false);
		ck_status(st, STATUS_OK);
	}
	while (!legacy_hosts_end(&w, &p.piece))
		take_piece(&p, false);
	buf_fini(&record);
	return pieces_end(&p);
}

static const char *
hosts_of(const struct id_list *policies, const struct id_list *errors, uint64_t subscription,
    const struct pair *pairs, size_t count)
{
	return hosts_in(MIB, policies, errors, subscription, pairs, count);
}

static const uint64_t policy_ids[] = {1, 3, 5, 7, 9};
#define LIST(count) (&(struct id_list){policy_ids, (count)})
#define NONE (&(struct id_list){NULL, 0})

START_TEST(hosts_stand_below_their_policies)
{
	static const struct pair pairs[] = {{1, 10}, {1, 11}, {3, 10}};
	ck_assert_str_eq(hosts_of(LIST(2), NONE, 0, pairs, 3),
	    "[{\"policyId\":\"1\",\"subscriptionId\":\"12\",\"hostIds\":[\"10\",\"11\"]},"
	    "{\"policyId\":\"3\",\"subscriptionId\":\"12\",\"hostIds\":[\"10\"]}]");
}
END_TEST

START_TEST(every_policy_that_was_asked_for_is_answered)
{
	static const struct pair pairs[] = {{3, 10}, {4, 1}, {7, 11}};
	static const uint64_t failed[] = {5, 7};
	ck_assert_str_eq(hosts_of(LIST(5), &(struct id_list){failed, 2}, 8, pairs, 3),
	    "[{\"policyId\":\"1\",\"subscriptionId\":\"8\",\"hostIds\":[]},"
	    "{\"policyId\":\"3\",\"subscriptionId\":\"12\",\"hostIds\":[\"10\"]},"
	    "{\"policyId\":\"5\",\"subscriptionId\":\"12\",\"hostIds\":[],\"error\":"
	    "\"The hosts of this policy could not be resolved\"},"
	    "{\"policyId\":\"7\",\"subscriptionId\":\"12\",\"hostIds\":[\"11\"],\"error\":"
	    "\"The hosts of this policy could not be resolved\"},"
	    "{\"policyId\":\"9\",\"subscriptionId\":\"12\",\"hostIds\":[]}]");
	ck_assert_str_eq(hosts_of(LIST(0), NONE, 8, NULL, 0), "[]");
	ck_assert_str_eq(hosts_of(LIST(1), NONE, 0, NULL, 0),
	    "[{\"policyId\":\"1\",\"subscriptionId\":null,\"hostIds\":[]}]");
}
END_TEST

START_TEST(records_that_are_none_are_damage)
{
	static const char *const bad[] = {"", "{}", "{", "7", "{\"policyId\":1}",
	    "{\"policyId\":1,\"hostId\":0}", "{\"policyId\":null,\"hostId\":1}"};
	struct legacy_hosts w;
	struct legacy_policies p;
	struct buf out;
	buf_init(&out, MIB);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		legacy_hosts_init(&w, LIST(2), NONE, 0, MIB);
		ck_status(legacy_hosts_add(&w, bad[i], strlen(bad[i]), &out), STATUS_CORRUPT);
		legacy_policies_init(&p, 0, MIB);
		ck_status(legacy_policies_add(&p, bad[i], strlen(bad[i]), &out), STATUS_CORRUPT);
	}
	/* out of order: a policy would stand there twice */
	legacy_hosts_init(&w, LIST(2), NONE, 0, MIB);
	ck_status(legacy_hosts_add(&w, "{\"policyId\":3,\"hostId\":1}", 25, &out), STATUS_OK);
	ck_status(legacy_hosts_add(&w, "{\"policyId\":1,\"hostId\":1}", 25, &out), STATUS_CORRUPT);
	buf_fini(&out);
}
END_TEST

START_TEST(wherever_a_list_is_cut_it_is_the_same_text)
{
	static const struct pair pairs[] = {{3, 10}, {3, 11}, {4, 1}, {7, 11}, {7, 12}};
	static const char *const records[] = {
	    RECORD("31") "}", POLICY("5", "\"locked\":true,") ",\"tags\":{}}", "{\"id\":1}", NULL};
	static const char *const none[] = {NULL};
	size_t piece_bytes = (size_t)_i + 1;
	/* policies without hosts stand before, between and behind */
	for (size_t count = 0; count <= ARRAY_LEN(pairs); count++)
		ck_assert_str_eq(hosts_in(piece_bytes, LIST(5), LIST(3), 8, pairs, count),
		    hosts_of(LIST(5), LIST(3), 8, pairs, count));
	ck_assert_str_eq(hosts_in(piece_bytes, LIST(0), NONE, 8, NULL, 0), "[]");
	ck_assert_str_eq(policies_in(piece_bytes, 7, records), policies_of(7, records));
	ck_assert_str_eq(policies_in(piece_bytes, 7, none), policies_of(7, none));
}
END_TEST

#define MANY_POLICIES 20000

START_TEST(a_piece_is_no_longer_for_policies_without_hosts)
{
	struct legacy_hosts w;
	struct buf piece;
	static uint64_t ids[MANY_POLICIES];
	const struct id_list all = {ids, MANY_POLICIES};
	size_t pieces = 1;
	for (uint64_t i = 0; i < MANY_POLICIES; i++)
		ids[i] = i + 1;
	buf_init(&piece, 2 * KIB); /* room for one beyond the piece */
	legacy_hosts_init(&w, &all, &all, 8, KIB);
	static const char last[] = "{\"policyId\":20000,\"hostId\":1}";
	for (; legacy_hosts_add(&w, last, sizeof last - 1, &piece) == STATUS_OVERFLOW; pieces++)
		buf_reset(&piece);
	ck_assert(legacy_hosts_end(&w, &piece));
	ck_status(piece.err, STATUS_OK);
	ck_assert_uint_gt(pieces, MANY_POLICIES / 20);
	buf_fini(&piece);
}
END_TEST

/* What is told is read back by the reader of bodies as the same hosts. */
START_TEST(an_answer_posted_back_asks_for_the_same_hosts)
{
	uint64_t seed = unit_seed(47);
	struct unit_random random = {seed};
	for (int round = 0; round < 500; round++) {
		struct pair pairs[40];
		size_t count = 0;
		struct buf wanted;
		struct legacy_wants got;
		buf_init(&wanted, MIB);
		for (size_t i = 0; i < ARRAY_LEN(policy_ids); i++) {
			size_t hosts = unit_below(&random, 4);
			for (size_t k = 1; k <= hosts; k++) {
				pairs[count++] = (struct pair){policy_ids[i], k};
				if (k == 1)
					buf_printf(&wanted, "%s%d/12:1", wanted.len > 0 ? " " : "",
					    (int)policy_ids[i]);
				else
					buf_printf(&wanted, ",%d", (int)k);
			}
		}
		const char *text = hosts_of(LIST(5), LIST(unit_below(&random, 3)), 8, pairs, count);
		ck_status(post(versions[unit_below(&random, 5)], text, &got), STATUS_OK);
		ck_assert_msg(strcmp(shown(&got), buf_str(&wanted)) == 0, "seed %llu: %s",
		    (unsigned long long)seed, text);
		buf_fini(&wanted);
		arena_reset(&arena);
	}
}
END_TEST

static void
add_params(Suite *s)
{
	TCase *t = tcase_create("params");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_asked_is_the_vendors_default);
	tcase_add_loop_test(
	    t, each_version_has_its_parameters_and_no_others, 0, ARRAY_LEN(documented));
	tcase_add_test(t, evidence_is_extended_unless_the_newest_version_says_otherwise);
	tcase_add_test(t, a_window_of_scans_includes_both_days);
	tcase_add_loop_test(t, says_in_a_sentence_what_is_refused, 0, ARRAY_LEN(refusals));
	tcase_add_test(t, shows_no_more_than_the_beginning_of_an_unknown_name);
	tcase_add_test(t, newer_versions_take_any_number_of_policies);
	tcase_add_test(t, empty_pairs_are_passed_over);
	tcase_add_test(t, the_report_knows_what_was_given);
	tcase_add_test(t, says_so_when_the_arena_is_exhausted);
	tcase_add_test(t, random_query_strings_end_in_a_defined_way);
	suite_add_tcase(s, t);
}

static void
add_body(Suite *s)
{
	TCase *t = tcase_create("body");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, hosts_by_policy_are_read_in_every_version, 0, ARRAY_LEN(bodies));
	tcase_add_loop_test(
	    t, postures_are_read_in_the_newest_version_alone, 0, ARRAY_LEN(posture_bodies));
	tcase_add_loop_test(t, says_what_is_wrong_with_a_body, 0, ARRAY_LEN(bad_bodies));
	tcase_add_test(t, old_versions_have_ten_policies_a_call);
	tcase_add_test(t, a_body_has_as_many_ids_as_a_query);
	tcase_add_test(t, a_body_is_no_larger_than_four_megabytes);
	tcase_add_test(t, the_largest_bodies_stay_in_the_arena);
	tcase_add_test(t, deep_bodies_are_refused);
	tcase_add_test(t, mutated_bodies_end_in_a_defined_way);
	suite_add_tcase(s, t);
}

static void
add_lists(Suite *s)
{
	TCase *t = tcase_create("lists");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_policy_list_is_as_the_upstream_has_it);
	tcase_add_test(t, tags_go_by_the_documented_name);
	tcase_add_test(t, no_policies_is_a_list_without_any);
	tcase_add_test(t, what_the_upstream_said_is_told_again_byte_by_byte);
	tcase_add_test(t, hosts_stand_below_their_policies);
	tcase_add_test(t, every_policy_that_was_asked_for_is_answered);
	tcase_add_test(t, records_that_are_none_are_damage);
	tcase_add_loop_test(t, wherever_a_list_is_cut_it_is_the_same_text, 0, 600);
	tcase_add_test(t, a_piece_is_no_longer_for_policies_without_hosts);
	tcase_add_test(t, an_answer_posted_back_asks_for_the_same_hosts);
	suite_add_tcase(s, t);
}

int
main(void)
{
	Suite *s = suite_create("legacy");
	add_params(s);
	add_body(s);
	add_lists(s);
	return unit_run(s);
}
