# cache: results on disk; stands on base alone.
noinst_LIBRARIES += libcache.a
libcache_a_SOURCES = \
	cache/batch.c cache/batch.h \
	cache/bytes.h \
	cache/cache.c cache/cache.h \
	cache/catalogue.c cache/catalogue.h \
	cache/env.c cache/env.h \
	cache/folder.c cache/folder.h \
	cache/fragment.c cache/fragment.h \
	cache/inspect.c cache/inspect.h \
	cache/manifest.c cache/manifest.h \
	cache/note.c \
	cache/part.c \
	cache/rows.c cache/rows.h \
	cache/shelf.h \
	cache/stage.c \
	cache/store.h \
	cache/sweep.c \
	cache/twin.c cache/twin.h \
	cache/twins.c \
	cache/view.c \
	cache/writer.c
libcache_a_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
