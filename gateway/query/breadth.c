#include "config.h"

#include "gateway/base/limits.h"
#include "gateway/query/breadth.h"

unsigned
breadth_details(const struct query *q)
{
	unsigned details = 0;
	if (q->evidence == EVIDENCE_BASIC)
		details |= BREADTH_BASIC;
	if (q->evidence == EVIDENCE_EXTENDED)
		details |= BREADTH_EXTENDED;
	if (q->cloud)
		details |= BREADTH_CLOUD;
	if (q->qds)
		details |= BREADTH_QDS;
	return details;
}

/* Of two kinds of evidence neither serves for the other: what the query wants stays. */
static enum query_evidence
evidence_of(enum query_evidence wanted, unsigned details)
{
	if (wanted != EVIDENCE_NONE)
		return wanted;
	if (details & BREADTH_EXTENDED)
		return EVIDENCE_EXTENDED;
	return details & BREADTH_BASIC ? EVIDENCE_BASIC : EVIDENCE_NONE;
}

bool
breadth_scope(const struct query *q, const struct implies_rules *rules, struct query *ret_scope)
{
	struct query scope = {.kind = q->kind, .limit = QUERY_LIMIT_DEFAULT, QUERY_NO_DATES};
	if (q->kind != KIND_POSTURES || q->policies.count == 0)
		return false;
	scope.policies = q->policies;
	scope.subscription = q->subscription;
	scope.assets = q->assets;
	scope.exclude_inactive = q->exclude_inactive;
	scope.deployment = q->deployment;
	scope.state = q->state;
	scope.tags = q->tags;
	/* what nobody vouches for to be a bound is the upstream's to understand */
	if (!rules->scanned_since)
		scope.scanned_since = q->scanned_since;
	if (!rules->changed_since)
		scope.changed_since = q->changed_since;
	*ret_scope = scope;
	return true;
}

bool
breadth_broad(const struct query *q, const struct implies_rules *rules, unsigned details,
    struct query *ret_broad)
{
	struct query broad;
	struct implies how;
	if (!breadth_scope(q, rules, &broad))
		return false;
	broad.evidence = evidence_of(q->evidence, details);
	broad.cloud = q->cloud || (details & BREADTH_CLOUD) != 0;
	broad.qds = q->qds || (details & BREADTH_QDS) != 0;
	/* the rules of containment have the last word, whatever this file takes for broad */
	if (implies(&broad, q, rules, &how) != NULL)
		return false;
	*ret_broad = broad;
	return true;
}

static bool
exceeds(uint64_t value, uint64_t most)
{
	return most != 0 && value > most;
}

static bool
is_large(const struct breadth_known *k, const struct breadth_bounds *b)
{
	uint64_t bytes = k->sized ? k->broad_bytes : k->least_bytes;
	uint64_t more = k->broad_calls > k->own_calls ? k->broad_calls - k->own_calls : 0;
	return exceeds(bytes, b->bytes_most) || (k->calls_known && exceeds(more, b->calls_more));
}

enum breadth
breadth_choose(const struct breadth_known *k, const struct breadth_bounds *b)
{
	bool as_cheap = k->calls_known && k->broad_calls <= k->own_calls;
	if (is_large(k, b))
		return BREADTH_LARGE;
	if (k->sized && k->broad_bytes <= BREADTH_SMALL_BYTES && as_cheap)
		return BREADTH_SMALL;
	if (k->others == 0)
		return BREADTH_FIRST;
	if (!k->calls_known)
		return BREADTH_UNKNOWN;
	return k->broad_calls <= k->alone_calls ? BREADTH_WANTED : BREADTH_DEARER;
}

bool
breadth_is_broad(enum breadth b)
{
	return b == BREADTH_SMALL || b == BREADTH_WANTED;
}

const char *
breadth_name(enum breadth b)
{
	static const char *const names[] = {
	    [BREADTH_FIRST] = "first",
	    [BREADTH_UNKNOWN] = "unknown",
	    [BREADTH_LARGE] = "large",
	    [BREADTH_DEARER] = "dearer",
	    [BREADTH_SMALL] = "small",
	    [BREADTH_WANTED] = "wanted",
	};
	return names[b];
}
