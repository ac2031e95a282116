/* Any bytes, whole and in pieces: the same content or refused both times. The first byte chooses
 * the pieces. */
#include "config.h"

#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "tests/fuzz/fuzz.h"

static enum status
run(const uint8_t *bytes, size_t len, size_t piece, size_t room, uint32_t *ret_sum)
{
	static uint8_t out[64 * KIB];
	struct inflater *inf = inflater_new(16 * MIB);
	enum status st = STATUS_OK;
	size_t made;
	*ret_sum = 0;
	FUZZ_MUST(inf != NULL);
	while (len > 0 && st == STATUS_OK) {
		size_t left = len < piece ? len : piece;
		len -= left;
		do {
			st = inflater_step(inf, &bytes, &left, out, room, &made);
			if (st == STATUS_OK)
				*ret_sum = codec_crc32(*ret_sum, out, made);
		} while (st == STATUS_OK && (left > 0 || made == room));
	}
	enum status end = inflater_finish(inf);
	FUZZ_MUST(st == STATUS_OK || end == st);
	inflater_free(inf);
	return end;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	uint32_t whole, pieces;
	if (len == 0)
		return 0;
	size_t piece = fuzz_piece(bytes[0]), room = piece < 64 * KIB ? piece : 64 * KIB;
	enum status a = run(bytes + 1, len - 1, SIZE_MAX, 64 * KIB, &whole);
	enum status b = run(bytes + 1, len - 1, piece, room, &pieces);
	/* which cap or error is met first may depend on the pieces */
	FUZZ_MUST((a == STATUS_OK) == (b == STATUS_OK) || a == STATUS_UPSTREAM_TOO_LARGE ||
		  b == STATUS_UPSTREAM_TOO_LARGE);
	FUZZ_MUST(a != STATUS_OK || b != STATUS_OK || whole == pieces);
	return 0;
}
