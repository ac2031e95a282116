/* What the bits of the migration report are called: the parameters of params_table.h and the changes of
 * change.h, by number.
 *
 * Threads: legacy_names() at startup; what it gives does not change.
 */
#ifndef LEGACY_NAMES_H
#define LEGACY_NAMES_H

#include "gateway/legacy/usage.h"

/* For ever. A change that changes what is answered and no member is named by itself. */
const struct usage_names *legacy_names(void);

#endif
