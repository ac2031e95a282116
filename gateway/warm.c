#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/warm.h"

static void
complain(FILE *out, const struct settings_warm *s, const struct query_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		fprintf(out, "%s: the query of warm list %s: %s: %s; mend it\n", s->where, s->name,
		    errors->list[i].parameter, errors->list[i].message);
}

/* What a page is like has no place here: a summary has none of that, but for what it counts by. */
static enum status
read_one(struct warm_list *w, const struct settings_warm *s, FILE *complaints, struct warm *ret)
{
	struct query_errors errors = {.count = 0};
	enum status st = query_parse(&w->arena, QUERY_SUMMARY, FORMAT_JSON, NULL, s->query,
	    strlen(s->query), &ret->query, &errors);
	if (st == STATUS_OK && ret->query.by != 0)
		query_errors_add(&errors, "by", "nothing is counted here");
	if (st == STATUS_OK && ret->query.policies.count == 0)
		query_errors_add(&errors, "policy", "the policies must be named");
	complain(complaints, s, &errors);
	if (st != STATUS_OK || errors.count > 0)
		return st != STATUS_OK ? st : STATUS_BAD_REQUEST;
	ret->name = s->name;
	return query_name(&ret->query, &ret->canon, ret->digest);
}

enum status
warm_read(const struct settings *s, FILE *complaints, struct warm_list *ret)
{
	enum status all = STATUS_OK;
	*ret = (struct warm_list){.count = 0};
	arena_init(&ret->arena, LIMIT_ARENA_BYTES);
	ret->list = arena_array(&ret->arena, s->warm_count + 1, sizeof *ret->list);
	if (ret->list == NULL)
		return STATUS_NO_MEMORY;
	for (size_t i = 0; i < s->warm_count; i++) {
		struct warm *w = &ret->list[ret->count++];
		*w = (struct warm){.name = NULL};
		buf_init(&w->canon, LIMIT_CANON_BYTES);
		enum status st = read_one(ret, &s->warm[i], complaints, w);
		if (st != STATUS_OK && all != STATUS_NO_MEMORY)
			all = st;
	}
	return all;
}

void
warm_fini(struct warm_list *w)
{
	for (size_t i = 0; i < w->count; i++)
		buf_fini(&w->list[i].canon);
	arena_fini(&w->arena);
}
