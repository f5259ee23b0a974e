"""``explore``: send random sequences of requests, and compare each answer with the model's.

Hypothesis chooses the steps and, after a disagreement, shortens the sequence. One step is one draw from a list that
begins with the simplest, so Hypothesis costs little and a shortened sequence is plain.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

from workbench.client.client import Client
from workbench.conformance.comparison import Disagreement
from workbench.conformance.exploration import Exploration, ShortestSequence
from workbench.conformance.model import Known, Model
from workbench.conformance.responses import created_path, header
from workbench.conformance.rules import RULES, Policy
from workbench.conformance.servers import known_server
from workbench.conformance.under_check import EndpointUnderCheck, send
from workbench.errors import BadInput, CannotCheck, needs
from workbench.exchange.message import Exchange, can_be_sent
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.journal.journal import Journal

STEPS: Final = 1_000
SEQUENCE: Final = 40
"""Steps in one sequence."""

MOST_DISAGREEMENTS: Final = 20
_MOST_SHORTENING: Final = 6_000
"""Steps sent to shorten one sequence."""

_MOST_IN_VAIN: Final = 2_000
"""Steps sent after the last one that shortened it."""

NAMES: Final = ("alice", "bob")
RESOURCES: Final = 3
UNASSIGNED: Final = 3
"""The ``Step.resource`` of an id that was never assigned."""

Progress = Callable[[int, int], object]
"""Called after each explored step with the number done and the total."""


class Step(NamedTuple):
    """One step before it is a request: versions and ids are filled in when it is sent."""

    action: str
    resource: int = 0
    client: int = 0
    tag: str = "current"
    body: str = "changed"
    prefer: str = ""
    condition: str = ""


TAGS: Final = {
    "current": 'W/"{current}"',
    "first": 'W/"{first}"',
    "previous": 'W/"{previous}"',
    "third": 'W/"{third}"',
    "other": 'W/"{other}"',
    "made-up": 'W/"00000000-0000"',
    "cut": 'W/"{cut}"',
    "bare": "{current}",
    "strong": '"{current}"',
    "unquoted": "W/{current}",
    "small-letter": 'w/"{current}"',
    "list": 'W/"{previous}", W/"{current}"',
    "star": "*",
    "empty": "",
    "bare-previous": "{previous}",
    "strong-previous": '"{previous}"',
    "list-of-others": 'W/"{previous}", W/"{other}"',
}
"""The forms of ``If-Match``. Two lines of the field are sent as a list, which means the same (RFC 9110, 5.3)."""

CONDITIONS: Final[dict[str, dict[str, str]]] = {
    "": {},
    "same": {"If-None-Match": 'W/"{current}"'},
    "older": {"If-None-Match": 'W/"{previous}"'},
    "several": {"If-None-Match": 'W/"{previous}", W/"{current}"'},
    "several-others": {"If-None-Match": 'W/"{previous}", W/"{other}"'},
    "star": {"If-None-Match": "*"},
    "since": {"If-Modified-Since": "{modified}"},
    "since-long": {"If-Modified-Since": "Fri, 25 May 2018 16:09:50 GMT"},
    "since-nonsense": {"If-Modified-Since": "yesterday"},
    "older-and-since": {"If-None-Match": 'W/"{previous}"', "If-Modified-Since": "{modified}"},
    "same-and-since-long": {"If-None-Match": 'W/"{current}"', "If-Modified-Since": "Fri, 25 May 2018 16:09:50 GMT"},
    "match": {"If-Match": 'W/"{current}"'},
    "match-older": {"If-Match": 'W/"{previous}"'},
}
"""The conditions of a read."""

_EXTENSION: Final = {"url": "https://fhir.example/extension", "valueDecimal": json.ExactDecimal("1.10")}
_SUBSETTED: Final = {"system": "http://hl7.org/fhir/v3/ObservationValue", "code": "SUBSETTED"}

RICH: Final[dict[str, Any]] = {
    "meta": {"tag": [{"system": "https://fhir.example/tag", "code": "b"}, {"code": "a", "display": "Ä = A\u0308"}]},
    "contained": [{"resourceType": "Basic", "id": "inside", "code": {"text": " two  blanks "}}],
    "extension": [_EXTENSION, _EXTENSION, {"id": "e1", "url": "https://fhir.example/other", "valueString": "\u00e9"}],
    "_language": {"extension": [_EXTENSION]},
}
"""Elements that any resource can have: lists in order, equal entries, decimals, siblings, element ids."""

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "unknown-element": {"nonsense": "x"},
    "wrong-type": {"language": 5},
    "null-entry": {"meta": {"profile": [None]}},
    "uri-without-blanks": {"implicitRules": "https://fhir.example/a b"},
    "narrative-is-xhtml": {
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">unclosed<p></div>'}
    },
    "subsetted": {"meta": {"tag": [_SUBSETTED]}},
}
"""What makes a body invalid, by the rule that refuses it."""

PREFERENCES: Final = ("return=minimal", "return=representation", "return=OperationOutcome", "return=everything")
_REFUSED: Final = ("codes-400-structure", "codes-415", *FAULTS)
_OF_AN_UPDATE: Final = ("id-missing", "id-differs", "type-differs")


def _all_steps() -> Iterator[Step]:
    """Yield every step, the simplest first; a step that is to be frequent several times."""
    places = [Step("", resource, client) for resource in range(RESOURCES) for client in range(len(NAMES))]
    for place in places:
        yield from [place._replace(action="read", condition=condition) for condition in CONDITIONS] * 2
        yield place._replace(action="search")
        yield place._replace(action="history")
    for place in places:
        update = place._replace(action="update")
        yield from [update] * 20
        yield from [update._replace(body=body) for body in ("same", "rich", "stamped")] * 4
        yield from [update._replace(prefer=prefer) for prefer in PREFERENCES] * 2
        yield from [update._replace(tag=tag) for tag in (*TAGS, "none")] * 2
        yield from [update._replace(body=body) for body in (*_OF_AN_UPDATE, *_REFUSED)]
        yield from [update._replace(tag=tag, body="same") for tag in ("none", "previous", "other")]
        yield from [update._replace(tag=tag, body="codes-400-structure") for tag in ("none", "previous", "bare")]
        yield from [update._replace(tag=tag, body="unknown-element") for tag in ("previous", "list")]
        yield from [update._replace(tag="previous", prefer=prefer) for prefer in PREFERENCES]
        yield from [update._replace(tag=tag, condition="star") for tag in ("current", "previous", "none")]
    for place in places:
        yield from [place._replace(action="again")] * 6
        create = place._replace(action="create")
        yield from [create] * 2
        yield from [create._replace(body=body) for body in ("rich", "create-with-an-id", *_REFUSED)]
        yield from [create._replace(prefer=prefer) for prefer in PREFERENCES]
        yield from [place._replace(action="delete", tag=tag) for tag in (*TAGS, "none")]
        yield from [place._replace(action="delete")] * 4
    for client in range(len(NAMES)):
        unassigned = Step("read", UNASSIGNED, client)
        yield unassigned
        yield from [unassigned._replace(action=action, tag=tag) for action in ("update", "delete") for tag in TAGS]
        yield from [unassigned._replace(action=action, tag="none") for action in ("update", "delete")]


ALL_STEPS: Final = tuple(_all_steps())


def explore(
    client: Client,
    *,
    seed: int = 0,
    steps: int = STEPS,
    profile: str | None = None,
    resource: str | None = None,
    consent: bool = False,
    without: Collection[str] = (),
    most: int = MOST_DISAGREEMENTS,
    seconds: float = 3600.0,
    progress: Progress | None = None,
) -> Exploration:
    """Send ``steps`` random requests in sequences, compare each answer with a model, and shorten what disagrees.

    Two clients work on up to three resources, which are created for each sequence and deleted after it. After
    every write each resource of the sequence is read. As in ``check``, name a ``resource`` and give ``consent``
    where none may be created; its content is put back. Nothing is written to a host that is not this machine
    unless the connection allows writes. The same ``seed`` gives the same sequences.

    ``profile`` names a known server (``"hapi"``), whose answers then replace the contract's. ``without`` leaves
    out rules or whole promises (``"UPD-8"``). After a disagreement its rule is left out too, and exploring goes
    on until ``most`` are found, or ``steps`` or ``seconds`` are used up.

    Raises ``CannotCheck`` if nothing answers or nothing may be written, ``BadInput`` for an unusable argument, and
    ``NotInstalled`` without Hypothesis.
    """
    server = known_server(profile) if profile is not None else None
    if steps < 1 or most < 1:
        raise BadInput("steps and most are 1 or more.")
    known = set(RULES) | {rule.promise for rule in RULES.values()}
    if unknown := sorted(set(without) - known):
        raise BadInput(f"There is no rule {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    check_installed()

    endpoint = EndpointUnderCheck(client, resource=resource, consent=consent)
    run = _Exploring(endpoint, Policy(server, tuple(without)), seed, steps, time.monotonic() + seconds, progress)
    try:
        endpoint.survey()
        if endpoint.no_write or not (endpoint.may_change if endpoint.shares_one else not endpoint.no_create):
            raise CannotCheck(
                f"Exploring needs a resource that it may change. {endpoint.no_write or endpoint.no_create}"
            )
        run.run(most)
    except KeyboardInterrupt:
        run.interrupted = True
    finally:
        endpoint.stopped.set()
        endpoint.leave()
        endpoint.note_what_is_left()
    return Exploration(
        endpoint=client.base_url,
        seed=seed,
        steps=run.explored,
        requests=run.requests,
        disagreements=tuple(run.found),
        profile=server.name if server else "",
        notes=tuple(endpoint.notes),
        interrupted=run.interrupted,
    )


def check_installed() -> None:
    """Raise ``NotInstalled`` without Hypothesis."""
    with needs("check"):
        import hypothesis  # noqa: F401


class _Enough(BaseException):
    """The steps, the time or the shortening of a sequence are used up. Hypothesis lets it through."""


class _Write(NamedTuple):
    """A write as it is sent. ``fault`` names the rule that its body breaks; empty for a valid body."""

    method: str
    path: str
    headers: dict[str, str | None]
    body: bytes = b""
    fault: str = ""


class Sequence:
    """One sequence of steps at the endpoint and at a model, on resources that only it uses.

    ``watched``: all its resources are read after every write. ``own`` does not count these reads.
    """

    def __init__(self, endpoint: EndpointUnderCheck, policy: Policy, *, watched: bool = True) -> None:
        self._endpoint = endpoint
        self._watched = watched
        self._journal = Journal()
        self._clients = [endpoint.client.sibling(name, journal=self._journal) for name in NAMES]
        self._model = Model(policy)
        self._paths: dict[int, str] = {}
        self._last: dict[int, _Write] = {}
        self._created: set[str] = set()
        self._changes = itertools.count(1)
        self.steps: list[Step] = []
        self.own: list[int] = []
        """The numbers in the journal of the steps' exchanges."""

    @property
    def requests(self) -> int:
        """The number of requests sent so far."""
        return len(self._journal)

    def exchanges(self) -> tuple[Exchange, ...]:
        """Return the exchanges of the steps, and the last one of all."""
        numbers = dict.fromkeys([*self.own, len(self._journal)])
        return tuple(self._journal[number - 1] for number in numbers)

    def close(self) -> None:
        """Delete the resources of this sequence."""
        self._endpoint.delete_own(self._clients[0], self._created)
        for client in self._clients:
            client.close()

    def take(self, step: Step) -> None:
        """Send one step and compare; raises ``Disagreement``."""
        self.steps.append(step)
        if step.action == "again":
            if step.client in self._last:
                self._send(step.client, self._last[step.client])
            return
        if step.action == "create":
            if not self._endpoint.shares_one:
                self._create(step)
            return
        path = self._path(step)
        if step.action in ("read", "search", "history"):
            self._read(step, path)
        elif step.action == "update":
            fields: dict[str, str | None] = {"If-Match": self._tag(step, path)}
            if step.condition:
                fields["If-None-Match"] = "*"
            self._write(step, "PUT", path, fields, self._content(path))
        elif not self._endpoint.shares_one:
            self._send(step.client, _Write("DELETE", path, {"If-Match": self._tag(step, path)}))

    def look(self, client: int = 0) -> None:
        """Read every resource of this sequence, and compare."""
        for path in self._model.known:
            self._model.check(send(self._clients[client], "GET", path))

    # --- requests ---

    def _send(self, client: int, write: _Write) -> Exchange:
        self._endpoint.check_not_stopped()
        with self._endpoint.in_flight(write.method, write.path):
            exchange = send(self._clients[client], write.method, write.path, headers=write.headers, body=write.body)
        self.own.append(len(self._journal))
        created = created_path(exchange) if exchange.status == 201 else None
        if created:
            self._created.add(created)
            self._endpoint.remember_own(created)
        elif write.method == "POST" and exchange.response is None and exchange.sent:
            self._endpoint.notes.append(
                f"POST {write.path} was not answered; what it may have created was not deleted."
            )
        self._last[client] = write
        self._model.check(exchange, write.fault)
        if self._watched:
            self.look(1 - client)
        return exchange

    def _create(self, step: Step) -> None:
        content, _ = self._endpoint.new_content()
        created = created_path(self._write(step, "POST", self._endpoint.resource_type, {}, content))
        if created and created in self._model.known:
            self._paths[step.resource] = created

    def _write(
        self, step: Step, method: str, path: str, headers: dict[str, str | None], content: dict[str, Any]
    ) -> Exchange:
        headers = headers | ({"Prefer": step.prefer} if step.prefer else {})
        fault = step.body if step.body in RULES else ""
        if step.body == "codes-415":
            headers["Content-Type"] = "text/plain"
        text = json.dumps(self._body(step, content))
        if step.body == "codes-400-structure":
            text = text[: len(text) // 2]
        return self._send(step.client, _Write(method, path, headers, text.encode(), fault))

    def _read(self, step: Step, path: str) -> None:
        client = self._clients[step.client]
        if step.action == "search":
            kind, _, logical_id = path.partition("/")
            exchange = send(client, "GET", f"{kind}?_id={logical_id}")
        elif step.action == "history":
            exchange = send(client, "GET", f"{path}/_history")
        else:
            words = self._words(path)
            fields = {name: value.format(**words) for name, value in CONDITIONS[step.condition].items()}
            usable = {name: value for name, value in fields.items() if value}
            exchange = send(client, "GET", path, headers=usable)
        self.own.append(len(self._journal))
        self._model.check(exchange)

    # --- what a step is about ---

    def _path(self, step: Step) -> str:
        if self._endpoint.shares_one:
            return self._shared()
        if step.resource == UNASSIGNED and UNASSIGNED not in self._paths:
            path = f"{self._endpoint.resource_type}/{uuid.uuid4()}"
            self._paths[UNASSIGNED] = path
            self._created.add(path)
            self._endpoint.remember_own(path)
        elif step.resource not in self._paths:
            self._create(step._replace(body="", prefer=""))
        if step.resource not in self._paths:
            raise CannotCheck("No resource could be created.")
        return self._paths[step.resource]

    def _shared(self) -> str:
        path = self._endpoint.shared
        assert path is not None
        if path not in self._model.known:
            read = send(self._clients[0], "GET", path)
            self.own.append(len(self._journal))
            content = without_version(read.resource) if isinstance(read.resource, dict) else {}
            self._model.known[path] = Known(content, [header(read, "ETag")], header(read, "Last-Modified"))
        return path

    def _words(self, path: str) -> dict[str, str]:
        """Return the version ids that the forms of a precondition name; made up if there is none."""
        known = self._model.known.get(path)
        etags = [etag.partition('"')[2].rstrip('"') or "none" for etag in known.etags] if known else []
        others = [other.etags[-1] for name, other in self._model.known.items() if name != path]
        current = etags[-1] if etags else "0-0"
        modified = known.last_modified if known else ""
        return {
            "current": current,
            "first": etags[0] if len(etags) > 1 else "0-1",
            "previous": etags[-2] if len(etags) > 1 else "0-1",
            "third": etags[-3] if len(etags) > 2 else "0-1",
            "cut": current[:-1] or "0",
            "other": others[-1].partition('"')[2].rstrip('"') if others else "0-2",
            "modified": modified if can_be_sent(modified) else "",
        }

    def _tag(self, step: Step, path: str) -> str | None:
        return None if step.tag == "none" else TAGS[step.tag].format(**self._words(path))

    def _content(self, path: str) -> dict[str, Any]:
        known = self._model.known.get(path)
        if known and known.content is not None:
            return known.content
        content, _ = self._endpoint.new_content()
        return {"resourceType": content["resourceType"], "id": path.partition("/")[2], **content}

    def _body(self, step: Step, content: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a step, made from the resource's content."""
        is_list = content["resourceType"] == "List"
        number = next(self._changes)
        change = {"title": f"step {number}"} if is_list else {"language": f"en-x-s{number}"}
        body = step.body
        if body in ("", "same"):
            return content
        if body == "rich":
            return content | change | RICH
        if body == "stamped":
            return content | change | {"meta": {"versionId": "25777f7d-27bc", "lastUpdated": "2018-05-25T16:09:50Z"}}
        if body == "id-missing":
            return {name: value for name, value in content.items() if name != "id"}
        if body in ("id-differs", "create-with-an-id"):
            return content | {"id": "another-id"}
        if body == "type-differs":
            return content | {"resourceType": "Flag" if is_list else "List"}
        return content | change | FAULTS.get(body, {})


class _Exploring:
    """One run of ``explore``: the sequences, and the shortest one of each disagreement."""

    def __init__(
        self,
        endpoint: EndpointUnderCheck,
        policy: Policy,
        seed: int,
        steps: int,
        end: float,
        progress: Progress | None,
    ) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._seed = seed
        self._steps = steps
        self._end = end
        self._progress = progress
        self._shortening = self._shortened_at = 0
        self._best: tuple[tuple[int, ...], Disagreement, Sequence] | None = None
        self.explored = 0
        self.requests = 0
        self.found: list[ShortestSequence] = []
        self.interrupted = False

    def run(self, most: int) -> None:
        """Explore until the steps, the time or ``most`` disagreements are used up."""
        from hypothesis.errors import Flaky  # a package of the extra ``check``

        while self.explored < self._steps and len(self.found) < most and time.monotonic() < self._end:
            self._best, self._shortening, self._shortened_at = None, 0, 0
            with contextlib.suppress(_Enough, Disagreement, Flaky):  # flaky: also what _Enough cut short
                self._run_hypothesis(self._seed + len(self.found))
            if not self._keep_best():
                break

    def _keep_best(self) -> bool:
        """Keep the shortest sequence, if there is one, and leave out its rule; return whether to explore further."""
        if self._best is None or self.interrupted:
            return False
        _, disagreement, sequence = self._best
        self.found.append(self._confirmed(disagreement, sequence))
        self._policy = Policy(self._policy.server, (*self._policy.without, disagreement.rule))
        return disagreement.rule != "answered"

    def _run_hypothesis(self, seed: int) -> None:
        from hypothesis import HealthCheck, Phase, Verbosity, settings, strategies
        from hypothesis import seed as seeded
        from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

        exploring = self

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                self.sequence = exploring.sequence()

            @rule(step=strategies.sampled_from(ALL_STEPS))
            def take(self, step: Step) -> None:
                exploring.take(self.sequence, step)

            def teardown(self) -> None:
                exploring.close(self.sequence)

        run_state_machine_as_test(
            seeded(seed)(Machine),
            settings=settings(
                database=None,
                deadline=None,
                derandomize=False,
                max_examples=1_000_000,
                stateful_step_count=SEQUENCE,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.quiet,
                report_multiple_bugs=False,
                print_blob=False,
            ),
        )

    def sequence(self) -> Sequence:
        """Begin a sequence."""
        return Sequence(self._endpoint, self._policy)

    def close(self, sequence: Sequence) -> None:
        """End a sequence."""
        sequence.close()
        self.requests += sequence.requests

    def take(self, sequence: Sequence, step: Step) -> None:
        """Take one step; keep the sequence if it disagrees and is the shortest that did."""
        if self._best is None:
            if self.explored == self._steps:
                raise _Enough
            self.explored += 1
            if self._progress:
                self._progress(self.explored, self._steps)
        else:
            self._shortening += 1
        in_vain = self._shortening - self._shortened_at
        if self._shortening > _MOST_SHORTENING or in_vain > _MOST_IN_VAIN or time.monotonic() > self._end:
            raise _Enough
        try:
            sequence.take(step)
        except KeyboardInterrupt:
            self.interrupted = True
            raise _Enough from None
        except Disagreement as disagreement:
            size = (len(sequence.own), *map(ALL_STEPS.index, sequence.steps))
            if self._best is None or size < self._best[0]:
                self._best, self._shortened_at = (size, disagreement, sequence), self._shortening
            raise

    def _confirmed(self, disagreement: Disagreement, sequence: Sequence) -> ShortestSequence:
        """Send the steps once more without the reads in between; take these exchanges if they disagree alike."""
        again = Sequence(self._endpoint, self._policy, watched=False)
        repeats, shown = False, sequence.exchanges()
        try:
            for step in sequence.steps:
                again.take(step)
            again.look()
        except Disagreement as second:
            if repeats := second.rule == disagreement.rule:
                disagreement, shown = second, again.exchanges()
        finally:
            self.close(again)
        return ShortestSequence(
            rule=disagreement.rule,
            expected=disagreement.expected,
            observed=disagreement.observed,
            exchanges=shown,
            base_url=self._endpoint.client.base_url,
            repeats=repeats,
        )
