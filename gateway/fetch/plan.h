/* From a query to upstream calls. Pure.
 *
 * What a version can be asked stands in its dialect (upstream/versions.h); this file writes the
 * paths and bodies from that, and cuts the hosts into calls: one policy a call, so many hosts a
 * call, a body of at most 4 MB (documented for 5.0).
 *
 * Threads: any.
 */
#ifndef FETCH_PLAN_H
#define FETCH_PLAN_H

#include "gateway/base/buf.h"
#include "gateway/fetch/split.h"
#include "gateway/query/query.h"
#include "gateway/upstream/versions.h"

/* What a version must be able to do for this query: bits of enum dialect_can. */
unsigned plan_needs(const struct query *q);
/* No filter and no list of posture IDs leaves records out: then a batch number that is missing means
 * something. */
bool plan_is_unfiltered(const struct query *q);

/* "/pcrs/5.0/posture/hostids?policyId=1,2" for these policies. What a query for hosts leaves out is
 * written behind it, as far as the version knows it; the hosts whose postures are wanted are all of
 * them, whatever the postures' filters are. */
void plan_resolve_path(const struct dialect *d, const struct query *q, const uint64_t *policies,
    size_t count, struct buf *path);
/* "/pcrs/2.0/posture/policy/list", with the date and the tags where the query has them. */
void plan_policies_path(const struct dialect *d, const struct query *q, struct buf *path);
/* Most policies in one hostids call: the version's own limit, and a URL of some 4 KB. */
size_t plan_resolve_chunk(const struct dialect *d);

/* "/pcrs/5.0/posture/postureInfo?evidenceRequired=0&…": every parameter is written out, defaults
 * included, so that a changed default upstream changes nothing. */
void plan_posture_path(const struct dialect *d, const struct query *q, struct buf *path);
/* [{"policyId":"1","subscriptionId":"2","hostIds":["3","4"]}]: IDs are strings here, as the
 * vendor's resolution gives them. */
void plan_hosts_body(
    uint64_t policy, uint64_t subscription, const uint64_t *hosts, size_t count, struct buf *body);
/* [{"subscriptionId":"2","postureId":"1,5-9"}] */
void plan_postures_body(
    uint64_t subscription, const struct id_range *ranges, size_t count, struct buf *body);

/* --- an element of a host resolution's answer */

struct plan_resolved {
	uint64_t policy, subscription;
	uint64_t *hosts; /* as they came, duplicates included; free() it */
	size_t host_count;
	bool error; /* the element carried an in-band error */
};

/* STATUS_OK, STATUS_UPSTREAM_MALFORMED (no such element), STATUS_NO_MEMORY. IDs are taken quoted
 * or not. */
enum status plan_read_resolved(const struct split_record *rec, struct plan_resolved *ret) NODISCARD;

/* An ID (1..2^63-1) in a JSON value, quoted or not. */
bool plan_read_id(const char *value, size_t len, uint64_t *ret);

#endif
