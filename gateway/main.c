#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/codec.h"
#include "gateway/base/limits.h"
#include "gateway/base/log.h"
#include "gateway/janitor.h"
#include "gateway/keyfile.h"
#include "gateway/legacy/names.h"
#include "gateway/metrics.h"
#include "gateway/refresh.h"
#include "gateway/request.h"

#define SOURCES_MOST 64
#define STOP_GRACE_MS 5000
#define FETCH_THREADS_MOST 64
#define FETCH_THREADS_SPARE 2 /* beyond the concurrency limit: the APIs have one each */

enum exit_code { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* --- the command line */

struct command {
	const char *files[SOURCES_MOST], *sets[SOURCES_MOST];
	size_t file_count, set_count;
	bool check, print_defaults;
};

static const char usage[] =
    "usage: posturegate [--settings FILE]... [--set SECTION.NAME=VALUE]...\n"
    "       posturegate --check FILE... [--set SECTION.NAME=VALUE]...\n"
    "\n"
    "  -s, --settings FILE      read settings from FILE; a later one is laid over an earlier one\n"
    "      --set SECTION.NAME=VALUE\n"
    "                           a single setting of a plain section, laid over all files\n"
    "  -c, --check FILE         check the settings, say what is wrong and what to write, and exit\n"
    "      --print-defaults     print a sample file with every setting, its default and its help\n"
    "  -V, --version            print the version\n"
    "  -h, --help               print this\n"
    "\n"
    "Runs in the foreground and logs to standard error; SIGTERM or SIGINT stops it.\n";

static bool
add(const char **list, size_t *count, const char *value)
{
	if (*count == SOURCES_MOST) {
		fprintf(stderr, "posturegate: more than %d of one option\n", SOURCES_MOST);
		return false;
	}
	list[(*count)++] = value;
	return true;
}

/* False: exit with *ret_exit. */
static bool
read_command(int argc, char **argv, struct command *cmd, int *ret_exit)
{
	enum { OPT_SET = 256, OPT_DEFAULTS };
	static const struct option options[] = {
	    {"settings", required_argument, NULL, 's'},
	    {"set", required_argument, NULL, OPT_SET},
	    {"check", required_argument, NULL, 'c'},
	    {"print-defaults", no_argument, NULL, OPT_DEFAULTS},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int opt;
	*ret_exit = EXIT_USAGE;
	while ((opt = getopt_long(argc, argv, "s:c:Vh", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			cmd->check = true; /* and it is read like any other */
					   /* fall through */
		case 's':
			if (!add(cmd->files, &cmd->file_count, optarg))
				return false;
			break;
		case OPT_SET:
			if (!add(cmd->sets, &cmd->set_count, optarg))
				return false;
			break;
		case OPT_DEFAULTS:
			cmd->print_defaults = true;
			break;
		case 'V':
			puts(PACKAGE_STRING);
			*ret_exit = EXIT_GOOD;
			return false;
		case 'h':
			fputs(usage, stdout);
			*ret_exit = EXIT_GOOD;
			return false;
		default:
			fputs(usage, stderr);
			return false;
		}
	}
	for (; cmd->check && optind < argc; optind++)
		if (!add(cmd->files, &cmd->file_count, argv[optind]))
			return false;
	if (optind < argc) {
		fprintf(stderr, "posturegate: what is \"%s\"?\n%s", argv[optind], usage);
		return false;
	}
	return true;
}

/* Versions in the settings that nobody here can speak would make every query fail. */
static bool
speaks_versions(const struct settings *s)
{
	bool good = true;
	for (size_t i = 0; i < s->version_count; i++) {
		if (versions_dialect(s->versions[i]) != NULL)
			continue;
		fprintf(stderr,
		    "upstream.versions: %s is not spoken by this program; leave it out\n",
		    s->versions[i]);
		good = false;
	}
	for (size_t i = 0; i < s->cutoff_count; i++) {
		if (versions_dialect(s->cutoffs[i].version) != NULL)
			continue;
		fprintf(stderr, "cutoff.%s: there is no such version here; leave it out\n",
		    s->cutoffs[i].version);
		good = false;
	}
	return good;
}

/* --- parts */

/* Everything that lives from start to stop, in the order in which it is made. */
struct parts {
	struct settings *settings;
	struct gateway gateway;
	uint8_t *signing_key;
	struct lifecycle_entry *lifecycle;
	const struct warm_list *warm;
	struct refresh *refresh;
	struct janitor *janitor;
	struct workers *workers;
	int listen_fd;
	char store_dir[4096];
};

static struct seal_freshness
freshness_for(void *ctx, enum seal_fresh fresh, const uint64_t *policies, size_t count)
{
	struct settings_freshness f =
	    fresh == SEAL_FRESH_SHORTEST
		? settings_freshness_shortest(ctx)
		: settings_freshness_for(ctx, policies, fresh == SEAL_FRESH_OVERALL ? 0 : count);
	return (struct seal_freshness){f.fresh_for_ms, f.stale_for_ms, f.keep_for_ms};
}

static bool
make_lifecycle(struct parts *p)
{
	const struct settings *s = p->settings;
	p->lifecycle = calloc(s->lifecycle_count + 1, sizeof *p->lifecycle);
	for (size_t i = 0; p->lifecycle != NULL && i < s->lifecycle_count; i++)
		p->lifecycle[i] = (struct lifecycle_entry){s->lifecycle[i].api,
		    s->lifecycle[i].version, s->lifecycle[i].eos_s, s->lifecycle[i].eol_s};
	return p->lifecycle != NULL;
}

static void
make_versions(struct parts *p)
{
	const struct settings *s = p->settings;
	p->gateway.versions = (struct versions){
	    .preferred = s->versions,
	    .preferred_count = s->version_count,
	    .sca = s->sca_versions,
	    .sca_count = s->sca_version_count,
	    .lifecycle = p->lifecycle,
	    .lifecycle_count = s->lifecycle_count,
	};
	p->gateway.sunset = (struct sunset_rules){&p->gateway.versions, s};
}

static unsigned
fetch_threads(const struct settings *s)
{
	uint64_t most = s->concurrency == 0 ? FETCH_THREADS_MOST : s->concurrency * API_COUNT;
	if (most < 8)
		most = 8; /* the upstream may allow more than the settings say */
	return (unsigned)(most < FETCH_THREADS_MOST ? most : FETCH_THREADS_MOST) +
	       FETCH_THREADS_SPARE;
}

/* --- the budget's notes, kept in the store */

#define NOTE_NAME_BYTES 32

static void
note_name(enum upstream_api api, char name[NOTE_NAME_BYTES])
{
	snprintf(name, NOTE_NAME_BYTES, "budget/%s", upstream_api_name(api));
}

static enum status
keep_budget(void *ctx, enum upstream_api api, const void *bytes, size_t len)
{
	char name[NOTE_NAME_BYTES];
	note_name(api, name);
	return cache_note_put(ctx, name, bytes, len);
}

static void
restore_budget(struct gateway *g)
{
	for (int api = 0; api < API_COUNT; api++) {
		char name[NOTE_NAME_BYTES];
		void *bytes;
		size_t len;
		note_name((enum upstream_api)api, name);
		enum status st = cache_note_get(g->cache, name, &bytes, &len);
		if (st == STATUS_OK) {
			budget_restore(g->budget, (enum upstream_api)api, bytes, len);
			free(bytes);
		} else if (st != STATUS_NOT_FOUND) {
			log_event(LOG_WARNING, "budget-note-unreadable", "api=%s status=%s",
			    upstream_api_name((enum upstream_api)api), status_info(st)->name);
		}
	}
}

static bool
make_upstream(struct parts *p)
{
	const struct settings *s = p->settings;
	struct gateway *g = &p->gateway;
	static const enum fetch_gaps gaps[] = {
	    [MISSING_VERIFY] = FETCH_GAPS_VERIFY,
	    [MISSING_NOTE] = FETCH_GAPS_NOTE,
	    [MISSING_STRICT] = FETCH_GAPS_STRICT,
	};
	struct credential_options credential = {
	    .username = s->username,
	    .password_file = s->password_file,
	    .ended = metrics_login,
	    .ended_ctx = g->stats,
	};
	struct budget_options budget = {
	    .rate_calls = s->rate_calls,
	    .rate_window_ms = s->rate_window_ms,
	    .rate_pinned = s->rate_pinned,
	    .concurrency = s->concurrency,
	    .keep = keep_budget,
	    .keep_ctx = g->cache,
	};
	if (!make_lifecycle(p) || (g->credential = credential_new(&credential)) == NULL ||
	    (g->budget = budget_new(&budget)) == NULL || (g->flights = flights_new()) == NULL ||
	    (g->memory = memory_new(s->error_memory_ms > 0)) == NULL ||
	    (g->demand = demand_new()) == NULL)
		return false;
	restore_budget(g);
	make_versions(p);
	struct fetcher_options fetcher = {
	    .cache = g->cache,
	    .flights = g->flights,
	    .memory = g->memory,
	    .demand = g->demand,
	    .budget = g->budget,
	    .credential = g->credential,
	    .transport =
		{
		    .url = s->url,
		    .ca_file = s->ca_file,
		    .connect_timeout_ms = s->connect_timeout_ms,
		    .stall_timeout_ms = s->stall_timeout_ms,
		    .call_timeout_ms = s->call_timeout_ms,
		},
	    .versions = g->versions,
	    .threads = fetch_threads(s),
	    .subscription = s->subscription,
	    .hosts_per_call = s->hosts_per_call,
	    .retries = s->retries,
	    .retry_delay_ms = s->retry_delay_ms,
	    .deadline_ms = s->call_timeout_ms * 4,
	    .gaps = gaps[s->missing_batches],
	    .freshness = freshness_for,
	    .freshness_ctx = p->settings,
	    .events = metrics_fetch_events(g->stats),
	};
	return (g->fetcher = fetcher_new(&fetcher)) != NULL;
}

/* --- the use of the old protocol, kept in the store */
static bool
make_usage(struct gateway *g)
{
	g->usage = usage_new(g->access, legacy_names());
	if (g->usage != NULL)
		usage_restore(g->usage, g->cache);
	return g->usage != NULL;
}

static void
keep_usage(void *gateway)
{
	struct gateway *g = gateway;
	enum status st = usage_keep(g->usage, g->cache);
	if (st != STATUS_OK)
		log_event(LOG_WARNING, "usage-not-kept", "status=%s", status_info(st)->name);
}

/* --- upkeep */

#define USAGE_MS 60000

static bool
make_janitor(struct parts *p)
{
	struct gateway *g = &p->gateway;
	if ((p->refresh = refresh_new(g, p->warm)) == NULL)
		return false;
	const struct janitor_chore chores[] = {
	    {.run = keep_usage, .ctx = g, .every_ms = USAGE_MS, .at_the_end = true},
	    {.run = refresh_round, .ctx = p->refresh},
	};
	p->janitor = janitor_new(g->cache, chores, ARRAY_LEN(chores));
	return p->janitor != NULL;
}

static bool
make_state_dir(const char *dir)
{
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return true;
	log_event(LOG_ERROR, "state-dir", "dir=%s error=\"%s\"", log_q(dir, strlen(dir)),
	    strerror(errno));
	return false;
}

static bool
make_store(struct parts *p)
{
	const struct settings *s = p->settings;
	if (!make_state_dir(s->state_dir) || snprintf(p->store_dir, sizeof p->store_dir, "%s/store",
						 s->state_dir) >= (int)sizeof p->store_dir)
		return false;
	const enum cache_twins twins[] = {
	    [TWINS_AUTO] = packer_is_fast() ? CACHE_TWINS_INGEST : CACHE_TWINS_LAZY,
	    [TWINS_INGEST] = CACHE_TWINS_INGEST,
	    [TWINS_LAZY] = CACHE_TWINS_LAZY,
	    [TWINS_OFF] = CACHE_TWINS_OFF,
	};
	struct cache_options cache = {
	    .dir = p->store_dir,
	    .size_bytes = s->size_bytes,
	    .readers = (unsigned)s->workers + FETCH_THREADS_MOST,
	    .cursor_grace_ms = s->cursor_grace_ms,
	    .twins = twins[s->twins],
	};
	return cache_open(&cache, clock_wall_ms(), &p->gateway.cache) == STATUS_OK &&
	       keyfile_load(s->state_dir, &p->signing_key) == STATUS_OK;
}

static bool
make_parts(struct parts *p)
{
	const struct settings *s = p->settings;
	p->gateway.settings = s;
	p->listen_fd = -1;
	if ((p->gateway.stats = metrics_new()) == NULL)
		return false;
	if (!make_store(p) || !make_upstream(p))
		return false;
	p->gateway.signing_key = p->signing_key;
	if ((p->gateway.matches = matches_store_new(MATCHES_STORE_BYTES)) == NULL ||
	    (p->gateway.access = access_new(s->consumers, s->consumer_count)) == NULL ||
	    (p->gateway.quota = quota_new(s->consumer_count)) == NULL || !make_usage(&p->gateway) ||
	    !make_janitor(p))
		return false;
	enum status st = fcgi_listen(s->socket, &p->listen_fd);
	if (st == STATUS_BUSY)
		log_event(LOG_ERROR, "listen", "socket=%s error=\"another process answers there\"",
		    log_q(s->socket, strlen(s->socket)));
	if (st != STATUS_OK)
		return false;
	p->workers = workers_new((unsigned)s->workers, p->listen_fd, request_serve, &p->gateway);
	return p->workers != NULL;
}

/* In the opposite order; whatever was not made is skipped. */
static void
free_parts(struct parts *p)
{
	struct gateway *g = &p->gateway;
	if (g->flights != NULL)
		flights_stop(g->flights); /* who waits for a fetch answers 202 now */
	if (p->workers != NULL)
		workers_stop(p->workers, STOP_GRACE_MS);
	if (p->listen_fd >= 0) {
		unlink(p->settings->socket);
		close(p->listen_fd);
	}
	janitor_free(p->janitor); /* it keeps what the workers have counted, and begins fetches */
	refresh_free(p->refresh);
	fetcher_free(g->fetcher);
	usage_free(g->usage);
	flights_free(g->flights);
	memory_free(g->memory);
	demand_free(g->demand);
	budget_free(g->budget);
	credential_free(g->credential);
	quota_free(g->quota);
	matches_store_free(g->matches);
	access_free(g->access);
	cache_close(g->cache);
	crypto_secret_free(p->signing_key);
	stats_free(g->stats);
	free(p->lifecycle);
}

/* --- the process */

static void
harden_process(void)
{
	struct rlimit none = {0, 0}, files;
	setrlimit(RLIMIT_CORE, &none); /* a core dump would hold the password and postures */
	prctl(PR_SET_DUMPABLE, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(0077);
}

/* The store's writer takes and gives back tens of megabytes many times a second: kept rather than
 * returned to the kernel each time (measured: a fifth of the CPU time of a fetch). Few arenas, so
 * that hundreds of workers do not keep one each. */
static void
tune_allocator(void)
{
	mallopt(M_ARENA_MAX, 4);
	mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
}

/* Threads inherit a mask in which all is blocked but the workers' wake-up: signals to the process
 * come to the main thread, which waits for them. */
static void
block_signals(sigset_t *ret_wanted)
{
	sigset_t all;
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	sigdelset(&all, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	sigemptyset(ret_wanted);
	sigaddset(ret_wanted, SIGTERM);
	sigaddset(ret_wanted, SIGINT);
	sigaddset(ret_wanted, SIGHUP);
}

static void
wait_for_stop(const sigset_t *wanted)
{
	int sig;
	for (;;) {
		if (sigwait(wanted, &sig) != 0)
			continue;
		if (sig != SIGHUP)
			break;
		log_event(
		    LOG_WARNING, "signal", "signal=HUP note=\"settings are read at start only\"");
	}
	log_event(LOG_INFO, "stopping", "signal=%s", sig == SIGTERM ? "TERM" : "INT");
}

static int
run(struct settings *settings, const struct warm_list *warm)
{
	struct parts parts = {.settings = settings, .warm = warm};
	sigset_t wanted;
	harden_process();
	tune_allocator();
	uint64_t seed;
	if (crypto_init() != STATUS_OK || transport_init() != STATUS_OK || fcgi_init() != STATUS_OK)
		return EXIT_FAILED;
	crypto_random(&seed, sizeof seed);
	json_object_seed((size_t)seed);
	block_signals(&wanted); /* after libfcgi, which sets handlers of its own */

	bool good = make_parts(&parts);
	if (good) {
		log_event(LOG_INFO, "started", "version=%s workers=%u socket=%s", PACKAGE_VERSION,
		    workers_count(parts.workers),
		    log_q(settings->socket, strlen(settings->socket)));
		wait_for_stop(&wanted);
	} else {
		log_event(LOG_ERROR, "start-failed", "version=%s", PACKAGE_VERSION);
	}
	free_parts(&parts);
	transport_exit();
	log_event(LOG_INFO, "stopped", "clean=%d", good);
	return good ? EXIT_GOOD : EXIT_FAILED;
}

int
main(int argc, char **argv)
{
	struct command cmd = {0};
	struct settings *settings;
	int code;
	if (!read_command(argc, argv, &cmd, &code))
		return code;
	if (cmd.print_defaults) {
		settings_print_sample(stdout);
		return EXIT_GOOD;
	}
	struct settings_source source = {cmd.files, cmd.file_count, cmd.sets, cmd.set_count};
	if (settings_load(&source, stderr, &settings) != STATUS_OK)
		return EXIT_USAGE;
	struct warm_list warm;
	bool good = warm_read(settings, stderr, &warm) == STATUS_OK;
	if (!speaks_versions(settings) || !good) {
		code = EXIT_USAGE;
	} else if (cmd.check) {
		puts("The settings are good.");
		code = EXIT_GOOD;
	} else {
		static const enum log_level levels[] = {
		    LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
		log_init(STDERR_FILENO, levels[settings->log_level]);
		code = run(settings, &warm);
	}
	warm_fini(&warm);
	settings_free(settings);
	return code;
}
