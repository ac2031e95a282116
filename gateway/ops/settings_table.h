/* clang-format off */
/* Every setting, once: the reader, the sample file and the checks of both documents go through
 * this table. tests/lint/settings-docs.sh reads its text: one setting begins on one line.
 *
 *     WORD(name, word, value)
 *         A word that the setting of that name takes.
 *
 *     SETTING(section, name, type, member, default, least, most, help)
 *     LIST(section, name, type, member, count, default, most, help)
 *         section   gateway, cache, request, upstream; policy for [cache "policy N"]; consumer
 *                   for [consumer NAME]; warm for [warm NAME]
 *         type      see value.h, enum value_type
 *         member    where it goes: in struct settings, struct settings_policy_freshness,
 *                   struct settings_consumer or struct settings_warm; a list has a second one for how many
 *         default   as it would stand in a file. "" needs a value from the operator, or there is
 *                   none (the help says so); of a policy's it stands for that of [cache]
 *         least, most   bounds: of a number, milliseconds, bytes, the length of a text or a list
 *         help      one or two sentences
 *
 * Include it with the macros that you need; the others vanish.
 */
#ifndef WORD
#define WORD(name, word, value)
#endif
#ifndef SETTING
#define SETTING(section, name, type, member, dflt, least, most, help)
#endif
#ifndef LIST
#define LIST(section, name, type, member, count, dflt, most, help)
#endif

WORD(log_level, "error", SETTINGS_LOG_ERROR)
WORD(log_level, "warning", SETTINGS_LOG_WARNING)
WORD(log_level, "info", SETTINGS_LOG_INFO)
WORD(log_level, "debug", SETTINGS_LOG_DEBUG)
WORD(missing_batches, "verify", MISSING_VERIFY)
WORD(missing_batches, "note", MISSING_NOTE)
WORD(missing_batches, "strict", MISSING_STRICT)
WORD(twins, "auto", TWINS_AUTO)
WORD(twins, "ingest", TWINS_INGEST)
WORD(twins, "lazy", TWINS_LAZY)
WORD(twins, "off", TWINS_OFF)
WORD(legacy, "strict", LEGACY_STRICT)
WORD(legacy, "warn", LEGACY_WARN)
WORD(legacy, "allow", LEGACY_ALLOW)

SETTING(gateway, socket, PATH, socket, "/run/posturegate/posturegate.sock", 2, 107,
	"Unix socket on which nginx reaches the gateway.")
SETTING(gateway, state_dir, PATH, state_dir, "/var/lib/posturegate", 1, 4000,
	"Directory of the cache and of the signing key, on a local file system.")
SETTING(gateway, workers, NUMBER, workers, "256", 1, 4096,
	"Threads that answer requests, one request each at a time.")
SETTING(gateway, nginx_connections, NUMBER, nginx_connections, "192", 0, 4096,
	"Most connections that nginx keeps open to the gateway: its worker processes times "
	"keepalive of the upstream block. Each pins a worker, so there must be 32 more workers.")
SETTING(gateway, log_level, CHOICE, log_level, "info", 0, 0,
	"How much is logged.")

SETTING(cache, fresh_for, DURATION, freshness.fresh_for_ms, "1h", 0, DAYS(3650),
	"How long a result is served as it is.")
SETTING(cache, stale_for, DURATION, freshness.stale_for_ms, "6h", 0, DAYS(3650),
	"How long after that it is still served at once while a new one is fetched behind.")
SETTING(cache, keep_for, DURATION, freshness.keep_for_ms, "7d", 0, DAYS(3650),
	"How long after that it is kept for the time in which the upstream fails.")
SETTING(cache, containment, BOOL, containment, "true", 0, 0,
	"Whether queries are answered out of the results of broader ones, where that is exact.")
SETTING(cache, twins, CHOICE, twins, "auto", 0, 0,
	"When the ready-made parts of gzip pages are stored: ingest with what is fetched, lazy once "
	"pages have missed them, off never; auto is ingest where libisal is compiled in, else lazy.")
SETTING(cache, follow_within, DURATION, follow_within_ms, "2m", 0, DAYS(1),
	"A query waits for a broader one that is being fetched, in place of a fetch of its own, if "
	"that is expected within this time, or before its own could begin; 0: it never does.")
SETTING(cache, broaden, BOOL, broaden, "true", 0, 0,
	"Whether a query is fetched without its filters once others of its scope are asked for, too, "
	"so that these cost no call. Without containment there is none of it.")
SETTING(cache, broaden_size, SIZE, broaden_bytes, "1G", 1, GIB * 16384,
	"Largest result, in bytes of JSON, that is fetched so.")
SETTING(cache, broaden_calls, NUMBER, broaden_calls, "12", 0, 100000,
	"Most calls that it may need beyond those of the query itself, where that names hosts.")
SETTING(cache, ahead, BOOL, ahead, "true", 0, 0,
	"Whether what is popular is fetched anew before it goes stale, with calls that nobody else "
	"wants.")
SETTING(cache, ahead_uses, NUMBER, ahead_uses, "3", 1, 1000000,
	"How often a result has to be used to be popular; uses count half when as much time has passed "
	"as the result is fresh.")
SETTING(cache, cursor_grace, DURATION, cursor_grace_ms, "15m", 0, DAYS(30),
	"How long a replaced result is kept for the cursors that walk it, counted from the last "
	"use of one.")
SETTING(cache, size, SIZE, size_bytes, "10G", MIB * 16, GIB * 16384,
	"Most bytes that the cache takes on disk; eviction begins at 80 % of them.")

SETTING(request, wait_default, DURATION, wait_default_ms, "25s", 0, HOURS(1),
	"How long a request waits for a result that is being fetched before it is answered with "
	"202, unless it says otherwise.")
SETTING(request, wait_max, DURATION, wait_max_ms, "60s", 0, HOURS(1),
	"The longest wait that a request may ask for.")
SETTING(request, max_age_floor, DURATION, max_age_floor_ms, "5m", 0, DAYS(1),
	"Smallest max-age that is heeded from a consumer without the right to force.")
LIST(request, origins, ORIGINS, origins, origin_count, "", 64,
	"Origins of browser applications that may read answers (CORS), as browsers send them: such "
	"as https://app.example.com, in lower case and without the usual port; none by default.")
SETTING(request, deprecation_link, LINK, deprecation_link, "/problems/version-ended", 1, 1000,
	"Where callers of a version that ends can read about it: a path or a URL, for the Link "
	"header of their answers.")

SETTING(upstream, url, URL, url, "", 1, 1000,
	"Base URL of the upstream, such as https://gateway.example.com; required.")
SETTING(upstream, username, STRING, username, "", 1, 256,
	"User of the upstream account; required.")
SETTING(upstream, password_file, PATH, password_file, "", 1, 4000,
	"File with the password of the upstream account in its first line; required.")
SETTING(upstream, subscription, NUMBER, subscription, "0", 0, INT64_MAX,
	"Subscription that queries are for; 0 takes what the resolution of hosts answers.")
SETTING(upstream, rate_calls, NUMBER, rate_calls, "25", 1, 10000,
	"Calls in each window and API, as long as the upstream does not announce another number.")
SETTING(upstream, rate_window, DURATION, rate_window_ms, "60s", 1, DAYS(1),
	"Length of the rolling window that rate_calls counts in.")
SETTING(upstream, rate_pinned, BOOL, rate_pinned, "false", 0, 0,
	"Whether rate_calls, rate_window and concurrency hold whatever the upstream announces.")
SETTING(upstream, concurrency, NUMBER, concurrency, "2", 1, 64,
	"Calls at the same time.")
SETTING(upstream, hosts_per_call, NUMBER, hosts_per_call, "500", 1, 100000,
	"Hosts in one call; a call is for one policy.")
LIST(upstream, versions, VERSIONS, versions, version_count, "5.0", 16,
	"Versions of the upstream's API that may be used, the preferred one first.")
LIST(upstream, sca_versions, VERSIONS, sca_versions, sca_version_count, "", 16,
	"Versions beside 1.0 and 2.0 whose answers carry SCA assets for this account; none by "
	"default.")
SETTING(upstream, passed_includes_exceptions, BOOL, passed_includes_exceptions, "true", 0, 0,
	"Whether the upstream's filter for Passed lets through what passed by exception.")
SETTING(upstream, scanned_since_holds, BOOL, scanned_since_holds, "false", 0, 0,
	"Whether scannedSince (lastScanDate) is since by complianceLastScanDate, so that it may be "
	"answered out of a broader result. The documents say another thing than its clients expect.")
SETTING(upstream, changed_since_holds, BOOL, changed_since_holds, "false", 0, 0,
	"Whether changedSince (statusChangedSince) looks at postureModifiedDate, likewise. No document "
	"says at which date it looks.")
SETTING(upstream, missing_batches, CHOICE, missing_batches, "verify", 0, 0,
	"What to do when a batch number is missing from an answer without filters: verify makes "
	"that call once more, note only tells, strict takes the result for incomplete.")
SETTING(upstream, allow_plaintext, BOOL, allow_plaintext, "false", 0, 0,
	"Whether url may be plain http beyond this machine; the password then crosses the "
	"network unprotected.")
SETTING(upstream, ca_file, PATH, ca_file, "", 1, 4000,
	"Certificates to trust in place of the system's; none by default.")
SETTING(upstream, retries, NUMBER, retries, "3", 0, 100,
	"Further attempts at a call after a fault that may pass.")
SETTING(upstream, retry_delay, DURATION, retry_delay_ms, "1s", 0, HOURS(1),
	"Pause before the first of them; it doubles up to 30 s, with full jitter.")
SETTING(upstream, error_memory, DURATION, error_memory_ms, "5s", 0, HOURS(1),
	"How long a query that the upstream failed to answer is not asked again, and whether an "
	"upstream that does not answer is left alone for all (0: neither).")
SETTING(upstream, connect_timeout, DURATION, connect_timeout_ms, "10s", 1, HOURS(1),
	"Longest time to connect.")
SETTING(upstream, stall_timeout, DURATION, stall_timeout_ms, "60s", 1, HOURS(24),
	"Longest time without a byte of the answer.")
SETTING(upstream, call_timeout, DURATION, call_timeout_ms, "2h", 1, HOURS(24),
	"Longest time of a whole call.")

SETTING(policy, fresh_for, DURATION, freshness.fresh_for_ms, "", 0, DAYS(3650),
	"As in [cache], for results with this policy.")
SETTING(policy, stale_for, DURATION, freshness.stale_for_ms, "", 0, DAYS(3650),
	"Likewise.")
SETTING(policy, keep_for, DURATION, freshness.keep_for_ms, "", 0, DAYS(3650),
	"Likewise.")

SETTING(consumer, key_sha256, KEYS, keys, "", 1, 2,
	"SHA-256 of the whole key text NAME.SECRET in hexadecimal; two while a key is replaced. "
	"Required.")
SETTING(consumer, expires, DATE, expires_s, "", 0, 0,
	"Moment from which the key is dead, such as 2027-01-31T00:00:00Z; never by default.")
SETTING(consumer, policies, POLICIES, policies, "", 1, 100000,
	"Policies that the consumer may see, or * for all of them. Required.")
SETTING(consumer, evidence, BOOL, evidence, "false", 0, 0,
	"Whether it may see evidence.")
SETTING(consumer, force, BOOL, force, "false", 0, 0,
	"Whether it may have results fetched anew.")
SETTING(consumer, admin, BOOL, admin, "false", 0, 0,
	"Whether it is an administrator: sees the fetches of all consumers, and may cancel them.")
SETTING(consumer, legacy, CHOICE, legacy, "strict", 0, 0,
	"What becomes of its calls in the upstream's old protocol whose meaning has changed: "
	"strict refuses, warn answers with a warning, allow answers.")
SETTING(consumer, legacy_until, DATE, legacy_until_s, "", 0, 0,
	"Moment from which its calls in the upstream's old protocol, of any version, are answered "
	"with 410; never by default.")
SETTING(consumer, quota, NUMBER, quota, "0", 0, 1000000000,
	"Queries an hour that may begin a fetch; 0 is no limit. Beyond it what is stored is served, "
	"and the rest is refused.")

SETTING(warm, query, STRING, query, "", 1, 8192,
	"What is kept fresh, as the text behind the ? of a URL: policies, filter and detail, such as "
	"policy=4711&evidence=extended. Required.")

#undef WORD
#undef SETTING
#undef LIST
