/* Queries from the text of a URL, for test programs that look at nothing but queries; in an arena that lives
 * as long as one test (a checked fixture). */
#ifndef UNIT_QUERIES_H
#define UNIT_QUERIES_H

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/query/query.h"
#include "tests/unit/unit.h"

static struct arena arena;

static void
setup(void)
{
	arena_init(&arena, LIMIT_ARENA_BYTES);
}

static void
teardown(void)
{
	arena_fini(&arena);
}

static struct query
parse(const char *text)
{
	struct query q;
	struct query_errors errors;
	ck_assert_msg(query_parse(&arena, QUERY_POSTURES, FORMAT_JSON, NULL, text, strlen(text), &q,
			  &errors) == STATUS_OK,
	    "%s", text);
	return q;
}

#endif
