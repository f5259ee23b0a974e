"""What must hold of every race at an endpoint that locks, whoever won."""

from __future__ import annotations

from workbench import Exchange, Race, Verdict


def accepted(run: Race) -> list[Exchange]:
    return [each for each in run.journal if each.interaction == "update" and each.verdict is Verdict.UPDATED]


def expect_sound(run: Race) -> None:
    """Totals that agree with each other, and one chain of versions for each resource."""
    whole = [(turn.client, turn.number) for turn in run.turns]
    assert len(set(whole)) == len(whole) == run.counts.ended
    assert run.counts.accepted + run.counts.gave_up + run.counts.unknown + run.counts.other == run.counts.ended
    assert len(accepted(run)) == run.accepted
    assert len(run.frame) == sum(turn.exchanges for turn in run.turns)
    assert (run.frame["verdict"] == "stale").sum() == run.conflicts
    assert run.survivors == run.accepted
    assert run.proof.sound, run.proof.explain()
    for target in run.final:
        updates = [each for each in accepted(run) if each.target == target]
        made = {str(each.etag) for each in updates}
        bases = [each.if_match for each in updates]
        assert len(set(bases)) == len(bases) == len(made), "no version was followed twice, no ETag given twice"
        (first,) = set(bases) - made or {None}
        (last,) = made - set(bases) or {None}
        assert last in (str(run.final[target].etag), None)
        assert first is None or first in {str(each.etag) for each in run.journal if each.client == "referee"}
