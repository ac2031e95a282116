/* In which media type an endpoint answers: what it offers (media_table.h) against what the caller
 * accepts (RFC 9110 12.5.1). Problems are JSON whatever was asked for.
 *
 * Threads: any; pure.
 */
#ifndef FRONT_MEDIA_H
#define FRONT_MEDIA_H

#include <stdbool.h>

#include "gateway/front/route.h"

enum media {
#define MEDIA(name, range, type) MEDIA_##name,
#include "gateway/front/media_table.h"
#undef MEDIA
	MEDIA_COUNT
};

/* The one of the endpoint's types that `accept` weighs most, the first of equals. accept: the
 * header's value; "" takes anything. False: none of them is acceptable. */
bool media_choose(enum route route, const char *accept, enum media *ret);
const char *media_type(enum media media); /* for Content-Type */

#endif
