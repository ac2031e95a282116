/* The policy list and the hosts of a policy as records. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/arena.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/listing.h"
#include "tests/unit/unit.h"

/* --- reading a whole list */

struct seen {
	const struct listing *list;
	bool tags;
	struct buf records; /* one a line */
	struct row rows[16];
	size_t count;
};

static enum status
take(void *ctx, const struct split_record *rec)
{
	struct seen *s = ctx;
	struct row row;
	enum status st = listing_policy(rec, s->list->subscription, s->tags, &s->records, &row);
	if (st != STATUS_OK)
		return st;
	buf_byte(&s->records, '\n');
	if (s->count < ARRAY_LEN(s->rows))
		s->rows[s->count] = row;
	s->count++;
	return STATUS_OK;
}

static enum status
read_list(const char *text, size_t len, bool tags, struct seen *ret)
{
	struct listing list;
	*ret = (struct seen){.list = &list, .tags = tags};
	buf_init(&ret->records, 64 * MIB);
	enum status st = listing_open(text, len, &list);
	return st == STATUS_OK ? listing_each(&list, take, ret) : st;
}

static enum status
read_all(const char *text, size_t len, struct seen *ret)
{
	return read_list(text, len, false, ret);
}

static void
reads_as(const char *text, const char *wanted)
{
	struct seen s;
	ck_status(read_all(text, strlen(text), &s), STATUS_OK);
	ck_assert_str_eq(buf_str(&s.records), wanted);
	buf_fini(&s.records);
}

static void
fails_with(const char *text, enum status wanted)
{
	struct seen s;
	enum status st = read_all(text, strlen(text), &s);
	ck_assert_msg(st == wanted, "%s: %s", text, status_info(st)->name);
	buf_fini(&s.records);
}

/* The policy whose members are these, in a list of subscription 12. */
#define LIST(policies) "{\"subscriptionId\":12,\"policyList\":[" policies "]}"

START_TEST(a_policy_has_every_member_in_one_order)
{
	reads_as(LIST("{\"id\":31,\"title\":\"Base\",\"createdBy\":\"ann\",\"createdDate\":"
		      "\"2023-01-02T03:04:05Z\",\"modifiedBy\":\"bob\",\"modifiedDate\":"
		      "\"2024-01-02T03:04:05Z\",\"lastEvaluatedDate\":\"2025-01-02T03:04:05Z\","
		      "\"status\":\"active\",\"locked\":1}"),
	    "{\"id\":31,\"title\":\"Base\",\"status\":\"active\",\"locked\":true,\"createdBy\":"
	    "\"ann\",\"createdDate\":\"2023-01-02T03:04:05Z\",\"modifiedBy\":\"bob\","
	    "\"modifiedDate\":\"2024-01-02T03:04:05Z\",\"lastEvaluatedDate\":"
	    "\"2025-01-02T03:04:05Z\",\"subscriptionId\":12}\n");
}
END_TEST

#define AFTER_ID                                                                                   \
	"\"title\":null,\"status\":null,\"locked\":null,\"createdBy\":null,\"createdDate\":null,"  \
	"\"modifiedBy\":null,\"modifiedDate\":null,\"lastEvaluatedDate\":null,"                    \
	"\"subscriptionId\":"

START_TEST(what_is_missing_is_null)
{
	reads_as(LIST("{\"id\":1}"), "{\"id\":1," AFTER_ID "12}\n");
	reads_as("{\"policyList\":[{\"id\":1}]}", "{\"id\":1," AFTER_ID "null}\n");
	reads_as("{\"policyList\":[{\"id\":1}],\"subscriptionId\":null}",
	    "{\"id\":1," AFTER_ID "null}\n");
}
END_TEST

START_TEST(ids_are_integers_however_they_came)
{
	reads_as("{\"subscriptionId\":\"12\",\"policyList\":[{\"id\":\"9223372036854775807\"}]}",
	    "{\"id\":9223372036854775807," AFTER_ID "12}\n");
	/* a name may be escaped */
	reads_as("{\"subscription\\u0049d\":12,\"policy\\u004cist\":[{\"\\u0069d\":1}]}",
	    "{\"id\":1," AFTER_ID "12}\n");
}
END_TEST

START_TEST(others_members_are_left_out)
{
	reads_as("{\"more\":{\"policyList\":[{\"id\":7}]},\"policyList\":[{\"id\":1,\"includeTags\""
		 ":[{\"id\":5}],\"subscriptionId\":3}],\"subscriptionId\":12,\"x\":\"}\"}",
	    "{\"id\":1," AFTER_ID "12}\n");
}
END_TEST

#define TAGS "{\"includeTags\":[{\"id\":5,\"name\":\"a},{b\"}],\"includeTagsScope\":\"ANY\"}"

static const struct {
	const char *policy, *tags;
} tagged[] = {
    {"{\"id\":1,\"requireTagInfo\":" TAGS "}", TAGS},
    {"{\"tagInfo\":" TAGS ",\"id\":1}", TAGS},
    {"{\"id\":1,\"tagInfo\":" TAGS ",\"requireTagInfo\":null}", TAGS},
    {"{\"id\":1,\"requireTagInfo\":{},\"tagInfo\":" TAGS "}", "{}"},
    {"{\"id\":1,\"requireTagInfo\":null}", "null"},
    {"{\"id\":1,\"tagInfo\":7}", "7"},
    {"{\"id\":1,\"tags\":[1]}", "null"},
};

START_TEST(tags_stand_behind_the_rest_where_they_are_asked_for)
{
	struct seen with, without;
	struct arena arena;
	arena_init(&arena, 64 * KIB);
	const char *text =
	    arena_printf(&arena, "{\"subscriptionId\":12,\"policyList\":[%s]}", tagged[_i].policy);
	const char *wanted =
	    arena_printf(&arena, "{\"id\":1,%s12,\"tags\":%s}\n", AFTER_ID, tagged[_i].tags);
	ck_status(read_list(text, strlen(text), true, &with), STATUS_OK);
	ck_assert_str_eq(buf_str(&with.records), wanted);
	ck_status(read_all(text, strlen(text), &without), STATUS_OK);
	ck_assert_str_eq(buf_str(&without.records), "{\"id\":1," AFTER_ID "12}\n");
	buf_fini(&with.records);
	buf_fini(&without.records);
	arena_fini(&arena);
}
END_TEST

static const struct {
	const char *member, *came, *shown;
} values[] = {
    {"locked", "0", "false"},
    {"locked", "1", "true"},
    {"locked", "\"0\"", "false"},
    {"locked", "\"1\"", "true"},
    {"locked", "true", "true"},
    {"locked", "2", "2"},
    {"locked", "null", "null"},
    {"createdDate", "\"\"", "null"},
    {"createdDate", "\"yesterday\"", "\"yesterday\""},
    {"createdDate", "7", "7"},
    {"title", "\"\"", "\"\""},
    {"title", "\"0\"", "\"0\""},
    {"title", "\"\\u2014 \\\"\xc3\x84\\\" },{\\\\\"", "\"\\u2014 \\\"\xc3\x84\\\" },{\\\\\""},
    {"title", "[1, {\"a\":2}]", "[1, {\"a\":2}]"},
    {"status", "\"INACTIVE\"", "\"INACTIVE\""},
};

START_TEST(a_value_is_changed_only_in_the_ways_told)
{
	char text[256], wanted[256];
	struct seen s;
	snprintf(text, sizeof text, "{\"policyList\":[{\"id\":1,\"%s\" : %s }]}", values[_i].member,
	    values[_i].came);
	snprintf(wanted, sizeof wanted, "\"%s\":%s,", values[_i].member, values[_i].shown);
	ck_status(read_all(text, strlen(text), &s), STATUS_OK);
	ck_assert_msg(strstr(buf_str(&s.records), wanted) != NULL, "%s is no part of %s", wanted,
	    buf_str(&s.records));
	buf_fini(&s.records);
}
END_TEST

START_TEST(rows_have_what_pages_and_grants_look_at)
{
	static const char text[] = LIST("{\"id\":31,\"lastEvaluatedDate\":\"1970-01-02T00:00:00Z\"}"
					",{\"id\":\"5\",\"lastEvaluatedDate\":\"\"}"
					",{\"id\":6,\"lastEvaluatedDate\":\"soon\"}");
	struct seen s;
	ck_status(read_all(text, sizeof text - 1, &s), STATUS_OK);
	ck_assert_uint_eq(s.count, 3);
	ck_assert_uint_eq(s.rows[0].id, 31);
	ck_assert_uint_eq(s.rows[0].policy, 31);
	ck_assert_uint_eq(s.rows[0].host, 0);
	ck_assert_uint_eq(s.rows[0].evaluated, 86400);
	ck_assert_uint_eq(s.rows[0].criticality, ROW_CRITICALITY_NONE);
	ck_assert_uint_eq(s.rows[0].flags, 0);
	ck_assert_uint_eq(s.rows[1].policy, 5);
	ck_assert_uint_eq(s.rows[1].evaluated, ROW_DATE_NONE);
	ck_assert_uint_eq(s.rows[2].evaluated, ROW_DATE_UNREADABLE);
	ck_assert_uint_eq(s.rows[2].flags, ROW_MISFIT);
	buf_fini(&s.records);
}
END_TEST

START_TEST(no_policies_is_an_answer)
{
	static const struct listing none = {0};
	struct seen s = {.list = &none};
	reads_as(LIST(""), "");
	reads_as(" {\"policyList\" : [ ] } \r\n", "");
	reads_as("{\"subscriptionId\":12,\"policyList\":null}", "");
	ck_status(listing_each(&none, take, &s), STATUS_OK);
	ck_assert_uint_eq(s.count, 0);
}
END_TEST

/* Not whole, or not what it has to be. */
static const char *const cut[] = {"", " ", "[]", "null", "7", "\"x\"", "<html>", "{", "{\"a\"",
    "{\"subscriptionId\":12,\"policyList\":[{\"id\":1}]", "{\"policyList\":[{\"id\":1}}",
    "{\"policyList\":[]}{}", "{\"policyList\":[]} x", "\xef\xbb\xbf{\"policyList\":[]}",
    "{\"policyList\":[],}", "{policyList:[]}", "{\"policyList\":\"[]}", "{\"policyList\":[]\"}"};
static const char *const wrong[] = {"{}", "{\"error\":\"no\"}", "{\"policyList\":{}}",
    "{\"policyList\":7}", "{\"policyList\":\"[]\"}", "{\"policyList\":[],\"policyList\":[]}",
    "{\"policyList\":[],\"policyLis\\u0074\":[]}", "{\"subscriptionId\":0,\"policyList\":[]}",
    "{\"subscriptionId\":\"x\",\"policyList\":[]}", "{\"subscriptionId\":1.5,\"policyList\":[]}",
    "{\"subscriptionId\":1,\"subscriptionId\":1,\"policyList\":[]}", LIST("1"), LIST("null"),
    LIST("[]"), LIST("{}"), LIST("{\"id\":0}"), LIST("{\"id\":-1}"), LIST("{\"id\":\"x\"}"),
    LIST("{\"id\":null}"), LIST("{\"id\":1.0}"), LIST("{\"id\":9223372036854775808}"),
    LIST("{\"id\":1,\"id\":1}"), LIST("{\"id\":1,\"\\u0069d\":1}"), LIST("{\"id\":1},"),
    LIST("{\"id\":1}{\"id\":2}"), LIST("{\"id\":1,\"title\":\"\xff\"}"),
    LIST("{\"id\":1,\"title\":\"\xed\xa0\xbd\"}"), LIST("{\"id\":1,\"title\":\"\\ud83d\"}"),
    LIST("{\"id\":1,\"title\":NaN}"), LIST("{\"id\":1,\"title\":\"\x01\"}"),
    LIST("{\"id\":1,\"title\":01}"), LIST("{\"id\":1]")};

START_TEST(a_list_that_is_cut_is_bad_data)
{
	fails_with(cut[_i], STATUS_UPSTREAM_BAD_DATA);
}
END_TEST

START_TEST(a_list_that_is_none_is_malformed)
{
	fails_with(wrong[_i], STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(deep_and_huge_policies_are_refused)
{
	static const char begin[] = "{\"policyList\":[{\"id\":1,\"title\":", end[] = "}]}";
	struct buf text;
	struct seen s;
	buf_init(&text, 64 * MIB);
	buf_str_add(&text, begin);
	for (int i = 0; i < LIMIT_JSON_DEPTH + 1; i++)
		buf_byte(&text, '[');
	for (int i = 0; i < LIMIT_JSON_DEPTH + 1; i++)
		buf_byte(&text, ']');
	buf_str_add(&text, end);
	ck_status(read_all(text.data, text.len, &s), STATUS_UPSTREAM_TOO_LARGE);
	buf_fini(&s.records);

	buf_reset(&text);
	buf_str_add(&text, begin);
	buf_byte(&text, '"');
	for (size_t i = 0; i < LIMIT_RECORD_BYTES; i++)
		buf_byte(&text, 'x');
	buf_byte(&text, '"');
	buf_str_add(&text, end);
	ck_status(read_all(text.data, text.len, &s), STATUS_UPSTREAM_TOO_LARGE);
	buf_fini(&s.records);
	buf_fini(&text);
}
END_TEST

/* Larger than what is handed to the splitter at once. */
START_TEST(a_long_list_is_read_to_its_end)
{
	struct buf text;
	struct seen s;
	buf_init(&text, 64 * MIB);
	buf_str_add(&text, "{\"policyList\":[");
	for (int i = 1; i <= 9000; i++)
		buf_printf(&text, "%s{\"id\":%d,\"title\":\"A policy, number %d, of many\"}",
		    i > 1 ? "," : "", i, i);
	buf_str_add(&text, "],\"subscriptionId\":12}");
	ck_status(read_all(text.data, text.len, &s), STATUS_OK);
	ck_assert_uint_eq(s.count, 9000);
	buf_fini(&s.records);
	buf_fini(&text);
}
END_TEST

static void
mutate(struct unit_random *random, char *text, size_t len)
{
	static const char alphabet[] = "{}[]\",:\\ 01ue\x00\xff";
	for (size_t n = 1 + unit_below(random, 4); n > 0; n--)
		text[unit_below(random, len)] = alphabet[unit_below(random, sizeof alphabet - 1)];
}

/* Whatever comes: a defined end, and records only of what has an ID. */
START_TEST(mutated_lists_end_in_a_defined_way)
{
	static const char whole[] =
	    "{\"x\":[1,{\"y\":\"z\"}],\"subscriptionId\":\"12\",\"policyList\":"
	    "[{\"id\":1,\"title\":\"a \\\" b\",\"locked\":0},{\"id\":\"2\"}]}";
	uint64_t seed = unit_seed(41);
	struct unit_random random = {seed};
	size_t good = 0;
	for (int round = 0; round < 20000; round++) {
		/* its own allocation: a byte beyond the end is found by the sanitizer */
		size_t len = sizeof whole - 1 - unit_below(&random, 3) * unit_below(&random, 20);
		char *text = malloc(len);
		ck_assert_ptr_nonnull(text);
		memcpy(text, whole, len);
		mutate(&random, text, len);
		struct seen s;
		enum status st = read_all(text, len, &s);
		ck_assert_msg(st == STATUS_OK || st == STATUS_UPSTREAM_BAD_DATA ||
				  st == STATUS_UPSTREAM_MALFORMED ||
				  st == STATUS_UPSTREAM_TOO_LARGE,
		    "seed %llu: %s", (unsigned long long)seed, status_info(st)->name);
		for (size_t i = 0; i < s.count; i++)
			ck_assert(s.rows[i].id > 0 && s.rows[i].policy == s.rows[i].id);
		good += st == STATUS_OK;
		buf_fini(&s.records);
		free(text);
	}
	ck_assert_uint_gt(good, 10);
}
END_TEST

/* --- hosts */

START_TEST(a_host_is_a_record)
{
	struct buf b;
	struct row row;
	buf_init(&b, 4096);
	ck_status(listing_host(1, 2, INT64_MAX, &b, &row), STATUS_OK);
	ck_assert_str_eq(
	    buf_str(&b), "{\"policyId\":1,\"subscriptionId\":2,\"hostId\":9223372036854775807}");
	ck_assert_uint_eq(row.id, INT64_MAX);
	ck_assert_uint_eq(row.host, INT64_MAX);
	ck_assert_uint_eq(row.policy, 1);
	buf_reset(&b);
	ck_status(listing_host(1, 0, 3, &b, &row), STATUS_OK);
	ck_assert_str_eq(buf_str(&b), "{\"policyId\":1,\"subscriptionId\":null,\"hostId\":3}");
	buf_fini(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("listing");
	TCase *t = tcase_create("listing");
	tcase_add_test(t, a_policy_has_every_member_in_one_order);
	tcase_add_test(t, what_is_missing_is_null);
	tcase_add_test(t, ids_are_integers_however_they_came);
	tcase_add_test(t, others_members_are_left_out);
	tcase_add_loop_test(
	    t, tags_stand_behind_the_rest_where_they_are_asked_for, 0, ARRAY_LEN(tagged));
	tcase_add_loop_test(t, a_value_is_changed_only_in_the_ways_told, 0, ARRAY_LEN(values));
	tcase_add_test(t, rows_have_what_pages_and_grants_look_at);
	tcase_add_test(t, no_policies_is_an_answer);
	tcase_add_loop_test(t, a_list_that_is_cut_is_bad_data, 0, ARRAY_LEN(cut));
	tcase_add_loop_test(t, a_list_that_is_none_is_malformed, 0, ARRAY_LEN(wrong));
	tcase_add_test(t, deep_and_huge_policies_are_refused);
	tcase_add_test(t, a_long_list_is_read_to_its_end);
	tcase_add_test(t, mutated_lists_end_in_a_defined_way);
	tcase_add_test(t, a_host_is_a_record);
	suite_add_tcase(s, t);
	return unit_run(s);
}
