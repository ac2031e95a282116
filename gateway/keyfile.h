/* The key that signs cursors: a file of its own beside the store, mode 0600, made at the first
 * start. Whoever deletes it ends all walks, and harms nothing else.
 *
 * Threads: startup only.
 */
#ifndef GATEWAY_KEYFILE_H
#define GATEWAY_KEYFILE_H

#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/crypto.h"
#include "gateway/base/status.h"

/* Reads DIR/signing.key, or makes it. *ret_key is secret memory: crypto_secret_free().
 * STATUS_INTERNAL: cannot be read or made, or is not 32 bytes; logged. */
enum status keyfile_load(const char *dir, uint8_t **ret_key) NODISCARD;

#endif
