# The simulated upstream: a program of its own that shares no source with the gateway, so that one
# misunderstanding cannot sit on both sides of a test.
if HAVE_MICROHTTPD
noinst_PROGRAMS += posturegate-simulator
posturegate_simulator_SOURCES = \
	tests/simulator/apis.c tests/simulator/apis.h \
	tests/simulator/ask.c tests/simulator/ask.h \
	tests/simulator/calls.c tests/simulator/calls.h \
	tests/simulator/clock.c tests/simulator/clock.h \
	tests/simulator/control.c tests/simulator/control.h \
	tests/simulator/data.c tests/simulator/data.h tests/simulator/texts.h \
	tests/simulator/dates.c tests/simulator/dates.h \
	tests/simulator/faults.c tests/simulator/faults.h tests/simulator/faults_table.h \
	tests/simulator/feed.c tests/simulator/feed.h \
	tests/simulator/gzip.c tests/simulator/gzip.h \
	tests/simulator/holds.c tests/simulator/holds.h \
	tests/simulator/http.c tests/simulator/http.h \
	tests/simulator/journal.c tests/simulator/journal.h \
	tests/simulator/ledger.c tests/simulator/ledger.h \
	tests/simulator/limits.c tests/simulator/limits.h \
	tests/simulator/lists.c tests/simulator/lists.h \
	tests/simulator/main.c \
	tests/simulator/options.c tests/simulator/options.h tests/simulator/options_table.h \
	tests/simulator/params_table.h \
	tests/simulator/raw.c tests/simulator/raw.h \
	tests/simulator/reply.c tests/simulator/reply.h \
	tests/simulator/sbuf.c tests/simulator/sbuf.h \
	tests/simulator/sim.c tests/simulator/sim.h \
	tests/simulator/tokens.c tests/simulator/tokens.h \
	tests/simulator/versions_table.h
posturegate_simulator_CFLAGS = $(AM_CFLAGS) $(MICROHTTPD_CFLAGS) $(JANSSON_CFLAGS) $(ZLIB_CFLAGS) $(ISAL_CFLAGS)
posturegate_simulator_LDADD = $(MICROHTTPD_LIBS) $(JANSSON_LIBS) $(ZLIB_LIBS) $(ISAL_LIBS)
endif
dist_check_SCRIPTS += tests/simulator/test_simulator.py
TESTS += tests/simulator/test_simulator.py
EXTRA_DIST += tests/simulator/README.md
