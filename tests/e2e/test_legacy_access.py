"""Who may use the drop-in surface: logging in, tokens and what they are bound to, grants, quotas."""

import base64
import hashlib
import json
import secrets
import time
import urllib.parse

import harness
import speaker
from harness import Consumer

HOSTS, CONTROLS = 6, 5
DATA = {"policies": 3, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0,
        "now": "2026-11-20T12:00:00Z"} | speaker.UNLIMITED
CALLS = ("GET", speaker.policy_list("1.0")), ("GET", speaker.hostids("1.0") + "?policyId=1001"), \
    ("POST", speaker.posture_info("1.0"))
HOUR_S = 3600


def consumer(name="old", **grants):
    return Consumer(name, **({"legacy": "allow"} | grants))


def body_of(*policies):
    return [speaker.element(p, speaker.simulated_hosts(p, HOSTS)) for p in policies]


class Login(harness.StackTest, speaker.Messages):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[consumer(), consumer("other")])

    def setUp(self):
        self.speaker = speaker.gateway_of(self.shared)

    def post(self, form, **headers):
        return self.speaker.request("POST", "/auth", form, speaker.FORM | headers)

    def test_it_gives_a_token_as_bare_text(self):
        for password in (speaker.secret_of(self.shared.consumers[0]), self.shared.consumers[0].key):
            for more in ({}, {"permissions": "true"}, {"colour": "red"}):
                answer = self.speaker.login(password=password, **more)
                self.assertEqual((answer.status, answer.headers["Content-Type"]), (201, "text/plain;charset=UTF-8"))
                self.assertEqual(answer.headers["Cache-Control"], "no-store")
                self.assertRegex(answer.body, rb"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")
                self.assertEqual(self.speaker.list().status, 200)

    def test_its_token_says_whose_it_is_and_for_how_long(self):
        before = int(time.time())
        self.speaker.login()
        payload = self.speaker.token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        self.assertEqual((claims["sub"], claims["exp"] - claims["iat"]), ("old", 4 * HOUR_S))
        self.assertTrue(before <= claims["iat"] <= time.time())
        self.assertNotIn(speaker.secret_of(self.shared.consumers[0]), json.dumps(claims))

    def test_a_slash_at_the_end_is_fine(self):
        form = urllib.parse.urlencode({"username": "old", "password": self.speaker.password})
        self.assertEqual(self.speaker.request("POST", "/auth/", form, speaker.FORM).status, 201)

    def test_whatever_is_wrong_looks_the_same(self):
        good, foreign = (speaker.secret_of(c) for c in self.shared.consumers)
        seen = set()
        for username, password in (("nobody", good), ("old", foreign), ("other", good), ("OLD", good), ("old", "x"),
                                   ("old", good + "x"), ("old", f"other.{foreign}"), ("other", f"old.{good}"),
                                   ("old", f"old.old.{good}"), ("x" * 500, "y" * 500)):
            answer = self.speaker.login(username=username, password=password)
            self.check_message(answer, 401)
            self.assertIn("Bearer", answer.headers["WWW-Authenticate"])
            seen.add((answer.body, tuple(n for n, _ in answer.headers.items() if n != "Date")))
        self.assertEqual(len(seen), 1)

    def test_a_form_that_is_none_is_told(self):
        name, secret = "username=old", f"password={self.speaker.password}"
        for form in ("", name, secret, f"{name}&password=", f"{name}&{name}&{secret}", f"{name}&{secret}&{secret}",
                     f"{name}&password=%zz", f"{name}&password=%00", f"{name}&password=%ff",
                     json.dumps({"username": "old", "password": self.speaker.password}),
                     f"{name}&password=" + "x" * 600):
            with self.subTest(form[:60]):
                message = self.check_message(self.post(form), 400)
                self.assertNotIn(self.speaker.password, message)
        self.check_message(self.post(f"{name}&{secret}&x=" + "y" * 4096), 413)

    def test_other_methods_are_refused(self):
        for method in ("GET", "DELETE", "PUT"):
            answer = self.speaker.request(method, "/auth")
            self.check_message(answer, 405)
            self.assertEqual(answer.headers["Allow"], "POST")

    def test_the_secret_stands_in_no_log(self):
        self.speaker.login()
        self.speaker.login(password="a-wrong-one")
        for text in (self.shared.gateway.text(), (self.shared.nginx_dir / "nginx-access.log").read_text()):
            self.assertIn("/auth", text)
            for word in (self.speaker.password, self.speaker.token, "a-wrong-one"):
                self.assertNotIn(word, text)


class Keys(harness.StackTest, speaker.Messages):
    """What a call may show."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[consumer()])

    def setUp(self):
        self.speaker = speaker.gateway_of(self.shared)
        self.speaker.login()

    def ask(self, headers, method="GET", target=speaker.policy_list("1.0")):
        return self.speaker.request(method, target, json.dumps(body_of(1001)) if method == "POST" else None, headers)

    def test_a_key_is_taken_as_well_as_a_token(self):
        key = self.shared.consumers[0].key
        for method, target in CALLS:
            for headers in ({"Authorization": f"Bearer {self.speaker.token}"}, {"Authorization": f"Bearer {key}"},
                            {"Authorization": f"bearer  {self.speaker.token}"}, {"X-API-Key": key}):
                self.assertEqual(self.ask(headers, method, target).status, 200)

    def test_without_a_good_one_every_call_says_that_it_has_expired(self):
        token = self.speaker.token
        head, payload, signature = token.split(".")
        other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==").replace(b"old", b"odd")).decode()
        wrong = ["Bearer x", f"Basic {token}", token, "Bearer ", f"Bearer {token}x", f"Bearer {token[:-1]}",
                 f"Bearer {head}.{payload}.{'A' * len(signature)}", f"Bearer {head}.{other.rstrip('=')}.{signature}",
                 f"Bearer {head}.{payload}", f"Bearer {payload}.{head}.{signature}", "Bearer " + "x" * 5000]
        for method, target in CALLS:
            for headers in [{}, {"X-API-Key": token}] + [{"Authorization": w} for w in wrong]:
                with self.subTest(target=target, headers=headers):
                    answer = self.ask(headers, method, target)
                    self.assertEqual(self.check_message(answer, 401), "JWT expired")
                    self.assertIn("Bearer", answer.headers["WWW-Authenticate"])

    def test_both_headers_or_one_twice_is_refused(self):
        bearer = {"Authorization": f"Bearer {self.speaker.token}"}
        self.check_message(self.ask(bearer | {"X-API-Key": self.shared.consumers[0].key}), 400)
        twice = b"X-API-Key: a\r\nX-API-Key: b\r\n"
        got = self.shared.raw(b"GET " + speaker.policy_list("1.0").encode() + b" HTTP/1.1\r\nHost: x\r\n" + twice +
                              b"\r\n")
        self.assertTrue(got.startswith(b"HTTP/1.1 400 "), got)
        self.assertEqual(list(json.loads(got.partition(b"\r\n\r\n")[2])), ["message"])

    def test_a_token_opens_nothing_else(self):
        for target in ("/v1/policies", "/v1/postures?policy=1001", "/admin/v1/budget"):
            answer = self.ask({"Authorization": f"Bearer {self.speaker.token}"}, target=target)
            self.assertEqual((answer.status, answer.json()["type"]), (401, "/problems/unauthorized"))


class Lives(harness.StackTest, speaker.Messages):
    """How long a token lives, and what ends it before."""

    def begin(self, **grants):
        self.it = self.stack(clock=True, simulator=DATA, consumers=[consumer(**grants)])
        self.speaker = speaker.gateway_of(self.it)
        self.assertEqual(self.speaker.login().status, 201)

    def check_dead(self):
        token = self.speaker.token
        self.assertEqual(self.check_message(self.speaker.list(), 401), "JWT expired")
        self.assertEqual(self.speaker.token, token)

    def test_it_lives_for_four_hours(self):
        self.begin()
        self.it.advance(4 * HOUR_S - 60)
        self.assertEqual(self.speaker.list().status, 200)
        self.it.advance(61)
        self.check_dead()
        self.speaker.login()
        self.assertEqual(self.speaker.list().status, 200)

    def test_a_call_that_has_begun_does_not_die_of_it(self):
        self.begin()
        self.it.advance(4 * HOUR_S - 60)
        hold = self.it.control.hold(api="postureInfo")
        stream = self.speaker.stream("1.0", body_of(1001))
        self.addCleanup(stream.close)
        self.it.control.wait(api="postureInfo", held=1)
        self.it.advance(120)
        self.check_dead()
        self.it.control.release(id=hold)
        self.assertEqual(len(json.loads(stream.rest())), HOSTS * CONTROLS)

    def test_it_outlives_the_gateway(self):
        self.begin()
        for kill in (False, True):
            self.it.restart_gateway(kill=kill)
            self.assertEqual(self.again().status, 200)

    def again(self):
        """nginx may still have a connection to the gateway that was."""
        return harness.wait_until(lambda: (lambda a: a if a.status != 502 else None)(self.speaker.list()), "an answer")

    def restart(self, **section):
        """With other settings of the consumer."""
        original = Consumer.section
        c = self.it.consumers[0]
        c.section = lambda: original(c) | section
        self.it.restart_gateway()
        self.again()

    def test_it_dies_with_its_key(self):
        self.begin()
        self.restart(key_sha256=hashlib.sha256(secrets.token_bytes(8)).hexdigest())
        self.check_dead()
        self.restart()
        self.assertEqual(self.speaker.list().status, 200)

    def test_while_a_key_is_replaced_its_tokens_live_on(self):
        self.begin()
        old = hashlib.sha256(self.it.consumers[0].key.encode()).hexdigest()
        new_secret = secrets.token_hex(32)
        new = hashlib.sha256(f"old.{new_secret}".encode()).hexdigest()
        self.restart(key_sha256=f"{new}, {old}")
        self.assertEqual(self.speaker.list().status, 200)
        other = speaker.Speaker(self.speaker.connect, "old", new_secret)
        self.assertEqual(other.login().status, 201)
        self.restart(key_sha256=new)
        self.check_dead()
        self.assertEqual(other.list().status, 200)

    def test_it_dies_when_its_key_expires(self):
        self.begin()
        at = time.gmtime(self.it.now() + 600)
        self.restart(expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", at))
        self.assertEqual(self.speaker.list().status, 200)
        self.it.advance(601)
        self.check_dead()
        self.check_message(self.speaker.login(), 401)

    def test_it_dies_with_its_consumer(self):
        self.begin()
        self.it.consumers[0] = consumer("somebody")
        self.it.restart_gateway()
        self.again()
        self.check_dead()

    def test_grants_are_those_of_the_moment(self):
        self.begin()
        self.assertEqual(self.speaker.hosts("1.0", policyId="1002").status, 200)
        self.restart(policies="1001, 1003", evidence="false")
        self.assertEqual(self.speaker.hosts("1.0", policyId="1001").status, 200)
        self.check_message(self.speaker.hosts("1.0", policyId="1002"), 403)
        self.assertEqual([p["id"] for p in self.speaker.list().json()["policyList"]], [1001, 1003])


class Grants(harness.StackTest, speaker.Messages):
    ALL, SOME, BLIND, NONE = range(4)

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[consumer("all"), consumer("some", policies="1001,1003"),
                                             consumer("blind", evidence="false"), consumer("none", policies="9999")])

    def setUp(self):
        self.all, self.some, self.blind, self.none = (speaker.gateway_of(self.shared, n) for n in range(4))

    def test_a_policy_beyond_the_grant_is_403_stored_or_not(self):
        for stored in (False, True):
            before = speaker.calls(self.shared), speaker.calls(self.shared, "hostids")
            for s, body in ((self.some, body_of(1002)), (self.some, body_of(1001, 1002)), (self.none, body_of(1001))):
                for version in speaker.VERSIONS:
                    self.check_message(s.info(version, body), 403)
            self.check_message(self.some.hosts("1.0", policyId="1001, 1002"), 403)
            self.check_message(self.some.hosts("5.0", policyId="1002"), 403)
            self.assertEqual((speaker.calls(self.shared), speaker.calls(self.shared, "hostids")), before)
            if not stored:
                for version in speaker.VERSIONS:
                    self.assertEqual(self.all.info(version, body_of(1001, 1002)).status, 200)
                self.assertEqual(self.all.hosts("1.0", policyId="1001,1002").status, 200)

    def test_what_the_grant_covers_is_as_for_all(self):
        for version in ("1.0", "5.0"):
            for body in (body_of(1001), body_of(1001, 1003)):
                self.assertEqual(speaker.records_of(self.some.info(version, body, evidenceRequired=1)),
                                 speaker.records_of(self.all.info(version, body, evidenceRequired=1)))

    def test_lists_have_what_the_grant_covers(self):
        whole = self.all.list("2.0", requireTagInfo=1).json()
        part = self.some.list("2.0", requireTagInfo=1).json()
        self.assertEqual(part, whole | {"policyList": [p for p in whole["policyList"] if p["id"] in (1001, 1003)]})
        self.assertEqual(self.none.list().json()["policyList"], [])
        for version in ("3.0", "4.0", "5.0"):
            whole = self.all.hosts(version).json()
            self.assertEqual([e["policyId"] for e in whole], ["1001", "1002", "1003"])
            self.assertEqual(self.some.hosts(version).json(), [e for e in whole if e["policyId"] != "1002"])
            self.assertEqual(self.none.hosts(version).json(), [])

    def test_postures_by_id_leave_out_what_is_foreign(self):
        body = [{"subscriptionId": "700100", "postureId": f"{10**10}-{10**10 + 4}, {2 * 10**10},{3 * 10**10}"}]
        whole = speaker.records_of(self.all.info("5.0", body, evidenceRequired=1))
        self.assertEqual({k[0] for k in whole}, {"1", "2", "3"})
        part = speaker.records_of(self.some.info("5.0", body, evidenceRequired=1))
        self.assertEqual(part, {k: v for k, v in whole.items() if not k.startswith("2")})
        nothing = self.none.info("5.0", body, compressionRequired=0)
        self.assertEqual((nothing.status, nothing.body), (200, b"[]"))
        foreign = self.some.info("5.0", [{"subscriptionId": "700100", "postureId": str(2 * 10**10)}],
                                 compressionRequired=0)
        unknown = self.some.info("5.0", [{"subscriptionId": "700100", "postureId": str(9 * 10**10)}],
                                 compressionRequired=0)
        self.assertEqual((foreign.status, foreign.body), (200, b"[]"))
        self.assertEqual((unknown.status, unknown.body), (200, b"[]"))

    def test_without_the_grant_nobody_sees_evidence(self):
        for version in speaker.VERSIONS:
            with self.subTest(version):
                whole = speaker.records_of(self.all.info(version, body_of(1001), evidenceRequired=1))
                self.assertTrue(any(dict(r)["evidence"] for r in whole.values()))
                self.assertTrue(any(dict(r)["causeOfFailure"] for r in whole.values()))
                hidden = {k: [(n, None if n in ("evidence", "causeOfFailure") else v) for n, v in r]
                          for k, r in whole.items()}
                self.assertEqual(speaker.records_of(self.blind.info(version, body_of(1001), evidenceRequired=1)),
                                 hidden)


class Limits(harness.StackTest, speaker.Messages):
    """X-RateLimit: what old clients pace themselves by."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[consumer("free"), consumer("small", quota="4", policies="1001,1002,1003")])

    def setUp(self):
        self.free, self.small = speaker.gateway_of(self.shared), speaker.gateway_of(self.shared, 1)

    def limits(self, answer):
        return tuple(answer.headers.get_all(f"X-RateLimit-{n}") for n in ("Limit", "Window-Sec", "Remaining"))

    def test_they_stand_on_every_answer(self):
        free, unlimited = self.free, (["300"], ["3600"], ["300"])
        answers = [free.login(), free.login(password="x"), free.list(), free.list("7.0"), free.list(colour="red"),
                   free.hosts("1.0", policyId="1001"), free.hosts("1.0"), free.info("1.0", body_of(1001)),
                   free.info("5.0", []), free.call("DELETE", speaker.hostids("1.0")), free.call("GET", "/pcrs/x"),
                   free.request("POST", "/auth", "", speaker.FORM), free.request("GET", speaker.policy_list("1.0"))]
        self.assertEqual([a.status for a in answers],
                         [201, 401, 200, 404, 400, 200, 400, 200, 400, 405, 404, 400, 401])
        for answer in answers:
            self.assertEqual(self.limits(answer), unlimited, answer)

    def test_with_a_quota_they_count_it_and_beyond_it_is_429(self):
        small = self.small
        for policy, left in ((1001, "3"), (1002, "2"), (1001, "2"), (1003, "1")):
            answer = small.info("1.0", body_of(policy), lastScanDate="2020-01-01")
            self.assertEqual((answer.status, self.limits(answer)), (200, (["4"], ["3600"], [left])))
        # one for each policy that is not there yet; what is refused counts nothing
        answer = small.info("1.0", body_of(1001, 1002), lastScanDate="2020-01-02")
        self.check_message(answer, 429)
        self.assertEqual(self.limits(answer)[2], ["1"])
        self.assertEqual(small.info("1.0", body_of(1001), lastScanDate="2020-01-02").status, 200)
        self.assertRegex(answer.headers["Retry-After"], "^[1-9][0-9]*$")
        self.assertEqual(answer.headers["X-RateLimit-ToWait-Sec"], answer.headers["Retry-After"])
        self.check_message(small.hosts("5.0", policyId="1001", lastScanDate="2020-01-03"), 429)
        # what is stored is for everybody
        self.assertEqual(small.info("1.0", body_of(1003), lastScanDate="2020-01-01").status, 200)
        self.assertEqual(self.free.info("1.0", body_of(1002), lastScanDate="2020-01-02").status, 200)
        self.assertEqual(small.info("1.0", body_of(1001, 1002), lastScanDate="2020-01-02").status, 200)
        self.assertEqual(self.limits(small.login())[2], ["0"])


if __name__ == "__main__":
    harness.main()
