#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "gateway/base/csv.h"

static bool
is_formula(const char *text, size_t len)
{
	return len > 0 && text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
}

static bool
needs_quotes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '"' || text[i] == ',' || text[i] == '\r' || text[i] == '\n')
			return true;
	return len == 0;
}

/* Every quote twice. */
static void
add_quoted(struct buf *b, const char *text, size_t len)
{
	const char *quote;
	while (len > 0 && (quote = memchr(text, '"', len)) != NULL) {
		size_t run = (size_t)(quote - text) + 1;
		buf_add(b, text, run);
		buf_byte(b, '"');
		text += run;
		len -= run;
	}
	buf_add(b, text, len);
}

void
csv_text(struct buf *b, const char *text, size_t len)
{
	bool quotes = needs_quotes(text, len);
	if (quotes)
		buf_byte(b, '"');
	if (is_formula(text, len))
		buf_byte(b, '\'');
	add_quoted(b, text, len);
	if (quotes)
		buf_byte(b, '"');
}
