#include "config.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/simulator/ask.h"
#include "tests/simulator/dates.h"
#include "tests/simulator/lists.h"

enum param {
#define PARAM(name, text, reader, list_since, hostids_since, info_since) PARAM_##name,
#include "tests/simulator/params_table.h"
#undef PARAM
	PARAMS
};
#define SET(name) (UINT32_C(1) << PARAM_##name)

static const struct version versions[] = {
#define UPSTREAM(api, number, most_policies, traits, members)                                      \
	{API_##api, number, #number ".0", most_policies, traits, members},
#include "tests/simulator/versions_table.h"
#undef UPSTREAM
};

/* Conflicts and missing ones, as the documents tell them. */
static const struct {
	uint32_t with, other;
	bool needs; /* or else: must not */
	const char *text;
} rules[] = {
    {SET(CRITICALITY_VALUES), SET(CRITICALITY_LABELS), false,
	"criticalityValues and criticalityLabels exclude each other"},
    {SET(LAST_SCAN), SET(SCAN_FROM), false, "lastScanDate and lastScanDateFrom exclude each other"},
    {SET(LAST_SCAN), SET(SCAN_TO), false, "lastScanDate and lastScanDateTo exclude each other"},
    {SET(SCAN_FROM), SET(SCAN_TO), true, "lastScanDateTo is missing"},
    {SET(SCAN_TO), SET(SCAN_FROM), true, "lastScanDateFrom is missing"},
};

static bool __attribute__((format(printf, 3, 4)))
complain(struct complaint *ret, unsigned code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(ret->text, sizeof(ret->text), fmt, args);
	va_end(args);
	ret->code = code;
	return false;
}

#define CODE_UNKNOWN 1901
#define CODE_MISSING 1903
#define CODE_CONFLICT 1904
#define CODE_VALUE 1905

static bool
is_retired(enum api api, const char *name, const struct options *opt)
{
	char of_api[32];
	snprintf(of_api, sizeof(of_api), "%s/%s", api_names[api], name);
	/* the policy list's versions are not those of the others: it is named, or lives */
	return (api != API_POLICY_LIST && list_has(opt->retired, name, strlen(name))) ||
	       list_has(opt->retired, of_api, strlen(of_api));
}

const struct version *
version_find(enum api api, const char *name, const struct options *opt)
{
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (versions[i].api == api && strcmp(versions[i].name, name) == 0)
			return is_retired(api, name, opt) ? NULL : &versions[i];
	return NULL;
}

void
ask_init(struct ask *a, const struct version *v)
{
	*a = (struct ask){.sca = (v->traits & TRAIT_SCA) != 0,
	    .members = v->members,
	    .evaluated_since = INT64_MIN,
	    .changed_since = INT64_MIN};
}

void
ask_free(struct ask *a)
{
	free(a->labels);
	free(a->policies);
	free(a->targets);
	free(a->spans);
	*a = (struct ask){0};
}

/* --- readers: NULL, or what the value should have been */

typedef const char *reader_f(struct ask *a, const char *value);

static const char *
read_bit(const char *value, bool *ret)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return "0 or 1";
	*ret = value[0] == '1';
	return NULL;
}

static const char *
read_date(const char *value, int64_t *ret_first, int64_t *ret_last)
{
	struct date_bound bound;
	if (!date_parse(value, &bound))
		return "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ";
	*ret_first = bound.first_s;
	if (ret_last != NULL)
		*ret_last = bound.last_s;
	return NULL;
}

static const char *
read_evaluated(struct ask *a, const char *value)
{
	return read_date(value, &a->evaluated_since, NULL);
}

static const char *
read_changed(struct ask *a, const char *value)
{
	return read_date(value, &a->changed_since, NULL);
}

static const char *
read_scan(struct ask *a, const char *value)
{
	struct date_bound bound;
	if (!date_parse(value, &bound))
		return "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ";
	a->scan_first = bound.first_s;
	a->scan_last = bound.first_s - bound.first_s % DAY_S + DAY_S - 1;
	return NULL;
}

static const char *
read_scan_from(struct ask *a, const char *value)
{
	return read_date(value, &a->scan_from, NULL);
}

static const char *
read_scan_to(struct ask *a, const char *value)
{
	int64_t first;
	return read_date(value, &first, &a->scan_to);
}

static const char *
read_tags(struct ask *a, const char *value)
{
	return read_bit(value, &a->tags);
}

static const char *
read_evidence(struct ask *a, const char *value)
{
	return read_bit(value, &a->evidence);
}

static const char *
read_compression(struct ask *a, const char *value)
{
	bool compress;
	const char *wrong = read_bit(value, &compress);
	if (wrong == NULL)
		a->plain = !compress;
	return wrong;
}

static const char *
read_extended(struct ask *a, const char *value)
{
	bool extended;
	const char *wrong = read_bit(value, &extended);
	if (wrong == NULL)
		a->basic_only = !extended;
	return wrong;
}

static const char *
read_inactive(struct ask *a, const char *value)
{
	return read_bit(value, &a->exclude_inactive);
}

static const char *
read_cloud(struct ask *a, const char *value)
{
	return read_bit(value, &a->cloud);
}

static const char *
read_qds(struct ask *a, const char *value)
{
	return read_bit(value, &a->qds);
}

static const char *
read_truncation(struct ask *a, const char *value)
{
	(void)a; /* seen in a client, documented nowhere: accepted, without effect */
	uint64_t ignored;
	return id_parse(value, &ignored) ? NULL : "a number";
}

static const char *
read_policies(struct ask *a, const char *value)
{
	char item[32];
	uint64_t id;
	for (const char *at = value; list_next(&at, item, sizeof(item));)
		if (!id_parse(item, &id))
			return "a comma-separated list of IDs";
	free(a->policies);
	a->policies = strdup(value);
	return NULL;
}

/* Positions of the words of a list as bits; 0: one of them is none of the names. */
static unsigned
read_words(const char *value, const char *const *names, unsigned count, unsigned most)
{
	char item[32];
	unsigned bits = 0, items = 0;
	for (const char *at = value; list_next(&at, item, sizeof(item));) {
		unsigned i = 0;
		while (i < count && strcasecmp(names[i], item) != 0)
			i++;
		if (i == count || ++items > most)
			return 0;
		bits |= 1u << i;
	}
	return bits;
}

static const char *const verdict_names[VERDICTS] = {"Passed", "Failed", "Error"};

static const char *
read_status(struct ask *a, const char *value)
{
	a->status = read_words(value, verdict_names, VERDICTS, VERDICTS);
	return a->status != 0 ? NULL : "a list of Passed, Failed, Error";
}

static const char *
read_previous(struct ask *a, const char *value)
{
	a->previous = read_words(value, verdict_names, VERDICTS, 1);
	return a->previous != 0 ? NULL : "one of Passed, Failed, Error";
}

static const char *
read_values(struct ask *a, const char *value)
{
	static const char *const values[] = {"0", "1", "2", "3", "4", "5"};
	a->criticality = read_words(value, values, 6, 6);
	return a->criticality != 0 ? NULL : "a list of values from 0 to 5";
}

static const char *
read_labels(struct ask *a, const char *value)
{
	if (value[0] == '\0')
		return "a list of labels";
	free(a->labels);
	a->labels = strdup(value);
	return NULL;
}

static const char *
read_deployment(struct ask *a, const char *value)
{
	static const char *const names[] = {"ALL", "ON-PREM", "CLOUD"};
	unsigned bits = read_words(value, names, 3, 1);
	a->deployment = bits == 4   ? DEPLOYMENT_CLOUD
			: bits == 2 ? DEPLOYMENT_ON_PREM
				    : DEPLOYMENT_ALL;
	return bits != 0 ? NULL : "ALL, ON-PREM or CLOUD";
}

static const char *
read_asset_state(struct ask *a, const char *value)
{
	static const char *const names[] = {"ALL", "ACTIVE", "TERMINATED"};
	unsigned bits = read_words(value, names, 3, 1);
	a->state = bits == 4 ? ASSET_TERMINATED : bits == 2 ? ASSET_ACTIVE : ASSET_ALL;
	return bits != 0 ? NULL : "ALL, ACTIVE or TERMINATED";
}

static const struct {
	const char *name;
	reader_f *read;
	unsigned since[APIS]; /* 0: never */
} params[PARAMS] = {
#define PARAM(name, text, reader, list_since, hostids_since, info_since)                           \
	{text, reader,                                                                             \
	    {[API_POLICY_LIST] = (list_since),                                                     \
		[API_HOSTIDS] = (hostids_since),                                                   \
		[API_POSTURE_INFO] = (info_since)}},
#include "tests/simulator/params_table.h"
#undef PARAM
};

/* The parameter of that name that a version has, or PARAMS. */
static unsigned
param_find(const struct version *v, const char *name)
{
	unsigned i = 0;
	while (i < PARAMS && strcmp(params[i].name, name) != 0)
		i++;
	if (i == PARAMS || params[i].since[v->api] == 0 || params[i].since[v->api] > v->number)
		return PARAMS;
	return i;
}

bool
ask_param(struct ask *a, const struct version *v, const char *name, const char *value,
    struct complaint *ret)
{
	unsigned i = param_find(v, name);
	if (i == PARAMS)
		return complain(ret, CODE_UNKNOWN, "Unrecognized parameter: %.60s", name);
	if (a->seen >> i & 1)
		return complain(ret, CODE_VALUE, "%s is given twice", name);
	a->seen |= UINT32_C(1) << i;
	const char *wanted = params[i].read(a, value != NULL ? value : "");
	if (wanted != NULL)
		return complain(ret, CODE_VALUE, "%s has to be %s", name, wanted);
	return true;
}

static unsigned
list_length(const char *list)
{
	char item[32];
	unsigned length = 0;
	for (const char *at = list; list_next(&at, item, sizeof(item));)
		length++;
	return length;
}

bool
ask_check(const struct ask *a, const struct version *v, struct complaint *ret)
{
	if ((v->traits & TRAIT_WANTS_POLICIES) && a->policies == NULL)
		return complain(ret, CODE_MISSING, "policyId is missing");
	if (v->most_policies > 0 && list_length(a->policies) > v->most_policies)
		return complain(ret, CODE_VALUE, "At most %u policies a call", v->most_policies);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		bool other = (a->seen & rules[i].other) != 0;
		if ((a->seen & rules[i].with) != 0 && other != rules[i].needs)
			return complain(ret, rules[i].needs ? CODE_MISSING : CODE_CONFLICT, "%s",
			    rules[i].text);
	}
	return true;
}

/* --- body */

/* An ID as the documents write it (text) or as sloppy clients do (a number). */
static bool
json_id(const json_t *value, uint64_t *ret_id)
{
	if (json_is_string(value))
		return id_parse(json_string_value(value), ret_id);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_id = (uint64_t)json_integer_value(value);
	return true;
}

static void *
grow(void *list, size_t count, size_t *cap, size_t item_bytes)
{
	if (count < *cap)
		return list;
	size_t more = *cap < 64 ? 64 : *cap * 2;
	void *bigger = sim_alloc(more * item_bytes);
	if (count > 0)
		memcpy(bigger, list, count * item_bytes);
	free(list);
	*cap = more;
	return bigger;
}

static bool
body_hosts(struct ask *a, const struct corpus *c, const json_t *element, struct complaint *ret)
{
	uint64_t id;
	const json_t *hosts = json_object_get(element, "hostIds"), *host;
	if (!json_id(json_object_get(element, "policyId"), &id))
		return complain(ret, CODE_VALUE, "policyId has to be an ID");
	if (!json_is_array(hosts))
		return complain(ret, CODE_MISSING, "hostIds has to be a list");
	uint32_t p = 0, h;
	bool known = policy_find(c, id, &p);
	size_t i;
	json_array_foreach(hosts, i, host)
	{
		if (!json_id(host, &id))
			return complain(ret, CODE_VALUE, "hostIds has to be a list of IDs");
		if (!known || !host_find(c, p, id, &h))
			continue; /* an unknown host has no postures, which is no error */
		a->targets = grow(a->targets, a->target_count, &a->target_cap, sizeof(*a->targets));
		a->targets[a->target_count++] = (struct target){p, h};
	}
	return true;
}

static bool
span_parse(const char *item, struct id_span *ret_span)
{
	char first[32];
	size_t len = strcspn(item, "-");
	snprintf(first, sizeof(first), "%.*s", (int)len, item);
	if (!id_parse(first, &ret_span->first))
		return false;
	if (item[len] == '\0')
		ret_span->last = ret_span->first;
	else if (!id_parse(item + len + 1, &ret_span->last))
		return false;
	return ret_span->first <= ret_span->last;
}

static bool
body_postures(struct ask *a, const json_t *value, struct complaint *ret)
{
	char item[64];
	uint64_t width = 0;
	if (!json_is_string(value))
		return complain(ret, CODE_VALUE, "postureId has to be text");
	for (const char *at = json_string_value(value); list_next(&at, item, sizeof(item));) {
		struct id_span span;
		if (!span_parse(item, &span))
			return complain(
			    ret, CODE_VALUE, "postureId has to be a list of IDs and ranges");
		width += span.last - span.first + 1;
		if (width > ASK_POSTURE_IDS)
			return complain(
			    ret, CODE_VALUE, "postureId holds more than %d IDs", ASK_POSTURE_IDS);
		a->spans = grow(a->spans, a->span_count, &a->span_cap, sizeof(*a->spans));
		a->spans[a->span_count++] = span;
	}
	return true;
}

static bool
body_element(struct ask *a, const struct version *v, const struct corpus *c, const json_t *element,
    struct complaint *ret)
{
	uint64_t subscription;
	if (!json_is_object(element))
		return complain(ret, CODE_VALUE, "The body has to be an array of objects");
	if (!json_id(json_object_get(element, "subscriptionId"), &subscription))
		return complain(ret, CODE_MISSING, "subscriptionId is missing");
	if (subscription != (uint64_t)c->opt.subscription)
		return complain(ret, CODE_VALUE, "subscriptionId is not that of the account");
	const json_t *postures = json_object_get(element, "postureId");
	if (postures != NULL && (v->traits & TRAIT_POSTURE_IDS))
		return body_postures(a, postures, ret);
	return body_hosts(a, c, element, ret);
}

bool
ask_body(struct ask *a, const struct version *v, const struct corpus *c, const struct sbuf *body,
    struct complaint *ret)
{
	json_error_t error;
	json_t *root =
	    json_loadb(body->len > 0 ? body->data : "", body->len, JSON_REJECT_DUPLICATES, &error);
	bool good;
	if (!json_is_array(root) || json_array_size(root) == 0) {
		good = complain(ret, CODE_VALUE, "The body has to be a JSON array: %.100s",
		    root == NULL ? error.text : "");
	} else if (v->most_policies > 0 && json_array_size(root) > v->most_policies) {
		good = complain(ret, CODE_VALUE, "At most %u policies a call", v->most_policies);
	} else {
		good = true;
		for (size_t i = 0; good && i < json_array_size(root); i++)
			good = body_element(a, v, c, json_array_get(root, i), ret);
		if (good && a->span_count > 0 && a->target_count > 0)
			good = complain(
			    ret, CODE_CONFLICT, "postureId and hostIds exclude each other");
	}
	json_decref(root);
	return good;
}

/* --- matching */

unsigned
ask_show(const struct ask *a)
{
	unsigned show = a->members;
	if (!a->evidence)
		show &= ~SHOW_EVIDENCE;
	if (a->basic_only)
		show &= ~(SHOW_EXTENDED | SHOW_DESCRIPTION);
	if (!a->cloud)
		show &= ~SHOW_CLOUD;
	if (!a->qds)
		show &= ~SHOW_QDS;
	return show;
}

bool
ask_wants_host(const struct ask *a, const struct corpus *c, const struct host *host)
{
	if (host->sca && !a->sca)
		return false;
	if ((a->seen & SET(LAST_SCAN)) &&
	    (host->scanned_s < a->scan_first ||
		(c->opt.scan_date == SCAN_DAY && host->scanned_s > a->scan_last)))
		return false;
	if ((a->seen & SET(SCAN_FROM)) &&
	    (host->scanned_s < a->scan_from || host->scanned_s > a->scan_to))
		return false;
	if (a->deployment != DEPLOYMENT_ALL && host->cloud != (a->deployment == DEPLOYMENT_CLOUD))
		return false;
	if (a->state != ASSET_ALL && a->deployment != DEPLOYMENT_ON_PREM &&
	    host->terminated != (a->state == ASSET_TERMINATED))
		return false;
	return true;
}

static bool
wants_verdict(unsigned bits, enum verdict verdict, bool exception, const struct options *opt)
{
	if (bits == 0)
		return true;
	return (bits >> verdict & 1) != 0 && (!exception || opt->passed_star);
}

static bool
wants_criticality(const struct ask *a, const struct corpus *c, uint32_t control)
{
	if (a->criticality != 0)
		return (a->criticality >> control_criticality(c, control) & 1) != 0;
	if (a->labels == NULL)
		return true;
	char item[64];
	for (const char *at = a->labels; list_next(&at, item, sizeof(item));)
		if (control_label_is(c, control, item))
			return true;
	return false;
}

bool
ask_wants(
    const struct ask *a, const struct corpus *c, const struct host *host, const struct posture *s)
{
	return s->evaluated_s >= a->evaluated_since && s->modified_s >= a->changed_since &&
	       wants_verdict(a->status, s->status, s->exception, &c->opt) &&
	       wants_verdict(a->previous, s->previous, s->previous_exception, &c->opt) &&
	       wants_criticality(a, c, s->control) &&
	       !(a->exclude_inactive && !control_is_active(c, host->p, s->control));
}
