/* The sums of the old protocol's use: counting, the note of a consumer, the store, the report. */
#include "config.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "gateway/legacy/usage.h"
#include "gateway/legacy/usage_report.h"
#include "tests/unit/dir.h"
#include "tests/unit/unit.h"

#define ALICE 0
#define DAVE 1
#define LONG_NAME "a234567890123456789012345678901234567890123456789012345678901234"

static const struct settings_consumer consumers[] = {
    {.name = "alice", .key_count = 1},
    {.name = "-dave", .key_count = 1},
    {.name = LONG_NAME, .key_count = 1},
};
static const char *const params[] = {"p-old", "p-new", "p-last"};
static const char *const changes[] = {"one", "two", "three"};
static const char *const members[] = {"category subCategory", "status", " status  qds "};
static const struct usage_names names = {params, 3, changes, 3, members};

static struct access *everyone;
static struct usage *u;

static void
setup(void)
{
	ck_status(crypto_init(), STATUS_OK);
	everyone = access_new(consumers, ARRAY_LEN(consumers));
	ck_assert_ptr_nonnull(everyone);
	u = usage_new(everyone, &names);
	ck_assert_ptr_nonnull(u);
}

static void
teardown(void)
{
	usage_free(u);
	access_free(everyone);
}

/* A call of postureInfo. */
static struct usage_call
call_of(size_t consumer, unsigned version, int64_t now_s)
{
	return (struct usage_call){
	    .consumer = consumer,
	    .version = version,
	    .endpoint = USAGE_POSTURE_INFO,
	    .now_s = now_s,
	    .records = 10,
	    .bytes = 1000,
	};
}

static struct usage_row
only_row(struct usage *of, size_t consumer)
{
	struct usage_row rows[USAGE_ROWS];
	ck_assert_uint_eq(usage_rows(of, consumer, rows), 1);
	return rows[0];
}

static void
assert_same_row(const struct usage_row *a, const struct usage_row *b)
{
	ck_assert_int_eq(a->endpoint, b->endpoint);
	ck_assert_uint_eq(a->version, b->version);
	ck_assert_uint_eq(a->calls, b->calls);
	ck_assert_uint_eq(a->records, b->records);
	ck_assert_uint_eq(a->bytes, b->bytes);
	ck_assert_int_eq(a->first_s, b->first_s);
	ck_assert_int_eq(a->last_s, b->last_s);
	ck_assert_uint_eq(a->params, b->params);
	ck_assert_uint_eq(a->changes, b->changes);
}

static void
assert_same(struct usage *a, struct usage *b, size_t consumer)
{
	struct usage_row left[USAGE_ROWS], right[USAGE_ROWS];
	size_t count = usage_rows(a, consumer, left);
	ck_assert_uint_eq(count, usage_rows(b, consumer, right));
	for (size_t i = 0; i < count; i++)
		assert_same_row(&left[i], &right[i]);
}

/* --- counting */

START_TEST(sums_are_by_consumer_version_and_endpoint)
{
	struct usage_row rows[USAGE_ROWS];
	struct usage_call call = call_of(ALICE, 4, 100);
	ck_assert_uint_eq(usage_rows(u, ALICE, rows), 0);
	call.params = 1;
	call.changes = 2;
	usage_count(u, &call);
	call.now_s = 300;
	call.params = 4;
	call.changes = 1;
	usage_count(u, &call);
	call.now_s = 90; /* the clock was set back */
	usage_count(u, &call);
	call = call_of(ALICE, 0, 50);
	call.endpoint = USAGE_HOSTIDS;
	usage_count(u, &call);
	call.endpoint = USAGE_POLICY_LIST;
	usage_count(u, &call);
	call.endpoint = USAGE_AUTH;
	call.version = 3; /* of no matter */
	usage_count(u, &call);
	usage_count(u, &call);

	static const struct usage_row wanted[] = {
	    {USAGE_AUTH, 0, 2, 20, 2000, 50, 50, 0, 0},
	    {USAGE_POLICY_LIST, 0, 1, 10, 1000, 50, 50, 0, 0},
	    {USAGE_HOSTIDS, 0, 1, 10, 1000, 50, 50, 0, 0},
	    {USAGE_POSTURE_INFO, 4, 3, 30, 3000, 90, 300, 5, 3},
	};
	ck_assert_uint_eq(usage_rows(u, ALICE, rows), ARRAY_LEN(wanted));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_same_row(&rows[i], &wanted[i]);
	ck_assert_uint_eq(usage_rows(u, DAVE, rows), 0);
}
END_TEST

START_TEST(every_endpoint_of_every_version_has_a_row_of_its_own)
{
	struct usage_row rows[USAGE_ROWS];
	for (unsigned version = 0; version < VERSIONS_COUNT; version++) {
		for (int endpoint = USAGE_AUTH; endpoint < USAGE_ENDPOINTS; endpoint++) {
			struct usage_call call = call_of(DAVE, version, 1);
			call.endpoint = (enum usage_endpoint)endpoint;
			call.records = version * 10 + (unsigned)endpoint;
			usage_count(u, &call);
		}
	}
	ck_assert_uint_eq(usage_rows(u, DAVE, rows), USAGE_ROWS);
	for (size_t i = 1; i < USAGE_ROWS; i++) {
		ck_assert_uint_eq(rows[i].calls, 1);
		ck_assert_uint_eq(
		    rows[i].records, rows[i].version * 10 + (unsigned)rows[i].endpoint);
	}
	ck_assert_uint_eq(rows[0].calls, VERSIONS_COUNT);
}
END_TEST

START_TEST(a_sum_stays_at_its_greatest_value)
{
	struct usage_call call = call_of(ALICE, 0, 1);
	call.records = UINT64_MAX - 1;
	call.bytes = UINT64_MAX;
	usage_count(u, &call);
	ck_assert_uint_eq(only_row(u, ALICE).records, UINT64_MAX - 1);
	usage_count(u, &call);
	struct usage_row row = only_row(u, ALICE);
	ck_assert_uint_eq(row.records, UINT64_MAX);
	ck_assert_uint_eq(row.bytes, UINT64_MAX);
	ck_assert_uint_eq(row.calls, 2);
}
END_TEST

START_TEST(bits_without_a_name_and_times_before_1970_are_not_kept)
{
	struct usage_call call = call_of(ALICE, 0, -5);
	call.params = UINT32_MAX;
	call.changes = UINT32_C(1) << 3;
	usage_count(u, &call);
	struct usage_row row = only_row(u, ALICE);
	ck_assert_uint_eq(row.params, 7);
	ck_assert_uint_eq(row.changes, 0);
	ck_assert_int_eq(row.first_s, 0);
	ck_assert_int_eq(row.last_s, 0);
}
END_TEST

#define THREADS 4
#define CALLS 5000

static void *
count_many(void *ctx)
{
	struct usage_row rows[USAGE_ROWS];
	size_t nth = *(size_t *)ctx;
	for (int i = 0; i < CALLS; i++) {
		struct usage_call call = call_of(i % 2 == 0 ? ALICE : DAVE, 2, 1 + (int64_t)nth);
		call.params = UINT32_C(1) << (nth % 3);
		usage_count(u, &call);
		/* a row is whole whenever it is looked at */
		size_t count = usage_rows(u, ALICE, rows);
		ck_assert(count == 0 || rows[0].bytes == rows[0].calls * 1000);
	}
	return NULL;
}

START_TEST(threads_lose_no_call)
{
	pthread_t threads[THREADS];
	size_t numbers[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, &numbers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	struct usage_row row = only_row(u, ALICE);
	ck_assert_uint_eq(row.calls, THREADS * CALLS / 2);
	ck_assert_uint_eq(row.records, THREADS * CALLS / 2 * 10);
	ck_assert_int_eq(row.first_s, 1);
	ck_assert_int_eq(row.last_s, THREADS);
	ck_assert_uint_eq(row.params, 7);
	ck_assert_uint_eq(only_row(u, DAVE).calls, THREADS * CALLS / 2);
}
END_TEST

/* --- a note */

static uint8_t note[USAGE_NOTE_BYTES + 1];

/* A call of any kind. */
static void
count_random(struct unit_random *random, size_t consumer)
{
	struct usage_call call = {
	    .consumer = consumer,
	    .version = (unsigned)unit_below(random, VERSIONS_COUNT),
	    .endpoint = (enum usage_endpoint)unit_below(random, USAGE_ENDPOINTS),
	    .now_s = (int64_t)unit_below(random, INT64_MAX),
	    .records = unit_next(random) >> unit_below(random, 64),
	    .bytes = unit_next(random) >> unit_below(random, 64),
	    .params = (uint32_t)unit_next(random),
	    .changes = (uint32_t)unit_next(random),
	};
	usage_count(u, &call);
}

START_TEST(a_note_brings_back_what_was_counted)
{
	uint64_t seed = unit_seed(20261122);
	struct unit_random random = {seed};
	for (int round = 0; round < 200; round++) {
		struct usage *other = usage_new(everyone, &names);
		size_t consumer = unit_below(&random, ARRAY_LEN(consumers));
		for (size_t calls = unit_below(&random, 20); calls > 0; calls--)
			count_random(&random, consumer);
		size_t len = usage_write(u, consumer, note);
		ck_assert_uint_le(len, USAGE_NOTE_BYTES);
		ck_assert_msg(usage_read(other, consumer, note, len) == USAGE_NOTE_WHOLE,
		    "seed %" PRIu64, seed);
		assert_same(u, other, consumer);
		usage_free(other);
	}
}
END_TEST

static size_t
write_one(void)
{
	struct usage_call call = call_of(ALICE, 3, 1000);
	call.params = 5;
	call.changes = 2;
	usage_count(u, &call);
	call.endpoint = USAGE_AUTH;
	usage_count(u, &call);
	return usage_write(u, ALICE, note);
}

START_TEST(any_byte_that_is_another_makes_a_note_bad)
{
	struct usage *other = usage_new(everyone, &names);
	size_t len = write_one();
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			note[i] ^= (uint8_t)(1u << bit);
			ck_assert_msg(usage_read(other, ALICE, note, len) == USAGE_NOTE_BAD,
			    "byte %zu bit %u", i, bit);
			note[i] ^= (uint8_t)(1u << bit);
		}
	}
	for (size_t short_len = 0; short_len < len; short_len++)
		ck_assert_int_eq(usage_read(other, ALICE, note, short_len), USAGE_NOTE_BAD);
	ck_assert_int_eq(usage_read(other, ALICE, note, len + 1), USAGE_NOTE_BAD);
	struct usage_row rows[USAGE_ROWS];
	ck_assert_uint_eq(usage_rows(other, ALICE, rows), 0);
	ck_assert_int_eq(usage_read(other, ALICE, note, len), USAGE_NOTE_WHOLE);
	usage_free(other);
}
END_TEST

START_TEST(a_note_of_another_consumer_is_bad)
{
	size_t len = write_one();
	ck_assert_int_eq(usage_read(u, DAVE, note, len), USAGE_NOTE_BAD);
	struct usage_row rows[USAGE_ROWS];
	ck_assert_uint_eq(usage_rows(u, DAVE, rows), 0);
}
END_TEST

/* Changes the byte in a note whose checksum is right again. */
static enum usage_note
read_changed(size_t len, size_t byte, uint8_t value)
{
	uint8_t changed[USAGE_NOTE_BYTES];
	memcpy(changed, note, len);
	changed[byte] = value;
	uint32_t crc = codec_crc32(0, changed + 8, len - 8);
	for (size_t i = 0; i < 4; i++)
		changed[4 + i] = (uint8_t)(crc >> (8 * i));
	return usage_read(u, ALICE, changed, len);
}

START_TEST(what_no_program_writes_is_bad_whatever_its_checksum)
{
	/* name and its length, rows: /auth, then postureInfo of 4.0 */
	enum { NAME_LEN = 5, FIRST = 24 + NAME_LEN, SECOND = FIRST + USAGE_NOTE_ROW_BYTES };
	static const struct {
		size_t byte;
		uint8_t value;
	} bad[] = {
	    {0, 'Q'}, {8, 2}, {8, 0},             /* magic, version */
	    {9, NAME_LEN - 1}, {10, 1}, {10, 3},  /* lengths */
	    {11, 1}, {14, 1}, {15, 1},            /* zeros */
	    {12, 33}, {13, 33},                   /* more names than there are bits */
	    {12, 2},                              /* a parameter without a name */
	    {13, 1},                              /* a change without one */
	    {FIRST, USAGE_ENDPOINTS}, {FIRST, 3}, /* endpoints: none, without a version */
	    {FIRST + 1, 1}, {SECOND + 1, 0}, {SECOND + 1, VERSIONS_COUNT + 1}, {FIRST + 2, 1},
	    {FIRST + 3, 1}, {FIRST + 12, 1}, {FIRST + 15, 1}, {FIRST + 16, 0}, /* without a call */
	    {SECOND + 47, 0x80}, {SECOND + 55, 0x80},                          /* before 1970 */
	    {SECOND + 41, 0xff}, /* first behind last */
	};
	size_t len = write_one();
	ck_assert_int_eq(read_changed(len, SECOND + 16, 9), USAGE_NOTE_WHOLE);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(read_changed(len, bad[i].byte, bad[i].value) == USAGE_NOTE_BAD,
		    "byte %zu", bad[i].byte);
}
END_TEST

START_TEST(rows_that_do_not_ascend_are_bad)
{
	uint8_t swapped[USAGE_NOTE_BYTES];
	size_t len = write_one(), first = len - 2 * USAGE_NOTE_ROW_BYTES;
	memcpy(swapped, note, len);
	memcpy(note + first, swapped + first + USAGE_NOTE_ROW_BYTES, USAGE_NOTE_ROW_BYTES);
	memcpy(note + first + USAGE_NOTE_ROW_BYTES, swapped + first, USAGE_NOTE_ROW_BYTES);
	ck_assert_int_eq(read_changed(len, 8, 1), USAGE_NOTE_BAD);
	/* twice the same */
	memcpy(note + first, note + first + USAGE_NOTE_ROW_BYTES, USAGE_NOTE_ROW_BYTES);
	ck_assert_int_eq(read_changed(len, 8, 1), USAGE_NOTE_BAD);
}
END_TEST

START_TEST(random_bytes_are_survived)
{
	struct unit_random random = {unit_seed(7)};
	(void)write_one();
	for (int round = 0; round < 20000; round++) {
		size_t len = unit_below(&random, sizeof note);
		for (size_t i = 0; i < len; i++)
			note[i] = (uint8_t)unit_next(&random);
		(void)usage_read(u, ALICE, note, len);
		/* and some that get past the checksum */
		size_t whole = usage_write(u, ALICE, note);
		(void)read_changed(
		    whole, 8 + unit_below(&random, whole - 8), (uint8_t)unit_next(&random));
	}
}
END_TEST

START_TEST(new_names_behind_the_old_ones_keep_the_bits)
{
	static const char *const more_params[] = {"p-old", "p-new", "p-last", "p-later"};
	static const char *const more_changes[] = {"one", "two", "three", "four"};
	static const char *const more_members[] = {"", "", "", ""};
	static const struct usage_names more = {more_params, 4, more_changes, 4, more_members};
	struct usage *later = usage_new(everyone, &more);
	size_t len = write_one();
	ck_assert_int_eq(usage_read(later, ALICE, note, len), USAGE_NOTE_WHOLE);
	assert_same(u, later, ALICE);
	/* and back: what it has of the new name is not misread */
	len = usage_write(later, ALICE, note);
	ck_assert_int_eq(usage_read(u, ALICE, note, len), USAGE_NOTE_WITHOUT_BITS);
	usage_free(later);
}
END_TEST

START_TEST(names_in_another_order_drop_their_bits_and_keep_the_sums)
{
	static const char *const moved[] = {"p-new", "p-old", "p-last"};
	static const struct usage_names others = {moved, 3, changes, 3, members};
	struct usage *later = usage_new(everyone, &others);
	struct usage_row rows[USAGE_ROWS];
	size_t len = write_one();
	ck_assert_int_eq(usage_read(later, ALICE, note, len), USAGE_NOTE_WITHOUT_BITS);
	ck_assert_uint_eq(usage_rows(later, ALICE, rows), 2);
	ck_assert_uint_eq(rows[1].calls, 1);
	ck_assert_uint_eq(rows[1].params, 0);
	ck_assert_uint_eq(rows[1].changes, 2);
	usage_free(later);
}
END_TEST

/* --- the store */

#define NOW INT64_C(1790000000000)

static char dir[UNIT_DIR_BYTES];
static struct cache *cache;

static void
open_store(void)
{
	struct cache_options o = {.dir = dir, .size_bytes = 64 * MIB, .readers = 4};
	ck_status(cache_open(&o, NOW, &cache), STATUS_OK);
}

static void
setup_store(void)
{
	unit_dir_make(dir, "check_usage");
	setup();
	open_store();
}

static void
teardown_store(void)
{
	cache_close(cache);
	teardown();
	unit_dir_remove(dir);
}

/* The note of a consumer; false if it has none. */
static bool
stored(const char *name)
{
	uint8_t digest[SHA256_BYTES];
	char hex[17], note_name[CACHE_NOTE_NAME_BYTES];
	void *bytes = NULL;
	size_t len;
	crypto_sha256(name, strlen(name), digest);
	crypto_hex(digest, 8, hex);
	snprintf(note_name, sizeof note_name, "usage/%s", hex);
	bool found = cache_note_get(cache, note_name, &bytes, &len) == STATUS_OK;
	free(bytes);
	return found;
}

START_TEST(what_is_kept_outlives_a_restart)
{
	struct usage_call call = call_of(2, 1, 500);
	usage_count(u, &call);
	ck_status(usage_keep(u, cache), STATUS_OK);
	ck_assert(stored(LONG_NAME));
	ck_assert(!stored("alice"));
	cache_close(cache);
	open_store();
	struct usage *later = usage_new(everyone, &names);
	usage_restore(later, cache);
	assert_same(u, later, 2);
	/* and it goes on from there */
	usage_count(later, &call);
	ck_assert_uint_eq(only_row(later, 2).calls, 2);
	usage_free(later);
}
END_TEST

/* Puts something else in the place of the note. */
static void
spoil(const char *note_name)
{
	ck_status(cache_note_put(cache, note_name, "spoilt", 6), STATUS_OK);
}

START_TEST(nothing_is_written_for_those_who_did_not_call)
{
	/* the first 8 bytes of the SHA-256 of "alice" */
	static const char alice[] = "usage/2bd806c97f0e00af";
	struct usage_call call = call_of(ALICE, 1, 500);
	void *bytes;
	size_t len;
	ck_status(usage_keep(u, cache), STATUS_OK);
	ck_assert(!stored("alice"));
	usage_count(u, &call);
	ck_assert(!stored("alice")); /* counting writes nothing */
	ck_status(usage_keep(u, cache), STATUS_OK);
	spoil(alice);
	call.consumer = DAVE;
	usage_count(u, &call);
	ck_status(usage_keep(u, cache), STATUS_OK);
	ck_status(cache_note_get(cache, alice, &bytes, &len), STATUS_OK);
	ck_assert_uint_eq(len, 6); /* it was not written again */
	free(bytes);
}
END_TEST

START_TEST(a_spoilt_note_is_passed_over_and_then_replaced)
{
	static const char alice[] = "usage/2bd806c97f0e00af";
	struct usage_row rows[USAGE_ROWS];
	struct usage_call call = call_of(ALICE, 1, 500);
	spoil(alice);
	usage_restore(u, cache);
	ck_assert_uint_eq(usage_rows(u, ALICE, rows), 0);
	usage_count(u, &call);
	ck_status(usage_keep(u, cache), STATUS_OK);
	struct usage *later = usage_new(everyone, &names);
	usage_restore(later, cache);
	ck_assert_uint_eq(only_row(later, ALICE).calls, 1);
	usage_free(later);
}
END_TEST

/* --- the report */

static const char *const preferred[] = {"5.0"};
static const struct versions plain = {.preferred = preferred, .preferred_count = 1};
static struct buf text;

static void
setup_report(void)
{
	setup();
	buf_init(&text, MIB);
}

static void
teardown_report(void)
{
	buf_fini(&text);
	teardown();
}

static struct usage_report
report_at(const char *date)
{
	bool date_only;
	struct usage_report r = {.usage = u, .versions = &plain};
	ck_assert(clock_parse(date, strlen(date), &r.now_s, &date_only));
	return r;
}

static void
count_some(void)
{
	struct usage_call call = call_of(ALICE, 3, 1795348800);
	call.params = 5;
	call.changes = 7;
	usage_count(u, &call);
	call = call_of(DAVE, 4, 1795348800);
	usage_count(u, &call);
	call.endpoint = USAGE_AUTH;
	call.records = call.bytes = 0;
	usage_count(u, &call);
}

START_TEST(a_report_of_nothing_is_empty)
{
	struct usage_report r = report_at("2026-11-22");
	usage_report_json(&r, &text);
	ck_assert_str_eq(buf_str(&text), "{\"data\":[]}\n");
	buf_reset(&text);
	usage_report_csv(&r, &text);
	ck_assert_str_eq(buf_str(&text),
	    "consumer,version,endpoint,calls,records,bytes,firstSeen,lastSeen,endOfLife,daysLeft,"
	    "members,parameters\r\n");
}
END_TEST

START_TEST(a_report_in_json_names_everything)
{
	struct usage_report r = report_at("2026-11-22T10:00:00Z");
	count_some();
	usage_report_json(&r, &text);
	ck_assert_str_eq(buf_str(&text),
	    "{\"data\":["
	    "{\"consumer\":\"alice\",\"version\":\"4.0\",\"endpoint\":\"postureInfo\","
	    "\"calls\":1,\"records\":10,\"bytes\":1000,"
	    "\"firstSeen\":\"2026-11-22T12:00:00Z\",\"lastSeen\":\"2026-11-22T12:00:00Z\","
	    "\"endOfLife\":\"2026-11-30T23:59:59Z\",\"daysLeft\":8,"
	    "\"members\":[\"category\",\"subCategory\",\"status\",\"qds\"],"
	    "\"parameters\":[\"p-old\",\"p-last\"]},"
	    "{\"consumer\":\"-dave\",\"version\":null,\"endpoint\":\"auth\","
	    "\"calls\":1,\"records\":0,\"bytes\":0,"
	    "\"firstSeen\":\"2026-11-22T12:00:00Z\",\"lastSeen\":\"2026-11-22T12:00:00Z\","
	    "\"endOfLife\":null,\"daysLeft\":null,\"members\":[],\"parameters\":[]},"
	    "{\"consumer\":\"-dave\",\"version\":\"5.0\",\"endpoint\":\"postureInfo\","
	    "\"calls\":1,\"records\":10,\"bytes\":1000,"
	    "\"firstSeen\":\"2026-11-22T12:00:00Z\",\"lastSeen\":\"2026-11-22T12:00:00Z\","
	    "\"endOfLife\":null,\"daysLeft\":null,\"members\":[],\"parameters\":[]}"
	    "]}\n");
}
END_TEST

START_TEST(a_report_in_csv_guards_against_formulas)
{
	struct usage_report r = report_at("2026-12-02T10:00:00Z");
	count_some();
	usage_report_csv(&r, &text);
	ck_assert_str_eq(strchr(buf_str(&text), '\n') + 1,
	    "alice,4.0,postureInfo,1,10,1000,2026-11-22T12:00:00Z,2026-11-22T12:00:00Z,"
	    "2026-11-30T23:59:59Z,-2,category subCategory status qds,p-old p-last\r\n"
	    "'-dave,,auth,1,0,0,2026-11-22T12:00:00Z,2026-11-22T12:00:00Z,,,,\r\n"
	    "'-dave,5.0,postureInfo,1,10,1000,2026-11-22T12:00:00Z,2026-11-22T12:00:00Z,,,,\r\n");
}
END_TEST

START_TEST(cells_are_quoted_as_rfc_4180_has_it)
{
	static const char *const odd[] = {"=a,\"b\"", "c"};
	static const struct usage_names odd_names = {odd, 2, NULL, 0, NULL};
	struct usage *other = usage_new(everyone, &odd_names);
	struct usage_report r = report_at("2026-12-02");
	struct usage_call call = call_of(ALICE, 4, 1795348800);
	call.params = 3;
	usage_count(other, &call);
	r.usage = other;
	usage_report_csv(&r, &text);
	ck_assert_ptr_nonnull(strstr(buf_str(&text), ",\"'=a,\"\"b\"\" c\"\r\n"));
	usage_free(other);
}
END_TEST

START_TEST(days_left_are_whole_days_and_negative_when_past)
{
	static const struct {
		const char *date, *wanted;
	} dates[] = {
	    {"2026-11-29T23:59:59Z", ",1,"},
	    {"2026-11-30T00:00:00Z", ",0,"},
	    {"2026-11-30T23:59:59Z", ",0,"},
	    {"2026-12-01T00:00:00Z", ",-1,"},
	    {"2026-12-01T23:59:59Z", ",-1,"},
	    {"2026-12-02T00:00:00Z", ",-2,"},
	};
	struct usage_call call = call_of(ALICE, 3, 1795348800);
	usage_count(u, &call);
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		struct usage_report r = report_at(dates[i].date);
		buf_reset(&text);
		usage_report_csv(&r, &text);
		const char *eol = strstr(buf_str(&text), "2026-11-30T23:59:59Z");
		ck_assert_ptr_nonnull(eol);
		ck_assert_msg(strncmp(eol + 20, dates[i].wanted, strlen(dates[i].wanted)) == 0,
		    "%s: %s", dates[i].date, eol);
	}
}
END_TEST

START_TEST(the_settings_dates_are_those_of_the_report)
{
	static const struct lifecycle_entry laid_over[] = {{"postureInfo", "4.0", 86399, 172799}};
	struct versions v = plain;
	struct usage_report r = report_at("1970-01-01");
	struct usage_call call = call_of(ALICE, 3, 0);
	v.lifecycle = laid_over;
	v.lifecycle_count = 1;
	r.versions = &v;
	usage_count(u, &call);
	usage_report_json(&r, &text);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&text), "\"endOfLife\":\"1970-01-02T23:59:59Z\",\"daysLeft\":1,"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("usage");
	TCase *sums = tcase_create("sums");
	tcase_add_checked_fixture(sums, setup, teardown);
	tcase_add_test(sums, sums_are_by_consumer_version_and_endpoint);
	tcase_add_test(sums, every_endpoint_of_every_version_has_a_row_of_its_own);
	tcase_add_test(sums, a_sum_stays_at_its_greatest_value);
	tcase_add_test(sums, bits_without_a_name_and_times_before_1970_are_not_kept);
	tcase_add_test(sums, threads_lose_no_call);
	suite_add_tcase(s, sums);
	TCase *notes = tcase_create("notes");
	tcase_add_checked_fixture(notes, setup, teardown);
	tcase_add_test(notes, a_note_brings_back_what_was_counted);
	tcase_add_test(notes, any_byte_that_is_another_makes_a_note_bad);
	tcase_add_test(notes, a_note_of_another_consumer_is_bad);
	tcase_add_test(notes, what_no_program_writes_is_bad_whatever_its_checksum);
	tcase_add_test(notes, rows_that_do_not_ascend_are_bad);
	tcase_add_test(notes, random_bytes_are_survived);
	tcase_add_test(notes, new_names_behind_the_old_ones_keep_the_bits);
	tcase_add_test(notes, names_in_another_order_drop_their_bits_and_keep_the_sums);
	suite_add_tcase(s, notes);
	TCase *store = tcase_create("store");
	tcase_add_checked_fixture(store, setup_store, teardown_store);
	tcase_add_test(store, what_is_kept_outlives_a_restart);
	tcase_add_test(store, nothing_is_written_for_those_who_did_not_call);
	tcase_add_test(store, a_spoilt_note_is_passed_over_and_then_replaced);
	suite_add_tcase(s, store);
	TCase *report = tcase_create("report");
	tcase_add_checked_fixture(report, setup_report, teardown_report);
	tcase_add_test(report, a_report_of_nothing_is_empty);
	tcase_add_test(report, a_report_in_json_names_everything);
	tcase_add_test(report, a_report_in_csv_guards_against_formulas);
	tcase_add_test(report, cells_are_quoted_as_rfc_4180_has_it);
	tcase_add_test(report, days_left_are_whole_days_and_negative_when_past);
	tcase_add_test(report, the_settings_dates_are_those_of_the_report);
	suite_add_tcase(s, report);
	return unit_run(s);
}
