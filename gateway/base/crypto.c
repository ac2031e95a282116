#include "config.h"

#include <sodium.h>
#include <string.h>

#include "gateway/base/crypto.h"

enum status
crypto_init(void)
{
	return sodium_init() < 0 ? STATUS_INTERNAL : STATUS_OK;
}

void
crypto_sha256(const void *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
	crypto_hash_sha256(ret_digest, bytes, len);
}

void
crypto_hmac(
    const uint8_t key[SHA256_BYTES], const void *bytes, size_t len, uint8_t ret_mac[SHA256_BYTES])
{
	crypto_auth_hmacsha256(ret_mac, bytes, len, key);
}

void
crypto_mac(
    const uint8_t key[SHA256_BYTES], const void *bytes, size_t len, uint8_t ret_mac[SHA256_BYTES])
{
	/* fails for lengths alone, which are right */
	(void)crypto_generichash(ret_mac, SHA256_BYTES, bytes, len, key, SHA256_BYTES);
}

bool
crypto_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void
crypto_random(void *bytes, size_t len)
{
	randombytes_buf(bytes, len);
}

void *
crypto_secret_new(size_t len)
{
	return sodium_malloc(len);
}

void
crypto_secret_free(void *secret)
{
	sodium_free(secret);
}

void
crypto_wipe(void *bytes, size_t len)
{
	sodium_memzero(bytes, len);
}

void
crypto_hex(const void *bytes, size_t len, char *ret_text)
{
	sodium_bin2hex(ret_text, len * 2 + 1, bytes, len);
}

bool
crypto_unhex(const char *text, size_t len, uint8_t *ret_bytes, size_t want)
{
	size_t got;
	const char *end;
	return len == want * 2 &&
	       sodium_hex2bin(ret_bytes, want, text, len, NULL, &got, &end) == 0 && got == want &&
	       end == text + len;
}

void
crypto_base64(const void *bytes, size_t len, char *ret_text, size_t room)
{
	sodium_bin2base64(ret_text, room, bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool
crypto_unbase64(const char *text, size_t len, uint8_t *ret_bytes, size_t want)
{
	size_t got;
	const char *end;
	/* libsodium 1.0.18 takes some bytes above 0x7f for characters of the alphabet */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] > 0x7f)
			return false;
	return len + 1 == CRYPTO_BASE64_BYTES(want) &&
	       sodium_base642bin(ret_bytes, want, text, len, NULL, &got, &end,
		   sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
	       got == want && end == text + len;
}
