/* Answers that browser applications of other origins may read (the Fetch standard's CORS).
 *
 * An origin counts if it is one of the settings', byte by byte: they stand there as browsers send
 * them. "null" (a file, a sandboxed frame) is none of them. Consumers show their keys in headers,
 * so there is no mode with credentials, and with it nothing that a page could do in the name of
 * whoever looks at it.
 *
 * Threads: any; pure.
 */
#ifndef FRONT_CORS_H
#define FRONT_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/front/response.h"

/* The listed origin that `origin` is; NULL if it is none. origin: the header's value, NULL if it is
 * absent; times: how often it came (twice: taken for absent, no browser does that). The value is
 * borrowed from the list. */
const char *cors_origin(
    const char *const *listed, size_t count, const char *origin, unsigned times);

/* What a preflight of a listed origin is answered, but for what cors_finish() adds: 204, whatever
 * the request behind it will be told. methods: those of the path (enum route_method bits). */
void cors_preflight(struct response *r, unsigned methods);

/* The last touch to every answer, problems too, once origins are listed at all: caches are told
 * that it depends on the origin. origin: of cors_origin(); NULL: another page must not read it. */
void cors_finish(struct response *r, const char *origin);

#endif
