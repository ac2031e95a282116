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

/* The same work whether the name is known or not. */
static const struct consumer *
find(const struct access *a, const char *text, int64_t now_s)
{
	static const struct consumer nobody;
	const struct consumer *named = &nobody;
	uint8_t digest[SHA256_BYTES];
	size_t name_len = strcspn(text, ".");
	for (size_t i = 0; i < a->count; i++)
		if (strlen(a->list[i].name) == name_len &&
		    memcmp(a->list[i].name, text, name_len) == 0)
			named = &a->list[i];
	crypto_sha256(text, strlen(text), digest);
	bool first = crypto_equal(digest, named->keys[0], SHA256_BYTES) && named->key_count > 0;
	bool second = crypto_equal(digest, named->keys[1], SHA256_BYTES) && named->key_count > 1;
	return (first || second) && now_s < named->expires_s ? named : NULL;
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
