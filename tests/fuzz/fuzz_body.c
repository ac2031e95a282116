/* Any bytes as a body of the drop-in surface's postureInfo, the first one choosing the version: a
 * defined end with a sentence, and lists that are what the rest of the gateway takes for granted. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/legacy/body.h"
#include "tests/fuzz/fuzz.h"

static void
check_want(const struct legacy_want *w)
{
	FUZZ_MUST(
	    w->subscription > 0 && w->subscription <= QUERY_ID_MAX && w->policy <= QUERY_ID_MAX);
	FUZZ_MUST((w->policy != 0) == (w->hosts.count > 0));
	FUZZ_MUST((w->policy == 0) == (w->postures.count > 0));
	for (size_t i = 0; i < w->hosts.count; i++)
		FUZZ_MUST(w->hosts.ids[i] > (i > 0 ? w->hosts.ids[i - 1] : 0));
	for (size_t i = 0; i < w->postures.count; i++) {
		const struct id_range *r = &w->postures.ranges[i];
		FUZZ_MUST(r->first >= 1 && r->first <= r->last && r->last <= QUERY_ID_MAX);
		FUZZ_MUST(i == 0 || r->first > r[-1].last + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const versions[] = {"1.0", "2.0", "3.0", "4.0", "5.0"};
	struct arena arena;
	struct legacy_wants wants;
	const char *message = NULL;
	if (len == 0)
		return 0;
	arena_init(&arena, LIMIT_ARENA_BYTES);
	enum status st = legacy_body_read(&arena, versions[bytes[0] % ARRAY_LEN(versions)],
	    (const char *)bytes + 1, len - 1, &wants, &message);
	if (st == STATUS_OK)
		for (size_t i = 0; i < wants.count; i++)
			check_want(&wants.list[i]);
	else
		FUZZ_MUST((st == STATUS_BAD_REQUEST || st == STATUS_TOO_LARGE) && message != NULL &&
			  strlen(message) > 0);
	arena_fini(&arena);
	return 0;
}
