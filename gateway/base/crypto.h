/* Hashing, signing, comparing and secret memory; the only includer of libsodium.
 * Threads: any, after crypto_init(). */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

#define SHA256_BYTES 32

/* Startup only. STATUS_INTERNAL if the library cannot work here. */
enum status crypto_init(void) NODISCARD;

void crypto_sha256(const void *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES]);
void crypto_hmac(
    const uint8_t key[SHA256_BYTES], const void *bytes, size_t len, uint8_t ret_mac[SHA256_BYTES]);
/* A keyed BLAKE2b of 32 bytes (RFC 7693): for what only we check again. A short message takes a third of
 * the time of crypto_hmac(). */
void crypto_mac(
    const uint8_t key[SHA256_BYTES], const void *bytes, size_t len, uint8_t ret_mac[SHA256_BYTES]);
/* Takes the same time whatever differs. */
bool crypto_equal(const void *a, const void *b, size_t len);
void crypto_random(void *bytes, size_t len);

/* `len` bytes that are locked in memory, left out of core dumps, guarded by unreadable pages and
 * wiped by crypto_secret_free() (NULL is fine). NULL if there is no more lockable memory. */
void *crypto_secret_new(size_t len) NODISCARD;
void crypto_secret_free(void *secret);
void crypto_wipe(void *bytes, size_t len);

/* --- text forms */
void crypto_hex(const void *bytes, size_t len, char *ret_text); /* 2 * len + 1 bytes */
bool crypto_unhex(const char *text, size_t len, uint8_t *ret_bytes, size_t want);
/* base64url without padding (RFC 4648 §5). */
#define CRYPTO_BASE64_BYTES(len) (((len)*4 + 2) / 3 + 1)
void crypto_base64(const void *bytes, size_t len, char *ret_text, size_t room);
/* Exactly `want` bytes from exactly `len` characters, no padding, no other spelling of the same. */
bool crypto_unbase64(const char *text, size_t len, uint8_t *ret_bytes, size_t want);

#endif
