#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/digits.h"
#include "gateway/ops/value.h"

/* A run of characters that is not NUL-terminated. */
struct span {
	const char *at;
	size_t len;
};

static bool
span_is(struct span s, const char *word)
{
	return strlen(word) == s.len && memcmp(word, s.at, s.len) == 0;
}

static bool
takes_prefix(struct span *s, const char *prefix)
{
	size_t len = strlen(prefix);
	if (s->len < len || memcmp(s->at, prefix, len) != 0)
		return false;
	s->at += len;
	s->len -= len;
	return true;
}

static bool
within(uint64_t value, const struct value_spec *spec)
{
	return value >= spec->least && value <= spec->most;
}

/* --- numbers with and without units */

struct unit {
	const char *suffix;
	uint64_t factor;
};
/* the larger ones first: that is the order in which a bound looks for its own */
static const struct unit durations[] = {
    {"d", UINT64_C(86400000)},
    {"h", UINT64_C(3600000)},
    {"m", UINT64_C(60000)},
    {"s", UINT64_C(1000)},
    {"ms", UINT64_C(1)},
};
static const struct unit sizes[] = {
    {"T", UINT64_C(1) << 40},
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"k", UINT64_C(1) << 10},
};

static bool
read_with_unit(struct span s, const struct unit *units, size_t count, uint64_t *ret)
{
	size_t digits = 0;
	while (digits < s.len && s.at[digits] >= '0' && s.at[digits] <= '9')
		digits++;
	struct span suffix = {s.at + digits, s.len - digits};
	uint64_t value;
	if (!digits_read(s.at, digits, 0, UINT64_MAX, &value))
		return false;
	for (size_t i = 0; i < count; i++)
		if (span_is(suffix, units[i].suffix))
			return !__builtin_mul_overflow(value, units[i].factor, ret);
	return false;
}

static const char *
with_unit(struct arena *a, uint64_t value, const struct unit *units, size_t count)
{
	size_t i = 0;
	while (i + 1 < count && value % units[i].factor != 0)
		i++;
	return arena_printf(a, "%" PRIu64 "%s", value / units[i].factor, units[i].suffix);
}

/* --- texts */

/* name, or address in brackets, with or without a port; no user information */
static bool
is_authority(struct span s)
{
	size_t i = 0;
	if (s.len > 0 && s.at[0] == '[') {
		const char *close = memchr(s.at, ']', s.len);
		if (close == NULL || close == s.at + 1)
			return false;
		i = (size_t)(close - s.at) + 1;
		if (strspn(s.at + 1, "0123456789abcdefABCDEF:.") < i - 2)
			return false;
	} else {
		while (i < s.len &&
		       ((s.at[i] >= 'a' && s.at[i] <= 'z') || (s.at[i] >= 'A' && s.at[i] <= 'Z') ||
			   (s.at[i] >= '0' && s.at[i] <= '9') || s.at[i] == '.' || s.at[i] == '-'))
			i++;
	}
	uint64_t port;
	return i > 0 && (i == s.len || (s.at[i] == ':' && digits_read(s.at + i + 1, s.len - i - 1,
							      1, 65535, &port)));
}

static bool
is_path_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("?#\"<>\\^`{|}", c) == NULL;
}

/* Splits into authority and what follows it. */
static bool
split_url(struct span s, struct span *ret_authority, struct span *ret_path)
{
	if (!takes_prefix(&s, "https://") && !takes_prefix(&s, "http://"))
		return false;
	const char *slash = memchr(s.at, '/', s.len);
	size_t len = slash != NULL ? (size_t)(slash - s.at) : s.len;
	*ret_authority = (struct span){s.at, len};
	*ret_path = (struct span){s.at + len, s.len - len};
	return true;
}

static bool
read_url(struct arena *a, struct span s, const char **ret)
{
	struct span authority, path;
	if (!split_url(s, &authority, &path) || !is_authority(authority))
		return false;
	for (size_t i = 0; i < path.len; i++)
		if (!is_path_char(path.at[i]))
			return false;
	while (s.at[s.len - 1] == '/')
		s.len--; /* ends at the authority's last character at the latest */
	*ret = arena_dup(a, s.at, s.len);
	return *ret != NULL;
}

/* What may stand in a URI as it is, so that it can stand between < and > in a header. */
static bool
is_uri_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("\"<>\\^`{|}", c) == NULL;
}

static bool
read_link(struct arena *a, struct span s, const char **ret)
{
	struct span authority, path;
	for (size_t i = 0; i < s.len; i++)
		if (!is_uri_char(s.at[i]))
			return false;
	bool is_path = s.at[0] == '/' && (s.len == 1 || s.at[1] != '/');
	if (!is_path && (!split_url(s, &authority, &path) || !is_authority(authority)))
		return false;
	*ret = arena_dup(a, s.at, s.len);
	return *ret != NULL;
}

bool
value_url_is_plaintext(const char *url)
{
	struct span host = {url, strlen(url)};
	if (!takes_prefix(&host, "http://"))
		return false;
	host.len = host.at[0] == '[' ? strcspn(host.at, "]") + 1 : strcspn(host.at, ":/");
	if (span_is(host, "localhost") || span_is(host, "[::1]"))
		return false;
	/* 127.0.0.0/8, and nothing that only begins like it (127.example.com) */
	return !(takes_prefix(&host, "127.") && strspn(host.at, "0123456789.") >= host.len);
}

static bool
ends_in(struct span s, const char *tail)
{
	size_t len = strlen(tail);
	return s.len > len && memcmp(s.at + s.len - len, tail, len) == 0;
}

/* As browsers send it: it is compared byte by byte with what they send. */
static bool
is_origin(struct span s)
{
	struct span authority, path;
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] >= 'A' && s.at[i] <= 'Z')
			return false;
	if (!split_url(s, &authority, &path) || path.len != 0 || !is_authority(authority))
		return false;
	return !ends_in(authority, takes_prefix(&s, "https:") ? ":443" : ":80");
}

/* "5.0": at most 7 characters, the room that a manifest has */
static bool
is_version(struct span s)
{
	const char *dot = memchr(s.at, '.', s.len);
	uint64_t number;
	return dot != NULL && digits_read(s.at, (size_t)(dot - s.at), 1, 99, &number) &&
	       digits_read(dot + 1, s.len - (size_t)(dot - s.at) - 1, 0, 99, &number);
}

/* --- lists */

static struct span
trimmed(struct span s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static struct span
next_item(struct span *rest)
{
	const char *comma = memchr(rest->at, ',', rest->len);
	struct span item = {rest->at, comma != NULL ? (size_t)(comma - rest->at) : rest->len};
	size_t taken = item.len + (comma != NULL);
	rest->at += taken;
	rest->len -= taken;
	return trimmed(item);
}

static size_t
count_items(struct span s)
{
	size_t count = 1;
	for (size_t i = 0; i < s.len; i++)
		count += s.at[i] == ',';
	return count;
}

static bool
is_in(const char *const *list, size_t count, struct span item)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(item, list[i]))
			return true;
	return false;
}

static bool
read_list(struct arena *a, struct span s, const struct value_spec *spec,
    bool (*is_good)(struct span), struct value *ret)
{
	size_t count = s.len > 0 ? count_items(s) : 0;
	if (!within(count, spec))
		return false;
	const char **list = arena_array(a, count, sizeof *list);
	if (list == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct span item = next_item(&s);
		if (!is_good(item) || is_in(list, i, item) ||
		    (list[i] = arena_dup(a, item.at, item.len)) == NULL)
			return false;
	}
	ret->list = list;
	ret->number = count;
	return true;
}

static bool
read_keys(struct span s, const struct value_spec *spec, struct value *ret)
{
	size_t count = count_items(s);
	if (!within(count, spec))
		return false;
	assert(spec->most == ARRAY_LEN(ret->keys));
	for (size_t i = 0; i < count; i++) {
		struct span item = next_item(&s);
		if (!crypto_unhex(item.at, item.len, ret->keys[i], SHA256_BYTES))
			return false;
	}
	ret->number = count;
	return count < 2 || memcmp(ret->keys[0], ret->keys[1], SHA256_BYTES) != 0;
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

static bool
read_policies(struct arena *a, struct span s, const struct value_spec *spec, struct value *ret)
{
	size_t given = count_items(s), count = 0;
	ret->all = span_is(s, "*");
	if (ret->all)
		return true;
	uint64_t *ids = within(given, spec) ? arena_array(a, given, sizeof *ids) : NULL;
	if (ids == NULL)
		return false;
	for (size_t i = 0; i < given; i++) {
		struct span item = next_item(&s);
		if (!digits_read(item.at, item.len, 1, INT64_MAX, &ids[i]))
			return false;
	}
	qsort(ids, given, sizeof *ids, by_id);
	for (size_t i = 0; i < given; i++)
		if (count == 0 || ids[count - 1] != ids[i])
			ids[count++] = ids[i];
	ret->ids = ids;
	ret->number = count;
	return true;
}

/* --- one value */

static bool
read_choice(struct span s, const struct value_spec *spec, uint64_t *ret)
{
	for (size_t i = 0; i < spec->word_count; i++) {
		if (strcmp(spec->words[i].name, spec->name) == 0 &&
		    span_is(s, spec->words[i].word)) {
			*ret = spec->words[i].value;
			return true;
		}
	}
	return false;
}

static bool
read_text(struct arena *a, struct span s, const struct value_spec *spec, const char **ret)
{
	if (!within(s.len, spec))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.at[i] < 0x20 || s.at[i] == 0x7f)
			return false;
	*ret = arena_dup(a, s.at, s.len);
	return *ret != NULL;
}

bool
value_read(
    struct arena *a, const struct value_spec *spec, const char *text, size_t len, struct value *ret)
{
	struct span s = {text, len};
	struct value v = {.number = 0};
	bool good = false, date_only;

	switch (spec->type) {
	case VALUE_STRING:
		good = read_text(a, s, spec, &v.text);
		break;
	case VALUE_PATH:
		good = len > 0 && text[0] == '/' && read_text(a, s, spec, &v.text);
		break;
	case VALUE_URL:
		good = within(len, spec) && read_url(a, s, &v.text);
		break;
	case VALUE_LINK:
		good = within(len, spec) && read_link(a, s, &v.text);
		break;
	case VALUE_BOOL:
		v.number = span_is(s, "true");
		good = v.number == 1 || span_is(s, "false");
		break;
	case VALUE_NUMBER:
		good = digits_read(text, len, spec->least, spec->most, &v.number);
		break;
	case VALUE_DURATION:
		good = read_with_unit(s, durations, ARRAY_LEN(durations), &v.number) &&
		       within(v.number, spec);
		break;
	case VALUE_SIZE:
		good =
		    read_with_unit(s, sizes, ARRAY_LEN(sizes), &v.number) && within(v.number, spec);
		break;
	case VALUE_DATE:
		good = clock_parse(text, len, &v.date, &date_only);
		break;
	case VALUE_CHOICE:
		good = read_choice(s, spec, &v.number);
		break;
	case VALUE_VERSIONS:
		good = read_list(a, s, spec, is_version, &v);
		break;
	case VALUE_ORIGINS:
		good = read_list(a, s, spec, is_origin, &v);
		break;
	case VALUE_KEYS:
		good = read_keys(s, spec, &v);
		break;
	case VALUE_POLICIES:
		good = read_policies(a, s, spec, &v);
		break;
	}
	if (good)
		*ret = v;
	return good;
}

/* --- what it must be */

static const char *
wanted_word(struct arena *a, const struct value_spec *spec)
{
	const char *list = "one of ", *comma = "";
	for (size_t i = 0; i < spec->word_count && list != NULL; i++) {
		if (strcmp(spec->words[i].name, spec->name) != 0)
			continue;
		list = arena_printf(a, "%s%s%s", list, comma, spec->words[i].word);
		comma = ", ";
	}
	return list;
}

static const char *
wanted_units(struct arena *a, const struct value_spec *spec, const char *what,
    const struct unit *units, size_t count)
{
	const char *least = with_unit(a, spec->least, units, count);
	const char *most = with_unit(a, spec->most, units, count);
	return arena_failed(a) ? NULL : arena_printf(a, "%s, from %s to %s", what, least, most);
}

const char *
value_wanted(struct arena *a, const struct value_spec *spec)
{
	switch (spec->type) {
	case VALUE_STRING:
		return arena_printf(a, "a text of at most %" PRIu64 " bytes", spec->most);
	case VALUE_PATH:
		return arena_printf(
		    a, "a path that begins with /, of at most %" PRIu64 " bytes", spec->most);
	case VALUE_URL:
		return "a URL such as https://gateway.example.com, without user, query or fragment";
	case VALUE_LINK:
		return "a path that begins with / or a URL, such as https://wiki.example.com/pcrs, "
		       "without blanks, quotes or angle brackets";
	case VALUE_BOOL:
		return "true or false";
	case VALUE_NUMBER:
		return arena_printf(
		    a, "a whole number from %" PRIu64 " to %" PRIu64, spec->least, spec->most);
	case VALUE_DURATION:
		return wanted_units(a, spec, "a duration such as 500ms, 25s, 15m, 6h or 7d",
		    durations, ARRAY_LEN(durations));
	case VALUE_SIZE:
		return wanted_units(
		    a, spec, "a size such as 512M or 10G (k, M, G, T)", sizes, ARRAY_LEN(sizes));
	case VALUE_DATE:
		return "a date such as 2027-01-31 or a time in UTC such as 2027-01-31T00:00:00Z";
	case VALUE_CHOICE:
		return wanted_word(a, spec);
	case VALUE_VERSIONS:
		return "a list of different versions such as 5.0, 4.0";
	case VALUE_ORIGINS:
		return "a list of different origins as browsers send them, such as "
		       "https://app.example.com: in lower case, without a path and without the "
		       "usual port";
	case VALUE_KEYS:
		return "one or two different SHA-256 of 64 hexadecimal digits, with a comma "
		       "between "
		       "them";
	case VALUE_POLICIES:
		return "* or a list of policy IDs such as 123, 456";
	}
	return NULL;
}
