#!/bin/sh
# Breaks each rule of the lint scripts once, in a made-up tree, and expects to be told.
# Here a rule is a file with one bad line; the finding must name that file and line.
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d) || exit 99
trap 'rm -rf "$tree"' EXIT
failures=0

# wants SCRIPT FILE LINE-NUMBER TEXT...: writes the file, runs the script, expects FILE:LINE
wants()
{
	script=$1 file=$2 line=$3
	shift 3
	mkdir -p "$tree/$(dirname "$file")" "$tree/gateway" "$tree/cache" "$tree/tests"
	printf '%s\n' "$@" >"$tree/$file"
	if told=$(top_srcdir=$tree sh "$here/$script" 2>&1) || ! echo "$told" | grep -q "^$file:$line:"; then
		echo "selftest: $script did not find $file:$line: $*"
		echo "$told"
		failures=$((failures + 1))
	fi
	rm "$tree/$file"
}

# accepts SCRIPT FILE TEXT...: the script must have nothing to say
accepts()
{
	script=$1 file=$2
	shift 2
	mkdir -p "$tree/$(dirname "$file")"
	printf '%s\n' "$@" >"$tree/$file"
	if ! told=$(top_srcdir=$tree sh "$here/$script" 2>&1); then
		echo "selftest: $script: $told"
		failures=$((failures + 1))
	fi
	rm "$tree/$file"
}

top='#include "config.h"'
wants includes.sh gateway/base/a.c 2 "$top" '#include "gateway/query/query.h"'
wants includes.sh cache/a.c 2 "$top" '#include "gateway/ops/settings.h"'
wants includes.sh gateway/fetch/a.c 2 "$top" '#include "cache/env.h"'
wants includes.sh gateway/query/a.c 2 "$top" '#include "gateway/fetch/fetch.h"'
wants includes.sh gateway/upstream/a.h 1 '#include "gateway/fetch/fetch.h"'
wants includes.sh gateway/front/a.c 2 "$top" '#include "gateway/legacy/shape.h"'
wants includes.sh gateway/a.c 2 "$top" '#include "cache/rows.h"'
wants includes.sh tests/simulator/a.c 2 "$top" '#include "gateway/base/buf.h"'
wants includes.sh gateway/base/a.c 2 "$top" '#include "buf.h"'
wants includes.sh gateway/base/a.c 2 "$top" '#include "gateway/base/../query/query.h"'
wants includes.sh gateway/base/a.c 1 '#include <stdio.h>' "$top"
wants includes.sh gateway/front/route.c 2 "$top" '#include <fcgiapp.h>'
wants includes.sh gateway/upstream/budget.c 2 "$top" '#include <curl/curl.h>'
wants includes.sh cache/rows.c 2 "$top" '#include <zlib.h>'
wants includes.sh cache/rows.c 2 "$top" '#include <isa-l/crc.h>'
wants includes.sh cache/rows.c 2 "$top" '#include <lmdb.h>'
wants includes.sh gateway/query/a.c 2 "$top" '#include <sodium.h>'
wants includes.sh gateway/query/a.c 3 "$top" 'long f(void) {' ' return time(NULL); }'
wants includes.sh gateway/query/a.c 2 "$top" 'void f(void) { usleep(10); }'
wants includes.sh gateway/base/clock.c 2 "$top" 'long f(void) { return time(NULL); }'
accepts includes.sh gateway/base/clock_system.c "$top" 'long f(void) { return time(NULL); }'
wants includes.sh tests/clock/a.c 2 "$top" '#include "gateway/query/query.h"'
accepts includes.sh gateway/query/a.c "$top" '#include "cache/cache.h"' '/* time(NULL) */' \
	'int run_time(int x);' 'const char *s = "sleep(1)";'

wants banned.sh gateway/base/a.c 2 "$top" 'void f(char *a) { sprintf(a, "x"); }'
wants banned.sh gateway/base/a.c 3 "$top" '/* strcpy(' '*/ void f(char *a) { strcpy(a, "x"); }'
wants banned.sh tests/unit/a.c 1 'int x = atoi ("1");'
wants banned.sh tests/simulator/a.c 1 'void f(int n) { char *p = alloca(n); }'
wants banned.sh cache/a.c 1 'int x = system("ls");'
accepts banned.sh tests/unit/a.c 'int x = system("ls");'
wants banned.sh docs/a.md 1 "TO""DO: later"
accepts banned.sh gateway/base/a.c "$top" '/* not sprintf() */ char s[] = "strcat(";' \
	'int my_atoi(int); int f(struct x *p) { return p->gets(1) + my_atoi(2); }'

mkdir -p "$tree/nginx/posturegate" "$tree/gateway/base"
cp "$here/../../nginx/posturegate/"*.conf "$tree/nginx/posturegate/"
cp "$here/../../gateway/base/status_table.h" "$tree/gateway/base/"
broken_problems()
{
	if told=$(top_srcdir=$tree sh "$here/problems.sh" 2>&1); then
		echo "selftest: problems.sh did not find $1"
		failures=$((failures + 1))
	fi
}
if ! told=$(top_srcdir=$tree sh "$here/problems.sh" 2>&1); then
	echo "selftest: problems.sh: $told"
	failures=$((failures + 1))
fi
sed -i 's/"There is nothing here"/"Nothing"/' "$tree/nginx/posturegate/http.conf"
broken_problems "another title"
cp "$here/../../nginx/posturegate/http.conf" "$tree/nginx/posturegate/"
sed -i '/error_page 502/d' "$tree/nginx/posturegate/server.conf"
broken_problems "a missing error page"

mkdir -p "$tree/docs" "$tree/gateway/query" "$tree/gateway/front"
fresh_api()
{
	for file in docs/api.md nginx/posturegate/http.conf gateway/query/query_table.h \
		gateway/front/route_table.h gateway/base/status_table.h; do
		cp "$here/../../$file" "$tree/$file"
	done
}
# broken_api FILE SED-SCRIPT: after that edit, api-docs.sh must have something to say
broken_api()
{
	fresh_api
	sed -i -E "$2" "$tree/$1"
	if cmp -s "$here/../../$1" "$tree/$1"; then
		echo "selftest: '$2' changes nothing in $1"
		failures=$((failures + 1))
	elif told=$(top_srcdir=$tree sh "$here/api-docs.sh" 2>&1); then
		echo "selftest: api-docs.sh did not find '$2' in $1"
		failures=$((failures + 1))
	fi
}
fresh_api
if ! told=$(top_srcdir=$tree sh "$here/api-docs.sh" 2>&1); then
	echo "selftest: api-docs.sh: $told"
	failures=$((failures + 1))
fi
broken_api gateway/query/query_table.h 's/^PARAM\(limit,/PARAM(pageSize,/'
broken_api gateway/front/route_table.h '/^ROUTE\(HEALTHZ,/s/METHOD_GET \| METHOD_HEAD/METHOD_GET/'
broken_api gateway/front/route_table.h '/^ROUTE\(FETCH,/s/true/false/'
broken_api gateway/base/status_table.h 's/"cursor-expired"/"cursor-gone"/'
broken_api gateway/base/status_table.h '/^STATUS\(BUSY,/s/503/429/'
broken_api nginx/posturegate/http.conf 's|/problems/misdirected|/problems/lost|'
broken_api docs/api.md '/^\| .changedSince. /d'
broken_api docs/api.md '/^\| GET, HEAD \| .\/readyz. /d'
broken_api docs/api.md '/^\| .gateway-timeout. /d'
broken_api docs/api.md '/^\| POST \| .\/auth. /d'
broken_api docs/api.md '/^\| GET, HEAD \| .\/pcrs\//s/\{version\}/{id}/'
broken_api docs/api.md '/^\| .limit. \| 1 to/p'

fresh_metrics()
{
	for file in docs/operations.md gateway/stats_table.h; do
		cp "$here/../../$file" "$tree/$file"
	done
}
# broken_metrics FILE SED-SCRIPT: after that edit, metrics-docs.sh must have something to say
broken_metrics()
{
	fresh_metrics
	sed -i -E "$2" "$tree/$1"
	if cmp -s "$here/../../$1" "$tree/$1"; then
		echo "selftest: '$2' changes nothing in $1"
		failures=$((failures + 1))
	elif told=$(top_srcdir=$tree sh "$here/metrics-docs.sh" 2>&1); then
		echo "selftest: metrics-docs.sh did not find '$2' in $1"
		failures=$((failures + 1))
	fi
}
fresh_metrics
if ! told=$(top_srcdir=$tree sh "$here/metrics-docs.sh" 2>&1); then
	echo "selftest: metrics-docs.sh: $told"
	failures=$((failures + 1))
fi
broken_metrics gateway/stats_table.h 's/"pcrs_results"/"pcrs_result"/'
broken_metrics gateway/stats_table.h '/"pcrs_workers"/s/GAUGE/COUNTER/'
broken_metrics gateway/stats_table.h '/"pcrs_fetches_total"/s/state_ended/none/'
broken_metrics gateway/stats_table.h '/"pcrs_stages"/s/^STAT/STATISTIC/'
broken_metrics docs/operations.md '/^\| .pcrs_logins_total./d'
broken_metrics docs/operations.md '/^\| .pcrs_logins_total./p'

fresh_containment()
{
	mkdir -p "$tree/gateway/query"
	for file in docs/containment.md gateway/query/implies_table.h gateway/query/query_table.h; do
		cp "$here/../../$file" "$tree/$file"
	done
}
# broken_containment FILE SED-SCRIPT: after that edit, containment-docs.sh must have something to say
broken_containment()
{
	fresh_containment
	cp "$tree/$1" "$tree/before"
	sed -i -E "$2" "$tree/$1"
	if cmp -s "$tree/before" "$tree/$1"; then
		echo "selftest: '$2' changes nothing in $1"
		failures=$((failures + 1))
	elif told=$(top_srcdir=$tree sh "$here/containment-docs.sh" 2>&1) || ! echo "$told" | grep -q "^[a-z_/.-]*:[0-9]*: "; then
		echo "selftest: containment-docs.sh did not find '$2' in $1"
		failures=$((failures + 1))
	fi
}
fresh_containment
if ! told=$(top_srcdir=$tree sh "$here/containment-docs.sh" 2>&1); then
	echo "selftest: containment-docs.sh: $told"
	failures=$((failures + 1))
fi
broken_containment docs/containment.md '/^\| .inactive. /d'
broken_containment docs/containment.md '/^\| .inactive. /s/exact/since/'
broken_containment gateway/query/implies_table.h '/^IMPLIES.status,/d'
broken_containment gateway/query/query_table.h '/^PARAM.status,/s/status/grade/'

fresh_versions()
{
	mkdir -p "$tree/gateway/legacy" "$tree/gateway/fetch"
	rm -f "$tree/gateway/legacy/params_table.h"
	for file in docs/upstream-versions.md gateway/fetch/normalise_table.h gateway/legacy/change_5_4.c \
		gateway/legacy/change_4_3.c gateway/legacy/change_3_2.c gateway/legacy/change_2_1.c; do
		cp "$here/../../$file" "$tree/$file"
	done
}
# a table of parameters that agrees with the changes and the document
fresh_params()
{
	awk '/^#/ { api = $2 }
		api ~ /^(postureInfo|hostids|policyList)$/ && /^\| `/ {
			n = split($0, cell, / *\| */)
			first = n - 2
			while (first > 2 && cell[first] == "yes")
				first--
			print "LEGACY_PARAM(" api ", \"" substr(cell[2], 2, length(cell[2]) - 2) "\", " first - 1 ".0, NONE)"
		}' "$tree/docs/upstream-versions.md" >"$tree/gateway/legacy/params_table.h"
}
# broken_versions FILE SED-SCRIPT: after that edit, versions-docs.sh must have something to say
broken_versions()
{
	fresh_versions
	fresh_params
	cp "$tree/$1" "$tree/before"
	sed -i -E "$2" "$tree/$1"
	if cmp -s "$tree/before" "$tree/$1"; then
		echo "selftest: '$2' changes nothing in $1"
		failures=$((failures + 1))
	elif told=$(top_srcdir=$tree sh "$here/versions-docs.sh" 2>&1) || ! echo "$told" | grep -q "^[a-z_0-9/.-]*:[0-9]*: "; then
		echo "selftest: versions-docs.sh did not find '$2' in $1"
		failures=$((failures + 1))
	fi
}
fresh_versions
for also in : fresh_params; do
	$also
	if ! told=$(top_srcdir=$tree sh "$here/versions-docs.sh" 2>&1); then
		echo "selftest: versions-docs.sh: $told"
		failures=$((failures + 1))
	fi
done
broken_versions gateway/legacy/change_5_4.c 's/"qds"/"score"/'
broken_versions gateway/legacy/change_5_4.c 's/CHANGE_MEMBER\(qds\)/CHANGE_MEMBER(evidence)/'
broken_versions gateway/legacy/change_3_2.c 's/\.semantic = true/.semantic = false/'
broken_versions gateway/legacy/change_3_2.c 's/"previousStatus"/"status"/'
broken_versions gateway/legacy/change_2_1.c '/\.description = "Evidence has its date/s/date/age/'
broken_versions gateway/fetch/normalise_table.h '/^KEPT\(3,/d'
broken_versions gateway/legacy/params_table.h '/"assetState"/s/5\.0/4.0/'
broken_versions gateway/legacy/params_table.h '/"lastScanDateTo"/d'
broken_versions gateway/legacy/params_table.h '/"qdScoreRequired"/d'
broken_versions docs/upstream-versions.md '/^\| .osCpe. /d'
broken_versions docs/upstream-versions.md '/^\| .osCpe. /p'
broken_versions docs/upstream-versions.md '/^\| .category. /s/\| \|/| yes |/'
broken_versions docs/upstream-versions.md '/^\| .policy-tags. /d'

fresh_openapi()
{
	mkdir -p "$tree/gateway/fetch"
	for file in configure.ac docs/openapi.yaml nginx/posturegate/http.conf gateway/query/query_table.h \
		gateway/front/route_table.h gateway/base/status_table.h gateway/base/limits.h \
		gateway/fetch/normalise_table.h gateway/legacy/params_table.h; do
		cp "$here/../../$file" "$tree/$file"
	done
}
# broken_openapi FILE SED-SCRIPT: after that edit, openapi.sh must have something to say
broken_openapi()
{
	fresh_openapi
	sed -i -E "$2" "$tree/$1"
	if cmp -s "$here/../../$1" "$tree/$1"; then
		echo "selftest: '$2' changes nothing in $1"
		failures=$((failures + 1))
	elif told=$(top_srcdir=$tree sh "$here/openapi.sh" 2>&1) || ! echo "$told" | grep -q "^[a-z_/.]*:[0-9]*: "; then
		echo "selftest: openapi.sh did not find '$2' in $1"
		failures=$((failures + 1))
	fi
}
fresh_openapi
if ! told=$(top_srcdir=$tree sh "$here/openapi.sh" 2>&1); then
	echo "selftest: openapi.sh: $told"
	failures=$((failures + 1))
fi
broken_openapi configure.ac '/^AC_INIT/s/[0-9.]+/9.9.9/'
broken_openapi gateway/front/route_table.h '/^ROUTE\(POSTURES_QUERY,/s/METHOD_POST/METHOD_GET/'
broken_openapi gateway/front/route_table.h '/^ROUTE\(READYZ,/s/ \| METHOD_HEAD//'
broken_openapi gateway/front/route_table.h '/^ROUTE\(FETCH,/s/true/false/'
broken_openapi gateway/query/query_table.h 's/^PARAM\(limit,/PARAM(pageSize,/'
broken_openapi gateway/query/query_table.h '/^WORD\(ASSETS, "all"/s/all/both/'
broken_openapi gateway/base/limits.h '/LIMIT_PAGE_RECORDS/s/1000/2000/'
broken_openapi gateway/base/status_table.h 's/"cursor-expired"/"cursor-gone"/'
broken_openapi gateway/base/status_table.h '/^STATUS\(CURSOR_EXPIRED,/s/410/404/'
broken_openapi nginx/posturegate/http.conf 's|/problems/misdirected|/problems/lost|'
broken_openapi gateway/fetch/normalise_table.h '/^KEPT\(3,/d'
broken_openapi gateway/legacy/params_table.h '/"assetState"/s/5\.0/4.0/'
broken_openapi gateway/legacy/params_table.h '/"criticalityLabels"/d'
broken_openapi gateway/query/query_table.h '/^WORD\(DEPLOYMENT, "cloud"/s/cloud/clouds/'
broken_openapi docs/openapi.yaml "s|^  /auth:|  /login:|"
broken_openapi docs/openapi.yaml "s/enum: .ON-PREM, CLOUD, ALL./enum: [ON-PREM, CLOUD]/"
broken_openapi docs/openapi.yaml "/^        CLOUD_RESOURCE_ID: /d"
broken_openapi docs/openapi.yaml "s|^  /readyz:|  /ready:|"
broken_openapi docs/openapi.yaml "/^ +qds: .type: boolean/d"
broken_openapi docs/openapi.yaml "/^ +- netBios/d"
broken_openapi docs/openapi.yaml "s|^ +- /problems/not-ready||"
broken_openapi docs/openapi.yaml "s|^openapi: |openapi: '|"

[ $failures -eq 0 ]
