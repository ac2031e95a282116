#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/simulator/holds.h"
#include "tests/simulator/sbuf.h"

void
holds_fini(struct holds *l)
{
	hold_release(l, 0, -1);
}

uint64_t
hold_add(struct holds *l, const struct hold *wanted)
{
	struct hold *hold = sim_alloc(sizeof(*hold));
	*hold = *wanted;
	hold->id = ++l->made;
	hold->next = NULL;
	struct hold **end = &l->first;
	while (*end != NULL)
		end = &(*end)->next;
	*end = hold;
	return hold->id;
}

void
hold_release(struct holds *l, uint64_t id, int64_t count)
{
	struct hold **at = &l->first;
	while (*at != NULL) {
		struct hold *hold = *at;
		if (id != 0 && hold->id != id) {
			at = &hold->next;
		} else if (count < 0) {
			*at = hold->next;
			free(hold);
		} else {
			hold->released += (uint64_t)count;
			at = &hold->next;
		}
	}
}

struct hold_ticket
hold_join(struct holds *l, enum api api, const char *uri, const char *body)
{
	for (struct hold *hold = l->first; hold != NULL; hold = hold->next) {
		if (hold->times == 0 || (hold->api != APIS && hold->api != api))
			continue;
		if (strstr(uri, hold->match) == NULL && strstr(body, hold->match) == NULL)
			continue;
		if (hold->skip > 0) {
			hold->skip--;
			break;
		}
		if (hold->times > 0)
			hold->times--;
		return (struct hold_ticket){
		    hold->id, hold->joined++, hold->before_head, hold->records};
	}
	return (struct hold_ticket){0};
}

bool
hold_is_waiting(const struct holds *l, const struct hold_ticket *t)
{
	for (const struct hold *hold = l->first; hold != NULL; hold = hold->next)
		if (hold->id == t->hold)
			return t->ticket >= hold->released;
	return false;
}

void
hold_break(struct holds *l, uint64_t id)
{
	for (struct hold *hold = l->first; hold != NULL; hold = hold->next) {
		if (id != 0 && hold->id != id)
			continue;
		hold->times = 0;
		hold->released = hold->broken = hold->joined;
	}
}

bool
hold_is_broken(const struct holds *l, const struct hold_ticket *t)
{
	for (const struct hold *hold = l->first; hold != NULL; hold = hold->next)
		if (hold->id == t->hold)
			return t->ticket < hold->broken;
	return false;
}
