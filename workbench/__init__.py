"""spine-workbench: load a FHIR resource, edit it, PUT it with ``If-Match``, and see what became of it.

>>> import workbench as wb
>>> spine = wb.Endpoint.in_process(clock="2018-05-25T16:10:00Z", seed=1)
>>> alice = spine.client("alice")
>>> draft = alice.read("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a").resource
>>> draft["title"] = "Reasonable adjustments, reviewed"
>>> alice.update(draft).verdict
Verdict.UPDATED

Every name loads its module when it is first used, so importing this costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.client.client import LAST_READ as LAST_READ
    from workbench.client.client import Client as Client
    from workbench.client.connection import Connection as Connection
    from workbench.client.identity import FreshId as FreshId
    from workbench.client.identity import SpineIdentity as SpineIdentity
    from workbench.client.profiles import Profile as Profile
    from workbench.client.profiles import connect as connect
    from workbench.client.profiles import profile_names as profile_names
    from workbench.client.profiles import profiles_path as profiles_path
    from workbench.client.profiles import read_profile as read_profile
    from workbench.client.retry import Retry as Retry
    from workbench.client.secret import Reference as Reference
    from workbench.client.trial import Trial as Trial
    from workbench.client.trial import try_connection as try_connection
    from workbench.client.unanswered import Landing as Landing
    from workbench.client.unanswered import Resolution as Resolution
    from workbench.clock import LESSON_START as LESSON_START
    from workbench.conformance.contract import PROMISES as PROMISES
    from workbench.conformance.report import Finding as Finding
    from workbench.conformance.report import Report as Report
    from workbench.conformance.report import Result as Result
    from workbench.conformance.run import check as check
    from workbench.endpoint.endpoint import Endpoint as Endpoint
    from workbench.errors import BadInput as BadInput
    from workbench.errors import EndpointError as EndpointError
    from workbench.errors import MalformedETag as MalformedETag
    from workbench.errors import MalformedJSON as MalformedJSON
    from workbench.errors import NotRecorded as NotRecorded
    from workbench.errors import OpenConflict as OpenConflict
    from workbench.errors import UnwantedVerdict as UnwantedVerdict
    from workbench.errors import WorkbenchError as WorkbenchError
    from workbench.errors import WriteNotAllowed as WriteNotAllowed
    from workbench.exchange.exchange import Exchange as Exchange
    from workbench.exchange.verdict import Verdict as Verdict
    from workbench.fhir.etag import ETag as ETag
    from workbench.fhir.merge import Edited as Edited
    from workbench.fhir.merge import Merge as Merge
    from workbench.fhir.merge import Side as Side
    from workbench.fhir.merge import merge as merge
    from workbench.history.check import history as history
    from workbench.journal.journal import Journal as Journal
    from workbench.journal.personal import PERSONAL as PERSONAL
    from workbench.races.race import race as race
    from workbench.races.race import sweep as sweep
    from workbench.races.results import Race as Race
    from workbench.races.schedule import interleavings as interleavings
    from workbench.races.schedule import play as play
    from workbench.races.schedule import play_all as play_all
    from workbench.races.strategy import STRATEGIES as STRATEGIES
    from workbench.races.strategy import Strategy as Strategy
    from workbench.recording.recording import Recording as Recording
    from workbench.recording.recording import record as record
    from workbench.widgets.conflict import ConflictBench as ConflictBench
    from workbench.widgets.editor import JsonEditor as JsonEditor
    from workbench.widgets.endpoints import EndpointPicker as EndpointPicker
    from workbench.widgets.race import RaceBench as RaceBench
    from workbench.widgets.report import CheckTable as CheckTable
    from workbench.widgets.workbench import Workbench as Workbench

__version__ = "0.1.0"

_MODULES = {
    "BadInput": "errors",
    "CheckTable": "widgets.report",
    "Client": "client.client",
    "ConflictBench": "widgets.conflict",
    "Connection": "client.connection",
    "ETag": "fhir.etag",
    "Edited": "fhir.merge",
    "Endpoint": "endpoint.endpoint",
    "EndpointError": "errors",
    "Exchange": "exchange.exchange",
    "FreshId": "client.identity",
    "Finding": "conformance.report",
    "Journal": "journal.journal",
    "JsonEditor": "widgets.editor",
    "LAST_READ": "client.client",
    "LESSON_START": "clock",
    "Landing": "client.unanswered",
    "MalformedETag": "errors",
    "Merge": "fhir.merge",
    "NotRecorded": "errors",
    "OpenConflict": "errors",
    "PERSONAL": "journal.personal",
    "Race": "races.results",
    "RaceBench": "widgets.race",
    "EndpointPicker": "widgets.endpoints",
    "Profile": "client.profiles",
    "Reference": "client.secret",
    "SpineIdentity": "client.identity",
    "Trial": "client.trial",
    "connect": "client.profiles",
    "profile_names": "client.profiles",
    "profiles_path": "client.profiles",
    "read_profile": "client.profiles",
    "try_connection": "client.trial",
    "Recording": "recording.recording",
    "Report": "conformance.report",
    "Result": "conformance.report",
    "STRATEGIES": "races.strategy",
    "Resolution": "client.unanswered",
    "Retry": "client.retry",
    "Side": "fhir.merge",
    "Strategy": "races.strategy",
    "check": "conformance.run",
    "history": "history.check",
    "interleavings": "races.schedule",
    "merge": "fhir.merge",
    "play": "races.schedule",
    "play_all": "races.schedule",
    "record": "recording.recording",
    "race": "races.race",
    "sweep": "races.race",
    "MalformedJSON": "errors",
    "PROMISES": "conformance.contract",
    "UnwantedVerdict": "errors",
    "Verdict": "exchange.verdict",
    "Workbench": "widgets.workbench",
    "WorkbenchError": "errors",
    "WriteNotAllowed": "errors",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
