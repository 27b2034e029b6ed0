"""Contexts: names for servers and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.cli import config, output
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, Command, argument
from trunkline.errors import NotFound

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

NAME = argument("name", metavar="CONTEXT", help="name of the context")


def get(invocation: Invocation) -> None:
    """Show a context, or the selected server and project and where they were configured."""
    name = invocation.options.name
    target = config.target(context=name) if name else invocation.target
    print(f"address  {target.address}\nproject  {target.project}\nfrom     {target.source}")
    if target.ca_files or target.ca:
        print(f"ca       {','.join(target.ca_files) or 'of the context'}")


def set_(invocation: Invocation) -> None:
    """Create or change a context and use it."""
    _change(invocation, config.load(), activates=True)


def update(invocation: Invocation) -> None:
    """Change a context, without using it."""
    settings = config.load()
    _require(settings, invocation.options.name)
    _change(invocation, settings, activates=False)


def get_active(_: Invocation) -> None:
    """Print the name of the active context.

    Raises:
        NotFound: none is active.
    """
    active = config.load()["active_context"]
    if not active:
        raise NotFound('no context is active; choose one with "trunkline config set active-context NAME"')
    print(active)


def set_active(invocation: Invocation) -> None:
    """Use a context from now on."""
    name = invocation.options.name
    settings = config.load()
    _require(settings, name)
    settings["active_context"] = name
    config.save(settings)
    invocation.report("set", "active context", name)


def _require(settings: dict[str, Any], name: str) -> None:
    """Raise NotFound when a context does not exist."""
    if name not in settings["contexts"]:
        raise NotFound(
            f'context "{name}" not found in {config.path()}; "trunkline config list context" lists them'
        )


def _change(invocation: Invocation, settings: dict[str, Any], *, activates: bool) -> None:
    from trunkline.client import address

    options = invocation.options
    if not options.name or any(c.isspace() or not c.isprintable() for c in options.name):
        raise UsageError(
            f'"{options.name}" is not a valid context name; use no spaces and no control characters'
        )
    context = settings["contexts"].get(options.name, {})
    if options.address:
        address.parse(options.address)
        context["address"] = options.address
    if options.ca:
        context["server_cas"] = config.encoded(_read(options.ca))
    if "address" not in context:
        raise UsageError(f"context {options.name} needs an address; add --address HOST:PORT")
    if options.project:
        context["project"] = options.project
    settings["contexts"][options.name] = context
    if activates:
        settings["active_context"] = options.name
    config.save(settings)
    note = f" for {context['address']}" + ("; it is the active one" if activates else "")
    invocation.report("set" if activates else "updated", "context", options.name, note)


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError as error:
        raise UsageError(f"cannot read the CA file {file}: {error.strerror}; correct --ca") from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise UsageError(f"the CA file {file} contains no certificate in PEM; correct --ca")
    return content


def list_(invocation: Invocation) -> None:  # noqa: ARG001 - every command takes it
    """List contexts."""
    settings = config.load()
    rows = [
        (
            "*" if name == settings["active_context"] else "",
            name,
            context["address"],
            context.get("project", ""),
        )
        for name, context in sorted(settings["contexts"].items())
    ]
    output.table(("ACTIVE", "NAME", "ADDRESS", "PROJECT"), rows)


def delete(invocation: Invocation) -> None:
    """Delete a context."""
    name = invocation.options.name
    settings = config.load()
    _require(settings, name)
    del settings["contexts"][name]
    if settings["active_context"] == name:
        settings["active_context"] = ""
    config.save(settings)
    invocation.report("deleted", "context", name)


COMMANDS = {
    "config get context": Command(
        get,
        (argument("name", metavar="CONTEXT", nargs="?", help="name of the context (the one in use)"),),
        examples=(("trunkline config get context", "show the server in use and where it was set"),),
    ),
    "config set context": Command(
        set_,
        (NAME, *CHANGING),
        examples=(
            (
                "trunkline config set context lab --address grpcs://lab:30650 --ca ca.pem",
                "name a server, and use it",
            ),
            ("trunkline config set context local --address localhost:30650 --project art", "with a project"),
        ),
    ),
    "config update context": Command(
        update,
        (NAME, *CHANGING),
        examples=(("trunkline config update context lab --project art", "change the project of a context"),),
    ),
    "config get active-context": Command(
        get_active,
        examples=(("trunkline config get active-context", "print the name of the context in use"),),
    ),
    "config set active-context": Command(
        set_active,
        (NAME, *CHANGING),
        examples=(("trunkline config set active-context lab", "use a context from now on"),),
    ),
    "config list context": Command(
        list_,
        examples=(("trunkline config list context", "show all contexts"),),
    ),
    "config delete context": Command(
        delete,
        (NAME, *CHANGING),
        examples=(("trunkline config delete context lab", "delete a context; the server is not changed"),),
    ),
}
