/* Dates as the upstream spells them: YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, seconds since 1970 UTC. */
#ifndef SIM_DATES_H
#define SIM_DATES_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulator/sbuf.h"

#define DAY_S 86400

/* What a date in a parameter covers: one second, or the whole day. */
struct date_bound {
	int64_t first_s, last_s;
};

bool date_parse(const char *text, struct date_bound *ret_bound);
void date_add(struct sbuf *b, int64_t at_s); /* "YYYY-MM-DDTHH:MM:SSZ", with its quotes */

#endif
