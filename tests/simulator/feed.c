#include "config.h"

#include <stdlib.h>

#include "tests/simulator/feed.h"
#include "tests/simulator/gzip.h"

#define READ_BYTES ((size_t)128 * 1024)

struct feed {
	struct corpus *corpus;
	struct ask ask;
	unsigned show;
	int64_t created_s;
	struct gzip *gzip; /* NULL: plain */
	struct sbuf json;  /* what goes into gzip */
	uint64_t records, bytes, pause_at;
	bool begun, ended;
	/* batches in the order in which they are sent, with the number that each bears */
	struct batch {
		uint32_t index, number;
	} * batches;
	uint32_t batch_count, batch_total, batch_at;
	uint64_t batch_bytes;
	/* where it stands */
	size_t unit, unit_end; /* targets of this batch, or IDs of this span */
	uint32_t control;
	bool in_host;
	struct host host;
	struct host_text text;
	size_t span;
};

/* --- batches */

static size_t
batch_first(const struct feed *f, uint32_t index)
{
	return (size_t)index * (size_t)f->corpus->opt.batch_hosts;
}

static size_t
batch_end(const struct feed *f, uint32_t index)
{
	size_t end = batch_first(f, index + 1);
	return end < f->ask.target_count ? end : f->ask.target_count;
}

static bool
host_matches(const struct feed *f, const struct target *target)
{
	struct host host;
	struct posture posture;
	host_at(f->corpus, target->p, target->h, &host);
	if (host.empty || !ask_wants_host(&f->ask, f->corpus, &host))
		return false;
	for (uint32_t control = 0; control < f->corpus->opt.controls; control++) {
		posture_at(f->corpus, &host, control, &posture);
		if (ask_wants(&f->ask, f->corpus, &host, &posture))
			return true;
	}
	return false;
}

static bool
batch_matches(const struct feed *f, uint32_t index)
{
	for (size_t i = batch_first(f, index); i < batch_end(f, index); i++)
		if (host_matches(f, &f->ask.targets[i]))
			return true;
	return false;
}

/* Which batches there are, and in what order they go out: never ascending if there are several. */
static void
batches_plan(struct feed *f)
{
	const struct options *opt = &f->corpus->opt;
	uint32_t all = (uint32_t)((f->ask.target_count + (size_t)opt->batch_hosts - 1) /
				  (size_t)opt->batch_hosts);
	f->batches = sim_alloc(all * sizeof(*f->batches));
	for (uint32_t i = 0; i < all; i++)
		if (batch_matches(f, i)) {
			f->batches[f->batch_count] = (struct batch){
			    i, opt->batches == BATCHES_SKIP ? i + 1 : f->batch_count + 1};
			f->batch_count++;
		}
	f->batch_total = opt->batches == BATCHES_SKIP ? all : f->batch_count;
	uint64_t state = (uint64_t)opt->order * 2654435761u + 88172645463325252u;
	for (uint32_t i = f->batch_count; i > 1; i--) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		uint32_t j = (uint32_t)(state % (i - 1)); /* Sattolo: no batch stays in its place */
		struct batch kept = f->batches[i - 1];
		f->batches[i - 1] = f->batches[j];
		f->batches[j] = kept;
	}
}

/* --- records */

struct feed *
feed_new(struct corpus *c, struct ask *a, int64_t created_s)
{
	struct feed *f = sim_alloc(sizeof(*f));
	f->corpus = corpus_ref(c);
	f->ask = *a;
	f->show = ask_show(a);
	*a = (struct ask){0};
	f->created_s = created_s;
	f->pause_at = UINT64_MAX;
	batches_plan(f);
	if (f->batch_count > 0) {
		f->unit = batch_first(f, f->batches[0].index);
		f->unit_end = batch_end(f, f->batches[0].index);
	}
	return f;
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	ask_free(&f->ask);
	gzip_free(f->gzip);
	sbuf_free(&f->json);
	host_text_free(&f->text);
	free(f->batches);
	corpus_unref(f->corpus);
	free(f);
}

void
feed_compress(struct feed *f, bool compress)
{
	gzip_free(f->gzip);
	f->gzip = compress ? gzip_new() : NULL;
}

void
feed_pause_at(struct feed *f, uint64_t records)
{
	f->pause_at = records;
}

static void
add_record(struct feed *f, const struct posture *posture, struct sbuf *b)
{
	struct batch_mark mark = {1, 1, &f->batch_bytes};
	if (f->ask.span_count == 0 && f->corpus->opt.batches != BATCHES_ONE) {
		mark.current = f->batches[f->batch_at].number;
		mark.total = f->batch_total;
	}
	if (f->records++ > 0)
		sbuf_add(b, ",", 1);
	record_add(f->corpus, &f->host, &f->text, posture, f->show, &mark, f->created_s, b);
}

/* The next posture of a list of IDs; false: no more. */
static bool
next_by_id(struct feed *f, struct posture *ret_posture)
{
	while (f->span < f->ask.span_count) {
		const struct id_span *span = &f->ask.spans[f->span];
		uint64_t id = span->first + f->unit;
		if (id > span->last) {
			f->span++;
			f->unit = 0;
			continue;
		}
		f->unit++;
		struct host host;
		uint32_t control;
		if (!posture_find(f->corpus, id, &host, &control) ||
		    !ask_wants_host(&f->ask, f->corpus, &host))
			continue;
		posture_at(f->corpus, &host, control, ret_posture);
		if (!ask_wants(&f->ask, f->corpus, &host, ret_posture))
			continue;
		if (!f->in_host || host.id != f->host.id || host.p != f->host.p)
			host_text_make(f->corpus, &host, f->show, &f->text);
		f->host = host;
		f->in_host = true;
		return true;
	}
	return false;
}

/* Goes to the next host with something to say; false: no more. */
static bool
next_host(struct feed *f)
{
	while (f->batch_at < f->batch_count) {
		if (f->unit == f->unit_end) {
			if (++f->batch_at == f->batch_count)
				break;
			f->unit = batch_first(f, f->batches[f->batch_at].index);
			f->unit_end = batch_end(f, f->batches[f->batch_at].index);
			f->batch_bytes = 0;
			continue;
		}
		const struct target *target = &f->ask.targets[f->unit++];
		host_at(f->corpus, target->p, target->h, &f->host);
		if (f->host.empty || !ask_wants_host(&f->ask, f->corpus, &f->host))
			continue;
		host_text_make(f->corpus, &f->host, f->show, &f->text);
		f->control = 0;
		f->in_host = true;
		return true;
	}
	return false;
}

static bool
next_by_host(struct feed *f, struct posture *ret_posture)
{
	for (;;) {
		if (!f->in_host && !next_host(f))
			return false;
		while (f->control < f->corpus->opt.controls) {
			posture_at(f->corpus, &f->host, f->control++, ret_posture);
			if (ask_wants(&f->ask, f->corpus, &f->host, ret_posture))
				return true;
		}
		f->in_host = false;
	}
}

static enum feed_next
read_json(struct feed *f, struct sbuf *b)
{
	struct posture posture;
	size_t start = b->len;
	enum feed_next next = FEED_MORE;
	if (!f->begun)
		sbuf_add(b, "[", 1);
	f->begun = true;
	while (next == FEED_MORE && b->len - start < READ_BYTES) {
		if (f->records == f->pause_at) {
			f->pause_at = UINT64_MAX;
			next = FEED_PAUSE;
		} else if (f->ask.span_count > 0 ? next_by_id(f, &posture)
						 : next_by_host(f, &posture)) {
			add_record(f, &posture, b);
		} else {
			sbuf_add(b, "]", 1);
			next = FEED_END;
		}
	}
	f->bytes += b->len - start;
	return next;
}

bool
feed_is_empty(struct feed *f)
{
	if (f->ask.span_count == 0)
		return f->batch_count == 0;
	struct posture posture;
	bool empty = !next_by_id(f, &posture);
	f->span = f->unit = 0;
	return empty;
}

enum feed_next
feed_read(struct feed *f, struct sbuf *out)
{
	static const enum gzip_then then[] = {
	    [FEED_MORE] = GZIP_MORE, [FEED_PAUSE] = GZIP_FLUSH, [FEED_END] = GZIP_END};
	if (f->ended)
		return FEED_END;
	f->json.len = 0;
	enum feed_next next = read_json(f, f->gzip != NULL ? &f->json : out);
	if (f->gzip != NULL)
		gzip_add(f->gzip, f->json.data, f->json.len, then[next], out);
	f->ended = next == FEED_END;
	return next;
}

uint64_t
feed_records(const struct feed *f)
{
	return f->records;
}

uint64_t
feed_bytes(const struct feed *f)
{
	return f->bytes;
}
