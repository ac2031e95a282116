/* From queries to upstream calls, and what a resolution's element says. */
#include "config.h"

#include <string.h>

#include "gateway/fetch/plan.h"
#include "tests/unit/unit.h"

static struct query
empty_query(void)
{
	return (struct query){.evaluated_since = DATE_NONE,
	    .scanned_since = DATE_NONE,
	    .scanned_from = DATE_NONE,
	    .scanned_to = DATE_NONE,
	    .changed_since = DATE_NONE};
}

static const struct dialect *
dialect(void)
{
	return versions_dialect("5.0");
}

static void
posture_path_is(const struct query *q, const char *wanted)
{
	struct buf b;
	buf_init(&b, 4096);
	plan_posture_path(dialect(), q, &b);
	ck_assert_str_eq(buf_str(&b), wanted);
	buf_fini(&b);
}

START_TEST(a_plain_query_writes_every_default_out)
{
	struct query q = empty_query();
	posture_path_is(&q, "/pcrs/5.0/posture/postureInfo?compressionRequired=1&evidenceRequired=0"
			    "&excludeInactiveControl=0&cloudMetaDataRequired=0&qdScoreRequired=0");
}
END_TEST

START_TEST(every_filter_is_pushed_upstream)
{
	struct query q = empty_query();
	q.evidence = EVIDENCE_EXTENDED;
	q.cloud = q.qds = q.exclude_inactive = true;
	q.status = STATUS_BIT_PASSED | STATUS_BIT_ERROR;
	q.previous_status = STATUS_BIT_FAILED;
	q.criticality = CRITICALITY_BIT(0) | CRITICALITY_BIT(5);
	q.evaluated_since = 0;
	q.scanned_from = 86400;
	q.scanned_to = 86400 * 2 - 1;
	q.changed_since = 1;
	posture_path_is(&q,
	    "/pcrs/5.0/posture/postureInfo?compressionRequired=1&evidenceRequired=1"
	    "&extendedEvidenceRequired=1&excludeInactiveControl=1&cloudMetaDataRequired=1"
	    "&qdScoreRequired=1&status=Passed,Error&previousStatus=Failed"
	    "&criticalityValues=0,5&lastEvaluationDate=1970-01-01T00:00:00Z"
	    "&lastScanDateFrom=1970-01-02T00:00:00Z&lastScanDateTo=1970-01-02T23:59:59Z"
	    "&statusChangedSince=1970-01-01T00:00:01Z");
}
END_TEST

START_TEST(basic_evidence_says_that_it_is_not_extended)
{
	struct query q = empty_query();
	q.evidence = EVIDENCE_BASIC;
	q.scanned_since = 60;
	posture_path_is(&q,
	    "/pcrs/5.0/posture/postureInfo?compressionRequired=1&evidenceRequired=1"
	    "&extendedEvidenceRequired=0&excludeInactiveControl=0&cloudMetaDataRequired=0"
	    "&qdScoreRequired=0&lastScanDate=1970-01-01T00:01:00Z");
}
END_TEST

START_TEST(what_a_query_needs_of_a_version)
{
	struct query q = empty_query();
	struct id_range one = {1, 1};
	ck_assert_uint_eq(plan_needs(&q), 0);
	q.assets = ASSETS_ALL;
	q.postures = (struct id_ranges){&one, 1, 1};
	q.evidence = EVIDENCE_BASIC;
	q.qds = q.cloud = q.exclude_inactive = true;
	q.criticality = 1;
	ck_assert_uint_eq(plan_needs(&q), CAN_SCA | CAN_POSTURE_IDS | CAN_BASIC_EVIDENCE | CAN_QDS |
					      CAN_CLOUD | CAN_INACTIVE | CAN_STATUS);
}
END_TEST

START_TEST(bodies_have_their_ids_as_strings)
{
	static const uint64_t hosts[] = {7, 9223372036854775807};
	static const struct id_range ranges[] = {{1, 1}, {5, 9}};
	struct buf b;
	buf_init(&b, 4096);
	plan_hosts_body(1, 2, hosts, 2, &b);
	ck_assert_str_eq(buf_str(&b),
	    "[{\"policyId\":\"1\",\"subscriptionId\":\"2\",\"hostIds\":[\"7\","
	    "\"9223372036854775807\"]}]");
	buf_reset(&b);
	plan_postures_body(3, ranges, 2, &b);
	ck_assert_str_eq(buf_str(&b), "[{\"subscriptionId\":\"3\",\"postureId\":\"1,5-9\"}]");
	buf_reset(&b);
	struct query q = empty_query();
	plan_resolve_path(dialect(), &q, hosts, 2, &b);
	ck_assert_str_eq(buf_str(&b), "/pcrs/5.0/posture/hostids?policyId=7,9223372036854775807");
	buf_fini(&b);
}
END_TEST

/* An element made of members given as name, value, …, NULL. */
static enum status
read_element(struct plan_resolved *ret, const char *const *members)
{
	struct split_member list[8];
	struct split_record rec = {.members = list};
	for (; *members != NULL; members += 2)
		list[rec.count++] = (struct split_member){members[0], (uint32_t)strlen(members[0]),
		    (uint32_t)strlen(members[1]), members[1]};
	return plan_read_resolved(&rec, ret);
}
#define READ(ret, ...) read_element((ret), (const char *const[]){__VA_ARGS__, NULL})

START_TEST(an_element_is_read_with_ids_quoted_or_not)
{
	struct plan_resolved r;
	ck_status(
	    READ(&r, "policyId", "\"10\"", "subscriptionId", "20", "hostIds", "[\"3\", 4 ,\"3\"]"),
	    STATUS_OK);
	ck_assert_uint_eq(r.policy, 10);
	ck_assert_uint_eq(r.subscription, 20);
	ck_assert_uint_eq(r.host_count, 3);
	ck_assert_uint_eq(r.hosts[1], 4);
	ck_assert(!r.error);
	free(r.hosts);
}
END_TEST

START_TEST(no_hosts_is_an_answer_and_no_answer_is_not)
{
	struct plan_resolved r;
	ck_status(READ(&r, "policyId", "1", "subscriptionId", "2", "hostIds", "[]"), STATUS_OK);
	ck_assert_uint_eq(r.host_count, 0);
	free(r.hosts);
	ck_status(READ(&r, "policyId", "1", "subscriptionId", "2"), STATUS_UPSTREAM_MALFORMED);
	ck_status(READ(&r, "policyId", "1", "subscriptionId", "2", "hostIds", "null"),
	    STATUS_UPSTREAM_MALFORMED);
	ck_status(READ(&r, "policyId", "1", "hostIds", "[1]"), STATUS_UPSTREAM_MALFORMED);
	ck_status(READ(&r, "subscriptionId", "1", "hostIds", "[1]"), STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(an_in_band_error_is_kept_beside_the_hosts)
{
	struct plan_resolved r;
	ck_status(READ(&r, "policyId", "1", "error", "\"no\""), STATUS_OK);
	ck_assert(r.error);
	ck_status(READ(&r, "policyId", "1", "subscriptionId", "2", "hostIds", "[\"5\"]", "error",
		      "\"some\""),
	    STATUS_OK);
	ck_assert(r.error);
	ck_assert_uint_eq(r.host_count, 1);
	free(r.hosts);
	ck_status(
	    READ(&r, "policyId", "1", "subscriptionId", "2", "hostIds", "[]", "error", "null"),
	    STATUS_OK);
	ck_assert(!r.error);
	free(r.hosts);
}
END_TEST

static const char *const bad_hosts[] = {"[0]", "[-1]", "[\"x\"]", "[1.5]", "[9223372036854775808]",
    "{}", "\"1\"", "[\"\"]", "[[1]]", "[null]", "[01]"};

START_TEST(a_host_that_is_no_id_spoils_the_answer)
{
	struct plan_resolved r;
	ck_status(READ(&r, "policyId", "1", "subscriptionId", "2", "hostIds", bad_hosts[_i]),
	    STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(a_policy_list_is_asked_with_its_date)
{
	struct query q = empty_query();
	struct buf b;
	buf_init(&b, 4096);
	plan_policies_path(dialect(), &q, &b);
	ck_assert_str_eq(buf_str(&b), "/pcrs/2.0/posture/policy/list");
	buf_reset(&b);
	q.evaluated_since = 86399;
	plan_policies_path(dialect(), &q, &b);
	ck_assert_str_eq(
	    buf_str(&b), "/pcrs/2.0/posture/policy/list?lastEvaluationDate=1970-01-01T23:59:59Z");
	buf_fini(&b);
}
END_TEST

START_TEST(a_policy_list_is_asked_with_its_tags)
{
	struct query q = empty_query();
	struct buf b;
	buf_init(&b, 4096);
	q.tags = true;
	plan_policies_path(dialect(), &q, &b);
	ck_assert_str_eq(buf_str(&b), "/pcrs/2.0/posture/policy/list?requireTagInfo=1");
	buf_reset(&b);
	q.evaluated_since = 0;
	plan_policies_path(dialect(), &q, &b);
	ck_assert_str_eq(buf_str(&b),
	    "/pcrs/2.0/posture/policy/list?lastEvaluationDate=1970-01-01T00:00:00Z"
	    "&requireTagInfo=1");
	buf_fini(&b);
}
END_TEST

/* A query for hosts in which everything is given. */
static struct query
hosts_query(void)
{
	struct query q = empty_query();
	q.kind = KIND_HOSTS;
	q.scanned_since = 86400;
	q.changed_since = 1;
	q.deployment = DEPLOYMENT_CLOUD;
	q.state = STATE_TERMINATED;
	return q;
}

static const struct {
	const char *version, *path;
} resolutions[] = {
    {"1.0", "/pcrs/1.0/posture/hostids?policyId=7&lastScanDate=1970-01-02T00:00:00Z"},
    {"2.0", "/pcrs/2.0/posture/hostids?policyId=7&lastScanDate=1970-01-02T00:00:00Z"},
    {"3.0", "/pcrs/3.0/posture/hostids?policyId=7&lastScanDate=1970-01-02T00:00:00Z"
	    "&statusChangedSince=1970-01-01T00:00:01Z"},
    {"4.0", "/pcrs/4.0/posture/hostids?policyId=7&lastScanDate=1970-01-02T00:00:00Z"
	    "&statusChangedSince=1970-01-01T00:00:01Z"},
    {"5.0", "/pcrs/5.0/posture/hostids?policyId=7&lastScanDate=1970-01-02T00:00:00Z"
	    "&statusChangedSince=1970-01-01T00:00:01Z&assetDeploymentType=CLOUD"
	    "&assetState=TERMINATED"},
};

START_TEST(hosts_are_asked_for_with_what_the_version_knows)
{
	static const uint64_t policy = 7;
	struct query q = hosts_query();
	struct buf b;
	buf_init(&b, 4096);
	plan_resolve_path(versions_dialect(resolutions[_i].version), &q, &policy, 1, &b);
	ck_assert_str_eq(buf_str(&b), resolutions[_i].path);
	buf_fini(&b);
}
END_TEST

START_TEST(every_word_of_hosts_has_its_own_upstream)
{
	static const uint64_t policy = 7;
	struct query q = empty_query();
	struct buf b;
	buf_init(&b, 4096);
	q.kind = KIND_HOSTS;
	plan_resolve_path(dialect(), &q, &policy, 1, &b);
	ck_assert_str_eq(buf_str(&b), "/pcrs/5.0/posture/hostids?policyId=7");
	buf_reset(&b);
	q.deployment = DEPLOYMENT_ON_PREM;
	plan_resolve_path(dialect(), &q, &policy, 1, &b);
	ck_assert_str_eq(
	    buf_str(&b), "/pcrs/5.0/posture/hostids?policyId=7&assetDeploymentType=ON-PREM");
	buf_reset(&b);
	q.deployment = DEPLOYMENT_ALL;
	q.state = STATE_ACTIVE;
	plan_resolve_path(dialect(), &q, &policy, 1, &b);
	ck_assert_str_eq(buf_str(&b), "/pcrs/5.0/posture/hostids?policyId=7&assetState=ACTIVE");
	buf_fini(&b);
}
END_TEST

/* Else a posture whose host was scanned long ago would be missing from what is kept. */
START_TEST(filters_of_postures_leave_no_host_out)
{
	static const uint64_t policy = 7;
	struct query q = hosts_query();
	struct buf b;
	buf_init(&b, 4096);
	q.kind = KIND_POSTURES;
	plan_resolve_path(dialect(), &q, &policy, 1, &b);
	ck_assert_str_eq(buf_str(&b), "/pcrs/5.0/posture/hostids?policyId=7");
	buf_fini(&b);
}
END_TEST

START_TEST(what_a_query_for_hosts_needs_of_a_version)
{
	struct query q = empty_query();
	q.kind = KIND_HOSTS;
	q.scanned_since = 0;
	ck_assert_uint_eq(plan_needs(&q), 0);
	q.changed_since = 0;
	ck_assert_uint_eq(plan_needs(&q), CAN_HOST_CHANGED);
	q.state = STATE_ACTIVE;
	ck_assert_uint_eq(plan_needs(&q), CAN_HOST_CHANGED | CAN_HOST_STATE);
	q.assets = ASSETS_ALL;
	ck_assert_uint_eq(plan_needs(&q), CAN_HOST_CHANGED | CAN_HOST_STATE | CAN_SCA);
	q = empty_query();
	q.kind = KIND_HOSTS;
	q.deployment = DEPLOYMENT_CLOUD;
	ck_assert_uint_eq(plan_needs(&q), CAN_HOST_STATE);
	/* every version of postureInfo has it */
	q = empty_query();
	q.changed_since = 0;
	ck_assert_uint_eq(plan_needs(&q), 0);
}
END_TEST

START_TEST(a_resolution_has_as_many_policies_as_its_version_takes)
{
	struct dialect ten = *dialect();
	ten.policies_per_resolve = 10;
	ck_assert_uint_eq(plan_resolve_chunk(&ten), 10);
	/* where no limit is stated, a URL of 19-digit IDs stays short enough for any proxy */
	size_t most = plan_resolve_chunk(dialect());
	uint64_t ids[1024];
	struct buf b;
	buf_init(&b, 8192);
	ck_assert_uint_gt(most, 10);
	ck_assert_uint_le(most, ARRAY_LEN(ids));
	for (size_t i = 0; i < most; i++)
		ids[i] = INT64_MAX - i;
	struct query q = empty_query();
	plan_resolve_path(dialect(), &q, ids, most, &b);
	ck_status(b.err, STATUS_OK);
	ck_assert_uint_lt(b.len, 4200);
	buf_fini(&b);
}
END_TEST

START_TEST(whatever_leaves_records_out_is_a_filter)
{
	static const struct id_range range = {7, 9};
	struct query q = empty_query();
	ck_assert(plan_is_unfiltered(&q));
	q.evidence = EVIDENCE_EXTENDED;
	q.cloud = q.qds = q.exclude_inactive = true;
	ck_assert(plan_is_unfiltered(&q));
	q.postures = (struct id_ranges){&range, 1, 3};
	ck_assert(!plan_is_unfiltered(&q));
	q = empty_query();
	q.status = STATUS_BIT_FAILED;
	ck_assert(!plan_is_unfiltered(&q));
	q = empty_query();
	q.changed_since = 0;
	ck_assert(!plan_is_unfiltered(&q));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plan");
	TCase *t = tcase_create("plan");
	tcase_add_test(t, a_plain_query_writes_every_default_out);
	tcase_add_test(t, every_filter_is_pushed_upstream);
	tcase_add_test(t, basic_evidence_says_that_it_is_not_extended);
	tcase_add_test(t, what_a_query_needs_of_a_version);
	tcase_add_test(t, bodies_have_their_ids_as_strings);
	tcase_add_test(t, an_element_is_read_with_ids_quoted_or_not);
	tcase_add_test(t, no_hosts_is_an_answer_and_no_answer_is_not);
	tcase_add_test(t, an_in_band_error_is_kept_beside_the_hosts);
	tcase_add_loop_test(t, a_host_that_is_no_id_spoils_the_answer, 0, ARRAY_LEN(bad_hosts));
	tcase_add_test(t, a_policy_list_is_asked_with_its_date);
	tcase_add_test(t, a_policy_list_is_asked_with_its_tags);
	tcase_add_loop_test(
	    t, hosts_are_asked_for_with_what_the_version_knows, 0, ARRAY_LEN(resolutions));
	tcase_add_test(t, every_word_of_hosts_has_its_own_upstream);
	tcase_add_test(t, filters_of_postures_leave_no_host_out);
	tcase_add_test(t, what_a_query_for_hosts_needs_of_a_version);
	tcase_add_test(t, a_resolution_has_as_many_policies_as_its_version_takes);
	tcase_add_test(t, whatever_leaves_records_out_is_a_filter);
	suite_add_tcase(s, t);
	return unit_run(s);
}
