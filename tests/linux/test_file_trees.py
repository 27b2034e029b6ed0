"""Removing folders of any depth, size and permission."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trunkline.linux import file_trees


def make_deep(folder: str, depth: int) -> None:
    """Make folders deeper than any path may be long, with a file in each."""
    parent = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("a-folder-of-a-deep-tree", dir_fd=parent)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=parent))
        inner = os.open("a-folder-of-a-deep-tree", os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = inner
    os.close(parent)


def test_a_tree_that_is_deeper_than_the_stack_and_longer_than_a_path_is_removed(tmp_path):
    folder = tmp_path / "tree"
    folder.mkdir()
    make_deep(str(folder), 3_000)

    file_trees.remove_tree(str(folder))

    assert os.listdir(tmp_path) == []


def test_a_folder_is_emptied_and_stays(tmp_path):
    for name in ("a/b/c", "a/d", "e"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")

    file_trees.empty(str(tmp_path))

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("names", [("a/b", "c"), ("a/b/c/d/e/f/g", "a/b/h")], ids=["small", "deep"])
def test_a_folder_of_whatever_size_is_removed_as_if_it_were_small(tmp_path, names):
    (tmp_path / "kept").mkdir()
    for name in names:
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").touch()
        (tmp_path / "tree" / name / "link").symlink_to(tmp_path / "kept")

    file_trees.remove_small(str(tmp_path / "tree"))
    file_trees.remove_small(str(tmp_path / "absent"))

    assert os.listdir(tmp_path) == ["kept"]


def test_more_entries_than_are_listed_at_a_time_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(file_trees, "_LISTED", 7)
    for number in range(50):
        (tmp_path / "tree" / f"folder-{number}" / "inner").mkdir(parents=True)
        (tmp_path / "tree" / f"folder-{number}" / "inner" / "file").touch()
        (tmp_path / "tree" / f"file-{number}").touch()

    file_trees.remove_tree(str(tmp_path / "tree"))

    assert os.listdir(tmp_path) == []


def test_a_link_is_removed_and_what_it_leads_to_is_not(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")

    file_trees.remove_tree(str(tmp_path / "tree"))

    assert os.listdir(tmp_path / "kept") == ["file"]


def test_permissions_that_were_taken_away_do_not_stop_the_owner(tmp_path):
    tree = tmp_path / "tree"
    for name in ("none/inner/deep", "read-only/inner/deep"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").touch()
    script = "import sys; from trunkline.linux import file_trees; file_trees.remove_tree(sys.argv[1])"
    for name, mode in (("none/inner/deep", 0), ("none/inner", 0), ("none", 0), ("read-only/inner", 0o500)):
        os.chmod(tree / name, mode)
    os.chmod(tree, 0o500)

    if os.geteuid() == 0:  # as root without the capabilities that make permissions void
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        command = [*drop, sys.executable, "-c", script, str(tree)]
        subprocess.run(command, check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    else:
        file_trees.remove_tree(str(tree))

    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_is_named_and_the_rest_is_removed(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can make a mount that resists")
    tree = tmp_path / "tree"
    (tree / "mounted").mkdir(parents=True)
    (tree / "inner" / "deep").mkdir(parents=True)
    (tree / "inner" / "file").touch()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "x", tree / "mounted"], check=False)
    if mounted.returncode:
        pytest.skip("this machine allows no mounts")
    try:
        with pytest.raises(OSError, match="mounted"):
            file_trees.remove_tree(str(tree))

        assert os.listdir(tree) == ["mounted"]
    finally:
        subprocess.run(["umount", tree / "mounted"], check=True)


def test_removing_what_is_not_there_succeeds(tmp_path):
    file_trees.remove_tree(str(tmp_path / "nothing"))
