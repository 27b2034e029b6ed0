"""A CA of this installation alone, for ``serve --tls auto``: clients that have its certificate trust the server.

The folder contains the CA's key (``ca.key``), the server's key and certificate in one file (``server.pem``), and in
``public`` the CA's certificate (``ca.pem``). Each file is replaced as a whole. What is missing, damaged or about to
expire is made again; as long as the CA stays, clients notice nothing.
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
from pathlib import Path  # noqa: TC003 documented by a field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trunkline import errors
from trunkline.runtime.certificates import Files

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("trunkline.app.tls")

CA_LIFETIME = datetime.timedelta(days=3650)
LIFETIME = datetime.timedelta(days=90)
#: Time before the end of a certificate at which the next one is made.
AHEAD = datetime.timedelta(days=30)
#: Clocks of clients may be late by this.
SKEW = datetime.timedelta(hours=1)


class PrivateCA:
    """The CA and the server's certificate in a folder."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        """Name the folder; nothing is made until ``renew``.

        Args:
            folder: for the files; used by this server alone.
            names: host names and IP addresses of the server.
        """
        #: File with the CA's certificate, for clients.
        self.ca = folder / "public" / "ca.pem"
        self.files = Files(folder / "server.pem", folder / "server.pem")
        self._key = folder / "ca.key"
        self._names = list(dict.fromkeys(names))

    def renew(self, now: float) -> None:
        """Make what is missing, damaged, about to expire, or lacks a name.

        Args:
            now: seconds since the epoch.

        Raises:
            Unavailable: the folder cannot be written.
        """
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        try:
            self.ca.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            ca, key = self._authority(moment)
            if not self._is_current(ca, moment):
                self._issue(ca, key, moment)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot write the certificates of --tls auto ({error.filename}: {error.strerror});"
                " correct the permissions of the folder"
            ) from error

    def _authority(self, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Return the CA; a new one when the files cannot be used."""
        try:
            key = load_pem_private_key(self._key.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(self.ca.read_bytes())
            valid = certificate.not_valid_after_utc > now + LIFETIME
            if valid and isinstance(key, ec.EllipticCurvePrivateKey):
                certificate.verify_directly_issued_by(certificate)
                if certificate.public_key() == key.public_key():
                    return certificate, key
        except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
            pass
        if self.ca.exists():
            log.warning(
                "a new CA is made, because the old one cannot be used any more; give clients the new file %s",
                self.ca,
                extra={"action": "new_ca"},
            )
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Trunkline CA {self._names[-1]}"[:64])])
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        _replace(self._key, _pem(key))
        _replace(self.ca, certificate.public_bytes(Encoding.PEM))
        return certificate, key

    def _is_current(self, ca: x509.Certificate, now: datetime.datetime) -> bool:
        """Return whether the server's certificate can be used for some time."""
        try:
            content = self.files.certificate.read_bytes()
            certificate = x509.load_pem_x509_certificate(content)
            certificate.verify_directly_issued_by(ca)
            key = load_pem_private_key(content, None)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (FileNotFoundError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return (
            certificate.not_valid_after_utc > now + AHEAD
            and certificate.not_valid_before_utc <= now
            and certificate.public_key() == key.public_key()
            and set(names) >= {_general(name) for name in self._names}
        )

    def _issue(
        self, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, now: datetime.datetime
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._names[0][:64])])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        certificate = (
            x509.CertificateBuilder(ca.subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(_general, self._names)), critical=False)
            .add_extension(identifier, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        _replace(self.files.certificate, _pem(key) + certificate.public_bytes(Encoding.PEM))
        log.info("certificate for %s made", ", ".join(self._names), extra={"action": "certificate_made"})


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _replace(path: Path, content: bytes) -> None:
    """Replace a file by one that only this user can read."""
    partial = path.with_name(f"{path.name}.new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.replace(partial, path)
