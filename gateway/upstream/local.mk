# upstream: one call at a time to the vendor's API. Stands on base.
noinst_LIBRARIES += libupstream.a
libupstream_a_SOURCES = \
	gateway/upstream/budget.c gateway/upstream/budget.h \
	gateway/upstream/credential.c gateway/upstream/credential.h \
	gateway/upstream/gate.c gateway/upstream/gate.h \
	gateway/upstream/transport.c gateway/upstream/transport.h \
	gateway/upstream/versions.c gateway/upstream/versions.h
libupstream_a_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
