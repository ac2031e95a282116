#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/simulator/limits.h"
#include "tests/simulator/sbuf.h"

void
limits_fini(struct limits *l)
{
	for (unsigned i = 0; i < APIS; i++)
		free(l->api[i].started_ms);
}

static void
window_add(struct limits *l, enum api api, int64_t at_ms)
{
	if (l->api[api].count == l->api[api].cap) {
		size_t cap = l->api[api].cap < 32 ? 32 : l->api[api].cap * 2;
		int64_t *bigger = sim_alloc(cap * sizeof(*bigger));
		if (l->api[api].count > 0)
			memcpy(bigger, l->api[api].started_ms, l->api[api].count * sizeof(*bigger));
		free(l->api[api].started_ms);
		l->api[api].started_ms = bigger;
		l->api[api].cap = cap;
	}
	l->api[api].started_ms[l->api[api].count++] = at_ms;
}

static void
window_roll(struct limits *l, enum api api, int64_t since_ms)
{
	size_t old = 0;
	while (old < l->api[api].count && l->api[api].started_ms[old] <= since_ms)
		old++;
	if (old == 0)
		return;
	l->api[api].count -= old;
	memmove(l->api[api].started_ms, l->api[api].started_ms + old,
	    l->api[api].count * sizeof(int64_t));
}

enum limits_answer
limits_enter(struct limits *l, enum api api, const struct options *opt, int64_t at_ms,
    struct limits_view *ret)
{
	*ret = (struct limits_view){.running = l->api[api].running};
	if (opt->concurrency > 0 && l->api[api].running >= opt->concurrency)
		return LIMITS_TOO_MANY;
	if (opt->rate > 0) {
		int64_t window_ms = opt->rate_window * 1000;
		window_roll(l, api, at_ms - window_ms);
		int64_t used = (int64_t)l->api[api].count;
		if (used >= opt->rate) {
			int64_t free_ms = l->api[api].started_ms[used - opt->rate] + window_ms;
			ret->wait_s = (free_ms - at_ms + 999) / 1000;
			ret->refused = ++l->api[api].refused;
			return LIMITS_TOO_OFTEN;
		}
		window_add(l, api, at_ms);
		ret->remaining = opt->rate - used - 1;
	}
	l->api[api].refused = 0;
	ret->running = ++l->api[api].running;
	if (l->api[api].running > l->api[api].most_running)
		l->api[api].most_running = l->api[api].running;
	return LIMITS_ENTERED;
}

void
limits_use(struct limits *l, enum api api, const struct options *opt, int64_t at_ms, int64_t calls)
{
	window_roll(l, api, at_ms - opt->rate_window * 1000);
	for (int64_t i = 0; i < calls; i++)
		window_add(l, api, at_ms);
}

void
limits_leave(struct limits *l, enum api api)
{
	l->api[api].running--;
}

void
limits_forget(struct limits *l)
{
	for (unsigned i = 0; i < APIS; i++) {
		l->api[i].count = 0;
		l->api[i].refused = 0;
		l->api[i].most_running = l->api[i].running;
	}
}
