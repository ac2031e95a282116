/* clang-format off */
/* What each version of each call is like. A version that is not here, or is named in the option
 * `retired`, answers with `retired-status`. Its parameters are a column of params_table.h.
 *
 *    UPSTREAM(api, number: 5 is "5.0", most policies a call (0: any), traits, members)
 *
 * Traits are TRAIT_* of ask.h. Members are the SHOW_* of data.h that its records can have at all;
 * evidence, cloudMetaData and qds are there only where a call asks for them.
 */
UPSTREAM(POLICY_LIST,  1,  0, 0, 0)
UPSTREAM(POLICY_LIST,  2,  0, 0, 0)

UPSTREAM(HOSTIDS,      1, 10, TRAIT_SCA | TRAIT_WANTS_POLICIES, 0)
UPSTREAM(HOSTIDS,      2, 10, TRAIT_SCA | TRAIT_WANTS_POLICIES, 0)
UPSTREAM(HOSTIDS,      3,  0, TRAIT_MANAGER, 0)
UPSTREAM(HOSTIDS,      4,  0, TRAIT_MANAGER, 0)
UPSTREAM(HOSTIDS,      5,  0, TRAIT_MANAGER, 0)

UPSTREAM(POSTURE_INFO, 1, 10, TRAIT_SCA, SHOW_EVIDENCE | SHOW_RESOURCE_EARLY)
UPSTREAM(POSTURE_INFO, 2, 10, TRAIT_SCA,
    SHOW_EVIDENCE | SHOW_UPDATED | SHOW_EXTENDED | SHOW_GROUPS)
UPSTREAM(POSTURE_INFO, 3,  0, 0,
    SHOW_EVIDENCE | SHOW_UPDATED | SHOW_EXTENDED | SHOW_GROUPS | SHOW_DESCRIPTION | SHOW_CLOUD |
    SHOW_CLOUD_TEXT)
UPSTREAM(POSTURE_INFO, 4,  0, 0,
    SHOW_EVIDENCE | SHOW_UPDATED | SHOW_EXTENDED | SHOW_GROUPS | SHOW_DESCRIPTION | SHOW_CLOUD |
    SHOW_CLOUD_OBJECT)
UPSTREAM(POSTURE_INFO, 5,  0, TRAIT_POSTURE_IDS,
    SHOW_EVIDENCE | SHOW_UPDATED | SHOW_EXTENDED | SHOW_GROUPS | SHOW_DESCRIPTION | SHOW_CLOUD |
    SHOW_CLOUD_TEXT | SHOW_CLOUD_OBJECT | SHOW_QDS | SHOW_UNKNOWN)
