/* What the settings want kept fresh: the [warm NAME] sections, read as queries at start.
 *
 * Threads: made by one; then constant, any.
 */
#ifndef GATEWAY_WARM_H
#define GATEWAY_WARM_H

#include <stdio.h>

#include "gateway/ops/settings.h"
#include "gateway/query/query.h"

struct warm {
	const char *name; /* borrowed from the settings */
	struct query query;
	struct buf canon;
	uint8_t digest[SHA256_BYTES];
};

struct warm_list {
	struct arena arena;
	struct warm *list;
	size_t count;
};

/* Every complaint is a line "FILE:LINE: what; cure". *ret is the caller's to end by warm_fini(), whatever
 * comes back; it borrows from the settings.
 *   STATUS_OK, STATUS_BAD_REQUEST (complaints were written), STATUS_NO_MEMORY */
enum status warm_read(const struct settings *s, FILE *complaints, struct warm_list *ret) NODISCARD;
void warm_fini(struct warm_list *w);

#endif
