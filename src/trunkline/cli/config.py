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


def path(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of the configuration file."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")
    return os.path.join(base, "trunkline", "config.json")


def load(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the configuration: ``{"active_context": name, "contexts": {name: {"address", "project"}}}``.

    Raises:
        FailedPrecondition: the file is not valid.
    """
    document = _read(path(environ))
    return {"active_context": document.get("active_context", ""), "contexts": document.get("contexts") or {}}


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
) -> Target:
    """Return the selected server and project.

    The first of these names the server: ``address``, ``context``, TRUNKLINE_ADDRESS, PACHD_ADDRESS, TRUNKLINE_CONTEXT,
    the active context, pachctl's active context, localhost. The first of these names the project: ``project``, the
    context, ``default``.

    Args:
        address: HOST:PORT of ``--address``.
        context: name of ``--context``.
        project: name of ``--project``.
        environ: environment variables.

    Raises:
        NotFound: the named context does not exist.
    """
    chosen = context or environ.get("TRUNKLINE_CONTEXT", "")
    if address:
        return Target(address, project or DEFAULT_PROJECT, "--address")
    if not context:
        for variable in ("TRUNKLINE_ADDRESS", "PACHD_ADDRESS"):
            if environ.get(variable):
                return Target(environ[variable], project or DEFAULT_PROJECT, variable)
    config = load(environ)
    name = chosen or config["active_context"]
    if name:
        entry = config["contexts"].get(name)
        if entry is None:
            raise NotFound(
                f'context "{name}" not found in {path(environ)}; create it with'
                f' "trunkline config set context {name} --address HOST:PORT"'
            )
        return Target(entry["address"], project or entry.get("project") or DEFAULT_PROJECT, f"context {name}")
    return _pachctls(project, environ) or Target(DEFAULT_ADDRESS, project or DEFAULT_PROJECT, "default")


def _pachctls(project: str | None, environ: Mapping[str, str]) -> Target | None:
    source = environ.get("PACH_CONFIG") or os.path.join(_home(environ), ".pachyderm", "config.json")
    settings = _read(source).get("v2") or {}
    context = (settings.get("contexts") or {}).get(settings.get("active_context")) or {}
    if not context.get("pachd_address"):
        return None
    return Target(context["pachd_address"], project or context.get("project") or DEFAULT_PROJECT, source)


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
