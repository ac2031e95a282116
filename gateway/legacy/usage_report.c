#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/csv.h"
#include "gateway/legacy/usage_report.h"

#define DAY_S 86400
#define MEMBERS_MOST 128 /* told of one row; a record of 5.0 has 43 */

/* --- what a row says, form aside */

struct word {
	const char *at;
	size_t len;
};

struct line {
	const char *consumer, *version; /* NULL: none */
	const struct usage_row *row;
	int64_t eol_s; /* INT64_MAX: none */
	const struct usage_names *names;
	struct word members[MEMBERS_MOST]; /* each once */
	size_t member_count;
};

static void
add_member(struct line *l, struct word w)
{
	for (size_t i = 0; i < l->member_count; i++)
		if (l->members[i].len == w.len && memcmp(l->members[i].at, w.at, w.len) == 0)
			return;
	if (l->member_count < MEMBERS_MOST)
		l->members[l->member_count++] = w;
}

/* Several changes may affect one member. */
static void
gather_members(struct line *l)
{
	for (size_t i = 0; i < l->names->change_count; i++) {
		if ((l->row->changes & UINT32_C(1) << i) == 0)
			continue;
		const char *at = l->names->change_members[i];
		while (*(at += strspn(at, " ")) != '\0') {
			struct word w = {at, strcspn(at, " ")};
			add_member(l, w);
			at += w.len;
		}
	}
}

static void
make_line(const struct usage_report *r, const struct consumer *c, const struct usage_row *row,
    struct line *ret)
{
	struct lifecycle_entry e = {.eol_s = INT64_MAX};
	const char *version =
	    row->endpoint != USAGE_AUTH ? versions_at(row->version)->version : NULL;
	if (version == NULL ||
	    !versions_lifecycle(r->versions, usage_endpoint_name(row->endpoint), version, &e))
		e.eol_s = INT64_MAX;
	ret->consumer = c->name;
	ret->version = version;
	ret->row = row;
	ret->eol_s = e.eol_s;
	ret->names = usage_names(r->usage);
	ret->member_count = 0;
	gather_members(ret);
}

/* Whole days, rounded down: 0 on the last day, negative behind it. */
static int64_t
days_left(int64_t eol_s, int64_t now_s)
{
	int64_t left_s = eol_s - now_s;
	return left_s >= 0 ? left_s / DAY_S : -((-left_s + DAY_S - 1) / DAY_S);
}

/* --- JSON */

static void
json_name(struct buf *b, const char *name)
{
	buf_printf(b, ",\"%s\":", name);
}

static void
json_time(struct buf *b, const char *name, int64_t wall_s)
{
	char text[CLOCK_TEXT_BYTES];
	json_name(b, name);
	clock_text(wall_s, text);
	buf_json_str(b, wall_s != INT64_MAX ? text : NULL);
}

static void
json_number(struct buf *b, const char *name, uint64_t value)
{
	json_name(b, name);
	buf_u64(b, value);
}

static void
json_lists(struct buf *b, const struct line *l)
{
	const char *comma = "";
	buf_str_add(b, ",\"members\":[");
	for (size_t i = 0; i < l->member_count; i++, comma = ",") {
		buf_str_add(b, comma);
		buf_json(b, l->members[i].at, l->members[i].len);
	}
	comma = "";
	buf_str_add(b, "],\"parameters\":[");
	for (size_t i = 0; i < l->names->param_count; i++) {
		if ((l->row->params & UINT32_C(1) << i) == 0)
			continue;
		buf_str_add(b, comma);
		buf_json_str(b, l->names->params[i]);
		comma = ",";
	}
	buf_str_add(b, "]}");
}

static void
json_line(struct buf *b, const struct line *l, int64_t now_s)
{
	buf_str_add(b, "{\"consumer\":");
	buf_json_str(b, l->consumer);
	json_name(b, "version");
	buf_json_str(b, l->version);
	json_name(b, "endpoint");
	buf_json_str(b, usage_endpoint_name(l->row->endpoint));
	json_number(b, "calls", l->row->calls);
	json_number(b, "records", l->row->records);
	json_number(b, "bytes", l->row->bytes);
	json_time(b, "firstSeen", l->row->first_s);
	json_time(b, "lastSeen", l->row->last_s);
	json_time(b, "endOfLife", l->eol_s);
	json_name(b, "daysLeft");
	if (l->eol_s != INT64_MAX)
		buf_i64(b, days_left(l->eol_s, now_s));
	else
		buf_str_add(b, "null");
	json_lists(b, l);
}

/* --- CSV */

/* A cell with text of ours or of the settings ("": nothing), and the comma or line end behind it. */
static void
csv_cell(struct buf *b, const char *text, const char *end)
{
	if (text[0] != '\0')
		csv_text(b, text, strlen(text));
	buf_str_add(b, end);
}

static void
csv_time(struct buf *b, int64_t wall_s)
{
	char text[CLOCK_TEXT_BYTES];
	clock_text(wall_s, text);
	csv_cell(b, wall_s != INT64_MAX ? text : "", ",");
}

static void
csv_number(struct buf *b, uint64_t value)
{
	buf_u64(b, value);
	buf_byte(b, ',');
}

/* Names of members and parameters have no space, quote or comma. */
static void
csv_lists(struct buf *b, const struct line *l)
{
	struct buf list;
	buf_init(&list, b->max);
	for (size_t i = 0; i < l->member_count; i++) {
		buf_str_add(&list, i > 0 ? " " : "");
		buf_add(&list, l->members[i].at, l->members[i].len);
	}
	csv_cell(b, buf_str(&list), ",");
	buf_reset(&list);
	for (size_t i = 0; i < l->names->param_count; i++)
		if (l->row->params & UINT32_C(1) << i)
			buf_printf(&list, "%s%s", list.len > 0 ? " " : "", l->names->params[i]);
	csv_cell(b, buf_str(&list), "\r\n");
	if (b->err == STATUS_OK)
		b->err = list.err;
	buf_fini(&list);
}

static void
csv_line(struct buf *b, const struct line *l, int64_t now_s)
{
	csv_cell(b, l->consumer, ",");
	csv_cell(b, l->version != NULL ? l->version : "", ",");
	csv_cell(b, usage_endpoint_name(l->row->endpoint), ",");
	csv_number(b, l->row->calls);
	csv_number(b, l->row->records);
	csv_number(b, l->row->bytes);
	csv_time(b, l->row->first_s);
	csv_time(b, l->row->last_s);
	csv_time(b, l->eol_s);
	if (l->eol_s != INT64_MAX)
		buf_i64(b, days_left(l->eol_s, now_s));
	buf_byte(b, ',');
	csv_lists(b, l);
}

/* --- the whole */

typedef void line_f(struct buf *b, const struct line *l, int64_t now_s);

static void
each_line(const struct usage_report *r, struct buf *b, line_f *write, const char *between)
{
	const struct access *access = usage_access(r->usage);
	struct usage_row rows[USAGE_ROWS];
	struct line line;
	bool begun = false;
	for (size_t i = 0; i < access_count(access); i++) {
		size_t count = usage_rows(r->usage, i, rows);
		for (size_t k = 0; k < count; k++, begun = true) {
			buf_str_add(b, begun ? between : "");
			make_line(r, access_at(access, i), &rows[k], &line);
			write(b, &line, r->now_s);
		}
	}
}

void
usage_report_json(const struct usage_report *r, struct buf *b)
{
	buf_str_add(b, "{\"data\":[");
	each_line(r, b, json_line, ",");
	buf_str_add(b, "]}\n");
}

void
usage_report_csv(const struct usage_report *r, struct buf *b)
{
	buf_str_add(b, "consumer,version,endpoint,calls,records,bytes,firstSeen,lastSeen,endOfLife,"
		       "daysLeft,members,parameters\r\n");
	each_line(r, b, csv_line, "");
}
