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
import textwrap
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

from workbench import __version__
from workbench.app import MOST_PAGES, end_by_signal, serve, wait_for
from workbench.errors import BadInput, WorkbenchError, needs
from workbench.fhir.printable import printable
from workbench.races.strategy import STRATEGIES

if TYPE_CHECKING:
    from workbench.client.client import Client
    from workbench.conformance.finding import Finding
    from workbench.conformance.report import Report
    from workbench.races.results import Race

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


FAILED: Final = 1
NOT_RUN: Final = 2
INTERRUPTED: Final = 130

_LESSONS: Final = "spine-workbench-lessons"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    options = _parser().parse_args(given[:end])
    options.rest = given[end + 1 :]

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
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_classroom(commands)
    _add_lab(commands)
    _add_app(commands)
    _add_connect(commands)
    _add_check(commands)
    _add_race(commands)
    _add_completion(commands)
    return parser


def _add_command(
    commands: _Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Add a command that calls ``run``. The lines of its epilog, the examples, are shown as they are."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, 78),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


# --- from a URL or a profile to a client: connect, check and race ---


def _add_endpoint_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name an endpoint and say how to connect to it; ``_client`` reads them."""
    where = parser.add_argument_group("the endpoint")
    where.add_argument(
        "where",
        nargs="?",
        metavar="URL|PROFILE",
        help="a base URL such as http://127.0.0.1:8080/STU3, or the name of a profile",
    )
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
    where.add_argument("--allow-writes", action="store_true", help="allow writes to a host that is not this machine")


def _client(options: argparse.Namespace, name: str) -> Client:
    """Return a client of the endpoint that the options name."""
    from workbench.client.profiles import connect

    profile = options.connection
    if profile and options.where:
        raise BadInput(f"Both {options.where} and --connection name an endpoint; give one of them.")
    where = profile or options.where
    if not where:
        raise BadInput("Which endpoint? Give its base URL, or the name of a profile.")

    if profile or "://" not in where:
        settings = ("header", "ca", "cert", "key", "allow_writes")
        if flags := [f"--{each.replace('_', '-')}" for each in settings if getattr(options, each)]:
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
        allow_writes=options.allow_writes,
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
    parser = _add_command(
        commands,
        "connect",
        _connect,
        summary="try the connection to an endpoint",
        description="Read an endpoint's CapabilityStatement, and say what works or which step failed. "
        "Exit code 0: it works; 1: it does not work; 2: it could not be tried.",
        epilog="Example: spine-workbench connect integration",
    )
    _add_endpoint_options(parser)


def _connect(options: argparse.Namespace) -> int:
    from workbench.client.profiles import try_connection

    result = try_connection(_client(options, "me"))
    say(result.words if result.ok else f"Failed at: {result.failed_at}. {result.words}")
    return 0 if result.ok else FAILED


# --- check ---

_CHECK_EXAMPLES: Final = """\
Example: spine-workbench check http://127.0.0.1:8080/STU3
Example: spine-workbench check http://127.0.0.1:8090/fhir --profile hapi --json now.json --against last.json
Example: spine-workbench check --connection integration --junit report.xml
Example: spine-workbench check http://127.0.0.1:8080/STU3 --explore --seed 7 --steps 5000
Example: spine-workbench check https://fhir.example/STU3 --allow-writes --header 'Authorization: $TOKEN'
Example: spine-workbench check https://fhir.example/STU3 --allow-writes --consent --resource Flag/3f6a1c9e
"""


def _add_check(commands: _Commands) -> None:
    parser = _add_command(
        commands,
        "check",
        _check,
        summary="check which promises of the contract an endpoint keeps",
        description="Probe every promise of the contract at an endpoint. "
        "Each probe creates a resource and deletes it again. "
        "Exit code 0: all as it should be; 1: something deviates; 2: it could not be run; "
        "130: Ctrl-C ended it, and the report holds the probes that were done.",
        epilog=_CHECK_EXAMPLES,
    )
    _add_endpoint_options(parser)

    scope = parser.add_argument_group("what is checked")
    scope.add_argument("--resource", metavar="TYPE/ID", help="use this one resource, if none may be created")
    scope.add_argument(
        "--consent",
        action="store_true",
        help="allow changes to that resource; its content is restored at the end",
    )
    scope.add_argument("--profile", metavar="NAME", help="compare with a known server: spine, r4, hapi, …")
    scope.add_argument("--side-by-side", type=int, default=8, metavar="N", help="probes at once (default: %(default)s)")

    exploring = parser.add_argument_group("random sequences")
    exploring.add_argument("--explore", action="store_true", help="also compare random sequences with a model")
    exploring.add_argument("--seed", type=int, default=0, metavar="N", help="which sequences (default: %(default)s)")
    exploring.add_argument("--steps", type=int, default=1000, metavar="N", help="how many (default: %(default)s)")
    exploring.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="RULE",
        help="leave out a rule or a promise, such as UPD-8; repeatable",
    )

    files = parser.add_argument_group("the report as files")
    files.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML, for a build server")
    files.add_argument("--html", metavar="FILE", type=Path, help="write one page with all the evidence")
    files.add_argument("--json", metavar="FILE", type=Path, help="write JSON, for --against")
    files.add_argument("--against", metavar="FILE", type=Path, help="list the changes since that JSON report")


def _check(options: argparse.Namespace) -> int:
    from workbench.conformance.report import Report, console_for, print_report, to_html, to_json, to_junit
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
    from workbench.conformance.explore import check_installed, explore
    from workbench.conformance.report import console_for, progress_on
    from workbench.conformance.run import check

    if options.explore:
        check_installed()  # before the probes, which take a while

    with progress_on(console_for(sys.stderr)) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, finding: Finding) -> None:
            description = f"{finding.promise} {finding.probe}"
            bar.update(task, completed=done, total=total, description=description)

        client = _client(options, "check")
        about = {"resource": options.resource, "consent": options.consent, "profile": options.profile}
        report = check(client, **about, side_by_side=options.side_by_side, progress=progress)
        if not options.explore or report.interrupted:
            return report

        def explored(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="exploring")

        exploration = explore(
            client, **about, seed=options.seed, steps=options.steps, without=options.without, progress=explored
        )
        return dataclasses.replace(report, exploration=exploration)


# --- race ---

_RACE_EXAMPLES: Final = """\
Example: spine-workbench race --clients 8 --updates 25 --strategy merge --thinking 0.05
Example: spine-workbench race http://127.0.0.1:8080/STU3 --clients 16 --processes 4
Example: spine-workbench race --connection integration --clients 2
"""


def _add_race(commands: _Commands) -> None:
    parser = _add_command(
        commands,
        "race",
        _race,
        summary="let several clients update the same resource at once",
        description="Let several clients update the same List at once, and count accepted, refused "
        "and lost updates. Without a URL or profile it starts an embedded endpoint. "
        "At the end it checks that a correct endpoint could have given these responses. "
        "Exit code 0: consistent and nothing lost; 1: inconsistent, or an accepted update was lost; "
        "2: it could not be run; 130: Ctrl-C ended it.",
        epilog=_RACE_EXAMPLES,
    )
    _add_endpoint_options(parser)
    parser.add_argument(
        "--policy",
        default="SPINE",
        help="of the embedded endpoint: SPINE, UNPROTECTED, … (default: %(default)s)",
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


def _race(options: argparse.Namespace) -> int:
    with needs("races"):
        import pandas  # noqa: F401  # the result needs it: imported here, so that Ctrl-C ends quickly

    from workbench.endpoint.endpoint import Endpoint
    from workbench.journal.export import check_writable, write_private
    from workbench.races.race import race

    if options.journal:
        check_writable(Path(options.journal), overwrite=True)  # the option allows overwriting

    named = options.where or options.connection
    endpoint = nullcontext(_client(options, "race")) if named else Endpoint.start(policy=options.policy)
    with endpoint as where:
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
        folder = Path(options.charts)
        folder.mkdir(parents=True, exist_ok=True)
        charts = {"tries": done.tries_chart, "latency": done.latency_chart, "chain": done.chain_chart}
        for name, draw in charts.items():
            write_private(folder / f"{name}.svg", draw().svg, overwrite=True)
    return race_exit_code(done)


def race_exit_code(done: Race) -> int:
    """Return 1 for a lost update or a history not proved consistent, 130 for a race ended early, else 0."""
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
    parser = _add_command(
        commands,
        "serve",
        _serve,
        summary="serve the embedded Spine until Ctrl-C",
        description="Serve the embedded Spine until Ctrl-C or SIGTERM. "
        "The first line printed is its base URL; all other messages go to standard error. "
        "docs/endpoint.md has the details.",
        epilog=_SERVE_EXAMPLES,
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
        "--policy", default="SPINE", help="SPINE, R4, NHS_GATEWAY, OPTIONAL or UNPROTECTED (default: %(default)s)"
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


def _serve(options: argparse.Namespace) -> int:
    from workbench.endpoint.process import serve as serve_endpoint
    from workbench.endpoint.process import stop_with_input
    from workbench.endpoint.settings import Serving, Settings

    end_by_signal()
    given = vars(options)
    settings = Settings(**_fields_of(Settings, given | {"faults": tuple(options.fault)}))
    serving = Serving(**_fields_of(Serving, given))
    serve_endpoint(settings, serving, with_server=stop_with_input if options.stop_with_stdin else None)
    return 0


def _fields_of(record: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    return {field.name: given[field.name] for field in dataclasses.fields(record)}


# --- classroom ---

_CLASSROOM_EXAMPLES: Final = """\
Example: spine-workbench classroom
Example: spine-workbench classroom --host 192.168.1.20 --port 8000 --insecure
Example: spine-workbench classroom --host class.example --tls-cert class.pem --tls-key class.key --minutes 30
"""


def _add_classroom(commands: _Commands) -> None:
    parser = _add_command(
        commands,
        "classroom",
        _classroom,
        summary="let a room of phones add entries to one List",
        description="Serve one page on which each phone in a room adds entries to the same List. "
        "The first line printed is the presenter's address, which switches the lock off and on. "
        "The second is the address for the phones, with the code that admits them. "
        "Nothing is stored. docs/classroom.md has the details.",
        epilog=_CLASSROOM_EXAMPLES,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address that the phones open (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    parser.add_argument("--insecure", action="store_true", help="allow other machines of a private network without TLS")
    parser.add_argument("--minutes", type=float, default=60, help="how long it lasts (default: %(default)s)")
    parser.add_argument("--people", type=int, default=200, help="how many phones can join (default: %(default)s)")


def _classroom(options: argparse.Namespace) -> int:
    from workbench.classroom import hold
    from workbench.endpoint.settings import Serving

    end_by_signal()
    serving = Serving(
        host=options.host,
        port=options.port,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        insecure=options.insecure,
    )
    hold(serving, minutes=options.minutes, people=options.people)
    return 0


# --- lab and app: the lessons ---


def _add_lab(commands: _Commands) -> None:
    parser = _add_command(
        commands,
        "lab",
        _lab,
        summary="open JupyterLab on the first notebook",
        description="Open JupyterLab on the first notebook. Everything after `--` is passed to JupyterLab unchanged.",
        epilog="Example: spine-workbench lab notebooks/02-two-practitioners.ipynb -- --no-browser\n"
        "Example: spine-workbench lab --lessons my-lessons",
    )
    _add_notebook(parser, default="00-start-here.ipynb")
    parser.add_argument("rest", nargs="*", metavar="-- OPTIONS", help="options for JupyterLab")


def _add_notebook(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument("notebook", nargs="?", help=f"default: {default}, the one in ./notebooks or in --lessons")
    parser.add_argument(
        "--lessons",
        metavar="FOLDER",
        type=Path,
        help="copy the lessons into this folder, and open the notebook there; files that exist are kept "
        f"(default: {_LESSONS}, unless there is a folder notebooks here)",
    )
    parser.set_defaults(first=default)


def _notebook(options: argparse.Namespace) -> str:
    """Return the path of the notebook to open. Copy the lessons first, if it is one of them and none are here."""
    if options.lessons is None and options.notebook:
        return str(options.notebook)
    if options.lessons is None and (checkout := Path("notebooks", options.first)).is_file():
        return str(checkout)

    folder = options.lessons or Path(_LESSONS)
    copy_lessons(folder)
    return str(folder / (options.notebook or options.first))


def copy_lessons(folder: Path) -> None:
    """Copy the notebooks of this package into a folder. Files that exist are kept, and named if they differ."""
    installed = Path(__file__).with_name("lessons")
    source = installed if installed.is_dir() else Path(__file__).parents[1] / "notebooks"
    changed = []
    try:
        for pattern in ("*.ipynb", "templates/*.ipynb", "templates/*.json"):  # as in hatch_build.py
            for lesson in sorted(source.glob(pattern)):
                target = folder / lesson.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with target.open("xb") as file:
                        file.write(lesson.read_bytes())
                except FileExistsError:
                    if target.read_bytes() != lesson.read_bytes():
                        changed.append(str(target.relative_to(folder)))
    except OSError as error:
        raise BadInput(f"The lessons cannot be copied to {folder}: {error.strerror}. Name another folder.") from error
    if changed:
        say(f"Kept as they are in {folder}: {', '.join(changed)}. Delete a file to get the lesson anew.", sys.stderr)


def _lab(options: argparse.Namespace) -> int:
    with needs("lab"):
        metadata.distribution("jupyterlab")
    notebook = _notebook(options)
    # JupyterLab refuses to run as root without this option. In a container, users often are root.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # The printed address leads to the notebook too, for a browser that cannot be opened from here.
    first = f"--LabApp.default_url=/lab/tree/{quote(Path(notebook).name)}"
    command = [sys.executable, "-m", "jupyterlab", notebook, *as_root, first, *options.rest]

    end_by_signal()
    return wait_for(subprocess.Popen(command))


def _add_app(commands: _Commands) -> None:
    parser = _add_command(
        commands,
        "app",
        _app,
        summary="serve the workbench as a web page, without any code",
        description="Serve a notebook as a web page on this machine, without its code, "
        "until Ctrl-C or SIGTERM. The first line printed is its address. "
        "The address holds a token, without which no page is shown. "
        f"Up to {MOST_PAGES} pages can be open at once, each with a kernel that ends with it.",
        epilog="Example: spine-workbench app --port 8866 --no-browser --dark",
    )
    _add_notebook(parser, default="app.ipynb")
    parser.add_argument(
        "--present",
        dest="first",
        action="store_const",
        const="present.ipynb",
        help="show the story to a room, in large type",
    )
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--dark", action="store_true", help="use dark colours")


def _app(options: argparse.Namespace) -> int:
    with needs("lab"):
        metadata.distribution("voila")
    end_by_signal()
    return serve(_notebook(options), port=options.port, dark=options.dark, browser=not options.no_browser)


# --- completion ---


def _add_completion(commands: _Commands) -> None:
    parser = _add_command(
        commands,
        "completion",
        _completion,
        summary="print a script that completes commands and options in your shell",
        description="Print a script that completes the commands and options of spine-workbench in your shell.",
        epilog="Example: spine-workbench completion bash\n\n"
        'For bash, add this line to ~/.bashrc: eval "$(spine-workbench completion bash)"',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="your shell")


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(_parser(), shell=options.shell))
    return 0
