"""What debug dumps leave out."""

from __future__ import annotations

import pytest

from trunkline.model.redaction import MASK, Redactor, masked


def test_a_spec_keeps_its_structure_and_loses_what_may_be_secret() -> None:
    strings: set[str] = set()
    spec = {
        "pipeline": {"name": "edges", "project": {"name": "art"}},
        "input": {"cron": {"name": "tick", "spec": "@daily"}, "pfs": {"repo": "images", "glob": "/*"}},
        "transform": {"cmd": ["sh"], "env": {"NAME": "hunter2"}, "secrets": [{"name": "db"}]},
        "egress": {"URL": "s3://key:word@bucket"},
        "podPatch": '[{"op": "add"}]',
        "parallelismSpec": {"constant": 3},
        "autoscaling": True,
    }

    result = masked(spec, strings)

    assert result["pipeline"] == spec["pipeline"]
    assert result["input"] == spec["input"]
    assert result["transform"] == {"cmd": [MASK], "env": {"NAME": MASK}, "secrets": [{"name": MASK}]}
    assert (result["egress"], result["podPatch"]) == ({"URL": MASK}, MASK)
    assert (result["parallelismSpec"], result["autoscaling"]) == ({"constant": 3}, True)
    assert strings == {"sh", "hunter2", "db", "s3://key:word@bucket", '[{"op": "add"}]'}


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:hunter2@db/main",
        "GET https://host/path?sig=hunter2&x=1",
        "Authorization: Bearer hunter2",
        "DB_PASSWORD=hunter2",
        '{"api_key": "hunter2"}',
        "worker-token: hunter2",
        "a known secret: abc hunter2 def",
    ],
)
def test_free_text_loses_credentials(text: str) -> None:
    assert "hunter2" not in Redactor({"abc hunter2 def"}).text(text)
