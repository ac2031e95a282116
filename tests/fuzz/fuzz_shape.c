/* The first two bytes say what is asked for: of the first, the lowest bit is the kind of input and
 * the others choose the version; the second chooses the view. Then, if that bit is unset, JSON
 * records: each in its shape is a record again, and that one's shape is itself. If it is set, a
 * memo, and behind a byte FF a body, as a damaged store could hold them. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/legacy/shape.h"
#include "tests/fuzz/fuzz.h"

static struct shape_view
view_of(uint8_t version, uint8_t bits)
{
	static const char *const versions[] = {"5.0", "4.0", "3.0", "2.0", "1.0"};
	struct shape_view v = {
	    .shape = shape_find(versions[version % ARRAY_LEN(versions)], 3),
	    .evidence = (enum query_evidence)(2 - bits % 3), /* 0: all there is */
	    .cloud = (bits & 16) == 0,
	    .qds = (bits & 32) == 0,
	    .hide_evidence = (bits & 64) != 0,
	};
	FUZZ_MUST(v.shape != NULL);
	return v;
}

static enum status
write_one(const struct shape_view *v, const char *body, size_t body_len, const uint8_t *memo,
    size_t memo_len, struct buf *out)
{
	struct shape_writer w;
	uint32_t changes = 0;
	shape_writer_init(&w);
	enum status st = shape_write(&w, v, body, body_len, memo, memo_len, out, &changes);
	FUZZ_MUST(st == STATUS_OK || (out->len == 0 && changes == 0));
	FUZZ_MUST(changes >> change_count() == 0);
	shape_writer_fini(&w);
	return st;
}

/* Splits an array; anything but records is a fault where they must be good. */
static enum status
split_all(const char *text, size_t len, split_record_f *f, void *ctx)
{
	struct split *s = split_new(f, ctx);
	enum status st = STATUS_OK;
	FUZZ_MUST(s != NULL);
	for (size_t room, n; len > 0 && st == STATUS_OK; text += n, len -= n) {
		uint8_t *window = split_window(s, &room);
		FUZZ_MUST(window != NULL);
		n = len < room ? len : room;
		memcpy(window, text, n);
		st = split_advance(s, n);
	}
	split_free(s);
	return st;
}

struct trip {
	struct shape_view view;
	struct buf out; /* '[', the shape, ']' */
	bool again;     /* the record is a shape, and out is what it came from */
};

static enum status
on_record(void *ctx, const struct split_record *rec)
{
	struct trip *t = ctx;
	struct buf body, memo, out;
	struct row row;

	buf_init(&body, 32 * MIB);
	buf_init(&memo, UINT16_MAX);
	buf_init(&out, 32 * MIB);
	enum status st = normalise(rec, &body, &memo, &row);
	FUZZ_MUST(st == STATUS_OK || !t->again);
	if (st == STATUS_OK && rec->len < 1 * MIB)
		FUZZ_MUST(write_one(&t->view, body.data, body.len, (uint8_t *)memo.data, memo.len,
			      &out) == STATUS_OK);
	/* an odd name inside of 3.0's cloudResourceMetadata may not come back from text */
	if (t->again && t->view.shape->pairs != 2) {
		FUZZ_MUST(out.len + 2 == t->out.len);
		FUZZ_MUST(memcmp(out.data, t->out.data + 1, out.len) == 0);
	} else if (!t->again && out.len > 0) {
		struct trip next = {.view = t->view, .again = true};
		buf_init(&next.out, 32 * MIB);
		buf_byte(&next.out, '[');
		buf_add(&next.out, out.data, out.len);
		buf_byte(&next.out, ']');
		FUZZ_MUST(split_all(next.out.data, next.out.len, on_record, &next) == STATUS_OK);
		buf_fini(&next.out);
	}
	buf_fini(&body);
	buf_fini(&memo);
	buf_fini(&out);
	return STATUS_OK;
}

static void
run_store(const struct shape_view *v, const uint8_t *bytes, size_t len)
{
	const uint8_t *end = memchr(bytes, 0xff, len);
	struct buf out;
	if (end == NULL)
		return;
	const char *body = (const char *)end + 1;
	size_t memo_len = (size_t)(end - bytes), body_len = len - memo_len - 1;
	buf_init(&out, 32 * MIB);
	enum status st = write_one(v, body, body_len, bytes, memo_len, &out);
	FUZZ_MUST(st == STATUS_OK || st == STATUS_CORRUPT);
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len < 2)
		return 0;
	struct trip t = {.view = view_of(bytes[0] / 2, bytes[1])};
	if (bytes[0] % 2 != 0)
		run_store(&t.view, bytes + 2, len - 2);
	else
		(void)!split_all((const char *)bytes + 2, len - 2, on_record, &t);
	return 0;
}
