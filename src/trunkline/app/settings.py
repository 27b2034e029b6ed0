"""The settings of a server."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 a field

from msgspec import Struct

from trunkline.model.port_limits import DEFAULTS, PortLimits


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of a server, read once at its start."""

    #: Folder for all data that has no other place; used by this server alone.
    data: Path
    #: Days that logs, scaling decisions, events and results of failed jobs are kept.
    keep_days: float = 30.0
    #: Bytes of compressed logs that are kept.
    keep_log_bytes: int = 1 << 30
    #: Bytes of the event log that are kept, for watchers that resume.
    keep_event_bytes: int = 64 << 20
    #: Seconds for which acknowledged commits may exist in the database alone.
    store_lag: float = 10.0
    #: HOST:PORT or unix:PATH each; port 0 for any free one.
    listen: tuple[str, ...] = ("127.0.0.1:30650",)
    #: HTTP server that runs the application: h2corn.
    http_server: str = "h2corn"
    #: Limits of the port.
    limits: PortLimits = DEFAULTS
    #: Addresses and networks whose connections are not counted by address: proxies.
    trust_proxies: tuple[str, ...] = ()
    #: Names besides loopback and ``listen`` under which browsers may reach it: what the header Host may say.
    allow_hosts: tuple[str, ...] = ()
    #: Origins besides its own whose pages may use it, such as https://console.example.org.
    allow_origins: tuple[str, ...] = ()
    #: auto for a certificate of a private CA in the data folder; empty for the files below, or no TLS.
    tls: str = ""
    #: Files in PEM: certificate (with those between it and the CA's) and key for TLS.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    #: File with the CA's certificate, by which workers verify the server; None for ca.crt beside the certificate, and
    #: without that the certificate itself.
    tls_ca: Path | None = None
    #: Whether it may listen on an address that other machines reach.
    insecure: bool = False
    #: URL of the database; empty for SQLite in the data folder.
    database: str = ""
    #: Seconds without progress of another active server after which this one takes over. PostgreSQL only.
    takeover_seconds: float = 30.0
    #: URL of the object store; empty for a folder in the data folder.
    store: str = ""
    #: Where the keys that seal secrets are: file:PATH, env:NAME or command:LINE; empty for a file in the data folder.
    secrets_key: str = ""
    #: What clients may make the server connect to, as rules; empty for the default of ``model.outbound``.
    outbound: tuple[str, ...] = ()
    #: Where events of OpenLineage are posted to; empty for nowhere.
    openlineage: str = ""
    #: Whether each pack is decoded and compared with the ids of its chunks before it is stored.
    verify_packs: bool = True
    #: Where commands run: processes, containers, auto (containers for pipelines that name an image) or kubernetes.
    fleet: str = "processes"
    #: Whose machines are simulated for workers: fargate, or empty for none. Processes only.
    simulate: str = ""
    #: Seconds of the simulation that pass in a second.
    speed: float = 1.0
    #: HOST:PORT under which workers elsewhere reach this server; empty for where it listens.
    advertise: str = ""
    #: Bytes of memory that workers may request together; None for the machine's. Processes only.
    capacity_memory: int | None = None
    #: Whether images may name packages in source form, whose code then runs when they are built. Processes only.
    source_packages: bool = False
    #: File with the launcher, which starts commands in containers. Containers only.
    launcher: Path | None = None
    #: Image of the worker and the launcher. Kubernetes only.
    worker_image: str = ""
    #: Where metrics are served besides the port of the API: HOST:PORT, with the probes, or ``on`` for nowhere else.
    #: Empty for no metrics.
    metrics: str = ""
    #: Lowest level of log records: debug, info, warning, error or off.
    log_level: str = "info"
    #: Format of log records: text or json.
    log_format: str = "text"
    #: Whether each API call is logged.
    access_log: bool = False
    #: Namespace for workers; empty for the server's own. Kubernetes only.
    namespace: str = ""
