"""What an upstream that ails, throttles logins or has lost a version does to those who have nothing to
do with it: as little as may be. Time is moved, never waited for."""

import threading

import harness
from test_freshness import HOUR, FreshnessTest, ttl

LONGER_THAN_PATIENCE = {"Prefer": "wait=600"}
KEPT = {"fresh_for": "1h", "stale_for": "0s", "keep_for": "100h"}


class Stopping(FreshnessTest):
    def test_who_has_something_to_fall_back_on_does_not_hold_up_the_end(self):
        client = self.begin(request={"wait_max": "10m"}, cache=KEPT)
        self.good(client, policy=1001)
        self.it.advance(2 * HOUR)
        self.control.hold(api="hostids")
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(
            self.it.client().get("/v1/postures", LONGER_THAN_PATIENCE, policy=1001)))
        waiter.start()
        self.control.wait(api="hostids", held=1)
        self.assertEqual(self.it.gateway.stop(), 0)
        waiter.join()
        self.assertIn(answers[0].status, (200, 202), answers)


if __name__ == "__main__":
    harness.main()
