/* Every option of the simulator, once: the command line, --help, POST /set and GET /options read
 * this table.
 *
 *   NUMBER(field, "name", when, default, least, most, "help")
 *   FLAG(field, "name", when, default, "help")
 *   CHOICE(field, "name", when, default, "one|two|...", "help")
 *   TEXT(field, "name", when, default, "help")
 *
 * On the command line a flag is --name or --no-name. A choice is kept as its place in the list.
 * `when`: START for options that only the command line takes, LIVE for those that POST /set
 * changes too; a call keeps the options it began with.
 */

/* --- where and who */
NUMBER(port, "port", START, 0, 0, 65535,
    "port of the simulated upstream on 127.0.0.1; 0: any free one")
NUMBER(control_port, "control-port", START, 0, 0, 65535,
    "port of the control surface; 0: any free one")
FLAG(
    print_ready, "print-ready", START, 1, "print the line `ready: URL control: URL` when listening")
NUMBER(journal, "journal", START, 200, 1, 100000, "how many requests GET /state remembers")
NUMBER(ahead_ms, "ahead-ms", START, 0, 0, INT64_C(1000000000000),
    "milliseconds that the clock is ahead of the real one from the start on")
TEXT(ledger, "ledger", START, "",
    "file to which what the limits decide is appended, one line of JSON a call")
FLAG(ledger_resume, "ledger-resume", START, 0,
    "what the ledger has in the window at the start counts as used")
TEXT(username, "username", LIVE, "simulated", "the only account")
TEXT(password, "password", LIVE, "simulated", "its password")
NUMBER(subscription, "subscription", LIVE, 700100, 1, INT64_MAX, "subscriptionId of everything")
FLAG(manager, "manager", LIVE, 1, "it has the role Manager, which hostids wants from 3.0 on")
NUMBER(token_lifetime, "token-lifetime", LIVE, 14400, 0, INT32_MAX, "seconds a token lives")

/* --- which data there are */
NUMBER(seed, "seed", LIVE, 1, 0, INT64_MAX, "all data are a function of this")
NUMBER(generation, "generation", LIVE, 0, 0, 1000000,
    "state of the data: one in 20 postures changes from one to the next")
NUMBER(policies, "policies", LIVE, 3, 0, 9000, "policies, 1001 and up")
NUMBER(hosts, "hosts", LIVE, 50, 0, 999999, "hosts of each policy")
NUMBER(controls, "controls", LIVE, 40, 0, 9999, "controls of each policy")
NUMBER(host_overlap, "host-overlap", LIVE, 50, 0, 100,
    "percentage of its hosts that a policy shares with the next one")
NUMBER(empty_hosts, "empty-hosts", LIVE, 3, 0, 100,
    "percentage of the hosts that resolve but have no postures")
NUMBER(sca_hosts, "sca-hosts", LIVE, 0, 0, 100,
    "percentage of the hosts that only versions with SCA assets know")
NUMBER(
    evidence_bytes, "evidence-bytes", LIVE, 350, 0, 100000000, "about how long extendedEvidence is")
NUMBER(large_every, "large-every", LIVE, 997, 0, INT64_MAX,
    "one record in so many has large evidence; 0: none")
NUMBER(large_bytes, "large-bytes", LIVE, 20000, 0, 100000000, "about how long that is")
NUMBER(lowercase, "lowercase", LIVE, 5, 0, 1000,
    "how many records in 1000 spell their status in lower case")
TEXT(sca_versions, "sca-versions", LIVE, "",
    "versions of hostids and postureInfo that know SCA assets for this account, beside 1.0 and 2.0")
FLAG(unknown_member, "unknown-member", LIVE, 1,
    "every second record has a member `auditTrail` that no document knows")
FLAG(nasty, "nasty", LIVE, 1, "texts that break careless parsers; without: plain words")
FLAG(nul_escapes, "nul-escapes", LIVE, 0, "auditTrail has a \\u0000 in it")
TEXT(epoch, "epoch", LIVE, "2026-11-01T00:00:00Z",
    "when generation 0 was; each generation is a day later")
TEXT(now, "now", LIVE, "", "fixes `created`; empty: the time of the answer")

/* --- readings of what no document says */
CHOICE(scan_date, "scan-date", LIVE, "since", "since|day",
    "what lastScanDate means: scanned since, or on that day")
FLAG(passed_star, "passed-star", LIVE, 1, "status=Passed includes Passed*")
CHOICE(batches, "batches", LIVE, "all", "all|skip|one",
    "batch numbers: only batches with records count; the others leave a gap; always 1 of 1")
NUMBER(batch_hosts, "batch-hosts", LIVE, 10, 1, 1000000, "hosts in a batch")
NUMBER(order, "order", LIVE, 0, 0, INT64_MAX, "batches are sent in another order for another value")
CHOICE(empty, "empty", LIVE, "array", "array|204", "the answer when nothing matches")
CHOICE(unknown_policy, "unknown-policy", LIVE, "error", "error|omit",
    "what hostids says of a policy there is not")
TEXT(failing_policies, "failing-policies", LIVE, "",
    "IDs that hostids answers with an error inside of the 200, such as 1001,1003")
CHOICE(tag_member, "tag-member", LIVE, "requireTagInfo", "requireTagInfo|tagInfo",
    "name of the tags in the policy list of 2.0")
CHOICE(error_shape, "error-shape", LIVE, "message", "message|nested|spring|xml|html|empty",
    "how an error's body looks")

/* --- limits, versions, time */
NUMBER(rate, "rate", LIVE, 25, 0, 1000000, "calls of one API in a window; 0: no limit")
NUMBER(rate_window, "rate-window", LIVE, 60, 1, 1000000, "seconds in the rolling window")
NUMBER(
    block_status, "block-status", LIVE, 409, 400, 599, "status of a call over the rate: 409 or 429")
CHOICE(wait_header, "wait-header", LIVE, "towait", "towait|retry-after|both|none",
    "how such an answer says for how long to wait")
FLAG(wait_late, "wait-late", LIVE, 0,
    "it says so from the second refusal in a row on, not in the first")
NUMBER(concurrency, "concurrency", LIVE, 2, 0, 1000000, "calls of one API at a time; 0: no limit")
CHOICE(concurrency_header, "concurrency-header", LIVE, "none", "none|hyphen|joined",
    "whether answers tell it: X-Concurrency-Limit-Limit, or X-ConcurrencyLimit-Limit; -Running")
TEXT(retired, "retired", LIVE, "",
    "versions that answer as retired, of hostids and postureInfo or of one API, such as "
    "3.0,policyList/1.0")
NUMBER(retired_status, "retired-status", LIVE, 404, 400, 599, "with this status")
NUMBER(latency_ms, "latency-ms", LIVE, 0, 0, 3600000, "wait so long before an answer's head")
NUMBER(drip, "drip", LIVE, 0, 0, INT32_MAX,
    "send postureInfo at so many bytes a second; 0: as fast as can be")
