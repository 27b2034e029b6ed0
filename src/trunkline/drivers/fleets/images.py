"""Image environments: the definition of an image name where there are no containers.

A definition is a requirements list and files at absolute paths. It is stored under its content hash, and
its virtual environment is built once per hash, in the background, in a temporary folder that is renamed at the end;
so an incomplete one is never visible, and two processes that build the same one get the same result. Names are small
JSON files that refer to hashes and are replaced atomically.

::

    <folder>/names/<BLAKE3 of the name>.json      {"name": …, "hash": …}
    <folder>/by-hash/<hash>/definition.json       what workers read: files, and the venv to use
    <folder>/by-hash/<hash>/requirements.txt
    <folder>/by-hash/<hash>/files/<number>
    <folder>/by-hash/<hash>/venv/                 present when built
    <folder>/by-hash/<hash>/build.log
    <folder>/by-hash/<hash>/failed                present when the last build failed: its reason

Must not run anything of the image itself (``worker/image_build.py`` builds, in a process of its own), and must
not delete a definition that a worker may use: only names are deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import blake3
from msgspec import Struct

from trunkline import errors
from trunkline.errors import InvalidArgument, NotFound
from trunkline.linux import file_trees
from trunkline.model import limits
from trunkline.model import requirements as requirement_lists
from trunkline.model.names import check_image

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where an image may not lay files: the kernel's file systems, and the data of datums.
_RESERVED = ("/proc", "/sys", "/dev", "/pfs")
#: Lines of a failed build that make up its reason.
_LAST_LINES = 5


class ImageState(StrEnum):
    """The state of an image's environment."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class ImageEnvironment(Struct, frozen=True, kw_only=True):
    """The present state of an image environment."""

    name: str
    #: Hex BLAKE3 of the definition; two names with the same content share it.
    hash: str
    state: ImageState
    #: Why the build failed, for users; empty otherwise.
    reason: str
    #: JSON file that workers read.
    description: str
    #: Absolute paths of its files.
    files: tuple[str, ...]
    requirements: str


class ImageEnvironments:
    """The image environments in one folder. Thread-safe."""

    def __init__(
        self, folder: str | os.PathLike[str], hidden: Sequence[str] = (), *, sources: bool = False
    ) -> None:
        """Use a folder, which is created if it does not exist.

        Args:
            folder: the folder; nothing else may use it.
            hidden: folders that builds must not see, such as the server's data.
            sources: whether source packages may be built, which runs their code.
        """
        self._hidden = tuple(hidden)
        self._sources = sources
        self._names = Path(folder) / "names"
        self._by_hash = Path(folder) / "by-hash"
        for path in (self._names, self._by_hash):
            path.mkdir(parents=True, exist_ok=True)
        self._rename_name_files()
        self._lock = threading.Lock()  # guards the two below
        self._builds: dict[str, threading.Thread] = {}
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def create(
        self, name: str, requirements: str, files: Sequence[tuple[str, bytes, int]]
    ) -> ImageEnvironment:
        """Create or replace a definition, and start its build unless it is built already.

        Args:
            name: image name as pipelines use it, such as ``pachyderm/opencv``.
            requirements: names of packages with versions, one a line; empty for none.
            files: absolute path, content and permission bits of each file.

        Raises:
            InvalidArgument: the name, a path or a requirement is not valid.
        """
        if not name:
            raise InvalidArgument("the image has no name; name it")
        check_image(name)
        _check_paths([path for path, _, _ in files])
        requirement_lists.parse(requirements)
        files = sorted(files)
        content_hash = _hash(requirements, files)
        home = self._by_hash / content_hash
        if not (home / "definition.json").exists():
            self._store(home, requirements, files)
        (home / "failed").unlink(missing_ok=True)
        self._build_if_needed(content_hash)
        _write_atomically(self._name_file(name), {"name": name, "hash": content_hash})
        return self._read(name, content_hash)

    def resolve(self, name: str) -> ImageEnvironment | None:
        """Return the environment of the name; None when it is not defined."""
        try:
            named = json.loads(self._name_file(name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        self._build_if_needed(named["hash"])  # a build that a restart of the server interrupted
        return self._read(name, named["hash"])

    def list(self) -> list[ImageEnvironment]:
        """Return all environments, ordered by name."""
        names = sorted(json.loads(file.read_text("utf-8"))["name"] for file in self._names.glob("*.json"))
        return [image for name in names if (image := self.resolve(name)) is not None]

    def delete(self, name: str) -> None:
        """Delete the name; pipelines that use it run on the machine's own tools from then on.

        Raises:
            NotFound: the name is not defined.
        """
        try:
            self._name_file(name).unlink()
        except FileNotFoundError:
            raise NotFound(f'image "{name}" does not exist; see "trunkline list image"') from None

    def wait(self, name: str, seconds: float) -> ImageEnvironment | None:
        """Wait at most ``seconds`` until the build has ended; return the state after that."""
        image = self.resolve(name)
        if image is not None:
            with self._lock:
                build = self._builds.get(image.hash)
            if build is not None:
                build.join(seconds)
        return self.resolve(name)

    def close(self) -> None:
        """Stop builds; they start again when the image is next used."""
        with self._lock:
            self._closed = True
            builds = list(self._builds.values())
            for process in self._processes:
                process.kill()
        for build in builds:
            build.join()

    def _name_file(self, name: str) -> Path:
        return self._names / f"{blake3.blake3(name.encode()).hexdigest()}.json"

    def _rename_name_files(self) -> None:
        """Give the files of earlier versions, which were called by the percent-encoded name, their new names."""
        for file in self._names.glob("*.json"):
            current = self._name_file(json.loads(file.read_text("utf-8"))["name"])
            if file != current:
                file.rename(current)

    def _read(self, name: str, content_hash: str) -> ImageEnvironment:
        home = self._by_hash / content_hash
        requirements = (home / "requirements.txt").read_text("utf-8")
        definition = json.loads((home / "definition.json").read_text("utf-8"))
        reason = ""
        state = ImageState.READY
        if _needs_venv(requirements) and not (home / "venv").exists():
            state = ImageState.BUILDING
            try:
                reason = (home / "failed").read_text("utf-8")
                state = ImageState.FAILED
            except FileNotFoundError:
                pass
        return ImageEnvironment(
            name=name,
            hash=content_hash,
            state=state,
            reason=reason,
            description=str(home / "definition.json"),
            files=tuple(entry["path"] for entry in definition["files"]),
            requirements=requirements,
        )

    def _store(self, home: Path, requirements: str, files: Sequence[tuple[str, bytes, int]]) -> None:
        """Write the definition to a temporary folder and rename it."""
        draft = self._by_hash / f".draft-{uuid.uuid4().hex}"
        (draft / "files").mkdir(parents=True)
        entries = []
        for number, (path, content, mode) in enumerate(files):
            (draft / "files" / str(number)).write_bytes(content)
            entries.append(
                {"path": path, "source": str(home / "files" / str(number)), "mode": mode & 0o777 or 0o644}
            )
        (draft / "requirements.txt").write_text(requirements, "utf-8")
        venv = str(home / "venv") if _needs_venv(requirements) else None
        (draft / "definition.json").write_text(json.dumps({"venv": venv, "files": entries}), "utf-8")
        try:
            draft.rename(home)
        except OSError:
            if not (home / "definition.json").exists():
                raise
            shutil.rmtree(draft)  # another process was faster with the same content

    def _build_if_needed(self, content_hash: str) -> None:
        home = self._by_hash / content_hash
        with self._lock:
            if self._closed or (content_hash in self._builds and self._builds[content_hash].is_alive()):
                return
            if not _needs_venv((home / "requirements.txt").read_text("utf-8")):
                return
            if (home / "venv").exists() or (home / "failed").exists():
                return
            build = threading.Thread(
                target=self._build, args=(home,), name=f"image-{content_hash[:8]}", daemon=True
            )
            self._builds[content_hash] = build
            build.start()

    def _build(self, home: Path) -> None:
        work = home / f"build-{uuid.uuid4().hex}"
        reason = ""
        try:
            requirement_lists.parse(
                (home / "requirements.txt").read_text("utf-8")
            )  # an earlier version took any
            work.mkdir()
            shutil.copyfile(home / "requirements.txt", work / "requirements.txt")
            with open(home / "build.log", "ab") as log:
                code = self._run(work, log)
            if code:
                reason = f"exit code {code}: {_tail(home / 'build.log')}"
            else:
                _take_over(work / "venv")
                _relocate(work / "venv", home / "venv")
                (work / "venv").rename(home / "venv")
        except InvalidArgument as error:
            reason = error.message
        except OSError as error:
            if not (home / "venv").exists():  # else another process was faster
                reason = str(error)
        finally:
            with contextlib.suppress(OSError):
                file_trees.remove_tree(str(work))
        if reason and not self._closed:
            (home / "failed").write_text(reason, "utf-8")

    def _run(self, work: Path, log: BinaryIO) -> int:
        """Build ``work/venv`` in a process of its own; ``worker/image_build.py`` says how."""
        with self._lock:
            if self._closed:
                return -1
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "trunkline.worker.image_build", str(work)),
                    *(["--sources"] if self._sources else []),
                ],
                env=dict(os.environ)
                | {
                    "TRUNKLINE_HIDDEN": os.pathsep.join(self._hidden),
                    "TRUNKLINE_READABLE": os.pathsep.join(software_folders()),
                },
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o022,
            )
            self._processes.add(process)
        try:
            return process.wait()
        finally:
            with self._lock:
                self._processes.discard(process)


def software_folders() -> list[str]:
    """Return the folders of the interpreter and of Trunkline, which workers must be able to read."""
    folders = {sys.prefix, sys.base_prefix, str(Path(errors.__file__).parents[1])}
    return sorted(folders | {folder for folder in sys.path if os.path.isdir(folder)})


def _take_over(venv: Path) -> None:
    """Make the server the owner of an environment that an unprivileged user has built."""
    waiting = [str(venv)]
    for folder in waiting:
        os.lchown(folder, os.geteuid(), os.getegid())
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    os.lchown(entry.path, os.geteuid(), os.getegid())


def _needs_venv(text: str) -> bool:
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return any(lines)


def _hash(requirements: str, files: Sequence[tuple[str, bytes, int]]) -> str:
    """Return the content hash, which includes the interpreter's version, because packages depend on it."""
    hasher = blake3.blake3()
    parts = [b"trunkline image 1", sys.version.encode(), requirements.encode()]
    for path, content, mode in files:
        parts += [path.encode(), content, f"{mode & 0o777:o}".encode()]
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()


def _check_paths(paths: Sequence[str]) -> None:
    seen = set(paths)
    if len(seen) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise InvalidArgument(f"image file {twice} is given twice; give each path once")
    for path in paths:
        if len(path.encode()) > limits.PATH or any(
            len(name.encode()) > limits.PATH_ELEMENT for name in path.split("/")
        ):
            raise InvalidArgument(
                f'image file "{path[:100]}…" has a path of more than {limits.PATH:,} bytes or a name of more than '
                f"{limits.PATH_ELEMENT}; shorten it"
            )
        if not path.startswith("/") or os.path.normpath(path) != path or path == "/" or "\0" in path:
            raise InvalidArgument(
                f'image file "{path}" must be an absolute path without "." and "..", like /edges.py'
            )
        if any(path == reserved or path.startswith(reserved + "/") for reserved in _RESERVED):
            raise InvalidArgument(
                f"image file {path} lies below a reserved folder; choose one outside {_RESERVED}"
            )
        for parent in Path(path).parents:
            if str(parent) in seen:
                raise InvalidArgument(f"image file {path} lies below the file {parent}; rename one of them")


def _relocate(draft: Path, final: Path) -> None:
    """Rewrite the paths in an environment's scripts to the folder that it will be renamed to."""
    for script in (draft / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        script.write_bytes(content.replace(os.fsencode(draft), os.fsencode(final)))


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:])


def _write_atomically(target: Path, content: object) -> None:
    draft = target.with_name(f".{uuid.uuid4().hex}")
    draft.write_text(json.dumps(content), "utf-8")
    draft.replace(target)
