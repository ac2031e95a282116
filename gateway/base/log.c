#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define LINE_BYTES 2048

static struct {
	int fd;
	enum log_level most;
} log_state = {.fd = -1};

void
log_init(int fd, enum log_level most)
{
	log_state.fd = fd;
	log_state.most = most;
}

/* One write a line, and no lock: a pipe takes up to PIPE_BUF bytes at once (POSIX write()), Linux a
 * file's write likewise, and a stream socket what fits into one of its buffers. */
static_assert(LINE_BYTES <= PIPE_BUF, "a line must not be torn");

static void
write_line(const char *line, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t w = write(log_state.fd, line + done, len - done);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break; /* a log that cannot be written must not stop the service */
		done += (size_t)w;
	}
}

void
log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char names[][8] = {"error", "warning", "info", "debug"};
	if (log_state.fd < 0 || level > log_state.most)
		return;

	int saved = errno;
	char line[LINE_BYTES], when[CLOCK_TEXT_BYTES];
	int64_t now = clock_wall_ms();
	clock_text(now / 1000, when);
	int n = snprintf(
	    line, sizeof line, "%.19s.%03dZ %s %s ", when, (int)(now % 1000), names[level], event);
	size_t len = (size_t)n;
	va_list args;
	va_start(args, fmt);
	n = vsnprintf(line + len, sizeof line - len, fmt, args);
	va_end(args);
	if (n > 0)
		len += (size_t)n;
	if (len > sizeof line - 1)
		len = sizeof line - 1;
	line[len++] = '\n';

	write_line(line, len);
	errno = saved;
}

const char *
log_q(const char *text, size_t len)
{
	static _Thread_local char ring[4][512];
	static _Thread_local unsigned next;
	char *out = ring[next++ % 4], *at = out;

	*at++ = '"';
	for (size_t i = 0; i < len && i < 200; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\') {
			*at++ = '\\';
			*at++ = (char)c;
		} else if (c < 0x20 || c >= 0x7f) {
			*at++ = '?';
		} else {
			*at++ = (char)c;
		}
	}
	if (len > 200) {
		memcpy(at, "...", 3);
		at += 3;
	}
	*at++ = '"';
	*at = '\0';
	return out;
}
