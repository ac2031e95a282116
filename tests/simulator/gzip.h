/* One gzip member, written as data come: libisal where it is, else zlib at its fastest.
 *
 * Threads: owner only.
 */
#ifndef SIM_GZIP_H
#define SIM_GZIP_H

#include <stddef.h>

#include "tests/simulator/sbuf.h"

enum gzip_then {
	GZIP_MORE,  /* keep what does not fill a block */
	GZIP_FLUSH, /* the reader can have all of it */
	GZIP_END,   /* write the trailer */
};

struct gzip;
struct gzip *gzip_new(void);
void gzip_free(struct gzip *z); /* NULL is fine */
void gzip_add(struct gzip *z, const void *bytes, size_t len, enum gzip_then then, struct sbuf *out);

/* A whole member at once, appended to `out`. */
void gzip_member(const void *bytes, size_t len, struct sbuf *out);

#endif
