#include "config.h"

#include "cache/twin.h"
#include "gateway/base/limits.h"

#define MAGIC UINT32_C(0x57544750) /* "PGTW" */

bool
cache_twin_is_chained(uint32_t number)
{
	return number % LIMIT_TWIN_CHAIN != 0;
}

void
twin_encode(struct packer *p, const struct data_key *key, uint32_t number, size_t count,
    const char *before, size_t before_len, const char *content, size_t len, uint32_t crc,
    struct buf *out)
{
	size_t begin = out->len, chained = cache_twin_is_chained(number) ? 1 : 0;
	char *header = buf_room(out, TWIN_HEADER_BYTES);
	if (header == NULL)
		return;
	memset(header, 0, TWIN_HEADER_BYTES);
	buf_used(out, TWIN_HEADER_BYTES);
	packer_begin(p, before, chained ? before_len : 0);
	packer_add(p, ",", chained, out);
	packer_add(p, content, len, out);
	packer_end(p, out);
	if (out->err != STATUS_OK)
		return;
	uint8_t *at = (uint8_t *)out->data + begin;
	crc = codec_crc32_combine(codec_crc32(0, ",", chained), crc, len);
	bytes_put_u32(at, MAGIC);
	bytes_put_u32(at + 8, (uint32_t)count);
	bytes_put_u32(at + 12, (uint32_t)(len + chained));
	bytes_put_u32(at + 16, crc);
	bytes_put_u32(at + 4, data_checksum(key, at, out->len - begin));
}

enum status
twin_decode(const uint8_t *bytes, size_t len, const struct data_key *key, uint32_t number,
    struct cache_twin *ret)
{
	if (len < TWIN_HEADER_BYTES || bytes_u32(bytes) != MAGIC)
		return STATUS_CORRUPT;
	size_t count = bytes_u32(bytes + 8), content = bytes_u32(bytes + 12);
	bool chained = cache_twin_is_chained(number);
	if (count == 0 || count > LIMIT_FRAGMENT_RECORDS || content < (chained ? 1 : 0))
		return STATUS_CORRUPT;
	if (key != NULL && bytes_u32(bytes + 4) != data_checksum(key, bytes, len))
		return STATUS_CORRUPT;
	*ret = (struct cache_twin){
	    .run = bytes + TWIN_HEADER_BYTES,
	    .run_len = len - TWIN_HEADER_BYTES,
	    .crc = bytes_u32(bytes + 16),
	    .content_bytes = content,
	    .records = count,
	};
	return STATUS_OK;
}
