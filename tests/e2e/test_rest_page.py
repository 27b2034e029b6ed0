"""Calls by REST as Pachyderm's console makes them; the blocks of the page about REST run with the other pages."""

from __future__ import annotations

import json
import subprocess

import pytest


@pytest.fixture(scope="module")
def server(serve_folder, tmp_path_factory):
    with serve_folder(tmp_path_factory.mktemp("rest")) as served:
        yield served


def values(text):
    """Return the JSON objects of a text that has other lines too."""
    decoder = json.JSONDecoder()
    parsed = []
    while text := text[text.find("{") :] if "{" in text else "":
        value, end = decoder.raw_decode(text)
        parsed.append(value)
        text = text[end:]
    return parsed


SPEC = {
    "pipeline": {"name": "upper", "project": {"name": "default"}},
    "input": {"pfs": {"repo": "texts", "glob": "/*"}},
    "transform": {"cmd": ["true"]},
}


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_calls_of_pachyderms_console_have_their_answers(server, version):
    def call(method, request=None):
        command = ["curl", version, "--silent", "--show-error", "--write-out", "\n%{http_code}"]
        command += ["-H", "content-type: application/json", "-H", "authn-token: none"]
        command += ["-d", json.dumps(request or {}), f"http://{server.address}/api/{method}"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        body, _, status = run.stdout.rpartition("\n")
        return int(status), values(body)

    assert call("pfs_v2.API/CreateRepo", {"repo": {"name": "texts"}, "update": True}) == (200, [{}])
    spec = {"createPipelineRequestJson": json.dumps(SPEC), "update": True}
    assert call("pps_v2.API/CreatePipelineV2", spec)[0] == 200
    status, pipelines = call("pps_v2.API/ListPipeline", {"details": True})
    assert (status, len(pipelines)) == (200, 1)
    info = pipelines[0]["result"]
    assert info["pipeline"] == {"name": "upper", "project": {"name": "default"}}
    assert info["version"] in ("1", "2")
    assert info["details"]["input"]["pfs"]["glob"] == "/*"
    assert info["details"]["input"]["cron"] is None
    assert info["type"] == "PIPELINE_TYPE_TRANSFORM"
    status, [job] = call("pps_v2.API/ListJob", {"pipeline": info["pipeline"]})
    assert job["result"]["state"].startswith("JOB_")
    status, [project] = call("pfs_v2.API/ListProject")
    assert project["result"]["project"] == {"name": "default"}
    status, [off] = call("auth_v2.API/WhoAmI")
    assert (status, off["code"]) == (501, 12)
    assert call("versionpb_v2.API/GetVersion")[1][0]["minor"] == 12
