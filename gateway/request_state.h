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
	enum stale stale;  /* of SERVED_STALE */
	bool began;        /* the flight is one that this request has begun */
	bool leads;        /* the flight is of a fetch that this request has begun */
	int64_t waited_us; /* for the flight */
	const char *fwd;   /* why the upstream was needed, as RFC 9211 has it */
	/* when the newest result of a broader query was fetched that has the answer, but is older than the
	 * caller wants it; wall; 0: there is none */
	int64_t too_old_ms;
	bool follows;       /* the flight is of a broader query that has the answer */
	bool alone;         /* one was followed, and had it not: a fetch of its own now; or it is
				    the broad one already */
	bool contained;     /* the result is of a broader query */
	bool foreign;       /* then: of policies, too, that the caller may not see */
	struct implies how; /* then: what is left to do to it */
	struct matches *matches; /* and which of its records are wanted; NULL: all of them */
	/* the flight is of a broader query; then: the hosts that it has to have asked for, whose records
	 * alone are wanted */
	bool widened;
	struct query of_flight;
};

/* What a lookup finds, before anything follows from it. */
enum found {
	FOUND_NOTHING,
	FOUND_FRESH,
	FOUND_STALE, /* to be made anew behind */
	FOUND_OWED,  /* older than was asked for, but what the caller was told to come again for */
	FOUND_KEPT,  /* older still: it stands in while the upstream has announced a wait */
};

/* Where an answer comes from that nothing stored gives, before anything follows from it. */
struct way {
	enum {
		WAY_STORED, /* it has been stored since the lookup */
		WAY_FLIGHT, /* s->flight will bring it */
		WAY_FAILS,  /* a fetch would, as it is known */
		WAY_BEGINS, /* a fetch, if the quota has room for it */
	} leads;
	enum status failure;
	int64_t wait_ms;    /* until it may be tried again */
	const char *detail; /* in the request's arena, or NULL */
};

/* What was looked at for an answer and cannot give it. */
#define REFUSALS_MOST 96
struct refusals {
	struct refusal {
		uint64_t result, fetch; /* one of them; the other is 0 */
		const char *why;        /* a word of docs/api.md, or the name of a parameter */
		const char *query;      /* the beginning of its text; NULL: no memory */
		bool cut;               /* there is more of it */
	} list[REFUSALS_MOST];
	size_t count;
	struct arena *arena; /* for the texts */
};

struct broader; /* broaden.h */
struct legacy;  /* request_legacy.h */

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
	int64_t wait_until_ms;        /* monotonic; 0: it has not begun to wait */
	unsigned refreshes;           /* fetches begun that nobody waits for */
	struct refusals *refusals;    /* NULL, but where somebody wants to know them */
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
/* What lookup and begin decide by, and explain tells: nothing begins, is counted or is settled. What is
 * found stands in r->source. STATUS_OK, or what the store fails with. */
enum status source_choose(struct request *r, enum found *ret) NODISCARD;
void source_find_way(struct request *r, struct way *ret);
bool source_would_refresh(struct request *r); /* a stale result of its own */
enum step source_begin(struct request *r);    /* a fetch, or joins the one that there is */
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
/* Begins a fetch that nobody waits for. False: there is no need, or it would fail. */
bool source_refresh(struct request *r);
/* There is an older result that may be served while the upstream fails. */
bool source_may_stand_in(const struct request *r);
/* The result is older than was asked for, but what the caller was told to come again for. */
bool source_is_owed(const struct request *r, const struct cache_result *result);

/* In request_contained.c: takes a result of a broader query that has the answer, if it is worth what is
 * wanted (fresh, stale, or expired: that one may but stand in; or older than is asked for, but owed).
 * Nothing follows from it yet. */
bool source_take_contained(struct request *r, enum verdict wanted);
/* Likewise: this one, of a broader query. True: it is the source's now, in place of what was there; false:
 * nothing has changed. */
bool source_take_broader(struct request *r, struct cache_result *result);
/* Likewise: finds a fetch under way of a broader query that will have the answer, soon enough; the
 * source's flight from now on (s->follows). */
bool source_follow_broader(struct request *r);
/* Tells r->refusals, if there are any, why a result or a fetch of that query (the other is 0) cannot give the
 * answer, as far as the caller may know of it. */
void source_refused(const struct request *r, const char *text, size_t len, uint64_t result,
    uint64_t fetch, const char *why);
/* `renew` with what is to be made anew in place of r->source: itself, or the broader query that its result
 * is of. Gives what that gives. */
bool source_renew(struct request *r, bool (*renew)(struct request *r));
/* What is left to do to r->source->result, of a broader query, for r->source->query.
 *   STATUS_OK, STATUS_UPSTREAM_BAD_DATA (it may lack something, or is doubtful), or the store's */
enum status source_narrow(struct request *r) NODISCARD;
/* There is nothing left to do: its result is its own. */
void source_forget_rest(struct source *s);
/* Which records of its result the caller sees; borrowed from the source and the consumer. */
struct filter source_filter(const struct request *r, const struct source *s);
/* Likewise of those that its flight brings. */
struct filter source_flight_filter(const struct request *r, const struct source *s);

/* In request_broad.c: begins the fetch of the broad query in place of its own, where that pays. True: its
 * flight is the source's from now on (s->follows, s->began); false: nothing has changed. */
bool source_begin_broad(struct request *r);
/* Likewise only whether it would. *ret is to be ended by broader_fini(), whatever comes back. */
bool source_foresee_broad(struct request *r, struct broader *ret);
/* Likewise one that nobody waits for. True: it is to be fetched so, and *ret_begun as source_refresh(). */
bool source_refresh_broad(struct request *r, bool *ret_begun);

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
