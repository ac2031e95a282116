/* Answers for browser applications of other origins. */
#include "config.h"

#include <string.h>

#include "gateway/front/cors.h"
#include "gateway/front/route.h"
#include "tests/unit/unit.h"

static const char *const listed[] = {"https://app.example", "http://localhost:3000"};

START_TEST(an_origin_is_one_of_the_list_to_the_last_byte)
{
	static const char *const others[] = {"", "null", "*", "https://app.example/",
	    "https://app.example:443", "http://app.example", "https://APP.example",
	    "https://app.example.evil", "https://app.exampl", "https://sub.app.example",
	    "http://localhost:3001", "http://localhost", " https://app.example",
	    "https://app.example http://localhost:3000"};
	for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
		char given[64];
		memcpy(given, listed[i], strlen(listed[i]) + 1);
		ck_assert_ptr_eq(cors_origin(listed, 2, given, 1), listed[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ck_assert_msg(cors_origin(listed, 2, others[i], 1) == NULL, "%s", others[i]);
	ck_assert_ptr_null(cors_origin(listed, 2, NULL, 0));
	ck_assert_ptr_null(cors_origin(listed, 2, listed[0], 2));
	ck_assert_ptr_null(cors_origin(NULL, 0, listed[0], 1));
}
END_TEST

static void
same_head(const struct response *r, const char *wanted)
{
	struct buf head;
	buf_init(&head, 4096);
	ck_status(response_head(r, &head), STATUS_OK);
	ck_assert_str_eq(buf_str(&head), wanted);
	buf_fini(&head);
}

START_TEST(a_preflight_says_what_may_be_sent)
{
	struct response r;
	response_init(&r);
	cors_preflight(&r, METHOD_GET | METHOD_HEAD | METHOD_DELETE);
	cors_finish(&r, listed[0]);
	same_head(&r, "Status: 204 No Content\r\n"
		      "Cache-Control: no-store\r\n"
		      "Access-Control-Allow-Methods: GET, HEAD, DELETE\r\n"
		      "Access-Control-Allow-Headers: Authorization, X-API-Key, Content-Type, "
		      "Accept, If-None-Match, Cache-Control, Prefer\r\n"
		      "Access-Control-Max-Age: 7200\r\n"
		      "Vary: Access-Control-Request-Method, Access-Control-Request-Headers, "
		      "Origin\r\n"
		      "Access-Control-Allow-Origin: https://app.example\r\n\r\n");
	response_fini(&r);
}
END_TEST

START_TEST(an_answer_varies_by_origin_whoever_asks)
{
	struct response r;
	response_init(&r);
	response_header(&r, "Vary", "Authorization");
	response_header(&r, "Age", "5");
	cors_finish(&r, NULL);
	same_head(&r, "Status: 200 OK\r\nVary: Authorization, Origin\r\nAge: 5\r\n"
		      "Content-Length: 0\r\n\r\n");
	cors_finish(&r, listed[1]);
	ck_assert_ptr_nonnull(strstr(
	    buf_str(&r.headers), "\r\nAccess-Control-Allow-Origin: http://localhost:3000\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.headers), "\r\nAccess-Control-Expose-Headers: ETag, "));
	/* those of the drop-in surface too */
	ck_assert_ptr_nonnull(strstr(buf_str(&r.headers), ", X-RateLimit-ToWait-Sec, "));
	ck_assert_ptr_nonnull(strstr(buf_str(&r.headers), ", Warning\r\n"));
	response_fini(&r);
}
END_TEST

START_TEST(a_vary_is_made_where_there_is_none)
{
	struct response r;
	response_init(&r);
	response_vary(&r, "Origin");
	ck_assert_str_eq(buf_str(&r.headers), "Vary: Origin\r\n");
	response_fini(&r);
	response_init(&r);
	response_header(&r, "X-Vary", "a");
	response_header(&r, "Varying", "b");
	response_vary(&r, "Origin");
	response_vary(&r, "Accept");
	ck_assert_str_eq(
	    buf_str(&r.headers), "X-Vary: a\r\nVarying: b\r\nVary: Origin, Accept\r\n");
	response_fini(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cors");
	TCase *t = tcase_create("cors");
	tcase_add_test(t, an_origin_is_one_of_the_list_to_the_last_byte);
	tcase_add_test(t, a_preflight_says_what_may_be_sent);
	tcase_add_test(t, an_answer_varies_by_origin_whoever_asks);
	tcase_add_test(t, a_vary_is_made_where_there_is_none);
	suite_add_tcase(s, t);
	return unit_run(s);
}
