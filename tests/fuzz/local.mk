# Fuzz targets: with libFuzzer (./configure CC=clang --enable-fuzzers --enable-asan --enable-ubsan;
# then e.g. tests/fuzz/fuzz_split -max_total_time=60 DIR tests/fuzz/split.in), else with replay.c,
# which runs the corpus at every `make check`.
FUZZ_TARGETS = tests/fuzz/fuzz_body tests/fuzz/fuzz_gate tests/fuzz/fuzz_inflate \
	tests/fuzz/fuzz_listing tests/fuzz/fuzz_login tests/fuzz/fuzz_normalise tests/fuzz/fuzz_params \
	tests/fuzz/fuzz_shape \
	tests/fuzz/fuzz_split
if FUZZERS
noinst_PROGRAMS += $(FUZZ_TARGETS)
FUZZ_MAIN =
FUZZ_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
else
check_PROGRAMS += $(FUZZ_TARGETS)
TESTS += $(FUZZ_TARGETS)
FUZZ_MAIN = tests/fuzz/replay.c
FUZZ_LINK = $(AM_LDFLAGS)
endif

tests_fuzz_fuzz_body_SOURCES = tests/fuzz/fuzz_body.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_body_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"body.in"'
tests_fuzz_fuzz_body_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_body_LDADD = liblegacy.a libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS)
tests_fuzz_fuzz_gate_SOURCES = tests/fuzz/fuzz_gate.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_gate_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"gate.in"'
tests_fuzz_fuzz_gate_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_gate_LDADD = libupstream.a $(BASE_LIBS) $(CURL_LIBS)
tests_fuzz_fuzz_inflate_SOURCES = tests/fuzz/fuzz_inflate.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_inflate_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"inflate.in"'
tests_fuzz_fuzz_inflate_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_inflate_LDADD = $(BASE_LIBS)
tests_fuzz_fuzz_listing_SOURCES = tests/fuzz/fuzz_listing.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_listing_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"listing.in"'
tests_fuzz_fuzz_listing_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_listing_LDADD = libfetch.a $(BASE_LIBS)
tests_fuzz_fuzz_login_SOURCES = tests/fuzz/fuzz_login.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_login_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"login.in"'
tests_fuzz_fuzz_login_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_login_LDADD = libfront.a $(BASE_LIBS)
tests_fuzz_fuzz_normalise_SOURCES = tests/fuzz/fuzz_normalise.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_normalise_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"normalise.in"'
tests_fuzz_fuzz_normalise_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_normalise_LDADD = libfetch.a $(BASE_LIBS)
tests_fuzz_fuzz_params_SOURCES = tests/fuzz/fuzz_params.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_params_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"params.in"'
tests_fuzz_fuzz_params_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_params_LDADD = liblegacy.a libfetch.a libquery.a libupstream.a libcache.a $(BASE_LIBS) $(JANSSON_LIBS)
tests_fuzz_fuzz_shape_SOURCES = tests/fuzz/fuzz_shape.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_shape_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"shape.in"'
tests_fuzz_fuzz_shape_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_shape_LDADD = liblegacy.a libfetch.a $(BASE_LIBS)
tests_fuzz_fuzz_split_SOURCES = tests/fuzz/fuzz_split.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_split_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"split.in"'
tests_fuzz_fuzz_split_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_split_LDADD = libfetch.a $(BASE_LIBS)

EXTRA_DIST += tests/fuzz/replay.c tests/fuzz/body.in tests/fuzz/gate.in tests/fuzz/inflate.in \
	tests/fuzz/listing.in tests/fuzz/login.in tests/fuzz/normalise.in tests/fuzz/params.in \
	tests/fuzz/shape.in tests/fuzz/split.in
