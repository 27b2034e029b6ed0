"""A package index on 127.0.0.1, with packages made by hand, so that builds of images need no network."""

from __future__ import annotations

import http.server
import io
import tarfile
import threading
import zipfile


def make_wheel(name: str = "hello") -> bytes:
    """A package with a module and a command."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{name}.py", "def main():\n    print('hello from the image')\n")
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return content.getvalue()


def make_source(code: str, name: str = "evil") -> bytes:
    """A package in source form, whose code is run when it is built."""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path, text in (
            ("backend.py", code),
            ("pyproject.toml", project),
            ("PKG-INFO", f"Metadata-Version: 1.0\nName: {name}\nVersion: 1.0\n"),
        ):
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


class PackageIndex:
    """Serves packages; while ``held`` is not set nothing is answered."""

    def __init__(self) -> None:
        #: File name -> content.
        self.packages: dict[str, bytes] = {}
        self.held = threading.Event()
        self.held.set()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.held.wait()
                status, body = index.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple/"

    def answer(self, path: str) -> tuple[int, bytes]:
        if path.startswith("/files/"):
            return 200, self.packages[path.removeprefix("/files/")]
        name = path.strip("/").rpartition("/")[2]
        files = [file for file in self.packages if file.startswith(f"{name}-")]
        links = "".join(f'<a href="/files/{file}">{file}</a>' for file in files)
        return (200 if files else 404), links.encode()

    def close(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
