/* A fetch of the broad query in place of the one that was asked for (broaden.h): who asks waits for that,
 * and takes out of it what he wants, as from any broader fetch under way. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/broaden.h"
#include "gateway/metrics.h"
#include "gateway/request_state.h"

/* Who wants it as new as can be wants that and no more, now; and who takes pages before the end takes
 * those of his own query. In the old protocol records leave before the end of a fetch has come, which
 * alone tells whether a broader one has what they are taken from. */
static bool
may_wait_for_more(const struct request *r)
{
	const struct source *s = r->source;
	bool forces = r->conditions.no_cache && r->consumer->force;
	return r->legacy == NULL && !s->query.partial && !forces && strcmp(s->fwd, "request") != 0;
}

static enum status
make_source(const struct broader *b, const char *fwd, struct source *ret)
{
	source_init(ret);
	ret->query = b->query;
	ret->fwd = fwd;
	ret->alone = true;
	memcpy(ret->digest, b->digest, SHA256_BYTES);
	buf_add(&ret->canon, b->canon.data, b->canon.len);
	return ret->canon.err;
}

static void
take_flight(const struct request *r, struct source *own, struct source *broad)
{
	struct flight_view v;
	own->flight = broad->flight;
	own->follows = true;
	own->began = broad->began;
	own->leads = broad->leads;
	broad->flight = NULL;
	if (!own->leads)
		return;
	flight_look(own->flight, &v);
	log_event(LOG_INFO, "broad", "request=%s fetch=%" PRIx64, r->id, v.id);
	metrics_broad(r->gateway->stats);
}

/* What is said of the broad query's failing is nobody's answer: the own one is tried in its place. */
static bool
begin(struct request *r, const struct broader *b)
{
	struct source broad, *own = r->source;
	struct response leaving = r->response;
	response_init(&r->response);
	enum status st = make_source(b, own->fwd, &broad);
	r->source = &broad;
	/* joined, where another has begun it since it was looked for: that one is followed as any other */
	bool began = st == STATUS_OK && source_begin(r) == STEP_follow && broad.began;
	if (began)
		take_flight(r, own, &broad);
	r->source = own;
	r->status = STATUS_OK;
	response_fini(&r->response);
	r->response = leaving;
	source_fini(&broad);
	return began;
}

bool
source_begin_broad(struct request *r)
{
	const struct source *s = r->source;
	struct broader b;
	if (s->alone)
		return false;
	enum broaden how = broaden(r->gateway, &s->query, s->digest, true, &b);
	bool begun =
	    how == BROADEN_DO && may_wait_for_more(r) && (begin(r, &b) || source_follow_broader(r));
	broader_fini(&b);
	return begun;
}

bool
source_foresee_broad(struct request *r, struct broader *ret)
{
	const struct source *s = r->source;
	return broaden(r->gateway, &s->query, s->digest, false, ret) == BROADEN_DO &&
	       may_wait_for_more(r);
}

bool
source_refresh_broad(struct request *r, bool *ret_begun)
{
	struct broader b;
	struct source broad, *own = r->source;
	enum broaden how = broaden(r->gateway, &own->query, own->digest, true, &b);
	bool does = how == BROADEN_DO || how == BROADEN_RUNS;
	*ret_begun = false;
	if (does && make_source(&b, own->fwd, &broad) == STATUS_OK)
		r->source = &broad;
	if (r->source == &broad)
		*ret_begun = source_refresh(r);
	if (does && *ret_begun)
		metrics_broad(r->gateway->stats);
	r->source = own;
	if (does)
		source_fini(&broad);
	broader_fini(&b);
	return does;
}
