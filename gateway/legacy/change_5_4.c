/* What 5.0 brought (December 2025 and January 2026). */
#include "config.h"

#include "gateway/fetch/members.h"
#include "gateway/fetch/normalise_cloud.h"
#include "gateway/legacy/change.h"

static bool
object_from_text(const char *value, size_t len, struct buf *out)
{
	const char *text;
	size_t text_len;
	return text_of(value, len, &text, &text_len) && cloud_object_write(text, text_len, out);
}

static bool
cloud_as_object(struct change_record *r)
{
	return change_record_turn_inside(
	    r, NORMAL_cloudMetaData, "cloudResourceMetadata", object_from_text);
}

static const struct change changes[] = {
    {
	.name = "qds",
	.from = "5.0",
	.to = "4.0",
	.description = "A posture can carry its score, qds.",
	.parameters = {{API_POSTURE_INFO, "qdScoreRequired"}},
	.drops = {CHANGE_MEMBER(qds)},
    },
    {
	.name = "basic-evidence",
	.from = "5.0",
	.to = "4.0",
	.description = "Evidence can be asked for without its extended part; before, "
		       "evidenceRequired=1 always brings both.",
	.parameters = {{API_POSTURE_INFO, "extendedEvidenceRequired"}},
    },
    {
	.name = "posture-ids",
	.from = "5.0",
	.to = "4.0",
	.description = "Postures can be asked for by their IDs, in the body; before, by policy "
		       "and host only.",
    },
    {
	.name = "cloud-asset-filters",
	.from = "5.0",
	.to = "4.0",
	.description = "Hosts can be resolved by where they run and whether they still do.",
	.parameters = {{API_HOSTIDS, "assetDeploymentType"}, {API_HOSTIDS, "assetState"}},
    },
    {
	.name = "documented-members",
	.from = "5.0",
	.to = "4.0",
	.description = "A record may have members that no document knows, and known ones under "
		       "another spelling (postureId, cloudResourceId, escapes).",
	.drops = {CHANGE_UNKNOWN},
	.rewrites = {CHANGE_MEMBER(id), CHANGE_MEMBER(CLOUD_RESOURCE_ID)},
	.rewrite = change_record_spell,
    },
    {
	.name = "cloud-metadata-object",
	.from = "5.0",
	.to = "4.0",
	.description = "cloudResourceMetadata may still come as text; in 4.0 it is always an "
		       "object.",
	.rewrites = {CHANGE_INSIDE(cloudMetaData, "cloudResourceMetadata")},
	.rewrite = cloud_as_object,
    },
};

const struct change_list changes_5_4 = {changes, ARRAY_LEN(changes)};
