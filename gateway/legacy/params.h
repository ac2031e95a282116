/* What a caller of the drop-in surface asks with its query string: each version of each of the three
 * calls takes the parameters that the vendor's version of it has (params_table.h), and they make the
 * same query as those of the read API. Values are read by the same readers.
 *
 * What stands in the body of postureInfo is legacy/body.h's. Whether the SCA assets that come with
 * versions 1.0 and 2.0 can be had is not decided here: the query asks for PC.
 *
 * Threads: any; all functions are pure but for the arena they are given.
 */
#ifndef LEGACY_PARAMS_H
#define LEGACY_PARAMS_H

#include "gateway/query/query.h"
#include "gateway/upstream/versions.h"

/* Rows of the table: bits 0 to LEGACY_PARAMS - 1. */
#define LEGACY_PARAMS 23
#define LEGACY_OLD_POLICIES 10 /* most policies of a call in versions 1.0 and 2.0 */

struct legacy_asked {
	struct query
	    query;  /* without what is the body's: policies, hosts, postures, subscription */
	bool plain; /* compressionRequired=0 */
	bool
	    all_policies; /* hostids without policyId: every policy that there is; the query has none */
	uint32_t params; /* rows that were given, a bit each */
};

/* `text` is the part behind '?', as it came (may be ""): as query_parse() reads it, but for empty pairs,
 * which are passed over, and for spaces around the items of a list, which real clients send. Not
 * given: the vendor's default.
 *
 * Evidence is extended in every version once it is asked for, but for 5.0 with
 * extendedEvidenceRequired=0, where it is basic: what 5.0 alone can be asked without.
 *
 * `version` is "1.0" to "5.0", of the policy list "1.0" or "2.0".
 *   STATUS_OK           *ret is filled; it lives in the arena
 *   STATUS_BAD_REQUEST  a parameter that this version does not have, or that is given twice, malformed,
 *                       in conflict with another, missing or over its cap. *ret_message is the first
 *                       of these as one sentence for {"message":…}, in the arena
 *   STATUS_NO_MEMORY */
enum status legacy_params_read(struct arena *a, enum upstream_api api, const char *version,
    const char *text, size_t len, struct legacy_asked *ret, const char **ret_message) NODISCARD;

/* --- for the migration report */

/* The name of a row, as it stands in a URL. Names of different calls may be the same. */
const char *legacy_param_name(size_t row);
/* The rows that 1.0 does not have: who gives one cannot go back, and who moves on may. */
uint32_t legacy_params_specific(void);

#endif
