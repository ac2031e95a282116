/* Whole results as NDJSON and CSV: records go in as the upstream would send them, and what comes out is
 * read back by a reader of the test's own. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/answer/export.h"
#include "gateway/base/csv.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/normalise.h"
#include "tests/unit/store.h"

static struct buf in, out;

static void
setup(void)
{
	store_make("check_export", CACHE_TWINS_OFF);
	buf_init(&in, 64 * MIB);
	buf_init(&out, 256 * MIB);
}

static void
teardown(void)
{
	buf_fini(&in);
	buf_fini(&out);
	store_remove();
}

/* --- results */

static enum status
on_split(void *ctx, const struct split_record *rec)
{
	struct buf body, memo;
	struct row row;
	buf_init(&body, LIMIT_RECORD_BYTES + 64 * KIB);
	buf_init(&memo, 64 * KIB);
	enum status st = normalise(rec, &body, &memo, &row);
	if (st == STATUS_OK)
		st = cache_part_add(ctx, &row, body.data, body.len, memo.data, memo.len);
	buf_fini(&body);
	buf_fini(&memo);
	return st;
}

/* A result of the records of `in`, an array as the upstream sends it. */
static struct cache_result *
make_result(bool complete)
{
	struct cache_stage *stage;
	struct cache_part *part;
	ck_status(in.err, STATUS_OK);
	ck_status(cache_stage_open(cache, NULL, NOW, &stage), STATUS_OK);
	ck_status(cache_part_open(stage, 0, 0, &part), STATUS_OK);
	ck_status(split_whole(in.data, in.len, on_split, part, NULL), STATUS_OK);
	ck_status(cache_part_commit(part), STATUS_OK);
	struct cache_part_info info = cache_part_info(part);
	cache_part_close(part);
	struct cache_manifest m = store_manifest(&info, 1);
	m.complete = complete;
	m.hosts_seen = 7;
	return store_publish(stage, &m);
}

static size_t pieces, largest;

/* All of it, into `out`. */
static enum status
run(const struct answer *a, enum export_form form)
{
	struct export e;
	struct buf piece;
	bool end = false;
	enum status st = STATUS_OK;
	pieces = largest = 0;
	buf_reset(&out);
	buf_init(&piece, LIMIT_PIECE_BYTES);
	export_init(&e, a, form);
	for (; st == STATUS_OK && !end; pieces++) {
		buf_reset(&piece);
		st = export_next(&e, &piece, &end);
		if (st == STATUS_OK)
			buf_add(&out, piece.data, piece.len);
		largest = piece.len > largest ? piece.len : largest;
	}
	export_fini(&e);
	buf_fini(&piece);
	return st;
}

static uint64_t
bit(const char *name)
{
	int number = normal_member_find(name, strlen(name));
	ck_assert_int_ge(number, 0);
	return UINT64_C(1) << number;
}

/* What the records give in that form, with these members. */
static const char *
exported(const char *records, uint64_t fields, uint64_t hide, enum export_form form)
{
	buf_reset(&in);
	buf_printf(&in, "[%s]", records);
	struct cache_result *result = make_result(true);
	struct answer a = {.cache = cache, .result = result, .transform = {fields, hide}};
	ck_status(run(&a, form), STATUS_OK);
	cache_release(result);
	return buf_str(&out);
}

static const char *
csv(const char *records, uint64_t fields)
{
	return exported(records, fields, 0, EXPORT_CSV);
}

/* --- cells */

static const struct {
	const char *text, *cell;
} texts[] = {
    {"", "\"\""},
    {"plain", "plain"},
    {" spaced ", " spaced "},
    {"a,b", "\"a,b\""},
    {"say \"it\"", "\"say \"\"it\"\"\""},
    {"\"", "\"\"\"\""},
    {"two\nlines", "\"two\nlines\""},
    {"two\rlines", "\"two\rlines\""},
    {"=1+1", "'=1+1"},
    {"+1", "'+1"},
    {"-1", "'-1"},
    {"@a", "'@a"},
    {"\tx", "'\tx"},
    {"\rx", "\"'\rx\""},
    {"=\"a\",b", "\"'=\"\"a\"\",b\""},
    {"a=1", "a=1"},
    {"'=1", "'=1"},
    {"\xc3\xa4\xe2\x80\x94", "\xc3\xa4\xe2\x80\x94"},
};

START_TEST(a_cell_has_quotes_and_apostrophes_where_it_needs_them)
{
	csv_text(&out, texts[_i].text, strlen(texts[_i].text));
	ck_assert_str_eq(buf_str(&out), texts[_i].cell);
}
END_TEST

/* A member as the upstream sends it, and its cell. */
static const struct {
	const char *name, *value, *cell;
} cells[] = {
    {"dns", "null", "\"\""}, /* a lone cell: else the line would be empty */
    {"dns", "\"\"", "\"\""},
    {"dns", "\"h.example\"", "h.example"},
    {"dns", "\"a\\u00e4\\ud83d\\ude00\\/\\\\\\b\"", "a\xc3\xa4\xf0\x9f\x98\x80/\\\b"},
    {"dns", "\"a\\u0000b\"",
	"a\xef\xbf\xbd"
	"b"},
    {"dns", "\"\\u003d1\"", "'=1"},
    {"dns", "\"a\\\"b\\nc\"", "\"a\"\"b\nc\""},
    {"dns", "\"\\ttab\"", "'\ttab"},
    {"dns", "17", "17"},
    {"dns", "-1.50e+7", "-1.50e+7"},
    {"dns", "true", "true"},
    {"dns", "[ ]", "[]"},
    {"dns", "{ \"a\" : [ 1 ,\t2 ],\r\n\"b, c\":\" d \\\" \" }",
	"\"{\"\"a\"\":[1,2],\"\"b, c\"\":\"\" d \\\"\" \"\"}\""},
    {"hostId", "\"44\"", "44"},
    {"hostId", "9223372036854775807", "9223372036854775807"},
    {"hostId", "\"none\"", "none"},
    {"status", "\"Passed*\"", "Passed"},
    {"networkId", "\"0\"", "0"},
    {"customerId", "99", "99"},
    {"firstFailDate", "\"\"", "\"\""},
    {"firstFailDate", "\"2026-11-01T00:00:00Z\"", "2026-11-01T00:00:00Z"},
    {"qds", "56", "56"},
    {"evidence", "{\"lastUpdated\":\"\",\"x\":1.0}",
	"\"{\"\"lastUpdated\"\":null,\"\"x\"\":1.0}\""},
    {"causeOfFailure", "{}", "{}"},
    {"userDefinedAttributesList", "[\"a\"]", "\"[\"\"a\"\"]\""},
    {"technology", "{\"id\":\"33\",\"name\":\"Debian, 12\"}", "33,\"Debian, 12\""},
    {"technology", "{\"name\":\"=x\",\"more\":1}", ",'=x"},
    {"technology", "{ }", ","},
    {"technology", "null", ","},
    {"technology", "\"Debian\"", ","},
    {"technology", "[1,2]", ","},
    {"criticality", "{\"label\":\"\",\"value\":\"4\"}", "\"\",4"},
    {"criticality", "{\"value\":null,\"label\":{\"a\":1}}", "\"{\"\"a\"\":1}\","},
};

START_TEST(a_cell_is_by_the_type_of_its_value)
{
	char record[256], want[256];
	bool divided = strcmp(cells[_i].name, "technology") == 0;
	const char *names = divided ? "technology.id,technology.name" : cells[_i].name;
	if (strcmp(cells[_i].name, "criticality") == 0)
		names = "criticality.label,criticality.value";
	snprintf(record, sizeof record, "{\"id\":1,\"%s\":%s}", cells[_i].name, cells[_i].value);
	snprintf(want, sizeof want, "%s\r\n%s\r\n", names, cells[_i].cell);
	ck_assert_str_eq(csv(record, bit(cells[_i].name)), want);
}
END_TEST

/* --- lines */

static const char all_names[] =
    "id,instance,policyId,policyTitle,netBios,controlId,controlStatement,rationale,remediation,"
    "category,subCategory,controlReference,technologyId,status,exception,previousStatus,"
    "previousException,firstFailDate,lastFailDate,firstPassDate,lastPassDate,postureModifiedDate,"
    "lastEvaluatedDate,created,hostId,ip,trackingMethod,os,osCpe,domainName,dns,qgHostid,networkId,"
    "networkName,complianceLastScanDate,customerUuid,customerId,assetId,technology.id,"
    "technology.name,criticality.label,criticality.value,evidence,causeOfFailure,"
    "userDefinedAttributesList,qds,cloudMetaData,cloudResourceId\r\n";

START_TEST(the_columns_are_the_members_in_their_order)
{
	ck_assert_str_eq(csv("", 0), all_names);
	const char *got = csv("{\"id\":\"5\",\"novelty\":1}", 0);
	ck_assert_int_eq(strncmp(got, all_names, strlen(all_names)), 0);
	ck_assert_str_eq(got + strlen(all_names),
	    "5,,,,,,,,,,,,,,false,,false,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\r\n");
}
END_TEST

START_TEST(fields_choose_columns_and_what_is_hidden_is_empty)
{
	static const char records[] = "{\"id\":1,\"status\":\"passed\",\"evidence\":{\"a\":1}},"
				      "{\"id\":2,\"status\":null,\"evidence\":null}";
	uint64_t fields = bit("evidence") | bit("id") | bit("status");
	ck_assert_str_eq(
	    csv(records, fields), "id,status,evidence\r\n1,Passed,\"{\"\"a\"\":1}\"\r\n2,,\r\n");
	ck_assert_str_eq(exported(records, fields, bit("evidence"), EXPORT_CSV),
	    "id,status,evidence\r\n1,Passed,\r\n2,,\r\n");
	ck_assert_str_eq(exported(records, bit("evidence"), bit("evidence"), EXPORT_CSV),
	    "evidence\r\n\"\"\r\n\"\"\r\n");
}
END_TEST

/* Behind the last record: one line, which tells the result. */
static const char *
cut_end(const char *text)
{
	static char records[4096];
	const char *end = strstr(text, "{\"result\":{\"id\":\"");
	ck_assert_ptr_nonnull(end);
	ck_assert(end == text || end[-1] == '\n');
	ck_assert_ptr_eq(strchr(end, '\n'), text + strlen(text) - 1);
	ck_assert_str_eq(text + strlen(text) - 3, "}}\n");
	snprintf(records, sizeof records, "%.*s", (int)(end - text), text);
	return records;
}

START_TEST(a_line_of_json_is_the_record_of_a_page_and_ends_at_its_end)
{
	static const char records[] =
	    "{\"id\":\"1\",\"status\":\"Passed*\",\"evidence\":{\r\n\"a\" : "
	    "\"\\n\"\n},\"novelty\" :\n [1,\n2]}";
	const char *got = cut_end(exported(records, 0, 0, EXPORT_NDJSON));
	ck_assert_ptr_nonnull(
	    strstr(got, ",\"evidence\":{  \"a\" : \"\\n\" },\"causeOfFailure\":null,"));
	ck_assert_ptr_nonnull(strstr(got, ",\"novelty\":[1, 2]}\n"));
	ck_assert_uint_eq(strcspn(got, "\r\n"), strlen(got) - 1);

	got = cut_end(exported(records, 0, bit("evidence"), EXPORT_NDJSON));
	ck_assert_ptr_nonnull(strstr(got, ",\"evidence\":null,"));
	ck_assert_ptr_nonnull(strstr(got, ",\"novelty\":[1, 2]}\n"));
	got = cut_end(exported(records, bit("evidence") | bit("exception"), 0, EXPORT_NDJSON));
	ck_assert_str_eq(got, "{\"exception\":true,\"evidence\":{  \"a\" : \"\\n\" }}\n");
	ck_assert_str_eq(cut_end(exported("", 0, 0, EXPORT_NDJSON)), "");
}
END_TEST

START_TEST(only_what_is_granted_is_given_and_counted)
{
	static const uint64_t granted[] = {7};
	const struct id_list grant = {granted, ARRAY_LEN(granted)};
	buf_str_add(
	    &in, "[{\"id\":1,\"policyId\":7},{\"id\":2,\"policyId\":8},{\"id\":3,\"policyId\":7}]");
	struct cache_result *result = make_result(false);
	struct answer a = {.cache = cache,
	    .result = result,
	    .transform.fields = bit("id"),
	    .filter.grant = &grant};
	ck_status(run(&a, EXPORT_CSV), STATUS_OK);
	ck_assert_str_eq(buf_str(&out), "id\r\n1\r\n3\r\n");
	ck_status(run(&a, EXPORT_NDJSON), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "\"complete\":false,"));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "\"hostsSeen\":null}"));
	ck_assert_str_eq(cut_end(buf_str(&out)), "{\"id\":1}\n{\"id\":3}\n");
	a.filter.grant = NULL;
	ck_status(run(&a, EXPORT_NDJSON), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "\"hostsSeen\":7}"));
	cache_release(result);
}
END_TEST

/* --- large ones */

START_TEST(pieces_stay_small_whatever_the_result)
{
	char sep = '[';
	for (int i = 0; i < 20000; i++, sep = ',')
		buf_printf(&in, "%c{\"id\":%d,\"dns\":\"%0200d\"}", sep, i + 1, i);
	buf_byte(&in, ']');
	struct cache_result *result = make_result(true);
	struct answer a = {.cache = cache, .result = result};
	for (int form = EXPORT_NDJSON; form <= EXPORT_CSV; form++) {
		size_t lines = 0;
		ck_status(run(&a, (enum export_form)form), STATUS_OK);
		for (size_t i = 0; i < out.len; i++)
			lines += out.data[i] == '\n';
		ck_assert_uint_eq(lines, 20001);
		ck_assert_uint_ge(pieces, 15);
		ck_assert_uint_le(largest, 768 * KIB);
	}
	cache_release(result);
}
END_TEST

/* An object of nothing but quotes is the longest in a CSV: each is two there. */
START_TEST(the_largest_record_passes)
{
	size_t strings = (LIMIT_RECORD_BYTES - 8 * KIB) / 3;
	buf_str_add(&in, "[{\"id\":1,\"evidence\":[\"\"");
	for (size_t i = 1; i < strings; i++)
		buf_str_add(&in, ",\"\"");
	buf_str_add(&in, "]}]");
	struct cache_result *result = make_result(true);
	struct answer a = {.cache = cache, .result = result, .transform.fields = bit("evidence")};
	ck_status(run(&a, EXPORT_NDJSON), STATUS_OK);
	ck_status(run(&a, EXPORT_CSV), STATUS_OK);
	ck_assert_uint_eq(out.len, strlen("evidence\r\n\"[]\"\r\n") + strings * 5 - 1);
	cache_release(result);
}
END_TEST

/* --- whatever is in it comes back */

#define COLUMNS 6
#define ROWS_MOST 40
static const char *const members[COLUMNS] = {
    "policyTitle", "netBios", "rationale", "ip", "dns", "networkName"};

struct want {
	char text[256];
	size_t len;
};

static void
want_bytes(struct want *w, const char *bytes, size_t len)
{
	ck_assert_uint_le(w->len + len, sizeof w->text);
	memcpy(w->text + w->len, bytes, len);
	w->len += len;
}

/* How a character may be written in JSON, and what it is. */
static const struct {
	const char *json, *text;
} letters[] = {{"a", "a"}, {"\\\"", "\""}, {",", ","}, {"\\n", "\n"}, {"\\r", "\r"},
    {"\\u000d\\u000A", "\r\n"}, {"=", "="}, {"-", "-"}, {"@", "@"}, {"+", "+"}, {"\\t", "\t"},
    {"'", "'"}, {" ", " "}, {"\\\\", "\\"}, {"\\u0022", "\""}, {"\\u0000", "\xef\xbf\xbd"},
    {"\xc3\xa9", "\xc3\xa9"}, {"\\u20ac", "\xe2\x82\xac"}, {"\\uD83D\\uDE00", "\xf0\x9f\x98\x80"},
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}, {";", ";"}, {"7", "7"}};

static void
random_text(struct unit_random *r, struct want *w)
{
	size_t count = unit_below(r, 3) == 0 ? 0 : unit_below(r, 12);
	buf_byte(&in, '"');
	for (size_t i = 0; i < count; i++) {
		size_t letter = unit_below(r, ARRAY_LEN(letters));
		buf_str_add(&in, letters[letter].json);
		if (i == 0 && strchr("=+-@\t\r", letters[letter].text[0]) != NULL)
			want_bytes(w, "'", 1);
		want_bytes(w, letters[letter].text, strlen(letters[letter].text));
	}
	buf_byte(&in, '"');
}

static void
random_value(struct unit_random *r, struct want *w)
{
	static const char *const bare[] = {
	    "-12.50", "0", "true", "false", "1E+400", "[]", "[-1]", "{}"};
	w->len = 0;
	switch (unit_below(r, 5)) {
	case 0:
		buf_str_add(&in, "null");
		break;
	case 1: {
		const char *text = bare[unit_below(r, ARRAY_LEN(bare))];
		buf_str_add(&in, text);
		want_bytes(w, text, strlen(text));
		break;
	}
	default:
		random_text(r, w);
	}
}

/* The next cell at *at; moves behind the comma or line end that follows, and tells which. */
static bool
read_cell(const char **at, const char *end, struct want *ret)
{
	bool quoted = *at < end && **at == '"';
	ret->len = 0;
	for (*at += quoted; *at < end; (*at)++) {
		if (quoted && **at == '"' && (*at + 1 == end || (*at)[1] != '"'))
			break;
		if (quoted && **at == '"')
			(*at)++;
		else if (!quoted && (**at == ',' || **at == '\r'))
			break;
		ck_assert(quoted || (**at != '"' && **at != '\n'));
		want_bytes(ret, *at, 1);
	}
	*at += quoted;
	ck_assert(*at < end);
	if (*(*at)++ == ',')
		return false;
	ck_assert(*at < end && (*at)[-1] == '\r' && **at == '\n');
	(*at)++;
	return true;
}

START_TEST(whatever_stands_in_a_record_comes_back)
{
	static struct want wants[ROWS_MOST][COLUMNS];
	uint64_t seed = unit_seed(UINT64_C(0x5eed) + (uint64_t)_i), fields = 0;
	struct unit_random random = {seed}, *r = &random;
	size_t rows = 1 + unit_below(r, ROWS_MOST);
	for (size_t c = 0; c < COLUMNS; c++)
		fields |= bit(members[c]);
	for (size_t i = 0; i < rows; i++) {
		buf_printf(&in, "%s{\"id\":%zu", i == 0 ? "[" : ",", i + 1);
		for (size_t c = 0; c < COLUMNS; c++) {
			buf_printf(&in, ",\"%s\":", members[c]);
			random_value(r, &wants[i][c]);
		}
		buf_byte(&in, '}');
	}
	buf_byte(&in, ']');
	struct cache_result *result = make_result(true);
	struct answer a = {.cache = cache, .result = result, .transform.fields = fields};
	ck_status(run(&a, EXPORT_CSV), STATUS_OK);
	cache_release(result);
	const char *at = strchr(buf_str(&out), '\n') + 1, *end = out.data + out.len;
	for (size_t i = 0; i < rows; i++)
		for (size_t c = 0; c < COLUMNS; c++) {
			struct want got;
			bool last = read_cell(&at, end, &got);
			ck_assert_msg(last == (c == COLUMNS - 1) && got.len == wants[i][c].len &&
					  memcmp(got.text, wants[i][c].text, got.len) == 0,
			    "UNIT_SEED=%llu: row %zu, column %zu", (unsigned long long)seed, i, c);
		}
	ck_assert_ptr_eq(at, end);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("export");
	TCase *t = tcase_create("export");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
	    t, a_cell_has_quotes_and_apostrophes_where_it_needs_them, 0, ARRAY_LEN(texts));
	tcase_add_loop_test(t, a_cell_is_by_the_type_of_its_value, 0, ARRAY_LEN(cells));
	tcase_add_test(t, the_columns_are_the_members_in_their_order);
	tcase_add_test(t, fields_choose_columns_and_what_is_hidden_is_empty);
	tcase_add_test(t, a_line_of_json_is_the_record_of_a_page_and_ends_at_its_end);
	tcase_add_test(t, only_what_is_granted_is_given_and_counted);
	tcase_add_test(t, pieces_stay_small_whatever_the_result);
	tcase_add_test(t, the_largest_record_passes);
	tcase_add_loop_test(t, whatever_stands_in_a_record_comes_back, 0, 40);
	suite_add_tcase(s, t);
	return unit_run(s);
}
