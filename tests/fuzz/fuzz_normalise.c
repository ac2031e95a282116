/* Two kinds of input, by the first byte. Even: JSON records; each goes there, back, and there
 * again to the same normal form. Odd: a memo, and behind a byte FF a body, as a damaged store
 * could hold them. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/fetch/normalise.h"
#include "tests/fuzz/fuzz.h"

struct trip {
	struct buf body, memo, back;
	enum status st;
};

static void
init(struct trip *t)
{
	buf_init(&t->body, 32 * MIB);
	buf_init(&t->memo, UINT16_MAX);
	buf_init(&t->back, 32 * MIB);
}

static void
fini(struct trip *t)
{
	buf_fini(&t->body);
	buf_fini(&t->memo);
	buf_fini(&t->back);
}

static void
there_and_back(struct trip *t, const struct split_record *rec)
{
	struct row row;
	t->st = normalise(rec, &t->body, &t->memo, &row);
	if (t->st != STATUS_OK) {
		FUZZ_MUST(t->st == STATUS_UPSTREAM_MALFORMED && t->body.len == 0);
		return;
	}
	FUZZ_MUST(row.id > 0);
	FUZZ_MUST(normalise_inverse(t->body.data, t->body.len, (uint8_t *)t->memo.data, t->memo.len,
		      &t->back) == STATUS_OK);
}

static enum status
second(void *ctx, const struct split_record *rec)
{
	there_and_back(ctx, rec);
	return STATUS_OK;
}

/* Splits an array of one record; anything else is a fault. */
static void
split_one(const struct buf *record, split_record_f *f, void *ctx)
{
	struct split *s = split_new(f, ctx);
	const struct {
		const char *at;
		size_t len;
	} parts[] = {{"[", 1}, {record->data, record->len}, {"]", 1}};
	FUZZ_MUST(s != NULL);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		for (size_t at = 0, room, n; at < parts[i].len; at += n) {
			uint8_t *window = split_window(s, &room);
			FUZZ_MUST(window != NULL);
			n = parts[i].len - at < room ? parts[i].len - at : room;
			memcpy(window, parts[i].at + at, n);
			FUZZ_MUST(split_advance(s, n) == STATUS_OK);
		}
	FUZZ_MUST(split_finish(s) == STATUS_OK && split_records(s) == 1);
	split_free(s);
}

static enum status
nothing(void *ctx, const struct split_record *rec)
{
	(void)ctx;
	(void)rec;
	return STATUS_OK;
}

static enum status
first(void *ctx, const struct split_record *rec)
{
	struct trip a, b;
	(void)ctx;
	init(&a);
	init(&b);
	there_and_back(&a, rec);
	/* 46 members and a few marks may take the normal form over what the splitter takes */
	if (a.st == STATUS_OK && rec->len < 1 * MIB && rec->count < LIMIT_RECORD_MEMBERS - 50) {
		split_one(&a.body, nothing, NULL); /* valid, and no name twice */
		split_one(&a.back, second, &b);
		FUZZ_MUST(
		    b.st == STATUS_OK && a.body.len == b.body.len && a.memo.len == b.memo.len);
		FUZZ_MUST(memcmp(a.body.data, b.body.data, a.body.len) == 0);
		FUZZ_MUST(a.memo.len == 0 || memcmp(a.memo.data, b.memo.data, a.memo.len) == 0);
		FUZZ_MUST(
		    a.back.len == b.back.len && memcmp(a.back.data, b.back.data, a.back.len) == 0);
		buf_reset(&a.back);
		FUZZ_MUST(normal_project(a.body.data, a.body.len, UINT64_MAX, true, 0, &a.back) ==
			  STATUS_OK);
		FUZZ_MUST(
		    a.back.len == a.body.len && memcmp(a.back.data, a.body.data, a.body.len) == 0);
	}
	fini(&a);
	fini(&b);
	return STATUS_OK;
}

static void
run_records(const uint8_t *bytes, size_t len)
{
	struct split *s = split_new(first, NULL);
	enum status st = STATUS_OK;
	FUZZ_MUST(s != NULL);
	for (size_t room, n; len > 0 && st == STATUS_OK; bytes += n, len -= n) {
		uint8_t *window = split_window(s, &room);
		FUZZ_MUST(window != NULL);
		n = len < room ? len : room;
		memcpy(window, bytes, n);
		st = split_advance(s, n);
	}
	split_free(s);
}

static void
run_store(const uint8_t *bytes, size_t len)
{
	const uint8_t *end = memchr(bytes, 0xff, len);
	struct buf out;
	if (end == NULL)
		return;
	const char *body = (const char *)end + 1;
	size_t memo_len = (size_t)(end - bytes), body_len = len - memo_len - 1;
	buf_init(&out, 32 * MIB);
	(void)!normalise_inverse(body, body_len, bytes, memo_len, &out);
	buf_reset(&out);
	(void)!normal_project(body, body_len, 0x5555555555555555, true, 0xf0f0, &out);
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return 0;
	if (bytes[0] % 2 == 0)
		run_records(bytes + 1, len - 1);
	else
		run_store(bytes + 1, len - 1);
	return 0;
}
