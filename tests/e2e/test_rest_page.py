"""The page about REST, its blocks run as they are written against a real server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/rest.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_blocks_of_the_page_run(server):
    script = "\n".join(BLOCK.findall(PAGE.read_text())).replace("127.0.0.1:30650", server.address)

    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert run.stderr == ""
    answers = values(run.stdout)
    errors = [answer for answer in answers if "code" in answer]
    assert errors == [answers[-2]]
    assert answers[-2]["code"] == 5
    assert [answer["result"]["file"]["path"] for answer in answers if "file" in answer.get("result", "")] == [
        "/first.txt"
    ]
    assert {"result": "ZGVhciByZWFkZXI="} in answers
    assert answers[-1]["repo"]["name"] == "letters"


def values(text):
    """Return the JSON values of a text."""
    decoder = json.JSONDecoder()
    parsed = []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        parsed.append(value)
        text = text[end:]
    return parsed
