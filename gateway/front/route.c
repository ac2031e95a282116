#include "config.h"

#include <stdio.h>
#include <string.h>

#include "gateway/base/attr.h"
#include "gateway/front/route.h"

#define ADMIN_PATHS "/admin/" /* what is below needs an administrator, whatever its row says */

static const struct {
	const char *path;
	unsigned methods;
	bool needs_key, takes_query;
} routes[] = {
#define ROUTE(name, path, methods, key, query, what) {path, methods, key, query},
#include "gateway/front/route_table.h"
#undef ROUTE
};

const char *
route_path(enum route route)
{
	return route < ROUTE_UNKNOWN ? routes[route].path : "unknown";
}

static const struct {
	enum route_method method;
	const char *name;
} methods_known[] = {
    {METHOD_GET, "GET"},
    {METHOD_HEAD, "HEAD"},
    {METHOD_POST, "POST"},
    {METHOD_DELETE, "DELETE"},
    {METHOD_OPTIONS, "OPTIONS"},
};

enum route_method
route_method(const char *method)
{
	for (size_t i = 0; i < ARRAY_LEN(methods_known); i++)
		if (strcmp(method, methods_known[i].name) == 0)
			return methods_known[i].method;
	return METHOD_OTHER;
}

const char *
route_methods(unsigned methods, char ret_text[ROUTE_METHODS_BYTES])
{
	size_t len = 0;
	ret_text[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(methods_known); i++)
		if (methods & methods_known[i].method)
			len += (size_t)snprintf(ret_text + len, ROUTE_METHODS_BYTES - len, "%s%s",
			    len > 0 ? ", " : "", methods_known[i].name);
	return ret_text;
}

/* Digits of the base, no leading zero, 1..2^63-1; else 0. */
static uint64_t
read_id(const char *text, size_t len, unsigned base)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t id = 0;
	if (len == 0 || len > 19 || text[0] == '0')
		return 0;
	for (size_t i = 0; i < len; i++) {
		const char *digit = memchr(digits, text[i], base);
		if (digit == NULL || __builtin_mul_overflow(id, base, &id))
			return 0;
		id += (uint64_t)(digit - digits);
	}
	return id <= INT64_MAX ? id : 0;
}

/* Whether the path is the pattern with one segment, not empty, in place of its '*' (that is *ret_id;
 * "" for a pattern without one). */
static bool
path_fits(
    const char *pattern, const char *path, size_t len, const char **ret_id, size_t *ret_id_len)
{
	size_t before = strcspn(pattern, "*");
	bool open = pattern[before] == '*';
	const char *behind = pattern + before + open;
	size_t behind_len = strlen(behind), id_len = 0;
	if (len < before || memcmp(path, pattern, before) != 0)
		return false;
	while (open && before + id_len < len && path[before + id_len] != '/')
		id_len++;
	size_t rest = before + id_len;
	if ((open && id_len == 0) || len - rest != behind_len ||
	    memcmp(path + rest, behind, behind_len) != 0)
		return false;
	*ret_id = path + before;
	*ret_id_len = id_len;
	return true;
}

bool
route_is_legacy(const char *path, size_t len)
{
	static const char *const heads[] = {"/auth", "/pcrs"};
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		size_t n = strlen(heads[i]);
		if (len >= n && memcmp(path, heads[i], n) == 0 &&
		    (len == n || path[n] == '/' || path[n] == '?'))
			return true;
	}
	return false;
}

static bool
is_fetch(enum route route)
{
	return route == ROUTE_FETCH || route == ROUTE_ADMIN_FETCH;
}

void
route_find(const char *uri, size_t len, struct routed *ret)
{
	const char *mark = memchr(uri, '?', len);
	size_t path_len = mark != NULL ? (size_t)(mark - uri) : len;
	*ret = (struct routed){
	    .route = ROUTE_UNKNOWN,
	    .query = mark != NULL ? mark + 1 : uri + len,
	    .query_len = mark != NULL ? len - path_len - 1 : 0,
	    .legacy = route_is_legacy(uri, path_len),
	};
	if (ret->legacy && uri[path_len - 1] == '/')
		path_len--;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const char *id;
		size_t id_len;
		if (!path_fits(routes[i].path, uri, path_len, &id, &id_len))
			continue;
		ret->route = (enum route)i;
		ret->allowed = routes[i].methods;
		ret->needs_key = routes[i].needs_key;
		ret->needs_admin = strncmp(routes[i].path, ADMIN_PATHS, strlen(ADMIN_PATHS)) == 0;
		ret->takes_query = routes[i].takes_query;
		ret->part = id;
		ret->part_len = id_len;
		ret->id = read_id(id, id_len, is_fetch((enum route)i) ? 16 : 10);
		return;
	}
}
