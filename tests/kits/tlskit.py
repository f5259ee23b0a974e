"""Certificates of every kind that can be wrong, made by the tests' own CA, and a strict endpoint that demands them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key

from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings

PASSPHRASE = "planted-passphrase-6d12"
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)

Pair = tuple[str, str]


@dataclass(frozen=True)
class Certificates:
    """Paths: the CA, a CA that nobody here knows, and pairs of certificate and key."""

    ca: str
    other_ca: str
    server: Pair
    expired_server: Pair
    other_host: Pair
    client: Pair
    locked: Pair
    expired: Pair
    unknown: Pair
    mixed: Pair


def make(folder: Path) -> Certificates:
    """All of them, written to files."""
    ours, theirs = trustme.CA(), trustme.CA()

    def issue(name: str, ca: trustme.CA, *hosts: str, not_after: datetime | None = None) -> Pair:
        made = ca.issue_cert(*hosts, not_after=not_after)
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        return str(folder / f"{name}.pem"), str(folder / f"{name}.key")

    ours.cert_pem.write_to_path(folder / "ca.pem")
    theirs.cert_pem.write_to_path(folder / "other-ca.pem")
    client = issue("client", ours, "client.example")
    unknown = issue("unknown", theirs, "client.example")
    locked = folder / "locked.key"
    key = load_pem_private_key(Path(client[1]).read_bytes(), None)
    lock = BestAvailableEncryption(PASSPHRASE.encode())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    locked.write_bytes(key.private_bytes(*form, lock))
    return Certificates(
        ca=str(folder / "ca.pem"),
        other_ca=str(folder / "other-ca.pem"),
        server=issue("server", ours, "127.0.0.1", "localhost"),
        expired_server=issue("expired-server", ours, "127.0.0.1", not_after=LONG_AGO),
        other_host=issue("other-host", ours, "spine.example"),
        client=client,
        locked=(client[0], str(locked)),
        expired=issue("expired", ours, "client.example", not_after=LONG_AGO),
        unknown=unknown,
        mixed=(client[0], unknown[1]),
    )


@contextmanager
def strict_endpoint(certificates: Certificates, pair: Pair | None = None, *, strict: bool = True) -> Iterator[str]:
    """The base URL of an endpoint over HTTPS that demands client certificates, and the headers of a live Spine."""
    cert, key = pair or certificates.server
    server = ServerProcess(Settings(strict=strict), Serving(tls_cert=cert, tls_key=key, client_ca=certificates.ca))
    try:
        yield server.base_url
    finally:
        server.stop()
