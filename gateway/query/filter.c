#include "config.h"

#include "gateway/base/ids.h"
#include "gateway/query/filter.h"

static bool
list_has(const struct id_list *list, uint64_t id)
{
	return ids_find(list->ids, list->count, id) < list->count;
}

bool
id_ranges_have(const struct id_ranges *list, uint64_t id)
{
	/* the first range that ends at the ID or behind it is the only one that can hold it */
	size_t low = 0, high = list->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (list->ranges[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list->count && list->ranges[low].first <= id;
}

/* Empty lists and sets of no bits are no filter. */

static bool
in_list(const struct id_list *list, uint64_t id)
{
	return list->count == 0 || list_has(list, id);
}

static bool
in_statuses(unsigned wanted, uint8_t status)
{
	static const unsigned bits[] = {
	    [ROW_STATUS_NONE] = 0,
	    [ROW_PASSED] = STATUS_BIT_PASSED,
	    [ROW_FAILED] = STATUS_BIT_FAILED,
	    [ROW_ERROR] = STATUS_BIT_ERROR,
	    [ROW_STATUS_OTHER] = 0,
	};
	return wanted == 0 || (status < ARRAY_LEN(bits) && (wanted & bits[status]) != 0);
}

/* The same of a row, whose status may be by exception. */
static bool
in_row_statuses(const struct filter *f, unsigned wanted, const struct row *row, uint8_t status,
    unsigned exception)
{
	if (f->exceptions_apart && wanted != 0 && status == ROW_PASSED && (row->flags & exception))
		return false;
	return in_statuses(wanted, status);
}

static bool
in_criticalities(unsigned wanted, uint8_t criticality)
{
	return wanted == 0 || (criticality <= 5 && (wanted & CRITICALITY_BIT(criticality)) != 0);
}

static bool
is_since(int64_t since, uint32_t date)
{
	return since == DATE_NONE ||
	       (date != ROW_DATE_NONE && date != ROW_DATE_UNREADABLE && (int64_t)date >= since);
}

static bool
is_until(int64_t until, uint32_t date)
{
	return until == DATE_NONE ||
	       (date != ROW_DATE_NONE && date != ROW_DATE_UNREADABLE && (int64_t)date <= until);
}

/* The hosts first: who asks for a few of a large result has most of its rows passed over by them. */
static bool
query_matches(const struct filter *f, const struct row *row)
{
	const struct query *q = f->query;
	return in_list(&q->hosts, row->host) &&
	       in_row_statuses(f, q->status, row, row->status, ROW_EXCEPTION) &&
	       in_row_statuses(
		   f, q->previous_status, row, row->previous_status, ROW_PREVIOUS_EXCEPTION) &&
	       in_criticalities(q->criticality, row->criticality) &&
	       is_since(q->evaluated_since, row->evaluated) &&
	       is_since(q->scanned_since, row->scanned) &&
	       is_since(q->scanned_from, row->scanned) && is_until(q->scanned_to, row->scanned) &&
	       is_since(q->changed_since, row->changed) && in_list(&q->policies, row->policy) &&
	       (q->postures.count == 0 || id_ranges_have(&q->postures, row->id));
}

bool
filter_passes_all(const struct filter *f)
{
	const struct query *q = f->query;
	return f->grant == NULL &&
	       (q == NULL || (q->status == 0 && q->previous_status == 0 && q->criticality == 0 &&
				 q->evaluated_since == DATE_NONE && q->scanned_since == DATE_NONE &&
				 q->scanned_from == DATE_NONE && q->scanned_to == DATE_NONE &&
				 q->changed_since == DATE_NONE && q->policies.count == 0 &&
				 q->hosts.count == 0 && q->postures.count == 0));
}

bool
filter_match(const struct filter *f, const struct row *row)
{
	/* an empty grant shows nothing, unlike an empty list of the query */
	return (f->grant == NULL || list_has(f->grant, row->policy)) &&
	       (f->query == NULL || query_matches(f, row));
}

static bool
is_no_status(uint8_t status)
{
	return status == ROW_STATUS_NONE || status == ROW_STATUS_OTHER;
}

static bool
is_no_date(uint32_t date)
{
	return date == ROW_DATE_NONE || date == ROW_DATE_UNREADABLE;
}

bool
filter_doubts(const struct filter *f, const struct row *row)
{
	const struct query *q = f->query;
	if (q == NULL)
		return false;
	bool scanned = q->scanned_since != DATE_NONE || q->scanned_from != DATE_NONE ||
		       q->scanned_to != DATE_NONE;
	return (row->flags & ROW_MISFIT) != 0 || (q->status != 0 && is_no_status(row->status)) ||
	       (q->previous_status != 0 && is_no_status(row->previous_status)) ||
	       (q->criticality != 0 && row->criticality == ROW_CRITICALITY_NONE) ||
	       (q->evaluated_since != DATE_NONE && is_no_date(row->evaluated)) ||
	       (scanned && is_no_date(row->scanned)) ||
	       (q->changed_since != DATE_NONE && is_no_date(row->changed));
}
