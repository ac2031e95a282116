/* The upstream's versions: what each can do (dialects) and how long each lives (lifecycle), as
 * data. Everything that differs between versions towards the upstream is a row here.
 *
 * Sources: the vendor's version history (postureInfo: 1.0-3.0 end of life June 2026, 4.0 November
 * 2026, 5.0 active; policy list 1.0: end of support November 2026, end of life May 2027); a month
 * ends with its last day.
 *
 * Threads: any; the tables do not change.
 */
#ifndef UPSTREAM_VERSIONS_H
#define UPSTREAM_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/attr.h"
#include "gateway/base/status.h"

/* The three APIs that a version number belongs to; each has a rate budget of its own. */
enum upstream_api { API_POLICY_LIST, API_HOSTIDS, API_POSTURE_INFO, API_COUNT };

/* As in settings, logs and metrics: "policyList", "hostids", "postureInfo". */
const char *upstream_api_name(enum upstream_api api);

/* What a version can be asked: of postureInfo, and of hostids. */
enum dialect_can {
	CAN_INACTIVE = 1,       /* excludeInactiveControl (2.0) */
	CAN_CLOUD = 2,          /* cloudMetaDataRequired (3.0) */
	CAN_STATUS = 4,         /* status, previousStatus, criticalityValues (3.0) */
	CAN_BASIC_EVIDENCE = 8, /* extendedEvidenceRequired=0 (5.0) */
	CAN_QDS = 16,           /* qdScoreRequired (5.0) */
	CAN_POSTURE_IDS = 32,   /* a body of posture IDs (5.0) */
	CAN_SCA = 64,           /* SCA assets beside PC (1.0, 2.0, or by setting) */
	CAN_HOST_CHANGED = 128, /* statusChangedSince of hostids (3.0) */
	CAN_HOST_STATE = 256,   /* assetDeploymentType, assetState of hostids (5.0) */
};

struct dialect {
	const char *version;      /* "5.0" */
	const char *posture_path; /* "/pcrs/5.0/posture/postureInfo" */
	const char *hostids_path;
	const char *policy_list_path;
	const char *policy_list_version; /* it counts for itself: "2.0" */
	unsigned can;                    /* enum dialect_can */
	unsigned policies_per_resolve;   /* most policies in one hostids call; 0: no limit stated */
};

enum version_life { VERSION_ACTIVE, VERSION_ENDING, VERSION_ENDED };

/* Laid over the built-in table. INT64_MAX: no date. Seconds since 1970, the last second that
 * counts. */
struct lifecycle_entry {
	const char *api, *version;
	int64_t eos_s, eol_s;
};

struct versions {
	const char *const *preferred; /* versions to use, in order of preference */
	size_t preferred_count;
	const char *const *sca; /* versions of this account that carry SCA all the same */
	size_t sca_count;
	const struct lifecycle_entry *lifecycle;
	size_t lifecycle_count;
};

/* The dates of one version: the override, else the built-in row. False if nobody knows it. */
bool versions_lifecycle(
    const struct versions *v, const char *api, const char *version, struct lifecycle_entry *ret);
enum version_life versions_life(
    const struct versions *v, const char *api, const char *version, int64_t now_s);

/* The first preferred version that has not ended and can do all of `need`. Those in `gone` (bits of
 * versions_bit()) come last; and where CAN_SCA is not needed, one that has PC assets alone goes
 * before those that have both.
 *   STATUS_OK, STATUS_VERSION_UNAVAILABLE */
enum status versions_choose(const struct versions *v, unsigned need, int64_t now_s, unsigned gone,
    const struct dialect **ret) NODISCARD;
unsigned versions_bit(const struct dialect *d);
/* Whether it has SCA assets beside PC, which no record tells: by its nature or by the settings. */
bool versions_has_sca(const struct versions *v, const struct dialect *d);
bool versions_is_older(const struct dialect *d, const struct dialect *than);
/* Why there is none: for each version that can be spoken, a reason; for people. */
struct buf;
void versions_explain(const struct versions *v, unsigned need, int64_t now_s, struct buf *text);
const struct dialect *versions_dialect(const char *version); /* NULL: none of that name */

/* All that there have been, counted from the oldest: 0 is "1.0". */
#define VERSIONS_COUNT 5
const struct dialect *versions_at(unsigned index);
unsigned versions_index(const char *version, size_t len); /* VERSIONS_COUNT: none of that name */

#endif
