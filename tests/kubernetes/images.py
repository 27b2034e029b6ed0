"""Images from local files, as archives that container runtimes import: no registry, no engine, no network.

An image here is a list of layers, a layer a tar file. The archive has the form that ``docker save`` writes
(manifest.json, one configuration, layer tars). Layers that take long to make, a Debian with Python and the packages
in it, are kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
IMAGE_TOOLS = ("busybox", "debootstrap", "buildah", "tar")
PAUSE = "trunkline.test/pause:1"
BUSYBOX = "trunkline.test/busybox:1"
#: The base that images with Python stand on.
SUITE = "bookworm"


def cache() -> Path:
    """Return the folder for what is made once."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "trunkline"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def archive(to: Path, name: str, layers: Sequence[Path], **config: Any) -> Path:
    """Write an image of these layers; ``config`` is that of the image: Env, Cmd, Entrypoint, User, WorkingDir."""
    digests = [digest_of(layer) for layer in layers]
    described = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]} | config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    configuration = json.dumps(described).encode()
    own = hashlib.sha256(configuration).hexdigest() + ".json"
    manifest = [{"Config": own, "RepoTags": [name], "Layers": [f"{digest}/layer.tar" for digest in digests]}]
    with tarfile.open(to, "w") as tar:
        add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
        add_bytes(tar, own, configuration)
        for digest, layer in zip(digests, layers, strict=True):
            tar.add(layer, f"{digest}/layer.tar")
    return to


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_bytes(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    """Add a file to a tar."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def files_layer(
    to: Path, files: Mapping[str, bytes | Path], folders: Sequence[str] = (), mode: int = 0o755
) -> Path:
    """Write a layer of single files; a path stands for the file there."""
    with tarfile.open(to, "w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder.strip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "/tmp" else 0o755
            tar.addfile(entry)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            add_bytes(tar, name.strip("/"), data, mode)
    return to


def busybox(folder: Path, name: str, **config: Any) -> Path:
    """Write an image that has a shell and nothing else."""
    program = shutil.which("busybox") or ""
    layer = folder / "busybox.tar"
    if not layer.exists():
        applets = subprocess.run(
            [program, "--list"], capture_output=True, text=True, check=True
        ).stdout.split()
        with tarfile.open(layer, "w") as tar:
            for each in ("bin", "tmp", "etc"):
                entry = tarfile.TarInfo(each)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if each == "tmp" else 0o755
                tar.addfile(entry)
            add_bytes(tar, "bin/busybox", Path(program).read_bytes(), 0o755)
            for applet in sorted(set(applets) - {"busybox"}):
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
    return archive(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:12]}.tar", name, [layer], **config)


def pause(folder: Path) -> Path:
    """Write the image of the container that holds a pod's namespaces."""
    return busybox(folder, PAUSE, Entrypoint=["/bin/sleep", "infinity"])


def debian_layer() -> Path:
    """Return a layer with a small Debian and its Python, made once; ``scripts/build-images`` uses the same."""
    layer = cache() / f"debian-{SUITE}-{ARCHITECTURES[platform.machine()]}.tar"
    if layer.exists():
        return layer
    root = cache() / f"debian-{os.getpid()}"
    try:
        _run("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITE, root)
        for waste in (
            "var/cache/apt",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(root / waste, ignore_errors=True)
        return _tarred(root, layer)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def packages_layer(requirements: Sequence[str]) -> Path:
    """Return a layer with Python packages for the Python of the Debian layer, made once per list."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256("\n".join([SUITE, *requirements]).encode()).hexdigest()[:16]
    layer = cache() / f"packages-{key}.tar"
    if layer.exists():
        return layer
    root = cache() / f"packages-{os.getpid()}"
    target = root / "usr/local/lib/python3.11/dist-packages"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        target,
        "--only-binary=:all:",
    ]
    if version != "3.11":  # Debian bookworm's
        pip += ["--python-version", "3.11"]
    try:
        _run(*pip, *requirements)
        return _tarred(root, layer)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _tarred(root: Path, tar: Path) -> Path:
    part = tar.with_suffix(f".new-{os.getpid()}")
    _run("tar", "--create", "--numeric-owner", "--sort=name", "--file", part, "--directory", root, "./")
    part.replace(tar)
    return tar


def _run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(
            f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}"
        )
