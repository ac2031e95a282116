/* There and back: each fix-up by table, then records made at random. */
#include "config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/fetch/normalise.h"
#include "tests/unit/unit.h"

/* --- running it */

static struct buf text, body, memo, back;
static struct row row;
static enum status result;

static void
setup(void)
{
	buf_init(&text, 64 * MIB);
	buf_init(&body, 64 * MIB);
	buf_init(&memo, UINT16_MAX);
	buf_init(&back, 64 * MIB);
}

static void
teardown(void)
{
	buf_fini(&text);
	buf_fini(&body);
	buf_fini(&memo);
	buf_fini(&back);
}

static enum status
there(void *ctx, const struct split_record *rec)
{
	(void)ctx;
	result = normalise(rec, &body, &memo, &row);
	return STATUS_OK;
}

/* The record goes through the splitter, as always. */
static enum status
run(const char *record, size_t len)
{
	struct split *s = split_new(there, NULL);
	size_t room;
	buf_reset(&body);
	buf_reset(&memo);
	const char *const parts[] = {"[", record, "]"};
	const size_t lens[] = {1, len, 1};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		uint8_t *window = split_window(s, &room);
		if (window == NULL || room < lens[i])
			ck_abort_msg("the record does not fit the window");
		memcpy(window, parts[i], lens[i]);
		if (split_advance(s, lens[i]) != STATUS_OK)
			ck_abort_msg("not JSON: %.*s", (int)len, record);
	}
	split_free(s);
	return result;
}

static enum status
run_back(void)
{
	buf_reset(&back);
	return normalise_inverse(body.data, body.len, (uint8_t *)memo.data, memo.len, &back);
}

/* There and back again gives the same bytes. */
static void
expect_same(const char *record)
{
	ck_status(run(record, strlen(record)), STATUS_OK);
	ck_status(run_back(), STATUS_OK);
	ck_assert_str_eq(buf_str(&back), record);
}

static void
expect_in_body(const char *part)
{
	if (strstr(buf_str(&body), part) == NULL)
		ck_abort_msg("%s is not in %s", part, buf_str(&body));
}

/* {"id":1,IN} has OUT in its body and comes back. */
static void
expect_member(const char *in, const char *want)
{
	buf_reset(&text);
	buf_printf(&text, "{\"id\":1,%s}", in);
	expect_same(buf_str(&text));
	expect_in_body(want);
}

/* --- whole records */

static const char whole[] =
    "{\"id\":23006235045,\"instance\":\"os\",\"policyId\":11,\"policyTitle\":\"T\",\"netBios\":"
    "null,"
    "\"controlId\":22,\"controlStatement\":\"S "
    "\\\"q\\\"\",\"rationale\":\"R\\n\",\"remediation\":\"},{\","
    "\"category\":\"C\",\"subCategory\":\"D\",\"controlReference\":null,\"technologyId\":33,"
    "\"status\":\"Passed*\",\"previousStatus\":\"Error\",\"firstFailDate\":\"\",\"lastFailDate\":"
    "\"\","
    "\"firstPassDate\":\"2026-11-01T00:00:01Z\",\"lastPassDate\":\"2026-11-02T00:00:00Z\","
    "\"postureModifiedDate\":\"2026-11-03T00:00:00Z\",\"lastEvaluatedDate\":\"2026-11-04T00:00:"
    "00Z\","
    "\"created\":\"2026-11-05T00:00:00Z\",\"hostId\":44,\"ip\":\"10.0.0.1\",\"trackingMethod\":"
    "\"AGENT\","
    "\"os\":\"Linux\",\"osCpe\":null,\"domainName\":null,\"dns\":\"h.example\",\"qgHostid\":\"u-"
    "1\","
    "\"networkId\":0,\"networkName\":\"N\",\"complianceLastScanDate\":\"2026-11-06T00:00:00Z\","
    "\"customerUuid\":\"u-2\",\"customerId\":\"99\",\"assetId\":55,"
    "\"technology\":{\"id\":33,\"name\":\"Debian\"},\"criticality\":{\"label\":\"HIGH\",\"value\":"
    "4},"
    "\"evidence\":{\"expectedValues\":\"x\",\"lastUpdated\":\"\"},\"causeOfFailure\":null,"
    "\"userDefinedAttributesList\":null,\"currentDataSizeKB\":\"2.41\",\"totalDataSizeKB\":\"97."
    "52\","
    "\"currentBatch\":3,\"totalBatches\":12,\"qds\":56,\"cloudMetaData\":{"
    "\"cloudResourceMetadata\":"
    "\"{'Public IP Address':'192.0.2.1', 'Zone':'null', 'Color "
    "Code':'Red'}\"},\"CLOUD_RESOURCE_ID\":null,"
    "\"novelty\":[1.50, {\"id\":\"1\"}]}";

START_TEST(gives_a_whole_record_its_normal_form_and_back)
{
	expect_same(whole);
	ck_assert_str_eq(buf_str(&body),
	    "{\"id\":23006235045,\"instance\":\"os\",\"policyId\":11,\"policyTitle\":\"T\","
	    "\"netBios\":null,"
	    "\"controlId\":22,\"controlStatement\":\"S "
	    "\\\"q\\\"\",\"rationale\":\"R\\n\",\"remediation\":\"},{\","
	    "\"category\":\"C\",\"subCategory\":\"D\",\"controlReference\":null,\"technologyId\":"
	    "33,"
	    "\"status\":\"Passed\",\"exception\":true,\"previousStatus\":\"Error\","
	    "\"previousException\":false,"
	    "\"firstFailDate\":null,\"lastFailDate\":null,"
	    "\"firstPassDate\":\"2026-11-01T00:00:01Z\",\"lastPassDate\":\"2026-11-02T00:00:00Z\","
	    "\"postureModifiedDate\":\"2026-11-03T00:00:00Z\",\"lastEvaluatedDate\":\"2026-11-"
	    "04T00:00:00Z\","
	    "\"created\":\"2026-11-05T00:00:00Z\",\"hostId\":44,\"ip\":\"10.0.0.1\","
	    "\"trackingMethod\":\"AGENT\","
	    "\"os\":\"Linux\",\"osCpe\":null,\"domainName\":null,\"dns\":\"h.example\","
	    "\"qgHostid\":\"u-1\","
	    "\"networkId\":0,\"networkName\":\"N\",\"complianceLastScanDate\":\"2026-11-06T00:00:"
	    "00Z\","
	    "\"customerUuid\":\"u-2\",\"customerId\":\"99\",\"assetId\":55,"
	    "\"technology\":{\"id\":33,\"name\":\"Debian\"},\"criticality\":{\"label\":\"HIGH\","
	    "\"value\":4},"
	    "\"evidence\":{\"expectedValues\":\"x\",\"lastUpdated\":null},\"causeOfFailure\":null,"
	    "\"userDefinedAttributesList\":null,\"qds\":56,\"cloudMetaData\":{"
	    "\"cloudResourceMetadata\":"
	    "{\"publicIpAddress\":\"192.0.2.1\",\"zone\":null,\"colorCode\":\"Red\"}},"
	    "\"cloudResourceId\":null,"
	    "\"novelty\":[1.50, {\"id\":\"1\"}]}");
	ck_assert_uint_le(memo.len, 24);
}
END_TEST

START_TEST(fills_the_row)
{
	expect_same(whole);
	ck_assert_uint_eq(row.id, 23006235045);
	ck_assert_uint_eq(row.policy, 11);
	ck_assert_uint_eq(row.control, 22);
	ck_assert_uint_eq(row.technology, 33);
	ck_assert_uint_eq(row.host, 44);
	ck_assert_uint_eq(row.changed, 1793664000); /* 2026-11-03 */
	ck_assert_uint_eq(row.evaluated, 1793664000 + 86400);
	ck_assert_uint_eq(row.created, 1793664000 + 2 * 86400);
	ck_assert_uint_eq(row.scanned, 1793664000 + 3 * 86400);
	ck_assert_uint_eq(row.batch, 3);
	ck_assert_uint_eq(row.batches, 12);
	ck_assert_uint_eq(row.status, ROW_PASSED);
	ck_assert_uint_eq(row.previous_status, ROW_ERROR);
	ck_assert_uint_eq(row.criticality, 4);
	ck_assert_uint_eq(row.flags, ROW_EXCEPTION);
	ck_assert_uint_eq(row.memo_len, 0);
}
END_TEST

START_TEST(shows_every_member_of_a_record_that_has_only_its_id)
{
	json_error_t error;
	expect_same("{\"id\":1}");
	json_t *json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &error);
	ck_assert_uint_eq(json_object_size(json), normal_member_count());
	for (size_t i = 0; i < normal_member_count(); i++) {
		json_t *value = json_object_get(json, normal_member_name(i));
		const char *name = normal_member_name(i);
		if (strcmp(name, "id") == 0)
			ck_assert(json_is_integer(value));
		else if (strcmp(name, "exception") == 0 || strcmp(name, "previousException") == 0)
			ck_assert(json_is_false(value));
		else
			ck_assert(json_is_null(value));
	}
	json_decref(json);
	const struct row empty = {.id = 1, .criticality = ROW_CRITICALITY_NONE};
	ck_assert_mem_eq(&row, &empty, sizeof row);
}
END_TEST

START_TEST(numbers_its_members_for_ever)
{
	ck_assert_uint_eq(normal_member_count(), 46);
	ck_assert_str_eq(normal_member_name(0), "id");
	ck_assert_str_eq(normal_member_name(14), "exception");
	ck_assert_str_eq(normal_member_name(40), "evidence");
	ck_assert_str_eq(normal_member_name(41), "causeOfFailure");
	ck_assert_str_eq(normal_member_name(45), "cloudResourceId");
	ck_assert_ptr_null(normal_member_name(46));
	for (size_t i = 0; i < normal_member_count(); i++)
		ck_assert_int_eq(
		    normal_member_find(normal_member_name(i), strlen(normal_member_name(i))),
		    (int)i);
	ck_assert_int_eq(normal_member_find("currentBatch", 12), -1);
	ck_assert_int_eq(normal_member_find("i", 1), -1);
	ck_assert_int_eq(normal_member_find("idx", 3), -1);
}
END_TEST

/* --- fix-ups */

START_TEST(makes_ids_integers)
{
	expect_member("\"policyId\":\"12\"", "\"policyId\":12,");
	expect_member("\"policyId\":12", "\"policyId\":12,");
	expect_member("\"hostId\":\"9223372036854775807\"", "\"hostId\":9223372036854775807,");
	expect_member("\"networkId\":\"0\"", "\"networkId\":0,");
	expect_member("\"technology\":{\"id\":\"81\",\"name\":\"x\"}",
	    "\"technology\":{\"id\":81,\"name\":\"x\"}");
	expect_member("\"technology\":{\"name\":\"x\", \"id\" : \"81\" }",
	    "\"technology\":{\"name\":\"x\", \"id\" : 81 }");
	expect_member("\"criticality\":{\"value\":\"5\"}", "\"criticality\":{\"value\":5}");
	expect_same("{\"id\":\"77\"}");
	expect_in_body("{\"id\":77,");
	ck_assert_uint_eq(row.id, 77);
}
END_TEST

START_TEST(leaves_what_is_no_id_as_it_came)
{
	static const char *const values[] = {"\"\"", "\"0\"", "0", "-1", "\"-1\"", "\"012\"",
	    "\" 12\"", "\"12a\"", "\"CID-001\"", "\"9223372036854775808\"", "9223372036854775808",
	    "1.0", "1e3", "true", "[1]", "{}", "\"\\u0031\"", "\"123456789012345678901234567890\""};
	char in[80];
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(in, sizeof in, "\"controlId\":%s", values[i]);
		expect_member(in, in);
		ck_assert_uint_eq(row.control, 0);
		ck_assert_uint_eq(row.flags, ROW_MISFIT);
	}
	expect_member("\"controlId\":null", "\"controlId\":null");
	ck_assert_uint_eq(row.flags, 0);
	expect_member("\"criticality\":{\"value\":\"6\"}", "\"criticality\":{\"value\":\"6\"}");
	ck_assert_uint_eq(row.flags, ROW_MISFIT);
	ck_assert_uint_eq(row.criticality, ROW_CRITICALITY_NONE);
	expect_member("\"criticality\":{\"label\":\"x\"}", "\"criticality\":{\"label\":\"x\"}");
	ck_assert_uint_eq(row.flags, 0);
	expect_member("\"criticality\":\"HIGH\"", "\"criticality\":\"HIGH\"");
	ck_assert_uint_eq(row.flags, ROW_MISFIT);
}
END_TEST

START_TEST(takes_the_last_of_two_inner_members)
{
	expect_member("\"criticality\":{\"value\":\"1\",\"value\":\"2\"}",
	    "\"criticality\":{\"value\":\"1\",\"value\":2}");
	ck_assert_uint_eq(row.criticality, 2);
	expect_member("\"technology\":{\"i\\u0064\":\"3\"}", "\"technology\":{\"i\\u0064\":3}");
}
END_TEST

START_TEST(makes_customer_ids_text)
{
	expect_member("\"customerId\":123", "\"customerId\":\"123\"");
	expect_member("\"customerUuid\":-0", "\"customerUuid\":\"-0\"");
	expect_member("\"qgHostid\":1", "\"qgHostid\":\"1\"");
	expect_member("\"customerId\":\"123\"", "\"customerId\":\"123\"");
	expect_member("\"customerId\":\"\"", "\"customerId\":\"\"");
	expect_member("\"customerId\":1.5", "\"customerId\":1.5");
	expect_member("\"customerId\":null", "\"customerId\":null");
}
END_TEST

START_TEST(makes_empty_dates_null)
{
	static const char *const dates[] = {"firstFailDate", "lastFailDate", "firstPassDate",
	    "lastPassDate", "postureModifiedDate", "lastEvaluatedDate", "created",
	    "complianceLastScanDate"};
	char in[80], want[80];
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		snprintf(in, sizeof in, "\"%s\":\"\"", dates[i]);
		snprintf(want, sizeof want, "\"%s\":null", dates[i]);
		expect_member(in, want);
		ck_assert_uint_eq(row.flags, 0);
		expect_member(want, want);
	}
	expect_member("\"evidence\":{\"lastUpdated\":\"\"}", "\"evidence\":{\"lastUpdated\":null}");
	expect_member("\"evidence\":{\"lastUpdated\":null}", "\"evidence\":{\"lastUpdated\":null}");
	expect_member("\"evidence\":\"\"", "\"evidence\":\"\"");
	expect_member("\"os\":\"\"", "\"os\":\"\"");
}
END_TEST

START_TEST(reads_dates_into_the_row)
{
	static const struct {
		const char *in;
		uint32_t want;
	} dates[] = {{"null", ROW_DATE_NONE}, {"\"\"", ROW_DATE_NONE},
	    {"\"1970-01-01T00:00:01Z\"", 1}, {"\"2024-02-29T00:00:00Z\"", 1709164800},
	    {"\"2024-02-29\"", ROW_DATE_UNREADABLE}, {"\"2106-02-07T06:28:14Z\"", 4294967294},
	    {"\"2106-02-07T06:28:15Z\"", ROW_DATE_UNREADABLE},
	    {"\"1970-01-01T00:00:00Z\"", ROW_DATE_UNREADABLE},
	    {"\"2023-02-29\"", ROW_DATE_UNREADABLE}, {"\"yesterday\"", ROW_DATE_UNREADABLE},
	    {"5", ROW_DATE_UNREADABLE}};
	char in[80];
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		snprintf(in, sizeof in, "\"created\":%s", dates[i].in);
		expect_member(in, "");
		ck_assert_uint_eq(row.created, dates[i].want);
		ck_assert_uint_eq(row.flags, dates[i].want == ROW_DATE_UNREADABLE ? ROW_MISFIT : 0);
	}
}
END_TEST

START_TEST(knows_a_status_however_it_is_spelled)
{
	static const struct {
		const char *in, *want;
		uint8_t status, flags;
	} cases[] = {
	    {"\"Passed\"", "\"status\":\"Passed\",\"exception\":false", ROW_PASSED, 0},
	    {"\"passed\"", "\"status\":\"Passed\",\"exception\":false", ROW_PASSED, 0},
	    {"\"PASSED\"", "\"status\":\"Passed\",\"exception\":false", ROW_PASSED, 0},
	    {"\"Passed*\"", "\"status\":\"Passed\",\"exception\":true", ROW_PASSED, ROW_EXCEPTION},
	    {"\"passed*\"", "\"status\":\"Passed\",\"exception\":true", ROW_PASSED, ROW_EXCEPTION},
	    {"\"Pass\\u0065d\"", "\"status\":\"Passed\",\"exception\":false", ROW_PASSED, 0},
	    {"\"fAILED\"", "\"status\":\"Failed\",\"exception\":false", ROW_FAILED, 0},
	    {"\"Error\"", "\"status\":\"Error\",\"exception\":false", ROW_ERROR, 0},
	    {"\"Failed*\"", "\"status\":\"Failed*\",\"exception\":false", ROW_STATUS_OTHER, 0},
	    {"\"Passed**\"", "\"status\":\"Passed**\",\"exception\":false", ROW_STATUS_OTHER, 0},
	    {"\"Passed \"", "\"status\":\"Passed \",\"exception\":false", ROW_STATUS_OTHER, 0},
	    {"\"\"", "\"status\":\"\",\"exception\":false", ROW_STATUS_OTHER, 0},
	    {"null", "\"status\":null,\"exception\":false", ROW_STATUS_NONE, 0},
	    {"5", "\"status\":5,\"exception\":false", ROW_STATUS_OTHER, 0},
	    {"\"Waived\"", "\"status\":\"Waived\",\"exception\":false", ROW_STATUS_OTHER, 0},
	};
	char in[80];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(in, sizeof in, "\"status\":%s", cases[i].in);
		expect_member(in, cases[i].want);
		ck_assert_uint_eq(row.status, cases[i].status);
		ck_assert_uint_eq(row.flags, cases[i].flags);
	}
	expect_member("\"previousStatus\":\"Passed*\"",
	    "\"previousStatus\":\"Passed\",\"previousException\":true");
	ck_assert_uint_eq(row.flags, ROW_PREVIOUS_EXCEPTION);
	ck_assert_uint_eq(row.previous_status, ROW_PASSED);
	ck_assert_uint_eq(row.status, ROW_STATUS_NONE);
}
END_TEST

START_TEST(takes_the_older_names)
{
	expect_same("{\"postureId\":5,\"os\":\"x\"}");
	expect_in_body("{\"id\":5,");
	expect_member("\"cloudResourceId\":\"i-1\"", "\"cloudResourceId\":\"i-1\"");
	expect_member("\"CLOUD_RESOURCE_ID\":\"i-1\"", "\"cloudResourceId\":\"i-1\"");
	expect_member("\"CLOUD RESOURCE ID\":\"i-1\"",
	    "\"cloudResourceId\":null,\"CLOUD RESOURCE ID\":\"i-1\"}");
}
END_TEST

START_TEST(refuses_a_record_without_one_id)
{
	static const char *const bad[] = {"{}", "{\"os\":\"x\"}", "{\"id\":1,\"postureId\":1}",
	    "{\"postureId\":1,\"id\":1}", "{\"id\":null}", "{\"id\":0}", "{\"id\":\"\"}",
	    "{\"id\":\"0\"}", "{\"id\":-1}", "{\"id\":1.5}", "{\"id\":1e3}",
	    "{\"id\":9223372036854775808}", "{\"id\":\"01\"}", "{\"id\":true}", "{\"id\":[1]}",
	    "{\"id\":{}}", "{\"postureId\":\"x\"}", "{\"ID\":1}"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_status(run(bad[i], strlen(bad[i])), STATUS_UPSTREAM_MALFORMED);
		ck_assert_uint_eq(body.len + memo.len, 0);
	}
}
END_TEST

START_TEST(reads_the_text_form_of_cloud_metadata)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
	    {"{'Public IP Address':'192.0.2.7', 'Private IP Address':'10.0.0.27', 'Machine "
	     "Type':'e2-medium', "
	     "'Zone':'null', 'ProjectId':'p-1', 'State':'RUNNING', 'Network':'N/A', 'MAC "
	     "Address':'null'}",
		"{\"publicIpAddress\":\"192.0.2.7\",\"privateIpAddress\":\"10.0.0.27\","
		"\"machineType\":\"e2-medium\",\"zone\":null,\"projectId\":\"p-1\",\"state\":"
		"\"RUNNING\","
		"\"network\":\"N/A\",\"macAddress\":null}"},
	    {"{}", "{}"},
	    {"{'Zone':''}", "{\"zone\":\"\"}"},
	    {"{'Subnet ID':'x','vpcId':'y'}", "{\"subnetId\":\"x\",\"vpcId\":\"y\"}"},
	    {"{ 'Zone' : 'a' } ", "{\"zone\":\"a\"}"},
	    {"{'Zone':'a','State':'b'}", "{\"zone\":\"a\",\"state\":\"b\"}"},
	    {"{'DNS':'a', 'OS-type name':'b'}", "{\"dns\":\"a\",\"osTypeName\":\"b\"}"},
	    {"{'Gr\xc3\xb6\xc3\x9f"
	     "e':'1'}",
		"{\"gr\xc3\xb6\xc3\x9f"
		"e\":\"1\"}"},
	    {"{'Zone':'NULL'}", "{\"zone\":\"NULL\"}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf in, want;
		buf_init(&in, KIB);
		buf_init(&want, KIB);
		buf_printf(&in, "\"cloudMetaData\":{\"a\":1,\"cloudResourceMetadata\":\"%s\"}",
		    cases[i].in);
		buf_printf(&want, "\"cloudMetaData\":{\"a\":1,\"cloudResourceMetadata\":%s}",
		    cases[i].want);
		expect_member(buf_str(&in), buf_str(&want));
		buf_fini(&in);
		buf_fini(&want);
	}
}
END_TEST

START_TEST(remembers_the_usual_text_form_in_one_byte)
{
	expect_same("{\"id\":1}");
	size_t absent = memo.len;
	expect_member(
	    "\"cloudMetaData\":{\"cloudResourceMetadata\":\"{'Zone':'null', 'State':'RUNNING'}\"}",
	    "");
	ck_assert_uint_eq(memo.len, absent);
}
END_TEST

START_TEST(leaves_other_cloud_metadata_as_it_came)
{
	static const char *const values[] = {"\"\"", "\"null\"", "\"{\"", "\"{'Zone'}\"",
	    "\"{'Zone':}\"", "\"{'Zone':'a'\"", "\"{'Zone':'a',}\"", "\"{'Zone':'a'}x\"",
	    "\"{'':'a'}\"", "\"{'--':'a'}\"", "\"{'Zone':None}\"", "\"{'Zone':1}\"",
	    "\"{'Zone':'a','zone':'b'}\"", "\"{'Zone':'a','Zone':'b'}\"", "\"{'Zone':'it's'}\"",
	    "\"{'Zone':'a\\\\b'}\"", "\"{'Zone':'\\u0041'}\"", "\"{\\\"Zone\\\":\\\"a\\\"}\"",
	    "\"['a']\"", "null", "{\"zone\":null}", "[]", "5", "\"{'a':{'b':'c'}}\"",
	    "\" {'Zone':'a'}\"", "\"{'Zone':'a'; 'State':'b'}\""};
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		char in[120];
		snprintf(
		    in, sizeof in, "\"cloudMetaData\":{\"cloudResourceMetadata\":%s}", values[i]);
		expect_member(in, in);
	}
	buf_reset(&text);
	buf_str_add(&text, "{\"id\":1,\"cloudMetaData\":{\"cloudResourceMetadata\":\"{'a':'b'");
	for (int i = 0; i < 40; i++)
		buf_printf(&text, ", 'a%d':'b'", i);
	buf_str_add(&text, "}\"}}");
	char *copy = strdup(buf_str(&text));
	expect_same(copy);
	expect_in_body("\"{'a':'b', 'a0':'b'");
	free(copy);
}
END_TEST

START_TEST(keeps_batches_and_sizes_in_the_memo)
{
	static const char *const values[] = {"\"2.41\"", "\"0.05\"", "\"10.5\"", "\"7\"", "\"0\"",
	    "\"0.0\"", "\"0.00\"", "\"123456789.12\"", "\"2.415\"", "\".5\"", "\"5.\"", "\"05.1\"",
	    "\"\"", "\"x\"", "\"1e3\"", "\"-1.5\"", "2.41", "null", "{}",
	    "\"9999999999999999999.99\"", "\"922337203685477580.70\""};
	static const char *const counts[] = {"1", "0", "12", "4294967295", "4294967296",
	    "9223372036854775807", "9223372036854775808", "\"3\"", "-1", "1.0", "null", "true",
	    "[1]"};
	char in[120];
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(in, sizeof in, "\"currentDataSizeKB\":%s,\"totalDataSizeKB\":%s",
		    values[i], values[i]);
		expect_member(in, "");
		ck_assert_ptr_null(strstr(buf_str(&body), "DataSizeKB"));
	}
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		snprintf(
		    in, sizeof in, "\"currentBatch\":%s,\"totalBatches\":%s", counts[i], counts[i]);
		expect_member(in, "");
		ck_assert_ptr_null(strstr(buf_str(&body), "atch"));
	}
	expect_member("\"currentBatch\":\"3\"", "");
	ck_assert_uint_eq(row.batch, 3);
	expect_member("\"currentBatch\":4294967296", "");
	ck_assert_uint_eq(row.batch, 0);
}
END_TEST

START_TEST(leaves_what_is_too_long_for_the_memo_in_the_body)
{
	buf_reset(&text);
	buf_str_add(&text, "{\"id\":1,\"currentBatch\":\"");
	for (int i = 0; i < 70000; i++)
		buf_byte(&text, 'x');
	buf_str_add(&text, "\"}");
	char *copy = strdup(buf_str(&text));
	expect_same(copy);
	expect_in_body("\"cloudResourceId\":null,\"currentBatch\":\"xxx");
	ck_assert_uint_lt(memo.len, 100);
	free(copy);
}
END_TEST

START_TEST(never_has_a_name_twice)
{
	static const char *const records[] = {
	    "{\"id\":1,\"exception\":\"mine\"}",
	    "{\"id\":1,\"exception\":1,\"upstream_exception\":2,\"upstream_upstream_exception\":3}",
	    "{\"id\":1,\"previousException\":null,\"upstream_foo\":1,\"foo\":2}",
	    "{\"id\":1,\"except\\u0069on\":1,\"upstream_exception\":2}",
	    "{\"id\":1,\"CLOUD_RESOURCE_ID\":\"a\",\"cloudResourceId\":\"b\"}",
	    ("{\"id\":1,\"CLOUD_RESOURCE_ID\":\"a\",\"cloudResource\\u0049d\":\"b\","
	     "\"upstream_cloudResourceId\":1}"),
	    "{\"id\":1,\"upstream_\":1,\"upstream_upstream_\":2,\"\":3}",
	};
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		json_error_t error;
		expect_same(records[i]);
		json_t *json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &error);
		ck_assert_msg(json != NULL, "%s: %s", error.text, buf_str(&body));
		json_decref(json);
	}
	expect_same(records[0]);
	expect_in_body(",\"upstream_exception\":\"mine\"}");
	expect_same(records[2]);
	expect_in_body(",\"upstream_previousException\":null,\"upstream_foo\":1,\"foo\":2}");
	/* the order of the two does not matter */
	const char turned[] = "{\"id\":1,\"cloudResourceId\":\"b\",\"CLOUD_RESOURCE_ID\":\"a\"}";
	ck_status(run(turned, strlen(turned)), STATUS_OK);
	expect_in_body("\"cloudResourceId\":\"a\",\"upstream_cloudResourceId\":\"b\"}");
}
END_TEST

START_TEST(remembers_how_names_were_escaped)
{
	expect_member("\"policy\\u0049d\":\"5\"", "\"policyId\":5");
	ck_assert_uint_eq(row.policy, 5);
	expect_member("\"current\\u0042atch\":5", "");
	ck_assert_uint_eq(row.batch, 5);
	expect_same("{\"posture\\u0049d\":5}");
	expect_member("\"n\\u0065w\":1", "\"n\\u0065w\":1}");
}
END_TEST

START_TEST(drops_white_space_between_members_and_keeps_it_inside)
{
	const char spaced[] = "{ \"id\" : \"5\" ,\n\t\"technology\" : { \"id\" : \"8\" , \"n\" : [ "
			      "1 ] } , \"new\" : [ 1,\n2 ] }";
	ck_status(run(spaced, strlen(spaced)), STATUS_OK);
	expect_in_body("{\"id\":5,\"instance\":null,");
	expect_in_body("\"technology\":{ \"id\" : 8 , \"n\" : [ 1 ] },");
	expect_in_body(",\"new\":[ 1,\n2 ]}");
	ck_status(run_back(), STATUS_OK);
	ck_assert_str_eq(buf_str(&back),
	    "{\"id\":\"5\",\"technology\":{ \"id\" : \"8\" , \"n\" : [ 1 ] },\"new\":[ 1,\n2 ]}");
}
END_TEST

START_TEST(keeps_the_text_of_numbers_and_strings)
{
	expect_member("\"qds\":0.10", "\"qds\":0.10");
	expect_member("\"qds\":-0", "\"qds\":-0");
	expect_member("\"qds\":12345678901234567.25", "\"qds\":12345678901234567.25");
	expect_member("\"qds\":1E400", "\"qds\":1E400");
	expect_member(
	    "\"os\":\"\\/\\u00e9\xc3\xa9\\u0000\"", "\"os\":\"\\/\\u00e9\xc3\xa9\\u0000\"");
}
END_TEST

/* --- records made at random */

static const char *const upstream_names[] = {"id", "instance", "policyId", "policyTitle", "netBios",
    "controlId", "controlStatement", "rationale", "remediation", "category", "subCategory",
    "controlReference", "technologyId", "status", "previousStatus", "firstFailDate", "lastFailDate",
    "firstPassDate", "lastPassDate", "postureModifiedDate", "lastEvaluatedDate", "created",
    "hostId", "ip", "trackingMethod", "os", "osCpe", "domainName", "dns", "qgHostid", "networkId",
    "networkName", "complianceLastScanDate", "customerUuid", "customerId", "assetId", "technology",
    "criticality", "evidence", "causeOfFailure", "userDefinedAttributesList", "currentDataSizeKB",
    "totalDataSizeKB", "currentBatch", "totalBatches", "qds", "cloudMetaData", "CLOUD_RESOURCE_ID",
    "cloudResourceId", "exception", "previousException", "upstream_exception",
    "upstream_upstream_exception", "novelty", "another", "upstream_other"};
#define KNOWN 48 /* of them, in 5.0's order */

static const char *const values[] = {"null", "\"\"", "0", "1", "5", "\"5\"", "\"0\"", "123",
    "\"123\"", "-3", "1.50", "true", "false", "[]", "[ 1 , 2 ]", "{}", "{\"id\":\"7\"}",
    "{\"id\":7,\"name\":\"x\"}", "{ \"value\" : \"3\" }", "{\"label\":\"L\",\"value\":4}",
    "{\"value\":\"4\",\"value\":\"9\"}", "{\"lastUpdated\":\"\"}",
    "{\"lastUpdated\":null,\"x\":\"},{\"}", "{\"lastUpdated\":\"2026-01-01T00:00:00Z\"}",
    "\"Passed\"", "\"passed\"", "\"Passed*\"", "\"PASSED*\"", "\"Failed\"", "\"error\"",
    "\"Er\\u0072or\"", "\"Waived\"", "\"2026-11-22T10:00:00Z\"", "\"2026-11-22\"",
    "\"text \\\"with\\\" \\\\ escapes\"", "\"2.41\"", "\"0.05\"", "\"7.5\"",
    "{\"cloudResourceMetadata\":\"{'Zone':'null', 'Public IP Address':'192.0.2.1'}\"}",
    "{\"cloudResourceMetadata\":\"{'Zone':'a','New Label':'b'}\"}",
    "{\"cloudResourceMetadata\":\"odd\"}", "{\"cloudResourceMetadata\":{\"zone\":null}}",
    "9223372036854775807", "9223372036854775808"};

static void
shuffle(uint8_t *order, size_t count, struct unit_random *r)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = unit_below(r, i);
		uint8_t held = order[i - 1];
		order[i - 1] = order[j];
		order[j] = held;
	}
}

static void
add_space(struct unit_random *r, bool spaced)
{
	while (spaced && unit_below(r, 4) == 0)
		buf_byte(&text, " \n\t"[unit_below(r, 3)]);
}

/* One letter of the name as an escape. */
static void
add_escaped(const char *name, struct unit_random *r)
{
	size_t at = unit_below(r, strlen(name));
	buf_add(&text, name, at);
	buf_printf(&text, "\\u%04x", (unsigned char)name[at]);
	buf_str_add(&text, name + at + 1);
}

/* One of the four members that go to the memo, but for values that it does not take. */
static bool
is_leaving(const char *name)
{
	return strstr(name, "DataSizeKB") != NULL || strstr(name, "Batch") != NULL;
}

static const char *
random_value(struct unit_random *r, bool for_memo)
{
	const char *value = values[unit_below(r, ARRAY_LEN(values))];
	return for_memo && strlen(value) > 64 ? "null" : value;
}

static void
make_record(struct unit_random *r, bool canonical)
{
	uint8_t order[ARRAY_LEN(upstream_names)];
	bool spaced = !canonical && unit_below(r, 2) == 0;
	size_t keep_in_10 = unit_below(r, 11);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		order[i] = (uint8_t)i;
	if (!canonical)
		shuffle(order, ARRAY_LEN(order), r);
	buf_reset(&text);
	buf_byte(&text, '{');
	for (size_t i = 0, written = 0; i < ARRAY_LEN(order); i++) {
		const char *name = upstream_names[order[i]];
		bool id = order[i] == 0;
		/* in 5.0's order cloudResourceId only stands for the other */
		if (!id && unit_below(r, 10) >= (order[i] < KNOWN ? keep_in_10 : 1))
			continue;
		if (written++ > 0)
			buf_byte(&text, ',');
		add_space(r, spaced);
		buf_byte(&text, '"');
		if (unit_below(r, 40) == 0)
			add_escaped(name, r);
		else
			buf_str_add(&text, id && unit_below(r, 9) == 0 ? "postureId" : name);
		buf_byte(&text, '"');
		add_space(r, spaced);
		buf_byte(&text, ':');
		add_space(r, spaced);
		if (id)
			buf_printf(&text, unit_below(r, 3) == 0 ? "\"%zu\"" : "%zu",
			    1 + unit_below(r, SIZE_MAX / 2));
		else
			buf_str_add(&text, random_value(r, canonical && is_leaving(name)));
		add_space(r, spaced);
	}
	buf_byte(&text, '}');
}

/* The members of a record, sorted, one a line. */
struct listing {
	char *lines[LIMIT_RECORD_MEMBERS];
	size_t count;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status
list_members(void *ctx, const struct split_record *rec)
{
	struct listing *l = ctx;
	for (size_t i = 0; i < rec->count; i++) {
		const struct split_member *m = &rec->members[i];
		struct buf line;
		buf_init(&line, MIB);
		buf_add(&line, m->name, m->name_len);
		buf_str_add(&line, " = ");
		buf_add(&line, m->value, m->value_len);
		buf_str(&line);
		l->lines[l->count++] = line.data;
	}
	qsort(l->lines, l->count, sizeof l->lines[0], by_text);
	return STATUS_OK;
}

static void
take_listing(const struct buf *record, struct listing *l)
{
	struct split *s = split_new(list_members, l);
	size_t room;
	l->count = 0;
	uint8_t *window = split_window(s, &room);
	window[0] = '[';
	memcpy(window + 1, record->data, record->len);
	window[record->len + 1] = ']';
	if (split_advance(s, record->len + 2) != STATUS_OK || split_finish(s) != STATUS_OK)
		ck_abort_msg("not one record: %.*s", (int)record->len, record->data);
	split_free(s);
}

static void
expect_same_members(void)
{
	struct listing a, b;
	take_listing(&text, &a);
	take_listing(&back, &b);
	bool same = a.count == b.count;
	for (size_t i = 0; i < a.count && same; i++)
		same = strcmp(a.lines[i], b.lines[i]) == 0;
	if (!same)
		ck_abort_msg("%s\ncame back as\n%s", buf_str(&text), buf_str(&back));
	for (size_t i = 0; i < a.count; i++)
		free(a.lines[i]);
	for (size_t i = 0; i < b.count; i++)
		free(b.lines[i]);
}

START_TEST(goes_there_and_back)
{
	uint64_t seed = unit_seed(3);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 15000; round++) {
		json_error_t error;
		bool canonical = unit_below(&r, 2) == 0;
		make_record(&r, canonical);
		if (run(text.data, text.len) != STATUS_OK || run_back() != STATUS_OK)
			ck_abort_msg("failed: %s", buf_str(&text));
		expect_same_members();
		/* the normal form: all members, in order, none twice */
		json_t *json = json_loadb(body.data, body.len, JSON_DECODE_INT_AS_REAL, &error);
		size_t i = 0;
		const char *name;
		json_t *value;
		json_object_foreach(json, name, value)
		{
			if (i < normal_member_count() && strcmp(name, normal_member_name(i)) != 0)
				ck_abort_msg("%s at %zu in %s", name, i, buf_str(&body));
			i++;
		}
		if (i < normal_member_count())
			ck_abort_msg("%s: %s", error.text, buf_str(&body));
		json_decref(json);
		struct listing members;
		take_listing(&body, &members); /* the splitter refuses names twice */
		for (i = 0; i < members.count; i++)
			free(members.lines[i]);
	}
}
END_TEST

START_TEST(gives_compact_records_in_upstream_order_back_to_the_byte)
{
	uint64_t seed = unit_seed(4);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 15000; round++) {
		make_record(&r, true);
		if (run(text.data, text.len) != STATUS_OK || run_back() != STATUS_OK)
			ck_abort_msg("failed: %s", buf_str(&text));
		if (text.len != back.len || memcmp(text.data, back.data, text.len) != 0)
			ck_abort_msg("%s\ncame back as\n%s", buf_str(&text), buf_str(&back));
	}
}
END_TEST

/* --- what comes from the disk may be damaged */

START_TEST(tells_a_memo_that_does_not_fit)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
	    {"\x00", 1},     /* id absent, yet it is there */
	    {"\x41", 1},     /* instance was changed: it never is */
	    {"\x4e", 1},     /* exception is ours */
	    {"\x3d", 1},     /* a batch absent: that needs no entry */
	    {"\x7d", 1},     /* a batch without its figure */
	    {"\x7d\x80", 2}, /* a figure cut off */
	    {"\x82", 1},     /* a text without its length */
	    {"\x82\x05"
	     "abc",
		5}, /* a text cut off */
	    {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
	    {"\xc2\x03"
	     "foo",
		5},          /* a name that is none of policyId's */
	    {"\x05\x05", 2}, /* the same twice */
	    {"\x6c", 1},     /* cloudMetaData's inner text, where there is none */
	    {"\x61", 1},     /* lastFailDate was "", yet it is not null */
	};
	expect_same("{\"id\":1,\"instance\":\"x\",\"policyId\":2,\"lastFailDate\":\"2026-01-01\"}");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		buf_reset(&back);
		enum status st = normalise_inverse(
		    body.data, body.len, (const uint8_t *)wrong[i].bytes, wrong[i].len, &back);
		ck_assert_msg(st == STATUS_CORRUPT, "case %zu: %s", i, status_info(st)->name);
	}
}
END_TEST

START_TEST(tells_a_body_that_is_no_normal_form)
{
	static const char *const bodies[] = {
	    "", "{", "{}", "null", "{\"id\":1}", "{\"id\":1,\"instance\":null"};
	static const char *const members[] = {"\"id\":", "\"exception\":", "\"cloudResourceId\":"};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		ck_status(normalise_inverse(bodies[i], strlen(bodies[i]), NULL, 0, &back),
		    STATUS_CORRUPT);
		ck_status(normal_project(bodies[i], strlen(bodies[i]), UINT64_MAX, true, 0, &back),
		    STATUS_CORRUPT);
	}
	expect_same(whole);
	/* a name of the right length, and not the right one */
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		char *name = strstr(buf_str(&body), members[i]);
		ck_assert_ptr_nonnull(name);
		name[2] ^= 1;
		ck_status(run_back(), STATUS_CORRUPT);
		name[2] ^= 1;
	}
	for (size_t len = 0; len < body.len; len++) {
		/* of exactly this size, so that a sanitizer sees what is read beyond */
		char *copy = malloc(len > 0 ? len : 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, body.data, len);
		buf_reset(&back);
		if (normalise_inverse(copy, len, (uint8_t *)memo.data, memo.len, &back) !=
			STATUS_CORRUPT ||
		    normal_project(copy, len, UINT64_MAX, true, 0, &back) != STATUS_CORRUPT)
			ck_abort_msg("cut at %zu", len);
		free(copy);
	}
}
END_TEST

/* The body with white space around the colons and commas of its members. */
static void
space_out(const struct buf *from, struct buf *to)
{
	int depth = 0;
	bool in_text = false;
	for (size_t i = 0; i < from->len; i++) {
		char c = from->data[i];
		bool between = !in_text && depth == 1 && (c == ',' || c == ':');
		buf_str_add(to, between ? "\n " : "");
		buf_byte(to, c);
		buf_str_add(to, between ? "\t" : "");
		if (c == '\\')
			buf_byte(to, from->data[++i]);
		else if (c == '"')
			in_text = !in_text;
		else if (!in_text)
			depth += (c == '{' || c == '[') - (c == '}' || c == ']');
	}
}

START_TEST(takes_a_body_apart_however_it_is_spaced)
{
	struct buf spaced;
	buf_init(&spaced, MIB);
	expect_same(whole);
	space_out(&body, &spaced);
	ck_assert_uint_gt(spaced.len, body.len + 200);
	buf_reset(&back);
	ck_status(normalise_inverse(spaced.data, spaced.len, (uint8_t *)memo.data, memo.len, &back),
	    STATUS_OK);
	ck_assert_str_eq(buf_str(&back), whole);
	buf_fini(&spaced);
}
END_TEST

START_TEST(survives_any_damage)
{
	uint64_t seed = unit_seed(5);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 5000; round++) {
		expect_same("{\"id\":\"1\",\"status\":\"passed\",\"technology\":{\"id\":\"2\"},"
			    "\"currentBatch\":1,"
			    "\"cloudMetaData\":{\"cloudResourceMetadata\":\"{'Zone':'a'}\"},"
			    "\"new\":\"x\"}");
		for (size_t n = 1 + unit_below(&r, 3); n > 0; n--) {
			struct buf *b = unit_below(&r, 2) == 0 ? &body : &memo;
			b->data[unit_below(&r, b->len)] = unit_below(&r, 2) == 0
							      ? (char)unit_next(&r)
							      : "{}[],:\"\\ n"[unit_below(&r, 10)];
		}
		(void)!run_back();
		buf_reset(&back);
		(void)!normal_project(
		    body.data, body.len, unit_next(&r), true, unit_next(&r), &back);
	}
}
END_TEST

START_TEST(passes_a_full_buffer_on)
{
	struct buf small;
	expect_same(whole);
	for (size_t max = 1; max < body.len; max += 97) {
		buf_init(&small, max);
		ck_status(
		    normalise_inverse(body.data, body.len, (uint8_t *)memo.data, memo.len, &small),
		    STATUS_OVERFLOW);
		buf_fini(&small);
		buf_init(&small, max);
		ck_status(normal_project(body.data, body.len, UINT64_MAX, true, 0, &small),
		    STATUS_OVERFLOW);
		buf_fini(&small);
	}
	struct buf held = body;
	for (size_t max = 1; max < held.len; max += 97) {
		buf_init(&body, max);
		ck_status(run(whole, strlen(whole)), STATUS_OVERFLOW);
		buf_fini(&body);
	}
	body = held;
	held = memo;
	buf_init(&memo, 3);
	ck_status(run(whole, strlen(whole)), STATUS_OVERFLOW);
	buf_fini(&memo);
	memo = held;
}
END_TEST

/* --- slices */

static void
expect_slice(const struct normal_slice *s, int number, const char *name, const char *value)
{
	ck_assert_int_eq(s->number, number);
	ck_assert_uint_eq(s->name_len, strlen(name));
	ck_assert_mem_eq(s->name, name, s->name_len);
	ck_assert_uint_eq(s->value_len, strlen(value));
	ck_assert_mem_eq(s->value, value, s->value_len);
}

START_TEST(comes_apart_into_what_the_upstream_sent)
{
	static struct normal_slices slices;
	const struct normal_slice *s = slices.list;
	struct buf scratch;
	buf_init(&scratch, NORMAL_SCRATCH_BYTES);
	expect_same("{\"postureId\":5,\"status\":\"Passed*\",\"hostId\":\"7\",\"evidence\":{"
		    "\"lastUpdated\":\"\"},\"currentBatch\":3,\"CLOUD_RESOURCE_ID\":null,"
		    "\"exception\":1}");
	ck_status(
	    normal_explode(body.data, body.len, (uint8_t *)memo.data, memo.len, &scratch, &slices),
	    STATUS_OK);
	ck_assert_uint_eq(slices.count, 7);
	expect_slice(&s[0], NORMAL_id, "postureId", "5");
	ck_assert(s[0].respelled && !s[1].respelled);
	expect_slice(&s[1], NORMAL_status, "status", "\"Passed*\"");
	expect_slice(&s[2], NORMAL_hostId, "hostId", "\"7\"");
	expect_slice(&s[3], NORMAL_evidence, "evidence", "{\"lastUpdated\":\"\"}");
	expect_slice(&s[4], NORMAL_currentBatch, "currentBatch", "3");
	expect_slice(&s[5], NORMAL_CLOUD_RESOURCE_ID, "CLOUD_RESOURCE_ID", "null");
	expect_slice(&s[6], NORMAL_UNKNOWN, "exception", "1");
	buf_fini(&scratch);
	ck_assert_str_eq(normal_upstream_name(NORMAL_id), "id");
	ck_assert_str_eq(normal_upstream_name(NORMAL_CLOUD_RESOURCE_ID), "CLOUD_RESOURCE_ID");
	ck_assert_str_eq(normal_upstream_name(60), "totalBatches");
	ck_assert_ptr_null(normal_upstream_name(14)); /* exception is ours */
	ck_assert_ptr_null(normal_upstream_name(59));
	ck_assert_ptr_null(normal_upstream_name(NORMAL_UNKNOWN));
}
END_TEST

START_TEST(refuses_more_members_than_a_record_can_have)
{
	expect_same("{\"id\":1}");
	for (int i = 0; i < LIMIT_RECORD_MEMBERS; i++) {
		ck_status(run_back(), STATUS_OK);
		body.len--;
		buf_printf(&body, ",\"m%d\":1}", i);
	}
	ck_status(run_back(), STATUS_CORRUPT);
}
END_TEST

/* --- views */

static uint64_t
bit(const char *name)
{
	return UINT64_C(1) << normal_member_find(name, strlen(name));
}

static void
expect_view(uint64_t keep, bool keep_unknown, uint64_t hide, const char *want)
{
	buf_reset(&back);
	ck_status(normal_project(body.data, body.len, keep, keep_unknown, hide, &back), STATUS_OK);
	ck_assert_str_eq(buf_str(&back), want);
}

START_TEST(shows_the_members_that_a_view_keeps)
{
	expect_same(whole);
	expect_view(bit("id") | bit("status") | bit("exception"), false, 0,
	    "{\"id\":23006235045,\"status\":\"Passed\",\"exception\":true}");
	expect_view(bit("evidence"), true, 0,
	    "{\"evidence\":{\"expectedValues\":\"x\",\"lastUpdated\":null},\"novelty\":[1.50, "
	    "{\"id\":\"1\"}]}");
	expect_view(bit("evidence") | bit("qds"), false, bit("evidence") | bit("causeOfFailure"),
	    "{\"evidence\":null,\"qds\":56}");
	expect_view(0, true, 0, "{\"novelty\":[1.50, {\"id\":\"1\"}]}");
	expect_view(0, false, UINT64_MAX, "{}");
	expect_view(UINT64_MAX, true, 0, buf_str(&body));
}
END_TEST

START_TEST(appends_to_what_a_buffer_holds)
{
	buf_reset(&back);
	expect_same("{\"id\":1}");
	buf_reset(&back);
	buf_str_add(&back, "[");
	ck_status(normalise_inverse(body.data, body.len, (uint8_t *)memo.data, memo.len, &back),
	    STATUS_OK);
	buf_str_add(&back, ",");
	ck_status(normal_project(body.data, body.len, 1, false, 0, &back), STATUS_OK);
	ck_assert_str_eq(buf_str(&back), "[{\"id\":1},{\"id\":1}");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("normalise");
	TCase *tc = tcase_create("normalise");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, gives_a_whole_record_its_normal_form_and_back);
	tcase_add_test(tc, fills_the_row);
	tcase_add_test(tc, shows_every_member_of_a_record_that_has_only_its_id);
	tcase_add_test(tc, numbers_its_members_for_ever);
	tcase_add_test(tc, makes_ids_integers);
	tcase_add_test(tc, leaves_what_is_no_id_as_it_came);
	tcase_add_test(tc, takes_the_last_of_two_inner_members);
	tcase_add_test(tc, makes_customer_ids_text);
	tcase_add_test(tc, makes_empty_dates_null);
	tcase_add_test(tc, reads_dates_into_the_row);
	tcase_add_test(tc, knows_a_status_however_it_is_spelled);
	tcase_add_test(tc, takes_the_older_names);
	tcase_add_test(tc, refuses_a_record_without_one_id);
	tcase_add_test(tc, reads_the_text_form_of_cloud_metadata);
	tcase_add_test(tc, remembers_the_usual_text_form_in_one_byte);
	tcase_add_test(tc, leaves_other_cloud_metadata_as_it_came);
	tcase_add_test(tc, keeps_batches_and_sizes_in_the_memo);
	tcase_add_test(tc, leaves_what_is_too_long_for_the_memo_in_the_body);
	tcase_add_test(tc, never_has_a_name_twice);
	tcase_add_test(tc, remembers_how_names_were_escaped);
	tcase_add_test(tc, drops_white_space_between_members_and_keeps_it_inside);
	tcase_add_test(tc, keeps_the_text_of_numbers_and_strings);
	tcase_add_test(tc, goes_there_and_back);
	tcase_add_test(tc, gives_compact_records_in_upstream_order_back_to_the_byte);
	tcase_add_test(tc, tells_a_memo_that_does_not_fit);
	tcase_add_test(tc, tells_a_body_that_is_no_normal_form);
	tcase_add_test(tc, takes_a_body_apart_however_it_is_spaced);
	tcase_add_test(tc, survives_any_damage);
	tcase_add_test(tc, passes_a_full_buffer_on);
	tcase_add_test(tc, comes_apart_into_what_the_upstream_sent);
	tcase_add_test(tc, refuses_more_members_than_a_record_can_have);
	tcase_add_test(tc, shows_the_members_that_a_view_keeps);
	tcase_add_test(tc, appends_to_what_a_buffer_holds);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
