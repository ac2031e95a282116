#!/bin/sh
# docs/openapi.yaml has every route, parameter, word, member and problem of the code, as the code has
# it, and none that the code does not have. Works on the texts alone, without a build.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

told=$(mktemp) || exit 99
trap 'rm -f "$findings" "$told"' EXIT
PYTHONDONTWRITEBYTECODE=1 python3 "$lint_dir/openapi/compare.py" >"$told" ||
	echo "docs/openapi.yaml:1: it could not be compared; see above" | found
found <"$told"

lint_end
