#include "config.h"

#include "gateway/base/utf8.h"

/* The length that a first byte announces, 0 if it begins nothing. */
static size_t
announced(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether the bytes behind the first, as far as there are any, go with it. */
static bool
tail_fits(const uint8_t *at, size_t len)
{
	/* the second byte carries the borders of the table in RFC 3629 §4 */
	uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
	if (len > 1 && (at[1] < low || at[1] > high))
		return false;
	for (size_t i = 2; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t
utf8_sequence(const uint8_t *at, size_t len)
{
	size_t need = len > 0 ? announced(at[0]) : 0;
	return need <= len && need > 0 && tail_fits(at, need) ? need : 0;
}

bool
utf8_partial(const uint8_t *at, size_t len)
{
	return len < announced(at[0]) && tail_fits(at, len);
}

size_t
utf8_write(uint32_t code_point, char ret_bytes[4])
{
	if (code_point < 0x80) {
		ret_bytes[0] = (char)code_point;
		return 1;
	}
	size_t len = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
	for (size_t i = len - 1; i > 0; i--) {
		ret_bytes[i] = (char)(0x80 | (code_point & 0x3f));
		code_point >>= 6;
	}
	/* 110xxxxx, 1110xxxx, 11110xxx */
	ret_bytes[0] = (char)((0xf00 >> len & 0xf0) | code_point);
	return len;
}

size_t
utf8_cut(const char *text, size_t len, size_t most)
{
	if (len <= most)
		return len;
	while (most > 0 && ((uint8_t)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}
