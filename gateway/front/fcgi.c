#include "config.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/front/fcgi.h"

#define BACKLOG 4096
/* nginx reads into its own buffers: a minute without a byte is its death */
#define SEND_TIMEOUT_S 60
#define READ_TIMEOUT_S 75 /* idle connections are nginx's to close, after a minute */
/* A page of 100 records fits at once; measured: a quarter more pages a second than with the default
 * of 208 KiB. The kernel may grant less (net.core.wmem_max). */
#define SEND_BUFFER_BYTES (512 * 1024)
#define RECORD_BYTES ((size_t)65528) /* most content of a record, a multiple of 8: no padding */
#define RECORD_STDOUT 6
#define SMALL_BYTES (8 * KIB) /* measured: libfcgi's own stream is best below, one writev above */
#define RECORDS_PER_SEND 32
#define DRAIN_BYTES (2 * LIMIT_BODY_BYTES) /* nginx lets somewhat more through than we take */

struct fcgi {
	FCGX_Request request;
	bool open;    /* a request is under way */
	bool aborted; /* and its connection was broken off */
};

static atomic_bool stopping;

enum status
fcgi_init(void)
{
	return FCGX_Init() == 0 ? STATUS_OK : STATUS_INTERNAL;
}

/* True if somebody accepts connections there. */
static bool
answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool up = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
	close(fd);
	return up;
}

enum status
fcgi_listen(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	if (len >= sizeof address.sun_path) {
		log_event(
		    LOG_ERROR, "listen", "socket=%s error=\"path too long\"", log_q(path, len));
		return STATUS_INTERNAL;
	}
	memcpy(address.sun_path, path, len + 1);
	if (answers(&address))
		return STATUS_BUSY;
	unlink(path);

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0117); /* 0660 from the first moment */
	bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
		    listen(fd, BACKLOG) == 0;
	int error = errno;
	umask(mask);
	if (!good) {
		log_event(LOG_ERROR, "listen", "socket=%s error=\"%s\"", log_q(path, len),
		    strerror(error));
		if (fd >= 0)
			close(fd);
		return STATUS_INTERNAL;
	}
	*ret_fd = fd;
	return STATUS_OK;
}

struct fcgi *
fcgi_new(int listen_fd)
{
	struct fcgi *f = calloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	if (FCGX_InitRequest(&f->request, listen_fd, FCGI_FAIL_ACCEPT_ON_INTR) != 0) {
		free(f);
		return NULL;
	}
	return f;
}

void
fcgi_free(struct fcgi *f)
{
	if (f == NULL)
		return;
	FCGX_Free(&f->request, 1);
	free(f);
}

void
fcgi_stop(void)
{
	atomic_store(&stopping, true);
}

enum status
fcgi_accept(struct fcgi *f)
{
	if (atomic_load(&stopping))
		return STATUS_STOPPING;
	int rc = FCGX_Accept_r(&f->request);
	if (rc < 0) {
		if (atomic_load(&stopping))
			return STATUS_STOPPING;
		switch (-rc) {
		case EINTR:
		case EMFILE:
		case ENFILE:
		case ENOMEM:
		case ENOBUFS:
			return STATUS_BUSY;
		default:
			return STATUS_INTERNAL;
		}
	}
	struct timeval send = {.tv_sec = SEND_TIMEOUT_S}, receive = {.tv_sec = READ_TIMEOUT_S};
	int buffer = SEND_BUFFER_BYTES;
	setsockopt(f->request.ipcFd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	setsockopt(f->request.ipcFd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send);
	setsockopt(f->request.ipcFd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof receive);
	f->open = true;
	f->aborted = false;
	return STATUS_OK;
}

int
fcgi_fd(const struct fcgi *f)
{
	return f->request.ipcFd;
}

const char *
fcgi_param(const struct fcgi *f, const char *name)
{
	return FCGX_GetParam(name, f->request.envp);
}

const char *
fcgi_param_at(const struct fcgi *f, const char *name, unsigned nth)
{
	size_t len = strlen(name);
	for (char **p = f->request.envp; p != NULL && *p != NULL; p++)
		if (strncmp(*p, name, len) == 0 && (*p)[len] == '=' && nth-- == 0)
			return *p + len + 1;
	return NULL;
}

unsigned
fcgi_param_count(const struct fcgi *f, const char *name)
{
	unsigned count = 0;
	while (fcgi_param_at(f, name, count) != NULL)
		count++;
	return count;
}

enum status
fcgi_read_body(struct fcgi *f, struct buf *body, size_t len)
{
	while (len > 0) {
		size_t chunk = len < 64 * KIB ? len : 64 * KIB;
		char *at = buf_room(body, chunk);
		if (at == NULL)
			return body->err;
		int n = FCGX_GetStr(at, (int)chunk, f->request.in);
		if (n <= 0)
			return STATUS_BAD_REQUEST;
		buf_used(body, (size_t)n);
		len -= (size_t)n;
	}
	return STATUS_OK;
}

static void
fcgi_cut(struct fcgi *f)
{
	/* shut it first, so that not even an end-of-request can go out any more */
	shutdown(f->request.ipcFd, SHUT_RDWR);
	f->aborted = true;
}

void
fcgi_abort(struct fcgi *f)
{
	if (f->open && !f->aborted)
		fcgi_cut(f);
}

/* Reads what is left of the request: libfcgi does not, and would take it for the beginning of the
 * next one on a kept connection. False if there is no end of it. */
static bool
drain(struct fcgi *f)
{
	char scrap[8 * KIB];
	for (size_t read = 0; read <= DRAIN_BYTES; read += sizeof scrap)
		if (FCGX_GetStr(scrap, (int)sizeof scrap, f->request.in) < (int)sizeof scrap)
			return true;
	return false;
}

void
fcgi_finish(struct fcgi *f)
{
	if (!f->open)
		return;
	f->open = false;
	if (!f->aborted && !drain(f))
		fcgi_cut(f);
	if (f->aborted)
		FCGX_Free(&f->request, 1);
	else
		FCGX_Finish_r(&f->request);
}

/* --- sending */

static enum status
send_all(int fd, struct iovec *iov, size_t count)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
	while (msg.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return STATUS_CLIENT_GONE;
		size_t sent = (size_t)n;
		while (msg.msg_iovlen > 0 && sent >= msg.msg_iov[0].iov_len) {
			sent -= msg.msg_iov[0].iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen > 0) {
			msg.msg_iov[0].iov_base = (char *)msg.msg_iov[0].iov_base + sent;
			msg.msg_iov[0].iov_len -= sent;
		}
	}
	return STATUS_OK;
}

/* The 8 bytes before a record's content (FastCGI 1.0, 3.3). */
static void
record_header(uint8_t header[8], int request_id, size_t content)
{
	header[0] = 1;
	header[1] = RECORD_STDOUT;
	header[2] = (uint8_t)(request_id >> 8);
	header[3] = (uint8_t)request_id;
	header[4] = (uint8_t)(content >> 8);
	header[5] = (uint8_t)content;
	header[6] = header[7] = 0;
}

/* Large answers: STDOUT records around the caller's bytes, gathered, not copied. */
static enum status
send_records(struct fcgi *f, const char *bytes, size_t len)
{
	uint8_t headers[RECORDS_PER_SEND][8];
	struct iovec iov[RECORDS_PER_SEND * 2];
	while (len > 0) {
		size_t records = 0;
		while (len > 0 && records < RECORDS_PER_SEND) {
			size_t content = len < RECORD_BYTES ? len : RECORD_BYTES;
			record_header(headers[records], f->request.requestId, content);
			iov[records * 2] = (struct iovec){headers[records], 8};
			/* sendmsg() only reads what iov_base points to */
			iov[records * 2 + 1] = (struct iovec){(void *)(uintptr_t)bytes, content};
			bytes += content;
			len -= content;
			records++;
		}
		enum status st = send_all(f->request.ipcFd, iov, records * 2);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

enum status
fcgi_answer(struct fcgi *f, const char *head, size_t head_len, const char *body, size_t body_len)
{
	enum status st = STATUS_OK;
	if (head_len + body_len <= SMALL_BYTES) {
		if (FCGX_PutStr(head, (int)head_len, f->request.out) < 0 ||
		    (body_len > 0 && FCGX_PutStr(body, (int)body_len, f->request.out) < 0))
			st = STATUS_CLIENT_GONE;
	} else {
		st = send_records(f, head, head_len);
		if (st == STATUS_OK)
			st = send_records(f, body, body_len);
	}
	if (st == STATUS_OK && FCGX_GetError(f->request.out) != 0)
		st = STATUS_CLIENT_GONE;
	if (st != STATUS_OK)
		fcgi_abort(f);
	return st;
}

enum status
fcgi_stream(struct fcgi *f, const char *bytes, size_t len)
{
	enum status st = f->aborted ? STATUS_CLIENT_GONE : send_records(f, bytes, len);
	if (st != STATUS_OK)
		fcgi_abort(f);
	return st;
}

bool
fcgi_hung_up(const struct fcgi *f)
{
	struct pollfd p = {.fd = f->request.ipcFd, .events = POLLRDHUP};
	return f->aborted || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}
