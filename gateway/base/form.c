#include "config.h"

#include <stdint.h>
#include <string.h>

#include "gateway/base/form.h"
#include "gateway/base/utf8.h"

bool
form_next(const char **at, const char *end, struct form_pair *ret)
{
	if (*at == NULL)
		return false;
	const char *begin = *at, *amp = memchr(begin, '&', (size_t)(end - begin));
	const char *stop = amp != NULL ? amp : end;
	const char *equals = memchr(begin, '=', (size_t)(stop - begin));
	*at = amp != NULL ? amp + 1 : NULL;
	*ret = (struct form_pair){
	    .name = begin,
	    .name_len = (size_t)((equals != NULL ? equals : stop) - begin),
	    .value = equals != NULL ? equals + 1 : NULL,
	    .value_len = equals != NULL ? (size_t)(stop - equals) - 1 : 0,
	};
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
form_unescape(const char *text, size_t len, char *out, size_t *ret_len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = len - i > 2 ? hex_digit(text[i + 1]) : -1;
			int low = len - i > 2 ? hex_digit(text[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		out[n++] = c;
	}
	*ret_len = n;
	return true;
}

bool
form_is_plain(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_sequence(at + i, len - i);
		if (n == 0 || at[i] < 0x20 || at[i] == 0x7f ||
		    (n == 2 && at[i] == 0xc2 && at[i + 1] < 0xa0))
			return false;
	}
	return true;
}

bool
form_item(const char **at, const char *end, const char **ret_item, size_t *ret_len)
{
	const char *begin = *at;
	if (begin == NULL)
		return false;
	const char *comma = memchr(begin, ',', (size_t)(end - begin));
	const char *stop = comma != NULL ? comma : end;
	*at = comma != NULL ? comma + 1 : NULL;
	while (begin < stop && *begin == ' ')
		begin++;
	while (stop > begin && stop[-1] == ' ')
		stop--;
	*ret_item = begin;
	*ret_len = (size_t)(stop - begin);
	return true;
}
