"""Changes the spec of a pipeline in an editor."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from trunkline.cli.commands.pipeline_specs import in_project
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import Command, argument
from trunkline.cli.specs import read_specs
from trunkline.errors import TrunklineError
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

#: Where an editor is looked for when --editor names none.
_VARIABLES = ("EDITOR", "VISUAL")
_DEFAULT = "vi"


def edit(invocation: Invocation) -> None:
    """Open the spec of a pipeline in an editor, and update the pipeline when the spec was changed.

    Raises:
        UsageError: the editor cannot be started, or failed.
    """
    options = invocation.options
    pipeline = invocation.pipeline(options.name)
    info = invocation.pps.InspectPipeline(pps_pb2.InspectPipelineRequest(pipeline=pipeline, details=True))
    before = json.loads(info.user_spec_json)
    form = options.output or "json"
    handle, path = tempfile.mkstemp(prefix=f"{pipeline.name}-", suffix=f".{form}")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(_text(before, form))
    try:
        _open(options.editor, path)
        specs = read_specs(path)
        if len(specs) != 1:
            raise UsageError(f"the file holds {len(specs)} specs; leave the one of the pipeline in it")
        if specs[0] == before:
            invocation.note(f"pipeline {pipeline.project.name}/{pipeline.name} is unchanged")
            os.unlink(path)
            return
        edited = in_project(specs[0], invocation.project)
        if _named(edited) != (pipeline.project.name, pipeline.name):
            raise UsageError(
                f"the spec names another pipeline than {pipeline.project.name}/{pipeline.name}; a pipeline cannot be"
                ' renamed, use "trunkline create pipeline" for a new one'
            )
        text = json.dumps(edited)
        request = pps_pb2.CreatePipelineV2Request(
            create_pipeline_request_json=text, update=True, reprocess=options.reprocess
        )
        invocation.pps.CreatePipelineV2(request)
    except TrunklineError as error:
        error.message = f"{error.message}; the text is still in {path}"
        raise
    os.unlink(path)
    invocation.report("updated", "pipeline", f"{pipeline.project.name}/{pipeline.name}")


def _named(spec: dict[str, Any]) -> tuple[str, str]:
    """Return project and name of the pipeline in a spec; what is not valid is for the server to refuse."""
    pipeline = spec.get("pipeline")
    if not isinstance(pipeline, dict):
        return "", ""
    project = pipeline.get("project") or {"name": "default"}
    return str(project.get("name", "")) if isinstance(project, dict) else "", str(pipeline.get("name", ""))


def _text(spec: dict[str, Any], form: str) -> str:
    if form == "yaml":
        import yaml

        return str(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True))
    return json.dumps(spec, indent=2, ensure_ascii=False) + "\n"


def _open(editor: str | None, path: str) -> None:
    command = editor or next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), _DEFAULT)
    try:
        code = subprocess.run([*shlex.split(command), path], check=False).returncode
    except OSError as error:
        raise UsageError(
            f'the editor "{command}" cannot be started: {error.strerror}; name another with --editor or $EDITOR'
        ) from error
    if code:
        raise UsageError(f'the editor "{command}" ended with exit code {code}; the pipeline is unchanged')


COMMANDS = {
    "edit pipeline": Command(
        edit,
        (
            argument("name", metavar="PIPELINE", help="pipeline, or project/pipeline"),
            argument("--editor", metavar="COMMAND", help="the editor ($EDITOR, $VISUAL, or vi)"),
            argument("--reprocess", action="store_true", help="run all datums again"),
            argument(
                "-o",
                "--output",
                choices=("json", "yaml"),
                help="the form of the text (json); json also prints what was changed as JSON",
            ),
        ),
        examples=(
            ("trunkline edit pipeline count", "change its spec in $EDITOR and update it"),
            ('trunkline edit pipeline count --editor "code --wait"', "in another editor"),
        ),
    ),
}
