#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/manifest.h"
#include "gateway/base/codec.h"

#define MAGIC UINT32_C(0x464d4750) /* "PGMF" */
#define MANIFEST_VERSION 1
#define FLAG_COMPLETE 1
#define VARINT_BYTES 10

/* The fixed part. Text and lists follow it in the order of their counts. */
struct fixed {
	uint32_t magic, crc; /* crc: of everything behind it */
	uint8_t version, flags, zero[2];
	uint32_t calls;
	uint64_t id;
	uint8_t digest[SHA256_BYTES];
	int64_t fetched_at_ms, published_at_ms, fresh_until_ms, stale_until_ms, keep_until_ms;
	char upstream[8];
	uint64_t hosts_asked, hosts_seen, records, body_bytes;
	uint32_t batches, text_len, policies, hosts, host_errors, missing_batches, parts;
	uint32_t zero2;
};

static_assert(sizeof(struct fixed) == 168, "the fixed part is the format: no gaps");

/* --- writing */

static void
put_varint(struct buf *out, uint64_t v)
{
	char bytes[VARINT_BYTES];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (char)(v | 0x80);
	bytes[n++] = (char)v;
	buf_add(out, bytes, n);
}

/* A strictly ascending list as differences, the first one from 0. */
struct ascent {
	uint64_t last;
	bool begun, broken;
};

static void
put_ascending(struct buf *out, struct ascent *a, uint64_t v)
{
	if (a->begun && v <= a->last)
		a->broken = true;
	put_varint(out, v - a->last);
	*a = (struct ascent){.last = v, .begun = true, .broken = a->broken};
}

static bool
put_list(struct buf *out, const uint64_t *list, size_t count)
{
	struct ascent a = {0};
	for (size_t i = 0; i < count; i++)
		put_ascending(out, &a, list[i]);
	return !a.broken;
}

static bool
put_batches(struct buf *out, const uint32_t *list, size_t count)
{
	struct ascent a = {0};
	for (size_t i = 0; i < count; i++)
		put_ascending(out, &a, list[i]);
	return !a.broken;
}

static bool
put_parts(struct buf *out, const struct cache_manifest *m)
{
	struct ascent a = {0};
	uint64_t records = 0, body_bytes = 0;
	bool overflow = false;
	for (size_t i = 0; i < m->part_count; i++) {
		const struct cache_part_info *p = &m->parts[i];
		put_ascending(out, &a, p->call);
		put_varint(out, p->attempt);
		put_varint(out, p->records);
		put_varint(out, p->body_bytes);
		overflow |= __builtin_add_overflow(records, p->records, &records);
		overflow |= __builtin_add_overflow(body_bytes, p->body_bytes, &body_bytes);
	}
	return !a.broken && !overflow && records == m->records && body_bytes == m->body_bytes;
}

static bool
counts_fit(const struct cache_manifest *m)
{
	return m->text_len <= UINT32_MAX && m->policy_count <= UINT32_MAX &&
	       m->host_count <= UINT32_MAX && m->host_error_count <= UINT32_MAX &&
	       m->missing_batch_count <= UINT32_MAX && m->part_count <= UINT32_MAX;
}

static void
put_fixed(struct buf *out, const struct cache_manifest *m)
{
	struct fixed f = {
	    .magic = MAGIC,
	    .version = MANIFEST_VERSION,
	    .flags = m->complete ? FLAG_COMPLETE : 0,
	    .calls = m->calls,
	    .id = m->id,
	    .fetched_at_ms = m->fetched_at_ms,
	    .published_at_ms = m->published_at_ms,
	    .fresh_until_ms = m->fresh_until_ms,
	    .stale_until_ms = m->stale_until_ms,
	    .keep_until_ms = m->keep_until_ms,
	    .hosts_asked = m->hosts_asked,
	    .hosts_seen = m->hosts_seen,
	    .records = m->records,
	    .body_bytes = m->body_bytes,
	    .batches = m->batches,
	    .text_len = (uint32_t)m->text_len,
	    .policies = (uint32_t)m->policy_count,
	    .hosts = (uint32_t)m->host_count,
	    .host_errors = (uint32_t)m->host_error_count,
	    .missing_batches = (uint32_t)m->missing_batch_count,
	    .parts = (uint32_t)m->part_count,
	};
	memcpy(f.digest, m->digest, sizeof f.digest);
	/* what stands behind the version's NUL is not the caller's to decide */
	memcpy(f.upstream, m->version, strlen(m->version));
	buf_add(out, &f, sizeof f);
}

enum status
manifest_encode(const struct cache_manifest *m, struct buf *out)
{
	if (!counts_fit(m) || memchr(m->version, '\0', sizeof m->version) == NULL)
		return STATUS_INTERNAL;
	size_t begin = out->len;
	put_fixed(out, m);
	buf_add(out, m->text, m->text_len);
	bool good = put_list(out, m->policies, m->policy_count);
	good &= put_list(out, m->hosts, m->host_count);
	good &= put_list(out, m->host_errors, m->host_error_count);
	good &= put_batches(out, m->missing_batches, m->missing_batch_count);
	good &= put_parts(out, m);
	if (out->err != STATUS_OK)
		return out->err;
	if (!good)
		return STATUS_INTERNAL;
	uint8_t *bytes = (uint8_t *)out->data + begin;
	bytes_put_u32(bytes + 4, codec_crc32(0, bytes + 8, out->len - begin - 8));
	return STATUS_OK;
}

/* --- reading: a cursor over hostile bytes with a sticky failure */

struct reader {
	const uint8_t *at, *end;
	bool failed;
};

static uint64_t
get_varint(struct reader *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint64_t byte = *r->at++;
		uint64_t bits = (byte & 0x7f) << shift;
		/* neither bits that fall out at the top nor a last byte that adds nothing */
		if (bits >> shift != (byte & 0x7f) || (byte == 0 && shift > 0))
			break;
		v |= bits;
		if (byte < 0x80)
			return v;
	}
	r->failed = true;
	return 0;
}

static uint64_t
get_ascending(struct reader *r, struct ascent *a)
{
	uint64_t v, step = get_varint(r);
	if (__builtin_add_overflow(a->last, step, &v) || (a->begun && step == 0))
		r->failed = true;
	*a = (struct ascent){.last = v, .begun = true};
	return v;
}

static uint32_t
get_u32(struct reader *r, uint64_t v)
{
	if (v > UINT32_MAX)
		r->failed = true;
	return (uint32_t)v;
}

static void
get_list(struct reader *r, uint64_t *list, size_t count)
{
	struct ascent a = {0};
	for (size_t i = 0; i < count && !r->failed; i++)
		list[i] = get_ascending(r, &a);
}

static void
get_batches(struct reader *r, uint32_t *list, size_t count)
{
	struct ascent a = {0};
	for (size_t i = 0; i < count && !r->failed; i++)
		list[i] = get_u32(r, get_ascending(r, &a));
}

static void
get_parts(struct reader *r, struct cache_part_info *parts, size_t count, const struct fixed *f)
{
	struct ascent a = {0};
	uint64_t records = 0, body_bytes = 0;
	for (size_t i = 0; i < count && !r->failed; i++) {
		parts[i].call = get_u32(r, get_ascending(r, &a));
		parts[i].attempt = get_u32(r, get_varint(r));
		parts[i].records = get_varint(r);
		parts[i].body_bytes = get_varint(r);
		if (__builtin_add_overflow(records, parts[i].records, &records) ||
		    __builtin_add_overflow(body_bytes, parts[i].body_bytes, &body_bytes))
			r->failed = true;
	}
	if (records != f->records || body_bytes != f->body_bytes)
		r->failed = true;
}

static bool
read_fixed(const uint8_t *bytes, size_t len, struct fixed *ret)
{
	static const char zeros[sizeof ret->upstream];
	if (len < sizeof *ret)
		return false;
	memcpy(ret, bytes, sizeof *ret);
	size_t name = strnlen(ret->upstream, sizeof ret->upstream);
	return ret->magic == MAGIC && ret->version == MANIFEST_VERSION &&
	       ret->crc == codec_crc32(0, bytes + 8, len - 8) &&
	       (ret->flags & ~FLAG_COMPLETE) == 0 && ret->zero[0] == 0 && ret->zero[1] == 0 &&
	       ret->zero2 == 0 && name < sizeof ret->upstream &&
	       memcmp(ret->upstream + name, zeros, sizeof ret->upstream - name) == 0;
}

/* Each entry of a list takes at least one byte (a part four), so that no count can ask for more
 * memory than a small multiple of the bytes that are there. */
static bool
counts_possible(const struct fixed *f, size_t len)
{
	return (uint64_t)f->text_len + f->policies + f->hosts + f->host_errors +
		   f->missing_batches + 4 * (uint64_t)f->parts <=
	       len - sizeof *f;
}

/* The manifest and all that it points to, side by side; the widest first, for alignment. */
static size_t
memory_bytes(const struct fixed *f)
{
	return sizeof(struct cache_manifest) + f->parts * sizeof(struct cache_part_info) +
	       ((size_t)f->policies + f->hosts + f->host_errors) * sizeof(uint64_t) +
	       f->missing_batches * sizeof(uint32_t) + f->text_len;
}

struct lists {
	struct cache_part_info *parts;
	uint64_t *policies, *hosts, *host_errors;
	uint32_t *missing_batches;
	char *text;
};

static struct lists
lay_out(struct cache_manifest *m, const struct fixed *f)
{
	struct lists l;
	l.parts = (struct cache_part_info *)(m + 1);
	l.policies = (uint64_t *)(l.parts + f->parts);
	l.hosts = l.policies + f->policies;
	l.host_errors = l.hosts + f->hosts;
	l.missing_batches = (uint32_t *)(l.host_errors + f->host_errors);
	l.text = (char *)(l.missing_batches + f->missing_batches);
	return l;
}

static_assert(sizeof(struct cache_manifest) % _Alignof(struct cache_part_info) == 0 &&
		  sizeof(struct cache_part_info) % _Alignof(uint64_t) == 0,
    "lay_out() keeps alignment");

static void
fill(struct cache_manifest *m, const struct fixed *f, const struct lists *l)
{
	*m = (struct cache_manifest){
	    .id = f->id,
	    .text = l->text,
	    .text_len = f->text_len,
	    .fetched_at_ms = f->fetched_at_ms,
	    .published_at_ms = f->published_at_ms,
	    .fresh_until_ms = f->fresh_until_ms,
	    .stale_until_ms = f->stale_until_ms,
	    .keep_until_ms = f->keep_until_ms,
	    .complete = f->flags & FLAG_COMPLETE,
	    .calls = f->calls,
	    .batches = f->batches,
	    .hosts_asked = f->hosts_asked,
	    .hosts_seen = f->hosts_seen,
	    .records = f->records,
	    .body_bytes = f->body_bytes,
	    .policies = l->policies,
	    .policy_count = f->policies,
	    .hosts = l->hosts,
	    .host_count = f->hosts,
	    .host_errors = l->host_errors,
	    .host_error_count = f->host_errors,
	    .missing_batches = l->missing_batches,
	    .missing_batch_count = f->missing_batches,
	    .parts = l->parts,
	    .part_count = f->parts,
	};
	memcpy(m->digest, f->digest, sizeof m->digest);
	memcpy(m->version, f->upstream, sizeof m->version);
}

enum status
manifest_decode(const void *bytes, size_t len, struct cache_manifest **ret)
{
	struct fixed f;
	if (!read_fixed(bytes, len, &f) || !counts_possible(&f, len))
		return STATUS_CORRUPT;
	struct cache_manifest *m = malloc(memory_bytes(&f));
	if (m == NULL)
		return STATUS_NO_MEMORY;
	struct lists l = lay_out(m, &f);
	fill(m, &f, &l);

	const uint8_t *text = (const uint8_t *)bytes + sizeof f;
	memcpy(l.text, text, f.text_len);
	struct reader r = {.at = text + f.text_len, .end = (const uint8_t *)bytes + len};
	get_list(&r, l.policies, f.policies);
	get_list(&r, l.hosts, f.hosts);
	get_list(&r, l.host_errors, f.host_errors);
	get_batches(&r, l.missing_batches, f.missing_batches);
	get_parts(&r, l.parts, f.parts, &f);
	if (r.failed || r.at != r.end) {
		free(m);
		return STATUS_CORRUPT;
	}
	*ret = m;
	return STATUS_OK;
}

size_t
manifest_memory(const struct cache_manifest *m)
{
	return sizeof *m + m->part_count * sizeof *m->parts +
	       (m->policy_count + m->host_count + m->host_error_count) * sizeof(uint64_t) +
	       m->missing_batch_count * sizeof(uint32_t) + m->text_len;
}
