/* Records in the shape of each version: whole ones to the byte, then records made at random against
 * a model of the documents. */
#include "config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/limits.h"
#include "gateway/legacy/shape.h"
#include "tests/unit/unit.h"

static const char *const versions[] = {"5.0", "4.0", "3.0", "2.0", "1.0"};

/* --- running it */

static struct buf text, body, memo, out;
static struct shape_writer writer;
static uint32_t changes;

static void
setup(void)
{
	buf_init(&text, 64 * MIB);
	buf_init(&body, 64 * MIB);
	buf_init(&memo, UINT16_MAX);
	buf_init(&out, 64 * MIB);
	shape_writer_init(&writer);
}

static void
teardown(void)
{
	buf_fini(&text);
	buf_fini(&body);
	buf_fini(&memo);
	buf_fini(&out);
	shape_writer_fini(&writer);
}

static enum status
there(void *ctx, const struct split_record *rec)
{
	struct row row;
	(void)ctx;
	ck_status(normalise(rec, &body, &memo, &row), STATUS_OK);
	return STATUS_OK;
}

/* Stores the record. */
static void
store(const char *record, size_t len)
{
	struct split *s = split_new(there, NULL);
	const char *const parts[] = {"[", record, "]"};
	const size_t lens[] = {1, len, 1};
	buf_reset(&body);
	buf_reset(&memo);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		for (size_t at = 0, room, n; at < lens[i]; at += n) {
			uint8_t *window = split_window(s, &room);
			ck_assert_ptr_nonnull(window);
			n = lens[i] - at < room ? lens[i] - at : room;
			memcpy(window, parts[i] + at, n);
			ck_status(split_advance(s, n), STATUS_OK);
		}
	split_free(s);
}

static struct shape_view
all_of(const char *version)
{
	return (struct shape_view){
	    .shape = shape_find(version, strlen(version)),
	    .evidence = EVIDENCE_EXTENDED,
	    .cloud = true,
	    .qds = true,
	};
}

static enum status
write_view(const struct shape_view *v)
{
	buf_reset(&out);
	changes = 0;
	return shape_write(
	    &writer, v, body.data, body.len, (uint8_t *)memo.data, memo.len, &out, &changes);
}

static void
expect_view(const struct shape_view *v, const char *want)
{
	ck_status(write_view(v), STATUS_OK);
	ck_assert_str_eq(buf_str(&out), want);
}

/* {"id":1,IN} is {"id":1,WANT} in that version. */
static void
expect_member(const char *version, const char *in, const char *want)
{
	struct shape_view v = all_of(version);
	struct buf wanted;
	buf_reset(&text);
	buf_printf(&text, "{\"id\":1,%s}", in);
	store(text.data, text.len);
	buf_init(&wanted, 64 * KIB);
	buf_printf(&wanted, *want != '\0' ? "{\"id\":1,%s}" : "{\"id\":1%s}", want);
	expect_view(&v, buf_str(&wanted));
	buf_fini(&wanted);
}

static bool
had_effect(const char *name)
{
	for (size_t i = 0; i < change_count(); i++)
		if (strcmp(change_get(i)->name, name) == 0)
			return (changes >> i & 1) != 0;
	ck_abort_msg("there is no change %s", name);
}

/* --- a whole record, in pieces */

#define BEGIN                                                                                      \
	"{\"id\":23006235045,\"instance\":\"os\",\"policyId\":1438,\"policyTitle\":\"Baseline\","  \
	"\"netBios\":\"HOST-7\",\"controlId\":1131,\"controlStatement\":\"Status of the "          \
	"'tftp' service\",\"rationale\":\"It sends in clear.\",\"remediation\":\"Take it out of "  \
	"\\\"inetd\\\".\\n\""
#define CATEGORY ",\"category\":\"Services\",\"subCategory\":\"Guidelines\""
#define TO_HOST                                                                                    \
	",\"controlReference\":null,\"technologyId\":346,\"status\":\"Passed*\","                  \
	"\"previousStatus\":\"Error\",\"firstFailDate\":\"\",\"lastFailDate\":\"\","               \
	"\"firstPassDate\":\"2024-10-04T09:47:33Z\",\"lastPassDate\":\"2024-10-04T09:47:33Z\","    \
	"\"postureModifiedDate\":\"2024-10-04T09:47:33Z\",\"lastEvaluatedDate\":"                  \
	"\"2024-10-04T09:47:33Z\",\"created\":\"2024-11-12T06:20:49Z\",\"hostId\":\"4980343\""
#define FROM_IP                                                                                    \
	",\"ip\":\"192.0.2.84\",\"trackingMethod\":\"AGENT\",\"os\":\"Debian Linux "               \
	"11.1\",\"osCpe\":null,\"domainName\":\"h7.example\",\"dns\":\"h7.example\",\"qgHostid\":" \
	"\"4bd9e81e\",\"networkId\":0,\"networkName\":\"Global\",\"complianceLastScanDate\":"      \
	"\"2024-10-04T09:39:21Z\",\"customerUuid\":\"93f7ad53\",\"customerId\":\"13378\","         \
	"\"assetId\":42078290,\"technology\":{\"id\":346,\"name\":\"Debian GNU/Linux 11.x\"},"     \
	"\"criticality\":{\"label\":\"SERIOUS\",\"value\":3}"
#define FOUR                                                                                       \
	"\"expectedValues\":\"\\nDisabled (0)\\n------ OR "                                        \
	"------\\n},{\",\"currentValues\":[\"File not found\"],\"actualValues\":null,"             \
	"\"directoryFimUdc\":null"
#define EXTENDED ",\"lastUpdated\":\"\",\"extendedEvidence\":\"Row 1:File,Value\\nRow 2:,\""
#define DESCRIPTION ",\"description\":\"Whether it is on.\""
#define EVIDENCE(inside) ",\"evidence\":" inside ",\"causeOfFailure\":null"
#define ATTRIBUTES ",\"userDefinedAttributesList\":null"
#define BATCH                                                                                      \
	",\"currentDataSizeKB\":\"2.98\",\"totalDataSizeKB\":\"27.09\",\"currentBatch\":8,"        \
	"\"totalBatches\":12"
#define QDS ",\"qds\":56"
#define CLOUD(metadata)                                                                            \
	",\"cloudMetaData\":{\"cloudProvider\":\"GCP\",\"cloudImageId\":null,"                     \
	"\"cloudResourceMetadata\":" metadata "}"
#define OBJECT "{\"publicIpAddress\":\"192.0.2.84\",\"zone\":null,\"subnetId\":\"s-1\"}"
#define TEXT "\"{'Public IP Address':'192.0.2.84', 'Zone':'null', 'Subnet Id':'s-1'}\""
#define CLOUD_ID ",\"CLOUD_RESOURCE_ID\":\"2182777\""
#define UNKNOWN ",\"novelty\":[1.50, {\"id\":\"1\"}]"

static const char in_5[] =
    BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE("{" FOUR EXTENDED DESCRIPTION "}") ATTRIBUTES BATCH QDS
    CLOUD(OBJECT)
CLOUD_ID UNKNOWN "}";

/* In the order of `versions`. */
static const char *const whole[] = {
    in_5,
    BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE("{" FOUR EXTENDED DESCRIPTION "}")
	ATTRIBUTES BATCH CLOUD(OBJECT) CLOUD_ID "}",
    BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE("{" FOUR EXTENDED DESCRIPTION "}")
	ATTRIBUTES BATCH CLOUD(TEXT) CLOUD_ID "}",
    BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE("{" FOUR EXTENDED "}") ATTRIBUTES BATCH CLOUD_ID "}",
    BEGIN TO_HOST CLOUD_ID FROM_IP EVIDENCE("{" FOUR "}") BATCH "}",
};

START_TEST(gives_a_whole_record_the_shape_of_each_version)
{
	store(in_5, strlen(in_5));
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct shape_view v = all_of(versions[i]);
		expect_view(&v, whole[i]);
	}
}
END_TEST

START_TEST(knows_five_versions_by_their_whole_name)
{
	static const char *const others[] = {"", "5", "5.", "5.00", "6.0", "0.0", "1.1", "5.0/"};
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		ck_assert_str_eq(shape_find(versions[i], 3)->version, versions[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ck_assert_ptr_null(shape_find(others[i], strlen(others[i])));
	ck_assert_ptr_nonnull(shape_find("5.0/posture", 3));
}
END_TEST

/* --- the changes */

START_TEST(leads_from_each_version_to_the_next_by_named_changes)
{
	size_t pair = 0;
	ck_assert_uint_gt(change_count(), 0);
	ck_assert_uint_le(change_count(), CHANGE_MOST);
	ck_assert_ptr_null(change_get(change_count()));
	for (size_t i = 0; i < change_count(); i++) {
		const struct change *c = change_get(i);
		while (pair + 1 < ARRAY_LEN(versions) && strcmp(c->from, versions[pair]) != 0)
			pair++;
		ck_assert_str_eq(c->from, versions[pair]);
		ck_assert_str_eq(c->to, versions[pair + 1]);
		size_t len = strlen(c->description);
		ck_assert_int_eq(c->description[len - 1], '.');
		ck_assert_int_eq(c->rewrites[0].name != NULL, c->rewrite != NULL);
		ck_assert(!c->semantic || (c->drops[0].name == NULL && c->rewrite == NULL));
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(c->name, change_get(k)->name);
	}
	ck_assert_uint_eq(pair + 2, ARRAY_LEN(versions));
}
END_TEST

START_TEST(tells_which_changes_had_effect)
{
	struct shape_view v = all_of("1.0");
	store(in_5, strlen(in_5));
	ck_status(write_view(&v), STATUS_OK);
	for (size_t i = 0; i < change_count(); i++) {
		const struct change *c = change_get(i);
		bool has_record_part = c->drops[0].name != NULL || c->rewrite != NULL;
		/* of this record the upstream sent an object already */
		bool want = has_record_part && strcmp(c->name, "cloud-metadata-object") != 0;
		ck_assert_msg(had_effect(c->name) == want, "%s", c->name);
	}
	expect_member("1.0", "\"os\":\"x\",\"evidence\":null", "\"os\":\"x\",\"evidence\":null");
	ck_assert_uint_eq(changes, 0);
	expect_member("4.0", "\"os\":\"x\",\"qds\":null", "\"os\":\"x\"");
	ck_assert_uint_eq(changes, 1);
	ck_assert(had_effect("qds"));
	expect_member("5.0", "\"os\":\"x\",\"qds\":null", "\"os\":\"x\",\"qds\":null");
	ck_assert_uint_eq(changes, 0);
	expect_member("4.0", "\"category\":null,\"os\":\"x\"", "\"category\":null,\"os\":\"x\"");
	ck_assert_uint_eq(changes, 0);
}
END_TEST

START_TEST(adds_to_the_changes_of_the_records_before)
{
	struct shape_view v = all_of("4.0");
	store("{\"id\":1,\"qds\":1}", 16);
	ck_status(write_view(&v), STATUS_OK);
	uint32_t both = changes;
	store("{\"id\":1,\"new\":1}", 16);
	ck_status(shape_write(&writer, &v, body.data, body.len, (uint8_t *)memo.data, memo.len,
		      &out, &both),
	    STATUS_OK);
	ck_assert_str_eq(buf_str(&out), "{\"id\":1}{\"id\":1}");
	changes = both;
	ck_assert(had_effect("qds"));
	ck_assert(had_effect("documented-members"));
}
END_TEST

static bool
is_listed(const struct change_member *list, const char *name, const char *inside)
{
	for (const struct change_member *m = list; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0 &&
		    (inside == NULL ? m->inside == NULL
				    : m->inside != NULL && strcmp(m->inside, inside) == 0))
			return true;
	return false;
}

/* Whether some change of that pair says that it drops the member. */
static bool
is_dropped(const char *from, const char *name, const char *inside)
{
	for (size_t i = 0; i < change_count(); i++)
		if (strcmp(change_get(i)->from, from) == 0 &&
		    is_listed(change_get(i)->drops, name, inside))
			return true;
	return false;
}

static json_t *
parse(const char *record)
{
	json_error_t error;
	json_t *json = json_loads(record, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
	ck_assert_msg(json != NULL, "%s: %s", error.text, record);
	return json;
}

/* Every member of `newer` is in `older` too, or dropped by a change that names it. */
static void
expect_named(json_t *newer, json_t *older, const char *from, const char *outside)
{
	const char *name;
	json_t *value;
	json_object_foreach(newer, name, value)
	{
		const char *what = outside != NULL ? outside : name;
		const char *inside = outside != NULL ? name : NULL;
		if (strcmp(name, "novelty") == 0)
			what = "*";
		bool gone = json_object_get(older, name) == NULL;
		ck_assert_msg(gone == is_dropped(from, what, inside), "%s of %s", name, from);
		if (outside == NULL && !gone && json_is_object(value))
			expect_named(value, json_object_get(older, name), from, name);
	}
	json_object_foreach(older, name, value)
	{
		ck_assert_msg(json_object_get(newer, name) != NULL, "%s in %s", name, from);
	}
}

START_TEST(drops_what_the_changes_name_and_nothing_else)
{
	for (size_t i = 0; i + 1 < ARRAY_LEN(versions); i++) {
		json_t *newer = parse(whole[i]), *older = parse(whole[i + 1]);
		expect_named(newer, older, versions[i], NULL);
		json_decref(newer);
		json_decref(older);
	}
}
END_TEST

/* --- what was not asked for */

START_TEST(leaves_out_what_was_not_asked_for)
{
	struct shape_view v = all_of("5.0");
	store(in_5, strlen(in_5));
	v.evidence = EVIDENCE_NONE;
	v.cloud = v.qds = false;
	expect_view(&v,
	    BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE("null") ATTRIBUTES BATCH CLOUD_ID UNKNOWN "}");
	ck_assert_uint_eq(changes, 0);
	v.shape = shape_find("1.0", 3);
	expect_view(&v, BEGIN TO_HOST CLOUD_ID FROM_IP EVIDENCE("null") BATCH "}");
	ck_assert(!had_effect("qds"));
	ck_assert(!had_effect("cloud-metadata"));
	ck_assert(!had_effect("extended-evidence"));

	v = all_of("5.0");
	v.evidence = EVIDENCE_BASIC;
	v.qds = false;
	expect_view(&v, BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE(
			    "{" FOUR ",\"lastUpdated\":\"\",\"extendedEvidence\":null}")
			    ATTRIBUTES BATCH CLOUD(OBJECT) CLOUD_ID UNKNOWN "}");
	v.qds = true;
	v.cloud = false;
	v.evidence = EVIDENCE_EXTENDED;
	expect_view(&v, BEGIN CATEGORY TO_HOST FROM_IP EVIDENCE("{" FOUR EXTENDED DESCRIPTION "}")
			    ATTRIBUTES BATCH QDS CLOUD_ID UNKNOWN "}");
}
END_TEST

START_TEST(leaves_absent_what_was_absent)
{
	struct shape_view v = all_of("2.0");
	store("{\"id\":1,\"hostId\":2}", 19);
	v.evidence = EVIDENCE_NONE;
	v.hide_evidence = true;
	expect_view(&v, "{\"id\":1,\"hostId\":2}");
}
END_TEST

START_TEST(shows_evidence_and_cause_as_null_where_they_are_hidden)
{
	struct shape_view v = all_of("5.0");
	static const char in[] =
	    "{\"id\":1,\"evidence\":{\"expectedValues\":\"x\",\"lastUpdated\":\"\"},"
	    "\"causeOfFailure\":{\"missing\":null},\"qds\":1}";
	store(in, strlen(in));
	v.hide_evidence = true;
	expect_view(&v, "{\"id\":1,\"evidence\":null,\"causeOfFailure\":null,\"qds\":1}");
	v.evidence = EVIDENCE_NONE;
	v.shape = shape_find("1.0", 3);
	expect_view(&v, "{\"id\":1,\"evidence\":null,\"causeOfFailure\":null}");
}
END_TEST

/* --- single members */

START_TEST(brings_spellings_back_in_every_version)
{
	static const char *const members[] = {"\"policyId\":\"12\"", "\"status\":\"Passed*\"",
	    "\"status\":\"passed\"", "\"previousStatus\":\"Waived\"", "\"created\":\"\"",
	    "\"created\":null", "\"networkId\":\"0\"", "\"customerId\":123",
	    "\"technology\":{\"id\":\"81\",\"name\":\"x\"}",
	    "\"criticality\":{\"label\":\"urg_updated\",\"value\":\"5\"}",
	    "\"currentDataSizeKB\":\"2.40\",\"currentBatch\":7", "\"totalBatches\":\"3\"",
	    "\"controlId\":\"CID-001\"", "\"evidence\":\"a text\"", "\"evidence\":[]",
	    "\"evidence\":{}", "\"os\":\"\\u00e9\\/\"", "\"assetId\":1e3"};
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		for (size_t k = 0; k < ARRAY_LEN(versions); k++)
			expect_member(versions[k], members[i], members[i]);
}
END_TEST

START_TEST(writes_documented_names_in_older_versions)
{
	static const char posture[] = "{\"postureId\":5,\"os\":\"x\"}";
	struct shape_view v = all_of("5.0");
	store(posture, strlen(posture));
	expect_view(&v, posture);
	v = all_of("4.0");
	expect_view(&v, "{\"id\":5,\"os\":\"x\"}");
	ck_assert(had_effect("documented-members"));
	expect_member("5.0", "\"cloudResourceId\":\"i\"", "\"cloudResourceId\":\"i\"");
	expect_member("3.0", "\"cloudResourceId\":\"i\"", "\"CLOUD_RESOURCE_ID\":\"i\"");
	expect_member("3.0", "\"o\\u0073\":\"x\"", "\"os\":\"x\"");
	expect_member("4.0", "\"CLOUD_RESOURCE_ID\":\"i\",\"cloudResourceId\":\"k\"",
	    "\"CLOUD_RESOURCE_ID\":\"i\"");
	expect_member("5.0", "\"exception\":1,\"upstream_exception\":2",
	    "\"exception\":1,\"upstream_exception\":2");
	expect_member("4.0", "\"exception\":1,\"upstream_exception\":2", "");
}
END_TEST

START_TEST(moves_the_cloud_resource_id_behind_the_host_in_1_0)
{
	expect_member("1.0", "\"hostId\":2,\"ip\":\"x\",\"CLOUD_RESOURCE_ID\":null",
	    "\"hostId\":2,\"CLOUD_RESOURCE_ID\":null,\"ip\":\"x\"");
	ck_assert(had_effect("cloud-resource-id-last"));
	expect_member(
	    "1.0", "\"ip\":\"x\",\"CLOUD_RESOURCE_ID\":1", "\"ip\":\"x\",\"CLOUD_RESOURCE_ID\":1");
	expect_member(
	    "1.0", "\"hostId\":2,\"CLOUD_RESOURCE_ID\":1", "\"hostId\":2,\"CLOUD_RESOURCE_ID\":1");
	ck_assert(!had_effect("cloud-resource-id-last"));
	expect_member("1.0", "\"hostId\":2,\"ip\":\"x\"", "\"hostId\":2,\"ip\":\"x\"");
	expect_member("2.0", "\"hostId\":2,\"ip\":\"x\",\"CLOUD_RESOURCE_ID\":null",
	    "\"hostId\":2,\"ip\":\"x\",\"CLOUD_RESOURCE_ID\":null");
}
END_TEST

START_TEST(takes_members_out_of_evidence_however_it_is_written)
{
	expect_member("2.0", "\"evidence\":{\"description\":\"x\"}", "\"evidence\":{}");
	expect_member("2.0", "\"evidence\":{ \"description\" : \"},{\" , \"a\" : [ 1 ] }",
	    "\"evidence\":{\"a\" : [ 1 ]}");
	expect_member("2.0", "\"evidence\":{\"a\":1,\"descri\\u0070tion\":1,\"description\":2}",
	    "\"evidence\":{\"a\":1}");
	expect_member("2.0", "\"evidence\":{\"a\":{\"description\":1}, \"b\":2}",
	    "\"evidence\":{\"a\":{\"description\":1}, \"b\":2}");
	ck_assert(!had_effect("control-description"));
	expect_member("1.0",
	    "\"evidence\":{\"extendedEvidence\":null,\"description\":null,\"lastUpdated\":\"\"}",
	    "\"evidence\":{}");
}
END_TEST

/* What the upstream sends as cloudResourceMetadata, and what it is in 4.0 and 3.0. */
static const struct cloud {
	const char *in_5, *in_4, *in_3;
} clouds[] = {
    {"{\"zone\":null,\"macAddress\":\"m\"}", "{\"zone\":null,\"macAddress\":\"m\"}",
	"\"{'Zone':'null', 'MAC Address':'m'}\""},
    {"\"{'Zone':'null','MAC Address':'m'}\"", "{\"zone\":null,\"macAddress\":\"m\"}",
	"\"{'Zone':'null', 'MAC Address':'m'}\""},
    {"{\"projectId\":\"p\\\"q\"}", "{\"projectId\":\"p\\\"q\"}", "\"{'ProjectId':'p\\\"q'}\""},
    {"{\"\\u00C9tat\":\"x\"}", "{\"\\u00C9tat\":\"x\"}", "\"{'\\u00C9tat':'x'}\""},
    {"{}", "{}", "\"{}\""},
    {"\"{}\"", "{}", "\"{}\""},
    {"\"odd\"", "\"odd\"", "\"odd\""},
    {"\"{'Zone':None}\"", "\"{'Zone':None}\"", "\"{'Zone':None}\""},
    {"{\"port\":5}", "{\"port\":5}", "{\"port\":5}"},
    {"null", "null", "null"},
};

START_TEST(shows_cloud_metadata_as_object_or_text)
{
	char in[160], want[160];
	for (size_t i = 0; i < ARRAY_LEN(clouds); i++) {
		const char *const wanted[] = {
		    clouds[i].in_5, clouds[i].in_4, clouds[i].in_3, NULL, NULL};
		for (size_t k = 0; k < ARRAY_LEN(versions); k++) {
			snprintf(in, sizeof in,
			    "\"cloudMetaData\":{\"a\":1, \"cloudResourceMetadata\":%s ,\"b\":2}",
			    clouds[i].in_5);
			*want = '\0';
			if (wanted[k] != NULL)
				snprintf(want, sizeof want,
				    "\"cloudMetaData\":{\"a\":1, \"cloudResourceMetadata\":%s "
				    ",\"b\":2}",
				    wanted[k]);
			expect_member(versions[k], in, want);
			json_decref(parse(buf_str(&out)));
		}
	}
	expect_member("3.0", "\"cloudMetaData\":null", "\"cloudMetaData\":null");
	expect_member("2.0", "\"cloudMetaData\":null", "");
}
END_TEST

/* --- the documents as a model: which members each version has, in which order */

static const char *const newest[] = {"id", "instance", "policyId", "policyTitle", "netBios",
    "controlId", "controlStatement", "rationale", "remediation", "category", "subCategory",
    "controlReference", "technologyId", "status", "previousStatus", "firstFailDate", "lastFailDate",
    "firstPassDate", "lastPassDate", "postureModifiedDate", "lastEvaluatedDate", "created",
    "hostId", "ip", "trackingMethod", "os", "osCpe", "domainName", "dns", "qgHostid", "networkId",
    "networkName", "complianceLastScanDate", "customerUuid", "customerId", "assetId", "technology",
    "criticality", "evidence", "causeOfFailure", "userDefinedAttributesList", "currentDataSizeKB",
    "totalDataSizeKB", "currentBatch", "totalBatches", "qds", "cloudMetaData", "CLOUD_RESOURCE_ID"};

static const char *const oldest[] = {"id", "instance", "policyId", "policyTitle", "netBios",
    "controlId", "controlStatement", "rationale", "remediation", "controlReference", "technologyId",
    "status", "previousStatus", "firstFailDate", "lastFailDate", "firstPassDate", "lastPassDate",
    "postureModifiedDate", "lastEvaluatedDate", "created", "hostId", "CLOUD_RESOURCE_ID", "ip",
    "trackingMethod", "os", "osCpe", "domainName", "dns", "qgHostid", "networkId", "networkName",
    "complianceLastScanDate", "customerUuid", "customerId", "assetId", "technology", "criticality",
    "evidence", "causeOfFailure", "currentDataSizeKB", "totalDataSizeKB", "currentBatch",
    "totalBatches"};

/* without the host there is no place for it but the last */
static bool
model_moves(json_t *record)
{
	return json_object_get(record, "hostId") != NULL;
}

static json_t *
model_cloud(json_t *cloud, size_t version)
{
	json_t *meta = json_object_get(cloud, "cloudResourceMetadata");
	json_t *copy = json_is_object(cloud) ? json_copy(cloud) : json_incref(cloud);
	for (size_t i = 0; meta != NULL && i < ARRAY_LEN(clouds); i++) {
		json_error_t error;
		json_t *in =
		    json_loads(clouds[i].in_5, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
		if (json_equal(in, meta))
			json_object_set_new(copy, "cloudResourceMetadata",
			    json_loads(version == 1 ? clouds[i].in_4 : clouds[i].in_3,
				JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error));
		json_decref(in);
	}
	return copy;
}

static json_t *
model_evidence(json_t *evidence, const struct shape_view *v, size_t version)
{
	if (v->hide_evidence || v->evidence == EVIDENCE_NONE)
		return json_null();
	if (!json_is_object(evidence))
		return json_incref(evidence);
	json_t *copy = json_copy(evidence);
	if (v->evidence == EVIDENCE_BASIC && json_object_get(copy, "extendedEvidence") != NULL)
		json_object_set_new(copy, "extendedEvidence", json_null());
	if (version >= 4)
		json_object_del(copy, "extendedEvidence");
	if (v->evidence == EVIDENCE_BASIC || version >= 3)
		json_object_del(copy, "description");
	if (version >= 4)
		json_object_del(copy, "lastUpdated");
	return copy;
}

static json_t *
model_value(
    const char *name, json_t *record, json_t *value, const struct shape_view *v, size_t version)
{
	if (value == NULL && strcmp(name, "id") == 0)
		return json_incref(json_object_get(record, "postureId"));
	if (value == NULL && strcmp(name, "CLOUD_RESOURCE_ID") == 0)
		return json_incref(json_object_get(record, "cloudResourceId"));
	if (value == NULL)
		return NULL;
	if (strcmp(name, "evidence") == 0)
		return model_evidence(value, v, version);
	if (strcmp(name, "causeOfFailure") == 0 && v->hide_evidence)
		return json_null();
	if (strcmp(name, "qds") == 0)
		return v->qds && version == 0 ? json_incref(value) : NULL;
	if (strcmp(name, "cloudMetaData") == 0 && (!v->cloud || version >= 3))
		return NULL;
	if (strcmp(name, "cloudMetaData") == 0 && version > 0)
		return model_cloud(value, version);
	return json_incref(value);
}

static json_t *
model(json_t *record, const struct shape_view *v, size_t version)
{
	json_t *made = json_object();
	const char *const *names = version == 4 ? oldest : newest;
	size_t count = version == 4 ? ARRAY_LEN(oldest) : ARRAY_LEN(newest);
	json_t *late = NULL;
	if (version == 0) {
		const char *name;
		json_t *value;
		json_object_foreach(record, name, value)
		{
			json_t *shown = model_value(name, record, value, v, 0);
			if (shown != NULL)
				json_object_set_new(made, name, shown);
		}
		return made;
	}
	for (size_t i = 0; i < count; i++) {
		json_t *value =
		    model_value(names[i], record, json_object_get(record, names[i]), v, version);
		if (value == NULL)
			continue;
		if (version == 4 && strcmp(names[i], "CLOUD_RESOURCE_ID") == 0 &&
		    !model_moves(record))
			late = value;
		else
			json_object_set_new(made, names[i], value);
	}
	if (late != NULL)
		json_object_set_new(made, "CLOUD_RESOURCE_ID", late);
	return made;
}

/* --- records made at random */

static const char *const values[] = {"null", "\"\"", "0", "5", "\"5\"", "123", "\"123\"", "-3",
    "1.50", "true", "[]", "[ 1 , 2 ]", "{}", "{\"id\":\"7\",\"name\":\"x\"}", "{\"value\":\"3\"}",
    "{\"value\":\"4\",\"value\":\"9\"}", "\"Passed\"", "\"passed\"", "\"Passed*\"", "\"Failed\"",
    "\"Er\\u0072or\"", "\"2026-11-22T10:00:00Z\"", "\"text \\\"with\\\" \\\\ escapes},{\"",
    "\"2.41\"", "\"7.5\"", "9223372036854775808"};

static const char *const inner[] = {"expectedValues", "currentValues", "lastUpdated",
    "extendedEvidence", "description", "novel", "descri\\u0070tion"};

static void
add_evidence(struct unit_random *r)
{
	size_t keep_in_4 = unit_below(r, 5);
	bool spaced = unit_below(r, 4) == 0;
	buf_str_add(&text, spaced ? "{ " : "{");
	for (size_t i = 0, n = 0; i < ARRAY_LEN(inner); i++) {
		if (unit_below(r, 4) >= keep_in_4 || (i == 6 && unit_below(r, 9) != 0))
			continue;
		buf_printf(&text, "%s\"%s\"%s:%s", n++ > 0 ? "," : "", inner[i], spaced ? " " : "",
		    values[unit_below(r, ARRAY_LEN(values))]);
	}
	buf_str_add(&text, "}");
}

static void
add_value(const char *name, struct unit_random *r)
{
	bool leaves = strstr(name, "DataSizeKB") != NULL || strstr(name, "Batch") != NULL;
	if (strcmp(name, "evidence") == 0 && unit_below(r, 4) != 0)
		add_evidence(r);
	else if (strcmp(name, "cloudMetaData") == 0 && unit_below(r, 4) != 0)
		buf_printf(&text, "{\"cloudProvider\":\"GCP\",\"cloudResourceMetadata\":%s}",
		    clouds[unit_below(r, ARRAY_LEN(clouds))].in_5);
	else if (leaves)
		buf_str_add(&text, values[unit_below(r, 8)]);
	else
		buf_str_add(&text, values[unit_below(r, ARRAY_LEN(values))]);
}

/* A compact record of 5.0, its members in order. */
static void
make_record(struct unit_random *r)
{
	static const char *const unknown[] = {
	    "cloudResourceId", "exception", "novelty", "upstream_other"};
	size_t keep_in_8 = unit_below(r, 9);
	bool cloud_id = false;
	buf_reset(&text);
	buf_printf(&text, "{\"%s\":%zu", unit_below(r, 9) == 0 ? "postureId" : "id",
	    1 + unit_below(r, 1000000));
	for (size_t i = 1; i < ARRAY_LEN(newest); i++) {
		const char *name = newest[i];
		if (unit_below(r, 8) >= keep_in_8)
			continue;
		cloud_id = cloud_id || i == ARRAY_LEN(newest) - 1;
		if (unit_below(r, 40) == 0)
			buf_printf(&text, ",\"\\u%04x%s\":", (unsigned)name[0], name + 1);
		else
			buf_printf(&text, ",\"%s\":", name);
		add_value(name, r);
	}
	/* in place of the other, or as a member that nobody knows */
	for (size_t i = cloud_id || unit_below(r, 2) != 0 ? 1 : 0; i < ARRAY_LEN(unknown); i++)
		if (unit_below(r, 4) == 0) {
			buf_printf(&text, ",\"%s\":", unknown[i]);
			add_value("", r);
		}
	buf_byte(&text, '}');
}

static bool
same_order(json_t *a, json_t *b)
{
	void *x = json_object_iter(a), *y = json_object_iter(b);
	for (; x != NULL && y != NULL; x = json_object_iter_next(a, x)) {
		json_t *p = json_object_iter_value(x), *q = json_object_iter_value(y);
		if (strcmp(json_object_iter_key(x), json_object_iter_key(y)) != 0 ||
		    (json_is_object(p) && !same_order(p, q)))
			return false;
		y = json_object_iter_next(b, y);
	}
	return x == y;
}

START_TEST(agrees_with_the_documents_on_any_record)
{
	uint64_t seed = unit_seed(11);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 8000; round++) {
		size_t version = unit_below(&r, ARRAY_LEN(versions));
		make_record(&r);
		store(text.data, text.len);
		struct shape_view v = all_of(versions[version]);
		v.evidence = (enum query_evidence)unit_below(&r, 3);
		v.cloud = unit_below(&r, 4) != 0;
		v.qds = unit_below(&r, 4) != 0;
		v.hide_evidence = unit_below(&r, 8) == 0;
		ck_status(write_view(&v), STATUS_OK);
		json_t *record = parse(buf_str(&text)), *got = parse(buf_str(&out));
		json_t *want = model(record, &v, version);
		if (!json_equal(got, want) || !same_order(got, want))
			ck_abort_msg("%s\nis in %s\n%s\nnot\n%s", buf_str(&text), versions[version],
			    buf_str(&out), json_dumps(want, JSON_COMPACT));
		json_decref(record);
		json_decref(got);
		json_decref(want);
	}
}
END_TEST

START_TEST(gives_5_0_back_to_the_byte)
{
	uint64_t seed = unit_seed(12);
	struct unit_random r = {seed};
	struct shape_view v = all_of("5.0");
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 8000; round++) {
		make_record(&r);
		store(text.data, text.len);
		expect_view(&v, buf_str(&text));
		ck_assert_uint_eq(changes, 0);
	}
}
END_TEST

/* --- damage and limits */

START_TEST(tells_a_record_that_does_not_fit_its_memo)
{
	static const char *const memos[] = {"\x41", "\x7d", "\x82", "\x82\x05"};
	struct shape_view v = all_of("1.0");
	store(in_5, strlen(in_5));
	buf_str_add(&out, "[");
	for (size_t i = 0; i < ARRAY_LEN(memos); i++) {
		ck_status(shape_write(&writer, &v, body.data, body.len, (const uint8_t *)memos[i],
			      strlen(memos[i]), &out, &changes),
		    STATUS_CORRUPT);
		ck_assert_str_eq(buf_str(&out), "[");
	}
	for (size_t len = 0; len < body.len; len++) {
		/* of exactly this size, so that a sanitizer sees what is read beyond */
		char *copy = malloc(len > 0 ? len : 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, body.data, len);
		ck_status(shape_write(&writer, &v, copy, len, (uint8_t *)memo.data, memo.len, &out,
			      &changes),
		    STATUS_CORRUPT);
		free(copy);
	}
	ck_assert_str_eq(buf_str(&out), "[");
	ck_assert_uint_eq(changes, 0);
	expect_view(&v, whole[4]);
}
END_TEST

START_TEST(tells_evidence_that_is_no_object)
{
	struct shape_view v = all_of("2.0");
	static const char in[] = "{\"id\":1,\"evidence\":{\"description\":1,\"a\":{}}}";
	store(in, strlen(in));
	char *at = strstr(buf_str(&body), "\"a\"");
	at[3] = ' ';
	ck_status(write_view(&v), STATUS_CORRUPT);
	at[3] = ':';
	expect_view(&v, "{\"id\":1,\"evidence\":{\"a\":{}}}");
}
END_TEST

START_TEST(survives_any_damage)
{
	uint64_t seed = unit_seed(13);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 8000; round++) {
		struct shape_view v = all_of(versions[unit_below(&r, ARRAY_LEN(versions))]);
		v.evidence = (enum query_evidence)unit_below(&r, 3);
		make_record(&r);
		store(text.data, text.len);
		for (size_t n = 1 + unit_below(&r, 3); n > 0; n--) {
			struct buf *b = unit_below(&r, 2) == 0 || memo.len == 0 ? &body : &memo;
			b->data[unit_below(&r, b->len)] = unit_below(&r, 2) == 0
							      ? (char)unit_next(&r)
							      : "{}[],:\"\\ n"[unit_below(&r, 10)];
		}
		enum status st = write_view(&v);
		ck_assert(st == STATUS_OK || st == STATUS_CORRUPT);
	}
}
END_TEST

START_TEST(passes_a_full_buffer_on_and_takes_nothing_half)
{
	struct shape_view v = all_of("1.0");
	struct buf small;
	store(in_5, strlen(in_5));
	size_t need = strlen(whole[4]);
	for (size_t max = 1; max <= need; max += need - 1) {
		buf_init(&small, max + 1);
		buf_byte(&small, '[');
		changes = 0;
		enum status st = shape_write(&writer, &v, body.data, body.len, (uint8_t *)memo.data,
		    memo.len, &small, &changes);
		ck_status(st, max < need ? STATUS_OVERFLOW : STATUS_OK);
		ck_assert_uint_eq(small.len, max < need ? 1 : 1 + need);
		ck_assert_int_eq(changes != 0, max == need);
		buf_fini(&small);
	}
}
END_TEST

START_TEST(gives_the_memory_of_a_large_record_back)
{
	struct shape_view v = all_of("1.0");
	buf_reset(&text);
	buf_str_add(&text, "{\"id\":1,\"evidence\":{\"lastUpdated\":\"\",\"description\":\"\","
			   "\"expectedValues\":\"");
	for (size_t i = 0; i < 4 * MIB; i++)
		buf_byte(&text, 'x');
	buf_str_add(&text, "\"}}");
	store(text.data, text.len);
	ck_status(write_view(&v), STATUS_OK);
	ck_assert_uint_gt(out.len, 4 * MIB);
	expect_member("1.0", "\"os\":\"x\"", "\"os\":\"x\"");
	size_t held = writer.record.scratch.cap;
	for (size_t i = 0; i < ARRAY_LEN(writer.record.texts); i++)
		held += writer.record.texts[i].cap;
	ck_assert_uint_le(held, (1 + CHANGE_TEXTS) * CHANGE_KEEP_BYTES);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("shape");
	TCase *tc = tcase_create("shape");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, gives_a_whole_record_the_shape_of_each_version);
	tcase_add_test(tc, knows_five_versions_by_their_whole_name);
	tcase_add_test(tc, leads_from_each_version_to_the_next_by_named_changes);
	tcase_add_test(tc, tells_which_changes_had_effect);
	tcase_add_test(tc, adds_to_the_changes_of_the_records_before);
	tcase_add_test(tc, drops_what_the_changes_name_and_nothing_else);
	tcase_add_test(tc, leaves_out_what_was_not_asked_for);
	tcase_add_test(tc, leaves_absent_what_was_absent);
	tcase_add_test(tc, shows_evidence_and_cause_as_null_where_they_are_hidden);
	tcase_add_test(tc, brings_spellings_back_in_every_version);
	tcase_add_test(tc, writes_documented_names_in_older_versions);
	tcase_add_test(tc, moves_the_cloud_resource_id_behind_the_host_in_1_0);
	tcase_add_test(tc, takes_members_out_of_evidence_however_it_is_written);
	tcase_add_test(tc, shows_cloud_metadata_as_object_or_text);
	tcase_add_test(tc, agrees_with_the_documents_on_any_record);
	tcase_add_test(tc, gives_5_0_back_to_the_byte);
	tcase_add_test(tc, tells_a_record_that_does_not_fit_its_memo);
	tcase_add_test(tc, tells_evidence_that_is_no_object);
	tcase_add_test(tc, survives_any_damage);
	tcase_add_test(tc, passes_a_full_buffer_on_and_takes_nothing_half);
	tcase_add_test(tc, gives_the_memory_of_a_large_record_back);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
