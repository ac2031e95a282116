/* Members that are put together: whatever they consist of, zlib makes of them what went in. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "gateway/base/limits.h"
#include "gateway/base/stitch.h"
#include "tests/unit/unit.h"

static struct buf plain, member;

static void
setup(void)
{
	buf_init(&plain, 64 * MIB);
	buf_init(&member, 64 * MIB);
}

static void
teardown(void)
{
	buf_fini(&plain);
	buf_fini(&member);
}

/* One member, to its last byte, with the content of `plain`. */
static void
expect_plain(void)
{
	z_stream z = {0};
	size_t room = plain.len + 1;
	char *got = malloc(room);
	ck_assert_ptr_nonnull(got);
	ck_assert_int_eq(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	z.next_in = (Bytef *)member.data;
	z.avail_in = (uInt)member.len;
	z.next_out = (Bytef *)got;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	ck_assert_uint_eq(z.avail_in, 0);
	ck_assert_uint_eq(z.total_out, plain.len);
	ck_assert(plain.len == 0 || memcmp(got, plain.data, plain.len) == 0);
	inflateEnd(&z);
	free(got);
}

static void
add_words(struct buf *b, struct unit_random *r, size_t len)
{
	static const char *const words[] = {
	    "{\"id\":", "\"status\":\"Passed\",", "123456", "null,", " of the control ", "x"};
	for (size_t end = b->len + len; b->len < end;)
		buf_str_add(b, words[unit_below(r, ARRAY_LEN(words))]);
}

static void
add_text(struct stitch *s, struct unit_random *r, size_t len)
{
	size_t from = plain.len;
	add_words(&plain, r, len);
	buf_add(&s->text, plain.data + from, plain.len - from);
}

/* A run that was made apart: free, or chained to `history` bytes before it. */
static void
add_run(struct stitch *s, struct unit_random *r, struct packer *p, size_t history, bool here)
{
	size_t from = plain.len;
	buf_byte(&plain, ',');
	add_words(&plain, r, 1 + unit_below(r, 70000));
	const char *at = plain.data + from;
	size_t len = plain.len - from;
	history = history < from ? history : from;
	if (here) {
		stitch_pack(s, at - history, history, ",", at + 1, len - 1);
		return;
	}
	struct buf run;
	buf_init(&run, MIB);
	packer_begin(p, at - history, history);
	packer_add(p, at, 1, &run);
	packer_add(p, at + 1, len - 1, &run);
	packer_end(p, &run);
	stitch_run(s, run.data, run.len, codec_crc32(0, at, len), len);
	buf_fini(&run);
}

/* The same pieces each time: of the same seed. here: runs are packed on the spot. */
static void
make_member(uint64_t seed, bool here, struct buf *out)
{
	struct unit_random r = {seed};
	struct stitch s;
	bool packed;
	struct packer *p = packer_new();
	ck_assert_ptr_nonnull(p);
	buf_reset(&plain);
	buf_reset(out);
	stitch_init(&s, 4 * MIB, out);
	for (size_t n = 1 + unit_below(&r, 12); n > 0; n--) {
		static const size_t most[] = {2, 30, 1500, 60000, 400000};
		size_t history = unit_below(&r, 2) * unit_below(&r, 60000);
		if (unit_below(&r, 2) == 0)
			add_text(&s, &r, unit_below(&r, most[unit_below(&r, ARRAY_LEN(most))]));
		else
			add_run(&s, &r, p, history, here);
		stitch_ease(&s);
	}
	ck_status(stitch_end(&s, 0, &packed), STATUS_OK);
	ck_assert(packed);
	stitch_fini(&s);
	packer_free(p);
}

START_TEST(any_pieces_make_one_member_of_all_of_them)
{
	uint64_t seed = unit_seed(31 + (uint64_t)_i * 1000);
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 150; round++) {
		make_member(seed + (uint64_t)round, false, &member);
		expect_plain();
		make_member(seed + (uint64_t)round, true, &member);
		expect_plain();
	}
}
END_TEST

/* Every length of text, on either side of where it is deflated. */
START_TEST(text_of_any_length_comes_back)
{
	struct unit_random r = {5};
	for (size_t len = 0; len < 2100; len++) {
		struct stitch s;
		bool packed = false;
		buf_reset(&plain);
		buf_reset(&member);
		stitch_init(&s, MIB, &member);
		for (size_t i = 0; i < len; i++)
			buf_byte(&plain, (char)unit_next(&r));
		buf_add(&s.text, plain.data, plain.len);
		ck_status(stitch_end(&s, 0, &packed), STATUS_OK);
		ck_assert(packed);
		expect_plain();
		stitch_fini(&s);
	}
}
END_TEST

START_TEST(little_text_stays_as_it_is)
{
	for (size_t len = 0; len <= 30; len++) {
		struct stitch s;
		bool packed = false;
		buf_reset(&plain);
		buf_reset(&member);
		stitch_init(&s, KIB, &member);
		for (size_t i = 0; i < len; i++)
			buf_byte(&plain, 'a');
		buf_add(&s.text, plain.data, plain.len);
		ck_status(stitch_end(&s, 20, &packed), STATUS_OK);
		ck_assert_int_eq(packed, len >= 20);
		if (packed)
			expect_plain();
		else
			ck_assert(member.len == len && (len == 0 || member.data[0] == 'a'));
		stitch_fini(&s);
	}
}
END_TEST

START_TEST(what_does_not_fit_fails)
{
	struct unit_random r = {6};
	bool packed;
	for (size_t max = 0; max < 200; max++) {
		struct buf small;
		struct stitch s;
		buf_init(&small, max);
		stitch_init(&s, MIB, &small);
		for (int i = 0; i < 190; i++)
			buf_byte(&s.text, (char)unit_next(&r));
		ck_status(stitch_end(&s, 0, &packed), STATUS_OVERFLOW);
		stitch_fini(&s);
		buf_fini(&small);
	}
	struct stitch s;
	buf_reset(&member);
	stitch_init(&s, 100, &member);
	add_text(&s, &r, 200);
	ck_status(stitch_end(&s, 0, &packed), STATUS_OVERFLOW);
	stitch_fini(&s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stitch");
	TCase *t = tcase_create("stitch");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, any_pieces_make_one_member_of_all_of_them, 0, 3);
	tcase_add_test(t, text_of_any_length_comes_back);
	tcase_add_test(t, little_text_stays_as_it_is);
	tcase_add_test(t, what_does_not_fit_fails);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
