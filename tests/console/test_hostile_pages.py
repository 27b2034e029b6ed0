"""Hostile names, files too large to show, what was deleted, and a server that is gone or another one: each page says
what is wrong and what to do, and the rest works."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from pachyderm_sdk.api import pfs, pps
from playwright.sync_api import expect
from proxies import Proxy

import trunkline

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Watched
    from pachyderm_sdk import Client
    from playwright.sync_api import Page
    from servers import Server

PROJECT = pfs.Project(name="hostile")
#: Turns text around, is markup, has no width.
PIECE = "\u202egnp.<img src=x onerror=alert(1)>\u200b<b>bold</b>\"'&amp;\u2066 "
TEXT = (PIECE * 100).encode()[:4_000].decode(errors="ignore")
REPO, BRANCH, PIPELINE = "r" * 128, "b" * 128, "p" * 51
#: A path of nearly 3,500 bytes, with names of nearly 255.
FOLDERS = [f"<b>{number}\u202e{'y' * 220}" for number in range(14)]
FILE = "\u202egnp.<img src=x onerror=alert(1)>\u200b" + "x" * 180 + ".txt"
#: Writes a line of a million characters, markup, colours, and an error as long as names may be.
PROGRAM = """
import sys
print("L" * 1_000_000)
print("\\u202e<script>alert(1)</script> \\x1b[31mred\\x1b[0m")
sys.stderr.write("E" * 4_000 + "<img src=x onerror=alert(1)>\\u202e\\n")
sys.exit(7)
"""
LINE = b"a line of %07d\n"
#: Characters that must not reach the reader as they are.
BIDIRECTIONAL = "[\\u200b-\\u200f\\u202a-\\u202e\\u2066-\\u2069]"


@pytest.fixture(scope="module")
def addresses(shared: Server) -> dict[str, str]:
    """Addresses of pages with the longest and most hostile names that there can be."""
    client = shared.client()
    client.pfs.create_project(project=PROJECT, description=TEXT)
    repo = pfs.Repo(name=REPO, type="user", project=PROJECT)
    client.pfs.create_repo(repo=repo, description=TEXT)
    branch = pfs.Branch(repo=repo, name=BRANCH)
    deep = "/".join(["", *FOLDERS, FILE])
    with client.pfs.commit(branch=branch, description=TEXT) as commit:
        commit.put_file_from_bytes(f"/{FILE}", b"hello\n")
        commit.put_file_from_bytes(deep, b"deep\n")
        commit.put_file_from_bytes("/text.md", TEXT.encode())
        commit.put_file_from_bytes("/table.csv", f"{PIECE},b\n1,{TEXT}\n".encode())
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name=PIPELINE, project=PROJECT),
        description=TEXT,
        transform=pps.Transform(cmd=[sys.executable, "-c", PROGRAM], stdin=[TEXT[:1_000]]),
        input=pps.Input(pfs=pps.PfsInput(project=PROJECT.name, repo=REPO, branch=BRANCH, glob="/*.txt")),
        autoscaling=True,
        datum_tries=2,
    )
    job = ended(client)
    [datum] = client.pps.list_datum(job=job)
    project = f"/ui/p/{PROJECT.name}"
    tree = f"{project}/repos/{REPO}/tree/{BRANCH}"
    return {
        "home": "/ui/",
        "projects": "/ui/settings/projects",
        "graph": project,
        "repos": f"{project}/repos",
        "repo": f"{project}/repos/{REPO}",
        "commits": f"{project}/repos/{REPO}/commits",
        "folder": f"{tree}/",
        "file": f"{tree}/{quote(FILE)}",
        "deep": f"{tree}{quote(deep)}",
        "markdown": f"{tree}/text.md",
        "csv": f"{tree}/table.csv",
        "pipelines": f"{project}/pipelines",
        "pipeline": f"{project}/pipelines/{PIPELINE}",
        "spec": f"{project}/pipelines/{PIPELINE}?tab=spec",
        "edit": f"{project}/pipelines/{PIPELINE}/edit",
        "jobs": f"{project}/jobs",
        "job": f"{project}/jobs/{PIPELINE}/{job.id}",
        "datums": f"{project}/jobs/{PIPELINE}/{job.id}?tab=datums",
        "datum": f"{project}/jobs/{PIPELINE}/{job.id}/datums/{datum.datum.id}",
        "logs": f"/ui/logs?project={PROJECT.name}&pipeline={PIPELINE}&job={job.id}",
        "run": f"/ui/runs/{job.id}",
        "nowhere": f"/ui/p/{quote(PIECE)}/pipelines/{quote(PIECE)}",
    }


def ended(client: Client) -> pps.Job:
    """Wait for the first job of the hostile pipeline."""
    while True:
        for info in client.pps.list_job(pipeline=pps.Pipeline(name=PIPELINE, project=PROJECT), number=1):
            client.pps.inspect_job(job=info.job, wait=True)
            return info.job


def settled(page: Page) -> None:
    page.locator("main h1").wait_for()
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")


def stream_begins(page: Page, server: Server) -> None:
    """Wait until the page of the repos shows what happens."""
    repo = pfs.Repo(name="stream-begins", type="user", project=pfs.Project(name="default"))
    server.client().pfs.create_repo(repo=repo)
    expect(page.get_by_text(repo.name).first).to_be_visible()


def test_hostile_names_are_text_on_every_page(
    page: Page, context: Watched, addresses: dict[str, str]
) -> None:
    context.expect("404")  # the last page's names do not exist
    wrong = []
    for name, address in addresses.items():
        page.goto(address)
        settled(page)
        if page.locator("img[src='x'], main b, main script").count():
            wrong.append(f"{name}: markup became elements")
        if page.evaluate(f"() => /{BIDIRECTIONAL}/.test(document.body.innerText + document.title)"):
            wrong.append(f"{name}: characters that turn text around")
        if page.evaluate("() => document.documentElement.scrollWidth > innerWidth + 1"):
            wrong.append(f"{name}: wider than the window")

    assert wrong == []


def test_a_log_line_of_a_million_characters_is_cut_and_the_rest_of_the_log_works(
    page: Page, addresses: dict[str, str]
) -> None:
    page.goto(addresses["logs"])
    lines = page.get_by_role("grid", name="Lines of the log")
    expect(lines).to_contain_text("LLLL")

    page.get_by_role("searchbox", name="Search all lines of the log").fill("alert(1)")

    expect(page.locator("mark").first).to_have_text("alert(1)")
    assert len(lines.inner_text()) < 600_000


def test_attempts_of_a_failed_datum_are_shown_one_by_one(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["datum"])

    attempts = page.get_by_role("region", name="Attempts").get_by_role("listitem")
    expect(attempts).to_have_count(2)
    expect(attempts.first).to_contain_text("exit code 7")
    attempts.first.locator("summary").click()

    expect(page.get_by_role("region", name="Last lines of attempt 1")).to_contain_text(
        "<script>alert(1)</script>"
    )


def test_a_file_of_ten_gigabytes_is_shown_in_part_and_read_by_range(page: Page, shared: Server) -> None:
    client = shared.client()
    repo = pfs.Repo(name="large", type="user", project=pfs.Project(name="default"))
    client.pfs.create_repo(repo=repo)
    branch = pfs.Branch(repo=repo, name="master")
    with client.pfs.commit(branch=branch) as commit:
        commit.put_file_from_bytes("/rows.txt", b"".join(LINE % number for number in range(450_000)))
    for _ in range(4):  # six times as large each time
        source = pfs.File(commit=commit, path="/rows.txt")
        with client.pfs.commit(branch=branch) as commit:
            for _ in range(5):
                commit.copy_file(src=source, dst="/rows.txt", append=True)
    page.goto("/ui/p/default/repos/large/tree/master/rows.txt")

    expect(page.get_by_text("The first 5.00 MB of 10.5 GB.")).to_be_visible()
    expect(page.get_by_role("gridcell", name="a line of 0000000")).to_be_visible()
    raw = page.get_by_role("link", name="Raw").get_attribute("href")
    part = page.request.get(raw, headers={"range": "bytes=-18"})

    assert (part.status, part.body()) == (206, LINE % 449_999)
    read = page.evaluate(
        "() => performance.getEntriesByType('resource').reduce((sum, each) => sum + each.transferSize, 0)"
    )
    assert read < 8_000_000


def test_a_spec_with_five_hundred_mistakes_counts_them_and_leads_to_them(page: Page) -> None:
    page.goto("/ui/p/default/new")
    spec = {"pipeline": {"name": "x"}} | {f"wrong{number}": PIECE for number in range(500)}

    page.get_by_label("Pipeline spec").fill(json.dumps(spec, indent=1))

    plan = page.get_by_role("region", name="Plan")
    expect(plan.get_by_role("heading")).to_have_text("500 mistakes")
    expect(plan).to_contain_text("450 more are marked in the text.")
    plan.get_by_role("button").last.click()
    expect(page.locator(".cm-activeLine")).to_contain_text("wrong49")
    assert page.locator("*").count() < 3_000


def test_what_was_deleted_is_named_with_its_time_and_names_like_it(
    page: Page, context: Watched, shared: Server, addresses: dict[str, str]
) -> None:
    context.expect("404")
    client = shared.client()
    repo = pfs.Repo(name="sketches", type="user", project=PROJECT)
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes("/a.txt", b"a")
    project = addresses["graph"]
    page.goto(f"{project}/repos/sketches")
    expect(page.get_by_role("link", name="master")).to_be_visible()

    client.pfs.delete_repo(repo=repo)

    expect(page.get_by_role("heading", name="The repo sketches was deleted")).to_be_visible()
    page.goto(f"{project}/repos/sketches/tree/{commit.id}/a.txt")
    expect(page.get_by_role("heading", name="The repo sketches was deleted")).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_have_count(0)
    page.goto(f"{project}/pipelines/{PIPELINE[1:]}")
    page.get_by_role("status").get_by_role("link", name=re.compile("^p+")).click()
    expect(page).to_have_url(addresses["pipeline"])


def test_a_page_without_its_server_says_so_and_goes_on_when_it_is_back(
    watch: Callable[..., Watched], shared: Server
) -> None:
    with Proxy(shared.address) as proxy:
        watched = watch(proxy.origin)
        watched.expect("ERR_|Failed to load resource|Failed to fetch")
        page = watched.context.new_page()
        page.goto("/ui/p/default/repos")
        stream_begins(page, shared)

        proxy.cut()
        expect(page.locator("main").get_by_text("No connection to the server")).to_be_visible()
        page.get_by_role("link", name="Machines").click()  # a part of the console that is not loaded yet
        expect(page.get_by_role("alert").get_by_role("button", name="Reload")).to_be_visible()
        page.get_by_role("link", name="Repos").click()  # a part that is
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()
        proxy.restore()

        expect(page.get_by_text("The server cannot be reached")).to_have_count(0)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()


@pytest.fixture
def other_version(tmp_path: Path) -> Path:
    """A folder with the package whose console was built again: all its files have other names."""
    package = Path(trunkline.__file__).parent
    copy = tmp_path / "other" / "trunkline"
    copy.mkdir(parents=True)
    for entry in package.iterdir():
        if entry.name != "console":
            (copy / entry.name).symlink_to(entry)
    shutil.copytree(package / "console", copy / "console")
    assets = copy / "console" / "assets"
    for path in list(assets.iterdir()):
        path.rename(assets / f"other-{path.name}")
    index = copy / "console" / "index.html"
    text = index.read_text(encoding="utf-8")
    index.write_text(re.sub(r"assets/", "assets/other-", text), encoding="utf-8")
    return copy.parent


def test_a_page_notices_that_the_server_has_another_version_and_offers_to_reload(
    watch: Callable[..., Watched], server: Server, other_version: Path
) -> None:
    watched = watch(f"http://{server.address}")
    watched.expect("ERR_|Failed to load resource|Failed to fetch|MIME")
    page = watched.context.new_page()
    page.goto("/ui/p/default/repos")
    stream_begins(page, server)

    server.terminate()
    server.environment["PYTHONPATH"] = os.fspath(other_version)
    server.start()

    banner = page.get_by_role("status").filter(has_text="another version of the console")
    expect(banner.get_by_role("button", name="Reload")).to_be_visible()
    page.get_by_role("link", name="Machines").click()  # the old version's file is not there any more
    expect(page.get_by_role("alert").get_by_role("button", name="Reload")).to_be_visible()
    page.get_by_role("link", name="Repos").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Repos")
