"""Addresses of the handbook's pages, as help and errors name them."""

from __future__ import annotations

import pytest

from trunkline.handbook_pages import LIMITS, address_of, page_of_command


def test_a_command_of_several_words_has_one_page() -> None:
    assert page_of_command("list", "job") == "reference/cli/list-job/"


@pytest.mark.parametrize(
    ("server", "tls", "address"),
    [
        ("127.0.0.1:30650", False, "http://127.0.0.1:30650/docs/reference/limits/"),
        ("data.example.org:443", True, "https://data.example.org:443/docs/reference/limits/"),
        ("unix:/run/trunkline.sock", False, "/docs/reference/limits/"),
    ],
)
def test_the_address_of_a_page_is_on_the_server_in_use(server: str, tls: bool, address: str) -> None:
    assert address_of(server, LIMITS, tls=tls) == address
