"""Runs one program of a client: ``python -I -S helper.py FOLDER``, started by ``drivers.programs.processes``.

FOLDER holds the libraries. Requests and replies are lines of JSON on standard input and output. The first request is
``{"jq": FILTER}`` or ``{"jsonnet": TEMPLATE, "arguments": {…}}``, its reply ``{}`` or ``{"json": …}``. Before that, a
template may ask for imports: ``{"import": [FOLDER, NAME]}``, answered by ``{"path": …, "content": …}``. With jq,
requests that are lists follow: the texts of some messages, each in JSON; the reply is ``{"passes": [true, …]}``. The
last reply may be ``{"error": …}``.

The limits are the kernel's, because neither library has any: processor time for each request, memory, and no more open
files than the three that there are, so that a program can read no file and open no connection. It imports nothing of
Trunkline, because it starts for each call.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Processor time for each request, in seconds.
TIME = 0.5
#: Address space. A process of Go reserves more than it uses.
MEMORY = {"jq": 512 << 20, "jsonnet": 2 << 30}
#: Characters of a rendered template.
OUTPUT = 8 << 20
#: Characters of an error.
ERROR = 2_000


def main() -> None:
    """Answer the requests on standard input."""
    os.nice(5)
    request = json.loads(sys.stdin.readline())
    sys.path.append(sys.argv[1])
    replies = _filter(request["jq"]) if "jq" in request else _render(request)
    try:
        for reply in replies:
            _send(reply)
    except (ValueError, RuntimeError) as error:
        _send({"error": _described(str(error))})
    except MemoryError:
        _send({"error": "it needs too much memory"})


def _described(error: str) -> str:
    # jq looks for modules before it fails to open them, and says whether they exist.
    imports = "module not found" in error or "Could not open" in error
    return "modules cannot be imported" if imports else error[:ERROR]


def _filter(expression: str) -> Iterator[dict[str, Any]]:
    import jq

    _limit(MEMORY["jq"])
    program = jq.compile(expression)
    yield {}
    for line in sys.stdin:
        _restart_timer()
        # Like Pachyderm: a message is left out when the first value is false or null, or when there is none.
        values = [next(iter(program.input_text(text)), None) for text in json.loads(line)]
        yield {"passes": [value is not None and value is not False for value in values]}


def _render(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import _gojsonnet

    _limit(MEMORY["jsonnet"])
    rendered = _gojsonnet.evaluate_snippet(
        "template", request["jsonnet"], tla_vars=request["arguments"], import_callback=_import
    )
    if len(rendered) > OUTPUT:
        raise ValueError(f"it has {len(rendered):,} characters, the limit is {OUTPUT:,}")
    yield {"json": rendered}


def _import(folder: str, name: str) -> tuple[str, bytes]:
    _send({"import": [folder, name]})
    reply = json.loads(sys.stdin.readline())
    return reply["path"], reply["content"].encode()


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _restart_timer()


def _restart_timer() -> None:
    signal.setitimer(signal.ITIMER_PROF, TIME)


def _send(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
