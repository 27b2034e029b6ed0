"""How workers reach the server that the settings describe."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import errors
from trunkline.app import drivers
from trunkline.app.settings import Settings

UNUSED: Any = None


def test_workers_that_are_processes_cannot_use_a_socket_in_the_data_folder(tmp_path):
    settings = Settings(data=tmp_path)

    with pytest.raises(errors.InvalidArgument, match="hidden from them"):
        drivers.fleet(settings, f"unix:{tmp_path}/t.sock", None, UNUSED, "c", UNUSED)


@pytest.mark.parametrize("address", ["unix:/run/t.sock", "127.0.0.1:1", "localhost:1", "0.0.0.0:1", "[::]:1"])
def test_pods_cannot_use_an_address_of_this_machine_alone(tmp_path, address):
    settings = Settings(data=tmp_path, fleet="kubernetes", worker_image="worker:1")

    with pytest.raises(errors.InvalidArgument, match="--advertise"):
        drivers.fleet(settings, address, None, UNUSED, "c", UNUSED)
