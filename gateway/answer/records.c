#include "config.h"

#include "gateway/answer/records.h"
#include "gateway/fetch/normalise.h"

bool
record_is_whole(const struct record_transform *t)
{
	return t->fields == 0 && t->hide == 0;
}

enum status
record_add(const struct record_transform *t, const char *body, size_t len, struct buf *out)
{
	bool all = t->fields == 0;
	if (!record_is_whole(t))
		return normal_project(body, len, all ? UINT64_MAX : t->fields, all, t->hide, out);
	buf_add(out, body, len);
	return out->err;
}

enum status
records_add(const struct records *r, const struct row *rows, size_t count, bool follows,
    size_t room, struct buf *out, size_t *ret_covered)
{
	size_t mark = out->len, len, covered;
	const char *bytes;
	if (!record_is_whole(&r->transform))
		count = 1;
	enum status st =
	    cache_view_bodies(r->view, &r->source, rows, count, &bytes, &len, &covered);
	if (st == STATUS_OK && covered > 1 && follows + len > room)
		st = cache_view_bodies(r->view, &r->source, rows, 1, &bytes, &len, &covered);
	if (st != STATUS_OK)
		return st;
	if (follows)
		buf_byte(out, ',');
	st = record_add(&r->transform, bytes, len, out);
	if (st != STATUS_OK)
		return st;
	bool fits = !follows || out->len - mark <= room;
	if (!fits)
		out->len = mark;
	*ret_covered = fits ? covered : 0;
	return STATUS_OK;
}
