"""What a server loads when it starts: libraries that only an option needs are not among it."""

from __future__ import annotations

import subprocess
import sys

#: By the option that needs them.
OPTIONAL = {
    "prometheus_client": "--metrics",
    "http.server": "--metrics",
    "psycopg": "--database",
    "opentelemetry": "OTEL_EXPORTER_OTLP_ENDPOINT",
}


def test_a_server_loads_no_library_that_only_an_option_needs():
    script = "import sys, trunkline.app.serve as _; print(*sorted(set(sys.modules) & set(sys.argv[1:])))"

    loaded = subprocess.run(
        [sys.executable, "-c", script, *OPTIONAL], check=True, capture_output=True, text=True
    ).stdout.split()

    assert loaded == []
