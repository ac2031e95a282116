#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ops/stats.h"

struct stats {
	const struct stats_family *families;
	size_t family_count;
	size_t *first; /* cell of each family; series after series */
	_Atomic int64_t cells[];
};

/* --- the table */

static size_t
series_count(const struct stats_family *f)
{
	size_t count = 1;
	for (size_t i = 0; i < STATS_LABELS_MOST; i++)
		if (f->labels[i].name != NULL)
			count *= f->labels[i].count;
	return count;
}

/* A histogram has its buckets, each without those below it, and the sum. */
static size_t
cells_per_series(const struct stats_family *f)
{
	return f->type == STATS_HISTOGRAM ? f->bound_count + 2 : 1;
}

/* Length of a name without a suffix of its type: what OpenMetrics calls the family. */
static size_t
base_len(const struct stats_family *f)
{
	static const char *const suffixes[] = {
	    [STATS_COUNTER] = "_total",
	    [STATS_GAUGE] = "",
	    [STATS_HISTOGRAM] = "",
	    [STATS_INFO] = "_info",
	};
	size_t len = strlen(f->name), n = strlen(suffixes[f->type]);
	assert(len > n && strcmp(f->name + len - n, suffixes[f->type]) == 0);
	return len - n;
}

static const char *const units[] = {
    [STATS_NONE] = "",
    [STATS_SECONDS] = "seconds",
    [STATS_BYTES] = "bytes",
};

static void
check(const struct stats_family *f)
{
	size_t len = base_len(f), n = strlen(units[f->unit]);
	assert(n == 0 || (len > n && memcmp(f->name + len - n, units[f->unit], n) == 0));
	assert(f->help[strcspn(f->help, "\\\"\n")] == '\0');
	assert(f->type != STATS_HISTOGRAM || (f->unit == STATS_SECONDS && f->bound_count > 0));
}

struct stats *
stats_new(const struct stats_family *families, size_t count)
{
	size_t cells = 0;
	assert(count > 0);
	for (size_t i = 0; i < count; i++) {
		check(&families[i]);
		cells += series_count(&families[i]) * cells_per_series(&families[i]);
	}
	struct stats *s = calloc(1, sizeof *s + cells * sizeof s->cells[0]);
	if (s == NULL)
		return NULL;
	s->families = families;
	s->family_count = count;
	s->first = calloc(count, sizeof *s->first);
	if (s->first == NULL) {
		free(s);
		return NULL;
	}
	cells = 0;
	for (size_t i = 0; i < count; i++) {
		size_t n = series_count(&families[i]) * cells_per_series(&families[i]);
		s->first[i] = cells;
		for (size_t k = 0; families[i].type == STATS_GAUGE && k < n; k++)
			atomic_init(&s->cells[cells + k], STATS_ABSENT);
		cells += n;
	}
	return s;
}

void
stats_free(struct stats *s)
{
	if (s == NULL)
		return;
	free(s->first);
	free(s);
}

/* --- counting */

static _Atomic int64_t *
cell(struct stats *s, size_t family, struct stats_at at)
{
	assert(family < s->family_count);
	const struct stats_family *f = &s->families[family];
	size_t series = 0;
	for (size_t i = 0; i < STATS_LABELS_MOST; i++) {
		size_t count = f->labels[i].name != NULL ? f->labels[i].count : 1;
		assert(at.index[i] < count);
		series = series * count + at.index[i];
	}
	return &s->cells[s->first[family] + series * cells_per_series(f)];
}

void
stats_add(struct stats *s, size_t family, struct stats_at at, int64_t n)
{
	atomic_fetch_add_explicit(cell(s, family, at), n, memory_order_relaxed);
}

void
stats_set(struct stats *s, size_t family, struct stats_at at, int64_t value)
{
	atomic_store_explicit(cell(s, family, at), value, memory_order_relaxed);
}

void
stats_observe(struct stats *s, size_t family, struct stats_at at, int64_t us)
{
	_Atomic int64_t *cells = cell(s, family, at);
	const struct stats_family *f = &s->families[family];
	size_t bucket = 0;
	while (bucket < f->bound_count && us > f->bounds_us[bucket])
		bucket++;
	atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&cells[f->bound_count + 1], us, memory_order_relaxed);
}

/* --- writing */

/* Seconds always with a point: OpenMetrics wants bounds in one canonical form, "1.0". */
static void
add_seconds(struct buf *b, int64_t us)
{
	uint64_t all = us < 0 ? -(uint64_t)us : (uint64_t)us;
	unsigned digits = 6;
	uint64_t part = all % 1000000;
	for (; digits > 1 && part % 10 == 0; digits--)
		part /= 10;
	buf_printf(
	    b, "%s%" PRIu64 ".%0*" PRIu64, us < 0 ? "-" : "", all / 1000000, (int)digits, part);
}

static void
add_value(struct buf *b, enum stats_unit unit, int64_t value)
{
	if (unit == STATS_SECONDS)
		add_seconds(b, value);
	else
		buf_i64(b, value);
	buf_byte(b, '\n');
}

/* The same in both forms: only these three have an escape. */
static void
add_escaped(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_str_add(b, "\\n");
		else if (*text == '"' || *text == '\\')
			buf_printf(b, "\\%c", *text);
		else
			buf_byte(b, *text);
	}
}

/* One of the values that a series stands for. */
static const char *
value_of(const struct stats_family *f, size_t label, size_t series)
{
	for (size_t i = STATS_LABELS_MOST - 1; i > label; i--)
		series /= f->labels[i].name != NULL ? f->labels[i].count : 1;
	return f->labels[label].values[series % f->labels[label].count];
}

/* name, suffix, {labels}, a space. bound_us: NULL, or that of a bucket, negative for the last. */
static void
add_series(struct buf *b, const struct stats_family *f, const char *suffix, size_t series,
    const int64_t *bound_us)
{
	char before = '{';
	buf_printf(b, "%s%s", f->name, suffix);
	for (size_t i = 0; i < STATS_LABELS_MOST; i++) {
		if (f->labels[i].name == NULL)
			continue;
		buf_printf(b, "%c%s=\"", before, f->labels[i].name);
		add_escaped(b, value_of(f, i, series));
		buf_byte(b, '"');
		before = ',';
	}
	if (bound_us != NULL) {
		buf_printf(b, "%cle=\"", before);
		if (*bound_us < 0)
			buf_str_add(b, "+Inf");
		else
			add_seconds(b, *bound_us);
		buf_byte(b, '"');
		before = ',';
	}
	buf_str_add(b, before == ',' ? "} " : " ");
}

static void
add_histogram(
    struct buf *b, const struct stats_family *f, size_t series, const _Atomic int64_t *cells)
{
	static const int64_t unbounded = -1;
	int64_t count = 0;
	for (size_t i = 0; i <= f->bound_count; i++) {
		count += atomic_load_explicit(&cells[i], memory_order_relaxed);
		add_series(
		    b, f, "_bucket", series, i < f->bound_count ? &f->bounds_us[i] : &unbounded);
		add_value(b, STATS_NONE, count);
	}
	add_series(b, f, "_count", series, NULL);
	add_value(b, STATS_NONE, count);
	add_series(b, f, "_sum", series, NULL);
	add_value(
	    b, f->unit, atomic_load_explicit(&cells[f->bound_count + 1], memory_order_relaxed));
}

/* How often the series has moved; of a gauge whether it has a value. */
static int64_t
moved(const struct stats_family *f, const _Atomic int64_t *cells)
{
	int64_t value = atomic_load_explicit(&cells[0], memory_order_relaxed);
	if (f->type == STATS_GAUGE)
		return value != STATS_ABSENT;
	for (size_t i = 1; f->type == STATS_HISTOGRAM && i <= f->bound_count; i++)
		value += atomic_load_explicit(&cells[i], memory_order_relaxed);
	return value;
}

static bool
is_written(const struct stats_family *f, size_t series, const _Atomic int64_t *cells)
{
	size_t labels = 0;
	for (size_t i = 0; i < STATS_LABELS_MOST; i++) {
		if (f->labels[i].name == NULL)
			continue;
		labels++;
		if (value_of(f, i, series) == NULL)
			return false;
	}
	bool always = f->type == STATS_INFO || (f->type == STATS_COUNTER && labels < 2) ||
		      (f->type == STATS_HISTOGRAM && labels == 0);
	return always || moved(f, cells) != 0;
}

static void
add_head(struct buf *b, const struct stats_family *f, enum stats_format format)
{
	static const char *const types[] = {
	    [STATS_COUNTER] = "counter",
	    [STATS_GAUGE] = "gauge",
	    [STATS_HISTOGRAM] = "histogram",
	    [STATS_INFO] = "info",
	};
	bool open = format == STATS_OPENMETRICS;
	/* the older form calls the family as its samples, and knows neither info nor units */
	int len = (int)(open ? base_len(f) : strlen(f->name));
	const char *type = !open && f->type == STATS_INFO ? "gauge" : types[f->type];
	buf_printf(b, "# HELP %.*s %s\n", len, f->name, f->help);
	buf_printf(b, "# TYPE %.*s %s\n", len, f->name, type);
	if (open && f->unit != STATS_NONE)
		buf_printf(b, "# UNIT %.*s %s\n", len, f->name, units[f->unit]);
}

static void
add_family(struct buf *b, const struct stats_family *f, const _Atomic int64_t *cells)
{
	size_t count = series_count(f), each = cells_per_series(f);
	for (size_t i = 0; i < count; i++, cells += each) {
		if (!is_written(f, i, cells))
			continue;
		if (f->type == STATS_HISTOGRAM) {
			add_histogram(b, f, i, cells);
			continue;
		}
		int64_t value = atomic_load_explicit(cells, memory_order_relaxed);
		add_series(b, f, "", i, NULL);
		add_value(b, f->unit, f->type == STATS_INFO ? 1 : value);
	}
}

void
stats_write(const struct stats *s, enum stats_format format, struct buf *b)
{
	for (size_t i = 0; i < s->family_count; i++) {
		add_head(b, &s->families[i], format);
		add_family(b, &s->families[i], &s->cells[s->first[i]]);
	}
	if (format == STATS_OPENMETRICS)
		buf_str_add(b, "# EOF\n");
}
