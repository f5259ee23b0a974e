"""Mutants that are late, stale or forgetful: replicas, queues, clocks (UPD-1, UPD-2, UPD-17, RD-1, DL-1)."""

from collections import Counter
from dataclasses import replace

from faulty import (
    Answer,
    Real,
    Request,
    Response,
    accepted,
    answered,
    edited,
    is_about_one,
    is_create,
    is_put,
    is_read,
    mutant,
    path_of,
    resource_in,
    with_body,
    with_headers,
)
from of_versions import moved


def lagging(name: str, meant: str, says: str, reads: tuple[int, ...]) -> None:
    """A mutant whose reads after an update show the version before it, where their number is one of these."""

    @mutant(name, meant, says)
    def _(real: Real) -> Answer:
        before: dict[str, Response] = {}
        number: Counter[str] = Counter()

        def answer(request: Request) -> Response:
            path = path_of(request)
            older = real.get(path) if is_about_one(request, "PUT", "DELETE") else None
            response = real.answer(request)
            if older is not None and accepted(older) and accepted(response):
                before[path], number[path] = older, 0
            if is_read(request) and path in before:
                number[path] += 1
                if number[path] in reads:
                    return before[path]
            return response

        return answer


lagging("eventually consistent", "reads-are-never-older", "the first read after a write shows what was before", (1,))
lagging(
    "two replicas", "reads-are-never-older", "every second read comes from a replica, one write behind", (2, 4, 6, 8)
)
lagging("back in time", "reads-are-never-older", "the fifth read after a write shows what was before", (5,))


@mutant("every third update lost", "every-update-is-stored", "every third PUT makes a version with the content before")
def _(real: Real) -> Answer:
    updates: Counter[str] = Counter()

    def answer(request: Request) -> Response:
        if not is_put(request):
            return real.answer(request)
        stored = real.get(path_of(request))
        updates[path_of(request)] += 1
        lost = updates[path_of(request)] % 3 == 0 and resource_in(request) and accepted(stored)
        return real.answer(with_body(request, resource_in(stored)) if lost else request)

    return answer


@mutant("one update behind", "every-update-is-stored", "a PUT stores what the PUT before it sent")
def _(real: Real) -> Answer:
    waiting: dict[str, bytes] = {}

    def answer(request: Request) -> Response:
        if not is_put(request):
            return real.answer(request)
        body = waiting.get(path_of(request), request.body)
        response = real.answer(replace(request, body=body))
        if accepted(response):
            waiting[path_of(request)] = request.body
        return response

    return answer


@mutant("updates spill", "others-stay", "an update makes a new version of the resource updated before it too")
def _(real: Real) -> Answer:
    last: list[str] = []

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if is_put(request) and accepted(response):
            for path in {path for path in last if path != path_of(request)}:
                other = real.get(path)
                if accepted(other):
                    touched = with_headers(request, If_Match=other.headers.get("ETag"), Prefer=None)
                    real.answer(with_body(replace(touched, url=f"/STU3/{path}"), resource_in(other)))
            last[:] = [path_of(request)]
        return response

    return answer


@answered("Date an hour slow", "date-is-the-clock", "Date is an hour behind")
def _(request: Request, response: Response) -> Response:
    date = response.headers.get("Date")
    late: Response = with_headers(response, Date=moved(date, -3600)) if date else response
    return late


@answered("Date stands still", "date-is-the-clock", "Date is the moment of a page that was cached for ever")
def _(request: Request, response: Response) -> Response:
    still: Response = with_headers(response, Date="Fri, 25 May 2018 16:09:50 GMT")
    return still if response.headers.get("Date") else response


@answered("Date of the version", "date-is-the-clock", "Last-Modified is set ten minutes ahead of Date, in the body too")
def _(request: Request, response: Response) -> Response:
    date = response.headers.get("Last-Modified")
    ahead: Response = with_headers(response, Last_Modified=moved(date, 600)) if date else response
    return ahead


@mutant("back after a create", "deleted-stays-deleted", "the next create brings the last deleted resource back")
def _(real: Real) -> Answer:
    gone: dict[str, Response] = {}
    back: dict[str, Response] = {}

    def answer(request: Request) -> Response:
        path = path_of(request)
        before = real.get(path) if is_about_one(request, "DELETE") else None
        response = real.answer(request)
        if before is not None and accepted(response):
            gone[path] = before
        if is_create(request) and accepted(response):
            back.update(gone)
            gone.clear()
        return back.get(path, response) if is_read(request) else response

    return answer


@mutant("gone, and here for a while", "delete", "the first read after a delete still shows the resource")
def _(real: Real) -> Answer:
    gone: dict[str, Response] = {}

    def answer(request: Request) -> Response:
        path = path_of(request)
        before = real.get(path) if is_about_one(request, "DELETE") else None
        response = real.answer(request)
        if before is not None and accepted(response):
            gone[path] = before
        return gone.pop(path, response) if is_read(request) else response

    return answer


# --- refusals that leave something behind ---


def touching(name: str, meant: str, says: str, statuses: tuple[int, ...], method: str = "PUT") -> None:
    """A mutant whose Last-Modified moves on with each refusal of these statuses."""

    @mutant(name, meant, says)
    def _(real: Real) -> Answer:
        moves: Counter[str] = Counter()

        def answer(request: Request) -> Response:
            response = real.answer(request)
            if is_about_one(request, method) and response.status in statuses:
                moves[path_of(request)] += 1
            date = response.headers.get("Last-Modified")
            if is_read(request) and date and moves[path_of(request)]:
                later: Response = with_headers(response, Last_Modified=moved(date, moves[path_of(request)]))
                return later
            return response

        return answer


touching("touched by 415", "refusals-change-nothing", "a PUT answered 415 moves Last-Modified", (415,))
touching("touched by 400", "refusals-change-nothing", "a PUT answered 400 moves Last-Modified", (400,))
touching(
    "touched by a stale delete",
    "refusals-change-nothing",
    "a DELETE answered 409 moves Last-Modified",
    (409,),
    "DELETE",
)
touching("touched by a stale update", "stale-previous", "a PUT answered 409 moves Last-Modified", (409,))


_PLAIN: dict[str, str | None] = {
    "Content_Type": "application/fhir+json",
    "Content_Encoding": None,
    "If_None_Match": None,
    "Prefer": None,
}
"""The header fields of a request that is sent again, without what it was refused for."""


def applied_later(name: str, says: str, status: int, meant: str = "refused-never-applied") -> None:
    """A mutant that keeps the body of a PUT refused with this status, and stores it after the next accepted PUT."""

    @mutant(name, meant, says)
    def _(real: Real) -> Answer:
        queue: dict[str, Request] = {}

        def answer(request: Request) -> Response:
            path = path_of(request)
            response = real.answer(request)
            if is_put(request) and response.status == status:
                queue[path] = with_headers(request, **_PLAIN)
            if is_put(request) and accepted(response) and path in queue:
                late = real.answer(with_headers(queue.pop(path), If_Match=response.headers.get("ETag")))
                if accepted(late):
                    kept = {"ETag": late.headers.get("ETag"), "Last_Modified": late.headers.get("Last-Modified")}
                    shown: Response = with_headers(response, **kept)
                    return shown
            return response

        return answer


applied_later("refused for now", "a PUT answered 409 is stored after the next accepted one", 409)
applied_later("queued without a version", "a PUT answered 412 is stored after the next accepted one", 412)
applied_later("queued by its type", "a PUT answered 415 is stored after the next accepted one", 415)


@mutant("merged with the refused", "refused-never-applied", "the title of a refused PUT is stored with the next one")
def _(real: Real) -> Answer:
    titles: dict[str, str] = {}

    def answer(request: Request) -> Response:
        path, title = path_of(request), resource_in(request).get("title")
        if is_put(request) and path in titles:
            request = edited(request, lambda resource: resource.update(title=titles[path]))
        response = real.answer(request)
        if is_put(request) and response.status in (409, 412):
            titles[path] = str(title)
        elif is_put(request) and accepted(response):
            titles.pop(path, None)
        return response

    return answer
