#!/bin/sh
# docs/operations.md has a table row for every figure of the code, with its type and labels, and
# none that the code does not have. Works on the texts alone, without a build.
# The backquotes are Markdown's.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

table=gateway/stats_table.h
document=docs/operations.md
section='### Metrics'
tab=$(printf '\t')

# From both: line TAB `name`|type|label, label
# STAT(X, COUNTER, "x_total", NONE, api, status_code, none, …) is the row | `x_total` | counter | api, status |
in_table()
{
	sed -nE '/^STAT\(/{=;s/^STAT\([A-Z_]+, ([A-Z]+), "([^"]+)", [A-Z]+, ([a-z_, ]+), ".*/`\2`|\L\1\E|\3/p;}' "$table" |
		paste - - | sed -E -e 's/(, )?\<none\>//g' -e 's/\|, /|/' -e 's/([|,] ?[a-z]+)_[a-z]+/\1/g'
}

in_document()
{
	SECTION=$section awk '
	/^#/ { inside = $0 == ENVIRON["SECTION"] }
	inside && /^\| `/ {
		n = split($0, cell, / *\| */)
		print NR "\t" cell[2] "|" cell[3] "|" cell[4]
	}' "$document"
}

listed=$(mktemp) || exit 99
trap 'rm -f "$findings" "$listed"' EXIT
in_table >"$listed"
[ -s "$listed" ] || echo "$table: no figure was understood" | found
awk -F "$tab" -v table="$table" 'NF != 2 { print table ":" $1 ": this line was not understood" }' "$listed" | found
in_document | SECTION=$section awk -F "$tab" -v table="$table" -v document="$document" '
	NR == FNR {
		at[$2] = $1
		next
	}
	!($2 in at) { print document ":" $1 ": " $2 " is not in " table "; mend or take out the row" }
	seen[$2]++ { print document ":" $1 ": " $2 " is there twice; take one out" }
	END {
		for (key in at)
			if (!(key in seen))
				print table ":" at[key] ": " key " has no row below \"" ENVIRON["SECTION"] "\" of " \
					document "; add it"
	}' "$listed" - | found

lint_end
