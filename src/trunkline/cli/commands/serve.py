"""Runs the server of ``trunkline.app``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.parsing import Command, argument

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

#: Where a server listens.
DEFAULT_LISTEN = ("127.0.0.1:30650",)


def serve(invocation: Invocation) -> None:
    """Run a server in the foreground until SIGTERM or Ctrl-C."""
    from importlib import import_module

    from trunkline.cli.exit_codes import exit_code
    from trunkline.errors import InvalidArgument
    from trunkline.model import port_limits
    from trunkline.model.quantities import parse_bytes
    from trunkline.runtime import loading

    options = invocation.options
    memory = None
    if options.capacity_memory:
        memory = parse_bytes(options.capacity_memory, "--capacity-memory")
        if not memory:
            raise InvalidArgument("--capacity-memory 0 lets no worker start; use a larger value or omit it")
    if not 0.1 <= options.store_lag <= 86_400:
        raise InvalidArgument(
            f"--store-lag {options.store_lag:g} is not between 0.1 and 86400 seconds; 10 is usual"
        )
    # Imported by name: all other commands are clients and must not load the server.
    with loading.without_collections():
        server = import_module("trunkline.app.serve")
    settings = import_module("trunkline.app.settings").Settings(
        data=Path(options.data),
        listen=tuple(options.listen) or DEFAULT_LISTEN,
        http_server=options.http_server,
        tls=options.tls,
        tls_cert=_path(options.tls_cert),
        tls_key=_path(options.tls_key),
        tls_ca=_path(options.tls_ca),
        limits=port_limits.parse(options.limit),
        trust_proxies=tuple(options.trust_proxy),
        insecure=options.insecure,
        allow_hosts=tuple(options.allow_host),
        allow_origins=tuple(options.allow_origin),
        # Their URLs may contain passwords, and arguments are visible to all users of the machine.
        database=options.database or os.environ.get("TRUNKLINE_DATABASE", ""),
        takeover_seconds=float(os.environ.get("TRUNKLINE_TAKEOVER_SECONDS") or 30),
        store=options.store or os.environ.get("TRUNKLINE_STORE", ""),
        outbound=tuple(options.outbound),
        secrets_key=options.secrets_key,
        openlineage=options.openlineage or os.environ.get("OPENLINEAGE_URL", ""),
        verify_packs=not options.no_verify_packs,
        fleet=options.fleet,
        simulate=options.simulate,
        speed=options.speed,
        advertise=options.advertise,
        capacity_memory=memory,
        source_packages=options.source_packages,
        launcher=_path(options.launcher),
        worker_image=options.worker_image,
        namespace=options.namespace,
        keep_days=options.keep_days,
        store_lag=options.store_lag,
        keep_log_bytes=parse_bytes(options.keep_logs, "--keep-logs"),
        keep_event_bytes=parse_bytes(options.keep_events, "--keep-events"),
        metrics=options.metrics,
        log_level=options.log_level,
        log_format=options.log_format,
        access_log=options.access_log,
    )
    server.main(settings, exit_code)


def _path(text: str) -> Path | None:
    return Path(text).absolute() if text else None


COMMANDS = {
    "serve": Command(
        serve,
        (
            argument("--data", required=True, metavar="FOLDER", help="data folder; created if needed"),
            argument(
                "--listen",
                action="append",
                default=[],
                metavar="ADDRESS",
                help="address to listen on, HOST:PORT or unix:PATH (127.0.0.1:30650); may be repeated",
            ),
            argument(
                "--http-server",
                default="h2corn",
                choices=("h2corn", "hypercorn"),
                help="HTTP server that runs the API: hypercorn is slower, and an extra (h2corn)",
            ),
            argument(
                "--tls",
                default="",
                choices=("auto",),
                help="use TLS with a certificate of a private CA, which is made and renewed in FOLDER",
            ),
            argument(
                "--tls-cert",
                default="",
                metavar="FILE",
                help="use TLS with this certificate, a PEM file that is read again when it changes",
            ),
            argument("--tls-key", default="", metavar="FILE", help="key of the certificate, a PEM file"),
            argument(
                "--tls-ca",
                default="",
                metavar="FILE",
                help="certificate of the CA, by which workers verify the server (ca.crt beside --tls-cert)",
            ),
            argument(
                "--limit",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="a limit of the port, such as message=32Mi; may be repeated",
            ),
            argument(
                "--trust-proxy",
                action="append",
                default=[],
                metavar="ADDRESS",
                help="address or network of a proxy: its connections are not counted by address; may be repeated",
            ),
            argument(
                "--insecure",
                action="store_true",
                help="allow an address that other machines reach, although there are no users and passwords",
            ),
            argument(
                "--allow-host",
                action="append",
                default=[],
                metavar="NAME",
                help="another name under which browsers and HTTP clients may reach the server; may be repeated",
            ),
            argument(
                "--allow-origin",
                action="append",
                default=[],
                metavar="ORIGIN",
                help="another origin whose pages may use the server, such as https://console.example.org; may be"
                " repeated",
            ),
            argument(
                "--metrics",
                default="",
                metavar="HOST:PORT",
                help="serve /metrics, and on this address too, with /livez and /readyz; on for no address of its own"
                " (off)",
            ),
            argument(
                "--log-level",
                default=os.environ.get("TRUNKLINE_LOG", "info").lower(),
                choices=("debug", "info", "warning", "error", "off"),
                help="lowest level of log records on standard error ($TRUNKLINE_LOG, else info)",
            ),
            argument(
                "--log-format",
                default=os.environ.get("TRUNKLINE_LOG_FORMAT", "text"),
                choices=("text", "json"),
                help="format of log records ($TRUNKLINE_LOG_FORMAT, else text)",
            ),
            argument("--access-log", action="store_true", help="log every API call"),
            argument(
                "--database",
                default="",
                metavar="URL",
                help="database for metadata, such as postgresql://user@host/name ($TRUNKLINE_DATABASE, else SQLite"
                " in FOLDER)",
            ),
            argument(
                "--store",
                default="",
                metavar="URL",
                help="object store, such as s3://bucket/prefix ($TRUNKLINE_STORE, else a folder in FOLDER)",
            ),
            argument(
                "--outbound",
                action="append",
                default=[],
                metavar="RULE",
                help="what clients may name by URLs, such as https, http://HOST:PORT, s3://BUCKET, file:///FOLDER or"
                " none; may be repeated (http https s3 gs az postgres mysql, public addresses only)",
            ),
            argument(
                "--secrets-key",
                default="",
                metavar="SOURCE",
                help="where the keys that seal secrets are: file:PATH, env:NAME or command:LINE, 32 bytes in base64 a"
                " line, the current one first (secrets.key in FOLDER, which is made)",
            ),
            argument(
                "--openlineage",
                default="",
                metavar="URL",
                help="post events of OpenLineage about jobs to this server, with the bearer token $OPENLINEAGE_API_KEY"
                " ($OPENLINEAGE_URL)",
            ),
            argument(
                "--no-verify-packs",
                action="store_true",
                help="store packs without decoding them first to compare them with what they were made of",
            ),
            argument(
                "--fleet",
                default="processes",
                choices=("processes", "containers", "auto", "kubernetes"),
                help="where commands run; auto: in containers for pipelines that name an image (processes)",
            ),
            argument(
                "--launcher",
                default=os.environ.get("TRUNKLINE_LAUNCHER", ""),
                metavar="FILE",
                help="program that starts commands in containers, made by scripts/launcher ($TRUNKLINE_LAUNCHER)",
            ),
            argument(
                "--simulate",
                "--rehearse",
                default="",
                choices=("fargate",),
                help="simulate machines that workers wait for, as on Fargate; --rehearse is the old name",
            ),
            argument(
                "--speed",
                type=float,
                default=1.0,
                metavar="N",
                help="speed of the simulation: 10 is ten times faster",
            ),
            argument(
                "--source-packages",
                action="store_true",
                help="allow images to install source packages, whose code runs on this machine during the build",
            ),
            argument(
                "--advertise",
                default="",
                metavar="HOST:PORT",
                help="address at which workers on other machines reach this server (the one of --listen)",
            ),
            argument(
                "--worker-image",
                default="",
                metavar="IMAGE",
                help="image of Trunkline's own containers in worker pods",
            ),
            argument(
                "--namespace",
                default="",
                metavar="NAME",
                help="Kubernetes namespace of workers (the server's)",
            ),
            argument(
                "--keep-days",
                type=float,
                default=30.0,
                metavar="N",
                help="days to keep logs, scaling decisions, events and results of failed jobs (30)",
            ),
            argument(
                "--keep-logs",
                default="1Gi",
                metavar="BYTES",
                help="bytes of compressed logs to keep (1Gi)",
            ),
            argument(
                "--keep-events",
                default="64Mi",
                metavar="BYTES",
                help="bytes of events to keep, for clients of /events that resume (64Mi)",
            ),
            argument(
                "--store-lag",
                type=float,
                default=10.0,
                metavar="SECONDS",
                help="longest time for which finished commits are in the database alone, not yet in the store: 0.1 to"
                " 86400 (10)",
            ),
            argument(
                "--capacity-memory",
                metavar="QUANTITY",
                help="total memory that workers may request, such as 16Gi (the machine's)",
            ),
        ),
        examples=(
            (
                "trunkline serve --data data",
                "run a server on localhost:30650 with its data in the folder data",
            ),
            ("trunkline serve --data data --listen 127.0.0.1:0", "on any free port"),
        ),
    )
}
