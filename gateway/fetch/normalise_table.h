/* The members of a posture in upstream 5.0's order, which is also the order of the normalised
 * form; and every fix-up with its inverse.
 *
 *     KEPT(number, name, upstream's name, another spelling, member inside, fix-up)
 *     MADE(number, name, fix-up)               ours alone: made from the member above it
 *     LEAVES(number, upstream's name, fix-up)  goes to the memo, not to the body
 *
 * The number stands in cursors and in stored memos: it is never given again. Numbers of the
 * normalised form go on from 46 to 59; those that leave it count down from 63. With a "member
 * inside", the fix-up is for that member of the value. NULL stands for "none".
 */
#if defined KEPT
KEPT(0, id, id, "postureId", NULL, ID)
KEPT(1, instance, instance, NULL, NULL, NONE)
KEPT(2, policyId, policyId, NULL, NULL, ID)
KEPT(3, policyTitle, policyTitle, NULL, NULL, NONE)
KEPT(4, netBios, netBios, NULL, NULL, NONE)
KEPT(5, controlId, controlId, NULL, NULL, ID)
KEPT(6, controlStatement, controlStatement, NULL, NULL, NONE)
KEPT(7, rationale, rationale, NULL, NULL, NONE)
KEPT(8, remediation, remediation, NULL, NULL, NONE)
KEPT(9, category, category, NULL, NULL, NONE)
KEPT(10, subCategory, subCategory, NULL, NULL, NONE)
KEPT(11, controlReference, controlReference, NULL, NULL, NONE)
KEPT(12, technologyId, technologyId, NULL, NULL, ID)
KEPT(13, status, status, NULL, NULL, STATUS)
MADE(14, exception, EXCEPTION)
KEPT(15, previousStatus, previousStatus, NULL, NULL, STATUS)
MADE(16, previousException, EXCEPTION)
KEPT(17, firstFailDate, firstFailDate, NULL, NULL, DATE)
KEPT(18, lastFailDate, lastFailDate, NULL, NULL, DATE)
KEPT(19, firstPassDate, firstPassDate, NULL, NULL, DATE)
KEPT(20, lastPassDate, lastPassDate, NULL, NULL, DATE)
KEPT(21, postureModifiedDate, postureModifiedDate, NULL, NULL, DATE)
KEPT(22, lastEvaluatedDate, lastEvaluatedDate, NULL, NULL, DATE)
KEPT(23, created, created, NULL, NULL, DATE)
KEPT(24, hostId, hostId, NULL, NULL, ID)
KEPT(25, ip, ip, NULL, NULL, NONE)
KEPT(26, trackingMethod, trackingMethod, NULL, NULL, NONE)
KEPT(27, os, os, NULL, NULL, NONE)
KEPT(28, osCpe, osCpe, NULL, NULL, NONE)
KEPT(29, domainName, domainName, NULL, NULL, NONE)
KEPT(30, dns, dns, NULL, NULL, NONE)
KEPT(31, qgHostid, qgHostid, NULL, NULL, TEXT)
KEPT(32, networkId, networkId, NULL, NULL, ID_OR_ZERO)
KEPT(33, networkName, networkName, NULL, NULL, NONE)
KEPT(34, complianceLastScanDate, complianceLastScanDate, NULL, NULL, DATE)
KEPT(35, customerUuid, customerUuid, NULL, NULL, TEXT)
KEPT(36, customerId, customerId, NULL, NULL, TEXT)
KEPT(37, assetId, assetId, NULL, NULL, ID)
KEPT(38, technology, technology, NULL, "id", ID)
KEPT(39, criticality, criticality, NULL, "value", GRADE)
KEPT(40, evidence, evidence, NULL, "lastUpdated", DATE)
KEPT(41, causeOfFailure, causeOfFailure, NULL, NULL, NONE)
KEPT(42, userDefinedAttributesList, userDefinedAttributesList, NULL, NULL, NONE)
LEAVES(63, currentDataSizeKB, SIZE)
LEAVES(62, totalDataSizeKB, SIZE)
LEAVES(61, currentBatch, COUNT)
LEAVES(60, totalBatches, COUNT)
KEPT(43, qds, qds, NULL, NULL, NONE)
KEPT(44, cloudMetaData, cloudMetaData, NULL, "cloudResourceMetadata", CLOUD)
KEPT(45, cloudResourceId, CLOUD_RESOURCE_ID, "cloudResourceId", NULL, NONE)
#endif

/*     FIX(name, there, back)
 *
 * `there` turns the upstream's value into ours, `back` ours into the upstream's, for a value that
 * the memo says was changed. What does not match stays as it came, both ways.
 */
#if defined FIX
FIX(NONE, keep, never)
FIX(ID, id_bare, quote)              /* "12"     -> 12        1 to 2^63-1, no leading zero */
FIX(ID_OR_ZERO, number_bare, quote)  /* "0"     -> 0         the same and zero */
FIX(GRADE, grade_bare, quote)        /* "5"      -> 5         0 to 5 */
FIX(TEXT, integer_quoted, unquote)   /* 12       -> "12" */
FIX(DATE, empty_null, null_empty)    /* ""       -> null */
FIX(STATUS, status, status_back)     /* "passed" -> "Passed"; "Passed*" -> "Passed" and true */
FIX(EXCEPTION, exception, never)     /*                       that true; else false */
FIX(CLOUD, cloud_object, cloud_text) /* "{'Zone':'null'}" -> {"zone":null} */
FIX(COUNT, count, count_back)        /* 12       -> */
FIX(SIZE, size, size_back)           /* "97.52"  -> */
#endif

/*     LABEL(in the older text of cloudResourceMetadata, in 5.0's object)
 */
#if defined LABEL
LABEL("Public IP Address", "publicIpAddress")
LABEL("Private IP Address", "privateIpAddress")
LABEL("Machine Type", "machineType")
LABEL("Zone", "zone")
LABEL("ProjectId", "projectId")
LABEL("State", "state")
LABEL("Network", "network")
LABEL("MAC Address", "macAddress")
#endif
