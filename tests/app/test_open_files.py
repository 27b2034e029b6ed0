"""The limit of open files, which bounds connections."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

from trunkline.app import drivers
from trunkline.app.settings import Settings
from trunkline.model.port_limits import PortLimits
from trunkline.runtime import open_files

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PROGRAM = """
import resource, subprocess
number = resource.RLIMIT_NOFILE
hard = resource.getrlimit(number)[1]
resource.setrlimit(number, (256, hard))
from trunkline.runtime import open_files
open_files.raise_limit()
with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
    open_files.restore_limit(child.pid)
    print(resource.getrlimit(number)[0], resource.prlimit(child.pid, number)[0])
    child.stdin.close()
"""


def test_the_server_raises_its_limit_and_its_programs_get_what_it_was_started_with() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = open_files.MOST if hard == resource.RLIM_INFINITY else min(hard, open_files.MOST)

    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert run.stdout.split() == [str(most), "256"]


async def test_a_limit_too_low_for_the_connections_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data=tmp_path, listen=("127.0.0.1:0",), limits=PortLimits(connections=1 << 40))

    await drivers.http_server(settings).close()

    assert [record.action for record in caplog.records] == ["connections_limited"]
