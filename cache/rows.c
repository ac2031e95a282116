#include "config.h"

#include <assert.h>

#include "cache/rows.h"
#include "gateway/base/limits.h"

#define MAGIC UINT32_C(0x42524750) /* "PGRB" */

static_assert(sizeof(struct row) == 88, "the row is the format");

size_t
rows_bytes(size_t count, size_t memo_bytes)
{
	return ROWS_HEADER_BYTES + count * sizeof(struct row) + memo_bytes;
}

void
rows_encode(uint8_t *out, const struct data_key *key, const struct row *rows, size_t count,
    const void *memos, size_t memo_bytes)
{
	uint8_t *at = out + ROWS_HEADER_BYTES;
	bytes_put_u32(out, MAGIC);
	bytes_put_u32(out + 8, (uint32_t)count);
	bytes_put_u32(out + 12, (uint32_t)memo_bytes);
	memcpy(at, rows, count * sizeof *rows);
	if (memo_bytes > 0)
		memcpy(at + count * sizeof *rows, memos, memo_bytes);
	bytes_put_u32(out + 4, data_checksum(key, out, rows_bytes(count, memo_bytes)));
}

enum status
rows_decode(const uint8_t *bytes, size_t len, const struct data_key *key, struct rows_block *ret)
{
	if (len < ROWS_HEADER_BYTES || bytes_u32(bytes) != MAGIC)
		return STATUS_CORRUPT;
	size_t count = bytes_u32(bytes + 8), memo_bytes = bytes_u32(bytes + 12);
	if (count == 0 || count > LIMIT_ROW_BLOCK || len != rows_bytes(count, memo_bytes))
		return STATUS_CORRUPT;
	if (key != NULL && bytes_u32(bytes + 4) != data_checksum(key, bytes, len))
		return STATUS_CORRUPT;
	const uint8_t *rows = bytes + ROWS_HEADER_BYTES;
	*ret = (struct rows_block){
	    .rows = rows,
	    .count = count,
	    .memos = rows + count * sizeof(struct row),
	    .memo_bytes = memo_bytes,
	};
	return STATUS_OK;
}
