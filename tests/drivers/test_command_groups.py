"""The process fleet and the control groups of its commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from control_groups import new_group

from trunkline.drivers.fleets import command_groups

GREEDY_SERVER = """
import json, logging, os, sys, threading
sys.path[:0] = {paths!r}
from fake_server import FakeServer, assignment
from trunkline.drivers.fleets import command_groups
from trunkline.drivers.fleets.images import ImageEnvironments
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.linux import cgroups
from trunkline.model.spec import PipelineSpec, ResourceSpec
from trunkline.model.workers import WorkerSpec
from trunkline.ports import ServerAddress

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(getattr(record, "enforced_by", record.getMessage()))
logging.getLogger("trunkline.fleet").addHandler(handler)
logging.getLogger("trunkline.fleet").setLevel("INFO")

own = cgroups.own_group()
left = f"{{own}}/trunkline-command-of-a-former-server"
os.mkdir(left)
server = FakeServer()
assignment(server, {{"in": {{"/f": b""}}}}, [sys.executable, "-c", "x = b'x' * (300 << 20)"])
images = ImageEnvironments("{folder}/images")
fleet = ProcessFleet(ServerAddress(server.address), "{folder}/fleet", images, command_groups=command_groups.use_own())
facts = {{"enforced by": messages, "leftover": os.path.exists(left)}}
spec = PipelineSpec(resource_limits=ResourceSpec(memory="100Mi"))
worker = dict(worker_id="1" * 32, token="t", project="default", pipeline="edges", version=1, memory=0)
fleet.start(WorkerSpec(**worker, pipeline_spec=spec))
server.wait_until(server.results)
facts["reason"] = server.results()[0].reason
while not all(each.phase.name == "GONE" for each in fleet.observe()):
    threading.Event().wait(0.01)
facts["groups"] = [entry.name for entry in os.scandir(own) if entry.is_dir()]
fleet.close(0.0)
images.close()
server.close()
print(json.dumps(facts))
"""


def test_a_fleet_in_a_delegated_group_lets_the_kernel_enforce_memory_limits(tmp_path):
    """Runs only where a memory controller of version 2 exists."""
    folder = Path(__file__).parent
    script = GREEDY_SERVER.format(paths=[str(folder.parent), str(folder.parent / "worker")], folder=tmp_path)

    with new_group("memory") as group:
        command = [
            "sh",
            "-c",
            f'echo 0 > {group}/cgroup.procs && exec "$@"',
            "-",
            sys.executable,
            "-c",
            script,
        ]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert ran.returncode == 0, ran.stderr
    facts = json.loads(ran.stdout)
    assert "resource_limits.memory is 100 MiB" in facts.pop("reason")
    assert facts == {"enforced by": ["cgroup"], "leftover": False, "groups": ["trunkline-server"]}


def test_a_fleet_without_a_delegated_group_says_that_workers_poll(tmp_path, caplog):
    caplog.set_level("INFO", "trunkline.fleet")

    groups = command_groups.use_own(lambda: str(tmp_path))

    assert [record.enforced_by for record in caplog.records] == ["polling"]
    assert groups.create("a", 1 << 20) == ""
