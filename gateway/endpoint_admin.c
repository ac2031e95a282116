/* What administrators look at: the budget of upstream calls, and the consumers. Fetches are in
 * endpoint_fetches.c. */
#include "config.h"

#include <inttypes.h>

#include "gateway/base/clock.h"
#include "gateway/endpoints.h"

/* A limit, or null where there is none. */
static void
add_limit(struct buf *b, const char *name, uint64_t limit)
{
	buf_printf(b, "\"%s\":", name);
	if (limit != 0)
		buf_u64(b, limit);
	else
		buf_str_add(b, "null");
}

static void
add_seconds(struct buf *b, const char *name, int64_t ms)
{
	buf_printf(b, "\"%s\":%" PRId64 ".%03d", name, ms / 1000, (int)(ms % 1000));
}

enum step
endpoint_budget(struct request *r)
{
	struct buf *b = &r->response.body;
	struct budget_view v;
	request_json_of_key(r);
	buf_str_add(b, "{\"data\":[");
	for (int api = 0; api < API_COUNT; api++) {
		budget_view(r->gateway->budget, (enum upstream_api)api, &v);
		buf_printf(b, "%s{\"api\":\"%s\",\"rate\":{", api > 0 ? "," : "",
		    upstream_api_name((enum upstream_api)api));
		add_limit(b, "calls", v.rate_calls);
		buf_byte(b, ',');
		add_seconds(b, "windowSeconds", v.rate_window_ms);
		buf_printf(b,
		    ",\"used\":%" PRIu64 ",\"usedByOthers\":%" PRIu64 "},\"concurrency\":{",
		    v.window_own, v.window_foreign);
		add_limit(b, "calls", v.concurrency);
		buf_printf(b,
		    ",\"used\":%" PRIu64 "},\"queued\":{\"interactive\":%" PRIu64
		    ",\"background\":%" PRIu64 "},",
		    v.under_way, v.queued[BUDGET_INTERACTIVE],
		    v.queued[BUDGET_BACKGROUND] + v.queued[BUDGET_SPARE]);
		add_seconds(b, "closedForSeconds", v.closed_for_ms);
		buf_byte(b, '}');
	}
	buf_str_add(b, "]}\n");
	return STEP_respond;
}

static void
add_policies(struct buf *b, const struct consumer *c)
{
	buf_str_add(b, ",\"policies\":");
	if (c->all_policies) {
		buf_str_add(b, "\"*\"");
		return;
	}
	buf_byte(b, '[');
	for (size_t i = 0; i < c->policies.count; i++)
		buf_printf(b, "%s%" PRIu64, i > 0 ? "," : "", c->policies.ids[i]);
	buf_byte(b, ']');
}

static void
add_time(struct buf *b, const char *name, int64_t at_s)
{
	char text[CLOCK_TEXT_BYTES];
	buf_printf(b, ",\"%s\":", name);
	if (at_s == INT64_MAX) {
		buf_str_add(b, "null");
		return;
	}
	clock_text(at_s, text);
	buf_json_str(b, text);
}

static const char *
truth(bool value)
{
	return value ? "true" : "false";
}

enum step
endpoint_consumers(struct request *r)
{
	const struct gateway *g = r->gateway;
	struct buf *b = &r->response.body;
	request_json_of_key(r);
	buf_str_add(b, "{\"data\":[");
	for (size_t i = 0; i < access_count(g->access); i++) {
		const struct consumer *c = access_at(g->access, i);
		buf_str_add(b, i > 0 ? ",{\"name\":" : "{\"name\":");
		buf_json_str(b, c->name);
		add_policies(b, c);
		buf_printf(b, ",\"evidence\":%s,\"force\":%s,\"admin\":%s", truth(c->evidence),
		    truth(c->force), truth(c->admin));
		add_time(b, "expires", c->expires_s);
		buf_printf(b, ",\"legacy\":\"%s\"", settings_legacy_word(c->legacy));
		add_time(b, "legacyUntil", c->legacy_until_s);
		buf_str_add(b, ",\"quota\":{");
		add_limit(b, "queries", c->quota);
		buf_printf(
		    b, ",\"used\":%" PRIu64 "}}", quota_used(g->quota, c->number, clock_mono_ms()));
	}
	buf_str_add(b, "]}\n");
	return STEP_respond;
}
