/* Any bytes, whole and in pieces: the same records, the same end, and no byte read twice or
 * beyond. The first byte chooses the pieces. */
#include "config.h"

#include <string.h>

#include "gateway/base/codec.h"
#include "gateway/fetch/split.h"
#include "tests/fuzz/fuzz.h"

/* Sums up every byte of every span. */
static enum status
sum_record(void *ctx, const struct split_record *rec)
{
	uint32_t *sum = ctx;
	FUZZ_MUST(rec->len >= 2 && rec->text[0] == '{' && rec->text[rec->len - 1] == '}');
	*sum = codec_crc32(*sum, rec->text, rec->len);
	for (size_t i = 0; i < rec->count; i++) {
		const struct split_member *m = &rec->members[i];
		FUZZ_MUST(m->name[-1] == '"' && m->name[m->name_len] == '"' && m->value_len > 0);
		*sum = codec_crc32(*sum, m->name, m->name_len);
		*sum = codec_crc32(*sum, m->value, m->value_len);
	}
	return STATUS_OK;
}

static enum status
run(const uint8_t *bytes, size_t len, size_t piece, uint32_t *ret_sum, uint64_t *ret_offset)
{
	*ret_sum = 0;
	struct split *s = split_new(sum_record, ret_sum);
	enum status st = STATUS_OK;
	FUZZ_MUST(s != NULL);
	while (len > 0 && st == STATUS_OK) {
		size_t room, n = len < piece ? len : piece;
		uint8_t *window = split_window(s, &room);
		FUZZ_MUST(window != NULL);
		if (n > room)
			n = room;
		memcpy(window, bytes, n);
		st = split_advance(s, n);
		bytes += n;
		len -= n;
	}
	st = split_finish(s);
	*ret_offset = split_offset(s);
	split_free(s);
	return st;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	uint32_t whole, pieces;
	uint64_t whole_end, pieces_end;
	if (len == 0)
		return 0;
	enum status a = run(bytes + 1, len - 1, SIZE_MAX, &whole, &whole_end);
	enum status b = run(bytes + 1, len - 1, fuzz_piece(bytes[0]), &pieces, &pieces_end);
	FUZZ_MUST(a == b && whole == pieces && whole_end == pieces_end);
	return 0;
}
