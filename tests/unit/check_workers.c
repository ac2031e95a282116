/* Workers that are told to stop while they have something in hands. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "gateway/front/workers.h"
#include "tests/unit/dir.h"
#include "tests/unit/unit.h"

static char dir[UNIT_DIR_BYTES];
static int listen_fd;

static void
setup(void)
{
	char path[UNIT_DIR_BYTES + 8];
	unit_dir_make(dir, "check_workers");
	snprintf(path, sizeof path, "%s/socket", dir);
	ck_status(fcgi_init(), STATUS_OK);
	ck_status(fcgi_listen(path, &listen_fd), STATUS_OK);
}

static void
teardown(void)
{
	close(listen_fd);
	unit_dir_remove(dir);
}

/* A request as nginx sends it (FastCGI 1.0), one record behind the other: the beginning, with the
 * connection kept, no parameters, no body. */
static int
begin_request(void)
{
	static const char request[] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, /* begin */
	    1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%.90s/socket", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(write(fd, request, sizeof request), sizeof request);
	return fd;
}

/* Sends until nothing more goes: nobody reads. */
static void
fill(void *ctx, struct worker *w, struct fcgi *f)
{
	static const char zeros[4096];
	atomic_bool *filled = ctx;
	(void)w;
	while (send(fcgi_fd(f), zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	*filled = errno == EAGAIN;
}

/* Its end waits for room, too. The signals that wake idle workers interrupt that, and it goes on. */
START_TEST(who_takes_nothing_does_not_hold_up_the_stop)
{
	atomic_bool filled = false;
	struct workers *ws = workers_new(2, listen_fd, fill, &filled);
	ck_assert_ptr_nonnull(ws);
	int fd = begin_request();
	while (!filled)
		sched_yield();
	workers_stop(ws, 0);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("workers");
	TCase *t = tcase_create("stop");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, who_takes_nothing_does_not_hold_up_the_stop);
	suite_add_tcase(s, t);
	return unit_run(s);
}
