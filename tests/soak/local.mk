# ./dev soak: consumers at work while everything around the gateway fails. Not part of make check.
noinst_PROGRAMS += posturegate-prober
posturegate_prober_SOURCES = tests/soak/prober.c
EXTRA_DIST += \
	tests/soak/run \
	tests/soak/audit.py \
	tests/soak/chaos.py \
	tests/soak/habits.py \
	tests/soak/oracle.py
