/* The only place that asks what time it is and that waits for time to pass.
 *
 * Wall time is for what leaves the process (dates, ages over restarts); every wait and every
 * lifetime inside the process runs on the monotonic clock, so that a step of the wall clock
 * neither ends nor prolongs anything.
 *
 * clock_system.c asks and waits; tests/clock/clock_moved.c is linked in its place where a test has
 * to move the time. clock.c has the dates.
 *
 * Threads: any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

int64_t clock_wall_ms(void); /* since 1970-01-01T00:00:00Z */
int64_t clock_mono_ms(void); /* since some moment before the process */
int64_t clock_mono_us(void); /* the same clock, for what takes less than a millisecond */

/* A condition variable for clock_wait(). */
void clock_cond_init(pthread_cond_t *cond);

/* Waits on cond until `until_ms` (monotonic; CLOCK_NEVER: without end). False once the time is
 * reached. May wake early: test your condition in a loop. */
bool clock_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms);

/* --- dates as text (RFC 3339, UTC, whole seconds) */
#define CLOCK_TEXT_BYTES 21
/* "2026-11-22T10:00:00Z" and a NUL into text. Years 1970-9999; beyond them the nearest of these. */
void clock_text(int64_t wall_s, char text[CLOCK_TEXT_BYTES]);
/* The HTTP form, "Sun, 22 Nov 2026 10:00:00 GMT" (RFC 9110 5.6.7). */
#define CLOCK_HTTP_BYTES 30
void clock_http_text(int64_t wall_s, char text[CLOCK_HTTP_BYTES]);
/* Reads exactly YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, a real date of the years 1970-9999. A date
 * alone is its first second, and *ret_date_only says so. False if it is anything else. */
bool clock_parse(const char *text, size_t len, int64_t *ret_wall_s, bool *ret_date_only);

#endif
