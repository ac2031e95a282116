# The daemon with a clock that a test can move: every object of posturegate, but clock_moved.c in
# place of gateway/base/clock_system.c. It stands before the libraries and has all that they ask
# for, so the linker leaves the other one where it is. Never installed.
check_PROGRAMS += posturegate-moved
posturegate_moved_SOURCES = tests/clock/clock_moved.c
posturegate_moved_LDADD = $(GATEWAY_LIBS)
