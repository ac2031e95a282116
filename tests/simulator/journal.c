#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulator/journal.h"

void
journal_init(struct journal *j, size_t size)
{
	*j = (struct journal){.size = size, .ring = sim_alloc(size * sizeof(*j->ring))};
}

static void
entry_free(struct entry *e)
{
	free(e->method);
	free(e->uri);
	sbuf_free(&e->headers);
	sbuf_free(&e->body);
	*e = (struct entry){0};
}

void
journal_fini(struct journal *j)
{
	for (size_t i = 0; i < j->size; i++)
		entry_free(&j->ring[i]);
	free(j->ring);
}

void
journal_reset(struct journal *j)
{
	for (size_t i = 0; i < j->size; i++)
		entry_free(&j->ring[i]);
	for (unsigned i = 0; i < APIS; i++) /* who is held now will say so when let go */
		j->tally[i] = (struct tally){.held = j->tally[i].held};
	j->logins = 0;
	/* numbers go on, so that a running call never takes another one's entry for its own */
}

uint64_t
journal_begin(struct journal *j, enum api api, const char *method, const char *uri, int64_t at_ms)
{
	struct entry *e = &j->ring[++j->number % j->size];
	entry_free(e);
	e->number = j->number;
	e->api = api;
	e->began_ms = at_ms;
	e->method = strdup(method);
	e->uri = strdup(uri);
	j->tally[api].calls++;
	return j->number;
}

struct entry *
journal_entry(struct journal *j, uint64_t number)
{
	struct entry *e = &j->ring[number % j->size];
	return e->number == number ? e : NULL;
}

void
journal_end(struct journal *j, uint64_t number, enum api api, enum outcome outcome, unsigned status,
    int64_t at_ms)
{
	struct tally *t = &j->tally[api];
	if (outcome == OUTCOME_DONE)
		t->done++;
	else
		t->broken++;
	t->status[status < JOURNAL_STATUSES ? status : 0]++;
	struct entry *e = journal_entry(j, number);
	if (e == NULL)
		return;
	e->outcome = outcome;
	e->status = status;
	e->ended_ms = at_ms;
}

static void
tally_json(const struct tally *t, struct sbuf *text)
{
	sbuf_printf(text,
	    "{\"calls\":%" PRIu64 ",\"done\":%" PRIu64 ",\"broken\":%" PRIu64 ",\"held\":%" PRIu64
	    ",\"tooOften\":%" PRIu64 ",\"tooMany\":%" PRIu64 ",\"unauthorized\":%" PRIu64
	    ",\"faults\":%" PRIu64 ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"status\":{",
	    t->calls, t->done, t->broken, t->held, t->too_often, t->too_many, t->unauthorized,
	    t->faults, t->records, t->bytes);
	const char *comma = "";
	for (unsigned i = 0; i < JOURNAL_STATUSES; i++)
		if (t->status[i] > 0) {
			sbuf_printf(text, "%s\"%u\":%" PRIu64, comma, i, t->status[i]);
			comma = ",";
		}
	sbuf_text(text, "}}");
}

static void
entry_json(struct entry *e, bool bodies, struct sbuf *text)
{
	static const char *const outcomes[] = {"running", "done", "broken"};
	sbuf_printf(text,
	    "{\"number\":%" PRIu64
	    ",\"api\":\"%s\",\"outcome\":\"%s\",\"status\":%u,\"beganMs\":%" PRId64
	    ",\"ms\":%" PRId64 ",\"method\":",
	    e->number, api_names[e->api], outcomes[e->outcome], e->status, e->began_ms,
	    e->outcome == OUTCOME_RUNNING ? 0 : e->ended_ms - e->began_ms);
	sbuf_json(text, e->method);
	sbuf_text(text, ",\"uri\":");
	sbuf_json(text, e->uri);
	sbuf_printf(text,
	    ",\"authorization\":%s,\"headers\":%s,\"fault\":", e->authorized ? "true" : "false",
	    e->headers.len > 0 ? sbuf_str(&e->headers) : "{}");
	if (e->fault != NULL)
		sbuf_json(text, e->fault);
	else
		sbuf_text(text, "null");
	sbuf_printf(text, ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"bodyBytes\":%" PRIu64,
	    e->records, e->bytes, e->body_bytes);
	if (bodies) {
		sbuf_text(text, ",\"body\":");
		sbuf_json(text, sbuf_str(&e->body));
	}
	sbuf_text(text, "}");
}

void
journal_json(struct journal *j, size_t last, bool bodies, struct sbuf *text)
{
	sbuf_printf(text, "\"logins\":%" PRIu64 ",\"apis\":{", j->logins);
	for (unsigned i = 0; i < APIS; i++) {
		sbuf_printf(text, "%s\"%s\":", i == 0 ? "" : ",", api_names[i]);
		tally_json(&j->tally[i], text);
	}
	sbuf_text(text, "},\"requests\":[");
	const char *comma = "";
	uint64_t first = j->number > last ? j->number - last + 1 : 1;
	for (uint64_t n = first; n <= j->number; n++) {
		struct entry *e = journal_entry(j, n);
		if (e == NULL)
			continue;
		sbuf_text(text, comma);
		entry_json(e, bodies, text);
		comma = ",";
	}
	sbuf_text(text, "]");
}
