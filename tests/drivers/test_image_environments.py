"""What image names mean where there are no containers: definitions, and environments built with pip."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from package_index import make_source

from trunkline.drivers.fleets.images import ImageEnvironments, ImageState
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model import limits


@pytest.fixture
def images(tmp_path):
    images = ImageEnvironments(tmp_path / "images", [str(tmp_path)])
    yield images
    images.close()


def test_without_requirements_an_image_is_ready_at_once(images):
    image = images.create("files-only", "# nothing but comments\n\n", [("/a", b"1", 0)])

    assert image.state is ImageState.READY
    description = json.loads(Path(image.description).read_text())
    assert description["venv"] is None
    assert [(entry["path"], entry["mode"]) for entry in description["files"]] == [("/a", 0o644)]


def test_equal_definitions_share_an_environment_and_unequal_ones_do_not(images):
    first = images.create("one", "", [("/a", b"1", 0o644), ("/b", b"", 0o755)])
    same = images.create("two", "", [("/b", b"", 0o755), ("/a", b"1", 0o644)])
    others = [
        images.create("three", "", [("/a", b"1", 0o644), ("/b", b"", 0o644)]),
        images.create("four", "", [("/a", b"2", 0o644), ("/b", b"", 0o755)]),
        images.create("five", "#", [("/a", b"1", 0o644), ("/b", b"", 0o755)]),
        images.create("six", "", [("/a", b"1/b", 0o644)]),
    ]

    assert first.hash == same.hash
    assert len({first.hash, *(image.hash for image in others)}) == 5


def test_names_outlive_the_process_and_can_change_their_meaning(images, tmp_path):
    images.create("pachyderm/opencv", "", [("/a", b"1", 0o644)])
    new = images.create("pachyderm/opencv", "", [("/a", b"2", 0o644)])
    images.create("other:1.0", "", [])

    again = ImageEnvironments(tmp_path / "images")

    assert [image.name for image in again.list()] == ["other:1.0", "pachyderm/opencv"]
    assert again.resolve("pachyderm/opencv") == new
    again.delete("pachyderm/opencv")
    assert again.resolve("pachyderm/opencv") is None
    with pytest.raises(NotFound, match='image "pachyderm/opencv" does not exist'):
        again.delete("pachyderm/opencv")


def test_two_processes_that_build_the_same_image_agree(images, index, tmp_path):
    other = ImageEnvironments(tmp_path / "images")

    first = images.create("i", "hello\n", [])
    second = other.create("i", "hello\n", [])

    assert first.hash == second.hash
    assert images.wait("i", 60).state is ImageState.READY
    assert other.wait("i", 60).state is ImageState.READY
    images.close()
    other.close()
    home = Path(first.description).parent
    assert sorted(path.name for path in home.iterdir()) == [
        "build.log",
        "definition.json",
        "files",
        "requirements.txt",
        "venv",
    ]
    script = (home / "venv" / "bin" / "hello").read_text()
    assert f"{home}/venv/bin/python" in script
    assert "build-" not in script


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["relative"], 'image file "relative" must be an absolute path'),
        (["/a/../b"], 'image file "/a/../b" must be an absolute path without'),
        (["/"], 'image file "/" must be'),
        (["/proc/x"], "image file /proc/x lies below a reserved folder"),
        (["/pfs/in/x"], "reserved"),
        (["/a", "/a"], "image file /a is given twice"),
        (["/a", "/a/b"], "image file /a/b lies below the file /a"),
    ],
)
def test_image_files_in_impossible_places_are_refused(images, paths, message):
    with pytest.raises(InvalidArgument) as refused:
        images.create("i", "", [(path, b"", 0o644) for path in paths])

    assert message in refused.value.message
    assert images.list() == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            "-r /etc/shadow",
            "--find-links http://127.0.0.1:1/",
            "-e .",
            "--no-binary :all:",
            "http://x/evil-1.tar.gz",
        ),
        *(
            "evil @ http://x/evil-1.tar.gz",
            "./evil",
            "/evil",
            "../evil",
            "evil-1.0-py3-none-any.whl",
            "evil.tar.gz",
        ),
        *("hello --hash=sha256:00", "hello \\", "${HOME}", "git+ssh://x/y", "hello; x $HOME"),
    ],
)
def test_requirements_that_are_not_packages_with_versions_are_refused_with_their_line(images, line):
    with pytest.raises(InvalidArgument) as refused:
        images.create("i", f"# first\n{line}\n", [])

    assert "requirements line 2" in refused.value.message
    assert images.list() == []


def test_requirements_may_have_versions_extras_markers_and_comments(images, index):
    text = """
# packages
hello==1.0  # with a comment
hello[fast, small]>=1,<2 ; python_version >= "3.8"
hello ~= 1.0
hello (>=1.0)
"""

    images.create("i", text, [])

    assert images.wait("i", 60).state is ImageState.READY


def code_that_reports(place: Path) -> str:
    return f"""
import os
try:
    with open({str(place)!r}, "w") as file:
        file.write(str(os.getuid()) + "\\n" + "\\n".join(os.environ))
except OSError: pass
print("RAN", os.getuid(), os.path.exists({str(place.parent)!r}), "SECRET" in str(os.environ), flush=True)
raise SystemExit("stop here")
""".replace("\\\\", "\\")


def test_a_package_in_source_form_is_not_built(images, index, tmp_path):
    index.packages["evil-1.0.tar.gz"] = make_source(code_that_reports(tmp_path / "ran"))

    images.create("i", "evil\n", [])
    image = images.wait("i", 60)

    assert image.state is ImageState.FAILED
    assert "RAN" not in (Path(image.description).parent / "build.log").read_text()
    assert not (tmp_path / "ran").exists()


def test_where_they_are_allowed_source_packages_are_built_without_rights_and_secrets(
    index, tmp_path, monkeypatch
):
    if os.geteuid() != 0:
        pytest.skip("an ordinary user has nobody to become")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    images = ImageEnvironments(tmp_path / "images", [str(tmp_path)], sources=True)
    index.packages["evil-1.0.tar.gz"] = make_source(code_that_reports(tmp_path / "data" / "ran"))
    (tmp_path / "data").mkdir()

    images.create("i", "evil\n", [])
    image = images.wait("i", 60)
    images.close()

    log = (Path(image.description).parent / "build.log").read_text()
    assert image.state is ImageState.FAILED
    assert "RAN 65534 False False" in log


def test_a_build_leaves_nothing_but_the_environment_which_is_the_servers(images, index):
    images.create("i", "hello\n", [])
    image = images.wait("i", 60)
    images.close()

    home = Path(image.description).parent
    assert not list(home.glob("build-*"))
    assert {path.lstat().st_uid for path in (home / "venv").rglob("*")} == {os.geteuid()}


def test_an_image_file_with_a_path_that_no_machine_takes_is_refused(images):
    for path in ("/a" * limits.PATH, "/" + "n" * 300):
        with pytest.raises(InvalidArgument):
            images.create("i", "", [(path, b"", 0o644)])
