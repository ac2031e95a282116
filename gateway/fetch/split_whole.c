/* Over the functions of split.h alone. */
#include "config.h"

#include <string.h>

#include "gateway/fetch/split.h"

enum status
split_whole(const char *text, size_t len, split_record_f *record, void *ctx, uint64_t *ret_at)
{
	enum status st = STATUS_OK;
	struct split *s = split_new(record, ctx);
	if (s == NULL)
		return STATUS_NO_MEMORY;
	while (len > 0 && st == STATUS_OK) {
		size_t room;
		uint8_t *window = split_window(s, &room);
		size_t n = len < room ? len : room;
		if (window == NULL) {
			st = STATUS_NO_MEMORY;
			break;
		}
		memcpy(window, text, n);
		st = split_advance(s, n);
		text += n;
		len -= n;
	}
	if (st == STATUS_OK)
		st = split_finish(s);
	if (ret_at != NULL)
		*ret_at = split_offset(s);
	split_free(s);
	return st;
}
