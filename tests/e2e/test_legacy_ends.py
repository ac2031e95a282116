"""What the upstream has ended, and what the gateway does of it: versions with SCA assets, what is told
of versions that end, and the operator's own end of them."""

import calendar
import time

import harness
import speaker
from harness import Consumer
from speaker import VERSIONS, records_of

HOSTS, CONTROLS = 12, 5
DATA = {"policies": 2, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0, "sca_hosts": 40,
        "now": "2026-11-20T12:00:00Z"} | speaker.UNLIMITED
# docs/upstream-versions.md: the last day of support, the last day of life
ENDS = {version: ("2025-12-31", "2026-06-30") for version in ("1.0", "2.0", "3.0")} | {
    "4.0": ("2026-05-31", "2026-11-30")}
POLICY_LIST_ENDS = {"1.0": ("2026-11-30", "2027-05-31")}
TWO_VERSIONS = {"upstream": {"versions": "5.0, 1.0"},
                "lifecycle": {"postureInfo 1.0": "active", "hostids 1.0": "active"}}


def three():
    return [Consumer("strict", admin="true"), Consumer("warn", legacy="warn"), Consumer("allow", legacy="allow")]


class Assets(harness.StackTest, speaker.Messages):
    """Versions 1.0 and 2.0 had SCA assets too. What a call then gets is another thing than its shape."""

    def begin(self, **settings):
        self.it = self.stack(simulator=DATA, consumers=three(), settings=settings)
        self.upstream = speaker.upstream_of(self.it)
        self.strict, self.warn, self.allow = (speaker.gateway_of(self.it, n) for n in range(3))
        self.with_sca = self.upstream.hosts("1.0", policyId="1001").json()
        self.pc_only = self.upstream.hosts("5.0", policyId="1001").json()
        self.assertLess(len(self.pc_only[0]["hostIds"]), len(self.with_sca[0]["hostIds"]))

    def asks(self, s, version):
        return (s.hosts(version, policyId="1001"), s.info(version, self.with_sca, evidenceRequired=1))

    def changes(self, name):
        """Of that consumer in the report: version and endpoint to members."""
        report = self.it.client(0).get("/admin/v1/migration").json()["data"]
        return {(r["version"], r["endpoint"]): r["members"] for r in report if r["consumer"] == name}

    def test_strict_refuses_and_says_why(self):
        self.begin()
        before = speaker.calls(self.it), speaker.calls(self.it, "hostids")
        for version in ("1.0", "2.0"):
            for answer in self.asks(self.strict, version):
                message = self.check_message(answer, 400, rf"^Version {version} .*SCA")
                self.assertIn("legacy", message)
                self.assertIn("/v1/postures", message)
                self.assertIsNone(answer.headers["Warning"])
            self.assertEqual(self.strict.list(version).status, 200)
        self.assertEqual((speaker.calls(self.it), speaker.calls(self.it, "hostids")), before)
        for version in VERSIONS[2:]:
            for answer in self.asks(self.strict, version):
                self.assertEqual(answer.status, 200)

    def test_warn_answers_and_says_so(self):
        self.begin()
        for version in ("1.0", "2.0"):
            hosts, info = self.asks(self.warn, version)
            self.assertEqual(hosts.json(), self.pc_only)
            self.assertEqual(records_of(info),
                             records_of(self.upstream.info(version, self.pc_only, evidenceRequired=1)))
            for answer in (hosts, info):
                self.assertRegex(answer.headers["Warning"], rf'^299 posturegate "[^"]*SCA[^"]*{version}[^"]*"$')
        self.check_message(self.warn.info("1.0", []), 400)
        for version in VERSIONS[2:]:
            for answer in self.asks(self.warn, version):
                self.assertIsNone(answer.headers["Warning"])
        self.assertIsNone(self.warn.list("1.0").headers["Warning"])

    def test_allow_answers_and_says_nothing(self):
        self.begin()
        for version in ("1.0", "2.0"):
            hosts, info = self.asks(self.allow, version)
            self.assertEqual(hosts.json(), self.pc_only)
            self.assertEqual(records_of(info),
                             records_of(self.upstream.info(version, self.pc_only, evidenceRequired=1)))
            for answer in (hosts, info):
                self.assertIsNone(answer.headers["Warning"])

    def test_the_report_tells_it_of_everybody(self):
        self.begin()
        for s in (self.strict, self.warn, self.allow):
            for version in ("1.0", "3.0"):
                self.asks(s, version)
        for name in ("strict", "warn", "allow"):
            told = self.changes(name)
            for endpoint in ("hostids", "postureInfo"):
                self.assertIn("pc-assets-only", told["1.0", endpoint], name)
                self.assertNotIn("pc-assets-only", told["3.0", endpoint])

    def test_a_version_with_sca_assets_is_asked_where_there_is_one(self):
        self.begin(**TWO_VERSIONS)
        for s in (self.strict, self.warn, self.allow):
            hosts, info = self.asks(s, "1.0")
            self.assertEqual(hosts.json(), self.with_sca)
            wanted = records_of(self.upstream.info("1.0", self.with_sca, evidenceRequired=1))
            self.assertEqual(records_of(info), wanted)
            self.assertEqual(len(wanted), HOSTS * CONTROLS)
            for answer in (hosts, info):
                self.assertIsNone(answer.headers["Warning"])
        self.assertNotIn("pc-assets-only", self.changes("strict")["1.0", "postureInfo"])

    def test_it_is_not_mixed_up_with_what_has_none(self):
        self.begin(**TWO_VERSIONS)
        for version in ("3.0", "1.0", "5.0", "1.0", "4.0"):
            hosts, info = self.asks(self.strict, version)
            self.assertEqual(hosts.json(), self.with_sca if version == "1.0" else self.pc_only)
            self.assertEqual(records_of(info),
                             records_of(self.upstream.info(version, self.with_sca, evidenceRequired=1)))
        calls = [r["uri"] for r in self.it.control.state(last=200)["requests"] if r["headers"].get(
            "User-Agent", "").startswith("posturegate/") and "postureInfo" in r["uri"]]
        self.assertEqual({uri.split("/")[2] for uri in calls}, {"1.0", "5.0"})

    def test_an_account_whose_newest_version_has_them(self):
        self.begin(upstream={"sca_versions": "5.0"})
        for answer in self.asks(self.strict, "1.0") + self.asks(self.warn, "2.0"):
            self.assertEqual(answer.status, 200)
            self.assertIsNone(answer.headers["Warning"])
        self.assertNotIn("pc-assets-only", self.changes("strict")["1.0", "postureInfo"])

    def test_without_a_lifecycle_that_says_so_an_ended_version_is_not_asked(self):
        self.begin(upstream={"versions": "5.0, 1.0"})
        for answer in self.asks(self.strict, "1.0"):
            self.check_message(answer, 400, "SCA")


def last_second(day):
    return calendar.timegm(time.strptime(day, "%Y-%m-%d")) + 86399


def http_date(day):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(last_second(day)))


class Told(harness.StackTest, speaker.Messages):
    def begin(self, link=None, **settings):
        request = {"request": {"deprecation_link": link}} if link else {}
        self.it = self.stack(simulator=DATA, consumers=[Consumer("old", legacy="allow", policies="1001"),
                                                        Consumer("strict")], settings=request | settings)
        self.gateway, self.strict = (speaker.gateway_of(self.it, n) for n in range(2))
        self.gateway.login()

    def check(self, answer, ends, successor, link="/problems/version-ended"):
        headers = answer.headers
        told = [headers.get_all(name) for name in ("Deprecation", "Sunset", "Link")]
        if ends is None:
            self.assertEqual(told, [None] * 3)
            return
        page = f'<{link}>; rel="deprecation"'
        self.assertEqual(told, [[f"@{last_second(ends[0])}"], [http_date(ends[1])],
                                [f'<{successor}>; rel="successor-version", {page}' if successor else page]])

    def answers(self, version):
        """Of both calls in that version, good ones and others: with the path that is told."""
        body, foreign = [speaker.element(1001, [5000001])], [speaker.element(1002, [5000013])]
        g, hosts, info = self.gateway, speaker.hostids(version), speaker.posture_info(version)
        for path, status, answer in (
                (info, 200, g.info(version, body)), (info, 200, g.info(version, body)),
                (info, 400, g.info(version, [])),
                (info, 403, g.info(version, foreign)), (info, 400, g.info(version, body, colour="red")),
                (info, 413, g.request("POST", info, " " * (4 * 2**20 + 1), g.headers())),
                (info, 405, g.call("GET", info)), (info, 401, g.request("POST", info, "[]")),
                (hosts, 200, g.hosts(version, policyId="1001")), (hosts, 403, g.hosts(version, policyId="1002")),
                (hosts, 400, g.hosts(version, policyId="x")), (hosts, 401, g.request("GET", hosts))):
            with self.subTest(path, status=status):
                self.assertEqual(answer.status, status)
                yield path, answer

    def test_every_answer_of_a_version_that_ends_tells_it(self):
        self.begin()
        for version in VERSIONS:
            for path, answer in self.answers(version):
                self.check(answer, ENDS.get(version), path.replace(version, "5.0"))

    def test_a_failure_of_the_upstream_and_a_refusal_tell_it_too(self):
        self.begin(upstream={"retries": 0})
        self.it.control.fault("400", api="postureInfo")
        answer = self.gateway.info("4.0", [speaker.element(1001, [5000001])])
        self.check_message(answer, 502)
        self.check(answer, ENDS["4.0"], speaker.posture_info("5.0"))
        refused = self.strict.info("1.0", [speaker.element(1001, [5000001])])
        self.check_message(refused, 400, "SCA")
        self.check(refused, ENDS["1.0"], speaker.posture_info("5.0"))

    def test_the_policy_list_has_dates_of_its_own(self):
        self.begin()
        for answer in (self.gateway.list("1.0"), self.gateway.list("1.0", colour="red")):
            self.check(answer, POLICY_LIST_ENDS["1.0"], speaker.policy_list("2.0"))
        self.check(self.gateway.list("2.0"), None, None)
        self.check(self.gateway.login(), None, None)
        self.check(self.gateway.list("3.0"), None, None)

    def test_the_settings_say_when_and_where_to_read_of_it(self):
        link = "https://wiki.example.com/old-protocol"
        self.begin(link, lifecycle={"postureInfo 5.0": "2027-05-31 2027-11-30", "postureInfo 3.0": "active",
                                    "hostids 4.0": "2026-01-31 2029-01-31"})
        body = [speaker.element(1001, [5000001])]
        for version, ends, successor in (("5.0", ("2027-05-31", "2027-11-30"), None), ("3.0", None, None),
                                         ("4.0", ENDS["4.0"], speaker.posture_info("5.0"))):
            self.check(self.gateway.info(version, body), ends, successor, link)
        self.check(self.gateway.hosts("4.0", policyId="1001"), ("2026-01-31", "2029-01-31"), speaker.hostids("5.0"),
                   link)
        self.check(self.gateway.hosts("5.0", policyId="1001"), None, None)


class CutOff(harness.StackTest, speaker.Messages):
    """The operator's own end of versions, and of a consumer's use of them."""

    HOUR_S = 3600

    def begin(self, cutoff=None, until=None):
        def text(seconds):
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        grants = {"legacy_until": text(until)} if until else {}
        self.it = self.stack(clock=True, simulator=DATA, consumers=[
            Consumer("old", legacy="allow", **grants), Consumer("other", legacy="allow")],
            settings={"cutoff": {v: text(s) for v, s in cutoff.items()}} if cutoff else {})
        self.old, self.other = (speaker.gateway_of(self.it, n) for n in range(2))
        for s in (self.old, self.other):
            self.assertEqual(s.login().status, 201)

    def calls(self, s, version):
        yield speaker.posture_info(version), s.info(version, [speaker.element(1001, [5000001])])
        yield speaker.hostids(version), s.hosts(version, policyId="1001")
        if version < "3.0":
            yield speaker.policy_list(version), s.list(version)

    def check_ended(self, s, version, pattern, successor=None):
        for path, answer in self.calls(s, version):
            message = self.check_message(answer, 410, pattern)
            self.assertIn("/v1/", message)
            if successor:
                self.assertIn(path.replace(version, successor), message)
            self.assertEqual(answer.headers["X-RateLimit-Remaining"], "300")

    def check_served(self, s, *versions):
        for version in versions:
            for path, answer in self.calls(s, version):
                self.assertEqual(answer.status, 200, path)

    def test_a_version_ends_for_everybody_at_its_time(self):
        self.begin(cutoff={"3.0": self.HOUR_S, "4.0": 2 * self.HOUR_S})
        self.check_served(self.old, *VERSIONS)
        self.it.advance(self.HOUR_S + 1)
        for s in (self.old, self.other):
            self.check_ended(s, "3.0", "^Version 3.0 of .* since 20", "5.0")
            self.check_served(s, "1.0", "2.0", "4.0", "5.0")
        self.it.advance(self.HOUR_S)
        self.check_ended(self.old, "4.0", "^Version 4.0 of ", "5.0")
        self.check_served(self.old, "1.0", "2.0", "5.0")

    def test_it_is_told_with_the_headers_of_its_end(self):
        self.begin(cutoff={"1.0": -self.HOUR_S})
        answer = self.old.info("1.0", [])
        self.check_message(answer, 410)
        self.assertEqual(answer.headers["Sunset"], http_date(ENDS["1.0"][1]))
        self.assertIn(speaker.posture_info("5.0"), answer.headers["Link"])

    def test_the_policy_list_of_1_0_ends_and_that_of_2_0_stays(self):
        self.begin(cutoff={"1.0": -1, "2.0": -1})
        self.assertIn(speaker.policy_list("2.0"), self.check_message(self.old.list("1.0"), 410))
        self.assertEqual(self.old.list("2.0").status, 200)
        self.check_message(self.old.hosts("2.0", policyId="1001"), 410)

    def test_a_consumers_time_ends_for_it_alone(self):
        self.begin(until=self.HOUR_S)
        self.check_served(self.old, *VERSIONS)
        self.it.advance(self.HOUR_S + 1)
        for version in VERSIONS:
            self.check_ended(self.old, version, "not answered to this consumer since 20")
        answer = self.old.login()
        self.assertIn("/v1/postures", self.check_message(answer, 410, "not answered to this consumer since 20"))
        self.check_message(self.old.login(password="wrong"), 401)
        self.check_served(self.other, *VERSIONS)
        self.assertEqual(self.other.login().status, 201)
        self.assertEqual(self.it.client(0).get("/v1/policies").status, 200)

    def test_what_has_begun_goes_on(self):
        self.begin(cutoff={"1.0": self.HOUR_S}, until=self.HOUR_S)
        hold = self.it.control.hold(api="postureInfo")
        stream = self.old.stream("1.0", [speaker.element(1001, [5000001, 5000002])])
        self.addCleanup(stream.close)
        self.it.control.wait(api="postureInfo", held=1)
        self.it.advance(self.HOUR_S + 1)
        self.check_message(self.old.list("1.0"), 410)
        self.it.control.release(id=hold)
        self.assertEqual(stream.head(), 200)
        self.assertGreater(len(speaker.records_in(stream.rest())), 0)


if __name__ == "__main__":
    harness.main()
