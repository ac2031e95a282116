/* What 3.0 brought. */
#include "config.h"

#include "gateway/legacy/change.h"

static const struct change changes[] = {
    {
	.name = "pc-assets-only",
	.from = "3.0",
	.to = "2.0",
	.description = "Postures of PC assets only; before, of SCA assets too.",
	.semantic = true,
    },
    {
	.name = "cloud-metadata",
	.from = "3.0",
	.to = "2.0",
	.description = "A posture can carry what the cloud says of its asset.",
	.parameters = {{API_POSTURE_INFO, "cloudMetaDataRequired"}},
	.drops = {CHANGE_MEMBER(cloudMetaData)},
    },
    {
	.name = "control-description",
	.from = "3.0",
	.to = "2.0",
	.description = "Evidence has the description of its control.",
	.drops = {CHANGE_INSIDE(evidence, "description")},
    },
    {
	.name = "filters-by-verdict",
	.from = "3.0",
	.to = "2.0",
	.description = "Postures can be filtered by status, previous status and criticality.",
	.parameters = {{API_POSTURE_INFO, "status"}, {API_POSTURE_INFO, "previousStatus"},
	    {API_POSTURE_INFO, "criticalityValues"}, {API_POSTURE_INFO, "criticalityLabels"}},
    },
    {
	.name = "hosts-by-change",
	.from = "3.0",
	.to = "2.0",
	.description = "Hosts can be resolved by when a posture of theirs has changed.",
	.parameters = {{API_HOSTIDS, "statusChangedSince"}},
    },
    {
	.name = "any-number-of-policies",
	.from = "3.0",
	.to = "2.0",
	.description = "Hosts are resolved for any number of policies, or for all if none is "
		       "named; before, for one to ten.",
    },
};

const struct change_list changes_3_2 = {changes, ARRAY_LEN(changes)};
