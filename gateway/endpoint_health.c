/* Whether the process lives, and whether it can serve. */
#include "config.h"

#include "gateway/endpoints.h"

enum step
endpoint_healthz(struct request *r)
{
	request_json(r);
	buf_str_add(&r->response.body, "{\"status\":\"ok\"}\n");
	return STEP_respond;
}

/* Ready while something can be served: from the upstream, or from what is stored. */
enum step
endpoint_readyz(struct request *r)
{
	static const char *const credentials[] = {"unknown", "ok", "rejected"};
	struct cache_stats stats;
	cache_get_stats(r->gateway->cache, &stats);
	enum credential_state credential = credential_state(r->gateway->credential);
	bool store = stats.writable, up = credential != CREDENTIAL_REJECTED;
	bool serves = (store && up) || stats.results > 0;
	const char *status = store && up ? "ok" : serves ? "degraded" : "down";
	r->response.http = serves ? 200 : 503;
	request_json(r);
	struct buf *b = &r->response.body;
	buf_printf(b, "{\"status\":\"%s\"", status);
	/* the site says who may see more than that */
	if (request_is_internal(r))
		buf_printf(b, ",\"checks\":{\"store\":\"%s\",\"credential\":\"%s\"}",
		    store ? "ok" : "read-only", credentials[credential]);
	buf_str_add(b, "}\n");
	return STEP_respond;
}
