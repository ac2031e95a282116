# legacy: the upstream's own protocol of every version, for callers who still speak it. Stands on
# query, fetch, answer, upstream, ops, front, cache and base; nobody below knows of it.
noinst_LIBRARIES += liblegacy.a
liblegacy_a_SOURCES = \
	gateway/legacy/body.c gateway/legacy/body.h \
	gateway/legacy/change.c gateway/legacy/change.h \
	gateway/legacy/change_5_4.c gateway/legacy/change_4_3.c \
	gateway/legacy/change_3_2.c gateway/legacy/change_2_1.c \
	gateway/legacy/change_record.c gateway/legacy/change_record.h \
	gateway/legacy/lists.c gateway/legacy/lists.h \
	gateway/legacy/names.c gateway/legacy/names.h \
	gateway/legacy/params.c gateway/legacy/params.h gateway/legacy/params_table.h \
	gateway/legacy/shape.c gateway/legacy/shape.h \
	gateway/legacy/stream.c gateway/legacy/stream.h \
	gateway/legacy/sunset.c gateway/legacy/sunset.h \
	gateway/legacy/usage.c gateway/legacy/usage.h \
	gateway/legacy/usage_report.c gateway/legacy/usage_report.h
liblegacy_a_CFLAGS = $(AM_CFLAGS)
