"""TLS for the lean client. Imported only when an address asks for it."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterable

    from trunkline.client.trust import Trust

_RECORD = 16 << 10  # bytes of plain text in one record at most

# Results of the verification, from OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA = (2, 18, 19, 20, 21)
_WRONG_NAME = (62, 64)  # a host name, an IP address


class TlsSocket(ssl.SSLSocket):
    """A TLS connection as ``http2`` uses a plain socket: what has to wait raises ``BlockingIOError``."""

    #: Bytes that OpenSSL has begun to send: it must get them again, the same, until they are sent.
    _begun: bytes | None = None

    def recv(self, size: int = _RECORD, *_args: Any) -> bytes:
        """Receive at most one record."""
        try:
            return super().recv(min(size, _RECORD))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def recv_into(self, buffer: Any, *_args: Any) -> int:
        """Receive as many records as have arrived and fit."""
        view = memoryview(buffer)
        received = 0
        try:
            while received < len(view):
                size = super().recv_into(view[received:])
                if not size:
                    break
                received += size
        except OSError as error:
            if received:
                return received  # the next call meets the error again
            if isinstance(error, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):
                raise BlockingIOError from None
            raise
        return received

    def send(self, data: Any, *_args: Any) -> int:
        """Send all of it. A second call after ``BlockingIOError`` must begin with the same bytes."""
        begun = self._begun or bytes(data)
        try:
            super().send(begun)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._begun = begun
            raise BlockingIOError from None
        self._begun = None
        return len(begun)

    def sendmsg(self, buffers: Iterable[Any], *_args: Any) -> int:  # type: ignore[override]
        """Send all of them, in records as long as possible."""
        return self.send(b"" if self._begun else b"".join(buffers))


def wrap(connected: _socket.socket, host: bytes, trust: Trust, server: str) -> TlsSocket:
    """Return the TLS connection on a TCP connection, after the server's certificate has been verified.

    Args:
        connected: with a time limit, which holds for the handshake.
        host: of the address.
        trust: which servers are accepted.
        server: the server's name in error messages.

    Raises:
        Unavailable: the server does not speak TLS, or its certificate is not accepted.
        InvalidArgument: a file of a CA cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = TlsSocket
    context.set_alpn_protocols(["h2"])
    # The server's own certificate may be named as its CA.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load(context, trust)
    name = trust.name.encode("ascii") if trust.name else host
    try:
        wrapped = context.wrap_socket(_as_socket(connected), server_hostname=name)
    except (OSError, ssl.CertificateError) as error:
        raise Unavailable(_reason(error, server, name.decode())) from error
    assert isinstance(wrapped, TlsSocket)
    if wrapped.selected_alpn_protocol() != "h2":
        wrapped.close()
        raise Unavailable(
            f"{server} speaks TLS but does not offer HTTP/2 (ALPN h2); check the address, and let a proxy"
            " in front of the server pass HTTP/2"
        )
    return wrapped


def _as_socket(connected: _socket.socket) -> socket.socket:
    """Return the same connection as an object of the class that ``ssl`` takes."""
    limit = connected.gettimeout()
    whole = socket.socket(fileno=connected.detach())
    whole.settimeout(limit)
    return whole


def _load(context: ssl.SSLContext, trust: Trust) -> None:
    if not trust:
        context.load_default_certs()
    if trust.text:
        try:
            context.load_verify_locations(cadata=trust.text)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidArgument(
                "the CA of the context is not a certificate in PEM; set it again with --ca FILE"
            ) from error
    for file in trust.files:
        try:
            context.load_verify_locations(cafile=file)
        except ssl.SSLError as error:
            raise InvalidArgument(
                f"the CA file {file} contains no certificate in PEM; name the file with the CA's certificate"
            ) from error
        except OSError as error:
            raise InvalidArgument(
                f"cannot read the CA file {file}: {error.strerror}; correct --ca or PACH_CA_CERTS"
            ) from error


def _reason(error: Exception, server: str, name: str) -> str:
    """Return why a handshake failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _UNKNOWN_CA:
            return (
                f"the certificate of {server} is signed by an unknown CA;"
                " name the file with the CA's certificate with --ca or PACH_CA_CERTS"
            )
        if code in _WRONG_NAME:
            return (
                f"the certificate of {server} is not valid for {name};"
                " use an address with a name that the certificate lists"
            )
        if code == _EXPIRED:
            return f"the certificate of {server} has expired; renew it, or correct the clock of this machine"
        if code == _NOT_YET_VALID:
            return f"the certificate of {server} is not valid yet; correct the clock of this machine or of the server's"
        return f"the certificate of {server} is not accepted ({error.verify_message}); replace it"
    if isinstance(error, TimeoutError):
        return (
            f"{server} did not answer the TLS handshake in time;"
            " write grpc:// instead of grpcs:// if it does not use TLS, else try again"
        )
    alert = getattr(error, "reason", None) or ""
    if "ALERT" in alert:
        return f"{server} refused the TLS handshake ({alert.lower().replace('_', ' ')}); see its log"
    return f"{server} does not speak TLS on this port; write grpc:// instead of grpcs://, or check the port"
