#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/simulator/clock.h"
#include "tests/simulator/ledger.h"

/* --- reading what was */

/* How many calls a line says that entered a window, and which; 0: none. */
static int64_t
calls_of(const json_t *line, enum api *ret_api, int64_t *ret_wall_ms)
{
	const char *api = json_string_value(json_object_get(line, "api"));
	const char *verdict = json_string_value(json_object_get(line, "verdict"));
	const json_t *t = json_object_get(line, "t");
	if (api == NULL || verdict == NULL || !json_is_number(t) || api_find(api) == APIS)
		return 0;
	*ret_api = api_find(api);
	*ret_wall_ms = (int64_t)(json_number_value(t) * 1000 + 0.5);
	if (strcmp(verdict, "others") == 0)
		return json_integer_value(json_object_get(line, "calls"));
	return strcmp(verdict, "entered") == 0;
}

static void
resume(FILE *file, const struct options *opt, struct limits *windows)
{
	char *text = NULL;
	size_t size = 0;
	int64_t now_mono = now_ms(), now_wall = now_wall_ms();
	while (getline(&text, &size, file) >= 0) {
		enum api api = APIS;
		int64_t at_wall_ms = 0;
		json_t *line = json_loads(text, 0, NULL);
		int64_t calls = calls_of(line, &api, &at_wall_ms);
		json_decref(line);
		/* a wall clock that was set back has lines of the future: they count as of now */
		int64_t age_ms = now_wall > at_wall_ms ? now_wall - at_wall_ms : 0;
		if (calls > 0) /* older ones roll out by themselves */
			limits_use(windows, api, opt, now_mono - age_ms, calls);
	}
	free(text);
}

bool
ledger_open(struct ledger *g, const struct options *opt, struct limits *windows)
{
	g->fd = -1;
	if (opt->ledger[0] == '\0')
		return true;
	FILE *old = opt->ledger_resume ? fopen(opt->ledger, "re") : NULL;
	if (old != NULL) { /* a first start has nothing to go on with */
		resume(old, opt, windows);
		fclose(old);
	}
	g->fd = open(opt->ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return g->fd >= 0;
}

void
ledger_close(struct ledger *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}

/* --- writing */

static void __attribute__((format(printf, 3, 4)))
write_line(struct ledger *g, enum api api, const char *fmt, ...)
{
	char line[200];
	int64_t t_ms = now_wall_ms();
	if (g->fd < 0)
		return;
	int len = snprintf(line, sizeof(line), "{\"t\":%" PRId64 ".%03d,\"api\":\"%s\",",
	    t_ms / 1000, (int)(t_ms % 1000), api_names[api]);
	va_list args;
	va_start(args, fmt);
	len += vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, args);
	va_end(args);
	if (write(g->fd, line, (size_t)len) != len) {
		perror("posturegate-simulator: the ledger cannot be written");
		abort(); /* one with gaps would prove what is not so */
	}
}

void
ledger_call(struct ledger *g, enum api api, enum limits_answer answer, unsigned running)
{
	static const char *const verdicts[] = {
	    [LIMITS_ENTERED] = "entered",
	    [LIMITS_TOO_MANY] = "too-many",
	    [LIMITS_TOO_OFTEN] = "too-often",
	};
	write_line(g, api, "\"verdict\":\"%s\",\"running\":%u}\n", verdicts[answer], running);
}

void
ledger_login(struct ledger *g, unsigned status)
{
	write_line(g, API_AUTH, "\"verdict\":%u}\n", status);
}

void
ledger_others(struct ledger *g, enum api api, int64_t calls)
{
	write_line(g, api, "\"verdict\":\"others\",\"calls\":%" PRId64 "}\n", calls);
}
