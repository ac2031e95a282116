#include "config.h"

#include <string.h>
#include <time.h>

#include "tests/simulator/dates.h"

/* Reads two or four digits; -1 if they are not. */
static int
digits(const char *p, int count)
{
	int value = 0;
	for (int i = 0; i < count; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		value = value * 10 + (p[i] - '0');
	}
	return value;
}

static bool
day_parse(const char *text, struct tm *ret_tm)
{
	struct tm tm = {0};
	int year = digits(text, 4);
	if (year < 1970 || text[4] != '-' || text[7] != '-')
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = digits(text + 5, 2) - 1;
	tm.tm_mday = digits(text + 8, 2);
	struct tm normal = tm;
	timegm(&normal);
	if (tm.tm_mon < 0 || tm.tm_mday < 1 || normal.tm_mday != tm.tm_mday ||
	    normal.tm_mon != tm.tm_mon)
		return false; /* 30 February and the like */
	*ret_tm = tm;
	return true;
}

bool
date_parse(const char *text, struct date_bound *ret_bound)
{
	size_t len = strlen(text);
	struct tm tm;
	if ((len != 10 && len != 20) || !day_parse(text, &tm))
		return false;
	if (len == 10) {
		int64_t day = timegm(&tm);
		*ret_bound = (struct date_bound){day, day + DAY_S - 1};
		return true;
	}
	tm.tm_hour = digits(text + 11, 2);
	tm.tm_min = digits(text + 14, 2);
	tm.tm_sec = digits(text + 17, 2);
	if (text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z')
		return false;
	if (tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
	    tm.tm_sec > 59)
		return false;
	int64_t second = timegm(&tm);
	*ret_bound = (struct date_bound){second, second};
	return true;
}

static char *
put2(char *p, unsigned value)
{
	p[0] = (char)('0' + value / 10);
	p[1] = (char)('0' + value % 10);
	return p + 2;
}

/* gmtime_r() would cost more than the rest of a record: this is the usual conversion of a day
 * number to the calendar, with years beginning in March. */
void
date_add(struct sbuf *b, int64_t at_s)
{
	uint32_t days = (uint32_t)(at_s / DAY_S) + 719468u;
	uint32_t second = (uint32_t)(at_s % DAY_S);
	uint32_t era = days / 146097, doe = days % 146097;
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint32_t mp = (5 * doy + 2) / 153;
	uint32_t month = mp < 10 ? mp + 3 : mp - 9;
	uint32_t year = era * 400 + yoe + (month <= 2);
	char *p = sbuf_room(b, 22);
	*p++ = '"';
	p = put2(put2(p, year / 100), year % 100);
	*p++ = '-';
	p = put2(p, month);
	*p++ = '-';
	p = put2(p, doy - (153 * mp + 2) / 5 + 1);
	*p++ = 'T';
	p = put2(p, second / 3600);
	*p++ = ':';
	p = put2(p, second / 60 % 60);
	*p++ = ':';
	p = put2(p, second % 60);
	*p++ = 'Z';
	*p = '"';
	b->len += 22;
}
