"""docs/openapi.yaml is true of the running gateway: statuses, headers and bodies are those that it
says, every status and problem that it says is met, and its examples are of this gateway."""

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
    "version-ended": "of calls in the upstream's own protocol: tests/unit/check_sunset.c",
    "out-of-memory": "a fault of the machine",
    "storage-full": "tests/unit/check_cache.c",
    "storage-failed": "tests/unit/check_cache.c",
    "busy": "the production site's limit: tests/e2e/test_nginx.py",
    "too-many-requests": "the production site's limit: tests/e2e/test_nginx.py",
    "misdirected": "over TLS: tests/e2e/test_nginx.py",
    "gateway-timeout": "takes 180 s: tests/e2e/test_nginx.py",
    "version-not-supported": "no client sends it: tests/e2e/test_nginx.py",
}
OF_REQUESTS = {"PostureQuery"}  # test_what_the_schema_allows_is_taken
NOT_COUNTED = {"MigrationRow"}  # no scene speaks the upstream's own protocol: tests/unit/check_usage.c
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
            if name not in OF_REQUESTS | NOT_COUNTED:
                self.assertEqual(list(document.members_not_met(schema, name)), [])

    def test_every_problem_is_met_or_known_to_be_out_of_reach(self):
        documented = {t.removeprefix("/problems/")
                      for t in self.document.components["schemas"]["ProblemType"]["enum"]}
        met = {e.answer.json()["type"].removeprefix("/problems/") for e in self.exchanges
               if e.answer.body and e.answer.headers["Content-Type"] == "application/problem+json"}
        self.assertEqual(documented - met, set(NOT_MET))
        self.assertEqual(met & set(NOT_MET), set())

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
            answer = stack.client(key="").request("OPTIONS", path.replace("{id}", "1"), {
                "Origin": scenes.ORIGIN, "Access-Control-Request-Method": "GET"})
            self.assertEqual((answer.status, answer.body), (204, b""), answer)
            self.assertEqual(set(answer.headers["Access-Control-Allow-Methods"].split(", ")), methods)
            for name in ("Access-Control-Allow-Headers", "Access-Control-Max-Age"):
                self.assertIn(name, answer.headers)
            self.assertNotIn("Access-Control-Allow-Credentials", answer.headers)


# --- parameters: all that the document says of them, one by one

def text_of(value):
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


BESIDE = {"scannedFrom": {"scannedTo": "2026-12-31"}, "scannedTo": {"scannedFrom": "2026-01-01"}}
# what needs no other, or must stand alone
ALONE = {"policy", "posture", "cursor"}
CASE_MATTERS = {"fields"}


class Parameters(harness.StackTest):
    """Nothing is fetched: a good query is told that nothing is stored, a bad one what is bad."""

    @classmethod
    def setUpClass(cls):
        cls.document = openapi.Document()
        cls.share(simulator=scenes.DATA)

    def ask(self, operation, values, headers=None):
        target = operation.path.replace("{id}", "1001")
        base = {"policy": "1001"} if operation.id == "listPostures" and not ALONE & set(values) else {}
        return self.shared.client().get(
            target, {"Cache-Control": "only-if-cached"} if headers is None else headers, **base, **values)

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
                    self.assertEqual(answer.status, 400, answer)
                    if name != "cursor":
                        self.assertIn(name, [e["parameter"] for e in answer.json()["errors"]])

    def test_the_default_is_what_holds_without_it(self):
        for operation, parameter, name in self.cases():
            schema = self.document.resolve(parameter["schema"])
            if "default" in schema and operation.path.count("{id}") == 0:
                with self.subTest(operation.id, name=name):
                    without = self.ask(operation, {}, headers={})
                    given = self.ask(operation, {name: text_of(schema["default"])})
                    self.assertEqual(given.status, 200, given)
                    self.assertEqual(given.headers["ETag"], without.headers["ETag"])

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
