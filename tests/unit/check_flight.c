/* Flights: one for each query, shared by whoever asks. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/flight.h"
#include "gateway/query/query.h"
#include "tests/unit/dir.h"
#include "tests/unit/unit.h"

static const uint8_t digest_a[SHA256_BYTES] = {1}, digest_b[SHA256_BYTES] = {2};

static struct flight *
join(struct flights *fs, const uint8_t *digest, const char *text, bool *leader)
{
	struct flight *f = flight_join(fs, digest, text, strlen(text), "team", leader);
	ck_assert_ptr_nonnull(f);
	return f;
}

START_TEST(the_first_leads_and_the_rest_join)
{
	struct flights *fs = flights_new();
	bool first, second, other;
	struct flight *f = join(fs, digest_a, "a", &first), *g = join(fs, digest_a, "a", &second);
	struct flight *h = join(fs, digest_b, "b", &other);
	ck_assert(first && !second && other);
	ck_assert_ptr_eq(f, g);
	ck_assert_ptr_ne(f, h);
	ck_assert_str_eq(flight_consumer(f), "team");
	flight_release(f);
	flight_release(g);
	flight_release(h);
	flights_free(fs);
}
END_TEST

START_TEST(another_query_of_the_same_digest_flies_alone)
{
	struct flights *fs = flights_new();
	bool first, second;
	struct flight *f = join(fs, digest_a, "a", &first), *g = join(fs, digest_a, "b", &second);
	ck_assert(first && second);
	ck_assert_ptr_ne(f, g);
	flight_release(f);
	flight_release(g);
	flights_free(fs);
}
END_TEST

/* Of two of its own a consumer could count what others have begun in between. */
START_TEST(ids_tell_nothing_of_their_order)
{
	struct flights *fs = flights_new();
	struct flight_view one, other;
	size_t ascending = 0, near = 0;
	for (int i = 0; i < 64; i++) {
		bool leader;
		struct flight *f = join(fs, digest_a, "a", &leader);
		struct flight *g = join(fs, digest_b, "b", &leader);
		flight_look(f, &one);
		flight_look(g, &other);
		ascending += other.id > one.id;
		near += other.id - one.id + 1000 < 2000;
		flight_end(f, STATUS_UPSTREAM_DOWN, 0, NULL);
		flight_end(g, STATUS_UPSTREAM_DOWN, 0, NULL);
		flight_release(f);
		flight_release(g);
	}
	ck_assert_uint_eq(near, 0);
	ck_assert(ascending > 0 && ascending < 64);
	flights_free(fs);
}
END_TEST

static enum flight_asker
asked_as(struct flight *f, const char *consumer)
{
	char *text;
	enum flight_asker as = flight_asked_by(f, consumer, &text);
	ck_assert_ptr_null(text);
	return as;
}

static void
follows_with(struct flight *f, const char *consumer, const char *query)
{
	char *text;
	ck_assert_int_eq(flight_asked_by(f, consumer, &text), FLIGHT_FOLLOWER);
	ck_assert_str_eq(text, query);
	free(text);
}

START_TEST(who_follows_is_known_by_its_own_query)
{
	struct flights *fs = flights_new();
	bool leader;
	char *text, *large = calloc(1, 4 * KIB + 2);
	struct flight *f = join(fs, digest_a, "a", &leader);
	flight_followed(f, "other", "b", 1);
	follows_with(f, "other", "b");
	flight_followed(f, "other", "cc", 2);
	follows_with(f, "other", "cc");
	memset(large, 'x', 4 * KIB + 1);
	flight_followed(f, "other", large, 4 * KIB + 1);
	ck_assert_int_eq(flight_asked_by(f, "other", &text), FLIGHT_FOLLOWER);
	ck_assert_ptr_null(text);
	/* whoever is owed the result has not been told whose it is */
	flight_owe(f, "owed");
	ck_assert_int_eq(asked_as(f, "owed"), FLIGHT_STRANGER);
	/* and whoever may ask for all of it stays so */
	flight_asked(f, "other");
	flight_followed(f, "other", "b", 1);
	ck_assert_int_eq(asked_as(f, "other"), FLIGHT_ASKER);
	flight_followed(f, "team", "b", 1);
	ck_assert_int_eq(asked_as(f, "team"), FLIGHT_ASKER);
	free(large);
	flight_release(f);
	flights_free(fs);
}
END_TEST

static struct flight *
fly(struct flights *fs, const char *text)
{
	uint8_t digest[SHA256_BYTES];
	bool leader;
	query_digest(text, strlen(text), digest);
	struct flight *f = join(fs, digest, text, &leader);
	ck_assert(leader);
	return f;
}

static struct flight *
fly_for(struct flights *fs, const uint64_t *policies, size_t count)
{
	const struct query q = {.policies = {policies, count}, QUERY_NO_DATES};
	struct buf text;
	buf_init(&text, KIB);
	query_canon(&q, &text);
	struct flight *f = fly(fs, buf_str(&text));
	buf_fini(&text);
	return f;
}

START_TEST(flights_are_found_by_each_policy_while_they_are_under_way)
{
	struct flights *fs = flights_new();
	struct flight *list[3];
	const uint64_t both[] = {7, 9}, one[] = {9};
	struct flight *a = fly_for(fs, both, 2), *b = fly_for(fs, one, 1), *c = fly(fs, "no query");
	ck_assert_uint_eq(flights_of_policy(fs, 7, list, 3), 1);
	ck_assert_ptr_eq(list[0], a);
	flight_release(list[0]);
	ck_assert_uint_eq(flights_of_policy(fs, 8, list, 3), 0);
	ck_assert_uint_eq(flights_of_policy(fs, 9, list, 1), 1);
	ck_assert_ptr_eq(list[0], b); /* the newest first */
	flight_release(list[0]);
	flight_end(b, STATUS_UPSTREAM_DOWN, 0, NULL);
	ck_assert_uint_eq(flights_of_policy(fs, 9, list, 3), 1);
	ck_assert_ptr_eq(list[0], a);
	flight_release(list[0]);
	flight_release(a);
	flight_release(b);
	flight_release(c);
	flights_free(fs);
}
END_TEST

START_TEST(who_asked_is_known_once_and_for_all)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight *f = join(fs, digest_a, "a", &leader);
	ck_assert_int_eq(asked_as(f, "team"), FLIGHT_ASKER);
	ck_assert_int_eq(asked_as(f, "tea"), FLIGHT_STRANGER);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 50; i++) {
			char name[16];
			snprintf(name, sizeof name, "team%d", i);
			ck_assert_int_eq(
			    asked_as(f, name), round > 0 ? FLIGHT_ASKER : FLIGHT_STRANGER);
			flight_asked(f, name);
			ck_assert_int_eq(asked_as(f, name), FLIGHT_ASKER);
		}
	ck_assert_str_eq(flight_consumer(f), "team");
	flight_release(f);
	flights_free(fs);
}
END_TEST

START_TEST(a_failure_reaches_everyone_and_the_next_one_starts_anew)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight_view v;
	struct flight *f = join(fs, digest_a, "a", &leader), *g = join(fs, digest_a, "a", &leader);
	flight_end(f, STATUS_UPSTREAM_DOWN, 5000, NULL);
	ck_assert(flight_wait(g, CLOCK_NEVER));
	flight_look(g, &v);
	ck_assert_int_eq(v.state, FLIGHT_FAILED);
	ck_status(v.status, STATUS_UPSTREAM_DOWN);
	ck_assert_int_eq(v.retry_after_ms, 5000);
	ck_assert_ptr_null(flight_result(g));
	struct flight *h = join(fs, digest_a, "a", &leader);
	ck_assert(leader);
	ck_assert_ptr_ne(h, f);
	flight_release(f);
	flight_release(g);
	flight_release(h);
	flights_free(fs);
}
END_TEST

static bool
failed_lately(struct flights *fs, const uint8_t *digest, int64_t within_ms)
{
	enum status st;
	int64_t wait_ms;
	bool failed = flights_failed_lately(fs, digest, within_ms, &st, &wait_ms);
	if (failed) {
		ck_status(st, STATUS_UPSTREAM_DOWN);
		ck_assert_int_gt(wait_ms, 0);
		ck_assert_int_le(wait_ms, within_ms > 5000000 ? within_ms : 5000000);
	}
	return failed;
}

START_TEST(a_failure_is_remembered_until_the_next_flight)
{
	struct flights *fs = flights_new();
	bool leader;
	ck_assert(!failed_lately(fs, digest_a, 1000000));
	struct flight *f = join(fs, digest_a, "a", &leader);
	ck_assert(!failed_lately(fs, digest_a, 1000000));
	flight_end(f, STATUS_UPSTREAM_DOWN, 0, NULL);
	ck_assert(failed_lately(fs, digest_a, 1000000));
	ck_assert(!failed_lately(fs, digest_b, 1000000));
	ck_assert(!failed_lately(fs, digest_a, 0));
	struct flight *g = join(fs, digest_a, "a", &leader);
	ck_assert(!failed_lately(fs, digest_a, 1000000));
	flight_end(g, STATUS_UPSTREAM_DOWN, 5000000, NULL);
	ck_assert(failed_lately(fs, digest_a, 0)); /* the wait that was told holds */
	flight_release(f);
	flight_release(g);
	flights_free(fs);
}
END_TEST

START_TEST(only_a_failure_of_the_upstream_is_remembered)
{
	struct flights *fs = flights_new();
	bool leader;
	static const enum status ends[] = {
	    STATUS_CANCELLED, STATUS_STOPPING, STATUS_NO_MEMORY, STATUS_STORE_FULL};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct flight *f = join(fs, digest_a, "a", &leader);
		flight_end(f, ends[i], 0, NULL);
		ck_assert(!failed_lately(fs, digest_a, 1000000));
		flight_release(f);
	}
	flights_free(fs);
}
END_TEST

START_TEST(sums_are_over_what_is_under_way)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight *f = join(fs, digest_a, "a", &leader), *g = join(fs, digest_b, "b", &leader);
	struct flight_progress p = {.batches_seen = 2, .batches_announced = 5};
	struct flights_view v;
	flight_progress(f, FLIGHT_FETCHING, &p);
	flight_progress(g, FLIGHT_FETCHING, &p);
	flights_look(fs, &v);
	ck_assert_uint_eq(v.running, 2);
	ck_assert_uint_eq(v.batches_seen, 4);
	ck_assert_uint_eq(v.batches_announced, 10);
	flight_end(f, STATUS_UPSTREAM_DOWN, 0, NULL);
	flights_look(fs, &v);
	ck_assert_uint_eq(v.running, 1);
	ck_assert_uint_eq(v.batches_seen, 2);
	flight_end(g, STATUS_UPSTREAM_DOWN, 0, NULL);
	flight_release(f);
	flight_release(g);
	flights_free(fs);
}
END_TEST

START_TEST(a_cancelled_one_is_no_failure)
{
	struct flights *fs = flights_new();
	bool leader;
	enum status st;
	int64_t wait_ms;
	struct flight *f = join(fs, digest_a, "a", &leader);
	flight_end(f, STATUS_CANCELLED, 0, NULL);
	ck_assert(!flights_failed_lately(fs, digest_a, 1000000, &st, &wait_ms));
	flight_release(f);
	flights_free(fs);
}
END_TEST

static bool
count_and_refuse(void *asked)
{
	++*(int *)asked;
	return false;
}

START_TEST(leave_is_asked_for_a_new_flight_alone)
{
	struct flights *fs = flights_new();
	bool leader;
	int asked = 0;
	ck_assert_ptr_null(
	    flight_join_if(fs, digest_a, "a", 1, "team", count_and_refuse, &asked, &leader));
	ck_assert(!leader);
	ck_assert_int_eq(asked, 1);
	struct flight *f = join(fs, digest_a, "a", &leader);
	ck_assert(leader);
	struct flight *g =
	    flight_join_if(fs, digest_a, "a", 1, "team", count_and_refuse, &asked, &leader);
	ck_assert_ptr_eq(f, g);
	ck_assert(!leader);
	ck_assert_int_eq(asked, 1);
	flight_release(g);
	flight_end(f, STATUS_UPSTREAM_DOWN, 0, NULL);
	flight_release(f);
	ck_assert_ptr_null(
	    flight_join_if(fs, digest_a, "a", 1, "team", count_and_refuse, &asked, &leader));
	ck_assert_int_eq(asked, 2);
	flights_free(fs);
}
END_TEST

START_TEST(the_list_is_newest_first_and_holds_what_is_in_it)
{
	struct flights *fs = flights_new();
	struct flight **list, *flights[3];
	size_t count;
	bool leader;
	ck_status(flights_list(fs, &list, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	flights_list_free(list, count);
	for (size_t i = 0; i < ARRAY_LEN(flights); i++) {
		const char text[] = {(char)('a' + i), '\0'};
		flights[i] = join(fs, digest_a, text, &leader);
	}
	flight_end(flights[1], STATUS_CANCELLED, 0, NULL);
	ck_status(flights_list(fs, &list, &count), STATUS_OK);
	ck_assert_uint_eq(count, 3);
	for (size_t i = 0; i < ARRAY_LEN(flights); i++) {
		ck_assert_ptr_eq(list[i], flights[2 - i]);
		flight_release(flights[2 - i]);
	}
	/* forgotten meanwhile, it is still there for the list */
	for (int i = 0; i < 600; i++) {
		char text[16];
		snprintf(text, sizeof text, "q%d", i);
		struct flight *g = join(fs, digest_b, text, &leader);
		flight_end(g, STATUS_CANCELLED, 0, NULL);
		flight_release(g);
	}
	size_t len;
	ck_assert_str_eq(flight_text(list[1], &len), "b");
	flights_list_free(list, count);
	ck_status(flights_list(fs, &list, &count), STATUS_OK);
	ck_assert_uint_lt(count, 300);
	flights_list_free(list, count);
	flights_free(fs);
}
END_TEST

START_TEST(waiting_ends_at_its_deadline)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight *f = join(fs, digest_a, "a", &leader);
	ck_assert(!flight_wait(f, 0));
	ck_assert(!flight_wait(f, clock_mono_ms() + 5));
	flight_release(f);
	flights_free(fs);
}
END_TEST

static void *
wait_for_it(void *ctx)
{
	return flight_wait(ctx, CLOCK_NEVER) ? ctx : NULL;
}

START_TEST(hundreds_of_waiters_wake_at_once)
{
	struct flights *fs = flights_new();
	bool leader;
	pthread_t threads[300];
	struct flight *f = join(fs, digest_a, "a", &leader);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_it, f), 0);
	flight_end(f, STATUS_UPSTREAM_SLOW, 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *got;
		pthread_join(threads[i], &got);
		ck_assert_ptr_eq(got, f);
	}
	flight_release(f);
	flights_free(fs);
}
END_TEST

START_TEST(stopping_ends_the_waiting_without_an_end)
{
	struct flights *fs = flights_new();
	bool leader;
	pthread_t thread;
	void *got;
	struct flight *f = join(fs, digest_a, "a", &leader);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_it, f), 0);
	flights_stop(fs);
	pthread_join(thread, &got);
	ck_assert_ptr_null(got);
	flight_release(f);
	flights_free(fs);
}
END_TEST

/* Publishes a result of one record of a megabyte. */
static struct cache_result *
publish(struct cache *c)
{
	static char body[1 << 20];
	static const char text[] = "a";
	struct row row = {.id = 1, .policy = 1};
	struct cache_manifest m = {.text = text,
	    .text_len = 1,
	    .complete = true,
	    .version = "5.0",
	    .fetched_at_ms = 1000,
	    .fresh_until_ms = 2000,
	    .stale_until_ms = 2000,
	    .keep_until_ms = 1000000};
	struct cache_stage *stage;
	struct cache_part *part;
	struct cache_result *r;
	memset(body, '1', sizeof body);
	crypto_sha256(text, 1, m.digest);
	ck_status(cache_stage_open(c, NULL, 1000, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 0, &part), STATUS_OK);
	ck_status(cache_part_add(part, &row, body, sizeof body, "", 0), STATUS_OK);
	ck_status(cache_part_commit(part), STATUS_OK);
	struct cache_part_info info = cache_part_info(part);
	cache_part_close(part);
	m.parts = &info;
	m.part_count = 1;
	ck_status(cache_stage_publish(stage, &m, 1000, &r), STATUS_OK);
	return r;
}

START_TEST(a_result_is_held_only_by_who_waited_for_it)
{
	char dir[UNIT_DIR_BYTES];
	unit_dir_make(dir, "check_flight");
	struct cache_options o = {.dir = dir, .size_bytes = 64 * MIB, .readers = 4};
	struct cache *c;
	struct cache_stats stats;
	ck_status(cache_open(&o, 1000, &c), STATUS_OK);
	struct flights *fs = flights_new();
	bool leader, more;
	uint64_t dropped;
	struct flight *f = join(fs, digest_a, "a", &leader), *g = join(fs, digest_a, "a", &leader);
	struct cache_result *r = publish(c);
	flight_end(f, STATUS_OK, 0, r);
	cache_release(r);
	flight_release(f);
	r = flight_result(g); /* g still waits */
	ck_assert_ptr_nonnull(r);
	cache_release(r);
	flight_release(g);
	/* nobody does any more: what is dropped can go */
	ck_status(cache_drop_policy(c, 0, &dropped), STATUS_OK);
	do
		ck_status(cache_sweep(c, 1001, &more), STATUS_OK);
	while (more);
	cache_get_stats(c, &stats);
	ck_assert_uint_lt(stats.used_bytes, 1 << 20);
	flights_free(fs);
	cache_close(c);
	unit_dir_remove(dir);
}
END_TEST

START_TEST(the_watermark_follows_the_current_attempt)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight_call c;
	struct flight *f = join(fs, digest_a, "a", &leader);
	flight_call(f, 0, &c);
	ck_assert_uint_eq(c.stage, 0);
	flight_staged(f, 7);
	flight_committed(f, 40, 0, 100);
	flight_call(f, 39, &c);
	ck_assert_uint_eq(c.records, 0);
	flight_call(f, 40, &c);
	ck_assert_uint_eq(c.stage, 7);
	ck_assert_uint_eq(c.attempt, 0);
	ck_assert_uint_eq(c.records, 100);
	flight_committed(f, 40, 1, 20);
	flight_call_ended(f, 40, 1, 30);
	flight_call(f, 40, &c);
	ck_assert_uint_eq(c.attempt, 1);
	ck_assert_uint_eq(c.records, 30);
	ck_assert(c.ended && !c.flight_ended);
	/* another version of the upstream is asked: it begins anew */
	flight_staged(f, 8);
	flight_call(f, 40, &c);
	ck_assert_uint_eq(c.stage, 8);
	ck_assert_uint_eq(c.records, 0);
	ck_assert(!c.ended);
	flight_release(f);
	flights_free(fs);
}
END_TEST

START_TEST(a_record_is_found_by_how_many_others_stand_before_it)
{
	struct flights *fs = flights_new();
	bool leader;
	uint32_t call;
	uint64_t at;
	struct flight *f = join(fs, digest_a, "a", &leader);
	static const struct {
		uint64_t ordinal;
		uint32_t most, call;
		uint64_t at;
	} cases[] = {{0, UINT32_MAX, 0, 0}, {9, UINT32_MAX, 0, 9}, {10, UINT32_MAX, 2, 0},
	    {14, UINT32_MAX, 2, 4}, {15, UINT32_MAX, 3, 0}, {17, UINT32_MAX, 3, 2},
	    {99, UINT32_MAX, 3, 84}, {10, 0, 0, 10}, {17, 2, 2, 7}, {3, 2, 0, 3}};
	flight_locate(f, 7, UINT32_MAX, &call, &at);
	ck_assert(call == 0 && at == 7);
	flight_staged(f, 7);
	flight_call_ended(f, 0, 0, 10);
	flight_call_ended(f, 1, 0, 0);
	flight_call_ended(f, 2, 4, 5);
	flight_committed(f, 3, 0, 1);
	flight_call_ended(f, 4, 0, 100);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		flight_locate(f, cases[i].ordinal, cases[i].most, &call, &at);
		ck_assert_msg(call == cases[i].call && at == cases[i].at, "case %zu", i);
	}
	flight_release(f);
	flights_free(fs);
}
END_TEST

START_TEST(a_flight_is_found_by_its_stage)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight_view v;
	struct flight *f = join(fs, digest_a, "a", &leader), *g = join(fs, digest_b, "b", &leader);
	ck_assert_ptr_null(flight_of_stage(fs, 0));
	ck_assert_ptr_null(flight_of_stage(fs, 7));
	flight_asks(f, "4.0", 123);
	flight_staged(f, 7);
	flight_staged(g, 7 + 4096); /* in the same bucket, whatever it is */
	struct flight *found = flight_of_stage(fs, 7);
	ck_assert_ptr_eq(found, f);
	flight_look(found, &v);
	ck_assert_str_eq(v.version, "4.0");
	ck_assert_int_eq(v.fetched_at_ms, 123);
	flight_release(found);
	/* another stage takes its place */
	flight_staged(f, 9);
	ck_assert_ptr_null(flight_of_stage(fs, 7));
	found = flight_of_stage(fs, 9);
	ck_assert_ptr_eq(found, f);
	flight_release(found);
	/* it is found when it has ended, as long as by its id */
	flight_end(f, STATUS_UPSTREAM_DOWN, 0, NULL);
	flight_release(f);
	found = flight_of_stage(fs, 9);
	ck_assert_ptr_eq(found, f);
	flight_release(found);
	for (int i = 0; i < 300; i++) {
		char text[16];
		snprintf(text, sizeof text, "%d", i);
		f = join(fs, digest_a, text, &leader);
		flight_staged(f, 100 + (uint64_t)i);
		flight_end(f, STATUS_UPSTREAM_DOWN, 0, NULL);
		flight_release(f);
	}
	ck_assert_ptr_null(flight_of_stage(fs, 9));
	found = flight_of_stage(fs, 7 + 4096);
	ck_assert_ptr_eq(found, g);
	flight_release(found);
	flight_release(g);
	flights_free(fs);
}
END_TEST

START_TEST(ended_flights_are_found_by_their_id_for_a_while)
{
	struct flights *fs = flights_new();
	bool leader;
	struct flight_view v;
	struct flight *f = join(fs, digest_a, "a", &leader);
	struct flight_progress p = {.calls_done = 1, .calls_planned = 3, .records = 7};
	flight_progress(f, FLIGHT_FETCHING, &p);
	flight_look(f, &v);
	ck_assert_int_eq(v.state, FLIGHT_FETCHING);
	ck_assert_uint_eq(v.progress.records, 7);
	flight_end(f, STATUS_CANCELLED, 0, NULL);
	flight_release(f);
	f = flight_find(fs, v.id);
	ck_assert_ptr_nonnull(f);
	flight_look(f, &v);
	ck_assert_int_eq(v.state, FLIGHT_CANCELLED);
	ck_assert_ptr_null(flight_find(fs, v.id + 12345));
	flight_release(f);
	/* the oldest ended ones are forgotten */
	for (int i = 0; i < 600; i++) {
		char text[16];
		snprintf(text, sizeof text, "q%d", i);
		struct flight *g = join(fs, digest_b, text, &leader);
		flight_end(g, STATUS_CANCELLED, 0, NULL);
		flight_release(g);
	}
	ck_assert_ptr_null(flight_find(fs, v.id));
	flights_free(fs);
}
END_TEST

/* Many at a time, so that they share what they are looked up by; one ends here, one there. */
START_TEST(among_thousands_each_is_found_until_it_is_forgotten)
{
	enum { COUNT = 20000 };
	static struct flight *flights[COUNT];
	struct flights *fs = flights_new();
	struct unit_random random = {unit_seed(11)};
	struct flight_view v;
	bool leader;
	for (uint32_t i = 0; i < COUNT; i++) {
		uint8_t digest[SHA256_BYTES] = {(uint8_t)(i % 7)};
		memcpy(digest + 1, &i, sizeof i);
		flights[i] = join(fs, digest, "a", &leader);
		ck_assert(leader);
	}
	for (size_t left = COUNT, ended = 0; left > 0; left--) {
		size_t at = unit_below(&random, left);
		struct flight *f = flights[at], *found;
		flight_look(f, &v);
		flights[at] = flights[left - 1];
		found = flight_find(fs, v.id);
		ck_assert_ptr_eq(found, f);
		flight_release(found);
		found = flight_running(fs, flight_digest(f), "a", 1);
		ck_assert_ptr_eq(found, f);
		flight_release(found);
		flight_end(f, STATUS_CANCELLED, 0, NULL);
		ck_assert_ptr_null(flight_running(fs, flight_digest(f), "a", 1));
		ended++;
		flight_release(f);
		if (ended % 1000 == 0) { /* joining is what forgets */
			struct flight **list;
			size_t count;
			ck_status(flights_list(fs, &list, &count), STATUS_OK);
			ck_assert_uint_eq(count, left - 1 + 256);
			flights_list_free(list, count);
			found = flight_find(fs, v.id);
			ck_assert_ptr_nonnull(found); /* it ended last */
			flight_release(found);
		}
	}
	flights_free(fs);
}
END_TEST

static struct flight *
join_long(struct flights *fs, const uint8_t *digest, size_t len, struct flight_view *ret)
{
	bool leader;
	char *text = malloc(len);
	ck_assert_ptr_nonnull(text);
	memset(text, 'x', len);
	struct flight *f = flight_join(fs, digest, text, len, "team", &leader);
	free(text);
	ck_assert_ptr_nonnull(f);
	flight_look(f, ret);
	return f;
}

static void
check_text(struct flight *f, size_t len)
{
	size_t got;
	const char *text = flight_text(f, &got);
	ck_assert_uint_eq(got, len);
	ck_assert_int_eq(text != NULL, len > 0);
	ck_assert(len == 0 || (text[0] == 'x' && text[len - 1] == 'x'));
}

START_TEST(of_what_has_ended_large_texts_are_not_kept)
{
	struct flights *fs = flights_new();
	struct flight_view small, large;
	struct flight *f = join_long(fs, digest_a, 64 * KIB, &small);
	struct flight *g = join_long(fs, digest_b, 64 * KIB + 1, &large);
	flight_release(g); /* while it runs it is what is compared */
	g = flight_find(fs, large.id);
	check_text(g, 64 * KIB + 1);
	flight_end(f, STATUS_CANCELLED, 0, NULL);
	flight_end(g, STATUS_CANCELLED, 0, NULL);
	struct flight *reader = flight_find(fs, large.id);
	flight_release(f);
	flight_release(g);
	check_text(reader, 64 * KIB + 1); /* borrowed until then */
	flight_release(reader);
	f = flight_find(fs, small.id);
	g = flight_find(fs, large.id);
	check_text(f, 64 * KIB);
	check_text(g, 0);
	flight_release(f);
	flight_release(g);
	flights_free(fs);
}
END_TEST

int
main(void)
{
	if (crypto_init() != STATUS_OK)
		return EXIT_FAILURE;
	Suite *s = suite_create("flight");
	TCase *t = tcase_create("flight");
	tcase_add_test(t, the_first_leads_and_the_rest_join);
	tcase_add_test(t, another_query_of_the_same_digest_flies_alone);
	tcase_add_test(t, ids_tell_nothing_of_their_order);
	tcase_add_test(t, who_asked_is_known_once_and_for_all);
	tcase_add_test(t, who_follows_is_known_by_its_own_query);
	tcase_add_test(t, flights_are_found_by_each_policy_while_they_are_under_way);
	tcase_add_test(t, a_failure_reaches_everyone_and_the_next_one_starts_anew);
	tcase_add_test(t, a_failure_is_remembered_until_the_next_flight);
	tcase_add_test(t, only_a_failure_of_the_upstream_is_remembered);
	tcase_add_test(t, sums_are_over_what_is_under_way);
	tcase_add_test(t, a_cancelled_one_is_no_failure);
	tcase_add_test(t, leave_is_asked_for_a_new_flight_alone);
	tcase_add_test(t, the_list_is_newest_first_and_holds_what_is_in_it);
	tcase_add_test(t, waiting_ends_at_its_deadline);
	tcase_add_test(t, hundreds_of_waiters_wake_at_once);
	tcase_add_test(t, stopping_ends_the_waiting_without_an_end);
	tcase_add_test(t, a_result_is_held_only_by_who_waited_for_it);
	tcase_add_test(t, the_watermark_follows_the_current_attempt);
	tcase_add_test(t, a_record_is_found_by_how_many_others_stand_before_it);
	tcase_add_test(t, a_flight_is_found_by_its_stage);
	tcase_add_test(t, ended_flights_are_found_by_their_id_for_a_while);
	tcase_add_test(t, of_what_has_ended_large_texts_are_not_kept);
	tcase_add_test(t, among_thousands_each_is_found_until_it_is_forgotten);
	suite_add_tcase(s, t);
	return unit_run(s);
}
