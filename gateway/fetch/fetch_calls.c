/* What each kind of call sends, and what becomes of its answer. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/fetch/fetch_state.h"
#include "gateway/fetch/listing.h"
#include "gateway/fetch/plan.h"

static void
on_head(void *ctx, const struct transport_head *head)
{
	struct call *c = ctx;
	budget_arrived(c->fetch->owner->o.budget, &c->entry, head);
	if (head->http < 500) /* a refusal is an answer, too */
		memory_answered(c->fetch->owner->o.memory);
}

/* What the upstream has told of whose account it is. If it cannot be kept, a restart forgets it. */
static void
note_subscription(struct call *c, uint64_t subscription)
{
	struct fetcher *o = c->fetch->owner;
	if (subscription == 0 || atomic_exchange(&o->subscription, subscription) == subscription)
		return;
	enum status st = cache_note_put(
	    o->o.cache, FETCH_SUBSCRIPTION_NOTE_NAME, &subscription, sizeof subscription);
	if (st != STATUS_OK)
		log_event(LOG_WARNING, "subscription-not-kept", "status=%s", status_info(st)->name);
}

enum status
fetch_add_resolved(struct fetch *f, const struct resolved *r)
{
	enum status st = STATUS_OK;
	lock_take(&f->owner->lock); /* several resolutions may be under way */
	if (f->resolved_count == f->resolved_cap) {
		size_t cap = f->resolved_cap == 0 ? 16 : f->resolved_cap * 2;
		struct resolved *more = realloc(f->resolved, cap * sizeof *more);
		if (more != NULL) {
			f->resolved = more;
			f->resolved_cap = cap;
		}
	}
	if (f->resolved_count < f->resolved_cap)
		f->resolved[f->resolved_count++] = *r;
	else
		st = STATUS_NO_MEMORY;
	lock_drop(&f->owner->lock);
	if (st != STATUS_OK)
		free(r->hosts);
	return st;
}

/* Reads what a resolution tells of one policy, which is the *ret_at-th of those asked for; its hosts
 * ascend. */
static enum status
read_resolved(struct call *c, const struct split_record *rec, struct resolved *ret, size_t *ret_at)
{
	struct plan_resolved got;
	enum status st = plan_read_resolved(rec, &got);
	if (st != STATUS_OK)
		return st;
	size_t at = ids_find(c->ids, c->id_count, got.policy);
	if (at == c->id_count) {
		free(got.hosts);
		return STATUS_UPSTREAM_BAD_DATA; /* nobody asked for this policy */
	}
	note_subscription(c, got.subscription);
	*ret = (struct resolved){got.policy, got.subscription, got.hosts,
	    ids_sort(got.hosts, got.host_count), got.error};
	*ret_at = at;
	return STATUS_OK;
}

static enum status
on_resolved(void *ctx, const struct split_record *rec)
{
	struct call *c = ctx;
	struct resolved r;
	size_t at;
	enum status st = read_resolved(c, rec, &r, &at);
	return st == STATUS_OK ? fetch_add_resolved(c->fetch, &r) : st;
}

/* A repeated resolution begins anew: forget what the broken one told. */
static void
forget_resolved(struct call *c)
{
	struct fetch *f = c->fetch;
	size_t kept = 0;
	lock_take(&f->owner->lock);
	for (size_t i = 0; i < f->resolved_count; i++) {
		if (ids_find(c->ids, c->id_count, f->resolved[i].policy) != c->id_count)
			free(f->resolved[i].hosts);
		else
			f->resolved[kept++] = f->resolved[i];
	}
	f->resolved_count = kept;
	lock_drop(&f->owner->lock);
}

static enum status
call_resolve(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct buf path;
	buf_init(&path, 64 * KIB);
	plan_resolve_path(f->dialect, &f->query, c->ids, c->id_count, &path);
	struct transport_request req = {.method = "GET", .path = buf_str(&path), .token = token};
	enum status st = path.err;
	forget_resolved(c);
	if (st == STATUS_OK)
		st = pull_array(t, &req, &f->cancelled, on_head, c, on_resolved, c, NULL, head);
	buf_fini(&path);
	return st;
}

/* The text of a policy list. */
static enum status
pull_policy_list(struct call *c, struct transport *t, const char *token,
    struct transport_head *head, struct buf *text)
{
	struct fetch *f = c->fetch;
	struct buf path;
	buf_init(&path, 4 * KIB);
	plan_policies_path(f->dialect, &f->query, &path);
	struct transport_request req = {.method = "GET", .path = buf_str(&path), .token = token};
	enum status st = path.err;
	if (st == STATUS_OK)
		st = pull_text(t, &req, &f->cancelled, on_head, c, text, head);
	buf_fini(&path);
	return st;
}

/* By posture no resolution tells the subscription; the policy list does. */
static enum status
call_subscription(
    struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct listing list;
	struct buf text;
	buf_init(&text, LIMIT_POLICY_LIST_BYTES);
	enum status st = pull_policy_list(c, t, token, head, &text);
	if (st == STATUS_OK)
		st = head->http == 200 ? listing_open(text.data, text.len, &list)
				       : STATUS_UPSTREAM_MALFORMED;
	if (st == STATUS_OK && list.subscription == 0)
		st = STATUS_UPSTREAM_MALFORMED;
	if (st == STATUS_OK) {
		c->fetch->subscription = list.subscription;
		note_subscription(c, list.subscription);
	}
	buf_fini(&text);
	return st;
}

/* The end of an attempt's part: whole on the disk, or gone. */
static enum status
end_part(struct call *c, struct cache_part *part, enum status st)
{
	if (st == STATUS_OK)
		st = cache_part_end(part);
	if (st == STATUS_OK) {
		c->info = cache_part_info(part);
		cache_part_close(part);
	} else {
		cache_part_drop(part);
	}
	return st;
}

/* --- gaps in batch numbers */

/* Names a gap: of this call in this query, with these numbers missing. */
static enum status
gap_key(const struct call *c, const struct pull_got *got, uint8_t key[MEMORY_GAP_BYTES])
{
	struct buf text;
	uint8_t digest[SHA256_BYTES];
	buf_init(&text, 16 * MIB);
	buf_add(&text, flight_digest(c->fetch->flight), SHA256_BYTES);
	buf_add(&text, &c->policy, sizeof c->policy);
	buf_add(&text, c->ids, c->id_count * sizeof *c->ids);
	buf_add(&text, c->ranges, c->range_count * sizeof *c->ranges);
	for (uint32_t n = 1; n <= got->batches_announced; n++)
		if (!pull_got_batch(got, n))
			buf_add(&text, &n, sizeof n);
	enum status st = text.err;
	if (st == STATUS_OK) {
		crypto_sha256(text.data, text.len, digest);
		memcpy(key, digest, MEMORY_GAP_BYTES);
	}
	buf_fini(&text);
	return st;
}

/* So that a restart costs no second calls. If it cannot be kept, it costs them. */
static void
keep_gaps(struct fetcher *o)
{
	uint8_t *bytes = malloc(MEMORY_NOTE_BYTES);
	if (bytes == NULL)
		return;
	size_t len = memory_write(o->o.memory, clock_mono_ms(), clock_wall_ms(), bytes);
	enum status st = cache_note_put(o->o.cache, FETCH_GAPS_NOTE_NAME, bytes, len);
	if (st != STATUS_OK)
		log_event(LOG_WARNING, "gaps-not-kept", "status=%s", status_info(st)->name);
	free(bytes);
}

/* No document defines batches. A number that is missing from an unfiltered answer may be the
 * upstream's way to number, or a batch that got lost: the same gap with the same records twice is
 * the former. */
static enum status
check_gap(struct call *c)
{
	struct fetcher *o = c->fetch->owner;
	const struct pull_got *got = &c->fetch->got[c->index];
	uint8_t key[MEMORY_GAP_BYTES];
	if (o->o.gaps != FETCH_GAPS_VERIFY || !plan_is_unfiltered(&c->fetch->query) ||
	    !pull_got_gap(got))
		return STATUS_OK;
	int64_t now = clock_mono_ms();
	enum status st = gap_key(c, got, key);
	if (st != STATUS_OK)
		return st;
	if (memory_gap_known(o->o.memory, key, now))
		return STATUS_OK;
	if (c->gap_seen && memcmp(c->gap_key, key, sizeof key) == 0 &&
	    pull_print_equal(&c->gap_print, &got->print)) {
		memory_gap_verified(o->o.memory, key, now);
		keep_gaps(o);
		return STATUS_OK;
	}
	c->gap_seen = true;
	c->gap_print = got->print;
	memcpy(c->gap_key, key, sizeof key);
	return STATUS_UPSTREAM_GAP;
}

/* --- postures */

static enum status
call_pull(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct pull_asked asked = {
	    .policy = c->policy,
	    .hosts = c->ids,
	    .host_count = c->id_count,
	    .ranges = {c->ranges, c->range_count, 0},
	};
	struct pull_store store;
	struct buf path, body;
	buf_init(&path, 64 * KIB);
	buf_init(&body, LIMIT_UPSTREAM_REQUEST_BYTES);
	plan_posture_path(f->dialect, &f->query, &path);
	if (c->range_count > 0)
		plan_postures_body(c->subscription, c->ranges, c->range_count, &body);
	else
		plan_hosts_body(c->policy, c->subscription, c->ids, c->id_count, &body);

	struct transport_request req = {
	    .method = "POST",
	    .path = buf_str(&path),
	    .token = token,
	    .content_type = "application/json",
	    .body = body.data,
	    .body_len = body.len,
	};
	enum status st = path.err != STATUS_OK ? path.err : body.err;
	struct cache_part *part = NULL;
	if (st == STATUS_OK)
		st = cache_part_open(f->stage, c->index, c->attempt, &part);
	if (st == STATUS_OK) {
		pull_got_fini(&f->got[c->index]);
		pull_store_init(&store, part, &asked, &f->got[c->index]);
		st = pull_array(t, &req, &f->cancelled, on_head, c, pull_store_record, &store,
		    pull_store_idle, head);
		if (st == STATUS_OK)
			st = check_gap(c);
		pull_store_fini(&store);
	}
	st = end_part(c, part, st);
	buf_fini(&path);
	buf_fini(&body);
	return st;
}

/* --- lists as records */

struct policies_in {
	const struct listing *list;
	bool tags;
	struct pull_got *got;
	struct cache_part *part;
	struct buf body;
	size_t count;
};

static enum status
on_policy(void *ctx, const struct split_record *rec)
{
	struct policies_in *in = ctx;
	struct row row;
	buf_reset(&in->body);
	enum status st = listing_policy(rec, in->list->subscription, in->tags, &in->body, &row);
	if (st == STATUS_OK)
		st = id_set_add(&in->got->policies, row.policy);
	if (st == STATUS_OK)
		st = cache_part_add(in->part, &row, in->body.data, in->body.len, NULL, 0);
	in->count++;
	return st;
}

/* One policy twice: which one holds? */
static enum status
store_policies(const struct listing *list, bool tags, struct pull_got *got, struct cache_part *part)
{
	struct policies_in in = {.list = list, .tags = tags, .got = got, .part = part};
	buf_init(&in.body, LIMIT_RECORD_BYTES + 4 * KIB);
	enum status st = listing_each(list, on_policy, &in);
	id_set_settle(&got->policies);
	if (st == STATUS_OK && got->policies.count != in.count)
		st = STATUS_UPSTREAM_BAD_DATA;
	buf_fini(&in.body);
	return st;
}

static enum status
call_policies(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct pull_got *got = &f->got[c->index];
	struct cache_part *part = NULL;
	struct listing list = {0}; /* what a 204 says: no policies */
	struct buf text;
	buf_init(&text, LIMIT_POLICY_LIST_BYTES);
	pull_got_fini(got);
	enum status st = pull_policy_list(c, t, token, head, &text);
	if (st == STATUS_OK && head->http == 200)
		st = listing_open(text.data, text.len, &list);
	if (st == STATUS_OK)
		st = cache_part_open(f->stage, c->index, c->attempt, &part);
	if (st == STATUS_OK)
		st = store_policies(&list, f->query.tags, got, part);
	st = end_part(c, part, st);
	if (st == STATUS_OK)
		note_subscription(c, list.subscription);
	buf_fini(&text);
	return st;
}

/* What the call has told of each policy it asked for, in their order. */
struct hosts_in {
	struct call *call;
	struct resolved *list; /* policy 0: not answered */
};

static enum status
on_hosts(void *ctx, const struct split_record *rec)
{
	struct hosts_in *in = ctx;
	struct resolved r;
	size_t at;
	enum status st = read_resolved(in->call, rec, &r, &at);
	if (st != STATUS_OK)
		return st;
	if (in->list[at].policy != 0) {
		free(r.hosts);
		return STATUS_UPSTREAM_BAD_DATA; /* one policy twice: which one holds? */
	}
	in->list[at] = r;
	return STATUS_OK;
}

static enum status
store_host(const struct resolved *r, uint64_t host, struct pull_got *got, struct cache_part *part,
    struct buf *body)
{
	struct row row;
	buf_reset(body);
	enum status st = listing_host(r->policy, r->subscription, host, body, &row);
	if (st == STATUS_OK)
		st = id_set_add(&got->hosts, row.host);
	if (st == STATUS_OK)
		st = cache_part_add(part, &row, body->data, body->len, NULL, 0);
	return st;
}

static enum status
store_hosts(
    const struct resolved *list, size_t count, struct pull_got *got, struct cache_part *part)
{
	struct buf body;
	enum status st = STATUS_OK;
	buf_init(&body, 4 * KIB);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < list[i].host_count && st == STATUS_OK; k++)
			st = store_host(&list[i], list[i].hosts[k], got, part, &body);
	buf_fini(&body);
	return st;
}

/* Hands over what was told, or forgets it. */
static enum status
end_hosts(struct call *c, struct resolved *list, enum status st)
{
	for (size_t i = 0; i < c->id_count; i++) {
		if (list[i].policy != 0 && st == STATUS_OK)
			st = fetch_add_resolved(c->fetch, &list[i]);
		else
			free(list[i].hosts);
	}
	free(list);
	return st;
}

/* As in a resolution: a policy that is not answered, or with an error, makes the result incomplete;
 * fetch_step_seal() sees to that, when all are answered. */
static enum status
call_hosts(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	struct fetch *f = c->fetch;
	struct hosts_in in = {c, calloc(c->id_count, sizeof *in.list)};
	struct cache_part *part = NULL;
	struct buf path;
	if (in.list == NULL)
		return STATUS_NO_MEMORY;
	buf_init(&path, 64 * KIB);
	plan_resolve_path(f->dialect, &f->query, c->ids, c->id_count, &path);
	struct transport_request req = {.method = "GET", .path = buf_str(&path), .token = token};
	pull_got_fini(&f->got[c->index]);
	enum status st = path.err;
	if (st == STATUS_OK)
		st = pull_array(t, &req, &f->cancelled, on_head, c, on_hosts, &in, NULL, head);
	if (st == STATUS_OK)
		st = cache_part_open(f->stage, c->index, c->attempt, &part);
	if (st == STATUS_OK)
		st = store_hosts(in.list, c->id_count, &f->got[c->index], part);
	st = end_hosts(c, in.list, end_part(c, part, st));
	buf_fini(&path);
	return st;
}

const struct call_kind_info call_kinds[] = {
    [CALL_SUBSCRIPTION] = {API_POLICY_LIST, false, call_subscription},
    [CALL_RESOLVE] = {API_HOSTIDS, false, call_resolve},
    [CALL_PULL] = {API_POSTURE_INFO, true, call_pull},
    [CALL_POLICIES] = {API_POLICY_LIST, true, call_policies},
    [CALL_HOSTS] = {API_HOSTIDS, true, call_hosts},
};

enum status
fetch_call_make(struct call *c, struct transport *t, const char *token, struct transport_head *head)
{
	return call_kinds[c->kind].make(c, t, token, head);
}
