"""Checks certificates and their keys before a server uses them."""

from __future__ import annotations

import datetime
from pathlib import Path  # noqa: TC003 a field
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from trunkline.errors import InvalidArgument


class Files(NamedTuple):
    """The files of a certificate and its key, in PEM."""

    #: The certificate, followed by those between it and the CA's.
    certificate: Path
    key: Path


class Facts(NamedTuple):
    """What a certificate says."""

    #: Host names, and addresses as text.
    names: tuple[str, ...]
    #: End of its validity, in seconds since the epoch.
    ends: float


def check(files: Files, now: float) -> Facts:
    """Check that a certificate is valid and belongs to its key.

    Args:
        files: of the certificate and the key.
        now: seconds since the epoch.

    Raises:
        InvalidArgument: they cannot be used.
    """
    certificate = _certificate(files.certificate)
    key = _read(files.key, "key")
    try:
        private = load_pem_private_key(key, None)
    except TypeError as error:
        raise InvalidArgument(
            f"the key {files.key} is encrypted; store it without a password, readable by this user alone"
        ) from error
    except ValueError as error:
        raise InvalidArgument(
            f"the key {files.key} is not a private key in PEM; correct --tls-key"
        ) from error
    public, form = private.public_key(), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise InvalidArgument(
            f"the certificate {files.certificate} does not match the key {files.key};"
            " name the key that the certificate was requested with"
        )
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends.timestamp() <= now:
        raise InvalidArgument(
            f"the certificate {files.certificate} has expired on {_day(ends)}; replace it by a new one"
        )
    if begins.timestamp() > now:
        raise InvalidArgument(
            f"the certificate {files.certificate} is valid from {_day(begins)} on;"
            " use it then, or correct this machine's clock"
        )
    return Facts(_names(certificate), ends.timestamp())


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_read(path, "certificate"))[0]
    except ValueError as error:
        raise InvalidArgument(
            f"the certificate {path} is not a certificate in PEM; correct --tls-cert"
        ) from error


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        option = "--tls-key" if what == "key" else "--tls-cert"
        raise InvalidArgument(f"cannot read the {what} {path}: {error.strerror}; correct {option}") from error


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))


def _day(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).date().isoformat()
