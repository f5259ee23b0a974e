"""``check``: try every probe at an endpoint and report what each found out.

Only daemon threads send requests; the caller's thread waits for them. So Ctrl-C ends a check at once, even if the
endpoint does not answer. Requests in flight get ``_GRACE_SECONDS`` to end, and cleaning up gets as long. Notes name
what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from workbench.client.client import Client
from workbench.client.threads import DaemonThreads, as_ended
from workbench.conformance.finding import AS_PROMISED, Finding, Result
from workbench.conformance.probe import Deviation, Probe, ProbeRun
from workbench.conformance.probes import PROBES
from workbench.conformance.report import Report
from workbench.conformance.servers import compare, known_server
from workbench.conformance.under_check import EndpointUnderCheck, Stopped, Untestable
from workbench.errors import BadInput
from workbench.exchange.message import Exchange, without_body

Progress = Callable[[int, int, Finding], object]
"""Called after each probe, with the number done, the total, and the finding."""

SIDE_BY_SIDE: Final = 8
_LONGEST_BODY: Final = 200_000
_NOT_BEGUN: Final = "The check was ended before this was tried."
_NOT_FINISHED: Final = "The check was ended while this was tried."
_GRACE_SECONDS: Final = 0.6

_log = logging.getLogger(__name__)


def check(
    client: Client,
    *,
    resource: str | None = None,
    consent: bool = False,
    profile: str | None = None,
    side_by_side: int = SIDE_BY_SIDE,
    progress: Progress | None = None,
    probes: Sequence[Probe] = PROBES,
) -> Report:
    """Probe every promise of the contract at the client's endpoint; return a report with the evidence.

    Probes have clients and journals of their own; ``client`` and its journal do not change. Each probe works on a
    resource that it creates and deletes again. If that is not possible or not wanted, name a resource
    (``resource="Flag/3f6a…"``), and allow changes to it with ``consent=True``. Its content is put back at the end.
    Nothing is written to a host that is not this machine unless the connection allows writes.

    ``profile`` names a known server (``"hapi"``): the report then expects that server's answers.
    ``side_by_side`` is the number of probes at once. ``progress(done, total, finding)`` is called after each probe,
    in the caller's thread. Ctrl-C ends the check early, with a report of what was found until then. Its notes name
    writes that were still in flight and resources that were not deleted.

    Raises ``CannotCheck`` if nothing answers, ``BadInput`` for an unusable resource, profile or number.
    """
    if side_by_side < 1:
        raise BadInput("At least one probe must run at a time; side_by_side is 1 or more.")
    server = known_server(profile) if profile is not None else None
    started = datetime.now(UTC)
    endpoint = EndpointUnderCheck(client, resource=resource, consent=consent)
    run = _CheckRun(endpoint, probes, side_by_side, progress)
    run.run()
    return Report(
        endpoint=client.base_url,
        started=started,
        findings=compare([run.finding(probe) for probe in probes], server),
        profile=server.name if server else "",
        notes=tuple(endpoint.notes),
        interrupted=run.interrupted,
    )


class _CheckRun:
    """One run of the probes: first those that may run side by side, then the others one by one."""

    def __init__(
        self, endpoint: EndpointUnderCheck, probes: Sequence[Probe], side_by_side: int, progress: Progress | None
    ) -> None:
        self._endpoint = endpoint
        self._probes = probes
        self._progress = progress
        self._threads = DaemonThreads(side_by_side, "check")
        self._begun: dict[str, Future[Finding]] = {}
        self._survey: Future[None] | None = None
        self._done = 0
        self.interrupted = False

    def run(self) -> None:
        """Survey the endpoint and try every probe, until the end or Ctrl-C."""
        try:
            self._survey = self._threads.submit(self._endpoint.survey)
            for survey in as_ended([self._survey]):
                survey.result()
            self._try_all([probe for probe in self._probes if not probe.alone])
            for probe in self._probes:
                if probe.alone:
                    self._try_all([probe])
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self._end()

    def finding(self, probe: Probe) -> Finding:
        """Return what this probe found out, or that the check was ended before."""
        future = self._begun.get(probe.name)
        if future is None or future.cancelled():
            return _not_tested(probe, _NOT_BEGUN)
        return future.result() if future.done() else _not_tested(probe, _NOT_FINISHED)

    def _try_all(self, probes: Sequence[Probe]) -> None:
        futures = [self._threads.submit(_try, self._endpoint, probe) for probe in probes]
        self._begun |= {probe.name: future for probe, future in zip(probes, futures, strict=True)}
        for future in as_ended(futures):
            self._done += 1
            finding = future.result()
            if self._progress:
                self._progress(self._done, len(self._probes), finding)

    def _end(self) -> None:
        """Stop the probes before their next request, and leave the endpoint as it was."""
        self._endpoint.stopped.set()
        self._threads.shutdown()
        self._wait_for([*self._begun.values(), *([self._survey] if self._survey else [])])
        # All threads of the pool may be waiting for a response, so leaving has a thread of its own.
        with DaemonThreads(1, "check, leaving") as thread:
            leaving = thread.submit(self._endpoint.leave)
            self._wait_for([leaving])
        self._endpoint.note_what_is_left()
        if leaving.done():
            leaving.result()  # raises what ``leave`` raised

    def _wait_for(self, futures: Collection[Future[Any]]) -> None:
        """Wait until all have ended; after Ctrl-C for ``_GRACE_SECONDS`` only, after another Ctrl-C not at all."""
        while True:
            try:
                for _ in as_ended(futures, _GRACE_SECONDS if self.interrupted else None):
                    pass
            except KeyboardInterrupt:
                if self.interrupted:
                    return
                self.interrupted = True
            else:
                return


def _try(endpoint: EndpointUnderCheck, probe: Probe) -> Finding:
    """Try one probe; return its finding, whether it can be tried or not."""
    finding = _not_tested(probe, "")
    shown: Iterable[Exchange] = ()
    run = ProbeRun(endpoint)
    try:
        probe.function(run)
        finding = replace(finding, result=Result.KEPT, observed=AS_PROMISED, answer=AS_PROMISED)
    except Deviation as deviation:
        finding = replace(finding, result=Result.BROKEN, observed=deviation.observed, answer=deviation.answer)
        shown = deviation.evidence
    except Untestable as reason:
        finding = replace(finding, why=str(reason))
    except Stopped:
        finding = replace(finding, why=_NOT_BEGUN)
    except Exception as error:  # noqa: BLE001  # an unforeseen response to one probe must not cost the other findings
        _log.exception("the probe %s failed", probe.name)
        why = f"The probe itself failed on what came back ({type(error).__name__}: {error})."
        finding = replace(finding, why=why)
    finally:
        # ``close`` sends requests to clean up. They are no evidence, so the journal is read before.
        evidence = tuple(map(_shortened, shown or run.journal))
        run.close()
    return replace(finding, evidence=evidence)


def _not_tested(probe: Probe, why: str) -> Finding:
    return Finding(
        promise=probe.promise,
        level=probe.rule.level,
        probe=probe.name,
        result=Result.NOT_TESTED,
        expected=probe.expected,
        why=why,
        tries=probe.tries,
    )


def _shortened(exchange: Exchange) -> Exchange:
    """Return the exchange as evidence: a very long body is replaced by its length and digest."""
    request, response = exchange.request, exchange.response
    if len(request.body) > _LONGEST_BODY:
        request = without_body(request)
    if response and len(response.body) > _LONGEST_BODY:
        response = without_body(response)
    return replace(exchange, request=request, response=response).judged(exchange.verdict)
