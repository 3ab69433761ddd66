"""Certificates of every kind, made for one run, and TLS in front of a server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kit.tcp_server import HERE, pump_both, tcp_server


@dataclass(frozen=True)
class Authority:
    """One that a client may be told to trust: ``path`` is its certificate as a file."""

    folder: Path
    name: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, host: str = HERE, days: tuple[int, int] = (-1, 30)) -> Path:
        """A file with key and certificate for ``host``, valid between two days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(f"{self.name} {host}", key, host, days, self)
        path = self.folder / f"{self.name}-{host}-{days[1]}.pem"
        path.write_bytes(_pem(key) + made.public_bytes(serialization.Encoding.PEM))
        return path

    def server(self, host: str = HERE, days: tuple[int, int] = (-1, 30)) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(host, days))
        return context


def authority(folder: Path, name: str = "authority") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    made = Authority(folder, name, _certificate(name, key, "", (-30, 30), None), key)
    made.path.write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    host: str,
    days: tuple[int, int],
    issuer: Authority | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if host:
        is_name = host[0].isalpha()
        named = x509.DNSName(host) if is_name else x509.IPAddress(ip_address(host))
        builder = builder.add_extension(x509.SubjectAlternativeName([named]), critical=False)
    if issuer:
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(own, critical=False)
    else:
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@asynccontextmanager
async def tls_front(behind: int | str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """TLS in front of a port of loopback or a unix socket; yields the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await (
            asyncio.open_connection(HERE, behind)
            if isinstance(behind, int)
            else asyncio.open_unix_connection(behind)
        )
        await pump_both((reader, writer), far)

    async with tcp_server(talk, tls=context) as port:
        yield port
