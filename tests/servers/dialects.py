"""What each server answered, written down: its dialect, as this test run finds it again.

Data only. The rows are ``situations.SITUATIONS``; nothing here is worked out. Read by ``test_servers.py``, which asks
the servers, and held against ``docs/other-servers.md``.
"""

from typing import NamedTuple

from situations import Answer

from workbench import Verdict


class Dialect(NamedTuple):
    """One server: how it introduces itself, what it answers, what an accepted update carries, and how a race ends."""

    software: tuple[str, str, str]
    """Name, version, and the FHIR version it speaks."""
    answers: dict[str, Answer]
    carries: tuple[str, ...]
    """Which of ``situations.SAYING_WHERE`` an accepted update carries."""
    race: dict[Verdict, int]
    """What became of eight clients that sent the same current ``If-Match`` at once."""


ONE_WINS = {Verdict.UPDATED: 1, Verdict.STALE: 7}
NO_LOCK = {Verdict.UPDATED: 8}

SPINE: dict[str, Answer] = {
    "the current version": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "no If-Match": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "an older version": Answer(409, Verdict.STALE, "unchanged", "error conflict"),
    "a version that never was": Answer(409, Verdict.STALE, "unchanged", "error conflict"),
    "a version of another kind": Answer(409, Verdict.STALE, "unchanged", "error conflict"),
    "bare, current": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "bare, older": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "strong, current": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "strong, older": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "a list with the current": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "a list of others": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "any version (*)": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "no tag at all": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "unchanged content": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "Prefer: minimal": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "Prefer: representation": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "Prefer: OperationOutcome": Answer(200, Verdict.UPDATED, "changed", "information informational"),
    "Prefer: another": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "older, Prefer: representation": Answer(409, Verdict.STALE, "unchanged", "error conflict"),
    "an id never assigned, If-Match": Answer(405, Verdict.REFUSED, "absent", "error forbidden"),
    "an id never assigned, no If-Match": Answer(412, Verdict.UNGUARDED, "absent", "error structure"),
    "deleted, its last version": Answer(404, Verdict.NOT_FOUND, "gone", "error not-found"),
    "deleted, no If-Match": Answer(412, Verdict.UNGUARDED, "gone", "error structure"),
    "another id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error invalid"),
    "no id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error invalid"),
    "half a body": Answer(400, Verdict.REFUSED, "unchanged", "error structure"),
    "DELETE, the current version": Answer(204, Verdict.DELETED, "gone", "empty"),
    "DELETE, an older version": Answer(409, Verdict.STALE, "unchanged", "error conflict"),
    "DELETE, no If-Match": Answer(412, Verdict.UNGUARDED, "unchanged", "error structure"),
    "GET, an id never assigned": Answer(404, Verdict.NOT_FOUND, "absent", "error not-found"),
    "GET, If-None-Match current": Answer(304, Verdict.NOT_MODIFIED, "unchanged", "empty"),
}


HAPI_PLAIN: dict[str, Answer] = {
    "the current version": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "no If-Match": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "an older version": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "a version that never was": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "a version of another kind": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "bare, current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "bare, older": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "strong, current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "strong, older": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "a list with the current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "a list of others": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "any version (*)": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "no tag at all": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "unchanged content": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "Prefer: minimal": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "Prefer: representation": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "Prefer: OperationOutcome": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "Prefer: another": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "older, Prefer: representation": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "an id never assigned, If-Match": Answer(201, Verdict.CREATED, "appeared", "Flag"),
    "an id never assigned, no If-Match": Answer(201, Verdict.CREATED, "appeared", "Flag"),
    "deleted, its last version": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "deleted, no If-Match": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "another id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error processing"),
    "no id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error processing"),
    "half a body": Answer(400, Verdict.REFUSED, "unchanged", "error processing"),
    "DELETE, the current version": Answer(204, Verdict.DELETED, "gone", "empty"),
    "DELETE, an older version": Answer(204, Verdict.DELETED, "gone", "empty"),
    "DELETE, no If-Match": Answer(204, Verdict.DELETED, "gone", "empty"),
    "GET, an id never assigned": Answer(404, Verdict.NOT_FOUND, "absent", "error processing"),
    "GET, If-None-Match current": Answer(304, Verdict.NOT_MODIFIED, "unchanged", "empty"),
}


HAPI_JPA: dict[str, Answer] = {
    "the current version": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "no If-Match": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "an older version": Answer(409, Verdict.STALE, "unchanged", "error processing"),
    "a version that never was": Answer(409, Verdict.STALE, "unchanged", "error processing"),
    "a version of another kind": Answer(500, Verdict.FAILED, "unchanged", "error processing"),
    "bare, current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "bare, older": Answer(409, Verdict.STALE, "unchanged", "error processing"),
    "strong, current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "strong, older": Answer(409, Verdict.STALE, "unchanged", "error processing"),
    "a list with the current": Answer(500, Verdict.FAILED, "unchanged", "error processing"),
    "a list of others": Answer(500, Verdict.FAILED, "unchanged", "error processing"),
    "any version (*)": Answer(500, Verdict.FAILED, "unchanged", "error processing"),
    "no tag at all": Answer(500, Verdict.FAILED, "unchanged", "error processing"),
    "unchanged content": Answer(200, Verdict.UPDATED, "unchanged", "Flag"),
    "Prefer: minimal": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "Prefer: representation": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "Prefer: OperationOutcome": Answer(200, Verdict.UPDATED, "changed", "information informational"),
    "Prefer: another": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "older, Prefer: representation": Answer(409, Verdict.STALE, "unchanged", "error processing"),
    "an id never assigned, If-Match": Answer(201, Verdict.CREATED, "appeared", "Flag"),
    "an id never assigned, no If-Match": Answer(201, Verdict.CREATED, "appeared", "Flag"),
    "deleted, its last version": Answer(409, Verdict.STALE, "gone", "error processing"),
    "deleted, no If-Match": Answer(201, Verdict.CREATED, "changed", "Flag"),
    "another id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error processing"),
    "no id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error processing"),
    "half a body": Answer(400, Verdict.REFUSED, "unchanged", "error processing"),
    "DELETE, the current version": Answer(200, Verdict.DELETED, "gone", "information informational"),
    "DELETE, an older version": Answer(200, Verdict.DELETED, "gone", "information informational"),
    "DELETE, no If-Match": Answer(200, Verdict.DELETED, "gone", "information informational"),
    "GET, an id never assigned": Answer(404, Verdict.NOT_FOUND, "absent", "error processing"),
    "GET, If-None-Match current": Answer(304, Verdict.NOT_MODIFIED, "unchanged", "empty"),
}


HELIOS: dict[str, Answer] = {
    "the current version": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "no If-Match": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "an older version": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "a version that never was": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "a version of another kind": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "bare, current": Answer(412, Verdict.UNGUARDED, "unchanged", "error conflict"),
    "bare, older": Answer(412, Verdict.UNGUARDED, "unchanged", "error conflict"),
    "strong, current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "strong, older": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "a list with the current": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "a list of others": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "any version (*)": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "no tag at all": Answer(412, Verdict.UNGUARDED, "unchanged", "error conflict"),
    "unchanged content": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "Prefer: minimal": Answer(200, Verdict.UPDATED, "changed", "empty"),
    "Prefer: representation": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "Prefer: OperationOutcome": Answer(200, Verdict.UPDATED, "changed", "information informational"),
    "Prefer: another": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "older, Prefer: representation": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "an id never assigned, If-Match": Answer(412, Verdict.STALE, "absent", "error conflict"),
    "an id never assigned, no If-Match": Answer(201, Verdict.CREATED, "appeared", "Flag"),
    "deleted, its last version": Answer(412, Verdict.STALE, "gone", "error conflict"),
    "deleted, no If-Match": Answer(201, Verdict.CREATED, "changed", "Flag"),
    "another id in the body": Answer(400, Verdict.REFUSED, "unchanged", "error invalid"),
    "no id in the body": Answer(200, Verdict.UPDATED, "changed", "Flag"),
    "half a body": Answer(400, Verdict.REFUSED, "unchanged", "error invalid"),
    "DELETE, the current version": Answer(204, Verdict.DELETED, "gone", "empty"),
    "DELETE, an older version": Answer(412, Verdict.STALE, "unchanged", "error conflict"),
    "DELETE, no If-Match": Answer(204, Verdict.DELETED, "gone", "empty"),
    "GET, an id never assigned": Answer(404, Verdict.NOT_FOUND, "absent", "error not-found"),
    "GET, If-None-Match current": Answer(304, Verdict.NOT_MODIFIED, "unchanged", "empty"),
}

HELIOS_STRICT: dict[str, Answer] = {
    **HELIOS,
    "no If-Match": Answer(412, Verdict.UNGUARDED, "unchanged", "error conflict"),
    "an id never assigned, no If-Match": Answer(412, Verdict.UNGUARDED, "absent", "error conflict"),
    "deleted, no If-Match": Answer(412, Verdict.UNGUARDED, "gone", "error conflict"),
    "DELETE, no If-Match": Answer(412, Verdict.UNGUARDED, "unchanged", "error conflict"),
}
"""The same server, told to insist on ``If-Match``: the rows that differ."""


DIALECTS: dict[str, Dialect] = {
    "hapi-plain": Dialect(
        software=("HAPI FHIR Server", "8.4.0", "3.0.2"),
        answers=HAPI_PLAIN,
        carries=("ETag", "Content-Location"),
        race=NO_LOCK,
    ),
    "hapi-jpa": Dialect(
        software=("HAPI FHIR Server", "8.4.0", "3.0.2"),
        answers=HAPI_JPA,
        carries=("ETag", "Last-Modified", "Content-Location"),
        race=ONE_WINS,
    ),
    "helios": Dialect(
        software=("Helios FHIR Server", "0.2.7", "4.0.1"),
        answers=HELIOS,
        carries=("ETag", "Last-Modified"),
        race=ONE_WINS,
    ),
    "helios-strict": Dialect(
        software=("Helios FHIR Server", "0.2.7", "4.0.1"),
        answers=HELIOS_STRICT,
        carries=("ETag", "Last-Modified"),
        race=ONE_WINS,
    ),
}
