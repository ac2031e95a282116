/* Pages of the policy list, and of the hosts that a policy resolves to. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "gateway/endpoints.h"

static enum step
answer(struct request *r, const char *path, const struct id_list *grant)
{
	struct page page = {
	    .answer =
		{
		    .cache = r->gateway->cache,
		    .result = r->source->result,
		    .filter.grant = grant,
		},
	    .cursor = r->cursor,
	    .key = r->gateway->signing_key,
	    .path = path,
	};
	return endpoint_page(r, &page);
}

/* One result for everybody; of its rows a consumer sees those that its grant covers. */
enum step
endpoint_policies(struct request *r)
{
	return answer(r, "/v1/policies", r->consumer->all_policies ? NULL : &r->consumer->policies);
}

/* That the grant covers the policy was seen to before anything was looked up. */
enum step
endpoint_hosts(struct request *r)
{
	char path[sizeof "/v1/policies/9223372036854775807/hosts"];
	snprintf(path, sizeof path, "/v1/policies/%" PRIu64 "/hosts", r->routed.id);
	return answer(r, path, NULL);
}
