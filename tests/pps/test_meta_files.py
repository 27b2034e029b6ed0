"""The files of meta commits follow from jobs, whoever builds them and from whatever they are built."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from pps_world import Failed, PpsWorld, Seen, pfs

from trunkline.meta import chunks, commits
from trunkline.model.names import META, JobName, PipelineName, RepoName, parse_revision
from trunkline.pfs import files
from trunkline.pps import jobs as job_ops
from trunkline.pps import meta_files
from trunkline.storage.scratch_chunks import ScratchChunks
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from trunkline.pfs.files import Snapshot


def shout(seen: Seen) -> dict[str, bytes]:
    """Write each input file in capitals, under its own name; fail for a file named bad."""
    if any(path.endswith("bad") for path in seen["texts"]):
        raise Failed("the file is bad")
    return {path: data.upper() for path, data in seen["texts"].items()}


def meta_snapshot(world: PpsWorld, name: str, at: str) -> Snapshot:
    repo = RepoName("default", name, META)
    return files.snapshot(world.versions, parse_revision(repo, at))


def from_scratch(world: PpsWorld, snapshot: Snapshot):
    """Build the tree of a commit's files again, from everything."""
    derived = world.versions.derived
    assert isinstance(derived, meta_files.MetaFiles)
    source = world.versions.read(derived._look, snapshot.row)
    assert isinstance(source, meta_files.MetaSource)
    sink = ScratchChunks(world.versions.chunks)
    return meta_files.build(world.versions, world.specs, sink, source)


def commit_row(world: PpsWorld, name: str, at: str):
    return world.versions.read(commits.find_by_id, meta_snapshot(world, name, at).row.id)


def test_a_meta_commit_holds_what_became_of_each_datum_with_its_files(world):
    world.repo("texts")
    world.put("texts", {"/a": b"first", "/folder/b": b"second", "/folder/c": b"third"})
    world.pipeline("shout", pfs("texts"))
    hand = world.staffed("shout", shout)
    job = hand.work_until_ended("shout")

    contents = world.files("shout", kind=META)

    [file_id, folder_id] = (
        next(listed.row.id.hex() for listed in world.datums(job) if listed.row.items[0].path == path)
        for path in ("/a", "/folder/")
    )
    texts = {path: data for path, data in contents.items() if path.startswith("/meta/")}
    assert {path: data for path, data in contents.items() if path not in texts} == {
        f"/pfs/{file_id}/texts/a": b"first",
        f"/pfs/{file_id}/out/a": b"FIRST",
        f"/pfs/{folder_id}/texts/folder/b": b"second",
        f"/pfs/{folder_id}/texts/folder/c": b"third",
        f"/pfs/{folder_id}/out/folder/b": b"SECOND",
        f"/pfs/{folder_id}/out/folder/c": b"THIRD",
    }
    assert set(texts) == {f"/meta/{file_id}/meta", f"/meta/{folder_id}/meta"}
    meta = json.loads(texts[f"/meta/{file_id}/meta"])
    assert meta["job"] == {
        "pipeline": {"project": {"name": "default"}, "name": "shout"}, "id": job.set_id,
    }  # fmt: skip
    [item] = meta["inputs"]
    assert item["name"] == "texts"
    assert item["fileInfo"]["file"]["path"] == "/a"
    assert item["fileInfo"]["file"]["commit"]["id"] == world.head("texts")
    assert item["fileInfo"]["sizeBytes"] == "5"


def test_reading_a_meta_commit_writes_nothing(world):
    world.repo("texts")
    world.put("texts", {"/a": b"first"})
    world.pipeline("shout", pfs("texts"))
    world.staffed("shout", shout).work_until_ended("shout")
    stored = world.versions.read(chunks.totals)

    world.files("shout", kind=META)

    assert world.versions.read(chunks.totals) == stored
    assert commit_row(world, "shout", "master").tree == EMPTY


def test_a_failed_job_leaves_its_reason_and_the_files_of_the_last_good_one(world):
    world.repo("texts")
    world.put("texts", {"/a": b"first"})
    world.pipeline("shout", pfs("texts"))
    hand = world.staffed("shout", shout)
    good = hand.work_until_ended("shout")
    before = world.files("shout", at=good.set_id, kind=META)
    world.put("texts", {"/bad": b"second"})
    job = hand.work_until_ended("shout")

    assert job.state == "FAILURE"
    assert commit_row(world, "shout", job.set_id).error == job.reason
    assert world.files("shout", at=job.set_id, kind=META) == before


@pytest.mark.parametrize("seed", range(3))
def test_the_files_are_the_same_from_scratch_from_another_job_and_stored(world, seed):
    chance = random.Random(seed)
    world.repo("texts")
    world.put("texts", {"/a": b"first"})
    world.pipeline("shout", pfs("texts"))
    hand = world.staffed("shout", shout)
    hand.work_until_ended("shout")
    names = [f"/{folder}{name}" for folder in ("", "x/", "x-y/") for name in "abc"]
    done: list[str] = []
    for step in range(6):
        added = {name: bytes([97 + step]) * chance.randint(0, 3) for name in chance.sample(names, 3)}
        existing = [path for path in world.files("texts") if path not in added]
        world.put("texts", added, chance.sample(existing, min(len(existing), 1)))
        if step == 3:
            world.pipeline("shout", pfs("texts"), update=True, reprocess=chance.random() < 0.5)
            hand = world.staffed("shout", shout)
        done.append(hand.work_until_ended("shout").set_id)
        if chance.random() < 0.5:
            snapshot = meta_snapshot(world, "shout", done[-1])
            assert snapshot.tree == from_scratch(world, snapshot)
    chance.shuffle(done)

    for set_id in done:
        snapshot = meta_snapshot(world, "shout", set_id)
        plain = from_scratch(world, snapshot)
        assert snapshot.tree == plain
        assert world.versions.derived.store(snapshot.row) == plain
        assert commit_row(world, "shout", set_id).tree == plain
        assert meta_snapshot(world, "shout", set_id).tree == plain


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
def test_a_pipeline_reads_the_meta_commits_of_another(world):
    world.repo("texts")
    world.put("texts", {"/a": b"first", "/b": b"second"})
    world.pipeline("shout", pfs("texts"))
    hand = world.staffed("shout", shout)
    hand.work_until_ended("shout")
    about = {"pfs": {"repo": "shout", "repo_type": "meta", "name": "about", "glob": "/meta/*"}}
    world.pipeline("states", about)
    reader = world.staffed(
        "states", lambda seen: {f"/{path.split('/')[2]}": data for path, data in seen["about"].items()}
    )
    reader.work_until_ended("states")
    first = world.files("states")
    world.put("texts", {"/c": b"third"})
    hand.work_until_ended("shout")
    reader.ran.clear()
    reader.work_until_ended("states")

    assert len(first) == 2
    assert len(world.files("states")) == 3
    assert len(reader.ran) == 1  # meta files of datums that were skipped are the same
    assert all(json.loads(data)["job"]["id"] for data in world.files("states").values())


def test_a_commit_whose_job_was_deleted_shows_the_files_of_the_last_good_one(world):
    world.repo("texts")
    world.put("texts", {"/a": b"first"})
    world.pipeline("shout", pfs("texts"))
    hand = world.staffed("shout", shout)
    hand.work_until_ended("shout")
    before = world.files("shout", kind=META)
    world.put("texts", {"/b": b"second"})
    job = hand.work_until_ended("shout")
    pipeline = PipelineName("default", "shout")
    world.versions.write(job_ops.delete, JobName(pipeline, job.set_id))

    assert world.files("shout", at=job.set_id, kind=META) == before


def test_the_content_of_reference_inputs_is_that_of_the_job_that_is_asked_about(world):
    for repo, file in (("texts", "/a"), ("rules", "/rule")):
        world.repo(repo)
        world.put(repo, {file: b"old"})
    input_spec = {"cross": [pfs("texts"), pfs("rules", "/", reference=True)]}
    world.pipeline("shout", input_spec)
    hand = world.staffed("shout", shout)
    hand.work_until_ended("shout")
    world.files("shout", kind=META)
    hand.ran.clear()
    world.put("rules", {"/rule": b"new"})
    hand.work_until_ended("shout")

    contents = world.files("shout", kind=META)

    assert hand.ran == []
    assert [data for path, data in contents.items() if path.endswith("/rules/rule")] == [b"new"]
