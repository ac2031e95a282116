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
#define RECORD_END_REQUEST 3
#define RECORD_STDOUT 6
#define RECORD_HEADER_BYTES 8
#define RECORDS_PER_SEND 32
#define PIECES_MOST 2
#define DRAIN_BYTES (2 * LIMIT_BODY_BYTES) /* nginx lets somewhat more through than we take */

struct fcgi {
	FCGX_Request request;
	bool open;    /* a request is under way */
	bool aborted; /* and its connection was broken off */
	bool ended;   /* the end of it was sent */
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

/* Once for each connection: nothing else tells a kept one from another with its number. */
static void
prepare_connection(int fd)
{
	struct timeval send = {.tv_sec = SEND_TIMEOUT_S}, receive = {0};
	socklen_t len = sizeof receive;
	int buffer = SEND_BUFFER_BYTES;
	if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, &len) == 0 &&
	    receive.tv_sec == READ_TIMEOUT_S)
		return;
	receive = (struct timeval){.tv_sec = READ_TIMEOUT_S};
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof receive);
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
	prepare_connection(f->request.ipcFd);
	f->open = true;
	f->aborted = f->ended = false;
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
	return fcgi_param_at(f, name, 0);
}

const char *
fcgi_param_at(const struct fcgi *f, const char *name, unsigned nth)
{
	size_t len = strlen(name);
	for (char **p = f->request.envp; p != NULL && *p != NULL; p++)
		if ((*p)[0] == name[0] && strncmp(*p, name, len) == 0 && (*p)[len] == '=' &&
		    nth-- == 0)
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

/* Reads what is left of the request, before an answer has its end: nginx sends no more of it once it
 * has an answer, and libfcgi would take the rest for the beginning of the next request. False if
 * there is no end of it. */
static bool
drain(struct fcgi *f)
{
	char scrap[8 * KIB];
	for (size_t read = 0; read <= DRAIN_BYTES; read += sizeof scrap)
		if (FCGX_GetStr(scrap, (int)sizeof scrap, f->request.in) < (int)sizeof scrap)
			return true;
	return false;
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
record_header(uint8_t header[RECORD_HEADER_BYTES], uint8_t type, int request_id, size_t content)
{
	header[0] = 1;
	header[1] = type;
	header[2] = (uint8_t)(request_id >> 8);
	header[3] = (uint8_t)request_id;
	header[4] = (uint8_t)(content >> 8);
	header[5] = (uint8_t)content;
	header[6] = header[7] = 0;
}

/* No more of the answer, and no more of the request: an empty STDOUT record, and END_REQUEST with its
 * 8 bytes of content, all 0: complete, exit status 0 (FastCGI 1.0, 5.5). */
#define END_BYTES ((size_t)3 * RECORD_HEADER_BYTES)

static void
end_records(uint8_t end[END_BYTES], int request_id)
{
	memset(end, 0, END_BYTES);
	record_header(end, RECORD_STDOUT, request_id, 0);
	record_header(end + RECORD_HEADER_BYTES, RECORD_END_REQUEST, request_id, 8);
}

/* What one sendmsg() takes: records around the caller's bytes, gathered, not copied. */
struct gather {
	uint8_t headers[RECORDS_PER_SEND][RECORD_HEADER_BYTES];
	uint8_t end[END_BYTES];
	struct iovec iov[RECORDS_PER_SEND * 2 + PIECES_MOST + 1];
	size_t records, count;
};

static void
gather_add(struct gather *g, const void *bytes, size_t len)
{
	/* sendmsg() only reads what iov_base points to */
	g->iov[g->count++] = (struct iovec){(void *)(uintptr_t)bytes, len};
}

struct piece {
	const char *bytes;
	size_t len;
};

/* One record, of as much as it holds; the pieces move on. */
static void
gather_record(struct gather *g, int request_id, struct piece *pieces, size_t left)
{
	size_t content = left < RECORD_BYTES ? left : RECORD_BYTES;
	uint8_t *header = g->headers[g->records++];
	record_header(header, RECORD_STDOUT, request_id, content);
	gather_add(g, header, RECORD_HEADER_BYTES);
	for (struct piece *p = pieces; content > 0; p++) {
		size_t taken = p->len < content ? p->len : content;
		if (taken > 0)
			gather_add(g, p->bytes, taken);
		p->bytes += taken;
		p->len -= taken;
		content -= taken;
	}
}

/* The pieces as records, and behind them, if so wanted, the end of the request: what fits into one
 * sendmsg() wakes nginx once. */
static enum status
send_records(struct fcgi *f, struct piece pieces[PIECES_MOST], bool end)
{
	enum status st = STATUS_OK;
	size_t left = pieces[0].len + pieces[1].len;
	while (st == STATUS_OK && (left > 0 || end)) {
		struct gather g;
		g.records = g.count = 0;
		while (left > 0 && g.records < RECORDS_PER_SEND) {
			gather_record(&g, f->request.requestId, pieces, left);
			left = pieces[0].len + pieces[1].len;
		}
		if (left == 0 && end) {
			end_records(g.end, f->request.requestId);
			gather_add(&g, g.end, sizeof g.end);
			end = false;
			f->ended = true;
		}
		st = send_all(f->request.ipcFd, g.iov, g.count);
	}
	if (st != STATUS_OK)
		fcgi_abort(f);
	return st;
}

enum status
fcgi_answer(struct fcgi *f, const char *head, size_t head_len, const char *body, size_t body_len)
{
	struct piece pieces[PIECES_MOST] = {{head, head_len}, {body, body_len}};
	if (!f->aborted && !drain(f))
		fcgi_cut(f);
	return f->aborted ? STATUS_CLIENT_GONE : send_records(f, pieces, true);
}

enum status
fcgi_stream(struct fcgi *f, const char *bytes, size_t len)
{
	struct piece pieces[PIECES_MOST] = {{bytes, len}};
	return f->aborted ? STATUS_CLIENT_GONE : send_records(f, pieces, false);
}

void
fcgi_end(struct fcgi *f)
{
	struct piece none[PIECES_MOST] = {0};
	if (!f->open || f->aborted || f->ended)
		return;
	if (!drain(f) || send_records(f, none, true) != STATUS_OK)
		fcgi_abort(f);
}

void
fcgi_finish(struct fcgi *f)
{
	fcgi_end(f);
	if (!f->open)
		return;
	f->open = false;
	bool kept = !f->aborted && f->request.keepConnection && FCGX_GetError(f->request.in) == 0;
	/* not FCGX_Finish_r(), which would send an end of its own */
	FCGX_Free(&f->request, !kept);
}

bool
fcgi_hung_up(const struct fcgi *f)
{
	struct pollfd p = {.fd = f->request.ipcFd, .events = POLLRDHUP};
	return f->aborted || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}
