"""Mutual TLS for real: a strict endpoint over HTTPS, and each wrong certificate reported in its own sentence."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tlskit
from tlskit import PASSPHRASE, Certificates, strict_endpoint

from workbench import BadInput, Client, Connection, Reference, SpineIdentity, Verdict, connect, try_connection

ROOT = Path(__file__).parents[2]
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
IDENTITY = SpineIdentity("200000000115", "999999999999", "https://client.example", "https://spine.example/STU3")

PROFILE = """
[strict]
base_url = "{base_url}"
ca = "ca.pem"
cert = "client.pem"
key = "locked.key"
passphrase = "env:PLANTED_PASSPHRASE"
allow_writes = true
rate_limit = 500

[strict.spine]
from_asid = "200000000115"
to_asid = "999999999999"
issuer = "https://client.example"
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return tlskit.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def base_url(certificates: Certificates) -> Iterator[str]:
    with strict_endpoint(certificates) as url:
        yield url


@pytest.fixture
def profiles(certificates: Certificates, base_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile of the strict endpoint, beside the certificates, its passphrase in the environment."""
    monkeypatch.setenv("PLANTED_PASSPHRASE", PASSPHRASE)
    path = Path(certificates.ca).parent / "profiles.toml"
    path.write_text(PROFILE.format(base_url=base_url), encoding="utf-8")
    return path


def client_with(base_url: str, certificates: Certificates, **more: Any) -> Client:
    settings: dict[str, Any] = {"verify": certificates.ca, "cert": certificates.client, "identity": IDENTITY}
    return Client(base_url, connection=Connection(**settings | more))


def test_a_profile_is_enough(profiles: Path) -> None:
    client = connect("strict", profiles=profiles)
    read = client.read("List", LIST)
    draft = read.resource
    draft["title"] = "By a client that Spine would take"
    assert (read.verdict, client.update(draft).verdict) == (Verdict.READ, Verdict.UPDATED)
    assert client.search("List").status == 200
    made = client.create({key: value for key, value in draft.items() if key not in ("id", "meta")})
    assert made.verdict is Verdict.CREATED
    assert client.delete("List", made.logical_id, if_match=made.etag).verdict is Verdict.DELETED
    result = try_connection(client)
    assert (result.ok, result.failed_at) == (True, "")
    assert re.fullmatch(r"It works: 127\.0\.0\.1:\d+ answers as a FHIR endpoint, version 3\.0\.2\.", result.words)


REFUSED = {
    "missing": ("cert", lambda each: None, "wants a client certificate and was shown none"),
    "expired": ("cert", lambda each: each.expired, "your client certificate has expired"),
    "unknown": ("cert", lambda each: each.unknown, "does not know the CA of your client certificate"),
    "a server that we do not trust": ("verify", lambda each: each.other_ca, "The certificate of 127.0.0.1"),
    "the system's trust store": ("verify", lambda each: True, "is not trusted"),
}


@pytest.mark.parametrize(("setting", "choose", "words"), REFUSED.values(), ids=REFUSED)
def test_a_certificate_that_is_not_accepted_is_reported(
    base_url: str, certificates: Certificates, setting: str, choose: Any, words: str
) -> None:
    client = client_with(base_url, certificates, **{setting: choose(certificates)})
    result = try_connection(client)
    assert (result.failed_at, words in result.words) == ("certificate", True), result
    assert (client.journal[0].verdict, client.journal[0].sent) == (Verdict.FAILED, False)


@pytest.mark.parametrize(
    ("pair", "words"), [("expired_server", "has expired; its owner"), ("other_host", "is for another host")]
)
def test_a_wrong_server_certificate_is_reported(certificates: Certificates, pair: str, words: str) -> None:
    with strict_endpoint(certificates, getattr(certificates, pair)) as url:
        result = try_connection(client_with(url, certificates))
    assert (result.failed_at, words in result.words) == ("certificate", True), result


LOCAL = {
    "a key of another certificate": ("mixed", None, "does not belong to the client certificate"),
    "a locked key": ("locked", None, "is encrypted; give its passphrase by reference"),
    "a wrong passphrase": ("locked", lambda: "planted-wrong-5541", "The passphrase does not open the key"),
    "a passphrase that is not set": (
        "locked",
        Reference("env:PLANTED_NOWHERE", "the passphrase"),
        "PLANTED_NOWHERE, which the passphrase comes from, is not set",
    ),
    "no passphrase at all": ("locked", lambda: "", "The passphrase does not open the key"),
    "a passphrase beyond all measure": ("locked", lambda: "planted-wrong-5541" * 999, "does not open the key"),
}


@pytest.mark.parametrize(("pair", "passphrase", "words"), LOCAL.values(), ids=LOCAL)
def test_a_pair_that_cannot_be_used_is_reported_before_anything_is_sent(
    certificates: Certificates, pair: str, passphrase: Any, words: str
) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        client_with("https://127.0.0.1:9/STU3", certificates, cert=getattr(certificates, pair), passphrase=passphrase)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("setting", ["verify", "cert"])
def test_a_file_that_holds_no_certificate(certificates: Certificates, tmp_path: Path, setting: str) -> None:
    (tmp_path / "diary.pem").write_text("Dear diary")
    with pytest.raises(BadInput, match=r"diary\.pem.*PEM"):
        client_with("https://127.0.0.1:9/STU3", certificates, **{setting: str(tmp_path / "diary.pem")})


def test_a_locked_key_is_opened_by_reference(
    base_url: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_PASSPHRASE", PASSPHRASE)
    client = client_with(
        base_url, certificates, cert=certificates.locked, passphrase=Reference("env:PLANTED_PASSPHRASE")
    )
    assert client.read("List", LIST).status == 200


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


STEPS = {
    "DNS": (lambda url: "https://nosuch.invalid/STU3", {}, "DNS", "is not known"),
    "TCP": (lambda url: f"https://127.0.0.1:{free_port()}/STU3", {}, "TCP", "Nothing listens"),
    "proxy": (lambda url: url, {"proxy": f"http://127.0.0.1:{free_port()}"}, "proxy", "The proxy on the way"),
    "path": (lambda url: url.replace("STU3", "R4"), {}, "path", "check the path"),
    "no identity": (lambda url: url, {"identity": None}, "token", "who you say you are. It says:"),
    "another ASID": (
        lambda url: url,
        {"identity": SpineIdentity("200000000115", "200000000999", "https://c", "https://s")},
        "token",
        "answers 403",
    ),
}


@pytest.mark.parametrize(("where", "more", "stage", "words"), STEPS.values(), ids=STEPS)
def test_the_failed_stage_is_named(
    base_url: str, certificates: Certificates, where: Any, more: dict[str, Any], stage: str, words: str
) -> None:
    result = try_connection(client_with(where(base_url), certificates, **more))
    assert (result.ok, result.failed_at) == (False, stage), result
    assert words in result.words


def test_https_spoken_to_a_server_without_it(spine: Any, certificates: Certificates) -> None:
    result = try_connection(client_with(spine.base_url.replace("http:", "https:"), certificates))
    assert (result.failed_at, "No TLS with" in result.words) == ("TLS", True)


def test_http_spoken_to_a_server_that_wants_https(base_url: str) -> None:
    result = try_connection(Client(base_url.replace("https:", "http:")))
    assert (result.failed_at, result.words.endswith("then its base URL begins with https://.")) == ("answer", True)


@pytest.mark.parametrize(
    ("name", "cells"), [("07-check-an-endpoint.ipynb", 12), ("08-your-own-endpoint.ipynb", 11)], ids=["07", "08"]
)
def test_a_notebook_against_a_strict_endpoint(profiles: Path, name: str, cells: int) -> None:
    """Every output as in the file, though the endpoint is another one: by nbval, as a user would."""
    notebook = ROOT / "notebooks" / name
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-q", str(notebook)]
    ours = {"WORKBENCH_PROFILE": "strict", "WORKBENCH_PROFILES": str(profiles), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ours, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{cells} passed", done.stdout, re.MULTILINE), done.stdout
    # And it was that endpoint: without its passphrase nothing works.
    refused = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | ours | {"PLANTED_PASSPHRASE": "wrong"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "The passphrase does not open the key" in refused.stdout
