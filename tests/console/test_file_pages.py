"""Files in the console: uploads, previews of hostile and damaged files, long folders, comparisons."""

from __future__ import annotations

import io
import random
import re
import struct
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import story as stories
from pachyderm_sdk.api import pfs
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Watched
    from pachyderm_sdk import Client
    from playwright.sync_api import Page
    from servers import Server

REPO = "gallery"
MASTER = pfs.Branch.from_uri(f"{REPO}@master")
#: A name of nearly the longest kind: markup, and characters that turn the direction of text.
HOSTILE = "\u202egnp.<img src=x onerror=alert(1)>\u200b" + "x" * 180 + ".txt"
ENTRIES = 30_000


def huge_png() -> bytes:
    """Return the begin of an image of 200 megapixels."""
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header


def pdf(text: bytes) -> bytes:
    """Return a PDF of a page with a text."""
    content = b"BT /F1 24 Tf 50 100 Td (" + text + b") Tj ET"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    file = b"%PDF-1.4\n"
    places = []
    for number, each in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(file))
        file += b"%d 0 obj%sendobj\n" % (number, each)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(places)
    return file + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(file)


def put(client: Client, files: dict[str, bytes], branch: pfs.Branch = MASTER) -> str:
    with client.pfs.commit(branch=branch) as commit:
        for path, content in files.items():
            commit.put_file_from_bytes(path, content)
    return str(commit.id)


@pytest.fixture(scope="module")
def commits(shared: Server) -> list[str]:
    """Two commits of a repo, and a long folder in another branch."""
    client = shared.client()
    client.pfs.create_repo(repo=MASTER.repo)
    rows = [f"town {number},{number}\n".encode() for number in range(300)]
    first = put(
        client,
        {
            "/code.py": b"def answer():\n    return 41\n" * 30,
            "/rows.csv": b"city,people\n" + b"".join(rows),
            "/picture.png": stories.png(10, 20, 30),
            "/huge.png": huge_png(),
            "/broken.parquet": b"PAR1" + bytes(100),
            "/page.pdf": pdf(b"Hello"),
            "/broken.pdf": b"%PDF-1.4 nothing",
            "/data.bin": random.Random(1).randbytes(9_000),
            "/notes.md": b"# Title\n\n<script>alert(1)</script> [bad](javascript:alert(1))\n",
            f"/{HOSTILE}": b"hello\n",
        },
    )
    rows[17] = b"another town,5\n"
    with client.pfs.commit(branch=MASTER) as commit:
        for path in ("/code.py", "/rows.csv", "/picture.png"):
            commit.delete_file(path=path)
        commit.put_file_from_bytes(
            "/code.py", b"def answer():\n    return 41\n" * 29 + b"def answer():\n    return 42\n"
        )
        commit.put_file_from_bytes("/rows.csv", b"city,people\n" + b"".join(rows))
        commit.put_file_from_bytes("/picture.png", stories.png(200, 20, 30))
    long = pfs.Branch.from_uri(f"{REPO}@long")
    client.pfs.modify_file(_many(long))
    return [first, str(commit.id)]


def _many(branch: pfs.Branch):
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    for number in range(ENTRIES):
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/folder/file-{number:06}", raw=b"x"))


@pytest.fixture
def page(watch: Callable[..., Watched], origin: str, commits: list[str]) -> Page:
    opened: Page = watch(origin).context.new_page()
    return opened


def tree(path: str, ref: str = "master") -> str:
    return f"/ui/p/default/repos/{REPO}/tree/{ref}{quote(path)}"


def test_files_are_uploaded_as_one_commit(page: Page, shared: Server, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(name)
    page.goto(f"/ui/p/default/repos/{REPO}")
    before = len(list(shared.client().pfs.list_commit(repo=MASTER.repo)))

    page.get_by_text("Upload files…").wait_for()
    page.locator("input[type=file]").set_input_files([str(tmp_path / "one.txt"), str(tmp_path / "two.txt")])
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Branch").fill("drop")
    dialog.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="drop").first.click()
    page.get_by_role("link", name="two.txt").click()

    page.get_by_text("two.txt").last.wait_for()
    assert len(list(shared.client().pfs.list_commit(repo=MASTER.repo))) == before + 1


def test_a_folder_of_many_files_jumps_to_its_end_and_to_a_name(page: Page) -> None:
    page.goto(tree("/folder/", "long"))
    page.get_by_role("link", name="file-000000").wait_for()

    page.locator("[data-row='0']").focus()
    page.keyboard.press("End")
    page.get_by_role("link", name=f"file-{ENTRIES - 1:06}").wait_for()
    page.locator("input[data-filter]").fill("file-0150")
    page.get_by_role("link", name="file-015000").wait_for()

    assert page.get_by_role("grid").get_attribute("aria-rowcount") == str(ENTRIES + 1)
    assert page.locator("*").count() < 3_000


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/huge.png", "200 megapixels"),
        ("/broken.parquet", "The table cannot be read"),
        ("/data.bin", "This kind of file has no preview"),
        (f"/{HOSTILE}", "hello"),
        ("/notes.md", "<script>alert(1)</script>"),
    ],
)
def test_a_file_that_cannot_be_shown_says_why_and_can_be_downloaded(page: Page, path: str, text: str) -> None:
    page.goto(tree(path))

    page.get_by_text(text).first.wait_for()

    assert page.get_by_role("link", name="Download", exact=True).count() == 1
    assert page.locator("a[href^='javascript']").count() == 0


def test_parquet_is_a_table(page: Page, shared: Server) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    parquet.write_table(arrow.table({"name": [f"row {n}" for n in range(5_000)]}), file, compression="zstd")
    put(shared.client(), {"/rows.parquet": file.getvalue()}, pfs.Branch.from_uri(f"{REPO}@tables"))

    page.goto(tree("/rows.parquet", "tables"))
    page.get_by_role("gridcell", name="row 0").wait_for()
    page.locator("[data-row='0']").focus()
    page.keyboard.press("End")

    page.get_by_role("gridcell", name="row 4999").wait_for()


def test_a_pdf_is_drawn_when_the_reader_asks(page: Page) -> None:
    page.goto(tree("/page.pdf"))
    page.get_by_role("button", name="Show it").click()
    page.get_by_text("Page 1: Hello").wait_for()

    page.goto(tree("/broken.pdf"))
    page.get_by_role("button", name="Show it").click()
    page.get_by_text("The PDF cannot be read").wait_for()


def test_lines_have_addresses(page: Page) -> None:
    page.goto(tree("/code.py") + "#L40-L41")

    page.get_by_role("gridcell", name="def answer").first.wait_for()
    page.locator(".marked").first.wait_for()
    page.get_by_role("link", name="42", exact=True).click()

    page.wait_for_url(re.compile("#L42$"))


def test_code_has_colours(page: Page) -> None:
    page.goto(tree("/code.py"))

    expect(page.locator(".line .keyword").first).to_have_text("def")
    expect(page.get_by_role("gridcell", name="return 41").first.locator(".number")).to_have_text("41")


def test_two_commits_are_compared_by_kind(page: Page, commits: list[str]) -> None:
    page.goto(f"/ui/p/default/repos/{REPO}/compare/{commits[0]}...{commits[1]}/")

    page.get_by_text("3 files changed").wait_for()
    page.get_by_role("link", name="code.py").click()
    page.get_by_text("return 42").wait_for()
    page.get_by_role("link", name="Next file").click()
    page.get_by_role("radio", name="Swipe").check()
    page.get_by_role("link", name="Next file").click()

    page.get_by_text("another town").wait_for()
