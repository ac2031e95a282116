/* Writes an answer to the socket by hand, so that it can be wrong in ways that no HTTP library
 * would let it be. The connection always ends with it.
 *
 * Threads: the one that serves the connection.
 */
#ifndef SIM_RAW_H
#define SIM_RAW_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/reply.h"
#include "tests/simulator/sbuf.h"

enum framing { FRAMING_CHUNKED, FRAMING_LENGTH, FRAMING_CLOSE };
enum ending {
	ENDING_CLEAN,
	ENDING_CLOSE, /* at stop_bytes */
	ENDING_RESET, /* at stop_bytes */
	ENDING_STALL, /* waits at stop_bytes until released, then goes on cleanly */
	ENDING_BAD_CHUNK,
};

struct raw_plan {
	enum framing framing;
	int64_t length_error; /* added to Content-Length */
	bool no_final_chunk;
	enum ending ending;
	uint64_t stop_bytes;                /* of the body */
	bool no_head;                       /* the ending comes before the first byte */
	int64_t rate;                       /* bytes a second; 0: no limit */
	int64_t header_bytes, header_lines; /* useless headers */
	struct sbuf preface;                /* in place of everything */
};

struct sim;
/* False: it did not end cleanly, by plan or because the client left. */
bool raw_send(struct sim *s, int fd, const struct reply *reply, const struct sbuf *bytes,
    const struct raw_plan *plan);

#endif
