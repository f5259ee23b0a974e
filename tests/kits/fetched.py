"""Programs of others that tests run, had from a package registry once and kept outside the checkout.

Owns: where they are kept (``WORKBENCH_SERVERS_CACHE``, else the user's cache), when they are fetched, and the one
word said where they cannot be had. Knows no registry's address: each is asked by its own tool, as that is set up.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

_OUT_OF_REACH = re.compile(
    r"Could not transfer|Unknown host|UnknownHostException|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN"
    r"|Could not resolve host|spurious network error|failed to download|Couldn't connect|NewConnectionError",
)
"""What Maven, npm, cargo and pip say when there is no way to their registry."""


class Unavailable(Exception):
    """A program cannot be had here; the message says why, for whoever reads the skipped test."""


def cache() -> Path:
    """The folder that holds what was fetched."""
    named = os.environ.get("WORKBENCH_SERVERS_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("spine-workbench")) / "servers"


def is_asked_for(name: str) -> bool:
    """Whether ``WORKBENCH_SERVERS`` names it: ``all``, or names with commas between."""
    asked = os.environ.get("WORKBENCH_SERVERS", "").replace(" ", "").split(",")
    return "all" in asked or name in asked


def program(name: str) -> str:
    """The path of a program that has to be on this machine."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


def fetched(
    name: str,
    commands: Callable[[Path], Sequence[Sequence[str]]],
    *,
    minutes: int = 5,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """The folder of this name in the cache; made by ``commands`` when it is not there, or was not finished."""
    folder = cache() / name
    finished = folder / "finished"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for command in commands(folder):
            _run(command, folder, minutes * 60, {**os.environ, **(environment or {})})
        finished.touch()
    return folder


def is_fetched(name: str) -> bool:
    """Whether it need not be fetched any more."""
    return (cache() / name / "finished").exists()


def _run(command: Sequence[str], folder: Path, seconds: float, environment: Mapping[str, str]) -> None:
    tool = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{tool} did not finish within {seconds / 60:.0f} minutes") from None
    if done.returncode and _OUT_OF_REACH.search(done.stdout):
        raise Unavailable(f"the registry of {tool} cannot be reached")
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-4000:]}"


@contextmanager
def skipped_where_unavailable(name: str) -> Iterator[None]:
    """Turn ``Unavailable`` into a skip with its word, or into a failure where this very program was asked for."""
    try:
        yield
    except Unavailable as reason:
        sentence = f"no {name}: {reason}"
    else:
        return
    if is_asked_for(name):
        pytest.fail(sentence)
    pytest.skip(sentence)
