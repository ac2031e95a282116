/* The drop-in surface's tokens, its login, and the form that it is asked with. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "gateway/front/access.h"
#include "gateway/front/token.h"
#include "gateway/query/query.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1764000000)
#define HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

static uint8_t key[SHA256_BYTES];

static void
setup(void)
{
	ck_status(crypto_init(), STATUS_OK);
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
}

static const char *
token_of(const char *name, int64_t issued_s)
{
	static char text[TOKEN_TEXT_BYTES];
	struct token t = {.issued_s = issued_s};
	memcpy(t.name, name, strlen(name));
	token_mark(key, (const uint8_t *)"12345678", t.mark);
	token_write(key, &t, text);
	return text;
}

static enum status
read_text(const char *text, int64_t now_s)
{
	struct token t;
	return token_read(key, text, strlen(text), now_s, &t);
}

/* --- tokens */

/* The text was made by another program. */
START_TEST(is_a_jwt_as_others_make_it)
{
	ck_assert_str_eq(token_of("red_team-7", NOW),
	    HEADER ".eyJzdWIiOiJyZWRfdGVhbS03IiwiaXNzIjoicG9zdHVyZWdhdGUiLCJhdWQiOiJwY3JzIi"
		   "wiaWF0IjoxNzY0MDAwMDAwLCJleHAiOjE3NjQwMTQ0MDAsImtpZCI6IjQ3ZWNkZGI1OTg4"
		   "NGRlN2UifQ"
		   ".g7M-Ckun7f6b50wqNEZjqhBtIKzrizoX2vmeXWqCaCs");
}
END_TEST

START_TEST(reads_back_what_it_has_written)
{
	static const char longest[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	struct token t;
	uint8_t mark[TOKEN_KEY_BYTES];
	const char *text = token_of(longest, NOW);
	ck_status(token_read(key, text, strlen(text), NOW, &t), STATUS_OK);
	ck_assert_str_eq(t.name, longest);
	ck_assert_int_eq(t.issued_s, NOW);
	token_mark(key, (const uint8_t *)"12345678", mark);
	ck_assert_mem_eq(t.mark, mark, sizeof mark);
	text = token_of("a", 0);
	ck_status(token_read(key, text, strlen(text), 1, &t), STATUS_OK);
	ck_assert_str_eq(t.name, "a");
}
END_TEST

START_TEST(lives_four_hours_and_not_before_its_time)
{
	const char *text = token_of("red", NOW);
	ck_status(read_text(text, NOW + TOKEN_LIFETIME_S - 1), STATUS_OK);
	ck_status(read_text(text, NOW + TOKEN_LIFETIME_S), STATUS_UNAUTHORIZED);
	ck_status(read_text(text, NOW - 300), STATUS_OK);
	ck_status(read_text(text, NOW - 301), STATUS_UNAUTHORIZED);
}
END_TEST

START_TEST(another_gateways_token_is_none)
{
	uint8_t other[SHA256_BYTES], mark[TOKEN_KEY_BYTES], mark_here[TOKEN_KEY_BYTES];
	struct token t;
	const char *text = token_of("red", NOW);
	memcpy(other, key, sizeof other);
	other[31] ^= 1;
	ck_status(token_read(other, text, strlen(text), NOW, &t), STATUS_UNAUTHORIZED);
	token_mark(other, (const uint8_t *)"12345678", mark);
	token_mark(key, (const uint8_t *)"12345678", mark_here);
	ck_assert_mem_ne(mark, mark_here, sizeof mark);
}
END_TEST

START_TEST(refuses_a_token_with_any_bit_flipped)
{
	char text[TOKEN_TEXT_BYTES];
	size_t len = strlen(token_of("red", NOW));
	for (size_t bit = 0; bit < len * 8; bit++) {
		memcpy(text, token_of("red", NOW), len + 1);
		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
		struct token t;
		ck_assert_msg(
		    token_read(key, text, len, NOW, &t) == STATUS_UNAUTHORIZED, "bit %zu", bit);
	}
}
END_TEST

START_TEST(refuses_a_token_cut_or_with_more_at_its_end)
{
	char text[2 * TOKEN_TEXT_BYTES];
	size_t len = strlen(token_of("red", NOW));
	for (size_t n = 0; n < len; n++) {
		struct token t;
		char *copy = malloc(n > 0 ? n : 1); /* a byte beyond its end is seen */
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, token_of("red", NOW), n);
		ck_status(token_read(key, copy, n, NOW, &t), STATUS_UNAUTHORIZED);
		free(copy);
	}
	static const char *const tails[] = {"=", " ", ".", "A", "\n", ".A"};
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		snprintf(text, sizeof text, "%s%s", token_of("red", NOW), tails[i]);
		ck_status(read_text(text, NOW), STATUS_UNAUTHORIZED);
		snprintf(text, sizeof text, "%s%s", tails[i], token_of("red", NOW));
		ck_status(read_text(text, NOW), STATUS_UNAUTHORIZED);
	}
	memset(text, 'A', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	ck_status(read_text(text, NOW), STATUS_UNAUTHORIZED);
}
END_TEST

/* Signed with the very key, so that only its form can be what is wrong. */
static const char *
signed_text(const char *head, const char *payload)
{
	static char text[TOKEN_TEXT_BYTES];
	static const char purpose[] = "posturegate token";
	uint8_t token_key[SHA256_BYTES], mac[SHA256_BYTES];
	char *at = text;
	crypto_base64(head, strlen(head), at, 256);
	at += strlen(at);
	*at++ = '.';
	crypto_base64(payload, strlen(payload), at, 512);
	at += strlen(at);
	crypto_hmac(key, purpose, sizeof purpose, token_key);
	crypto_hmac(token_key, text, (size_t)(at - text), mac);
	*at++ = '.';
	crypto_base64(mac, sizeof mac, at, 64);
	return text;
}

#define HEAD "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define TAIL "\"iss\":\"posturegate\",\"aud\":\"pcrs\",\"iat\":1764000000,\"exp\":1764014400,"
#define KID "\"kid\":\"0011223344556677\"}"

static const struct {
	const char *head, *payload;
} misfits[] = {
    {"{\"alg\":\"none\"}", "{\"sub\":\"red\"," TAIL KID},
    {"{\"alg\":\"HS512\",\"typ\":\"JWT\"}", "{\"sub\":\"red\"," TAIL KID},
    {HEAD " ", "{\"sub\":\"red\"," TAIL KID},
    {HEAD, "{\"sub\":\"\"," TAIL KID},
    {HEAD, "{\"sub\": \"red\"," TAIL KID},
    {HEAD, "{\"sub\":\"red\"," TAIL KID " "},
    {HEAD, "{\"sub\":\"red\"," TAIL "\"kid\":\"001122334455667\"}"},
    {HEAD, "{\"sub\":\"red\"," TAIL "\"kid\":\"00112233445566AA\"}"},
    {HEAD, "{\"sub\":\"red\"," TAIL},
    {HEAD, "{\"sub\":\"red\",\"iss\":\"other\",\"aud\":\"pcrs\",\"iat\":1764000000,"
	   "\"exp\":1764014400," KID},
    {HEAD, "{\"sub\":\"red\",\"iss\":\"posturegate\",\"aud\":\"pcrs\",\"iat\":1764000000,"
	   "\"exp\":1864014400," KID},
    {HEAD, "{\"sub\":\"red\",\"iss\":\"posturegate\",\"aud\":\"pcrs\",\"iat\":01764000000,"
	   "\"exp\":1764014400," KID},
    {HEAD, "{\"sub\":\"red\",\"iss\":\"posturegate\",\"aud\":\"pcrs\",\"iat\":"
	   "99999999999999999999,\"exp\":1764014400," KID},
    {HEAD,
	"{\"sub\":\"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-x\"," TAIL KID},
    {HEAD, ""},
};

START_TEST(takes_no_other_form_though_the_signature_is_good)
{
	ck_status(read_text(signed_text(HEAD, "{\"sub\":\"red\"," TAIL KID), NOW), STATUS_OK);
	ck_status(read_text(signed_text(misfits[_i].head, misfits[_i].payload), NOW),
	    STATUS_UNAUTHORIZED);
}
END_TEST

START_TEST(a_cursor_is_no_token)
{
	char text[CURSOR_TEXT_BYTES];
	struct cursor c = {.limit = 1};
	cursor_encode(&c, key, text);
	ck_status(read_text(text, NOW), STATUS_UNAUTHORIZED);
	ck_status(cursor_decode(token_of("red", NOW), strlen(token_of("red", NOW)), key, &c),
	    STATUS_BAD_CURSOR);
}
END_TEST

/* --- logging in */

static struct access *
make_access(struct settings_consumer list[2])
{
	list[0] = (struct settings_consumer){
	    .name = "red", .key_count = 2, .expires_s = INT64_MAX, .all_policies = true};
	crypto_sha256("red.one", 7, list[0].keys[0]);
	crypto_sha256("red.two", 7, list[0].keys[1]);
	list[1] = (struct settings_consumer){.name = "blue", .key_count = 1, .expires_s = NOW + 60};
	crypto_sha256("blue.key", 8, list[1].keys[0]);
	return access_new(list, 2);
}

static const struct {
	const char *username, *password;
	enum status status;
	int64_t now_s;
} logins[] = {
    {"red", "one", STATUS_OK, NOW},
    {"red", "red.one", STATUS_OK, NOW},
    {"red", "two", STATUS_OK, NOW},
    {"blue", "key", STATUS_OK, NOW + 59},
    {"blue", "key", STATUS_UNAUTHORIZED, NOW + 60}, /* it has expired */
    {"red", "three", STATUS_UNAUTHORIZED, NOW},
    {"red", "key", STATUS_UNAUTHORIZED, NOW},
    {"red", "blue.key", STATUS_UNAUTHORIZED, NOW},
    {"blue", "red.one", STATUS_UNAUTHORIZED, NOW},
    {"green", "one", STATUS_UNAUTHORIZED, NOW},
    {"RED", "one", STATUS_UNAUTHORIZED, NOW},
    {"red.one", "", STATUS_UNAUTHORIZED, NOW},
    {"", "red.one", STATUS_UNAUTHORIZED, NOW},
    {"", "", STATUS_UNAUTHORIZED, NOW},
};

START_TEST(a_login_takes_the_secret_or_the_whole_key)
{
	struct settings_consumer list[2];
	const struct consumer *c = NULL;
	uint8_t tag[TOKEN_KEY_BYTES];
	struct access *a = make_access(list);
	ck_status(
	    access_login(a, logins[_i].username, logins[_i].password, logins[_i].now_s, &c, tag),
	    logins[_i].status);
	if (c != NULL)
		ck_assert_str_eq(c->name, logins[_i].username);
	access_free(a);
}
END_TEST

START_TEST(a_login_with_endless_texts_fails_like_any_other)
{
	struct settings_consumer list[2];
	const struct consumer *c;
	uint8_t tag[TOKEN_KEY_BYTES];
	char text[2048];
	struct access *a = make_access(list);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	ck_status(access_login(a, text, "one", NOW, &c, tag), STATUS_UNAUTHORIZED);
	ck_status(access_login(a, "red", text, NOW, &c, tag), STATUS_UNAUTHORIZED);
	access_free(a);
}
END_TEST

static void
buy(const struct access *a, const char *username, const char *password, char text[TOKEN_TEXT_BYTES])
{
	const struct consumer *c;
	uint8_t tag[TOKEN_KEY_BYTES];
	ck_status(access_login(a, username, password, NOW, &c, tag), STATUS_OK);
	access_token_write(key, c, tag, NOW, text);
}

START_TEST(a_token_opens_what_its_key_opens)
{
	struct settings_consumer list[2];
	const struct consumer *c;
	char one[TOKEN_TEXT_BYTES], two[TOKEN_TEXT_BYTES];
	struct access *a = make_access(list);
	buy(a, "red", "one", one);
	buy(a, "red", "two", two);
	ck_assert_str_ne(one, two);
	ck_status(access_token(a, key, one, NOW, &c), STATUS_OK);
	ck_assert_str_eq(c->name, "red");
	ck_status(access_token(a, key, two, NOW + TOKEN_LIFETIME_S - 1, &c), STATUS_OK);
	ck_status(access_token(a, key, two, NOW + TOKEN_LIFETIME_S, &c), STATUS_UNAUTHORIZED);
	ck_status(access_token(a, key, "red.one", NOW, &c), STATUS_UNAUTHORIZED);
	ck_status(access_token(a, key, "", NOW, &c), STATUS_UNAUTHORIZED);
	/* a token is no key */
	ck_status(access_check(a, NULL, 0, one, 1, NOW, &c), STATUS_UNAUTHORIZED);
	access_free(a);
}
END_TEST

START_TEST(a_token_dies_with_its_key_or_consumer)
{
	struct settings_consumer list[2];
	const struct consumer *c;
	char one[TOKEN_TEXT_BYTES], two[TOKEN_TEXT_BYTES], blue[TOKEN_TEXT_BYTES];
	struct access *a = make_access(list);
	buy(a, "red", "one", one);
	buy(a, "red", "two", two);
	buy(a, "blue", "key", blue);
	/* expired, though the token is not */
	ck_status(access_token(a, key, blue, NOW + 59, &c), STATUS_OK);
	ck_status(access_token(a, key, blue, NOW + 60, &c), STATUS_UNAUTHORIZED);
	access_free(a);

	/* the first key is taken back; the grant of the other's tokens is the new one */
	memcpy(list[0].keys[0], list[0].keys[1], SHA256_BYTES);
	list[0].key_count = 1;
	list[0].all_policies = false;
	a = access_new(list, 1);
	ck_status(access_token(a, key, one, NOW, &c), STATUS_UNAUTHORIZED);
	ck_status(access_token(a, key, two, NOW, &c), STATUS_OK);
	ck_assert(!c->all_policies);
	ck_status(access_token(a, key, blue, NOW, &c), STATUS_UNAUTHORIZED);
	access_free(a);
}
END_TEST

/* --- the form */

static const struct {
	const char *text, *username, *password;
} forms[] = {
    {"username=red&password=one", "red", "one"},
    {"username=red&password=one&token=true&permissions=true", "red", "one"},
    {"token=True&password=red.one&username=red", "red", "red.one"},
    {"password=a%26b%3Dc%25+%2B&username=r%C3%A4d",
	"r\xc3\xa4"
	"d",
	"a&b=c% +"},
    {"&user%6Eame=red&&password=one&", "red", "one"},
    {"username=red&password=one&x=%zz&y&=&\xff=\xff&token=1&token=2", "red", "one"},
    {"Username=blue&username=red&password=one", "red", "one"},
    {"username=red&password=a=b", "red", "a=b"},
};

START_TEST(reads_a_login_form)
{
	struct login_form form;
	const char *message = "";
	enum status st = login_form_read(forms[_i].text, strlen(forms[_i].text), &form, &message);
	ck_assert_msg(st == STATUS_OK, "%s: %s", forms[_i].text, message);
	ck_assert_str_eq(form.username, forms[_i].username);
	ck_assert_str_eq(form.password, forms[_i].password);
}
END_TEST

static const char *const bad_forms[] = {"", "&", "username=red", "password=one",
    "username=red&password=", "username=&password=one", "username=red&password",
    "username=red&password=one&password=one", "username=red&username=red&password=one",
    "username=red&password=%4", "username=red&password=%ff", "username=red&password=a%00b",
    "username=red&password=%0a", "username=\xe4&password=one",
    "{\"username\":\"red\",\"password\":\"one\"}"};

START_TEST(says_what_is_wrong_with_a_form)
{
	struct login_form form;
	const char *message = NULL;
	ck_status(login_form_read(bad_forms[_i], strlen(bad_forms[_i]), &form, &message),
	    STATUS_BAD_REQUEST);
	ck_assert_ptr_nonnull(message);
}
END_TEST

START_TEST(a_form_and_its_fields_have_a_most)
{
	char text[LOGIN_BODY_BYTES + 1];
	struct login_form form;
	const char *message = NULL;
	size_t head = strlen("username=red&password=");
	memset(text, 'x', sizeof text);
	memcpy(text, "username=red&password=", head);
	ck_status(login_form_read(text, head + LOGIN_FIELD_BYTES, &form, &message), STATUS_OK);
	ck_assert_uint_eq(strlen(form.password), LOGIN_FIELD_BYTES);
	ck_status(login_form_read(text, head + LOGIN_FIELD_BYTES + 1, &form, &message),
	    STATUS_BAD_REQUEST);
	ck_status(login_form_read(text, LOGIN_BODY_BYTES, &form, &message), STATUS_BAD_REQUEST);
	ck_status(login_form_read(text, LOGIN_BODY_BYTES + 1, &form, &message), STATUS_TOO_LARGE);
}
END_TEST

START_TEST(a_wiped_form_tells_nothing)
{
	static const struct login_form empty;
	struct login_form form;
	const char *message;
	ck_status(login_form_read("username=red&password=one", 25, &form, &message), STATUS_OK);
	login_form_wipe(&form);
	ck_assert_mem_eq(&form, &empty, sizeof form);
}
END_TEST

START_TEST(mutated_forms_end_in_a_defined_way)
{
	static const char whole[] = "username=red&password=a%26b&token=true";
	static const char alphabet[] = "&=%+ userpawdn01\xc3\xa4";
	struct unit_random random = {unit_seed(11)};
	for (int round = 0; round < 20000; round++) {
		size_t len = sizeof whole - 1 - unit_below(&random, 12);
		char *text = malloc(len);
		struct login_form form;
		const char *message;
		ck_assert_ptr_nonnull(text);
		memcpy(text, whole, len);
		for (size_t n = unit_below(&random, 4); n > 0; n--)
			text[unit_below(&random, len)] =
			    alphabet[unit_below(&random, sizeof alphabet - 1)];
		enum status st = login_form_read(text, len, &form, &message);
		ck_assert(st == STATUS_OK || st == STATUS_BAD_REQUEST);
		ck_assert(
		    st != STATUS_OK || (form.username[0] != '\0' && form.password[0] != '\0'));
		free(text);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("token");
	TCase *t = tcase_create("token");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, is_a_jwt_as_others_make_it);
	tcase_add_test(t, reads_back_what_it_has_written);
	tcase_add_test(t, lives_four_hours_and_not_before_its_time);
	tcase_add_test(t, another_gateways_token_is_none);
	tcase_add_test(t, refuses_a_token_with_any_bit_flipped);
	tcase_add_test(t, refuses_a_token_cut_or_with_more_at_its_end);
	tcase_add_loop_test(
	    t, takes_no_other_form_though_the_signature_is_good, 0, ARRAY_LEN(misfits));
	tcase_add_test(t, a_cursor_is_no_token);
	tcase_add_loop_test(t, a_login_takes_the_secret_or_the_whole_key, 0, ARRAY_LEN(logins));
	tcase_add_test(t, a_login_with_endless_texts_fails_like_any_other);
	tcase_add_test(t, a_token_opens_what_its_key_opens);
	tcase_add_test(t, a_token_dies_with_its_key_or_consumer);
	tcase_add_loop_test(t, reads_a_login_form, 0, ARRAY_LEN(forms));
	tcase_add_loop_test(t, says_what_is_wrong_with_a_form, 0, ARRAY_LEN(bad_forms));
	tcase_add_test(t, a_form_and_its_fields_have_a_most);
	tcase_add_test(t, a_wiped_form_tells_nothing);
	tcase_add_test(t, mutated_forms_end_in_a_defined_way);
	suite_add_tcase(s, t);
	return unit_run(s);
}
