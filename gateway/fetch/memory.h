/* What all fetches have learned of failing, so that no fetch finds it out again: one memory for
 * everybody. Tables of a fixed size; nothing here waits or asks.
 *
 * The upstream **ails** from a failure that speaks for all of it (no answer at all, 503), or from
 * three failed fetches of different queries without one good answer between them. While it ails
 * nobody asks it, but for one call at a time after each pause: a probe. Pauses begin at a second
 * and double to 30 s; whatever the upstream announces holds as well. One good answer ends it.
 *
 * Times are monotonic milliseconds, given by the caller.
 *
 * Threads: any. Everything is under LOCK_MEMORY, held for moments.
 */
#ifndef FETCH_MEMORY_H
#define FETCH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

struct memory;

struct memory *memory_new(bool remembers) NODISCARD; /* false: the upstream never ails */
void memory_free(struct memory *m);

/* --- the upstream as a whole */

enum memory_enter { MEMORY_WELL, MEMORY_PROBE, MEMORY_CLOSED };

/* Whether it would be closed now to one more who asks: *ret_status is the failure to tell,
 * *ret_wait_ms how long until another try makes sense. */
bool memory_closed(struct memory *m, int64_t now_ms, enum status *ret_status, int64_t *ret_wait_ms);
bool memory_ails(struct memory *m);
/* A call wants to go. MEMORY_PROBE: it is the probe; *ret_probe (never 0) is for memory_probe_over()
 * at its end. MEMORY_CLOSED: as memory_closed(). */
enum memory_enter memory_enter(struct memory *m, int64_t now_ms, uint64_t *ret_probe,
    enum status *ret_status, int64_t *ret_wait_ms);
/* Nothing happens if another one has taken its place since. */
void memory_probe_over(struct memory *m, uint64_t probe);
/* It answered a call, and not with a failure of its own. */
void memory_answered(struct memory *m);
/* A fetch has failed for good. `query` tells one query from another; `alone`: this one failure
 * speaks for the whole upstream. wait_ms: as announced, or 0. */
void memory_failed(
    struct memory *m, enum status st, bool alone, uint64_t query, int64_t wait_ms, int64_t now_ms);

/* --- versions that the upstream said it no longer has while another one could answer: bits of
 * versions_bit(), for ten minutes each, since a 404 may have other reasons */

unsigned memory_gone(struct memory *m, int64_t now_ms);
void memory_version_gone(struct memory *m, unsigned bit, int64_t now_ms);

/* --- policies whose hosts it could not resolve: asked again after a minute, doubling to an hour */

/* Until when the policy is not asked for; 0: it may be asked now. */
int64_t memory_hosts_until(struct memory *m, uint64_t policy, int64_t now_ms);
/* The resolution failed. Gives when to ask again. */
int64_t memory_hosts_failed(struct memory *m, uint64_t policy, int64_t now_ms);
void memory_hosts_good(struct memory *m, uint64_t policy);

/* --- gaps in batch numbers that were seen twice, the same: the upstream's numbering, for a day */

#define MEMORY_GAP_BYTES 16
bool memory_gap_known(struct memory *m, const uint8_t gap[MEMORY_GAP_BYTES], int64_t now_ms);
void memory_gap_verified(struct memory *m, const uint8_t gap[MEMORY_GAP_BYTES], int64_t now_ms);

/* The gaps that are known, as a note that outlives the process (docs/store-format.md has its bytes):
 * writes at most MEMORY_NOTE_BYTES and gives how many. Reading adds them to what is known; false, and
 * nothing is added, if it is not wholly a note. No gap is known for longer than a day from now,
 * whatever the note says. */
#define MEMORY_GAPS_MOST 4096
#define MEMORY_NOTE_BYTES (8 + MEMORY_GAPS_MOST * (MEMORY_GAP_BYTES + 8))
size_t memory_write(
    struct memory *m, int64_t now_ms, int64_t wall_ms, uint8_t bytes[MEMORY_NOTE_BYTES]);
bool memory_read(
    struct memory *m, const uint8_t *bytes, size_t len, int64_t now_ms, int64_t wall_ms);

#endif
