/* Numbers as bytes, the lowest first, in as many bytes as are said (1 to 8): for what stands in foreign
 * formats and in notes. (cache/bytes.h has what is read in place.) Pure.
 *
 * Threads: any.
 */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <stddef.h>
#include <stdint.h>

static inline void
le_put(uint8_t *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t
le_get(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

#endif
