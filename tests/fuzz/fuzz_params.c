/* Any bytes as a query string of the drop-in surface, the first one choosing call and version: refused
 * with a sentence, or a query whose canonical text reads back. */
#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/legacy/params.h"
#include "tests/fuzz/fuzz.h"

static void
check_query(struct arena *a, const struct query *q)
{
	struct query back;
	struct buf text;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(q, &text);
	FUZZ_MUST(query_from_canon(a, text.data, text.len, &back) == STATUS_OK);
	buf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const versions[] = {"1.0", "2.0", "3.0", "4.0", "5.0"};
	struct arena arena;
	struct legacy_asked asked;
	const char *message = NULL;
	if (len == 0 || len > LIMIT_URI_BYTES)
		return 0;
	enum upstream_api api = (enum upstream_api)(bytes[0] % API_COUNT);
	size_t most = api == API_POLICY_LIST ? 2 : ARRAY_LEN(versions);
	arena_init(&arena, LIMIT_ARENA_BYTES);
	enum status st = legacy_params_read(&arena, api, versions[bytes[0] / API_COUNT % most],
	    (const char *)bytes + 1, len - 1, &asked, &message);
	if (st != STATUS_OK)
		FUZZ_MUST(st == STATUS_BAD_REQUEST && message != NULL && strlen(message) > 0);
	else if (api != API_POSTURE_INFO && !asked.all_policies)
		check_query(&arena, &asked.query); /* postureInfo's is not whole without its body */
	arena_fini(&arena);
	return 0;
}
