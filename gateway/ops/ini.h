/* Reads the lines of a settings file, one at a time; knows nothing of what they mean.
 *
 *     # a comment (or ;) has a line of its own
 *     [section]
 *     [section sub]
 *     [section "sub with spaces"]
 *     name = value
 *
 * Blanks around names and values do not count. There are no continued lines, no quotes around
 * values and no escapes. A value runs to the end of its line, so that a comment behind it is told
 * as a mistake and not taken for a part of it.
 *
 * Own code because none of the libraries at hand gives the number of a line, subsections, and
 * all faults of a file instead of the first one.
 *
 * Threads: owner only; pure.
 */
#ifndef OPS_INI_H
#define OPS_INI_H

#include <stdbool.h>
#include <stddef.h>

struct ini {
	const char *at, *end;
	unsigned line;
};

enum ini_kind { INI_SECTION, INI_SETTING, INI_BAD };

struct ini_text {
	const char *at; /* in the file's text; not NUL-terminated */
	size_t len;
};

struct ini_item {
	enum ini_kind kind;
	bool section;          /* the line is meant as a section, good or bad */
	unsigned line;         /* from 1 */
	struct ini_text name;  /* of section or setting */
	struct ini_text sub;   /* of a section; empty if it has none */
	struct ini_text value; /* of a setting; may be empty */
	const char *problem;   /* INI_BAD: "what; cure" */
};

void ini_init(struct ini *ini, const char *text, size_t len);
/* The next line that is neither empty nor a comment; false at the end. */
bool ini_next(struct ini *ini, struct ini_item *ret);

#endif
