#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulator/lists.h"

bool
list_next(const char **at, char *item, size_t size)
{
	if (*at == NULL)
		return false;
	const char *p = *at + strspn(*at, " ");
	size_t len = strcspn(p, ",");
	*at = p[len] == ',' ? p + len + 1 : NULL;
	while (len > 0 && p[len - 1] == ' ')
		len--;
	snprintf(item, size, "%.*s", (int)(len < size ? len : size - 1), p);
	return true;
}

bool
id_parse(const char *text, uint64_t *ret_id)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 19 || text[len] != '\0')
		return false;
	uint64_t id = strtoull(text, NULL, 10); /* 19 digits fit */
	if (id > INT64_MAX)
		return false;
	*ret_id = id;
	return true;
}

bool
list_has(const char *list, const char *word, size_t len)
{
	char item[32];
	for (const char *at = list; list_next(&at, item, sizeof(item));)
		if (strlen(item) == len && memcmp(item, word, len) == 0)
			return true;
	return false;
}
