"""Streams of file changes: their order, their errors, and what is left when they break off."""

from __future__ import annotations

import queue
import random
import threading

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs
from patience import PATIENCE, eventually
from sdk_steps import adds, content, is_finished, paths_of, put, put_many, refusal

from trunkline.pfs import feed
from trunkline.rpc import modify_decoder
from trunkline.rpc.gen import pfs_pb2
from trunkline.storage.packing import INLINE_BYTES

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")
HEAD = pfs.Commit(repo=IMAGES, branch=MASTER)
ROOT = pfs.File.from_uri("images@master:/")
MODIFY = "/pfs_v2.API/ModifyFile"


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


class OpenStream:
    """A ModifyFile stream that a test feeds message by message."""

    def __init__(self, server):
        self._channel = grpc.insecure_channel(server.address)
        self._messages = queue.SimpleQueue()
        call = self._channel.stream_unary(MODIFY, bytes, lambda reply: reply)
        self.reply = call.future(iter(self._messages.get, None))

    def send(self, *messages):
        for message in messages:
            self._messages.put(bytes(message))

    def end(self):
        self._messages.put(None)
        return self.reply.result(PATIENCE)

    def refusal(self):
        error = self.reply.exception(PATIENCE)
        return error.code(), error.details()

    def vanish(self):
        self.reply.cancel()
        self._messages.put(None)
        self._channel.close()

    def close(self):
        self._messages.put(None)
        self._channel.close()


def noise(number):
    """Return the messages of a stream of files of 1 MiB that cannot be compressed."""
    source = random.Random(0)
    yield pfs.ModifyFileRequest(set_commit=HEAD)
    for n in range(number):
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{n}", raw=source.randbytes(1 << 20)))


@pytest.fixture
def stream(server, images):
    opened = OpenStream(server)
    yield opened
    opened.close()


# --- order and content -----------------------------------------------------------------------------------


def test_changes_take_effect_in_the_order_they_are_sent(images):
    def messages():
        yield pfs.ModifyFileRequest(set_commit=HEAD)
        for n in range(600):
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{n % 10}", raw=b"%d " % n))
            if n == 500:
                yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/3"))

    images.pfs.modify_file(messages())

    after = content(images, "images@master")
    assert after["/0"] == b"".join(b"%d " % n for n in range(0, 600, 10))
    assert after["/3"] == b"".join(b"%d " % n for n in range(503, 600, 10))


def test_pieces_of_files_may_come_by_turns_and_be_of_any_size(images):
    pieces = [bytes([n]) * size for n, size in enumerate((1, 9_000, 300_000, 0, 2_500_000, 17))]

    def messages():
        yield pfs.ModifyFileRequest(set_commit=HEAD)
        for piece in pieces:
            for path in ("/a", "/b"):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))

    images.pfs.modify_file(messages())

    assert content(images, "images@master") == {"/a": b"".join(pieces), "/b": b"".join(pieces)}


def test_an_added_file_without_content_is_empty(images):
    images.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=HEAD),
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a")),
            ]
        )
    )

    assert content(images, "images@master") == {"/a": b""}


def test_one_stream_writes_what_another_deleted_in_the_same_commit(images):
    put(images, MASTER, {"/a": b"old"})

    with images.pfs.commit(branch=MASTER) as commit:
        commit.delete_file(path="/a")
        images.pfs.modify_file(adds_to(commit, {"/a": b"new"}))

    assert content(images, "images@master") == {"/a": b"new"}


def adds_to(commit, files):
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=commit.repo, id=commit.id))
    for path, data in files.items():
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], "names no commit"),
        ([pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1"))], "must name its commit first"),
        ([pfs.ModifyFileRequest(set_commit=HEAD)] * 2, "only be the first message"),
        ([pfs.ModifyFileRequest(set_commit=HEAD), pfs.ModifyFileRequest()], "empty message"),
        (
            [pfs.ModifyFileRequest(set_commit=HEAD), pfs.ModifyFileRequest(delete_file=pfs.DeleteFile())],
            "names no file to delete",
        ),
    ],
)
def test_streams_that_make_no_sense_are_refused(images, messages, text):
    code, message = refusal(images.pfs.modify_file, iter(messages))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text in message
    assert not images.pfs.branch_exists(MASTER)


def test_bytes_that_are_no_message_are_refused(stream):
    stream.send(b"\xff\xff\xff")

    assert stream.refusal()[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_an_error_reaches_a_client_that_has_not_ended_its_stream(images, stream):
    """A client that is still sending files must learn at once that they are refused."""
    commit = put(images, MASTER, {"/a": b"1"})

    stream.send(pfs.ModifyFileRequest(set_commit=commit))

    code, message = stream.refusal()
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "has already finished" in message


def test_a_bad_path_stops_the_stream_and_nothing_of_it_is_kept(images, stream):
    stream.send(*adds(MASTER, {"/good": b"1", "/bad*": b"2"}))

    code, message = stream.refusal()

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith("path (/bad*) invalid")
    assert not images.pfs.branch_exists(MASTER)


def test_a_missing_repo_is_said_so(images):
    code, message = refusal(put_many, images, pfs.Branch.from_uri("none@master"), {"/a": b"1"})

    assert (code, message) == (grpc.StatusCode.NOT_FOUND, "repo default/none not found")


def test_a_commit_that_is_finished_meanwhile_takes_nothing_more(images, stream):
    commit = images.pfs.start_commit(branch=MASTER)
    stream.send(*adds_to(commit, {"/a": b"1"}))
    images.pfs.finish_commit(commit=commit)

    with pytest.raises(grpc.RpcError) as caught:
        stream.end()

    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "has already finished" in caught.value.details()
    assert content(images, f"images@{commit.id}") == {}


# --- several writers, and writers that go ----------------------------------------------------------------


def test_two_writers_on_one_branch_both_succeed(server, images):
    first, second = OpenStream(server), OpenStream(server)
    first.send(*adds(MASTER, {"/first": b"1", "/log": b"one "}))
    second.send(*adds(MASTER, {"/second": b"2", "/log": b"two "}))

    second.end()
    first.end()
    first.close()
    second.close()

    assert content(images, "images@master") == {"/first": b"1", "/second": b"2", "/log": b"two one "}
    assert len(list(images.pfs.list_commit(repo=IMAGES))) == 2


def test_many_writers_at_once_lose_nothing(server, images):
    def write(number):
        put_many(server.client(), MASTER, {f"/{number}-{n}": b"x" for n in range(20)})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)

    assert len(content(images, "images@master")) == 240
    assert all(is_finished(info) for info in images.pfs.list_commit(repo=IMAGES))


def test_a_client_that_vanishes_in_the_middle_leaves_nothing(server, images, stream):
    stream.send(*adds(MASTER, {f"/{n}": bytes(100_000) for n in range(40)}))

    stream.vanish()

    put_many(images, MASTER, {"/after": b"1"})
    assert content(images, "images@master") == {"/after": b"1"}
    assert len(list(images.pfs.list_commit(repo=IMAGES))) == 1


def test_a_client_that_vanishes_after_packs_were_stored_leaves_no_pack(server, images, stream):
    packs = server.folder / "objects"

    def stored():
        return [path for path in packs.rglob("*") if path.is_file() and path.stat().st_size > 60_000_000]

    stream.send(*noise(80))  # more than one pack of 64 MiB
    eventually(stored, "a pack is stored")

    stream.vanish()

    eventually(lambda: not stored(), "the pack is deleted")


def test_a_client_that_vanishes_leaves_an_open_commit_as_it_was(images, stream):
    commit = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=commit, path="/kept", data=b"1")
    stream.send(*adds_to(commit, {"/lost": b"2"}))

    stream.vanish()
    images.pfs.finish_commit(commit=commit)

    assert content(images, "images@master") == {"/kept": b"1"}


# --- a full disk -----------------------------------------------------------------------------------------


def test_a_full_disk_is_said_so_and_work_goes_on_when_there_is_room(server, images):
    put(images, MASTER, {"/before": b"1"})
    large = random.Random(1).randbytes(INLINE_BYTES + 1)
    server.objects.full = True

    whole = refusal(put_many, images, MASTER, {"/a": large})
    server.objects.full = False
    put_many(images, MASTER, {"/a": large})

    assert whole[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "full" in whole[1]
    assert content(images, "images@master") == {"/a": large, "/before": b"1"}


def test_a_commit_that_found_the_disk_full_can_be_finished_later(server, images):
    commit = images.pfs.start_commit(branch=MASTER)
    # So many that the tree of the finished commit is too large to stay in the chunk index.
    put_many(images, MASTER, {f"/{n}": b"%d" % n for n in range(2000)})
    server.objects.full = True

    code, _ = refusal(images.pfs.finish_commit, commit=commit)
    server.objects.full = False
    images.pfs.finish_commit(commit=commit)

    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(paths_of(images.pfs.list_file(file=ROOT))) == 2000


def test_a_disk_that_is_full_in_the_middle_of_a_long_stream_ends_it(server, images, stream):
    server.objects.full = True

    stream.send(*noise(150))

    assert stream.refusal()[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not images.pfs.branch_exists(MASTER)


# --- frames ----------------------------------------------------------------------------------------------

texts = st.text(max_size=20)
large = st.integers(modify_decoder.CUT_FROM, modify_decoder.CUT_FROM * 20).map(lambda size: bytes(size))
small = st.integers(0, modify_decoder.CUT_FROM).map(lambda size: bytes(size))
messages = st.one_of(
    st.builds(pfs_pb2.AddFile, path=texts, datum=texts, raw=st.builds(BytesValue, value=large | st.binary())),
    st.builds(pfs_pb2.AddFile, path=texts | st.just("p" * 130), raw=st.builds(BytesValue, value=small)),
    st.builds(pfs_pb2.AddFile, path=texts, url=st.builds(pfs_pb2.AddFile.UrlSource, url=texts)),
    st.builds(pfs_pb2.AddFile, path=texts | st.just("p" * 9000)),
).map(lambda add: pfs_pb2.ModifyFileRequest(add_file=add)) | st.one_of(
    st.builds(pfs_pb2.ModifyFileRequest, delete_file=st.builds(pfs_pb2.DeleteFile, path=st.just("p" * 9000))),
    st.just(pfs_pb2.ModifyFileRequest()),
)


@given(messages, st.binary(max_size=4))
def test_frames_cut_by_hand_say_what_the_message_says(message, unknown):
    """Also with what an unknown field may look like behind them, or half of one."""
    same_by_hand(message.SerializeToString() + unknown)


@pytest.mark.parametrize("field", [b"\x12", b"\x1a"], ids=["add_file", "delete_file"])
def test_a_length_that_never_ends_is_refused_at_once(field):
    """Read as a number of any size, it took minutes of a thread."""
    with pytest.raises(DecodeError):
        modify_decoder.decode(field + b"\xff" * (8 << 20))


def same_by_hand(frame):
    try:
        decoded = pfs_pb2.ModifyFileRequest.FromString(frame)
    except DecodeError:
        with pytest.raises(DecodeError):
            modify_decoder.decode(frame)
        return

    operation = modify_decoder.decode(frame)

    add = decoded.add_file
    if decoded.WhichOneof("body") == "add_file" and add.WhichOneof("source") != "url":
        path, datum, data = operation
        assert (path, datum, bytes(data)) == (add.path, add.datum, add.raw.value)
    elif decoded.WhichOneof("body") == "add_file":
        assert operation == add
    else:
        assert operation == (
            getattr(decoded, decoded.WhichOneof("body")) if decoded.WhichOneof("body") else None
        )


def test_large_content_is_a_view_of_its_frame():
    frame = pfs_pb2.ModifyFileRequest(
        add_file=pfs_pb2.AddFile(path="/a", datum="d", raw={"value": bytes(1 << 20)})
    ).SerializeToString()

    path, datum, data = modify_decoder.decode(frame)

    assert (path, datum) == ("/a", "d")
    assert isinstance(data, memoryview)
    assert data.obj is frame


def test_file_lists_of_a_large_commit_come_whole(images):
    put_many(images, MASTER, {f"/{n:05}": b"" for n in range(600)})

    assert paths_of(images.pfs.list_file(file=ROOT)) == [f"/{n:05}" for n in range(600)]


def test_an_error_that_meets_the_end_of_its_stream_is_told_like_any_other(images, monkeypatch):
    """The refusal must not collide with the headers that answer the end of the stream.

    Batches of one message make the two meet about once in ten streams.
    """
    monkeypatch.setattr(feed, "BATCH_FRAMES", 1)
    for _ in range(100):
        code, message = refusal(put_many, images, MASTER, {"/bad*": b"2"})

        assert code == grpc.StatusCode.INVALID_ARGUMENT, message
