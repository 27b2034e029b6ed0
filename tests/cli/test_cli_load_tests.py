"""``trunkline run pfs-load-test`` and ``run pps-load-test``."""

from __future__ import annotations

import json

from trunkline.rpc.gen import debug_pb2, pps_pb2


def test_a_load_test_of_the_store_sends_its_spec_and_prints_the_answer(run, server, tmp_path):
    spec = tmp_path / "load.yaml"
    spec.write_text("count: 1\n")
    server.answers["RunPFSLoadTest"] = debug_pb2.RunPfsLoadTestResponse(seed=7, state_id="s")

    code, printed, _ = run("run", "pfs-load-test", str(spec), "-b", "loaded@master", "-s", "7")

    asked = server.only("RunPFSLoadTest")
    assert (asked.spec, asked.branch.repo.name, asked.seed) == ("count: 1\n", "loaded", 7)
    assert (code, json.loads(printed)["state_id"]) == (0, "s")


def test_a_load_test_of_pipelines_sends_its_graph_and_fails_as_it_did(run, server, tmp_path):
    (tmp_path / "graph").write_text("a:\nb: a\n")
    (tmp_path / "load").write_text("{}")
    server.answers["RunLoadTest"] = pps_pb2.RunLoadTestResponse(error="it broke")

    code, printed, complaint = run(
        "run", "pps-load-test", str(tmp_path / "load"), "-d", str(tmp_path / "graph"), "-p", "2"
    )

    asked = server.only("RunLoadTest")
    assert (asked.dag_spec, asked.parallelism) == ("a:\nb: a\n", 2)
    assert code == 1
    assert "it broke" in printed
    assert "it broke" in complaint


def test_a_load_test_without_a_spec_is_the_default_one(run, server):
    assert run("run", "pps-load-test")[0] == run("run", "pfs-load-test")[0] == 0
    assert server.only("RunLoadTestDefault") is not None
    assert server.only("RunPFSLoadTestDefault") is not None


def test_a_load_test_of_pipelines_needs_a_graph(run, server, tmp_path):
    (tmp_path / "load").write_text("{}")

    code, _, complaint = run("run", "pps-load-test", str(tmp_path / "load"))

    assert code == 2
    assert "--dag" in complaint
