"""An error about a name that does not exist says what helps."""

import json

import grpc
import pytest
from cli_messages import Refusal

from trunkline.rpc.gen import console_pb2

ID = "0b9c2f60b4cf4b1e9d3c63f0a4b8f5d1"


def missing(server, call, message, **deletion):
    server.answers[call] = Refusal(grpc.StatusCode.NOT_FOUND, message)
    server.answers["FindDeletion"] = console_pb2.Deletion(**deletion)


@pytest.mark.parametrize(
    ("words", "refusal", "deletion", "expected"),
    [
        (
            ("inspect", "repo", "imags"),
            ("InspectRepo", "repo default/imags not found"),
            {"kind": "repo", "similar": ["images", "imprints"]},
            {"project": "default", "repo": "imags"},
        ),
        (
            ("list", "file", "images@mastr:/"),
            ("ListFile", 'branch "mastr" not found in repo default/images'),
            {"kind": "branch", "similar": ["master"]},
            {"project": "default", "repo": "images", "ref": "mastr"},
        ),
        (
            ("inspect", "pipeline", "vision/edge"),
            ("InspectPipeline", 'pipeline "vision/edge" not found'),
            {"kind": "pipeline", "similar": ["edges"]},
            {"project": "vision", "pipeline": "edge"},
        ),
        (
            ("inspect", "job", f"edge@{ID}"),
            ("InspectJob", 'pipeline "default/edge" not found'),
            {"kind": "pipeline", "similar": ["edges"]},
            {"project": "default", "pipeline": "edge", "job_id": ID},
        ),
    ],
)
def test_the_server_is_asked_for_names_like_the_one_that_is_missing(
    run, server, words, refusal, deletion, expected
):
    missing(server, *refusal, **deletion)

    outcome = run(*words)

    assert outcome.code == 3
    hint = outcome.err.splitlines()[1]
    assert hint.startswith("hint: ")
    assert all(name in hint for name in deletion["similar"])
    assert server.only("FindDeletion") == console_pb2.FindDeletionRequest(**expected)


def test_of_several_names_the_one_of_the_message_is_asked_for(run, server):
    missing(server, "CreateBranch", "repo default/b not found", kind="repo", similar=["bb"])

    run("create", "branch", "a@x", "--head", "b@y")

    assert server.only("FindDeletion").repo == "b"


def test_a_project_that_has_the_name_and_a_deletion_are_part_of_the_hint(run, server):
    missing(server, "InspectRepo", "repo default/images not found", kind="repo", projects=["vision"])
    server.answers["FindDeletion"].at.FromSeconds(1_000_000_000)

    error = json.loads(run("inspect", "repo", "images", "-o", "json").err)

    assert error["code"] == "NOT_FOUND"
    assert "--project vision" in error["hint"]
    assert "days ago" in error["hint"]


@pytest.mark.parametrize("answer", [console_pb2.Deletion(), Refusal(grpc.StatusCode.UNIMPLEMENTED, "no")])
def test_without_a_helpful_answer_there_is_no_hint(run, server, answer):
    missing(server, "InspectRepo", "repo default/images not found")
    server.answers["FindDeletion"] = answer

    assert "hint" not in run("inspect", "repo", "images").err
