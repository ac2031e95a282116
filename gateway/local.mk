# the daemon: the steps of a request, upkeep, start and stop. A library, so that tests/clock/local.mk
# links the very same objects; main() is one of them.
noinst_LIBRARIES += libdaemon.a
libdaemon_a_SOURCES = \
	gateway/broaden.c gateway/broaden.h \
	gateway/endpoint_admin.c gateway/endpoint_fetches.c gateway/endpoint_health.c \
	gateway/endpoint_legacy.c gateway/endpoint_metrics.c gateway/endpoint_migration.c \
	gateway/endpoint_policies.c gateway/endpoint_postures.c \
	gateway/endpoint_explain.c \
	gateway/endpoint_summary.c \
	gateway/endpoints.c gateway/endpoints.h \
	gateway/janitor.c gateway/janitor.h \
	gateway/keyfile.c gateway/keyfile.h \
	gateway/main.c \
	gateway/metrics.c gateway/metrics.h gateway/stats_table.h \
	gateway/refresh.c gateway/refresh.h \
	gateway/request.c gateway/request.h gateway/request_legacy.c gateway/request_legacy.h \
	gateway/request_legacy_follow.c gateway/request_legacy_hosts.c \
	gateway/request_broad.c gateway/request_contained.c gateway/request_parse.c \
	gateway/request_partial.c gateway/request_source.c \
	gateway/request_state.c gateway/request_state.h \
	gateway/steps.h \
	gateway/warm.c gateway/warm.h
libdaemon_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
sbin_PROGRAMS += posturegate
posturegate_SOURCES =
posturegate_LDADD = $(GATEWAY_LIBS)
GATEWAY_LIBS = libdaemon.a liblegacy.a libfront.a libanswer.a libops.a libfetch.a libquery.a libupstream.a libcache.a \
	$(BASE_LIBS) $(FCGI_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS)
