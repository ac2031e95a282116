/* Reading JSON text that was found valid before (by split): strings and members of objects.
 *
 * Nothing is validated again, but nothing is trusted either: on text that is not what it has to
 * be the answers are wrong or WALK_BAD, never beyond the end.
 *
 * Threads: any; the functions are pure.
 */
#ifndef FETCH_MEMBERS_H
#define FETCH_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fetch/split.h"

/* --- strings: the text between the quotes, escapes and all */

/* Takes the next byte or escape off the text at *at and writes what it means in UTF-8: 1-4 bytes,
 * 0 at `end`. */
size_t text_next(const char **at, const char *end, char ret_bytes[4]);
bool text_has_escapes(const char *text, size_t len);
/* Whether two texts say the same, however they are escaped. */
bool text_equal(const char *a, size_t a_len, const char *b, size_t b_len);
/* Whether the value (quotes included) is a string; its text. */
bool text_of(const char *value, size_t len, const char **ret_text, size_t *ret_len);
/* The quote that closes the string whose text begins at `at`; NULL if there is none. */
const char *text_close(const char *at, const char *end);

/* --- objects */

enum walk { WALK_MEMBER, WALK_END, WALK_BAD };

struct member_walk {
	const char *at, *end;
	bool begun;
};

/* From the '{' of an object to its '}': white space may stand between its tokens. */
void members_begin(struct member_walk *w, const char *object, size_t len);
/* WALK_MEMBER: *ret is the next member, borrowed from the object's text. WALK_END: there is none,
 * and the object ended where its text did. */
enum walk members_next(struct member_walk *w, struct split_member *ret);
/* The same for a member that most likely comes next, as `,"name":` without white space, so that
 * nothing has to be looked for. False, and nothing is taken, if it does not, or if what follows is no
 * value: members_next() knows. */
bool members_expect(
    struct member_walk *w, const char *intro, size_t intro_len, struct split_member *ret);
/* The last member of that name, as a reader would take it that knows no duplicates. False if
 * there is none, or if the value is no object. */
bool members_find(const char *object, size_t len, const char *name, struct split_member *ret);

/* The first member of that name, however it is escaped; NULL if there is none. */
const struct split_member *members_in(const struct split_record *rec, const char *name);

#endif
