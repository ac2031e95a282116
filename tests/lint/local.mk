# The project's own rules; ./dev lint runs them too. selftest.sh breaks each of them once.
LINT_TESTS = \
	tests/lint/api-docs.sh \
	tests/lint/banned.sh \
	tests/lint/containment-docs.sh \
	tests/lint/includes.sh \
	tests/lint/metrics-docs.sh \
	tests/lint/openapi.sh \
	tests/lint/problems.sh \
	tests/lint/selftest.sh \
	tests/lint/settings-docs.sh \
	tests/lint/unit-hardening.sh \
	tests/lint/versions-docs.sh
TESTS += $(LINT_TESTS)
EXTRA_DIST += $(LINT_TESTS) tests/lint/lib.sh tests/lint/strip.awk .clang-tidy .shellcheckrc \
	tests/lint/openapi/broken.yaml \
	tests/lint/openapi/compare.py \
	tests/lint/openapi/package-lock.json \
	tests/lint/openapi/package.json \
	tests/lint/openapi/rules.yaml
