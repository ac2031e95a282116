# ./dev bench: side by side with what one would use instead. Not part of make check.
EXTRA_DIST += \
	tests/bench/run \
	tests/bench/lab.py \
	tests/bench/calls.py \
	tests/bench/cold.py \
	tests/bench/memory.py \
	tests/bench/hot.py \
	tests/bench/deep.py \
	tests/bench/summary.py \
	tests/bench/legacy.py \
	tests/bench/peer.py \
	tests/bench/nginx.conf.in
