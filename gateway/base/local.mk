# base: stands on nothing but libraries. Everything else stands on it.
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	gateway/base/arena.c gateway/base/arena.h \
	gateway/base/attr.h \
	gateway/base/buf.c gateway/base/buf.h \
	gateway/base/clock.c gateway/base/clock.h gateway/base/clock_system.c \
	gateway/base/codec.c gateway/base/codec.h \
	gateway/base/csv.c gateway/base/csv.h \
	gateway/base/crypto.c gateway/base/crypto.h \
	gateway/base/digits.c gateway/base/digits.h \
	gateway/base/form.c gateway/base/form.h \
	gateway/base/ids.c gateway/base/ids.h \
	gateway/base/le.h \
	gateway/base/limits.h \
	gateway/base/lock.c gateway/base/lock.h gateway/base/lock_table.h \
	gateway/base/log.c gateway/base/log.h \
	gateway/base/status.c gateway/base/status.h gateway/base/status_table.h \
	gateway/base/stitch.c gateway/base/stitch.h \
	gateway/base/utf8.c gateway/base/utf8.h
libbase_a_CFLAGS = $(AM_CFLAGS) $(ZLIB_CFLAGS) $(ISAL_CFLAGS) $(SODIUM_CFLAGS)
BASE_LIBS = libbase.a $(ZLIB_LIBS) $(ISAL_LIBS) $(SODIUM_LIBS)
