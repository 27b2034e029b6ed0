"""The topics of ``trunkline help``: tables about the whole command line.

The pages of the same names in the handbook's reference are made from them. Loaded only to show one.
"""

from __future__ import annotations

from typing import NamedTuple

from trunkline.cli import exit_codes


class Section(NamedTuple):
    """A part of a topic: a sentence or more, then a table."""

    title: str
    text: str
    #: Headings of the table.
    heads: tuple[str, str] = ("", "")
    rows: tuple[tuple[str, str], ...] = ()


class Topic(NamedTuple):
    """A page of help that is about no single command."""

    title: str
    #: One sentence.
    summary: str
    sections: tuple[Section, ...]


#: Meaning of each exit code.
EXIT_CODES: tuple[tuple[int, str], ...] = (
    (exit_codes.OK, "success"),
    (exit_codes.FAILURE, "failed for a reason without a code of its own"),
    (
        exit_codes.USAGE,
        "the command line, a file that it names or a value in them is not valid; nothing was changed",
    ),
    (exit_codes.NOT_FOUND, "something that the command names does not exist"),
    (exit_codes.CONFLICT, "it exists already, or its state does not allow this"),
    (exit_codes.DENIED, "not allowed, or not logged in"),
    (exit_codes.UNAVAILABLE, "no server answers"),
    (exit_codes.JOB_FAILED, "the job or commit that the command waited for has failed"),
    (
        exit_codes.SERVICE_LOST,
        "serve: a part of the server stopped and could not be restarted; start the server again (systemd:"
        " Restart=on-failure; Kubernetes restarts it)",
    ),
    (exit_codes.TIMEOUT, "the time of --timeout has passed"),
    (exit_codes.INTERRUPTED, "interrupted with Ctrl-C"),
)

_REFERENCES = Topic(
    "References",
    "Names of repos, branches, commits, files, pipelines, jobs and datums in commands.",
    (
        Section(
            "Forms",
            "A name without a project belongs to the project in use (--project, the context's, or default).",
            ("Written", "Means"),
            (
                ("texts, art/texts", "a repo, in the project in use or in project art"),
                ("count.meta, count.spec", "the repo of another type with the same name"),
                ("texts@master", "a branch, or the commit that it points to"),
                ("texts@ff3b455be0da", "a commit by its id"),
                ("texts@master^", "the parent of the commit"),
                ("texts@master^2", "the parent of its parent; also texts@master^^"),
                ("texts@master.1", "the first commit of the branch; .2 is the second"),
                ("texts@master:/a/b.txt", "a file or folder; without a path the root"),
                ("texts@master:/*.txt", "the files that match a glob, where a command takes one"),
                ("count, art/count", "a pipeline"),
                ("count@ff3b455be0da", "a job of the pipeline"),
                ("count@", "its last job; count@^ is the one before it, count@^2 the one before that"),
                ("ff3b455be0da", "all commits and jobs of one change"),
            ),
        ),
        Section(
            "Short ids",
            "The first digits of an id are enough, from four on, when no other id of that repo, pipeline or job begins"
            " with them. A branch of that name has precedence. An ambiguous id lists its candidates.",
        ),
    ),
)

_OUTPUT = Topic(
    "Output",
    "Formats of output for people and programs.",
    (
        Section(
            "Streams",
            "Data goes to standard output; notes, progress and errors go to standard error. -q prints no notes and no"
            " progress.",
        ),
        Section(
            "Formats",
            "Commands that print objects take these options.",
            ("Option", "Prints"),
            (
                ("-o table", "the default: 80 columns, 12 digits of ids, ages"),
                ("-o wide", "all columns, ids in full"),
                ("-o csv", "the columns as comma-separated values, in full"),
                ("-o json", "a JSON document for each object, one after the other"),
                ("-o jsonl", "the same, each document on one line"),
                ("-o yaml", "a YAML document for each object"),
                ("-o name", "references to use in the next command, one per line"),
                ("--columns NAME,STATE", "these columns of table, wide and csv, in this order"),
                ("--jq EXPRESSION", "what jq makes of each JSON document; strings without quotes"),
                ("--raw", "the same as -o json, as in pachctl"),
                ("--full-timestamps", "times in full (RFC 3339, UTC) instead of ages"),
            ),
        ),
        Section(
            "JSON",
            "Fields have the names of the API, in snake case. A command that changes something prints one object for"
            " each change, and an error is an object on standard error; standard output is then empty or holds whole"
            " documents.",
            ("Object", "Fields"),
            (
                (
                    "change",
                    "change, kind, name, and more by the kind, such as files, bytes, commit and starts of put file",
                ),
                ("error", "code, exit_code, message, and hint and see where the command has them"),
            ),
        ),
        Section(
            "Terminals",
            "Colours and progress appear on terminals only; --color, NO_COLOR and FORCE_COLOR say otherwise. The last"
            " column of a table is cut where the line of a terminal ends, never in a pipe or file. Diffs and topics go"
            " through a pager (--no-pager: not). While wait waits, a line says how far it is; in a pipe it is a line"
            " for each change, at most every 30 s.",
        ),
    ),
)

_ENVIRONMENT = Topic(
    "Environment",
    "Variables and files that commands read.",
    (
        Section(
            "Server and project",
            "The first of these that is set names the server: --address, --context, TRUNKLINE_ADDRESS, PACHD_ADDRESS,"
            " TRUNKLINE_CONTEXT, the active context, the active context of pachctl, localhost:30650.",
            ("Variable", "Means"),
            (
                (
                    "TRUNKLINE_ADDRESS",
                    "the server, HOST:PORT; grpcs://HOST:PORT for TLS, unix:PATH for a socket",
                ),
                ("PACHD_ADDRESS", "the same, after TRUNKLINE_ADDRESS"),
                ("TRUNKLINE_CONTEXT", "name of the context to use"),
                (
                    "PACH_CA_CERTS",
                    "files with certificates of CAs that verify the server, separated by commas",
                ),
                ("PACH_TOKEN", "token that is sent with each call"),
                ("XDG_CONFIG_HOME", "folder with trunkline/config.json (~/.config)"),
                ("HOME", "folder of the two configuration files"),
                ("PACH_CONFIG", "configuration file of pachctl (~/.pachyderm/config.json); it is only read"),
            ),
        ),
        Section(
            "Output and editor",
            "",
            ("Variable", "Means"),
            (
                ("NO_COLOR", "any value: no colours, unless --color says always"),
                ("FORCE_COLOR", "any value: colours also where output is no terminal"),
                (
                    "TRUNKLINE_PAGER, PAGER",
                    "program that shows diffs and topics on a terminal (less); cat: none",
                ),
                ("TERM", "dumb: no colours"),
                ("COLUMNS", "characters of a line of draw, where standard output is no terminal (80)"),
                ("EDITOR, VISUAL", "editor of edit pipeline, after --editor (vi)"),
                (
                    "XDG_CACHE_HOME",
                    "folder of recent names for completion, in trunkline/completion.json (~/.cache)",
                ),
            ),
        ),
        Section(
            "In the command of a pipeline",
            "Workers set these variables, so that a command line in a pipeline reaches its own server.",
            ("Variable", "Means"),
            (
                ("PACH_IN_WORKER", "set where a worker runs the command"),
                ("PACHD_PEER_SERVICE_HOST", "host of the server"),
                ("PACHD_PEER_SERVICE_PORT", "port of the server"),
                ("PPS_PROJECT_NAME", "the project of the pipeline"),
            ),
        ),
        Section(
            "Servers, workers and AWS",
            "",
            ("Variable", "Means"),
            (
                ("TRUNKLINE_DATABASE", "serve: the database, as --database"),
                ("TRUNKLINE_STORE", "serve: the object store, as --store"),
                (
                    "TRUNKLINE_LOG",
                    "lowest level of log records: of serve, as --log-level (info); of other commands debug is as -v",
                ),
                ("TRUNKLINE_LOG_FORMAT", "serve: text or json, as --log-format (text)"),
                ("TRUNKLINE_LAUNCHER", "serve: program that starts commands in containers, as --launcher"),
                (
                    "TRUNKLINE_TAKEOVER_SECONDS",
                    "serve: seconds without progress of another server until this one takes over (30)",
                ),
                ("TRUNKLINE_NO_NAMESPACES", "serve: 1 for workers that use no namespaces"),
                (
                    "TRUNKLINE_WORKER_CONFIG",
                    "serve: ConfigMap with the defaults of worker pods; the chart sets it",
                ),
                ("TRUNKLINE_WORKER_TOKEN", "worker: the token, as --token"),
                ("OPENLINEAGE_URL", "serve: server of OpenLineage, as --openlineage"),
                ("OPENLINEAGE_API_KEY", "serve: bearer token for that server"),
                ("DOCKER_HOST", "serve: socket of the container engine, unix:///PATH (the usual ones)"),
                ("XDG_RUNTIME_DIR", "serve: folder with the socket of Podman (/run/user/UID)"),
                (
                    "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_ENDPOINT",
                    "serve: address of an S3 server other than Amazon's; the first that is set",
                ),
                ("AWS_CHECKSUM_ALGORITHM", "serve: checksum of uploads to S3 (SHA256)"),
                ("AWS_REGION, AWS_DEFAULT_REGION", "fargate and nodes: the region, as --region"),
            ),
        ),
        Section(
            "Traces",
            "A command continues the trace in TRACEPARENT, or begins one, when one of these is set.",
            ("Variable", "Means"),
            (
                ("TRACEPARENT, TRACESTATE", "the span that the command belongs to (W3C)"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "address that spans are sent to"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "the same, for spans alone"),
                (
                    "OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                    "protocol of the export; only http/protobuf (the default)",
                ),
                (
                    "OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES",
                    "name and attributes of the service (trunkline)",
                ),
                ("OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER", "true and none: no traces are exported"),
            ),
        ),
        Section(
            "Files",
            "",
            ("File", "Holds"),
            (
                (
                    "~/.config/trunkline/config.json",
                    "contexts and active transactions; below $XDG_CONFIG_HOME when that is set",
                ),
                (
                    "~/.pachyderm/config.json",
                    "contexts of pachctl; only read, when there is no other context",
                ),
            ),
        ),
    ),
)

_EXIT_CODES = Topic(
    "Exit codes",
    "Codes with which commands end.",
    (
        Section(
            "Codes",
            "A failure prints one sentence on standard error. A closed output pipe (trunkline list file … | head) is"
            " not a failure.",
            ("Code", "Meaning"),
            tuple((str(code), meaning) for code, meaning in EXIT_CODES),
        ),
    ),
)

TOPICS: dict[str, Topic] = {
    "references": _REFERENCES,
    "output": _OUTPUT,
    "environment": _ENVIRONMENT,
    "exit-codes": _EXIT_CODES,
}
