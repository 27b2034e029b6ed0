"""The system's Chromium, as tests and benchmarks start it."""

from __future__ import annotations

import shutil

#: None where there is none.
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Without a GPU and without requests of the browser's own.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
