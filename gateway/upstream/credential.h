/* The one credential and its token.
 *
 * The account's password is read from its file for each login, lives in locked memory and is
 * wiped after the login. The token is renewed at 80 % of its life by whichever fetch thread comes
 * first; the others go on with the old one while it lasts and wait for the new one after that:
 * one login at a time however many calls need it.
 *
 * Rejected credentials stop all logins, so that no account gets locked, until the password file
 * changes. A token that is refused right after its login twice in a row stops them for a while.
 *
 * Threads: any.
 */
#ifndef UPSTREAM_CREDENTIAL_H
#define UPSTREAM_CREDENTIAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

struct credential;
struct transport;

enum credential_state { CREDENTIAL_UNKNOWN, CREDENTIAL_OK, CREDENTIAL_REJECTED };

/* How a login is made; tests put their own in its place. Reads the password itself. On STATUS_OK
 * *ret_token is a heap string in which every byte is printable ASCII without spaces.
 * STATUS_UPSTREAM_AUTH: rejected. STATUS_UPSTREAM_LIMIT: *ret_wait_ms is how long the upstream wants
 * no other try. */
typedef enum status credential_login_f(void *ctx, struct transport *t, const atomic_bool *cancelled,
    char **ret_token, int64_t *ret_wait_ms);

/* A login has ended with `st`: for whoever counts, in the thread that made it, without locks.
 * http: of the answer, 0 if none came, -1 if no call was made. */
typedef void credential_ended_f(void *ctx, enum status st, int http, int64_t took_ms);

struct credential_options {
	const char *username;
	const char *password_file;
	credential_login_f *login; /* NULL: POST /auth over the transport */
	void *login_ctx;
	credential_ended_f *ended; /* may be NULL */
	void *ended_ctx;
};

struct credential *credential_new(const struct credential_options *o) NODISCARD; /* copies o */
void credential_free(struct credential *c);

/* A token to use for one call. *ret_token is a copy: wipe and free it with credential_token_free().
 * *ret_generation names it for credential_refused(). May log in, over t: then the login comes to its
 * end whether or not its caller is cancelled, because the upstream has it and others want its token.
 *   STATUS_OK, STATUS_UPSTREAM_AUTH (rejected), what the login's call gave, STATUS_CANCELLED */
enum status credential_token(struct credential *c, struct transport *t,
    const atomic_bool *cancelled, char **ret_token, uint64_t *ret_generation) NODISCARD;
void credential_token_free(char *token); /* NULL is fine */

/* Gives up the login that is under way, and those that would come. */
void credential_stop(struct credential *c);

/* The upstream answered 401 to the token of this generation: the next credential_token() logs in
 * anew, unless somebody has done so already. */
void credential_refused(struct credential *c, uint64_t generation);

/* How long credential_token() will not log in, after a login that failed; 0: it may. */
int64_t credential_wait_ms(struct credential *c);

/* How long there can be no token because the upstream wants no login before; 0: there is one, or may
 * be. */
int64_t credential_limited_ms(struct credential *c);

/* The upstream took the token of this generation: what was refused before it is forgiven. */
void credential_worked(struct credential *c, uint64_t generation);

enum credential_state credential_state(struct credential *c);
/* When the token in use ends (wall); 0: there is none. */
int64_t credential_expires_ms(struct credential *c);

/* --- pure, for tests: seconds of life of a token by its own `exp` (and `iat`), or the documented
 * four hours if it does not say. Between 60 s and 24 h. */
int64_t credential_lifetime_s(const char *token, int64_t now_s);

#endif
