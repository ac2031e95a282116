/* The settings: read once at start from INI files, checked as a whole, then never changed.
 *
 * settings_table.h has every setting once: section, name, type, unit, bounds, default, help.
 * Program, `--check`, sample file and manual page all come from it or are compared with it by a
 * test. Only the names in [lifecycle] and [cutoff] are not fixed.
 *
 * Errors name file, line, what is wrong and what to write instead; all of them are told at once.
 * Without url, username and password_file of [upstream] there are no good settings. Texts without
 * a value are "".
 *
 * Threads: loading: one; the loaded struct: any, it is constant.
 */
#ifndef OPS_SETTINGS_H
#define OPS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gateway/base/attr.h"
#include "gateway/base/crypto.h"
#include "gateway/base/status.h"

/* [cache] and [cache "policy N"]: each counted from the end of the one before */
struct settings_freshness {
	int64_t fresh_for_ms, stale_for_ms, keep_for_ms;
};
struct settings_policy_freshness {
	uint64_t policy;
	struct settings_freshness freshness;
};

enum settings_legacy { LEGACY_STRICT, LEGACY_WARN, LEGACY_ALLOW };
enum settings_twins { TWINS_AUTO, TWINS_INGEST, TWINS_LAZY, TWINS_OFF };
enum settings_missing_batches { MISSING_VERIFY, MISSING_NOTE, MISSING_STRICT };
enum settings_log_level {
	SETTINGS_LOG_ERROR,
	SETTINGS_LOG_WARNING,
	SETTINGS_LOG_INFO,
	SETTINGS_LOG_DEBUG
};

/* [consumer NAME] */
struct settings_consumer {
	const char *name;
	uint8_t keys[2][SHA256_BYTES]; /* of the whole key text NAME.SECRET */
	unsigned key_count;            /* 1-2 */
	int64_t expires_s;             /* wall; INT64_MAX: never */
	bool all_policies;
	const uint64_t *policies; /* ascending */
	size_t policy_count;
	bool evidence, force, admin;
	enum settings_legacy legacy;
	int64_t legacy_until_s; /* wall, the first second without; INT64_MAX: never */
	uint64_t quota;         /* queries an hour that need the upstream; 0: no limit */
};

/* [warm NAME] */
struct settings_warm {
	const char *name;
	const char
	    *where; /* of its section, "FILE:LINE", to complain about what is not checked here: */
	const char *query; /* as the text behind the ? of a URL */
};

/* [lifecycle] "API VERSION = END-OF-SUPPORT END-OF-LIFE" (dates) or "= active", laid over the
 * built-in table */
struct settings_lifecycle {
	const char *api;      /* postureInfo, hostids, policyList */
	const char *version;  /* "4.0" */
	int64_t eos_s, eol_s; /* wall, the last second that counts (a date alone is its whole
				 day); INT64_MAX: active */
};

/* [cutoff] "VERSION = DATE": from then on nobody is answered in this version of the old protocol */
struct settings_cutoff {
	const char *version; /* "4.0" */
	int64_t from_s;      /* wall, the first second without (a date alone begins its day) */
};

struct settings {
	/* [gateway] */
	const char *socket; /* unix socket for nginx */
	const char *state_dir;
	uint64_t workers;
	uint64_t nginx_connections; /* most connections that nginx keeps open to us */
	enum settings_log_level log_level;
	/* [cache] */
	struct settings_freshness freshness;
	const struct settings_policy_freshness *policy_freshness; /* ascending by policy */
	size_t policy_freshness_count;
	bool broaden;
	uint64_t broaden_bytes, broaden_calls;
	bool ahead;
	uint64_t ahead_uses;
	int64_t cursor_grace_ms;
	uint64_t size_bytes;
	/* [request] */
	int64_t wait_default_ms, wait_max_ms, max_age_floor_ms;
	const char *const *origins;
	size_t origin_count;
	const char *deprecation_link; /* a URI reference that may stand between < and > */
	/* [upstream] */
	const char *url; /* without a slash at its end */
	const char *username, *password_file;
	uint64_t subscription; /* 0: what the host resolution answers */
	uint64_t rate_calls;
	int64_t rate_window_ms;
	bool rate_pinned;
	uint64_t concurrency;
	uint64_t hosts_per_call;
	const char *const *versions; /* in order of preference */
	size_t version_count;
	const char *const
	    *sca_versions; /* versions of this account that carry SCA beside 1.0, 2.0 */
	size_t sca_version_count;
	bool containment;
	enum settings_twins twins;
	int64_t follow_within_ms;
	bool passed_includes_exceptions, scanned_since_holds, changed_since_holds;
	enum settings_missing_batches missing_batches;
	bool allow_plaintext;   /* plain http beyond loopback */
	const char *ca_file;    /* "" : the system's */
	uint64_t retries;       /* of one call after a passing fault */
	int64_t retry_delay_ms; /* first pause; doubles up to 30 s, with full jitter */
	int64_t error_memory_ms;
	int64_t connect_timeout_ms, stall_timeout_ms, call_timeout_ms;
	/* [lifecycle] */
	const struct settings_lifecycle *lifecycle;
	size_t lifecycle_count;
	/* [cutoff] */
	const struct settings_cutoff *cutoffs; /* each version once */
	size_t cutoff_count;
	/* [consumer NAME] */
	const struct settings_consumer *consumers;
	size_t consumer_count;
	/* [warm NAME] */
	const struct settings_warm *warm;
	size_t warm_count;
};

/* One "SECTION.NAME=VALUE" of the command line; plain sections and [cutoff]
 * only. Laid over the files. */
struct settings_source {
	const char *const *files; /* later ones win, setting by setting */
	size_t file_count;
	const char *const *sets;
	size_t set_count;
};

/* Every complaint goes to `complaints` as one line "FILE:LINE: what; cure" (or "--set X: …").
 *   STATUS_OK, STATUS_BAD_REQUEST (complaints were written), STATUS_NO_MEMORY */
enum status settings_load(
    const struct settings_source *src, FILE *complaints, struct settings **ret) NODISCARD;
void settings_free(struct settings *s); /* NULL is fine */
/* As it is written in the file: "strict". */
const char *settings_legacy_word(enum settings_legacy legacy);

/* The freshness for a set of policies: the shortest of each; the overall one if the list is empty
 * or none has its own. */
struct settings_freshness settings_freshness_for(
    const struct settings *s, const uint64_t *policies, size_t count);
/* The shortest of each time that there is, overall or of a policy. */
struct settings_freshness settings_freshness_shortest(const struct settings *s);

/* The sample file with every plain setting, its default and its help, for docs and
 * --print-defaults. */
void settings_print_sample(FILE *out);

#endif
