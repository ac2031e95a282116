/* Comma-separated lists and IDs, as parameters and options write them.
 *
 * Threads: any.
 */
#ifndef SIM_LISTS_H
#define SIM_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next item of a list, trimmed, in `item` (cut to its size); false: no more. */
bool list_next(const char **at, char *item, size_t size);
bool list_has(const char *list, const char *word, size_t len);
/* A decimal number that fits an int64_t. */
bool id_parse(const char *text, uint64_t *ret_id);

#endif
