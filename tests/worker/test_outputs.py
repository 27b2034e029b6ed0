"""What becomes of the things that commands put into /pfs/out."""

from __future__ import annotations

import pytest
from fake_server import assignment

from trunkline.rpc.gen import worker_api_pb2 as pb


def sh(script: str) -> list[str]:
    return ["sh", "-c", f'cd "$PFS_ROOT/out"; {script}']


INPUTS = {"in": {"/f": b"content"}, "tree": {"/a/x": b"ax", "/y": b"y"}}


@pytest.mark.parametrize(
    ("script", "outputs"),
    [
        (
            "echo 1 > a; mkdir -p d/e empty; echo 2 > d/e/f; : > nothing",
            {"/a": b"1\n", "/d/e/f": b"2\n", "/nothing": b""},
        ),
        ("ln -s $in a; ln -s ../in/f b", {"/a": b"content", "/b": b"content"}),
        ("echo host > $TMPDIR/x; ln -s $TMPDIR/x a", {"/a": b"host\n"}),
        ("ln -s ../tree all", {"/all/a/x": b"ax", "/all/y": b"y"}),
        (
            "echo 1 > a; ln -s a b; ln -s b c; ln $in hard",
            {"/a": b"1\n", "/b": b"1\n", "/c": b"1\n", "/hard": b"content"},
        ),
        ("mkfifo pipe; ln -s /dev/null dev; ln -s pipe to-pipe; echo 1 > a", {"/a": b"1\n"}),
        ("echo 1 > 'with space'; echo 2 > ü", {"/with space": b"1\n", "/ü": b"2\n"}),
        ("mkdir d; echo 1 > d/f; chmod 500 d", {"/d/f": b"1\n"}),
    ],
)
def test_files_and_what_links_lead_to_are_handed_in(server, workers_anywhere, script, outputs):
    script = script.replace("ln $in hard", "cp $in hard")  # inputs may lie on another file system
    assignment(server, INPUTS, sh(script))

    workers_anywhere.run()

    assert [result.reason for result in server.results()] == [""]
    assert {path: content for (_, path), content in server.outputs().items()} == outputs


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "ln -s /no/such/file a",
            'output /a is a link to "/no/such/file", which cannot be followed (No such file or directory)',
        ),
        ("ln -s a a", "which cannot be followed (Too many levels of symbolic links)"),
        ("mkdir d; ln -s .. d/up", "output link /d/up leads back to a folder that contains it"),
        ("echo 1 > 'a*b'", "path (/a*b) invalid:"),
        ("mkdir d; echo 1 > d/$(printf '\\377')", "path (/d/\\"),
    ],
)
def test_outputs_that_cannot_be_stored_fail_the_datum_with_a_sentence(server, workers_both, script, reason):
    assignment(server, INPUTS, sh(script))

    workers_both.run()

    (result,) = server.results()
    assert result.state == pb.DatumResult.FAILED
    assert reason in result.reason
    assert server.outputs() == {}


def test_large_outputs_arrive_whole_wherever_they_lie(server, workers_anywhere):
    """Larger than what is held in memory, in a link to elsewhere that the next datum overwrites."""
    script = (
        "head -c 6000000 /dev/zero | tr '\\0' $(basename $in) > own; "
        "cp own $HOST-$$; mv -f $HOST-$$ $HOST; ln -s $HOST link"
    )
    inputs = {"in": {"/1": b"", "/2": b""}}
    folder = workers_anywhere.folder / "elsewhere"
    folder.mkdir()
    folder.chmod(0o777)
    assignment(server, inputs, sh(script), env={"HOST": str(folder / "file")})

    workers_anywhere.run()

    assert server.outputs() == {
        (datum, f"/{name}"): b"%d" % (datum + 1) * 6_000_000 for datum in range(2) for name in ("own", "link")
    }
    assert [result.upload_bytes for result in server.results()] == [12_000_000] * 2


def test_large_inputs_arrive_whole(server, workers_anywhere):
    content = bytes(range(256)) * 20_000
    assignment(server, {"in": {"/big": content, "/small": b"s"}}, sh("cp $in ."))

    workers_anywhere.run()

    assert server.outputs() == {(0, "/big"): content, (1, "/small"): b"s"}
    assert [result.download_bytes for result in server.results()] == [len(content), 1]
