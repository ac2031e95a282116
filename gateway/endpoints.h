/* What each endpoint answers, once its source is known: the step "answer". One function an endpoint;
 * endpoints.c has the table from route to function.
 *
 * Each writes r->response and gives the next step; a problem goes through request_problem().
 *
 * Threads: one request, one worker.
 */
#ifndef GATEWAY_ENDPOINTS_H
#define GATEWAY_ENDPOINTS_H

#include "gateway/request_state.h"

typedef enum step endpoint_f(struct request *r);

/* The endpoint of r->routed.route. */
endpoint_f endpoint_answer;

endpoint_f endpoint_healthz, endpoint_readyz;   /* endpoint_health.c */
endpoint_f endpoint_fetch, endpoint_fetches;    /* endpoint_fetches.c; below /admin/ too */
endpoint_f endpoint_budget, endpoint_consumers; /* endpoint_admin.c */
endpoint_f endpoint_migration;                  /* endpoint_migration.c */
endpoint_f endpoint_postures;                   /* endpoint_postures.c */
endpoint_f endpoint_summary;                    /* endpoint_summary.c */
endpoint_f endpoint_explain;                    /* endpoint_explain.c */
endpoint_f endpoint_policies, endpoint_hosts;   /* endpoint_policies.c */
endpoint_f endpoint_auth, endpoint_pcrs_policy_list, endpoint_pcrs_hostids,
    endpoint_pcrs_posture_info; /* endpoint_legacy.c */
endpoint_f endpoint_metrics;    /* endpoint_metrics.c */

/* The postures that answer the request: the rows of r->source->result, under the grant. */
struct answer endpoint_rows(const struct request *r);

/* What is shown of them: the fields asked for; as null what the grant does not show, and what of a broader
 * query's records was not asked for. */
struct record_transform endpoint_transform(const struct request *r);

/* What picks the bytes of an answer, beside its result, the consumer and the grant. */
struct endpoint_view {
	uint64_t position, fields, hide;
	uint32_t limit;
	enum endpoint_form { FORM_PAGE, FORM_ONE, FORM_SUMMARY } form;
	unsigned by;
};
/* Writes validator and cache headers of an answer from r->source->result. True: the caller has it
 * already, and the answer has become a 304. */
bool endpoint_not_modified(struct request *r, const struct endpoint_view *view);
/* An answer from r->source->result failed: the problem it becomes, logged where it is damage. */
enum step endpoint_failed(struct request *r, enum status st);

/* The answer of any endpoint whose data are the records of r->result: validators and cache headers,
 * 304, the page, its Link. Of p->cursor it fills in what begins a walk. */
enum step endpoint_page(struct request *r, struct page *p);

/* Leaves the class of workers and frees what a whole result holds. Fine if the answer is none. */
void endpoint_export_fini(struct request *r);

/* The fetch of r->source->flight as the body of a 202, as this consumer sees it. The estimate is
 * fetch_estimate_ms()'s. */
void endpoint_fetch_of_202(struct request *r, int64_t estimate_ms);

#endif
