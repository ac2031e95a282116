/* One request, from nginx and back. The way is in steps.h; what it answers, in endpoint*.c.
 *
 * Threads: request_serve() in any worker; the gateway it is given does not change.
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "cache/cache.h"
#include "gateway/answer/matches.h"
#include "gateway/fetch/fetch.h"
#include "gateway/front/access.h"
#include "gateway/front/quota.h"
#include "gateway/front/workers.h"
#include "gateway/legacy/sunset.h"
#include "gateway/legacy/usage.h"
#include "gateway/ops/settings.h"
#include "gateway/ops/stats.h"

/* All that requests share. */
struct gateway {
	const struct settings *settings;
	struct access *access;
	struct quota *quota;
	struct cache *cache;
	struct flights *flights;
	struct memory *memory;
	struct demand *demand;
	struct fetcher *fetcher;
	struct credential *credential;
	struct budget *budget;
	struct stats *stats;
	struct usage *usage;
	struct matches_store *matches;
	struct versions versions;   /* of the upstream, the settings laid over them */
	struct sunset_rules sunset; /* what is said of those that end */
	const uint8_t *signing_key; /* SHA256_BYTES */
};

/* A worker_serve_f; ctx is the struct gateway. */
void request_serve(void *gateway, struct worker *w, struct fcgi *f);

#endif
