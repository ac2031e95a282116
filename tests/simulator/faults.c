#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/simulator/faults.h"
#include "tests/simulator/gzip.h"
#include "tests/simulator/sim.h"

/* --- another answer */

static void
header_if(struct reply *r, const char *name, const char *value)
{
	if (value[0] != '\0')
		reply_header(r, name, value);
}

static void
strike_status(const struct fault *fault, struct broken *b)
{
	reply_error(b->reply, b->opt, fault->status, fault->code, fault->value);
	if (fault->code == 1960) { /* too many at a time: the rate is not told */
		reply_header(b->reply, "X-RateLimit-Limit", NULL);
		reply_header(b->reply, "X-RateLimit-Window-Sec", NULL);
		reply_header(b->reply, "X-RateLimit-Remaining", NULL);
	}
	header_if(b->reply, "X-RateLimit-ToWait-Sec", fault->to_wait);
	if (strncmp(fault->retry_after, "date:", 5) != 0) {
		header_if(b->reply, "Retry-After", fault->retry_after);
		return;
	}
	reply_date(b->reply, "Retry-After", now_s() + strtoll(fault->retry_after + 5, NULL, 10));
}

static void
replace_reply(struct broken *b, unsigned status)
{
	feed_free(b->reply->feed);
	b->reply->feed = NULL;
	b->reply->body.len = 0;
	b->reply->status = status;
}

static void
strike_no_content(const struct fault *fault, struct broken *b)
{
	replace_reply(b, fault->status);
	reply_header(b->reply, "Content-Type", NULL);
}

static void
strike_body(const struct fault *fault, struct broken *b)
{
	replace_reply(b, fault->status);
	size_t len = strlen(fault->value);
	reply_header(
	    b->reply, "Content-Type", fault->value[0] == '<' ? "text/html" : "application/json");
	sbuf_text(&b->reply->body, fault->value);
	while (len > 0 && b->reply->body.len + len <= (size_t)fault->count)
		sbuf_text(&b->reply->body, fault->value);
}

static void
strike_redirect(const struct fault *fault, struct broken *b)
{
	replace_reply(b, fault->status);
	reply_header(b->reply, "Location", fault->value);
}

/* --- the text */

#define NOWHERE SIZE_MAX
#define BORDER "},{\"id\":" /* the quotes make it one: inside strings they are escaped */

static size_t
find(const struct sbuf *b, const char *text, size_t from)
{
	size_t len = strlen(text);
	if (from >= b->len)
		return NOWHERE;
	const char *at = memmem(b->data + from, b->len - from, text, len);
	return at != NULL ? (size_t)(at - b->data) : NOWHERE;
}

/* The end of the first record: behind its brace. */
static size_t
first_end(const struct sbuf *b)
{
	if (b->len < 4)
		return NOWHERE; /* an array of none */
	size_t border = find(b, BORDER, 0);
	return border != NOWHERE ? border + 1 : b->len - 1;
}

static void
insert(struct sbuf *b, const char *behind, const void *bytes, size_t len)
{
	size_t at = find(b, behind, 0);
	if (at != NOWHERE)
		sbuf_insert(b, at + strlen(behind), bytes, len);
}

/* The row's own value may hold a NUL; one that a test gave cannot. */
static size_t
value_len(const struct fault *fault)
{
	return strcmp(fault->value, fault->row->value) == 0 ? fault->row->value_len
							    : strlen(fault->value);
}

static size_t
place(const struct fault *fault, size_t len)
{
	double at = fault->at <= 1.0 ? fault->at * (double)len : fault->at;
	return at < (double)len ? (size_t)at : len;
}

static void
strike_array_cut(const struct fault *fault, struct broken *b)
{
	if (b->json.len > 0)
		b->json.len = fault->at > 0 ? place(fault, b->json.len) : b->json.len - 1;
}

static void
strike_number(const struct fault *fault, struct broken *b)
{
	insert(
	    &b->json, fault->value, "9", 1); /* one more digit in front: far from all that exist */
}

static void
strike_duplicate(const struct fault *fault, struct broken *b)
{
	(void)fault;
	size_t end = first_end(&b->json);
	if (end == NOWHERE)
		return;
	struct sbuf record = {0};
	sbuf_add(&record, ",", 1);
	sbuf_add(&record, b->json.data + 1, end - 1);
	sbuf_insert(&b->json, b->json.len - 1, record.data, record.len);
	sbuf_free(&record);
}

static void
strike_lost(const struct fault *fault, struct broken *b)
{
	for (int64_t i = 0; i < fault->count && b->json.len > 2; i++) {
		size_t last = 1;
		for (size_t at = 0; (at = find(&b->json, BORDER, at)) != NOWHERE; at++)
			last = at + 1;
		sbuf_cut(&b->json, last, b->json.len - 1 - last);
	}
}

/* What is no array of records stays as it is. */
static void
strike_lost_batch(const struct fault *fault, struct broken *b)
{
	char mark[48];
	int mark_len = snprintf(mark, sizeof(mark), ",\"currentBatch\":%" PRId64 ",", fault->count);
	struct sbuf kept = {0};
	if (b->json.len < 2 || b->json.data[0] != '[')
		return;
	for (size_t at = 1, end; at + 1 < b->json.len; at = end + 1) {
		const char *record = b->json.data + at;
		size_t border = find(&b->json, BORDER, at);
		end = border != NOWHERE ? border + 1 : b->json.len - 1;
		if (memmem(record, end - at, mark, (size_t)mark_len) != NULL)
			continue;
		sbuf_text(&kept, kept.len == 0 ? "[" : ",");
		sbuf_add(&kept, record, end - at);
	}
	sbuf_text(&kept, kept.len == 0 ? "[]" : "]");
	sbuf_free(&b->json);
	b->json = kept;
}

static void
strike_white_space(const struct fault *fault, struct broken *b)
{
	(void)fault;
	for (size_t at = 0; (at = find(&b->json, BORDER, at)) != NOWHERE; at++)
		sbuf_insert(&b->json, at + 2, "\r\n\t ", 4);
	sbuf_insert(&b->json, 1, " \n", 2);
	sbuf_text(&b->json, "\n");
}

static void
strike_prefix(const struct fault *fault, struct broken *b)
{
	sbuf_insert(&b->json, 0, fault->value, value_len(fault));
}

static void
strike_suffix(const struct fault *fault, struct broken *b)
{
	sbuf_add(&b->json, fault->value, value_len(fault));
}

static void
strike_in_string(const struct fault *fault, struct broken *b)
{
	insert(&b->json, "\"policyTitle\":\"", fault->value, value_len(fault));
}

static void
insert_in_first(struct broken *b, const void *bytes, size_t len)
{
	size_t at = find(&b->json, ",\"instance\"", 0);
	if (at != NOWHERE)
		sbuf_insert(&b->json, at, bytes, len);
}

static void
strike_insert(const struct fault *fault, struct broken *b)
{
	insert_in_first(b, fault->value, value_len(fault));
}

static void
strike_member(const struct fault *fault, struct broken *b)
{
	struct sbuf member = {0};
	sbuf_text(&member, ",\"simulatedFault\":");
	sbuf_add(&member, fault->value, value_len(fault));
	insert_in_first(b, member.data, member.len);
	sbuf_free(&member);
}

static void
strike_nesting(const struct fault *fault, struct broken *b)
{
	struct sbuf member = {0};
	sbuf_text(&member, ",\"simulatedFault\":");
	sbuf_fill(&member, '[', (size_t)fault->count);
	sbuf_fill(&member, ']', (size_t)fault->count);
	insert_in_first(b, member.data, member.len);
	sbuf_free(&member);
}

static void
strike_long_string(const struct fault *fault, struct broken *b)
{
	struct sbuf member = {0};
	sbuf_text(&member, ",\"simulatedFault\":\"");
	sbuf_fill(&member, 'x', (size_t)fault->count);
	sbuf_text(&member, "\"");
	insert_in_first(b, member.data, member.len);
	sbuf_free(&member);
}

static void
strike_id(const struct fault *fault, struct broken *b)
{
	static const char id[] = "\"id\":", instance[] = "\"instance\"";
	size_t at = find(&b->json, id, 0), end = find(&b->json, instance, 0);
	if (at == NOWHERE || end == NOWHERE)
		return;
	if (fault->value[0] == '\0') {
		sbuf_cut(&b->json, at, end - at);
		return;
	}
	sbuf_cut(&b->json, at, sizeof(id) - 1);
	sbuf_insert(&b->json, at, fault->value, strlen(fault->value));
}

static void
strike_status_word(const struct fault *fault, struct broken *b)
{
	static const char status[] = ",\"status\":\"";
	size_t at = find(&b->json, status, 0);
	if (at == NOWHERE)
		return;
	at += sizeof(status) - 1;
	sbuf_cut(&b->json, at, find(&b->json, "\"", at) - at);
	sbuf_insert(&b->json, at, fault->value, strlen(fault->value));
}

/* --- the bytes */

static void
strike_cut(const struct fault *fault, struct broken *b)
{
	b->bytes.len = place(fault, b->bytes.len);
}

static void
strike_shorten(const struct fault *fault, struct broken *b)
{
	b->bytes.len -= (size_t)fault->count < b->bytes.len ? (size_t)fault->count : b->bytes.len;
}

static void
strike_flip_end(const struct fault *fault, struct broken *b)
{
	if ((size_t)fault->count <= b->bytes.len && fault->count > 0)
		b->bytes.data[b->bytes.len - (size_t)fault->count] ^= 0x10;
}

static void
strike_flip(const struct fault *fault, struct broken *b)
{
	size_t at = place(fault, b->bytes.len);
	if (at < b->bytes.len)
		b->bytes.data[at] ^= 0x10;
}

static void
strike_tail(const struct fault *fault, struct broken *b)
{
	sbuf_fill(&b->bytes, fault->value[0], (size_t)fault->count);
}

static void
strike_members(const struct fault *fault, struct broken *b)
{
	size_t count = fault->count > 0 ? (size_t)fault->count : 1;
	b->bytes.len = 0;
	for (size_t i = 0; i < count; i++) {
		size_t from = b->json.len * i / count, to = b->json.len * (i + 1) / count;
		gzip_member(b->json.data + from, to - from, &b->bytes);
	}
}

static void
strike_empty_members(const struct fault *fault, struct broken *b)
{
	(void)fault;
	size_t half = b->json.len / 2;
	b->bytes.len = 0;
	gzip_member("", 0, &b->bytes);
	gzip_member(b->json.data, half, &b->bytes);
	gzip_member("", 0, &b->bytes);
	gzip_member("", 0, &b->bytes);
	gzip_member(b->json.data + half, b->json.len - half, &b->bytes);
	gzip_member("", 0, &b->bytes);
}

static void
strike_again(const struct fault *fault, struct broken *b)
{
	(void)fault;
	struct sbuf twice = {0};
	gzip_member(b->bytes.data, b->bytes.len, &twice);
	sbuf_free(&b->bytes);
	b->bytes = twice;
}

static void
strike_label(const struct fault *fault, struct broken *b)
{
	reply_header(b->reply, "Content-Encoding", fault->value);
}

static void
strike_plain_label(const struct fault *fault, struct broken *b)
{
	b->bytes.len = 0;
	sbuf_add(&b->bytes, b->json.data, b->json.len);
	strike_label(fault, b);
}

static void
strike_deflate(const struct fault *fault, struct broken *b)
{
	b->bytes.len = 0;
	uLongf len = compressBound(b->json.len);
	if (compress((Bytef *)sbuf_room(&b->bytes, len), &len, (const Bytef *)b->json.data,
		b->json.len) == Z_OK)
		b->bytes.len = len;
	strike_label(fault, b);
}

/* A raw deflate run that ends on a byte border and refers to nothing before it. */
static void
deflate_run(const void *bytes, size_t len, int flush, struct sbuf *out)
{
	union {
		const void *in;
		Bytef *unqualified; /* the library reads only, but its field is not const */
	} input = {bytes};
	z_stream z = {.next_in = input.unqualified, .avail_in = (uInt)len};
	if (deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	do {
		z.next_out = (Bytef *)sbuf_room(out, 4096);
		z.avail_out = 4096;
		deflate(&z, flush);
		out->len += 4096 - z.avail_out;
	} while (z.avail_out == 0);
	deflateEnd(&z);
}

#define BOMB_BLOCK_BYTES ((size_t)1024 * 1024)

/* The block is compressed once and repeated, so that ten gigabytes take no time to write. */
static void
strike_bomb(const struct fault *fault, struct broken *b)
{
	static const char head[] = "[{\"id\":10000000000,\"instance\":\"", tail[] = "\"}]";
	static const unsigned char gzip_head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
	struct sbuf block = {0}, run = {0};
	sbuf_fill(&block, 'A', BOMB_BLOCK_BYTES);
	deflate_run(block.data, block.len, Z_FULL_FLUSH, &run);
	uLong block_crc = crc32(0, (const Bytef *)block.data, (uInt)block.len);
	uLong crc = crc32(0, (const Bytef *)head, sizeof(head) - 1);
	uint64_t size = sizeof(head) - 1 + sizeof(tail) - 1;
	b->bytes.len = 0;
	sbuf_add(&b->bytes, gzip_head, sizeof(gzip_head));
	deflate_run(head, sizeof(head) - 1, Z_FULL_FLUSH, &b->bytes);
	for (int64_t made = 0; made < fault->count; made += (int64_t)BOMB_BLOCK_BYTES) {
		sbuf_add(&b->bytes, run.data, run.len);
		crc = crc32_combine(crc, block_crc, (z_off_t)BOMB_BLOCK_BYTES);
		size += BOMB_BLOCK_BYTES;
	}
	deflate_run(tail, sizeof(tail) - 1, Z_FINISH, &b->bytes);
	crc = crc32_combine(crc, crc32(0, (const Bytef *)tail, sizeof(tail) - 1), sizeof(tail) - 1);
	for (unsigned i = 0; i < 8; i++) {
		char byte =
		    (char)((i < 4 ? (uint64_t)crc >> (8 * i) : size >> (8 * (i - 4))) & 0xff);
		sbuf_add(&b->bytes, &byte, 1);
	}
	sbuf_free(&block);
	sbuf_free(&run);
}

/* --- the way they are sent */

static void
strike_length(const struct fault *fault, struct broken *b)
{
	b->plan.length_error = fault->count;
}

static void
strike_no_final_chunk(const struct fault *fault, struct broken *b)
{
	(void)fault;
	b->plan.no_final_chunk = true;
}

static void
stop_at(const struct fault *fault, struct broken *b, enum ending ending)
{
	b->plan.ending = ending;
	b->plan.stop_bytes = place(fault, b->bytes.len);
}

static void
strike_bad_chunk(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_BAD_CHUNK);
}

static void
strike_close(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_CLOSE);
}

static void
strike_reset(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_RESET);
}

static void
strike_reset_start(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_RESET);
	b->plan.no_head = true;
}

static void
strike_no_answer(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_CLOSE);
	b->plan.no_head = true;
	sbuf_text(&b->plan.preface, fault->value);
}

static void
strike_stall(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_STALL);
}

static void
strike_stall_head(const struct fault *fault, struct broken *b)
{
	stop_at(fault, b, ENDING_STALL);
	b->plan.no_head = true;
}

static void
strike_drip(const struct fault *fault, struct broken *b)
{
	b->plan.rate = fault->count;
}

static void
strike_header(const struct fault *fault, struct broken *b)
{
	b->plan.header_bytes = fault->count;
	b->plan.header_lines = strtoll(fault->value, NULL, 10);
}

/* --- table and queue */

static const struct fault_row table[] = {
#define FAULT(name, stage, strike, framing, status, code, at, count, value, help)                  \
	{name, STAGE_##stage, strike, FRAMING_##framing, status, code, at, count, value,           \
	    sizeof(value) - 1, help},
#include "tests/simulator/faults_table.h"
#undef FAULT
};
#define ROWS (sizeof(table) / sizeof(table[0]))

const struct fault_row *
fault_find(const char *name, struct fault *fault)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct fault_row *row = &table[i];
		if (strcmp(row->name, name) != 0)
			continue;
		*fault = (struct fault){.row = row,
		    .api = APIS,
		    .times = 1,
		    .at = row->at,
		    .count = row->count,
		    .status = row->status,
		    .code = row->code,
		    .framing = row->framing};
		snprintf(fault->value, sizeof(fault->value), "%s", row->value);
		return row;
	}
	return NULL;
}

void
faults_json(const struct faults *f, struct sbuf *text)
{
	static const char *const stages[] = {"reply", "json", "gzip", "bytes", "wire"};
	sbuf_text(text, "{\"queued\":[");
	for (const struct fault *fault = f->first; fault != NULL; fault = fault->next)
		sbuf_printf(text, "%s{\"fault\":\"%s\",\"skip\":%" PRId64 ",\"times\":%" PRId64 "}",
		    fault == f->first ? "" : ",", fault->row->name, fault->skip, fault->times);
	sbuf_text(text, "],\"faults\":[");
	for (size_t i = 0; i < ROWS; i++) {
		sbuf_printf(text,
		    "%s{\"fault\":\"%s\",\"stage\":\"%s\",\"status\":%u,\"at\":%g,\"count\":"
		    "%" PRId64 ",\"help\":",
		    i == 0 ? "" : ",", table[i].name, stages[table[i].stage], table[i].status,
		    table[i].at, table[i].count);
		sbuf_json(text, table[i].help);
		sbuf_text(text, "}");
	}
	sbuf_text(text, "]}");
}

void
faults_fini(struct faults *f)
{
	while (f->first != NULL) {
		struct fault *next = f->first->next;
		free(f->first);
		f->first = next;
	}
}

void
faults_add(struct faults *f, const struct fault *wanted)
{
	struct fault *fault = sim_alloc(sizeof(*fault));
	*fault = *wanted;
	fault->next = NULL;
	struct fault **end = &f->first;
	while (*end != NULL)
		end = &(*end)->next;
	*end = fault;
}

bool
faults_take(
    struct faults *f, enum api api, const char *uri, const char *body, struct fault *ret_fault)
{
	for (struct fault **at = &f->first; *at != NULL; at = &(*at)->next) {
		struct fault *fault = *at;
		if (fault->api != APIS && fault->api != api)
			continue;
		if (strstr(uri, fault->match) == NULL && strstr(body, fault->match) == NULL)
			continue;
		if (fault->skip > 0) {
			fault->skip--;
			return false;
		}
		*ret_fault = *fault;
		if (fault->times > 0 && --fault->times == 0) {
			*at = fault->next;
			free(fault);
		}
		return true;
	}
	return false;
}

/* --- at work */

static void
render(const struct fault *fault, bool compress, struct broken *b)
{
	struct reply *r = b->reply;
	if (r->feed != NULL) {
		feed_compress(r->feed, false);
		while (feed_read(r->feed, &b->json) != FEED_END)
			;
	} else {
		sbuf_add(&b->json, r->body.data, r->body.len);
	}
	if (fault->row->stage == STAGE_JSON)
		fault->row->strike(fault, b);
	if (compress || fault->row->stage == STAGE_GZIP)
		gzip_member(b->json.data, b->json.len, &b->bytes);
	else
		sbuf_add(&b->bytes, b->json.data, b->json.len);
}

void
fault_apply(const struct fault *fault, bool compress, struct broken *b)
{
	if (fault->row->stage == STAGE_REPLY) {
		fault->row->strike(fault, b);
		return;
	}
	b->plan = (struct raw_plan){.framing = fault->framing, .stop_bytes = UINT64_MAX};
	render(fault, compress, b);
	if (fault->row->stage != STAGE_JSON)
		fault->row->strike(fault, b);
}
