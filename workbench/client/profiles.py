"""Endpoints by name: profiles in a TOML file, and ``connect``, which gives a client of one.

Owns: what may stand in a profile, and that no secret does: where one is needed, a reference to it stands
(``env:NAME``, ``keyring:service/name``, ``prompt``). What a setting does is ``Connection``'s.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from workbench.client.bounds import DEADLINE, MAX_BODY
from workbench.client.client import Client
from workbench.client.connection import Connection, check_base_url
from workbench.client.identity import FreshId, SpineIdentity
from workbench.client.secret import FORMS, Reference, conceal
from workbench.client.tls import Secret
from workbench.errors import BadInput
from workbench.journal.journal import Journal
from workbench.journal.secrets import is_secret

FILE: Final = "profiles.toml"


@dataclass(frozen=True, slots=True)
class Profile:
    """An endpoint under a name: where it is, and how it is spoken to."""

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
    """A client of an endpoint of your own: ``connect("integration")``, or ``connect("https://…/STU3", …)``.

    A profile is read from ``profiles``, by default ``profiles_path()``. With a base URL the ``settings`` are those of
    ``Connection``; a profile holds its own, so that what may be written to is decided there. ``name`` is the client's.

    Raises ``BadInput`` for a profile that is not there or cannot be used; nothing is sent yet.
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


def profiles_path() -> Path:
    """Where profiles are kept: ``~/.config/spine-workbench/profiles.toml``, or its like on this system."""
    from platformdirs import user_config_path

    return user_config_path("spine-workbench", appauthor=False) / FILE


def profile_names(profiles: str | Path | None = None) -> list[str]:
    """The names of the profiles that there are; none where there is no file."""
    path = Path(profiles) if profiles else profiles_path()
    return list(_tables(path)) if path.exists() else []


def read_profile(name: str, profiles: str | Path | None = None) -> Profile:
    """One profile. Raises ``BadInput`` that names the key which cannot be used, and never its value."""
    path = Path(profiles) if profiles else profiles_path()
    if not path.exists():
        raise BadInput(f"There is no profile {name!r}: the file {path} does not exist; write one, or give a base URL.")
    tables = _tables(path)
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise BadInput(f"There is no profile {name!r} in {path}; there is: {known}.")
    return _profile(name, tables[name], path.parent)


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            read: dict[str, Any] = conceal(tomllib.load(file))  # somebody may have written a secret itself
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # whose text may quote the line, and a secret in it
        raise BadInput(f"{path} is not TOML; docs/your-own-endpoint.md shows a profile.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    loose = [name for name, value in read.items() if not isinstance(value, dict)]
    if loose:
        raise BadInput(f"{path} has {', '.join(loose)} outside of a profile; a profile begins with [its-name].")
    return read


class Place(NamedTuple):
    """What a setting is read for: the folder that files are beside, and the base URL that secrets go to."""

    folder: Path
    base_url: str


def _profile(name: str, table: dict[str, Any], folder: Path) -> Profile:
    what = f"The profile {name!r}"
    _check_keys(what, table, KEYS)
    if "base_url" not in table:
        raise BadInput(f"{what} has no base_url; give the endpoint's, such as https://spine.example/STU3.")
    at = Place(folder, table["base_url"])
    given = {key: read(table[key], f"{key} of the profile {name!r}", at) for key, read in KEYS.items() if key in table}
    _pair(what, given, "cert", "key")
    _pair(what, given, "proxy_user", "proxy_password")
    if "passphrase" in given and "cert" not in given:
        raise BadInput(f"{what} has a passphrase, but no cert and key that it would open.")
    try:
        base_url = check_base_url(given["base_url"])
        spine = given.get("spine")
        connection = Connection(
            headers=given.get("headers", {}),
            allow_writes=given.get("allow_writes", False),
            timeout=given.get("timeout", (5.0, 30.0)),
            verify=given.get("ca", True),
            cert=(given["cert"], given["key"]) if "cert" in given else None,
            passphrase=given.get("passphrase"),
            token=given.get("token"),
            identity=SpineIdentity(**({"audience": base_url} | spine)) if spine is not None else None,
            proxy=given.get("proxy"),
            proxy_auth=(given["proxy_user"], given["proxy_password"]) if "proxy_user" in given else None,
            rate_limit=given.get("rate_limit"),
            deadline=given.get("deadline", DEADLINE),
            max_body=given.get("max_body", MAX_BODY),
        )
    except BadInput as error:
        raise BadInput(f"{what} cannot be used. {error}") from None
    return Profile(name, base_url, connection)


def _check_keys(what: str, table: Mapping[str, Any], known: Mapping[str, Any] | frozenset[str]) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise BadInput(f"{what} has {', '.join(unknown)}, which means nothing here; it may have {', '.join(known)}.")


def _pair(what: str, given: Mapping[str, Any], one: str, other: str) -> None:
    for present, absent in ((one, other), (other, one)):
        if present in given and absent not in given:
            raise BadInput(f"{what} has {present} without {absent}; give both.")


def _plain(value: Any, what: str, _at: Place) -> str:
    """A text that is no secret."""
    if not isinstance(value, str) or not value:
        raise BadInput(f"{what} must be a text.")
    return value


def _file(value: Any, what: str, at: Place) -> str:
    """A file, beside the profiles unless its path says otherwise."""
    if "-----BEGIN" in _plain(value, what, at):
        raise BadInput(f"{what} holds a certificate or a key itself; write the path of its file.")
    return str(at.folder / Path(value).expanduser())


def _reference(value: Any, what: str, at: Place) -> Reference:
    try:
        return Reference(value, what, recipient=at.base_url)
    except BadInput:
        raise BadInput(f"{what} holds a secret in clear text; write {FORMS} instead, and change the secret.") from None


def _yes_or_no(value: Any, what: str, _at: Place) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{what} is true or false, without quotation marks.")
    return value


def _seconds(value: Any, what: str, _at: Place) -> tuple[float, float]:
    parts = value if isinstance(value, list) else [value, value]
    if len(parts) != 2 or not all(type(part) in (int, float) and part > 0 for part in parts):
        raise BadInput(f"{what} is [seconds to connect, seconds to wait for an answer].")
    return float(parts[0]), float(parts[1])


def _number(value: Any, what: str, _at: Place) -> float:
    if type(value) not in (int, float) or value <= 0:
        raise BadInput(f"{what} is a number: requests a second at most.")
    return float(value)


def _deadline(value: Any, what: str, _at: Place) -> float:
    if type(value) not in (int, float) or value <= 0:
        raise BadInput(f"{what} is a number of seconds, after which an exchange ends.")
    return float(value)


def _bytes(value: Any, what: str, _at: Place) -> int:
    if type(value) is not int or value <= 0:
        raise BadInput(f"{what} is a whole number: bytes of an answer's body at most.")
    return value


def _headers(value: Any, what: str, at: Place) -> dict[str, str | Secret]:
    """Header fields: each value is a reference, ``text:…`` for what is no secret, or ``uuid`` for a fresh id."""
    read: dict[str, str | Secret] = {}
    for name, each in _table(value, what).items():
        if each == _UUID:
            read[name] = FreshId()
            continue
        plain = isinstance(each, str) and each.startswith(_TEXT) and not is_secret(name)
        read[name] = each.removeprefix(_TEXT) if plain else _reference(each, f"{name} in the {what}", at)
    return read


_TEXT: Final = "text:"
_UUID: Final = "uuid"


def _spine(value: Any, what: str, at: Place) -> dict[str, str]:
    table = _table(value, what)
    _check_keys(f"The {what}", table, _SPINE)
    missing = [name for name in ("from_asid", "to_asid", "issuer") if name not in table]
    if missing:
        raise BadInput(f"The {what} lacks {', '.join(missing)}.")
    return {name: _plain(each, f"{name} in the {what}", at) for name, each in table.items()}


_SPINE: Final = dict.fromkeys(
    ("from_asid", "to_asid", "issuer", "audience", "reason", "organization", "user", "scope", "interaction_id")
)


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{what} is a table of its own.")
    return value


KEYS: Final[dict[str, Callable[[Any, str, Place], Any]]] = {
    "base_url": _plain,
    "allow_writes": _yes_or_no,
    "ca": _file,
    "cert": _file,
    "key": _file,
    "passphrase": _reference,
    "token": _reference,
    "proxy": _plain,
    "proxy_user": _plain,
    "proxy_password": _reference,
    "timeout": _seconds,
    "rate_limit": _number,
    "deadline": _deadline,
    "max_body": _bytes,
    "headers": _headers,
    "spine": _spine,
}
