#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/digits.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/plan.h"

#define RESOLVE_CHUNK 200 /* policies in one URL: 200 × 20 bytes stay below the common 8 KB */

unsigned
plan_needs(const struct query *q)
{
	unsigned need = 0;
	if (q->assets == ASSETS_ALL)
		need |= CAN_SCA;
	if (q->postures.count > 0)
		need |= CAN_POSTURE_IDS;
	if (q->evidence == EVIDENCE_BASIC)
		need |= CAN_BASIC_EVIDENCE;
	if (q->qds)
		need |= CAN_QDS;
	if (q->cloud)
		need |= CAN_CLOUD;
	if (q->exclude_inactive)
		need |= CAN_INACTIVE;
	if (q->status != 0 || q->previous_status != 0 || q->criticality != 0)
		need |= CAN_STATUS;
	if (q->kind == KIND_HOSTS && q->changed_since != DATE_NONE)
		need |= CAN_HOST_CHANGED;
	if (q->deployment != DEPLOYMENT_ALL || q->state != STATE_ALL)
		need |= CAN_HOST_STATE;
	return need;
}

bool
plan_is_unfiltered(const struct query *q)
{
	return q->postures.count == 0 && q->status == 0 && q->previous_status == 0 &&
	       q->criticality == 0 && q->evaluated_since == DATE_NONE &&
	       q->scanned_since == DATE_NONE && q->scanned_from == DATE_NONE &&
	       q->scanned_to == DATE_NONE && q->changed_since == DATE_NONE;
}

size_t
plan_resolve_chunk(const struct dialect *d)
{
	return d->policies_per_resolve != 0 ? d->policies_per_resolve : RESOLVE_CHUNK;
}

static void
add_flag(struct buf *path, const char *name, bool on)
{
	buf_printf(path, "&%s=%d", name, on ? 1 : 0);
}

static void
add_date(struct buf *path, const char *name, int64_t date_s)
{
	char text[CLOCK_TEXT_BYTES];
	if (date_s == DATE_NONE)
		return;
	clock_text(date_s, text);
	buf_printf(path, "&%s=%s", name, text);
}

static void
add_statuses(struct buf *path, const char *name, unsigned bits)
{
	static const char *const names[] = {"Passed", "Failed", "Error"};
	const char *before = "";
	if (bits == 0)
		return;
	buf_printf(path, "&%s=", name);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (bits & (1u << i)) {
			buf_printf(path, "%s%s", before, names[i]);
			before = ",";
		}
	}
}

static void
add_criticality(struct buf *path, unsigned bits)
{
	const char *before = "";
	if (bits == 0)
		return;
	buf_str_add(path, "&criticalityValues=");
	for (unsigned value = 0; value <= 5; value++) {
		if (bits & CRITICALITY_BIT(value)) {
			buf_printf(path, "%s%u", before, value);
			before = ",";
		}
	}
}

void
plan_posture_path(const struct dialect *d, const struct query *q, struct buf *path)
{
	buf_printf(path, "%s?compressionRequired=1&evidenceRequired=%d", d->posture_path,
	    q->evidence != EVIDENCE_NONE);
	if (q->evidence != EVIDENCE_NONE && (d->can & CAN_BASIC_EVIDENCE))
		add_flag(path, "extendedEvidenceRequired", q->evidence == EVIDENCE_EXTENDED);
	if (d->can & CAN_INACTIVE)
		add_flag(path, "excludeInactiveControl", q->exclude_inactive);
	if (d->can & CAN_CLOUD)
		add_flag(path, "cloudMetaDataRequired", q->cloud);
	if (d->can & CAN_QDS)
		add_flag(path, "qdScoreRequired", q->qds);
	add_statuses(path, "status", q->status);
	add_statuses(path, "previousStatus", q->previous_status);
	add_criticality(path, q->criticality);
	add_date(path, "lastEvaluationDate", q->evaluated_since);
	add_date(path, "lastScanDate", q->scanned_since);
	add_date(path, "lastScanDateFrom", q->scanned_from);
	add_date(path, "lastScanDateTo", q->scanned_to);
	add_date(path, "statusChangedSince", q->changed_since);
}

static const char *const deployments[] = {
    [DEPLOYMENT_ALL] = "ALL",
    [DEPLOYMENT_ON_PREM] = "ON-PREM",
    [DEPLOYMENT_CLOUD] = "CLOUD",
};
static const char *const states[] = {
    [STATE_ALL] = "ALL",
    [STATE_ACTIVE] = "ACTIVE",
    [STATE_TERMINATED] = "TERMINATED",
};

void
plan_resolve_path(const struct dialect *d, const struct query *q, const uint64_t *policies,
    size_t count, struct buf *path)
{
	buf_printf(path, "%s?policyId=", d->hostids_path);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_byte(path, ',');
		buf_u64(path, policies[i]);
	}
	if (q->kind != KIND_HOSTS)
		return;
	add_date(path, "lastScanDate", q->scanned_since);
	if (d->can & CAN_HOST_CHANGED)
		add_date(path, "statusChangedSince", q->changed_since);
	if ((d->can & CAN_HOST_STATE) && q->deployment != DEPLOYMENT_ALL)
		buf_printf(path, "&assetDeploymentType=%s", deployments[q->deployment]);
	if ((d->can & CAN_HOST_STATE) && q->state != STATE_ALL)
		buf_printf(path, "&assetState=%s", states[q->state]);
}

void
plan_policies_path(const struct dialect *d, const struct query *q, struct buf *path)
{
	char text[CLOCK_TEXT_BYTES];
	const char *before = "?";
	buf_str_add(path, d->policy_list_path);
	if (q->evaluated_since != DATE_NONE) {
		clock_text(q->evaluated_since, text);
		buf_printf(path, "?lastEvaluationDate=%s", text);
		before = "&";
	}
	if (q->tags)
		buf_printf(path, "%srequireTagInfo=1", before);
}

void
plan_hosts_body(
    uint64_t policy, uint64_t subscription, const uint64_t *hosts, size_t count, struct buf *body)
{
	buf_str_add(body, "[{\"policyId\":\"");
	buf_u64(body, policy);
	buf_str_add(body, "\",\"subscriptionId\":\"");
	buf_u64(body, subscription);
	buf_str_add(body, "\",\"hostIds\":[");
	for (size_t i = 0; i < count; i++) {
		buf_str_add(body, i > 0 ? ",\"" : "\"");
		buf_u64(body, hosts[i]);
		buf_byte(body, '"');
	}
	buf_str_add(body, "]}]");
}

void
plan_postures_body(
    uint64_t subscription, const struct id_range *ranges, size_t count, struct buf *body)
{
	buf_str_add(body, "[{\"subscriptionId\":\"");
	buf_u64(body, subscription);
	buf_str_add(body, "\",\"postureId\":\"");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_byte(body, ',');
		buf_u64(body, ranges[i].first);
		if (ranges[i].last != ranges[i].first) {
			buf_byte(body, '-');
			buf_u64(body, ranges[i].last);
		}
	}
	buf_str_add(body, "\"}]");
}

/* --- reading a resolution */

bool
plan_read_id(const char *value, size_t len, uint64_t *ret)
{
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value++;
		len -= 2;
	}
	return digits_read(value, len, 1, INT64_MAX, ret);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* An array of IDs; the text is known to be valid JSON. */
static enum status
read_ids(const char *text, size_t len, uint64_t **ret_ids, size_t *ret_count)
{
	if (len < 2 || text[0] != '[')
		return STATUS_UPSTREAM_MALFORMED;
	size_t most = 1;
	for (size_t at = 0; at < len; at++)
		most += text[at] == ',';
	uint64_t *ids = malloc(most * sizeof *ids);
	if (ids == NULL)
		return STATUS_NO_MEMORY;
	size_t count = 0;
	for (size_t at = 1; at < len - 1;) {
		if (is_space(text[at]) || text[at] == ',') {
			at++;
			continue;
		}
		size_t from = at;
		while (at < len - 1 && text[at] != ',' && !is_space(text[at]))
			at++;
		if (!plan_read_id(text + from, at - from, &ids[count])) {
			free(ids);
			return STATUS_UPSTREAM_MALFORMED;
		}
		count++;
	}
	*ret_ids = ids;
	*ret_count = count;
	return STATUS_OK;
}

static bool
named(const struct split_member *m, const char *name)
{
	return m->name_len == strlen(name) && memcmp(m->name, name, m->name_len) == 0;
}

static bool
is_null(const struct split_member *m)
{
	return m->value_len == 4 && memcmp(m->value, "null", 4) == 0;
}

enum status
plan_read_resolved(const struct split_record *rec, struct plan_resolved *ret)
{
	struct plan_resolved r = {0};
	enum status st = STATUS_OK;
	bool hosts_given = false;
	for (size_t i = 0; i < rec->count && st == STATUS_OK; i++) {
		const struct split_member *m = &rec->members[i];
		if (named(m, "policyId")) {
			if (!plan_read_id(m->value, m->value_len, &r.policy))
				st = STATUS_UPSTREAM_MALFORMED;
		} else if (named(m, "subscriptionId")) {
			if (!plan_read_id(m->value, m->value_len, &r.subscription) && !is_null(m))
				st = STATUS_UPSTREAM_MALFORMED;
		} else if (named(m, "hostIds") && !is_null(m)) {
			st = read_ids(m->value, m->value_len, &r.hosts, &r.host_count);
			hosts_given = st == STATUS_OK;
		} else if (named(m, "error") && !is_null(m)) {
			r.error = true;
		}
	}
	/* whose hosts these are and to whom they belong must be said, but beside an error */
	if (st == STATUS_OK &&
	    (r.policy == 0 || (!r.error && (!hosts_given || r.subscription == 0))))
		st = STATUS_UPSTREAM_MALFORMED;
	if (st != STATUS_OK) {
		free(r.hosts);
		return st;
	}
	*ret = r;
	return STATUS_OK;
}
