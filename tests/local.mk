include tests/unit/local.mk
include tests/simulator/local.mk
include tests/clock/local.mk
include tests/e2e/local.mk
include tests/fuzz/local.mk
include tests/lint/local.mk
include tests/bench/local.mk
include tests/soak/local.mk
