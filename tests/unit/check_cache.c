#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/inspect.h"
#include "cache/store.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/base/stitch.h"
#include "tests/unit/dir.h"
#include "tests/unit/inflate.h"
#include "tests/unit/unit.h"

#define MINUTE_MS ((int64_t)60 * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define NOW ((int64_t)1790000000000)
#define GRACE_MS (15 * MINUTE_MS)
#define KEEP_MS (24 * HOUR_MS)

static char dir[UNIT_DIR_BYTES];
static struct cache *cache;
static enum cache_twins twins_mode = CACHE_TWINS_INGEST;

/* --- fixture */

static struct cache_options
options(uint64_t size_bytes)
{
	return (struct cache_options){
	    .dir = dir,
	    .size_bytes = size_bytes,
	    .readers = 16,
	    .cursor_grace_ms = GRACE_MS,
	    .twins = twins_mode,
	};
}

static void
open_sized(uint64_t size_bytes)
{
	struct cache_options o = options(size_bytes);
	ck_status(cache_open(&o, NOW, &cache), STATUS_OK);
}

static void
open_store(void)
{
	open_sized(256 * MIB);
}

static void
close_store(void)
{
	cache_close(cache);
	cache = NULL;
}

static void
reopen(void)
{
	close_store();
	open_store();
}

static void
make_dir(void)
{
	unit_dir_make(dir, "check_cache");
	ck_status(crypto_init(), STATUS_OK);
	if (getenv("UNIT_LOG") != NULL)
		log_init(2, LOG_DEBUG);
}

static void
remove_dir(void)
{
	unit_dir_remove(dir);
}

static void
setup(void)
{
	make_dir();
	open_store();
}

static void
teardown(void)
{
	close_store();
	remove_dir();
}

/* --- made-up results: everything follows from (query, generation, call, attempt, number) */

struct sample {
	unsigned query, generation;
	size_t parts;
	size_t records[8];
	size_t padding;     /* bodies differ in length by up to this */
	bool noise;         /* that does not shrink */
	size_t commit_each; /* records; 0: once at the end */
	bool drop_attempt;  /* begin each call with an attempt that fails */
	int64_t keep_until_ms;
};

static uint64_t
mix(uint64_t v)
{
	v ^= v >> 33;
	v *= UINT64_C(0xff51afd7ed558ccd);
	v ^= v >> 29;
	return v * UINT64_C(0xc4ceb9fe1a85ec53);
}

static size_t
body_of(const struct sample *s, size_t call, size_t n, char *out, size_t room)
{
	uint64_t seed = mix(s->query * UINT64_C(1000003) + s->generation * UINT64_C(10007) +
			    call * UINT64_C(101) + n);
	size_t padding = s->padding == 0 ? 0 : (size_t)(seed % s->padding);
	int len = snprintf(out, room, "{\"q\":%u,\"g\":%u,\"c\":%zu,\"n\":%zu,\"x\":\"", s->query,
	    s->generation, call, n);
	size_t at = (size_t)len;
	for (size_t i = 0; i < padding && at + 3 < room; i++)
		out[at++] = (char)('a' + (s->noise ? mix(seed + i) : seed >> (i % 48)) % 26);
	out[at++] = '"';
	out[at++] = '}';
	return at;
}

static size_t
memo_of(size_t call, size_t n, uint8_t *out)
{
	size_t len = (call * 7 + n) % 5;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(n + i);
	return len;
}

static struct row
row_of(const struct sample *s, size_t call, size_t n)
{
	return (struct row){
	    .id = 1000000 * (uint64_t)s->generation + 100000 * call + n + 1,
	    .policy = s->query,
	    .host = n,
	    .evaluated = (uint32_t)n,
	    .status = ROW_PASSED,
	    .criticality = ROW_CRITICALITY_NONE,
	};
}

static _Thread_local char big_body[3 * MIB];

static enum status
add_records(struct cache_part *p, const struct sample *s, size_t call, size_t from, size_t count)
{
	uint8_t memo[8];
	enum status st = STATUS_OK;
	for (size_t n = from; n < from + count && st == STATUS_OK; n++) {
		struct row row = row_of(s, call, n);
		size_t len = body_of(s, call, n, big_body, sizeof big_body);
		st = cache_part_add(p, &row, big_body, len, memo, memo_of(call, n, memo));
		if (st == STATUS_OK && s->commit_each > 0 && (n + 1) % s->commit_each == 0)
			st = cache_part_commit(p);
	}
	return st;
}

static enum status
fail_one_attempt(struct cache_stage *stage, const struct sample *s, size_t call)
{
	struct cache_part *p;
	struct sample other = *s;
	other.generation += 5000;
	enum status st = cache_part_open(stage, (uint32_t)call, 0, &p);
	if (st != STATUS_OK)
		return st;
	st = add_records(p, &other, call, 0, s->records[call] / 2 + 1);
	if (st == STATUS_OK)
		st = cache_part_commit(p);
	cache_part_drop(p);
	return st;
}

static enum status
fill_part(
    struct cache_stage *stage, const struct sample *s, size_t call, struct cache_part_info *ret)
{
	struct cache_part *p;
	if (s->drop_attempt) {
		enum status st = fail_one_attempt(stage, s, call);
		if (st != STATUS_OK)
			return st;
	}
	enum status st = cache_part_open(stage, (uint32_t)call, s->drop_attempt ? 1 : 0, &p);
	if (st != STATUS_OK)
		return st;
	st = add_records(p, s, call, 0, s->records[call]);
	if (st == STATUS_OK)
		st = cache_part_end(p);
	*ret = cache_part_info(p);
	cache_part_close(p);
	return st;
}

struct name {
	char text[64];
	uint8_t digest[SHA256_BYTES];
};

static struct name
name_of(unsigned query)
{
	struct name n;
	snprintf(n.text, sizeof n.text, "scope=policy:%u", query);
	crypto_sha256(n.text, strlen(n.text), n.digest);
	return n;
}

static struct cache_manifest
manifest_of(const struct sample *s, const struct name *name, const struct cache_part_info *parts,
    const uint64_t *policies)
{
	struct cache_manifest m = {
	    .text = name->text,
	    .text_len = strlen(name->text),
	    .fetched_at_ms = s->generation,
	    .fresh_until_ms = NOW + HOUR_MS,
	    .stale_until_ms = NOW + 6 * HOUR_MS,
	    .keep_until_ms = s->keep_until_ms != 0 ? s->keep_until_ms : NOW + KEEP_MS,
	    .version = "5.0",
	    .complete = true,
	    .calls = (uint32_t)s->parts,
	    .policies = policies,
	    .policy_count = 2,
	    .parts = parts,
	    .part_count = s->parts,
	};
	memcpy(m.digest, name->digest, sizeof m.digest);
	return m;
}

/* Policies of a sample: its query, and 900 for all. */
static enum status
publish_at(const struct sample *s, int64_t now, struct cache_result **ret)
{
	struct cache_part_info parts[8];
	struct cache_stage *stage;
	struct name name = name_of(s->query);
	uint64_t policies[2] = {s->query, 900};
	struct cache_manifest m = manifest_of(s, &name, parts, policies);
	enum status st = cache_stage_open(cache, NULL, now, &stage);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < s->parts && st == STATUS_OK; i++)
		st = fill_part(stage, s, i, &parts[i]);
	if (st == STATUS_OK)
		st = cache_stage_publish(stage, &m, now, ret);
	if (st != STATUS_OK)
		cache_stage_abandon(stage);
	return st;
}

static uint64_t
publish(const struct sample *s)
{
	struct cache_result *r;
	ck_status(publish_at(s, NOW, &r), STATUS_OK);
	uint64_t id = cache_manifest(r)->id;
	cache_release(r);
	return id;
}

static enum status
lookup_at(unsigned query, int64_t now, struct cache_result **ret)
{
	struct name name = name_of(query);
	return cache_lookup(cache, name.digest, name.text, strlen(name.text), now, ret);
}

static enum status
lookup(unsigned query, struct cache_result **ret)
{
	return lookup_at(query, NOW, ret);
}

static bool
is_found(unsigned query)
{
	struct cache_result *r;
	enum status st = lookup(query, &r);
	if (st == STATUS_OK)
		cache_release(r);
	return st == STATUS_OK;
}

/* --- reading back: STATUS_OK only if all that came was right; aborts if anything came wrong */

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static bool
row_is(const struct row *r, const struct row *want)
{
	return r->id == want->id && r->policy == want->policy && r->host == want->host &&
	       r->evaluated == want->evaluated && r->status == want->status &&
	       r->criticality == want->criticality;
}

/* The slice is exactly the bodies of the records from n on. */
static void
compare_slice(
    const struct sample *s, size_t call, size_t n, size_t count, const char *bytes, size_t len)
{
	static _Thread_local char body[3 * MIB];
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		size_t want = body_of(s, call, n + i, body, sizeof body);
		must(at + want <= len && memcmp(bytes + at, body, want) == 0);
		at += want;
		must(i + 1 == count || bytes[at++] == ',');
	}
	must(at == len);
}

static enum status
compare_memo(struct cache_view *v, const struct cache_source *src, size_t call, size_t n)
{
	uint8_t want[8];
	const uint8_t *memo;
	size_t want_len = memo_of(call, n, want);
	struct cache_block b;
	enum status st = cache_view_block(v, src, n, &b);
	if (st != STATUS_OK)
		return st;
	memo = cache_block_memo(&b, &b.rows[0]);
	must(memo != NULL);
	must(b.rows[0].memo_len == want_len && memcmp(memo, want, want_len) == 0);
	return st;
}

static enum status
compare_bodies(struct cache_view *v, const struct cache_source *src, const struct sample *s,
    size_t call, size_t n, const struct row *rows, size_t count)
{
	enum status st = STATUS_OK;
	while (count > 0 && st == STATUS_OK) {
		const char *bytes;
		size_t len, covered;
		st = cache_view_bodies(v, src, rows, count, &bytes, &len, &covered);
		if (st != STATUS_OK)
			break;
		must(covered > 0 && covered <= count);
		compare_slice(s, call, n, covered, bytes, len);
		rows += covered;
		n += covered;
		count -= covered;
	}
	return st;
}

/* Records [from, to) of a part. */
static enum status
read_part(struct cache_view *v, const struct cache_source *src, const struct sample *s, size_t call,
    size_t from, size_t to)
{
	enum status st = STATUS_OK;
	for (size_t n = from; n < to && st == STATUS_OK;) {
		const struct row *rows;
		size_t count;
		st = cache_view_rows(v, src, n, &rows, &count);
		if (st != STATUS_OK)
			break;
		must(count > 0);
		if (count > to - n)
			count = to - n;
		for (size_t i = 0; i < count; i++) {
			struct row want = row_of(s, call, n + i);
			must(row_is(&rows[i], &want));
		}
		st = compare_bodies(v, src, s, call, n, rows, count);
		if (st == STATUS_OK)
			st = compare_memo(v, src, call, n + count - 1);
		n += count;
	}
	return st;
}

static enum status
read_result(struct cache_result *r, const struct sample *s)
{
	const struct cache_manifest *m = cache_manifest(r);
	struct cache_view *v;
	must(m->part_count == s->parts && m->fetched_at_ms == s->generation);
	enum status st = cache_view_open(cache, &v);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < m->part_count && st == STATUS_OK; i++) {
		must(m->parts[i].records == s->records[i]);
		struct cache_source src = cache_source_part(r, i);
		st = read_part(v, &src, s, i, 0, s->records[i]);
	}
	cache_view_close(v);
	return st;
}

static void
assert_reads(unsigned query, const struct sample *s)
{
	struct cache_result *r;
	ck_status(lookup(query, &r), STATUS_OK);
	ck_status(read_result(r, s), STATUS_OK);
	cache_release(r);
}

static uint64_t
entries(enum env_db db)
{
	struct cache_view *v;
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	uint64_t n = env_entries(v->txn, db);
	cache_view_close(v);
	return n;
}

static void
sweep_all(int64_t now)
{
	bool more = true;
	for (int i = 0; more; i++) {
		ck_assert_int_lt(i, 10000);
		ck_status(cache_sweep(cache, now, &more), STATUS_OK);
	}
}

static unsigned
set_aside_count(void)
{
	char command[256];
	snprintf(command, sizeof command, "ls -d %s/env.aside-* 2>/dev/null | wc -l", dir);
	FILE *f = popen(command, "r");
	unsigned n = 99;
	ck_assert_int_eq(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static struct cache_stats
stats(void)
{
	struct cache_stats s;
	cache_get_stats(cache, &s);
	return s;
}

/* ================================================================ publishing and finding */

START_TEST(a_new_store_is_empty)
{
	struct cache_result *r;
	ck_status(lookup(1, &r), STATUS_NOT_FOUND);
	ck_status(cache_get(cache, 1, NOW, &r), STATUS_NOT_FOUND);
	struct cache_stats s = stats();
	ck_assert_uint_eq(s.results, 0);
	ck_assert_uint_eq(s.stages, 0);
	ck_assert(s.writable);
	ck_assert_uint_gt(s.map_bytes, s.size_bytes);
	ck_assert_uint_gt(s.used_bytes, 0);
}
END_TEST

START_TEST(a_stage_is_invisible_until_it_is_published)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {30}};
	struct name name = name_of(1);
	struct cache_stage *stage;
	struct cache_result *r;
	struct cache_part_info info;
	uint64_t policies[2] = {1, 900};
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_assert_uint_eq(stats().stages, 1);
	ck_status(fill_part(stage, &s, 0, &info), STATUS_OK);
	ck_assert(!is_found(1));
	ck_status(cache_get(cache, cache_stage_id(stage), NOW, &r), STATUS_NOT_FOUND);

	struct cache_manifest m = manifest_of(&s, &name, &info, policies);
	uint64_t id = cache_stage_id(stage);
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_OK);
	ck_assert_uint_eq(cache_manifest(r)->id, id);
	ck_assert_uint_eq(cache_manifest(r)->records, 30);
	ck_assert_int_eq(cache_manifest(r)->published_at_ms, NOW);
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
	assert_reads(1, &s);
	ck_status(cache_get(cache, id, NOW, &r), STATUS_OK);
	cache_release(r);
	ck_assert_uint_eq(stats().stages, 0);
	ck_assert_uint_eq(stats().results, 1);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
}
END_TEST

START_TEST(an_empty_result_can_be_published)
{
	struct sample s = {.query = 3, .generation = 1, .parts = 2, .records = {0, 0}};
	struct cache_result *r;
	size_t part;
	uint64_t at;
	publish(&s);
	ck_status(lookup(3, &r), STATUS_OK);
	ck_assert(!cache_locate(r, 0, &part, &at));
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
}
END_TEST

START_TEST(refuses_to_publish_what_was_not_committed)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {5000}};
	struct name name = name_of(1);
	struct cache_stage *stage;
	struct cache_part *p;
	struct cache_result *r;
	uint64_t policies[2] = {1, 900};
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 0, &p), STATUS_OK);
	ck_status(add_records(p, &s, 0, 0, 4999), STATUS_OK);
	ck_status(cache_part_commit(p), STATUS_OK);
	ck_status(add_records(p, &s, 0, 4999, 1), STATUS_OK);
	struct cache_part_info info = cache_part_info(p);
	ck_assert_uint_eq(info.records, 5000);
	struct cache_manifest m = manifest_of(&s, &name, &info, policies);
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_INTERNAL);
	ck_assert(!is_found(1));
	ck_status(cache_part_commit(p), STATUS_OK);
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_OK);
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
	cache_part_close(p);
}
END_TEST

START_TEST(a_digest_with_another_text_is_not_found)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {1}};
	struct name name = name_of(1);
	struct cache_result *r;
	publish(&s);
	ck_status(
	    cache_lookup(cache, name.digest, "scope=policy:2", 14, NOW, &r), STATUS_NOT_FOUND);
	ck_status(cache_lookup(cache, name.digest, "", 0, NOW, &r), STATUS_NOT_FOUND);
	ck_assert(is_found(1));
}
END_TEST

START_TEST(ids_grow_even_if_the_clock_goes_back)
{
	struct cache_stage *a, *b;
	ck_status(cache_stage_open(cache, NULL, NOW, &a), STATUS_OK);
	ck_status(cache_stage_open(cache, NULL, NOW - HOUR_MS, &b), STATUS_OK);
	ck_assert_uint_gt(cache_stage_id(b), cache_stage_id(a));
	cache_stage_abandon(a);
	cache_stage_abandon(b);
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {1}};
	uint64_t id = publish(&s), dropped;
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	sweep_all(NOW);
	reopen();
	ck_status(cache_stage_open(cache, NULL, NOW - HOUR_MS, &a), STATUS_OK);
	ck_assert_uint_gt(cache_stage_id(a), id);
	cache_stage_abandon(a);
}
END_TEST

START_TEST(queries_are_remembered_until_their_time)
{
	struct name a = name_of(1), b = name_of(2);
	char *text;
	size_t len;
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_NOT_FOUND);
	ck_status(
	    cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW + HOUR_MS), STATUS_OK);
	ck_status(
	    cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW + HOUR_MS), STATUS_OK);
	ck_status(cache_query_put(cache, a.digest, b.text, strlen(b.text), NOW), STATUS_INTERNAL);
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_OK);
	ck_assert_uint_eq(len, strlen(a.text));
	ck_assert_str_eq(text, a.text);
	free(text);
	ck_assert_uint_eq(entries(ENV_EXPIRY), 1);

	sweep_all(NOW + HOUR_MS);
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_OK);
	free(text);
	ck_status(
	    cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW + 5 * HOUR_MS), STATUS_OK);
	ck_assert_uint_eq(entries(ENV_EXPIRY), 1);
	sweep_all(NOW + 4 * HOUR_MS);
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_OK);
	free(text);
	sweep_all(NOW + 8 * HOUR_MS);
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_NOT_FOUND);
	ck_assert_uint_eq(entries(ENV_QUERIES), 0);
	ck_assert_uint_eq(entries(ENV_EXPIRY), 0);
}
END_TEST

START_TEST(remembering_a_known_query_costs_no_commit)
{
	struct name a = name_of(1);
	struct cache_view *before, *after;
	ck_status(cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW), STATUS_OK);
	ck_status(cache_view_open(cache, &before), STATUS_OK);
	uint64_t used = env_used_bytes(before->txn);
	for (int i = 0; i < 50; i++)
		ck_status(cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW + i * 1000),
		    STATUS_OK);
	ck_status(cache_view_open(cache, &after), STATUS_OK);
	ck_assert_uint_eq(env_used_bytes(after->txn), used);
	ck_assert_uint_eq(entries(ENV_EXPIRY), 1);
	cache_view_close(before);
	cache_view_close(after);
}
END_TEST

START_TEST(publishing_remembers_the_query)
{
	struct sample s = {.query = 7, .generation = 1, .parts = 1, .records = {1}};
	struct name name = name_of(7);
	char *text;
	size_t len;
	publish(&s);
	ck_status(cache_query_get(cache, name.digest, &text, &len), STATUS_OK);
	ck_assert_str_eq(text, name.text);
	free(text);
}
END_TEST

struct seen {
	uint64_t ids[8];
	bool current[8];
	size_t count, stop_at;
};

static bool
note(void *ctx, const struct cache_manifest *m, bool current)
{
	struct seen *seen = ctx;
	seen->ids[seen->count] = m->id;
	seen->current[seen->count++] = current;
	return seen->count != seen->stop_at;
}

START_TEST(a_shorter_life_does_not_shorten_a_remembered_query)
{
	struct sample s = {.query = 7,
	    .generation = 1,
	    .parts = 1,
	    .records = {1},
	    .keep_until_ms = NOW + HOUR_MS};
	struct name name = name_of(7);
	char *text;
	size_t len;
	ck_status(
	    cache_query_put(cache, name.digest, name.text, strlen(name.text), NOW + 9 * HOUR_MS),
	    STATUS_OK);
	publish(&s);
	sweep_all(NOW + 8 * HOUR_MS);
	ck_assert_uint_eq(stats().results, 0);
	ck_status(cache_query_get(cache, name.digest, &text, &len), STATUS_OK);
	free(text);
}
END_TEST

START_TEST(lists_results_newest_first)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {1}};
	uint64_t a = publish(&s);
	s.query = 2;
	uint64_t b = publish(&s);
	s.query = 1;
	uint64_t d = publish(&s);
	struct seen seen = {0};
	ck_status(cache_each(cache, note, &seen), STATUS_OK);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert(seen.ids[0] == d && seen.current[0]);
	ck_assert(seen.ids[1] == b && seen.current[1]);
	ck_assert(seen.ids[2] == a && !seen.current[2]);
	seen = (struct seen){.stop_at = 2};
	ck_status(cache_each(cache, note, &seen), STATUS_OK);
	ck_assert_uint_eq(seen.count, 2);
}
END_TEST

START_TEST(results_outlive_a_restart)
{
	struct sample s = {
	    .query = 5, .generation = 2, .parts = 3, .records = {100, 0, 4100}, .padding = 200};
	uint64_t id = publish(&s);
	struct cache_result *r;
	reopen();
	assert_reads(5, &s);
	ck_status(cache_get(cache, id, NOW, &r), STATUS_OK);
	cache_release(r);
	ck_assert_uint_eq(stats().results, 1);
}
END_TEST

/* ================================================================ rows, bodies, parts */

static const struct sample shapes[] = {
    {.query = 1, .parts = 1, .records = {1}},
    {.query = 1, .parts = 1, .records = {19}, .commit_each = 1},
    {.query = 1, .parts = 1, .records = {20}, .commit_each = 1},
    {.query = 1, .parts = 1, .records = {21}, .commit_each = 1},
    {.query = 1, .parts = 1, .records = {45}, .commit_each = 20, .padding = 50},
    {.query = 1, .parts = 1, .records = {4095}, .commit_each = 700},
    {.query = 1, .parts = 1, .records = {4000}, .commit_each = 4000},
    {.query = 1, .parts = 1, .records = {4097}, .commit_each = 4095},
    {.query = 1, .parts = 1, .records = {4097}},
    {.query = 1, .parts = 1, .records = {12289}, .commit_each = 1234, .padding = 30},
    {.query = 1, .parts = 8, .records = {0, 3, 0, 0, 4097, 20, 1, 0}, .padding = 10},
    {.query = 1, .parts = 4, .records = {40, 0, 41, 5}, .commit_each = 7, .drop_attempt = true},
    {.query = 1, .parts = 1, .records = {60}, .commit_each = 9, .padding = 40000},
    {.query = 1, .parts = 2, .records = {9, 5}, .commit_each = 2, .padding = 700000},
    {.query = 1, .parts = 1, .records = {6}, .padding = 2900000},
};

START_TEST(what_was_put_in_comes_out)
{
	struct sample s = shapes[_i];
	s.generation = (unsigned)_i;
	publish(&s);
	assert_reads(1, &s);
	reopen();
	assert_reads(1, &s);
}
END_TEST

START_TEST(every_commit_tells_and_can_be_read)
{
	struct sample s = {.query = 1, .generation = 4, .parts = 1, .padding = 90};
	struct cache_stage *stage;
	struct cache_part *p;
	struct cache_view *v;
	const struct row *rows;
	size_t count;
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 3, &p), STATUS_OK);
	struct cache_source src = {.id = cache_stage_id(stage), .call = 0, .attempt = 3};
	size_t steps[] = {1, 1, 17, 1, 1, 19, 60, 3996, 1, 1, 4094, 100};
	size_t total = 0;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		ck_status(add_records(p, &s, 0, total, steps[i]), STATUS_OK);
		ck_status(cache_view_open(cache, &v), STATUS_OK);
		ck_status(cache_view_rows(v, &src, total, &rows, &count), STATUS_NOT_FOUND);
		ck_status(read_part(v, &src, &s, 0, 0, total), STATUS_OK);
		cache_view_close(v);
		ck_status(cache_part_commit(p), STATUS_OK);
		total += steps[i];
		ck_status(cache_view_open(cache, &v), STATUS_OK);
		ck_status(read_part(v, &src, &s, 0, 0, total), STATUS_OK);
		ck_status(read_part(v, &src, &s, 0, total - 1, total), STATUS_OK);
		ck_status(cache_view_rows(v, &src, total, &rows, &count), STATUS_NOT_FOUND);
		cache_view_close(v);
	}
	cache_part_close(p);
	cache_stage_abandon(stage);
}
END_TEST

START_TEST(small_commits_fill_the_same_fragments_and_blocks)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 1, .records = {4100}, .commit_each = 3};
	publish(&s);
	ck_assert_uint_eq(entries(ENV_BODIES), 205);
	ck_assert_uint_eq(entries(ENV_ROWS), 2);
}
END_TEST

struct told {
	uint64_t records;
	unsigned times;
};

static void
hear(void *ctx, uint32_t call, uint32_t attempt, uint64_t records)
{
	struct told *told = ctx;
	struct cache_stats s;
	ck_assert_uint_eq(call, 6);
	ck_assert_uint_eq(attempt, 2);
	ck_assert_uint_gt(records, told->records);
	cache_get_stats(cache, &s); /* no lock is held */
	told->records = records;
	told->times++;
}

START_TEST(large_parts_commit_by_themselves)
{
	struct told told = {0};
	struct cache_stage_events events = {.committed = hear, .ctx = &told};
	struct sample s = {.query = 1, .generation = 4, .parts = 1, .padding = 8000};
	struct cache_stage *stage;
	struct cache_part *p;
	ck_status(cache_stage_open(cache, &events, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 6, 2, &p), STATUS_OK);
	ck_status(add_records(p, &s, 6, 0, 5000), STATUS_OK);
	ck_status(cache_part_commit(p), STATUS_OK);
	ck_assert_uint_eq(told.records, 5000);
	ck_assert_uint_ge(told.times, 3);
	unsigned times = told.times;
	ck_status(cache_part_commit(p), STATUS_OK);
	ck_assert_uint_eq(told.times, times);
	cache_part_close(p);
	cache_stage_abandon(stage);
}
END_TEST

/* What is on its way to the disk needs the stage until it is there. */
START_TEST(a_stage_can_be_abandoned_while_its_records_are_written)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 1, .records = {4000}, .padding = 3000};
	struct cache_stage *stage;
	struct cache_part *p;
	for (int i = 0; i < 10; i++) {
		ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
		ck_status(cache_part_open(stage, 0, 0, &p), STATUS_OK);
		ck_status(add_records(p, &s, 0, 0, 2900), STATUS_OK);
		uint64_t id = cache_stage_id(stage);
		cache_stage_abandon(stage);
		/* it is no longer anybody's, and marked as such */
		struct id_key k = id_key(id);
		struct env_bytes v;
		struct cache_view *view;
		ck_status(cache_view_open(cache, &view), STATUS_OK);
		ck_assert(env_get(view->txn, ENV_LOOSE, k.bytes, sizeof k.bytes, &v));
		cache_view_close(view);
		cache_part_close(p);
	}
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_ROWS), 0);
}
END_TEST

START_TEST(locates_every_ordinal)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 7, .records = {0, 3, 0, 0, 5, 1, 0}};
	struct cache_result *r;
	publish(&s);
	ck_status(lookup(1, &r), STATUS_OK);
	uint64_t ordinal = 0, at;
	size_t part;
	for (size_t i = 0; i < s.parts; i++)
		for (size_t n = 0; n < s.records[i]; n++, ordinal++) {
			ck_assert(cache_locate(r, ordinal, &part, &at));
			ck_assert_uint_eq(part, i);
			ck_assert_uint_eq(at, n);
		}
	ck_assert(!cache_locate(r, ordinal, &part, &at));
	ck_assert(!cache_locate(r, UINT64_MAX, &part, &at));
	cache_release(r);
}
END_TEST

START_TEST(reads_nothing_beyond_a_part)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct cache_result *r;
	struct cache_view *v;
	const struct row *rows;
	struct cache_block block;
	size_t count;
	publish(&s);
	ck_status(lookup(1, &r), STATUS_OK);
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	struct cache_source src = cache_source_part(r, 0);
	ck_status(cache_view_rows(v, &src, 50, &rows, &count), STATUS_NOT_FOUND);
	ck_status(cache_view_rows(v, &src, 5000, &rows, &count), STATUS_NOT_FOUND);
	ck_status(cache_view_rows(v, &src, UINT64_MAX, &rows, &count), STATUS_NOT_FOUND);
	ck_status(cache_view_block(v, &src, 50, &block), STATUS_NOT_FOUND);
	src.attempt = 9;
	ck_status(cache_view_rows(v, &src, 0, &rows, &count), STATUS_NOT_FOUND);
	src.call = 9;
	ck_status(cache_view_rows(v, &src, 0, &rows, &count), STATUS_NOT_FOUND);
	struct cache_source nobodys = {.id = 12345};
	ck_status(cache_view_rows(v, &nobodys, 0, &rows, &count), STATUS_NOT_FOUND);
	cache_view_close(v);
	cache_release(r);
	ck_assert(is_found(1));
}
END_TEST

START_TEST(a_view_older_than_the_result_does_not_condemn_it)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct cache_result *r;
	struct cache_view *v;
	const struct row *rows;
	size_t count;
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	ck_status(publish_at(&s, NOW, &r), STATUS_OK);
	struct cache_source src = cache_source_part(r, 0);
	ck_status(cache_view_rows(v, &src, 0, &rows, &count), STATUS_NOT_FOUND);
	cache_view_close(v);
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
	ck_assert(is_found(1));
}
END_TEST

/* The same where the view sees the part, but not all of it. */
START_TEST(a_view_of_half_the_part_does_not_condemn_it)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct name name = name_of(1);
	struct cache_stage *stage;
	struct cache_part *p;
	struct cache_result *r;
	struct cache_view *v;
	const struct row *rows;
	size_t count;
	uint64_t policies[2] = {1, 900};
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 0, &p), STATUS_OK);
	struct cache_source staged = {.id = cache_stage_id(stage)};
	ck_status(add_records(p, &s, 0, 0, 30), STATUS_OK);
	ck_status(cache_part_commit(p), STATUS_OK);
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	ck_status(add_records(p, &s, 0, 30, 20), STATUS_OK);
	ck_status(cache_part_commit(p), STATUS_OK);
	struct cache_part_info info = cache_part_info(p);
	struct cache_manifest m = manifest_of(&s, &name, &info, policies);
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_OK);
	cache_part_close(p);
	struct cache_source src = cache_source_part(r, 0);
	ck_status(cache_view_rows(v, &src, 0, &rows, &count), STATUS_NOT_FOUND);
	ck_status(read_part(v, &staged, &s, 0, 0, 30), STATUS_OK);
	cache_view_close(v);

	/* who followed the stage can go on with it */
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	ck_status(read_part(v, &staged, &s, 0, 0, 50), STATUS_OK);
	ck_status(cache_view_rows(v, &staged, 50, &rows, &count), STATUS_NOT_FOUND);
	ck_status(cache_view_rows(v, &staged, LIMIT_ROW_BLOCK, &rows, &count), STATUS_NOT_FOUND);
	cache_view_close(v);
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
	ck_assert(is_found(1));
}
END_TEST

START_TEST(a_slice_ends_where_rows_do_not_follow_each_other)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}, .padding = 40};
	struct row picked[25];
	struct cache_result *r;
	struct cache_view *v;
	const struct row *rows;
	const char *bytes;
	size_t count, len, covered;
	publish(&s);
	ck_status(lookup(1, &r), STATUS_OK);
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	struct cache_source src = cache_source_part(r, 0);
	ck_status(cache_view_rows(v, &src, 0, &rows, &count), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(picked); i++)
		picked[i] = rows[2 * i];
	for (size_t i = 0; i < ARRAY_LEN(picked); i++) {
		ck_status(cache_view_bodies(
			      v, &src, picked + i, ARRAY_LEN(picked) - i, &bytes, &len, &covered),
		    STATUS_OK);
		ck_assert_uint_eq(covered, 1);
		compare_slice(&s, 0, 2 * i, 1, bytes, len);
	}
	ck_status(cache_view_bodies(v, &src, rows + 15, 20, &bytes, &len, &covered), STATUS_OK);
	ck_assert_uint_eq(covered, 5);
	compare_slice(&s, 0, 15, 5, bytes, len);
	cache_view_close(v);
	cache_release(r);
}
END_TEST

START_TEST(refuses_a_record_beyond_the_limits)
{
	struct cache_stage *stage;
	struct cache_part *p;
	struct row row = {.id = 1};
	char *huge = calloc(1, 2 * LIMIT_RECORD_BYTES + 1);
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 0, &p), STATUS_OK);
	ck_status(
	    cache_part_add(p, &row, huge, 2 * LIMIT_RECORD_BYTES + 1, NULL, 0), STATUS_OVERFLOW);
	ck_status(cache_part_add(p, &row, huge, 1, NULL, 0), STATUS_OVERFLOW);
	ck_status(cache_part_commit(p), STATUS_OVERFLOW);
	cache_part_close(p);
	ck_status(cache_part_open(stage, 0, 1, &p), STATUS_OK);
	ck_status(cache_part_add(p, &row, huge, 2 * LIMIT_RECORD_BYTES, huge, LIMIT_RECORD_BYTES),
	    STATUS_OK);
	cache_part_close(p);
	cache_stage_abandon(stage);
	free(huge);
}
END_TEST

/* ================================================================ generations and sweeping */

START_TEST(a_replaced_result_is_readable_by_id_until_its_grace_ends)
{
	struct sample old = {.query = 1, .generation = 1, .parts = 1, .records = {30}};
	struct sample new = {.query = 1, .generation = 2, .parts = 1, .records = {25}};
	struct cache_result *r;
	uint64_t id = publish(&old);
	publish(&new);
	assert_reads(1, &new);
	sweep_all(NOW + GRACE_MS - 1);
	ck_status(cache_get(cache, id, NOW + GRACE_MS - 1, &r), STATUS_OK);
	ck_status(read_result(r, &old), STATUS_OK);
	cache_release(r);

	/* it was used just now: its grace slides */
	sweep_all(NOW + GRACE_MS);
	sweep_all(NOW + 2 * GRACE_MS - 2);
	ck_status(cache_get(cache, id, NOW, &r), STATUS_OK);
	cache_release(r);
	sweep_all(NOW + 2 * GRACE_MS);
	ck_status(cache_get(cache, id, NOW, &r), STATUS_NOT_FOUND);
	assert_reads(1, &new);
	ck_assert_uint_eq(entries(ENV_RESULTS), 1);
	ck_assert_uint_eq(entries(ENV_ROWS), 1);
	ck_assert_uint_eq(entries(ENV_BODIES), 2);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
	ck_assert_uint_eq(entries(ENV_BY_POLICY), 2);
}
END_TEST

START_TEST(sliding_ends_at_keep_until)
{
	struct sample old = {.query = 1,
	    .generation = 1,
	    .parts = 1,
	    .records = {30},
	    .keep_until_ms = NOW + GRACE_MS + 5};
	struct sample new = {.query = 1, .generation = 2, .parts = 1, .records = {25}};
	struct cache_result *r;
	uint64_t id = publish(&old);
	publish(&new);
	ck_status(cache_get(cache, id, NOW + GRACE_MS, &r), STATUS_OK);
	cache_release(r);
	sweep_all(NOW + GRACE_MS + 4);
	ck_status(cache_get(cache, id, NOW + GRACE_MS, &r), STATUS_OK);
	cache_release(r);
	sweep_all(NOW + GRACE_MS + 5);
	ck_status(cache_get(cache, id, NOW + GRACE_MS, &r), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(a_current_result_goes_at_keep_until)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {30}};
	publish(&s);
	sweep_all(NOW + KEEP_MS - 1);
	ck_assert(is_found(1));
	sweep_all(NOW + KEEP_MS);
	ck_assert(!is_found(1));
	ck_assert_uint_eq(stats().results, 0);
	for (int db = 0; db < ENV_DB_COUNT; db++)
		ck_assert_uint_eq(entries((enum env_db)db), db == ENV_META ? 2 : 0);
}
END_TEST

START_TEST(a_held_result_stays_readable_after_its_removal)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 1, .records = {3000}, .padding = 99};
	struct cache_result *r, *again;
	uint64_t dropped;
	ck_status(publish_at(&s, NOW, &r), STATUS_OK);
	ck_status(cache_drop_policy(cache, 1, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, 1);
	ck_assert(!is_found(1));
	ck_status(cache_get(cache, cache_manifest(r)->id, NOW, &again), STATUS_NOT_FOUND);
	sweep_all(NOW + KEEP_MS);
	again = cache_ref(r);
	cache_release(r);
	sweep_all(NOW + KEEP_MS);
	ck_status(read_result(again, &s), STATUS_OK);
	ck_assert_uint_eq(stats().results, 0);
	cache_release(again);
	sweep_all(NOW + KEEP_MS);
	ck_assert_uint_eq(entries(ENV_ROWS), 0);
	ck_assert_uint_eq(entries(ENV_BODIES), 0);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
}
END_TEST

START_TEST(abandoned_stages_and_dropped_attempts_are_swept)
{
	struct sample s = {.query = 1,
	    .generation = 1,
	    .parts = 2,
	    .records = {5000, 300},
	    .padding = 4000,
	    .drop_attempt = true};
	struct sample kept = {
	    .query = 2, .generation = 1, .parts = 1, .records = {100}, .drop_attempt = true};
	struct cache_stage *stage;
	struct cache_part_info info;
	publish(&kept);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
	uint64_t rows = entries(ENV_ROWS), bodies = entries(ENV_BODIES);
	ck_assert_uint_eq(rows, 1);
	ck_assert_uint_eq(bodies, 5);
	ck_assert_uint_eq(entries(ENV_TWINS), bodies);

	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	for (size_t i = 0; i < 2; i++)
		ck_status(fill_part(stage, &s, i, &info), STATUS_OK);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_LOOSE), 1);
	uint64_t used = stats().used_bytes;
	ck_assert_uint_gt(used, 10 * MIB);
	struct cache_view *v;
	struct cache_source src = {.id = cache_stage_id(stage), .call = 1, .attempt = 1};
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	ck_status(read_part(v, &src, &s, 1, 0, 300), STATUS_OK);
	cache_view_close(v);

	cache_stage_abandon(stage);
	bool more;
	ck_status(cache_sweep(cache, NOW, &more), STATUS_OK);
	ck_assert(more); /* 10 MB go in more than one step */
	ck_assert_uint_gt(entries(ENV_BODIES), bodies);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_ROWS), rows);
	ck_assert_uint_eq(entries(ENV_BODIES), bodies);
	ck_assert_uint_eq(entries(ENV_TWINS), bodies);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
	ck_assert_uint_lt(stats().used_bytes, used / 10);
	assert_reads(2, &kept);
	reopen(); /* the lists of free pages are long enough now to have pages of their own */
	assert_reads(2, &kept);
	ck_assert_uint_eq(set_aside_count(), 0);
}
END_TEST

START_TEST(dropping_a_policy_drops_all_its_results)
{
	struct sample s = {.generation = 1, .parts = 1, .records = {3}};
	uint64_t dropped;
	for (s.query = 1; s.query <= 150; s.query++)
		publish(&s);
	s.query = 7;
	publish(&s);
	ck_status(cache_drop_policy(cache, 7, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, 2);
	ck_assert(!is_found(7));
	ck_assert(is_found(8));
	ck_status(cache_drop_policy(cache, 7, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, 0);
	ck_status(cache_drop_policy(cache, 900, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, 149);
	ck_assert_uint_eq(stats().results, 0);
	s.query = 1;
	publish(&s);
	s.query = 2;
	publish(&s);
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, 2);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_BY_POLICY), 0);
	ck_assert_uint_eq(entries(ENV_CURRENT), 0);
	ck_assert_uint_eq(entries(ENV_ROWS), 0);
}
END_TEST

/* ================================================================ room */

START_TEST(evicts_the_least_recently_used_and_no_more_than_needed)
{
	struct sample s = {.generation = 1, .parts = 1, .records = {600}, .padding = 3000};
	struct cache_result *r;
	close_store();
	open_sized(12 * MIB);
	for (s.query = 1; s.query <= 11; s.query++) {
		ck_status(publish_at(&s, NOW + s.query, &r), STATUS_OK);
		cache_release(r);
	}
	ck_status(
	    lookup_at(1, NOW + 100, &r), STATUS_OK); /* the oldest is used, the next one held */
	cache_release(r);
	struct cache_result *held;
	ck_status(lookup_at(2, NOW + 2, &held), STATUS_OK);
	sweep_all(NOW + 100);
	struct cache_stats st = stats();
	ck_assert_uint_le(st.used_bytes, 12 * MIB / 100 * 80);
	ck_assert_uint_gt(st.used_bytes, 12 * MIB / 100 * 80 - 12 * MIB / 10);
	ck_assert(is_found(1));
	ck_assert(is_found(2));
	ck_assert(!is_found(3));
	ck_assert(is_found(11));
	uint64_t left = st.results;
	sweep_all(NOW + 100);
	ck_assert_uint_eq(stats().results, left);
	cache_release(held);
}
END_TEST

START_TEST(loose_data_goes_before_any_result)
{
	struct sample s = {.generation = 1, .parts = 1, .records = {600}, .padding = 3000};
	struct sample left = {.query = 99, .parts = 1, .records = {35000}, .padding = 3000};
	struct cache_stage *stage;
	struct cache_part_info info;
	close_store();
	twins_mode = CACHE_TWINS_OFF; /* their sizes are the library's */
	open_sized(64 * MIB);
	for (s.query = 1; s.query <= 4; s.query++)
		publish(&s);
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(fill_part(stage, &left, 0, &info), STATUS_OK);
	/* after one step there is still more than the high-water mark */
	ck_assert_uint_gt(stats().used_bytes, 64 * MIB / 100 * 80 + LIMIT_COMMIT_BYTES);
	cache_stage_abandon(stage);
	sweep_all(NOW);
	ck_assert_uint_eq(stats().results, 4);
	ck_assert_uint_lt(stats().used_bytes, 8 * MIB);
}
END_TEST

START_TEST(a_commit_evicts_when_the_quota_is_reached)
{
	struct sample s = {.generation = 1, .parts = 1, .records = {600}, .padding = 3000};
	struct cache_result *r;
	close_store();
	open_sized(8 * MIB);
	for (s.query = 1; s.query <= 40; s.query++) {
		ck_status(publish_at(&s, NOW + s.query, &r), STATUS_OK);
		ck_status(read_result(r, &s), STATUS_OK);
		cache_release(r);
		ck_assert_uint_le(stats().used_bytes, 8 * MIB);
	}
	ck_assert(!is_found(1));
	ck_assert(is_found(40));
	struct stat file;
	char path[256];
	snprintf(path, sizeof path, "%s/env/data.mdb", dir);
	ck_assert_int_eq(stat(path, &file), 0);
	ck_assert_int_lt(file.st_size, (off_t)(20 * MIB));
}
END_TEST

START_TEST(a_full_store_still_serves_and_recovers)
{
	struct sample kept = {
	    .query = 1, .generation = 1, .parts = 1, .records = {500}, .padding = 3000};
	struct sample huge = {
	    .query = 2, .generation = 1, .parts = 1, .records = {9000}, .padding = 3000};
	struct cache_result *held, *r;
	close_store();
	open_sized(6 * MIB);
	ck_status(publish_at(&kept, NOW, &held), STATUS_OK);
	ck_status(publish_at(&huge, NOW, &r), STATUS_STORE_FULL);
	ck_assert(stats().writable);
	ck_assert_uint_le(stats().used_bytes, 6 * MIB);
	assert_reads(1, &kept);
	sweep_all(NOW);
	huge.records[0] = 900;
	ck_status(publish_at(&huge, NOW, &r), STATUS_OK);
	ck_status(read_result(r, &huge), STATUS_OK);
	cache_release(r);
	assert_reads(1, &kept);
	cache_release(held);
}
END_TEST

/* A write that the system refuses is not known to be a full disk: it fences. */
START_TEST(an_io_error_fences_but_hits_go_on)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 1, .records = {500}, .padding = 3000};
	struct sample t = {
	    .query = 2, .generation = 1, .parts = 1, .records = {4000}, .padding = 3000};
	struct cache_result *r;
	struct cache_stage *stage;
	struct stat file;
	char path[256];
	publish(&s);
	snprintf(path, sizeof path, "%s/env/data.mdb", dir);
	ck_assert_int_eq(stat(path, &file), 0);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit limit = {.rlim_cur = (rlim_t)file.st_size, .rlim_max = RLIM_INFINITY};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_status(publish_at(&t, NOW, &r), STATUS_STORE_FAILED);
	ck_assert(!stats().writable);
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_STORE_FAILED);
	bool more;
	ck_status(cache_sweep(cache, NOW, &more), STATUS_STORE_FAILED);
	assert_reads(1, &s);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_status(publish_at(&t, NOW, &r), STATUS_STORE_FAILED);
	reopen();
	assert_reads(1, &s);
	publish(&t);
	assert_reads(2, &t);
}
END_TEST

/* Asks for a result by its id, as a walk that follows a fetch does. */
struct asker {
	uint64_t id;
	atomic_bool begun, done, got;
};

static void *
ask_until_done(void *ctx)
{
	struct asker *a = ctx;
	struct cache_result *r;
	while (!a->done) {
		if (cache_get(cache, a->id, NOW, &r) == STATUS_OK) {
			a->got = true;
			cache_release(r);
		}
		a->begun = true;
	}
	return NULL;
}

/* A manifest of some megabytes, so that its commit needs pages behind the end of the file, and time. */
START_TEST(a_publication_that_fails_leaves_the_old_result)
{
	struct asker asker = {0};
	pthread_t thread;
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct name name = name_of(1);
	struct cache_part_info info;
	struct cache_stage *stage;
	struct cache_result *r;
	struct stat file;
	char path[256];
	uint64_t policies[2] = {1, 900}, *hosts = calloc(400000, sizeof *hosts);
	for (size_t i = 0; i < 400000; i++)
		hosts[i] = i << 44;
	publish(&s);
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(fill_part(stage, &s, 0, &info), STATUS_OK);
	struct cache_manifest m = manifest_of(&s, &name, &info, policies);
	m.fetched_at_ms = 2;
	m.hosts = hosts;
	m.host_count = 400000;
	snprintf(path, sizeof path, "%s/env/data.mdb", dir);
	ck_assert_int_eq(stat(path, &file), 0);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit limit = {.rlim_cur = (rlim_t)file.st_size, .rlim_max = RLIM_INFINITY};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	uint64_t id = asker.id = cache_stage_id(stage);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_until_done, &asker), 0);
	while (!asker.begun)
		sched_yield();
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_STORE_FAILED);
	asker.done = true;
	pthread_join(thread, NULL);
	ck_assert(!asker.got); /* it never was in the store */
	cache_stage_abandon(stage);
	ck_assert_uint_eq(stats().results, 1);
	assert_reads(1, &s);
	ck_status(cache_get(cache, id, NOW, &r), STATUS_NOT_FOUND);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	reopen();
	assert_reads(1, &s);
	ck_assert_uint_eq(stats().results, 1);
	free(hosts);
}
END_TEST

START_TEST(open_results_that_nobody_holds_take_bounded_memory)
{
	struct name name;
	struct cache_stage *stage;
	struct cache_result *r;
	uint64_t policies[2] = {1, 900}, *hosts = calloc(400000, sizeof *hosts);
	for (size_t i = 0; i < 400000; i++)
		hosts[i] = i * 3;
	struct sample s = {.generation = 1};
	for (s.query = 1; s.query <= 25; s.query++) {
		name = name_of(s.query);
		struct cache_manifest m = manifest_of(&s, &name, NULL, policies);
		m.hosts = hosts;
		m.host_count = 400000;
		ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
		ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_OK);
		cache_release(r);
		ck_assert_uint_le(cache->idle_bytes, 64 * MIB);
	}
	ck_assert_uint_gt(cache->idle_bytes, 50 * MIB);
	for (unsigned i = 1; i <= 25; i++) {
		ck_status(lookup(i, &r), STATUS_OK);
		ck_assert_uint_eq(cache_manifest(r)->host_count, 400000);
		ck_assert_uint_eq(cache_manifest(r)->hosts[399999], 399999 * 3);
		cache_release(r);
		ck_assert_uint_le(cache->idle_bytes, 64 * MIB);
	}
	free(hosts);
}
END_TEST

START_TEST(more_views_than_there_can_be_are_refused)
{
	struct cache_view *views[64], *one_more;
	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		ck_status(cache_view_open(cache, &views[i]), STATUS_OK);
	ck_status(cache_view_open(cache, &one_more), STATUS_BUSY);
	cache_view_close(views[0]);
	ck_status(cache_view_open(cache, &views[0]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		cache_view_close(views[i]);
}
END_TEST

/* An environment of its own, of 1 MiB. */
static struct env *
open_small(void)
{
	static const char format[] = "test";
	char path[160];
	snprintf(path, sizeof path, "%s/small", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	struct env_options o = {.path = path,
	    .map_bytes = MIB,
	    .readers = 4,
	    .format = format,
	    .format_len = sizeof format};
	struct env *e;
	const char *reason;
	ck_status(env_open(&o, &e, &reason), STATUS_OK);
	return e;
}

START_TEST(a_full_map_is_full_and_usable_again)
{
	char value[100000] = {0};
	struct env *e = open_small();
	enum status st = STATUS_OK;
	uint8_t i;
	for (i = 0; i < 100 && st == STATUS_OK; i++) {
		struct env_txn *t = env_write(e);
		env_put(t, ENV_BODIES, &i, 1, value, sizeof value);
		st = env_commit(t, true);
	}
	ck_status(st, STATUS_STORE_FULL);
	ck_assert_uint_gt(i, 2);
	ck_assert(env_writable(e));
	struct env_txn *t = env_write(e);
	i = 0;
	env_del(t, ENV_BODIES, &i, 1);
	ck_status(env_commit(t, true), STATUS_OK);
	env_close(e);
}
END_TEST

/* LMDB's call comes here. */
static atomic_uint syncs;
static atomic_int sync_fails; /* with this error, if not 0 */

int
fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	if (sync_fails != 0) {
		errno = sync_fails;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* LMDB's writes come here. With this error, if not 0, fail those of the first two pages, which say what was
 * committed. */
static atomic_int last_write_fails;

/* Of other writes one of about so many finds the disk full; 0: none. */
static atomic_uint fails_each;
static atomic_uint writes;

static bool
disk_is_full(void)
{
	unsigned each = fails_each;
	return each > 0 && mix(atomic_fetch_add(&writes, 1)) % each == 0;
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
	if (fd > 2 && disk_is_full()) {
		errno = ENOSPC;
		return -1;
	}
	return (ssize_t)syscall(SYS_writev, fd, iov, count);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	if (last_write_fails != 0 && at < 8192) {
		errno = last_write_fails;
		return -1;
	}
	if (at >= 8192 && disk_is_full()) {
		errno = ENOSPC;
		return -1;
	}
	return (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, at);
}

START_TEST(a_durable_commit_keeps_those_before_even_if_it_changes_nothing)
{
	struct env *e = open_small();
	struct env_txn *t = env_write(e);
	env_put(t, ENV_BODIES, "k", 1, "v", 1);
	ck_status(env_commit(t, false), STATUS_OK);
	unsigned before = syncs;
	t = env_write(e);
	env_del(t, ENV_BODIES, "other", 5);
	ck_status(env_commit(t, true), STATUS_OK);
	ck_assert_uint_gt(syncs, before);
	sync_fails = EIO;
	ck_status(env_commit(env_write(e), false), STATUS_OK); /* nothing to be kept */
	ck_status(env_commit(env_write(e), true), STATUS_STORE_FAILED);
	ck_assert(!env_writable(e));
	env_close(e);
}
END_TEST

static void
fail_to_publish(const struct sample *s, atomic_int *what_fails, int error, enum status want)
{
	struct name name = name_of(s->query);
	struct cache_part_info info;
	struct cache_stage *stage;
	struct cache_result *r;
	uint64_t policies[2] = {s->query, 900};
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(fill_part(stage, s, 0, &info), STATUS_OK);
	struct cache_manifest m = manifest_of(s, &name, &info, policies);
	*what_fails = error;
	ck_status(cache_stage_publish(stage, &m, NOW, &r), want);
	*what_fails = 0;
	cache_stage_abandon(stage);
}

START_TEST(what_cannot_be_synced_is_not_published)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct sample next = s;
	next.generation = 2;
	publish(&s);
	fail_to_publish(&next, &sync_fails, EIO, STATUS_STORE_FAILED);
	ck_assert(!stats().writable);
	assert_reads(1, &s);
	reopen();
	assert_reads(1, &s);
}
END_TEST

/* After that LMDB itself refuses to read, too. */
START_TEST(hits_go_on_when_the_last_write_of_a_commit_fails)
{
	static const struct {
		int error;
		enum status status;
	} cases[] = {{EIO, STATUS_STORE_FAILED}, {ENOSPC, STATUS_STORE_FULL}};
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct sample other = {.query = 2, .generation = 1, .parts = 1, .records = {5000}};
	struct sample next = s;
	struct cache_view *views[8];
	struct cache_result *r;
	next.generation = 2;
	publish(&s);
	publish(&other);
	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		ck_status(cache_view_open(cache, &views[i]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(views); i++) /* they rest, but for one */
		if (i > 0)
			cache_view_close(views[i]);
	fail_to_publish(&next, &last_write_fails, cases[_i].error, cases[_i].status);
	ck_assert(!stats().writable);
	ck_assert_uint_gt(stats().used_bytes, 0);
	for (size_t i = 1; i < ARRAY_LEN(views); i++)
		ck_status(cache_view_open(cache, &views[i]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		cache_view_close(views[i]);
	assert_reads(1, &s);
	assert_reads(2, &other);
	ck_status(publish_at(&next, NOW, &r), STATUS_STORE_FAILED);
	reopen();
	assert_reads(1, &s);
	publish(&next);
	assert_reads(1, &next);
}
END_TEST

/* ================================================================ notes */

/* Whether the note is there and is `text`. */
static bool
note_is(const char *name, const char *text)
{
	void *bytes;
	size_t len;
	enum status st = cache_note_get(cache, name, &bytes, &len);
	if (st == STATUS_NOT_FOUND)
		return false;
	ck_status(st, STATUS_OK);
	bool same = len == strlen(text) && memcmp(bytes, text, len) == 0;
	free(bytes);
	return same;
}

START_TEST(notes_are_found_again_after_a_restart)
{
	ck_assert(!note_is("one", ""));
	ck_status(cache_note_put(cache, "one", "first", 5), STATUS_OK);
	ck_status(cache_note_put(cache, "two/parts", "second", 6), STATUS_OK);
	ck_status(cache_note_put(cache, "empty", NULL, 0), STATUS_OK);
	ck_status(cache_note_put(cache, "one", "third one", 9), STATUS_OK);
	for (int i = 0; i < 2; i++) {
		ck_assert(note_is("one", "third one"));
		ck_assert(note_is("two/parts", "second"));
		ck_assert(note_is("empty", ""));
		ck_assert(!note_is("on", ""));
		reopen();
	}
}
END_TEST

START_TEST(notes_are_no_results)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {10}};
	uint64_t dropped;
	publish(&s);
	ck_status(cache_note_put(cache, "one", "text", 4), STATUS_OK);
	ck_assert_uint_eq(stats().results, 1);
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	sweep_all(NOW + 10 * KEEP_MS);
	ck_assert(note_is("one", "text"));
	reopen();
	ck_assert(note_is("one", "text"));
}
END_TEST

START_TEST(large_notes_have_a_bound)
{
	char *text = malloc(CACHE_NOTE_BYTES + 1);
	void *bytes;
	size_t len;
	ck_assert_ptr_nonnull(text);
	memset(text, 'x', CACHE_NOTE_BYTES + 1);
	ck_status(cache_note_put(cache, "large", text, CACHE_NOTE_BYTES + 1), STATUS_OVERFLOW);
	for (int i = 0; i < 20; i++) {
		text[0] = (char)('a' + i);
		ck_status(cache_note_put(cache, "large", text, CACHE_NOTE_BYTES), STATUS_OK);
	}
	ck_assert_uint_lt(stats().used_bytes, 8 * MIB); /* what is replaced is used again */
	reopen();
	ck_status(cache_note_get(cache, "large", &bytes, &len), STATUS_OK);
	ck_assert_uint_eq(len, CACHE_NOTE_BYTES);
	ck_assert_mem_eq(bytes, text, len);
	free(bytes);
	free(text);
}
END_TEST

/* ================================================================ damage */

static char *
slurp(const char *path, size_t *ret_len)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	char *bytes = malloc((size_t)st.st_size);
	ck_assert_int_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
	close(fd);
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static void
data_path(char path[256])
{
	snprintf(path, 256, "%s/env/data.mdb", dir);
}

/* Where the magic stands in the file; it must stand there once. */
static size_t
offset_of(const char *bytes, size_t len, const char *magic)
{
	const char *at = memmem(bytes, len, magic, 4);
	ck_assert_ptr_nonnull(at);
	size_t offset = (size_t)(at - bytes);
	ck_assert_ptr_null(memmem(at + 4, len - offset - 4, magic, 4));
	return offset;
}

static void
flip(size_t offset, uint8_t bits)
{
	char path[256];
	uint8_t byte;
	data_path(path);
	int fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= bits;
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

/* Opens, reads all of it. It must not be whole, it must not be wrong, and it must not be found
 * again. */
static void
assert_damage_is_found(const struct sample *s, size_t offset)
{
	struct cache_result *r;
	open_store();
	enum status st = lookup(1, &r);
	if (st == STATUS_OK) {
		st = read_result(r, s);
		cache_release(r);
	}
	ck_assert_msg(st == STATUS_CORRUPT, "offset %zu: %s", offset, status_info(st)->name);
	ck_assert(!is_found(1));
	ck_assert_uint_eq(stats().results, 0);
	close_store();
}

static size_t
value_bytes(const char *value)
{
	uint32_t a, b;
	memcpy(&a, value + 8, sizeof a);
	memcpy(&b, value + 12, sizeof b);
	if (memcmp(value, "PGRB", 4) == 0)
		return 16 + a * sizeof(struct row) + b;
	if (memcmp(value, "PGFR", 4) == 0)
		return 16 + b;
	return 168 + 2500; /* of a manifest at least */
}

/* Values of more than half a page stand alone in the file, and once. */
static const struct sample damage_sample = {
    .query = 1, .generation = 1, .parts = 1, .records = {30}, .padding = 500};

START_TEST(every_damaged_byte_is_found)
{
	static const char *const magics[] = {"PGRB", "PGFR", "PGMF"};
	struct sample s = damage_sample;
	struct cache_part_info info;
	struct cache_stage *stage;
	struct cache_result *r;
	struct name name = name_of(1);
	uint64_t policies[2500];
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		policies[i] = i + 1;
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(fill_part(stage, &s, 0, &info), STATUS_OK);
	struct cache_manifest m = manifest_of(&s, &name, &info, policies);
	m.policy_count = ARRAY_LEN(policies);
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_OK);
	cache_release(r);
	close_store();

	char path[256];
	size_t len;
	data_path(path);
	char *bytes = slurp(path, &len);
	/* of two fragments the first */
	const char *value = memmem(bytes, len, magics[_i], 4);
	ck_assert_ptr_nonnull(value);
	size_t begin = (size_t)(value - bytes), value_len = value_bytes(value);
	ck_assert_uint_gt(value_len, 2100);
	free(bytes);
	size_t step = getenv("UNIT_THOROUGH") != NULL ? 1 : 7;
	for (size_t i = 0; i < value_len; i += i < 180 ? 1 : step) {
		flip(begin + i, (uint8_t)(1 << i % 8));
		assert_damage_is_found(&s, begin + i);
		flip(begin + i, (uint8_t)(1 << i % 8));
	}
	open_store();
	assert_reads(1, &s);
}
END_TEST

/* Of the closed store, which has one block of rows. */
static void
damage_rows(void)
{
	char path[256];
	size_t len;
	data_path(path);
	char *bytes = slurp(path, &len);
	size_t at = offset_of(bytes, len, "PGRB");
	free(bytes);
	flip(at + 200, 0x10);
}

START_TEST(a_quarantined_result_is_swept_and_made_anew)
{
	struct sample s = damage_sample;
	struct cache_result *r;
	publish(&s);
	close_store();
	damage_rows();
	open_store();
	ck_status(lookup(1, &r), STATUS_OK);
	ck_status(read_result(r, &s), STATUS_CORRUPT);
	ck_assert(!is_found(1));
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_RESULTS), 0);
	ck_assert_uint_eq(entries(ENV_CURRENT), 0);
	ck_assert_uint_eq(entries(ENV_ROWS), 1);
	cache_release(r);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_ROWS), 0);
	s.generation = 2;
	publish(&s);
	assert_reads(1, &s);
}
END_TEST

/* Damaged ones are not found, but their records are there until a sweep. */
START_TEST(dropping_all_leaves_none_for_a_restart)
{
	struct sample s = damage_sample;
	struct cache_result *r;
	uint64_t dropped;
	publish(&s);
	close_store();
	damage_rows();
	open_store();
	ck_status(lookup(1, &r), STATUS_OK);
	ck_status(read_result(r, &s), STATUS_CORRUPT);
	cache_release(r);
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, 1);
	reopen();
	ck_assert_uint_eq(stats().results, 0);
	ck_assert(!is_found(1));
}
END_TEST

/* The store was set aside and works from scratch. */
static void
assert_begun_anew(void)
{
	struct sample s = {.query = 1, .generation = 9, .parts = 1, .records = {10}};
	open_store();
	ck_assert_uint_eq(stats().results, 0);
	ck_assert_uint_eq(set_aside_count(), 1);
	publish(&s);
	assert_reads(1, &s);
	reopen();
	assert_reads(1, &s);
}

static void
fill_and_close(void)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 1, .records = {2000}, .padding = 900};
	publish(&s);
	close_store();
}

START_TEST(a_damaged_manifest_is_no_reason_to_stop_listing)
{
	struct sample s = damage_sample;
	struct seen seen = {0};
	char path[256];
	size_t len;
	publish(&s);
	s.query = 2;
	publish(&s);
	close_store();
	data_path(path);
	char *bytes = slurp(path, &len);
	for (size_t i = 0; i + 200 < len; i++) /* wherever that of query 1 stands */
		if (memcmp(bytes + i, "PGMF", 4) == 0 &&
		    memcmp(bytes + i + 168, "scope=policy:1", 14) == 0)
			flip(i + 170, 1);
	free(bytes);
	open_store();
	ck_status(cache_each(cache, note, &seen), STATUS_OK);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(stats().results, 1);
	ck_assert(!is_found(1));
	ck_assert(is_found(2));
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_RESULTS), 1);
	sweep_all(NOW + KEEP_MS);
	ck_assert_uint_eq(entries(ENV_EXPIRY), 0);
}
END_TEST

START_TEST(inspecting_damage_never_goes_astray)
{
	struct sample s = {.generation = 1, .parts = 1, .records = {3}};
	struct unit_random random = {.state = unit_seed(3)};
	char path[256];
	size_t len;
	for (s.query = 1; s.query <= 80; s.query++)
		publish(&s);
	s.records[0] = 9000;
	s.padding = 900;
	publish(&s);
	uint64_t dropped;
	ck_status(cache_drop_policy(cache, s.query, &dropped), STATUS_OK);
	sweep_all(NOW);
	close_store();
	data_path(path);
	char *bytes = slurp(path, &len);
	size_t trees[400], count = 0;
	for (size_t page = 0; page < len / 4096 && count < ARRAY_LEN(trees); page++)
		if (page < 2 || bytes[page * 4096 + 10] == 1 || bytes[page * 4096 + 10] == 2)
			trees[count++] = page * 4096;
	unsigned found = 0;
	const char *reason;
	int fd = open(path, O_RDWR);
	ck_status(inspect_file(fd, &reason), STATUS_OK);
	for (int i = 0; i < 3000; i++) {
		/* headers and places of nodes rather than nodes */
		size_t at = trees[unit_below(&random, count)];
		at += unit_below(&random, i % 2 == 0 ? 200 : 4096);
		char byte = (char)unit_next(&random);
		ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
		enum status st = inspect_file(fd, &reason);
		ck_assert(st == STATUS_OK || st == STATUS_CORRUPT);
		found += st == STATUS_CORRUPT;
		ck_assert_int_eq(pwrite(fd, bytes + at, 1, (off_t)at), 1);
	}
	ck_assert_uint_gt(found, 60);
	ck_status(inspect_file(fd, &reason), STATUS_OK);
	close(fd);
	free(bytes);
}
END_TEST

START_TEST(refuses_what_cannot_hold_a_store)
{
	char path[300], long_path[4000];
	struct cache_options o = options(64 * MIB);
	struct cache *c;
	memset(long_path, 'x', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = '\0';
	o.dir = long_path;
	ck_status(cache_open(&o, NOW, &c), STATUS_STORE_FAILED);
	o.dir = "/proc/no-such-folder/store";
	ck_status(cache_open(&o, NOW, &c), STATUS_STORE_FAILED);
	snprintf(path, sizeof path, "%s/lock", dir); /* a file */
	o.dir = path;
	ck_status(cache_open(&o, NOW, &c), STATUS_STORE_FAILED);
	close_store();
	data_path(path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	o.dir = dir;
	ck_status(cache_open(&o, NOW, &c), STATUS_STORE_FAILED);
	ck_assert_int_eq(rmdir(path), 0);
	snprintf(path, sizeof path, "%s/env/lock.mdb", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/env", dir);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(symlink("/nowhere/at/all", path), 0);
	ck_status(cache_open(&o, NOW, &c), STATUS_STORE_FAILED);
}
END_TEST

START_TEST(a_truncated_file_is_set_aside)
{
	static const off_t lengths[] = {1, 100, 4096, 5000, 8192, 9000, 40960, -300 * 4096};
	char path[256];
	struct stat st;
	fill_and_close();
	data_path(path);
	ck_assert_int_eq(stat(path, &st), 0);
	off_t to = lengths[_i] < 0 ? st.st_size + lengths[_i] : lengths[_i];
	ck_assert_int_eq(truncate(path, to), 0);
	assert_begun_anew();
}
END_TEST

static uint64_t
u64_at(const char *bytes, size_t at)
{
	uint64_t v;
	memcpy(&v, bytes + at, sizeof v);
	return v;
}

/* The last pages hold data, which inspecting does not read. */
START_TEST(a_file_that_lost_its_last_byte_is_damaged)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 1, .records = {900}, .padding = 900};
	struct cache_stage *stage;
	struct cache_part_info info;
	char path[256];
	size_t len;
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(fill_part(stage, &s, 0, &info), STATUS_OK);
	cache_stage_abandon(stage);
	close_store();
	data_path(path);
	char *bytes = slurp(path, &len);
	size_t newer = u64_at(bytes, 4096 + 144) > u64_at(bytes, 144) ? 4096 : 0;
	off_t end = (off_t)(u64_at(bytes, newer + 136) + 1) * 4096;
	free(bytes);
	ck_assert_int_gt((off_t)len, end);
	const char *reason;
	int fd = open(path, O_RDWR);
	ck_assert_int_eq(ftruncate(fd, end), 0);
	ck_status(inspect_file(fd, &reason), STATUS_OK);
	ck_assert_int_eq(ftruncate(fd, end - 1), 0);
	ck_status(inspect_file(fd, &reason), STATUS_CORRUPT);
	close(fd);
}
END_TEST

START_TEST(a_damaged_query_is_remembered_anew)
{
	struct name a = name_of(77);
	char path[256], *text;
	size_t len;
	ck_status(
	    cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW + HOUR_MS), STATUS_OK);
	close_store();
	data_path(path);
	char *bytes = slurp(path, &len);
	for (size_t i = 0; i + 20 < len; i++)
		if (memcmp(bytes + i, "policy:77", 9) == 0)
			flip(i, 1);
	free(bytes);
	open_store();
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_NOT_FOUND);
	ck_status(
	    cache_query_put(cache, a.digest, a.text, strlen(a.text), NOW + 9 * HOUR_MS), STATUS_OK);
	sweep_all(NOW + 8 * HOUR_MS);
	ck_status(cache_query_get(cache, a.digest, &text, &len), STATUS_OK);
	ck_assert_str_eq(text, a.text);
	free(text);
	sweep_all(NOW + 12 * HOUR_MS);
	ck_assert_uint_eq(entries(ENV_QUERIES), 0);
}
END_TEST

START_TEST(a_damaged_note_is_not_given_out)
{
	char path[256];
	void *bytes;
	size_t len;
	ck_status(cache_note_put(cache, "one", "some text", 9), STATUS_OK);
	ck_status(cache_note_put(cache, "two", "other bytes", 11), STATUS_OK);
	close_store();
	data_path(path);
	char *file = slurp(path, &len);
	for (size_t i = 0; i + 20 < len; i++)
		if (memcmp(file + i, "some text", 9) == 0)
			flip(i + 3, 1);
	free(file);
	open_store();
	ck_status(cache_note_get(cache, "one", &bytes, &len), STATUS_CORRUPT);
	ck_assert(note_is("two", "other bytes"));
	ck_assert(stats().writable);
	ck_status(cache_note_put(cache, "one", "anew", 4), STATUS_OK);
	ck_assert(note_is("one", "anew"));
}
END_TEST

/* The checksum covers the name. */
START_TEST(a_note_under_a_foreign_name_is_damage)
{
	char path[256];
	void *bytes;
	size_t len;
	ck_status(cache_note_put(cache, "mine", "some text", 9), STATUS_OK);
	close_store();
	data_path(path);
	char *file = slurp(path, &len);
	for (size_t i = 0; i + 20 < len; i++)
		if (memcmp(file + i, "note/mine", 9) == 0)
			flip(i + 5, 1); /* "line" */
	free(file);
	open_store();
	ck_status(cache_note_get(cache, "line", &bytes, &len), STATUS_CORRUPT);
}
END_TEST

START_TEST(an_empty_file_is_a_new_store)
{
	char path[256];
	fill_and_close();
	data_path(path);
	ck_assert_int_eq(truncate(path, 0), 0);
	open_store();
	ck_assert_uint_eq(stats().results, 0);
}
END_TEST

START_TEST(garbage_is_set_aside)
{
	char path[256], garbage[20000];
	struct unit_random random = {.state = 77};
	fill_and_close();
	for (size_t i = 0; i < sizeof garbage; i++)
		garbage[i] = (char)unit_next(&random);
	data_path(path);
	int fd = open(path, O_WRONLY | O_TRUNC);
	ck_assert_int_eq(write(fd, garbage, sizeof garbage), sizeof garbage);
	close(fd);
	assert_begun_anew();
}
END_TEST

START_TEST(another_format_is_set_aside_unchanged)
{
	char path[256];
	size_t len;
	fill_and_close();
	data_path(path);
	char *bytes = slurp(path, &len);
	bool any = false;
	for (size_t i = 0; i + 8 <= len; i++)
		if (memcmp(bytes + i, "PGST\2\0\0\0", 8) == 0) {
			flip(i + 4, 3);
			any = true;
		}
	free(bytes);
	ck_assert(any);
	bytes = slurp(path, &len);
	assert_begun_anew();

	char command[512];
	snprintf(command, sizeof command, "%s/expected", dir);
	int fd = open(command, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
	free(bytes);
	snprintf(command, sizeof command, "cmp %s/expected %s/env.aside-*/data.mdb", dir, dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(only_the_last_one_set_aside_is_kept)
{
	char path[256];
	data_path(path);
	for (int i = 0; i < 3; i++) {
		fill_and_close();
		ck_assert_int_eq(truncate(path, 9000), 0);
		struct cache_options o = options(64 * MIB);
		ck_status(cache_open(&o, NOW + i, &cache), STATUS_OK);
		ck_assert_uint_eq(set_aside_count(), 1);
	}
}
END_TEST

START_TEST(a_lost_or_foreign_reader_table_does_no_harm)
{
	char path[256];
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {100}};
	publish(&s);
	close_store();
	snprintf(path, sizeof path, "%s/env/lock.mdb", dir);
	if (_i == 0) {
		unlink(path);
	} else {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		for (int i = 0; i < 1000; i++)
			ck_assert_int_eq(write(fd, "not a reader table", 18), 18);
		close(fd);
	}
	open_store();
	assert_reads(1, &s);
	s.generation = 2;
	publish(&s);
	assert_reads(1, &s);
}
END_TEST

START_TEST(one_damaged_meta_page_is_no_wrong_data)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {100}};
	struct sample next = {.query = 1, .generation = 2, .parts = 1, .records = {100}};
	struct cache_result *r;
	publish(&s);
	publish(&next);
	close_store();
	for (size_t i = 0; i < 24; i++)
		flip((size_t)_i * 4096 + i, 0xff);
	open_store();
	enum status st = lookup(1, &r);
	if (st == STATUS_OK) {
		bool new = cache_manifest(r)->fetched_at_ms == 2;
		ck_status(read_result(r, new ? &next : &s), STATUS_OK);
		cache_release(r);
	} else {
		ck_status(st, STATUS_NOT_FOUND);
	}
}
END_TEST

static void
spit(const char *bytes, size_t len)
{
	char path[256];
	data_path(path);
	int fd = open(path, O_WRONLY | O_TRUNC);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

/* One of: bytes flipped, a page zeroed, a page over another, a cut, noise over a page. */
static void
damage_somewhere(struct unit_random *random, char *bytes, size_t *len)
{
	/* not in the hole at the end */
	size_t pages = (*len - MIB) / 4096, a, b = unit_below(random, pages);
	/* rather one of a tree: flags 1 or 2 in its header */
	for (int i = 0; i < 8; i++) {
		a = unit_below(random, pages);
		if (bytes[a * 4096 + 10] == 1 || bytes[a * 4096 + 10] == 2)
			break;
	}
	switch (unit_below(random, 5)) {
	case 0:
		for (int i = 0; i < 20; i++)
			bytes[unit_below(random, pages * 4096)] ^=
			    (char)(1 << unit_below(random, 8));
		break;
	case 1:
		memset(bytes + a * 4096, 0, 4096);
		break;
	case 2:
		memmove(bytes + a * 4096, bytes + b * 4096, 4096);
		break;
	case 3:
		*len = unit_below(random, pages * 4096);
		break;
	default:
		for (size_t i = 0; i < 1 + unit_below(random, 64); i++)
			bytes[a * 4096 + unit_below(random, 4096)] = (char)unit_next(random);
	}
}

/* Whatever is left is right, and the store works on. */
static void
use_all(const struct sample *samples, size_t count)
{
	uint64_t dropped;
	bool more = true;
	for (size_t i = 0; i < count; i++) {
		struct cache_result *r;
		enum status st = lookup(samples[i].query, &r);
		if (st == STATUS_OK) {
			st = read_result(r, &samples[i]);
			cache_release(r);
		}
		ck_assert(st == STATUS_OK || st == STATUS_CORRUPT || st == STATUS_NOT_FOUND);
	}
	enum status st = cache_drop_policy(cache, samples[0].query, &dropped);
	for (int i = 0; i < 100 && more && st == STATUS_OK; i++)
		st = cache_sweep(cache, NOW + GRACE_MS, &more);
	struct sample s = {
	    .query = 99, .generation = 1, .parts = 1, .records = {200}, .padding = 300};
	struct cache_result *r;
	if (st == STATUS_OK)
		st = publish_at(&s, NOW, &r);
	if (st != STATUS_OK) {
		/* damage met while writing: no more of it in this process, anew in the next */
		ck_status(st, STATUS_CORRUPT);
		ck_assert(!stats().writable);
		reopen();
		ck_assert_uint_eq(stats().results, 0);
		ck_status(publish_at(&s, NOW, &r), STATUS_OK);
	}
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
}

START_TEST(no_damage_of_the_file_is_fatal_or_gives_wrong_data)
{
	struct sample samples[12];
	struct unit_random random = {.state = unit_seed(99 + (uint64_t)_i)};
	char path[256];
	size_t len;
	for (unsigned i = 0; i < ARRAY_LEN(samples); i++) {
		samples[i] = (struct sample){.query = i + 1,
		    .generation = 1,
		    .parts = 2,
		    .records = {10 * i, 60},
		    .padding = 300,
		    .drop_attempt = i % 4 == 0};
		publish(&samples[i]);
	}
	sweep_all(NOW);
	close_store();
	data_path(path);
	char *whole = slurp(path, &len), *bytes = malloc(len);
	for (int i = 0; i < 60; i++) {
		size_t left = len;
		memcpy(bytes, whole, len);
		damage_somewhere(&random, bytes, &left);
		spit(bytes, left);
		open_store();
		use_all(samples, ARRAY_LEN(samples));
		close_store();
	}
	free(whole);
	free(bytes);
}
END_TEST

START_TEST(folders_and_files_are_the_owners_alone)
{
	struct stat st;
	char path[256];
	close_store();
	remove_dir();
	open_store();
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	snprintf(path, sizeof path, "%s/env", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	static const char *const files[] = {"lock", "env/data.mdb", "env/lock.mdb"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_uint_eq(st.st_mode & 0777, 0600);
	}
}
END_TEST

/* ================================================================ processes */

START_TEST(a_second_process_is_told_that_it_is_busy)
{
	struct cache_options o = options(64 * MIB);
	struct cache *second;
	ck_status(cache_open(&o, NOW, &second), STATUS_BUSY);
	pid_t pid = fork();
	if (pid == 0)
		_exit(cache_open(&o, NOW, &second) == STATUS_BUSY ? 0 : 1);
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {10}};
	publish(&s);
	assert_reads(1, &s);
}
END_TEST

/* Runs `child` in a process of its own, which writes a byte to its descriptor for each step and is
 * killed after so many of them. The store must be closed. */
static unsigned
run_and_kill(void (*child)(int fd), unsigned steps)
{
	int fds[2];
	char byte;
	ck_assert_int_eq(pipe(fds), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fds[0]);
		child(fds[1]);
		_exit(3);
	}
	close(fds[1]);
	for (unsigned i = 0; i < steps; i++)
		ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	unsigned done = steps;
	while (read(fds[0], &byte, 1) == 1)
		done++;
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return done;
}

static void
step(int fd)
{
	must(write(fd, "x", 1) == 1);
}

static void
stage_and_wait(int fd)
{
	struct sample a = {
	    .query = 1, .generation = 1, .parts = 2, .records = {300, 40}, .padding = 500};
	struct sample b = {
	    .query = 1, .generation = 2, .parts = 1, .records = {9000}, .padding = 900};
	struct cache_result *r;
	struct cache_stage *stage;
	struct cache_part *p;
	open_store();
	must(publish_at(&a, NOW, &r) == STATUS_OK);
	must(cache_stage_open(cache, NULL, NOW, &stage) == STATUS_OK);
	must(cache_part_open(stage, 0, 0, &p) == STATUS_OK);
	for (size_t n = 0;; n += 500) {
		must(add_records(p, &b, 0, n, 500) == STATUS_OK);
		must(cache_part_commit(p) == STATUS_OK);
		step(fd);
	}
}

START_TEST(a_crash_leaves_the_published_and_nothing_else)
{
	struct sample a = {
	    .query = 1, .generation = 1, .parts = 2, .records = {300, 40}, .padding = 500};
	close_store();
	run_and_kill(stage_and_wait, 3);
	open_store();
	ck_assert_uint_eq(stats().results, 1);
	assert_reads(1, &a);
	ck_assert_uint_eq(entries(ENV_LOOSE), 1);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
	ck_assert_uint_eq(entries(ENV_ROWS), 2);
	ck_assert_uint_eq(entries(ENV_BODIES), 17);
	assert_reads(1, &a);
}
END_TEST

static struct sample
generation_sample(unsigned generation)
{
	return (struct sample){.query = 1,
	    .generation = generation,
	    .parts = 2,
	    .records = {200 + generation % 50, 30},
	    .padding = 700,
	    .commit_each = 64,
	    .drop_attempt = generation % 3 == 0};
}

static unsigned first_generation;

static void
publish_for_ever(int fd)
{
	struct cache_result *r;
	bool more;
	open_store();
	for (unsigned g = first_generation;; g++) {
		struct sample s = generation_sample(g);
		must(publish_at(&s, NOW + g, &r) == STATUS_OK);
		step(fd);
		cache_release(r);
		must(cache_sweep(cache, NOW + g + GRACE_MS, &more) == STATUS_OK);
	}
}

START_TEST(kills_at_any_moment_lose_nothing_that_was_published)
{
	struct unit_random random = {.state = unit_seed(20251122)};
	struct cache_result *r;
	close_store();
	first_generation = 1;
	for (int i = 0; i < 12; i++) {
		unsigned done =
		    run_and_kill(publish_for_ever, 1 + (unsigned)unit_below(&random, 6));
		unsigned last = first_generation + done - 1;
		open_store();
		ck_status(lookup(1, &r), STATUS_OK);
		unsigned got = (unsigned)cache_manifest(r)->fetched_at_ms;
		ck_assert_uint_ge(got, last);
		ck_assert_uint_le(got, last + 1);
		struct sample s = generation_sample(got);
		ck_status(read_result(r, &s), STATUS_OK);
		cache_release(r);
		sweep_all(NOW + got + 2 * GRACE_MS);
		ck_assert_uint_eq(entries(ENV_RESULTS), 1);
		ck_assert_uint_eq(entries(ENV_LOOSE), 0);
		ck_assert_uint_eq(entries(ENV_ROWS), 2);
		close_store();
		first_generation = got + 1;
	}
	open_store();
}
END_TEST

/* ================================================================ threads */

#define READERS 4
#define GENERATIONS 60

static _Atomic bool writing_done;
static _Atomic unsigned reads_done;

static void *
read_for_ever(void *ctx)
{
	struct cache_result *r;
	(void)ctx;
	while (!writing_done || reads_done < 100) {
		must(lookup(1, &r) == STATUS_OK);
		struct sample s = generation_sample((unsigned)cache_manifest(r)->fetched_at_ms);
		must(read_result(r, &s) == STATUS_OK);
		cache_release(r);
		reads_done++;
	}
	return NULL;
}

START_TEST(readers_see_whole_generations_while_new_ones_are_published)
{
	pthread_t threads[READERS];
	struct sample s = generation_sample(0);
	bool more;
	publish(&s);
	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_for_ever, NULL), 0);
	for (unsigned g = 1; g <= GENERATIONS; g++) {
		s = generation_sample(g);
		publish(&s);
		ck_status(cache_sweep(cache, NOW + GRACE_MS, &more), STATUS_OK);
	}
	writing_done = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	sweep_all(NOW + GRACE_MS);
	ck_assert_uint_eq(entries(ENV_RESULTS), 1);
	ck_assert_uint_eq(entries(ENV_ROWS), 2);
}
END_TEST

/* --- everything at once: a small store, a disk that is full now and then */

#define HANDS 6
#define TURNS 120
#define BUSY_QUERIES 8

static _Atomic unsigned busy_generation;
static _Atomic uint64_t busy_ids[32]; /* of stages and results, some of them gone */
static _Atomic int64_t busy_now = NOW;
static _Atomic unsigned busy_reads, busy_full;

/* All of it follows from the query and the generation: who finds it knows what has to be there. */
static struct sample
busy_sample(unsigned query, unsigned generation)
{
	uint64_t seed = mix(query * UINT64_C(7919) + generation);
	struct sample s = {
	    .query = query, .generation = generation, .parts = 1 + seed % 3, .padding = 300};
	for (size_t i = 0; i < s.parts; i++)
		s.records[i] = mix(seed + i) % 500;
	s.commit_each = seed % 2 == 0 ? 1 + (seed >> 8) % 200 : 0;
	s.drop_attempt = (seed >> 16) % 4 == 0;
	return s;
}

static void
busy_read_one(struct cache_result *r)
{
	const struct cache_manifest *m = cache_manifest(r);
	struct sample s = busy_sample((unsigned)m->policies[0], (unsigned)m->fetched_at_ms);
	must(read_result(r, &s) == STATUS_OK);
	cache_want_twins(r);
	busy_reads++;
}

/* Reads it, and what this thread has held since it read last, whatever became of that meanwhile. */
static void
busy_read(struct cache_result *r)
{
	static _Thread_local struct cache_result *held;
	struct cache_result *before = held;
	held = r;
	if (before != NULL)
		busy_read_one(before);
	cache_release(before);
	if (r != NULL)
		busy_read_one(r);
}

static void
busy_publish(struct unit_random *random)
{
	struct sample s =
	    busy_sample(1 + (unsigned)unit_below(random, BUSY_QUERIES), ++busy_generation);
	struct name name = name_of(s.query);
	struct cache_part_info parts[8];
	uint64_t policies[2] = {s.query, 900};
	struct cache_stage *stage;
	struct cache_result *r;
	s.keep_until_ms = busy_now + HOUR_MS;
	struct cache_manifest m = manifest_of(&s, &name, parts, policies);
	must(cache_stage_open(cache, NULL, busy_now, &stage) == STATUS_OK);
	busy_ids[unit_below(random, ARRAY_LEN(busy_ids))] = cache_stage_id(stage);
	enum status st = STATUS_OK;
	for (size_t i = 0; i < s.parts && st == STATUS_OK; i++)
		st = fill_part(stage, &s, i, &parts[i]);
	if (st == STATUS_OK)
		st = cache_stage_publish(stage, &m, busy_now, &r);
	must(st == STATUS_OK || st == STATUS_STORE_FULL);
	if (st == STATUS_OK) {
		busy_read(r);
	} else {
		cache_stage_abandon(stage);
		busy_full++;
	}
}

static void
busy_find(struct unit_random *random)
{
	struct cache_result *r;
	uint64_t id = busy_ids[unit_below(random, ARRAY_LEN(busy_ids))];
	if (lookup_at(1 + (unsigned)unit_below(random, BUSY_QUERIES), busy_now, &r) == STATUS_OK)
		busy_read(r);
	if (cache_get(cache, id, busy_now, &r) == STATUS_OK) {
		must(cache_manifest(r)->id == id);
		busy_read(r);
	}
}

static void
busy_keep_up(void)
{
	bool more = false;
	busy_now += MINUTE_MS;
	enum status st = cache_sweep(cache, busy_now, &more);
	must(st == STATUS_OK || st == STATUS_STORE_FULL);
	st = cache_make_twins(cache, &more);
	must(st == STATUS_OK || st == STATUS_STORE_FULL);
}

static void *
be_busy(void *ctx)
{
	struct unit_random random = {.state = *(uint64_t *)ctx};
	bool janitor = *(uint64_t *)ctx % HANDS == 0;
	uint64_t dropped;
	for (int i = 0; i < TURNS; i++) {
		uint64_t what = unit_below(&random, 100);
		if (janitor && what < 50)
			busy_keep_up();
		else if (what < 30)
			busy_publish(&random);
		else if (what < 95)
			busy_find(&random);
		else
			must(cache_drop_policy(cache, unit_below(&random, BUSY_QUERIES),
				 &dropped) != STATUS_STORE_FAILED);
	}
	busy_read(NULL);
	return NULL;
}

START_TEST(whatever_happens_at_once_is_read_right_and_leaves_nothing)
{
	pthread_t threads[HANDS];
	uint64_t seeds[HANDS], first = unit_seed(31), dropped;
	close_store();
	open_sized(4 * MIB);
	fails_each = 400;
	for (size_t i = 0; i < HANDS; i++) {
		seeds[i] = first * HANDS + i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, be_busy, &seeds[i]), 0);
	}
	for (size_t i = 0; i < HANDS; i++)
		pthread_join(threads[i], NULL);
	fails_each = 0;
	ck_assert(stats().writable);
	ck_assert_uint_gt(busy_reads, 100);
	ck_assert_uint_gt(busy_full, 0);
	ck_status(cache_drop_policy(cache, 0, &dropped), STATUS_OK);
	sweep_all(busy_now);
	ck_assert_uint_eq(stats().results, 0);
	static const enum env_db data[] = {
	    ENV_RESULTS, ENV_CURRENT, ENV_ROWS, ENV_BODIES, ENV_TWINS, ENV_BY_POLICY, ENV_LOOSE};
	for (size_t i = 0; i < ARRAY_LEN(data); i++)
		ck_assert_msg(entries(data[i]) == 0, "database %d has %u", (int)data[i],
		    (unsigned)entries(data[i]));
}
END_TEST

static void *
fill_one_part(void *ctx)
{
	struct cache_part *p = ctx;
	struct cache_part_info info = cache_part_info(p);
	struct sample s = {.query = 1, .generation = 1};
	uint8_t memo[8];
	char body[200];
	for (size_t n = 0; n < 5000; n++) {
		struct row row = row_of(&s, info.call, n);
		size_t len = body_of(&s, info.call, n, body, sizeof body);
		must(cache_part_add(p, &row, body, len, memo, memo_of(info.call, n, memo)) ==
		     STATUS_OK);
		if (n % 500 == 0)
			must(cache_part_commit(p) == STATUS_OK);
	}
	must(cache_part_commit(p) == STATUS_OK);
	return NULL;
}

START_TEST(parts_are_filled_side_by_side)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 3, .records = {5000, 5000, 5000}};
	struct name name = name_of(1);
	struct cache_part_info infos[3];
	struct cache_part *parts[3];
	struct cache_stage *stage;
	struct cache_result *r;
	pthread_t threads[3];
	uint64_t policies[2] = {1, 900};
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	for (uint32_t i = 0; i < 3; i++) {
		ck_status(cache_part_open(stage, i, 0, &parts[i]), STATUS_OK);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fill_one_part, parts[i]), 0);
	}
	for (size_t i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		infos[i] = cache_part_info(parts[i]);
		cache_part_close(parts[i]);
	}
	struct cache_manifest m = manifest_of(&s, &name, infos, policies);
	ck_status(cache_stage_publish(stage, &m, NOW, &r), STATUS_OK);
	ck_status(read_result(r, &s), STATUS_OK);
	cache_release(r);
}
END_TEST

/* ================================================================ against a model */

#define QUERIES 5
#define MOST_RESULTS 400
#define HOLDS 4

struct model_result {
	uint64_t id;
	struct sample sample;
	int64_t due_ms, keep_ms, used_ms;
	bool live, current;
};

struct model {
	struct unit_random random;
	int64_t now;
	struct model_result results[MOST_RESULTS];
	size_t count;
	struct cache_result *held[HOLDS];
	struct sample held_sample[HOLDS];
};

static struct model model;

static struct model_result *
model_current(unsigned query)
{
	for (size_t i = 0; i < model.count; i++)
		if (model.results[i].current && model.results[i].sample.query == query)
			return &model.results[i];
	return NULL;
}

static void
do_publish(void)
{
	struct unit_random *random = &model.random;
	struct sample s = {
	    .query = 1 + (unsigned)unit_below(random, QUERIES),
	    .generation = (unsigned)model.count + 1,
	    .parts = 1 + unit_below(random, 3),
	    .padding = unit_below(random, 300),
	    .commit_each = unit_below(random, 40),
	    .drop_attempt = unit_below(random, 4) == 0,
	    .keep_until_ms = model.now + (int64_t)unit_below(random, 3 * (size_t)GRACE_MS) + 1,
	};
	for (size_t i = 0; i < s.parts; i++)
		s.records[i] = unit_below(random, 3) == 0 ? 0 : unit_below(random, 120);
	if (model.count == MOST_RESULTS)
		return;
	struct cache_result *r;
	ck_status(publish_at(&s, model.now, &r), STATUS_OK);
	struct model_result *old = model_current(s.query);
	if (old != NULL) {
		old->current = false;
		if (old->due_ms > model.now + GRACE_MS)
			old->due_ms = model.now + GRACE_MS;
	}
	model.results[model.count++] = (struct model_result){
	    .id = cache_manifest(r)->id,
	    .sample = s,
	    .due_ms = s.keep_until_ms,
	    .keep_ms = s.keep_until_ms,
	    .used_ms = model.now,
	    .live = true,
	    .current = true,
	};
	cache_release(r);
}

static void
do_lookup(void)
{
	unsigned query = 1 + (unsigned)unit_below(&model.random, QUERIES);
	struct model_result *want = model_current(query);
	struct cache_result *r;
	enum status st = lookup_at(query, model.now, &r);
	ck_status(st, want != NULL ? STATUS_OK : STATUS_NOT_FOUND);
	if (want == NULL)
		return;
	ck_assert_uint_eq(cache_manifest(r)->id, want->id);
	ck_status(read_result(r, &want->sample), STATUS_OK);
	want->used_ms = model.now;
	size_t hold = unit_below(&model.random, HOLDS);
	cache_release(model.held[hold]);
	model.held[hold] = r;
	model.held_sample[hold] = want->sample;
}

static void
do_get(void)
{
	if (model.count == 0)
		return;
	size_t from = model.count > 12 ? model.count - 12 : 0;
	struct model_result *want =
	    &model.results[from + unit_below(&model.random, model.count - from)];
	struct cache_result *r;
	enum status st = cache_get(cache, want->id, model.now, &r);
	ck_status(st, want->live ? STATUS_OK : STATUS_NOT_FOUND);
	if (st != STATUS_OK)
		return;
	ck_status(read_result(r, &want->sample), STATUS_OK);
	want->used_ms = model.now;
	cache_release(r);
}

static void
do_read_held(void)
{
	size_t i = unit_below(&model.random, HOLDS);
	if (model.held[i] != NULL)
		ck_status(read_result(model.held[i], &model.held_sample[i]), STATUS_OK);
}

static void
do_wait(void)
{
	model.now += (int64_t)unit_below(&model.random, (size_t)GRACE_MS);
}

static void
do_sweep(void)
{
	sweep_all(model.now);
	for (size_t i = 0; i < model.count; i++) {
		struct model_result *r = &model.results[i];
		while (r->live && r->due_ms <= model.now) {
			int64_t end = r->keep_ms;
			if (!r->current && r->used_ms + GRACE_MS < end)
				end = r->used_ms + GRACE_MS;
			if (end <= model.now)
				r->live = r->current = false;
			else
				r->due_ms = end;
		}
	}
}

static void
do_drop(void)
{
	unsigned query = 1 + (unsigned)unit_below(&model.random, QUERIES);
	uint64_t dropped, want = 0;
	for (size_t i = 0; i < model.count; i++) {
		struct model_result *r = &model.results[i];
		if (r->sample.query != query)
			continue;
		want += r->live;
		r->live = r->current = false;
	}
	ck_status(cache_drop_policy(cache, query, &dropped), STATUS_OK);
	ck_assert_uint_eq(dropped, want);
}

static void
do_restart(void)
{
	for (size_t i = 0; i < HOLDS; i++) {
		cache_release(model.held[i]);
		model.held[i] = NULL;
	}
	reopen();
	for (size_t i = 0; i < model.count; i++)
		model.results[i].used_ms = (int64_t)(model.results[i].id >> 20);
}

static void
do_abandon(void)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct cache_stage *stage;
	struct cache_part_info info;
	ck_status(cache_stage_open(cache, NULL, model.now, &stage), STATUS_OK);
	ck_status(fill_part(stage, &s, 0, &info), STATUS_OK);
	cache_stage_abandon(stage);
}

static bool
check_against_model(void *ctx, const struct cache_manifest *m, bool current)
{
	uint64_t *count = ctx;
	for (size_t i = 0; i < model.count; i++)
		if (model.results[i].id == m->id) {
			ck_assert(model.results[i].live);
			ck_assert(model.results[i].current == current);
			++*count;
		}
	return true;
}

static void
assert_same_as_model(void)
{
	uint64_t live = 0, listed = 0;
	for (size_t i = 0; i < model.count; i++)
		live += model.results[i].live;
	ck_status(cache_each(cache, check_against_model, &listed), STATUS_OK);
	ck_assert_uint_eq(listed, live);
	ck_assert_uint_eq(stats().results, live);
}

START_TEST(any_sequence_of_operations_agrees_with_a_model)
{
	static const struct {
		unsigned weight;
		void (*run)(void);
	} operations[] = {{20, do_publish}, {20, do_lookup}, {15, do_get}, {10, do_read_held},
	    {12, do_wait}, {10, do_sweep}, {2, do_drop}, {2, do_restart}, {4, do_abandon}};
	uint64_t seed = unit_seed(4711 + (uint64_t)_i);
	model = (struct model){.random = {.state = seed}, .now = NOW};
	printf("UNIT_SEED=%" PRIu64 "\n", seed);
	for (int n = 0; n < 400; n++) {
		size_t pick = unit_below(&model.random, 95), i = 0;
		while (pick >= operations[i].weight)
			pick -= operations[i++].weight;
		operations[i].run();
		assert_same_as_model();
	}
	do_restart();
	model.now += 4 * GRACE_MS + KEEP_MS;
	do_sweep();
	sweep_all(model.now + 2 * HOUR_MS);
	assert_same_as_model();
	ck_assert_uint_eq(stats().results, 0);
	for (int db = 0; db < ENV_DB_COUNT; db++)
		ck_assert_uint_eq(entries((enum env_db)db), db == ENV_META ? 2 : 0);
}
END_TEST

/* ================================================================ twins */

static struct buf text, member, inflated;

/* All fragments of a part: their text, and the member that their twins make. Gives how many have
 * none. */
static unsigned
join_part(struct cache_view *v, const struct cache_source *src, uint32_t fragments)
{
	struct stitch stitch;
	unsigned missing = 0;
	bool packed;
	buf_reset(&text);
	buf_reset(&member);
	stitch_init(&stitch, MIB, &member);
	for (uint32_t n = 0; n < fragments; n++) {
		struct cache_fragment f;
		struct cache_twin twin;
		ck_status(cache_view_fragment(v, src, n, &f), STATUS_OK);
		buf_str_add(&text, n > 0 ? "," : "");
		buf_add(&text, f.bytes, f.len);
		if (cache_view_twin(v, src, n, &twin) != STATUS_OK) {
			missing++;
			continue;
		}
		ck_assert_uint_eq(twin.records, f.records);
		if (n > 0 && !cache_twin_is_chained(n))
			buf_byte(&stitch.text, ',');
		stitch_run(&stitch, twin.run, twin.run_len, twin.crc, twin.content_bytes);
	}
	ck_status(stitch_end(&stitch, 0, &packed), STATUS_OK);
	stitch_fini(&stitch);
	return missing;
}

static uint32_t
fragments_in(struct cache_view *v, const struct cache_source *src, uint64_t records)
{
	const struct row *rows;
	size_t count;
	if (records == 0)
		return 0;
	ck_status(cache_view_rows(v, src, records - 1, &rows, &count), STATUS_OK);
	return rows[0].fragment + 1;
}

/* How many twins the current result of the query lacks; those that it has are right. */
static unsigned
missing_twins(unsigned query)
{
	struct cache_result *r;
	struct cache_view *v;
	unsigned missing = 0;
	ck_status(lookup(query, &r), STATUS_OK);
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	const struct cache_manifest *m = cache_manifest(r);
	for (size_t i = 0; i < m->part_count; i++) {
		struct cache_source src = cache_source_part(r, i);
		unsigned here = join_part(v, &src, fragments_in(v, &src, m->parts[i].records));
		missing += here;
		if (here > 0)
			continue;
		unit_inflate(&member, &inflated);
		ck_assert_uint_eq(inflated.len, text.len);
		ck_assert(text.len == 0 || memcmp(inflated.data, text.data, text.len) == 0);
	}
	cache_view_close(v);
	cache_release(r);
	return missing;
}

static void
want_twins(unsigned query)
{
	struct cache_result *r;
	ck_status(lookup(query, &r), STATUS_OK);
	cache_want_twins(r);
	cache_release(r);
}

/* Makes what is wanted; gives in how many steps. */
static unsigned
make_wanted(void)
{
	unsigned steps = 0;
	for (bool more = true; more; steps += more) {
		more = false;
		ck_status(cache_make_twins(cache, &more), STATUS_OK);
		ck_assert_uint_lt(steps, 10000);
	}
	return steps;
}

static void
setup_twins(void)
{
	setup();
	buf_init(&text, GIB);
	buf_init(&member, GIB);
	buf_init(&inflated, GIB);
}

static void
teardown_twins(void)
{
	buf_fini(&text);
	buf_fini(&member);
	buf_fini(&inflated);
	teardown();
}

/* Of every length of parts and of commits: what a commit leaves open gets its twin later. */
START_TEST(twins_are_what_their_fragments_are)
{
	struct sample s = shapes[_i];
	publish(&s);
	sweep_all(NOW); /* what failed attempts have left */
	ck_assert_uint_eq(entries(ENV_TWINS), entries(ENV_BODIES));
	ck_assert_uint_eq(missing_twins(s.query), 0);
	reopen();
	ck_assert_uint_eq(missing_twins(s.query), 0);
}
END_TEST

START_TEST(a_fragment_that_still_fills_has_no_twin)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {50}};
	struct cache_stage *stage;
	struct cache_part *p;
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 0, &p), STATUS_OK);
	for (size_t n = 0; n < 50; n++) {
		ck_status(add_records(p, &s, 0, n, 1), STATUS_OK);
		ck_status(n < 49 ? cache_part_commit(p) : cache_part_end(p), STATUS_OK);
		ck_assert_uint_eq(entries(ENV_TWINS), n < 49 ? (n + 1) / 20 : 3);
	}
	cache_part_close(p);
	cache_stage_abandon(stage);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_TWINS), 0);
}
END_TEST

/* The value of a twin, as it stands in the store. */
static void
copy_twin(unsigned query, size_t call, uint32_t number, struct buf *out)
{
	struct cache_result *r;
	struct cache_view *v;
	struct cache_twin twin;
	ck_status(lookup(query, &r), STATUS_OK);
	struct cache_source src = cache_source_part(r, call);
	ck_status(cache_view_open(cache, &v), STATUS_OK);
	ck_status(cache_view_twin(v, &src, number, &twin), STATUS_OK);
	buf_reset(out);
	buf_add(out, twin.run, twin.run_len);
	cache_view_close(v);
	cache_release(r);
}

START_TEST(twins_that_come_later_are_the_same)
{
	struct sample s = {
	    .query = 1, .generation = 1, .parts = 3, .records = {9000, 0, 333}, .padding = 3000};
	s.commit_each = 33; /* what is kept of one commit serves the next */
	publish(&s);
	close_store();
	twins_mode = CACHE_TWINS_LAZY;
	open_store();
	s.query = 2;
	publish(&s);
	uint64_t made = entries(ENV_TWINS);
	ck_assert_uint_eq(entries(ENV_BODIES), 2 * made);
	ck_assert_uint_eq(make_wanted(), 0); /* nobody has missed them */
	ck_assert_uint_eq(entries(ENV_TWINS), made);
	want_twins(2);
	ck_assert_uint_gt(make_wanted(), 2); /* a bounded number at a time */
	ck_assert_uint_eq(entries(ENV_TWINS), 2 * made);
	ck_assert_uint_eq(missing_twins(2), 0);
	ck_assert_uint_eq(make_wanted(), 0);
	assert_reads(2, &s);
}
END_TEST

START_TEST(without_twins_none_are_made)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 1, .records = {100}};
	close_store();
	twins_mode = CACHE_TWINS_OFF;
	open_store();
	publish(&s);
	want_twins(1);
	ck_assert_uint_eq(make_wanted(), 0);
	ck_assert_uint_eq(entries(ENV_TWINS), 0);
	assert_reads(1, &s);
}
END_TEST

START_TEST(twins_that_come_later_evict_nothing)
{
	struct sample s = {
	    .generation = 1, .parts = 1, .records = {4000}, .padding = 2000, .noise = true};
	close_store();
	twins_mode = CACHE_TWINS_LAZY;
	open_sized(64 * MIB);
	for (s.query = 1; stats().used_bytes < 45 * MIB; s.query++) {
		publish(&s);
		ck_assert_uint_lt(s.query, 20);
	}
	uint64_t results = stats().results;
	for (unsigned query = 1; query < s.query; query++)
		want_twins(query);
	make_wanted();
	ck_assert_uint_eq(stats().results, results);
	ck_assert_uint_le(stats().used_bytes, 64 * MIB / 100 * 80);
	ck_assert_uint_gt(entries(ENV_TWINS), 100);
}
END_TEST

/* Whatever of it is damaged: the result is not, and the twin is made anew. */
START_TEST(a_damaged_twin_is_made_anew)
{
	struct sample s = {.query = 1,
	    .generation = 1,
	    .parts = 1,
	    .records = {20},
	    .padding = 1000,
	    .noise = true};
	struct buf twin;
	char path[256];
	size_t len;
	publish(&s);
	buf_init(&twin, MIB);
	copy_twin(1, 0, 0, &twin);
	ck_assert_uint_gt(twin.len, 2100); /* it stands alone in the file */
	close_store();
	data_path(path);
	char *bytes = slurp(path, &len);
	size_t begin = offset_of(bytes, len, "PGTW");
	free(bytes);
	for (size_t i = 0; i < 20 + twin.len; i += i < 30 ? 1 : 97) {
		flip(begin + i, (uint8_t)(1 << i % 8));
		open_store();
		ck_assert_msg(missing_twins(1) == 1, "offset %zu", i);
		assert_reads(1, &s);
		close_store();
		flip(begin + i, (uint8_t)(1 << i % 8));
	}
	flip(begin + 25, 1);
	open_store();
	ck_assert_uint_eq(missing_twins(1), 1);
	want_twins(1);
	ck_assert_uint_eq(make_wanted(), 1);
	ck_assert_uint_eq(missing_twins(1), 0);
	assert_reads(1, &s);
	buf_fini(&twin);
}
END_TEST

/* The page that its value begins on says another length: LMDB would believe it, and must not be let
 * near it. */
START_TEST(a_twin_on_a_damaged_page_is_left_alone)
{
	struct sample s = {.query = 1,
	    .generation = 1,
	    .parts = 1,
	    .records = {20},
	    .padding = 1000,
	    .noise = true};
	char path[256];
	size_t len;
	publish(&s);
	data_path(path);
	char *bytes = slurp(path, &len);
	size_t begin = offset_of(bytes, len, "PGTW");
	free(bytes);
	flip(
	    begin - 4, 8); /* behind the back of the one that looks at the file when it is opened */
	ck_assert_uint_eq(missing_twins(1), 1);
	assert_reads(1, &s);
	want_twins(1);
	make_wanted();
	ck_assert_uint_eq(missing_twins(1), 1);
	ck_assert(stats().writable);
	assert_reads(1, &s);
	s.query = 2;
	publish(&s);
	assert_reads(2, &s);
}
END_TEST

START_TEST(twins_go_with_their_result)
{
	struct sample s = {.query = 1, .generation = 1, .parts = 2, .records = {700, 50}};
	struct cache_result *r;
	bool more = false;
	uint64_t dropped;
	close_store();
	twins_mode = CACHE_TWINS_LAZY;
	open_store();
	publish(&s);
	ck_status(lookup(1, &r), STATUS_OK);
	cache_want_twins(r);
	ck_status(cache_make_twins(cache, &more), STATUS_OK);
	ck_assert_uint_gt(entries(ENV_TWINS), 0);
	ck_status(cache_drop_policy(cache, 1, &dropped), STATUS_OK);
	cache_want_twins(r);
	make_wanted(); /* of what is dropped none are made any more */
	cache_release(r);
	sweep_all(NOW);
	ck_assert_uint_eq(entries(ENV_TWINS), 0);
	ck_assert_uint_eq(entries(ENV_BODIES), 0);
	ck_assert_uint_eq(entries(ENV_LOOSE), 0);
}
END_TEST

static void
add_twins(Suite *suite)
{
	TCase *t = tcase_create("twins");
	tcase_add_checked_fixture(t, setup_twins, teardown_twins);
	tcase_set_timeout(t, 60);
	suite_add_tcase(suite, t);
	tcase_add_loop_test(t, twins_are_what_their_fragments_are, 0, ARRAY_LEN(shapes));
	tcase_add_test(t, a_fragment_that_still_fills_has_no_twin);
	tcase_add_test(t, twins_that_come_later_are_the_same);
	tcase_add_test(t, without_twins_none_are_made);
	tcase_add_test(t, twins_that_come_later_evict_nothing);
	tcase_add_test(t, a_damaged_twin_is_made_anew);
	tcase_add_test(t, a_twin_on_a_damaged_page_is_left_alone);
	tcase_add_test(t, twins_go_with_their_result);
}

/* ================================================================ */

static TCase *
tcase(Suite *suite, const char *name)
{
	TCase *t = tcase_create(name);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	suite_add_tcase(suite, t);
	return t;
}

static void
add_finding(Suite *suite)
{
	TCase *t = tcase(suite, "finding");
	tcase_add_test(t, a_new_store_is_empty);
	tcase_add_test(t, a_stage_is_invisible_until_it_is_published);
	tcase_add_test(t, an_empty_result_can_be_published);
	tcase_add_test(t, refuses_to_publish_what_was_not_committed);
	tcase_add_test(t, a_digest_with_another_text_is_not_found);
	tcase_add_test(t, ids_grow_even_if_the_clock_goes_back);
	tcase_add_test(t, queries_are_remembered_until_their_time);
	tcase_add_test(t, remembering_a_known_query_costs_no_commit);
	tcase_add_test(t, publishing_remembers_the_query);
	tcase_add_test(t, a_shorter_life_does_not_shorten_a_remembered_query);
	tcase_add_test(t, lists_results_newest_first);
	tcase_add_test(t, results_outlive_a_restart);
	tcase_add_test(t, notes_are_found_again_after_a_restart);
	tcase_add_test(t, notes_are_no_results);
	tcase_add_test(t, large_notes_have_a_bound);
}

static void
add_reading(Suite *suite)
{
	TCase *t = tcase(suite, "reading");
	tcase_add_loop_test(t, what_was_put_in_comes_out, 0, ARRAY_LEN(shapes));
	tcase_add_test(t, every_commit_tells_and_can_be_read);
	tcase_add_test(t, small_commits_fill_the_same_fragments_and_blocks);
	tcase_add_test(t, large_parts_commit_by_themselves);
	tcase_add_test(t, a_stage_can_be_abandoned_while_its_records_are_written);
	tcase_add_test(t, locates_every_ordinal);
	tcase_add_test(t, reads_nothing_beyond_a_part);
	tcase_add_test(t, a_view_older_than_the_result_does_not_condemn_it);
	tcase_add_test(t, a_view_of_half_the_part_does_not_condemn_it);
	tcase_add_test(t, a_slice_ends_where_rows_do_not_follow_each_other);
	tcase_add_test(t, refuses_a_record_beyond_the_limits);
}

static void
add_sweeping(Suite *suite)
{
	TCase *t = tcase(suite, "sweeping");
	tcase_add_test(t, a_replaced_result_is_readable_by_id_until_its_grace_ends);
	tcase_add_test(t, sliding_ends_at_keep_until);
	tcase_add_test(t, a_current_result_goes_at_keep_until);
	tcase_add_test(t, a_held_result_stays_readable_after_its_removal);
	tcase_add_test(t, abandoned_stages_and_dropped_attempts_are_swept);
	tcase_add_test(t, dropping_a_policy_drops_all_its_results);
	t = tcase(suite, "room");
	tcase_add_test(t, evicts_the_least_recently_used_and_no_more_than_needed);
	tcase_add_test(t, loose_data_goes_before_any_result);
	tcase_add_test(t, a_commit_evicts_when_the_quota_is_reached);
	tcase_add_test(t, a_full_store_still_serves_and_recovers);
	tcase_add_test(t, an_io_error_fences_but_hits_go_on);
	tcase_add_test(t, a_publication_that_fails_leaves_the_old_result);
	tcase_add_test(t, open_results_that_nobody_holds_take_bounded_memory);
	tcase_add_test(t, more_views_than_there_can_be_are_refused);
	tcase_add_test(t, a_full_map_is_full_and_usable_again);
	tcase_add_test(t, a_durable_commit_keeps_those_before_even_if_it_changes_nothing);
	tcase_add_test(t, what_cannot_be_synced_is_not_published);
	tcase_add_loop_test(t, hits_go_on_when_the_last_write_of_a_commit_fails, 0, 2);
}

static void
add_damage(Suite *suite)
{
	TCase *t = tcase(suite, "damage");
	tcase_add_loop_test(t, every_damaged_byte_is_found, 0, 3);
	tcase_add_test(t, a_quarantined_result_is_swept_and_made_anew);
	tcase_add_test(t, dropping_all_leaves_none_for_a_restart);
	tcase_add_test(t, a_damaged_manifest_is_no_reason_to_stop_listing);
	tcase_add_test(t, inspecting_damage_never_goes_astray);
	tcase_add_test(t, refuses_what_cannot_hold_a_store);
	tcase_add_loop_test(t, a_truncated_file_is_set_aside, 0, 8);
	tcase_add_test(t, a_file_that_lost_its_last_byte_is_damaged);
	tcase_add_test(t, a_damaged_query_is_remembered_anew);
	tcase_add_test(t, a_damaged_note_is_not_given_out);
	tcase_add_test(t, a_note_under_a_foreign_name_is_damage);
	tcase_add_test(t, an_empty_file_is_a_new_store);
	tcase_add_test(t, garbage_is_set_aside);
	tcase_add_test(t, another_format_is_set_aside_unchanged);
	tcase_add_test(t, only_the_last_one_set_aside_is_kept);
	tcase_add_loop_test(t, a_lost_or_foreign_reader_table_does_no_harm, 0, 2);
	tcase_add_loop_test(t, one_damaged_meta_page_is_no_wrong_data, 0, 2);
	tcase_add_loop_test(t, no_damage_of_the_file_is_fatal_or_gives_wrong_data, 0, 4);
	tcase_add_test(t, folders_and_files_are_the_owners_alone);
}

int
main(void)
{
	Suite *suite = suite_create("cache");
	add_finding(suite);
	add_reading(suite);
	add_sweeping(suite);
	add_damage(suite);
	add_twins(suite);
	TCase *t = tcase(suite, "processes");
	tcase_add_test(t, a_second_process_is_told_that_it_is_busy);
	tcase_add_test(t, a_crash_leaves_the_published_and_nothing_else);
	tcase_add_test(t, kills_at_any_moment_lose_nothing_that_was_published);
	t = tcase(suite, "threads");
	tcase_add_test(t, readers_see_whole_generations_while_new_ones_are_published);
	tcase_add_test(t, whatever_happens_at_once_is_read_right_and_leaves_nothing);
	tcase_add_test(t, parts_are_filled_side_by_side);
	t = tcase(suite, "model");
	tcase_add_loop_test(t, any_sequence_of_operations_agrees_with_a_model, 0, 4);
	return unit_run(suite);
}
