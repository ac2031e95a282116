/* The words that data are made of: all are the insides of JSON strings, escaped as they go out.
 * TEXTS_NASTY are chosen to break parsers that look for text where they should read JSON. */
#ifndef SIM_TEXTS_H
#define SIM_TEXTS_H

static const char *const texts_subject[] = {
    "the shortest allowed password",
    "anonymous read access to the share",
    "the idle time before a session locks",
    "forwarding of packets between interfaces",
    "the owner of the scheduler's table",
    "remote login as administrator",
    "the size of the security journal",
    "cleartext protocols on the management port",
    "core dumps of privileged programs",
    "the list of trusted certificate issuers",
    "time synchronisation with a known source",
    "removable media on servers",
};
static const char *const texts_control[] = {
    "Check of %s",
    "State of the setting for %s",
    "Review %s against the agreed baseline",
    "Limit on %s",
};
static const char *const texts_rationale[] = {
    "A setting that nobody looks at drifts: one rebuilt machine in a hundred comes back with the "
    "vendor's default.",
    "Whoever gains a foothold on a host first looks for permissions that were left wider than the "
    "work needs.",
    "The value is inherited by every service started later, so a mistake here is copied many times "
    "over.",
    "Auditors ask for evidence that the value was right throughout the year, not only on the day "
    "of the visit.",
    "Where a business process truly needs the weaker value, an exception with an end date keeps "
    "that visible.",
    "Attempts are cheap for the attacker and invisible to the owner unless failures are counted "
    "and kept.",
    "Hosts outside of the domain do not receive the central policy and have to be looked at one by "
    "one.",
    "A stricter value was tried in two regions and led to calls at the service desk, hence the "
    "middle way.",
};
static const char *const texts_remediation[] = {
    "1. Open the settings of the service.\\n2. Change the value.\\n3. Restart it outside of office "
    "hours.\\n",
    "Edit \\\"/etc/sim/policy.conf\\\" so that the line reads\\n\\n\\tlimit = <agreed value>\\n",
    "On Windows use the path\\n\\n\\tComputer\\\\Policies\\\\Local\\\\Limits\\n\\nand wait for the "
    "next refresh. ",
    "Ask the owner of the image to rebuild it; a change by hand is lost with the next deployment. ",
    "# simctl set limit --all\\n# simctl verify | grep -v '^ok'\\n",
};
static const char *const texts_expected[] = {
    "\\ngreater than or equal to\\n8",
    "\\nEntry absent\\n------ or ------\\nequal to\\n1",
    "\\nmatches the pattern\\n^[A-Z]{2}\\\\d+(\\\\.\\\\d+)*$",
    "\\nnone of the list\\nguest, test, demo",
    "\\nFile absent\\n------ or ------\\nmode at most\\n0640",
};
static const char *const texts_category[] = {
    "Identity and Access",
    "Network Exposure",
    "Logging and Audit",
    "System Integrity",
    "Data Protection \\/ Media",
};
static const char *const texts_technology[] = {
    "Simulated Linux 9.x",
    "Simulated Linux 10.x",
    "Windows Sim Server 2022",
    "SimSQL 19 Multi\\u2011tenant",
    "Router OS \\\"Sim\\\" 7",
};
static const char *const texts_os[] = {
    "Simulated Linux 9.4 (\\\"Ardèche\\\")",
    "Simulated Linux 10.0",
    "Windows Sim Server 2022 Standard",
    "SimOS 7.1/64\\u2011bit",
};
/* Standard labels by value, and what somebody has made of them. */
static const char *const texts_label[] = {
    "UNDEFINED", "MINIMAL", "MEDIUM", "SERIOUS", "CRITICAL", "URGENT"};
static const char *const texts_label_custom[] = {
    "not rated",
    "low (ours)",
    "MEDIUM",
    "serious\\u2122",
    "crit_renamed",
    "urg_renamed",
};
static const char *const texts_plain[] = {
    "value 8",
    "value 14 of 20",
    "not configured",
    "disabled",
    "owner root, mode 0600",
    "last changed by the image",
};
static const char *const texts_nasty[] = {
    "value 8",
    "not configured",
    "a border that is none: },{\\\"id\\\":4711,\\\"status\\\":\\\"Passed\\\"},{",
    "}]},{\\\"id\\\":1}]",
    "quote \\\" backslash \\\\ both \\\\\\\" end\\\\",
    "C:\\\\ProgramData\\\\new\\\\table\\\\users\\\\",
    "caf\\u00e9 caf\xc3\xa9 \\u0063af\\u00E9",
    "thumbs \xf0\x9f\x91\x8d raw, \\ud83d\\udc4d escaped, \\uD83D\\uDC4D upper case",
    "no-break[\xc2\xa0]raw[\\u00a0]escaped",
    "line\\nfeed\\r\\ntab\\tback\\bform\\fslash\\/plain/",
    "separators \xe2\x80\xa8 \xe2\x80\xa9 \\u2028, byte order mark \xef\xbb\xbf, del \x7f",
    "Err-35: the query against the database did not run (driver says: [SIM] \\\"denied\\\")",
    "=1+1;\\\"cmd\\\",'x'\\t@sum",
    "<script>alert(1)</script>&amp;<!-- ]]> -->",
    ("\xe2\x80\xaeright to left\xe2\x80\xac \xe6\xbc\xa2\xe5\xad\x97 "
     "\xd7\xa2\xd7\x91\xd7\xa8\xd7\x99\xd7\xaa"),
    "%00 %s %n ${HOME} $(id) `id` {{7*7}}",
    "null",
    "true",
    "0.10",
    "[]",
    "{}",
    "",
};

#endif
