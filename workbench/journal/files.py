"""Files that this package writes and reads: whole, for their owner alone, and never another than was asked about.

Owns: the one way to write a file (mode 0600, never through a symbolic link, never over an existing file unless that
was asked for) and the bound on what is read. Must not know what stands in them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from workbench.errors import BadInput

MOST_BYTES: Final = 256 * 2**20
"""How much is read of one file that is read whole, and of one line of a file that is read by lines."""

_PRIVATE: Final = 0o600


def write_private(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text to a file; see ``open_private``."""
    with open_private(path, overwrite=overwrite) as file:
        file.write(text)


@contextmanager
def open_private(path: str | Path, *, overwrite: bool = False, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a file to write text to: readable by its owner only, and there only once it is whole.

    Raises ``BadInput`` where a file exists and ``overwrite`` is false, for a symbolic link or a device, and for a
    place that cannot be written to. What existed stays as it was until the new file is complete.
    """
    path = Path(path)
    check_writable(path, overwrite=overwrite)
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.", suffix=".part")  # 0600, new
    except OSError as error:
        raise _unwritable(path, error) from None
    unfinished = Path(name)
    try:
        with os.fdopen(number, "w", encoding=encoding, newline="") as file:
            yield file
        if not overwrite:
            create_private(path)  # so that of two writers at once only one gets the name
        unfinished.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raise ``BadInput`` where ``path`` is taken by something that must not be written over."""
    if path.is_symlink():
        raise BadInput(f"{path} is a symbolic link, which is never written through; choose another name.")
    if not path.exists():
        return
    if not path.is_file():
        raise BadInput(f"{path} is not a file; choose another name.")
    if not overwrite:
        raise BadInput(f"{path} exists already; choose another name, or give overwrite=True to replace it.")


def create_private(path: Path) -> None:
    """Create an empty file; raises ``BadInput`` where one exists by now, or none can be created."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(path, flags, _PRIVATE))
    except FileExistsError:
        raise BadInput(f"{path} exists already; choose another name.") from None
    except OSError as error:
        raise _unwritable(path, error) from None


def read_bounded(path: str | Path) -> bytes:
    """Read a whole file; raises ``OSError`` where that cannot be, and ``BadInput`` for a device or one too large."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is not a file.")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise BadInput(f"{path} is larger than {MOST_BYTES // 2**20} MiB, so it is not read.")
    return content


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be written: {error.strerror or error}.")
