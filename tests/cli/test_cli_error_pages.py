"""Errors link to the page of the handbook that explains more."""

import re
from pathlib import Path

import grpc
import pytest
from cli_messages import Refusal

from trunkline import errors, handbook_pages
from trunkline.cli.exit_codes import JobFailed, UsageError
from trunkline.cli.help import error_pages
from trunkline.model import spec_help

DOCS = Path(__file__).parents[2] / "docs"


def answered(kind, message="m"):
    error = kind(message)
    error.answered = True
    return error


@pytest.mark.parametrize(
    ("error", "words", "page"),
    [
        (answered(errors.NotFound), "inspect repo a", handbook_pages.NOT_FOUND),
        (answered(errors.DataLoss), "get file a@b:/c", handbook_pages.TROUBLESHOOTING),
        (answered(errors.ResourceExhausted), "put file a@b", handbook_pages.LIMITS),
        (answered(errors.Unimplemented), "list file a@b", handbook_pages.DIFFERENCES),
        (answered(errors.PermissionDenied), "list repo", handbook_pages.SECURITY),
        (errors.DeadlineExceeded("m"), "wait job a@b", handbook_pages.TIME_LIMIT),
        (JobFailed("m", "trunkline logs"), "wait job a@b", handbook_pages.DEBUG_DATUM),
        (errors.InvalidArgument('"a" is not a commit; write a@b'), "inspect commit a", handbook_pages.REFERENCES),
        (answered(errors.InvalidArgument, "no command"), "create pipeline -f a", handbook_pages.SPEC),
        (UsageError("m"), "create pipeline -f a", ""),
        (errors.Unavailable("m"), "list repo", ""),
        (answered(errors.DataLoss), "serve", ""),
    ],
)  # fmt: skip
def test_a_kind_of_error_has_a_page(error, words, page):
    assert error_pages.page(error, words.split()) == page


@pytest.mark.parametrize(
    ("message", "section"),
    [
        ("input.cross[1].pfs.glob: [ is not a glob", "inputpfsglob"),
        ('egress: "x" is not a URL', "egress"),
        ("transform.env.A-B: is not a name", "transformenv"),
        ('a spec has no field "input.pfs.globb"', "inputpfs"),
        ("a.yaml: parallelismSpec.constant must be at least 1", "parallelism_specconstant"),
    ],
)
@pytest.mark.parametrize("words", [("create", "pipeline", "-f", "a.yaml"), ("apply", "-f", "a.yaml")])
def test_an_error_about_a_field_of_a_spec_has_the_section_of_the_field(message, section, words):
    error = answered(errors.InvalidArgument, message)

    assert error_pages.page(error, words) == f"{handbook_pages.SPEC}#{section}"


def test_an_error_about_a_name_links_to_the_handbook_of_the_server(run, server):
    server.answers["InspectRepo"] = Refusal(grpc.StatusCode.NOT_FOUND, "repo default/a not found")

    assert run("inspect", "repo", "a").err.splitlines()[1].startswith(f"see: http://{server.address}/docs/")


def headings(page):
    text = (DOCS / f"{page.rstrip('/')}.md").read_text()
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


def test_each_section_that_an_error_links_to_is_a_heading():
    links = {value for name, value in vars(handbook_pages).items() if name.isupper() and "#" in value}
    links |= {
        handbook_pages.page_of_field(spec_help.section(field.path)) for field in spec_help.every_field()
    }

    missing = [link for link in links if link.partition("#")[2] not in headings(link.partition("#")[0])]

    assert len(links) > 50
    assert missing == []
