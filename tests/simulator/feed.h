/* The answer of postureInfo as a stream: the JSON array of an ask's records, batch by batch, made
 * while it is read, gzipped or plain.
 *
 * Threads: owner only; the corpus is shared and never changes.
 */
#ifndef SIM_FEED_H
#define SIM_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/ask.h"
#include "tests/simulator/data.h"
#include "tests/simulator/sbuf.h"

struct feed;
/* Takes the ask over (*a is empty afterwards) and a reference to the corpus of its own. */
struct feed *feed_new(struct corpus *c, struct ask *a, int64_t created_s);
void feed_free(struct feed *f); /* NULL is fine */

/* Before the first read: */
bool feed_is_empty(struct feed *f); /* nothing will match */
void feed_compress(struct feed *f, bool compress);
void feed_pause_at(struct feed *f, uint64_t records); /* feed_read() gives FEED_PAUSE once there */

enum feed_next { FEED_MORE, FEED_PAUSE, FEED_END };
/* Appends some of the answer to `out`. FEED_PAUSE: all records up to the pause are in it; read on
 * when you like. FEED_END: that was the last of it. */
enum feed_next feed_read(struct feed *f, struct sbuf *out);

uint64_t feed_records(const struct feed *f); /* so far */
uint64_t feed_bytes(const struct feed *f);   /* of JSON so far */

#endif
