#include "config.h"

#include <assert.h>

#include "gateway/endpoints.h"

static endpoint_f *const endpoints[ROUTE_UNKNOWN] = {
    [ROUTE_POSTURES] = endpoint_postures,
    [ROUTE_POSTURES_QUERY] = endpoint_postures,
    [ROUTE_POSTURES_SUMMARY] = endpoint_summary,
    [ROUTE_POSTURES_EXPLAIN] = endpoint_explain,
    [ROUTE_POSTURE] = endpoint_postures,
    [ROUTE_POLICIES] = endpoint_policies,
    [ROUTE_POLICY_HOSTS] = endpoint_hosts,
    [ROUTE_FETCHES] = endpoint_fetches,
    [ROUTE_FETCH] = endpoint_fetch,
    [ROUTE_ADMIN_FETCHES] = endpoint_fetches,
    [ROUTE_ADMIN_FETCH] = endpoint_fetch,
    [ROUTE_ADMIN_BUDGET] = endpoint_budget,
    [ROUTE_ADMIN_CONSUMERS] = endpoint_consumers,
    [ROUTE_ADMIN_MIGRATION] = endpoint_migration,
    [ROUTE_AUTH] = endpoint_auth,
    [ROUTE_PCRS_POLICY_LIST] = endpoint_pcrs_policy_list,
    [ROUTE_PCRS_HOSTIDS] = endpoint_pcrs_hostids,
    [ROUTE_PCRS_POSTURE_INFO] = endpoint_pcrs_posture_info,
    [ROUTE_HEALTHZ] = endpoint_healthz,
    [ROUTE_READYZ] = endpoint_readyz,
    [ROUTE_METRICS] = endpoint_metrics,
};

enum step
endpoint_answer(struct request *r)
{
	assert(endpoints[r->routed.route] != NULL);
	return endpoints[r->routed.route](r);
}
