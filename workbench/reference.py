"""A secret by reference: where it is to be had, never what it is.

Owns the three places: ``env:NAME``, ``keyring:service/name`` and ``prompt``. A reference can be shown, saved
and sent to another process; the secret is fetched when a request needs it, and is kept nowhere but for what a
prompt was told, which stays in this process.
"""

from __future__ import annotations

import getpass
import os
from typing import Final

from workbench.exceptions import BadInput

FORMS: Final = "env:NAME, keyring:service/name or prompt"
"""How a reference is written."""

_told: dict[str, str] = {}
"""What was typed at a prompt, by what was asked for, until this process ends."""


class Reference:
    """Where a secret is to be had. Calling it fetches the secret; its ``repr`` shows only where from.

    >>> Reference("env:SPINE_TOKEN")
    Reference('env:SPINE_TOKEN')
    """

    __slots__ = ("_place", "_what", "about")

    def __init__(self, text: str, about: str = "the secret") -> None:
        """``about`` says what it is for, in the prompt and in errors. Raises ``BadInput``, without ``text``."""
        place, _, what = text.partition(":") if isinstance(text, str) else ("", "", "")
        service, _, name = what.rpartition("/")
        read = {"env": bool(what), "keyring": bool(service and name), "prompt": text == "prompt"}
        if not read.get(place):
            raise BadInput(f"What was given for {about} is not a reference; write {FORMS}, never the secret itself.")
        self._place, self._what, self.about = place, what, about

    def __call__(self) -> str:
        """The secret; raises ``BadInput`` where it cannot be had."""
        if self._place == "env":
            value = os.environ.get(self._what)
            if not value:
                raise BadInput(f"The environment variable {self._what}, which {self.about} comes from, is not set.")
            return value
        return _from_keyring(self._what, self.about) if self._place == "keyring" else _asked(self.about)

    def __str__(self) -> str:
        return f"{self._place}:{self._what}" if self._what else self._place

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return (str(self), self.about) == (str(other), other.about) if isinstance(other, Reference) else NotImplemented

    def __hash__(self) -> int:
        return hash((str(self), self.about))


def _from_keyring(what: str, about: str) -> str:
    import keyring  # only whoever keeps secrets there waits for it
    from keyring.errors import KeyringError

    service, _, name = what.rpartition("/")
    try:
        value = keyring.get_password(service, name)
    except KeyringError:
        raise BadInput(
            f"No keyring can be read here, which {about} comes from; unlock it, or write env:NAME instead."
        ) from None
    if not value:
        raise BadInput(f"The keyring has no {what}, which {about} comes from; store it: keyring set {service} {name}")
    return value


def _asked(about: str) -> str:
    if about not in _told:
        try:
            value = getpass.getpass(f"{about[:1].upper()}{about[1:]}: ")
        except (EOFError, NotImplementedError):
            raise BadInput(f"Nobody can be asked for {about} here; give it as env:NAME instead.") from None
        if not value:
            raise BadInput(f"Nothing was typed for {about}.")
        _told[about] = value
    return _told[about]
