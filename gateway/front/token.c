#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/form.h"
#include "gateway/front/token.h"

/* {"alg":"HS256","typ":"JWT"} and the dot behind it */
static const char header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";
#define HEADER_LEN (sizeof header - 1)
#define MAC_TEXT_LEN (CRYPTO_BASE64_BYTES(SHA256_BYTES) - 1)
#define PAYLOAD_BYTES 320 /* 64 of a name, 19 of a number twice, and some 80 of the rest */
#define SKEW_S 300

/* The gateway's key signs other things, too: each purpose has a key or a prefix of its own. */
static const char sign_purpose[] = "posturegate token";
static const char mark_purpose[] = "posturegate token key";

static_assert(HEADER_LEN + CRYPTO_BASE64_BYTES(PAYLOAD_BYTES) + 1 + MAC_TEXT_LEN < TOKEN_TEXT_BYTES,
    "any payload fits");

/* --- keys */

void
token_mark(const uint8_t signing_key[SHA256_BYTES], const uint8_t tag[TOKEN_KEY_BYTES],
    uint8_t ret_mark[TOKEN_KEY_BYTES])
{
	uint8_t key[SHA256_BYTES], mac[SHA256_BYTES];
	crypto_hmac(signing_key, mark_purpose, sizeof mark_purpose, key);
	crypto_hmac(key, tag, TOKEN_KEY_BYTES, mac);
	memcpy(ret_mark, mac, TOKEN_KEY_BYTES);
	crypto_wipe(key, sizeof key);
}

static void
sign(const uint8_t signing_key[SHA256_BYTES], const char *text, size_t len,
    uint8_t ret_mac[SHA256_BYTES])
{
	uint8_t key[SHA256_BYTES];
	crypto_hmac(signing_key, sign_purpose, sizeof sign_purpose, key);
	crypto_hmac(key, text, len, ret_mac);
	crypto_wipe(key, sizeof key);
}

/* --- the payload: one form, read as strictly as it is written */

static size_t
write_payload(const struct token *t, char ret[PAYLOAD_BYTES])
{
	char mark[2 * TOKEN_KEY_BYTES + 1];
	crypto_hex(t->mark, sizeof t->mark, mark);
	int len = snprintf(ret, PAYLOAD_BYTES,
	    "{\"sub\":\"%s\",\"iss\":\"posturegate\",\"aud\":\"pcrs\",\"iat\":%" PRId64
	    ",\"exp\":%" PRId64 ",\"kid\":\"%s\"}",
	    t->name, t->issued_s, t->issued_s + TOKEN_LIFETIME_S, mark);
	assert(len > 0 && len < PAYLOAD_BYTES);
	return (size_t)len;
}

/* Passes over exactly this text. */
static bool
skip(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);
	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool
take_name(const char **at, const char *end, char ret[TOKEN_NAME_BYTES + 1])
{
	const char *quote = memchr(*at, '"', (size_t)(end - *at));
	if (quote == NULL || quote == *at || quote - *at > TOKEN_NAME_BYTES)
		return false;
	memcpy(ret, *at, (size_t)(quote - *at));
	ret[quote - *at] = '\0';
	*at = quote;
	return true;
}

static bool
take_seconds(const char **at, const char *end, int64_t *ret)
{
	int64_t value = 0;
	const char *begin = *at;
	for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
		if (*at - begin == 15)
			return false;
		value = value * 10 + (**at - '0');
	}
	*ret = value;
	return *at > begin;
}

static bool
take_mark(const char **at, const char *end, uint8_t ret[TOKEN_KEY_BYTES])
{
	size_t len = 2 * TOKEN_KEY_BYTES;
	if ((size_t)(end - *at) < len || !crypto_unhex(*at, len, ret, TOKEN_KEY_BYTES))
		return false;
	*at += len;
	return true;
}

/* What it reads is written once more and has to be the same: no spelling but one. */
static bool
read_payload(const char *text, size_t len, struct token *ret)
{
	const char *at = text, *end = text + len;
	char again[PAYLOAD_BYTES];
	int64_t expires_s;
	*ret = (struct token){.issued_s = 0};
	return skip(&at, end, "{\"sub\":\"") && take_name(&at, end, ret->name) &&
	       skip(&at, end, "\",\"iss\":\"posturegate\",\"aud\":\"pcrs\",\"iat\":") &&
	       take_seconds(&at, end, &ret->issued_s) && skip(&at, end, ",\"exp\":") &&
	       take_seconds(&at, end, &expires_s) && skip(&at, end, ",\"kid\":\"") &&
	       take_mark(&at, end, ret->mark) && write_payload(ret, again) == len &&
	       memcmp(text, again, len) == 0;
}

/* --- the whole */

void
token_write(
    const uint8_t signing_key[SHA256_BYTES], const struct token *t, char ret_text[TOKEN_TEXT_BYTES])
{
	char payload[PAYLOAD_BYTES];
	uint8_t mac[SHA256_BYTES];
	assert(t->name[0] != '\0' && strpbrk(t->name, "\"\\") == NULL);
	size_t payload_len = write_payload(t, payload), len = HEADER_LEN;
	memcpy(ret_text, header, HEADER_LEN);
	crypto_base64(payload, payload_len, ret_text + len, TOKEN_TEXT_BYTES - len);
	len += strlen(ret_text + len);
	sign(signing_key, ret_text, len, mac);
	ret_text[len++] = '.';
	crypto_base64(mac, sizeof mac, ret_text + len, TOKEN_TEXT_BYTES - len);
}

enum status
token_read(const uint8_t signing_key[SHA256_BYTES], const char *text, size_t len, int64_t now_s,
    struct token *ret)
{
	uint8_t given[SHA256_BYTES], mac[SHA256_BYTES];
	char payload[PAYLOAD_BYTES];
	struct token t;

	if (len > TOKEN_TEXT_BYTES - 1 || len < HEADER_LEN + 1 + MAC_TEXT_LEN)
		return STATUS_UNAUTHORIZED;
	size_t signed_len = len - MAC_TEXT_LEN - 1;
	if (text[signed_len] != '.' ||
	    !crypto_unbase64(text + signed_len + 1, MAC_TEXT_LEN, given, sizeof given))
		return STATUS_UNAUTHORIZED;
	sign(signing_key, text, signed_len, mac);
	if (!crypto_equal(mac, given, sizeof mac))
		return STATUS_UNAUTHORIZED;

	const char *body = text + HEADER_LEN;
	size_t body_len = signed_len - HEADER_LEN, want = body_len * 3 / 4;
	if (memcmp(text, header, HEADER_LEN) != 0 || want > sizeof payload ||
	    !crypto_unbase64(body, body_len, (uint8_t *)payload, want) ||
	    !read_payload(payload, want, &t))
		return STATUS_UNAUTHORIZED;
	if (now_s >= t.issued_s + TOKEN_LIFETIME_S || t.issued_s > now_s + SKEW_S)
		return STATUS_UNAUTHORIZED;
	*ret = t;
	return STATUS_OK;
}

/* --- the form */

/* Whether the field's name, which may be escaped, is this one. */
static bool
is_named(const struct form_pair *pair, const char *name)
{
	char text[24];
	size_t len;
	return pair->name_len <= sizeof text &&
	       form_unescape(pair->name, pair->name_len, text, &len) && len == strlen(name) &&
	       memcmp(text, name, len) == 0;
}

/* NULL, or what is wrong with the field. `to` is "" as long as it was not given. */
static const char *
take_field(const struct form_pair *pair, char to[LOGIN_FIELD_BYTES + 1])
{
	char text[3 * LOGIN_FIELD_BYTES];
	const char *problem = NULL;
	size_t len = 0;
	bool fits = pair->value != NULL && pair->value_len <= sizeof text;
	if (to[0] != '\0')
		problem = "username and password have to be given once";
	else if (fits && (!form_unescape(pair->value, pair->value_len, text, &len) ||
			     !form_is_plain(text, len)))
		problem = "username and password have to be UTF-8, percent-encoded";
	else if (len == 0 || len > LOGIN_FIELD_BYTES)
		problem = "username and password have to be texts of 1 to 512 bytes";
	if (problem == NULL) {
		memcpy(to, text, len);
		to[len] = '\0';
	}
	crypto_wipe(text, sizeof text);
	return problem;
}

static const char *
take_form(const char *text, size_t len, struct login_form *form)
{
	const char *at = len > 0 ? text : NULL, *problem = NULL;
	struct form_pair pair;
	while (problem == NULL && form_next(&at, text + len, &pair)) {
		if (is_named(&pair, "username"))
			problem = take_field(&pair, form->username);
		else if (is_named(&pair, "password"))
			problem = take_field(&pair, form->password);
	}
	if (problem == NULL && (form->username[0] == '\0' || form->password[0] == '\0'))
		problem = "username and password are required, as a form";
	return problem;
}

enum status
login_form_read(const char *text, size_t len, struct login_form *ret, const char **ret_message)
{
	struct login_form form = {.username = ""};
	if (len > LOGIN_BODY_BYTES) {
		*ret_message = "The form is larger than 4096 bytes";
		return STATUS_TOO_LARGE;
	}
	const char *problem = take_form(text, len, &form);
	if (problem == NULL)
		*ret = form;
	else
		*ret_message = problem;
	login_form_wipe(&form);
	return problem == NULL ? STATUS_OK : STATUS_BAD_REQUEST;
}

void
login_form_wipe(struct login_form *form)
{
	crypto_wipe(form, sizeof *form);
}
