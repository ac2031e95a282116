/* Any bytes as a policy list: a defined end, no byte read beyond it, and records that are valid JSON
 * objects themselves. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/fetch/listing.h"
#include "tests/fuzz/fuzz.h"

struct back {
	size_t members, records;
};

/* A record that was written is split like one that came. */
static enum status
count_record(void *ctx, const struct split_record *rec)
{
	struct back *back = ctx;
	FUZZ_MUST(rec->count == back->members);
	back->records++;
	return STATUS_OK;
}

static enum status
read_back(const struct buf *array, size_t members)
{
	struct listing list = {.policies = array->data, .policies_len = array->len};
	struct back back = {members, 0};
	enum status st = listing_each(&list, count_record, &back);
	FUZZ_MUST(st != STATUS_OK || back.records == 1);
	return st;
}

static enum status
write_one(const struct split_record *rec, uint64_t subscription, bool tags)
{
	struct row row;
	struct buf b;
	buf_init(&b, LIMIT_RECORD_BYTES + 4 * KIB);
	buf_byte(&b, '[');
	enum status st = listing_policy(rec, subscription, tags, &b, &row);
	buf_byte(&b, ']');
	if (st == STATUS_OK) {
		FUZZ_MUST(row.id > 0 && row.id <= INT64_MAX && row.policy == row.id);
		FUZZ_MUST(read_back(&b, tags ? 11 : 10) == STATUS_OK);
	}
	buf_fini(&b);
	return st;
}

static enum status
write_record(void *ctx, const struct split_record *rec)
{
	struct listing *list = ctx;
	enum status st = write_one(rec, list->subscription, true);
	return st == STATUS_OK ? write_one(rec, list->subscription, false) : st;
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
