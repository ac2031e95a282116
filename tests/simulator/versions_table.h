/* What each version of each call takes. A version that is not here, or is named in the option
 * `retired`, answers with `retired-status`.
 *
 *   UPSTREAM(api, "version", most policies a call (0: any), takes postureId bodies,
 *       knows SCA assets, has members that no document knows, PARAMETERS)
 *
 * PARAMETERS is a set of PARAM_* from params_table.h.
 */
UPSTREAM(POLICY_LIST, "1.0", 0, false, false, false, SET(LAST_EVALUATION))
UPSTREAM(POLICY_LIST, "2.0", 0, false, false, false, SET(LAST_EVALUATION) | SET(TAG_INFO))
UPSTREAM(
    HOSTIDS, "4.0", 0, false, false, false, SET(POLICY_ID) | SET(LAST_SCAN) | SET(CHANGED_SINCE))
UPSTREAM(HOSTIDS, "5.0", 0, false, false, false,
    SET(POLICY_ID) | SET(LAST_SCAN) | SET(CHANGED_SINCE) | SET(DEPLOYMENT) | SET(ASSET_STATE))
UPSTREAM(POSTURE_INFO, "4.0", 0, false, false, false,
    SET(EVIDENCE) | SET(COMPRESSION) | SET(LAST_EVALUATION) | SET(LAST_SCAN) | SET(SCAN_FROM) |
	SET(SCAN_TO) | SET(CHANGED_SINCE) | SET(EXCLUDE_INACTIVE) | SET(CLOUD) | SET(STATUS) |
	SET(PREVIOUS) | SET(CRITICALITY_VALUES) | SET(CRITICALITY_LABELS) | SET(TRUNCATION))
UPSTREAM(POSTURE_INFO, "5.0", 0, true, false, true,
    SET(EVIDENCE) | SET(COMPRESSION) | SET(EXTENDED) | SET(LAST_EVALUATION) | SET(LAST_SCAN) |
	SET(SCAN_FROM) | SET(SCAN_TO) | SET(CHANGED_SINCE) | SET(EXCLUDE_INACTIVE) | SET(CLOUD) |
	SET(STATUS) | SET(PREVIOUS) | SET(CRITICALITY_VALUES) | SET(CRITICALITY_LABELS) | SET(QDS) |
	SET(TRUNCATION))
