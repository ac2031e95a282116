#!/usr/bin/env python3
"""Holds the simulated upstream against what the real one does on the wire, with curl, gunzip, jq
and bare sockets: nothing of the gateway takes part."""
import base64
import email.utils
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "posturegate-simulator")
USER, PASSWORD, SUBSCRIPTION = "some user", "p&ss=w%rd", "700100"
QUICK = 15  # seconds after which a curl that hangs has failed


def gunzip(data):
    done = subprocess.run(["gunzip", "-c"], input=data, capture_output=True)
    return done.returncode, done.stdout


def jq_reads(data):
    return subprocess.run(["jq", "-e", "type"], input=data, capture_output=True).returncode == 0


def quoted(text):
    return re.sub(r"[^A-Za-z0-9]", lambda m: "%%%02X" % ord(m.group()), text)


class Answer:
    """What curl saw."""

    def __init__(self, rc, head, body):
        self.rc, self.head, self.body = rc, head, body
        last = head.decode("latin-1").strip().split("\r\n\r\n")[-1].split("\r\n")
        match = re.match(r"HTTP/1\.1 (\d+)", last[0])
        self.status = int(match.group(1)) if match else 0
        self.headers = {}
        for line in last[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    def text(self):
        """The body, inflated if it is gzip, whatever the headers say."""
        if self.body[:2] == b"\x1f\x8b":
            rc, out = gunzip(self.body)
            assert rc == 0, "gunzip refuses the body"
            return out
        return self.body

    def json(self):
        return json.loads(self.text())


class Simulator:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [PROGRAM, "--username", USER, "--password", PASSWORD, *options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"ready: (http://127\.0\.0\.1:(\d+)) control: (http://127\.0\.0\.1:\d+)\n", line)
        assert match, "no ready line but %r, exit status %r" % (line, self.process.poll())
        self.base, self.port, self.control_base = match.group(1), int(match.group(2)), match.group(3)
        self.token = None

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        rest = self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(timeout=20), rest

    def curl(self, url, *arguments, data=None):
        with tempfile.TemporaryDirectory() as folder:
            head, body = os.path.join(folder, "head"), os.path.join(folder, "body")
            command = ["curl", "-s", "-S", "--max-time", str(QUICK), "-D", head, "-o", body, *arguments]
            if data is not None:
                command += ["--data-binary", "@-"]
            done = subprocess.run([*command, url], input=data, capture_output=True)
            read = lambda name: open(name, "rb").read() if os.path.exists(name) else b""
            return Answer(done.returncode, read(head), read(body))

    def login(self):
        form = "username=%s&password=%s&token=true&permissions=true" % (quoted(USER), quoted(PASSWORD))
        self.token = self.curl(self.base + "/auth", data=form.encode()).body.decode()
        return self.token

    def call(self, path, *arguments, data=None):
        return self.curl(self.base + path, "-H", "Authorization: Bearer " + self.token, *arguments, data=data)

    def hostids(self, version, query=""):
        return self.call("/pcrs/%s/posture/hostids%s" % (version, query))

    def posture(self, query="", body=None, *arguments, version="5.0"):
        return self.call("/pcrs/%s/posture/postureInfo%s" % (version, query), *arguments,
                         data=json.dumps(body if body is not None else self.everything()).encode())

    def everything(self):
        return self.call("/pcrs/5.0/posture/hostids").json()

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.control_base + path, data, timeout=QUICK) as answer:
            return json.load(answer)

    def set(self, **options):
        self.control("/set", {name.replace("_", "-"): value for name, value in options.items()})

    def tally(self, api="postureInfo"):
        return self.control("/state")["apis"][api]

    def raw(self, request):
        """Sends bytes, gives all that comes back and how it ended."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=QUICK) as s:
            s.sendall(request)
            got = b""
            try:
                while piece := s.recv(65536):
                    got += piece
            except ConnectionResetError:
                return got, "reset"
            return got, "closed"


DATA = ("--policies", "3", "--hosts", "20", "--controls", "12", "--batch-hosts", "3", "--empty-hosts", "10",
        "--lowercase", "60", "--large-every", "50", "--rate", "0", "--concurrency", "0")


class Case(unittest.TestCase):
    """One simulator for all cases; each begins with the options above and an empty journal."""

    @classmethod
    def setUpClass(cls):
        cls.sim = Simulator(*DATA)
        cls.options = cls.sim.control("/options")
        cls.sim.login()

    @classmethod
    def tearDownClass(cls):
        code, rest = cls.sim.stop()
        assert code == 0, "exit status %d" % code
        assert rest == "", "more than the ready line: %r" % rest

    def setUp(self):
        start_only = ("port", "control-port", "print-ready", "journal", "ahead-ms", "ledger", "ledger-resume")
        self.sim.control("/set", {k: v for k, v in self.options.items() if k not in start_only})
        self.sim.control("/reset", {})
        self.sim.login()

    def ids(self, query="", body=None):
        answer = self.sim.posture(query, body)
        self.assertEqual((answer.rc, answer.status), (0, 200), answer.body[:200])
        return [r["id"] for r in answer.json()]

    def records(self, query="", body=None):
        return self.sim.posture(query, body).json()


class Auth(Case):
    def test_gives_a_bare_token_with_status_201(self):
        form = "username=%s&password=%s&token=true&permissions=true" % (quoted(USER), quoted(PASSWORD))
        answer = self.sim.curl(self.sim.base + "/auth", data=form.encode())
        self.assertEqual(answer.status, 201)
        self.assertRegex(answer.body.decode(), r"^[\w-]+\.[\w-]+\.[\w-]+$")
        self.assertNotIn("x-ratelimit-limit", answer.headers)

    def test_refuses_a_wrong_password_with_401(self):
        self.assertEqual(self.sim.curl(self.sim.base + "/auth", data=b"username=some+user&password=no").status, 401)
        self.assertEqual(self.sim.curl(self.sim.base + "/auth", data=b"").status, 401)

    def test_several_tokens_live_until_they_expire(self):
        first, second = self.sim.login(), self.sim.login()
        self.assertNotEqual(first, second)
        path = "/pcrs/2.0/posture/policy/list"
        self.sim.token = first
        self.assertEqual(self.sim.call(path).status, 200)
        self.sim.control("/expire", {})
        refused = self.sim.call(path)
        self.assertEqual(refused.status, 401)
        self.assertTrue(refused.json()["message"].startswith("JWT expired"))
        self.sim.login()
        self.assertEqual(self.sim.call(path).status, 200)

    def test_a_lifetime_of_no_seconds_is_over_at_once(self):
        self.sim.set(token_lifetime=0)
        self.sim.login()
        self.assertEqual(self.sim.call("/pcrs/2.0/posture/policy/list").status, 401)

    def test_without_a_token_every_api_answers_401(self):
        for path in "/pcrs/2.0/posture/policy/list", "/pcrs/5.0/posture/hostids", "/pcrs/5.0/posture/postureInfo":
            self.assertEqual(self.sim.curl(self.sim.base + path).status, 401)

    def test_the_journal_shows_no_secret(self):
        self.sim.login()
        self.sim.posture()
        state = json.dumps(self.sim.control("/state?last=50&bodies=1"))
        self.assertNotIn(quoted(PASSWORD), state)
        self.assertNotIn(self.sim.token, state)
        self.assertIn('"authorization": true', state)
        self.assertIn("permissions=true", state)


class PolicyList(Case):
    path = "/pcrs/2.0/posture/policy/list"

    def test_is_an_object_with_numbers_as_ids(self):
        answer = self.sim.call(self.path).json()
        self.assertEqual(answer["subscriptionId"], int(SUBSCRIPTION))
        self.assertEqual([p["id"] for p in answer["policyList"]], [1001, 1002, 1003])
        self.assertEqual(list(answer["policyList"][0]), ["id", "title", "createdBy", "createdDate", "modifiedBy",
                                                         "modifiedDate", "lastEvaluatedDate", "status", "locked"])

    def test_leaves_out_what_was_evaluated_before(self):
        every = self.sim.call(self.path).json()["policyList"]
        middle = sorted(p["lastEvaluatedDate"] for p in every)[1]
        later = self.sim.call(self.path + "?lastEvaluationDate=" + middle).json()["policyList"]
        self.assertEqual([p["id"] for p in later], [p["id"] for p in every if p["lastEvaluatedDate"] >= middle])

    def test_tells_tags_under_either_name(self):
        self.assertIn("requireTagInfo", self.sim.call(self.path + "?requireTagInfo=1").json()["policyList"][0])
        self.sim.set(tag_member="tagInfo")
        self.assertIn("tagInfo", self.sim.call(self.path + "?requireTagInfo=1").json()["policyList"][0])


class HostIds(Case):
    path = "/pcrs/5.0/posture/hostids"

    def test_gives_ids_as_text_for_a_list_with_spaces(self):
        answer = self.sim.call(self.path + "?policyId=1001%2C+1003").json()
        self.assertEqual([e["policyId"] for e in answer], ["1001", "1003"])
        self.assertEqual(answer[0]["subscriptionId"], SUBSCRIPTION)
        self.assertEqual(answer[0]["hostIds"], [str(5000001 + h) for h in range(20)])
        self.assertEqual(answer[1]["hostIds"][0], str(5000001 + 2 * 10))

    def test_without_policies_gives_all_of_them(self):
        self.assertEqual([e["policyId"] for e in self.sim.everything()], ["1001", "1002", "1003"])

    def test_an_unknown_policy_is_an_error_inside_of_a_200(self):
        answer = self.sim.call(self.path + "?policyId=9,1001").json()
        self.assertIn("error", answer[0])
        self.assertEqual(answer[0]["hostIds"], [])
        self.assertNotIn("error", answer[1])
        self.sim.set(unknown_policy="omit")
        self.assertEqual([e["policyId"] for e in self.sim.call(self.path + "?policyId=9,1001").json()], ["1001"])

    def test_some_policies_may_fail_inside_of_a_200(self):
        self.sim.set(failing_policies="1002, 1003")
        for query in "", "?policyId=1001,1002,1003":
            answer = self.sim.call(self.path + query)
            self.assertEqual(answer.status, 200)
            self.assertEqual([(e["policyId"], len(e["hostIds"]) > 0, "error" in e) for e in answer.json()],
                             [("1001", True, False), ("1002", False, True), ("1003", False, True)])
            self.assertEqual({e["subscriptionId"] for e in answer.json()}, {SUBSCRIPTION})
        self.sim.set(failing_policies="")
        self.assertFalse([e for e in self.sim.everything() if "error" in e])

    def test_dates_and_kinds_of_assets_narrow_it(self):
        everything = self.records("?cloudMetaDataRequired=1")
        scanned = {str(r["hostId"]): r["complianceLastScanDate"] for r in everything}
        changed, cloud = {}, {}
        for r in everything:
            changed[str(r["hostId"])] = max(r["postureModifiedDate"], changed.get(str(r["hostId"]), ""))
            cloud[str(r["hostId"])] = r["cloudMetaData"]
        day = sorted(scanned.values())[len(scanned) // 2]
        hosts = lambda q: {h for e in self.sim.call(self.path + q).json() for h in e["hostIds"] if h in scanned}
        self.assertEqual(hosts("?lastScanDate=" + day), {h for h in scanned if scanned[h] >= day})
        since = sorted(changed.values())[len(changed) // 2]
        self.assertLessEqual(hosts("?statusChangedSince=" + since), set(changed))
        self.assertTrue({h for h in changed if changed[h] >= since} <= hosts("?statusChangedSince=" + since))
        in_cloud = {h for h in cloud if cloud[h] is not None}
        self.assertEqual(hosts("?assetDeploymentType=CLOUD"), in_cloud)
        self.assertEqual(hosts("?assetDeploymentType=ON-PREM&assetState=TERMINATED"), set(scanned) - in_cloud)
        gone = hosts("?assetState=TERMINATED")
        self.assertEqual(gone, {h for h in in_cloud if "STOPPED" in json.dumps(cloud[h])})
        self.assertEqual(hosts("?assetState=ACTIVE"), set(scanned) - gone)


MEMBERS = """id instance policyId policyTitle netBios controlId controlStatement rationale remediation category subCategory
controlReference technologyId status previousStatus firstFailDate lastFailDate firstPassDate lastPassDate postureModifiedDate
lastEvaluatedDate created hostId ip trackingMethod os osCpe domainName dns qgHostid networkId networkName complianceLastScanDate
customerUuid customerId assetId technology criticality evidence causeOfFailure userDefinedAttributesList auditTrail
currentDataSizeKB totalDataSizeKB currentBatch totalBatches qds cloudMetaData CLOUD_RESOURCE_ID""".split()


class Framing(Case):
    def test_is_gzip_without_saying_so(self):
        answer = self.sim.posture("?evidenceRequired=1")
        self.assertEqual(answer.body[:2], b"\x1f\x8b")
        self.assertNotIn("content-encoding", answer.headers)
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual(gunzip(answer.body)[0], 0)

    def test_is_plain_where_asked(self):
        self.sim.set(now="2026-11-05T00:00:00Z")
        answer = self.sim.posture("?compressionRequired=0")
        self.assertEqual(answer.body[:7], b'[{"id":')
        self.assertEqual(answer.body, gunzip(self.sim.posture("?compressionRequired=1").body)[1])

    def test_is_one_compact_array_with_bare_borders(self):
        answer = self.sim.posture("?evidenceRequired=1&compressionRequired=0")
        records = answer.json()
        self.assertEqual(answer.body.count(b'},{"id":'), len(records) - 1)
        self.assertTrue(answer.body.endswith(b"}]"))
        by_jq = subprocess.run(["jq", "-c", ".[]|.id"], input=answer.body, capture_output=True).stdout.split()
        self.assertEqual([int(i) for i in by_jq], [r["id"] for r in records])

    def test_members_come_in_the_documented_order(self):
        for query in "", "?evidenceRequired=1&qdScoreRequired=1&cloudMetaDataRequired=1":
            seen = set()
            for record in self.records(query):
                self.assertEqual(list(record), [m for m in MEMBERS if m in record])
                seen |= set(record)
            wanted = set(MEMBERS) - (set() if query else {"qds", "cloudMetaData"})
            self.assertEqual(seen, wanted)

    def test_texts_and_numbers_are_what_breaks_careless_readers(self):
        text = self.sim.posture("?evidenceRequired=1&compressionRequired=0").body
        for piece in (b'},{\\"id\\":', b"\\ud83d\\udc4d", b"\xf0\x9f\x91\x8d", b"\xc2\xa0", b"\\\\", b":0.10,", b":-0,", b":1e400,",
                      b"12345678901234567.25", b'"networkId":"0"', b'"networkId":0', b'"dns":""', b'"dns":null',
                      b'"status":"Passed*"', b'"status":"passed"', b'_renamed"', b"Err-35"):
            self.assertIn(piece, text)
        cloud = self.sim.posture("?cloudMetaDataRequired=1&compressionRequired=0").body
        for piece in b'"cloudResourceMetadata":"{', b'"cloudResourceMetadata":{', b'"cloudMetaData":null':
            self.assertIn(piece, cloud)
        self.sim.set(unknown_member=False, nasty=False, lowercase=0)
        tame = self.sim.posture("?evidenceRequired=1&compressionRequired=0").body
        for piece in b"auditTrail", b'},{\\"id\\":', b'"status":"passed':
            self.assertNotIn(piece, tame)

    def test_ids_can_be_computed(self):
        every = {(r["policyId"], r["hostId"], r["controlId"]): r["id"] for r in self.records()}
        for (policy, host, control), number in every.items():
            p, c = policy - 1001, control - (100001 if control > 100000 else 1001)
            h = host - 5000001 - p * 10
            self.assertEqual(number, (p + 1) * 10**10 + h * 10**4 + c)
            self.assertGreater(number, 2**31)

    def test_a_trailing_slash_makes_no_difference(self):
        self.sim.set(now="2026-11-05")
        body = json.dumps(self.sim.everything()).encode()
        self.assertEqual(self.sim.call("/pcrs/5.0/posture/postureInfo/?compressionRequired=0", data=body).body,
                         self.sim.call("/pcrs/5.0/posture/postureInfo?compressionRequired=0", data=body).body)

    def test_nothing_found_is_an_empty_array_or_204(self):
        nothing = [{"policyId": "1001", "subscriptionId": SUBSCRIPTION, "hostIds": []}]
        self.assertEqual(self.sim.posture("", nothing).text(), b"[]")
        self.assertEqual(self.sim.posture("?lastEvaluationDate=2031-01-01").text(), b"[]")
        self.sim.set(empty="204")
        for body in nothing, [{"subscriptionId": SUBSCRIPTION, "postureId": "17"}]:
            answer = self.sim.posture("", body)
            self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(self.sim.posture("").status, 200)

    def test_hosts_with_sca_assets_are_not_for_this_version(self):
        every = self.sim.everything()[0]["hostIds"]
        self.sim.set(sca_hosts=40)
        some = self.sim.everything()[0]["hostIds"]
        self.assertTrue(0 < len(some) < len(every))
        body = [{"policyId": "1001", "subscriptionId": SUBSCRIPTION, "hostIds": every}]
        self.assertLessEqual({str(r["hostId"]) for r in self.records("", body)}, set(some))

    def test_some_hosts_have_no_postures(self):
        self.sim.set(empty_hosts=100)
        self.assertEqual(self.ids(), [])
        self.assertEqual(len(self.sim.everything()[0]["hostIds"]), 20)


class Data(Case):
    def text(self, query="?evidenceRequired=1&compressionRequired=0"):
        return self.sim.posture(query).body

    def test_is_the_same_for_the_same_seed(self):
        self.sim.set(now="2026-11-05")
        first = self.text()
        other = Simulator(*DATA, "--now", "2026-11-05")
        try:
            other.login()
            self.assertEqual(first, other.posture("?evidenceRequired=1&compressionRequired=0").body)
        finally:
            other.stop(signal.SIGINT)
        self.sim.set(seed=2)
        self.assertNotEqual(first, self.text())

    def test_a_generation_changes_some_of_it_and_the_ids_stay(self):
        watched = lambda: {r["id"]: (r["status"], r["postureModifiedDate"]) for r in self.records()}
        self.sim.set(generation=40)
        before = watched()
        self.sim.set(generation=41)
        after = watched()
        self.assertEqual(set(before), set(after))
        changed = [i for i in before if before[i] != after[i]]
        self.assertTrue(0 < len(changed) < len(before) / 4, len(changed))
        self.sim.set(generation=40)
        self.assertEqual(watched(), before)

    def test_dates_agree_with_each_other(self):
        for generation in 0, 33:
            self.sim.set(generation=generation)
            for r in self.records():
                self.assertLessEqual(r["postureModifiedDate"], r["lastEvaluatedDate"])
                self.assertLess(r["complianceLastScanDate"], r["lastEvaluatedDate"])

    def test_evidence_is_as_long_as_asked_and_sometimes_large(self):
        self.sim.set(evidence_bytes=5000)
        sizes = [len(e["extendedEvidence"]) for r in self.records("?evidenceRequired=1")
                 if (e := r["evidence"]) and e["extendedEvidence"]]
        self.assertTrue(3000 < sorted(sizes)[len(sizes) // 2] < 7000)
        self.assertGreater(max(sizes), 14000)


class Batches(Case):
    def marks(self, query=""):
        seen = []
        for r in self.records(query):
            mark = (r["currentBatch"], r["totalBatches"])
            if not seen or seen[-1] != mark:
                seen.append(mark)
        return seen

    def test_all_are_there_but_out_of_order(self):
        marks = self.marks()
        numbers = [n for n, _ in marks]
        total = marks[0][1]
        self.assertGreater(total, 15)
        self.assertEqual(sorted(numbers), list(range(1, total + 1)))
        self.assertNotEqual(numbers, sorted(numbers))

    def test_another_order_has_the_same_records(self):
        first = self.ids()
        self.sim.set(order=7)
        second = self.ids()
        self.assertNotEqual(first, second)
        self.assertEqual(sorted(first), sorted(second))

    def test_a_batch_without_matches_is_not_counted_or_leaves_a_gap(self):
        query = "?previousStatus=Error&status=Error"
        numbers = [n for n, _ in self.marks(query)]
        self.assertEqual(sorted(numbers), list(range(1, len(numbers) + 1)))
        self.sim.set(batches="skip")
        marks = self.marks(query)
        self.assertLess(len(marks), marks[0][1])
        self.assertEqual(self.marks(query), marks, "the gap stays where it is")
        self.sim.set(batches="one")
        self.assertEqual(self.marks(query), [(1, 1)])

    def test_sizes_are_decimal_text_and_add_up_within_a_batch(self):
        total, batch = 0.0, None
        for r in self.records("?evidenceRequired=1"):
            self.assertRegex(r["currentDataSizeKB"], r"^\d+\.\d\d$")
            total = total if r["currentBatch"] == batch else 0.0
            batch = r["currentBatch"]
            total += float(r["currentDataSizeKB"])
            self.assertAlmostEqual(total, float(r["totalDataSizeKB"]), delta=0.5)


class Filters(Case):
    def check(self, query, keep):
        every = self.records()
        wanted = sorted(r["id"] for r in every if keep(r))
        self.assertTrue(0 < len(wanted) < len(every), "%s keeps %d of %d" % (query, len(wanted), len(every)))
        self.assertEqual(sorted(self.ids(query)), wanted, query)

    def middle(self, member):
        values = sorted(r[member] for r in self.records())
        return values[len(values) // 2]

    def test_status(self):
        self.check("?status=Failed", lambda r: r["status"].lower() == "failed")
        self.check("?status=Failed,Error", lambda r: r["status"].lower() in ("failed", "error"))
        self.check("?status=Passed", lambda r: r["status"].lower() in ("passed", "passed*"))
        self.sim.set(passed_star=False)
        self.check("?status=Passed", lambda r: r["status"].lower() == "passed")

    def test_previous_status(self):
        self.check("?previousStatus=Error", lambda r: r["previousStatus"] == "Error")

    def test_criticality(self):
        self.check("?criticalityValues=5,0", lambda r: r["criticality"]["value"] in (0, 5))
        self.check("?criticalityLabels=urgent,UNDEFINED", lambda r: r["criticality"]["value"] in (0, 5))

    def test_dates_are_lower_bounds(self):
        for member, name in (("lastEvaluatedDate", "lastEvaluationDate"), ("postureModifiedDate", "statusChangedSince"),
                             ("complianceLastScanDate", "lastScanDate")):
            at = self.middle(member)
            self.check("?%s=%s" % (name, at), lambda r: r[member] >= at)
            self.check("?%s=%s" % (name, at[:10]), lambda r: r[member] >= at[:10])

    def test_last_scan_date_may_mean_that_day(self):
        at = self.middle("complianceLastScanDate")[:10]
        self.sim.set(scan_date="day")
        self.check("?lastScanDate=" + at, lambda r: r["complianceLastScanDate"][:10] == at)

    def test_a_range_of_scan_dates_includes_both_ends(self):
        dates = sorted(r["complianceLastScanDate"] for r in self.records())
        low, high = dates[len(dates) // 4], dates[3 * len(dates) // 4]
        query = "?lastScanDateFrom=%s&lastScanDateTo=%s"
        self.check(query % (low, high), lambda r: low <= r["complianceLastScanDate"] <= high)
        self.check(query % (low[:10], high[:10]), lambda r: low[:10] <= r["complianceLastScanDate"][:10] <= high[:10])

    def test_inactive_controls_can_be_left_out(self):
        every, active = set(self.ids()), set(self.ids("?excludeInactiveControl=1"))
        self.assertLess(active, every)
        gone = {(i // 10**10, i % 10**4) for i in every - active}
        self.assertFalse(gone & {(i // 10**10, i % 10**4) for i in active}, "whole controls of a policy, for every host")

    def test_filters_add_up(self):
        at = self.middle("lastEvaluatedDate")
        self.check("?status=Passed&criticalityValues=1,2,3&lastEvaluationDate=" + at, lambda r: r["status"].lower()[:6] == "passed"
                   and r["criticality"]["value"] in (1, 2, 3) and r["lastEvaluatedDate"] >= at)

    def test_details_are_shown_where_asked(self):
        shown = lambda query: [r["evidence"] for r in self.records(query) if r["evidence"] is not None]
        self.assertEqual(shown(""), [])
        self.assertEqual(shown("?evidenceRequired=0&extendedEvidenceRequired=1"), [])
        extended, basic = shown("?evidenceRequired=1"), shown("?evidenceRequired=1&extendedEvidenceRequired=0")
        self.assertTrue(all("description" in e for e in extended) and any(e["extendedEvidence"] for e in extended))
        self.assertEqual(len(extended), len(basic))
        self.assertTrue(all(e["extendedEvidence"] is None and "description" not in e for e in basic))
        self.assertTrue(all("qds" in r for r in self.records("?qdScoreRequired=1")))
        self.assertTrue(all("cloudMetaData" in r for r in self.records("?cloudMetaDataRequired=1")))
        self.assertEqual(len(shown("?evidenceRequired=1&evidenceTruncationLimit=1")), len(extended))


class Bodies(Case):
    def by_posture(self, text):
        return self.ids("", [{"subscriptionId": SUBSCRIPTION, "postureId": text}])

    def test_several_policies_in_one_call(self):
        found = self.ids("", [{"policyId": "1001", "subscriptionId": SUBSCRIPTION, "hostIds": ["5000001", "5000002", "77"]},
                              {"policyId": 1003, "subscriptionId": SUBSCRIPTION, "hostIds": [5000021]}])
        every = self.records()
        hosts = {(1001, 5000001), (1001, 5000002), (1003, 5000021)}
        self.assertEqual(sorted(found), sorted(r["id"] for r in every if (r["policyId"], r["hostId"]) in hosts))
        self.assertEqual(len({i // 10**10 for i in found}), 2)

    def test_posture_ids_and_ranges(self):
        every = sorted(self.ids())
        some = [every[3], every[0]] + every[10:13]
        text = "%d, %d,%d-%d" % (some[0], some[1], some[2], some[4])
        wanted = [some[0], some[1]] + [i for i in every if some[2] <= i <= some[4]]
        self.assertEqual(self.by_posture(text), wanted)
        self.assertEqual(self.by_posture("%d-%d" % (every[0], every[11])), every[:12])
        self.assertEqual(self.by_posture("1-5"), [])
        record = self.records("", [{"subscriptionId": SUBSCRIPTION, "postureId": str(every[0])}])[0]
        self.assertEqual((record["currentBatch"], record["totalBatches"]), (1, 1))
        two = [{"subscriptionId": SUBSCRIPTION, "postureId": str(i)} for i in every[:2]]
        self.assertEqual(self.ids("", two), every[:2])

    def test_more_than_400000_posture_ids_are_refused(self):
        body = lambda last: [{"subscriptionId": SUBSCRIPTION, "postureId": "1-%d" % last}]
        self.assertEqual(self.sim.posture("", body(400000)).status, 200)
        self.assertEqual(self.sim.posture("", body(400001)).status, 400)

    def test_more_than_4_mb_are_refused(self):
        body = lambda bytes_: json.dumps([{"policyId": "1001", "subscriptionId": SUBSCRIPTION, "hostIds": []}]).encode().ljust(bytes_)
        path = "/pcrs/5.0/posture/postureInfo"
        self.assertEqual(self.sim.call(path, data=body(4 * 1024 * 1024)).status, 200)
        self.assertEqual(self.sim.call(path, data=body(4 * 1024 * 1024 + 1)).status, 413)

    def test_bad_bodies_are_400(self):
        for body in (b"", b"{}", b"[]", b"[1]", b"[", b'[{"policyId":"x","subscriptionId":"700100","hostIds":[]}]',
                     b'[{"policyId":"1001","hostIds":[]}]', b'[{"policyId":"1001","subscriptionId":"1","hostIds":[]}]',
                     b'[{"policyId":"1001","subscriptionId":"700100"}]', b'[{"subscriptionId":"700100","postureId":"5-1"}]'):
            self.assertEqual(self.sim.call("/pcrs/5.0/posture/postureInfo", data=body).status, 400, body)

    def test_bad_parameters_are_400_with_a_code(self):
        for query, code in (("?page=1", "1901"), ("?evidenceRequired=true", "1905"), ("?status=Perhaps", "1905"),
                            ("?lastScanDate=2026-02-30", "1905"), ("?criticalityValues=6", "1905"),
                            ("?previousStatus=Failed,Error", "1905"), ("?criticalityValues=5&criticalityLabels=URGENT", "1904"),
                            ("?lastScanDate=2026-01-01&lastScanDateFrom=2026-01-01&lastScanDateTo=2026-01-02", "1904"),
                            ("?lastScanDateFrom=2026-01-01", "1903"), ("?status=Failed&status=Error", "1905")):
            answer = self.sim.posture(query)
            self.assertEqual((answer.status, answer.json()["errorCode"]), (400, code), query)

    def test_errors_come_in_every_shape(self):
        shapes = {"message": b'{"message":', "nested": b'{"_error":', "spring": b'{"timestamp":', "xml": b"<?xml", "html": b"<html", "empty": b""}
        for shape, start in shapes.items():
            self.sim.set(error_shape=shape)
            answer = self.sim.posture("?page=1")
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.body.startswith(start) and (start or not answer.body), shape)

    def test_other_paths_versions_and_methods_are_refused(self):
        for version in "0.0", "1", "1.00", "5.1", "6.0", "v5.0", "":
            self.assertEqual(self.sim.posture(version=version).status, 404, version)
            self.assertEqual(self.sim.hostids(version).status, 404, version)
        self.assertEqual(self.sim.call("/pcrs/3.0/posture/policy/list").status, 404)
        self.assertEqual(self.sim.call("/elsewhere").status, 404)
        self.assertEqual(self.sim.call("/pcrs/5.0/posture/postureInfo").status, 405)


VERSIONS = "1.0", "2.0", "3.0", "4.0", "5.0"
EVIDENCE_ADDED = {"lastUpdated": "2.0", "extendedEvidence": "2.0", "description": "3.0"}
EVIDENCE = {v: [m for m in ("expectedValues", "currentValues", "actualValues", "directoryFimUdc", *EVIDENCE_ADDED)
                if EVIDENCE_ADDED.get(m, "1.0") <= v] for v in VERSIONS}
ADDED = {"category": "2.0", "subCategory": "2.0", "userDefinedAttributesList": "2.0", "cloudMetaData": "3.0",
         "qds": "5.0", "auditTrail": "5.0"}
RESOURCE = "CLOUD_RESOURCE_ID"
LABELS = {"Public IP Address": "publicIpAddress", "Private IP Address": "privateIpAddress", "Machine Type": "machineType",
          "Zone": "zone", "ProjectId": "projectId", "State": "state", "Network": "network", "MAC Address": "macAddress"}
PARAMETERS = {
    "hostids": {"policyId=1001": "1.0", "lastScanDate=2026-01-01": "1.0", "statusChangedSince=2026-01-01": "3.0",
                "assetDeploymentType=CLOUD": "5.0", "assetState=ACTIVE": "5.0"},
    "postureInfo": {"evidenceRequired=1": "1.0", "compressionRequired=0": "1.0", "lastEvaluationDate=2026-01-01": "1.0",
                    "lastScanDate=2026-01-01": "1.0", "lastScanDateFrom=2026-01-01&lastScanDateTo=2026-12-01": "1.0",
                    "statusChangedSince=2026-01-01": "1.0", "evidenceTruncationLimit=1": "1.0",
                    "excludeInactiveControl=1": "2.0", "cloudMetaDataRequired=1": "3.0", "status=Failed": "3.0",
                    "previousStatus=Passed": "3.0", "criticalityValues=5": "3.0", "criticalityLabels=URGENT": "3.0",
                    "extendedEvidenceRequired=0": "5.0", "qdScoreRequired=1": "5.0"},
    "policy/list": {"lastEvaluationDate=2026-01-01": "1.0", "requireTagInfo=1": "2.0"},
}


def members(version):
    """Those of a record in which everything was asked for, as they stand in it."""
    order = [m for m in MEMBERS if ADDED.get(m, "1.0") <= version]
    if version == "1.0":
        order.remove(RESOURCE)
        order.insert(order.index("hostId") + 1, RESOURCE)
    return order


def everything_of(version):
    query = "?evidenceRequired=1&compressionRequired=0"
    query += "&cloudMetaDataRequired=1" if version >= "3.0" else ""
    return query + ("&qdScoreRequired=1" if version >= "5.0" else "")


def cloud_object(metadata):
    if not isinstance(metadata, str):
        return metadata
    pairs = re.findall(r"'([^']*)':'([^']*)'", metadata)
    assert metadata == "{%s}" % ", ".join("'%s':'%s'" % pair for pair in pairs), metadata
    return {LABELS[label]: None if value == "null" else value for label, value in pairs}


def comparable(record):
    """Without what is spelled differently in each version: the sizes of its records, a form of metadata."""
    record = {m: v for m, v in record.items() if "DataSize" not in m}
    if record.get("cloudMetaData"):
        record["cloudMetaData"] = {m: cloud_object(v) if m == "cloudResourceMetadata" else v
                                   for m, v in record["cloudMetaData"].items()}
    return record


def older(record, version):
    """What this record of 5.0 is in another version."""
    record = comparable(record)
    if record["evidence"]:
        record["evidence"] = {m: record["evidence"][m] for m in EVIDENCE[version]}
    return {m: record[m] for m in members(version) if m in record}


class Versions(Case):
    def setUp(self):
        super().setUp()
        self.sim.set(now="2026-11-05")

    def old(self, version, query="", body=None):
        answer = self.sim.posture(query, body, version=version)
        self.assertEqual((answer.rc, answer.status), (0, 200), answer.body[:200])
        return answer.json()

    def refused(self, answer, status, code=None):
        self.assertEqual((answer.status, answer.json().get("errorCode")), (status, code))

    def test_each_has_its_members_in_its_order(self):
        for version in VERSIONS:
            for query in "", everything_of(version):
                order = [m for m in members(version) if query or m not in ("cloudMetaData", "qds")]
                seen = set()
                for record in self.old(version, query):
                    self.assertEqual(list(record), [m for m in order if m in record], version)
                    seen |= set(record)
                    if record["evidence"] is not None:
                        self.assertEqual(list(record["evidence"]), EVIDENCE[version])
                    self.assertEqual(record["evidence"] is None, not query or "*" in record["status"])
                    may_be_absent = {"domainName", "userDefinedAttributesList", "auditTrail"}
                    self.assertLessEqual(set(order) - set(record), may_be_absent)
                self.assertEqual(seen, set(order), version)

    def test_the_first_has_the_resource_behind_the_host(self):
        text = self.sim.posture("?compressionRequired=0", version="1.0").body
        self.assertRegex(text, rb'"hostId":\d+,"CLOUD_RESOURCE_ID":"9\d+","ip":')
        self.assertRegex(text, rb'"hostId":\d+,"CLOUD_RESOURCE_ID":null,"ip":')
        self.assertRegex(text, rb'"totalBatches":\d+}(,{"id":|]$)')
        for version in VERSIONS[1:]:
            for record in re.split(rb'(?<=}),(?={"id":)', self.sim.posture("?compressionRequired=0", version=version).body[1:-1]):
                self.assertRegex(record, rb',"CLOUD_RESOURCE_ID":("9\d+"|null)}$')

    def test_each_says_of_a_posture_what_5_0_says(self):
        new = self.old("5.0", everything_of("5.0"))
        for version in VERSIONS:
            found = self.old(version, everything_of(version))
            self.assertEqual(len(found), len(new))
            for was, now in zip(found, new):
                self.assertEqual(json.dumps(comparable(was)), json.dumps(older(now, version)), version)

    def test_spellings_are_the_same_in_each(self):
        watched = rb'"(?:id|status|previousStatus|dns|domainName|networkId|remediation)":(?:"[^"\\]*"|null|\d+)[,}]'
        first = re.findall(watched, self.sim.posture("?compressionRequired=0").body)
        for piece in b'"status":"Passed*",', b'"status":"passed",', b'"dns":"",', b'"dns":null,', b'"networkId":"0",':
            self.assertIn(piece, first)
        for version in VERSIONS:
            self.assertEqual(re.findall(watched, self.sim.posture("?compressionRequired=0", version=version).body), first)

    def test_metadata_of_a_cloud_is_text_then_an_object(self):
        forms = {}
        for version in VERSIONS[2:]:
            for record in self.old(version, "?cloudMetaDataRequired=1"):
                if record["cloudMetaData"] is not None:
                    metadata = record["cloudMetaData"]["cloudResourceMetadata"]
                    self.assertEqual(list(cloud_object(metadata)), list(LABELS.values()))
                    forms.setdefault(version, set()).add(type(metadata))
        self.assertEqual(forms, {"3.0": {str}, "4.0": {dict}, "5.0": {str, dict}})

    def test_sizes_are_those_of_the_text_that_is_sent(self):
        for version in VERSIONS:
            for record in self.old(version):
                sent = len(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
                self.assertAlmostEqual(float(record["currentDataSizeKB"]) * 1024, sent, delta=sent / 4, msg=version)

    def test_evidence_is_extended_unless_5_0_is_told_not_to(self):
        for version in VERSIONS[1:]:
            shown = [r["evidence"] for r in self.old(version, "?evidenceRequired=1") if r["evidence"] is not None]
            self.assertTrue(shown and all("extendedEvidence" in e for e in shown))
        basic = [r["evidence"] for r in self.old("5.0", "?evidenceRequired=1&extendedEvidenceRequired=0") if r["evidence"]]
        self.assertEqual({tuple(e) for e in basic}, {tuple(m for m in EVIDENCE["5.0"] if m != "description")})

    def test_each_takes_its_own_parameters(self):
        body = [{"policyId": "1001", "subscriptionId": SUBSCRIPTION, "hostIds": ["5000001"]}]
        every = {query for queries in PARAMETERS.values() for query in queries}
        for api, queries in PARAMETERS.items():
            for version in VERSIONS[:2] if api == "policy/list" else VERSIONS:
                needed = "policyId=1001&" if api == "hostids" and version < "3.0" else ""
                for query in every:
                    whole = "?" + (query if needed.startswith(query) else needed + query)
                    answer = (self.sim.posture(whole, body, version=version) if api == "postureInfo" else
                              self.sim.call("/pcrs/%s/posture/%s%s" % (version, api, whole)))
                    if queries.get(query, "9.0") <= version:
                        self.assertEqual(answer.status, 200, (api, version, query))
                    else:
                        self.refused(answer, 400, "1901")

    def test_filters_keep_the_same_postures_in_each(self):
        day = sorted(r["lastEvaluatedDate"] for r in self.records())[200]
        for since, query in (("1.0", "?lastEvaluationDate=" + day), ("1.0", "?statusChangedSince=2026-09-01"),
                             ("1.0", "?lastScanDate=2026-10-20"), ("2.0", "?excludeInactiveControl=1"),
                             ("3.0", "?status=Passed&criticalityValues=4,5")):
            kept = {v: [r["id"] for r in self.old(v, query)] for v in VERSIONS if v >= since}
            self.assertTrue(0 < len(kept["5.0"]) < len(self.records()), query)
            self.assertEqual(list(kept.values()), [kept["5.0"]] * len(kept))

    def test_postures_are_named_only_in_5_0(self):
        body = [{"subscriptionId": SUBSCRIPTION, "postureId": "10000000000"}]
        self.assertEqual(self.sim.posture("", body).status, 200)
        for version in VERSIONS[:-1]:
            self.refused(self.sim.posture("", body, version=version), 400, "1905")

    def test_the_first_two_want_up_to_ten_policies(self):
        ten = ",".join(str(1001 + p) for p in range(10))
        for version in VERSIONS[:2]:
            self.refused(self.sim.hostids(version), 400, "1903")
            self.refused(self.sim.hostids(version, "?lastScanDate=2026-01-01"), 400, "1903")
            self.refused(self.sim.hostids(version, "?policyId="), 400, "1905")
            self.refused(self.sim.hostids(version, "?policyId=%s,1" % ten), 400, "1905")
            spaced = self.sim.hostids(version, "?policyId=" + ten.replace(",", "%2C+")).json()
            self.assertEqual([e["policyId"] for e in spaced], ten.split(","))
            self.assertEqual(spaced[:3], self.sim.everything())
        for version in VERSIONS[2:]:
            self.assertEqual(self.sim.hostids(version).json(), self.sim.everything())
            self.assertEqual(len(self.sim.hostids(version, "?policyId=%s,1" % ten).json()), 11)

    def test_a_body_of_the_first_two_has_up_to_ten_policies(self):
        body = [{"policyId": str(1001 + p), "subscriptionId": SUBSCRIPTION, "hostIds": ["5000001"]} for p in range(11)]
        for version in VERSIONS[:2]:
            self.assertEqual(self.sim.posture("", body[:10], version=version).status, 200)
            self.refused(self.sim.posture("", body, version=version), 400, "1905")
        for version in VERSIONS[2:]:
            self.assertEqual(self.sim.posture("", body, version=version).status, 200)

    def test_hosts_of_later_ones_are_for_managers(self):
        body = self.sim.everything()
        self.sim.set(manager=False)
        for version in VERSIONS:
            answer = self.sim.hostids(version, "?policyId=1001")
            if version < "3.0":
                self.assertEqual(answer.json(), body[:1])
            else:
                self.refused(answer, 403)
            self.assertEqual(self.sim.posture("", body, version=version).status, 200)
        self.assertEqual(self.sim.call("/pcrs/2.0/posture/policy/list").status, 200)
        self.refused(self.sim.hostids("5.0", "?nonsense=1"), 403)
        self.sim.set(manager=True)
        self.assertEqual(self.sim.hostids("3.0").json(), body)

    def test_sca_assets_are_for_the_first_two(self):
        policies = "?policyId=1001,1002,1003"
        before = self.old("1.0", "", self.sim.everything())
        self.sim.set(sca_hosts=40)
        every = self.sim.hostids("1.0", policies).json()
        self.assertEqual(self.sim.hostids("2.0", policies).json(), every)
        self.assertEqual(sum(len(e["hostIds"]) for e in every), 60)
        plain = {(e["policyId"], h) for e in self.sim.hostids("3.0", policies).json() for h in e["hostIds"]}
        self.assertTrue(10 < len(plain) < 50)
        where = lambda r: (str(r["policyId"]), str(r["hostId"]))
        for version in VERSIONS[:2]:
            self.assertEqual([r["id"] for r in self.old(version, "", every)], [r["id"] for r in before])
        for version in VERSIONS[2:]:
            self.assertEqual(self.sim.hostids(version, policies).json(), self.sim.everything())
            self.assertEqual({r["id"] for r in self.old(version, "", every)}, {r["id"] for r in before if where(r) in plain})
        self.assertTrue({where(r) for r in before} - plain)

    def test_the_first_policy_list_has_no_tags(self):
        first, second = "/pcrs/1.0/posture/policy/list", "/pcrs/2.0/posture/policy/list"
        self.assertEqual(self.sim.call(first).json(), self.sim.call(second).json())
        self.refused(self.sim.call(first + "?requireTagInfo=1"), 400, "1901")


class Retired(Case):
    """The life of versions: each ends, for all APIs or for one, while the simulator runs."""

    def statuses(self, body):
        """Of every version that there is."""
        found = {}
        for version in VERSIONS:
            found["hostids/" + version] = self.sim.hostids(version, "?policyId=1001").status
            found["postureInfo/" + version] = self.sim.posture("", body, version=version).status
        for version in VERSIONS[:2]:
            found["policyList/" + version] = self.sim.call("/pcrs/%s/posture/policy/list" % version).status
        return found

    def ended(self, retired, status=404):
        self.sim.set(retired=retired, retired_status=status)
        found = self.statuses(self.body)
        self.assertLessEqual(set(found.values()), {200, status})
        return {name for name, seen in found.items() if seen == status}

    def setUp(self):
        super().setUp()
        self.body = self.sim.everything()[:1]

    def test_a_version_ends_everywhere_or_for_one_api(self):
        self.assertEqual(self.ended(""), set())
        self.assertEqual(self.ended("postureInfo/1.0,2.0"),
                         {"postureInfo/1.0", "postureInfo/2.0", "hostids/2.0"})
        self.assertEqual(self.ended("hostids/3.0, policyList/1.0"), {"hostids/3.0", "policyList/1.0"})
        self.assertEqual(self.ended("5.0"), {"hostids/5.0", "postureInfo/5.0"})
        self.assertEqual(self.ended(""), set(), "and lives again")

    def test_one_after_the_other_ends(self):
        for last in range(1, 6):
            gone = ["postureInfo/" + v for v in VERSIONS[:last]]
            self.assertEqual(self.ended(",".join(gone)), set(gone))

    def test_the_status_and_the_shape_of_the_body_are_as_asked(self):
        shapes = {"message": b'{"message":', "nested": b'{"_error":', "spring": b'{"timestamp":', "xml": b"<?xml",
                  "html": b"<html", "empty": b""}
        for status in 404, 410, 400:
            self.assertEqual(self.ended("postureInfo/4.0", status), {"postureInfo/4.0"})
            for shape, start in shapes.items():
                self.sim.set(error_shape=shape)
                for body in self.body, []:
                    answer = self.sim.posture("?nonsense=1", body, version="4.0")
                    self.assertEqual(answer.status, status)
                    self.assertTrue(answer.body.startswith(start) and (start or not answer.body), shape)
                    self.assertNotEqual(answer.body[:1], b"[")

    def test_a_token_is_wanted_and_a_call_counts_all_the_same(self):
        self.sim.set(retired="1.0", retired_status=410, rate=5, rate_window=3600)
        self.assertEqual(self.sim.curl(self.sim.base + "/pcrs/1.0/posture/hostids?policyId=1001").status, 401)
        answer = self.sim.hostids("1.0", "?policyId=1001")
        self.assertEqual((answer.status, answer.headers["x-ratelimit-remaining"]), (410, "4"))

    def test_a_call_that_runs_is_not_cut_off(self):
        whole = self.sim.posture("", self.body, version="1.0").json()
        self.sim.control("/hold", {"api": "postureInfo", "records": 3})
        results = []
        held = threading.Thread(target=lambda: results.append(self.sim.posture("", self.body, version="1.0")))
        held.start()
        self.assertTrue(self.sim.control("/wait?api=postureInfo&held=1")["reached"])
        self.sim.set(retired="1.0")
        self.sim.control("/release", {})
        held.join()
        self.assertEqual([r["id"] for r in results[0].json()], [r["id"] for r in whole])
        self.assertEqual(self.sim.posture("", self.body, version="1.0").status, 404)

    def test_what_is_none_is_refused(self):
        for wrong in "postureinfo/1.0", "auth/1.0", "other/1.0", "/1.0", "1", "10.0", "1.0,", ",1.0", "1.0 2.0", "postureInfo/", "postureInfo/1.0/", "*":
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.sim.set(retired=wrong)
            self.assertEqual(refused.exception.code, 400, wrong)
            refused.exception.close()
        self.assertEqual(self.sim.control("/options")["retired"], "")
        done = subprocess.run([PROGRAM, "--retired", "posture/1.0"], capture_output=True, timeout=QUICK)
        self.assertEqual(done.returncode, 2)


class Limits(Case):
    path = "/pcrs/2.0/posture/policy/list"

    def test_the_rate_is_told_and_kept(self):
        self.sim.set(rate=3, rate_window=3600)
        for left in "2", "1", "0":
            answer = self.sim.call(self.path)
            self.assertEqual(answer.status, 200)
            self.assertEqual([answer.headers["x-ratelimit-" + h] for h in ("limit", "window-sec", "remaining")], ["3", "3600", left])
        refused = self.sim.call(self.path)
        self.assertEqual((refused.status, refused.json()["errorCode"]), (409, "1965"))
        self.assertTrue(3500 < int(refused.headers["x-ratelimit-towait-sec"]) <= 3600)
        self.assertNotIn("retry-after", refused.headers)
        self.assertEqual(self.sim.call("/pcrs/5.0/posture/hostids").status, 200, "each API has its own")
        self.assertEqual(self.sim.tally("policyList")["tooOften"], 1)

    def test_it_may_be_429_with_retry_after(self):
        self.sim.set(rate=1, rate_window=3600, block_status=429, wait_header="retry-after")
        self.sim.call(self.path)
        refused = self.sim.call(self.path)
        self.assertEqual(refused.status, 429)
        self.assertIn("retry-after", refused.headers)
        self.assertNotIn("x-ratelimit-towait-sec", refused.headers)

    def test_the_window_rolls(self):
        self.sim.set(rate=1, rate_window=1)
        self.assertEqual(self.sim.call(self.path).status, 200)
        while (answer := self.sim.call(self.path)).status != 200:
            self.assertEqual(answer.headers["x-ratelimit-towait-sec"], "1")

    def rate_headers(self, answer):
        return sorted(h for h in answer.headers if "ratelimit" in h)

    def test_the_wait_may_be_told_from_the_second_refusal_on(self):
        self.sim.set(rate=1, rate_window=3600, wait_late=True)
        usual = self.rate_headers(self.sim.call(self.path))
        self.assertEqual(self.rate_headers(self.sim.call(self.path)), usual)
        for _ in range(2):
            self.assertIn("x-ratelimit-towait-sec", self.sim.call(self.path).headers)
        self.sim.set(rate=2)
        self.assertEqual(self.sim.call(self.path).status, 200)
        refused = self.sim.call(self.path)
        self.assertEqual((refused.status, self.rate_headers(refused)), (409, usual), "a row of refusals begins anew")

    def test_calls_of_others_fill_the_window(self):
        self.sim.set(rate=10, rate_window=3600)
        self.sim.call(self.path)
        self.sim.control("/use", {"api": "policyList", "calls": 6})
        self.assertEqual(self.sim.call(self.path).headers["x-ratelimit-remaining"], "2")
        self.sim.control("/use", {"api": "policyList", "calls": 50})
        refused = self.sim.call(self.path)
        self.assertEqual((refused.status, refused.json()["errorCode"]), (409, "1965"))
        self.assertTrue(3500 < int(refused.headers["x-ratelimit-towait-sec"]) <= 3600)
        self.assertEqual(self.sim.call("/pcrs/5.0/posture/hostids").headers["x-ratelimit-remaining"], "9")
        self.assertEqual(self.sim.tally("policyList")["calls"], 3, "they are not in our journal")

    def test_the_concurrency_is_told_under_either_name(self):
        self.assertFalse([h for h in self.sim.call(self.path).headers if "concurrency" in h])
        self.sim.set(concurrency=1, rate=100)
        for how, name in ("hyphen", "x-concurrency-limit-"), ("joined", "x-concurrencylimit-"):
            self.sim.set(concurrency_header=how)
            good = self.sim.call(self.path)
            self.assertEqual((good.headers[name + "limit"], good.headers[name + "running"]), ("1", "1"))
            hold = self.sim.control("/hold", {"api": "policyList", "times": 1})["id"]
            held = threading.Thread(target=self.sim.call, args=(self.path,))
            held.start()
            self.assertTrue(self.sim.control("/wait?api=policyList&held=1")["reached"])
            refused = self.sim.call(self.path)
            self.assertEqual((refused.status, refused.json()["errorCode"]), (409, "1960"))
            self.assertEqual((refused.headers[name + "limit"], refused.headers[name + "running"]), ("1", "1"))
            self.assertEqual(self.rate_headers(refused), [])
            self.sim.control("/release", {"id": hold})
            held.join()

    def test_a_refusal_on_request_has_the_headers_of_its_code(self):
        self.sim.set(rate=100)
        self.sim.control("/fault", {"fault": "409", "toWait": 7})
        self.assertEqual(len(self.rate_headers(self.sim.call(self.path))), 4)
        self.sim.control("/fault", {"fault": "409", "code": 1960})
        self.assertEqual(self.rate_headers(self.sim.call(self.path)), [])

    def test_calls_at_the_same_time_are_limited_and_freed(self):
        self.sim.set(concurrency=1, rate=100)
        body = self.sim.everything()
        self.sim.control("/hold", {"api": "postureInfo", "times": 1})
        results = []
        held = threading.Thread(target=lambda: results.append(self.sim.posture("", body)))
        held.start()
        self.assertTrue(self.sim.control("/wait?api=postureInfo&held=1")["reached"])
        refused = self.sim.posture("", body)
        self.assertEqual((refused.status, refused.json()["errorCode"]), (409, "1960"))
        self.assertNotIn("x-ratelimit-limit", refused.headers)
        self.sim.control("/release", {})
        held.join()
        self.assertEqual(results[0].status, 200)
        for _ in range(5):
            self.assertEqual(self.sim.posture("", body).status, 200)
        state = self.sim.control("/state")
        self.assertEqual(state["running"]["postureInfo"], {"now": 0, "most": 1})
        self.assertEqual(state["apis"]["postureInfo"]["tooMany"], 1)


class Clock(Case):
    """A simulator of its own: the clock of one does not go back."""

    path = "/pcrs/2.0/posture/policy/list"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_s = time.time()

    def ahead_s(self):
        stamped = email.utils.parsedate_to_datetime(self.sim.call(self.path).headers["date"])
        return stamped.timestamp() - time.time()

    def test_a_rate_window_rolls_when_time_is_moved(self):
        self.sim.set(rate=1, rate_window=3600)
        self.assertEqual(self.sim.call(self.path).status, 200)
        self.sim.control("/advance", {"seconds": 1800})
        refused = self.sim.call(self.path)
        self.assertEqual(refused.status, 409)
        self.assertLessEqual(int(refused.headers["x-ratelimit-towait-sec"]), 1800)
        self.sim.control("/advance", {"seconds": 1800})
        self.assertEqual(self.sim.call(self.path).status, 200)

    def test_a_token_ends_when_time_is_moved(self):
        self.sim.control("/advance", {"seconds": 14000})
        self.assertEqual(self.sim.call(self.path).status, 200)
        self.sim.control("/advance", {"seconds": 400})
        self.assertEqual(self.sim.call(self.path).status, 401)
        claims = self.sim.login().split(".")[1]
        issued = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iat"]
        self.assertGreaterEqual(issued - self.start_s, 14399)

    def test_what_is_stamped_moves(self):
        before = self.ahead_s()
        self.sim.control("/advance", {"seconds": 86400.5})
        self.assertTrue(86300 < self.ahead_s() - before < 86500)
        self.sim.login()
        created = self.records()[0]["created"]
        self.assertGreater(created, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 80000)))

    def test_a_latency_passes_when_time_is_moved(self):
        self.sim.set(latency_ms=3600000)
        results = []
        slow = threading.Thread(target=lambda: results.append(self.sim.call(self.path)))
        slow.start()
        self.assertTrue(self.sim.control("/wait?api=policyList&calls=1")["reached"])
        while not results:
            self.sim.control("/advance", {"seconds": 3600})
        slow.join()
        self.assertEqual((results[0].rc, results[0].status), (0, 200))

    def test_a_wait_for_calls_is_by_real_time(self):
        results = []
        waiting = threading.Thread(target=lambda: results.append(self.sim.control("/wait?api=policyList&calls=1&timeout_ms=14000")))
        waiting.start()
        for _ in range(20):
            self.sim.control("/advance", {"seconds": 3600})
        self.sim.login()
        self.sim.call(self.path)
        waiting.join()
        self.assertTrue(results[0]["reached"])

    def test_the_start_can_be_ahead(self):
        sim = Simulator("--ahead-ms", "7200000")
        try:
            sim.login()
            stamped = email.utils.parsedate_to_datetime(sim.call(self.path).headers["date"])
            self.assertTrue(7100 < stamped.timestamp() - time.time() < 7300)
        finally:
            sim.stop()


class Ledger(unittest.TestCase):
    path = "/pcrs/2.0/posture/policy/list"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = os.path.join(self.folder.name, "ledger")

    def simulator(self, *options):
        sim = Simulator(*DATA, "--rate", "5", "--rate-window", "3600", "--ledger", self.file, *options)
        sim.login()
        return sim

    def lines(self):
        with open(self.file, encoding="ascii") as file:
            return [json.loads(line) for line in file]

    def test_tells_what_the_limits_decided(self):
        before = time.time()
        sim = self.simulator("--concurrency", "1")
        try:
            sim.curl(sim.base + "/auth", data=b"")
            sim.control("/fault", {"fault": "500", "api": "auth"})
            sim.login()
            sim.login()
            for _ in range(2):
                sim.call(self.path)
            hold = sim.control("/hold", {"api": "policyList", "times": 1})["id"]
            held = threading.Thread(target=sim.call, args=(self.path,))
            held.start()
            self.assertTrue(sim.control("/wait?api=policyList&held=1")["reached"])
            self.assertEqual([l["verdict"] for l in self.lines()][-1], "entered", "before it is answered")
            sim.call(self.path)
            sim.control("/release", {"id": hold})
            held.join()
            sim.control("/use", {"api": "policyList", "calls": 2})
            sim.control("/advance", {"seconds": 1000})
            sim.call(self.path)
            sim.curl(sim.base + self.path)  # no token: it does not get as far
        finally:
            sim.stop()
        self.assertEqual([l["verdict"] for l in self.lines() if l["api"] == "auth"], [201, 401, 500, 201])
        rest = [(l["api"], l["verdict"], l.get("running"), l.get("calls")) for l in self.lines() if l["api"] != "auth"]
        self.assertEqual(rest, [("policyList", "entered", 1, None)] * 3 + [
            ("policyList", "too-many", 1, None), ("policyList", "others", None, 2), ("policyList", "too-often", 0, None)])
        times = [l["t"] for l in self.lines()]
        self.assertEqual(times, sorted(times))
        self.assertTrue(before - 0.001 <= times[0] <= times[-2] <= time.time() and 1000 <= times[-1] - times[-2] < 1100)

    def test_the_window_is_resumed_where_asked(self):
        first = self.simulator()
        first.call(self.path)
        first.control("/use", {"api": "policyList", "calls": 1})
        first.call("/pcrs/5.0/posture/hostids")
        first.stop(signal.SIGKILL)
        remaining = lambda sim, path=self.path: sim.call(path).headers["x-ratelimit-remaining"]
        for options, left in (("--ledger-resume",), "2"), (("--ledger-resume",), "1"), ((), "4"):
            sim = self.simulator(*options)
            try:
                self.assertEqual(remaining(sim), left)
            finally:
                sim.stop()
        self.assertEqual(len([l for l in self.lines() if l["verdict"] == "entered"]), 5, "appended")
        sim = self.simulator("--ledger-resume")
        try:
            self.assertEqual(sim.call(self.path).status, 409)
            self.assertEqual(remaining(sim, "/pcrs/5.0/posture/hostids"), "3")
            sim.control("/advance", {"seconds": 3600})
            self.assertEqual(remaining(sim, "/pcrs/5.0/posture/hostids"), "4")
        finally:
            sim.stop()

    def test_what_has_left_the_window_is_not_resumed(self):
        sim = self.simulator()
        sim.call(self.path)
        sim.control("/advance", {"seconds": 1800})
        sim.login()
        sim.call(self.path)
        sim.stop()
        for ahead_s, left in (1800, "2"), (3601, "2"), (5401, "3"):
            # each asks once itself: the first resumes two calls, the second one and this, the last two of these
            sim = self.simulator("--ledger-resume", "--ahead-ms", str(ahead_s * 1000))
            try:
                self.assertEqual(sim.call(self.path).headers["x-ratelimit-remaining"], left, ahead_s)
            finally:
                sim.stop()

    def test_lines_that_are_none_are_passed_over(self):
        with open(self.file, "w", encoding="ascii") as file:
            file.write('{"t":%d,"api":"policyList","verdict":"entered"}\nhalf a li\n[]\n{}\n{"t":1,"api":"x","verdict":"entered"}\n' % time.time())
        sim = self.simulator("--ledger-resume")
        try:
            self.assertEqual(sim.call(self.path).headers["x-ratelimit-remaining"], "3")
        finally:
            sim.stop()

    def test_a_ledger_that_cannot_be_written_is_told(self):
        done = subprocess.run([PROGRAM, "--ledger", self.folder.name], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(self.folder.name, done.stderr)


class Control(Case):
    def test_a_hold_lets_exactly_so_many_records_out(self):
        body = json.dumps(self.sim.everything()).encode()
        total = len(self.ids())
        for compress in "0", "1":
            self.sim.control("/hold", {"api": "postureInfo", "records": 5, "times": 1})
            request = ("POST /pcrs/5.0/posture/postureInfo?compressionRequired=%s HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer %s\r\n"
                       "Connection: close\r\nContent-Length: %d\r\n\r\n" % (compress, self.sim.token, len(body))).encode() + body
            with socket.create_connection(("127.0.0.1", self.sim.port), timeout=QUICK) as s:
                s.sendall(request)
                self.assertTrue(self.sim.control("/wait?held=1")["reached"])
                part = s.recv(1 << 20)
                text = inflate_some(dechunk(part.partition(b"\r\n\r\n")[2])[0]) if compress == "1" else part
                self.assertEqual(len(re.findall(rb'[\[,]{"id":\d+,"instance"', text)), 5)
                self.sim.control("/release", {})
                while piece := s.recv(65536):
                    part += piece
            whole, ended = dechunk(part.partition(b"\r\n\r\n")[2])
            self.assertTrue(ended)
            self.assertEqual(len(Answer(0, b"HTTP/1.1 200 OK", whole).json()), total)

    def test_a_held_answer_can_be_made_to_break_off(self):
        number = self.sim.control("/hold", {"api": "postureInfo", "records": 5})["id"]
        results = []
        held = threading.Thread(target=lambda: results.append(self.sim.posture("", self.sim.everything())))
        held.start()
        self.assertTrue(self.sim.control("/wait?held=1")["reached"])
        self.sim.control("/release", {"id": number, "broken": True})
        held.join()
        self.assertEqual(results[0].rc, 18)  # curl: it is not whole
        self.assertTrue(self.sim.control("/wait?ended=1")["reached"])
        self.assertEqual(self.sim.control("/state")["running"]["postureInfo"]["now"], 0)
        again = self.sim.posture("", self.sim.everything())
        self.assertEqual((again.rc, again.status), (0, 200))

    def test_a_hold_can_let_calls_go_one_by_one(self):
        number = self.sim.control("/hold", {"api": "policyList"})["id"]
        threads = [threading.Thread(target=self.sim.call, args=("/pcrs/2.0/posture/policy/list",)) for _ in range(2)]
        for t in threads:
            t.start()
        self.assertTrue(self.sim.control("/wait?api=policyList&held=2")["reached"])
        self.sim.control("/release", {"id": number, "count": 1})
        self.assertEqual(self.sim.control("/wait?api=policyList&ended=1")["held"], 1)
        self.sim.control("/release", {"id": number})
        for t in threads:
            t.join()
        self.assertEqual(self.sim.control("/wait?api=policyList&ended=2")["held"], 0)

    def test_a_wait_ends_without_what_it_waits_for(self):
        self.assertFalse(self.sim.control("/wait?api=auth&calls=100&timeout_ms=1")["reached"])

    def test_the_journal_tells_what_came(self):
        self.sim.posture("?status=Failed")
        self.sim.control("/wait?ended=1")
        request = self.sim.control("/state?last=1&bodies=1")["requests"][0]
        self.assertEqual((request["method"], request["uri"], request["status"], request["outcome"]),
                         ("POST", "/pcrs/5.0/posture/postureInfo?status=Failed", 200, "done"))
        self.assertEqual(json.loads(request["body"]), self.sim.everything())
        self.assertEqual(request["records"], len(self.ids("?status=Failed")))

    def test_nonsense_is_refused(self):
        for path, body in (("/set", {"no-such": 1}), ("/set", {"rate": -1}), ("/set", {"port": 1}), ("/set", {"epoch": "x"}),
                           ("/set", {"batches": "few"}), ("/fault", {"fault": "no-such"}), ("/fault", {"fault": "500", "api": "x"}), ("/fault", {"fault": "500", "tmies": 2}),
                           ("/hold", {"api": "x"}), ("/advance", {}), ("/advance", {"seconds": -1}), ("/advance", {"seconds": "1"}),
                           ("/use", {"calls": 1}), ("/use", {"api": "auth", "calls": 1}), ("/use", {"api": "hostids", "calls": -1}), ("/wait", None), ("/no-such", {})):
            answer = self.sim.curl(self.sim.control_base + path, data=json.dumps(body).encode())
            self.assertIn(answer.status, (400, 404), (path, body))
        self.assertEqual(self.sim.control("/options")["rate"], 0)


def dechunk(data):
    """The payload, and whether the final chunk was there."""
    out = b""
    while data:
        line, border, data = data.partition(b"\r\n")
        try:
            size = int(line, 16)
        except ValueError:
            return out, False
        if size == 0 and border:
            return out, data == b"\r\n"
        out += data[:size]
        data = data[size + 2:]
    return out, False


def inflate_some(data):
    """What gunzip can make of the beginning of a stream."""
    return gunzip(data)[1]


class Faults(Case):
    """Every row of the table, told by its wire effect."""

    body = [{"policyId": "1001", "subscriptionId": SUBSCRIPTION, "hostIds": ["5000001", "5000002", "5000003", "5000004"]}]

    def strike(self, name, query="", **more):
        self.sim.control("/fault", {"api": "postureInfo", "fault": name, **more})
        return self.sim.posture(query, self.body)

    def good(self):
        return self.sim.posture("?compressionRequired=0", self.body).json()

    def setUp(self):
        super().setUp()
        self.sim.set(now="2026-11-05", large_every=0)

    checked = set()

    def covers(self, *names):
        Faults.checked.update(names)

    @classmethod
    def tearDownClass(cls):
        rows = {row["fault"] for row in cls.sim.control("/faults")["faults"]}
        super().tearDownClass()
        assert rows <= cls.checked, "faults that no case looks at: %s" % sorted(rows - cls.checked)

    def test_statuses(self):
        for status in (400, 401, 403, 404, 409, 410, 429, 500, 501, 502, 503, 504):
            self.covers(str(status))
            self.assertEqual(self.strike(str(status)).status, status)
            self.assertEqual(self.sim.posture("", self.body).status, 200, "only once")
        self.assertEqual(self.strike("status", status=520).status, 520)
        self.assertEqual(self.strike("409_registration").json()["errorCode"], "2003")
        self.assertTrue(self.strike("401").json()["message"].startswith("JWT expired"))
        self.covers("status", "409_registration")

    def test_waits_are_told_as_asked(self):
        headers = self.strike("409", toWait=17).headers
        self.assertEqual((headers["x-ratelimit-towait-sec"], headers.get("retry-after")), ("17", None))
        for value in "5", "-3", "1000000000":
            self.assertEqual(self.strike("429", retryAfter=value).headers["retry-after"], value)
        self.assertRegex(self.strike("503", retryAfter="date:60").headers["retry-after"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertNotIn("retry-after", self.strike("429").headers)

    def test_skip_times_and_match_choose_the_calls(self):
        self.sim.control("/fault", {"fault": "500", "skip": 1, "times": 2})
        self.sim.control("/fault", {"fault": "503", "match": "status=Error"})
        seen = [self.sim.posture("", self.body).status for _ in range(4)]
        self.assertEqual(seen, [200, 500, 500, 200])
        self.assertEqual(self.sim.posture("?status=Error", self.body).status, 503)
        self.sim.control("/fault", {"api": "auth", "fault": "500", "times": -1})
        self.assertEqual(self.sim.posture("", self.body).status, 200)
        self.assertEqual([self.sim.curl(self.sim.base + "/auth", data=b"").status for _ in range(3)], [500] * 3)
        self.assertEqual(self.sim.tally()["faults"], 3)

    def test_other_answers(self):
        self.assertEqual((self.strike("204").status, self.strike("empty").body), (204, b""))
        self.assertTrue(self.strike("html").body.startswith(b"<!DOCTYPE html>"))
        self.assertIsInstance(self.strike("object").json(), dict)
        self.assertIn("error", self.strike("error_200").json())
        self.assertEqual(self.strike("body", value="[1]").body, b"[1]")
        answer = self.strike("redirect", value="http://127.0.0.1:9/x")
        self.assertEqual((answer.status, answer.headers["location"]), (302, "http://127.0.0.1:9/x"))
        self.covers("204", "empty", "html", "object", "error_200", "body", "redirect")

    def test_logins(self):
        def login(name):
            self.covers(name)
            self.sim.control("/fault", {"api": "auth", "fault": name})
            return self.sim.curl(self.sim.base + "/auth", data=b"username=some+user&password=" + quoted(PASSWORD).encode())
        self.assertEqual(login("login_200").status, 200)
        self.assertIn(b"\r\n", login("login_garbage").body)
        answer = login("login_empty")
        self.assertEqual((answer.status, answer.body), (201, b""))
        self.assertEqual(len(login("login_huge").body), 1048576)

    def test_records_that_do_not_belong(self):
        good = self.good()
        hosts, policies = {r["hostId"] for r in good}, {r["policyId"] for r in good}
        self.assertEqual(len({r["hostId"] for r in self.strike("foreign_host").json()} - hosts), 1)
        self.assertEqual(len({r["policyId"] for r in self.strike("foreign_policy").json()} - policies), 1)
        self.assertEqual(len({r["id"] for r in self.strike("foreign_posture").json()} - {r["id"] for r in good}), 1)
        self.assertEqual(self.strike("duplicate_record").json(), good + good[:1])
        self.assertEqual(self.strike("lost_records", count=3).json(), good[:-3])
        self.assertNotIn("id", self.strike("no_id").json()[0])
        self.assertEqual(self.strike("posture_id").json()[0]["postureId"], good[0]["id"])
        self.assertEqual([r["status"] for r in self.strike("odd_status").json()],
                         ["Deferred"] + [r["status"] for r in good[1:]])
        self.covers("odd_status")
        self.covers("foreign_host", "foreign_policy", "foreign_posture", "duplicate_record", "lost_records", "no_id", "posture_id")

    def test_a_batch_may_be_missing(self):
        self.covers("lost_batch")
        self.sim.set(batch_hosts=1)
        good = self.good()
        self.assertGreater(good[0]["totalBatches"], 2)
        for number in good[0]["currentBatch"], good[-1]["currentBatch"]:
            lost = self.strike("lost_batch", count=number)
            self.assertEqual(lost.rc, 0)
            self.assertEqual(lost.json(), [r for r in good if r["currentBatch"] != number])
        self.assertEqual(self.good(), good)
        self.sim.control("/fault", {"fault": "lost_batch", "times": 2})
        short = [r for r in good if r["currentBatch"] != 1]
        self.assertEqual([self.good(), self.good(), self.good()], [short, short, good])
        self.sim.set(batches="one")
        self.assertEqual(self.strike("lost_batch").json(), [])
        self.assertEqual(self.strike("lost_batch", "?page=1").json()["errorCode"], "1901")

    def test_arrays_that_are_none(self):
        whole = self.sim.posture("?compressionRequired=0", self.body).body
        self.assertEqual(self.strike("array_cut").text(), whole[:-1])
        self.assertEqual(self.strike("array_cut", at=1000).text(), whole[:1000])
        self.assertEqual(self.strike("second_array").text(), whole + b"[]")
        self.assertTrue(self.strike("html_tail").text().startswith(whole + b"\n<html>"))
        self.assertEqual(self.strike("byte_order_mark").text(), b"\xef\xbb\xbf" + whole)
        spaced = self.strike("white_space", "?compressionRequired=0")
        self.assertEqual(json.loads(spaced.body), json.loads(whole))
        self.assertNotIn(b'},{"id":', spaced.body)
        self.covers("array_cut", "second_array", "html_tail", "byte_order_mark", "white_space")

    def test_strings_and_numbers_that_are_none(self):
        bad = {"invalid_utf8": b"\xff\xfe", "overlong_utf8": b"\xc0\xaf", "surrogate_utf8": b"\xed\xa0\xbd", "lone_surrogate": b"\\ud83dB",
               "low_surrogate": b'"\\udc4d', "raw_control": b"\x01", "raw_nul": b'"\x00', "bad_escape": b"\\x41", "nan": b":NaN,",
               "infinity": b":-Infinity,", "leading_zero": b":01,", "bare_exponent": b":1e,", "plus_sign": b":+1,"}
        for name, piece in bad.items():
            self.covers(name)
            self.assertIn(piece, self.strike(name).text(), name)
        legal = {"nul_escape": b"\\u0000", "large_numbers": b"18446744073709551616", "member": b":null,", "duplicate_member": b'"instance":"again","instance"'}
        for name, piece in legal.items():
            self.covers(name)
            text = self.strike(name).text()
            self.assertIn(piece, text)
            self.assertTrue(jq_reads(text), name)

    def test_records_that_are_too_much(self):
        text = self.strike("deep_nesting", count=5000).text()
        self.assertIn(b"[" * 5000 + b"]" * 5000, text)
        text = self.strike("huge_record", count=3000000).text()
        self.assertEqual(len(json.loads(text)[0]["simulatedFault"]), 3000000)
        self.covers("deep_nesting", "huge_record")

    def test_gzip_that_gunzip_refuses(self):
        for name in ("gzip_cut", "gzip_no_trailer", "gzip_half_trailer", "gzip_bad_crc", "gzip_bad_size", "gzip_bit_flip"):
            self.covers(name)
            answer = self.strike(name)
            self.assertEqual((answer.rc, answer.status, answer.body[:2]), (0, 200, b"\x1f\x8b"), name)
            self.assertEqual(gunzip(answer.body)[0], 1, name)
        cut = self.strike("gzip_cut", at=100, framing="length")
        self.assertEqual((len(cut.body), cut.headers["content-length"]), (100, "100"))
        by_close = self.strike("gzip_cut", at=100)
        self.assertFalse({"content-length", "transfer-encoding"} & set(by_close.headers))
        garbage = self.strike("gzip_garbage_tail").body
        self.assertTrue(garbage.endswith(b"X" * 64))
        self.assertEqual(gunzip(garbage)[0], 2, "gunzip warns of it")
        self.covers("gzip_garbage_tail")

    def test_gzip_that_is_odd_but_right(self):
        whole = self.sim.posture("?compressionRequired=0", self.body).body
        self.assertEqual(gunzip(self.strike("gzip_zero_tail").body)[1], whole)
        self.assertEqual(gunzip(self.strike("gzip_members").body), (0, whole))
        many = self.strike("gzip_many_members").body
        self.assertGreaterEqual(many.count(b"\x1f\x8b\x08"), 1000)
        self.assertEqual(gunzip(many), (0, whole))
        self.assertEqual(gunzip(self.strike("gzip_empty_members").body), (0, whole))
        self.assertEqual(gunzip(gunzip(self.strike("gzip_double").body)[1]), (0, whole))
        self.covers("gzip_zero_tail", "gzip_members", "gzip_many_members", "gzip_empty_members", "gzip_double")

    def test_labels_true_and_false(self):
        whole = self.sim.posture("?compressionRequired=0", self.body).body
        labelled = self.strike("gzip_labelled")
        self.assertEqual((labelled.headers["content-encoding"], gunzip(labelled.body)), ("gzip", (0, whole)))
        plain = self.strike("plain_labelled")
        self.assertEqual((plain.headers["content-encoding"], plain.body), ("gzip", whole))
        self.sim.control("/fault", {"fault": "deflate"})
        by_curl = self.sim.posture("", self.body, "--compressed")
        self.assertEqual((by_curl.rc, by_curl.headers["content-encoding"], by_curl.body), (0, "deflate", whole))
        wrong = self.strike("wrong_label")
        self.assertEqual((wrong.headers["content-encoding"], wrong.body[:2]), ("br", b"\x1f\x8b"))
        self.covers("gzip_labelled", "plain_labelled", "deflate", "wrong_label")

    def test_a_bomb(self):
        self.covers("bomb")
        answer = self.strike("bomb", count=20 * 1024 * 1024)
        self.assertLess(len(answer.body), 100000)
        text = answer.text()
        self.assertGreater(len(text), 20 * 1024 * 1024)
        self.assertTrue(jq_reads(text))

    def test_lengths_and_chunks_that_lie(self):
        self.covers("length_long", "length_short", "no_final_chunk", "bad_chunk", "close", "body_cut")
        whole = self.sim.posture("?compressionRequired=0", self.body).body
        self.assertEqual(self.strike("length_long", "?compressionRequired=0").rc, 18)
        answer = self.strike("length_short", "?compressionRequired=0")
        self.assertEqual((answer.rc, answer.body), (0, whole[:-10]))
        answer = self.strike("no_final_chunk", "?compressionRequired=0")
        self.assertEqual((answer.rc, answer.body), (18, whole))
        self.assertNotEqual(self.strike("bad_chunk").rc, 0)
        answer = self.strike("close", "?compressionRequired=0", at=1000)
        self.assertEqual((answer.rc, answer.body), (18, whole[:1000]))
        answer = self.strike("body_cut", "?compressionRequired=0", at=1000)
        self.assertEqual((answer.rc, answer.body), (0, whole[:1000]))

    def raw_strike(self, name, **more):
        self.sim.control("/fault", {"fault": name, **more})
        body = json.dumps(self.body).encode()
        return self.sim.raw(("POST /pcrs/5.0/posture/postureInfo?compressionRequired=0 HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer %s\r\n"
                             "Content-Length: %d\r\n\r\n" % (self.sim.token, len(body))).encode() + body)

    def test_connections_that_end_badly(self):
        self.covers("reset", "reset_start", "no_answer", "not_http")
        self.assertEqual(self.raw_strike("reset_start"), (b"", "reset"))
        got, how = self.raw_strike("reset", at=3000)
        self.assertEqual((len(dechunk(got.partition(b"\r\n\r\n")[2])[0]), how), (3000, "reset"))
        self.assertEqual(self.strike("reset").rc, 56)
        self.assertEqual(self.raw_strike("no_answer"), (b"", "closed"))
        self.assertEqual(self.strike("no_answer").rc, 52)
        self.assertTrue(self.raw_strike("not_http")[0].startswith(b"SSH-"))

    def test_stalls_last_until_released(self):
        self.covers("stall", "stall_head")
        for name in "stall_head", "stall":
            self.assertEqual(self.sim.control("/wait?stalled=0")["stalled"], 0)
            results = []
            thread = threading.Thread(target=lambda: results.append(self.strike(name)))
            thread.start()
            self.assertTrue(self.sim.control("/wait?stalled=1")["reached"])
            self.assertEqual(results, [])
            self.assertEqual(self.sim.control("/state")["running"]["postureInfo"]["now"], 1)
            self.sim.control("/release", {})
            thread.join()
            self.assertEqual((results[0].rc, results[0].json()), (0, self.good()))
        self.sim.control("/fault", {"fault": "stall"})
        given_up = self.sim.posture("", self.body, "--max-time", "0.3")
        self.assertEqual(given_up.rc, 28)
        self.sim.control("/fault", {"fault": "drip", "count": 100})
        self.assertEqual(self.sim.posture("", self.body, "--max-time", "0.3").rc, 28)
        self.covers("drip")

    def test_heads_without_end(self):
        self.covers("huge_header", "many_headers")
        got, _ = self.raw_strike("huge_header")
        self.assertGreater(len(got.partition(b"\r\n\r\n")[0]), 10485760)
        got, _ = self.raw_strike("many_headers")
        self.assertGreater(got.partition(b"\r\n\r\n")[0].count(b"\r\n"), 10000)
        self.assertNotEqual(self.strike("huge_header").rc, 0)


class Program(unittest.TestCase):
    def test_help_lists_every_option(self):
        text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True).stdout
        sim = Simulator("--no-unknown-member", "--rate=7")
        try:
            options = sim.control("/options")
            for name in options:
                self.assertRegex(text, r"--(\[no-\])?%s\b" % name)
            self.assertEqual((options["unknown-member"], options["rate"]), (False, 7))
        finally:
            self.assertEqual(sim.stop(signal.SIGINT), (0, ""))

    def test_bad_options_are_told(self):
        for bad in ["--no-such"], ["--rate"], ["--rate", "x"], ["extra"], ["--no-rate"]:
            done = subprocess.run([PROGRAM, *bad], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""), bad)

    def test_it_ends_while_calls_are_held(self):
        sim = Simulator(*DATA)
        sim.login()
        body = sim.everything()
        sim.control("/hold", {"api": "postureInfo"})
        sim.control("/fault", {"api": "policyList", "fault": "stall_head"})
        threads = [threading.Thread(target=sim.posture, args=("", body)),
                   threading.Thread(target=sim.call, args=("/pcrs/2.0/posture/policy/list",))]
        for t in threads:
            t.start()
        sim.control("/wait?held=1&stalled=1")
        self.assertEqual(sim.stop(), (0, ""))
        for t in threads:
            t.join()

    def test_it_listens_on_loopback_alone(self):
        sim = Simulator()
        try:
            with open("/proc/net/tcp", encoding="ascii") as table:
                mine = [line.split()[1] for line in table if "%04X" % sim.port in line.split()[1][-4:]]
            self.assertIn("0100007F:%04X" % sim.port, mine)
            self.assertNotIn("00000000:%04X" % sim.port, mine)
        finally:
            sim.stop()


def main():
    if not os.access(PROGRAM, os.X_OK):
        print("simulator: %s is not built" % PROGRAM)
        return 77
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
    bad = len(result.failures) + len(result.errors)
    print("simulator: %d cases, %d failed" % (result.testsRun, bad))
    return 1 if bad or result.testsRun == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
