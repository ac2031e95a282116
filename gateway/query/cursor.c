#include "config.h"

#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/query/query.h"

#define MAC_BYTES 16
#define PLAIN_BYTES (CURSOR_SIGNED_BYTES - MAC_BYTES)
#define PLAIN_MOST (CURSOR_MOST_BYTES - MAC_BYTES)
#define HIDDEN_AT (1 + 8)
#define POSITION_BYTES 8
#define INSIDE_BYTES (4 + 4 + 8)

/* The first byte tells the form, and with it the length. */
#define FORMAT_PLAIN 2  /* into a result, or between calls of a fetch */
#define FORMAT_INSIDE 3 /* into a call under way: behind the position what is known of that call */

static size_t
plain_bytes(bool inside)
{
	return inside ? PLAIN_MOST : PLAIN_BYTES;
}

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
sign(const uint8_t *plain, bool inside, const uint8_t key[SHA256_BYTES], uint8_t ret_mac[MAC_BYTES])
{
	uint8_t message[sizeof purpose + PLAIN_MOST], mac[SHA256_BYTES];
	memcpy(message, purpose, sizeof purpose);
	memcpy(message + sizeof purpose, plain, plain_bytes(inside));
	crypto_mac(key, message, sizeof purpose + plain_bytes(inside), mac);
	memcpy(ret_mac, mac, MAC_BYTES);
}

/* Hides the position and what is known of a call, or shows them again: they tell of the records
 * that a grant hides, too. The signature, which no other position has, makes the mask: the same
 * cursor is the same text. */
static void
mask_position(uint8_t *plain, bool inside, const uint8_t key[SHA256_BYTES])
{
	const uint8_t *mac = plain + plain_bytes(inside);
	size_t hidden = POSITION_BYTES + (inside ? INSIDE_BYTES : 0);
	uint8_t message[sizeof mask_purpose + MAC_BYTES], mask[SHA256_BYTES];
	memcpy(message, mask_purpose, sizeof mask_purpose);
	memcpy(message + sizeof mask_purpose, mac, MAC_BYTES);
	crypto_mac(key, message, sizeof message, mask);
	for (size_t i = 0; i < hidden; i++)
		plain[HIDDEN_AT + i] = (uint8_t)(plain[HIDDEN_AT + i] ^ mask[i]);
}

void
cursor_encode(
    const struct cursor *c, const uint8_t key[SHA256_BYTES], char ret_text[CURSOR_TEXT_BYTES])
{
	uint8_t bytes[CURSOR_MOST_BYTES], *at = bytes;
	at = put(at, c->inside ? FORMAT_INSIDE : FORMAT_PLAIN, 1);
	at = put(at, c->result, 8);
	at = put(at, c->position, POSITION_BYTES);
	if (c->inside) {
		at = put(at, c->call, 4);
		at = put(at, c->attempt, 4);
		at = put(at, c->trail, 8);
	}
	at = put_bytes(at, c->query, sizeof c->query);
	at = put_bytes(at, c->consumer, sizeof c->consumer);
	at = put(at, c->fields, 8);
	at = put(at, c->limit, 2);
	at = put(at, c->format, 1);
	sign(bytes, c->inside, key, at);
	mask_position(bytes, c->inside, key);
	crypto_base64(bytes, plain_bytes(c->inside) + MAC_BYTES, ret_text, CURSOR_TEXT_BYTES);
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
	uint8_t bytes[CURSOR_MOST_BYTES], mac[MAC_BYTES];
	const uint8_t *at = bytes;
	struct cursor c = {.inside = len + 1 == CURSOR_TEXT_BYTES};
	size_t plain = plain_bytes(c.inside);

	if (!is_ascii(text, len) || !crypto_unbase64(text, len, bytes, plain + MAC_BYTES))
		return STATUS_BAD_CURSOR;
	mask_position(bytes, c.inside, key);
	sign(bytes, c.inside, key, mac);
	if (!crypto_equal(mac, bytes + plain, MAC_BYTES) ||
	    get(&at, 1) != (c.inside ? FORMAT_INSIDE : FORMAT_PLAIN))
		return STATUS_BAD_CURSOR;
	c.result = get(&at, 8);
	c.position = get(&at, POSITION_BYTES);
	if (c.inside) {
		c.call = (uint32_t)get(&at, 4);
		c.attempt = (uint32_t)get(&at, 4);
		c.trail = get(&at, 8);
	}
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
