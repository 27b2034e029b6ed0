"""The README's story in the console alone: images, a pipeline, workers from zero to five and back, a failure, its fix.

Everything that the reader of the README would do with commands is done by clicks and keys here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from story import png

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = 8
#: Takes a second for each picture, and fails on what is not one.
COMMAND = [
    "for file in /pfs/photos/*; do",
    '  echo "reading $file"',
    '  head -c 4 "$file" | grep -q PNG || { echo "not a picture: $file" >&2; exit 3; }',
    "  sleep 1",
    '  cp "$file" /pfs/out/',
    "done",
]
SPEC = {
    "pipeline": {"name": "outlines"},
    "transform": {"cmd": ["bash"], "stdin": COMMAND},
    "input": {"pfs": {"repo": "photos", "glob": "/*"}},
    "parallelism_spec": {"constant": 5},
    "autoscaling": True,
    "datum_tries": 1,
}
#: Milliseconds for what takes workers.
LONG = 90_000


def upload(page: Page, files: dict[str, bytes]) -> None:
    """Choose files on the page of the repo and wait until they are there."""
    payloads = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files.items()]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files(payloads)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Upload").click()
    expect(dialog).to_be_hidden()


def test_the_image_story_is_told_by_the_console_alone(page: Page) -> None:
    page.goto("/ui/p/default/repos")
    page.locator("main").get_by_role("button", name="Create a repo").last.click()  # of the empty list
    page.get_by_role("dialog").get_by_label("Name").fill("photos")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.goto("/ui/p/default/repos/photos")
    expect(page.get_by_role("heading", level=1)).to_have_text("photos")

    page.goto("/ui/p/default/new")
    page.get_by_label("Pipeline spec").fill(json.dumps(SPEC, indent=2))
    expect(page.get_by_role("region", name="Plan")).to_contain_text("Creates outlines")
    page.keyboard.press("Control+s")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(page).to_have_url("/ui/p/default/pipelines/outlines")
    workers = page.locator("dd", has=page.get_by_role("link", name=re.compile("ready")))
    expect(workers).to_contain_text("0 ready")

    watcher = page.context.new_page()
    watcher.goto("/ui/p/default/pipelines/outlines")
    page.goto("/ui/p/default/repos/photos")
    files = {f"photo-{number}.png": png(25 * number, 90, 160) for number in range(IMAGES)}
    upload(page, files)

    seen = watcher.locator("dd", has=watcher.get_by_role("link", name=re.compile("ready")))
    expect(seen).to_contain_text("5 ready", timeout=LONG)
    expect(seen).to_contain_text("0 ready", timeout=LONG)
    watcher.close()

    upload(page, {"broken.png": b"these are words"})
    # From home to the log of the failed datum in three clicks. The home page is live: the failure comes to it.
    page.goto("/ui/")
    expect(page.get_by_text("broken.png").first).to_be_visible(timeout=LONG)
    page.get_by_role("region", name="Failed in the last 24 hours").get_by_role(
        "link", name="outlines"
    ).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("outlines")
    page.get_by_role("link", name="/broken.png").first.click()
    expect(page.get_by_text("not a picture: /pfs/photos/broken.png").first).to_be_visible()
    page.get_by_role("link", name=re.compile("log", re.I)).last.click()
    expect(page).to_have_url(re.compile("/ui/logs"))
    expect(page.get_by_text("not a picture: /pfs/photos/broken.png").first).to_be_visible()

    # The fix runs one datum; the others keep their results.
    page.goto("/ui/p/default/repos/photos")
    upload(page, {"broken.png": png(1, 2, 3)})
    page.goto("/ui/p/default/jobs?pipeline=outlines")
    newest = page.get_by_role("row").nth(1)
    expect(newest).to_contain_text("success", timeout=LONG)
    expect(newest).to_contain_text(str(IMAGES + 1))
    newest.get_by_role("link").nth(1).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("outlines")
    skipped = page.locator("div", has=page.locator("dt", has_text="skipped")).last
    expect(skipped).to_contain_text(str(IMAGES))

    # What differs between the two commits is that picture.
    page.goto("/ui/p/default/repos/photos/commits?branch=master")
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("link", name=re.compile("Compare")).or_(
        page.get_by_role("button", name=re.compile("Compare"))
    ).first.click()
    expect(page).to_have_url(re.compile(r"/compare/"))
    expect(page.get_by_text("broken.png").first).to_be_visible()
