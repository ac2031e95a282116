#!/bin/sh
# Keeps the arrows (which folder may include which) and the doors (which one file may use a
# library or the clock). docs/architecture.md draws them; this is where they are enforced.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

# --- arrows: folder, then the folders or headers that its files may include
arrows()
{
	cat <<-'END'
		gateway/base      gateway/base/
		cache             gateway/base/ cache/
		gateway/query     gateway/base/ cache/cache.h gateway/query/
		gateway/upstream  gateway/base/ gateway/upstream/
		gateway/fetch     gateway/base/ cache/cache.h gateway/query/ gateway/upstream/ gateway/fetch/
		gateway/ops       gateway/base/ cache/cache.h gateway/ops/
		gateway/answer    gateway/base/ cache/cache.h gateway/query/ gateway/fetch/ gateway/answer/
		gateway/front     gateway/base/ cache/cache.h gateway/query/ gateway/upstream/ gateway/fetch/ gateway/answer/ gateway/ops/ gateway/front/
		gateway/legacy    gateway/base/ cache/cache.h gateway/query/ gateway/upstream/ gateway/fetch/ gateway/answer/ gateway/ops/ gateway/front/ gateway/legacy/
		gateway           gateway/ cache/cache.h
		tests/simulator   tests/simulator/
		tests/clock       gateway/base/
		tests/unit        gateway/ cache/ tests/unit/
		tests/fuzz        gateway/ cache/ tests/fuzz/
		tests/soak        tests/soak/
	END
}

# A new folder with C in it has to be given its arrows.
find gateway cache tests -name '*.[ch]' | sed 's|/[^/]*$||' | sort -u | while read -r folder; do
	arrows | awk -v folder="$folder" '$1 == folder { known = 1 } END { exit !known }' ||
		echo "$folder: has C files and no arrows; say in tests/lint/includes.sh what it may include"
done | found

c_code gateway cache tests | awk -v table="$(arrows)" '
	BEGIN {
		n = split(table, lines, "\n")
		for (i = 1; i <= n; i++) {
			m = split(lines[i], words, " ")
			for (j = 2; j <= m; j++)
				allowed[words[1], j - 1] = words[j]
			count[words[1]] = m - 1
		}
	}
	match($0, /^[^:]*:[0-9]*:[ \t]*#[ \t]*include[ \t]*"/) {
		where = $0; sub(/:[ \t]*#.*/, "", where)
		file = where; sub(/:.*/, "", file)
		folder = file; sub(/\/[^\/]*$/, "", folder)
		header = substr($0, RLENGTH + 1); sub(/".*/, "", header)
		if (header == "config.h")
			next
		if (index(header, "/") == 0 || header ~ /(^|\/)\.\.?\//) {
			print where ": \"" header "\": write the path from the top of the tree"
			next
		}
		for (i = 1; i <= count[folder]; i++) {
			a = allowed[folder, i]
			if (header == a || (a ~ /\/$/ && index(header, a) == 1))
				next
		}
		print where ": " folder " may not include \"" header "\"; it stands on:" stands(folder)
	}
	function stands(folder,    i, text) {
		for (i = 1; i <= count[folder]; i++)
			text = text " " allowed[folder, i]
		return text
	}' | found

# Every .c begins with config.h: it decides what the system headers offer.
find gateway cache tests -name '*.c' | sort | while read -r file; do
	first=$(grep -n '^[[:space:]]*#[[:space:]]*include' "$file" | head -n 1)
	case $first in
	*'"config.h"'*) ;;
	*) echo "$file:${first%%:*}: the first include must be \"config.h\"" ;;
	esac
done | found

# --- doors: regular expression (awk) for the code, the only file that may have it, what it is
doors()
{
	cat <<-'END'
		#[ \t]*include[ \t]*<fcgi.*>	gateway/front/fcgi.c	libfcgi
		#[ \t]*include[ \t]*<curl\/.*>	gateway/upstream/transport.c	libcurl
		#[ \t]*include[ \t]*<zlib\.h>	gateway/base/codec.c	zlib
		#[ \t]*include[ \t]*<(isa-l.*|igzip_lib\.h|crc\.h)>	gateway/base/codec.c	libisal
		#[ \t]*include[ \t]*<lmdb\.h>	cache/env.c	LMDB
		#[ \t]*include[ \t]*<sodium.*>	gateway/base/crypto.c	libsodium
		(^|[^A-Za-z0-9_])(clock_gettime|gettimeofday|time|ftime)[ \t]*\(	gateway/base/clock_system.c	asking for the time
		(^|[^A-Za-z0-9_])(sleep|usleep|nanosleep|clock_nanosleep|pthread_cond_timedwait)[ \t]*\(	gateway/base/clock_system.c	waiting for time to pass
	END
}

code=$(mktemp) || exit 99
trap 'rm -f "$findings" "$code"' EXIT
c_code gateway cache >"$code"
doors | while IFS='	' read -r pattern door what; do
	PATTERN=$pattern DOOR=$door WHAT=$what awk '
		{
			file = $0; sub(/:.*/, "", file)
			text = $0; sub(/^[^:]*:[0-9]*:/, "", text)
			if (file != ENVIRON["DOOR"] && text ~ ENVIRON["PATTERN"]) {
				where = $0; sub(/^[^:]*:/, "", where); sub(/:.*/, "", where)
				print file ":" where ": " ENVIRON["WHAT"] " is for " ENVIRON["DOOR"] " alone"
			}
		}' "$code"
done | found

lint_end
