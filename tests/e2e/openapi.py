"""docs/openapi.yaml as tests use it: which operation a request is of, and what is wrong with a request
or an answer by what the document says of it.

Needs python3-yaml and python3-jsonschema: who imports this without them is skipped (automake's 77).
"""

import gzip
import json
import re
import sys
import urllib.parse

import harness

try:
    import jsonschema
    import yaml
except ImportError as e:
    print(f"skipped: {e.name} is not installed (python3-yaml, python3-jsonschema)")
    sys.exit(77)

PATH = harness.SRCDIR / "docs" / "openapi.yaml"

# Of HTTP and of nginx, not of the API. What is allowed of Content-Type is in `content`.
NOT_OF_THE_API = {"server", "date", "connection", "transfer-encoding", "content-type"}
# Such a document has them elsewhere than among the parameters.
NOT_PARAMETERS = {"accept", "authorization", "content-type", "origin"}

# What `default` stands for: what can come in any place, most of it from nginx.
ANYWHERE = {400, 405, 413, 414, 421, 429, 431, 500, 501, 502, 503, 504, 505}


# The drop-in surface: errors are told in the upstream's manner, and a path may end in a slash.
DROP_IN = ("/auth", "/pcrs/")
GZIP = "application/gzip"
NDJSON = "application/x-ndjson"


def is_drop_in(path):
    return path.startswith(DROP_IN)


class Exchange:
    """One request and its answer. `name` is that of an example, if it is one."""

    def __init__(self, name, method, target, headers, body, answer):
        self.name = name
        self.method = method
        self.target = target
        self.headers = headers or {}
        self.body = body
        self.answer = answer

    def __repr__(self):
        return f"{self.method} {self.target[:120]} {self.headers}: {self.answer}"


class Operation:
    def __init__(self, document, path, method, item):
        self.path = path
        self.method = method
        self.id = item[method.lower()]["operationId"]
        self.definition = item[method.lower()]
        self.parameters = {}
        for entry in item.get("parameters", []) + self.definition.get("parameters", []):
            parameter = document.resolve(entry)
            self.parameters[parameter["in"], parameter["name"].lower()] = parameter
        self.responses = self.definition["responses"]
        self.is_drop_in = is_drop_in(path)
        pattern = re.sub(r"\\{[^}]*\\}", "([^/]+)", re.escape(path))
        self.pattern = re.compile(pattern + ("/?" if self.is_drop_in else ""))

    def query_parameters(self):
        return [p for (place, _), p in self.parameters.items() if place == "query"]


class Document:
    def __init__(self, path=PATH):
        self.text = path.read_text()
        self.root = yaml.load(self.text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.components = self.root["components"]
        self.members_met = set()  # (the id() of `properties`, a name in it)
        self.operations = [Operation(self, path, method.upper(), item)
                           for path, item in self.root["paths"].items()
                           for method in item if method != "parameters"]

    def resolve(self, node):
        """The node itself, or what its $ref leads to; what stands beside a $ref is laid over it."""
        while "$ref" in node:
            target = self.root
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
        return node

    def problems(self, schema, value):
        """What is wrong with the value, as texts."""
        found = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}"
                 for e in self.validator(schema).iter_errors(value)]
        return found + list(self.unknown_members([schema], value, ""))

    def validator(self, schema):
        return jsonschema.Draft202012Validator({"components": self.components, "allOf": [schema]})

    def flatten(self, schemas, value):
        """Schemas that hold at the same place, without $ref, allOf, and of oneOf what the value is not."""
        for schema in schemas:
            schema = self.resolve(schema)
            yield schema
            yield from self.flatten(schema.get("allOf", []), value)
            fitting = [s for s in schema.get("oneOf", []) if self.validator(s).is_valid(value)]
            yield from self.flatten(fitting, value)

    def unknown_members(self, schemas, value, place):
        """Members that no schema knows, where none says that others may come: a client has to bear
        them, but what is served today has to be described."""
        schemas = list(self.flatten(schemas, value))
        if isinstance(value, list):
            items = [s["items"] for s in schemas if "items" in s]
            for i, item in enumerate(value):
                yield from self.unknown_members(items, item, f"{place}/{i}")
        if not isinstance(value, dict) or not any("properties" in s for s in schemas):
            return
        is_open = any(s.get("additionalProperties") is True for s in schemas)
        for name, member in value.items():
            knowing = [s["properties"] for s in schemas if name in s.get("properties", {})]
            self.members_met.update((id(properties), name) for properties in knowing)
            if knowing:
                known = [properties[name] for properties in knowing]
                yield from self.unknown_members(known, member, f"{place}/{name}")
            elif not is_open:
                yield f"{place}/{name}: the document does not know this member"

    def members_not_met(self, node, place):
        """Of the schema and all within it, the members that no value so far has had."""
        for name, member in node.get("properties", {}).items():
            if (id(node["properties"]), name) not in self.members_met:
                yield f"{place}/{name}"
            yield from self.members_not_met(member, f"{place}/{name}")
        parts = node.get("allOf", []) + node.get("oneOf", [])
        for inner in parts + [node[k] for k in ("items",) if k in node]:
            yield from self.members_not_met(inner, place)

    # --- requests and answers

    def operation(self, method, target):
        """HEAD counts as GET. A literal path goes before one with a parameter."""
        path = target.partition("?")[0]
        method = "GET" if method == "HEAD" else method
        fits = [o for o in self.operations if o.method == method and o.pattern.fullmatch(path)]
        return min(fits, key=lambda o: o.path.count("{"), default=None)

    @staticmethod
    def parse(schema, text):
        """A text of a URL or header as the schema means it; the text itself where it does not fit."""
        kind = schema.get("type")
        if kind == "integer" and re.fullmatch(r"-?[0-9]+", text):
            return int(text)
        if kind == "boolean" and text in ("true", "false"):
            return text == "true"
        return text

    def parse_parameter(self, parameter, text):
        schema = self.resolve(parameter["schema"])
        if schema.get("type") != "array":
            return self.parse(schema, text)
        assert parameter["explode"] is False and parameter["style"] == "form", parameter["name"]
        return [self.parse(self.resolve(schema["items"]), t) for t in text.split(",")]

    def check_request(self, exchange):
        """What a request that was served has that the document does not allow."""
        operation = self.operation(exchange.method, exchange.target)
        query = urllib.parse.urlsplit(exchange.target).query
        for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True):
            parameter = operation.parameters.get(("query", name.lower()))
            if parameter is None or parameter["name"] != name:
                yield f"parameter {name} is not documented"
                continue
            value = self.parse_parameter(parameter, text)
            yield from self.problems(parameter["schema"], value)
        for name, text in exchange.headers.items():
            known = ("header", name.lower()) in operation.parameters
            if not known and name.lower() not in NOT_PARAMETERS:
                yield f"request header {name} is not documented"
        if exchange.body is not None:
            media = exchange.headers["Content-Type"]
            schema = operation.definition["requestBody"]["content"][media]["schema"]
            value = (json.loads(exchange.body) if media == "application/json"
                     else dict(urllib.parse.parse_qsl(exchange.body, keep_blank_values=True)))
            yield from self.problems(schema, value)

    def check_answer(self, exchange):
        """What the answer has that the document does not say, and the other way round."""
        answer = exchange.answer
        operation = self.operation(exchange.method, exchange.target)
        responses = operation.responses if operation else {}
        response = responses.get(str(answer.status))
        if response is None:
            # a path that there is not is as documented as what can come in any place
            if answer.status not in ANYWHERE | ({404} if operation is None else set()):
                yield f"the status {answer.status} is not documented"
            anywhere = "Message" if is_drop_in(exchange.target) else "Problem"
            response = responses.get("default", {"$ref": f"#/components/responses/{anywhere}"})
        response = self.resolve(response)
        yield from self.check_headers(response, answer)
        content = response.get("content", {})
        if exchange.method == "HEAD" or not content:
            if answer.body:
                yield "a body that should not be"
            return
        if "Content-Length" in answer.headers and int(answer.headers["Content-Length"]) != len(answer.body):
            yield "Content-Length is not exact"
        media = answer.headers.get("Content-Type", "")
        if media not in content:
            yield f"the media type {media} is not documented"
            return
        yield from self.check_body(content, media, answer)
        if media == "application/problem+json" and answer.json()["status"] != answer.status:
            yield "the problem's status is not that of the answer"

    def check_body(self, content, media, answer):
        if media == GZIP:  # what is in it is what would be there without it
            value = json.loads(gzip.decompress(answer.body))
            yield from self.problems(content["application/json"]["schema"], value)
            return
        is_json = media.endswith("json") and media != NDJSON
        value = answer.json() if is_json else answer.body.decode()
        yield from self.problems(content[media]["schema"], value)
        if media == NDJSON:
            *lines, last = value.splitlines()
            for line in lines:
                yield from self.problems(content[media]["x-line"], json.loads(line))
            yield from self.problems(content[media]["x-last-line"], json.loads(last))

    def check_headers(self, response, answer):
        documented = {n.lower(): self.resolve(h) for n, h in response.get("headers", {}).items()}
        for name, text in answer.headers.items():
            if name.lower() in NOT_OF_THE_API:
                continue
            header = documented.get(name.lower())
            if header is None:
                yield f"header {name}: {text} is not documented"
                continue
            value = self.parse(self.resolve(header["schema"]), text)
            for problem in self.problems(header["schema"], value):
                yield f"header {name}: {problem}"
        for name, header in documented.items():
            if header.get("required") and name not in answer.headers:
                yield f"header {name} is missing"

    def documented_status(self, exchange):
        """The pair (operationId, status as it is documented) that the answer is an instance of."""
        operation = self.operation(exchange.method, exchange.target)
        if operation is None:
            return None
        status = str(exchange.answer.status)
        return operation.id, status if status in operation.responses else "default"
