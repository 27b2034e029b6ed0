"""The certificate of a server: where it comes from, how its workers verify it, and its renewal."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.runtime import certificates, listening

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trunkline.app.private_ca import PrivateCA
    from trunkline.app.settings import Settings
    from trunkline.ports import Clock, HttpServer

log = logging.getLogger("trunkline.app.tls")

#: Seconds between two looks at the files. A change counts when two looks agree, because files are written one by one.
INTERVAL = 2.0
#: Seconds before the end of a certificate at which the first warning is logged.
WARN_AHEAD = 7 * 86_400.0


class ServerTls:
    """The certificate in use. Its files are checked before the server uses them."""

    def __init__(
        self,
        files: certificates.Files,
        ca: Path | None,
        folder: Path,
        clock: Clock,
        own: PrivateCA | None = None,
    ) -> None:
        """Check the files, and provide what workers verify the server by.

        Args:
            files: of the certificate and its key.
            ca: file with the CA's certificate; None to let workers trust the server's certificate itself.
            folder: for what workers read; used by this server alone.
            clock: the time.
            own: makes the files before they expire; None when somebody else does.

        Raises:
            InvalidArgument: the files cannot be used.
            Unavailable: the folder cannot be written.
        """
        self.files = files
        #: File with the certificates that workers trust, replaced when they change.
        self.trusted = folder / "public" / "trusted.pem" if own is None else own.ca
        #: Whether that is a CA, and not the server's certificate itself.
        self.has_ca = own is not None or ca is not None
        self._ca = ca
        self._clock = clock
        self._own = own
        self._warned_of = 0.0
        self._seen = self._look()
        self._facts = self._prepare()

    def name_for(self, host: str) -> str:
        """Return the name that the server's workers verify when they connect to ``host``.

        That is ``host`` where the certificate lists it. Workers know this server, so that otherwise any of its names
        will do: they may reach it by an address that no certificate has.
        """
        names = self._facts.names
        if host in names or not names:
            return host
        return next((name for name in names if "*" not in name), names[0].replace("*", "trunkline"))

    async def watch(self, http: HttpServer, interval: float = INTERVAL) -> None:
        """Let the server use new files, until this is cancelled. Files that cannot be used are logged once.

        Args:
            http: the server.
            interval: seconds between two looks at the files.
        """
        before = self._seen
        while True:
            await asyncio.sleep(interval)
            if self._own is not None:
                await asyncio.to_thread(self._own.renew, self._clock.now())
            self._warn()
            now = self._look()
            if now != before or now == self._seen:
                before = now
                continue
            self._seen = now
            try:
                self._facts = await asyncio.to_thread(self._prepare)
                await http.renew_certificate()
            except errors.TrunklineError as error:
                log.error(
                    "the certificate is not renewed, the old one stays in use: %s",
                    error.message,
                    extra={"action": "certificate_refused"},
                )
            else:
                log.info("certificate renewed", extra={"action": "certificate_renewed"})

    def _prepare(self) -> certificates.Facts:
        facts = certificates.check(self.files, self._clock.now())
        if self._own is None:
            self._publish(self._ca or self.files.certificate)
        return facts

    def _publish(self, source: Path) -> None:
        """Copy what workers trust to where they can read it."""
        try:
            self.trusted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            content = source.read_bytes()
            partial = self.trusted.with_suffix(".new")
            partial.write_bytes(content)
            os.replace(partial, self.trusted)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot copy the CA file {source} to {self.trusted}: {error.strerror}; correct --tls-ca"
                " or the permissions of the data folder"
            ) from error

    def _look(self) -> tuple[object, ...]:
        """Return what changes when a file is replaced."""
        seen: list[object] = []
        for path in (*self.files, self._ca):
            if path is not None:
                try:
                    status = path.stat()
                except OSError as error:
                    seen.append(error.errno)
                else:
                    seen.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(seen)

    def _warn(self) -> None:
        """Log once that the certificate in use ends soon, and once that it has ended."""
        remaining = self._facts.ends - self._clock.now()
        limit = next((limit for limit in (0.0, WARN_AHEAD) if remaining <= limit), None)
        if limit is None or self._warned_of == self._facts.ends + limit:
            return
        self._warned_of = self._facts.ends + limit
        log.warning(
            "the certificate %s %s; renew it, the server uses new files within seconds",
            self.files.certificate,
            "has expired" if limit == 0.0 else "expires in less than seven days",
            extra={"action": "certificate_expires"},
        )


def of_settings(settings: Settings, clock: Clock) -> ServerTls | None:
    """Return the certificate that the settings name, checked; None for a server without TLS.

    Args:
        settings: of the server.
        clock: the time.

    Raises:
        InvalidArgument: the settings do not fit together, or the files cannot be used.
        Unavailable: the data folder cannot be written.
    """
    folder = settings.data.absolute() / "tls"
    if settings.tls == "auto":
        if settings.tls_cert or settings.tls_key or settings.tls_ca:
            raise errors.InvalidArgument(
                "--tls auto makes its own certificate; leave it out, or leave out --tls-cert, --tls-key and --tls-ca"
            )
        from trunkline.app.private_ca import PrivateCA

        own = PrivateCA(folder, _names(settings))
        own.renew(clock.now())
        return ServerTls(own.files, None, folder, clock, own)
    if settings.tls_cert is None and settings.tls_key is None:
        if settings.tls_ca is not None:
            raise errors.InvalidArgument("--tls-ca needs --tls-cert FILE and --tls-key FILE; add them")
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        present, missing = ("--tls-cert", "--tls-key") if settings.tls_cert else ("--tls-key", "--tls-cert")
        raise errors.InvalidArgument(f"{present} needs {missing} FILE; add it")
    ca = settings.tls_ca
    if ca is None:
        beside = settings.tls_cert.with_name("ca.crt")
        ca = beside if beside.exists() else None
    return ServerTls(certificates.Files(settings.tls_cert, settings.tls_key), ca, folder, clock)


def _names(settings: Settings) -> Sequence[str]:
    """Return the names and addresses by which clients may reach the server; this machine's name is the last."""
    listens = [*settings.listen, settings.advertise] if settings.advertise else settings.listen
    hosts = [
        listening.parse(listen)[0].strip("[]") for listen in listens if not listen.startswith(listening.UNIX)
    ]
    names = [*hosts, *settings.allow_hosts, socket.gethostname()]
    usable = [name for name in names if name.isascii() and not _is_unspecified(name)]
    return ["localhost", "127.0.0.1", "::1", *usable]


def _is_unspecified(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
