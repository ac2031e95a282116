#!/bin/sh
# nginx answers its own refusals with the gateway's problem types: a type that both have must have
# the same status and title in nginx/posturegate/http.conf and gateway/base/status_table.h, and
# every error page of server.conf must have its body.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

http=nginx/posturegate/http.conf
server=nginx/posturegate/server.conf
table=gateway/base/status_table.h

# from both: slug TAB status TAB title
ours=$(sed -nE 's/^STATUS\([A-Z_]+, ([0-9]+), [A-Z]+, "([^"]+)", "([^"]*)"\)/\2\t\1\t\3/p' "$table")
theirs=$(sed -nE "s|.*\"type\":\"/problems/([^\"]*)\",\"title\":\"([^\"]*)\",\"status\":([0-9]+).*|\1\t\3\t\2|p" "$http" |
	sed "s/\\\\'/'/g")
[ -n "$ours" ] || echo "$table: no STATUS() line was understood" | found
[ -n "$theirs" ] || echo "$http: no problem was understood" | found

printf '%s\n' "$theirs" | OURS=$ours awk -F '\t' -v file="$http" -v table="$table" '
	BEGIN {
		n = split(ENVIRON["OURS"], lines, "\n")
		for (i = 1; i <= n; i++) {
			split(lines[i], f, "\t")
			known[f[1]] = 1
			has[f[1], f[2], f[3]] = 1
		}
	}
	known[$1] && !(($1, $2, $3) in has) {
		print file ": /problems/" $1 " has another status or title than in " table
	}' | found

# the number in the key, in the body and in the error_page lines
sed -nE 's|^[[:space:]]*/_problem/([0-9]+) .*"status":([0-9]+).*|\1 \2|p' "$http" |
	awk -v file="$http" '$1 != $2 { print file ": /_problem/" $1 " says status " $2 }' | found
pages=$(sed -nE 's#^error_page .* (/_problem|[$]posturegate_manner)/([0-9]+);.*#\2#p' "$server" | sort -u)
bodies=$(sed -nE "s|^[[:space:]]*/_problem/([0-9]+) '\{.*|\1|p" "$http" | sort -u)
[ "$pages" = "$bodies" ] ||
	echo "$server: the error pages and the bodies in $http are not the same set" | found

lint_end
