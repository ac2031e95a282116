#include "config.h"

#include <string.h>

#include "gateway/base/ids.h"
#include "gateway/query/implies.h"
#include "gateway/query/param.h"

enum implies_class { CLASS_NONE, LIST, DETAIL, EXACT, WORDS, SINCE, UNTIL, READING };

static const enum implies_class classes[PARAM_COUNT] = {
#define IMPLIES(name, class, why) [PARAM_##name] = (class),
#include "gateway/query/implies_table.h"
#undef IMPLIES
};

/* SAME: nothing is left to do. REST: the rows are to be looked at. LESS: the records are. */
enum part { PART_LACKS, PART_SAME, PART_REST, PART_LESS };

/* --- lists */

static bool
ids_within(const struct id_list *some, const struct id_list *all)
{
	for (size_t i = 0; i < some->count; i++)
		if (ids_find(all->ids, all->count, some->ids[i]) == all->count)
			return false;
	return true;
}

static bool
same_ids(const struct id_list *a, const struct id_list *b)
{
	return a->count == b->count &&
	       (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

/* Ranges stand apart from each other: one lies within one. */
static bool
ranges_within(const struct id_ranges *some, const struct id_ranges *all)
{
	size_t at = 0;
	for (size_t i = 0; i < some->count; i++) {
		while (at < all->count && all->ranges[at].last < some->ranges[i].first)
			at++;
		if (at == all->count || all->ranges[at].first > some->ranges[i].first ||
		    all->ranges[at].last < some->ranges[i].last)
			return false;
	}
	return true;
}

/* An empty list of hosts is all of them; one of policies or postures is none. */
static enum part
compare_ids(size_t id, const struct id_list *have, const struct id_list *want)
{
	if (same_ids(have, want))
		return PART_SAME;
	if (want->count == 0)
		return PART_LACKS;
	if (have->count == 0)
		return id == PARAM_host ? PART_REST : PART_LACKS;
	return ids_within(want, have) ? PART_REST : PART_LACKS;
}

static enum part
compare_ranges(const struct id_ranges *have, const struct id_ranges *want)
{
	if (have->count == 0 || want->count == 0)
		return have->count == want->count ? PART_SAME : PART_LACKS;
	if (!ranges_within(want, have))
		return PART_LACKS;
	return ranges_within(have, want) ? PART_SAME : PART_REST;
}

/* --- the other classes */

static enum part
compare_detail(size_t id, uint64_t have, uint64_t want, const struct implies_rules *rules)
{
	if (have == want || (id == PARAM_evidence && rules->any_evidence && have != 0 && want != 0))
		return PART_SAME;
	return want == 0 ? PART_LESS : PART_LACKS;
}

static enum part
compare_words(uint64_t have, uint64_t want)
{
	if (have == want)
		return PART_SAME;
	return want != 0 && (have == 0 || (want & ~have) == 0) ? PART_REST : PART_LACKS;
}

static enum part
compare_dates(int64_t have, int64_t want, bool until)
{
	if (have == want)
		return PART_SAME;
	if (want == DATE_NONE)
		return PART_LACKS;
	return have == DATE_NONE || (until ? want <= have : want >= have) ? PART_REST : PART_LACKS;
}

static bool
reading_holds(size_t id, const struct implies_rules *rules)
{
	return id == PARAM_scannedSince ? rules->scanned_since : rules->changed_since;
}

static bool
is_date(size_t id)
{
	return param_at(id)->kind == PARAM_DATE_FROM || param_at(id)->kind == PARAM_DATE_TO;
}

static enum part
compare(size_t id, const struct param_value *have, const struct param_value *want,
    const struct implies_rules *rules)
{
	bool same = is_date(id) ? have->date == want->date : have->number == want->number;
	switch (classes[id]) {
	case LIST:
		return param_at(id)->kind == PARAM_RANGES
			   ? compare_ranges(&have->ranges, &want->ranges)
			   : compare_ids(id, &have->ids, &want->ids);
	case DETAIL:
		return compare_detail(id, have->number, want->number, rules);
	case WORDS:
		return compare_words(have->number, want->number);
	case SINCE:
		return compare_dates(have->date, want->date, false);
	case UNTIL:
		return compare_dates(have->date, want->date, true);
	case READING:
		if (reading_holds(id, rules))
			return compare_dates(have->date, want->date, false);
		return same ? PART_SAME : PART_LACKS;
	case EXACT:
		return same ? PART_SAME : PART_LACKS;
	case CLASS_NONE:
		break;
	}
	return PART_SAME; /* of the view: it is no part of what was fetched */
}

/* --- */

const char *
implies(const struct query *have, const struct query *want, const struct implies_rules *rules,
    struct implies *ret)
{
	struct param_value had[PARAM_COUNT], wanted[PARAM_COUNT], rest[PARAM_COUNT];
	const struct query nothing = {.kind = want->kind, QUERY_NO_DATES};
	struct implies i = {.narrowed = false};
	if (have->kind != want->kind)
		return "kind";
	param_load(have, had);
	param_load(want, wanted);
	param_load(&nothing, rest);
	for (size_t id = 0; id < PARAM_COUNT; id++) {
		enum part part = compare(id, &had[id], &wanted[id], rules);
		if (part == PART_LACKS)
			return param_at(id)->name;
		if (part == PART_REST)
			rest[id] = wanted[id];
		i.narrowed = i.narrowed || part == PART_REST;
		i.hide_evidence = i.hide_evidence || (part == PART_LESS && id == PARAM_evidence);
		i.hide_cloud = i.hide_cloud || (part == PART_LESS && id == PARAM_cloud);
		i.hide_qds = i.hide_qds || (part == PART_LESS && id == PARAM_qds);
	}
	param_store(rest, &i.rest);
	i.rest.kind = want->kind;
	*ret = i;
	return NULL;
}

bool
implies_hosts(const uint64_t *fetched, size_t count, const struct query *want)
{
	for (size_t i = 0; i < want->hosts.count; i++)
		if (ids_find(fetched, count, want->hosts.ids[i]) == count)
			return false;
	return true;
}
