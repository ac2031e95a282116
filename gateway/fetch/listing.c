#include "config.h"

#include <string.h>

#include "gateway/base/attr.h"
#include "gateway/fetch/listing.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/normalise.h"
#include "gateway/fetch/plan.h"

static bool
is(const struct split_member *m, const char *name)
{
	return text_equal(m->name, m->name_len, name, strlen(name));
}

static bool
value_is(const struct split_member *m, const char *text)
{
	return m->value_len == strlen(text) && memcmp(m->value, text, m->value_len) == 0;
}

/* --- the list */

/* The brackets of the outer object's members are counted, not read: what is used of them is read
 * strictly, the array by split, and nothing else shows in an answer. */
static enum status
take_outer(const struct split_member *m, struct listing *list, bool *subscription, bool *policies)
{
	bool is_null = value_is(m, "null"), *seen;
	bool good = true;
	if (is(m, "subscriptionId")) {
		seen = subscription;
		good = is_null || plan_read_id(m->value, m->value_len, &list->subscription);
	} else if (is(m, "policyList")) {
		seen = policies;
		good = is_null || m->value[0] == '[';
		list->policies = is_null ? NULL : m->value;
		list->policies_len = is_null ? 0 : m->value_len;
	} else {
		return STATUS_OK;
	}
	good = good && !*seen;
	*seen = true;
	return good ? STATUS_OK : STATUS_UPSTREAM_MALFORMED;
}

enum status
listing_open(const char *text, size_t len, struct listing *ret)
{
	struct listing list = {0};
	struct member_walk w;
	struct split_member m;
	enum walk walk;
	bool subscription = false, policies = false;

	/* members_next() ends at the object's last byte */
	while (len > 0 && memchr(" \t\r\n", text[len - 1], 4) != NULL)
		len--;
	members_begin(&w, text, len);
	while ((walk = members_next(&w, &m)) == WALK_MEMBER) {
		enum status st = take_outer(&m, &list, &subscription, &policies);
		if (st != STATUS_OK)
			return st;
	}
	if (walk == WALK_BAD)
		return STATUS_UPSTREAM_BAD_DATA;
	if (!policies)
		return STATUS_UPSTREAM_MALFORMED;
	*ret = list;
	return STATUS_OK;
}

enum status
listing_each(const struct listing *list, split_record_f *policy, void *ctx)
{
	if (list->policies == NULL)
		return STATUS_OK;
	return split_whole(list->policies, list->policies_len, policy, ctx, NULL);
}

/* --- records */

enum shape { SHAPE_ID, SHAPE_TEXT, SHAPE_FLAG, SHAPE_DATE };

/* In the order of the record; subscriptionId, which stands outside of the policies, comes last. */
static const struct {
	const char *name;
	enum shape shape;
} members[] = {
    {"id", SHAPE_ID},
    {"title", SHAPE_TEXT},
    {"status", SHAPE_TEXT},
    {"locked", SHAPE_FLAG},
    {"createdBy", SHAPE_TEXT},
    {"createdDate", SHAPE_DATE},
    {"modifiedBy", SHAPE_TEXT},
    {"modifiedDate", SHAPE_DATE},
    {"lastEvaluatedDate", SHAPE_DATE},
};

/* What stands in place of values that have another form upstream. NULL: the value stays. */
static const char *
instead(enum shape shape, const struct split_member *m)
{
	static const struct {
		enum shape shape;
		const char *from, *to;
	} forms[] = {
	    {SHAPE_FLAG, "0", "false"},
	    {SHAPE_FLAG, "\"0\"", "false"},
	    {SHAPE_FLAG, "1", "true"},
	    {SHAPE_FLAG, "\"1\"", "true"},
	    {SHAPE_DATE, "\"\"", "null"},
	};
	if (m == NULL)
		return "null";
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (forms[i].shape == shape && value_is(m, forms[i].from))
			return forms[i].to;
	return NULL;
}

static void
write_id(uint64_t id, struct buf *body)
{
	if (id != 0)
		buf_u64(body, id);
	else
		buf_str_add(body, "null");
}

static void
write_tags(const struct split_record *rec, struct buf *body)
{
	const struct split_member *m = members_in(rec, "requireTagInfo");
	if (m == NULL || value_is(m, "null"))
		m = members_in(rec, "tagInfo");
	buf_str_add(body, ",\"tags\":");
	if (m != NULL)
		buf_add(body, m->value, m->value_len);
	else
		buf_str_add(body, "null");
}

static enum status
too_large(enum status st)
{
	return st == STATUS_OVERFLOW ? STATUS_UPSTREAM_TOO_LARGE : st;
}

enum status
listing_policy(const struct split_record *rec, uint64_t subscription, bool tags, struct buf *body,
    struct row *ret_row)
{
	struct row row = {.criticality = ROW_CRITICALITY_NONE};
	const struct split_member *id = members_in(rec, "id");
	if (id == NULL || !plan_read_id(id->value, id->value_len, &row.id))
		return STATUS_UPSTREAM_MALFORMED;
	row.policy = row.id;
	row.evaluated = normal_date(members_in(rec, "lastEvaluatedDate"));
	if (row.evaluated == ROW_DATE_UNREADABLE)
		row.flags = ROW_MISFIT;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct split_member *m = members_in(rec, members[i].name);
		const char *other = instead(members[i].shape, m);
		buf_printf(body, "%s\"%s\":", i > 0 ? "," : "{", members[i].name);
		if (members[i].shape == SHAPE_ID)
			write_id(row.id, body);
		else if (other != NULL)
			buf_str_add(body, other);
		else
			buf_add(body, m->value, m->value_len);
	}
	buf_str_add(body, ",\"subscriptionId\":");
	write_id(subscription, body);
	if (tags)
		write_tags(rec, body);
	buf_byte(body, '}');
	*ret_row = row;
	return too_large(body->err);
}

enum status
listing_host(
    uint64_t policy, uint64_t subscription, uint64_t host, struct buf *body, struct row *ret_row)
{
	buf_str_add(body, "{\"policyId\":");
	buf_u64(body, policy);
	buf_str_add(body, ",\"subscriptionId\":");
	write_id(subscription, body);
	buf_str_add(body, ",\"hostId\":");
	buf_u64(body, host);
	buf_byte(body, '}');
	*ret_row = (struct row){
	    .id = host, .policy = policy, .host = host, .criticality = ROW_CRITICALITY_NONE};
	return body->err;
}
