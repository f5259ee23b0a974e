"""What a client would like back: ``Prefer``, the format, gzip (PRF-1 to PRF-4, FMT-1 to FMT-3)."""

import pytest

from workbench.endpoint.request import Return, accepts_gzip, preferred_return, unacceptable

MINIMAL, WHOLE, OUTCOME = Return.MINIMAL, Return.REPRESENTATION, Return.OPERATION_OUTCOME

PREFER = [
    (None, MINIMAL),
    ("", MINIMAL),
    ("return=minimal", MINIMAL),
    ("return=representation", WHOLE),
    ("return=OperationOutcome", OUTCOME),
    ("return = representation", WHOLE),
    ('return="representation"', WHOLE),
    ("RETURN=representation", WHOLE),
    ("return=representation; foo=bar", WHOLE),
    ("respond-async, return=OperationOutcome", OUTCOME),
    ("handling=strict,return=representation", WHOLE),
    ("return=minimal, return=representation", MINIMAL),
    ("return=representation, return=minimal", WHOLE),
    ("return=everything", MINIMAL),
    ("return=everything, return=representation", MINIMAL),
    ("return=", MINIMAL),
    ("return", MINIMAL),
    ("representation", MINIMAL),
    ("returns=representation", MINIMAL),
    ("xreturn=representation", MINIMAL),
    ("return=representation x", MINIMAL),
    (",", MINIMAL),
    (";", MINIMAL),
]


@pytest.mark.parametrize(("prefer", "wanted"), PREFER)
def test_prefer(prefer: str | None, wanted: Return) -> None:
    assert preferred_return(prefer) is wanted


XML = "application/fhir+xml"
JSON = "application/fhir+json"

FORMATS = [
    (None, None, None, None),
    (None, "*/*", None, None),
    (None, "application/*", None, None),
    (None, JSON, XML, None),
    (None, "application/json+fhir", None, None),
    (None, "application/json;q=0.2", None, None),
    (None, f"{XML}, {JSON};q=0.1", None, None),
    (None, f"{XML};q=1.0,*/*;q=0.001", None, None),
    (None, XML, None, f"Accept: {XML}"),
    (None, XML, JSON, f"Accept: {XML}"),
    (None, "text/*", None, "Accept: text/*"),
    (None, f"{JSON};q=0", None, f"Accept: {JSON};q=0"),
    (None, "*/*;q=0.0", None, "Accept: */*;q=0.0"),
    (None, None, JSON, None),
    (None, None, "application/json;charset=utf-8", None),
    (None, None, XML, f"Content-Type: {XML}"),
    ("json", XML, XML, None),
    ("application/json", XML, None, None),
    ("application/fhir+json", XML, None, None),
    ("application/fhir json", XML, None, None),
    ("application/fhir+json;charset=utf-8", None, None, None),
    ("JSON", None, None, None),
    ("xml", JSON, None, "_format=xml"),
    ("", JSON, None, "_format="),
    ("application/fhir xml", JSON, JSON, "_format=application/fhir xml"),
    ("html", None, None, "_format=html"),
]


@pytest.mark.parametrize(("wanted", "accept", "content_type", "refused"), FORMATS)
def test_format_then_accept_then_content_type(
    wanted: str | None, accept: str | None, content_type: str | None, refused: str | None
) -> None:
    assert unacceptable(wanted, accept, content_type) == refused


GZIP = [
    (None, False),
    ("", False),
    ("gzip", True),
    ("GZip", True),
    ("deflate, gzip;q=0.5", True),
    ("gzip; q=1.000", True),
    ("gzip;q=0", False),
    ("gzip;q=0.000", False),
    ("gzip ; Q=0", False),
    ("x-gzip-ish", False),
    ("br, deflate", False),
    ("identity", False),
]


@pytest.mark.parametrize(("accept_encoding", "wanted"), GZIP)
def test_gzip(accept_encoding: str | None, wanted: bool) -> None:
    assert accepts_gzip(accept_encoding) is wanted
