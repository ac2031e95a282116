/* Any bytes as a policy list: a defined end, no byte read beyond it, and records that are valid JSON
 * objects themselves. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/fetch/listing.h"
#include "tests/fuzz/fuzz.h"

/* A record that was written is split like one that came. */
static enum status
count_record(void *ctx, const struct split_record *rec)
{
	size_t *count = ctx;
	FUZZ_MUST(rec->count == 10);
	(*count)++;
	return STATUS_OK;
}

static enum status
read_back(const struct buf *array)
{
	struct listing list = {.policies = array->data, .policies_len = array->len};
	size_t count = 0;
	enum status st = listing_each(&list, count_record, &count);
	FUZZ_MUST(st != STATUS_OK || count == 1);
	return st;
}

static enum status
write_record(void *ctx, const struct split_record *rec)
{
	struct listing *list = ctx;
	struct row row;
	struct buf b;
	buf_init(&b, LIMIT_RECORD_BYTES + 4 * KIB);
	buf_byte(&b, '[');
	enum status st = listing_policy(rec, list->subscription, &b, &row);
	buf_byte(&b, ']');
	if (st == STATUS_OK) {
		FUZZ_MUST(row.id > 0 && row.id <= INT64_MAX && row.policy == row.id);
		FUZZ_MUST(read_back(&b) == STATUS_OK);
	}
	buf_fini(&b);
	return st;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct listing list;
	enum status st = listing_open((const char *)bytes, len, &list);
	if (st != STATUS_OK) {
		FUZZ_MUST(st == STATUS_UPSTREAM_BAD_DATA || st == STATUS_UPSTREAM_MALFORMED);
		return 0;
	}
	FUZZ_MUST(list.subscription <= INT64_MAX && list.policies_len <= len);
	(void)!listing_each(&list, write_record, &list);
	return 0;
}
