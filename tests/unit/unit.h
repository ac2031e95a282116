/* What every Check program of this project shares: the runner, and a reproducible random source
 * for property tests (a failure prints the seed; UNIT_SEED runs it again). */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

/* Statuses compare with their names in the message. */
#define ck_status(expression, wanted)                                                              \
	do {                                                                                       \
		enum status got_ = (expression);                                                   \
		ck_assert_msg(got_ == (wanted), "%s: %s, not %s", #expression,                     \
		    status_info(got_)->name, status_info(wanted)->name);                           \
	} while (0)

/* xorshift64*: the same numbers for the same seed on every machine. */
struct unit_random {
	uint64_t state;
};

static inline uint64_t
unit_seed(uint64_t otherwise)
{
	const char *seed = getenv("UNIT_SEED");
	return seed != NULL ? strtoull(seed, NULL, 10) : otherwise;
}

static inline uint64_t
unit_next(struct unit_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(2685821657736338717);
}

/* 0 to below - 1 */
static inline size_t
unit_below(struct unit_random *r, size_t below)
{
	return (size_t)(unit_next(r) % below);
}

static inline int
unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
