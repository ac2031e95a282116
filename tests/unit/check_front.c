/* The front's pure parts: routing, conditions of a request, consumers, the writer of headers. */
#include "config.h"

#include <string.h>

#include "gateway/front/access.h"
#include "gateway/front/conditions.h"
#include "gateway/front/media.h"
#include "gateway/front/response.h"
#include "gateway/front/route.h"
#include "tests/unit/unit.h"

/* --- routes */

static const struct {
	const char *uri;
	enum route route;
	uint64_t id;
	const char *query;
} routes[] = {
    {"/v1/postures", ROUTE_POSTURES, 0, ""},
    {"/v1/postures?policy=1", ROUTE_POSTURES, 0, "policy=1"},
    {"/v1/postures??", ROUTE_POSTURES, 0, "?"},
    {"/v1/postures/query", ROUTE_POSTURES_QUERY, 0, ""},
    {"/v1/postures/summary?by=status", ROUTE_POSTURES_SUMMARY, 0, "by=status"},
    {"/v1/postures/summary/", ROUTE_UNKNOWN, 0, ""},
    {"/v1/postures/Summary", ROUTE_POSTURE, 0, ""},
    {"/v1/postures/17", ROUTE_POSTURE, 17, ""},
    {"/v1/postures/9223372036854775807?qds=true", ROUTE_POSTURE, INT64_MAX, "qds=true"},
    {"/v1/postures/9223372036854775808", ROUTE_POSTURE, 0, ""},
    {"/v1/postures/0", ROUTE_POSTURE, 0, ""},
    {"/v1/postures/017", ROUTE_POSTURE, 0, ""},
    {"/v1/postures/1%37", ROUTE_POSTURE, 0, ""},
    {"/v1/postures/", ROUTE_UNKNOWN, 0, ""},
    {"/v1/postures/1/2", ROUTE_UNKNOWN, 0, ""},
    {"/v1//postures", ROUTE_UNKNOWN, 0, ""},
    {"/v1/../v1/postures", ROUTE_UNKNOWN, 0, ""},
    {"/v1/posture%73", ROUTE_UNKNOWN, 0, ""},
    {"/V1/postures", ROUTE_UNKNOWN, 0, ""},
    {"/v1/postures;a=b", ROUTE_UNKNOWN, 0, ""},
    {"http://other/v1/postures", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies", ROUTE_POLICIES, 0, ""},
    {"/v1/policies?evaluatedSince=2026-01-01", ROUTE_POLICIES, 0, "evaluatedSince=2026-01-01"},
    {"/v1/policies/", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17/", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17/hosts", ROUTE_POLICY_HOSTS, 17, ""},
    {"/v1/policies/9223372036854775807/hosts?limit=2", ROUTE_POLICY_HOSTS, INT64_MAX, "limit=2"},
    {"/v1/policies/9223372036854775808/hosts", ROUTE_POLICY_HOSTS, 0, ""},
    {"/v1/policies/0/hosts", ROUTE_POLICY_HOSTS, 0, ""},
    {"/v1/policies/x/hosts", ROUTE_POLICY_HOSTS, 0, ""},
    {"/v1/policies/*/hosts", ROUTE_POLICY_HOSTS, 0, ""},
    {"/v1/policies//hosts", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/hosts", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17/host", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17/hosts/", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17/hosts/1", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/1/7/hosts", ROUTE_UNKNOWN, 0, ""},
    {"/v1/policies/17?/hosts", ROUTE_UNKNOWN, 0, "/hosts"},
    {"/v1/fetches/ab12", ROUTE_FETCH, 0xab12, ""},
    {"/v1/fetches/xyz", ROUTE_FETCH, 0, ""},
    {"/v1/fetches?limit=1", ROUTE_FETCHES, 0, "limit=1"},
    {"/v1/fetches/", ROUTE_UNKNOWN, 0, ""},
    {"/admin/v1/fetches", ROUTE_ADMIN_FETCHES, 0, ""},
    {"/admin/v1/fetches/ab12", ROUTE_ADMIN_FETCH, 0xab12, ""},
    {"/admin/v1/budget", ROUTE_ADMIN_BUDGET, 0, ""},
    {"/admin/v1/consumers", ROUTE_ADMIN_CONSUMERS, 0, ""},
    {"/admin/v1/migration?format=csv", ROUTE_ADMIN_MIGRATION, 0, "format=csv"},
    {"/admin/", ROUTE_UNKNOWN, 0, ""},
    {"/admin/v2/budget", ROUTE_UNKNOWN, 0, ""},
    {"/healthz", ROUTE_HEALTHZ, 0, ""},
    {"/readyz", ROUTE_READYZ, 0, ""},
    {"/metrics", ROUTE_METRICS, 0, ""},
    {"/metrics/", ROUTE_UNKNOWN, 0, ""},
    {"/", ROUTE_UNKNOWN, 0, ""},
    {"", ROUTE_UNKNOWN, 0, ""},
};

START_TEST(a_path_has_one_spelling)
{
	struct routed r;
	route_find(routes[_i].uri, strlen(routes[_i].uri), &r);
	ck_assert_int_eq(r.route, routes[_i].route);
	ck_assert_uint_eq(r.id, routes[_i].id);
	ck_assert_uint_eq(r.query_len, strlen(routes[_i].query));
	ck_assert_mem_eq(r.query, routes[_i].query, r.query_len);
	/* below /admin/ everything is for administrators, and nothing else is */
	bool admin = strncmp(routes[_i].uri, "/admin/", 7) == 0;
	ck_assert_int_eq(r.needs_admin, admin && r.route != ROUTE_UNKNOWN);
	ck_assert(!r.needs_admin || r.needs_key);
}
END_TEST

START_TEST(methods_are_named_as_they_are_read)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "DELETE", "OPTIONS"};
	char text[ROUTE_METHODS_BYTES];
	unsigned all = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		enum route_method method = route_method(names[i]);
		ck_assert_str_eq(route_methods(method, text), names[i]);
		ck_assert_uint_eq(all & method, 0);
		all |= method;
	}
	ck_assert_str_eq(route_methods(all, text), "GET, HEAD, POST, DELETE, OPTIONS");
	ck_assert_str_eq(route_methods(0, text), "");
	ck_assert_int_eq(route_method("get"), METHOD_OTHER);
}
END_TEST

/* --- conditions */

START_TEST(directives_are_read_and_nonsense_is_left_aside)
{
	struct conditions c;
	conditions_parse(&c, "No-Cache , max-age=\"60\", x=1", "respond-async, wait=10", NULL);
	ck_assert(c.no_cache && !c.only_if_cached && c.respond_async);
	ck_assert_int_eq(c.max_age_ms, 60000);
	ck_assert_int_eq(c.wait_ms, 10000);
	conditions_parse(&c, "max-age=, max-age=-1, max-age=1x, ,,", "wait=soon", NULL);
	ck_assert(!c.no_cache);
	ck_assert_int_eq(c.max_age_ms, -1);
	ck_assert_int_eq(c.wait_ms, -1);
	conditions_parse(&c, "only-if-cached,max-age=99999999999999999999", NULL, NULL);
	ck_assert(c.only_if_cached);
	ck_assert_int_eq(c.max_age_ms, INT64_C(3155760000) * 1000);
}
END_TEST

START_TEST(commas_in_quoted_texts_end_no_directive)
{
	struct conditions c;
	conditions_parse(&c, "x=\"a, no-cache, b\", y=\"\\\", max-age=1\"",
	    "z=\"q, respond-async, wait=1\"", "\"a,b\", \"c\"");
	ck_assert(!c.no_cache && !c.respond_async);
	ck_assert_int_eq(c.max_age_ms, -1);
	ck_assert_int_eq(c.wait_ms, -1);
	ck_assert(conditions_match(&c, "\"a,b\"") && conditions_match(&c, "\"c\""));
	ck_assert(!conditions_match(&c, "\"a"));
	conditions_parse(&c, "x=\"a\", no-cache", "z=\"q, wait=3\", wait=4", NULL);
	ck_assert(c.no_cache);
	ck_assert_int_eq(c.wait_ms, 4000);
	conditions_parse(&c, "x=\"never closed, max-age=1", NULL, NULL);
	ck_assert_int_eq(c.max_age_ms, -1);
}
END_TEST

START_TEST(white_space_and_empty_values_of_preferences_are_as_the_rfc_has_them)
{
	struct conditions c;
	conditions_parse(&c, NULL, "wait = 7 ; a=b, respond-async=\"\"", NULL);
	ck_assert_int_eq(c.wait_ms, 7000);
	ck_assert(c.respond_async);
	conditions_parse(&c, NULL, "wait = , respond-async=\"x\"", NULL);
	ck_assert_int_eq(c.wait_ms, -1);
	ck_assert(!c.respond_async);
	conditions_parse(&c, NULL, "wait =\t", NULL);
	ck_assert_int_eq(c.wait_ms, -1);
}
END_TEST

static const struct {
	const char *cache_control;
	bool force;
	int64_t age_ms;
	enum verdict verdict;
} verdicts[] = {
    {NULL, false, 0, VERDICT_FRESH}, {NULL, false, 99999, VERDICT_FRESH},
    {NULL, false, 100000, VERDICT_STALE}, {NULL, false, 299999, VERDICT_STALE},
    {NULL, false, 300000, VERDICT_EXPIRED}, {"no-cache", false, 1000, VERDICT_FRESH},
    {"no-cache", true, 1000, VERDICT_REQUEST}, {"max-age=5", true, 5000, VERDICT_FRESH},
    {"max-age=5", true, 5001, VERDICT_REQUEST},
    {"max-age=5", false, 30000, VERDICT_FRESH}, /* the floor is 30 s */
    {"max-age=5", false, 30001, VERDICT_REQUEST}, {"max-age=500", false, 150000, VERDICT_STALE},
    {NULL, false, -5000, VERDICT_FRESH},               /* the wall clock was set back, a little */
    {NULL, false, -3600000, VERDICT_STALE},            /* by so much that nobody knows the age */
    {"max-age=500", false, -3600000, VERDICT_REQUEST}, /* and nobody can promise one */
};

START_TEST(a_result_is_judged_by_its_age_and_by_what_was_asked)
{
	const int64_t fetched = INT64_C(1700000000000);
	struct cache_manifest m = {.fetched_at_ms = fetched,
	    .fresh_until_ms = fetched + 100000,
	    .stale_until_ms = fetched + 300000,
	    .keep_until_ms = fetched + 900000};
	struct conditions c;
	conditions_parse(&c, verdicts[_i].cache_control, NULL, NULL);
	ck_assert_int_eq(
	    conditions_verdict(&c, &m, fetched + verdicts[_i].age_ms, verdicts[_i].force, 30000),
	    verdicts[_i].verdict);
}
END_TEST

START_TEST(a_wait_is_capped)
{
	struct conditions c;
	conditions_parse(&c, NULL, NULL, NULL);
	ck_assert_int_eq(conditions_wait_ms(&c, 25000, 60000), 25000);
	conditions_parse(&c, NULL, "wait=5", NULL);
	ck_assert_int_eq(conditions_wait_ms(&c, 25000, 60000), 5000);
	conditions_parse(&c, NULL, "wait=500", NULL);
	ck_assert_int_eq(conditions_wait_ms(&c, 25000, 60000), 60000);
	conditions_parse(&c, NULL, "respond-async", NULL);
	ck_assert_int_eq(conditions_wait_ms(&c, 25000, 60000), 0);
}
END_TEST

START_TEST(of_a_preference_given_twice_the_first_counts)
{
	struct conditions c;
	conditions_parse(&c, NULL, "wait=5; x=y, wait=10, respond-async;a", NULL);
	ck_assert_int_eq(c.wait_ms, 5000);
	ck_assert(c.respond_async);
	conditions_parse(&c, NULL, "wait=x, wait=7", NULL);
	ck_assert_int_eq(c.wait_ms, 7000);
	conditions_parse(&c, NULL, "x;wait=7", NULL);
	ck_assert_int_eq(c.wait_ms, -1);
}
END_TEST

START_TEST(what_was_heeded_is_told)
{
	static const struct {
		const char *prefer;
		int64_t waited_ms;
		bool accepted;
		const char *applied;
	} cases[] = {
	    {NULL, 25000, true, ""},
	    {NULL, 25000, false, ""},
	    {"wait=500", 60000, false, "wait=60"},
	    {"wait=500", 60000, true, "wait=60"},
	    {"wait=5", 0, true, "wait=0"}, /* too many wait already */
	    {"respond-async", 0, true, "respond-async"},
	    {"respond-async", 0, false, ""}, /* it was there at once */
	    {"wait=5, respond-async", 5000, true, "respond-async, wait=5"},
	    {"wait=5, respond-async", 5000, false, "wait=5"},
	    {"handling=lenient", 25000, true, ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conditions c;
		char text[CONDITIONS_APPLIED_BYTES];
		conditions_parse(&c, NULL, cases[i].prefer, NULL);
		bool any = conditions_applied(&c, cases[i].waited_ms, cases[i].accepted, text);
		ck_assert_str_eq(text, cases[i].applied);
		ck_assert_int_eq(any, text[0] != '\0');
	}
}
END_TEST

START_TEST(gzip_is_taken_as_the_rfc_says)
{
	static const struct {
		const char *lines[3];
		bool gzip;
	} cases[] = {
	    {{""}, false},
	    {{"gzip"}, true},
	    {{"GZip"}, true},
	    {{"x-gzip"}, true},
	    {{"deflate, gzip, br"}, true},
	    {{"br", "deflate", "gzip"}, true},
	    {{"deflate, br"}, false},
	    {{"gzip;q=1.000"}, true},
	    {{"gzip ; q=0.001"}, true},
	    {{"gzip;Q=1."}, true},
	    {{"gzip;q=0"}, false},
	    {{"gzip;q=0.000"}, false},
	    {{"gzip;q=0, *"}, false},
	    {{"*"}, true},
	    {{"*;q=0"}, false},
	    {{"*;q=0, gzip"}, true},
	    {{"br, *;q=0.1"}, true},
	    {{"identity"}, false},
	    {{"identity, *;q=0.5"}, false},
	    {{"identity;q=0"}, false}, /* then too: there is nothing else that it takes */
	    {{"identity;q=0, gzip"}, true},
	    {{"identity;q=0.5, gzip;q=0.4"}, false},
	    {{"identity;q=0.5, gzip;q=0.5"}, true},
	    {{"identity;q=0.5", "gzip;q=1"}, true},
	    {{"gzip, gzip;q=0"}, false},
	    {{"gzip;q=0, x-gzip"}, false},
	    {{",, gzip ,,"}, true},
	    {{"gzip\t;\tq=0.5 , br"}, true},
	    {{"gzip;q=1.001"}, false},
	    {{"gzip;q=2"}, false},
	    {{"gzip;q=0.1234"}, false},
	    {{"gzip;q=-1"}, false},
	    {{"gzip;q="}, false},
	    {{"gzip;q"}, false},
	    {{"gzip;"}, false},
	    {{"gzip;level=1"}, false},
	    {{"gzip;q=1;a=b"}, false},
	    {{"gzip q=1"}, false},
	    {{"gzip, b\"r"}, false},
	    {{"gzip, ;q=1"}, false},
	    {{"gzip=1"}, false},
	    {{"gzipped"}, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = 0;
		while (count < ARRAY_LEN(cases[i].lines) && cases[i].lines[count] != NULL)
			count++;
		ck_assert_msg(conditions_gzip(cases[i].lines, count) == cases[i].gzip, "%s",
		    cases[i].lines[0]);
	}
	ck_assert(!conditions_gzip(NULL, 0));
}
END_TEST

START_TEST(a_body_becomes_gzip_if_it_is_worth_it)
{
	struct response r;
	struct buf head;
	buf_init(&head, 4096);
	for (size_t len = 1020; len < 1030; len++) {
		response_init(&r);
		buf_reset(&head);
		for (size_t i = 0; i < len; i++)
			buf_byte(&r.body, 'x');
		response_gzip(&r);
		ck_status(response_head(&r, &head), STATUS_OK);
		bool gzip = strstr(buf_str(&head), "Content-Encoding: gzip\r\n") != NULL;
		ck_assert_int_eq(gzip, len >= 1024);
		ck_assert_int_eq(r.body.data[0] == 0x1f, gzip);
		ck_assert(gzip ? r.body.len < 100 : r.body.len == len);
		response_fini(&r);
	}
	buf_fini(&head);
}
END_TEST

START_TEST(accept_is_weighed_as_the_rfc_says)
{
	static const struct {
		const char *accept;
		unsigned weight; /* of application/json */
	} cases[] = {{"*/*", 1000}, {"application/json", 1000},
	    {"text/html, application/json;q=0.5", 500}, {"text/html", 0},
	    {"application/json;q=0", 0}, {"application/json; q=0.000", 0},
	    {"application/json;q=0.001", 1}, {"*/*, application/json;q=0", 0},
	    {"application/json, */*;q=0", 1000}, {"application/*;q=0, */*", 0},
	    {"application/*;q=0.25, */*;q=0.75", 250}, {"application/json ; Q=0.12", 120},
	    {"application/json;version=1;q=0.3;x=y", 300}, {"application/json;q=1.000", 1000},
	    {"application/json;q=0.9999", 999}, {"application/json;q=", 1000},
	    {"application/json;q=0.2, application/json;charset=x;q=0.4", 400},
	    {"application/json;q=0.4, application/json;charset=x;q=0.2", 400},
	    {"Application/JSON", 1000}, {"application/jsonx", 0}, {"application/", 0}, {"*", 0},
	    {"/*", 0}, {",,", 0}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_msg(
		    conditions_accept(cases[i].accept, "application/json") == cases[i].weight, "%s",
		    cases[i].accept);
}
END_TEST

START_TEST(an_endpoint_answers_in_what_is_liked_best)
{
	static const struct {
		enum route route;
		const char *accept;
		enum media media; /* MEDIA_COUNT: none */
	} cases[] = {
	    {ROUTE_POSTURES, "", MEDIA_JSON},
	    {ROUTE_POSTURES, "text/html, */*;q=0.1", MEDIA_JSON},
	    {ROUTE_POSTURES, "text/plain", MEDIA_COUNT},
	    {ROUTE_POSTURES, "text/*", MEDIA_CSV},
	    {ROUTE_POSTURES, "application/x-ndjson, application/json", MEDIA_JSON},
	    {ROUTE_POSTURES, "application/x-ndjson, application/json;q=0.9", MEDIA_NDJSON},
	    {ROUTE_POSTURES_QUERY, "text/csv", MEDIA_CSV},
	    {ROUTE_POSTURE, "text/csv", MEDIA_COUNT},
	    {ROUTE_ADMIN_MIGRATION, "*/*", MEDIA_JSON},
	    {ROUTE_ADMIN_MIGRATION, "text/csv, application/json;q=0.9", MEDIA_CSV},
	    {ROUTE_METRICS, "", MEDIA_OPENMETRICS},
	    {ROUTE_METRICS, "*/*", MEDIA_OPENMETRICS},
	    {ROUTE_METRICS, "text/plain", MEDIA_METRICS_TEXT},
	    {ROUTE_METRICS, "text/*;q=0.5, application/*;q=0.4", MEDIA_METRICS_TEXT},
	    {ROUTE_METRICS, "application/json", MEDIA_COUNT},
	    /* as a Prometheus of today asks */
	    {ROUTE_METRICS,
		"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/"
		"*;q=0.1",
		MEDIA_OPENMETRICS},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum media media = MEDIA_COUNT;
		bool any = media_choose(cases[i].route, cases[i].accept, &media);
		ck_assert_msg(
		    any == (cases[i].media != MEDIA_COUNT) && media == cases[i].media, "%zu", i);
	}
	ck_assert_str_eq(
	    media_type(MEDIA_METRICS_TEXT), "text/plain; version=0.0.4; charset=utf-8");
}
END_TEST

START_TEST(validators_match_as_the_rfc_says)
{
	static const struct {
		const char *header;
		bool match;
	} cases[] = {{"\"abc\"", true}, {"W/\"abc\"", true}, {"\"x\", \"abc\"", true}, {"*", true},
	    {"abc", false}, {"\"abcd\"", false}, {"", false}, {",,", false}, {NULL, false}};
	struct conditions c;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		conditions_parse(&c, NULL, NULL, cases[i].header);
		ck_assert_int_eq(conditions_match(&c, "\"abc\""), cases[i].match);
	}
}
END_TEST

/* --- consumers */

static struct access *
make_access(struct settings_consumer *list)
{
	static const uint64_t policies[] = {3, 5};
	list[0] = (struct settings_consumer){.name = "red",
	    .key_count = 2,
	    .expires_s = INT64_MAX,
	    .policies = policies,
	    .policy_count = 2};
	crypto_sha256("red.one", 7, list[0].keys[0]);
	crypto_sha256("red.two", 7, list[0].keys[1]);
	list[1] = (struct settings_consumer){.name = "blue",
	    .key_count = 1,
	    .expires_s = 1000,
	    .all_policies = true,
	    .legacy = LEGACY_WARN,
	    .legacy_until_s = 500};
	crypto_sha256("blue.key", 8, list[1].keys[0]);
	return access_new(list, 2);
}

START_TEST(a_consumer_has_what_the_settings_say_of_the_old_protocol)
{
	struct settings_consumer list[2];
	struct access *a = make_access(list);
	ck_assert_int_eq(access_at(a, 0)->legacy, LEGACY_STRICT);
	ck_assert_int_eq(access_at(a, 1)->legacy, LEGACY_WARN);
	ck_assert_int_eq(access_at(a, 1)->legacy_until_s, 500);
	access_free(a);
}
END_TEST

START_TEST(a_key_opens_only_for_its_owner)
{
	static const struct {
		const char *authorization, *api_key;
		int64_t now_s;
		enum status status;
	} cases[] = {
	    {"Bearer red.one", NULL, 0, STATUS_OK},
	    {"bearer  red.two", NULL, 0, STATUS_OK},
	    {NULL, "red.one", 0, STATUS_OK},
	    {NULL, "blue.key", 999, STATUS_OK},
	    {NULL, "blue.key", 1000, STATUS_UNAUTHORIZED}, /* it has expired */
	    {NULL, "blue.one", 0, STATUS_UNAUTHORIZED},
	    {NULL, "red.three", 0, STATUS_UNAUTHORIZED},
	    {NULL, "red.one ", 0, STATUS_UNAUTHORIZED},
	    {NULL, "red", 0, STATUS_UNAUTHORIZED},
	    {NULL, "", 0, STATUS_UNAUTHORIZED},
	    {NULL, ".", 0, STATUS_UNAUTHORIZED},
	    {NULL, "green.one", 0, STATUS_UNAUTHORIZED},
	    {"Basic cmVkOm9uZQ==", NULL, 0, STATUS_UNAUTHORIZED},
	    {"Bearer ", NULL, 0, STATUS_UNAUTHORIZED},
	    {NULL, NULL, 0, STATUS_UNAUTHORIZED},
	    {"Bearer red.one", "red.one", 0, STATUS_BAD_REQUEST},
	};
	struct settings_consumer list[2];
	struct access *a = make_access(list);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct consumer *c;
		ck_status(access_check(a, cases[i].authorization, cases[i].authorization != NULL,
			      cases[i].api_key, cases[i].api_key != NULL, cases[i].now_s, &c),
		    cases[i].status);
	}
	const struct consumer *c;
	ck_status(access_check(a, NULL, 0, "red.one", 2, 0, &c), STATUS_BAD_REQUEST);
	access_free(a);
}
END_TEST

START_TEST(a_grant_covers_all_or_nothing)
{
	static const uint64_t both[] = {3, 5}, more[] = {3, 4};
	struct settings_consumer list[2];
	struct access *a = make_access(list);
	const struct consumer *red, *blue;
	ck_status(access_check(a, NULL, 0, "red.one", 1, 0, &red), STATUS_OK);
	ck_status(access_check(a, NULL, 0, "blue.key", 1, 0, &blue), STATUS_OK);
	ck_assert(access_covers(red, &(struct id_list){both, 2}));
	ck_assert(!access_covers(red, &(struct id_list){more, 2}));
	ck_assert(access_covers(blue, &(struct id_list){more, 2}));
	access_free(a);
}
END_TEST

/* --- answers */

START_TEST(every_status_that_a_caller_sees_has_its_reason)
{
	struct response r;
	struct buf head;
	response_init(&r);
	buf_init(&head, 4096);
	for (int st = STATUS_OK; st < STATUS_COUNT; st++) {
		if (status_info((enum status)st)->slug[0] == '\0')
			continue;
		buf_reset(&head);
		response_message(&r, (enum status)st, NULL, 0);
		ck_status(response_head(&r, &head), STATUS_OK);
		ck_assert_msg(strstr(buf_str(&head), " Other\r\n") == NULL, "%s has none",
		    status_info((enum status)st)->name);
	}
	buf_fini(&head);
	response_fini(&r);
}
END_TEST

START_TEST(with_a_line_end_in_a_header_there_is_no_head)
{
	struct response r;
	struct buf head;
	response_init(&r);
	buf_init(&head, 4096);
	response_header(&r, "X-Good", "%s", "fine");
	ck_status(response_head(&r, &head), STATUS_OK);
	ck_assert_str_eq(
	    buf_str(&head), "Status: 200 OK\r\nX-Good: fine\r\nContent-Length: 0\r\n\r\n");
	response_header(&r, "X-Bad", "%s", "a\r\nSet-Cookie: b");
	buf_reset(&head);
	ck_assert(!response_good(&r));
	ck_status(response_head(&r, &head), STATUS_INTERNAL);
	ck_assert_uint_eq(head.len, 0);
	response_message(&r, STATUS_INTERNAL, NULL, 0); /* all of it, in its place */
	ck_status(response_head(&r, &head), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(buf_str(&head), "Status: 500"));
	ck_assert_ptr_null(strstr(buf_str(&head), "Set-Cookie"));
	buf_fini(&head);
	response_fini(&r);
}
END_TEST

START_TEST(a_problem_replaces_what_was_there)
{
	struct response r;
	struct query_errors errors = {.list = {{"limit", "say \"1\" to 1000"}}, .count = 1};
	response_init(&r);
	buf_str_add(&r.body, "{\"data\":[");
	response_header(&r, "ETag", "\"x\"");
	response_problem(&r, STATUS_BAD_REQUEST, "id1", NULL, &errors, 0, NULL);
	ck_assert_str_eq(buf_str(&r.body), "{\"type\":\"/problems/bad-request\",\"title\":\"The "
					   "request is not valid\",\"status\":400,"
					   "\"instance\":\"id1\",\"errors\":[{\"parameter\":"
					   "\"limit\",\"message\":\"say \\\"1\\\" to 1000\"}]}\n");
	ck_assert_ptr_null(strstr(buf_str(&r.headers), "ETag"));
	response_problem(&r, STATUS_UPSTREAM_LIMIT, "id1", NULL, NULL, 1001, ",\"cachedAge\":5");
	ck_assert_int_eq(r.http, 503);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.headers), "Retry-After: 2\r\n"));
	ck_assert_ptr_nonnull(strstr(buf_str(&r.body), ",\"cachedAge\":5}"));
	/* who is told to come later is told when */
	response_problem(&r, STATUS_UPSTREAM_DOWN, "id1", NULL, NULL, 0, NULL);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.headers), "Retry-After: 5\r\n"));
	response_fini(&r);
}
END_TEST

START_TEST(a_message_ends_without_a_full_stop)
{
	static const char *const said[][2] = {
	    {"No. It is late.", "No. It is late"}, {"late", "late"}, {".", ""}, {"", ""}};
	struct response r;
	char wanted[64];
	response_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		response_message(&r, STATUS_NOT_FOUND, said[i][0], 0);
		snprintf(wanted, sizeof wanted, "{\"message\":\"%s\"}\n", said[i][1]);
		ck_assert_str_eq(buf_str(&r.body), wanted);
	}
	response_fini(&r);
}
END_TEST

int
main(void)
{
	if (crypto_init() != STATUS_OK)
		return EXIT_FAILURE;
	Suite *s = suite_create("front");
	TCase *t = tcase_create("front");
	tcase_add_loop_test(t, a_path_has_one_spelling, 0, ARRAY_LEN(routes));
	tcase_add_test(t, methods_are_named_as_they_are_read);
	tcase_add_test(t, directives_are_read_and_nonsense_is_left_aside);
	tcase_add_loop_test(
	    t, a_result_is_judged_by_its_age_and_by_what_was_asked, 0, ARRAY_LEN(verdicts));
	tcase_add_test(t, a_wait_is_capped);
	tcase_add_test(t, of_a_preference_given_twice_the_first_counts);
	tcase_add_test(t, commas_in_quoted_texts_end_no_directive);
	tcase_add_test(t, white_space_and_empty_values_of_preferences_are_as_the_rfc_has_them);
	tcase_add_test(t, what_was_heeded_is_told);
	tcase_add_test(t, accept_is_weighed_as_the_rfc_says);
	tcase_add_test(t, gzip_is_taken_as_the_rfc_says);
	tcase_add_test(t, a_body_becomes_gzip_if_it_is_worth_it);
	tcase_add_test(t, an_endpoint_answers_in_what_is_liked_best);
	tcase_add_test(t, validators_match_as_the_rfc_says);
	tcase_add_test(t, a_consumer_has_what_the_settings_say_of_the_old_protocol);
	tcase_add_test(t, a_key_opens_only_for_its_owner);
	tcase_add_test(t, a_grant_covers_all_or_nothing);
	tcase_add_test(t, every_status_that_a_caller_sees_has_its_reason);
	tcase_add_test(t, with_a_line_end_in_a_header_there_is_no_head);
	tcase_add_test(t, a_problem_replaces_what_was_there);
	tcase_add_test(t, a_message_ends_without_a_full_stop);
	suite_add_tcase(s, t);
	return unit_run(s);
}
