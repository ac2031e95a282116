/* Lists of IDs (1..2^63-1).
 * Threads: owner only. */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

/* Sorts ascending and drops duplicates; returns how many are left. */
size_t ids_sort(uint64_t *ids, size_t count);
/* Index of id in an ascending list, or count. */
size_t ids_find(const uint64_t *ids, size_t count, uint64_t id);
/* Whether an ascending list has every one of `wanted`. */
bool ids_have_all(const uint64_t *ids, size_t count, const uint64_t *wanted, size_t wanted_count);

/* A set that is added to often, mostly the same ID many times in a row, and read once. All zero is
 * the empty set. */
struct id_set {
	uint64_t *ids;
	size_t count, cap;
};
/* STATUS_OK or STATUS_NO_MEMORY. */
enum status id_set_add(struct id_set *s, uint64_t id) NODISCARD;
/* Puts it in order: afterwards ids[0..count) ascend without duplicates. */
void id_set_settle(struct id_set *s);
void id_set_fini(struct id_set *s);

#endif
