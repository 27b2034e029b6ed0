"""What a command sees of the machine, as root, as an ordinary user, and without namespaces."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from fake_server import assignment

from trunkline.rpc.gen import worker_api_pb2 as pb

SUCCESS = pb.DatumResult.SUCCESS


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_a_command_reads_its_input_and_its_output_is_handed_in(server, workers_anywhere):
    assignment(
        server,
        {"images": {"/a/b.txt": b"hello"}},
        sh('mkdir "$PFS_ROOT/out/d"; tr a-z A-Z < "$images" > "$PFS_ROOT/out/d/x"'),
    )

    code = workers_anywhere.run()

    assert code == 0
    assert [result.state for result in server.results()] == [SUCCESS]
    assert server.outputs() == {(0, "/d/x"): b"HELLO"}


def test_arguments_that_are_paths_below_pfs_or_image_files_work_everywhere(server, workers_anywhere):
    workers_anywhere.image = {"/copy.sh": (b'cp "$1" "$2"', 0o644)}
    assignment(server, {"images": {"/f": b"x"}}, ["sh", "/copy.sh", "/pfs/images/f", "/pfs/out/g"])

    workers_anywhere.run()

    assert server.outputs() == {(0, "/g"): b"x"}


@pytest.mark.parametrize("world", ["own user", "ordinary user"])
def test_image_files_lie_at_their_absolute_paths_also_in_folders_of_the_host(server, make_workers, world):
    workers = make_workers(world)
    program = b"#!/bin/sh\necho it is $0 > /pfs/out/$(basename $0)\n"
    places = ["/edges", "/usr/local/bin/tool-of-image", "/bin/other-tool", "/new/folder/program"]
    workers.image = dict.fromkeys(places, (program, 0o755))
    assignment(
        server,
        {"in": {"/f": b""}},
        sh("/edges; tool-of-image; other-tool; /new/folder/program; ls / /usr/bin > /pfs/out/ls"),
    )

    workers.run()

    outputs = {path: content.decode() for (_, path), content in server.outputs().items()}
    listing = outputs.pop("/ls").split()
    assert outputs == {
        "/edges": "it is /edges\n",
        "/tool-of-image": "it is /usr/local/bin/tool-of-image\n",
        "/other-tool": outputs["/other-tool"],
        "/program": "it is /new/folder/program\n",
    }
    assert {"pfs", "edges", "new", "proc", "etc", "env"} <= set(listing)
    assert not any(os.path.exists(place) for place in places)


@pytest.mark.parametrize("world", ["own user", "ordinary user"])
def test_nothing_is_created_on_the_host(server, make_workers, world):
    before = set(os.listdir("/"))
    assignment(server, {"in": {"/f": b""}}, sh("touch /made-by-the-command && ls / > /pfs/out/ls"))

    make_workers(world).run()

    assert {"made-by-the-command", "pfs"} <= set(server.outputs()[0, "/ls"].decode().split())
    assert set(os.listdir("/")) == before


def test_a_command_stays_the_user_that_runs_the_worker(server, workers_anywhere):
    assignment(server, {"in": {"/f": b""}}, sh('id -u > "$PFS_ROOT/out/id"; echo x >> "$in"'))

    workers_anywhere.run()

    assert int(server.outputs()[0, "/id"]) == workers_anywhere.user


def test_the_log_says_that_namespaces_are_missing_and_that_nobody_knows_the_image(server, make_workers):
    assignment(server, {"in": {"/f": b""}}, ["true"])

    make_workers("no namespaces").run()

    assert server.log(system=True) == [
        b'image "somebody/image" is not known here; commands run on this machine\'s own tools',
        b"this machine does not let workers have a private root (TRUNKLINE_NO_NAMESPACES is set); "
        b"commands find /pfs in the folder that $PFS_ROOT names",
    ]


def test_where_the_kernel_forbids_namespaces_the_worker_falls_back_by_itself(server, workers):
    """Mounting needs a namespace; a limit of none of them is how a kernel forbids both kinds."""
    limits = "/proc/sys/user/max_mnt_namespaces", "/proc/sys/user/max_user_namespaces"
    if os.geteuid() != 0:
        pytest.skip("only root may forbid namespaces")
    workers.wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        f'for limit in {" ".join(limits)}; do echo 0 > $limit; done; exec "$@"',
        "sh",
    ]
    assignment(server, {"in": {"/f": b"x"}}, sh('cp "$in" "$PFS_ROOT/out/"'))

    workers.run()

    assert server.outputs() == {(0, "/f"): b"x"}
    assert b"does not let workers have a private root (unshare: " in b"".join(server.log(system=True))


def test_the_environment_is_the_one_of_the_contract_and_nothing_else(server, workers):
    workers.extra = {"SERVER_SECRET": "1"}
    message = assignment(
        server,
        {"images": {"/f": b""}, "models": {"/m": b""}},
        sh("env > /pfs/out/env"),
        env={"MINE": "yes", "images": "no"},
    )
    message.items[1].join_on = "j1"
    message.items[1].group_by = "g1"

    workers.run()

    variables = dict(line.split("=", 1) for line in server.outputs()[0, "/env"].decode().splitlines())
    assert variables.pop("PWD") == "/"
    assert variables.pop("PATH") == os.environ["PATH"]
    assert variables.pop("TMPDIR")
    variables.pop("_", None)
    variables.pop("SHLVL", None)
    assert variables == {
        "HOME": "/",
        "LANG": "C.UTF-8",
        "MINE": "yes",
        "PACH_DATUM_ID": message.datums[0].id,
        "PACH_DATUM_images_GROUP_BY": "g1",
        "PACH_DATUM_images_JOIN_ON": "j1",
        "PACH_IN_WORKER": "true",
        "PACH_JOB_ID": message.job_id,
        "PACH_OUTPUT_COMMIT_ID": message.output_commit_id,
        "PFS_ROOT": "/pfs",
        "PYTHONUNBUFFERED": "1",
        "PPS_PIPELINE_NAME": "edges",
        "PPS_PROJECT_NAME": "default",
        "images": "/pfs/images/f",
        "images_COMMIT": "c" * 32,
        "models": "/pfs/models",
        "models_COMMIT": "c" * 32,
    }


def test_the_token_is_out_of_reach_of_commands(server, make_workers):
    """Another process of the same user could otherwise read the worker's first environment."""
    assignment(server, {"in": {"/f": b""}}, sh("cat /proc/$PPID/environ > /pfs/out/environ; true"))

    make_workers("ordinary user").run()

    assert server.metadata[0]["worker-token"] == "hush-hush"
    assert server.outputs() == {(0, "/environ"): b""}


def test_temporary_files_are_gone_with_the_datum(server, workers_anywhere):
    assignment(
        server,
        {"in": {"/a": b"", "/b": b""}},
        sh('ls -A "$TMPDIR" > "$PFS_ROOT/out/$(basename $in)"; mktemp'),
    )

    workers_anywhere.run()

    assert server.outputs() == {(0, "/a"): b"", (1, "/b"): b""}


@pytest.mark.parametrize("world", ["own user", "ordinary user"])
def test_pfs_stays_mounted_from_one_small_datum_to_the_next_and_shows_nothing_of_it(
    server, make_workers, world
):
    assignment(
        server,
        {"in": {"/a": b"", "/b": b"", "/c": b""}},
        sh(
            'out=/pfs/out/$(basename "$in")\n'
            'grep -o "^[0-9]* [0-9]* [^ ]* [^ ]* /pfs[^ ]*" /proc/self/mountinfo > "$out"\n'
            'find /pfs -type f >> "$out"\n'
            "mkdir /pfs/more; echo > /pfs/more/left; echo > /pfs/left; chmod 0 /pfs/more /pfs/in /pfs"
        ),
    )

    make_workers(world).run()

    outputs = {path: content.decode() for (_, path), content in server.outputs().items()}
    views = [outputs[f"/{name}"].replace(f"/{name}\n", "/-\n") for name in "abc"]
    assert "/pfs/in/-" in views[0]
    if world == "own user":
        assert views[1:] == views[:1] * 2
    files = [line for view in views for line in view.splitlines() if line.startswith("/pfs/")]
    assert sorted(set(files)) == ["/pfs/in/-", "/pfs/out/-"]


def test_a_worker_starts_without_what_is_slow_to_import():
    script = "import sys, trunkline.worker.loop as _; print(sorted(set(sys.modules) & set(sys.argv[1:])))"

    slow = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "grpc",
            "sqlalchemy",
            "asyncio",
            "dataclasses",
            "subprocess",
            "shutil",
        ],
        capture_output=True,
        check=True,
        text=True,
    )

    assert slow.stdout.strip() == "[]"


def test_a_worker_started_by_hand_says_so():
    tried = subprocess.run(
        [sys.executable, "-m", "trunkline.worker"], capture_output=True, text=True, check=False
    )

    assert tried.returncode == 2
    assert "started without TRUNKLINE_SERVER" in tried.stderr
