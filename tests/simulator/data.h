/* The simulated data: every host, policy, control and posture is a pure function of the options
 * (seed, generation, sizes), so that gigabytes need no memory and a test can compute what exists:
 *
 *   policy   p = 0 .. policies-1     id 1001 + p
 *   host     h = 0 .. hosts-1        of policy p: id 5000001 + p * step + h, where step is
 *                                    hosts * (100 - host_overlap) / 100
 *   control  c = 0 .. controls-1     id 1001 + c, or 100001 + c where c % 7 == 6
 *   posture  (p, h, c)               id (p + 1) * 10^10 + h * 10^4 + c
 *
 * Threads: a corpus never changes once made; any.
 */
#ifndef SIM_DATA_H
#define SIM_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/options.h"
#include "tests/simulator/sbuf.h"

/* Options frozen, with what is worth computing once. Counted references. */
struct corpus {
	struct options opt;
	int64_t epoch_s;
	uint64_t host_step;
	struct control *controls; /* opt.controls of them */
	unsigned refs;
};

struct corpus *corpus_new(const struct options *opt); /* one reference, yours */
struct corpus *corpus_ref(struct corpus *c);
void corpus_unref(struct corpus *c); /* NULL is fine */

/* --- what there is */
uint64_t policy_id(uint64_t p);
bool policy_find(const struct corpus *c, uint64_t id, uint32_t *ret_p);
bool policy_is_active(const struct corpus *c, uint32_t p);
int64_t policy_evaluated_s(const struct corpus *c, uint32_t p);
void policy_title(const struct corpus *c, uint32_t p, struct sbuf *text); /* with its quotes */

struct host {
	uint32_t p, h; /* as a host of this policy */
	uint64_t id;
	uint64_t hash; /* the same in every policy */
	int64_t scanned_s;
	bool cloud, terminated, empty, sca;
};
uint64_t host_id(const struct corpus *c, uint32_t p, uint32_t h);
bool host_find(const struct corpus *c, uint32_t p, uint64_t id, uint32_t *ret_h);
void host_at(const struct corpus *c, uint32_t p, uint32_t h, struct host *ret_host);

enum verdict { VERDICT_PASSED, VERDICT_FAILED, VERDICT_ERROR, VERDICTS };
struct posture {
	uint64_t id, hash;
	uint32_t control;
	enum verdict status, previous;
	bool exception, previous_exception, lowercase;
	int64_t evaluated_s, modified_s;
};
bool posture_find(
    const struct corpus *c, uint64_t id, struct host *ret_host, uint32_t *ret_control);
void posture_at(
    const struct corpus *c, const struct host *host, uint32_t control, struct posture *ret_posture);

unsigned control_criticality(const struct corpus *c, uint32_t control); /* 0-5 */
bool control_label_is(const struct corpus *c, uint32_t control, const char *label);
bool control_is_active(const struct corpus *c, uint32_t p, uint32_t control);

/* --- how it is written */

/* Which members a record has: bits. */
#define SHOW_EVIDENCE 0x01u
#define SHOW_UPDATED 0x02u     /* evidence.lastUpdated; this and the next two beside evidence */
#define SHOW_EXTENDED 0x04u    /* evidence.extendedEvidence */
#define SHOW_DESCRIPTION 0x08u /* evidence.description */
#define SHOW_GROUPS 0x10u      /* category, subCategory, userDefinedAttributesList */
#define SHOW_CLOUD 0x20u
#define SHOW_CLOUD_TEXT 0x40u      /* cloudResourceMetadata is text, */
#define SHOW_CLOUD_OBJECT 0x80u    /* or an object; with both bits either of them */
#define SHOW_RESOURCE_EARLY 0x100u /* CLOUD_RESOURCE_ID behind hostId, not at the end */
#define SHOW_QDS 0x200u
#define SHOW_UNKNOWN 0x400u /* what the option unknown-member asks for */

/* The texts of one host in one policy, made once for all records of an answer. */
struct host_text {
	struct sbuf head;  /* policyId .. netBios */
	struct sbuf body;  /* hostId .. assetId */
	struct sbuf cloud; /* the value of cloudMetaData */
	struct sbuf tail;  /* CLOUD_RESOURCE_ID if it comes last, and the closing brace */
};
void host_text_make(
    const struct corpus *c, const struct host *host, unsigned show, struct host_text *t);
void host_text_free(struct host_text *t);

struct batch_mark {
	uint32_t current, total;
	uint64_t *bytes; /* of the batch so far; grows with each record */
};
void record_add(const struct corpus *c, const struct host *host, const struct host_text *t,
    const struct posture *posture, unsigned show, const struct batch_mark *batch, int64_t created_s,
    struct sbuf *b);

#endif
