/* Who asks, and what they may see. A consumer shows its key as `Authorization: Bearer NAME.SECRET`
 * or `X-API-Key: NAME.SECRET`; known are only SHA-256 hashes of whole keys. On the drop-in surface it
 * logs in with them and shows the token that it gets (front/token.h).
 *
 * Access yields a grant, and the grant a predicate on rows (query/filter.h): nothing is looked up
 * for anyone before it is known.
 *
 * Threads: any, after access_new(); nothing changes.
 */
#ifndef FRONT_ACCESS_H
#define FRONT_ACCESS_H

#include "gateway/base/status.h"
#include "gateway/front/token.h"
#include "gateway/ops/settings.h"
#include "gateway/query/query.h"

struct consumer {
	const char *name;
	size_t number;           /* among all of them, from 0 */
	struct id_list policies; /* ascending */
	bool all_policies;
	bool evidence, force, admin;
	enum settings_legacy legacy; /* calls in the old protocol whose meaning has changed */
	int64_t legacy_until_s;      /* wall; the old protocol ends for it; INT64_MAX: never */
	uint64_t quota;              /* queries an hour that need the upstream; 0: no limit */
	int64_t expires_s;           /* wall; INT64_MAX: never */
	uint8_t tag[8];              /* of its name, for cursors */
	uint8_t grant[8]; /* of its policies, for validators: another grant, another tag */
	/* access's own */
	uint8_t keys[2][SHA256_BYTES];
	unsigned key_count;
};

struct access;

struct access *access_new(
    const struct settings_consumer *list, size_t count) NODISCARD; /* borrows */
void access_free(struct access *a);

/* The two header values as they came (NULL: absent) and how often each came.
 *   STATUS_OK            *ret_consumer is borrowed from a
 *   STATUS_UNAUTHORIZED  no key, or none that counts now: told apart for nobody
 *   STATUS_BAD_REQUEST   both headers, or one of them twice */
enum status access_check(const struct access *a, const char *authorization, unsigned authorizations,
    const char *api_key, unsigned api_keys, int64_t now_s,
    const struct consumer **ret_consumer) NODISCARD;

/* A login as the upstream has it: `username` is the consumer's name, `password` its SECRET or the whole
 * NAME.SECRET. What is wrong shows neither in the answer nor in the work done.
 *   STATUS_OK            *ret_consumer is borrowed from a; ret_key names the key that it was
 *   STATUS_UNAUTHORIZED */
enum status access_login(const struct access *a, const char *username, const char *password,
    int64_t now_s, const struct consumer **ret_consumer,
    uint8_t ret_key[TOKEN_KEY_BYTES]) NODISCARD;
/* The token for who has logged in. */
void access_token_write(const uint8_t signing_key[SHA256_BYTES], const struct consumer *c,
    const uint8_t key[TOKEN_KEY_BYTES], int64_t now_s, char ret_text[TOKEN_TEXT_BYTES]);
/* Whose token this is; `text` is it alone, without "Bearer".
 *   STATUS_OK            *ret_consumer is borrowed from a, with the grant of now
 *   STATUS_UNAUTHORIZED  it is none of ours, has expired, or its consumer or the key that it was
 *                        bought with no longer counts: told apart for nobody */
enum status access_token(const struct access *a, const uint8_t signing_key[SHA256_BYTES],
    const char *text, int64_t now_s, const struct consumer **ret_consumer) NODISCARD;

/* All of them: numbers from 0 to access_count()-1. Borrowed. */
size_t access_count(const struct access *a);
const struct consumer *access_at(const struct access *a, size_t number);

/* Whether the grant covers every policy that the query names. */
bool access_covers(const struct consumer *c, const struct id_list *policies);

#endif
