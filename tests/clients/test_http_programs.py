"""Programs that speak HTTP/2 by themselves: h2spec checks each rule, h2load and curl make requests."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

#: What h2spec finds in h2corn, and why that is no fault.
EXPECTED_FAILURES = {
    # The port speaks HTTP/1.1 too, and answers in it.
    "Sends invalid connection preface",
    # Its headers are within the limit when they are encoded; larger frames do end the connection.
    "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
    # Priorities are deprecated (RFC 9113, section 5.3.2), and not read.
    "Sends HEADERS frame that depend on itself",
    "Sends PRIORITY frame that depend on itself",
}


def run(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.slow
def test_h2spec_finds_the_rules_of_http_2_kept(server, go_programs, tmp_path):
    host, port = server.address.split(":")

    run(str(go_programs / "h2spec"), "-h", host, "-p", port, "-o", "5", "-j", str(tmp_path / "report"))

    cases = ET.parse(tmp_path / "report").getroot().findall(".//testcase")
    failures = {case.get("classname") for case in cases if len(case)}
    assert len(cases) > 140
    assert failures <= EXPECTED_FAILURES


@pytest.mark.slow  # not because of its time: continuous integration installs h2load after the usual tier
@pytest.mark.parametrize("version", [[], ["--h1"]], ids=["http2", "http1"])
def test_h2load_gets_an_answer_to_each_of_many_requests(server, version):
    result = run("h2load", *version, "-n", "2000", "-c", "20", "-m", "20", f"http://{server.address}/livez")

    assert re.search(r"2000 succeeded, 0 failed, 0 errored", result.stdout), result.stdout + result.stderr


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_gets_an_answer(server, version):
    result = run(
        "curl", "-sS", version, "-w", " %{http_version} %{http_code}", f"http://{server.address}/livez"
    )

    assert result.stdout.split()[-2:] == [{"--http1.1": "1.1"}.get(version, "2"), "200"], result.stderr
