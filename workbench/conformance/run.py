"""``check``: every probe tried at an endpoint, and what came of it as a report.

Owns: which probes run side by side, what happens when one fails otherwise than by its promise or is
interrupted, and that the endpoint is left as it was found.

Only daemon threads speak to the endpoint; the caller's thread waits for them. So Ctrl-C ends a check at once, whatever
the endpoint does: what is under way gets ``_GRACE_SECONDS`` to end, the cleaning up as long again, and the report says
what was left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from workbench.client.client import Client
from workbench.client.threads import DaemonThreads, as_ended
from workbench.conformance.catalogue import PROBES
from workbench.conformance.oracle import compared, fits, profile_named
from workbench.conformance.probe import Deviation, Probe, Stopped, Untestable
from workbench.conformance.report import Finding, Report, Result
from workbench.conformance.servers import AS_PROMISED
from workbench.conformance.site import Site
from workbench.conformance.trial import Trial
from workbench.errors import BadInput, WriteNotAllowed
from workbench.exchange.message import Exchange

Progress = Callable[[int, int, Finding], object]
"""Called after each probe: how many are done, of how many, and what the last one found."""

SIDE_BY_SIDE: Final = 8
_LONGEST_BODY: Final = 200_000
_SHOWN_OF_IT: Final = 2_000
_ENDED: Final = "The check was ended before this was tried."
_CUT_SHORT: Final = "The check was ended while this was tried."
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
    """Probe every promise of the contract at the endpoint that ``client`` speaks to; a report with the evidence.

    Probes send by connections of their own and record in journals of their own; ``client`` and its journal stay as
    they are. Each works on a resource that it creates and deletes again. Where that is not possible, or not wanted,
    name one (``resource="Flag/3f6a…"``), and say with ``consent=True`` that it may be changed; its content is put
    back at the end. Nothing is written to a host that is not this machine unless the connection allows writes.

    ``profile`` names a known server (``"hapi"``): the report then compares with what that one answers.
    ``side_by_side`` is how many probes run at once. ``progress(done, total, finding)`` is called after each, in
    the caller's thread. Ctrl-C ends the check early: the report says what was found until then. A request that is not
    answered within a moment is left behind; its notes name what may have been written, and what was not deleted.

    Raises ``CannotCheck`` where nothing answers, ``BadInput`` for a resource or a profile that is none.
    """
    if side_by_side < 1:
        raise BadInput("At least one probe must run at a time; side_by_side is 1 or more.")
    known = profile_named(profile) if profile is not None else None
    started = datetime.now(UTC)
    site = Site(client, resource=resource, consent=consent)
    run = _Run(site, probes, side_by_side, progress)
    run.all()
    found = compared(run.findings(), known)
    notes = tuple(site.notes)
    return Report(client.base_url, started, found, known.name if known else "", fits(found), notes, run.interrupted)


class _Run:
    """One run of the probes: those that may run side by side, then those that must not."""

    def __init__(self, site: Site, probes: Sequence[Probe], side_by_side: int, progress: Progress | None) -> None:
        self._site = site
        self._probes = probes
        self._progress = progress
        self._pool = DaemonThreads(side_by_side, "check")
        self._begun: dict[Future[Finding], Probe] = {}
        self._survey: Future[None] | None = None
        self._done = 0
        self.interrupted = False

    def all(self) -> None:
        """Survey the endpoint and run every probe, or until interrupted."""
        try:
            self._survey = self._pool.submit(self._site.survey)
            for survey in as_ended([self._survey]):
                survey.result()
            self._wait_for([self._begin(probe) for probe in self._probes if not probe.alone])
            for probe in self._probes:
                if probe.alone:
                    self._wait_for([self._begin(probe)])
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self._end()

    def _end(self) -> None:
        """End what is under way, at its next request, and leave the endpoint as it was found."""
        self._site.stopped.set()
        self._pool.shutdown()
        self._settle([*self._begun, *filter(None, [self._survey])])
        with DaemonThreads(1, "check, leaving") as free:  # those of the pool may all wait for an answer
            leaving = free.submit(self._site.leave)
            self._settle([leaving])
        self._site.say_what_is_left()
        if leaving.done():
            leaving.result()  # raises what it raised

    def _settle(self, futures: Collection[Future[Any]]) -> None:
        """Wait for these. After Ctrl-C wait for a moment only, and after another Ctrl-C not at all."""
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

    def _begin(self, probe: Probe) -> Future[Finding]:
        future = self._pool.submit(try_out, self._site, probe)
        self._begun[future] = probe
        return future

    def _wait_for(self, futures: Sequence[Future[Finding]]) -> None:
        for future in as_ended(futures):
            self._done += 1
            finding = future.result()
            if self._progress:
                self._progress(self._done, len(self._probes), finding)

    def findings(self) -> tuple[Finding, ...]:
        """A finding for every probe, in the contract's order."""
        found = {probe.name: _found(future, probe) for future, probe in self._begun.items()}
        return tuple(found.get(probe.name) or _not_tested(probe, _ENDED) for probe in self._probes)


def _found(future: Future[Finding], probe: Probe) -> Finding:
    if future.cancelled():
        return _not_tested(probe, _ENDED)
    return future.result() if future.done() else _not_tested(probe, _CUT_SHORT)


def try_out(site: Site, probe: Probe) -> Finding:
    """Run one probe and say what it found, whatever happens."""
    if probe.writes and not site.may_write:
        return _not_tested(probe, site.no_write)
    trial = Trial(site)
    try:
        # Before the trial cleans up behind itself, which is no evidence of anything.
        return replace(_tried(trial, probe), evidence=tuple(map(_shortened, trial.journal)))
    finally:
        trial.close()


def _tried(trial: Trial, probe: Probe) -> Finding:
    finding = replace(_not_tested(probe, ""), result=Result.KEPT)
    try:
        probe.run(trial)
    except Deviation as found:
        return replace(finding, result=Result.BROKEN, observed=found.observed, answer=found.answer)
    except Untestable as reason:
        return _not_tested(probe, str(reason))
    except WriteNotAllowed as reason:
        return _not_tested(probe, str(reason))
    except Stopped:
        return _not_tested(probe, _ENDED)
    except Exception as error:  # noqa: BLE001  # an answer that nobody foresaw must not cost the other findings
        _log.exception("the probe %s failed", probe.name)
        return _not_tested(probe, f"The probe itself failed on what came back ({type(error).__name__}: {error}).")
    return replace(finding, observed=AS_PROMISED, answer=AS_PROMISED)


def _not_tested(probe: Probe, why: str) -> Finding:
    about = (probe.promise, probe.rule.level, probe.name)
    return Finding(*about, Result.NOT_TESTED, probe.expected, why=why, tries=probe.tries)


def _shortened(exchange: Exchange) -> Exchange:
    """The exchange as evidence: a very large body is cut short, and says so."""
    request, response = exchange.request, exchange.response
    request = replace(request, body=_cut(request.body))
    return replace(exchange, request=request, response=response and replace(response, body=_cut(response.body)))


def _cut(body: bytes) -> bytes:
    if len(body) <= _LONGEST_BODY:
        return body
    return body[:_SHOWN_OF_IT].rstrip() + f"… ({len(body):,} bytes in all)".encode()
