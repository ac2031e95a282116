/* clang-format off */
/* Every endpoint, once. One '*' in a path stands for a segment that is an ID (decimal, or
 * hexadecimal behind /v1/fetches/). Of several that fit the first holds.
 *
 *     ROUTE(name, path, methods, needs a key, takes parameters in the URL, what it gives)
 */
ROUTE(POSTURES, "/v1/postures", METHOD_GET | METHOD_HEAD, true, true, "a page of postures")
ROUTE(POSTURES_QUERY, "/v1/postures/query", METHOD_POST, true, false, "the same, the query as a JSON object")
ROUTE(POSTURE, "/v1/postures/*", METHOD_GET | METHOD_HEAD, true, true, "one posture by its ID")
ROUTE(POLICIES, "/v1/policies", METHOD_GET | METHOD_HEAD, true, true, "a page of the policy list")
ROUTE(POLICY_HOSTS, "/v1/policies/*/hosts", METHOD_GET | METHOD_HEAD, true, true, "a page of the hosts that a policy resolves to")
ROUTE(FETCH, "/v1/fetches/*", METHOD_GET | METHOD_HEAD, true, false, "a fetch under way or lately ended")
ROUTE(HEALTHZ, "/healthz", METHOD_GET | METHOD_HEAD, false, false, "the process is alive")
ROUTE(READYZ, "/readyz", METHOD_GET | METHOD_HEAD, false, false, "something can be served")
ROUTE(METRICS, "/metrics", METHOD_GET | METHOD_HEAD, false, false, "figures for monitoring, for inside networks")
