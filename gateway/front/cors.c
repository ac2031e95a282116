#include "config.h"

#include <string.h>

#include "gateway/front/cors.h"
#include "gateway/front/route.h"

/* what the API takes */
#define REQUEST_HEADERS                                                                            \
	"Authorization, X-API-Key, Content-Type, Accept, If-None-Match, Cache-Control, Prefer"
/* what it says, beyond the few headers that every page may read */
#define ANSWER_HEADERS                                                                             \
	"ETag, Age, Link, Location, Retry-After, Cache-Status, Preference-Applied, Allow, "        \
	"Content-Disposition, Deprecation, Sunset, WWW-Authenticate, X-RateLimit-Limit, "          \
	"X-RateLimit-Remaining, X-RateLimit-ToWait-Sec, X-RateLimit-Window-Sec, Warning"
#define PREFLIGHT_S 7200 /* the longest that every browser keeps one */

const char *
cors_origin(const char *const *listed, size_t count, const char *origin, unsigned times)
{
	if (origin == NULL || times != 1)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (strcmp(listed[i], origin) == 0)
			return listed[i];
	return NULL;
}

void
cors_preflight(struct response *r, unsigned methods)
{
	char list[ROUTE_METHODS_BYTES];
	route_methods(methods, list);
	r->http = 204;
	response_header(r, "Cache-Control", "no-store");
	response_header(r, "Access-Control-Allow-Methods", "%s", list);
	response_header(r, "Access-Control-Allow-Headers", "%s", REQUEST_HEADERS);
	response_header(r, "Access-Control-Max-Age", "%d", PREFLIGHT_S);
	response_header(r, "Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
}

void
cors_finish(struct response *r, const char *origin)
{
	response_vary(r, "Origin");
	if (origin == NULL)
		return;
	response_header(r, "Access-Control-Allow-Origin", "%s", origin);
	if (r->http != 204) /* a preflight is read by the browser alone */
		response_header(r, "Access-Control-Expose-Headers", "%s", ANSWER_HEADERS);
}
