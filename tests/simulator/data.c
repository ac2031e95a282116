#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/simulator/data.h"
#include "tests/simulator/dates.h"
#include "tests/simulator/texts.h"

#define POLICY_BASE 1001u
#define HOST_BASE 5000001u
#define POSTURE_POLICY UINT64_C(10000000000) /* above 2^31 from the first posture on */
#define POSTURE_HOST UINT64_C(10000)
#define GENERATION_S DAY_S
#define CHANGE_PERIOD 20 /* a posture changes once in so many generations */
#define SCAN_PERIOD 4    /* a host is scanned once in so many generations */

#define PICK(list, hash) ((list)[(hash) % (sizeof(list) / sizeof((list)[0]))])

/* The parts of a record that belong to its control. */
struct control {
	uint64_t id, hash;
	unsigned criticality;
	const char *label;
	struct sbuf instance;    /* the value */
	struct sbuf body;        /* controlId .. remediation */
	struct sbuf groups;      /* category, subCategory */
	struct sbuf reference;   /* controlReference, technologyId */
	struct sbuf ratings;     /* technology, criticality */
	struct sbuf expected;    /* the value of expectedValues */
	struct sbuf description; /* the value */
};

/* splitmix64's finisher: good enough mixing for made-up data, and fast. */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

enum salt {
	SALT_POLICY = 1,
	SALT_HOST,
	SALT_CONTROL,
	SALT_POSTURE,
	SALT_LINK,
	SALT_STATE,
	SALT_TEXT
};

static uint64_t
hash_of(const struct corpus *c, enum salt salt, uint64_t a, uint64_t b)
{
	return mix(mix(mix((uint64_t)c->opt.seed + (uint64_t)salt) ^ a) ^ b);
}

/* --- corpus */

static void
quoted(struct sbuf *b, const char *inside)
{
	sbuf_add(b, "\"", 1);
	sbuf_text(b, inside);
	sbuf_add(b, "\"", 1);
}

static const char *
any_text(const struct corpus *c, uint64_t hash)
{
	return c->opt.nasty ? PICK(texts_nasty, hash) : PICK(texts_plain, hash);
}

static void
control_statement(const struct control *ctl, struct sbuf *b)
{
	const char *form = PICK(texts_control, ctl->hash);
	size_t before = strcspn(form, "%");
	sbuf_add(b, "\"", 1);
	sbuf_add(b, form, before);
	sbuf_text(b, PICK(texts_subject, ctl->hash >> 8));
	sbuf_text(b, form + before + 2);
	sbuf_printf(b, " (%" PRIu64 ")\"", ctl->id);
}

static void
control_body(const struct corpus *c, const struct control *ctl, struct sbuf *b)
{
	sbuf_printf(b, ",\"controlId\":%" PRIu64 ",\"controlStatement\":", ctl->id);
	control_statement(ctl, b);
	sbuf_text(b, ",\"rationale\":\"");
	for (unsigned i = 0; i < 4 + ctl->hash % 3; i++) {
		sbuf_text(b, PICK(texts_rationale, (ctl->hash >> 8) % 8 + i));
		sbuf_text(b, "  ");
	}
	sbuf_text(b, any_text(c, ctl->hash >> 24));
	sbuf_text(b, "\",\"remediation\":");
	if (ctl->hash % 11 == 0) {
		sbuf_text(b, ctl->hash % 2 ? "null" : "\"\"");
	} else {
		sbuf_add(b, "\"", 1);
		for (unsigned i = 0; i < 3; i++)
			sbuf_text(b, PICK(texts_remediation, (ctl->hash >> 32) + i));
		sbuf_add(b, "\"", 1);
	}
}

static void
control_groups(const struct control *ctl, struct sbuf *b)
{
	sbuf_text(b, ",\"category\":");
	quoted(b, PICK(texts_category, ctl->hash >> 12));
	sbuf_printf(b, ",\"subCategory\":\"Group %u / Rules\"", (unsigned)(ctl->hash >> 40) % 9);
}

static void
control_reference(const struct control *ctl, struct sbuf *b)
{
	sbuf_text(b, ",\"controlReference\":");
	if (ctl->hash % 3 == 0)
		sbuf_printf(b, "\"%u.%u.%u\"", (unsigned)(ctl->hash >> 4) % 20,
		    (unsigned)(ctl->hash >> 9) % 9, (unsigned)(ctl->hash >> 13) % 30);
	else
		sbuf_text(b, "null");
	sbuf_printf(b, ",\"technologyId\":%u", 40 + (unsigned)(ctl->hash % 5));
}

static void
control_make(const struct corpus *c, uint32_t index, struct control *ctl)
{
	ctl->hash = hash_of(c, SALT_CONTROL, index, 0);
	ctl->id = (index % 7 == 6 ? 100001u : 1001u) + index;
	ctl->criticality = (unsigned)(ctl->hash >> 16) % 6;
	ctl->label = ctl->hash % 4 == 0 ? texts_label_custom[ctl->criticality]
					: texts_label[ctl->criticality];
	if (ctl->hash % 6 == 0)
		sbuf_printf(&ctl->instance, "\"SimSQL 19:1:1521:db%u\\\\main\"",
		    (unsigned)(ctl->hash >> 50));
	else
		sbuf_text(&ctl->instance, "\"os\"");
	control_body(c, ctl, &ctl->body);
	control_groups(ctl, &ctl->groups);
	control_reference(ctl, &ctl->reference);
	sbuf_printf(&ctl->ratings,
	    ",\"technology\":{\"id\":%u,\"name\":\"%s\"},\"criticality\":{\"label\":\"%s\","
	    "\"value\":%u}",
	    40 + (unsigned)(ctl->hash % 5), texts_technology[ctl->hash % 5], ctl->label,
	    ctl->criticality);
	quoted(&ctl->expected, PICK(texts_expected, ctl->hash >> 20));
	sbuf_printf(&ctl->description, "\"What the scanner read for %s on this host, as text.\"",
	    PICK(texts_subject, ctl->hash >> 8));
}

struct corpus *
corpus_new(const struct options *opt)
{
	struct corpus *c = sim_alloc(sizeof(*c));
	c->opt = *opt;
	c->refs = 1;
	struct date_bound epoch = {0, 0};
	(void)date_parse(opt->epoch, &epoch); /* options_set() has seen to it that it parses */
	c->epoch_s = epoch.first_s;
	c->host_step = (uint64_t)(opt->hosts * (100 - opt->host_overlap) / 100);
	c->controls = sim_alloc((size_t)opt->controls * sizeof(*c->controls));
	for (uint32_t i = 0; i < opt->controls; i++)
		control_make(c, i, &c->controls[i]);
	return c;
}

struct corpus *
corpus_ref(struct corpus *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void
corpus_unref(struct corpus *c)
{
	if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (uint32_t i = 0; i < c->opt.controls; i++) {
		struct control *ctl = &c->controls[i];
		sbuf_free(&ctl->instance);
		sbuf_free(&ctl->body);
		sbuf_free(&ctl->groups);
		sbuf_free(&ctl->reference);
		sbuf_free(&ctl->ratings);
		sbuf_free(&ctl->expected);
		sbuf_free(&ctl->description);
	}
	free(c->controls);
	free(c);
}

/* --- what there is */

uint64_t
policy_id(uint64_t p)
{
	return POLICY_BASE + p;
}

bool
policy_find(const struct corpus *c, uint64_t id, uint32_t *ret_p)
{
	if (id < POLICY_BASE || id - POLICY_BASE >= (uint64_t)c->opt.policies)
		return false;
	*ret_p = (uint32_t)(id - POLICY_BASE);
	return true;
}

bool
policy_is_active(const struct corpus *c, uint32_t p)
{
	return p == 0 || hash_of(c, SALT_POLICY, p, 0) % 10 != 0;
}

int64_t
policy_evaluated_s(const struct corpus *c, uint32_t p)
{
	return c->epoch_s + c->opt.generation * GENERATION_S -
	       (int64_t)(hash_of(c, SALT_POLICY, p, 0) % (5 * DAY_S));
}

void
policy_title(const struct corpus *c, uint32_t p, struct sbuf *text)
{
	uint64_t hash = hash_of(c, SALT_POLICY, p, 0);
	sbuf_printf(text, "\"Baseline %" PRIu64 " ", policy_id(p));
	if (c->opt.nasty && p % 3 == 1)
		sbuf_text(text, "\\u2014 \\\"\xc3\x84rger\\\" \\\\ "); /* a title that wants care */
	sbuf_printf(text, "%s\"", PICK(texts_category, hash >> 8));
}

uint64_t
host_id(const struct corpus *c, uint32_t p, uint32_t h)
{
	return HOST_BASE + p * c->host_step + h;
}

bool
host_find(const struct corpus *c, uint32_t p, uint64_t id, uint32_t *ret_h)
{
	uint64_t first = host_id(c, p, 0);
	if (id < first || id - first >= (uint64_t)c->opt.hosts)
		return false;
	*ret_h = (uint32_t)(id - first);
	return true;
}

/* The latest generation up to now in which something with this phase happened; 0 if none did. */
static int64_t
last_turn(const struct corpus *c, uint64_t hash, int64_t period)
{
	int64_t phase = (int64_t)(hash % (uint64_t)period);
	int64_t g = c->opt.generation;
	return g >= phase ? g - (g - phase) % period : 0;
}

void
host_at(const struct corpus *c, uint32_t p, uint32_t h, struct host *ret_host)
{
	uint64_t id = host_id(c, p, h);
	uint64_t hash = hash_of(c, SALT_HOST, id, 0);
	bool cloud = hash % 4 == 0;
	*ret_host = (struct host){
	    .p = p,
	    .h = h,
	    .id = id,
	    .hash = hash,
	    .scanned_s = c->epoch_s + last_turn(c, hash >> 3, SCAN_PERIOD) * GENERATION_S -
			 (int64_t)((hash >> 8) % (21 * DAY_S)),
	    .cloud = cloud,
	    .terminated = cloud && (hash >> 32) % 5 == 0,
	    .empty = (int64_t)((hash >> 40) % 100) < c->opt.empty_hosts,
	    .sca = (int64_t)((hash >> 48) % 100) < c->opt.sca_hosts,
	};
}

bool
posture_find(const struct corpus *c, uint64_t id, struct host *ret_host, uint32_t *ret_control)
{
	uint64_t p = id / POSTURE_POLICY, h = id % POSTURE_POLICY / POSTURE_HOST;
	uint64_t control = id % POSTURE_HOST;
	if (p == 0 || p > (uint64_t)c->opt.policies || h >= (uint64_t)c->opt.hosts ||
	    control >= (uint64_t)c->opt.controls)
		return false;
	host_at(c, (uint32_t)(p - 1), (uint32_t)h, ret_host);
	*ret_control = (uint32_t)control;
	return !ret_host->empty;
}

/* In 1000: 620 passed, 60 passed by exception, 280 failed, 40 errors. */
static enum verdict
verdict_of(uint64_t hash, bool *ret_exception)
{
	uint64_t at = hash % 1000;
	*ret_exception = at < 60;
	return at < 680 ? VERDICT_PASSED : at < 960 ? VERDICT_FAILED : VERDICT_ERROR;
}

void
posture_at(
    const struct corpus *c, const struct host *host, uint32_t control, struct posture *ret_posture)
{
	uint64_t hash = hash_of(c, SALT_POSTURE, (uint64_t)host->p << 32 | host->h, control);
	int64_t turn = last_turn(c, hash, CHANGE_PERIOD);
	uint64_t change = (uint64_t)turn + 1;
	struct posture posture = {
	    .id = (host->p + UINT64_C(1)) * POSTURE_POLICY + host->h * POSTURE_HOST + control,
	    .hash = hash,
	    .control = control,
	    .lowercase = (int64_t)((hash >> 20) % 1000) < c->opt.lowercase,
	    .evaluated_s = host->scanned_s + 60 + (int64_t)((hash >> 8) % (2 * DAY_S)),
	};
	posture.status = verdict_of(mix(hash ^ change), &posture.exception);
	/* before its first change a posture mostly was what it is */
	uint64_t before = turn > 0 ? change - CHANGE_PERIOD : (hash >> 30) % 5 == 0 ? 0 : change;
	if (turn > 0 && turn < CHANGE_PERIOD)
		before = 1;
	posture.previous = verdict_of(mix(hash ^ before), &posture.previous_exception);
	posture.modified_s = turn > 0
				 ? c->epoch_s + turn * GENERATION_S - (int64_t)((hash >> 24) % 3600)
				 : c->epoch_s - (int64_t)((hash >> 24) % (120 * DAY_S));
	if (posture.modified_s > posture.evaluated_s)
		posture.evaluated_s = posture.modified_s;
	*ret_posture = posture;
}

unsigned
control_criticality(const struct corpus *c, uint32_t control)
{
	return c->controls[control].criticality;
}

bool
control_label_is(const struct corpus *c, uint32_t control, const char *label)
{
	const struct control *ctl = &c->controls[control];
	return strcasecmp(label, texts_label[ctl->criticality]) == 0 ||
	       strcasecmp(label, ctl->label) == 0;
}

bool
control_is_active(const struct corpus *c, uint32_t p, uint32_t control)
{
	return hash_of(c, SALT_LINK, p, control) % 16 != 0;
}

/* --- how it is written */

static void
host_head(const struct corpus *c, const struct host *host, struct sbuf *b)
{
	sbuf_printf(b, ",\"policyId\":%" PRIu64 ",\"policyTitle\":", policy_id(host->p));
	policy_title(c, host->p, b);
	if (host->hash % 3 == 0)
		sbuf_printf(b, ",\"netBios\":\"SIM-%" PRIu64 "\"", host->id);
	else
		sbuf_text(b, ",\"netBios\":null");
}

/* os, osCpe and the names: null, "" and absent all occur. */
static void
host_names(const struct host *host, struct sbuf *b)
{
	uint64_t hash = host->hash;
	sbuf_text(b, ",\"os\":");
	if (hash % 2)
		quoted(b, PICK(texts_os, hash >> 6));
	else
		sbuf_text(b, "null");
	if (hash % 5)
		sbuf_printf(b, ",\"osCpe\":\"cpe:/o:simulated:linux:%u.%u%%28%ui%%29:::\"",
		    (unsigned)(hash >> 4) % 10, (unsigned)(hash >> 7) % 10,
		    (unsigned)(hash >> 9) % 4);
	else
		sbuf_text(b, ",\"osCpe\":null");
	if (hash % 4 == 0)
		sbuf_printf(b, ",\"domainName\":\"h%" PRIu64 ".cloud.sim.example\"", host->id);
	else if (hash % 4 < 3)
		sbuf_text(b, ",\"domainName\":null");
	if (hash % 6 == 0)
		sbuf_text(b, ",\"dns\":\"\"");
	else if (hash % 6 < 4)
		sbuf_printf(b, ",\"dns\":\"h%" PRIu64 ".sim.example\"", host->id);
	else
		sbuf_text(b, ",\"dns\":null");
	if (hash % 3 == 1)
		sbuf_printf(b, ",\"qgHostid\":\"%08x-%04x-4%03x-8%03x-%012" PRIx64 "\"",
		    (unsigned)(hash >> 32), (unsigned)(hash >> 16) & 0xffffu,
		    (unsigned)hash & 0xfffu, (unsigned)(hash >> 4) & 0xfffu,
		    hash & UINT64_C(0xffffffffffff));
	else
		sbuf_text(b, ",\"qgHostid\":null");
}

static void
host_resource(const struct host *host, struct sbuf *b)
{
	if (host->cloud)
		sbuf_printf(b, ",\"CLOUD_RESOURCE_ID\":\"9%" PRIu64 "\"", host->id);
	else
		sbuf_text(b, ",\"CLOUD_RESOURCE_ID\":null");
}

static void
host_body(const struct corpus *c, const struct host *host, unsigned show, struct sbuf *b)
{
	static const char *const tracking[] = {"IP", "AGENT", "DNS Hostname", "EC2"};
	uint64_t hash = host->hash;
	sbuf_printf(b, ",\"hostId\":%" PRIu64, host->id);
	if (show & SHOW_RESOURCE_EARLY)
		host_resource(host, b);
	sbuf_printf(b, ",\"ip\":\"10.%u.%u.%u\",\"trackingMethod\":\"%s\"",
	    (unsigned)(host->id >> 16) & 0xffu, (unsigned)(host->id >> 8) & 0xffu,
	    (unsigned)host->id & 0xffu, PICK(tracking, hash));
	host_names(host, b);
	sbuf_printf(b, ",\"networkId\":%s,\"networkName\":\"%s\",\"complianceLastScanDate\":",
	    hash % 10 == 0  ? "\"0\""
	    : hash % 10 < 8 ? "0"
			    : "4021",
	    hash % 10 < 8 ? "Global Default Network" : "Plant \\u2013 Hall 3");
	date_add(b, host->scanned_s);
	sbuf_printf(b,
	    ",\"customerUuid\":\"5e0f1d2c-0000-4a7b-8c00-%012" PRIx64 "\",\"customerId\":\"%" PRId64
	    "\",\"assetId\":%" PRIu64,
	    (uint64_t)c->opt.subscription, c->opt.subscription + 1, UINT64_C(70000000) + host->id);
}

/* The older text form of cloudResourceMetadata; it says what the object says. */
static void
cloud_text(const struct host *host, struct sbuf *b)
{
	unsigned last = (unsigned)host->id & 0xffu;
	sbuf_printf(b,
	    "\"{'Public IP Address':'192.0.2.%u', 'Private IP Address':'10.0.0.%u', "
	    "'Machine Type':'sim-2', 'Zone':'null', "
	    "'ProjectId':'sim-project', 'State':'%s', 'Network':'N/A', 'MAC "
	    "Address':'null'}\"",
	    last, last, host->terminated ? "STOPPED" : "RUNNING");
}

static void
cloud_object(const struct host *host, struct sbuf *b)
{
	unsigned last = (unsigned)host->id & 0xffu;
	sbuf_printf(b,
	    "{\"publicIpAddress\":\"192.0.2.%u\",\"privateIpAddress\":\"10.0.0.%u\","
	    "\"machineType\":\"sim-2\",\"zone\":null,"
	    "\"projectId\":\"sim-project\",\"state\":\"%s\",\"network\":\"N/"
	    "A\",\"macAddress\":null}",
	    last, last, host->terminated ? "STOPPED" : "RUNNING");
}

/* cloudResourceMetadata is the text for some and the object for others where a version has both;
 * no cloud: null. */
static void
host_cloud(const struct host *host, unsigned show, struct sbuf *b)
{
	if (!host->cloud) {
		sbuf_text(b, "null");
		return;
	}
	unsigned forms = show & (SHOW_CLOUD_TEXT | SHOW_CLOUD_OBJECT);
	bool as_text =
	    forms == SHOW_CLOUD_TEXT || (forms != SHOW_CLOUD_OBJECT && (host->hash >> 12) % 2 == 0);
	sbuf_printf(b,
	    "{\"cloudProvider\":\"GCP\",\"cloudService\":\"Compute "
	    "Engine\",\"cloudResourceId\":\"9%" PRIu64
	    "\",\"cloudResourceType\":\"Instance\",\"cloudAccountId\":\"440000%u\","
	    "\"cloudImageId\":null,\"cloudResourceMetadata\":",
	    host->id, (unsigned)host->id & 0xffu);
	if (as_text)
		cloud_text(host, b);
	else
		cloud_object(host, b);
	sbuf_text(b, "}");
}

void
host_text_make(const struct corpus *c, const struct host *host, unsigned show, struct host_text *t)
{
	t->head.len = t->body.len = t->cloud.len = t->tail.len = 0;
	host_head(c, host, &t->head);
	host_body(c, host, show, &t->body);
	host_cloud(host, show, &t->cloud);
	if ((show & SHOW_RESOURCE_EARLY) == 0)
		host_resource(host, &t->tail);
	sbuf_text(&t->tail, "}");
}

void
host_text_free(struct host_text *t)
{
	sbuf_free(&t->head);
	sbuf_free(&t->body);
	sbuf_free(&t->cloud);
	sbuf_free(&t->tail);
}

#define LITERAL(b, text) sbuf_add(b, text, sizeof(text) - 1)

static void
record_verdicts(const struct posture *s, struct sbuf *b)
{
	static const char *const names[VERDICTS] = {"Passed", "Failed", "Error"};
	static const char *const lower[VERDICTS] = {"passed", "failed", "error"};
	LITERAL(b, ",\"status\":\"");
	sbuf_text(b, s->lowercase ? lower[s->status] : names[s->status]);
	if (s->exception)
		LITERAL(b, "*");
	LITERAL(b, "\",\"previousStatus\":\"");
	sbuf_text(b, names[s->previous]);
	if (s->previous_exception)
		LITERAL(b, "*");
	LITERAL(b, "\"");
}

/* A date, or "" where there was no such day. */
static void
date_or_none(struct sbuf *b, bool there, int64_t at_s)
{
	if (there)
		date_add(b, at_s);
	else
		LITERAL(b, "\"\"");
}

static void
record_dates(const struct posture *s, int64_t created_s, struct sbuf *b)
{
	bool fails = s->status == VERDICT_FAILED,
	     passes = s->status == VERDICT_PASSED && !s->exception;
	bool failed = s->previous == VERDICT_FAILED, passed = s->previous == VERDICT_PASSED;
	LITERAL(b, ",\"firstFailDate\":");
	date_or_none(b, fails || failed, s->modified_s - (failed ? 10 * DAY_S : 0));
	LITERAL(b, ",\"lastFailDate\":");
	date_or_none(b, fails || failed, fails ? s->evaluated_s : s->modified_s - 3600);
	LITERAL(b, ",\"firstPassDate\":");
	date_or_none(b, passes || passed, s->modified_s - (passed ? 10 * DAY_S : 0));
	LITERAL(b, ",\"lastPassDate\":");
	date_or_none(b, passes || passed, passes ? s->evaluated_s : s->modified_s - 3600);
	LITERAL(b, ",\"postureModifiedDate\":");
	date_add(b, s->modified_s);
	LITERAL(b, ",\"lastEvaluatedDate\":");
	date_add(b, s->evaluated_s);
	LITERAL(b, ",\"created\":");
	date_add(b, created_s);
}

/* Rows of a table as text, until it is about `bytes` long. */
static void
extended_text(const struct corpus *c, uint64_t hash, int64_t bytes, struct sbuf *b)
{
	size_t end = b->len + (size_t)bytes;
	LITERAL(b, "\"Row 1:Name,Setting,Value\\n");
	for (uint64_t row = 2; b->len < end; row++) {
		hash = mix(hash);
		LITERAL(b, "Row ");
		sbuf_u64(b, row);
		LITERAL(b, ":/etc/sim/policy.conf,limit_");
		sbuf_u64(b, hash % 100000);
		LITERAL(b, ",");
		sbuf_text(b, any_text(c, hash >> 32));
		LITERAL(b, "\\n");
	}
	LITERAL(b, "\"");
}

static void
record_extended(const struct corpus *c, const struct posture *s, uint64_t hash, struct sbuf *b)
{
	bool large = c->opt.large_every > 0 && s->hash % (uint64_t)c->opt.large_every == 0;
	LITERAL(b, ",\"extendedEvidence\":");
	if (hash % 9 == 0 && !large)
		LITERAL(b, "null");
	else
		extended_text(c, hash, large ? c->opt.large_bytes : c->opt.evidence_bytes, b);
}

static void
record_evidence(const struct corpus *c, const struct host *host, const struct posture *s,
    unsigned show, struct sbuf *b)
{
	const struct control *ctl = &c->controls[s->control];
	uint64_t hash = hash_of(c, SALT_TEXT, s->id, (uint64_t)s->modified_s);
	LITERAL(b, ",\"evidence\":");
	if ((show & SHOW_EVIDENCE) == 0 || s->exception) {
		LITERAL(b, "null");
		return;
	}
	LITERAL(b, "{\"expectedValues\":");
	sbuf_add(b, ctl->expected.data, ctl->expected.len);
	LITERAL(b, ",\"currentValues\":[\"");
	for (unsigned i = 0; i < hash % 3; i++) {
		sbuf_text(b, any_text(c, hash >> (8 + i)));
		LITERAL(b, "\",\"");
	}
	sbuf_u64(b, hash >> 48);
	LITERAL(b, "\"],\"actualValues\":null,\"directoryFimUdc\":null");
	if (show & SHOW_UPDATED) {
		LITERAL(b, ",\"lastUpdated\":");
		date_or_none(b, hash % 8 != 0, host->scanned_s);
	}
	if (show & SHOW_EXTENDED)
		record_extended(c, s, hash, b);
	else if (show & SHOW_UPDATED) /* 5.0, told not to */
		LITERAL(b, ",\"extendedEvidence\":null");
	if (show & SHOW_DESCRIPTION) {
		LITERAL(b, ",\"description\":");
		sbuf_add(b, ctl->description.data, ctl->description.len);
	}
	LITERAL(b, "}");
}

static void
record_cause(const struct corpus *c, const struct posture *s, struct sbuf *b)
{
	if (s->status != VERDICT_FAILED) {
		LITERAL(b, ",\"causeOfFailure\":null");
		return;
	}
	LITERAL(b, ",\"causeOfFailure\":{\"missing\":{\"logic\":null,\"value\":[\"");
	sbuf_text(b, any_text(c, s->hash >> 16));
	LITERAL(b, "\"]},\"unexpected\":{\"value\":[\"");
	sbuf_text(b, any_text(c, s->hash >> 40));
	LITERAL(b, "\"]}}");
}

/* There, null, or absent. */
static void
record_attributes(const struct posture *s, struct sbuf *b)
{
	if (s->hash % 8 == 0)
		LITERAL(b, ",\"userDefinedAttributesList\":[{\"name\":\"owner\",\"value\":\"team "
			   "\\\"A\\\"\"},{\"name\":\"tier\",\"value\":null}]");
	else if (s->hash % 8 < 6)
		LITERAL(b, ",\"userDefinedAttributesList\":null");
}

/* A member that nobody knows, with numbers whose spelling would not survive a conversion. */
static void
record_unknown(const struct corpus *c, const struct posture *s, struct sbuf *b)
{
	if (!c->opt.unknown_member || s->hash % 2 == 0)
		return;
	LITERAL(b, ",\"auditTrail\":{\"revision\":0.10,\"skew\":-0,\"ceiling\":1e400,\"floor\":1E-"
		   "400,\"exact\":12345678901234567.25,"
		   "\"long\":98765432109876543210,\"exp\":[1E+2,1e2,100.0],\"note\":\"");
	sbuf_text(b, any_text(c, s->hash >> 13));
	if (c->opt.nul_escapes)
		LITERAL(b, "\\u0000");
	LITERAL(b, "\",\"deep\":[[],{},{\"a\":null},{\"b\":[true,false,{\"\":\"\"}]}]}");
}

/* Kilobytes with two decimals, as the upstream's decimal strings. */
static void
kilobytes(struct sbuf *b, uint64_t bytes)
{
	uint64_t hundredths = (bytes * 100 + 512) / 1024;
	LITERAL(b, "\"");
	sbuf_u64(b, hundredths / 100);
	LITERAL(b, ".");
	sbuf_u64(b, hundredths / 10 % 10);
	sbuf_u64(b, hundredths % 10);
	LITERAL(b, "\"");
}

static void
record_batch(const struct batch_mark *batch, size_t bytes, struct sbuf *b)
{
	*batch->bytes += bytes;
	LITERAL(b, ",\"currentDataSizeKB\":");
	kilobytes(b, bytes);
	LITERAL(b, ",\"totalDataSizeKB\":");
	kilobytes(b, *batch->bytes);
	LITERAL(b, ",\"currentBatch\":");
	sbuf_u64(b, batch->current);
	LITERAL(b, ",\"totalBatches\":");
	sbuf_u64(b, batch->total);
}

void
record_add(const struct corpus *c, const struct host *host, const struct host_text *t,
    const struct posture *s, unsigned show, const struct batch_mark *batch, int64_t created_s,
    struct sbuf *b)
{
	const struct control *ctl = &c->controls[s->control];
	size_t start = b->len;
	LITERAL(b, "{\"id\":");
	sbuf_u64(b, s->id);
	LITERAL(b, ",\"instance\":");
	sbuf_add(b, ctl->instance.data, ctl->instance.len);
	sbuf_add(b, t->head.data, t->head.len);
	sbuf_add(b, ctl->body.data, ctl->body.len);
	if (show & SHOW_GROUPS)
		sbuf_add(b, ctl->groups.data, ctl->groups.len);
	sbuf_add(b, ctl->reference.data, ctl->reference.len);
	record_verdicts(s, b);
	record_dates(s, created_s, b);
	sbuf_add(b, t->body.data, t->body.len);
	sbuf_add(b, ctl->ratings.data, ctl->ratings.len);
	record_evidence(c, host, s, show, b);
	record_cause(c, s, b);
	if (show & SHOW_GROUPS)
		record_attributes(s, b);
	if (show & SHOW_UNKNOWN)
		record_unknown(c, s, b);
	record_batch(batch, b->len - start + t->tail.len, b);
	if (show & SHOW_QDS) {
		LITERAL(b, ",\"qds\":");
		if (s->hash % 5 == 0)
			LITERAL(b, "null");
		else
			sbuf_u64(b, 1 + host->hash % 100);
	}
	if (show & SHOW_CLOUD) {
		LITERAL(b, ",\"cloudMetaData\":");
		sbuf_add(b, t->cloud.data, t->cloud.len);
	}
	sbuf_add(b, t->tail.data, t->tail.len);
}
