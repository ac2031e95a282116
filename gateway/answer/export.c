#include "config.h"

#include <assert.h>
#include <string.h>

#include "gateway/answer/export.h"
#include "gateway/answer/page.h"
#include "gateway/base/csv.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/members.h"
#include "gateway/fetch/normalise.h"

#define PIECE_BYTES (256 * KIB)  /* enough for a long write, little to hold */
#define NUL_SHOWN "\xef\xbf\xbd" /* U+FFFD */

/* a cell is in the scratch before it is quoted, and no longer there than in the record */
#define CELL_BYTES_MOST (2 * LIMIT_RECORD_BYTES)
static_assert(LIMIT_PIECE_BYTES >= 2 * (LIMIT_RECORD_BYTES + PIECE_BYTES + 64 * KIB),
    "a record of quotes alone is twice as long in a CSV");

/* --- columns */

struct part {
	uint8_t number; /* of the member */
	const char *inside;
};

static const struct part parts[] = {
#define PART(member, inside) {NORMAL_##member, #inside},
#include "gateway/answer/export_table.h"
#undef PART
};
static_assert(NORMAL_MEMBERS_MOST + ARRAY_LEN(parts) <= EXPORT_COLUMNS_MOST, "one more for each");

static void
add_column(struct export *e, uint8_t number, struct export_column column)
{
	bool divided = false;
	column.hidden = (e->transform.hide >> number & 1) != 0;
	column.name = normal_member_name(number);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i].number != number)
			continue;
		divided = true;
		column.inside = parts[i].inside;
		e->columns[e->column_count++] = column;
	}
	if (!divided)
		e->columns[e->column_count++] = column;
}

static void
choose_columns(struct export *e)
{
	for (size_t place = 0; place < normal_member_count(); place++) {
		uint8_t number = normal_member_at(place);
		if (e->transform.fields == 0 || (e->transform.fields >> number & 1) != 0)
			add_column(e, number, (struct export_column){.place = (uint8_t)place});
	}
	assert(e->column_count > 0);
}

/* --- life */

void
export_init(struct export *e, const struct answer *a, enum export_form form)
{
	*e = (struct export){
	    .form = form,
	    .transform = a->transform,
	    .restricted = answer_is_restricted(a),
	};
	reader_init(&e->reader, a->cache, a->result, NULL, &a->filter);
	e->reader.takes_incomplete = true; /* what is missing is told with the result */
	buf_init(&e->scratch, CELL_BYTES_MOST);
	if (form == EXPORT_CSV)
		choose_columns(e);
}

void
export_fini(struct export *e)
{
	reader_fini(&e->reader);
	buf_fini(&e->scratch);
}

/* --- lines of JSON */

/* A line ends at its end alone. Within a string no such byte can stand: all that there are, are white
 * space between tokens. */
static void
keep_to_one_line(char *line, size_t len)
{
	static const char breaks[] = "\n\r";
	for (const char *c = breaks; *c != '\0'; c++)
		for (char *at = line; (at = memchr(at, *c, (size_t)(line + len - at))) != NULL;)
			*at++ = ' ';
}

static enum status
json_line(struct export *e, const char *body, size_t len)
{
	struct buf *b = e->piece;
	size_t mark = b->len;
	enum status st = record_add(&e->transform, body, len, b);
	if (st != STATUS_OK)
		return st;
	keep_to_one_line(b->data + mark, b->len - mark);
	buf_byte(b, '\n');
	return STATUS_OK;
}

static void
json_end(struct export *e)
{
	buf_byte(e->piece, '{');
	page_result(cache_manifest(e->reader.result), e->restricted, e->piece);
	buf_str_add(e->piece, "}\n");
}

/* --- cells */

/* What stands in the scratch as a cell of text. */
static void
scratch_cell(struct export *e)
{
	csv_text(e->piece, e->scratch.data, e->scratch.len);
	if (e->piece->err == STATUS_OK)
		e->piece->err = e->scratch.err;
}

static void
text_cell(struct export *e, const char *text, size_t len)
{
	char bytes[4];
	size_t n;
	if (!text_has_escapes(text, len)) {
		csv_text(e->piece, text, len);
		return;
	}
	const char *at = text, *end = text + len;
	buf_reset(&e->scratch);
	while ((n = text_next(&at, end, bytes)) > 0) {
		if (n == 1 && bytes[0] == '\0')
			buf_str_add(&e->scratch, NUL_SHOWN);
		else
			buf_add(&e->scratch, bytes, n);
	}
	scratch_cell(e);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The JSON of an object or array; strings are taken as they are. */
static void
json_cell(struct export *e, const char *value, size_t len)
{
	const char *at = value, *end = value + len;
	buf_reset(&e->scratch);
	while (at < end) {
		const char *from = at, *quote;
		while (at < end && !is_space(*at)) {
			quote = *at == '"' ? text_close(at + 1, end) : at;
			at = quote != NULL ? quote + 1 : end;
		}
		buf_add(&e->scratch, from, (size_t)(at - from));
		while (at < end && is_space(*at))
			at++;
	}
	scratch_cell(e);
}

static void
cell(struct export *e, const char *value, size_t len)
{
	const char *text;
	switch (value[0]) {
	case '"':
		if (text_of(value, len, &text, &len))
			text_cell(e, text, len);
		break;
	case '{':
	case '[':
		json_cell(e, value, len);
		break;
	case 'n':
		break;
	default: /* a number or a boolean */
		buf_add(e->piece, value, len);
	}
}

static void
column_cell(struct export *e, const struct export_column *column, const struct normal_value *values)
{
	const struct normal_value *value = &values[column->place];
	struct split_member m = {.value = value->at, .value_len = (uint32_t)value->len};
	if (column->hidden)
		return;
	if (column->inside == NULL || members_find(value->at, value->len, column->inside, &m))
		cell(e, m.value, m.value_len);
}

/* --- lines of CSV */

/* A line of one cell with nothing in it has quotes, for many a reader passes over an empty line. */
static void
end_line(struct export *e, size_t mark)
{
	buf_str_add(e->piece, e->piece->len == mark ? "\"\"\r\n" : "\r\n");
}

static void
csv_names(struct export *e)
{
	for (size_t i = 0; i < e->column_count; i++) {
		const struct export_column *column = &e->columns[i];
		buf_str_add(e->piece, i > 0 ? "," : "");
		buf_str_add(e->piece, column->name);
		if (column->inside != NULL)
			buf_printf(e->piece, ".%s", column->inside);
	}
	buf_str_add(e->piece, "\r\n");
}

static enum status
csv_line(struct export *e, const char *body, size_t len)
{
	struct normal_value values[NORMAL_MEMBERS_MOST];
	size_t mark = e->piece->len;
	enum status st = normal_values(body, len, values);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < e->column_count; i++) {
		buf_str_add(e->piece, i > 0 ? "," : "");
		column_cell(e, &e->columns[i], values);
	}
	end_line(e, mark);
	return STATUS_OK;
}

/* --- the whole */

static const struct {
	void (*begin)(struct export *e); /* NULL: nothing */
	enum status (*line)(struct export *e, const char *body, size_t len);
	void (*end)(struct export *e);
} forms[] = {
    [EXPORT_NDJSON] = {NULL, json_line, json_end},
    [EXPORT_CSV] = {csv_names, csv_line, NULL},
};

static enum status
on_record(void *ctx, const struct reader_record *rec)
{
	struct export *e = ctx;
	enum status st = forms[e->form].line(e, rec->body, rec->body_len);
	return st != STATUS_OK ? st : e->piece->err;
}

enum status
export_next(void *ctx, struct buf *piece, bool *ret_end)
{
	struct export *e = ctx;
	enum reader_state state = READER_MORE;
	enum status st = STATUS_OK;
	e->piece = piece;
	if (!e->begun && forms[e->form].begin != NULL)
		forms[e->form].begin(e);
	e->begun = true;
	while (st == STATUS_OK && state == READER_MORE && piece->len < PIECE_BYTES)
		st = reader_take(&e->reader, LIMIT_ROW_BLOCK, PIECE_BYTES, on_record, e, &state);
	*ret_end = state == READER_END;
	if (st == STATUS_OK && *ret_end && forms[e->form].end != NULL)
		forms[e->form].end(e);
	return st != STATUS_OK ? st : piece->err;
}
