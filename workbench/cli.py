"""The command line: ``python -m workbench`` and ``spine-workbench``.

Each command reads its arguments, calls the module that knows, and turns an error into one sentence on
standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from workbench.check_command import add_check
from workbench.errors import WorkbenchError
from workbench.output import say
from workbench.race_command import add_race
from workbench.supervise import end_by_signal, wait_for


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(words[:end])
    options.rest = words[end + 1 :]
    try:
        return int(options.run(options))
    except WorkbenchError as error:
        say(f"spine-workbench: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spine-workbench",
        description="Load a FHIR resource, edit it, PUT it with If-Match, and see what became of it.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_lab(commands)
    _add_app(commands)
    _add_connect(commands)
    add_check(commands)
    add_race(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve the embedded Spine until Ctrl-C",
        description="Serve the embedded Spine until Ctrl-C or SIGTERM. The first line printed is its base URL; "
        "what else there is to say goes to standard error. docs/endpoint.md tells the rest.",
        epilog=_SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = serve.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    where.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    where.add_argument("--base-url", metavar="URL", help="what it calls itself, where a proxy stands before it")
    where.add_argument("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    where.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    where.add_argument("--client-ca", metavar="FILE", help="take only clients with a certificate of this CA (PEM)")
    where.add_argument("--insecure", action="store_true", help="allow other machines without TLS")
    kept = serve.add_argument_group("what it keeps")
    kept.add_argument(
        "--db",
        default=":memory:",
        metavar="WHERE",
        help="SQLite file, or postgresql://user@host/name (default: memory)",
    )
    kept.add_argument("--synchronous", default="NORMAL", help="NORMAL or FULL, for a file (default: %(default)s)")
    kept.add_argument("--reset", action="store_true", help="begin with the stories as they are told, forget all else")
    answers = serve.add_argument_group("what it answers")
    answers.add_argument("--policy", default="SPINE", help="SPINE, R4, OPTIONAL or UNPROTECTED (default: %(default)s)")
    answers.add_argument("--strict", action="store_true", help="demand the headers that a live Spine demands")
    answers.add_argument(
        "--fault", action="append", default=[], metavar="FAULT", help="let something go wrong; repeatable"
    )
    answers.add_argument("--clock", metavar="INSTANT", help="a lesson's clock: start here, one second a request")
    answers.add_argument("--seed", metavar="TEXT", help="a lesson's ids: the same seed gives the same version ids")
    service = serve.add_argument_group("as a service")
    service.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    service.add_argument("--log-format", default="text", help="text, json or none: a line a request (default: text)")
    service.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    serve.set_defaults(run=_serve)


_SERVE_EXAMPLES = """Example: spine-workbench serve --port 8080 --db spine.db
Example: spine-workbench serve --policy R4 --fault drop-answer:update:share=0.2
Example: spine-workbench serve --db postgresql://spine@db/spine --workers 4
Example: spine-workbench serve --host 0.0.0.0 --port 8443 --tls-cert spine.pem --tls-key spine.key

faults, KIND[:INTERACTION][:share=0.3][:times=1][:seconds=0.2]:
  latency refuse drop-request drop-answer slow-body cut-body"""


def _serve(options: argparse.Namespace) -> int:
    from workbench.endpoint.process import SigtermHandler, serve, stop_with_input
    from workbench.endpoint.settings import Serving, Settings

    sigterm = SigtermHandler()
    given = vars(options)
    settings = Settings(**_picked(Settings, given | {"faults": tuple(options.fault)}))
    serving = Serving(**_picked(Serving, given))
    serve(settings, serving, sigterm=sigterm, on_start=stop_with_input if options.stop_with_stdin else None)
    return 0


def _picked(record: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    return {field.name: given[field.name] for field in dataclasses.fields(record)}


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _add_connect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    connect = commands.add_parser(
        "connect",
        help="try the connection to an endpoint",
        description="Read an endpoint's CapabilityStatement, and say in words what works or which step failed. "
        "Exit code 0: it works; 1: it does not; 2: it could not be tried.",
        epilog="Example: spine-workbench connect integration",
    )
    connect.add_argument("where", metavar="PROFILE|URL", help="a profile's name, or a base URL")
    connect.add_argument("--profiles", metavar="FILE", help="the file of profiles (default: your own)")
    connect.set_defaults(run=_connect)


def _connect(options: argparse.Namespace) -> int:
    from workbench.client.profiles import connect
    from workbench.client.trial import try_connection

    trial = try_connection(connect(options.where, profiles=options.profiles))
    say(trial.words if trial.ok else f"Failed at: {trial.failed_at}. {trial.words}")
    return 0 if trial.ok else 1


def _add_lab(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    lab = commands.add_parser(
        "lab",
        help="open JupyterLab on the first notebook",
        description="Open JupyterLab on the first notebook; what follows `--` goes to JupyterLab as it is.",
        epilog="Example: spine-workbench lab notebooks/02-two-practitioners.ipynb -- --no-browser",
    )
    lab.add_argument("notebook", nargs="?", default="notebooks/00-start-here.ipynb", help="default: %(default)s")
    lab.add_argument("rest", nargs="*", metavar="-- OPTIONS", help="options for JupyterLab")
    lab.set_defaults(run=_lab)


def _lab(options: argparse.Namespace) -> int:
    # In a container people are root, and JupyterLab would only tell them to say that they know.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # The address that is printed leads to the notebook too: not everybody's browser can be opened from here.
    first = f"--LabApp.default_url=/lab/tree/{quote(Path(options.notebook).name)}"
    command = [sys.executable, "-m", "jupyterlab", options.notebook, *as_root, first, *options.rest]
    end_by_signal()
    return wait_for(subprocess.Popen(command))


def _add_app(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    app = commands.add_parser(
        "app",
        help="serve the workbench as a web page, without any code",
        description="Serve a notebook as a web page on this machine, without its code, until Ctrl-C or SIGTERM. "
        "The first line printed is its address; the token in it lets nobody else in. "
        "Up to 8 pages can be open at once, each with a kernel that ends with it.",
        epilog="Example: spine-workbench app --port 8866 --no-browser --dark",
    )
    app.add_argument("notebook", nargs="?", default="notebooks/app.ipynb", help="default: %(default)s")
    app.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    app.add_argument("--no-browser", action="store_true", help="only print the address")
    app.add_argument("--dark", action="store_true", help="in dark colours")
    app.set_defaults(run=_app)


def _app(options: argparse.Namespace) -> int:
    from workbench.app import serve

    end_by_signal()
    return serve(options.notebook, port=options.port, dark=options.dark, browser=not options.no_browser)
