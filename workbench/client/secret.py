"""Secrets: where one is to be had, and the type in which one travels.

Owns the three places of a ``Reference``: ``env:NAME``, ``keyring:service/name`` and ``prompt``. A reference can be
shown, saved and sent to another process; the secret is fetched when a request needs it, and is kept nowhere but for
what was typed at a prompt, which stays in this process. A secret travels as ``SecretText``, whose ``repr`` is blank.
"""

from __future__ import annotations

import functools
import getpass
import os
import re
import threading
import uuid
from collections.abc import Mapping
from typing import Any, Final, SupportsIndex, TypeVar

from workbench.errors import BadInput

FORMS: Final = "env:NAME, keyring:service/name or prompt"
"""How a reference is written."""

_FORM = re.compile(r"env:.+|keyring:.+/.+|prompt", re.DOTALL)

_typed: dict[tuple[str, str], SecretText] = {}
"""What was typed at prompts, by purpose and recipient, until this process ends."""

_prompt = threading.RLock()


class SecretText(str):
    """A text whose ``repr`` is blank: in a traceback with its variables, in a debugger, in a dictionary.

    For everything else it is the text itself.

    >>> {"Authorization": SecretText("Bearer abc")}
    {'Authorization': '***'}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: SupportsIndex | slice, /) -> SecretText:
        """A part of it, as blank: what shortens long values shows their beginning."""
        return SecretText(super().__getitem__(key))


def conceal(value: Any) -> Any:
    """Return a text as ``SecretText``, also within a table or a list. Bytes, which no setting takes, are emptied."""
    if isinstance(value, str):
        return SecretText(value)
    if isinstance(value, Mapping):
        return {name: conceal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [conceal(each) for each in value]
    return b"" if isinstance(value, bytes) else value


_Class = TypeVar("_Class", bound=type)


def concealing(cls: _Class) -> _Class:
    """Make a dataclass conceal its arguments before anything else sees them.

    Else they are variables of the ``__init__`` that ``dataclass`` wrote, and a traceback from there shows them.
    """
    assign = cls.__init__  # type: ignore[misc]

    @functools.wraps(assign)
    def conceal_and_assign(self: Any, /, *arguments: Any, **settings: Any) -> None:
        arguments, settings = tuple(conceal(list(arguments))), conceal(settings)
        assign(self, *arguments, **settings)

    cls.__init__ = conceal_and_assign  # type: ignore[misc]
    return cls


class Reference:
    """Where a secret is to be had. Calling it fetches the secret; its ``repr`` shows only where from.

    A prompt asks once for each purpose: ``about`` and ``recipient`` together. A prompt without ``about`` is a purpose
    of its own, so that no answer is ever sent where another one was meant.

    >>> Reference("env:SPINE_TOKEN")
    Reference('env:SPINE_TOKEN')
    """

    __slots__ = ("_about", "_place", "_recipient", "_what")

    def __init__(self, text: str, about: str = "", *, recipient: str = "") -> None:
        """``about`` says what it is for, in the prompt and in errors; ``recipient`` is who gets it.

        Raises ``BadInput``, without ``text``.
        """
        text = conceal(text)
        self._place = self._what = ""
        self._about, self._recipient = about, recipient or ("" if about else str(uuid.uuid4()))
        if not (isinstance(text, str) and _FORM.fullmatch(text)):
            what = f"What was given for {self.about} is not a reference"
            raise BadInput(f"{what}; write {FORMS}, never the secret itself.")
        self._place, _, self._what = str(text).partition(":")

    @property
    def about(self) -> str:
        """What the secret is for."""
        return self._about or "the secret"

    def named(self, about: str) -> Reference:
        """Return the same reference, for this purpose if it did not name one."""
        if self._about:
            return self
        return Reference(str(self), about, recipient=self._recipient)

    def __call__(self) -> SecretText:
        """Fetch the secret; raises ``BadInput`` where it cannot be had."""
        if self._place == "env":
            value = conceal(os.environ.get(self._what))
            if not value:
                raise BadInput(f"The environment variable {self._what}, which {self.about} comes from, is not set.")
            return SecretText(value)
        return _from_keyring(self._what, self.about) if self._place == "keyring" else self._ask()

    def _ask(self) -> SecretText:
        with _prompt:  # threads that need the same secret wait for one answer
            if self._purpose not in _typed:
                _typed[self._purpose] = _asked(self.about)
            return _typed[self._purpose]

    def forget(self) -> None:
        """Forget what was typed, so that it is asked for again: it was mistyped, or is out of date."""
        with _prompt:
            _typed.pop(self._purpose, None)

    @property
    def _purpose(self) -> tuple[str, str]:
        return self._about, self._recipient

    def __str__(self) -> str:
        return f"{self._place}:{self._what}" if self._what else self._place

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return (str(self), self._purpose) == (str(other), other._purpose)

    def __hash__(self) -> int:
        return hash((str(self), self._purpose))


def _from_keyring(what: str, about: str) -> SecretText:
    import keyring  # only whoever keeps secrets there waits for it
    from keyring.errors import KeyringError

    service, _, name = what.rpartition("/")
    try:
        value = conceal(keyring.get_password(service, name))
    except KeyringError:
        raise BadInput(
            f"No keyring can be read here, which {about} comes from; unlock it, or write env:NAME instead."
        ) from None
    if not value:
        raise BadInput(f"The keyring has no {what}, which {about} comes from; store it: keyring set {service} {name}")
    return SecretText(value)


def _asked(about: str) -> SecretText:
    try:
        value = SecretText(getpass.getpass(f"{about[:1].upper()}{about[1:]}: "))
    except (EOFError, NotImplementedError):
        raise BadInput(f"Nobody can be asked for {about} here; give it as env:NAME instead.") from None
    if not value:
        raise BadInput(f"Nothing was typed for {about}.")
    return value
