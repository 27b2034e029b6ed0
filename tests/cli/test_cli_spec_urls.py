"""Specs that the command line fetches from URLs."""

from __future__ import annotations

import pytest
from web_server import status, web_server

from trunkline.cli.specs import read_specs
from trunkline.errors import InvalidArgument, Unavailable
from trunkline.model import limits


@pytest.fixture(scope="module")
def site():
    with web_server() as running:
        yield running


def test_a_spec_is_read_from_a_url(site):
    site.answers["/spec.yaml"] = b"pipeline: {name: edges}\n---\npipeline: {name: montage}\n"

    specs = read_specs(f"{site.url}/spec.yaml")

    assert [spec["pipeline"]["name"] for spec in specs] == ["edges", "montage"]


def test_a_url_without_a_spec_is_an_error(site):
    site.answers["/absent"] = status(404)
    site.answers["/binary"] = b"\xff"
    site.answers["/large"] = bytes(limits.SPEC + 1)

    for path, error in (("absent", Unavailable), ("binary", InvalidArgument), ("large", InvalidArgument)):
        with pytest.raises(error):
            read_specs(f"{site.url}/{path}")
