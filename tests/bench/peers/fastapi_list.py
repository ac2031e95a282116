"""A FastAPI application that returns a list of dicts, as most do, behind uvicorn.

    fastapi_list.py PAGE-FILE PORT

PAGE-FILE is an answer of the gateway's; the list is that of its records.
"""

import json
import pathlib
import sys

import fastapi
import uvicorn

RECORDS = json.loads(pathlib.Path(sys.argv[1]).read_text())["data"]
app = fastapi.FastAPI()


@app.get("/")
async def postures():
    return RECORDS


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
