/* Fetches of hosts and of policy lists, whole: from a query over calls to a small upstream of this
 * file's own to the stored records. */
#include "config.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/fetch/fetch.h"
#include "gateway/legacy/lists.h"
#include "tests/unit/dir.h"
#include "tests/unit/unit.h"

/* --- an upstream: one connection at a time, one answer a connection */

static struct {
	int fd;
	unsigned port;
	pthread_t thread;
	unsigned calls;
	char paths[8][512];
	bool repeats; /* tells its first policy twice */
} upstream;

/* What is told of a policy is a matter of its last digit: 3: an error; 4: nothing; 5: no hosts; 6: an
 * error beside a host; else two hosts. */
static void
add_policy(struct buf *b, unsigned policy, const char **comma)
{
	unsigned digit = policy % 10;
	if (digit == 4)
		return;
	buf_printf(
	    b, "%s{\"policyId\":\"%u\",\"subscriptionId\":\"77\",\"hostIds\":[", *comma, policy);
	if (digit != 3 && digit != 5)
		buf_printf(b, "\"%u\"", policy * 10 + 1);
	if (digit != 3 && digit != 5 && digit != 6)
		buf_printf(b, ",\"%u\"", policy * 10);
	buf_printf(b, "]%s}", digit == 3 || digit == 6 ? ",\"error\":\"cannot\"" : "");
	*comma = ",";
}

static void
add_hosts(struct buf *b, const char *path)
{
	unsigned policies[64];
	size_t count = 0;
	const char *at = strstr(path, "policyId="), *comma = "";
	for (at += strlen("policyId="); count < ARRAY_LEN(policies);) {
		char *end;
		policies[count++] = (unsigned)strtoul(at, &end, 10);
		if (*end != ',')
			break;
		at = end + 1;
	}
	buf_byte(b, '[');
	if (upstream.repeats)
		add_policy(b, policies[0], &comma);
	while (count > 0) /* no order is promised */
		add_policy(b, policies[--count], &comma);
	buf_byte(b, ']');
}

static void
answer(int fd)
{
	char request[4096] = "";
	size_t len = 0;
	while (strstr(request, "\r\n\r\n") == NULL && len < sizeof request - 1) {
		ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);
		if (n <= 0)
			return;
		len += (size_t)n;
		request[len] = '\0';
	}
	char *path = strchr(request, ' ') + 1;
	path[strcspn(path, " ")] = '\0';
	snprintf(upstream.paths[upstream.calls % ARRAY_LEN(upstream.paths)],
	    sizeof upstream.paths[0], "%s", path);
	upstream.calls++;
	struct buf body, head;
	buf_init(&body, MIB);
	buf_init(&head, KIB);
	if (strstr(path, "hostids") != NULL)
		add_hosts(&body, path);
	else
		buf_str_add(
		    &body, "{\"subscriptionId\":78,\"policyList\":[{\"id\":5,\"tagInfo\":{}}]}");
	buf_printf(
	    &head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", body.len);
	(void)!send(fd, head.data, head.len, MSG_NOSIGNAL);
	(void)!send(fd, body.data, body.len, MSG_NOSIGNAL);
	buf_fini(&body);
	buf_fini(&head);
}

static void *
serve(void *ctx)
{
	int fd;
	(void)ctx;
	while ((fd = accept(upstream.fd, NULL, NULL)) >= 0) {
		answer(fd);
		close(fd);
	}
	return NULL;
}

static void
start_upstream(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	memset(&upstream, 0, sizeof upstream);
	upstream.fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ge(upstream.fd, 0);
	ck_assert_int_eq(bind(upstream.fd, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(upstream.fd, 64), 0);
	ck_assert_int_eq(getsockname(upstream.fd, (struct sockaddr *)&at, &len), 0);
	upstream.port = ntohs(at.sin_port);
	ck_assert_int_eq(pthread_create(&upstream.thread, NULL, serve, NULL), 0);
}

static void
stop_upstream(void)
{
	shutdown(upstream.fd, SHUT_RDWR);
	pthread_join(upstream.thread, NULL);
	close(upstream.fd);
}

/* --- the gateway's part */

static char dir[UNIT_DIR_BYTES], url[64];
static struct arena arena;
static struct cache *cache;
static struct flights *flights;
static struct memory *memory;
static struct budget *budget;
static struct credential *credential;
static struct fetcher *fetcher;

static enum status
login(void *ctx, struct transport *t, const atomic_bool *cancelled, char **ret_token,
    int64_t *ret_wait_ms)
{
	(void)ctx, (void)t, (void)cancelled, (void)ret_wait_ms;
	*ret_token = strdup("token");
	return *ret_token != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static struct seal_freshness
freshness(void *ctx, enum seal_fresh fresh, const uint64_t *policies, size_t count)
{
	(void)ctx, (void)fresh, (void)policies, (void)count;
	return (struct seal_freshness){3600000, 3600000, 3600000};
}

static void
start_fetcher(void)
{
	static const char *const preferred[] = {"5.0", "2.0"};
	static const struct lifecycle_entry lives[] = {
	    {"postureInfo", "2.0", INT64_MAX, INT64_MAX}};
	snprintf(url, sizeof url, "http://127.0.0.1:%u", upstream.port);
	struct fetcher_options o = {
	    .cache = cache,
	    .flights = flights,
	    .memory = memory,
	    .budget = budget,
	    .credential = credential,
	    .transport = {url, "", 10000, 10000, 10000},
	    .versions = {.preferred = preferred,
		.preferred_count = 2,
		.lifecycle = lives,
		.lifecycle_count = 1},
	    .threads = 4,
	    .hosts_per_call = 100,
	    .deadline_ms = 60000,
	    .freshness = freshness,
	};
	ck_assert_ptr_nonnull(fetcher = fetcher_new(&o));
}

static void
setup(void)
{
	if (getenv("UNIT_LOG") != NULL)
		log_init(2, LOG_DEBUG);
	ck_status(crypto_init(), STATUS_OK);
	ck_status(transport_init(), STATUS_OK);
	unit_dir_make(dir, "check_hosts");
	arena_init(&arena, LIMIT_ARENA_BYTES);
	start_upstream();
	struct cache_options c = {.dir = dir, .size_bytes = 256 * MIB, .readers = 16};
	ck_status(cache_open(&c, clock_wall_ms(), &cache), STATUS_OK);
	ck_assert_ptr_nonnull(flights = flights_new());
	ck_assert_ptr_nonnull(memory = memory_new(true));
	ck_assert_ptr_nonnull(budget = budget_new(&(struct budget_options){.concurrency = 4}));
	ck_assert_ptr_nonnull(credential = credential_new(&(struct credential_options){
				  "u", "/nonexistent", login, NULL, NULL, NULL}));
	start_fetcher();
}

static void
teardown(void)
{
	fetcher_free(fetcher);
	credential_free(credential);
	budget_free(budget);
	memory_free(memory);
	flights_free(flights);
	cache_close(cache);
	stop_upstream();
	arena_fini(&arena);
	unit_dir_remove(dir);
}

/* --- fetching */

static struct query
hosts_query(uint64_t first, uint64_t last)
{
	uint64_t *policies = arena_array(&arena, last - first + 1, sizeof *policies);
	ck_assert_ptr_nonnull(policies);
	for (uint64_t id = first; id <= last; id++)
		policies[id - first] = id;
	return (struct query){.kind = KIND_HOSTS,
	    .policies = {policies, last - first + 1},
	    .evaluated_since = DATE_NONE,
	    .scanned_since = DATE_NONE,
	    .scanned_from = DATE_NONE,
	    .scanned_to = DATE_NONE,
	    .changed_since = DATE_NONE};
}

static struct cache_result *
fetch(const struct query *q, enum status wanted)
{
	struct buf text;
	uint8_t digest[SHA256_BYTES];
	struct flight_view v;
	bool leader;
	buf_init(&text, LIMIT_CANON_BYTES);
	query_canon(q, &text);
	query_digest(text.data, text.len, digest);
	struct flight *flight = flight_join(flights, digest, text.data, text.len, "me", &leader);
	ck_assert(flight != NULL && leader);
	fetch_start(fetcher, flight, BUDGET_INTERACTIVE, false);
	ck_assert(flight_wait(flight, clock_mono_ms() + 60000));
	flight_look(flight, &v);
	ck_assert_msg(v.status == wanted, "%s", status_info(v.status)->name);
	struct cache_result *result = flight_result(flight);
	flight_release(flight);
	buf_fini(&text);
	return result;
}

/* Hands every record over, in its order. */
static void
each_record(
    struct cache_result *result, enum status (*take)(void *, const char *, size_t), void *ctx)
{
	struct cache_view *view;
	ck_status(cache_view_open(cache, &view), STATUS_OK);
	for (uint64_t i = 0; i < cache_manifest(result)->records; i++) {
		const struct row *rows;
		const char *bytes;
		size_t part, count, len, covered;
		uint64_t at;
		ck_assert(cache_locate(result, i, &part, &at));
		struct cache_source source = cache_source_part(result, part);
		ck_status(cache_view_rows(view, &source, at, &rows, &count), STATUS_OK);
		ck_status(
		    cache_view_bodies(view, &source, rows, 1, &bytes, &len, &covered), STATUS_OK);
		ck_status(take(ctx, bytes, len), STATUS_OK);
	}
	cache_view_close(view);
}

struct told {
	struct legacy_hosts list;
	struct buf text;
};

static enum status
take_host(void *ctx, const char *record, size_t len)
{
	struct told *t = ctx;
	return legacy_hosts_add(&t->list, record, len, &t->text);
}

static const char *
hosts_text(const struct query *q, struct cache_result *result)
{
	const struct cache_manifest *m = cache_manifest(result);
	struct id_list errors = {m->host_errors, m->host_error_count};
	struct told t;
	buf_init(&t.text, MIB);
	legacy_hosts_init(&t.list, &q->policies, &errors, fetch_subscription(fetcher), MIB);
	each_record(result, take_host, &t);
	ck_assert(legacy_hosts_end(&t.list, &t.text));
	ck_status(t.text.err, STATUS_OK);
	const char *text = arena_dup(&arena, t.text.data, t.text.len);
	buf_fini(&t.text);
	return text;
}

#define HEAD(policy) "{\"policyId\":\"" policy "\",\"subscriptionId\":\"77\",\"hostIds\":["
#define FAILED "],\"error\":\"The hosts of this policy could not be resolved\"}"

START_TEST(the_hosts_of_many_policies_come_in_one_call)
{
	struct query q = hosts_query(1, 6);
	ck_assert_uint_eq(fetch_subscription(fetcher), 0);
	struct cache_result *result = fetch(&q, STATUS_OK);
	ck_assert_uint_eq(upstream.calls, 1);
	ck_assert_str_eq(upstream.paths[0], "/pcrs/5.0/posture/hostids?policyId=1,2,3,4,5,6");
	ck_assert_uint_eq(fetch_subscription(fetcher), 77);
	ck_assert_str_eq(hosts_text(&q, result),
	    "[" HEAD("1") "\"10\",\"11\"]}," HEAD("2") "\"20\",\"21\"]}," HEAD("3") FAILED
	    "," HEAD("4") FAILED "," HEAD("5") "]}," HEAD("6") "\"61\"" FAILED "]");
	const struct cache_manifest *m = cache_manifest(result);
	ck_assert(!m->complete);
	ck_assert_uint_eq(m->policy_count, 6);
	ck_assert_uint_eq(m->host_error_count, 3);
	ck_assert_uint_eq(m->hosts_asked, 5);
	ck_assert_uint_eq(m->host_count, 5);
	ck_assert_uint_eq(m->hosts[4], 61);
	cache_release(result);
}
END_TEST

/* In 2.0 a call has ten policies. */
START_TEST(the_hosts_of_more_policies_come_in_several_calls)
{
	struct query q = hosts_query(30, 54);
	q.assets = ASSETS_ALL;
	q.scanned_since = 0;
	struct cache_result *result = fetch(&q, STATUS_OK);
	ck_assert_uint_eq(upstream.calls, 3);
	size_t five = 0;
	for (size_t i = 0; i < 3; i++) {
		ck_assert_ptr_nonnull(strstr(upstream.paths[i], "/pcrs/2.0/posture/hostids?"));
		ck_assert_ptr_nonnull(
		    strstr(upstream.paths[i], "&lastScanDate=1970-01-01T00:00:00Z"));
		five += strstr(upstream.paths[i], "=50,51,52,53,54&") != NULL;
	}
	ck_assert_uint_eq(five, 1);
	const struct cache_manifest *m = cache_manifest(result);
	static const uint64_t failed[] = {33, 34, 36, 43, 44, 46, 53, 54};
	ck_assert_uint_eq(m->host_error_count, ARRAY_LEN(failed));
	ck_assert_mem_eq(m->host_errors, failed, sizeof failed);
	ck_assert_uint_eq(m->records, 6 * 2 + 1 + 6 * 2 + 1 + 3 * 2);
	ck_assert_uint_eq(m->host_count, m->records);
	ck_assert_str_eq(m->version, "2.0");
	ck_assert_ptr_nonnull(strstr(hosts_text(&q, result), HEAD("54") FAILED "]"));
	cache_release(result);
}
END_TEST

START_TEST(a_policy_that_failed_lately_is_not_asked_for)
{
	struct query q = hosts_query(1, 4), two = hosts_query(2, 3), one = hosts_query(3, 3);
	cache_release(fetch(&q, STATUS_OK));
	struct cache_result *result = fetch(&two, STATUS_OK);
	ck_assert_uint_eq(upstream.calls, 2);
	ck_assert_str_eq(upstream.paths[1], "/pcrs/5.0/posture/hostids?policyId=2");
	ck_assert_str_eq(
	    hosts_text(&two, result), "[" HEAD("2") "\"20\",\"21\"]}," HEAD("3") FAILED "]");
	cache_release(result);
	result = fetch(&one, STATUS_OK);
	ck_assert_uint_eq(upstream.calls, 2);
	ck_assert_str_eq(hosts_text(&one, result), "[" HEAD("3") FAILED "]");
	cache_release(result);
}
END_TEST

START_TEST(a_policy_that_is_told_twice_spoils_the_answer)
{
	struct query q = hosts_query(1, 2);
	upstream.repeats = true;
	ck_assert_ptr_null(fetch(&q, STATUS_UPSTREAM_BAD_DATA));
}
END_TEST

static enum status
take_text(void *ctx, const char *record, size_t len)
{
	buf_add(ctx, record, len);
	return STATUS_OK;
}

START_TEST(a_policy_list_is_fetched_with_its_tags)
{
	struct query q = hosts_query(1, 1);
	struct buf text;
	buf_init(&text, MIB);
	q.kind = KIND_POLICIES;
	q.tags = true;
	struct cache_result *result = fetch(&q, STATUS_OK);
	ck_assert_str_eq(upstream.paths[0], "/pcrs/2.0/posture/policy/list?requireTagInfo=1");
	each_record(result, take_text, &text);
	ck_assert_ptr_nonnull(strstr(buf_str(&text), "\"subscriptionId\":78,\"tags\":{}}"));
	ck_assert_uint_eq(fetch_subscription(fetcher), 78);
	cache_release(result);
	buf_fini(&text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hosts");
	TCase *t = tcase_create("hosts");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_hosts_of_many_policies_come_in_one_call);
	tcase_add_test(t, the_hosts_of_more_policies_come_in_several_calls);
	tcase_add_test(t, a_policy_that_failed_lately_is_not_asked_for);
	tcase_add_test(t, a_policy_that_is_told_twice_spoils_the_answer);
	tcase_add_test(t, a_policy_list_is_fetched_with_its_tags);
	suite_add_tcase(s, t);
	return unit_run(s);
}
