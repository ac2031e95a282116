#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/base/limits.h"
#include "gateway/front/conditions.h"

/* --- reading */

/* Up to the comma that ends an element: one in a quoted text is a part of it (RFC 9110 5.6.4). */
static size_t
element_len(const char *p)
{
	size_t n = 0;
	bool quoted = false;
	for (; p[n] != '\0' && (quoted || p[n] != ','); n++) {
		if (quoted && p[n] == '\\' && p[n + 1] != '\0')
			n++;
		else if (p[n] == '"')
			quoted = !quoted;
	}
	return n;
}

/* The next element of a comma-separated list, without white space around it. */
static bool
next_element(const char **at, const char **ret, size_t *ret_len)
{
	const char *p = *at + strspn(*at, " \t,");
	if (*p == '\0')
		return false;
	size_t len = element_len(p);
	*at = p + len;
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	*ret = p;
	*ret_len = len;
	return true;
}

static bool
is(const char *element, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(element, name, len) == 0;
}

/* NAME=SECONDS, quoted or not, with white space around the sign (RFC 7240 2 has it); at most a hundred
 * years. -1 if it is not that. */
static int64_t
seconds_of(const char *element, size_t len, const char *name)
{
	const char *end = element + len;
	size_t n = strlen(name);
	if (len <= n || strncasecmp(element, name, n) != 0)
		return -1;
	element += n;
	element += strspn(element, " \t");
	if (element >= end || *element != '=')
		return -1;
	element++;
	element += strspn(element, " \t");
	len = element < end ? (size_t)(end - element) : 0;
	if (len >= 2 && element[0] == '"' && element[len - 1] == '"') {
		element++;
		len -= 2;
	}
	int64_t value = 0;
	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (element[i] < '0' || element[i] > '9')
			return -1;
		value = value * 10 + (element[i] - '0');
		if (value > INT64_C(3155760000))
			value = INT64_C(3155760000);
	}
	return value;
}

static void
add_cache_control(struct conditions *c, const char *at)
{
	const char *element;
	size_t len;
	while (next_element(&at, &element, &len)) {
		int64_t seconds = seconds_of(element, len, "max-age");
		if (seconds >= 0)
			c->max_age_ms = seconds * 1000;
		else if (is(element, len, "no-cache"))
			c->no_cache = true;
		else if (is(element, len, "only-if-cached"))
			c->only_if_cached = true;
	}
}

/* The length of a preference up to its parameters, of which none is known. An empty value is none (RFC
 * 7240 2). */
static size_t
without_parameters(const char *element, size_t len)
{
	const char *parameters = memchr(element, ';', len);
	if (parameters != NULL)
		len = (size_t)(parameters - element);
	while (len > 0 && (element[len - 1] == ' ' || element[len - 1] == '\t'))
		len--;
	if (len > 3 && memcmp(element + len - 3, "=\"\"", 3) == 0)
		len -= 3;
	return len;
}

static void
add_prefer(struct conditions *c, const char *at)
{
	const char *element;
	size_t len;
	while (next_element(&at, &element, &len)) {
		len = without_parameters(element, len);
		int64_t seconds = seconds_of(element, len, "wait");
		if (seconds >= 0 && c->wait_ms < 0) /* RFC 7240 2: the first one counts */
			c->wait_ms = seconds * 1000;
		else if (is(element, len, "respond-async"))
			c->respond_async = true;
	}
}

static void
conditions_init(struct conditions *c, const char *if_none_match)
{
	*c = (struct conditions){
	    .max_age_ms = -1, .wait_ms = -1, .if_none_match = if_none_match, .accept = ""};
}

void
conditions_parse(
    struct conditions *c, const char *cache_control, const char *prefer, const char *if_none_match)
{
	conditions_init(c, if_none_match);
	if (cache_control != NULL)
		add_cache_control(c, cache_control);
	if (prefer != NULL)
		add_prefer(c, prefer);
}

/* The weight of a media range in thousandths: "q=0.5" among its parameters, else 1000 (RFC 9110
 * 12.4.2). */
static unsigned
weight_of(const char *element, size_t len)
{
	for (size_t i = 0; i + 3 < len; i++) {
		bool begins = element[i] == ';' || element[i] == ' ' || element[i] == '\t';
		if (!begins || (element[i + 1] | 0x20) != 'q' || element[i + 2] != '=')
			continue;
		const char *digit = element + i + 3;
		if (*digit != '0')
			return 1000;
		unsigned weight = 0, unit = digit[1] == '.' ? 100 : 0;
		for (digit += 2;
		     unit > 0 && digit < element + len && *digit >= '0' && *digit <= '9';
		     digit++, unit /= 10)
			weight += (unsigned)(*digit - '0') * unit;
		return weight;
	}
	return 1000;
}

/* Whether a range of Accept takes the type, and how closely: 2 itself, 1 by its group,
 * 0 as anything; -1: not. */
static int
closeness(const char *element, size_t len, const char *type)
{
	size_t group = strcspn(type, "/");
	if (is(element, len, type))
		return 2;
	if (len >= 2 && len - 2 == group && element[len - 1] == '*' &&
	    strncasecmp(element, type, len - 1) == 0)
		return 1;
	return is(element, len, "*/*") ? 0 : -1;
}

unsigned
conditions_accept(const char *accept, const char *type)
{
	const char *element;
	size_t len;
	int best = -1;
	unsigned weight = 0;
	while (next_element(&accept, &element, &len)) {
		size_t end = 0;
		while (
		    end < len && element[end] != ';' && element[end] != ' ' && element[end] != '\t')
			end++;
		int close = closeness(element, end, type);
		unsigned w = weight_of(element, len);
		if (close < 0 || close < best)
			continue;
		weight = close > best || w > weight ? w : weight;
		best = close;
	}
	return weight;
}

/* The weights of what one may choose from, in thousandths; -1: not named. */
struct codings {
	int gzip, identity, any;
};

/* A weight (RFC 9110 12.4.2), all of the text; -1 if it is none. */
static int
weight(const char *text, size_t len)
{
	int value = 0, unit = 100;
	if (len == 0 || len > 5 || (text[0] != '0' && text[0] != '1') ||
	    (len > 1 && text[1] != '.'))
		return -1;
	value = 1000 * (text[0] - '0');
	for (size_t i = 2; i < len; i++, unit /= 10) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value += unit * (text[i] - '0');
	}
	return value <= 1000 ? value : -1;
}

/* What stands behind a coding: nothing, or its weight. -1 if it is neither. */
static int
weight_behind(const char *text, size_t len)
{
	const char *end = text + len;
	text += strspn(text, " \t");
	if (text >= end)
		return 1000;
	if (*text != ';')
		return -1;
	text++;
	text += strspn(text, " \t");
	if (end - text < 3 || (text[0] | 0x20) != 'q' || text[1] != '=')
		return -1;
	return weight(text + 2, (size_t)(end - text) - 2);
}

/* False if the element is malformed. Of one that comes twice the lower weight counts. */
static bool
add_coding(struct codings *c, const char *element, size_t len)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct {
		const char *name;
		int *weight;
	} known[] = {
	    {"gzip", &c->gzip}, {"x-gzip", &c->gzip}, {"identity", &c->identity}, {"*", &c->any}};
	size_t name = strspn(element, token);
	int w = name > 0 && name <= len ? weight_behind(element + name, len - name) : -1;
	for (size_t i = 0; w >= 0 && i < ARRAY_LEN(known); i++)
		if (is(element, name, known[i].name) &&
		    (*known[i].weight < 0 || w < *known[i].weight))
			*known[i].weight = w;
	return w >= 0;
}

bool
conditions_gzip(const char *const *lines, size_t count)
{
	struct codings c = {-1, -1, -1};
	const char *element;
	size_t len;
	for (size_t i = 0; i < count; i++)
		for (const char *at = lines[i]; next_element(&at, &element, &len);)
			if (!add_coding(&c, element, len))
				return false;
	int gzip = c.gzip >= 0 ? c.gzip : c.any;
	return gzip > 0 && gzip >= c.identity;
}

#define CODING_LINES 16 /* more of them are not looked at, and are as malformed */

static bool
takes_gzip(const struct fcgi *f)
{
	const char *lines[CODING_LINES];
	unsigned count = fcgi_param_count(f, "HTTP_ACCEPT_ENCODING");
	if (count > CODING_LINES)
		return false;
	for (unsigned i = 0; i < count; i++)
		lines[i] = fcgi_param_at(f, "HTTP_ACCEPT_ENCODING", i);
	return conditions_gzip(lines, count);
}

enum status
conditions_read(struct conditions *c, const struct fcgi *f)
{
	/* nginx passes the one of two that it took under a name of its own, and both under HTTP_ */
	static const char *const single[] = {"HTTP_IF_NONE_MATCH", "HTTP_ACCEPT", "CONTENT_TYPE",
	    "HTTP_CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"};
	const char *text;
	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (fcgi_param_count(f, single[i]) > 1)
			return STATUS_BAD_REQUEST;
	conditions_init(c, fcgi_param(f, "HTTP_IF_NONE_MATCH"));
	for (unsigned i = 0; (text = fcgi_param_at(f, "HTTP_CACHE_CONTROL", i)) != NULL; i++)
		add_cache_control(c, text);
	for (unsigned i = 0; (text = fcgi_param_at(f, "HTTP_PREFER", i)) != NULL; i++)
		add_prefer(c, text);
	text = fcgi_param(f, "HTTP_ACCEPT");
	c->accept = text != NULL ? text : "";
	c->gzip = takes_gzip(f);
	return STATUS_OK;
}

bool
conditions_body_announced(const struct fcgi *f)
{
	const char *length = fcgi_param(f, "CONTENT_LENGTH");
	return length != NULL && length[strspn(length, "0")] != '\0';
}

enum status
conditions_length(const struct fcgi *f, size_t most, size_t *ret_len)
{
	const char *length = fcgi_param(f, "CONTENT_LENGTH");
	size_t len = 0;
	if (length == NULL || *length == '\0')
		return STATUS_BAD_REQUEST;
	for (; *length >= '0' && *length <= '9'; length++) {
		len = len * 10 + (size_t)(*length - '0');
		if (len > most)
			return STATUS_TOO_LARGE;
	}
	if (*length != '\0')
		return STATUS_BAD_REQUEST;
	*ret_len = len;
	return STATUS_OK;
}

enum status
conditions_body_length(const struct fcgi *f, size_t *ret_len)
{
	const char *type = fcgi_param(f, "CONTENT_TYPE");
	const char *coding = fcgi_param(f, "HTTP_CONTENT_ENCODING");
	static const char json[] = "application/json";
	if (coding != NULL && *coding != '\0' && strcasecmp(coding, "identity") != 0)
		return STATUS_UNSUPPORTED_MEDIA;
	if (type == NULL || strncasecmp(type, json, sizeof json - 1) != 0)
		return STATUS_UNSUPPORTED_MEDIA;
	type += sizeof json - 1;
	type += strspn(type, " \t;");
	if (*type != '\0' && strcasecmp(type, "charset=utf-8") != 0 &&
	    strcasecmp(type, "charset=\"utf-8\"") != 0)
		return STATUS_UNSUPPORTED_MEDIA;
	return conditions_length(f, LIMIT_BODY_BYTES, ret_len);
}

/* --- what follows */

#define CLOCK_STEP_MS 60000 /* a clock that is set back by less is being disciplined */

enum verdict
conditions_verdict(const struct conditions *c, const struct cache_manifest *m, int64_t now_wall_ms,
    bool may_force, int64_t max_age_floor_ms)
{
	int64_t age = now_wall_ms > m->fetched_at_ms ? now_wall_ms - m->fetched_at_ms : 0;
	/* fetched in what is now the future: the clock was set back, and nobody knows how old it is */
	bool dated_ahead = m->fetched_at_ms > now_wall_ms + CLOCK_STEP_MS;
	if (c->no_cache && may_force)
		return VERDICT_REQUEST;
	if (c->max_age_ms >= 0) {
		int64_t most = c->max_age_ms;
		if (!may_force && most < max_age_floor_ms)
			most = max_age_floor_ms;
		if (age > most || dated_ahead)
			return VERDICT_REQUEST;
	}
	if (now_wall_ms < m->fresh_until_ms && !dated_ahead)
		return VERDICT_FRESH;
	return now_wall_ms < m->stale_until_ms ? VERDICT_STALE : VERDICT_EXPIRED;
}

int64_t
conditions_wait_ms(const struct conditions *c, int64_t default_ms, int64_t most_ms)
{
	if (c->wait_ms >= 0)
		return c->wait_ms < most_ms ? c->wait_ms : most_ms;
	return c->respond_async ? 0 : default_ms;
}

bool
conditions_applied(const struct conditions *c, int64_t waited_ms, bool accepted,
    char ret_text[CONDITIONS_APPLIED_BYTES])
{
	bool async = accepted && c->respond_async, wait = c->wait_ms >= 0;
	ret_text[0] = '\0';
	if (async && wait)
		snprintf(ret_text, CONDITIONS_APPLIED_BYTES, "respond-async, wait=%" PRId64,
		    waited_ms / 1000);
	else if (async)
		snprintf(ret_text, CONDITIONS_APPLIED_BYTES, "respond-async");
	else if (wait)
		snprintf(ret_text, CONDITIONS_APPLIED_BYTES, "wait=%" PRId64, waited_ms / 1000);
	return async || wait;
}

bool
conditions_match(const struct conditions *c, const char *etag)
{
	const char *element;
	size_t len;
	if (etag[0] == 'W') /* the comparison is the weak one (RFC 9110 13.1.2) */
		etag += 2;
	for (const char *at = c->if_none_match; at != NULL && next_element(&at, &element, &len);) {
		if (len == 1 && element[0] == '*')
			return true;
		if (len > 2 && element[0] == 'W' && element[1] == '/') {
			element += 2;
			len -= 2;
		}
		if (len == strlen(etag) && memcmp(element, etag, len) == 0)
			return true;
	}
	return false;
}
