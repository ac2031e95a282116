"""What the drop-in surface refuses, as the upstream would: parameters by version, bodies, paths, methods."""

import json
import re

import harness
import speaker
from harness import Consumer
from speaker import VERSIONS

HOSTS, CONTROLS = 6, 5
DATA = {"policies": 11, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0,
        "now": "2026-11-20T12:00:00Z"} | speaker.UNLIMITED
DATE = ("2026-10-20", "2026-10-28T12:00:00Z"), ("", "yesterday", "2026-13-01", "20261020", "2026-10-20,2026-10-21")
FLAG = ("0", "1"), ("", "2", "true", "-1", "01")
NUMBER = ("0", "1", "5000"), ("", "x", "-1", "1.5")
# since which version, values that are good and that are not
POSTURE_INFO = {
    "evidenceRequired": (1, FLAG), "compressionRequired": (1, FLAG), "lastEvaluationDate": (1, DATE),
    "lastScanDate": (1, DATE), "statusChangedSince": (1, DATE), "evidenceTruncationLimit": (1, NUMBER),
    "excludeInactiveControl": (2, FLAG), "cloudMetaDataRequired": (3, FLAG),
    "status": (3, (("Passed", "failed", "Passed,Error", "Failed, Error"),
                   ("", "Unknown", "Passed;Failed", "Passed,,Error"))),
    "previousStatus": (3, (("Passed", "failed"), ("", "Unknown", "Passed,Failed"))),
    "criticalityValues": (3, (("0", "1,5", "2 , 3"), ("", "6", "HIGH", "1;2", "-1"))),
    "criticalityLabels": (3, (("URGENT", "minimal, SERIOUS"), ("", "5", "VERY", "URGENT;MINIMAL"))),
    "extendedEvidenceRequired": (5, FLAG), "qdScoreRequired": (5, FLAG),
}
HOSTIDS = {
    "lastScanDate": (1, DATE), "statusChangedSince": (3, DATE),
    "assetDeploymentType": (5, (("ON-PREM", "CLOUD", "ALL"), ("", "NONE", "CLOUD,ALL"))),
    "assetState": (5, (("ACTIVE", "TERMINATED", "ALL"), ("", "DEAD"))),
}
POLICY_LIST = {"lastEvaluationDate": (1, DATE), "requireTagInfo": (2, FLAG)}
UNKNOWN = "colour", "policyid", "EvidenceRequired", "limit", "evidenceRequired%20", "%66oo", "status%00"


def body_of(*policies):
    return [speaker.element(p, speaker.simulated_hosts(p, HOSTS)) for p in policies]


class Inputs(harness.StackTest, speaker.Messages):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[Consumer("old", legacy="allow")])
        cls.gateway = speaker.gateway_of(cls.shared)
        cls.upstream = speaker.upstream_of(cls.shared)
        for s in (cls.gateway, cls.upstream):
            s.login()

    def both(self, method, target, body=None):
        """What the upstream says to it, and the gateway."""
        text = None if body is None else json.dumps(body)
        return [s.request(method, target, text, s.headers()) for s in (self.upstream, self.gateway)]


class Parameters(Inputs):
    def targets(self):
        """Every call in every version: its parameters, and how it is made with a query string."""
        for version in VERSIONS:
            yield (version, POSTURE_INFO, "POST", speaker.posture_info(version) + "?", body_of(1001))
            yield (version, HOSTIDS, "GET", speaker.hostids(version) + "?policyId=1001&", None)
        for version in VERSIONS[:2]:
            yield (version, POLICY_LIST, "GET", speaker.policy_list(version) + "?", None)

    def every_parameter(self):
        for version, params, method, target, body in self.targets():
            for name in POSTURE_INFO | HOSTIDS | POLICY_LIST:
                since, (good, bad) = params.get(name, (99, ((POSTURE_INFO | HOSTIDS | POLICY_LIST)[name][1][0], ())))
                yield method, target, body, name, since <= int(version[0]), good, bad

    def ask(self, method, target, name, value, body):
        value = value.replace(" ", "%20").replace("+", "%2B")
        return self.both(method, f"{target}{name}={value}", body)

    def test_each_is_taken_since_its_version_and_refused_before_it(self):
        refused = taken = 0
        for method, target, body, name, known, good, _ in self.every_parameter():
            for value in good if known else good[:1]:
                with self.subTest(target, name=name, value=value):
                    told, answer = self.ask(method, target, name, value, body)
                    self.assertEqual(told.status, 200 if known else 400)
                    if known:
                        self.assertEqual(answer.status, 200, answer)
                        taken += 1
                    else:
                        self.check_message(answer, 400, rf"^Unrecognized parameter: {name}$")
                        refused += 1
        self.assertGreater(min(taken, refused), 60)

    def test_values_are_looked_at(self):
        for method, target, body, name, known, _, bad in self.every_parameter():
            for value in bad if known else ():
                with self.subTest(target, name=name, value=value):
                    answer = self.ask(method, target, name, value, body)[1]
                    self.check_message(answer, 400, rf"^{name} has to be ")

    def test_one_that_there_never_was_is_refused(self):
        for _, _, method, target, body in self.targets():
            for name in UNKNOWN:
                with self.subTest(target, name=name):
                    self.check_message(self.both(method, f"{target}{name}=1", body)[1], 400)

    def test_a_parameter_that_comes_twice_is_refused(self):
        for _, params, method, target, body in self.targets():
            for name in params:
                value = params[name][1][0][0]
                for second in ("=", f"={value}"):
                    if params[name][0] > int(re.search("[0-9]", target)[0]):
                        continue
                    told, answer = self.both(method, f"{target}{name}={value}&{name}{second}", body)
                    self.assertEqual(told.status, 400)
                    self.check_message(answer, 400, name)

    def test_parameters_that_exclude_or_need_each_other(self):
        for version in VERSIONS:
            target = speaker.posture_info(version) + "?"
            for query in ("lastScanDate=2026-10-01&lastScanDateFrom=2026-10-01&lastScanDateTo=2026-10-02",
                          "lastScanDateFrom=2026-10-01", "lastScanDateTo=2026-10-01",
                          "lastScanDate=2026-10-01&lastScanDateTo=2026-10-02",
                          "criticalityLabels=URGENT&criticalityValues=5"):
                with self.subTest(version=version, query=query):
                    told, answer = self.both("POST", target + query, body_of(1001))
                    self.assertEqual(told.status, 400)
                    self.check_message(answer, 400)
            backwards = "lastScanDateFrom=2026-10-03&lastScanDateTo=2026-10-02"
            self.check_message(self.both("POST", target + backwards, body_of(1001))[1], 400, "later")

    def test_policies_of_hostids(self):
        many = ",".join(str(1001 + p) for p in range(11))
        for version in VERSIONS:
            old = version < "3.0"
            for query, status in (("", 400 if old else 200), (f"policyId={many}", 400 if old else 200),
                                  (f"policyId={many[:-5]}", 200), ("policyId=", 400), ("policyId=x", 400),
                                  ("policyId=0", 400), ("policyId=1001,,1002", 400), ("policyId=1001-1003", 400),
                                  ("policyId=9223372036854775808", 400), ("policyId=1001&policyId=1002", 400)):
                with self.subTest(version=version, query=query):
                    answer = self.both("GET", f"{speaker.hostids(version)}?{query}")[1]
                    if status == 200:
                        self.assertEqual(answer.status, 200, answer)
                    else:
                        self.check_message(answer, status)

    def test_a_name_that_is_shown_cannot_break_the_message(self):
        for name in ("%22%7d", "a%22", "%e2%82%ac" * 40, "x" * 7000, "%3cscript%3e"):
            answer = self.both("GET", f"{speaker.hostids('5.0')}?{name}=1")[1]
            message = self.check_message(answer, 400, "^Unrecognized parameter: ")
            self.assertLess(len(message.encode()), 100)
        self.check_message(self.both("GET", f"{speaker.hostids('5.0')}?{'x' * 8300}=1")[1], 414)


class Paths(Inputs):
    def test_a_slash_at_the_end_changes_nothing(self):
        for method, path, body in (("GET", speaker.policy_list("1.0"), None), ("GET", speaker.hostids("3.0"), None),
                                   ("POST", speaker.posture_info("5.0"), body_of(1001))):
            for query in ("", "?lastScanDate=2020-01-01" if "list" not in path else "?lastEvaluationDate=2020-01-01"):
                plain, slashed = (self.both(method, path + end + query, body)[1] for end in ("", "/"))
                self.assertEqual((slashed.status, speaker.text_of(slashed)), (200, speaker.text_of(plain)))
            self.check_message(self.both(method, path + "//", body)[1], 404)
            self.check_message(self.both(method, path + "/x", body)[1], 404)

    def test_a_version_that_there_never_was_is_404(self):
        for version in ("0.0", "0.9", "1", "1.00", "01.0", "v1.0", "1.1", "5.1", "6.0", "10.0", "5.0%00", "", "%31.0",
                        "..",
                        "5.0;x", "1.0 ".replace(" ", "%20"), "٣.0".encode().hex()):
            for method, path in (("GET", speaker.policy_list(version)), ("GET", speaker.hostids(version)),
                                 ("POST", speaker.posture_info(version))):
                with self.subTest(path):
                    answer = self.both(method, path, [] if method == "POST" else None)[1]
                    # nginx refuses a byte of zero in a path by itself
                    self.assertEqual(answer.status, 400 if "%00" in version else 404)
                    if answer.status == 404:
                        self.check_message(answer, 404)
                    self.assertIsNone(answer.headers["Deprecation"])
        for version in VERSIONS[2:]:
            self.check_message(self.both("GET", speaker.policy_list(version))[1], 404)

    def test_other_paths_are_404(self):
        for path in ("/pcrs/", "/pcrs/5.0", "/pcrs/5.0/posture", "/pcrs/5.0/posture/postureinfo",
                     "/PCRS/5.0/posture/hostids", "/pcrs/5.0/posture/policy", "/5.0/posture/postureInfo", "/auth/x",
                     "//pcrs/5.0/posture/hostids", "/pcrs/5.0/posture/../posture/hostids"):
            with self.subTest(path):
                self.assertEqual(self.both("GET", path)[1].status, 404)
        for path in ("/pcrs", "/pcrs?x=1", "/pcrs/", "/pcrs/5.0/posture"):
            self.check_message(self.both("GET", path)[1], 404)

    def test_other_methods_are_405(self):
        for path, allowed in ((speaker.policy_list("1.0"), "GET, HEAD"), (speaker.hostids("1.0"), "GET, HEAD"),
                              (speaker.posture_info("1.0"), "POST")):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "POSTGET"):
                if method in allowed.split(", "):
                    continue
                with self.subTest(path, method=method):
                    answer = self.both(method, path)[1]
                    self.assertEqual((answer.status, answer.headers["Allow"]), (405, allowed))
                    if method != "HEAD":
                        self.check_message(answer, 405)
        told = self.both("TRACE", speaker.hostids("1.0"))[1]  # by nginx, whatever the path
        self.check_message(told, 405)
        self.assertEqual(told.headers["Allow"], "GET, HEAD")

    def test_a_body_where_there_is_none_to_be_is_refused(self):
        for path in (speaker.policy_list("1.0"), speaker.hostids("5.0")):
            self.check_message(self.both("GET", path, {"a": 1})[1], 400)


class Bodies(Inputs):
    def post(self, text, version="5.0", **headers):
        return self.gateway.request("POST", speaker.posture_info(version), text, self.gateway.headers() | headers)

    def test_what_is_no_body_of_ours_is_refused(self):
        one = json.dumps(body_of(1001)[0])
        for text in ("", "x", "{", "[", "[{", "{}", "null", "[]", "[null]", "[1]", '["a"]', "[[]]", "[{}]", f"[{one}",
                     f"[{one},]",
                     f"{one}", f"[{one}]x", f"[{one}][]", one[1:-1], '{"data":[]}', "[{'policyId':'1001'}]", "\x00",
                     '[{"policyId":"1001"}]', '[{"policyId":"1001","subscriptionId":"1"}]',
                     '[{"policyId":"1001","hostIds":["1"]}]', '[{"subscriptionId":"1","hostIds":["1"]}]',
                     '[{"policyId":"x","subscriptionId":"1","hostIds":["1"]}]',
                     '[{"policyId":"1001","subscriptionId":"-1","hostIds":["1"]}]',
                     '[{"policyId":"1001","subscriptionId":"1","hostIds":"1"}]',
                     '[{"policyId":"1001","subscriptionId":"1","hostIds":["a"]}]',
                     '[{"policyId":"1001","subscriptionId":"1","hostIds":[0]}]',
                     '[{"policyId":"1001","subscriptionId":"1","hostIds":[1.5]}]',
                     '[{"policyId":"1001","subscriptionId":"1","hostIds":[["1"]]}]',
                     '[{"policyId":"9223372036854775808","subscriptionId":"1","hostIds":["1"]}]',
                     "[" * 100000, '{"a":' * 100000, '[{"a":"\\ud800"}]', '[{"a":"\xff"}]'):
            for version in ("1.0", "5.0"):
                with self.subTest(text[:60], version=version):
                    self.check_message(self.post(text.encode("latin-1"), version), 400)

    def test_ids_may_be_numbers_and_members_of_others_stay_unread(self):
        wanted = speaker.records_of(self.gateway.info("1.0", body_of(1001)))
        first = speaker.element(1001, [])
        hosts = speaker.simulated_hosts(1001, HOSTS)
        for body in ([first | {"policyId": 1001, "subscriptionId": 700100, "hostIds": hosts}],
                     [first | {"error": "none", "hostIds": [str(h) for h in hosts], "more": {"hostIds": [1]}}],
                     [first, speaker.element(1001, hosts[:2]), speaker.element(1001, hosts[1:] + hosts[:1])],
                     [speaker.element(1001, hosts + [77])], [speaker.element(1001, hosts + hosts)]):
            for text in (json.dumps(body), json.dumps(body, indent=4), "\n\t " + json.dumps(body) + "\r\n"):
                answer = self.post(text, "1.0")
                self.assertEqual(speaker.records_of(answer), wanted)

    def test_a_policy_without_hosts_has_no_postures(self):
        for body in ([speaker.element(1001, [])], [speaker.element(1001, [77])]):
            answer = self.gateway.info("1.0", body, compressionRequired=0)
            self.assertEqual((answer.status, answer.body), (200, b"[]"))
        answer = self.gateway.info("1.0", body_of(1002) + [speaker.element(1001, [])])
        self.assertEqual(len(speaker.records_of(answer)), HOSTS * CONTROLS)

    def test_ten_policies_in_the_oldest_versions(self):
        for version in VERSIONS:
            many = body_of(*range(1001, 1012))
            self.assertEqual(self.gateway.info(version, many[:10]).status, 200)
            if version < "3.0":
                self.check_message(self.gateway.info(version, many), 400, "10")
            else:
                self.assertEqual(len(speaker.records_of(self.gateway.info(version, many))), 11 * HOSTS * CONTROLS)

    def test_postures_by_id(self):
        first = 10**10
        for ids, count in ((str(first), 1), (f"{first}, {first + 1},{first + 4}", 3),
                           (f"{first}-{first + 10 * 10**4}", None),
                           (f"{first}-{first + 4},{2 * 10**10}-{2 * 10**10 + 2}", 8)):
            body = [{"subscriptionId": "700100", "postureId": ids}]
            with self.subTest(ids):
                got = speaker.records_of(self.gateway.info("5.0", body, evidenceRequired=1))
                self.assertEqual(got, speaker.records_of(self.upstream.info("5.0", body, evidenceRequired=1)))
                self.assertIn(len(got), (count,) if count else range(HOSTS, 10 * CONTROLS))
        twice = [{"subscriptionId": "700100", "postureId": f"{first + 1},{first}-{first + 2}"}]
        self.assertEqual(len(speaker.records_of(self.gateway.info("5.0", twice))), 3)
        numeric = self.gateway.info("5.0", [{"subscriptionId": 700100, "postureId": first}])
        self.assertEqual(len(speaker.records_of(numeric)), 1)
        two = [{"subscriptionId": "700100", "postureId": str(first + n)} for n in range(2)]
        self.assertEqual(len(speaker.records_of(self.gateway.info("5.0", two))), 2)

    def test_postures_by_id_only_in_5_0_and_never_beside_hosts(self):
        by_id = {"subscriptionId": "700100", "postureId": str(10**10)}
        for version in VERSIONS[:4]:
            self.check_message(self.gateway.info(version, [by_id]), 400)
        for body in ([by_id] + body_of(1001), [by_id | {"policyId": "1001"}], [by_id | {"hostIds": ["1"]}],
                     [{"postureId": "1"}], [by_id | {"postureId": ""}], [by_id | {"postureId": "a"}],
                     [by_id | {"postureId": "5-1"}], [by_id | {"postureId": "1-"}], [by_id | {"postureId": "1,,2"}],
                     [by_id | {"postureId": "0"}], [by_id | {"postureId": ["1"]}], [by_id | {"postureId": None}]):
            with self.subTest(str(body)[:80]):
                self.check_message(self.gateway.info("5.0", body), 400)

    def test_four_hundred_thousand_ids_and_no_more(self):
        hosts = list(range(5000001, 5400001))  # those of the simulated upstream among them
        text = '[{"policyId":1001,"subscriptionId":700100,"hostIds":[%s]}]'
        answer = self.post(text % ",".join(map(str, hosts)), "1.0")
        self.assertEqual(len(speaker.records_of(answer)), HOSTS * CONTROLS)
        self.check_message(self.post(text % ",".join(map(str, hosts + [1])), "1.0"), 413, "400000")
        by_id = [{"subscriptionId": 700100, "postureId": f"{10**10}-{10**10 + 399999}"}]
        self.assertGreater(len(speaker.records_of(self.gateway.info("5.0", by_id))), CONTROLS)
        by_id[0]["postureId"] += ",1"
        self.check_message(self.gateway.info("5.0", by_id), 413, "400000")
        by_id[0]["postureId"] = "1-9223372036854775807"
        self.check_message(self.gateway.info("5.0", by_id), 413, "400000")

    def test_four_megabytes_and_no_more(self):
        body = json.dumps(body_of(1001))
        for length, status in ((4 * 2**20, 200), (4 * 2**20 + 1, 413), (6 * 10**6, 413)):
            answer = self.post(body + " " * (length - len(body)), "1.0")
            if status == 200:
                self.assertEqual(answer.status, 200)
            else:
                self.check_message(answer, 413)

    def test_a_body_in_chunks_is_one(self):
        text = json.dumps(body_of(1001)).encode()
        pieces = [text[at:at + 7] for at in range(0, len(text), 7)]
        connection = self.gateway.connect()
        connection.request("POST", speaker.posture_info("1.0"), iter(pieces), self.gateway.headers(),
                           encode_chunked=True)
        self.assertEqual(len(speaker.records_of(harness.Answer(connection.getresponse()))), HOSTS * CONTROLS)
        connection.close()


if __name__ == "__main__":
    harness.main()
