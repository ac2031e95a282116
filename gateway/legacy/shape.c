#include "config.h"

#include <string.h>

#include "gateway/legacy/shape.h"

static const struct shape shapes[] = {
    {"5.0", 0},
    {"4.0", 1},
    {"3.0", 2},
    {"2.0", 3},
    {"1.0", 4},
};

const struct shape *
shape_find(const char *version, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (strlen(shapes[i].version) == len &&
		    memcmp(shapes[i].version, version, len) == 0)
			return &shapes[i];
	return NULL;
}

void
shape_writer_init(struct shape_writer *w)
{
	change_record_init(&w->record);
}

void
shape_writer_fini(struct shape_writer *w)
{
	change_record_fini(&w->record);
}

static bool
null_value(const char *value, size_t len, struct buf *out)
{
	(void)value, (void)len;
	buf_str_add(out, "null");
	return true;
}

/* As 5.0's page shows evidence with extendedEvidenceRequired=0. */
static void
make_basic(struct change_record *r)
{
	static const struct change_member description = CHANGE_INSIDE(evidence, "description");
	change_record_turn_inside(r, NORMAL_evidence, "extendedEvidence", null_value);
	change_record_drop_inside(r, &description, 1);
}

/* What is stored and was not asked for. */
static void
strip(struct change_record *r, const struct shape_view *v)
{
	if (v->hide_evidence)
		change_record_null(r, NORMAL_causeOfFailure);
	if (v->hide_evidence || v->evidence == EVIDENCE_NONE)
		change_record_null(r, NORMAL_evidence);
	else if (v->evidence == EVIDENCE_BASIC)
		make_basic(r);
	if (!v->cloud)
		change_record_drop(r, NORMAL_cloudMetaData);
	if (!v->qds)
		change_record_drop(r, NORMAL_qds);
}

enum status
shape_write(struct shape_writer *w, const struct shape_view *v, const char *body, size_t body_len,
    const uint8_t *memo, size_t memo_len, struct buf *out, uint32_t *io_changes)
{
	struct change_record *r = &w->record;
	enum status st = change_record_load(r, body, body_len, memo, memo_len);
	if (st != STATUS_OK)
		return st;
	strip(r, v);
	uint32_t effects = change_apply(r, v->shape->pairs);
	if (r->err != STATUS_OK)
		return r->err;
	normal_slices_write(&r->slices, out);
	if (out->err != STATUS_OK)
		return out->err;
	*io_changes |= effects;
	return STATUS_OK;
}
