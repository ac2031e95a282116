/* Whether a file is a whole LMDB environment, found out without LMDB.
 *
 * The library trusts its file: a page that is missing or was overwritten is a signal or an abort
 * for the process that reads it, at every start again. So all that it would follow blindly is
 * looked at before it is let near the file: both meta pages, the length, and every page of every
 * tree with its nodes; and that no page is used twice or is used and free. What the values hold
 * is not looked at: they have checksums of their own.
 *
 * That is some 0.05 % of the file. The layout is that of LMDB 0.9 (data version 1), 64 bit,
 * little-endian, as its mdb.c declares it.
 *
 * Threads: any.
 */
#ifndef CACHE_INSPECT_H
#define CACHE_INSPECT_H

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

/* Reads hostile bytes. An empty file is fine: it is a new one.
 *   STATUS_CORRUPT       *ret_reason tells what is wrong
 *   STATUS_STORE_FAILED  it cannot be read; STATUS_NO_MEMORY */
enum status inspect_file(int fd, const char **ret_reason) NODISCARD;

#endif
