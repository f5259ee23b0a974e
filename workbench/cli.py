"""The command line: ``spine-workbench COMMAND`` and ``python -m workbench COMMAND``.

Each command reads its options, calls the room that does the work, and returns an exit code.
A ``WorkbenchError`` becomes one sentence on standard error and exit code 2.
Ctrl-C gives exit code 130, the shell's own number for it.

A command imports what it needs when it runs, so ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

from workbench.app import end_by_signal, serve, wait_for
from workbench.errors import BadInput, WorkbenchError
from workbench.fhir.printable import printable
from workbench.races.strategy import STRATEGIES

if TYPE_CHECKING:
    from workbench.client.client import Client
    from workbench.conformance.report import Finding, Report
    from workbench.endpoint.endpoint import Endpoint
    from workbench.races.results import Race

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


FAILED: Final = 1
NOT_RUN: Final = 2
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(words[:end])
    options.rest = words[end + 1 :]

    try:
        return int(options.run(options))
    except WorkbenchError as error:
        say(f"spine-workbench: {error}", sys.stderr)
        return NOT_RUN
    except KeyboardInterrupt:
        return INTERRUPTED


def say(text: object, file: IO[str] | None = None) -> None:
    """Print a text and a newline, without control characters that a terminal would obey."""
    print(printable(str(text)), file=file or sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spine-workbench",
        description="Load a FHIR resource, edit it, PUT it with If-Match, and see the result.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_lab(commands)
    _add_app(commands)
    _add_connect(commands)
    _add_check(commands)
    _add_race(commands)
    return parser


# --- from a URL or a profile to a client: connect, check and race ---


def _add_endpoint_options(parser: argparse.ArgumentParser, *, optional: bool = False, default: str = "") -> None:
    """Add the options that name an endpoint and say how to connect to it; ``_client`` reads them."""
    where = parser.add_argument_group("the endpoint")
    where.add_argument(
        "where",
        nargs="?" if optional else None,
        metavar="URL|PROFILE",
        help="a base URL such as http://127.0.0.1:8080/STU3, or the name of a profile" + default,
    )
    if optional:
        where.add_argument("--connection", metavar="NAME", help="the profile, in place of PROFILE")
    where.add_argument("--profiles", metavar="FILE", help="the file of profiles (default: the one in your settings)")
    where.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="send this header with every request; $NAME is read from the environment; repeatable",
    )
    where.add_argument("--ca", metavar="FILE", help="trust this CA for HTTPS (PEM)")
    where.add_argument("--cert", metavar="FILE", help="present this client certificate (PEM)")
    where.add_argument("--key", metavar="FILE", help="the certificate's key, if in another file (PEM, not encrypted)")


def _add_allow_writes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-writes", action="store_true", help="allow writes to a host that is not this machine")


def _client(options: argparse.Namespace, name: str) -> Client:
    """Return a client of the endpoint that the options name."""
    from workbench.client.profiles import connect

    given = vars(options)
    flags = [
        f"--{flag.replace('_', '-')}" for flag in ("header", "ca", "cert", "key", "allow_writes") if given.get(flag)
    ]
    profile = given.get("connection")
    if profile and options.where:
        raise BadInput(f"Both {options.where} and --connection name an endpoint; give one of them.")
    where = profile or options.where
    if not where:
        raise BadInput("Which endpoint? Give its base URL, or the name of a profile.")

    if profile or "://" not in where:
        if flags:
            raise BadInput(
                f"The profile {where!r} holds all connection settings. "
                f"Leave out {', '.join(flags)}, or give a base URL."
            )
        if profile and "://" in profile:
            raise BadInput("--connection takes the name of a profile; give a base URL without it.")
        return connect(where, name=name, profiles=options.profiles)

    if options.key and not options.cert:
        raise BadInput("--key needs its certificate; give --cert too.")
    return connect(
        where,
        name=name,
        headers=dict(map(_header, options.header)),
        verify=options.ca or True,
        cert=(options.cert, options.key) if options.key else options.cert,
        allow_writes=given.get("allow_writes", False),
    )


def _header(text: str) -> tuple[str, str]:
    """Split ``Name: value``. The value ``$NAME`` is read from the environment.

    So a secret does not appear in the system's list of processes.
    """
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not name:
        raise BadInput("A header is written 'Name: value'.")

    if variable := re.fullmatch(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?", value):
        value = os.environ.get(variable[1], "")
        if not value:
            raise BadInput(f"The header {name} needs {variable[1]}, which is not set in the environment; set it.")
    return name, value


# --- connect ---


def _add_connect(commands: _Commands) -> None:
    parser = commands.add_parser(
        "connect",
        help="try the connection to an endpoint",
        description="Read an endpoint's CapabilityStatement, and say what works or which step failed. "
        "Exit code 0: it works; 1: it does not work; 2: it could not be tried.",
        epilog="Example: spine-workbench connect integration",
    )
    _add_endpoint_options(parser)
    parser.set_defaults(run=_connect)


def _connect(options: argparse.Namespace) -> int:
    from workbench.client.profiles import try_connection

    trial = try_connection(_client(options, "me"))
    say(trial.words if trial.ok else f"Failed at: {trial.failed_at}. {trial.words}")
    return 0 if trial.ok else FAILED


# --- check ---

_CHECK_EXAMPLES: Final = """\
Example: spine-workbench check http://127.0.0.1:8080/STU3
Example: spine-workbench check http://127.0.0.1:8090/fhir --profile hapi --json now.json --against last.json
Example: spine-workbench check --connection integration --junit report.xml
Example: spine-workbench check https://fhir.example/STU3 --allow-writes --header 'Authorization: $TOKEN'
Example: spine-workbench check https://fhir.example/STU3 --allow-writes --consent --resource Flag/3f6a1c9e
"""


def _add_check(commands: _Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="check which promises of the contract an endpoint keeps",
        description="Probe every promise of the contract at an endpoint. "
        "Each probe creates a resource of its own and deletes it again. "
        "Exit code 0: all as it should be; 1: something deviates; 2: it could not be run; "
        "130: Ctrl-C ended it, and the report holds the probes that were done.",
        epilog=_CHECK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_endpoint_options(parser, optional=True)
    _add_allow_writes(parser)

    scope = parser.add_argument_group("what is checked")
    scope.add_argument("--resource", metavar="TYPE/ID", help="use this one resource, if none may be created")
    scope.add_argument(
        "--consent",
        action="store_true",
        help="allow changes to that resource; its content is restored at the end",
    )
    scope.add_argument("--profile", metavar="NAME", help="compare with a known server: spine, r4, hapi, …")
    scope.add_argument("--side-by-side", type=int, default=8, metavar="N", help="probes at once (default: %(default)s)")

    files = parser.add_argument_group("the report as files")
    files.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML, for a build server")
    files.add_argument("--html", metavar="FILE", type=Path, help="write one page with all the evidence")
    files.add_argument("--json", metavar="FILE", type=Path, help="write JSON, for --against")
    files.add_argument("--against", metavar="FILE", type=Path, help="list the changes since that JSON report")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from workbench.conformance.report import (
        Report,
        console_for,
        print_report,
        to_html,
        to_json,
        to_junit,
    )
    from workbench.journal.export import check_writable, write_private

    before = Report.load(options.against) if options.against else None
    asked = [(options.junit, to_junit), (options.html, to_html), (options.json, to_json)]
    writers = [(path, writer) for path, writer in asked if path is not None]
    for path, _ in writers:
        if not path.parent.is_dir():
            raise BadInput(f"There is no folder {path.parent} to write {path.name} to.")
        check_writable(path, overwrite=True)  # an option that names a file allows overwriting it

    report = _run_check(options)

    print_report(report, console_for(sys.stdout), since=report.changes_since(before) if before else None)
    for path, writer in writers:
        write_private(path, writer(report), overwrite=True)
    return report.exit_code


def _run_check(options: argparse.Namespace) -> Report:
    from workbench.conformance.report import console_for, progress_on
    from workbench.conformance.run import check

    with progress_on(console_for(sys.stderr)) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, finding: Finding) -> None:
            description = f"{finding.promise} {finding.probe}"
            bar.update(task, completed=done, total=total, description=description)

        return check(
            _client(options, "check"),
            resource=options.resource,
            consent=options.consent,
            profile=options.profile,
            side_by_side=options.side_by_side,
            progress=progress,
        )


# --- race ---

_RACE_EXAMPLES: Final = """\
Example: spine-workbench race --clients 8 --updates 25 --strategy merge --thinking 0.05
Example: spine-workbench race http://127.0.0.1:8080/STU3 --clients 16 --processes 4
Example: spine-workbench race --connection integration --clients 2
"""


def _add_race(commands: _Commands) -> None:
    parser = commands.add_parser(
        "race",
        help="let several clients update the same resource at once",
        description="Let several clients update the same List at once, and count accepted, refused "
        "and lost updates. Without an endpoint it starts one of its own. "
        "At the end it checks that a correct endpoint could have given these responses. "
        "Exit code 0: consistent and nothing lost; 1: inconsistent, or an accepted update was lost; "
        "2: it could not be run; 130: Ctrl-C ended it.",
        epilog=_RACE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_endpoint_options(parser, optional=True, default=" (default: an endpoint of its own)")
    _add_allow_writes(parser)
    parser.add_argument(
        "--policy",
        default="SPINE",
        help="of its own endpoint: SPINE, UNPROTECTED, … (default: %(default)s)",
    )

    course = parser.add_argument_group("the race")
    course.add_argument("--clients", type=int, default=8, help="clients at once (default: %(default)s)")
    course.add_argument("--updates", type=int, default=25, help="updates of each client (default: %(default)s)")
    course.add_argument(
        "--strategy",
        default="reload",
        choices=STRATEGIES,
        help="what a client does after a stale update: "
        + "; ".join(f"{name}: {strategy.title}" for name, strategy in STRATEGIES.items()),
    )
    course.add_argument("--tries", type=int, help="how often one update is sent at most (default: the strategy's)")
    course.add_argument("--resources", type=int, default=1, help="Lists they all update (default: %(default)s)")
    course.add_argument(
        "--thinking",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long an edit takes (default: 0)",
    )
    course.add_argument("--seed", default="0", help="fixes who updates what, and every wait (default: %(default)s)")
    course.add_argument("--processes", type=int, metavar="N", help="spread the clients over N processes, not threads")

    files = parser.add_argument_group("the result as files")
    files.add_argument("--journal", metavar="FILE", help="write every exchange: .jsonl, .har, .csv or .svg")
    files.add_argument("--charts", metavar="FOLDER", help="write the charts as SVG into this folder")
    parser.set_defaults(run=_race)


def _race(options: argparse.Namespace) -> int:
    import pandas  # noqa: F401  # the result needs it: imported here, so that Ctrl-C ends quickly

    from workbench.journal.export import check_writable
    from workbench.races.race import race

    if options.journal:
        check_writable(Path(options.journal), overwrite=True)  # the option allows overwriting

    with _endpoint_to_race(options) as where:
        done = race(
            where,
            clients=options.clients,
            updates=options.updates,
            strategy=options.strategy,
            tries=options.tries,
            resources=options.resources,
            thinking=options.thinking,
            seed=options.seed,
            executor="processes" if options.processes else "threads",
            workers=options.processes,
        )

    say(f"{done}\n\n{done.latency.to_string()}\n\n{done.proof}")
    if options.journal:
        done.journal.export(options.journal, overwrite=True)
    if options.charts:
        _write_charts(done, Path(options.charts))
    return race_exit_code(done)


def _endpoint_to_race(options: argparse.Namespace) -> AbstractContextManager[Endpoint | Client]:
    from workbench.endpoint.endpoint import Endpoint

    if options.where or options.connection:
        return nullcontext(_client(options, "race"))
    return Endpoint.start(policy=options.policy)


def _write_charts(done: Race, folder: Path) -> None:
    from workbench.journal.export import write_private

    folder.mkdir(parents=True, exist_ok=True)
    charts = {
        "tries": done.tries_chart,
        "latency": done.latency_chart,
        "chain": done.chain_chart,
    }
    for name, draw in charts.items():
        write_private(folder / f"{name}.svg", draw().svg, overwrite=True)


def race_exit_code(done: Race) -> int:
    """Return 1 for a lost update or an inconsistent history, 130 for a race ended early, else 0."""
    if done.lost or not done.proof.sound:
        return FAILED
    return 0 if done.complete else INTERRUPTED


# --- serve ---

_SERVE_EXAMPLES: Final = """\
Example: spine-workbench serve --port 8080 --db spine.db
Example: spine-workbench serve --policy R4 --fault drop-answer:update:share=0.2
Example: spine-workbench serve --db postgresql://spine@db/spine --workers 4
Example: spine-workbench serve --host 0.0.0.0 --port 8443 --tls-cert spine.pem --tls-key spine.key

faults, KIND[:INTERACTION][:share=0.3][:times=1][:seconds=0.2]:
  latency refuse drop-request drop-answer slow-body cut-body"""


def _add_serve(commands: _Commands) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve the embedded Spine until Ctrl-C",
        description="Serve the embedded Spine until Ctrl-C or SIGTERM. "
        "The first line printed is its base URL; all other messages go to standard error. "
        "docs/endpoint.md has the details.",
        epilog=_SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    where.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    where.add_argument("--base-url", metavar="URL", help="its base URL as clients see it, behind a proxy")
    where.add_argument("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    where.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    where.add_argument("--client-ca", metavar="FILE", help="require a client certificate from this CA (PEM)")
    where.add_argument("--insecure", action="store_true", help="allow other machines without TLS")

    storage = parser.add_argument_group("what it stores")
    storage.add_argument(
        "--db",
        default=":memory:",
        metavar="WHERE",
        help="SQLite file, or postgresql://user@host/name (default: memory)",
    )
    storage.add_argument("--synchronous", default="NORMAL", help="for a file: NORMAL or FULL (default: %(default)s)")
    storage.add_argument("--reset", action="store_true", help="delete everything and load the examples again")

    behaviour = parser.add_argument_group("how it responds")
    behaviour.add_argument(
        "--policy", default="SPINE", help="SPINE, R4, OPTIONAL or UNPROTECTED (default: %(default)s)"
    )
    behaviour.add_argument("--strict", action="store_true", help="require the headers that a live Spine requires")
    behaviour.add_argument("--fault", action="append", default=[], metavar="FAULT", help="inject a fault; repeatable")
    behaviour.add_argument("--clock", metavar="INSTANT", help="start a fixed clock here; it adds one second a request")
    behaviour.add_argument(
        "--seed", metavar="TEXT", help="make version ids repeatable: the same seed gives the same ids"
    )

    service = parser.add_argument_group("as a service")
    service.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    service.add_argument("--log-format", default="text", help="text, json or none: a line a request (default: text)")
    service.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    from workbench.endpoint.process import SigtermHandler, stop_with_input
    from workbench.endpoint.process import serve as serve_endpoint
    from workbench.endpoint.settings import Serving, Settings

    sigterm = SigtermHandler()
    given = vars(options)
    settings = Settings(**_fields_of(Settings, given | {"faults": tuple(options.fault)}))
    serving = Serving(**_fields_of(Serving, given))
    on_start = stop_with_input if options.stop_with_stdin else None
    serve_endpoint(settings, serving, sigterm=sigterm, on_start=on_start)
    return 0


def _fields_of(record: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    return {field.name: given[field.name] for field in dataclasses.fields(record)}


# --- lab and app ---


def _add_lab(commands: _Commands) -> None:
    parser = commands.add_parser(
        "lab",
        help="open JupyterLab on the first notebook",
        description="Open JupyterLab on the first notebook. Everything after `--` is passed to JupyterLab unchanged.",
        epilog="Example: spine-workbench lab notebooks/02-two-practitioners.ipynb -- --no-browser",
    )
    parser.add_argument("notebook", nargs="?", default="notebooks/00-start-here.ipynb", help="default: %(default)s")
    parser.add_argument("rest", nargs="*", metavar="-- OPTIONS", help="options for JupyterLab")
    parser.set_defaults(run=_lab)


def _lab(options: argparse.Namespace) -> int:
    # JupyterLab refuses to run as root without this option. In a container, users often are root.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # The printed address leads to the notebook too, for a browser that cannot be opened from here.
    first = f"--LabApp.default_url=/lab/tree/{quote(Path(options.notebook).name)}"
    command = [sys.executable, "-m", "jupyterlab", options.notebook, *as_root, first, *options.rest]

    end_by_signal()
    return wait_for(subprocess.Popen(command))


def _add_app(commands: _Commands) -> None:
    parser = commands.add_parser(
        "app",
        help="serve the workbench as a web page, without any code",
        description="Serve a notebook as a web page on this machine, without its code, "
        "until Ctrl-C or SIGTERM. The first line printed is its address. "
        "The address holds a token, without which no page is shown. "
        "Up to 8 pages can be open at once, each with a kernel that ends with it.",
        epilog="Example: spine-workbench app --port 8866 --no-browser --dark",
    )
    parser.add_argument("notebook", nargs="?", help="default: notebooks/app.ipynb; with --present, present.ipynb there")
    parser.add_argument("--present", action="store_true", help="show the story to a room, in large type")
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--dark", action="store_true", help="use dark colours")
    parser.set_defaults(run=_app)


def _app(options: argparse.Namespace) -> int:
    end_by_signal()
    notebook = options.notebook or f"notebooks/{'present' if options.present else 'app'}.ipynb"
    return serve(notebook, port=options.port, dark=options.dark, browser=not options.no_browser)
