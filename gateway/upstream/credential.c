#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/base/crypto.h"
#include "gateway/base/limits.h"
#include "gateway/base/lock.h"
#include "gateway/base/log.h"
#include "gateway/upstream/credential.h"
#include "gateway/upstream/transport.h"

#define DOCUMENTED_LIFE_S (4 * 3600) /* the vendor's pages: about four hours */
#define REFUSED_EARLY_MS 60000       /* a token refused within this time of its login is suspect */
#define REFUSED_PAUSE_MS 300000      /* two of them in a row: no login for so long */
#define FAILED_PAUSE_MS 1000         /* after a login that failed for another reason */
#define PASSWORD_BYTES 1024

/* What tells one state of the password file from another: its content, or who may read it. */
struct file_stamp {
	struct timespec ctime;
	off_t size;
	ino_t inode;
};

struct credential {
	struct lock lock;
	pthread_cond_t renewed;
	char *username, *password_file;
	credential_login_f *login;
	void *login_ctx;
	atomic_bool stopping; /* what a login heeds */
	credential_ended_f *ended;
	void *ended_ctx;
	int login_http; /* of the login under way: its thread's alone */
	/* under the lock */
	char *token; /* NULL: none */
	uint64_t generation;
	int64_t renew_at_ms, expires_at_ms, issued_at_ms; /* monotonic */
	bool renewing;
	bool rejected;
	struct file_stamp rejected_stamp; /* of the file whose password was rejected */
	bool worked;                      /* the token has been taken */
	unsigned refused_early;           /* tokens in a row refused right after login */
	int64_t no_login_before_ms;
	enum status last_failure; /* told while no_login_before_ms holds */
};

/* --- tokens */

static char *
secret_copy(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len + 1);
	if (copy != NULL)
		memcpy(copy, text, len + 1);
	return copy;
}

void
credential_token_free(char *token)
{
	if (token == NULL)
		return;
	crypto_wipe(token, strlen(token));
	free(token);
}

/* The number behind "name": in a flat JSON text, or -1: enough for a claim of a JWT, whose
 * signature is not ours to check. */
static int64_t
claim(const char *json, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	for (size_t i = 0; i + name_len < len; i++) {
		if (memcmp(json + i, name, name_len) != 0)
			continue;
		size_t at = i + name_len;
		while (at < len && (json[at] == ' ' || json[at] == ':'))
			at++;
		int64_t value = 0;
		size_t digits = 0;
		for (; at < len && json[at] >= '0' && json[at] <= '9' && digits < 12;
		     at++, digits++)
			value = value * 10 + (json[at] - '0');
		if (digits > 0)
			return value;
	}
	return -1;
}

int64_t
credential_lifetime_s(const char *token, int64_t now_s)
{
	int64_t life = DOCUMENTED_LIFE_S;
	uint8_t json[4096];
	const char *payload = strchr(token, '.');
	const char *end = payload != NULL ? strchr(payload + 1, '.') : NULL;
	if (end != NULL) {
		size_t text_len = (size_t)(end - payload - 1);
		size_t len = text_len * 3 / 4;
		if (len <= sizeof json && crypto_unbase64(payload + 1, text_len, json, len)) {
			int64_t expires = claim((const char *)json, len, "\"exp\"");
			int64_t issued = claim((const char *)json, len, "\"iat\"");
			/* its own two dates agree with each other whatever our clock says */
			if (expires > 0)
				life = expires - (issued > 0 ? issued : now_s);
		}
	}
	return life < 60 ? 60 : life > 86400 ? 86400 : life;
}

static bool
token_is_sane(const char *token, size_t len)
{
	if (len < 16 || len > LIMIT_TOKEN_BYTES)
		return false;
	for (size_t i = 0; i < len; i++)
		if (token[i] <= 0x20 || token[i] >= 0x7f || token[i] == '<' || token[i] == '{')
			return false; /* a page or an object, not a bare token */
	return true;
}

/* --- the login over the wire */

static bool
stamp_of(const char *path, struct file_stamp *ret)
{
	struct stat sb;
	if (stat(path, &sb) != 0)
		return false;
	*ret = (struct file_stamp){sb.st_ctim, sb.st_size, sb.st_ino};
	return true;
}

static bool
stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec &&
	       a->size == b->size && a->inode == b->inode;
}

/* The file's first line, into locked memory. */
static enum status
read_password(const char *path, char *secret, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		log_event(LOG_ERROR, "password-unreadable", "file=%s", log_q(path, strlen(path)));
		return STATUS_UPSTREAM_AUTH;
	}
	ssize_t n = read(fd, secret, room - 1);
	close(fd);
	/* a part of a password would be rejected, and count against the account */
	if (n <= 0 || n == (ssize_t)room - 1) {
		log_event(LOG_ERROR, "password-unreadable", "file=%s bytes=%zd",
		    log_q(path, strlen(path)), n);
		return STATUS_UPSTREAM_AUTH;
	}
	secret[n] = '\0';
	secret[strcspn(secret, "\r\n")] = '\0';
	return secret[0] != '\0' ? STATUS_OK : STATUS_UPSTREAM_AUTH;
}

static enum status
collect(void *ctx, const void *bytes, size_t len)
{
	struct buf *b = ctx;
	buf_add(b, bytes, len);
	/* an answer that is far too long for a token is no token */
	return b->err == STATUS_OK ? STATUS_OK : STATUS_UPSTREAM_MALFORMED;
}

static enum status
login_call(struct transport *t, const atomic_bool *cancelled, const struct buf *form,
    struct buf *answer, int *ret_http, int64_t *ret_wait_ms)
{
	struct transport_request req = {
	    .method = "POST",
	    .path = "/auth",
	    .content_type = "application/x-www-form-urlencoded",
	    .body = form->data,
	    .body_len = form->len,
	};
	struct transport_sink sink = {.body = collect, .body_ctx = answer};
	struct transport_head head;
	enum status st = transport_call(t, &req, &sink, cancelled, &head);
	*ret_http = head.http;
	if (st == STATUS_UPSTREAM_TOKEN || st == STATUS_UPSTREAM_FORBIDDEN)
		return STATUS_UPSTREAM_AUTH;
	if (st == STATUS_UPSTREAM_LIMIT)
		*ret_wait_ms = head.wait_ms;
	/* logins have no version that could be gone */
	return st == STATUS_UPSTREAM_RETIRED ? STATUS_UPSTREAM_REFUSED : st;
}

static enum status
login_over_transport(void *ctx, struct transport *t, const atomic_bool *cancelled, char **ret_token,
    int64_t *ret_wait_ms)
{
	struct credential *c = ctx;
	struct buf form, answer;
	buf_init(&form, 16 * KIB);
	buf_init(&answer, LIMIT_TOKEN_BYTES);
	char *password = crypto_secret_new(PASSWORD_BYTES);
	enum status st = password == NULL
			     ? STATUS_NO_MEMORY
			     : read_password(c->password_file, password, PASSWORD_BYTES);
	if (st == STATUS_OK && buf_room(&form, 8 * KIB) == NULL) /* no stray copies by realloc() */
		st = STATUS_NO_MEMORY;
	if (st == STATUS_OK) {
		buf_str_add(&form, "username=");
		transport_escape(&form, c->username, strlen(c->username));
		buf_str_add(&form, "&password=");
		transport_escape(&form, password, strlen(password));
		buf_str_add(&form, "&token=true&permissions=true");
		st = form.err == STATUS_OK
			 ? login_call(t, cancelled, &form, &answer, &c->login_http, ret_wait_ms)
			 : form.err;
	}
	if (st == STATUS_OK) {
		const char *text = buf_str(&answer);
		size_t from = strspn(text, " \t\r\n");
		size_t len = strcspn(text + from, " \t\r\n");
		if (text[from + len + strspn(text + from + len, " \t\r\n")] != '\0' ||
		    !token_is_sane(text + from, len))
			st = STATUS_UPSTREAM_MALFORMED;
		else if ((*ret_token = strndup(text + from, len)) == NULL)
			st = STATUS_NO_MEMORY;
	}
	if (form.data != NULL)
		crypto_wipe(form.data, form.cap);
	if (answer.data != NULL)
		crypto_wipe(answer.data, answer.cap);
	crypto_secret_free(password);
	buf_fini(&form);
	buf_fini(&answer);
	return st;
}

/* --- life */

struct credential *
credential_new(const struct credential_options *o)
{
	struct credential *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	lock_init(&c->lock, LOCK_CREDENTIAL);
	clock_cond_init(&c->renewed);
	atomic_init(&c->stopping, false);
	c->username = secret_copy(o->username);
	c->password_file = secret_copy(o->password_file);
	c->login = o->login != NULL ? o->login : login_over_transport;
	c->login_ctx = o->login != NULL ? o->login_ctx : c;
	c->ended = o->ended;
	c->ended_ctx = o->ended_ctx;
	if (c->username == NULL || c->password_file == NULL) {
		credential_free(c);
		return NULL;
	}
	return c;
}

void
credential_free(struct credential *c)
{
	if (c == NULL)
		return;
	credential_token_free(c->token);
	free(c->username);
	free(c->password_file);
	pthread_cond_destroy(&c->renewed);
	lock_fini(&c->lock);
	free(c);
}

/* --- use */

/* May a login be tried now? */
static enum status
login_allowed_locked(struct credential *c, int64_t now_ms)
{
	lock_assert_held(&c->lock);
	if (c->rejected) {
		struct file_stamp stamp;
		if (!stamp_of(c->password_file, &stamp) || stamp_equal(&stamp, &c->rejected_stamp))
			return STATUS_UPSTREAM_AUTH;
		c->rejected = false; /* somebody has put another password there */
	}
	return now_ms < c->no_login_before_ms ? c->last_failure : STATUS_OK;
}

static void
take_login_locked(struct credential *c, enum status st, char *token, const struct file_stamp *stamp,
    int64_t wait_ms)
{
	int64_t now = clock_mono_ms();
	lock_assert_held(&c->lock);
	if (st == STATUS_OK) {
		int64_t life = credential_lifetime_s(token, clock_wall_ms() / 1000) * 1000;
		credential_token_free(c->token);
		c->token = token;
		c->generation++;
		c->worked = false;
		c->issued_at_ms = now;
		c->renew_at_ms = now + life * 4 / 5;
		c->expires_at_ms = now + life;
		log_event(LOG_INFO, "login", "life_s=%lld", (long long)(life / 1000));
		return;
	}
	if (st == STATUS_UPSTREAM_AUTH) {
		c->rejected = true;
		c->rejected_stamp = *stamp;
		log_event(LOG_ERROR, "credential-rejected", "username=%s cure=%s",
		    log_q(c->username, strlen(c->username)),
		    "\"mend the account or write another password; no login is tried before\"");
	} else if (st != STATUS_CANCELLED) {
		c->no_login_before_ms =
		    now + (wait_ms > FAILED_PAUSE_MS ? wait_ms : FAILED_PAUSE_MS);
		c->last_failure = st;
		log_event(LOG_WARNING, "login-failed", "status=%s", status_info(st)->name);
	}
}

/* Logs in without the lock, as the only one. */
static enum status
renew_locked(struct credential *c, struct transport *t)
{
	lock_assert_held(&c->lock);
	enum status st = login_allowed_locked(c, clock_mono_ms());
	if (st != STATUS_OK)
		return st;
	c->renewing = true;
	lock_drop(&c->lock);

	char *token = NULL;
	int64_t wait_ms = 0;
	struct file_stamp stamp = {0};
	stamp_of(c->password_file, &stamp); /* before the login: a change during it counts as new */
	int64_t begun_ms = clock_mono_ms();
	c->login_http = -1;
	st = c->login(c->login_ctx, t, &c->stopping, &token, &wait_ms);
	if (c->ended != NULL)
		c->ended(c->ended_ctx, st, c->login_http, clock_mono_ms() - begun_ms);

	lock_take(&c->lock);
	take_login_locked(c, st, token, &stamp, wait_ms);
	c->renewing = false;
	pthread_cond_broadcast(&c->renewed);
	return st;
}

static bool
token_lives_locked(const struct credential *c, int64_t now_ms)
{
	return c->token != NULL && now_ms < c->expires_at_ms;
}

enum status
credential_token(struct credential *c, struct transport *t, const atomic_bool *cancelled,
    char **ret_token, uint64_t *ret_generation)
{
	enum status st = STATUS_OK;
	lock_take(&c->lock);
	for (;;) {
		int64_t now = clock_mono_ms();
		bool lives = token_lives_locked(c, now);
		if (lives && (now < c->renew_at_ms || c->renewing))
			break;
		if (c->renewing) {
			/* the one who renews is bounded by its own call's deadline */
			lock_wait(&c->lock, &c->renewed, now + 1000);
			if (cancelled != NULL && atomic_load(cancelled)) {
				st = STATUS_CANCELLED;
				break;
			}
			continue;
		}
		st = renew_locked(c, t);
		if (st != STATUS_OK && token_lives_locked(c, clock_mono_ms()))
			st = STATUS_OK; /* renewed too early to matter: the old one still serves */
		break;
	}
	if (st == STATUS_OK) {
		char *copy = secret_copy(c->token);
		if (copy == NULL) {
			st = STATUS_NO_MEMORY;
		} else {
			*ret_token = copy;
			*ret_generation = c->generation;
		}
	}
	lock_drop(&c->lock);
	return st;
}

void
credential_stop(struct credential *c)
{
	atomic_store(&c->stopping, true);
}

void
credential_refused(struct credential *c, uint64_t generation)
{
	lock_take(&c->lock);
	if (generation == c->generation && c->token != NULL) {
		int64_t now = clock_mono_ms();
		credential_token_free(c->token);
		c->token = NULL;
		/* where one has worked, it may be the call that is refused, whatever the token */
		bool early = !c->worked && now - c->issued_at_ms < REFUSED_EARLY_MS;
		c->refused_early = early ? c->refused_early + 1 : 0;
		if (c->refused_early >= 2) {
			c->no_login_before_ms = now + REFUSED_PAUSE_MS;
			c->last_failure = STATUS_UPSTREAM_AUTH;
			c->refused_early = 0;
			log_event(
			    LOG_ERROR, "token-refused", "pause_s=%d", REFUSED_PAUSE_MS / 1000);
		}
	}
	lock_drop(&c->lock);
}

int64_t
credential_wait_ms(struct credential *c)
{
	lock_take(&c->lock);
	int64_t wait_ms = c->no_login_before_ms - clock_mono_ms();
	lock_drop(&c->lock);
	return wait_ms > 0 ? wait_ms : 0;
}

int64_t
credential_limited_ms(struct credential *c)
{
	lock_take(&c->lock);
	int64_t now = clock_mono_ms();
	bool limited = c->last_failure == STATUS_UPSTREAM_LIMIT && !token_lives_locked(c, now) &&
		       now < c->no_login_before_ms;
	int64_t wait_ms = limited ? c->no_login_before_ms - now : 0;
	lock_drop(&c->lock);
	return wait_ms;
}

void
credential_worked(struct credential *c, uint64_t generation)
{
	lock_take(&c->lock);
	if (generation == c->generation) {
		c->refused_early = 0;
		c->worked = true;
	}
	lock_drop(&c->lock);
}

enum credential_state
credential_state(struct credential *c)
{
	lock_take(&c->lock);
	bool paused =
	    clock_mono_ms() < c->no_login_before_ms && c->last_failure == STATUS_UPSTREAM_AUTH;
	enum credential_state state = c->rejected || paused ? CREDENTIAL_REJECTED
				      : c->token != NULL    ? CREDENTIAL_OK
							    : CREDENTIAL_UNKNOWN;
	lock_drop(&c->lock);
	return state;
}

int64_t
credential_expires_ms(struct credential *c)
{
	lock_take(&c->lock);
	int64_t left_ms = c->token != NULL ? c->expires_at_ms - clock_mono_ms() : 0;
	bool any = c->token != NULL;
	lock_drop(&c->lock);
	return any ? clock_wall_ms() + left_ms : 0;
}
