"""Probes of entity tags and version ids (VER-1)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from workbench.conformance.answers import header
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import Trial
from workbench.exchange.message import Exchange

_SHAPE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}")
_STEPS: Final = 6
_SMALL: Final = 1 << 24
"""Version ids that are never further apart than this are counted up, or are a clock."""


@probe("VER-1", "etag-is-weak", 'W/"…", on a read', writes=False)
def etag_is_weak(trial: Trial) -> None:
    """A read's entity tag is weak."""
    _expect_weak(trial, trial.resource(change=False).read)


@probe("VER-1", "etag-is-weak-after-update", 'W/"…", on an update')
def etag_is_weak_after_update(trial: Trial) -> None:
    """An update's entity tag is weak too."""
    held = trial.resource()
    answer = trial.put(held, if_match=held.tag)
    trial.expect_status(answer, 200)
    _expect_weak(trial, answer)


def _expect_weak(trial: Trial, answer: Exchange) -> None:
    tag = header(answer, "ETag")
    trial.expect(bool(tag), "no ETag", "no ETag")
    trial.expect(re.fullmatch(r'W/"[^"]+"', tag) is not None, f"the ETag {tag}", "not a weak ETag")


@probe("VER-1", "version-id-shape", "eight hex digits, a hyphen, four hex digits", writes=False)
def version_id_shape(trial: Trial) -> None:
    """A version id looks as in the guide."""
    version = trial.resource(change=False).version_id
    trial.expect(bool(version), "no version id", "no version id")
    trial.expect(_SHAPE.fullmatch(version) is not None, f"a version id such as {version}", "another shape")


@probe("VER-1", "version-ids-are-opaque", f"{_STEPS} updates: the ids are not counted up")
def version_ids_are_opaque(trial: Trial) -> None:
    """Nobody can tell the next version id from the present one."""
    held = trial.resource()
    seen = [held.version_id]
    for _ in range(_STEPS):
        held = trial.updated(held)
        seen.append(held.version_id)
    try:
        numbers = [int(version.replace("-", ""), 16) for version in seen]
    except ValueError:
        raise Untestable("The version ids are no hex digits, so their order cannot be told.") from None
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    counted = max(abs(step) for step in steps) < _SMALL
    trial.expect(not counted, f"version ids that follow one another: {seen[0]}, {seen[1]}, {seen[2]}", "counted up")
