/* The token that POST /auth of the drop-in surface gives out, and the form that it is asked with.
 *
 * A token is a JWT (RFC 7519, HS256) of one fixed form: whoever looks into it sees whose it is and
 * how long it lives, as clients are used to. It is signed with a key of its own, made from the
 * gateway's signing key, so that no cursor is a token and no token a cursor. It says with which key
 * of the consumer it was bought, and it is worth nothing once that key is no longer configured; what
 * it opens is what the consumer's grant says now (front/access.h).
 *
 * Life of 4 h: as the vendor's tokens have it.
 *
 * Threads: any; all functions are pure.
 */
#ifndef FRONT_TOKEN_H
#define FRONT_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/crypto.h"
#include "gateway/base/status.h"

/* --- tokens */

#define TOKEN_LIFETIME_S INT64_C(14400)
#define TOKEN_TEXT_BYTES 1024 /* longer ones are not looked at */
#define TOKEN_NAME_BYTES 64   /* of a consumer's name, as in the settings */
#define TOKEN_KEY_BYTES 8

struct token {
	char name[TOKEN_NAME_BYTES + 1]; /* of the consumer */
	int64_t issued_s;                /* wall; it ends TOKEN_LIFETIME_S later */
	uint8_t mark[TOKEN_KEY_BYTES];   /* token_mark() of the key it was bought with */
};

/* How a token names a consumer's key, whose tag is given (front/access.h). Without the signing key
 * it tells nothing of the tag, so that nobody can try keys on a token that was found. */
void token_mark(const uint8_t signing_key[SHA256_BYTES], const uint8_t tag[TOKEN_KEY_BYTES],
    uint8_t ret_mark[TOKEN_KEY_BYTES]);

/* `name` is a consumer's: letters, digits, _ and -. NUL-terminated. */
void token_write(const uint8_t signing_key[SHA256_BYTES], const struct token *t,
    char ret_text[TOKEN_TEXT_BYTES]);

/* Takes exactly what token_write() writes with this key; the signature is looked at before anything
 * that it signs.
 *   STATUS_OK, STATUS_UNAUTHORIZED (any other text; expired; or of a time that is yet to come, but
 *   for a clock that was set back by some minutes) */
enum status token_read(const uint8_t signing_key[SHA256_BYTES], const char *text, size_t len,
    int64_t now_s, struct token *ret) NODISCARD;

/* --- the form: application/x-www-form-urlencoded */

#define LOGIN_BODY_BYTES 4096
#define LOGIN_FIELD_BYTES 512

/* Secret: wipe it when it was looked at. */
struct login_form {
	char username[LOGIN_FIELD_BYTES + 1], password[LOGIN_FIELD_BYTES + 1];
};

/* The username and password of a form. Clients send token=true and permissions=true, too, which
 * change nothing here, and whatever else is there is passed over unread.
 *   STATUS_OK           *ret is filled, and yours to wipe
 *   STATUS_BAD_REQUEST  one of the two is missing, empty, twice there, too long, or no UTF-8 without
 *                       control characters; *ret_message is one sentence
 *   STATUS_TOO_LARGE    more than LOGIN_BODY_BYTES; likewise */
enum status login_form_read(
    const char *text, size_t len, struct login_form *ret, const char **ret_message) NODISCARD;
void login_form_wipe(struct login_form *form);

#endif
