"""Where the keys that seal secrets come from."""

from __future__ import annotations

import base64
import stat

import pytest

from trunkline.drivers.secret_keys import load
from trunkline.errors import FailedPrecondition, InvalidArgument

OLD, NEW = bytes(range(32)), bytes(reversed(range(32)))
TEXT = f"\n{base64.b64encode(NEW).decode()}\n  {OLD.hex()}  \n"


def test_keys_come_from_a_file_a_variable_or_a_command(tmp_path, monkeypatch):
    (tmp_path / "keys").write_text(TEXT)
    monkeypatch.setenv("THE_KEYS", TEXT)

    for source in (f"file:{tmp_path}/keys", "env:THE_KEYS", f"command:cat '{tmp_path}/keys'"):
        assert load(source, tmp_path) == [NEW, OLD]


def test_the_default_file_is_made_once_for_its_owner_alone(tmp_path):
    keys = load("", tmp_path)

    assert load("", tmp_path) == keys
    assert len(keys[0]) == 32
    assert stat.S_IMODE((tmp_path / "secrets.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("source", ["x", "file:", "vault:x", ":"])
def test_a_source_that_is_not_valid_is_refused(source, tmp_path):
    with pytest.raises(InvalidArgument):
        load(source, tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "file:/no/such/file",
        "env:NO_SUCH_VARIABLE",
        "command:false",
        "command:no-such-program",
        "command:echo hunter2",
    ],
)
def test_a_source_without_keys_is_refused_without_its_content(source, tmp_path):
    with pytest.raises(FailedPrecondition) as refused:
        load(source, tmp_path)

    assert "hunter2" not in refused.value.message
