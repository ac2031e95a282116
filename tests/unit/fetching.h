/* A fetch as requests see it: a flight, and what its calls commit to a stage of the store, played by a test
 * program call by call. */
#ifndef UNIT_FETCHING_H
#define UNIT_FETCHING_H

#include "gateway/fetch/flight.h"
#include "tests/unit/store.h"

#define CALLS_MOST 8

struct fetching {
	struct flights *flights;
	struct flight *flight;
	struct cache_stage *stage;
	struct cache_part *part[CALLS_MOST]; /* of the attempt under way */
	uint32_t attempt[CALLS_MOST];
	struct cache_part_info info[CALLS_MOST];
};

/* The program's own: the record that has this ID, of this call. */
static void add(struct cache_part *part, uint32_t call, uint64_t id);

static inline void
on_committed(void *ctx, uint32_t call, uint32_t attempt, uint64_t records)
{
	struct fetching *f = ctx;
	flight_committed(f->flight, call, attempt, records);
}

static inline void
stage(struct fetching *f)
{
	const struct cache_stage_events events = {on_committed, f};
	ck_status(cache_stage_open(cache, &events, NOW, &f->stage), STATUS_OK);
	flight_asks(f->flight, "5.0", NOW);
	flight_staged(f->flight, cache_stage_id(f->stage));
	memset(f->attempt, 0, sizeof f->attempt);
}

static inline void
begin(struct fetching *f)
{
	bool leader;
	*f = (struct fetching){.flights = flights_new()};
	ck_assert_ptr_nonnull(f->flights);
	f->flight = flight_join(f->flights, digest, TEXT, strlen(TEXT), "team", &leader);
	ck_assert(f->flight != NULL && leader);
}

static inline struct cache_part *
part_of(struct fetching *f, uint32_t call)
{
	struct cache_part **part = &f->part[call];
	if (*part == NULL)
		ck_status(cache_part_open(f->stage, call, f->attempt[call], part), STATUS_OK);
	return *part;
}

static inline void
commit_list(struct fetching *f, uint32_t call, const uint64_t *ids, size_t count)
{
	struct cache_part *part = part_of(f, call);
	for (size_t i = 0; i < count; i++)
		add(part, call, ids[i]);
	ck_status(cache_part_commit(part), STATUS_OK);
}

#define COMMIT(f, call, ...)                                                                       \
	do {                                                                                       \
		const uint64_t ids_[] = {__VA_ARGS__};                                             \
		commit_list(f, call, ids_, ARRAY_LEN(ids_));                                       \
	} while (0)

/* The call has ended well. */
static inline void
end_call(struct fetching *f, uint32_t call)
{
	commit_list(f, call, NULL, 0);
	f->info[call] = cache_part_info(f->part[call]);
	cache_part_close(f->part[call]);
	f->part[call] = NULL;
	flight_call_ended(f->flight, call, f->info[call].attempt, f->info[call].records);
}

/* The attempt has failed; there will be another one. */
static inline void
fail_call(struct fetching *f, uint32_t call)
{
	cache_part_drop(f->part[call]);
	f->part[call] = NULL;
	f->attempt[call]++;
}

/* The fetch begins anew, in another version. */
static inline void
restage(struct fetching *f)
{
	for (size_t i = 0; i < CALLS_MOST; i++) {
		cache_part_drop(f->part[i]);
		f->part[i] = NULL;
	}
	cache_stage_abandon(f->stage);
	stage(f);
}

/* It has ended well. The result is the caller's to release. */
static inline struct cache_result *
publish(struct fetching *f, const struct cache_manifest *m)
{
	struct cache_result *result = store_publish(f->stage, m);
	f->stage = NULL;
	flight_end(f->flight, STATUS_OK, 0, result);
	return result;
}

static inline void
fetching_fini(struct fetching *f)
{
	for (size_t i = 0; i < CALLS_MOST; i++)
		cache_part_close(f->part[i]);
	cache_stage_abandon(f->stage);
	flight_release(f->flight);
	flights_free(f->flights);
}

#endif
