"""The image example with the published pachyderm-sdk, without any of Trunkline's code.

    pip install pachyderm-sdk
    trunkline serve --data somewhere &
    trunkline create image pachyderm/opencv --from examples/opencv/image
    python examples/opencv/story_sdk.py localhost 30650 picture.jpg …

Puts pictures into a repo, lets one pipeline find their edges and a second one make a montage of both, changes a
picture, and shows that only this one runs again. Saves the montage as montage.png.
"""

import json
import sys
from pathlib import Path

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

IMAGES = pfs.Repo(name="images")
MASTER = pfs.Branch(repo=IMAGES, name="master")
EDGES = pps.Pipeline(name="edges")
MONTAGE = pps.Pipeline(name="montage")


def run(
    client: Client,
    pictures: dict[str, bytes],
    *,
    image: str = "pachyderm/opencv",
    cmd: tuple[str, ...] = ("python3", "/edges.py"),
    montage_cmd: tuple[str, ...] = ("python3", "/montage.py"),
) -> bytes:
    """Run the example and return the montage.

    Args:
        client: connected to a server without the repos and pipelines named here.
        pictures: content by file name, at least two.
        image: image of the commands.
        cmd: command that finds the edges of the pictures in /pfs/images.
        montage_cmd: command that makes /pfs/out/montage.png from /pfs/images and /pfs/edges.
    """
    client.pfs.create_repo(repo=IMAGES)

    # A pipeline as an object: up to five workers, none while there is no work.
    client.pps.create_pipeline(
        pipeline=EDGES,
        description="Finds the edges in every picture.",
        transform=pps.Transform(cmd=list(cmd), image=image),
        input=pps.Input(pfs=pps.PfsInput(repo="images", glob="/*")),
        parallelism_spec=pps.ParallelismSpec(constant=5),
        autoscaling=True,
    )
    # A pipeline as JSON, as in a spec file.
    spec = {
        "pipeline": {"name": "montage"},
        "transform": {"cmd": list(montage_cmd), "image": image},
        "input": {"cross": [{"pfs": {"repo": repo, "glob": "/"}} for repo in ("images", "edges")]},
        "autoscaling": True,
    }
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))

    print(f"{len(pictures)} pictures go in …")
    with client.pfs.commit(branch=MASTER) as first:
        for name, data in pictures.items():
            first.put_file_from_bytes(path=f"/{name}", data=data)
    done = wait_for(client, EDGES, first.id)
    wait_for(client, MONTAGE, first.id)
    assert done.data_processed == len(pictures)

    print("one picture is replaced by another …")
    changed, other = sorted(pictures)[:2]
    with client.pfs.commit(branch=MASTER) as second:
        second.delete_file(path=f"/{changed}")
        second.put_file_from_bytes(path=f"/{changed}", data=pictures[other])
    done = wait_for(client, EDGES, second.id)
    wait_for(client, MONTAGE, second.id)
    assert (done.data_processed, done.data_skipped) == (1, len(pictures) - 1)

    edges = pfs.Commit(repo=pfs.Repo(name="edges"), id=second.id)
    for datum in client.pps.list_datum(job=pps.Job(pipeline=EDGES, id=second.id)):
        print(f"  {datum.data[0].file.path}: {pps.DatumState(datum.state).name.lower()}")
    for line in client.pps.get_logs(job=pps.Job(pipeline=EDGES, id=second.id)):
        if line.user:
            print(f"  log: {line.message.rstrip()}")
    root = pfs.File(commit=edges, path="/")
    assert len(list(client.pfs.list_file(file=root))) == len(pictures)
    assert len(list(client.pfs.glob_file(commit=edges, pattern="/*"))) == len(pictures)
    differing = {change.new_file.file.path for change in client.pfs.diff_file(new_file=root)}
    assert any(changed.partition(".")[0] in path for path in differing)
    assert not any(path.strip("/") in pictures and path != f"/{changed}" for path in differing)

    montage = pfs.File(commit=pfs.Commit(repo=pfs.Repo(name="montage"), id=second.id), path="/montage.png")
    with client.pfs.pfs_file(montage) as file:
        return file.read()


def wait_for(client: Client, pipeline: pps.Pipeline, commit_id: str) -> pps.JobInfo:
    """Wait until the job of a commit has succeeded, and print its counters.

    Args:
        client: connected to the server.
        pipeline: the job's pipeline.
        commit_id: the commit whose job it is.
    """
    info = client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=commit_id), wait=True)
    assert info.state == pps.JobState.JOB_SUCCESS, (
        f"{pipeline.name}: {pps.JobState(info.state).name}: {info.reason}"
    )
    seconds = (info.finished - info.created).total_seconds()
    print(f"  {pipeline.name}: {info.data_processed} run, {info.data_skipped} skipped, {seconds:.2f} s")
    return info


if __name__ == "__main__":
    host, port, *files = sys.argv[1:]
    montage = run(Client(host, int(port)), {Path(file).name: Path(file).read_bytes() for file in files})
    Path("montage.png").write_bytes(montage)
    print(f"montage.png: {len(montage):,} bytes")
