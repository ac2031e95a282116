/* Numbers as decimal digits alone: without a sign, without a leading zero. Pure.
 *
 * Threads: any.
 */
#ifndef BASE_DIGITS_H
#define BASE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of the text; false if it is no such number, or one beyond the bounds. */
bool digits_read(const char *text, size_t len, uint64_t least, uint64_t most, uint64_t *ret);

#endif
