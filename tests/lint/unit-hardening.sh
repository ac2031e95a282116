#!/bin/sh
# The systemd unit stays hardened: systemd's own score must be 1.5 or better, and what the score
# does not weigh must be there too.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

unit=docs/posturegate.service.in
for line in LoadCredential= LimitCORE=0 LimitNOFILE= Restart=on-failure UMask=0077 StateDirectory=posturegate \
	RuntimeDirectory=posturegate; do
	grep -q "^$line" "$unit" || echo "$unit: has no $line" | found
done

command -v systemd-analyze >/dev/null || { [ -s "$findings" ] && lint_end; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$findings" "$work"' EXIT
sed -e 's|@[a-z]*dir@|/usr|g' "$unit" >"$work/posturegate.service"
systemd-analyze security --offline=true --no-pager --threshold=15 "$work/posturegate.service" \
	>"$work/report" 2>&1 ||
	{ echo "$unit: systemd-analyze security gives more than 1.5:"; grep -E '✗|→|rror' "$work/report"; } | found

lint_end
