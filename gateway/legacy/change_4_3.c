/* What 4.0 brought. */
#include "config.h"

#include "gateway/fetch/normalise_cloud.h"
#include "gateway/legacy/change.h"

static bool
text_from_object(const char *value, size_t len, struct buf *out)
{
	return *value == '{' && cloud_text_write(value, len, out);
}

static bool
cloud_as_text(struct change_record *r)
{
	return change_record_turn_inside(
	    r, NORMAL_cloudMetaData, "cloudResourceMetadata", text_from_object);
}

static const struct change changes[] = {
    {
	.name = "cloud-metadata-text",
	.from = "4.0",
	.to = "3.0",
	.description = "cloudResourceMetadata is an object; before, a text such as "
		       "{'Zone':'null', 'State':'RUNNING'}.",
	.rewrites = {CHANGE_INSIDE(cloudMetaData, "cloudResourceMetadata")},
	.rewrite = cloud_as_text,
    },
};

const struct change_list changes_4_3 = {changes, ARRAY_LEN(changes)};
