/* Cells of CSV as RFC 4180 has them.
 *
 * Threads: owner only.
 */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include "gateway/base/buf.h"

/* Appends a cell with this text, in quotes where the text needs them; the comma or line end behind it
 * is the caller's. An empty text is two quotes, so that it is not a cell with nothing in it. A text that a
 * spreadsheet would take for a formula (it begins with = + - @, a tab or a carriage return) has an
 * apostrophe before it. At most twice as long as the text, and 3 bytes. */
void csv_text(struct buf *b, const char *text, size_t len);

#endif
