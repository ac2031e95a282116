/* query, canon, cursor and filter. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/query/filter.h"
#include "gateway/query/param.h"
#include "gateway/query/query.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct query_errors errors;

static void
setup(void)
{
	arena_init(&arena, LIMIT_ARENA_BYTES);
}

static void
teardown(void)
{
	arena_fini(&arena);
}

/* Three members of a record, as the gateway's own table would have them. */
static int
field_number(const char *name, size_t len)
{
	static const char *const names[] = {"id", "status", "hostId"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return (int)(i * 31); /* 0, 31, 62 */
	return -1;
}

static enum status
parse_use(enum query_use use, const char *text, struct query *ret)
{
	return query_parse(
	    &arena, use, FORMAT_JSON, field_number, text, strlen(text), ret, &errors);
}

static enum status
parse(const char *text, struct query *ret)
{
	return parse_use(QUERY_POSTURES, text, ret);
}

static enum status
parse_json(const char *text, struct query *ret)
{
	return query_parse_json(
	    &arena, QUERY_POSTURES, FORMAT_JSON, field_number, text, strlen(text), ret, &errors);
}

static struct query
good(const char *text)
{
	struct query q;
	enum status st = parse(text, &q);
	ck_assert_msg(st == STATUS_OK, "%s: %s", text,
	    errors.count > 0 ? errors.list[0].message : "no message");
	return q;
}

/* "policy status": the parameters that were told, in their order. */
static const char *
told(void)
{
	const char *list = "";
	for (size_t i = 0; i < errors.count; i++)
		list = arena_printf(
		    &arena, "%s%s%s", list, i > 0 ? " " : "", errors.list[i].parameter);
	return list;
}

static const char *
canon(const struct query *q)
{
	struct buf text;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(q, &text);
	ck_status(text.err, STATUS_OK);
	const char *copy = arena_dup(&arena, text.data, text.len);
	buf_fini(&text);
	return copy;
}

static const char *
canon_of(const char *text)
{
	struct query q = good(text);
	return canon(&q);
}

/* --- parameters, one by one */

START_TEST(gives_the_defaults_where_nothing_is_asked)
{
	struct query q = good("policy=1");
	ck_assert_uint_eq(q.policies.count, 1);
	ck_assert_uint_eq(q.policies.ids[0], 1);
	ck_assert_uint_eq(q.hosts.count, 0);
	ck_assert_uint_eq(q.postures.count, 0);
	ck_assert_uint_eq(q.subscription, 0);
	ck_assert_uint_eq(q.assets, ASSETS_PC);
	ck_assert_uint_eq(q.evidence, EVIDENCE_NONE);
	ck_assert(!q.cloud && !q.qds && !q.exclude_inactive && !q.partial);
	ck_assert_uint_eq(q.status | q.previous_status | q.criticality, 0);
	ck_assert(q.evaluated_since == DATE_NONE && q.changed_since == DATE_NONE);
	ck_assert(q.scanned_since == DATE_NONE && q.scanned_from == DATE_NONE &&
		  q.scanned_to == DATE_NONE);
	ck_assert_uint_eq(q.fields, 0);
	ck_assert_uint_eq(q.limit, 100);
	ck_assert(!q.limit_given && !q.format_given && q.format == FORMAT_JSON);
	ck_assert_ptr_null(q.cursor);
}
END_TEST

START_TEST(reads_every_parameter)
{
	struct query q =
	    good("policy=3,1&policy=2,1&host=9&subscription=7&assets=ALL&evidence=Basic"
		 "&cloud=true&qds=TRUE&inactive=exclude&status=failed,ERROR"
		 "&previousStatus=passed&criticality=5,minimal&evaluatedSince=1970-01-02"
		 "&scannedFrom=1970-01-01T00:00:01Z&scannedTo=1970-01-01"
		 "&changedSince=2000-01-01&fields=id,hostId&limit=1000&format=JSON"
		 "&partial=true");
	ck_assert_uint_eq(q.policies.count, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(q.policies.ids[i], i + 1);
	ck_assert_uint_eq(q.hosts.ids[0], 9);
	ck_assert_uint_eq(q.subscription, 7);
	ck_assert_uint_eq(q.assets, ASSETS_ALL);
	ck_assert_uint_eq(q.evidence, EVIDENCE_BASIC);
	ck_assert(q.cloud && q.qds && q.exclude_inactive && q.partial);
	ck_assert_uint_eq(q.status, STATUS_BIT_FAILED | STATUS_BIT_ERROR);
	ck_assert_uint_eq(q.previous_status, STATUS_BIT_PASSED);
	ck_assert_uint_eq(q.criticality, CRITICALITY_BIT(5) | CRITICALITY_BIT(1));
	ck_assert_int_eq(q.evaluated_since, 86400);
	ck_assert_int_eq(q.scanned_from, 1);
	ck_assert_int_eq(q.scanned_to, 86399);
	ck_assert_int_eq(q.changed_since, 946684800);
	ck_assert_uint_eq(q.fields, UINT64_C(1) | UINT64_C(1) << 62);
	ck_assert_uint_eq(q.limit, 1000);
	ck_assert(q.limit_given && q.format_given && q.format == FORMAT_JSON);
	ck_assert_uint_eq(good("policy=1&format=CSV").format, FORMAT_CSV);
	ck_assert_uint_eq(good("policy=1&fields=id&format=ndjson").format, FORMAT_NDJSON);
}
END_TEST

START_TEST(maps_all_labels_of_criticality_to_their_values)
{
	struct query q =
	    good("policy=1&criticality=undefined,MINIMAL,Medium,serious,critical,urgent");
	ck_assert_uint_eq(q.criticality, 63);
	ck_assert_str_eq(
	    canon_of("policy=1&criticality=serious"), canon_of("policy=1&criticality=3"));
}
END_TEST

START_TEST(merges_posture_ranges)
{
	struct query q = good("posture=10-20,5,21,15-30,7-7,6,100&posture=99");
	ck_assert_uint_eq(q.postures.count, 3);
	ck_assert_uint_eq(q.postures.ranges[0].first, 5);
	ck_assert_uint_eq(q.postures.ranges[0].last, 7);
	ck_assert_uint_eq(q.postures.ranges[1].first, 10);
	ck_assert_uint_eq(q.postures.ranges[1].last, 30);
	ck_assert_uint_eq(q.postures.ranges[2].first, 99);
	ck_assert_uint_eq(q.postures.ranges[2].last, 100);
	ck_assert_uint_eq(q.postures.width, 3 + 21 + 2);
}
END_TEST

START_TEST(takes_the_largest_id_alone_and_as_a_range)
{
	struct query q = good("policy=9223372036854775807");
	ck_assert_uint_eq(q.policies.ids[0], QUERY_ID_MAX);
	q = good("posture=9223372036854775806-9223372036854775807,9223372036854775807");
	ck_assert_uint_eq(q.postures.count, 1);
	ck_assert_uint_eq(q.postures.width, 2);
}
END_TEST

START_TEST(decodes_escapes_in_names_and_values)
{
	ck_assert_str_eq(canon_of("p%6flicy=%31%2C2"), canon_of("policy=2,1"));
}
END_TEST

START_TEST(reads_no_escape_beyond_the_end)
{
	static const char text[] = "policy=%31";
	struct query q;
	for (size_t len = 8; len < sizeof text - 1; len++) {
		ck_status(query_parse(&arena, QUERY_POSTURES, FORMAT_JSON, field_number, text, len,
			      &q, &errors),
		    STATUS_BAD_REQUEST);
		ck_assert_str_eq(told(), "policy");
	}
}
END_TEST

/* What every ID parameter refuses. */
static const char *const bad_ids[] = {"", "0", "-1", "+1", "%2B1", "1+", "+", "01", "1e3", "0x1",
    "1.0", "9223372036854775808", "18446744073709551616", "99999999999999999999999", "a", "1,",
    ",1", "1,,2", ",", "1;2", "1%202", "%D9%A1", "1%00", "%00", "%", "%1", "%zz", "%g1", "%1g",
    "%C0%B1", "%ED%A0%80", "%FF", "%0A1", "1%0d%0a", "1%7f", "%C2%85", "null", "true", "[1]",
    "1-2-3", "2-1", "-", "1-", "{{1}}", "1'--"};

START_TEST(refuses_everything_that_is_no_id)
{
	static const char *const names[] = {"policy", "host", "posture", "subscription"};
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		for (size_t i = 0; i < ARRAY_LEN(bad_ids); i++) {
			struct query q;
			bool has_policy = strcmp(names[n], "policy") == 0;
			bool has_posture = strcmp(names[n], "posture") == 0;
			const char *text = arena_printf(&arena, "%s%s=%s",
			    has_policy || has_posture ? "" : "policy=1&", names[n], bad_ids[i]);
			ck_assert_msg(parse(text, &q) == STATUS_BAD_REQUEST, "%s was taken", text);
			ck_assert_str_eq(told(), names[n]);
			ck_assert_msg(strlen(errors.list[0].message) > 10, "%s: %s", text,
			    errors.list[0].message);
		}
	}
}
END_TEST

/* Text after "policy=1&", the parameters that are told. */
static const struct {
	const char *text, *told;
} bad_parameters[] = {
    {"assets=", "assets"},
    {"assets=both", "assets"},
    {"assets=pc,all", "assets"},
    {"assets=+pc", "assets"},
    {"assets=pc&assets=pc", "assets"},
    {"assets", "assets"},
    {"evidence=true", "evidence"},
    {"evidence=1", "evidence"},
    {"cloud=1", "cloud"},
    {"cloud=yes", "cloud"},
    {"qds=truee", "qds"},
    {"qds=tru%65&qds=true", "qds"},
    {"inactive=true", "inactive"},
    {"status=", "status"},
    {"status=Pass", "status"},
    {"status=Passed*", "status"},
    {"status=Passed,", "status"},
    {"status=Passed,+Failed", "status"},
    {"status=all", "status"},
    {"previousStatus=Passed,Failed", "previousStatus"},
    {"previousStatus=Passed&previousStatus=Failed", "previousStatus"},
    {"criticality=6", "criticality"},
    {"criticality=-1", "criticality"},
    {"criticality=00", "criticality"},
    {"criticality=high", "criticality"},
    {"criticality=1-3", "criticality"},
    {"evaluatedSince=0000-01-01", "evaluatedSince"},
    {"evaluatedSince=1969-12-31", "evaluatedSince"},
    {"evaluatedSince=2026-13-01", "evaluatedSince"},
    {"evaluatedSince=2026-02-29", "evaluatedSince"},
    {"evaluatedSince=2026-06-30T23:59:60Z", "evaluatedSince"},
    {"evaluatedSince=2026-06-30T10:00:00", "evaluatedSince"},
    {"evaluatedSince=2026-06-30T10:00:00%2B02:00", "evaluatedSince"},
    {"evaluatedSince=2026-06-30T10:00:00.5Z", "evaluatedSince"},
    {"evaluatedSince=2026-06-30t10:00:00z", "evaluatedSince"},
    {"evaluatedSince=2026-6-30", "evaluatedSince"},
    {"evaluatedSince=2106-01-01", "evaluatedSince"},
    {"evaluatedSince=9999-12-31", "evaluatedSince"},
    {"evaluatedSince=1780000000", "evaluatedSince"},
    {"evaluatedSince=", "evaluatedSince"},
    {"changedSince=yesterday", "changedSince"},
    {"changedSince=2026-01-01,2026-01-02", "changedSince"},
    {"changedSince=2026-01-01&changedSince=2026-01-01", "changedSince"},
    {"scannedSince=now", "scannedSince"},
    {"scannedFrom=2026-01-01", "scannedTo"},
    {"scannedTo=2026-01-01", "scannedFrom"},
    {"scannedFrom=x&scannedTo=y", "scannedFrom scannedTo"},
    {"scannedFrom=2026-01-02&scannedTo=2026-01-01", "scannedFrom"},
    {"scannedFrom=2026-01-01T00:00:01Z&scannedTo=2026-01-01T00:00:00Z", "scannedFrom"},
    {"scannedSince=2026-01-01&scannedFrom=2026-01-01&scannedTo=2026-01-01",
	"scannedSince scannedFrom scannedTo"},
    {"scannedSince=2026-01-01&scannedTo=2026-01-01", "scannedSince scannedTo scannedFrom"},
    {"fields=", "fields"},
    {"fields=ID", "fields"},
    {"fields=id,", "fields"},
    {"fields=id,nothing", "fields"},
    {"limit=0", "limit"},
    {"limit=1001", "limit"},
    {"limit=-1", "limit"},
    {"limit=1e2", "limit"},
    {"limit=0100", "limit"},
    {"limit=1000000000000000000", "limit"},
    {"limit=18446744073709551716", "limit"},
    {"limit=10,20", "limit"},
    {"limit=10&limit=10", "limit"},
    {"format=xml", "format"},
    {"format=json,csv", "format"},
    {"partial=", "partial"},
    {"partial=0", "partial"},
    {"by=status", "by"},
    {"posture=1", "posture policy"},
    {"posture=1&host=2", "posture policy host"},
    {"nosuch=1", "nosuch"},
    {"Policy=2", "Policy"},
    {"policyId=2", "policyId"},
    {"policy[]=2", "policy[]"},
    {"+host=2", " host"},
    {"h%6Fst%20=2", "host "},
    {"%zz=1", "%zz"},
    {"%ff=1", "%ff"},
    {"host%00=1", "host%00"},
    {"=1", ""},
    {"&host=2", ""},
    {"host=2&", ""},
    {"host=1=2", "host"},
    {"host=1?limit=2", "host"},
    {"host=x&host=y", "host"},
    {"host%7f=1", "host%7f"},
    {"host%C2%85=1", "host%C2%85"},
    {"cursor=abc", "cursor policy"},
    {"cursor=", "cursor cursor policy"},
};

START_TEST(refuses_each_bad_form_by_name)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_parameters); i++) {
		struct query q;
		const char *text = arena_printf(&arena, "policy=1&%s", bad_parameters[i].text);
		ck_assert_msg(parse(text, &q) == STATUS_BAD_REQUEST, "%s was taken", text);
		ck_assert_msg(
		    strcmp(told(), bad_parameters[i].told) == 0, "%s: told \"%s\"", text, told());
	}
}
END_TEST

START_TEST(tells_all_offending_parameters_at_once)
{
	struct query q;
	ck_status(parse("nosuch=1&host=0&status=Pass&limit=0&limit=5&scannedFrom=2026-01-01&cloud=1"
			"&evidence=basic&format=pdf",
		      &q),
	    STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "nosuch host status limit cloud format scannedTo policy");
	ck_assert(!errors.more);
}
END_TEST

START_TEST(needs_a_policy_or_a_posture)
{
	struct query q;
	ck_status(parse("", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "policy");
	ck_assert_str_eq(errors.list[0].message, "This call needs policy or posture");
	ck_status(parse("host=1", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "policy");
	ck_status(parse("posture=1", &q), STATUS_OK);
}
END_TEST

START_TEST(says_which_item_is_wrong_and_what_it_must_be)
{
	struct query q;
	ck_status(parse("policy=1,2,x", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(errors.list[0].message,
	    "Item 3 must be an ID: a whole number from 1 to 9223372036854775807");
	ck_status(parse("policy=1&assets=x", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(errors.list[0].message, "The value must be one of pc, all");
	ck_status(parse("policy=1&limit=1001", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(errors.list[0].message, "The value must be a whole number from 1 to 1000");
}
END_TEST

START_TEST(guesses_what_was_meant_by_the_upstreams_names_or_another_case)
{
	struct query q;
	ck_status(parse("policyId=1&HOST=2&evidencerequired=1&zzz=1", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "policyId HOST evidencerequired zzz policy");
	ck_assert_ptr_nonnull(strstr(errors.list[0].message, "did you mean policy?"));
	ck_assert_ptr_nonnull(strstr(errors.list[1].message, "did you mean host?"));
	ck_assert_ptr_nonnull(strstr(errors.list[2].message, "did you mean evidence?"));
	ck_assert_ptr_null(strstr(errors.list[3].message, "did you mean"));
}
END_TEST

START_TEST(shows_at_most_64_bytes_of_an_unknown_name)
{
	char text[256] = "policy=1&";
	struct query q;
	/* 63 bytes and then a character of two */
	memset(text + 9, 'n', 63);
	memcpy(text + 72, "\xc3\xa9\xc3\xa9=1", 7);
	ck_status(parse(text, &q), STATUS_BAD_REQUEST);
	ck_assert_uint_eq(strlen(errors.list[0].parameter), 63);
}
END_TEST

START_TEST(sums_up_what_is_beyond_the_error_list)
{
	struct buf text;
	struct query q;
	buf_init(&text, LIMIT_URI_BYTES);
	for (int i = 0; i < LIMIT_QUERY_ERRORS + 1; i++)
		buf_printf(&text, "%sx%d=1", i > 0 ? "&" : "", i);
	ck_status(parse(buf_str(&text), &q), STATUS_BAD_REQUEST);
	ck_assert_uint_eq(errors.count, LIMIT_QUERY_ERRORS);
	ck_assert(errors.more);
	buf_fini(&text);
}
END_TEST

START_TEST(takes_a_cursor_with_limit_alone)
{
	struct query q;
	ck_status(parse("cursor=abc&limit=7", &q), STATUS_OK);
	ck_assert_str_eq(q.cursor, "abc");
	ck_assert_uint_eq(q.limit, 7);
	ck_assert_uint_eq(q.policies.count, 0);
	ck_status(parse("cursor=abc&format=csv&status=Failed&limit=7", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "cursor status format limit");
}
END_TEST

START_TEST(a_whole_result_takes_nothing_of_pages)
{
	static const struct {
		enum query_format preferred;
		const char *text, *told; /* "": it is good */
	} cases[] = {
	    {FORMAT_JSON, "policy=1&format=csv", ""},
	    {FORMAT_JSON, "policy=1&format=csv&limit=5", "limit format"},
	    {FORMAT_JSON, "policy=1&limit=5&partial=false&format=ndjson&x=1",
		"x limit partial format"},
	    {FORMAT_JSON, "policy=1&format=ndjson&limit=0", "limit"},
	    {FORMAT_JSON, "format=ndjson&cursor=x", "cursor format"},
	    {FORMAT_JSON, "policy=1&format=json&limit=5&partial=false", ""},
	    {FORMAT_CSV, "policy=1", ""},
	    {FORMAT_CSV, "policy=1&limit=5&partial=true&x=1", "x limit partial"},
	    {FORMAT_NDJSON, "cursor=x", "cursor"},
	    {FORMAT_CSV, "policy=1&format=json&limit=5", ""},
	    {FORMAT_CSV, "cursor=x&format=json", "cursor format"},
	};
	struct query q;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum status st = query_parse(&arena, QUERY_POSTURES, cases[i].preferred,
		    field_number, cases[i].text, strlen(cases[i].text), &q, &errors);
		ck_status(st, cases[i].told[0] == '\0' ? STATUS_OK : STATUS_BAD_REQUEST);
		ck_assert_str_eq(told(), cases[i].told);
	}
	ck_status(query_parse_json(&arena, QUERY_POSTURES, FORMAT_CSV, field_number,
		      "{\"policy\":1}", 12, &q, &errors),
	    STATUS_OK);
	ck_assert(!q.format_given && q.format == FORMAT_CSV);
}
END_TEST

START_TEST(takes_only_what_the_call_takes)
{
	struct query q;
	ck_status(parse_use(QUERY_POSTURE,
		      "evidence=basic&cloud=true&qds=true&fields=id&assets=all"
		      "&subscription=4",
		      &q),
	    STATUS_OK);
	ck_status(parse_use(QUERY_POSTURE, "", &q), STATUS_OK);
	ck_status(parse_use(QUERY_POSTURE, "policy=1&limit=2&status=x", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "policy limit status");
	ck_status(parse_use(QUERY_SUMMARY, "policy=1&by=criticality,policyId&status=Failed", &q),
	    STATUS_OK);
	ck_assert_uint_eq(q.by, QUERY_BY_CRITICALITY | QUERY_BY_POLICY);
	ck_status(parse_use(QUERY_SUMMARY, "policy=1", &q), STATUS_OK);
	ck_assert_uint_eq(q.by, 0);
	ck_status(
	    parse_use(QUERY_SUMMARY, "fields=id&limit=3&cursor=x&format=json&partial=false", &q),
	    STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "fields limit cursor format partial policy");
	ck_status(parse_use(QUERY_POSTURES, "policy=1&by=status", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "by");
	ck_status(parse_use(QUERY_POLICIES, "evaluatedSince=2026-01-01&limit=5", &q), STATUS_OK);
	ck_status(parse_use(QUERY_POLICIES, "cursor=x&evaluatedSince=2026-01-01", &q),
	    STATUS_BAD_REQUEST);
	ck_status(parse_use(QUERY_HOSTS, "limit=5", &q), STATUS_OK);
	ck_status(parse_use(QUERY_HOSTS, "policy=5", &q), STATUS_BAD_REQUEST);
	ck_status(parse_use(QUERY_FETCHES, "limit=5", &q), STATUS_OK);
	ck_status(parse_use(QUERY_FETCHES, "policy=5&cursor=x", &q), STATUS_BAD_REQUEST);
	ck_status(parse_use(QUERY_MIGRATION, "", &q), STATUS_OK);
	ck_assert(!q.format_given);
	ck_status(parse_use(QUERY_MIGRATION, "format=csv", &q), STATUS_OK);
	ck_assert(q.format_given && q.format == FORMAT_CSV);
	ck_status(parse_use(QUERY_MIGRATION, "limit=5", &q), STATUS_BAD_REQUEST);
}
END_TEST

START_TEST(holds_the_cap_on_ids_over_all_lists)
{
	struct query q;
	ck_status(parse("posture=1-400000", &q), STATUS_OK);
	ck_assert_uint_eq(q.postures.width, 400000);
	ck_status(parse("posture=1-400001", &q), STATUS_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(errors.list[0].message, "400000"));
	ck_status(parse("posture=1-399999,500000,500001", &q), STATUS_BAD_REQUEST);
	ck_status(parse("posture=1-9223372036854775807", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "posture");
}
END_TEST

/* "1,2,…" in reverse. */
static void
add_ids(struct buf *text, size_t count)
{
	for (size_t i = count; i > 0; i--) {
		buf_u64(text, i);
		if (i > 1)
			buf_byte(text, ',');
	}
}

START_TEST(takes_400000_ids_in_a_body_and_not_one_more)
{
	struct buf text;
	struct query q;
	buf_init(&text, LIMIT_BODY_BYTES);
	buf_str_add(&text, "{\"policy\":1,\"host\":[");
	add_ids(&text, LIMIT_QUERY_IDS - 1);
	buf_str_add(&text, "]}");
	ck_status(parse_json(buf_str(&text), &q), STATUS_OK);
	ck_assert_uint_eq(q.hosts.count, LIMIT_QUERY_IDS - 1);
	ck_assert_uint_eq(q.hosts.ids[0], 1);
	ck_assert_uint_eq(q.hosts.ids[q.hosts.count - 1], LIMIT_QUERY_IDS - 1);

	const char *once = canon(&q);
	struct query again;
	ck_status(query_from_canon(&arena, once, strlen(once), &again), STATUS_OK);
	ck_assert_uint_eq(again.hosts.count, q.hosts.count);

	arena_reset(&arena);
	buf_reset(&text);
	buf_str_add(&text, "{\"policy\":1,\"host\":[");
	add_ids(&text, LIMIT_QUERY_IDS);
	buf_str_add(&text, "]}");
	ck_status(parse_json(buf_str(&text), &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "host");

	/* so many that they are not even read */
	buf_reset(&text);
	buf_str_add(&text, "{\"policy\":1,\"host\":[");
	add_ids(&text, LIMIT_QUERY_IDS + 2000);
	buf_str_add(&text, "]}");
	ck_status(parse_json(buf_str(&text), &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "host");
	ck_assert_ptr_nonnull(strstr(errors.list[0].message, "400000"));
	buf_fini(&text);
}
END_TEST

START_TEST(says_so_when_memory_runs_out)
{
	struct arena small;
	struct query q;
	arena_init(&small, 16);
	ck_status(query_parse(&small, QUERY_POSTURES, FORMAT_JSON, field_number, "policy=1", 8, &q,
		      &errors),
	    STATUS_NO_MEMORY);
	arena_fini(&small);
	ck_status(query_parse_json(&small, QUERY_POSTURES, FORMAT_JSON, field_number,
		      "{\"policy\":1}", 12, &q, &errors),
	    STATUS_NO_MEMORY);
	arena_fini(&small);
	ck_status(query_from_canon(&small, "q1;policy=1", 11, &q), STATUS_NO_MEMORY);
	arena_fini(&small);
}
END_TEST

/* --- JSON bodies */

/* A body, the query string that it is equal to. */
static const struct {
	const char *json, *text;
} same_queries[] = {
    {"{\"policy\":1}", "policy=1"},
    {" {\"policy\" : [ 2 , 1 ] }\n", "policy=1,2"},
    {"{\"policy\":\"1,2\"}", "policy=1,2"},
    {"{\"policy\":[\"1\",2]}", "policy=1,2"},
    {"{\"policy\":\"1\",\"host\":[9223372036854775807]}", "policy=1&host=9223372036854775807"},
    {"{\"posture\":[5,\"7-9\",8]}", "posture=5,7-9"},
    {"{\"posture\":\"7-9\"}", "posture=7-9"},
    {"{\"policy\":1,\"cloud\":true,\"qds\":false}", "policy=1&cloud=true"},
    {"{\"policy\":1,\"cloud\":\"True\"}", "policy=1&cloud=true"},
    {"{\"policy\":1,\"status\":[\"passed\",\"Failed\"]}", "policy=1&status=Failed,Passed"},
    {"{\"policy\":1,\"criticality\":[5,\"0\",\"serious\"]}", "policy=1&criticality=0,3,5"},
    {"{\"policy\":1,\"criticality\":4}", "policy=1&criticality=4"},
    {"{\"policy\":1,\"evidence\":\"extended\",\"assets\":\"all\"}",
	"policy=1&evidence=extended&assets=all"},
    {"{\"policy\":1,\"scannedFrom\":\"2026-01-01\",\"scannedTo\":\"2026-01-01\"}",
	"policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-01T23:59:59Z"},
    {"{\"\\u0070olicy\":\"\\u0031\"}", "policy=1"},
    {"{\"policy\":1,\"limit\":5,\"fields\":[\"id\",\"status\"],\"format\":\"json\"}",
	"policy=1&limit=5&fields=status,id&format=json"},
    {"{\"policy\":1,\"fields\":\"id\",\"format\":\"csv\"}", "policy=1&fields=id&format=csv"},
    {"{\"policy\":1,\"limit\":\"5\",\"fields\":\"id\",\"partial\":true}",
	"policy=1&limit=5&fields=id&partial=true"},
};

START_TEST(reads_a_body_like_a_query_string)
{
	for (size_t i = 0; i < ARRAY_LEN(same_queries); i++) {
		struct query q, other = good(same_queries[i].text);
		ck_assert_msg(parse_json(same_queries[i].json, &q) == STATUS_OK, "%s: %s",
		    same_queries[i].json, told());
		ck_assert_str_eq(canon(&q), canon(&other));
		ck_assert(q.limit == other.limit && q.limit_given == other.limit_given);
		ck_assert(q.format == other.format && q.format_given == other.format_given);
		ck_assert(q.fields == other.fields && q.partial == other.partial);
	}
}
END_TEST

static const struct {
	const char *json, *told;
} bad_bodies[] = {
    {"", "body"},
    {" ", "body"},
    {"[]", "body"},
    {"[1]", "body"},
    {"1", "body"},
    {"null", "body"},
    {"\"policy\"", "body"},
    {"{", "body"},
    {"{}x", "body"},
    {"{\"policy\":1}{}", "body"},
    {"{policy:1}", "body"},
    {"{\"policy\":1,}", "policy"},
    {"{\"policy\":[1,2", "policy"},
    {"\xef\xbb\xbf{\"policy\":1}", "body"},
    {"{\"policy\":1,\"policy\":1}", "policy"},
    {"{\"policy\":1,\"nosuch\":1,\"nosuch\":2}", "body"},
    {"{\"policy\":\"\\u0000\"}", "policy"},
    {"{\"pol\\u0000icy\":1}", "body"},
    {"{\"policy\":\"\xff\"}", "policy"},
    {"{\"policy\":\"\\ud800\"}", "policy"},
    {"{\"policy\":NaN}", "policy"},
    {"{\"policy\":9223372036854775808}", "policy"},
    {"{\"policy\":1,\"host\":[1,18446744073709551616]}", "host"},
    {"{\"policy\":1e400}", "policy"},
    {"{\"policy\":0}", "policy"},
    {"{\"policy\":-1}", "policy"},
    {"{\"policy\":1.0}", "policy"},
    {"{\"policy\":1e3}", "policy"},
    {"{\"policy\":1.5}", "policy"},
    {"{\"policy\":01}", "policy"},
    {"{\"policy\":true}", "policy"},
    {"{\"policy\":null}", "policy"},
    {"{\"policy\":{}}", "policy"},
    {"{\"policy\":{\"id\":1}}", "policy"},
    {"{\"policy\":[]}", "policy"},
    {"{\"policy\":[[1]]}", "policy"},
    {"{\"policy\":[null]}", "policy"},
    {"{\"policy\":[true]}", "policy"},
    {"{\"policy\":[\"1,2\"]}", "policy"},
    {"{\"policy\":[\"\"]}", "policy"},
    {"{\"policy\":\"\"}", "policy"},
    {"{\"policy\":\" 1\"}", "policy"},
    {"{\"policy\":\"1\\n\"}", "policy"},
    {"{\"policy\":[\"1-2\"]}", "policy"},
    {"{\"posture\":[\"2-1\"]}", "posture"},
    {"{\"policy\":1,\"cloud\":1}", "cloud"},
    {"{\"policy\":1,\"cloud\":[true]}", "cloud"},
    {"{\"policy\":1,\"limit\":true}", "limit"},
    {"{\"policy\":1,\"limit\":[5]}", "limit"},
    {"{\"policy\":1,\"limit\":5.0}", "limit"},
    {"{\"policy\":1,\"status\":true}", "status"},
    {"{\"policy\":1,\"status\":1}", "status"},
    {"{\"policy\":1,\"status\":[\"Passed\",false]}", "status"},
    {"{\"policy\":1,\"criticality\":6}", "criticality"},
    {"{\"policy\":1,\"criticality\":1.0}", "criticality"},
    {"{\"policy\":1,\"evidence\":false}", "evidence"},
    {"{\"policy\":1,\"evaluatedSince\":20260101}", "evaluatedSince"},
    {"{\"policy\":1,\"cursor\":\"x\"}", "cursor policy"},
    {"{\"cursor\":\"\"}", "cursor"},
    {"{\"cursor\":[\"x\"]}", "cursor"},
    {"{\"nosuch\":{\"a\":[1]},\"policy\":\"x\",\"limit\":0}", "nosuch policy limit"},
    {"{\"\":1,\"policy\":1}", ""},
};

START_TEST(refuses_each_bad_body_by_name)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_bodies); i++) {
		struct query q;
		const char *json = bad_bodies[i].json;
		ck_assert_msg(parse_json(json, &q) == STATUS_BAD_REQUEST, "%s was taken", json);
		ck_assert_msg(
		    strcmp(told(), bad_bodies[i].told) == 0, "%s: told \"%s\"", json, told());
	}
}
END_TEST

START_TEST(refuses_a_body_with_a_raw_nul)
{
	static const struct {
		const char *json;
		size_t len;
	} bodies[] = {
#define BODY(text) {(text), sizeof(text) - 1}
	    BODY("{\"policy\":1}\0"), BODY("{\"policy\":1}\0x"), BODY("{\"policy\":1\0}"),
	    BODY("{\"policy\":[1\0,2]}"), BODY("{\0\"policy\":1}"), BODY("{\"pol\0icy\":1}"),
	    BODY("\0")
#undef BODY
	};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct query q;
		ck_assert_msg(query_parse_json(&arena, QUERY_POSTURES, FORMAT_JSON, NULL,
				  bodies[i].json, bodies[i].len, &q, &errors) == STATUS_BAD_REQUEST,
		    "body %zu was taken", i);
	}
}
END_TEST

START_TEST(names_no_place_in_an_empty_body)
{
	struct query q;
	ck_status(parse_json("", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "body");
	ck_assert_str_eq(errors.list[0].message, "The body must be a JSON object");
}
END_TEST

START_TEST(refuses_deep_bodies_before_they_are_recursed_into)
{
	size_t depth = 1000000;
	char *json = malloc(depth);
	struct query q;
	ck_assert_ptr_nonnull(json);
	memset(json, '[', depth);
	memcpy(json, "{\"host\":", 8);
	ck_status(
	    query_parse_json(&arena, QUERY_POSTURES, FORMAT_JSON, NULL, json, depth, &q, &errors),
	    STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "host");
	ck_assert_str_eq(errors.list[0].message, "The body may nest 64 deep");
	free(json);
	/* brackets in strings nest nothing */
	ck_status(
	    parse_json("{\"policy\":1,\"x\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		       "[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}",
		&q),
	    STATUS_BAD_REQUEST);
	ck_assert_str_eq(told(), "x");
}
END_TEST

/* --- canonical text */

START_TEST(writes_the_canonical_text_of_the_document)
{
	ck_assert_str_eq(canon_of("policy=1"), "q1;policy=1");
	ck_assert_str_eq(
	    canon_of(
		"scannedTo=1970-01-01&scannedFrom=1970-01-01&changedSince=1970-01-01T00:00:07Z"
		"&evaluatedSince=1970-01-01&criticality=urgent,0&previousStatus=error"
		"&status=failed,passed&inactive=exclude&qds=true&cloud=true&evidence=extended"
		"&assets=all&subscription=4&host=12,3&policy=2&limit=3&fields=id&partial=true"),
	    "q1;policy=2;host=3,12;subscription=4;assets=all;evidence=extended;cloud=true;qds=true"
	    ";inactive=exclude;status=Passed,Failed;previousStatus=Error;criticality=0,5"
	    ";evaluatedSince=0;scannedFrom=0;scannedTo=86399;changedSince=7");
	ck_assert_str_eq(canon_of("posture=9,1-5,3-7"), "q1;posture=1-7,9");
}
END_TEST

START_TEST(gives_the_policies_of_a_canonical_text_alone)
{
	static const struct {
		const char *text;
		size_t count;
		enum status status;
	} cases[] = {
	    {"q1;policy=3,9;host=1,2;evidence=basic", 2, STATUS_OK},
	    {"q1;policy=3,9;what comes later is not read", 2, STATUS_OK},
	    {"q1;policy=3", 1, STATUS_OK},
	    {"q1;posture=1-9", 0, STATUS_OK},
	    {"h1;policy=3", 1, STATUS_OK},
	    {"h1;policy=3,9;state=active", 2, STATUS_OK},
	    {"p1", 0, STATUS_OK},
	    {"p1;evaluatedSince=5", 0, STATUS_OK},
	    {"x1;policy=3", 0, STATUS_OK},
	    {"p1;policy=3", 0, STATUS_CORRUPT},
	    {"", 0, STATUS_OK},
	    {"q1;policy=9,3;host=1", 0, STATUS_CORRUPT},
	    {"q1;policy=", 0, STATUS_CORRUPT},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct id_list policies;
		ck_status(
		    query_canon_policies(&arena, cases[i].text, strlen(cases[i].text), &policies),
		    cases[i].status);
		ck_assert_uint_eq(policies.count, cases[i].count);
	}
}
END_TEST

START_TEST(leaves_defaults_and_the_view_out_of_the_canonical_text)
{
	ck_assert_str_eq(canon_of("policy=1&assets=pc&evidence=none&cloud=false&qds=false"
				  "&inactive=include&limit=7&partial=true&fields=id"),
	    "q1;policy=1");
	ck_assert_str_eq(canon_of("policy=1&format=csv&fields=id"), "q1;policy=1");
}
END_TEST

START_TEST(tells_apart_what_concatenates_alike)
{
	static const char *const queries[] = {"policy=1&host=23", "policy=12&host=3", "policy=1,23",
	    "policy=12,3", "policy=123", "posture=1,23", "posture=1-23", "policy=1&host=2,3",
	    "policy=1,2&host=3", "policy=1&subscription=23", "policy=1&criticality=2,3",
	    "policy=1&status=Passed", "policy=1&previousStatus=Passed",
	    "policy=1&status=Passed,Failed,Error", "policy=1&scannedSince=2026-01-01",
	    "policy=1&evaluatedSince=2026-01-01", "policy=1&changedSince=2026-01-01",
	    "policy=1&criticality=0,1,2,3,4,5", "policy=1&cloud=true", "policy=1&qds=true",
	    "policy=1&scannedFrom=2026-01-01&scannedTo=2026-01-01"};
	for (size_t i = 0; i < ARRAY_LEN(queries); i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(canon_of(queries[i]), canon_of(queries[j]));
}
END_TEST

/* A random query as text, in a random order and spelling: equal `what` give equal queries. */
struct random_query {
	struct unit_random what, how;
};

static const char *
in_random_case(struct unit_random *how, const char *word)
{
	char *copy = arena_dup(&arena, word, strlen(word));
	for (char *c = copy; *c != '\0'; c++)
		if (((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')) && unit_below(how, 2))
			*c ^= 0x20;
	return copy;
}

/* Items in random order, some of them twice, in one parameter or several. */
static const char *
spread_list(struct unit_random *how, const char *name, const char *const *items, size_t count)
{
	const char *order[64], *text = "";
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t copies = 1 + (unit_below(how, 4) == 0); copies > 0; copies--)
			order[n++] = in_random_case(how, items[i]);
	for (size_t i = 0; i < n; i++) {
		size_t other = i + unit_below(how, n - i);
		const char *item = order[other];
		order[other] = order[i];
		bool new_parameter = i == 0 || unit_below(how, 3) == 0;
		text = new_parameter
			   ? arena_printf(&arena, "%s%s%s=%s", text, i > 0 ? "&" : "", name, item)
			   : arena_printf(&arena, "%s,%s", text, item);
	}
	return text;
}

static const char *
random_ids(struct random_query *r, const char *name)
{
	const char *items[8];
	size_t count = 1 + unit_below(&r->what, 4);
	for (size_t i = 0; i < count; i++)
		items[i] = arena_printf(&arena, "%zu", 1 + unit_below(&r->what, 12));
	return spread_list(&r->how, name, items, count);
}

static const char *
random_words(
    struct random_query *r, const char *name, const char *const *words, size_t n, size_t most)
{
	const char *items[16];
	size_t count = 0;
	for (size_t i = 0; i < n && count < most; i++)
		if (unit_below(&r->what, 2) == 0)
			items[count++] = words[i];
	if (count == 0)
		items[count++] = words[0];
	return spread_list(&r->how, name, items, most == 1 ? 1 : count);
}

static const char *
random_single(struct random_query *r, const char *name, const char *const *words, size_t n)
{
	return arena_printf(
	    &arena, "%s=%s", name, in_random_case(&r->how, words[unit_below(&r->what, n)]));
}

static const char *
random_date(struct random_query *r, const char *name)
{
	size_t day = 1 + unit_below(&r->what, 3);
	return unit_below(&r->how, 2)
		   ? arena_printf(&arena, "%s=2026-01-0%zu", name, day)
		   : arena_printf(&arena, "%s=2026-01-0%zuT00:00:00Z", name, day);
}

static const char *
random_query(struct random_query *r)
{
	static const char *const statuses[] = {"Passed", "Failed", "Error"};
	static const char *const values[] = {"0", "1", "2", "3", "4", "5"};
	static const char *const labels[] = {
	    "undefined", "minimal", "medium", "serious", "critical", "urgent"};
	static const char *const assets[] = {"pc", "all"};
	static const char *const evidence[] = {"none", "basic", "extended"};
	static const char *const bools[] = {"true", "false"};
	static const char *const inactive[] = {"include", "exclude"};
	const char *parts[16], *text = "";
	size_t n = 0;

	bool by_posture = unit_below(&r->what, 4) == 0;
	parts[n++] = random_ids(r, by_posture ? "posture" : "policy");
	if (!by_posture && unit_below(&r->what, 2))
		parts[n++] = random_ids(r, "host");
	if (unit_below(&r->what, 2))
		parts[n++] = random_words(r, "status", statuses, 3, 3);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_single(r, "previousStatus", statuses, 3);
	if (unit_below(&r->what, 2))
		parts[n++] =
		    random_words(r, "criticality", unit_below(&r->how, 2) ? values : labels, 6, 6);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_single(r, "assets", assets, 2);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_single(r, "evidence", evidence, 3);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_single(r, "cloud", bools, 2);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_single(r, "qds", bools, 2);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_single(r, "inactive", inactive, 2);
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_date(r, "evaluatedSince");
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_date(r, "scannedSince");
	if (unit_below(&r->what, 3) == 0)
		parts[n++] = random_date(r, "changedSince");
	for (size_t i = 0; i < n; i++) {
		size_t other = i + unit_below(&r->how, n - i);
		const char *part = parts[other];
		parts[other] = parts[i];
		text = arena_printf(&arena, "%s%s%s", text, i > 0 ? "&" : "", part);
	}
	return text;
}

START_TEST(canon_is_the_same_for_every_order_repetition_and_spelling)
{
	uint64_t seed = unit_seed(20261122);
	struct unit_random random = {seed};
	for (int round = 0; round < 2000; round++) {
		struct unit_random what = {unit_next(&random)};
		struct random_query a = {what, {unit_next(&random)}};
		struct random_query b = {what, {unit_next(&random)}};
		const char *one = random_query(&a), *other = random_query(&b);
		ck_assert_msg(strcmp(canon_of(one), canon_of(other)) == 0, "seed %llu: %s and %s",
		    (unsigned long long)seed, one, other);
		arena_reset(&arena);
	}
}
END_TEST

static bool
same_ids(const struct id_list *a, const struct id_list *b)
{
	return a->count == b->count &&
	       (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

static bool
same_scope_and_filter(const struct query *a, const struct query *b)
{
	return same_ids(&a->policies, &b->policies) && same_ids(&a->hosts, &b->hosts) &&
	       a->postures.count == b->postures.count && a->postures.width == b->postures.width &&
	       (a->postures.count == 0 ||
		   memcmp(a->postures.ranges, b->postures.ranges,
		       a->postures.count * sizeof *a->postures.ranges) == 0) &&
	       a->subscription == b->subscription && a->assets == b->assets &&
	       a->evidence == b->evidence && a->cloud == b->cloud && a->qds == b->qds &&
	       a->exclude_inactive == b->exclude_inactive && a->status == b->status &&
	       a->previous_status == b->previous_status && a->criticality == b->criticality &&
	       a->evaluated_since == b->evaluated_since && a->scanned_since == b->scanned_since &&
	       a->scanned_from == b->scanned_from && a->scanned_to == b->scanned_to &&
	       a->changed_since == b->changed_since && a->deployment == b->deployment &&
	       a->state == b->state && a->tags == b->tags;
}

START_TEST(canon_is_equal_for_equal_queries_only_and_reads_back)
{
	uint64_t seed = unit_seed(20261123);
	struct unit_random random = {seed};
	size_t equal = 0;
	for (int round = 0; round < 4000; round++) {
		struct random_query r = {{unit_next(&random)}, {unit_next(&random)}};
		struct query a = good(random_query(&r));
		/* half of them differ in one thing at most */
		struct query b = a;
		if (unit_below(&random, 2)) {
			b.status = (unsigned)unit_below(&random, 8);
		} else {
			b = good(random_query(&r));
		}
		const char *one = canon(&a), *other = canon(&b);
		bool same = same_scope_and_filter(&a, &b);
		equal += same;
		ck_assert_msg((strcmp(one, other) == 0) == same, "seed %llu: %s and %s",
		    (unsigned long long)seed, one, other);
		struct query back;
		ck_status(query_from_canon(&arena, one, strlen(one), &back), STATUS_OK);
		ck_assert(same_scope_and_filter(&a, &back));
		ck_assert_str_eq(canon(&back), one);
		arena_reset(&arena);
	}
	ck_assert_uint_gt(equal, 10);
}
END_TEST

/* The other kinds: the policy list, and the hosts of a policy, which stands in the path. */

static struct query
good_policies(const char *text)
{
	struct query q;
	ck_status(
	    query_parse(&arena, QUERY_POLICIES, FORMAT_JSON, NULL, text, strlen(text), &q, &errors),
	    STATUS_OK);
	return q;
}

static struct query
hosts_of(const uint64_t *policy)
{
	struct query q;
	ck_status(
	    query_parse(&arena, QUERY_HOSTS, FORMAT_JSON, NULL, "", 0, &q, &errors), STATUS_OK);
	q.policies = (struct id_list){policy, 1};
	return q;
}

START_TEST(every_kind_has_texts_of_its_own)
{
	static const uint64_t policy = 7;
	struct query list = good_policies(""), since = good_policies("evaluatedSince=1970-01-02");
	struct query hosts = hosts_of(&policy), postures = good("policy=7");
	ck_assert_str_eq(canon(&list), "p1");
	ck_assert_str_eq(canon(&since), "p1;evaluatedSince=86400");
	ck_assert_str_eq(canon(&hosts), "h1;policy=7");
	ck_assert_str_eq(canon(&postures), "q1;policy=7");
	/* the view makes no other query */
	list = good_policies("limit=7");
	ck_assert_str_eq(canon(&list), "p1");
}
END_TEST

/* What is on disk was written with these, and has to be found again. */
START_TEST(what_nobody_asks_for_changes_no_text)
{
	static const char *const texts[] = {"p1", "p1;evaluatedSince=86400", "h1;policy=7",
	    "q1;policy=7", "q1;posture=1-7,9",
	    "q1;policy=2;host=3,12;subscription=4;assets=all;evidence=extended;cloud=true;qds=true"
	    ";inactive=exclude;status=Passed,Failed;previousStatus=Error;criticality=0,5"
	    ";evaluatedSince=0;scannedFrom=0;scannedTo=86399;changedSince=7"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct query q;
		ck_status(query_from_canon(&arena, texts[i], strlen(texts[i]), &q), STATUS_OK);
		ck_assert(q.deployment == DEPLOYMENT_ALL && q.state == STATE_ALL && !q.tags);
		ck_assert_str_eq(canon(&q), texts[i]);
	}
	/* what is no part of a kind is no part of its text */
	struct query q = good("policy=7");
	q.deployment = DEPLOYMENT_CLOUD;
	q.state = STATE_ACTIVE;
	q.tags = true;
	ck_assert_str_eq(canon(&q), "q1;policy=7");
}
END_TEST

START_TEST(lists_and_hosts_have_the_upstreams_other_parameters)
{
	static const uint64_t policies[] = {7, 9};
	struct query list = good_policies(""), hosts = hosts_of(policies);
	list.tags = true;
	ck_assert_str_eq(canon(&list), "p1;tags=true");
	list.evaluated_since = 5;
	ck_assert_str_eq(canon(&list), "p1;tags=true;evaluatedSince=5");
	hosts.policies.count = 2;
	ck_assert_str_eq(canon(&hosts), "h1;policy=7,9");
	hosts.assets = ASSETS_ALL;
	hosts.deployment = DEPLOYMENT_ON_PREM;
	hosts.state = STATE_TERMINATED;
	hosts.scanned_since = 1;
	hosts.changed_since = 2;
	ck_assert_str_eq(canon(&hosts),
	    "h1;policy=7,9;assets=all;deployment=on-prem;state=terminated;scannedSince=1"
	    ";changedSince=2");
}
END_TEST

static int64_t
random_seconds(struct unit_random *random)
{
	return unit_below(random, 2) ? DATE_NONE
				     : (int64_t)unit_below(random, (uint64_t)QUERY_DATE_MAX + 1);
}

static struct query
random_hosts(struct unit_random *random, uint64_t policies[3])
{
	policies[0] = 1 + unit_below(random, QUERY_ID_MAX - 1000);
	policies[1] = policies[0] + 1 + unit_below(random, 9);
	policies[2] = policies[1] + 1 + unit_below(random, 9);
	struct query q = hosts_of(policies);
	q.policies.count = 1 + unit_below(random, 3);
	q.assets = (enum query_assets)unit_below(random, 2);
	q.deployment = (enum query_deployment)unit_below(random, 3);
	q.state = (enum query_state)unit_below(random, 3);
	q.scanned_since = random_seconds(random);
	q.changed_since = random_seconds(random);
	return q;
}

START_TEST(texts_of_the_other_kinds_read_back)
{
	uint64_t seed = unit_seed(20261125);
	struct unit_random random = {seed};
	for (int round = 0; round < 2000; round++) {
		uint64_t policies[3];
		struct query q =
		    unit_below(&random, 2) ? random_hosts(&random, policies) : good_policies("");
		if (q.kind == KIND_POLICIES) {
			q.tags = unit_below(&random, 2);
			q.evaluated_since = random_seconds(&random);
		}
		const char *text = canon(&q);
		struct query back;
		ck_status(query_from_canon(&arena, text, strlen(text), &back), STATUS_OK);
		ck_assert_int_eq(back.kind, q.kind);
		ck_assert(same_scope_and_filter(&q, &back));
		ck_assert_str_eq(canon(&back), text);
		arena_reset(&arena);
	}
}
END_TEST

START_TEST(no_call_takes_the_gateways_own_parameters)
{
	static const char *const names[] = {"deployment", "state", "tags"};
	static const char *const values[] = {"cloud", "active", "true"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (unsigned use = QUERY_POSTURES; use <= QUERY_FETCHES; use++) {
			struct query q;
			const char *text = arena_printf(&arena, "%s=%s", names[i], values[i]);
			ck_status(parse_use((enum query_use)use, text, &q), STATUS_BAD_REQUEST);
			ck_assert_str_eq(errors.list[0].parameter, names[i]);
			ck_assert_str_eq(errors.list[0].message, "There is no such parameter");
		}
		struct query q;
		const char *body =
		    arena_printf(&arena, "{\"policy\":1,\"%s\":\"%s\"}", names[i], values[i]);
		ck_status(parse_json(body, &q), STATUS_BAD_REQUEST);
		ck_assert_str_eq(told(), names[i]);
	}
	/* nor is anyone sent to them who says it as the upstream does */
	struct query q;
	ck_status(parse("policy=1&assetState=ACTIVE", &q), STATUS_BAD_REQUEST);
	ck_assert_str_eq(errors.list[0].message, "There is no such parameter");
}
END_TEST

START_TEST(the_other_kinds_take_no_parameters_of_postures)
{
	static const enum query_use uses[] = {QUERY_POLICIES, QUERY_HOSTS};
	static const char *const names[] = {"policy=1", "host=1", "posture=1", "subscription=1",
	    "assets=pc", "evidence=none", "status=Failed", "scannedSince=2026-01-01", "fields=id",
	    "format=json", "partial=false", "by=status", "lastEvaluationDate=2026-01-01"};
	struct query q;
	for (size_t i = 0; i < ARRAY_LEN(names) * ARRAY_LEN(uses); i++) {
		const char *text = names[i / ARRAY_LEN(uses)];
		ck_status(query_parse(&arena, uses[i % ARRAY_LEN(uses)], FORMAT_JSON, NULL, text,
			      strlen(text), &q, &errors),
		    STATUS_BAD_REQUEST);
		ck_assert_uint_eq(errors.count, 1);
	}
	ck_status(query_parse(&arena, QUERY_HOSTS, FORMAT_JSON, NULL, "evaluatedSince=2026-01-01",
		      25, &q, &errors),
	    STATUS_BAD_REQUEST);
	ck_status(query_parse(
		      &arena, QUERY_HOSTS, FORMAT_JSON, NULL, "cursor=x&limit=7", 16, &q, &errors),
	    STATUS_OK);
	ck_assert_int_eq(q.kind, KIND_HOSTS);
	ck_status(query_parse(&arena, QUERY_POLICIES, FORMAT_JSON, NULL,
		      "cursor=x&evaluatedSince=2026-01-01", 34, &q, &errors),
	    STATUS_BAD_REQUEST);
}
END_TEST

START_TEST(digests_differ_with_the_text)
{
	uint8_t a[SHA256_BYTES], b[SHA256_BYTES];
	query_digest("q1;policy=1", 11, a);
	query_digest("q1;policy=1", 11, b);
	ck_assert_mem_eq(a, b, sizeof a);
	query_digest("q1;policy=2", 11, b);
	ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

static const char *const bad_canons[] = {"", "q", "q1", "q1;", "q2;policy=1", "q0;policy=1",
    "Q1;policy=1", "q1policy=1", "q1;policy", "q1;policy=", "q1;policy=0", "q1;policy=01",
    "q1;policy=2,1", "q1;policy=1,1", "q1;policy=1,", "q1;policy=1;", "q1;;policy=1",
    "q1;policy=1;policy=2", "q1;policy=1;policy=1", "q1;host=1", "q1;host=1;policy=1",
    "q1;policy=1;posture=1", "q1;posture=1-1", "q1;posture=1-2,3", "q1;posture=2-1",
    "q1;posture=1-9223372036854775807", "q1;policy=1;assets=pc", "q1;policy=1;assets=ALL",
    "q1;policy=1;assets=all;assets=all", "q1;policy=1;cloud=false", "q1;policy=1;cloud=1",
    "q1;policy=1;status=Failed,Passed", "q1;policy=1;status=passed",
    "q1;policy=1;status=Passed,Passed", "q1;policy=1;criticality=SERIOUS",
    "q1;policy=1;previousStatus=Passed,Failed", "q1;policy=1;evaluatedSince=2026-01-01",
    "q1;policy=1;evaluatedSince=-1", "q1;policy=1;evaluatedSince=01",
    "q1;policy=1;evaluatedSince=4291747200", "q1;policy=1;evaluatedSince=99999999999999999999",
    "q1;policy=1;scannedFrom=1", "q1;policy=1;scannedFrom=2;scannedTo=1",
    "q1;policy=1;scannedSince=1;scannedFrom=1;scannedTo=1", "q1;policy=1;limit=100",
    "q1;policy=1;limit=7", "q1;policy=1;cursor=x", "q1;policy=1;fields=id",
    "q1;policy=1;format=json", "q1;policy=1;by=status", "q1;policy=1;nosuch=1", "q1;policy=%31",
    "q1;policy= 1", "q1;policy=1\n", "q1;policy=1 ", "\xff\xfe", "q1;policy=9223372036854775808",
    "p", "p1;", "p2", "P1", "p1;policy=1", "p1;evaluatedSince=", "p1;evaluatedSince=2026-01-01",
    "p1;evaluatedSince=1;evaluatedSince=1", "p1;evaluatedSince=1;status=Failed", "p1;limit=7",
    "p1;status=Passed", "p1q1;policy=1", "p1h1;policy=1", "h1", "h1;", "h2;policy=1",
    "h1;policy=2,1", "h1;policy=0", "h1;policy=1;host=1", "h1;policy=1;evaluatedSince=1",
    "h1;host=1", "h1;policy=1;policy=1", "h1;policy=1;limit=7", "h1;state=active",
    "h1;policy=1;state=all", "h1;policy=1;deployment=CLOUD", "h1;policy=1;deployment=on_prem",
    "h1;policy=1;state=active;deployment=cloud", "h1;policy=1;state=active;state=active",
    "h1;policy=1;tags=true", "h1;policy=1;scannedFrom=0;scannedTo=1", "h1;policy=1;subscription=2",
    "q1;policy=1;tags=true", "q1;policy=1;state=active", "q1;policy=1;deployment=cloud",
    "p1;tags=false", "p1;tags=1", "p1;evaluatedSince=1;tags=true", "p1;state=active",
    "p1;assets=all"};

START_TEST(reads_no_canonical_text_that_it_would_not_write)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_canons); i++) {
		struct query q;
		ck_assert_msg(query_from_canon(&arena, bad_canons[i], strlen(bad_canons[i]), &q) ==
				  STATUS_CORRUPT,
		    "%s was taken", bad_canons[i]);
	}
}
END_TEST

START_TEST(reads_mutated_canonical_text_exactly_or_not_at_all)
{
	static const char whole[] = "q1;policy=2,3;host=3,12;subscription=4;assets=all;cloud=true"
				    ";status=Passed,Failed;criticality=0,5;evaluatedSince=10"
				    ";scannedFrom=0;scannedTo=86399";
	static const char alphabet[] = "0123456789,;=-qphP\n\xff";
	uint64_t seed = unit_seed(7);
	struct unit_random random = {seed};
	for (int round = 0; round < 20000; round++) {
		char text[sizeof whole];
		memcpy(text, whole, sizeof whole);
		size_t len = sizeof whole - 1;
		for (size_t n = 1 + unit_below(&random, 3); n > 0; n--)
			text[unit_below(&random, len)] =
			    alphabet[unit_below(&random, sizeof alphabet - 1)];
		len -= unit_below(&random, 4) == 0 ? unit_below(&random, len) : 0;
		struct query q;
		enum status st = query_from_canon(&arena, text, len, &q);
		ck_assert(st == STATUS_OK || st == STATUS_CORRUPT);
		if (st == STATUS_OK) {
			const char *again = canon(&q);
			ck_assert_uint_eq(strlen(again), len);
			ck_assert_mem_eq(again, text, len);
		}
		arena_reset(&arena);
	}
}
END_TEST

START_TEST(survives_random_query_strings_and_bodies)
{
	static const char *const pieces[] = {"policy", "host", "posture", "=", "&", ",", "1", "0",
	    "-", "9223372036854775807", "%", "%31", "%00", "\xc3\xa9", "status", "Passed", "limit",
	    "{", "}", "[", "]", ":", "\"", "\\", "true", "null", "1.5", "cursor", " ", "+"};
	uint64_t seed = unit_seed(11);
	struct unit_random random = {seed};
	for (int round = 0; round < 20000; round++) {
		char text[256] = "";
		size_t len = 0;
		for (size_t n = unit_below(&random, 16); n > 0; n--) {
			const char *piece = pieces[unit_below(&random, ARRAY_LEN(pieces))];
			size_t piece_len = strlen(piece);
			if (len + piece_len > sizeof text)
				break;
			memcpy(text + len, piece, piece_len);
			len += piece_len;
		}
		struct query q;
		enum status st = round % 2 == 0
				     ? query_parse(&arena, QUERY_POSTURES, FORMAT_JSON,
					   field_number, text, len, &q, &errors)
				     : query_parse_json(&arena, QUERY_POSTURES, FORMAT_JSON,
					   field_number, text, len, &q, &errors);
		ck_assert(st == STATUS_OK || (st == STATUS_BAD_REQUEST && errors.count > 0));
		arena_reset(&arena);
	}
}
END_TEST

/* --- cursor */

static const uint8_t key[SHA256_BYTES] = {1, 2, 3};

static struct cursor
random_cursor(struct unit_random *random)
{
	struct cursor c = {
	    .result = unit_next(random),
	    .position = unit_next(random),
	    .fields = unit_next(random),
	    .limit = (uint16_t)(1 + unit_below(random, LIMIT_PAGE_RECORDS)),
	    .format = (uint8_t)unit_below(random, 3),
	};
	for (size_t i = 0; i < sizeof c.query; i++)
		c.query[i] = (uint8_t)unit_next(random);
	for (size_t i = 0; i < sizeof c.consumer; i++)
		c.consumer[i] = (uint8_t)unit_next(random);
	return c;
}

/* The same, into a call under way. */
static struct cursor
random_inside(struct unit_random *random)
{
	struct cursor c = random_cursor(random);
	c.inside = true;
	c.call = (uint32_t)unit_next(random);
	c.attempt = (uint32_t)unit_next(random);
	c.trail = unit_next(random);
	return c;
}

static size_t
signed_bytes(bool inside)
{
	return inside ? CURSOR_MOST_BYTES : CURSOR_SIGNED_BYTES;
}

static size_t
text_bytes(bool inside)
{
	return CRYPTO_BASE64_BYTES(signed_bytes(inside));
}

START_TEST(cursors_read_back)
{
	struct unit_random random = {unit_seed(3)};
	for (int round = 0; round < 1000; round++) {
		char text[CURSOR_TEXT_BYTES];
		struct cursor c = round % 2 == 0 ? random_cursor(&random) : random_inside(&random);
		struct cursor back;
		cursor_encode(&c, key, text);
		ck_assert_uint_eq(strlen(text), text_bytes(c.inside) - 1);
		ck_assert_uint_eq(
		    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789-_"),
		    strlen(text));
		ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_OK);
		ck_assert(back.result == c.result && back.position == c.position);
		ck_assert(back.fields == c.fields && back.inside == c.inside);
		ck_assert(back.call == c.call && back.attempt == c.attempt);
		ck_assert(back.trail == c.trail);
		ck_assert(back.limit == c.limit && back.format == c.format);
		ck_assert_mem_eq(back.query, c.query, sizeof c.query);
		ck_assert_mem_eq(back.consumer, c.consumer, sizeof c.consumer);
	}
}
END_TEST

/* Whoever has a cursor learns nothing of the records between one of its own and the next. */
START_TEST(a_cursor_does_not_show_its_position)
{
	struct unit_random random = {unit_seed(7)};
	char text[CURSOR_TEXT_BYTES], again[CURSOR_TEXT_BYTES];
	uint8_t one[CURSOR_SIGNED_BYTES], other[CURSOR_SIGNED_BYTES];
	struct cursor c = random_cursor(&random);
	c.position = 0;
	cursor_encode(&c, key, text);
	cursor_encode(&c, key, again);
	ck_assert_str_eq(text, again);
	ck_assert(crypto_unbase64(text, strlen(text), one, sizeof one));
	for (c.position = 1; c.position < 1000; c.position++) {
		cursor_encode(&c, key, text);
		ck_assert(crypto_unbase64(text, strlen(text), other, sizeof other));
		/* nor does the difference of two */
		uint64_t shown = 0, difference = 0;
		for (size_t i = 9; i < 17; i++) {
			shown = shown << 8 | other[i];
			difference = difference << 8 | (other[i] ^ one[i]);
		}
		ck_assert_msg(shown >= 1000 && difference >= 1000, "%" PRIu64, c.position);
	}
}
END_TEST

/* Nor of what is known of a call: two cursors that differ in nothing else differ all over. */
START_TEST(a_cursor_does_not_show_what_is_known_of_a_call)
{
	struct unit_random random = {unit_seed(8)};
	char text[CURSOR_TEXT_BYTES];
	uint8_t one[CURSOR_MOST_BYTES], other[CURSOR_MOST_BYTES];
	struct cursor c = random_inside(&random);
	cursor_encode(&c, key, text);
	ck_assert(crypto_unbase64(text, strlen(text), one, sizeof one));
	for (int round = 0; round < 3; round++) {
		struct cursor d = c;
		d.call ^= round == 0;
		d.attempt ^= round == 1;
		d.trail ^= round == 2;
		cursor_encode(&d, key, text);
		ck_assert(crypto_unbase64(text, strlen(text), other, sizeof other));
		for (size_t at = 9; at < 33; at += 4)
			ck_assert(memcmp(one + at, other + at, 4) != 0);
		ck_assert_mem_eq(one + 33, other + 33, CURSOR_MOST_BYTES - 33 - 16);
	}
}
END_TEST

/* 0: an ordinary one, 1: one into a call */
START_TEST(refuses_a_cursor_with_any_bit_flipped)
{
	struct unit_random random = {unit_seed(4)};
	char text[CURSOR_TEXT_BYTES];
	struct cursor c = _i == 0 ? random_cursor(&random) : random_inside(&random), back;
	size_t byte_count = signed_bytes(c.inside);
	cursor_encode(&c, key, text);
	for (size_t i = 0; i < strlen(text); i++) {
		for (int bit = 0; bit < 8; bit++) {
			char flipped[CURSOR_TEXT_BYTES];
			memcpy(flipped, text, sizeof text);
			flipped[i] = (char)(flipped[i] ^ 1 << bit);
			ck_assert_msg(
			    cursor_decode(flipped, strlen(text), key, &back) == STATUS_BAD_CURSOR,
			    "%s: bit %d of character %zu, %x", text, bit, i, (unsigned)text[i]);
		}
	}
	uint8_t bytes[CURSOR_MOST_BYTES];
	ck_assert(crypto_unbase64(text, strlen(text), bytes, byte_count));
	for (size_t i = 0; i < byte_count * 8; i++) {
		char flipped[CURSOR_TEXT_BYTES];
		bytes[i / 8] = (uint8_t)(bytes[i / 8] ^ 1u << i % 8);
		crypto_base64(bytes, byte_count, flipped, sizeof flipped);
		bytes[i / 8] = (uint8_t)(bytes[i / 8] ^ 1u << i % 8);
		ck_assert_msg(
		    cursor_decode(flipped, strlen(flipped), key, &back) == STATUS_BAD_CURSOR,
		    "%s: bit %zu", text, i);
	}
}
END_TEST

START_TEST(refuses_a_cursor_of_another_length_key_or_alphabet)
{
	static const uint8_t other_key[SHA256_BYTES] = {1, 2, 4};
	struct unit_random random = {unit_seed(5)};
	char text[CURSOR_TEXT_BYTES + 2];
	struct cursor c = _i == 0 ? random_cursor(&random) : random_inside(&random), back;
	cursor_encode(&c, key, text);
	size_t len = strlen(text);
	ck_status(cursor_decode(text, len, other_key, &back), STATUS_BAD_CURSOR);
	for (size_t shorter = 0; shorter < len; shorter++)
		ck_status(cursor_decode(text, shorter, key, &back), STATUS_BAD_CURSOR);
	memcpy(text + len, "A", 2);
	ck_status(cursor_decode(text, len + 1, key, &back), STATUS_BAD_CURSOR);
	memcpy(text + len, "=", 2);
	ck_status(cursor_decode(text, len + 1, key, &back), STATUS_BAD_CURSOR);
	text[0] = ' ';
	ck_status(cursor_decode(text, len, key, &back), STATUS_BAD_CURSOR);
	text[0] = '+';
	ck_status(cursor_decode(text, len, key, &back), STATUS_BAD_CURSOR);
}
END_TEST

START_TEST(refuses_a_signed_cursor_that_makes_no_sense)
{
	struct unit_random random = {unit_seed(6)};
	char text[CURSOR_TEXT_BYTES];
	struct cursor c = random_cursor(&random), back;
	c.limit = 0;
	cursor_encode(&c, key, text);
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_BAD_CURSOR);
	c.limit = LIMIT_PAGE_RECORDS + 1;
	cursor_encode(&c, key, text);
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_BAD_CURSOR);
	c.limit = 1;
	c.format = FORMAT_CSV + 1;
	cursor_encode(&c, key, text);
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_BAD_CURSOR);
}
END_TEST

/* What cursor.c signs, and so what it must go on refusing: another purpose, another format. */
static void
sign_by_hand(const char *purpose, uint8_t format, char text[CURSOR_TEXT_BYTES])
{
	uint8_t message[32 + CURSOR_SIGNED_BYTES] = {0}, mac[SHA256_BYTES];
	size_t purpose_len = strlen(purpose) + 1, plain_len = CURSOR_SIGNED_BYTES - 16;
	uint8_t *plain = message + purpose_len;
	memcpy(message, purpose, purpose_len);
	plain[0] = format;
	plain[plain_len - 2] = 1; /* limit */
	crypto_mac(key, message, purpose_len + plain_len, mac);
	memcpy(plain + plain_len, mac, 16);
	uint8_t mask_message[sizeof "posturegate cursor position" + 16] =
	    "posturegate cursor position";
	memcpy(mask_message + sizeof mask_message - 16, mac, 16);
	crypto_mac(key, mask_message, sizeof mask_message, mac);
	for (size_t i = 0; i < 8; i++)
		plain[9 + i] = (uint8_t)(plain[9 + i] ^ mac[i]); /* the position, 0 */
	crypto_base64(plain, CURSOR_SIGNED_BYTES, text, CURSOR_TEXT_BYTES);
}

START_TEST(refuses_what_was_signed_for_another_purpose_or_format)
{
	char text[CURSOR_TEXT_BYTES];
	struct cursor back;
	sign_by_hand("posturegate cursor", 2, text);
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_OK);
	ck_assert_uint_eq(back.limit, 1);
	sign_by_hand("posturegate cursor", 3, text); /* that of another length */
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_BAD_CURSOR);
	sign_by_hand("posturegate cursor", 1, text);
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_BAD_CURSOR);
	sign_by_hand("posturegate tokens", 2, text);
	ck_status(cursor_decode(text, strlen(text), key, &back), STATUS_BAD_CURSOR);
}
END_TEST

/* --- filter */

static bool
naive_has(const struct id_list *list, uint64_t id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->ids[i] == id)
			return true;
	return false;
}

static bool
naive_date(int64_t from, int64_t to, uint32_t date)
{
	if (from == DATE_NONE && to == DATE_NONE)
		return true;
	if (date == ROW_DATE_NONE || date == ROW_DATE_UNREADABLE)
		return false;
	return (from == DATE_NONE || date >= from) && (to == DATE_NONE || date <= to);
}

static bool
naive_status(unsigned set, uint8_t status)
{
	if (set == 0)
		return true;
	switch (status) {
	case ROW_PASSED:
		return (set & STATUS_BIT_PASSED) != 0;
	case ROW_FAILED:
		return (set & STATUS_BIT_FAILED) != 0;
	case ROW_ERROR:
		return (set & STATUS_BIT_ERROR) != 0;
	default:
		return false;
	}
}

static bool
naive_match(const struct query *q, const struct id_list *grant, const struct row *row)
{
	bool in_range = q->postures.count == 0;
	for (size_t i = 0; i < q->postures.count; i++)
		in_range |=
		    row->id >= q->postures.ranges[i].first && row->id <= q->postures.ranges[i].last;
	bool critical = q->criticality == 0;
	for (unsigned value = 0; value <= 5; value++)
		critical |= row->criticality == value && (q->criticality >> value & 1) != 0;
	return in_range && critical && naive_status(q->status, row->status) &&
	       naive_status(q->previous_status, row->previous_status) &&
	       naive_date(q->evaluated_since, DATE_NONE, row->evaluated) &&
	       naive_date(q->scanned_since, DATE_NONE, row->scanned) &&
	       naive_date(q->scanned_from, q->scanned_to, row->scanned) &&
	       naive_date(q->changed_since, DATE_NONE, row->changed) &&
	       (q->policies.count == 0 || naive_has(&q->policies, row->policy)) &&
	       (q->hosts.count == 0 || naive_has(&q->hosts, row->host)) &&
	       (grant == NULL || naive_has(grant, row->policy));
}

static uint32_t
random_row_date(struct unit_random *random)
{
	static const uint32_t dates[] = {ROW_DATE_NONE, ROW_DATE_UNREADABLE, 1, UINT32_MAX - 1};
	/* 2026-01-01 to 2026-01-05, on the days' borders mostly */
	return unit_below(random, 4) == 0 ? dates[unit_below(random, ARRAY_LEN(dates))]
					  : (uint32_t)(1767225600 + unit_below(random, 5) * 86400 +
						       unit_below(random, 3) - 1);
}

static struct row
random_row(struct unit_random *random)
{
	static const uint8_t criticalities[] = {0, 1, 2, 3, 4, 5, 6, ROW_CRITICALITY_NONE};
	return (struct row){
	    .id = unit_below(random, 14),
	    .policy = unit_below(random, 14),
	    .host = unit_below(random, 14),
	    .evaluated = random_row_date(random),
	    .scanned = random_row_date(random),
	    .changed = random_row_date(random),
	    .status = (uint8_t)unit_below(random, 6),
	    .previous_status = (uint8_t)unit_below(random, 6),
	    .criticality = criticalities[unit_below(random, ARRAY_LEN(criticalities))],
	    .flags = (uint8_t)unit_below(random, 8),
	};
}

START_TEST(filter_agrees_with_the_naive_one)
{
	uint64_t seed = unit_seed(8);
	struct unit_random random = {seed};
	size_t matched = 0, rows = 0;
	for (int round = 0; round < 2000; round++) {
		struct random_query r = {{unit_next(&random)}, {unit_next(&random)}};
		const char *text = random_query(&r);
		struct query q = good(text);
		struct query grant = good(random_ids(&r, "policy"));
		if (q.scanned_since == DATE_NONE && unit_below(&random, 2)) {
			q.scanned_from = 1767225600 + (int64_t)unit_below(&random, 3) * 86400;
			q.scanned_to = q.scanned_from + 86399;
		}
		/* few filters at a time, or next to nothing passes */
		if (unit_below(&random, 2))
			q.status = q.previous_status = q.criticality = 0;
		struct filter f = {
		    .query = &q, .grant = unit_below(&random, 2) ? &grant.policies : NULL};
		for (int i = 0; i < 30; i++, rows++) {
			struct row row = random_row(&random);
			bool match = filter_match(&f, &row);
			matched += match;
			ck_assert_msg(match == naive_match(&q, f.grant, &row), "seed %llu: %s",
			    (unsigned long long)seed, text);
		}
		arena_reset(&arena);
	}
	ck_assert_uint_gt(matched, rows / 200);
	ck_assert_uint_lt(matched, rows);
}
END_TEST

START_TEST(passed_includes_passed_by_exception)
{
	struct query q = good("policy=1&status=Passed");
	struct filter f = {.query = &q, .grant = NULL};
	struct row row = {.policy = 1, .status = ROW_PASSED, .flags = ROW_EXCEPTION};
	ck_assert(filter_match(&f, &row));
	row.status = ROW_FAILED;
	ck_assert(!filter_match(&f, &row));
}
END_TEST

START_TEST(all_three_statuses_are_not_no_filter)
{
	struct query q = good("policy=1&status=Passed,Failed,Error");
	struct filter f = {.query = &q, .grant = NULL};
	struct row row = {.policy = 1, .status = ROW_STATUS_OTHER};
	ck_assert(!filter_match(&f, &row));
	row.status = ROW_STATUS_NONE;
	ck_assert(!filter_match(&f, &row));
	q.status = 0;
	ck_assert(filter_match(&f, &row));
}
END_TEST

START_TEST(a_grant_hides_what_has_no_policy_and_an_empty_one_everything)
{
	static const uint64_t ids[] = {1, 5};
	struct id_list grant = {ids, 2};
	struct filter f = {.query = NULL, .grant = &grant};
	struct row row = {.policy = 5};
	ck_assert(filter_match(&f, &row));
	row.policy = 0;
	ck_assert(!filter_match(&f, &row));
	row.policy = 6;
	ck_assert(!filter_match(&f, &row));
	row.policy = 5;
	grant.count = 0;
	ck_assert(!filter_match(&f, &row));
}
END_TEST

START_TEST(knows_when_nothing_can_fail)
{
	static const uint64_t ids[] = {1};
	struct id_list grant = {ids, 1};
	struct query none = good("policy=1");
	none.policies.count = 0;
	ck_assert(filter_passes_all(&(struct filter){.query = NULL, .grant = NULL}));
	ck_assert(filter_passes_all(&(struct filter){.query = &none, .grant = NULL}));
	ck_assert(!filter_passes_all(&(struct filter){.query = NULL, .grant = &grant}));
	static const char *const filters[] = {"status=Failed", "previousStatus=Failed",
	    "criticality=0", "evaluatedSince=2026-01-01", "scannedSince=2026-01-01",
	    "scannedFrom=2026-01-01&scannedTo=2026-01-01", "changedSince=2026-01-01", "host=1"};
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct query q = good(arena_printf(&arena, "policy=1&%s", filters[i]));
		q.policies.count = 0;
		ck_assert_msg(!filter_passes_all(&(struct filter){.query = &q, .grant = NULL}),
		    "%s", filters[i]);
	}
	struct query q = good("policy=1");
	ck_assert(!filter_passes_all(&(struct filter){.query = &q, .grant = NULL}));
	q = good("posture=1");
	ck_assert(!filter_passes_all(&(struct filter){.query = &q, .grant = NULL}));
}
END_TEST

int
main(void)
{
	if (crypto_init() != STATUS_OK)
		return EXIT_FAILURE;
	Suite *suite = suite_create("query");
	TCase *parsing = tcase_create("parsing");
	tcase_add_checked_fixture(parsing, setup, teardown);
	tcase_add_test(parsing, gives_the_defaults_where_nothing_is_asked);
	tcase_add_test(parsing, reads_every_parameter);
	tcase_add_test(parsing, maps_all_labels_of_criticality_to_their_values);
	tcase_add_test(parsing, merges_posture_ranges);
	tcase_add_test(parsing, takes_the_largest_id_alone_and_as_a_range);
	tcase_add_test(parsing, decodes_escapes_in_names_and_values);
	tcase_add_test(parsing, reads_no_escape_beyond_the_end);
	tcase_add_test(parsing, refuses_everything_that_is_no_id);
	tcase_add_test(parsing, refuses_each_bad_form_by_name);
	tcase_add_test(parsing, tells_all_offending_parameters_at_once);
	tcase_add_test(parsing, needs_a_policy_or_a_posture);
	tcase_add_test(parsing, says_which_item_is_wrong_and_what_it_must_be);
	tcase_add_test(parsing, guesses_what_was_meant_by_the_upstreams_names_or_another_case);
	tcase_add_test(parsing, shows_at_most_64_bytes_of_an_unknown_name);
	tcase_add_test(parsing, sums_up_what_is_beyond_the_error_list);
	tcase_add_test(parsing, takes_a_cursor_with_limit_alone);
	tcase_add_test(parsing, a_whole_result_takes_nothing_of_pages);
	tcase_add_test(parsing, takes_only_what_the_call_takes);
	tcase_add_test(parsing, holds_the_cap_on_ids_over_all_lists);
	tcase_add_test(parsing, takes_400000_ids_in_a_body_and_not_one_more);
	tcase_add_test(parsing, says_so_when_memory_runs_out);
	tcase_add_test(parsing, reads_a_body_like_a_query_string);
	tcase_add_test(parsing, refuses_each_bad_body_by_name);
	tcase_add_test(parsing, refuses_a_body_with_a_raw_nul);
	tcase_add_test(parsing, names_no_place_in_an_empty_body);
	tcase_add_test(parsing, refuses_deep_bodies_before_they_are_recursed_into);
	tcase_add_test(parsing, survives_random_query_strings_and_bodies);
	suite_add_tcase(suite, parsing);
	TCase *canonical = tcase_create("canonical text");
	tcase_add_checked_fixture(canonical, setup, teardown);
	tcase_add_test(canonical, writes_the_canonical_text_of_the_document);
	tcase_add_test(canonical, gives_the_policies_of_a_canonical_text_alone);
	tcase_add_test(canonical, leaves_defaults_and_the_view_out_of_the_canonical_text);
	tcase_add_test(canonical, tells_apart_what_concatenates_alike);
	tcase_add_test(canonical, canon_is_the_same_for_every_order_repetition_and_spelling);
	tcase_add_test(canonical, canon_is_equal_for_equal_queries_only_and_reads_back);
	tcase_add_test(canonical, every_kind_has_texts_of_its_own);
	tcase_add_test(canonical, what_nobody_asks_for_changes_no_text);
	tcase_add_test(canonical, lists_and_hosts_have_the_upstreams_other_parameters);
	tcase_add_test(canonical, no_call_takes_the_gateways_own_parameters);
	tcase_add_test(canonical, texts_of_the_other_kinds_read_back);
	tcase_add_test(canonical, the_other_kinds_take_no_parameters_of_postures);
	tcase_add_test(canonical, digests_differ_with_the_text);
	tcase_add_test(canonical, reads_no_canonical_text_that_it_would_not_write);
	tcase_add_test(canonical, reads_mutated_canonical_text_exactly_or_not_at_all);
	suite_add_tcase(suite, canonical);
	TCase *cursors = tcase_create("cursor");
	tcase_add_test(cursors, cursors_read_back);
	tcase_add_test(cursors, a_cursor_does_not_show_its_position);
	tcase_add_test(cursors, a_cursor_does_not_show_what_is_known_of_a_call);
	tcase_add_loop_test(cursors, refuses_a_cursor_with_any_bit_flipped, 0, 2);
	tcase_add_loop_test(cursors, refuses_a_cursor_of_another_length_key_or_alphabet, 0, 2);
	tcase_add_test(cursors, refuses_a_signed_cursor_that_makes_no_sense);
	tcase_add_test(cursors, refuses_what_was_signed_for_another_purpose_or_format);
	suite_add_tcase(suite, cursors);
	TCase *filters = tcase_create("filter");
	tcase_add_checked_fixture(filters, setup, teardown);
	tcase_add_test(filters, filter_agrees_with_the_naive_one);
	tcase_add_test(filters, passed_includes_passed_by_exception);
	tcase_add_test(filters, all_three_statuses_are_not_no_filter);
	tcase_add_test(filters, a_grant_hides_what_has_no_policy_and_an_empty_one_everything);
	tcase_add_test(filters, knows_when_nothing_can_fail);
	suite_add_tcase(suite, filters);
	return unit_run(suite);
}
