# One Check program a module, of the same name.
if HAVE_CHECK
UNIT_TESTS = \
	tests/unit/check_base tests/unit/check_breadth tests/unit/check_budget tests/unit/check_cache \
	tests/unit/check_codec tests/unit/check_cors tests/unit/check_credential tests/unit/check_demand \
	tests/unit/check_early tests/unit/check_export tests/unit/check_flight \
	tests/unit/check_front tests/unit/check_gate tests/unit/check_listing tests/unit/check_manifest \
	tests/unit/check_hosts tests/unit/check_implies tests/unit/check_legacy tests/unit/check_memory \
	tests/unit/check_normalise tests/unit/check_page tests/unit/check_plan tests/unit/check_query tests/unit/check_quota \
	tests/unit/check_reader \
	tests/unit/check_seal tests/unit/check_settings tests/unit/check_shape tests/unit/check_split \
	tests/unit/check_stats tests/unit/check_stitch tests/unit/check_summary tests/unit/check_sunset tests/unit/check_token \
	tests/unit/check_usage tests/unit/check_versions tests/unit/check_workers
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
UNIT_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)

tests_unit_check_base_SOURCES = tests/unit/check_base.c tests/unit/unit.h
tests_unit_check_base_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_base_LDADD = $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_breadth_SOURCES = tests/unit/check_breadth.c tests/unit/queries.h tests/unit/unit.h
tests_unit_check_breadth_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_breadth_LDADD = libquery.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_budget_SOURCES = tests/unit/check_budget.c tests/unit/unit.h
tests_unit_check_budget_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_budget_LDADD = libupstream.a $(BASE_LIBS) $(CURL_LIBS) $(CHECK_LIBS)
tests_unit_check_cache_SOURCES = tests/unit/check_cache.c tests/unit/dir.h tests/unit/inflate.h tests/unit/unit.h
tests_unit_check_cache_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_cache_LDADD = libcache.a $(BASE_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_codec_SOURCES = tests/unit/check_codec.c tests/unit/unit.h
tests_unit_check_codec_CFLAGS = $(UNIT_CFLAGS) $(ZLIB_CFLAGS)
tests_unit_check_codec_LDADD = $(BASE_LIBS) $(ZLIB_LIBS) $(CHECK_LIBS)
tests_unit_check_cors_SOURCES = tests/unit/check_cors.c tests/unit/unit.h
tests_unit_check_cors_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_cors_LDADD = libfront.a $(BASE_LIBS) $(FCGI_LIBS) $(CHECK_LIBS)
tests_unit_check_credential_SOURCES = tests/unit/check_credential.c tests/unit/unit.h
tests_unit_check_credential_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_credential_LDADD = libupstream.a $(BASE_LIBS) $(CURL_LIBS) $(CHECK_LIBS)
tests_unit_check_demand_SOURCES = tests/unit/check_demand.c tests/unit/unit.h
tests_unit_check_demand_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_demand_LDADD = libfetch.a $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_early_SOURCES = tests/unit/check_early.c tests/unit/dir.h tests/unit/fetching.h tests/unit/store.h tests/unit/unit.h
tests_unit_check_early_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_early_LDADD = libanswer.a libfetch.a libquery.a libupstream.a libcache.a \
	$(BASE_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_page_SOURCES = tests/unit/check_page.c tests/unit/dir.h tests/unit/inflate.h tests/unit/store.h tests/unit/unit.h
tests_unit_check_page_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_page_LDADD = libanswer.a libfetch.a libquery.a libupstream.a libcache.a \
	$(BASE_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_stitch_SOURCES = tests/unit/check_stitch.c tests/unit/unit.h
tests_unit_check_stitch_CFLAGS = $(UNIT_CFLAGS) $(ZLIB_CFLAGS)
tests_unit_check_stitch_LDADD = $(BASE_LIBS) $(ZLIB_LIBS) $(CHECK_LIBS)
tests_unit_check_export_SOURCES = tests/unit/check_export.c tests/unit/dir.h tests/unit/store.h tests/unit/unit.h
tests_unit_check_export_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_export_LDADD = libanswer.a libfetch.a libquery.a libupstream.a libcache.a \
	$(BASE_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_flight_SOURCES = tests/unit/check_flight.c tests/unit/dir.h tests/unit/unit.h
tests_unit_check_flight_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_flight_LDADD = libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) \
	$(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_front_SOURCES = tests/unit/check_front.c tests/unit/unit.h
tests_unit_check_front_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_front_LDADD = libfront.a $(BASE_LIBS) $(FCGI_LIBS) $(CHECK_LIBS)
tests_unit_check_gate_SOURCES = tests/unit/check_gate.c tests/unit/unit.h
tests_unit_check_gate_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_gate_LDADD = libupstream.a $(BASE_LIBS) $(CURL_LIBS) $(CHECK_LIBS)
tests_unit_check_hosts_SOURCES = tests/unit/check_hosts.c tests/unit/dir.h tests/unit/unit.h
tests_unit_check_hosts_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_hosts_LDADD = liblegacy.a libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) \
	$(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_implies_SOURCES = tests/unit/check_implies.c tests/unit/queries.h tests/unit/unit.h
tests_unit_check_implies_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_implies_LDADD = libquery.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_legacy_SOURCES = tests/unit/check_legacy.c tests/unit/unit.h
tests_unit_check_legacy_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_legacy_LDADD = liblegacy.a libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) \
	$(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_listing_SOURCES = tests/unit/check_listing.c tests/unit/unit.h
tests_unit_check_listing_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_listing_LDADD = libfetch.a libcache.a $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_manifest_SOURCES = tests/unit/check_manifest.c tests/unit/unit.h
tests_unit_check_manifest_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_manifest_LDADD = libcache.a $(BASE_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_memory_SOURCES = tests/unit/check_memory.c tests/unit/unit.h
tests_unit_check_memory_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_memory_LDADD = libfetch.a $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_normalise_SOURCES = tests/unit/check_normalise.c tests/unit/unit.h
tests_unit_check_normalise_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_normalise_LDADD = libfetch.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_plan_SOURCES = tests/unit/check_plan.c tests/unit/unit.h
tests_unit_check_plan_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_plan_LDADD = libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) \
	$(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_query_SOURCES = tests/unit/check_query.c tests/unit/unit.h
tests_unit_check_query_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_query_LDADD = libquery.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_quota_SOURCES = tests/unit/check_quota.c tests/unit/unit.h
tests_unit_check_quota_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_quota_LDADD = libfront.a $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_reader_SOURCES = tests/unit/check_reader.c tests/unit/dir.h tests/unit/fetching.h tests/unit/store.h tests/unit/unit.h
tests_unit_check_reader_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_reader_LDADD = libanswer.a libfetch.a libquery.a libupstream.a libcache.a \
	$(BASE_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_seal_SOURCES = tests/unit/check_seal.c tests/unit/unit.h
tests_unit_check_seal_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_seal_LDADD = libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) \
	$(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_settings_SOURCES = tests/unit/check_settings.c tests/unit/unit.h
tests_unit_check_settings_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_settings_LDADD = libops.a $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_shape_SOURCES = tests/unit/check_shape.c tests/unit/unit.h
tests_unit_check_shape_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_shape_LDADD = liblegacy.a libfetch.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_split_SOURCES = tests/unit/check_split.c tests/unit/unit.h
tests_unit_check_split_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_split_LDADD = libfetch.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_stats_SOURCES = tests/unit/check_stats.c tests/unit/unit.h
tests_unit_check_stats_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_stats_LDADD = libops.a $(BASE_LIBS) $(CHECK_LIBS)
tests_unit_check_summary_SOURCES = tests/unit/check_summary.c tests/unit/dir.h tests/unit/store.h tests/unit/unit.h
tests_unit_check_summary_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_summary_LDADD = libanswer.a libfetch.a libquery.a libupstream.a libcache.a \
	$(BASE_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_token_SOURCES = tests/unit/check_token.c tests/unit/unit.h
tests_unit_check_token_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_token_LDADD = libfront.a libquery.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_sunset_SOURCES = tests/unit/check_sunset.c tests/unit/unit.h
tests_unit_check_sunset_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_sunset_LDADD = liblegacy.a libfront.a libupstream.a $(BASE_LIBS) $(FCGI_LIBS) \
	$(CURL_LIBS) $(CHECK_LIBS)
tests_unit_check_usage_SOURCES = tests/unit/check_usage.c tests/unit/dir.h tests/unit/unit.h
tests_unit_check_usage_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_usage_LDADD = liblegacy.a libfront.a libupstream.a libcache.a $(BASE_LIBS) \
	$(FCGI_LIBS) $(CURL_LIBS) $(LMDB_LIBS) $(CHECK_LIBS)
tests_unit_check_versions_SOURCES = tests/unit/check_versions.c tests/unit/unit.h
tests_unit_check_versions_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_versions_LDADD = libupstream.a $(BASE_LIBS) $(CURL_LIBS) $(CHECK_LIBS)
tests_unit_check_workers_SOURCES = tests/unit/check_workers.c tests/unit/dir.h tests/unit/unit.h
tests_unit_check_workers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_check_workers_LDADD = libfront.a $(BASE_LIBS) $(FCGI_LIBS) $(CHECK_LIBS)
endif
