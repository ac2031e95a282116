/* Summaries against a model of them that sorts all rows and counts what is alike. */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/answer/page.h"
#include "gateway/answer/summary.h"
#include "gateway/base/limits.h"
#include "tests/unit/store.h"

#define BODY_MOST (2 * LIMIT_PAGE_BYTES)
#define BY_ALL                                                                                     \
	(QUERY_BY_STATUS | QUERY_BY_CRITICALITY | QUERY_BY_POLICY | QUERY_BY_CONTROL |             \
	    QUERY_BY_HOST | QUERY_BY_TECHNOLOGY)

/* --- results */

#define PARTS_MOST 200

/* The rows in so many parts of about the same size, some of them empty if there are few rows. */
static struct cache_result *
publish(const struct row *rows, size_t count, size_t parts)
{
	struct cache_part_info infos[PARTS_MOST];
	struct cache_stage *stage;
	ck_assert_uint_le(parts, PARTS_MOST);
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	for (size_t i = 0, at = 0; i < parts; i++) {
		struct cache_part *part;
		ck_status(cache_part_open(stage, (uint32_t)i, 0, &part), STATUS_OK);
		for (; at < count * (i + 1) / parts; at++)
			ck_status(cache_part_add(part, &rows[at], "{}", 2, "", 0), STATUS_OK);
		ck_status(cache_part_commit(part), STATUS_OK);
		infos[i] = cache_part_info(part);
		cache_part_close(part);
	}
	struct cache_manifest m = store_manifest(infos, parts);
	m.hosts_asked = 9;
	m.hosts_seen = 8;
	return store_publish(stage, &m);
}

/* --- the model */

#define NONE UINT64_MAX /* null, and behind everything else */

static const struct {
	unsigned by;
	const char *name;
} members[] = {{QUERY_BY_STATUS, "status"}, {QUERY_BY_CRITICALITY, "criticality"},
    {QUERY_BY_POLICY, "policyId"}, {QUERY_BY_CONTROL, "controlId"}, {QUERY_BY_HOST, "hostId"},
    {QUERY_BY_TECHNOLOGY, "technologyId"}};

#define MEMBERS ARRAY_LEN(members)

struct tuple {
	uint64_t values[ARRAY_LEN(members)];
};

static uint64_t
id_value(uint64_t id)
{
	return id == 0 ? NONE : id;
}

static struct tuple
tuple_of(const struct row *row, unsigned by)
{
	struct tuple t = {{
	    row->status == ROW_PASSED   ? 1
	    : row->status == ROW_FAILED ? 2
	    : row->status == ROW_ERROR  ? 3
					: NONE,
	    row->criticality <= 5 ? row->criticality : NONE,
	    id_value(row->policy),
	    id_value(row->control),
	    id_value(row->host),
	    id_value(row->technology),
	}};
	for (size_t i = 0; i < MEMBERS; i++)
		if ((by & members[i].by) == 0)
			t.values[i] = 0;
	return t;
}

static int
compare(const void *a, const void *b)
{
	const struct tuple *x = a, *y = b;
	size_t i = 0;
	while (i < MEMBERS - 1 && x->values[i] == y->values[i])
		i++;
	return x->values[i] < y->values[i] ? -1 : x->values[i] > y->values[i];
}

static void
print_group(const struct tuple *t, unsigned by, size_t count, struct buf *out)
{
	static const char *const statuses[] = {"", "\"Passed\"", "\"Failed\"", "\"Error\""};
	const char *open = "{";
	for (size_t i = 0; i < MEMBERS; i++) {
		if ((by & members[i].by) == 0)
			continue;
		buf_printf(out, "%s\"%s\":", open, members[i].name);
		open = ",";
		if (t->values[i] == NONE)
			buf_str_add(out, "null");
		else if (members[i].by == QUERY_BY_STATUS)
			buf_str_add(out, statuses[t->values[i]]);
		else
			buf_printf(out, "%" PRIu64, t->values[i]);
	}
	buf_printf(out, ",\"count\":%zu}", count);
}

static void
model(
    const struct row *rows, size_t count, const struct filter *filter, unsigned by, struct buf *out)
{
	struct tuple *tuples = reallocarray(NULL, count + 1, sizeof *tuples);
	size_t kept = 0, same;
	ck_assert_ptr_nonnull(tuples);
	for (size_t i = 0; i < count; i++)
		if (filter_match(filter, &rows[i]))
			tuples[kept++] = tuple_of(&rows[i], by);
	qsort(tuples, kept, sizeof *tuples, compare);
	buf_str_add(out, "{\"data\":[");
	for (size_t i = 0; i < kept; i += same) {
		same = 1;
		while (i + same < kept && compare(&tuples[i], &tuples[i + same]) == 0)
			same++;
		if (i > 0)
			buf_byte(out, ',');
		print_group(&tuples[i], by, same, out);
	}
	buf_str_add(out, "],");
	free(tuples);
}

/* --- comparing */

static enum status
summarize(struct cache_result *result, const struct filter *filter, unsigned by, struct buf *body)
{
	const struct answer a = {.cache = cache, .result = result, .filter = *filter};
	buf_init(body, BODY_MOST);
	return summary_write(&a, by, body);
}

static void
is_as_the_model_says(struct cache_result *result, const struct row *rows, size_t count,
    const struct filter *filter, unsigned by)
{
	struct buf wanted, body;
	buf_init(&wanted, BODY_MOST);
	model(rows, count, filter, by, &wanted);
	page_result(cache_manifest(result), filter->grant != NULL, &wanted);
	buf_byte(&wanted, '}');
	ck_status(wanted.err, STATUS_OK);
	ck_status(summarize(result, filter, by, &body), STATUS_OK);
	ck_assert_msg(body.len == wanted.len && memcmp(body.data, wanted.data, body.len) == 0,
	    "by=%#x: %.300s, not %.300s", by, buf_str(&body), buf_str(&wanted));
	buf_fini(&body);
	buf_fini(&wanted);
}

/* The "data" of it alone, in words. */
static void
says(struct cache_result *result, const struct filter *filter, unsigned by, const char *wanted)
{
	struct buf body;
	ck_status(summarize(result, filter, by, &body), STATUS_OK);
	char *end = strstr(buf_str(&body), ",\"result\":");
	ck_assert_ptr_nonnull(end);
	*end = '\0';
	ck_assert_str_eq(body.data + strlen("{\"data\":"), wanted);
	buf_fini(&body);
}

/* --- fixtures */

static const struct filter everything = {.query = NULL};

static void
setup(void)
{
	store_make("check_summary", CACHE_TWINS_OFF);
}

/* --- in words */

static const struct row few[] = {
    {.id = 1, .policy = 7, .control = 20, .host = 3, .status = ROW_FAILED, .criticality = 5},
    {.id = 2, .policy = 7, .control = 3, .host = 3, .status = ROW_ERROR, .criticality = 0},
    {.id = 3, .policy = 12, .control = 3, .host = 3, .status = ROW_PASSED, .criticality = 5},
    {.id = 4, .policy = 7, .host = 20, .status = ROW_FAILED, .criticality = ROW_CRITICALITY_NONE},
    {.id = 5, .policy = 7, .control = 3, .host = 3, .status = ROW_STATUS_NONE},
    {.id = 6,
	.policy = 12,
	.control = 3,
	.host = 3,
	.status = ROW_PASSED,
	.criticality = 5,
	.flags = ROW_EXCEPTION},
    {.id = 7, .policy = 7, .control = 3, .host = 3, .status = ROW_STATUS_OTHER},
};

START_TEST(statuses_come_as_passed_failed_error_and_null)
{
	struct cache_result *result = publish(few, ARRAY_LEN(few), 1);
	says(result, &everything, QUERY_BY_STATUS,
	    "[{\"status\":\"Passed\",\"count\":2},{\"status\":\"Failed\",\"count\":2},"
	    "{\"status\":\"Error\",\"count\":1},{\"status\":null,\"count\":2}]");
	cache_release(result);
}
END_TEST

START_TEST(numbers_ascend_and_null_is_the_last)
{
	struct cache_result *result = publish(few, ARRAY_LEN(few), 1);
	says(result, &everything, QUERY_BY_CRITICALITY,
	    "[{\"criticality\":0,\"count\":3},{\"criticality\":5,\"count\":3},"
	    "{\"criticality\":null,\"count\":1}]");
	says(result, &everything, QUERY_BY_CONTROL,
	    "[{\"controlId\":3,\"count\":5},{\"controlId\":20,\"count\":1},"
	    "{\"controlId\":null,\"count\":1}]");
	says(result, &everything, QUERY_BY_TECHNOLOGY, "[{\"technologyId\":null,\"count\":7}]");
	cache_release(result);
}
END_TEST

START_TEST(members_stand_in_the_order_of_their_parameter)
{
	struct cache_result *result = publish(few, ARRAY_LEN(few), 1);
	says(result, &everything, QUERY_BY_HOST | QUERY_BY_POLICY,
	    "[{\"policyId\":7,\"hostId\":3,\"count\":4},{\"policyId\":7,\"hostId\":20,\"count\":1},"
	    "{\"policyId\":12,\"hostId\":3,\"count\":2}]");
	says(result, &everything, QUERY_BY_CRITICALITY | QUERY_BY_STATUS,
	    "[{\"status\":\"Passed\",\"criticality\":5,\"count\":2},"
	    "{\"status\":\"Failed\",\"criticality\":5,\"count\":1},"
	    "{\"status\":\"Failed\",\"criticality\":null,\"count\":1},"
	    "{\"status\":\"Error\",\"criticality\":0,\"count\":1},"
	    "{\"status\":null,\"criticality\":0,\"count\":2}]");
	cache_release(result);
}
END_TEST

START_TEST(a_grant_hides_rows_and_what_would_tell_of_them)
{
	static const uint64_t ids[] = {12};
	const struct id_list twelve = {ids, 1}, none = {NULL, 0};
	const struct filter of_twelve = {.grant = &twelve}, of_none = {.grant = &none};
	struct cache_result *result = publish(few, ARRAY_LEN(few), 2);
	struct buf body;
	says(result, &of_twelve, QUERY_BY_STATUS, "[{\"status\":\"Passed\",\"count\":2}]");
	says(result, &of_twelve, QUERY_BY_CONTROL, "[{\"controlId\":3,\"count\":2}]");
	says(result, &of_none, QUERY_BY_STATUS, "[]");
	says(result, &of_none, QUERY_BY_CONTROL, "[]");
	ck_status(summarize(result, &of_twelve, QUERY_BY_STATUS, &body), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(buf_str(&body), "\"hostsSeen\":null"));
	buf_fini(&body);
	ck_status(summarize(result, &everything, QUERY_BY_STATUS, &body), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(buf_str(&body), "\"hostsSeen\":8"));
	buf_fini(&body);
	cache_release(result);
}
END_TEST

START_TEST(an_empty_result_has_no_groups)
{
	struct cache_result *none = publish(NULL, 0, 0), *empty = publish(NULL, 0, 3);
	for (unsigned by = 1; by <= BY_ALL; by++) {
		says(none, &everything, by, "[]");
		says(empty, &everything, by, "[]");
	}
	cache_release(empty);
	cache_release(none);
}
END_TEST

/* --- against the model */

/* IDs of few values or of many, near each other or not, at both ends of what is possible; none. */
static uint64_t
random_id(struct unit_random *r, size_t spread)
{
	uint64_t id = unit_below(r, spread);
	switch (unit_below(r, 8)) {
	case 0:
		return INT64_MAX - id;
	case 1:
		return id << 32;
	case 2:
		return spread > 100 ? unit_next(r) >> 1 : id;
	default:
		return id;
	}
}

static struct row
random_row(struct unit_random *r, size_t spread)
{
	return (struct row){
	    .id = 1 + unit_below(r, 1000),
	    .policy = random_id(r, 5),
	    .control = random_id(r, spread),
	    .host = random_id(r, spread * 4),
	    .technology = random_id(r, 3),
	    .status = (uint8_t)unit_below(r, 7), /* two of them are none */
	    .criticality =
		(uint8_t)(unit_below(r, 8) == 0 ? unit_next(r) & 0xff : unit_below(r, 6)),
	    .flags = (uint8_t)unit_below(r, 8),
	};
}

START_TEST(counts_what_the_model_counts_by_whatever)
{
	static const size_t sizes[] = {1, 40, 3000, 9000}, spreads[] = {2, 8, 900, 20000};
	static const uint64_t ids[] = {1, 3, UINT64_C(2) << 32, INT64_MAX};
	const struct id_list grant = {ids, ARRAY_LEN(ids)};
	const struct query failed = {QUERY_NO_DATES, .status = STATUS_BIT_FAILED};
	const struct filter filters[] = {
	    everything, {.grant = &grant}, {.query = &failed}, {.query = &failed, .grant = &grant}};
	uint64_t seed = unit_seed(20261128 + (uint64_t)_i);
	struct unit_random r = {seed};
	size_t count = sizes[_i];
	struct row *rows = reallocarray(NULL, count, sizeof *rows);
	ck_assert_ptr_nonnull(rows);
	printf("seed %" PRIu64 "\n", seed);
	for (size_t i = 0; i < count; i++)
		rows[i] = random_row(&r, spreads[_i]);
	struct cache_result *result = publish(rows, count, 1 + unit_below(&r, 8));
	for (unsigned by = 1; by <= BY_ALL; by++)
		is_as_the_model_says(
		    result, rows, count, &filters[unit_below(&r, ARRAY_LEN(filters))], by);
	cache_release(result);
	free(rows);
}
END_TEST

/* More blocks of rows than one view reads. */
START_TEST(a_long_walk_counts_every_block_once)
{
	struct row rows[3 * PARTS_MOST];
	struct unit_random r = {unit_seed(7)};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = random_row(&r, 50);
	struct cache_result *result = publish(rows, ARRAY_LEN(rows), PARTS_MOST);
	is_as_the_model_says(result, rows, ARRAY_LEN(rows), &everything, QUERY_BY_STATUS);
	is_as_the_model_says(result, rows, ARRAY_LEN(rows), &everything, BY_ALL);
	cache_release(result);
}
END_TEST

/* --- limits and failures */

/* Each row a group of its own. */
static struct row *
rows_of_hosts(uint64_t first, size_t count)
{
	struct row *rows = calloc(count, sizeof *rows);
	ck_assert_ptr_nonnull(rows);
	for (size_t i = 0; i < count; i++) {
		rows[i].id = i + 1;
		rows[i].policy = i % 2;
		rows[i].host = first + i;
	}
	return rows;
}

START_TEST(has_as_many_groups_as_the_limit_says_and_no_more)
{
	struct row *rows = rows_of_hosts(1, LIMIT_SUMMARY_GROUPS + 1);
	struct cache_result *just = publish(rows, LIMIT_SUMMARY_GROUPS, 2);
	struct cache_result *more = publish(rows, LIMIT_SUMMARY_GROUPS + 1, 2);
	struct buf body;
	is_as_the_model_says(just, rows, LIMIT_SUMMARY_GROUPS, &everything, QUERY_BY_HOST);
	ck_status(summarize(more, &everything, QUERY_BY_HOST, &body), STATUS_TOO_MANY_GROUPS);
	buf_fini(&body);
	is_as_the_model_says(
	    more, rows, LIMIT_SUMMARY_GROUPS + 1, &everything, QUERY_BY_POLICY | QUERY_BY_STATUS);
	cache_release(more);
	cache_release(just);
	free(rows);
}
END_TEST

START_TEST(has_no_more_bytes_than_a_page)
{
	/* what stands between the brackets, a comma for each group but the first */
	const size_t group_bytes = strlen("{\"hostId\":9000000000000000000,\"count\":1},");
	const size_t fit = (LIMIT_PAGE_BYTES + 1) / group_bytes;
	struct row *rows = rows_of_hosts(UINT64_C(9000000000000000000), fit + 1);
	struct cache_result *just = publish(rows, fit, 1), *more = publish(rows, fit + 1, 1);
	struct buf body;
	is_as_the_model_says(just, rows, fit, &everything, QUERY_BY_HOST);
	ck_status(summarize(more, &everything, QUERY_BY_HOST, &body), STATUS_TOO_MANY_GROUPS);
	buf_fini(&body);
	cache_release(more);
	cache_release(just);
	free(rows);
}
END_TEST

START_TEST(tells_of_damaged_rows)
{
	struct cache_result *result;
	struct buf body;
	cache_release(publish(few, ARRAY_LEN(few), 1));
	store_damage("PGRB");
	ck_status(cache_lookup(cache, digest, TEXT, strlen(TEXT), NOW, &result), STATUS_OK);
	ck_status(summarize(result, &everything, _i ? QUERY_BY_HOST : QUERY_BY_STATUS, &body),
	    STATUS_CORRUPT);
	buf_fini(&body);
	cache_release(result);
}
END_TEST

START_TEST(tells_of_a_body_without_room)
{
	struct cache_result *result = publish(few, ARRAY_LEN(few), 1);
	const struct answer a = {.cache = cache, .result = result};
	struct buf body;
	buf_init(&body, 40);
	ck_status(summary_write(&a, QUERY_BY_STATUS, &body), STATUS_OVERFLOW);
	buf_fini(&body);
	cache_release(result);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("summary");
	TCase *t = tcase_create("summary");
	tcase_add_checked_fixture(t, setup, store_remove);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, statuses_come_as_passed_failed_error_and_null);
	tcase_add_test(t, numbers_ascend_and_null_is_the_last);
	tcase_add_test(t, members_stand_in_the_order_of_their_parameter);
	tcase_add_test(t, a_grant_hides_rows_and_what_would_tell_of_them);
	tcase_add_test(t, an_empty_result_has_no_groups);
	tcase_add_loop_test(t, counts_what_the_model_counts_by_whatever, 0, 4);
	tcase_add_test(t, a_long_walk_counts_every_block_once);
	tcase_add_test(t, has_as_many_groups_as_the_limit_says_and_no_more);
	tcase_add_test(t, has_no_more_bytes_than_a_page);
	tcase_add_loop_test(t, tells_of_damaged_rows, 0, 2);
	tcase_add_test(t, tells_of_a_body_without_room);
	suite_add_tcase(s, t);
	return unit_run(s);
}
