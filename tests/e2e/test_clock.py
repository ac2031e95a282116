"""What takes hours, with a clock that the test moves."""

import subprocess
import unittest

import harness

UNLIMITED = {"policies": 1, "rate": 0, "concurrency": 0}


def ttl(answer):
    _, _, value = answer.headers["Cache-Status"].partition("ttl=")
    return int(value)


class Freshness(harness.StackTest):
    def test_a_result_ages_with_the_clock_and_is_refreshed_behind(self):
        stack = self.stack(clock=True, simulator=UNLIMITED,
                           settings={"cache": {"fresh_for": "1h", "stale_for": "10h"}})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001).json()["result"]
        young = client.get("/v1/postures", policy=1001)
        self.assertGreater(ttl(young), 3000)
        calls = stack.control.state()["apis"]["postureInfo"]["calls"]

        stack.advance(3700)
        old = client.get("/v1/postures", policy=1001)
        self.assertEqual((old.status, old.json()["result"]["id"]), (200, first["id"]))
        self.assertLess(ttl(old), 0)
        self.assertGreaterEqual(int(old.headers["Age"]), 3700)

        stack.control.wait(api="postureInfo", ended=calls + 1)
        newer = harness.wait_until(
            lambda: (lambda a: a if a.json()["result"]["id"] != first["id"] else None)(
                client.get("/v1/postures", policy=1001)), "the refresh behind has come")
        self.assertGreater(ttl(newer), 3000)
        self.assertEqual(stack.control.state()["apis"]["postureInfo"]["calls"], calls + 1)

    def test_the_store_goes_by_the_moved_clock_after_a_restart(self):
        stack = self.stack(clock=True, simulator=UNLIMITED,
                           settings={"cache": {"fresh_for": "10h", "stale_for": "0s"}})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001).json()["result"]["id"]
        stack.advance(9 * 3600)
        stack.restart_gateway()
        kept = client.get("/v1/postures", policy=1001)
        self.assertEqual(kept.json()["result"]["id"], first)
        self.assertGreaterEqual(int(kept.headers["Age"]), 9 * 3600)
        stack.advance(2 * 3600)
        self.assertNotEqual(client.get("/v1/postures", policy=1001).json()["result"]["id"], first)


class Credential(harness.StackTest):
    def refetch(self, client):
        answer = client.get("/v1/postures", headers={"Cache-Control": "no-cache"}, policy=1001)
        self.assertEqual(answer.status, 200, answer)

    def test_a_token_is_renewed_ahead_of_its_end(self):
        stack = self.stack(clock=True, simulator=UNLIMITED | {"token_lifetime": 4 * 3600})
        client = stack.client()
        self.refetch(client)
        stack.advance(4 * 3600 * 0.7)
        self.refetch(client)
        self.assertEqual(stack.control.state()["logins"], 1)
        stack.advance(4 * 3600 * 0.15)
        self.refetch(client)
        self.refetch(client)
        state = stack.control.state()
        self.assertEqual(state["logins"], 2)
        self.assertEqual([state["apis"][api]["unauthorized"] for api in ("hostids", "postureInfo")],
                         [0, 0], "nobody had to be told that it is over")


class Waits(harness.StackTest):
    def test_a_call_that_waits_for_the_window_goes_when_it_has_rolled(self):
        stack = self.stack(clock=True, simulator=UNLIMITED | {"rate": 1, "rate_window": 600},
                           settings={"upstream": {"rate_calls": 1, "rate_window": "10m"},
                                     "request": {"wait_default": "0s"}})
        client = stack.client()

        def result(policy):
            answer = client.get("/v1/postures", policy=policy)
            return answer.json()["result"]["id"] if answer.status == 200 else None
        harness.wait_until(lambda: result(1001), "the first fetch has its calls")
        self.assertEqual(client.get("/v1/postures", headers={"Cache-Control": "no-cache"},
                                    policy=1001).status, 202)
        self.assertEqual(stack.control.state()["apis"]["hostids"]["calls"], 1)
        stack.advance(601)
        stack.control.wait(api="hostids", ended=2)
        stack.control.wait(api="postureInfo", ended=2)
        state = stack.control.state()["apis"]
        self.assertEqual([state[api]["tooOften"] for api in ("hostids", "postureInfo")], [0, 0])


class Restarts(harness.StackTest):
    def test_the_upstream_comes_back_with_its_time_and_its_windows(self):
        stack = self.stack(clock=True, simulator=UNLIMITED | {
            "rate": 2, "rate_window": 3600, "ledger": True, "ledger_resume": True},
            settings={"upstream": {"rate_pinned": "true"}})
        client = stack.client()
        for kill in False, True:
            answer = client.get("/v1/postures", headers={"Cache-Control": "no-cache"}, policy=1001)
            self.assertEqual(answer.status, 200, answer)
            stack.advance(100)
            stack.restart_simulator(kill)
        calls = [line for line in stack.ledger() if line["api"] == "hostids"]
        self.assertEqual([line["verdict"] for line in calls], ["entered", "entered"])
        self.assertGreaterEqual(calls[1]["t"] - calls[0]["t"], 100)
        self.assertLess(abs(stack.now() - calls[1]["t"] - 100), 60)

        # a gateway that takes itself to have 1000 calls runs into the two that are counted
        self.assertEqual(stack.control.state()["apis"]["hostids"]["calls"], 0)
        client.get("/v1/postures", headers={"Cache-Control": "no-cache", "Prefer": "wait=0"}, policy=1001)
        stack.control.wait(api="hostids", ended=2)  # its token is not known any more
        verdicts = [line["verdict"] for line in stack.ledger() if line["api"] == "hostids"]
        self.assertEqual(verdicts, ["entered", "entered", "too-often"])


class Program(unittest.TestCase):
    def test_the_moved_gateway_does_not_start_without_its_clock(self):
        for environment in ({}, {"POSTUREGATE_MOVED_CLOCK": "/dev/null/none"}):
            done = subprocess.run([harness.GATEWAY_MOVED, "--help"], env=environment,
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("POSTUREGATE_MOVED_CLOCK", done.stderr)

    def test_the_real_gateway_knows_nothing_of_it(self):
        self.assertNotIn(b"MOVED_CLOCK", harness.GATEWAY.read_bytes())


if __name__ == "__main__":
    harness.main()
