"""The state of the workbench without a widget: load, change, compare and send one resource."""

from __future__ import annotations

import json

import pytest

from workbench import BadInput, Endpoint, Exchange, Verdict
from workbench.widgets.draft import Draft, Guard, Method

LIST = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")


@pytest.fixture
def draft(spine_in_process: Endpoint) -> Draft:
    made = Draft(spine_in_process.client("carol"))
    made.load(*LIST)
    return made


def put(draft: Draft, text: str) -> Exchange:
    return draft.send(draft.request(Method.UPDATE, draft.resource(text), draft.etag, "minimal"))


def titled(draft: Draft, title: str) -> str:
    return json.dumps(json.loads(draft.text) | {"title": title})


def test_changed_compared_and_sent(draft: Draft, spine_in_process: Endpoint) -> None:
    bob = spine_in_process.client("bob")
    bob.update(bob.read(*LIST).resource | {"status": "retired"}).raise_for_verdict()
    text = titled(draft, "Reviewed")
    assert draft.has_changes(text)
    assert put(draft, text).verdict is Verdict.STALE
    assert draft.stale
    _, merged = draft.compare(text)
    assert merged is not None
    assert not draft.stale
    sent = put(draft, json.dumps(merged.apply()))
    assert sent.verdict is Verdict.UPDATED
    assert draft.etag == str(sent.etag)
    draft.learn(draft.client.journal.rows())
    assert len(draft.older_etags()) == 2
    stored = bob.read(*LIST).resource
    assert (stored["title"], stored["status"]) == ("Reviewed", "retired")


@pytest.mark.parametrize(("text", "changed"), [("", False), ("{", True), ('{"resourceType": "Flag"}', True)])
def test_text_that_cannot_be_sent_counts_as_changes(draft: Draft, text: str, changed: bool) -> None:
    assert draft.has_changes(text) is changed


def test_a_failed_read_changes_nothing(draft: Draft) -> None:
    before = (draft.name, draft.etag, draft.text)
    assert draft.load("List", "missing").status == 404
    assert (draft.name, draft.etag, draft.text) == before
    draft.client.delete(*LIST).raise_for_verdict()
    _, merged = draft.compare(draft.text)
    assert merged is None


def test_a_version_that_is_not_known_is_refused(draft: Draft) -> None:
    assert draft.if_match(Guard.LOADED) == draft.etag
    with pytest.raises(BadInput, match="No older version is known yet"):
        draft.if_match(Guard.OLDER)
    with pytest.raises(BadInput, match="No version has been loaded yet"):
        Draft(draft.client).if_match(Guard.LOADED)
