"""The worker's connection: who it says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.worker import api

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from fake_server import FakeServer


def test_a_token_that_the_kubelet_renews_is_sent_as_it_is_now(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "TOKEN_SECONDS", 0.0)
    token = tmp_path / "token"
    token.write_text("first\n")
    connection = api.ServerAPI(server.address, "w", "", str(token))

    with connection._connection:
        connection.register(1)
        token.write_text("renewed\n")
        connection.register(1)

    assert [each["worker-token"] for each in server.metadata] == ["first", "renewed"]
    assert {each["worker-id"] for each in server.metadata} == {"w"}
