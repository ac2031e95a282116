#!/bin/sh
# docs/api.md has a table row for every parameter, endpoint and problem of the code, as the code
# has it, and none that the code does not have. Works on the texts alone, without a build.
# The backquotes are Markdown's.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

params=gateway/query/query_table.h
routes=gateway/front/route_table.h
statuses=gateway/base/status_table.h
nginx=nginx/posturegate/http.conf # problems.sh compares it with the error pages of server.conf
document=docs/api.md
tab=$(printf '\t')

# All lists from here on are: line TAB what a table row must have in its first cells, "|" between.

# number SED-SCRIPT FILE: what the script prints of a line, behind the line's number
number()
{
	sed -nE "$1" "$2" | paste - -
}

parameters()
{
	number '/^PARAM\(/{=;s/^PARAM\(([A-Za-z]+),.*/`\1`/p;}' "$params"
}

# ROUTE(X, "/v1/x/*", METHOD_GET | METHOD_HEAD, true, …) is the row | GET, HEAD | `/v1/x/{id}` | yes |
endpoints()
{
	number '/^ROUTE\(/{=;s/^ROUTE\([A-Z_]+, "([^"]*)", ([A-Z_| ]*), (true|false),.*/\2|`\1`|\3/p;}' "$routes" |
		sed -E -e 's/ \| /, /g' -e 's/METHOD_//g' -e '/\/pcrs\//s/\*/{version}/' -e 's/\*/{id}/' -e 's/true$/yes/' -e 's/false$/no/'
}

gateway_problems()
{
	number '/^STATUS\([^"]*"[^"]/{=;s/^STATUS\([A-Z_]+, ([0-9]+), [A-Z]+, "([^"]+)".*/`\2`|\1/p;}' "$statuses"
}

nginx_problems()
{
	number '/"type":"\/problems\//{=;s/.*"type":"\/problems\/([^"]*)".*"status":([0-9]+).*/`\1`|\2/p;}' "$nginx"
}

# rows SECTION CELLS: the first cells of the rows in the tables between that header and the next
rows()
{
	SECTION=$1 awk -v cells="$2" '
	/^```/ { code = !code }
	code { next }
	/^#/ {
		inside = $0 == ENVIRON["SECTION"]
		next
	}
	!/^\|/ {
		row = 0
		next
	}
	# the first two lines of a table are its header
	inside && ++row > 2 {
		text = $0
		gsub(/^\| *| *\|$/, "", text)
		n = split(text, cell, / *\| */)
		key = cell[1]
		for (i = 2; i <= cells && i <= n; i++)
			key = key "|" cell[i]
		print NR "\t" key
	}' "$document"
}

# compare FILE SECTION CELLS: the list on standard input, of FILE, against the rows of the section
compare()
{
	cat >"$listed"
	[ -s "$listed" ] || echo "$1: nothing in it was understood" | found
	awk -F "$tab" -v file="$1" 'NF != 2 { print file ":" $1 ": this line was not understood" }' "$listed" | found
	rows "$2" "$3" | SECTION=$2 awk -F "$tab" -v file="$1" -v document="$document" '
	NR == FNR {
		at[$2] = $1
		next
	}
	!($2 in at) {
		print document ":" $1 ": " $2 " is not in " file "; mend or take out the row"
	}
	seen[$2]++ { print document ":" $1 ": " $2 " is there twice; take one out" }
	END {
		for (key in at)
			if (!(key in seen))
				print file ":" at[key] ": " key " has no row below \"" ENVIRON["SECTION"] "\" of " \
					document "; add it"
	}' "$listed" - | found
}

listed=$(mktemp) || exit 99
trap 'rm -f "$findings" "$listed"' EXIT
parameters | compare "$params" '## Parameters' 1
endpoints | compare "$routes" '## Endpoints' 3
gateway_problems | compare "$statuses" '### What the gateway says' 2
nginx_problems | compare "$nginx" '### What nginx says before the gateway is asked' 2

lint_end
