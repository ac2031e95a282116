/* A query: scope (which postures, with which detail) × filter (which of them) × view (how they
 * are shown); or the policy list, or the hosts of a policy, which are asked for and kept in the same
 * way. Parsed from a query string or a JSON body by one table (query_table.h), canonical
 * text and digest from it, the cursor that carries a walk on.
 *
 * Nothing here knows the cache, the upstream or the network.
 *
 * Threads: any; all functions are pure but for the arena they are given.
 */
#ifndef QUERY_QUERY_H
#define QUERY_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/crypto.h"
#include "gateway/base/limits.h"
#include "gateway/base/status.h"

/* --- values */

#define QUERY_ID_MAX ((uint64_t)INT64_MAX)
/* 2105-12-31T23:59:59Z: the end of the last whole year that a stored row's dates can tell */
#define QUERY_DATE_MAX INT64_C(4291747199)

#define QUERY_LIMIT_DEFAULT 100

/* IDs, ascending, without duplicates. */
struct id_list {
	const uint64_t *ids;
	size_t count;
};

/* Posture IDs as ranges, ascending, apart from each other by at least one ID. */
struct id_range {
	uint64_t first, last;
};
struct id_ranges {
	const struct id_range *ranges;
	size_t count;
	uint64_t width; /* how many IDs in all */
};

/* True if one of the ranges holds the ID. */
bool id_ranges_have(const struct id_ranges *list, uint64_t id);

enum query_assets { ASSETS_PC, ASSETS_ALL };
/* Only of KIND_HOSTS: where hosts run, and whether they still do (hostids 5.0). */
enum query_deployment { DEPLOYMENT_ALL, DEPLOYMENT_ON_PREM, DEPLOYMENT_CLOUD };
enum query_state { STATE_ALL, STATE_ACTIVE, STATE_TERMINATED };
enum query_evidence { EVIDENCE_NONE, EVIDENCE_BASIC, EVIDENCE_EXTENDED };

/* Sets of enumerated values: one bit each. 0: no such filter. */
enum query_status_bit { STATUS_BIT_PASSED = 1, STATUS_BIT_FAILED = 2, STATUS_BIT_ERROR = 4 };
#define CRITICALITY_BIT(value) (1u << (value)) /* 0-5 */

enum query_format { FORMAT_JSON, FORMAT_NDJSON, FORMAT_CSV };

/* What a summary counts by: one bit each, in the order in which they are shown. */
enum query_by {
	QUERY_BY_STATUS = 1,
	QUERY_BY_CRITICALITY = 2,
	QUERY_BY_POLICY = 4,
	QUERY_BY_CONTROL = 8,
	QUERY_BY_HOST = 16,
	QUERY_BY_TECHNOLOGY = 32,
};

#define DATE_NONE INT64_MIN
/* In an initialiser of struct query: it has no dates. */
#define QUERY_NO_DATES                                                                             \
	.evaluated_since = DATE_NONE, .scanned_since = DATE_NONE, .scanned_from = DATE_NONE,       \
	.scanned_to = DATE_NONE, .changed_since = DATE_NONE

/* What the records of the answer are: each kind has canonical texts, and with them results, of its
 * own. */
enum query_kind {
	KIND_POSTURES,
	KIND_POLICIES, /* of scope and filter it has tags and evaluated_since */
	KIND_HOSTS, /* it has policies, assets, deployment, state, scanned_since, changed_since */
};

struct query {
	enum query_kind kind;
	/* scope */
	struct id_list policies;   /* empty: by posture */
	struct id_list hosts;      /* empty: all that the policies resolve to */
	struct id_ranges postures; /* empty: by policy */
	uint64_t subscription;     /* 0: not given */
	enum query_assets assets;
	enum query_evidence evidence;
	bool cloud, qds;
	bool exclude_inactive;
	enum query_deployment deployment;
	enum query_state state;
	bool tags; /* policies carry their asset tags */
	/* filter; dates are seconds since 1970 UTC or DATE_NONE; *_since and _from are the first
	 * second that counts, _to the last */
	unsigned status;          /* enum query_status_bit */
	unsigned previous_status; /* likewise, at most one bit */
	unsigned criticality;     /* CRITICALITY_BIT() */
	int64_t evaluated_since;
	int64_t scanned_since, scanned_from, scanned_to;
	int64_t changed_since;
	/* view */
	unsigned by;     /* enum query_by; only of a summary; 0: not given */
	uint64_t fields; /* bits of member numbers; 0: all */
	unsigned limit;  /* 1-1000 */
	bool limit_given;
	enum query_format format; /* but for JSON the whole result, without pages */
	bool format_given;
	bool partial;
	const char *cursor; /* as given, NUL-terminated, or NULL */
};

/* --- parsing */

struct query_error {
	const char *parameter; /* its name, as given if it is unknown (at most 64 bytes of it), or
				  QUERY_BODY for a body that is no JSON object */
	const char *message;   /* a sentence that says what is allowed, without a full stop */
};
#define QUERY_BODY "body"
struct query_errors {
	struct query_error list[LIMIT_QUERY_ERRORS];
	size_t count;
	bool more; /* there were more than fit */
};

/* Adds an error. A NULL (the arena was exhausted while the sentence was made) is passed over; both
 * texts are borrowed. */
void query_errors_add(struct query_errors *errors, const char *parameter, const char *message);

/* Which parameters a call takes. */
enum query_use {
	QUERY_POSTURES,  /* GET /v1/postures, its POST twin and explain: all but by */
	QUERY_POSTURE,   /* GET /v1/postures/{id}: what is shown of it */
	QUERY_SUMMARY,   /* GET /v1/postures/summary: scope, filter and by */
	QUERY_POLICIES,  /* GET /v1/policies: evaluatedSince, limit, cursor */
	QUERY_HOSTS,     /* GET /v1/policies/{id}/hosts: limit, cursor */
	QUERY_FETCHES,   /* GET /v1/fetches: limit */
	QUERY_MIGRATION, /* GET /admin/v1/migration: format */
};

/* Maps a member's name to its number in `fields` (0-63), or -1. */
typedef int query_field_f(const char *name, size_t len);

/* `text` is the part behind '?', as it came (may be ""): NAME=VALUE pairs with '&' between them,
 * percent-escapes and '+' for a space as HTML forms have them. Values are not trimmed, empty ones
 * are errors, and so is an escape that gives no UTF-8 or a control character. All offending
 * parameters are told at once: unknown, repeated where one value is allowed, malformed, in
 * conflict (both sides), missing, over a cap. A parameter's values are read up to its first
 * malformed one. Beside a cursor only limit may stand; the rest of *ret_query is then the
 * defaults. `preferred` is the format where none is given: one that gives the whole result takes no
 * parameters of pages, whoever asked for it. `field` may be NULL where the use takes no fields.
 *   STATUS_OK           *ret_query is filled; it lives in the arena. Of QUERY_HOSTS the policy is
 *                       the caller's to add: it stands in the path
 *   STATUS_BAD_REQUEST  errors tells why (at least one); its texts live in the arena
 *   STATUS_NO_MEMORY */
enum status query_parse(struct arena *a, enum query_use use, enum query_format preferred,
    query_field_f *field, const char *text, size_t len, struct query *ret_query,
    struct query_errors *errors) NODISCARD;
/* The same from a JSON object: same names, lists as arrays (of numbers or strings) or as in the
 * query string, single values as JSON strings, numbers or booleans. Duplicate names are errors.
 * A body with more values than a query may have is refused before its other faults are looked
 * for. */
enum status query_parse_json(struct arena *a, enum query_use use, enum query_format preferred,
    query_field_f *field, const char *text, size_t len, struct query *ret_query,
    struct query_errors *errors) NODISCARD;

/* --- canonical form (canon.c) */

/* Appends the canonical text of kind, scope and filter: equal for equal queries whatever the order,
 * repetition or spelling of what was asked (dates in seconds, labels as values), different for
 * different ones. It is also what query_from_canon() reads. */
void query_canon(const struct query *q, struct buf *text);
/* Takes exactly what query_canon() writes for a query that is whole and without conflicts; the
 * view in *ret_query is the defaults.
 *   STATUS_OK, STATUS_CORRUPT (any other text), STATUS_NO_MEMORY */
enum status query_from_canon(
    struct arena *a, const char *text, size_t len, struct query *ret_query) NODISCARD;
/* Only the policies of a canonical text; none if it is by posture, or of no query. What stands
 * behind them, which can be megabytes, is not read.
 *   STATUS_OK, STATUS_CORRUPT, STATUS_NO_MEMORY */
enum status query_canon_policies(
    struct arena *a, const char *text, size_t len, struct id_list *ret_policies) NODISCARD;
void query_digest(const char *text, size_t len, uint8_t ret_digest[SHA256_BYTES]);
/* Both, of a query: its text into an empty buffer, and the digest of that. A failure is the buffer's. */
enum status query_name(
    const struct query *q, struct buf *text, uint8_t ret_digest[SHA256_BYTES]) NODISCARD;

/* --- cursor (cursor.c) */

/* Where a walk stands; complete in itself. */
struct cursor {
	uint64_t
	    result; /* id of the result it is pinned to, or that the fetch it follows will make */
	uint64_t position;   /* ordinal of the next record to look at */
	uint8_t query[16];   /* first half of the query's digest */
	uint8_t consumer[8]; /* of the consumer it was made for */
	uint64_t fields;     /* of the view */
	uint16_t limit;
	uint8_t format; /* enum query_format */
	/* The position is in a call that had not ended. If it was made again since, what was shown of
	 * it has to have come again in the same order. */
	bool inside;
	uint32_t call, attempt; /* that was read */
	uint64_t trail;         /* of the records before it in this call (answer/early.h) */
};

/* A format byte, the fields above and the first 16 bytes of an HMAC-SHA-256, as base64url. The
 * last three are there only inside of a call. They and the position are masked: its holder may not be
 * told of records that it does not see. */
#define CURSOR_SIGNED_BYTES (1 + 8 + 8 + 16 + 8 + 8 + 2 + 1 + 16)
#define CURSOR_MOST_BYTES (CURSOR_SIGNED_BYTES + 4 + 4 + 8)
#define CURSOR_TEXT_BYTES CRYPTO_BASE64_BYTES(CURSOR_MOST_BYTES) /* at most */

void cursor_encode(
    const struct cursor *c, const uint8_t key[SHA256_BYTES], char ret_text[CURSOR_TEXT_BYTES]);
/* STATUS_OK or STATUS_BAD_CURSOR: malformed, of another format, or signed with another key. */
enum status cursor_decode(const char *text, size_t len, const uint8_t key[SHA256_BYTES],
    struct cursor *ret_cursor) NODISCARD;

#endif
