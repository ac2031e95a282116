"""docs/openapi.yaml is true of the running gateway: statuses, headers and bodies are those that it
says, every status and problem that it says is met, and its examples are of this gateway."""

import gzip
import unittest

import harness
import openapi
import scenes

# What no test here can bring about, and where it is seen to.
NOT_MET = {
    "upstream-limit": "the gateway answers 202 in its place",
    "stopping": "the gateway answers 202 in its place",
    "not-ready": "the gateway answers 202 in its place",
    "internal": "a fault of the gateway",
    "out-of-memory": "a fault of the machine",
    "storage-full": "tests/unit/check_cache.c",
    "storage-failed": "tests/unit/check_cache.c",
    "busy": "many at a time: tests/e2e/test_export.py; the production site's limit: tests/e2e/test_nginx.py",
    "too-many-requests": "the production site's limit: tests/e2e/test_nginx.py",
    "misdirected": "over TLS: tests/e2e/test_nginx.py",
    "gateway-timeout": "takes 180 s: tests/e2e/test_nginx.py",
    "version-not-supported": "no client sends it: tests/e2e/test_nginx.py",
}
# test_what_the_schema_allows_is_taken; the bodies of scenes
OF_REQUESTS = {"PostureQuery", "LoginForm", "UpstreamBody", "AskedByHost", "AskedByPosture"}
TOLD_AS_MESSAGES = {"version-ended": 410}  # on the drop-in surface alone, which has no types
STATUSES_NOT_MET = {
    ("cancelFetch", "202"): "needs a call that takes two seconds to give up",
}


class TrueToTheGateway(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = openapi.Document()
        cls.exchanges = scenes.play()

    def test_every_answer_is_as_documented(self):
        for exchange in self.exchanges:
            problems = list(self.document.check_answer(exchange))
            with self.subTest(repr(exchange)[:200]):
                self.assertEqual(problems, [])

    def test_every_request_that_is_served_is_as_documented(self):
        for exchange in self.exchanges:
            if exchange.answer.status < 400:
                problems = list(self.document.check_request(exchange))
                with self.subTest(repr(exchange)[:200]):
                    self.assertEqual(problems, [])

    def test_every_documented_status_is_met(self):
        documented = {(o.id, s) for o in self.document.operations for s in o.responses}
        met = {self.document.documented_status(e) for e in self.exchanges}
        self.assertEqual(documented - met, set(STATUSES_NOT_MET) - met)

    def test_every_documented_member_is_met(self):
        document = openapi.Document()
        for exchange in self.exchanges:
            list(document.check_answer(exchange))
        for name, schema in document.components["schemas"].items():
            if name not in OF_REQUESTS:
                self.assertEqual(list(document.members_not_met(schema, name)), [])

    def test_every_problem_is_met_or_known_to_be_out_of_reach(self):
        documented = {t.removeprefix("/problems/")
                      for t in self.document.components["schemas"]["ProblemType"]["enum"]}
        met = {e.answer.json()["type"].removeprefix("/problems/") for e in self.exchanges
               if e.answer.body and e.answer.headers["Content-Type"] == "application/problem+json"}
        met |= {name for name, status in TOLD_AS_MESSAGES.items() for e in self.exchanges
                if openapi.is_drop_in(e.target) and e.answer.status == status}
        self.assertEqual(documented - met, set(NOT_MET))
        self.assertEqual(met & set(NOT_MET), set())

    def test_every_answer_of_the_drop_in_surface_tells_what_is_left(self):
        for exchange in self.exchanges:
            # all but what nginx says by itself, and what is refused before the path is looked at
            if (openapi.is_drop_in(exchange.target) and exchange.answer.status not in (431, 502)
                    and exchange.answer.headers["Content-Type"] != "application/problem+json"):
                for name in ("X-RateLimit-Limit", "X-RateLimit-Window-Sec", "X-RateLimit-Remaining"):
                    self.assertIn(name, exchange.answer.headers, exchange)

    def test_head_is_get_without_the_body(self):
        for operation in self.document.operations:
            if operation.method == "GET":
                asked = [e for e in self.exchanges if e.method == "HEAD"
                         and self.document.operation("HEAD", e.target) is operation]
                self.assertTrue(asked, f"nobody has sent HEAD {operation.path}")
                for exchange in asked:
                    self.assertEqual(exchange.answer.status, 200, exchange)

    # --- examples

    def test_the_examples_are_of_this_gateway(self):
        written = self.document.components["examples"]
        fresh = scenes.examples(self.exchanges)
        self.assertEqual(list(written), list(fresh), "run ./dev openapi")
        for name, example in fresh.items():
            with self.subTest(name):
                self.assertEqual(shape(written[name]["value"]), shape(example["value"]),
                                 "run ./dev openapi")


DEPENDS_ON_TIME = {"estimateSeconds"}  # a number or null


def shape(value):
    """Names and types, without what differs between two runs: figures, texts, how many."""
    if isinstance(value, dict):
        is_problem = str(value.get("type", "")).startswith("/problems/")
        return {k: v if is_problem and k in ("type", "title", "status") else shape(v)
                for k, v in value.items() if k not in DEPENDS_ON_TIME}
    if isinstance(value, list):
        shapes = []
        for item in map(shape, value):
            if item not in shapes:
                shapes.append(item)
        return shapes
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, (int, float)) else "text"


class Browsers(harness.StackTest):
    def test_a_preflight_names_the_documented_methods(self):
        document = openapi.Document()
        stack = self.stack(settings={"request": {"origins": scenes.ORIGIN}})
        for path, item in document.root["paths"].items():
            methods = {m.upper() for m in item if m != "parameters"}
            methods |= {"HEAD"} if "GET" in methods else set()
            target = path.replace("{id}", "1").replace("{version}", "1.0")
            answer = stack.client(key="").request("OPTIONS", target, {
                "Origin": scenes.ORIGIN, "Access-Control-Request-Method": "GET"})
            self.assertEqual((answer.status, answer.body), (204, b""), answer)
            self.assertEqual(set(answer.headers["Access-Control-Allow-Methods"].split(", ")), methods)
            for name in ("Access-Control-Allow-Headers", "Access-Control-Max-Age"):
                self.assertIn(name, answer.headers)
            self.assertNotIn("Access-Control-Allow-Credentials", answer.headers)


# --- parameters: all that the document says of them, one by one

def text_of(value):
    if isinstance(value, list):
        return ",".join(map(text_of, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def good_and_bad(document, name, schema):
    """Values at the ends of what the schema allows, and just beyond them, as texts of a URL."""
    schema = document.resolve(schema)
    if schema.get("type") == "array":
        good, bad = good_and_bad(document, name, schema["items"])
        return good + [",".join(good)], bad + [""]
    if "const" in schema:
        return [text_of(schema["const"])], ["nothing"]
    if "enum" in schema:
        other_case = [] if name in CASE_MATTERS else [v.swapcase() for v in schema["enum"]]
        return schema["enum"] + other_case, ["nothing"]
    if schema["type"] == "boolean":
        return ["true", "false", "TRUE"], ["1", "yes"]
    if schema["type"] == "integer":
        return ([str(schema["minimum"]), str(schema["maximum"])],
                [str(schema["minimum"] - 1), str(schema["maximum"] + 1), "x", "1.5"])
    return schema.get("examples", []), ["nothing"]


BESIDE = {"scannedFrom": {"scannedTo": "2026-12-31"}, "scannedTo": {"scannedFrom": "2026-01-01"},
          "lastScanDateFrom": {"lastScanDateTo": "2026-12-31"},
          "lastScanDateTo": {"lastScanDateFrom": "2026-01-01"}}


def versions(operation):
    return operation.parameters["path", "version"]["schema"]["enum"]


def newest(operation):
    return versions(operation)[-1] if operation.is_drop_in else ""


def older(operation, parameter):
    """Versions that do not have it."""
    if not operation.is_drop_in:
        return []
    return [v for v in versions(operation) if v < parameter["x-first-version"]]


def younger(operation, parameter):
    """Those that have it."""
    if not operation.is_drop_in:
        return []
    return [v for v in versions(operation) if v >= parameter["x-first-version"]]


def plain(answer):
    return gzip.decompress(answer.body) if answer.headers["Content-Type"] == openapi.GZIP else answer.body


# what needs no other, or must stand alone
ALONE = {"policy", "posture", "cursor"}
SEARCHES = {"listPostures", "summarizePostures", "explainPostures"}
CASE_MATTERS = {"fields"}


class Parameters(harness.StackTest):
    """Nothing is fetched: a good query is told that nothing is stored, a bad one what is bad."""

    @classmethod
    def setUpClass(cls):
        cls.document = openapi.Document()
        cls.share(simulator=scenes.DATA, consumers=[harness.Consumer("test", force="true", admin="true", legacy="allow")])

    def ask(self, operation, values, headers=None, version=None):
        target = operation.path.replace("{id}", "1001").replace("{version}", version or newest(operation))
        base = {"policy": "1001"} if operation.id in SEARCHES and not ALONE & set(values) else {}
        target += "?" + harness.query_string({**base, **values})
        body = scenes.asked_by_host(1001, 5000001) if operation.method == "POST" else None
        headers = {"Cache-Control": "only-if-cached"} if headers is None else headers
        return self.shared.client().request(operation.method, target, headers, body)

    def assert_refused(self, operation, name, answer):
        self.assertEqual(answer.status, 400, answer)
        if operation.is_drop_in:
            self.assertIn(name, answer.json()["message"])
        elif name != "cursor":
            self.assertIn(name, [e["parameter"] for e in answer.json()["errors"]])

    def cases(self):
        for operation in self.document.operations:
            for parameter in operation.query_parameters():
                yield operation, parameter, parameter["name"]

    def test_what_the_schema_allows_is_taken(self):
        for operation, parameter, name in self.cases():
            good, _ = good_and_bad(self.document, name, parameter["schema"])
            for value in good:
                with self.subTest(operation.id, name=name, value=value[:60]):
                    answer = self.ask(operation, {name: value, **BESIDE.get(name, {})})
                    self.assertIn(answer.status, (200, 504), answer)

    def test_what_the_schema_does_not_allow_is_refused_by_name(self):
        for operation, parameter, name in self.cases():
            _, bad = good_and_bad(self.document, name, parameter["schema"])
            for value in bad:
                with self.subTest(operation.id, name=name, value=value[:60]):
                    answer = self.ask(operation, {name: value, **BESIDE.get(name, {})})
                    self.assert_refused(operation, name, answer)

    def test_the_default_is_what_holds_without_it(self):
        for operation, parameter, name in self.cases():
            schema = self.document.resolve(parameter["schema"])
            if "default" in schema and operation.path.count("{id}") == 0:
                with self.subTest(operation.id, name=name):
                    without = self.ask(operation, {}, headers={})
                    given = self.ask(operation, {name: text_of(schema["default"])})
                    self.assertEqual(given.status, 200, given)
                    if operation.is_drop_in:
                        self.assertEqual(plain(given), plain(without))
                    else:
                        self.assertEqual(given.headers["ETag"], without.headers["ETag"])

    def test_a_parameter_of_a_later_version_is_refused_by_name(self):
        tried = 0
        for operation, parameter, name in self.cases():
            good, _ = good_and_bad(self.document, name, parameter["schema"])
            for version in older(operation, parameter):
                with self.subTest(operation.id, name=name, version=version):
                    answer = self.ask(operation, {name: good[0]}, version=version)
                    self.assert_refused(operation, name, answer)
                    tried += 1
        self.assertGreater(tried, 20)

    def test_a_parameter_is_taken_from_its_first_version_on(self):
        for operation, parameter, name in self.cases():
            good, _ = good_and_bad(self.document, name, parameter["schema"])
            for version in younger(operation, parameter):
                with self.subTest(operation.id, name=name, version=version):
                    needed = {"policyId": "1001"} if "hostids" in operation.path else {}
                    answer = self.ask(operation, needed | BESIDE.get(name, {}) | {name: good[0]}, version=version)
                    self.assertIn(answer.status, (200, 504), answer)

    def test_a_parameter_of_another_operation_is_refused(self):
        names = {name for _, _, name in self.cases()}
        for operation in self.document.operations:
            own = {p["name"] for p in operation.query_parameters()}
            if own:
                for name in sorted(names - own):
                    with self.subTest(operation.id, name=name):
                        self.assertEqual(self.ask(operation, {name: "1"}).status, 400)


if __name__ == "__main__":
    harness.main()
