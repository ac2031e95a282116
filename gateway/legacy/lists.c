#include "config.h"

#include <string.h>

#include "gateway/base/ids.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/plan.h"
#include "gateway/legacy/lists.h"

#define HOSTS_ERROR "The hosts of this policy could not be resolved"

static bool
is(const struct split_member *m, const char *name)
{
	return m->name_len == strlen(name) && memcmp(m->name, name, m->name_len) == 0;
}

static bool
value_is(const struct split_member *m, const char *text)
{
	return m->value_len == strlen(text) && memcmp(m->value, text, m->value_len) == 0;
}

/* --- policies */

enum shape { SHAPE_AS_IT_IS, SHAPE_DATE, SHAPE_FLAG, SHAPE_TAGS };

/* In the order of the vendor's page. */
static const struct {
	const char *stored, *shown;
	enum shape shape;
} members[] = {
    {"id", "id", SHAPE_AS_IT_IS},
    {"title", "title", SHAPE_AS_IT_IS},
    {"createdBy", "createdBy", SHAPE_AS_IT_IS},
    {"createdDate", "createdDate", SHAPE_DATE},
    {"modifiedBy", "modifiedBy", SHAPE_AS_IT_IS},
    {"modifiedDate", "modifiedDate", SHAPE_DATE},
    {"lastEvaluatedDate", "lastEvaluatedDate", SHAPE_DATE},
    {"status", "status", SHAPE_AS_IT_IS},
    {"locked", "locked", SHAPE_FLAG},
    {"tags", "requireTagInfo", SHAPE_TAGS},
};

/* What stands in place of a value. NULL: it stays. */
static const char *
instead(enum shape shape, const struct split_member *m)
{
	if (shape == SHAPE_DATE && value_is(m, "null"))
		return "\"\"";
	if (shape == SHAPE_FLAG && value_is(m, "false"))
		return "0";
	return shape == SHAPE_FLAG && value_is(m, "true") ? "1" : NULL;
}

struct policy {
	struct split_member at[ARRAY_LEN(members)];
	bool has[ARRAY_LEN(members)];
	uint64_t subscription; /* 0: not told */
};

static bool
read_policy(const char *record, size_t len, struct policy *ret)
{
	struct member_walk w;
	struct split_member m;
	enum walk walk;
	*ret = (struct policy){.subscription = 0};
	members_begin(&w, record, len);
	while ((walk = members_next(&w, &m)) == WALK_MEMBER) {
		for (size_t i = 0; i < ARRAY_LEN(members); i++) {
			if (is(&m, members[i].stored)) {
				ret->at[i] = m;
				ret->has[i] = true;
			}
		}
		if (is(&m, "subscriptionId"))
			(void)plan_read_id(m.value, m.value_len, &ret->subscription); /* or null */
	}
	return walk == WALK_END && ret->has[0];
}

static void
write_id(uint64_t id, const char *quote, struct buf *out)
{
	if (id == 0) {
		buf_str_add(out, "null");
		return;
	}
	buf_str_add(out, quote);
	buf_u64(out, id);
	buf_str_add(out, quote);
}

void
legacy_policies_init(struct legacy_policies *w, struct buf *out, uint64_t subscription)
{
	*w = (struct legacy_policies){.out = out, .subscription = subscription};
}

static void
begin_policies(struct legacy_policies *w, uint64_t subscription)
{
	buf_str_add(w->out, "{\"subscriptionId\":");
	write_id(subscription != 0 ? subscription : w->subscription, "", w->out);
	buf_str_add(w->out, ",\"policyList\":[");
}

enum status
legacy_policies_add(struct legacy_policies *w, const char *record, size_t len)
{
	struct policy p;
	if (!read_policy(record, len, &p))
		return STATUS_CORRUPT;
	if (w->count++ == 0)
		begin_policies(w, p.subscription);
	else
		buf_byte(w->out, ',');
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		bool none = !p.has[i] || value_is(&p.at[i], "null");
		if (members[i].shape == SHAPE_TAGS && none)
			continue;
		const char *other = p.has[i] ? instead(members[i].shape, &p.at[i]) : "null";
		buf_printf(w->out, "%s\"%s\":", i > 0 ? "," : "{", members[i].shown);
		if (other != NULL)
			buf_str_add(w->out, other);
		else
			buf_add(w->out, p.at[i].value, p.at[i].value_len);
	}
	buf_byte(w->out, '}');
	return STATUS_OK;
}

enum status
legacy_policies_end(struct legacy_policies *w)
{
	if (w->count == 0)
		begin_policies(w, 0);
	buf_str_add(w->out, "]}");
	return w->out->err;
}

/* --- hosts */

static bool
read_host(const char *record, size_t len, uint64_t *ret_policy, uint64_t *ret_subscription,
    uint64_t *ret_host)
{
	struct member_walk w;
	struct split_member m;
	enum walk walk;
	*ret_policy = *ret_subscription = *ret_host = 0;
	members_begin(&w, record, len);
	while ((walk = members_next(&w, &m)) == WALK_MEMBER) {
		uint64_t *to = is(&m, "policyId")         ? ret_policy
			       : is(&m, "subscriptionId") ? ret_subscription
			       : is(&m, "hostId")         ? ret_host
							  : NULL;
		if (to != NULL)
			(void)plan_read_id(m.value, m.value_len, to); /* or null */
	}
	return walk == WALK_END && *ret_policy != 0 && *ret_host != 0;
}

void
legacy_hosts_init(struct legacy_hosts *w, struct buf *out, const struct id_list *policies,
    const struct id_list *errors, uint64_t subscription)
{
	*w = (struct legacy_hosts){
	    .out = out, .policies = policies, .errors = errors, .subscription = subscription};
	buf_byte(out, '[');
}

static void
end_policy(struct legacy_hosts *w)
{
	if (!w->open)
		return;
	uint64_t policy = w->policies->ids[w->next - 1];
	buf_byte(w->out, ']');
	if (ids_find(w->errors->ids, w->errors->count, policy) != w->errors->count) {
		buf_str_add(w->out, ",\"error\":");
		buf_json_str(w->out, HOSTS_ERROR);
	}
	buf_byte(w->out, '}');
	w->open = w->any = false;
}

static void
begin_policy(struct legacy_hosts *w)
{
	buf_str_add(w->out, w->next > 0 ? ",{\"policyId\":" : "{\"policyId\":");
	write_id(w->policies->ids[w->next++], "\"", w->out);
	buf_str_add(w->out, ",\"subscriptionId\":");
	write_id(w->subscription, "\"", w->out);
	buf_str_add(w->out, ",\"hostIds\":[");
	w->open = true;
}

enum status
legacy_hosts_add(struct legacy_hosts *w, const char *record, size_t len)
{
	const struct id_list *all = w->policies;
	uint64_t policy, subscription, host;
	if (!read_host(record, len, &policy, &subscription, &host))
		return STATUS_CORRUPT;
	size_t at = ids_find(all->ids, all->count, policy);
	if (at == all->count)
		return STATUS_OK;
	bool same = w->open && at + 1 == w->next;
	if (!same && at < w->next)
		return STATUS_CORRUPT;
	if (!same) {
		while (w->next <= at) { /* those between have no hosts */
			end_policy(w);
			if (w->next == at && subscription != 0)
				w->subscription = subscription;
			begin_policy(w);
		}
	}
	if (w->any)
		buf_byte(w->out, ',');
	write_id(host, "\"", w->out);
	w->any = true;
	return STATUS_OK;
}

enum status
legacy_hosts_end(struct legacy_hosts *w)
{
	while (w->next < w->policies->count) {
		end_policy(w);
		begin_policy(w);
	}
	end_policy(w);
	buf_byte(w->out, ']');
	return w->out->err;
}
