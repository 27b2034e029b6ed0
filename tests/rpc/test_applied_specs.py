"""Sets of specs that are applied, and plans of updates, against a real server."""

from __future__ import annotations

import json

import pytest
from pachyderm_sdk.api import pfs
from sdk_steps import put

from trunkline.cli.main import main

INPUT = pfs.Branch.from_uri("numbers@master")


def spec(name, repo, **changes):
    return {
        "pipeline": {"name": name},
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        "transform": {"cmd": ["true"]},
        **changes,
    }


@pytest.fixture
def folder(tmp_path):
    """A folder for specs."""
    folder = tmp_path / "specs"
    folder.mkdir()
    return folder


@pytest.fixture
def run(server, tmp_path, monkeypatch, capfd):
    """Run a command against the server; return its exit code, what it prints, and its notes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*words):
        code = main([*words, "--address", server.address])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def pipelines(client):
    return {info.pipeline.name: info.version for info in client.pps.list_pipeline()}


def write(folder, *specs):
    for number, document in enumerate(specs):
        (folder / f"{number}.json").write_text(json.dumps(document))


def test_a_folder_is_applied_in_the_order_of_its_inputs_and_again_changes_nothing(run, client, folder):
    client.pfs.create_repo(repo=INPUT.repo)
    write(folder, spec("second", "first"), spec("first", "numbers"))

    code, out, _ = run("apply", "-f", str(folder))
    again = run("apply", "-f", str(folder))

    assert code == 0
    assert out.splitlines() == ["create  default/first", "create  default/second"]
    assert again[1] == "2 unchanged\n"
    assert pipelines(client) == {"first": 1, "second": 1}
    assert len({info.job.id for info in client.pps.list_job()}) == 1


def test_changed_fields_are_shown_and_a_dry_run_changes_nothing(run, client, folder):
    client.pfs.create_repo(repo=INPUT.repo)
    write(folder, spec("first", "numbers"), spec("second", "first"))
    run("apply", "-f", str(folder))
    write(folder, spec("first", "numbers", transform={"cmd": ["false"]}), spec("second", "first"))

    _, listing, _ = run("apply", "-f", str(folder), "--dry-run")
    before = pipelines(client)
    run("apply", "-f", str(folder))

    assert 'transform.cmd: ["true"] -> ["false"]' in listing
    assert "1 unchanged" in listing
    assert before == {"first": 1, "second": 1}
    assert pipelines(client) == {"first": 2, "second": 1}


def test_only_prune_deletes_what_has_no_spec(run, client, folder):
    client.pfs.create_repo(repo=INPUT.repo)
    write(folder, spec("first", "numbers"), spec("second", "first"), spec("third", "second"))
    run("apply", "-f", str(folder))
    for name in ("1.json", "2.json"):
        (folder / name).unlink()

    run("apply", "-f", str(folder))
    before = set(pipelines(client))
    code, out, _ = run("apply", "-f", str(folder), "--prune", "--yes")

    assert before == {"first", "second", "third"}
    assert code == 0
    assert out.splitlines() == ["delete  default/third", "delete  default/second", "1 unchanged"]
    assert set(pipelines(client)) == {"first"}
    assert {info.repo.name for info in client.pfs.list_repo(type="user")} == {"numbers", "first"}


def test_a_spec_that_is_refused_changes_nothing_and_is_named(run, client, folder):
    client.pfs.create_repo(repo=INPUT.repo)
    write(folder, spec("first", "numbers"), spec("second", "missing"))

    code, _, err = run("apply", "-f", str(folder))
    write(folder, spec("first", "second"), spec("second", "first"))
    circle = run("apply", "-f", str(folder))

    assert code != 0
    assert '"default/second"' in err
    assert circle[0] != 0
    assert pipelines(client) == {}


def test_a_difference_that_is_no_longer_true_is_not_applied(client, server):
    from trunkline.client.channel import Channel
    from trunkline.client.stubs import Client
    from trunkline.errors import Aborted
    from trunkline.rpc.gen import control_pb2

    client.pfs.create_repo(repo=INPUT.repo)
    request = control_pb2.ApplyRequest(specs_json=[json.dumps(spec("first", "numbers"))], dry_run=True)
    with Channel(server.address) as channel:
        control = Client(channel).control
        basis = control.Apply(request).basis
        control.Apply(control_pb2.ApplyRequest(specs_json=request.specs_json))
        with pytest.raises(Aborted):
            control.Apply(control_pb2.ApplyRequest(specs_json=request.specs_json, basis=basis))


def test_a_plan_counts_what_is_new_and_changes_nothing(run, client, folder):
    client.pfs.create_repo(repo=INPUT.repo)
    put(client, INPUT, {"/a": b"1", "/b": b"2"})
    write(folder, spec("first", "numbers"))

    code, out, _ = run("plan", "-f", str(folder / "0.json"))
    [answer] = [json.loads(run("plan", "-f", str(folder / "0.json"), "-o", "json")[1])]

    assert code == 0
    assert "2 of 2 datums run" in out
    assert "how long is not known" in out
    assert answer["causes"] == [
        {"cause": "FIRST", "datums": "2", "examples": answer["causes"][0]["examples"]}
    ]
    assert sorted(answer["causes"][0]["examples"]) == ["/a", "/b"]
    assert pipelines(client) == {}
