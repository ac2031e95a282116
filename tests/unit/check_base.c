/* What everything stands on: buffers, arenas, UTF-8, dates, locks, text forms, statuses. */
#include "config.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/arena.h"
#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/base/crypto.h"
#include "gateway/base/digits.h"
#include "gateway/base/form.h"
#include "gateway/base/ids.h"
#include "gateway/base/limits.h"
#include "gateway/base/lock.h"
#include "gateway/base/utf8.h"
#include "tests/unit/unit.h"

/* --- buf */

START_TEST(buf_grows_to_its_maximum_and_no_further)
{
	struct buf b;
	buf_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		buf_byte(&b, 'x');
	ck_status(b.err, STATUS_OK);
	ck_assert_uint_eq(b.len, 1000);
	buf_byte(&b, 'y');
	ck_status(b.err, STATUS_OVERFLOW);
	ck_assert_uint_eq(b.len, 1000);
	ck_assert_uint_le(b.cap, 1000);
	buf_fini(&b);
}
END_TEST

START_TEST(buf_keeps_its_first_error)
{
	struct buf b;
	buf_init(&b, 4);
	buf_str_add(&b, "ab");
	buf_str_add(&b, "cde");
	buf_str_add(&b, "f");
	ck_status(b.err, STATUS_OVERFLOW);
	ck_assert_uint_eq(b.len, 2);
	ck_assert_str_eq(buf_str(&b), "");
	ck_assert_ptr_null(buf_room(&b, 1));
	buf_reset(&b);
	buf_str_add(&b, "abcd");
	ck_assert_str_eq(buf_str(&b), "abcd");
	buf_fini(&b);
}
END_TEST

START_TEST(buf_refuses_a_size_that_overflows)
{
	struct buf b;
	buf_init(&b, SIZE_MAX);
	buf_str_add(&b, "abc");
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX - 2));
	ck_status(b.err, STATUS_OVERFLOW);
	buf_fini(&b);
}
END_TEST

START_TEST(buf_is_not_moved_where_its_length_was_expected)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_expect(&b, 600);
	ck_assert_uint_eq(b.len, 0);
	const char *at = buf_room(&b, 1);
	for (int i = 0; i < 600; i++)
		buf_byte(&b, 'x');
	ck_assert_ptr_eq(b.data, at);
	buf_expect(&b, 100000); /* more than it may ever hold */
	ck_assert_uint_eq(b.cap, 1000);
	ck_assert_int_eq(b.err, STATUS_OK);
	buf_fini(&b);
}
END_TEST

START_TEST(buf_writes_numbers)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_u64(&b, 0);
	buf_byte(&b, ' ');
	buf_u64(&b, UINT64_MAX);
	buf_byte(&b, ' ');
	buf_i64(&b, INT64_MIN);
	buf_byte(&b, ' ');
	buf_i64(&b, INT64_MAX);
	buf_byte(&b, ' ');
	buf_i64(&b, -1);
	ck_assert_str_eq(
	    buf_str(&b), "0 18446744073709551615 -9223372036854775808 9223372036854775807 -1");
	buf_fini(&b);
}
END_TEST

START_TEST(buf_prints_short_and_long)
{
	struct buf b;
	char word[600];
	memset(word, 'w', sizeof word);
	word[sizeof word - 1] = '\0';
	for (size_t len = 250; len < 262; len++) {
		buf_init(&b, 10000);
		buf_printf(&b, "%.*s|%d", (int)len, word, 7);
		ck_assert_uint_eq(b.len, len + 2);
		ck_assert_str_eq(buf_str(&b) + len, "|7");
		buf_fini(&b);
	}
}
END_TEST

START_TEST(buf_writes_json_strings)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_json(&b, "a\"b\\c\n\r\t\x01\x7f/\0z", 13);
	ck_assert_str_eq(buf_str(&b), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f/\\u0000z\"");
	buf_reset(&b);
	buf_json_str(&b, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	ck_assert_str_eq(buf_str(&b), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	buf_reset(&b);
	buf_json_str(&b, "a\xff\xc3z\xed\xa0\x80");
	ck_assert_str_eq(
	    buf_str(&b), "\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_reset(&b);
	buf_json_str(&b, NULL);
	ck_assert_str_eq(buf_str(&b), "null");
	buf_fini(&b);
}
END_TEST

START_TEST(buf_ends_its_text_even_at_the_maximum)
{
	struct buf b;
	for (size_t len = 0; len < 300; len++) {
		buf_init(&b, len);
		for (size_t i = 0; i < len; i++)
			buf_byte(&b, 'x');
		ck_assert_uint_eq(strlen(buf_str(&b)), len);
		buf_fini(&b);
	}
}
END_TEST

/* --- arena */

START_TEST(arena_gives_zeroed_aligned_memory)
{
	struct arena a;
	arena_init(&a, MIB);
	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *at = arena_alloc(&a, size);
		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq((uintptr_t)at % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			if (at[i] != 0)
				ck_abort_msg("byte %zu of %zu", i, size);
		memset(at, 0xff, size);
	}
	arena_reset(&a);
	unsigned char *at = arena_alloc(&a, 100);
	for (size_t i = 0; i < 100; i++)
		ck_assert_uint_eq(at[i], 0);
	arena_fini(&a);
}
END_TEST

START_TEST(arena_stops_at_its_cap)
{
	struct arena a;
	arena_init(&a, 64 * KIB);
	ck_assert_ptr_nonnull(arena_alloc(&a, 40 * KIB));
	ck_assert_ptr_null(arena_alloc(&a, 40 * KIB));
	ck_assert(arena_failed(&a));
	ck_assert_ptr_null(arena_alloc(&a, 1));
	arena_reset(&a);
	ck_assert(!arena_failed(&a));
	ck_assert_ptr_nonnull(arena_alloc(&a, 40 * KIB));
	arena_fini(&a);
}
END_TEST

START_TEST(arena_refuses_a_size_that_overflows)
{
	struct arena a;
	arena_init(&a, SIZE_MAX);
	ck_assert_ptr_null(arena_array(&a, SIZE_MAX / 2, 3));
	ck_assert(arena_failed(&a));
	arena_reset(&a);
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	arena_reset(&a);
	ck_assert_ptr_null(arena_dup(&a, "", SIZE_MAX));
	arena_fini(&a);
}
END_TEST

START_TEST(arena_copies_and_prints)
{
	struct arena a;
	arena_init(&a, MIB);
	ck_assert_str_eq(arena_dup(&a, "abcdef", 3), "abc");
	ck_assert_str_eq(arena_dup(&a, NULL, 0), "");
	ck_assert_str_eq(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	uint64_t *numbers = arena_array(&a, 1000, sizeof *numbers);
	for (size_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(numbers[i], 0);
	arena_fini(&a);
}
END_TEST

START_TEST(arena_keeps_no_more_than_one_block_between_requests)
{
	struct arena a;
	arena_init(&a, MIB);
	for (int request = 0; request < 100; request++) {
		for (int i = 0; i < 10; i++)
			ck_assert_ptr_nonnull(arena_alloc(&a, 20 * KIB));
		ck_assert_ptr_nonnull(arena_alloc(&a, 10));
		arena_reset(&a);
		ck_assert_uint_le(a.used, 16 * KIB);
	}
	arena_fini(&a);
}
END_TEST

/* --- UTF-8 */

/* From the definition: decode, then see that encoding gives the same bytes. */
static size_t
slow_sequence(const uint8_t *at, size_t len)
{
	for (size_t n = 1; n <= 4 && n <= len; n++) {
		uint32_t point = n == 1 ? at[0] : at[0] & (0x7fu >> n);
		char bytes[4];
		for (size_t i = 1; i < n; i++)
			point = point << 6 | (at[i] & 0x3f);
		if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000) ||
		    (n == 1 && at[0] >= 0x80))
			continue;
		if (utf8_write(point, bytes) == n && memcmp(bytes, at, n) == 0)
			return n;
	}
	return 0;
}

START_TEST(utf8_knows_every_sequence_of_two_and_three_bytes)
{
	for (uint32_t v = 0; v < 1u << 24; v += v % 7 == 0 ? 1 : 3) {
		const uint8_t bytes[] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
		if (utf8_sequence(bytes, 3) != slow_sequence(bytes, 3) ||
		    utf8_sequence(bytes, 2) != slow_sequence(bytes, 2))
			ck_abort_msg("%06x", v);
	}
}
END_TEST

START_TEST(utf8_knows_the_borders_of_four_bytes)
{
	for (unsigned a = 0xef; a < 0x100; a++)
		for (unsigned b = 0; b < 0x100; b++)
			for (unsigned c = 0x7e; c < 0xc2; c++) {
				const uint8_t bytes[] = {(uint8_t)a, (uint8_t)b, (uint8_t)c, 0x80};
				if (utf8_sequence(bytes, 4) != slow_sequence(bytes, 4))
					ck_abort_msg("%02x%02x%02x80", a, b, c);
			}
	ck_assert_uint_eq(utf8_sequence((const uint8_t *)"a", 0), 0);
	ck_assert_uint_eq(utf8_sequence((const uint8_t *)"", 1), 1);
}
END_TEST

START_TEST(utf8_tells_a_beginning_from_an_error)
{
	for (uint32_t point = 0; point < 0x110000; point += 61) {
		char bytes[4];
		if (point >= 0xd800 && point < 0xe000)
			continue;
		size_t len = utf8_write(point, bytes);
		for (size_t cut = 1; cut <= len; cut++)
			if (utf8_partial((uint8_t *)bytes, cut) != (cut < len))
				ck_abort_msg("%x at %zu", point, cut);
	}
	static const char *const wrong[] = {"\x80", "\xc0", "\xc1", "\xf5", "\xff", "\xe0\x9f",
	    "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xf0\x90\x41", "\xe2\xc2", "\xc3\x28"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		ck_assert(!utf8_partial((const uint8_t *)wrong[i], strlen(wrong[i])));
}
END_TEST

/* --- dates */

START_TEST(clock_reads_what_it_writes)
{
	uint64_t seed = unit_seed(6);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 20000; round++) {
		int64_t second = (int64_t)unit_below(&r, 253402300800), got;
		char text[CLOCK_TEXT_BYTES], want[40];
		bool date_only;
		time_t t = (time_t)second;
		struct tm tm;
		clock_text(second, text);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
		if (strcmp(text, want) != 0 || !clock_parse(text, 20, &got, &date_only) ||
		    got != second || date_only)
			ck_abort_msg("%lld: %s", (long long)second, text);
		if (!clock_parse(text, 10, &got, &date_only) || got != second - second % 86400 ||
		    !date_only)
			ck_abort_msg("%lld: %.10s", (long long)second, text);
	}
}
END_TEST

START_TEST(clock_knows_leap_years_and_borders)
{
	static const struct {
		const char *text;
		int64_t second;
	} good[] = {{"1970-01-01", 0}, {"1970-01-01T00:00:00Z", 0},
	    {"1970-12-31T23:59:59Z", 31535999}, {"2000-02-29", 951782400},
	    {"2000-03-01", 951868800}, {"2024-02-29T12:00:00Z", 1709208000},
	    {"2026-11-22T10:00:00Z", 1795341600}, {"2038-01-19T03:14:08Z", 2147483648},
	    {"2100-02-28", 4107456000}, {"2100-03-01", 4107542400},
	    {"9999-12-31T23:59:59Z", 253402300799}};
	static const char *const bad[] = {"", "1969-12-31", "0000-01-01", "2023-02-29",
	    "2100-02-29", "1900-02-28", "2024-02-30", "2024-00-01", "2024-13-01", "2024-01-00",
	    "2024-01-32", "2024-04-31", "2024-1-01", "2024-01-1", "24-01-01", "2024/01/01",
	    "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T23:59:60Z",
	    "2024-01-01 00:00:00Z", "2024-01-01t00:00:00Z", "2024-01-01T00:00:00z",
	    "2024-01-01T00:00:00", "2024-01-01T00:00:00+", "2024-01-01T00:00:00.0Z",
	    "2024-01-01T00:00:00+00:00", "2024-01-01T", "-024-01-01", "+024-01-01", "2024-01-0 ",
	    " 2024-01-01", "2024-01-01Z", "20240101", "\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa4-0"};
	int64_t second = 77;
	bool date_only = true;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(
		    !clock_parse(bad[i], strlen(bad[i]), &second, &date_only), "%s", bad[i]);
	ck_assert_int_eq(second, 77);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_msg(clock_parse(good[i].text, strlen(good[i].text), &second, &date_only),
		    "%s", good[i].text);
		ck_assert_int_eq(second, good[i].second);
		ck_assert_int_eq(date_only, strlen(good[i].text) == 10);
	}
}
END_TEST

START_TEST(clock_writes_the_nearest_year_it_can)
{
	char text[CLOCK_TEXT_BYTES], http[CLOCK_HTTP_BYTES];
	clock_text(-1, text);
	ck_assert_str_eq(text, "1970-01-01T00:00:00Z");
	clock_text(INT64_MAX, text);
	ck_assert_str_eq(text, "9999-12-31T23:59:59Z");
	clock_http_text(1795341600, http);
	ck_assert_str_eq(http, "Sun, 22 Nov 2026 10:00:00 GMT");
	clock_http_text(951782400, http);
	ck_assert_str_eq(http, "Tue, 29 Feb 2000 00:00:00 GMT");
	clock_http_text(INT64_MIN, http);
	ck_assert_str_eq(http, "Thu, 01 Jan 1970 00:00:00 GMT");
}
END_TEST

START_TEST(clock_wait_ends_at_a_time_that_is_past)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	clock_cond_init(&cond);
	pthread_mutex_lock(&mutex);
	ck_assert(!clock_wait(&cond, &mutex, -5));
	ck_assert(!clock_wait(&cond, &mutex, clock_mono_ms()));
	pthread_mutex_unlock(&mutex);
	pthread_cond_destroy(&cond);
	int64_t before = clock_mono_ms();
	ck_assert_int_ge(clock_mono_ms(), before);
	ck_assert_int_gt(clock_wall_ms(), 0);
}
END_TEST

/* --- locks. The wrong ones end the process, each in a process of its own. */

static struct lock high, low;

static void
setup_locks(void)
{
	lock_init(&high, LOCK_FLIGHT);
	lock_init(&low, LOCK_CACHE_RESULTS);
	/* what assert() says is expected, and noise */
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
}

START_TEST(lock_takes_from_above_to_below)
{
	lock_take(&high);
	lock_take(&low);
	lock_assert_held(&high);
	lock_assert_held(&low);
	lock_drop(&high); /* any order is right for dropping */
	lock_drop(&low);
	lock_take(&low);
	lock_drop(&low);
	lock_take(&high);
	lock_drop(&high);
}
END_TEST

START_TEST(lock_ends_the_process_when_taken_out_of_order)
{
	lock_take(&low);
	lock_take(&high);
}
END_TEST

START_TEST(lock_ends_the_process_when_a_class_is_taken_twice)
{
	struct lock other;
	lock_init(&other, LOCK_FLIGHT);
	lock_take(&high);
	lock_take(&other);
}
END_TEST

START_TEST(lock_ends_the_process_when_dropped_and_not_held)
{
	lock_drop(&high);
}
END_TEST

START_TEST(lock_ends_the_process_when_asserted_and_not_held)
{
	lock_assert_held(&low);
}
END_TEST

START_TEST(lock_ends_the_process_when_waiting_with_two)
{
	pthread_cond_t cond;
	clock_cond_init(&cond);
	lock_take(&high);
	lock_take(&low);
	(void)lock_wait(&low, &cond, 0);
}
END_TEST

static void *
try_held(void *arg)
{
	(void)arg;
	lock_assert_held(&high);
	return NULL;
}

START_TEST(lock_ends_the_process_when_another_thread_has_it)
{
	pthread_t thread;
	lock_take(&high);
	pthread_create(&thread, NULL, try_held, NULL);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(lock_is_held_again_after_a_wait)
{
	pthread_cond_t cond;
	clock_cond_init(&cond);
	lock_take(&high);
	ck_assert(!lock_wait(&high, &cond, 0));
	lock_assert_held(&high);
	lock_drop(&high);
	pthread_cond_destroy(&cond);
	lock_fini(&high);
}
END_TEST

/* --- text forms of bytes */

static void
setup_crypto(void)
{
	ck_status(crypto_init(), STATUS_OK);
}

START_TEST(base64_has_one_spelling_for_each_value)
{
	uint64_t seed = unit_seed(7);
	struct unit_random r = {seed};
	uint8_t bytes[64], got[64];
	char text[CRYPTO_BASE64_BYTES(64)];
	for (size_t len = 1; len <= sizeof bytes; len++) {
		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)unit_next(&r);
		crypto_base64(bytes, len, text, sizeof text);
		size_t text_len = strlen(text);
		ck_assert_uint_eq(text_len + 1, CRYPTO_BASE64_BYTES(len));
		ck_assert(crypto_unbase64(text, text_len, got, len));
		ck_assert_mem_eq(got, bytes, len);
		ck_assert(!crypto_unbase64(text, text_len, got, len - 1));
		ck_assert(!crypto_unbase64(text, text_len - 1, got, len));
		/* every other character in the last place but its own is another value or none */
		char last = text[text_len - 1];
		for (int c = 1; c < 256; c++) {
			text[text_len - 1] = (char)c;
			bool same = crypto_unbase64(text, text_len, got, len) &&
				    memcmp(got, bytes, len) == 0;
			ck_assert_int_eq(same, (char)c == last);
		}
	}
}
END_TEST

START_TEST(base64_refuses_padding_other_alphabets_and_space)
{
	uint8_t got[8];
	ck_assert(crypto_unbase64("-_8", 3, got, 2));
	static const char *const bad[] = {
	    "+/8", "-_8=", "-_9", " -_8", "-_8\n", "-\n_8", "-_", "", "-_8A"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!crypto_unbase64(bad[i], strlen(bad[i]), got, 2), "%s", bad[i]);
}
END_TEST

START_TEST(hex_takes_exactly_its_length)
{
	uint8_t got[4];
	char text[9];
	crypto_hex("\x00\xff\x1a\xb2", 4, text);
	ck_assert_str_eq(text, "00ff1ab2");
	ck_assert(crypto_unhex("00FF1ab2", 8, got, 4));
	ck_assert_mem_eq(got, "\x00\xff\x1a\xb2", 4);
	static const char *const bad[] = {
	    "", "00ff1ab", "00ff1ab22", "00ff1ag2", "00 f1ab2", "0x0ff1ab", "00ff1ab2 "};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!crypto_unhex(bad[i], strlen(bad[i]), got, 4), "%s", bad[i]);
}
END_TEST

START_TEST(crypto_gives_the_published_values)
{
	uint8_t digest[SHA256_BYTES], key[SHA256_BYTES] = {0};
	char text[2 * SHA256_BYTES + 1];
	crypto_sha256("abc", 3, digest);
	crypto_hex(digest, sizeof digest, text);
	ck_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	/* RFC 4231 case 1: zeros behind a key of 20 bytes change nothing */
	memset(key, 0x0b, 20);
	crypto_hmac(key, "Hi There", 8, digest);
	crypto_hex(digest, sizeof digest, text);
	ck_assert_str_eq(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	/* of Python's hashlib.blake2b(key=…, digest_size=32), the key 0 to 31 */
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	crypto_mac(key, "a page, and which", 17, digest);
	crypto_hex(digest, sizeof digest, text);
	ck_assert_str_eq(text, "fd00ef443318b60c50b7f5198b6a0405c8c467f3214cfb53dd6f343e5322e455");
	ck_assert(crypto_equal("abc", "abc", 3));
	ck_assert(!crypto_equal("abc", "abd", 3));
	char *secret = crypto_secret_new(16);
	ck_assert_ptr_nonnull(secret);
	memset(secret, 'x', 16);
	crypto_secret_free(secret);
	crypto_secret_free(NULL);
}
END_TEST

/* --- lists of IDs */

START_TEST(ids_are_sorted_without_duplicates)
{
	uint64_t ids[] = {5, INT64_MAX, 1, 5, 5, 2, 1};
	ck_assert_uint_eq(ids_sort(ids, ARRAY_LEN(ids)), 4);
	const uint64_t want[] = {1, 2, 5, INT64_MAX};
	ck_assert_mem_eq(ids, want, sizeof want);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(ids_find(ids, 4, want[i]), i);
	ck_assert_uint_eq(ids_find(ids, 4, 3), 4);
	ck_assert_uint_eq(ids_find(ids, 0, 1), 0);
	ck_assert_uint_eq(ids_sort(ids, 0), 0);
}
END_TEST

START_TEST(digits_are_a_number_of_one_spelling)
{
	static const struct {
		const char *text;
		uint64_t least, most;
		bool good;
	} cases[] = {{"0", 0, 9, true}, {"10", 10, 10, true}, {"9", 10, 99, false},
	    {"11", 0, 10, false}, {"", 0, 9, false}, {"00", 0, 9, false}, {"01", 0, 9, false},
	    {"+1", 0, 9, false}, {"-1", 0, 9, false}, {" 1", 0, 9, false}, {"1 ", 0, 9, false},
	    {"1a", 0, UINT64_MAX, false}, {"18446744073709551615", 0, UINT64_MAX, true},
	    {"18446744073709551616", 0, UINT64_MAX, false},
	    {"18446744073709551620", 0, UINT64_MAX, false},
	    {"100000000000000000000", 0, UINT64_MAX, false}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = cases[i].text;
		uint64_t number = 7;
		bool good = digits_read(text, strlen(text), cases[i].least, cases[i].most, &number);
		ck_assert_msg(good == cases[i].good, "%s", text);
		ck_assert_uint_eq(number, good ? strtoull(text, NULL, 10) : 7);
	}
}
END_TEST

START_TEST(id_set_holds_each_id_once)
{
	struct unit_random r = {unit_seed(8)};
	struct id_set set = {0};
	bool there[500] = {false};
	for (int i = 0; i < 5000; i++) {
		uint64_t id = 1 + unit_below(&r, 499);
		for (size_t n = unit_below(&r, 4); n > 0; n--) {
			ck_status(id_set_add(&set, id), STATUS_OK);
			there[id] = true;
		}
	}
	id_set_settle(&set);
	size_t at = 0;
	for (uint64_t id = 1; id < 500; id++)
		if (there[id])
			ck_assert_uint_eq(set.ids[at++], id);
	ck_assert_uint_eq(set.count, at);
	id_set_fini(&set);
}
END_TEST

/* --- statuses */

START_TEST(every_status_is_told_fully)
{
	for (int i = 0; i < STATUS_COUNT; i++) {
		const struct status_info *info = status_info((enum status)i);
		ck_assert_str_ne(info->name, "");
		ck_assert_str_ne(info->title, "");
		ck_assert_msg(info->title[strlen(info->title) - 1] != '.', "%s", info->name);
		ck_assert_msg(
		    i == STATUS_OK ? info->http == 200 : info->http >= 400 && info->http < 600,
		    "%s", info->name);
		ck_assert_msg(
		    strspn(info->slug, "abcdefghijklmnopqrstuvwxyz-") == strlen(info->slug), "%s",
		    info->name);
		/* only what the upstream did can pass by itself */
		if (info->retry != RETRY_NEVER)
			ck_assert_msg(strncmp(info->name, "UPSTREAM_", 9) == 0, "%s", info->name);
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(status_info((enum status)j)->name, info->name);
	}
	ck_assert_int_eq(STATUS_OK, 0);
}
END_TEST

START_TEST(a_slug_has_one_http_status)
{
	for (int i = 0; i < STATUS_COUNT; i++)
		for (int j = 0; j < i; j++) {
			const struct status_info *a = status_info((enum status)i),
						 *b = status_info((enum status)j);
			if (*a->slug != '\0' && strcmp(a->slug, b->slug) == 0)
				ck_assert_msg(a->http == b->http, "%s and %s", a->name, b->name);
		}
}
END_TEST

START_TEST(a_status_out_of_range_is_internal)
{
	ck_assert_str_eq(status_info((enum status)STATUS_COUNT)->name, "INTERNAL");
	ck_assert_str_eq(status_info((enum status) - 1)->name, "INTERNAL");
}
END_TEST

/* --- form */

/* "name=value|name|…" of a text: what is without '=' stands without one. */
static const char *
pairs_of(const char *text)
{
	static char list[256];
	const char *at = text;
	struct form_pair pair;
	size_t len = 0;
	while (form_next(&at, text + strlen(text), &pair))
		len += (size_t)snprintf(list + len, sizeof list - len, "%s%.*s%s%.*s",
		    len > 0 ? "|" : "", (int)pair.name_len, pair.name,
		    pair.value != NULL ? "=" : "", (int)pair.value_len,
		    pair.value != NULL ? pair.value : "");
	return list;
}

START_TEST(form_has_a_pair_between_any_two_signs)
{
	ck_assert_str_eq(pairs_of("a=1&b=2"), "a=1|b=2");
	ck_assert_str_eq(pairs_of("a&b=&=c"), "a|b=|=c");
	ck_assert_str_eq(pairs_of("a=b=c"), "a=b=c");
	const char *at = "&", *end = at + 1;
	struct form_pair pair;
	for (int i = 0; i < 2; i++) {
		ck_assert(form_next(&at, end, &pair));
		ck_assert_uint_eq(pair.name_len, 0);
		ck_assert_ptr_null(pair.value);
	}
	ck_assert(!form_next(&at, end, &pair));
}
END_TEST

START_TEST(form_reads_no_escape_beyond_its_end)
{
	static const char *const bad[] = {"%", "%4", "a%4", "%4g", "%g4", "%%41", "% 41"};
	char out[16];
	size_t len;
	ck_assert(form_unescape("a%41+%7e%00", 11, out, &len));
	ck_assert_uint_eq(len, 5);
	ck_assert_mem_eq(out, "aA ~\0", 5);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!form_unescape(bad[i], strlen(bad[i]), out, &len), "%s", bad[i]);
	ck_assert(!form_unescape("%41", 2, out, &len));
	ck_assert(form_is_plain("\xc3\xa4 ~", 4));
	ck_assert(!form_is_plain("\xc2\x85", 2));
	ck_assert(!form_is_plain("a\x7f", 2));
	ck_assert(!form_is_plain("a\n", 2));
	ck_assert(!form_is_plain("\xc3", 1));
}
END_TEST

START_TEST(utf8_cuts_between_characters)
{
	static const char text[] = "ab\xe2\x82\xac";
	ck_assert_uint_eq(utf8_cut(text, 5, 5), 5);
	ck_assert_uint_eq(utf8_cut(text, 5, 4), 2);
	ck_assert_uint_eq(utf8_cut(text, 5, 3), 2);
	ck_assert_uint_eq(utf8_cut(text, 5, 2), 2);
	ck_assert_uint_eq(utf8_cut("\x80\x80\x80", 3, 2), 0);
}
END_TEST

static void
add_lock_tests(Suite *suite)
{
	TCase *tc = tcase_create("lock");
	tcase_add_checked_fixture(tc, setup_locks, NULL);
	tcase_add_test(tc, lock_takes_from_above_to_below);
	tcase_add_test(tc, lock_is_held_again_after_a_wait);
	tcase_add_test_raise_signal(tc, lock_ends_the_process_when_taken_out_of_order, SIGABRT);
	tcase_add_test_raise_signal(tc, lock_ends_the_process_when_a_class_is_taken_twice, SIGABRT);
	tcase_add_test_raise_signal(tc, lock_ends_the_process_when_dropped_and_not_held, SIGABRT);
	tcase_add_test_raise_signal(tc, lock_ends_the_process_when_asserted_and_not_held, SIGABRT);
	tcase_add_test_raise_signal(tc, lock_ends_the_process_when_waiting_with_two, SIGABRT);
	tcase_add_test_raise_signal(tc, lock_ends_the_process_when_another_thread_has_it, SIGABRT);
	suite_add_tcase(suite, tc);
}

int
main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("base");
	tcase_add_checked_fixture(tc, setup_crypto, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, buf_grows_to_its_maximum_and_no_further);
	tcase_add_test(tc, buf_keeps_its_first_error);
	tcase_add_test(tc, buf_refuses_a_size_that_overflows);
	tcase_add_test(tc, buf_is_not_moved_where_its_length_was_expected);
	tcase_add_test(tc, buf_writes_numbers);
	tcase_add_test(tc, buf_prints_short_and_long);
	tcase_add_test(tc, buf_writes_json_strings);
	tcase_add_test(tc, buf_ends_its_text_even_at_the_maximum);
	tcase_add_test(tc, arena_gives_zeroed_aligned_memory);
	tcase_add_test(tc, arena_stops_at_its_cap);
	tcase_add_test(tc, arena_refuses_a_size_that_overflows);
	tcase_add_test(tc, arena_copies_and_prints);
	tcase_add_test(tc, arena_keeps_no_more_than_one_block_between_requests);
	tcase_add_test(tc, utf8_knows_every_sequence_of_two_and_three_bytes);
	tcase_add_test(tc, utf8_knows_the_borders_of_four_bytes);
	tcase_add_test(tc, utf8_tells_a_beginning_from_an_error);
	tcase_add_test(tc, utf8_cuts_between_characters);
	tcase_add_test(tc, form_has_a_pair_between_any_two_signs);
	tcase_add_test(tc, form_reads_no_escape_beyond_its_end);
	tcase_add_test(tc, clock_reads_what_it_writes);
	tcase_add_test(tc, clock_knows_leap_years_and_borders);
	tcase_add_test(tc, clock_writes_the_nearest_year_it_can);
	tcase_add_test(tc, clock_wait_ends_at_a_time_that_is_past);
	tcase_add_test(tc, base64_has_one_spelling_for_each_value);
	tcase_add_test(tc, base64_refuses_padding_other_alphabets_and_space);
	tcase_add_test(tc, hex_takes_exactly_its_length);
	tcase_add_test(tc, crypto_gives_the_published_values);
	tcase_add_test(tc, ids_are_sorted_without_duplicates);
	tcase_add_test(tc, digits_are_a_number_of_one_spelling);
	tcase_add_test(tc, id_set_holds_each_id_once);
	tcase_add_test(tc, every_status_is_told_fully);
	tcase_add_test(tc, a_slug_has_one_http_status);
	tcase_add_test(tc, a_status_out_of_range_is_internal);
	suite_add_tcase(suite, tc);
	add_lock_tests(suite);
	return unit_run(suite);
}
