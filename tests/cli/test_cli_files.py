"""Uploads and downloads: the messages that are sent, and the files that are written."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import tarfile

import grpc
import pytest
from cli_messages import Refusal, commit, content, pipeline
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cli.exit_codes import UsageError
from trunkline.cli.transfer import chunked_upload, upload_plan
from trunkline.formats.protowire import WireError, add_file, bytes_of, fields, put_chunks
from trunkline.rpc.gen import pfs_pb2, pps_pb2, store_pb2

ID = "0123456789ab4def8123456789abcdef"


def operations(server):
    """Return the operations of one put as text, the pieces of a file joined."""
    first, *rest = server.only("ModifyFile")
    assert first.WhichOneof("body") == "set_commit"
    changes: list[tuple[str, str, bytes]] = []
    for request in rest:
        kind = request.WhichOneof("body")
        if kind == "delete_file":
            changes.append(("delete", request.delete_file.path, b""))
        elif changes and changes[-1][:2] == ("add", request.add_file.path):
            changes[-1] = ("add", request.add_file.path, changes[-1][2] + request.add_file.raw.value)
        else:
            changes.append(("add", request.add_file.path, request.add_file.raw.value))
    return first.set_commit, changes


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with a few files, made the current one."""
    for path, data in (("a.txt", b"A"), ("d/b.txt", b"B"), ("d/e/c.txt", b""), ("d/z.txt", b"Z")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_put_replaces_by_deleting_first(run, server, tree):
    assert run("put", "file", "images@master:/x.txt", "-f", "a.txt", "-q") == (0, "", "")

    target, sent = operations(server)
    assert (target.repo.name, target.branch.name, target.branch.repo.name) == ("images", "master", "images")
    assert sent == [("delete", "/x.txt", b""), ("add", "/x.txt", b"A")]


def test_words_after_a_file_are_further_files(run, server, tree):
    """As a shell leaves them of a pattern: -f *.txt."""
    assert run("put", "file", "-f", "a.txt", "images@master:/x/", "d/b.txt", "d/z.txt", "-q").code == 0

    assert [path for kind, path, _ in operations(server)[1] if kind == "add"] == [
        "/x/a.txt",
        "/x/b.txt",
        "/x/z.txt",
    ]


def test_standard_input_is_the_source_where_it_is_no_terminal(spawn, server):
    process = spawn("put", "file", "images@master:/x.txt", "-q")

    assert process.communicate(b"data", timeout=30) == (b"", b"")
    assert operations(server)[1] == [("delete", "/x.txt", b""), ("add", "/x.txt", b"data")]


def test_an_append_only_adds(run, server, tree):
    run("put", "file", "images@master:/x.txt", "-f", "a.txt", "--append")

    assert operations(server)[1] == [("add", "/x.txt", b"A")]


def test_a_large_file_goes_in_pieces_and_arrives_whole(run, server, tree):
    data = random.Random(0).randbytes((3 << 20) + 17)
    (tree / "big").write_bytes(data)

    run("put", "file", f"images@{ID}", "-f", "big")

    assert len(server.asked["ModifyFile"][0]) == 6
    assert operations(server)[1][-1] == ("add", "/big", data)


def test_a_server_that_takes_no_chunks_is_sent_the_bytes(run, server, tree):
    """As an older server or pachd: the scripted server has no Store service."""
    data = random.Random(0).randbytes(5 << 20)
    (tree / "d" / "big").write_bytes(data)

    outcome = run("put", "file", "images@master", "-r", "-f", "d")

    assert outcome == (0, "", "put 4 files (5.0 MiB) into images@master\n")
    assert ("add", "/d/big", data) in operations(server)[1]


def test_only_regular_files_are_read_twice(tree):
    os.mkfifo(tree / "pipe")
    planned = upload_plan.plan(["a.txt", "d/b.txt"], "/in", recursive=False, skipped=print)

    assert chunked_upload.possible(planned)
    for other in ("pipe", "-", "https://example.org/x"):
        assert not chunked_upload.possible(
            [*planned, *upload_plan.plan([other], "/x", recursive=False, skipped=print)]
        )


def test_standard_input_is_put_under_the_name_given(spawn, server):
    process = spawn("put", "file", "images@master:/in.txt", "-f", "-")

    process.communicate(b"typed")

    assert process.returncode == 0
    assert operations(server)[1] == [("delete", "/in.txt", b""), ("add", "/in.txt", b"typed")]


def test_several_files_go_in_one_stream(run, server, tree):
    outcome = run("put", "file", "images@master", "-f", "a.txt", "-f", "d/b.txt")

    assert [(kind, path) for kind, path, _ in operations(server)[1]] == [
        ("delete", "/a.txt"),
        ("add", "/a.txt"),
        ("delete", "/b.txt"),
        ("add", "/b.txt"),
    ]
    assert outcome.err == "put 2 files (2 B) into images@master\n"


def test_a_list_of_files_is_read(run, server, tree):
    (tree / "list").write_text("a.txt\n\n d/b.txt\n")

    run("-q", "put", "file", "images@master", "-i", "list", "-a")

    assert [path for _, path, _ in operations(server)[1]] == ["/a.txt", "/b.txt"]


@pytest.mark.parametrize(
    ("sources", "path", "expected"),
    [
        (["a.txt"], "", ["/a.txt"]),
        (["a.txt"], "/in/", ["/in/a.txt"]),
        (["a.txt"], "/x", ["/x"]),
        (["a.txt", "d/b.txt"], "/in", ["/in/a.txt", "/in/b.txt"]),
        (["d"], "", ["/d/b.txt", "/d/z.txt", "/d/e/c.txt"]),
        (["d/"], "/", ["/b.txt", "/z.txt", "/e/c.txt"]),
        (["d"], "/in", ["/in/b.txt", "/in/z.txt", "/in/e/c.txt"]),
        (["."], "", ["/a.txt", "/d/b.txt", "/d/z.txt", "/d/e/c.txt"]),
        (["d", "a.txt"], "/in", ["/in/d/b.txt", "/in/d/z.txt", "/in/d/e/c.txt", "/in/a.txt"]),
        (["https://example.org/x/y.csv"], "", ["/y.csv"]),
        (["https://example.org/x/y.csv?sig=a/b#c"], "/in/", ["/in/y.csv"]),
        (["s3://bucket/folder"], "", ["/folder"]),
        (["s3://bucket/folder/"], "/in", ["/in"]),
    ],
)
def test_names_follow_from_source_and_target(tree, sources, path, expected):
    assert [
        upload.path for upload in upload_plan.plan(sources, path, recursive=True, skipped=print)
    ] == expected


def test_the_server_is_asked_to_read_a_url(run, server, tree):
    run("-q", "put", "file", "images@master:/in", "-r", "-f", "s3://bucket/folder")

    _, delete, add = server.only("ModifyFile")
    assert delete.delete_file.path == "/in/"
    assert (add.add_file.path, add.add_file.url.url, add.add_file.url.recursive) == (
        "/in",
        "s3://bucket/folder",
        True,
    )


def test_a_folder_needs_r(run, server, tree):
    outcome = run("put", "file", "images@master", "-f", "d")

    assert (outcome.code, outcome.err) == (2, "trunkline: d is a folder; add -r to put everything below it\n")
    assert not server.asked


def test_a_missing_file_is_noticed_before_anything_is_sent(run, server, tree):
    outcome = run("put", "file", "images@master", "-f", "a.txt", "-f", "gone.txt")

    assert (outcome.code, outcome.err) == (
        3,
        "trunkline: gone.txt: no such file or directory; check the path\n",
    )
    assert not server.asked


def test_standard_input_needs_a_path(tree):
    with pytest.raises(UsageError, match="standard input has no name"):
        upload_plan.plan(["-"], "", recursive=False, skipped=print)


def test_a_refused_put_reports_the_servers_error(run, server, tree):
    server.answers["ModifyFile"] = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "commit x has already finished"
    )

    outcome = run("put", "file", f"images@{ID}", "-f", "a.txt")

    assert (outcome.code, outcome.err) == (4, "trunkline: commit x has already finished\n")


def test_a_file_comes_to_standard_output_byte_for_byte(spawn, server):
    data = bytes(range(256)) * 10_000
    server.answers["GetFile"] = content(data[:1_000_000], data[1_000_000:], b"")

    out, _ = spawn("get", "file", "images@master:/x").communicate()

    assert out == data
    assert server.only("GetFile").file.path == "/x"


def test_a_file_appears_under_its_name_when_it_is_whole(run, server, tree):
    server.answers["GetFile"] = content(b"new", b" content")
    server.answers["InspectFile"] = pfs_pb2.FileInfo(size_bytes=11)

    run("get", "file", "images@master:/x", "-o", "a.txt")

    assert (tree / "a.txt").read_bytes() == b"new content"
    assert sorted(os.listdir(tree)) == ["a.txt", "d", "home"]


def test_a_failed_download_leaves_the_old_file_and_no_partial_one(run, server, tree):
    def broken(_):
        raise RuntimeError("disk on fire")

    server.answers["GetFile"] = broken

    assert run("get", "file", "images@master:/x", "-o", "a.txt").code == 1

    assert (tree / "a.txt").read_bytes() == b"A"
    assert sorted(os.listdir(tree)) == ["a.txt", "d", "home"]


def archive(*entries: tuple[str, bytes | None]) -> bytes:
    """A TAR stream; None for a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive_file:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            if data is None:
                member.type = tarfile.DIRTYPE
                archive_file.addfile(member)
            else:
                member.size = len(data)
                archive_file.addfile(member, io.BytesIO(data))
    return out.getvalue()


def test_a_folder_comes_as_files_below_the_one_named(run, server, tmp_path):
    data = archive(("/in/", None), ("/in/a", b"A" * 3000), ("/in/deep/er/b", b""), ("/in/c", b"C"))
    server.answers["GetFileTAR"] = content(*(data[at : at + 700] for at in range(0, len(data), 700)))
    target = tmp_path / "out"

    outcome = run("get", "file", "images@master:/in", "-r", "-o", str(target))

    assert outcome == (0, "", "got 3 files, 2.9 KiB\n")
    contents = {
        str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()
    }
    assert contents == {"a": b"A" * 3000, "deep/er/b": b"", "c": b"C"}


def test_a_pattern_is_got_with_the_paths_of_its_matches(run, server, tmp_path):
    server.answers["GetFileTAR"] = content(archive(("/in/a.csv", b"A"), ("/in/b.csv", b"B")))
    target = tmp_path / "out"

    outcome = run("get", "file", "images@master:/in/*.csv", "-r", "-o", str(target))

    assert outcome.code == 0
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.csv")} == {"in/a.csv", "in/b.csv"}
    assert "InspectFile" not in server.asked


def test_an_archive_cannot_write_outside_of_the_folder(run, server, tmp_path):
    server.answers["GetFileTAR"] = content(archive(("/in/../../evil", b"x")))

    outcome = run("get", "file", "images@master:/in", "-r", "-o", str(tmp_path / "out" / "deep"))

    assert outcome.code == 1
    assert "is not below /in" in outcome.err
    assert not (tmp_path / "evil").exists()


def test_an_archive_that_breaks_off_is_data_loss(run, server, tmp_path):
    server.answers["GetFileTAR"] = content(archive(("/a", b"x" * 5000))[:2000])

    outcome = run("get", "file", "images@master:/", "-r", "-o", str(tmp_path / "out"))

    assert outcome.code == 1
    assert "damaged archive" in outcome.err
    assert not (tmp_path / "out" / "a").exists()


def test_list_file_shows_names_and_kinds(run, server):
    server.answers["ListFile"] = [
        pfs_pb2.FileInfo(
            file=pfs_pb2.File(commit=commit("images", ID), path="/d/"), file_type="DIR", size_bytes=7
        ),
        pfs_pb2.FileInfo(
            file=pfs_pb2.File(commit=commit("images", ID), path="/a"), file_type="FILE", size_bytes=2048
        ),
    ]

    assert run("list", "file", "images@master").out.splitlines() == [
        "NAME  TYPE     SIZE  COMMITTED",
        "/d/   dir       7 B  -",
        "/a    file  2.0 KiB  -",
    ]


def test_glob_sends_the_pattern_as_it_is(run, server):
    run("glob", "file", "images@master:/**/*.{png,jpg}")

    assert server.only("GlobFile").pattern == "/**/*.{png,jpg}"


def test_diff_tells_what_changed_and_leaves_folders_out(run, server):
    def info(path, size):
        return pfs_pb2.FileInfo(file=pfs_pb2.File(path=path), size_bytes=size)

    server.answers["DiffFile"] = [
        pfs_pb2.DiffFileResponse(new_file=info("/", 9), old_file=info("/", 8)),
        pfs_pb2.DiffFileResponse(new_file=info("/a", 1)),
        pfs_pb2.DiffFileResponse(new_file=info("/b", 1), old_file=info("/b", 2)),
        pfs_pb2.DiffFileResponse(old_file=info("/c", 3)),
    ]

    assert run("diff", "file", "images@master", "images@master^", "--stat").out.splitlines() == [
        "CHANGE   NAME  OLD SIZE  NEW SIZE",
        "added    /a           -       1 B",
        "changed  /b         2 B       1 B",
        "deleted  /c         3 B         -",
    ]
    assert server.only("DiffFile").old_file.commit.branch.name == "master^1"
    assert run("diff", "file", "images@master", "--name-only").out == "/a\n/b\n/c\n"


def test_a_diff_shows_the_lines_of_texts_that_changed_and_names_what_is_no_text(run, server):
    def info(path, id):
        content = contents[id, path]
        return pfs_pb2.FileInfo(
            file=pfs_pb2.File(path=path, commit=commit("texts", id)), size_bytes=len(content)
        )

    contents = {
        ("1" * 32, "/a"): b"to be\nor\n",
        ("2" * 32, "/a"): b"to be\nor not",
        ("2" * 32, "/new"): b"x\n",
        ("1" * 32, "/cow.png"): b"PNG",
        ("2" * 32, "/cow.png"): b"PNG!",
        ("2" * 32, "/b"): b"\0\1",
    }
    server.answers["GetFile"] = lambda request: content(contents[request.file.commit.id, request.file.path])
    server.answers["DiffFile"] = [
        pfs_pb2.DiffFileResponse(old_file=info("/a", "1" * 32), new_file=info("/a", "2" * 32)),
        pfs_pb2.DiffFileResponse(new_file=info("/new", "2" * 32)),
        pfs_pb2.DiffFileResponse(old_file=info("/cow.png", "1" * 32), new_file=info("/cow.png", "2" * 32)),
        pfs_pb2.DiffFileResponse(new_file=info("/b", "2" * 32)),
    ]
    old, new = f"default/texts@{'1' * 32}", f"default/texts@{'2' * 32}"

    assert run("diff", "file", "texts@master").out.splitlines() == [
        f"--- {old}:/a",
        f"+++ {new}:/a",
        "@@ -1,2 +1,2 @@",
        " to be",
        "-or",
        "+or not",
        "\\ No newline at end of file",
        "--- /dev/null",
        f"+++ {new}:/new",
        "@@ -0,0 +1 @@",
        "+x",
        f"image {new}:/cow.png changed: 3 B to 4 B",
        f"binary or large file {new}:/b changed: nothing to 2 B",
    ]
    assert "\033[32m+x\033[0m" in run("diff", "file", "texts@master", "--color", "always").out


def test_copy_and_delete_are_operations_on_the_target(run, server):
    run("copy", "file", f"a@{ID}:/x", "b@master:/y", "--append")
    server.answers["InspectFile"] = pfs_pb2.FileInfo(file_type="DIR")
    run("delete", "file", "b@master:/folder", "-r")

    copied, deleted = (asked[1] for asked in server.asked["ModifyFile"])
    assert (copied.copy_file.src.commit.id, copied.copy_file.src.path) == (ID, "/x")
    assert (copied.copy_file.dst, copied.copy_file.append) == ("/y", True)
    assert deleted.delete_file.path == "/folder/"


@pytest.mark.parametrize("file", ["b@master", "b@master:/folder", "b@master:/folder/"])
def test_a_folder_is_deleted_only_with_r(run, server, file):
    server.answers["InspectFile"] = pfs_pb2.FileInfo(file_type="DIR")

    outcome = run("delete", "file", file)

    assert outcome.code == 2
    assert "add -r" in outcome.err
    assert "ModifyFile" not in server.asked


def test_deleting_what_does_not_exist_ends_with_3_and_makes_no_commit(run, server):
    server.answers["InspectFile"] = Refusal(grpc.StatusCode.NOT_FOUND, "file /nope not found")

    assert run("delete", "file", "b@master:/nope").code == 3
    assert "ModifyFile" not in server.asked


def test_listing_a_folder_that_does_not_exist_ends_with_3(run, server):
    server.answers["InspectFile"] = Refusal(grpc.StatusCode.NOT_FOUND, "file /nope not found")

    assert run("list", "file", "b@master:/nope").code == 3


def test_a_folder_that_is_missing_is_named_before_anything_is_read(run, server, tmp_path):
    server.answers["InspectFile"] = pfs_pb2.FileInfo(size_bytes=1)

    outcome = run("get", "file", "b@master:/a", "-o", str(tmp_path / "none" / "a"))

    assert outcome.code == 3
    assert f"folder {tmp_path / 'none'} does not exist" in outcome.err


def test_skipped_entries_of_a_folder_are_named_and_a_loop_ends(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("x")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    left_out: list[str] = []

    planned = upload_plan.plan([str(tmp_path)], "/in", recursive=True, skipped=left_out.append)

    assert [upload.path for upload in planned] == ["/in/sub/a"]
    assert [sentence.split(":")[0].rsplit("/", 1)[1] for sentence in left_out] == ["loop", "gone", "pipe"]


@given(st.text(min_size=1), st.binary(max_size=300))
def test_the_hand_made_add_file_is_what_protobuf_reads(path, data):
    path = path.encode("utf-8", "ignore").decode()

    read = pfs_pb2.ModifyFileRequest.FromString(add_file(path, data))

    assert read == pfs_pb2.ModifyFileRequest(add_file={"path": path, "raw": {"value": data}})


@given(st.lists(st.binary(max_size=300)))
def test_the_hand_made_chunks_are_what_protobuf_reads(chunks):
    assert store_pb2.PutFilesRequest.FromString(put_chunks(chunks)) == store_pb2.PutFilesRequest(
        chunks=chunks
    )


@given(st.binary(max_size=300))
def test_the_hand_made_reading_gives_what_protobuf_wrote(data):
    (message,) = content(data)

    assert bytes(bytes_of(message.SerializeToString())) == data


@given(st.binary(max_size=40))
def test_broken_messages_are_wire_errors_and_nothing_else(data):
    with contextlib.suppress(WireError):
        list(fields(data))


def test_a_folder_that_is_read_as_a_file_says_how_to_download_it(run, server):
    server.answers["GetFile"] = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "it is a folder")
    server.answers["InspectFile"] = pfs_pb2.FileInfo(file_type=pfs_pb2.FileType.DIR)

    outcome = run("get", "file", "texts@master:/plays")

    assert outcome.err.splitlines()[-1] == "hint: trunkline get file texts@master:/plays -r -o FOLDER"


@pytest.fixture
def committing(server):
    """A server that says which commit has the changes, and for which pipelines it has jobs."""

    def commit(*pipelines):
        server.trailing = [("trunkline-commit", ID)]
        server.answers["InspectJobSet"] = [
            pps_pb2.JobInfo(job=pps_pb2.Job(pipeline=pipeline(name), id=ID)) for name in pipelines
        ]

    return commit


def test_a_change_says_which_commit_has_it_and_what_it_starts(run, server, tree, committing):
    committing("count", "sum")

    outcome = run("put", "file", "images@master", "-f", "a.txt")

    assert outcome.err == f"put 1 file (1 B) into images@master, commit {ID[:12]}; starts count, sum\n"
    assert server.only("InspectJobSet").job_set.id == ID


def test_a_change_in_json_has_the_whole_id(run, tree, committing):
    committing("count")

    put = json.loads(run("put", "file", "images@master", "-f", "a.txt", "-o", "json").out)
    copied = json.loads(run("copy", "file", "images@a:/x", "images@master:/y", "-o", "json").out)

    assert (put["commit"], put["starts"]) == (ID, ["count"])
    assert (copied["change"], copied["commit"]) == ("copied", ID)


def test_of_many_pipelines_a_change_names_the_first(run, tree, committing):
    committing(*"abcde")

    assert run("put", "file", "images@master", "-f", "a.txt").err.endswith("; starts a, b, c and 2 more\n")


def test_a_quiet_change_asks_for_no_jobs(run, server, tree, committing):
    committing("count")

    assert run("-q", "put", "file", "images@master", "-f", "a.txt").err == ""
    assert "InspectJobSet" not in server.asked
