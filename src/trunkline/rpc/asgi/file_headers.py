"""Headers of raw files: content types, tags and ranges (RFC 9110, sections 8.8, 13.1.5 and 14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from trunkline.rpc.asgi.responses import NO_SNIFF, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable

OCTETS = b"application/octet-stream"

#: Content types by the end of a name. None of them is run by a browser; markup and scripts are plain text.
_TYPES = {
    "png": b"image/png", "jpg": b"image/jpeg", "jpeg": b"image/jpeg", "gif": b"image/gif", "webp": b"image/webp",
    "avif": b"image/avif", "bmp": b"image/bmp", "ico": b"image/x-icon", "svg": b"image/svg+xml",
    "mp4": b"video/mp4", "m4v": b"video/mp4", "webm": b"video/webm", "ogv": b"video/ogg", "mov": b"video/quicktime",
    "mp3": b"audio/mpeg", "m4a": b"audio/mp4", "wav": b"audio/wav", "flac": b"audio/flac", "ogg": b"audio/ogg",
    "opus": b"audio/ogg",
    "json": b"application/json", "pdf": b"application/pdf",
    **dict.fromkeys(
        (
            "bash", "c", "cc", "cfg", "conf", "cpp", "css", "csv", "diff", "go", "h", "hpp", "htm", "html", "ini",
            "ipynb", "java", "js", "jsonl", "jsx", "kt", "log", "lua", "md", "mjs", "ndjson", "patch", "php", "pl",
            "proto", "py", "r", "rb", "rs", "rst", "sh", "sql", "swift", "tex", "toml", "ts", "tsv", "tsx", "txt",
            "vtt", "xhtml", "xml", "yaml", "yml",
        ),
        TEXT,
    ),
}  # fmt: skip

#: What every answer about a file carries: nothing in it is run or loads anything, and no other site embeds it.
SAFETY = (
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
)

_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII)


def content_type(path: str) -> bytes:
    """Return the content type of a file by its name."""
    return _TYPES.get(path.rpartition("/")[2].rpartition(".")[2].lower(), OCTETS)


def about_file(path: str, tag: bytes, *, is_fixed: bool, is_download: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that has a file, or says that the client has it.

    Args:
        path: of the file.
        tag: of its content, with its quotes.
        is_fixed: whether the address has the same content forever.
        is_download: whether browsers shall save the file instead of showing it.
    """
    headers = [
        (b"content-type", content_type(path)),
        (b"etag", tag),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, max-age=31536000, immutable" if is_fixed else b"no-cache"),
        NO_SNIFF,
        *SAFETY,
    ]
    if is_download:
        name = quote(path.rpartition("/")[2], safe="")
        headers.append((b"content-disposition", f"attachment; filename*=UTF-8''{name}".encode()))
    return headers


def part(headers: Iterable[tuple[bytes, bytes]], tag: bytes, size: int) -> tuple[int, int] | None:
    """Return the first byte and the number of bytes of the range that a request asks for; None for the whole file.

    Several ranges, other units, and ranges of a content that the file no longer has mean the whole file. A range
    without any byte of the file has the length 0.

    Args:
        headers: of the request.
        tag: of the content.
        size: bytes of the file.
    """
    ranges = ""
    for name, value in headers:
        if name == b"range":
            ranges = value.decode("latin-1")
        elif name == b"if-range" and value.strip() != tag:
            return None
    match = _RANGE.fullmatch(ranges)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        length = min(int(last), size)
        return size - length, length
    start = int(first)
    if last and int(last) < start:
        return None
    stop = min(int(last) + 1, size) if last else size
    return start, max(stop - start, 0)
