# fetch: makes a result. Stands on query, upstream, cache and base.
noinst_LIBRARIES += libfetch.a
libfetch_a_SOURCES = \
	gateway/fetch/demand.c gateway/fetch/demand.h \
	gateway/fetch/fetch.c gateway/fetch/fetch.h gateway/fetch/steps.h \
	gateway/fetch/fetch_calls.c gateway/fetch/fetch_state.h gateway/fetch/fetch_steps.c gateway/fetch/outlook.c \
	gateway/fetch/flight.c gateway/fetch/flight.h \
	gateway/fetch/listing.c gateway/fetch/listing.h \
	gateway/fetch/memory.c gateway/fetch/memory.h \
	gateway/fetch/members.c gateway/fetch/members.h \
	gateway/fetch/normalise.c gateway/fetch/normalise.h gateway/fetch/normalise_table.h \
	gateway/fetch/normalise_cloud.c gateway/fetch/normalise_cloud.h \
	gateway/fetch/plan.c gateway/fetch/plan.h \
	gateway/fetch/pull.c gateway/fetch/pull.h \
	gateway/fetch/seal.c gateway/fetch/seal.h \
	gateway/fetch/split.c gateway/fetch/split.h gateway/fetch/split_whole.c \
	gateway/fetch/stored.c gateway/fetch/stored.h
libfetch_a_CFLAGS = $(AM_CFLAGS)
