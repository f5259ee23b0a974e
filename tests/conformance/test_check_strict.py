"""A check of an endpoint that demands the headers of a live Spine, by a client that sends them."""

from workbench import Client, Connection, Endpoint, Result, SpineIdentity, check


def test_a_strict_endpoint_keeps_every_promise() -> None:
    identity = SpineIdentity(
        from_asid="200000000115",
        to_asid="999999999999",
        issuer="https://client.example",
        audience="https://spine.example/STU3",
    )
    with Endpoint.start(strict=True) as spine:
        report = check(Client(spine.base_url, connection=Connection(identity=identity)))
    assert [finding for finding in report.findings if finding.result is not Result.KEPT] == []
