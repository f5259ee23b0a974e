"""The command ``check``: every promise of the contract probed at an endpoint, reported in the terminal and as files.

Exit code 0: all that was tested is as it should be; 1: something deviates; 2: it could not be run.
130: Ctrl-C ended it; the report and its files are written all the same.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.client.client import Client
    from workbench.conformance.report import Finding, Report

_EXAMPLES: Final = """\
Example: spine-workbench check http://127.0.0.1:8080/STU3
Example: spine-workbench check http://127.0.0.1:8090/fhir --profile hapi --json now.json --against last.json
Example: spine-workbench check --connection integration --junit report.xml
Example: spine-workbench check https://fhir.example/STU3 --allow-writes --header 'Authorization: $TOKEN'
Example: spine-workbench check https://fhir.example/STU3 --allow-writes --consent --resource Flag/3f6a1c9e
"""


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="check which promises of the contract an endpoint keeps",
        description="Probe every promise of the contract at an endpoint. Each probe works on a resource that it "
        "creates and deletes again. Exit code 0: all as it should be; 1: something deviates; 2: it could not be run; "
        "130: Ctrl-C ended it, and the report says what was done until then.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "base_url", nargs="?", metavar="BASE_URL", help="the endpoint, such as http://127.0.0.1:8080/STU3"
    )
    parser.add_argument("--connection", metavar="NAME", help="one of your profiles, in the place of BASE_URL")
    parser.add_argument("--profiles", metavar="FILE", help="the file of those profiles (default: your own)")
    parser.add_argument("--resource", metavar="TYPE/ID", help="work on this one resource, where none may be created")
    parser.add_argument(
        "--consent", action="store_true", help="that resource may be changed; it is put back at the end"
    )
    parser.add_argument("--allow-writes", action="store_true", help="write to a host that is not this machine")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="send this with every request; repeat it"
    )
    parser.add_argument("--ca", metavar="FILE", help="trust this CA for HTTPS (PEM)")
    parser.add_argument("--cert", metavar="FILE", help="present this client certificate (PEM)")
    parser.add_argument("--key", metavar="FILE", help="its key, where that is a file of its own (PEM, not encrypted)")
    parser.add_argument("--profile", metavar="NAME", help="compare with a known server: spine, r4, hapi, …")
    parser.add_argument(
        "--side-by-side", type=int, default=8, metavar="N", help="probes at once (default: %(default)s)"
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML, for a build server")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write one page with all the evidence")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything as JSON, for --against")
    parser.add_argument("--against", metavar="FILE", type=Path, help="say what changed since that JSON report")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from workbench.conformance.report import Report, console_for, print_report, to_html, to_json, to_junit
    from workbench.journal.files import check_writable, write_private

    before = Report.load(options.against) if options.against else None
    writers = [(options.junit, to_junit), (options.html, to_html), (options.json, to_json)]
    for path, _ in writers:
        if path is not None and not path.parent.is_dir():
            raise BadInput(f"There is no folder {path.parent} to write {path.name} to.")
        if path is not None:
            check_writable(path, overwrite=True)  # a flag that names a file asks for that file
    report = _run(options)
    print_report(report, console_for(sys.stdout), since=report.changes_since(before) if before else None)
    for path, writer in writers:
        if path is not None:
            write_private(path, writer(report), overwrite=True)
    return report.exit_code


def _run(options: argparse.Namespace) -> Report:
    from workbench.conformance.report import console_for, progress_on
    from workbench.conformance.run import check

    with progress_on(console_for(sys.stderr)) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, finding: Finding) -> None:
            bar.update(task, completed=done, total=total, description=f"{finding.promise} {finding.probe}")

        return check(
            _client(options),
            resource=options.resource,
            consent=options.consent,
            profile=options.profile,
            side_by_side=options.side_by_side,
            progress=progress,
        )


def _client(options: argparse.Namespace) -> Client:
    from workbench.client.client import Client
    from workbench.client.connection import Connection
    from workbench.client.profiles import connect

    if options.connection is not None:
        if options.base_url or options.allow_writes or options.header or options.ca or options.cert or options.key:
            raise BadInput("A profile says all about its connection; give --connection without another address or key.")
        return connect(options.connection, name="check", profiles=options.profiles)
    if options.base_url is None:
        raise BadInput("Which endpoint? Give its base URL, or --connection and the name of a profile.")
    if "://" not in options.base_url:
        raise BadInput(
            f"{options.base_url!r} is not a base URL; one looks like http://127.0.0.1:8080/STU3. "
            "For a profile of that name give --connection."
        )
    if options.key and not options.cert:
        raise BadInput("A key alone identifies nobody; give --cert its certificate too.")
    connection = Connection(
        headers=dict(map(_header, options.header)),
        allow_writes=options.allow_writes,
        verify=options.ca or True,
        cert=(options.cert, options.key) if options.key else options.cert,
    )
    return Client(options.base_url, name="check", connection=connection)


def _header(text: str) -> tuple[str, str]:
    """``Name: value``; the value ``$NAME`` is taken from the environment, so that no list of processes shows it."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise BadInput("A header is written 'Name: value'.")
    value = value.strip()
    if found := re.fullmatch(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?", value):
        value = os.environ.get(found[1], "")
        if not value:
            raise BadInput(f"There is no {found[1]} in the environment for the header {name.strip()}.")
    return name.strip(), value
