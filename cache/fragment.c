#include "config.h"

#include "cache/fragment.h"
#include "gateway/base/limits.h"

#define MAGIC UINT32_C(0x52464750) /* "PGFR" */

size_t
fragment_bytes(size_t content_len)
{
	return FRAGMENT_HEADER_BYTES + content_len;
}

void
fragment_encode(uint8_t *out, const struct data_key *key, size_t count, const void *content,
    size_t len, uint32_t crc)
{
	bytes_put_u32(out, MAGIC);
	bytes_put_u32(out + 8, (uint32_t)count);
	bytes_put_u32(out + 12, (uint32_t)len);
	if (len > 0)
		memcpy(out + FRAGMENT_HEADER_BYTES, content, len);
	uint32_t begin = data_checksum(key, out, FRAGMENT_HEADER_BYTES);
	bytes_put_u32(out + 4, codec_crc32_combine(begin, crc, len));
}

enum status
fragment_decode(const uint8_t *bytes, size_t len, const struct data_key *key, struct fragment *ret)
{
	if (len < FRAGMENT_HEADER_BYTES || bytes_u32(bytes) != MAGIC)
		return STATUS_CORRUPT;
	size_t count = bytes_u32(bytes + 8), content = bytes_u32(bytes + 12);
	if (count == 0 || count > LIMIT_FRAGMENT_RECORDS || len != fragment_bytes(content))
		return STATUS_CORRUPT;
	if (key != NULL && bytes_u32(bytes + 4) != data_checksum(key, bytes, len))
		return STATUS_CORRUPT;
	*ret = (struct fragment){
	    .content = (const char *)bytes + FRAGMENT_HEADER_BYTES,
	    .len = content,
	    .count = count,
	};
	return STATUS_OK;
}
