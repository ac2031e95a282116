/* Text as HTML forms and query strings carry it: NAME=VALUE pairs with '&' between them, a percent
 * sign and two hexadecimal digits for a byte, '+' for a space. Pure.
 *
 * Threads: any.
 */
#ifndef BASE_FORM_H
#define BASE_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* One pair, borrowed and as it came: escapes and all. */
struct form_pair {
	const char *name, *value; /* value NULL: without '=' */
	size_t name_len, value_len;
};

/* Takes the next pair off the text that begins at *at, which is NULL behind the last one: false then.
 * A pair may be empty, as between "&&"; a text that has none at all is the caller's to know. */
bool form_next(const char **at, const char *end, struct form_pair *ret);

/* Writes what the text means into `out`, which has room for `len` bytes. False on a percent sign
 * that begins no escape. */
bool form_unescape(const char *text, size_t len, char *out, size_t *ret_len);

/* Valid UTF-8 without control characters (C0, DEL, C1). */
bool form_is_plain(const char *text, size_t len);

/* Takes the next item off a list with commas between its items, without the spaces around it; as
 * form_next(). */
bool form_item(const char **at, const char *end, const char **ret_item, size_t *ret_len);

#endif
