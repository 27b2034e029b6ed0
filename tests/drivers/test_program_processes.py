"""Processes that run programs of clients."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from web_server import web_server

from trunkline.drivers.outbound.client import OutboundClient
from trunkline.drivers.programs.processes import ProgramProcesses
from trunkline.errors import InvalidArgument, NotFound, PermissionDenied
from trunkline.model import limits
from trunkline.model.outbound import Rules


@pytest.fixture(scope="module")
def site():
    with web_server() as running:
        yield running


@pytest.fixture
def programs(site):
    return ProgramProcesses(OutboundClient(Rules((site.url,))))


def test_filters_that_wait_for_their_client_delay_no_other_filter(programs):
    with ExitStack() as open_filters:
        for _ in range(5):  # more than may compute at the same time
            open_filters.enter_context(programs.filter("true"))

        with programs.filter(".a > 1") as passing:
            assert passing(['{"a": 1}', '{"a": 2}']) == [False, True]


def test_a_template_imports_from_urls_and_what_it_imports_from_beside_it(programs, site):
    site.answers["/lib/a.libsonnet"] = b'{ b: (import "b.libsonnet").value, text: importstr "../text" }'
    site.answers["/lib/b.libsonnet"] = "{ value: 'ü' }".encode()
    site.answers["/text"] = b"plain"
    template = f'local a = import "{site.url}/lib/a.libsonnet"; function(x) a + {{ x: x }}'

    rendered = json.loads(programs.render(template, {"x": "1"}))

    assert rendered == {"b": "ü", "text": "plain", "x": "1"}


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("relative.libsonnet", InvalidArgument),
        ("/etc/passwd", InvalidArgument),
        ("file:///etc/passwd", InvalidArgument),
        ("s3://bucket/key", InvalidArgument),
        ("http://169.254.169.254/latest", PermissionDenied),
        ("SITE/absent", NotFound),
        ("SITE/binary", InvalidArgument),
        ("SITE/large", InvalidArgument),
    ],
)
def test_an_import_that_is_not_allowed_is_refused(programs, site, place, error):
    site.answers["/binary"] = b"\xff"
    site.answers["/large"] = bytes(limits.PROGRAM + 1)

    with pytest.raises(error):
        programs.render(f'importstr "{place.replace("SITE", site.url)}"', {})


def test_endless_imports_end(programs, site, monkeypatch):
    monkeypatch.setattr(limits, "IMPORTS", limits.Limit(5, "imports", "a template"))
    for number in range(10):
        site.answers[f"/{number}"] = f'import "{number + 1}"'.encode()

    with pytest.raises(InvalidArgument):
        programs.render(f'import "{site.url}/0"', {})
