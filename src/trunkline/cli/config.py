"""Selects server and project: from options, environment and contexts.

Contexts are stored in ``$XDG_CONFIG_HOME/trunkline/config.json``; one of them is active. Without contexts, the
active context of pachctl's configuration is used, so that a machine with a configured pachctl needs no further
set-up. That file is never written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline.errors import FailedPrecondition, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ADDRESS = "localhost:30650"
DEFAULT_PROJECT = "default"


class Target(NamedTuple):
    """A server and a project, and where they were configured."""

    address: str
    project: str
    source: str
    #: Files with the certificates of CAs by which the server is verified over TLS.
    ca_files: tuple[str, ...] = ()
    #: Such certificates in PEM, of a context.
    ca: str = ""
    #: Sent with each call; empty for none.
    token: str = ""


def path(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of the configuration file."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")
    return os.path.join(base, "trunkline", "config.json")


def load(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the configuration: ``active_context``, ``contexts`` and ``active_transactions``.

    ``contexts`` are objects ``{"address", "project", "server_cas"}`` by name; ``server_cas`` is as in pachctl's
    contexts: certificates of CAs in PEM, encoded as base64. ``active_transactions`` are ids by the address
    of the server.

    Raises:
        FailedPrecondition: the file is not valid.
    """
    document = _read(path(environ))
    return {
        "active_context": document.get("active_context", ""),
        "contexts": document.get("contexts") or {},
        "active_transactions": document.get("active_transactions") or {},
    }


def active_transaction(address: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the id of the transaction that commands for a server are added to; empty for none.

    Args:
        address: of the server.
        environ: environment variables.
    """
    return str(load(environ)["active_transactions"].get(address, ""))


def set_active_transaction(address: str, id: str, environ: Mapping[str, str] = os.environ) -> None:
    """Set the transaction that commands for a server are added to.

    Args:
        address: of the server.
        id: of the transaction; empty for none.
        environ: environment variables.
    """
    settings = load(environ)
    settings["active_transactions"].pop(address, None)
    if id:
        settings["active_transactions"][address] = id
    save(settings, environ)


def save(config: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> None:
    """Replace the configuration atomically."""
    import json

    target = path(environ)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    partial = f"{target}.{os.getpid()}"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    os.replace(partial, target)


def target(
    address: str | None = None,
    context: str | None = None,
    project: str | None = None,
    environ: Mapping[str, str] = os.environ,
    ca: str | None = None,
) -> Target:
    """Return the selected server and project.

    The first of these names the server: ``address``, ``context``, TRUNKLINE_ADDRESS, PACHD_ADDRESS, TRUNKLINE_CONTEXT,
    the active context, pachctl's active context, localhost. In a pipeline's command, what the worker has set up comes
    before contexts. The first of these names the project: ``project``, the context, ``default``. The first of these
    names the CA: ``ca``, PACH_CA_CERTS, the context. The first of these is the token: PACH_TOKEN, pachctl's context.

    Args:
        address: HOST:PORT of ``--address``.
        context: name of ``--context``.
        project: name of ``--project``.
        environ: environment variables.
        ca: file of ``--ca``.

    Raises:
        NotFound: the named context does not exist.
        FailedPrecondition: the configuration is not valid.
    """
    selected = _selected(address, context, project, environ)
    if token := environ.get("PACH_TOKEN", ""):
        selected = selected._replace(token=token)
    files = (ca,) if ca else tuple(filter(None, environ.get("PACH_CA_CERTS", "").split(",")))
    return selected._replace(ca_files=files, ca="") if files else selected


def _selected(
    address: str | None, context: str | None, project: str | None, environ: Mapping[str, str]
) -> Target:
    chosen = context or environ.get("TRUNKLINE_CONTEXT", "")
    if address:
        return Target(address, project or DEFAULT_PROJECT, "--address")
    if not context:
        for variable in ("TRUNKLINE_ADDRESS", "PACHD_ADDRESS"):
            if environ.get(variable):
                return Target(environ[variable], project or DEFAULT_PROJECT, variable)
        if environ.get("PACH_IN_WORKER") and (own := _of_worker(project, environ)) is not None:
            return own
    config = load(environ)
    name = chosen or config["active_context"]
    if name:
        entry = config["contexts"].get(name)
        if entry is None:
            raise NotFound(
                f'context "{name}" not found in {path(environ)}; create it with'
                f' "trunkline config set context {name} --address HOST:PORT"'
            )
        cas = _decoded(entry.get("server_cas"), path(environ), name)
        chosen_project = project or entry.get("project") or DEFAULT_PROJECT
        return Target(entry["address"], chosen_project, f"context {name}", ca=cas)
    return _pachctls(project, environ) or Target(DEFAULT_ADDRESS, project or DEFAULT_PROJECT, "default")


def _of_worker(project: str | None, environ: Mapping[str, str]) -> Target | None:
    """Return the server of the worker that runs this command, and the pipeline's project."""
    if environ.get("PACH_CONFIG"):
        return _pachctls(project, environ)
    host, port = environ.get("PACHD_PEER_SERVICE_HOST"), environ.get("PACHD_PEER_SERVICE_PORT")
    if not host or not port:
        return None
    own = environ.get("PPS_PROJECT_NAME") or DEFAULT_PROJECT
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Target(place, project or own, "PACHD_PEER_SERVICE_HOST")


def _pachctls(project: str | None, environ: Mapping[str, str]) -> Target | None:
    source = environ.get("PACH_CONFIG") or os.path.join(_home(environ), ".pachyderm", "config.json")
    settings = _read(source).get("v2") or {}
    name = settings.get("active_context") or ""
    context = (settings.get("contexts") or {}).get(name) or {}
    if not context.get("pachd_address"):
        return None
    cas = _decoded(context.get("server_cas"), source, name)
    return Target(
        context["pachd_address"],
        project or context.get("project") or DEFAULT_PROJECT,
        source,
        ca=cas,
        token=context.get("session_token") or "",
    )


def encoded(certificates: bytes) -> str:
    """Return certificates in the form of ``server_cas``."""
    from binascii import b2a_base64

    return b2a_base64(certificates, newline=False).decode()


def _decoded(server_cas: str | None, source: str, name: str) -> str:
    if not server_cas:
        return ""
    from binascii import a2b_base64

    try:
        return a2b_base64(server_cas).decode("ascii")
    except ValueError as error:
        raise FailedPrecondition(
            f'server_cas of context "{name}" in {source} is not base64; set it again with --ca FILE'
        ) from error


def _read(source: str) -> dict[str, Any]:
    try:
        with open(source, encoding="utf-8") as file:
            import json

            document = json.load(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except ValueError as error:
        raise FailedPrecondition(f"{source} is not valid JSON ({error}); fix or remove it") from error
    if not isinstance(document, dict):
        raise FailedPrecondition(f"{source} does not hold a JSON object; fix or remove it")
    return document


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")
