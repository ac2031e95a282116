/* The inflater against gzip made by zlib and by hand: whatever the library behind it, the same is
 * accepted and the same comes out, for any borders between pieces of input and of output. What the
 * deflater makes is inflated by zlib. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "gateway/base/buf.h"
#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "tests/unit/unit.h"

#define NO_CAP UINT64_MAX

/* --- making gzip */

/* Words, so that it shrinks, but not by much. */
static void
add_prose(struct buf *b, struct unit_random *r, size_t len)
{
	static const char *const words[] = {"alpha ", "status of ", "\xc3\xa9t\xc3\xa9 ",
	    "{\"id\":", "0123 ", "\n", "configuration ", "x"};
	for (size_t end = b->len + len; b->len < end && b->err == STATUS_OK;)
		buf_str_add(b, words[unit_below(r, ARRAY_LEN(words))]);
}

static void
add_deflated(struct buf *b, const void *bytes, size_t len, int level)
{
	z_stream z = {0};
	ck_assert_int_eq(
	    deflateInit2(&z, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t room = deflateBound(&z, len);
	z.next_in = (Bytef *)(uintptr_t)bytes;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)buf_room(b, room);
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_used(b, room - z.avail_out);
	deflateEnd(&z);
}

static void
add_little_endian(struct buf *b, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		buf_byte(b, (char)(value >> (8 * i)));
}

enum { F_TEXT = 1, F_HCRC = 2, F_EXTRA = 4, F_NAME = 8, F_COMMENT = 16 };

/* The header that the flags ask for; a wrong checksum in it if `spoil` is not 0. */
static void
add_header(struct buf *b, unsigned flags, unsigned spoil)
{
	size_t from = b->len;
	const char fixed[] = {0x1f, (char)0x8b, 8, (char)flags, 1, 2, 3, 4, 0, 3};
	buf_add(b, fixed, sizeof fixed);
	if ((flags & F_EXTRA) != 0)
		buf_add(b,
		    "\x05\x00"
		    "ab\0cd",
		    7);
	if ((flags & F_NAME) != 0)
		buf_add(b, "file.json", 10);
	if ((flags & F_COMMENT) != 0)
		buf_add(b, "no comment", 11);
	if ((flags & F_HCRC) != 0)
		add_little_endian(
		    b, crc32(0, (Bytef *)b->data + from, (uInt)(b->len - from)) ^ spoil, 2);
}

static void
add_trailer(struct buf *b, const void *bytes, size_t len)
{
	add_little_endian(b, crc32(0, bytes, (uInt)len), 4);
	add_little_endian(b, len, 4);
}

static void
add_member(struct buf *b, const void *bytes, size_t len, int level)
{
	add_header(b, 0, 0);
	add_deflated(b, bytes, len, level);
	add_trailer(b, bytes, len);
}

/* --- taking it apart */

/* In pieces of at most in_most bytes, into room of at most out_most, of random size if r is given. */
static enum status
inflate_pieces(const void *bytes, size_t len, size_t in_most, size_t out_most, uint64_t cap,
    struct unit_random *r, struct buf *out)
{
	struct inflater *inf = inflater_new(cap);
	const uint8_t *at = bytes;
	enum status st = STATUS_OK;
	ck_assert_ptr_nonnull(inf);
	while (len > 0 && st == STATUS_OK) {
		size_t piece = r != NULL ? 1 + unit_below(r, in_most) : in_most;
		if (piece > len)
			piece = len;
		/* a copy of its own, so that a sanitizer sees every byte read beyond */
		uint8_t *copy = malloc(piece);
		memcpy(copy, at, piece);
		const uint8_t *in = copy;
		size_t left = piece, room, made;
		do {
			room = r != NULL ? 1 + unit_below(r, out_most) : out_most;
			uint8_t *to = malloc(room);
			st = inflater_step(inf, &in, &left, to, room, &made);
			if (st == STATUS_OK)
				buf_add(out, to, made);
			free(to);
		} while (st == STATUS_OK && (left > 0 || made == room));
		free(copy);
		at += piece;
		len -= piece;
	}
	enum status end = inflater_finish(inf);
	if (st != STATUS_OK)
		ck_status(end, st);
	inflater_free(inf);
	return end;
}

static enum status
inflate_all(const void *bytes, size_t len, struct buf *out)
{
	return inflate_pieces(bytes, len, SIZE_MAX, 64 * KIB, NO_CAP, NULL, out);
}

static enum status
inflate_buf(const struct buf *b, struct buf *out)
{
	return inflate_all(b->data, b->len, out);
}

static struct buf plain, packed, out;

static void
setup(void)
{
	buf_init(&plain, 64 * MIB);
	buf_init(&packed, 64 * MIB);
	buf_init(&out, 64 * MIB);
}

static void
teardown(void)
{
	buf_fini(&plain);
	buf_fini(&packed);
	buf_fini(&out);
}

static void
expect_content(const struct buf *want)
{
	ck_assert_uint_eq(out.len, want->len);
	if (want->len > 0)
		ck_assert_mem_eq(out.data, want->data, want->len);
}

/* --- what is accepted */

START_TEST(passes_what_is_not_gzip_unchanged)
{
	static const char *const texts[] = {"", "[", "[]", "\x8b\x1f", "null", "\xef\xbb\xbf[]"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (size_t piece = 1; piece < 4; piece++) {
			buf_reset(&out);
			ck_status(inflate_pieces(
				      texts[i], strlen(texts[i]), piece, 2, NO_CAP, NULL, &out),
			    STATUS_OK);
			ck_assert_str_eq(buf_str(&out), texts[i]);
		}
}
END_TEST

START_TEST(knows_gzip_by_its_first_byte)
{
	struct inflater *inf = inflater_new(NO_CAP);
	uint8_t room[4];
	size_t made, len = 1;
	const uint8_t *in = (const uint8_t *)"\x1f";
	ck_status(inflater_step(inf, &in, &len, room, sizeof room, &made), STATUS_OK);
	ck_status(inflater_finish(inf), STATUS_UPSTREAM_BAD_DATA);
	inflater_free(inf);
	inf = inflater_new(NO_CAP);
	in = (const uint8_t *)"[";
	len = 1;
	ck_status(inflater_step(inf, &in, &len, room, sizeof room, &made), STATUS_OK);
	ck_assert_uint_eq(made, 1);
	ck_status(inflater_finish(inf), STATUS_OK);
	inflater_free(inf);
	inflater_free(NULL);
}
END_TEST

START_TEST(inflates_one_member_of_any_level)
{
	struct unit_random r = {1};
	add_prose(&plain, &r, 300000);
	for (int level = 0; level <= 9; level++) {
		buf_reset(&packed);
		buf_reset(&out);
		add_member(&packed, plain.data, plain.len, level);
		ck_status(inflate_buf(&packed, &out), STATUS_OK);
		expect_content(&plain);
	}
}
END_TEST

START_TEST(gives_the_same_for_any_borders)
{
	uint64_t seed = unit_seed(20261122);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 60; round++) {
		buf_reset(&plain);
		buf_reset(&packed);
		buf_reset(&out);
		for (size_t members = 1 + unit_below(&r, 3); members > 0; members--) {
			size_t from = plain.len;
			add_prose(&plain, &r, unit_below(&r, 200000));
			add_member(
			    &packed, plain.data + from, plain.len - from, (int)unit_below(&r, 10));
		}
		size_t in_most = (size_t)1 << unit_below(&r, 18),
		       out_most = (size_t)1 << (3 + unit_below(&r, 16));
		ck_status(
		    inflate_pieces(packed.data, packed.len, in_most, out_most, NO_CAP, &r, &out),
		    STATUS_OK);
		expect_content(&plain);
	}
}
END_TEST

START_TEST(inflates_byte_by_byte)
{
	struct unit_random r = {5};
	add_prose(&plain, &r, 70000);
	add_member(&packed, plain.data, plain.len, 6);
	ck_status(inflate_pieces(packed.data, packed.len, 1, 1, NO_CAP, NULL, &out), STATUS_OK);
	expect_content(&plain);
}
END_TEST

START_TEST(joins_members_also_empty_ones)
{
	struct unit_random r = {6};
	for (int i = 0; i < 1000; i++) {
		size_t from = plain.len;
		if (i % 3 != 0)
			add_prose(&plain, &r, unit_below(&r, 50));
		add_member(
		    &packed, plain.data != NULL ? plain.data + from : "", plain.len - from, 6);
	}
	ck_status(inflate_buf(&packed, &out), STATUS_OK);
	expect_content(&plain);
	buf_reset(&out);
	ck_status(inflate_pieces(packed.data, packed.len, 1, 7, NO_CAP, NULL, &out), STATUS_OK);
	expect_content(&plain);
}
END_TEST

START_TEST(reads_every_header_field_at_any_border)
{
	buf_str_add(&plain, "[{\"id\":1}]");
	for (unsigned flags = 0; flags < 32; flags++)
		for (size_t piece = 1; piece < 50; piece++) {
			buf_reset(&packed);
			buf_reset(&out);
			add_header(&packed, flags, 0);
			add_deflated(&packed, plain.data, plain.len, 6);
			add_trailer(&packed, plain.data, plain.len);
			ck_status(
			    inflate_pieces(packed.data, packed.len, piece, 64, NO_CAP, NULL, &out),
			    STATUS_OK);
			expect_content(&plain);
		}
}
END_TEST

START_TEST(reads_an_empty_and_the_longest_extra_field)
{
	buf_str_add(&plain, "[]");
	for (size_t len = 0; len <= 65535; len += 65535) {
		buf_reset(&packed);
		buf_reset(&out);
		add_header(&packed, 0, 0);
		packed.data[3] = F_EXTRA;
		add_little_endian(&packed, len, 2);
		for (size_t i = 0; i < len; i++)
			buf_byte(&packed, (char)i);
		add_deflated(&packed, plain.data, plain.len, 6);
		add_trailer(&packed, plain.data, plain.len);
		ck_status(inflate_buf(&packed, &out), STATUS_OK);
		expect_content(&plain);
	}
}
END_TEST

START_TEST(gives_a_gzip_inside_a_gzip_as_it_is)
{
	buf_str_add(&plain, "[]");
	struct buf inner;
	buf_init(&inner, MIB);
	add_member(&inner, plain.data, plain.len, 6);
	add_member(&packed, inner.data, inner.len, 6);
	ck_status(inflate_buf(&packed, &out), STATUS_OK);
	expect_content(&inner);
	buf_fini(&inner);
}
END_TEST

START_TEST(accepts_zero_padding_up_to_its_limit)
{
	buf_str_add(&plain, "[]");
	add_member(&packed, plain.data, plain.len, 6);
	for (size_t i = 0; i < LIMIT_INFLATE_PADDING_BYTES; i++)
		buf_byte(&packed, 0);
	ck_status(inflate_buf(&packed, &out), STATUS_OK);
	expect_content(&plain);
	buf_byte(&packed, 0);
	ck_status(inflate_buf(&packed, &out), STATUS_UPSTREAM_BAD_DATA);
}
END_TEST

/* --- what is refused */

START_TEST(refuses_every_truncation)
{
	struct unit_random r = {7};
	add_prose(&plain, &r, 3000);
	add_header(&packed, 31, 0);
	add_deflated(&packed, plain.data, plain.len, 6);
	add_trailer(&packed, plain.data, plain.len);
	size_t first = packed.len;
	add_member(&packed, plain.data, plain.len, 6);
	for (size_t len = 1; len < packed.len; len++)
		if (len != first) {
			buf_reset(&out);
			ck_status(inflate_all(packed.data, len, &out), STATUS_UPSTREAM_BAD_DATA);
		}
}
END_TEST

START_TEST(refuses_a_wrong_trailer)
{
	buf_str_add(&plain, "[{\"id\":1}]");
	add_member(&packed, plain.data, plain.len, 6);
	for (size_t at = packed.len - 8; at < packed.len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			packed.data[at] = (char)(packed.data[at] ^ (1 << bit));
			ck_status(inflate_buf(&packed, &out), STATUS_UPSTREAM_BAD_DATA);
			packed.data[at] = (char)(packed.data[at] ^ (1 << bit));
		}
	ck_status(inflate_buf(&packed, &out), STATUS_OK);
}
END_TEST

START_TEST(never_gives_other_content_for_a_flipped_bit)
{
	struct unit_random r = {8};
	add_prose(&plain, &r, 600);
	add_member(&packed, plain.data, plain.len, 6);
	for (size_t at = 0; at < packed.len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			packed.data[at] = (char)(packed.data[at] ^ (1 << bit));
			buf_reset(&out);
			enum status st = inflate_buf(&packed, &out);
			/* the first byte makes it plain text; the text flag, time, extra flags and
			 * system are nobody's concern. The other end of a repeat, or the bits that
			 * fill the last byte, may be flipped and mean the same. */
			if (at == 0)
				expect_content(&packed);
			if ((at == 3 && bit == 0) || (at >= 4 && at < 10))
				ck_status(st, STATUS_OK);
			if (at > 0 && st == STATUS_OK)
				expect_content(&plain);
			else if (at > 0)
				ck_status(st, STATUS_UPSTREAM_BAD_DATA);
			packed.data[at] = (char)(packed.data[at] ^ (1 << bit));
		}
}
END_TEST

START_TEST(refuses_what_follows_the_last_member)
{
	static const char *const tails[] = {"x", "\x1f", "\x1f\x8b", "\x1f\x8c", "[]", "\n"};
	buf_str_add(&plain, "[]");
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		buf_reset(&packed);
		add_member(&packed, plain.data, plain.len, 6);
		buf_str_add(&packed, tails[i]);
		ck_status(inflate_buf(&packed, &out), STATUS_UPSTREAM_BAD_DATA);
	}
	buf_reset(&packed);
	add_member(&packed, plain.data, plain.len, 6);
	buf_byte(&packed, 0);
	add_member(&packed, plain.data, plain.len, 6);
	ck_status(inflate_buf(&packed, &out), STATUS_UPSTREAM_BAD_DATA);
}
END_TEST

START_TEST(refuses_a_header_that_is_wrong)
{
	buf_str_add(&plain, "[]");
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {{1, 0x8a}, {2, 7}, {2, 9}, {3, 0x20}, {3, 0x40}, {3, 0x80}};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		buf_reset(&packed);
		add_member(&packed, plain.data, plain.len, 6);
		packed.data[wrong[i].at] = (char)wrong[i].value;
		ck_status(inflate_buf(&packed, &out), STATUS_UPSTREAM_BAD_DATA);
	}
	for (unsigned spoil = 1; spoil < 0x10000; spoil <<= 1) {
		buf_reset(&packed);
		add_header(&packed, F_HCRC | F_NAME, spoil);
		add_deflated(&packed, plain.data, plain.len, 6);
		add_trailer(&packed, plain.data, plain.len);
		ck_status(inflate_buf(&packed, &out), STATUS_UPSTREAM_BAD_DATA);
	}
}
END_TEST

START_TEST(agrees_with_zlib_on_damaged_streams)
{
	uint64_t seed = unit_seed(31337);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	uint8_t room[20000];
	for (int round = 0; round < 4000; round++) {
		buf_reset(&plain);
		buf_reset(&packed);
		buf_reset(&out);
		add_prose(&plain, &r, unit_below(&r, 2000));
		add_member(&packed, plain.data != NULL ? plain.data : "", plain.len,
		    (int)unit_below(&r, 10));
		for (size_t flips = unit_below(&r, 3); flips > 0; flips--)
			packed.data[10 + unit_below(&r, packed.len - 10)] = (char)unit_next(&r);
		z_stream z = {.next_in = (Bytef *)packed.data,
		    .avail_in = (uInt)packed.len,
		    .next_out = room,
		    .avail_out = sizeof room};
		ck_assert_int_eq(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
		bool good = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0;
		enum status st =
		    inflate_pieces(packed.data, packed.len, 100, 300, NO_CAP, &r, &out);
		ck_status(st, good ? STATUS_OK : STATUS_UPSTREAM_BAD_DATA);
		if (good) {
			ck_assert_uint_eq(out.len, z.total_out);
			ck_assert(out.len == 0 || memcmp(out.data, room, out.len) == 0);
		}
		inflateEnd(&z);
	}
}
END_TEST

START_TEST(stays_failed)
{
	struct inflater *inf = inflater_new(NO_CAP);
	uint8_t room[64];
	size_t made = 77, len = 2;
	const uint8_t *in = (const uint8_t *)"\x1f\x00";
	ck_status(
	    inflater_step(inf, &in, &len, room, sizeof room, &made), STATUS_UPSTREAM_BAD_DATA);
	in = (const uint8_t *)"[]";
	len = 2;
	ck_status(
	    inflater_step(inf, &in, &len, room, sizeof room, &made), STATUS_UPSTREAM_BAD_DATA);
	ck_assert_uint_eq(len, 2);
	ck_assert_uint_eq(made, 77);
	ck_status(inflater_finish(inf), STATUS_UPSTREAM_BAD_DATA);
	inflater_free(inf);
}
END_TEST

/* --- caps */

START_TEST(stops_at_the_cap_on_content)
{
	struct unit_random r = {9};
	add_prose(&plain, &r, 50000);
	add_member(&packed, plain.data, plain.len, 6);
	for (size_t piece = 1; piece < 100000; piece *= 10) {
		buf_reset(&out);
		ck_status(
		    inflate_pieces(packed.data, packed.len, piece, 999, plain.len, NULL, &out),
		    STATUS_OK);
		ck_status(
		    inflate_pieces(packed.data, packed.len, piece, 999, plain.len - 1, NULL, &out),
		    STATUS_UPSTREAM_TOO_LARGE);
	}
	ck_status(inflate_pieces("[]", 2, 1, 9, 2, NULL, &out), STATUS_OK);
	ck_status(inflate_pieces("[]", 2, 1, 9, 1, NULL, &out), STATUS_UPSTREAM_TOO_LARGE);
}
END_TEST

START_TEST(stops_at_a_ratio_that_only_bombs_have)
{
	/* up to a MiB anything goes */
	char *zeros = buf_room(&plain, 8 * MIB);
	memset(zeros, 0, 8 * MIB);
	add_member(&packed, zeros, MIB, 9);
	ck_status(inflate_buf(&packed, &out), STATUS_OK);
	ck_assert_uint_eq(out.len, MIB);
	for (size_t piece = 1; piece <= 1000; piece *= 10) {
		buf_reset(&packed);
		buf_reset(&out);
		add_member(&packed, zeros, 8 * MIB, 9);
		ck_status(
		    inflate_pieces(packed.data, packed.len, piece, 64 * KIB, NO_CAP, NULL, &out),
		    STATUS_UPSTREAM_TOO_LARGE);
		ck_assert_uint_le(out.len, 2 * MIB);
	}
}
END_TEST

/* --- out */

/* What is given to a deflater, and whoever inflates what it has made so far. */
struct deflation {
	struct deflater *d;
	z_stream z;
	size_t inflated; /* bytes of `packed` */
	bool ended;
};

static void
deflation_begin(struct deflation *x)
{
	*x = (struct deflation){.d = deflater_new()};
	ck_assert_ptr_nonnull(x->d);
	ck_assert_int_eq(inflateInit2(&x->z, MAX_WBITS + 16), Z_OK);
	buf_reset(&plain);
	buf_reset(&packed);
	buf_reset(&out);
}

static void
deflation_fini(struct deflation *x)
{
	deflater_free(x->d);
	inflateEnd(&x->z);
}

/* What a decoder can make of all that came so far. */
static void
inflate_so_far(struct deflation *x)
{
	ck_status(packed.err, STATUS_OK);
	x->z.next_in = (Bytef *)packed.data + x->inflated;
	x->z.avail_in = (uInt)(packed.len - x->inflated);
	do {
		x->z.next_out = (Bytef *)buf_room(&out, 64 * KIB);
		ck_assert_ptr_nonnull(x->z.next_out);
		x->z.avail_out = 64 * KIB;
		int rc = inflate(&x->z, Z_NO_FLUSH);
		ck_assert(rc == Z_OK || rc == Z_BUF_ERROR || rc == Z_STREAM_END);
		x->ended = x->ended || rc == Z_STREAM_END;
		buf_used(&out, 64 * KIB - x->z.avail_out);
	} while (x->z.avail_out == 0);
	ck_assert_uint_eq(x->z.avail_in, 0);
	x->inflated = packed.len;
}

/* The bytes from `from` to the end of `plain`, from memory of their own. */
static void
deflate_from(struct deflation *x, size_t from)
{
	size_t len = plain.len - from;
	char *copy = malloc(len + 1);
	ck_assert_ptr_nonnull(copy);
	if (len > 0)
		memcpy(copy, plain.data + from, len);
	deflater_add(x->d, copy, len, &packed);
	memset(copy, 'x', len); /* it keeps no bytes of others */
	free(copy);
}

static void
flush_and_expect_all(struct deflation *x)
{
	size_t len = packed.len;
	deflater_flush(x->d, &packed);
	ck_assert_uint_gt(packed.len, len);
	inflate_so_far(x);
	ck_assert(!x->ended);
	expect_content(&plain);
}

static void
end_and_expect_one_member(struct deflation *x)
{
	deflater_end(x->d, &packed);
	inflate_so_far(x);
	ck_assert(x->ended);
	expect_content(&plain);
	buf_reset(&out);
	ck_status(inflate_buf(&packed, &out), STATUS_OK);
	expect_content(&plain);
}

static void
add_noise(struct buf *b, struct unit_random *r, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_byte(b, (char)(unit_next(r) >> 32));
}

static void
add_same(struct buf *b, struct unit_random *r, size_t len)
{
	char byte = (char)unit_next(r);
	for (size_t i = 0; i < len; i++)
		buf_byte(b, byte);
}

/* A piece of content, mostly of a few bytes, and never long for long. */
static void
add_piece(struct deflation *x, struct unit_random *r)
{
	static void (*const kinds[])(struct buf * b, struct unit_random * r, size_t len) = {
	    add_prose, add_prose, add_noise, add_same};
	static const size_t most[] = {1, 4, 50, 50, 4000, 4000, 40000, 200000};
	size_t from = plain.len;
	kinds[unit_below(r, ARRAY_LEN(kinds))](
	    &plain, r, unit_below(r, most[unit_below(r, ARRAY_LEN(most))]));
	deflate_from(x, from);
}

START_TEST(deflates_any_pieces_with_any_flushes)
{
	uint64_t seed = unit_seed(2718 + (uint64_t)_i);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 60; round++) {
		struct deflation x;
		size_t flush_every = 1 + unit_below(&r, 20);
		deflation_begin(&x);
		for (size_t n = unit_below(&r, 60); n > 0; n--)
			if (unit_below(&r, flush_every) == 0)
				flush_and_expect_all(&x);
			else
				add_piece(&x, &r);
		end_and_expect_one_member(&x);
		deflation_fini(&x);
	}
}
END_TEST

/* The room that a library is given at once may be full to its last byte. */
START_TEST(deflates_what_fills_its_room_to_any_byte)
{
	struct unit_random r = {12};
	for (size_t len = 64 * KIB - 60; len < 64 * KIB + 10; len++) {
		struct deflation x;
		deflation_begin(&x);
		add_noise(&plain, &r, len);
		deflate_from(&x, 0);
		if (len % 2 == 0)
			flush_and_expect_all(&x);
		end_and_expect_one_member(&x);
		deflation_fini(&x);
	}
}
END_TEST

START_TEST(no_content_is_a_member_too)
{
	for (int flushes = 0; flushes < 4; flushes++) {
		struct deflation x;
		deflation_begin(&x);
		for (int i = 0; i < flushes; i++) {
			deflater_add(x.d, "", 0, &packed);
			flush_and_expect_all(&x);
		}
		end_and_expect_one_member(&x);
		deflation_fini(&x);
	}
	deflater_free(NULL);
}
END_TEST

/* A flush where nothing is held back keeps a connection alive: it has to be bytes, few of them, and
 * none of content. */
START_TEST(a_flush_of_nothing_is_a_few_bytes_of_no_content)
{
	struct unit_random r = {13};
	struct deflation x;
	deflation_begin(&x);
	for (int i = 0; i < 200; i++) {
		size_t from = plain.len, packed_len = packed.len;
		flush_and_expect_all(&x);
		if (i == 0 || i % 5 > 0)
			ck_assert_uint_le(packed.len - packed_len, i == 0 ? 32 : 10);
		if (i % 5 == 4) {
			add_prose(&plain, &r, 900);
			deflate_from(&x, from);
		}
	}
	end_and_expect_one_member(&x);
	deflation_fini(&x);
}
END_TEST

START_TEST(deflating_makes_it_smaller)
{
	struct unit_random r = {14};
	struct deflation x;
	deflation_begin(&x);
	for (int i = 0; i < 2000; i++) {
		size_t from = plain.len;
		add_prose(&plain, &r, 700);
		deflate_from(&x, from);
	}
	end_and_expect_one_member(&x);
	ck_assert_uint_lt(packed.len, plain.len / 4);
	deflation_fini(&x);
}
END_TEST

START_TEST(a_buffer_that_is_full_says_so)
{
	struct unit_random r = {15};
	struct deflater *d = deflater_new();
	struct buf small;
	ck_assert_ptr_nonnull(d);
	buf_init(&small, 100 * KIB);
	add_noise(&plain, &r, 300 * KIB);
	for (int i = 0; i < 3; i++) {
		deflater_add(d, plain.data, plain.len, &small);
		deflater_flush(d, &small);
		ck_status(small.err, STATUS_OVERFLOW);
		ck_assert_uint_le(small.len, 100 * KIB);
	}
	deflater_end(d, &small);
	ck_status(small.err, STATUS_OVERFLOW);
	deflater_free(d);
	buf_fini(&small);
}
END_TEST

/* --- checksums */

START_TEST(sums_as_gzip_does)
{
	struct unit_random r = {10};
	ck_assert_uint_eq(codec_crc32(0, "123456789", 9), 0xcbf43926);
	ck_assert_uint_eq(codec_crc32(0, "", 0), 0);
	ck_assert_uint_eq(codec_crc32(0x1234, NULL, 0), 0x1234);
	add_prose(&plain, &r, 100000);
	for (int round = 0; round < 200; round++) {
		size_t from = unit_below(&r, plain.len), len = unit_below(&r, plain.len - from + 1),
		       cut = unit_below(&r, len + 1);
		const char *at = plain.data + from;
		uint32_t want = (uint32_t)crc32(0, (const Bytef *)at, (uInt)len);
		ck_assert_uint_eq(codec_crc32(0, at, len), want);
		uint32_t before = codec_crc32(0, at, cut);
		ck_assert_uint_eq(codec_crc32(before, at + cut, len - cut), want);
		uint32_t behind = codec_crc32(0, at + cut, len - cut);
		ck_assert_uint_eq(codec_crc32_combine(before, behind, len - cut), want);
	}
}
END_TEST

/* --- runs */

/* Runs, each with what was packed before it as its history, or without. */
START_TEST(runs_make_one_stream)
{
	struct unit_random r = {unit_seed(17)};
	for (int round = 0; round < 100; round++) {
		struct packer *p = packer_new();
		ck_assert_ptr_nonnull(p);
		buf_reset(&plain);
		buf_reset(&packed);
		buf_reset(&out);
		add_header(&packed, 0, 0);
		for (size_t n = unit_below(&r, 8); n > 0; n--) {
			size_t from = plain.len, look = unit_below(&r, 3) * unit_below(&r, 50000);
			add_prose(&plain, &r, 1 + unit_below(&r, 60000));
			look = look < from ? look : from;
			packer_begin(p, plain.data + from - look, look);
			packer_add(p, plain.data + from, plain.len - from, &packed);
			packer_end(p, &packed);
		}
		packer_free(p);
		buf_add(&packed, "\3\0", 2);
		add_trailer(&packed, plain.data, plain.len);
		ck_status(inflate_buf(&packed, &out), STATUS_OK);
		expect_content(&plain);
	}
	packer_free(NULL);
}
END_TEST

START_TEST(a_history_makes_a_run_smaller)
{
	struct unit_random r = {19};
	struct packer *p = packer_new();
	add_noise(&plain, &r, CODEC_HISTORY_BYTES);
	packer_begin(p, plain.data, plain.len);
	packer_add(p, plain.data, plain.len, &packed);
	packer_end(p, &packed);
	ck_assert_uint_lt(packed.len, plain.len / 10);
	packer_free(p);
}
END_TEST

#ifdef __x86_64__
/* Which parts of the registers are in use (XGETBV with ECX 1); 0 where that cannot be asked. */
static uint32_t
registers_in_use(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || (c & bit_OSXSAVE) == 0 ||
	    !__get_cpuid_count(0xd, 1, &a, &b, &c, &d) || (a & 4) == 0)
		return 0;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
	return a;
}

START_TEST(leaves_no_vector_register_in_use)
{
	enum { UPPER_HALVES = 4 };
	struct unit_random r = {11};
	add_prose(&plain, &r, 100000);
	uint32_t crc = codec_crc32(0, plain.data, plain.len);
	uint32_t used = registers_in_use();
	ck_assert_uint_eq(used & UPPER_HALVES, 0);
	ck_assert_uint_eq(crc, (uint32_t)crc32(0, (Bytef *)plain.data, (uInt)plain.len));
	struct deflater *d = deflater_new();
	ck_assert_ptr_nonnull(d);
	deflater_add(d, plain.data, plain.len, &packed);
	used |= registers_in_use();
	deflater_flush(d, &packed);
	used |= registers_in_use();
	deflater_end(d, &packed);
	used |= registers_in_use();
	struct packer *p = packer_new();
	packer_begin(p, plain.data, 50000);
	used |= registers_in_use();
	packer_add(p, plain.data, plain.len, &packed);
	used |= registers_in_use();
	packer_end(p, &packed);
	used |= registers_in_use();
	ck_assert_uint_eq(used & UPPER_HALVES, 0);
	deflater_free(d);
	packer_free(p);
}
END_TEST
#endif

int
main(void)
{
	Suite *suite = suite_create("codec");
	TCase *tc = tcase_create("codec");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, passes_what_is_not_gzip_unchanged);
	tcase_add_test(tc, knows_gzip_by_its_first_byte);
	tcase_add_test(tc, inflates_one_member_of_any_level);
	tcase_add_test(tc, gives_the_same_for_any_borders);
	tcase_add_test(tc, inflates_byte_by_byte);
	tcase_add_test(tc, joins_members_also_empty_ones);
	tcase_add_test(tc, reads_every_header_field_at_any_border);
	tcase_add_test(tc, reads_an_empty_and_the_longest_extra_field);
	tcase_add_test(tc, gives_a_gzip_inside_a_gzip_as_it_is);
	tcase_add_test(tc, accepts_zero_padding_up_to_its_limit);
	tcase_add_test(tc, refuses_every_truncation);
	tcase_add_test(tc, refuses_a_wrong_trailer);
	tcase_add_test(tc, never_gives_other_content_for_a_flipped_bit);
	tcase_add_test(tc, refuses_what_follows_the_last_member);
	tcase_add_test(tc, refuses_a_header_that_is_wrong);
	tcase_add_test(tc, agrees_with_zlib_on_damaged_streams);
	tcase_add_test(tc, stays_failed);
	tcase_add_test(tc, stops_at_the_cap_on_content);
	tcase_add_test(tc, stops_at_a_ratio_that_only_bombs_have);
	tcase_add_loop_test(tc, deflates_any_pieces_with_any_flushes, 0, 3);
	tcase_add_test(tc, deflates_what_fills_its_room_to_any_byte);
	tcase_add_test(tc, no_content_is_a_member_too);
	tcase_add_test(tc, a_flush_of_nothing_is_a_few_bytes_of_no_content);
	tcase_add_test(tc, deflating_makes_it_smaller);
	tcase_add_test(tc, a_buffer_that_is_full_says_so);
	tcase_add_test(tc, sums_as_gzip_does);
	tcase_add_test(tc, runs_make_one_stream);
	tcase_add_test(tc, a_history_makes_a_run_smaller);
#ifdef __x86_64__
	tcase_add_test(tc, leaves_no_vector_register_in_use);
#endif
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
