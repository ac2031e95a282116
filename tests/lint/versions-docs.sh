#!/bin/sh
# docs/upstream-versions.md has the changes, the members and the parameters of every version as the
# code has them, and no others. Works on the texts alone, without a build.
# The backquotes are Markdown's.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

document=docs/upstream-versions.md
members=gateway/fetch/normalise_table.h
params=gateway/legacy/params_table.h
changes='gateway/legacy/change_5_4.c gateway/legacy/change_4_3.c gateway/legacy/change_3_2.c gateway/legacy/change_2_1.c'
tab=$(printf '\t')

# --- the changes: FILE LINE name from to semantic parameters drops rewrites description, TAB between;
# lists have a space behind each item. A value may go over several lines; a string too, in pieces.
in_changes()
{
	# shellcheck disable=SC2086
	awk '
	function flush(    i, text) {
		if (name == "")
			return
		print file "\t" line "\t" name "\t" from "\t" to "\t" semantic "\t" parameters "\t" drops "\t" rewrites "\t" description
		name = ""
	}
	function string(text) {
		gsub(/"[ \t]+"/, "", text)
		sub(/^[^"]*"/, "", text)
		sub(/"[^"]*$/, "", text)
		return text
	}
	function list_of_members(text,    out, one) {
		while (match(text, /CHANGE_(MEMBER|INSIDE|UNKNOWN)(\([^)]*\))?/)) {
			one = substr(text, RSTART, RLENGTH)
			text = substr(text, RSTART + RLENGTH)
			sub(/^CHANGE_UNKNOWN/, "*", one)
			sub(/^CHANGE_[A-Z]*\(/, "", one)
			sub(/\)$/, "", one)
			sub(/, "/, ".", one)
			sub(/"/, "", one)
			out = out one " "
		}
		return out
	}
	function list_of_parameters(text,    out, one, api) {
		while (match(text, /API_[A-Z_]+,[ \t]+"[A-Za-z]+"/)) {
			one = substr(text, RSTART, RLENGTH)
			text = substr(text, RSTART + RLENGTH)
			api = one ~ /^API_POSTURE_INFO/ ? "postureInfo" : one ~ /^API_HOSTIDS/ ? "hostids" : "policyList"
			sub(/^[^"]*"/, api ":", one)
			sub(/"$/, "", one)
			out = out one " "
		}
		return out
	}
	function take(text) {
		if (text ~ /^\.name = /) {
			flush()
			name = string(text)
			from = to = description = parameters = drops = rewrites = ""
			semantic = "no"
			file = FILENAME
			line = began
		} else if (text ~ /^\.from = /)
			from = string(text)
		else if (text ~ /^\.to = /)
			to = string(text)
		else if (text ~ /^\.description = /)
			description = string(text)
		else if (text ~ /^\.semantic = true/)
			semantic = "yes"
		else if (text ~ /^\.parameters = /)
			parameters = list_of_parameters(text)
		else if (text ~ /^\.drops = /)
			drops = list_of_members(text)
		else if (text ~ /^\.rewrites = /)
			rewrites = list_of_members(text)
	}
	/^[ \t]+\.[a-z]+ = / { take(held); held = ""; began = FNR; inside = 1 }
	/^[ \t]+\},?$/ || /^\};/ { take(held); held = ""; inside = 0 }
	/^\};/ { flush() }
	inside { sub(/^[ \t]+/, ""); held = held " " $0; sub(/^ /, "", held) }
	' $changes
}

# --- what the tables have to be; from here on a list is: FILE:LINE TAB row, cells with "|" between

wanted_changes()
{
	awk -F "$tab" '
	function quoted(list, before, behind,    n, i, item, out) {
		n = split(list, item, " ")
		for (i = 1; i <= n; i++) {
			sub(/^postureInfo:/, "", item[i])
			sub(/:/, " ", item[i])
			out = out (out == "" ? "" : ", ") before "`" item[i] "`" behind
		}
		return out
	}
	{
		dropped = quoted($8, "", "")
		rewritten = quoted($9, "(", ")")
		cells = dropped (dropped != "" && rewritten != "" ? ", " : "") rewritten
		parameters = quoted($7, "", "")
		gsub(/`hostids /, "hostids `", parameters)
		gsub(/`policyList /, "policyList `", parameters)
		print $1 ":" $2 "\t`" $3 "`|" $4 "|" $5 "|" cells "|" parameters "|" $10 ($6 == "yes" ? " *Semantic.*" : "")
	}' "$listed"
}

# cells FIRST VERSION...: yes from the first on
cells_awk='
	function cells(first, versions,    n, i, v, out) {
		n = split(versions, v, " ")
		for (i = 1; i <= n; i++)
			out = out "|" (v[i] + 0 >= first + 0 ? "yes" : "")
		return out
	}'

# Top-level members in the order of the table, and those inside of them that a change drops.
wanted_members()
{
	awk -F "$tab" -v members="$members" "$cells_awk"'
	NR == FNR {
		n = split($8, item, " ")
		for (i = 1; i <= n; i++) {
			first[item[i]] = $4
			where[item[i]] = $1 ":" $2
			if (item[i] ~ /\./) {
				outer = item[i]
				sub(/\..*/, "", outer)
				inside[outer] = inside[outer] item[i] " "
			}
		}
		next
	}
	match($0, /^(KEPT|LEAVES)\([0-9]+, [A-Za-z_]+(, [A-Za-z_]+)?/) {
		n = split($0, part, /[(,] ?/)
		name = part[1] == "KEPT" ? part[4] : part[3]
		tell(name, members ":" FNR)
		m = split(inside[name], item, " ")
		for (i = 1; i <= m; i++)
			tell(item[i], where[item[i]])
		delete first[name]
	}
	END {
		if ("*" in first)
			tell("*", where["*"])
		for (name in first)
			if (name !~ /[.*]/)
				print where[name] "\t" name " is no member of " members
	}
	function tell(name, place) {
		print place "\t`" name "`" cells(name in first ? first[name] : "1.0", "1.0 2.0 3.0 4.0 5.0")
	}' "$listed" "$members"
}

# FILE:LINE TAB api:name first-version: as the table of what callers may ask has it, if it is there
taken_parameters()
{
	[ ! -f "$params" ] ||
		sed -nE '/^LEGACY_PARAM\(/{=;s/^LEGACY_PARAM\(([A-Za-z]+), "([^"]+)", ([0-9.]+).*/\1:\2 \3/p;}' "$params" |
		paste - - | sed "s|^|$params:|"
}

# the same, as the changes have it
changed_parameters()
{
	awk -F "$tab" '{
		n = split($7, item, " ")
		for (i = 1; i <= n; i++)
			print $1 ":" $2 "\t" item[i] " " $4
	}' "$listed"
}

# The two agree on what came later than 1.0.
agree_on_parameters()
{
	{
		taken_parameters | grep -v ' 1\.0$' | sed 's/^/taken\t/'
		changed_parameters | sed 's/^/changed\t/'
	} | awk -F "$tab" -v params="$params" '
	{ place[$1, $3] = $2; rows[$3] }
	END {
		for (row in rows) {
			if (!(("taken", row) in place))
				print place["changed", row] ": " row " is not in " params "; mend one of them"
			if (!(("changed", row) in place))
				print place["taken", row] ": " row " came with no change; mend one of them"
		}
	}' | found
}

# wanted_parameters API VERSIONS
wanted_parameters()
{
	{
		taken_parameters
		changed_parameters
	} | awk -F "$tab" -v api="$1" -v versions="$2" "$cells_awk"'
	{
		split($2, part, /[: ]/)
		if (part[1] != api || seen[$2]++)
			next
		print $1 "\t`" part[2] "`" cells(part[3], versions)
	}'
}

# --- what they are

rows()
{
	SECTION=$1 awk '
	/^#/ { inside = $0 == ENVIRON["SECTION"]; row = 0; next }
	!/^\|/ { row = 0; next }
	inside && ++row > 2 {
		text = $0
		sub(/^\| */, "", text)
		sub(/ *\|$/, "", text)
		gsub(/ *\| */, "|", text)
		print NR "\t" text
	}' "$document"
}

# compare SECTION [partly]: what is wanted, on standard input, against the rows of the section. With
# "partly" the code does not know all of them: others are fine.
compare()
{
	cat >"$wanted"
	[ -s "$wanted" ] || echo "$document:1: nothing of the code was understood for \"$1\"" | found
	rows "$1" | SECTION=$1 awk -F "$tab" -v document="$document" -v partly="${2:-no}" '
	NR == FNR {
		where[$2] = $1
		next
	}
	!($2 in where) && partly == "no" {
		print document ":" $1 ": " $2 " is not what the code has; mend or take out the row"
	}
	seen[$2]++ { print document ":" $1 ": " $2 " is there twice; take one out" }
	END {
		for (row in where)
			if (!(row in seen))
				print where[row] ": " row " has no row below \"" ENVIRON["SECTION"] "\" of " document "; add it"
	}' "$wanted" - | found
}

listed=$(mktemp) || exit 99
wanted=$(mktemp) || exit 99
trap 'rm -f "$findings" "$listed" "$wanted"' EXIT
in_changes >"$listed"
awk -F "$tab" 'NF != 10 || $3 == "" || $4 == "" || $5 == "" || $10 == "" {
	print $1 ":" $2 ": this change was not understood"
}' "$listed" | found

# without that table only the parameters of the changes are known
partly=partly
if [ -f "$params" ]; then
	partly=no
	agree_on_parameters
fi

wanted_changes | compare '## The changes'
wanted_members | compare '## Members of a posture'
wanted_parameters postureInfo '1.0 2.0 3.0 4.0 5.0' | compare '### postureInfo' $partly
wanted_parameters hostids '1.0 2.0 3.0 4.0 5.0' | compare '### hostids' $partly
wanted_parameters policyList '1.0 2.0' | compare '### policyList' $partly

lint_end
