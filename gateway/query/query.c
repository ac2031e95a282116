#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/form.h"
#include "gateway/base/limits.h"
#include "gateway/base/utf8.h"
#include "gateway/query/param.h"
#include "gateway/query/query.h"

/* How much of an unknown name is shown. */
#define SHOWN_NAME_BYTES 64
/* A body may have this many values beside its IDs before it is refused unread. */
#define BODY_OTHER_VALUES 1024

struct parser {
	struct arena *arena;
	enum query_use use;
	enum query_format preferred;
	struct query_errors *errors;
	struct param_reader reader;
	uint32_t given; /* a bit for each enum param_id */
	uint32_t bad;   /* likewise: was told, further values are not looked at */
};
_Static_assert(PARAM_COUNT <= 32, "given and bad have a bit for each");

static void
parser_init(struct parser *p, struct arena *a, enum query_use use, enum query_format preferred,
    query_field_f *field, struct query_errors *errors)
{
	*p = (struct parser){.arena = a, .use = use, .preferred = preferred, .errors = errors};
	param_reader_init(&p->reader, a, field);
	*errors = (struct query_errors){.count = 0};
}

static bool
is_taken(const struct parser *p, size_t id)
{
	return (param_at(id)->uses & (1u << p->use)) != 0;
}

/* As much of a name from outside as is shown, not cut within a character. */
static const char *
shown_name(struct arena *a, const char *name, size_t len)
{
	return arena_dup(a, name, utf8_cut(name, len, SHOWN_NAME_BYTES));
}

static void
tell_unknown(struct parser *p, const char *name, size_t len)
{
	if (p->errors->count == ARRAY_LEN(p->errors->list)) {
		p->errors->more = true; /* a body of nothing else must not fill the arena */
		return;
	}
	const char *message = "There is no such parameter";
	size_t guess = param_guess(name, len);
	if (guess < PARAM_COUNT && is_taken(p, guess))
		message = arena_printf(p->arena, "There is no such parameter; did you mean %s?",
		    param_at(guess)->name);
	query_errors_add(p->errors, shown_name(p->arena, name, len), message);
}

static void
tell_bad(struct parser *p, size_t id, const char *problem)
{
	p->bad |= UINT32_C(1) << id;
	query_errors_add(p->errors, param_at(id)->name, problem);
}

/* The parameter of this name if its value is to be read, else PARAM_COUNT; why is told. */
static size_t
begin(struct parser *p, const char *name, size_t len)
{
	size_t id = param_find(name, len);
	if (id == PARAM_COUNT || param_at(id)->uses == 0) {
		tell_unknown(p, name, len);
		return PARAM_COUNT;
	}
	uint32_t bit = UINT32_C(1) << id;
	bool again = (p->given & bit) != 0;
	if ((p->bad & bit) != 0)
		return PARAM_COUNT;
	if (!is_taken(p, id)) {
		tell_bad(p, id, "This parameter is not taken here");
		return PARAM_COUNT;
	}
	p->given |= bit;
	if (again && !param_is_list(param_at(id))) {
		tell_bad(p, id, "This parameter may be given only once");
		return PARAM_COUNT;
	}
	return id;
}

static const enum query_kind kinds[] = {
    [QUERY_POSTURES] = KIND_POSTURES,
    [QUERY_POSTURE] = KIND_POSTURES,
    [QUERY_SUMMARY] = KIND_POSTURES,
    [QUERY_POLICIES] = KIND_POLICIES,
    [QUERY_HOSTS] = KIND_HOSTS,
    [QUERY_FETCHES] = KIND_POSTURES,   /* of no matter: it leads to no result */
    [QUERY_MIGRATION] = KIND_POSTURES, /* likewise */
};

static enum status
finish(struct parser *p, struct query *ret_query)
{
	struct param_value *values = p->reader.values;
	const uint32_t from_and_to = UINT32_C(1) << PARAM_scannedFrom | UINT32_C(1)
									    << PARAM_scannedTo;

	if ((p->given & UINT32_C(1) << PARAM_format) == 0)
		values[PARAM_format].number = p->preferred;
	param_check_rules(p->arena, p->use, p->given, p->errors);
	if (values[PARAM_format].number != FORMAT_JSON)
		param_check_whole(p->given & ~p->bad, p->errors);
	if ((p->given & ~p->bad & from_and_to) == from_and_to &&
	    values[PARAM_scannedFrom].date > values[PARAM_scannedTo].date)
		query_errors_add(p->errors, param_at(PARAM_scannedFrom)->name,
		    "The value must not be later than scannedTo");
	if (!param_finish(&p->reader))
		return STATUS_NO_MEMORY;
	if (p->errors->count > 0)
		return STATUS_BAD_REQUEST;
	param_store(values, ret_query);
	ret_query->kind = kinds[p->use];
	ret_query->limit_given = (p->given & UINT32_C(1) << PARAM_limit) != 0;
	ret_query->format_given = (p->given & UINT32_C(1) << PARAM_format) != 0;
	return STATUS_OK;
}

/* --- query string */

/* NULL and the decoded text, or what is wrong with it. */
static const char *
decode(struct arena *a, const char *text, size_t len, const char **ret_text, size_t *ret_len)
{
	char *out = arena_alloc(a, len + 1);
	size_t out_len;
	if (out == NULL)
		return "";
	if (!form_unescape(text, len, out, &out_len))
		return "A percent sign must be followed by two hexadecimal digits";
	if (!form_is_plain(out, out_len))
		return "The text must be UTF-8 without control characters";
	*ret_text = out;
	*ret_len = out_len;
	return NULL;
}

static void
read_pair(struct parser *p, const struct form_pair *pair)
{
	const char *name, *value;
	size_t name_len, value_len;

	const char *problem = decode(p->arena, pair->name, pair->name_len, &name, &name_len);
	if (problem != NULL) {
		query_errors_add(
		    p->errors, shown_name(p->arena, pair->name, pair->name_len), problem);
		return;
	}
	size_t id = begin(p, name, name_len);
	if (id == PARAM_COUNT)
		return;
	if (pair->value == NULL) {
		tell_bad(p, id, "A value is required");
		return;
	}
	problem = decode(p->arena, pair->value, pair->value_len, &value, &value_len);
	if (problem == NULL)
		problem = param_take(&p->reader, id, value, value_len);
	if (problem != NULL)
		tell_bad(p, id, problem);
}

enum status
query_parse(struct arena *a, enum query_use use, enum query_format preferred, query_field_f *field,
    const char *text, size_t len, struct query *ret_query, struct query_errors *errors)
{
	struct parser p;
	parser_init(&p, a, use, preferred, field, errors);
	const char *at = len > 0 ? text : NULL;
	struct form_pair pair;
	while (form_next(&at, text + len, &pair))
		read_pair(&p, &pair);
	return finish(&p, ret_query);
}

/* --- JSON body */

/* A look at the body before Jansson has it, which would recurse as deep as the text nests and
 * spend some 50 bytes on each of its values: a worker's stack and the memory stay bounded. */
struct prescan {
	size_t depth, values;
	const char *key; /* the last name of a member of the outermost object */
	size_t key_len;
	bool key_is_next;
};

/* Passes over a string that begins at `at`, behind its opening quote. Gives what stands behind it,
 * or the end. */
static const char *
prescan_string(struct prescan *s, const char *at, const char *end)
{
	const char *begin = at;
	while (at < end && *at != '"')
		at += *at == '\\' && end - at > 1 ? 2 : 1;
	if (s->key_is_next) {
		s->key = begin;
		s->key_len = (size_t)(at - begin);
		s->key_is_next = false;
	}
	return at < end ? at + 1 : end;
}

static void
prescan_bracket(struct prescan *s, char c)
{
	if (c == '[' || c == '{')
		s->depth++;
	else if (s->depth > 0)
		s->depth--;
	if (s->depth == 0)
		s->key_len = 0;
	s->key_is_next = c == '{' && s->depth == 1;
}

/* False if the body nests too deep or has too many values. */
static bool
prescan(struct prescan *s, const char *text, size_t len)
{
	*s = (struct prescan){.key = ""};
	for (const char *at = text, *end = text + len; at < end;) {
		char c = *at++;
		switch (c) {
		case '"':
			at = prescan_string(s, at, end);
			break;
		case ',':
			s->values++;
			s->key_is_next = s->depth == 1;
			break;
		case '[':
		case '{':
		case ']':
		case '}':
			prescan_bracket(s, c);
			break;
		default:
			break;
		}
		if (s->depth > LIMIT_JSON_DEPTH || s->values > LIMIT_QUERY_IDS + BODY_OTHER_VALUES)
			return false;
	}
	return true;
}

static void
tell_prescan(struct parser *p, const struct prescan *s)
{
	size_t id = s->key_len > 0 ? param_find(s->key, s->key_len) : PARAM_COUNT;
	query_errors_add(p->errors, id < PARAM_COUNT ? param_at(id)->name : QUERY_BODY,
	    s->depth > LIMIT_JSON_DEPTH
		? arena_printf(p->arena, "The body may nest %d deep", LIMIT_JSON_DEPTH)
		: arena_printf(p->arena,
		      "A query takes at most %d IDs in all, a range counting "
		      "its width",
		      LIMIT_QUERY_IDS));
}

static const char *
must_be(struct arena *a, const char *what, size_t id)
{
	const char *wanted = param_wanted(a, id);
	const char *sentence =
	    wanted != NULL ? arena_printf(a, "%s must be %s", what, wanted) : NULL;
	return sentence != NULL ? sentence : "";
}

/* Of an empty body, and of one with a byte 0, there is no place to name. */
static void
tell_not_json(struct parser *p, const char *name, const json_error_t *error)
{
	const char *text =
	    error->line > 0
		? arena_printf(p->arena,
		      "The body must be a JSON object; it is not from line %d, column %d on",
		      error->line, error->column)
		: "The body must be a JSON object";
	query_errors_add(p->errors, name, text);
}

/* What Jansson does not take. The scan of what stands before the fault knows in which parameter it
 * is. */
static void
tell_json(struct parser *p, const char *text, size_t len, const json_error_t *error)
{
	struct prescan s;
	/* the position is behind the token at fault, which may be the bracket that ends it all */
	size_t before = error->position > 0 ? (size_t)error->position - 1 : 0;
	(void)prescan(&s, text, before < len ? before : len); /* it was true for all of it */
	size_t id = param_find(s.key, s.key_len);
	const char *name = id < PARAM_COUNT ? param_at(id)->name : QUERY_BODY;

	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		query_errors_add(p->errors, name, "This parameter may be given only once");
		break;
	case json_error_numeric_overflow:
		query_errors_add(p->errors, name,
		    id < PARAM_COUNT ? must_be(p->arena, "Every value", id)
				     : "There is a number beyond what any parameter takes");
		break;
	default:
		tell_not_json(p, name, error);
	}
}

/* NULL and why not. Jansson passes over a byte 0 that stands behind a number. */
static json_t *
load(const char *text, size_t len, json_error_t *ret_error)
{
	if (len > 0 && memchr(text, '\0', len) == NULL)
		return json_loadb(text, len, JSON_REJECT_DUPLICATES, ret_error);
	*ret_error = (json_error_t){.line = 0};
	return NULL;
}

/* A scalar as it would stand in a query string; false if it is none that a parameter takes.
 * `room` is for numbers. */
static bool
scalar_text(const json_t *value, char room[24], const char **ret_text, size_t *ret_len)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		*ret_text = json_string_value(value);
		*ret_len = json_string_length(value);
		return true;
	case JSON_INTEGER:
		*ret_len = (size_t)snprintf(room, 24, "%lld", (long long)json_integer_value(value));
		*ret_text = room;
		return true;
	case JSON_TRUE:
	case JSON_FALSE:
		*ret_text = json_is_true(value) ? "true" : "false";
		*ret_len = strlen(*ret_text);
		return true;
	default:
		return false;
	}
}

static const char *
take_array(struct parser *p, size_t id, const json_t *array)
{
	size_t count = json_array_size(array);
	if (count == 0)
		return "The list must not be empty";
	for (size_t i = 0; i < count; i++) {
		char room[24], nth[40];
		const char *text;
		size_t len;
		if (!scalar_text(json_array_get(array, i), room, &text, &len)) {
			snprintf(nth, sizeof nth, "Item %zu", i + 1);
			return must_be(p->arena, nth, id);
		}
		const char *problem = param_take_item(&p->reader, id, i + 1, text, len);
		if (problem != NULL)
			return problem;
	}
	return NULL;
}

static const char *
take_json(struct parser *p, size_t id, const json_t *value)
{
	char room[24];
	const char *text;
	size_t len;
	if (json_is_array(value) && param_is_list(param_at(id)))
		return take_array(p, id, value);
	if (!scalar_text(value, room, &text, &len))
		return must_be(p->arena, "The value", id);
	return param_take(&p->reader, id, text, len);
}

enum status
query_parse_json(struct arena *a, enum query_use use, enum query_format preferred,
    query_field_f *field, const char *text, size_t len, struct query *ret_query,
    struct query_errors *errors)
{
	struct parser p;
	struct prescan s;
	json_error_t error;
	const char *name;
	json_t *body, *value;

	parser_init(&p, a, use, preferred, field, errors);
	if (!prescan(&s, text, len)) {
		tell_prescan(&p, &s);
		return arena_failed(a) ? STATUS_NO_MEMORY : STATUS_BAD_REQUEST;
	}
	body = load(text, len, &error);
	if (body == NULL && json_error_code(&error) == json_error_out_of_memory)
		return STATUS_NO_MEMORY;
	if (!json_is_object(body)) {
		if (body == NULL)
			tell_json(&p, text, len, &error);
		else
			query_errors_add(errors, QUERY_BODY, "The body must be a JSON object");
		json_decref(body);
		return arena_failed(a) ? STATUS_NO_MEMORY : STATUS_BAD_REQUEST;
	}
	json_object_foreach(body, name, value)
	{
		size_t id = begin(&p, name, strlen(name));
		const char *problem = id < PARAM_COUNT ? take_json(&p, id, value) : NULL;
		if (problem != NULL)
			tell_bad(&p, id, problem);
	}
	enum status st = finish(&p, ret_query);
	json_decref(body);
	return st;
}
