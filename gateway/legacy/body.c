#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/form.h"
#include "gateway/base/ids.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/plan.h"
#include "gateway/fetch/split.h"
#include "gateway/legacy/body.h"
#include "gateway/legacy/params.h"
#include "gateway/query/param.h"
#include "gateway/upstream/versions.h"

/* One element as it came; its lists live in the arena. */
struct element {
	uint64_t policy, subscription;
	uint64_t *hosts;
	struct id_range *ranges;
	size_t count;
};

struct reading {
	struct arena *arena;
	unsigned version;
	struct element *elements;
	size_t count, cap;
	uint64_t nth; /* the element at hand, from 1 */
	uint64_t ids_left;
	bool hosts, postures; /* some element has them */
	const char *message;
};

/* --- telling; a NULL of the arena is seen by who asks arena_failed() */

static enum status
refuse(struct reading *r, const char *member, const char *what)
{
	r->message = arena_printf(r->arena, "%s %s in element %" PRIu64, member, what, r->nth);
	return STATUS_BAD_REQUEST;
}

static enum status
too_many(struct reading *r)
{
	r->message = arena_printf(r->arena,
	    "A body may have at most %d IDs, a range counting its width", LIMIT_QUERY_IDS);
	return STATUS_TOO_LARGE;
}

/* --- elements */

static enum status
add_element(struct reading *r, const struct element *e)
{
	if (r->count == r->cap) {
		size_t cap = r->cap == 0 ? 16 : r->cap * 2;
		struct element *more = arena_array(r->arena, cap, sizeof *more);
		if (more == NULL)
			return STATUS_NO_MEMORY;
		if (r->count > 0)
			memcpy(more, r->elements, r->count * sizeof *more);
		r->elements = more;
		r->cap = cap;
	}
	r->elements[r->count++] = *e;
	return STATUS_OK;
}

static bool
is_id(const struct split_member *m)
{
	uint64_t id;
	return m != NULL && plan_read_id(m->value, m->value_len, &id);
}

/* Why a resolution's element was not taken. */
static enum status
tell_hosts(struct reading *r, const struct split_record *rec)
{
	static const char *const ids[] = {"policyId", "subscriptionId"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const struct split_member *m = members_in(rec, ids[i]);
		if (!is_id(m))
			return refuse(r, ids[i], m == NULL ? "is missing" : "has to be an ID");
	}
	return refuse(r, "hostIds",
	    members_in(rec, "hostIds") == NULL ? "is missing" : "has to be a list of IDs");
}

static enum status
read_hosts(struct reading *r, const struct split_record *rec)
{
	struct plan_resolved got;
	enum status st = plan_read_resolved(rec, &got);
	if (st == STATUS_UPSTREAM_MALFORMED)
		return tell_hosts(r, rec);
	if (st != STATUS_OK)
		return st;
	struct element e = {got.policy, got.subscription, NULL, NULL, got.host_count};
	if (e.count > r->ids_left)
		st = too_many(r);
	else if (e.count > 0 && e.subscription == 0)
		st = tell_hosts(r, rec);
	else if (e.count > 0 && (e.hosts = arena_array(r->arena, e.count, sizeof *e.hosts)) == NULL)
		st = STATUS_NO_MEMORY;
	if (st == STATUS_OK && e.count > 0) {
		memcpy(e.hosts, got.hosts, e.count * sizeof *e.hosts);
		r->ids_left -= e.count;
		r->hosts = true;
		st = add_element(r, &e);
	}
	free(got.hosts);
	return st;
}

/* "1,2-5, 9", without its quotes; an escape is no digit. Widths are counted here, not by the reader,
 * which does not tell what is too much from what is no range. */
static enum status
read_ranges(struct reading *r, struct param_reader *reader, const char *text, size_t len)
{
	const struct param_items *items = &reader->items[PARAM_posture];
	const char *at = text, *item;
	size_t item_len;
	reader->ids_left = UINT64_MAX;
	for (size_t nth = 1; form_item(&at, text + len, &item, &item_len); nth++) {
		if (param_take_item(reader, PARAM_posture, nth, item, item_len) != NULL)
			return refuse(r, "postureId", "has to be a list of IDs and ranges");
		struct id_range last = items->at[items->count - 1];
		if (last.last - last.first >= r->ids_left)
			return too_many(r);
		r->ids_left -= last.last - last.first + 1;
	}
	return STATUS_OK;
}

static enum status
read_postures(struct reading *r, const struct split_record *rec, const struct split_member *m)
{
	static const char *const others[] = {"policyId", "hostIds"};
	const struct split_member *subscription = members_in(rec, "subscriptionId");
	struct element e = {0};
	struct param_reader reader;
	const char *text = m->value;
	size_t len = m->value_len;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (members_in(rec, others[i]) != NULL)
			return refuse(r, others[i], "cannot stand beside postureId");
	if (!is_id(subscription))
		return refuse(
		    r, "subscriptionId", subscription == NULL ? "is missing" : "has to be an ID");
	(void)plan_read_id(subscription->value, subscription->value_len, &e.subscription);
	(void)text_of(m->value, m->value_len, &text, &len); /* or a number */
	param_reader_init(&reader, r->arena, NULL);
	enum status st = read_ranges(r, &reader, text, len);
	if (st != STATUS_OK)
		return st;
	e.ranges = reader.items[PARAM_posture].at;
	e.count = reader.items[PARAM_posture].count;
	r->postures = true;
	return add_element(r, &e);
}

static enum status
on_element(void *ctx, const struct split_record *rec)
{
	struct reading *r = ctx;
	const struct split_member *postures = r->version >= 5 ? members_in(rec, "postureId") : NULL;
	r->nth++;
	return postures != NULL ? read_postures(r, rec, postures) : read_hosts(r, rec);
}

/* --- elements of the same policy and subscription are one */

static int
compare(const void *a, const void *b)
{
	const struct element *x = a, *y = b;
	if (x->policy != y->policy)
		return x->policy < y->policy ? -1 : 1;
	return x->subscription < y->subscription ? -1 : x->subscription > y->subscription;
}

static bool
merge_hosts(
    struct arena *a, const struct element *group, size_t count, size_t total, struct id_list *ret)
{
	uint64_t *ids = group->hosts; /* sorted where it is, if there is but one */
	if (count > 1 && (ids = arena_array(a, total, sizeof *ids)) == NULL)
		return false;
	for (size_t i = 0, at = 0; i < count && count > 1; at += group[i++].count)
		memcpy(ids + at, group[i].hosts, group[i].count * sizeof *ids);
	*ret = (struct id_list){ids, ids_sort(ids, total)};
	return true;
}

static bool
merge_ranges(
    struct arena *a, const struct element *group, size_t count, size_t total, struct id_ranges *ret)
{
	struct param_reader reader;
	struct id_range *all = arena_array(a, total, sizeof *all);
	if (all == NULL)
		return false;
	for (size_t i = 0, at = 0; i < count; at += group[i++].count)
		memcpy(all + at, group[i].ranges, group[i].count * sizeof *all);
	param_reader_init(&reader, a, NULL);
	reader.items[PARAM_posture] = (struct param_items){all, total, total};
	if (!param_finish(&reader))
		return false;
	*ret = reader.values[PARAM_posture].ranges;
	return true;
}

static bool
merge(struct arena *a, const struct element *group, size_t count, struct legacy_want *ret)
{
	size_t total = 0;
	*ret = (struct legacy_want){.policy = group->policy, .subscription = group->subscription};
	for (size_t i = 0; i < count; i++)
		total += group[i].count;
	return group->policy != 0 ? merge_hosts(a, group, count, total, &ret->hosts)
				  : merge_ranges(a, group, count, total, &ret->postures);
}

static enum status
merge_all(struct reading *r, struct legacy_wants *ret)
{
	struct legacy_want *list = arena_array(r->arena, r->count, sizeof *list);
	size_t count = 0;
	if (list == NULL)
		return STATUS_NO_MEMORY;
	if (r->count > 0)
		qsort(r->elements, r->count, sizeof *r->elements, compare);
	for (size_t from = 0, to; from < r->count; from = to) {
		for (to = from + 1; to < r->count; to++)
			if (compare(&r->elements[from], &r->elements[to]) != 0)
				break;
		if (!merge(r->arena, &r->elements[from], to - from, &list[count++]))
			return STATUS_NO_MEMORY;
	}
	*ret = (struct legacy_wants){list, count};
	return STATUS_OK;
}

/* --- the whole */

static enum status
check(struct reading *r, const struct legacy_wants *wants)
{
	size_t policies = 0;
	for (size_t i = 0; i < wants->count; i++)
		policies += i == 0 || wants->list[i].policy != wants->list[i - 1].policy;
	if (r->nth == 0)
		r->message = "The body has to have an element";
	else if (r->hosts && r->postures)
		r->message = "hostIds and postureId exclude each other";
	else if (r->version <= 2 && policies > LEGACY_OLD_POLICIES)
		r->message = "A body may have at most 10 policies in this version";
	return r->message == NULL ? STATUS_OK : STATUS_BAD_REQUEST;
}

/* What the scanner has refused by itself. */
static enum status
tell_text(struct reading *r, enum status st, uint64_t at)
{
	if (st != STATUS_UPSTREAM_MALFORMED && st != STATUS_UPSTREAM_BAD_DATA &&
	    st != STATUS_UPSTREAM_TOO_LARGE)
		return st;
	r->message = st == STATUS_UPSTREAM_TOO_LARGE
			 ? "The body nests too deep, or an element has too many members"
			 : arena_printf(r->arena,
			       "The body has to be a JSON array of objects; it is none from byte "
			       "%" PRIu64 " on",
			       at);
	return STATUS_BAD_REQUEST;
}

enum status
legacy_body_read(struct arena *a, const char *version, const char *text, size_t len,
    struct legacy_wants *ret, const char **ret_message)
{
	struct reading r = {
	    .arena = a,
	    .version = versions_index(version, strlen(version)) + 1,
	    .ids_left = LIMIT_QUERY_IDS,
	};
	struct legacy_wants wants;
	uint64_t at = 0;
	assert(r.version <= VERSIONS_COUNT);
	if (len > LIMIT_BODY_BYTES) {
		*ret_message = "The body is larger than 4 MB";
		return STATUS_TOO_LARGE;
	}
	enum status st = split_whole(text, len, on_element, &r, &at);
	if (st == STATUS_OK)
		st = merge_all(&r, &wants);
	if (st == STATUS_OK)
		st = check(&r, &wants);
	if (st != STATUS_OK && r.message == NULL)
		st = tell_text(&r, st, at);
	if (arena_failed(a))
		return STATUS_NO_MEMORY;
	if (st == STATUS_OK)
		*ret = wants;
	else
		*ret_message = r.message;
	return st;
}
