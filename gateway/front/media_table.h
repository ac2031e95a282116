/* clang-format off */
/* The media types of answers, and which endpoint offers which.
 *
 *     MEDIA(name, type as a range of Accept names it, Content-Type)
 *     OFFER(route, media)       best first; an endpoint without a line offers JSON alone
 */
#ifdef MEDIA
MEDIA(JSON, "application/json", "application/json")
MEDIA(NDJSON, "application/x-ndjson", "application/x-ndjson")
MEDIA(CSV, "text/csv", "text/csv; charset=utf-8; header=present")
MEDIA(OPENMETRICS, "application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8")
MEDIA(METRICS_TEXT, "text/plain", "text/plain; version=0.0.4; charset=utf-8")
#endif

#ifdef OFFER
OFFER(POSTURES, JSON)
OFFER(POSTURES, NDJSON)
OFFER(POSTURES, CSV)
OFFER(POSTURES_QUERY, JSON)
OFFER(POSTURES_QUERY, NDJSON)
OFFER(POSTURES_QUERY, CSV)
OFFER(ADMIN_MIGRATION, JSON)
OFFER(ADMIN_MIGRATION, CSV)
OFFER(METRICS, OPENMETRICS)
OFFER(METRICS, METRICS_TEXT)
#endif
