"""Profiles: an endpoint under a name, what it may hold, and that it holds no secret."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pytest
from keyring.errors import NoKeyringError

from workbench import BadInput, Connection, Endpoint, Reference, connect, profile_names, profiles_path, read_profile
from workbench.client import secret as reference_module

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
PLANTED = "planted-secret-2f7c"

FULL = """
[integration]
base_url = "https://spine.example/STU3/"
allow_writes = true
token = "env:SPINE_TOKEN"
proxy = "http://proxy.example:3128"
proxy_user = "me"
proxy_password = "keyring:proxy/me"
timeout = [2, 60]
rate_limit = 5

[integration.headers]
X-Subscription = "env:SUBSCRIPTION"
Accept-Language = "text:en-GB"

[hapi]
base_url = "http://127.0.0.1:8080/STU3"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "profiles.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_profile_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    assert profile_names(path) == ["integration", "hapi"]
    made = read_profile("integration", path)
    connection = made.connection
    assert (made.base_url, connection.allow_writes, connection.timeout) == ("https://spine.example/STU3", True, (2, 60))
    assert (repr(connection.token), connection.proxy) == ("Reference('env:SPINE_TOKEN')", "http://proxy.example:3128")
    assert connection.headers["Accept-Language"] == "en-GB"
    assert repr(connection.headers["X-Subscription"]) == "Reference('env:SUBSCRIPTION')"
    other = read_profile("hapi", path).connection
    assert (other.allow_writes, other.verify, other.cert, other.token) == (False, True, None, None)
    assert other == Connection()


def test_paths_are_relative_to_the_profiles(tmp_path: Path) -> None:
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).touch()
    path = written(tmp_path, '[i]\nbase_url = "https://h/STU3"\nca = "ca.pem"\ncert = "client.pem"\nkey = "client.key"')
    made = read_profile("i", path).connection
    assert (made.verify, made.cert) == (
        str(tmp_path / "ca.pem"),
        (str(tmp_path / "client.pem"), str(tmp_path / "client.key")),
    )


BASE = 'base_url = "https://h/STU3"\n'
WRONG = {
    "a token in clear text": (BASE + f'token = "{PLANTED}"', "token .* holds a secret in clear text"),
    "a passphrase in clear text": (BASE + f'passphrase = "{PLANTED}"', "passphrase .* secret in clear text"),
    "a proxy's password in clear text": (BASE + f'proxy_password = "{PLANTED}"', "proxy_password .* in clear text"),
    "a proxy's password in its URL": (BASE + f'proxy = "http://me:{PLANTED}@h:1"', "proxy cannot be used"),
    "a header in clear text": (BASE + f'[i.headers]\nX-Pass = "{PLANTED}"', "X-Pass in the headers .* in clear text"),
    "a credential called text": (
        BASE + f'[i.headers]\nAuthorization = "text:{PLANTED}"',
        "Authorization .* in clear text",
    ),
    "a password in the URL": (f'base_url = "https://me:{PLANTED}@h/STU3"', "user name or a password"),
    "a key in the URL": (f'base_url = "https://h/STU3?api_key={PLANTED}"', "before its question mark"),
    "a key instead of its file": (
        BASE + f'cert = "c"\nkey = "-----BEGIN PRIVATE KEY-----{PLANTED}"',
        "write the path of its file",
    ),
    "an unknown key": (BASE + f'pasword = "{PLANTED}"', "has pasword, which is no setting; it may have base_url,"),
    "an unknown key of the identity": (BASE + f'[i.spine]\nsecret = "{PLANTED}"', "has secret, which is no setting"),
    "not TOML": (BASE + f"token = {PLANTED}", "is not TOML"),
    "no base URL": ("allow_writes = true", "has no base_url"),
    "an empty base URL": ('base_url = ""', "base_url of the profile 'i' must be a text"),
    "a yes that is a text": (BASE + 'allow_writes = "yes"', "allow_writes .* true or false"),
    "a certificate without its key": (BASE + 'cert = "c.pem"', "cert without key"),
    "a passphrase for nothing": (BASE + 'passphrase = "prompt"', "no cert and key"),
    "a user without a password": (BASE + 'proxy_user = "me"', "proxy_user without proxy_password"),
    "a file that is not there": (BASE + 'ca = "absent.pem"', r"no certificate file .*absent\.pem"),
    "half a timeout": (BASE + "timeout = [1]", "seconds to connect"),
    "a rate of zero": (BASE + "rate_limit = 0", "requests a second"),
    "a rate that is a text": (BASE + f'rate_limit = "{PLANTED}"', "requests a second"),
    "a deadline that is a text": (BASE + f'deadline = "{PLANTED}"', "deadline must be a positive number"),
    "a timeout that is a text": (BASE + f'timeout = "{PLANTED}"', "seconds to connect"),
    "a size that is a text": (BASE + f'max_body = "{PLANTED}"', "max_body must be"),
    "half an identity": (BASE + '[i.spine]\nfrom_asid = "1"', "lacks to_asid, issuer"),
    "an identity that Spine would reject": (
        BASE + '[i.spine]\nfrom_asid = "1"\nto_asid = "999999999999"\nissuer = "x"',
        "A live Spine would refuse this identity",
    ),
    "headers that are a number": (BASE + "headers = 1", "must be a table"),
    "an unknown place for a secret": (BASE + 'token = "vault:x"', "clear text"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_a_profile_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        read_profile("i", written(tmp_path, f"[i]\n{text}\n"))
    assert PLANTED not in "".join(traceback.format_exception(refused.value))


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        connect("integration", profiles=tmp_path / "none.toml")
    assert profile_names(tmp_path / "none.toml") == []
    with pytest.raises(BadInput, match="there is: integration, hapi"):
        connect("live", profiles=written(tmp_path, FULL))
    with pytest.raises(BadInput, match="outside of a profile"):
        profile_names(written(tmp_path, f'token = "{PLANTED}"'))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        read_profile("i", tmp_path)


def test_where_profiles_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert profiles_path().parts[-2:] == ("spine-workbench", "profiles.toml")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        (tmp_path / "spine-workbench").mkdir()
        written(tmp_path / "spine-workbench", FULL)
        assert connect("hapi").base_url == "http://127.0.0.1:8080/STU3"


def test_connect_by_url(spine: Endpoint) -> None:
    client = connect(spine.base_url, name="carol", timeout=(1, 9))
    assert (client.read("List", LIST).status, client.name, client.connection.timeout) == (200, "carol", (1, 9))
    with pytest.raises(BadInput, match="no setting pasword"):
        connect(spine.base_url, pasword=PLANTED)


def test_a_profile_takes_no_settings(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="allow_writes of 'hapi' is set in its profile"):
        connect("hapi", profiles=written(tmp_path, FULL), allow_writes=True)


# --- references ---


def test_a_variable_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Reference("env:SPINE_TOKEN", "the token")
    with pytest.raises(BadInput, match="variable SPINE_TOKEN, which the token comes from, is not set"):
        secret()
    monkeypatch.setenv("SPINE_TOKEN", PLANTED)
    assert secret() == PLANTED
    assert PLANTED not in f"{secret!r} {secret}"


class Ring(keyring.backend.KeyringBackend):
    """A keyring that holds one secret; ``None`` is one that cannot be read."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, held: dict[tuple[str, str], str] | None) -> None:
        super().__init__()
        self.held = held

    def get_password(self, service: str, username: str) -> str | None:
        if self.held is None:
            raise NoKeyringError
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is ever stored")


def test_a_secret_from_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keyring.get_keyring()
    try:
        keyring.set_keyring(Ring({("nhs/spine", "me"): PLANTED}))
        assert Reference("keyring:nhs/spine/me")() == PLANTED
        with pytest.raises(BadInput, match="keyring set other me"):
            Reference("keyring:other/me")()
        keyring.set_keyring(Ring(None))
        with pytest.raises(BadInput, match="No keyring can be read here"):
            Reference("keyring:other/me")()
    finally:
        keyring.set_keyring(before)


def test_a_prompt_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_module, "_typed", {})
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return PLANTED

    monkeypatch.setattr("getpass.getpass", typed)
    secret = Reference("prompt", "token of the profile 'i'")
    assert (secret(), secret(), asked) == (PLANTED, PLANTED, ["Token of the profile 'i': "])


@pytest.mark.parametrize(
    ("raised", "words"), [(EOFError(), "There is no terminal to ask"), (None, "Nothing was typed")]
)
def test_a_prompt_without_an_answer_is_refused(monkeypatch: pytest.MonkeyPatch, raised: Any, words: str) -> None:
    monkeypatch.setattr(reference_module, "_typed", {})

    def typed(prompt: str) -> str:
        if raised:
            raise raised
        return ""

    monkeypatch.setattr("getpass.getpass", typed)
    with pytest.raises(BadInput, match=words):
        Reference("prompt")()


@pytest.mark.parametrize("text", ["", PLANTED, "env:", "keyring:", "keyring:x", "prompt:x", None, 7])
def test_a_malformed_reference_is_refused(text: Any) -> None:
    with pytest.raises(BadInput, match="is not a reference") as refused:
        Reference(text)
    assert PLANTED not in str(refused.value)


def test_slow_imports_wait_until_they_are_used() -> None:
    import subprocess

    probe = (
        "import workbench as wb; wb.connect; wb.Connection(); import sys; "
        "print([name for name in ('keyring', 'jwt', 'platformdirs', 'truststore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
