# answer: the one writer. Stands on query, fetch, cache and base.
noinst_LIBRARIES += libanswer.a
libanswer_a_SOURCES = \
	gateway/answer/early.c gateway/answer/early.h \
	gateway/answer/export.c gateway/answer/export.h gateway/answer/export_table.h \
	gateway/answer/matches.c gateway/answer/matches.h \
	gateway/answer/page.c gateway/answer/page.h \
	gateway/answer/reader.c gateway/answer/reader.h \
	gateway/answer/records.c gateway/answer/records.h \
	gateway/answer/span.c gateway/answer/span.h \
	gateway/answer/summary.c gateway/answer/summary.h
libanswer_a_CFLAGS = $(AM_CFLAGS)
