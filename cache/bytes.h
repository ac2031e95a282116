/* Numbers and keys as they stand on disk: values little-endian, keys big-endian, so that the
 * order of the keys is the order of the numbers. Pure.
 *
 * Threads: any.
 */
#ifndef CACHE_BYTES_H
#define CACHE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gateway/base/codec.h"

/* Rows are read in place, so memory order and disk order must be one. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the store's format is little-endian, and rows are read in place"
#endif

static inline uint32_t
bytes_u32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof v);
	return v;
}

static inline uint64_t
bytes_u64(const uint8_t *at)
{
	uint64_t v;
	memcpy(&v, at, sizeof v);
	return v;
}

static inline void
bytes_put_u32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof v);
}

static inline void
bytes_put_u64(uint8_t *at, uint64_t v)
{
	memcpy(at, &v, sizeof v);
}

static inline uint64_t
bytes_u64_be(const uint8_t *at)
{
	return __builtin_bswap64(bytes_u64(at));
}

static inline void
bytes_put_u64_be(uint8_t *at, uint64_t v)
{
	bytes_put_u64(at, __builtin_bswap64(v));
}

static inline void
bytes_put_u32_be(uint8_t *at, uint32_t v)
{
	bytes_put_u32(at, __builtin_bswap32(v));
}

/* The key of a row block or a fragment: id, call, attempt, number. */
#define DATA_KEY_BYTES 20

struct data_key {
	uint8_t bytes[DATA_KEY_BYTES];
};

static inline struct data_key
data_key(uint64_t id, uint32_t call, uint32_t attempt, uint32_t number)
{
	struct data_key k = {0};
	bytes_put_u64_be(k.bytes, id);
	bytes_put_u32_be(k.bytes + 8, call);
	bytes_put_u32_be(k.bytes + 12, attempt);
	bytes_put_u32_be(k.bytes + 16, number);
	return k;
}

/* The checksum of a row block or fragment, which stands in its bytes 4 to 7: of its key, so that
 * a value under a foreign key is damage too, and of all that follows. len >= 8. */
static inline uint32_t
data_checksum(const struct data_key *key, const uint8_t *bytes, size_t len)
{
	uint32_t crc = codec_crc32(0, key->bytes, sizeof key->bytes);
	return codec_crc32(crc, bytes + 8, len - 8);
}

#endif
