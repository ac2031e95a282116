/* A light caller that asks for stored pages at a steady pace and writes down how long each took.
 *
 *     posturegate-prober SOCKET KEY EVERY_US TARGET...
 *
 * One kept connection to nginx's unix socket, one request at a time, the targets in turn, each with
 * only-if-cached. A line on stdout for each probe:
 *
 *     SENT_US LATENCY_US STATUS HIT TARGET
 *
 * SENT_US is of CLOCK_MONOTONIC. STATUS is 0 where no whole answer came. A probe that was due while
 * a slow answer was waited for gets a line too, as if it had been sent when it was due: else one
 * slow answer would hide all those that it delayed. Ends on SIGTERM and SIGINT.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES ((size_t)16 * 1024 * 1024)
#define PATIENCE_S 10
#define REST_US 20000 /* before another connection, after one that failed */

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static int64_t
now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
sleep_until(int64_t at_us)
{
	struct timespec until = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
	while (
	    !stopping && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
}

static int
dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	size_t len = strlen(path);
	if (len >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, len + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
send_all(int fd, const char *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, bytes + done, len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR && !stopping)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

struct answer {
	char *bytes; /* ANSWER_BYTES */
	unsigned status;
	bool hit;
	bool last; /* of this connection: nginx ends it now and then */
};

/* True: the whole answer, by its Content-Length, is there. */
static bool
receive(int fd, struct answer *answer)
{
	size_t len = 0, wanted = 0;
	while (wanted == 0 || len < wanted) {
		ssize_t n = recv(fd, answer->bytes + len, ANSWER_BYTES - 1 - len, 0);
		if (n < 0 && errno == EINTR && !stopping)
			continue;
		if (n <= 0)
			return false;
		len += (size_t)n;
		if (wanted > 0)
			continue;
		answer->bytes[len] = '\0';
		const char *end = strstr(answer->bytes, "\r\n\r\n");
		const char *length = strcasestr(answer->bytes, "\r\ncontent-length:");
		if (end == NULL)
			continue;
		if (length == NULL || length > end)
			return false;
		wanted = (size_t)(end + 4 - answer->bytes) + strtoul(length + 17, NULL, 10);
		answer->status = (unsigned)strtoul(answer->bytes + strlen("HTTP/1.1 "), NULL, 10);
		const char *hit = strstr(answer->bytes, "posturegate; hit");
		answer->hit = hit != NULL && hit < end;
		const char *last = strcasestr(answer->bytes, "\r\nconnection: close");
		answer->last = last != NULL && last < end;
	}
	return true;
}

static void
probe(const char *path, int *fd, const char *request, struct answer *answer)
{
	answer->status = 0;
	answer->hit = false;
	if (*fd < 0)
		*fd = dial(path);
	if (*fd < 0)
		return;
	bool whole = send_all(*fd, request, strlen(request)) && receive(*fd, answer);
	if (!whole)
		answer->status = 0;
	if (!whole || answer->last) {
		close(*fd);
		*fd = -1;
	}
}

static void
run(const char *path, const char *key, int64_t every_us, char *const *targets, int count)
{
	char request[2048];
	struct answer answer = {.bytes = malloc(ANSWER_BYTES)};
	int fd = -1;
	int64_t due_us = now_us();
	for (int turn = 0; answer.bytes != NULL && !stopping; turn = (turn + 1) % count) {
		snprintf(request, sizeof(request),
		    "GET %s HTTP/1.1\r\nHost: prober\r\nAuthorization: Bearer %s\r\n"
		    "Cache-Control: only-if-cached\r\n\r\n",
		    targets[turn], key);
		int64_t sent_us = now_us();
		probe(path, &fd, request, &answer);
		int64_t ended_us = now_us();
		/* this one, and those that were due meanwhile */
		for (; sent_us <= ended_us; sent_us += every_us)
			printf("%" PRId64 " %" PRId64 " %u %d %d\n", sent_us, ended_us - sent_us,
			    answer.status, answer.hit, turn);
		if (answer.status == 0)
			sleep_until(now_us() + REST_US);
		due_us += every_us;
		if (due_us < now_us())
			due_us = now_us() + every_us;
		sleep_until(due_us);
	}
	if (fd >= 0)
		close(fd);
	free(answer.bytes);
}

int
main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: %s SOCKET KEY EVERY_US TARGET...\n", argv[0]);
		return 2;
	}
	int64_t every_us = strtoll(argv[3], NULL, 10);
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (every_us < 100) {
		fprintf(stderr, "%s: at most a probe every 100 us\n", argv[0]);
		return 2;
	}
	run(argv[1], argv[2], every_us, argv + 4, argc - 4);
	return ferror(stdout) != 0 || fflush(stdout) != 0;
}
