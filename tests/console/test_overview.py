"""Home, jobs, pipelines, runs and machines, on a server with a pipeline whose job fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from servers import ended, make_pipeline, make_repo, put

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from servers import Server

#: Fails for files whose content has a 7.
CHECK = "if grep -q 7 /pfs/images/*; then exit 3; fi"


@pytest.fixture(scope="module")
def images(shared: Server) -> object:
    """A repo with a pipeline that has one good and one failed job."""
    branch = make_repo(shared.client(), "images")
    pipeline = make_pipeline(shared.client(), "check", CHECK, "images")
    for number in (1, 7):
        commit = put(shared.client(), branch, {f"/{number}.txt": str(number).encode()})
        ended(shared.client(), pipeline, commit)
    return branch


@pytest.mark.usefixtures("images")
def test_a_number_of_home_leads_to_the_list_behind_it(page: Page) -> None:
    page.goto("/ui/")

    expect(page.get_by_role("region", name="Failed in the last 24 hours")).to_contain_text("exit code 3")
    link = page.get_by_role("link", name=re.compile(r"^\d+ failed jobs$")).first
    number = int(link.inner_text())
    link.click()

    expect(page).to_have_url("/ui/jobs?state=FAILURE&from=-24h")
    expect(page.get_by_role("grid", name="All jobs").get_by_role("row")).to_have_count(1 + number)


def test_home_counts_a_new_failure_without_asking_again(page: Page, shared: Server, images: object) -> None:
    page.goto("/ui/")
    failed = page.get_by_role("region", name="Failed in the last 24 hours")
    expect(failed).to_contain_text("exit code 3")
    before = failed.get_by_role("listitem").count()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)

    put(shared.client(), images, {"/77.txt": b"77"})

    expect(failed.get_by_role("listitem")).to_have_count(before + 1)
    assert asked == []


@pytest.mark.usefixtures("images")
def test_the_filter_of_jobs_stands_in_the_address(page: Page) -> None:
    page.goto("/ui/p/default/jobs")

    page.get_by_role("button", name="success").click()
    expect(page).to_have_url("/ui/p/default/jobs?state=SUCCESS")
    page.get_by_placeholder("Pipeline").fill("nothing")
    page.get_by_placeholder("Pipeline").press("Enter")
    expect(page.get_by_text("Nothing matches the filter.")).to_be_visible()
    page.go_back()

    expect(page.get_by_role("grid", name="Jobs")).to_be_visible()


@pytest.mark.usefixtures("images")
def test_a_pipeline_says_why_it_waits_and_how_it_scaled(page: Page) -> None:
    page.goto("/ui/p/default/pipelines")
    page.get_by_role("link", name="check", exact=True).click()

    expect(page.get_by_role("region", name="What it does or waits for")).to_contain_text("ended in failure")
    page.get_by_role("tab", name="Scaling").click()
    expect(page.get_by_role("region", name="Decisions")).to_contain_text("nothing waits")
    page.get_by_role("tab", name="Spec").click()
    expect(page.get_by_text("grep -q 7")).to_be_visible()


@pytest.mark.usefixtures("images")
def test_a_run_has_its_jobs_and_commits(page: Page) -> None:
    page.goto("/ui/runs")
    page.get_by_role("grid", name="Runs").get_by_role("row").nth(1).get_by_role("link").first.click()

    expect(page.get_by_role("heading", name="Run ")).to_be_visible()
    expect(page.get_by_role("region", name="Jobs")).to_contain_text("check")
    expect(page.get_by_role("region", name="Commits", exact=True).first).to_contain_text("images")


@pytest.mark.usefixtures("images")
def test_machines_are_listed_with_their_workers(page: Page) -> None:
    page.goto("/ui/machines")

    expect(page.get_by_role("region", name="Machines").first).to_contain_text("local")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
