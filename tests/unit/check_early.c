/* Pages of fetches under way: what is shown, when, and where a walk goes on or comes to its end. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/answer/early.h"
#include "gateway/answer/span.h"
#include "gateway/base/clock.h"
#include "gateway/fetch/normalise.h"
#include "tests/unit/fetching.h"

#define GIVEN_MOST 4000

static const uint8_t key[SHA256_BYTES] = {7};
static size_t padding;   /* of each body */
static bool all_members; /* it has; else some */

static const char *const members[] = {
#define KEPT(number, name, theirs, other, inside, fix) #name,
#define MADE(number, name, fix) #name,
#define LEAVES(number, theirs, fix)
#include "gateway/fetch/normalise_table.h"
#undef KEPT
#undef MADE
#undef LEAVES
};

/* --- a fetch */

static struct fetching fetching, *const f = &fetching;

/* Every third record is of a policy that others may not see. */
static struct row
row_of(uint64_t id)
{
	return (struct row){.id = id,
	    .policy = id % 3 == 0 ? 2 : 1,
	    .host = id * 7,
	    .status = ROW_PASSED,
	    .criticality = ROW_CRITICALITY_NONE};
}

static void
add_row(struct cache_part *part, const struct row *row)
{
	struct buf body;
	buf_init(&body, 4 * MIB);
	buf_printf(&body, "{\"id\":%llu,\"instance\":\"", (unsigned long long)row->id);
	for (size_t i = 0; i < padding; i++)
		buf_byte(&body, 'x');
	buf_str_add(&body, "\"");
	for (size_t i = 2; all_members && i < ARRAY_LEN(members); i++)
		buf_printf(&body, ",\"%s\":null", members[i]);
	buf_byte(&body, '}');
	ck_status(body.err, STATUS_OK);
	ck_status(cache_part_add(part, row, body.data, body.len, "", 0), STATUS_OK);
	buf_fini(&body);
}

static void
add(struct cache_part *part, uint32_t call, uint64_t id)
{
	struct row row = row_of(id);
	(void)call;
	add_row(part, &row);
}

static struct cache_result *
end_well(size_t calls)
{
	struct cache_manifest m = store_manifest(f->info, calls);
	return publish(f, &m);
}

static void
setup(void)
{
	store_make("check_early", CACHE_TWINS_OFF);
	padding = 0;
	all_members = false;
	begin(f);
	stage(f);
}

static void
teardown(void)
{
	fetching_fini(f);
	store_remove();
}

/* --- a page */

struct shown {
	size_t count;
	uint64_t ids[GIVEN_MOST];
};
static struct shown shown; /* by all pages of a walk */

static struct early early;
static struct buf body;

static void
open_page(const struct cursor *from, uint16_t limit)
{
	early = (struct early){.cache = cache,
	    .flight = f->flight,
	    .cursor = *from,
	    .key = key,
	    .path = "/v1/postures"};
	early.cursor.limit = limit;
	buf_fini(&body);
	buf_init(&body, 32 * MIB);
	buf_str_add(&body, "{\"data\":[");
}

static void
note_ids(const char *text)
{
	for (const char *at = text; (at = strstr(at, "{\"id\":")) != NULL; at++) {
		if (at[6] == '"')
			continue; /* the result's */
		ck_assert_uint_lt(shown.count, GIVEN_MOST);
		shown.ids[shown.count++] = strtoull(at + 6, NULL, 10);
	}
}

static void
takes(enum early_state wanted, uint64_t count)
{
	enum early_state state;
	ck_status(early_take(&early, &body, &state), STATUS_OK);
	ck_assert_int_eq(state, wanted);
	ck_assert_uint_eq(early.count, count);
}

static void
takes_none(enum status wanted)
{
	enum early_state state;
	ck_status(early_take(&early, &body, &state), wanted);
}

/* The page as it stands; where the walk goes on. */
static struct cursor
finish(void)
{
	struct cursor next = {0};
	early_finish(&early, &body);
	ck_status(body.err, STATUS_OK);
	note_ids(buf_str(&body));
	ck_status(cursor_decode(early.next, strlen(early.next), key, &next), STATUS_OK);
	return next;
}

static void
check_shown(const uint64_t *ids, size_t count)
{
	ck_assert_uint_eq(shown.count, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(shown.ids[i], ids[i]);
}

#define SHOWN(...)                                                                                 \
	do {                                                                                       \
		const uint64_t ids_[] = {__VA_ARGS__};                                             \
		check_shown(ids_, ARRAY_LEN(ids_));                                                \
	} while (0)

static const struct cursor anew = {.limit = 1};

/* --- what is shown, and when */

START_TEST(waits_while_nothing_is_there)
{
	open_page(&anew, 2);
	takes(EARLY_WAITS, 0);
	COMMIT(f, 1, 10, 11, 12); /* has to wait for what stands before it */
	takes(EARLY_WAITS, 0);
	ck_assert(early_wait(&early, 0));
	end_call(f, 1);
	takes(EARLY_WAITS, 0);
}
END_TEST

START_TEST(is_full_once_its_records_are_there)
{
	open_page(&anew, 3);
	COMMIT(f, 0, 1, 2);
	takes(EARLY_WAITS, 2);
	COMMIT(f, 0, 3, 4);
	takes(EARLY_FULL, 3);
	struct cursor next = finish();
	SHOWN(1, 2, 3);
	ck_assert_uint_eq(next.result, cache_stage_id(f->stage));
	ck_assert_uint_eq(next.position, 3);
	ck_assert(next.inside && next.call == 0 && next.attempt == 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&body), "\"page\":{\"limit\":3,\"count\":3,\"total\":null"));
	ck_assert_ptr_nonnull(strstr(buf_str(&body), "\"complete\":false"));
}
END_TEST

START_TEST(goes_on_over_calls_that_have_ended)
{
	open_page(&anew, 4);
	COMMIT(f, 0, 1, 2);
	COMMIT(f, 2, 5, 6);
	end_call(f, 0);
	takes(EARLY_WAITS, 2);
	end_call(f, 1); /* has none */
	takes(EARLY_FULL, 4);
	struct cursor next = finish();
	SHOWN(1, 2, 5, 6);
	ck_assert(next.inside && next.call == 2);
	end_call(f, 2);
	open_page(&next, 4);
	takes(EARLY_WAITS, 0);
	COMMIT(f, 3, 7);
	takes(EARLY_WAITS, 1);
	finish();
	SHOWN(1, 2, 5, 6, 7);
}
END_TEST

START_TEST(a_cursor_between_calls_or_into_an_ended_one_is_an_ordinary_one)
{
	COMMIT(f, 0, 1, 2, 3);
	end_call(f, 0);
	open_page(&anew, 2);
	takes(EARLY_FULL, 2);
	struct cursor next = finish();
	ck_assert(!next.inside);
	open_page(&next, 9);
	takes(EARLY_WAITS, 1);
	next = finish();
	ck_assert(!next.inside);
	ck_assert_uint_eq(next.position, 3);
	COMMIT(f, 1, 4);
	open_page(&next, 1);
	takes(EARLY_FULL, 1);
	finish();
	SHOWN(1, 2, 3, 4);
}
END_TEST

START_TEST(shows_only_what_is_granted)
{
	static const uint64_t one = 1, none = 99;
	struct id_list grant = {&one, 1};
	COMMIT(f, 0, 1, 3, 6, 9, 2, 12, 4);
	open_page(&anew, 3);
	early.filter.grant = &grant;
	takes(EARLY_FULL, 3);
	finish();
	SHOWN(1, 2, 4);
	grant.ids = &none;
	open_page(&anew, 3);
	early.filter.grant = &grant;
	takes(EARLY_WAITS, 0);
}
END_TEST

START_TEST(shows_only_the_members_that_are_wanted)
{
	padding = 3;
	all_members = true;
	COMMIT(f, 0, 1, 2);
	open_page(&anew, 2);
	early.transform.fields = UINT64_C(1) << normal_member_find("id", 2);
	takes(EARLY_FULL, 2);
	ck_assert_str_eq(buf_str(&body), "{\"data\":[{\"id\":1},{\"id\":2}");
	open_page(&anew, 2);
	early.transform.hide = UINT64_C(1) << normal_member_find("instance", 8);
	takes(EARLY_FULL, 2);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&body), "},{\"id\":2,\"instance\":null,\"policyId\":"));
	ck_assert_ptr_null(strstr(buf_str(&body), "xxx"));
	open_page(&anew, 1);
	takes(EARLY_FULL, 1);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&body), "{\"id\":1,\"instance\":\"xxx\",\"policyId\":"));
}
END_TEST

START_TEST(ends_a_page_at_eight_mebibytes)
{
	padding = 3 * MIB;
	COMMIT(f, 0, 1, 2);
	open_page(&anew, 100);
	takes(EARLY_WAITS, 2);
	COMMIT(f, 0, 3, 4);
	takes(EARLY_FULL, 2);
	ck_assert_uint_le(body.len - strlen("{\"data\":["), LIMIT_PAGE_BYTES);
	struct cursor next = finish();
	open_page(&next, 100);
	takes(EARLY_WAITS, 2);
	finish();
	SHOWN(1, 2, 3, 4);
}
END_TEST

START_TEST(small_records_fill_a_page_to_the_brim)
{
	padding = 30 * KIB; /* several in a fragment */
	for (uint64_t id = 1; id <= 400; id++)
		COMMIT(f, 0, id);
	open_page(&anew, 1000);
	enum early_state state;
	ck_status(early_take(&early, &body, &state), STATUS_OK);
	ck_assert_int_eq(state, EARLY_FULL);
	size_t len = body.len - strlen("{\"data\":[");
	ck_assert_uint_le(len, LIMIT_PAGE_BYTES);
	ck_assert_uint_gt(len + padding + 40, LIMIT_PAGE_BYTES);
	struct cursor next = finish();
	open_page(&next, 1000);
	takes(EARLY_WAITS, 400 - shown.count);
	finish();
	for (uint64_t id = 1; id <= 400; id++)
		ck_assert_uint_eq(shown.ids[id - 1], id);
}
END_TEST

/* --- a call is made again */

START_TEST(goes_on_where_the_same_has_come_again)
{
	COMMIT(f, 0, 1, 2, 3);
	open_page(&anew, 2);
	takes(EARLY_FULL, 2);
	struct cursor next = finish();
	fail_call(f, 0);
	COMMIT(f, 0, 1);
	open_page(&next, 2);
	takes(EARLY_WAITS, 0); /* not all of what was shown is there again */
	COMMIT(f, 0, 2);
	takes(EARLY_WAITS, 0);
	COMMIT(f, 0, 3, 4);
	takes(EARLY_FULL, 2);
	next = finish();
	SHOWN(1, 2, 3, 4);
	ck_assert_uint_eq(next.attempt, 1);
	fail_call(f, 0);
	COMMIT(f, 0, 1, 2, 3, 4, 5);
	end_call(f, 0);
	open_page(&next, 2);
	takes(EARLY_WAITS, 1);
	finish();
	SHOWN(1, 2, 3, 4, 5);
}
END_TEST

START_TEST(ends_where_another_order_has_come)
{
	COMMIT(f, 0, 1, 2, 3);
	open_page(&anew, 2);
	takes(EARLY_FULL, 2);
	struct cursor next = finish();
	fail_call(f, 0);
	COMMIT(f, 0, 2, 1, 3);
	open_page(&next, 2);
	takes_none(STATUS_CURSOR_EXPIRED);
	fail_call(f, 0);
	COMMIT(f, 0, 1, 3, 2);
	open_page(&next, 2);
	takes_none(STATUS_CURSOR_EXPIRED);
	fail_call(f, 0);
	COMMIT(f, 0, 1);
	end_call(f, 0); /* fewer than were shown */
	open_page(&next, 2);
	takes_none(STATUS_CURSOR_EXPIRED);
}
END_TEST

START_TEST(ends_where_a_shown_record_has_another_state)
{
	struct row changed = row_of(2);
	COMMIT(f, 0, 1, 2, 3);
	open_page(&anew, 2);
	takes(EARLY_FULL, 2);
	struct cursor next = finish();
	fail_call(f, 0);
	COMMIT(f, 0, 1);
	changed.status = ROW_FAILED;
	add_row(part_of(f, 0), &changed);
	COMMIT(f, 0, 3);
	open_page(&next, 2);
	takes_none(STATUS_CURSOR_EXPIRED);
	fail_call(f, 0);
	COMMIT(f, 0, 1);
	changed = row_of(2);
	changed.created = 5; /* is another with each answer */
	changed.batch = 9;
	add_row(part_of(f, 0), &changed);
	COMMIT(f, 0, 3);
	open_page(&next, 2);
	takes(EARLY_WAITS, 1);
}
END_TEST

/* What of it comes behind the shown ones may be as it will. */
START_TEST(a_page_in_the_making_begins_again_with_its_call)
{
	COMMIT(f, 0, 1, 2);
	end_call(f, 0);
	COMMIT(f, 1, 3, 4);
	open_page(&anew, 3);
	takes(EARLY_FULL, 3);
	struct cursor next = finish();
	open_page(&next, 9);
	takes(EARLY_WAITS, 1);
	fail_call(f, 1);
	takes(EARLY_WAITS, 1);
	COMMIT(f, 1, 3, 5);
	takes(EARLY_WAITS, 1);
	COMMIT(f, 1, 4);
	takes(EARLY_WAITS, 2);
	finish();
	SHOWN(1, 2, 3, 5, 4);
}
END_TEST

START_TEST(a_first_page_follows_a_fetch_that_begins_anew_and_a_walk_does_not)
{
	COMMIT(f, 0, 1, 2, 3);
	open_page(&anew, 2);
	takes(EARLY_FULL, 2);
	struct cursor next = finish();
	shown.count = 0;
	open_page(&anew, 9);
	takes(EARLY_WAITS, 3);
	restage(f);
	COMMIT(f, 0, 7, 8);
	takes(EARLY_WAITS, 2);
	struct cursor other = finish();
	SHOWN(7, 8);
	ck_assert_uint_eq(other.result, cache_stage_id(f->stage));
	open_page(&next, 2);
	takes_none(STATUS_UPSTREAM_RETIRED);
}
END_TEST

START_TEST(waits_for_the_next_attempt_where_the_last_one_is_gone)
{
	COMMIT(f, 0, 1, 2, 3);
	open_page(&anew, 2);
	takes(EARLY_FULL, 2);
	struct cursor next = finish();
	fail_call(f, 0);
	store_sweep();
	open_page(&next, 2);
	takes(EARLY_WAITS, 0);
	COMMIT(f, 0, 1, 2, 3);
	takes(EARLY_WAITS, 1);
	finish();
	SHOWN(1, 2, 3);
}
END_TEST

START_TEST(ends_with_the_fetch)
{
	COMMIT(f, 0, 1, 2);
	open_page(&anew, 9);
	takes(EARLY_WAITS, 2);
	flight_end(f->flight, STATUS_UPSTREAM_DOWN, 0, NULL);
	enum early_state state;
	ck_assert(early_wait(&early, CLOCK_NEVER)); /* it is told of */
	ck_status(early_take(&early, &body, &state), STATUS_OK);
	ck_assert_int_eq(state, EARLY_ENDED);
}
END_TEST

/* --- the result */

static void
show_rest(struct cache_result *result, const struct cursor *c)
{
	struct answer a = {.cache = cache, .result = result};
	struct answer_span span;
	buf_fini(&body);
	buf_init(&body, 32 * MIB);
	ck_status(
	    answer_take(&a, c->position, GIVEN_MOST, SIZE_MAX / 2, &body, NULL, &span), STATUS_OK);
	ck_assert(span.end);
	note_ids(buf_str(&body));
}

START_TEST(a_cursor_into_a_call_is_good_in_the_result_of_the_same_order)
{
	COMMIT(f, 0, 1, 2);
	end_call(f, 0);
	COMMIT(f, 1, 3, 4, 5);
	open_page(&anew, 4);
	takes(EARLY_FULL, 4);
	struct cursor next = finish();
	if (_i > 0)
		fail_call(f, 1);
	if (_i == 1)
		COMMIT(f, 1, 3, 4, 5, 6);
	if (_i == 2)
		COMMIT(f, 1, 4, 3, 5, 6);
	if (_i == 3)
		COMMIT(f, 1, 3);
	end_call(f, 1);
	struct cache_result *result = end_well(2);
	ck_assert_uint_eq(cache_manifest(result)->id, next.result);
	ck_status(early_settle(cache, result, &next), _i >= 2 ? STATUS_CURSOR_EXPIRED : STATUS_OK);
	if (_i < 2) {
		ck_assert(!next.inside);
		show_rest(result, &next);
	}
	if (_i == 0)
		SHOWN(1, 2, 3, 4, 5);
	if (_i == 1)
		SHOWN(1, 2, 3, 4, 5, 6);
	cache_release(result);
}
END_TEST

START_TEST(a_cursor_into_a_call_that_the_result_has_not_is_expired)
{
	COMMIT(f, 0, 1, 2);
	end_call(f, 0);
	struct cache_result *result = end_well(1);
	struct cursor c = {.inside = true, .call = 1, .position = 2};
	ck_status(early_settle(cache, result, &c), STATUS_CURSOR_EXPIRED);
	c = (struct cursor){.inside = true, .call = 0, .position = 3};
	ck_status(early_settle(cache, result, &c), STATUS_CURSOR_EXPIRED);
	c = (struct cursor){.inside = true, .call = 0, .position = 2};
	ck_status(early_settle(cache, result, &c), STATUS_OK);
	cache_release(result);
}
END_TEST

/* --- whatever comes when */

/* A fetch of several calls that bring their records in pieces, one now, one then, and fail at times; all
 * of the records are told once, in the order of the result, whatever pages are asked for meanwhile. */
struct play {
	struct unit_random random;
	size_t calls, sizes[CALLS_MOST], sent[CALLS_MOST];
	bool over[CALLS_MOST];
	size_t left; /* calls not over */
	struct cursor cursor;
};

static uint64_t
id_of(size_t call, size_t at)
{
	return 1 + call * 1000 + at;
}

static void
play_call(struct play *p)
{
	size_t call = unit_below(&p->random, p->calls);
	if (p->over[call])
		return;
	if (p->sent[call] > 0 && unit_below(&p->random, 10) == 0) {
		fail_call(f, (uint32_t)call);
		p->sent[call] = 0;
		if (unit_below(&p->random, 2) == 0)
			store_sweep();
		return;
	}
	size_t more = unit_below(&p->random, p->sizes[call] - p->sent[call] + 1);
	for (size_t i = 0; i < more; i++)
		COMMIT(f, (uint32_t)call, id_of(call, p->sent[call]++));
	if (p->sent[call] == p->sizes[call] && unit_below(&p->random, 3) == 0) {
		end_call(f, (uint32_t)call);
		p->over[call] = true;
		p->left--;
	}
}

/* A page is looked for, a few times, and sent if it is full, or not full but there. */
static void
play_page(struct play *p)
{
	enum early_state state = EARLY_WAITS;
	open_page(&p->cursor, (uint16_t)(1 + unit_below(&p->random, 40)));
	for (size_t i = unit_below(&p->random, 4) + 1; i > 0 && state == EARLY_WAITS; i--) {
		ck_status(early_take(&early, &body, &state), STATUS_OK);
		ck_assert_int_ne(state, EARLY_ENDED);
		ck_assert_uint_le(early.count, early.cursor.limit);
		if (state == EARLY_WAITS && p->left > 0)
			play_call(p);
	}
	/* what was played since may have begun its call again: that is for the next look */
	if (early.count > 0)
		p->cursor = finish();
}

START_TEST(any_pages_of_any_fetch_are_its_result)
{
	struct play p = {.random = {unit_seed(100 + (uint64_t)_i)}, .cursor = anew};
	size_t wanted = 0;
	p.left = p.calls = 1 + unit_below(&p.random, CALLS_MOST);
	for (size_t i = 0; i < p.calls; i++)
		p.sizes[i] = unit_below(&p.random, 5) == 0 ? 0 : unit_below(&p.random, 60);
	while (p.left > 0) {
		play_call(&p);
		if (unit_below(&p.random, 3) == 0)
			play_page(&p);
	}
	for (size_t i = unit_below(&p.random, 5); i > 0; i--)
		play_page(&p);
	struct cache_result *result = end_well(p.calls);
	ck_status(early_settle(cache, result, &p.cursor), STATUS_OK);
	show_rest(result, &p.cursor);
	for (size_t call = 0; call < p.calls; call++)
		for (size_t at = 0; at < p.sizes[call]; at++, wanted++)
			ck_assert_msg(wanted < shown.count && shown.ids[wanted] == id_of(call, at),
			    "seed %d, record %zu", 100 + _i, wanted);
	ck_assert_uint_eq(shown.count, wanted);
	cache_release(result);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("early");
	TCase *shows = tcase_create("shows");
	tcase_add_checked_fixture(shows, setup, teardown);
	tcase_add_test(shows, waits_while_nothing_is_there);
	tcase_add_test(shows, is_full_once_its_records_are_there);
	tcase_add_test(shows, goes_on_over_calls_that_have_ended);
	tcase_add_test(shows, a_cursor_between_calls_or_into_an_ended_one_is_an_ordinary_one);
	tcase_add_test(shows, shows_only_what_is_granted);
	tcase_add_test(shows, shows_only_the_members_that_are_wanted);
	tcase_add_test(shows, ends_a_page_at_eight_mebibytes);
	tcase_add_test(shows, small_records_fill_a_page_to_the_brim);
	suite_add_tcase(suite, shows);
	TCase *again = tcase_create("again");
	tcase_add_checked_fixture(again, setup, teardown);
	tcase_add_test(again, goes_on_where_the_same_has_come_again);
	tcase_add_test(again, ends_where_another_order_has_come);
	tcase_add_test(again, ends_where_a_shown_record_has_another_state);
	tcase_add_test(again, a_page_in_the_making_begins_again_with_its_call);
	tcase_add_test(again, a_first_page_follows_a_fetch_that_begins_anew_and_a_walk_does_not);
	tcase_add_test(again, waits_for_the_next_attempt_where_the_last_one_is_gone);
	tcase_add_test(again, ends_with_the_fetch);
	suite_add_tcase(suite, again);
	TCase *result = tcase_create("result");
	tcase_add_checked_fixture(result, setup, teardown);
	tcase_add_loop_test(
	    result, a_cursor_into_a_call_is_good_in_the_result_of_the_same_order, 0, 4);
	tcase_add_test(result, a_cursor_into_a_call_that_the_result_has_not_is_expired);
	tcase_add_loop_test(result, any_pages_of_any_fetch_are_its_result, 0, 60);
	tcase_set_timeout(result, 60);
	suite_add_tcase(suite, result);
	return unit_run(suite);
}
