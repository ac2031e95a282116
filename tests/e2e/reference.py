"""What the gateway ought to answer, worked out from the upstream's own answer by other means: a
plain HTTP client, gzip, Python's json, and the contract's list of what normalising changes.

Numbers are kept as the text that stood in the JSON (class Number), so that 0.10 and 0.1 differ.
"""

import gzip
import http.client
import json
import re
import urllib.parse

IDS = ("id", "policyId", "controlId", "technologyId", "hostId", "assetId")
DATES = ("firstFailDate", "lastFailDate", "firstPassDate", "lastPassDate", "postureModifiedDate",
         "lastEvaluatedDate", "created", "complianceLastScanDate")
STRINGS = ("customerUuid", "customerId", "qgHostid")
BOOKKEEPING = ("currentBatch", "totalBatches", "currentDataSizeKB", "totalDataSizeKB")
ORDER = (
    "id instance policyId policyTitle netBios controlId controlStatement rationale remediation "
    "category subCategory controlReference technologyId status exception previousStatus "
    "previousException firstFailDate lastFailDate firstPassDate lastPassDate postureModifiedDate "
    "lastEvaluatedDate created hostId ip trackingMethod os osCpe domainName dns qgHostid networkId "
    "networkName complianceLastScanDate customerUuid customerId assetId technology criticality "
    "evidence causeOfFailure userDefinedAttributesList qds cloudMetaData cloudResourceId").split()
CLOUD_LABELS = {
    "Public IP Address": "publicIpAddress", "Private IP Address": "privateIpAddress",
    "Machine Type": "machineType", "Zone": "zone", "ProjectId": "projectId", "State": "state",
    "Network": "network", "MAC Address": "macAddress",
}


class Number(str):
    """A JSON number by its text."""

    def __eq__(self, other):
        return isinstance(other, Number) and str(self) == str(other)

    def __ne__(self, other):   # str has one of its own
        return not self == other

    __hash__ = str.__hash__


def parse(text):
    """JSON with numbers as their text and objects as they are ordered."""
    return json.loads(text, parse_int=Number, parse_float=Number)


def number(value):
    """An ID that came as text."""
    if isinstance(value, str) and not isinstance(value, Number) and re.fullmatch("[1-9][0-9]{0,18}", value):
        return Number(value)
    return value


def status(value):
    """The value and whether it was an exception."""
    if not isinstance(value, str):
        return value, False
    for known in ("Passed", "Failed", "Error"):
        if value.lower() == known.lower():
            return known, False
    return ("Passed", True) if value.lower() == "passed*" else (value, False)


def cloud(value):
    """cloudMetaData with the text form of its resource metadata read."""
    if not isinstance(value, dict) or not isinstance(value.get("cloudResourceMetadata"), str):
        return value
    pairs = re.findall(r"'([^']*)':'([^']*)'", value["cloudResourceMetadata"])
    read = {CLOUD_LABELS[k]: None if v == "null" else v for k, v in pairs}
    return value | {"cloudResourceMetadata": read}


def normalised(record):
    """The posture that the contract promises for a record of the upstream, whatever its version."""
    record = dict(record)
    for name in BOOKKEEPING:
        record.pop(name, None)
    if "CLOUD_RESOURCE_ID" in record:
        record["cloudResourceId"] = record.pop("CLOUD_RESOURCE_ID")
    if "postureId" in record and "id" not in record:
        record["id"] = record.pop("postureId")
    for name in IDS:
        record[name] = number(record.get(name))
    if record.get("networkId") == "0":
        record["networkId"] = Number("0")
    for name in DATES:
        record[name] = record.get(name) or None
    for name in STRINGS:
        if isinstance(record.get(name), Number):
            record[name] = str(record[name])
    record["status"], record["exception"] = status(record.get("status"))
    record["previousStatus"], record["previousException"] = status(record.get("previousStatus"))
    evidence = record.get("evidence")
    if isinstance(evidence, dict) and evidence.get("lastUpdated") == "":
        record["evidence"] = evidence | {"lastUpdated": None}
    record["cloudMetaData"] = cloud(record.get("cloudMetaData"))
    known = {name: record.get(name) for name in ORDER}
    return known | {name: value for name, value in record.items() if name not in known}


class Upstream:
    """The simulated upstream, asked as the vendor's documents say."""

    def __init__(self, url, username, password):
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port)
        form = urllib.parse.urlencode({"username": username, "password": password, "token": "true"})
        answer, self.token = self.call("POST", "/auth", form.encode(),
                                       {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer == 201, answer
        self.token = self.token.decode()

    def call(self, method, target, body=None, headers=None):
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def authorized(self, method, target, body=None):
        status_code, content = self.call(method, target, body, {
            "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        assert status_code == 200, (status_code, content[:300])
        return content

    version = "5.0"

    def hosts(self, policies):
        return json.loads(self.authorized("GET", f"/pcrs/{self.version}/posture/hostids?policyId=" +
                                          ",".join(map(str, policies))))

    def records(self, body, **params):
        """The records of one postureInfo call, numbers as text."""
        content = self.authorized(
            "POST", f"/pcrs/{self.version}/posture/postureInfo?" + urllib.parse.urlencode(params, safe=",:"),
            json.dumps(body))
        return parse(gzip.decompress(content))

    def postures(self, policies, hosts=None, **params):
        """What the gateway should answer for these policies: normalised, by id."""
        got = {}
        for element in self.hosts(policies):
            if hosts is not None:
                element["hostIds"] = [h for h in element["hostIds"] if int(h) in hosts]
            if element["hostIds"]:
                for record in self.records([element], **params):
                    posture = normalised(record)
                    assert posture["id"] not in got
                    got[posture["id"]] = posture
        return got
