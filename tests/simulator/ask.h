/* What a call asks: its version's parameters read and checked, its body turned into targets.
 * An ask also says which postures match it.
 *
 * Threads: owner only.
 */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/simulator/apis.h"
#include "tests/simulator/data.h"

#define ASK_BODY_BYTES ((size_t)4 * 1024 * 1024)
#define ASK_POSTURE_IDS 400000 /* a range counts its width */

/* Traits of a version: bits. */
#define TRAIT_SCA 1u            /* knows SCA assets too */
#define TRAIT_WANTS_POLICIES 2u /* policyId has to be given */
#define TRAIT_MANAGER 4u        /* is for the role Manager only */
#define TRAIT_POSTURE_IDS 8u    /* takes bodies with postureId */

struct version {
	enum api api;
	unsigned number;
	const char *name;
	unsigned most_policies; /* of a list, elements of a body; 0: any */
	unsigned traits;
	unsigned members; /* SHOW_* that its records can have */
};
/* NULL: not a version that answers. */
const struct version *version_find(enum api api, const char *name, const struct options *opt);

enum deployment { DEPLOYMENT_ALL, DEPLOYMENT_ON_PREM, DEPLOYMENT_CLOUD };
enum asset_state { ASSET_ALL, ASSET_ACTIVE, ASSET_TERMINATED };

struct target {
	uint32_t p, h;
};
struct id_span {
	uint64_t first, last;
};

struct ask {
	uint32_t seen;    /* parameters given */
	bool sca;         /* as its version, */
	unsigned members; /* and so are these */
	bool evidence, basic_only, plain, exclude_inactive, cloud, qds, tags;
	int64_t evaluated_since, changed_since;
	int64_t scan_first, scan_last; /* lastScanDate: the day, or its first second */
	int64_t scan_from, scan_to;
	unsigned status, previous; /* bits by enum verdict; 0: any */
	unsigned criticality;      /* bits by value; 0: any */
	char *labels;              /* comma-separated, as given */
	char *policies;            /* likewise */
	enum deployment deployment;
	enum asset_state state;
	/* from the body: one of the two */
	struct target *targets;
	size_t target_count, target_cap;
	struct id_span *spans;
	size_t span_count, span_cap;
};

/* What is wrong with a call: its error code (documented in the classic API's list) and why. */
struct complaint {
	unsigned code;
	char text[200];
};

void ask_init(struct ask *a, const struct version *v);
void ask_free(struct ask *a);
/* One decoded parameter. False: *ret tells why. */
bool ask_param(struct ask *a, const struct version *v, const char *name, const char *value,
    struct complaint *ret);
/* After the last one: what has to stand together, and what must not. */
bool ask_check(const struct ask *a, const struct version *v, struct complaint *ret);
/* The JSON body of postureInfo. */
bool ask_body(struct ask *a, const struct version *v, const struct corpus *c,
    const struct sbuf *body, struct complaint *ret);

/* SHOW_*: what its version can, less what it did not ask for. */
unsigned ask_show(const struct ask *a);
bool ask_wants_host(const struct ask *a, const struct corpus *c, const struct host *host);
bool ask_wants(const struct ask *a, const struct corpus *c, const struct host *host,
    const struct posture *posture);

#endif
