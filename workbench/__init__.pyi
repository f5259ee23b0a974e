"""The public names of ``workbench``, each with the module that defines it.

This is the only list. ``workbench/__init__.py`` reads it to load a name when it is first used, and type checkers
read it too.
"""

from .client.client import Client as Client
from .client.client import LAST_READ as LAST_READ
from .client.connection import Connection as Connection
from .client.identity import FreshId as FreshId
from .client.identity import SpineIdentity as SpineIdentity
from .client.profiles import connect as connect
from .client.profiles import Profile as Profile
from .client.profiles import profile_names as profile_names
from .client.profiles import profiles_path as profiles_path
from .client.profiles import read_profile as read_profile
from .client.retry import Retry as Retry
from .client.secret import Reference as Reference
from .client.trial import Trial as Trial
from .client.trial import try_connection as try_connection
from .client.unanswered import Landing as Landing
from .client.unanswered import Resolution as Resolution
from .clock import LESSON_START as LESSON_START
from .conformance.contract import PROMISES as PROMISES
from .conformance.report import Finding as Finding
from .conformance.report import Report as Report
from .conformance.report import Result as Result
from .conformance.run import check as check
from .endpoint.endpoint import Endpoint as Endpoint
from .errors import BadInput as BadInput
from .errors import EndpointError as EndpointError
from .errors import MalformedETag as MalformedETag
from .errors import MalformedJSON as MalformedJSON
from .errors import NotRecorded as NotRecorded
from .errors import OpenConflict as OpenConflict
from .errors import UnwantedVerdict as UnwantedVerdict
from .errors import WorkbenchError as WorkbenchError
from .errors import WriteNotAllowed as WriteNotAllowed
from .exchange.exchange import Exchange as Exchange
from .exchange.verdict import Verdict as Verdict
from .fhir.etag import ETag as ETag
from .fhir.merge import Edited as Edited
from .fhir.merge import Merge as Merge
from .fhir.merge import merge as merge
from .fhir.merge import Side as Side
from .history.check import history as history
from .journal.journal import Journal as Journal
from .journal.personal import PERSONAL as PERSONAL
from .races.race import race as race
from .races.race import sweep as sweep
from .races.results import Race as Race
from .races.schedule import interleavings as interleavings
from .races.schedule import play as play
from .races.schedule import play_all as play_all
from .races.strategy import STRATEGIES as STRATEGIES
from .races.strategy import Strategy as Strategy
from .recording.recording import record as record
from .recording.recording import Recording as Recording
from .widgets.conflict import ConflictBench as ConflictBench
from .widgets.editor import JsonEditor as JsonEditor
from .widgets.endpoints import EndpointPicker as EndpointPicker
from .widgets.race import RaceBench as RaceBench
from .widgets.report import CheckTable as CheckTable
from .widgets.workbench import Workbench as Workbench

__version__: str
__all__: list[str]
