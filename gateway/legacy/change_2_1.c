/* What 2.0 brought. The policy list's versions count for themselves; its one change stands here
 * because it lies between the same numbers. */
#include "config.h"

#include "gateway/legacy/change.h"

static bool
cloud_id_behind_host(struct change_record *r)
{
	return change_record_move(r, NORMAL_CLOUD_RESOURCE_ID, NORMAL_hostId);
}

static const struct change changes[] = {
    {
	.name = "control-category",
	.from = "2.0",
	.to = "1.0",
	.description = "A posture has its control's category and subcategory.",
	.drops = {CHANGE_MEMBER(category), CHANGE_MEMBER(subCategory)},
    },
    {
	.name = "user-defined-attributes",
	.from = "2.0",
	.to = "1.0",
	.description = "A posture has the user-defined attributes of its control.",
	.drops = {CHANGE_MEMBER(userDefinedAttributesList)},
    },
    {
	.name = "extended-evidence",
	.from = "2.0",
	.to = "1.0",
	.description = "Evidence has its date, and what else was found on the host.",
	.drops = {CHANGE_INSIDE(evidence, "lastUpdated"),
	    CHANGE_INSIDE(evidence, "extendedEvidence")},
    },
    {
	.name = "inactive-controls",
	.from = "2.0",
	.to = "1.0",
	.description = "Inactive controls can be left out.",
	.parameters = {{API_POSTURE_INFO, "excludeInactiveControl"}},
    },
    {
	.name = "cloud-resource-id-last",
	.from = "2.0",
	.to = "1.0",
	.description = "CLOUD_RESOURCE_ID is the last member; before, it stood behind hostId.",
	.rewrites = {CHANGE_MEMBER(CLOUD_RESOURCE_ID)},
	.rewrite = cloud_id_behind_host,
    },
    {
	.name = "policy-tags",
	.from = "2.0",
	.to = "1.0",
	.description = "The policy list can tell the tags of each policy.",
	.parameters = {{API_POLICY_LIST, "requireTagInfo"}},
    },
};

const struct change_list changes_2_1 = {changes, ARRAY_LEN(changes)};
