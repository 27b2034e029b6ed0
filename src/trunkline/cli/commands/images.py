"""Local environments for image names: requirements and files that stand for an image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trunkline.cli import deletion, output
from trunkline.cli.parsing import CHANGING, SHOWING, TIMEOUT, Command, argument
from trunkline.cli.watch import waiting
from trunkline.errors import NotFound, TrunklineError
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.cli.invocation import Invocation

PIECE = 1 << 20  # bytes of a file in one message
NAME = argument("name", metavar="IMAGE", help="image name as in specs, such as pachyderm/opencv")


def create(invocation: Invocation) -> None:
    """Define the environment of an image name by a folder with ``requirements.txt`` and ``files/``."""
    options = invocation.options
    requests = frames(options.name, options.folder)
    with waiting.for_text(invocation, f"building image {options.name}"):
        info = invocation.control.CreateImage(requests, invocation.timeout)
    if info.state == "failed":
        raise TrunklineError(f"image {info.name} could not be built: {info.reason}")
    files = ", ".join(info.paths) or "no files"
    invocation.report(
        "created", "image", info.name, f"; it is {info.state} and has {files}", state=info.state
    )


def frames(name: str, folder: str) -> Iterator[control_pb2.CreateImageRequest]:
    """Yield the messages that describe an image.

    Raises:
        NotFound: the folder has neither requirements nor files.
    """
    requirements = os.path.join(folder, "requirements.txt")
    root = os.path.join(folder, "files")
    if not os.path.isfile(requirements) and not os.path.isdir(root):
        raise NotFound(f"{folder} has neither requirements.txt nor files/; name the folder of an image")
    first = control_pb2.CreateImageRequest(name=name)
    if os.path.isfile(requirements):
        with open(requirements, encoding="utf-8") as file:
            first.requirements = file.read()
    yield first
    for parent, subfolders, names in os.walk(root):
        subfolders.sort()
        for file_name in sorted(names):
            path = os.path.join(parent, file_name)
            yield from _file(path, "/" + os.path.relpath(path, root))


def _file(source: str, path: str) -> Iterator[control_pb2.CreateImageRequest]:
    mode = os.stat(source).st_mode & 0o777
    with open(source, "rb") as file:
        piece = file.read(PIECE)
        while True:
            yield control_pb2.CreateImageRequest(
                files=[control_pb2.ImageFile(path=path, data=piece, mode=mode)]
            )
            piece = file.read(PIECE)
            if not piece:
                return


def list_(invocation: Invocation) -> None:
    """List the image names with a local environment."""

    def row(info: control_pb2.ImageInfo) -> Sequence[str]:
        state = f"{info.state}: {info.reason}" if info.reason else info.state
        return info.name, info.digest[:12], state, output.one_line(", ".join(info.paths))

    images = invocation.control.ListImage(control_pb2.ListImageRequest())
    columns = ("NAME", "DIGEST", "STATE", "FILES")
    output.show_many(invocation, images, columns, row, lambda info: info.name)


def delete(invocation: Invocation) -> None:
    """Delete the local environment of an image name."""
    name = invocation.options.name

    def losses() -> list[deletion.Loss]:
        images = invocation.control.ListImage(control_pb2.ListImageRequest())
        return deletion.listed("image", name, [image.name for image in images])

    if not deletion.is_wanted(invocation, losses):
        return
    invocation.control.DeleteImage(control_pb2.DeleteImageRequest(name=name))
    invocation.report("deleted", "image", name)


COMMANDS = {
    "create image": Command(
        create,
        (
            NAME,
            argument(
                "--from",
                dest="folder",
                metavar="FOLDER",
                required=True,
                help="folder with requirements.txt, and with the files of / of the image below files/",
            ),
            TIMEOUT,
            *CHANGING,
        ),
        examples=(
            ("trunkline create image wordcount:1 --from image", "define an image by the folder image"),
        ),
    ),
    "list image": Command(
        list_,
        SHOWING,
        examples=(("trunkline list image", "show the image definitions"),),
    ),
    "delete image": Command(
        delete,
        (NAME, deletion.DRY_RUN, *CHANGING),
        examples=(("trunkline delete image wordcount:1", "delete an image definition"),),
    ),
}
