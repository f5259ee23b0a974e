"""Write docs/reference.md from the docstrings of the face: ``python docs/make_reference.py``.

A test compares the page with what this gives, so that it is in step with the code.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import workbench

PAGE = Path(__file__).with_name("reference.md")

_OPENING = """# Reference

Every name of `import workbench as wb`, by task. `python docs/make_reference.py` writes this page from the docstrings.
"""


class Task(NamedTuple):
    """What a person wants to do: an example, and the names for it, each with a sentence."""

    title: str
    example: str
    names: dict[str, str]


TASKS = (
    Task(
        "Read and update a resource",
        """client = spine.client("alice")
read = client.read("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
put = client.update(read.resource | {"title": "Reviewed"})
print(put.status, put.verdict, put.etag)
print(put.explain())""",
        {
            "Client": "sends requests to one endpoint, and remembers the version of each resource it read",
            "Exchange": "one request with its answer: `status`, `etag`, `verdict`, `explain()`, `as_curl()`",
            "Verdict": "what an exchange means, the same at every server: `UPDATED`, `STALE`, `UNKNOWN`, …",
            "ETag": "an entity tag, parsed, with FHIR's and HTTP's comparison",
            "LAST_READ": "the default of `if_match`: the version that this client last read",
            "from_curl": "reads a curl command as a request for `client.send`",
        },
    ),
    Task(
        "Resolve a conflict",
        """base = read.resource
mine, theirs = base | {"title": "Mine"}, base | {"title": "Theirs"}
merged = wb.merge(base, mine, theirs)
(conflict,) = merged.conflicts
print(merged.choose({conflict.path: wb.Side.MINE}).apply()["title"])""",
        {
            "merge": "compares three versions element by element",
            "Merge": "the decisions of a merge: `conflicts`, `choose()`, `apply()`",
            "Side": "a choice for one conflict: base, mine or theirs",
            "Edited": "a value of your own for one conflict",
        },
    ),
    Task(
        "Update again when no answer came",
        """put = client.update(client.read("List", read.logical_id).resource, retry=wb.Retry(times=3))
print(put.verdict)""",
        {
            "Retry": "how often, and after how long, an update without an answer is sent again",
            "Resolution": "the result of `client.resolve(put)`, with its reason",
            "Landing": "whether a write was carried out, as far as a read can show",
        },
    ),
    Task(
        "See what was sent",
        """print(spine.journal.transitions())
print(spine.journal.diagram())
spine.journal.export("journal.har")""",
        {
            "Journal": "all exchanges in order: tables, diagrams, exports, in memory or in a file",
            "PERSONAL": "the paths that a journal blanks in the records of another machine",
        },
    ),
    Task(
        "Run the local endpoint",
        """with wb.Endpoint.in_process(policy="R4") as endpoint:
    print(endpoint.client().capabilities().status)""",
        {
            "Endpoint": "the embedded Spine: `start()` on a port, `in_process()` without a socket",
            "LESSON_START": "the time at which the clock of a lesson starts",
        },
    ),
    Task(
        "Connect to your own endpoint",
        """client = wb.connect(spine.base_url)
print(wb.try_connection(client).words)""",
        {
            "connect": "returns a client, by the name of a profile or by a URL",
            "try_connection": "tries a connection, and names the step that fails",
            "ConnectionTest": "the result of `try_connection`",
            "Connection": "how to reach an endpoint: certificates, token, headers, proxy, limits",
            "Profile": "one endpoint of the file of profiles",
            "profile_names": "lists the profiles",
            "profiles_path": "returns where the file of profiles is",
            "read_profile": "reads one profile",
            "Reference": "a reference to a secret, such as `env:NAME`",
            "FreshId": "a header value that is a new UUID for each request",
            "SpineIdentity": "Spine's own headers and token for each request",
            "platform_identity": "the headers of the NHS API Platform",
        },
    ),
    Task(
        "Try who reads and writes when",
        """play = wb.play("alice reads, bob reads, alice puts, bob puts", spine)
print(play.statuses)  # (200, 409)""",
        {
            "play": "carries out reads and updates in a given order",
            "play_all": "carries out every order",
            "interleavings": "lists every order",
            "lesson": "checks the exercise of a notebook, and says what is still missing",
        },
    ),
    Task(
        "Let many clients race",
        """race = wb.race(spine, clients=2, updates=2, strategy="merge")
print(race.proof)""",
        {
            "race": "lets several clients update at once",
            "sweep": "runs a race for each of several numbers of clients",
            "Race": "the result of a race: figures, charts, and the proof",
            "Strategy": "what a client does after a 409",
            "STRATEGIES": "the strategies by name",
            "history": "checks whether a correct endpoint could have given all answers of a journal",
        },
    ),
    Task(
        "Test an endpoint",
        """found = wb.explore(spine.client(), seed=7, steps=20)
print(found.headline)""",
        {
            "check": "tests an endpoint against every promise of the contract",
            "Report": 'the result of a check: `ok`, `deviations`, `save("report.html")`',
            "Finding": "what one probe found",
            "Result": "whether a probe passed",
            "PROMISES": "the promises of the contract",
            "explore": "sends random sequences, and compares each answer with a model",
            "Exploration": "the result of `explore`",
            "ShortestSequence": "the shortest sequence that shows a disagreement",
            "record": "records a session as a regression test, and replays it offline",
            "Recording": "a recorded session",
        },
    ),
    Task(
        "Work with widgets",
        """bench = wb.Workbench(spine.client("you"))
bench.load("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")""",
        {
            "Workbench": "load, edit, send, and see every exchange in a table",
            "ConflictBench": "Alice and Bob, with the lock and without it",
            "RaceBench": "starts, watches and stops a race",
            "Presentation": "the story of the lost update for a room",
            "CheckTable": "a report to filter and look through",
            "EndpointPicker": "chooses a profile, tries it and opens it",
            "JsonEditor": "an editor for JSON",
        },
    ),
    Task(
        "Handle an error",
        """try:
    client.send("PUT", "../elsewhere")
except wb.BadInput as problem:
    print(problem)""",
        {
            "WorkbenchError": "the base class of every error that this package raises on purpose",
            "BadInput": "an argument, file or text cannot be used",
            "MalformedJSON": "a text is not FHIR JSON",
            "MalformedETag": "a text is not an entity tag",
            "OpenConflict": "a merge has a conflict without a decision",
            "NotRecorded": "a replayed recording does not contain the request",
            "WriteNotAllowed": "a write to another machine needs `allow_writes`",
            "EndpointError": "the embedded endpoint could not start, or has stopped",
            "UnwantedVerdict": "`raise_for_verdict()` found another verdict",
        },
    ),
)

_COMPUTED = {"Exchange.verdict": "The `Verdict` of the request and its answer."}
"""Fields that no argument sets."""


def page() -> str:
    """Return the whole page."""
    return "\n".join([_OPENING, *(line for task in TASKS for line in _task(task))]) + "\n"


def _task(task: Task) -> Iterator[str]:
    yield f"## {task.title}\n\n```python\n{task.example}\n```\n\n| name | what it is or does |\n| --- | --- |"
    for name, sentence in task.names.items():
        yield f"| [`{name}`](#{name.lower()}) | {sentence} |"
    yield ""
    for name in task.names:
        yield from _entry(name, getattr(workbench, name))


def _module(name: str, module: ModuleType) -> Iterator[str]:
    yield f"{_prose(module)}\n"
    for member, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not member.startswith("_"):
            yield f"**`{name}.{member}{_signature(function)}`**  \n{_prose(function)}\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### {name}\n"
    if inspect.ismodule(value):
        yield from _module(name, value)
        return
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        yield "A value to pass as it is.\n" if _is_ours(value) else f"{_constant(value)}\n"
        return
    plain = inspect.isclass(value) and issubclass(value, enum.Enum | BaseException)
    if not plain:
        yield f"```text\nwb.{name}{_signature(value)}\n```\n"
    yield f"{_prose(value)}\n"
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        yield " ".join(f"`{member.name}`" for member in value) + "\n"
    elif inspect.isclass(value):
        for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
            if not field.init and not field.name.startswith("_"):
                yield f"**`{field.name}`**  \n{_COMPUTED[f'{name}.{field.name}']}\n"
        for member, kind, documented in _members(value):
            yield f"**`{member}{kind}`**  \n{_prose(documented)}\n"


def _is_ours(value: Any) -> bool:
    return type(value).__module__.startswith("workbench")


def _constant(value: Any) -> str:
    if isinstance(value, dict | tuple) and not all(isinstance(item, str) for item in value):
        return f"A {type(value).__name__} of {len(value)}."
    shown = ", ".join(f"`{item}`" for item in value) if isinstance(value, dict | tuple) else f"`{value}`"
    return f"{shown}."


def _members(owner: type) -> Iterator[tuple[str, str, Any]]:
    for name, value in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            yield name, "", value.fget
        elif isinstance(value, classmethod | staticmethod):
            yield name, _signature(getattr(owner, name)), value.__func__
        elif inspect.isfunction(value):
            yield name, _signature(value, without_self=True), value


def _signature(value: Any, *, without_self: bool = False) -> str:
    try:
        signature = inspect.signature(value)
    except ValueError:
        return "(…)"
    parameters = [
        _brief(each)
        for each in list(signature.parameters.values())[1 if without_self else 0 :]
        if not each.name.startswith("_")
    ]
    if inspect.isclass(value):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    text = str(signature.replace(parameters=parameters))
    text = re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", text)
    text = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text)
    text = re.sub(r"\b_\w+\.(?=[A-Z])", "", text)  # the private class of a public value
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _brief(parameter: inspect.Parameter) -> inspect.Parameter:
    many = isinstance(parameter.default, tuple) and len(parameter.default) > 1
    return parameter.replace(default=_Many()) if many else parameter


class _Many:
    def __repr__(self) -> str:
        return "(…)"


def _prose(value: Any) -> str:
    """The docstring as Markdown, without its examples, which a test of their own runs."""
    documented = inspect.cleandoc(value.__doc__ or "")
    before = re.split(r"\n*^>>> ", documented, maxsplit=1, flags=re.MULTILINE)[0]
    return before.replace("``", "`").rstrip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
