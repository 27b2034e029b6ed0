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
    """Create a context and use it, or change one without using it.

    Raises:
        UsageError: its name is not valid, or it exists and no option changes it.
    """
    name, settings = invocation.options.name, config.load()
    if name in settings["contexts"]:
        _change(invocation, settings, name)
    else:
        _create(invocation, settings, name)


def update(invocation: Invocation) -> None:
    """Change a context, by default the active one.

    Raises:
        NotFound: it does not exist.
        UsageError: no option changes it.
    """
    settings = config.load()
    name = invocation.options.name or _active(settings)
    _require(settings, name)
    _change(invocation, settings, name)


def get_active(_: Invocation) -> None:
    """Print the name of the active context.

    Raises:
        NotFound: none is active.
    """
    print(_active(config.load()))


def _active(settings: dict[str, Any]) -> str:
    active: str = settings["active_context"]
    if not active:
        raise NotFound('no context is active; choose one with "trunkline config set active-context NAME"')
    return active


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


def _create(invocation: Invocation, settings: dict[str, Any], name: str) -> None:
    """Add a context, for the server in use when no option names one, and use it."""
    if any(c.isspace() or not c.isprintable() or c == "/" for c in name) or not name:
        raise UsageError(
            f'"{name}" is not a valid context name; use no spaces, slashes and control characters'
        )
    target = invocation.target
    context = {"address": target.address}
    if target.ca:
        context["server_cas"] = config.encoded(target.ca.encode())
    settings["contexts"][name] = context
    settings["active_context"] = name
    _fill(invocation, context)
    config.save(settings)
    source = "" if invocation.options.address else f" (from {target.source})"
    invocation.report("created", "context", name, f" for {context['address']}{source}; it is the active one")


def _change(invocation: Invocation, settings: dict[str, Any], name: str) -> None:
    """Change a context that exists. Which one is active stays."""
    active = settings["active_context"] == name
    use = f'"trunkline config set active-context {name}" uses it'
    context = settings["contexts"][name]
    if not _fill(invocation, context):
        raise UsageError(
            f"nothing changes context {name}; give --address, --project or --ca{'' if active else f', or {use}'}"
        )
    config.save(settings)
    invocation.report(
        "updated", "context", name, f" for {context['address']}" + ("" if active else f"; {use}")
    )


def _fill(invocation: Invocation, context: dict[str, str]) -> bool:
    """Set what the options say; return whether they say anything."""
    from trunkline.client import address
    from trunkline.model.names import check_project

    options = invocation.options
    if options.address:
        address.parse(options.address)
        context["address"] = options.address
    if options.ca:
        context["server_cas"] = config.encoded(_read(options.ca))
    if options.project:
        context["project"] = check_project(options.project)
    return bool(options.address or options.ca or options.project)


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
            ("trunkline config set context art --project art", "a project on the server in use"),
        ),
    ),
    "config update context": Command(
        update,
        (
            argument("name", metavar="CONTEXT", nargs="?", help="name of the context (the active one)"),
            argument("--pachd-address", dest="address", metavar="HOST:PORT", help="the same as --address"),
            argument("--server-cas", dest="ca", metavar="FILE", help="the same as --ca"),
            *CHANGING,
        ),
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
