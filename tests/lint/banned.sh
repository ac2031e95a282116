#!/bin/sh
# Calls that this project does without, and notes to self that belong in an issue.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

# name, where it is banned (everywhere, or in programs: gateway/ and cache/), what to write instead
banned()
{
	cat <<-'END'
		sprintf	everywhere	snprintf(), or a buf
		vsprintf	everywhere	vsnprintf(), or a buf
		strcpy	everywhere	a buf, or memcpy() with a checked length
		strcat	everywhere	a buf
		strncpy	everywhere	memcpy() with a checked length
		strncat	everywhere	a buf
		stpcpy	everywhere	memcpy() with a checked length
		gets	everywhere	a bounded read
		strtok	everywhere	a loop over (pointer, length)
		strtok_r	everywhere	a loop over (pointer, length)
		atoi	everywhere	a parser that sees overflow
		atol	everywhere	a parser that sees overflow
		atoll	everywhere	a parser that sees overflow
		atof	everywhere	a parser that sees overflow
		alloca	everywhere	an arena, or a buffer with a maximum
		setjmp	everywhere	enum status and one goto out
		longjmp	everywhere	enum status and one goto out
		mktemp	everywhere	mkstemp()
		tmpnam	everywhere	mkstemp()
		rand	everywhere	crypto_random(), or unit_random in tests
		gmtime	everywhere	gmtime_r(), in base/clock
		localtime	everywhere	UTC, in base/clock
		ctime	everywhere	base/clock
		asctime	everywhere	base/clock
		scanf	programs	a parser that tells what is wrong
		sscanf	programs	a parser that tells what is wrong
		fscanf	programs	a parser that tells what is wrong
		system	programs	nothing: the gateway starts no program
		popen	programs	nothing: the gateway starts no program
		fork	programs	nothing: the gateway starts no program, and LMDB forbids it
	END
}

code=$(mktemp) || exit 99
trap 'rm -f "$findings" "$code"' EXIT
c_code gateway cache tests >"$code"
BANNED=$(banned) awk '
	BEGIN {
		n = split(ENVIRON["BANNED"], lines, "\n")
		for (i = 1; i <= n; i++) {
			split(lines[i], words, "\t")
			place[words[1]] = words[2]
			instead[words[1]] = words[3]
		}
	}
	{
		where = $0; sub(/^[^:]*:/, "", where); sub(/:.*/, "", where)
		file = $0; sub(/:.*/, "", file)
		text = $0; sub(/^[^:]*:[0-9]*:/, "", text)
		while (match(text, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
			name = substr(text, RSTART, RLENGTH)
			sub(/[ \t]*\($/, "", name)
			before = RSTART > 1 ? substr(text, RSTART - 1, 1) : ""
			# a member of that name (p->gets()) or the tail of a number is another thing
			if (name in instead && before !~ /[.>A-Za-z0-9_]/ &&
			    (place[name] == "everywhere" || file !~ /^tests\//))
				print file ":" where ": " name "() is banned; use " instead[name]
			text = substr(text, RSTART + RLENGTH)
		}
	}' "$code" | found

# The words are put together here so that this script does not find itself.
words="TO""DO|FIX""ME|XX""X|HA""CK"
find . -path ./.git -prune -o -path './build*' -prune -o -path ./autom4te.cache -prune -o -type f \
	\( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.mk' -o -name '*.am' -o -name '*.ac' \
	-o -name '*.md' -o -name '*.conf' -o -name '*.in' -o -name '*.[1-8]' -o -name dev -o -path ./.ci/run \) \
	-print | grep -v -e '^./config.h.in' -e '^./Makefile.in' | sort |
	xargs -r grep -HnEw "$words" |
	sed -E 's|^\./([^:]*:[0-9]*):.*|\1: a note to self; open an issue and write what holds now|' | found

lint_end
