#include "config.h"

#include <assert.h>
#include <string.h>

#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/upstream/versions.h"

const char *
upstream_api_name(enum upstream_api api)
{
	static const char *const names[API_COUNT] = {"policyList", "hostids", "postureInfo"};
	return names[api];
}

/* The policy list's own versions do not follow these. */
#define DIALECT(v, list, abilities, most)                                                          \
	{                                                                                          \
		.version = (v), .posture_path = "/pcrs/" v "/posture/postureInfo",                 \
		.hostids_path = "/pcrs/" v "/posture/hostids",                                     \
		.policy_list_path = "/pcrs/" list "/posture/policy/list",                          \
		.policy_list_version = (list), .can = (abilities), .policies_per_resolve = (most), \
	}

/* clang-format off */
static const struct dialect dialects[] = {
    DIALECT("5.0", "2.0", CAN_INACTIVE | CAN_CLOUD | CAN_STATUS | CAN_BASIC_EVIDENCE | CAN_QDS | CAN_POSTURE_IDS | CAN_HOST_CHANGED | CAN_HOST_STATE, 0),
    DIALECT("4.0", "2.0", CAN_INACTIVE | CAN_CLOUD | CAN_STATUS | CAN_HOST_CHANGED, 0),
    DIALECT("3.0", "2.0", CAN_INACTIVE | CAN_CLOUD | CAN_STATUS | CAN_HOST_CHANGED, 0),
    DIALECT("2.0", "2.0", CAN_INACTIVE | CAN_SCA, 10),
    DIALECT("1.0", "2.0", CAN_SCA, 10),
};

/* What a caller asked for, where a version cannot do it. */
static const struct { unsigned bit; const char *asked; } abilities[] = {
    {CAN_SCA, "assets=all"},
    {CAN_POSTURE_IDS, "posture IDs"},
    {CAN_BASIC_EVIDENCE, "evidence=basic"},
    {CAN_QDS, "qds"},
    {CAN_CLOUD, "cloud"},
    {CAN_INACTIVE, "inactive=exclude"},
    {CAN_STATUS, "filters by status or criticality"},
    {CAN_HOST_STATE, "hosts by deployment or state"},
    {CAN_HOST_CHANGED, "hosts by change of status"},
};
/* clang-format on */

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

_Static_assert(ARRAY_LEN(dialects) == VERSIONS_COUNT, "each version has a dialect");

const struct dialect *
versions_at(unsigned index)
{
	assert(index < VERSIONS_COUNT);
	return &dialects[VERSIONS_COUNT - 1 - index];
}

unsigned
versions_index(const char *version, size_t len)
{
	for (unsigned i = 0; i < VERSIONS_COUNT; i++) {
		const char *name = versions_at(i)->version;
		if (strlen(name) == len && memcmp(name, version, len) == 0)
			return i;
	}
	return VERSIONS_COUNT;
}

static bool
listed(const char *const *list, size_t count, const char *version)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], version) == 0)
			return true;
	return false;
}

unsigned
versions_bit(const struct dialect *d)
{
	return 1u << (d - dialects);
}

static unsigned
abilities_of(const struct versions *v, const struct dialect *d)
{
	return d->can | (listed(v->sca, v->sca_count, d->version) ? CAN_SCA : 0);
}

bool
versions_has_sca(const struct versions *v, const struct dialect *d)
{
	return (abilities_of(v, d) & CAN_SCA) != 0;
}

bool
versions_is_older(const struct dialect *d, const struct dialect *than)
{
	return d > than; /* in the table the newest comes first */
}

/* The smaller, the better: who wants PC assets alone is better off where there are no others, and
 * what seemed to be gone may be there after all. */
static unsigned
reluctance(const struct versions *v, const struct dialect *d, unsigned need, unsigned gone)
{
	bool more_than_asked = versions_has_sca(v, d) && !(need & CAN_SCA);
	return 2u * ((versions_bit(d) & gone) != 0) + more_than_asked;
}

enum status
versions_choose(const struct versions *v, unsigned need, int64_t now_s, unsigned gone,
    const struct dialect **ret)
{
	const struct dialect *best = NULL;
	for (size_t i = 0; i < v->preferred_count; i++) {
		const struct dialect *d = versions_dialect(v->preferred[i]);
		if (d == NULL || (abilities_of(v, d) & need) != need ||
		    versions_life(v, "postureInfo", d->version, now_s) == VERSION_ENDED)
			continue;
		if (best == NULL || reluctance(v, d, need, gone) < reluctance(v, best, need, gone))
			best = d;
	}
	if (best == NULL)
		return STATUS_VERSION_UNAVAILABLE;
	*ret = best;
	return STATUS_OK;
}

void
versions_explain(const struct versions *v, unsigned need, int64_t now_s, struct buf *text)
{
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		const struct dialect *d = &dialects[i];
		unsigned missing = need & ~abilities_of(v, d);
		buf_printf(text, "%s%s ", i > 0 ? "; " : "", d->version);
		for (size_t k = 0; k < ARRAY_LEN(abilities); k++) {
			if (missing & abilities[k].bit) {
				buf_printf(text, "cannot answer %s", abilities[k].asked);
				break;
			}
		}
		struct lifecycle_entry e;
		char date[CLOCK_TEXT_BYTES];
		if (missing != 0)
			continue;
		if (versions_life(v, "postureInfo", d->version, now_s) == VERSION_ENDED &&
		    versions_lifecycle(v, "postureInfo", d->version, &e)) {
			clock_text(e.eol_s, date);
			buf_printf(text, "ended on %.10s", date);
		} else {
			buf_str_add(text, "is not among the versions that the settings allow");
		}
	}
}
