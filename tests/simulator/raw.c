#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/simulator/raw.h"
#include "tests/simulator/sim.h"

#define CHUNK_BYTES ((size_t)16384)
#define POLL_MS 50
#define DRAIN_MS 2000

static bool
is_stopping(struct sim *s)
{
	sim_lock(s);
	bool stopping = s->stopping;
	sim_unlock(s);
	return stopping;
}

static bool
send_all(struct sim *s, int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			bytes += sent;
			len -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return false;
		struct pollfd ready = {.fd = fd, .events = POLLOUT};
		poll(&ready, 1, POLL_MS);
		if (is_stopping(s))
			return false;
	}
	return true;
}

/* Sends at the plan's rate, a tenth of a second's worth at a time. */
static bool
send_paced(struct sim *s, int fd, const char *bytes, size_t len, int64_t rate)
{
	if (rate <= 0)
		return send_all(s, fd, bytes, len);
	size_t step = rate >= 10 ? (size_t)rate / 10 : 1;
	int64_t pause_ms = rate >= 10 ? 100 : 1000 / rate;
	for (size_t at = 0; at < len; at += step) {
		if (!send_all(s, fd, bytes + at, len - at < step ? len - at : step) ||
		    !sim_sleep(s, pause_ms))
			return false;
	}
	return true;
}

static bool
peer_left(int fd)
{
	struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
	return poll(&gone, 1, POLL_MS) > 0 && (gone.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Until POST /release; false: the client left or the simulator stops. */
static bool
stall(struct sim *s, int fd)
{
	sim_lock(s);
	uint64_t released = s->holds.stalls_released;
	s->holds.stalled++;
	sim_changed(s);
	bool going = true;
	while (going && s->holds.stalls_released == released && !s->stopping) {
		sim_unlock(s);
		going = !peer_left(fd);
		sim_lock(s);
	}
	s->holds.stalled--;
	going = going && !s->stopping;
	sim_unlock(s);
	return going;
}

/* What was sent so far arrives first; then a reset, which connecting to nowhere means on Linux. */
static void
reset(int fd)
{
	int64_t deadline_ms = real_ms() + DRAIN_MS;
	int unsent = 1;
	while (real_ms() < deadline_ms && ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)
		poll(NULL, 0, 1);
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	(void)connect(fd, &nowhere, sizeof(nowhere));
}

/* Tells the client that nothing more comes and waits until it has left, so that closing does not
 * cut off what is on its way. */
static void
close_gently(int fd)
{
	shutdown(fd, SHUT_WR);
	int64_t deadline_ms = real_ms() + DRAIN_MS;
	while (real_ms() < deadline_ms && !peer_left(fd))
		;
}

static void
write_head(const struct reply *reply, size_t len, const struct raw_plan *plan, struct sbuf *head)
{
	sbuf_printf(head, "HTTP/1.1 %u Simulated\r\nConnection: close\r\n", reply->status);
	for (size_t i = 0; i < reply->header_count; i++)
		sbuf_printf(head, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
	if (plan->framing == FRAMING_CHUNKED)
		sbuf_text(head, "Transfer-Encoding: chunked\r\n");
	if (plan->framing == FRAMING_LENGTH)
		sbuf_printf(
		    head, "Content-Length: %" PRId64 "\r\n", (int64_t)len + plan->length_error);
	for (int64_t i = 0; i < plan->header_lines; i++) {
		sbuf_printf(head, "X-Useless-%" PRId64 ": ", i);
		sbuf_fill(head, 'u', (size_t)(plan->header_bytes / plan->header_lines));
		sbuf_text(head, "\r\n");
	}
	sbuf_text(head, "\r\n");
}

static bool
send_body(struct sim *s, int fd, const char *bytes, size_t len, const struct raw_plan *plan)
{
	bool chunked = plan->framing == FRAMING_CHUNKED, good = true;
	for (size_t at = 0; good && at < len; at += CHUNK_BYTES) {
		size_t here = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
		struct sbuf chunk = {0};
		if (chunked)
			sbuf_printf(&chunk, "%zx\r\n", here);
		sbuf_add(&chunk, bytes + at, here);
		if (chunked)
			sbuf_text(&chunk, "\r\n");
		good = send_paced(s, fd, chunk.data, chunk.len, plan->rate);
		sbuf_free(&chunk);
	}
	return good;
}

/* At the place where the plan has something else than the rest of the body. True: go on. */
static bool
turn(struct sim *s, int fd, const struct raw_plan *plan)
{
	switch (plan->ending) {
	case ENDING_STALL:
		return stall(s, fd);
	case ENDING_RESET:
		reset(fd);
		return false;
	case ENDING_BAD_CHUNK:
		(void)send_all(s, fd, "zz\r\n", 4);
		return false;
	case ENDING_CLOSE:
	case ENDING_CLEAN:
		break;
	}
	return plan->ending == ENDING_CLEAN;
}

static bool
send_planned(struct sim *s, int fd, const struct reply *reply, const struct sbuf *bytes,
    const struct raw_plan *plan)
{
	if (plan->preface.len > 0) {
		(void)send_all(s, fd, plan->preface.data, plan->preface.len);
		return false;
	}
	if (plan->no_head && !turn(s, fd, plan))
		return false;
	struct sbuf head = {0};
	write_head(reply, bytes->len, plan, &head);
	bool good = send_paced(s, fd, head.data, head.len, plan->rate);
	sbuf_free(&head);
	size_t stop = plan->stop_bytes < bytes->len ? (size_t)plan->stop_bytes : bytes->len;
	if (!good || !send_body(s, fd, bytes->data, stop, plan))
		return false;
	if (!plan->no_head && !turn(s, fd, plan))
		return false;
	if (!send_body(s, fd, bytes->data + stop, bytes->len - stop, plan))
		return false;
	if (plan->framing == FRAMING_CHUNKED && !plan->no_final_chunk)
		return send_all(s, fd, "0\r\n\r\n", 5);
	return plan->length_error == 0 && !plan->no_final_chunk;
}

bool
raw_send(struct sim *s, int fd, const struct reply *reply, const struct sbuf *bytes,
    const struct raw_plan *plan)
{
	bool good = send_planned(s, fd, reply, bytes, plan);
	if (plan->ending != ENDING_RESET)
		close_gently(fd);
	return good;
}
