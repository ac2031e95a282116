/* The splitter: what it accepts and refuses, by hand-made tables and against Jansson, and that
 * the borders between pieces of input never matter. */
#include "config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/buf.h"
#include "gateway/base/limits.h"
#include "gateway/fetch/split.h"
#include "tests/unit/unit.h"

/* --- running it */

/* For inner loops: Check writes a file at each of its own assertions. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("%s", #condition);                                            \
	} while (0)

static struct buf doc, seen, again;

static void
setup(void)
{
	buf_init(&doc, 64 * MIB);
	buf_init(&seen, 64 * MIB);
	buf_init(&again, 64 * MIB);
}

static void
teardown(void)
{
	buf_fini(&doc);
	buf_fini(&seen);
	buf_fini(&again);
}

/* Writes down all that it is given. */
static enum status
note_record(void *ctx, const struct split_record *rec)
{
	struct buf *b = ctx;
	buf_add(b, rec->text, rec->len);
	for (size_t i = 0; i < rec->count; i++) {
		const struct split_member *m = &rec->members[i];
		MUST(m->name > rec->text && m->value > m->name + m->name_len);
		MUST(m->value + m->value_len < rec->text + rec->len);
		buf_str_add(b, "\n  ");
		buf_add(b, m->name, m->name_len);
		buf_str_add(b, " = ");
		buf_add(b, m->value, m->value_len);
	}
	buf_byte(b, '\n');
	return STATUS_OK;
}

/* Pieces of at most `most` bytes, of random size if r is given. What each record was goes to out;
 * how far it came to *ret_offset, if asked for. */
static enum status
split_pieces(const char *text, size_t len, size_t most, struct unit_random *r, struct buf *to,
    uint64_t *ret_offset)
{
	struct split *s = split_new(note_record, to);
	enum status st = STATUS_OK;
	size_t at = 0, room;
	MUST(s != NULL);
	while (at < len && st == STATUS_OK) {
		uint8_t *window = split_window(s, &room);
		MUST(window != NULL && room >= 64 * KIB);
		size_t piece = r != NULL ? 1 + unit_below(r, most) : most;
		if (piece > len - at)
			piece = len - at;
		if (piece > room)
			piece = room;
		memcpy(window, text + at, piece);
		at += piece;
		st = split_advance(s, piece);
	}
	enum status end = split_finish(s);
	MUST(st == STATUS_OK || end == st);
	if (ret_offset != NULL)
		*ret_offset = split_offset(s);
	split_free(s);
	return end;
}

static enum status
split_doc(const char *text, size_t len)
{
	buf_reset(&seen);
	return split_pieces(text, len, SIZE_MAX, NULL, &seen, NULL);
}

/* As a whole and byte by byte: the same. */
static void
expect_bytes(const char *text, size_t len, enum status want)
{
	enum status st = split_doc(text, len);
	if (st != want)
		ck_abort_msg("%.*s: %s, not %s", (int)len, text, status_info(st)->name,
		    status_info(want)->name);
	buf_reset(&again);
	st = split_pieces(text, len, 1, NULL, &again, NULL);
	if (st != want)
		ck_abort_msg("%.*s byte by byte: %s, not %s", (int)len, text, status_info(st)->name,
		    status_info(want)->name);
	MUST(strcmp(buf_str(&seen), buf_str(&again)) == 0);
}

static void
expect(const char *text, enum status want)
{
	expect_bytes(text, strlen(text), want);
}

/* The text as the value of a member. */
static void
expect_value(const char *value, size_t len, enum status want)
{
	static const char *const around[][2] = {
	    {"[{\"a\":", "}]"}, {"[{\"a\":[", ",1]}]"}, {"[{\"a\":{\"b\":", "}}]"}};
	for (size_t i = 0; i < ARRAY_LEN(around); i++) {
		buf_reset(&doc);
		buf_str_add(&doc, around[i][0]);
		buf_add(&doc, value, len);
		buf_str_add(&doc, around[i][1]);
		expect_bytes(doc.data, doc.len, want);
	}
}

/* --- records and members */

START_TEST(gives_records_with_their_members)
{
	expect("[{\"id\":1,\"os\":null,\"t\":{\"id\":2,\"n\":[\"},{\"]}},{\"id\":\"\"},{}]",
	    STATUS_OK);
	ck_assert_str_eq(buf_str(&seen), "{\"id\":1,\"os\":null,\"t\":{\"id\":2,\"n\":[\"},{\"]}}\n"
					 "  id = 1\n  os = null\n  t = {\"id\":2,\"n\":[\"},{\"]}\n"
					 "{\"id\":\"\"}\n  id = \"\"\n"
					 "{}\n");
}
END_TEST

START_TEST(leaves_white_space_out_of_spans)
{
	expect(
	    " \t\r\n[ {\n \"a b\" : -1.5e3 ,\t\"\" :\r[ 1 , { } , [ ] ] , \"c\":true } ,\n{ } ] \n",
	    STATUS_OK);
	ck_assert_str_eq(buf_str(&seen),
	    "{\n \"a b\" : -1.5e3 ,\t\"\" :\r[ 1 , { } , [ ] ] , \"c\":true }\n"
	    "  a b = -1.5e3\n   = [ 1 , { } , [ ] ]\n  c = true\n"
	    "{ }\n");
}
END_TEST

START_TEST(counts_records_and_bytes)
{
	struct split *s = split_new(note_record, &seen);
	size_t room;
	const char text[] = "[{\"a\":1},{}] ";
	memcpy(split_window(s, &room), text, strlen(text));
	ck_status(split_advance(s, strlen(text)), STATUS_OK);
	ck_assert_uint_eq(split_records(s), 2);
	ck_assert_uint_eq(split_offset(s), strlen(text));
	ck_status(split_finish(s), STATUS_OK);
	split_free(s);
	split_free(NULL);
}
END_TEST

START_TEST(hands_a_record_over_at_its_closing_brace)
{
	struct split *s = split_new(note_record, &seen);
	const char text[] = "[{\"a\":1}";
	size_t room;
	for (size_t i = 0; i < strlen(text); i++) {
		ck_assert_uint_eq(split_records(s), 0);
		*split_window(s, &room) = (uint8_t)text[i];
		ck_status(split_advance(s, 1), STATUS_OK);
	}
	ck_assert_uint_eq(split_records(s), 1);
	ck_status(split_finish(s), STATUS_UPSTREAM_BAD_DATA);
	split_free(s);
}
END_TEST

static enum status
second_is_too_much(void *ctx, const struct split_record *rec)
{
	size_t *calls = ctx;
	(void)rec;
	return ++*calls == 2 ? STATUS_STORE_FULL : STATUS_OK;
}

START_TEST(ends_with_what_the_callback_gives)
{
	size_t calls = 0, room;
	struct split *s = split_new(second_is_too_much, &calls);
	const char text[] = "[{},{},{}]";
	memcpy(split_window(s, &room), text, strlen(text));
	ck_status(split_advance(s, strlen(text)), STATUS_STORE_FULL);
	ck_assert_uint_eq(calls, 2);
	ck_assert_uint_eq(split_offset(s), 6);
	ck_assert_ptr_null(split_window(s, &room));
	ck_status(split_advance(s, 0), STATUS_STORE_FULL);
	ck_status(split_finish(s), STATUS_STORE_FULL);
	split_free(s);
}
END_TEST

/* --- what is accepted and what is not */

START_TEST(accepts_an_array_of_objects)
{
	static const char *const good[] = {"[]", " [ ] ", "[{}]", "[{},{}]", "[{\"\":\"\"}]",
	    "[{\"a\":{\"a\":{\"a\":1,\"b\":2}},\"b\":[[],[[]],{}]}]", "[{\"a\":1},{\"a\":1}]",
	    "\n\n[{\"a\":[true,false,null]}]\r\n\t "};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect(good[i], STATUS_OK);
}
END_TEST

START_TEST(refuses_everything_else)
{
	static const char *const bad[] = {"{}", "null", "1", "\"a\"", "[]]", "[][]", "[] x", "[],",
	    "\xef\xbb\xbf[]", "[1]", "[null]", "[[]]", "[\"a\"]", "[{},]", "[,{}]", "[{}{}]",
	    "[{},{},]", "[{},1]", "[{}}", "[}", "[{]", "[{\"a\"}]", "[{\"a\":}]", "[{\"a\":1,}]",
	    "[{,}]", "[{\"a\" 1}]", "[{\"a\":1 \"b\":2}]", "[{a:1}]", "[{'a':1}]", "[{1:1}]",
	    "[{null:1}]", "[{\"a\"::1}]", "[{\"a\":1,,\"b\":2}]", "[{\"a\":[1,]}]",
	    "[{\"a\":[,1]}]", "[{\"a\":[1 2]}]", "[{\"a\":[1}]}]", "[{\"a\":{]}]", "[{\"a\":(1)}]",
	    "[{\"a\":1}] {}", "[{\"a\":1};{}]", "[{\"a\":undefined}]", "[{\"a\":/* c */1}]",
	    "[{\"a\":1//c\n}]", "[{\"a\":\"b\"\"c\"}]", "[{\"a\":1\f}]", "[{\"a\":\v1}]",
	    "\x1f\x8b",
	    ("[{\"a\":\xc2\xa0"
	     "1}]"),
	    "[{\"a\":[\"b\":1]}]", "[{\"a\",\"b\"}]", "[{[]:1}]"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(bad[i], STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(tells_a_cut_from_an_error)
{
	const char text[] =
	    " [ {\"a\\u00e9\":[1.5e+3,true,\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"]} , {} ]";
	expect(text, STATUS_OK);
	for (size_t len = 0; len < strlen(text); len++)
		expect_bytes(text, len, STATUS_UPSTREAM_BAD_DATA);
}
END_TEST

START_TEST(takes_any_number_and_only_numbers)
{
	static const char *const good[] = {"0", "-0", "1", "-1", "10",
	    "123456789012345678901234567890", "0.0", "-0.10", "1.5", "0e0", "1E5", "1e+5", "1e-5",
	    "1.25E+400", "9007199254740993", "0.1000000000000000055511151231257827"};
	static const char *const bad[] = {"-", "+1", "01", "-01", "00", "1.", ".5", "-.5", "1.e5",
	    "1e", "1e+", "1e-", "1E+ 5", "0x10", "1a", "1.5.5", "1e5e5", "--1", "1-", "NaN",
	    "Infinity", "-Infinity", "1 2", "1_000", "1,5", "\xd9\xa1"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect_value(good[i], strlen(good[i]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (strcmp(bad[i], "1,5") != 0)
			expect_value(bad[i], strlen(bad[i]), STATUS_UPSTREAM_MALFORMED);
	expect("[{\"a\":1,5}]", STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(takes_the_three_literals)
{
	static const char *const good[] = {"true", "false", "null"};
	static const char *const bad[] = {"True", "TRUE", "tru", "truee", "nul", "nulll", "NULL",
	    "fals", "falsee", "t", "n", "f", "nil", "none", "tr ue", "truefalse", "nulltrue"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect_value(good[i], strlen(good[i]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_value(bad[i], strlen(bad[i]), STATUS_UPSTREAM_MALFORMED);
}
END_TEST

/* Also as a name. */
static void
expect_string(const char *text, size_t len, enum status want)
{
	struct buf quoted;
	buf_init(&quoted, KIB);
	buf_byte(&quoted, '"');
	buf_add(&quoted, text, len);
	buf_byte(&quoted, '"');
	expect_value(quoted.data, quoted.len, want);
	buf_reset(&doc);
	buf_str_add(&doc, "[{");
	buf_add(&doc, quoted.data, quoted.len);
	buf_str_add(&doc, ":1}]");
	expect_bytes(doc.data, doc.len, want);
	buf_fini(&quoted);
}

START_TEST(checks_escapes)
{
	static const char *const good[] = {"\\\"", "\\\\", "\\/", "\\b\\f\\n\\r\\t", "\\u0000",
	    "\\u001f", "\\uABCD", "\\uabcd", "\\ud7ff", "\\ue000", "\\ud800\\udc00",
	    "\\uDBFF\\uDFFF", "\\uD83D\\uDE00x", "\\\\u12", "\\\\\\\"", "a\\nb\\\\c"};
	static const char *const bad[] = {"\\a", "\\'", "\\x41", "\\0", "\\U0041", "\\u", "\\u1",
	    "\\u12", "\\u123", "\\u123g", "\\u 123", "\\u-123", "\\ud800", "\\udbff", "\\udc00",
	    "\\udfff", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041", "\\ud800\\ud800",
	    "\\udc00\\ud800", "\\ud800\\udbff", "\\ud800\\ue000", "\\ud800\\u", "\\ud83d\\ude0",
	    "\\ud83d\\\\de00", "\\\xc3\xa9", "\\ n", "\\\n"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect_string(good[i], strlen(good[i]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_string(bad[i], strlen(bad[i]), STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(checks_utf8)
{
	static const char *const good[] = {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
	    "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf",
	    "\x7f", "a\xc3\xa9z", "\xe2\x82\xac\xe2\x82\xac"};
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
	    "\xc2\x41", "\xc2\xc2\x80", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82\x41",
	    "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98",
	    "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff",
	    "caf\xe9", "\xe9t\xe9"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect_string(good[i], strlen(good[i]), STATUS_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_string(bad[i], strlen(bad[i]), STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(refuses_control_characters_everywhere)
{
	for (int c = 0; c < 0x20; c++) {
		char text[] = {'a', (char)c, 'b', 0};
		expect_string(text, 3, STATUS_UPSTREAM_MALFORMED);
		bool space = c == '\t' || c == '\n' || c == '\r';
		char outside[] = "[{\"a\" :1}] ";
		outside[5] = (char)c;
		expect_bytes(outside, strlen("[{\"a\" :1}] "),
		    space ? STATUS_OK : STATUS_UPSTREAM_MALFORMED);
		outside[5] = ' ';
		outside[10] = (char)c;
		expect_bytes(outside, strlen("[{\"a\" :1}] "),
		    space ? STATUS_OK : STATUS_UPSTREAM_MALFORMED);
	}
}
END_TEST

START_TEST(finds_the_end_of_a_string_at_any_place)
{
	/* what stops the loop over plain text, at each distance from each border of a load */
	static const char *const stops[] = {"", "\\\"", "\\\\", "\xc3\xa9", "\\u00e9"};
	for (size_t i = 0; i < ARRAY_LEN(stops); i++)
		for (size_t before = 0; before < 40; before++) {
			buf_reset(&doc);
			buf_str_add(&doc, "[{\"n\":\"");
			for (size_t n = 0; n < before; n++)
				buf_byte(&doc, (char)(' ' + 2 + n % 50));
			for (size_t n = 7; n < doc.len; n++)
				if (doc.data[n] == '"' || doc.data[n] == '\\')
					doc.data[n] = 'q';
			buf_str_add(&doc, stops[i]);
			buf_str_add(&doc, "\"}]");
			expect_bytes(doc.data, doc.len, STATUS_OK);
		}
}
END_TEST

/* --- names twice */

START_TEST(refuses_a_name_twice_at_the_top_however_it_is_spelled)
{
	static const char *const bad[] = {"[{\"a\":1,\"a\":1}]", "[{\"\":1,\"\":2}]",
	    "[{\"a\":1,\"b\":2,\"\\u0061\":3}]", "[{\"\\u0061\":1,\"a\":2}]",
	    "[{\"\\u0061\":1,\"\\u0061\":2}]", "[{\"\\u00e9\":1,\"\xc3\xa9\":2}]",
	    "[{\"\\u00E9\":1,\"\\u00e9\":2}]", "[{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}]",
	    "[{\"a\\/b\":1,\"a/b\":2}]", "[{\"\\n\":1,\"\\u000a\":2}]",
	    "[{\"\\\\\":1,\"\\u005c\":2}]",
	    "[{\"policyIdpolicyId\":1,\"policyId\\u0070olicyId\":2}]"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(bad[i], STATUS_UPSTREAM_MALFORMED);
}
END_TEST

START_TEST(takes_names_that_only_look_alike)
{
	static const char *const good[] = {"[{\"a\":1,\"A\":2}]", "[{\"a\":1,\"a \":2}]",
	    "[{\"a\":1,\"b\":{\"a\":1,\"a\":2}}]", "[{\"a\":{\"b\":1},\"b\":2}]",
	    "[{\"a\":1},{\"a\":2}]", "[{\"\":1,\"\\u0000\":2}]",
	    "[{\"\\u0000\":1,\"\\u0000\\u0000\":2}]", "[{\"\\\\u0061\":1,\"a\":2}]",
	    "[{\"aaaaaaaa\":1,\"aaaaaaaaa\":2,\"aaaaaaaaaaaaaaaa\":3}]",
	    "[{\"\\\\n\":1,\"\\n\":2}]", "[{\"e\\u0301\":1,\"\\u00e9\":2}]"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect(good[i], STATUS_OK);
}
END_TEST

START_TEST(finds_the_second_of_many_names)
{
	for (size_t twin = 0; twin < 200; twin += 13) {
		buf_reset(&doc);
		buf_str_add(&doc, "[{");
		for (unsigned i = 0; i < 200; i++)
			buf_printf(&doc, "\"member%u\":%u,", i, i);
		buf_printf(&doc, "\"member%zu\":0}]", twin);
		expect_bytes(doc.data, doc.len, STATUS_UPSTREAM_MALFORMED);
		doc.data[doc.len - 6] = 'x';
		expect_bytes(doc.data, doc.len, STATUS_OK);
	}
}
END_TEST

/* --- caps */

START_TEST(stops_at_the_cap_on_depth)
{
	/* the array and the record are two levels */
	for (int over = 0; over < 2; over++)
		for (int object = 0; object < 2; object++) {
			size_t inner = LIMIT_JSON_DEPTH - 2 + (size_t)over;
			buf_reset(&doc);
			buf_str_add(&doc, "[{\"a\":");
			for (size_t i = 0; i < inner; i++)
				buf_str_add(&doc, object ? (i + 1 < inner ? "{\"b\":" : "{") : "[");
			for (size_t i = 0; i < inner; i++)
				buf_byte(&doc, object ? '}' : ']');
			buf_str_add(&doc, "}]");
			expect_bytes(
			    doc.data, doc.len, over ? STATUS_UPSTREAM_TOO_LARGE : STATUS_OK);
		}
}
END_TEST

START_TEST(stops_at_the_cap_on_members)
{
	for (unsigned over = 0; over < 2; over++) {
		buf_reset(&doc);
		buf_str_add(&doc, "[{");
		for (unsigned i = 0; i < LIMIT_RECORD_MEMBERS + over; i++)
			buf_printf(&doc, "%s\"m%u\":{\"n\":0}", i > 0 ? "," : "", i);
		buf_str_add(&doc, "}]");
		expect_bytes(doc.data, doc.len, over ? STATUS_UPSTREAM_TOO_LARGE : STATUS_OK);
	}
}
END_TEST

START_TEST(stops_at_the_cap_on_record_size)
{
	/* long strings, many elements, and white space: all count */
	static const char fill[] = "x1 ";
	for (size_t kind = 0; kind < 3; kind++)
		for (int over = -1; over < 2; over++) {
			const char *head = kind == 0   ? "{\"a\":\""
					   : kind == 1 ? "{\"a\":"
						       : "{\"a\":1";
			const char *tail = kind == 0 ? "\"}" : "}";
			buf_reset(&doc);
			buf_str_add(&doc, "[{},");
			buf_str_add(&doc, head);
			size_t fills =
			    LIMIT_RECORD_BYTES + (size_t)over - strlen(head) - strlen(tail);
			char *at = buf_room(&doc, fills);
			memset(at, fill[kind], fills);
			buf_used(&doc, fills);
			buf_str_add(&doc, tail);
			buf_str_add(&doc, "]");
			enum status want = over > 0 ? STATUS_UPSTREAM_TOO_LARGE : STATUS_OK;
			ck_status(split_doc(doc.data, doc.len), want);
			buf_reset(&seen);
			ck_status(split_pieces(doc.data, doc.len, 4093, NULL, &seen, NULL), want);
			/* an error behind the cap is not looked at */
			doc.data[doc.len - 2] = '\1';
			ck_status(split_doc(doc.data, doc.len),
			    over > 0 ? STATUS_UPSTREAM_TOO_LARGE : STATUS_UPSTREAM_MALFORMED);
		}
}
END_TEST

START_TEST(tells_where_it_failed)
{
	uint64_t offset;
	buf_str_add(&doc, "[{\"a\":1}");
	for (int i = 0; i < 100000; i++)
		buf_printf(&doc, ",{\"id\":%d}", i);
	size_t wrong = doc.len;
	buf_str_add(&doc, "!]");
	for (size_t most = 1; most < 1000000; most *= 31) {
		buf_reset(&seen);
		ck_status(split_pieces(doc.data, doc.len, most, NULL, &seen, &offset),
		    STATUS_UPSTREAM_MALFORMED);
		ck_assert_uint_eq(offset, wrong);
	}
}
END_TEST

/* --- generated documents */

static void
add_space(struct buf *b, struct unit_random *r, bool spaced)
{
	while (spaced && unit_below(r, 3) == 0)
		buf_byte(b, " \t\n\r"[unit_below(r, 4)]);
}

static void
add_string(struct buf *b, struct unit_random *r)
{
	static const char *const parts[] = {"a", "policy", "\\n", "\\\"", "\\\\", "\xc3\xa9",
	    "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\\u20ac", "\\ud83d\\ude00", "},{", "[", ":",
	    "\x7f", " ", "\\/", "plain text of some length", "0"};
	buf_byte(b, '"');
	for (size_t n = unit_below(r, 8); n > 0; n--)
		buf_str_add(b, parts[unit_below(r, ARRAY_LEN(parts))]);
	buf_byte(b, '"');
}

static void add_members(struct buf *b, struct unit_random *r, bool spaced, unsigned depth);

static void
add_value(struct buf *b, struct unit_random *r, bool spaced, unsigned depth)
{
	static const char *const atoms[] = {
	    "null", "true", "false", "0", "-1", "23006235045", "1.50", "2e-3", "-0.0", "7E+2"};
	size_t kind = unit_below(r, depth < 5 ? 8 : 6);
	if (kind < 3) {
		buf_str_add(b, atoms[unit_below(r, ARRAY_LEN(atoms))]);
	} else if (kind < 6) {
		add_string(b, r);
	} else if (kind == 6) {
		buf_byte(b, '[');
		add_space(b, r, spaced);
		for (size_t i = 0, n = unit_below(r, 4); i < n; i++) {
			if (i > 0)
				buf_byte(b, ',');
			add_space(b, r, spaced);
			add_value(b, r, spaced, depth + 1);
			add_space(b, r, spaced);
		}
		buf_byte(b, ']');
	} else {
		add_members(b, r, spaced, depth + 1);
	}
}

/* Names are numbered: none stands twice. */
static void
add_members(struct buf *b, struct unit_random *r, bool spaced, unsigned depth)
{
	buf_byte(b, '{');
	add_space(b, r, spaced);
	for (size_t i = 0, n = unit_below(r, 6); i < n; i++) {
		if (i > 0)
			buf_byte(b, ',');
		add_space(b, r, spaced);
		add_string(b, r);
		b->len--;
		buf_printf(b, "%zu\"", i);
		add_space(b, r, spaced);
		buf_byte(b, ':');
		add_space(b, r, spaced);
		add_value(b, r, spaced, depth);
		add_space(b, r, spaced);
	}
	buf_byte(b, '}');
}

static void
add_document(struct buf *b, struct unit_random *r, size_t most)
{
	bool spaced = unit_below(r, 2) == 0;
	add_space(b, r, spaced);
	buf_byte(b, '[');
	add_space(b, r, spaced);
	for (size_t i = 0, n = unit_below(r, most); i < n; i++) {
		if (i > 0)
			buf_byte(b, ',');
		add_space(b, r, spaced);
		add_members(b, r, spaced, 1);
		add_space(b, r, spaced);
	}
	buf_byte(b, ']');
	add_space(b, r, spaced);
}

START_TEST(gives_the_same_for_any_borders)
{
	uint64_t seed = unit_seed(1);
	struct unit_random r = {seed};
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 300; round++) {
		buf_reset(&doc);
		add_document(&doc, &r, round % 50 == 0 ? 4000 : 30);
		ck_status(split_doc(doc.data, doc.len), STATUS_OK);
		for (int n = 0; n < 5; n++) {
			buf_reset(&again);
			size_t most = (size_t)1 << unit_below(&r, 18);
			ck_status(
			    split_pieces(doc.data, doc.len, most, &r, &again, NULL), STATUS_OK);
			ck_assert_uint_eq(seen.len, again.len);
			ck_assert(seen.len == 0 || memcmp(seen.data, again.data, seen.len) == 0);
		}
	}
}
END_TEST

static void
damage(struct buf *b, struct unit_random *r)
{
	static const char bytes[] = "{}[],:\"\\0-1.eE+tfnu/ \n\t\x01\x80\xc3\xa9\xed\xf0\xff";
	for (size_t n = unit_below(r, 4); n > 0 && b->len > 0; n--) {
		size_t at = unit_below(r, b->len);
		char byte = bytes[unit_below(r, sizeof bytes)];
		switch (unit_below(r, 4)) {
		case 0:
			b->data[at] = byte;
			break;
		case 1: /* left out */
			memmove(b->data + at, b->data + at + 1, b->len - at - 1);
			b->len--;
			break;
		case 2: /* put in */
			buf_byte(b, 0);
			memmove(b->data + at + 1, b->data + at, b->len - 1 - at);
			b->data[at] = byte;
			break;
		default: /* cut off */
			if (unit_below(r, 4) == 0)
				b->len = at;
		}
	}
}

/* What Jansson makes of it: an array of objects, or not. *ret_unsure: it refused for a reason of
 * its own (numbers that overflow, NUL), or saw a name twice, which is only wrong at the top. */
static bool
jansson_accepts(const char *text, size_t len, bool *ret_unsure)
{
	json_error_t error;
	json_t *json = json_loadb(text, len, 0, &error), *record;
	bool good = json_is_array(json);
	size_t i;
	*ret_unsure = false;
	if (len > 0 && memchr(text, 0, len) != NULL) {
		/* it overlooks a NUL behind a number */
		json_decref(json);
		return false;
	}
	if (json == NULL) {
		enum json_error_code code = json_error_code(&error);
		*ret_unsure = code == json_error_numeric_overflow ||
			      code == json_error_null_character ||
			      code == json_error_null_byte_in_key;
		return false;
	}
	json_array_foreach(json, i, record) good = good && json_is_object(record);
	json_decref(json);
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	*ret_unsure = json == NULL;
	json_decref(json);
	return good;
}

START_TEST(agrees_with_jansson)
{
	uint64_t seed = unit_seed(2);
	struct unit_random r = {seed};
	size_t accepted = 0, unsure = 0;
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 20000; round++) {
		bool doubt;
		buf_reset(&doc);
		add_document(&doc, &r, 4);
		damage(&doc, &r);
		bool want = jansson_accepts(doc.data, doc.len, &doubt);
		buf_reset(&seen);
		enum status st = split_pieces(doc.data, doc.len, 64, &r, &seen, NULL);
		unsure += doubt;
		accepted += st == STATUS_OK;
		if (!doubt && (st == STATUS_OK) != want)
			ck_abort_msg("%.*s: %s", (int)doc.len, doc.data, status_info(st)->name);
	}
	/* both sides were tried, and few were left open */
	ck_assert_uint_gt(accepted, 4000);
	ck_assert_uint_lt(accepted, 16000);
	ck_assert_uint_lt(unsure, 1000);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("split");
	TCase *tc = tcase_create("split");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, gives_records_with_their_members);
	tcase_add_test(tc, leaves_white_space_out_of_spans);
	tcase_add_test(tc, counts_records_and_bytes);
	tcase_add_test(tc, hands_a_record_over_at_its_closing_brace);
	tcase_add_test(tc, ends_with_what_the_callback_gives);
	tcase_add_test(tc, accepts_an_array_of_objects);
	tcase_add_test(tc, refuses_everything_else);
	tcase_add_test(tc, tells_a_cut_from_an_error);
	tcase_add_test(tc, takes_any_number_and_only_numbers);
	tcase_add_test(tc, takes_the_three_literals);
	tcase_add_test(tc, checks_escapes);
	tcase_add_test(tc, checks_utf8);
	tcase_add_test(tc, refuses_control_characters_everywhere);
	tcase_add_test(tc, finds_the_end_of_a_string_at_any_place);
	tcase_add_test(tc, refuses_a_name_twice_at_the_top_however_it_is_spelled);
	tcase_add_test(tc, takes_names_that_only_look_alike);
	tcase_add_test(tc, finds_the_second_of_many_names);
	tcase_add_test(tc, stops_at_the_cap_on_depth);
	tcase_add_test(tc, stops_at_the_cap_on_members);
	tcase_add_test(tc, stops_at_the_cap_on_record_size);
	tcase_add_test(tc, tells_where_it_failed);
	tcase_add_test(tc, gives_the_same_for_any_borders);
	tcase_add_test(tc, agrees_with_jansson);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
