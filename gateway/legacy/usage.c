#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/codec.h"
#include "gateway/base/crypto.h"
#include "gateway/base/le.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/legacy/usage.h"

struct consumer_usage {
	struct usage_row rows[USAGE_ROWS]; /* by slot; without calls: nothing was counted */
	bool changed;                      /* since it was written down */
};

struct usage {
	struct lock lock;
	const struct access *access;
	const struct usage_names *names;
	uint32_t param_mask, change_mask; /* bits that have a name */
	struct consumer_usage consumers[];
};

/* --- slots: /auth, then each endpoint of each version */

static size_t
slot_of(enum usage_endpoint endpoint, unsigned version)
{
	return endpoint == USAGE_AUTH ? 0 : version * (USAGE_ENDPOINTS - 1) + (size_t)endpoint;
}

static void
name_slots(struct usage_row rows[USAGE_ROWS])
{
	for (size_t slot = 1; slot < USAGE_ROWS; slot++) {
		rows[slot].endpoint = (enum usage_endpoint)(1 + (slot - 1) % (USAGE_ENDPOINTS - 1));
		rows[slot].version = (unsigned)((slot - 1) / (USAGE_ENDPOINTS - 1));
	}
}

const char *
usage_endpoint_name(enum usage_endpoint endpoint)
{
	static const char *const names[USAGE_ENDPOINTS] = {
	    [USAGE_AUTH] = "auth",
	    [USAGE_POLICY_LIST] = "policyList",
	    [USAGE_HOSTIDS] = "hostids",
	    [USAGE_POSTURE_INFO] = "postureInfo",
	};
	return names[endpoint];
}

/* --- life */

static uint32_t
mask_of(size_t count)
{
	return (uint32_t)((UINT64_C(1) << count) - 1);
}

struct usage *
usage_new(const struct access *access, const struct usage_names *names)
{
	size_t count = access_count(access);
	assert(names->param_count <= USAGE_BITS && names->change_count <= USAGE_BITS);
	struct usage *u = calloc(1, sizeof *u + count * sizeof u->consumers[0]);
	if (u == NULL)
		return NULL;
	lock_init(&u->lock, LOCK_USAGE);
	u->access = access;
	u->names = names;
	u->param_mask = mask_of(names->param_count);
	u->change_mask = mask_of(names->change_count);
	for (size_t i = 0; i < count; i++)
		name_slots(u->consumers[i].rows);
	return u;
}

void
usage_free(struct usage *u)
{
	if (u == NULL)
		return;
	lock_fini(&u->lock);
	free(u);
}

const struct access *
usage_access(const struct usage *u)
{
	return u->access;
}

const struct usage_names *
usage_names(const struct usage *u)
{
	return u->names;
}

/* --- use */

static void
add(uint64_t *sum, uint64_t more)
{
	if (__builtin_add_overflow(*sum, more, sum))
		*sum = UINT64_MAX;
}

void
usage_count(struct usage *u, const struct usage_call *call)
{
	assert(call->consumer < access_count(u->access) && call->endpoint < USAGE_ENDPOINTS);
	assert(call->endpoint == USAGE_AUTH || call->version < VERSIONS_COUNT);
	struct consumer_usage *c = &u->consumers[call->consumer];
	struct usage_row *row = &c->rows[slot_of(call->endpoint, call->version)];
	int64_t now_s = call->now_s > 0 ? call->now_s : 0;
	lock_take(&u->lock);
	/* the clock may have been set back meanwhile */
	if (row->calls == 0 || now_s < row->first_s)
		row->first_s = now_s;
	if (row->calls == 0 || now_s > row->last_s)
		row->last_s = now_s;
	add(&row->calls, 1);
	add(&row->records, call->records);
	add(&row->bytes, call->bytes);
	row->params |= call->params & u->param_mask;
	row->changes |= call->changes & u->change_mask;
	c->changed = true;
	lock_drop(&u->lock);
}

/* The rows of the consumer that have something. */
static size_t
copy_rows_locked(const struct usage *u, size_t consumer, struct usage_row ret_rows[USAGE_ROWS])
{
	size_t count = 0;
	lock_assert_held(&u->lock);
	for (size_t slot = 0; slot < USAGE_ROWS; slot++)
		if (u->consumers[consumer].rows[slot].calls > 0)
			ret_rows[count++] = u->consumers[consumer].rows[slot];
	return count;
}

size_t
usage_rows(struct usage *u, size_t consumer, struct usage_row ret_rows[USAGE_ROWS])
{
	assert(consumer < access_count(u->access));
	lock_take(&u->lock);
	size_t count = copy_rows_locked(u, consumer, ret_rows);
	lock_drop(&u->lock);
	return count;
}

/* --- a note as bytes */

static const uint8_t note_magic[4] = {'P', 'G', 'U', 'S'};
#define NOTE_VERSION 1

/* Where things stand in the head; docs/store-format.md says it again. */
enum {
	AT_CRC = 4,
	AT_VERSION = 8,
	AT_NAME_LEN = 9,
	AT_ROWS = 10,
	AT_ZERO = 11,
	AT_PARAM_COUNT = 12,
	AT_CHANGE_COUNT = 13,
	AT_ZEROS = 14,
	AT_PARAM_CRC = 16,
	AT_CHANGE_CRC = 20,
	AT_NAME = USAGE_NOTE_HEAD_BYTES
};

/* And in a row. */
enum {
	ROW_ENDPOINT = 0,
	ROW_VERSION = 1, /* 0 of /auth, else 1 more than its index */
	ROW_ZEROS = 2,
	ROW_PARAMS = 4,
	ROW_CHANGES = 8,
	ROW_MORE_ZEROS = 12,
	ROW_CALLS = 16,
	ROW_RECORDS = 24,
	ROW_BYTES = 32,
	ROW_FIRST = 40,
	ROW_LAST = 48
};

/* Of names, each with the NUL behind it: known again as long as others only come behind them. */
static uint32_t
crc_of_names(const char *const *names, size_t count)
{
	uint32_t crc = 0;
	for (size_t i = 0; i < count; i++)
		crc = codec_crc32(crc, names[i], strlen(names[i]) + 1);
	return crc;
}

static void
put_row(uint8_t *at, const struct usage_row *row)
{
	memset(at, 0, USAGE_NOTE_ROW_BYTES);
	at[ROW_ENDPOINT] = (uint8_t)row->endpoint;
	at[ROW_VERSION] = (uint8_t)(row->endpoint == USAGE_AUTH ? 0 : row->version + 1);
	le_put(at + ROW_PARAMS, row->params, 4);
	le_put(at + ROW_CHANGES, row->changes, 4);
	le_put(at + ROW_CALLS, row->calls, 8);
	le_put(at + ROW_RECORDS, row->records, 8);
	le_put(at + ROW_BYTES, row->bytes, 8);
	le_put(at + ROW_FIRST, (uint64_t)row->first_s, 8);
	le_put(at + ROW_LAST, (uint64_t)row->last_s, 8);
}

static size_t
write_note(const struct usage *u, const char *name, const struct usage_row *rows, size_t count,
    uint8_t bytes[USAGE_NOTE_BYTES])
{
	const struct usage_names *n = u->names;
	size_t name_len = strlen(name), len = AT_NAME + name_len;
	assert(name_len <= USAGE_NAME_BYTES);
	memset(bytes, 0, USAGE_NOTE_HEAD_BYTES);
	memcpy(bytes, note_magic, sizeof note_magic);
	bytes[AT_VERSION] = NOTE_VERSION;
	bytes[AT_NAME_LEN] = (uint8_t)name_len;
	bytes[AT_ROWS] = (uint8_t)count;
	bytes[AT_PARAM_COUNT] = (uint8_t)n->param_count;
	bytes[AT_CHANGE_COUNT] = (uint8_t)n->change_count;
	le_put(bytes + AT_PARAM_CRC, crc_of_names(n->params, n->param_count), 4);
	le_put(bytes + AT_CHANGE_CRC, crc_of_names(n->changes, n->change_count), 4);
	memcpy(bytes + AT_NAME, name, name_len);
	for (size_t i = 0; i < count; i++, len += USAGE_NOTE_ROW_BYTES)
		put_row(bytes + len, &rows[i]);
	le_put(bytes + AT_CRC, codec_crc32(0, bytes + AT_VERSION, len - AT_VERSION), 4);
	return len;
}

size_t
usage_write(struct usage *u, size_t consumer, uint8_t ret_bytes[USAGE_NOTE_BYTES])
{
	struct usage_row rows[USAGE_ROWS];
	size_t count = usage_rows(u, consumer, rows);
	return write_note(u, access_at(u->access, consumer)->name, rows, count, ret_bytes);
}

/* --- and back */

static bool
head_is_sound(const char *name, const uint8_t *bytes, size_t len)
{
	size_t name_len = strlen(name);
	return len >= USAGE_NOTE_HEAD_BYTES && len <= USAGE_NOTE_BYTES &&
	       memcmp(bytes, note_magic, sizeof note_magic) == 0 &&
	       le_get(bytes + AT_CRC, 4) == codec_crc32(0, bytes + AT_VERSION, len - AT_VERSION) &&
	       bytes[AT_VERSION] == NOTE_VERSION && bytes[AT_ZERO] == 0 &&
	       le_get(bytes + AT_ZEROS, 2) == 0 && bytes[AT_ROWS] <= USAGE_ROWS &&
	       bytes[AT_PARAM_COUNT] <= USAGE_BITS && bytes[AT_CHANGE_COUNT] <= USAGE_BITS &&
	       bytes[AT_NAME_LEN] == name_len &&
	       len == AT_NAME + name_len + bytes[AT_ROWS] * (size_t)USAGE_NOTE_ROW_BYTES &&
	       memcmp(bytes + AT_NAME, name, name_len) == 0;
}

/* False: it is not as put_row() writes it. Bits have to be among the first so many. */
static bool
get_row(const uint8_t *at, uint32_t param_mask, uint32_t change_mask, struct usage_row *ret)
{
	bool is_auth = at[ROW_ENDPOINT] == USAGE_AUTH;
	if (at[ROW_ENDPOINT] >= USAGE_ENDPOINTS || at[ROW_VERSION] > VERSIONS_COUNT ||
	    is_auth != (at[ROW_VERSION] == 0) || le_get(at + ROW_ZEROS, 2) != 0 ||
	    le_get(at + ROW_MORE_ZEROS, 4) != 0)
		return false;
	*ret = (struct usage_row){
	    .endpoint = (enum usage_endpoint)at[ROW_ENDPOINT],
	    .version = is_auth ? 0 : at[ROW_VERSION] - 1u,
	    .calls = le_get(at + ROW_CALLS, 8),
	    .records = le_get(at + ROW_RECORDS, 8),
	    .bytes = le_get(at + ROW_BYTES, 8),
	    .first_s = (int64_t)le_get(at + ROW_FIRST, 8),
	    .last_s = (int64_t)le_get(at + ROW_LAST, 8),
	    .params = (uint32_t)le_get(at + ROW_PARAMS, 4),
	    .changes = (uint32_t)le_get(at + ROW_CHANGES, 4),
	};
	return ret->calls > 0 && ret->first_s >= 0 && ret->first_s <= ret->last_s &&
	       (ret->params & ~param_mask) == 0 && (ret->changes & ~change_mask) == 0;
}

/* The rows of a sound head, by slot; they ascend. */
static bool
get_rows(const uint8_t *bytes, struct usage_row ret_rows[USAGE_ROWS])
{
	const uint8_t *at = bytes + AT_NAME + bytes[AT_NAME_LEN];
	uint32_t params = mask_of(bytes[AT_PARAM_COUNT]), changes = mask_of(bytes[AT_CHANGE_COUNT]);
	size_t next = 0;
	for (size_t i = 0; i < bytes[AT_ROWS]; i++, at += USAGE_NOTE_ROW_BYTES) {
		struct usage_row row;
		if (!get_row(at, params, changes, &row))
			return false;
		size_t slot = slot_of(row.endpoint, row.version);
		if (slot < next)
			return false;
		ret_rows[slot] = row;
		next = slot + 1;
	}
	return true;
}

static bool
names_hold(const char *const *names, size_t count, uint8_t written, uint64_t crc)
{
	return written <= count && crc_of_names(names, written) == crc;
}

enum usage_note
usage_read(struct usage *u, size_t consumer, const uint8_t *bytes, size_t len)
{
	const struct usage_names *n = u->names;
	struct usage_row rows[USAGE_ROWS] = {0};
	name_slots(rows);
	if (!head_is_sound(access_at(u->access, consumer)->name, bytes, len) ||
	    !get_rows(bytes, rows))
		return USAGE_NOTE_BAD;
	bool params_hold = names_hold(
	    n->params, n->param_count, bytes[AT_PARAM_COUNT], le_get(bytes + AT_PARAM_CRC, 4));
	bool changes_hold = names_hold(
	    n->changes, n->change_count, bytes[AT_CHANGE_COUNT], le_get(bytes + AT_CHANGE_CRC, 4));
	for (size_t slot = 0; slot < USAGE_ROWS; slot++) {
		rows[slot].params &= params_hold ? UINT32_MAX : 0;
		rows[slot].changes &= changes_hold ? UINT32_MAX : 0;
	}
	lock_take(&u->lock);
	memcpy(u->consumers[consumer].rows, rows, sizeof rows);
	u->consumers[consumer].changed = false;
	lock_drop(&u->lock);
	return params_hold && changes_hold ? USAGE_NOTE_WHOLE : USAGE_NOTE_WITHOUT_BITS;
}

/* --- notes in the store */

#define NOTE_PREFIX "usage/"
#define NOTE_NAME_BYTES (sizeof NOTE_PREFIX + 2 * sizeof((struct consumer *)NULL)->tag)
_Static_assert(NOTE_NAME_BYTES - 1 <= CACHE_NOTE_NAME_BYTES, "a note's name must fit");

/* The tag is the beginning of the name's SHA-256: a name may be longer than a note's. */
static void
note_name(const struct consumer *c, char ret_name[NOTE_NAME_BYTES])
{
	memcpy(ret_name, NOTE_PREFIX, sizeof NOTE_PREFIX);
	crypto_hex(c->tag, sizeof c->tag, ret_name + sizeof NOTE_PREFIX - 1);
}

static void
restore_one(struct usage *u, struct cache *cache, size_t consumer)
{
	const struct consumer *c = access_at(u->access, consumer);
	char name[NOTE_NAME_BYTES];
	void *bytes;
	size_t len;
	note_name(c, name);
	enum status st = cache_note_get(cache, name, &bytes, &len);
	if (st == STATUS_NOT_FOUND)
		return;
	if (st != STATUS_OK) {
		log_event(LOG_WARNING, "usage-note-unreadable", "consumer=%s status=%s", c->name,
		    status_info(st)->name);
		return;
	}
	enum usage_note note = usage_read(u, consumer, bytes, len);
	if (note != USAGE_NOTE_WHOLE)
		log_event(LOG_WARNING, "usage-note-ignored", "consumer=%s what=%s", c->name,
		    note == USAGE_NOTE_BAD ? "all" : "names");
	free(bytes);
}

void
usage_restore(struct usage *u, struct cache *cache)
{
	for (size_t i = 0; i < access_count(u->access); i++)
		restore_one(u, cache, i);
}

/* The consumer's rows, if they have changed; from now on they have not. */
static bool
take_changed(struct usage *u, size_t consumer, struct usage_row ret_rows[USAGE_ROWS], size_t *ret)
{
	lock_take(&u->lock);
	bool changed = u->consumers[consumer].changed;
	u->consumers[consumer].changed = false;
	if (changed)
		*ret = copy_rows_locked(u, consumer, ret_rows);
	lock_drop(&u->lock);
	return changed;
}

static enum status
keep_one(struct usage *u, struct cache *cache, size_t consumer)
{
	const struct consumer *c = access_at(u->access, consumer);
	uint8_t bytes[USAGE_NOTE_BYTES];
	struct usage_row rows[USAGE_ROWS];
	char name[NOTE_NAME_BYTES];
	size_t count;
	if (!take_changed(u, consumer, rows, &count))
		return STATUS_OK;
	note_name(c, name);
	enum status st =
	    cache_note_put(cache, name, bytes, write_note(u, c->name, rows, count, bytes));
	if (st == STATUS_OK)
		return st;
	lock_take(&u->lock);
	u->consumers[consumer].changed = true;
	lock_drop(&u->lock);
	return st;
}

enum status
usage_keep(struct usage *u, struct cache *cache)
{
	enum status st = STATUS_OK;
	for (size_t i = 0; st == STATUS_OK && i < access_count(u->access); i++)
		st = keep_one(u, cache, i);
	return st;
}
