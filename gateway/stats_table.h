/* clang-format off */
/* Every figure of GET /metrics, once; docs/operations.md has the same table for people, and
 * tests/lint/metrics-docs.sh compares them.
 *
 *     STAT(id, type, name, unit, label, label, label, what it is)
 *
 * A label is a list of values in gateway/metrics.c: the label's name and, behind "_", which values.
 * A name that is there stays: dashboards and alarms are made of it.
 */
/* requests */
STAT(REQUESTS, COUNTER, "pcrs_requests_total", NONE, route, status_class, cache, "Requests answered, by how the answer came to be.")
STAT(REQUEST_SECONDS, HISTOGRAM, "pcrs_request_duration_seconds", SECONDS, route, none, none, "Time from taking a request to having sent its answer.")
STAT(PROBLEMS, COUNTER, "pcrs_problems_total", NONE, problem, none, none, "Requests that were answered by a problem.")
STAT(STALE_SERVED, COUNTER, "pcrs_stale_served_total", NONE, reason, none, none, "Answers from a result that was no longer fresh: stale (refreshed behind), error (the fetch failed), limit (the upstream has announced a wait), quota (the consumer has used up its own).")
STAT(COALESCED, COUNTER, "pcrs_coalesced_total", NONE, none, none, none, "Requests that joined or followed a fetch which another had begun.")
STAT(FETCH_WAIT, HISTOGRAM, "pcrs_fetch_wait_seconds", SECONDS, none, none, none, "Time that a request waited for a fetch.")

/* fetches */
STAT(FETCHES, COUNTER, "pcrs_fetches_total", NONE, state_ended, none, none, "Fetches ended.")
STAT(FETCHES_RUNNING, GAUGE, "pcrs_fetches_running", NONE, none, none, none, "Fetches under way.")
STAT(BROAD, COUNTER, "pcrs_broad_fetches_total", NONE, none, none, none, "Fetches begun for a broader query in place of the one that was asked.")
STAT(AHEAD, COUNTER, "pcrs_ahead_fetches_total", NONE, why, none, none, "Fetches begun that nobody had asked for: of what is popular, and of what the settings want warm.")
STAT(WARM_LISTS, GAUGE, "pcrs_warm_lists", NONE, none, none, none, "Warm lists in the settings.")
STAT(WARM_FRESH, GAUGE, "pcrs_warm_lists_fresh", NONE, none, none, none, "Of these, whose result is stored and fresh.")
STAT(FILL_BATCHES, GAUGE, "pcrs_fill_batches", NONE, state_batch, none, none, "Batches of the fetches under way, of the calls that are done.")
STAT(FILL_RECORDS, COUNTER, "pcrs_fill_records_total", NONE, none, none, none, "Records stored by good calls.")
STAT(FILL_BYTES, COUNTER, "pcrs_fill_bytes_total", BYTES, none, none, none, "Normalised JSON stored by good calls.")

/* the upstream */
STAT(UPSTREAM_REQUESTS, COUNTER, "pcrs_upstream_requests_total", NONE, api, status_code, none, "Upstream calls, repetitions included; none: no answer came.")
STAT(UPSTREAM_SECONDS, HISTOGRAM, "pcrs_upstream_request_duration_seconds", SECONDS, api, none, none, "Time of an upstream call, its answer taken and stored.")
STAT(UPSTREAM_WAIT, HISTOGRAM, "pcrs_upstream_wait_seconds", SECONDS, api_paced, none, none, "Time that a call waited for the budget.")
STAT(BUDGET_LIMIT, GAUGE, "pcrs_upstream_budget_limit", NONE, api_paced, none, none, "Calls allowed in the rolling window; absent: no limit.")
STAT(BUDGET_WINDOW, GAUGE, "pcrs_upstream_budget_window_seconds", SECONDS, api_paced, none, none, "The rolling window.")
STAT(BUDGET_USED, GAUGE, "pcrs_upstream_budget_used", NONE, api_paced, by, none, "Calls in the window now: own, and foreign (of other users of the account).")
STAT(BUDGET_REMAINING, GAUGE, "pcrs_upstream_budget_remaining", NONE, api_paced, none, none, "Calls that the window has room for; absent: no limit.")
STAT(BUDGET_CLOSED, GAUGE, "pcrs_upstream_budget_closed_seconds", SECONDS, api_paced, none, none, "How long the upstream still wants no call.")
STAT(UPSTREAM_REFUSALS, COUNTER, "pcrs_upstream_refusals_total", NONE, api_paced, limit, none, "Calls that the upstream refused for a limit.")
STAT(UPSTREAM_AILS, GAUGE, "pcrs_upstream_ails", NONE, none, none, none, "1 while the upstream does not answer and is left alone, but for a probe.")
STAT(UPSTREAM_QUEUE, GAUGE, "pcrs_upstream_queue", NONE, api_paced, class_budget, none, "Calls that wait for the budget.")
STAT(UPSTREAM_RUNNING, GAUGE, "pcrs_upstream_running", NONE, api_paced, none, none, "Calls under way.")
STAT(UPSTREAM_CONCURRENCY, GAUGE, "pcrs_upstream_concurrency_limit", NONE, api_paced, none, none, "Calls allowed at a time; absent: no limit.")
STAT(LOGINS, COUNTER, "pcrs_logins_total", NONE, result, none, none, "Logins to the upstream.")
STAT(CREDENTIAL, GAUGE, "pcrs_credential_state", NONE, state_credential, none, none, "1 for the state in which the credential is, 0 for the others.")
STAT(TOKEN_EXPIRY, GAUGE, "pcrs_token_expiry_timestamp_seconds", SECONDS, none, none, none, "When the token in use ends; absent: there is none.")

/* the store */
STAT(LMDB_USED, GAUGE, "pcrs_lmdb_used_bytes", BYTES, none, none, none, "Pages of the store that hold something.")
STAT(LMDB_SIZE, GAUGE, "pcrs_lmdb_size_bytes", BYTES, none, none, none, "The quota for these; eviction begins at 80 % of it.")
STAT(LMDB_MAP, GAUGE, "pcrs_lmdb_map_bytes", BYTES, none, none, none, "The most that the file can grow to.")
STAT(LMDB_READERS, GAUGE, "pcrs_lmdb_readers", NONE, none, none, none, "Most read transactions that were open at a time.")
STAT(RESULTS, GAUGE, "pcrs_results", NONE, none, none, none, "Results in the store, replaced ones that walks may still need included.")
STAT(STAGES, GAUGE, "pcrs_stages", NONE, none, none, none, "Results in the making.")
STAT(STORE_WRITABLE, GAUGE, "pcrs_store_writable", NONE, none, none, none, "0 after a failed write: nothing is stored until a restart.")

/* the process */
STAT(WORKERS, GAUGE, "pcrs_workers", NONE, none, none, none, "Worker threads.")
STAT(WORKERS_BUSY, GAUGE, "pcrs_workers_busy", NONE, none, none, none, "Workers that serve a request, this one included.")
STAT(WORKERS_WAITING, GAUGE, "pcrs_workers_waiting", NONE, class_worker, none, none, "Workers in long work of a class.")
STAT(WORKERS_WAITING_LIMIT, GAUGE, "pcrs_workers_waiting_limit", NONE, class_worker, none, none, "Workers that may be in it at a time.")
STAT(BUILD, INFO, "pcrs_build_info", NONE, version, none, none, "The program.")
STAT(PROCESS_START, GAUGE, "process_start_time_seconds", SECONDS, none, none, none, "When the process began.")
STAT(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", SECONDS, none, none, none, "CPU time spent, user and system.")
STAT(PROCESS_RESIDENT, GAUGE, "process_resident_memory_bytes", BYTES, none, none, none, "Memory resident, mapped pages of the store included.")
STAT(PROCESS_VIRTUAL, GAUGE, "process_virtual_memory_bytes", BYTES, none, none, none, "Address space, the whole map of the store included.")
STAT(PROCESS_FDS, GAUGE, "process_open_fds", NONE, none, none, none, "Open file descriptors.")
STAT(PROCESS_FDS_MOST, GAUGE, "process_max_fds", NONE, none, none, none, "Most that there can be.")
