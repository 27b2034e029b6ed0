"""Specs and programs of the shapes that people have published, through the command line and the published SDK."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Struct
from pachyderm_sdk.api import pfs, pps
from servers import ended, files_of, make_repo, put, until

from trunkline.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from pachyderm_sdk import Client
    from servers import Server

#: They go through whole servers for seconds; continuous integration runs them by name.
pytestmark = pytest.mark.slow


class Shape(Struct, frozen=True):
    """A spec file, the files of its input repos, and what its last pipeline writes."""

    text: str
    inputs: dict[str, dict[str, bytes]]
    output: str
    expected: dict[str, bytes]
    name: str = "spec.json"


def spec(name: str, input: dict[str, Any], *lines: str, cmd: str = "bash", **more: Any) -> dict[str, Any]:
    return {
        "pipeline": {"name": name},
        "input": input,
        "transform": {"cmd": [cmd], "stdin": list(lines)},
        **more,
    }


def leaf(repo: str, glob: str, **more: object) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": glob, **more}}


def keyed(repo: str, glob: str, **more: object) -> dict[str, Any]:
    return leaf(repo, glob, joinOn="$1", **more)


WORD_COUNT = [
    spec(
        "pages",
        leaf("addresses", "/*"),
        "for f in /pfs/addresses/*",
        "do",
        "mkdir -p /pfs/out/$(basename $f) && cp $f /pfs/out/$(basename $f)/page",
        "done",
        "exit 5",
    ),
    spec(
        "words",
        leaf("pages", "/*/*"),
        "page=$(basename $(dirname /pfs/pages/*/page))",
        "for word in $(cat /pfs/pages/*/page)",
        "do mkdir -p /pfs/out/$word; echo 1 >>/pfs/out/$word/$page; done",
    ),
    spec(
        "totals",
        leaf("words", "/"),
        "for word in /pfs/words/*",
        "do cat $word/* | awk '{ sum += $1 } END { print sum }' >/pfs/out/$(basename $word); done",
        cmd="sh",
    ),
]
WORD_COUNT[0]["transform"]["acceptReturnCode"] = [4, 5, 6]

SHAPES = {
    "three stages that count words": Shape(
        "\n".join(map(json.dumps, WORD_COUNT)),
        {"addresses": {"/one": b"a cat", "/two": b"a dog"}},
        "totals",
        {"/a": b"2\n", "/cat": b"1\n", "/dog": b"1\n"},
    ),
    "a folder for each group": Shape(
        json.dumps(
            spec(
                "by_lab",
                {"group": [leaf("results", "/*-LAB(*).txt", branch="master", group_by="$1")]},
                "mkdir -p /pfs/out/${PACH_DATUM_results_GROUP_BY}/",
                "cp /pfs/results/* /pfs/out/${PACH_DATUM_results_GROUP_BY}/",
            )
        ),
        {"results": {"/T1-LAB24.txt": b"1", "/T2-LAB24.txt": b"2", "/T3-LAB7.txt": b"3"}},
        "by_lab",
        {"/24/T1-LAB24.txt": b"1", "/24/T2-LAB24.txt": b"2", "/7/T3-LAB7.txt": b"3"},
    ),
    "an outer join of two sides": Shape(
        json.dumps(
            spec(
                "matched",
                {
                    "join": [
                        leaf("shops", "/SHOP(*).txt", join_on="$1", outer_join=True),
                        leaf("returns", "/*_SHOP(*).txt", join_on="$1", outer_join=True),
                    ]
                },
                "cd /pfs; cat */*.txt >/pfs/out/$(ls */*.txt | tr -d '\\n/')",
            )
        ),
        {
            "shops": {"/SHOP1.txt": b"s1", "/SHOP2.txt": b"s2"},
            "returns": {"/R_SHOP1.txt": b"r1", "/R_SHOP9.txt": b"r9"},
        },
        "matched",
        {
            "/returnsR_SHOP1.txtshopsSHOP1.txt": b"r1s1",
            "/returnsR_SHOP9.txt": b"r9",
            "/shopsSHOP2.txt": b"s2",
        },
    ),
    "a cross with an outer join, whose command asks which sides are there and cuts their paths": Shape(
        json.dumps(
            spec(
                "by_day",
                {
                    "cross": [
                        leaf("schemas", "/a.avsc", name="SCHEMA"),
                        {
                            "join": [
                                leaf("marks", "/s/(*)/(*)", name="MARKS", joinOn="$1/$2", outer_join=True),
                                leaf(
                                    "readings", "/s/(*)/(*)", name="READINGS", joinOn="$1/$2", outer_join=True
                                ),
                            ]
                        },
                    ]
                },
                "if [ ${READINGS+x} ]; then day=$(echo $READINGS | cut -f 5,6 -d /); else day=none; fi",
                "mkdir -p /pfs/out/$day; cat $SCHEMA >/pfs/out/$day/$(basename ${MARKS:-unmarked})",
                cmd="bash",
            )
        ),
        {
            "schemas": {"/a.avsc": b"a"},
            "marks": {"/s/2020/01/m": b"1", "/s/2020/02/m": b"1"},
            "readings": {"/s/2020/01/r": b"1", "/s/2020/03/r": b"1"},
        },
        "by_day",
        {"/2020/01/01": b"a", "/none/02": b"a", "/2020/03/unmarked": b"a"},
    ),
    "a group of a join, one side of which may be missing": Shape(
        "pipeline:\n  name: monthly\n"
        "transform:\n  cmd: [sh]\n"
        "  stdin: ['cat $(find -L /pfs/DATA -type f) </dev/null >/pfs/out/$(echo $MONTH | tr / _)']\n"
        "input:\n  group:\n  - join:\n"
        "    - pfs: {name: DATA, repo: values, glob: '/*/(*/*)', joinOn: $1, group_by: $1}\n"
        "    - pfs: {name: MONTH, repo: months, glob: /(*/*), joinOn: $1, outer_join: True, group_by: $1}\n"
        "resource_requests:\n  memory: 50M\n  cpu: .1\n",
        {"values": {"/x/2020/01": b"v"}, "months": {"/2020/01": b"", "/2020/02": b""}},
        "monthly",
        {"/_pfs_MONTH_2020_01": b"v", "/_pfs_MONTH_2020_02": b""},
        "spec.yaml",
    ),
    "files moved by links without their bytes": Shape(
        json.dumps(
            spec(
                "shuffled",
                {
                    "union": [
                        leaf("fruits", "/*.jpeg", emptyFiles=True),
                        leaf("prices", "/*.json", emptyFiles=True),
                    ]
                },
                r'for f in $(find -L /pfs -not -path "*/\.*" -type f -path "*/fruits/*")',
                "do mkdir -p /pfs/out/$(basename $f .jpeg); ln -s $f /pfs/out/$(basename $f .jpeg)/image; done",
                r'for f in $(find -L /pfs -not -path "*/\.*" -type f -path "*/prices/*")',
                "do mkdir -p /pfs/out/$(basename $f .json); ln -s $f /pfs/out/$(basename $f .json)/cost; done",
                cmd="/bin/bash",
            )
        ),
        {"fruits": {"/mango.jpeg": b"image"}, "prices": {"/mango.json": b"5"}},
        "shuffled",
        {"/mango/image": b"image", "/mango/cost": b"5"},
    ),
    "a cross of one repo under two names": Shape(
        json.dumps(
            spec(
                "models",
                {
                    "cross": [
                        leaf("raw_data", "/iris.csv"),
                        leaf("parameters", "/c.txt/*", name="c-values"),
                        leaf("parameters", "/gamma.txt/*", name="gamma-values"),
                    ]
                },
                "for c in /pfs/c-values/c.txt/*; do for g in /pfs/gamma-values/gamma.txt/*; do",
                "cat $c $g /pfs/raw_data/iris.csv >/pfs/out/$(basename $c)-$(basename $g)",
                "done; done",
                cmd="/bin/sh",
                parallelism_spec={"constant": "1"},
            )
        ),
        {
            "raw_data": {"/iris.csv": b"i"},
            "parameters": {"/c.txt/1": b"1", "/gamma.txt/1": b"2", "/gamma.txt/2": b"3"},
        },
        "models",
        {"/1-1": b"12i", "/1-2": b"13i"},
    ),
    "a union of repos with one name": Shape(
        json.dumps(
            spec(
                "merged",
                {"union": [leaf("images", "/*"), leaf("images", "/*", project="staging")]},
                "cp /pfs/images/* /pfs/out/",
            )
        ),
        {"images": {"/a": b"1"}, "staging/images": {"/b": b"2"}},
        "merged",
        {"/a": b"1", "/b": b"2"},
    ),
    "a cross with a join of three sides": Shape(
        json.dumps(
            spec(
                "classified",
                {
                    "cross": [
                        {
                            "join": [
                                keyed("crop", "/(*)"),
                                keyed("centers", "/(*)", lazy=False),
                                keyed("heat", "/(*)"),
                            ]
                        },
                        leaf("weights", "/"),
                    ]
                },
                "ID=$(ls /pfs/crop | head -n 1)",
                "cat /pfs/crop/$ID/x /pfs/centers/$ID/x /pfs/heat/$ID/x /pfs/weights/w >/pfs/out/$ID",
                resource_requests={"memory": "1G", "cpu": 1},
            )
        ),
        {
            "crop": {"/7/x": b"a", "/8/x": b"-"},
            "centers": {"/7/x": b"b"},
            "heat": {"/7/x": b"c"},
            "weights": {"/w": b"d"},
        },
        "classified",
        {"/7": b"abcd"},
    ),
    "commas at the end and the project beside the name": Shape(
        """{
          "pipeline": {"name": "crop", "project": {"name": "tutorial"},},
          "input": {"pfs": {"repo": "samples", "glob": "/*",},},
          "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/samples/* /pfs/out/",],},
        }""",
        {"tutorial/samples": {"/a": b"1"}},
        "tutorial/crop",
        {"/a": b"1"},
    ),
    "two documents of which one reads the other": Shape(
        '{"pipeline": {"name": "train"}, "parallelismSpec": {"constant": 1},\n'
        ' "input": {"pfs": {"repo": "training", "glob": "/"}},\n'
        ' "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/training/* /pfs/out/"]}}\n'
        "---\n"
        '{"pipeline": {"name": "export"}, "input": {"pfs": {"repo": "train", "glob": "/"}},\n'
        ' "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/train/* /pfs/out/"]}}\n',
        {"training": {"/a": b"1"}},
        "export",
        {"/a": b"1"},
    ),
    "YAML with comments": Shape(
        "pipeline:\n  name: exported\n"
        "transform:\n  cmd: [sh, -c, 'echo $LEVEL >/pfs/out/level']\n"
        '  env:\n    # set by the user interface\n    LEVEL: "3"\n'
        "input:\n  pfs:\n    name: source # another name\n    repo: data\n    glob: /\n",
        {"data": {"/a": b"1"}},
        "exported",
        {"/level": b"3\n"},
        "spec.yaml",
    ),
    "a glob without its first slash, one with a last, and fields that say nothing": Shape(
        json.dumps(
            spec(
                "folders",
                {
                    "cross": [
                        leaf("split", "/*/"),
                        leaf("split", "list/*", name="list", lazy=False, branch=""),
                    ]
                },
                "cp -r /pfs/split/* /pfs/out/",
                datum_set_spec={"number": 0, "size_bytes": 0, "per_worker": 0},
                tolerations=[{"key": "dedicated", "operator": "EXISTS", "effect": "NO_SCHEDULE"}],
                autoscaling=False,
                service=None,
                update=True,
            )
        ),
        {"split": {"/list/a": b"1"}},
        "folders",
        {"/list/a": b"1"},
    ),
}


def test_specs_of_published_shapes_give_their_outputs(shared: Server, client: Client, tmp_path: Path) -> None:
    projects = [pfs.Project(name="staging"), pfs.Project(name="tutorial")]
    for project in projects:
        client.pfs.create_project(project=project)
    codes: dict[str, int] = {}
    for name, shape in SHAPES.items():
        for repo, files in shape.inputs.items():
            put(client, make_repo(client, repo), files)
        path = tmp_path / shape.name
        path.write_text(shape.text)
        codes[name] = main(["create", "pipeline", "-f", str(path), "--address", shared.address])

    outputs: dict[str, object] = {}
    for name, shape in SHAPES.items():
        commit = client.pfs.wait_commit(pfs.Commit.from_uri(f"{shape.output}@master"))
        outputs[name] = commit.error or files_of(client, f"{shape.output}@master")
    client.pps.delete_all()
    client.pfs.delete_repos(projects=projects)
    for project in projects:
        client.pfs.delete_project(project=project)

    assert set(codes.values()) == {0}
    assert outputs == {name: shape.expected for name, shape in SHAPES.items()}


def test_a_schedule_that_never_comes_is_run_by_hand(client: Client) -> None:
    by_hand = json.dumps(
        spec(
            "by-hand",
            {"cron": {"name": "tick", "spec": "0 0 31 2 *", "overwrite": True}},
            "date >/pfs/out/ran",
        )
    )
    client.pps.create_pipeline_v2(create_pipeline_request_json=by_hand)

    client.pps.run_cron(pipeline=pps.Pipeline(name="by-hand"))

    until(lambda: files_of(client, "by-hand@master"), "the output of the tick")


def test_a_pipeline_waits_for_the_trigger_of_its_input(client: Client) -> None:
    data = make_repo(client, "housing")
    trigger = {"size": "3KB"}
    fitted = spec("fitted", leaf("housing", "/*", trigger=trigger), "cp /pfs/housing/* /pfs/out/")
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(fitted))
    created = next(client.pps.list_job(pipeline=pps.Pipeline(name="fitted"))).job.id
    for name, size in {"/a": 1, "/b": 3000, "/c": 1}.items():
        put(client, data, {name: b"x" * size})

    written = until(lambda: files_of(client, "fitted@master"), "the output")
    jobs = [info.job.id for info in client.pps.list_job(pipeline=pps.Pipeline(name="fitted"))]

    assert set(written) == {"/a", "/b"}
    assert len(jobs) == 2
    assert jobs[-1] == created


def test_a_template_splits_its_arguments_and_makes_a_list(
    client: Client, shared: Server, tmp_path: Path
) -> None:
    put(client, make_repo(client, "left"), {"/a": b"1"})
    put(client, make_repo(client, "right"), {"/b": b"2"})
    path = tmp_path / "montage.jsonnet"
    path.write_text("""
        ////
        // suffix: what the name ends with. sources: repos or repo@branch, with commas between.
        ////
        function(suffix, sources, cmd='sh')
        assert std.length(suffix) > 0 : 'suffix must not be empty';
        local parts(text) = std.splitLimit(text, '@', 1);
        local input(text) = {pfs: {
          name: parts(text)[0], glob: '/', repo: parts(text)[0],
          branch: if std.length(parts(text)) > 1 then parts(text)[1] else 'master',
        }};
        [{
          pipeline: {name: 'montage-' + suffix},
          input: {cross: [input(text) for text in std.split(sources, ',')]},
          transform: {cmd: [cmd], stdin: ['cat /pfs/left/* /pfs/right/* >/pfs/out/montage']},
        }]
    """)
    words = [
        "create",
        "pipeline",
        "--jsonnet",
        str(path),
        "--arg",
        "suffix=1",
        "--arg",
        "sources=left,right@master",
    ]

    code = main([*words, "--address", shared.address])
    client.pfs.wait_commit(pfs.Commit.from_uri("montage-1@master"))

    assert code == 0
    assert files_of(client, "montage-1@master") == {"/montage": b"12"}


def test_a_program_that_reads_a_spec_as_a_message_and_passes_all_its_fields(client: Client) -> None:
    branch = make_repo(client, "housing")
    message = pps.CreatePipelineRequest().from_dict(
        spec("fitted", leaf("housing", "/*"), "cp /pfs/housing/* /pfs/out/")
    )

    client.pps.create_pipeline(**{field.name: getattr(message, field.name) for field in fields(message)})
    put(client, branch, {"/a": b"1"})
    client.pfs.wait_commit(pfs.Commit.from_uri("fitted@master"))

    assert files_of(client, "fitted@master") == {"/a": b"1"}


def test_a_program_that_looks_through_all_branches_and_pipelines(client: Client) -> None:
    branch = make_repo(client, "sensors")
    checked = json.dumps(
        spec("checked", leaf("sensors", "/*"), "mkdir -p /pfs/out/errors; cp /pfs/sensors/* /pfs/out/errors/")
    )
    client.pps.create_pipeline_v2(create_pipeline_request_json=checked)
    ended(client, pps.Pipeline(name="checked"), put(client, branch, {"/bad": b"1"}))

    by_branch = {
        info.branch.repo.name: [
            file.file.path for file in client.pfs.glob_file(commit=info.head, pattern="/errors/**")
        ]
        for info in client.pfs.list_branch()
        if info.branch.repo.type == "user"
    }
    walked = [
        info.file.path for info in client.pfs.walk_file(file=pfs.File.from_uri("default/checked@master"))
    ]

    assert by_branch == {"sensors": [], "checked": ["/errors/bad"]}
    assert walked == ["/", "/errors/", "/errors/bad"]
