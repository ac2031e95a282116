#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/ops/process.h"

/* "size resident …" in pages (proc(5)). */
static void
read_memory(struct process_view *v)
{
	char text[128];
	v->virtual_bytes = v->resident_bytes = -1;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	char *rest;
	int64_t page = sysconf(_SC_PAGESIZE);
	v->virtual_bytes = strtoll(text, &rest, 10) * page;
	v->resident_bytes = strtoll(rest, NULL, 10) * page;
}

static int64_t
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	if (d == NULL)
		return -1;
	int64_t count = 0;
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		count += e->d_name[0] != '.';
	closedir(d);
	return count - 1; /* its own */
}

static int64_t
time_us(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

void
process_look(struct process_view *ret)
{
	struct rusage usage;
	struct rlimit files;
	struct process_view v = {.cpu_us = -1, .most_fds = -1};
	read_memory(&v);
	v.open_fds = count_fds();
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		v.cpu_us = time_us(usage.ru_utime) + time_us(usage.ru_stime);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		v.most_fds = (int64_t)files.rlim_cur;
	*ret = v;
}
