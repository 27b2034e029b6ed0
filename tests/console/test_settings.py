"""Projects, secrets, defaults and what a reader chooses, through the console's settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pachyderm_sdk.api import pfs
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from servers import Server


def field(page: Page, name: str, value: str) -> None:
    page.get_by_role("dialog").get_by_label(name, exact=True).fill(value)


def press(page: Page, name: str) -> None:
    """Press the button of the open dialog, which closes then."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=name, exact=True).click()
    expect(dialog).to_be_hidden()


def test_a_project_is_created_described_and_deleted_with_what_is_in_it(page: Page, shared: Server) -> None:
    page.goto("/ui/settings/projects")
    page.get_by_role("button", name="Create a project").click()
    field(page, "Name", "paintings")
    press(page, "Create")
    expect(page).to_have_url("/ui/p/paintings")
    shared.client().pfs.create_repo(
        repo=pfs.Repo(name="oil", type="user", project=pfs.Project(name="paintings"))
    )

    page.goto("/ui/settings/projects")
    row = page.get_by_role("row").filter(has_text="paintings")
    row.get_by_role("button", name="Actions for paintings").click()
    page.get_by_role("menuitem", name="Change the description").click()
    field(page, "Description", "by <b>masters</b>")
    press(page, "Save")
    expect(row).to_contain_text("by <b>masters</b>")

    row.get_by_role("button", name="Actions for paintings").click()
    page.get_by_role("menuitem", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 repo with all commits and files")
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_role("textbox").fill("paintings")
    press(page, "Delete")
    expect(row).to_have_count(0)


def test_a_secret_is_created_and_deleted_and_its_value_is_never_shown(page: Page) -> None:
    page.goto("/ui/settings/secrets")
    page.get_by_role("button", name="Create a secret").click()
    field(page, "Name", "store-key")
    field(page, "Key 1", "password")
    field(page, "Value 1", "hunter2")
    press(page, "Create")

    row = page.get_by_role("row").filter(has_text="store-key")
    expect(row).to_be_visible()
    assert "hunter2" not in page.content()

    row.get_by_role("button", name="Delete store-key").click()
    press(page, "Delete")
    expect(row).to_have_count(0)


def test_a_mistake_in_a_dialog_stays_in_it_with_what_was_typed(page: Page, context: object) -> None:
    context.expect("400")
    page.goto("/ui/settings/projects")
    page.get_by_role("button", name="Create a project").click()
    field(page, "Name", "not a name")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("not a name")


def test_defaults_are_set_after_what_they_change_was_shown(page: Page, shared: Server) -> None:
    page.goto("/ui/settings/defaults")
    page.get_by_label("Defaults", exact=True).fill('{"createPipelineRequest": {"datumTries": 5}}')
    expect(page.get_by_role("button", name="Set", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Show what changes").click()
    page.get_by_role("button", name="Set", exact=True).click()

    expect(page.get_by_text("Set; 0 pipelines updated.")).to_be_visible()
    pps = shared.client().pps
    assert json.loads(pps.get_cluster_defaults().cluster_defaults_json) == {
        "createPipelineRequest": {"datumTries": 5}
    }
    pps.set_cluster_defaults(cluster_defaults_json="{}")


def test_the_theme_is_there_before_any_script_and_keys_can_be_switched_off(page: Page) -> None:
    page.goto("/ui/settings/display")
    page.get_by_label("Dark").check()
    page.get_by_label("Keys without Ctrl").uncheck()

    assert 'data-theme="dark"' in page.request.get("/ui/").text()
    page.locator("h1").press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Keys and help").click()
    expect(page.get_by_role("dialog")).to_contain_text("Go to the home page")


def test_the_limits_are_filtered_in_the_address(page: Page) -> None:
    page.goto("/ui/settings/limits?q=commits+of+the+repos")
    expect(page.get_by_role("row")).to_have_count(2)

    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type("no such limit")
    expect(page.get_by_text("Nothing matches the filter.")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_role("cell", name="DATUMS", exact=True)).to_be_visible()
