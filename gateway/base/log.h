/* The log: one line an event, `time level event key=value …`.
 *
 * Who decides logs, once; helpers return a status instead. Never a secret, a token, a consumer's
 * key or an upstream body. Text from outside goes through log_q(): quoted, escaped, cut.
 *
 * Threads: any, after log_init().
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

#include "gateway/base/attr.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lines go to fd (not closed by the log). */
void log_init(int fd, enum log_level most);
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* `text` in quotes, at most 200 bytes of it. Valid until the fourth next call in this thread. */
const char *log_q(const char *text, size_t len);

#endif
