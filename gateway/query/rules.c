#include "config.h"

#include "gateway/query/param.h"

void
query_errors_add(struct query_errors *errors, const char *parameter, const char *message)
{
	if (parameter == NULL || message == NULL)
		return;
	if (errors->count == ARRAY_LEN(errors->list))
		errors->more = true;
	else
		errors->list[errors->count++] = (struct query_error){parameter, message};
}

struct rules {
	struct arena *arena;
	enum query_use use;
	uint32_t given;
	struct query_errors *errors;
};

static bool
has(uint32_t set, size_t id)
{
	return (set & (UINT32_C(1) << id)) != 0;
}

/* "policy, host" for a set of parameters; NULL if the arena is exhausted. */
static const char *
names_of(struct arena *a, uint32_t set, const char *between)
{
	const char *names = "", *comma = "";
	for (size_t id = 0; id < PARAM_COUNT && names != NULL; id++) {
		if (!has(set, id))
			continue;
		names = arena_printf(a, "%s%s%s", names, comma, param_at(id)->name);
		comma = between;
	}
	return names;
}

static void
tell(struct rules *r, size_t id, const char *what, uint32_t others, const char *between)
{
	const char *names = names_of(r->arena, others, between);
	if (names != NULL)
		query_errors_add(
		    r->errors, param_at(id)->name, arena_printf(r->arena, "%s %s", what, names));
}

/* Both sides are told, since only the caller knows which one it meant. */
static void
excludes(struct rules *r, size_t id, uint32_t others)
{
	others &= r->given;
	if (!has(r->given, id) || others == 0)
		return;
	tell(r, id, "This cannot stand beside", others, ", ");
	for (size_t other = 0; other < PARAM_COUNT; other++)
		if (has(others, other))
			tell(r, other, "This cannot stand beside", UINT32_C(1) << id, "");
}

static void
needs(struct rules *r, size_t id, size_t other)
{
	if (has(r->given, id) && !has(r->given, other))
		tell(r, other, "This is required beside", UINT32_C(1) << id, "");
}

/* A cursor stands for the whole query. */
static void
one_of(struct rules *r, unsigned uses, uint32_t names)
{
	if ((uses & (1u << r->use)) == 0 || (r->given & names) != 0 || has(r->given, PARAM_cursor))
		return;
	size_t first = 0;
	while (!has(names, first))
		first++;
	tell(r, first, "This call needs", names, " or ");
}

#define IN(use) (1u << QUERY_##use)
#define IN_SEARCH (IN(POSTURES) | IN(SUMMARY))
#define BIT(name) (UINT32_C(1) << PARAM_##name)
#define ALL ((uint32_t)((UINT64_C(1) << PARAM_COUNT) - 1))

void
param_check_rules(struct arena *a, enum query_use use, uint32_t given, struct query_errors *errors)
{
	struct rules r = {a, use, given, errors};
#define EXCLUDES(name, others) excludes(&r, PARAM_##name, others);
#define NEEDS(name, other) needs(&r, PARAM_##name, PARAM_##other);
#define ONE_OF(uses, names) one_of(&r, uses, names);
#include "gateway/query/query_table.h"
}

void
param_check_whole(uint32_t given, struct query_errors *errors)
{
	uint32_t bad = 0;
#define PAGES(names) bad |= given & (names);
#include "gateway/query/query_table.h"
	/* beside a cursor format is told already, and so is the cursor */
	if (has(given, PARAM_format) && has(given, PARAM_cursor))
		bad &= ~BIT(cursor);
	for (size_t id = 0; id < PARAM_COUNT; id++)
		if (has(bad, id))
			query_errors_add(errors, param_at(id)->name,
			    "A whole result (ndjson, csv) has no pages: leave this out");
	if (bad != 0 && has(given, PARAM_format) && !has(given, PARAM_cursor))
		query_errors_add(errors, param_at(PARAM_format)->name,
		    "A whole result (ndjson, csv) cannot stand beside what is of pages");
}
