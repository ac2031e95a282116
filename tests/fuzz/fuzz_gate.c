/* Any bytes as the note of a gate, with the magic and the checksum made right: refused, or a gate
 * that opens in the end and whose own note says the same. The first byte chooses the clocks. */
#include "config.h"

#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/codec.h"
#include "gateway/upstream/gate.h"
#include "tests/fuzz/fuzz.h"

#define OPEN_IN_MS INT64_C(86400000) /* the longest window */

static void
use(struct gate *g, int64_t mono_ms)
{
	int64_t at = gate_opens_at(g, mono_ms);
	struct gate_call c;
	FUZZ_MUST(at >= mono_ms && at <= mono_ms + OPEN_IN_MS);
	FUZZ_MUST(gate_own(g, mono_ms) <= GATE_RATE_MOST);
	FUZZ_MUST(gate_forecast_at(g, 1, mono_ms) <= gate_forecast_at(g, UINT64_MAX, mono_ms));
	gate_give(g, &c, at);
	FUZZ_MUST(gate_opens_at(g, at) >= at);
	gate_done(g, &c, GATE_UNMADE, NULL, at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static uint8_t note[GATE_NOTE_BYTES], again[GATE_NOTE_BYTES];
	static const struct gate_limits set = {25, 60000, 2};
	struct gate g, h;
	if (len < 9 || len - 1 > sizeof note)
		return 0;
	int64_t mono_ms = bytes[0] % 2 == 0 ? 1000 : INT64_C(100000000000);
	int64_t wall_ms = bytes[0] % 4 < 2 ? INT64_C(1790000000000) : 1;
	len--;
	memcpy(note, bytes + 1, len);
	memcpy(note, "PGBN", 4);
	uint32_t crc = codec_crc32(0, note + 8, len - 8);
	for (size_t i = 0; i < 4; i++)
		note[4 + i] = (uint8_t)(crc >> (8 * i));
	FUZZ_MUST(gate_init(&g, API_HOSTIDS, &set, false));
	FUZZ_MUST(gate_init(&h, API_HOSTIDS, &set, false));
	if (gate_read(&g, note, len, mono_ms, wall_ms)) {
		size_t again_len = gate_write(&g, mono_ms, wall_ms, again);
		FUZZ_MUST(again_len <= GATE_NOTE_BYTES);
		FUZZ_MUST(gate_read(&h, again, again_len, mono_ms, wall_ms));
		FUZZ_MUST(gate_own(&g, mono_ms) == gate_own(&h, mono_ms));
		FUZZ_MUST(gate_foreign(&g, mono_ms) == gate_foreign(&h, mono_ms));
		FUZZ_MUST(gate_running(&g, mono_ms) == gate_running(&h, mono_ms));
		FUZZ_MUST(gate_opens_at(&g, mono_ms) == gate_opens_at(&h, mono_ms));
		use(&g, mono_ms);
	}
	gate_fini(&g);
	gate_fini(&h);
	return 0;
}
