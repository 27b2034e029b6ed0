"""Serves what describes the API: OpenAPI at ``/openapi``, a page to browse it, JSON Schema of messages and of specs.

A document is made when it is asked for, which takes a tenth of a second; those without the many schemas are kept.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from importlib.resources import files
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.rpc.asgi import json_schema, openapi, rest
from trunkline.rpc.asgi.responses import JSON, is_known, respond, respond_text, tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import Descriptor

    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.methods import Method

#: The page loads nothing from elsewhere. Its components style themselves with attributes.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    b" img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = {
    "/openapi/ui/": ("openapi.html", b"text/html; charset=utf-8"),
    "/openapi/ui/rapidoc-min.js": ("rapidoc-min.js", b"text/javascript; charset=utf-8"),
    "/openapi/ui/rapidoc-min.js.LICENSE.txt": ("rapidoc-min.js.LICENSE.txt", b"text/plain; charset=utf-8"),
}
#: zlib's number for the format of gzip with the largest window.
_GZIP = 31
#: The schema of pipeline specs, as people write them.
SPEC_SCHEMA = "/jsonschema/pipeline-spec.schema.json"
_DEFINITIONS = "#/definitions/"
_SUFFIX = ".schema.json"


class _Document(Struct, frozen=True):
    """A response's body, compressed with gzip, which nearly all clients read."""

    compressed: bytes
    kind: bytes
    tag: bytes


class Documents:
    """Answers ``/openapi`` and what is below it, the JSON Schema of each message, and that of specs."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """Make it.

        Args:
            methods: by path.
        """
        self._methods = methods
        self._cache: dict[str, _Document] = {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            await respond_text(send, 405, f"{scope['method']} is not supported for {path}; use GET")
        elif path == "/openapi/ui":
            await respond(send, 308, b"", extra=[(b"location", b"/openapi/ui/")])
        else:
            document = self._cache.get(path) or await asyncio.to_thread(self._make, path)
            if document is None:
                hint = "use /openapi, /openapi/ui or /jsonschema/<package>/<Message>.schema.json"
                await respond_text(send, 404, f"nothing is served at {path}; {hint}")
            else:
                if not path.startswith("/jsonschema/"):
                    self._cache[path] = document
                await _send(scope, send, document)

    def _make(self, path: str) -> _Document | None:
        if path == "/openapi":
            api = openapi.document(self._methods.values(), rest.PREFIX)
            return _document(json.dumps(api).encode(), JSON)
        if path == SPEC_SCHEMA:
            from trunkline.model import (
                spec_schema,  # has the texts of all fields, which a start does not need
            )

            return _document(spec_schema.text().encode(), JSON)
        if path in _PAGE:
            name, kind = _PAGE[path]
            return _document((files("trunkline.rpc.asgi") / "static" / name).read_bytes(), kind)
        package, _, name = path.removeprefix("/jsonschema/").removesuffix(_SUFFIX).rpartition("/")
        message = self._messages().get(f"{package}.{name}")
        if message is None or path != f"/jsonschema/{package}/{name}{_SUFFIX}":
            return None
        schema = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            **json_schema.reference(message, _DEFINITIONS),
            "definitions": json_schema.schemas([message], _DEFINITIONS),
        }
        return _document(json.dumps(schema).encode(), JSON)

    def _messages(self) -> dict[str, Descriptor]:
        """Return the messages of the API by full name: those of the methods' files."""
        of_files = {method.input_type.file.name: method.input_type.file for method in self._methods.values()}
        return {
            message.full_name: message
            for file in of_files.values()
            for message in file.message_types_by_name.values()
        }


def _document(body: bytes, kind: bytes) -> _Document:
    encoder = zlib.compressobj(9, wbits=_GZIP)
    compressed = encoder.compress(body) + encoder.flush()
    return _Document(compressed, kind, tag_of(body))


async def _send(scope: Scope, send: Send, document: _Document) -> None:
    """Send a document, compressed where the client reads that, or say that the client has it."""
    sent = dict(scope["headers"])
    headers = [
        (b"etag", document.tag),
        (b"cache-control", b"no-cache"),
        (b"vary", b"accept-encoding"),
        (b"content-security-policy", _POLICY),
    ]
    if is_known(scope["headers"], document.tag):
        await respond(send, 304, b"", document.kind, headers)
    elif b"gzip" in sent.get(b"accept-encoding", b""):
        await respond(
            send, 200, document.compressed, document.kind, [*headers, (b"content-encoding", b"gzip")]
        )
    else:
        await respond(send, 200, zlib.decompress(document.compressed, _GZIP), document.kind, headers)
