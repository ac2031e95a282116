/* clang-format off */
/* Every endpoint, once. One '*' in a path stands for a segment that is an ID (decimal, or
 * hexadecimal for a fetch) or a version of the upstream's. Of several that fit the first holds. Below
 * /admin/ the key must be an administrator's. /auth and what is below /pcrs/ is the drop-in surface:
 * the upstream's own paths, which may end in a slash, and its manner of telling errors.
 *
 *     ROUTE(name, path, methods, needs a key, takes parameters in the URL, what it gives)
 */
ROUTE(POSTURES, "/v1/postures", METHOD_GET | METHOD_HEAD, true, true, "a page of postures")
ROUTE(POSTURES_QUERY, "/v1/postures/query", METHOD_POST, true, false, "the same, the query as a JSON object")
ROUTE(POSTURES_SUMMARY, "/v1/postures/summary", METHOD_GET | METHOD_HEAD, true, true, "counts of the same postures")
ROUTE(POSTURES_EXPLAIN, "/v1/postures/explain", METHOD_GET | METHOD_HEAD, true, true, "what would answer the same query, and why not otherwise")
ROUTE(POSTURE, "/v1/postures/*", METHOD_GET | METHOD_HEAD, true, true, "one posture by its ID")
ROUTE(POLICIES, "/v1/policies", METHOD_GET | METHOD_HEAD, true, true, "a page of the policy list")
ROUTE(POLICY_HOSTS, "/v1/policies/*/hosts", METHOD_GET | METHOD_HEAD, true, true, "a page of the hosts that a policy resolves to")
ROUTE(FETCHES, "/v1/fetches", METHOD_GET | METHOD_HEAD, true, true, "fetches under way and lately ended")
ROUTE(FETCH, "/v1/fetches/*", METHOD_GET | METHOD_HEAD, true, false, "a fetch under way or lately ended")
ROUTE(ADMIN_FETCHES, "/admin/v1/fetches", METHOD_GET | METHOD_HEAD, true, true, "the fetches of all consumers")
ROUTE(ADMIN_FETCH, "/admin/v1/fetches/*", METHOD_GET | METHOD_HEAD | METHOD_DELETE, true, false, "one of them; DELETE cancels it")
ROUTE(ADMIN_BUDGET, "/admin/v1/budget", METHOD_GET | METHOD_HEAD, true, false, "what is left of the upstream's limits")
ROUTE(ADMIN_CONSUMERS, "/admin/v1/consumers", METHOD_GET | METHOD_HEAD, true, false, "consumers, their grants and quotas")
ROUTE(ADMIN_MIGRATION, "/admin/v1/migration", METHOD_GET | METHOD_HEAD, true, true, "who still calls which version of the old protocol")
ROUTE(AUTH, "/auth", METHOD_POST, false, false, "a token in exchange for a key")
ROUTE(PCRS_POLICY_LIST, "/pcrs/*/posture/policy/list", METHOD_GET | METHOD_HEAD, true, true, "the policy list as the upstream gives it")
ROUTE(PCRS_HOSTIDS, "/pcrs/*/posture/hostids", METHOD_GET | METHOD_HEAD, true, true, "the hosts of policies as the upstream resolves them")
ROUTE(PCRS_POSTURE_INFO, "/pcrs/*/posture/postureInfo", METHOD_POST, true, true, "postures in the shape of an upstream version")
ROUTE(HEALTHZ, "/healthz", METHOD_GET | METHOD_HEAD, false, false, "the process is alive")
ROUTE(READYZ, "/readyz", METHOD_GET | METHOD_HEAD, false, false, "something can be served")
ROUTE(METRICS, "/metrics", METHOD_GET | METHOD_HEAD, false, false, "figures for monitoring, for inside networks")
