"""The proof, held against recorded histories, a model endpoint, every single corruption, and a brute-force judge.

No correct history is called inconsistent, no corrupt one consistent, and the witness shows its violation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from historykit import Line, Model, Recorded, recorded, untimed
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from registerjudge import history_of, is_possible

from workbench import BadInput, history
from workbench.history.check import Proof
from workbench.history.violations import Flaw

GOOD, BAD = recorded("good"), recorded("bad")

BY_ABSENCE = frozenset({Flaw.UNWRITTEN, Flaw.REFUSED_YET_DONE, Flaw.LANDED_AND_NOT, Flaw.VANISHED, Flaw.WRONGLY_STALE})
"""Flaws that follow from what no exchange did. A few exchanges cannot show them."""


def check(lines: list[Line], **options: object) -> Proof:
    return history([line.exchange() for line in lines], **options).check()  # type: ignore[arg-type]


# --- recorded histories ---


def test_the_recorded_histories_cover_every_flaw() -> None:
    assert (len(GOOD) >= 12, len(BAD) >= 20) == (True, True)
    assert {found.expect["flaw"] for found in BAD} == {flaw.name for flaw in Flaw}


@pytest.mark.parametrize("found", GOOD, ids=lambda found: found.name)
def test_a_good_history_is_consistent(found: Recorded) -> None:
    proof = history(found.exchanges, **found.options).check()
    assert proof.sound, proof.explain()
    assert (proof.witness, proof.losses) == ((), ())
    assert {str(seq): fate for seq, fate in proof.landed.items()} == found.expect["landed"]
    assert repr(proof) == "<Proof: consistent>"


@pytest.mark.parametrize("found", BAD, ids=lambda found: found.name)
def test_a_bad_history_is_inconsistent_and_its_witness_shows_it(found: Recorded) -> None:
    proof = history(found.exchanges, **found.options).check()
    assert proof.violations
    flaw = proof.violations[0]
    assert (flaw.flaw.name, list(proof.witness)) == (found.expect["flaw"], found.expect["witness"])
    for seq in proof.witness:
        assert f"({seq})" in flaw.words, "the sentence names each exchange of the witness"
    if "lost" in found.expect:
        lost = {loss.client: [decision.path for decision in loss.elements] for loss in proof.losses}
        assert lost == found.expect["lost"]
        assert all(loss.client in proof.explain() for loss in proof.losses)


@pytest.mark.parametrize("found", BAD, ids=lambda found: found.name)
def test_the_witness_alone_is_inconsistent_and_minimal(found: Recorded) -> None:
    exchanges = found.exchanges
    witness = [exchanges[seq - 1] for seq in found.expect["witness"]]
    flaw = Flaw[found.expect["flaw"]]
    if flaw not in (Flaw.REFUSED_YET_DONE, Flaw.OVERWRITTEN):  # these need to know what was seen before
        assert history(witness, **found.options).check().violations
    if flaw not in BY_ABSENCE:
        for spare in range(len(witness)):
            rest = history(witness[:spare] + witness[spare + 1 :], **found.options).check()
            assert rest.sound or rest.violations[0].flaw in BY_ABSENCE


def test_the_proof_names_unanswered_writes_of_unknown_outcome() -> None:
    (open_,) = (found for found in GOOD if found.name == "nobody-looked-again")
    proof = history(open_.exchanges).check()
    assert proof.notes == ("It is unknown whether the unanswered write of alice (2) took effect.",)
    assert proof.explain() == (
        "Consistent: a correct endpoint could have given all 2 answers about 1 resource. " + proof.notes[0]
    )


def test_one_resource_of_several_can_be_checked() -> None:
    (lost,) = (found for found in BAD if found.name == "lost-update")
    lines = [*lost.lines, replace(lost.lines[0], id="2")]
    assert check(lines).violations
    asked = history([line.exchange() for line in lines])
    assert [asked.check(each).verdict for each in ("List/1", "List/2")] == ["inconsistent", "consistent"]
    assert (asked.check().resources, asked.check("List/2").exchanges) == (2, 1)


@pytest.mark.parametrize(("other", "sound"), [("b", True), (None, False)])
def test_a_412_with_another_condition_does_not_say_that_the_version_was_stale(other: str | None, sound: bool) -> None:
    lines = [
        Line("alice", "read", 200, "a", at=(0, 1)),
        Line("alice", "update", 412, None, if_match="a", if_none_match=other, at=(2, 3)),
        Line("alice", "read", 200, "a", at=(4, 5)),
    ]
    assert history([line.exchange() for line in lines]).check().sound is sound


def test_an_iterator_is_accepted_and_a_negative_skew_is_rejected() -> None:
    assert history(line.exchange() for line in GOOD[0].lines).check().sound
    with pytest.raises(BadInput, match="skew="):
        history([], skew=-1.0)


def test_a_larger_skew_proves_less() -> None:
    (late,) = (found for found in BAD if found.name == "stale-read")
    assert history(late.exchanges, skew=0.0005).check().violations
    assert history(late.exchanges, skew=0.002).check().sound


# --- consistent histories of a model endpoint ---

FATES = ("answered", "answered", "answered", "lost before", "lost after", "late")


@st.composite
def models(draw: st.DrawFn, *, faults: bool = True, resources: int = 2, steps: int = 30) -> Model:
    """A model endpoint after some clients have used it at once."""
    model = Model(draw(st.integers(1, resources)), there=draw(st.booleans()))
    clients = ("alice", "bob", "carol")[: draw(st.integers(2, 3))]
    one = st.tuples(
        st.sampled_from(clients),
        st.integers(1, len(model._stored)),
        st.integers(0, 59),
        st.sampled_from(FATES) if faults else st.just("answered"),
    )
    for client, number, deed, fate in draw(st.lists(one, min_size=steps, max_size=3 * steps)):
        model.step(client, str(number), deed, fate)
    model.finish()
    return model


@given(models(), st.booleans())
def test_every_history_of_the_model_is_consistent(model: Model, timed: bool) -> None:
    proof = check(model.lines if timed else untimed(model.lines))
    assert proof.sound, proof.explain()
    assert not any("Too many" in note for note in proof.notes)


@given(models())
def test_the_outcomes_of_unanswered_writes_are_correct(model: Model) -> None:
    said = check(model.lines).landed
    assert said.keys() == model.landed.keys()
    assert {seq: fate for seq, fate in said.items() if fate is not None}.items() <= model.landed.items()


def test_without_a_lock_only_an_overwritten_update_is_a_violation() -> None:
    chance = random.Random(5)
    met = {True: 0, False: 0}
    for _ in range(400):
        model = Model(2, there=chance.random() < 0.6, optional=True)
        fates = FATES if chance.random() < 0.5 else ("answered",)
        for _ in range(chance.randint(10, 80)):
            client, number = chance.choice("abc"), str(chance.randint(1, 2))
            model.step(client, number, chance.randrange(60), chance.choice(fates))
        model.finish()
        met[model.overwritten] += 1
        for found in (model.lines, untimed(model.lines)):
            proof = check(found)
            assert {each.flaw for each in proof.violations} == ({Flaw.OVERWRITTEN} if model.overwritten else set())
            assert bool(proof.losses) == model.overwritten
    assert min(met.values()) > 50


def test_long_histories_of_the_model_are_consistent() -> None:
    chance = random.Random(6)
    for _ in range(5):
        model = Model(3, there=True)
        for _ in range(1500):
            client, number = chance.choice("abcdefgh"), str(chance.randint(1, 3))
            model.step(client, number, chance.randrange(60), chance.choice(FATES))
        model.finish()
        proof = check(model.lines)
        assert proof.sound, proof.explain()
        assert all(model.landed[seq] == fate for seq, fate in proof.landed.items() if fate is not None)


# --- every single corruption ---


def accepted(line: Line) -> bool:
    return line.did == "update" and line.status == 200 and line.if_match is not None


def shows(line: Line) -> bool:
    return line.did == "read" and line.etag is not None


def quiet(lines: list[Line]) -> list[str]:
    """The resources that no unanswered write can have changed."""
    loud = {line.id for line in lines if line.did != "read" and line.status is None}
    return sorted({line.id for line in lines} - loud)


def begins(line: Line) -> float:
    assert line.at is not None
    return line.at[0]


def ends(line: Line) -> float:
    assert line.at is not None
    return line.at[1]


def at_the_end(lines: list[Line], **fields: object) -> Line:
    after = max(map(ends, lines)) + 1
    return replace(Line("zoe", "read", at=(after, after + 1)), **fields)  # type: ignore[arg-type]


Corruption = Callable[[list[Line]], "list[Line] | None"]
"""The same history with one thing changed; ``None`` where it has nothing of the kind."""


def changed(lines: list[Line], which: Line, **fields: object) -> list[Line]:
    return [replace(line, **fields) if line is which else line for line in lines]  # type: ignore[arg-type]


def duplicate_etag(lines: list[Line]) -> list[Line] | None:
    for one in filter(accepted, lines):
        for other in filter(accepted, lines):
            if one.id == other.id and one is not other and one.etag != other.if_match:
                return changed(lines, other, etag=one.etag)
    return None


def forked(lines: list[Line]) -> list[Line] | None:
    for one in filter(accepted, lines):
        for other in filter(accepted, lines):
            if one.id == other.id and one is not other:
                return changed(lines, other, if_match=one.if_match)
    return None


def base_that_never_was(lines: list[Line]) -> list[Line] | None:
    for line in filter(accepted, lines):
        others = [other for other in lines if other.etag == line.if_match and other is not line]
        if line.id in quiet(lines) and others:
            return changed(lines, line, if_match="never")
    return None


def stale_read(lines: list[Line]) -> list[Line] | None:
    for write in filter(accepted, lines):
        for read in filter(shows, lines):
            if read.id == write.id and begins(read) > ends(write):
                return changed(lines, read, etag=write.if_match)
    return None


def read_of_an_unwritten_version(lines: list[Line]) -> list[Line] | None:
    for read in filter(shows, lines):
        others = [line for line in lines if line.id == read.id and line is not read and line.etag]
        if read.id in quiet(lines) and others:
            return changed(lines, read, etag="never", got={"title": "not written"})
    return None


def refused_and_done(lines: list[Line]) -> list[Line] | None:
    for write in lines:
        if write.did == "update" and write.status == 409 and write.id in quiet(lines):
            return [*lines, at_the_end(lines, id=write.id, etag="never", got=write.sent)]
    return None


def read_from_the_future(lines: list[Line]) -> list[Line] | None:
    for write in filter(accepted, lines):
        for read in filter(shows, lines):
            if read.id == write.id and ends(read) < begins(write):
                return changed(lines, read, etag=write.etag)
    return None


def write_begun_late(lines: list[Line]) -> list[Line] | None:
    for write in filter(accepted, lines):
        for read in filter(shows, lines):
            if read.etag == write.etag and read.id == write.id and read is not write:
                return changed(lines, write, at=(ends(read) + 1, max(ends(read), ends(write)) + 2))
    return None


def landed_and_did_not(lines: list[Line]) -> list[Line] | None:
    replaced = {(line.id, line.if_match) for line in filter(accepted, lines)}
    for write in lines:
        if write.did == "update" and write.status == 409 and (write.id, write.if_match) in replaced:
            unanswered = changed(lines, write, status=None)
            assert check(unanswered).sound, "for it may not have landed"
            return [*unanswered, at_the_end(lines, id=write.id, etag="never", got=write.sent)]
    return None


def landed_then_gone(lines: list[Line]) -> list[Line] | None:
    made = {(line.id, line.etag) for line in lines if line.did != "read"}
    for write in lines:
        if write.did == "update" and write.status is None:
            seen = [r for r in filter(shows, lines) if (r.id, r.etag) not in made and r.got == write.sent]
            if seen and any(line.etag == write.if_match and line.id == write.id for line in lines):
                return [*lines, at_the_end(lines, id=write.id, etag=write.if_match)]
    return None


def revived(lines: list[Line]) -> list[Line] | None:
    for gone in lines:
        if gone.did == "delete" and gone.status == 204:
            return [*lines, at_the_end(lines, id=gone.id, etag=gone.if_match)]
    return None


def there(lines: list[Line]) -> list[tuple[str, str]]:
    """The resources that are there at the end for certain, each with its version."""
    gone = {line.id for line in lines if line.status in (204, 404)}
    last = {line.id: line.etag for line in sorted(filter(accepted, lines), key=ends) if line.etag}
    replaced = {(line.id, line.if_match) for line in filter(accepted, lines)}
    found = [(key, version) for key, version in last.items() if (key, version) not in replaced]
    return [each for each in found if each[0] in quiet(lines) and each[0] not in gone]


def key_refused(lines: list[Line]) -> list[Line] | None:
    for logical_id, version in there(lines):
        late = at_the_end(lines, id=logical_id, did="update", status=409, if_match=version)
        return [*lines, late]
    return None


def vanished(lines: list[Line]) -> list[Line] | None:
    for logical_id, _ in there(lines):
        return [*lines, at_the_end(lines, id=logical_id, status=404)]
    return None


def created_again(lines: list[Line]) -> list[Line] | None:
    for logical_id, _ in there(lines):
        return [*lines, at_the_end(lines, id=logical_id, did="create", status=201, etag="never")]
    return None


def stale_yet_accepted(lines: list[Line]) -> list[Line] | None:
    replaced = {(line.id, line.if_match) for line in filter(accepted, lines)}
    for line in lines:
        if line.did == "update" and line.status == 409 and (line.id, line.if_match) in replaced:
            return changed(lines, line, status=200, etag="never")
    return None


def writer_left_out(lines: list[Line]) -> list[Line] | None:
    for write in filter(accepted, lines):
        others = [line for line in lines if line is not write and line.id == write.id]
        used = any(write.etag in (line.etag, line.if_match) for line in others if line.status in (200, 204))
        before = any(line.etag == write.if_match for line in others)
        if used and before and write.id in quiet(lines):
            return [line for line in lines if line is not write]
    return None


def old_not_modified(lines: list[Line]) -> list[Line] | None:
    for write in filter(accepted, lines):
        return [*lines, at_the_end(lines, id=write.id, status=304, if_none_match=write.if_match)]
    return None


CORRUPTIONS: dict[str, Corruption] = {
    corruption.__name__: corruption
    for corruption in (
        *(duplicate_etag, forked, base_that_never_was, stale_read, read_of_an_unwritten_version, refused_and_done),
        *(read_from_the_future, write_begun_late, landed_and_did_not, landed_then_gone, revived, key_refused),
        *(vanished, created_again, stale_yet_accepted, writer_left_out, old_not_modified),
    )
}

WITHOUT_TIMES = ("duplicate_etag", "forked", "base_that_never_was", "read_of_an_unwritten_version", "refused_and_done")
WITH_FAULTS = ("landed_then_gone",)


@pytest.mark.parametrize("name", CORRUPTIONS)
@settings(max_examples=25)
@given(data=st.data())
def test_no_single_corruption_is_accepted(name: str, data: st.DataObject) -> None:
    model = data.draw(models(faults=name in WITH_FAULTS, resources=1))
    corrupt = CORRUPTIONS[name](model.lines)
    assume(corrupt is not None)
    assert corrupt is not None
    assert check(corrupt).violations
    if name in WITHOUT_TIMES:
        assert check(untimed(corrupt)).violations


# --- a brute-force judge ---

VERSIONS = ("v0", "v1", "v2", "v3")


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Any exchange. Most histories of these are inconsistent."""
    begun = draw(st.integers(0, 12))
    span = (begun, begun + draw(st.integers(1, 6)))
    one, other = draw(st.permutations(VERSIONS))[:2]
    line = Line(f"c{draw(st.integers(0, 10**9))}", "read", at=span, etag=one)
    return draw(
        st.sampled_from(
            [
                line,
                line,
                replace(line, did="update", if_match=other),
                replace(line, did="update", if_match=other),
                replace(line, did="update", if_match=one, etag=None, status=409),
                replace(line, did="update", if_match=one, etag=None, status=None),
                replace(line, did="delete", if_match=one, etag=None, status=None),
                replace(line, did="delete", if_match=one, etag=None, status=204),
                replace(line, did="create", status=201),
                replace(line, etag=None, status=404),
            ]
        )
    )


@given(st.lists(lines(), min_size=2, max_size=6))
def test_the_check_agrees_with_the_judge(found: list[Line]) -> None:
    found = sorted(found, key=ends)
    assert check(found).verdict == ("consistent" if is_possible(found) else "inconsistent")


def agree(histories: Iterable[list[Line]]) -> dict[bool, int]:
    """Hold the proof against the judge; by the verdict, how many histories there were."""
    met = {True: 0, False: 0}
    for found in histories:
        proof = check(found)
        met[proof.sound] += 1
        assert not proof.undecided
        assert proof.sound == is_possible(found), [(line, proof.explain()) for line in found]
        if not proof.sound:
            witness = [found[seq - 1] for seq in proof.witness]
            assert not is_possible(witness), "the witness shows it by itself"
            assert all(f"({seq})" in proof.violations[0].words for seq in proof.witness)
    return met


def test_the_check_agrees_with_the_judge_on_slightly_corrupted_histories() -> None:
    chance = random.Random(11)
    assert min(agree(slightly_corrupted(chance) for _ in range(3000)).values()) > 200


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_the_check_agrees_with_the_judge_on_histories_with_many_refusals(count: int) -> None:
    """Up to 14 overlapping exchanges: refusals, writes without an answer, corrupted answers."""
    chance = random.Random(count)
    met = agree(history_of(chance) for _ in range(count))
    print(met)
    assert min(met.values()) > count / 10


@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_with_blind_unanswered_writes_the_check_is_undecided_rather_than_wrong(count: int) -> None:
    chance = random.Random(count)
    met = {"consistent": 0, "inconsistent": 0, "undecided": 0}
    for _ in range(count):
        found = [
            replace(line, if_match=None)
            if line.status is None and line.did != "create" and chance.random() < 0.7
            else line
            for line in history_of(chance)
        ]
        proof = check(found)
        met[proof.verdict] += 1
        assert proof.sound == (proof.verdict == "consistent"), "undecided is not sound"
        if proof.violations:
            assert not is_possible(found), proof.explain()
        elif proof.sound:
            assert is_possible(found), [(line, proof.explain()) for line in found]
    assert met["undecided"] < count / 8 < min(met["consistent"], met["inconsistent"])


def slightly_corrupted(chance: random.Random) -> list[Line]:
    """A few exchanges of the model, of which one or two have been changed at random."""
    model = Model(1, there=chance.random() < 0.6)
    for _ in range(chance.randint(10, 40)):
        model.step(chance.choice("abc"), "1", chance.randrange(60), chance.choice(FATES))
    found = [line for line in model.finish() if line.did in ("read", "delete") or line.if_match or line.status == 201]
    found = [replace(line, sent=None, got=None) for line in found[:8] if chance.random() < 0.9]
    for _ in range(min(len(found), chance.randint(1, 4))):
        line, other = chance.choice(found), chance.choice(found)
        change = chance.randrange(4)
        if change == 0 and line.etag and other.etag:
            line.etag = other.etag
        elif change == 1 and line.if_match and other.etag:
            line.if_match = other.etag
        elif change == 2 and line.at:
            later = chance.randint(-6, 6)
            line.at = (line.at[0] + later, line.at[1] + later)
        elif line.did == "update" and line.status == 409:
            line.status, line.etag = 200, "new"
    echoes = [line for line in found if line.did == "update" and line.etag and line.etag == line.if_match]
    return sorted((line for line in found if line not in echoes), key=ends)
