# Shared by the lint scripts: sourced, not run. Each script looks at $top_srcdir, prints one line
# FILE:LINE: what; cure for each thing it finds, and ends with lint_end.
# shellcheck shell=sh

top_srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
lint_dir=$(cd "$(dirname "$0")" && pwd)
cd "$top_srcdir" || exit 99
findings=$(mktemp) || exit 99
trap 'rm -f "$findings"' EXIT

# The C files below the given folders, as FILE:LINE:code (see strip.awk).
c_code()
{
	find "$@" -name '*.[ch]' 2>/dev/null | sort | xargs -r awk -f "$lint_dir/strip.awk"
}

# Reads findings; a script may call it many times.
found()
{
	cat >>"$findings"
}

lint_end()
{
	[ -s "$findings" ] || exit 0
	cat "$findings" >&2
	exit 1
}
