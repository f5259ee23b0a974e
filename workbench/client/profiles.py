"""Endpoints by name: profiles in a TOML file, ``connect`` and ``try_connection``.

A profile holds references to secrets (``env:NAME``, ``keyring:service/name``, ``prompt``), never secrets.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from workbench.client.client import Client
from workbench.client.connection import Connection, check_base_url
from workbench.client.identity import FreshId, SpineIdentity, platform_identity
from workbench.client.secret import FORMS, Reference, Secret, conceal
from workbench.client.transport import Failure, Stage
from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.fhir.printable import printable
from workbench.journal.journal import Journal
from workbench.journal.secrets import is_secret

FILE: Final = "profiles.toml"


@dataclass(frozen=True, slots=True)
class Profile:
    """An endpoint under a name: its base URL and how to reach it."""

    name: str
    base_url: str
    connection: Connection


def connect(
    where: str,
    *,
    name: str = "me",
    journal: Journal | None = None,
    profiles: str | Path | None = None,
    **settings: Any,
) -> Client:
    """Return a client of your own endpoint; nothing is sent yet.

    ``where`` is the name of a profile in ``profiles`` (by default ``profiles_path()``), or a base
    URL with the ``settings`` of ``Connection``: ``connect("https://…/STU3", allow_writes=True)``.
    A profile takes no settings, so that the file alone says where writes are allowed. ``name`` is
    the client's.

    Raises ``BadInput`` for a profile that is missing or cannot be used, and for an unknown setting.
    """
    if "://" not in where:
        if settings:
            raise BadInput(f"{', '.join(settings)} of {where!r} is set in its profile; give it here only with a URL.")
        profile = read_profile(where, profiles)
        return Client(profile.base_url, name=name, journal=journal, connection=profile.connection)
    where, settings = conceal(where), conceal(settings)
    if unknown := sorted(set(settings) - set(Connection.__dataclass_fields__)):
        raise BadInput(f"A connection has no setting {', '.join(unknown)}; see help(workbench.Connection).")
    return Client(where, name=name, journal=journal, connection=Connection(**settings))


# --- trying a connection ---


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result of ``try_connection``.

    ``words`` is a sentence for people. ``failed_at`` is the stage that failed, empty if it works:
    DNS, proxy, TCP, TLS, certificate, answer, token, path or endpoint.
    """

    failed_at: str
    words: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", printable(self.words, one_line=True))

    @property
    def ok(self) -> bool:
        """Whether the endpoint answered with its CapabilityStatement."""
        return not self.failed_at


def try_connection(client: Client) -> ConnectionTest:
    """Read the CapabilityStatement and say what that shows. The exchange is in the client's journal.

    Raises ``BadInput`` where a secret cannot be had, as any request does.
    """
    exchange = client.capabilities()
    if exchange.response is not None:
        return _judge_answer(exchange, client.base_url.split("/")[2])
    failure = exchange.failure
    stage = failure.stage if isinstance(failure, Failure) else Stage.ANSWER
    hint = _hint(client) if stage is Stage.ANSWER else ""
    return ConnectionTest(stage.value, str(failure) + hint)


def _hint(client: Client) -> str:
    """Return a likely reason for a connection that broke off; some servers give none."""
    if not client.base_url.lower().startswith("https:"):
        return " Perhaps it speaks HTTPS only; then its base URL begins with https://."
    if client.connection.cert is not None:
        return " Perhaps it does not accept the client certificate shown."
    return " Perhaps it wants a client certificate."


def _judge_answer(exchange: Exchange, host: str) -> ConnectionTest:
    status = exchange.status or 0
    resource = exchange.resource
    if exchange.ok and isinstance(resource, dict) and resource.get("resourceType") == "CapabilityStatement":
        version = resource.get("fhirVersion")
        return ConnectionTest("", f"It works: {host} answers as a FHIR endpoint, version {version}.")

    outcome = exchange.outcome
    says = f" It says: {outcome.diagnostics}" if outcome and outcome.diagnostics else ""
    spine_code = outcome.spine_code if outcome else ""
    if status in (401, 403, 407) or spine_code in _IDENTITY_CODES:
        words = f"{host} answers {status}: it does not accept who you say you are.{says}"
        return ConnectionTest(Stage.TOKEN.value, words)
    if 300 <= status < 400:
        location = exchange.response.headers.get("Location") if exchange.response else None
        words = (
            f"{host} redirects to {location}, which was not followed. If that is your endpoint, make it the base URL."
        )
        return ConnectionTest(Stage.PATH.value, words)
    if status in (404, 405, 410, 501) or exchange.ok:
        words = f"{host} answers {status}, but there is no CapabilityStatement at [base]/metadata; check the path."
        return ConnectionTest(Stage.PATH.value, words)
    words = f"{host} answers {status}: the endpoint is reached, and cannot answer.{says}"
    return ConnectionTest(Stage.ENDPOINT.value, words)


_IDENTITY_CODES: Final = frozenset({"MISSING_OR_INVALID_HEADER", "ASID_CHECK_FAILED"})


# --- reading the file ---


def profiles_path() -> Path:
    """Return where profiles are kept: ``~/.config/spine-workbench/profiles.toml`` on Linux."""
    from platformdirs import user_config_path

    return user_config_path("spine-workbench", appauthor=False) / FILE


def profile_names(profiles: str | Path | None = None) -> list[str]:
    """Return the names of the profiles; none where there is no file."""
    path = Path(profiles) if profiles else profiles_path()
    return list(_read_tables(path)) if path.exists() else []


def read_profile(name: str, profiles: str | Path | None = None) -> Profile:
    """Return one profile.

    Raises ``BadInput`` that names the setting which cannot be used, and never its value.
    """
    path = Path(profiles) if profiles else profiles_path()
    if not path.exists():
        raise BadInput(f"There is no profile {name!r}: the file {path} does not exist; write one, or give a base URL.")
    tables = _read_tables(path)
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise BadInput(f"There is no profile {name!r} in {path}; there is: {known}.")
    return _read_profile(name, tables[name], path.parent)


def _read_tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            tables: dict[str, Any] = conceal(tomllib.load(file))  # a user may have written a secret
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # its text may quote a line with a secret
        raise BadInput(f"{path} is not TOML; docs/your-own-endpoint.md shows a profile.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    loose = [name for name, value in tables.items() if not isinstance(value, dict)]
    if loose:
        raise BadInput(f"{path} has {', '.join(loose)} outside of a profile; a profile begins with [its-name].")
    return tables


class _Context(NamedTuple):
    """What a setting is read for."""

    what: str
    """The setting, for a message: ``timeout of the profile 'x'``."""
    folder: Path
    """Paths of files are relative to it."""
    base_url: str
    """The recipient of secrets."""


def _read_profile(name: str, table: dict[str, Any], folder: Path) -> Profile:
    what = f"The profile {name!r}"
    _check_keys(what, table, KEYS)
    if "base_url" not in table:
        raise BadInput(f"{what} has no base_url; give the endpoint's, such as https://spine.example/STU3.")
    given = {
        key: read(table[key], _Context(f"{key} of the profile {name!r}", folder, table["base_url"]))
        for key, read in KEYS.items()
        if key in table
    }
    _check_pair(what, given, "cert", "key")
    _check_pair(what, given, "proxy_user", "proxy_password")
    if "passphrase" in given and "cert" not in given:
        raise BadInput(f"{what} has a passphrase, but no cert and key that it would open.")
    try:
        base_url = check_base_url(given.pop("base_url"))
        if "ca" in given:
            given["verify"] = given.pop("ca")
        if "cert" in given:
            given["cert"] = (given["cert"], given.pop("key"))
        if "proxy_user" in given:
            given["proxy_auth"] = (given.pop("proxy_user"), given.pop("proxy_password"))
        connection = Connection(**_with_identity(given, base_url))
    except BadInput as error:
        raise BadInput(f"{what} cannot be used. {error}") from None
    return Profile(name, base_url, connection)


def _with_identity(given: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Return the settings of a connection, with ``spine`` or ``platform`` replaced by what they mean."""
    settings = dict(given)
    if "spine" in settings:
        settings["identity"] = SpineIdentity(**{"audience": base_url} | settings.pop("spine"))
    if "platform" in settings:
        if "token" in settings:
            raise BadInput("It has a token beside its table platform; write the token in that table.")
        made = platform_identity(**settings.pop("platform"))
        settings |= {"token": made["token"], "headers": made["headers"] | settings.get("headers", {})}
    return settings


def _check_keys(what: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    if unknown := sorted(set(table) - set(known)):
        raise BadInput(f"{what} has {', '.join(unknown)}, which is no setting; it may have {', '.join(known)}.")


def _check_pair(what: str, given: Mapping[str, Any], one: str, other: str) -> None:
    for present, absent in ((one, other), (other, one)):
        if present in given and absent not in given:
            raise BadInput(f"{what} has {present} without {absent}; give both.")


def _text(value: Any, context: _Context) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(f"{context.what} must be a text.")
    return value


def _file(value: Any, context: _Context) -> str:
    if "-----BEGIN" in _text(value, context):
        raise BadInput(f"{context.what} holds a certificate or a key itself; write the path of its file.")
    return str(context.folder / Path(value).expanduser())


def _reference(value: Any, context: _Context) -> Reference:
    try:
        return Reference(value, context.what, recipient=context.base_url)
    except BadInput:
        raise BadInput(
            f"{context.what} holds a secret in clear text; write {FORMS} instead, and change the secret."
        ) from None


def _as_written(value: Any, _: _Context) -> Any:
    """Return the value; ``Connection`` checks it."""
    return value


def _timeout(value: Any, _: _Context) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value, value)


def _headers(value: Any, context: _Context) -> dict[str, str | Secret]:
    """Read header fields: each is a reference, ``text:…`` for what is no secret, or ``uuid``."""
    headers: dict[str, str | Secret] = {}
    for name, each in _table(value, context).items():
        if each == "uuid":
            headers[name] = FreshId()
        elif isinstance(each, str) and each.startswith("text:") and not is_secret(name):
            headers[name] = each.removeprefix("text:")
        else:
            headers[name] = _reference(each, context._replace(what=f"{name} in the {context.what}"))
    return headers


def _spine(value: Any, context: _Context) -> dict[str, str]:
    table = _table(value, context)
    _check_keys(f"The {context.what}", table, _SPINE_KEYS)
    if missing := [name for name in ("from_asid", "to_asid", "issuer") if name not in table]:
        raise BadInput(f"The {context.what} lacks {', '.join(missing)}.")
    return {name: _text(each, context._replace(what=f"{name} in the {context.what}")) for name, each in table.items()}


def _platform(value: Any, context: _Context) -> dict[str, Reference]:
    """Read the identity for the NHS API Platform: the token and the role of a user, each by reference."""
    table = _table(value, context)
    _check_keys(f"The {context.what}", table, ("token", "session_urid"))
    return {
        name: _reference(each, context._replace(what=f"{name} in the {context.what}")) for name, each in table.items()
    }


_SPINE_KEYS: Final = [each.name for each in fields(SpineIdentity) if each.name not in ("clock", "new_id")]


def _table(value: Any, context: _Context) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{context.what} must be a table.")
    return value


KEYS: Final[dict[str, Callable[[Any, _Context], Any]]] = {
    "base_url": _text,
    "allow_writes": _as_written,
    "ca": _file,
    "cert": _file,
    "key": _file,
    "passphrase": _reference,
    "token": _reference,
    "proxy": _text,
    "proxy_user": _text,
    "proxy_password": _reference,
    "timeout": _timeout,
    "rate_limit": _as_written,
    "deadline": _as_written,
    "max_body": _as_written,
    "headers": _headers,
    "spine": _spine,
    "platform": _platform,
}
"""The settings of a profile, each with the function that reads it."""
