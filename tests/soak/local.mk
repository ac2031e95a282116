# ./dev soak: consumers at work while everything around the gateway fails. Of it, make check tries
# only the judges.
noinst_PROGRAMS += posturegate-prober
posturegate_prober_SOURCES = tests/soak/prober.c
TESTS += tests/soak/test_judges.py
EXTRA_DIST += \
	tests/soak/test_judges.py \
	tests/soak/run \
	tests/soak/audit.py \
	tests/soak/chaos.py \
	tests/soak/habits.py \
	tests/soak/legacy.py \
	tests/soak/oracle.py \
	tests/soak/scripts.py
