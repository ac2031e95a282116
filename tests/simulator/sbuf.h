/* Growing bytes for the simulator. There is no error to check: a test tool that is out of memory
 * says so and ends.
 *
 * Threads: owner only.
 */
#ifndef SIM_SBUF_H
#define SIM_SBUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct sbuf {
	char *data;
	size_t len, cap;
};

void sbuf_free(struct sbuf *b); /* all zero afterwards; b may be all zero */
void sbuf_add(struct sbuf *b, const void *bytes, size_t len);
void sbuf_text(struct sbuf *b, const char *text);
void sbuf_u64(struct sbuf *b, uint64_t value);
void sbuf_fill(struct sbuf *b, char byte, size_t count);
void sbuf_printf(struct sbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; `text` is taken to be UTF-8. */
void sbuf_json(struct sbuf *b, const char *text);
/* Room for `len` more bytes behind data + len. */
char *sbuf_room(struct sbuf *b, size_t len);
/* Takes bytes out, or puts other bytes in, at a place. */
void sbuf_cut(struct sbuf *b, size_t at, size_t len);
void sbuf_insert(struct sbuf *b, size_t at, const void *bytes, size_t len);
/* The content with a NUL behind it, never NULL. */
const char *sbuf_str(struct sbuf *b);

/* calloc() that ends the program instead of failing; free() what it gives. */
void *sim_alloc(size_t bytes);

#endif
