/* settings, with ini and value below them. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "gateway/base/arena.h"
#include "gateway/base/limits.h"
#include "gateway/ops/settings.h"
#include "tests/unit/unit.h"

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "BBbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
/* What has no default. */
#define REQUIRED "[upstream]\nurl = https://gateway.example.com\nusername = u\npassword_file = /p\n"

static struct arena arena;
static struct settings *settings;
static char *complaints;
static FILE *files[4];
static size_t file_count;

static void
setup(void)
{
	arena_init(&arena, MIB * 16);
	file_count = 0;
}

static void
teardown(void)
{
	for (size_t i = 0; i < file_count; i++)
		ck_assert_int_eq(fclose(files[i]), 0);
	settings_free(settings);
	free(complaints);
	settings = NULL;
	complaints = NULL;
	arena_fini(&arena);
}

/* A file of this text without a name in any directory, so that a failed test leaves none behind;
 * it is there until teardown(). */
static const char *
file_of(const char *text, size_t len)
{
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, len, file), len);
	ck_assert_int_eq(fflush(file), 0);
	files[file_count++] = file;
	return arena_printf(&arena, "/dev/fd/%d", fileno(file));
}

static enum status
load_source(const struct settings_source *src)
{
	size_t len;
	settings_free(settings);
	free(complaints);
	settings = NULL;
	complaints = NULL;
	FILE *out = open_memstream(&complaints, &len);
	ck_assert_ptr_nonnull(out);
	enum status st = settings_load(src, out, &settings);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert((st == STATUS_OK) == (settings != NULL));
	ck_assert((st == STATUS_BAD_REQUEST) == (len > 0));
	return st;
}

/* One file of this text. Its name becomes FILE in the complaints. */
static enum status
load(const char *text)
{
	const char *file = file_of(text, strlen(text));
	struct settings_source src = {.files = &file, .file_count = 1};
	enum status st = load_source(&src);
	ck_assert_int_eq(fclose(files[--file_count]), 0);
	const char *rest = complaints;
	char *shown = arena_alloc(&arena, strlen(complaints) + 1), *at = shown;
	for (const char *hit; (hit = strstr(rest, file)) != NULL; rest = hit + strlen(file)) {
		at = memcpy(at, rest, (size_t)(hit - rest));
		at += hit - rest;
		at = memcpy(at, "FILE", 4);
		at += 4;
	}
	memcpy(at, rest, strlen(rest) + 1);
	free(complaints);
	complaints = strdup(shown);
	return st;
}

static void
load_good(const char *text)
{
	enum status st = load(text);
	ck_assert_msg(st == STATUS_OK, "%s", complaints);
}

/* --- good files */

START_TEST(gives_the_defaults_of_the_contract)
{
	load_good(REQUIRED);
	const struct settings *s = settings;
	ck_assert_str_eq(s->socket, "/run/posturegate/posturegate.sock");
	ck_assert_str_eq(s->state_dir, "/var/lib/posturegate");
	ck_assert_uint_eq(s->workers, 256);
	ck_assert_uint_eq(s->nginx_connections, 192);
	ck_assert_uint_eq(s->log_level, SETTINGS_LOG_INFO);
	ck_assert_int_eq(s->freshness.fresh_for_ms, 3600000);
	ck_assert_int_eq(s->freshness.stale_for_ms, 6 * 3600000);
	ck_assert_int_eq(s->freshness.keep_for_ms, INT64_C(7) * 86400000);
	ck_assert_uint_eq(s->policy_freshness_count, 0);
	ck_assert_int_eq(s->cursor_grace_ms, 15 * 60000);
	ck_assert_uint_eq(s->size_bytes, 10 * GIB);
	ck_assert_int_eq(s->wait_default_ms, 25000);
	ck_assert_int_eq(s->wait_max_ms, 60000);
	ck_assert_uint_eq(s->origin_count, 0);
	ck_assert_str_eq(s->url, "https://gateway.example.com");
	ck_assert_uint_eq(s->subscription, 0);
	ck_assert_uint_eq(s->rate_calls, 25);
	ck_assert_int_eq(s->rate_window_ms, 60000);
	ck_assert(!s->rate_pinned && s->passed_includes_exceptions && !s->allow_plaintext);
	ck_assert_uint_eq(s->concurrency, 2);
	ck_assert_uint_eq(s->hosts_per_call, 500);
	ck_assert_uint_eq(s->version_count, 1);
	ck_assert_str_eq(s->versions[0], "5.0");
	ck_assert_uint_eq(s->sca_version_count, 0);
	ck_assert_uint_eq(s->missing_batches, MISSING_VERIFY);
	ck_assert_uint_eq(s->twins, TWINS_AUTO);
	ck_assert_str_eq(s->ca_file, "");
	ck_assert_uint_eq(s->retries, 3);
	ck_assert_int_eq(s->retry_delay_ms, 1000);
	ck_assert_int_eq(s->connect_timeout_ms, 10000);
	ck_assert_int_eq(s->stall_timeout_ms, 60000);
	ck_assert_int_eq(s->call_timeout_ms, 2 * 3600000);
	ck_assert_uint_eq(s->lifecycle_count, 0);
	ck_assert_uint_eq(s->cutoff_count, 0);
	ck_assert_str_eq(s->deprecation_link, "/problems/version-ended");
	ck_assert_uint_eq(s->consumer_count, 0);
}
END_TEST

START_TEST(reads_every_type)
{
	load_good(
	    "# comment\n; another\n\n"
	    "[gateway]\r\n  log_level\t=  debug \r\n"
	    "[cache]\nfresh_for = 500ms\nsize = 64M\n"
	    "[request]\norigins = https://a.example , http://localhost:3000\nwait_max=1h\n"
	    "[upstream]\nurl = https://gateway.example.com:8443/prefix//\nusername = a b=c#d\n"
	    "password_file = /run/secret\nrate_pinned = true\nversions = 6.0, 5.0\n"
	    "missing_batches = strict\nsubscription = 9223372036854775807");
	ck_assert_uint_eq(settings->log_level, SETTINGS_LOG_DEBUG);
	ck_assert_int_eq(settings->freshness.fresh_for_ms, 500);
	ck_assert_uint_eq(settings->size_bytes, 64 * MIB);
	ck_assert_uint_eq(settings->origin_count, 2);
	ck_assert_str_eq(settings->origins[0], "https://a.example");
	ck_assert_str_eq(settings->origins[1], "http://localhost:3000");
	ck_assert_int_eq(settings->wait_max_ms, 3600000);
	ck_assert_str_eq(settings->url, "https://gateway.example.com:8443/prefix");
	ck_assert_str_eq(settings->username, "a b=c#d");
	ck_assert(settings->rate_pinned);
	ck_assert_uint_eq(settings->version_count, 2);
	ck_assert_str_eq(settings->versions[0], "6.0");
	ck_assert_uint_eq(settings->missing_batches, MISSING_STRICT);
	ck_assert_uint_eq(settings->subscription, INT64_MAX);
}
END_TEST

START_TEST(reads_consumers)
{
	load_good(
	    REQUIRED "[consumer reports]\nkey_sha256 = " KEY_A "\npolicies = *\n"
		     "[consumer team-2]\nkey_sha256 = " KEY_B ", "
		     "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n"
		     "policies = 30, 10,20,10\nexpires = 2027-01-31T00:00:00Z\nevidence = true\n"
		     "force = true\nadmin = true\nlegacy = allow\nquota = 12\n"
		     "legacy_until = 2027-02-01\n");
	ck_assert_uint_eq(settings->consumer_count, 2);
	const struct settings_consumer *c = &settings->consumers[0];
	ck_assert_str_eq(c->name, "reports");
	ck_assert_uint_eq(c->key_count, 1);
	ck_assert_uint_eq(c->keys[0][0], 0xaa);
	ck_assert_uint_eq(c->keys[0][SHA256_BYTES - 1], 0xaa);
	ck_assert(c->all_policies && !c->evidence && !c->force && !c->admin);
	ck_assert_int_eq(c->expires_s, INT64_MAX);
	ck_assert_uint_eq(c->legacy, LEGACY_STRICT);
	ck_assert_int_eq(c->legacy_until_s, INT64_MAX);
	ck_assert_uint_eq(c->quota, 0);
	c++;
	ck_assert_str_eq(c->name, "team-2");
	ck_assert_uint_eq(c->key_count, 2);
	ck_assert_uint_eq(c->keys[0][0], 0xbb);
	ck_assert_uint_eq(c->keys[1][0], 0xcc);
	ck_assert(!c->all_policies && c->evidence && c->force && c->admin);
	ck_assert_uint_eq(c->policy_count, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(c->policies[i], 10 * (i + 1));
	ck_assert_int_eq(c->expires_s, 1801353600);
	ck_assert_uint_eq(c->legacy, LEGACY_ALLOW);
	ck_assert_int_eq(c->legacy_until_s, 1801440000);
	ck_assert_uint_eq(c->quota, 12);
}
END_TEST

START_TEST(reads_the_lifecycle)
{
	load_good(REQUIRED "[lifecycle]\npostureInfo 4.0 = 2026-05-31 2026-11-30\n"
			   "hostids   6.0 = active\n"
			   "policyList 1.0 = 2026-11-30T12:00:00Z   2027-05-31T12:00:00Z\n");
	ck_assert_uint_eq(settings->lifecycle_count, 3);
	const struct settings_lifecycle *e = settings->lifecycle;
	ck_assert_str_eq(e[0].api, "postureInfo");
	ck_assert_str_eq(e[0].version, "4.0");
	ck_assert_int_eq(e[0].eos_s, 1780271999); /* the last second of the day */
	ck_assert_int_eq(e[0].eol_s, 1796083199);
	ck_assert_str_eq(e[1].api, "hostids");
	ck_assert_int_eq(e[1].eos_s, INT64_MAX);
	ck_assert_int_eq(e[1].eol_s, INT64_MAX);
	ck_assert_int_eq(e[2].eos_s, 1796040000);
}
END_TEST

START_TEST(reads_when_versions_are_cut_off)
{
	load_good(REQUIRED "[cutoff]\n4.0 = 2026-12-01\n1.0 = 2026-07-01T12:00:00Z\n");
	ck_assert_uint_eq(settings->cutoff_count, 2);
	ck_assert_str_eq(settings->cutoffs[0].version, "4.0");
	ck_assert_int_eq(settings->cutoffs[0].from_s, 1796083200); /* the first second of the day */
	ck_assert_str_eq(settings->cutoffs[1].version, "1.0");
	ck_assert_int_eq(settings->cutoffs[1].from_s, 1782907200);
}
END_TEST

START_TEST(a_later_layer_moves_a_cut_off_or_takes_it_back)
{
	static const char first[] = REQUIRED "[cutoff]\n3.0 = 2026-01-01\n4.0 = 2026-01-01\n";
	static const char second[] = "[cutoff]\n3.0 =\n2.0 = 2026-01-03\n";
	static const char *const sets[] = {"cutoff.4.0=2026-01-02"};
	const char *const layers[] = {
	    file_of(first, strlen(first)), file_of(second, strlen(second))};
	struct settings_source src = {layers, 2, sets, 1};
	ck_status(load_source(&src), STATUS_OK);
	ck_assert_uint_eq(settings->cutoff_count, 2);
	ck_assert_str_eq(settings->cutoffs[0].version, "4.0");
	ck_assert_int_eq(settings->cutoffs[0].from_s, 1767312000);
	ck_assert_str_eq(settings->cutoffs[1].version, "2.0");
}
END_TEST

START_TEST(takes_the_shortest_freshness_of_the_policies_asked)
{
	load_good("[cache]\nfresh_for = 2h\nstale_for = 3h\nkeep_for = 4h\n"
		  "[cache \"policy 9\"]\nfresh_for = 5m\nkeep_for = 8h\n"
		  "[cache \"policy 2\"]\nstale_for = 1m\n" REQUIRED);
	const uint64_t none[] = {1, 3, 10}, nine[] = {9}, all[] = {1, 2, 9};
	ck_assert_uint_eq(settings->policy_freshness_count, 2);
	ck_assert_uint_eq(settings->policy_freshness[0].policy, 2);
	struct settings_freshness f = settings_freshness_for(settings, NULL, 0);
	ck_assert_int_eq(f.fresh_for_ms, 2 * 3600000);
	f = settings_freshness_for(settings, none, 3);
	ck_assert_int_eq(f.fresh_for_ms, 2 * 3600000);
	ck_assert_int_eq(f.stale_for_ms, 3 * 3600000);
	ck_assert_int_eq(f.keep_for_ms, 4 * 3600000);
	f = settings_freshness_for(settings, nine, 1);
	ck_assert_int_eq(f.fresh_for_ms, 300000);
	ck_assert_int_eq(f.stale_for_ms, 3 * 3600000); /* as in [cache] */
	ck_assert_int_eq(f.keep_for_ms, 8 * 3600000);  /* longer than there, as it says */
	f = settings_freshness_for(settings, all, 3);
	ck_assert_int_eq(f.fresh_for_ms, 300000);
	ck_assert_int_eq(f.stale_for_ms, 60000);
	ck_assert_int_eq(f.keep_for_ms, 4 * 3600000);
	f = settings_freshness_shortest(settings);
	ck_assert_int_eq(f.fresh_for_ms, 300000);
	ck_assert_int_eq(f.stale_for_ms, 60000);
	ck_assert_int_eq(f.keep_for_ms, 4 * 3600000);
}
END_TEST

START_TEST(lays_files_and_sets_over_each_other_setting_by_setting)
{
	static const char first[] =
	    REQUIRED "retries = 1\n[cache]\nfresh_for = 1m\nstale_for = 1m\n"
		     "[consumer a]\nkey_sha256 = " KEY_A "\npolicies = 1\n"
		     "[lifecycle]\npostureInfo 4.0 = active\n"
		     "[cache \"policy 5\"]\nfresh_for = 1s\nstale_for = 1s\n";
	static const char second[] = "[cache]\nfresh_for = 2m\n[upstream]\nretries = 2\n"
				     "[consumer a]\npolicies = 2,3\nevidence = true\n"
				     "[lifecycle]\npostureInfo 4.0 = 2026-01-01 2026-01-02\n"
				     "[cache \"policy 5\"]\nstale_for =\n";
	static const char *const sets[] = {"cache.fresh_for=3m", "upstream.retries=8",
	    "upstream.retries=3", "upstream.username=x=y.z"};
	const char *const layers[] = {
	    file_of(first, strlen(first)), file_of(second, strlen(second))};
	struct settings_source src = {layers, 2, sets, 4};
	ck_status(load_source(&src), STATUS_OK);
	ck_assert_int_eq(settings->freshness.fresh_for_ms, 180000);
	ck_assert_int_eq(settings->freshness.stale_for_ms, 60000);
	ck_assert_uint_eq(settings->retries, 3);
	ck_assert_str_eq(settings->username, "x=y.z");
	ck_assert_uint_eq(settings->consumer_count, 1);
	ck_assert_uint_eq(settings->consumers[0].policy_count, 2);
	ck_assert(settings->consumers[0].evidence);
	ck_assert_uint_eq(settings->consumers[0].key_count, 1);
	ck_assert_uint_eq(settings->lifecycle_count, 1);
	ck_assert_int_eq(settings->lifecycle[0].eol_s, 1767398399);
	/* an empty value is the default again */
	const uint64_t five = 5;
	struct settings_freshness f = settings_freshness_for(settings, &five, 1);
	ck_assert_int_eq(f.fresh_for_ms, 1000);
	ck_assert_int_eq(f.stale_for_ms, 60000);
}
END_TEST

/* --- bad ones */

/* A file, what is told of it. */
static const struct {
	const char *text, *told;
} bad_files[] = {
    {"[gateway]\nworkres = 5\n" REQUIRED,
	"FILE:2: there is no such setting in [gateway]; did you mean workers?\n"},
    {"[cache]\nfreshfor = 5m\n" REQUIRED,
	"FILE:2: there is no such setting in [cache]; did you mean fresh_for?\n"},
    {"[cache]\nFRESH_FOR = 5m\n" REQUIRED,
	"FILE:2: there is no such setting in [cache]; see posturegate.conf(5)\n"},
    {"[gateway]\nfresh_for = 5m\n" REQUIRED,
	"FILE:2: this setting is none of [gateway]; it belongs in [cache]\n"},
    {"[cache \"policy 1\"]\nsize = 5G\n" REQUIRED,
	"FILE:2: this setting is none of [cache \"policy N\"]; it belongs in [cache]\n"},
    {"workers = 400\n" REQUIRED,
	"FILE:1: this setting stands before any section; put [gateway] or another section above "
	"it\n"},
    {"[gatewya]\nworkers = 400\nfoo\n" REQUIRED,
	"FILE:1: there is no such section; write [gateway], [cache], [cache \"policy N\"], "
	"[request], [upstream], [lifecycle], [cutoff], [consumer NAME] or "
	"[warm NAME]\n"
	"FILE:3: neither a section, a setting nor a comment; write NAME = VALUE\n"},
    {"[gateway main]\n" REQUIRED,
	"FILE:1: only [cache \"policy N\"], [consumer NAME] and [warm NAME] have a second word; "
	"write the section's name alone\n"},
    {"[gateway\nworkers = 400\n" REQUIRED,
	"FILE:1: the section does not end in ]; write it as [name] on a line of its own\n"},
    {"[gateway] # main\n" REQUIRED,
	"FILE:1: the section does not end in ]; write it as [name] on a line of its own\n"},
    {"[ ]\n" REQUIRED, "FILE:1: the section has no name; write it as [name]\n"},
    {"[cache \"policy 1]\n" REQUIRED,
	"FILE:1: the section's quotes are not whole; write it as [name \"sub\"]\n"},
    {"[cache \"policy 0\"]\n[cache \"policy x\"]\n[cache policies]\n" REQUIRED,
	"FILE:1: this names no policy; write [cache \"policy 123\"]\n"
	"FILE:2: this names no policy; write [cache \"policy 123\"]\n"
	"FILE:3: this names no policy; write [cache \"policy 123\"]\n"},
    {"[consumer]\n[consumer a.b]\n" REQUIRED,
	"FILE:1: this names no consumer; write [consumer NAME] with at most 64 letters, digits, _ "
	"and -\n"
	"FILE:2: this names no consumer; write [consumer NAME] with at most 64 letters, digits, _ "
	"and -\n"},
    {"[gateway]\n= 5\n" REQUIRED, "FILE:2: there is no name before the =; write NAME = VALUE\n"},
    {"[gateway]\nworkers 500\n" REQUIRED,
	"FILE:2: neither a section, a setting nor a comment; write NAME = VALUE\n"},
    {"[gateway]\nworkers = 500 # many\n" REQUIRED,
	"FILE:2: there is a comment behind the value; give it a line of its own\n"},
    {"[gateway]\nstate_dir = \"/tmp\"\n" REQUIRED,
	"FILE:2: the value stands in quotes; write it without\n"},
    {"[gateway]\nstate_dir = /t\x01mp\n" REQUIRED,
	"FILE:2: the line has control characters or is not UTF-8; save the file as plain UTF-8\n"},
    {"[gateway]\nstate_dir = /t\xffmp\n" REQUIRED,
	"FILE:2: the line has control characters or is not UTF-8; save the file as plain UTF-8\n"},
    {"[gateway]\nworkers = 500\n" REQUIRED "[gateway]\nworkers = 500\n",
	"FILE:8: this was set at FILE:2 already; keep one of the two\n"},
    {"[gateway]\nworkers =\n" REQUIRED,
	"FILE:2: workers is not valid; it must be a whole number from 1 to 4096\n"},
    {"[gateway]\nworkers = 0\nnginx_connections = -1\nlog_level = loud\nsocket = run/x\n" REQUIRED,
	"FILE:2: workers is not valid; it must be a whole number from 1 to 4096\n"
	"FILE:3: nginx_connections is not valid; it must be a whole number from 0 to 4096\n"
	"FILE:4: log_level is not valid; it must be one of error, warning, info, debug\n"
	"FILE:5: socket is not valid; it must be a path that begins with /, of at most 107 "
	"bytes\n"},
    {"[cache]\nfresh_for = 5\nstale_for = 1w\nkeep_for = 3651d\nsize = 10\n" REQUIRED,
	"FILE:2: fresh_for is not valid; it must be a duration such as 500ms, 25s, 15m, 6h or 7d, "
	"from 0d to 3650d\n"
	"FILE:3: stale_for is not valid; it must be a duration such as 500ms, 25s, 15m, 6h or 7d, "
	"from 0d to 3650d\n"
	"FILE:4: keep_for is not valid; it must be a duration such as 500ms, 25s, 15m, 6h or 7d, "
	"from 0d to 3650d\n"
	"FILE:5: size is not valid; it must be a size such as 512M or 10G (k, M, G, T), from 16M "
	"to 16T\n"},
    {REQUIRED "rate_pinned = yes\nallow_plaintext = TRUE\n",
	"FILE:5: rate_pinned is not valid; it must be true or false\n"
	"FILE:6: allow_plaintext is not valid; it must be true or false\n"},
    {"[gateway]\nworkers = 200\n" REQUIRED,
	"FILE:2: workers is less than nginx_connections (defaults) and 32 more; raise the one or "
	"lower the other\n"},
    {"[request]\nwait_default = 2m\n" REQUIRED, "FILE:2: wait_default is more than wait_max "
						"(defaults); lower the one or raise the other\n"},
    {REQUIRED "call_timeout = 5s\n",
	"defaults: connect_timeout is more than call_timeout (FILE:5); lower the one or raise the "
	"other\n"
	"defaults: stall_timeout is more than call_timeout (FILE:5); lower the one or raise the "
	"other\n"},
    {"", "defaults: url of [upstream] is required; set it\n"
	 "defaults: username of [upstream] is required; set it\n"
	 "defaults: password_file of [upstream] is required; set it\n"},
    {"[upstream]\nurl =\nusername = a # b\npassword_file = x\n",
	"FILE:3: there is a comment behind the value; give it a line of its own\n"
	"FILE:4: password_file is not valid; it must be a path that begins with /, of at most 4000 "
	"bytes\n"
	"FILE:2: url of [upstream] is required; set it\n"},
    {"[upstream]\nurl = http://gateway.example.com\nusername = u\npassword_file = /p\n",
	"FILE:2: url is plain http to another machine; write https, or set allow_plaintext = "
	"true\n"},
    {REQUIRED "versions =\n", "FILE:5: versions is empty; name one at least, such as 5.0\n"},
    {REQUIRED "[consumer a]\n",
	"FILE:5: consumer a has no key; give it key_sha256\n"
	"FILE:5: consumer a may see no policy; give it policies, a list or *\n"},
    {REQUIRED "[consumer a]\nkey_sha256 = x\npolicies = 0\nexpires = never\nlegacy = no\n",
	"FILE:6: key_sha256 is not valid; it must be one or two different SHA-256 of 64 "
	"hexadecimal digits, with a comma between them\n"
	"FILE:7: policies is not valid; it must be * or a list of policy IDs such as 123, 456\n"
	"FILE:8: expires is not valid; it must be a date such as 2027-01-31 or a time in UTC such "
	"as 2027-01-31T00:00:00Z\n"
	"FILE:9: legacy is not valid; it must be one of strict, warn, allow\n"},
    {REQUIRED "[consumer a]\nkey_sha256 = " KEY_A "\npolicies = *\n[consumer b]\nkey_sha256 "
	      "= " KEY_B ", " KEY_A "\npolicies = *\n",
	"FILE:8: consumer b has the same key as consumer a (FILE:5); give each its own\n"},
    {REQUIRED "[consumer a]\nkey_sha256 = " KEY_A "," KEY_A "\npolicies = *\n",
	"FILE:6: key_sha256 is not valid; it must be one or two different SHA-256 of 64 "
	"hexadecimal digits, with a comma between them\n"},
    {"[request]\nwait_default = x\nwait_max = 1s\n" REQUIRED,
	"FILE:2: wait_default is not valid; it must be a duration such as 500ms, 25s, 15m, 6h or "
	"7d, from 0d to 1h\n"},
    {REQUIRED "[lifecycle]\nposture 4.0 = active\npostureInfo 4 = active\npostureInfo = active\n",
	"FILE:6: the name is no API and version; write postureInfo, hostids or policyList and a "
	"version such as 4.0\n"
	"FILE:7: the name is no API and version; write postureInfo, hostids or policyList and a "
	"version such as 4.0\n"
	"FILE:8: the name is no API and version; write postureInfo, hostids or policyList and a "
	"version such as 4.0\n"},
    {REQUIRED "[lifecycle]\nhostids 4.0 = 2026-01-02 2026-01-01\nhostids 5.0 = 2026-01-01\n"
	      "hostids 6.0 = Active\nhostids 6.0 = active\n",
	"FILE:6: the dates are not valid; write the end of support and the end of life, in this "
	"order, such as 2026-05-31 2026-11-30, or active\n"
	"FILE:7: the dates are not valid; write the end of support and the end of life, in this "
	"order, such as 2026-05-31 2026-11-30, or active\n"
	"FILE:8: the dates are not valid; write the end of support and the end of life, in this "
	"order, such as 2026-05-31 2026-11-30, or active\n"
	"FILE:9: this was set at FILE:8 already; keep one of the two\n"},
    {REQUIRED "[warm]\nquery = policy=1\n[warm a.b]\n[warm a]\n[warm b]\nquery = policy=1\nquery = "
	      "policy=2\nqueri = x\n",
	"FILE:5: this names nothing to keep warm; write [warm NAME] with at most 64 letters, "
	"digits, _ and -\n"
	"FILE:7: this names nothing to keep warm; write [warm NAME] with at most 64 letters, "
	"digits, _ and -\n"
	"FILE:11: this was set at FILE:10 already; keep one of the two\n"
	"FILE:12: there is no such setting in [warm NAME]; did you mean query?\n"
	"FILE:8: warm list a has no query; give it one, such as policy=4711\n"},
    {REQUIRED "[cutoff]\n4 = 2026-12-01\npostureInfo 4.0 = 2026-12-01\n4.0 = 2026-02-30\n"
	      "3.0 = active\n2.0 = 2026-12-01\n2.0 = 2026-12-01\n",
	"FILE:6: the name is no version; write one such as 4.0\n"
	"FILE:7: the name is no version; write one such as 4.0\n"
	"FILE:8: the date is not valid; write when the version ends here, such as 2027-01-31 or "
	"2027-01-31T00:00:00Z\n"
	"FILE:9: the date is not valid; write when the version ends here, such as 2027-01-31 or "
	"2027-01-31T00:00:00Z\n"
	"FILE:11: this was set at FILE:10 already; keep one of the two\n"},
};

START_TEST(tells_line_fault_and_cure)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_files); i++) {
		ck_assert_msg(load(bad_files[i].text) == STATUS_BAD_REQUEST, "%s was taken",
		    bad_files[i].text);
		ck_assert_str_eq(complaints, bad_files[i].told);
	}
}
END_TEST

static const char *const bad_urls[] = {"gateway.example.com", "ftp://a", "https://", "https:///x",
    "https://user@a", "https://user:pw@a", "https://a?x=1", "https://a#x", "https://a:0",
    "https://a:65536", "https://a:", "https://a b", "https://a/\"", "https://[::1", "https://[]",
    "https://[x]", "HTTPS://a", "https://a\\b", "https://a/%zz#", "//a"};

START_TEST(refuses_every_bad_url)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++) {
		ck_status(
		    load(arena_printf(&arena,
			"[upstream]\nurl = %s\nusername = u\npassword_file = /p\n", bad_urls[i])),
		    STATUS_BAD_REQUEST);
		ck_assert_msg(strncmp(complaints, "FILE:2: url is not valid; ", 26) == 0, "%s: %s",
		    bad_urls[i], complaints);
		/* a password that strayed into it is not repeated */
		ck_assert_ptr_null(strstr(complaints, "pw"));
	}
}
END_TEST

START_TEST(takes_plain_http_on_loopback_or_with_a_setting)
{
	static const struct {
		const char *url;
		bool loopback;
	} urls[] = {{"http://127.0.0.1:8080", true}, {"http://127.9.9.9/x", true},
	    {"http://localhost:1", true}, {"http://[::1]:99", true},
	    {"http://127.example.com", false}, {"http://localhost.example.com", false},
	    {"http://10.0.0.1", false}, {"http://[::2]", false}, {"https://10.0.0.1", true}};
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		const char *text = arena_printf(&arena,
		    "[upstream]\nurl = %s\nusername = u\npassword_file = /p\n", urls[i].url);
		ck_assert_msg((load(text) == STATUS_OK) == urls[i].loopback, "%s", urls[i].url);
		load_good(arena_printf(&arena, "%sallow_plaintext = true\n", text));
		ck_assert_str_eq(settings->url, urls[i].url);
	}
}
END_TEST

static const char *const bad_origins[] = {"*", "null", "https://a/", "https://a/x", "a.example",
    "https://A.example", "HTTPS://a.example", "https://a:443", "http://a:80",
    "https://a, https://a", "https://a,", ",https://a", "https://a https://b"};

START_TEST(refuses_every_bad_origin)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_origins); i++)
		ck_assert_msg(load(arena_printf(&arena, REQUIRED "[request]\norigins = %s\n",
				  bad_origins[i])) == STATUS_BAD_REQUEST,
		    "%s was taken", bad_origins[i]);
}
END_TEST

static const char *const bad_links[] = {"problems", "//example.com/a", "ftp://example.com",
    "https://", "https:///a", "/a b", "/a>b", "/<a", "/a\\b", "/\xc3\xa4", "javascript:alert(1)",
    "https://u@a/"};

START_TEST(takes_links_that_can_stand_in_a_header_and_no_others)
{
	static const char *const good[] = {"/", "/a/b?c=d#e", "https://wiki.example.com",
	    "http://wiki.example.com:8080/a?b=%20#c"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		load_good(
		    arena_printf(&arena, REQUIRED "[request]\ndeprecation_link = %s\n", good[i]));
		ck_assert_str_eq(settings->deprecation_link, good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_links); i++)
		ck_assert_msg(
		    load(arena_printf(&arena, REQUIRED "[request]\ndeprecation_link = %s\n",
			bad_links[i])) == STATUS_BAD_REQUEST,
		    "%s was taken", bad_links[i]);
}
END_TEST

START_TEST(tells_bad_sets)
{
	static const struct {
		const char *set, *told;
	} bad[] = {
	    {"cache.fresh_for", "--set: this is no setting; write --set SECTION.NAME=VALUE\n"},
	    {"fresh_for=1h", "--set: this is no setting; write --set SECTION.NAME=VALUE\n"},
	    {"=", "--set: this is no setting; write --set SECTION.NAME=VALUE\n"},
	    {"", "--set: this is no setting; write --set SECTION.NAME=VALUE\n"},
	    {"consumer a.admin=true",
		"--set: there is no such plain section; it is one of gateway, cache, request, "
		"upstream and cutoff, the others take a file\n"},
	    {"cutoff.4=2027-01-31",
		"--set cutoff.4: the name is no version; write one such as 4.0\n"},
	    {"cache.fresh_for=5", "--set cache.fresh_for: fresh_for is not valid; it must be a "
				  "duration such as 500ms, "
				  "25s, 15m, 6h or 7d, from 0d to 3650d\n"},
	    {"cache.fresh_fro=5m",
		"--set cache.fresh_fro: there is no such setting in [cache]; did you mean "
		"fresh_for?\n"},
	    {"request.wait_max=1s",
		"defaults: wait_default is more than wait_max (--set request.wait_max); lower the "
		"one or raise the other\n"},
	};
	const char *file = file_of(REQUIRED, strlen(REQUIRED));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct settings_source src = {&file, 1, &bad[i].set, 1};
		ck_status(load_source(&src), STATUS_BAD_REQUEST);
		ck_assert_str_eq(complaints, bad[i].told);
	}
}
END_TEST

START_TEST(tells_files_that_cannot_be_read)
{
	const char *file = file_of(REQUIRED, strlen(REQUIRED));
	const char *const names[] = {"/nonexistent/file", "/", file};
	struct settings_source src = {names, 3, NULL, 0};
	ck_status(load_source(&src), STATUS_BAD_REQUEST);
	ck_assert_str_eq(complaints,
	    "/nonexistent/file: cannot be read (No such file or directory); name a file of "
	    "settings "
	    "that can\n"
	    "/: cannot be read (Is a directory); name a file of settings that can\n");
}
END_TEST

START_TEST(refuses_a_file_over_the_cap)
{
	size_t len = 4 * MIB + 1;
	char *text = malloc(len);
	ck_assert_ptr_nonnull(text);
	memset(text, '\n', len);
	const char *file = file_of(text, len);
	free(text);
	struct settings_source src = {&file, 1, NULL, 0};
	ck_status(load_source(&src), STATUS_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(complaints, "File too large"));
}
END_TEST

START_TEST(tells_a_raw_nul_and_goes_on)
{
	static const char text[] = "[gateway]\nworkers\0 = 5\n" REQUIRED;
	const char *file = file_of(text, sizeof text - 1);
	struct settings_source src = {&file, 1, NULL, 0};
	ck_status(load_source(&src), STATUS_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(complaints, ":2: the line has control characters"));
}
END_TEST

START_TEST(survives_random_files)
{
	static const char *const pieces[] = {"[", "]", "\"", "gateway", "cache", "policy 1",
	    "consumer", " a", "lifecycle", "cutoff", "=", "\n", "\n", "workers", "size", "10G", "1",
	    ",", "#", ";", " ", "key_sha256", KEY_A, "policies", "*", "\xff", "postureInfo 4.0",
	    "active", "2026-01-01", "origins", "https://a", "versions", "5.0", "url", "http://["};
	struct unit_random random = {unit_seed(12)};
	for (int round = 0; round < 1500; round++) {
		struct unit_random before = random;
		const char *text = "";
		for (size_t n = unit_below(&random, 40); n > 0; n--)
			text = arena_printf(
			    &arena, "%s%s", text, pieces[unit_below(&random, ARRAY_LEN(pieces))]);
		enum status st = load(text);
		ck_assert_msg(st == STATUS_BAD_REQUEST || st == STATUS_OK, "UNIT_SEED=%llu",
		    (unsigned long long)before.state);
		arena_reset(&arena);
	}
}
END_TEST

/* --- the sample */

static char *
sample(void)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	ck_assert_ptr_nonnull(out);
	settings_print_sample(out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

START_TEST(the_sample_with_its_comment_signs_removed_is_a_good_file)
{
	char *text = sample(), *next;
	const char *plain = "";
	/* "#name = value" and "#[section]", not "# comment" */
	for (char *line = text; line != NULL && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (line[0] == '#' && line[1] != ' ')
			line++;
		plain = arena_printf(&arena, "%s%s\n", plain, line);
	}
	ck_status(load(plain), STATUS_BAD_REQUEST);
	ck_assert_str_ne(plain, "");
	/* all that it lacks is what only the operator knows */
	ck_assert_uint_eq(settings == NULL, true);
	size_t lines = 0;
	for (const char *at = complaints; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	ck_assert_msg(lines == 6, "%s", complaints);
	ck_assert_ptr_nonnull(strstr(complaints, "url of [upstream] is required"));
	ck_assert_ptr_nonnull(strstr(complaints, "consumer NAME has no key"));
	ck_assert_ptr_nonnull(strstr(complaints, "warm list NAME has no query"));
	free(text);
}
END_TEST

START_TEST(the_sample_in_the_documents_is_the_one_that_is_printed)
{
	const char *top = getenv("top_srcdir");
	FILE *file = top == NULL
			 ? NULL
			 : fopen(arena_printf(&arena, "%s/docs/posturegate.conf.sample", top), "r");
	if (top == NULL)
		return; /* not run by make check */
	ck_assert_ptr_nonnull(file);
	char *text = sample(), stored[32 * 1024];
	size_t len = fread(stored, 1, sizeof stored - 1, file);
	stored[len] = '\0';
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_str_eq(stored, text);
	free(text);
}
END_TEST

int
main(void)
{
	if (crypto_init() != STATUS_OK)
		return EXIT_FAILURE;
	Suite *suite = suite_create("settings");
	TCase *good = tcase_create("good files");
	tcase_add_checked_fixture(good, setup, teardown);
	tcase_add_test(good, gives_the_defaults_of_the_contract);
	tcase_add_test(good, reads_every_type);
	tcase_add_test(good, reads_consumers);
	tcase_add_test(good, reads_the_lifecycle);
	tcase_add_test(good, reads_when_versions_are_cut_off);
	tcase_add_test(good, a_later_layer_moves_a_cut_off_or_takes_it_back);
	tcase_add_test(good, takes_the_shortest_freshness_of_the_policies_asked);
	tcase_add_test(good, lays_files_and_sets_over_each_other_setting_by_setting);
	suite_add_tcase(suite, good);
	TCase *bad = tcase_create("bad files");
	tcase_add_checked_fixture(bad, setup, teardown);
	tcase_add_test(bad, tells_line_fault_and_cure);
	tcase_add_test(bad, refuses_every_bad_url);
	tcase_add_test(bad, takes_plain_http_on_loopback_or_with_a_setting);
	tcase_add_test(bad, refuses_every_bad_origin);
	tcase_add_test(bad, takes_links_that_can_stand_in_a_header_and_no_others);
	tcase_add_test(bad, tells_bad_sets);
	tcase_add_test(bad, tells_files_that_cannot_be_read);
	tcase_add_test(bad, refuses_a_file_over_the_cap);
	tcase_add_test(bad, tells_a_raw_nul_and_goes_on);
	tcase_add_test(bad, survives_random_files);
	suite_add_tcase(suite, bad);
	TCase *documents = tcase_create("documents");
	tcase_add_checked_fixture(documents, setup, teardown);
	tcase_add_test(documents, the_sample_with_its_comment_signs_removed_is_a_good_file);
	tcase_add_test(documents, the_sample_in_the_documents_is_the_one_that_is_printed);
	suite_add_tcase(suite, documents);
	return unit_run(suite);
}
