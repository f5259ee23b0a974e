"""Clients that update as fast as they can, and keep account of what was acknowledged.

Raw ``http.client`` connections: a ``requests`` call would take longer than the endpoint. One writer a
resource knows exactly what may be stored: the last acknowledged version, or the one it had just sent.
"""

import http.client
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BODY = '{{"resourceType":"List","id":"{id}","status":"current","mode":"working","title":"{title}"}}'
WAIT = 60.0


def version(etag: str | None) -> str:
    """The version id in an ETag."""
    assert etag is not None
    assert etag.startswith('W/"')
    return etag[3:-1]


@dataclass
class Writer:
    """One client on one connection. ``accepted``: each base version with the version that followed it."""

    base_url: str
    logical_id: str
    accepted: list[tuple[str, str]] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    broken: bool = False

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        assert url.hostname
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=WAIT)
        self.path = f"{url.path}/List/{self.logical_id}"

    def send(self, method: str, *, body: str | None = None, if_match: str = "") -> tuple[int, str | None]:
        """One request; its status and ETag. Raises ``OSError`` or ``HTTPException`` where no answer comes."""
        fields = {"Content-Type": "application/fhir+json"} if body else {}
        fields |= {"If-Match": if_match} if if_match else {}
        began = time.perf_counter()
        self.connection.request(method, self.path, body=body, headers=fields)
        answer = self.connection.getresponse()
        answer.read()
        self.seconds.append(time.perf_counter() - began)
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        return answer.status, answer.headers["ETag"]

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def read(self) -> str:
        """The current version."""
        status, etag = self.send("GET")
        assert status == 200
        return version(etag)

    def update(self, base: str, title: str = "x") -> str | None:
        """PUT on this version: the new one, or ``None`` where another was quicker."""
        body = BODY.format(id=self.logical_id, title=title)
        status, etag = self.send("PUT", body=body, if_match=f'W/"{base}"')
        if status != 200:
            return None
        new = version(etag)
        self.accepted.append((base, new))
        return new

    def push(self, stop: threading.Event, most: int, told: "Count | None" = None) -> None:
        """Update again and again, reading afresh whenever another was quicker, until told to stop or cut off."""
        try:
            base: str | None = self.read()
            while not stop.is_set() and len(self.seconds) < most:
                assert base is not None
                base = self.update(base, title=str(len(self.seconds))) or self.read()
                if told:
                    told.up()
        except (OSError, http.client.HTTPException):
            self.broken = True  # the server went away; what was acknowledged before stands
        finally:
            self.close()


class Count:
    """How much has happened, for somebody who waits until it is enough."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def up(self) -> None:
        """One more."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, enough: int) -> None:
        """Wait until it is enough."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= enough, WAIT)


def create(base_url: str) -> str:
    """A new List; its id."""
    url = urlsplit(base_url)
    assert url.hostname
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=WAIT)
    body = '{"resourceType":"List","status":"current","mode":"working"}'
    connection.request("POST", f"{url.path}/List", body=body, headers={"Content-Type": "application/fhir+json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 201
    return str(answer.headers["Location"]).rpartition("/")[2]


def run(
    writers: Iterable[Writer], stop: threading.Event, most: int, told: Count | None = None
) -> list[threading.Thread]:
    """Set them all going."""
    threads = [threading.Thread(target=writer.push, args=(stop, most, told)) for writer in writers]
    for thread in threads:
        thread.start()
    return threads


def chain(accepted: Iterable[tuple[str, str]], first: str, last: str) -> int:
    """The length of the one chain that all accepted updates make, from the first version to the last."""
    follows: dict[str, str] = {}
    for base, new in accepted:
        assert base not in follows, f"version {base} was replaced twice"
        follows[base] = new
    seen, length = first, 0
    while seen != last:
        seen = follows.pop(seen)
        length += 1
    assert not follows, "accepted updates that the chain does not hold"
    return length


def percentile(seconds: list[float], share: float) -> float:
    """Milliseconds that this share of them took at most."""
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
