"""What the fields of inputs mean; see ``spec_help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import limits
from trunkline.model.spec import CronInput, Input, PfsInput, PropagationSpec, Trigger
from trunkline.model.spec_help_entry import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = f"1 to {limits.NAME} letters, digits, `-` and `_`"
_LEFT = {"pfs": {"repo": "images", "glob": "/*"}}
_RIGHT = {"pfs": {"repo": "labels", "glob": "/*"}}
_KEYED_LEFT = {"repo": "images", "glob": "/(*).png"}
_KEYED_RIGHT = {"repo": "labels", "glob": "/(*).txt"}

INPUTS: Mapping[type, Mapping[str, Entry]] = {
    Input: {
        "pfs": Entry(
            "Files of a branch: each file or folder that the glob matches is a datum.",
            _LEFT,
            mistake={"pfs": {"repo": "my images"}},
        ),
        "join": Entry(
            "Combines the files of several inputs that have the same `join_on` key.",
            {
                "join": [
                    {"pfs": {**_KEYED_LEFT, "join_on": "$1"}},
                    {"pfs": {**_KEYED_RIGHT, "join_on": "$1"}},
                ]
            },
            "One datum for each combination of one file of every input. A key that one input lacks has no datum, "
            "unless an input has `outer_join`.",
            mistake={"join": [_LEFT, _RIGHT]},
        ),
        "group": Entry(
            "Collects all files with the same `group_by` key in one datum.",
            {"group": [{"pfs": {"repo": "images", "glob": "/(*)-*.png", "group_by": "$1"}}]},
            mistake={"group": [_LEFT]},
        ),
        "cross": Entry(
            "Combines each datum of one input with each of the others.",
            {"cross": [_LEFT, _RIGHT]},
            "The numbers of datums multiply: 100 and 50 files make 5,000 datums.",
            mistake={"cross": [_LEFT, _LEFT]},
        ),
        "union": Entry(
            "The datums of all its inputs, one after the other.",
            {"union": [_LEFT, _RIGHT]},
            "Each datum has files of one of the inputs.",
            mistake={"union": [_LEFT, {}]},
        ),
        "cron": Entry(
            "Runs the pipeline on a schedule: each tick is an empty file in a repo of the pipeline.",
            {"cron": {"name": "tick", "spec": "@every 1h"}},
            mistake={"cron": {"name": "tick"}},
        ),
    },
    PfsInput: {
        "project": Entry(
            "Project of the repo.",
            {"repo": "images", "project": "art", "glob": "/*"},
            default="the project of the pipeline",
            range=f"1 to {limits.PIPELINE_NAME} letters, digits, `-` and `_`",
            mistake={"repo": "images", "project": "my art", "glob": "/*"},
        ),
        "name": Entry(
            "Name of the input: its folder below `/pfs`, and an environment variable of the command.",
            {"repo": "images", "name": "pictures", "glob": "/*"},
            "Inputs that a command sees at the same time need different names. `out` is reserved.",
            default="the name of the repo",
            range=_NAME,
            mistake={"repo": "images", "name": "out", "glob": "/*"},
        ),
        "repo": Entry(
            "Repo that the files are read from. It must exist when the pipeline is created.",
            {"repo": "images", "glob": "/*"},
            default="required",
            range=_NAME,
            mistake={"repo": "", "glob": "/*"},
        ),
        "repo_type": Entry(
            "Type of the repo: `meta` has the results of the datums of a pipeline, `spec` its specs.",
            {"repo": "images", "repo_type": "user", "glob": "/*"},
            default='"user"',
            range="user, meta, spec",
            mistake={"repo": "images", "repo_type": "build", "glob": "/*"},
        ),
        "branch": Entry(
            "Branch whose commits start jobs.",
            {"repo": "images", "branch": "staging", "glob": "/*"},
            default='"master"; with `trigger` a branch of its own',
            range=f"1 to {limits.NAME} characters",
            mistake={"repo": "images", "branch": "a b", "glob": "/*"},
        ),
        "commit": Entry(
            "Id of a commit to read instead of the head of the branch.",
            {"repo": "images", "commit": "0123456789ab40cdb123456789abcdef", "glob": "/*"},
            default="the head of the branch",
            unit="32 hexadecimal digits",
            mistake={"repo": "images", "commit": "newest", "glob": "/*"},
        ),
        "glob": Entry(
            "Pattern of paths: each file or folder that it matches is one datum.",
            {"repo": "images", "glob": "/*"},
            "`/` makes one datum of the whole repo, `/*` one of each name at the top, `/*/*` one of each name in "
            "the folders there, `/**` one of each file and folder at any depth. Groups in parentheses are keys for "
            "`join_on` and `group_by`.",
            default="required",
            range=f"1 to {limits.GLOB:,} characters",
            mistake={"repo": "images", "glob": "/[a"},
        ),
        "join_on": Entry(
            "Key of a file within a `join`: `$1` is the text of the first group of the glob.",
            {**_KEYED_LEFT, "join_on": "$1"},
            "`$0` is the whole path, `$$` a dollar.",
            mistake={"repo": "images", "glob": "/*.png", "join_on": "$1"},
        ),
        "outer_join": Entry(
            "Within a `join`, keep the files of this input whose key the other inputs lack.",
            {**_KEYED_LEFT, "join_on": "$1", "outer_join": True},
        ),
        "group_by": Entry(
            "Key of a file within a `group`: `$1` is the text of the first group of the glob.",
            {"repo": "images", "glob": "/(*)-*.png", "group_by": "$1"},
            mistake={"repo": "images", "glob": "/*.png", "group_by": "$1"},
        ),
        "lazy": Entry(
            "Give the command named pipes: a file is fetched when the command opens it.",
            {"repo": "images", "glob": "/", "lazy": True},
            "For commands that read a few of many files, each once and from its beginning. A service gets whole "
            "files.",
        ),
        "empty_files": Entry(
            "Give the command the names of the files without their content.",
            {"repo": "images", "glob": "/", "empty_files": True},
            "A link in `/pfs/out` to such a file becomes the whole file in the output, without any transfer.",
        ),
        "s3": Entry(
            "Give the command an S3 endpoint instead of files. Not built: it is refused.",
            {"repo": "images", "glob": "/", "s3": True},
            mistake={"repo": "images", "glob": "/", "s3": True},
        ),
        "trigger": Entry(
            "Starts jobs only when enough has changed: the input reads a branch that moves on a condition.",
            {"repo": "images", "glob": "/*", "trigger": {"branch": "master", "commits": 10}},
            mistake={"repo": "images", "glob": "/*", "trigger": {"branch": "master"}},
        ),
        "propagation_spec": Entry(
            "Says whether commits of this input start jobs.",
            {"repo": "images", "glob": "/*", "propagation_spec": {"never": True}},
        ),
        "reference": Entry(
            "Do not run datums again when only the content of this input's files changes.",
            {"repo": "images", "glob": "/*", "reference": True},
            "Datums run again when names of files come or go, or when files of other inputs change.",
        ),
    },
    Trigger: {
        "branch": Entry(
            "Branch of the same repo whose commits are judged.",
            {"branch": "staging", "commits": 10},
            default='"master"',
            mistake={"branch": "a b", "commits": 10},
        ),
        "all": Entry(
            "Every condition must hold, not just one of them.",
            {"branch": "master", "commits": 10, "size": "100MB", "all": True},
        ),
        "rate_limit_spec": Entry(
            "Condition: the schedule has ticked between the commits of the two branches.",
            {"branch": "master", "rate_limit_spec": "@every 1h"},
            unit="a schedule, as in `input.cron.spec`",
            range=f"at most {limits.SCHEDULE:,} bytes",
            mistake={"branch": "master", "rate_limit_spec": "hourly"},
        ),
        "size": Entry(
            "Condition: the files have grown by at least this size.",
            {"branch": "master", "size": "100MB"},
            unit="bytes, with a decimal suffix such as `100MB`",
            mistake={"branch": "master", "size": "large"},
        ),
        "commits": Entry(
            "Condition: there are at least so many new commits.",
            {"branch": "master", "commits": 10},
            unit="commits",
            range="1 or more",
            mistake={"branch": "master", "commits": -1},
        ),
        "cron_spec": Entry(
            "Moves the branch to the newest finished commit at each tick of a schedule. Stands alone.",
            {"branch": "master", "cron_spec": "@daily"},
            unit="a schedule, as in `input.cron.spec`",
            range=f"at most {limits.SCHEDULE:,} bytes",
            mistake={"branch": "master", "cron_spec": "@daily", "commits": 10},
        ),
    },
    PropagationSpec: {
        "never": Entry(
            "Commits of this input start no jobs; jobs that other inputs start read its newest files.",
            {"never": True},
        ),
    },
    CronInput: {
        "name": Entry(
            "Name of the input: its folder below `/pfs`, and the end of the name of its repo.",
            {"name": "tick", "spec": "@daily"},
            default="required",
            range=_NAME,
            mistake={"spec": "@daily"},
        ),
        "project": Entry(
            "Project of the repo of ticks.",
            {"name": "tick", "spec": "@daily", "project": "default"},
            default="the project of the pipeline",
            mistake={"name": "tick", "spec": "@daily", "project": "my art"},
        ),
        "repo": Entry(
            "Repo of the ticks.",
            {"name": "tick", "spec": "@daily", "repo": "ticks"},
            "A repo that the spec names stays when the pipeline is deleted.",
            default="`PIPELINE_INPUT`, which is deleted with the pipeline",
            mistake={"name": "tick", "spec": "@daily", "repo": "my ticks"},
        ),
        "commit": Entry(
            "Refused: a cron input reads its newest tick.",
            {"name": "tick", "spec": "@daily", "commit": "0123456789ab40cdb123456789abcdef"},
            mistake={"name": "tick", "spec": "@daily", "commit": "0123456789ab40cdb123456789abcdef"},
        ),
        "spec": Entry(
            "The schedule, in UTC.",
            {"name": "tick", "spec": "0 6 * * 1-5"},
            "Five fields as in cron, `@every 90s`, `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly` or `@never`. "
            "`CRON_TZ=Europe/Berlin ` in front sets another time zone.",
            default="required",
            unit="a schedule",
            range=f"at most {limits.SCHEDULE:,} bytes",
            mistake={"name": "tick", "spec": "61 * * * *"},
        ),
        "overwrite": Entry(
            "Keep only the newest tick as a file; without it the files of all ticks stay.",
            {"name": "tick", "spec": "@daily", "overwrite": True},
        ),
        "start": Entry(
            "Time from which ticks are made; those since then are made at once.",
            {"name": "tick", "spec": "@yearly", "start": "2026-01-01T00:00:00Z"},
            default="when the pipeline is created",
            unit="RFC 3339",
            range=f"at most {limits.MISSED_TICKS:,} ticks in the past",
            mistake={"name": "tick", "spec": "@daily", "start": "yesterday"},
        ),
    },
}
