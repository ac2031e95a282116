/* Which endpoint a request is for. Routing is on the raw REQUEST_URI (nginx's SCRIPT_NAME is
 * decoded and merged): a path is taken as it stands, and whatever is spelled otherwise is unknown.
 *
 * Threads: any; pure.
 */
#ifndef FRONT_ROUTE_H
#define FRONT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum route {
#define ROUTE(name, path, methods, key, query, what) ROUTE_##name,
#include "gateway/front/route_table.h"
#undef ROUTE
	ROUTE_UNKNOWN
};

enum route_method {
	METHOD_GET = 1,
	METHOD_HEAD = 2,
	METHOD_POST = 4,
	METHOD_DELETE = 8,
	METHOD_OPTIONS = 16, /* of no path: what a preflight asks with */
	METHOD_OTHER = 0
};

struct routed {
	enum route route;
	unsigned allowed; /* enum route_method bits of the path */
	bool needs_key;
	bool needs_admin; /* and that of an administrator */
	bool takes_query; /* parameters in the URL */
	bool legacy;      /* of the upstream's own protocol: errors are told in its manner */
	const char *part; /* what stands for '*' in the path; borrowed from uri */
	size_t part_len;
	uint64_t id;       /* the same as an ID; 0 if it is none */
	const char *query; /* behind '?', not decoded; "" without; borrowed from uri */
	size_t query_len;
};

/* Whether the path is of the drop-in surface, known or not: how errors are told. */
bool route_is_legacy(const char *uri, size_t len);
void route_find(const char *uri, size_t len, struct routed *ret);
/* The path as route_table.h has it: for logs and metrics. "unknown" for ROUTE_UNKNOWN. */
const char *route_path(enum route route);
enum route_method route_method(const char *method);
/* "GET, HEAD": the names of a set of enum route_method bits, for a header. Gives back ret_text. */
#define ROUTE_METHODS_BYTES 48
const char *route_methods(unsigned methods, char ret_text[ROUTE_METHODS_BYTES]);

#endif
