"""A lesson for a room: many phones add entries to one List, and see optimistic locking work.

``Classroom`` holds the people, the List and the counts. It hands each update, as a complete request, to the application
of the embedded endpoint. ``ClassroomApp`` is an ASGI application with one page and a narrow JSON interface. A phone can
only load the List and add one entry to the version that it loaded, so nothing else can be written. ``hold`` serves both
on a socket until the time is over. Everything is in memory, and is gone at the end.

The presenter can switch the lock off. Then an update from a stale version is accepted, and the entries that others
added in between are lost.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from workbench.clock import wall_clock
from workbench.endpoint import policy
from workbench.endpoint.application import Application
from workbench.endpoint.asgi import Message, Receive, Send, is_own_host
from workbench.endpoint.process import listen
from workbench.endpoint.request import BASE_PATH
from workbench.endpoint.server import SocketServer
from workbench.endpoint.settings import Serving
from workbench.endpoint.store import Store
from workbench.errors import BadInput
from workbench.exchange.message import Headers, Request, Response
from workbench.exchange.text import reason
from workbench.fhir import json
from workbench.fhir.printable import printable

LONGEST_NAME: Final = 24
LONGEST_ENTRY: Final = 60
MOST_ENTRIES: Final = 1000
"""Entries accepted for one List, lost ones included."""

MOST_PEOPLE: Final = 1000
MOST_MINUTES: Final = 24 * 60

_BODY_LIMIT: Final = 4096
_CODE_LETTERS: Final = "ABCDEFGHJKLMNPQRTUVWXYZ2346789"
"""Without letters and digits that look alike on a wall."""

_CODE_LENGTH: Final = 6
_MOST_ADDRESSES: Final = 1000
"""Addresses whose wrong codes are remembered."""

_FHIR: Final = (("Content-Type", "application/fhir+json"), ("Prefer", "return=representation"))

_PAGE_FIELDS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


@dataclass
class Refused(Exception):  # it is an answer, not a failure
    """A request that the classroom does not accept: an HTTP status, and a sentence for the page."""

    status: int
    sentence: str


class Allowance:
    """A number of requests that refills with time (a token bucket)."""

    def __init__(self, most: float, per_second: float, clock: Callable[[], float]) -> None:
        self._most, self._per_second, self._clock = most, per_second, clock
        self._left, self._at = most, clock()

    def left(self) -> float:
        """Return how many requests are left now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left

    def take(self) -> bool:
        """Use one request; return ``False`` if none is left."""
        if self.left() < 1:
            return False
        self._left -= 1
        return True


# --- the model ---


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted entry. Its id is that of the element in the List."""

    id: str
    name: str
    text: str

    @property
    def display(self) -> str:
        """The entry as the List shows it."""
        return f"{self.text} ({self.name})"


@dataclass(slots=True)
class Person:
    """A phone: a name, and the List as it was last loaded, with its ETag."""

    name: str
    allowance: Allowance
    held: dict[str, Any] | None = None
    etag: str = ""


class Classroom:
    """The people, the List and the counts. Not thread-safe: one event loop calls it.

    ``code`` admits a phone and ``presenter`` the presenter's page. ``clock`` counts seconds, for the limits.
    """

    def __init__(
        self,
        *,
        code: str,
        presenter: str,
        most_people: int = 200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.code = code
        self._presenter = presenter
        self._most_people = most_people
        self._clock = clock
        self._people: dict[str, Person] = {}
        self._tries: dict[str, Allowance] = {}

        self._store = Store()
        with_lock, without_lock = (
            Application(
                self._store,
                base_url=f"http://classroom.invalid{BASE_PATH}",
                policy=rules,
                clock=wall_clock,
                new_id=lambda: str(uuid.uuid4()),
                new_outcome_id=lambda: str(uuid.uuid4()),
            )
            for rules in (policy.SPINE, policy.UNPROTECTED)
        )
        self._applications = {True: with_lock, False: without_lock}
        self.locked = True
        self.restart()

    def close(self) -> None:
        """Close the database, which is in memory."""
        self._store.close()

    # --- a phone ---

    def join(self, name: object, code: object, address: str) -> str:
        """Admit a person who knows the code, and return the token of this phone.

        An address that sent ten wrong codes waits; it gets one more try every ten seconds.
        """
        tries = self._tries_of(address)
        if tries.left() < 1:
            raise Refused(429, "Too many wrong codes came from your network address. Wait a minute, then try again.")
        given = "".join(str(code).split()).replace("-", "").upper()
        if not hmac.compare_digest(given.encode(errors="replace"), self.code.encode()):
            tries.take()
            raise Refused(403, "The code is wrong. Copy it from the presenter's screen.")

        wanted = _line(name, LONGEST_NAME, "name")
        if len(self._people) >= self._most_people:
            raise Refused(503, f"The classroom is full: it has {self._most_people} phones.")
        taken = {person.name for person in self._people.values()}
        number, free = 2, wanted
        while free in taken:
            number, free = number + 1, f"{wanted} {number}"
        token = secrets.token_urlsafe(24)
        self._people[token] = Person(free, Allowance(20, 1, self._clock))
        return token

    def person(self, token: str) -> Person:
        """Return the person with this token, and count one request; refuse an unknown or too busy phone."""
        person = self._people.get(token)
        if person is None:
            raise Refused(401, "This phone has not joined. Enter the code and your name.")
        if not person.allowance.take():
            raise Refused(429, "You send too fast. Wait a few seconds, then try again.")
        return person

    def load(self, person: Person) -> dict[str, Any]:
        """Read the List for this person, who holds its version from now on."""
        response = self._answer("GET", self._path)
        person.etag, person.held = response.headers["ETag"], json.parse(response.body)
        return _copy(person)

    def add(self, person: Person, text: object, *, with_if_match: bool) -> dict[str, Any]:
        """Add an entry to the List as this person holds it, and send that as a PUT; return what came back.

        Without the lock, the entries that others added in between are lost.
        """
        written = _line(text, LONGEST_ENTRY, "entry")
        if person.held is None:
            raise Refused(409, "The presenter started a new List. Reload it, then send your entry.")
        if len(self.accepted) >= MOST_ENTRIES:
            raise Refused(503, f"The List is full after {MOST_ENTRIES} entries. The presenter can start a new one.")

        before = person.etag
        self._last_id += 1
        entry = Entry(str(self._last_id), person.name, written)
        element = {"id": entry.id, "item": {"display": entry.display}}
        resource = person.held | {"entry": [*person.held.get("entry", ()), element]}
        precondition = (("If-Match", before),) if with_if_match else ()
        response = self._answer("PUT", self._path, resource, precondition)

        if response.status == 200:
            self.accepted.append(entry)
            person.etag, person.held = response.headers["ETag"], json.parse(response.body)
        else:
            self.refused += 1
        return _copy(person) | {
            "status": response.status,
            "sentence": _sentence(response, before, person.etag, with_if_match=with_if_match),
            "request": "\n".join([f"PUT {self._path}", *(f"{name}: {value}" for name, value in precondition)]),
            "response": f"{response.status} {reason(response.status)}",
        }

    # --- the presenter ---

    def check_presenter(self, token: str) -> None:
        """Refuse any other token than the presenter's."""
        if not hmac.compare_digest(token.encode(errors="replace"), self._presenter.encode()):
            raise Refused(401, "This address is not the presenter's. Open the one that the terminal shows.")

    def restart(self) -> None:
        """Start a new, empty List with all counts at zero. The people stay, and load it anew."""
        resource = {"resourceType": "List", "status": "current", "mode": "working", "title": "Classroom"}
        created = self._answer("POST", f"{BASE_PATH}/List", resource)
        self._path = f"{BASE_PATH}/List/{json.parse(created.body)['id']}"
        self._last_id = 0
        self.accepted: list[Entry] = []
        self.refused = 0
        for person in self._people.values():
            person.held, person.etag = None, ""

    def overview(self) -> dict[str, Any]:
        """Return what the presenter's page shows.

        An entry is lost if an update that added it was accepted, and the current List does not have it.
        """
        response = self._answer("GET", self._path)
        entries = json.parse(response.body).get("entry", [])
        present = {entry["id"] for entry in entries}
        return {
            "code": self.code,
            "locked": self.locked,
            "etag": response.headers["ETag"],
            "entries": [entry["item"]["display"] for entry in entries],
            "accepted": len(self.accepted),
            "refused": self.refused,
            "lost": [entry.display for entry in self.accepted if entry.id not in present],
            "people": [{"name": person.name, "etag": person.etag} for person in self._people.values()],
        }

    def _answer(
        self,
        method: str,
        path: str,
        resource: dict[str, Any] | None = None,
        precondition: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        body = b"" if resource is None else json.dumps(resource).encode()
        request = Request(method, path, Headers([*_FHIR, *precondition]), body)
        return self._applications[self.locked].answer(request)

    def _tries_of(self, address: str) -> Allowance:
        """Return how many wrong codes an address may still send; all of an IPv6 network (/64) share them."""
        found = _ip_address(address)
        key = str(ipaddress.ip_network((found, 64), strict=False) if found.version == 6 else found)
        if key not in self._tries and len(self._tries) >= _MOST_ADDRESSES:
            del self._tries[next(iter(self._tries))]
        return self._tries.setdefault(key, Allowance(10, 0.1, self._clock))


def _line(text: object, longest: int, what: str) -> str:
    """Return one line of text from a phone; refuse an empty or long one, and one with control characters."""
    line = " ".join(text.split()) if isinstance(text, str) else ""
    if not line:
        raise Refused(400, f"Your {what} is empty. Type one.")
    if len(line) > longest:
        raise Refused(400, f"Your {what} is too long. Use at most {longest} characters.")
    if printable(line) != line:
        raise Refused(400, f"Your {what} has characters that cannot be shown. Type letters, digits or signs.")
    return line


def _copy(person: Person) -> dict[str, Any]:
    entries = (person.held or {}).get("entry", [])
    return {"name": person.name, "etag": person.etag, "entries": [entry["item"]["display"] for entry in entries]}


def _sentence(response: Response, before: str, after: str, *, with_if_match: bool) -> str:
    """Say what an update's response means, with the version that the phone held."""
    status = f"{response.status} {reason(response.status)}"
    match response.status:
        case 200:
            sent = f"with If-Match {before}" if with_if_match else f"without If-Match, from version {before}"
            return f"{status}: your update, sent {sent}, was accepted; the List is now version {after}."
        case 409:
            return (
                f"{status}: you sent If-Match {before}, but the List changed after you loaded that version; "
                "reload it, and send your entry again."
            )
        case 412:
            return (
                f"{status}: you hold version {before}, but sent no If-Match, and Spine rejects an update without it; "
                "send your entry with If-Match."
            )
        case _:
            return f"{status}: you hold version {before}, and nothing was changed."


# --- the page and its JSON interface ---


class ClassroomApp:
    """The classroom as an ASGI callable.

    ``base_url`` is the address that phones open, and ``names`` are the host names accepted besides loopback and the
    address that a client connected to. With ``private_only`` it serves no public network address: over plain HTTP,
    all that the phones send can be read on the way.
    """

    def __init__(
        self,
        classroom: Classroom,
        *,
        base_url: str,
        names: tuple[str, ...] = (),
        private_only: bool = True,
        left: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._classroom = classroom
        self._base_url = base_url
        self._names = frozenset(name.lower() for name in names)
        self._private_only = private_only
        self._left = left

        page = resources.files("workbench") / "classroom_page"
        self._files = {
            path: (media_type, (page / name).read_bytes())
            for path, name, media_type in (
                ("/", "classroom.html", "text/html; charset=utf-8"),
                ("/classroom.js", "classroom.js", "text/javascript; charset=utf-8"),
                ("/classroom.css", "classroom.css", "text/css; charset=utf-8"),
            )
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        media_type = "application/json"
        try:
            headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            address = scope["client"][0] if scope.get("client") else "127.0.0.1"
            self._check_origin(scope, headers, address)
            body = await _read_body(receive)
            if scope["method"] in ("GET", "HEAD") and scope["path"] in self._files:
                media_type, content = self._files[scope["path"]]
            else:
                content = json.dumps(self._call(scope, headers, address, body)).encode()
            status = 200
        except Refused as refused:
            status, content = refused.status, json.dumps({"sentence": refused.sentence}).encode()

        fields = [*_PAGE_FIELDS, ("Content-Type", media_type), ("Content-Length", str(len(content)))]
        if status == 413:
            fields.append(("Connection", "close"))  # the rest of the body is not read
        start = {"type": "http.response.start", "status": status}
        await send(start | {"headers": [(name.encode(), value.encode()) for name, value in fields]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    def _check_origin(self, scope: Message, headers: Headers, address: str) -> None:
        """Refuse a public address over plain HTTP, a host that is not ours, and a page of another site."""
        if self._private_only and not is_private(address):
            raise Refused(403, "Without TLS, this classroom serves private networks only.")
        host = headers.get("Host") or ""
        if not is_own_host(host, scope["server"][0] if scope.get("server") else "", self._names):
            raise Refused(421, "This is not the address of the classroom. Open the one on the presenter's screen.")
        origin = headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refused(403, "The request comes from a page of another site.")

    def _call(self, scope: Message, headers: Headers, address: str, body: bytes) -> dict[str, Any]:
        """Carry out one call of the JSON interface.

        The token is a header field, which a page of another site cannot send (unlike a cookie).
        """
        room, token = self._classroom, (headers.get("Authorization") or "").removeprefix("Bearer ")
        given: dict[str, Any] = {}
        if scope["method"] == "POST":
            if policy.media_type(headers.get("Content-Type")) != "application/json":
                raise Refused(415, "The request is not JSON.")
            given = _read_object(body)

        match scope["method"], scope["path"]:
            case "POST", "/api/join":
                return {"token": room.join(given.get("name"), given.get("code"), address)}
            case "POST", "/api/load":
                return room.load(room.person(token))
            case "POST", "/api/add":
                person = room.person(token)
                return room.add(person, given.get("text"), with_if_match=given.get("ifMatch") is not False)
            case "GET", "/api/overview":
                room.check_presenter(token)
                return room.overview() | {"address": self._base_url, "minutes": self._left() / 60}
            case "POST", "/api/lock":
                room.check_presenter(token)
                room.locked = given.get("locked") is not False
                return {}
            case "POST", "/api/restart":
                room.check_presenter(token)
                room.restart()
                return {}
        raise Refused(404, "There is nothing here.")


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "The request broke off.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _BODY_LIMIT:
            raise Refused(413, f"The request is over the limit of {_BODY_LIMIT} bytes.")
    return body


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        given = json.parse(body)
    except BadInput:
        given = None
    if not isinstance(given, dict):
        raise Refused(400, "The request is not a JSON object.")
    return given


def is_private(address: str) -> bool:
    """Return whether an IP address cannot be on the public Internet: loopback, private or link-local."""
    return not _ip_address(address).is_global


def _ip_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address without its zone. A socket that accepts both versions writes IPv4 as ``::ffff:192.0.2.1``."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


# --- serving ---


def hold(serving: Serving, *, minutes: float, people: int) -> None:
    """Hold a classroom until its time is over, SIGINT or SIGTERM. Print its addresses, and the counts at the end.

    Raises ``BadInput`` for an option out of its range, and ``EndpointError`` for an unusable address or certificate.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise BadInput(f"A classroom lasts up to {MOST_MINUTES} minutes; give --minutes a number above 0.")
    if not 1 <= people <= MOST_PEOPLE:
        raise BadInput(f"A classroom has 1 to {MOST_PEOPLE} phones; give --people such a number.")

    presenter = secrets.token_urlsafe(24)
    classroom = Classroom(
        code="".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH)),
        presenter=presenter,
        most_people=people,
    )
    ends = time.monotonic() + 60 * minutes
    with closing(classroom), listen(serving) as listening:
        spine_url = serving.url_at(listening.getsockname()[1])
        base_url = spine_url.removesuffix(BASE_PATH) + "/"
        app = ClassroomApp(
            classroom,
            base_url=base_url,
            names=serving.names_at(spine_url),
            private_only=serving.tls_cert is None,
            left=lambda: ends - time.monotonic(),
        )
        server = SocketServer(app, serving)
        timer = threading.Timer(60 * minutes, server.stop)
        timer.daemon = True

        def on_start() -> None:
            # After the hash, so that a browser does not send the token when it opens the page.
            _print(f"Presenter: {base_url}#presenter={presenter}")
            _print(f"Phones:    {base_url} with the code {classroom.code}")
            _print(f"It ends after {minutes:g} minutes, or with Ctrl-C.")
            timer.start()

        try:
            server.run(listening, on_start)
        finally:
            timer.cancel()
            counts = classroom.overview()
            _print(
                f"The classroom has ended: {counts['accepted']} accepted, {counts['refused']} refused, "
                f"{len(counts['lost'])} lost."
            )


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201
