#include "config.h"

#include <string.h>

#include "tests/simulator/apis.h"

const char *const api_names[APIS] = {"auth", "policyList", "hostids", "postureInfo", "other"};

enum api
api_find(const char *name)
{
	unsigned api = 0;
	while (api < APIS && strcmp(api_names[api], name) != 0)
		api++;
	return (enum api)api;
}
