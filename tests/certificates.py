"""Certificates for tests: an authority, and what it signs.

    authority = Authority(folder, "ours")
    server = authority.sign("server")           # for localhost and 127.0.0.1
    old = authority.sign("old", days=-1)        # expired yesterday
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Signed:
    """PEM files; `both` has the certificate and the key, as MLflow takes a client's."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """`certificate` is the PEM file that makes one trust it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        signed = _dated(self._name, self._name, self._key, days=365).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(_pem(signed.sign(self._key, hashes.SHA256())))

    def sign(self, name: str, *, days: int = 30, hosts: tuple[str, ...] = ("localhost",), password: bytes = b"") -> Signed:
        """For `hosts`, and for 127.0.0.1 where localhost is among them."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        if "localhost" in hosts:
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        request = _dated(_name(name), self._name, key, days).add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = _pem(request.sign(self._key, hashes.SHA256()))
        secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
        written = Signed(*(self._folder / f"{name}{ending}" for ending in (".pem", ".key", ".both.pem")))
        for path, content in ((written.certificate, certificate), (written.key, private), (written.both, certificate + private)):
            path.write_bytes(content)
        return written


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _dated(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    named = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return named.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=days))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
