#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "tests/simulator/sbuf.h"
#include "tests/simulator/sim.h"
#include "tests/simulator/tokens.h"

static void
base64url(struct sbuf *out, const void *bytes, size_t len)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = bytes;
	for (size_t i = 0; i < len; i += 3) {
		size_t here = len - i < 3 ? len - i : 3;
		unsigned v = (unsigned)p[i] << 16;
		v |= here > 1 ? (unsigned)p[i + 1] << 8 : 0;
		v |= here > 2 ? (unsigned)p[i + 2] : 0;
		for (size_t k = 0; k <= here; k++)
			sbuf_add(out, &digits[v >> (18 - 6 * k) & 63], 1);
	}
}

const char *
token_make(struct tokens *t, const char *username, int64_t lifetime_s)
{
	static const char header[] = "{\"alg\":\"HS512\"}";
	unsigned char noise[64];
	struct sbuf claims = {0}, token = {0};
	if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
		memset(noise, (int)t->made, sizeof(noise));
	sbuf_text(&claims, "{\"sub\":");
	char name[65]; /* a longer one would not fit a slot */
	snprintf(name, sizeof(name), "%s", username);
	sbuf_json(&claims, name);
	sbuf_printf(&claims,
	    ",\"iss\":\"sim\",\"aud\":\"sim\",\"jti\":%" PRIu64 ",\"iat\":%" PRId64
	    ",\"exp\":%" PRId64 "}",
	    t->made, now_s(), now_s() + lifetime_s);
	base64url(&token, header, sizeof(header) - 1);
	sbuf_text(&token, ".");
	base64url(&token, claims.data, claims.len);
	sbuf_text(&token, ".");
	base64url(&token, noise, sizeof(noise));
	unsigned slot = (unsigned)(t->made++ % TOKENS_KEPT);
	snprintf(t->list[slot].text, TOKEN_BYTES, "%s", sbuf_str(&token));
	t->list[slot].ends_ms = now_ms() + lifetime_s * 1000;
	sbuf_free(&claims);
	sbuf_free(&token);
	return t->list[slot].text;
}

bool
token_good(const struct tokens *t, const char *text)
{
	int64_t now = now_ms();
	for (unsigned i = 0; i < TOKENS_KEPT; i++)
		if (t->list[i].text[0] != '\0' && strcmp(t->list[i].text, text) == 0)
			return t->list[i].ends_ms > now;
	return false;
}

void
tokens_expire(struct tokens *t)
{
	for (unsigned i = 0; i < TOKENS_KEPT; i++)
		t->list[i].ends_ms = 0;
}
