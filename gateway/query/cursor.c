#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/query/query.h"

#define CURSOR_FORMAT 2
#define MAC_BYTES 16
#define PLAIN_BYTES (CURSOR_SIGNED_BYTES - MAC_BYTES)
#define POSITION_AT (1 + 8)
#define POSITION_BYTES 8

/* The key signs other things, too: what is signed begins with what it is, so that nothing else
 * that the gateway ever signed can be shown as a cursor. */
static const char purpose[] = "posturegate cursor";
static const char mask_purpose[] = "posturegate cursor position";

static uint8_t *
put(uint8_t *at, uint64_t value, size_t bytes)
{
	for (size_t i = bytes; i-- > 0; value >>= 8)
		at[i] = (uint8_t)value;
	return at + bytes;
}

static uint8_t *
put_bytes(uint8_t *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

static uint64_t
get(const uint8_t **at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | *(*at)++;
	return value;
}

static void
get_bytes(const uint8_t **at, void *ret, size_t len)
{
	memcpy(ret, *at, len);
	*at += len;
}

static void
sign(const uint8_t plain[PLAIN_BYTES], const uint8_t key[SHA256_BYTES], uint8_t ret_mac[MAC_BYTES])
{
	uint8_t message[sizeof purpose + PLAIN_BYTES], mac[SHA256_BYTES];
	memcpy(message, purpose, sizeof purpose);
	memcpy(message + sizeof purpose, plain, PLAIN_BYTES);
	crypto_hmac(key, message, sizeof message, mac);
	memcpy(ret_mac, mac, MAC_BYTES);
}

/* Hides the position, or shows it again: it counts the records that a grant hides, too. The
 * signature, which no other position has, makes the mask: the same cursor is the same text. */
static void
mask_position(
    uint8_t plain[PLAIN_BYTES], const uint8_t mac[MAC_BYTES], const uint8_t key[SHA256_BYTES])
{
	uint8_t message[sizeof mask_purpose + MAC_BYTES], mask[SHA256_BYTES];
	memcpy(message, mask_purpose, sizeof mask_purpose);
	memcpy(message + sizeof mask_purpose, mac, MAC_BYTES);
	crypto_hmac(key, message, sizeof message, mask);
	for (size_t i = 0; i < POSITION_BYTES; i++)
		plain[POSITION_AT + i] = (uint8_t)(plain[POSITION_AT + i] ^ mask[i]);
}

void
cursor_encode(
    const struct cursor *c, const uint8_t key[SHA256_BYTES], char ret_text[CURSOR_TEXT_BYTES])
{
	uint8_t bytes[CURSOR_SIGNED_BYTES], *at = bytes;
	at = put(at, CURSOR_FORMAT, 1);
	at = put(at, c->result, 8);
	at = put(at, c->position, POSITION_BYTES);
	at = put_bytes(at, c->query, sizeof c->query);
	at = put_bytes(at, c->consumer, sizeof c->consumer);
	at = put(at, c->fields, 8);
	at = put(at, c->limit, 2);
	at = put(at, c->format, 1);
	sign(bytes, key, at);
	mask_position(bytes, at, key);
	crypto_base64(bytes, sizeof bytes, ret_text, CURSOR_TEXT_BYTES);
}

/* libsodium 1.0.18 takes two bytes above 127 for '-' and '_': a second spelling of the same. */
static bool
is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] > 0x7f)
			return false;
	return true;
}

enum status
cursor_decode(
    const char *text, size_t len, const uint8_t key[SHA256_BYTES], struct cursor *ret_cursor)
{
	uint8_t bytes[CURSOR_SIGNED_BYTES], mac[MAC_BYTES];
	const uint8_t *at = bytes;
	struct cursor c;

	if (!is_ascii(text, len) || !crypto_unbase64(text, len, bytes, sizeof bytes))
		return STATUS_BAD_CURSOR;
	mask_position(bytes, bytes + PLAIN_BYTES, key);
	sign(bytes, key, mac);
	if (!crypto_equal(mac, bytes + PLAIN_BYTES, MAC_BYTES) || get(&at, 1) != CURSOR_FORMAT)
		return STATUS_BAD_CURSOR;
	c.result = get(&at, 8);
	c.position = get(&at, POSITION_BYTES);
	get_bytes(&at, c.query, sizeof c.query);
	get_bytes(&at, c.consumer, sizeof c.consumer);
	c.fields = get(&at, 8);
	c.limit = (uint16_t)get(&at, 2);
	c.format = (uint8_t)get(&at, 1);
	if (c.limit < 1 || c.limit > LIMIT_PAGE_RECORDS || c.format > FORMAT_CSV)
		return STATUS_BAD_CURSOR;
	*ret_cursor = c;
	return STATUS_OK;
}
