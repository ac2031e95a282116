"""What a script would do: the whole answer with requests, json, and its records into sqlite.

    sqlite_client.py URL TOKEN-FILE BODY-FILE DATABASE

Prints how many records there were.
"""

import gzip
import json
import pathlib
import sqlite3
import sys

import requests


def main():
    url, token_file, body_file, database = sys.argv[1:]
    answer = requests.post(url, data=pathlib.Path(body_file).read_bytes(), timeout=600, headers={
        "Authorization": f"Bearer {pathlib.Path(token_file).read_text()}",
        "Content-Type": "application/json"})
    answer.raise_for_status()
    records = json.loads(gzip.decompress(answer.content))
    db = sqlite3.connect(database)
    db.execute("CREATE TABLE posture (id INTEGER PRIMARY KEY, policy INTEGER, host INTEGER, "
               "control INTEGER, status TEXT, evaluated TEXT, body TEXT)")
    with db:
        db.executemany("INSERT INTO posture VALUES (?, ?, ?, ?, ?, ?, ?)", (
            (r["id"], r["policyId"], r["hostId"], r["controlId"], r["status"],
             r["lastEvaluatedDate"], json.dumps(r)) for r in records))
    print(db.execute("SELECT count(*) FROM posture").fetchone()[0])
    db.close()


if __name__ == "__main__":
    main()
