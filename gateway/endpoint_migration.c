/* GET /admin/v1/migration: who still speaks the old protocol. */
#include "config.h"

#include "gateway/base/clock.h"
#include "gateway/endpoints.h"
#include "gateway/legacy/usage_report.h"

/* `format` goes before Accept. False: it is a form that a report does not have. */
static bool
choose_media(struct request *r)
{
	static const enum media medias[] = {[FORMAT_JSON] = MEDIA_JSON, [FORMAT_CSV] = MEDIA_CSV};
	if (!r->source->query.format_given)
		return true;
	if (r->source->query.format == FORMAT_NDJSON) {
		query_errors_add(
		    &r->errors, "format", "The value must be one of json, csv: a report is short");
		return false;
	}
	r->media = medias[r->source->query.format];
	return true;
}

enum step
endpoint_migration(struct request *r)
{
	enum status st = query_parse(&r->arena, QUERY_MIGRATION, FORMAT_JSON, NULL, r->routed.query,
	    r->routed.query_len, &r->source->query, &r->errors);
	if (r->errors.count > 0 || (st == STATUS_OK && !choose_media(r)))
		return request_problem_errors(r, NULL);
	if (st != STATUS_OK)
		return request_problem(r, st, NULL);
	struct usage_report report = {
	    .usage = r->gateway->usage,
	    .versions = &r->gateway->versions,
	    .now_s = clock_wall_ms() / 1000,
	};
	response_header(&r->response, "Content-Type", "%s", media_type(r->media));
	response_header(&r->response, "Cache-Control", "no-store");
	response_header(&r->response, "Vary", "Authorization, X-API-Key, Accept");
	if (r->media == MEDIA_CSV)
		usage_report_csv(&report, &r->response.body);
	else
		usage_report_json(&report, &r->response.body);
	return STEP_respond;
}
