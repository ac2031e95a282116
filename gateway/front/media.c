#include "config.h"

#include "gateway/base/attr.h"
#include "gateway/front/conditions.h"
#include "gateway/front/media.h"

static const struct {
	const char *range, *type;
} medias[] = {
#define MEDIA(name, range, type) {range, type},
#include "gateway/front/media_table.h"
#undef MEDIA
};

static const struct {
	enum route route;
	enum media media;
} offers[] = {
#define OFFER(route, media) {ROUTE_##route, MEDIA_##media},
#include "gateway/front/media_table.h"
#undef OFFER
};

/* Takes the type if it weighs more than the best so far. */
static void
weigh(const char *accept, enum media media, unsigned *best, enum media *ret)
{
	unsigned weight = accept[0] == '\0' ? 1000 : conditions_accept(accept, medias[media].range);
	if (weight > *best) {
		*best = weight;
		*ret = media;
	}
}

bool
media_choose(enum route route, const char *accept, enum media *ret)
{
	unsigned best = 0;
	bool listed = false;
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		if (offers[i].route != route)
			continue;
		listed = true;
		weigh(accept, offers[i].media, &best, ret);
	}
	if (!listed)
		weigh(accept, MEDIA_JSON, &best, ret);
	return best > 0;
}

const char *
media_type(enum media media)
{
	return medias[media].type;
}
