"""The command line: ``python -m workbench`` and ``spine-workbench``.

Each command reads its arguments, calls the module that knows, and turns an error into one sentence on
standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from workbench.exceptions import WorkbenchError
from workbench.race_command import add_race


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(words[:end])
    options.rest = words[end + 1 :]
    try:
        return int(options.run(options))
    except WorkbenchError as error:
        print(f"spine-workbench: {error}", file=sys.stderr)
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
    add_race(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve the embedded Spine until Ctrl-C",
        description="Serve the embedded Spine until Ctrl-C or SIGTERM. The first line printed is its base URL.",
        epilog="Example: spine-workbench serve --port 8080 --db spine.db",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    serve.add_argument(
        "--db", default=":memory:", metavar="PATH", help="SQLite file to keep the resources in (default: memory)"
    )
    serve.add_argument("--policy", default="SPINE", help="SPINE, or UNPROTECTED: no lock at all (default: %(default)s)")
    serve.add_argument("--clock", metavar="INSTANT", help="a lesson's clock: start here, one second a request")
    serve.add_argument("--seed", metavar="TEXT", help="a lesson's ids: the same seed gives the same version ids")
    serve.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    from workbench.endpoint.server import Settings, serve

    settings = Settings(policy=options.policy, clock=options.clock, seed=options.seed, db=options.db)
    # SIGTERM before the server listens, or once it has stopped, is a clean end too.
    signal.signal(signal.SIGTERM, _leave)
    serve(settings, options.host, options.port, stop_with_stdin=options.stop_with_stdin)
    return 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


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
    command = [sys.executable, "-m", "jupyterlab", options.notebook, *as_root, *options.rest]
    return subprocess.run(command, check=False).returncode


def _add_app(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    app = commands.add_parser(
        "app",
        help="serve the workbench as a web page, without any code",
        description="Serve a notebook as a web page on this machine, without its code, until Ctrl-C or SIGTERM. "
        "The first line printed is its address.",
        epilog="Example: spine-workbench app --port 8866 --no-browser --dark",
    )
    app.add_argument("notebook", nargs="?", default="notebooks/app.ipynb", help="default: %(default)s")
    app.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    app.add_argument("--no-browser", action="store_true", help="only print the address")
    app.add_argument("--dark", action="store_true", help="in dark colours")
    app.set_defaults(run=_app)


def _app(options: argparse.Namespace) -> int:
    from workbench.voila import serve

    signal.signal(signal.SIGTERM, _leave)
    return serve(options.notebook, port=options.port, dark=options.dark, browser=not options.no_browser)
