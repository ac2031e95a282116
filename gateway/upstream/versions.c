#include "config.h"

#include <string.h>

#include "gateway/upstream/versions.h"

const char *
upstream_api_name(enum upstream_api api)
{
	static const char *const names[API_COUNT] = {"policyList", "hostids", "postureInfo"};
	return names[api];
}

/* The last active version stands first. Older ones are rows to add when they can be spoken. */
static const struct dialect dialects[] = {
    {
	.version = "5.0",
	.posture_path = "/pcrs/5.0/posture/postureInfo",
	.hostids_path = "/pcrs/5.0/posture/hostids",
	.policy_list_path = "/pcrs/2.0/posture/policy/list",
	.can =
	    CAN_INACTIVE | CAN_CLOUD | CAN_STATUS | CAN_BASIC_EVIDENCE | CAN_QDS | CAN_POSTURE_IDS,
	.policies_per_resolve = 0,
    },
};

#define END_OF(date) INT64_C(date)
static const struct lifecycle_entry built_in[] = {
    {"postureInfo", "1.0", END_OF(1767225599) /* 2025-12-31 */,
	END_OF(1782863999) /* 2026-06-30 */},
    {"postureInfo", "2.0", END_OF(1767225599), END_OF(1782863999)},
    {"postureInfo", "3.0", END_OF(1767225599), END_OF(1782863999)},
    {"postureInfo", "4.0", END_OF(1780271999) /* 2026-05-31 */,
	END_OF(1796083199) /* 2026-11-30 */},
    {"postureInfo", "5.0", INT64_MAX, INT64_MAX},
    {"policyList", "1.0", END_OF(1796083199), END_OF(1811807999) /* 2027-05-31 */},
    {"policyList", "2.0", INT64_MAX, INT64_MAX},
    {"hostids", "1.0", END_OF(1767225599), END_OF(1782863999)},
    {"hostids", "2.0", END_OF(1767225599), END_OF(1782863999)},
    {"hostids", "3.0", END_OF(1767225599), END_OF(1782863999)},
    {"hostids", "4.0", END_OF(1780271999), END_OF(1796083199)},
    {"hostids", "5.0", INT64_MAX, INT64_MAX},
};

static const struct lifecycle_entry *
find(const struct lifecycle_entry *list, size_t count, const char *api, const char *version)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].api, api) == 0 && strcmp(list[i].version, version) == 0)
			return &list[i];
	return NULL;
}

bool
versions_lifecycle(
    const struct versions *v, const char *api, const char *version, struct lifecycle_entry *ret)
{
	const struct lifecycle_entry *e = find(v->lifecycle, v->lifecycle_count, api, version);
	if (e == NULL)
		e = find(built_in, ARRAY_LEN(built_in), api, version);
	if (e == NULL)
		return false;
	*ret = *e;
	return true;
}

enum version_life
versions_life(const struct versions *v, const char *api, const char *version, int64_t now_s)
{
	struct lifecycle_entry e;
	if (!versions_lifecycle(v, api, version, &e) || now_s > e.eol_s)
		return VERSION_ENDED;
	return now_s > e.eos_s ? VERSION_ENDING : VERSION_ACTIVE;
}

const struct dialect *
versions_dialect(const char *version)
{
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
		if (strcmp(dialects[i].version, version) == 0)
			return &dialects[i];
	return NULL;
}

static bool
listed(const char *const *list, size_t count, const char *version)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], version) == 0)
			return true;
	return false;
}

enum status
versions_choose(const struct versions *v, unsigned need, int64_t now_s, const struct dialect **ret)
{
	for (size_t i = 0; i < v->preferred_count; i++) {
		const struct dialect *d = versions_dialect(v->preferred[i]);
		if (d == NULL)
			continue;
		unsigned can = d->can;
		if (listed(v->sca, v->sca_count, d->version))
			can |= CAN_SCA;
		if ((can & need) != need)
			continue;
		if (versions_life(v, "postureInfo", d->version, now_s) == VERSION_ENDED)
			continue;
		*ret = d;
		return STATUS_OK;
	}
	return STATUS_VERSION_UNAVAILABLE;
}
