#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/base/crypto.h"
#include "gateway/base/ids.h"
#include "gateway/front/access.h"

#define KEY_MOST 512

struct access {
	size_t count;
	struct consumer list[];
};

struct access *
access_new(const struct settings_consumer *list, size_t count)
{
	struct access *a = calloc(1, sizeof *a + count * sizeof a->list[0]);
	if (a == NULL)
		return NULL;
	a->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct settings_consumer *from = &list[i];
		struct consumer *to = &a->list[i];
		uint8_t digest[SHA256_BYTES];
		*to = (struct consumer){
		    .name = from->name,
		    .number = i,
		    .policies = {from->policies, from->policy_count},
		    .all_policies = from->all_policies,
		    .evidence = from->evidence,
		    .force = from->force,
		    .admin = from->admin,
		    .legacy = from->legacy,
		    .legacy_until_s = from->legacy_until_s,
		    .quota = from->quota,
		    .key_count = from->key_count,
		    .expires_s = from->expires_s,
		};
		memcpy(to->keys, from->keys, sizeof to->keys);
		crypto_sha256(from->name, strlen(from->name), digest);
		memcpy(to->tag, digest, sizeof to->tag);
		crypto_sha256(from->policies, from->policy_count * sizeof *from->policies, digest);
		digest[0] = from->all_policies;
		memcpy(to->grant, digest, sizeof to->grant);
	}
	return a;
}

void
access_free(struct access *a)
{
	free(a);
}

/* The key text in the header value of one of the two kinds, or NULL. */
static const char *
key_text(const char *authorization, const char *api_key)
{
	const char *text = api_key;
	if (authorization != NULL) {
		if (strncasecmp(authorization, "Bearer ", 7) != 0)
			return NULL;
		text = authorization + 7;
		text += strspn(text, " ");
	}
	size_t len = strlen(text);
	return len > 0 && len <= KEY_MOST ? text : NULL;
}

static const struct consumer *
named(const struct access *a, const char *name, size_t len)
{
	static const struct consumer nobody;
	const struct consumer *c = &nobody;
	for (size_t i = 0; i < a->count; i++)
		if (strlen(a->list[i].name) == len && memcmp(a->list[i].name, name, len) == 0)
			c = &a->list[i];
	return c;
}

/* Which of the consumer's keys this text is, from 1; 0: none. The same work in every case. */
static unsigned
which_key(const struct consumer *c, const char *text, size_t len)
{
	uint8_t digest[SHA256_BYTES];
	crypto_sha256(text, len, digest);
	bool first = crypto_equal(digest, c->keys[0], SHA256_BYTES) && c->key_count > 0;
	bool second = crypto_equal(digest, c->keys[1], SHA256_BYTES) && c->key_count > 1;
	return first ? 1 : second ? 2 : 0;
}

/* The same work whether the name is known or not. */
static const struct consumer *
find(const struct access *a, const char *text, int64_t now_s)
{
	const struct consumer *c = named(a, text, strcspn(text, "."));
	return which_key(c, text, strlen(text)) != 0 && now_s < c->expires_s ? c : NULL;
}

enum status
access_check(const struct access *a, const char *authorization, unsigned authorizations,
    const char *api_key, unsigned api_keys, int64_t now_s, const struct consumer **ret_consumer)
{
	if (authorizations + api_keys > 1)
		return STATUS_BAD_REQUEST;
	if (authorizations + api_keys == 0)
		return STATUS_UNAUTHORIZED;
	const char *text = key_text(authorization, api_key);
	const struct consumer *c = text != NULL ? find(a, text, now_s) : NULL;
	if (c == NULL)
		return STATUS_UNAUTHORIZED;
	*ret_consumer = c;
	return STATUS_OK;
}

/* --- the drop-in surface's login */

/* What a token is bound to in place of a key: nothing leads back from it. */
static void
key_tag(const uint8_t key[SHA256_BYTES], uint8_t ret_tag[TOKEN_KEY_BYTES])
{
	static const char purpose[] = "posturegate key tag";
	uint8_t mac[SHA256_BYTES];
	crypto_hmac(key, purpose, sizeof purpose, mac);
	memcpy(ret_tag, mac, TOKEN_KEY_BYTES);
}

enum status
access_login(const struct access *a, const char *username, const char *password, int64_t now_s,
    const struct consumer **ret_consumer, uint8_t ret_key[TOKEN_KEY_BYTES])
{
	char text[2 * KEY_MOST + 2];
	size_t name_len = strlen(username), len = strlen(password);
	if (name_len > KEY_MOST || len > KEY_MOST)
		return STATUS_UNAUTHORIZED;
	memcpy(text, username, name_len);
	text[name_len] = '.';
	memcpy(text + name_len + 1, password, len);

	const struct consumer *c = named(a, username, name_len);
	unsigned secret = which_key(c, text, name_len + 1 + len);
	unsigned whole = which_key(c, password, len);
	crypto_wipe(text, sizeof text);
	unsigned which = secret != 0 ? secret : whole;
	if (which == 0 || now_s >= c->expires_s)
		return STATUS_UNAUTHORIZED;
	key_tag(c->keys[which - 1], ret_key);
	*ret_consumer = c;
	return STATUS_OK;
}

void
access_token_write(const uint8_t signing_key[SHA256_BYTES], const struct consumer *c,
    const uint8_t key[TOKEN_KEY_BYTES], int64_t now_s, char ret_text[TOKEN_TEXT_BYTES])
{
	struct token t = {.issued_s = now_s};
	size_t len = strlen(c->name);
	assert(len < sizeof t.name);
	memcpy(t.name, c->name, len);
	token_mark(signing_key, key, t.mark);
	token_write(signing_key, &t, ret_text);
}

/* Whether the token was bought with one of the keys that the consumer still has. */
static bool
has_key_of(const struct consumer *c, const uint8_t signing_key[SHA256_BYTES], const struct token *t)
{
	bool has = false;
	for (unsigned i = 0; i < c->key_count; i++) {
		uint8_t tag[TOKEN_KEY_BYTES], mark[TOKEN_KEY_BYTES];
		key_tag(c->keys[i], tag);
		token_mark(signing_key, tag, mark);
		has |= crypto_equal(mark, t->mark, sizeof mark);
	}
	return has;
}

enum status
access_token(const struct access *a, const uint8_t signing_key[SHA256_BYTES], const char *text,
    int64_t now_s, const struct consumer **ret_consumer)
{
	struct token t;
	enum status st = token_read(signing_key, text, strlen(text), now_s, &t);
	if (st != STATUS_OK)
		return st;
	const struct consumer *c = named(a, t.name, strlen(t.name));
	if (now_s >= c->expires_s || !has_key_of(c, signing_key, &t))
		return STATUS_UNAUTHORIZED;
	*ret_consumer = c;
	return STATUS_OK;
}

size_t
access_count(const struct access *a)
{
	return a->count;
}

const struct consumer *
access_at(const struct access *a, size_t number)
{
	assert(number < a->count);
	return &a->list[number];
}

bool
access_covers(const struct consumer *c, const struct id_list *policies)
{
	if (c->all_policies)
		return true;
	for (size_t i = 0; i < policies->count; i++)
		if (ids_find(c->policies.ids, c->policies.count, policies->ids[i]) ==
		    c->policies.count)
			return false;
	return true;
}
