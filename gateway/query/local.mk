# query: pure; stands on base, and on the cache's rows for the filter.
noinst_LIBRARIES += libquery.a
libquery_a_SOURCES = \
	gateway/query/breadth.c gateway/query/breadth.h \
	gateway/query/canon.c \
	gateway/query/cursor.c \
	gateway/query/filter.c gateway/query/filter.h \
	gateway/query/implies.c gateway/query/implies.h gateway/query/implies_table.h \
	gateway/query/param.c gateway/query/param.h \
	gateway/query/query.c gateway/query/query.h gateway/query/query_table.h \
	gateway/query/rules.c
libquery_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
