# End to end: real nginx, real daemon, simulated upstream. Python's standard library only, but for
# test_openapi.py (yaml, jsonschema) and one case of test_metrics.py.
E2E_TESTS = \
	tests/e2e/test_access.py \
	tests/e2e/test_ailing.py \
	tests/e2e/test_broad.py \
	tests/e2e/test_budget.py \
	tests/e2e/test_clock.py \
	tests/e2e/test_containment.py \
	tests/e2e/test_dialects.py \
	tests/e2e/test_explain.py \
	tests/e2e/test_export.py \
	tests/e2e/test_faults.py \
	tests/e2e/test_following.py \
	tests/e2e/test_freshness.py \
	tests/e2e/test_gzip.py \
	tests/e2e/test_house.py \
	tests/e2e/test_inputs.py \
	tests/e2e/test_legacy.py \
	tests/e2e/test_legacy_access.py \
	tests/e2e/test_legacy_cache.py \
	tests/e2e/test_legacy_ends.py \
	tests/e2e/test_legacy_inputs.py \
	tests/e2e/test_legacy_lists.py \
	tests/e2e/test_legacy_many.py \
	tests/e2e/test_legacy_stream.py \
	tests/e2e/test_legacy_volume.py \
	tests/e2e/test_legacy_whole.py \
	tests/e2e/test_life.py \
	tests/e2e/test_metrics.py \
	tests/e2e/test_migration.py \
	tests/e2e/test_nginx.py \
	tests/e2e/test_openapi.py \
	tests/e2e/test_partial.py \
	tests/e2e/test_policies.py \
	tests/e2e/test_postures.py \
	tests/e2e/test_sharing.py \
	tests/e2e/test_summary.py
TESTS += $(E2E_TESTS)
EXTRA_DIST += $(E2E_TESTS) tests/e2e/harness.py tests/e2e/fakeapp.py tests/e2e/reference.py \
	tests/e2e/openapi.py tests/e2e/scenes.py tests/e2e/speaker.py \
	tests/e2e/clients/bulk_download.py tests/e2e/clients/chunk_splitter.py
