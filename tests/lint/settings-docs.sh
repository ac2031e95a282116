#!/bin/sh
# The sample file and the manual page have every setting of the table in its section and with its
# default, and none that is not there. Works on the texts alone, without a build.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

table=gateway/ops/settings_table.h
sample=docs/posturegate.conf.sample
manual=docs/posturegate.conf.5
tab=$(printf '\t')

# from all three: line TAB section TAB name TAB default
in_table()
{
	sed -nE "/^(SETTING|LIST)\(/{=;s/^[A-Z]+\(([a-z]+), ([a-z0-9_]+), [A-Z]+, [^\"]*\"([^\"]*)\".*/\1$tab\2$tab\3/p;}" "$table" |
		paste - -
}

# The section that a header in brackets stands for; lifecycle has no fixed names.
section='function section(header)
{
	gsub(/\\\(dq/, "\"", header)
	if (header ~ /^cache "policy /)
		return "policy"
	if (header ~ /^warm /)
		return "warm"
	return header ~ /^consumer / ? "consumer" : header
}'

in_sample()
{
	awk "$section"'
	match($0, /^#?\[[^]]*\]$/) {
		header = $0
		gsub(/^#?\[|\]$/, "", header)
		now = section(header)
		next
	}
	now != "lifecycle" && /^#?[a-z][a-z0-9_]* =/ {
		name = $1
		sub(/^#/, "", name)
		value = $0
		sub(/^[^=]*= ?/, "", value)
		print NR "\t" now "\t" name "\t" value
	}' "$sample"
}

in_manual()
{
	awk "$section"'
	function flush()
	{
		if (name != "")
			print line "\t" now "\t" name "\t" value
		name = value = ""
	}
	/^\.(Ss|Sh) / {
		flush()
		now = ""
		if ($0 ~ /^\.Ss \[.*\]$/) {
			header = $0
			gsub(/^\.Ss \[|\]$/, "", header)
			now = section(header)
		}
		next
	}
	now != "" && /^\.It Ic / {
		flush()
		name = $3
		line = NR
	}
	/^The default is$/ {
		getline
		value = $0
		gsub(/^\.Ql | \.$/, "", value)
	}
	END { flush() }' "$manual"
}

# compare FILE: what stands in it against the table; both are read as lists from above
compare()
{
	awk -F '\t' -v file="$1" -v table="$table" '
	NR == FNR {
		at[$2, $3] = $1
		wanted[$2, $3] = $4
		label[$2, $3] = $3 " of [" $2 "]"
		next
	}
	!(($2, $3) in at) {
		print file ":" $1 ": " $3 " of [" $2 "] is not in " table "; take it out"
		next
	}
	seen[$2, $3]++ {
		print file ":" $1 ": " $3 " of [" $2 "] is there twice; take one out"
	}
	wanted[$2, $3] != $4 {
		print file ":" $1 ": the default of " $3 " is \"" $4 "\"; " table " has \"" \
			wanted[$2, $3] "\""
	}
	END {
		for (i in at)
			if (!(i in seen))
				print table ":" at[i] ": " label[i] " is not in " file "; add it"
	}' "$listed" -
}

listed=$(mktemp) || exit 99
trap 'rm -f "$findings" "$listed"' EXIT
in_table >"$listed"
[ -s "$listed" ] || echo "$table: no setting was understood" | found
awk -F '\t' -v table="$table" 'NF != 4 {
	print table ":" $1 ": this setting was not understood; put its default on its first line"
}' "$listed" | found
in_sample | compare "$sample" | found
in_manual | compare "$manual" | found

lint_end
