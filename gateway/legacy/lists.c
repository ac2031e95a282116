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

enum form { FORM_AS_IT_IS, FORM_DATE, FORM_FLAG, FORM_TAGS };

/* In the order of the vendor's page. */
static const struct {
	const char *stored, *shown;
	enum form form;
} members[] = {
    {"id", "id", FORM_AS_IT_IS},
    {"title", "title", FORM_AS_IT_IS},
    {"createdBy", "createdBy", FORM_AS_IT_IS},
    {"createdDate", "createdDate", FORM_DATE},
    {"modifiedBy", "modifiedBy", FORM_AS_IT_IS},
    {"modifiedDate", "modifiedDate", FORM_DATE},
    {"lastEvaluatedDate", "lastEvaluatedDate", FORM_DATE},
    {"status", "status", FORM_AS_IT_IS},
    {"locked", "locked", FORM_FLAG},
    {"tags", "requireTagInfo", FORM_TAGS},
};

/* What stands in place of a value. NULL: it stays. */
static const char *
instead(enum form form, const struct split_member *m)
{
	if (form == FORM_DATE && value_is(m, "null"))
		return "\"\"";
	if (form == FORM_FLAG && value_is(m, "false"))
		return "0";
	return form == FORM_FLAG && value_is(m, "true") ? "1" : NULL;
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

/* The same limit for both: what is in hand leaves first. */
static bool
enough(const struct buf *out, size_t piece_bytes)
{
	return out->len >= piece_bytes;
}

void
legacy_policies_init(struct legacy_policies *w, uint64_t subscription, size_t piece_bytes)
{
	*w = (struct legacy_policies){.subscription = subscription, .piece_bytes = piece_bytes};
}

static void
begin_policies(struct legacy_policies *w, uint64_t subscription, struct buf *out)
{
	buf_str_add(out, "{\"subscriptionId\":");
	write_id(subscription != 0 ? subscription : w->subscription, "", out);
	buf_str_add(out, ",\"policyList\":[");
	w->begun = true;
}

static void
write_policy(const struct policy *p, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		bool none = !p->has[i] || value_is(&p->at[i], "null");
		if (members[i].form == FORM_TAGS && none)
			continue;
		const char *other = p->has[i] ? instead(members[i].form, &p->at[i]) : "null";
		buf_printf(out, "%s\"%s\":", i > 0 ? "," : "{", members[i].shown);
		if (other != NULL)
			buf_str_add(out, other);
		else
			buf_add(out, p->at[i].value, p->at[i].value_len);
	}
	buf_byte(out, '}');
}

enum status
legacy_policies_add(struct legacy_policies *w, const char *record, size_t len, struct buf *out)
{
	struct policy p;
	if (enough(out, w->piece_bytes))
		return STATUS_OVERFLOW;
	if (!read_policy(record, len, &p))
		return STATUS_CORRUPT;
	if (!w->begun)
		begin_policies(w, p.subscription, out);
	else
		buf_byte(out, ',');
	write_policy(&p, out);
	return STATUS_OK;
}

bool
legacy_policies_end(struct legacy_policies *w, struct buf *out)
{
	if (enough(out, w->piece_bytes))
		return false;
	if (!w->begun)
		begin_policies(w, 0, out);
	buf_str_add(out, "]}");
	return true;
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
legacy_hosts_init(struct legacy_hosts *w, const struct id_list *policies,
    const struct id_list *errors, uint64_t subscription, size_t piece_bytes)
{
	*w = (struct legacy_hosts){.policies = policies,
	    .errors = errors,
	    .subscription = subscription,
	    .piece_bytes = piece_bytes};
}

static void
begin_array(struct legacy_hosts *w, struct buf *out)
{
	if (!w->begun)
		buf_byte(out, '[');
	w->begun = true;
}

static void
end_policy(struct legacy_hosts *w, struct buf *out)
{
	if (!w->open)
		return;
	uint64_t policy = w->policies->ids[w->next - 1];
	buf_byte(out, ']');
	if (ids_find(w->errors->ids, w->errors->count, policy) != w->errors->count) {
		buf_str_add(out, ",\"error\":");
		buf_json_str(out, HOSTS_ERROR);
	}
	buf_byte(out, '}');
	w->open = w->any = false;
}

static void
next_policy(struct legacy_hosts *w, struct buf *out)
{
	begin_array(w, out);
	end_policy(w, out);
	buf_str_add(out, w->next > 0 ? ",{\"policyId\":" : "{\"policyId\":");
	write_id(w->policies->ids[w->next++], "\"", out);
	buf_str_add(out, ",\"subscriptionId\":");
	write_id(w->subscription, "\"", out);
	buf_str_add(out, ",\"hostIds\":[");
	w->open = true;
}

/* Policies without hosts, up to the one that stands at `at`: they may be many. False: there is enough. */
static bool
pass_policies(struct legacy_hosts *w, size_t at, struct buf *out)
{
	while (w->next < at && !enough(out, w->piece_bytes))
		next_policy(w, out);
	return !enough(out, w->piece_bytes);
}

enum status
legacy_hosts_add(struct legacy_hosts *w, const char *record, size_t len, struct buf *out)
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
	if (!pass_policies(w, at, out))
		return STATUS_OVERFLOW;
	if (!same) {
		if (subscription != 0)
			w->subscription = subscription;
		next_policy(w, out);
	}
	if (w->any)
		buf_byte(out, ',');
	write_id(host, "\"", out);
	w->any = true;
	return STATUS_OK;
}

bool
legacy_hosts_end(struct legacy_hosts *w, struct buf *out)
{
	if (!pass_policies(w, w->policies->count, out))
		return false;
	begin_array(w, out);
	end_policy(w, out);
	buf_byte(out, ']');
	return true;
}
