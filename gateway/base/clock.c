/* clock.h, the part that is pure: dates as text. What asks and waits is in clock_system.c. */
#include "config.h"

#include <string.h>
#include <time.h>

#include "gateway/base/clock.h"

/* 9999-12-31T23:59:59Z */
#define LAST_SECOND INT64_C(253402300799)

static struct tm
broken_down(int64_t wall_s)
{
	if (wall_s < 0)
		wall_s = 0;
	if (wall_s > LAST_SECOND)
		wall_s = LAST_SECOND;
	time_t t = (time_t)wall_s;
	struct tm tm;
	gmtime_r(&t, &tm);
	return tm;
}

static void
two_digits(char *at, int value)
{
	at[0] = (char)('0' + value / 10);
	at[1] = (char)('0' + value % 10);
}

void
clock_text(int64_t wall_s, char text[CLOCK_TEXT_BYTES])
{
	struct tm tm = broken_down(wall_s);
	memcpy(text, "0000-00-00T00:00:00Z", CLOCK_TEXT_BYTES);
	two_digits(text, (tm.tm_year + 1900) / 100);
	two_digits(text + 2, (tm.tm_year + 1900) % 100);
	two_digits(text + 5, tm.tm_mon + 1);
	two_digits(text + 8, tm.tm_mday);
	two_digits(text + 11, tm.tm_hour);
	two_digits(text + 14, tm.tm_min);
	two_digits(text + 17, tm.tm_sec);
}

void
clock_http_text(int64_t wall_s, char text[CLOCK_HTTP_BYTES])
{
	/* not strftime: the names must not depend on the locale */
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm tm = broken_down(wall_s);
	memcpy(text, "Ddd, 00 Mmm 0000 00:00:00 GMT", CLOCK_HTTP_BYTES);
	memcpy(text, days[tm.tm_wday], 3);
	two_digits(text + 5, tm.tm_mday);
	memcpy(text + 8, months[tm.tm_mon], 3);
	two_digits(text + 12, (tm.tm_year + 1900) / 100);
	two_digits(text + 14, (tm.tm_year + 1900) % 100);
	two_digits(text + 17, tm.tm_hour);
	two_digits(text + 20, tm.tm_min);
	two_digits(text + 23, tm.tm_sec);
}

static bool
digits(const char *at, size_t n, int *ret)
{
	int value = 0;
	for (size_t i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		value = value * 10 + (at[i] - '0');
	}
	*ret = value;
	return true;
}

bool
clock_parse(const char *text, size_t len, int64_t *ret_wall_s, bool *ret_date_only)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day, hour = 0, minute = 0, second = 0;

	if (len != 10 && len != 20)
		return false;
	if (!digits(text, 4, &year) || text[4] != '-' || !digits(text + 5, 2, &month) ||
	    text[7] != '-' || !digits(text + 8, 2, &day))
		return false;
	if (len == 20 && (text[10] != 'T' || !digits(text + 11, 2, &hour) || text[13] != ':' ||
			     !digits(text + 14, 2, &minute) || text[16] != ':' ||
			     !digits(text + 17, 2, &second) || text[19] != 'Z'))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 ||
	    second > 59)
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (day > month_days[month - 1] + (month == 2 && leap ? 1 : 0))
		return false;

	/* days since 1970-01-01: count years that begin in March, so that the leap day is the last */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;
	int64_t days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
	*ret_wall_s = days * 86400 + hour * 3600 + minute * 60 + second;
	*ret_date_only = len == 10;
	return true;
}
