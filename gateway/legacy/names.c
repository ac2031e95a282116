#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "gateway/legacy/change.h"
#include "gateway/legacy/names.h"
#include "gateway/legacy/params.h"

#define MEMBERS_BYTES 160 /* the names of one change's members */

static const char *params[USAGE_BITS], *changes[USAGE_BITS], *members[USAGE_BITS];
static char texts[USAGE_BITS][MEMBERS_BYTES];

/* "evidence.description cloudMetaData": those of a list, behind what is there. */
static void
add_members(const struct change_member *list, char text[MEMBERS_BYTES])
{
	for (const struct change_member *m = list; m->name != NULL; m++) {
		size_t len = strlen(text);
		int n = snprintf(text + len, MEMBERS_BYTES - len, "%s%s%s%s", len > 0 ? " " : "",
		    m->inside != NULL ? m->name : "", m->inside != NULL ? "." : "",
		    m->inside != NULL ? m->inside : m->name);
		assert(n > 0 && (size_t)n < MEMBERS_BYTES - len);
	}
}

const struct usage_names *
legacy_names(void)
{
	static struct usage_names names;
	names = (struct usage_names){params, LEGACY_PARAMS, changes, change_count(), members};
	assert(names.param_count <= USAGE_BITS && names.change_count <= USAGE_BITS);
	for (size_t i = 0; i < names.param_count; i++)
		params[i] = legacy_param_name(i);
	for (size_t i = 0; i < names.change_count; i++) {
		const struct change *c = change_get(i);
		changes[i] = c->name;
		members[i] = texts[i];
		texts[i][0] = '\0';
		add_members(c->drops, texts[i]);
		add_members(c->rewrites, texts[i]);
		if (c->semantic)
			members[i] = c->name;
	}
	return &names;
}
