"""Secrets: no traceback shows one, not even with the variables of every frame; a prompt asks for each by its purpose.

The tracebacks are real ones, made where something fails while a secret is at hand. What the tests themselves hold
of a secret are module constants, which no traceback shows.
"""

from __future__ import annotations

import io
import pickle
import reprlib
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import tlskit
from requests.adapters import BaseAdapter
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback
from stranger import answers, stranger

from workbench import BadInput, Client, Connection, Reference, SpineIdentity, Verdict, WriteNotAllowed, connect
from workbench.client import secret as reference_module
from workbench.client.secret import SecretText, conceal

LIST = {"resourceType": "List", "id": "1", "status": "current", "mode": "working"}
PLANTED = "planted-secret-2f7c"
LONG = "planted-secret-" + "2f7c" * 40
"""What shortens a long value shows its beginning."""


# --- the type ---


def test_a_secret_text_equals_the_text_and_is_not_shown() -> None:
    secret = SecretText(LONG)
    assert (str(secret), f"Bearer {secret}", secret.encode()) == (LONG, f"Bearer {LONG}", LONG.encode())
    assert {secret: 1}[LONG] == 1
    assert secret == LONG
    assert pickle.loads(pickle.dumps(secret)) == LONG
    assert type(pickle.loads(pickle.dumps(secret))) is SecretText
    shown = [repr(secret), repr([secret]), f"{secret!r}", repr(secret[:40]), reprlib.repr(secret)]
    shown += [pretty_repr(secret, max_string=30), pretty_repr({"a": secret}, max_string=30)]
    assert [text for text in shown if "planted" in text] == []


def test_texts_within_lists_and_mappings_are_concealed() -> None:
    found = conceal({"a": PLANTED, "b": [PLANTED, {"c": PLANTED}], "d": 1, "e": None})
    assert "planted" not in repr(found)
    assert found == {"a": PLANTED, "b": [PLANTED, {"c": PLANTED}], "d": 1, "e": None}


# --- tracebacks ---


def with_variables(error: BaseException) -> str:
    """The traceback as the standard library and rich write it, with the variables of each frame."""
    plain = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    console = Console(file=io.StringIO(), width=400)
    for shortest in (30, None):
        made = Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_string=shortest
        )
        console.print(made)
    assert isinstance(console.file, io.StringIO)
    assert "locals" in console.file.getvalue()
    return plain + console.file.getvalue()


class Interrupted(BaseAdapter):
    """What happens when Ctrl-C is pressed in the depths of a HTTP library, which holds the header fields."""

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        headers = {name: str(value) for name, value in request.headers.items()}
        assert PLANTED in repr(headers)
        raise KeyboardInterrupt

    def close(self) -> None:
        """Nothing is open."""


def planted() -> str:
    return PLANTED


def unsendable() -> str:
    return f"{PLANTED}\n"


def _client(base_url: str = "http://127.0.0.1:9/STU3", **settings: Any) -> Client:
    return Client(base_url, connection=Connection(**settings))


def _in_profile(text: str, folder: Path) -> object:
    (folder / "profiles.toml").write_text(f'[i]\nbase_url = "https://h/STU3"\n{text}\n', encoding="utf-8")
    del text  # what the test itself holds is not what is looked for
    return connect("i", profiles=folder / "profiles.toml")


IDENTITY = ("200000000115", "999999999999", "https://c", "https://s")

RAISING: dict[str, Callable[[Path], object]] = {
    "interrupted, a token": lambda _: _client(adapter=Interrupted(), token=planted).update(LIST, if_match=None),
    "interrupted, a header": lambda _: _client(adapter=Interrupted(), headers={"X-Key": PLANTED}).read("List", "1"),
    "interrupted, a header of a function": lambda _: _client(adapter=Interrupted(), headers={"X-Key": planted}).read(
        "List", "1"
    ),
    "interrupted, a header of one request": lambda _: _client(adapter=Interrupted()).send(
        "GET", "List", headers={"Authorization": PLANTED}
    ),
    "a write that is not allowed": lambda _: _client("http://h/STU3", headers={"Authorization": PLANTED}).update(
        LIST, if_match='W/"a"'
    ),
    "a header that cannot be sent": lambda _: Connection(headers={"Authorization": f"{PLANTED}\n"}),
    "a header of bytes": lambda _: Connection(headers={"Authorization": PLANTED.encode()}),  # type: ignore[dict-item]
    "a header beside a bad setting": lambda _: Connection({"Authorization": PLANTED}, deadline=0),
    "a header by connect": lambda _: connect("http://h/STU3", headers={"Authorization": f"{PLANTED}\n"}),
    "a setting by connect": lambda _: connect("http://h/STU3", pasword=PLANTED),
    "a header of one request that cannot be sent": lambda _: _client().send(
        "GET", "List", headers={"Authorization": f"{PLANTED}\n"}
    ),
    "another header that cannot be sent beside it": lambda _: _client(token=planted).send(
        "GET", "List", headers={"X": "\n", "Cookie": PLANTED}
    ),
    "a token that cannot be sent": lambda _: _client(token=unsendable).read("List", "1"),
    "a header's function that gives what cannot be sent": lambda _: _client(headers={"X-Key": unsendable}).read(
        "List", "1"
    ),
    "a proxy's password": lambda _: _client(
        proxy="http://127.0.0.1:9", proxy_auth=("me", planted), cert=None, token=unsendable
    ).read("List", "1"),
    "a passphrase": lambda folder: _client(
        "https://h/STU3", cert=tlskit.make(folder).locked, passphrase=lambda: f"{PLANTED}?"
    ),
    "a password in the base URL": lambda _: Client(f"https://me:{PLANTED}@h/STU3"),
    "a password in an unusable base URL": lambda _: Client(f"ftp://me:{PLANTED}@h/STU3"),
    "a password in the base URL of connect": lambda _: connect(f"https://me:{PLANTED}@h/STU3"),
    "a password in the proxy": lambda _: connect("https://h/STU3", proxy=f"http://me:{PLANTED}@h:1"),
    "a key in a path": lambda _: _client().send("GET", f"../List?api_key={PLANTED}"),
    "a key in a search": lambda _: _client(adapter=Interrupted(), headers={"X": PLANTED}).search(
        "List", api_key=PLANTED
    ),
    "a claim": lambda _: SpineIdentity("1", *IDENTITY[1:], user=PLANTED),
    "a claim, interrupted": lambda _: _client(
        adapter=Interrupted(), identity=SpineIdentity(*IDENTITY, user=PLANTED), headers={"X": PLANTED}
    ).read("List", "1"),
    "a profile with a token in clear text": lambda folder: _in_profile(f'token = "{PLANTED}"', folder),
    "a profile with a header in clear text": lambda folder: _in_profile(f'[i.headers]\nX-Pass = "{PLANTED}"', folder),
    "a profile with a password in its proxy": lambda folder: _in_profile(f'proxy = "http://me:{PLANTED}@h:1"', folder),
    "a profile with an unknown key": lambda folder: _in_profile(f'pasword = "{PLANTED}"', folder),
    "a profile with half an identity": lambda folder: _in_profile(
        f'[i.spine]\nuser = "{PLANTED}"\nfrom_asid = "1"\nto_asid = "2"\nissuer = "3"', folder
    ),
}


@pytest.mark.parametrize("name", RAISING)
def test_a_traceback_with_its_variables_shows_no_secret(name: str, tmp_path: Path) -> None:
    with pytest.raises((BadInput, WriteNotAllowed, KeyboardInterrupt)) as raised:
        RAISING[name](tmp_path)
    assert PLANTED not in with_variables(raised.value)


def test_what_a_client_holds_shows_no_secret() -> None:
    """Every attribute of every part of it that has been used: what a debugger lists."""
    cookie = f"Set-Cookie: session={PLANTED}-cookie; Path=/"
    with stranger(answers(200, b"", 'ETag: W/"b"', cookie)) as proxy:
        client = _client(
            "http://spine.example/STU3",
            proxy=f"http://127.0.0.1:{proxy.port}",
            proxy_auth=("me", planted),
            headers={"X-Key": f"{PLANTED}-header", "X-Other": planted},
            token=planted,
            allow_writes=True,
        )
        client.update(LIST, if_match='W/"a"')
        client.update(LIST)
        adapter: Any = client._session.get_adapter("http://spine.example")
        (manager,) = adapter.proxy_manager.values()
        parts = [client, client._session, adapter, manager, client.connection.headers, client._session.cookies]
        shown = [repr(vars(part)) if hasattr(part, "__dict__") else repr(part) for part in parts]
        shown += [repr(client.connection.proxy_auth), str(client._session.cookies)]
        client.close()
    assert [text for text in shown if PLANTED in text or "cGxhbnRlZC1" in text] == []
    assert b"Proxy-Authorization: Basic " in proxy.requests[0]
    assert f"session={PLANTED}-cookie".encode() in proxy.requests[1]


# --- prompts ---


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """A person at the keyboard."""
    person = Typed()
    monkeypatch.setattr(reference_module, "_typed", {})
    monkeypatch.setattr("getpass.getpass", person)
    return person


class Typed:
    """Types the next answer, or the question itself with a number; remembers the prompts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.answers.pop(0) if self.answers else f"answer-number-{len(self.asked)}"


def test_two_prompts_are_two_questions(typed: Typed) -> None:
    """Else a key's passphrase is sent as the bearer token."""
    first, second = Reference("prompt"), Reference("prompt")
    assert first() != second()
    assert (first(), second()) == ("answer-number-1", "answer-number-2")
    assert len(typed.asked) == 2
    assert first != second
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_connection_says_what_each_secret_is_for(typed: Typed, tmp_path: Path) -> None:
    made = tlskit.make(tmp_path)
    typed.answers = ["of the proxy", tlskit.PASSPHRASE, "key-9124", "token-1"]
    client = _client(
        "https://127.0.0.1:9/STU3",
        token=Reference("prompt"),
        passphrase=Reference("prompt"),
        proxy="http://127.0.0.1:9",
        proxy_auth=("me", Reference("prompt")),
        headers={"X-Key": Reference("prompt")},
        cert=made.locked,
        verify=made.ca,
    )
    client.read("List", "1")
    client.read("List", "1")
    assert typed.asked == [
        "The password for the proxy: ",
        "The passphrase of the client key: ",
        "The header X-Key: ",
        "The bearer token: ",
    ]


PROFILE = """
[i]
base_url = "{base_url}"
token = "prompt"
"""


def of_profile(folder: Path, base_url: str) -> Client:
    folder.mkdir(exist_ok=True)
    (folder / "profiles.toml").write_text(PROFILE.format(base_url=base_url), encoding="utf-8")
    return connect("i", profiles=folder / "profiles.toml")


def test_a_profile_asks_once_and_for_each_endpoint_anew(typed: Typed, tmp_path: Path) -> None:
    with stranger(answers(404)) as one, stranger(answers(404)) as other:
        for base_url in (one.url, one.url, other.url):
            of_profile(tmp_path, base_url).read("List", "1")
    assert typed.asked == ["Token of the profile 'i': "] * 2
    assert [b"answer-number-1" in each for each in one.requests] == [True, True]
    assert b"answer-number-2" in other.requests[0], "what was typed for one endpoint is never sent to another"


def test_a_token_that_is_refused_is_asked_for_again(typed: Typed, tmp_path: Path) -> None:
    with stranger(answers(401), answers(404), answers(403), answers(404)) as server:
        client = of_profile(tmp_path, server.url)
        for _ in range(4):
            client.read("List", "1")
    tokens = [line for each in server.requests for line in each.split(b"\r\n") if line.startswith(b"Authorization")]
    assert [token.rpartition(b"-")[2] for token in tokens] == [b"1", b"2", b"2", b"2"]
    assert len(typed.asked) == 2


def test_a_token_that_cannot_be_sent_is_asked_for_again(typed: Typed) -> None:
    typed.answers = ["pasted\twith a space ", "right-token-1"]
    with stranger(answers(404)) as server:
        client = _client(server.url, token=Reference("prompt"))
        with pytest.raises(BadInput, match="The value given for Authorization cannot be sent"):
            client.read("List", "1")
        assert client.read("List", "1").status == 404
    assert len(typed.asked) == len(server.requests) + 1 == 2


def test_a_passphrase_that_does_not_fit_is_asked_for_again(typed: Typed, tmp_path: Path) -> None:
    made = tlskit.make(tmp_path)
    typed.answers = ["mistyped", tlskit.PASSPHRASE]
    connection = Connection(cert=made.locked, passphrase=Reference("prompt"), verify=made.ca)
    with pytest.raises(BadInput, match="does not open the key"):
        Client("https://127.0.0.1:9/STU3", connection=connection)
    Client("https://127.0.0.1:9/STU3", connection=connection).close()
    assert len(typed.asked) == 2


@pytest.mark.parametrize("base_url", ["http://spine.example/STU3", "https://spine.example/STU3"])
def test_a_proxy_password_that_is_refused_is_asked_for_again(typed: Typed, base_url: str) -> None:
    with stranger(answers(407, b"", "Proxy-Authenticate: Basic")) as proxy:
        auth = ("me", Reference("prompt"))
        connection = Connection(proxy=f"http://127.0.0.1:{proxy.port}", proxy_auth=auth)
        for _ in range(2):
            client = Client(base_url, connection=connection)
            assert client.read("List", "1").verdict is not Verdict.READ
            client.close()
    assert len(typed.asked) == 2


def test_threads_that_need_one_secret_ask_once(typed: Typed) -> None:
    secret = Reference("prompt", "the token")
    together = threading.Barrier(4)
    found: list[str] = []

    def asks() -> None:
        together.wait()
        found.append(secret())

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(typed.asked), set(found)) == (1, {"answer-number-1"})


def test_it_can_be_forgotten_by_hand(typed: Typed) -> None:
    secret = Reference("prompt", "the token")
    assert secret() == secret() == "answer-number-1"
    secret.forget()
    assert secret() == "answer-number-2"
    Reference("env:NAME").forget()
