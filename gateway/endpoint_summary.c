/* Counts of postures: the query, its result and its headers are those of a page, only the body is
 * another one. */
#include "config.h"

#include "gateway/answer/summary.h"
#include "gateway/endpoints.h"

enum step
endpoint_summary(struct request *r)
{
	unsigned by = r->source->query.by;
	const struct endpoint_view view = {
	    .form = FORM_SUMMARY,
	    .by = by != 0 ? by : QUERY_BY_STATUS,
	};
	struct answer rows = endpoint_rows(r);
	if (endpoint_not_modified(r, &view))
		return STEP_respond;
	response_header(&r->response, "Content-Type", "application/json");
	enum status st = summary_write(&rows, view.by, &r->response.body);
	if (st == STATUS_TOO_MANY_GROUPS)
		return request_problem(r, st,
		    "A summary may have 250,000 objects and 8 MiB of them: count by less, or ask "
		    "for fewer postures.");
	if (st != STATUS_OK)
		return endpoint_failed(r, st);
	if (r->conditions.gzip)
		response_gzip(&r->response);
	return STEP_respond;
}
