"""Creating and editing pipelines: mistakes in place, the plan, drafts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pfs
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from servers import Server

SPEC = {
    "pipeline": {"name": "copy"},
    "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/drafts/* /pfs/out/"]},
    "input": {"pfs": {"repo": "drafts", "glob": "/*"}},
    "autoscaling": True,
}


@pytest.fixture(scope="module", autouse=True)
def repo(shared: Server) -> None:
    repo = pfs.Repo(name="drafts", type="user", project=pfs.Project(name="default"))
    client = shared.client()
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes("/a.txt", b"a")


def write(page: Page, text: str) -> None:
    page.get_by_label("Pipeline spec").fill(text)


def plan(page: Page):
    return page.get_by_role("region", name="Plan")


def test_a_pipeline_is_created_with_its_plan_and_edited(page: Page) -> None:
    page.goto("/ui/p/default/new")
    write(page, json.dumps(SPEC, indent=2))
    expect(plan(page)).to_contain_text("Creates copy in the project default.")
    expect(plan(page)).to_contain_text("1 of 1")

    page.keyboard.press("Control+s")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(page).to_have_url("/ui/p/default/pipelines/copy")

    page.goto("/ui/p/default/pipelines/copy/edit")
    expect(plan(page)).to_contain_text("Changes nothing in copy, version 1.")
    page.get_by_role("button", name="As YAML").click()
    expect(page.get_by_label("Pipeline spec")).to_contain_text("name: copy")
    expect(plan(page)).to_contain_text("Changes nothing in copy, version 1.")
    page.get_by_label("Run all datums again").check()
    expect(plan(page)).to_contain_text("1 of 1")


def test_mistakes_are_listed_and_lead_to_their_place(page: Page) -> None:
    page.goto("/ui/p/default/new")
    fields = {f"field_{number}": number for number in range(500)}
    write(page, json.dumps({**SPEC, "pipeline": {"name": "other"}, **fields}, indent=2))

    expect(plan(page).get_by_role("heading")).to_have_text("500 mistakes")
    expect(page.get_by_role("button", name="Create…")).to_be_disabled()
    plan(page).get_by_role("button", name='unknown field "field_40"').click()
    expect(page.get_by_label("Pipeline spec")).to_be_focused()
    expect(page.locator(".cm-activeLine")).to_contain_text("field_40")


def test_fields_and_their_values_are_completed(page: Page) -> None:
    page.goto("/ui/p/default/new")
    write(page, '{"pipeline": {"name": "x"}, ')
    page.keyboard.type('"autosc')
    page.get_by_role("option", name="autoscaling").click()
    page.keyboard.type("t")
    page.get_by_role("option", name="true").click()

    expect(page.get_by_label("Pipeline spec")).to_contain_text('"autoscaling": true')


def test_a_draft_stays_in_the_tab_until_it_is_discarded(page: Page) -> None:
    page.goto("/ui/p/default/new")
    write(page, "pipeline: {name: later}")
    page.reload()
    expect(page.get_by_label("Pipeline spec")).to_contain_text("name: later")

    page.get_by_role("button", name="Discard the draft").click()
    expect(page.get_by_label("Pipeline spec")).not_to_contain_text("name: later")


def test_a_pipeline_that_is_gone_says_so(page: Page, context: object) -> None:
    context.expect("404")
    page.goto("/ui/p/default/pipelines/never/edit")

    expect(page.get_by_role("heading", name="The pipeline never does not exist.")).to_be_visible()
