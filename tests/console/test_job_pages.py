"""The pages of a job, a datum and logs: from the job to the line in a few clicks, and what is shown has an address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import story as stories

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from servers import Server

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="module")
def story(shared: Server) -> stories.Story:
    return stories.tell(shared)


def test_a_failed_job_leads_to_its_datum_and_its_log_in_two_clicks(page: Page, story: stories.Story) -> None:
    page.goto(f"/ui/p/default/jobs/edges/{story.failed_job}")

    page.get_by_role("list", name="Failed datums").get_by_role("link").first.click()
    expect(page.get_by_role("region", name="Last lines")).to_contain_text("not a picture")
    page.get_by_role("link", name=re.compile("the whole log")).click()

    expect(page.get_by_role("grid", name="Lines of the log")).to_contain_text("not a picture")


def test_a_search_marks_its_hits_and_each_line_has_an_address(page: Page, story: stories.Story) -> None:
    page.goto(f"/ui/logs?pipeline=edges&job={story.failed_job}")
    page.get_by_role("searchbox", name="Search all lines of the log").fill("NOT A")

    expect(page.locator("mark").first).to_have_text("not a")
    expect(page).to_have_url(re.compile(r"at=\d+\.\d+"))
    address = page.url
    page.goto("about:blank")
    page.goto(address)

    expect(page.get_by_role("region", name="The selected line")).to_contain_text("not a picture")


def test_dragging_over_the_timeline_lists_the_datums_of_that_time(page: Page, story: stories.Story) -> None:
    page.goto(f"/ui/p/default/jobs/edges/{story.failed_job}?tab=timeline")
    canvas = page.locator("canvas")
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + 2, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 5, steps=3)
    page.mouse.up()

    expect(page.get_by_role("grid", name="Datums")).to_contain_text("failed")
    expect(page).to_have_url(re.compile("begin=.*end="))


def test_datums_are_filtered_by_the_address(page: Page, story: stories.Story) -> None:
    page.goto(f"/ui/p/default/jobs/edges/{story.failed_job}?tab=datums")
    page.get_by_role("button", name="failed", exact=True).click()

    expect(page.get_by_role("grid", name="Datums").get_by_role("row")).to_have_count(2)
    expect(page).to_have_url(re.compile("state=FAILED"))


def test_two_jobs_are_compared(page: Page, story: stories.Story) -> None:
    page.goto(f"/ui/p/default/jobs/compare/edges/{story.good_job}...{story.failed_job}")

    expect(page.get_by_role("heading", name="Inputs")).to_be_visible()
    expect(page.get_by_role("rowheader", name="failed")).to_be_visible()
