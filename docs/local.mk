# docs: the manual pages, the sample and the unit are installed, the rest is in the archive.
dist_man_MANS += docs/posturegate.8 docs/posturegate.conf.5
dist_doc_DATA += docs/alerts.yml docs/openapi.yaml docs/posturegate.conf.sample
EXTRA_DIST += \
	docs/HACKING.md \
	docs/performance.md \
	docs/api.md \
	docs/architecture.md \
	docs/containment.md \
	docs/operations.md \
	docs/store-format.md \
	docs/upstream-versions.md \
	docs/posturegate.service.in \
	docs/decisions/0001-lmdb-holds-the-results.md \
	docs/decisions/0002-own-scanner-instead-of-a-dom.md \
	docs/decisions/0003-a-thread-per-request-with-libfcgi.md \
	docs/decisions/0004-libsodium-is-the-one-crypto-library.md \
	docs/decisions/0005-own-reader-for-settings.md \
	docs/decisions/0006-end-to-end-tests-in-plain-python.md \
	docs/decisions/0007-libisal-is-optional.md \
	docs/decisions/0008-the-simulated-upstream-stands-on-libmicrohttpd.md \
	docs/decisions/0009-the-queue-of-calls-is-the-budgets.md \
	docs/decisions/0010-a-memo-beside-every-record.md \
	docs/decisions/0011-one-memory-of-failing.md \
	docs/decisions/0012-old-shapes-by-a-chain-of-named-changes.md \
	docs/decisions/0013-one-old-call-is-a-query-for-each-policy-and-streams.md \
	docs/decisions/0014-a-narrow-query-waits-for-the-end-of-a-broader-fetch.md \
	docs/decisions/0015-fetch-broad-when-others-ask-for-more.md \
	docs/decisions/0016-a-walk-through-a-fetch-keeps-nothing-but-its-cursor.md \
	docs/decisions/0017-gzip-pages-are-stitched-from-twins.md \
	docs/decisions/0018-a-thread-writes-what-fetches-bring.md

if WITH_UNIT
systemdsystemunit_DATA = docs/posturegate.service
CLEANFILES += docs/posturegate.service
endif

docs/posturegate.service: $(top_srcdir)/docs/posturegate.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) docs && $(SED) -e 's|[@]sbindir[@]|$(sbindir)|g' \
		-e 's|[@]sysconfdir[@]|$(sysconfdir)|g' \
		$(top_srcdir)/docs/posturegate.service.in >$@.tmp && mv $@.tmp $@
