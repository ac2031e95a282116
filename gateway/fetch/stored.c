#include "config.h"

#include "gateway/base/limits.h"
#include "gateway/fetch/stored.h"

struct cache_result *
stored_fresh(struct cache *cache, const struct query *q, int64_t now_ms)
{
	struct cache_result *result = NULL;
	uint8_t digest[SHA256_BYTES];
	struct buf text;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(q, &text);
	query_digest(text.data, text.len, digest);
	if (text.err != STATUS_OK ||
	    cache_lookup(cache, digest, text.data, text.len, now_ms, &result) != STATUS_OK)
		result = NULL;
	buf_fini(&text);
	if (result == NULL || now_ms < cache_manifest(result)->fresh_until_ms)
		return result;
	cache_release(result);
	return NULL;
}
