#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/buf.h"
#include "gateway/base/utf8.h"

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = STATUS_OK;
}

static bool
grow(struct buf *b, size_t cap)
{
	char *data = realloc(b->data, cap);
	if (data == NULL)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

char *
buf_room(struct buf *b, size_t len)
{
	if (b->err != STATUS_OK)
		return NULL;
	if (len > b->max - b->len) {
		b->err = STATUS_OVERFLOW;
		return NULL;
	}
	size_t need = b->len + len;
	if (need > b->cap) {
		size_t cap = b->cap < 128 ? 128 : b->cap + b->cap / 2;
		if (cap < need)
			cap = need;
		if (cap > b->max)
			cap = b->max;
		if (!grow(b, cap)) {
			b->err = STATUS_NO_MEMORY;
			return NULL;
		}
	}
	return b->data + b->len;
}

void
buf_expect(struct buf *b, size_t len)
{
	size_t most = b->max - b->len;
	size_t cap = b->len + (len < most ? len : most);
	if (b->err == STATUS_OK && cap > b->cap)
		(void)grow(b, cap);
}

void
buf_used(struct buf *b, size_t len)
{
	assert(b->err == STATUS_OK && len <= b->cap - b->len);
	b->len += len;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	char *at = buf_room(b, len);
	if (at == NULL)
		return;
	memcpy(at, bytes, len);
	b->len += len;
}

void
buf_str_add(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void
buf_byte(struct buf *b, char byte)
{
	buf_add(b, &byte, 1);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
	char small[256];
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(small, sizeof small, fmt, args);
	if (n < 0) {
		b->err = STATUS_INTERNAL;
	} else if ((size_t)n < sizeof small) {
		buf_add(b, small, (size_t)n);
	} else {
		char *at = buf_room(b, (size_t)n + 1);
		if (at != NULL) {
			vsnprintf(at, (size_t)n + 1, fmt, again);
			b->len += (size_t)n;
		}
	}
	va_end(again);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	buf_vprintf(b, fmt, args);
	va_end(args);
}

void
buf_u64(struct buf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	buf_add(b, digits + at, sizeof digits - at);
}

void
buf_i64(struct buf *b, int64_t value)
{
	if (value < 0)
		buf_byte(b, '-');
	buf_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void
buf_json(struct buf *b, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	buf_byte(b, '"');
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x80) {
			size_t n = utf8_sequence((const uint8_t *)text + i, len - i);
			if (n == 0) {
				buf_str_add(b, "\xef\xbf\xbd");
				i++;
			} else {
				buf_add(b, text + i, n);
				i += n;
			}
			continue;
		}
		i++;
		switch (c) {
		case '"':
			buf_str_add(b, "\\\"");
			break;
		case '\\':
			buf_str_add(b, "\\\\");
			break;
		case '\n':
			buf_str_add(b, "\\n");
			break;
		case '\r':
			buf_str_add(b, "\\r");
			break;
		case '\t':
			buf_str_add(b, "\\t");
			break;
		default:
			if (c < 0x20 || c == 0x7f) {
				char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
				buf_add(b, esc, sizeof esc);
			} else {
				buf_byte(b, (char)c);
			}
		}
	}
	buf_byte(b, '"');
}

void
buf_json_str(struct buf *b, const char *text)
{
	if (text == NULL)
		buf_str_add(b, "null");
	else
		buf_json(b, text, strlen(text));
}

const char *
buf_str(struct buf *b)
{
	if (b->err != STATUS_OK)
		return "";
	if (b->len == b->cap) {
		/* the NUL is not content: it may stand one byte beyond the maximum */
		char *data = realloc(b->data, b->cap + 1);
		if (data == NULL) {
			b->err = STATUS_NO_MEMORY;
			return "";
		}
		b->data = data;
		b->data[b->len] = '\0';
		return b->data;
	}
	b->data[b->len] = '\0';
	return b->data;
}
