"""Reading: conditional reads, caches, the versions that are not served, and HEAD (RD-1 to RD-6)."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from spinekit import NO_VERSION, NOBODY, WRITTEN_TYPE, Held, Service, assert_refused


def last_modified(endpoint: Service, held: Held) -> datetime:
    return parsedate_to_datetime(endpoint.get(held.path).headers["Last-Modified"])


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.promise("RD-1")
def test_a_read(endpoint: Service, held: Held) -> None:
    answer = endpoint.get(held.path)
    meta = answer.json()["meta"]
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == WRITTEN_TYPE
    assert answer.headers["ETag"] == f'W/"{meta["versionId"]}"' == held.etag
    updated = datetime.fromisoformat(meta["lastUpdated"])
    assert updated.microsecond == 750_000
    assert answer.headers["Last-Modified"] == http_date(updated.replace(microsecond=0).astimezone(UTC))


@pytest.mark.promise("RD-1")
def test_the_stories_are_there(endpoint: Service) -> None:
    for path in (
        "Subscription/ea0a4851-8720-4b49-b978-bdcf7102388c",
        "List/744eec7d-8951-4722-ad74-dc34e86d4e1a",
    ):
        answer = endpoint.get(path)
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"25777f7d-27bc"')
        assert answer.headers["Last-Modified"] == "Fri, 25 May 2018 16:09:50 GMT"


@pytest.mark.promise("RD-1")
def test_a_head_is_the_read_without_its_body(endpoint: Service, held: Held) -> None:
    read, head = endpoint.get(held.path), endpoint.send("HEAD", held.path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Last-Modified", "Content-Type", "Content-Length"):
        assert head.headers[name] == read.headers[name]


def test_a_head_of_nothing(endpoint: Service) -> None:
    answer = endpoint.send("HEAD", f"List/{NOBODY}")
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (404, b"", WRITTEN_TYPE)


NAMES_IT = ['W/"{v}"', '"{v}"', "*", 'W/"00000000-0000", W/"{v}"', 'W/"{v}",W/"00000000-0000"', '"x" , W/"{v}"']
NAMES_ANOTHER = [NO_VERSION, '"{v}0"', 'W/"0{v}"', "{v}", 'W/"a", W/"b"', '""']


@pytest.mark.promise("RD-2")
@pytest.mark.parametrize("tags", NAMES_IT)
def test_if_none_match_with_the_current_version(endpoint: Service, held: Held, tags: str) -> None:
    answer = endpoint.get(held.path, if_none_match=tags.format(v=held.version_id))
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == held.etag
    assert "Date" in answer.headers
    assert "Content-Type" not in answer.headers


@pytest.mark.promise("RD-2")
@pytest.mark.parametrize("tags", NAMES_ANOTHER)
def test_if_none_match_with_another_version(endpoint: Service, held: Held, tags: str) -> None:
    answer = endpoint.get(held.path, if_none_match=tags.format(v=held.version_id))
    assert answer.status_code == 200
    assert answer.content == endpoint.get(held.path).content


@pytest.mark.promise("RD-2")
def test_if_none_match_after_an_update(endpoint: Service, held: Held) -> None:
    endpoint.put(held.path, held.body(title="new"), held.etag)
    answer = endpoint.get(held.path, if_none_match=held.etag)
    assert (answer.status_code, answer.json()["title"]) == (200, "new")


@pytest.mark.promise("RD-2")
def test_if_none_match_wins(endpoint: Service, held: Held) -> None:
    changed = last_modified(endpoint, held)
    later, earlier = http_date(changed + timedelta(days=1)), http_date(changed - timedelta(days=1))
    assert endpoint.get(held.path, if_none_match=NO_VERSION, if_modified_since=later).status_code == 200
    assert endpoint.get(held.path, if_none_match=held.etag, if_modified_since=earlier).status_code == 304


@pytest.mark.promise("RD-3")
@pytest.mark.parametrize(
    ("seconds", "status"), [(0, 304), (1, 304), (86_400 * 365, 304), (-1, 200), (-86_400, 200)], ids=str
)
def test_if_modified_since(endpoint: Service, held: Held, seconds: int, status: int) -> None:
    since = http_date(last_modified(endpoint, held) + timedelta(seconds=seconds))
    answer = endpoint.get(held.path, if_modified_since=since)
    assert answer.status_code == status
    assert bool(answer.content) == (status == 200)


@pytest.mark.promise("RD-3")
@pytest.mark.parametrize(
    "since", ["Fri, 25 May 2018 16:09:50 GMT", "Friday, 25-May-18 16:09:50 GMT", "Fri May 25 16:09:50 2018"]
)
def test_all_three_forms_of_an_http_date_are_read(endpoint: Service, since: str) -> None:
    """RFC 9110, section 5.6.7: a recipient must accept all three formats of a date."""
    assert endpoint.get("Condition/5b0bf2ca-6d06-4f3c-a4d0-0a8f4e1b7d21", if_modified_since=since).status_code == 304


@pytest.mark.promise("RD-3")
@pytest.mark.parametrize(
    "since",
    [
        "yesterday",
        "2018-05-25T16:09:50Z",
        "Fri, 99 May 2018 16:09:50 GMT",
        "Fri, 25 May 2018 99:99:99 GMT",
        "Fri, 25 May 2018 16:09:50 +9999999999",
        "Fri, 25 May 99999999999 16:09:50 GMT",
        "1",
        ",",
        "",
    ],
)
def test_a_date_that_is_none_is_no_condition(endpoint: Service, held: Held, since: str) -> None:
    assert endpoint.get(held.path, if_modified_since=since).status_code == 200


CACHED = {
    "a read": ("GET", "{path}", {}, 200),
    "a HEAD": ("HEAD", "{path}", {}, 200),
    "not modified": ("GET", "{path}", {"If-None-Match": "*"}, 304),
    "not modified since": ("GET", "{path}", {"If-Modified-Since": "Fri, 25 May 2068 16:09:50 GMT"}, 304),
    "compressed": ("GET", "metadata", {"Accept-Encoding": "gzip"}, 200),
    "not compressed": ("GET", "metadata", {"Accept-Encoding": "identity"}, 200),
    "a search": ("GET", "List?_count=1", {}, 200),
    "a search by form": ("POST", "List/_search", {"Content-Type": "application/x-www-form-urlencoded"}, 200),
    "the capabilities": ("OPTIONS", "", {}, 200),
    # RFC 9111, 4.2.2: a cache may keep these too, and would then hide a resource that was created since.
    "not found": ("GET", f"List/{NOBODY}", {}, 404),
    "not implemented": ("GET", "Patient/1", {}, 501),
}


@pytest.mark.promise("RD-5")
@pytest.mark.parametrize(("method", "path", "headers", "status"), CACHED.values(), ids=CACHED)
def test_a_cache_must_ask_again(
    endpoint: Service, held: Held, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = endpoint.send(method, path.format(path=held.path), headers=headers)
    assert answer.status_code == status
    assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("no-cache", "Accept, Accept-Encoding")


@pytest.mark.promise("RD-6")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("tags", [*NAMES_ANOTHER, ""])
def test_if_match_with_another_version(endpoint: Service, held: Held, method: str, tags: str) -> None:
    answer = endpoint.send(method, held.path, headers={"If-Match": tags.format(v=held.version_id)})
    assert answer.status_code == 412
    if method == "GET":
        issue = assert_refused(answer, 412, "structure", "PRECONDITION_FAILED")
        assert held.version_id in issue["diagnostics"]


@pytest.mark.promise("RD-6")
@pytest.mark.parametrize("tags", NAMES_IT)
def test_if_match_with_the_current_version(endpoint: Service, held: Held, tags: str) -> None:
    assert endpoint.get(held.path, if_match=tags.format(v=held.version_id)).status_code == 200


@pytest.mark.promise("RD-6")
def test_if_match_comes_before_if_none_match(endpoint: Service, held: Held) -> None:
    """RFC 9110, 13.2.2."""
    assert endpoint.get(held.path, if_match=NO_VERSION, if_none_match=held.etag).status_code == 412
    assert endpoint.get(held.path, if_match=held.etag, if_none_match=held.etag).status_code == 304


@pytest.mark.promise("RD-6")
def test_if_match_of_what_does_not_exist(endpoint: Service) -> None:
    """RFC 9110, 13.2.1: a precondition is ignored where the response without it would be an error."""
    assert_refused(endpoint.get(f"List/{NOBODY}", if_match=NO_VERSION), 404, "not-found", "NO_RECORD_FOUND")


@pytest.mark.promise("RD-4")
@pytest.mark.parametrize(
    "path",
    ["List/{id}/_history", "List/{id}/_history/{v}", "List/_history", "_history", f"List/{NOBODY}/_history/1"],
)
def test_older_versions_are_not_served(endpoint: Service, held: Held, path: str) -> None:
    answer = endpoint.get(path.format(id=held.logical_id, v=held.version_id))
    assert_refused(answer, 501, "not-supported", "NOT_IMPLEMENTED")


def test_a_read_changes_nothing(endpoint: Service, held: Held) -> None:
    with endpoint.unchanged(held.path):
        for _ in range(3):
            assert json.loads(endpoint.get(held.path).content)["id"] == held.logical_id
