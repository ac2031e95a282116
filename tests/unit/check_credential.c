/* The credential: one login at a time, when it is renewed, when logins stop; and what transport
 * reads out of statuses and headers. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/crypto.h"
#include "gateway/upstream/credential.h"
#include "gateway/upstream/transport.h"
#include "tests/unit/unit.h"

static struct {
	atomic_int logins, inside, most_inside;
	enum status answer;
	int64_t wait_ms;
	char token[256];
} fake;

static enum status
fake_login(void *ctx, struct transport *t, const atomic_bool *cancelled, char **ret_token,
    int64_t *ret_wait_ms)
{
	(void)ctx, (void)t;
	int inside = atomic_fetch_add(&fake.inside, 1) + 1;
	if (inside > atomic_load(&fake.most_inside))
		atomic_store(&fake.most_inside, inside);
	int n = atomic_fetch_add(&fake.logins, 1) + 1;
	enum status st = fake.answer;
	if (cancelled != NULL && atomic_load(cancelled))
		st = STATUS_CANCELLED;
	if (st == STATUS_OK) {
		char text[300];
		snprintf(text, sizeof text, "%s%d", fake.token, n);
		*ret_token = strdup(text);
	}
	if (st == STATUS_UPSTREAM_LIMIT)
		*ret_wait_ms = fake.wait_ms;
	atomic_fetch_sub(&fake.inside, 1);
	return st;
}

static struct credential *
make(const char *file)
{
	struct credential_options o = {.username = "u", .password_file = file, .login = fake_login};
	memset(&fake, 0, sizeof fake);
	snprintf(fake.token, sizeof fake.token, "token-number-");
	return credential_new(&o);
}

static char *
take(struct credential *c, uint64_t *generation)
{
	char *token = NULL;
	ck_status(credential_token(c, NULL, NULL, &token, generation), STATUS_OK);
	return token;
}

START_TEST(logs_in_once_for_many_calls)
{
	struct credential *c = make("/nonexistent");
	uint64_t g, h;
	char *a = take(c, &g), *b = take(c, &h);
	ck_assert_str_eq(a, "token-number-1");
	ck_assert_str_eq(a, b);
	ck_assert_uint_eq(g, h);
	ck_assert_int_eq(fake.logins, 1);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_OK);
	credential_token_free(a);
	credential_token_free(b);
	credential_free(c);
}
END_TEST

START_TEST(a_login_outlives_the_call_that_began_it)
{
	struct credential *c = make("/nonexistent");
	atomic_bool cancelled;
	char *token;
	uint64_t g;
	atomic_init(&cancelled, true);
	ck_status(credential_token(c, NULL, &cancelled, &token, &g), STATUS_OK);
	credential_token_free(token);
	credential_token_free(take(c, &g));
	ck_assert_int_eq(fake.logins, 1);
	credential_free(c);
}
END_TEST

START_TEST(stopping_gives_a_login_up)
{
	struct credential *c = make("/nonexistent");
	char *token;
	uint64_t g;
	credential_stop(c);
	ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_CANCELLED);
	credential_free(c);
}
END_TEST

static void *
take_one(void *ctx)
{
	uint64_t g;
	return take(ctx, &g);
}

START_TEST(a_stampede_makes_one_login)
{
	struct credential *c = make("/nonexistent");
	pthread_t threads[32];
	for (int i = 0; i < 32; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_one, c), 0);
	for (int i = 0; i < 32; i++) {
		void *token;
		pthread_join(threads[i], &token);
		ck_assert_str_eq(token, "token-number-1");
		credential_token_free(token);
	}
	ck_assert_int_eq(fake.logins, 1);
	ck_assert_int_eq(fake.most_inside, 1);
	credential_free(c);
}
END_TEST

START_TEST(a_refused_token_is_renewed_once_however_many_say_so)
{
	struct credential *c = make("/nonexistent");
	uint64_t g, h;
	credential_token_free(take(c, &g));
	credential_refused(c, g);
	credential_refused(c, g);
	char *b = take(c, &h);
	credential_refused(c, g); /* a late one, of the old token */
	char *d = take(c, &h);
	ck_assert_str_eq(b, "token-number-2");
	ck_assert_str_eq(d, b);
	ck_assert_int_eq(fake.logins, 2);
	credential_token_free(b);
	credential_token_free(d);
	credential_free(c);
}
END_TEST

START_TEST(tokens_refused_right_after_login_stop_the_logins)
{
	struct credential *c = make("/nonexistent");
	uint64_t g;
	char *token;
	credential_token_free(take(c, &g));
	credential_refused(c, g);
	credential_token_free(take(c, &g));
	credential_refused(c, g);
	for (int i = 0; i < 10; i++)
		ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_AUTH);
	ck_assert_int_eq(fake.logins, 2);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_REJECTED);
	credential_free(c);
}
END_TEST

START_TEST(a_query_that_is_refused_with_every_token_does_not_stop_the_logins)
{
	struct credential *c = make("/nonexistent");
	uint64_t g;
	credential_token_free(take(c, &g));
	credential_worked(c, g);
	credential_refused(c, g); /* by the query, not by the token */
	credential_token_free(take(c, &g));
	credential_refused(c, g);
	credential_token_free(take(c, &g));
	ck_assert_int_eq(fake.logins, 3);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_OK);
	credential_free(c);
}
END_TEST

START_TEST(a_token_that_worked_forgives_an_early_refusal)
{
	struct credential *c = make("/nonexistent");
	uint64_t g;
	for (int i = 0; i < 5; i++) {
		credential_token_free(take(c, &g));
		credential_worked(c, g);
		credential_refused(c, g);
	}
	credential_token_free(take(c, &g));
	ck_assert_int_eq(fake.logins, 6);
	credential_free(c);
}
END_TEST

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static struct {
	int count, http;
	enum status status;
} told;

static void
on_ended(void *ctx, enum status st, int http, int64_t took_ms)
{
	(void)ctx;
	told.count++;
	told.http = http;
	told.status = st;
	ck_assert_int_ge(took_ms, 0);
}

START_TEST(whoever_counts_is_told_of_each_login)
{
	struct credential_options o = {.username = "u",
	    .password_file = "/nonexistent",
	    .login = fake_login,
	    .ended = on_ended};
	memset(&fake, 0, sizeof fake);
	snprintf(fake.token, sizeof fake.token, "token-number-");
	struct credential *c = credential_new(&o);
	uint64_t g;
	ck_assert_int_eq(credential_expires_ms(c), 0);
	credential_token_free(take(c, &g));
	credential_token_free(take(c, &g));
	ck_assert_int_eq(told.count, 1);
	ck_status(told.status, STATUS_OK);
	ck_assert_int_eq(told.http, -1); /* the fake made no call */
	int64_t left_ms = credential_expires_ms(c) - clock_wall_ms();
	ck_assert(left_ms > 3 * 3600 * INT64_C(1000) && left_ms <= 4 * 3600 * INT64_C(1000));
	credential_refused(c, g);
	ck_assert_int_eq(credential_expires_ms(c), 0);
	fake.answer = STATUS_UPSTREAM_AUTH;
	char *token;
	ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_AUTH);
	ck_assert_int_eq(told.count, 2);
	ck_status(told.status, STATUS_UPSTREAM_AUTH);
	credential_free(c);
}
END_TEST

START_TEST(rejected_credentials_stop_until_the_password_file_changes)
{
	char path[] = "/tmp/check_credential.XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	write_file(path, "wrong\n");
	struct credential *c = make(path);
	uint64_t g;
	char *token;
	fake.answer = STATUS_UPSTREAM_AUTH;
	for (int i = 0; i < 10; i++)
		ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_AUTH);
	ck_assert_int_eq(fake.logins, 1);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_REJECTED);
	write_file(path, "a better one\n");
	fake.answer = STATUS_OK;
	credential_token_free(take(c, &g));
	ck_assert_int_eq(fake.logins, 2);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_OK);
	credential_free(c);
	unlink(path);
}
END_TEST

START_TEST(a_failing_upstream_is_not_asked_again_at_once)
{
	struct credential *c = make("/nonexistent");
	uint64_t g;
	char *token;
	fake.answer = STATUS_UPSTREAM_DOWN;
	ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_DOWN);
	ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_DOWN);
	ck_assert_int_eq(fake.logins, 1);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_UNKNOWN);
	credential_free(c);
}
END_TEST

START_TEST(a_limit_on_logins_is_waited_out_and_told)
{
	struct credential *c = make("/nonexistent");
	uint64_t g;
	char *token;
	ck_assert_int_eq(credential_wait_ms(c), 0);
	fake.answer = STATUS_UPSTREAM_LIMIT;
	fake.wait_ms = 3600000;
	ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_LIMIT);
	ck_assert(credential_wait_ms(c) > 3000000);
	ck_status(credential_token(c, NULL, NULL, &token, &g), STATUS_UPSTREAM_LIMIT);
	ck_assert_int_eq(fake.logins, 1);
	ck_assert_int_eq(credential_state(c), CREDENTIAL_UNKNOWN);
	credential_free(c);
}
END_TEST

static void
jwt(char *out, size_t room, const char *payload)
{
	char text[512];
	crypto_base64(payload, strlen(payload), text, sizeof text);
	snprintf(out, room, "e30.%s.c2ln", text);
}

START_TEST(a_token_tells_its_own_life)
{
	char token[1024];
	jwt(token, sizeof token, "{\"sub\":\"u\",\"iat\":1000,\"exp\":8200}");
	ck_assert_int_eq(credential_lifetime_s(token, 999999), 7200);
	jwt(token, sizeof token, "{\"exp\": 8200}");
	ck_assert_int_eq(credential_lifetime_s(token, 1000), 7200);
	ck_assert_int_eq(credential_lifetime_s(token, 99999), 60);
	ck_assert_int_eq(credential_lifetime_s("no-jwt-at-all-here", 0), 4 * 3600);
	ck_assert_int_eq(credential_lifetime_s("a.b.c", 0), 4 * 3600);
	jwt(token, sizeof token, "{\"exp\":99999999999}");
	ck_assert_int_eq(credential_lifetime_s(token, 0), 86400);
}
END_TEST

/* --- transport's pure parts */

static const struct {
	int http;
	const char *body;
	enum status status;
} classes[] = {
    {200, "", STATUS_OK},
    {204, "", STATUS_OK},
    {302, "", STATUS_UPSTREAM_MALFORMED},
    {400, "{\"code\":1905}", STATUS_UPSTREAM_REFUSED},
    {401, "{\"message\":\"JWT expired\"}", STATUS_UPSTREAM_TOKEN},
    {403, "", STATUS_UPSTREAM_FORBIDDEN},
    {404, "", STATUS_UPSTREAM_RETIRED},
    {409, "", STATUS_UPSTREAM_LIMIT},
    {409, "<CODE>1965</CODE>", STATUS_UPSTREAM_LIMIT},
    {409, "<CODE>2003</CODE>", STATUS_UPSTREAM_FORBIDDEN},
    {409, "{\"code\":\"1920\"}", STATUS_UPSTREAM_FORBIDDEN},
    {409, "{\"errorCode\": 1960, \"message\":\"2003\"}", STATUS_UPSTREAM_LIMIT},
    {410, "", STATUS_UPSTREAM_RETIRED},
    {429, "<CODE>2003</CODE>", STATUS_UPSTREAM_LIMIT},
    {500, "", STATUS_UPSTREAM_DOWN},
    {504, "", STATUS_UPSTREAM_SLOW},
    {520, "", STATUS_UPSTREAM_DOWN},
    {101, "", STATUS_UPSTREAM_MALFORMED},
};

START_TEST(a_status_means_one_thing)
{
	ck_status(transport_classify(classes[_i].http, classes[_i].body, strlen(classes[_i].body)),
	    classes[_i].status);
}
END_TEST

static const struct {
	const char *line;
	int64_t wait_ms;
} waits[] = {
    {"X-RateLimit-ToWait-Sec: 17", 17000},
    {"x-ratelimit-towait-sec:17\r\n", 17000},
    {"Retry-After: 5", 5000},
    {"Retry-After: 0", 1000},
    {"Retry-After: -3", -1},
    {"Retry-After: soon", -1},
    {"Retry-After: 1000000000", 3600000},
    {"Retry-After: Thu, 01 Jan 1970 00:02:00 GMT", 20000}, /* it is 00:01:40 */
    {"Retry-After: Thu, 01 Jan 1970 00:00:01 GMT", 1000},
    {"Retry-After:", -1},
    {"X-Other: 5", -1},
};

START_TEST(a_wait_is_read_in_every_form_and_kept_in_bounds)
{
	struct transport_head head = {.wait_ms = -1};
	transport_header(&head, waits[_i].line, strlen(waits[_i].line), 100);
	ck_assert_int_eq(head.wait_ms, waits[_i].wait_ms);
}
END_TEST

START_TEST(the_upstreams_own_wait_outweighs_retry_after)
{
	struct transport_head head = {.wait_ms = -1};
	transport_header(&head, "X-RateLimit-ToWait-Sec: 7", 25, 0);
	transport_header(&head, "Retry-After: 9", 14, 0);
	ck_assert_int_eq(head.wait_ms, 7000);
}
END_TEST

START_TEST(limits_are_read_in_every_spelling)
{
	struct transport_head head = {.rate_limit = -1, .concurrency_limit = -1};
	static const char *const lines[] = {"x-RateLimit-limit: 25", "X-RateLimit-Window-Sec: 60",
	    "X-RateLimit-Remaining: 24", "X-ConcurrencyLimit-Limit: 2",
	    "X-Concurrency-Limit-Running: 1"};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		transport_header(&head, lines[i], strlen(lines[i]), 0);
	ck_assert_int_eq(head.rate_limit, 25);
	ck_assert_int_eq(head.rate_window_s, 60);
	ck_assert_int_eq(head.rate_remaining, 24);
	ck_assert_int_eq(head.concurrency_limit, 2);
	ck_assert_int_eq(head.concurrency_running, 1);
	transport_header(&head, "X-RateLimit-Limit: many", 23, 0);
	ck_assert_int_eq(head.rate_limit, 25);
}
END_TEST

int
main(void)
{
	if (crypto_init() != STATUS_OK)
		return EXIT_FAILURE;
	Suite *s = suite_create("credential");
	TCase *t = tcase_create("credential");
	tcase_add_test(t, logs_in_once_for_many_calls);
	tcase_add_test(t, a_login_outlives_the_call_that_began_it);
	tcase_add_test(t, stopping_gives_a_login_up);
	tcase_add_test(t, a_stampede_makes_one_login);
	tcase_add_test(t, a_refused_token_is_renewed_once_however_many_say_so);
	tcase_add_test(t, tokens_refused_right_after_login_stop_the_logins);
	tcase_add_test(t, a_query_that_is_refused_with_every_token_does_not_stop_the_logins);
	tcase_add_test(t, a_token_that_worked_forgives_an_early_refusal);
	tcase_add_test(t, whoever_counts_is_told_of_each_login);
	tcase_add_test(t, rejected_credentials_stop_until_the_password_file_changes);
	tcase_add_test(t, a_failing_upstream_is_not_asked_again_at_once);
	tcase_add_test(t, a_limit_on_logins_is_waited_out_and_told);
	tcase_add_test(t, a_token_tells_its_own_life);
	tcase_add_loop_test(t, a_status_means_one_thing, 0, ARRAY_LEN(classes));
	tcase_add_loop_test(
	    t, a_wait_is_read_in_every_form_and_kept_in_bounds, 0, ARRAY_LEN(waits));
	tcase_add_test(t, the_upstreams_own_wait_outweighs_retry_after);
	tcase_add_test(t, limits_are_read_in_every_spelling);
	suite_add_tcase(s, t);
	return unit_run(s);
}
