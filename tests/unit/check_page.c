/* Pages as gzip beside the same pages as they are: the same text of any result, filter and limit,
 * whatever twins there are. */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/answer/page.h"
#include "gateway/base/limits.h"
#include "tests/unit/inflate.h"
#include "tests/unit/store.h"

static struct buf plain, packed, inflated, before;
static const uint8_t key[32] = {1};

static void
setup(void)
{
	store_make("check_page", CACHE_TWINS_INGEST);
	struct buf *all[] = {&plain, &packed, &inflated, &before};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buf_init(all[i], 64 * MIB);
}

static void
teardown(void)
{
	struct buf *all[] = {&plain, &packed, &inflated, &before};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buf_fini(all[i]);
	store_remove();
}

/* --- results */

struct shape {
	size_t parts;
	size_t records[6];
	size_t body_most;
};

static bool (*fails_at)(size_t call, size_t n); /* which records have Failed; NULL: some */

static void
write_body(struct unit_random *r, uint64_t id, size_t most, struct buf *body)
{
	static const char *const words[] = {"alpha ", "beta ", "status of ", "0.10 "};
	size_t len = unit_below(r, most);
	buf_reset(body);
	buf_printf(body, "{\"id\":%" PRIu64 ",\"text\":\"", id);
	while (body->len < len)
		buf_str_add(body, words[unit_below(r, ARRAY_LEN(words))]);
	buf_str_add(body, "\"}");
}

static void
fill_part(struct unit_random *r, struct cache_stage *stage, const struct shape *s, size_t call,
    struct cache_part_info *ret)
{
	struct buf body;
	struct cache_part *part;
	buf_init(&body, MIB);
	ck_status(cache_part_open(stage, (uint32_t)call, 0, &part), STATUS_OK);
	for (size_t n = 0; n < s->records[call]; n++) {
		uint64_t id = 1 + call * 100000 + n;
		bool fails = fails_at != NULL ? fails_at(call, n) : unit_below(r, 40) == 0;
		struct row row = {.id = id,
		    .policy = 1,
		    .host = 1 + n / 7,
		    .status = fails ? ROW_FAILED : ROW_PASSED};
		write_body(r, id, s->body_most, &body);
		ck_status(cache_part_add(part, &row, body.data, body.len, "", 0), STATUS_OK);
	}
	ck_status(cache_part_end(part), STATUS_OK);
	*ret = cache_part_info(part);
	cache_part_close(part);
	buf_fini(&body);
}

static struct cache_result *
make_result(const struct shape *s, uint64_t seed)
{
	struct unit_random r = {seed};
	struct cache_part_info parts[6];
	struct cache_stage *stage;
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	for (size_t i = 0; i < s->parts; i++)
		fill_part(&r, stage, s, i, &parts[i]);
	struct cache_manifest m = store_manifest(parts, s->parts);
	return store_publish(stage, &m);
}

/* --- pages */

/* The page at that position in both forms, compared; `plain` and `packed` have them. */
static struct page
read_page(const struct answer *a, uint64_t position, unsigned limit)
{
	struct page p = {.answer = *a,
	    .cursor = {.result = 1, .position = position, .limit = (uint16_t)limit},
	    .key = key,
	    .path = "/v1/postures",
	    .total = 1};
	struct page z = p;
	z.takes_gzip = true;
	buf_reset(&plain);
	buf_reset(&packed);
	ck_status(page_write(&p, &plain), STATUS_OK);
	ck_status(page_write(&z, &packed), STATUS_OK);
	ck_assert(!p.gzip);
	ck_assert_int_eq(z.gzip, plain.len >= KIB);
	ck_assert_uint_eq(z.count, p.count);
	ck_assert_str_eq(z.next, p.next);
	const struct buf *got = &packed;
	if (z.gzip) {
		unit_inflate(&packed, &inflated);
		got = &inflated;
	}
	ck_assert_uint_eq(got->len, plain.len);
	ck_assert_mem_eq(got->data, plain.data, plain.len);
	return p;
}

/* Where the page behind this one begins; 0: there is none. */
static uint64_t
next_of(const struct page *p)
{
	struct cursor c = {0};
	if (p->next[0] == '\0')
		return 0;
	ck_status(cursor_decode(p->next, strlen(p->next), key, &c), STATUS_OK);
	return c.position;
}

/* From page to page; gives how many records there were. */
static uint64_t
walk(const struct answer *a, unsigned limit)
{
	uint64_t position = 0, records = 0;
	do {
		struct page p = read_page(a, position, limit);
		records += p.count;
		position = next_of(&p);
		ck_assert_uint_le(p.count, limit);
		ck_assert(p.count > 0 || position == 0);
	} while (position != 0);
	return records;
}

static struct answer
all_of(struct cache_result *result)
{
	return (struct answer){.cache = cache, .result = result};
}

static const unsigned limits[] = {1, 3, 19, 20, 21, 39, 40, 41, 50, 100, 119, 150, 333, 1000};

static const struct shape shapes[] = {
    {1, {0}, 1}, {1, {1}, 10}, {1, {19}, 10}, {1, {100}, 60}, {1, {101}, 4000}, {1, {1000}, 3000},
    {1, {4321}, 500}, {3, {130, 0, 77}, 3000}, {6, {1, 2, 3, 260, 5, 6}, 800},
    {2, {300, 300}, 50000}, /* fragments that end early, pages that do */
};

START_TEST(gzip_pages_are_the_same_text)
{
	struct cache_result *r = make_result(&shapes[_i], 77);
	struct answer a = all_of(r);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (limits[i] >= 19 || cache_manifest(r)->records < 2000)
			ck_assert_uint_eq(walk(&a, limits[i]), cache_manifest(r)->records);
	cache_release(r);
}
END_TEST

START_TEST(gzip_pages_of_a_filter_are_the_same_text)
{
	struct cache_result *r = make_result(&shapes[_i], 78);
	struct answer a = all_of(r);
	struct query query = {.status = STATUS_BIT_PASSED, QUERY_NO_DATES};
	a.filter.query = &query;
	uint64_t total;
	ck_status(answer_count(&a, &total), STATUS_OK);
	for (size_t i = 4; i < ARRAY_LEN(limits); i++)
		ck_assert_uint_eq(walk(&a, limits[i]), total);
	query.status = STATUS_BIT_FAILED;
	ck_status(answer_count(&a, &total), STATUS_OK);
	ck_assert_uint_eq(walk(&a, 100), total);
	cache_release(r);
}
END_TEST

static bool
every_third_fragment(size_t call, size_t n)
{
	(void)call;
	return n / 20 % 3 == 2;
}

/* The second part goes on with the number behind that with which the first one ends. */
static bool
first_two_of_the_second(size_t call, size_t n)
{
	return call == 1 && n < 40;
}

/* A twin refers to the fragment before it: not to one with that number, and not across one that the
 * filter leaves out. */
START_TEST(what_a_twin_refers_to_is_there_or_it_is_not_used)
{
	static const struct shape of_one = {1, {600}, 3000}, of_two = {2, {40, 200}, 3000};
	fails_at = _i == 0 ? every_third_fragment : first_two_of_the_second;
	struct query query = {.status = STATUS_BIT_PASSED, QUERY_NO_DATES};
	struct cache_result *r = make_result(_i == 0 ? &of_one : &of_two, 84);
	struct answer a = all_of(r);
	a.filter.query = &query;
	ck_assert_uint_gt(walk(&a, 1000), 100);
	ck_assert_uint_gt(walk(&a, 60), 100);
	cache_release(r);
}
END_TEST

START_TEST(without_twins_a_page_says_the_same)
{
	const struct shape s = {2, {500, 333}, 3000};
	bool more = true;
	store_remove();
	store_make("check_page", CACHE_TWINS_LAZY);
	struct cache_result *r = make_result(&s, 79);
	struct answer a = all_of(r);
	static const uint64_t positions[] = {0, 20, 33, 100, 460, 500, 520};
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(positions); i++)
			read_page(&a, positions[i], 100);
		while (more) {
			more = false;
			ck_status(cache_make_twins(cache, &more), STATUS_OK);
		}
	}
	cache_release(r);
}
END_TEST

START_TEST(a_walk_ends_its_pages_where_twins_begin)
{
	static const struct {
		size_t records;
		unsigned limit;
		uint64_t ends[8];
	} cases[] = {
	    {1000, 100, {100, 200, 300, 400, 500}},
	    {1000, 150, {100, 200, 300}},
	    {1000, 199, {100, 200, 300}}, /* half of what was asked for is enough */
	    {1000, 210, {200, 400}},
	    {1000, 50, {40, 80, 120, 160, 200}},
	    {1000, 40, {40, 80, 100, 140}},
	    {1000, 39, {39, 78, 117}}, /* too few to be cut */
	    {1000, 119, {100, 200}},
	    {105, 100, {100}},
	    {119, 100, {100}},
	    {100, 60, {60}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shape s = {1, {cases[i].records}, 100};
		struct cache_result *r = make_result(&s, 80);
		struct answer a = all_of(r);
		uint64_t position = 0;
		for (size_t n = 0; cases[i].ends[n] != 0; n++) {
			struct page p = read_page(&a, position, cases[i].limit);
			position = next_of(&p);
			ck_assert_uint_eq(position, cases[i].ends[n]);
		}
		cache_release(r);
	}
}
END_TEST

/* Whoever stands in the middle, with an old cursor, comes to the borders too. */
START_TEST(a_walk_from_anywhere_comes_to_the_borders)
{
	struct shape s = {2, {333, 500}, 100};
	struct cache_result *r = make_result(&s, 81);
	struct answer a = all_of(r);
	for (uint64_t from = 0; from < 833; from += 7) {
		struct page p = read_page(&a, from, 100);
		uint64_t end = next_of(&p);
		ck_assert_uint_ge(p.count, end == 0 ? 1 : 50);
		ck_assert(end == 0 || (end <= 333 ? end : end - 333) % 20 == 0 || end == 333);
	}
	cache_release(r);
}
END_TEST

START_TEST(one_record_is_the_same_text)
{
	struct shape s = {1, {30}, 9000};
	struct cache_result *r = make_result(&s, 83);
	struct page p = {.answer = all_of(r), .key = key, .path = "/"}, z = p;
	z.takes_gzip = true;
	ck_status(page_write_one(&p, &plain), STATUS_OK);
	ck_status(page_write_one(&z, &packed), STATUS_OK);
	ck_assert_uint_ge(plain.len, KIB);
	ck_assert(z.gzip);
	unit_inflate(&packed, &inflated);
	ck_assert_uint_eq(inflated.len, plain.len);
	ck_assert_mem_eq(inflated.data, plain.data, plain.len);
	cache_release(r);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("page");
	TCase *t = tcase_create("page");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, gzip_pages_are_the_same_text, 0, ARRAY_LEN(shapes));
	tcase_add_loop_test(t, gzip_pages_of_a_filter_are_the_same_text, 3, ARRAY_LEN(shapes));
	tcase_add_loop_test(t, what_a_twin_refers_to_is_there_or_it_is_not_used, 0, 2);
	tcase_add_test(t, without_twins_a_page_says_the_same);
	tcase_add_test(t, a_walk_ends_its_pages_where_twins_begin);
	tcase_add_test(t, a_walk_from_anywhere_comes_to_the_borders);
	tcase_add_test(t, one_record_is_the_same_text);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
