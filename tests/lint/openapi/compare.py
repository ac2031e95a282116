"""Compares docs/openapi.yaml with the tables of the gateway: says FILE:LINE: what; cure for each route,
parameter, word, bound, problem and member that one side has and the other has not.

Works on the texts alone, in the working directory.
"""

import re
import sys

try:
    import yaml
except ImportError:
    print("docs/openapi.yaml:1: cannot be read without python3-yaml; install it (./dev setup)")
    sys.exit()

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOCUMENT = "docs/openapi.yaml"
ROUTES = "gateway/front/route_table.h"
PARAMETERS = "gateway/query/query_table.h"
LIMITS = "gateway/base/limits.h"
STATUSES = "gateway/base/status_table.h"
MEMBERS = "gateway/fetch/normalise_table.h"
OLD_PARAMETERS = "gateway/legacy/params_table.h"
BUILD = "configure.ac"
NGINX = "nginx/posturegate/http.conf"

# The use of a parameter (query_table.h), and the paths that have it. What is not served yet has none.
USES = {
    "POSTURES": ["/v1/postures", "/v1/postures/query", "/v1/postures/explain"],
    "SUMMARY": ["/v1/postures/summary"],
    "POSTURE": ["/v1/postures/{id}"],
    "POLICIES": ["/v1/policies"],
    "HOSTS": ["/v1/policies/{id}/hosts"],
    "FETCHES": ["/v1/fetches", "/admin/v1/fetches"],
    "MIGRATION": ["/admin/v1/migration"],
}
IN_SEARCH = "IN(POSTURES) | IN(SUMMARY)"
# The drop-in surface, by the names of params_table.h.
DROP_IN = ("/auth", "/pcrs/")
OLD_PATHS = {
    "policyList": "/pcrs/{version}/posture/policy/list",
    "hostids": "/pcrs/{version}/posture/hostids",
    "postureInfo": "/pcrs/{version}/posture/postureInfo",
}
# Forms of a value that is 0 or 1.
OLD_FLAGS = ("FLAG", "EVIDENCE", "EXTENDED", "COMPRESSION")
# Words that are refused by an answer that has no such form.
NOT_TAKEN = {"/admin/v1/migration|format|ndjson"}


def rows(path, pattern):
    """Line and groups of each place that fits. A table's row may go over several lines."""
    with open(path) as file:
        text = file.read()
    found = [(text.count("\n", 0, m.start()) + 1, *m.groups())
             for m in re.finditer(pattern, text, re.MULTILINE)]
    if not found:
        print(f"{path}:1: nothing in it was understood; mend {__file__}")
    return found


class Document:
    def __init__(self):
        with open(DOCUMENT) as file:
            text = file.read()
        self.root = yaml.load(text, LOADER)
        self.lines = {}
        self.note_lines(yaml.compose(text, LOADER), ())

    def note_lines(self, node, place):
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self.note_lines(value, place + (key.value,))
                self.lines[place + (key.value,)] = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self.note_lines(value, place + (i,))

    def at(self, place):
        node = self.root
        for step in place:
            node = node[step]
        return node

    def follow(self, place):
        """Where the $ref at this place leads to, however many; or the place."""
        while isinstance(self.at(place), dict) and "$ref" in self.at(place):
            place = tuple(self.at(place)["$ref"].removeprefix("#/").split("/"))
        return place

    def operations(self):
        for path, item in self.root["paths"].items():
            for method in item:
                if method != "parameters":
                    yield path, method, ("paths", path, method)

    def parameters(self):
        """(path, name, place of the schema, line) of each query parameter, and of each member of a
        request's body; of the drop-in surface none."""
        for path, _, place in self.operations():
            operation = self.at(place)
            if path.startswith(DROP_IN):
                continue
            for i in range(len(operation.get("parameters", []))):
                target = self.follow(place + ("parameters", i))
                if self.at(target)["in"] == "query":
                    yield path, self.at(target)["name"], target + ("schema",), self.lines[place + ("parameters", i)]
            if "requestBody" in operation:
                body = self.follow(place + ("requestBody", "content", "application/json", "schema"))
                for name in self.at(body)["properties"]:
                    target = body + ("properties", name)
                    yield path, name, target, self.lines[target]

    def old_parameters(self):
        """(api, name, first version, place of the schema, line) of those of the drop-in surface."""
        apis = {path: api for api, path in OLD_PATHS.items()}
        for path, _, place in self.operations():
            for i in range(len(self.at(place).get("parameters", []) if path in apis else [])):
                target = self.follow(place + ("parameters", i))
                if self.at(target)["in"] == "query":
                    first = self.at(target).get("x-first-version")
                    yield apis[path], self.at(target)["name"], first, target + ("schema",), self.lines[target]

    def item(self, place):
        """The schema that holds for one value of a parameter."""
        place = self.follow(place)
        return self.follow(place + ("items",)) if "items" in self.at(place) else place


def compare(what, table, document):
    """Both: key -> "FILE:LINE"."""
    for key, at in table.items():
        if key not in document:
            print(f"{at}: {DOCUMENT} does not have the {what} {key}; add it")
    for key, at in document.items():
        if key not in table:
            print(f"{at}: the gateway does not have the {what} {key}; mend it or take it out")


# --- what is compared: each the table's side, then the document's

def routes_of_table():
    found = {}
    for line, path, methods, needs_key in rows(
            ROUTES, r'^ROUTE\([A-Z_]+, "([^"]*)", ([A-Z_| ]*), (true|false)'):
        key = "open" if needs_key == "false" else "admin" if path.startswith("/admin/") else "key"
        names = [m.removeprefix("METHOD_") for m in methods.split(" | ")]
        if ("GET" in names) != ("HEAD" in names):
            print(f"{ROUTES}:{line}: GET and HEAD do not go together; {DOCUMENT} says that they do")
        for name in names:
            if name != "HEAD":
                part = "{version}" if path.startswith(DROP_IN) else "{id}"
                found[f"{name} {path.replace('*', part)} ({key})"] = f"{ROUTES}:{line}"
    return found


def routes_of(document):
    found = {}
    for path, method, place in document.operations():
        operation = document.at(place)
        is_admin = "administration" in operation["tags"]
        key = "open" if not operation.get("security") else "admin" if is_admin else "key"
        found[f"{method.upper()} {path} ({key})"] = f"{DOCUMENT}:{document.lines[place]}"
    return found


def parameters_of_table(paths):
    """Names, words and bounds."""
    words = {}
    for line, group, word in rows(PARAMETERS, r'^WORD\(([A-Z]+), "([^"]+)"'):
        words.setdefault(group, []).append(word)
    limits = {name: value for _, name, value in rows(LIMITS, r"^#define (LIMIT_[A-Z_]+) (\d+) ")}
    limits["QUERY_ID_MAX"] = str(2**63 - 1)
    found = {}
    for line, name, kind, group, least, most, uses in rows(
            PARAMETERS, r"^PARAM\(([a-zA-Z]+), ([A-Z_]+), [a-z_]+, ([A-Z]+), (\w+), (\w+), [A-Z]+,\s+"
                        r"([A-Z_()| ]+),"):
        for use in re.findall(r"IN\(([A-Z]+)\)", uses.replace("IN_SEARCH", IN_SEARCH)):
            for path in USES.get(use, []):
                if path in paths:
                    found[f"{path}|{name}"] = f"{PARAMETERS}:{line}"
                    for word in words.get(group, []):
                        found[f"{path}|{name}|{word}"] = f"{PARAMETERS}:{line}"
                    if kind in ("NUMBER", "ID"):
                        bounds = f"{path}|{name} from {least} to {limits.get(most, most)}"
                        found[bounds] = f"{PARAMETERS}:{line}"
    return {k: at for k, at in found.items()
            if k not in NOT_TAKEN}


def parameters_of(document):
    found = {}
    for path, name, place, line in document.parameters():
        at = f"{DOCUMENT}:{line}"
        found[f"{path}|{name}"] = at
        schema = document.at(document.item(place))
        if "minimum" in schema and "items" not in document.at(document.follow(place)):
            found[f"{path}|{name} from {schema['minimum']} to {schema['maximum']}"] = at
        values = schema.get("enum", [])
        if schema.get("type") == "boolean":
            values = [schema["const"]] if "const" in schema else [False, True]
        if name != "fields":
            for value in values:
                text = str(value).lower() if isinstance(value, bool) else value
                found[f"{path}|{name}|{text}"] = at
    return found


def words_of_queries():
    """Parameter of a query -> its words, in lower case."""
    words = {}
    for _, group, word in rows(PARAMETERS, r'^WORD\(([A-Z]+), "([^"]+)"'):
        words.setdefault(group, []).append(word.lower())
    return {name: words.get(group, [])
            for _, name, group in rows(PARAMETERS, r"^(?:PARAM|INNER)\(([a-zA-Z]+), [A-Z_]+, [a-z_]+, ([A-Z]+),")}


def old_parameters_of_table():
    """Names with their first versions, and words."""
    words = words_of_queries()
    found = {}
    for line, api, name, first, form, param in rows(
            OLD_PARAMETERS, r'^LEGACY_PARAM\((\w+), "(\w+)", ([0-9.]+), ([A-Z]+), (\w+),'):
        found[f"{api}|{name} since {first}"] = f"{OLD_PARAMETERS}:{line}"
        own = ["0", "1"] if form in OLD_FLAGS else words.get(param, [])
        if form in ("DIGITS", "WORDS"):
            own = [w for w in own if w.isdigit() == (form == "DIGITS")]
        found |= {f"{api}|{name}|{word}": f"{OLD_PARAMETERS}:{line}" for word in own}
    return found


def old_parameters_of(document):
    found = {}
    for api, name, first, place, line in document.old_parameters():
        found[f"{api}|{name} since {first}"] = f"{DOCUMENT}:{line}"
        for value in document.at(document.item(place)).get("enum", []):
            found[f"{api}|{name}|{value.lower()}"] = f"{DOCUMENT}:{line}"
    return found


def old_members_of_table():
    """Names as the upstream has them, in its order."""
    found = []
    for line, row, first, second in rows(MEMBERS, r"^(KEPT|LEAVES)\(\d+, (\w+), (\w+)"):
        found.append((line, second if row == "KEPT" else first))
    return {f"{i}. {name}": f"{MEMBERS}:{line}" for i, (line, name) in enumerate(found, 1)}


def members_of_table():
    found = [(line, name) for line, name in rows(MEMBERS, r"^(?:KEPT|MADE)\(\d+, (\w+),")]
    return {f"{i}. {name}": f"{MEMBERS}:{line}" for i, (line, name) in enumerate(found, 1)}


def members_of(document, place):
    return {f"{i}. {name}": f"{DOCUMENT}:{document.lines[place]}"
            for i, name in enumerate(document.at(place), 1)}


def problems_of_table():
    """slug -> (place, HTTP statuses): nginx and the gateway may tell the same by another status."""
    found = {}
    told = [(f"{STATUSES}:{line}", slug, status) for line, status, slug in rows(
        STATUSES, r'^STATUS\([A-Z_]+, ([0-9]+), [A-Z]+, "([^"]+)"')]
    told += [(f"{NGINX}:{line}", slug, status) for line, slug, status in rows(
        NGINX, r'"type":"/problems/([^"]*)".*"status":([0-9]+)')]
    for at, slug, status in told:
        found.setdefault(slug, (at, set()))[1].add(status)
    return found


def check_problem_groups(document, problems):
    """The types that an answer's schema allows have that answer's status."""
    for _, _, place in document.operations():
        for status in document.at(place)["responses"]:
            response = document.follow(place + ("responses", status))
            content = response + ("content", "application/problem+json", "schema", "allOf", 1,
                                  "properties", "type")
            try:
                kind = document.at(content)
            except (KeyError, IndexError):
                continue
            for name in kind.get("enum", [kind.get("const")]):
                slug = name.removeprefix("/problems/")
                if slug in problems and status not in problems[slug][1]:
                    yield f"{DOCUMENT}:{document.lines[content]}: {slug} is no {status}; put it elsewhere"


def main():
    document = Document()
    versions = {version: f"{BUILD}:{line}" for line, version in rows(BUILD, r"^AC_INIT\(\[\w+\], *\[([^]]+)\]")}
    place = ("info", "version")
    compare("version", versions, {document.at(place): f"{DOCUMENT}:{document.lines[place]}"})
    compare("operation", routes_of_table(), routes_of(document))
    compare("parameter", parameters_of_table(document.root["paths"]), parameters_of(document))
    compare("old parameter", old_parameters_of_table(), old_parameters_of(document))
    schemas = ("components", "schemas")
    members = members_of_table()
    compare("member", members, members_of(document, schemas + ("Posture", "properties")))
    compare("field", members, members_of(document, schemas + ("Field", "enum")))
    compare("old member", old_members_of_table(),
            members_of(document, schemas + ("PostureOfUpstream", "properties")))
    problems = problems_of_table()
    place = schemas + ("ProblemType", "enum")
    compare("problem", {slug: at for slug, (at, _) in problems.items()},
            {name.removeprefix("/problems/"): f"{DOCUMENT}:{document.lines[place + (i,)]}"
             for i, name in enumerate(document.at(place))})
    for finding in sorted(set(check_problem_groups(document, problems))):
        print(finding)


main()
