#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/fetch/seal.h"

#define INCOMPLETE_FRESH_MS INT64_C(60000) /* the contract: asked again after a minute */
#define MISSING_MOST 1000                  /* batch numbers told; more than so many tell no more */

/* The union of what the parts have seen. */
static enum status
merge(struct id_set *into, const struct id_set *from)
{
	enum status st = STATUS_OK;
	for (size_t i = 0; i < from->count && st == STATUS_OK; i++)
		st = id_set_add(into, from->ids[i]);
	return st;
}

/* Batch numbers that a part announced (1..totalBatches) and no record carried. */
static enum status
find_missing(struct seal *s, const struct pull_got *got)
{
	for (uint32_t n = 1; n <= got->batches_announced && s->missing_count < MISSING_MOST; n++) {
		if (pull_got_batch(got, n))
			continue;
		if (s->missing == NULL &&
		    (s->missing = calloc(MISSING_MOST, sizeof *s->missing)) == NULL)
			return STATUS_NO_MEMORY;
		s->missing[s->missing_count++] = n;
	}
	return STATUS_OK;
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

static void
settle_missing(struct seal *s)
{
	size_t kept = 0;
	if (s->missing_count == 0)
		return;
	qsort(s->missing, s->missing_count, sizeof *s->missing, compare_u32);
	for (size_t i = 0; i < s->missing_count; i++)
		if (kept == 0 || s->missing[i] != s->missing[kept - 1])
			s->missing[kept++] = s->missing[i];
	s->missing_count = kept;
}

enum status
seal_make(struct seal *s)
{
	enum status st = STATUS_OK;
	uint32_t batches = 0;
	for (size_t i = 0; i < s->part_count && st == STATUS_OK; i++) {
		const struct pull_got *got = &s->got[i];
		batches += got->batches_seen;
		st = merge(&s->hosts_seen, &got->hosts);
		if (st == STATUS_OK)
			st = merge(&s->policies_seen, &got->policies);
		if (st == STATUS_OK && s->unfiltered)
			st = find_missing(s, got);
	}
	for (size_t i = 0; i < s->policy_count && st == STATUS_OK; i++)
		st = id_set_add(&s->policies_seen, s->policies[i]);
	if (st != STATUS_OK)
		return st;
	id_set_settle(&s->hosts_seen);
	id_set_settle(&s->policies_seen);
	settle_missing(s);

	bool gap_counts = s->gap_is_incomplete && s->missing_count > 0;
	bool complete = s->host_error_count == 0 && !gap_counts;
	struct seal_freshness fresh =
	    s->freshness(s->freshness_ctx, s->fresh, s->policies, s->policy_count);
	int64_t fresh_for = fresh.fresh_for_ms;
	if (gap_counts && fresh_for > INCOMPLETE_FRESH_MS)
		fresh_for = INCOMPLETE_FRESH_MS;
	if (s->host_error_count > 0 && fresh_for > s->hosts_again_ms)
		fresh_for = s->hosts_again_ms;
	struct cache_manifest *m = &s->manifest;
	*m = (struct cache_manifest){
	    .text = s->text,
	    .text_len = s->text_len,
	    .fetched_at_ms = s->fetched_at_ms,
	    .fresh_until_ms = s->fetched_at_ms + fresh_for,
	    .complete = complete,
	    .calls = s->calls,
	    .batches = batches,
	    .hosts_asked = s->host_count,
	    .hosts_seen = s->hosts_seen.count,
	    .policies = s->policies_seen.ids,
	    .policy_count = s->policies_seen.count,
	    .hosts = s->hosts,
	    .host_count = s->host_count,
	    .host_errors = s->host_errors,
	    .host_error_count = s->host_error_count,
	    .missing_batches = s->missing,
	    .missing_batch_count = s->missing_count,
	    .parts = s->parts,
	    .part_count = s->part_count,
	};
	m->stale_until_ms = m->fresh_until_ms + fresh.stale_for_ms;
	m->keep_until_ms = m->stale_until_ms + fresh.keep_for_ms;
	memcpy(m->digest, s->digest, SHA256_BYTES);
	snprintf(m->version, sizeof m->version, "%s", s->version);
	return STATUS_OK;
}

void
seal_fini(struct seal *s)
{
	id_set_fini(&s->hosts_seen);
	id_set_fini(&s->policies_seen);
	free(s->missing);
	s->missing = NULL;
}
