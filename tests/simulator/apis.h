/* The calls of the simulated upstream by name; the control surface uses the same names. */
#ifndef SIM_APIS_H
#define SIM_APIS_H

enum api { API_AUTH, API_POLICY_LIST, API_HOSTIDS, API_POSTURE_INFO, API_OTHER, APIS };

extern const char *const api_names[APIS];

/* The API of that name, or APIS. */
enum api api_find(const char *name);

#endif
