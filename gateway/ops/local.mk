# ops: settings, and the figures that operators watch; read by the parts above.
noinst_LIBRARIES += libops.a
libops_a_SOURCES = \
	gateway/ops/ini.c gateway/ops/ini.h \
	gateway/ops/process.c gateway/ops/process.h \
	gateway/ops/settings.c gateway/ops/settings.h gateway/ops/settings_table.h \
	gateway/ops/stats.c gateway/ops/stats.h \
	gateway/ops/value.c gateway/ops/value.h
libops_a_CFLAGS = $(AM_CFLAGS)
