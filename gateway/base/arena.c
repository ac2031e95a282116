#include "config.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/arena.h"

#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGN _Alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t bytes[];
};

void
arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

static void
free_blocks(struct arena_block *b)
{
	while (b != NULL) {
		struct arena_block *next = b->next;
		free(b);
		b = next;
	}
}

void
arena_fini(struct arena *a)
{
	free_blocks(a->blocks);
	arena_init(a, a->max);
}

void
arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;
	if (a->blocks != NULL) {
		/* the oldest block is the ordinary one; larger ones were made for one request */
		struct arena_block **last = &a->blocks;
		while ((*last)->next != NULL)
			last = &(*last)->next;
		if ((*last)->size == BLOCK_BYTES) {
			keep = *last;
			*last = NULL;
			keep->used = 0;
		}
	}
	free_blocks(a->blocks);
	arena_init(a, a->max);
	a->blocks = keep;
	a->used = keep != NULL ? BLOCK_BYTES : 0;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	if (a->failed || size > SIZE_MAX - BLOCK_BYTES) {
		a->failed = true;
		return NULL;
	}
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	struct arena_block *b = a->blocks;
	if (b == NULL || b->size - b->used < size) {
		size_t bytes = size > BLOCK_BYTES ? size : BLOCK_BYTES;
		if (bytes > a->max - a->used || (b = malloc(sizeof *b + bytes)) == NULL) {
			a->failed = true;
			return NULL;
		}
		*b = (struct arena_block){.next = a->blocks, .size = bytes};
		a->blocks = b;
		a->used += bytes;
	}
	void *at = (char *)b->bytes + b->used;
	b->used += size;
	memset(at, 0, size);
	return at;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		a->failed = true;
		return NULL;
	}
	return arena_alloc(a, bytes);
}

char *
arena_dup(struct arena *a, const void *bytes, size_t len)
{
	char *copy = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;
	if (copy != NULL && len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	char *text = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (text != NULL) {
		va_start(args, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, args);
		va_end(args);
	}
	return text;
}

bool
arena_failed(const struct arena *a)
{
	return a->failed;
}
