#!/bin/sh
# docs/containment.md has a table row for every part of a query, with its class as the code has it
# (gateway/query/implies_table.h), and every parameter of scope and filter has a row there.
# The backquotes are Markdown's.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

table=gateway/query/implies_table.h
params=gateway/query/query_table.h
document=docs/containment.md

in_table()
{
	sed -nE 's/^IMPLIES\(([a-zA-Z]+), ([A-Z]+), ".*/`\1`|\L\2/p' "$table" | sort
}

in_document()
{
	sed -nE 's/^\| (`[a-zA-Z]+`) \| (list|detail|exact|words|since|until|reading) \| .*/\1|\2/p' "$document" | sort
}

# PARAM(name, …, SCOPE or FILTER, …), over several lines; INNER likewise
parts()
{
	sed -nE '/^(PARAM|INNER)\(/,$p' "$params" | tr -d '\n' | sed -E 's/(PARAM|INNER)\(/\n&/g' |
		sed -nE 's/^(PARAM|INNER)\(([a-zA-Z]+), [^"]*(SCOPE|FILTER),.*/\2/p' | sort
}

compared=$(mktemp -d) || exit 99
trap 'rm -rf "$findings" "$compared"' EXIT
in_table >"$compared/table"
in_document >"$compared/document"
parts >"$compared/parts"
sed -E 's/`([a-zA-Z]+)`.*/\1/' "$compared/table" >"$compared/named"
[ -s "$compared/table" ] || echo "$table:1: no row was understood" | found
[ -s "$compared/parts" ] || echo "$params:1: no parameter was understood" | found
comm -23 "$compared/table" "$compared/document" | sed "s|.*|$document:1: has no row &; add it|" | found
comm -13 "$compared/table" "$compared/document" | sed "s|.*|$document:1: the row & is not in $table; take it out|" | found
comm -23 "$compared/parts" "$compared/named" | sed "s|.*|$table:1: & has no class; give it one|" | found
lint_end
