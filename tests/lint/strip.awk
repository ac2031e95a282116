# Prints FILE:LINE:code for C files, with comments gone and the insides of strings and character
# constants blanked, so that a rule about code does not fire on words. Names in #include stay.
function emit(text) { print FILENAME ":" FNR ":" text }
FNR == 1 { in_comment = 0 }
/^[ \t]*#[ \t]*include/ && !in_comment { emit($0); next }
{
	out = ""
	rest = $0
	while (rest != "") {
		if (in_comment) {
			end = index(rest, "*/")
			if (end == 0)
				break
			rest = substr(rest, end + 2)
			in_comment = 0
			out = out " "
		} else if (substr(rest, 1, 2) == "/*") {
			in_comment = 1
			rest = substr(rest, 3)
		} else if (substr(rest, 1, 2) == "//") {
			break
		} else if (match(rest, /^"([^"\\]|\\.)*"/) || match(rest, /^'([^'\\]|\\.)+'/)) {
			out = out substr(rest, 1, 1) substr(rest, 1, 1)
			rest = substr(rest, RLENGTH + 1)
		} else {
			out = out substr(rest, 1, 1)
			rest = substr(rest, 2)
		}
	}
	emit(out)
}
