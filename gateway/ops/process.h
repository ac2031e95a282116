/* What the kernel knows of this process.
 *
 * Threads: any.
 */
#ifndef OPS_PROCESS_H
#define OPS_PROCESS_H

#include <stdint.h>

/* -1 where the kernel does not say. */
struct process_view {
	int64_t cpu_us; /* user and system */
	int64_t resident_bytes, virtual_bytes;
	int64_t open_fds, most_fds;
};
void process_look(struct process_view *ret);

#endif
