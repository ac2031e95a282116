/* The figures for operators: what is counted is what is written, in both forms. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/ops/process.h"
#include "gateway/ops/stats.h"
#include "tests/unit/unit.h"

static const char *const colours[] = {"red", NULL, "a \"b\" \\ c\nd"};
static const char *const sizes[] = {"small", "large"};
static const int64_t bounds_us[] = {1000, 250000, 1000000};

enum { TASTED, EATEN, LEFT, NEXT, COOKED, OVEN, SOLD };
static const struct stats_family families[] = {
    [TASTED] = {"x_tasted_total", STATS_COUNTER, STATS_NONE, "Cakes tasted.",
	{{"colour", colours, ARRAY_LEN(colours)}}, NULL, 0},
    [EATEN] = {"x_eaten_bytes_total", STATS_COUNTER, STATS_BYTES, "Cakes eaten.",
	{{"colour", colours, ARRAY_LEN(colours)}, {"size", sizes, ARRAY_LEN(sizes)}}, NULL, 0},
    [LEFT] = {"x_left", STATS_GAUGE, STATS_NONE, "Cakes left.",
	{{NULL, NULL, 0}, {"size", sizes, ARRAY_LEN(sizes)}}, NULL, 0},
    [NEXT] = {"x_next_seconds", STATS_GAUGE, STATS_SECONDS, "Until the next cake.",
	{{NULL, NULL, 0}}, NULL, 0},
    [COOKED] = {"x_cooked_seconds", STATS_HISTOGRAM, STATS_SECONDS, "Time in the oven.",
	{{"size", sizes, ARRAY_LEN(sizes)}}, bounds_us, ARRAY_LEN(bounds_us)},
    [OVEN] = {"x_oven_info", STATS_INFO, STATS_NONE, "The oven.", {{"size", sizes, 1}}, NULL, 0},
    [SOLD] = {"x_sold_total", STATS_COUNTER, STATS_NONE, "Cakes sold.", {{NULL, NULL, 0}}, NULL, 0},
};

static struct stats *
make(void)
{
	struct stats *s = stats_new(families, ARRAY_LEN(families));
	ck_assert_ptr_nonnull(s);
	return s;
}

static void
check_text(const struct stats *s, enum stats_format format, const char *wanted)
{
	struct buf b;
	buf_init(&b, MIB);
	stats_write(s, format, &b);
	ck_status(b.err, STATUS_OK);
	ck_assert_str_eq(buf_str(&b), wanted);
	buf_fini(&b);
}

static struct stats *
make_moved(void)
{
	struct stats *s = make();
	stats_add(s, TASTED, STATS_AT(2), 3);
	stats_add(s, EATEN, STATS_AT(2, 0), 7);
	stats_add(s, EATEN, STATS_AT(0, 1), 5);
	stats_set(s, LEFT, STATS_AT(0, 1), 0);
	stats_set(s, NEXT, STATS_AT(0), 1500000);
	stats_observe(s, COOKED, STATS_AT(1), 1000);
	stats_observe(s, COOKED, STATS_AT(1), 1001);
	stats_observe(s, COOKED, STATS_AT(1), 90000000);
	return s;
}

START_TEST(openmetrics_is_written_as_its_specification_says)
{
	struct stats *s = make_moved();
	check_text(s, STATS_OPENMETRICS,
	    "# HELP x_tasted Cakes tasted.\n"
	    "# TYPE x_tasted counter\n"
	    "x_tasted_total{colour=\"red\"} 0\n"
	    "x_tasted_total{colour=\"a \\\"b\\\" \\\\ c\\nd\"} 3\n"
	    "# HELP x_eaten_bytes Cakes eaten.\n"
	    "# TYPE x_eaten_bytes counter\n"
	    "# UNIT x_eaten_bytes bytes\n"
	    "x_eaten_bytes_total{colour=\"red\",size=\"large\"} 5\n"
	    "x_eaten_bytes_total{colour=\"a \\\"b\\\" \\\\ c\\nd\",size=\"small\"} 7\n"
	    "# HELP x_left Cakes left.\n"
	    "# TYPE x_left gauge\n"
	    "x_left{size=\"large\"} 0\n"
	    "# HELP x_next_seconds Until the next cake.\n"
	    "# TYPE x_next_seconds gauge\n"
	    "# UNIT x_next_seconds seconds\n"
	    "x_next_seconds 1.5\n"
	    "# HELP x_cooked_seconds Time in the oven.\n"
	    "# TYPE x_cooked_seconds histogram\n"
	    "# UNIT x_cooked_seconds seconds\n"
	    "x_cooked_seconds_bucket{size=\"large\",le=\"0.001\"} 1\n"
	    "x_cooked_seconds_bucket{size=\"large\",le=\"0.25\"} 2\n"
	    "x_cooked_seconds_bucket{size=\"large\",le=\"1.0\"} 2\n"
	    "x_cooked_seconds_bucket{size=\"large\",le=\"+Inf\"} 3\n"
	    "x_cooked_seconds_count{size=\"large\"} 3\n"
	    "x_cooked_seconds_sum{size=\"large\"} 90.002001\n"
	    "# HELP x_oven The oven.\n"
	    "# TYPE x_oven info\n"
	    "x_oven_info{size=\"small\"} 1\n"
	    "# HELP x_sold Cakes sold.\n"
	    "# TYPE x_sold counter\n"
	    "x_sold_total 0\n"
	    "# EOF\n");
	stats_free(s);
}
END_TEST

START_TEST(the_older_form_names_families_as_their_samples_and_knows_no_units)
{
	struct stats *s = make();
	stats_set(s, NEXT, STATS_AT(0), 3000000);
	check_text(s, STATS_TEXT_004,
	    "# HELP x_tasted_total Cakes tasted.\n"
	    "# TYPE x_tasted_total counter\n"
	    "x_tasted_total{colour=\"red\"} 0\n"
	    "x_tasted_total{colour=\"a \\\"b\\\" \\\\ c\\nd\"} 0\n"
	    "# HELP x_eaten_bytes_total Cakes eaten.\n"
	    "# TYPE x_eaten_bytes_total counter\n"
	    "# HELP x_left Cakes left.\n"
	    "# TYPE x_left gauge\n"
	    "# HELP x_next_seconds Until the next cake.\n"
	    "# TYPE x_next_seconds gauge\n"
	    "x_next_seconds 3.0\n"
	    "# HELP x_cooked_seconds Time in the oven.\n"
	    "# TYPE x_cooked_seconds histogram\n"
	    "# HELP x_oven_info The oven.\n"
	    "# TYPE x_oven_info gauge\n"
	    "x_oven_info{size=\"small\"} 1\n"
	    "# HELP x_sold_total Cakes sold.\n"
	    "# TYPE x_sold_total counter\n"
	    "x_sold_total 0\n");
	stats_free(s);
}
END_TEST

START_TEST(a_gauge_without_a_value_is_not_there)
{
	struct stats *s = make();
	struct buf b;
	buf_init(&b, MIB);
	stats_set(s, NEXT, STATS_AT(0), 1);
	stats_write(s, STATS_TEXT_004, &b);
	ck_assert_ptr_nonnull(strstr(buf_str(&b), "\nx_next_seconds 0.000001\n"));
	buf_reset(&b);
	stats_set(s, NEXT, STATS_AT(0), STATS_ABSENT);
	stats_write(s, STATS_TEXT_004, &b);
	ck_assert_ptr_null(strstr(buf_str(&b), "\nx_next_seconds "));
	buf_fini(&b);
	stats_free(s);
}
END_TEST

/* The number behind a sample's name and labels. */
static long long
sample(const struct stats *s, const char *name)
{
	struct buf b;
	buf_init(&b, MIB);
	stats_write(s, STATS_OPENMETRICS, &b);
	const char *at = strstr(buf_str(&b), name);
	ck_assert_msg(at != NULL, "%s is not there", name);
	long long value = strtoll(at + strlen(name), NULL, 10);
	buf_fini(&b);
	return value;
}

/* Whatever is observed, buckets never fall and the last one is the count. */
START_TEST(buckets_are_cumulative)
{
	uint64_t seed = unit_seed(20261125);
	struct unit_random r = {seed};
	struct stats *s = make();
	long long at_most[ARRAY_LEN(bounds_us)] = {0}, all = 500;
	for (long long n = 0; n < all; n++) {
		int64_t us = (int64_t)unit_below(&r, unit_below(&r, 2) ? 2000 : 2000000);
		stats_observe(s, COOKED, STATS_AT(0), us);
		for (size_t i = 0; i < ARRAY_LEN(bounds_us); i++)
			at_most[i] += us <= bounds_us[i];
	}
	static const char *const le[] = {"0.001", "0.25", "1.0"};
	char name[100];
	for (size_t i = 0; i < ARRAY_LEN(le); i++) {
		snprintf(
		    name, sizeof name, "x_cooked_seconds_bucket{size=\"small\",le=\"%s\"} ", le[i]);
		ck_assert_msg(sample(s, name) == at_most[i], "%s; UNIT_SEED=%llu", name,
		    (unsigned long long)seed);
	}
	ck_assert_int_eq(sample(s, "x_cooked_seconds_bucket{size=\"small\",le=\"+Inf\"} "), all);
	ck_assert_int_eq(sample(s, "x_cooked_seconds_count{size=\"small\"} "), all);
	stats_free(s);
}
END_TEST

#define EACH 20000

static void *
count_many(void *ctx)
{
	for (int i = 0; i < EACH; i++) {
		stats_add(ctx, SOLD, STATS_AT(0), 1);
		stats_observe(ctx, COOKED, STATS_AT(0), i);
	}
	return NULL;
}

START_TEST(nothing_is_lost_between_threads)
{
	struct stats *s = make();
	pthread_t threads[4];
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, s), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(sample(s, "x_sold_total "), 4 * EACH);
	ck_assert_int_eq(sample(s, "x_cooked_seconds_count{size=\"small\"} "), 4 * EACH);
	stats_free(s);
}
END_TEST

START_TEST(the_process_is_known)
{
	struct process_view before, after;
	process_look(&before);
	FILE *f = fopen("/dev/null", "r");
	ck_assert_ptr_nonnull(f);
	process_look(&after);
	fclose(f);
	ck_assert_int_eq(after.open_fds, before.open_fds + 1);
	ck_assert_int_gt(after.resident_bytes, 0);
	ck_assert_int_ge(after.virtual_bytes, after.resident_bytes);
	ck_assert_int_ge(after.cpu_us, before.cpu_us);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("stats");
	tcase_add_test(t, openmetrics_is_written_as_its_specification_says);
	tcase_add_test(t, the_older_form_names_families_as_their_samples_and_knows_no_units);
	tcase_add_test(t, a_gauge_without_a_value_is_not_there);
	tcase_add_test(t, buckets_are_cumulative);
	tcase_add_test(t, nothing_is_lost_between_threads);
	tcase_add_test(t, the_process_is_known);
	suite_add_tcase(s, t);
	return unit_run(s);
}
