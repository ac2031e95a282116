#include "config.h"

#include <assert.h>
#include <string.h>

#include "gateway/base/digits.h"
#include "gateway/base/form.h"
#include "gateway/base/limits.h"
#include "gateway/base/utf8.h"
#include "gateway/legacy/params.h"
#include "gateway/query/param.h"

#define SHOWN_NAME_BYTES 60

/* The table says the APIs' names as people do. */
enum {
	API_hostids = API_HOSTIDS,
	API_policyList = API_POLICY_LIST,
	API_postureInfo = API_POSTURE_INFO
};
/* Of a row that is no parameter of a query. */
enum { PARAM_none = PARAM_COUNT };

enum form {
	FORM_FLAG,     /* 0 or 1 */
	FORM_VALUE,    /* as the read API has it */
	FORM_LIST,     /* likewise, with spaces around its items */
	FORM_DIGITS,   /* such a list, of numbers alone */
	FORM_WORDS,    /* such a list, of words alone */
	FORM_NUMBER,   /* without any effect */
	FORM_EVIDENCE, /* these are 0 or 1, too, and make something else of it */
	FORM_EXTENDED,
	FORM_COMPRESSION,
};

static const struct row {
	enum upstream_api api;
	unsigned first; /* version */
	const char *name;
	enum form form;
	size_t param; /* enum param_id, or PARAM_none */
	const char *wanted;
} rows[] = {
#define LEGACY_PARAM(api, name, first, form, param, wanted)                                        \
	{(enum upstream_api)API_##api, (unsigned)(first), name, FORM_##form, PARAM_##param, wanted},
#include "gateway/legacy/params_table.h"
#undef LEGACY_PARAM
};
static_assert(ARRAY_LEN(rows) == LEGACY_PARAMS && LEGACY_PARAMS <= 32, "a bit each");

static const struct rule {
	enum param_id with, other;
	bool needs; /* or else: excludes */
	const char *text;
} rules[] = {
    {PARAM_scannedSince, PARAM_scannedFrom, false,
	"lastScanDate and lastScanDateFrom exclude each other"},
    {PARAM_scannedSince, PARAM_scannedTo, false,
	"lastScanDate and lastScanDateTo exclude each other"},
    {PARAM_scannedFrom, PARAM_scannedTo, true, "lastScanDateTo is missing beside lastScanDateFrom"},
    {PARAM_scannedTo, PARAM_scannedFrom, true, "lastScanDateFrom is missing beside lastScanDateTo"},
};

struct reading {
	struct arena *arena;
	enum upstream_api api;
	unsigned version;
	struct param_reader reader;
	uint32_t rows;   /* given, of the table */
	uint32_t params; /* given, enum param_id */
	bool evidence, basic, plain;
};

static unsigned
number_of(enum upstream_api api, const char *version)
{
	unsigned most = api == API_POLICY_LIST ? 2 : VERSIONS_COUNT;
	unsigned number = versions_index(version, strlen(version)) + 1;
	assert(number <= most);
	return number;
}

/* A sentence, or "" if there is no memory for it: arena_failed() tells. */
static const char *
or_nothing(const char *sentence)
{
	return sentence != NULL ? sentence : "";
}

/* --- values: false if the value is not what it has to be */

static bool
read_flag(const char *text, size_t len, bool *ret)
{
	if (len != 1 || (text[0] != '0' && text[0] != '1'))
		return false;
	*ret = text[0] == '1';
	return true;
}

static bool
starts_with_digit(const char *text, size_t len)
{
	return len > 0 && text[0] >= '0' && text[0] <= '9';
}

/* The read API has numbers and words for the same; the upstream a parameter for each. */
static bool
is_of_form(enum form form, const char *item, size_t len)
{
	return form == FORM_LIST || starts_with_digit(item, len) == (form == FORM_DIGITS);
}

static bool
read_list(struct reading *r, const struct row *row, const char *text, size_t len)
{
	const char *at = text, *item;
	size_t item_len;
	for (size_t nth = 1; form_item(&at, text + len, &item, &item_len); nth++)
		if (!is_of_form(row->form, item, item_len) ||
		    param_take_item(&r->reader, row->param, nth, item, item_len) != NULL)
			return false;
	return true;
}

static bool
read_value(struct reading *r, const struct row *row, const char *text, size_t len)
{
	uint64_t number;
	bool flag;
	switch (row->form) {
	case FORM_VALUE:
		return param_take(&r->reader, row->param, text, len) == NULL;
	case FORM_LIST:
	case FORM_DIGITS:
	case FORM_WORDS:
		return read_list(r, row, text, len);
	case FORM_NUMBER:
		return digits_read(text, len, 0, QUERY_ID_MAX, &number);
	default:
		break;
	}
	if (!read_flag(text, len, &flag))
		return false;
	if (row->form == FORM_FLAG)
		r->reader.values[row->param].number = flag;
	else if (row->form == FORM_EVIDENCE)
		r->evidence = flag;
	else if (row->form == FORM_EXTENDED)
		r->basic = !flag;
	else
		r->plain = !flag;
	return true;
}

/* --- pairs: NULL, or what is wrong */

static const char *
decode(struct reading *r, const char *text, size_t len, const char **ret_text, size_t *ret_len)
{
	char *out = arena_alloc(r->arena, len + 1);
	if (out == NULL)
		return "";
	if (!form_unescape(text, len, out, ret_len))
		return "A percent sign in the query string has to be followed by two hexadecimal "
		       "digits";
	if (!form_is_plain(out, *ret_len))
		return "The query string has to be UTF-8 without control characters";
	*ret_text = out;
	return NULL;
}

/* LEGACY_PARAMS: this version has none of that name. */
static size_t
find(const struct reading *r, const char *name, size_t len)
{
	size_t i = 0;
	while (i < LEGACY_PARAMS &&
	       (rows[i].api != r->api || rows[i].first > r->version ||
		   strlen(rows[i].name) != len || memcmp(rows[i].name, name, len) != 0))
		i++;
	return i;
}

/* The other row of this call that means the same and was given. */
static const char *
other_of(const struct reading *r, size_t row)
{
	size_t i = 0;
	while (i == row || (r->rows & UINT32_C(1) << i) == 0 || rows[i].param != rows[row].param)
		i++;
	return rows[i].name;
}

/* Notes that the row was given. */
static const char *
enter(struct reading *r, size_t i)
{
	uint32_t bit = UINT32_C(1) << i;
	uint32_t param = rows[i].param != PARAM_none ? UINT32_C(1) << rows[i].param : 0;
	if (r->rows & bit)
		return or_nothing(arena_printf(r->arena, "%s is given twice", rows[i].name));
	if (r->params & param)
		return or_nothing(arena_printf(
		    r->arena, "%s and %s exclude each other", other_of(r, i), rows[i].name));
	r->rows |= bit;
	r->params |= param;
	return NULL;
}

static const char *
read_pair(struct reading *r, const struct form_pair *pair)
{
	const char *name, *value = "";
	size_t name_len, value_len = 0;
	if (pair->name_len == 0 && pair->value == NULL)
		return NULL;
	const char *problem = decode(r, pair->name, pair->name_len, &name, &name_len);
	if (problem != NULL)
		return problem;
	size_t i = find(r, name, name_len);
	if (i == LEGACY_PARAMS)
		return or_nothing(arena_printf(r->arena, "Unrecognized parameter: %.*s",
		    (int)utf8_cut(name, name_len, SHOWN_NAME_BYTES), name));
	problem = enter(r, i);
	if (problem == NULL && pair->value != NULL)
		problem = decode(r, pair->value, pair->value_len, &value, &value_len);
	if (problem == NULL && !read_value(r, &rows[i], value, value_len))
		problem = or_nothing(
		    arena_printf(r->arena, "%s has to be %s", rows[i].name, rows[i].wanted));
	return problem;
}

/* --- the whole */

static const char *
check_policies(struct reading *r, const struct query *q)
{
	if (r->api != API_HOSTIDS || r->version > 2)
		return NULL;
	if (q->policies.count == 0)
		return "policyId is missing";
	if (q->policies.count > LEGACY_OLD_POLICIES)
		return "policyId may have at most 10 IDs in this version";
	return NULL;
}

static const char *
check_rules(const struct reading *r, const struct query *q)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		bool other = (r->params >> rules[i].other & 1) != 0;
		if ((r->params >> rules[i].with & 1) != 0 && other != rules[i].needs)
			return rules[i].text;
	}
	if (q->scanned_from > q->scanned_to)
		return "lastScanDateFrom must not be later than lastScanDateTo";
	return NULL;
}

static const char *
finish(struct reading *r, struct legacy_asked *ret)
{
	static const enum query_kind kinds[API_COUNT] = {
	    [API_POLICY_LIST] = KIND_POLICIES,
	    [API_HOSTIDS] = KIND_HOSTS,
	    [API_POSTURE_INFO] = KIND_POSTURES,
	};
	struct legacy_asked asked = {.plain = r->plain, .params = r->rows};
	struct query *q = &asked.query;
	if (!param_finish(&r->reader))
		return "";
	param_store(r->reader.values, q);
	q->kind = kinds[r->api];
	if (r->evidence)
		q->evidence = r->basic ? EVIDENCE_BASIC : EVIDENCE_EXTENDED;
	asked.all_policies = r->api == API_HOSTIDS && q->policies.count == 0;
	const char *problem = check_rules(r, q);
	if (problem == NULL)
		problem = check_policies(r, q);
	if (problem == NULL)
		*ret = asked;
	return problem;
}

enum status
legacy_params_read(struct arena *a, enum upstream_api api, const char *version, const char *text,
    size_t len, struct legacy_asked *ret, const char **ret_message)
{
	struct reading r = {.arena = a, .api = api, .version = number_of(api, version)};
	const char *at = len > 0 ? text : NULL, *problem = NULL;
	struct form_pair pair;
	param_reader_init(&r.reader, a, NULL);
	while (problem == NULL && form_next(&at, text + len, &pair))
		problem = read_pair(&r, &pair);
	if (problem == NULL)
		problem = finish(&r, ret);
	if (problem == NULL)
		return STATUS_OK;
	if (arena_failed(a))
		return STATUS_NO_MEMORY;
	*ret_message = problem;
	return STATUS_BAD_REQUEST;
}

const char *
legacy_param_name(size_t row)
{
	assert(row < LEGACY_PARAMS);
	return rows[row].name;
}

uint32_t
legacy_params_specific(void)
{
	uint32_t bits = 0;
	for (size_t i = 0; i < LEGACY_PARAMS; i++)
		if (rows[i].first > 1)
			bits |= UINT32_C(1) << i;
	return bits;
}
