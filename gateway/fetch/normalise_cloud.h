/* cloudResourceMetadata: text in answers up to 3.0, like {'Zone':'null', 'State':'RUNNING'}, an
 * object since 4.0, like {"zone":null,"state":"RUNNING"}.
 *
 * Only this form is read: pairs of single-quoted words without a backslash, each label once.
 *
 * Threads: any; the functions are pure.
 */
#ifndef FETCH_NORMALISE_CLOUD_H
#define FETCH_NORMALISE_CLOUD_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/base/buf.h"

#define CLOUD_PAIRS 32 /* most in one object; samples have 8 */

/* Appends the object that `text` (what is between the JSON quotes) means. False, and nothing
 * appended, if it is not of that form. */
bool cloud_object_write(const char *text, size_t len, struct buf *out);
/* Appends the text, JSON quotes included, that means the object. False, and nothing appended, if
 * the object is not one that cloud_object_write() could have written. */
bool cloud_text_write(const char *object, size_t len, struct buf *out);

#endif
