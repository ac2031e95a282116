/* A fuzz target: one function that takes any bytes and aborts when something is wrong. It is
 * linked with libFuzzer (configure --enable-fuzzers) or with replay.c, which gives it the files
 * of its corpus at every `make check`. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What must hold. Not assert(): it stays when assertions are compiled out. */
#define FUZZ_MUST(condition)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

/* Pieces by which a target feeds its input: the first byte chooses. */
static inline size_t
fuzz_piece(uint8_t chooser)
{
	return chooser % 8 == 0 ? SIZE_MAX : (size_t)chooser;
}

#endif
