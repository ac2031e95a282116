/* Figures for operators: counters, gauges and histograms in one array of numbers, and the writer of
 * both text forms that Prometheus reads (OpenMetrics 1.0, and 0.0.4 which came before it).
 *
 * What is counted is a table of families, given at the start. A label has a list of values that is
 * known then: nothing from outside ever becomes a label, so the number of series is bounded.
 * Counting is a relaxed atomic addition or two: no lock, no allocation. Time is kept in
 * microseconds and written in seconds.
 *
 * Knows no other part of the program; gateway/metrics.c has the program's own table.
 *
 * Threads: any, but for stats_new() and stats_free().
 */
#ifndef OPS_STATS_H
#define OPS_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/buf.h"

enum stats_type { STATS_COUNTER, STATS_GAUGE, STATS_HISTOGRAM, STATS_INFO };
enum stats_unit { STATS_NONE, STATS_SECONDS, STATS_BYTES };

struct stats_label {
	const char *name;          /* NULL: no label */
	const char *const *values; /* one that is NULL has no series */
	size_t count;
};

#define STATS_LABELS_MOST 3

/* Our own texts, checked by stats_new(): the name ends as its type and unit want it (a counter's in
 * _total, an info's in _info, that of a unit in the unit before that), and no text needs escapes
 * but the values of labels. */
struct stats_family {
	const char *name;
	enum stats_type type;
	enum stats_unit unit;
	const char *help;
	struct stats_label labels[STATS_LABELS_MOST];
	const int64_t *bounds_us; /* of a histogram: ascending, the last bucket is without bound */
	size_t bound_count;
};

struct stats;

/* Counters and histograms begin at 0; gauges have no value until they are set. The table must
 * outlive it. NULL: no memory. */
struct stats *stats_new(const struct stats_family *families, size_t count) NODISCARD;
void stats_free(struct stats *s); /* NULL is fine */

/* One series of a family: an index into the values of each of its labels. */
struct stats_at {
	size_t index[STATS_LABELS_MOST];
};
#define STATS_AT(...) ((struct stats_at){{__VA_ARGS__}})

void stats_add(struct stats *s, size_t family, struct stats_at at, int64_t n);      /* counter */
void stats_observe(struct stats *s, size_t family, struct stats_at at, int64_t us); /* histogram */

/* A gauge, or a counter that somebody else keeps. STATS_ABSENT: it has no value now. */
#define STATS_ABSENT INT64_MIN
void stats_set(struct stats *s, size_t family, struct stats_at at, int64_t value);

enum stats_format { STATS_OPENMETRICS, STATS_TEXT_004 };

/* Every family, once, with all its series; but of a histogram with labels and of a counter with
 * several only those that have moved. Series are read one after the other: sums over several may be out by what is being
 * counted meanwhile, a histogram's count is that of its buckets. */
void stats_write(const struct stats *s, enum stats_format format, struct buf *b);

#endif
