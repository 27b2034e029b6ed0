"""What an editor learns of a spec while it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import scale_calls

from trunkline.rpc.gen import control_pb2 as pb

if TYPE_CHECKING:
    from pps_world import PpsWorld

YAML = """\
pipeline: {name: copy}
transform: {cmd: ["true"]}
input: {pfs: {repo: in, glob: "/*"}}
"""


def check(world: PpsWorld, text: str) -> pb.SpecCheck:
    request = pb.CheckSpecRequest(text=text, project="default")
    [answer] = scale_calls.call(world, "trunkline.control.v1.Control/CheckSpec", request)
    assert isinstance(answer, pb.SpecCheck)
    return answer


def test_a_spec_without_mistakes_comes_with_its_defaults_and_the_plan(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1", "/b": b"2"})

    answer = check(world, YAML)

    assert (answer.code, answer.problem) == ("", "")
    assert '"project": {"name": "default"}' in answer.spec_json
    assert '"datum_tries": 3' in answer.effective_json
    assert (answer.plan.version, answer.plan.total, answer.plan.run) == (0, 2, 2)


@pytest.mark.parametrize(
    ("text", "code", "is_parsed"),
    [
        pytest.param("{", "INVALID_ARGUMENT", False, id="broken JSON"),
        pytest.param(f"{YAML}---\n{YAML}", "INVALID_ARGUMENT", False, id="two specs"),
        pytest.param(YAML.replace("transform", "transfrom"), "INVALID_ARGUMENT", True, id="unknown field"),
        pytest.param(YAML.replace("repo: in", "repo: absent"), "NOT_FOUND", True, id="unknown repo"),
        pytest.param("", "INVALID_ARGUMENT", False, id="nothing"),
    ],
)
def test_a_mistake_is_an_answer_and_not_an_error(
    world: PpsWorld, text: str, code: str, is_parsed: bool
) -> None:
    world.repo("in")

    answer = check(world, text)

    assert (answer.code, bool(answer.problem), bool(answer.spec_json)) == (code, True, is_parsed)
    assert not answer.HasField("plan")
