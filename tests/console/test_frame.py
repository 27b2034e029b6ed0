"""What is on every page: the palette, keys, navigation, addresses that no page has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pachyderm_sdk.api import pfs
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from servers import Server


def test_the_palette_finds_pages_and_names(page: Page, shared: Server) -> None:
    name = pfs.Repo(name="watercolours", type="user", project=pfs.Project(name="default"))
    shared.client().pfs.create_repo(repo=name)
    page.goto("/ui/settings/about")

    page.keyboard.press("Control+k")
    page.keyboard.type("watercol")
    expect(page.get_by_role("option", name="watercolours")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url("/ui/p/default/repos/watercolours")

    page.keyboard.press("Control+k")
    page.keyboard.type("secrets")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Secrets")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_keys_lead_to_pages_but_not_from_fields(page: Page) -> None:
    page.goto("/ui/settings/limits")
    page.locator("main h1").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("gh")
    expect(page).to_have_url("/ui/settings/limits?q=gh")

    page.locator("main h1").focus()
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page).to_have_url("/ui/")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("gh")


def test_focus_returns_after_a_dialog(page: Page) -> None:
    page.goto("/ui/settings/about")
    button = page.get_by_role("button", name="Keys and help")
    button.click()
    expect(page.get_by_role("dialog")).to_contain_text("Go to the home page")
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


def test_an_address_without_a_page_says_so(page: Page) -> None:
    page.goto("/ui/nowhere/%E2%80%AE")

    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")


def test_old_addresses_lead_to_pages(page: Page) -> None:
    page.goto("/project/default/repos")
    expect(page).to_have_url("/ui/p/default/repos")
