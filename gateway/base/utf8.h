/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 * Threads: any. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length (1-4) of the well-formed sequence at `at`, or 0 if there is none in `len` bytes. */
size_t utf8_sequence(const uint8_t *at, size_t len);

/* Whether the `len` bytes at `at` (at least one) are the beginning of a well-formed sequence and
 * not yet a whole one: more bytes could complete it. */
bool utf8_partial(const uint8_t *at, size_t len);

/* Writes U+0000 to U+10FFFF (no surrogate) and gives the length of what it wrote. */
size_t utf8_write(uint32_t code_point, char ret_bytes[4]);

/* How much of the text is shown: at most `most` bytes, not cut within a character. */
size_t utf8_cut(const char *text, size_t len, size_t most);

#endif
