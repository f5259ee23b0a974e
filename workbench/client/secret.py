"""References to secrets, and the type that keeps a secret out of tracebacks.

A ``Reference`` (``env:NAME``, ``keyring:service/name`` or ``prompt``) can be shown, saved and sent to
another process. The secret is fetched when a request needs it. Only what was typed at a prompt is kept,
in this process. A secret is passed on as ``SecretText``, whose ``repr`` is blank.
"""

from __future__ import annotations

import functools
import getpass
import os
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, SupportsIndex, TypeVar

from workbench.errors import BadInput, needs

Secret = Callable[[], str]
"""A function that gives a secret: a ``Reference``, or one of the user's."""

FORMS: Final = "env:NAME, keyring:service/name or prompt"
"""How a reference is written."""

_FORM = re.compile(r"env:.+|keyring:.+/.+|prompt", re.DOTALL)

_typed: dict[tuple[str, str], SecretText] = {}
"""What was typed at prompts, by purpose and recipient."""

_prompt_lock = threading.RLock()


class SecretText(str):
    """A text whose ``repr`` is blank, so that tracebacks and debuggers do not show it.

    In all other ways it is the text itself.

    >>> {"Authorization": SecretText("Bearer abc")}
    {'Authorization': '***'}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: SupportsIndex | slice, /) -> SecretText:
        """Return a part, as ``SecretText``: a tool that shortens a long value would show its start."""
        return SecretText(super().__getitem__(key))


def conceal(value: Any) -> Any:
    """Return a text as ``SecretText``, also within a mapping or a list.

    Bytes become empty, because no setting takes bytes.
    """
    if isinstance(value, str):
        return SecretText(value)
    if isinstance(value, Mapping):
        return {name: conceal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [conceal(each) for each in value]
    return b"" if isinstance(value, bytes) else value


_Class = TypeVar("_Class", bound=type)


def conceal_arguments(cls: _Class) -> _Class:
    """Make a dataclass turn its text arguments into ``SecretText``.

    Otherwise a traceback from its generated ``__init__`` would show them.
    """
    generated = cls.__init__  # type: ignore[misc]

    @functools.wraps(generated)
    def conceal_and_assign(self: Any, /, *arguments: Any, **settings: Any) -> None:
        arguments, settings = tuple(conceal(list(arguments))), conceal(settings)
        generated(self, *arguments, **settings)

    cls.__init__ = conceal_and_assign  # type: ignore[misc]
    return cls


class Reference:
    """A reference to a secret. Calling it fetches the secret; its ``repr`` shows only the reference.

    A prompt asks once for each pair of ``about`` and ``recipient``. A prompt without ``about`` always
    asks for itself, so that a secret typed for one endpoint is never sent to another.

    >>> Reference("env:SPINE_TOKEN")
    Reference('env:SPINE_TOKEN')
    """

    __slots__ = ("_about", "_name", "_recipient", "_source")

    def __init__(self, text: str, about: str = "", *, recipient: str = "") -> None:
        """``about``: the purpose, for the prompt and error messages. ``recipient``: the base URL it is sent to.

        Raises ``BadInput`` for another form; the message does not show ``text``.
        """
        text = conceal(text)
        self._source = self._name = ""
        self._about, self._recipient = about, recipient or ("" if about else str(uuid.uuid4()))
        if not (isinstance(text, str) and _FORM.fullmatch(text)):
            what = f"What was given for {self.about} is not a reference"
            raise BadInput(f"{what}; write {FORMS}, never the secret itself.")
        self._source, _, self._name = str(text).partition(":")

    @property
    def about(self) -> str:
        """What the secret is for."""
        return self._about or "the secret"

    def named(self, about: str) -> Reference:
        """Return the same reference; give it this purpose if it has none."""
        if self._about:
            return self
        return Reference(str(self), about, recipient=self._recipient)

    def __call__(self) -> SecretText:
        """Return the secret; raise ``BadInput`` where it cannot be had."""
        if self._source == "env":
            value = SecretText(os.environ.get(self._name, ""))
            if not value:
                raise BadInput(f"The environment variable {self._name}, which {self.about} comes from, is not set.")
            return value
        if self._source == "keyring":
            return _from_keyring(self._name, self.about)
        with _prompt_lock:  # threads that need the same secret ask once
            if self._purpose not in _typed:
                _typed[self._purpose] = _asked(self.about)
            return _typed[self._purpose]

    def forget(self) -> None:
        """Forget what was typed, so that the user is asked again."""
        with _prompt_lock:
            _typed.pop(self._purpose, None)

    @property
    def _purpose(self) -> tuple[str, str]:
        return self._about, self._recipient

    def __str__(self) -> str:
        return f"{self._source}:{self._name}" if self._name else self._source

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return (str(self), self._purpose) == (str(other), other._purpose)

    def __hash__(self) -> int:
        return hash((str(self), self._purpose))


def _from_keyring(what: str, about: str) -> SecretText:
    with needs("live"):
        import keyring  # slow to import, and rarely needed
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
        raise BadInput(f"There is no terminal to ask for {about}; give it as env:NAME instead.") from None
    if not value:
        raise BadInput(f"Nothing was typed for {about}.")
    return value
