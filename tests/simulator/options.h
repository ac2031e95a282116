/* The options as a struct, made from options_table.h. Plain data: copy it. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/sbuf.h"

#define OPTION_TEXT_BYTES 256

struct options {
#define NUMBER(field, name, when, def, least, most, help) int64_t field;
#define FLAG(field, name, when, def, help) int64_t field;
#define CHOICE(field, name, when, def, choices, help) int64_t field;
#define TEXT(field, name, when, def, help) char field[OPTION_TEXT_BYTES];
#include "tests/simulator/options_table.h"
#undef NUMBER
#undef FLAG
#undef CHOICE
#undef TEXT
};

/* The choices by name, in the order of the table. */
enum option_scan_date { SCAN_SINCE, SCAN_DAY };
enum option_batches { BATCHES_ALL, BATCHES_SKIP, BATCHES_ONE };
enum option_empty { EMPTY_ARRAY, EMPTY_204 };
enum option_unknown_policy { UNKNOWN_ERROR, UNKNOWN_OMIT };
enum option_error_shape {
	SHAPE_MESSAGE,
	SHAPE_NESTED,
	SHAPE_SPRING,
	SHAPE_XML,
	SHAPE_HTML,
	SHAPE_EMPTY
};
enum option_concurrency_header { CONCURRENCY_NONE, CONCURRENCY_HYPHEN, CONCURRENCY_JOINED };
enum option_wait_header { WAIT_TOWAIT, WAIT_RETRY_AFTER, WAIT_BOTH, WAIT_NONE };

void options_default(struct options *ret_options);

/* Sets one option from text; `live`: only those that may change while running. NULL, or a
 * sentence saying what is wrong (static storage) and *o is untouched. */
const char *options_set(struct options *o, const char *name, const char *text, bool live);

/* Reads a command line. 0: done; 1: --help was printed to stdout; 2: it was wrong, which was
 * printed to stderr. */
int options_parse(struct options *o, int argc, char **argv);

/* All options as a JSON object. */
void options_json(const struct options *o, struct sbuf *text);

#endif
