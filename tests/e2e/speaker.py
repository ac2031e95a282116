"""The upstream's own protocol, as its callers speak it: at the simulated upstream itself, or at the
gateway's drop-in surface, so that a test can hold the one against the other."""

import gzip
import http.client
import json
import re
import select
import urllib.parse
import zlib

import harness

VERSIONS = ("1.0", "2.0", "3.0", "4.0", "5.0")
OLD = "1.0,2.0,3.0,4.0"  # of hostids and postureInfo
BOOKKEEPING = ("created", "currentBatch", "totalBatches", "currentDataSizeKB", "totalDataSizeKB")
UNKNOWN = "auditTrail"  # a member that no document knows: it may stand anywhere
UNLIMITED = {"rate": 0, "concurrency": 0}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GZIP = b"\x1f\x8b"
BEGINS = re.compile(rb'\{"id":[0-9]{11},')  # as records of the simulated upstream do, and nothing in them
BROKEN = (http.client.IncompleteRead, ConnectionError)


def policy_list(version):
    return f"/pcrs/{version}/posture/policy/list"


def hostids(version):
    return f"/pcrs/{version}/posture/hostids"


def posture_info(version):
    return f"/pcrs/{version}/posture/postureInfo"


class Speaker:
    """One caller, who logs in when it first needs to. connect() gives a new http.client connection."""

    def __init__(self, connect, username, password):
        self.connect = connect
        self.username, self.password = username, password
        self.token = None

    def request(self, method, target, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, target, body=body, headers=headers or {})
            return harness.Answer(connection.getresponse())
        finally:
            connection.close()

    def login(self, **form):
        form = {"username": self.username, "password": self.password, "token": "true"} | form
        answer = self.request("POST", "/auth", urllib.parse.urlencode(form), FORM)
        if answer.status == 201:
            self.token = answer.body.decode().strip()
        return answer

    def headers(self, more=None):
        if self.token is None and self.login().status != 201:
            raise AssertionError("no token")
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | (more or {})

    def call(self, method, path, body=None, headers=None, **params):
        target = path + ("?" + urllib.parse.urlencode(params) if params else "")
        return self.request(method, target, None if body is None else json.dumps(body), self.headers(headers))

    def list(self, version="1.0", **params):
        return self.call("GET", policy_list(version), **params)

    def hosts(self, version, headers=None, **params):
        return self.call("GET", hostids(version), headers=headers, **params)

    def info(self, version, body, headers=None, **params):
        return self.call("POST", posture_info(version), body, headers, **params)

    def stream(self, version, body, headers=None, **params):
        return Stream(self, version, body, headers, params)


class Stream:
    """An answer of postureInfo while it comes. `text` is its JSON so far, `raw` the body's bytes; of a
    gzip answer the text is what one inflater has made of them."""

    def __init__(self, speaker, version, body, headers=None, params=None):
        self.connection = speaker.connect()
        target = posture_info(version) + "?" + urllib.parse.urlencode(params or {})
        self.connection.request("POST", target, json.dumps(body), speaker.headers(headers))
        self.socket = self.connection.sock
        self.response = None
        self.raw = self.text = b""
        self.pieces = []  # of the body, as they came
        self.inflater = None

    def has_head(self):
        """Whether something has come, now."""
        return self.response is not None or bool(select.select([self.socket], [], [], 0)[0])

    def head(self):
        """Waits for the head: the status."""
        if self.response is None:
            self.response = self.connection.getresponse()
        return self.response.status

    def take(self):
        """The next piece of the body, b"" at its end; raises one of BROKEN if it breaks off."""
        self.head()
        piece = self.response.read1(1 << 16)
        self.pieces.append(piece)
        first = not self.raw
        self.raw += piece
        if first and self.raw.startswith(GZIP[:1]):
            self.inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.text += self.inflater.decompress(piece) if self.inflater else piece
        return piece

    def until(self, condition, what="the text is there"):
        """Takes pieces until condition(self) is true."""
        try:
            while not condition(self) and self.take():
                pass
        except TimeoutError:
            pass
        if not condition(self):
            raise AssertionError(f"gave up waiting until {what}: {len(self.raw)} bytes, {self.begun()} "
                                 f"records, in the end {self.text[-200:]!r}")
        return self

    def until_records(self, count):
        """Until so many records are there, and the last of them is whole."""
        return self.until(lambda s: s.begun() >= count and is_array(s.text + b"]"),
                          f"{count} records are whole")

    def begun(self):
        """How many records have begun so far."""
        return len(BEGINS.findall(self.text))

    def rest(self):
        """To the end: the whole text."""
        while self.take():
            pass
        return self.text

    def broken(self):
        """To its end, which has to be none: the text so far, and nothing in it may look whole."""
        try:
            self.rest()
        except BROKEN:
            pass
        else:
            raise AssertionError(f"it has ended in order: {self.response.status} {self.text[-200:]!r}")
        assert not self.text.endswith(b"]"), self.text[-200:]
        assert self.inflater is None or not self.inflater.eof, "the gzip is closed"
        return self.text

    def is_gzip(self):
        return self.inflater is not None

    def close(self):
        if self.response is not None:
            self.response.close()  # it has the socket, too
        self.connection.close()


def upstream_of(stack):
    address = urllib.parse.urlsplit(stack.upstream).netloc
    return Speaker(lambda: http.client.HTTPConnection(address, timeout=harness.PATIENCE_S),
                   stack.username, stack.password)


def secret_of(consumer):
    return consumer.key.split(".", 1)[1]


def gateway_of(stack, consumer=0):
    c = stack.consumers[consumer]
    return Speaker(lambda: harness.UnixConnection(stack.nginx_socket, harness.PATIENCE_S), c.name, secret_of(c))


def text_of(answer):
    return gzip.decompress(answer.body) if answer.body[:2] == GZIP else answer.body


def is_array(text):
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


def pairs_of(text):
    """The records, each as a list of pairs, and numbers as their text."""
    return json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str)


def records_in(text):
    """By ID, each as a list of pairs, so that the order of members counts, and numbers as their text."""
    records = {}
    for pairs in pairs_of(text):
        pairs = sorted(((name, value) for name, value in pairs if name not in BOOKKEEPING),
                       key=lambda pair: pair[0] == UNKNOWN)
        key = dict(pairs)["id"]
        if key in records:
            raise AssertionError(f"posture {key} came twice")
        records[key] = pairs
    return records


def records_of(answer):
    if answer.status != 200:
        raise AssertionError(answer)
    return records_in(text_of(answer))


def element(policy, hosts, subscription=700100):
    """Of a body; hosts are numbers."""
    return {"policyId": str(policy), "subscriptionId": str(subscription), "hostIds": [str(h) for h in hosts]}


def simulated_hosts(policy, count):
    """IDs of the simulator's hosts of a policy, none of them overlapping (host_overlap 0)."""
    first = 5000001 + (policy - 1001) * count
    return list(range(first, first + count))


def calls(stack, api="postureInfo"):
    """How many the simulated upstream has had."""
    return stack.control.state()["apis"][api]["calls"]


class Messages:
    """Mixed into test cases."""

    def check_message(self, answer, status, pattern="."):
        """An error in the upstream's manner: its text."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        body = answer.json()
        self.assertEqual(list(body), ["message"])
        self.assertRegex(body["message"], pattern)
        self.assertFalse(body["message"].endswith("."), body)
        return body["message"]
