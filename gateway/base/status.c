#include "config.h"

#include <string.h>

#include "gateway/base/status.h"

static const struct status_info table[STATUS_COUNT] = {
#define STATUS(name, http, retry, slug, title)                                                     \
	[STATUS_##name] = {#name, http, RETRY_##retry, slug, title},
#include "gateway/base/status_table.h"
#undef STATUS
};

const struct status_info *
status_info(enum status st)
{
	if ((unsigned)st >= STATUS_COUNT)
		st = STATUS_INTERNAL;
	return &table[st];
}

bool
status_is_upstream(enum status st)
{
	return strncmp(status_info(st)->slug, "upstream-", 9) == 0;
}
