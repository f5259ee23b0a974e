"""Probes of formats and codings: what is read, what is written, and who decides (FMT-1, FMT-2, FMT-3)."""

from __future__ import annotations

from typing import Final

from workbench.conformance.answers import body_of, header
from workbench.conformance.probe import Untestable, probe
from workbench.conformance.trial import Held, Trial
from workbench.exchange.message import Exchange

_READ: Final = ("application/fhir+json", "application/json+fhir", "application/json")
_WRITTEN: Final = "application/fhir+json;charset=utf-8"
_XML: Final = "application/fhir+xml"
_LARGE: Final = 4000
_WORTH_CODING: Final = 1500
"""Bytes; a smaller body an endpoint may leave as it is."""


@probe("FMT-1", "three-names-are-read", f"200 for Content-Type {', '.join(_READ)}")
def three_names_are_read(trial: Trial) -> None:
    """FHIR JSON has had several names."""
    held = trial.resource()
    for name in _READ:
        answer = trial.put(held, if_match=trial.look(held.path).tag, content_type=name)
        shown = f"{answer.status} to Content-Type {name}"
        trial.expect(answer.status == 200, shown, f"{answer.status} to {name}")


@probe("FMT-1", "one-name-is-written", f"Content-Type {_WRITTEN}", writes=False)
def one_name_is_written(trial: Trial) -> None:
    """Whatever name is asked for, one is written."""
    held = trial.resource(change=False)
    for name in _READ:
        answer = trial.get(held.path, accept=name)
        trial.expect_status(answer, 200)
        written = header(answer, "Content-Type")
        plain = written.replace(" ", "").lower()
        trial.expect(plain == _WRITTEN, f"Content-Type {written} for Accept {name}", plain.partition(";")[0])


@probe("FMT-1", "xml-sent", "415; body, ETag and Last-Modified stay as they are")
def xml_sent(trial: Trial) -> None:
    """A body in XML."""
    held = trial.resource()
    kind = held.resource_type
    body = f'<{kind} xmlns="http://hl7.org/fhir"><id value="{held.logical_id}"/></{kind}>'.encode()
    answer = trial.put(held, body, if_match=held.tag, content_type=_XML)
    trial.expect_refused(answer, held, 415)


@probe("FMT-1", "xml-asked", "406", writes=False)
def xml_asked(trial: Trial) -> None:
    """An answer in XML."""
    trial.expect_status(trial.get(trial.resource(change=False).path, accept=_XML), 406)


@probe("FMT-2", "format-allows", "200 in JSON for _format=json, although Accept asks for XML", writes=False)
def format_allows(trial: Trial) -> None:
    """``_format`` overrides ``Accept`` when it allows."""
    held = trial.resource(change=False)
    for name in ("json", "application/fhir%2Bjson"):
        _expect_json(trial, trial.get(f"{held.path}?_format={name}", accept=_XML))


@probe("FMT-2", "format-refuses", "406 for _format=xml, although Accept asks for JSON", writes=False)
def format_refuses(trial: Trial) -> None:
    """``_format`` overrides ``Accept`` when it does not."""
    held = trial.resource(change=False)
    trial.expect_status(trial.get(f"{held.path}?_format=xml", accept="application/fhir+json"), 406)


@probe(
    "FMT-2", "content-type-decides", "406 where the request's Content-Type is XML and nothing else says", writes=False
)
def content_type_decides(trial: Trial) -> None:
    """Without ``Accept`` and ``_format`` the answer comes in the request's own format."""
    held = trial.resource(change=False)
    trial.expect_status(trial.get(held.path, accept=None, content_type=_XML), 406)
    _expect_json(trial, trial.get(held.path, accept=None, content_type="application/fhir+json"))


@probe("FMT-2", "json-by-default", "200 in JSON where nothing says anything", writes=False)
def json_by_default(trial: Trial) -> None:
    """Without ``Accept``, ``_format`` and ``Content-Type`` it is JSON."""
    _expect_json(trial, trial.get(trial.resource(change=False).path, accept=None))


@probe("FMT-3", "gzip-asked", "Content-Encoding gzip, and the resource in it", writes=False)
def gzip_asked(trial: Trial) -> None:
    """What is asked for compressed comes compressed."""
    held = _large(trial)
    answer = trial.get(held.path, accept_encoding="gzip")
    trial.expect_status(answer, 200)
    coding = header(answer, "Content-Encoding").lower()
    trial.expect(coding == "gzip", f"Content-Encoding {coding or '(none)'}", coding or "not compressed")
    trial.expect(isinstance(answer.resource, dict), "what was compressed is no resource", "no resource")


@probe("FMT-3", "gzip-not-asked", "no Content-Encoding where none is asked for", writes=False)
def gzip_not_asked(trial: Trial) -> None:
    """What is not asked for compressed is not."""
    held = _large(trial)
    for asked in ("identity", "gzip;q=0"):
        answer = trial.get(held.path, accept_encoding=asked)
        trial.expect_status(answer, 200)
        coding = header(answer, "Content-Encoding").lower()
        trial.expect(coding in ("", "identity"), f"{coding} for Accept-Encoding {asked}", coding)


@probe("FMT-3", "chunked-body", "200 for a body in chunks, stored as sent")
def chunked_body(trial: Trial) -> None:
    """A body need not say its length beforehand."""
    held = trial.resource()
    sent = trial.changed(held)
    answer = trial.send("PUT", held.path, headers={"If-Match": held.tag}, body=sent, chunked=True)
    trial.expect_status(answer, 200)
    stored = trial.look(held.path).content
    trial.expect(
        all(stored.get(name) == sent[name] for name in sent if name != "meta"), "200, not stored", "not stored"
    )


def _large(trial: Trial) -> Held:
    """A resource whose body is worth compressing."""
    if not trial.may_change:
        held = trial.resource(change=False)
        if len(body_of(held.read)) < _WORTH_CODING:
            raise Untestable("The resource is too small for an endpoint to compress, and may not be changed.")
        return held
    held = trial.resource()
    words = f'<div xmlns="http://www.w3.org/1999/xhtml">{"a long story " * (_LARGE // 13)}</div>'
    return trial.updated(held, trial.changed(held) | {"text": {"status": "generated", "div": words}})


def _expect_json(trial: Trial, answer: Exchange) -> None:
    trial.expect_status(answer, 200)
    trial.expect(isinstance(answer.resource, dict), "200, but no JSON resource", "no JSON")
