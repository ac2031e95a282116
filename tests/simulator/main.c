/* posturegate-simulator: the upstream as the tests need it. See README.md. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/simulator/control.h"
#include "tests/simulator/http.h"
#include "tests/simulator/sim.h"

static struct sim sim;

static int
serve(const struct options *opt, const sigset_t *ends)
{
	struct MHD_Daemon *upstream = upstream_start(&sim, (uint16_t)opt->port);
	struct MHD_Daemon *control = control_start(&sim, (uint16_t)opt->control_port);
	int result = 1, got;
	if (upstream == NULL || control == NULL) {
		fprintf(stderr, "posturegate-simulator: cannot listen on 127.0.0.1: %s\n",
		    strerror(errno));
	} else {
		if (opt->print_ready)
			printf("ready: http://127.0.0.1:%u control: http://127.0.0.1:%u\n",
			    http_port(upstream), http_port(control));
		fflush(stdout);
		sigwait(ends, &got);
		result = 0;
	}
	sim_stop(&sim);
	if (upstream != NULL)
		MHD_stop_daemon(upstream);
	if (control != NULL)
		MHD_stop_daemon(control);
	return result;
}

int
main(int argc, char **argv)
{
	struct options opt;
	options_default(&opt);
	int parsed = options_parse(&opt, argc, argv);
	if (parsed != 0)
		return parsed == 1 ? 0 : 2;
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads: they inherit it */
	signal(SIGPIPE, SIG_IGN);
	int result = 1;
	if (sim_init(&sim, &opt))
		result = serve(&opt, &ends);
	else
		fprintf(stderr, "posturegate-simulator: %s: %s\n", opt.ledger, strerror(errno));
	sim_fini(&sim);
	return result;
}
