#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulator/sbuf.h"

static void *
or_die(void *memory)
{
	if (memory == NULL) {
		fputs("posturegate-simulator: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *
sim_alloc(size_t bytes)
{
	return or_die(calloc(1, bytes > 0 ? bytes : 1));
}

void
sbuf_free(struct sbuf *b)
{
	free(b->data);
	*b = (struct sbuf){0};
}

char *
sbuf_room(struct sbuf *b, size_t len)
{
	if (len > b->cap - b->len) {
		size_t cap = b->cap + b->cap / 2;
		if (cap < b->len + len)
			cap = b->len + len;
		if (cap < 256)
			cap = 256;
		b->data = or_die(realloc(b->data, cap));
		b->cap = cap;
	}
	return b->data + b->len;
}

void
sbuf_add(struct sbuf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(sbuf_room(b, len), bytes, len);
	b->len += len;
}

void
sbuf_text(struct sbuf *b, const char *text)
{
	sbuf_add(b, text, strlen(text));
}

void
sbuf_u64(struct sbuf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	sbuf_add(b, digits + at, sizeof(digits) - at);
}

void
sbuf_fill(struct sbuf *b, char byte, size_t count)
{
	if (count == 0)
		return;
	memset(sbuf_room(b, count), byte, count);
	b->len += count;
}

void
sbuf_printf(struct sbuf *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len <= 0)
		return;
	char *at = sbuf_room(b, (size_t)len + 1);
	va_start(args, fmt);
	vsnprintf(at, (size_t)len + 1, fmt, args);
	va_end(args);
	b->len += (size_t)len;
}

void
sbuf_json(struct sbuf *b, const char *text)
{
	sbuf_add(b, "\"", 1);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			sbuf_printf(b, "\\%c", c);
		else if (c < 0x20)
			sbuf_printf(b, "\\u%04x", c);
		else
			sbuf_add(b, text, 1);
	}
	sbuf_add(b, "\"", 1);
}

void
sbuf_cut(struct sbuf *b, size_t at, size_t len)
{
	memmove(b->data + at, b->data + at + len, b->len - at - len);
	b->len -= len;
}

void
sbuf_insert(struct sbuf *b, size_t at, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	sbuf_room(b, len);
	memmove(b->data + at + len, b->data + at, b->len - at);
	memcpy(b->data + at, bytes, len);
	b->len += len;
}

const char *
sbuf_str(struct sbuf *b)
{
	*sbuf_room(b, 1) = '\0';
	return b->data;
}
