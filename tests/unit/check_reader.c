/* The reader: of results, and of fetches that are under way, fail, begin again, or end. What a record
 * carries follows from its id and call alone, so that every one that is given can be held against it. */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/answer/reader.h"
#include "gateway/base/clock.h"
#include "tests/unit/fetching.h"

#define ALL SIZE_MAX
#define GIVEN_MOST 60000

static const struct filter everything = {.query = NULL};

/* --- records */

static size_t
padding_of(uint64_t id)
{
	/* most are small; some fill a good part of a fragment, few are larger than one */
	if (id % 4099 == 0)
		return LIMIT_FRAGMENT_BYTES + 1000;
	return id % 97 == 0 ? 60 * KIB : id % 150;
}

static void
write_body(struct buf *b, uint32_t call, uint64_t id)
{
	size_t padding = padding_of(id);
	buf_printf(b, "{\"call\":%u,\"id\":%llu,\"text\":\"", call, (unsigned long long)id);
	char *at = buf_room(b, padding + 1);
	ck_assert_ptr_nonnull(at);
	memset(at, 'a' + (int)(id % 26), padding);
	buf_used(b, padding);
	buf_str_add(b, "\"}");
}

static size_t
write_memo(uint32_t call, uint64_t id, uint8_t memo[8])
{
	size_t len = id % 8;
	memset(memo, (int)(id + call), len);
	return len;
}

/* A third of the records fails, and there are five policies. */
static struct row
row_of(uint32_t call, uint64_t id)
{
	return (struct row){
	    .id = id,
	    .policy = 1 + id % 5,
	    .host = call,
	    .status = id % 3 == 0 ? ROW_FAILED : ROW_PASSED,
	    .criticality = ROW_CRITICALITY_NONE,
	};
}

static void
add_row(struct cache_part *part, const struct row *row)
{
	uint32_t call = (uint32_t)row->host;
	uint64_t id = row->id;
	uint8_t memo[8];
	struct buf body;
	buf_init(&body, MIB);
	write_body(&body, call, id);
	size_t memo_len = write_memo(call, id, memo);
	ck_status(cache_part_add(part, row, body.data, body.len, memo, memo_len), STATUS_OK);
	buf_fini(&body);
}

static void
add(struct cache_part *part, uint32_t call, uint64_t id)
{
	struct row row = row_of(call, id);
	add_row(part, &row);
}

static size_t
body_bytes(uint32_t call, uint64_t id)
{
	struct buf b;
	buf_init(&b, MIB);
	write_body(&b, call, id);
	size_t len = b.len;
	buf_fini(&b);
	return len;
}

/* --- whoever is given records */

struct got {
	size_t count;
	struct {
		uint32_t call;
		uint64_t id;
	} list[GIVEN_MOST];
	size_t fail_at; /* this one is refused, once */
	enum status fail_with;
};

static struct got got;

static void
check_record(const struct reader_record *rec)
{
	uint32_t call = (uint32_t)rec->row->host;
	uint64_t id = rec->row->id;
	uint8_t memo[8];
	struct buf body;
	buf_init(&body, MIB);
	write_body(&body, call, id);
	ck_assert_uint_eq(rec->body_len, body.len);
	ck_assert_mem_eq(rec->body, body.data, body.len);
	buf_fini(&body);
	ck_assert_uint_eq(rec->memo_len, write_memo(call, id, memo));
	ck_assert(rec->memo_len == 0 || memcmp(rec->memo, memo, rec->memo_len) == 0);
	ck_assert_uint_eq(rec->row->policy, row_of(call, id).policy);
}

static enum status
on_record(void *ctx, const struct reader_record *rec)
{
	struct got *g = ctx;
	check_record(rec);
	if (g->fail_with != STATUS_OK && g->count == g->fail_at) {
		enum status st = g->fail_with;
		g->fail_with = STATUS_OK;
		return st;
	}
	ck_assert_uint_lt(g->count, GIVEN_MOST);
	g->list[g->count].call = (uint32_t)rec->row->host;
	g->list[g->count++].id = rec->row->id;
	return STATUS_OK;
}

static void
got_ids(uint32_t call, const uint64_t *ids, size_t count, size_t from)
{
	ck_assert_uint_eq(got.count, from + count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(got.list[from + i].call, call);
		ck_assert_uint_eq(got.list[from + i].id, ids[i]);
	}
}

#define GOT(from, call, ...)                                                                       \
	do {                                                                                       \
		const uint64_t ids_[] = {__VA_ARGS__};                                             \
		got_ids(call, ids_, ARRAY_LEN(ids_), from);                                        \
	} while (0)

/* --- taking */

static enum status
take(struct reader *r, enum reader_state *ret)
{
	return reader_take(r, ALL, ALL, on_record, &got, ret);
}

/* Takes until there is nothing more to take at present. */
static enum status
drain(struct reader *r, size_t most_records, size_t most_bytes, enum reader_state *ret)
{
	enum status st;
	do
		st = reader_take(r, most_records, most_bytes, on_record, &got, ret);
	while (st == STATUS_OK && *ret == READER_MORE);
	return st;
}

static void
drains_to(struct reader *r, enum reader_state wanted)
{
	enum reader_state state;
	ck_status(drain(r, ALL, ALL, &state), STATUS_OK);
	ck_assert_int_eq(state, wanted);
}

static void
fails_with(struct reader *r, enum status wanted)
{
	enum reader_state state = READER_MORE;
	ck_status(drain(r, ALL, ALL, &state), wanted);
}

/* --- results */

/* Ids count on from `first`. */
static struct cache_part_info
whole_part(struct cache_stage *stage, uint32_t call, uint32_t attempt, uint64_t first, size_t count)
{
	struct cache_part *part;
	ck_status(cache_part_open(stage, call, attempt, &part), STATUS_OK);
	for (size_t i = 0; i < count; i++)
		add(part, call, first + i);
	ck_status(cache_part_commit(part), STATUS_OK);
	struct cache_part_info info = cache_part_info(part);
	cache_part_close(part);
	return info;
}

/* A result with so many records in each part, numbered from 1 on. */
static struct cache_result *
make_result(const size_t *records, size_t parts, bool complete)
{
	struct cache_part_info infos[CALLS_MOST];
	struct cache_stage *stage;
	uint64_t first = 1;
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	for (size_t i = 0; i < parts; i++) {
		infos[i] = whole_part(stage, (uint32_t)i, (uint32_t)i % 3, first, records[i]);
		first += records[i];
	}
	struct cache_manifest m = store_manifest(infos, parts);
	m.complete = complete;
	return store_publish(stage, &m);
}

/* That just these were given: all of the parts that match, in order. */
static void
got_all_of(const size_t *records, size_t parts, const struct filter *filter)
{
	size_t at = 0;
	uint64_t id = 1;
	for (size_t i = 0; i < parts; i++)
		for (size_t n = 0; n < records[i]; n++, id++) {
			struct row row = row_of((uint32_t)i, id);
			if (!filter_match(filter, &row))
				continue;
			ck_assert_uint_lt(at, got.count);
			ck_assert_uint_eq(got.list[at].call, i);
			ck_assert_uint_eq(got.list[at++].id, id);
		}
	ck_assert_uint_eq(at, got.count);
}

/* --- a fetch */

static void
end_well(struct fetching *f, size_t calls, bool complete)
{
	struct cache_manifest m = store_manifest(f->info, calls);
	m.complete = complete;
	cache_release(publish(f, &m));
}

static void
end_badly(struct fetching *f, enum status st)
{
	flight_end(f->flight, st, 0, NULL);
}

/* --- fixtures */

static void
setup(void)
{
	store_make("check_reader", CACHE_TWINS_OFF);
	got.count = 0;
}

/* A fetch of one stage, and a reader of it. */
static struct fetching fetching;
static struct reader reader;

static void
setup_fetch(void)
{
	setup();
	begin(&fetching);
	stage(&fetching);
	reader_init(&reader, cache, NULL, fetching.flight, &everything);
}

static void
teardown_fetch(void)
{
	reader_fini(&reader);
	fetching_fini(&fetching);
	store_remove();
}

/* --- of a result */

static const size_t sizes[] = {0, 3, 0, 0, 5000, 1, 0, 200};

START_TEST(gives_all_of_a_result_part_by_part)
{
	struct cache_result *result = make_result(sizes, ARRAY_LEN(sizes), true);
	struct reader r;
	reader_init(&r, cache, result, NULL, &everything);
	cache_release(result); /* it has a reference of its own */
	drains_to(&r, READER_END);
	got_all_of(sizes, ARRAY_LEN(sizes), &everything);
	/* and that was all, however often it is asked */
	drains_to(&r, READER_END);
	got_all_of(sizes, ARRAY_LEN(sizes), &everything);
	reader_fini(&r);
}
END_TEST

START_TEST(ends_at_once_where_there_is_nothing)
{
	static const size_t nothing[] = {0, 0, 0};
	for (size_t parts = 0; parts <= ARRAY_LEN(nothing); parts++) {
		struct cache_result *result = make_result(nothing, parts, true);
		struct reader r;
		enum reader_state state;
		reader_init(&r, cache, result, NULL, &everything);
		ck_status(take(&r, &state), STATUS_OK);
		ck_assert_int_eq(state, READER_END);
		reader_fini(&r);
		cache_release(result);
	}
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(gives_no_more_records_than_asked_for)
{
	static const size_t few[] = {45, 0, 23, 1};
	struct cache_result *result = make_result(few, ARRAY_LEN(few), true);
	for (size_t most = 1; most < 70; most += most < 4 ? 1 : 13) {
		struct reader r;
		enum reader_state state = READER_MORE;
		got.count = 0;
		reader_init(&r, cache, result, NULL, &everything);
		while (state == READER_MORE) {
			size_t before = got.count;
			ck_status(reader_take(&r, most, ALL, on_record, &got, &state), STATUS_OK);
			ck_assert_uint_le(got.count - before, most);
			ck_assert(state == READER_END || got.count > before);
		}
		ck_assert_int_eq(state, READER_END);
		got_all_of(few, ARRAY_LEN(few), &everything);
		reader_fini(&r);
	}
	cache_release(result);
}
END_TEST

START_TEST(gives_no_more_once_the_bytes_are_passed)
{
	static const size_t some[] = {300};
	struct cache_result *result = make_result(some, 1, true);
	for (size_t most = 1; most < 200000; most = most * 3 + 7) {
		struct reader r;
		enum reader_state state = READER_MORE;
		got.count = 0;
		reader_init(&r, cache, result, NULL, &everything);
		while (state == READER_MORE) {
			size_t from = got.count, bytes = 0;
			ck_status(reader_take(&r, ALL, most, on_record, &got, &state), STATUS_OK);
			/* without the last of them they were not passed yet */
			for (size_t i = from; i + 1 < got.count; i++)
				bytes += body_bytes(0, got.list[i].id);
			ck_assert_uint_lt(bytes, most);
			/* and with it they are, or it was the last one */
			if (got.count > from)
				bytes += body_bytes(0, got.list[got.count - 1].id);
			ck_assert(bytes >= most || got.count == some[0]);
		}
		got_all_of(some, 1, &everything);
		reader_fini(&r);
	}
	cache_release(result);
}
END_TEST

static const uint64_t granted[] = {2, 3, 5};
static const struct id_list grant = {granted, ARRAY_LEN(granted)}, no_grant = {NULL, 0};
static const struct query failed = {.status = STATUS_BIT_FAILED,
			      .evaluated_since = DATE_NONE,
			      .scanned_since = DATE_NONE,
			      .scanned_from = DATE_NONE,
			      .scanned_to = DATE_NONE,
			      .changed_since = DATE_NONE},
			  nobody = {.evaluated_since = 1,
			      .scanned_since = DATE_NONE,
			      .scanned_from = DATE_NONE,
			      .scanned_to = DATE_NONE,
			      .changed_since = DATE_NONE};

static const struct filter filters[] = {
    {.query = &failed},
    {.grant = &grant},
    {.query = &failed, .grant = &grant},
    {.grant = &no_grant},
    {.query = &nobody},
};

START_TEST(gives_only_what_matches_and_is_granted)
{
	struct cache_result *result = make_result(sizes, ARRAY_LEN(sizes), true);
	for (size_t most = 1; most < 10000; most *= 7) {
		struct reader r;
		enum reader_state state;
		got.count = 0;
		reader_init(&r, cache, result, NULL, &filters[_i]);
		do {
			size_t before = got.count;
			ck_status(reader_take(&r, most, ALL, on_record, &got, &state), STATUS_OK);
			ck_assert_uint_le(got.count - before, most);
		} while (state == READER_MORE);
		ck_assert_int_eq(state, READER_END);
		got_all_of(sizes, ARRAY_LEN(sizes), &filters[_i]);
		reader_fini(&r);
	}
	cache_release(result);
}
END_TEST

START_TEST(refuses_an_incomplete_result)
{
	static const size_t some[] = {3};
	struct cache_result *result = make_result(some, 1, false);
	struct reader r;
	enum reader_state state = READER_WAITS;
	reader_init(&r, cache, result, NULL, &everything);
	for (int i = 0; i < 2; i++) {
		ck_status(take(&r, &state), STATUS_UPSTREAM_INCOMPLETE);
		ck_assert_int_eq(state, READER_WAITS);
	}
	ck_assert_uint_eq(got.count, 0);
	reader_fini(&r);
	cache_release(result);
}
END_TEST

static const enum status said[] = {
    STATUS_NOT_FOUND, STATUS_OVERFLOW, STATUS_NO_MEMORY, STATUS_CORRUPT};

START_TEST(tells_what_the_receiver_said_and_gives_that_record_again)
{
	static const size_t some[] = {2, 40};
	struct cache_result *result = make_result(some, 2, true);
	for (got.fail_at = 0; got.fail_at < 42; got.fail_at++) {
		struct reader r;
		enum reader_state state = READER_WAITS;
		got.count = 0;
		got.fail_with = said[_i];
		reader_init(&r, cache, result, NULL, &everything);
		ck_status(drain(&r, ALL, ALL, &state), said[_i]);
		ck_assert_uint_eq(got.count, got.fail_at);
		drains_to(&r, READER_END);
		got_all_of(some, 2, &everything);
		reader_fini(&r);
	}
	cache_release(result);
}
END_TEST

START_TEST(a_result_that_was_dropped_stays_readable)
{
	static const size_t some[] = {30, 30};
	struct cache_result *result = make_result(some, 2, true);
	struct reader r;
	enum reader_state state;
	uint64_t dropped;
	reader_init(&r, cache, result, NULL, &everything);
	cache_release(result);
	ck_status(reader_take(&r, 10, ALL, on_record, &got, &state), STATUS_OK);
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	store_sweep();
	drains_to(&r, READER_END);
	got_all_of(some, 2, &everything);
	reader_fini(&r);
}
END_TEST

/* 0: of its rows, 1: of its bodies */
START_TEST(tells_of_a_damaged_result)
{
	static const char *const magics[] = {"PGRB", "PGFR"};
	static const size_t some[] = {LIMIT_FRAGMENT_RECORDS};
	struct cache_result *result;
	struct reader r;
	cache_release(make_result(some, 1, true));
	store_damage(magics[_i]);
	ck_status(cache_lookup(cache, digest, TEXT, strlen(TEXT), NOW, &result), STATUS_OK);
	reader_init(&r, cache, result, NULL, &everything);
	cache_release(result);
	fails_with(&r, STATUS_CORRUPT);
	ck_assert_uint_eq(got.count, 0);
	reader_fini(&r);
	ck_status(cache_lookup(cache, digest, TEXT, strlen(TEXT), NOW, &result), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(a_memo_beyond_its_block_is_none)
{
	static const uint8_t memos[10];
	const struct cache_block b = {.memos = memos, .memo_bytes = sizeof memos};
	static const struct {
		uint32_t at, len;
		bool good;
	} cases[] = {{0, 0, true}, {0, 10, true}, {10, 0, true}, {9, 1, true}, {0, 11, false},
	    {10, 1, false}, {11, 0, false}, {UINT32_MAX, 1, false}, {1, UINT32_MAX, false},
	    {UINT32_MAX, UINT32_MAX, false}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct row row = {.memo_at = cases[i].at, .memo_len = cases[i].len};
		const uint8_t *memo = cache_block_memo(&b, &row);
		ck_assert_ptr_eq(memo, cases[i].good ? memos + cases[i].at : NULL);
	}
}
END_TEST

/* --- of a fetch: what is committed */

START_TEST(waits_while_nothing_is_there)
{
	struct reader r;
	struct fetching f = {0};
	begin(&f);
	reader_init(&r, cache, NULL, f.flight, &everything);
	drains_to(&r, READER_WAITS);
	stage(&f);
	drains_to(&r, READER_WAITS);
	/* what comes of a later call has to wait for those before it */
	COMMIT(&f, 1, 10, 11);
	drains_to(&r, READER_WAITS);
	ck_assert_uint_eq(got.count, 0);
	ck_assert(reader_wait(&r, 0));
	reader_fini(&r);
	fetching_fini(&f);
}
END_TEST

START_TEST(gives_what_is_committed_and_no_more)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1, 2);
	drains_to(&reader, READER_WAITS);
	GOT(0, 0, 1, 2);
	add(f->part[0], 0, 3);
	drains_to(&reader, READER_WAITS);
	GOT(0, 0, 1, 2);
	COMMIT(f, 0, 4);
	drains_to(&reader, READER_WAITS);
	GOT(2, 0, 3, 4);
}
END_TEST

/* A commit is read from the moment on at which it is told, whatever else stands in its block. */
START_TEST(reads_up_to_the_watermark)
{
	struct fetching f = {0};
	struct reader r;
	begin(&f);
	ck_status(cache_stage_open(cache, NULL, NOW, &f.stage), STATUS_OK);
	flight_staged(f.flight, cache_stage_id(f.stage));
	reader_init(&r, cache, NULL, f.flight, &everything);
	for (uint64_t id = 1; id <= 50; id++)
		COMMIT(&f, 0, id);
	for (uint64_t told = 0; told <= 50; told += 5) {
		flight_committed(f.flight, 0, 0, told);
		drains_to(&r, READER_WAITS);
		ck_assert_uint_eq(got.count, told);
	}
	reader_fini(&r);
	fetching_fini(&f);
}
END_TEST

START_TEST(goes_on_in_the_result)
{
	struct fetching *f = &fetching;
	enum reader_state state;
	COMMIT(f, 0, 1, 2, 3);
	COMMIT(f, 2, 7);
	/* behind 0: in the middle of a call; 1: at the end of what came; 2: at the end of a call */
	ck_status(reader_take(&reader, _i == 0 ? 2 : ALL, ALL, on_record, &got, &state), STATUS_OK);
	end_call(f, 0);
	if (_i == 2)
		drains_to(&reader, READER_WAITS);
	end_call(f, 1);
	COMMIT(f, 2, 8);
	end_call(f, 2);
	end_well(f, 3, true);
	drains_to(&reader, READER_END);
	drains_to(&reader, READER_END);
	ck_assert_uint_eq(got.count, 5);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(got.list[i].id, i + 1);
	GOT(3, 2, 7, 8);
}
END_TEST

START_TEST(there_is_no_end_before_that_of_the_fetch)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1);
	end_call(f, 0);
	end_call(f, 1);
	drains_to(&reader, READER_WAITS);
	ck_assert_uint_eq(got.count, 1);
	end_well(f, 2, true);
	drains_to(&reader, READER_END);
	ck_assert_uint_eq(got.count, 1);
}
END_TEST

START_TEST(a_fetch_that_was_never_looked_at_is_read_as_its_result)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1);
	fail_call(f, 0);
	COMMIT(f, 0, 2, 1);
	end_call(f, 0);
	COMMIT(f, 1, 3);
	end_call(f, 1);
	end_well(f, 2, true);
	drains_to(&reader, READER_END);
	ck_assert_uint_eq(got.count, 3);
	ck_assert_uint_eq(got.list[0].id, 2);
	ck_assert_uint_eq(got.list[1].id, 1);
	GOT(2, 1, 3);
}
END_TEST

START_TEST(keeps_the_result_of_a_fetch_that_nobody_else_holds)
{
	struct fetching *f = &fetching;
	uint64_t dropped;
	COMMIT(f, 0, 1, 2);
	end_call(f, 0);
	end_well(f, 1, true);
	flight_release(f->flight);
	f->flight = NULL;
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	store_sweep();
	drains_to(&reader, READER_END);
	GOT(0, 0, 1, 2);
}
END_TEST

/* --- a call that is made again */

START_TEST(passes_over_what_was_given_in_any_order)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1, 2, 3, 4);
	drains_to(&reader, READER_WAITS);
	fail_call(f, 0);
	drains_to(&reader, READER_WAITS);
	COMMIT(f, 0, 9, 4, 2);
	drains_to(&reader, READER_WAITS);
	GOT(4, 0, 9);
	COMMIT(f, 0, 8, 3, 1, 7);
	end_call(f, 0);
	drains_to(&reader, READER_WAITS);
	GOT(5, 0, 8, 7);
	COMMIT(f, 1, 1); /* of another call: no repetition */
	end_call(f, 1);
	end_well(f, 2, true);
	drains_to(&reader, READER_END);
	GOT(7, 1, 1);
}
END_TEST

START_TEST(a_call_may_be_made_many_times)
{
	struct fetching *f = &fetching;
	enum reader_state state;
	/* each attempt brings one more, then the others, and is given up behind the first few */
	for (uint64_t n = 1; n <= 20; n++) {
		for (uint64_t i = 0; i < n; i++)
			COMMIT(f, 0, n - i);
		ck_status(reader_take(&reader, 1 + n % 3, ALL, on_record, &got, &state), STATUS_OK);
		if (n < 20)
			fail_call(f, 0);
	}
	end_call(f, 0);
	end_well(f, 1, true);
	drains_to(&reader, READER_END);
	ck_assert_uint_eq(got.count, 20);
	for (size_t i = 0; i < 20; i++)
		ck_assert_uint_eq(got.list[i].id, i + 1);
}
END_TEST

/* 0: in the fetch, 1: in its result */
START_TEST(fails_if_a_record_does_not_come_again)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1, 2, 3);
	drains_to(&reader, READER_WAITS);
	fail_call(f, 0);
	COMMIT(f, 0, 3, 4);
	if (_i == 0)
		drains_to(&reader, READER_WAITS);
	COMMIT(f, 0, 5, 1);
	end_call(f, 0);
	if (_i == 1)
		end_well(f, 1, true);
	fails_with(&reader, STATUS_UPSTREAM_BAD_DATA);
	ck_assert_uint_eq(got.count, 5);
}
END_TEST

START_TEST(fails_if_a_repetition_brings_nothing)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1);
	drains_to(&reader, READER_WAITS);
	fail_call(f, 0);
	end_call(f, 0);
	fails_with(&reader, STATUS_UPSTREAM_BAD_DATA);
}
END_TEST

START_TEST(what_was_only_passed_over_need_not_come_again)
{
	struct fetching *f = &fetching;
	struct reader r;
	reader_init(&r, cache, NULL, f->flight, &filters[0]);
	COMMIT(f, 0, 1, 2, 3, 4);
	drains_to(&r, READER_WAITS);
	GOT(0, 0, 3);
	fail_call(f, 0);
	COMMIT(f, 0, 6, 7, 3, 9);
	end_call(f, 0);
	end_well(f, 1, true);
	drains_to(&r, READER_END);
	GOT(1, 0, 6, 9);
	reader_fini(&r);
}
END_TEST

/* It was shown, and is known by its id, whatever has become of it. */
START_TEST(a_record_that_no_longer_matches_has_come_again)
{
	struct fetching *f = &fetching;
	struct reader r;
	struct row passed = row_of(0, 3);
	passed.status = ROW_PASSED;
	reader_init(&r, cache, NULL, f->flight, &filters[0]);
	COMMIT(f, 0, 2, 3);
	drains_to(&r, READER_WAITS);
	GOT(0, 0, 3);
	fail_call(f, 0);
	COMMIT(f, 0, 1);
	add_row(f->part[0], &passed);
	COMMIT(f, 0, 6);
	end_call(f, 0);
	end_well(f, 1, true);
	drains_to(&r, READER_END);
	GOT(1, 0, 6);
	reader_fini(&r);
}
END_TEST

START_TEST(an_id_that_comes_twice_is_two_records)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 5, 6, 5);
	drains_to(&reader, READER_WAITS);
	GOT(0, 0, 5, 6, 5);
	fail_call(f, 0);
	COMMIT(f, 0, 6, 6, 5);
	drains_to(&reader, READER_WAITS);
	GOT(3, 0, 6);
	fail_call(f, 0);
	COMMIT(f, 0, 5, 6, 6, 5, 5);
	drains_to(&reader, READER_WAITS);
	GOT(4, 0, 5);
	fail_call(f, 0);
	COMMIT(f, 0, 5, 6, 6, 5);
	end_call(f, 0);
	fails_with(&reader, STATUS_UPSTREAM_BAD_DATA);
}
END_TEST

START_TEST(what_the_receiver_refused_was_not_given)
{
	struct fetching *f = &fetching;
	enum reader_state state;
	COMMIT(f, 0, 1, 2);
	got.fail_at = 1;
	got.fail_with = STATUS_OVERFLOW;
	ck_status(drain(&reader, ALL, ALL, &state), STATUS_OVERFLOW);
	fail_call(f, 0);
	COMMIT(f, 0, 1, 3); /* without the one that was refused */
	end_call(f, 0);
	end_well(f, 1, true);
	drains_to(&reader, READER_END);
	ck_assert_uint_eq(got.count, 2);
	GOT(1, 0, 3);
}
END_TEST

START_TEST(a_first_record_that_was_refused_was_not_given)
{
	struct fetching *f = &fetching;
	enum reader_state state;
	COMMIT(f, 0, 1);
	got.fail_at = 0;
	got.fail_with = STATUS_OVERFLOW;
	ck_status(drain(&reader, ALL, ALL, &state), STATUS_OVERFLOW);
	restage(f);
	COMMIT(f, 0, 2);
	drains_to(&reader, READER_WAITS);
	GOT(0, 0, 2);
}
END_TEST

START_TEST(waits_where_an_attempt_was_swept_away)
{
	struct fetching *f = &fetching;
	enum reader_state state;
	COMMIT(f, 0, 1, 2, 3);
	ck_status(reader_take(&reader, 2, ALL, on_record, &got, &state), STATUS_OK);
	ck_assert_int_eq(state, READER_MORE);
	fail_call(f, 0);
	store_sweep();
	for (int i = 0; i < 2; i++)
		drains_to(&reader, READER_WAITS);
	ck_assert_uint_eq(got.count, 2);
	COMMIT(f, 0, 3, 2);
	drains_to(&reader, READER_WAITS);
	COMMIT(f, 0, 1);
	end_call(f, 0);
	end_well(f, 1, true);
	drains_to(&reader, READER_END);
	GOT(2, 0, 3);
}
END_TEST

/* Over the borders of blocks of rows, and where a sweep has taken a part of the attempt. */
START_TEST(a_long_call_may_be_made_again)
{
	enum { FIRST = 9000, ALL_OF_IT = 13000 };
	static bool seen[ALL_OF_IT + 1];
	static uint64_t ids[ALL_OF_IT];
	struct fetching *f = &fetching;
	enum reader_state state = READER_MORE;
	bool more;
	for (uint64_t i = 0; i < ALL_OF_IT; i++)
		ids[i] = i + 1;
	commit_list(f, 0, ids, FIRST);
	while (got.count < LIMIT_ROW_BLOCK + 100)
		ck_status(reader_take(&reader, 1000, ALL, on_record, &got, &state), STATUS_OK);
	fail_call(f, 0);
	ck_status(cache_sweep(cache, NOW, &more), STATUS_OK);
	ck_assert(more);
	drains_to(&reader, READER_WAITS);
	for (uint64_t i = 0; i < ALL_OF_IT; i++)
		ids[i] = ALL_OF_IT - i;
	for (size_t at = 0; at < ALL_OF_IT; at += 1000) {
		commit_list(f, 0, ids + at, 1000);
		drains_to(&reader, READER_WAITS);
	}
	end_call(f, 0);
	end_well(f, 1, true);
	drains_to(&reader, READER_END);
	ck_assert_uint_eq(got.count, ALL_OF_IT);
	for (size_t i = 0; i < got.count; i++) {
		ck_assert(!seen[got.list[i].id]);
		seen[got.list[i].id] = true;
	}
}
END_TEST

/* --- another stage */

START_TEST(begins_anew_in_another_stage_while_nothing_was_given)
{
	struct fetching *f = &fetching;
	struct reader r;
	reader_init(&r, cache, NULL, f->flight, &filters[0]);
	if (_i > 0) {
		/* it has looked at some, and left a call behind, but gave none */
		COMMIT(f, 0, 1, 2);
		end_call(f, 0);
		COMMIT(f, 1, 4, 5);
		drains_to(&r, READER_WAITS);
	}
	restage(f);
	drains_to(&r, READER_WAITS);
	COMMIT(f, 0, 4, 6);
	end_call(f, 0);
	COMMIT(f, 1, 9);
	end_call(f, 1);
	drains_to(&r, READER_WAITS);
	end_well(f, 2, true);
	drains_to(&r, READER_END);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.list[0].id, 6);
	GOT(1, 1, 9);
	reader_fini(&r);
}
END_TEST

/* 0: told of the new stage, 1: told of its end, 2: of a call in it */
START_TEST(fails_in_another_stage_once_something_was_given)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1);
	drains_to(&reader, READER_WAITS);
	restage(f);
	if (_i > 0) {
		COMMIT(f, 0, 1);
		end_call(f, 0);
	}
	if (_i == 1)
		end_well(f, 1, true);
	for (int i = 0; i < 2; i++)
		fails_with(&reader, STATUS_UPSTREAM_RETIRED);
	ck_assert_uint_eq(got.count, 1);
}
END_TEST

/* --- how a fetch ends */

START_TEST(tells_what_the_fetch_failed_with)
{
	static const enum status ends[] = {STATUS_UPSTREAM_DOWN, STATUS_CANCELLED, STATUS_STOPPING,
	    STATUS_NOT_FOUND, STATUS_STORE_FULL, STATUS_UPSTREAM_RETIRED};
	COMMIT(&fetching, 0, 1, 2);
	if (_i % 2 == 0)
		drains_to(&reader, READER_WAITS);
	end_badly(&fetching, ends[_i]);
	for (int i = 0; i < 2; i++)
		fails_with(&reader, ends[_i]);
	ck_assert_uint_eq(got.count, _i % 2 == 0 ? 2 : 0);
}
END_TEST

START_TEST(fails_where_the_fetch_ends_with_an_incomplete_result)
{
	struct fetching *f = &fetching;
	COMMIT(f, 0, 1, 2);
	drains_to(&reader, READER_WAITS);
	end_call(f, 0);
	end_well(f, 1, false);
	for (int i = 0; i < 2; i++)
		fails_with(&reader, STATUS_UPSTREAM_INCOMPLETE);
	GOT(0, 0, 1, 2);
}
END_TEST

START_TEST(fails_where_the_fetch_has_not_asked_for_a_host_that_it_has_to_have)
{
	static const uint64_t ids[] = {3, 4, 5, 9};
	static const struct {
		struct id_list hosts;
		enum status st;
	} cases[] = {
	    {{ids, 3}, STATUS_OK},
	    {{ids + 1, 1}, STATUS_OK},
	    {{ids, 0}, STATUS_OK},
	    {{ids, 4}, STATUS_UPSTREAM_INCOMPLETE},
	    {{ids + 3, 1}, STATUS_UPSTREAM_INCOMPLETE},
	};
	struct fetching *f = &fetching;
	enum reader_state state;
	reader.must_have = &cases[_i].hosts;
	COMMIT(f, 0, 1, 2);
	drains_to(&reader, READER_WAITS);
	end_call(f, 0);
	struct cache_manifest m = store_manifest(f->info, 1);
	m.hosts = ids;
	m.host_count = 3;
	cache_release(publish(f, &m));
	for (int i = 0; i < 2; i++)
		ck_status(drain(&reader, ALL, ALL, &state), cases[_i].st);
	GOT(0, 0, 1, 2);
}
END_TEST

/* --- waiting */

static void *
wait_and_take(void *ctx)
{
	struct reader *r = ctx;
	enum reader_state state;
	if (!reader_wait(r, CLOCK_NEVER))
		return NULL;
	enum status st = reader_take(r, ALL, ALL, on_record, &got, &state);
	(void)st; /* any end of a fetch */
	return r;
}

static void
bring_records(struct fetching *f)
{
	COMMIT(f, 0, 1);
}

static void
end_with_result(struct fetching *f)
{
	end_well(f, 0, true);
}

static void
end_with_failure(struct fetching *f)
{
	end_badly(f, STATUS_UPSTREAM_DOWN);
}

static void
end_first_call(struct fetching *f)
{
	end_call(f, 0);
}

static void (*const changes[])(struct fetching *f) = {
    bring_records, end_first_call, restage, end_with_result, end_with_failure};

/* Many times, as it matters who comes first. */
START_TEST(is_woken_by_whatever_changes)
{
	for (int round = 0; round < 100; round++) {
		struct fetching f = {0};
		struct reader r;
		pthread_t thread;
		void *woken;
		begin(&f);
		stage(&f);
		reader_init(&r, cache, NULL, f.flight, &everything);
		drains_to(&r, READER_WAITS);
		ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_take, &r), 0);
		for (int i = 0; i < round % 10; i++)
			sched_yield();
		changes[_i](&f);
		pthread_join(thread, &woken);
		ck_assert_ptr_eq(woken, &r);
		reader_fini(&r);
		fetching_fini(&f);
	}
}
END_TEST

START_TEST(waiting_ends_at_its_deadline_whatever_other_calls_bring)
{
	struct fetching *f = &fetching;
	drains_to(&reader, READER_WAITS);
	COMMIT(f, 1, 1);
	ck_assert(reader_wait(&reader, clock_mono_ms() + 5));
	drains_to(&reader, READER_WAITS);
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(waiting_is_over_where_something_has_changed_meanwhile)
{
	struct fetching *f = &fetching;
	drains_to(&reader, READER_WAITS);
	COMMIT(f, 0, 1);
	ck_assert(reader_wait(&reader, CLOCK_NEVER));
	drains_to(&reader, READER_WAITS);
	GOT(0, 0, 1);
}
END_TEST

START_TEST(stopping_ends_the_waiting)
{
	pthread_t thread;
	void *woken;
	drains_to(&reader, READER_WAITS);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_take, &reader), 0);
	flights_stop(fetching.flights);
	pthread_join(thread, &woken);
	ck_assert_ptr_null(woken);
	ck_assert(!reader_wait(&reader, CLOCK_NEVER));
}
END_TEST

/* --- whatever may happen */

/* What the calls of the fetch bring, and how far they are. */
struct play {
	struct unit_random random;
	struct fetching f;
	size_t calls;
	struct script {
		uint64_t ids[64];
		size_t count, added;
		bool ended;
	} script[CALLS_MOST];
	bool may_change; /* an answer may lack what it had, or have more */
	bool over, failed;
	size_t given_before_restage;
};

static void
shuffle(struct play *p, struct script *s)
{
	for (size_t i = s->count; i > 1; i--) {
		size_t at = unit_below(&p->random, i);
		uint64_t id = s->ids[i - 1];
		s->ids[i - 1] = s->ids[at];
		s->ids[at] = id;
	}
}

static void
write_script(struct play *p, struct script *s)
{
	s->count = unit_below(&p->random, 40);
	for (size_t i = 0; i < s->count; i++)
		s->ids[i] = 1 + unit_below(&p->random, 50); /* some of them twice */
	s->added = 0;
	s->ended = false;
}

static void
change_script(struct play *p, struct script *s)
{
	size_t what = unit_below(&p->random, 20);
	s->added = 0;
	shuffle(p, s);
	if (!p->may_change)
		return;
	if (what < 8 && s->count > 0)
		s->count--;
	if (what % 2 == 0)
		s->ids[s->count++] = 1 + unit_below(&p->random, 50);
}

static void
play_some_records(struct play *p, uint32_t call)
{
	struct script *s = &p->script[call];
	size_t count = unit_below(&p->random, s->count - s->added + 1);
	commit_list(&p->f, call, s->ids + s->added, count);
	s->added += count;
	if (s->added == s->count && unit_below(&p->random, 2) == 0) {
		end_call(&p->f, call);
		s->ended = true;
	}
}

static void
play_retry(struct play *p, uint32_t call)
{
	if (p->f.part[call] == NULL || p->script[call].count > 60)
		return;
	fail_call(&p->f, call);
	change_script(p, &p->script[call]);
}

static void
play_restage(struct play *p)
{
	restage(&p->f);
	for (size_t i = 0; i < p->calls; i++)
		write_script(p, &p->script[i]);
	if (got.count > 0)
		p->given_before_restage = got.count;
}

static void
play_end(struct play *p)
{
	for (size_t i = 0; i < p->calls; i++)
		if (!p->script[i].ended)
			return;
	end_well(&p->f, p->calls, true);
	p->over = true;
}

static void
play_failure(struct play *p)
{
	end_badly(&p->f, STATUS_UPSTREAM_DOWN);
	p->over = p->failed = true;
}

/* One thing that happens to the fetch. */
static void
play_one(struct play *p)
{
	size_t dice = unit_below(&p->random, 1000);
	uint32_t call = (uint32_t)unit_below(&p->random, p->calls);
	if (dice < 3)
		play_restage(p);
	else if (dice < 5)
		play_failure(p);
	else if (dice < 250)
		play_end(p);
	else if (dice < 300)
		store_sweep();
	else if (!p->script[call].ended && dice < 500)
		play_retry(p, call);
	else if (!p->script[call].ended)
		play_some_records(p, call);
}

static size_t
times_in(const struct script *s, uint64_t id)
{
	size_t times = 0;
	for (size_t i = 0; i < s->count; i++)
		times += s->ids[i] == id;
	return times;
}

static size_t
times_given(uint32_t call, uint64_t id)
{
	size_t times = 0;
	for (size_t i = 0; i < got.count; i++)
		times += got.list[i].call == call && got.list[i].id == id;
	return times;
}

/* Whether a call that has ended lacks what was given of it. */
static bool
something_is_lacking(const struct play *p)
{
	for (size_t i = 0; i < got.count; i++) {
		const struct script *s = &p->script[got.list[i].call];
		uint64_t id = got.list[i].id;
		if (s->ended && times_given(got.list[i].call, id) > times_in(s, id))
			return true;
	}
	return false;
}

static void
check_failure(const struct play *p, enum status st)
{
	if (p->failed)
		ck_status(st, STATUS_UPSTREAM_DOWN);
	else if (p->given_before_restage > 0)
		ck_status(st, STATUS_UPSTREAM_RETIRED);
	else
		ck_status(st, STATUS_UPSTREAM_BAD_DATA);
	if (st == STATUS_UPSTREAM_BAD_DATA)
		ck_assert(p->may_change && something_is_lacking(p));
}

static void
check_end(const struct play *p, const struct filter *filter)
{
	ck_assert(p->over && !p->failed && p->given_before_restage == 0);
	size_t wanted = 0;
	for (uint32_t call = 0; call < p->calls; call++)
		for (size_t i = 0; i < p->script[call].count; i++) {
			uint64_t id = p->script[call].ids[i];
			struct row row = row_of(call, id);
			if (!filter_match(filter, &row))
				continue;
			wanted++;
			ck_assert_uint_eq(times_given(call, id), times_in(&p->script[call], id));
		}
	ck_assert_uint_eq(got.count, wanted);
}

/* Plays until the reader is at an end. */
static enum status
play(struct play *p, struct reader *r, enum reader_state *state)
{
	for (;;) {
		for (size_t n = unit_below(&p->random, 6); n > 0 && !p->over; n--)
			play_one(p);
		if (!p->over && unit_below(&p->random, 3) == 0)
			continue;
		size_t most = 1 + unit_below(&p->random, 30);
		size_t bytes = 1 + unit_below(&p->random, 4 * KIB);
		enum status st = reader_take(r, most, bytes, on_record, &got, state);
		if (st != STATUS_OK || *state == READER_END)
			return st;
	}
}

START_TEST(gives_the_result_each_record_once_whatever_happens)
{
	uint64_t seed = unit_seed(777000 + (uint64_t)_i);
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	struct unit_random random = {seed};
	size_t ends = 0, failures = 0;
	for (int round = 0; round < 200; round++) {
		static struct play p;
		struct reader r;
		enum reader_state state;
		p = (struct play){.random = random};
		p.calls = 1 + unit_below(&p.random, 5);
		p.may_change = unit_below(&p.random, 2) == 0;
		const struct filter *filter =
		    unit_below(&p.random, 2) == 0 ? &everything : &filters[0];
		got.count = 0;
		for (size_t i = 0; i < p.calls; i++)
			write_script(&p, &p.script[i]);
		begin(&p.f);
		stage(&p.f);
		reader_init(&r, cache, NULL, p.f.flight, filter);
		enum status st = play(&p, &r, &state);
		if (st == STATUS_OK)
			check_end(&p, filter);
		else
			check_failure(&p, st);
		ends += st == STATUS_OK;
		failures += st == STATUS_UPSTREAM_BAD_DATA;
		reader_fini(&r);
		if (!p.over)
			end_badly(&p.f, STATUS_CANCELLED);
		fetching_fini(&p.f);
		random = p.random;
	}
	ck_assert(ends > 20 && failures > 0);
}
END_TEST

/* --- many at once */

struct consumer {
	pthread_t thread;
	struct reader reader;
	struct got *got;
	enum status st;
};

static void *
consume(void *ctx)
{
	struct consumer *c = ctx;
	enum reader_state state;
	do {
		c->st = reader_take(&c->reader, 7, 3000, on_record, c->got, &state);
		if (c->st == STATUS_OK && state == READER_WAITS &&
		    !reader_wait(&c->reader, CLOCK_NEVER))
			return NULL;
	} while (c->st == STATUS_OK && state != READER_END);
	return c;
}

/* A fetch with failing attempts; every call has 60 records in the end. */
static void
fetch_with_trouble(struct fetching *f, struct unit_random *random, uint32_t calls)
{
	for (uint32_t call = 0; call < calls; call++) {
		for (size_t tries = unit_below(random, 4); tries > 0; tries--) {
			for (uint64_t id = 1 + unit_below(random, 30); id <= 60; id += 3)
				COMMIT(f, call, id);
			fail_call(f, call);
			store_sweep();
		}
		for (uint64_t id = 60; id >= 1; id--)
			COMMIT(f, call, id);
		end_call(f, call);
	}
	end_well(f, calls, true);
}

START_TEST(many_read_along)
{
	enum { CALLS = 5, CONSUMERS = 6 };
	static struct consumer consumers[CONSUMERS];
	struct unit_random random = {unit_seed(99)};
	struct fetching *f = &fetching;
	for (size_t i = 0; i < CONSUMERS; i++) {
		struct consumer *c = &consumers[i];
		c->got = calloc(1, sizeof *c->got);
		ck_assert_ptr_nonnull(c->got);
		reader_init(&c->reader, cache, NULL, f->flight,
		    i % 2 == 0 ? &everything : &filters[i % ARRAY_LEN(filters)]);
		ck_assert_int_eq(pthread_create(&c->thread, NULL, consume, c), 0);
	}
	fetch_with_trouble(f, &random, CALLS);
	for (size_t i = 0; i < CONSUMERS; i++) {
		struct consumer *c = &consumers[i];
		void *done;
		pthread_join(c->thread, &done);
		ck_assert_ptr_eq(done, c);
		ck_status(c->st, STATUS_OK);
		size_t at = 0;
		bool seen[CALLS][61] = {{false}};
		for (; at < c->got->count; at++) {
			bool *s = &seen[c->got->list[at].call][c->got->list[at].id];
			ck_assert(!*s);
			*s = true;
		}
		for (uint32_t call = 0; call < CALLS; call++)
			for (uint64_t id = 1; id <= 60; id++) {
				struct row row = row_of(call, id);
				ck_assert_int_eq(
				    seen[call][id], filter_match(&c->reader.filter, &row));
			}
		reader_fini(&c->reader);
		free(c->got);
	}
}
END_TEST

static TCase *
result_tests(void)
{
	TCase *t = tcase_create("result");
	tcase_add_checked_fixture(t, setup, store_remove);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, gives_all_of_a_result_part_by_part);
	tcase_add_test(t, ends_at_once_where_there_is_nothing);
	tcase_add_test(t, gives_no_more_records_than_asked_for);
	tcase_add_test(t, gives_no_more_once_the_bytes_are_passed);
	tcase_add_loop_test(t, gives_only_what_matches_and_is_granted, 0, ARRAY_LEN(filters));
	tcase_add_test(t, refuses_an_incomplete_result);
	tcase_add_loop_test(
	    t, tells_what_the_receiver_said_and_gives_that_record_again, 0, ARRAY_LEN(said));
	tcase_add_test(t, a_result_that_was_dropped_stays_readable);
	tcase_add_loop_test(t, tells_of_a_damaged_result, 0, 2);
	tcase_add_test(t, a_memo_beyond_its_block_is_none);
	tcase_add_test(t, waits_while_nothing_is_there);
	tcase_add_test(t, reads_up_to_the_watermark);
	tcase_add_loop_test(t, is_woken_by_whatever_changes, 0, ARRAY_LEN(changes));
	tcase_add_loop_test(t, gives_the_result_each_record_once_whatever_happens, 0, 4);
	return t;
}

static TCase *
fetch_tests(void)
{
	TCase *t = tcase_create("fetch");
	tcase_add_checked_fixture(t, setup_fetch, teardown_fetch);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, gives_what_is_committed_and_no_more);
	tcase_add_loop_test(t, goes_on_in_the_result, 0, 3);
	tcase_add_test(t, there_is_no_end_before_that_of_the_fetch);
	tcase_add_test(t, a_fetch_that_was_never_looked_at_is_read_as_its_result);
	tcase_add_test(t, keeps_the_result_of_a_fetch_that_nobody_else_holds);
	tcase_add_test(t, passes_over_what_was_given_in_any_order);
	tcase_add_test(t, a_call_may_be_made_many_times);
	tcase_add_loop_test(t, fails_if_a_record_does_not_come_again, 0, 2);
	tcase_add_test(t, fails_if_a_repetition_brings_nothing);
	tcase_add_test(t, what_was_only_passed_over_need_not_come_again);
	tcase_add_test(t, a_record_that_no_longer_matches_has_come_again);
	tcase_add_test(t, an_id_that_comes_twice_is_two_records);
	tcase_add_test(t, what_the_receiver_refused_was_not_given);
	tcase_add_test(t, a_first_record_that_was_refused_was_not_given);
	tcase_add_test(t, waits_where_an_attempt_was_swept_away);
	tcase_add_test(t, a_long_call_may_be_made_again);
	tcase_add_loop_test(t, begins_anew_in_another_stage_while_nothing_was_given, 0, 2);
	tcase_add_loop_test(t, fails_in_another_stage_once_something_was_given, 0, 3);
	tcase_add_loop_test(t, tells_what_the_fetch_failed_with, 0, 6);
	tcase_add_test(t, fails_where_the_fetch_ends_with_an_incomplete_result);
	tcase_add_loop_test(
	    t, fails_where_the_fetch_has_not_asked_for_a_host_that_it_has_to_have, 0, 5);
	tcase_add_test(t, waiting_ends_at_its_deadline_whatever_other_calls_bring);
	tcase_add_test(t, waiting_is_over_where_something_has_changed_meanwhile);
	tcase_add_test(t, stopping_ends_the_waiting);
	tcase_add_test(t, many_read_along);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("reader");
	suite_add_tcase(s, result_tests());
	suite_add_tcase(s, fetch_tests());
	return unit_run(s);
}
