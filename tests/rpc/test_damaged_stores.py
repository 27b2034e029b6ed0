"""Damaged objects of a store, through a server that starts on it: each is named, and the rest stays readable."""

from __future__ import annotations

import random
import shutil

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from patience import eventually
from sdk_steps import paths_of, put, put_many, refusal

from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import files
from trunkline.storage import file_values

MASTER = pfs.Branch.from_uri("images@master")
_random = random.Random(3)
SMALL = {f"/many/{number:03}": _random.randbytes(200) for number in range(400)}
LONG = _random.randbytes(4_000_000)
OTHER = _random.randbytes(50_000)
VICTIM = "/many/200"


def at(path):
    return pfs.File.from_uri(f"images@master:{path}")


@pytest.fixture(scope="module")
def template(tmp_path_factory, serve_folder):
    """A folder store with packs alone, and where in them the chunks of its parts are."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch, serve_folder(folder) as served:
        patch.setattr(file_values, "LONGEST_INLINE", 36)  # long lists need files of 29 MiB otherwise
        client = served.client()
        client.pfs.create_repo(repo=MASTER.repo)
        put_many(client, MASTER, SMALL)
        put(client, MASTER, {"/long": LONG})
        put(client, MASTER, {"/other": OTHER})
        snapshot = files.snapshot(served.versions, CommitName(RepoName("default", "images"), branch="master"))
        trees, tree = snapshot.trees, snapshot.tree
        reader = trees.reader
        top = reader.node(trees.folder(tree, b"/many/").address)
        leaf = top.address(top.find(VICTIM[6:].encode() + b"\0default"))
        values = {path: snapshot.inspect(path).value for path in (VICTIM, "/long")}
        head, piece, *_ = file_values.nodes_of(served.versions.chunks, values["/long"])
        chunk = file_values.chunks_of(served.versions.chunks, values[VICTIM])[0][0]
        ids = {"content": chunk, "leaf": leaf, "head of a list": head, "piece of a list": piece}
        places = served.versions.chunks.places(list(ids.values()))
    return folder, {name: places[id] for name, id in ids.items()}


def damage(folder, place, how):
    """Change the pack of a chunk; return its name."""
    pack = folder / "objects" / place.pack
    body = pack.read_bytes()
    at = place.offset + place.stored // 2
    [*others] = sorted(path for path in pack.parents[1].glob("*/*") if path != pack)
    bodies = {
        "flipped": body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :],
        "truncated": body[: place.offset],
        "swapped": others[0].read_bytes(),
        "foreign": b"Dear aunt, " * 10_000,
    }
    pack.chmod(0o600)
    pack.write_bytes(bodies[how])
    return place.pack


@pytest.fixture
def damaged(template, tmp_path, request, serve_folder):
    """A server on a copy of the store in which one thing was damaged, and the pack's name."""
    source, places = template
    what, how = request.param
    folder = shutil.copytree(source, tmp_path / "data")
    pack = damage(folder, places[what], how)
    with serve_folder(folder) as served:
        yield served.client(), pack


def assert_data_loss(pack, call, *args, **kwargs):
    code, message = refusal(call, *args, **kwargs)
    assert code is grpc.StatusCode.DATA_LOSS
    assert pack in message


@pytest.mark.parametrize("damaged", [("content", "flipped")], indirect=True)
def test_a_damaged_file_is_named_and_its_neighbours_are_read(damaged):
    client, pack = damaged

    assert_data_loss(pack, client.pfs.get_file, file=at(VICTIM))
    assert client.pfs.pfs_file(at("/many/201")).read() == SMALL["/many/201"]
    assert paths_of(client.pfs.list_file(file=at("/many/"))) == list(SMALL)


@pytest.mark.parametrize(
    "damaged",
    [("leaf", "flipped"), ("leaf", "truncated"), ("leaf", "swapped"), ("leaf", "foreign")],
    indirect=True,
)
def test_a_damaged_node_is_named_and_other_folders_are_read(damaged):
    client, pack = damaged

    assert_data_loss(pack, client.pfs.get_file, file=at(VICTIM))
    assert_data_loss(pack, client.pfs.list_file, file=at("/many/"))
    assert paths_of(client.pfs.list_file(file=at("/"))) == ["/long", "/many/", "/other"]
    assert client.pfs.pfs_file(at("/other")).read() == OTHER
    assert client.pfs.pfs_file(at("/long")).read() == LONG


@pytest.mark.parametrize("damaged", [("leaf", "flipped")], indirect=True)
def test_a_job_whose_input_is_damaged_fails_with_the_name_and_others_run(damaged):
    client, pack = damaged
    states = {}

    def planned():
        jobs = {info.job.pipeline.name: info for info in client.pps.list_job(details=True)}
        states.update({name: (info.state, info.reason) for name, info in jobs.items()})
        failed = states.get("bad", (None, ""))[0] == pps.JobState.JOB_FAILURE
        return failed and jobs["good"].data_total == 1

    for name, glob in (("bad", "/many/*"), ("good", "/other")):
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(name=name),
            input=pps.Input(pfs=pps.PfsInput(repo="images", glob=glob)),
            transform=pps.Transform(cmd=["true"]),
        )
    eventually(planned, "both jobs to be planned")

    assert pack in states["bad"][1]


@pytest.mark.parametrize(
    "damaged", [("head of a list", "flipped"), ("piece of a list", "flipped")], indirect=True
)
def test_a_damaged_chunk_list_is_named_and_its_file_is_listed(damaged):
    client, pack = damaged

    assert_data_loss(pack, client.pfs.get_file, file=at("/long"))
    assert client.pfs.inspect_file(file=at("/long")).size_bytes == len(LONG)
    assert paths_of(client.pfs.list_file(file=at("/"))) == ["/long", "/many/", "/other"]
    assert client.pfs.pfs_file(at(VICTIM)).read() == SMALL[VICTIM]
