#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/legacy/sunset.h"

/* --- successors */

static const char *
version_of(const struct dialect *d, enum upstream_api api)
{
	return api == API_POLICY_LIST ? d->policy_list_version : d->version;
}

static const char *
path_of(const struct dialect *d, enum upstream_api api)
{
	const char *const paths[API_COUNT] = {
	    [API_POLICY_LIST] = d->policy_list_path,
	    [API_HOSTIDS] = d->hostids_path,
	    [API_POSTURE_INFO] = d->posture_path,
	};
	return paths[api];
}

/* Grows with the version; "10.0" is more than "9.0". */
static unsigned long
rank(const char *version)
{
	char *dot;
	unsigned long major = strtoul(version, &dot, 10);
	return major * 100 + (*dot == '.' ? strtoul(dot + 1, NULL, 10) : 0);
}

static const struct settings_cutoff *
cutoff_of(const struct sunset_rules *rules, enum upstream_api api, const char *version)
{
	const struct settings *s = rules->settings;
	if (api == API_POLICY_LIST &&
	    rank(version) >= rank(versions_at(VERSIONS_COUNT - 1)->policy_list_version))
		return NULL;
	for (size_t i = 0; i < s->cutoff_count; i++)
		if (strcmp(s->cutoffs[i].version, version) == 0)
			return &s->cutoffs[i];
	return NULL;
}

static bool
is_cut_off(
    const struct sunset_rules *rules, enum upstream_api api, const char *version, int64_t now_s)
{
	const struct settings_cutoff *c = cutoff_of(rules, api, version);
	return c != NULL && now_s >= c->from_s;
}

static const char *
successor(
    const struct sunset_rules *rules, enum upstream_api api, const char *version, int64_t now_s)
{
	for (unsigned i = VERSIONS_COUNT; i-- > 0;) {
		const struct dialect *d = versions_at(i);
		const char *candidate = version_of(d, api);
		if (rank(candidate) <= rank(version))
			return NULL;
		if (!is_cut_off(rules, api, candidate, now_s) &&
		    versions_life(rules->versions, upstream_api_name(api), candidate, now_s) !=
			VERSION_ENDED)
			return path_of(d, api);
	}
	return NULL;
}

/* --- headers */

bool
sunset_of(const struct sunset_rules *rules, enum upstream_api api, const char *version,
    int64_t now_s, struct sunset *ret)
{
	struct lifecycle_entry e;
	*ret = (struct sunset){INT64_MAX, INT64_MAX, NULL};
	if (!versions_lifecycle(rules->versions, upstream_api_name(api), version, &e) ||
	    (e.eos_s == INT64_MAX && e.eol_s == INT64_MAX))
		return false;
	*ret = (struct sunset){e.eos_s, e.eol_s, successor(rules, api, version, now_s)};
	return true;
}

void
sunset_headers(const struct sunset_rules *rules, const struct sunset *sunset, struct response *r)
{
	char date[CLOCK_HTTP_BYTES];
	const char *link = rules->settings->deprecation_link;
	if (sunset->deprecation_s == INT64_MAX && sunset->sunset_s == INT64_MAX)
		return;
	if (sunset->deprecation_s != INT64_MAX)
		response_header(r, "Deprecation", "@%" PRId64, sunset->deprecation_s);
	if (sunset->sunset_s != INT64_MAX) {
		clock_http_text(sunset->sunset_s, date);
		response_header(r, "Sunset", "%s", date);
	}
	if (sunset->successor != NULL)
		response_header(r, "Link",
		    "<%s>; rel=\"successor-version\", <%s>; rel=\"deprecation\"", sunset->successor,
		    link);
	else
		response_header(r, "Link", "<%s>; rel=\"deprecation\"", link);
}

/* --- the cut-off */

enum sunset_verdict
sunset_check(const struct sunset_rules *rules, int64_t legacy_until_s, enum upstream_api api,
    const char *version, int64_t now_s, int64_t *ret_since_s)
{
	if (now_s >= legacy_until_s) {
		*ret_since_s = legacy_until_s;
		return SUNSET_CONSUMER_ENDED;
	}
	if (version == NULL || !is_cut_off(rules, api, version, now_s))
		return SUNSET_SERVED;
	*ret_since_s = cutoff_of(rules, api, version)->from_s;
	return SUNSET_VERSION_ENDED;
}

/* Where the gateway's own API has the same. */
static const char *const own_paths[API_COUNT] = {
    [API_POLICY_LIST] = "/v1/policies (postures: /v1/postures)",
    [API_HOSTIDS] = "/v1/policies/{id}/hosts (postures: /v1/postures)",
    [API_POSTURE_INFO] = "/v1/postures",
};

void
sunset_text(const struct sunset_rules *rules, enum sunset_verdict verdict, enum upstream_api api,
    const char *version, int64_t since_s, int64_t now_s, struct buf *text)
{
	char since[CLOCK_TEXT_BYTES];
	const char *next = NULL, *own = own_paths[version != NULL ? api : API_POSTURE_INFO];
	clock_text(since_s, since);
	if (version != NULL)
		buf_printf(text, "Version %s of %s", version, upstream_api_name(api));
	else
		buf_str_add(text, "The old protocol");
	if (verdict == SUNSET_CONSUMER_ENDED)
		buf_printf(text, " is not answered to this consumer since %s, and no %sversion is",
		    since, version != NULL ? "other " : "");
	else
		buf_printf(text, " is not answered here since %s", since);
	if (verdict == SUNSET_VERSION_ENDED && version != NULL)
		next = successor(rules, api, version, now_s);
	if (next != NULL)
		buf_printf(text, ": call %s, or this gateway's own API at %s", next, own);
	else
		buf_printf(text, ": call this gateway's own API at %s", own);
}
