#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/store.h"

/* In `meta`, under "note/" and the name: CRC-32 of the key and of the content, then the content. */
static const char prefix[] = "note/";
#define PREFIX_BYTES (sizeof prefix - 1)
#define HEADER_BYTES 4

struct note_key {
	uint8_t bytes[PREFIX_BYTES + CACHE_NOTE_NAME_BYTES];
	size_t len;
};

static struct note_key
note_key(const char *name)
{
	struct note_key k = {.len = PREFIX_BYTES + strlen(name)};
	assert(k.len > PREFIX_BYTES && k.len <= sizeof k.bytes);
	memcpy(k.bytes, prefix, PREFIX_BYTES);
	memcpy(k.bytes + PREFIX_BYTES, name, k.len - PREFIX_BYTES);
	return k;
}

static uint32_t
checksum(const struct note_key *k, const void *content, size_t len)
{
	return codec_crc32(codec_crc32(0, k->bytes, k->len), content, len);
}

static void
put(struct env_txn *t, const struct note_key *k, const void *bytes, size_t len)
{
	/* looked at first: LMDB would believe the header of a large value that it replaces */
	struct env_bytes old;
	(void)env_get(t, ENV_META, k->bytes, k->len, &old);
	uint8_t *v = env_reserve(t, ENV_META, k->bytes, k->len, HEADER_BYTES + len);
	if (v == NULL)
		return;
	bytes_put_u32(v, checksum(k, bytes, len));
	if (len > 0)
		memcpy(v + HEADER_BYTES, bytes, len);
}

enum status
cache_note_put(struct cache *c, const char *name, const void *bytes, size_t len)
{
	struct note_key k = note_key(name);
	if (len > CACHE_NOTE_BYTES)
		return STATUS_OVERFLOW;
	lock_take(&c->writing);
	enum status st = sweep_make_room(c, len);
	if (st == STATUS_OK) {
		struct env_txn *t = env_write(c->env);
		put(t, &k, bytes, len);
		st = store_commit(c, t, false);
	}
	lock_drop(&c->writing);
	return st;
}

static enum status
copy(const struct note_key *k, const struct env_bytes *v, void **ret_bytes, size_t *ret_len)
{
	if (v->len < HEADER_BYTES || v->len > HEADER_BYTES + CACHE_NOTE_BYTES ||
	    bytes_u32(v->at) != checksum(k, v->at + HEADER_BYTES, v->len - HEADER_BYTES))
		return STATUS_CORRUPT;
	size_t len = v->len - HEADER_BYTES;
	void *bytes = malloc(len + 1); /* an empty one is no failure */
	if (bytes == NULL)
		return STATUS_NO_MEMORY;
	memcpy(bytes, v->at + HEADER_BYTES, len);
	*ret_bytes = bytes;
	*ret_len = len;
	return STATUS_OK;
}

enum status
cache_note_get(struct cache *c, const char *name, void **ret_bytes, size_t *ret_len)
{
	struct note_key k = note_key(name);
	struct cache_view *view;
	struct env_bytes v;
	enum status st = cache_view_open(c, &view);
	if (st != STATUS_OK)
		return st;
	if (env_get(view->txn, ENV_META, k.bytes, k.len, &v)) {
		st = copy(&k, &v, ret_bytes, ret_len);
	} else {
		st = env_txn_status(view->txn);
		if (st == STATUS_OK)
			st = STATUS_NOT_FOUND;
	}
	cache_view_close(view);
	return st;
}
