/* The tokens that /auth gave out. Several live at a time; the oldest of too many is forgotten.
 *
 * Threads: with the simulator's lock held.
 */
#ifndef SIM_TOKENS_H
#define SIM_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#define TOKENS_KEPT 256
#define TOKEN_BYTES 512

struct tokens {
	struct {
		char text[TOKEN_BYTES];
		int64_t ends_ms;
	} list[TOKENS_KEPT];
	uint64_t made;
};

/* Looks like a JWT: header and claims are real base64url JSON, the signature is noise. */
const char *token_make(struct tokens *t, const char *username, int64_t lifetime_s);
bool token_good(const struct tokens *t, const char *text);
void tokens_expire(struct tokens *t); /* all of them, now */

#endif
