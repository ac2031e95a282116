/* One request under way: what its steps have found so far, each group by the step that writes it.
 * Shared by request*.c, which have the steps, and the endpoints, which write the answers; nobody
 * else's.
 *
 * Threads: one request, one worker.
 */
#ifndef GATEWAY_REQUEST_STATE_H
#define GATEWAY_REQUEST_STATE_H

#include "gateway/answer/early.h"
#include "gateway/answer/export.h"
#include "gateway/answer/page.h"
#include "gateway/base/arena.h"
#include "gateway/front/conditions.h"
#include "gateway/front/media.h"
#include "gateway/front/response.h"
#include "gateway/front/route.h"
#include "gateway/query/implies.h"
#include "gateway/request.h"

enum step {
#define STEP(name, to, what) STEP_##name,
#include "gateway/steps.h"
#undef STEP
	STEP_done
};

/* How the answer came to be, for Cache-Status and the log. */
enum served { SERVED_NONE, SERVED_HIT, SERVED_STALE, SERVED_MISS, SERVED_COLLAPSED, SERVED_COUNT };

/* Why a result that is no longer fresh was served: it is refreshed behind, the fetch failed, the
 * upstream has announced a wait, the consumer's quota is used up. */
enum stale { STALE_AGE, STALE_ERROR, STALE_LIMIT, STALE_QUOTA, STALE_COUNT };

/* Their names in the log and the metrics. */
extern const char *const request_served_names[SERVED_COUNT],
    *const request_stale_names[STALE_COUNT];

/* Where an answer comes from: what is asked for, and the result that serves it, or the flight that
 * makes one. */
struct source {
	/* parse */
	struct query query;
	struct buf canon;
	uint8_t digest[SHA256_BYTES];
	/* lookup, follow */
	struct cache_result *result;
	struct flight *flight;
	enum served served;
	enum stale stale;        /* of SERVED_STALE */
	bool began;              /* the flight is one that this request has begun */
	bool leads;              /* the flight is of a fetch that this request has begun */
	int64_t waited_us;       /* for the flight */
	const char *fwd;         /* why the upstream was needed, as RFC 9211 has it */
	bool contained;          /* the result is of a broader query */
	struct implies how;      /* then: what is left to do to it */
	struct matches *matches; /* and which of its records are wanted; NULL: all of them */
	/* the flight is of a broader query; then: the hosts that it has to have asked for, whose records
	 * alone are wanted */
	bool widened;
	struct query of_flight;
};

struct legacy; /* request_legacy.h */

struct request {
	struct gateway *gateway;
	struct worker *worker;
	struct fcgi *fcgi;
	struct arena arena;
	int64_t begun_us, now_ms; /* monotonic; wall */
	/* read */
	const char *id, *method_text, *uri;
	size_t uri_len;
	enum route_method method;
	struct conditions conditions;
	const char *origin; /* one that may read the answer (front/cors.h), or NULL */
	/* route, authorize */
	struct routed routed;
	enum media media;
	const struct consumer *consumer;
	struct legacy *legacy; /* of a call in the upstream's own protocol, else NULL */
	/* parse */
	struct query_errors errors;
	struct cursor cursor;
	bool walking; /* a cursor came */
	/* parse, lookup, follow */
	struct source first, *source; /* the one at hand: of most requests the only one */
	int64_t may_wait_ms;          /* at most; -1: there is nothing to wait for */
	unsigned refreshes;           /* fetches begun that nobody waits for */
	struct partial {              /* NULL: no page of a fetch under way is wanted */
		struct early early;
		enum early_state state;
		enum status status; /* why there is none */
		bool serves;        /* it is the answer; its records are in the body */
	} * partial;
	/* answer */
	struct response response;
	struct export *export; /* of a whole result: it is in that class of workers; else NULL */
	enum status status;
};

/* The steps, each with its line in steps.h: read, route, authorize, answer and respond in request.c,
 * parse in request_parse.c, lookup and follow in request_source.c. */
#define STEP(name, to, what) enum step step_##name(struct request *r);
#include "gateway/steps.h"
#undef STEP

/* In request_partial.c: pages of a fetch under way (answer/early.h). A walk whose result is not there (yet):
 * follow, if a fetch makes it, else the problem. */
enum step partial_lookup(struct request *r);
/* The source's fetch is under way, or has just ended: from it, if that is wanted and possible. *ret_next is
 * the step that follows; false: the source is to be waited for like any other. */
bool partial_follow(struct request *r, enum step *ret_next);
/* The page, once partial->serves. */
enum step partial_answer(struct request *r);
/* The result of a walk: makes an ordinary cursor of one that was given while it was being fetched. */
enum status partial_settle(struct request *r) NODISCARD;

void source_init(struct source *s);
void source_fini(struct source *s);
/* Writes down the canonical text of s->query (into an empty s->canon) and its digest. */
enum status source_settle(struct source *s) NODISCARD;
/* Of r->source, in request_source.c. Each gives the step that follows: what there is serves (answer), a
 * fetch is needed or under way (follow), or there is a problem (respond). */
enum step source_lookup(struct request *r);
enum step source_begin(struct request *r); /* a fetch, or joins the one that there is */
enum step source_ended(
    struct request *r); /* its flight has: the result, or what source_failed() gives */
enum step source_failed(struct request *r); /* its flight has: something older, or the problem */
/* Waits as long as the caller will, if there is room for one more who waits: calls `wait`, which waits
 * until a time (monotonic) at most and says whether what is waited for has come; so does this. Who may
 * be answered by something older does not wait through what is known to hold everybody up. */
bool source_wait(struct request *r, bool (*wait)(struct request *r, int64_t until_ms));
enum step source_not_yet(struct request *r); /* then: a 202, or something older */
/* The result that a walk goes on in; partial_lookup() where it is not there. */
enum step source_pinned(struct request *r);
/* Its result is gone; `why` may be NULL. */
enum step source_gone(struct request *r, const char *why);
/* The query that a cursor leads to takes the place of what the URL says beside it: its kind, and of the hosts
 * of a policy that policy. STATUS_BAD_CURSOR if that is another endpoint's. */
enum status source_take_query(struct request *r, const struct query *walked) NODISCARD;
/* The quota has no room for its fetch: what is stored, or the problem. */
enum step source_over_quota(struct request *r, int64_t wait_ms, const char *detail);
/* How a flight that has ended well served it. */
enum served source_served(const struct source *s);
/* In request_contained.c: takes a result of a broader query that has the answer, if it is worth what is
 * wanted (fresh, stale, or expired: that one may but stand in). */
bool source_take_contained(struct request *r, enum verdict wanted);
/* What is left to do to r->source->result, of a broader query, for r->source->query.
 *   STATUS_OK, STATUS_UPSTREAM_BAD_DATA (it may lack something, or is doubtful), or the store's */
enum status source_narrow(struct request *r) NODISCARD;
void source_forget_rest(struct source *s);
/* Which records of its result the caller sees; borrowed from the source and the consumer. */
struct filter source_filter(const struct request *r, const struct source *s);
/* Likewise of those that its flight brings. */
struct filter source_flight_filter(const struct request *r, const struct source *s);
/* Begins a fetch that nobody waits for. */
void source_refresh(struct request *r);
/* There is an older result that may be served while the upstream fails. */
bool source_may_stand_in(const struct request *r);

/* A header or parameter from nginx; "" if it is absent. */
const char *request_param(const struct request *r, const char *name);

/* nginx says that the client is in a network that may see what is the operators' (networks.conf). */
bool request_is_internal(const struct request *r);

/* The headers of JSON that nobody keeps; of_key: that depends on who asks, too. */
void request_json(struct request *r);
void request_json_of_key(struct request *r);

/* The answer becomes a problem; what was written of it is gone. `detail` may be NULL. */
enum step request_problem(struct request *r, enum status st, const char *detail);
/* 400 with everything in r->errors. */
enum step request_problem_errors(struct request *r, const char *detail);
enum step request_problem_later(struct request *r, enum status st, int64_t retry_after_ms);
/* extra: more members as response_problem() takes them, or NULL. */
enum step request_problem_more(struct request *r, enum status st, const char *detail,
    int64_t retry_after_ms, const char *extra);

#endif
