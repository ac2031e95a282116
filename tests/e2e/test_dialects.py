"""Every version of the upstream, asked by /v1: what each can answer, and the same posture from whatever
shape it came in."""

import harness
import reference

VERSIONS = ("5.0", "4.0", "3.0", "2.0", "1.0")
ALIVE = {f"{api} {version}": "active" for api in ("postureInfo", "hostids") for version in VERSIONS}
# what /v1 may ask of a version, and how the version is asked for it
DETAILS = [
    ("1.0", {}, {}),
    ("1.0", {"evidence": "extended"}, {"evidenceRequired": 1}),
    ("1.0", {"evaluatedSince": "2026-10-28", "scannedFrom": "2026-10-12", "scannedTo": "2026-11-01"},
     {"lastEvaluationDate": "2026-10-28", "lastScanDateFrom": "2026-10-12", "lastScanDateTo": "2026-11-01"}),
    ("2.0", {"inactive": "exclude", "changedSince": "2026-09-01"},
     {"excludeInactiveControl": 1, "statusChangedSince": "2026-09-01"}),
    ("3.0", {"cloud": True, "evidence": "extended"}, {"cloudMetaDataRequired": 1, "evidenceRequired": 1}),
    ("3.0", {"status": "Passed,Error", "criticality": "2,3,4"},
     {"status": "Passed,Error", "criticalityValues": "2,3,4"}),
    ("5.0", {"qds": True, "evidence": "basic"},
     {"qdScoreRequired": 1, "evidenceRequired": 1, "extendedEvidenceRequired": 0}),
]


class Dialects(harness.StackTest):
    def begin(self, versions, simulator=None, settings=lambda s: s):
        self.it = self.stack(
            simulator={"policies": 2, "hosts": 14, "controls": 9, "rate": 0, "concurrency": 0,
                       "sca_hosts": 40, "empty_hosts": 0, "now": "2026-11-20T12:00:00Z"}
            | (simulator or {}),
            settings=settings({"upstream": {"versions": versions}, "lifecycle": ALIVE}))
        return self.it.client()

    def upstream(self, version):
        upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
        upstream.version = version
        return upstream

    def postures(self, client, **params):
        """By ID, and the version that they came from."""
        got, version = {}, None
        answer = client.get("/v1/postures", policy="1001,1002", limit=1000, **params)
        while True:
            self.assertEqual(answer.status, 200, answer)
            page = reference.parse(answer.body)
            for posture in page["data"]:
                self.assertNotIn(posture["id"], got)
                got[posture["id"]] = posture
            version = page["result"]["upstreamVersion"]
            if "next" not in page["page"]:
                return got, version
            answer = client.get(page["page"]["next"])

    def test_each_version_is_asked_as_it_can_be_and_normalised_from_its_shape(self):
        for version in VERSIONS:
            client, upstream = self.begin(version), self.upstream(version)
            # first what it cannot do: once there is a broader result, that answers some of it
            for since, params, asked in sorted(DETAILS, key=lambda d: d[0] <= version):
                with self.subTest(version=version, params=params):
                    if since > version:
                        answer = client.get("/v1/postures", policy=1001, **params)
                        self.assertEqual(answer.json()["type"], "/problems/version-unavailable", answer)
                        continue
                    got, came_from = self.postures(client, **params)
                    self.assertEqual(came_from, version)
                    self.assertEqual(got, upstream.postures([1001, 1002], **asked))
                    self.assertGreater(len(got), 10)

    def test_each_gives_way_to_the_next_as_they_retire(self):
        client = self.begin(", ".join(VERSIONS), settings=harness.exactly)
        for n, version in enumerate(VERSIONS):
            self.it.control.set(retired=",".join(VERSIONS[:n]))
            # another query each time, and none that a version lacks
            got, came_from = self.postures(client, evaluatedSince=f"2000-01-0{9 - n}")
            self.assertEqual(came_from, version)
            self.assertEqual(got, self.upstream(version).postures([1001, 1002]))

    def test_sca_assets_come_from_a_version_that_has_them(self):
        client = self.begin("5.0, 2.0")
        pc, version = self.postures(client)
        self.assertEqual(version, "5.0")
        everything, version = self.postures(client, assets="all", evidence="extended")
        self.assertEqual(version, "2.0")
        self.assertEqual(everything, self.upstream("2.0").postures([1001, 1002], evidenceRequired=1))
        self.assertLess(set(pc), set(everything))


if __name__ == "__main__":
    harness.main()
