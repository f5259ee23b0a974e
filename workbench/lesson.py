"""Check the exercises of the notebooks, and say what is still missing.

A check reads what was sent and answered, not the code that a learner wrote. In most exercises the learner
works as the client ``you``, and the check reads the exchanges of that client in the journal. Each exercise
has the number of its notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import BadInput, MalformedJSON
from workbench.exchange.verdict import Verdict
from workbench.fhir import json
from workbench.fhir.resource import version_of

if TYPE_CHECKING:
    from workbench.client.profiles import Profile
    from workbench.conformance.report import Report
    from workbench.exchange.message import Exchange
    from workbench.races.results import Race
    from workbench.races.schedule import Play

LEARNER: Final = "you"
"""The name of the client that a learner works with."""

Steps = Iterator[tuple[bool, str]]
"""The steps of an exercise in order: whether it is done, and what is missing if not."""


@dataclass(frozen=True, slots=True, repr=False)
class Check:
    """The result of a check. ``missing`` says what comes next; it is empty if the exercise is solved."""

    exercise: str
    missing: str

    @property
    def solved(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def __repr__(self) -> str:
        return "Solved." if self.solved else f"Still missing: {self.missing}."


def check(exercise: str, work: Any) -> Check:
    """Check one exercise by its number and name the first step that is missing.

    ``work`` is what the exercise asks for, in most of them ``spine.journal``. Raises ``BadInput`` for an
    exercise that does not exist.

    >>> check("00", [])
    Still missing: a read of the Flag, with you.read("Flag", FLAG).
    """
    steps = EXERCISES.get(exercise)
    if steps is None:
        raise BadInput(f"There is no exercise {exercise!r}; choose one of {', '.join(EXERCISES)}.")
    return Check(exercise, next((missing for done, missing in steps(work) if not done), ""))


# --- the exercises ---


def _set_the_flag_back(journal: Iterable[Exchange]) -> Steps:
    exchanges = _of_learner(journal, "Flag")
    yield _any(exchanges, Verdict.READ), 'a read of the Flag, with you.read("Flag", FLAG)'

    updates = _updates(exchanges)
    yield bool(updates), "an update of the Flag, with you.update(draft)"
    yield updates[-1].verdict is Verdict.UPDATED, _still_rejected(updates[-1])
    yield _sent(updates[-1]).get("status") == "active", 'the status "active" in the Flag that you sent'


def _follow_the_guide(journal: Iterable[Exchange]) -> Steps:
    exchanges = _of_learner(journal)
    asked = [each.interaction for each in exchanges]
    yield "capabilities" in asked, "the CapabilityStatement, with you.capabilities()"

    exchanges = exchanges[asked.index("capabilities") :]
    found = [each for each in exchanges if each.interaction == "search-type" and each.resource_type == "Flag"]
    yield bool(found), 'a search for the Flag, with you.search("Flag", patient=PATIENT)'

    updates = [each for each in _updates(exchanges) if each.resource_type == "Flag"]
    yield bool(updates), "an update of the Flag that you found"
    last = updates[-1]
    yield last.verdict is Verdict.UPDATED, _still_rejected(last)
    yield version_of(_sent(last)) is None, "an update without meta.versionId in its body"
    yield _sent(last).get("status") == "inactive", 'the status "inactive" in the Flag that you sent'
    preferred = last.request.headers.get("Prefer") == "return=representation"
    yield preferred, 'the stored Flag in the answer; send your update with prefer="representation"'


def _lose_bobs_update(played: Play) -> Steps:
    putters = {client for client, step in played.steps if step == "puts"}
    yield {"alice", "bob"} <= putters, "a put by alice and a put by bob"

    losers = [loss.client for loss in played.losses]
    yield bool(losers), "a lost update; let both clients read before either of them puts"
    yield "bob" in losers, f"the loss of bob's update; this schedule loses the update of {losers[0]}"


def _merge_with_bob(journal: Iterable[Exchange]) -> Steps:
    exchanges = list(journal)
    at = next((i for i, each in enumerate(exchanges) if _is_stale_update_of_learner(each)), 0)
    before, after = exchanges[:at], _of_learner(exchanges[at:], "List")
    theirs = _updates(each for each in before if each.client != LEARNER)
    yield bool(theirs), "the 409 after Bob's update; run the cell above"
    yield _any(after, Verdict.READ), 'a new read of the List after the 409, with you.read("List", LIST)'

    stale, *updates = _updates(after)
    yield bool(updates), "an update with the merged List and the version that you read last"
    last = updates[-1]
    yield last.verdict is Verdict.UPDATED, _still_rejected(last)
    for whose, update in (("Bob's", theirs[-1]), ("your", stale)):
        lost = [name for name in _entries(_sent(update)) if name not in _entries(_sent(last))]
        yield not lost, f"{whose} entry {', '.join(lost)}"
    yield _sent(last).get("title") == _sent(theirs[-1]).get("title"), "Bob's title; choose Side.THEIRS for it"


def _mend_the_request(journal: Iterable[Exchange]) -> Steps:
    updates = _updates(_of_learner(journal, "Flag"))
    yield bool(updates), "the 412; run the cell above"
    seen = [each.status for each in updates]
    yield 422 in seen, "an update with the right If-Match and the same draft, so that you see the next error"

    last = updates[-1]
    yield last.verdict is Verdict.UPDATED, _still_rejected(last)
    confirmed = last.outcome is not None and last.outcome.spine_code == "RESOURCE_UPDATED"
    yield confirmed, 'the confirmation in the answer; send your update with prefer="OperationOutcome"'


def _lose_no_work(race: Race) -> Steps:
    yield len(race.clients) >= 4, "four clients or more"
    yield race.plan.thinking >= 0.05, "a thinking time of 0.05 seconds or more"
    yield race.plan.strategy.guarded, "updates with If-Match; the strategy blind sends none"
    yield race.plan.strategy.remake is not None, "a strategy that sends again after a 409, such as reload or merge"
    yield race.accepted == race.counts.ended, "more tries, because some updates were given up; set tries="
    yield race.complete and race.lost == (), "a race that ran to its end"


def _find_out_and_send_again(journal: Iterable[Exchange]) -> Steps:
    exchanges = _of_learner(journal, "Flag")
    at = next((i for i, each in enumerate(exchanges) if each.verdict is Verdict.UNKNOWN), None)
    yield at is not None, "the update without an answer; run the cell above"

    lost, after = exchanges[at or 0], exchanges[(at or 0) + 1 :]
    yield _any(after, Verdict.READ), "a read that shows whether it was stored, with you.resolve(put)"
    again = [each for each in _updates(after) if _sent(each) == _sent(lost)]
    yield bool(again), "the same update once more"
    guarded = again[-1].if_match == lost.if_match
    yield guarded, "the If-Match of the first attempt; give if_match=put.if_match"


def _name_the_server(report: Report) -> Steps:
    r4 = [each for each in report.fits if each.profile == "r4"]
    yield bool(r4), "the report about the endpoint called other"
    yield report.profile == "r4", "the profile of the server that fits best; r4.fits[0].profile is its name"


def _write_a_profile(profile: Profile) -> Steps:
    connection = profile.connection
    yield profile.base_url == "https://gateway.example/fhir/STU3", "the base URL https://gateway.example/fhir/STU3"
    yield connection.allow_writes, "the permission to write, allow_writes = true"
    yield str(connection.token) == "env:TEST_TOKEN", 'the token by reference, token = "env:TEST_TOKEN"'
    limit = connection.rate_limit
    yield getattr(limit, "rate", None) == 2, "the limit of two requests a second, rate_limit = 2"


EXERCISES: Final[dict[str, Callable[[Any], Steps]]] = {
    "00": _set_the_flag_back,
    "01": _follow_the_guide,
    "02": _lose_bobs_update,
    "03": _merge_with_bob,
    "04": _mend_the_request,
    "05": _lose_no_work,
    "06": _find_out_and_send_again,
    "07": _name_the_server,
    "08": _write_a_profile,
}


# --- reading the exchanges ---


def _of_learner(journal: Iterable[Exchange], resource_type: str = "") -> list[Exchange]:
    return [each for each in journal if each.client == LEARNER and resource_type in ("", each.resource_type)]


def _updates(exchanges: Iterable[Exchange]) -> list[Exchange]:
    return [each for each in exchanges if each.interaction == "update"]


def _any(exchanges: Iterable[Exchange], verdict: Verdict) -> bool:
    return any(each.verdict is verdict for each in exchanges)


def _is_stale_update_of_learner(exchange: Exchange) -> bool:
    return (exchange.client, exchange.interaction, exchange.verdict) == (LEARNER, "update", Verdict.STALE)


def _sent(exchange: Exchange) -> dict[str, Any]:
    """Return the resource in the request, or an empty one if the body is not a JSON object."""
    try:
        sent = json.parse(exchange.request.body)
    except MalformedJSON:
        return {}
    return sent if isinstance(sent, dict) else {}


def _entries(resource: dict[str, Any]) -> list[str]:
    return [str(entry.get("item", {}).get("display")) for entry in resource.get("entry", [])]


def _still_rejected(update: Exchange) -> str:
    """Say what an update needs that was not accepted."""
    match update.verdict:
        case Verdict.STALE:
            return f"the current version; your last update got {update.status}, so read again and send that ETag"
        case Verdict.UNGUARDED:
            return f"a usable If-Match; your last update got {update.status}, so send the ETag that you read"
        case _:
            said = update.outcome.diagnostics.rstrip(".") if update.outcome else update.failure
            return f"an accepted update; your last one got {update.status or 'no answer'}, because {said}"
