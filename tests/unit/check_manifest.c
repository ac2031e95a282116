#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/fragment.h"
#include "cache/manifest.h"
#include "cache/rows.h"
#include "gateway/base/limits.h"
#include "tests/unit/unit.h"

#define FIXED_BYTES 168

/* --- made-up manifests */

struct made {
	struct cache_manifest m;
	char text[200];
	uint64_t policies[50], hosts[2000], host_errors[20];
	uint32_t missing[20];
	struct cache_part_info parts[100];
};

static size_t
make_ascending(struct unit_random *r, uint64_t *list, size_t most, uint64_t widest)
{
	size_t count = unit_below(r, most + 1);
	uint64_t v = unit_next(r) % widest;
	for (size_t i = 0; i < count; i++) {
		list[i] = v;
		v += 1 + unit_next(r) % widest;
	}
	return count;
}

static void
make_parts(struct unit_random *r, struct made *made)
{
	struct cache_manifest *m = &made->m;
	m->part_count = unit_below(r, ARRAY_LEN(made->parts) + 1);
	for (size_t i = 0; i < m->part_count; i++) {
		made->parts[i] = (struct cache_part_info){
		    .call = (uint32_t)(3 * i + unit_below(r, 3)),
		    .attempt = (uint32_t)unit_below(r, 4),
		    .records = unit_next(r) >> (20 + unit_below(r, 44)),
		    .body_bytes = unit_next(r) >> (20 + unit_below(r, 44)),
		};
		m->records += made->parts[i].records;
		m->body_bytes += made->parts[i].body_bytes;
	}
}

static void
make(struct unit_random *r, struct made *made)
{
	uint64_t missing[ARRAY_LEN(made->missing)];
	*made = (struct made){0};
	struct cache_manifest *m = &made->m;
	m->id = unit_next(r);
	for (size_t i = 0; i < sizeof m->digest; i++)
		m->digest[i] = (uint8_t)unit_next(r);
	m->text_len = unit_below(r, sizeof made->text);
	memset(made->text, 'x', m->text_len);
	m->text = made->text;
	m->fetched_at_ms = (int64_t)unit_next(r);
	m->published_at_ms = 1;
	m->fresh_until_ms = 2;
	m->stale_until_ms = 3;
	m->keep_until_ms = INT64_MAX;
	snprintf(m->version, sizeof m->version, "%u.0", (unsigned)unit_below(r, 10));
	m->complete = unit_below(r, 2) == 1;
	m->calls = (uint32_t)unit_next(r);
	m->batches = (uint32_t)unit_next(r);
	m->hosts_asked = unit_next(r);
	m->hosts_seen = unit_next(r);
	m->policies = made->policies;
	m->policy_count = make_ascending(r, made->policies, ARRAY_LEN(made->policies), UINT32_MAX);
	m->hosts = made->hosts;
	m->host_count = make_ascending(r, made->hosts, ARRAY_LEN(made->hosts), UINT64_MAX >> 12);
	m->host_errors = made->host_errors;
	m->host_error_count = make_ascending(r, made->host_errors, ARRAY_LEN(made->host_errors), 9);
	m->missing_batches = made->missing;
	m->missing_batch_count = make_ascending(r, missing, ARRAY_LEN(missing), UINT32_MAX / 40);
	for (size_t i = 0; i < m->missing_batch_count; i++)
		made->missing[i] = (uint32_t)missing[i];
	m->parts = made->parts;
	make_parts(r, made);
}

static bool
same_bytes(const void *a, const void *b, size_t len)
{
	return len == 0 || memcmp(a, b, len) == 0;
}

static void
assert_same(const struct cache_manifest *a, const struct cache_manifest *b)
{
	ck_assert_uint_eq(a->id, b->id);
	ck_assert(same_bytes(a->digest, b->digest, sizeof a->digest));
	ck_assert_uint_eq(a->text_len, b->text_len);
	ck_assert(same_bytes(a->text, b->text, a->text_len));
	ck_assert_int_eq(a->fetched_at_ms, b->fetched_at_ms);
	ck_assert_int_eq(a->published_at_ms, b->published_at_ms);
	ck_assert_int_eq(a->fresh_until_ms, b->fresh_until_ms);
	ck_assert_int_eq(a->stale_until_ms, b->stale_until_ms);
	ck_assert_int_eq(a->keep_until_ms, b->keep_until_ms);
	ck_assert_str_eq(a->version, b->version);
	ck_assert(a->complete == b->complete);
	ck_assert_uint_eq(a->calls, b->calls);
	ck_assert_uint_eq(a->batches, b->batches);
	ck_assert_uint_eq(a->hosts_asked, b->hosts_asked);
	ck_assert_uint_eq(a->hosts_seen, b->hosts_seen);
	ck_assert_uint_eq(a->records, b->records);
	ck_assert_uint_eq(a->body_bytes, b->body_bytes);
	ck_assert_uint_eq(a->policy_count, b->policy_count);
	ck_assert(same_bytes(a->policies, b->policies, a->policy_count * 8));
	ck_assert_uint_eq(a->host_count, b->host_count);
	ck_assert(same_bytes(a->hosts, b->hosts, a->host_count * 8));
	ck_assert_uint_eq(a->host_error_count, b->host_error_count);
	ck_assert(same_bytes(a->host_errors, b->host_errors, a->host_error_count * 8));
	ck_assert_uint_eq(a->missing_batch_count, b->missing_batch_count);
	ck_assert(same_bytes(a->missing_batches, b->missing_batches, a->missing_batch_count * 4));
	ck_assert_uint_eq(a->part_count, b->part_count);
	for (size_t i = 0; i < a->part_count; i++) {
		ck_assert_uint_eq(a->parts[i].call, b->parts[i].call);
		ck_assert_uint_eq(a->parts[i].attempt, b->parts[i].attempt);
		ck_assert_uint_eq(a->parts[i].records, b->parts[i].records);
		ck_assert_uint_eq(a->parts[i].body_bytes, b->parts[i].body_bytes);
	}
}

/* A heap block of exactly these bytes, so that a sanitizer sees each step beyond it. */
static enum status
decode_exact(const void *bytes, size_t len, struct cache_manifest **ret)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	memcpy(copy, bytes, len);
	enum status st = manifest_decode(copy, len, ret);
	free(copy);
	return st;
}

static void
repair_checksum(uint8_t *bytes, size_t len)
{
	bytes_put_u32(bytes + 4, codec_crc32(0, bytes + 8, len - 8));
}

/* --- manifests */

START_TEST(a_manifest_comes_back_as_it_was)
{
	struct unit_random r = {.state = unit_seed(42)};
	struct buf out;
	static struct made made;
	buf_init(&out, MANIFEST_MAX_BYTES);
	for (int i = 0; i < 300; i++) {
		struct cache_manifest *back;
		make(&r, &made);
		buf_reset(&out);
		ck_status(manifest_encode(&made.m, &out), STATUS_OK);
		ck_status(decode_exact(out.data, out.len, &back), STATUS_OK);
		assert_same(&made.m, back);
		ck_assert_uint_ge(manifest_memory(back), sizeof *back);
		free(back);
	}
	buf_fini(&out);
}
END_TEST

START_TEST(every_flipped_bit_and_every_cut_is_found)
{
	struct unit_random r = {.state = 7};
	struct buf out;
	static struct made made;
	struct cache_manifest *back;
	buf_init(&out, MANIFEST_MAX_BYTES);
	do
		make(&r, &made);
	while (made.m.host_count > 100 || made.m.part_count == 0 || made.m.policy_count == 0);
	ck_status(manifest_encode(&made.m, &out), STATUS_OK);
	for (size_t i = 0; i < out.len * 8; i++) {
		out.data[i / 8] ^= (char)(1 << i % 8);
		ck_status(decode_exact(out.data, out.len, &back), STATUS_CORRUPT);
		out.data[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t len = 0; len < out.len; len++)
		ck_status(decode_exact(out.data, len, &back), STATUS_CORRUPT);
	buf_byte(&out, 0);
	ck_status(decode_exact(out.data, out.len, &back), STATUS_CORRUPT);
	buf_fini(&out);
}
END_TEST

/* With a checksum that fits: what still decodes must be the one encoding of what it says. */
START_TEST(hostile_bytes_decode_to_their_one_encoding_or_not_at_all)
{
	struct unit_random r = {.state = unit_seed(4242)};
	struct buf out, again;
	static struct made made;
	unsigned decoded = 0;
	buf_init(&out, MANIFEST_MAX_BYTES);
	buf_init(&again, MANIFEST_MAX_BYTES);
	for (int i = 0; i < 20000; i++) {
		struct cache_manifest *back;
		if (i % 50 == 0)
			make(&r, &made);
		buf_reset(&out);
		ck_status(manifest_encode(&made.m, &out), STATUS_OK);
		uint8_t *bytes = (uint8_t *)out.data;
		for (size_t n = 0; n < 1 + unit_below(&r, 3); n++)
			bytes[8 + unit_below(&r, out.len - 8)] ^= (uint8_t)unit_next(&r);
		size_t len = unit_below(&r, 4) == 0 ? 8 + unit_below(&r, out.len - 7) : out.len;
		repair_checksum(bytes, len);
		if (decode_exact(bytes, len, &back) != STATUS_OK)
			continue;
		decoded++;
		buf_reset(&again);
		ck_status(manifest_encode(back, &again), STATUS_OK);
		ck_assert_uint_eq(again.len, len);
		ck_assert(same_bytes(again.data, bytes, len));
		free(back);
	}
	ck_assert_uint_gt(decoded, 100);
	buf_fini(&out);
	buf_fini(&again);
}
END_TEST

START_TEST(counts_cannot_ask_for_memory)
{
	/* the numbers of entries, text and parts included, stand at 140 to 163 */
	struct buf out;
	struct cache_manifest m = {.version = "5.0"}, *back;
	buf_init(&out, MANIFEST_MAX_BYTES);
	for (size_t at = 140; at < 164; at += 4) {
		buf_reset(&out);
		ck_status(manifest_encode(&m, &out), STATUS_OK);
		ck_assert_uint_eq(out.len, FIXED_BYTES);
		bytes_put_u32((uint8_t *)out.data + at, UINT32_MAX);
		repair_checksum((uint8_t *)out.data, out.len);
		ck_status(decode_exact(out.data, out.len, &back), STATUS_CORRUPT);
	}
	buf_fini(&out);
}
END_TEST

START_TEST(refuses_to_encode_what_would_not_come_back)
{
	uint64_t equal[] = {5, 5}, falling[] = {5, 4};
	uint32_t batches[] = {2, 1};
	struct cache_part_info twice[] = {{.call = 1}, {.call = 1}};
	struct cache_part_info one[] = {{.call = 1, .records = 3}};
	struct cache_manifest bad[] = {
	    {.policies = equal, .policy_count = 2},
	    {.hosts = falling, .host_count = 2},
	    {.host_errors = falling, .host_error_count = 2},
	    {.missing_batches = batches, .missing_batch_count = 2},
	    {.parts = twice, .part_count = 2},
	    {.parts = one, .part_count = 1, .records = 2},
	    {.version = {'1', '2', '3', '4', '5', '6', '7', '8'}},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf out;
		buf_init(&out, MANIFEST_MAX_BYTES);
		ck_status(manifest_encode(&bad[i], &out), STATUS_INTERNAL);
		buf_fini(&out);
	}
	struct buf small;
	buf_init(&small, 100);
	ck_status(
	    manifest_encode(&(struct cache_manifest){.version = "5.0"}, &small), STATUS_OVERFLOW);
	buf_fini(&small);
}
END_TEST

/* --- blocks of rows, and fragments */

START_TEST(a_block_comes_back_and_every_flipped_bit_is_found)
{
	struct row rows[3] = {{.id = 1}, {.id = 2, .memo_len = 2}, {.id = 3, .memo_at = 2}};
	struct data_key key = data_key(1, 2, 3, 4), other = data_key(1, 2, 3, 5);
	struct rows_block block;
	size_t len = rows_bytes(3, 2);
	uint8_t *bytes = malloc(len);
	rows_encode(bytes, &key, rows, 3, "ab", 2);
	ck_status(rows_decode(bytes, len, &key, &block), STATUS_OK);
	ck_assert_uint_eq(block.count, 3);
	ck_assert(same_bytes(block.rows, rows, sizeof rows));
	ck_assert_uint_eq(block.memo_bytes, 2);
	ck_assert(same_bytes(block.memos, "ab", 2));
	ck_status(rows_decode(bytes, len, &other, &block), STATUS_CORRUPT);
	for (size_t i = 0; i < len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_status(rows_decode(bytes, len, &key, &block), STATUS_CORRUPT);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		ck_status(rows_decode(bytes, cut, NULL, &block), STATUS_CORRUPT);
	free(bytes);
}
END_TEST

START_TEST(a_fragment_comes_back_and_every_flipped_bit_is_found)
{
	static const char content[] = "{\"a\":1},{\"a\":2}";
	struct data_key key = data_key(1, 2, 3, 4), other = data_key(2, 2, 3, 4);
	struct fragment f;
	size_t len = fragment_bytes(sizeof content);
	uint8_t *bytes = malloc(len);
	fragment_encode(
	    bytes, &key, 2, content, sizeof content, codec_crc32(0, content, sizeof content));
	ck_status(fragment_decode(bytes, len, &key, &f), STATUS_OK);
	ck_assert_uint_eq(f.count, 2);
	ck_assert_uint_eq(f.len, sizeof content);
	ck_assert(same_bytes(f.content, content, sizeof content));
	ck_status(fragment_decode(bytes, len, &other, &f), STATUS_CORRUPT);
	for (size_t i = 0; i < len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_status(fragment_decode(bytes, len, &key, &f), STATUS_CORRUPT);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		ck_status(fragment_decode(bytes, cut, NULL, &f), STATUS_CORRUPT);
	free(bytes);
}
END_TEST

START_TEST(noise_is_neither_a_block_nor_a_fragment)
{
	struct unit_random r = {.state = unit_seed(5)};
	struct rows_block block;
	struct fragment f;
	uint8_t bytes[200];
	for (int i = 0; i < 20000; i++) {
		size_t len = unit_below(&r, sizeof bytes);
		for (size_t n = 0; n < len; n++)
			bytes[n] = (uint8_t)unit_next(&r);
		if (len >= 16)
			memcpy(bytes, i % 2 == 0 ? "PGRB" : "PGFR", 4);
		if (rows_decode(bytes, len, NULL, &block) == STATUS_OK)
			ck_assert_uint_eq(rows_bytes(block.count, block.memo_bytes), len);
		if (fragment_decode(bytes, len, NULL, &f) == STATUS_OK)
			ck_assert_uint_eq(fragment_bytes(f.len), len);
	}
}
END_TEST

START_TEST(keys_sort_as_their_numbers)
{
	struct data_key keys[] = {data_key(1, 0, 0, 255), data_key(1, 0, 0, 256),
	    data_key(1, 0, 1, 0), data_key(1, 1, 0, 0), data_key(1, 256, 0, 0),
	    data_key(2, 0, 0, 0), data_key(UINT64_C(1) << 40, 0, 0, 0)};
	for (size_t i = 0; i + 1 < ARRAY_LEN(keys); i++)
		ck_assert_int_lt(memcmp(keys[i].bytes, keys[i + 1].bytes, sizeof keys[i].bytes), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("manifest");
	TCase *t = tcase_create("manifest");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_manifest_comes_back_as_it_was);
	tcase_add_test(t, every_flipped_bit_and_every_cut_is_found);
	tcase_add_test(t, hostile_bytes_decode_to_their_one_encoding_or_not_at_all);
	tcase_add_test(t, counts_cannot_ask_for_memory);
	tcase_add_test(t, refuses_to_encode_what_would_not_come_back);
	suite_add_tcase(suite, t);
	t = tcase_create("data");
	tcase_add_test(t, a_block_comes_back_and_every_flipped_bit_is_found);
	tcase_add_test(t, a_fragment_comes_back_and_every_flipped_bit_is_found);
	tcase_add_test(t, noise_is_neither_a_block_nor_a_fragment);
	tcase_add_test(t, keys_sort_as_their_numbers);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
