/* A manifest as it stands on disk. Pure: bytes in, bytes out; docs/store-format.md has each byte.
 *
 * Every manifest has exactly one encoding: what decodes, encodes to the same bytes again.
 *
 * Threads: any.
 */
#ifndef CACHE_MANIFEST_H
#define CACHE_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/status.h"

/* More than the longest canonical text, and the lists of the largest query and of all its calls. */
#define MANIFEST_MAX_BYTES ((size_t)64 * 1024 * 1024)

/* Appends the encoding to out, which should be empty and have room for MANIFEST_MAX_BYTES.
 *   STATUS_INTERNAL  a list is not strictly ascending, the version is not NUL-terminated, or the
 *                    sums are not those of the parts
 *   STATUS_OVERFLOW, STATUS_NO_MEMORY  from the buffer */
enum status manifest_encode(const struct cache_manifest *m, struct buf *out) NODISCARD;

/* Reads hostile bytes: never outside [bytes, bytes + len), never allocating more than some 300
 * bytes and 8 times len. *ret is one block of memory with all that it points to: free() it.
 *   STATUS_CORRUPT  not a manifest of this format, damaged, or not the one encoding
 *   STATUS_NO_MEMORY */
enum status manifest_decode(const void *bytes, size_t len, struct cache_manifest **ret) NODISCARD;

/* Bytes of the block that manifest_decode() gave. */
size_t manifest_memory(const struct cache_manifest *m);

#endif
