"""``check``: every probe tried at an endpoint, and what came of it as a report.

Owns: which probes run side by side, what happens when one fails otherwise than by its promise or is
interrupted, and that the endpoint is left as it was found. Ctrl-C ends a check, not without a report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from workbench.client import Client
from workbench.conformance.catalogue import PROBES
from workbench.conformance.findings import Finding, Report, Result
from workbench.conformance.oracle import compared, fits, profile_named
from workbench.conformance.probe import Deviation, Probe, Stopped, Untestable
from workbench.conformance.site import Site
from workbench.conformance.trial import Trial
from workbench.exceptions import BadInput, WriteNotAllowed
from workbench.rules.dialects import AS_PROMISED
from workbench.rules.exchange import Exchange

Progress = Callable[[int, int, Finding], object]
"""Called after each probe: how many are done, of how many, and what the last one found."""

SIDE_BY_SIDE: Final = 8
_LONGEST_BODY: Final = 200_000
_SHOWN_OF_IT: Final = 2_000
_ENDED: Final = "The check was ended before this was tried."

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
    the caller's thread. Ctrl-C ends the check early: the report says what was found until then.

    Raises ``CannotCheck`` where nothing answers, ``BadInput`` for a resource or a profile that is none.
    """
    if side_by_side < 1:
        raise BadInput("At least one probe must run at a time; side_by_side is 1 or more.")
    known = profile_named(profile) if profile is not None else None
    started = datetime.now(UTC)
    site = Site(client, resource=resource, consent=consent)
    run = _Run(site, probes, side_by_side, progress)
    try:
        run.all()
    finally:
        site.leave()
    found = compared(run.findings(), known)
    notes = tuple(site.notes)
    return Report(client.base_url, started, found, known.name if known else "", fits(found), notes, run.interrupted)


class _Run:
    """One run of the probes: those that may run side by side, then those that must not."""

    def __init__(self, site: Site, probes: Sequence[Probe], side_by_side: int, progress: Progress | None) -> None:
        self._site = site
        self._probes = probes
        self._progress = progress
        self._pool = ThreadPoolExecutor(side_by_side, thread_name_prefix="check")
        self._begun: dict[Future[Finding], Probe] = {}
        self._done = 0
        self.interrupted = False

    def all(self) -> None:
        """Survey the endpoint and run every probe, or until interrupted."""
        try:
            self._site.survey()
            self._wait_for([self._begin(probe) for probe in self._probes if not probe.alone])
            for probe in self._probes:
                if probe.alone:
                    self._wait_for([self._begin(probe)])
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            # Where it ends early: what is under way stops at its next request, and cleans up.
            self._site.stopped.set()
            self._pool.shutdown(cancel_futures=True)

    def _begin(self, probe: Probe) -> Future[Finding]:
        future = self._pool.submit(try_out, self._site, probe)
        self._begun[future] = probe
        return future

    def _wait_for(self, futures: Sequence[Future[Finding]]) -> None:
        for future in as_completed(futures):
            self._done += 1
            finding = future.result()
            if self._progress:
                self._progress(self._done, len(self._probes), finding)

    def findings(self) -> tuple[Finding, ...]:
        """A finding for every probe, in the contract's order."""
        found = {probe.name: future.result() for future, probe in self._begun.items() if not future.cancelled()}
        return tuple(found.get(probe.name) or _not_tested(probe, _ENDED) for probe in self._probes)


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
