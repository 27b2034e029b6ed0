"""Files through the published SDK: written, read, listed, compared."""

from __future__ import annotations

import io
import random
import tarfile

import grpc
import pytest
import sqlalchemy as sa
from blake3 import blake3
from msgspec.structs import replace
from pachyderm_sdk.api import pfs
from sdk_steps import content, paths_of, put, put_many, refusal

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")
#: More than a chunk, not compressible.
LARGE = random.Random(1).randbytes(5_000_000)


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


def at(path, revision="master"):
    return pfs.File.from_uri(f"images@{revision}:{path}")


def read(client, path, revision="master"):
    return client.pfs.pfs_file(at(path, revision)).read()


# --- writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", LARGE])
def test_a_file_comes_back_as_it_was_put(images, data):
    put(images, MASTER, {"/dir/file": data})

    assert read(images, "/dir/file") == data
    info = images.pfs.inspect_file(file=at("/dir/file"))
    assert (info.size_bytes, info.file_type) == (len(data), pfs.FileType.FILE)


def test_the_hash_of_a_small_file_is_its_blake3(images):
    put(images, MASTER, {"/a": b"hello"})

    assert images.pfs.inspect_file(file=at("/a")).hash == blake3(b"hello").digest()


def test_putting_again_overwrites_and_append_appends(images):
    with images.pfs.commit(branch=MASTER) as commit:
        commit.put_file_from_bytes("/a", b"first")
        commit.put_file_from_bytes("/a", b"second")
        commit.put_file_from_bytes("/b", b"first ")
        commit.put_file_from_bytes("/b", b"second", append=True)
    with images.pfs.commit(branch=MASTER) as commit:
        commit.put_file_from_bytes("/b", b" third", append=True)

    assert content(images, "images@master") == {"/a": b"second", "/b": b"first second third"}


def test_a_write_to_a_branch_without_open_commit_is_a_commit_of_its_own(images):
    head = pfs.Commit(branch=MASTER, repo=IMAGES)

    images.pfs.put_file_from_bytes(commit=head, path="/a", data=b"1")
    images.pfs.put_file_from_bytes(commit=head, path="/b", data=b"2")

    assert content(images, "images@master") == {"/a": b"1", "/b": b"2"}
    assert content(images, "images@master^") == {"/a": b"1"}
    assert len(list(images.pfs.list_commit(repo=IMAGES))) == 2


def test_a_write_to_the_head_goes_into_the_open_commit(images):
    commit = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=pfs.Commit(branch=MASTER, repo=IMAGES), path="/a", data=b"1")

    images.pfs.finish_commit(commit=commit)

    assert content(images, f"images@{commit.id}") == {"/a": b"1"}


def test_open_commits_can_be_read(images):
    put(images, MASTER, {"/old": b"1"})
    commit = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=commit, path="/new", data=b"2")

    assert content(images, "images@master") == {"/new": b"2", "/old": b"1"}


def test_files_and_whole_directories_are_deleted(images):
    put(images, MASTER, {"/dir/a": b"1", "/dir/sub/b": b"2", "/dirt": b"3", "/c": b"4"})

    put(images, MASTER, {}, delete=["/dir/", "/c", "/not-there"])
    remaining = content(images, "images@master")
    put(images, MASTER, {}, delete=["/"])

    assert remaining == {"/dirt": b"3"}
    assert content(images, "images@master") == {}


def test_files_and_directories_are_copied_without_moving_bytes(images):
    put(images, MASTER, {"/a": LARGE, "/dir/x": b"1", "/dir/sub/y": b"2", "/log": b"old "})

    with images.pfs.commit(branch=MASTER) as commit:
        commit.copy_file(src=at("/a"), dst="/copy")
        commit.copy_file(src=at("/dir"), dst="/there")
        commit.copy_file(src=at("/dir/x"), dst="/log", append=True)

    after = content(images, "images@master")
    assert after["/copy"] == LARGE
    assert (after["/there/x"], after["/there/sub/y"], after["/log"]) == (b"1", b"2", b"old 1")


def test_a_copy_of_what_is_not_there_is_refused(images):
    put(images, MASTER, {"/a": b"1"})

    with images.pfs.commit(branch=MASTER) as commit:
        code, message = refusal(commit.copy_file, src=at("/b"), dst="/c")

    assert code == grpc.StatusCode.NOT_FOUND
    assert message.startswith("file /b not found in repo default/images at commit")


@pytest.mark.parametrize("path", ["/a/../b", "/a*", "/[a]", "/\x07", "", "/", "/" + "a" * 256])
def test_bad_paths_are_refused_and_leave_nothing(images, path):
    code, message = refusal(
        images.pfs.put_file_from_bytes, commit=pfs.Commit(branch=MASTER, repo=IMAGES), path=path, data=b"1"
    )

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith("path (")
    assert not images.pfs.branch_exists(MASTER)


def test_real_file_names_are_welcome(images):
    names = ["/übung (1) + @home!.txt", "/日本語/写真.jpg", "/" + "ä" * 120, "/a b", "/" + "long/" * 60 + "x"]

    put(images, MASTER, {name: name.encode() for name in names})

    assert content(images, "images@master") == {name: name.encode() for name in names}


def test_a_file_and_a_directory_of_one_name_make_the_commit_bad(images):
    put(images, MASTER, {"/good": b"1"})

    commit = put(images, MASTER, {"/a": b"1", "/a/b": b"2"})

    assert images.pfs.inspect_commit(commit=commit).error == "file / directory path collision (/a)"
    assert content(images, "images@master") == {"/good": b"1"}


# --- reading ---------------------------------------------------------------------------------------------


@pytest.fixture
def filled(images):
    put(
        images,
        MASTER,
        {"/a.txt": b"1", "/dir/b.txt": b"22", "/dir/c.png": b"333", "/dir/sub/d.txt": b"4444", "/e-f": b""},
    )
    return images


def test_a_file_is_read_from_an_offset(images):
    put(images, MASTER, {"/a": LARGE})

    def tail(offset):
        return b"".join(frame.value for frame in images.pfs.get_file(file=at("/a"), offset=offset))

    assert tail(3_000_001) == LARGE[3_000_001:]
    assert tail(len(LARGE) + 5) == b""
    assert refusal(lambda: tail(-1))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_no_frame_of_content_is_larger_than_two_mebibytes(images):
    put(images, MASTER, {"/a": LARGE, "/z": bytes(20_000_000)})

    frames = [frame.value for frame in images.pfs.get_file(file=at("/a"))]
    archive = [frame.value for frame in images.pfs.get_file_tar(file=at("/"))]

    assert max(map(len, frames)) <= 2 << 20
    assert max(map(len, archive)) <= 4 << 20


@pytest.mark.parametrize("path", ["/a.*", "/dir/{c,x}.png", "/dir/sub/*"])
def test_a_glob_that_means_one_file_reads_it(filled, path):
    assert read(filled, path) in (b"1", b"333", b"4444")


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/none", grpc.StatusCode.NOT_FOUND, "file /none not found in repo default/images at commit"),
        ("/*.none", grpc.StatusCode.NOT_FOUND, "not found"),
        ("/dir", grpc.StatusCode.INVALID_ARGUMENT, "GetFileTAR"),
        ("/dir/*.*", grpc.StatusCode.INVALID_ARGUMENT, "GetFileTAR"),
        ("/[", grpc.StatusCode.INVALID_ARGUMENT, "never closed"),
    ],
)
def test_what_is_not_one_file_is_refused(filled, path, code, text):
    status, message = refusal(filled.pfs.get_file, file=at(path))

    assert status == code
    assert text in message


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", ["/a.txt", "/dir/", "/dir/b.txt", "/dir/c.png", "/dir/sub/", "/dir/sub/d.txt", "/e-f"]),
        ("/dir", ["/dir/", "/dir/b.txt", "/dir/c.png", "/dir/sub/", "/dir/sub/d.txt"]),
        ("/a.txt", ["/a.txt"]),
        ("/dir/*", ["/dir/b.txt", "/dir/c.png", "/dir/sub/", "/dir/sub/d.txt"]),
        ("/**.txt", ["/a.txt", "/dir/b.txt", "/dir/sub/d.txt"]),
        ("/**", ["/a.txt", "/dir/", "/dir/b.txt", "/dir/c.png", "/dir/sub/", "/dir/sub/d.txt", "/e-f"]),
    ],
)
def test_an_archive_holds_what_matches_and_all_below_it_once(filled, path, names):
    raw = b"".join(frame.value for frame in filled.pfs.get_file_tar(file=at(path)))

    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = [member.name + "/" * member.isdir() for member in archive]
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}

    assert members == names
    assert files == {path: data for path, data in content(filled, "images@master").items() if path in names}


def test_the_sdk_unpacks_an_archive(filled, tmp_path):
    with filled.pfs.pfs_tar_file(file=at("/")) as archive:
        archive.extractall(tmp_path / "out")

    assert (tmp_path / "out/dir/sub/d.txt").read_bytes() == b"4444"
    assert (tmp_path / "out/e-f").read_bytes() == b""


def test_an_archive_can_be_limited_to_a_range_of_paths(filled):
    bounds = pfs.PathRange(lower="/dir/c", upper="/e")

    raw = b"".join(f.value for f in filled.pfs.get_file_tar(file=at("/"), path_range=bounds))

    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        assert archive.getnames() == ["/dir/c.png", "/dir/sub", "/dir/sub/d.txt"]


def test_an_archive_of_nothing_is_refused(filled):
    code, message = refusal(filled.pfs.get_file_tar, file=at("/none*"))

    assert code == grpc.StatusCode.NOT_FOUND
    assert message.startswith("file /none* not found")


def test_directories_tell_the_bytes_below_them_and_depend_on_names_and_contents(filled):
    before = filled.pfs.inspect_file(file=at("/dir"))

    put(filled, MASTER, {"/dir/b.txt": b"23"})
    after = filled.pfs.inspect_file(file=at("/dir/"))

    assert (before.file.path, before.file_type, before.size_bytes) == ("/dir/", pfs.FileType.DIR, 9)
    assert after.size_bytes == 9
    assert after.hash != before.hash
    assert filled.pfs.inspect_file(file=at("/dir/sub", "master^")).hash == (
        filled.pfs.inspect_file(file=at("/dir/sub")).hash
    )


def test_file_infos_tell_when_the_commit_was_finished(filled):
    commit = filled.pfs.inspect_commit(commit=pfs.Commit.from_uri("images@master"))

    infos = [filled.pfs.inspect_file(file=at("/a.txt")), *filled.pfs.list_file(file=at("/dir"))]

    assert {info.committed for info in infos} == {commit.finished}
    assert {info.file.commit.id for info in infos} == {commit.commit.id}


def test_an_empty_commit_has_no_root_but_lists_as_empty(images):
    put(images, MASTER, {})

    assert refusal(images.pfs.inspect_file, file=at("/"))[0] == grpc.StatusCode.NOT_FOUND
    assert list(images.pfs.list_file(file=at("/"))) == []
    assert list(images.pfs.walk_file(file=at("/"))) == []
    assert list(images.pfs.glob_file(commit=at("/").commit, pattern="/**")) == []


def test_lists_show_a_directory_only_and_files_themselves(filled):
    assert paths_of(filled.pfs.list_file(file=at("/"))) == ["/a.txt", "/dir/", "/e-f"]
    assert paths_of(filled.pfs.list_file(file=at("/dir/"))) == ["/dir/b.txt", "/dir/c.png", "/dir/sub/"]
    assert paths_of(filled.pfs.list_file(file=at("/a.txt"))) == ["/a.txt"]
    assert paths_of(filled.pfs.list_file(file=at("/none"))) == []


def test_walks_show_everything_below(filled):
    assert paths_of(filled.pfs.walk_file(file=at("/dir"))) == [
        "/dir/",
        "/dir/b.txt",
        "/dir/c.png",
        "/dir/sub/",
        "/dir/sub/d.txt",
    ]
    assert refusal(filled.pfs.walk_file, file=at("/none"))[0] == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("verb", ["list_file", "walk_file"])
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_put_together_give_the_whole(filled, verb, reverse):
    call = getattr(filled.pfs, verb)
    whole = paths_of(call(file=at("/")))
    pages, marker = [], None
    while page := paths_of(call(file=at("/"), number=2, reverse=reverse, pagination_marker=marker)):
        pages += page
        marker = at(page[-1])

    assert pages == (whole[::-1] if reverse else whole)


@pytest.mark.parametrize("fields", [{"reverse": True}, {"number": -1}, {"number": 100_001}])
def test_pages_out_of_bounds_are_refused(filled, fields):
    for call in (filled.pfs.list_file, filled.pfs.walk_file):
        assert refusal(call, file=at("/"), **fields)[0] == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("/*", ["/a.txt", "/dir/", "/e-f"]),
        ("/", ["/"]),
        ("*.txt", ["/a.txt"]),
        ("/**.txt", ["/a.txt", "/dir/b.txt", "/dir/sub/d.txt"]),
        ("/dir/*.png", ["/dir/c.png"]),
        ("/none/*", []),
    ],
)
def test_globs_show_what_matches(filled, pattern, paths):
    assert paths_of(filled.pfs.glob_file(commit=at("/").commit, pattern=pattern)) == paths


@pytest.mark.parametrize("pattern", ["/[", "/{a", "/(*", "/" + "?" * 2000])
def test_bad_globs_are_refused_with_what_is_wrong(filled, pattern):
    code, message = refusal(filled.pfs.glob_file, commit=at("/").commit, pattern=pattern)

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "glob" in message


def test_globs_can_be_limited_to_a_range_of_paths(filled):
    bounds = pfs.PathRange(lower="/b", upper="/e")

    assert paths_of(filled.pfs.glob_file(commit=at("/").commit, pattern="/*", path_range=bounds)) == ["/dir/"]


def changes(stream):
    return [(pair.new_file.file.path or None, pair.old_file.file.path or None) for pair in stream]


def test_a_diff_shows_what_changed_since_the_parent(filled):
    put(filled, MASTER, {"/dir/b.txt": b"changed", "/new": b"1"}, delete=["/a.txt"])

    assert changes(filled.pfs.diff_file(new_file=at("/"))) == [
        ("/", "/"),
        (None, "/a.txt"),
        ("/dir/", "/dir/"),
        ("/dir/b.txt", "/dir/b.txt"),
        ("/new", None),
    ]
    assert changes(filled.pfs.diff_file(new_file=at("/dir"))) == [
        ("/dir/", "/dir/"),
        ("/dir/b.txt", "/dir/b.txt"),
    ]


def test_a_diff_compares_any_two_commits(filled):
    put(filled, MASTER, {"/x": b"1"})
    put(filled, MASTER, {}, delete=["/x"])

    assert changes(filled.pfs.diff_file(new_file=at("/"), old_file=at("/", "master^2"))) == []
    assert changes(filled.pfs.diff_file(new_file=at("/", "master^2"), old_file=at("/", "master^"))) == [
        ("/", "/"),
        (None, "/x"),
    ]


def test_the_first_commit_differs_from_nothing(filled):
    assert (None, None) not in changes(filled.pfs.diff_file(new_file=at("/dir/sub")))
    assert changes(filled.pfs.diff_file(new_file=at("/dir/sub"))) == [
        ("/dir/sub/", None),
        ("/dir/sub/d.txt", None),
    ]


def test_a_reader_that_leaves_early_disturbs_nobody(images):
    put_many(images, MASTER, {f"/{n:04}": b"x" for n in range(600)} | {"/large": LARGE})

    stream = images.pfs.list_file(file=at("/"))
    first = next(stream)
    del stream
    frames = images.pfs.get_file(file=at("/large"))
    next(frames)
    del frames

    assert first.file.path == "/0000"
    assert read(images, "/large") == LARGE


def test_a_lost_pack_is_data_loss_and_is_repaired_by_putting_the_same_bytes_anywhere(server, images):
    put(images, MASTER, {"/a": LARGE})
    [pack] = [path for path in (server.folder / "objects" / "packs").rglob("*") if path.is_file()]
    pack.unlink()

    code, sentence = refusal(images.pfs.get_file, file=at("/a"))
    images.pfs.create_repo(repo=pfs.Repo.from_uri("copy"))
    put(images, pfs.Branch.from_uri("copy@master"), {"/b": LARGE})

    assert code is grpc.StatusCode.DATA_LOSS
    assert pack.name in sentence
    assert read(images, "/a") == LARGE


def test_bytes_that_are_put_again_after_their_pack_was_damaged_can_be_read(server, images):
    put(images, MASTER, {"/a": LARGE})
    [pack] = [path for path in (server.folder / "objects" / "packs").rglob("*") if path.is_file()]
    body = bytearray(pack.read_bytes())
    body[1000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(body)
    code, _ = refusal(images.pfs.get_file, file=at("/a"))

    put(images, MASTER, {"/again": LARGE})

    assert code is grpc.StatusCode.DATA_LOSS
    assert read(images, "/again") == LARGE
    assert read(images, "/a") == LARGE


def test_reading_an_open_commit_writes_nothing(server, images):
    from trunkline.meta import chunks

    put_many(images, MASTER, {f"/old{n}": b"old" for n in range(10)})
    commit = images.pfs.start_commit(branch=MASTER)
    put_many(images, MASTER, {"/old1": b" and new", "/new": b"new"})
    put_many(images, MASTER, {"/new": b"er"})
    totals = server.versions.read(chunks.totals)

    assert read(images, "/old1") == b"old and new"
    assert read(images, "/new") == b"newer"
    assert paths_of(images.pfs.list_file(file=at("/"))) == ["/new", *(f"/old{n}" for n in range(10))]
    assert server.versions.read(chunks.totals) == totals
    images.pfs.finish_commit(commit=commit)
    assert read(images, "/new") == b"newer"


def test_a_file_that_only_an_open_commit_has_can_be_copied_to_another(images):
    put(images, MASTER, {"/joined": LARGE})
    commit = images.pfs.start_commit(branch=MASTER)
    put_many(images, MASTER, {"/joined": b"end", "/folder/other": b"x"})
    images.pfs.create_repo(repo=pfs.Repo.from_uri("copy"))
    source = pfs.File(commit=pfs.Commit(repo=IMAGES, id=commit.id), path="/")

    with images.pfs.commit(branch=pfs.Branch.from_uri("copy@master")) as copy:
        copy.copy_file(src=source, dst="/taken")

    assert images.pfs.pfs_file(pfs.File.from_uri("copy@master:/taken/joined")).read() == LARGE + b"end"


def test_two_open_commits_can_be_compared(images):
    other = pfs.Branch.from_uri("images@other")
    put(images, MASTER, {"/same": b"same"})
    images.pfs.create_branch(branch=other, head=pfs.Commit(repo=IMAGES, branch=MASTER))
    images.pfs.start_commit(branch=MASTER)
    images.pfs.start_commit(branch=other)
    put_many(images, MASTER, {"/here": b"1"})
    put_many(images, other, {"/there": b"1"})

    pairs = images.pfs.diff_file(
        new_file=pfs.File(commit=pfs.Commit(repo=IMAGES, branch=MASTER), path="/"),
        old_file=pfs.File(commit=pfs.Commit(repo=IMAGES, branch=other), path="/"),
    )

    assert {pair.new_file.file.path or pair.old_file.file.path for pair in pairs} == {"/", "/here", "/there"}


def test_the_totals_of_the_store_are_those_of_its_index(server, images):
    from trunkline.meta import chunks

    first, second = server.versions.chunks.writer(), server.versions.chunks.writer()
    for writer in (first, second):  # both look before either is recorded
        writer.add_many([random.Random(1).randbytes(40_000), b"small" * (1 if writer is first else 2)])
    packs = [*first.seal(), *second.seal()]
    repaired = replace(packs[0], pack="packs/00/again", replaces=frozenset({packs[0].table[:32]}))

    server.versions.write(lambda write: chunks.add(write.conn, [*packs, repaired], 0, write.now))

    count, length = server.versions.read(
        lambda conn: conn.execute(sa.text("SELECT count(*), sum(length) FROM chunk")).one()
    )
    totals = server.versions.read(chunks.totals)
    assert (totals[0], totals[3]) == (count, length)


def test_equal_content_is_stored_once(server, images):
    from trunkline.meta import chunks

    put(images, MASTER, {"/a": LARGE})
    stored = server.versions.read(chunks.totals)[2]

    put(images, MASTER, {"/b": LARGE, "/c": b"+" + LARGE})

    assert server.versions.read(chunks.totals)[2] - stored < len(LARGE) / 2
    assert read(images, "/c") == b"+" + LARGE
