# ./dev bench: side by side with what one would use instead. Not part of make check, but for what it
# reckons and writes.
EXTRA_DIST += \
	tests/bench/run \
	tests/bench/lab.py \
	tests/bench/load.py \
	tests/bench/page.py \
	tests/bench/calls.py \
	tests/bench/cold.py \
	tests/bench/contained.py \
	tests/bench/deep.py \
	tests/bench/hot.py \
	tests/bench/legacy.py \
	tests/bench/memory.py \
	tests/bench/partial.py \
	tests/bench/serialise.py \
	tests/bench/size.py \
	tests/bench/summary.py \
	tests/bench/zipped.py \
	tests/bench/peers/fastapi_list.py \
	tests/bench/peers/sqlite_client.py \
	tests/bench/peers/stream.mjs \
	tests/bench/peers/stringify.mjs \
	tests/bench/nginx.conf.in \
	tests/bench/recorder.conf.in \
	tests/bench/varnish.vcl.in
dist_check_SCRIPTS += tests/bench/test_bench.py
TESTS += tests/bench/test_bench.py
