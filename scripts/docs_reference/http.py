"""What the port answers over HTTP: its addresses, the methods as JSON calls, and the status of each error."""

from __future__ import annotations

from docs_reference.markdown import code, table
from docs_reference.protocols import classes
from trunkline.rpc import methods
from trunkline.rpc.asgi import routing
from trunkline.rpc.asgi.web_calls import HTTP_STATUS
from trunkline.rpc.gen.comments import COMMENTS


def addresses() -> str:
    """Return what is at which address, as ``GET /`` tells it to programs."""
    lines = routing.WELCOME.partition("\n\n")[2].splitlines()
    rows = [(name, code(use)) for name, use in (line.split(None, 1) for line in lines)]
    return table(("What", "Where"), rows)


def statuses() -> str:
    """Return the status of HTTP for each code of an error."""
    by_status: dict[int, list[str]] = {}
    for name, status in HTTP_STATUS.items():
        if status != 200:
            by_status.setdefault(status, []).append(name)
    return table(
        ("HTTP", "Code"), [(str(status), ", ".join(by_status[status])) for status in sorted(by_status)]
    )


def calls() -> str:
    """Return the address of each RPC that is built, by service, with what goes in and out."""
    built = classes()
    lines = []
    for name, service in methods.SERVICES.items():
        rows = [
            (
                code(f"/api/{name}/{method.name}"),
                f"{code(method.input_type.name)}{' …' if method.client_streaming else ''}",
                f"{code(method.output_type.name)}{' …' if method.server_streaming else ''}",
                COMMENTS.get(method.full_name, "").partition("\n")[0],
            )
            for method in service.methods
            if hasattr(built.get(name), method.name)
        ]
        if rows:
            width = 4 if any(row[3] for row in rows) else 3
            heads = ("POST", "Body", "Answer", "What it does")
            about = COMMENTS.get(name, "")
            lines += [f"### {name}", "", *([about, ""] if about else [])]
            lines += [table(heads[:width], [row[:width] for row in rows]), ""]
    return "\n".join(lines)
