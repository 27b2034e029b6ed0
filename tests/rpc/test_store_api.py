"""Files by their chunks: the same commits as by their bytes, and nothing is believed that can be checked."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs
from sdk_steps import content, put

from trunkline import errors
from trunkline.cli.transfer import chunked_upload, parallel_chunker, upload_plan, uploads
from trunkline.client.channel import Channel
from trunkline.client.stubs import Client
from trunkline.formats.chunking import MAX_BYTES, MIN_BYTES, REF, chunk_name
from trunkline.meta import chunks as chunk_rows
from trunkline.pfs import files
from trunkline.rpc import convert
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.gen import store_pb2 as pb

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


@pytest.fixture
def folder(tmp_path):
    """Where the local files are."""
    source = tmp_path / "source"
    source.mkdir()
    return source


@pytest.fixture
def channel(server):
    with Channel(server.address) as opened:
        yield opened


def branch(name="master"):
    repo = pfs_pb2.Repo(name="images", type="user", project=pfs_pb2.Project(name="default"))
    return pfs_pb2.Commit(repo=repo, branch=pfs_pb2.Branch(repo=repo, name=name))


def put_files(channel, *requests):
    """Send a stream into images@master."""
    return Client(channel).store.PutFiles([pb.PutFilesRequest(commit=branch()), *requests])


def file(path, *pieces, **more):
    """Name a file that consists of the pieces."""
    return pb.File(path=path, chunks=b"".join(REF.pack(chunk_name(p), len(p)) for p in pieces), **more)


def tree_of(server, name):
    return files.snapshot(server.versions, convert.commit_name(branch(name))).tree


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


# --- the same commits ------------------------------------------------------------------------------------

SIZES = st.sampled_from([0, 1, 1000, MIN_BYTES, MIN_BYTES + 1, 3 << 20, 17 << 20])
EDITS = st.tuples(st.sampled_from(["whole", "insert", "cut", "tail"]), st.integers(0, 2**20))


def edited(data, edit):
    kind, number = edit
    at = number * len(data) >> 20
    if kind == "insert":
        return data[:at] + b"inserted" + data[at:]
    if kind == "cut":
        return data[:at]
    return data + b"tail" if kind == "tail" else data


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(SIZES, EDITS), min_size=1))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_commit_is_the_same_however_its_files_are_sent(server, images, channel, tmp_path_factory, planned):
    """Tree ids agree before and after an edit: the client cuts what the store would have cut."""
    folder = tmp_path_factory.mktemp("folder")
    whole, chunked = f"whole-{folder.name}", f"chunked-{folder.name}"
    contents = {name: noise(size, seed) for seed, (name, (size, _)) in enumerate(planned.items())}

    for round_ in range(2):
        for name, data in contents.items():
            (folder / name).write_bytes(edited(data, planned[name][1]) if round_ else data)
        plan = upload_plan.plan([str(folder)], "/in", recursive=True, skipped=print)
        channel.client_stream(
            "/pfs_v2.API/ModifyFile",
            [
                pfs_pb2.ModifyFileRequest(set_commit=branch(whole)).SerializeToString(),
                *uploads.messages(plan, append=False, count=lambda _: None),
            ],
        )
        chunked_upload.put(channel, branch(chunked), plan, lambda _: None)

        assert tree_of(server, whole) == tree_of(server, chunked)


def test_each_way_of_sending_says_which_commit_has_the_files(server, images, channel):
    requests = [
        pfs_pb2.ModifyFileRequest(set_commit=branch()),
        pfs_pb2.ModifyFileRequest(add_file=pfs_pb2.AddFile(path="/a")),
    ]

    channel.client_stream("/pfs_v2.API/ModifyFile", [request.SerializeToString() for request in requests])
    assert channel.trailing["trunkline-commit"] == images.pfs.inspect_branch(branch=MASTER).head.id

    put_files(channel, pb.PutFilesRequest(files=[file("/b")]))
    assert channel.trailing["trunkline-commit"] == images.pfs.inspect_branch(branch=MASTER).head.id


def test_a_file_may_name_what_is_stored_and_what_the_stream_brings(images, channel):
    old, new = noise(MIN_BYTES), noise(77, seed=1)
    put(images, MASTER, {"/old": old})

    put_files(channel, pb.PutFilesRequest(chunks=[new], files=[file("/joined", old, new), file("/empty")]))

    assert content(images, "images@master") == {"/old": old, "/joined": old + new, "/empty": b""}


def test_a_file_is_replaced_or_appended_to(images, channel):
    put(images, MASTER, {"/a": b"old", "/b": b"old"})

    put_files(
        channel,
        pb.PutFilesRequest(chunks=[b"new"]),
        pb.PutFilesRequest(files=[file("/a", b"new"), file("/b", b"new", append=True)]),
    )

    assert content(images, "images@master") == {"/a": b"new", "/b": b"oldnew"}


def test_bytes_of_files_are_counted_as_written_even_when_none_is_sent(server, images, channel):
    put(images, MASTER, {"/a": b"x" * 1000})
    before = server.versions.read(chunk_rows.totals)[-1]

    put_files(channel, pb.PutFilesRequest(files=[file("/b", b"x" * 1000)]))

    assert server.versions.read(chunk_rows.totals)[-1] == before + 1000


def test_missing_names_the_positions_of_what_is_not_stored(images, channel):
    put(images, MASTER, {"/a": b"stored"})
    ids = [chunk_name(data) for data in (b"new", b"stored", b"newer")]

    answer = Client(channel).store.Missing(pb.MissingRequest(ids=ids))

    assert list(answer.positions) == [0, 2]


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "kind", "sentence"),
    [
        (
            pb.PutFilesRequest(files=[file("/a", b"nowhere")]),
            errors.FailedPrecondition,
            "neither in the store nor earlier",
        ),
        (
            pb.PutFilesRequest(
                chunks=[b"four"], files=[pb.File(path="/a", chunks=REF.pack(chunk_name(b"four"), 5))]
            ),
            errors.FailedPrecondition,
            "with 5 bytes, but it has 4",
        ),
        (
            pb.PutFilesRequest(files=[pb.File(path="/a", chunks=b"odd")]),
            errors.InvalidArgument,
            "has 3 bytes",
        ),
        (
            pb.PutFilesRequest(chunks=[b"a", b"b"], files=[file("/a", b"a", b"b")]),
            errors.InvalidArgument,
            "before its last",
        ),
        (pb.PutFilesRequest(chunks=[bytes(MAX_BYTES + 1)]), errors.InvalidArgument, "cannot be stored"),
        (pb.PutFilesRequest(chunks=[b""]), errors.InvalidArgument, "cannot be stored"),
        (pb.PutFilesRequest(files=[file("/a/../b")]), errors.InvalidArgument, "path"),
        (pb.PutFilesRequest(commit=branch()), errors.InvalidArgument, "names its commit twice"),
    ],
    ids=[
        "unknown chunk",
        "wrong length",
        "odd list",
        "short chunk",
        "long chunk",
        "no bytes",
        "path",
        "commit",
    ],
)
def test_a_wrong_stream_is_refused_and_nothing_is_committed(images, channel, request_, kind, sentence):
    put(images, MASTER, {"/kept": b"kept"})

    with pytest.raises(kind, match=sentence):
        put_files(channel, request_)

    assert content(images, "images@master") == {"/kept": b"kept"}


def test_a_stream_must_name_its_commit_first(images, channel):
    with pytest.raises(errors.InvalidArgument, match="its first message must name it"):
        Client(channel).store.PutFiles([pb.PutFilesRequest(chunks=[b"x"])])


def test_bytes_that_are_no_message_are_refused(images, channel):
    with pytest.raises(errors.InvalidArgument):
        channel.client_stream("/trunkline.store.v1.Store/PutFiles", [b"\xff\xff\xff"])


def test_an_id_of_another_length_is_refused(images, channel):
    with pytest.raises(errors.InvalidArgument, match="32 bytes each"):
        Client(channel).store.Missing(pb.MissingRequest(ids=[b"short"]))


# --- the command line's side -----------------------------------------------------------------------------


class CountingChannel(Channel):
    """Counts the bytes of the messages of its streams."""

    sent = 0

    def client_stream(self, path, requests, timeout=None):
        def counted():
            for request in requests:
                self.sent += len(request)
                yield request

        return super().client_stream(path, counted(), timeout)


def test_a_second_put_of_a_folder_sends_no_chunk(server, images, folder):
    for number in range(40):
        (folder / f"{number:02}").write_bytes(noise(100_000 * number, seed=number))
    plan = upload_plan.plan([str(folder)], "/in", recursive=True, skipped=print)
    total = sum(upload.size for upload in plan)
    counts = []

    with CountingChannel(server.address) as first, CountingChannel(server.address) as second:
        chunked_upload.put(first, branch(), plan, lambda _: None)
        chunked_upload.put(second, branch(), plan, counts.append)

    assert first.sent > total
    assert second.sent < total / 1000
    assert sum(counts) == total


def test_a_part_that_was_inserted_is_all_that_is_sent(server, images, folder):
    data = noise(40 << 20)
    (folder / "a").write_bytes(data)
    plan = upload_plan.plan([str(folder / "a")], "/a", recursive=False, skipped=print)
    with CountingChannel(server.address) as first, CountingChannel(server.address) as second:
        chunked_upload.put(first, branch(), plan, lambda _: None)
        (folder / "a").write_bytes(data[: 20 << 20] + b"inserted" + data[20 << 20 :])
        plan = upload_plan.plan([str(folder / "a")], "/a", recursive=False, skipped=print)

        chunked_upload.put(second, branch(), plan, lambda _: None)

    assert second.sent < 3 * MAX_BYTES
    assert content(images, "images@master")["/a"] == (folder / "a").read_bytes()


def test_a_file_that_vanishes_before_its_turn_ends_the_put(server, images, channel, folder):
    for name in "ab":
        (folder / name).write_bytes(noise(2 << 20))
    plan = upload_plan.plan([str(folder)], "/in", recursive=True, skipped=print)
    (folder / "b").unlink()

    with pytest.raises(errors.NotFound, match="disappeared before it was read; nothing was put"):
        chunked_upload.put(channel, branch(), plan, lambda _: None)

    with pytest.raises(errors.NotFound):
        tree_of(server, "master")


@pytest.mark.parametrize(
    "change", [lambda f: f.write_bytes(b"x"), lambda f: f.write_bytes(noise(9 << 20, 1))]
)
def test_a_file_that_changes_while_it_is_sent_ends_the_put(server, images, channel, folder, change):
    """Cut short or overwritten in place, after it was cut: noticed at the latest when it is all sent."""
    source = folder / "a"
    source.write_bytes(noise(9 << 20))
    plan = upload_plan.plan([str(source)], "/a", recursive=False, skipped=print)
    changed = []

    def change_once(_):
        if not changed:
            changed.append(change(source))

    with pytest.raises(errors.FailedPrecondition, match="changed while it was read"):
        chunked_upload.put(channel, branch(), plan, change_once)

    with pytest.raises(errors.NotFound):
        tree_of(server, "master")


def test_a_long_file_waits_for_who_takes_it(folder, monkeypatch):
    """With hardly any room ahead everything still comes, in order."""
    monkeypatch.setattr(parallel_chunker, "AHEAD_BYTES", 1)
    monkeypatch.setattr(parallel_chunker, "PART_BYTES", 1 << 20)
    for name in "abc":
        (folder / name).write_bytes(noise(12 << 20))
    plan = upload_plan.plan([str(folder)], "/in", recursive=True, skipped=print)

    with parallel_chunker.ParallelChunker(plan) as chunker:
        parts = list(chunker.parts())

    assert [part.upload.path for part in parts if part.last] == ["/in/a", "/in/b", "/in/c"]
    assert sum(part.size for part in parts) == 36 << 20


def test_leaving_early_ends_the_threads(folder, monkeypatch):
    monkeypatch.setattr(parallel_chunker, "AHEAD_BYTES", 1)
    for name in "abc":
        (folder / name).write_bytes(noise(3 << 20))
    plan = upload_plan.plan([str(folder)], "/in", recursive=True, skipped=print)

    with parallel_chunker.ParallelChunker(plan) as chunker:
        next(chunker.parts())

    assert not any(thread.is_alive() for thread in chunker._threads)
